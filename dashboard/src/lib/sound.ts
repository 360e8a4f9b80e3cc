// The alarm sound: red and yellow until a person took them. What is new is heard at once, whatever sounds already. A mute is
// visible and ends by itself; a browser that blocks says so.
import { computed, ref } from 'vue'
import { heardOf, news, type Call, type Heard } from './attention'
import { now } from './clock'

export const MUTE_FOR = 10 * 60_000
const mutedUntil = ref(0)
export const blocked = ref(false)
export const muted = computed(() => mutedUntil.value > now.value)
export const mutedTo = computed(() => mutedUntil.value)

export function toggleMute(): void {
  mutedUntil.value = muted.value ? 0 : now.value + MUTE_FOR
}

/** How long one sound takes; the next waits for its end, milliseconds. */
const LENGTH = 700
const beat = (level: number): number => (level === 2 ? 2000 : 6000)

let context: AudioContext | undefined
let timer: ReturnType<typeof setTimeout> | undefined
let current = 0
let heard: Heard = new Map()
let last = -LENGTH

function beep(level: number): void {
  if (muted.value) return
  if (context === undefined && navigator.userActivation?.hasBeenActive === false) {
    blocked.value = true
    return
  }
  context ??= new AudioContext()
  if (context.state !== 'running') {
    blocked.value = true
    void context.resume().then(() => (blocked.value = false))
    return
  }
  blocked.value = false
  last = performance.now()
  const tones = level === 2 ? [880, 660, 880] : [587]
  tones.forEach((pitch, i) => {
    const oscillator = context!.createOscillator()
    const gain = context!.createGain()
    const at = context!.currentTime + i * 0.22
    oscillator.frequency.value = pitch
    gain.gain.setValueAtTime(0, at)
    gain.gain.linearRampToValueAtTime(0.25, at + 0.02)
    gain.gain.linearRampToValueAtTime(0, at + 0.18)
    oscillator.connect(gain).connect(context!.destination)
    oscillator.start(at)
    oscillator.stop(at + 0.2)
  })
}

function turn(): void {
  beep(current)
  timer = setTimeout(turn, beat(current))
}

/** Sounds at the highest level that asks: red every 2 s, yellow every 6 s, and at once for what is new, worse or asks again. */
export function hear(all: Call[]): void {
  const level = Math.max(0, ...all.map((call) => call.level))
  const fresh = news(heard, all)
  const before = current
  heard = heardOf(all)
  current = level
  if (!fresh && level === before) return
  clearTimeout(timer)
  if (level === 0) return
  timer = setTimeout(turn, Math.max(fresh ? 0 : beat(level), last + LENGTH - performance.now(), 0))
}

/** Silence, and all that asks is new to whoever listens next. */
export const hush = (): void => hear([])

/** Any key or click is the permission that browsers want. */
export function unblock(): void {
  if (context === undefined) {
    if (blocked.value && current > 0) beep(current)
    return
  }
  if (context.state === 'suspended') void context.resume().then(() => (blocked.value = false))
}
