//! Sensors with their latest values.

use std::collections::HashMap;

use axum::{Json, extract::State};
use domain::{
    access::Audience,
    refusal::{Code, Refusal},
    site::SensorKind,
};
use ledger::{Reading, Rollup};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shapes::Name;
use crate::{
    body::{Asked, NameId},
    desk::Desk,
    places,
    problem::Problem,
    session::Caller,
};

const HOUR_MS: i64 = 3_600_000;
/// History shown unless asked otherwise, ms.
const DAY_MS: i64 = 86_400_000;
/// Points of one history.
const POINTS: usize = 5_000;
/// Longest span shown by single values, and by minutes, unless asked otherwise, ms.
const BY_VALUE_MS: i64 = 2 * HOUR_MS;
const BY_MINUTE_MS: i64 = 2 * DAY_MS;

/// A sensor as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    /// Id.
    id: String,
    /// What it measures.
    kind: String,
    /// Name.
    name: Name,
    /// Grid.
    grid: String,
    /// Building.
    building: Option<String>,
    /// Where, Chinese.
    place: String,
    /// Reachable; null = never heard of.
    online: Option<bool>,
    /// Since when it is reachable or not, ms since 1970.
    since: Option<i64>,
    /// Latest value; null = none yet.
    value: Option<f64>,
    /// Its unit of measure.
    unit: String,
    /// When it was measured.
    at: Option<i64>,
}

/// The unit of measure, empty of a state or a code.
fn unit(kind: SensorKind) -> String {
    kind.unit().unwrap_or_default().to_owned()
}

fn may(caller: &Caller) -> Result<(), Problem> {
    let seen = matches!(caller.audience, Audience::Centre | Audience::Wall);
    if seen { Ok(()) } else { Err(Code::Forbidden.into()) }
}

/// All sensors with their latest values; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices", tag = "devices",
    responses((status = 200, body = [Device]), Problem)
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Device>>, Problem> {
    may(&caller)?;
    let site = desk.site()?;
    let latest = desk.telemetry.latest(None).await?;
    let latest: HashMap<&str, _> = latest.iter().map(|r| (r.sensor.as_str(), r)).collect();
    let seen = desk.mirror.read();
    let device = |s: &domain::site::Sensor| {
        let link = seen.state.sensors.get(&s.id);
        let reading = latest.get(s.id.as_str());
        Device {
            id: s.id.to_string(),
            kind: s.kind.name().to_owned(),
            name: (&s.name).into(),
            grid: s.place.grid.to_string(),
            building: s.place.building.as_ref().map(ToString::to_string),
            place: places::label(&site, &s.place).zh,
            online: link.map(|facts| facts.online),
            since: link.map(|facts| facts.since.0),
            value: reading.map(|r| r.value),
            unit: reading.and_then(|r| r.unit.clone()).unwrap_or_else(|| unit(s.kind)),
            at: reading.map(|r| r.at_ms),
        }
    };
    Ok(Json(site.sensors.iter().map(device).collect()))
}

/// A rule that turns too often: its turns are counted, and its alarm stays until it is quiet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chatter {
    /// Sensor.
    sensor: String,
    /// Rule.
    rule: String,
    /// Since when it is held, ms since 1970.
    since: i64,
    /// How often it turned.
    turns: u64,
}

/// Rules of devices that chatter now, by device; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices/chattering", tag = "devices",
    responses((status = 200, body = [Chatter]), Problem)
)]
pub(crate) async fn chattering(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Chatter>>, Problem> {
    may(&caller)?;
    let shown = |r: ledger::RuleState| {
        let (since, turns) = r.held?;
        Some(Chatter { sensor: r.sensor, rule: r.rule, since, turns })
    };
    Ok(Json(desk.telemetry.held_rules().await?.into_iter().filter_map(shown).collect()))
}

/// A device that reports and that the site does not have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stranger {
    /// The id that it gives itself.
    device: String,
    /// How it speaks: `mjw`, `zigbee2mqtt`, `tasmota` or `thingsboard`.
    format: String,
    /// First heard, ms since 1970.
    first: i64,
    /// Last heard, ms since 1970.
    last: i64,
    /// Messages so far, about.
    count: u64,
}

/// Devices that report and that the site does not have, the newest heard first, at most 500; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices/strangers", tag = "devices",
    responses((status = 200, body = [Stranger]), Problem)
)]
pub(crate) async fn strangers(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Stranger>>, Problem> {
    may(&caller)?;
    let (site, mut found) = (desk.site()?, desk.telemetry.strangers().await?);
    // One that was registered since is a stranger no longer.
    found.retain(|s| site.sensor(&s.device.as_str().into()).is_none());
    let shown = |s: ledger::Stranger| Stranger {
        device: s.device,
        format: s.format,
        first: s.first_ms,
        last: s.last_ms,
        count: s.count,
    };
    Ok(Json(found.into_iter().map(shown).collect()))
}

/// Which span.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    /// From, ms since 1970; a day ago without it.
    from: Option<i64>,
    /// Before, ms since 1970; now without it.
    until: Option<i64>,
    /// How fine. Without it single values up to 2 hours unless there are more than 5,000, minutes up to 2 days, hours
    /// beyond.
    resolution: Option<Resolution>,
}

/// How fine a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resolution {
    /// Single values; kept for `history_days`.
    Raw,
    /// Minutes; kept for `minutes_days`.
    Minute,
    /// Hours, made of minutes.
    Hour,
}

/// Values of a span, or one value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryPoint)]
pub(crate) struct Point {
    /// Begin of the minute or hour, or when the value was measured, ms since 1970.
    at: i64,
    /// Lowest.
    min: f64,
    /// Mean.
    mean: f64,
    /// Highest.
    max: f64,
    /// How many values.
    count: u64,
}

impl From<Rollup> for Point {
    fn from(r: Rollup) -> Self {
        Self { at: r.from_ms, min: r.min, mean: r.mean, max: r.max, count: r.count }
    }
}

impl From<Reading> for Point {
    fn from(r: Reading) -> Self {
        Self { at: r.at_ms, min: r.value, mean: r.value, max: r.value, count: 1 }
    }
}

/// What a device measured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    /// How fine it is.
    resolution: Resolution,
    /// From, ms since 1970.
    from: i64,
    /// Before, ms since 1970.
    until: i64,
    /// Unit of measure; empty for states.
    unit: String,
    /// Length of a point, ms; null = single values.
    step: Option<i64>,
    /// There are more than these points after the last one.
    more: bool,
    /// Oldest first, at most 5,000; a minute or hour without values is left out.
    points: Vec<Point>,
}

fn choose(asked: Option<Resolution>, length: i64) -> Resolution {
    let by_length = if length <= BY_VALUE_MS {
        Resolution::Raw
    } else if length <= BY_MINUTE_MS {
        Resolution::Minute
    } else {
        Resolution::Hour
    };
    asked.unwrap_or(by_length)
}

/// Values of a sensor with lowest, mean and highest, by value, minute or hour; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}/history", tag = "devices",
    params(("id" = String, Path, description = "Sensor"), Span),
    responses((status = 200, body = History), Problem)
)]
pub(crate) async fn history(
    State(desk): State<Desk>,
    caller: Caller,
    NameId(id): NameId,
    Asked(span): Asked<Span>,
) -> Result<Json<History>, Problem> {
    may(&caller)?;
    let kind = desk.site()?.sensor(&id.as_str().into()).map(|s| s.kind).ok_or(Refusal::new(Code::NoDevice))?;
    let until = span.until.unwrap_or(desk.clock.now_ms().saturating_add(1));
    let from = span.from.unwrap_or(until.saturating_sub(DAY_MS));
    let mut resolution = choose(span.resolution, until.saturating_sub(from));
    let mut points = points(&desk, &id, (from, until), resolution).await?;
    if points.len() > POINTS && span.resolution.is_none() && resolution == Resolution::Raw {
        resolution = Resolution::Minute;
        points = self::points(&desk, &id, (from, until), resolution).await?;
    }
    let more = points.len() > POINTS;
    points.truncate(POINTS);
    let unit = unit(kind);
    Ok(Json(History { resolution, from, until, unit, step: resolution.step(), more, points }))
}

impl Resolution {
    const fn step(self) -> Option<i64> {
        match self {
            Self::Raw => None,
            Self::Minute => Some(60_000),
            Self::Hour => Some(HOUR_MS),
        }
    }
}

/// One more than are shown, when there are.
async fn points(desk: &Desk, id: &str, span: (i64, i64), resolution: Resolution) -> Result<Vec<Point>, Problem> {
    let rollups = async |minutes| {
        let found = desk.telemetry.rollups(id, span.0, span.1, minutes, POINTS + 1).await?;
        Ok(found.into_iter().map(Into::into).collect())
    };
    match resolution {
        Resolution::Raw => {
            let found = desk.telemetry.history(id, span.0, span.1, POINTS + 1).await?;
            Ok(found.into_iter().map(Into::into).collect())
        }
        Resolution::Minute => rollups(1).await,
        Resolution::Hour => rollups(60).await,
    }
}
