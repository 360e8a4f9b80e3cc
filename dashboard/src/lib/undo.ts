// Non-urgent pushes wait eight seconds; taking one back then costs nothing. Red ones have left: undo recalls them.
import { ref, shallowRef } from 'vue'

export const WAIT = 8_000
export interface Pending {
  what: string
  /** Local time at which it goes out. */
  due: number
  /** It has gone; undo recalls. */
  sent: boolean
  send(): Promise<unknown>
  recall?: () => Promise<unknown>
}

export class UndoQueue {
  readonly current = shallowRef<Pending | null>(null)
  readonly left = ref(0)
  private timer: ReturnType<typeof setTimeout> | undefined
  constructor(private readonly failed: (e: unknown) => void, private readonly now: () => number = Date.now) {}

  /** Queues a push; one that was waiting goes out at once. */
  async add(what: string, urgent: boolean, send: () => Promise<unknown>, recall?: () => Promise<unknown>): Promise<void> {
    await this.flush()
    const pending: Pending = { what, due: this.now() + WAIT, sent: urgent, send, ...(recall ? { recall } : {}) }
    this.current.value = pending
    this.left.value = WAIT
    if (urgent) await this.out(pending)
    this.tick(pending)
  }

  async undo(): Promise<void> {
    const pending = this.take()
    if (pending?.sent) await pending.recall?.().catch(this.failed)
  }

  /** Sends what waits. */
  async flush(): Promise<void> {
    const pending = this.take()
    if (pending !== null && !pending.sent) await this.out(pending)
  }

  private take(): Pending | null {
    clearTimeout(this.timer)
    const pending = this.current.value
    this.current.value = null
    return pending
  }

  private async out(pending: Pending): Promise<void> {
    await pending.send().catch((e: unknown) => {
      if (this.current.value === pending) this.current.value = null
      this.failed(e)
    })
  }

  private tick(pending: Pending): void {
    if (this.current.value !== pending) return
    this.left.value = Math.max(0, pending.due - this.now())
    if (this.left.value > 0) {
      this.timer = setTimeout(() => this.tick(pending), Math.min(250, this.left.value))
      return
    }
    this.current.value = null
    if (!pending.sent) void this.out(pending)
  }
}
