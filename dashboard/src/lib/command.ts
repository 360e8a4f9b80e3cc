// The command line: a verb, an incident number and words by pinyin initials. `p 3017 xf 30` = 派 3017 消防 30 分.
import type { Incident } from './model'
import type { Name, Unit } from './site'

export type Command =
  | { verb: 'push'; incident: number; units: string[]; arrive?: number }
  | { verb: 'recall'; incident: number; unit: string }
  | { verb: 'accept' | 'file' | 'approve' | 'verify' | 'close' | 'go'; incident: number }
  | { verb: 'note'; incident: number; text: string }
  | { verb: 'merge'; incident: number; into: number }

export type Parsed =
  | { ok: true; command: Command }
  | {
      ok: false
      why: 'empty' | 'noVerb' | 'noIncident' | 'noUnit' | 'incomplete'
      word: string
      sofar?: Partial<Command>
    }

const VERBS: Record<string, Command['verb']> = {
  p: 'push',
  派: 'push',
  b: 'recall',
  撤: 'recall',
  s: 'accept',
  受: 'accept',
  f: 'file',
  建: 'file',
  y: 'approve',
  批: 'approve',
  v: 'verify',
  核: 'verify',
  c: 'close',
  结: 'close',
  g: 'go',
  n: 'note',
  记: 'note',
  m: 'merge',
  并: 'merge',
}
export const VERB_LETTERS = Object.entries(VERBS).filter(([k]) => /[a-z]/.test(k))

/** A unit by its initials, id, or a part of its Chinese name; initials that are a prefix of one unit only also do. */
export function findUnit(word: string, units: Unit[]): Unit | undefined {
  const w = word.toLowerCase()
  const exact = units.find((u) => u.initials === w || u.id === w || u.name.zh === word)
  if (exact !== undefined) return exact
  const near = units.filter((u) => u.initials.startsWith(w) || u.name.zh.includes(word))
  return near.length === 1 ? near[0] : undefined
}

export function parse(line: string, incidents: Map<string, Incident>, units: Unit[]): Parsed {
  const words = line.trim().split(/\s+/).filter(Boolean)
  const first = words[0]
  if (first === undefined) return { ok: false, why: 'empty', word: '' }
  if (/^\d+$/.test(first) && words.length === 1)
    return target(first, incidents, (incident) => ({ verb: 'go', incident }))
  const verb = VERBS[first.toLowerCase()]
  if (verb === undefined) return { ok: false, why: 'noVerb', word: first }
  const number = words[1]
  if (number === undefined) return { ok: false, why: 'incomplete', word: first }
  const rest = words.slice(2)
  if (verb === 'push') return push(number, rest, incidents, units)
  if (verb === 'recall') {
    const word = rest[0]
    if (word === undefined) return { ok: false, why: 'incomplete', word: number }
    const unit = findUnit(word, units)
    if (unit === undefined) return { ok: false, why: 'noUnit', word }
    return target(number, incidents, (incident) => ({ verb, incident, unit: unit.id }))
  }
  if (verb === 'note') {
    if (rest.length === 0) return { ok: false, why: 'incomplete', word: number }
    return target(number, incidents, (incident) => ({ verb, incident, text: rest.join(' ') }))
  }
  if (verb === 'merge') {
    const into = rest[0]
    if (into === undefined) return { ok: false, why: 'incomplete', word: number }
    if (!incidents.has(into)) return { ok: false, why: 'noIncident', word: into }
    return target(number, incidents, (incident) => ({ verb, incident, into: Number(into) }))
  }
  const extra = rest[0]
  if (extra !== undefined) return { ok: false, why: 'noVerb', word: extra }
  return target(number, incidents, (incident) => ({ verb, incident }))
}

function target(number: string, incidents: Map<string, Incident>, make: (id: number) => Command): Parsed {
  return incidents.has(number)
    ? { ok: true, command: make(Number(number)) }
    : { ok: false, why: 'noIncident', word: number }
}

function push(number: string, rest: string[], incidents: Map<string, Incident>, units: Unit[]): Parsed {
  if (!incidents.has(number)) return { ok: false, why: 'noIncident', word: number }
  const last = rest.at(-1)
  const minutes = last !== undefined && /^\d{1,4}$/.test(last) ? Number(last) : undefined
  const words = minutes === undefined ? rest : rest.slice(0, -1)
  if (words.length === 0) return { ok: false, why: 'incomplete', word: number }
  const found: string[] = []
  for (const word of words) {
    const unit = findUnit(word, units)
    if (unit === undefined) return { ok: false, why: 'noUnit', word }
    if (!found.includes(unit.id)) found.push(unit.id)
  }
  return {
    ok: true,
    command: {
      verb: 'push',
      incident: Number(number),
      units: found,
      ...(minutes === undefined ? {} : { arrive: minutes }),
    },
  }
}

/** Places, classes and units found by Chinese, English or digits in a search box. */
export const matches = (query: string, name: Name, more: string[] = []): boolean => {
  const q = query.trim().toLowerCase()
  return q !== '' && [name.zh, name.en, ...more].some((s) => s.toLowerCase().includes(q))
}
