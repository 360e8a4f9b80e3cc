//! The deterministic site 卯家湾: geometry drawn by hand in `plan`, everything countable generated from a seed.
//!
//! Invariants (held by the tests below): 6 communities, 36 grids, 76 buildings, 9,100 households, 39,106 people,
//! 237 cameras; no building touches another building or a road; each lies within its grid; ids are unique; the same
//! seed gives the same site. Pure, no I/O.

mod cameras;
mod classes;
mod geometry;
mod landmarks;
mod plan;
mod sensors;
mod units;

#[cfg(test)]
mod tests;

use domain::{
    ids::{BuildingId, CommunityId, GridId},
    site::{Building, Community, Grid, Name, Path, Point, Site},
};

use self::geometry::{Curve, closed, contains, cut, placed, snap};
use crate::seed::Dice;

/// Registered households of each community.
const HOUSEHOLDS: [u32; 6] = [1_486, 1_530, 1_655, 1_492, 1_521, 1_416];
/// Registered people of the whole site.
const PEOPLE: u32 = 39_106;
/// Chinese numerals for communities.
const ORDINALS: [&str; 6] = ["一", "二", "三", "四", "五", "六"];
/// Chinese names of numbered roads.
const ROAD_NUMBERS: [&str; 18] = [
    "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二", "十三", "十四", "十五", "十六", "十七",
    "十八",
];
/// Names that residents use instead of a number.
const ALIASES: &[(u16, &str)] = &[
    (1, "老支书那栋"),
    (7, "西头第一栋"),
    (12, "球场边那栋"),
    (16, "超市楼"),
    (21, "广场后面那栋"),
    (23, "卫生站那栋"),
    (31, "大停车场那栋"),
    (38, "菜市场楼"),
    (47, "幼儿园对面"),
    (54, "红砖楼"),
    (58, "学校西边那栋"),
    (61, "银行楼"),
    (69, "学校旁边那栋"),
    (76, "东南角那栋"),
];

/// The site of this seed. The same seed always gives the same document.
pub fn maojiawan(seed: u64) -> Site {
    let roads = Roads::new();
    let (communities, grids) = areas(&roads);
    let buildings = buildings(seed, &grids);
    let landmarks = landmarks::all(&roads, &communities, &grids, &buildings);
    let cameras = cameras::all(&cameras::Ground {
        seed,
        roads: &roads,
        communities: &communities,
        grids: &grids,
        buildings: &buildings,
        landmarks: &landmarks,
    });
    let sensors = sensors::all(seed, &roads, &grids, &buildings, &landmarks);
    let tours = cameras::tours(&cameras, &landmarks);
    Site {
        id: "maojiawan".into(),
        name: name("卯家湾安置区", "Maojiawan resettlement area"),
        region: name("鲁甸县砚池街道卯家湾安置区", "Maojiawan, Yanchi Street, Ludian County"),
        version: 1,
        extent: Point { x: plan::EXTENT.0, y: plan::EXTENT.1 },
        anchor: (27.196_2, 103.541_8),
        units: units::all(&grids),
        classes: classes::classes(),
        alarm_kinds: classes::alarm_kinds(),
        paths: roads.paths(),
        communities,
        grids,
        buildings,
        landmarks,
        cameras,
        sensors,
        tours,
    }
}

fn name(zh: impl Into<String>, en: impl Into<String>) -> Name {
    Name { zh: zh.into(), en: en.into() }
}

fn points(line: &[plan::Xy]) -> Vec<Point> {
    line.iter().map(|p| Point { x: p.0, y: p.1 }).collect()
}

/// The road network: smooth main roads and straight lanes that end on the roads they meet.
struct Roads {
    ring: Curve,
    west: Curve,
    east: Curve,
    central: Curve,
    lanes: Vec<Vec<Point>>,
}

impl Roads {
    fn new() -> Self {
        let [ring, west, east, central] =
            [(plan::RING, true), (plan::WEST, false), (plan::EAST, false), (plan::CENTRAL, false)]
                .map(|(control, closed)| Curve::through(control, closed));
        let mut meets: Vec<Vec<Point>> = [&ring, &west, &east, &central].map(Curve::line).to_vec();
        let mut lanes = Vec::new();
        for lane in plan::LANES {
            let mut lane = points(lane);
            for end in [0, lane.len().saturating_sub(1)] {
                let Some(p) = lane.get(end).copied() else { continue };
                let (on, distance) = meets
                    .iter()
                    .map(|line| snap(line, p))
                    .min_by(|a, b| a.1.total_cmp(&b.1))
                    .unwrap_or((p, f64::INFINITY));
                // An end further off than this is a dead end on purpose (the square).
                if distance < 25.0
                    && let Some(p) = lane.get_mut(end)
                {
                    *p = on;
                }
            }
            meets.push(lane.clone());
            lanes.push(lane);
        }
        Self { ring, west, east, central, lanes }
    }

    /// Main roads first, then lanes, each with its name.
    fn paths(&self) -> Vec<Path> {
        let main = [(&self.ring, 16.0), (&self.central, 16.0), (&self.east, 16.0), (&self.west, 16.0)]
            .map(|(curve, width)| (curve.line(), width));
        main.into_iter()
            .chain(self.lanes.iter().map(|line| (line.clone(), 8.0)))
            .zip(ROAD_NUMBERS)
            .enumerate()
            .map(|(i, ((line, width), zh))| Path {
                name: name(format!("{zh}号路"), format!("Road {}", i + 1)),
                line,
                width,
            })
            .collect()
    }

    /// Outline of each community, along the middle lines of the roads around it.
    fn outlines(&self) -> [Vec<Point>; 6] {
        let [north_west, north_east, east, south_east, south_west, west] = plan::RING_AT;
        let (wx, ex, [cw, ce]) = (plan::WEST_CROSSING, plan::EAST_CROSSING, plan::CENTRAL_CROSSINGS);
        let (west_end, east_end) = (plan::WEST.len() - 1, plan::EAST.len() - 1);
        let central_end = plan::CENTRAL.len() - 1;
        let (r, w, e, c) = (&self.ring, &self.west, &self.east, &self.central);
        [
            joined([r.slice(west, north_west), w.slice(0, wx), back(c.slice(0, cw))]),
            joined([r.slice(north_west, north_east), e.slice(0, ex), back(c.slice(cw, ce)), back(w.slice(0, wx))]),
            joined([r.slice(north_east, east), back(c.slice(ce, central_end)), back(e.slice(0, ex))]),
            joined([c.slice(0, cw), w.slice(wx, west_end), r.slice(south_west, west)]),
            joined([
                c.slice(cw, ce),
                e.slice(ex, east_end),
                r.slice(south_east, south_west),
                back(w.slice(wx, west_end)),
            ]),
            joined([c.slice(ce, central_end), r.slice(east, south_east), back(e.slice(ex, east_end))]),
        ]
    }
}

fn back(mut line: Vec<Point>) -> Vec<Point> {
    line.reverse();
    line
}

fn joined<const N: usize>(parts: [Vec<Point>; N]) -> Vec<Point> {
    let mut outline = parts.concat();
    outline.dedup_by(|a, b| a.distance(*b) < 0.05);
    outline.pop_if(|_| true);
    outline
}

/// Communities and their grids; grid `k` is the piece that holds the first building listed for it.
fn areas(roads: &Roads) -> (Vec<Community>, Vec<Grid>) {
    let mut communities = Vec::new();
    let mut grids = Vec::new();
    for (i, (outline, block)) in roads.outlines().into_iter().zip(&plan::COMMUNITIES).enumerate() {
        let id = CommunityId::new(format!("s{}", i + 1));
        let mut pieces = vec![outline.clone()];
        for line in block.cuts {
            let line = points(line);
            let Some(inside) = line.first().zip(line.get(1)) else { continue };
            let middle = Point { x: (inside.0.x + inside.1.x) / 2.0, y: (inside.0.y + inside.1.y) / 2.0 };
            if let Some(at) = pieces.iter().position(|p| contains(p, middle)) {
                let whole = pieces.swap_remove(at);
                pieces.extend(cut(&whole, &line));
            }
        }
        for (k, slabs) in block.grids.iter().enumerate() {
            let number = i * 6 + k + 1;
            let first = slabs.first().map_or(Point { x: 0.0, y: 0.0 }, |s| Point { x: s.0, y: s.1 });
            grids.push(Grid {
                id: GridId::new(format!("530621002{:03}{number:02}", i + 1)),
                community: id.clone(),
                name: name(format!("第{number}网格"), format!("Grid {number}")),
                outline: pieces.iter().find(|p| contains(p, first)).cloned().unwrap_or_default(),
            });
        }
        let zh = ORDINALS.get(i).copied().unwrap_or_default();
        communities.push(Community {
            id,
            name: name(format!("第{zh}社区"), format!("Community {}", i + 1)),
            outline,
            label: Point { x: block.label.0, y: block.label.1 },
        });
    }
    (communities, grids)
}

/// The grid at a point, else the nearest one.
fn grid_at(grids: &[Grid], p: Point) -> GridId {
    grids
        .iter()
        .find(|g| contains(&g.outline, p))
        .or_else(|| {
            let far = |g: &Grid| snap(&closed(&g.outline), p).1;
            grids.iter().min_by(|a, b| far(a).total_cmp(&far(b)))
        })
        .map_or_else(|| GridId::new(""), |g| g.id.clone())
}

/// A building's frame: its middle and turn, to place things in and around it.
#[derive(Clone, Copy)]
struct Frame {
    middle: Point,
    length: f64,
    turn: f64,
    units: u8,
}

impl Frame {
    /// A point `x` along and `y` across (south positive), metres.
    fn at(self, x: f64, y: f64) -> Point {
        placed(self.middle, self.turn, x, y)
    }
    /// Middle of a stairwell unit, from 1 at the western end.
    fn unit(self, unit: u8) -> f64 {
        self.length * ((f64::from(unit) - 0.5) / f64::from(self.units.max(1)) - 0.5)
    }
}

/// The frame of building `number`, as drawn.
fn frame(number: u16) -> Option<Frame> {
    let &(x, y, length, turn) =
        plan::COMMUNITIES.iter().flat_map(|b| b.grids).flatten().nth(usize::from(number).checked_sub(1)?)?;
    let units = match length {
        l if l < 56.0 => 2,
        l if l < 96.0 => 3,
        _ => 4,
    };
    Some(Frame { middle: Point { x, y }, length, turn, units })
}

/// Depth of a slab without steps and stair towers, metres.
const DEPTH: f64 = 18.0;

/// Steps of the units across the slab, metres; each row's mean is nought.
fn steps(units: u8, dice: &mut Dice) -> &'static [f64] {
    const TWO: [&[f64]; 2] = [&[-2.5, 2.5], &[2.5, -2.5]];
    const THREE: [&[f64]; 4] = [&[-2.0, 4.0, -2.0], &[-4.0, 0.0, 4.0], &[4.0, 0.0, -4.0], &[-2.0, 4.0, -2.0]];
    const FOUR: [&[f64]; 4] =
        [&[-2.0, 3.0, -4.0, 3.0], &[-4.5, -1.5, 1.5, 4.5], &[-3.0, 3.0, 3.0, -3.0], &[4.5, 1.5, -1.5, -4.5]];
    let rows: &[&'static [f64]] = match units {
        2 => &TWO,
        3 => &THREE,
        _ => &FOUR,
    };
    dice.pick(rows).copied().unwrap_or(&[])
}

/// The stepped outline with a stair tower on the north side of each unit, and where the lamp stands.
fn slab(frame: Frame, dice: &mut Dice) -> (Vec<Point>, Point) {
    let steps = steps(frame.units, dice);
    let width = frame.length / f64::from(frame.units.max(1));
    let (tower, rise) = ((width * 0.3).min(9.0), 4.0);
    let mut north = Vec::new();
    let mut south = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let west = i as f64 * width - frame.length / 2.0;
        let (middle, top, bottom) = (west + width / 2.0, step - DEPTH / 2.0, step + DEPTH / 2.0);
        for (x, y) in [
            (west, top),
            (middle - tower / 2.0, top),
            (middle - tower / 2.0, top - rise),
            (middle + tower / 2.0, top - rise),
            (middle + tower / 2.0, top),
            (west + width, top),
        ] {
            north.push(frame.at(x, y));
        }
        south.extend([frame.at(west, bottom), frame.at(west + width, bottom)]);
    }
    // An even number of units meets at a step: the lamp stands between the two.
    let half = steps.len() / 2;
    let middle = match (steps.len() % 2, steps.get(half), steps.get(half.saturating_sub(1))) {
        (1, Some(m), _) => *m,
        (_, Some(a), Some(b)) => (a + b) / 2.0,
        _ => 0.0,
    };
    north.extend(south.into_iter().rev());
    (north, frame.at(0.0, middle))
}

fn buildings(seed: u64, grids: &[Grid]) -> Vec<Building> {
    // The outlines belong to the drawn plan, so that every seed keeps its clearances; the seed fills them with people.
    let mut dice = Dice::new(1, "buildings");
    let mut all = Vec::new();
    let numbers = plan::COMMUNITIES.iter().flat_map(|b| b.grids).zip(grids);
    for (number, grid) in (1u16..).zip(numbers.flat_map(|(slabs, grid)| slabs.iter().map(move |_| grid))) {
        let Some(frame) = frame(number) else { continue };
        let (outline, center) = slab(frame, &mut dice);
        all.push(Building {
            id: BuildingId::new(format!("b{number}")),
            number,
            grid: grid.id.clone(),
            name: name(format!("{number}栋"), format!("Building {number}")),
            aliases: ALIASES.iter().filter(|a| a.0 == number).map(|a| a.1.to_owned()).collect(),
            outline,
            center,
            units: frame.units,
            floors: 0,
            flats_per_floor: 4,
            households: 0,
            people: 0,
            care_needs: 0,
            minors: 0,
        });
    }
    populate(&mut Dice::new(seed, "households"), grids, &mut all);
    all
}

/// Shares `total` by weights so that the parts add up exactly.
fn shared(total: u32, weights: &[f64]) -> Vec<u32> {
    let sum: f64 = weights.iter().sum();
    let mut before = 0;
    let mut run = 0.0;
    weights
        .iter()
        .map(|w| {
            run += w;
            // Rounding the running sum keeps the total whatever the parts are.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let upto = (f64::from(total) * run / sum).round() as u32;
            let part = upto - before;
            before = upto;
            part
        })
        .collect()
}

fn small(n: u32) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// Households by community, floors to hold them, people of the whole site; building 12 is fixed because every
/// description of the product starts there.
fn populate(dice: &mut Dice, grids: &[Grid], buildings: &mut [Building]) {
    const FIXED: (u16, u32, u32) = (12, 120, 414);
    for (i, total) in HOUSEHOLDS.iter().enumerate() {
        let community = format!("s{}", i + 1);
        let here = |b: &Building| grids.iter().any(|g| g.id == b.grid && g.community.as_str() == community);
        let mut members: Vec<_> = buildings.iter_mut().filter(|b| here(b) && b.number != FIXED.0).collect();
        let weights: Vec<_> =
            members.iter().map(|b| (0.7 + 0.1 * f64::from(b.units)) * dice.between(0.93, 1.07)).collect();
        let rest = if i == 0 { total - FIXED.1 } else { *total };
        for (b, households) in members.iter_mut().zip(shared(rest, &weights)) {
            b.households = small(households);
            let a_floor = u32::from(b.units) * u32::from(b.flats_per_floor);
            b.floors = u8::try_from((households + 2).div_ceil(a_floor.max(1))).unwrap_or(u8::MAX);
        }
    }
    let weights: Vec<_> = buildings
        .iter()
        .map(|b| if b.number == FIXED.0 { 0.0 } else { f64::from(b.households) * dice.between(0.94, 1.06) })
        .collect();
    for (b, people) in buildings.iter_mut().zip(shared(PEOPLE - FIXED.2, &weights)) {
        b.people = small(people);
        b.care_needs = small(shared(people, &[dice.between(0.03, 0.06), 1.0]).first().copied().unwrap_or(0));
        b.minors = small(shared(people, &[dice.between(0.24, 0.34), 1.0]).first().copied().unwrap_or(0));
        if b.number == FIXED.0 {
            (b.households, b.people, b.floors) = (small(FIXED.1), small(FIXED.2), 10);
            (b.care_needs, b.minors) = (18, 93);
        }
    }
}
