export { fullJitter } from './backoff'
export { FeedClient, LIMITS, type FeedOptions, type Limits } from './client'
export { binary, type Codec, type Said } from './codec'
export { FeedCore, Malformed, NOWHERE, type Outcome, type Position, type Sink } from './core'
export * from './nouns'
export { plain, type Plain } from './plain'
export { ServerClock } from './server-clock'
export type { FeedNote, FeedState, Loss } from './state'
export {
  dialWith,
  realDial,
  realTime,
  type Dial,
  type Socket,
  type Time,
  type Told,
  type WebSocketLike,
} from './surroundings'
