// How the left column of the console shares its height, and what the one key to the alarm opens.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ALARM, HEAD, LINE, share, type Wants } from '../src/console/room'
import { nextCall } from '../src/centre/next-call'
import type { Call } from '../src/lib/attention'

/** The height of the column at 1440 × 900 and at 1280 × 720. */
const TALL = 756
const SMALL = 576
const wants = (more: Partial<Wants>): Wants => ({
  flood: false,
  alarms: 5,
  redAlarms: 0,
  urgent: 0,
  redCases: 0,
  ...more,
})

describe('the height of the left column', () => {
  it('gives every unanswered red a row while one line each is enough', () => {
    expect(share(TALL, wants({ alarms: 4, redAlarms: 4, urgent: 8, redCases: 8 }))).toMatchObject({
      dense: false,
      alarms: 4,
      cases: 8,
    })
    expect(share(TALL, wants({ alarms: 9, redAlarms: 7, urgent: 9, redCases: 9 }))).toMatchObject({
      dense: true,
      alarms: 7,
      cases: 9,
    })
  })
  it('leaves room for the stages below what is only late', () => {
    const { cases } = share(TALL, wants({ urgent: 30, redCases: 1 }))
    expect(cases).toBeGreaterThanOrEqual(4)
    expect(cases).toBeLessThan(10)
  })
  it('never promises more rows than there is height for, and cuts no red while there is height left', () => {
    const any = fc.record({
      flood: fc.boolean(),
      redAlarms: fc.nat(25),
      others: fc.nat(25),
      redCases: fc.nat(25),
      late: fc.nat(25),
      height: fc.constantFrom(TALL, SMALL, 936),
    })
    fc.assert(
      fc.property(any, ({ flood, redAlarms, others, redCases, late, height }) => {
        const [alarms, urgent] = [redAlarms + others, redCases + late]
        const s = share(height, { flood, alarms, redAlarms, urgent, redCases })
        const each = s.dense ? LINE : ALARM
        const fixed = 40 + (flood ? 24 : 0) + 48 + (urgent > 0 ? HEAD : 0)
        // What stands fixed fits beside the titles.
        expect(fixed + s.alarms * each + s.cases * LINE).toBeLessThanOrEqual(height)
        // Reds that could all stand in one line each all do.
        const least = fixed + redAlarms * LINE + (others > 0 ? HEAD : 0) + redCases * LINE + HEAD
        if (least <= height) expect([s.alarms, s.cases >= redCases]).toEqual([redAlarms, true])
      }),
      { numRuns: 3000 },
    )
  })
})

describe('the key to the alarm', () => {
  const call = (kind: 'alarm' | 'case', id: number): Call => ({ kind, id, level: 2, why: 'opened', since: 1, task: 0 })
  it('opens the gravest, pressed again the next, and starts anew when something has changed', () => {
    const [a, b, c] = [call('case', 1), call('alarm', 2), call('case', 3)]
    expect(nextCall([a, b])).toBe(a)
    expect(nextCall([a, b])).toBe(b)
    expect(nextCall([a, b])).toBe(a)
    expect(nextCall([c, a, b])).toBe(c)
    expect(nextCall([])).toBeUndefined()
    expect(nextCall([b])).toBe(b)
    expect(nextCall([b])).toBe(b)
  })
})
