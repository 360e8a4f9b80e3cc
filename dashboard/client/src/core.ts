// What a feed message does to what the client holds. Pure of sockets and time, so that lost, doubled and reordered
// frames can be put before it in tests.
import type { Frame, ServerMessage, Snapshot, State } from './generated/feed_pb'
import { nounId, type FeedEvent, type NounKind, type Nouns } from './nouns'
import { plain } from './plain'

/** Where decoded state goes. Calls come one after the other; a call that throws makes the client start anew. */
export interface Sink {
  /** Everything known so far is void. */
  clear(): void
  /** A noun in its newest state; one with a smaller `rev` than the sink holds must be ignored. */
  put<K extends NounKind>(kind: K, id: string, rev: number, value: Nouns[K]): void
  remove(kind: string, id: string, rev: number): void
  /** One event, each once and in order; never on conflating streams. */
  event(event: FeedEvent): void
}

/** A place in a log; 0 and 0 = nowhere yet. */
export interface Position {
  readonly logId: bigint
  readonly seq: bigint
}
export const NOWHERE: Position = { logId: 0n, seq: 0n }

export type Outcome =
  /** `events`: those after `from` were not delivered one by one; only their effect is in the snapshot. */
  | { kind: 'snapshot'; from: Position }
  | { kind: 'applied' }
  /** All of it was here before. */
  | { kind: 'duplicate' }
  /** It does not join: something between is missing. */
  | { kind: 'missed' }
  | { kind: 'resync'; reason: string }
  /** The server closes now; another goes on from our position, after so many milliseconds. */
  | { kind: 'handover'; reason: string; retryAfter: number }
  /** Where the server's log is; log 0 = it does not say which. */
  | { kind: 'heartbeat'; logId: bigint; head: bigint }
  | { kind: 'pong' }
  /** A message of a later version, of no use to this one. */
  | { kind: 'unknown' }

/** What came is no message of the protocol; the sink has seen nothing of it. */
export class Malformed extends Error {}

/** The position in one log, and the rule for what was missed: a frame's `after` differs from it. */
export class FeedCore {
  /** Whom the server takes us for. */
  audience = ''
  private at: Position = NOWHERE
  /** Up to where events were delivered, or are part of a snapshot. */
  private told: Position = NOWHERE

  constructor(private readonly sink: Sink) {}

  get position(): Position {
    return this.at
  }

  /** Forgets the position: the next Hello asks for a snapshot. Events that were delivered stay delivered. */
  reset(): void {
    this.at = NOWHERE
  }

  apply(message: ServerMessage): Outcome {
    const kind = message.kind
    switch (kind.case) {
      case 'snapshot':
        return this.snapshot(kind.value)
      case 'frame':
        return this.frame(kind.value)
      case 'resync':
        this.reset()
        // What comes has nothing to do with what was told, even where its numbers are the same.
        if (kind.value.reason === 'log_replaced') this.told = NOWHERE
        return { kind: 'resync', reason: kind.value.reason }
      case 'handover':
        return { kind: 'handover', reason: kind.value.reason, retryAfter: kind.value.retryAfterMs }
      case 'heartbeat':
        return { kind: 'heartbeat', logId: kind.value.logId, head: kind.value.head }
      case 'pong':
        return { kind: 'pong' }
      case undefined:
        // Nothing at all is no message; something in a field that we do not know is one of a later version.
        if ((message.$unknown ?? []).length === 0) throw new Malformed('an empty message')
        return { kind: 'unknown' }
    }
  }

  private snapshot(snapshot: Snapshot): Outcome {
    const from = this.told
    // Until the last state is in, what the sink holds belongs to no position.
    this.reset()
    this.sink.clear()
    for (const state of snapshot.states) this.put(state)
    this.at = { logId: snapshot.logId, seq: snapshot.seq }
    this.audience = snapshot.audience
    // A server that lags behind the last one: its snapshot is older than events that were delivered already.
    if (from.logId !== snapshot.logId || from.seq < snapshot.seq) this.told = this.at
    return { kind: 'snapshot', from }
  }

  private frame(frame: Frame): Outcome {
    if (frame.upto < frame.after) throw new Malformed(`a frame from ${frame.after} to ${frame.upto}`)
    if (frame.logId !== this.at.logId || frame.logId === 0n) return { kind: 'missed' }
    if (frame.after !== this.at.seq) return { kind: frame.upto <= this.at.seq ? 'duplicate' : 'missed' }
    for (const item of frame.items) {
      if (item.state) this.put(item.state)
      if (!item.event || item.event.seq <= this.told.seq) continue
      this.sink.event(plain(item.event))
      this.told = { logId: frame.logId, seq: item.event.seq }
    }
    this.at = { logId: frame.logId, seq: frame.upto }
    if (this.told.seq < frame.upto) this.told = this.at
    return { kind: 'applied' }
  }

  private put(state: State): void {
    const rev = Number(state.rev)
    const kind = state.kind
    if (kind.case === undefined) return
    if (kind.case === 'gone') {
      this.sink.remove(kind.value.kind, kind.value.id, rev)
      return
    }
    const value: Nouns[NounKind] = plain<typeof kind.value>(kind.value)
    this.sink.put(kind.case, nounId(kind.case, value), rev, value)
  }
}
