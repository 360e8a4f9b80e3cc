import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { binary, FeedCore, Malformed } from '../src'
import { ServerMessageSchema, type ServerMessage } from '../src/generated/feed_pb'
import { bytes, Log, Model, type Message } from './world'

const message = (kind: Message): ServerMessage => create(ServerMessageSchema, { kind })
function setUp(stages: string[] = ['reported']) {
  const [log, model] = [
    new Log(
      9n,
      stages.map((stage) => ({ id: 1n, stage })),
    ),
    new Model(),
  ]
  const core = new FeedCore(model)
  const events: number[] = []
  model.onEvent = (e) => events.push(e.seq)
  const apply = (kind: Message) => core.apply(message(kind))
  const shown = (): string[] => model.all('incident').map((i) => `${i.id}/${i.stage}`)
  return { log, model, core, events, apply, shown }
}

describe('the core', () => {
  it('applies frames in order and advances by empty ones', () => {
    const { log, core, events, apply, shown } = setUp()
    expect(apply(log.snapshot(1n))).toEqual({ kind: 'snapshot', from: { logId: 0n, seq: 0n } })
    expect(core.audience).toBe('centre')
    log.events.push({ id: 1n, stage: 'accepted' })
    expect(apply(log.frame(1n, 2n)).kind).toBe('applied')
    expect(apply({ case: 'frame', value: { logId: 9n, after: 2n, upto: 7n } }).kind).toBe('applied')
    expect([core.position, shown(), events]).toEqual([{ logId: 9n, seq: 7n }, ['1/accepted'], [2]])
  })

  it('delivers what a log that was cut back says anew under the same numbers', () => {
    const { log, events, apply } = setUp(['reported', 'accepted', 'filed'])
    apply(log.snapshot(1n))
    apply(log.frame(1n, 3n))
    apply({ case: 'resync', value: { reason: 'log_replaced' } })
    log.events.splice(1)
    apply(log.snapshot(1n))
    log.events.push({ id: 1n, stage: 'rejected' })
    apply(log.frame(1n, 2n))
    expect(events).toEqual([2, 3, 2])
  })

  it('tells what was missed exactly when a frame does not join, and what it had before', () => {
    const { log, core, events, apply, shown } = setUp(['reported', 'accepted', 'filed', 'approved', 'closed'])
    apply(log.snapshot(3n))
    expect(apply(log.frame(4n, 5n)).kind).toBe('missed')
    expect(apply(log.frame(2n, 4n)).kind, 'part of it is new').toBe('missed')
    expect(apply({ case: 'frame', value: { logId: 8n, after: 3n, upto: 4n } }).kind, 'another log').toBe('missed')
    expect(apply(log.frame(1n, 3n)).kind).toBe('duplicate')
    expect([core.position.seq, shown(), events]).toEqual([3n, ['1/filed'], []])
  })

  it('starts over on resync, but a server that hands over makes nothing void', () => {
    const { log, core, apply, shown } = setUp()
    apply(log.snapshot(1n))
    expect(apply({ case: 'handover', value: { reason: 'draining', retryAfterMs: 5 } })).toEqual({
      kind: 'handover',
      reason: 'draining',
      retryAfter: 5,
    })
    expect(core.position.seq).toBe(1n)
    expect(apply({ case: 'resync', value: { reason: 'policy' } })).toEqual({ kind: 'resync', reason: 'policy' })
    expect(core.position).toEqual({ logId: 0n, seq: 0n })
    expect(apply({ case: 'snapshot', value: { logId: 10n, seq: 1n } })).toEqual({
      kind: 'snapshot',
      from: { logId: 9n, seq: 1n },
    })
    expect(shown()).toEqual([])
  })

  it('tells no event twice when a server that lags behind answers with an older snapshot', () => {
    const { log, events, apply } = setUp(['a', 'b', 'c', 'd', 'e'])
    apply(log.snapshot(1n))
    apply(log.frame(1n, 4n))
    apply(log.snapshot(2n))
    apply(log.frame(2n, 5n))
    expect(events).toEqual([2, 3, 4, 5])
  })

  it('counts an event as told as soon as the sink has taken it', () => {
    const { log, model, events, apply } = setUp(['a', 'b', 'c', 'd'])
    apply(log.snapshot(1n))
    model.onEvent = (e) => {
      if (e.seq === 3) throw new Error('full')
      events.push(e.seq)
    }
    expect(() => apply(log.frame(1n, 4n))).toThrow('full')
    model.onEvent = (e) => events.push(e.seq)
    apply(log.frame(1n, 4n))
    expect(events).toEqual([2, 3, 4])
  })

  it('keeps the greater revision and takes away what is gone', () => {
    const { log, apply, shown } = setUp(['filed', 'gone'])
    apply(log.snapshot(1n))
    expect(shown()).toEqual(['1/filed'])
    apply(log.frame(1n, 2n))
    expect(shown()).toEqual([])
    const old = { rev: 1n, kind: { case: 'incident', value: { id: 1n, stage: 'filed' } } }
    apply({ case: 'frame', value: { logId: 9n, after: 2n, upto: 3n, items: [{ state: old }] } as never })
    expect(shown()).toEqual([])
  })

  it('takes a message of a later version for nothing, and an impossible one for no message', () => {
    const { core, apply } = setUp()
    // Field 15 of ServerMessage, which no version has yet.
    expect(core.apply(binary.decode(new Uint8Array([0x7a, 0x02, 0x08, 0x01])))).toEqual({ kind: 'unknown' })
    expect(() => core.apply(binary.decode(new Uint8Array()))).toThrow(Malformed)
    expect(() => apply({ case: 'frame', value: { logId: 9n, after: 2n, upto: 1n } })).toThrow(Malformed)
  })
})

describe('the binary subprotocol', () => {
  it('decodes no message that was cut', () => {
    const { log } = setUp(['reported', 'accepted', 'filed'])
    for (const kind of [log.snapshot(3n), log.frame(1n, 3n)]) {
      const whole = bytes(kind)
      expect(binary.decode(whole).kind.case).toBe(kind.case)
      for (let length = 1; length < whole.length; length++)
        expect(() => binary.decode(whole.subarray(0, length)), `${length} bytes`).toThrow()
    }
    expect(() => binary.decode('{}')).toThrow()
  })
})
