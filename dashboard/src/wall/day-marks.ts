import { dayStart } from '../lib/format'

/** Positions on a 400 wide day axis. */
export const dayMarks = (times: number[], now: number): number[] => {
  const start = dayStart(now)
  return times.map((at) => Math.round(((at - start) / 86_400_000) * 400)).filter((x) => x >= 0 && x <= 400)
}
