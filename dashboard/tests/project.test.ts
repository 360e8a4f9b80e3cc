import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
// @ts-expect-error plain script
import { stale } from '../dev/generate.mjs'
import { en, zh } from '../src/i18n/all'
import { phone } from '../src/i18n/zh.phone'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const keys = (of: object, at = ''): string[] =>
  Object.entries(of).flatMap(([k, v]: [string, unknown]) =>
    typeof v === 'string' ? [`${at}${k}`] : keys(v as object, `${at}${k}.`),
  )
const pick = (of: object, key: string): string =>
  key.split('.').reduce<unknown>((o, k) => (o as Record<string, unknown>)[k], of) as string
const holes = (s: string): string[] => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? '').sort()

describe('languages', () => {
  it('have the same keys with the same holes', () => {
    expect(keys(en)).toEqual(keys(zh))
    for (const key of keys(zh)) expect([key, holes(pick(en, key))]).toEqual([key, holes(pick(zh, key))])
  })
  it('hold every key that is written out in the screens', () => {
    const known = new Set(keys(zh))
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) =>
      /\.(vue|ts)$/.test(f),
    )
    const used = files.flatMap((f) =>
      [...read(`src/${f}`).matchAll(/\bt\('([a-zA-Z_.0-9]+[a-zA-Z_0-9])'/g)].map((m) => m[1] ?? ''),
    )
    expect(used.length).toBeGreaterThan(100)
    expect([...new Set(used)].filter((k) => !known.has(k))).toEqual([])
  })
  it('hold on the phone what the phone says', () => {
    const files = readdirSync(join(root, 'src/mobile')).map((f) => `src/mobile/${f}`)
    files.push('src/lib/session.ts', 'src/lib/format.ts', 'src/plan/LevelMark.vue', 'src/App.vue')
    const sections = new Set(keys(zh).map((k) => k.split('.')[0]!))
    const said = files.flatMap((f) => [...read(f).matchAll(/['`]([a-z][A-Za-z]*)\.(?=[\w$'`])/g)].map((m) => m[1]!))
    const used = [...new Set(said)].filter((x) => sections.has(x))
    expect(used.length).toBeGreaterThan(5)
    expect(used.filter((x) => !(x in phone))).toEqual([])
  })
})

describe('generated code', () => {
  // Two compilers are started.
  it('is what the contract gives', () => expect(stale()).toEqual([]), 120_000)
})

describe('lock file', () => {
  it('names no registry', () => {
    expect(read('package-lock.json')).not.toContain('"resolved"')
    expect(read('package-lock.json')).not.toMatch(/registry\./)
  })
})

/** Bytes that a visitor of a route fetches before the first picture: scripts and styles, fonts apart. */
describe('size budgets', () => {
  interface Chunk {
    file: string
    css?: string[]
    imports?: string[]
    dynamicImports?: string[]
  }
  const manifest = (): Record<string, Chunk> => JSON.parse(read('dist/.vite/manifest.json')) as Record<string, Chunk>
  const words = ['phone', 'centre'].map((part) => `src/i18n/zh.${part}.ts`)
  function weight(entries: string[]): number {
    const all = manifest()
    const files = new Set<string>()
    const visit = (name: string): void => {
      const chunk = all[name]
      if (chunk === undefined || files.has(chunk.file)) return
      files.add(chunk.file)
      for (const css of chunk.css ?? []) files.add(css)
      for (const inner of chunk.imports ?? []) visit(inner)
    }
    for (const entry of entries) {
      expect(all[entry], entry).toBeDefined()
      visit(entry)
    }
    return [...files].reduce((sum, f) => sum + gzipSync(readFileSync(join(root, 'dist', f)), { level: 9 }).length, 0)
  }
  const panels = ['IntakePanel', 'HelpPanel', 'ExtraPanel'].map((p) => `src/console/${p}.vue`)
  const cases: [string, string[], number][] = [
    ['mobile', [words[0]!, 'src/mobile/Page.vue'], 120_000],
    [
      'console',
      [...words, 'src/centre/CentreShell.vue', 'src/console/Page.vue', ...panels, 'src/demo/DemoPanel.vue'],
      300_000,
    ],
    ['wall', [...words, 'src/wall/Page.vue'], 300_000],
  ]
  it.each(cases)('%s', (name, entries, budget) => {
    expect(existsSync(join(root, 'dist')), 'npm run build comes first').toBe(true)
    const bytes = weight(['index.html', ...entries])
    console.log(`size ${name}: ${(bytes / 1000).toFixed(1)} kB of ${budget / 1000} kB`)
    expect(bytes).toBeLessThanOrEqual(budget)
  })
  it('holds no stand-in data', () => {
    for (const f of readdirSync(join(root, 'dist/assets')).filter((x) => x.endsWith('.js')))
      expect(read(`dist/assets/${f}`)).not.toContain('李国平')
  })
})
