// The case, the alarm, the intake and the push as a dispatcher works them by key.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { alarmOf, caseOf, close, launch, MIN, open, type CaseOf, type Kind, type Opened } from './fixtures/asking'
import { time } from '../src/lib/format'
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

  it.each([
    ['verify', 'v', 'awaiting_verification'],
    ['close', 'q', 'verified'],
  ])(
    'asks for the reason when only the centre knows of what stands: %s',
    async (step, key, stage) => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101, stage })])
      await shows(3101)
      const asked: unknown[] = []
      await page().route(`**/incidents/3101/${step}`, async (route) => {
        const body = route.request().postDataJSON() as { text?: string }
        asked.push(body)
        if (body.text) return route.continue()
        const json = { code: 'still_standing', title: '仍有告警源未恢复，请说明理由', title_en: 'Give a reason' }
        return route.fulfill({ status: 409, json })
      })
      await page().keyboard.press(key)
      const ask = page().locator('.ask')
      await ask.waitFor()
      expect(await ask.locator('.notes').count()).toBe(0)
      await page().keyboard.press('Enter')
      await ask.locator('.notes', { hasText: '中心收到新的告警源' }).waitFor()
      await ask.locator('label', { hasText: '必填' }).waitFor()
      // The feed tells of it: now the panel says what stands.
      centre.harness.tell([
        anAlarm(2101, { building: 12, confirmed: now() - 1000, verdict: 'genuine', incident: 3101 }),
        aCase({ id: 3101, stage, alarms: [2101] }),
      ])
      await ask.locator('.notes', { hasText: '12栋 烟感' }).waitFor()
      await page().keyboard.press('Enter')
      await ask.locator('.bad').waitFor()
      await ask.locator('[name=text]').fill('烟感故障，已报修')
      await page().keyboard.press('Enter')
      await ask.waitFor({ state: 'detached' })
      expect(asked).toEqual([{}, { text: '烟感故障，已报修' }])
      expect(posts()).toEqual([[`/incidents/3101/${step}`, { text: '烟感故障，已报修' }]])
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
    "is answered by a push from the row's button",
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([
        aCase({
          id: 3101,
          level: 2,
          class: 'fire',
          tasks: [{ id: 7, unit: 'fire', state: 'on_scene' }],
          attention: [{ why: 'support', since: now(), task: 7 }],
        }),
      ])
      await shows(3101)
      await page().locator('[data-asked=support] [data-answer=push]').click()
      await page().locator('.push', { hasText: '3101' }).waitFor()
      await page().keyboard.press('Enter')
      const targets = ['police', 'property'].map((unit) => ({ unit, lead: false, mandatory: true }))
      await expect.poll(posts).toEqual([['/incidents/3101/push', { targets }]])
    },
    TEST_HANGS,
  )

  it(
    'proposes the freest unit of the same kind when the plan has no further one, with the reason',
    async () => {
      centre = await open(browser, { path: '/console' })
      const { units, classes } = centre.harness.site
      // A class whose plan names one unit only.
      const alone = classes.find((x) => x.assists.length === 0)!
      const busy = units.filter((u) => u.kind === 'department' && u.id !== alone.lead)
      const free = busy.at(-1)!
      centre.harness.tell([
        ...busy
          .slice(0, -1)
          .map((u, n) => aCase({ id: 3200 + n, building: 40, tasks: [{ id: 50 + n, unit: u.id, state: 'on_scene' }] })),
        aCase({
          id: 3101,
          class: alone.id,
          stage: 'dispatched',
          tasks: [{ id: 7, unit: alone.lead, state: 'declined', ended: now(), reason: '不属本单位职责' }],
          attention: [{ why: 'declined', since: now(), task: 7 }],
        }),
      ])
      await shows(3101)
      await page().locator('[data-asked=declined] [data-answer=push]').click()
      const instead = page().locator('[data-instead]')
      await instead.waitFor()
      expect(await instead.textContent()).toMatch(new RegExp(`不属本单位职责 → 建议 ${free.name.zh}$`))
      const chosen = page().locator('.push [aria-selected=true]')
      expect(await chosen.evaluateAll((all) => all.map((e) => e.getAttribute('data-unit')))).toEqual([free.id])
      await page().keyboard.press('Enter')
      await page().locator('footer .undo').waitFor()
      await expect
        .poll(posts)
        .toEqual([['/incidents/3101/push', { targets: [{ unit: free.id, lead: true, mandatory: true }] }]])
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

describe('what detectors measured', () => {
  it.each([
    ['zh', ['有', '无', '有', '烟雾浓度 0.8']],
    ['en', ['Fire call point: yes', 'Smoke: no', 'People trapped in a lift: yes', 'Smoke density 0.8']],
  ] as const)(
    'is yes or no, or has the name of what is measured (%s)',
    async (locale, words) => {
      centre = await open(browser, { path: '/console', locale })
      const values = [
        ['call_point', 1],
        ['smoke', 0],
        ['lift_trapped', 2],
        ['smoke', 0.8],
        ['unheard_of', 12],
      ] as const
      const alarm = anAlarm(2101)
      if (alarm.case !== 'alarm') throw new Error('no alarm')
      const first = alarm.value.sources![0]!
      alarm.value.sources = values.map(([alarmKind, value], n) => ({ ...first, id: `s${n}`, alarmKind, value }))
      centre.harness.tell([alarm])
      await showsAlarm(2101)
      const shown = await page().locator('.case [data-row=source] td:nth-child(3)').allTextContents()
      expect(shown.slice(0, 4)).toEqual(words)
      // A kind that nobody has heard of goes by its own name.
      expect(shown[4]).toBe('unheard_of 12')
      expect(await page().locator('main').textContent()).not.toContain('测值')
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
    'tell at once that a clip is being taken, although it is answered when its last second has come',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101 })])
      await shows(3101)
      let answer: (() => void) | undefined
      await page().route('**/incidents/3101/exhibits', async (route) => {
        await new Promise<void>((done) => (answer = done))
        await route.continue()
      })
      await page().keyboard.press('1')
      await page().locator('.slot.chosen').waitFor()
      await page().keyboard.press('k')
      const footer = page().locator('footer [role=status]')
      await footer.filter({ hasText: /正在取证：.+20 秒/ }).waitFor()
      await expect.poll(() => answer !== undefined).toBe(true)
      expect(posts()).toEqual([])
      answer!()
      await footer.filter({ hasText: '3101' }).waitFor()
      expect(posts()).toMatchObject([['/incidents/3101/exhibits', { kind: 'clip' }]])
    },
    TEST_HANGS,
  )

  it(
    'leave no error behind when their case or alarm leaves the middle, by hand or by itself',
    async () => {
      centre = await open(browser, { path: '/console', role: 'dispatcher' })
      centre.harness.tell([aCase({ id: 3101, stage: 'pending_approval' }), aCase({ id: 3102 }), anAlarm(2101)])
      const error = page().locator('footer [role=status].bad')
      await shows(3101)
      await page().keyboard.press('p')
      await error.waitFor()
      await shows(3102)
      await error.waitFor({ state: 'detached' })
      // An alarm becomes a case elsewhere: its error goes with it.
      await showsAlarm(2101)
      await page().keyboard.press('j')
      await error.waitFor()
      centre.harness.tell([anAlarm(2101, { confirmed: now(), verdict: 'genuine', incident: 3102 })])
      await page().locator('.case[data-incident="3102"]').waitFor()
      expect(await error.count()).toBe(0)
      // What fails only then names what it is about.
      let fail: (() => void) | undefined
      await page().route('**/incidents/3102/attend', async (route) => {
        await new Promise<void>((done) => (fail = done))
        await route.fulfill({ status: 409, json: { code: 'over', title: '事件已结束', title_en: 'Over' } })
      })
      centre.harness.tell([aCase({ id: 3102, attention: [{ why: 'worse', since: now() }] })])
      await page().locator('[data-act=attend]').waitFor()
      await page().keyboard.press(' ')
      await expect.poll(() => fail !== undefined).toBe(true)
      await shows(3101)
      fail!()
      await error.filter({ hasText: '3102' }).filter({ hasText: '事件已结束' }).waitFor()
    },
    TEST_HANGS,
  )

  it(
    'merge into the case that stands on the screen, whatever newer one comes, and can be taken back',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101 }), aCase({ id: 3103, stage: 'filed', reported: now() })])
      await shows(3103)
      const same = page().locator('[data-same]')
      await same.filter({ hasText: '3101' }).filter({ hasText: '12栋' }).waitFor()
      centre.harness.tell([aCase({ id: 3104, reported: now() })])
      await page().locator('[data-row=incident]', { hasText: '3104' }).waitFor()
      expect(await same.textContent()).toContain('3101')
      await page().keyboard.press('g')
      const undo = page().locator('footer .undo', { hasText: '3101' })
      await undo.waitFor()
      await page().keyboard.press('Backspace')
      await undo.waitFor({ state: 'detached' })
      await page().keyboard.press('g')
      await undo.waitFor()
      await expect.poll(posts).toEqual([['/incidents/3103/merge', { into: 3101 }]])
      // When it can be merged into no more, the next one stands there, and another may be named.
      centre.harness.tell([aCase({ id: 3101, stage: 'closed' })])
      await same.filter({ hasText: '3104' }).waitFor()
      await page().locator('[data-act=merge-other]').click()
      await page().locator('.ask [name=into]').fill('3099')
      await page().keyboard.press('Enter')
      await expect.poll(() => posts().at(-1)).toEqual(['/incidents/3103/merge', { into: 3099 }])
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
    'has a field for the flat, as the door has it, and says what no door can be',
    async () => {
      centre = await open(browser, { path: '/console' })
      await page().keyboard.press('a')
      const place = page().locator('[role=combobox]')
      await place.fill('12-2')
      await page().keyboard.press('Enter')
      const door = page().locator('.intake [name=flat]')
      await door.waitFor()
      await door.fill('9901')
      await door.press('Tab')
      await page().locator('.intake .door [role=alert]').waitFor()
      await door.fill('602')
      await door.press('Tab')
      await expect.poll(() => place.inputValue()).toContain('602')
      expect(await page().locator('.intake .door [role=alert]').count()).toBe(0)
      await page().locator('.intake [name=class]').selectOption('clutter')
      await page().locator('.intake [type=submit]').click()
      await expect.poll(posts).toMatchObject([['/incidents', { place: { unit: 2, floor: 6, flat: 2 } }]])
    },
    TEST_HANGS,
  )

  it(
    'goes on offering with the new case what it offered for the call',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3050 }), aCase({ id: 3060, class: 'noise', reported: now() })])
      await page().keyboard.press('a')
      await page().locator('[role=combobox]').fill('12栋')
      await page().keyboard.press('Enter')
      await page().locator('[data-act=attach]', { hasText: '3050' }).waitFor()
      await page().locator('.intake [name=class]').selectOption('noise')
      await page().locator('.intake [type=submit]').click()
      await page().locator('.intake').waitFor({ state: 'detached' })
      centre.harness.tell([aCase({ id: 3100, class: 'noise', stage: 'reported', reported: now() })])
      await page().locator('.case[data-incident="3100"]').waitFor()
      await page().locator('[data-same]', { hasText: '3050' }).waitFor()
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

describe('the timeline', () => {
  it(
    'tells both times when they differ, and where a corrected place was before',
    async () => {
      centre = await open(browser, { path: '/console' })
      centre.harness.tell([aCase({ id: 3101, tasks: [{ id: 7, unit: 'fire', state: 'on_scene' }] })])
      await shows(3101)
      const at = now() - 10 * MIN
      const by = { kind: 'unit', id: 'fire' }
      centre.harness.alter(3101, {}, { kind: 'task_on_scene', task: 7n, unit: 'fire', by, happened: BigInt(at) })
      const row = page().locator('[data-row=event]')
      await row
        .filter({ hasText: new RegExp(`^${time(at)}\\d\\d:\\d\\d:\\d\\d 收到`) })
        .filter({ hasText: '消防' })
        .waitFor()
      // A moment apart is one time.
      centre.harness.alter(
        3101,
        {},
        { kind: 'task_en_route', task: 7n, unit: 'fire', by, happened: BigInt(now() - 1000) },
      )
      await row.filter({ hasText: '出发' }).waitFor()
      expect(await row.filter({ hasText: '出发' }).textContent()).not.toContain('收到')
      const [before, place] = ['12栋', '30栋2单元'].map((labelZh) => ({ labelZh, labelEn: labelZh }))
      centre.harness.alter(3101, {}, { kind: 'place_corrected', before, place, by: { kind: 'account', id: 'duty' } })
      await row.filter({ hasText: '12栋 → 30栋2单元' }).waitFor()
    },
    TEST_HANGS,
  )
})

describe.each([1280, 1440, 1920])('at %i pixels', (width) => {
  it(
    'a long place in the title takes another line',
    async () => {
      centre = await open(browser, { path: '/console', size: [width, 900] })
      const label = '砚池街道卯家湾安置区第六社区易地扶贫搬迁安置点66栋3单元地下一层消防水泵房与配电间之间的走廊'
      centre.harness.tell([aCase({ id: 3101, label })])
      await shows(3101)
      const cut = await page()
        .locator('.case h1, .case .words p, .case dd')
        .evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent))
      expect(cut).toEqual([])
      expect(await page().locator('.case h1').textContent()).toContain(label)
      const [title, steps] = [page().locator('.case > header'), page().locator('.case .steps')]
      const [a, b] = [(await title.boundingBox())!, (await steps.boundingBox())!]
      expect(a.y + a.height).toBeLessThanOrEqual(b.y)
    },
    TEST_HANGS,
  )

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
