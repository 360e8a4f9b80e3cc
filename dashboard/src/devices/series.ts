// What a history says, before it is drawn: runs without a gap, its range, its summary.
export interface Point {
  /** Begin of the minute or hour, or when the value was measured. */
  at: number
  min: number
  mean: number
  max: number
  count: number
}

/** Spans that the page offers, ms. */
export const SPANS = { h1: 3_600_000, h24: 86_400_000, d7: 7 * 86_400_000, d30: 30 * 86_400_000 } as const
export type SpanName = keyof typeof SPANS

/** How long nothing may come before it is a gap: three times what is usual, two steps at least. */
export function patience(points: Point[], step: number | null): number {
  const pauses = points
    .slice(1)
    .map((p, i) => p.at - points[i].at)
    .sort((a, b) => a - b)
  return Math.max(step === null ? 60_000 : 2.5 * step, 3 * (pauses[Math.floor(pauses.length / 2)] ?? 0))
}

/** Points in runs; between two runs nothing came for too long. */
export function runs(points: Point[], step: number | null): Point[][] {
  const most = patience(points, step)
  const found: Point[][] = []
  points.forEach((p, i) => {
    if (i === 0 || p.at - points[i - 1].at > most) found.push([p])
    else found.at(-1)!.push(p)
  })
  return found
}

/** Lowest, mean of all values, highest, how many; null without any. */
export function summary(points: Point[]): Omit<Point, 'at'> | null {
  const count = points.reduce((n, p) => n + p.count, 0)
  if (count === 0) return null
  const mean = points.reduce((sum, p) => sum + p.mean * p.count, 0) / count
  return { min: Math.min(...points.map((p) => p.min)), mean, max: Math.max(...points.map((p) => p.max)), count }
}

/** Bottom and top of the scale: room around what was measured, never a flat line at the edge. */
export function scale(points: Point[], states: boolean): { lo: number; hi: number } {
  const s = summary(points)
  if (s === null) return { lo: 0, hi: 1 }
  if (states) return { lo: 0, hi: Math.max(1, s.max) }
  if (s.max - s.min >= Math.abs(s.max) * 0.1 + 1e-9) return { lo: s.min, hi: s.max }
  return { lo: Math.min(0, s.min), hi: s.max > 0 ? s.max * 1.2 : s.max + 1 }
}
