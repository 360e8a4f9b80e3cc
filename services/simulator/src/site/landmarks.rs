//! Places that are not residential buildings: square, school, gates, road sections, parking lots and pump rooms.

use domain::{
    ids::LandmarkId,
    site::{Building, Community, Grid, Landmark, LandmarkKind, Name, Point},
};

use super::{
    DEPTH, ORDINALS, Roads, frame,
    geometry::{along, heading, moved},
    grid_at, name, plan, points,
};

/// A road that a gate or section lies on.
#[derive(Clone, Copy)]
enum On {
    Ring,
    West,
    East,
    Central,
}

/// Community (from 0), side, on which road, at which control point.
const GATES: [(usize, &str, &str, On, usize); 12] = [
    (0, "南门", "south gate", On::Central, 3),
    (0, "东门", "east gate", On::West, 3),
    (1, "南门", "south gate", On::Central, 9),
    (1, "北门", "north gate", On::Ring, 3),
    (2, "南门", "south gate", On::Central, 14),
    (2, "东门", "east gate", On::Ring, 12),
    (3, "南门", "south gate", On::Ring, 31),
    (3, "西门", "west gate", On::Ring, 38),
    (4, "南门", "south gate", On::Ring, 26),
    (4, "东门", "east gate", On::East, 9),
    (5, "南门", "south gate", On::Ring, 21),
    (5, "东门", "east gate", On::Ring, 17),
];

/// Share of the road's length where the section's middle lies, Chinese, English.
type Section = (f64, &'static str, &'static str);

/// Sections of the main roads.
const SECTIONS: [(&str, &str, On, &[Section]); 4] = [
    (
        "一号路",
        "Road 1",
        On::Ring,
        &[(0.12, "北段", "north"), (0.36, "东段", "east"), (0.6, "南段", "south"), (0.85, "西段", "west")],
    ),
    ("二号路", "Road 2", On::Central, &[(0.15, "西段", "west"), (0.5, "中段", "middle"), (0.85, "东段", "east")]),
    ("三号路", "Road 3", On::East, &[(0.2, "北段", "north"), (0.8, "南段", "south")]),
    ("四号路", "Road 4", On::West, &[(0.2, "北段", "north"), (0.8, "南段", "south")]),
];

/// Buildings with a parking lot on their north side, and those with a pump room.
const PARKING: [u16; 10] = [3, 10, 20, 31, 42, 48, 55, 61, 70, 76];
const PUMPS: [u16; 6] = [9, 22, 36, 45, 57, 72];
/// Stations 站所 in the site.
const STATIONS: [(u16, &str, &str); 3] =
    [(11, "警务站", "Police station"), (18, "便民服务站", "Service station"), (56, "卫生站", "Clinic")];

pub(super) fn all(roads: &Roads, communities: &[Community], grids: &[Grid], buildings: &[Building]) -> Vec<Landmark> {
    let mut all = areas(grids);
    all.extend(gates(roads, communities, grids));
    all.extend(sections(roads, grids));
    all.extend(plant(buildings));
    all
}

fn curve(roads: &Roads, on: On) -> Vec<Point> {
    match on {
        On::Ring => roads.ring.line(),
        On::West => roads.west.line(),
        On::East => roads.east.line(),
        On::Central => roads.central.line(),
    }
}

fn spot(id: &str, grids: &[Grid], kind: LandmarkKind, name: Name, center: Point) -> Landmark {
    Landmark {
        id: LandmarkId::new(id),
        grid: grid_at(grids, center),
        kind,
        name,
        aliases: Vec::new(),
        outline: Vec::new(),
        center,
    }
}

fn areas(grids: &[Grid]) -> Vec<Landmark> {
    let at = |x, y| Point { x, y };
    let mut square = spot("square", grids, LandmarkKind::Square, name("广场", "Square"), at(540.0, 405.0));
    square.outline = points(plan::SQUARE);
    square.aliases = ["中心广场", "大广场", "跳舞的地方"].map(str::to_owned).to_vec();
    let mut school = spot("school", grids, LandmarkKind::School, name("学校", "School"), at(853.0, 632.0));
    school.outline = points(plan::SCHOOL);
    school.aliases = ["卯家湾小学", "娃娃学校"].map(str::to_owned).to_vec();
    let main = spot("school_gate", grids, LandmarkKind::Gate, name("学校正门", "School main gate"), at(818.0, 590.0));
    let north =
        spot("school_north", grids, LandmarkKind::Gate, name("学校北门", "School north gate"), at(868.0, 553.0));
    vec![square, school, main, north]
}

fn gates(roads: &Roads, communities: &[Community], grids: &[Grid]) -> Vec<Landmark> {
    GATES
        .iter()
        .filter_map(|(i, zh, en, on, control)| {
            let at = *curve_at(roads, *on, *control).first()?;
            let community = communities.get(*i)?;
            // A gate stands at the edge of the road, on its community's side.
            let center = moved(at, heading(at, community.label), 13.0);
            let zh = format!("第{}社区{zh}", ORDINALS.get(*i)?);
            let id = format!("gate_{}_{}", i + 1, en.split(' ').next().unwrap_or_default());
            Some(spot(&id, grids, LandmarkKind::Gate, name(zh, format!("Community {} {en}", i + 1)), center))
        })
        .collect()
}

fn curve_at(roads: &Roads, on: On, control: usize) -> Vec<Point> {
    match on {
        On::Ring => roads.ring.slice(control, control),
        On::West => roads.west.slice(control, control),
        On::East => roads.east.slice(control, control),
        On::Central => roads.central.slice(control, control),
    }
}

fn sections(roads: &Roads, grids: &[Grid]) -> Vec<Landmark> {
    SECTIONS
        .iter()
        .flat_map(|(zh, en, on, parts)| {
            let line = curve(roads, *on);
            parts.iter().map(move |(share, part, english)| {
                let (at, _) = along(&line, *share);
                let id = format!("{}_{english}", en.to_lowercase().replace(' ', "_"));
                spot(&id, grids, LandmarkKind::Road, name(format!("{zh}{part}"), format!("{en} {english}")), at)
            })
        })
        .collect()
}

/// Parking lots, pump rooms and stations belong to a building and lie at its northern or western side.
fn plant(buildings: &[Building]) -> Vec<Landmark> {
    let near = |number: u16, id: String, kind, label: Name, along: f64, across: f64| {
        let b = buildings.iter().find(|b| b.number == number)?;
        let center = frame(number)?.at(along, across);
        Some(Landmark {
            id: LandmarkId::new(id),
            grid: b.grid.clone(),
            kind,
            name: label,
            aliases: Vec::new(),
            outline: Vec::new(),
            center,
        })
    };
    let north = -DEPTH / 2.0 - 10.0;
    let parking = PARKING.iter().filter_map(|n| {
        let label = name(format!("{n}栋停车场"), format!("Parking lot of building {n}"));
        near(*n, format!("parking_b{n}"), LandmarkKind::Parking, label, 14.0, north)
    });
    let pumps = PUMPS.iter().filter_map(|n| {
        let label = name(format!("{n}栋水泵房"), format!("Pump room of building {n}"));
        near(*n, format!("pump_b{n}"), LandmarkKind::Plant, label, -18.0, north)
    });
    let stations = STATIONS
        .iter()
        .filter_map(|(n, zh, en)| near(*n, format!("station_b{n}"), LandmarkKind::Plant, name(*zh, *en), -12.0, north));
    parking.chain(pumps).chain(stations).collect()
}
