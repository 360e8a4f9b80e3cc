// An incident of the REST interface in the shape that the feed uses, for cases that the feed no longer holds.
import type { Incident, Place, Task } from './model'

type Json = null | string | number | boolean | Json[] | { [key: string]: Json }
const LEVELS: Record<string, number> = { normal: 0, yellow: 1, red: 2 }
const MODES: Record<string, number> = { real: 0, exercise: 1, test: 2 }
const camel = (key: string): string => key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())

/** Keys in camel case; what is absent is left out, so that the defaults below stand. */
const pointOf = ([x, y]: Json[]): unknown => ({ x, y })
function convert(value: Json, key = ''): unknown {
  if (Array.isArray(value)) return value.map((x) => convert(x))
  if (value === null) return undefined
  if (key === 'level' && typeof value === 'string') return LEVELS[value] ?? 0
  if (key === 'mode' && typeof value === 'string') return MODES[value] ?? 0
  if (key === 'point' && Array.isArray(value)) return pointOf(value)
  if (typeof value !== 'object') return value
  const out: Record<string, unknown> = {}
  for (const [k, v] of Object.entries(value)) {
    if (v === null) continue
    out[camel(k)] = k === 'point' && Array.isArray(v) ? pointOf(v) : convert(v, k)
  }
  return out
}

const place = (p: Partial<Place>): Place => ({
  grid: '',
  building: '',
  landmark: '',
  unit: 0,
  floor: 0,
  flat: 0,
  verified: false,
  labelZh: '',
  labelEn: '',
  community: '',
  ...p,
})
const task = (x: Partial<Task>): Task =>
  ({
    lead: false,
    mandatory: false,
    pushed: 0,
    delivered: 0,
    acknowledged: 0,
    enRoute: 0,
    onScene: 0,
    ended: 0,
    receipt: '',
    external: '',
    replaces: 0,
    feedback: [],
    reworks: 0,
    declineUntil: 0,
    ...x,
  }) as Task

export function incidentOf(json: unknown): Incident {
  const i = convert(json as Json) as Partial<Incident>
  const at = {
    reported: 0,
    accepted: 0,
    filed: 0,
    approved: 0,
    pushed: 0,
    delivered: 0,
    done: 0,
    verified: 0,
    ended: 0,
  }
  return {
    ...at,
    level: 0,
    mode: 0,
    code: '',
    channel: '',
    alarms: [],
    absorbed: [],
    mergedInto: 0,
    approvedAfter: false,
    exhibits: [],
    reopened: 0,
    bounces: 0,
    cameras: [],
    open: false,
    attention: [],
    ...i,
    ...(i.place ? { place: place(i.place) } : {}),
    tasks: (i.tasks ?? []).map(task),
    clocks: (i.clocks ?? []).map((c) => ({ ...{ task: 0, ended: 0 }, ...c })),
  } as Incident
}
