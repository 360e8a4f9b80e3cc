// Server time on the client: an offset from the feed's pongs, and one tick a second on the server's second.
import { ref, shallowRef } from 'vue'

interface Sample {
  offset: number
  rtt: number
}

/** Keeps the offset of the sample with the shortest round trip of the last few. */
export class ServerClock {
  private samples: Sample[] = []
  offset = 0

  constructor(private readonly now: () => number = Date.now) {}

  /** A ping sent at `sent` was answered with `server` and is here `received`. All milliseconds. */
  pong(sent: number, server: number, received: number): void {
    const rtt = Math.max(0, received - sent)
    this.samples = [...this.samples.slice(-7), { offset: server + rtt / 2 - received, rtt }]
    this.offset = this.samples.reduce((best, s) => (s.rtt < best.rtt ? s : best)).offset
  }

  /** A time without round trip: only used while there is no better one. */
  hint(server: number): void {
    if (this.samples.length === 0) this.offset = server - this.now()
  }

  time(): number {
    return this.now() + this.offset
  }
}

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
    now.value = Math.round(time / 1000) * 1000 - time < 60 ? Math.floor((time + 60) / 1000) * 1000 : Math.floor(time / 1000) * 1000
    offset.value = clock.offset
    timer = setTimeout(tick, 1000 - (clock.time() % 1000) + 5)
  }
  tick()
}
