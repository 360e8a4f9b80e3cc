// Server time on the client: an offset from the feed's pongs, and one tick a second on the server's second.
import { ref, shallowRef } from 'vue'
import { ServerClock } from '../../client/src'

const KEY = 'clock-offset'
/** A change of this much is worth remembering, milliseconds. */
const WORTH = 50

export const clock = new ServerClock()
// Without network a machine whose clock is wrong goes on with what the centre's clock last said.
const known = typeof localStorage === 'undefined' ? NaN : Number(localStorage.getItem(KEY) ?? NaN)
if (Number.isFinite(known)) clock.recall(known)
let kept = clock.offset
/** Server time, milliseconds; changes once a second. */
export const now = ref(clock.time())
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
    if (Math.abs(clock.offset - kept) >= WORTH) {
      kept = clock.offset
      localStorage.setItem(KEY, String(Math.round(kept)))
    }
    timer = setTimeout(tick, 1000 - (clock.time() % 1000) + 5)
  }
  tick()
}
