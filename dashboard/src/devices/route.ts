import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/devices',
  component: () => import('./Page.vue'),
  meta: { screen: 'console', for: 'centre', nav: { order: 3, name: 'nav.devices' } },
} satisfies RouteRecordRaw
