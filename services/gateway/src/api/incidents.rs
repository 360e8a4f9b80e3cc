//! Lists, single incidents and their timelines.

use axum::{Json, extract::State};
use domain::{
    access::{Audience, Sight},
    event::Key,
    ids::{AlarmId, IncidentId},
};
use ledger::{DocumentRow, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{feed::state::Kind, view};

use super::shapes::{Incident, Show, TimelineEntry};
use crate::{
    GatewayError,
    body::{Asked, Id},
    desk::Desk,
    mirror::{Fetched, read_event, stream},
    problem::Problem,
    session::Caller,
    texts::Values,
};

/// Rows of a page unless asked otherwise, and at most.
const PAGE: (usize, usize) = (50, 200);
/// Rows looked at for one page when words or scope filter it.
const SCAN: usize = 2_000;
/// Events of one timeline.
const TIMELINE: usize = 1_000;

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Ledger(error) => error.into(),
            GatewayError::Stored { source, .. } => source.into(),
            other => {
                tracing::error!(error = %other, "request failed");
                Self::fault()
            }
        }
    }
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// Not ended.
    Open,
    /// Ended.
    Ended,
}

/// Which incidents.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Open or ended; both without it.
    #[param(inline)]
    state: Option<Which>,
    /// Stage.
    stage: Option<String>,
    /// A unit that has or had a task.
    unit: Option<String>,
    /// Grid.
    grid: Option<String>,
    /// Words: number, case code, class or place.
    q: Option<String>,
    /// Only numbers below this one: `next` of the page before.
    before: Option<u64>,
    /// Rows, at most 200.
    limit: Option<usize>,
}

/// A page of incidents, newest number first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Incidents {
    /// The page.
    items: Vec<Incident>,
    /// Ask with `before` = this for more; null = there are no more.
    next: Option<u64>,
}

/// Incidents, newest first.
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "incidents", params(Filter),
    responses((status = 200, body = Incidents), Problem)
)]
pub(crate) async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Incidents>, Problem> {
    let limit = filter.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
    let unit = match &caller.audience {
        Audience::Unit(unit) => Some(unit.to_string()),
        _ => filter.unit.clone(),
    };
    let mut query = Query {
        kind: "incident".to_owned(),
        open: filter.state.map(|s| s == Which::Open),
        stage: filter.stage.clone(),
        unit,
        grid: filter.grid.clone(),
        before: filter.before.map(|b| b.to_string()),
        limit: PAGE.1,
        ..Query::default()
    };
    let words = filter.q.as_deref().map(str::trim).filter(|q| !q.is_empty()).map(str::to_lowercase);
    let (mut items, mut scanned) = (Vec::new(), 0);
    loop {
        let rows = desk.store.documents(&query).await?;
        for row in &rows {
            scanned += 1;
            let Some(incident) = incident(&desk, &caller, row).await? else { continue };
            if words.as_deref().is_none_or(|w| says(&desk, &incident, w)) {
                items.push(incident);
            }
            if items.len() == limit || scanned == SCAN {
                let next = row.id.parse().ok();
                return Ok(Json(Incidents { items, next }));
            }
        }
        if rows.len() < query.limit {
            return Ok(Json(Incidents { items, next: None }));
        }
        query.before = rows.last().map(|r| r.id.clone());
    }
}

async fn incident(desk: &Desk, caller: &Caller, row: &DocumentRow) -> Result<Option<Incident>, Problem> {
    let Ok(id) = row.id.parse().map(IncidentId) else { return Ok(None) };
    let shown = desk.mirror.view_row(&caller.audience, &Key::Incident(id), row).await?;
    Ok(shown.and_then(|s| s.kind).and_then(|kind| match kind {
        Kind::Incident(incident) => Some(incident.show()),
        _ => None,
    }))
}

/// Whether the words stand in what the caller sees of it.
fn says(desk: &Desk, incident: &Incident, words: &str) -> bool {
    let class = desk.mirror.site().and_then(|s| s.class(&incident.class.as_str().into()).map(|c| c.name.zh.clone()));
    let place = incident.place.as_ref().map(|p| format!("{} {}", p.label_zh, p.label_en));
    let text = incident.text.as_ref().map(|t| t.value.clone());
    let heads = [Some(incident.id.to_string()), Some(incident.code.clone()), Some(incident.class.clone())];
    heads.into_iter().chain([class, place, text]).flatten().any(|t| t.to_lowercase().contains(words))
}

/// One incident.
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}", tag = "incidents", params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, body = Incident), Problem)
)]
pub(crate) async fn one(State(desk): State<Desk>, caller: Caller, Id(id): Id) -> Result<Json<Incident>, Problem> {
    let shown = desk.mirror.view(&caller.audience, &Key::Incident(IncidentId(id))).await?;
    match shown.and_then(|s| s.kind) {
        Some(Kind::Incident(incident)) => Ok(Json(incident.show())),
        _ => Err(domain::refusal::Code::NoIncident.into()),
    }
}

/// What happened to an incident, its alarms and the incidents that were merged into it, oldest first; at most the first
/// thousand of each.
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}/timeline", tag = "incidents",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, body = [TimelineEntry]), Problem)
)]
pub(crate) async fn timeline(
    State(desk): State<Desk>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Vec<TimelineEntry>>, Problem> {
    let key = Key::Incident(IncidentId(id));
    let shown = desk.mirror.view(&caller.audience, &key).await?;
    let Some(Kind::Incident(incident)) = shown.and_then(|s| s.kind) else {
        return Err(domain::refusal::Code::NoIncident.into());
    };
    let sight = desk.mirror.sight(&caller.audience, &key).await?;
    let mut lines = events(&desk, &key, sight).await?;
    let alarms = incident.alarms.iter().map(|id| Key::Alarm(AlarmId(*id)));
    let absorbed = incident.absorbed.iter().map(|id| Key::Incident(IncidentId(*id)));
    for key in alarms.chain(absorbed) {
        // Whoever handles the incident sees how it began, as far as that is shown to them.
        let sight = desk.mirror.sight(&caller.audience, &key).await?;
        if sight != Sight::Hidden {
            lines.extend(events(&desk, &key, sight).await?);
        }
    }
    lines.sort_by_key(|l| l.seq);
    Ok(Json(lines))
}

/// The events of one aggregate.
async fn events(desk: &Desk, key: &Key, sight: Sight) -> Result<Vec<TimelineEntry>, Problem> {
    let stored = desk.store.stream_tail(&stream(key), 0, TIMELINE).await?;
    let mut events = Vec::with_capacity(stored.len());
    for row in &stored {
        events.push((row.seq, read_event(row)?));
    }
    let mut values = Values::new();
    let refs: Vec<_> = {
        let seen = desk.mirror.read();
        events.iter().flat_map(|(_, e)| view::refs_of_event(&seen.state, e)).collect()
    };
    desk.mirror.texts.open(&refs, &mut values).await?;
    let seen = desk.mirror.read();
    let line = |(seq, event): &(u64, domain::event::Event)| {
        view::event(&seen.state, *seq, event, sight, &Fetched(&values)).show()
    };
    Ok(events.iter().map(line).collect())
}
