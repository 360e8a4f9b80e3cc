import { createRouter, createWebHistory } from 'vue-router'
import { centreWords } from './i18n'
import { whenUnauthorised } from './lib/api'
import { currentSession, endSession, homeOf } from './lib/session'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', redirect: '/console' },
    { path: '/login', component: () => import('./login/LoginPage.vue'), meta: { open: true } },
    { path: '/wall', component: () => import('./wall/WallPage.vue'), meta: { screen: 'wall' } },
    { path: '/console', component: () => import('./console/ConsolePage.vue'), meta: { screen: 'console' } },
    { path: '/m', component: () => import('./mobile/MobilePage.vue'), meta: { screen: 'mobile' } },
    { path: '/devices', component: () => import('./devices/DevicesPage.vue'), meta: { screen: 'console' } },
    { path: '/patrols', component: () => import('./patrols/PatrolsPage.vue'), meta: { screen: 'console' } },
    { path: '/:rest(.*)*', redirect: '/console' },
  ],
})

router.beforeEach(async (to) => {
  document.documentElement.classList.toggle('wall', to.meta['screen'] === 'wall')
  if (to.meta['screen'] !== 'mobile') await centreWords()
  if (to.meta['open'] === true) return true
  // Without network a phone goes on with what it has; the gateway checks every request anyway.
  const session = await currentSession().catch(() => undefined)
  if (session === undefined) return true
  if (session === null) return { path: '/login', query: { next: to.fullPath } }
  const home = homeOf(session.role)
  const centre = home === '/console' || session.role === 'wall_display'
  if ((to.path === '/console' || to.path === '/m') && home !== to.path) return home
  if ((to.path === '/wall' || to.path === '/devices' || to.path === '/patrols') && !centre) return home
  return true
})

whenUnauthorised(() => {
  endSession()
  const here = router.currentRoute.value
  if (here.meta['open'] !== true) void router.replace({ path: '/login', query: { next: here.fullPath } })
})
