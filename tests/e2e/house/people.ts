// People at the centre's HTTP interface, departments that sign their calls, and the panel of the simulated site.
import { createHmac, randomUUID } from 'node:crypto'
import type { Centre } from './centre'
import { until } from './wait'

export interface Refs {
  alarm?: number | null
  incident?: number | null
  tasks?: number[]
  code?: string | null
}
export interface Accepted {
  position: { log_id: number; seq: number }
  refs: Refs
  replayed: boolean
}
export interface TaskView {
  id: number
  unit: string
  state: string
  mandatory: boolean
  lead: boolean
  feedback: { photos: string[] }[]
}
export interface IncidentView {
  id: number
  code: string
  class: string
  stage: string
  level: number
  channel: string
  text?: { value: string } | null
  tasks: TaskView[]
  alarms: number[]
  cameras: string[]
  approved: number
  pushed: number
  approved_after: boolean
  exhibits: Exhibit[]
}
export interface Exhibit {
  blob: string
  kind: string
  camera: string
}
export interface AlarmView {
  id: number
  kind: string
  confirmed: number
  incident?: number | null
  sources: { kind: string; id: string }[]
  cameras: string[]
  exhibits: Exhibit[]
  raised: number
  cleared?: number | null
}
export interface Entry {
  seq: number
  kind: string
  text?: string | null
  by?: { kind: string; id: string } | null
}

export class Person {
  private constructor(
    private readonly centre: Centre,
    readonly account: string,
    readonly cookie: string,
  ) {}

  static async login(centre: Centre, account: string, password = 'maojiawan'): Promise<Person> {
    const answer = await fetch(`${centre.address}/api/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ account, password }),
    })
    const cookie = answer.headers.get('set-cookie')?.split(';')[0]
    if (!answer.ok || cookie === undefined)
      throw new Error(`${account} cannot log in: ${answer.status} ${await answer.text()}`)
    return new Person(centre, account, cookie)
  }

  async ask(
    method: string,
    path: string,
    { body, key, headers = {} }: { body?: BodyInit; key?: string; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    const given = { cookie: this.cookie, ...(key === undefined ? {} : { 'idempotency-key': key }), ...headers }
    return fetch(`${this.centre.address}${path}`, { method, headers: given, ...(body === undefined ? {} : { body }) })
  }
  async get<T>(path: string): Promise<T> {
    return json<T>(await this.ask('GET', `/api/v1${path}`))
  }
  async command(path: string, body: unknown = {}, key: string = randomUUID()): Promise<Accepted> {
    return json<Accepted>(
      await this.ask('POST', `/api/v1${path}`, {
        body: JSON.stringify(body),
        key,
        headers: { 'content-type': 'application/json' },
      }),
    )
  }
  async happen(kind: string, where: { building?: number; camera?: number; department?: string } = {}): Promise<void> {
    await json(
      await this.ask('POST', '/api/v1/demo/happenings', {
        body: JSON.stringify({ kind, ...where }),
        headers: { 'content-type': 'application/json' },
      }),
    )
  }
  incident(id: number): Promise<IncidentView> {
    return this.get(`/incidents/${id}`)
  }
  timeline(id: number): Promise<Entry[]> {
    return this.get(`/incidents/${id}/timeline`)
  }
  async alarms(): Promise<AlarmView[]> {
    return (await this.get<{ items: AlarmView[] }>('/alarms?limit=200')).items
  }
  async reaches(id: number, stage: string, seconds = 60): Promise<IncidentView> {
    return until(
      `incident ${id} is ${stage}`,
      async () => {
        const found = await this.incident(id)
        if (found.stage !== stage) throw new Error(`it is ${found.stage}`)
        return found
      },
      seconds,
    )
  }
}

async function json<T>(answer: Response): Promise<T> {
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

/** Headers of a signed call: its time, its key and its body are signed. */
export function signed(secret: string, body: string): Record<string, string> {
  const [time, key] = [String(Math.floor(Date.now() / 1000)), randomUUID()]
  const tag = createHmac('sha256', secret).update(`${time}\n${key}\n${body}`).digest('hex')
  return { 'content-type': 'application/json', 'x-timestamp': time, 'x-signature': `v1=${tag}`, 'idempotency-key': key }
}

/** A department's own system calls the centre. */
export async function departmentCalls(centre: Centre, unit: string, what: object): Promise<{ refs?: Refs } & Refs> {
  const body = JSON.stringify(what)
  return json(
    await fetch(`${centre.address}/api/v1/exchange/${unit}/inbound`, {
      method: 'POST',
      headers: signed(centre.site().departmentSecret, body),
      body,
    }),
  )
}

/** The simulated site's own panel: what its departments and phones have seen. */
export async function panel<T>(centre: Centre, method: string, path: string, body?: object): Promise<T> {
  const { listen, token } = centre.site()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return json<T>(
    await fetch(`http://${listen}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  )
}
