// The wall in Chromium while houses burn: what it names, which pictures it shows, and that no screen of it hides a red.
import { describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { clipped, HANGS, hold, inChromium, type Options } from './browser'
import { NOTHING, press, tourKey } from '../src/lib/camera-keys'
import { sheetStep, wallKey, wallKeyNames } from '../src/wall/keys'
import { minute } from '../src/lib/format'
import { alarmOf, caseOf, MIN, type CaseOf, type Harness, type Kind } from './fixtures/asking'

const { state, said, open, close } = inChromium()
const centre = (): Harness => state.harness as unknown as Harness
const wall = async (o: Partial<Options> = {}): Promise<Page> => {
  const page = await open({ scenario: 'calm', role: 'wall_display', path: '/wall', size: [1920, 1080], ...o })
  await page.locator('header time', { hasText: /\d/ }).waitFor()
  return page
}
const fire = (id: number, building: number, more: Partial<CaseOf> = {}): Kind =>
  caseOf(centre().site, { id, level: 2, building, reported: centre().now() - 60_000 + (id % 100), ...more })
const withText = (kind: Kind, value: string): Kind => {
  if (kind.case === 'incident') kind.value.text = { value, masked: true } as never
  return kind
}
/** Three houses that stand close together. */
const NEIGHBOURS = [38, 39, 40]

/** Keys that have names, as far as a screen might take them. */
const NAMED = ['Enter', 'Escape', 'Backspace', 'Tab', 'Home', 'End', 'PageUp', 'PageDown', 'F2'].concat(
  ['Left', 'Right', 'Up', 'Down'].map((way) => `Arrow${way}`),
)

describe('wall', () => {
  it('names three red neighbours, one beside the other, and covers no mark', async () => {
    const page = await wall()
    centre().tell(NEIGHBOURS.map((n, i) => fire(3101 + i, n)))
    for (const n of NEIGHBOURS) await page.locator('.plan .label.top', { hasText: `${n}栋 火情` }).waitFor()
    const hits = await page.evaluate(() => {
      const boxes = (css: string): DOMRect[] =>
        [...document.querySelectorAll(css)].map((e) => e.getBoundingClientRect())
      const meet = (a: DOMRect, b: DOMRect): boolean =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
      const labels = boxes('.plan .label')
      const marks = boxes('.plan .lamp .red')
      const area = document.querySelector('.plan')!.getBoundingClientRect()
      return {
        labels: labels.flatMap((a, i) => labels.slice(i + 1).filter((b) => meet(a, b))).length,
        marks: labels.flatMap((a) => marks.filter((b) => meet(a, b))).length,
        outside: labels.filter((a) => a.left < area.left || a.right > area.right).length,
        reds: marks.length,
      }
    })
    expect(hits).toEqual({ labels: 0, marks: 0, outside: 0, reds: 3 })
  })

  it('shows a live camera from outside, and another one as soon as the feed says that it died', async () => {
    const page = await wall()
    centre().tell([fire(3101, 12)])
    const tile = page.locator('.focus[data-subject="case/3101"] .first .tile')
    await tile.waitFor()
    const outdoors = async (): Promise<string> => {
      const id = (await tile.getAttribute('data-camera'))!
      expect(centre().site.cameras.find((c) => c.id === id)?.indoor).toBe(false)
      return id
    }
    const first = await outdoors()
    const camera = (fault: string, state: string): Kind => ({
      case: 'camera',
      value: { id: first, state, fault, since: BigInt(Math.round(centre().now())) },
    })
    for (const [fault, condition] of [
      ['frozen', 'online'],
      ['', 'unreachable'],
    ] as const) {
      centre().tell([camera(fault, condition)])
      await page.waitForFunction(
        (id) => document.querySelector('.focus .first .tile')?.getAttribute('data-camera') !== id,
        first,
      )
      await outdoors()
      centre().tell([camera('', 'online')])
      await page.locator(`.focus .first .tile[data-camera="${first}"]`).waitFor()
    }
  })

  it('has another camera within five seconds of the last picture when only this screen sees that it stands', async () => {
    await wall()
    centre().tell([fire(3101, 12)])
    // A page whose clock is ours from the beginning.
    const page = await state.context.newPage()
    page.setDefaultTimeout(HANGS)
    await page.clock.install()
    await page.goto(`${centre().address}/wall`)
    const tile = page.locator('.focus[data-subject="case/3101"] .first .tile')
    await page.locator('.focus .first .tile[data-live=true]').waitFor()
    const shown = async (): Promise<string> => (await tile.getAttribute('data-camera'))!
    const first = await shown()
    await hold(page)
    state.harness.stall(first)
    // It plays what it has, and stands.
    await page.waitForFunction(() => document.querySelector<HTMLVideoElement>('.focus .first video')!.readyState < 3)
    await page.clock.runFor(250)
    await page.clock.runFor(3_000)
    expect([await shown(), await tile.getAttribute('data-live')]).toEqual([first, 'true'])
    await page.clock.runFor(1_500)
    const other = await shown()
    expect(other).not.toBe(first)
    expect(centre().site.cameras.find((c) => c.id === other)?.indoor).toBe(false)
    // Its picture comes, and stays when the first one gets another chance and has none.
    await page.clock.resume()
    await page.locator(`.focus .first .tile[data-camera="${other}"][data-live=true]`).waitFor()
    await page.clock.fastForward(61_000)
    await page.locator(`.focus .first .tile[data-camera="${first}"][data-live=false]`).waitFor()
    await page.clock.fastForward(11_000)
    await page.locator(`.focus .first .tile[data-camera="${other}"][data-live=true]`).waitFor()
    await page.clock.fastForward(61_000)
    await page.clock.runFor(1_000)
    expect(await shown()).toBe(other)
  })

  it("says what burns, what the caller said and what the scene asks for, not a detector's figure", async () => {
    const page = await wall()
    const now = centre().now()
    centre().tell([
      withText(
        fire(3101, 12, {
          attention: [{ why: 'support', since: now - 130_000, task: 7 }],
          tasks: [{ id: 7, unit: centre().site.units[0]!.id, state: 'on_scene' }],
        }),
        '六楼冒烟，有老人没下来',
      ),
      alarmOf(centre().site, { id: 2101, level: 2, building: 30, kind: 'call_point', raised: now }),
    ])
    const focus = page.locator('.focus[data-subject="case/3101"]')
    const called = /需支援 · \S+ · 02:\d\d/
    await focus.locator('[data-said]', { hasText: '六楼冒烟，有老人没下来' }).waitFor()
    await focus.locator('[data-called]', { hasText: called }).waitFor()
    expect(await focus.locator('[data-called] .mark.flash').count()).toBe(1)
    const row = page.locator('[data-row=incident]', { hasText: '3101' })
    expect(await row.textContent()).toMatch(called)
    expect(await row.textContent()).toContain('六楼冒烟')
    expect(await page.locator('[data-row=alarm] .main').first().textContent()).toMatch(/火情 · 手动报警/)
    await page.locator('.plan .label.top', { hasText: '30栋 火情' }).waitFor()
    expect(await page.locator('main.wall').textContent()).not.toContain('测值')
    // Taken, it is still marked and flashes no more.
    centre().tell([fire(3101, 12, { attention: [{ why: 'support', since: now, task: 7, taken: now }] })])
    await focus.locator('[data-called] .mark:not(.flash)').waitFor()
  })

  it('keeps red in view above the sheet, and stands there again by itself', async () => {
    const page = await wall({ path: '/wall?view=sheet' })
    await page.locator('.sheet').waitFor()
    centre().tell([fire(3101, 12)])
    await page.locator('.focus[data-subject="case/3101"]').waitFor()
    await page.clock.install()
    await page.keyboard.press('s')
    await page.locator('[data-strip].red', { hasText: '火情 12栋' }).waitFor()
    await page.clock.fastForward(40_000)
    await page.keyboard.press('ArrowRight')
    await page.clock.fastForward(40_000)
    expect(await page.locator('[data-strip]').count()).toBe(1)
    await page.clock.fastForward(21_000)
    await page.locator('.focus').first().waitFor()
    expect(await page.locator('.sheet').count()).toBe(0)
  })

  it('keeps red in view above a full-screen camera, and comes back for each new red', async () => {
    const page = await wall()
    const full = page.locator('[data-full]')
    const focus = page.locator('.focus[data-subject="case/3101"]')
    const began = centre().now() - 7 * MIN
    // Something less grave has asked for longer: the time is that of what is named.
    centre().tell([
      alarmOf(centre().site, { id: 2100, level: 1, building: 9, raised: began - 9 * MIN }),
      fire(3101, 12, { reported: began }),
    ])
    await focus.waitFor()
    /** The strip is what stands at its own middle, and the picture begins below it. */
    const strip = async (words: string): Promise<void> => {
      await page.locator('[data-strip].red', { hasText: words }).waitFor()
      const seen = await page.evaluate(() => {
        const strip = document.querySelector('[data-strip]')!
        const box = strip.getBoundingClientRect()
        const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)
        const picture = document.querySelector('[data-full] .tile')!.getBoundingClientRect()
        const caption = document.querySelector('[data-full] figcaption')!.getBoundingClientRect()
        return {
          front: strip.contains(at),
          apart: picture.top >= box.bottom,
          named: caption.bottom <= innerHeight && caption.height > 0,
          cut: strip.scrollWidth > strip.clientWidth,
        }
      })
      expect(seen).toEqual({ front: true, apart: true, named: true, cut: false })
    }
    const alarm = (id: number, more: object = {}): Kind =>
      alarmOf(centre().site, { id, level: 2, building: 30, kind: 'call_point', raised: centre().now(), ...more })
    for (const news of [
      // Beside a red case, within one, and a case that another rule opened.
      [alarm(2101)],
      [alarm(2102, { building: 12, incident: 3101, confirmed: centre().now(), verdict: 'genuine' })],
      [fire(3102, 54, { reported: began - 1 })],
    ]) {
      await page.keyboard.press('f')
      await full.waitFor()
      await strip(`火情 12栋${minute(began, centre().now(), 'zh')} 起`)
      centre().tell(news)
      await full.waitFor({ state: 'detached' })
      expect(await page.locator('[data-strip]').count()).toBe(0)
    }
    // From the sheet, too, and to the main picture.
    await page.keyboard.press('s')
    await page.locator('.sheet').waitFor()
    await page.keyboard.press('f')
    await full.waitFor()
    await strip('火情')
    centre().tell([alarm(2103, { building: 31 })])
    await full.waitFor({ state: 'detached' })
    await page.locator('.focus').first().waitFor()
    expect(await page.locator('.sheet').count()).toBe(0)
    // What is known already takes nothing away.
    await page.keyboard.press('f')
    await full.waitFor()
    centre().tell([alarm(2103, { building: 31, confirmed: centre().now() })])
    await page.locator('[data-strip] em', { hasText: '未接 2' }).waitFor()
    await full.waitFor()
    expect(said).toEqual([])
  })

  it('stands there again by itself when nobody uses a full-screen camera', async () => {
    const page = await wall()
    await page.locator('.tour .tile').first().waitFor()
    await page.clock.install()
    await page.locator('.tour .tile').first().dblclick()
    await page.locator('[data-full]').waitFor()
    await page.clock.fastForward(40_000)
    await page.keyboard.press('Shift')
    await page.clock.fastForward(40_000)
    expect(await page.locator('[data-full]').count()).toBe(1)
    await page.clock.fastForward(21_000)
    await page.locator('[data-full]').waitFor({ state: 'detached' })
  })

  it('names every key that it has, in one line', async () => {
    // What its handlers take is in the list, and nothing else is.
    const all = [...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)), ...NAMED]
    for (const key of all) {
      const name = wallKey(key)
      expect([key, sheetStep(key) !== undefined]).toEqual([key, name === 'move'])
      expect([key, tourKey(key, null, 0, 5) !== undefined]).toEqual([key, name === 'pause' || name === 'step'])
      if (press(NOTHING, key, 0)[1].do !== 'nothing') expect([key, name]).toEqual([key, 'camera'])
    }
    for (const locale of [undefined, 'en'] as const) {
      const page = await wall({ locale })
      await page.locator('[data-keys]').waitFor()
      const shown = await page
        .locator('[data-keys] [data-key]')
        .evaluateAll((rows) => rows.map((e) => ({ name: e.getAttribute('data-key'), text: e.textContent!.trim() })))
      expect(shown.map((x) => x.name)).toEqual(wallKeyNames)
      expect(shown.filter((x) => x.text === '')).toEqual([])
      const box = (await page.locator('.demo').boundingBox())!
      const inner = await page
        .locator('.demo > span')
        .evaluateAll((all) => all.map((e) => e.getBoundingClientRect().toJSON()))
      for (const e of inner)
        expect([e.left >= box.x, e.right <= box.x + box.width, e.bottom <= 1084]).toEqual([true, true, true])
      expect(new Set(inner.map((e) => e.top)).size).toBe(1)
      await close()
    }
  })

  it('never cuts a place in the title of the case', async () => {
    const page = await wall()
    const label = '第六社区66栋3单元地下一层消防水泵房与配电间之间的走廊'
    centre().tell([fire(3101, 12, { label })])
    const title = page.locator('.focus[data-subject="case/3101"] h2', { hasText: label })
    await title.waitFor()
    const fits = await title.evaluate((e) => {
      const head = e.closest('.head')!.getBoundingClientRect()
      const words = e.parentElement!.getBoundingClientRect()
      return [e.scrollWidth <= e.clientWidth + 1, words.top >= head.top - 1, words.bottom <= head.bottom + 1]
    })
    expect(fits).toEqual([true, true, true])
  })

  it('shows its keys for a minute, and again when asked', async () => {
    const page = await wall()
    await page.locator('[data-keys]', { hasText: '全部摄像头' }).waitFor()
    await page.keyboard.press('?')
    await page.locator('[data-keys]').waitFor({ state: 'detached' })
    await page.clock.install()
    await page.keyboard.press('?')
    await page.locator('[data-keys]').waitFor()
    await page.clock.fastForward(61_000)
    await page.locator('[data-keys]').waitFor({ state: 'detached' })
  })

  it('has room for two cases at 32:9, and nothing of them is cut', async () => {
    const page = await wall({ size: [3840, 1080] })
    centre().tell([withText(fire(3101, 12), '六楼冒烟，有老人没下来'), fire(3102, 54)])
    for (const id of [3101, 3102]) await page.locator(`.focus[data-subject="case/${id}"] .first .tile`).waitFor()
    const boxes = await page.locator('.focus').evaluateAll((all) => all.map((e) => e.getBoundingClientRect().toJSON()))
    expect(boxes).toHaveLength(2)
    expect(boxes[1].top).toBeGreaterThanOrEqual(boxes[0].bottom)
    const over = await page.evaluate(() =>
      [...document.querySelectorAll('.focus')].flatMap((f) => {
        const edge = f.getBoundingClientRect()
        return [...f.querySelectorAll('.rows > li, .facts > div, .tile, .head')]
          .filter((e) => e.getBoundingClientRect().bottom > edge.bottom + 1)
          .map((e) => e.textContent)
      }),
    )
    expect(over).toEqual([])
    expect((await clipped(page)).filter((x) => !/trouble|said/.test(x))).toEqual([])
    expect(said).toEqual([])
  })

  it('shows at 32:9, beside the newest, the red that asks for somebody', async () => {
    const page = await wall({ size: [3840, 1080] })
    const since = centre().now() - 5 * MIN
    const asking = { reported: since, tasks: [{ id: 7, unit: 'property', state: 'on_scene' }] }
    const support = { ...asking, attention: [{ why: 'support', since: since + MIN, task: 7 }] }
    centre().tell([fire(3101, 12, support), fire(3102, 54), fire(3103, 31)])
    await page.locator('.focus[data-subject="case/3103"]').waitFor()
    await page.locator('.focus[data-subject="case/3101"]').waitFor()
    expect(await page.locator('.focus').count()).toBe(2)
    // Once somebody has taken it, the newest stand there.
    centre().tell([fire(3101, 12, { ...asking, attention: [{ ...support.attention[0]!, taken: centre().now() }] })])
    await page.locator('.focus[data-subject="case/3102"]').waitFor()
  })
})
