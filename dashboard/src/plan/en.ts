import type { Words } from './zh'

export const words: Words = {
  plan: { title: 'Area', legendClear: 'Clear {n}', legendPending: 'Alarms {n}' },
}
