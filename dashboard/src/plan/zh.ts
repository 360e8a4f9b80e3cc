export const words = {
  plan: { title: '辖区态势', legendClear: '无未结 {n}', legendPending: '告警 {n}' },
}
export type Words = typeof words
