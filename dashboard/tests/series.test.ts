// Histories before they are drawn.
import { describe, expect, it } from 'vitest'
import { patience, runs, scale, summary, type Point } from '../src/devices/series'

const point = (at: number, min: number, mean = min, max = min, count = 1): Point => ({ at, min, mean, max, count })
const minutes = (...n: number[]): Point[] => n.map((m) => point(m * 60_000, 1))

describe('gaps', () => {
  it('are where nothing came for more than three usual pauses', () => {
    expect(runs(minutes(0, 1, 2, 6, 7), 60_000).map((r) => r.length)).toEqual([3, 2])
    expect(runs(minutes(0, 1, 2, 5, 6), 60_000)).toHaveLength(1)
    expect(runs([], 60_000)).toEqual([])
  })
  it('are no gaps for a device that reports seldom', () => {
    expect(runs(minutes(0, 10, 20, 31, 40), 60_000)).toHaveLength(1)
    expect(runs(minutes(0, 10, 20, 60, 70), 60_000).map((r) => r.length)).toEqual([3, 2])
  })
  it('of single values begin after a minute at the least', () => {
    expect(patience([point(0, 1), point(1_000, 1)], null)).toBe(60_000)
    expect(patience([point(0, 1), point(45_000, 1), point(90_000, 1)], null)).toBe(135_000)
    expect(patience([point(0, 1)], 3_600_000)).toBe(9_000_000)
  })
})

describe('summary and scale', () => {
  it('weighs by the number of values', () => {
    expect(summary([point(0, 1, 2, 3, 1), point(1, 0, 4, 9, 3)])).toEqual({ min: 0, mean: 3.5, max: 9, count: 4 })
    expect(summary([])).toBeNull()
  })
  it('keeps a flat line off the edges', () => {
    expect(scale([point(0, 1, 5, 9)], false)).toEqual({ lo: 1, hi: 9 })
    expect(scale([point(0, 100)], false)).toEqual({ lo: 0, hi: 120 })
    expect(scale([point(0, -2)], false)).toEqual({ lo: -2, hi: -1 })
    expect(scale([point(0, 0)], false)).toEqual({ lo: 0, hi: 1 })
    expect(scale([point(0, 0)], true)).toEqual({ lo: 0, hi: 1 })
    expect(scale([], false)).toEqual({ lo: 0, hi: 1 })
  })
})
