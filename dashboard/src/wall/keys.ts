// Every key of the wall, by what it does: what the list on the screen names is what its handlers know.

export const WALL_KEYS = {
  camera: [...Array.from('0123456789'), 'Enter', 'Backspace'],
  full: ['f'],
  pause: [' '],
  step: ['[', ']'],
  sheet: ['s'],
  move: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'],
  back: ['Escape'],
  keys: ['?', '？'],
} as const
export type WallKey = keyof typeof WALL_KEYS
export const wallKeyNames = Object.keys(WALL_KEYS) as WallKey[]

export const wallKey = (key: string): WallKey | undefined =>
  wallKeyNames.find((name) =>
    (WALL_KEYS[name] as readonly string[]).includes(key.length === 1 ? key.toLowerCase() : key),
  )

/** By how many cameras a key moves on the sheet, whose rows have eight. */
export const sheetStep = (key: string): number | undefined =>
  ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 })[key]
