// The states one by one, with a clock that stands still until it is moved.
import { describe, expect, it } from 'vitest'
import { fullJitter, LIMITS, type FeedState } from '../src'
import { Bench, bytes, Log } from './world'

const log = (count = 1): Log =>
  new Log(
    9n,
    Array.from({ length: count }, (_, n) => ({ id: 1n, stage: `s${n}` })),
  )
const beat = (head: bigint, serverTime = 0n, logId = 0n) => ({
  case: 'heartbeat' as const,
  value: { head, serverTime, logId },
})
const waiting = (state: FeedState) => {
  if (state.name !== 'waiting') throw new Error(`it is ${state.name}`)
  return state
}

describe('opening', () => {
  it('goes from idle over a snapshot to live, and says hello once', () => {
    const b = new Bench()
    expect(b.state).toEqual({ name: 'idle' })
    b.client.start()
    b.client.start()
    expect([b.dialled.length, b.state]).toEqual([1, { name: 'connecting', address: 'ws://a', attempt: 0 }])
    b.last.accept()
    expect(b.last.hello).toMatchObject({ logId: 0n, cursor: 0n, conflate: false })
    expect(b.state).toEqual({ name: 'syncing', resume: false })
    b.last.send(log().snapshot(1n))
    expect(b.path).toEqual(['connecting', 'syncing', 'live'])
    expect(b.client.freshAt).toBe(b.time.wall())
    expect(b.shown()).toEqual(['1/s0'])
  })

  it('gives up an address that does not answer, and one that never sends a snapshot, and tries the next', () => {
    const b = new Bench({ addresses: ['ws://a', 'ws://b'] })
    b.client.start()
    b.time.advance(LIMITS.connect)
    expect([b.last.left, waiting(b.state).loss]).toEqual([true, { why: 'unanswered' }])
    b.time.advance(waiting(b.state).delay)
    expect(b.state).toMatchObject({ name: 'connecting', address: 'ws://b' })
    b.last.accept()
    for (let at = 0; at < LIMITS.sync; at += 1_000) {
      b.last.send(beat(5n))
      expect(b.state.name).toBe('syncing')
      b.time.advance(1_000)
    }
    expect(waiting(b.state).loss).toEqual({ why: 'unsynced' })
  })

  it('does not stay between states when the address is refused at once', () => {
    const b = new Bench({
      dial: () => {
        throw new SyntaxError('bad address')
      },
    })
    b.client.start()
    expect(waiting(b.state).loss).toEqual({ why: 'closed', code: 1006, reason: 'SyntaxError: bad address' })
    expect(b.time.pending).toBe(1)
  })

  it('is live again after a resumption only when it has all that the first heartbeat names', () => {
    const b = new Bench()
    const l = log(6)
    b.client.start()
    b.last.accept()
    b.last.send(l.snapshot(2n))
    b.last.close(1006)
    b.time.advance(LIMITS.backoffFirst)
    b.last.accept()
    expect(b.last.hello).toMatchObject({ logId: 9n, cursor: 2n })
    expect(b.state).toEqual({ name: 'syncing', resume: true })
    b.last.send(l.frame(2n, 4n))
    b.last.send(beat(6n))
    expect(b.state.name).toBe('syncing')
    b.last.send(l.frame(4n, 6n))
    expect(b.state.name).toBe('live')
    expect(b.model.clears).toBe(1)
  })
})

describe('never silently stale', () => {
  it('says so when nothing comes, takes a sign of life for one, and gives up in the end', () => {
    const b = new Bench()
    const c = b.live(log())
    const good = b.time.wall()
    b.time.advance(LIMITS.stale - 1)
    expect(b.state.name).toBe('live')
    b.time.advance(1)
    expect(b.state).toEqual({ name: 'stale', why: 'silent', since: good })
    c.send(beat(1n))
    expect(b.state.name).toBe('live')
    b.time.advance(LIMITS.dead)
    expect([b.state.name, waiting(b.state).loss, c.left]).toEqual(['waiting', { why: 'silent' }, true])
    expect(b.path).toEqual(['connecting', 'syncing', 'live', 'stale', 'live', 'stale', 'waiting'])
  })

  it.each([
    ['the only', ['ws://a'], LIMITS.unsure],
    ['one of two', ['ws://a', 'ws://b'], LIMITS.dead],
  ] as const)(
    'does not take an answer to a ping for news: who answers may know nothing of the log (%s)',
    (_, addresses, unsure) => {
      const b = new Bench({ addresses })
      const c = b.live(log())
      const good = b.client.freshAt
      const pongs = (ms: number): void => {
        for (let at = 0; at < ms; at += 500) {
          b.time.advance(500)
          if (!c.left)
            c.send({ case: 'pong', value: { clientTime: c.pings.at(-1)!, serverTime: BigInt(b.time.wall()) } })
        }
      }
      pongs(LIMITS.stale)
      expect([b.state, b.client.freshAt]).toEqual([{ name: 'stale', why: 'unsure', since: good }, good])
      // A frame that was here before is none either.
      c.send(log().frame(0n, 1n))
      expect(b.state.name).toBe('stale')
      c.send(beat(1n))
      expect([b.state.name, b.client.freshAt]).toEqual(['live', b.client.clock.time()])
      pongs(unsure - 500)
      expect(b.state.name, 'nobody leaves a server that answers so soon').toBe('stale')
      pongs(500)
      expect(waiting(b.state).loss).toEqual({ why: 'unsure' })
      b.time.advance(waiting(b.state).delay)
      expect(b.last.address).toBe(addresses.at(-1))
    },
  )

  it('is not fooled by heartbeats when the events that they name do not come', () => {
    const b = new Bench()
    const c = b.live(log())
    const beats = (ms: number): void => {
      for (let at = 0; at < ms; at += 500) {
        b.time.advance(500)
        if (!c.left) c.send(beat(2n))
      }
    }
    c.send(beat(2n))
    const good = b.client.freshAt
    beats(LIMITS.stale)
    expect(b.state).toEqual({ name: 'stale', why: 'behind', since: good })
    c.send(log(2).frame(1n, 2n))
    expect(b.state.name).toBe('live')
    c.send(beat(3n))
    beats(LIMITS.dead)
    expect(waiting(b.state).loss).toEqual({ why: 'behind' })
  })

  it('leaves a server whose heartbeats are of another log than what it holds', () => {
    const b = new Bench()
    const c = b.live(log())
    const { logId, seq } = b.client.position
    for (let at = 0; at < LIMITS.dead; at += 500) {
      b.time.advance(500)
      if (!c.left) c.send(beat(seq, 0n, logId))
    }
    expect(b.state.name).toBe('live')
    for (let at = 0; at < LIMITS.dead; at += 500) {
      c.send(beat(0n, 0n, logId + 1n))
      b.time.advance(500)
    }
    expect(b.path.at(-2)).toBe('stale')
    expect(waiting(b.state).loss).toEqual({ why: 'behind' })
  })

  it('keeps up with a head that is always a little ahead', () => {
    const b = new Bench()
    const l = log(1)
    const c = b.live(l)
    for (let n = 0; n < 60; n++) {
      l.events.push({ id: 1n, stage: `t${n}` }, { id: 1n, stage: `u${n}` })
      c.send(beat(l.head))
      c.send(l.frame(b.client.position.seq, l.head - 1n))
      c.send(l.frame(l.head - 1n, l.head))
      l.events.push({ id: 1n, stage: `v${n}` })
      c.send(beat(l.head))
      b.time.advance(500)
      c.send(l.frame(l.head - 1n, l.head))
      expect(b.state.name).toBe('live')
    }
  })

  it('looks at what has come before it judges a machine that was held up', () => {
    const b = new Bench()
    const c = b.live(log())
    b.time.hold(20_000)
    // The late timer runs first, then the messages that waited, then the second look.
    b.time.after(0, () => c.send(beat(1n)))
    b.time.advance(0)
    expect(b.state.name).toBe('live')
    b.time.hold(20_000)
    b.time.advance(0)
    expect(waiting(b.state).loss).toEqual({ why: 'silent' })
  })
})

describe('what a close means', () => {
  it.each([
    [4401, 'session'],
    [1002, 'protocol'],
    [1003, 'protocol'],
    [1007, 'protocol'],
    [1009, 'protocol'],
  ] as const)('%d ends it and says why', (code, reason) => {
    const b = new Bench()
    b.live(log()).close(code)
    expect(b.state).toEqual({ name: 'closed', reason })
    expect([b.time.pending, b.client.position.logId]).toEqual([0, 0n])
    b.client.start()
    b.last.accept()
    expect(b.last.hello).toMatchObject({ logId: 0n, cursor: 0n })
  })

  it('handed over: another server after the time drawn for us, with the position', () => {
    const b = new Bench({ addresses: ['ws://a', 'ws://b'] })
    const c = b.live(log(3))
    c.send({ case: 'handover', value: { reason: 'draining', logId: 9n, cursor: 3n, retryAfterMs: 630 } })
    expect(b.state).toEqual({ name: 'live' })
    c.close(1001, 'draining')
    expect(waiting(b.state)).toMatchObject({ delay: 630, loss: { code: 1001, reason: 'draining' } })
    b.time.advance(630)
    b.last.accept()
    expect([b.last.address, b.last.hello?.cursor]).toEqual(['ws://b', 3n])
    b.last.send(beat(3n))
    expect([b.state.name, b.model.clears]).toEqual(['live', 1])
    // The time holds for one attempt.
    b.last.close(1001, 'draining')
    expect(waiting(b.state).delay).not.toBe(630)
  })

  it('a server in trouble is not asked more often than a dead one', () => {
    const b = new Bench()
    b.client.start()
    const delays = Array.from({ length: 6 }, () => {
      b.last.accept()
      b.last.send({ case: 'handover', value: { reason: 'trouble', retryAfterMs: 1_000 } })
      b.last.close(1013, 'try again')
      const { delay } = waiting(b.state)
      b.time.advance(delay)
      return delay
    })
    expect(delays).toEqual([1_000, 1_000, 1_000, 2_000, 4_000, 4_000])
  })

  it('a server asks for a minute at most', () => {
    const b = new Bench()
    const c = b.live(log())
    c.send({ case: 'handover', value: { reason: 'trouble', retryAfterMs: 4_000_000_000 } })
    c.close(1013, 'try again')
    expect(waiting(b.state).delay).toBe(LIMITS.retryCap)
  })

  it('anything else is tried again after longer and longer, and after good order from the start', () => {
    const b = new Bench()
    b.client.start()
    const delays: number[] = []
    for (let n = 0; n < 8; n++) {
      b.last.close(1006)
      delays.push(waiting(b.state).delay)
      b.time.advance(delays.at(-1)!)
    }
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 4000, 4000, 4000])
    b.last.accept()
    b.last.send(log().snapshot(1n))
    b.last.close(1006)
    expect(waiting(b.state).delay, 'a moment of order is none').toBe(4000)
    b.time.advance(4000)
    b.last.accept()
    b.last.send(beat(1n))
    for (let at = 0; at <= LIMITS.steady; at += 1_000) {
      b.time.advance(1_000)
      b.last.send(beat(1n))
    }
    b.last.close(1006)
    expect(waiting(b.state).delay).toBe(250)
  })

  it('all addresses are tried before it waits longer', () => {
    const b = new Bench({ addresses: ['ws://a', 'ws://b', 'ws://c'] })
    b.client.start()
    const tried: [string, number][] = []
    for (let n = 0; n < 6; n++) {
      b.last.close(1006)
      tried.push([b.last.address, waiting(b.state).delay])
      b.time.advance(waiting(b.state).delay)
    }
    expect(tried).toEqual([
      ['ws://a', 250],
      ['ws://b', 250],
      ['ws://c', 250],
      ['ws://a', 500],
      ['ws://b', 500],
      ['ws://c', 500],
    ])
  })

  it('jitter is full', () => {
    expect([0, 0.5, 1].map((r) => fullJitter(3, 100, 5_000, () => r))).toEqual([0, 400, 800])
    expect(fullJitter(5_000, 100, 5_000, () => 1)).toBe(5_000)
  })
})

describe('what is no frame for us', () => {
  it('reports a gap, stays with the server and comes back with its position', () => {
    const b = new Bench({ addresses: ['ws://a', 'ws://b'] })
    const l = log(5)
    b.client.start()
    b.last.accept()
    b.last.send(l.snapshot(2n))
    b.last.send(l.frame(3n, 5n))
    expect(b.notes).toContainEqual({ kind: 'missed', at: { logId: 9n, seq: 2n } })
    expect([waiting(b.state).loss, b.shown()]).toEqual([{ why: 'missed' }, ['1/s1']])
    b.time.advance(LIMITS.backoffFirst)
    b.last.accept()
    expect([b.last.address, b.last.hello?.cursor]).toEqual(['ws://a', 2n])
  })

  it('gives up a connection that sends what cannot be read, and hears nothing of it any more', () => {
    const b = new Bench()
    const c = b.live(log())
    c.wire.push(bytes(log(2).frame(1n, 2n)).subarray(0, 9))
    c.deliver()
    expect(waiting(b.state).loss).toMatchObject({ why: 'malformed' })
    c.told.message(bytes(log(2).frame(1n, 2n)))
    c.told.closed(4401, '')
    expect([b.state.name, b.client.position.seq]).toEqual(['waiting', 1n])
  })

  it('starts anew when the sink throws', () => {
    const b = new Bench()
    const c = b.live(log())
    b.model.onEvent = () => {
      throw new Error('full')
    }
    c.send(log(2).frame(1n, 2n))
    expect(waiting(b.state).loss).toMatchObject({ why: 'sink', error: new Error('full') })
    b.time.advance(LIMITS.backoffFirst)
    b.last.accept()
    expect(b.last.hello?.logId).toBe(0n)
  })

  it('is not live between a resync and its snapshot, whatever else comes', () => {
    const b = new Bench()
    const c = b.live(log(3))
    c.send({ case: 'resync', value: { reason: 'policy' } })
    for (const message of [beat(3n), beat(0n), log(4).frame(3n, 4n)]) c.send(message)
    expect(b.state).toEqual({ name: 'syncing', resume: false })
    c.send(log(4).snapshot(4n))
    expect(b.state.name).toBe('live')
    expect(b.notes).toContainEqual({ kind: 'snapshot', from: { logId: 9n, seq: 3n }, at: { logId: 9n, seq: 4n } })
  })

  it('lets messages of a later version pass', () => {
    const b = new Bench()
    const c = b.live(log())
    c.told.message(new Uint8Array([0x7a, 0x02, 0x08, 0x01]))
    expect([b.notes.at(-1), b.state.name]).toEqual([{ kind: 'unknown' }, 'live'])
  })
})

describe('time', () => {
  it('measures round trips by the steady clock, and the server by the best of them', () => {
    const b = new Bench()
    const c = b.live(log())
    const [sent] = c.pings
    b.time.advance(80)
    // The machine's clock is set back while the ping is away.
    b.time.wallAt0 -= 3_600_000
    const server = 1_900_000_000_000
    c.send({ case: 'pong', value: { clientTime: sent!, serverTime: BigInt(server) } })
    expect(b.notes).toContainEqual({ kind: 'roundTrip', ms: 80 })
    expect(b.client.clock.time()).toBe(server + 40)
    // An answer to something else says nothing.
    c.send({ case: 'pong', value: { clientTime: 5n, serverTime: 0n } })
    expect(b.client.clock.time()).toBe(server + 40)
  })

  it('sends one ping at a time', () => {
    const b = new Bench()
    const c = b.live(log())
    for (let n = 0; n < 5; n++) {
      b.time.advance(LIMITS.ping)
      c.send(beat(1n))
    }
    expect(c.pings).toHaveLength(1)
    c.send({ case: 'pong', value: { clientTime: c.pings[0]!, serverTime: 0n } })
    b.time.advance(LIMITS.ping)
    expect(c.pings).toHaveLength(2)
  })
})

describe('ending', () => {
  it('stops from any state, leaves nothing running, and goes on where it was', () => {
    const b = new Bench()
    const c = b.live(log(2))
    b.client.stop()
    expect([b.state, c.left, b.time.pending]).toEqual([{ name: 'closed', reason: 'stopped' }, true, 0])
    b.client.start()
    b.last.close(1006)
    b.client.stop()
    expect([b.state.name, b.time.pending]).toEqual(['closed', 0])
    b.client.start()
    b.last.accept()
    expect(b.last.hello).toMatchObject({ logId: 9n, cursor: 2n })
  })

  it.each(['connecting', 'syncing', 'live', 'stale', 'waiting'])(
    'may be stopped by a listener that hears %s',
    (name) => {
      const b = new Bench()
      b.client.on((note) => note.kind === 'state' && note.state.name === name && b.client.stop())
      b.client.start()
      b.dialled[0]?.accept()
      if (b.dialled[0]?.gone === false) b.last.send(log().snapshot(1n))
      b.time.advance(LIMITS.dead + LIMITS.connect)
      expect([b.state, b.time.pending]).toEqual([{ name: 'closed', reason: 'stopped' }, 0])
      expect(b.dialled.every((c) => c.left)).toBe(true)
    },
  )

  it('asks whether the session is good when sockets are refused again and again', async () => {
    for (const [answer, name] of [
      [() => Promise.resolve(false), 'closed'],
      [() => Promise.resolve(true), 'waiting'],
      [() => Promise.reject(new Error('no network')), 'waiting'],
    ] as const) {
      let asked = 0
      const b = new Bench({ admitted: () => (asked++, answer()) })
      b.client.start()
      b.last.close(1006)
      expect(asked).toBe(0)
      b.time.advance(LIMITS.backoffFirst)
      b.last.close(1006)
      await Promise.resolve()
        .then(() => undefined)
        .then(() => undefined)
      expect([asked, b.state.name]).toEqual([1, name])
    }
  })
})
