//! Plane geometry of the plan: smooth lines, cutting of outlines, clearances. Pure; y grows to the south.

use domain::site::Point;

use super::plan::Xy;

/// Samples between two control points of a smooth line.
const STEPS: usize = 6;

/// A smooth line through control points, sampled; keeps where each control point lies.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) points: Vec<Point>,
    closed: bool,
}

impl Curve {
    /// Catmull-Rom line through `control`.
    pub(super) fn through(control: &[Xy], closed: bool) -> Self {
        let n = control.len();
        let at = |i: isize| {
            let last = n.saturating_sub(1) as isize;
            let index = if closed { i.rem_euclid(n.max(1) as isize) } else { i.clamp(0, last) };
            control.get(index as usize).map_or(Point { x: 0.0, y: 0.0 }, |p| Point { x: p.0, y: p.1 })
        };
        let spans = if closed { n } else { n.saturating_sub(1) };
        let mut points = Vec::with_capacity(spans * STEPS + 1);
        for i in 0..spans as isize {
            let [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
            for step in 0..STEPS {
                let t = step as f64 / STEPS as f64;
                points.push(Point { x: blend([a.x, b.x, c.x, d.x], t), y: blend([a.y, b.y, c.y, d.y], t) });
            }
        }
        if !closed {
            points.push(at(n as isize - 1));
        }
        Self { points, closed }
    }

    /// The samples from control point `from` to `to`, both included; a closed line may wrap forwards.
    pub(super) fn slice(&self, from: usize, to: usize) -> Vec<Point> {
        let (from, to) = (from * STEPS, to * STEPS);
        if from <= to {
            return self.points.get(from..=to.min(self.points.len().saturating_sub(1))).unwrap_or(&[]).to_vec();
        }
        let tail = self.points.get(from..).unwrap_or(&[]).iter();
        tail.chain(self.points.get(..=to).unwrap_or(&[])).copied().collect()
    }

    /// The whole line; a closed one ends where it begins.
    pub(super) fn line(&self) -> Vec<Point> {
        let mut points = self.points.clone();
        if self.closed {
            points.extend(self.points.first());
        }
        points
    }
}

fn blend([a, b, c, d]: [f64; 4], t: f64) -> f64 {
    0.5 * (2.0 * b + (c - a) * t + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t + (3.0 * b - a - 3.0 * c + d) * t * t * t)
}

/// The nearest point of a segment.
pub(super) fn nearest_on(a: Point, b: Point, p: Point) -> Point {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length = dx * dx + dy * dy;
    let t = if length == 0.0 { 0.0 } else { (((p.x - a.x) * dx + (p.y - a.y) * dy) / length).clamp(0.0, 1.0) };
    Point { x: a.x + t * dx, y: a.y + t * dy }
}

/// The nearest point of a line and its distance; the point itself for an empty line.
pub(super) fn snap(line: &[Point], p: Point) -> (Point, f64) {
    line.windows(2)
        .filter_map(|w| Some(nearest_on(*w.first()?, *w.get(1)?, p)))
        .map(|q| (q, q.distance(p)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((p, f64::INFINITY))
}

/// The outline as a line that ends where it begins.
pub(super) fn closed(outline: &[Point]) -> Vec<Point> {
    outline.iter().chain(outline.first()).copied().collect()
}

/// Whether a point is inside an outline.
pub(super) fn contains(outline: &[Point], p: Point) -> bool {
    closed(outline)
        .windows(2)
        .filter(|w| {
            let [a, b] = [w[0], w[1]];
            (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x
        })
        .count()
        % 2
        == 1
}

/// Area of an outline, square metres.
#[cfg(test)]
pub(super) fn area(outline: &[Point]) -> f64 {
    closed(outline).windows(2).map(|w| w[0].x * w[1].y - w[1].x * w[0].y).sum::<f64>().abs() / 2.0
}

/// Cuts an outline by a line whose ends are moved onto it. The line's inner points must lie inside.
pub(super) fn cut(outline: &[Point], line: &[Point]) -> [Vec<Point>; 2] {
    let (Some(first), Some(last)) = (line.first(), line.last()) else {
        return [outline.to_vec(), Vec::new()];
    };
    let (from, start) = boundary(outline, *first);
    let (to, end) = boundary(outline, *last);
    let mut line = line.to_vec();
    if let Some(p) = line.first_mut() {
        *p = start;
    }
    if let Some(p) = line.last_mut() {
        *p = end;
    }
    let forward: Vec<_> = walk(outline, from, to).chain(line.iter().rev().copied()).collect();
    let backward: Vec<_> = walk(outline, to, from).chain(line.iter().copied()).collect();
    [tidy(forward), tidy(backward)]
}

/// The edge (its first corner's index) of the outline that is nearest to a point, and the nearest point on it.
fn boundary(outline: &[Point], p: Point) -> (usize, Point) {
    closed(outline)
        .windows(2)
        .map(|w| nearest_on(w[0], w[1], p))
        .enumerate()
        .min_by(|a, b| a.1.distance(p).total_cmp(&b.1.distance(p)))
        .unwrap_or((0, p))
}

/// The corners after edge `from` up to the first corner of edge `to`.
fn walk(outline: &[Point], from: usize, to: usize) -> impl Iterator<Item = Point> + '_ {
    let n = outline.len().max(1);
    let count = (to + n - from) % n;
    (1..=count).filter_map(move |k| outline.get((from + k) % n).copied())
}

/// Without repeated corners.
fn tidy(mut outline: Vec<Point>) -> Vec<Point> {
    outline.dedup_by(|a, b| a.distance(*b) < 0.05);
    if outline.len() > 1 && outline.first().zip(outline.last()).is_some_and(|(a, b)| a.distance(*b) < 0.05) {
        outline.pop();
    }
    outline
}

/// A point given along (`x`) and across (`y`, to the south when unturned) a turned frame.
pub(super) fn placed(middle: Point, degrees: f64, x: f64, y: f64) -> Point {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Point { x: middle.x + x * cos - y * sin, y: middle.y + x * sin + y * cos }
}

/// Compass direction from one point to another, degrees clockwise from north.
pub(super) fn heading(from: Point, to: Point) -> f64 {
    (to.x - from.x).atan2(from.y - to.y).to_degrees().rem_euclid(360.0)
}

/// The point at this share of a line's length, and the direction of the line there (degrees from north).
pub(super) fn along(line: &[Point], share: f64) -> (Point, f64) {
    let total: f64 = line.windows(2).map(|w| w[0].distance(w[1])).sum();
    let mut left = total * share.clamp(0.0, 1.0);
    for w in line.windows(2) {
        let step = w[0].distance(w[1]);
        if left <= step && step > 0.0 {
            let t = left / step;
            let at = Point { x: w[0].x + (w[1].x - w[0].x) * t, y: w[0].y + (w[1].y - w[0].y) * t };
            return (at, heading(w[0], w[1]));
        }
        left -= step;
    }
    let at = line.last().copied().unwrap_or(Point { x: 0.0, y: 0.0 });
    let from = line.iter().rev().nth(1).copied().unwrap_or(at);
    (at, heading(from, at))
}

/// Moves a point by metres in a compass direction.
pub(super) fn moved(p: Point, degrees: f64, metres: f64) -> Point {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Point { x: p.x + metres * sin, y: p.y - metres * cos }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Point; 4] =
        [Point { x: 0.0, y: 0.0 }, Point { x: 10.0, y: 0.0 }, Point { x: 10.0, y: 10.0 }, Point { x: 0.0, y: 10.0 }];

    #[test]
    fn a_cut_keeps_the_area_and_parts_the_outline() {
        let line = [Point { x: 3.0, y: -0.2 }, Point { x: 4.0, y: 5.0 }, Point { x: 3.0, y: 10.1 }];
        let [a, b] = cut(&SQUARE, &line);
        assert!((area(&a) + area(&b) - 100.0).abs() < 1e-9, "{a:?} {b:?}");
        let left = Point { x: 1.0, y: 5.0 };
        assert_ne!(contains(&a, left), contains(&b, left));
    }

    #[test]
    fn compass_directions_are_clockwise_from_north() {
        let o = Point { x: 0.0, y: 0.0 };
        for (p, degrees) in [((0.0, -1.0), 0.0), ((1.0, 0.0), 90.0), ((0.0, 1.0), 180.0), ((-1.0, 0.0), 270.0)] {
            let p = Point { x: p.0, y: p.1 };
            assert!((heading(o, p) - degrees).abs() < 1e-9);
            assert!(moved(o, degrees, 1.0).distance(p) < 1e-9);
        }
    }

    #[test]
    fn a_slice_of_a_ring_wraps() {
        let ring = Curve::through(&[(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)], true);
        let wrapped = ring.slice(3, 0);
        assert_eq!(wrapped.first().map(|p| (p.x, p.y)), Some((0.0, 9.0)));
        assert_eq!(wrapped.last().map(|p| (p.x, p.y)), Some((0.0, 0.0)));
    }
}
