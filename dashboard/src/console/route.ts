import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/console',
  component: () => import('./Page.vue'),
  meta: { screen: 'console', for: 'home', nav: { order: 1, name: 'nav.dispatch' } },
} satisfies RouteRecordRaw
