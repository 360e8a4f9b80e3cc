// What the browser suites share: one Chromium a file, a fresh centre and context a test, and how long to wait.
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll } from 'vitest'
// @ts-expect-error plain script
import { start } from '../dev/harness.mjs'

/** Waits go by what the page says; only what hangs takes this long, milliseconds, however busy the machine is. */
export const HANGS = 120_000
/** For all of a test: room for several such waits, one of which ends it. */
export const TEST_HANGS = 300_000

export interface Harness {
  address: string
  forget(): void
  stall(camera: string): void
  /** Fields of an incident as the feed has them; `happened` is the event that goes with it. */
  alter(id: number, change: Record<string, unknown>, happened?: Record<string, unknown>): void
  requests: { method: string; path: string; query: string; at: number; key?: string; body: unknown }[]
  close(): Promise<void>
}
export interface Options {
  scenario?: 'calm' | 'fire' | 'sources' | 'flood'
  role: string
  path: string
  size: [number, number]
  locale?: 'en' | undefined
  theme?: 'light' | 'dark' | undefined
  /** What the device itself prefers. */
  scheme?: 'light' | 'dark'
  /** By how much the clock of the page's machine is wrong, milliseconds. */
  skew?: number
  /** Answers to GET requests of the REST interface, by path below /api/v1. */
  answers?: Record<string, unknown>
}

/** Sets up a file's browser; to be called once in it. */
export function inChromium() {
  const state = {} as { browser: Browser; context: BrowserContext; page: Page; harness: Harness }
  /** Errors and warnings of the page, and requests that leave the site. */
  const said: string[] = []
  beforeAll(async () => {
    state.browser = await chromium.launch({
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
  })
  afterAll(() => state.browser.close())
  async function close(): Promise<void> {
    await state.context?.close()
    await state.harness?.close()
  }
  afterEach(close)

  /** Another page of the same browser, as after the first one was killed. */
  async function another(path: string): Promise<Page> {
    state.page = await state.context.newPage()
    state.page.setDefaultTimeout(HANGS)
    const base = state.harness.address
    state.page.on('console', (m) => ['error', 'warning'].includes(m.type()) && said.push(m.text()))
    state.page.on('pageerror', (e) => said.push(e.message))
    state.page.on(
      'request',
      (r) => !r.url().startsWith(base) && !/^(blob|data):/.test(r.url()) && said.push(`leaves the site: ${r.url()}`),
    )
    await state.page.goto(base + path)
    return state.page
  }

  async function open(o: Options): Promise<Page> {
    state.harness = (await start({ scenario: o.scenario ?? 'fire', role: o.role })) as Harness
    said.length = 0
    state.context = await state.browser.newContext({
      viewport: { width: o.size[0], height: o.size[1] },
      colorScheme: o.scheme ?? 'light',
    })
    for (const [path, json] of Object.entries(o.answers ?? {}))
      await state.context.route(`**/api/v1${path}`, (route) =>
        route.request().method() === 'GET' ? route.fulfill({ json }) : route.continue(),
      )
    await state.context.addInitScript(
      ([locale, theme, skew]) => {
        if (locale && !localStorage.getItem('locale')) localStorage.setItem('locale', locale)
        if (theme && !localStorage.getItem('theme')) localStorage.setItem('theme', theme)
        if (skew) {
          const real = Date.now.bind(Date)
          Date.now = () => real() + skew
        }
      },
      [o.locale, o.theme, o.skew] as const,
    )
    return another(o.path)
  }
  return { state, said, open, another, close }
}

/** The page's clock, which must be installed, stands from a moment on; asked again when the machine took longer than that. */
export async function hold(page: Page): Promise<void> {
  for (;;) {
    const at = (await page.evaluate(() => Date.now())) + 1000
    const held = await page.clock.pauseAt(at).then(
      () => true,
      (e: unknown) => {
        if (String(e).includes('past')) return false
        throw e
      },
    )
    if (held) return
  }
}

/** Texts that are cut, run over their box or out of the window. */
export const clipped = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = []
    for (const e of document.querySelectorAll<HTMLElement>('body *')) {
      if (e.closest('svg, .hidden-text, video, option') || e.children.length > 0 || !e.textContent?.trim()) continue
      const box = e.getBoundingClientRect()
      if (box.width === 0) continue
      if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
        found.push(`cut ${e.className}: ${e.textContent.trim()}`)
      if (box.right > innerWidth + 1 || box.left < -1) found.push(`outside ${e.className}: ${e.textContent.trim()}`)
    }
    return found
  })
