// The camera number that is being typed: shown as it grows, taken by Enter or when no digit follows.
import { onBeforeUnmount, onMounted, ref } from 'vue'
import { expire, NOTHING, press, WAIT, type Act, type Typed } from './camera-keys'
import { typing } from './keys'

/** `chosen` gets numbers, `picked` places of nearby cameras; `undo` takes back what a first digit picked. */
export function useTypedCamera(o: {
  near?: () => number
  chosen: (number: number) => boolean
  picked?: (place: number) => void
  undo?: () => void
  /** Keys belong to something else now. */
  off?: () => boolean
}) {
  const typed = ref<Typed>(NOTHING)
  /** A number that no camera has; shown for as long as a typed one. */
  const missing = ref('')
  let timer: ReturnType<typeof setTimeout> | undefined
  function act(a: Act, digits: string): void {
    if (a.do === 'typing' && a.undo) o.undo?.()
    if (a.do === 'near') o.picked?.(a.place - 1)
    if (a.do === 'choose') {
      if (digits.length === 1) o.undo?.()
      if (!o.chosen(a.number)) missing.value = digits
    }
  }
  function late(): void {
    const { digits } = typed.value
    missing.value = ''
    act(expire(typed.value), digits)
    typed.value = NOTHING
    if (missing.value !== '') timer = setTimeout(() => (missing.value = ''), WAIT)
  }
  // Before all other listeners: Enter and Escape end the number first.
  function key(e: KeyboardEvent): void {
    if (e.isComposing || e.ctrlKey || e.altKey || e.metaKey || e.repeat || typing(e.target) || o.off?.()) return
    const before = typed.value
    const [next, a] = press(before, e.key, o.near?.() ?? 0)
    typed.value = next
    if (a.do === 'nothing') return
    e.preventDefault()
    e.stopPropagation()
    missing.value = ''
    act(a, before.digits)
    clearTimeout(timer)
    timer = setTimeout(late, WAIT)
  }
  onMounted(() => addEventListener('keydown', key, true))
  onBeforeUnmount(() => {
    clearTimeout(timer)
    removeEventListener('keydown', key, true)
  })
  return { typed, missing }
}
