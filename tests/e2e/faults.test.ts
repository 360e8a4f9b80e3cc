// What may break without anything being lost: the centre itself, a camera, a decode child, the broker, the simulated
// site. Processes are killed by pid.
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { Screens } from './house/browser'
import { Centre, DEMO } from './house/centre'
import { Device } from './house/mqtt'
import { Person, type Accepted, type IncidentView } from './house/people'
import { Feed, Viewer } from './house/sockets'
import { until } from './house/wait'

let centre: Centre
let screens: Screens
let duty: Person
let page: Page

beforeAll(async () => {
  centre = await Centre.start(DEMO)
  screens = new Screens(centre)
  await centre.allUp()
  duty = await Person.login(centre, 'duty')
  page = await screens.open({ width: 1920, height: 1080, who: duty })
  await page.goto(`${centre.address}/console`)
  await page.locator('.console').waitFor()
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await screens.evidence(task.name)
})
afterAll(async () => {
  await screens?.close()
  await centre?.stop()
})

/** Each fault this often; `make soak` takes more. */
const FAULT = { repeats: Number(process.env.FAULT_REPEATS ?? 1) - 1 }
let rounds = 0

const struck = new Map<string, number>()

/** Says that a fault was struck once more, and what came of it. */
function tell(fault: string, found: string): void {
  struck.set(fault, (struck.get(fault) ?? 0) + 1)
  console.log(`fault: ${fault}, cycle ${struck.get(fault)}, ${found}`)
}

/** One report that is tried until it is answered, always under the same key. */
interface Given {
  text: string
  key: string
  answer?: Accepted
  tries: number
}

async function give(one: Given): Promise<boolean> {
  one.tries++
  const body = {
    class: 'street_light',
    place: { text: '12栋1单元' },
    channel: 'call',
    text: one.text,
  }
  one.answer = await duty.command('/incidents', body, one.key).catch((e: unknown) => {
    // A refusal would be an answer; only a call that was cut off is not.
    if (e instanceof TypeError) return undefined
    throw e
  })
  return one.answer !== undefined
}

test(
  'kill -9 under load: what was acknowledged is in the log once, and sockets go on where they were',
  FAULT,
  async () => {
    screens.announce(/WebSocket|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED/)
    // Whoever asks for the session while the centre loads is told that it is starting.
    screens.announce(
      /^answer 503: GET [^ ]+\/api\/v1\/session$/,
      /503 \(Service Unavailable\) \([^ ]+\/api\/v1\/session\)$/,
    )
    const feed = new Feed(centre, duty)
    await feed.connect()
    const device = await Device.connect(centre.site(), 'e2e-device')
    const given: Given[] = []
    const round = ++rounds
    let stopped = false
    let answered = 0
    const teller = async (n: number): Promise<void> => {
      for (let i = 0; !stopped; i++) {
        const one: Given = {
          text: `灯杆 ${round}-${n}-${i}`,
          key: randomUUID(),
          tries: 0,
        }
        given.push(one)
        if (!(await give(one))) return
        answered++
        // Each answer lets the sensor turn as well, so that edges and commands share commits.
        device.publish('mjw/v1/sensors/smoke-b12-2-06/reading', {
          v: answered % 2 === 0 ? 0.01 : 0.5,
          t: Date.now(),
          n: answered,
        })
      }
    }
    const tellers = [0, 1, 2, 3, 4, 5].map(teller)
    await until(
      'commands and edges are flowing',
      () => answered >= 120 && feed.events.filter((e) => e.kind === 'alarm_evidence').length >= 10,
    )
    await centre.kill()
    stopped = true
    await Promise.all(tellers)
    device.close()
    const acknowledged = given.filter((g) => g.answer !== undefined)
    const cut = given.filter((g) => g.answer === undefined)
    expect(acknowledged.length).toBeGreaterThanOrEqual(120)
    expect(cut.length, 'it was killed in mid-flow').toBeGreaterThan(0)
    await until('the page says that it is cut off', () => page.locator('.cut-off').isVisible())

    await centre.up()
    for (const one of cut) await until('the cut call is answered', () => give(one))
    for (const one of acknowledged.slice(-20)) {
      const first = one.answer!
      expect(await give(one)).toBe(true)
      expect([one.answer!.replayed, one.answer!.refs.incident, one.answer!.position]).toEqual([
        true,
        first.refs.incident,
        first.position,
      ])
    }
    const stored = new Map<string, number[]>()
    for (let before: number | null | undefined; before !== null;) {
      const at: { items: IncidentView[]; next: number | null } = await duty.get(
        `/incidents?limit=200${before === undefined ? '' : `&before=${before}`}`,
      )
      for (const i of at.items) stored.set(i.text?.value ?? '', [...(stored.get(i.text?.value ?? '') ?? []), i.id])
      before = at.next ?? null
    }
    const inLog = given.map((one) => stored.get(one.text)?.length ?? 0)
    const [lost, doubled] = [inLog.filter((n) => n === 0).length, inLog.filter((n) => n > 1).length]
    tell(
      'kill -9 of the centre',
      `inputs acknowledged ${given.length} (${cut.length} asked again), lost ${lost}, doubled ${doubled}`,
    )
    for (const one of given) expect([one.text, stored.get(one.text)]).toEqual([one.text, [one.answer!.refs.incident]])

    // The socket comes back with its cursor: a gap from the log, no snapshot, and nothing missing or twice.
    const last = given.reduce((most, g) => (g.answer!.position.seq > most ? g.answer!.position.seq : most), 0)
    await feed.connect()
    await until('the feed has caught up', () => feed.cursor >= BigInt(last))
    expect([feed.gaps, feed.snapshots]).toEqual([[], 1])
    const reported = feed.events
      .filter((e) => e.kind === 'reported')
      .map((e) => Number(e.incident))
      .sort((a, b) => a - b)
    expect(reported).toEqual(given.map((g) => g.answer!.refs.incident!).sort((a, b) => a - b))
    const seqs = feed.events.map((e) => e.seq)
    expect(new Set(seqs).size).toBe(seqs.length)
    // Edges of the sensor took effect once each: it rose, fell, rose …
    const edges = feed.events
      .filter((e) => ['alarm_raised', 'alarm_evidence', 'alarm_source_cleared'].includes(e.kind))
      .map((e) => (e.kind === 'alarm_source_cleared' ? 'fell' : 'rose'))
    expect(edges.filter((e, n) => n > 0 && e === edges[n - 1])).toEqual([])
    expect(edges.length).toBeGreaterThan(10)

    await until('the page is connected again', async () => !(await page.locator('.cut-off').isVisible()))
    await page
      .locator('[data-row=incident]')
      .nth(given.length - 1)
      .waitFor()
    feed.close()
    await centre.allUp(120)
  },
)

test('a camera dies and comes back while its viewer stays: the same socket gets a new generation', FAULT, async () => {
  const viewer = new Viewer(centre, duty, 'c010')
  await until('it shows pictures', () => viewer.fragments > 5)
  const before = viewer.generation
  await duty.happen('camera_dead', { camera: 10 })
  await until('the viewer is told', () => viewer.states().some((s) => !['online', 'connecting'].includes(s)))
  const shown = viewer.fragments
  await duty.ask('DELETE', '/api/v1/demo/happenings')
  await until('a new generation shows pictures', () => viewer.generation > before && viewer.fragments > shown + 5)
  tell(
    'a dead camera',
    `viewers cut off ${viewer.closed ? 1 : 0}, pictures of generation ${before} and then ${viewer.generation}`,
  )
  expect(viewer.closed).toBe(false)
  viewer.close()
})

test('a decode child is killed: another takes its place and stills go on', FAULT, async () => {
  const still = async (): Promise<string> =>
    Buffer.from(await (await duty.ask('GET', '/api/v1/cameras/c001/still')).arrayBuffer()).toString('base64')
  const children = centre.children(' decode').filter((pid) => !centre.children('setpriv').includes(pid))
  expect(children.length).toBeGreaterThan(0)
  const before = await still()
  for (const pid of children) process.kill(pid, 'SIGKILL')
  const next = await until('there are new children', () => {
    const now = centre.children(' decode')
    return now.length === children.length && now.every((pid) => !children.includes(pid)) ? now : null
  })
  expect(next).toHaveLength(children.length)
  const decoded = await centre.metric('maojiawan_video_decoded_pictures_total')
  await until(
    'pictures are decoded again',
    async () => (await centre.metric('maojiawan_video_decoded_pictures_total')) > decoded + 20,
  )
  await until('the still is a new one', async () => (await still()) !== before)
  tell('decode children killed', `killed ${children.length}, new ones ${next.length}`)
})

/** Covers far from each other: what turns again and again at one place is chatter, and no alarm. */
const COVERS = [61, 5, 15, 25, 35, 45, 55, 70, 10, 40]
let cover = 0

test('the broker is killed: it comes back and sensors are heard', FAULT, async () => {
  centre.announce(/the MQTT broker (ended|is lost) and is started again/)
  const [pid] = centre.children('mosquitto')
  process.kill(pid!, 'SIGKILL')
  await until('another broker runs', () => centre.children('mosquitto').some((p) => p !== pid))
  await centre.allUp(60)
  await duty.happen('manhole', {
    building: COVERS[cover++ % COVERS.length]!,
  })
  const stands = async (): Promise<boolean> => (await duty.alarms()).some((a) => a.kind === 'manhole' && !a.cleared)
  await until('its alarm', stands)
  await duty.ask('DELETE', '/api/v1/demo/happenings')
  await until('the cover is back', async () => !(await stands()))
  tell('the broker killed', 'a sensor was heard with its alarm and the end of it')
})

test('the simulated site is killed: it is started again and all cameras are back', FAULT, async () => {
  centre.announce(/the simulated site ended/)
  const [pid] = centre.children('simulate')
  process.kill(pid!, 'SIGKILL')
  await until('another one runs', () => centre.children('simulate').some((p) => p !== pid))
  await centre.allUp(120)
  tell('the simulated site killed', 'all cameras are back')
})

test('nothing else was said', () => {
  expect(screens.noise()).toEqual([])
  expect(centre.unannounced()).toEqual([])
})
