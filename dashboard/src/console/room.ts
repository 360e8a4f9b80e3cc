// How the left column shares its height: whatever red nobody answered has a row in view, and the rest takes what is left.
import { onBeforeUnmount, onMounted, ref, watch, type Ref } from 'vue'

/** Heights, pixels; the styles of the rows say the same. */
export const ALARM = 51
export const LINE = 33
export const HEAD = 29
const ALARMS_TITLE = 40
const FLOOD = 24
const QUEUE_TITLE = 48
/** Left for the stages below what is urgent, where that needs no red's place: one head and one row. */
const STAGES = HEAD + LINE

export interface Wants {
  flood: boolean
  /** Alarm rows, and how many of them are unanswered reds. */
  alarms: number
  redAlarms: number
  /** Urgent cases, and how many of them are unanswered reds. */
  urgent: number
  redCases: number
}
export interface Share {
  /** Unanswered red alarms are one line each. */
  dense: boolean
  /** Greatest height of the alarm section. */
  height: number
  /** Rows that stand fixed: alarms, and urgent cases. */
  alarms: number
  cases: number
}

const rows = (height: number, each: number): number => Math.max(0, Math.floor(height / each))

export function share(height: number, w: Wants): Share {
  const title = ALARMS_TITLE + (w.flood ? FLOOD : 0)
  const body = height - title - QUEUE_TITLE - (w.urgent > 0 ? HEAD : 0)
  const half = height * 0.45 - title
  // Each list also keeps a line that says how many rows are not in view.
  const others = w.alarms - w.redAlarms
  const reds = (each: number): number => w.redAlarms * each + (others > 0 ? HEAD : 0)
  const cases = w.redCases * LINE + HEAD
  const dense = w.redAlarms * ALARM > half || reds(ALARM) + cases > body
  const each = dense ? LINE : ALARM
  const need = reds(each)
  if (need + cases <= body) {
    const list = Math.max(need, Math.min(half, body - cases, w.redAlarms * each + others * ALARM))
    const below = rows(body - list - HEAD - STAGES, LINE)
    return {
      dense,
      height: title + list,
      alarms: w.redAlarms,
      cases: Math.max(w.redCases, Math.min(w.urgent, below)),
    }
  }
  // Where not even one line each is enough, both are cut alike.
  const list = Math.max(0, (body * need) / (need + cases))
  return {
    dense,
    height: title + list,
    alarms: Math.min(w.redAlarms, rows(list - HEAD, each)),
    cases: Math.min(w.redCases, rows(body - list - HEAD, LINE)),
  }
}

/** How many rows of a list that scrolls are not in view. */
export function useRest(box: Ref<HTMLElement | undefined>, changes: () => unknown): Ref<number> {
  const rest = ref(0)
  function count(): void {
    const frame = box.value?.getBoundingClientRect()
    if (frame === undefined) return
    const bottom = frame.bottom - (box.value!.scrollHeight > box.value!.clientHeight ? HEAD : 0)
    rest.value = [...box.value!.querySelectorAll('[data-row]')].filter((row) => {
      const { top, height } = row.getBoundingClientRect()
      return top + height / 2 < frame.top || top + height / 2 > bottom
    }).length
  }
  const sized = new ResizeObserver(count)
  onMounted(() => {
    if (box.value === undefined) return
    sized.observe(box.value)
    box.value.addEventListener('scroll', count, { passive: true })
  })
  onBeforeUnmount(() => sized.disconnect())
  watch(changes, count, { flush: 'post' })
  return rest
}
