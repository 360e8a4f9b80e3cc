// Waiting for conditions. Nothing here sleeps for its own sake: a look follows a look until the condition holds.
import { setTimeout as pause } from 'node:timers/promises'

const LOOK_EVERY = 50

/** Looks until `look` gives something other than undefined, null or false; says what was waited for when it never does. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  seconds = 120,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + seconds * 1000
  let last: unknown
  for (;;) {
    try {
      const found = await look()
      if (found !== undefined && found !== null && found !== false) return found as NonNullable<Exclude<T, false>>
      last = found
    } catch (error) {
      last = error
    }
    if (performance.now() > end)
      throw new Error(`${what}: not within ${seconds} s (last: ${last instanceof Error ? last.message : String(last)})`)
    await pause(LOOK_EVERY)
  }
}
