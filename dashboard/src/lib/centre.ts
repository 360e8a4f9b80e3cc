// All nouns that the feed has brought, by kind and id. A greater rev replaces; a smaller one is ignored.
import { markRaw, shallowReactive, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import { NOUN_KINDS, type FeedEvent, type NounKind, type Nouns } from './model'
import type { Sink } from '../../client/src'

/** Most events kept for timelines and the newest-first lists. */
export const MAX_EVENTS = 2000

export class Collections implements Sink {
  readonly maps = Object.fromEntries(NOUN_KINDS.map((kind) => [kind, shallowReactive(new Map())])) as {
    [K in NounKind]: Map<string, Nouns[K]>
  }
  /** Newest last. */
  readonly events = shallowRef<FeedEvent[]>([])
  /** A snapshot has come: an absent noun is known to be absent. */
  readonly loaded = shallowRef(false)
  private readonly revs = new Map<string, number>()
  private readonly listeners = new Set<(event: FeedEvent) => void>()

  /** Nothing is known: whoever comes next must not see what the last one did. */
  forget(): void {
    this.clear()
    this.loaded.value = false
  }

  clear(): void {
    for (const kind of NOUN_KINDS) this.maps[kind].clear()
    this.revs.clear()
    this.events.value = []
    this.loaded.value = true
  }

  put<K extends NounKind>(kind: K, id: string, rev: number, value: Nouns[K]): void {
    if (!this.newer(kind, id, rev)) return
    this.maps[kind].set(id, value)
  }

  remove(kind: string, id: string, rev: number): void {
    if (!(kind in this.maps) || !this.newer(kind, id, rev)) return
    this.maps[kind as NounKind].delete(id)
  }

  event(event: FeedEvent): void {
    const events = [...this.events.value, event]
    this.events.value = events.length > MAX_EVENTS ? events.slice(-MAX_EVENTS) : events
    for (const listener of this.listeners) listener(event)
  }

  /** Calls back for each event that comes; answers the way to stop. */
  onEvent(listener: (event: FeedEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private newer(kind: string, id: string, rev: number): boolean {
    const key = `${kind}/${id}`
    if ((this.revs.get(key) ?? -1) > rev) return false
    this.revs.set(key, rev)
    return true
  }
}

export const useCentre = defineStore('centre', () => {
  const collections = markRaw(new Collections())
  return {
    collections,
    ...collections.maps,
    events: collections.events,
    loaded: collections.loaded,
  }
})
