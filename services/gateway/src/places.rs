//! Places as people give them: a building with unit, floor and flat, a landmark, words, or a point.

use domain::{
    gazetteer,
    refusal::{Code, Refusal},
    site::{Building, Landmark, Place, Point, Precision, Site},
};
use pinyin::ToPinyin as _;
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

/// How well a name answers what was typed; less is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The name, a local name or the number itself.
    Exact,
    /// All pinyin initials.
    Initials,
    /// It begins so.
    Begins,
    /// Its pinyin initials begin so.
    BeginsInitials,
    /// It has the words in it.
    Contains,
}

/// Pinyin initials of a name and of local names, each once: 学校 is `xx`, 12栋 is `12d`.
pub(crate) fn initials(name: &str, aliases: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
        let initials: String = name.chars().filter_map(initial).collect();
        if !initials.is_empty() && !all.contains(&initials) {
            all.push(initials);
        }
    }
    all
}

/// The first letter of a character's usual reading; digits and letters stand for themselves.
fn initial(c: char) -> Option<char> {
    if c.is_ascii_alphanumeric() {
        return Some(c.to_ascii_lowercase());
    }
    c.to_pinyin().and_then(|p| p.first_letter().chars().next())
}

/// The best fit of a place's names, and the length of the shortest name that fits so.
fn fit(words: &str, name: &Name, aliases: &[String]) -> Option<(Fit, usize)> {
    let lower = words.to_lowercase();
    let latin = lower.chars().all(|c| c.is_ascii_alphanumeric());
    let of = |name: &String| {
        let (plain, initials) = (name.to_lowercase(), name.chars().filter_map(initial).collect::<String>());
        let fit = match () {
            () if plain == lower => Fit::Exact,
            () if latin && initials == lower => Fit::Initials,
            () if plain.starts_with(&lower) => Fit::Begins,
            () if latin && initials.starts_with(&lower) => Fit::BeginsInitials,
            () if plain.contains(&lower) => Fit::Contains,
            () => return None,
        };
        Some((fit, name.chars().count()))
    };
    [&name.zh, &name.en].into_iter().chain(aliases).filter(|n| !n.is_empty()).filter_map(of).min()
}

/// Places that `words` may mean: exact names first, then what the gazetteer reads, then names by initials, that begin so
/// and that contain the words.
pub(crate) fn suggest(site: &Site, words: &str) -> Vec<PlaceHit> {
    let words: String = words.trim().chars().take(WORDS).collect();
    if words.is_empty() {
        return Vec::new();
    }
    // Full-width letters and digits are typed by the same keys.
    let plain: String = words.chars().map(narrow).collect();
    let number = plain.parse::<u16>().ok();
    let named = |name: &domain::site::Name, aliases: &[String]| {
        fit(&plain, &Name { zh: name.zh.clone(), en: name.en.clone() }, aliases)
    };
    let mut found: Vec<(Fit, usize, Place)> = Vec::new();
    for b in &site.buildings {
        let exact = (number == Some(b.number)).then_some((Fit::Exact, 0));
        found.extend(exact.or_else(|| named(&b.name, &b.aliases)).map(|(fit, length)| (fit, length, at_building(b))));
    }
    for l in &site.landmarks {
        found.extend(named(&l.name, &l.aliases).map(|(fit, length)| (fit, length, at_landmark(l))));
    }
    // Of equal fits the shorter name is meant.
    found.sort_by_key(|(fit, length, _)| (*fit, *length));
    let exact = found.iter().filter(|(fit, ..)| *fit == Fit::Exact).map(|(.., place)| place.clone());
    let rest = found.iter().filter(|(fit, ..)| *fit != Fit::Exact).map(|(.., place)| place.clone());
    let (read, perhaps) = match gazetteer::read(site, &words) {
        gazetteer::Reading::At(place) => (Some(place), Vec::new()),
        gazetteer::Reading::Unclear(places) => (None, places),
        gazetteer::Reading::Nowhere => (None, Vec::new()),
    };
    let mut hits: Vec<PlaceHit> = Vec::new();
    for place in exact.chain(read).chain(perhaps).chain(rest) {
        let hit = hit(site, &place);
        if hits.len() < HITS && !hits.iter().any(|h| h.place == hit.place) {
            hits.push(hit);
        }
    }
    hits
}

fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{3000}' => ' ',
        other => other,
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::site::LandmarkKind;

    use super::*;

    fn name(zh: &str) -> domain::site::Name {
        domain::site::Name { zh: zh.to_owned(), en: String::new() }
    }

    fn building(number: u16, aliases: &[&str]) -> Building {
        Building {
            id: format!("b{number}").as_str().into(),
            number,
            grid: "g1".into(),
            name: name(&format!("{number}栋")),
            aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
            outline: Vec::new(),
            center: Point { x: f64::from(number), y: 1.0 },
            units: 3,
            floors: 18,
            flats_per_floor: 4,
            households: 0,
            people: 0,
            care_needs: 0,
            minors: 0,
        }
    }

    fn landmark(id: &str, zh: &str, aliases: &[&str]) -> Landmark {
        Landmark {
            id: id.into(),
            grid: "g1".into(),
            kind: LandmarkKind::School,
            name: name(zh),
            aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
            outline: Vec::new(),
            center: Point { x: 5.0, y: 5.0 },
        }
    }

    fn site() -> Site {
        Site {
            id: "s".into(),
            name: name("站"),
            region: name("区"),
            version: 1,
            extent: Point { x: 100.0, y: 100.0 },
            anchor: (27.0, 103.0),
            communities: Vec::new(),
            grids: vec![domain::site::Grid {
                id: "g1".into(),
                community: "s1".into(),
                name: name("第1网格"),
                outline: Vec::new(),
            }],
            buildings: vec![
                building(58, &["学校西边那栋"]),
                building(12, &["球场边那栋"]),
                building(1, &[]),
                building(2, &["超市楼"]),
            ],
            paths: Vec::new(),
            landmarks: vec![landmark("gate", "学校正门", &[]), landmark("school", "学校", &["卯家湾小学"])],
            cameras: Vec::new(),
            sensors: Vec::new(),
            units: Vec::new(),
            classes: Vec::new(),
            alarm_kinds: Vec::new(),
            tours: Vec::new(),
        }
    }

    fn ids(words: &str) -> Vec<String> {
        let id = |h: PlaceHit| h.place.landmark.or(h.place.building).unwrap_or_default();
        suggest(&site(), words).into_iter().map(id).collect()
    }

    #[test]
    fn exact_names_come_first_then_initials_beginnings_and_the_rest() {
        assert_eq!(ids("学校"), ["school", "gate", "b58"]);
        assert_eq!(ids("卯家湾小学"), ["school"]);
        assert_eq!(ids("xx").first().map(String::as_str), Some("school"));
        assert_eq!(ids("XXZM"), ["gate"]);
        assert_eq!(ids("csl"), ["b2"]);
        assert_eq!(ids("qcb"), ["b12"], "initials of a local name that begins so");
        assert_eq!(ids("1"), ["b1", "b12"], "the number before numbers that begin so");
        assert_eq!(ids("１２"), ["b12"]);
        assert_eq!(ids(""), Vec::<String>::new());
    }

    #[test]
    fn numbers_with_unit_and_flat_are_read_as_people_type_them() {
        let first = |words: &str| suggest(&site(), words).into_iter().next().map(|h| h.place);
        for words in ["12-2-601", "12 2 601", "12#2-601", "12栋2单元601", "１２栋２单元６０１", "12-2-6-1"]
        {
            let place = first(words).unwrap_or_else(|| panic!("{words}"));
            assert_eq!(place.building.as_deref(), Some("b12"), "{words}");
            assert_eq!((place.unit, place.floor, place.flat), (Some(2), Some(6), Some(1)), "{words}");
        }
        let place = first("12-2-6").unwrap();
        assert_eq!((place.unit, place.floor, place.flat), (Some(2), Some(6), None));
    }

    #[test]
    fn initials_are_of_all_names_and_each_once() {
        assert_eq!(initials("学校", &["卯家湾小学".to_owned(), "学校".to_owned()]), ["xx", "mjwxx"]);
        assert_eq!(initials("12栋南侧路口", &[]), ["12dnclk"]);
    }
}
