// A camera is chosen by its number: digits, then Enter, or a while without a further digit. On the console one digit
// alone means one of the nearby cameras, at once; a further digit or Enter makes a number of it.

/** A number that goes on no further is taken after this long, milliseconds. */
export const WAIT = 3000
/** Digits of the longest number. */
const LONGEST = 3

export type Act =
  /** Not a key of ours. */
  | { do: 'nothing' }
  /** The typed number changed; `undo` takes back what the first digit chose nearby. */
  | { do: 'typing'; undo: boolean }
  | { do: 'near'; place: number }
  | { do: 'choose'; number: number }
export interface Typed {
  digits: string
  /** The one digit has chosen a nearby camera already. */
  near: boolean
}
export const NOTHING: Typed = { digits: '', near: false }

/** What a key does to the typed number; `near` = how many nearby cameras single digits stand for. */
export function press(typed: Typed, key: string, near: number): [Typed, Act] {
  const { digits } = typed
  if (/^[0-9]$/.test(key)) {
    const whole = digits.length >= LONGEST ? key : digits + key
    const place = Number(key)
    if (digits === '' && place >= 1 && place <= near)
      return [
        { digits: key, near: true },
        { do: 'near', place },
      ]
    return [
      { digits: whole, near: false },
      { do: 'typing', undo: typed.near },
    ]
  }
  if (digits === '') return [NOTHING, { do: 'nothing' }]
  if (key === 'Enter') return [NOTHING, { do: 'choose', number: Number(digits) }]
  // One digit that stands for a nearby camera leaves all other keys what they are.
  if (typed.near) return [NOTHING, { do: 'nothing' }]
  if (key === 'Backspace')
    return [
      { digits: digits.slice(0, -1), near: false },
      { do: 'typing', undo: false },
    ]
  if (key === 'Escape') return [NOTHING, { do: 'typing', undo: false }]
  return [typed, { do: 'nothing' }]
}

/** No further key came in time. */
export const expire = (typed: Typed): Act =>
  typed.digits === '' || typed.near ? { do: 'nothing' } : { do: 'choose', number: Number(typed.digits) }

/** A tour that stands by key goes on by itself after this long: nobody may stand there to start it again. */
export const PAUSE = 600_000
/** The group at which a tour is held after a key; null = it goes on. Undefined = not a key of the tour. */
export function tourKey(key: string, held: number | null, group: number, groups: number): number | null | undefined {
  if (key === ' ') return held === null ? group : null
  const step = { '[': -1, ']': 1 }[key]
  return step === undefined ? undefined : (group + step + groups) % groups
}
