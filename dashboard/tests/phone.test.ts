// The phone in Chromium: a tap's own time, a killed page without network, what was said, and what the centre answered.
import { describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { clipped, inChromium } from './browser'

const { state, said, open, another } = inChromium()
const phone = { role: 'department_clerk', path: '/m', size: [390, 844] as [number, number] }
const taps = () =>
  state.harness.requests
    .filter((r) => r.method === 'POST' && /^\/tasks\/\d+\/(?!receipt)/.test(r.path))
    .map((r) => ({
      path: r.path,
      arrived: r.at,
      ...(JSON.parse(r.body as string) as { at?: number; result?: string }),
    }))
/** The page says that it can be opened without network, and has kept `what`. */
async function kept(page: Page, what = 'incidents'): Promise<void> {
  await page.locator('[data-keeps=true]').waitFor()
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
  // Asked from here: a promise is true to whatever waits in the page.
  const has = (): Promise<boolean> =>
    page.evaluate(async (key) => {
      const db = await new Promise<IDBDatabase>((done) => {
        const r = indexedDB.open('outbox')
        r.onsuccess = () => done(r.result)
      })
      const seen = await new Promise<object | undefined>((done) => {
        const r = db.transaction('seen').objectStore('seen').get(key)
        r.onsuccess = () => done(r.result as never)
      })
      db.close()
      return seen !== undefined && (!('incidents' in seen) || (seen.incidents as unknown[]).length > 0)
    }, what)
  await expect.poll(has).toBe(true)
}
/** Without network, old and new sockets alike; the centre goes on. */
async function offline(on: boolean): Promise<void> {
  await state.context.setOffline(on)
}
const text = (page: Page, at: string): Promise<string> => page.locator(at).innerText()
/** 21:14:36 as seconds of the day. */
const seconds = (s: string): number =>
  (/(\d\d):(\d\d):(\d\d)/.exec(s)?.slice(1) ?? []).reduce((sum, part) => sum * 60 + Number(part), 0)
/** mm:ss of a limit, negative when over. */
const left = (s: string): number => {
  const [, sign, m, sec] = /(\+?)(\d\d):(\d\d)/.exec(s) ?? []
  return (sign ? -1 : 1) * (Number(m) * 60 + Number(sec))
}
const hall = (ms: number): number =>
  seconds(
    new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', timeStyle: 'medium', hourCycle: 'h23' }).format(ms),
  )

describe('without network', () => {
  it('keeps tasks, taps and their times over a killed page, whatever the phone takes the time for', async () => {
    // This phone is ten minutes slow.
    let page = await open({ ...phone, skew: -600_000 })
    await page.locator('[data-task="3"]').waitFor()
    await page.waitForFunction(() => Math.abs(Number(localStorage.getItem('clock-offset')) - 600_000) < 5_000)
    await kept(page)
    await offline(true)
    await page.locator('.offline').waitFor()
    const since = /\d\d:\d\d:\d\d/.exec(await text(page, '.offline'))![0]
    const before = Date.now()
    await page.locator('[data-task="3"] [data-act=acknowledge]').click()
    await page.locator('[data-task="3"]', { hasText: '已签收' }).waitFor()
    const after = Date.now()
    const shown = await text(page, '[data-task="3"]')
    expect(shown).toMatch(/已签收 \d\d:\d\d:\d\d 待上传/)
    const tapped = /已签收 (\d\d:\d\d:\d\d)/.exec(shown)![1]!
    expect(Math.abs(seconds(tapped) - hall(before))).toBeLessThanOrEqual(2 + (after - before) / 1000)

    await page.close()
    page = await another('/m')
    await page.locator('[data-task="3"]').waitFor()
    expect(await text(page, '[data-task="3"]')).toContain(`已签收 ${tapped} 待上传`)
    // Since when, and of when: neither begins anew with the page.
    expect(await text(page, '.offline')).toContain(`无网络 ${since} 起`)
    expect(await text(page, '.offline')).toMatch(/所示任务截至 \d\d:\d\d:\d\d/)
    expect(await text(page, '.list')).not.toContain('没有任务')
    expect(await text(page, '.list')).toMatch(/\d\d:\d\d:\d\d 时这里是空的，之后的尚不知道|待签收/)
    await page.locator('[data-task="3"] .open').click()
    expect(await text(page, 'footer li:first-child')).toContain(tapped)
    expect(await text(page, 'footer li:first-child')).toContain('待上传')
    const second = Date.now()
    await page.locator('[data-act=en_route]').click()
    await page.locator('[data-act=on_scene]').waitFor()
    const done = Date.now()
    expect(taps()).toEqual([])

    await offline(false)
    await page.evaluate(() => dispatchEvent(new Event('online')))
    await page.locator('header', { hasText: '待上传 0' }).waitFor()
    const [acknowledge, leave] = taps()
    expect([acknowledge?.path, leave?.path]).toEqual(['/tasks/3/acknowledge', '/tasks/3/en-route'])
    for (const [tap, from, to] of [
      [acknowledge!, before, after],
      [leave!, second, done],
    ] as const) {
      expect(Number.isInteger(tap.at)).toBe(true)
      expect(tap.at).toBeGreaterThan(from - 2_000)
      expect(tap.at).toBeLessThan(to + 2_000)
    }
    expect(acknowledge!.at!).toBeLessThan(leave!.at!)
    // What the centre then tells is the same time.
    await page.locator('footer li:first-child', { hasText: tapped }).waitFor()
    await page.locator('.offline').waitFor({ state: 'detached' })
  })

  it('has what comes after the first picture: the page of a task, and the other language', async () => {
    const page = await open(phone)
    await page.locator('[data-task="3"]').waitFor()
    await kept(page)
    const cached = await page.evaluate(async () =>
      (await (await caches.open('page-1')).keys()).map(({ url }) => new URL(url).pathname),
    )
    for (const part of ['TaskPage', 'zh.phone', 'en.phone'])
      expect([part, cached.filter((path) => path.includes(`/${part}-`) && path.endsWith('.js')).length]).toEqual([
        part,
        1,
      ])
    // What only the centre says is not on a phone.
    expect(cached.filter((path) => path.includes('centre'))).toEqual([])
    await offline(true)
    await page.close()
    const again = await another('/m')
    await again.locator('[data-task="3"] .open').click()
    await again.locator('[data-act=acknowledge]').waitFor()
    await again.locator('header .back').click()
    await again.locator('nav button').last().click()
    await again.locator('button', { hasText: 'English' }).click()
    await again.locator('button', { hasText: '中文' }).waitFor()
    expect(await again.evaluate(() => document.documentElement.lang)).toBe('en')
  })

  it('counts a limit by the centre’s clock after a killed page', async () => {
    let page = await open({ ...phone, skew: 900_000 })
    await page.locator('[data-task="3"] .top b').waitFor()
    await page.waitForFunction(() => Math.abs(Number(localStorage.getItem('clock-offset')) + 900_000) < 5_000)
    await kept(page)
    const [first, at] = [left(await text(page, '[data-task="3"] .top b')), Date.now()]
    await offline(true)
    await page.close()
    page = await another('/m')
    await page.locator('[data-task="3"] .top b').waitFor()
    const passed = (Date.now() - at) / 1000
    const now = left(await text(page, '[data-task="3"] .top b'))
    expect(Math.abs(first - passed - now)).toBeLessThanOrEqual(3)
  })

  it('says that it does not know when nothing was ever kept', async () => {
    let page = await open({ ...phone, path: '/login' })
    // Its disk takes no tasks.
    await state.context.addInitScript(() => {
      const put = IDBObjectStore.prototype.put
      IDBObjectStore.prototype.put = function (value: unknown, key?: IDBValidKey) {
        return key === 'incidents' ? this.get('incidents') : put.call(this, value, key)
      }
    })
    await page.goto(state.harness.address + '/m')
    await page.locator('[data-task="3"]').waitFor()
    await kept(page, 'session')
    await page.close()
    await offline(true)
    page = await another('/m')
    await page.locator('.list .none', { hasText: '离线，本机没有存过任务，不知道有没有' }).waitFor()
    for (const tab of [0, 1, 2]) {
      await page.locator('nav button').nth(tab).click()
      expect(await text(page, '.list')).toBe('离线，本机没有存过任务，不知道有没有')
    }
    await page.locator('.offline').waitFor()
    expect(await clipped(page)).toEqual([])
  })
})

describe('a task', () => {
  it.each([
    ['zh', undefined, '76栋12单元28层2803户（老支书那栋东侧）', '内容：六楼冒烟，老人还在屋里，电话里有咳嗽声'],
    [
      'en',
      'en' as const,
      'Building 76 unit 12 floor 28 flat 2803, east of the school',
      'Report: 六楼冒烟，老人还在屋里，电话里有咳嗽声',
    ],
  ])('shows what was said, what to do, and all of its place, %s', async (_, locale, place, words) => {
    const page = await open({ ...phone, locale })
    await page.locator('[data-task="3"]').waitFor()
    state.harness.alter(3021, {
      text: { value: '六楼冒烟，老人还在屋里，电话里有咳嗽声' },
      place: {
        building: 'b12',
        unit: 12,
        floor: 28,
        flat: 2803,
        labelZh: '76栋12单元28层2803户（老支书那栋东侧）',
        labelEn: 'Building 76 unit 12 floor 28 flat 2803, east of the school',
      },
    })
    const card = page.locator('[data-task="3"]')
    await card.locator('h2', { hasText: place }).waitFor()
    for (const part of [place, words, '开单元门、停电梯、引导疏散']) expect(await card.innerText()).toContain(part)
    expect(await card.locator('.top b').innerText()).toMatch(/\d\d:\d\d/)
    expect(await clipped(page)).toEqual([])
    await card.locator('.open').click()
    const head = page.locator('.head')
    for (const part of [place, words, '开单元门、停电梯、引导疏散']) expect(await head.innerText()).toContain(part)
    expect(await head.locator('strong').innerText()).toMatch(/\d\d:\d\d/)
    expect(await clipped(page)).toEqual([])
    // The place takes lines, not dots, and leaves the time its own.
    const [name, time] = [await head.locator('.big b').boundingBox(), await head.locator('strong').boundingBox()]
    expect(name!.x + name!.width).toBeLessThanOrEqual(time!.x)
    expect(said).toEqual([])
  })

  it('is late from its push on, delivered or not, and opening it moves nothing', async () => {
    const pushed = Date.now() - 20_000
    const page = await open({ ...phone, path: '/login' })
    const task = { id: 3n, unit: 'property', mandatory: true, state: 'pushed', pushed: BigInt(pushed) }
    state.harness.alter(3021, { tasks: [task], clocks: [] })
    await page.goto(state.harness.address + '/m')
    const limit = page.locator('[data-task="3"] .top b')
    await limit.waitFor()
    const due = pushed + 60_000
    const counts = async (at: string): Promise<void> => {
      const from = Date.now()
      const shown = left(await text(page, at))
      const to = Date.now()
      expect(shown).toBeLessThanOrEqual((due - from) / 1000 + 1.5)
      expect(shown).toBeGreaterThanOrEqual((due - to) / 1000 - 1.5)
    }
    await counts('[data-task="3"] .top b')
    const when = /\d\d:\d\d:\d\d/.exec(await text(page, '[data-task="3"]'))![0]
    expect(Math.abs(seconds(when) - hall(pushed))).toBeLessThanOrEqual(1)
    await page.locator('[data-task="3"] .open').click()
    await expect.poll(() => state.harness.requests.map((r) => r.path)).toContain('/tasks/3/receipt')
    // A centre that began to count only now would not be believed either.
    state.harness.alter(3021, {
      clocks: [{ kind: 'acknowledge', task: 3n, since: BigInt(Date.now()), limit: 60_000n }],
      code: 'told',
    })
    await page.locator('[data-act=acknowledge]').waitFor()
    await counts('.head strong')
    expect(await text(page, '.head')).toContain(`${when} 指挥中心推送`)
  })

  it('tells whoever asked for support that it was sent, seen and answered', async () => {
    const page = await open(phone)
    await page.locator('[data-task="3"] .open').click()
    for (const step of ['acknowledge', 'en_route', 'on_scene']) await page.locator(`[data-act=${step}]`).click()
    await page.locator('[role=radio]', { hasText: '需支援' }).click()
    await page.locator('textarea').fill('两人被困七楼，要云梯')
    await offline(true)
    await page.locator('[data-act=feedback]').click()
    await page.locator('[data-support=queued]', { hasText: '待上传' }).waitFor()
    await offline(false)
    await page.evaluate(() => dispatchEvent(new Event('online')))
    await page.locator('[data-support=sent]', { hasText: '已报指挥中心，等待答复' }).waitFor()
    const at = Date.now()
    const asked = { why: 'support', task: 3n, since: BigInt(at - 30_000) }
    const by = { kind: 'account', id: 'duty', nameZh: '杨帆' }
    state.harness.alter(3021, { attention: [{ ...asked, taken: BigInt(at), takenBy: by }] }, { kind: 'attended', by })
    const clock = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', timeStyle: 'short', hourCycle: 'h23' })
    await page.locator('[data-support=taken]', { hasText: `中心已知悉 ${clock.format(at)}` }).waitFor()
    const reason = { text: { value: '119 云梯车已在路上' } }
    state.harness.alter(3021, { attention: [] }, { kind: 'attended', by, ...reason })
    await page.locator('[data-support=answered]', { hasText: /中心已答复 \d\d:\d\d：119 云梯车已在路上/ }).waitFor()
    expect(await clipped(page)).toEqual([])
    await page.locator('.back').click()
    expect(await text(page, '[data-task="3"]')).toContain('119 云梯车已在路上')
    const [feedback] = taps().filter((x) => x.path.endsWith('/feedback'))
    expect(feedback).toMatchObject({ result: 'need_support', at: expect.any(Number) as number })
  })
})
