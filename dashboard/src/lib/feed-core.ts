// What a feed message does to what the client holds. Pure of sockets and time, so that lost, doubled and reordered
// frames can be put before it in tests.
import type { ServerMessage, State } from '../generated/feed_pb'
import type { FeedEvent, NounKind, Nouns } from './model'
import { plain } from './plain'

/** Where decoded state goes. */
export interface Sink {
  /** Everything known so far is void. */
  clear(): void
  put<K extends NounKind>(kind: K, id: string, rev: number, value: Nouns[K]): void
  remove(kind: string, id: string, rev: number): void
  event(event: FeedEvent): void
}

export type Outcome = 'applied' | 'missed' | 'resync' | 'time'

/** Id of a noun within its kind; single documents use the empty id. */
export function nounId(kind: NounKind, value: Nouns[NounKind]): string {
  if (kind === 'duty' || kind === 'unreadable' || kind === 'site') return ''
  if (kind === 'light') return (value as Nouns['light']).unit
  return String((value as Nouns['alarm']).id)
}

/** Cursor of one log, and the rule for what was missed: a frame's `after` differs from the cursor. */
export class FeedCore {
  logId = 0n
  cursor = 0n
  audience = ''

  constructor(private readonly sink: Sink) {}

  /** Forgets the position: the next Hello asks for a snapshot. */
  reset(): void {
    this.logId = 0n
    this.cursor = 0n
  }

  apply(message: ServerMessage): Outcome {
    const kind = message.kind
    switch (kind.case) {
      case 'snapshot': {
        this.sink.clear()
        for (const state of kind.value.states) this.put(state)
        this.logId = kind.value.logId
        this.cursor = kind.value.seq
        this.audience = kind.value.audience
        return 'applied'
      }
      case 'frame': {
        const frame = kind.value
        if (frame.logId !== this.logId || frame.after !== this.cursor) return 'missed'
        for (const item of frame.items) {
          if (item.state) this.put(item.state)
          if (item.event) this.sink.event(plain(item.event))
        }
        this.cursor = frame.upto
        return 'applied'
      }
      case 'resync':
        this.reset()
        return 'resync'
      default:
        return 'time'
    }
  }

  private put(state: State): void {
    const rev = Number(state.rev)
    const kind = state.kind
    if (kind.case === undefined) return
    if (kind.case === 'gone') {
      this.sink.remove(kind.value.kind, kind.value.id, rev)
      return
    }
    const value = plain(kind.value) as Nouns[NounKind]
    this.sink.put(kind.case, nounId(kind.case, value), rev, value as never)
  }
}
