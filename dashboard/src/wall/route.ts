import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/wall',
  component: () => import('./Page.vue'),
  meta: { screen: 'wall', for: 'centre' },
} satisfies RouteRecordRaw
