// Who is logged in, and the one feed of this page.
import { computed, shallowRef } from 'vue'
import { api, Problem, type Demo, type Session } from './api'
import { useCentre } from './centre'
import { startClock } from './clock'
import { FeedClient } from './feed'
import { loadSite } from './site'

export const session = shallowRef<Session | null>(null)
/** What the demo offers; null = this is no demo, or not known yet. */
export const demo = shallowRef<Demo | null>(null)

let feed: FeedClient | undefined
let kind: 'wall' | 'lossless' | undefined

/** Reads the session once; null = nobody is logged in. */
export async function currentSession(): Promise<Session | null> {
  if (session.value === null) {
    session.value = await api.session().catch((e: unknown) => {
      if (e instanceof Problem && e.status === 401) return null
      throw e
    })
  }
  return session.value
}

/** Opens the feed for a screen, the site and the demo's facts. Screens that are walls take latest state only. */
export async function enter(conflate: boolean): Promise<void> {
  startClock()
  const wanted = conflate ? 'wall' : 'lossless'
  if (feed !== undefined && kind !== wanted) leave()
  if (feed === undefined) {
    kind = wanted
    feed = new FeedClient(useCentre().collections, conflate)
    feed.start()
  }
  void api.demo().then(
    (state) => (demo.value = state),
    () => (demo.value = null),
  )
  await loadSite()
}

export function leave(): void {
  feed?.stop()
  feed = undefined
}

export function endSession(): void {
  leave()
  useCentre().collections.forget()
  session.value = null
}

export const isChief = computed(() => session.value?.role === 'shift_chief')
export const homeOf = (role: Session['role']): string =>
  role === 'wall_display' ? '/wall' : role === 'department_clerk' || role === 'grid_manager' ? '/m' : '/console'
