// A value that the feed tells without its unit, in words: yes or no for what is only that, else with the name of what is
// measured. A bare number says nothing to whoever must act on it.

/** The unit of values that are only yes or no, as the gateway has it. */
export const FLAG = '有/无'
/** Kinds of alarm whose values stand for a state: whatever is not 0 is what the alarm says. */
const STATES = ['call_point', 'sos', 'fire_lane', 'lift_fault', 'lift_trapped', 'message', 'data_rule']
/** Kinds of alarm whose quantity has a name in `reading.quantity`. */
const QUANTITIES = ['smoke', 'gas', 'electrical_fire', 'hydrant_pressure', 'manhole', 'water_level', 'ebike_charging']

export const flag = (value: number): 'yes' | 'no' => (value === 0 ? 'no' : 'yes')

/** `name` = what the kind of alarm is called on the screen. */
export function reading(
  kind: string,
  value: number,
  name: string,
  locale: string,
  t: (key: string, values: Record<string, unknown>) => string,
): string {
  if (value === 0 || value === 1 || STATES.includes(kind)) {
    const is = t('reading.' + flag(value), {})
    // A yes alone says nothing in English.
    return locale === 'zh' ? is : `${name}: ${is}`
  }
  const what = QUANTITIES.includes(kind) ? t('reading.quantity.' + kind, {}) : name
  return t('reading.of', { what, n: Number(value.toPrecision(4)) })
}
