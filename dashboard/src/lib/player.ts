// One generation of one camera in one <video>: appends fragments, holds the delay small by gentle playback rate, trims
// what was seen. A new generation gets a new player; the tile swaps them when the new one shows its first picture.

/** Wished distance to the newest picture, seconds. */
const LAG = 0.35
const LAG_FAST = 0.9
const LAG_SEEK = 4
const KEEP = 8
/** Fragments waiting for the decoder; beyond that the oldest group of pictures goes. */
const MAX_QUEUE = 150

const pool: HTMLVideoElement[] = []

function takeVideo(): HTMLVideoElement {
  const video = pool.pop() ?? document.createElement('video')
  video.muted = true
  video.playsInline = true
  video.disablePictureInPicture = true
  video.tabIndex = -1
  video.setAttribute('aria-hidden', 'true')
  return video
}

function giveVideo(video: HTMLVideoElement): void {
  video.pause()
  video.removeAttribute('src')
  video.load()
  video.remove()
  if (pool.length < 16) pool.push(video)
}

interface Fragment {
  bytes: Uint8Array<ArrayBuffer>
  key: boolean
}

export interface PlayerEvents {
  /** The first picture stands. */
  shown(): void
  /** Unusable: start again. */
  broken(): void
  /** Had to jump forward: this machine does not keep up. */
  jumped(): void
  appended(): void
}

export class Player {
  readonly video = takeVideo()
  private readonly source = new MediaSource()
  private buffer: SourceBuffer | undefined
  private queue: Fragment[] = []
  private readonly url = URL.createObjectURL(this.source)
  private started = false
  private ended = false
  private newest = 0
  private seen = { position: -1, at: performance.now() }

  constructor(
    codec: string,
    init: Uint8Array<ArrayBuffer>,
    private readonly events: PlayerEvents,
  ) {
    this.queue.push({ bytes: init, key: true })
    this.source.addEventListener('sourceopen', () => this.opened(codec), { once: true })
    this.video.addEventListener('error', this.fail)
    this.video.addEventListener('playing', this.shown, { once: true })
    this.video.src = this.url
  }

  push(bytes: Uint8Array<ArrayBuffer>, key: boolean, captured: number): void {
    this.newest = captured
    this.queue.push({ bytes, key })
    if (this.queue.length > MAX_QUEUE) this.shed()
    this.pump()
  }

  /** When the picture on screen was taken, milliseconds. */
  shownAt(): number {
    const end = this.end()
    return end === null || this.newest === 0 ? 0 : this.newest - Math.max(0, end - this.video.currentTime) * 1000
  }

  /** Time since the picture last moved, milliseconds. */
  still(): number {
    const position = this.video.currentTime
    if (position !== this.seen.position) this.seen = { position, at: performance.now() }
    return performance.now() - this.seen.at
  }

  /** Called about four times a second: keeps the delay. */
  steer(): void {
    const end = this.end()
    if (end === null || this.ended) return
    if (!this.started) {
      const begin = this.buffer?.buffered.start(0) ?? 0
      if (end - begin < 0.1) return
      this.started = true
      this.video.currentTime = Math.max(begin, end - LAG)
      void this.video.play().catch(() => undefined)
      return
    }
    const lag = end - this.video.currentTime
    const after = this.beyondGap()
    if (after !== null) {
      // Nothing to play where it stands: left-out pictures, or key frames only. Shown from the newest part on.
      this.video.currentTime = after
    } else if (lag > LAG_SEEK) {
      this.video.currentTime = Math.max(end - LAG, this.lastStart())
      this.events.jumped()
    } else this.video.playbackRate = lag > LAG_FAST ? 1.1 : lag < LAG / 3 ? 0.93 : 1
    if (this.video.paused) void this.video.play().catch(() => undefined)
    this.trim()
  }

  destroy(): void {
    if (this.ended) return
    this.ended = true
    // What never reached the decoder gives its credit back all the same.
    this.queue.splice(0).forEach(() => this.events.appended())
    this.video.removeEventListener('error', this.fail)
    this.video.removeEventListener('playing', this.shown)
    giveVideo(this.video)
    URL.revokeObjectURL(this.url)
  }

  private readonly fail = (): void => {
    if (!this.ended) this.events.broken()
  }
  private readonly shown = (): void => this.events.shown()

  private opened(codec: string): void {
    const type = `video/mp4; codecs="${codec}"`
    if (this.ended || !MediaSource.isTypeSupported(type)) return this.fail()
    this.buffer = this.source.addSourceBuffer(type)
    this.buffer.addEventListener('updateend', () => this.pump())
    this.buffer.addEventListener('error', this.fail)
    this.pump()
  }

  private pump(): void {
    const buffer = this.buffer
    if (buffer === undefined || buffer.updating || this.ended || this.source.readyState !== 'open') return
    const next = this.queue.shift()
    if (next === undefined) return
    try {
      buffer.appendBuffer(next.bytes)
      this.events.appended()
    } catch {
      this.fail()
    }
  }

  /** Drops whole groups of pictures: from the front up to the newest key frame. */
  private shed(): void {
    const last = this.queue.findLastIndex((f) => f.key)
    this.queue.splice(0, last < 0 ? this.queue.length : last).forEach(() => this.events.appended())
  }

  private trim(): void {
    const buffer = this.buffer
    if (buffer === undefined || buffer.updating || buffer.buffered.length === 0) return
    const seen = this.video.currentTime - KEEP
    if (seen - buffer.buffered.start(0) > KEEP) buffer.remove(0, seen)
  }

  /** Begin of the newest part that can be played. */
  private lastStart(): number {
    const ranges = this.buffer?.buffered
    return ranges === undefined || ranges.length === 0 ? 0 : ranges.start(ranges.length - 1)
  }

  /** Where to go on when the position is at an end or in a hole with something newer behind it; null = it plays. */
  private beyondGap(): number | null {
    const ranges = this.buffer?.buffered
    if (ranges === undefined || ranges.length === 0) return null
    const at = this.video.currentTime
    for (let i = 0; i < ranges.length; i++) if (at >= ranges.start(i) - 0.01 && at < ranges.end(i) - 0.12) return null
    const start = ranges.start(ranges.length - 1)
    return start > at + 0.01 ? start : null
  }

  private end(): number | null {
    try {
      const ranges = this.buffer?.buffered
      return ranges === undefined || ranges.length === 0 ? null : ranges.end(ranges.length - 1)
    } catch {
      return null
    }
  }
}
