// How devices and their values are named on screen.
import { useI18n } from 'vue-i18n'
import type { DeviceRow } from '../lib/api'
import { FLAG, flag } from '../lib/readings'

export const KINDS = [
  'smoke',
  'call_point',
  'gas',
  'electrical_fire',
  'hydrant_pressure',
  'lift',
  'manhole',
  'water_level',
  'sos',
  'fire_lane',
  'ebike_charging',
]
/** Kinds whose numbers stand for a state. */
const STATES: Record<string, string[]> = {
  call_point: ['idle', 'pressed'],
  sos: ['idle', 'pressed'],
  lift: ['running', 'fault', 'trapped'],
  fire_lane: ['free', 'blocked'],
}

export function useWords() {
  const { t } = useI18n()
  const kind = (k: string): string => (KINDS.includes(k) ? t('devices.kind.' + k) : k)
  const stated = (k: string): boolean => k in STATES
  function value(d: Pick<DeviceRow, 'kind' | 'unit'> & { value?: number | null }): string {
    if (d.value === null || d.value === undefined) return '—'
    const state = STATES[d.kind]?.[d.value]
    if (d.unit === FLAG && (d.value === 0 || d.value === 1)) return t('reading.' + flag(d.value))
    return state ? t('devices.is.' + state) : `${Number(d.value.toPrecision(4))} ${d.unit}`.trim()
  }
  return { kind, value, stated, KINDS }
}
