// Finds places of the site by what people type: exact names first, then beginnings, then parts; pinyin initials; and
// addresses such as 12栋2单元602, 12-2-602 or 12 2 6.
import type { PlaceInput } from './api'
import type { Building, Landmark, Site } from './site'

export interface Found {
  place: PlaceInput
  building?: Building
  landmark?: Landmark
  unit: number
  floor: number
  flat: number
}

const half = (text: string): string =>
  text
    .replace(/[\uff01-\uff5e]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0))
    .replace(/\u3000/g, ' ')
    .trim()
    .toLowerCase()

/** A number of flat as doors have it: 602 is the second of the sixth floor. */
function door(b: Building, text: string): { floor: number; flat: number } | null {
  const n = Number(text)
  if (text.length <= 2) return n >= 1 && n <= b.floors ? { floor: n, flat: 0 } : null
  const [floor, flat] = [Math.floor(n / 100), n % 100]
  return floor >= 1 && floor <= b.floors && flat >= 1 && flat <= b.flats_per_floor ? { floor, flat } : null
}

const ADDRESS =
  /^(?:b)?(\d{1,3})\s*(?:栋|幢|号楼|座|#|-|\s)\s*(?:(\d{1,2})\s*(?:单元|-|\s|$)\s*(?:(\d{1,4})\s*(?:层|楼|室|号)?)?)?$/
/** Without a unit: 12栋602. */
const FLAT = /^(\d{1,3})\s*(?:栋|幢|号楼|座|#|-|\s)\s*(\d{3,4})\s*(?:室|号)?$/

/** An address by numbers. What is only partly understood is no address: never another building's. */
function address(site: Site, q: string): Found[] {
  const of = (n: string): Building[] => site.doc.buildings.filter((b) => b.number === Number(n))
  const flat = FLAT.exec(q)
  if (flat)
    return of(flat[1]).flatMap((b) => {
      const at = door(b, flat[2])
      return at ? [found(b, 0, at.floor, at.flat)] : []
    })
  const word = ADDRESS.exec(q) ?? /^b?(\d{1,3})()()$/.exec(q)
  if (!word) return []
  return of(word[1]).flatMap((b) => {
    const unit = Number(word[2] || 0)
    if (unit > b.units) return []
    if (!word[3]) return [found(b, unit, 0, 0)]
    const at = door(b, word[3])
    return at ? [found(b, unit, at.floor, at.flat)] : []
  })
}

const found = (b: Building, unit: number, floor: number, flat: number): Found => ({
  place: {
    grid: b.grid,
    building: b.id,
    ...(unit ? { unit } : {}),
    ...(floor ? { floor } : {}),
    ...(flat ? { flat } : {}),
  },
  building: b,
  unit,
  floor,
  flat,
})

/** The smaller the nearer: exact names, then names that begin so or have it within, then local names that tell of another place. */
function rank(q: string, names: string[], locals: string[], initials: string[]): number | null {
  const [own, local] = [names.map(half), locals.map(half)]
  if (own.includes(q)) return 0
  if (local.includes(q)) return 1
  if (own.some((n) => n.startsWith(q))) return 2
  if (initials.includes(q)) return 3
  if (own.some((n) => n.includes(q))) return 4
  if (initials.some((n) => n.startsWith(q)) && q.length >= 2) return 5
  if (local.some((n) => n.startsWith(q))) return 6
  return local.some((n) => n.includes(q)) ? 7 : null
}

export function findPlaces(site: Site, query: string): Found[] {
  const q = half(query)
  if (q === '') return []
  const numbered = address(site, q)
  const named: { rank: number; found: Found }[] = []
  for (const b of site.doc.buildings) {
    const r = rank(q, [b.name.zh, b.name.en], b.aliases, b.initials ?? [])
    if (r !== null && !numbered.some((n) => n.building === b)) named.push({ rank: r, found: found(b, 0, 0, 0) })
  }
  for (const l of site.doc.landmarks) {
    const r = rank(q, [l.name.zh, l.name.en], l.aliases ?? [], l.initials ?? [])
    if (r !== null)
      named.push({
        rank: r,
        found: { place: { grid: l.grid, landmark: l.id }, landmark: l, unit: 0, floor: 0, flat: 0 },
      })
  }
  named.sort((a, b) => a.rank - b.rank)
  return [...numbered, ...named.map((n) => n.found)]
}
