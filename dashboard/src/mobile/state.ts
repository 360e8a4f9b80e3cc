// What the phone shows: the unit's tasks as the centre knows them, with the steps that wait on this phone laid over.
import { computed, markRaw, reactive, shallowRef, watch } from 'vue'
import { useI18n } from 'vue-i18n'
import { api, command } from '../lib/api'
import { useCentre } from '../lib/centre'
import { clock, now } from '../lib/clock'
import { cutOff, lastGood, link } from '../lib/feed'
import { remaining } from '../lib/format'
import type { Clock, Incident, Task } from '../lib/model'
import { Outbox } from '../lib/outbox'
import { session } from '../lib/session'
import { site } from '../lib/site'

export interface Job {
  incident: Incident
  task: Task
  /** State with the waiting steps taken for done. */
  state: string
}
const AFTER: Record<string, string> = {
  acknowledge: 'acknowledged',
  'en-route': 'en_route',
  'on-scene': 'on_scene',
  decline: 'declined',
}
/** A call for support: not sent yet, at the centre, seen there, or answered by a push or a reason. */
export interface Support {
  state: 'queued' | 'sent' | 'taken' | 'answered'
  asked: number
  /** When the centre took or answered it; 0 = not, or not known. */
  answered: number
  reason: string
}
interface Kept {
  owner: string
  /** When the centre said so. */
  at: number
  incidents: Incident[]
}
/** Most incidents that a phone keeps, its own first. */
const MOST_KEPT = 200
/** Shortest time between two savings, milliseconds. */
const SAVE_EVERY = 400
export const STEPS = ['acknowledge', 'en_route', 'on_scene', 'feedback'] as const
export type StepName = (typeof STEPS)[number]

export function useJobs() {
  const { t, locale } = useI18n()
  const centre = useCentre()
  /** Steps that the centre has taken but the feed does not show yet; void as soon as it tells of the incident again. */
  const taken = shallowRef<{ task: number; path: string; body: Record<string, unknown>; seen: Incident | undefined }[]>(
    [],
  )
  const seenOf = (task: number): Incident | undefined => incidents.value.find((i) => i.tasks.some((x) => x.id === task))
  async function give(path: string, body: unknown, key: string): Promise<unknown> {
    const task = Number(/^\/tasks\/(\d+)\//.exec(path)?.[1] ?? 0)
    const seen = seenOf(task)
    const answer = await command(path, body, key)
    taken.value = [...taken.value.slice(-40), { task, path, body: body as Record<string, unknown>, seen }]
    return answer
  }
  const outbox = markRaw(
    new Outbox(
      { command: give, photo: (incident, picture, key) => api.photo(incident, picture, key) },
      undefined,
      () => Math.round(clock.time()),
      undefined,
      () => session.value?.account ?? '',
    ),
  )
  /** What an earlier page saw, until the feed has spoken; null = this phone has never seen anything of this account. */
  const kept = shallowRef<Kept | null>(null)
  /** What the phone keeps has been read. */
  const opened = shallowRef(false)
  const unit = computed(() => session.value?.unit ?? '')
  const incidents = computed(() =>
    centre.loaded
      ? [...centre.incident.values()]
      : kept.value !== null && kept.value.owner === session.value?.account
        ? kept.value.incidents
        : [],
  )
  /** Whether what is listed is what the centre says now, what it said at a moment, or nothing that anybody knows. */
  const knows = computed<'now' | 'then' | 'nothing' | 'asking'>(() => {
    if (centre.loaded) return 'now'
    if (kept.value !== null && kept.value.owner === session.value?.account) return 'then'
    return opened.value && offline.value ? 'nothing' : 'asking'
  })
  const connected = shallowRef(navigator.onLine)
  const setConnected = (): void => void (connected.value = navigator.onLine)
  const offline = computed(() => outbox.offlineSince.value > 0 || cutOff.value || !connected.value)
  watch([cutOff, connected], ([cut, on]) => {
    if (cut || !on) void outbox.lost(Math.round(lastGood.value) || undefined)
  })
  watch(
    () => link.value === 'open',
    (open) => open && void outbox.found(),
  )

  function laidOver(task: Task): string {
    let state: string = task.state
    const arrived = taken.value.filter((x) => x.task === task.id && x.seen !== undefined && x.seen === seenOf(task.id))
    const waits = outbox.steps.value.filter((s) => s.task === task.id && s.refused === null)
    for (const s of [...arrived, ...waits]) {
      const name = s.path.split('/').at(-1) ?? ''
      if (name === 'feedback') state = s.body['result'] === 'need_support' ? state : 'done'
      else state = AFTER[name] ?? state
    }
    return state
  }
  const jobs = computed<Job[]>(() =>
    incidents.value
      .flatMap((incident) =>
        incident.tasks.filter((x) => x.unit === unit.value).map((task) => ({ incident, task, state: laidOver(task) })),
      )
      .sort((a, b) => b.incident.level - a.incident.level || a.task.pushed - b.task.pushed),
  )
  const waiting = computed(() => jobs.value.filter((j) => j.incident.open && ['pushed', 'delivered'].includes(j.state)))
  const ongoing = computed(() =>
    jobs.value.filter((j) => j.incident.open && ['acknowledged', 'en_route', 'on_scene'].includes(j.state)),
  )
  const finished = computed(() =>
    jobs.value.filter((j) => j.state === 'done').sort((a, b) => b.task.ended - a.task.ended),
  )
  const ofGrid = computed(() =>
    incidents.value.filter((i) => i.open && session.value?.grid && i.place?.grid === session.value.grid),
  )

  /** What the one button does next. */
  function next(j: Job): StepName | null {
    if (['pushed', 'delivered'].includes(j.state)) return 'acknowledge'
    if (j.state === 'acknowledged') return 'en_route'
    if (j.state === 'en_route') return 'on_scene'
    return j.state === 'on_scene' ? 'feedback' : null
  }
  async function take(j: Job, step: Exclude<StepName, 'feedback'>): Promise<void> {
    await outbox.step(
      j.task.id,
      `/tasks/${j.task.id}/${step === 'en_route' ? 'en-route' : step === 'on_scene' ? 'on-scene' : step}`,
      {},
    )
  }
  const decline = (j: Job, reason: string): Promise<void> =>
    outbox.step(j.task.id, `/tasks/${j.task.id}/decline`, { reason })
  async function feedback(j: Job, result: string, text: string): Promise<void> {
    const named = new Set(outbox.steps.value.flatMap((s) => s.photos))
    const photos = outbox.photos.value
      .filter(
        (p) =>
          p.task === j.task.id &&
          p.id !== undefined &&
          p.refused === null &&
          p.owner === session.value?.account &&
          !named.has(p.id),
      )
      .map((p) => p.id!)
    await outbox.step(
      j.task.id,
      `/tasks/${j.task.id}/feedback`,
      { result, ...(text.trim() ? { text: text.trim() } : {}), photos: [] },
      photos,
    )
  }

  /** When a step was tapped that the centre does not show yet; 0 = there is none. */
  function tapped(j: Job, step: StepName): number {
    const path = `/${step.replace('_', '-')}`
    const mine = outbox.steps.value.filter((s) => s.task === j.task.id && s.refused === null && s.path.endsWith(path))
    return mine.at(-1)?.at ?? 0
  }

  /** What the caller said, or what an alarm brought; '' = nobody said anything. */
  function words(j: Job): string {
    if (j.incident.text?.value) return j.incident.text.value
    const sources = j.incident.alarms.flatMap((id) => centre.alarm.get(String(id))?.sources ?? [])
    return sources.map((s) => s.text?.value ?? '').find(Boolean) ?? ''
  }

  /** A call for support from here, and what became of it. */
  function support(j: Job): Support | null {
    const waits = outbox.steps.value.filter(
      (s) => s.task === j.task.id && s.refused === null && s.body['result'] === 'need_support',
    )
    const queued = waits.at(-1)
    if (queued !== undefined) return { state: 'queued', asked: queued.at, answered: 0, reason: '' }
    const arrived = taken.value.filter(
      (x) => x.task === j.task.id && x.body['result'] === 'need_support' && x.seen === seenOf(j.task.id),
    )
    const given = arrived.at(-1)
    if (given !== undefined) return { state: 'sent', asked: Number(given.body['at']), answered: 0, reason: '' }
    const last = j.task.feedback.at(-1)
    if (last?.result !== 'need_support') return null
    const asked = last.at
    const entry = j.incident.attention.find((a) => a.why === 'support' && a.task === j.task.id)
    if (entry !== undefined)
      return { state: entry.taken > 0 ? 'taken' : 'sent', asked, answered: entry.taken, reason: '' }
    // The entry is gone: a push or a reason has answered it.
    const answer = centre.events
      .filter((e) => e.incident === j.incident.id && e.at >= asked && ['attended', 'task_pushed'].includes(e.kind))
      .find((e) => e.kind === 'task_pushed' || e.text?.value)
    const pushed = j.incident.tasks.map((x) => x.pushed).filter((at) => at >= asked)
    const answered = answer?.at ?? (pushed.length > 0 ? Math.min(...pushed) : 0)
    return { state: 'answered', asked, answered, reason: answer?.text?.value ?? '' }
  }

  /** Clock of the step that the task waits for. */
  function limit(j: Job): { over: boolean; text: string; what: string } | null {
    const kind = { acknowledge: 'acknowledge', en_route: 'arrive', on_scene: 'arrive', feedback: 'handle' }[
      next(j) ?? 'feedback'
    ]
    const told = j.incident.clocks.find((x) => x.task === j.task.id && x.kind === kind && x.ended === 0)
    const c = kind === 'acknowledge' ? fromPush(j, told) : told
    return c === undefined ? null : { ...remaining(c, now.value, locale.value), what: t('clock.' + kind) }
  }

  /** The limit for taking a task runs from its push, opened or not, and nothing moves that. */
  function fromPush(j: Job, told: Clock | undefined): Clock | undefined {
    const limit = told?.limit ?? site.value?.class.get(j.incident.class)?.limits.acknowledge
    if (limit === undefined || j.task.pushed === 0) return told
    return { kind: 'acknowledge', task: j.task.id, since: j.task.pushed, limit, ended: 0 }
  }

  // Showing a task is its receipt, once.
  const receipted = new Set<number>()
  function receipt(j: Job): void {
    if (j.task.state !== 'pushed' || receipted.has(j.task.id)) return
    receipted.add(j.task.id)
    if (outbox.steps.value.some((s) => s.task === j.task.id && s.path.endsWith('/receipt'))) return
    void outbox.step(j.task.id, `/tasks/${j.task.id}/receipt`, {})
  }

  // Kept at once when something has changed, then at most every so often: a page can be killed at any moment.
  let saved = 0
  let saving: ReturnType<typeof setTimeout> | undefined
  function save(): void {
    clearTimeout(saving)
    saving = undefined
    const owner = session.value?.account
    if (!centre.loaded || owner === undefined) return
    saved = Date.now()
    const own = new Set(jobs.value.map((j) => j.incident.id))
    const first = [...incidents.value].sort(
      (a, b) => Number(own.has(b.id)) - Number(own.has(a.id)) || Number(b.open) - Number(a.open) || b.id - a.id,
    )
    const keep: Kept = { owner, at: lastGood.value || clock.time(), incidents: first.slice(0, MOST_KEPT) }
    void outbox.store.remember('incidents', JSON.parse(JSON.stringify(keep)))
  }
  watch(jobs, () => {
    if (Date.now() - saved > SAVE_EVERY) save()
    else saving ??= setTimeout(save, SAVE_EVERY)
  })
  async function start(): Promise<void> {
    addEventListener('online', setConnected)
    addEventListener('offline', setConnected)
    addEventListener('pagehide', save)
    await outbox.open()
    const found = await outbox.store.recall<Kept | Incident[]>('incidents')
    kept.value = found == null || Array.isArray(found) ? null : found
    if (session.value !== null) await outbox.store.remember('session', { ...session.value })
    else session.value = (await outbox.store.recall<NonNullable<typeof session.value>>('session')) ?? null
    opened.value = true
    if (!connected.value) await outbox.lost()
    void outbox.drain()
  }
  function stop(): void {
    removeEventListener('online', setConnected)
    removeEventListener('offline', setConnected)
    removeEventListener('pagehide', save)
    clearTimeout(saving)
    outbox.stop()
  }
  /** Nothing of what this account saw stays on the phone. */
  async function forget(): Promise<void> {
    clearTimeout(saving)
    kept.value = null
    await outbox.store.remember('session', null)
    await outbox.store.remember('incidents', null)
  }
  return reactive({
    outbox,
    steps: outbox.steps,
    photos: outbox.photos,
    offlineSince: outbox.offlineSince,
    waiting,
    ongoing,
    finished,
    ofGrid,
    jobs,
    next,
    take,
    decline,
    feedback,
    limit,
    receipt,
    tapped,
    words,
    support,
    knows,
    keptAt: computed(() => kept.value?.at ?? 0),
    offline,
    start,
    stop,
    forget,
  })
}
export type Jobs = ReturnType<typeof useJobs>
