import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { centreWords } from './i18n'
import { whenUnauthorised } from './lib/api'
import { currentSession, endSession, homeOf } from './lib/session'

declare module 'vue-router' {
  interface RouteMeta {
    /** Whose look the page has; a page of the console stands in the centre's shell. */
    screen?: 'wall' | 'console' | 'mobile'
    /** Without a session. */
    open?: true
    /** `home`: only those who live there; `centre`: those of the centre and its wall. */
    for?: 'home' | 'centre'
    /** Its entry among the pages of the centre, by the key of its name. */
    nav?: { order: number; name: string }
  }
}

// A screen is a folder: what it needs to be found is in its route.ts.
const screens = import.meta.glob<RouteRecordRaw>('./*/route.ts', { eager: true, import: 'default' })

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', redirect: '/console' },
    ...Object.values(screens),
    { path: '/:rest(.*)*', redirect: '/console' },
  ],
})

router.beforeEach(async (to) => {
  document.documentElement.classList.toggle('wall', to.meta.screen === 'wall')
  if (to.meta.screen !== 'mobile') await centreWords()
  if (to.meta.open === true) return true
  // Without network a phone goes on with what it has; the gateway checks every request anyway.
  const session = await currentSession().catch(() => undefined)
  if (session === undefined) return true
  if (session === null) return { path: '/login', query: { next: to.fullPath } }
  const home = homeOf(session.role)
  const centre = home === '/console' || session.role === 'wall_display'
  if (to.meta.for === 'home' && home !== to.path) return home
  if (to.meta.for === 'centre' && !centre) return home
  return true
})

whenUnauthorised(() => {
  endSession()
  const here = router.currentRoute.value
  if (here.meta.open !== true) void router.replace({ path: '/login', query: { next: here.fullPath } })
})
