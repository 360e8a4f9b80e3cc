// What the wall says about a case in a word: why it asks for a person, and what the caller said.
import { useI18n } from 'vue-i18n'
import { mark, untaken } from '../lib/attention'
import { now } from '../lib/clock'
import type { Figures } from '../lib/figures'
import { span } from '../lib/format'
import type { Alarm, Incident } from '../lib/model'
import { nameOf, site } from '../lib/site'

export function useTold(figures: Figures) {
  const { t, locale } = useI18n()
  const asks = (i: Incident): boolean => untaken(i).length > 0
  /** 需支援 · 消防 · 02:10; empty = nothing asks. */
  function called(i: Incident): string {
    const entry = i.open ? mark(i) : undefined
    if (entry === undefined) return ''
    const why = t('attention.why.' + (entry.why === 'opened' && i.channel !== 'alarm' ? 'reported' : entry.why))
    const unit = i.tasks.find((x) => x.id === entry.task)?.unit
    const who = unit === undefined ? '' : nameOf(site.value?.unit.get(unit), locale.value, site.value ? unit : '…')
    return [why, who, span(Math.max(0, now.value - entry.since))].filter(Boolean).join(' · ')
  }
  /** The words of whoever reported it, as the centre lets a wall know them. */
  const words = (alarms: Alarm[], incident?: Incident): string =>
    incident?.text?.value ||
    alarms.flatMap((a) => a.sources).find((s) => s.kind !== 'sensor' && s.kind !== 'camera' && s.text?.value)?.text
      ?.value ||
    ''
  /** 火情 · 烟感、手动报警: what burns, and what noticed it where that says more. */
  function what(a: Alarm): string {
    const name = figures.names.what(a.kind)
    const by = [...new Set([a.kind, ...a.sources.map((s) => s.alarmKind)].filter(Boolean).map(figures.names.alarm))]
    const more = by.filter((x) => x !== name).join(locale.value === 'zh' ? '、' : ', ')
    return more ? `${name} · ${more}` : name
  }
  return { asks, called, words, what }
}
