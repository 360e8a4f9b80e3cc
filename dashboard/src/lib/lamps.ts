// Lamps of the plan: open incidents and genuine alarms, filled; other alarms, hollow. One lamp a building, the worst. A
// source that still alarms lights its building whatever was judged, also after its case is closed.
import { alarmAsks, untaken } from './attention'
import type { Alarm, Incident, Level, Place } from './model'

export interface Lamp {
  key: string
  building: string
  x: number
  y: number
  level: Level
  hollow: boolean
  flash: boolean
  label: string
}

export interface LampNames {
  place(place: Place | undefined): string
  /** Short name of where it is: 12栋. */
  spot(place: Place): string
  spotOf(alarm: Alarm): string
  class(id: string): string
  alarm(kind: string): string
  /** What burns, of a kind of alarm: 火情. */
  what(kind: string): string
  center(building: string): [number, number] | undefined
}

export const judgeable = (a: Alarm, now: number): boolean => a.open && a.verdict === '' && a.shelvedUntil <= now

/** A source of it still alarms. */
export const active = (a: Alarm): boolean => a.sources.some((s) => s.active)
/** Nobody has judged it, or it goes on whatever was judged. Shelving is the one way to put an active one aside. */
export const standing = (a: Alarm, now: number): boolean =>
  a.open && a.shelvedUntil <= now && (a.verdict === '' || active(a))

export function lamps(incidents: Iterable<Incident>, alarms: Iterable<Alarm>, now: number, names: LampNames): Lamp[] {
  const found = new Map<string, Lamp>()
  const add = (
    place: Place | undefined,
    lamp: Pick<Lamp, 'level' | 'hollow' | 'flash'>,
    what: string,
    at?: string,
  ): void => {
    if (place === undefined) return
    const center = place.building ? names.center(place.building) : undefined
    const [x, y] = center ?? [place.point?.x ?? 0, place.point?.y ?? 0]
    const key = place.building || place.landmark || `${Math.round(x)}/${Math.round(y)}`
    const before = found.get(key)
    const rank = (l: Pick<Lamp, 'level' | 'hollow'>): number => l.level * 2 + Number(!l.hollow)
    if (before !== undefined && rank(before) >= rank(lamp)) {
      before.flash ||= lamp.flash
      return
    }
    const spot = at || names.spot(place)
    found.set(key, {
      key,
      building: place.building,
      x,
      y,
      ...lamp,
      flash: lamp.flash || (before?.flash ?? false),
      label: lamp.level === 2 ? `${spot} ${what}` : spot,
    })
  }
  for (const i of incidents)
    if (i.open) add(i.place, { level: i.level, hollow: false, flash: untaken(i).length > 0 }, names.class(i.class))
  for (const a of alarms) {
    if (standing(a, now) && a.level > 0) {
      add(
        a.place,
        { level: a.level, hollow: a.verdict !== 'genuine', flash: alarmAsks(a, now) },
        names.what(a.kind),
        names.spotOf(a),
      )
    }
  }
  return [...found.values()].sort((a, b) => a.level - b.level)
}
