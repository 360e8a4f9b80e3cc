// The built screens in Chromium against the recorded centre: nothing clipped, moved, coloured or said that should not be.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { zh } from '../src/i18n/all'
import { HANGS, TEST_HANGS } from './browser'
// @ts-expect-error plain script
import { start } from '../dev/harness.mjs'

interface Harness {
  address: string
  forget(): void
  requests: { method: string; path: string; query: string; at: number; key?: string; body: unknown }[]
  close(): Promise<void>
}
interface Options {
  scenario?: 'calm' | 'fire' | 'sources' | 'flood'
  role: string
  path: string
  size: [number, number]
  locale?: 'en'
  theme?: 'light'
  full?: number
}
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let browser: Browser
let harness: Harness | undefined
let page: Page
const said: string[] = []

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    timeout: HANGS,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}, TEST_HANGS)
afterEach(async () => {
  await page.context().close()
  await harness?.close()
})
afterAll(() => browser.close())

async function open(o: Options): Promise<void> {
  harness = (await start({ scenario: o.scenario ?? 'fire', role: o.role, full: o.full })) as Harness
  said.length = 0
  const context = await browser.newContext({ viewport: { width: o.size[0], height: o.size[1] }, bypassCSP: false })
  page = await context.newPage()
  page.setDefaultTimeout(HANGS)
  const base = harness.address
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && said.push(m.text()))
  page.on('pageerror', (e) => said.push(e.message))
  page.on(
    'request',
    (r) => !r.url().startsWith(base) && !/^(blob|data):/.test(r.url()) && said.push(`leaves the site: ${r.url()}`),
  )
  await page.addInitScript(
    ([locale, theme]) => {
      if (locale) localStorage.setItem('locale', locale)
      if (theme) localStorage.setItem('theme', theme)
      // What moved by itself, and from where to where.
      const moved = ((window as unknown as { moved: string[] }).moved = [] as string[])
      const at = (r: DOMRectReadOnly): string => [r.x, r.y, r.width, r.height].map(Math.round).join(' ')
      interface Shift {
        hadRecentInput: boolean
        sources: { node: Node | null; previousRect: DOMRectReadOnly; currentRect: DOMRectReadOnly }[]
      }
      new PerformanceObserver((list) => {
        for (const e of list.getEntries() as unknown as Shift[])
          if (!e.hadRecentInput)
            for (const s of e.sources)
              moved.push(`${s.node?.nodeName} ${s.node?.textContent}: ${at(s.previousRect)} → ${at(s.currentRect)}`)
      }).observe({ type: 'layout-shift', buffered: false })
    },
    [o.locale, o.theme],
  )
  await page.goto(base + o.path)
}

/** Texts that are cut or run over their box; elements that shorten on purpose (ellipsis) are told apart. */
const clipped = (): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = []
    for (const e of document.querySelectorAll<HTMLElement>('body *')) {
      if (
        e.closest('svg, .hidden-text, .scroll, .main, .side, video') ||
        e.children.length > 0 ||
        !e.textContent?.trim()
      )
        continue
      const s = getComputedStyle(e)
      const box = e.getBoundingClientRect()
      if (box.width === 0 || s.textOverflow === 'ellipsis') continue
      if (e.scrollWidth > e.clientWidth + 1 && s.display !== 'inline')
        found.push(`${e.className}: ${e.textContent.trim()}`)
      if (box.right > innerWidth + 1 || box.bottom > innerHeight + 1)
        found.push(`outside ${e.className}: ${e.textContent.trim()}`)
    }
    return found
  })
async function violations(): Promise<string[]> {
  // A script tag would break the page's own policy; evaluation by the test does not.
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const { axe: run } = window as unknown as {
      axe: {
        run(o: object): Promise<{ violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[] }>
      }
    }
    const { violations: v } = await run.run({ resultTypes: ['violations'] })
    return v.flatMap((x) =>
      x.nodes.slice(0, 4).map((n) => `${x.id} ${n.target.join(' ')} ${n.failureSummary.split('\n').at(-1)}`),
    )
  })
}
/** Cuts the page off; the banner hides no word of the header and moves nothing but it. */
async function cutOff(): Promise<void> {
  const below = (): Promise<number[]> =>
    page.evaluate(() =>
      [...document.querySelectorAll('main > :not(.banner, header)')].map((e) => e.getBoundingClientRect().top),
    )
  const before = await below()
  // What is said from now on can be read.
  await page.waitForFunction(
    (words) => document.fonts.check('500 1em "Noto Sans SC Variable"', words),
    JSON.stringify([zh.app, zh.link, zh.media]),
  )
  await page.context().setOffline(true)
  await harness!.close()
  harness = undefined
  const { y, height } = (await page.locator('.banner').boundingBox())!
  expect(await below()).toEqual(before)
  const hidden = await page.evaluate((edge) => {
    const texts = [...document.querySelectorAll<HTMLElement>('header *')].filter((e) =>
      [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent?.trim()),
    )
    return texts.filter((e) => e.getBoundingClientRect().top < edge - 1).map((e) => e.textContent)
  }, y + height)
  expect(hidden).toEqual([])
  expect(await clipped()).toEqual([])
}
const live = (n: number): Promise<unknown> =>
  page.waitForFunction((want) => document.querySelectorAll('.tile[data-live=true]').length >= want, n)

describe('wall', () => {
  it.each([
    ['zh', undefined],
    ['en', 'en' as const],
  ])(
    'stands still and whole in %s',
    async (_, locale) => {
      await open({ role: 'wall_display', path: '/wall', size: [1920, 1080], ...(locale ? { locale } : {}) })
      await live(8)
      // Long English places take a line more, so that a row fewer fits.
      const rows = locale ? 4 : 5
      await page.waitForFunction((n) => document.querySelectorAll('[data-row=incident]').length === n, rows)
      expect(await page.locator('[data-row=alarm]').count()).toBe(5)
      expect(await page.locator('[data-row=task]').count()).toBe(3)
      // A new group of the tour has names of other lengths, and a name may bring letters that were not loaded yet.
      await page.keyboard.press(' ')
      await page.locator('.tour .held').waitFor()
      await page.evaluate(() => document.fonts.ready.then(() => undefined))
      const moved = (): Promise<string[]> => page.evaluate(() => (window as unknown as { moved: string[] }).moved)
      const before = (await moved()).length
      const clock = await page.locator('time').textContent()
      await page.waitForFunction((old) => document.querySelector('time')?.textContent !== old, clock)
      expect((await moved()).slice(before)).toEqual([])
      expect(await clipped()).toEqual([])
      const small = await page.evaluate(() =>
        [...document.querySelectorAll<HTMLElement>('body *')]
          .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent?.trim()))
          .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 18 && !e.closest('svg'))
          .map((e) => e.outerHTML.slice(0, 90)),
      )
      expect(small).toEqual([])
      expect(await violations()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'tells since when each source is so, and how many there are no rows for',
    async () => {
      await open({ role: 'wall_display', scenario: 'sources', path: '/wall', size: [1920, 1080] })
      await live(8)
      const rows = page.locator('[data-row=source]')
      expect(await rows.count()).toBe(2)
      const clock = (text: string | null): string => text?.match(/\d\d:\d\d:\d\d/)?.[0] ?? ''
      const [back, other] = [clock(await rows.nth(0).textContent()), clock(await rows.nth(1).textContent())]
      expect(back).not.toBe('')
      const seconds = (s: string): number => s.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
      expect((seconds(back) - seconds(other) + 86_400) % 86_400).toBe(30)
      expect(await page.locator('.focus').textContent()).toContain('其余 5 个来源')
      const words = page.locator('.focus .words p')
      expect(await words.evaluate((e) => e.scrollWidth <= e.clientWidth)).toBe(true)
      expect(await clipped()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'says that alarms flood, and shows those of one building and kind as one row, reds apart',
    async () => {
      await open({ role: 'wall_display', path: '/wall', size: [1920, 1080] })
      await live(8)
      expect(await page.locator('[data-flood]').count()).toBe(0)
      await page.context().close()
      await harness?.close()
      for (const [role, path, words, at] of [
        ['wall_display', '/wall', zh.alarm.floodShort, '[data-flood]'],
        ['duty_officer', '/console', zh.alarm.flood, '.alarms .flood'],
      ] as const) {
        await open({ role, scenario: 'flood', path, size: [1920, 1080] })
        await page.locator(at).waitFor()
        expect((await page.locator(at).textContent())?.trim()).toBe(words)
        const rows = await page.locator('[data-row=alarm]').allTextContents()
        expect(rows.filter((r) => r.includes(zh.alarm.several.replace('{n}', '10')))).toHaveLength(1)
        expect(await clipped()).toEqual([])
        expect(await violations()).toEqual([])
        expect(said).toEqual([])
        if (path === '/wall') {
          await page.context().close()
          await harness?.close()
        }
      }
    },
    TEST_HANGS,
  )

  it(
    'is calm when nothing is wrong',
    async () => {
      await open({ role: 'wall_display', scenario: 'calm', path: '/wall', size: [1920, 1080] })
      await live(8)
      // Pictures of cameras are as they are; all else is counted.
      const shot = await page.screenshot({ mask: [page.locator('.tile')], maskColor: '#14191f' })
      const share = await page.evaluate(async (png) => {
        const picture = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (c) => c.charCodeAt(0))]))
        const canvas = new OffscreenCanvas(picture.width, picture.height)
        const context = canvas.getContext('2d')!
        context.drawImage(picture, 0, 0)
        const { data } = context.getImageData(0, 0, picture.width, picture.height)
        let loud = 0
        for (let i = 0; i < data.length; i += 4) {
          const [r, g, b] = [data[i]!, data[i + 1]!, data[i + 2]!]
          const [hi, lo] = [Math.max(r, g, b), Math.min(r, g, b)]
          if (hi > 90 && (hi - lo) / hi > 0.5) loud++
        }
        return loud / (data.length / 4)
      }, shot.toString('base64'))
      expect(share).toBeLessThan(0.01)
      expect(await page.locator('[data-row=patrol]').count()).toBe(3)
      expect(await clipped()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'shows all cameras with their faults on the sheet',
    async () => {
      await open({ role: 'wall_display', path: '/wall', size: [1920, 1080] })
      await live(1)
      await page.keyboard.press('s')
      await page.waitForFunction(
        () =>
          [...document.querySelectorAll('.block canvas')].filter((c) => (c as HTMLCanvasElement).width > 1).length ===
          237,
      )
      expect(await page.locator('.block li').count()).toBe(237)
      expect(await page.locator('.block li.f-off').count()).toBe(2)
      expect(await page.locator('.block li.f-frozen').count()).toBe(1)
      expect(await clipped()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'shows a picture that there was no room for when there is, and calls none live that is gone',
    async () => {
      await open({ role: 'wall_display', scenario: 'calm', path: '/wall', size: [1920, 1080], full: 3 })
      await page.waitForFunction(
        (word) => document.querySelector('.tile .trouble')?.textContent?.includes(word),
        '观看数已满',
      )
      await page.waitForFunction(() =>
        [...document.querySelectorAll('.tile')].every((tile) => (tile as HTMLElement).dataset['live'] === 'true'),
      )
      // A decoder breaks: the tile says so until the next picture stands.
      await page.evaluate(() => {
        const tile = document.querySelector<HTMLElement>('.tile')!
        const seen = ((window as unknown as { seen: string[] }).seen = [])
        new MutationObserver(() => seen.push(tile.dataset['live']!)).observe(tile, { attributeFilter: ['data-live'] })
        tile.querySelector('video')!.dispatchEvent(new Event('error'))
      })
      await page.waitForFunction(() => (window as unknown as { seen: string[] }).seen.join() === 'false,true')
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'says when it is cut off, with the last good time',
    async () => {
      await open({ role: 'wall_display', path: '/wall', size: [1920, 1080] })
      await live(1)
      await cutOff()
      expect(await page.locator('.banner').textContent()).toMatch(/最后更新 \d\d:\d\d:\d\d，已 \d+ 秒/)
      expect(await page.locator('.stale').count()).toBeGreaterThanOrEqual(4)
    },
    TEST_HANGS,
  )

  it(
    'tells a centre that answers without knowing what is new from one that is gone',
    async () => {
      await open({ role: 'wall_display', path: '/wall', size: [1920, 1080] })
      await live(1)
      expect(await page.locator('header .link b').textContent()).toBe('正常')
      harness!.forget()
      await page.locator('.banner').waitFor()
      expect(await page.locator('.banner').textContent()).toMatch(
        /^指挥中心暂时读不到新数据，画面停在 \d\d:\d\d:\d\d，已 \d+ 秒/,
      )
      expect(await page.locator('header .link b').textContent()).toBe('过期')
      expect(await page.locator('.stale').count()).toBeGreaterThanOrEqual(4)
      expect(await clipped()).toEqual([])
      expect(await violations()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )
})

describe('console', () => {
  it.each([
    ['/console', 1280, 720],
    ['/devices', 1600, 900],
  ])(
    'says on %s when it is cut off',
    async (path, width, height) => {
      await open({ role: 'duty_officer', path, size: [width, height] })
      await page.locator('[data-row=alarm], [data-row=device]').first().waitFor()
      await cutOff()
      expect(await page.locator('.banner').textContent()).toMatch(/最后更新 \d\d:\d\d:\d\d，已 \d+ 秒/)
    },
    TEST_HANGS,
  )

  it.each([
    ['dark zh', undefined, undefined],
    ['light zh', 'light' as const, undefined],
    ['dark en', undefined, 'en' as const],
  ])(
    'is whole in %s',
    async (_, theme, locale) => {
      await open({
        role: 'shift_chief',
        path: '/console',
        size: [1920, 1080],
        ...(theme ? { theme } : {}),
        ...(locale ? { locale } : {}),
      })
      await live(4)
      expect(await page.locator('.case[data-incident="3021"]').count()).toBe(1)
      expect(await clipped()).toEqual([])
      expect(await violations()).toEqual([])
      await page.keyboard.press('a')
      await page.waitForSelector('.intake')
      expect(await violations()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'calls a step done when every unit has done it',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('[data-incident="3021"]')
      expect(
        await page
          .locator('[data-step][data-done=true]')
          .evaluateAll((all) => all.map((e) => e.getAttribute('data-step'))),
      ).toEqual(['collect', 'analyse', 'push'])
      expect(await page.locator('[data-step=acknowledge]').textContent()).toMatch(/剩|超时/)
    },
    TEST_HANGS,
  )

  it(
    'pushes by keyboard: ordinary ones can be taken back, red ones leave at once',
    async () => {
      await open({ role: 'shift_chief', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.case[data-incident="3021"]')
      const posts = () => harness!.requests.filter((r) => r.method === 'POST').map((r) => r.path)
      await page.keyboard.press('/')
      await page.keyboard.type('p 3024 cg 30')
      expect(await page.locator('output').textContent()).toContain('派遣 3024 积水 至 城管 到场 30 分')
      await page.keyboard.press('Enter')
      await page.waitForSelector('.undo')
      expect(await page.locator('[data-incident]').getAttribute('data-incident')).toBe('3024')
      await page.keyboard.press('Backspace')
      await page.waitForSelector('.undo', { state: 'detached' })
      expect(posts()).toEqual([])
      await page.keyboard.press('/')
      await page.keyboard.type('3021')
      await page.keyboard.press('Enter')
      await page.keyboard.press('p')
      await page.waitForSelector('.push')
      await page.locator('[data-unit=energy]').click()
      await page.keyboard.press('Enter')
      await page.waitForSelector('.undo')
      expect(posts()).toEqual(['/incidents/3021/push'])
      const [push] = harness!.requests.filter((r) => r.path === '/incidents/3021/push')
      expect(JSON.parse(push!.body as string)).toEqual({ targets: [{ unit: 'energy', lead: false, mandatory: true }] })
      expect(push!.key).toMatch(/^[0-9a-f-]{36}$/)
    },
    TEST_HANGS,
  )

  it(
    'sends what waits for undo when the page goes',
    async () => {
      await open({ role: 'shift_chief', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.case[data-incident="3021"]')
      await page.keyboard.press('/')
      await page.keyboard.type('p 3024 cg 30')
      await page.keyboard.press('Enter')
      await page.waitForSelector('.undo')
      await page.goto('about:blank')
      await expect.poll(() => harness!.requests.map((r) => r.path)).toContain('/incidents/3024/push')
    },
    TEST_HANGS,
  )

  it(
    'keeps words that were not accepted, and gives a call without answer again as the same call',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.case[data-incident="3021"]')
      const keys: (string | undefined)[] = []
      page.on('request', (r) => r.url().endsWith('/note') && keys.push(r.headers()['idempotency-key']))
      await page.route('**/note', (route) => route.abort())
      const note = async (text: string): Promise<void> => {
        await page.keyboard.press('n')
        await page.locator('.ask [name=text]').fill(text)
        await page.keyboard.press('Enter')
      }
      await note('三楼有人')
      await page.waitForSelector('.said.bad')
      expect(await page.locator('.ask [name=text]').inputValue()).toBe('三楼有人')
      await page.unroute('**/note')
      await page.locator('.ask [name=text]').press('Enter')
      await page.waitForSelector('.ask', { state: 'detached' })
      await note('三楼有人')
      await page.waitForSelector('.ask', { state: 'detached' })
      // Twice without answer and once with one are one call; after its answer the same words are another.
      expect(keys).toHaveLength(4)
      expect(new Set(keys.slice(0, 3)).size).toBe(1)
      expect(keys[3]).not.toBe(keys[0])
    },
    TEST_HANGS,
  )

  it(
    'leaves no caller behind when its officer logs out',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.case[data-incident="3021"]')
      await page.keyboard.press('a')
      await page.locator('[name=phone]').fill('13800000000')
      await page.waitForFunction(() => localStorage.getItem('intake-draft')?.includes('13800000000'))
      await page.locator('footer .right-end button').last().click()
      await page.waitForURL(/\/login/)
      expect(await page.evaluate(() => localStorage.getItem('intake-draft'))).toBeNull()
    },
    TEST_HANGS,
  )

  it(
    'takes a call: draft kept at each key, place by local name, duplicates named',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.case[data-incident="3021"]')
      await page.keyboard.press('a')
      await page.waitForSelector('.intake')
      await page.locator('[role=combobox]').fill('球场边')
      await page.keyboard.press('Enter')
      await page.waitForFunction(() =>
        (document.querySelector('[role=combobox]') as HTMLInputElement).value.startsWith('12栋'),
      )
      await page.waitForSelector('[data-row=duplicate]')
      expect(await page.locator('[data-row=duplicate]').first().textContent()).toContain('3021')
      await page.locator('[name=text]').fill('有烟')
      await page.reload()
      await page.waitForSelector('.case')
      await page.keyboard.press('a')
      await page.waitForSelector('.intake')
      expect(await page.locator('[name=text]').inputValue()).toBe('有烟')
      await page.locator('[name=class]').selectOption('clutter')
      await page.locator('[name=phone]').focus()
      await page.keyboard.press('Enter')
      await page.waitForSelector('.intake', { state: 'detached' })
      const report = harness!.requests.find((r) => r.path === '/incidents' && r.method === 'POST')
      expect(JSON.parse(report!.body as string)).toMatchObject({
        class: 'clutter',
        channel: 'call',
        place: { building: 'b12' },
        text: '有烟',
      })
      expect(await page.evaluate(() => localStorage.getItem('intake-draft'))).toBeNull()
    },
    TEST_HANGS,
  )

  it(
    'opens an intake from any picture with one key, with place, still and clip',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await live(4)
      await page.keyboard.press('2')
      await page.keyboard.press('i')
      await page.waitForSelector('.intake .from img')
      await page.locator('[name=class]').selectOption('clutter')
      await page.keyboard.press('Enter')
      await page.waitForSelector('.intake', { state: 'detached' })
      await page.waitForFunction(() => document.querySelector('.said') !== null)
      const exhibits = () =>
        harness!.requests
          .filter((r) => r.path === '/incidents/3100/exhibits')
          .map((r) => (JSON.parse(r.body as string) as { kind: string }).kind)
          .sort()
      await expect.poll(exhibits).toEqual(['clip', 'still'])
    },
    TEST_HANGS,
  )

  it(
    'lets something happen from the demo panel',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.locator('header .demo').click()
      await page.locator('[data-happening=fire]').click()
      await expect
        .poll(() =>
          harness!.requests
            .filter((r) => r.path === '/demo/happenings' && r.method === 'POST')
            .map((r) => JSON.parse(r.body as string) as unknown),
        )
        .toEqual([{ kind: 'fire', building: 12 }])
      expect(await violations()).toEqual([])
    },
    TEST_HANGS,
  )

  it.each([
    ['zh', undefined],
    ['en', 'en' as const],
  ])(
    'lists devices that nobody registered apart, %s',
    async (_, locale) => {
      await open({ role: 'duty_officer', path: '/devices', size: [1600, 900], ...(locale ? { locale } : {}) })
      await page.locator('[data-act=strangers]').click()
      expect(await page.locator('[data-row=stranger] b').allTextContents()).toEqual(['lock-7', '0x00158d0001a2b3c4'])
      expect(await clipped()).toEqual([])
      expect(await violations()).toEqual([])
      await page.locator('[data-act=strangers]').click()
      expect(await page.locator('[data-row=stranger]').count()).toBe(0)
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it.each([
    ['zh', undefined],
    ['en', 'en' as const],
  ])(
    'charts a device over four spans, gaps as gaps, and as text, %s',
    async (_, locale) => {
      await open({ role: 'duty_officer', path: '/devices', size: [1600, 900], ...(locale ? { locale } : {}) })
      await page.waitForSelector('[data-run]')
      const asked = (): number[] =>
        harness!.requests
          .filter((r) => r.path.startsWith('/devices/smoke-b12-2-06/history'))
          .map((r) => r.at - Number(new URLSearchParams(r.query).get('from')))
      expect(await page.locator('[data-span=h24]').getAttribute('aria-pressed')).toBe('true')
      // Half a minute of grace for the time between the page's clock and the harness's.
      for (const [name, length, rows] of [
        ['h1', 3_600_000, 64],
        ['d7', 604_800_000, 134],
        ['d30', 2_592_000_000, 200],
        ['h24', 86_400_000, 200],
      ] as const) {
        await page.locator(`[data-span=${name}]`).focus()
        await page.keyboard.press('Enter')
        await page.waitForFunction((n) => Math.abs(document.querySelectorAll('[data-row=point]').length - n) < 3, rows)
        expect(await page.locator('[data-run]').count()).toBe(2)
        expect(await page.locator('.band').count()).toBe(name === 'h1' ? 0 : 2)
        expect(Math.abs(asked().at(-1)! - length)).toBeLessThan(30_000)
        expect(Math.abs((await page.locator('[data-row=point]').count()) - rows)).toBeLessThan(3)
        expect(await clipped()).toEqual([])
      }
      expect(await page.locator('svg[role=img]').getAttribute('aria-label')).toMatch(
        locale ? /24 hours: lowest 0\.007 dB\/m, mean/ : /24 小时：最低 0\.007 dB\/m，平均/,
      )
      // A small window squeezes the list of values, never the chart.
      const chart = async (): Promise<number> => (await page.locator('svg[role=img]').boundingBox())?.height ?? 0
      const roomy = await chart()
      await page.setViewportSize({ width: 1280, height: 720 })
      expect(await chart()).toBeGreaterThan(roomy * 0.8)
      await page.setViewportSize({ width: 1600, height: 900 })
      // The list of values is reached by the keyboard, right after the spans.
      await page.locator('[data-span=d30]').focus()
      await page.keyboard.press('Tab')
      expect(await page.evaluate(() => document.activeElement?.className)).toContain('points')
      await page.keyboard.press('ArrowDown')
      await page.waitForFunction(() => (document.activeElement?.scrollTop ?? 0) > 0)
      expect(await page.locator('[data-device].chosen').getAttribute('data-device')).toBe('smoke-b12-2-06')
      expect(await violations()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it.each([
    ['wall_display', '/wall'],
    ['duty_officer', '/console'],
  ])(
    'marks a chattering source with its count for a %s',
    async (role, path) => {
      await open({ role, path, size: [1920, 1080] })
      await page.waitForSelector('[data-chatter]')
      const marked = page.locator('[data-row=alarm]', { has: page.locator('[data-chatter]') })
      expect(await marked.count()).toBe(1)
      expect(await marked.textContent()).toContain('抖动 12 次')
      expect(await clipped()).toEqual([])
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'marks a chattering device in the list and tells since when',
    async () => {
      await open({ role: 'duty_officer', path: '/devices', size: [1600, 900] })
      await page.locator('[data-device=hydrant-r1-03] .held').waitFor()
      expect(await page.locator('[data-device=smoke-b12-2-06] .held').count()).toBe(0)
      await page.locator('[data-device=hydrant-r1-03] button').click()
      expect(await page.locator('aside [data-chatter]').textContent()).toMatch(/抖动 7 次　\d\d:\d\d:\d\d 起保持告警/)
      expect(await violations()).toEqual([])
    },
    TEST_HANGS,
  )

  it.each([
    ['zh', undefined],
    ['en', 'en' as const],
  ])(
    'issues a device password that is shown once, copies it and takes it back, %s',
    async (_, locale) => {
      await open({ role: 'shift_chief', path: '/devices', size: [1600, 900], ...(locale ? { locale } : {}) })
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
      const act = (name: string) => page.locator(`[data-credential] [data-act=${name}]`)
      const posts = (): string[] =>
        harness!.requests.filter((r) => r.path.endsWith('/credential')).map((r) => `${r.method} ${r.path}`)
      await act('issue').click()
      expect(posts()).toEqual([])
      // The keyboard is on the answer; Esc leaves without one.
      await page.keyboard.press('Escape')
      await act('issue').click()
      expect(await clipped()).toEqual([])
      await page.keyboard.press('Enter')
      const password = (await page.locator('[data-password]').textContent())!
      expect(password.length).toBeGreaterThanOrEqual(20)
      expect(posts()).toEqual(['POST /devices/smoke-b12-2-06/credential'])
      expect(harness!.requests.find((r) => r.path.endsWith('/credential'))!.key).toMatch(/^[0-9a-f-]{36}$/)
      await act('copy').click()
      await page.locator('[data-credential] [role=status]', { hasText: locale ? 'Copied' : '已复制' }).waitFor()
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(password)
      expect(await clipped()).toEqual([])
      expect(await violations()).toEqual([])
      // Another device shows nothing of it, and coming back neither.
      await page.locator('[data-device=lift-b12] button').click()
      expect(await page.locator('body').textContent()).not.toContain(password)
      await page.locator('[data-device=smoke-b12-2-06] button').click()
      await page.locator('[data-credential] h2 span', { hasText: locale ? 'by chief' : '由 chief 签发' }).waitFor()
      expect(await page.locator('body').textContent()).not.toContain(password)

      await act('revoke').click()
      await act('sure').click()
      await page.locator('[data-credential] h2 span', { hasText: locale ? 'taken back' : '收回' }).waitFor()
      expect(posts().at(-1)).toBe('DELETE /devices/smoke-b12-2-06/credential')
      expect(await act('revoke').count()).toBe(0)
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'keeps a password that comes while another device is chosen until it was seen',
    async () => {
      await open({ role: 'shift_chief', path: '/devices', size: [1600, 900] })
      let answer = (): void => {}
      const held = new Promise<void>((done) => (answer = done))
      await page.route('**/devices/*/credential', async (route) => {
        await held
        await route.continue()
      })
      await page.locator('[data-credential] [data-act=issue]').click()
      await page.keyboard.press('Enter')
      await page.locator('[data-device=lift-b12] button').click()
      const answered = page.waitForResponse('**/devices/*/credential')
      answer()
      const { password } = (await (await answered).json()) as { password: string }
      await page.locator('[data-credential] [data-act=issue]').waitFor()
      expect(await page.locator('body').textContent()).not.toContain(password)
      // The list of strangers takes the panel away, and brings it back.
      await page.locator('[data-act=strangers]').click()
      await page.locator('[data-act=strangers]').click()
      await page.locator('[data-device=smoke-b12-2-06] button').click()
      await page.locator('[data-password]', { hasText: password }).waitFor()
      await page.locator('[data-device=lift-b12] button').click()
      await page.locator('[data-device=smoke-b12-2-06] button').click()
      await page.locator('[data-credential] [data-act=revoke]').waitFor()
      expect(await page.locator('body').textContent()).not.toContain(password)
      expect(said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'shows whether a device has a password to those who may not issue one',
    async () => {
      await open({ role: 'duty_officer', path: '/devices', size: [1600, 900] })
      await page.locator('[data-credential] h2', { hasText: '没有自己的口令' }).waitFor()
      expect(await page.locator('[data-credential] button').count()).toBe(0)
    },
    TEST_HANGS,
  )

  it(
    'logs in with a demo account and comes to the screen of its role',
    async () => {
      await open({ role: '', path: '/m', size: [390, 844] })
      await page.waitForURL(/\/login/)
      expect(await violations()).toEqual([])
      await page.locator('[data-account=duty]').click()
      await page.waitForURL(/\/console/)
    },
    TEST_HANGS,
  )

  it(
    'confirms with the space bar and judges by one key, or with words',
    async () => {
      await open({ role: 'duty_officer', path: '/console', size: [1920, 1080] })
      await page.waitForSelector('.alarm.chosen')
      await page.keyboard.press(']')
      await page.keyboard.press(' ')
      await expect.poll(() => harness!.requests.map((r) => r.path)).toContain('/alarms/11/confirm')
      await page.keyboard.press(']')
      await page.keyboard.press('k')
      await page.waitForSelector('.ask')
      await page.locator('[name=verdict]').selectOption('maintenance')
      await page.keyboard.press('Enter')
      await expect.poll(() => harness!.requests.map((r) => r.path)).toContain('/alarms/12/judge')
    },
    TEST_HANGS,
  )
})

describe('mobile', () => {
  it(
    'walks a task by one button, queues photos without network, and survives a reload',
    async () => {
      await open({ role: 'department_clerk', path: '/m', size: [390, 844] })
      await page.locator('.card .open').first().click()
      expect(await clipped()).toEqual([])
      expect(await violations()).toEqual([])
      for (const step of ['acknowledge', 'en_route', 'on_scene']) await page.locator(`[data-act=${step}]`).click()
      await page.waitForSelector('[data-act=feedback]')
      expect(said).toEqual([])
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('button, .take')]
          .filter((e) => e.getBoundingClientRect().height < 48)
          .map((e) => e.outerHTML.slice(0, 80)),
      )
      expect(small).toEqual([])
      const posts = (): string[] => harness!.requests.filter((r) => r.method === 'POST').map((r) => r.path)
      await expect.poll(posts).toEqual(['/tasks/3/acknowledge', '/tasks/3/en-route', '/tasks/3/on-scene'])
      // It says when it can be opened without network.
      await page.waitForFunction(
        () => navigator.serviceWorker.controller !== null && document.querySelector('[data-keeps=true]') !== null,
      )
      await page.context().setOffline(true)
      await page
        .locator('input[type=file]')
        .setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: await page.screenshot() })
      await page.waitForSelector('.photos img')
      await page.locator('[data-act=feedback]').click()
      await page.waitForFunction(() => document.querySelector('header p')?.textContent?.includes('2'))
      await page.reload()
      await page.waitForFunction(() => document.querySelector('header p')?.textContent?.includes('待上传 2'))
      await page.context().setOffline(false)
      await page.evaluate(() => dispatchEvent(new Event('online')))
      await page.waitForFunction(() => document.querySelector('header p')?.textContent?.includes('待上传 0'))
      expect(posts().slice(3)).toEqual(['/photos', '/tasks/3/feedback'])
    },
    TEST_HANGS,
  )
})
