// The site document as the gateway serves it, with the indexes that screens need.
import { shallowRef } from 'vue'
import { api } from './api'

export type XY = [number, number]
export interface Name {
  zh: string
  en: string
}
export interface Building {
  id: string
  number: number
  name: Name
  grid: string
  outline: XY[]
  center: XY
  units: number
  floors: number
  flats_per_floor: number
  households: number
  people: number
  care_needs: number
  minors: number
  aliases: string[]
  /** Pinyin initials of the name and of local names. */
  initials?: string[]
}
export interface CameraSite {
  id: string
  number: number
  name: Name
  at: XY
  heading: number
  indoor: boolean
  building: string | null
  grid: string
}
export interface Unit {
  id: string
  kind: string
  name: Name
  initials: string
  capacity: number
  grid?: string | null
}
export interface Limits {
  collect: number
  analyse: number
  approve: number
  push: number
  acknowledge: number
  arrive: number
  handle: number
  verify: number
  decline: number
}
export type LevelName = 'normal' | 'yellow' | 'red'
export interface Class {
  id: string
  name: Name
  level: LevelName
  intake: boolean
  lead: string
  assists: string[]
  steps: Name[]
  limits: Limits
}
export interface AlarmKind {
  id: string
  name: Name
  level: LevelName
  class: string
}
export interface Tour {
  id: string
  name: Name
  cameras: string[]
  dwell: number
}
export interface Landmark {
  id: string
  kind: string
  name: Name
  grid: string
  outline: XY[]
  center: XY
  aliases?: string[]
  initials?: string[]
}
export interface SiteDocument {
  id: string
  name: Name
  region: Name
  version: number
  extent: XY
  communities: { id: string; name: Name; outline: XY[]; label: XY }[]
  grids: { id: string; community: string; name: Name; outline: XY[] }[]
  buildings: Building[]
  paths: { name: Name; line: XY[]; width: number }[]
  landmarks: Landmark[]
  cameras: CameraSite[]
  units: Unit[]
  classes: Class[]
  alarm_kinds: AlarmKind[]
  tours: Tour[]
}

const byId = <T extends { id: string }>(list: T[]): Map<string, T> => new Map(list.map((x) => [x.id, x]))

export class Site {
  readonly building
  readonly camera
  readonly unit
  readonly class
  readonly alarmKind
  readonly grid
  readonly landmark
  readonly community
  constructor(readonly doc: SiteDocument) {
    this.building = byId(doc.buildings)
    this.camera = byId(doc.cameras)
    this.unit = byId(doc.units)
    this.class = byId(doc.classes)
    this.alarmKind = byId(doc.alarm_kinds)
    this.grid = byId(doc.grids)
    this.landmark = byId(doc.landmarks)
    this.community = byId(doc.communities)
  }

  /** Cameras of a building first, then by distance. */
  nearest(building: string | undefined, point: { x: number; y: number }, count: number): string[] {
    return this.doc.cameras
      .map((c) => ({
        id: c.id,
        other: Number(!building || c.building !== building),
        far: Math.hypot(c.at[0] - point.x, c.at[1] - point.y),
      }))
      .sort((a, b) => a.other - b.other || a.far - b.far || a.id.localeCompare(b.id))
      .slice(0, count)
      .map((c) => c.id)
  }
}

export const site = shallowRef<Site | null>(null)
let loading: Promise<void> | undefined

/** Loads the site document once, or again when the feed tells a newer version. */
export function loadSite(version?: number): Promise<void> {
  if (site.value !== null && (version === undefined || version <= site.value.doc.version)) return Promise.resolve()
  loading ??= api
    .site()
    .then((doc) => {
      site.value = new Site(doc)
    })
    .finally(() => {
      loading = undefined
    })
  return loading
}

export const nameOf = (named: { name: Name } | undefined, locale: string, fallback = ''): string =>
  named === undefined ? fallback : (locale === 'zh' ? named.name.zh : named.name.en) || named.name.zh
