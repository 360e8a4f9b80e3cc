import 'fake-indexeddb/auto'
import { IDBFactory } from 'fake-indexeddb'
import { beforeEach, describe, expect, it } from 'vitest'
import { Problem } from '../src/lib/api'
import { MAX_PHOTOS, Outbox, OutboxStore, type Transport } from '../src/lib/outbox'

const offline = (): Problem => new Problem(0, 'offline', '网络不通', 'No network')
/** A centre that keeps keys, and a network that can be cut before or after the centre has taken something. */
class Centre implements Transport {
  cut: 'no' | 'before' | 'after' = 'no'
  refuse = new Map<string, Problem>()
  readonly taken: { path: string; body: Record<string, unknown>; key: string }[] = []
  private readonly keys = new Map<string, unknown>()
  private async once<T>(key: string, make: () => T): Promise<T> {
    if (this.cut === 'before') throw offline()
    if (!this.keys.has(key)) this.keys.set(key, make())
    if (this.cut === 'after') throw offline()
    return this.keys.get(key) as T
  }
  command(path: string, body: Record<string, unknown>, key: string): Promise<unknown> {
    const problem = this.refuse.get(path)
    if (problem !== undefined) return Promise.reject(problem)
    return this.once(key, () => this.taken.push({ path, body, key }))
  }
  photo(_incident: number, picture: Blob, key: string): Promise<{ blob: string }> {
    const problem = this.refuse.get('/photos')
    if (problem !== undefined) return Promise.reject(problem)
    return this.once(key, () => ({ blob: `blob-${key}-${picture.size}` }))
  }
}
let n = 0
const make = (centre: Centre, owner = 'clerk'): Outbox =>
  new Outbox(
    centre,
    new OutboxStore(),
    () => 1000,
    () => `key-${++n}`,
    () => owner,
  )
beforeEach(() => {
  globalThis.indexedDB = new IDBFactory()
  n = 0
})
const settle = async (box: Outbox): Promise<void> => {
  await box.drain()
  await box.drain()
  box.stop()
}

describe('outbox', () => {
  it('keeps steps over a killed page and sends each once, in order', async () => {
    const centre = new Centre()
    centre.cut = 'before'
    const first = make(centre)
    for (const step of ['acknowledge', 'en-route', 'on-scene']) await first.step(7, `/tasks/7/${step}`, {})
    await settle(first)
    expect(centre.taken).toEqual([])
    expect(first.pending()).toBe(3)
    expect(first.offlineSince.value).toBe(1000)
    // The page dies; the centre takes the next try but its answer is lost.
    centre.cut = 'after'
    const second = make(centre)
    await second.load()
    expect(second.pending()).toBe(3)
    await settle(second)
    centre.cut = 'no'
    const third = make(centre)
    await settle(third)
    expect(centre.taken.map((x) => x.path)).toEqual(['/tasks/7/acknowledge', '/tasks/7/en-route', '/tasks/7/on-scene'])
    expect(third.pending()).toBe(0)
    expect(third.offlineSince.value).toBe(0)
  })

  it('sends each step with the moment of its tap, whenever it arrives, and its own doings without', async () => {
    const centre = new Centre()
    centre.cut = 'before'
    let clock = 5_000
    const at = (): Outbox =>
      new Outbox(
        centre,
        new OutboxStore(),
        () => clock,
        () => `key-${++n}`,
        () => 'clerk',
      )
    const first = at()
    await first.step(7, '/tasks/7/receipt', {})
    for (const step of ['acknowledge', 'en-route', 'on-scene']) {
      clock += 60_000
      await first.step(7, `/tasks/7/${step}`, {})
    }
    await first.step(8, '/tasks/8/decline', { reason: '不归本单位' })
    await settle(first)
    // Hours later, on another page.
    clock += 8 * 3_600_000
    centre.cut = 'after'
    const second = at()
    await second.open()
    await settle(second)
    centre.cut = 'no'
    await settle(second)
    expect(centre.taken.map((x) => x.body)).toEqual([
      {},
      { at: 65_000 },
      { at: 125_000 },
      { at: 185_000 },
      { reason: '不归本单位', at: 185_000 },
    ])
  })

  it('knows over a killed page since when nothing gets through', async () => {
    const centre = new Centre()
    centre.cut = 'before'
    const first = make(centre)
    await first.lost(700)
    await first.step(7, '/tasks/7/acknowledge', {})
    await settle(first)
    const second = make(centre)
    await second.open()
    expect(second.offlineSince.value).toBe(700)
    centre.cut = 'no'
    await settle(second)
    expect(second.offlineSince.value).toBe(0)
    const third = make(centre)
    await third.open()
    expect(third.offlineSince.value).toBe(0)
  })

  it('uploads photos first and names them in the feedback', async () => {
    const centre = new Centre()
    centre.cut = 'before'
    const box = make(centre)
    expect(await box.photo(7, 3021, new Blob(['abc']))).toBe(true)
    expect(await box.photo(7, 3021, new Blob(['defg']))).toBe(true)
    await box.step(
      7,
      '/tasks/7/feedback',
      { result: 'done', photos: [] },
      box.photos.value.map((p) => p.id!),
    )
    await settle(box)
    expect(box.pending()).toBe(3)
    centre.cut = 'no'
    await settle(box)
    expect(centre.taken.map((x) => x.body)).toEqual([
      { result: 'done', at: 1000, photos: ['blob-key-1-3', 'blob-key-2-4'] },
    ])
    expect([box.pending(), box.photos.value.length]).toEqual([0, 0])
  })

  it('shows a refusal, goes on with other tasks, and holds a task whose step must be tried again', async () => {
    const centre = new Centre()
    centre.refuse.set('/tasks/1/acknowledge', new Problem(409, 'wrong_task_state', '任务当前状态不能这样办理', 'no'))
    centre.refuse.set('/tasks/2/acknowledge', new Problem(503, 'draining', '稍后', 'later'))
    const box = make(centre)
    await box.step(1, '/tasks/1/acknowledge', {})
    await box.step(2, '/tasks/2/acknowledge', {})
    await box.step(2, '/tasks/2/en-route', {})
    await box.step(3, '/tasks/3/acknowledge', {})
    await settle(box)
    expect(centre.taken.map((x) => x.path)).toEqual(['/tasks/3/acknowledge'])
    expect(box.steps.value.map((s) => [s.path, s.refused?.zh])).toEqual([
      ['/tasks/1/acknowledge', '任务当前状态不能这样办理'],
      ['/tasks/2/acknowledge', undefined],
      ['/tasks/2/en-route', undefined],
    ])
    await box.dismiss('steps', box.steps.value[0]!)
    expect(box.steps.value).toHaveLength(2)
    centre.refuse.clear()
    await settle(box)
    expect(centre.taken.map((x) => x.path)).toEqual([
      '/tasks/3/acknowledge',
      '/tasks/2/acknowledge',
      '/tasks/2/en-route',
    ])
  })

  it('keeps photos over a session that has ended', async () => {
    const centre = new Centre()
    centre.refuse.set('/photos', new Problem(401, 'unauthorised', '请登录', 'Log in'))
    const box = make(centre)
    await box.photo(7, 3021, new Blob(['abc']))
    await box.step(7, '/tasks/7/feedback', { result: 'done', photos: [] }, [box.photos.value[0]!.id!])
    await settle(box)
    expect([centre.taken, box.pending()]).toEqual([[], 2])
    centre.refuse.clear()
    await settle(box)
    expect(centre.taken.map((x) => x.body)).toEqual([{ result: 'done', at: 1000, photos: ['blob-key-1-3'] }])
  })

  it('shows a photo that is not accepted, and sends the feedback with the others', async () => {
    const centre = new Centre()
    centre.refuse.set('/photos', new Problem(422, 'photo', '不是照片', 'No photo'))
    const box = make(centre)
    await box.photo(7, 3021, new Blob(['abc']))
    await settle(box)
    expect(box.photos.value.map((p) => p.refused)).toEqual([{ zh: '不是照片', en: 'No photo' }])
    expect(box.pending()).toBe(0)
    centre.refuse.clear()
    await box.photo(7, 3021, new Blob(['defg']))
    await box.step(
      7,
      '/tasks/7/feedback',
      { result: 'done', photos: [] },
      box.photos.value.map((p) => p.id!),
    )
    await settle(box)
    expect(centre.taken.map((x) => x.body)).toEqual([{ result: 'done', at: 1000, photos: ['blob-key-2-4'] }])
    await box.dismiss('photos', box.photos.value[0]!)
    expect(box.photos.value).toEqual([])
  })

  it('sends what one person queued in no other name', async () => {
    const [nowhere, centre] = [new Centre(), new Centre()]
    nowhere.cut = 'before'
    const first = make(nowhere, 'first')
    await first.photo(7, 3021, new Blob(['abc']))
    await first.step(7, '/tasks/7/acknowledge', {})
    await settle(first)
    const second = make(centre, 'second')
    await second.load()
    await settle(second)
    expect([centre.taken, second.pending()]).toEqual([[], 2])
    const again = make(centre, 'first')
    await settle(again)
    expect([centre.taken.map((x) => x.path), again.pending()]).toEqual([['/tasks/7/acknowledge'], 0])
  })

  it('refuses more photos than a feedback may have', async () => {
    const centre = new Centre()
    centre.cut = 'before'
    const box = make(centre)
    for (let i = 0; i < MAX_PHOTOS; i++) expect(await box.photo(7, 1, new Blob(['x']))).toBe(true)
    expect(await box.photo(7, 1, new Blob(['x']))).toBe(false)
    expect(await box.photo(8, 1, new Blob(['x']))).toBe(true)
    await settle(box)
  })
})
