/** Milliseconds to wait before attempt `n` (from 0): anything up to a doubling limit, so that thousands do not come at once. */
export const fullJitter = (n: number, first: number, cap: number, random: () => number): number =>
  random() * Math.min(cap, first * 2 ** Math.min(n, 20))

/** Seconds from a close reason such as `try again; retry_after=5`, as milliseconds; undefined = the server named none. */
export function retryAfter(reason: string, cap: number): number | undefined {
  const found = /(?:^|[;,\s])retry_after=(\d{1,6})(?:$|[;,\s])/.exec(reason)?.[1]
  return found === undefined ? undefined : Math.min(cap, Number(found) * 1000)
}
