// What the phone shows: the unit's tasks as the centre knows them, with the steps that wait on this phone laid over.
import { computed, markRaw, reactive, shallowRef, watch } from 'vue'
import { useI18n } from 'vue-i18n'
import { api, command } from '../lib/api'
import { useCentre } from '../lib/centre'
import { now } from '../lib/clock'
import { remaining } from '../lib/format'
import type { Clock, Incident, Task } from '../lib/model'
import { Outbox } from '../lib/outbox'
import { session } from '../lib/session'

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
      undefined,
      undefined,
      () => session.value?.account ?? '',
    ),
  )
  /** Incidents of the last visit, while the feed has not spoken yet. */
  const kept = shallowRef<Incident[]>([])
  const unit = computed(() => session.value?.unit ?? '')
  const incidents = computed(() => (centre.loaded ? [...centre.incident.values()] : kept.value))

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

  /** Clock of the step that the task waits for. */
  function limit(j: Job): { over: boolean; text: string; what: string } | null {
    const kind = { acknowledge: 'acknowledge', en_route: 'arrive', on_scene: 'arrive', feedback: 'handle' }[
      next(j) ?? 'feedback'
    ]
    const c: Clock | undefined = j.incident.clocks.find((x) => x.task === j.task.id && x.kind === kind && x.ended === 0)
    return c === undefined ? null : { ...remaining(c, now.value, locale.value), what: t('clock.' + kind) }
  }

  // Showing a task is its receipt, once.
  const receipted = new Set<number>()
  function receipt(j: Job): void {
    if (j.task.state !== 'pushed' || receipted.has(j.task.id)) return
    receipted.add(j.task.id)
    if (outbox.steps.value.some((s) => s.task === j.task.id && s.path.endsWith('/receipt'))) return
    void outbox.step(j.task.id, `/tasks/${j.task.id}/receipt`, {})
  }

  let saving: ReturnType<typeof setTimeout> | undefined
  watch(jobs, () => {
    if (!centre.loaded) return
    clearTimeout(saving)
    saving = setTimeout(
      () => void outbox.store.remember('incidents', JSON.parse(JSON.stringify(incidents.value.slice(0, 200)))),
      400,
    )
  })
  async function start(): Promise<void> {
    await outbox.load()
    kept.value = (await outbox.store.recall<Incident[]>('incidents')) ?? []
    if (session.value !== null) await outbox.store.remember('session', { ...session.value })
    else session.value = (await outbox.store.recall<NonNullable<typeof session.value>>('session')) ?? null
    void outbox.drain()
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
    start,
    centre,
  })
}
export type Jobs = ReturnType<typeof useJobs>
