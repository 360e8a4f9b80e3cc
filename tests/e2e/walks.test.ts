// From each source to "closed", seen on wall, console and mobile; a camera of another make among ours; and what the
// screens owe to people who do not see well.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { Screens } from './house/browser'
import { Centre, DEMO, ROOT } from './house/centre'
import { Foreign } from './house/foreign'
import { departmentCalls, panel, Person } from './house/people'
import { Desk, zh } from './house/walk'
import { until } from './house/wait'

let centre: Centre
let screens: Screens
let desk: Desk
let foreign: Foreign
const FOREIGN = 'c100'

beforeAll(async () => {
  foreign = await Foreign.start()
  const camera = `[[video.cameras]]\nid = "${FOREIGN}"\nsub = "${foreign.url}"\nusername = "${foreign.user}"\npassword_file = "$DIR/camera-password"\n`
  centre = await Centre.start(DEMO + camera, {
    files: { 'camera-password': foreign.password },
  })
  screens = new Screens(centre)
  await centre.allUp()
  desk = await Desk.open(centre, screens)
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await screens.evidence(task.name)
})
afterAll(async () => {
  await screens?.close()
  await centre?.stop()
  await foreign?.stop()
})

function quiet(): void {
  expect(screens.noise()).toEqual([])
  expect(centre.unannounced()).toEqual([])
}

test('a sensor: from an MQTT message to closed, by keys on the console and one button on the phone', async () => {
  await desk.duty.happen('manhole', { building: 30 })
  const id = await desk.judge('井盖位移')
  await desk.shows(id, 'accepted')
  await desk.file(id)
  await desk.approve(id)
  const pushed = await desk.push(id)
  expect(pushed.tasks.map((t) => [t.unit, t.lead])).toEqual([
    ['urban_management', true],
    ['property', false],
  ])
  await Promise.all(pushed.tasks.map((t) => desk.handleOnPhone(t.unit, t.id)))
  await desk.verifyAndClose(id)

  const incident = await desk.duty.incident(id)
  expect(incident.tasks.map((t) => [t.state, t.feedback.map((f) => f.photos.length)])).toEqual([
    ['done', [1]],
    ['done', [1]],
  ])
  const kinds = (await desk.duty.timeline(id)).map((e) => e.kind)
  expect(
    kinds.filter((k) => !['task_delivered', 'alarm_exhibit', 'alarm_source_cleared', 'alarm_evidence'].includes(k)),
  ).toEqual([
    'alarm_raised',
    'alarm_confirmed',
    'alarm_judged',
    'reported',
    'accepted',
    'filed',
    'approved',
    'task_pushed',
    'task_pushed',
    ...kinds.filter((k) => /^task_(acknowledged|en_route|on_scene|feedback)$/.test(k)),
    'verified',
    'closed',
  ])
  for (const step of ['acknowledged', 'en_route', 'on_scene', 'feedback'])
    expect(kinds.filter((k) => k === `task_${step}`)).toHaveLength(2)
  quiet()
})

test('a department: from its signed call to closed', async () => {
  const answer = await departmentCalls(centre, 'police', {
    type: 'report',
    class: 'noise',
    place_text: '45栋1单元',
    text: '楼内噪声扰民，请协调',
    external_number: 'GA-2024-1',
  })
  expect(answer.alarm).toBeGreaterThan(0)
  const id = await desk.judge('噪声纠纷上报')
  await desk.file(id)
  await desk.approve(id)
  const pushed = await desk.push(id)
  const task = (unit: string): number => pushed.tasks.find((t) => t.unit === unit)!.id
  const phone = await desk.phone('police')
  await phone.locator(`[data-task="${task('police')}"]`).waitFor()
  await Promise.all([
    desk.handleBySystem('police', task('police')),
    desk.handleOnPhone('environment', task('environment')),
  ])
  await phone.locator(`[data-task="${task('police')}"]`).waitFor({ state: 'detached' })
  await desk.verifyAndClose(id)
  expect((await desk.duty.incident(id)).class).toBe('noise')
  quiet()
})

test('a resident: from an SMS, answered with its code, to closed', async () => {
  await desk.duty.happen('water_burst', { building: 52 })
  const messages = (): Promise<{
    messages: { outgoing: boolean; from: string; to: string; text: string }[]
  }> => panel(centre, 'GET', '/sms/messages')
  const sent = await until('the message is in the network', async () =>
    (await messages()).messages.find((m) => !m.outgoing && m.text.includes('水管爆了')),
  )
  const reply = await until('the reply arrives', async () =>
    (await messages()).messages.find((m) => m.outgoing && m.to === sent.from),
  )
  const alarm = await until('the alarm', async () =>
    (await desk.duty.alarms()).find((a) => a.sources.some((s) => s.kind === 'message')),
  )
  const id = await desk.judge('水管爆裂上报')
  const incident = await desk.duty.incident(id)
  expect(reply.text).toContain(incident.code)

  // The message opens its nearest camera, live.
  const page = desk.console
  await page.keyboard.press('f')
  await page.locator('[data-row=message]', { hasText: '水管爆了' }).locator('button').click()
  await page.locator(`[data-camera="${alarm.cameras[0]}"][data-live=true]`).waitFor()
  await page.keyboard.press('f')
  await page.keyboard.press('Escape')

  await desk.file(id)
  await desk.approve(id)
  const pushed = await desk.push(id)
  for (const t of pushed.tasks) {
    if (t.unit === 'housing') await desk.handleBySystem(t.unit, t.id)
    else await desk.handleOnPhone(t.unit, t.id)
  }
  await desk.verifyAndClose(id)
  quiet()
})

test('a camera: from a frozen picture to closed', async () => {
  await desk.duty.happen('camera_frozen', { camera: 60 })
  await until('the alarm', async () =>
    (await desk.duty.alarms()).find((a) => a.kind === 'camera_frozen' && a.sources.some((s) => s.id === 'c060')),
  )
  const id = await desk.judge('画面停滞')
  await desk.file(id)
  await desk.approve(id)
  const pushed = await desk.push(id)
  await desk.handleOnPhone('property', pushed.tasks.find((t) => t.unit === 'property')!.id)
  await desk.handleBySystem('police', pushed.tasks.find((t) => t.unit === 'police')!.id)
  await desk.verifyAndClose(id)
  quiet()
})

test('a fire with two sources: pushed before it is approved, and its two clips play', async () => {
  const page = desk.console
  await page.getByRole('link', { name: zh.nav.demo }).click()
  const demo = page.getByRole('dialog', { name: zh.demo.title })
  await demo.locator('select[name=building]').selectOption('12')
  await demo.locator('[data-happening=fire]').click()
  await page.keyboard.press('Escape')

  const alarm = await until('two sources open an incident', async () =>
    (await desk.duty.alarms()).find(
      (a) => a.incident && a.sources.length >= 2 && ['smoke', 'call_point'].includes(a.kind),
    ),
  )
  const id = alarm.incident!
  await desk.choose(page, id)
  await desk.shows(id, 'filed')
  // The live cameras outdoors stand first: which two is the wall's own choice.
  await desk.wall.locator('.first [data-camera][data-live=true]').first().waitFor()
  await desk.wall.locator('.second [data-camera][data-live=true]').first().waitFor()
  const pushed = await desk.push(id)
  expect(pushed.approved).toBeFalsy()
  expect(pushed.tasks.map((t) => t.unit).sort()).toEqual(['fire', 'police', 'property'])
  await Promise.all(
    pushed.tasks.map((t) =>
      t.unit === 'property' ? desk.handleOnPhone(t.unit, t.id) : desk.handleBySystem(t.unit, t.id),
    ),
  )
  await desk.choose(desk.chiefConsole, id)
  await desk.chiefConsole.keyboard.press('y')
  await until('it is approved after', async () => (await desk.duty.incident(id)).approved_after)

  const clips = await until('two clips', async () => {
    const found = (await desk.duty.alarms()).find((a) => a.id === alarm.id)!.exhibits.filter((e) => e.kind === 'clip')
    return found.length >= 2 ? found : null
  })
  expect(new Set(clips.map((c) => c.camera))).toEqual(new Set(alarm.cameras.slice(0, 2)))
  for (const clip of [0, 1]) await plays(page, clip)
  await desk.verifyAndClose(id)
  quiet()
})

/** The clip's button opens a film of the promised length that moves. */
async function plays(page: Page, n: number): Promise<void> {
  const button = page.locator('.shots button.clip').nth(n)
  await button.click()
  const video = page.locator('video.player')
  await video.waitFor()
  const state = (): Promise<{ duration: number; at: number; width: number }> =>
    video.evaluate((v: HTMLVideoElement) => ({
      duration: v.duration,
      at: v.currentTime,
      width: v.videoWidth,
    }))
  const begun = await until('the clip plays', async () => {
    const s = await state()
    return s.at > 0 && s.width > 0 ? s : null
  })
  expect(begun.duration).toBeGreaterThan(25)
  await until('the clip moves on', async () => (await state()).at > begun.at + 0.5)
  await button.click()
  await video.waitFor({ state: 'detached' })
}

test('a camera of another make: online, a still, a clip', async () => {
  interface CameraView {
    id: string
    state: string
    codec?: string
  }
  const camera = (await desk.duty.get<CameraView[]>('/cameras')).find((c) => c.id === FOREIGN)!
  expect([camera.state, camera.codec?.startsWith('avc1')]).toEqual(['online', true])
  const still = await until('a still', async () => {
    const answer = await desk.duty.ask('GET', `/api/v1/cameras/${FOREIGN}/still`)
    return answer.ok ? answer : null
  })
  expect(still.headers.get('content-type')).toBe('image/jpeg')
  const jpeg = Buffer.from(await still.arrayBuffer())
  expect([jpeg.readUInt16BE(0), jpeg.length > 2000]).toEqual([0xffd8, true])

  const reported = await desk.duty.command('/incidents', {
    class: 'noise',
    place: { text: '12栋1单元' },
    channel: 'video',
    text: '看录像',
  })
  const id = reported.refs.incident!
  const clip = await desk.duty.command(`/incidents/${id}/exhibits`, {
    camera: FOREIGN,
    kind: 'clip',
  })
  expect(clip.refs.incident).toBe(id)
  const exhibit = await until('the clip', async () =>
    (await desk.duty.incident(id)).exhibits.find((e) => e.kind === 'clip' && e.camera === FOREIGN),
  )
  const film = Buffer.from(await (await desk.duty.ask('GET', `/api/v1/blobs/${exhibit.blob}`)).arrayBuffer())
  expect(film.toString('latin1', 4, 8)).toBe('ftyp')
  await desk.duty.command(`/incidents/${id}/reject`, { reason: '演练完毕' })
  quiet()
})

test.each(['zh', 'en'] as const)('no accessibility violation, %s', async (locale) => {
  const axe = readFileSync(join(ROOT, 'dashboard/node_modules/axe-core/axe.min.js'), 'utf8')
  const look = async (page: Page, path: string, ready: string): Promise<void> => {
    await page.goto(centre.address + path)
    await page.locator(ready).first().waitFor()
    // The page's policy lets nothing in from outside, so it comes by the debugger.
    await page.evaluate(axe)
    const found = await page.evaluate(async () => {
      const run = (
        globalThis as unknown as {
          axe: {
            run(o: object): Promise<{
              violations: {
                id: string
                help: string
                nodes: { target: unknown; failureSummary?: string }[]
              }[]
            }>
          }
        }
      ).axe.run
      const { violations } = await run({ resultTypes: ['violations'] })
      return violations.map(
        (v) =>
          `${v.id}: ${v.help} ${v.nodes
            .slice(0, 3)
            .map((n) => `${JSON.stringify(n.target)} ${n.failureSummary ?? ''}`)
            .join('; ')}`,
      )
    })
    expect(found, `${path} ${locale}`).toEqual([])
  }
  const desktop = { width: 1920, height: 1080, locale }
  const plain = await screens.open(desktop)
  await look(plain, '/login', '.demo button')
  const wall = await screens.open({
    ...desktop,
    who: await Person.login(centre, 'wall'),
  })
  await look(wall, '/wall', '.tile')
  const centreDesk = await screens.open({ ...desktop, who: desk.duty })
  await look(centreDesk, '/console', '[data-row=message], .left .none')
  await look(centreDesk, '/devices', 'table tbody tr, [data-row]')
  const phone = await screens.open({
    width: 390,
    height: 844,
    locale,
    who: await Person.login(centre, 'property'),
  })
  await look(phone, '/m', 'nav button, footer button')
  quiet()
})
