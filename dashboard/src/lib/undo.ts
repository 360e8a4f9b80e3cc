// Non-urgent pushes wait eight seconds; taking one back then costs nothing. Red ones have left: undo recalls them.
import { ref, shallowRef } from 'vue'

export const WAIT = 8_000
export interface Pending {
  what: string
  /** Local time at which it goes out. */
  due: number
  /** It has gone; undo recalls. */
  sent: boolean
  /** Ends when it has been answered. */
  gone?: Promise<void>
  send(): Promise<unknown>
  recall?: () => Promise<unknown>
}

export class UndoQueue {
  readonly current = shallowRef<Pending | null>(null)
  readonly left = ref(0)
  private timer: ReturnType<typeof setTimeout> | undefined
  constructor(
    private readonly failed: (e: unknown) => void,
    private readonly now: () => number = Date.now,
  ) {}

  /** Queues a push; one that was waiting goes out at once. */
  async add(
    what: string,
    urgent: boolean,
    send: () => Promise<unknown>,
    recall?: () => Promise<unknown>,
  ): Promise<void> {
    const before = this.flush()
    const pending: Pending = { what, due: this.now() + WAIT, sent: urgent, send, ...(recall ? { recall } : {}) }
    this.current.value = pending
    this.left.value = WAIT
    const gone = urgent ? this.out(pending) : undefined
    this.tick(pending)
    await Promise.all([before, gone])
  }

  /** Takes back what waits; what has left is recalled as soon as it has been answered. */
  async undo(): Promise<void> {
    const pending = this.take()
    if (pending === null || !pending.sent) return
    await pending.gone
    await pending.recall?.().catch(this.failed)
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

  private out(pending: Pending): Promise<void> {
    pending.gone = pending.send().then(
      () => undefined,
      (e: unknown) => {
        delete pending.recall
        if (this.current.value === pending) this.current.value = null
        this.failed(e)
      },
    )
    return pending.gone
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
