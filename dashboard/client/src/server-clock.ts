// Server time on the client: an offset from answered pings.
interface Sample {
  offset: number
  rtt: number
}

/** Samples that are looked at. */
const KEPT = 8

/** Keeps the offset of the sample with the shortest round trip of the last few. */
export class ServerClock {
  private samples: Sample[] = []
  offset = 0

  constructor(private readonly now: () => number = Date.now) {}

  /** A ping sent at `sent` was answered with `server` and is here `received`. All milliseconds. */
  pong(sent: number, server: number, received: number): void {
    const rtt = Math.max(0, received - sent)
    this.samples = [...this.samples.slice(1 - KEPT), { offset: server + rtt / 2 - received, rtt }]
    this.offset = this.samples.reduce((best, s) => (s.rtt < best.rtt ? s : best)).offset
  }

  /** An offset that was measured earlier: better than none until the server is heard. */
  recall(offset: number): void {
    if (this.samples.length === 0) this.offset = offset
  }

  /** A time without round trip: only used while there is no better one. */
  hint(server: number): void {
    if (this.samples.length === 0) this.offset = server - this.now()
  }

  time(): number {
    return this.now() + this.offset
  }
}
