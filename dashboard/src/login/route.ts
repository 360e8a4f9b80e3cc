import type { RouteRecordRaw } from 'vue-router'

export default {
  path: '/login',
  component: () => import('./Page.vue'),
  meta: { open: true },
} satisfies RouteRecordRaw
