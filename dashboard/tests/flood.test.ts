import { describe, expect, it } from 'vitest'
import { alarmRows, inFlood } from '../src/lib/flood'
import { lamps, type LampNames } from '../src/lib/lamps'
import { topOf } from '../src/lib/figures'
import type { Alarm, Incident } from '../src/lib/model'

const alarm = (id: number, raised: number, more: Partial<Alarm> = {}): Alarm =>
  ({
    id,
    kind: 'smoke',
    level: 1,
    mode: 0,
    code: '',
    raised,
    last: raised,
    cleared: 0,
    confirmed: 0,
    sounded: 0,
    verdict: '',
    judged: 0,
    incident: 0,
    shelvedUntil: 0,
    unlisted: 0,
    exhibits: [],
    open: true,
    cameras: [],
    place: { building: 'b1', landmark: '', grid: 'g', labelZh: '1栋' },
    sources: [
      { kind: 'sensor', id: `s${id}`, alarmKind: 'smoke', first: raised, at: raised, count: 1, active: true, rule: '' },
    ],
    ...more,
  }) as Alarm
const MIN = 60_000

describe('alarm flood', () => {
  it('begins at ten in ten minutes and ends below five, for whoever looks since when', () => {
    const ten = Array.from({ length: 10 }, (_, i) => ({ raised: (i + 1) * MIN, mode: 0 as const }))
    const at = (now: number): boolean => inFlood(ten, now)
    expect([at(9 * MIN), at(10 * MIN), at(15 * MIN + 1), at(16 * MIN), at(60 * MIN)]).toEqual([
      false,
      true,
      true,
      false,
      false,
    ])
    // Five in the window are none for a screen that saw no ten before.
    expect(inFlood(ten.slice(5), 15 * MIN)).toBe(false)
    expect(
      inFlood(
        Array.from({ length: 10 }, () => ({ raised: 5, mode: 0 as const })),
        5,
      ),
    ).toBe(true)
    expect(inFlood([], 5)).toBe(false)
  })
  it('counts neither exercises nor tests', () => {
    const many = (mode: 0 | 1 | 2) => Array.from({ length: 9 }, (_, i) => ({ raised: i * MIN, mode }))
    expect(inFlood([...many(0), ...many(1), ...many(2)], 9 * MIN)).toBe(false)
    expect(inFlood([...many(0), ...many(1), { raised: 9 * MIN, mode: 0 }], 9 * MIN)).toBe(true)
  })
  it('groups by building and kind with counts, and never a red one', () => {
    const list = Array.from({ length: 9 }, (_, i) => alarm(i, i * MIN)).concat([
      alarm(20, 5 * MIN, { level: 2 }),
      alarm(21, 6 * MIN, { level: 2 }),
      alarm(22, 7 * MIN, { kind: 'gas' }),
      alarm(23, 8 * MIN, { place: { building: 'b2' } as Alarm['place'] }),
    ])
    const rows = alarmRows(list, 9 * MIN, true)
    expect(rows.map((r) => [r.alarm.level, r.alarm.kind, r.members.length])).toEqual([
      [2, 'smoke', 1],
      [2, 'smoke', 1],
      [1, 'smoke', 1],
      [1, 'smoke', 9],
      [1, 'gas', 1],
    ])
    expect(alarmRows(list, 9 * MIN, false)).toHaveLength(list.length)
    expect(rows.flatMap((r) => r.members.map((m) => m.id)).sort()).toEqual(list.map((a) => a.id).sort())
  })
  it('shows the unconfirmed one of a group', () => {
    const rows = alarmRows([alarm(1, 1), alarm(2, 2, { confirmed: 5 })], 10, true)
    expect(rows[0]?.alarm.id).toBe(1)
  })
  it('makes one row of a chattering source', () => {
    const source = [
      { kind: 'sensor', id: 'x', alarmKind: 'smoke', first: 0, at: 0, count: 1, active: true, rule: '' },
    ] as Alarm['sources']
    const three = [0, 30_000, 60_000].map((at, i) => alarm(i, at, { sources: source }))
    expect(alarmRows(three, MIN, false).map((r) => [r.members.length, r.count])).toEqual([[3, 3]])
    const slow = [0, 31_000, 62_000].map((at, i) => alarm(i, at, { sources: source }))
    expect(alarmRows(slow, MIN, false)).toHaveLength(3)
    expect(
      alarmRows(
        three.map((a) => ({ ...a, level: 2 as const })),
        MIN,
        false,
      ),
    ).toHaveLength(3)
  })
  it('puts shelved ones last', () => {
    expect(
      alarmRows([alarm(1, 1, { level: 2, shelvedUntil: 99 }), alarm(2, 2)], 10, false).map((r) => r.alarm.id),
    ).toEqual([2, 1])
  })
})

const incident = (id: number, level: 0 | 1 | 2, building: string, reported = id): Incident =>
  ({
    id,
    level,
    open: true,
    reported,
    class: 'fire',
    place: { building, landmark: '', point: { x: 1, y: 2 } },
  }) as Incident
const names: LampNames = {
  place: () => '',
  spot: (p) => p.building,
  spotOf: (a) => a.place?.building ?? '',
  class: (c) => c,
  alarm: (k) => k,
  center: () => [5, 6],
}

describe('lamps and the top case', () => {
  it('gives a building its worst lamp; a case outweighs an alarm of its level', () => {
    const found = lamps(
      [incident(1, 0, 'b1'), incident(2, 2, 'b1'), incident(3, 1, 'b2')],
      [
        alarm(9, 1, { place: { building: 'b2' } as Alarm['place'] }),
        alarm(10, 1, { level: 2, place: { building: 'b3' } as Alarm['place'] }),
      ],
      10,
      names,
    )
    expect(found.map((l) => [l.building, l.level, l.hollow, l.flash]).sort()).toEqual([
      ['b1', 2, false, false],
      ['b2', 1, false, true],
      ['b3', 2, true, true],
    ])
  })
  it('takes red before yellow, cases before alarms, and nothing when all is ordinary', () => {
    expect(topOf([incident(1, 1, 'a'), incident(2, 2, 'b')], [], 0)?.incident?.id).toBe(2)
    expect(topOf([incident(1, 1, 'a')], [alarm(5, 1, { level: 2 })], 0)?.alarm?.id).toBe(5)
  })
  it('keeps a red alarm on top and its building lit while a source alarms, judged or its case closed', () => {
    const still = alarm(5, 1, { level: 2, confirmed: 1, verdict: 'genuine', incident: 9 })
    const over = { ...still, sources: still.sources.map((s) => ({ ...s, active: false })) }
    expect(topOf([incident(1, 1, 'a')], [still], 9)?.alarm?.id).toBe(5)
    expect(topOf([incident(1, 0, 'a')], [over], 9)).toBeNull()
    expect(topOf([], [{ ...still, verdict: 'false' }], 9)?.alarm?.id).toBe(5)
    expect(topOf([], [{ ...still, shelvedUntil: 10 }], 9)).toBeNull()
    // Cleared and judged by nobody is unanswered.
    expect(topOf([], [{ ...over, verdict: '' }], 9)?.alarm?.id).toBe(5)
    // One that waits to be judged comes before one that was.
    expect(topOf([], [alarm(6, 8, { ...still, id: 6, raised: 8 }), alarm(7, 1, { level: 2 })], 9)?.alarm?.id).toBe(7)

    const lit = (a: Alarm): unknown[] => lamps([], [a], 9, names).map((l) => [l.level, l.hollow, l.flash])
    expect(lit(still)).toEqual([[2, false, false]])
    expect(lit({ ...still, verdict: 'false' })).toEqual([[2, true, false]])
    expect(lit(over)).toEqual([])
    expect(lit({ ...still, shelvedUntil: 10 })).toEqual([])
  })
  it('flashes for a case that nobody took', () => {
    const asks = { ...incident(1, 2, 'b1'), mode: 0, attention: [{ why: 'opened', task: 0, since: 1, taken: 0 }] }
    const flash = (i: object): boolean[] => lamps([i as Incident], [], 9, names).map((l) => l.flash)
    expect(flash(asks)).toEqual([true])
    expect(flash({ ...asks, attention: [{ ...asks.attention[0], taken: 5 }] })).toEqual([false])
    expect(flash({ ...asks, mode: 1 })).toEqual([false])
  })
})
