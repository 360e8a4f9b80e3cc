// The three screens, and the steps of an incident as people take them on these screens.
import { expect } from 'vitest'
import type { Page } from 'playwright-core'
import { words as consoleWords } from '../../../dashboard/src/console/zh'
import { words as demoWords } from '../../../dashboard/src/demo/zh'
import { words } from '../../../dashboard/src/i18n/zh'
import { phone } from '../../../dashboard/src/i18n/zh.phone'
import { words as loginWords } from '../../../dashboard/src/login/zh'
import type { Screens } from './browser'
import type { Centre } from './centre'
import { panel, Person, type IncidentView } from './people'
import { until } from './wait'

/** What the screens say that these walks go through. */
export const zh = {
  ...phone,
  ...words,
  ...loginWords,
  ...demoWords,
  ...consoleWords,
  nav: { ...demoWords.nav, ...consoleWords.nav },
}

/** Units without a system of their own. */
const FIRMS = ['property', 'lift_firm']

export class Desk {
  private readonly phones = new Map<string, Page>()
  private constructor(
    readonly centre: Centre,
    readonly screens: Screens,
    readonly duty: Person,
    readonly chief: Person,
    readonly wall: Page,
    readonly console: Page,
    readonly chiefConsole: Page,
  ) {}

  static async open(centre: Centre, screens: Screens): Promise<Desk> {
    const [duty, chief, wall] = await Promise.all(
      ['duty', 'chief', 'wall'].map((account) => Person.login(centre, account)),
    )
    const size = { width: 1920, height: 1080 }
    const wallPage = await screens.open({ ...size, who: wall! })
    const chiefPage = await screens.open({ ...size, who: chief! })
    const consolePage = await screens.open(size)
    await Promise.all([
      wallPage.goto(`${centre.address}/wall`),
      chiefPage.goto(`${centre.address}/console`),
      signIn(consolePage, centre, 'duty'),
    ])
    await Promise.all([consolePage, chiefPage].map((page) => page.locator('.console').waitFor()))
    return new Desk(centre, screens, duty!, chief!, wallPage, consolePage, chiefPage)
  }

  /** The mobile page of a unit, opened once. */
  async phone(unit: string): Promise<Page> {
    const known = this.phones.get(unit)
    if (known !== undefined) return known
    const page = await this.screens.open({ width: 390, height: 844, who: await Person.login(this.centre, unit) })
    await page.goto(`${this.centre.address}/m`)
    this.phones.set(unit, page)
    return page
  }

  /** Chooses an incident by the command line: `/`, its number, Enter. */
  async choose(page: Page, id: number): Promise<void> {
    await page.keyboard.press('/')
    await page.keyboard.type(String(id))
    await page.getByText(zh.command.go.replace('{id}', String(id))).waitFor()
    await page.keyboard.press('Enter')
    await page.locator(`[data-incident="${id}"]`).waitFor()
  }

  /** Both consoles show the stage, and the wall shows the incident with it, or no longer when it is closed. */
  async shows(id: number, stage: keyof typeof zh.stage): Promise<void> {
    await this.console.locator(`[data-incident="${id}"][data-stage="${stage}"]`).waitFor()
    const row = this.wall.locator('[data-row=incident]', { hasText: new RegExp(`^\\s*${id} `) })
    if (stage === 'closed') await row.waitFor({ state: 'detached' })
    else await row.filter({ hasText: zh.stage[stage] }).waitFor()
  }

  /** Confirms and judges the alarm of this kind by keys; gives the incident. */
  async judge(kind: string, className?: string): Promise<number> {
    const page = this.console
    const row = page.locator('[data-row=alarm]', { hasText: kind }).first()
    await row.waitFor()
    await this.wall.locator('[data-row=alarm]', { hasText: kind }).first().waitFor()
    await row.click()
    await page.locator('[data-alarm]').waitFor()
    await page.keyboard.press(' ')
    await row.filter({ hasText: zh.alarm.state.awaiting }).waitFor()
    if (className === undefined) await page.keyboard.press('j')
    else {
      await page.keyboard.press('k')
      const ask = page.getByRole('form', { name: zh.act.judge })
      await ask.locator('select[name=class]').selectOption({ label: className })
      await page.keyboard.press('Enter')
      await ask.waitFor({ state: 'detached' })
    }
    const id = Number(await page.locator('[data-incident][data-stage=accepted]').getAttribute('data-incident'))
    expect(id).toBeGreaterThan(0)
    return id
  }

  async file(id: number): Promise<void> {
    await this.console.keyboard.press('c')
    await this.console.getByRole('form', { name: zh.act.file }).waitFor()
    await this.console.keyboard.press('Enter')
    await this.shows(id, 'pending_approval')
  }

  async approve(id: number): Promise<void> {
    await this.choose(this.chiefConsole, id)
    await this.chiefConsole.keyboard.press('y')
    await this.shows(id, 'approved')
  }

  /** Pushes to the units of the plan, as proposed: P, Enter. Departments' systems have it at once; firms see it on their phones. */
  async push(id: number): Promise<IncidentView> {
    await this.console.keyboard.press('p')
    await this.console.getByRole('dialog', { name: `${zh.act.push}` }).waitFor()
    await this.console.keyboard.press('Enter')
    return until('it is pushed, and every department has it', async () => {
      const found = await this.duty.incident(id)
      return found.tasks.length > 0 && found.tasks.every((t) => t.state !== 'pushed' || FIRMS.includes(t.unit))
        ? found
        : null
    })
  }

  /** A unit's whole way on its phone, with a photo. */
  async handleOnPhone(unit: string, task: number): Promise<void> {
    const page = await this.phone(unit)
    const card = page.locator(`[data-task="${task}"]`)
    await card.waitFor()
    await card.locator('[data-act=acknowledge]').click()
    await page.locator(`[data-task="${task}"] .open`).click()
    for (const step of ['en_route', 'on_scene'] as const) await page.locator(`[data-act=${step}]`).click()
    const camera = await this.duty.ask('GET', '/api/v1/cameras/c001/still')
    await page
      .locator('input[type=file]')
      .setInputFiles({ name: 'scene.jpg', mimeType: 'image/jpeg', buffer: Buffer.from(await camera.arrayBuffer()) })
    await page.locator('ul.photos li img').waitFor()
    await page.getByLabel(zh.mobile.explain).fill('现场已处置，照片为证')
    await page.locator('[data-act=feedback]').click()
    await page.getByText(zh.task.state.done).last().waitFor()
    await page.getByRole('button', { name: zh.mobile.back }).click()
  }

  /** A department's whole way by its own system, which signs its calls. */
  async handleBySystem(unit: string, task: number): Promise<void> {
    await until(`${unit} has the task`, async () =>
      (await panel<{ tasks: { task: number }[] }>(this.centre, 'GET', `/departments/${unit}/tasks`)).tasks.some(
        (t) => t.task === task,
      ),
    )
    for (const step of ['acknowledge', 'en_route', 'on_scene', 'feedback'])
      await panel(this.centre, 'POST', `/departments/${unit}/steps`, { task, step })
  }

  async verifyAndClose(id: number): Promise<void> {
    await this.choose(this.console, id)
    await this.shows(id, 'awaiting_verification')
    await this.console.keyboard.press('v')
    // What still stands needs a reason.
    await this.console.getByRole('form', { name: zh.act.verify }).locator('[name=text]').fill('现场已核查')
    await this.console.keyboard.press('Enter')
    await this.shows(id, 'verified')
    await this.console.keyboard.press('q')
    await this.console.getByRole('form', { name: zh.act.close }).locator('[name=text]').fill('已告知报告人')
    await this.console.keyboard.press('Enter')
    await this.shows(id, 'closed')
    const told = await this.console.locator('[data-row=event]').allInnerTexts()
    expect(told.length).toBeGreaterThan(8)
    expect(
      told.filter((line) => /[a-z]_[a-z]/.test(line)),
      'every line is in words',
    ).toEqual([])
  }
}

/** By the login page, as a person does. */
export async function signIn(page: Page, centre: Centre, account: string): Promise<void> {
  await page.goto(`${centre.address}/login`)
  await page.getByLabel(zh.login.account).fill(account)
  await page.getByLabel(zh.login.password).fill('maojiawan')
  await page.getByRole('button', { name: zh.login.enter, exact: true }).first().click()
}
