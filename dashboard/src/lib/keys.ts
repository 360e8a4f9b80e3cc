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

export function dispatchKey(event: KeyboardEvent, actions: KeyAction[]): boolean {
  // Another listener has taken it.
  if (event.defaultPrevented) return false
  if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey || event.repeat)
    return false
  if (typing(event.target)) return false
  // Space and Enter belong to a focused button.
  if (event.target instanceof HTMLButtonElement && (event.key === ' ' || event.key === 'Enter')) return false
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
