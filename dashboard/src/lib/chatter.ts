// Sensor rules that chatter: they turned too often, are held, and their turns counted. Asked for now and then: the alarm itself
// does not change meanwhile.
import { onScopeDispose, shallowRef } from 'vue'
import { api } from './api'
import type { Alarm } from './model'

const EVERY = 10_000

export interface Chattering {
  sensor: string
  rule: string
  since: number
  turns: number
}

/** How often the sources of an alarm turned that are held now; 0 = none is. */
export function turns(alarm: Alarm, held: Chattering[]): number {
  const own = (c: Chattering): boolean =>
    alarm.sources.some((s) => s.kind === 'sensor' && s.active && s.id === c.sensor && s.rule === c.rule)
  return held.filter(own).reduce((sum, c) => sum + c.turns, 0)
}

/** Kept up to date until the scope ends; stays as it was while the centre does not answer. */
export function useChattering() {
  const held = shallowRef<Chattering[]>([])
  const ask = async (): Promise<void> => {
    held.value = await api.chattering().catch(() => held.value)
  }
  void ask()
  const timer = setInterval(() => void ask(), EVERY)
  onScopeDispose(() => clearInterval(timer))
  return { held, turns: (alarm: Alarm): number => turns(alarm, held.value) }
}
