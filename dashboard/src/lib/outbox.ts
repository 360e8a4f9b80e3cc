// Steps and photos of a phone, kept in IndexedDB until the centre has taken them. Order is kept within a task; every
// request has its idempotency key from the moment it is queued, so that a repeated one takes effect once. What a person
// has queued leaves in that person's name only: until then it waits, whoever logs in meanwhile. A step that a person
// took carries the moment of the tap: it may arrive hours later.
import { ref, shallowRef } from 'vue'
import { Problem } from './api'

/** Most photos that wait on one phone; beyond that taking one is refused and said. */
export const MAX_WAITING_PHOTOS = 200
export const MAX_PHOTOS = 9

export interface Refused {
  zh: string
  en: string
}
export interface Photo {
  id?: number
  task: number
  incident: number
  at: number
  key: string
  /** JPEG; gone once uploaded. */
  bytes: ArrayBuffer | null
  size: number
  /** Name in the centre's store once uploaded. */
  blob: string
  /** Account that took it. */
  owner: string
  /** The centre's word if it was not accepted. */
  refused: Refused | null
}
export interface Step {
  id?: number
  task: number
  path: string
  body: Record<string, unknown>
  key: string
  /** Moment of the tap, centre's time as well as the phone knows it, milliseconds. */
  at: number
  /** Photos that go before and are named in the body. */
  photos: number[]
  /** Account that took it. */
  owner: string
  /** The centre's word if it was not accepted. */
  refused: Refused | null
}
export interface Transport {
  command(path: string, body: unknown, key: string): Promise<unknown>
  photo(incident: number, picture: Blob, key: string): Promise<{ blob: string }>
}

const OFFLINE = 'offline-since'
/** Steps that people take; the other ones, like a receipt, are the phone's own and have no moment worth telling. */
const TAPPED = /\/(acknowledge|en-route|on-scene|feedback|decline)$/

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('IndexedDB'))
  })
const settled = (tx: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve()
    tx.onerror = tx.onabort = () => reject(tx.error ?? new Error('IndexedDB'))
  })

export class OutboxStore {
  private opened: Promise<IDBDatabase> | undefined
  constructor(private readonly name = 'outbox') {}

  private db(): Promise<IDBDatabase> {
    this.opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1)
      request.onupgradeneeded = () => {
        request.result.createObjectStore('steps', { keyPath: 'id', autoIncrement: true })
        request.result.createObjectStore('photos', { keyPath: 'id', autoIncrement: true })
        request.result.createObjectStore('seen')
      }
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error ?? new Error('IndexedDB'))
    })
    return this.opened
  }
  private async write(store: 'steps' | 'photos' | 'seen', work: (s: IDBObjectStore) => void): Promise<void> {
    // Strict: what the screen calls kept is on the disk.
    const tx = (await this.db()).transaction(store, 'readwrite', { durability: 'strict' })
    work(tx.objectStore(store))
    await settled(tx)
  }
  private async all(store: 'steps' | 'photos'): Promise<unknown[]> {
    return done((await this.db()).transaction(store).objectStore(store).getAll())
  }
  steps = async (): Promise<Step[]> => (await this.all('steps')) as Step[]
  photos = async (): Promise<Photo[]> => (await this.all('photos')) as Photo[]
  async add(store: 'steps' | 'photos', value: Step | Photo): Promise<number> {
    const tx = (await this.db()).transaction(store, 'readwrite', { durability: 'strict' })
    const id = await done(tx.objectStore(store).add(value))
    await settled(tx)
    return Number(id)
  }
  put = (store: 'steps' | 'photos', value: Step | Photo): Promise<void> => this.write(store, (s) => void s.put(value))
  remove = (store: 'steps' | 'photos', ids: number[]): Promise<void> =>
    this.write(store, (s) => {
      for (const id of ids) s.delete(id)
    })
  /** What the phone last saw, so that it has its tasks without network. */
  remember = (key: string, value: unknown): Promise<void> => this.write('seen', (s) => void s.put(value, key))
  async recall<T>(key: string): Promise<T | undefined> {
    return done((await this.db()).transaction('seen').objectStore('seen').get(key) as IDBRequest<T | undefined>)
  }
  async clear(): Promise<void> {
    for (const store of ['steps', 'photos', 'seen'] as const) await this.write(store, (s) => void s.clear())
  }
}

export class Outbox {
  /** Steps that wait or were refused, oldest first. */
  readonly steps = shallowRef<Step[]>([])
  readonly photos = shallowRef<Photo[]>([])
  /** Since when nothing gets through, over killed pages; centre's time as well as the phone knows it; 0 = it does. */
  readonly offlineSince = ref(0)
  private running: Promise<void> | undefined
  private again = false
  private retry: ReturnType<typeof setTimeout> | undefined
  private attempt = 0

  constructor(
    private readonly transport: Transport,
    readonly store = new OutboxStore(),
    private readonly now: () => number = Date.now,
    private readonly newKey: () => string = () => crypto.randomUUID(),
    private readonly owner: () => string = () => '',
  ) {}

  async load(): Promise<void> {
    this.steps.value = await this.store.steps()
    this.photos.value = await this.store.photos()
  }

  /** What an earlier page left: call it before anything is sent. */
  async open(): Promise<void> {
    await this.load()
    this.offlineSince.value = (await this.store.recall<number>(OFFLINE)) ?? 0
  }

  private async offline(since: number): Promise<void> {
    if (this.offlineSince.value === since) return
    this.offlineSince.value = since
    await this.store.remember(OFFLINE, since)
  }

  /** Nothing gets through, as the page knows from elsewhere. */
  async lost(since = this.now()): Promise<void> {
    if (this.offlineSince.value === 0) await this.offline(since)
  }

  /** The centre can be reached again. */
  found = (): Promise<void> => this.offline(0)

  /** Number of things that have not reached the centre. */
  pending(): number {
    return (
      this.steps.value.filter((s) => s.refused === null).length +
      this.photos.value.filter((p) => p.blob === '' && p.refused === null).length
    )
  }

  async step(task: number, path: string, body: Record<string, unknown>, photos: number[] = []): Promise<void> {
    const at = this.now()
    await this.store.add('steps', {
      task,
      path,
      // A part of what is sent again with the same key: it stays as it was at the tap.
      body: TAPPED.test(path) ? { ...body, at } : body,
      key: this.newKey(),
      at,
      photos,
      owner: this.owner(),
      refused: null,
    })
    await this.load()
    void this.drain()
  }

  /** Queues a compressed photo; false = the phone holds too many already. */
  async photo(task: number, incident: number, picture: Blob): Promise<boolean> {
    const mine = this.photos.value.filter((p) => p.task === task)
    if (this.photos.value.length >= MAX_WAITING_PHOTOS || mine.length >= MAX_PHOTOS) return false
    const bytes = await picture.arrayBuffer()
    await this.store.add('photos', {
      task,
      incident,
      at: this.now(),
      key: this.newKey(),
      bytes,
      size: bytes.byteLength,
      blob: '',
      owner: this.owner(),
      refused: null,
    })
    await this.load()
    void this.drain()
    return true
  }

  async dismiss(store: 'steps' | 'photos', refused: Step | Photo): Promise<void> {
    if (refused.id !== undefined) await this.store.remove(store, [refused.id])
    await this.load()
  }

  /** Sends what can be sent; one run at a time. */
  drain(): Promise<void> {
    if (this.running !== undefined) {
      this.again = true
      return this.running
    }
    clearTimeout(this.retry)
    this.running = this.run().finally(() => {
      this.running = undefined
      if (this.again) {
        this.again = false
        void this.drain()
      }
    })
    return this.running
  }

  stop(): void {
    clearTimeout(this.retry)
  }

  private async run(): Promise<void> {
    const blocked = new Set<number>()
    const owner = this.owner()
    let sent = 0
    try {
      for (const photo of await this.store.photos())
        if (photo.owner === owner && photo.blob === '' && photo.refused === null) {
          await this.upload(photo)
          sent++
        }
      for (const step of await this.store.steps()) {
        if (step.owner !== owner || step.refused !== null || blocked.has(step.task)) continue
        if (!(await this.send(step))) blocked.add(step.task)
        sent++
      }
      // With nothing to send nothing was tried.
      if (sent > 0) await this.offline(0)
      this.attempt = 0
      if (blocked.size > 0) this.later()
    } catch (e) {
      if (!(e instanceof Problem)) throw e
      if (e.status !== 401) await this.lost()
      this.later()
    } finally {
      await this.load()
    }
  }

  private later(): void {
    clearTimeout(this.retry)
    this.retry = setTimeout(
      () => void this.drain(),
      Math.min(60_000, 1_000 * 2 ** this.attempt++) * (0.5 + Math.random()),
    )
  }

  private async upload(photo: Photo): Promise<void> {
    if (photo.bytes === null) return
    try {
      const { blob } = await this.transport.photo(
        photo.incident,
        new Blob([photo.bytes], { type: 'image/jpeg' }),
        photo.key,
      )
      await this.store.put('photos', { ...photo, blob, bytes: null })
    } catch (e) {
      if (!(e instanceof Problem)) throw e
      // No network or no session: nothing else will get through. A refusal concerns this photo only, and is shown.
      if (e.transient || e.status === 401) throw e
      await this.store.put('photos', { ...photo, bytes: null, refused: { zh: e.title, en: e.titleEn } })
    }
  }

  /** false = not now; later steps of the same task wait behind it. */
  private async send(step: Step): Promise<boolean> {
    const body = { ...step.body }
    let photos: Photo[] = []
    if (step.photos.length > 0) {
      photos = (await this.store.photos()).filter((p) => step.photos.includes(p.id ?? -1) && p.refused === null)
      if (photos.some((p) => p.blob === '')) return false
      body['photos'] = photos.map((p) => p.blob)
    }
    try {
      await this.transport.command(step.path, body, step.key)
      await this.store.remove(
        'photos',
        photos.flatMap((p) => p.id ?? []),
      )
      if (step.id !== undefined) await this.store.remove('steps', [step.id])
      return true
    } catch (e) {
      if (!(e instanceof Problem)) throw e
      if (e.status === 0 || e.status === 401) throw e
      if (e.transient) return false
      await this.store.put('steps', { ...step, refused: { zh: e.title, en: e.titleEn } })
      return true
    }
  }
}
