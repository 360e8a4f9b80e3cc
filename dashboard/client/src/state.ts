// Where a client stands, and what it tells of. See README.md for the picture.
import type { Position } from './core'

/** Why a connection was given up. */
export type Loss =
  /** The other side closed it, or it broke (1006). */
  | { why: 'closed'; code: number; reason: string }
  /** It did not open in time. */
  | { why: 'unanswered' }
  /** Neither a snapshot nor the rest of the gap came in time. */
  | { why: 'unsynced' }
  /** Nothing at all came for too long. */
  | { why: 'silent' }
  /** It answered, but could not say for too long where the log is. */
  | { why: 'unsure' }
  /** Heartbeats name events that do not come. */
  | { why: 'behind' }
  /** A frame did not join. */
  | { why: 'missed' }
  /** Something came that is no message. */
  | { why: 'malformed'; error: unknown }
  /** The sink threw. */
  | { why: 'sink'; error: unknown }

export type FeedState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly address: string; readonly attempt: number }
  /** Connected, and not yet up to date. `resume`: the server has our position; else a snapshot is awaited. */
  | { readonly name: 'syncing'; readonly resume: boolean }
  | { readonly name: 'live' }
  /** Still connected, but what is held may be old since `since` (server time, ms). */
  | { readonly name: 'stale'; readonly why: 'silent' | 'unsure' | 'behind'; readonly since: number }
  /** The next attempt comes in `delay` milliseconds. */
  | { readonly name: 'waiting'; readonly loss: Loss; readonly delay: number; readonly attempt: number }
  /** `session`: it ended; `protocol`: the server does not understand us. Neither is tried again. */
  | { readonly name: 'closed'; readonly reason: 'stopped' | 'session' | 'protocol' }

export type FeedNote =
  | { kind: 'state'; state: FeedState; before: FeedState }
  /** All that is held was replaced; events after `from` up to `at` were not delivered one by one. */
  | { kind: 'snapshot'; from: Position; at: Position }
  | { kind: 'frame'; at: Position }
  | { kind: 'missed'; at: Position }
  | { kind: 'duplicate'; at: Position }
  | { kind: 'resync'; reason: string }
  /** The server is about to close; the next attempt comes after `ms`. */
  | { kind: 'handover'; reason: string; ms: number }
  | { kind: 'unknown' }
  | { kind: 'roundTrip'; ms: number }
