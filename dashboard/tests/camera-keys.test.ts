// Which camera a row of keys chooses, and what they do to a tour.
import { expect, it } from 'vitest'
import { expire, NOTHING, press, tourKey, type Act } from '../src/lib/camera-keys'

function type(keys: string[], near: number) {
  const acts: Act[] = []
  let typed = NOTHING
  for (const key of keys) {
    const [next, act] = press(typed, key, near)
    typed = next
    acts.push(act)
  }
  return { typed, acts, last: acts.at(-1) }
}

it('chooses by number with Enter', () => {
  expect(type(['1', '1', '2', 'Enter'], 0).last).toEqual({ do: 'choose', number: 112 })
  expect(type(['0', '0', '7', 'Enter'], 0).last).toEqual({ do: 'choose', number: 7 })
  expect(type(['1', '1', '2', 'Enter'], 0).typed).toEqual(NOTHING)
})
it('takes a number that goes on no further, and nothing of nothing', () => {
  expect(expire(type(['1', '2'], 4).typed)).toEqual({ do: 'choose', number: 12 })
  expect(expire(type(['3'], 0).typed)).toEqual({ do: 'choose', number: 3 })
  expect(expire(NOTHING)).toEqual({ do: 'nothing' })
})
it('leaves one digit to the nearby cameras when no digit and no Enter follows', () => {
  const one = type(['2'], 4)
  expect(one.last).toEqual({ do: 'near', place: 2 })
  expect(expire(one.typed)).toEqual({ do: 'nothing' })
  expect(type(['2', '5'], 4).last).toEqual({ do: 'typing', undo: true })
  expect(type(['2', '5', '1'], 4).last).toEqual({ do: 'typing', undo: false })
  expect(type(['2', 'Enter'], 4).last).toEqual({ do: 'choose', number: 2 })
  expect(type(['7'], 4).last).toEqual({ do: 'typing', undo: false })
  expect(type(['2', 'p'], 4)).toMatchObject({ typed: NOTHING, last: { do: 'nothing' } })
})
it('mends and drops what was typed; a fourth digit begins anew', () => {
  expect(type(['1', '1', '3', 'Backspace', '2'], 0).typed.digits).toBe('112')
  expect(type(['1', '1', 'Escape'], 0).typed).toEqual(NOTHING)
  expect(type(['1', '1', '2', '4'], 0).typed.digits).toBe('4')
})
it('is not concerned with other keys', () => {
  for (const key of ['Enter', 'Escape', 'Backspace', 'f', ' '])
    expect(press(NOTHING, key, 4)).toEqual([NOTHING, { do: 'nothing' }])
  expect(type(['1', '1', 'x'], 0).typed.digits).toBe('11')
})
it('holds a tour, steps round its ends, and lets it go on', () => {
  expect(tourKey(' ', null, 3, 5)).toBe(3)
  expect(tourKey(' ', 3, 3, 5)).toBeNull()
  expect(tourKey(']', null, 4, 5)).toBe(0)
  expect(tourKey('[', 0, 0, 5)).toBe(4)
  expect(tourKey('x', 0, 0, 5)).toBeUndefined()
})
