// What the screens say about the whole: counts, the top case, limits. Derived from the feed only; what is not known is null.
import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { calls as callsOf, overdue } from './attention'
import { useCentre } from './centre'
import { now } from './clock'
import { dayStart, placeLabel, running } from './format'
import { lamps as makeLamps, standing, type LampNames } from './lamps'
import { EXERCISE, NORMAL, REAL, RED, type Alarm, type Clock, type Incident, type Place } from './model'
import { nameOf, site } from './site'

export type Top = { incident: Incident; alarm?: undefined } | { alarm: Alarm; incident?: undefined }

export { overdue }
/** The clock that a list shows for an incident. */
export const pressing = (i: Incident): Clock | undefined => running(i.clocks)[0]

/** Red before yellow; within a level incidents before alarms, unjudged ones first, then the newest. An alarm of an open
 *  case as grave stands there already. */
export function topsOf(incidents: Incident[], alarms: Alarm[], at: number): Top[] {
  const own = new Map(incidents.map((i) => [i.id, i.level]))
  return [2, 1].flatMap((l): Top[] => [
    ...incidents
      .filter((x) => x.level === l)
      .sort((a, b) => b.reported - a.reported)
      .map((incident) => ({ incident })),
    ...alarms
      .filter((x) => x.level === l && standing(x, at) && (own.get(x.incident) ?? 0) < l)
      .sort((x, y) => Number(x.verdict !== '') - Number(y.verdict !== '') || y.raised - x.raised)
      .map((alarm) => ({ alarm })),
  ])
}
export const topOf = (incidents: Incident[], alarms: Alarm[], at: number): Top | null =>
  topsOf(incidents, alarms, at)[0] ?? null

export const useFigures = () => {
  const centre = useCentre()
  const { locale } = useI18n()
  const real = computed(() => [...centre.incident.values()].filter((i) => i.mode !== EXERCISE))
  const open = computed(() => [...centre.incident.values()].filter((i) => i.open))
  const openReal = computed(() => open.value.filter((i) => i.mode !== EXERCISE))
  const alarms = computed(() => [...centre.alarm.values()].filter((a) => a.open))
  /** What asks for a person of the centre, the gravest first. */
  const calls = computed(() => callsOf(open.value, alarms.value, now.value))
  /** Since when each open red case, and each red alarm that stands outside of them, is there. */
  const redTimes = computed(() => {
    const cases = openReal.value.filter((i) => i.level === RED)
    const own = new Set(cases.map((i) => i.id))
    const apart = alarms.value.filter(
      (a) => a.level === RED && a.mode === REAL && standing(a, now.value) && !own.has(a.incident),
    )
    return [...cases.map((i) => i.reported), ...apart.map((a) => a.raised)]
  })
  const reds = computed(() => redTimes.value.length)
  /** Since when the gravest asks that has waited longest; when all is answered, the oldest red. 0 = nothing is there. */
  const askedSince = computed(() => calls.value[0]?.since ?? (reds.value > 0 ? Math.min(...redTimes.value) : 0))
  const over = computed(() => openReal.value.filter((i) => overdue(i, now.value)).length)
  const since = computed(() => dayStart(now.value))
  const doneToday = computed(() => real.value.filter((i) => i.stage === 'closed' && i.ended >= since.value).length)
  const reportedToday = computed(() => real.value.filter((i) => i.reported >= since.value).length)
  const online = computed(() =>
    centre.camera.size === 0 ? null : [...centre.camera.values()].filter((c) => c.state === 'online').length,
  )
  const waiting = computed(() => {
    const since = openReal.value.flatMap((i) =>
      i.tasks.filter((t) => t.state === 'pushed' || t.state === 'delivered').map((t) => t.pushed),
    )
    return { count: since.length, longest: since.length === 0 ? 0 : now.value - Math.min(...since) }
  })
  const realAlarms = computed(() => alarms.value.filter((a) => a.mode !== EXERCISE))
  const tops = computed(() => topsOf(openReal.value, realAlarms.value, now.value))
  const top = computed(() => tops.value[0] ?? null)
  const lastRed = computed(
    () => real.value.filter((i) => i.level === RED && i.stage === 'closed').sort((a, b) => b.ended - a.ended)[0],
  )
  /** Where a picture fault is, its camera says better than its grid. */
  const cameraOf = (a: Alarm): string => {
    const source = a.sources[0]
    return source?.kind === 'camera' ? nameOf(site.value?.camera.get(source.id), locale.value) : ''
  }
  const alarmPlace = (a: Alarm): string => cameraOf(a) || placeLabel(a.place, locale.value)
  const names: LampNames = {
    place: (p) => placeLabel(p, locale.value),
    spot: (p: Place) => {
      const s = site.value
      const at = s?.building.get(p.building) ?? s?.landmark.get(p.landmark)
      return at === undefined ? placeLabel(p, locale.value) : nameOf(at, locale.value)
    },
    spotOf: (a: Alarm) => cameraOf(a) || (a.place ? names.spot(a.place) : ''),
    // Until the site document has come a name is not known: what machines call it never reaches a screen.
    class: (id) => nameOf(site.value?.class.get(id), locale.value, site.value ? id : '…'),
    alarm: (id) => nameOf(site.value?.alarmKind.get(id), locale.value, site.value ? id : '…'),
    what: (id) => {
      const kind = site.value?.alarmKind.get(id)
      return nameOf(site.value?.class.get(kind?.class ?? ''), locale.value) || names.alarm(id)
    },
    center: (b) => site.value?.building.get(b)?.center,
  }
  const lamps = computed(() => makeLamps(openReal.value, realAlarms.value, now.value, names))
  /** Buildings by their lamp, for the legend. */
  const legend = computed(() => {
    const buildings = site.value?.doc.buildings.length ?? 0
    const count = (level: number): number => lamps.value.filter((l) => l.level === level && !l.hollow).length
    const lit = lamps.value.filter((l) => l.building).length
    return {
      red: count(RED),
      yellow: count(1),
      normal: count(NORMAL),
      pending: lamps.value.filter((l) => l.hollow).length,
      clear: buildings - lit,
    }
  })
  /** Live tasks in hand of each unit. */
  const load = computed(() => {
    const counts = new Map<string, number>()
    for (const i of openReal.value)
      for (const t of i.tasks)
        if (!['done', 'declined', 'recalled'].includes(t.state)) counts.set(t.unit, (counts.get(t.unit) ?? 0) + 1)
    return counts
  })
  return {
    centre,
    open,
    openReal,
    alarms,
    calls,
    reds,
    askedSince,
    over,
    doneToday,
    reportedToday,
    online,
    waiting,
    top,
    tops,
    lastRed,
    lamps,
    legend,
    load,
    names,
    alarmPlace,
  }
}
export type Figures = ReturnType<typeof useFigures>
