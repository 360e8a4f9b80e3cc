// Which two cameras stand beside a case: what shows the house from outside and lives comes first.
import type { CameraSite } from '../lib/site'

export interface Fact {
  state: string
  fault: string
}

/**
 * `candidates` stand nearest first. First the nearest live one outdoors, then the nearest live one besides it, indoors too.
 * With too few that live, the nearest of the others stand there and say what is wrong with them. A camera that the feed
 * has told nothing about yet counts as live; `dead` ones have stopped before this screen's eyes.
 */
export function chooseCameras(
  candidates: CameraSite[],
  fact: (id: string) => Fact | undefined,
  dead: ReadonlySet<string> = new Set(),
  count = 2,
): string[] {
  const live = (c: CameraSite): boolean => {
    const f = fact(c.id)
    return !dead.has(c.id) && (f === undefined || (f.state === 'online' && f.fault === ''))
  }
  const rank = (c: CameraSite): number => (live(c) ? 0 : 1)
  const first = [...candidates].sort((a, b) => rank(a) - rank(b) || Number(a.indoor) - Number(b.indoor))[0]
  if (first === undefined) return []
  const rest = candidates.filter((c) => c !== first).sort((a, b) => rank(a) - rank(b))
  return [first, ...rest].slice(0, count).map((c) => c.id)
}
