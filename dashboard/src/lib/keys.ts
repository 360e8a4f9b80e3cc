// Keyboard actions of a screen: one table, shown by `?`. Never while a text is written or an IME composes.
import { onBeforeUnmount, onMounted } from 'vue'

export interface KeyAction {
  /** What the key is called in `KeyboardEvent.key`, lower case. */
  key: string
  /** How it is written on the screen. */
  cap: string
  /** Key of its name in `act`. */
  name: string
  run: () => void
  /** Present on screen and usable now. */
  when?: () => boolean
}

export const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))

/** The key belongs to an input method: Safari and older ones say so only by the number. */
// eslint-disable-next-line @typescript-eslint/no-deprecated
export const composing = (e: KeyboardEvent): boolean => e.isComposing || e.keyCode === 229

export function dispatchKey(event: KeyboardEvent, actions: KeyAction[]): boolean {
  // Another listener has taken it.
  if (event.defaultPrevented) return false
  if (composing(event) || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return false
  if (typing(event.target)) return false
  // Space and Enter belong to a focused button; a row that was chosen by mouse leaves Space to what it shows.
  const row = event.target instanceof HTMLElement && event.target.dataset['row'] !== undefined && event.key === ' '
  if (event.target instanceof HTMLButtonElement && !row && (event.key === ' ' || event.key === 'Enter')) return false
  const key = event.key.toLowerCase()
  const action = actions.find((a) => a.key === key && (a.when?.() ?? true))
  if (action === undefined) return false
  event.preventDefault()
  action.run()
  return true
}

export function useKeys(actions: () => KeyAction[]): void {
  const listener = (event: KeyboardEvent): void => void dispatchKey(event, actions())
  onMounted(() => addEventListener('keydown', listener))
  onBeforeUnmount(() => removeEventListener('keydown', listener))
}
