// The one key to the alarm: the gravest of what asks; pressed again, the next one. What changes starts from the top.
import { subjectOf, type Call } from '../lib/attention'

let last = ''
let list = ''

export function nextCall(all: Call[]): Call | undefined {
  const keys = all.map(subjectOf)
  const same = keys.join() === list
  const next = all[same ? (keys.indexOf(last) + 1) % all.length : 0]
  list = keys.join()
  last = next === undefined ? '' : subjectOf(next)
  return next
}
