//! Tasks of a unit, and the load of all units.

use axum::{Json, extract::State};
use domain::{
    access::{Audience, Sight, sees_incident},
    event::Key,
    ids::UnitId,
    refusal::Code,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{feed::state::Kind, view};

use super::shapes::{By, Incident, LevelName, ModeName, Name, Place, Show, Task, Text};
use crate::{body::Asked, desk::Desk, mirror::Seen, problem::Problem, session::Caller, texts::Values};

/// Whose tasks.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// The centre may ask for any unit; others always get their own.
    unit: Option<String>,
}

/// A task with what its unit needs to know of the incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnitTask {
    /// The task.
    task: Task,
    /// Number of the incident.
    incident: u64,
    /// Class.
    class: String,
    /// Priority.
    level: LevelName,
    /// For real or not.
    mode: ModeName,
    /// Stage.
    stage: String,
    /// Where.
    place: Option<Place>,
    /// What was said.
    text: Option<Text>,
    /// Who took it first.
    first_owner: Option<By>,
    /// Reported, ms since 1970.
    reported: i64,
}

/// Tasks of the caller's unit, of incidents in memory; newest first.
#[utoipa::path(
    get, path = "/api/v1/tasks", tag = "tasks", params(Filter),
    responses((status = 200, body = [UnitTask]), Problem)
)]
pub(crate) async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Vec<UnitTask>>, Problem> {
    let unit: UnitId = match (&caller.audience, filter.unit) {
        (Audience::Unit(unit) | Audience::Grid(_, unit), _) => unit.clone(),
        (_, Some(unit)) => unit.into(),
        (_, None) => return Err(Problem::bad_query().field("unit")),
    };
    let keys = |seen: &Seen| -> Vec<Key> {
        let visible = seen
            .state
            .incidents
            .values()
            .rev()
            .filter(|i| i.units().any(|u| u == &unit) && sees_incident(&caller.audience, i) != Sight::Hidden);
        visible.take(500).map(|i| Key::Incident(i.id)).collect()
    };
    let refs = |seen: &Seen| keys(seen).iter().flat_map(|k| view::refs_of_state(&seen.state, k)).collect();
    let make = |seen: &Seen, values: &Values| -> Vec<Incident> {
        let states = keys(seen);
        let states = states.iter().filter_map(|k| seen.view(&caller.audience, k, values)?.kind);
        states.filter_map(|kind| if let Kind::Incident(i) = kind { Some(i.show()) } else { None }).collect()
    };
    let incidents = desk.mirror.with(refs, make).await?;
    Ok(Json(incidents.into_iter().flat_map(|i| of_unit(i, &unit)).collect()))
}

fn of_unit(incident: Incident, unit: &UnitId) -> Vec<UnitTask> {
    let own = incident.tasks.iter().filter(|t| t.unit == unit.as_str()).cloned();
    own.map(|task| UnitTask {
        task,
        incident: incident.id,
        class: incident.class.clone(),
        level: incident.level,
        mode: incident.mode,
        stage: incident.stage.clone(),
        place: incident.place.clone(),
        text: incident.text.clone(),
        first_owner: incident.first_owner.clone(),
        reported: incident.reported,
    })
    .collect()
}

/// A unit with its load.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnitLoad {
    /// Id.
    id: String,
    /// `department`, `firm` or `grid`.
    kind: String,
    /// Name.
    name: Name,
    /// Live tasks.
    live: usize,
    /// Tasks that it can carry at once.
    capacity: u16,
}

/// Units with their live tasks; for the centre.
#[utoipa::path(
    get, path = "/api/v1/units", tag = "tasks",
    responses((status = 200, body = [UnitLoad]), Problem)
)]
pub(crate) async fn units(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<UnitLoad>>, Problem> {
    if !matches!(caller.audience, Audience::Centre | Audience::Wall) {
        return Err(Code::Forbidden.into());
    }
    let site = desk.site()?;
    let seen = desk.mirror.read();
    let load = |u: &domain::site::Unit| UnitLoad {
        id: u.id.to_string(),
        kind: u.kind.name().to_owned(),
        name: (&u.name).into(),
        live: seen.state.load(&u.id),
        capacity: u.capacity,
    };
    Ok(Json(site.units.iter().map(load).collect()))
}
