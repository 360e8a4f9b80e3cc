// Rows of the alarm list: floods are grouped by building and kind, chattering sources become one row, reds stand alone.
import { alarmAsks } from './attention'
import { REAL, RED, type Alarm } from './model'

export const FLOOD_WINDOW = 600_000
export const FLOOD_BEGINS = 10
export const FLOOD_ENDS_BELOW = 5
export const CHATTER_WINDOW = 60_000
export const CHATTER_COUNT = 3

export interface AlarmRow {
  /** Stable key of the row. */
  key: string
  /** The alarm that the row shows: the newest of a group. */
  alarm: Alarm
  /** All alarms of the row, newest first. */
  members: Alarm[]
  /** Times that it came, for a chattering source. */
  count: number
}

/** Whether real alarms flood at `now`: as the server tells it, from when each was raised, so that all screens agree. */
export function inFlood(alarms: Pick<Alarm, 'raised' | 'mode'>[], now: number): boolean {
  const raised = alarms.filter((a) => a.mode === REAL && a.raised <= now).map((a) => a.raised)
  // How many stand in the window changes when one comes and when it is old.
  const turns = raised
    .flatMap((at) => [
      { at, by: 1 },
      { at: at + FLOOD_WINDOW, by: -1 },
    ])
    .filter((t) => t.at <= now)
  turns.sort((a, b) => a.at - b.at || a.by - b.by)
  let [floods, recent] = [false, 0]
  for (const turn of turns) {
    recent += turn.by
    floods = floods ? recent >= FLOOD_ENDS_BELOW : recent >= FLOOD_BEGINS
  }
  return floods
}

const sourceOf = (alarm: Alarm): string | null => {
  const first = alarm.sources[0]
  return alarm.sources.length === 1 && first !== undefined ? `${first.kind}/${first.id}/${first.alarmKind}` : null
}

/** Sources that came at least three times within a minute. */
function chattering(alarms: Alarm[]): Set<string> {
  const times = new Map<string, number[]>()
  for (const alarm of alarms) {
    const source = sourceOf(alarm)
    if (source !== null) times.set(source, [...(times.get(source) ?? []), alarm.raised])
  }
  const found = new Set<string>()
  for (const [source, list] of times) {
    list.sort((a, b) => a - b)
    if (list.some((at, i) => (list[i + CHATTER_COUNT - 1] ?? Infinity) - at <= CHATTER_WINDOW)) found.add(source)
  }
  return found
}

const times = (alarm: Alarm): number => alarm.sources.reduce((sum, s) => sum + s.count, 0)

/** Orders: reds that nobody answered, unshelved before shelved, red before yellow before normal, then newest first. */
export function compareAlarms(a: Alarm, b: Alarm, now: number): number {
  const asks = Number(redAsks(b, now)) - Number(redAsks(a, now))
  const shelved = Number(a.shelvedUntil > now) - Number(b.shelvedUntil > now)
  return asks || shelved || b.level - a.level || b.raised - a.raised || b.id - a.id
}
/** Such a row is always in view. */
export const redAsks = (a: Alarm, now: number): boolean => a.level === RED && alarmAsks(a, now)

export function alarmRows(alarms: Alarm[], now: number, flood: boolean): AlarmRow[] {
  const sorted = [...alarms].sort((a, b) => compareAlarms(a, b, now))
  const noisy = chattering(sorted)
  const rows = new Map<string, AlarmRow>()
  for (const alarm of sorted) {
    const key = rowKey(alarm, flood, noisy)
    const row = rows.get(key)
    if (row === undefined) rows.set(key, { key, alarm, members: [alarm], count: times(alarm) })
    else {
      row.members.push(alarm)
      row.count += times(alarm)
      if (alarm.confirmed === 0 && row.alarm.confirmed !== 0) row.alarm = alarm
    }
  }
  return [...rows.values()]
}

function rowKey(alarm: Alarm, flood: boolean, noisy: Set<string>): string {
  if (alarm.level === RED) return `a/${alarm.id}`
  const source = sourceOf(alarm)
  if (source !== null && noisy.has(source)) return `s/${source}`
  if (!flood) return `a/${alarm.id}`
  const place = alarm.place
  return `g/${alarm.kind}/${place?.building || place?.landmark || place?.grid || ''}/${alarm.level}`
}
