// What the console holds: selections, the timeline of the case, commands with their answers, and what waits for undo.
import { computed, inject, provide, ref, shallowRef, watch, type InjectionKey } from 'vue'
import { useI18n } from 'vue-i18n'
import { nextCall } from '../centre/next-call'
import { api, command, newKey, Problem, type PlaceInput, type TimelineEntry } from '../lib/api'
import {
  alarmAsks,
  due,
  stageOf,
  subjects,
  untaken,
  urgency,
  urgentOf,
  type Entry as Attention,
} from '../lib/attention'
import { now } from '../lib/clock'
import { useFigures } from '../lib/figures'
import { time } from '../lib/format'
import type { Alarm, FeedEvent, Incident, Task } from '../lib/model'
import { nameOf, site, type Unit } from '../lib/site'
import { UndoQueue } from '../lib/undo'
import { useAlarmRows } from '../lib/alarm-rows'

export const STAGES = [
  'reported',
  'accepted',
  'filed',
  'pending_approval',
  'approved',
  'dispatched',
  'handling',
  'awaiting_verification',
  'verified',
] as const

/** An unchanged call within this time of one without answer is that one again, milliseconds. */
const SAME_CALL = 120_000

export interface Target {
  unit: string
  lead: boolean
  mandatory: boolean
}
export type Panel = '' | 'intake' | 'push' | 'help' | 'demo' | 'extra' | 'ended'
export interface Field {
  name: string
  /** Also what changes while it is asked. */
  label: string | (() => string)
  kind: 'text' | 'number' | 'select' | 'place' | 'check'
  options?: { value: string; label: string }[]
  optional?: boolean
  value?: string
  max?: number
}
export interface Ask {
  title: string
  /** What to know before it is sent. */
  notes?: () => string[]
  fields: Field[]
  /** false = not accepted: the words stay. */
  send: (values: Record<string, string>) => Promise<boolean>
}

/** What the timeline shows of an event, by the feed or by the interface. */
export type Entry = Pick<
  TimelineEntry,
  | 'seq'
  | 'at'
  | 'incident'
  | 'kind'
  | 'detail'
  | 'unit'
  | 'task'
  | 'camera'
  | 'other'
  | 'text'
  | 'erased'
  | 'by'
  | 'level'
  | 'blobs'
> & {
  place?: { label_zh: string; label_en: string } | null
  before?: { label_zh: string; label_en: string } | null
  happened?: number | null
}
const LEVELS = ['normal', 'yellow', 'red'] as const
export const fromEvent = (e: FeedEvent): Entry => ({
  seq: e.seq,
  at: e.at,
  incident: e.incident,
  kind: e.kind,
  detail: e.detail,
  unit: e.unit,
  task: e.task,
  camera: e.camera,
  other: e.other,
  level: LEVELS[e.level as 0 | 1 | 2] ?? 'normal',
  blobs: e.blobs,
  place: e.place ? { label_zh: e.place.labelZh, label_en: e.place.labelEn } : null,
  before: e.before ? { label_zh: e.before.labelZh, label_en: e.before.labelEn } : null,
  happened: e.happened,
  text: e.text?.value ?? null,
  erased: e.text?.erased ?? false,
  ...(e.by ? { by: { kind: e.by.kind, id: e.by.id, name_zh: e.by.nameZh } } : {}),
})

function createConsole() {
  const { t, locale } = useI18n()
  const figures = useFigures()
  const { centre } = figures
  const alarmRows = useAlarmRows(figures)

  const incidentId = ref<number | null>(null)
  const alarmKey = ref('')
  /** Whether the middle shows the chosen alarm or the chosen case. */
  const look = ref<'case' | 'alarm'>('case')
  /** Ended cases that were looked up and are no longer in the feed. */
  const archive = shallowRef(new Map<number, Incident>())
  const taskId = ref<number | null>(null)
  const camera = ref('')
  const panel = ref<Panel>('')
  const ask = shallowRef<Ask | null>(null)
  const said = ref<{ text: string; bad: boolean; at: number } | null>(null)
  const busy = ref(0)
  /** The place that an open intake names: map and cameras show it, whatever else comes. */
  const preview = shallowRef<{ place: PlaceInput; point: { x: number; y: number }; label: string } | null>(null)

  /** Across stages: what nobody took, what is marked and what is late; and how many rows of it stand on top. */
  const urgent = computed(() => urgentOf(figures.openReal.value, now.value))
  const room = ref(Infinity)
  const pinned = computed(() => urgent.value.slice(0, room.value))
  const queue = computed(() => {
    const above = new Set(pinned.value.map((i) => i.id))
    const rank = new Map(urgent.value.map((i, n) => [i.id, n]))
    const late = (i: Incident): number => rank.get(i.id) ?? Infinity
    return STAGES.map((stage) => ({
      stage,
      incidents: figures.open.value
        .filter((i) => stageOf(i) === stage && !above.has(i.id))
        .sort(
          (a, b) =>
            Number(a.mode === 1) - Number(b.mode === 1) ||
            (late(a) === late(b) ? 0 : late(a) - late(b)) ||
            b.level - a.level ||
            (due(a) === due(b) ? 0 : due(a) - due(b)) ||
            a.id - b.id,
        ),
    })).filter((g) => g.incidents.length > 0)
  })
  const order = computed(() => [...pinned.value, ...queue.value.flatMap((g) => g.incidents)])
  const incident = computed<Incident | undefined>(() =>
    incidentId.value === null
      ? undefined
      : (centre.incident.get(String(incidentId.value)) ?? archive.value.get(incidentId.value)),
  )
  const alarmRow = computed(() => alarmRows.rows.value.find((r) => r.key === alarmKey.value) ?? alarmRows.rows.value[0])
  const alarm = computed<Alarm | undefined>(() => alarmRow.value?.alarm)
  /** What is looked at: a case, or an alarm that is none yet. */
  type Subject = { kind: 'case'; incident: Incident } | { kind: 'alarm'; alarm: Alarm } | null
  /** While words are written, what comes in takes nothing from under them: the subject of then, as kind and id. */
  const anchor = shallowRef<{ kind: 'case' | 'alarm'; id: number } | null | undefined>(undefined)
  const anchorOf = (s: Subject) =>
    s === null ? null : { kind: s.kind, id: s.kind === 'case' ? s.incident.id : s.alarm.id }
  watch(
    () => ['intake', 'push', 'extra', 'ended'].includes(panel.value) || ask.value !== null,
    (writes) => (anchor.value = writes ? anchorOf(subject.value) : undefined),
    { flush: 'sync' },
  )
  const caseOf = (id: number): Incident | undefined => centre.incident.get(String(id)) ?? archive.value.get(id)
  const subject = computed<Subject>(() => {
    const held = anchor.value
    if (held === null) return null
    if (held?.kind === 'case') {
      const i = caseOf(held.id)
      if (i !== undefined) return { kind: 'case', incident: i }
    }
    const of = held?.kind === 'alarm' ? centre.alarm.get(String(held.id)) : undefined
    if (of !== undefined) return { kind: 'alarm', alarm: of }
    const a = alarm.value
    if (a !== undefined && !a.incident && (look.value === 'alarm' || incident.value === undefined))
      return { kind: 'alarm', alarm: a }
    return incident.value === undefined ? null : { kind: 'case', incident: incident.value }
  })
  /** A case that was just made opens when the feed tells of it; until then what is shown stays. */
  const awaited = ref<number | null>(null)
  function openCase(id: number): void {
    const known = centre.incident.has(String(id)) || archive.value.has(id)
    awaited.value = known ? null : id
    if (!known) return
    incidentId.value = id
    look.value = 'case'
    if (anchor.value !== undefined) anchor.value = { kind: 'case', id }
  }
  watch(
    () => awaited.value !== null && centre.incident.has(String(awaited.value)),
    (come) => {
      if (come && awaited.value !== null) openCase(awaited.value)
    },
  )
  function openEnded(i: Incident): void {
    archive.value = new Map(archive.value).set(i.id, i)
    openCase(i.id)
  }
  /** Chooses an alarm row; one that is a case already shows the case. */
  function openAlarm(key: string): void {
    const row = alarmRows.rows.value.find((r) => r.key === key || r.members.some((m) => `a/${m.id}` === key))
    alarmKey.value = row?.key ?? key
    const found = row?.alarm
    if (found?.incident && centre.incident.has(String(found.incident))) openCase(found.incident)
    else {
      look.value = 'alarm'
      if (anchor.value !== undefined && found) anchor.value = { kind: 'alarm', id: found.id }
    }
  }
  const task = computed<Task | undefined>(() => incident.value?.tasks.find((x) => x.id === taskId.value))

  // Nothing chosen yet, or the chosen one is gone: the top of the queue.
  watch(
    () => order.value.length > 0 && incident.value === undefined,
    (none) => {
      const first = urgent.value[0]
      const asks = first !== undefined && urgency(first, now.value) === 0
      if (none) incidentId.value = (asks ? first : (figures.top.value?.incident ?? order.value[0]))?.id ?? null
    },
    { immediate: true },
  )
  /** What the middle shows, as one word. */
  const shownKey = computed(() => {
    const of = anchorOf(subject.value)
    return of === null ? '' : `${of.kind}/${of.id}`
  })
  // An error is about what was shown then, whoever took that from the middle.
  watch([shownKey, alarmKey], () => {
    if (said.value?.bad) said.value = null
  })
  watch(incidentId, () => {
    taskId.value = null
    if (panel.value === 'push') panel.value = ''
  })

  function step(by: number): void {
    const list = order.value
    const at = list.findIndex((i) => i.id === incidentId.value)
    const next = list[Math.min(list.length - 1, Math.max(0, at + by))]
    if (next !== undefined) openCase(next.id)
  }
  function stepAlarm(by: number): void {
    const list = alarmRows.rows.value
    const at = list.findIndex((r) => r.key === alarmRow.value?.key)
    const next = list[Math.min(list.length - 1, Math.max(0, at + by))]
    if (next !== undefined) openAlarm(next.key)
  }
  function stepTask(): void {
    const list = incident.value?.tasks.filter((x) => !['recalled', 'declined'].includes(x.state)) ?? []
    const at = list.findIndex((x) => x.id === taskId.value)
    taskId.value = list[(at + 1) % Math.max(1, list.length)]?.id ?? null
  }

  // ---- timeline
  const fetched = shallowRef<Entry[]>([])
  watch(
    // A case that takes another one in gets that one's past.
    [incidentId, () => incident.value?.absorbed.length ?? 0] as const,
    async ([id], [before]) => {
      if (id !== before) fetched.value = []
      if (id === null) return
      const list = await api.timeline(id).catch(() => [])
      if (incidentId.value === id) fetched.value = list
    },
    { immediate: true },
  )
  /** Cases that an intake offered for the one it made all the same. */
  const offers = shallowRef(new Map<number, number>())
  function offeredFor(made: number, offered: number): void {
    offers.value = new Map(offers.value).set(made, offered)
  }
  /** Open cases that this one may repeat: the one offered at its intake, of the same class there, else of the same place; newest first. */
  const candidates = computed<number[]>(() => {
    const i = incident.value
    if (i === undefined) return []
    const offered = offers.value.get(i.id)
    const near = (x: Incident): boolean =>
      x.place?.building !== undefined && x.place.building !== '' && x.place.building === i.place?.building
    const same = figures.open.value.filter((x) => x.id !== i.id && x.mode === i.mode && (x.id === offered || near(x)))
    const first = (x: Incident): number => Number(x.id === offered) * 2 + Number(x.class === i.class)
    return same.sort((a, b) => first(b) - first(a) || b.reported - a.reported).map((x) => x.id)
  })
  /** The one that is offered on the screen. It stays while it can be merged into, whatever newer one comes. */
  const duplicate = ref<number | null>(null)
  watch(
    [() => incident.value?.id, candidates] as const,
    ([id, list], [before]) => {
      const kept = id === before && duplicate.value !== null && list.includes(duplicate.value)
      if (!kept) duplicate.value = list[0] ?? null
    },
    { immediate: true },
  )

  const timeline = computed<Entry[]>(() => {
    const i = incident.value
    if (i === undefined) return []
    const known = new Set(fetched.value.map((e) => e.seq))
    // A message or a finding that belongs to an alarm is told by the alarm's own line.
    const tells = (e: FeedEvent): boolean =>
      e.incident === i.id || (e.kind.startsWith('alarm_') && i.alarms.includes(e.alarm))
    const live = centre.events.filter((e) => !known.has(e.seq) && tells(e)).map(fromEvent)
    return [...fetched.value, ...live].sort((a, b) => b.seq - a.seq)
  })

  // ---- commands
  function say(text: string, bad = false): void {
    said.value = { text, bad, at: now.value }
  }
  function fail(e: unknown): void {
    say(e instanceof Problem ? e.text(locale.value) : String(e), true)
  }
  /** The last call whose answer never came. Given again unchanged, it is the same call: the centre may have taken it. */
  let undecided = { what: '', key: '', at: 0 }
  /** One try, with one more under the same key when the answer did not come. */
  async function give(path: string, body: unknown = {}) {
    const what = JSON.stringify([path, body])
    const key = undecided.what === what && now.value - undecided.at < SAME_CALL ? undecided.key : newKey()
    busy.value++
    try {
      const answer = await command(path, body, key).catch((e: unknown) => {
        if (e instanceof Problem && e.transient) return command(path, body, key)
        throw e
      })
      if (undecided.key === key) undecided.what = ''
      return answer
    } catch (e) {
      if (e instanceof Problem && e.transient) undecided = { what, key, at: now.value }
      throw e
    } finally {
      busy.value--
    }
  }
  /** Gives a command and tells what came of it. */
  async function run(what: string, path: string, body: unknown = {}): Promise<boolean> {
    const about = shownKey.value
    try {
      await give(path, body)
      say(what)
      return true
    } catch (e) {
      fail(e)
      // What it was about has left the middle: the words must say it.
      if (about !== shownKey.value && said.value) said.value = { ...said.value, text: `${what}：${said.value.text}` }
      return false
    }
  }
  /** Merges one case into another, unless it is taken back in time. */
  const merge = (i: Incident, into: number): Promise<void> =>
    undo.add(t('command.merge', { id: i.id, into }), false, async () => {
      await give(`/incidents/${i.id}/merge`, { into })
      say(t('command.merge', { id: i.id, into }))
    })
  const undo = new UndoQueue(fail)

  // ---- attention
  /** All that is about a case, what sounds first; those with `taken` are only marked. */
  const attentionOf = (i: Incident): Attention[] =>
    [...i.attention].sort((a, b) => Number(a.taken > 0) - Number(b.taken > 0))
  /** Alarms of a case that nobody has confirmed: whoever takes the case has heard them, too. */
  const unheard = (i: Incident): Alarm[] =>
    i.alarms
      .map((id) => centre.alarm.get(String(id)))
      .filter((a) => a !== undefined)
      .filter((a) => a.confirmed === 0 && alarmAsks(a, now.value))
  /** Whether Space has something to take while the case is in the middle. */
  const asks = (i: Incident): boolean => untaken(i).length > 0 || unheard(i).length > 0
  /** Takes all that sounds about a case. With a reason it also answers what units ask for or gave back. */
  async function attend(i: Incident, text = ''): Promise<boolean> {
    const what = `${i.id} ${t('act.attend')}`
    const rest = unheard(i)
    let done = true
    if (text.trim() || untaken(i).length > 0)
      done = await run(what, `/incidents/${i.id}/attend`, text.trim() ? { text: text.trim() } : {})
    for (const a of rest) done = (await run(what, `/alarms/${a.id}/confirm`)) && done
    return done
  }
  /** The key to the alarm: what asks, the gravest first; pressed again, the next. */
  function toNextCall(): void {
    const call = nextCall(subjects(figures.calls.value))
    if (call?.kind === 'case') openCase(call.id)
    else if (call !== undefined) openAlarm(`a/${call.id}`)
    else if (figures.top.value?.incident) openCase(figures.top.value.incident.id)
    else if (figures.top.value?.alarm) openAlarm(`a/${figures.top.value.alarm.id}`)
  }

  /** Sources of the case's alarms that still alarm, with since when. */
  const standing = (i: Incident): string[] =>
    i.alarms
      .map((id) => centre.alarm.get(String(id)))
      .filter((a) => a !== undefined)
      .flatMap((a) => a.sources.filter((s) => s.active).map((s) => ({ a, s })))
      .map(({ a, s }) =>
        t('dialog.standing', {
          what: figures.names.alarm(s.alarmKind),
          place: figures.alarmPlace(a),
          time: time(s.risen || s.first).slice(0, 5),
        }),
      )

  const unitName = (id: string): string => nameOf(site.value?.unit.get(id), locale.value, site.value ? id : '…')
  const className = figures.names.class

  /** Units that a push may go to: departments, firms and the team of the grid. */
  const unitsFor = (i: Incident): Unit[] =>
    (site.value?.doc.units ?? []).filter((u) => u.kind !== 'grid' || u.grid === i.place?.grid)
  /** Who gave the case back, newest first. */
  const declined = (i: Incident): Task[] =>
    i.tasks.filter((x) => x.state === 'declined').sort((a, b) => b.ended - a.ended)
  /** Lead and assists of the class's plan, without those that have a task or gave it back; for those the next unit. */
  function planned(i: Incident): Target[] {
    const c = site.value?.class.get(i.class)
    if (c === undefined) return []
    const live = i.tasks.filter((x) => !['declined', 'recalled'].includes(x.state))
    const led = live.some((x) => x.lead)
    const back = declined(i)
    const free = [c.lead, ...c.assists].filter(
      (unit, n, all) =>
        all.indexOf(unit) === n && ![...live, ...back].some((x) => x.unit === unit && x.state !== 'recalled'),
    )
    if (back.length > 0 && free.length === 0) {
      const next = instead(i)
      if (next !== undefined) free.push(next.id)
    }
    const first = led ? '' : free.includes(c.lead) ? c.lead : (free[0] ?? '')
    return free.map((unit) => ({ unit, lead: unit === first, mandatory: true }))
  }
  /** The next unit after a decline: of the same kind as the one that gave it back, the one with the least in hand. */
  function instead(i: Incident): Unit | undefined {
    const kind = site.value?.unit.get(declined(i)[0]?.unit ?? '')?.kind
    const had = new Set(i.tasks.filter((x) => x.state !== 'recalled').map((x) => x.unit))
    const load = (u: Unit): number => (figures.load.value.get(u.id) ?? 0) / Math.max(1, u.capacity)
    return unitsFor(i)
      .filter((u) => !had.has(u.id))
      .sort((a, b) => Number(a.kind !== kind) - Number(b.kind !== kind) || load(a) - load(b))[0]
  }
  async function push(i: Incident, targets: Target[], text: string, arriveMinutes?: number): Promise<void> {
    if (targets.length === 0) return
    const names = targets.map((x) => unitName(x.unit)).join(locale.value === 'zh' ? '、' : ', ')
    const what = t('command.push', { id: i.id, class: className(i.class), units: names })
    let tasks: number[] = []
    const body = {
      targets: targets.map((x) => (arriveMinutes === undefined ? x : { ...x, arrive_minutes: arriveMinutes })),
      ...(text.trim() ? { text: text.trim() } : {}),
    }
    await undo.add(
      what,
      i.level === 2,
      async () => {
        const answer = await give(`/incidents/${i.id}/push`, body)
        tasks = answer.refs.tasks ?? []
        say(what)
      },
      async () => {
        for (const id of tasks) await give(`/tasks/${id}/recall`, { reason: t('console.undo') })
        say(t('console.undo'))
      },
    )
  }

  return {
    t,
    locale,
    figures,
    centre,
    alarmRows,
    incidentId,
    alarmKey,
    taskId,
    camera,
    panel,
    ask,
    said,
    busy,
    urgent,
    pinned,
    room,
    queue,
    order,
    incident,
    alarmRow,
    alarm,
    task,
    subject,
    look,
    openCase,
    openEnded,
    openAlarm,
    step,
    stepAlarm,
    stepTask,
    timeline,
    say,
    fail,
    give,
    run,
    undo,
    attentionOf,
    asks,
    attend,
    standing,
    preview,
    duplicate,
    offeredFor,
    merge,
    toNextCall,
    unitName,
    className,
    unitsFor,
    planned,
    declined,
    push,
  }
}
export type Console = ReturnType<typeof createConsole>
const KEY: InjectionKey<Console> = Symbol('console')
export function provideConsole(): Console {
  const c = createConsole()
  provide(KEY, c)
  return c
}
export function useConsole(): Console {
  const c = inject(KEY)
  if (c === undefined) throw new Error('useConsole outside the console')
  return c
}
