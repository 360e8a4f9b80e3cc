//! The site document for screens: geometry, devices, units, classes.

use axum::{Json, extract::State};
use domain::site::{Point, Site as Domain};
use serde::Serialize;
use utoipa::ToSchema;

use super::shapes::{LevelName, Name};
use crate::{desk::Desk, places, problem::Problem};

fn xy(p: Point) -> [f64; 2] {
    [p.x, p.y]
}
fn line(points: &[Point]) -> Vec<[f64; 2]> {
    points.iter().copied().map(xy).collect()
}
fn names<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// The site.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteDocument)]
pub(crate) struct Site {
    /// Id.
    id: String,
    /// Name.
    name: Name,
    /// Street and county.
    region: Name,
    /// Version; the feed tells a newer one.
    version: u32,
    /// Width and height.
    extent: [f64; 2],
    /// Latitude and longitude of the north-west corner, degrees.
    anchor: [f64; 2],
    /// Communities.
    communities: Vec<Community>,
    /// Grids.
    grids: Vec<Grid>,
    /// Buildings.
    buildings: Vec<Building>,
    /// Roads and paths.
    paths: Vec<Path>,
    /// Landmarks.
    landmarks: Vec<Landmark>,
    /// Cameras.
    cameras: Vec<Camera>,
    /// Sensors by kind.
    sensors: Vec<SensorCount>,
    /// Units.
    units: Vec<Unit>,
    /// Classes of incident.
    classes: Vec<Class>,
    /// Kinds of alarm.
    alarm_kinds: Vec<AlarmKind>,
    /// Tours.
    tours: Vec<Tour>,
}
/// A community.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Community {
    /// Id.
    id: String,
    /// Name.
    name: Name,
    /// Outline.
    outline: Vec<[f64; 2]>,
    /// Where its name is drawn.
    label: [f64; 2],
}
/// A grid.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Grid {
    /// Id.
    id: String,
    /// Community.
    community: String,
    /// Name.
    name: Name,
    /// Outline.
    outline: Vec<[f64; 2]>,
}
/// A building with its totals; never a household.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Building {
    /// Id.
    id: String,
    /// Number on the wall.
    number: u16,
    /// Grid.
    grid: String,
    /// Name.
    name: Name,
    /// Local names.
    aliases: Vec<String>,
    /// Pinyin initials of the name and the local names.
    initials: Vec<String>,
    /// Outline.
    outline: Vec<[f64; 2]>,
    /// Where its lamp is drawn.
    center: [f64; 2],
    /// Units 单元.
    units: u8,
    /// Floors.
    floors: u8,
    /// Flats a floor of a unit.
    flats_per_floor: u8,
    /// Households.
    households: u16,
    /// People.
    people: u16,
    /// People who need care in an emergency.
    care_needs: u16,
    /// People under 18.
    minors: u16,
}
/// A road or path.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Path {
    /// Name; empty for a footpath.
    name: Name,
    /// Middle line.
    line: Vec<[f64; 2]>,
    /// Width.
    width: f64,
}
/// A landmark.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Landmark {
    /// Id.
    id: String,
    /// `square`, `school`, `gate`, `road`, `parking` or `plant`.
    kind: String,
    /// Grid.
    grid: String,
    /// Name.
    name: Name,
    /// Local names.
    aliases: Vec<String>,
    /// Pinyin initials of the name and the local names.
    initials: Vec<String>,
    /// Outline; empty for a point.
    outline: Vec<[f64; 2]>,
    /// Middle.
    center: [f64; 2],
}
/// A camera.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SiteCamera)]
pub(crate) struct Camera {
    /// Id.
    id: String,
    /// Number on screens.
    number: u16,
    /// Grid.
    grid: String,
    /// Building.
    building: Option<String>,
    /// Name.
    name: Name,
    /// Pinyin initials of the name.
    initials: Vec<String>,
    /// Where it hangs.
    at: [f64; 2],
    /// Degrees clockwise from north.
    heading: f64,
    /// Inside a building.
    indoor: bool,
}
/// How many sensors of a kind there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SensorCount {
    /// Kind.
    kind: String,
    /// How many.
    count: usize,
}
/// A unit that takes tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unit {
    /// Id.
    id: String,
    /// `department`, `firm` or `grid`.
    kind: String,
    /// Name.
    name: Name,
    /// Pinyin initials for the command line.
    initials: String,
    /// Tasks that it can carry at once.
    capacity: u16,
    /// Grid of a grid team.
    grid: Option<String>,
}
/// A class of incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Class {
    /// Id.
    id: String,
    /// Name.
    name: Name,
    /// Level unless a person sets another.
    level: LevelName,
    /// May be chosen at the intake.
    intake: bool,
    /// Lead unit of the plan.
    lead: String,
    /// Units that assist.
    assists: Vec<String>,
    /// Steps of the plan.
    steps: Vec<Name>,
    /// Limits.
    limits: Limits,
}
/// Limits, ms.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limits {
    /// reported → accepted.
    collect: i64,
    /// accepted → filed.
    analyse: i64,
    /// filed → approved.
    approve: i64,
    /// approved → delivered.
    push: i64,
    /// delivered → acknowledged.
    acknowledge: i64,
    /// acknowledged → on scene.
    arrive: i64,
    /// pushed → done.
    handle: i64,
    /// done → verified.
    verify: i64,
    /// May be declined within.
    decline: i64,
}
/// A kind of alarm.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmKind {
    /// Id.
    id: String,
    /// Name.
    name: Name,
    /// Priority.
    level: LevelName,
    /// Class of the incident that it becomes.
    class: String,
    /// Sources that open an incident at once.
    opens_with: Option<u8>,
}
/// A tour of cameras.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tour {
    /// Id.
    id: String,
    /// Name.
    name: Name,
    /// Cameras in order.
    cameras: Vec<String>,
    /// How long a group of eight stays, ms.
    dwell: i64,
}

fn building(b: &domain::site::Building) -> Building {
    Building {
        id: b.id.to_string(),
        number: b.number,
        grid: b.grid.to_string(),
        name: (&b.name).into(),
        aliases: b.aliases.clone(),
        initials: places::initials(&b.name.zh, &b.aliases),
        outline: line(&b.outline),
        center: xy(b.center),
        units: b.units,
        floors: b.floors,
        flats_per_floor: b.flats_per_floor,
        households: b.households,
        people: b.people,
        care_needs: b.care_needs,
        minors: b.minors,
    }
}

fn landmark(l: &domain::site::Landmark) -> Landmark {
    Landmark {
        id: l.id.to_string(),
        kind: l.kind.name().to_owned(),
        grid: l.grid.to_string(),
        name: (&l.name).into(),
        aliases: l.aliases.clone(),
        initials: places::initials(&l.name.zh, &l.aliases),
        outline: line(&l.outline),
        center: xy(l.center),
    }
}

fn camera(c: &domain::site::Camera) -> Camera {
    Camera {
        id: c.id.to_string(),
        number: c.number,
        grid: c.grid.to_string(),
        building: c.building.as_ref().map(ToString::to_string),
        name: (&c.name).into(),
        initials: places::initials(&c.name.zh, &[]),
        at: xy(c.at),
        heading: c.heading,
        indoor: c.indoor,
    }
}

fn class(c: &domain::site::Class) -> Class {
    let l = &c.limits;
    Class {
        id: c.id.to_string(),
        name: (&c.name).into(),
        level: c.level.into(),
        intake: c.intake,
        lead: c.lead.to_string(),
        assists: names(&c.assists),
        steps: c.steps.iter().map(Into::into).collect(),
        limits: Limits {
            collect: l.collect.0,
            analyse: l.analyse.0,
            approve: l.approve.0,
            push: l.push.0,
            acknowledge: l.acknowledge.0,
            arrive: l.arrive.0,
            handle: l.handle.0,
            verify: l.verify.0,
            decline: l.decline.0,
        },
    }
}

fn sensors(site: &Domain) -> Vec<SensorCount> {
    let mut counts = std::collections::BTreeMap::new();
    for sensor in &site.sensors {
        *counts.entry(sensor.kind.name()).or_insert(0) += 1;
    }
    counts.into_iter().map(|(kind, count)| SensorCount { kind: kind.to_owned(), count }).collect()
}

fn shown(s: &Domain) -> Site {
    Site {
        id: s.id.to_string(),
        name: (&s.name).into(),
        region: (&s.region).into(),
        version: s.version,
        extent: xy(s.extent),
        anchor: s.anchor.into(),
        communities: (s.communities.iter())
            .map(|c| Community {
                id: c.id.to_string(),
                name: (&c.name).into(),
                outline: line(&c.outline),
                label: xy(c.label),
            })
            .collect(),
        grids: (s.grids.iter())
            .map(|g| Grid {
                id: g.id.to_string(),
                community: g.community.to_string(),
                name: (&g.name).into(),
                outline: line(&g.outline),
            })
            .collect(),
        buildings: s.buildings.iter().map(building).collect(),
        paths: (s.paths.iter()).map(|p| Path { name: (&p.name).into(), line: line(&p.line), width: p.width }).collect(),
        landmarks: s.landmarks.iter().map(landmark).collect(),
        cameras: s.cameras.iter().map(camera).collect(),
        sensors: sensors(s),
        units: (s.units.iter())
            .map(|u| Unit {
                id: u.id.to_string(),
                kind: u.kind.name().to_owned(),
                name: (&u.name).into(),
                initials: u.initials.clone(),
                capacity: u.capacity,
                grid: u.grid.as_ref().map(ToString::to_string),
            })
            .collect(),
        classes: s.classes.iter().map(class).collect(),
        alarm_kinds: (s.alarm_kinds.iter())
            .map(|k| AlarmKind {
                id: k.id.to_string(),
                name: (&k.name).into(),
                level: k.level.into(),
                class: k.class.to_string(),
                opens_with: k.opens_with,
            })
            .collect(),
        tours: (s.tours.iter())
            .map(|t| Tour {
                id: t.id.to_string(),
                name: (&t.name).into(),
                cameras: names(&t.cameras),
                dwell: t.dwell.0,
            })
            .collect(),
    }
}

/// The site: places, devices, units, classes and tours.
#[utoipa::path(
    get, path = "/api/v1/site", tag = "site",
    responses((status = 200, body = Site), Problem)
)]
pub(crate) async fn site(State(desk): State<Desk>) -> Result<Json<Site>, Problem> {
    Ok(Json(shown(desk.site()?.as_ref())))
}
