//! 237 cameras: one outside and one inside each building, the rest at gates, lots, the square, the school and along
//! the roads, numbered community by community.

use std::collections::BTreeSet;

use domain::{
    ids::{BuildingId, CameraId, LandmarkId, TourId},
    site::{Building, Camera, Community, Grid, Landmark, LandmarkKind, Name, Point, Tour},
    time::Millis,
};

use super::{
    DEPTH, Frame, Roads, frame,
    geometry::{along, closed, contains, heading, moved, snap},
    grid_at, name,
};
use crate::seed::Dice;

/// Cameras of each community.
const COUNTS: [usize; 6] = [40, 40, 40, 39, 39, 39];
/// Cameras whose number people know.
const KNOWN: [(u16, &str); 2] = [(112, "第三社区南门"), (208, "学校北门")];
/// Cameras of a group on the wall.
const GROUP: usize = 8;

/// What cameras are placed on.
pub(super) struct Ground<'a> {
    pub(super) seed: u64,
    pub(super) roads: &'a Roads,
    pub(super) communities: &'a [Community],
    pub(super) grids: &'a [Grid],
    pub(super) buildings: &'a [Building],
    pub(super) landmarks: &'a [Landmark],
}

/// A camera without its number.
struct Spot {
    name: Name,
    building: Option<BuildingId>,
    at: Point,
    heading: f64,
    indoor: bool,
}

pub(super) fn all(ground: &Ground<'_>) -> Vec<Camera> {
    let mut dice = Dice::new(ground.seed, "cameras");
    let mut used = BTreeSet::new();
    let mut all: Vec<Camera> = Vec::new();
    for (community, count) in ground.communities.iter().zip(COUNTS) {
        let mut spots = at_landmarks(ground, community);
        for b in ground.buildings {
            if ground.grids.iter().any(|g| g.id == b.grid && g.community == community.id) {
                let own = of_building(ground, b, &spots, &mut dice);
                spots.extend(own);
            }
        }
        used.extend(spots.iter().map(|s| s.name.zh.clone()));
        let rest = count.saturating_sub(spots.len());
        let roads = on_roads(ground, community, rest, &mut used, &spots);
        spots.extend(roads);
        let mut here: Vec<_> = spots.into_iter().map(|s| camera(ground.grids, community, s)).collect();
        here.sort_by(|a, b| a.grid.cmp(&b.grid));
        all.extend(here);
    }
    for (number, zh) in KNOWN {
        if let Some(at) = all.iter().position(|c| c.name.zh == zh)
            && usize::from(number) <= all.len()
        {
            all.swap(at, usize::from(number) - 1);
        }
    }
    for (number, camera) in (1u16..).zip(&mut all) {
        camera.number = number;
        camera.id = CameraId::new(format!("c{number:03}"));
    }
    all
}

fn camera(grids: &[Grid], community: &Community, spot: Spot) -> Camera {
    // A camera over the road still belongs to the community that put it there.
    let own: Vec<_> = grids.iter().filter(|g| g.community == community.id).cloned().collect();
    Camera {
        id: CameraId::new(""),
        number: 0,
        grid: grid_at(&own, spot.at),
        building: spot.building,
        name: spot.name,
        at: spot.at,
        heading: spot.heading.round().rem_euclid(360.0),
        indoor: spot.indoor,
    }
}

/// Whether a point is free of buildings by this many metres.
fn free(buildings: &[Building], p: Point, metres: f64) -> bool {
    buildings.iter().all(|b| !contains(&b.outline, p) && snap(&closed(&b.outline), p).1 >= metres)
}

/// Whether a point is this far from every camera placed so far.
fn apart(taken: &[Spot], p: Point, metres: f64) -> bool {
    taken.iter().all(|s| s.at.distance(p) >= metres)
}

fn of_building(ground: &Ground<'_>, b: &Building, taken: &[Spot], dice: &mut Dice) -> Vec<Spot> {
    const OUTSIDE: [(&str, &str); 4] =
        [("南侧路口", "south crossing"), ("南侧", "south side"), ("中庭", "courtyard"), ("南侧步道", "south footpath")];
    const INSIDE: [(&str, &str); 4] =
        [("电梯厅", "lift hall"), ("楼梯间", "stairwell"), ("1层门厅", "entrance hall"), ("走廊", "corridor")];
    let Some(frame) = frame(b.number) else { return Vec::new() };
    let n = b.number;
    let outside = match n {
        12 => 0,
        23 | 54 => 2,
        _ => dice.below(OUTSIDE.len()),
    };
    let inside = match n {
        12 => 3,
        16 => 0,
        _ => dice.below(INSIDE.len()),
    };
    let (out_zh, out_en) = OUTSIDE.get(outside).copied().unwrap_or_default();
    let (in_zh, in_en) = INSIDE.get(inside).copied().unwrap_or_default();
    let floor = if n == 12 { 6 } else { 2 + dice.below(usize::from(b.floors.saturating_sub(2))) };
    let (in_zh, in_en) = if inside == 3 {
        (format!("{n}栋{floor}层走廊"), format!("Building {n} corridor, floor {floor}"))
    } else {
        (format!("{n}栋{in_zh}"), format!("Building {n} {in_en}"))
    };
    let side = if n == 12 || dice.chance(0.5) { -1.0 } else { 1.0 };
    let out = outdoor(ground.buildings, taken, frame, side);
    let inside_at = frame.at(-side * (frame.length / 2.0 - 9.0), 0.0);
    let spot = |zh: String, en: String, at: Point, look: f64, indoor| Spot {
        name: name(zh, en),
        building: Some(b.id.clone()),
        at,
        heading: look,
        indoor,
    };
    let mut spots = vec![
        spot(format!("{n}栋{out_zh}"), format!("Building {n} {out_en}"), out, heading(out, b.center), false),
        spot(in_zh, in_en, inside_at, 90.0 + frame.turn + if side > 0.0 { 0.0 } else { 180.0 }, true),
    ];
    if n == 12 {
        let hall = frame.at(4.0 - frame.length / 2.0, 0.0);
        spots.push(spot(
            "12栋1层电梯厅".into(),
            "Building 12 lift hall, floor 1".into(),
            hall,
            90.0 + frame.turn,
            true,
        ));
    }
    spots
}

/// A place south of the slab that no other building takes.
fn outdoor(buildings: &[Building], taken: &[Spot], frame: Frame, side: f64) -> Point {
    let south = DEPTH / 2.0;
    let tries = [
        (0.24, 17.0),
        (-0.24, 17.0),
        (0.24, 13.0),
        (-0.24, 13.0),
        (0.38, 11.0),
        (-0.38, 11.0),
        (0.1, 10.0),
        (0.56, 4.0),
        (-0.56, 4.0),
    ];
    let places = tries.map(|(share, away)| frame.at(side * share * frame.length, south + away));
    let best = places.iter().find(|p| free(buildings, **p, 4.0) && apart(taken, **p, 14.0)).copied();
    best.unwrap_or_else(|| frame.at(side * 0.6 * frame.length, 0.0))
}

fn at_landmarks(ground: &Ground<'_>, community: &Community) -> Vec<Spot> {
    let here = |l: &&Landmark| ground.grids.iter().any(|g| g.id == l.grid && g.community == community.id);
    ground.landmarks.iter().filter(here).flat_map(|l| of_landmark(ground, community, l)).collect()
}

fn of_landmark(ground: &Ground<'_>, community: &Community, l: &Landmark) -> Vec<Spot> {
    let around = |parts: &[(&str, &str, f64, f64)]| -> Vec<Spot> {
        parts
            .iter()
            .map(|(zh, en, x, y)| {
                let at = Point { x: *x, y: *y };
                Spot { name: name(*zh, *en), building: None, at, heading: heading(at, l.center), indoor: false }
            })
            .collect()
    };
    match l.kind {
        LandmarkKind::Square => around(&[
            ("广场西侧", "Square, west side", 436.0, 412.0),
            ("广场东侧", "Square, east side", 676.0, 420.0),
            ("中心广场", "Central square", 592.0, 404.0),
            ("广场南侧", "Square, south side", 505.0, 414.0),
        ]),
        LandmarkKind::School => around(&[
            ("学校操场", "School playground", 846.0, 676.0),
            ("学校东侧", "School, east side", 886.0, 620.0),
            ("学校南侧", "School, south side", 876.0, 722.0),
        ]),
        LandmarkKind::Gate => {
            let at = moved(l.center, heading(l.center, community.label), 4.0);
            let look = heading(at, l.center);
            vec![Spot { name: l.name.clone(), building: None, at, heading: look, indoor: false }]
        }
        LandmarkKind::Parking => {
            let building = ground.buildings.iter().find(|b| format!("parking_{}", b.id) == l.id.as_str());
            let at = if free(ground.buildings, l.center, 2.5) {
                l.center
            } else {
                building.map_or(l.center, |b| frame(b.number).map_or(b.center, |f| f.at(f.length * 0.58, -2.0)))
            };
            let look = building.map_or(0.0, |b| heading(at, b.center));
            vec![Spot {
                name: l.name.clone(),
                building: building.map(|b| b.id.clone()),
                at,
                heading: look,
                indoor: false,
            }]
        }
        LandmarkKind::Road | LandmarkKind::Plant => Vec::new(),
    }
}

/// Cameras along the roads around and inside a community, spread by length, on its own side of the road.
fn on_roads(
    ground: &Ground<'_>,
    community: &Community,
    count: usize,
    used: &mut BTreeSet<String>,
    taken: &[Spot],
) -> Vec<Spot> {
    let paths = ground.roads.paths();
    let mut stretches: Vec<(Name, Point, f64)> = Vec::new();
    for path in &paths {
        let length: f64 = path.line.windows(2).map(|w| w[0].distance(w[1])).sum();
        // A point every 8 m that has its own side of the road inside this community.
        let mut share = 4.0 / length;
        while share < 1.0 {
            let (middle, direction) = along(&path.line, share);
            let off = path.width / 2.0 + 3.5;
            for side in [90.0, -90.0] {
                let at = moved(middle, direction + side, off);
                if contains(&community.outline, at) && free(ground.buildings, at, 3.0) && apart(taken, at, 22.0) {
                    stretches.push((path.name.clone(), at, direction));
                    break;
                }
            }
            share += 8.0 / length;
        }
    }
    let total = stretches.len();
    (0..count)
        .filter_map(|k| stretches.get((2 * k + 1) * total / (2 * count.max(1))).map(|s| (k, s)))
        .map(|(k, (road, at, direction))| {
            let look = if k % 2 == 0 { *direction } else { direction + 180.0 };
            let name = road_name(ground, road, *at, used);
            Spot { name, building: None, at: *at, heading: look, indoor: false }
        })
        .collect()
}

/// The section's own name once, then names by the nearest building.
fn road_name(ground: &Ground<'_>, road: &Name, at: Point, used: &mut BTreeSet<String>) -> Name {
    let section = ground
        .landmarks
        .iter()
        .filter(|l| l.kind == LandmarkKind::Road && l.name.zh.starts_with(&road.zh))
        .min_by(|a, b| a.center.distance(at).total_cmp(&b.center.distance(at)))
        .map(|l| l.name.clone());
    let nearest = ground.buildings.iter().min_by(|a, b| a.center.distance(at).total_cmp(&b.center.distance(at)));
    let n = nearest.map_or(0, |b| b.number);
    let mut names = Vec::from_iter(section);
    names.push(name(format!("{}路口", road.zh), format!("{} crossing", road.en)));
    for (zh, en) in [("旁", "by"), ("路口", "crossing at"), ("对面", "opposite"), ("转角", "corner at")] {
        names.push(name(format!("{}{n}栋{zh}", road.zh), format!("{} {en} building {n}", road.en)));
    }
    let free = names.iter().find(|n| !used.contains(&n.zh)).or(names.last()).cloned().unwrap_or_default();
    used.insert(free.zh.clone());
    free
}

/// Three tours. The first two pass every camera, so that each group of eight shows different places; the third
/// stays around the school.
pub(super) fn tours(cameras: &[Camera], landmarks: &[Landmark]) -> Vec<Tour> {
    let groups = cameras.len().div_ceil(GROUP);
    let dealt = |order: &[&Camera]| -> Vec<CameraId> {
        (0..groups)
            .flat_map(|g| {
                (0..GROUP).filter_map(move |k| order.get(g + groups * k).map(|c| c.id.clone())).collect::<Vec<_>>()
            })
            .collect()
    };
    let day: Vec<_> = cameras.iter().collect();
    let (outside, inside): (Vec<_>, Vec<_>) = cameras.iter().rev().partition(|c| !c.indoor);
    let night: Vec<_> = outside.into_iter().chain(inside).collect();
    let school = landmarks.iter().find(|l| l.id == LandmarkId::new("school")).map(|l| l.center);
    let mut near: Vec<_> = cameras.iter().filter(|c| !c.indoor).collect();
    if let Some(school) = school {
        near.sort_by(|a, b| a.at.distance(school).total_cmp(&b.at.distance(school)));
    }
    let campus = near.iter().take(3 * GROUP).map(|c| c.id.clone()).collect();
    [
        ("day", "日间主干线", "Main roads by day", dealt(&day)),
        ("night", "夜间治安线", "Safety by night", dealt(&night)),
        ("campus", "校园周边", "Around the school", campus),
    ]
    .into_iter()
    .map(|(id, zh, en, cameras)| Tour { id: TourId::new(id), name: name(zh, en), cameras, dwell: Millis::seconds(15) })
    .collect()
}
