import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/patrols',
  component: () => import('./Page.vue'),
  meta: { screen: 'console', for: 'centre', nav: { order: 2, name: 'nav.patrols' } },
} satisfies RouteRecordRaw
