import { createPinia, setActivePinia } from 'pinia'
import { expect, it } from 'vitest'
import { useCentre } from '../src/lib/centre'
import { endSession } from '../src/lib/session'

it('leaves nothing to see for the next who logs in', () => {
  setActivePinia(createPinia())
  const { collections } = useCentre()
  collections.clear()
  collections.put('incident', '1', 1, { id: 1, stage: 'filed' } as never)
  collections.event({ seq: 1 } as never)
  endSession()
  expect([collections.maps.incident.size, collections.events.value, collections.loaded.value]).toEqual([0, [], false])
})
