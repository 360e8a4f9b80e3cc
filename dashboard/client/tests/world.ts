// A world in one hand: a log, gateways that serve it, wires that lose and swap, and a clock that only moves when told to.
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import {
  FeedClient,
  NOUN_KINDS,
  type Dial,
  type FeedEvent,
  type FeedNote,
  type FeedOptions,
  type FeedState,
  type NounKind,
  type Nouns,
  type Position,
  type Sink,
  type Time,
  type Told,
} from '../src'
import { ClientMessageSchema, ServerMessageSchema } from '../src/generated/feed_pb'

export type Message = NonNullable<MessageInitShape<typeof ServerMessageSchema>['kind']>
export const bytes = (kind: Message): Uint8Array => toBinary(ServerMessageSchema, create(ServerMessageSchema, { kind }))

export class FakeTime implements Time {
  now = 0
  /** The wall clock may be moved apart from the steady one. */
  wallAt0 = 1_800_000_000_000
  private timers: { at: number; run: () => void }[] = []
  wall = (): number => this.wallAt0 + this.now
  steady = (): number => this.now
  after = (ms: number, run: () => void): (() => void) => {
    const timer = { at: this.now + ms, run }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((t) => t !== timer)
    }
  }
  get pending(): number {
    return this.timers.length
  }
  /** Moves on, running what is due on the way. */
  advance(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const next = this.timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.timers = this.timers.filter((t) => t !== next)
      this.now = Math.max(this.now, next.at)
      next.run()
    }
    this.now = end
  }
  /** The machine was held up: time is gone, and nothing has run. */
  hold(ms: number): void {
    this.now += ms
  }
}

/** What a plain program would keep, by the rules of the sink. */
export class Model implements Sink {
  readonly nouns = new Map<string, { kind: string; id: string; value: Nouns[NounKind] }>()
  private revs = new Map<string, number>()
  clears = 0
  onEvent: (event: FeedEvent) => void = () => undefined
  clear(): void {
    this.clears++
    this.nouns.clear()
    this.revs.clear()
  }
  put<K extends NounKind>(kind: K, id: string, rev: number, value: Nouns[K]): void {
    if (this.newer(kind, id, rev)) this.nouns.set(`${kind}/${id}`, { kind, id, value })
  }
  remove(kind: string, id: string, rev: number): void {
    if (this.newer(kind, id, rev)) this.nouns.delete(`${kind}/${id}`)
  }
  event(event: FeedEvent): void {
    this.onEvent(event)
  }
  all<K extends NounKind>(kind: K): Nouns[K][] {
    return [...this.nouns.values()].filter((n) => n.kind === kind).map((n) => n.value as Nouns[K])
  }
  private newer(kind: string, id: string, rev: number): boolean {
    const key = `${kind}/${id}`
    if (!NOUN_KINDS.includes(kind as NounKind) || (this.revs.get(key) ?? -1) > rev) return false
    this.revs.set(key, rev)
    return true
  }
}

interface Happening {
  id: bigint
  stage: string
}
/** One event a sequence number; an incident whose stage is `gone` is out of sight. */
export class Log {
  constructor(
    readonly id: bigint,
    readonly events: Happening[] = [],
  ) {}
  get head(): bigint {
    return BigInt(this.events.length)
  }
  /** Incident → revision and stage as of `seq`. */
  at(seq: bigint): Map<bigint, { rev: bigint; stage: string }> {
    const held = new Map<bigint, { rev: bigint; stage: string }>()
    this.events.slice(0, Number(seq)).forEach((e, n) => held.set(e.id, { rev: BigInt(n + 1), stage: e.stage }))
    return held
  }
  shown(seq: bigint): string[] {
    return [...this.at(seq)]
      .filter(([, x]) => x.stage !== 'gone')
      .map(([id, x]) => `${id}/${x.stage}`)
      .sort()
  }
  private state(id: bigint, x: { rev: bigint; stage: string }): object {
    if (x.stage === 'gone') return { rev: x.rev, kind: { case: 'gone', value: { kind: 'incident', id: String(id) } } }
    return { rev: x.rev, kind: { case: 'incident', value: { id, stage: x.stage } } }
  }
  snapshot(seq: bigint): Message {
    const states = [...this.at(seq)].filter(([, x]) => x.stage !== 'gone').map(([id, x]) => this.state(id, x))
    return { case: 'snapshot', value: { logId: this.id, seq, states, audience: 'centre' } as never }
  }
  frame(after: bigint, upto: bigint, conflate = false): Message {
    const held = this.at(upto)
    const range = this.events.slice(Number(after), Number(upto))
    const states = (id: bigint): object => this.state(id, held.get(id)!)
    const items = conflate
      ? [...new Set(range.map((e) => e.id))].map((id) => ({ state: states(id) }))
      : range.map((e, n) => ({
          event: { seq: after + BigInt(n + 1), incident: e.id, kind: e.stage },
          state: states(e.id),
        }))
    return { case: 'frame', value: { logId: this.id, after, upto, items } as never }
  }
}

export class Connection {
  open = false
  gone = false
  /** Whether the client has closed it. */
  left = false
  hello: { logId: bigint; cursor: bigint; conflate: boolean } | undefined
  pings: bigint[] = []
  cursor = 0n
  /** On the way to the client. */
  wire: Uint8Array[] = []
  constructor(
    readonly address: string,
    readonly told: Told,
  ) {}
  push(...messages: Message[]): void {
    this.wire.push(...messages.map(bytes))
  }
  deliver(count = Infinity): void {
    for (let n = 0; n < count && this.wire.length > 0 && !this.gone; n++) this.told.message(this.wire.shift()!)
  }
  send(message: Message): void {
    this.push(message)
    this.deliver()
  }
  accept(): void {
    this.open = true
    this.told.opened()
  }
  close(code: number, reason = ''): void {
    if (this.gone) return
    this.gone = true
    this.wire = []
    this.told.closed(code, reason)
  }
}

/** A client, its clock and its connections, with everything that it tells. */
export class Bench {
  readonly time = new FakeTime()
  readonly model = new Model()
  readonly notes: FeedNote[] = []
  readonly dialled: Connection[] = []
  readonly client: FeedClient
  random = 0.5
  constructor(options: Partial<FeedOptions> = {}) {
    const dial: Dial = (address, _, told) => {
      const connection = new Connection(address, told)
      this.dialled.push(connection)
      return {
        waiting: 0,
        send: (data) => {
          const { kind } = fromBinary(ClientMessageSchema, data as Uint8Array)
          if (kind.case === 'hello') connection.hello = kind.value
          else if (kind.case === 'ping') connection.pings.push(kind.value.clientTime)
        },
        close: () => {
          connection.left = true
          connection.gone = true
        },
      }
    }
    this.client = new FeedClient(this.model, {
      addresses: ['ws://a'],
      dial,
      time: this.time,
      random: () => this.random,
      ...options,
    })
    this.client.on((note) => this.notes.push(note))
  }
  get last(): Connection {
    return this.dialled.at(-1)!
  }
  get state(): FeedState {
    return this.client.state
  }
  /** Names of the states gone through, in order. */
  get path(): string[] {
    return this.notes.flatMap((n) => (n.kind === 'state' ? [n.state.name] : []))
  }
  /** Connects and brings a log up. */
  live(log: Log): Connection {
    this.client.start()
    this.last.accept()
    this.last.send(log.snapshot(log.head))
    return this.last
  }
  shown(): string[] {
    return this.model
      .all('incident')
      .map((i) => `${i.id}/${i.stage}`)
      .sort()
  }
}
export type { Position }
