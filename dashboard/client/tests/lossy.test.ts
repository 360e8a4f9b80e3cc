// Whatever is lost, doubled, swapped, cut, restarted or behind: what a client holds is what the log says at its position,
// each event comes once and in order, what was skipped is told, and in the end it is up to date.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { NOWHERE, type Position } from '../src'
import { Bench, Log, type Connection } from './world'

/** Runs; `make soak` takes more. */
const RUNS = Number(process.env['FEED_SEEDS'] ?? 200)
const SEED = Number(process.env['FEED_SEED'] ?? 20240826)

type Action =
  | { do: 'happen'; id: number; gone: boolean; times: number }
  | { do: 'pump' | 'beat' | 'crash' | 'recover' | 'drain' | 'trouble' | 'lag'; gateway: number }
  | { do: 'deliver'; count: number }
  | { do: 'drop' | 'double' | 'cut'; at: number; by: number }
  | { do: 'swap'; at: number; by: number }
  | { do: 'resync' }
  | { do: 'replace'; keep: number }
  | { do: 'advance' | 'hold'; ms: number }

const small = fc.nat({ max: 7 })
const gateway = fc.nat({ max: 1 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('happen' as const),
      id: fc.integer({ min: 1, max: 5 }),
      gone: fc.boolean(),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('pump' as const, 'beat' as const), gateway }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: small }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('drop' as const, 'double' as const, 'cut' as const, 'swap' as const),
      at: small,
      by: fc.nat({ max: 200 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'crash' as const,
        'recover' as const,
        'recover' as const,
        'recover' as const,
        'drain' as const,
        'trouble' as const,
        'lag' as const,
      ),
      gateway,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resync' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), keep: fc.nat({ max: 20 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('advance' as const, 'hold' as const), ms: fc.nat({ max: 9_000 }) }),
  },
)

/** Two gateways of one log; the second may lag behind. */
class Site {
  readonly logs: Log[] = [new Log(1n)]
  readonly gateways = [0, 1].map(() => ({ up: true, lag: undefined as bigint | undefined }))
  readonly bench: Bench
  private served = 0
  /** What was told one by one, or named as skipped. */
  told: Position = NOWHERE
  readonly wrong: string[] = []

  constructor(private readonly conflate: boolean) {
    this.bench = new Bench({ addresses: ['ws://0', 'ws://1'], conflate })
    this.bench.model.onEvent = (event) => {
      const next = this.told.seq + 1n
      if (conflate || this.told.logId !== this.bench.client.position.logId || BigInt(event.seq) !== next)
        this.wrong.push(`event ${event.seq} where ${next} of log ${this.told.logId} was next`)
      this.told = { logId: this.told.logId, seq: BigInt(event.seq) }
    }
    this.bench.client.on((note) => {
      if (note.kind === 'resync' && note.reason === 'log_replaced') this.told = NOWHERE
      if (note.kind === 'snapshot') {
        if (!conflate && (note.from.logId !== this.told.logId || note.from.seq !== this.told.seq))
          this.wrong.push(`skipped from ${note.from.seq}, told up to ${this.told.seq}`)
        if (note.at.logId !== this.told.logId || note.at.seq > this.told.seq) this.told = note.at
      }
      if (note.kind === 'frame') {
        if (!conflate && note.at.seq > this.told.seq)
          this.wrong.push(`at ${note.at.seq}, told only up to ${this.told.seq}`)
        this.told = note.at.seq > this.told.seq ? note.at : this.told
      }
    })
    this.bench.client.start()
  }
  get log(): Log {
    return this.logs.at(-1)!
  }
  private of = (c: Connection): number => Number(c.address.slice(-1))
  headOf(g: number): bigint {
    const { lag } = this.gateways[g]!
    return lag === undefined || lag > this.log.head ? this.log.head : lag
  }
  private live(g?: number): Connection[] {
    return this.bench.dialled.filter(
      (c) => c.open && !c.gone && c.hello !== undefined && (g === undefined || this.of(c) === g),
    )
  }

  /** Gateways answer new connections and greetings. */
  serve(): void {
    for (; this.served < this.bench.dialled.length; this.served++) {
      const c = this.bench.dialled[this.served]!
      if (c.gone) continue
      if (!this.gateways[this.of(c)]!.up) {
        c.close(1006)
        continue
      }
      c.accept()
      if (c.hello === undefined) continue
      const head = this.headOf(this.of(c))
      const { logId, cursor } = c.hello
      if (logId === this.log.id && cursor >= 1n && cursor <= head) c.cursor = cursor
      else this.snapshot(c, head)
      this.pump(c)
      this.beat(c)
    }
  }
  private snapshot(c: Connection, head: bigint): void {
    c.cursor = head
    c.push(this.log.snapshot(head))
  }
  private pump(c: Connection): void {
    const head = this.headOf(this.of(c))
    if (c.cursor >= head) return
    // Frames of one and two events in turn.
    while (c.cursor < head) {
      const upto = c.cursor % 2n === 0n || c.cursor + 1n === head ? c.cursor + 1n : c.cursor + 2n
      c.push(this.log.frame(c.cursor, upto, this.conflate))
      c.cursor = upto
    }
  }
  private beat(c: Connection): void {
    c.push({
      case: 'heartbeat',
      value: { head: this.headOf(this.of(c)), logId: this.log.id, serverTime: BigInt(this.bench.time.wall()) },
    })
  }

  act(a: Action): void {
    const connection = this.live()[0]
    // A fault has something to hit.
    if ('by' in a && connection?.wire.length === 0) this.pump(connection)
    const wire = connection?.wire ?? []
    const at = 'at' in a && wire.length > 0 ? a.at % wire.length : undefined
    switch (a.do) {
      case 'happen':
        for (let n = 0; n < a.times; n++)
          this.log.events.push({ id: BigInt(a.id), stage: a.gone && n === 0 ? 'gone' : `s${this.log.events.length}` })
        break
      case 'pump':
        this.live(a.gateway).forEach((c) => this.pump(c))
        break
      case 'beat':
        this.live(a.gateway).forEach((c) => this.beat(c))
        break
      case 'deliver':
        this.live().forEach((c) => c.deliver(a.count))
        break
      case 'drop':
        if (at !== undefined) wire.splice(at, 1)
        break
      case 'double':
        if (at !== undefined) wire.splice(Math.min(wire.length, at + (a.by % 3)), 0, wire[at]!)
        break
      case 'cut':
        if (at !== undefined) wire[at] = wire[at]!.subarray(0, a.by % wire[at]!.length)
        break
      case 'swap':
        if (at !== undefined) [wire[at], wire[a.by % wire.length]] = [wire[a.by % wire.length]!, wire[at]!]
        break
      case 'crash':
        this.gateways[a.gateway]!.up = false
        this.bench.dialled.filter((c) => this.of(c) === a.gateway).forEach((c) => c.close(1006))
        break
      case 'recover':
        this.gateways[a.gateway] = { up: true, lag: undefined }
        break
      case 'lag':
        this.gateways[a.gateway]!.lag = this.log.head
        break
      case 'drain':
        for (const c of this.live(a.gateway)) {
          c.push({ case: 'handover', value: { reason: 'draining', retryAfterMs: 300 } })
          c.deliver()
          c.close(1001, 'draining')
        }
        break
      case 'trouble':
        this.live(a.gateway).forEach((c) => c.close(1013, 'try again'))
        break
      case 'resync':
        this.live().forEach(
          (c) => (c.push({ case: 'resync', value: { reason: 'slow' } }), this.snapshot(c, this.headOf(this.of(c)))),
        )
        break
      case 'replace':
        this.logs.push(new Log(this.log.id + 1n, this.log.events.slice(0, a.keep)))
        this.live().forEach(
          (c) => (
            c.push({ case: 'resync', value: { reason: 'log_replaced' } }),
            this.snapshot(c, this.headOf(this.of(c)))
          ),
        )
        break
      case 'advance':
        this.bench.time.advance(a.ms)
        break
      case 'hold':
        this.bench.time.hold(a.ms)
    }
  }

  check(when: string): void {
    const { logId, seq } = this.bench.client.position
    const log = this.logs.find((l) => l.id === logId)
    if (log !== undefined) expect(this.bench.shown(), `${when}: log ${logId} at ${seq}`).toEqual(log.shown(seq))
    else expect(this.bench.state.name, when).not.toBe('live')
    expect(this.wrong, when).toEqual([])
    // Whatever it waits for has a deadline.
    expect(this.bench.time.pending, when).toBe(1)
  }

  /** The last message is lost; then nothing fails any more. How many half seconds until it is up to date. */
  heal(): number {
    this.act({ do: 'happen', id: 1, gone: false, times: 1 })
    this.live().forEach((c) => (c.deliver(), this.pump(c), c.wire.splice(0)))
    for (const n of [0, 1]) this.act({ do: 'recover', gateway: n })
    for (let n = 0; n < 400; n++) {
      this.serve()
      for (const c of this.live()) {
        this.pump(c)
        this.beat(c)
        c.deliver()
      }
      this.check('healing')
      const { logId, seq } = this.bench.client.position
      if (this.bench.state.name === 'live' && logId === this.log.id && seq === this.log.head) return n
      this.bench.time.advance(500)
    }
    throw new Error(`not up to date: ${JSON.stringify(this.bench.state)}`)
  }
}

it.each([
  ['lossless', false],
  ['conflating', true],
])('a %s client', { timeout: 600_000 }, (_, conflate) => {
  let [missed, snapshots, duplicates, stale] = [0, 0, 0, 0]
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 120, size: 'max' }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (actions, luck) => {
        const site = new Site(conflate)
        site.bench.random = luck
        for (const a of actions) {
          site.act(a)
          site.serve()
          site.check(JSON.stringify(a))
        }
        site.heal()
        for (const note of site.bench.notes) {
          if (note.kind === 'missed') missed++
          if (note.kind === 'snapshot') snapshots++
          if (note.kind === 'duplicate') duplicates++
          if (note.kind === 'state' && note.state.name === 'stale') stale++
        }
      },
    ),
    { numRuns: RUNS, seed: SEED },
  )
  console.log(
    `${RUNS} runs: ${missed} gaps, ${duplicates} doubled frames, ${snapshots} snapshots, ${stale} times stale`,
  )
  // The runs went where they should.
  for (const count of [missed, snapshots, duplicates, stale]) expect(count).toBeGreaterThan(RUNS / 10)
})
