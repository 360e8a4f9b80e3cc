// The feed of this page as the screens see it: the client's state and how old what is shown may be, as refs.
import { computed, shallowRef } from 'vue'
import { FeedClient, type FeedState, type Sink } from '../../client/src'
import { clock, now, roundTrip } from './clock'

/** A connection that is gone is shown as such after this long; one that is silent at once, the client waits for it. */
const SHORT = 2_000
/** For how long the screen says that it is whole again. */
const RELIEF = 5_000

const client = shallowRef<FeedClient>()
const feedState = shallowRef<FeedState>({ name: 'idle' })
/** Server time when the feed was opened. */
const opened = shallowRef(0)
/** The last gap that was shown, once it is closed. */
const healed = shallowRef({ at: 0, from: 0 })

/** Server time when all that is shown was last known to be complete, milliseconds; 0 = never. */
export const lastGood = computed(() => (void now.value, void feedState.value, client.value?.freshAt ?? 0))
/** How long ago that was, milliseconds; before anything has come, since the page asked. */
export const silence = computed(() => Math.max(0, now.value - (lastGood.value || opened.value || now.value)))
/** What is shown may be old. */
export const cutOff = computed(() => {
  const { name } = feedState.value
  if (name === 'live' || name === 'idle') return false
  return name === 'stale' || name === 'closed' || silence.value > SHORT
})
/** The page and the centre do not understand each other: only loading it anew helps. */
export const outdated = computed(() => feedState.value.name === 'closed' && feedState.value.reason === 'protocol')
/** A gap that was shown is closed: from when to when, server time; null = long ago. */
export const relief = computed(() => {
  const { at, from } = healed.value
  return !cutOff.value && at > 0 && now.value - at < RELIEF ? { from, at } : null
})
export type LinkState = 'connecting' | 'open' | 'stale' | 'down'
/** `stale`: the centre answers, but what it tells may be old. */
export const link = computed<LinkState>(() => {
  const state = feedState.value
  if (state.name === 'live') return 'open'
  if (state.name === 'stale' && state.why !== 'silent') return 'stale'
  return !cutOff.value && lastGood.value === 0 && state.name !== 'waiting' && state.name !== 'closed'
    ? 'connecting'
    : 'down'
})

export const socketUrl = (path: string): string =>
  `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${path}`

/** Opens the feed of this page. `admitted`: whether the session is still good; `ended`: it is not. */
export function openFeed(sink: Sink, conflate: boolean, admitted: () => Promise<boolean>, ended: () => void): void {
  closeFeed()
  const feed = new FeedClient(sink, { addresses: [socketUrl('/api/v1/feed')], conflate, clock, admitted })
  client.value = feed
  opened.value = clock.time()
  let good = 0
  feed.on((note) => {
    if (note.kind === 'roundTrip') roundTrip.value = note.ms
    if (note.kind !== 'state') return
    if (note.before.name === 'live') good = feed.freshAt
    if (note.state.name === 'live' && cutOff.value && good > 0) healed.value = { at: clock.time(), from: good }
    feedState.value = note.state
    if (note.state.name === 'closed' && note.state.reason === 'session') ended()
  })
  feed.start()
}

export function closeFeed(): void {
  client.value?.stop()
  client.value = undefined
  feedState.value = { name: 'idle' }
  healed.value = { at: 0, from: 0 }
}
