// What asks for a person of the centre: alarms that nobody confirmed, and cases that opened by themselves, got worse, lie
// still, or whose units need help. One definition for sound, strip, page title and queue, so that they never disagree.
import { RED, REAL, YELLOW, type Alarm, type Incident, type Level } from './model'

export type Entry = Incident['attention'][number]
export type Why = 'unconfirmed' | 'again' | 'opened' | 'worse' | 'idle' | 'unacknowledged' | 'support' | 'declined'

export interface Call {
  level: Level
  kind: 'alarm' | 'case'
  id: number
  why: Why
  /** Server time at which it began to ask, or asked again. */
  since: number
  /** The task that it is about; 0 = none. */
  task: number
}

export const subjectOf = (call: Pick<Call, 'kind' | 'id'>): string => `${call.kind}/${call.id}`
export const callKey = (call: Call): string => `${subjectOf(call)}/${call.why}/${call.task}`

/** Nobody has confirmed it, or it was confirmed, not judged, and sounded again. */
export const alarmAsks = (a: Alarm, now: number): boolean =>
  a.open &&
  a.level > 0 &&
  a.mode === REAL &&
  a.shelvedUntil <= now &&
  (a.confirmed === 0 || (a.verdict === '' && a.sounded > a.confirmed))

/** Entries of a case that nobody has taken. Exercises and tests ask nobody. */
export const untaken = (i: Incident): Entry[] =>
  i.open && i.mode === REAL ? i.attention.filter((e) => e.taken === 0) : []

/** All that asks now: the gravest first, then whatever has waited longest. */
export function calls(incidents: Iterable<Incident>, alarms: Iterable<Alarm>, now: number): Call[] {
  const found: Call[] = []
  for (const a of alarms)
    if (alarmAsks(a, now))
      found.push({
        level: a.level,
        kind: 'alarm',
        id: a.id,
        why: a.confirmed === 0 ? 'unconfirmed' : 'again',
        since: Math.max(a.raised, a.sounded),
        task: 0,
      })
  for (const i of incidents)
    for (const e of untaken(i))
      found.push({
        level: Math.max(i.level, YELLOW) as Level,
        kind: 'case',
        id: i.id,
        why: e.why as Why,
        since: e.since,
        task: e.task,
      })
  return found.sort((a, b) => b.level - a.level || a.since - b.since || a.id - b.id)
}

/** The same by alarm and case, each once and by what is gravest about it. */
export function subjects(all: Call[]): Call[] {
  const seen = new Map<string, Call>()
  for (const call of all) if (!seen.has(subjectOf(call))) seen.set(subjectOf(call), call)
  return [...seen.values()]
}

/** What is about each call that was heard: its level, and since when it asks. */
export type Heard = Map<string, { level: number; since: number }>
export const heardOf = (all: Call[]): Heard =>
  new Map(all.map((call) => [callKey(call), { level: call.level, since: call.since }]))

/** Whether something asks that did not, is graver now, or has asked again. */
export const news = (before: Heard, all: Call[]): boolean =>
  all.some((call) => {
    const known = before.get(callKey(call))
    return known === undefined || call.level > known.level || call.since > known.since
  })

const GRAVEST = ['support', 'declined', 'unacknowledged', 'idle', 'worse', 'opened']

/** The one entry that a row has room for: one that sounds before one that is only marked. */
export const mark = (i: Incident): Entry | undefined =>
  [...i.attention].sort(
    (a, b) => Number(a.taken > 0) - Number(b.taken > 0) || GRAVEST.indexOf(a.why) - GRAVEST.indexOf(b.why),
  )[0]

export const overdue = (i: Incident, at: number): boolean =>
  i.clocks.some((c) => c.ended === 0 && c.since + c.limit < at)

/** When its next limit ends. */
export const due = (i: Incident): number =>
  Math.min(Infinity, ...i.clocks.filter((c) => c.ended === 0).map((c) => c.since + c.limit))

/** 0 = a red that nobody took, 1 = every other red, 2 = asks, 3 = marked, 4 = overdue; undefined = not urgent. */
export function urgency(i: Incident, at: number): number | undefined {
  if (!i.open || i.mode === 1) return undefined
  const [asks, marked, late] = [untaken(i).length > 0, i.attention.length > 0, overdue(i, at)]
  if (i.level === RED) return asks ? 0 : 1
  if (!marked && !late) return undefined
  return asks ? 2 : marked ? 3 : 4
}

/** Cases that stand on top of the queue whatever their stage; within a rank whatever has waited longest. */
export function urgentOf(incidents: Incident[], at: number): Incident[] {
  const ranked = incidents.flatMap((i) => {
    const rank = urgency(i, at)
    const since = Math.min(...i.attention.map((e) => e.since), due(i))
    return rank === undefined ? [] : [{ i, rank, since }]
  })
  return ranked.sort((a, b) => a.rank - b.rank || a.since - b.since || a.i.id - b.i.id).map((x) => x.i)
}

/** The stage that a case waits in. One whose units all gave their tasks back waits for a push, not for them. */
export const stageOf = (i: Incident): string =>
  i.stage === 'dispatched' &&
  i.tasks.some((x) => x.state === 'declined') &&
  i.tasks.every((x) => x.state === 'declined' || x.state === 'recalled')
    ? 'approved'
    : i.stage
