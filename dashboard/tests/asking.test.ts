// What asks for a person: which alarms and cases, how loudly, in what order, and what is news.
import { describe, expect, it } from 'vitest'
import { calls, heardOf, mark, news, stageOf, subjects, urgentOf, type Entry } from '../src/lib/attention'
import type { Alarm, Clock, Incident, Task } from '../src/lib/model'

const entry = (why: string, more: Partial<Entry> = {}): Entry =>
  ({ why, task: 0, since: 5, taken: 0, ...more }) as Entry
const incident = (id: number, level: 0 | 1 | 2, attention: Entry[] = [], more: Partial<Incident> = {}): Incident =>
  ({
    id,
    level,
    mode: 0,
    open: true,
    stage: 'handling',
    attention,
    clocks: [],
    tasks: [],
    ...more,
  }) as unknown as Incident
const alarm = (id: number, more: Partial<Alarm> = {}): Alarm =>
  ({
    id,
    level: 1,
    mode: 0,
    open: true,
    raised: 3,
    confirmed: 0,
    sounded: 0,
    verdict: '',
    shelvedUntil: 0,
    ...more,
  }) as Alarm
const NOW = 1000

describe('what asks', () => {
  it('is an alarm until it is confirmed, and again when it sounded after that and nobody judged it', () => {
    const asks = (more: Partial<Alarm>): [string, number][] =>
      calls([], [alarm(1, more)], NOW).map((c) => [c.why, c.since])
    expect(asks({})).toEqual([['unconfirmed', 3]])
    expect(asks({ confirmed: 7 })).toEqual([])
    expect(asks({ confirmed: 7, sounded: 9 })).toEqual([['again', 9]])
    expect(asks({ confirmed: 7, sounded: 9, verdict: 'false' })).toEqual([])
    for (const quiet of [{ level: 0 }, { mode: 1 }, { mode: 2 }, { open: false }, { shelvedUntil: NOW + 1 }])
      expect(asks(quiet as Partial<Alarm>)).toEqual([])
    expect(asks({ shelvedUntil: NOW })).toHaveLength(1)
  })
  it('is every entry of a case that nobody took, at least at yellow', () => {
    const found = (i: Incident): unknown[] => calls([i], [], NOW).map((c) => [c.why, c.level, c.task])
    expect(found(incident(1, 2, [entry('opened'), entry('support', { task: 8 })]))).toEqual([
      ['opened', 2, 0],
      ['support', 2, 8],
    ])
    expect(found(incident(1, 0, [entry('declined', { task: 8 })]))).toEqual([['declined', 1, 8]])
    expect(found(incident(1, 2, [entry('support', { taken: 6 })]))).toEqual([])
    for (const quiet of [{ mode: 1 }, { mode: 2 }, { open: false }])
      expect(found(incident(1, 2, [entry('opened')], quiet as Partial<Incident>))).toEqual([])
  })
  it('comes gravest first, then the longest wait, each subject once', () => {
    const all = calls(
      [
        incident(1, 1, [entry('support', { since: 1 })]),
        incident(2, 2, [entry('opened', { since: 9 }), entry('worse', { since: 20 })]),
      ],
      [alarm(3, { level: 2, raised: 12 }), alarm(4, { raised: 30 })],
      NOW,
    )
    expect(all.map((c) => `${c.kind}${c.id} ${c.why}`)).toEqual([
      'case2 opened',
      'alarm3 unconfirmed',
      'case2 worse',
      'case1 support',
      'alarm4 unconfirmed',
    ])
    expect(subjects(all).map((c) => c.id)).toEqual([2, 3, 1, 4])
  })
  it('is news when it begins, gets worse or asks again, and not when it stays or ends', () => {
    const of = (i: Incident) => calls([i], [], NOW)
    const one = of(incident(1, 1, [entry('idle')]))
    const heard = heardOf(one)
    expect(news(new Map(), one)).toBe(true)
    expect(news(heard, one)).toBe(false)
    expect(news(heard, [])).toBe(false)
    expect(news(heard, of(incident(1, 2, [entry('idle')])))).toBe(true)
    expect(news(heard, of(incident(1, 0, [entry('idle')])))).toBe(false)
    expect(news(heard, of(incident(1, 1, [entry('idle', { since: 6 })])))).toBe(true)
    expect(news(heard, of(incident(1, 1, [entry('idle'), entry('support', { task: 4 })])))).toBe(true)
    expect(news(heard, [...one, ...of(incident(2, 1, [entry('idle')]))])).toBe(true)
  })
})

describe('the queue', () => {
  const late = { clocks: [{ kind: 'handle', task: 0, since: 0, limit: 10, ended: 0 }] as Clock[] }
  it('puts reds that nobody took first, then other reds, then what asks, is marked, is late', () => {
    const list = [
      incident(1, 1, [], late),
      incident(2, 1, [entry('declined', { taken: 6 })]),
      incident(3, 1, [entry('support')]),
      incident(4, 2, [], late),
      incident(5, 2, [entry('idle', { since: 8 })]),
      incident(6, 2, [entry('opened', { since: 7 })]),
      incident(7, 2),
      incident(8, 1, [entry('opened')], { mode: 1 } as Partial<Incident>),
      incident(9, 0, [], { clocks: [{ ...late.clocks[0]!, ended: 50 }] }),
    ]
    expect(urgentOf(list, NOW).map((i) => i.id)).toEqual([6, 5, 4, 7, 3, 2, 1])
  })
  it('names what sounds before what is only marked', () => {
    expect(mark(incident(1, 2, [entry('support', { taken: 6 }), entry('worse')]))?.why).toBe('worse')
    expect(mark(incident(1, 2, [entry('opened'), entry('declined')]))?.why).toBe('declined')
    expect(mark(incident(1, 2))).toBeUndefined()
  })
  it('counts no case as waiting for a unit when every unit gave its task back', () => {
    const dispatched = (...states: string[]): string =>
      stageOf(incident(1, 1, [], { stage: 'dispatched', tasks: states.map((state) => ({ state })) as Task[] }))
    expect(dispatched('declined')).toBe('approved')
    expect(dispatched('recalled', 'declined')).toBe('approved')
    expect(dispatched('declined', 'delivered')).toBe('dispatched')
    expect(dispatched('recalled')).toBe('dispatched')
    expect(stageOf(incident(1, 1, [], { stage: 'handling' }))).toBe('handling')
  })
})
