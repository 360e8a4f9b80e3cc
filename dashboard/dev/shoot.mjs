// Screenshots of built screens against the harness: node dev/shoot.mjs <out folder> [name …]
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { start } from './harness.mjs'

const out = process.argv[2]
const wanted = process.argv.slice(3)
mkdirSync(out, { recursive: true })
const shots = [
  ['wall', 'fire', 'wall_display', '/wall', 1920, 1080],
  ['wall-calm', 'calm', 'wall_display', '/wall', 1920, 1080],
  ['sheet', 'fire', 'wall_display', '/wall?view=sheet', 1920, 1080],
  ['wide', 'fire', 'wall_display', '/wall', 3840, 1080],
  ['console', 'fire', 'shift_chief', '/console', 1920, 1080],
  ['mobile', 'fire', 'department_clerk', '/m', 390, 844],
  ['devices', 'fire', 'shift_chief', '/devices', 1920, 1080],
].filter(([name]) => wanted.length === 0 || wanted.includes(name))
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
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
for (const [name, scenario, role, path, width, height] of shots) {
  const harness = await start({ scenario, role })
  const page = await browser.newPage({ viewport: { width, height } })
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.log(name, m.type(), m.text()))
  page.on('pageerror', (e) => console.log(name, 'PAGE', e.message))
  await page.goto(harness.address + path)
  await page.waitForTimeout(5000)
  await page.screenshot({ path: join(out, `${name}.png`) })
  await page.close()
  await harness.close()
  console.log(name)
}
await browser.close()
