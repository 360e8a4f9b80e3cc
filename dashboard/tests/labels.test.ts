// Labels of the plan, however its lamps stand.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { apart, around, placeLabels, through, type Wish } from '../src/plan/labels'

const wish = fc.record({
  x: fc.integer({ min: 0, max: 800 }),
  y: fc.integer({ min: 0, max: 600 }),
  reach: fc.integer({ min: 6, max: 16 }),
  w: fc.integer({ min: 30, max: 180 }),
  h: fc.integer({ min: 18, max: 30 }),
  red: fc.boolean(),
})
const wishes = fc
  .uniqueArray(wish, { maxLength: 40, selector: (w) => `${w.x}/${w.y}` })
  .map((list) => list.map((w, i): Wish => ({ key: String(i), ...w })))
const bounds = { x: 0, y: 0, w: 800, h: 600 }

describe('labels of the plan', () => {
  it('never overlap, never cover a red mark, and none of a red one is left out', () => {
    fc.assert(
      fc.property(wishes, fc.array(wish.map((w) => ({ x: w.x, y: w.y, w: w.w, h: w.h }))), (list, names) => {
        const placed = placeLabels(list, { bounds, names })
        const keys = new Set(placed.map((p) => p.key))
        expect(keys.size).toBe(placed.length)
        for (const w of list) if (w.red) expect(keys.has(w.key)).toBe(true)
        placed.forEach((p, i) => {
          for (const q of placed.slice(i + 1)) expect(apart(p.box, q.box)).toBe(true)
          for (const w of list) if (w.red) expect(apart(p.box, around(w.x, w.y, w.reach))).toBe(true)
        })
      }),
      { numRuns: 300 },
    )
  })

  it('stay on the plan beside three red neighbours, each led to its own mark', () => {
    const three = [0, 1, 2].map((i): Wish => ({
      key: `r${i}`,
      x: 700 + i * 22,
      y: 300,
      reach: 15,
      w: 90,
      h: 25,
      red: true,
    }))
    const placed = placeLabels(three, { bounds })
    expect(placed).toHaveLength(3)
    for (const p of placed) {
      expect(p.box.x).toBeGreaterThanOrEqual(0)
      expect(p.box.x + p.box.w).toBeLessThanOrEqual(800)
      for (const q of placed) if (q !== p && p.leader) expect(through(p.leader, q.box)).toBe(false)
    }
    expect(placed.filter((p) => p.leader).length).toBeGreaterThan(0)
  })

  it('stand right beside their mark when nothing is in the way', () => {
    const one = placeLabels([{ key: 'a', x: 400, y: 300, reach: 10, w: 60, h: 20, red: false }], { bounds })
    expect(one).toEqual([{ key: 'a', box: { x: 412, y: 278, w: 60, h: 20 } }])
  })
})
