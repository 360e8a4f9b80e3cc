// The theme on every page from its first picture on, and the login that says who is who.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { en, zh } from '../src/i18n/all'
import { clipped, inChromium } from './browser'
import { demo } from './fixtures/demo'

const { state, said, open } = inChromium()
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Route, whose it is, window, and what stands on it when it is there. */
const ROUTES = [
  ['/login', '', [1440, 900], '[data-account=duty]'],
  ['/wall', 'wall_display', [1920, 1080], '[data-row=incident]'],
  ['/console', 'shift_chief', [1440, 900], '[data-row=incident]'],
  ['/devices', 'shift_chief', [1440, 900], '[data-row=device]'],
  ['/patrols', 'shift_chief', [1440, 900], 'main h2'],
  ['/m', 'department_clerk', [390, 844], '[data-task="3"]'],
] as const
const BACKGROUND = { dark: 'rgb(20, 25, 31)', light: 'rgb(244, 246, 247)' }
const background = (page: Page): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const { axe: run } = window as unknown as {
      axe: { run(o: object): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }> }
    }
    const found = await run.run({ resultTypes: ['violations'] })
    return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id} ${n.target.join(' ')}`))
  })
}

describe('the theme', () => {
  it.each(ROUTES.flatMap((r) => [[...r, 'dark' as const] as const, [...r, 'light' as const] as const]))(
    'of %s (%s, %j, %s) is %s from the first picture on',
    async (path, role, size, ready, theme) => {
      const page = await open({
        role,
        path: '/icon.svg',
        size: [...size],
        theme,
        scheme: theme === 'dark' ? 'light' : 'dark',
        answers: { '/demo': demo },
      })
      // Every picture that is drawn tells its colour.
      await state.context.addInitScript(() => {
        const seen = ((window as unknown as { seen: Set<string> }).seen = new Set<string>())
        const look = (): void => {
          if (document.body) seen.add(getComputedStyle(document.body).backgroundColor)
          requestAnimationFrame(look)
        }
        requestAnimationFrame(look)
      })
      await page.goto(state.harness.address + path)
      await page.locator(ready).first().waitFor()
      expect(await page.evaluate(() => [...(window as unknown as { seen: Set<string> }).seen])).toEqual([
        BACKGROUND[theme],
      ])
      expect(await violations(page)).toEqual([])
      expect(said).toEqual([])
    },
  )

  it('is chosen on the login, and stays on the phone and after logging out', async () => {
    const page = await open({ role: '', path: '/login', size: [390, 844], answers: { '/demo': demo } })
    expect(await background(page)).toBe(BACKGROUND.light)
    await page.locator('[data-act=theme]').click()
    expect(await background(page)).toBe(BACKGROUND.dark)
    await page.locator('[data-account=property]').click()
    await page.locator('[data-task="3"]').waitFor()
    expect(await background(page)).toBe(BACKGROUND.dark)
    await page.reload()
    await page.locator('[data-task="3"]').waitFor()
    expect(await background(page)).toBe(BACKGROUND.dark)
    await page.locator('nav button').last().click()
    await page.locator('[data-act=theme]').click()
    expect(await background(page)).toBe(BACKGROUND.light)
    await page.locator('.two button').last().click()
    await page.waitForURL(/\/login/)
    expect(await background(page)).toBe(BACKGROUND.light)
  })

  it.each([
    ['a phone by day', [390, 844], 'light', 'light'],
    ['a phone by night', [390, 844], 'dark', 'dark'],
    ['a screen of the centre', [1440, 900], 'light', 'dark'],
  ] as const)('without a choice is the one of %s', async (_, size, scheme, theme) => {
    const page = await open({ role: '', path: '/login', size: [...size], scheme })
    await page.locator('form').waitFor()
    expect(await background(page)).toBe(BACKGROUND[theme])
  })
})

describe('the login', () => {
  it.each([
    ['zh', undefined, zh],
    ['en', 'en' as const, en],
  ])('groups the demo accounts by screen and says who each is, %s', async (_, locale, words) => {
    for (const size of [
      [1440, 900],
      [390, 844],
    ] as [number, number][]) {
      const page = await open({ role: '', path: '/login', size, locale, answers: { '/demo': demo } })
      const groups: [string, string[]][] = [
        ['wall', ['wall']],
        ['console', ['duty', 'dispatch', 'chief', 'leader']],
        ['mobile', demo.accounts.filter((a) => /clerk|grid/.test(a.role)).map((a) => a.account)],
      ]
      await page.locator('[data-account=duty]').waitFor()
      for (const [screen, accounts] of groups) {
        const group = page.locator(`[data-screen=${screen}]`)
        expect(await group.locator('h3 b').innerText()).toBe(words.demo.screen[screen as 'wall'])
        const named = await group
          .locator('[data-account]')
          .evaluateAll((all) => all.map((e) => (e as HTMLElement).dataset['account']))
        expect(named).toEqual(accounts)
      }
      for (const a of demo.accounts) {
        const button = page.locator(`[data-account=${a.account}]`)
        const sentence = page.locator(`#${await button.getAttribute('aria-describedby')}`)
        const kind = (a.account === 'leader' ? 'leader' : a.role) as keyof typeof words.demo.who
        expect(await sentence.innerText()).toBe(words.demo.who[kind])
      }
      expect(await clipped(page)).toEqual([])
      if (size[0] === 1440) expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBe(900)
      await state.context.close()
      await state.harness.close()
    }
  })

  it('is used by keyboard', async () => {
    const page = await open({ role: '', path: '/login', size: [1440, 900], answers: { '/demo': demo } })
    await page.locator('[data-account=dispatch]').waitFor()
    for (let n = 0; n < 40; n++) {
      const at = await page.evaluate(() => (document.activeElement as HTMLElement).dataset['account'])
      if (at === 'duty') break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/console/)
  })

  it('leaves the leader of the shift what he is called', async () => {
    const page = await open({
      role: 'shift_chief',
      path: '/console',
      size: [1440, 900],
      answers: {
        '/session': {
          account: 'leader',
          name: '李国平',
          role: 'shift_chief',
          unit: null,
          grid: null,
          audience: 'centre',
        },
      },
    })
    await page.locator('footer', { hasText: '李国平 带班领导' }).waitFor()
  })
})
