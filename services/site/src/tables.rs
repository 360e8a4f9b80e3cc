//! Which columns and keys each kind of thing has, read and written beside each other.

use domain::{site::*, time::Millis};

use crate::{
    checks::{self, Kind, Known, span_text},
    fault::{At, Desk},
    files::{self, Texts},
    nested::{Document, Entry, list_text, name_text, quoted},
    plan,
    sheet::{self, Row, cell, listed},
};

/// Metres that a thing may lie outside of its grid: the grids of a community end in the middle of the roads around it,
/// and what stands at the far side of such a road is still theirs.
const BESIDE: f64 = 30.0;

const LEVELS: [(&str, Level); 3] = [("normal", Level::Normal), ("yellow", Level::Yellow), ("red", Level::Red)];
const UNIT_KINDS: [(&str, UnitKind); 3] =
    [("department", UnitKind::Department), ("firm", UnitKind::Firm), ("grid", UnitKind::Grid)];
const PRECISIONS: [(&str, Precision); 2] = [("verified", Precision::Verified), ("estimated", Precision::Estimated)];
const LANDMARK_KINDS: [(&str, LandmarkKind); 6] = [
    ("square", LandmarkKind::Square),
    ("school", LandmarkKind::School),
    ("gate", LandmarkKind::Gate),
    ("road", LandmarkKind::Road),
    ("parking", LandmarkKind::Parking),
    ("plant", LandmarkKind::Plant),
];
const SENSOR_KINDS: [(&str, SensorKind); 11] = [
    ("smoke", SensorKind::Smoke),
    ("call_point", SensorKind::CallPoint),
    ("gas", SensorKind::Gas),
    ("electrical_fire", SensorKind::ElectricalFire),
    ("hydrant_pressure", SensorKind::HydrantPressure),
    ("lift", SensorKind::Lift),
    ("manhole", SensorKind::Manhole),
    ("water_level", SensorKind::WaterLevel),
    ("sos", SensorKind::Sos),
    ("fire_lane", SensorKind::FireLane),
    ("ebike_charging", SensorKind::EbikeCharging),
];

fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> String {
    words.iter().find(|(_, v)| *v == value).map_or_else(String::new, |(word, _)| (*word).to_owned())
}

fn maybe<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

const COMMUNITY: [&str; 5] = ["id", "name_zh", "name_en", "label_x_m", "label_y_m"];
const GRID: [&str; 4] = ["id", "community", "name_zh", "name_en"];
const BUILDING: [&str; 15] = [
    "id",
    "number",
    "grid",
    "name_zh",
    "name_en",
    "aliases",
    "units",
    "floors",
    "flats_per_floor",
    "households",
    "people",
    "care_needs",
    "minors",
    "x_m",
    "y_m",
];
const LANDMARK: [&str; 8] = ["id", "kind", "grid", "name_zh", "name_en", "aliases", "x_m", "y_m"];
const CAMERA: [&str; 10] =
    ["id", "number", "grid", "building", "name_zh", "name_en", "x_m", "y_m", "heading_deg", "indoor"];
const SENSOR: [&str; 13] = [
    "id",
    "kind",
    "name_zh",
    "name_en",
    "grid",
    "building",
    "landmark",
    "unit",
    "floor",
    "flat",
    "x_m",
    "y_m",
    "precision",
];
const UNIT: [&str; 7] = ["id", "kind", "name_zh", "name_en", "initials", "capacity", "grid"];

const HEAD_KEYS: [&str; 6] = ["id", "version", "name", "region", "plane", "anchor"];
const CLASS_KEYS: [&str; 8] = ["id", "name", "level", "intake", "lead", "assists", "steps", "limits"];
const LIMIT_KEYS: [&str; 10] =
    ["collect", "analyse", "approve", "push", "acknowledge", "arrive", "handle", "verify", "decline", "attend"];
const ALARM_KIND_KEYS: [&str; 9] =
    ["id", "name", "level", "class", "opens_with", "family", "radius_m", "window", "words"];
const TOUR_KEYS: [&str; 4] = ["id", "name", "dwell", "cameras"];

/// Reads all files. What the desk notes makes the outcome worthless.
pub(crate) fn read(desk: &Desk, texts: &Texts<'_>) -> Site {
    let mut site = head(desk, texts);
    let anchor = site.anchor;
    let outlines = |file, known: &Known| match texts.get(file) {
        Some(text) => plan::outlines(desk, file, text, anchor, known),
        None => Default::default(),
    };

    let (mut known, mut rows) = open(desk, texts, files::COMMUNITIES, &COMMUNITY, "社区", "community");
    site.communities = rows.iter().map(|row| community(row, &mut known)).collect();
    let communities = known;
    let mut drawn = outlines(files::COMMUNITY_OUTLINES, &communities);
    for c in &mut site.communities {
        c.outline = drawn.remove(c.id.as_str()).unwrap_or_default();
    }

    (known, rows) = open(desk, texts, files::GRIDS, &GRID, "网格", "grid");
    site.grids = rows.iter().map(|row| grid(row, &mut known, &communities)).collect();
    let grids = known;
    drawn = outlines(files::GRID_OUTLINES, &grids);
    for g in &mut site.grids {
        g.outline = drawn.remove(g.id.as_str()).unwrap_or_default();
    }

    (known, rows) = open(desk, texts, files::BUILDINGS, &BUILDING, "楼栋", "building");
    site.buildings = rows.iter().map(|row| building(row, &mut known, &grids)).collect();
    let buildings = known;
    numbers(&rows, site.buildings.iter().map(|b| b.number));
    beside(&site.grids, &rows, site.buildings.iter().map(|b| (&b.grid, b.center)));
    drawn = outlines(files::BUILDING_OUTLINES, &buildings);
    for b in &mut site.buildings {
        b.outline = drawn.remove(b.id.as_str()).unwrap_or_default();
    }

    (known, rows) = open(desk, texts, files::LANDMARKS, &LANDMARK, "地点", "landmark");
    site.landmarks = rows.iter().map(|row| landmark(row, &mut known, &grids)).collect();
    let landmarks = known;
    beside(&site.grids, &rows, site.landmarks.iter().map(|l| (&l.grid, l.center)));
    drawn = outlines(files::LANDMARK_OUTLINES, &landmarks);
    for l in &mut site.landmarks {
        l.outline = drawn.remove(l.id.as_str()).unwrap_or_default();
    }

    (known, rows) = open(desk, texts, files::CAMERAS, &CAMERA, "摄像头", "camera");
    site.cameras = rows.iter().map(|row| camera(row, &mut known, &grids, &buildings)).collect();
    let cameras = known;
    numbers(&rows, site.cameras.iter().map(|c| c.number));
    beside(&site.grids, &rows, site.cameras.iter().map(|c| (&c.grid, c.at)));

    (known, rows) = open(desk, texts, files::SENSORS, &SENSOR, "传感器", "sensor");
    site.sensors =
        rows.iter().map(|row| sensor(row, &mut known, &grids, &buildings, &landmarks, &site.buildings)).collect();
    beside(&site.grids, &rows, site.sensors.iter().map(|s| (&s.place.grid, s.place.point)));

    (known, rows) = open(desk, texts, files::UNITS, &UNIT, "单位", "unit");
    site.units = rows.iter().map(|row| unit(row, &mut known, &grids)).collect();
    let units = known;
    once(&rows, "initials", site.units.iter().map(|u| u.initials.as_str()));

    if let Some(text) = texts.get(files::PATHS) {
        site.paths = plan::paths(desk, files::PATHS, text, anchor);
    }
    let mut classes = kinds("事件类别", "class");
    site.classes = entries(desk, texts, files::CLASSES, "class", &CLASS_KEYS, &mut classes, |entry, own| {
        class(entry, own, &units)
    });
    let mut alarm_kinds = kinds("告警类型", "kind of alarm");
    site.alarm_kinds =
        entries(desk, texts, files::ALARM_KINDS, "alarm_kind", &ALARM_KIND_KEYS, &mut alarm_kinds, |entry, own| {
            alarm_kind(entry, own, &classes)
        });
    let mut tours = kinds("巡线", "tour");
    site.tours =
        entries(desk, texts, files::TOURS, "tour", &TOUR_KEYS, &mut tours, |entry, own| tour(entry, own, &cameras));
    site
}

/// As [`read`] takes it.
pub(crate) fn write(site: &Site) -> Vec<(&'static str, String)> {
    let communities = site.communities.iter().map(|c| (c.id.as_str(), c.outline.as_slice()));
    let grids = site.grids.iter().map(|g| (g.id.as_str(), g.outline.as_slice()));
    let buildings = site.buildings.iter().map(|b| (b.id.as_str(), b.outline.as_slice()));
    let landmarks = site.landmarks.iter().map(|l| (l.id.as_str(), l.outline.as_slice()));
    vec![
        (files::SITE, head_text(site)),
        (files::COMMUNITIES, sheet::table(&COMMUNITY, site.communities.iter().map(community_row))),
        (files::GRIDS, sheet::table(&GRID, site.grids.iter().map(grid_row))),
        (files::BUILDINGS, sheet::table(&BUILDING, site.buildings.iter().map(building_row))),
        (files::LANDMARKS, sheet::table(&LANDMARK, site.landmarks.iter().map(landmark_row))),
        (files::CAMERAS, sheet::table(&CAMERA, site.cameras.iter().map(camera_row))),
        (files::SENSORS, sheet::table(&SENSOR, site.sensors.iter().map(sensor_row))),
        (files::UNITS, sheet::table(&UNIT, site.units.iter().map(unit_row))),
        (files::CLASSES, joined(site.classes.iter().map(class_text))),
        (files::ALARM_KINDS, joined(site.alarm_kinds.iter().map(alarm_kind_text))),
        (files::TOURS, joined(site.tours.iter().map(tour_text))),
        (files::COMMUNITY_OUTLINES, plan::outlines_text(communities)),
        (files::GRID_OUTLINES, plan::outlines_text(grids)),
        (files::BUILDING_OUTLINES, plan::outlines_text(buildings)),
        (files::LANDMARK_OUTLINES, plan::outlines_text(landmarks)),
        (files::PATHS, plan::paths_text(&site.paths)),
    ]
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("\n")
}

fn kinds(zh: &'static str, en: &'static str) -> Known {
    Known::of(Kind { zh, en }, true)
}

/// The rows of a table, and an empty list of what they will be known as.
fn open<'a>(
    desk: &'a Desk,
    texts: &Texts<'_>,
    file: &'static str,
    columns: &'a [&'static str],
    zh: &'static str,
    en: &'static str,
) -> (Known, Vec<Row<'a>>) {
    let rows = texts.get(file).and_then(|text| sheet::rows(desk, file, columns, text));
    (Known::of(Kind { zh, en }, rows.is_some()), rows.unwrap_or_default())
}

/// The things of a TOML file. `own` is made anew when the file cannot be read, so that nothing is missed in it.
fn entries<T>(
    desk: &Desk,
    texts: &Texts<'_>,
    file: &'static str,
    name: &'static str,
    keys: &[&str],
    own: &mut Known,
    mut each: impl FnMut(&Entry<'_>, &mut Known) -> T,
) -> Vec<T> {
    let document = texts.get(file).and_then(|text| Document::parse(desk, file, text));
    match document.as_ref().and_then(|document| document.all(name, keys)) {
        Some(entries) => entries.iter().map(|entry| each(entry, own)).collect(),
        None => {
            own.incomplete();
            Vec::new()
        }
    }
}

/// Numbers that people say aloud belong to one thing each.
fn numbers(rows: &[Row<'_>], numbers: impl Iterator<Item = u16>) {
    let numbers: Vec<String> = numbers.map(|n| n.to_string()).collect();
    once(rows, "number", numbers.iter().map(String::as_str));
}

fn once<'a>(rows: &[Row<'_>], column: &'static str, values: impl Iterator<Item = &'a str>) {
    let mut seen = std::collections::BTreeMap::new();
    for (row, value) in rows.iter().zip(values) {
        let at = row.at(column);
        // What could not be read is told already.
        if value.is_empty() || value == "0" {
            continue;
        }
        match seen.get(value) {
            Some(line) => row.desk.note(at, format!("与第 {line} 行重复 is used in line {line} too: {value}")),
            None => {
                seen.insert(value.to_owned(), at.line);
            }
        }
    }
}

/// Whether things lie in their grids, as far as these are drawn.
fn beside<'a>(grids: &[Grid], rows: &[Row<'_>], things: impl Iterator<Item = (&'a domain::ids::GridId, Point)>) {
    for (row, (grid, point)) in rows.iter().zip(things) {
        let Some(grid) = grids.iter().find(|g| &g.id == grid).filter(|g| !g.outline.is_empty()) else { continue };
        let away = away(&grid.outline, point);
        if away > BESIDE {
            let name = &grid.name.zh;
            row.desk.note(
                row.at("x_m"),
                format!("在{name}之外 {away:.0} 米 lies {away:.0} m outside of its grid {}", grid.id),
            );
        }
    }
}

/// Metres from an outline, 0 inside.
fn away(outline: &[Point], p: Point) -> f64 {
    let next = || outline.iter().skip(1).chain(outline.first());
    let crossed = outline
        .iter()
        .zip(next())
        .filter(|(a, b)| (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x);
    if crossed.count() % 2 == 1 {
        return 0.0;
    }
    let far = |(a, b): (&Point, &Point)| {
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let square = dx * dx + dy * dy;
        let t = if square > 0.0 { (((p.x - a.x) * dx + (p.y - a.y) * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
        p.distance(Point { x: a.x + t * dx, y: a.y + t * dy })
    };
    outline.iter().zip(next()).map(far).fold(f64::INFINITY, f64::min)
}

fn head(desk: &Desk, texts: &Texts<'_>) -> Site {
    let mut site = Site {
        id: "".into(),
        name: Name::default(),
        region: Name::default(),
        version: 1,
        extent: Point { x: 1.0, y: 1.0 },
        anchor: (0.0, 0.0),
        communities: Vec::new(),
        grids: Vec::new(),
        buildings: Vec::new(),
        paths: Vec::new(),
        landmarks: Vec::new(),
        cameras: Vec::new(),
        sensors: Vec::new(),
        units: Vec::new(),
        classes: Vec::new(),
        alarm_kinds: Vec::new(),
        tours: Vec::new(),
    };
    let Some(document) = texts.get(files::SITE).and_then(|text| Document::parse(desk, files::SITE, text)) else {
        return site;
    };
    let root = document.root(&HEAD_KEYS);
    if let Some(id) = root.string("id") {
        checks::site_id(desk, root.at("id"), id);
        site.id = id.into();
    }
    site.version = root.number("version", 1..=u32::MAX, 1);
    site.name = root.name("name");
    site.region = root.name("region");
    if let Some(plane) = root.table("plane", &["width_m", "height_m"]) {
        let side = |key| plane.number(key, 1.0..=1e6, 1.0);
        site.extent = Point { x: side("width_m"), y: side("height_m") };
    }
    if let Some(anchor) = root.table("anchor", &["latitude", "longitude"]) {
        site.anchor = (anchor.number("latitude", -85.0..=85.0, 0.0), anchor.number("longitude", -180.0..=180.0, 0.0));
    }
    site
}

fn head_text(site: &Site) -> String {
    format!(
        "id = {}\n\
         # A centre takes a greater version, or another text of the same version, when it starts.\n\
         version = {}\n\
         name = {}\n\
         region = {}\n\n\
         # Points are metres east (x) and south (y) of the north-west corner of this plane.\n\
         [plane]\n\
         width_m = {}\n\
         height_m = {}\n\n\
         # That corner, degrees (WGS-84).\n\
         [anchor]\n\
         latitude = {}\n\
         longitude = {}\n",
        quoted(site.id.as_str()),
        site.version,
        name_text(&site.name),
        name_text(&site.region),
        decimal(site.extent.x),
        decimal(site.extent.y),
        decimal(site.anchor.0),
        decimal(site.anchor.1),
    )
}

/// A number as TOML takes it for one with a point.
fn decimal(number: f64) -> String {
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn community(row: &Row<'_>, own: &mut Known) -> Community {
    let label = |column| row.number(column, -1e6..=1e6, 0.0);
    Community {
        id: row.id(own),
        name: row.name(),
        outline: Vec::new(),
        label: Point { x: label("label_x_m"), y: label("label_y_m") },
    }
}

fn community_row(c: &Community) -> Vec<String> {
    vec![c.id.to_string(), cell(&c.name.zh), cell(&c.name.en), c.label.x.to_string(), c.label.y.to_string()]
}

fn grid(row: &Row<'_>, own: &mut Known, communities: &Known) -> Grid {
    Grid { id: row.id(own), community: row.find("community", communities), name: row.name(), outline: Vec::new() }
}

fn grid_row(g: &Grid) -> Vec<String> {
    vec![g.id.to_string(), g.community.to_string(), cell(&g.name.zh), cell(&g.name.en)]
}

fn building(row: &Row<'_>, own: &mut Known, grids: &Known) -> Building {
    let people = row.number("people", 0..=u16::MAX, u16::MAX);
    Building {
        id: row.id(own),
        number: row.number("number", 1..=u16::MAX, 0),
        grid: row.find("grid", grids),
        name: row.name(),
        aliases: row.names("aliases"),
        outline: Vec::new(),
        center: row.point(),
        units: row.number("units", 1..=50, 50),
        floors: row.number("floors", 1..=120, 120),
        flats_per_floor: row.number("flats_per_floor", 1..=99, 1),
        households: row.number("households", 0..=u16::MAX, 0),
        people,
        care_needs: row.number("care_needs", 0..=people, 0),
        minors: row.number("minors", 0..=people, 0),
    }
}

fn building_row(b: &Building) -> Vec<String> {
    vec![
        b.id.to_string(),
        b.number.to_string(),
        b.grid.to_string(),
        cell(&b.name.zh),
        cell(&b.name.en),
        listed(&b.aliases),
        b.units.to_string(),
        b.floors.to_string(),
        b.flats_per_floor.to_string(),
        b.households.to_string(),
        b.people.to_string(),
        b.care_needs.to_string(),
        b.minors.to_string(),
        b.center.x.to_string(),
        b.center.y.to_string(),
    ]
}

fn landmark(row: &Row<'_>, own: &mut Known, grids: &Known) -> Landmark {
    Landmark {
        id: row.id(own),
        grid: row.find("grid", grids),
        kind: row.choice("kind", &LANDMARK_KINDS, LandmarkKind::Square),
        name: row.name(),
        aliases: row.names("aliases"),
        outline: Vec::new(),
        center: row.point(),
    }
}

fn landmark_row(l: &Landmark) -> Vec<String> {
    vec![
        l.id.to_string(),
        word(&LANDMARK_KINDS, l.kind),
        l.grid.to_string(),
        cell(&l.name.zh),
        cell(&l.name.en),
        listed(&l.aliases),
        l.center.x.to_string(),
        l.center.y.to_string(),
    ]
}

fn camera(row: &Row<'_>, own: &mut Known, grids: &Known, buildings: &Known) -> Camera {
    Camera {
        id: row.id(own),
        number: row.number("number", 1..=u16::MAX, 0),
        grid: row.find("grid", grids),
        building: row.found("building", buildings),
        name: row.name(),
        at: row.point(),
        heading: row.number("heading_deg", 0.0..=360.0, 0.0),
        indoor: row.flag("indoor"),
    }
}

fn camera_row(c: &Camera) -> Vec<String> {
    vec![
        c.id.to_string(),
        c.number.to_string(),
        c.grid.to_string(),
        maybe(c.building.as_ref()),
        cell(&c.name.zh),
        cell(&c.name.en),
        c.at.x.to_string(),
        c.at.y.to_string(),
        c.heading.to_string(),
        c.indoor.to_string(),
    ]
}

fn sensor(
    row: &Row<'_>,
    own: &mut Known,
    grids: &Known,
    buildings: &Known,
    landmarks: &Known,
    all: &[Building],
) -> Sensor {
    let place = Place {
        grid: row.find("grid", grids),
        building: row.found("building", buildings),
        landmark: row.found("landmark", landmarks),
        unit: row.optional("unit", 1..=50, 1),
        floor: row.optional("floor", -9..=120, 1),
        flat: row.optional("flat", 1..=99, 1),
        point: row.point(),
        precision: row.choice("precision", &PRECISIONS, Precision::Verified),
    };
    let note = |column, zh: &str, en: &str| row.desk.note(row.at(column), format!("{zh} {en}"));
    match place.building.as_ref().map(|id| all.iter().find(|b| &b.id == id)) {
        None if place.unit.or(place.flat).is_some() || place.floor.is_some() => {
            note("building", "写了单元、楼层或户号，须写明楼栋", "a unit, floor or flat needs its building");
        }
        Some(Some(b)) => {
            if place.unit.is_some_and(|unit| unit > b.units) {
                note("unit", "这栋楼没有这个单元", &format!("building {} has {} units", b.id, b.units));
            }
            if place.floor.is_some_and(|floor| i16::from(floor) > i16::from(b.floors)) {
                note("floor", "这栋楼没有这一层", &format!("building {} has {} floors", b.id, b.floors));
            }
        }
        _ => {}
    }
    Sensor { id: row.id(own), kind: row.choice("kind", &SENSOR_KINDS, SensorKind::Smoke), name: row.name(), place }
}

fn sensor_row(s: &Sensor) -> Vec<String> {
    let p = &s.place;
    vec![
        s.id.to_string(),
        word(&SENSOR_KINDS, s.kind),
        cell(&s.name.zh),
        cell(&s.name.en),
        p.grid.to_string(),
        maybe(p.building.as_ref()),
        maybe(p.landmark.as_ref()),
        maybe(p.unit.as_ref()),
        maybe(p.floor.as_ref()),
        maybe(p.flat.as_ref()),
        p.point.x.to_string(),
        p.point.y.to_string(),
        word(&PRECISIONS, p.precision),
    ]
}

fn unit(row: &Row<'_>, own: &mut Known, grids: &Known) -> Unit {
    let unit = Unit {
        id: row.id(own),
        kind: row.choice("kind", &UNIT_KINDS, UnitKind::Department),
        name: row.name(),
        initials: row.text("initials"),
        capacity: row.number("capacity", 0..=u16::MAX, 0),
        grid: row.found("grid", grids),
    };
    if unit.kind == UnitKind::Grid && unit.grid.is_none() {
        row.desk.note(row.at("grid"), "网格队伍须写明网格 a grid's team needs its grid");
    }
    unit
}

fn unit_row(u: &Unit) -> Vec<String> {
    vec![
        u.id.to_string(),
        word(&UNIT_KINDS, u.kind),
        cell(&u.name.zh),
        cell(&u.name.en),
        cell(&u.initials),
        u.capacity.to_string(),
        maybe(u.grid.as_ref()),
    ]
}

fn class(entry: &Entry<'_>, own: &mut Known, units: &Known) -> Class {
    let level = entry.choice("level", &LEVELS, Level::Normal);
    let steps = entry.tables("steps", &["zh", "en"]).unwrap_or_default();
    let limits = entry.table("limits", &LIMIT_KEYS).map(|table| limits(&table, level));
    Class {
        id: entry.id(own),
        name: entry.name("name"),
        level,
        intake: entry.flag("intake"),
        lead: entry.find("lead", units),
        assists: references(entry.desk, &entry.texts("assists"), units),
        steps: steps.iter().map(Entry::own_name).collect(),
        limits: limits.unwrap_or(NO_LIMITS),
    }
}

const NO_LIMITS: Limits = Limits {
    collect: Millis(0),
    analyse: Millis(0),
    approve: Millis(0),
    push: Millis(0),
    acknowledge: Millis(0),
    arrive: Millis(0),
    handle: Millis(0),
    verify: Millis(0),
    decline: Millis(0),
    attend: None,
};

fn limits(table: &Entry<'_>, level: Level) -> Limits {
    let limits = Limits {
        collect: table.span("collect"),
        analyse: table.span("analyse"),
        approve: table.span("approve"),
        push: table.span("push"),
        acknowledge: table.span("acknowledge"),
        arrive: table.span("arrive"),
        handle: table.span("handle"),
        verify: table.span("verify"),
        decline: table.span("decline"),
        attend: table.has("attend").then(|| table.span("attend")),
    };
    if level == Level::Red && limits.decline.0 > 0 {
        table.desk.note(table.at("decline"), "红色事件不可拒收，须为 0s a red task is never declined: must be 0s");
    }
    limits
}

/// Ids of a list, each once.
fn references<T: From<String>>(desk: &Desk, texts: &[(At<'_>, &str)], known: &Known) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    let mut ids = Vec::new();
    for (at, text) in texts {
        if !seen.insert(*text) {
            desk.note(*at, format!("列表中重复 is twice in the list: {text}"));
        }
        ids.push(known.find(desk, *at, text));
    }
    ids
}

fn class_text(c: &Class) -> String {
    let l = &c.limits;
    let spans = [
        ("collect", l.collect),
        ("analyse", l.analyse),
        ("approve", l.approve),
        ("push", l.push),
        ("acknowledge", l.acknowledge),
        ("arrive", l.arrive),
        ("handle", l.handle),
        ("verify", l.verify),
        ("decline", l.decline),
    ];
    let spans = spans.into_iter().chain(l.attend.map(|span| ("attend", span)));
    let limits: String = spans.map(|(key, span)| format!("{key} = \"{}\"\n", span_text(span))).collect();
    let steps: String = c.steps.iter().map(|step| format!("    {},\n", name_text(step))).collect();
    let steps = if steps.is_empty() { "[]".to_owned() } else { format!("[\n{steps}]") };
    format!(
        "[[class]]\nid = {}\nname = {}\nlevel = \"{}\"\nintake = {}\nlead = {}\nassists = {}\nsteps = {steps}\n\
         [class.limits]\n{limits}",
        quoted(c.id.as_str()),
        name_text(&c.name),
        word(&LEVELS, c.level),
        c.intake,
        quoted(c.lead.as_str()),
        list_text(c.assists.iter().map(|u| u.as_str()), 8),
    )
}

fn alarm_kind(entry: &Entry<'_>, own: &mut Known, classes: &Known) -> AlarmKind {
    let words = if entry.has("words") { entry.texts("words") } else { Vec::new() };
    AlarmKind {
        id: entry.id(own),
        name: entry.name("name"),
        level: entry.choice("level", &LEVELS, Level::Normal),
        class: entry.find("class", classes),
        opens_with: entry.has("opens_with").then(|| entry.number("opens_with", 1..=99, 1)),
        family: entry.text("family"),
        radius: entry.number("radius_m", 0.0..=1e5, 0.0),
        window: entry.span("window"),
        words: words.iter().map(|(at, text)| checks::text(entry.desk, *at, text, true)).collect(),
    }
}

fn alarm_kind_text(k: &AlarmKind) -> String {
    let opens = k.opens_with.map(|n| format!("opens_with = {n}\n")).unwrap_or_default();
    let words = if k.words.is_empty() {
        String::new()
    } else {
        format!("words = {}\n", list_text(k.words.iter().map(String::as_str), 8))
    };
    format!(
        "[[alarm_kind]]\nid = {}\nname = {}\nlevel = \"{}\"\nclass = {}\n{opens}family = {}\nradius_m = {}\nwindow = \
         \"{}\"\n{words}",
        quoted(k.id.as_str()),
        name_text(&k.name),
        word(&LEVELS, k.level),
        quoted(k.class.as_str()),
        quoted(&k.family),
        decimal(k.radius),
        span_text(k.window),
    )
}

fn tour(entry: &Entry<'_>, own: &mut Known, cameras: &Known) -> Tour {
    Tour {
        id: entry.id(own),
        name: entry.name("name"),
        cameras: references(entry.desk, &entry.texts("cameras"), cameras),
        dwell: entry.span("dwell"),
    }
}

fn tour_text(t: &Tour) -> String {
    format!(
        "[[tour]]\nid = {}\nname = {}\ndwell = \"{}\"\ncameras = {}\n",
        quoted(t.id.as_str()),
        name_text(&t.name),
        span_text(t.dwell),
        list_text(t.cameras.iter().map(|c| c.as_str()), 8),
    )
}
