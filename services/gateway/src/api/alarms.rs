//! Alarms.

use axum::{Json, extract::State};
use domain::{
    access::{Sight, sees_alarm},
    alarm::Alarm as Alert,
    event::{Key, Mode},
    ids::AlarmId,
};
use ledger::Query;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::feed::state::Kind;

use super::{
    incidents::Which,
    shapes::{Alarm, Show},
};
use crate::{body::Asked, desk::Desk, problem::Problem, session::Caller};

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
    /// More real alarms come than a person can take in, of those that the caller may see: begins with 10 in 10 minutes, ends
    /// below 5. Screens then group them, reds apart.
    flood: bool,
    /// Real alarms raised in the last 10 minutes, of those that the caller may see.
    recent: usize,
}

/// A flood is told by the alarms of this long, ms; it begins with this many of them and ends below that many.
const FLOOD_MS: i64 = 600_000;
const FLOOD_BEGINS: usize = 10;
const FLOOD_ENDS_BELOW: usize = 5;

/// Whether it floods at `now`, and how many were raised in the window before, by when each alarm was raised.
fn flood(raised: impl Iterator<Item = i64>, now: i64) -> (bool, usize) {
    let mut raised: Vec<i64> = raised.filter(|at| *at <= now).collect();
    raised.sort_unstable();
    // How many stand in the window changes when one comes and when it is old.
    let mut turns: Vec<(i64, bool)> = raised.iter().flat_map(|at| [(*at, true), (at + FLOOD_MS, false)]).collect();
    turns.sort_unstable();
    let (mut floods, mut recent) = (false, 0_usize);
    for (_, comes) in turns.into_iter().take_while(|(at, _)| *at <= now) {
        recent = if comes { recent + 1 } else { recent.saturating_sub(1) };
        floods = if floods { recent >= FLOOD_ENDS_BELOW } else { recent >= FLOOD_BEGINS };
    }
    (floods, recent)
}

/// Alarms, newest first. A page may hold fewer than asked where some are not the caller's to see.
#[utoipa::path(
    get, path = "/api/v1/alarms", tag = "alarms", params(Filter),
    responses((status = 200, body = Alarms), Problem)
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
    let now = desk.clock.now_ms();
    let (flood, recent) = {
        let seen = desk.mirror.read();
        let counted = |a: &&Alert| a.mode == Mode::Real && sees_alarm(&caller.audience, a) != Sight::Hidden;
        flood(seen.state.alarms.values().filter(counted).map(|a| a.raised.0), now)
    };
    Ok(Json(Alarms { items, next, flood, recent }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_begins_with_ten_and_ends_below_five() {
        const MINUTE: i64 = 60_000;
        // Given ten alarms, one a minute.
        let at = |now: i64| flood((1..=10).map(|n| n * MINUTE), now);
        assert_eq!(at(9 * MINUTE), (false, 9));
        assert_eq!(at(10 * MINUTE), (true, 10));
        assert_eq!(at(15 * MINUTE + 1), (true, 5), "the window moves on");
        assert_eq!(at(16 * MINUTE), (false, 4));
        assert_eq!(at(60 * MINUTE), (false, 0));
        assert_eq!(flood([5, 5, 5, 5, 5, 5, 5, 5, 5, 5].into_iter(), 5), (true, 10));
        assert_eq!(flood(std::iter::empty(), 5), (false, 0));
    }
}
