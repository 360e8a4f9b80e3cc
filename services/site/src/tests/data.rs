//! What the built-in site promises.

use std::collections::{BTreeMap, BTreeSet};

use domain::{gazetteer, site::*};

use super::built_in;

/// The nearest point of a line, and how far it is.
fn snap(line: &[Point], p: Point) -> (Point, f64) {
    let nearest = |w: &[Point]| {
        let (a, b) = (w[0], w[1]);
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        // Two corners may be one.
        let t = (((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
        Point { x: a.x + t * dx, y: a.y + t * dy }
    };
    line.windows(2).map(nearest).map(|q| (q, q.distance(p))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// The outline as a line that ends where it begins.
fn closed(outline: &[Point]) -> Vec<Point> {
    outline.iter().chain(outline.first()).copied().collect()
}

/// Whether a point is inside an outline.
fn contains(outline: &[Point], p: Point) -> bool {
    let line = closed(outline);
    let crossed = line.windows(2).filter(|w| {
        let (a, b) = (w[0], w[1]);
        (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x
    });
    crossed.count() % 2 == 1
}

/// Area of an outline, square metres.
fn area(outline: &[Point]) -> f64 {
    closed(outline).windows(2).map(|w| w[0].x * w[1].y - w[1].x * w[0].y).sum::<f64>().abs() / 2.0
}

/// Convex hull (Andrew), for separating axes.
fn hull(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let cross = |o: Point, a: Point, b: Point| (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
    let half = |points: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for p in points {
            while chain.len() > 1 && cross(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0.0 {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    let mut lower = half(&mut sorted.iter().copied());
    lower.extend(half(&mut sorted.iter().rev().copied()));
    lower
}

/// Gap along the best separating axis; negative when two convex outlines overlap.
fn gap(a: &[Point], b: &[Point]) -> f64 {
    let mut best = f64::NEG_INFINITY;
    for outline in [a, b] {
        for w in closed(outline).windows(2) {
            let (dx, dy) = (w[1].x - w[0].x, w[1].y - w[0].y);
            let length = dx.hypot(dy);
            let (nx, ny) = (-dy / length, dx / length);
            let span = |o: &[Point]| {
                let along = o.iter().map(|p| p.x * nx + p.y * ny);
                along.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
            };
            let (sa, sb) = (span(a), span(b));
            best = best.max(sb.0 - sa.1).max(sa.0 - sb.1);
        }
    }
    best
}

/// A way to write a place, and the unit, floor and flat that it names.
type Form = (String, Option<u8>, Option<u8>, Option<u8>);

#[test]
fn the_gap_of_two_squares_is_what_it_looks_like() {
    let square = |x: f64| [(x, 0.0), (x + 1.0, 0.0), (x + 1.0, 1.0), (x, 1.0)].map(|(x, y)| Point { x, y });
    assert!((gap(&square(0.0), &square(3.0)) - 2.0).abs() < 1e-9);
    assert!(gap(&square(0.0), &square(0.5)) < 0.0);
}

#[test]
fn counts_and_totals() {
    let site = built_in();
    assert_eq!((site.communities.len(), site.grids.len(), site.buildings.len(), site.cameras.len()), (6, 36, 76, 237));
    let sum = |f: fn(&Building) -> u16| site.buildings.iter().map(|b| u32::from(f(b))).sum::<u32>();
    assert_eq!((sum(|b| b.households), sum(|b| b.people)), (9_100, 39_106));
    assert!((450..=560).contains(&site.sensors.len()), "{} sensors", site.sensors.len());
    assert_eq!(site.units.iter().filter(|u| u.kind == UnitKind::Department).count(), 8);
    assert_eq!(site.units.iter().filter(|u| u.kind == UnitKind::Grid).count(), 36);
    for c in &site.communities {
        assert_eq!(site.grids.iter().filter(|g| g.community == c.id).count(), 6, "{}", c.id);
    }
    for b in &site.buildings {
        let flats = u16::from(b.units) * u16::from(b.floors) * u16::from(b.flats_per_floor);
        assert!(b.households <= flats && flats < b.households + 24, "{}: {} of {flats}", b.id, b.households);
        assert!(b.people > b.households && b.minors + b.care_needs < b.people, "{}", b.id);
        assert!((5..=20).contains(&b.floors), "{}: {} floors", b.id, b.floors);
    }
}

#[test]
fn building_twelve_is_as_described() {
    let site = built_in();
    let b = site.building(&"b12".into()).unwrap();
    assert_eq!((b.units, b.floors, b.flats_per_floor, b.households), (3, 10, 4, 120));
    assert_eq!(site.grid(&b.grid).unwrap().community.as_str(), "s1");
    assert_eq!(b.grid.as_str(), "53062100200106");
    let smoke = site.sensor(&"smoke-b12-2-06".into()).unwrap();
    assert!(site.sensor(&"call-b12-2-06".into()).is_some());
    let nearest = site.nearest_cameras(&smoke.place, 2);
    let names: BTreeSet<_> = nearest.iter().map(|c| site.camera(c).unwrap().name.zh.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["12栋南侧路口", "12栋6层走廊"]));
}

#[test]
fn buildings_keep_clear_of_each_other_of_roads_and_of_places() {
    let site = built_in();
    let hulls: Vec<_> = site.buildings.iter().map(|b| (&b.id, hull(&b.outline))).collect();
    for (i, (a, ha)) in hulls.iter().enumerate() {
        for (b, hb) in &hulls[i + 1..] {
            assert!(gap(ha, hb) > 4.0, "{a} and {b}: {:.1} m", gap(ha, hb));
        }
    }
    let mut close = BTreeSet::new();
    for b in &site.buildings {
        for path in &site.paths {
            let clear = b.outline.iter().map(|corner| snap(&path.line, *corner).1 - path.width / 2.0);
            if clear.fold(f64::INFINITY, f64::min) < 1.5 {
                close.insert((b.number, path.name.zh.as_str()));
            }
        }
        for l in site.landmarks.iter().filter(|l| !l.outline.is_empty()) {
            for corner in &b.outline {
                let clear = snap(&closed(&l.outline), *corner).1;
                assert!(!contains(&l.outline, *corner) && clear > 3.0, "{} {clear:.1} m from {}", b.id, l.name.zh);
            }
        }
    }
    assert!(close.is_empty(), "on a road: {close:?}");
}

#[test]
fn everything_lies_in_its_grid_and_grids_tile_their_community() {
    let site = built_in();
    for b in &site.buildings {
        let grid = site.grid(&b.grid).unwrap();
        let edge = closed(&grid.outline);
        for corner in &b.outline {
            assert!(contains(&grid.outline, *corner), "{} leaves {} at {corner:?}", b.id, grid.id);
            assert!(snap(&edge, *corner).1 > 1.0, "{} touches the edge of {}", b.id, grid.id);
        }
        assert!(contains(&b.outline, b.center), "lamp of {}", b.id);
    }
    for c in &site.communities {
        let parts: f64 = site.grids.iter().filter(|g| g.community == c.id).map(|g| area(&g.outline)).sum();
        let whole = area(&c.outline);
        assert!((parts - whole).abs() < whole * 1e-6, "{}: {parts} of {whole}", c.id);
        assert!(contains(&c.outline, c.label), "{}", c.id);
    }
    let all = site.grids.iter().flat_map(|g| &g.outline).chain(site.paths.iter().flat_map(|p| &p.line));
    for p in all {
        assert!((0.0..=site.extent.x).contains(&p.x) && (0.0..=site.extent.y).contains(&p.y), "{p:?}");
    }
}

#[test]
fn cameras_are_numbered_by_community_and_hang_where_they_say() {
    let site = built_in();
    let community = |c: &Camera| site.grid(&c.grid).unwrap().community.clone();
    let mut counts = BTreeMap::new();
    for c in &site.cameras {
        *counts.entry(community(c)).or_insert(0) += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [40, 40, 40, 39, 39, 39]);
    let order: Vec<_> = site.cameras.iter().map(community).collect();
    assert!(order.is_sorted());
    let numbers: Vec<_> = site.cameras.iter().map(|c| c.number).collect();
    assert_eq!(numbers, (1..=237).collect::<Vec<_>>());
    assert_eq!(site.cameras[111].name.zh, "第三社区南门");
    assert_eq!(site.cameras[207].name.zh, "学校北门");
    for c in &site.cameras {
        let within = site.buildings.iter().find(|b| contains(&b.outline, c.at)).map(|b| &b.id);
        assert_eq!(within.is_some(), c.indoor, "{} {}", c.id, c.name.zh);
        assert!(!c.indoor || within == c.building.as_ref(), "{} {}", c.id, c.name.zh);
        assert!((0.0..360.0).contains(&c.heading));
        if let Some(b) = c.building.as_ref().filter(|_| !c.indoor).and_then(|b| site.building(b)) {
            let away = snap(&closed(&b.outline), c.at).1;
            assert!(away < 40.0, "{} {} is {away:.0} m off", c.id, c.name.zh);
        }
    }
    for b in &site.buildings {
        let own = |indoor| site.cameras.iter().any(|c| c.building.as_ref() == Some(&b.id) && c.indoor == indoor);
        assert!(own(true) && own(false), "{}", b.id);
    }
}

#[test]
fn ids_names_and_initials_are_unique() {
    let site = built_in();
    fn unique<T: Ord + std::fmt::Debug>(what: &str, items: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for item in items {
            assert!(!seen.contains(&item), "{what} {item:?} twice");
            seen.insert(item);
        }
    }
    unique("grid", site.grids.iter().map(|g| &g.id));
    unique("building", site.buildings.iter().map(|b| &b.id));
    unique("landmark", site.landmarks.iter().map(|l| &l.id));
    unique("landmark name", site.landmarks.iter().map(|l| &l.name.zh));
    unique("camera", site.cameras.iter().map(|c| &c.id));
    unique("camera name", site.cameras.iter().map(|c| &c.name.zh));
    unique("sensor", site.sensors.iter().map(|s| &s.id));
    unique("unit", site.units.iter().map(|u| &u.id));
    unique("initials", site.units.iter().map(|u| &u.initials));
    unique("class", site.classes.iter().map(|c| &c.id));
    unique("kind", site.alarm_kinds.iter().map(|k| &k.id));
    unique("alias", site.buildings.iter().flat_map(|b| &b.aliases));
    assert!(site.grids.iter().all(|g| g.id.as_str().len() == 14 && g.id.as_str().starts_with("530621002")));
}

#[test]
fn references_hold() {
    let site = built_in();
    for c in &site.classes {
        assert!(site.unit(&c.lead).is_some() && c.assists.iter().all(|u| site.unit(u).is_some()), "{}", c.id);
        assert!(!c.steps.is_empty() && c.limits.handle > c.limits.acknowledge, "{}", c.id);
        assert!(c.level != Level::Red || c.limits.decline.0 == 0, "{}", c.id);
    }
    assert!(site.alarm_kinds.iter().all(|k| site.class(&k.class).is_some()));
    for l in &site.landmarks {
        assert!(site.grid(&l.grid).is_some(), "{}", l.id);
    }
    let mut kinds = BTreeSet::new();
    for s in &site.sensors {
        kinds.insert(s.kind);
        assert!(site.grid(&s.place.grid).is_some(), "{}", s.id);
        let b = s.place.building.as_ref().map(|b| site.building(b).unwrap());
        if let (Some(b), Some(unit), Some(floor)) = (b, s.place.unit, s.place.floor) {
            assert!((1..=b.units).contains(&unit) && floor >= 1 && floor as u8 <= b.floors, "{}", s.id);
        }
    }
    assert_eq!(kinds.len(), 11);
}

#[test]
fn every_class_can_be_reported_and_what_people_say_is_understood() {
    let site = built_in();
    for class in &site.classes {
        let kind = site.kind_of_report(&class.id).unwrap_or_else(|| panic!("{}", class.id));
        assert!(kind.opens_with.is_none() && kind.level < Level::Red, "{}: words alone open nothing", kind.id);
    }
    // A report of what sensors notice is of their family, so that both become one alarm.
    for (class, sensor) in [("fire", "smoke"), ("gas_leak", "gas"), ("lift_trapped", "lift_trapped"), ("sos", "sos")] {
        let family = |id: &AlarmKind| id.family.clone();
        let report = site.kind_of_report(&class.into()).map(family);
        assert_eq!(report, site.alarm_kind(&sensor.into()).map(family), "{class}");
    }
    let said = [
        ("12栋2单元6楼冒烟了，楼道有烟，快来救火", "fire"),
        ("闻到煤气味", "gas_leak"),
        ("有人被困电梯里", "lift_trapped"),
        ("12栋电梯坏了", "lift_fault"),
        ("30栋2单元水管爆了，水往楼下流，快来人", "water_burst"),
        ("12栋停水了吗", "water_burst"),
        ("楼上半夜还在放音响，吵得睡不着", "noise"),
        ("楼下两口子吵架打起来了", "dispute"),
        ("学校门口路 灯不亮", "street_light"),
        ("垃圾没人收", "garbage"),
    ];
    for (text, class) in said {
        assert_eq!(site.kind_of_words(text).map(|k| k.class.as_str()), Some(class), "{text}");
    }
    for text in ["楼道有人抽烟", "你好", ""] {
        assert!(site.kind_of_words(text).is_none(), "{text}");
    }
}

#[test]
fn tours_cover_every_camera() {
    let site = built_in();
    let all: BTreeSet<_> = site.cameras.iter().map(|c| &c.id).collect();
    let toured: BTreeSet<_> = site.tours.iter().flat_map(|t| &t.cameras).collect();
    assert_eq!(toured, all);
    for t in &site.tours {
        assert_eq!(t.cameras.iter().collect::<BTreeSet<_>>().len(), t.cameras.len(), "{}", t.id);
        assert_eq!(t.dwell.0, 15_000);
    }
    assert_eq!(site.tours[0].cameras.len().div_ceil(8), 30);
}

/// Chinese numerals up to 99.
fn numerals(n: u16) -> String {
    let digit = |d: u16| "零一二三四五六七八九".chars().nth(usize::from(d)).unwrap();
    match (n / 10, n % 10) {
        (0, ones) => digit(ones).to_string(),
        (1, 0) => "十".to_owned(),
        (1, ones) => format!("十{}", digit(ones)),
        (tens, 0) => format!("{}十", digit(tens)),
        (tens, ones) => format!("{}十{}", digit(tens), digit(ones)),
    }
}

fn wide(text: &str) -> String {
    text.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).filter(|_| c.is_ascii_digit()).unwrap_or(c)).collect()
}

#[test]
fn every_way_to_write_every_flat_gives_that_place_or_nothing() {
    let site = built_in();
    let (mut read, mut written) = (0, 0);
    for b in &site.buildings {
        let n = b.number;
        let flats = [(1, 1, 1), (b.units, b.floors, b.flats_per_floor), (1, 6.min(b.floors), 2)];
        for (unit, floor, flat) in flats.into_iter().skip(usize::from(n % 3)).take(1) {
            let room = format!("{floor}{flat:02}");
            let numbers = [n.to_string(), numerals(n), wide(&n.to_string()), format!("{n} ")];
            let tails = [
                (String::new(), None, None, None),
                (format!("{unit}单元"), Some(unit), None, None),
                (format!("{unit}单元{floor}层"), Some(unit), Some(floor), None),
                (format!("{}单元{}楼", numerals(unit.into()), numerals(floor.into())), Some(unit), Some(floor), None),
                (format!("{unit}单元{room}室"), Some(unit), Some(floor), Some(flat)),
                (format!("，{unit}单元，{floor}楼{flat}号"), Some(unit), Some(floor), Some(flat)),
                (room.clone(), None, Some(floor), Some(flat)),
                (format!("{unit}-{floor}"), Some(unit), Some(floor), None),
                (format!("{unit}-{room}"), Some(unit), Some(floor), Some(flat)),
                (format!("-{unit}-{}", wide(&room)), Some(unit), Some(floor), Some(flat)),
            ];
            let mut forms: Vec<Form> = Vec::new();
            for (k, number) in numbers.iter().enumerate() {
                let words = if k == 0 { 6 } else { 2 };
                for word in ["栋", "幢", "号楼", "座", "号栋", "棟"].into_iter().take(words) {
                    forms.extend(tails.iter().map(|(t, u, f, r)| (format!("{number}{word}{t}"), *u, *f, *r)));
                }
            }
            forms.extend([
                (format!("{n}-{unit}-{floor}"), Some(unit), Some(floor), None),
                (format!("{n}-{unit}-{room}"), Some(unit), Some(floor), Some(flat)),
                (format!("{n}#{unit}-{floor}"), Some(unit), Some(floor), None),
                (format!("{n}#{unit}-{room}"), Some(unit), Some(floor), Some(flat)),
                (format!("{n} {unit} {room}"), Some(unit), Some(floor), Some(flat)),
                (format!("{n}-{room}"), None, Some(floor), Some(flat)),
                (format!("B{n}"), None, None, None),
                (format!("b{n}-{unit}-{room}"), Some(unit), Some(floor), Some(flat)),
            ]);
            forms.extend(b.aliases.iter().map(|a| (a.clone(), None, None, None)));
            for (form, unit, floor, flat) in forms {
                for text in [
                    form.clone(),
                    format!("{form}着火了，快来"),
                    format!("快点！看到对面{form}冒烟"),
                    format!("我家{form}有人晕倒"),
                ] {
                    written += 1;
                    let Some(place) = gazetteer::locate(&site, &text) else { continue };
                    read += 1;
                    assert_eq!(place.building.as_ref(), Some(&b.id), "{text}");
                    assert!(place.unit.is_none() || place.unit == unit, "{text}: {place:?}");
                    assert!(place.floor.is_none() || place.floor == floor.map(|f| f as i8), "{text}: {place:?}");
                    assert!(place.flat.is_none() || place.flat == flat, "{text}: {place:?}");
                }
            }
        }
    }
    assert!(read * 100 > written * 95, "of {written} only {read} are read");
}

#[test]
fn what_is_understood_in_part_is_unclear_and_never_another_building() {
    let site = built_in();
    let at = |text: &str| gazetteer::locate(&site, text).and_then(|p| p.building).map(|b| b.to_string());
    let read = [
        ("廿三栋着火", "b23"),
        ("卅一栋冒烟", "b31"),
        ("4\u{200b}4栋着火", "b44"),
        ("看到对面31栋冒烟", "b31"),
        ("我住12栋，看到对面31栋冒烟", "b31"),
        ("不是12栋，是13栋着火", "b13"),
        ("学校旁边58栋着火", "b58"),
        ("12座2单元6楼", "b12"),
        ("12-602着火", "b12"),
        ("12#2-6着火", "b12"),
        ("球场边那栋着火了", "b12"),
        ("电话13800000001 12栋着火", "b12"),
        ("12栋6个人被困", "b12"),
    ];
    for (text, building) in read {
        assert_eq!(at(text).as_deref(), Some(building), "{text}");
    }
    for text in [
        "一百一十二栋着火",
        "112栋着火",
        "12、13栋着火",
        "12/13栋着火",
        "12-13栋着火",
        "12和13栋着火",
        "12栋和13栋中间着火",
        "4 4栋着火",
        "4\u{fffd}4栋着火",
        "A12栋着火",
        "99栋着火",
        "有一栋楼着火了",
        "三栋楼都停电",
        "12栋对面着火",
        "1.2栋",
        "⑫栋",
        "一座3-1104着火，99栋",
        "第六社区12栋着火",
        "学校旁边99栋着火",
    ] {
        assert_eq!(at(text), None, "{text}");
        assert_ne!(gazetteer::read(&site, text), gazetteer::Reading::Nowhere, "{text}");
    }
    let grid = |text: &str| gazetteer::locate(&site, text).and_then(|p| site.grid(&p.grid)).map(|g| g.name.zh.clone());
    assert_eq!(grid("第14网格积水").as_deref(), Some("第14网格"));
    assert_eq!(grid("三社区第14网格积水").as_deref(), Some("第14网格"));
    for text in ["三社区6网格积水", "十三社区积水", "第99网格积水"] {
        assert_eq!(grid(text), None, "{text}");
    }
    let gazetteer::Reading::Unclear(both) = gazetteer::read(&site, "12栋和13栋中间着火") else {
        panic!("both are named")
    };
    assert_eq!(both.iter().filter_map(|p| p.building.as_ref()).map(|b| b.as_str()).collect::<Vec<_>>(), ["b12", "b13"]);
}

proptest::proptest! {
    #[test]
    fn no_text_around_a_building_makes_it_another(
        number in 1_u16..=76,
        before in "[0-9一二三十百、，,/ .和Bb号第\u{200b}]{0,4}",
        after in "[0-9一二、和单元层 -]{0,5}",
    ) {
        let site = built_in();
        let text = format!("{before}{number}栋{after}");
        if let Some(place) = gazetteer::locate(&site, &text) {
            let digits: String = before.chars().chain(number.to_string().chars()).filter(|c| *c != '\u{200b}').collect();
            // Digits that stand directly before belong to the number.
            let whole: String = digits.chars().rev().take_while(char::is_ascii_digit).collect();
            let whole: String = whole.chars().rev().collect();
            proptest::prop_assert_eq!(place.building.map(|b| b.to_string()), Some(format!("b{}", whole.trim_start_matches('0'))), "{}", text);
        }
    }
}
