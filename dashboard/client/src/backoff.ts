/** Milliseconds to wait before attempt `n` (from 0): anything up to a doubling limit, so that thousands do not come at once. */
export const fullJitter = (n: number, first: number, cap: number, random: () => number): number =>
  random() * Math.min(cap, first * 2 ** Math.min(n, 20))
