//! A small site for tests.

use domain::{ids::*, site::*, time::Millis};

fn name(zh: &str) -> Name {
    Name { zh: zh.to_owned(), en: zh.to_owned() }
}

fn square(x: f64, y: f64, side: f64) -> Vec<Point> {
    [(x, y), (x + side, y), (x + side, y + side), (x, y + side)].map(|(x, y)| Point { x, y }).to_vec()
}

fn building(n: u16, grid: &str, x: f64) -> Building {
    Building {
        id: format!("b{n}").into(),
        number: n,
        grid: grid.into(),
        name: name(&format!("{n}栋")),
        aliases: vec![format!("老{n}号")],
        outline: square(x, 10.0, 20.0),
        center: Point { x: x + 10.0, y: 20.0 },
        units: 2,
        floors: 11,
        flats_per_floor: 4,
        households: 88,
        people: 300,
        care_needs: 9,
        minors: 60,
    }
}

fn unit(id: &str, kind: UnitKind, grid: Option<&str>) -> Unit {
    Unit { id: id.into(), kind, name: name(id), initials: id.to_owned(), capacity: 4, grid: grid.map(Into::into) }
}

fn camera(n: u16, building: &str, x: f64) -> Camera {
    Camera {
        id: format!("c{n:03}").into(),
        number: n,
        grid: "g1".into(),
        building: Some(building.into()),
        name: name(&format!("{n}号")),
        at: Point { x, y: 5.0 },
        heading: 90.0,
        indoor: false,
    }
}

fn class(id: &str, level: Level) -> Class {
    let m = Millis::minutes;
    Class {
        id: id.into(),
        name: name(id),
        level,
        intake: true,
        lead: "fire".into(),
        assists: vec!["water".into()],
        steps: vec![name("核实")],
        limits: Limits {
            collect: m(5),
            analyse: m(5),
            approve: m(5),
            push: m(1),
            acknowledge: m(3),
            arrive: m(10),
            handle: m(60),
            verify: m(60),
            decline: m(30),
            attend: None,
        },
    }
}

/// The site.
pub(crate) fn site() -> Site {
    let grid =
        |id: &str, x| Grid { id: id.into(), community: "s1".into(), name: name(id), outline: square(x, 0.0, 100.0) };
    Site {
        id: SiteId::new("test"),
        name: name("卯家湾"),
        region: name("鲁甸"),
        version: 1,
        extent: Point { x: 200.0, y: 100.0 },
        anchor: (27.0, 103.0),
        communities: vec![Community {
            id: "s1".into(),
            name: name("第一社区"),
            outline: square(0.0, 0.0, 200.0),
            label: Point { x: 50.0, y: 50.0 },
        }],
        grids: vec![grid("g1", 0.0), grid("g2", 100.0)],
        buildings: vec![building(1, "g1", 10.0), building(2, "g2", 120.0)],
        paths: vec![Path { name: name("一号路"), line: vec![Point { x: 0.0, y: 5.0 }], width: 6.0 }],
        landmarks: vec![Landmark {
            id: "plaza".into(),
            grid: "g1".into(),
            kind: LandmarkKind::Square,
            name: name("广场"),
            aliases: Vec::new(),
            outline: Vec::new(),
            center: Point { x: 80.0, y: 80.0 },
        }],
        cameras: vec![camera(1, "b1", 10.0), camera(2, "b2", 120.0)],
        sensors: vec![Sensor {
            id: "smoke-b1".into(),
            kind: SensorKind::Smoke,
            name: name("烟感"),
            place: Place {
                grid: "g1".into(),
                building: Some("b1".into()),
                landmark: None,
                unit: Some(2),
                floor: Some(6),
                flat: None,
                point: Point { x: 20.0, y: 20.0 },
                precision: Precision::Verified,
            },
        }],
        units: vec![
            unit("fire", UnitKind::Department, None),
            unit("water", UnitKind::Department, None),
            unit("team1", UnitKind::Grid, Some("g1")),
        ],
        classes: vec![class("fire", Level::Red), class("noise", Level::Normal)],
        alarm_kinds: vec![kind("smoke", Level::Red, "fire"), kind("message", Level::Normal, "noise")],
        tours: Vec::new(),
    }
}

fn kind(id: &str, level: Level, class: &str) -> AlarmKind {
    AlarmKind {
        id: id.into(),
        name: name(if id == "smoke" { "烟感" } else { id }),
        level,
        class: class.into(),
        opens_with: None,
        family: class.to_owned(),
        radius: 30.0,
        window: Millis::minutes(5),
        words: Vec::new(),
    }
}
