import { describe, expect, it } from 'vitest'
import type { Entry } from '../src/console/state'
import { lines, type Names } from '../src/console/timeline'

const names: Names = {
  own: 3002,
  t: (key, values) =>
    `${key.replace('event.', '')}${values?.incident && key.endsWith('moved') ? ` ${String(values.incident)}` : ''}`,
  has: () => true,
  join: (words) => words.join('、'),
  unit: (id) => id,
  camera: (id) => id,
  class: (id) => id,
  alarm: (kind) => kind,
  place: () => '',
}
const entry = (seq: number, kind: string, more: Partial<Entry> = {}): Entry => ({ seq, at: seq * 10, kind, ...more })
const told = (entries: Entry[]): string[] => lines(entries, names).map((l) => l.text)

describe('the timeline of a case', () => {
  it('numbers what happened to a case that was merged into it', () => {
    expect(
      told([
        entry(4, 'absorbed', { incident: 3002 }),
        entry(3, 'accepted', { incident: 3001 }),
        entry(2, 'accepted', { incident: 3002 }),
      ]),
    ).toEqual(['absorbed', '3001 accepted', 'accepted'])
  })
  it('says where an alarm went, once', () => {
    expect(told([entry(5, 'alarm_moved', { incident: 3001 }), entry(1, 'alarm_raised', {})])).toEqual([
      'alarm_moved 3001',
      'alarm_raised',
    ])
  })
  it('joins deliveries of one moment, but never those of two cases', () => {
    const sent = (seq: number, incident: number): Entry => entry(seq, 'task_delivered', { incident, unit: `u${seq}` })
    expect(lines([sent(3, 3002), sent(2, 3002), sent(1, 3001)], names)).toHaveLength(2)
  })
})
