// The three patrols as one line each: how far, what was found, when. Used by the wall, the console and the patrol page.
import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { now } from './clock'
import type { Figures } from './figures'
import { dayStart, time } from './format'
import type { Patrol } from './model'
import { nameOf, site } from './site'

export interface PatrolRow {
  kind: 'data' | 'video' | 'message'
  count: string
  note: string
  /** Something is missing or was found. */
  odd: boolean
  end: string
  /** 0 to 1; null = there is nothing to measure. */
  share: number | null
}

export function usePatrolRows(figures: Figures) {
  const { t, locale } = useI18n()
  const { centre } = figures
  const all = computed(() => [...centre.patrol.values()])
  const newest = (kind: string): Patrol | undefined =>
    all.value.filter((p) => p.kind === kind && p.started > 0).sort((a, b) => b.started - a.started)[0]
  const planned = (kind: string): Patrol | undefined =>
    all.value.filter((p) => p.kind === kind && p.started === 0).sort((a, b) => a.due - b.due)[0]
  const found = (p: Patrol | undefined): number => (p ? p.findings.length + p.unlisted : 0)
  const total = computed(() => site.value?.doc.cameras.length ?? 0)

  function data(): PatrolRow {
    const lights = [...centre.light.values()]
    const departments = site.value?.doc.units.filter((u) => u.kind === 'department').length ?? lights.length
    const green = lights.filter((l) => l.light === 'green').length
    const late = lights
      .filter((l) => l.light === 'yellow' || l.light === 'red')
      .map((l) => nameOf(site.value?.unit.get(l.unit), locale.value, l.unit))
    const n = found(newest('data'))
    const note =
      late.length > 0
        ? t('patrol.late', { units: late.join(locale.value === 'zh' ? '、' : ', ') })
        : green === departments && departments > 0
          ? t('patrol.allIn')
          : t('patrol.awaiting')
    return {
      kind: 'data',
      count: t('patrol.departments', { n: green, total: departments }),
      note: n > 0 ? `${note} ${t('patrol.findings', { n })}` : note,
      odd: late.length > 0 || n > 0,
      end: '',
      share: departments > 0 ? green / departments : null,
    }
  }
  function video(): PatrolRow {
    const run = newest('video')
    const next = planned('video')
    const rounds = all.value.filter((p) => p.kind === 'video' && p.started >= dayStart(now.value)).length
    const checked = run === undefined ? null : run.finished ? run.checked : null
    const n = found(run)
    const round = run === undefined ? '' : t('patrol.round', { n: rounds })
    const state =
      run === undefined
        ? next
          ? t('patrol.planned', { time: time(next.due) })
          : t('patrol.none')
        : run.finished
          ? round
          : `${round} ${t('patrol.running')}`
    return {
      kind: 'video',
      count:
        checked === null
          ? run
            ? t('patrol.cameras', { n: '—', total: total.value })
            : '—'
          : t('patrol.cameras', { n: checked, total: run!.total || total.value }),
      note: n > 0 ? `${state} ${t('patrol.findings', { n })}` : state,
      odd: n > 0,
      end: '',
      share: checked === null ? null : checked / Math.max(1, run!.total || total.value),
    }
  }
  function message(): PatrolRow {
    const inbound = [...centre.message.values()].filter((m) => m.inbound)
    const today = inbound.filter((m) => m.at >= dayStart(now.value))
    const last = Math.max(0, ...today.map((m) => m.at))
    return {
      kind: 'message',
      count: newest('message')?.subject || planned('message')?.subject || '96885',
      note: t('patrol.today', { n: today.length }),
      odd: false,
      end: last ? t('patrol.latest', { time: time(last) }) : '',
      share: null,
    }
  }
  return computed<PatrolRow[]>(() => [data(), video(), message()])
}
