//! Places as people give them: a building with unit, floor and flat, a landmark, words, or a point.

use domain::{
    gazetteer,
    refusal::{Code, Refusal},
    site::{Building, Landmark, Place, Point, Precision, Site},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{api::shapes::Name, problem::Problem};

/// Suggestions of one look-up.
const HITS: usize = 8;
/// Longest words looked up, characters.
const WORDS: usize = 200;

/// A place as a request gives it: at least one of building, landmark, text, point and grid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceInput {
    /// Grid; follows from the others where they are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<String>,
    /// Building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) building: Option<String>,
    /// Landmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) landmark: Option<String>,
    /// Unit 单元.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<u8>,
    /// Floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<i8>,
    /// Flat of the floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flat: Option<u8>,
    /// Metres east and south of the north-west corner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<[f64; 2]>,
    /// Seen, surveyed or confirmed by a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<bool>,
    /// Words such as `12栋2单元6层` or a local name; used when nothing else is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A suggestion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PlaceHit {
    /// The place, as a report takes it.
    pub(crate) place: PlaceInput,
    /// What to call it.
    pub(crate) label: Name,
    /// Nearest cameras.
    pub(crate) cameras: Vec<String>,
}

fn nowhere() -> Problem {
    Refusal::field(Code::NoPlace, "place").into()
}

/// The place that a request means.
pub(crate) fn resolve(site: &Site, input: &PlaceInput) -> Result<Place, Problem> {
    let mut place = base(site, input)?;
    place.unit = input.unit.or(place.unit);
    place.floor = input.floor.or(place.floor);
    place.flat = input.flat.or(place.flat);
    if let Some([x, y]) = input.point {
        let point = Point { x, y };
        let inside = x.is_finite() && y.is_finite() && x >= 0.0 && y >= 0.0 && x <= site.extent.x && y <= site.extent.y;
        if !inside {
            return Err(Refusal::field(Code::NoPlace, "place.point").into());
        }
        place.point = point;
    }
    if let Some(verified) = input.verified {
        place.precision = if verified { Precision::Verified } else { Precision::Estimated };
    }
    Ok(place)
}

fn base(site: &Site, input: &PlaceInput) -> Result<Place, Problem> {
    let field = |name| Problem::from(Refusal::field(Code::NoPlace, name));
    if let Some(id) = given(&input.building) {
        let building = site.building(&id.into()).ok_or(field("place.building"))?;
        return Ok(at_building(building));
    }
    if let Some(id) = given(&input.landmark) {
        let landmark = site.landmark(&id.into()).ok_or(field("place.landmark"))?;
        return Ok(at_landmark(landmark));
    }
    if let Some(words) = given(&input.text) {
        let words: String = words.chars().take(WORDS).collect();
        return gazetteer::locate(site, &words).ok_or(field("place.text"));
    }
    if let Some([x, y]) = input.point {
        return at_point(site, Point { x, y }).ok_or(field("place.point"));
    }
    if let Some(id) = given(&input.grid) {
        let grid = site.grid(&id.into()).ok_or(field("place.grid"))?;
        return at_grid(grid).ok_or(field("place.grid"));
    }
    Err(nowhere())
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|t| !t.is_empty())
}

fn at_building(building: &Building) -> Place {
    Place { building: Some(building.id.clone()), ..Place::about(building.grid.clone(), building.center) }
}

fn at_landmark(landmark: &Landmark) -> Place {
    Place { landmark: Some(landmark.id.clone()), ..Place::about(landmark.grid.clone(), landmark.center) }
}

fn at_grid(grid: &domain::site::Grid) -> Option<Place> {
    let n = u32::try_from(grid.outline.len()).ok().filter(|n| *n > 0)?;
    let (x, y) = grid.outline.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Some(Place::about(grid.id.clone(), Point { x: x / f64::from(n), y: y / f64::from(n) }))
}

/// The grid around a point, or the one whose middle is nearest.
fn at_point(site: &Site, point: Point) -> Option<Place> {
    if !point.x.is_finite() || !point.y.is_finite() {
        return None;
    }
    let around = site.grids.iter().find(|g| contains(&g.outline, point));
    let near = || {
        let middles = site.grids.iter().filter_map(|g| at_grid(g).map(|p| (p.point.distance(point), g)));
        middles.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, g)| g)
    };
    around.or_else(near).map(|g| Place::about(g.id.clone(), point))
}

fn contains(outline: &[Point], p: Point) -> bool {
    let next = outline.iter().cycle().skip(1);
    let crossed = outline
        .iter()
        .zip(next)
        .filter(|(a, b)| (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x);
    crossed.count() % 2 == 1
}

/// Places that `words` may mean: what the gazetteer reads first, then names that contain them.
pub(crate) fn suggest(site: &Site, words: &str) -> Vec<PlaceHit> {
    let words: String = words.trim().chars().take(WORDS).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let lower = words.to_lowercase();
    let mut found: Vec<Place> = gazetteer::locate(site, &words).into_iter().collect();
    let matches = |name: &domain::site::Name, aliases: &[String]| {
        name.zh.contains(&words)
            || name.en.to_lowercase().contains(&lower)
            || aliases.iter().any(|a| a.contains(&words))
    };
    let number = words.parse::<u16>().ok();
    let exact = site.buildings.iter().filter(|b| number == Some(b.number));
    let named = site.buildings.iter().filter(|b| matches(&b.name, &b.aliases));
    found.extend(exact.chain(named).map(at_building));
    found.extend(site.landmarks.iter().filter(|l| matches(&l.name, &l.aliases)).map(at_landmark));
    let mut hits: Vec<PlaceHit> = Vec::new();
    for place in found {
        let hit = hit(site, &place);
        if hits.len() < HITS && !hits.iter().any(|h| h.place == hit.place) {
            hits.push(hit);
        }
    }
    hits
}

fn hit(site: &Site, place: &Place) -> PlaceHit {
    let input = PlaceInput {
        grid: Some(place.grid.to_string()),
        building: place.building.as_ref().map(ToString::to_string),
        landmark: place.landmark.as_ref().map(ToString::to_string),
        unit: place.unit,
        floor: place.floor,
        flat: place.flat,
        point: Some([place.point.x, place.point.y]),
        verified: Some(place.precision == Precision::Verified),
        text: None,
    };
    let cameras = site.nearest_cameras(place, wire::view::NEAREST_CAMERAS).iter().map(ToString::to_string).collect();
    PlaceHit { place: input, label: label(site, place), cameras }
}

/// What people call a place.
pub(crate) fn label(site: &Site, place: &Place) -> Name {
    let shown = wire::view::place(Some(site), place, true);
    Name { zh: shown.label_zh, en: shown.label_en }
}
