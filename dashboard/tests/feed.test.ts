import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { ServerMessageSchema, type ServerMessage } from '../src/generated/feed_pb'
import { Collections } from '../src/lib/centre'
import { FeedCore } from '../src/lib/feed-core'
import { backoff } from '../src/lib/feed'

/** Runs of the lossy feed; `make soak` takes more. */
const SEEDS = Number(process.env['FEED_SEEDS'] ?? 200)

/** A small generator, so that a failing seed can be run again. */
function dice(seed: number): () => number {
  let s = seed >>> 0
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0
    return s / 2 ** 32
  }
}

/** A log of incidents with one event a sequence number, and the frames that a server makes of it. */
class Server {
  seq = 0n
  logId = 9n
  readonly incidents = new Map<bigint, { rev: bigint; stage: string }>()
  readonly log: { seq: bigint; id: bigint; stage: string }[] = []
  happen(id: bigint, stage: string): void {
    this.seq++
    this.incidents.set(id, { rev: this.seq, stage })
    this.log.push({ seq: this.seq, id, stage })
  }
  state = (id: bigint) => {
    const x = this.incidents.get(id)!
    return { rev: x.rev, kind: { case: 'incident' as const, value: { id, stage: x.stage } } }
  }
  snapshot = (): ServerMessage =>
    create(ServerMessageSchema, { kind: { case: 'snapshot', value: { logId: this.logId, seq: this.seq, states: [...this.incidents.keys()].map(this.state) } } })
  frame = (after: bigint, upto: bigint): ServerMessage =>
    create(ServerMessageSchema, {
      kind: { case: 'frame', value: { logId: this.logId, after, upto, items: this.log.filter((e) => e.seq > after && e.seq <= upto).map((e) => ({ event: { seq: e.seq, incident: e.id, kind: 'noted' }, state: this.state(e.id) })) } },
    })
}
const heldBy = (c: Collections): string[] => [...c.maps.incident.values()].map((i) => `${i.id}/${i.stage}`).sort()
const truth = (s: Server): string[] => [...s.incidents].map(([id, x]) => `${id}/${x.stage}`).sort()

describe('feed', () => {
  it('applies frames in order and advances by empty ones', () => {
    const [server, sink] = [new Server(), new Collections()]
    const core = new FeedCore(sink)
    server.happen(1n, 'reported')
    expect(core.apply(server.snapshot())).toBe('applied')
    server.happen(1n, 'accepted')
    expect(core.apply(server.frame(1n, 2n))).toBe('applied')
    const empty = create(ServerMessageSchema, { kind: { case: 'frame', value: { logId: 9n, after: 2n, upto: 7n } } })
    expect(core.apply(empty)).toBe('applied')
    expect(core.cursor).toBe(7n)
    expect(heldBy(sink)).toEqual(['1/accepted'])
    expect(sink.events.value.map((e) => e.seq)).toEqual([2])
  })

  it('tells what was missed exactly when after differs from the cursor', () => {
    const [server, sink] = [new Server(), new Collections()]
    const core = new FeedCore(sink)
    server.happen(1n, 'reported')
    core.apply(server.snapshot())
    for (const stage of ['accepted', 'filed', 'approved']) server.happen(1n, stage)
    expect(core.apply(server.frame(2n, 3n))).toBe('missed')
    expect(core.cursor).toBe(1n)
    expect(heldBy(sink)).toEqual(['1/reported'])
    expect(core.apply(create(ServerMessageSchema, { kind: { case: 'frame', value: { logId: 8n, after: 1n, upto: 2n } } }))).toBe('missed')
  })

  it('ends with what the server holds and each event once and in order, whatever is lost, doubled or swapped', { timeout: 600_000 }, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = dice(seed)
      const [server, sink] = [new Server(), new Collections()]
      const core = new FeedCore(sink)
      const seen: number[] = []
      sink.onEvent((e) => seen.push(e.seq))
      core.apply(server.snapshot())
      let sent = server.seq
      let wire: ServerMessage[] = []
      let reconnects = 0
      const deliver = (): void => {
        for (const message of wire.splice(0)) {
          if (core.apply(message) !== 'missed') continue
          // A new socket: Hello{log_id, cursor} resumes there, and nothing of the old one arrives any more.
          reconnects++
          core.apply(server.frame(core.cursor, server.seq))
          sent = server.seq
          wire = []
          break
        }
      }
      for (let n = 0; n < 60; n++) {
        server.happen(BigInt(1 + Math.floor(random() * 5)), `s${n}`)
        if (random() < 0.6) {
          wire.push(server.frame(sent, server.seq))
          sent = server.seq
        }
        const luck = random()
        if (luck < 0.1) wire.splice(Math.floor(random() * wire.length), 1)
        else if (luck < 0.2 && wire.length > 0) wire.push(wire[0]!)
        else if (luck < 0.3) wire.reverse()
        if (random() < 0.4) deliver()
      }
      deliver()
      if (core.apply(server.frame(sent, server.seq)) === 'missed') core.apply(server.frame(core.cursor, server.seq))
      expect(heldBy(sink), `seed ${seed}`).toEqual(truth(server))
      expect(seen, `seed ${seed}`).toEqual(server.log.map((e) => Number(e.seq)))
      expect(reconnects, `seed ${seed}`).toBeLessThan(60)
    }
  })

  it('starts over on resync and forgets what the snapshot does not hold', () => {
    const [server, sink] = [new Server(), new Collections()]
    const core = new FeedCore(sink)
    server.happen(1n, 'reported')
    core.apply(server.snapshot())
    expect(core.apply(create(ServerMessageSchema, { kind: { case: 'resync', value: { reason: 'slow' } } }))).toBe('resync')
    expect([core.logId, core.cursor]).toEqual([0n, 0n])
    core.apply(create(ServerMessageSchema, { kind: { case: 'snapshot', value: { logId: 10n, seq: 1n, states: [] } } }))
    expect(heldBy(sink)).toEqual([])
  })

  it('keeps the greater revision and takes away what is gone', () => {
    const sink = new Collections()
    sink.put('incident', '1', 5, { id: 1, stage: 'filed' } as never)
    sink.put('incident', '1', 4, { id: 1, stage: 'accepted' } as never)
    expect(heldBy(sink)).toEqual(['1/filed'])
    sink.remove('incident', '1', 6)
    sink.put('incident', '1', 5, { id: 1, stage: 'filed' } as never)
    expect(heldBy(sink)).toEqual([])
  })

  it('backs off with jitter up to a cap', () => {
    expect(backoff(0, () => 0)).toBe(125)
    expect(backoff(0, () => 1)).toBe(375)
    expect(backoff(50, () => 0.5)).toBe(4000)
  })
})
