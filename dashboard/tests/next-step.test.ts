// The main button: the next step of each stage for each role, or why there is none.
import { expect, it } from 'vitest'
import { nextStep, whyNoPush } from '../src/console/next-step'
import type { Incident } from '../src/lib/model'

const at = (stage: string, more: Partial<Incident> = {}): Incident =>
  ({ stage, tasks: [], approved: 0, ...more }) as unknown as Incident
const task = (state: string) => ({ unit: 'fire', state, mandatory: true }) as Incident['tasks'][number]

it('is the next step of the stage', () => {
  const steps = ['reported', 'accepted', 'filed', 'approved', 'awaiting_verification', 'closed'].map((s) =>
    nextStep(at(s), false),
  )
  expect(steps).toEqual(['accept', 'file', 'push', 'push', 'verify', 'reopen'].map((act) => ({ act })))
  expect(nextStep(at('verified', { approved: 1 }), false)).toEqual({ act: 'close' })
})

it('says whom it waits for', () => {
  expect(nextStep(at('pending_approval'), true)).toEqual({ act: 'approve' })
  expect(nextStep(at('pending_approval'), false)).toEqual({ why: 'approval', units: [] })
  expect(nextStep(at('verified'), true)).toEqual({ act: 'approve' })
  expect(nextStep(at('verified'), false)).toEqual({ why: 'approvalAfter', units: [] })
  expect(nextStep(at('dispatched', { tasks: [task('delivered')] }), false)).toEqual({
    why: 'acknowledge',
    units: ['fire'],
  })
  expect(nextStep(at('handling', { tasks: [task('on_scene')] }), false)).toEqual({ why: 'handle', units: ['fire'] })
  expect(nextStep(at('dispatched', { tasks: [task('declined')] }), false)).toEqual({ act: 'push' })
  expect(['reported', 'accepted', 'pending_approval'].map((s) => whyNoPush(at(s)))).toEqual([
    'acceptFirst',
    'fileFirst',
    'approval',
  ])
})
