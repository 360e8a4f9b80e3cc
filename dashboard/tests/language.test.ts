// English in Chromium: no Chinese of ours, no stable name, nothing cut that is a limit or a place.
import { describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { clipped, inChromium } from './browser'
import { demo } from './fixtures/demo'

const { state, open } = inChromium()

/** Data stays in the language that people said it in: their names, their words, what a device is called by its owner, and
 *  the switch that names the other language in that language. Whatever else is Chinese is ours. */
const DATA = [
  ...['李国平', '马学军', '杨帆', '陈**'],
  ...['来电反映，请派人查看。', '54栋楼下烧烤摊太吵'],
  ...['扑救、搜救，注意6层走廊', '警戒、疏散', '开单元门、停电梯、引导疏散', '关阀、抢修', '到场劝导'],
  // Where a device says that it is, and what people call a building.
  ...['12栋2单元6层', '球场边那栋'],
  '中文',
]
/** Account names on the login are what one types; devices tell their own names and formats. */
const OWN_NAMES = [...demo.accounts.map((a) => a.account), 'zigbee2mqtt']

interface Walk {
  path: string
  role: string
  sizes: [number, number][]
  ready: string
  /** From which width on limits and places are looked at; default: all. */
  whole?: number
  /** Panels that a key or a tap opens, each from the page as it stands. */
  keys?: string[]
  /** Those of the keys that open a panel. */
  panels?: string[]
  taps?: string[]
}
const CENTRE: [number, number][] = [
  [1280, 800],
  [1440, 900],
  [1920, 1080],
]
const WALKS: Walk[] = [
  { path: '/login', role: '', sizes: [[390, 844], ...CENTRE], ready: '[data-account=duty]' },
  {
    path: '/wall',
    role: 'wall_display',
    sizes: [[1920, 1080]],
    ready: '[data-row=incident]',
    keys: ['s'],
  },
  {
    path: '/console',
    role: 'shift_chief',
    sizes: CENTRE,
    // The table of tasks is narrower than its limits below that.
    whole: 1920,
    ready: '.case[data-incident="3021"]',
    keys: ['?', 'a', 'p', 'j', 'k', 'n', 'g', 'm', 'o'],
    panels: ['?', 'a', 'p', 'n'],
  },
  { path: '/devices', role: 'shift_chief', sizes: CENTRE, ready: '[data-row=device]', taps: ['[data-act=strangers]'] },
  { path: '/patrols', role: 'shift_chief', sizes: CENTRE, ready: 'main h2' },
  {
    path: '/m',
    role: 'department_clerk',
    sizes: [[390, 844]],
    ready: '[data-task="3"]',
    taps: [
      'nav button:nth-child(2)',
      'nav button:nth-child(3)',
      'nav button:nth-child(4)',
      'nav button:nth-child(1)',
      '[data-task="3"] .open',
      '[data-act=acknowledge]',
      '[data-act=en_route]',
      '[data-act=on_scene]',
    ],
  },
]
/** All that can be read or is read aloud. */
const words = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = []
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT)
    for (let n = walk.nextNode(); n; n = walk.nextNode()) {
      if (n instanceof Element)
        for (const a of ['aria-label', 'title', 'placeholder', 'alt']) found.push(n.getAttribute(a) ?? '')
      else found.push(n.textContent ?? '')
    }
    return [...found, document.title].map((s) => s.trim()).filter(Boolean)
  })
const chinese = (all: string[]): string[] =>
  all.filter((s) =>
    /[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]/.test(DATA.reduce((rest, d) => rest.replaceAll(d, ''), s)),
  )
/** awaiting_verification, role.x, {n}, undefined. */
const raw = (all: string[]): string[] =>
  all
    .filter((s) => !OWN_NAMES.includes(s))
    .filter((s) => /[a-z]_[a-z]|\{\w+\}|\bundefined\b|\bNaN\b|^[a-z]+\.[a-z]+(\.[a-z]+)*$/i.test(s))
/** Limits and places that are cut short, dots or not. */
const cut = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const telling = /(Building|Road|Community) \d.*|\+?(\d+:)?\d\d:\d\d( left| over)?/g
    const found: string[] = []
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let n = walk.nextNode(); n; n = walk.nextNode()) {
      const e = n.parentElement!
      if (e.closest('svg, option, textarea, .hidden-text') || e.getBoundingClientRect().width === 0) continue
      for (const m of (n.textContent ?? '').matchAll(telling)) {
        const range = document.createRange()
        range.setStart(n, m.index)
        range.setEnd(n, m.index + m[0].trimEnd().length)
        const text = range.getBoundingClientRect()
        let seen = innerWidth
        for (let at: HTMLElement | null = e; at && at !== document.body; at = at.parentElement) {
          const style = getComputedStyle(at)
          if (style.overflowX === 'visible' || style.display === 'inline') continue
          seen = Math.min(seen, at.getBoundingClientRect().right)
        }
        if (text.right > seen + 1) found.push(m[0])
      }
    }
    return found
  })

describe('English', () => {
  it.each(WALKS.flatMap((w) => w.sizes.map((size) => [w.path, size.join('×'), size, w] as const)))(
    'on %s at %s',
    async (_, __, size, w) => {
      const page = await open({ role: w.role, path: w.path, size, locale: 'en', answers: { '/demo': demo } })
      await page.locator(w.ready).first().waitFor()
      const wrong = new Set<string>()
      const look = async (at: string): Promise<void> => {
        const all = await words(page)
        for (const s of chinese(all)) wrong.add(`${at} Chinese: ${s}`)
        for (const s of raw(all)) wrong.add(`${at} raw: ${s}`)
        if (size[0] >= (w.whole ?? 0)) for (const s of await cut(page)) wrong.add(`${at} cut: ${s}`)
        if (w.path === '/m' || w.path === '/login') for (const s of await clipped(page)) wrong.add(`${at} ${s}`)
      }
      await look('first')
      for (const key of w.keys ?? []) {
        await page.keyboard.press(key)
        // Panels come with their own part of the program.
        if (w.panels?.includes(key)) await page.locator('.drawer .panel').waitFor()
        else await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
        await look(key)
        await page.keyboard.press('Escape')
      }
      for (const tap of w.taps ?? []) {
        await page.locator(tap).first().click()
        await look(tap)
      }
      expect([...wrong]).toEqual([])
      await state.page.close()
    },
  )
})
