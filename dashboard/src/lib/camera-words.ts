// What is wrong with a camera, in words that say what to check. Names that nobody foresaw get a calm general word: the
// name itself, which is for machines, never reaches a screen.

/** Names of connection states, as the video service gives them, that are no trouble. */
const FINE = ['online', 'normal']
/** What keeps a camera from showing pictures at all. */
export const STATES = [
  'unknown',
  'connecting',
  'unreachable',
  'refused',
  'unauthorised',
  'not_found',
  'no_video',
  'unsupported_codec',
  'stalled',
  'protocol',
  'offline',
] as const
/** What is wrong with pictures that do come. */
export const FAULTS = ['frozen', 'black', 'blurred', 'covered', 'moved'] as const
export const OTHER = 'other'

const KNOWN: readonly string[] = [...STATES, ...FAULTS]

export interface CameraFact {
  state: string
  fault: string
}
/** One word for a camera: '' = live and well. Nothing heard of it yet is `unknown`, never well. */
export function causeOf(fact: CameraFact | undefined): string {
  if (fact === undefined) return 'unknown'
  const name = FINE.includes(fact.state) ? fact.fault : fact.state
  return name === '' && FINE.includes(fact.state) ? '' : KNOWN.includes(name) ? name : OTHER
}
/** Whether pictures come, though they may be bad. */
export const connected = (fact: CameraFact): boolean => FINE.includes(fact.state)

const named = (cause: string): string => (cause === '' ? 'normal' : KNOWN.includes(cause) ? cause : OTHER)
/** Key of the short name, for lists and counts. */
export const wordKey = (cause: string): string => `camera.word.${named(cause)}`
/** Key of the sentence that says what to check. */
export const checkKey = (cause: string): string => `camera.check.${named(cause)}`
