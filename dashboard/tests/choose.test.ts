// The cameras beside a case.
import { describe, expect, it } from 'vitest'
import type { CameraSite } from '../src/lib/site'
import { chooseCameras, type Fact } from '../src/wall/choose'

const camera = (id: string, indoor = false): CameraSite => ({ id, indoor }) as CameraSite
const corridor = camera('corridor', true)
const [south, north, road] = ['south', 'north', 'road'].map((id) => camera(id)) as [CameraSite, CameraSite, CameraSite]
const all = [corridor, south, north, road]
const facts =
  (broken: Record<string, Partial<Fact>> = {}) =>
  (id: string): Fact => ({ state: 'online', fault: '', ...broken[id] })

describe('cameras beside a case', () => {
  it('show the house from outside first, then whatever is nearest', () => {
    expect(chooseCameras(all, facts())).toEqual(['south', 'corridor'])
  })
  it.each([
    ['off', { south: { state: 'unreachable' } }],
    ['frozen', { south: { fault: 'frozen' } }],
    ['black', { south: { fault: 'black' } }],
  ])('pass over one that is %s', (_, broken) => {
    expect(chooseCameras(all, facts(broken))).toEqual(['north', 'corridor'])
  })
  it('pass over one that stopped on this screen', () => {
    expect(chooseCameras(all, facts(), new Set(['south', 'corridor']))).toEqual(['north', 'road'])
  })
  it('take a live one indoors before a dead one outdoors, and then the nearest that does not live', () => {
    const off = { state: 'unreachable' }
    expect(chooseCameras(all, facts({ south: off, north: off, road: off }))).toEqual(['corridor', 'south'])
    expect(chooseCameras([south, north], facts({ south: off, north: off }))).toEqual(['south', 'north'])
  })
  it('wait for no word of the feed', () => {
    expect(chooseCameras(all, () => undefined)).toEqual(['south', 'corridor'])
    expect(chooseCameras([], facts())).toEqual([])
  })
})
