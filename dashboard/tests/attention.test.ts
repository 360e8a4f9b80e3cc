// Whatever is red sounds, is marked and is one key away on every page of the centre until a person took it.
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { minute } from '../src/lib/format'
import { hold } from './browser'
import {
  alarmOf,
  caseOf,
  close,
  count,
  launch,
  MIN,
  next,
  open,
  RED_TONE,
  seconds,
  YELLOW_TONE,
  type CaseOf,
  type Kind,
  type Opened,
} from './fixtures/asking'

let browser: Browser
let centre: Opened | undefined
beforeAll(async () => {
  browser = await launch()
})
afterEach(async () => {
  await close(centre)
  centre = undefined
})
afterAll(() => browser.close())

const now = (): number => centre!.harness.now()
/** A fire that two sources made a case, as the rule leaves it. */
const fire = (id: number, more: Partial<CaseOf> = {}): Kind[] => [
  alarmOf(centre!.harness.site, {
    id: id - 1000,
    level: 2,
    building: 12,
    raised: now() - 5000,
    confirmed: now() - 4000,
    verdict: 'genuine',
    incident: id,
  }),
  caseOf(centre!.harness.site, {
    id,
    level: 2,
    building: 12,
    stage: 'filed',
    reported: now() - 4000,
    alarms: [id - 1000],
    attention: [{ why: 'opened', since: now() - 4000 }],
    ...more,
  }),
]
const strip = (): Promise<Record<string, string | undefined>> =>
  centre!.page.locator('.strip').evaluate((e) => ({ ...(e as HTMLElement).dataset }))
const posts = (): [string, unknown][] =>
  centre!.harness.requests
    .filter((r) => r.method === 'POST')
    .map((r) => [r.path, JSON.parse(r.body as string) as unknown])

describe('a case that a rule opened', () => {
  it.each(['/console', '/patrols', '/devices'])(
    'sounds and shows on %s, opens with F2 and is silent when it is taken',
    async (path) => {
      centre = await open(browser, { path })
      const { page, harness, said } = centre
      const calm = await page.title()
      expect(await strip()).toMatchObject({ unanswered: '0', reds: '0' })
      expect(await count(page, RED_TONE)).toBe(0)

      harness.tell(fire(3101))
      await next(page, RED_TONE, 0)
      // It goes on by itself.
      await next(page, RED_TONE, 2)
      await next(page, RED_TONE, 4)
      expect(await strip()).toMatchObject({ unanswered: '1', reds: '1' })
      expect(await page.title()).toBe('(1 红) 智慧卯家湾')

      await page.keyboard.press('F2')
      await page.locator('.case[data-incident="3101"]').waitFor()
      const row = page.locator('[data-urgent] [data-id="3101"]')
      expect(await row.locator('[data-why]').textContent()).toBe('规则建单')
      expect(await row.locator('.flash').count()).toBe(1)
      expect(await page.locator('.alarms [data-id="2101"] .flash').count()).toBe(1)
      await page.keyboard.press(' ')
      await page.locator('[data-unanswered="0"]').waitFor()
      expect(posts()).toEqual([['/incidents/3101/attend', {}]])
      expect(await strip()).toMatchObject({ reds: '1' })
      expect(await page.title()).toBe(calm)
      const before = await count(page, RED_TONE)
      await seconds(page, 4)
      expect(await count(page, RED_TONE)).toBe(before)
      expect(await page.locator('.left .flash').count()).toBe(0)
      expect(said).toEqual([])
    },
  )

  it('sounds again when it gets worse and when nobody acts, and at once beside what sounds already', async () => {
    centre = await open(browser, { path: '/patrols' })
    const { page, harness } = centre
    const tell = (attention: CaseOf['attention']): void => harness.tell([fire(3101, { attention })[1]!])
    for (const why of ['worse', 'idle', 'unacknowledged']) {
      const before = await count(page, RED_TONE)
      tell([{ why, since: now() }])
      await next(page, RED_TONE, before)
      tell([])
      await page.locator('[data-unanswered="0"]').waitFor()
    }
    const quiet = await count(page, RED_TONE)
    await seconds(page, 4)
    expect(await count(page, RED_TONE)).toBe(quiet)

    // From here on the page's time goes by our hand. Red sounds every two seconds and takes 0.7.
    await page.clock.install()
    await hold(page)
    /** Whether it sounds within so many milliseconds of the page. */
    const sounds = async (ms: number): Promise<boolean> => {
      const before = await count(page, RED_TONE)
      await page.clock.runFor(ms)
      return (await count(page, RED_TONE)) > before
    }
    /** Just after a sound, with two seconds to the next. */
    const sounded = async (): Promise<void> => {
      for (let k = 0; k < 40; k++) if (await sounds(50)) return
      throw new Error('silent for two seconds')
    }
    tell([{ why: 'worse', since: now() }])
    await page.locator('[data-unanswered="1"]').waitFor()
    await sounded()
    // With nothing new it waits for its second.
    expect([await sounds(1800), await sounds(200)]).toEqual([false, true])
    // What comes between two sounds does not.
    harness.tell(fire(3102))
    await page.locator('[data-unanswered="2"]').waitFor()
    expect(await sounds(800)).toBe(true)
    await sounded()
    // The same entry moves on its time when it asks again. A red that is taken comes with it: the page has both then.
    const taken = { id: 700, level: 2, building: 40, raised: now(), confirmed: now() } as const
    harness.tell([fire(3101, { attention: [{ why: 'worse', since: now() + 1 }] })[1]!, alarmOf(harness.site, taken)])
    await page.locator('[data-reds="3"]').waitFor()
    expect(await sounds(800)).toBe(true)
    // Taken alone it is no news.
    await sounded()
    harness.tell([alarmOf(harness.site, { ...taken, id: 701 })])
    await page.locator('[data-reds="4"]').waitFor()
    expect(await sounds(800)).toBe(false)
  })

  it('is silent as an exercise, and on a wall that looks in', async () => {
    centre = await open(browser, { path: '/devices' })
    const drill = fire(3101, { mode: 1 })[1]!
    centre.harness.tell([drill])
    await seconds(centre.page, 3)
    expect(await count(centre.page, RED_TONE)).toBe(0)
    expect(await strip()).toMatchObject({ unanswered: '0', reds: '0' })
    await close(centre)
    centre = await open(browser, { path: '/devices', role: 'wall_display' })
    centre.harness.tell(fire(3101))
    await centre.page.locator('[data-unanswered="1"]').waitFor()
    await seconds(centre.page, 3)
    expect(await count(centre.page, RED_TONE)).toBe(0)
    await centre.page.keyboard.press('F2')
    expect(new URL(centre.page.url()).pathname).toBe('/devices')
  })

  it('keeps an alarm loud until it is confirmed, and opens it with F2', async () => {
    centre = await open(browser, { path: '/devices' })
    const { page, harness } = centre
    harness.tell([alarmOf(harness.site, { id: 600, level: 2, building: 20, raised: now() })])
    await next(page, RED_TONE, 0)
    await page.keyboard.press('F2')
    await page.locator('.case[data-alarm="600"]').waitFor()
    await page.keyboard.press(' ')
    await page.locator('[data-unanswered="0"]').waitFor()
    expect(posts()).toEqual([['/alarms/600/confirm', {}]])
    // It stands until it is judged.
    expect(await strip()).toMatchObject({ reds: '1' })
  })
})

describe('what units say', () => {
  it.each([
    ['support', '需支援', 'handling', 'on_scene'],
    ['declined', '退回', 'dispatched', 'declined'],
  ])('sounds and marks the case: %s', async (why, word, stage, state) => {
    centre = await open(browser, { path: '/console' })
    const { page, harness, said } = centre
    const tasks = [{ id: 9, unit: 'police', state }]
    const attention = [{ why, since: now(), task: 9 }]
    const plain = {
      id: 3150,
      level: 0,
      building: 40,
      class: 'noise',
      stage,
      tasks,
      reported: now() - 60_000,
    } as const
    harness.tell([caseOf(harness.site, { ...plain, attention })])
    await next(page, YELLOW_TONE, 0)
    expect(await page.title()).toBe('(1 未接) 智慧卯家湾')
    const row = page.locator('[data-urgent] [data-id="3150"]')
    expect(await row.locator('[data-why]').textContent()).toBe(word)
    expect(await row.locator('.flash').count()).toBe(1)

    await page.keyboard.press('F2')
    await page.locator('.case[data-incident="3150"]').waitFor()
    await page.keyboard.press(' ')
    await page.locator('[data-unanswered="0"]').waitFor()
    // Silent, and marked until a push or a reason answers it.
    expect(await row.locator('[data-why]').textContent()).toBe(word)
    expect(await row.locator('.flash').count()).toBe(0)
    const before = await count(page, YELLOW_TONE)
    await seconds(page, 8)
    expect(await count(page, YELLOW_TONE)).toBe(before)
    // Nobody answered: it sounds again.
    harness.tell([caseOf(harness.site, { ...plain, attention: [{ why, since: now(), task: 9 }] })])
    await next(page, YELLOW_TONE, before)

    // A case whose only unit gave its task back waits for a push, not for that unit.
    harness.tell([caseOf(harness.site, { ...plain, attention: [] })])
    await page.locator('[data-urgent]').waitFor({ state: 'detached' })
    const heads = await page.locator('.queue h3').allTextContents()
    const has = (name: string): boolean => heads.some((h) => h.includes(name))
    expect([has('待签收'), has('待派遣'), has('处置中')]).toEqual([false, why === 'declined', true])
    expect(said).toEqual([])
  })
})

describe('the strip', () => {
  it('shows a mute and its end, on each page in the same place', async () => {
    centre = await open(browser, { path: '/console' })
    const { page, harness } = centre
    harness.tell(fire(3101))
    await next(page, RED_TONE, 0)
    await page.keyboard.press('m')
    const sound = page.locator('[data-sound]')
    await page.locator('[data-sound][aria-pressed=true]').waitFor()
    expect(await sound.textContent()).toMatch(/静音至 \d\d:\d\d/)
    const before = await count(page, RED_TONE)
    const boxes: unknown[] = []
    for (const link of ['/patrols', '/devices', '/console']) {
      await page.locator(`nav a[href="${link}"]`).click()
      await page.waitForURL(`**${link}`)
      expect(await strip()).toMatchObject({ unanswered: '1', reds: '1' })
      expect(await page.title()).toBe('(1 红) 智慧卯家湾')
      boxes.push(await page.locator('.strip').boundingBox())
      await seconds(page, 1)
    }
    expect(boxes).toEqual([boxes[0], boxes[0], boxes[0]])
    expect(await count(page, RED_TONE)).toBe(before)
    // The key works on the console, too, and turns it on again once, not twice.
    await page.keyboard.press('m')
    await page.locator('[data-sound][aria-pressed=false]').waitFor()
    await next(page, RED_TONE, before)
  })

  it('says since when the gravest has asked, and when all is answered since when red stands', async () => {
    centre = await open(browser, { path: '/devices' })
    const { page, harness } = centre
    const since = page.locator('[data-since]')
    const hour = 3_600_000
    /** As the page writes it, with the day when it is not today's. */
    const at = (ms: number): string => `${minute(ms, now(), 'zh')} 起`
    expect(await since.count()).toBe(0)
    const [first, later, old] = [now() - 61 * MIN, now() - 3 * MIN, now() - 30 * hour]
    harness.tell([alarmOf(harness.site, { id: 601, level: 1, building: 21, raised: old })])
    await since.filter({ hasText: at(old) }).waitFor()
    expect(at(old)).toMatch(/^\d+月\d+日 \d\d:\d\d 起$/)
    harness.tell([alarmOf(harness.site, { id: 602, level: 2, building: 20, raised: later })])
    await since.filter({ hasText: at(later) }).waitFor()
    harness.tell([alarmOf(harness.site, { id: 603, level: 2, building: 22, raised: first })])
    await since.filter({ hasText: at(first) }).waitFor()
    const taken = [601, 602, 603].map((id, n) =>
      alarmOf(harness.site, {
        id,
        level: n === 0 ? 1 : 2,
        building: 20 + n,
        raised: [old, later, first][n]!,
        confirmed: now(),
      }),
    )
    harness.tell(taken)
    await page.locator('[data-unanswered="0"]').waitFor()
    expect(await since.textContent()).toBe(at(first))
  })

  it('works while something is written', async () => {
    centre = await open(browser, { path: '/devices' })
    const { page, harness } = centre
    harness.tell(fire(3101))
    await page.locator('input[type=search]').fill('m')
    await page.keyboard.press('F2')
    await page.locator('.case[data-incident="3101"]').waitFor()
    expect(await page.locator('[data-sound]').getAttribute('aria-pressed')).toBe('false')
  })

  it.each([
    [1280, 720, 'zh'],
    [1440, 900, 'zh'],
    [1440, 900, 'en'],
    [1920, 1080, 'zh'],
    [1920, 1080, 'en'],
  ] as const)('leaves the header whole at %i × %i in %s', async (width, height, locale) => {
    centre = await open(browser, { path: '/console', scenario: 'fire', size: [width, height], locale })
    // The longest that the strip says: ten of each, since yesterday.
    const old = now() - 30 * 3_600_000
    for (let id = 3101; id < 3112; id++) centre.harness.tell(fire(id, { attention: [{ why: 'opened', since: old }] }))
    await centre.page.locator('.strip .go.red', { hasText: minute(old, now(), locale) }).waitFor()
    for (const link of ['/console', '/patrols', '/devices']) {
      await centre.page.locator(`nav a[href="${link}"]`).click()
      await centre.page.waitForURL(`**${link}`)
      const bad = await centre.page.evaluate(() => {
        const edge = document.querySelector('header')!.getBoundingClientRect()
        const found: string[] = []
        let right = 0
        for (const e of document.querySelector('header')!.children) {
          const box = e.getBoundingClientRect()
          if (box.right > innerWidth || box.top < 0 || box.bottom > edge.bottom) found.push(`outside ${e.className}`)
          if (box.left < right - 1) found.push(`covers ${e.className}`)
          right = box.right
        }
        if (document.documentElement.scrollWidth > innerWidth) found.push('wider than the window')
        for (const e of document.querySelectorAll('.strip :not(.hidden-text)'))
          if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
            found.push(`cut ${e.textContent}`)
        return found
      })
      expect([link, bad]).toEqual([link, []])
    }
  })
})
