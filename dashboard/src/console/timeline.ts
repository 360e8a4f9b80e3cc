// Lines of a case's timeline: one line for what happened in one moment, with unit, place, camera and words.
import type { Entry } from './state'

export interface Line {
  key: number
  at: number
  /** When its author says that it was, if that was more than a minute apart; else 0. */
  happened: number
  text: string
  /** Free words that go with it; struck out when erased. */
  words: string
  erased: boolean
  /** A person or system of the centre; the unit itself needs no second naming. */
  by: string
}
export interface Names {
  /** The case that the timeline is of. */
  own: number
  t(key: string, values?: Record<string, unknown>): string
  has(key: string): boolean
  join(words: string[]): string
  unit(id: string): string
  camera(id: string): string
  class(id: string): string
  alarm(kind: string): string
  place(entry: Entry): string
  /** The place that was corrected. */
  before(entry: Entry): string
}

/** Steps that a rule takes at once when it opens a case. */
const BY_RULE = ['alarm_confirmed', 'alarm_judged', 'reported', 'accepted', 'filed']
/** Told by the line of what made it ask: the feedback, the decline, the rule. */
const TOLD = ['support', 'declined', 'opened']
/** Kinds of which several in one moment are one line. */
const TOGETHER = ['task_pushed', 'task_delivered', 'alarm_exhibit', 'exhibit_added']
const VERDICTS = ['genuine', 'false', 'test', 'maintenance']
const RESULTS = ['done', 'need_support', 'nothing_found']
/** Two deliveries within this span are one line, milliseconds. */
const MOMENT = 1000
/** Times that are further apart are both told, milliseconds. */
const APART = 60_000

/** Newest first, as `entries` are. */
export function lines(entries: Entry[], names: Names): Line[] {
  const told = entries.filter((e) => !(e.kind === 'attention_called' && TOLD.includes(e.detail ?? '')))
  return groups(told).map((g) => line(g, names))
}

function groups(entries: Entry[]): Entry[][] {
  const out: Entry[][] = []
  for (const e of entries) {
    const last = out.at(-1)
    const first = last?.[0]
    if (last !== undefined && first !== undefined && belongs(first, e)) last.push(e)
    else out.push([e])
  }
  return out
}

function belongs(a: Entry, b: Entry): boolean {
  const rule = (e: Entry): boolean => e.by?.kind === 'rule' && BY_RULE.includes(e.kind)
  if (rule(a) && rule(b)) return a.at === b.at
  return (
    a.kind === b.kind &&
    a.incident === b.incident &&
    TOGETHER.includes(a.kind) &&
    !a.text &&
    !b.text &&
    Math.abs(a.at - b.at) < MOMENT &&
    (a.detail === b.detail || a.kind === 'task_pushed')
  )
}

function line(group: Entry[], n: Names): Line {
  const e = group[0]
  const words = e.text ?? ''
  const happened = e.happened && Math.abs(e.at - e.happened) > APART ? e.happened : 0
  const base = { key: e.seq, at: e.at, happened, words, erased: e.erased === true, by: by(e, n) }
  if (group.length > 1 && e.by?.kind === 'rule') return { ...base, text: n.t('event.by_rule'), by: '' }
  // What happened to a case before it was merged into this one carries that one's number.
  const of = e.incident && e.incident !== n.own && !e.kind.startsWith('alarm_') ? String(e.incident) : ''
  return { ...base, text: [of, text(group, n), detail(group, n)].filter(Boolean).join(' ') }
}

function by(e: Entry, n: Names): string {
  const photos = e.kind === 'task_feedback' ? (e.blobs?.length ?? 0) : 0
  if (photos > 0) return n.t('event.photos', { n: photos })
  if (e.kind.startsWith('task_') && !['task_pushed', 'task_recalled'].includes(e.kind)) return ''
  return e.by && ['account', 'unit', 'grid'].includes(e.by.kind) ? e.by.name_zh || e.by.id : ''
}

function text(group: Entry[], n: Names): string {
  const e = group[0]
  if (['alarm_exhibit', 'exhibit_added'].includes(e.kind) && n.has('event.kept.' + e.detail))
    return n.t('event.kept.' + e.detail)
  const key = 'event.' + e.kind
  if (!n.has(key)) return n.t('event.other', { kind: e.kind })
  // Oldest of the moment first: the lead was pushed before the assists.
  const units = n.join(
    [...group]
      .reverse()
      .map((x) => (x.unit ? n.unit(x.unit) : ''))
      .filter((x, i, all) => x !== '' && all.indexOf(x) === i),
  )
  // A rule carries the name of the kind that it watches.
  const what = e.detail || (e.by?.kind === 'rule' ? e.by.id : '')
  const kind = e.kind.startsWith('alarm_') && what ? n.alarm(what) : ''
  return n.t(key, { unit: units, other: e.other ?? '', incident: e.incident ?? '', kind })
}

function detail(group: Entry[], n: Names): string {
  const e = group[0]
  switch (e.kind) {
    case 'task_feedback':
      return e.detail && RESULTS.includes(e.detail) ? n.t('result.' + e.detail) : ''
    case 'task_delivered':
      return e.detail && n.has('event.receipt.' + e.detail) ? n.t('event.receipt.' + e.detail) : ''
    case 'alarm_judged':
      return e.detail && VERDICTS.includes(e.detail) ? n.t('alarm.verdict.' + e.detail) : ''
    case 'alarm_exhibit':
    case 'exhibit_added':
      return n.join(
        [...group]
          .reverse()
          .map((x) => (x.camera ? n.camera(x.camera) : ''))
          .filter(Boolean),
      )
    case 'reported':
      return e.detail ? n.class(e.detail) : ''
    case 'filed':
      return [e.detail ? n.class(e.detail) : '', e.level ? n.t('levelName.' + e.level) : ''].filter(Boolean).join(' ')
    case 'attention_called':
      return n.t('attention.why.' + e.detail)
    case 'place_corrected':
      return e.before ? n.t('event.placeFrom', { before: n.before(e), place: n.place(e) }) : n.place(e)
    case 'alarm_raised':
      return n.place(e)
    default:
      return ''
  }
}
