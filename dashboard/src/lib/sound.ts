// The alarm sound: red and yellow until confirmed. A mute is visible and ends by itself; a browser that blocks says so.
import { computed, ref } from 'vue'
import { now } from './clock'

export const MUTE_FOR = 10 * 60_000
const mutedUntil = ref(0)
export const blocked = ref(false)
export const muted = computed(() => mutedUntil.value > now.value)
export const mutedTo = computed(() => mutedUntil.value)

export function toggleMute(): void {
  mutedUntil.value = muted.value ? 0 : now.value + MUTE_FOR
}

let context: AudioContext | undefined
let timer: ReturnType<typeof setInterval> | undefined
let current = 0

function beep(level: number): void {
  if (muted.value) return
  context ??= new AudioContext()
  if (context.state !== 'running') {
    blocked.value = true
    void context.resume().then(() => (blocked.value = false))
    return
  }
  blocked.value = false
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

/** Sounds for the highest unconfirmed level: red every 2 s, yellow every 6 s, 0 = silence. */
export function sound(level: number): void {
  if (level === current) return
  current = level
  clearInterval(timer)
  if (level === 0) return
  beep(level)
  timer = setInterval(() => beep(level), level === 2 ? 2000 : 6000)
}
/** Any key or click is the permission that browsers want. */
export function unblock(): void {
  if (context?.state === 'suspended') void context.resume().then(() => (blocked.value = false))
}
