// The client at the real gateway, whose process is killed, drained, frozen and started again. Every wait is for a
// condition.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { binary, type FeedState } from '../../src'
import { incidentOf } from '../../../src/lib/rest-incident'
import { Centre, freePort } from '../../../../tests/e2e/house/centre'
import { Person, type Accepted } from '../../../../tests/e2e/house/people'
import { until } from '../../../../tests/e2e/house/wait'
import { Follower, incidents } from './follower'

const PASSWORD = 'a password of this test'
const account = (id: string, role: string): string =>
  `[[accounts]]\nid = "${id}"\nrole = "${role}"\nname = "${id}"\npassword_file = "$DIR/password"\n`
const CONFIG = `[log]\nfilter = "warn"\n[sensing]\nport = 0\n${account('duty', 'duty_officer')}${account('wall', 'wall_display')}`
/** Kills under load; `make soak` takes more. */
const KILLS = Number(process.env['FAULT_REPEATS'] ?? 3)

let centre: Centre
let duty: Person
let wall: Person
const followers: Follower[] = []
const follow = (...given: ConstructorParameters<typeof Follower>): Follower => {
  const one = new Follower(...given)
  followers.push(one)
  return one
}

beforeAll(async () => {
  centre = await Centre.start(CONFIG, { demo: false, files: { password: PASSWORD } })
  duty = await Person.login(centre, 'duty', PASSWORD)
  wall = await Person.login(centre, 'wall', PASSWORD)
})
afterEach(({ task }) => {
  if (task.result?.state === 'fail')
    for (const f of followers) console.error(JSON.stringify(f.states.slice(-8)), centre.log.slice(-5).join('\n'))
  for (const f of followers.splice(0)) f.client.stop()
})
afterAll(() => centre?.stop())

/** A command that is tried until it is answered, always under the same key. */
interface Given {
  path: string
  body: object
  key: string
  answer?: Accepted
}
async function give(one: Given): Promise<boolean> {
  one.answer = await duty.command(one.path, one.body, one.key).catch((e: unknown) => {
    // A refusal would be an answer; only a call that was cut off is not.
    if (e instanceof TypeError) return undefined
    throw e
  })
  return one.answer !== undefined
}
const report = (text: string): Given => ({
  path: '/incidents',
  body: { class: 'street_light', place: { text: '12栋1单元' }, channel: 'call', text },
  key: randomUUID(),
})
async function reported(text: string): Promise<Accepted> {
  const one = report(text)
  await until('it is answered', () => give(one))
  return one.answer!
}

/** What a client holds is what the REST interface says, field by field. */
async function same(f: Follower, who: Person): Promise<number> {
  const rest = (await incidents(who)).map((i) => incidentOf(i))
  // Only the feed has the references of texts.
  const held = f.model
    .all('incident')
    .sort((a, b) => a.id - b.id)
    .map(({ text, ...i }) => (text === undefined ? i : { ...i, text: { value: text.value, erased: text.erased } }))
  expect(held).toEqual(rest)
  return rest.length
}
/** Every event after the first snapshot, once and in order. */
function complete(f: Follower): void {
  const upto = Number(f.client.position.seq)
  expect(f.events.map((e) => e.seq)).toEqual(Array.from({ length: upto - f.began }, (_, n) => f.began + 1 + n))
}

test('kill -9 under load: clients come back with their position, and nothing is missing or twice', async () => {
  const lossless = follow(centre, duty.cookie)
  // One of its gateways does not exist.
  const gone = `ws://127.0.0.1:${await freePort()}/api/v1/feed`
  const second = follow(centre, duty.cookie, { addresses: [gone, `ws://127.0.0.1:${centre.port}/api/v1/feed`] })
  const latest = follow(centre, wall.cookie, { conflate: true })
  for (const f of [lossless, second, latest]) await f.is('live')
  const given: Given[] = []
  let cut = 0
  for (let round = 0; round < KILLS; round++) {
    let [stopped, answered] = [false, 0]
    const teller = async (n: number): Promise<void> => {
      for (let i = 0; !stopped; i++) {
        const one = report(`灯杆 ${round}-${n}-${i}`)
        given.push(one)
        if (!(await give(one))) return
        answered++
        const next: Given = { path: `/incidents/${one.answer!.refs.incident}/accept`, body: {}, key: randomUUID() }
        given.push(next)
        if (!(await give(next))) return
      }
    }
    const tellers = [0, 1, 2, 3].map(teller)
    await until(
      'reports flow, and reach the clients',
      () => answered >= 40 && lossless.events.length > 40 * (round + 1),
    )
    await centre.kill()
    stopped = true
    await Promise.all(tellers)
    for (const f of [lossless, second, latest]) await until('it knows', () => f.client.state.name !== 'live')
    await centre.up()
    for (const one of given.filter((g) => g.answer === undefined)) {
      cut++
      await until('the cut call is answered', () => give(one))
    }
    const last = given.reduce((most, g) => Math.max(most, g.answer!.position.seq), 0)
    for (const f of [lossless, second, latest]) await f.reaches(last)
  }
  expect(cut, 'it was killed in mid-flow').toBeGreaterThan(0)
  for (const f of [lossless, second]) {
    expect([f.count('snapshot'), f.count('missed'), f.count('resync')]).toEqual([1, 0, 0])
    complete(f)
    expect(f.client.audience).not.toBe('')
  }
  const rows = await same(lossless, duty)
  await same(second, duty)
  expect([await same(latest, wall), latest.events, latest.count('missed')]).toEqual([rows, [], 0])
  const ids = given.flatMap((g) => (g.path === '/incidents' ? [g.answer!.refs.incident!] : []))
  expect(
    lossless.model
      .all('incident')
      .map((i) => i.id)
      .sort((a, b) => a - b),
  ).toEqual(ids.sort((a, b) => a - b))
  // What the timelines say is what the client was told.
  for (const id of ids.slice(-10)) {
    const told = lossless.events.filter((e) => e.incident === id).map((e) => e.seq)
    expect((await duty.timeline(id)).map((e) => e.seq).sort((a, b) => a - b)).toEqual(told)
  }
  console.log(
    `${KILLS} kills: ${given.length} commands acknowledged, ${cut} of them cut off at first, ${lossless.events.length} events, none missing, none twice; ${rows} incidents equal to REST's`,
  )
})

test('a server that drains tells its clients, and they go on where they were', async () => {
  const f = follow(centre, duty.cookie)
  await f.is('live')
  const { pid } = centre
  process.kill(pid, 'SIGTERM')
  await until('it has ended', () => !existsSync(`/proc/${pid}`))
  expect(f.notes).toContainEqual(expect.objectContaining({ kind: 'handover', reason: 'draining' }))
  expect(f.states.find((s): s is FeedState & { name: 'waiting' } => s.name === 'waiting')?.loss).toEqual({
    why: 'closed',
    code: 1001,
    reason: 'draining',
  })
  await centre.up()
  await f.reaches((await reported('停机之后')).position.seq)
  expect(f.count('snapshot')).toBe(1)
  complete(f)
  await same(f, duty)
})

test('a server that stands still is noticed, and what it then says is complete', async () => {
  const [f, w] = [follow(centre, duty.cookie), follow(centre, wall.cookie, { conflate: true })]
  await f.is('live')
  await w.is('live')
  await reported('静止之前')
  const before = f.states.length
  process.kill(centre.pid, 'SIGSTOP')
  const stale = await f.was('stale', before)
  expect(stale).toEqual({ name: 'stale', why: 'silent', since: f.client.freshAt })
  const lost = await f.was('waiting', before)
  expect(lost).toMatchObject({ loss: { why: 'silent' } })
  process.kill(centre.pid, 'SIGCONT')
  const { position } = await reported('静止之后')
  for (const one of [f, w]) await one.reaches(position.seq)
  expect(f.count('snapshot')).toBe(1)
  complete(f)
  await same(f, duty)
  await same(w, wall)
})

test('a session that ends is the end, whether the client is connected or not', async () => {
  const other = await Person.login(centre, 'duty', PASSWORD)
  const f = follow(centre, other.cookie)
  await f.is('live')
  expect((await other.ask('DELETE', '/api/v1/session')).ok).toBe(true)
  expect(await f.is('closed')).toEqual({ name: 'closed', reason: 'session' })
  // The refusal of a socket looks like any other failure; the client asks.
  const admitted = async (): Promise<boolean> => (await other.ask('GET', '/api/v1/session')).status !== 401
  const late = follow(centre, other.cookie, { admitted })
  expect(await late.is('closed')).toEqual({ name: 'closed', reason: 'session' })
  expect(late.count('snapshot')).toBe(0)
})

test('a client that the server does not understand stops and says so', async () => {
  const f = follow(centre, duty.cookie, {
    codec: { ...binary, encode: (said) => (said.case === 'ping' ? new Uint8Array([0xff]) : binary.encode(said)) },
  })
  expect(await f.is('closed')).toEqual({ name: 'closed', reason: 'protocol' })
})

test('round trips set the clock', async () => {
  const f = follow(centre, duty.cookie)
  await until('a pong', () => f.count('roundTrip') > 0)
  expect(Math.abs(f.client.clock.offset)).toBeLessThan(60_000)
})
