// Every state and fault of a camera has its own sentence in both languages; no name for machines reaches a screen.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { en, zh } from '../src/i18n/all'
import { causeOf, checkKey, FAULTS, OTHER, STATES, wordKey } from '../src/lib/camera-words'

const say = (messages: unknown, key: string): string =>
  key.split('.').reduce((at, part) => (at as Record<string, unknown>)[part], messages) as string
const all = [...STATES, ...FAULTS, 'something_new']

it('knows every name that the video service gives', () => {
  const rust = readFileSync(new URL('../../services/link/src/media.rs', import.meta.url), 'utf8')
  const names = [...rust.matchAll(/Self::\w+ => "([a-z_]+)"/g)].map((m) => m[1]!)
  expect(names.length).toBeGreaterThan(8)
  const convert = readFileSync(new URL('../../services/link/src/net/convert.rs', import.meta.url), 'utf8')
  const faults = [...convert.matchAll(/PictureFault::\w+ => "([a-z_]+)"/g)].map((m) => m[1]!)
  expect(faults.length).toBeGreaterThan(1)
  for (const name of names.filter((n) => n !== 'online')) expect(causeOf({ state: name, fault: '' })).toBe(name)
  for (const name of faults) expect(causeOf({ state: 'online', fault: name })).toBe(name)
})

it('names each with a sentence of its own, in its language alone', () => {
  for (const key of [wordKey, checkKey]) {
    expect(new Set(all.map((c) => say(zh, key(c)))).size).toBe(all.length)
    expect(new Set(all.map((c) => say(en, key(c)))).size).toBe(all.length)
    for (const cause of all) {
      expect(say(zh, key(cause))).not.toMatch(/[a-z]/i)
      expect(say(en, key(cause))).not.toMatch(/[\u3000-\u9fff\uff00-\uffef]|_/)
    }
  }
  for (const cause of all.filter((c) => c !== 'connecting')) {
    expect(say(zh, checkKey(cause))).toContain('：')
    expect(say(en, checkKey(cause))).toContain(': ')
  }
})

it('is well only when it is online without a fault', () => {
  expect(causeOf({ state: 'online', fault: '' })).toBe('')
  expect(causeOf(undefined)).toBe('unknown')
  expect(causeOf({ state: 'something_new', fault: '' })).toBe(OTHER)
  expect(causeOf({ state: '', fault: '' })).toBe(OTHER)
  expect(causeOf({ state: 'online', fault: 'something_new' })).toBe(OTHER)
  expect(say(zh, checkKey(causeOf({ state: 'online', fault: 'blurred' })))).not.toContain('正常')
  expect(say(zh, checkKey(causeOf({ state: 'unauthorised', fault: '' })))).toMatch(/密码/)
})
