// Who is logged in, and the one feed of this page.
import { computed, shallowRef } from 'vue'
import { api, Problem, unauthorised, type Demo, type Session } from './api'
import { useCentre } from './centre'
import { startClock } from './clock'
import { closeFeed, openFeed } from './feed'
import { loadSite } from './site'

export const session = shallowRef<Session | null>(null)
/** What the demo offers; null = this is no demo, or not known yet. */
export const demo = shallowRef<Demo | null>(null)

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

/** Whether the gateway still knows the session; it may also not answer at all. */
const admitted = (): Promise<boolean> =>
  api.session().then(
    () => true,
    (e: unknown) => {
      if (e instanceof Problem && e.status === 401) return false
      throw e
    },
  )

/** Opens the feed for a screen, the site and the demo's facts. Screens that are walls take latest state only. */
export async function enter(conflate: boolean): Promise<void> {
  startClock()
  const wanted = conflate ? 'wall' : 'lossless'
  if (kind !== wanted) {
    kind = wanted
    openFeed(useCentre().collections, conflate, admitted, unauthorised)
  }
  void api.demo().then(
    (state) => (demo.value = state),
    () => (demo.value = null),
  )
  await loadSite()
}

export function leave(): void {
  closeFeed()
  kind = undefined
}

export function endSession(): void {
  leave()
  useCentre().collections.forget()
  session.value = null
}

/** What to call whoever is logged in: the leader of the shift has a chief's rights, and is not the chief. */
export const title = computed(() => {
  const who = session.value
  if (who === null) return ''
  const leads = useCentre()
    .duty.get('')
    ?.holders.some((h) => h.post === 'leader' && h.account === who.account)
  return leads ? 'duty.leader' : `role.${who.role}`
})
export const isChief = computed(() => session.value?.role === 'shift_chief')
export const homeOf = (role: Session['role']): string =>
  role === 'wall_display' ? '/wall' : role === 'department_clerk' || role === 'grid_manager' ? '/m' : '/console'
