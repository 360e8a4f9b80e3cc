// A scripted night: forty cases open over simulated minutes while one officer answers one call a minute. At every minute each
// red that nobody answered is in view on the console, uncovered, and the page sounds at red.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
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
  type Asked,
  type CaseOf,
  type Held,
  type Kind,
  type Opened,
} from './fixtures/asking'

const CASES = 40
const MINUTES = 48
const CLASSES = ['fire', 'noise', 'clutter', 'water_burst', 'lift_fault']
/** Minutes in which a storm brings several at once. */
const STORMS = [10, 24]

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

/** The night as a script: what is new in a minute, and what asks again. States are kept, so that each goes on from its last. */
function night(site: Opened['harness']['site']) {
  const cases = new Map<number, CaseOf>()
  const alarms: number[] = []
  const red = (k: number): boolean => k % 3 !== 1
  return function minute(m: number, now: number, held: (kind: 'incident' | 'alarm', id: number) => Held | undefined) {
    const told: Kind[] = []
    const born = Math.min(CASES - cases.size, STORMS.includes(m) ? 5 : m % 4 === 3 ? 0 : 1)
    for (let n = 0; n < born; n++) {
      const k = cases.size
      const c: CaseOf = {
        id: 3100 + k,
        level: red(k) ? 2 : k % 2 === 0 ? 1 : 0,
        building: 1 + ((k * 7) % 70),
        class: red(k) ? 'fire' : CLASSES[k % CLASSES.length]!,
        stage: red(k) ? 'filed' : 'reported',
        channel: red(k) ? 'alarm' : 'grid',
        reported: now,
        limit: k % 5 === 2 ? 6 : 240,
        attention: [{ why: 'opened', since: now }],
      }
      cases.set(c.id, c)
      told.push(caseOf(site, c))
    }
    // What was opened goes on: it is pushed, handled, given back, gets worse, or lies still.
    for (const c of cases.values()) {
      const age = Math.round((now - c.reported) / MIN)
      const again = ({ 4: 'idle', 7: 'unacknowledged', 11: 'worse', 15: 'support', 21: 'declined' } as const)[age]
      if (again === undefined || (c.id + age) % 2 === 1) continue
      const left: Asked[] = (held('incident', c.id)?.attention ?? []).map((e) => ({
        why: e.why,
        since: c.reported,
        taken: Number(e.taken),
      }))
      c.stage = age > 10 ? 'handling' : 'dispatched'
      c.tasks = [{ id: c.id * 10, unit: 'police', state: again === 'declined' ? 'declined' : 'delivered' }]
      told.push(caseOf(site, { ...c, attention: [...left, { why: again, since: now, task: c.id * 10 }] }))
    }
    // Alarms that no rule made a case.
    if (m % 6 === 5 || STORMS.includes(m)) {
      const id = 500 + alarms.length
      alarms.push(id)
      told.push(alarmOf(site, { id, level: alarms.length % 4 === 0 ? 1 : 2, building: 71 + (id % 5), raised: now }))
    }
    return told
  }
}

/** Reds that nobody answered, from what the centre holds, by their rows. */
function unanswered(find: Opened['harness']['find']): string[] {
  const found: string[] = []
  for (let id = 3100; id < 3100 + CASES; id++) {
    const i = find('incident', id)
    if (i?.open && i.level === 2 && i.attention.some((e) => Number(e.taken) === 0)) found.push(`incident/${id}`)
  }
  for (let id = 500; id < 600; id++) {
    const a = find('alarm', id)
    if (a?.open && a.level === 2 && Number(a.confirmed) === 0) found.push(`alarm/${id}`)
  }
  return found
}
/** Which of them are not in view: no row, out of the window, covered, not flashing or without words. */
const unseen = (page: Page, reds: string[]): Promise<string[]> =>
  page.evaluate(
    (all) =>
      all.filter((key) => {
        const [kind, id] = key.split('/')
        const row = document.querySelector<HTMLElement>(`[data-row=${kind}][data-id="${id}"]`)
        const box = row?.getBoundingClientRect()
        if (!row || !box || box.width === 0 || box.height < 20) return true
        if (box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight) return true
        const [y, last] = [box.top + box.height / 2, box.right - 30]
        for (const x of [box.left + 30, box.left + box.width / 2, last])
          if (!row.contains(document.elementFromPoint(x, y))) return true
        return row.querySelector('.mark.flash .red') === null || !row.textContent?.includes('栋')
      }),
    reds,
  )

describe('a night of forty open cases', () => {
  it('has each unanswered red in view and sounds at red, at every minute', async () => {
    centre = await open(browser, { path: '/console', stepped: true })
    const { page, harness, said } = centre
    const minute = night(harness.site)
    const seen = { reds: 0, most: 0, red: 0, calm: 0 }
    for (let m = 0; m < MINUTES; m++) {
      harness.step(MIN, minute(m, harness.now() + MIN, harness.find))
      const from = await count(page, RED_TONE)
      const reds = unanswered(harness.find)
      const clock = new Intl.DateTimeFormat('zh-CN', {
        timeZone: 'Asia/Shanghai',
        timeStyle: 'medium',
        hourCycle: 'h23',
      })
      const due = clock.format(harness.now() - 1000)
      // The page is where the centre is.
      await page.waitForFunction((at) => document.querySelector('header time')!.textContent! >= at, due)
      await page.waitForFunction(
        (n) => document.title.startsWith(n > 0 ? `(${n} 红)` : '') && (n > 0 || !document.title.includes('红')),
        reds.length,
      )
      expect([m, await unseen(page, reds)]).toEqual([m, []])
      if (reds.length > 0) await next(page, RED_TONE, from)
      else expect(await page.locator('.strip .go.red').count()).toBe(0)

      // All that is cut says how much is not shown.
      const cut = await page.evaluate(
        () =>
          [...document.querySelectorAll('.left .scroll')].filter(
            (e) => e.scrollHeight > e.clientHeight + 30 && e.parentElement!.querySelector('[data-rest]') === null,
          ).length,
      )
      expect([m, cut]).toEqual([m, 0])

      seen.most = Math.max(seen.most, reds.length)
      seen[reds.length > 0 ? 'red' : 'calm']++
      seen.reds += reds.length

      // The officer answers one call, except in a storm: by the one key to it, and by Space on what the middle shows.
      const first = reds.length > 0 && !STORMS.includes(m)
      if (!first) continue
      await page.keyboard.press('F2')
      await page.waitForFunction((all) => {
        const shown = document.querySelector<HTMLElement>('.case[data-incident], .case[data-alarm]')?.dataset
        return all.includes(shown?.['incident'] ? `incident/${shown['incident']}` : `alarm/${shown?.['alarm']}`)
      }, reds)
      await page.keyboard.press(' ')
      await page.waitForFunction(
        (n) => (n > 0 ? document.title.startsWith(`(${n} 红)`) : !document.title.includes('红')),
        reds.length - 1,
      )
    }
    // It was the night that it claims to be.
    expect(await page.locator('.queue h2').textContent()).toMatch(/4\d 件/)
    expect(seen.most).toBeGreaterThanOrEqual(12)
    expect(seen.red).toBeGreaterThan(MINUTES / 2)
    console.log('night', seen)
    expect(said).toEqual([])

    // The check itself finds a row that is gone, covered or out of the window.
    const [red] = unanswered(harness.find)
    const spoil = (css: Partial<CSSStyleDeclaration>): Promise<void> =>
      page.evaluate(
        ([key, style]) => {
          const [kind, id] = (key as string).split('/')
          Object.assign(document.querySelector<HTMLElement>(`[data-row=${kind}][data-id="${id}"]`)!.style, style)
        },
        [red, css] as const,
      )
    expect(red).toBeDefined()
    for (const css of [{ display: 'none' }, { transform: 'translateY(2000px)' }, { pointerEvents: 'none' }]) {
      await spoil(css)
      expect(await unseen(page, [red!])).toEqual([red])
      await spoil({ display: '', transform: '', pointerEvents: '' })
    }
    expect(await unseen(page, [red!])).toEqual([])
  }, 600_000)
})
