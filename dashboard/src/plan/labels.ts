// Where the labels of the plan stand: beside their lamp when there is room, else further out with a line that leads to it.
export interface Box {
  x: number
  y: number
  w: number
  h: number
}
/** A label that wants a place, in pixels of the plan. */
export interface Wish {
  key: string
  /** The middle of its mark, and how far the mark reaches. */
  x: number
  y: number
  reach: number
  /** Size of the label with its halo. */
  w: number
  h: number
  red: boolean
}
export interface Placed {
  key: string
  box: Box
  /** From the mark to the label, when it does not stand right beside it. */
  leader?: [number, number, number, number]
}

export const apart = (a: Box, b: Box): boolean =>
  a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
export const around = (x: number, y: number, r: number): Box => ({ x: x - r, y: y - r, w: 2 * r, h: 2 * r })
const within = (a: Box, b: Box): boolean => a.x >= b.x && a.y >= b.y && a.x + a.w <= b.x + b.w && a.y + a.h <= b.y + b.h

/** Whether a line runs through a box: clips the line at its four sides. */
export function through([x1, y1, x2, y2]: readonly [number, number, number, number], b: Box): boolean {
  let [from, to] = [0, 1]
  const sides: [number, number][] = [
    [x1 - x2, x1 - b.x],
    [x2 - x1, b.x + b.w - x1],
    [y1 - y2, y1 - b.y],
    [y2 - y1, b.y + b.h - y1],
  ]
  for (const [p, q] of sides) {
    if (p === 0) {
      if (q <= 0) return false
    } else if (p < 0) from = Math.max(from, q / p)
    else to = Math.min(to, q / p)
  }
  return from < to
}

/** Directions, the best first: a red one below its mark, others at its right; then all around. */
const AROUND = Array.from({ length: 16 }, (_, i) => (i * Math.PI) / 8)
const GAP = 2

function* spots(wish: Wish, furthest: number): Generator<Omit<Placed, 'key'>> {
  const { x, y, w, h, reach } = wish
  const out = reach + GAP
  const below = { x: x - w / 2, y: y + out }
  const above = { x: x - w / 2, y: y - out - h }
  const right = { x: x + out, y: y - h - GAP }
  const left = { x: x - out - w, y: y - h - GAP }
  for (const at of wish.red ? [below, above, right, left] : [right, left, below, above]) yield { box: { ...at, w, h } }
  for (let far = out + h; far < furthest; far += h / 2)
    for (const turn of AROUND) {
      const [dx, dy] = [Math.cos(turn), Math.sin(turn)]
      // The box is pushed out until its near edge stands at the distance.
      const middle = { x: x + dx * (far + w / 2), y: y + dy * (far + h / 2) }
      const box = { x: middle.x - w / 2, y: middle.y - h / 2, w, h }
      const end = {
        x: Math.min(box.x + w, Math.max(box.x, x)),
        y: Math.min(box.y + h, Math.max(box.y, y)),
      }
      const long = Math.hypot(end.x - x, end.y - y) || 1
      const start = { x: x + ((end.x - x) / long) * reach, y: y + ((end.y - y) / long) * reach }
      yield { box, leader: [start.x, start.y, end.x, end.y] }
    }
}

/**
 * Reds first, and always placed: on no other label and on no red mark, whatever else it takes. Others stay clear of what
 * is red, of labels and marks, too, and are left out where the plan is full.
 */
export function placeLabels(
  wishes: Wish[],
  o: { bounds?: Box | undefined; names?: Box[]; marks?: Box[] } = {},
): Placed[] {
  const reds = wishes.filter((w) => w.red)
  const marks = wishes.map((w) => around(w.x, w.y, w.reach))
  const redMarks = reds.map((w) => around(w.x, w.y, w.reach))
  const soft = [...(o.names ?? []), ...(o.marks ?? []), ...marks]
  const placed: Placed[] = []
  const extent = Math.max(0, ...wishes.map((w) => Math.abs(w.x) + Math.abs(w.y) + 2 * (w.w + w.h)))
  const free = (s: Omit<Placed, 'key'>): boolean =>
    placed.every((p) => apart(p.box, s.box)) && redMarks.every((m) => apart(m, s.box))
  const inside = (s: Omit<Placed, 'key'>): boolean => o.bounds === undefined || within(s.box, o.bounds)
  const untouched = (s: Omit<Placed, 'key'>): boolean =>
    placed.every((p) => p.leader === undefined || !through(p.leader, s.box)) &&
    (s.leader === undefined || placed.every((p) => !through(s.leader!, p.box)))
  for (const wish of [...reds, ...wishes.filter((w) => !w.red)]) {
    const near = wish.h * (wish.red ? 12 : 6)
    const find = (far: number, fits: (s: Omit<Placed, 'key'>) => boolean): Omit<Placed, 'key'> | undefined => {
      for (const s of spots(wish, far)) if (free(s) && fits(s)) return s
      return undefined
    }
    const at =
      find(near, (s) => inside(s) && untouched(s) && soft.every((b) => apart(b, s.box))) ??
      (wish.red
        ? (find(near, (s) => inside(s) && untouched(s)) ??
          find(2 * extent, inside) ??
          // Out of every other one's way there is always room.
          find(Infinity, () => true))
        : undefined)
    if (at !== undefined) placed.push({ key: wish.key, ...at })
  }
  return placed
}
