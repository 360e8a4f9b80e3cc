// Cameras by key: a number chooses one, the main stream fills the page, tours stand; and changing cases is silent.
import { expect, it } from 'vitest'
import { inChromium, TEST_HANGS } from './browser'

const { state, said, open } = inChromium()

it(
  'choosing between cases with exhibits leaves no error behind',
  async () => {
    const page = await open({ scenario: 'fire', role: 'shift_chief', path: '/console', size: [1440, 900] })
    await page.locator('[data-live="true"]').first().waitFor()
    const ids = await page
      .locator('[data-row="incident"]')
      .evaluateAll((rows) => rows.map((r) => Number(/\b3\d{3}\b/.exec(r.textContent ?? '')?.[0])).filter((n) => n > 0))
    const chosen = ids.slice(0, 3)
    expect(chosen.length).toBe(3)
    const at = BigInt(Date.now() - 60_000)
    for (const id of chosen)
      state.harness.alter(id, {
        exhibits: ['still', 'photo'].map((kind) => ({ blob: `${kind}${id}`, kind, camera: 'c001', from: at, to: at })),
      })
    const seen = new Set<string | null>()
    // At leisure, with pictures standing each time, and then faster than any picture comes.
    for (const [n, slow] of [true, true, true, true, false, false, false, false, false, false, true].entries()) {
      const id = chosen[n % 3]!
      await page
        .locator('[data-row="incident"]', { hasText: String(id) })
        .first()
        .click()
      if (!slow) continue
      await page.locator(`.shots img[src$="still${id}"]`).waitFor()
      await page.locator('.right [data-live="true"]').nth(1).waitFor()
      seen.add(await page.locator('.right .tile').first().getAttribute('data-camera'))
    }
    expect(seen.size).toBeGreaterThan(1)
    expect(said).toEqual([])
  },
  TEST_HANGS,
)

it(
  'the console takes a number, keeps 1 to 4 for what is near, and shows the chosen one in full',
  async () => {
    const page = await open({ scenario: 'fire', role: 'shift_chief', path: '/console', size: [1440, 900] })
    await page.locator('.right .slot').nth(1).waitFor()
    const id = (number: number) =>
      (state.harness as unknown as { site: { cameras: { id: string; number: number }[] } }).site.cameras.find(
        (c) => c.number === number,
      )!.id
    const near = await page.locator('.right .slot .tile').nth(1).getAttribute('data-camera')
    await page.keyboard.press('2')
    await page.locator(`.slot.chosen [data-camera="${near}"]`).waitFor()
    for (const key of ['Escape', '1', '1']) await page.keyboard.press(key)
    await page.locator('[data-typed]', { hasText: '11' }).waitFor()
    expect(await page.locator('.slot.chosen').count()).toBe(0)
    for (const key of ['2', 'Enter']) await page.keyboard.press(key)
    await page.locator(`.slot.chosen [data-camera="${id(112)}"]`).waitFor()
    await page.keyboard.press('Enter')
    await page.locator(`[data-full] [data-camera="${id(112)}"]`).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('[data-full]').waitFor({ state: 'detached' })
    for (const key of ['9', '9', '9', 'Enter']) await page.keyboard.press(key)
    await page.locator('[data-typed]', { hasText: '没有 999 号摄像头' }).waitFor()
    expect(await page.locator(`.slot.chosen [data-camera="${id(112)}"]`).count()).toBe(1)
  },
  TEST_HANGS,
)

it(
  'the wall takes a number to its sheet, and its tour stands and steps by key',
  async () => {
    const page = await open({ scenario: 'calm', role: 'wall_display', path: '/wall', size: [1920, 1080] })
    const group = page.locator('.tour h2')
    await page.locator('.tour .tile').first().waitFor()
    await page.keyboard.press(' ')
    await group.filter({ hasText: '巡视已暂停' }).waitFor()
    const shown = () => page.locator('.tour .tile').first().getAttribute('data-camera')
    const first = await shown()
    await page.keyboard.press(']')
    await page.locator(`.tour .slot:first-child .tile:not([data-camera="${first}"])`).waitFor()
    await page.keyboard.press('[')
    await page.locator(`.tour .slot:first-child .tile[data-camera="${first}"]`).waitFor()
    await page.keyboard.press(' ')
    await group.filter({ hasText: '下一组' }).waitFor()
    for (const key of ['1', '1', '2', 'Enter']) await page.keyboard.press(key)
    await page.locator('.sheet aside h2', { hasText: '112' }).waitFor()
    await page.keyboard.press('f')
    await page.locator('[data-full] figcaption', { hasText: '112' }).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('[data-full]').waitFor({ state: 'detached' })
    await page.locator('.sheet').waitFor()
    await page.locator('.sheet li[data-cell]').first().dblclick()
    await page.locator('[data-full] figcaption', { hasText: '001' }).waitFor()
    expect(said).toEqual([])
  },
  TEST_HANGS,
)
