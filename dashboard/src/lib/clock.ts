// Server time on the client: an offset from the feed's pongs, and one tick a second on the server's second.
import { ref, shallowRef } from 'vue'
import { ServerClock } from '../../client/src'

export const clock = new ServerClock()
/** Server time, milliseconds; changes once a second. */
export const now = ref(Date.now())
/** Offset of this machine's clock, milliseconds. */
export const offset = ref(0)
/** Last measured round trip, milliseconds. */
export const roundTrip = shallowRef<number | null>(null)

let timer: ReturnType<typeof setTimeout> | undefined

export function startClock(): void {
  if (timer !== undefined) return
  const tick = (): void => {
    const time = clock.time()
    // A timer may fire a little early; a shown second never goes back.
    now.value =
      Math.round(time / 1000) * 1000 - time < 60
        ? Math.floor((time + 60) / 1000) * 1000
        : Math.floor(time / 1000) * 1000
    offset.value = clock.offset
    timer = setTimeout(tick, 1000 - (clock.time() % 1000) + 5)
  }
  tick()
}
