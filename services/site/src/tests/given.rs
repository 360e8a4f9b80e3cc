//! Sites of all shapes that the files can hold.

use domain::{ids::*, site::*, time::Millis};
use proptest::{collection::vec, option, prelude::*};

fn text() -> impl Strategy<Value = String> {
    // Also what tables, TOML, JSON and spreadsheets take for something else; never a space at an end.
    "[一-十a-z0-9,;\"'|\\\\=+@{}\\[\\]#<>%-]([一-十a-z \n\t,\"'|\\\\\u{1}]{0,8}[a-z一-十\"'|\\\\])?"
        .prop_filter("what a spreadsheet writes for an error", |text| !text.chars().all(|c| c == '#'))
}

fn name() -> impl Strategy<Value = Name> {
    (text(), prop_oneof![Just(String::new()), text()]).prop_map(|(zh, en)| Name { zh, en })
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), -1e6..1e6_f64, (-1_000_000..1_000_000_i32).prop_map(f64::from), Just(1e-300)]
}

fn point() -> impl Strategy<Value = Point> {
    (number(), number()).prop_map(|(x, y)| Point { x, y })
}

fn outline() -> impl Strategy<Value = Vec<Point>> {
    prop_oneof![Just(Vec::new()), vec(point(), 3..9)]
        .prop_filter("a ring closes once", |o| o.is_empty() || o.first() != o.last())
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Normal), Just(Level::Yellow), Just(Level::Red)]
}

fn span() -> impl Strategy<Value = Millis> {
    prop_oneof![0..10_000_i64, (0..10_000_i64).prop_map(|s| s * 1_000), (0..1_000_i64).prop_map(|h| h * 3_600_000)]
        .prop_map(Millis)
}

fn limits(level: Level) -> impl Strategy<Value = Limits> {
    (vec(span(), 9), option::of(span())).prop_map(move |(s, attend)| Limits {
        collect: s[0],
        analyse: s[1],
        approve: s[2],
        push: s[3],
        acknowledge: s[4],
        arrive: s[5],
        handle: s[6],
        verify: s[7],
        decline: if level == Level::Red { Millis(0) } else { s[8] },
        attend,
    })
}

fn class(k: usize) -> impl Strategy<Value = Class> {
    let rest = (name(), any::<bool>(), any::<bool>(), vec(name(), 0..4));
    (rest, level().prop_flat_map(|l| (Just(l), limits(l)))).prop_map(
        move |((name, intake, helped, steps), (level, limits))| Class {
            id: ClassId::new(format!("class_{k}")),
            name,
            level,
            intake,
            lead: "u0".into(),
            assists: if helped { vec!["u1".into()] } else { Vec::new() },
            steps,
            limits,
        },
    )
}

fn alarm_kind(k: usize) -> impl Strategy<Value = AlarmKind> {
    (name(), level(), option::of(1..99_u8), text(), 0.0..1e5_f64, span(), vec(text(), 0..12)).prop_map(
        move |(name, level, opens_with, family, radius, window, words)| AlarmKind {
            id: AlarmKindId::new(format!("kind-{k}")),
            name,
            level,
            class: "class_0".into(),
            opens_with,
            family,
            radius,
            window,
            words,
        },
    )
}

fn building(k: u16) -> impl Strategy<Value = Building> {
    let many = (1..9_u8, 1..40_u8, 1..9_u8, 0..500_u16, 10..2_000_u16, 0..10_u16);
    (name(), vec(text(), 0..3), outline(), point(), many).prop_map(move |(name, mut aliases, outline, center, many)| {
        aliases.sort();
        aliases.dedup();
        let (units, floors, flats_per_floor, households, people, few) = many;
        Building {
            id: BuildingId::new(format!("b{k}")),
            number: k + 1,
            grid: "53062100200101".into(),
            name,
            aliases,
            outline,
            center,
            units,
            floors,
            flats_per_floor,
            households,
            people,
            care_needs: few,
            minors: few,
        }
    })
}

fn landmark(k: usize) -> impl Strategy<Value = Landmark> {
    let kind = prop_oneof![
        Just(LandmarkKind::Square),
        Just(LandmarkKind::School),
        Just(LandmarkKind::Gate),
        Just(LandmarkKind::Road),
        Just(LandmarkKind::Parking),
        Just(LandmarkKind::Plant)
    ];
    (kind, name(), outline(), point()).prop_map(move |(kind, name, outline, center)| Landmark {
        id: LandmarkId::new(format!("l.{k}")),
        grid: "53062100200101".into(),
        kind,
        name,
        aliases: Vec::new(),
        outline,
        center,
    })
}

fn camera(k: u16) -> impl Strategy<Value = Camera> {
    (name(), any::<bool>(), point(), 0.0..360.0_f64, any::<bool>()).prop_map(
        move |(name, at_home, at, heading, indoor)| Camera {
            id: CameraId::new(format!("c{k:03}")),
            number: k + 1,
            grid: "53062100200101".into(),
            building: at_home.then(|| "b0".into()),
            name,
            at,
            heading,
            indoor,
        },
    )
}

fn sensor(k: usize) -> impl Strategy<Value = Sensor> {
    (name(), any::<bool>(), option::of(-2..2_i8), option::of(1..99_u8), point()).prop_map(
        move |(name, sure, floor, flat, point)| Sensor {
            id: SensorId::new(format!("s-{k}")),
            kind: if sure { SensorKind::WaterLevel } else { SensorKind::Sos },
            name,
            place: Place {
                grid: "53062100200101".into(),
                building: (floor.is_some() || flat.is_some()).then(|| "b0".into()),
                landmark: sure.then(|| "l.0".into()),
                unit: flat.map(|_| 1),
                floor,
                flat,
                point,
                precision: if sure { Precision::Verified } else { Precision::Estimated },
            },
        },
    )
}

fn unit(k: usize) -> impl Strategy<Value = Unit> {
    (name(), any::<u16>()).prop_map(move |(name, capacity)| Unit {
        id: UnitId::new(format!("u{k}")),
        kind: if k == 0 { UnitKind::Grid } else { UnitKind::Firm },
        name,
        initials: format!("u{k}"),
        capacity,
        grid: (k == 0).then(|| "53062100200101".into()),
    })
}

fn path() -> impl Strategy<Value = Path> {
    let empty = Just(Name::default());
    (prop_oneof![name(), empty], vec(point(), 2..6), 0.1..200.0_f64).prop_map(|(name, line, width)| Path {
        name,
        line,
        width,
    })
}

/// A site of one community and one grid, which is not drawn, so that everything lies in it.
pub(super) fn site() -> impl Strategy<Value = Site> {
    let head = (name(), name(), 1..u32::MAX, (1.0..1e6_f64, 1.0..1e6_f64), (-85.0..85.0_f64, -180.0..180.0_f64));
    let places = (name(), outline(), point(), name(), vec(path(), 0..3));
    let things = ([0_u16, 1, 2].map(building), [0, 1].map(landmark), [0_u16, 1].map(camera), [0, 1, 2].map(sensor));
    let rest = ([0, 1].map(unit), [0, 1].map(class), [0, 1, 2].map(alarm_kind), name(), span());
    (head, places, things, rest).prop_map(|(head, places, things, rest)| {
        let (title, region, version, (width, height), anchor) = head;
        let (community, outline, label, grid, paths) = places;
        let (buildings, landmarks, cameras, sensors) = things;
        let (units, classes, alarm_kinds, tour, dwell) = rest;
        Site {
            id: "given".into(),
            name: title,
            region,
            version,
            extent: Point { x: width, y: height },
            anchor,
            communities: vec![Community { id: "s1".into(), name: community, outline, label }],
            grids: vec![Grid { id: "53062100200101".into(), community: "s1".into(), name: grid, outline: Vec::new() }],
            buildings: buildings.into(),
            paths,
            landmarks: landmarks.into(),
            tours: vec![Tour {
                id: "t".into(),
                name: tour,
                cameras: cameras.iter().map(|c| c.id.clone()).collect(),
                dwell,
            }],
            cameras: cameras.into(),
            sensors: sensors.into(),
            units: units.into(),
            classes: classes.into(),
            alarm_kinds: alarm_kinds.into(),
        }
    })
}
