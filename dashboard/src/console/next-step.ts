// The one next step of a case for the one who looks: its action, or why there is none for them now.
import type { Incident } from '../lib/model'

export type Step = { act: string } | { why: string; units: string[] }

const units = (i: Incident, states: string[]): string[] =>
  [...i.tasks]
    .filter((x) => states.includes(x.state))
    .sort((a, b) => Number(b.mandatory) - Number(a.mandatory))
    .map((x) => x.unit)

export function nextStep(i: Incident, chief: boolean): Step {
  switch (i.stage) {
    case 'reported':
      return { act: 'accept' }
    case 'accepted':
      return { act: 'file' }
    case 'filed':
      return { act: 'push' }
    case 'pending_approval':
      return chief ? { act: 'approve' } : { why: 'approval', units: [] }
    case 'approved':
      return { act: 'push' }
    case 'dispatched':
    case 'handling': {
      const kept = i.tasks.filter((x) => !['declined', 'recalled'].includes(x.state))
      if (kept.length === 0) return { act: 'push' }
      const waits = units(i, ['pushed', 'delivered'])
      return waits.length > 0
        ? { why: 'acknowledge', units: waits }
        : { why: 'handle', units: units(i, ['acknowledged', 'en_route', 'on_scene']) }
    }
    case 'awaiting_verification':
      return { act: 'verify' }
    case 'verified':
      if (i.approved > 0) return { act: 'close' }
      return chief ? { act: 'approve' } : { why: 'approvalAfter', units: [] }
    case 'closed':
      return { act: 'reopen' }
    default:
      return { why: 'over', units: [] }
  }
}

/** Why nothing can be pushed at this stage. */
export function whyNoPush(i: Incident): string {
  if (i.stage === 'reported') return 'acceptFirst'
  if (i.stage === 'accepted') return 'fileFirst'
  return i.stage === 'pending_approval' ? 'approval' : 'ended'
}
