import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { useChattering } from './chatter'
import { now } from './clock'
import type { Figures } from './figures'
import { alarmRows, inFlood } from './flood'
import { time } from './format'
import type { Alarm } from './model'

/** Whether what was noticed is over. What was told once never lasted. */
export const recovered = (a: Alarm): boolean => a.cleared > 0 && a.sources.some(lasts)
export const lasts = (s: Alarm['sources'][number]): boolean => s.kind === 'sensor' || s.kind === 'camera'

/** Rows of the alarm list, whether it floods, and the words for a row's state. */
export function useAlarmRows(figures: Figures) {
  const { t } = useI18n()
  const { turns } = useChattering()
  const flood = computed(() => inFlood([...figures.centre.alarm.values()], now.value))
  const rows = computed(() => alarmRows(figures.alarms.value, now.value, flood.value))
  function state(a: Alarm): string {
    if (a.shelvedUntil > now.value) return t('alarm.shelved', { time: time(a.shelvedUntil).slice(0, 5) })
    const cleared = recovered(a)
    if (a.verdict)
      return `${t('alarm.state.' + (cleared ? 'clearedConfirmed' : 'activeConfirmed'))} ${t('alarm.verdict.' + a.verdict)}`
    if (a.confirmed > 0) return t(cleared ? 'alarm.state.clearedConfirmed' : 'alarm.state.awaiting')
    return t(cleared ? 'alarm.state.cleared' : 'alarm.state.active')
  }
  /** 抖动 12 次, for an alarm whose source is held. */
  const chatter = (a: Alarm): string => (turns(a) > 0 ? t('alarm.chatter', { n: turns(a) }) : '')
  return { rows, flood, state, chatter }
}
