//! Alarms.

use axum::{Json, extract::State};
use domain::{event::Key, ids::AlarmId};
use ledger::Query;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::feed::state::Kind;

use super::{
    incidents::Which,
    shapes::{Alarm, Show},
};
use crate::{
    body::Asked,
    desk::Desk,
    problem::{Problem, ProblemBody},
    session::Caller,
};

/// Which alarms.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Open or ended; both without it.
    #[param(inline)]
    state: Option<Which>,
    /// Only ids below this one: `next` of the page before.
    before: Option<u64>,
    /// Rows, at most 200.
    limit: Option<usize>,
}

/// A page of alarms, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alarms {
    /// The page.
    items: Vec<Alarm>,
    /// Ask with `before` = this for more; null = there are no more.
    next: Option<u64>,
}

/// Alarms, newest first. A page may hold fewer than asked where some are not the caller's to see.
#[utoipa::path(
    get, path = "/api/v1/alarms", tag = "alarms", params(Filter),
    responses((status = 200, body = Alarms), (status = "4XX", body = ProblemBody), (status = "5XX", body = ProblemBody))
)]
pub(crate) async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Alarms>, Problem> {
    let query = Query {
        kind: "alarm".to_owned(),
        open: filter.state.map(|s| s == Which::Open),
        before: filter.before.map(|b| b.to_string()),
        limit: filter.limit.unwrap_or(50).clamp(1, 200),
        ..Query::default()
    };
    let rows = desk.store.documents(&query).await?;
    let mut items = Vec::new();
    for row in &rows {
        let Ok(id) = row.id.parse().map(AlarmId) else { continue };
        let shown = desk.mirror.view_row(&caller.audience, &Key::Alarm(id), row).await?;
        if let Some(Kind::Alarm(alarm)) = shown.and_then(|s| s.kind) {
            items.push(alarm.show());
        }
    }
    let more = rows.len() == query.limit;
    let next = rows.last().filter(|_| more).and_then(|r| r.id.parse().ok());
    Ok(Json(Alarms { items, next }))
}
