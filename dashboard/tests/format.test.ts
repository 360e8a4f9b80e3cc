import { describe, expect, it } from 'vitest'
import { ServerClock } from '../client/src'
import { age, dayStart, light, moment, remaining, running, span, time } from '../src/lib/format'
import type { Clock } from '../src/lib/model'

const clock = (since: number, limit: number, ended = 0): Clock => ({ kind: 'arrive', task: 1, since, limit, ended })

describe('limits', () => {
  it('counts down, then over', () => {
    expect(remaining(clock(0, 300_000), 101_000)).toEqual({ over: false, text: '03:19' })
    expect(remaining(clock(0, 300_000), 300_000)).toEqual({ over: false, text: '00:00' })
    expect(remaining(clock(0, 300_000), 492_000)).toEqual({ over: true, text: '+03:12' })
    expect(remaining(clock(0, 4 * 3_600_000), 0)).toEqual({ over: false, text: '4 时' })
  })
  it('is yellow from 80 % and red when over, and stops at its end', () => {
    expect(light(clock(0, 100), 79)).toBe('green')
    expect(light(clock(0, 100), 80)).toBe('yellow')
    expect(light(clock(0, 100), 100)).toBe('yellow')
    expect(light(clock(0, 100), 101)).toBe('red')
    expect(light(clock(0, 100, 50), 5000)).toBe('green')
  })
  it('puts the most pressing running clock first', () => {
    expect(running([clock(0, 900), clock(0, 100, 20), clock(0, 300)]).map((c) => c.limit)).toEqual([300, 900])
  })
})
describe('times', () => {
  it('speaks the site’s time', () => {
    expect(time(Date.parse('2026-11-24T13:14:36Z'))).toBe('21:14:36')
    expect(time(Date.parse('2026-11-23T16:00:00Z'))).toBe('00:00:00')
    expect(time(0)).toBe('')
    expect(dayStart(Date.parse('2026-11-24T15:59:59Z'))).toBe(Date.parse('2026-11-23T16:00:00Z'))
  })
  it('writes spans and ages', () => {
    expect([span(152_000), span(3_752_000), span(-5)]).toEqual(['02:32', '1:02:32', '00:00'])
    expect([age(40_000, 'zh'), age(300_000, 'zh'), age(7_300_000, 'en')]).toEqual(['40 秒', '5 分', '2h'])
  })
})
describe('server clock', () => {
  it('takes the offset of the shortest round trip', () => {
    const c = new ServerClock(() => 10_000)
    c.hint(13_000)
    expect(c.offset).toBe(3000)
    c.pong(10_000, 12_900, 10_800)
    expect(c.offset).toBe(2500)
    c.pong(20_000, 22_020, 20_040)
    expect(c.offset).toBe(2000)
    c.pong(30_000, 33_000, 31_000)
    expect(c.offset).toBe(2000)
    expect(c.time()).toBe(12_000)
    c.hint(99_000)
    expect(c.offset).toBe(2000)
  })
  it('goes by what was measured earlier until the server is heard', () => {
    const c = new ServerClock(() => 10_000)
    c.recall(-600_000)
    expect(c.time()).toBe(-590_000)
    c.hint(13_000)
    expect(c.offset).toBe(3000)
    c.pong(10_000, 12_900, 10_800)
    c.recall(-600_000)
    expect(c.offset).toBe(2500)
  })
})

it('says the day of a moment that was on another one', () => {
  const noon = Date.parse('2026-11-24T12:00:00+08:00')
  expect(moment(noon - 60_000, noon, 'zh')).toBe('11:59:00')
  expect(moment(noon - 86_400_000, noon, 'zh')).toBe('11月23日 星期一 12:00:00')
})
