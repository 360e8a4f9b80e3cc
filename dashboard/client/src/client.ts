// The client: one socket at a time, its states, and when to give it up. All limits are deadlines of one timer.
import { fullJitter } from './backoff'
import { binary, type Codec, type Said } from './codec'
import { FeedCore, Malformed, type Outcome, type Position, type Sink } from './core'
import type { ServerMessage } from './generated/feed_pb'
import { ServerClock } from './server-clock'
import type { FeedNote, FeedState, Loss } from './state'
import { realDial, realTime, type Dial, type Socket, type Time } from './surroundings'

/** Milliseconds, all of them. */
export interface Limits {
  /** Time that a socket may take to open. */
  connect: number
  /** Time from there until up to date. */
  sync: number
  /** What is shown counts as old when nothing said for so long that it is not, or when events that are there do not come. */
  stale: number
  /** Nothing at all came, or events that are there did not: until the connection is given up. */
  dead: number
  /** The server answers, but cannot say where the log is: until it is asked anew. Where another is known, `dead`. */
  unsure: number
  ping: number
  backoffFirst: number
  backoffCap: number
  /** After so long in good order the next loss starts with a short wait again. */
  steady: number
  /** Longest wait that a server may ask for. */
  retryCap: number
}
export const LIMITS: Limits = {
  connect: 10_000,
  sync: 15_000,
  stale: 3_000,
  dead: 6_000,
  unsure: 30_000,
  ping: 1_000,
  backoffFirst: 500,
  backoffCap: 8_000,
  steady: 10_000,
  retryCap: 60_000,
}
/** No ping is added to a socket that holds so many unsent bytes. */
const UNSENT = 16_384
/** A timer so much too late was held up with everything else; what has come meanwhile is looked at first. */
const HELD_UP = 1_000

export interface FeedOptions {
  /** WebSocket addresses of gateways, at least one; another is tried when one is gone. */
  addresses: readonly string[]
  /** Latest states only, on a tick, and no events: for walls. */
  conflate?: boolean
  limits?: Partial<Limits>
  codec?: Codec
  dial?: Dial
  time?: Time
  random?: () => number
  clock?: ServerClock
  /**
   * Whether the session is still good: asked when a socket did not open, because a refusal looks like any other failure
   * there. `false` ends the client; a rejection says nothing.
   */
  admitted?: () => Promise<boolean>
}

/** One connection, from dialling to its loss. What a former one still says is not heard. */
interface Link {
  socket?: Socket
  since: number
  opened: boolean
  /** When the last message came … */
  heard: number
  /** … and the last that tells where the log is. */
  sure: number
  pingAt: number
  /** The last unanswered ping: its number on the wire and when it left. */
  ping?: { id: bigint; at: number }
  /** The head that a heartbeat named and that has not come yet. */
  owed?: { logId: bigint; head: bigint; since: number }
  /** The server said goodbye, and after how long another is ready for us. */
  retryAfter?: number
}
/** Close codes by which a server says that it does not understand us. */
const MISUNDERSTOOD = [1002, 1003, 1007, 1009]

/** Whether a log that a heartbeat named has more than is held here, or is another one. */
function behind(at: Position, named: { logId: bigint; head: bigint }): boolean {
  return named.head > at.seq || (named.logId !== 0n && at.logId !== 0n && named.logId !== at.logId)
}

export class FeedClient {
  readonly clock: ServerClock
  /** Server time when all that is held was last known to be up to date; 0 = never. */
  freshAt = 0
  private readonly core: FeedCore
  private readonly limits: Limits
  private readonly codec: Codec
  private readonly time: Time
  private readonly random: () => number
  private readonly listeners = new Set<(note: FeedNote) => void>()
  private current: FeedState = { name: 'idle' }
  private link: Link | undefined
  private attempt = 0
  private address = 0
  private retryAt = 0
  private liveSince = 0
  private cancel: () => void = () => undefined

  constructor(
    sink: Sink,
    private readonly options: FeedOptions,
  ) {
    if (options.addresses.length === 0) throw new RangeError('no address')
    this.core = new FeedCore(sink)
    this.limits = { ...LIMITS, ...options.limits }
    this.codec = options.codec ?? binary
    this.time = options.time ?? realTime
    this.random = options.random ?? Math.random
    this.clock = options.clock ?? new ServerClock(this.time.wall)
  }

  get state(): FeedState {
    return this.current
  }
  get position(): Position {
    return this.core.position
  }
  get audience(): string {
    return this.core.audience
  }

  /** Calls back for all that happens, states first of all; gives the way to stop that. */
  on(listener: (note: FeedNote) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Starts, or starts again after it was closed; the position is kept. */
  start(): void {
    if (this.current.name !== 'idle' && this.current.name !== 'closed') return
    this.attempt = 0
    this.connect()
  }

  stop(): void {
    if (this.current.name !== 'idle') this.close('stopped')
  }

  // ---- connections

  private connect(): void {
    const address = this.options.addresses[this.address % this.options.addresses.length] as string
    const now = this.time.steady()
    const link: Link = { since: now, opened: false, heard: now, sure: now, pingAt: now }
    this.link = link
    this.become({ name: 'connecting', address, attempt: this.attempt })
    // A listener may have stopped us.
    if (link !== this.link) return
    const told = {
      opened: () => link === this.link && this.opened(link),
      message: (data: unknown) => link === this.link && this.message(link, data),
      closed: (code: number, reason: string) => link === this.link && this.closed(link, code, reason),
    }
    try {
      link.socket = (this.options.dial ?? realDial)(address, this.codec.protocol, told)
    } catch (error) {
      return this.lose({ why: 'closed', code: 1006, reason: String(error) })
    }
    this.arm()
  }

  private opened(link: Link): void {
    const { logId, seq } = this.core.position
    link.opened = true
    link.since = link.heard = link.sure = link.pingAt = this.time.steady()
    this.say({ case: 'hello', value: { logId, cursor: seq, conflate: this.options.conflate ?? false } })
    this.become({ name: 'syncing', resume: logId !== 0n })
    this.tick()
  }

  private closed(link: Link, code: number, reason: string): void {
    if (code === 4401) this.close('session')
    else if (MISUNDERSTOOD.includes(code)) this.close('protocol')
    else {
      // Not at once: when thousands come back together, one more question from each is no help.
      if (!link.opened && this.attempt > 0) this.ask()
      this.lose({ why: 'closed', code, reason })
    }
  }

  /** Gives the connection up and sets the time of the next attempt. */
  private lose(loss: Loss): void {
    const asked = this.link?.retryAfter
    this.drop()
    const attempt = this.attempt++
    // A frame that did not join says nothing against its server.
    if (loss.why !== 'missed' && loss.why !== 'sink') this.address = (this.address + 1) % this.options.addresses.length
    const { backoffFirst, backoffCap, retryCap } = this.limits
    const round = Math.floor(attempt / this.options.addresses.length)
    const lot = fullJitter(round, backoffFirst, backoffCap, this.random)
    // What was asked is drawn by lot for us already; no server in trouble is asked more often than a dead one.
    const delay = asked === undefined ? lot : Math.min(attempt === 0 ? asked : Math.max(asked, lot), retryCap)
    this.retryAt = this.time.steady() + delay
    this.become({ name: 'waiting', loss, delay, attempt })
    this.arm()
  }

  private drop(): void {
    const socket = this.link?.socket
    this.link = undefined
    this.cancel()
    socket?.close()
  }

  private close(reason: 'stopped' | 'session' | 'protocol'): void {
    this.drop()
    // Whoever comes next may see other things.
    if (reason !== 'stopped') this.core.reset()
    this.become({ name: 'closed', reason })
  }

  private ask(): void {
    const alive = (): boolean => this.current.name !== 'closed' && this.link?.opened !== true
    this.options.admitted?.().then(
      (admitted) => void (!admitted && alive() && this.close('session')),
      () => undefined,
    )
  }

  private say(said: Said): void {
    this.link?.socket?.send(this.codec.encode(said))
  }

  // ---- messages

  private message(link: Link, data: unknown): void {
    link.heard = this.time.steady()
    let message: ServerMessage
    try {
      message = this.codec.decode(data)
    } catch (error) {
      return this.lose({ why: 'malformed', error })
    }
    this.hearTime(link, message)
    if (link !== this.link) return
    let outcome: Outcome
    try {
      outcome = this.core.apply(message)
    } catch (error) {
      if (error instanceof Malformed) return this.lose({ why: 'malformed', error })
      // The sink is in an unknown state: everything anew.
      this.core.reset()
      return this.lose({ why: 'sink', error })
    }
    const sure = outcome.kind === 'snapshot' || outcome.kind === 'applied' || outcome.kind === 'heartbeat'
    if (sure) link.sure = link.heard
    this.follow(link, outcome)
    if (link === this.link) this.settle(link, sure)
  }

  private hearTime(link: Link, { kind }: ServerMessage): void {
    const timed = kind.case === 'snapshot' || kind.case === 'frame' || kind.case === 'heartbeat'
    if (timed && kind.value.serverTime > 0n) this.clock.hint(Number(kind.value.serverTime))
    if (kind.case !== 'pong' || link.ping?.id !== kind.value.clientTime) return
    const [rtt, received] = [link.heard - link.ping.at, this.time.wall()]
    delete link.ping
    this.clock.pong(received - rtt, Number(kind.value.serverTime), received)
    this.tell({ kind: 'roundTrip', ms: Math.round(rtt) })
  }

  private follow(link: Link, outcome: Outcome): void {
    const at = this.core.position
    switch (outcome.kind) {
      case 'snapshot':
        delete link.owed
        this.tell({ kind: 'snapshot', from: outcome.from, at })
        if (link === this.link && this.current.name !== 'live') this.live()
        break
      case 'applied':
        this.tell({ kind: 'frame', at })
        break
      case 'duplicate':
        this.tell({ kind: 'duplicate', at })
        break
      case 'missed':
        // Between a resync and its snapshot old frames may still come.
        if (at.logId === 0n) break
        this.tell({ kind: 'missed', at })
        if (link === this.link) this.lose({ why: 'missed' })
        break
      case 'resync':
        delete link.owed
        this.tell({ kind: 'resync', reason: outcome.reason })
        // From here on the snapshot has its own time.
        link.since = this.time.steady()
        if (link === this.link) this.become({ name: 'syncing', resume: at.logId !== 0n })
        break
      case 'handover':
        link.retryAfter = outcome.retryAfter
        this.tell({ kind: 'handover', reason: outcome.reason, ms: outcome.retryAfter })
        break
      case 'heartbeat':
        if (behind(at, outcome)) link.owed ??= { logId: outcome.logId, head: outcome.head, since: this.time.steady() }
        else if (this.current.name === 'syncing' && at.logId !== 0n) this.live()
        break
      case 'pong':
        break
      case 'unknown':
        this.tell({ kind: 'unknown' })
    }
  }

  /** What the newest message means for the state; `sure`: it tells where the log is. */
  private settle(link: Link, sure: boolean): void {
    const at = this.core.position
    if (link.owed !== undefined && at.logId !== 0n && !behind(at, link.owed)) {
      delete link.owed
      if (this.current.name !== 'live') this.live()
    }
    if (sure && this.current.name === 'stale' && link.owed === undefined && link === this.link) this.live()
    if (sure && this.current.name === 'live' && link.owed === undefined) this.freshAt = this.clock.time()
    if (link === this.link) this.arm()
  }

  private live(): void {
    this.liveSince = this.time.steady()
    this.freshAt = this.clock.time()
    this.become({ name: 'live' })
  }

  // ---- deadlines

  /** One timer, for whichever deadline comes first. */
  private arm(): void {
    this.cancel()
    const due = this.nextDeadline()
    if (due === undefined) return
    this.cancel = this.time.after(Math.max(0, due - this.time.steady()), () => {
      if (this.time.steady() - due < HELD_UP) return this.tick()
      this.cancel = this.time.after(0, () => this.tick())
    })
  }

  private nextDeadline(): number | undefined {
    const link = this.link
    const { connect, sync, stale, dead } = this.limits
    if (link === undefined) return this.current.name === 'waiting' ? this.retryAt : undefined
    if (!link.opened) return link.since + connect
    const all = [link.pingAt, link.heard + dead]
    if (this.current.name === 'syncing') all.push(link.since + sync)
    else all.push(link.sure + this.unsure)
    if (this.current.name === 'live') {
      all.push(link.sure + stale)
      if (link.owed !== undefined) all.push(link.owed.since + stale)
    }
    if (link.owed !== undefined && this.current.name === 'stale') all.push(link.owed.since + dead)
    return Math.min(...all)
  }

  private tick(): void {
    const [now, link] = [this.time.steady(), this.link]
    if (link === undefined) {
      if (this.current.name === 'waiting' && now >= this.retryAt) this.connect()
      else this.arm()
      return
    }
    const loss = this.overdue(link, now)
    if (loss !== undefined) return this.lose(loss)
    if (link.opened && now >= link.pingAt) this.ping(link, now)
    if (this.current.name === 'live') {
      const old = this.old(link, now)
      if (old !== undefined) this.become({ name: 'stale', why: old, since: this.freshAt })
      else if (now - this.liveSince >= this.limits.steady) this.attempt = 0
    }
    if (link === this.link) this.arm()
  }

  /** Why what is held may be old. */
  private old(link: Link, now: number): 'silent' | 'unsure' | 'behind' | undefined {
    const { stale } = this.limits
    if (now - link.heard >= stale) return 'silent'
    if (now - link.sure >= stale) return 'unsure'
    return link.owed !== undefined && now - link.owed.since >= stale ? 'behind' : undefined
  }

  private get unsure(): number {
    return this.options.addresses.length > 1 ? this.limits.dead : this.limits.unsure
  }

  private overdue(link: Link, now: number): Loss | undefined {
    const { connect, sync, dead } = this.limits
    if (!link.opened) return now - link.since >= connect ? { why: 'unanswered' } : undefined
    if (now - link.heard >= dead) return { why: 'silent' }
    if (this.current.name === 'syncing') return now - link.since >= sync ? { why: 'unsynced' } : undefined
    if (now - link.sure >= this.unsure) return { why: 'unsure' }
    return link.owed !== undefined && now - link.owed.since >= dead ? { why: 'behind' } : undefined
  }

  private ping(link: Link, now: number): void {
    link.pingAt = now + this.limits.ping
    // One at a time: on a slow line the answer to each is still the answer to the last.
    if (link.ping !== undefined || (link.socket?.waiting ?? 0) > UNSENT) return
    const id = BigInt(Math.round(this.time.wall()))
    link.ping = { id, at: now }
    this.say({ case: 'ping', value: { clientTime: id } })
  }

  private become(state: FeedState): void {
    const before = this.current
    this.current = state
    this.tell({ kind: 'state', state, before })
  }
  private tell(note: FeedNote): void {
    for (const listener of this.listeners) listener(note)
  }
}
