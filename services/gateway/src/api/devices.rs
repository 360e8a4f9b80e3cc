//! Sensors with their latest values.

use std::collections::HashMap;

use axum::{Json, extract::State};
use domain::{
    access::Audience,
    refusal::{Code, Refusal},
    site::SensorKind,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{shapes::Name, site::sensor_kind};
use crate::{
    body::{Asked, NameId},
    desk::Desk,
    places,
    problem::{Problem, ProblemBody},
    session::Caller,
};

/// History shown unless asked otherwise, ms.
const DAY_MS: i64 = 86_400_000;
/// Values of one history.
const VALUES: usize = 5_000;

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

const fn measure(kind: SensorKind) -> &'static str {
    match kind {
        SensorKind::Smoke => "dB/m",
        SensorKind::Gas => "%LEL",
        SensorKind::ElectricalFire => "mA",
        SensorKind::HydrantPressure => "MPa",
        SensorKind::Manhole => "°",
        SensorKind::WaterLevel => "m",
        SensorKind::EbikeCharging => "A",
        SensorKind::CallPoint | SensorKind::Lift | SensorKind::Sos | SensorKind::FireLane => "",
    }
}

fn may(caller: &Caller) -> Result<(), Problem> {
    let seen = matches!(caller.audience, Audience::Centre | Audience::Wall);
    if seen { Ok(()) } else { Err(Code::Forbidden.into()) }
}

/// All sensors with their latest values; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices", tag = "devices",
    responses((status = 200, body = [Device]), (status = "4XX", body = ProblemBody), (status = "5XX", body = ProblemBody))
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
            kind: sensor_kind(s.kind).to_owned(),
            name: (&s.name).into(),
            grid: s.place.grid.to_string(),
            building: s.place.building.as_ref().map(ToString::to_string),
            place: places::label(&site, &s.place).zh,
            online: link.map(|(online, _)| *online),
            since: link.map(|(_, since)| since.0),
            value: reading.map(|r| r.value),
            unit: reading.and_then(|r| r.unit.clone()).unwrap_or_else(|| measure(s.kind).to_owned()),
            at: reading.map(|r| r.at_ms),
        }
    };
    Ok(Json(site.sensors.iter().map(device).collect()))
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
    responses((status = 200, body = [Stranger]), (status = "4XX", body = ProblemBody), (status = "5XX", body = ProblemBody))
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
}

/// A measured value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Value {
    /// When, ms since 1970.
    at: i64,
    /// Value.
    value: f64,
}

/// Values of a sensor, oldest first, at most 5,000.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}/history", tag = "devices",
    params(("id" = String, Path, description = "Sensor"), Span),
    responses((status = 200, body = [Value]), (status = "4XX", body = ProblemBody), (status = "5XX", body = ProblemBody))
)]
pub(crate) async fn history(
    State(desk): State<Desk>,
    caller: Caller,
    NameId(id): NameId,
    Asked(span): Asked<Span>,
) -> Result<Json<Vec<Value>>, Problem> {
    may(&caller)?;
    if desk.site()?.sensor(&id.as_str().into()).is_none() {
        return Err(Refusal::new(Code::NoDevice).into());
    }
    let until = span.until.unwrap_or(desk.clock.now_ms().saturating_add(1));
    let from = span.from.unwrap_or(until.saturating_sub(DAY_MS));
    let readings = desk.telemetry.history(&id, from, until, VALUES).await?;
    Ok(Json(readings.into_iter().map(|r| Value { at: r.at_ms, value: r.value }).collect()))
}
