//! GeoJSON: outlines and lines on the plane. We write metres of the site's own plane, east and south of its north-west
//! corner, under a `crs` that says so; what a map program exports without one is WGS-84 and is laid onto the plane by
//! the anchor.

use std::collections::BTreeMap;

use domain::site::{Name, Path, Point};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    checks::{self, Known, number},
    fault::{At, Desk},
    nested::Lines,
};

/// Name of the plane in the `crs` member.
const PLANE: &str = "site:plane-metres-east-south";
/// Features of one file.
const FEATURES: usize = 50_000;
/// Corners of one outline or line.
const CORNERS: usize = 10_000;
/// Metres of a degree of latitude; of longitude it is this times the cosine of the latitude.
const DEGREE: f64 = 111_319.490_793;
/// Metres that a coordinate may have.
const FAR: std::ops::RangeInclusive<f64> = -1e6..=1e6;

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(rename = "type")]
    kind: String,
    crs: Option<serde_json::Value>,
    #[serde(borrow)]
    features: Vec<&'a RawValue>,
}

/// Values as they are written: a number keeps its last digit.
type Properties<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow)]
    properties: Option<Properties<'a>>,
    #[serde(borrow)]
    geometry: Option<Geometry<'a>>,
}

#[derive(Deserialize)]
struct Geometry<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    coordinates: Option<&'a RawValue>,
}

/// How numbers of a file become metres.
#[derive(Clone, Copy)]
enum Scale {
    Plane,
    /// Latitude and longitude of the plane's corner.
    Degrees(f64, f64),
}

/// A feature and where it begins.
struct Item<'a> {
    line: usize,
    properties: Properties<'a>,
    kind: String,
    coordinates: &'a RawValue,
}

/// The features of a file; none if it is unusable, and the desk knows why.
fn features<'a>(desk: &Desk, file: &'static str, text: &'a str, anchor: (f64, f64)) -> Option<(Scale, Vec<Item<'a>>)> {
    let syntax = |error: &serde_json::Error, line: usize| {
        desk.note(At::line(file, line), format!("GeoJSON 语法有误 is no GeoJSON: {error}"));
    };
    let collection: Collection<'a> = serde_json::from_str(text).map_err(|error| syntax(&error, error.line())).ok()?;
    if collection.kind != "FeatureCollection" {
        desk.note(At::file(file), "须为 FeatureCollection must be a FeatureCollection");
        return None;
    }
    if collection.features.len() > FEATURES {
        desk.note(At::file(file), format!("超过 {FEATURES} 个要素 over {FEATURES} features"));
        return None;
    }
    let scale = scale(desk, file, collection.crs.as_ref(), anchor)?;
    let lines = Lines::of(text);
    let mut items = Vec::new();
    for raw in collection.features {
        // The raw value is a part of the text.
        let offset = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let line = lines.at(offset);
        let feature: Feature<'a> = match serde_json::from_str(raw.get()) {
            Ok(feature) => feature,
            Err(error) => {
                syntax(&error, line);
                continue;
            }
        };
        let Some((kind, coordinates)) = feature.geometry.and_then(|g| Some((g.kind, g.coordinates?))) else {
            desk.note(At::line(file, line), "要素没有几何图形 the feature has no geometry");
            continue;
        };
        items.push(Item { line, properties: feature.properties.unwrap_or_default(), kind, coordinates });
    }
    Some((scale, items))
}

fn scale(desk: &Desk, file: &'static str, crs: Option<&serde_json::Value>, anchor: (f64, f64)) -> Option<Scale> {
    let Some(crs) = crs.filter(|crs| !crs.is_null()) else { return Some(Scale::Degrees(anchor.0, anchor.1)) };
    let name = crs.pointer("/properties/name").and_then(|name| name.as_str()).unwrap_or_default();
    if name == PLANE {
        return Some(Scale::Plane);
    }
    if name.ends_with("CRS84") || name.ends_with(":4326") {
        return Some(Scale::Degrees(anchor.0, anchor.1));
    }
    let message = format!("坐标系须为 the crs must be {PLANE} 或 or WGS-84 (CRS84): {name}");
    desk.note(At { column: "crs", ..At::file(file) }, message);
    None
}

impl Scale {
    fn point(self, desk: &Desk, at: At<'_>, pair: &[&RawValue]) -> Point {
        let zero = Point { x: 0.0, y: 0.0 };
        // A height may stand behind.
        let ([a, b] | [a, b, _]) = pair else {
            desk.note(at, "坐标须为两个数 a point has two numbers");
            return zero;
        };
        match self {
            Self::Plane => Point { x: number(desk, at, a.get(), &FAR, 0.0), y: number(desk, at, b.get(), &FAR, 0.0) },
            Self::Degrees(latitude, longitude) => {
                let east = number(desk, at, a.get(), &(longitude - 5.0..=longitude + 5.0), longitude) - longitude;
                let south = latitude - number(desk, at, b.get(), &(latitude - 5.0..=latitude + 5.0), latitude);
                let millimetre = |metres: f64| (metres * 1e3).round() / 1e3 + 0.0;
                let x = east * DEGREE * latitude.to_radians().cos();
                Point { x: millimetre(x), y: millimetre(south * DEGREE) }
            }
        }
    }
}

/// The points of a line or of one ring.
fn points(desk: &Desk, at: At<'_>, scale: Scale, corners: &[Vec<&RawValue>]) -> Vec<Point> {
    if corners.len() > CORNERS {
        desk.note(at, format!("超过 {CORNERS} 个角 over {CORNERS} corners"));
        return Vec::new();
    }
    corners.iter().map(|pair| scale.point(desk, at, pair)).collect()
}

/// A property that is a text; empty if it is missing or something else.
fn property(item: &Item<'_>, key: &str) -> String {
    item.properties.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The outlines of things by id. `ids` are those that may have one.
pub(crate) fn outlines(
    desk: &Desk,
    file: &'static str,
    text: &str,
    anchor: (f64, f64),
    ids: &Known,
) -> BTreeMap<String, Vec<Point>> {
    let mut outlines = BTreeMap::new();
    let Some((scale, items)) = features(desk, file, text, anchor) else { return outlines };
    for item in &items {
        let at = At { column: "id", ..At::line(file, item.line) };
        let id: String = ids.find(desk, at, &property(item, "id"));
        if let Some(outline) = outline(desk, At { column: &id, ..at }, scale, item) {
            if outlines.contains_key(&id) {
                desk.note(at, format!("有两个轮廓 there are two outlines: {id}"));
            }
            outlines.insert(id, outline);
        }
    }
    outlines
}

fn outline(desk: &Desk, at: At<'_>, scale: Scale, item: &Item<'_>) -> Option<Vec<Point>> {
    let rings: Vec<Vec<Vec<&RawValue>>> = match item.kind.as_str() {
        "Polygon" => serde_json::from_str(item.coordinates.get()).ok(),
        // Some programs write one polygon as a list of one.
        "MultiPolygon" => serde_json::from_str::<Vec<Vec<Vec<Vec<&RawValue>>>>>(item.coordinates.get())
            .ok()
            .and_then(|mut all| if all.len() == 1 { all.pop() } else { None }),
        _ => None,
    }
    .unwrap_or_default();
    let [ring] = rings.as_slice() else {
        desk.note(at, "须为一个没有洞的 Polygon must be one Polygon without holes");
        return None;
    };
    let mut outline = points(desk, at, scale, ring);
    let closed = outline.len() > 1 && outline.first() == outline.last();
    if closed {
        outline.pop();
    }
    if !closed || outline.len() < 3 {
        desk.note(
            at,
            "轮廓须至少有三个角，末点与首点相同 an outline has three corners or more and ends where it began",
        );
        return None;
    }
    Some(outline)
}

/// Roads and footpaths in their order.
pub(crate) fn paths(desk: &Desk, file: &'static str, text: &str, anchor: (f64, f64)) -> Vec<Path> {
    let mut paths = Vec::new();
    let Some((scale, items)) = features(desk, file, text, anchor) else { return paths };
    for item in &items {
        let at = |column| At { column, ..At::line(file, item.line) };
        let text = |key| checks::text(desk, at(key), &property(item, key), false);
        let width = item.properties.get("width_m").map_or("", |raw| raw.get());
        let corners: Option<Vec<Vec<&RawValue>>> =
            if item.kind == "LineString" { serde_json::from_str(item.coordinates.get()).ok() } else { None };
        let line = corners.map(|corners| points(desk, at("geometry"), scale, &corners)).unwrap_or_default();
        if line.len() < 2 {
            desk.note(at("geometry"), "须为至少两点的 LineString must be a LineString of two points or more");
        }
        paths.push(Path {
            name: Name { zh: text("name_zh"), en: text("name_en") },
            line,
            width: number(desk, at("width_m"), width, &(0.1..=200.0), 1.0),
        });
    }
    paths
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn corners(points: impl Iterator<Item = Point>) -> String {
    points.map(|p| format!("[{}, {}]", p.x, p.y)).collect::<Vec<_>>().join(", ")
}

fn collection(features: &[String]) -> String {
    let head = format!(
        "{{\n\"type\": \"FeatureCollection\",\n\"crs\": {{ \"type\": \"name\", \"properties\": {{ \"name\": \"{PLANE}\" }} }},\n"
    );
    format!("{head}\"features\": [\n{}\n]\n}}\n", features.join(",\n"))
}

/// As [`outlines`] reads them; what has none is left out.
pub(crate) fn outlines_text<'a>(things: impl Iterator<Item = (&'a str, &'a [Point])>) -> String {
    let features: Vec<String> = things
        .filter(|(_, outline)| !outline.is_empty())
        .map(|(id, outline)| {
            let ring = corners(outline.iter().chain(outline.first()).copied());
            format!(
                "{{ \"type\": \"Feature\", \"properties\": {{ \"id\": {} }}, \"geometry\": {{ \"type\": \"Polygon\", \
                 \"coordinates\": [[{ring}]] }} }}",
                json(id)
            )
        })
        .collect();
    collection(&features)
}

/// As [`paths`] reads them.
pub(crate) fn paths_text(paths: &[Path]) -> String {
    let features: Vec<String> = paths
        .iter()
        .map(|path| {
            format!(
                "{{ \"type\": \"Feature\", \"properties\": {{ \"name_zh\": {}, \"name_en\": {}, \"width_m\": {} }}, \
                 \"geometry\": {{ \"type\": \"LineString\", \"coordinates\": [{}] }} }}",
                json(&path.name.zh),
                json(&path.name.en),
                path.width,
                corners(path.line.iter().copied())
            )
        })
        .collect();
    collection(&features)
}
