// Chromium, and pages that fail their test when they are not quiet: a console error or warning, an exception, an answer
// of 400 or above, or a request that leaves this machine.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { ROOT, type Centre } from './centre'
import type { Person } from './people'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
]

export class Screens {
  private readonly noises: string[] = []
  private announced: RegExp[] = []
  private readonly contexts: { context: BrowserContext; folder: string }[] = []
  constructor(private readonly centre: Centre) {}

  /** A browser of its own with an empty profile. */
  async open({
    width,
    height,
    who,
    locale,
  }: {
    width: number
    height: number
    who?: Person
    locale?: 'zh' | 'en'
  }): Promise<Page> {
    const folder = mkdtempSync(join(tmpdir(), 'maojiawan-chromium-'))
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: '/usr/bin/chromium',
      args: FLAGS,
      viewport: { width, height },
      locale: 'zh-CN',
      timezoneId: 'Asia/Shanghai',
    })
    this.contexts.push({ context, folder })
    if (who !== undefined) {
      const [name = '', value = ''] = who.cookie.split(/=(.*)/s)
      await context.addCookies([{ name, value, url: this.centre.address, httpOnly: true, sameSite: 'Strict' }])
    }
    if (locale !== undefined) await context.addInitScript((l) => localStorage.setItem('locale', l), locale)
    context.setDefaultTimeout(120_000)
    const page = context.pages()[0] ?? (await context.newPage())
    this.listen(context)
    return page
  }

  private listen(context: BrowserContext): void {
    const note = (what: string): void => void this.noises.push(what)
    context.on(
      'console',
      (m) => ['error', 'warning'].includes(m.type()) && note(`console ${m.type()}: ${m.text()} (${m.location().url})`),
    )
    context.on('weberror', (e) => note(`exception: ${e.error().message}`))
    context.on('response', (r) => r.status() >= 400 && note(`answer ${r.status()}: ${r.request().method()} ${r.url()}`))
    context.on('request', (r) => {
      const url = new URL(r.url())
      if (!['blob:', 'data:'].includes(url.protocol) && url.host !== `127.0.0.1:${this.centre.port}`)
        note(`left the site: ${r.url()}`)
    })
  }

  /** What a failed test leaves behind: a picture of every page, what the pages said, and the end of the log. */
  async evidence(test: string): Promise<void> {
    const folder = join(ROOT, 'target/e2e')
    mkdirSync(folder, { recursive: true })
    const name = test.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 40)
    const pages = this.contexts.flatMap(({ context }) => context.pages())
    for (const [n, page] of pages.entries())
      await page.screenshot({ path: join(folder, `${name}-${n}.png`) }).catch(() => undefined)
    console.error([...this.noises, ...this.centre.log.slice(-20)].join('\n'))
  }

  /** Noise that the coming test causes. */
  announce(...noises: RegExp[]): void {
    this.announced.push(...noises)
  }
  noise(): string[] {
    return this.noises.filter((n) => !this.announced.some((known) => known.test(n)))
  }
  async close(): Promise<void> {
    for (const { context, folder } of this.contexts.splice(0)) {
      await context.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
