// Places by what people type, over all places of the site.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPlaces } from '../src/lib/places'
import { Site, type SiteDocument } from '../src/lib/site'

const doc = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/site.json'), 'utf8')) as SiteDocument
const site = new Site(doc)
const first = (q: string) => {
  const f = findPlaces(site, q)[0]
  return f === undefined ? null : { ...f.place, name: (f.building ?? f.landmark)!.name.zh }
}

describe('places', () => {
  it('has the place of an exact name first, for every place of the site', () => {
    for (const at of [...doc.buildings, ...doc.landmarks]) expect(first(at.name.zh)?.name, at.name.zh).toBe(at.name.zh)
    for (const b of doc.buildings) for (const alias of b.aliases) expect(first(alias)?.building, alias).toBe(b.id)
  })

  it('finds the school, not the building west of it', () => {
    expect(doc.buildings.some((b) => b.aliases.some((a) => a.includes('学校')))).toBe(true)
    const school = doc.landmarks.find((l) => l.kind === 'school')!
    expect(first('学校')?.landmark).toBe(school.id)
  })

  it('reads addresses as people write them', () => {
    const b = doc.buildings.find((x) => x.number === 12)!
    const at = (q: string) => {
      const { grid: _grid, name: _name, ...place } = first(q) ?? { grid: '', name: '' }
      return place
    }
    for (const q of ['12栋', '12', '12座', '１２栋', 'b12', '12#']) expect(at(q), q).toEqual({ building: b.id })
    for (const q of ['12-2', '12栋2单元', '12 2']) expect(at(q), q).toEqual({ building: b.id, unit: 2 })
    for (const q of ['12-2-6', '12 2 6', '12#2-6', '12栋2单元6层', '12栋2单元6楼'])
      expect(at(q), q).toEqual({ building: b.id, unit: 2, floor: 6 })
    for (const q of ['12-2-602', '12 2 602', '12栋2单元602', '12栋2单元602室', '１２－２－６０２'])
      expect(at(q), q).toEqual({ building: b.id, unit: 2, floor: 6, flat: 2 })
    expect(at('12栋602')).toEqual({ building: b.id, floor: 6, flat: 2 })
  })

  it('gives no place rather than another one for what it understands only in part', () => {
    for (const q of ['12-9-6', '12-2-9999', '999栋', '12栋2单元699', '12栋和13栋']) expect(first(q), q).toBeNull()
  })

  it('finds by pinyin initials', () => {
    const named = structuredClone(doc)
    const school = named.landmarks.find((l) => l.kind === 'school')!
    school.initials = ['xx']
    expect(findPlaces(new Site(named), 'XX')[0]?.landmark?.id).toBe(school.id)
  })
})
