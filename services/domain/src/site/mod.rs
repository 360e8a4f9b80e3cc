//! The site as data: places, devices, units, classes, plans and limits. Nothing here changes by itself; a new
//! site document replaces the old one. Lengths are metres on a local plane, x to the east and y to the
//! south of the north-west corner, so that a screen draws them as they are.

mod decide;
mod event;

use std::sync::Arc;

use crate::{
    event::Event,
    ids::*,
    thing::{Relation, Single},
    time::Millis,
};

pub use event::SiteEvent;

/// A point of the local plane, metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Metres east of the north-west corner.
    pub x: f64,
    /// Metres south of the north-west corner.
    pub y: f64,
}

impl Point {
    /// Straight distance in metres.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// Name in both languages of the screens.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Name {
    /// Chinese, always present.
    pub zh: String,
    /// English.
    pub en: String,
}

/// A resettlement site.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Short name used in keys.
    pub id: SiteId,
    /// Full name.
    pub name: Name,
    /// Street and county, as shown under the name.
    pub region: Name,
    /// Version of this document; a greater one replaces.
    pub version: u32,
    /// Width and height of the plane, metres.
    pub extent: Point,
    /// Latitude and longitude (degrees, WGS-84) of the north-west corner.
    pub anchor: (f64, f64),
    /// Communities 社区.
    pub communities: Vec<Community>,
    /// Grids 网格.
    pub grids: Vec<Grid>,
    /// Buildings 楼栋.
    pub buildings: Vec<Building>,
    /// Roads and footpaths.
    pub paths: Vec<Path>,
    /// Square, school, gates and road sections.
    pub landmarks: Vec<Landmark>,
    /// Cameras.
    pub cameras: Vec<Camera>,
    /// Sensors.
    pub sensors: Vec<Sensor>,
    /// Units that take tasks.
    pub units: Vec<Unit>,
    /// Classes of incident with plan and limits.
    pub classes: Vec<Class>,
    /// Kinds of alarm.
    pub alarm_kinds: Vec<AlarmKind>,
    /// Tours of cameras for the video patrol.
    pub tours: Vec<Tour>,
}

/// A community 社区.
#[derive(Clone, Debug, PartialEq)]
pub struct Community {
    /// Id.
    pub id: CommunityId,
    /// Name, e.g. 第一社区.
    pub name: Name,
    /// Outline, metres.
    pub outline: Vec<Point>,
    /// Where its name is drawn.
    pub label: Point,
}

/// A grid 网格.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// 14-digit id.
    pub id: GridId,
    /// Its community.
    pub community: CommunityId,
    /// Name, e.g. 第6网格.
    pub name: Name,
    /// Outline, metres.
    pub outline: Vec<Point>,
}

/// A building 楼栋.
#[derive(Clone, Debug, PartialEq)]
pub struct Building {
    /// Id.
    pub id: BuildingId,
    /// Number on the wall, 1 to 76.
    pub number: u16,
    /// Its grid.
    pub grid: GridId,
    /// Name, e.g. 12栋.
    pub name: Name,
    /// Local names 俗名 that callers use.
    pub aliases: Vec<String>,
    /// Outline, metres.
    pub outline: Vec<Point>,
    /// Where its lamp is drawn.
    pub center: Point,
    /// Stairwell units 单元.
    pub units: u8,
    /// Floors above ground.
    pub floors: u8,
    /// Flats on each floor of each unit.
    pub flats_per_floor: u8,
    /// Registered households.
    pub households: u16,
    /// Registered people.
    pub people: u16,
    /// People of them who need care in an emergency.
    pub care_needs: u16,
    /// People of them under 18.
    pub minors: u16,
}

/// A road or path.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Name, e.g. 二号路; empty for a footpath.
    pub name: Name,
    /// Middle line, metres.
    pub line: Vec<Point>,
    /// Width, metres.
    pub width: f64,
}

/// What a landmark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandmarkKind {
    /// Open square.
    Square,
    /// School.
    School,
    /// Gate of a community or the site.
    Gate,
    /// Section of a road.
    Road,
    /// Parking lot.
    Parking,
    /// Station, pump room and other plant.
    Plant,
}

/// A place that is not a residential building.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmark {
    /// Id.
    pub id: LandmarkId,
    /// Its grid.
    pub grid: GridId,
    /// What it is.
    pub kind: LandmarkKind,
    /// Name, e.g. 广场.
    pub name: Name,
    /// Local names.
    pub aliases: Vec<String>,
    /// Outline, metres; empty for a point.
    pub outline: Vec<Point>,
    /// Middle.
    pub center: Point,
}

/// A camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Id, `c` and three digits.
    pub id: CameraId,
    /// Number on screens, 1 to 237.
    pub number: u16,
    /// Its grid.
    pub grid: GridId,
    /// The building that it is in or looks at.
    pub building: Option<BuildingId>,
    /// Name, e.g. 12栋南侧路口.
    pub name: Name,
    /// Where it hangs.
    pub at: Point,
    /// Where it looks, degrees clockwise from north.
    pub heading: f64,
    /// Inside a building.
    pub indoor: bool,
}

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SensorKind {
    /// Smoke, dB/m obscuration.
    Smoke,
    /// Manual fire call point, 0 or 1.
    CallPoint,
    /// Combustible gas, % LEL.
    Gas,
    /// Residual current of an electrical fire monitor, mA.
    ElectricalFire,
    /// Hydrant pressure, MPa.
    HydrantPressure,
    /// Lift fault code, 0 = none, 1 = fault, 2 = people trapped.
    Lift,
    /// Manhole cover tilt, degrees.
    Manhole,
    /// Water level, m.
    WaterLevel,
    /// One-key call for help, 0 or 1.
    Sos,
    /// Occupied fire lane, 0 or 1.
    FireLane,
    /// E-bike charging current, A.
    EbikeCharging,
}

impl SensorKind {
    /// Its unit of measure; `None` of a state or a code.
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Smoke => Some("dB/m"),
            Self::Gas => Some("%LEL"),
            Self::ElectricalFire => Some("mA"),
            Self::HydrantPressure => Some("MPa"),
            Self::Manhole => Some("°"),
            Self::WaterLevel => Some("m"),
            Self::EbikeCharging => Some("A"),
            Self::CallPoint | Self::Lift | Self::Sos | Self::FireLane => None,
        }
    }
}

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Id, also its MQTT client name.
    pub id: SensorId,
    /// What it measures.
    pub kind: SensorKind,
    /// Name on screens.
    pub name: Name,
    /// Where it is.
    pub place: Place,
}

/// How sure the place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Seen, surveyed or confirmed by a second person.
    Verified,
    /// Taken from words or a guess.
    Estimated,
}

/// Where something is, as far as known. `point` is always there so that cameras can be found.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Grid.
    pub grid: GridId,
    /// Building, if in or at one.
    pub building: Option<BuildingId>,
    /// Landmark, if at one.
    pub landmark: Option<LandmarkId>,
    /// Unit 单元 of the building.
    pub unit: Option<u8>,
    /// Floor.
    pub floor: Option<i8>,
    /// Flat of the floor, 1 to 99: people see 0604 for floor 6, flat 4.
    pub flat: Option<u8>,
    /// Where on the plane.
    pub point: Point,
    /// How sure.
    pub precision: Precision,
}

impl Place {
    /// A point of a grid, as far as somebody said or guessed.
    pub fn about(grid: GridId, point: Point) -> Self {
        Self {
            grid,
            building: None,
            landmark: None,
            unit: None,
            floor: None,
            flat: None,
            point,
            precision: Precision::Estimated,
        }
    }

    /// Nobody knows yet where it is.
    pub fn is_unknown(&self) -> bool {
        self.grid.as_str().is_empty()
    }

    /// What lies there is found by its grid and building.
    pub fn relations(&self) -> impl Iterator<Item = Relation> {
        let grid = (!self.is_unknown()).then(|| Relation::Grid(self.grid.clone()));
        grid.into_iter().chain(self.building.clone().map(Relation::Building))
    }
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitKind {
    /// A department 部门 with a connector.
    Department,
    /// A property or lift firm.
    Firm,
    /// A grid's own team.
    Grid,
}

/// A unit that takes tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Id, e.g. `fire`.
    pub id: UnitId,
    /// What it is.
    pub kind: UnitKind,
    /// Name, e.g. 消防.
    pub name: Name,
    /// Pinyin initials for the command line, e.g. `xf`.
    pub initials: String,
    /// Tasks it can carry at once.
    pub capacity: u16,
    /// The grid of a grid team.
    pub grid: Option<GridId>,
}

/// [`Limits::attend`] of a site that does not say.
pub const SOUND_AGAIN: Millis = Millis::minutes(3);

/// Priority of alarms and incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Ordinary.
    Normal,
    /// Pressing.
    Yellow,
    /// Life or limb; never waits for an approval.
    Red,
}

/// Limits of one class, milliseconds of calendar time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// reported → accepted.
    pub collect: Millis,
    /// accepted → filed.
    pub analyse: Millis,
    /// filed → approved.
    pub approve: Millis,
    /// approved → first delivery.
    pub push: Millis,
    /// delivered → acknowledged.
    pub acknowledge: Millis,
    /// acknowledged → on scene.
    pub arrive: Millis,
    /// first push → all mandatory tasks done.
    pub handle: Millis,
    /// done → verified.
    pub verify: Millis,
    /// A unit may decline within this time of the push; never a red task.
    pub decline: Millis,
    /// What a person took and nobody acts on sounds again after this time. `None` in sites from before this was kept.
    pub attend: Option<Millis>,
}

impl Limits {
    /// What a person took and nobody acts on sounds again after this time.
    pub fn attend(&self) -> Millis {
        self.attend.filter(|span| span.0 > 0).unwrap_or(SOUND_AGAIN)
    }
}

/// A class of incident with its response plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Id, e.g. `fire`.
    pub id: ClassId,
    /// Name, e.g. 火情.
    pub name: Name,
    /// Level unless a person sets another.
    pub level: Level,
    /// Whether a person may choose it at the intake.
    pub intake: bool,
    /// Lead unit of the plan.
    pub lead: UnitId,
    /// Units that assist.
    pub assists: Vec<UnitId>,
    /// Steps of the plan, in order.
    pub steps: Vec<Name>,
    /// Limits.
    pub limits: Limits,
}

/// A kind of alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmKind {
    /// Id, e.g. `smoke`.
    pub id: AlarmKindId,
    /// Name, e.g. 烟感.
    pub name: Name,
    /// Priority.
    pub level: Level,
    /// Class of the incident that it becomes.
    pub class: ClassId,
    /// Distinct sources at one place that open an incident at once; `None` = a person always judges.
    pub opens_with: Option<u8>,
    /// Kinds of one family at one place and time are one condition (smoke and call point: `fire`).
    pub family: String,
    /// Sources of a family within this distance (metres) and `window` are one condition.
    pub radius: f64,
    /// Time window of the correlation.
    pub window: Millis,
    /// What people say when they mean it; empty for kinds that only devices and rules notice. A kind with words is also
    /// that of a unit's report of its class.
    pub words: Vec<String>,
}

/// A tour of cameras.
#[derive(Clone, Debug, PartialEq)]
pub struct Tour {
    /// Id.
    pub id: TourId,
    /// Name, e.g. 夜间治安线.
    pub name: Name,
    /// Cameras in order; screens show them in groups of eight.
    pub cameras: Vec<CameraId>,
    /// How long a group stays.
    pub dwell: Millis,
}

impl Site {
    /// The building of this id.
    pub fn building(&self, id: &BuildingId) -> Option<&Building> {
        self.buildings.iter().find(|b| &b.id == id)
    }
    /// The landmark of this id.
    pub fn landmark(&self, id: &LandmarkId) -> Option<&Landmark> {
        self.landmarks.iter().find(|l| &l.id == id)
    }
    /// The grid of this id.
    pub fn grid(&self, id: &GridId) -> Option<&Grid> {
        self.grids.iter().find(|g| &g.id == id)
    }
    /// The camera of this id.
    pub fn camera(&self, id: &CameraId) -> Option<&Camera> {
        self.cameras.iter().find(|c| &c.id == id)
    }
    /// The sensor of this id.
    pub fn sensor(&self, id: &SensorId) -> Option<&Sensor> {
        self.sensors.iter().find(|s| &s.id == id)
    }
    /// The unit of this id.
    pub fn unit(&self, id: &UnitId) -> Option<&Unit> {
        self.units.iter().find(|u| &u.id == id)
    }
    /// The class of this id.
    pub fn class(&self, id: &ClassId) -> Option<&Class> {
        self.classes.iter().find(|c| &c.id == id)
    }
    /// The kind of alarm of this id.
    pub fn alarm_kind(&self, id: &AlarmKindId) -> Option<&AlarmKind> {
        self.alarm_kinds.iter().find(|k| &k.id == id)
    }

    /// The kind that a text speaks of: the first in the order of the data with one of its words in it.
    pub fn kind_of_words(&self, text: &str) -> Option<&AlarmKind> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        self.alarm_kinds.iter().find(|k| k.words.iter().any(|w| !w.is_empty() && text.contains(w.as_str())))
    }
    /// The kind that a unit's report of a class is.
    pub fn kind_of_report(&self, class: &ClassId) -> Option<&AlarmKind> {
        self.alarm_kinds.iter().find(|k| &k.class == class && !k.words.is_empty())
    }

    /// The cameras nearest to a place: those of the same building first, then by distance; none of an unknown place.
    pub fn nearest_cameras(&self, place: &Place, count: usize) -> Vec<CameraId> {
        if place.is_unknown() {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .cameras
            .iter()
            .map(|c| {
                let elsewhere = place.building.is_none() || c.building != place.building;
                (elsewhere, c.at.distance(place.point), &c.id)
            })
            .collect();
        let nearer = |a: &(bool, f64, &CameraId), b: &(bool, f64, &CameraId)| {
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(b.2))
        };
        // Every view of an alarm asks this: only the nearest are put in order.
        if (1..found.len()).contains(&count) {
            found.select_nth_unstable_by(count - 1, nearer);
        }
        found.truncate(count);
        found.sort_by(nearer);
        found.into_iter().map(|(_, _, id)| id.clone()).collect()
    }
}

impl Single for Option<Arc<Site>> {
    type Event = SiteEvent;
    fn apply(&mut self, what: &SiteEvent, _: &Event) {
        let SiteEvent::Changed { site } = what;
        *self = Some(site.clone());
    }
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}
