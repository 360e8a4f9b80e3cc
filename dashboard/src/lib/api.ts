// The gateway's REST interface. Commands carry an idempotency key; errors are RFC 9457 problems with a Chinese title.
import type { components } from '../generated/api'
import { incidentOf } from './rest-incident'
import type { SiteDocument } from './site'

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly titleEn: string,
    readonly field?: string,
  ) {
    super(`${code}: ${titleEn}`)
  }
  /** The server has not decided: worth trying again with the same key. */
  get transient(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429 || this.status === 408
  }
  text(locale: string): string {
    return locale === 'zh' ? this.title : this.titleEn
  }
}

type Schemas = components['schemas']
export type Role = 'duty_officer' | 'dispatcher' | 'shift_chief' | 'department_clerk' | 'grid_manager' | 'wall_display'
export type Session = Pick<Schemas['Session'], 'account' | 'name' | 'unit' | 'grid'> & { role: Role }
export type Accepted = Schemas['Accepted']
export type PlaceInput = Schemas['PlaceInput']
export type PlaceHit = Schemas['PlaceHit']
export type Duplicate = Schemas['Duplicate']
export type TimelineEntry = Schemas['TimelineEntry']
export type DeviceRow = Schemas['Device']
export type History = Schemas['History']
export type DeviceCredential = Schemas['DeviceCredential']
export type Department = Schemas['Department']
export type PatrolRecord = Schemas['Patrol']
/** What the demo offers: accounts to try. Without a demo the address does not exist. */
export type Demo = { demo: boolean; accounts: (Schemas['DemoAccount'] & { role: Role })[] }
export interface HappeningKind {
  kind: string
  zh: string
  en: string
  needs: 'building' | 'camera' | 'department' | 'nothing'
}
export interface Happening {
  id: number
  kind: string
  zh: string
  en: string
  place: string
  since: number
}
export interface Happenings {
  kinds: HappeningKind[]
  active: Happening[]
}
/** Numbers of buildings and cameras as on their walls. */
export interface Happen {
  kind: string
  building?: number
  camera?: number
  department?: string
}

const base = '/api/v1'
/** A call without answer for so long is given up, milliseconds: a clip is answered when its last second has come. */
const PATIENCE = 60_000
/** The same for a photo over a bad network. */
const PHOTO_PATIENCE = 180_000

/** Called when a session has ended. */
let onUnauthorised: () => void = () => undefined
export const whenUnauthorised = (callback: () => void): void => {
  onUnauthorised = callback
}
/** Somebody else noticed it. */
export const unauthorised = (): void => onUnauthorised()

async function call<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  const raw = body instanceof Blob
  if (body !== undefined) headers['content-type'] = raw ? body.type : 'application/json'
  if (key !== undefined) headers['idempotency-key'] = key
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), raw ? PHOTO_PATIENCE : PATIENCE)
  let response: Response
  try {
    response = await fetch(base + path, {
      method,
      headers,
      credentials: 'same-origin',
      signal: patience.signal,
      body: body === undefined ? null : raw ? body : JSON.stringify(body),
    })
  } catch {
    throw new Problem(0, 'offline', '没有收到答复，可能未送达', 'No answer; perhaps not delivered')
  } finally {
    clearTimeout(timer)
  }
  if (response.status === 401 && path !== '/session') onUnauthorised()
  if (!response.ok) throw await problem(response)
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

async function problem(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => ({}))) as Partial<
    Record<'code' | 'title' | 'title_en' | 'field', string>
  >
  return new Problem(
    response.status,
    body.code ?? `http_${response.status}`,
    body.title ?? `服务器答复 ${response.status}`,
    body.title_en ?? `The server answered ${response.status}`,
    body.field,
  )
}

export const newKey = (): string => crypto.randomUUID()
/** A command; the key stays the same when it is tried again. */
export const command = (path: string, body: unknown = {}, key: string = newKey()): Promise<Accepted> =>
  call<Accepted>('POST', path, body, key)

const query = (values: Record<string, string | number | null | undefined>): string => {
  const given = Object.entries(values).filter((e): e is [string, string | number] => e[1] != null && e[1] !== '')
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`
}

export const api = {
  session: () => call<Session>('GET', '/session'),
  login: (account: string, password: string) => call<Session>('POST', '/session', { account, password }),
  logout: () => call<undefined>('DELETE', '/session'),
  site: () => call<SiteDocument>('GET', '/site'),
  places: (q: string) => call<PlaceHit[]>('GET', `/places${query({ q })}`),
  duplicates: (of: Record<string, string | number | null | undefined>) =>
    call<Duplicate[]>('GET', `/duplicates${query(of)}`),
  reporter: (phone: string) => call<{ earlier: number }>('POST', '/reporters/lookup', { phone }),
  /** Ended cases, newest number first. */
  ended: async (q: string, before?: number) => {
    const page = await call<{ items: unknown[]; next: number | null }>(
      'GET',
      `/incidents${query({ state: 'ended', q, before, limit: 60 })}`,
    )
    return { items: page.items.map(incidentOf), next: page.next }
  },
  timeline: (incident: number) => call<TimelineEntry[]>('GET', `/incidents/${incident}/timeline`),
  departments: () => call<Department[]>('GET', '/departments'),
  patrols: () => call<PatrolRecord[]>('GET', '/patrols'),
  devices: () => call<DeviceRow[]>('GET', '/devices'),
  /** Devices that report and that the site does not have. */
  chattering: () => call<Schemas['Chatter'][]>('GET', '/devices/chattering'),
  strangers: () => call<Schemas['Stranger'][]>('GET', '/devices/strangers'),
  deviceHistory: (id: string, from: number) =>
    call<History>('GET', `/devices/${encodeURIComponent(id)}/history?from=${from}`),
  /** Devices that have or had a password of their own. */
  credentials: () => call<DeviceCredential[]>('GET', '/devices/credentials'),
  issueCredential: (id: string, key: string) =>
    call<Schemas['IssuedCredential']>('POST', `/devices/${encodeURIComponent(id)}/credential`, {}, key),
  revokeCredential: (id: string, key: string) =>
    call<Accepted>('DELETE', `/devices/${encodeURIComponent(id)}/credential`, undefined, key),
  demo: () => call<Demo>('GET', '/demo'),
  happenings: () => call<Happenings>('GET', '/demo/happenings'),
  happen: (what: Happen) => call<unknown>('POST', '/demo/happenings', what, newKey()),
  calm: () => call<unknown>('DELETE', '/demo/happenings'),
  photo: (incident: number, picture: Blob, key: string) =>
    call<{ blob: string }>('POST', `/photos${query({ incident })}`, picture, key),
}
export const blobUrl = (id: string): string => `${base}/blobs/${encodeURIComponent(id)}`
export const stillUrl = (camera: string, at?: number): string =>
  `${base}/cameras/${encodeURIComponent(camera)}/still${query({ at })}`
