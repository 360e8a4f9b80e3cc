import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/m',
  component: () => import('./Page.vue'),
  meta: { screen: 'mobile', for: 'home' },
} satisfies RouteRecordRaw
