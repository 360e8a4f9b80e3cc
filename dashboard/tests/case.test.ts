// The case, the alarm, the intake and the push as a dispatcher works them by key.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { alarmOf, caseOf, close, launch, MIN, open, type CaseOf, type Kind, type Opened } from './fixtures/asking'
import { TEST_HANGS } from './browser'

let browser: Browser
let centre: Opened | undefined
beforeAll(async () => {
  browser = await launch()
}, TEST_HANGS)
afterEach(async () => {
  await close(centre)
  centre = undefined
})
afterAll(() => browser.close())

const now = (): number => centre!.harness.now()
const page = (): Page => centre!.page
const posts = (): [string, Record<string, unknown>][] =>
  centre!.harness.requests
    .filter((r) => r.method === 'POST')
    .map((r) => [r.path, JSON.parse(r.body as string) as Record<string, unknown>])
const aCase = (c: Partial<CaseOf> & { id: number }): Kind =>
  caseOf(centre!.harness.site, { level: 1, building: 12, class: 'clutter', reported: now() - MIN, ...c })
/** Chooses the case in the queue. */
const shows = async (id: number): Promise<void> => {
  await page()
    .locator('[data-row=incident]', { hasText: String(id) })
    .first()
    .click()
  await page().locator(`.case[data-incident="${id}"]`).waitFor()
}
const showsAlarm = async (id: number): Promise<void> => {
  await page().locator('[data-row=alarm]').first().click()
  await page().locator(`.case[data-alarm="${id}"]`).waitFor()
}
const anAlarm = (id: number, more: Partial<Parameters<typeof alarmOf>[1]> = {}): Kind =>
  alarmOf(centre!.harness.site, { id, level: 1, building: 30, raised: now() - 2000, ...more })

describe('ending a case', () => {
  it(
    'says what still stands and needs a reason',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([
        anAlarm(2101, { building: 12, confirmed: now() - 1000, verdict: 'genuine', incident: 3101 }),
        aCase({ id: 3101, stage: 'awaiting_verification', alarms: [2101] }),
      ])
      await shows(3101)
      await page().keyboard.press('v')
      const notes = page().locator('.ask .notes')
      await notes.waitFor()
      expect(await notes.textContent()).toContain('12栋')
      await page().keyboard.press('Enter')
      await page().locator('.ask .bad').waitFor()
      expect(posts()).toEqual([])
      await page().locator('.ask [name=text]').fill('烟感故障，已报修')
      await page().keyboard.press('Enter')
      await expect.poll(posts).toEqual([['/incidents/3101/verify', { text: '烟感故障，已报修' }]])
      expect(centre.said).toEqual([])
    },
    TEST_HANGS,
  )

  it(
    'is one key and Enter where nothing stands',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([
        anAlarm(2101, { building: 12, confirmed: now(), verdict: 'genuine', incident: 3101, active: false }),
        aCase({ id: 3101, stage: 'awaiting_verification', alarms: [2101] }),
      ])
      await shows(3101)
      await page().keyboard.press('v')
      await page().locator('.ask').waitFor()
      expect(await page().locator('.ask .notes').count()).toBe(0)
      await page().keyboard.press('Enter')
      await expect.poll(posts).toEqual([['/incidents/3101/verify', {}]])
    },
    TEST_HANGS,
  )
})

describe('what units ask', () => {
  it(
    'stands in the row of the task, and a reason answers it',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([
        aCase({
          id: 3101,
          tasks: [{ id: 7, unit: 'fire', state: 'on_scene' }],
          attention: [{ why: 'support', since: now(), task: 7 }],
        }),
      ])
      await shows(3101)
      const row = page().locator('[data-asked=support]')
      expect(await row.textContent()).toContain('消防')
      await row.locator('[data-answer=reason]').click()
      await page().locator('.ask [name=reason]').fill('增援已在路上')
      await page().keyboard.press('Enter')
      await expect.poll(posts).toEqual([['/incidents/3101/attend', { text: '增援已在路上' }]])
    },
    TEST_HANGS,
  )

  it(
    'preselects the next unit after a decline and says why',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([
        aCase({
          id: 3101,
          class: 'fire',
          stage: 'approved',
          tasks: [{ id: 7, unit: 'fire', state: 'declined' }],
          attention: [{ why: 'declined', since: now(), task: 7 }],
        }),
      ])
      await shows(3101)
      await page().keyboard.press('p')
      await page().locator('[data-instead]').waitFor()
      expect(await page().locator('[data-instead]').textContent()).toContain('消防')
      const chosen = page().locator('.push [aria-selected=true]')
      expect(await chosen.count()).toBeGreaterThan(0)
      expect(await chosen.evaluateAll((all) => all.map((e) => (e as HTMLElement).dataset['unit']))).not.toContain(
        'fire',
      )
    },
    TEST_HANGS,
  )
})

describe('keys', () => {
  it(
    'act on what the middle shows only',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101 })])
      await shows(3101)
      centre.harness.tell([anAlarm(2101, { level: 2 })])
      await page().locator('[data-row=alarm]').waitFor()
      await page().keyboard.press(' ')
      await page().locator('footer [role=status].bad').waitFor()
      expect(posts()).toEqual([])
      await page().keyboard.press('F2')
      await page().locator('.case[data-alarm="2101"]').waitFor()
      await page().keyboard.press(' ')
      await expect.poll(posts).toEqual([['/alarms/2101/confirm', {}]])
    },
    TEST_HANGS,
  )

  it(
    'judge by one key each',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([anAlarm(2101, { confirmed: now() })])
      await showsAlarm(2101)
      await page().keyboard.press('x')
      await expect.poll(posts).toEqual([['/alarms/2101/judge', { verdict: 'false' }]])
    },
    TEST_HANGS,
  )

  it(
    'say why they do nothing, and the main button is the next step',
    async () => {
      centre = await open(browser, { path: '/console', role: 'dispatcher' })
      centre.harness.tell([aCase({ id: 3101, stage: 'pending_approval' })])
      await shows(3101)
      expect(await page().locator('[data-why]').textContent()).toContain('待值班长审批')
      expect(await page().locator('.do.first').count()).toBe(0)
      await page().keyboard.press('p')
      await page().locator('footer [role=status].bad').waitFor()
      centre.harness.tell([aCase({ id: 3101, stage: 'awaiting_verification' })])
      await page().locator('.case[data-stage=awaiting_verification]').waitFor()
      expect(await page().locator('.do.first').getAttribute('data-act')).toBe('verify')
    },
    TEST_HANGS,
  )
})

describe('intake', () => {
  it(
    'keeps middle, map and cameras while it is open, and previews its place',
    async () => {
      centre = await open(browser, { path: '/console' })
      await page().keyboard.press('a')
      await page().locator('.intake').waitFor()
      centre.harness.tell([anAlarm(2101, { level: 2 })])
      await page().locator('[data-row=alarm]').waitFor()
      expect(await page().locator('.case[data-alarm]').count()).toBe(0)
      await page().locator('[role=combobox]').fill('12-2-602')
      await page().keyboard.press('Enter')
      await expect.poll(() => page().locator('[role=combobox]').inputValue()).toContain('602')
      expect(await page().locator('.right h2').first().textContent()).toContain('12栋')
      expect(await page().locator('.right .slot').count()).toBe(4)
    },
    TEST_HANGS,
  )

  it(
    'attaches a call to the case just offered by one key',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101 })])
      await shows(3101)
      await page().keyboard.press('a')
      await page().locator('[role=combobox]').fill('12栋')
      await page().keyboard.press('Enter')
      await page().locator('[data-act=attach]').waitFor()
      await page().locator('[name=text]').fill('还在')
      await page().keyboard.press('F4')
      await expect.poll(posts).toMatchObject([['/incidents', { into: 3101, class: 'clutter', text: '还在' }]])
    },
    TEST_HANGS,
  )

  it(
    'says that Ctrl+Enter sends',
    async () => {
      centre = await open(browser, { path: '/console' })
      await page().keyboard.press('a')
      await page().locator('[name=text]').focus()
      await page().keyboard.press('Enter')
      await page().locator('.intake .strong', { hasText: 'Ctrl' }).waitFor()
      expect(posts()).toEqual([])
    },
    TEST_HANGS,
  )
})

describe('place', () => {
  it(
    'is verified only where a person says so',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101 })])
      await shows(3101)
      const correct = async (verified: boolean): Promise<void> => {
        await page().keyboard.press('e')
        await page().locator('.ask [role=combobox]').fill('学校')
        await page().keyboard.press('Enter')
        await page().locator('.ask [role=listbox]').waitFor({ state: 'detached' })
        if (verified) await page().locator('.ask [name=verified]').check()
        await page().locator('.ask .go').click()
        await page().locator('.ask').waitFor({ state: 'detached' })
      }
      await correct(false)
      await correct(true)
      const places = posts().map(([, body]) => body['place'] as { landmark: string; verified: boolean })
      const school = centre.harness.site.landmarks.find((l) => l.kind === 'school')!.id
      expect(places.map((p) => [p.landmark, p.verified])).toEqual([
        [school, false],
        [school, true],
      ])
    },
    TEST_HANGS,
  )
})

describe.each([1280, 1440, 1920])('at %i pixels', (width) => {
  it.each(['zh', 'en'])(
    'limits, places and units of the task table are whole (%s)',
    async (locale) => {
      centre = await open(browser, { path: '/console', scenario: 'fire', size: [width, 900], locale })
      await page().locator('[data-row=task]').first().waitFor()
      const cut = await page()
        .locator('[data-row=task] td, .case h1, .case dd > b')
        .evaluateAll((all) =>
          all
            .filter((e) => {
              const main = document.querySelector('.case .main')!.getBoundingClientRect()
              const box = e.getBoundingClientRect()
              const inMain = e.tagName === 'TD'
              return e.scrollWidth > e.clientWidth + 1 || (inMain && box.right > main.right + 1)
            })
            .map((e) => e.textContent),
        )
      expect(cut).toEqual([])
    },
    TEST_HANGS,
  )
})
