import { readFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { parse } from '../src/lib/command'
import { dispatchKey } from '../src/lib/keys'
import type { Incident } from '../src/lib/model'
import type { SiteDocument } from '../src/lib/site'
import { UndoQueue } from '../src/lib/undo'

const site = JSON.parse(readFileSync(new URL('./fixtures/site.json', import.meta.url), 'utf8')) as SiteDocument
const incidents = new Map(['3017', '3021', '3022'].map((id) => [id, { id: Number(id) } as Incident]))
const read = (line: string) => parse(line, incidents, site.units)

describe('command line', () => {
  it('reads a push with initials and minutes', () => {
    expect(read('p 3017 xf 30')).toEqual({
      ok: true,
      command: { verb: 'push', incident: 3017, units: ['fire'], arrive: 30 },
    })
    expect(read('  P  3021 xf ga wy ')).toEqual({
      ok: true,
      command: { verb: 'push', incident: 3021, units: ['fire', 'police', 'property'] },
    })
    expect(read('派 3017 消防 30')).toMatchObject({ ok: true, command: { units: ['fire'], arrive: 30 } })
    expect(read('p 3017 xf xf')).toMatchObject({ ok: true, command: { units: ['fire'] } })
  })
  it('reads the other verbs', () => {
    expect(read('3021')).toEqual({ ok: true, command: { verb: 'go', incident: 3021 } })
    expect(read('m 3022 3021')).toEqual({ ok: true, command: { verb: 'merge', incident: 3022, into: 3021 } })
    expect(read('n 3021 已电话 报告')).toEqual({
      ok: true,
      command: { verb: 'note', incident: 3021, text: '已电话 报告' },
    })
    expect(read('b 3021 wy')).toEqual({ ok: true, command: { verb: 'recall', incident: 3021, unit: 'property' } })
    expect(read('y 3017')).toEqual({ ok: true, command: { verb: 'approve', incident: 3017 } })
  })
  it('says what it does not know and never guesses', () => {
    expect(read('')).toMatchObject({ ok: false, why: 'empty' })
    expect(read('p 3017')).toMatchObject({ ok: false, why: 'incomplete' })
    expect(read('p 9999 xf')).toMatchObject({ ok: false, why: 'noIncident', word: '9999' })
    expect(read('p 3017 zz')).toMatchObject({ ok: false, why: 'noUnit', word: 'zz' })
    expect(read('p 3017 x')).toMatchObject({ ok: false, why: 'noUnit', word: 'x' })
    expect(read('k 3017')).toMatchObject({ ok: false, why: 'noVerb', word: 'k' })
    expect(read('y 3017 3021')).toMatchObject({ ok: false, why: 'noVerb' })
    expect(read('m 3017 9999')).toMatchObject({ ok: false, why: 'noIncident', word: '9999' })
  })
  it('knows every department by its own initials', () => {
    for (const unit of site.units)
      expect(read(`p 3017 ${unit.initials}`)).toMatchObject({ ok: true, command: { units: [unit.id] } })
  })
})

describe('keys', () => {
  const press = (over: Partial<KeyboardEvent>): KeyboardEvent =>
    ({ key: 'a', preventDefault: () => undefined, target: null, ...over }) as KeyboardEvent
  vi.stubGlobal('HTMLElement', class {})
  vi.stubGlobal('HTMLButtonElement', class {})
  it('runs the first action that may be used, but never while an IME composes', () => {
    const run = vi.fn()
    const actions = [
      {
        key: 'a',
        cap: 'A',
        name: 'x',
        when: () => false,
        run: () => {
          throw new Error('not now')
        },
      },
      { key: 'a', cap: 'A', name: 'y', run },
    ]
    expect(dispatchKey(press({}), actions)).toBe(true)
    expect(dispatchKey(press({ isComposing: true }), actions)).toBe(false)
    expect(dispatchKey(press({ keyCode: 229 }), actions)).toBe(false)
    expect(dispatchKey(press({ ctrlKey: true }), actions)).toBe(false)
    expect(run).toHaveBeenCalledTimes(1)
  })
})

describe('undo', () => {
  it('holds an ordinary push for eight seconds and lets it be taken back', async () => {
    vi.useFakeTimers()
    const queue = new UndoQueue(() => undefined)
    const send = vi.fn().mockResolvedValue(undefined)
    await queue.add('a', false, send)
    await vi.advanceTimersByTimeAsync(7_900)
    expect(send).not.toHaveBeenCalled()
    await queue.undo()
    await vi.advanceTimersByTimeAsync(20_000)
    expect(send).not.toHaveBeenCalled()
    await queue.add('b', false, send)
    await vi.advanceTimersByTimeAsync(8_300)
    expect(send).toHaveBeenCalledTimes(1)
    vi.useRealTimers()
  })
  it('lets a red one leave at once and recalls it', async () => {
    vi.useFakeTimers()
    const queue = new UndoQueue(() => undefined)
    const [send, recall] = [vi.fn().mockResolvedValue(undefined), vi.fn().mockResolvedValue(undefined)]
    await queue.add('red', true, send, recall)
    expect(send).toHaveBeenCalledTimes(1)
    await queue.undo()
    expect(recall).toHaveBeenCalledTimes(1)
    vi.useRealTimers()
  })
  it('sends a waiting one when the next is given', async () => {
    vi.useFakeTimers()
    const queue = new UndoQueue(() => undefined)
    const [first, second] = [vi.fn().mockResolvedValue(undefined), vi.fn().mockResolvedValue(undefined)]
    await queue.add('1', false, first)
    await queue.add('2', false, second)
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 0])
    await queue.undo()
    vi.useRealTimers()
  })
  it('loses none of three that are given while the first is on its way', async () => {
    vi.useFakeTimers()
    const queue = new UndoQueue(() => undefined)
    const slow = vi.fn(() => new Promise((done) => setTimeout(done, 3_000)))
    const [second, third] = [vi.fn().mockResolvedValue(undefined), vi.fn().mockResolvedValue(undefined)]
    void queue.add('1', false, slow)
    void queue.add('2', false, second)
    void queue.add('3', false, third)
    await vi.advanceTimersByTimeAsync(12_000)
    expect([slow, second, third].map((f) => f.mock.calls.length)).toEqual([1, 1, 1])
    vi.useRealTimers()
  })
  it('recalls a red one that is still on its way when it has been answered, and not at all if it was refused', async () => {
    const order: string[] = []
    const queue = new UndoQueue(() => order.push('refused'))
    let answer: (() => void) | undefined
    void queue.add(
      'red',
      true,
      () => new Promise<void>((done) => (answer = done)).then(() => order.push('sent')),
      () => Promise.resolve(order.push('recalled')),
    )
    const undone = queue.undo()
    answer?.()
    await undone
    expect(order).toEqual(['sent', 'recalled'])
    void queue.add(
      'red',
      true,
      () => Promise.reject(new Error('no')),
      () => Promise.resolve(order.push('recalled')),
    )
    await queue.undo()
    expect(order).toEqual(['sent', 'recalled', 'refused'])
  })
})
