//! Departments, messages, patrols, the roster and the figures of the wall.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use domain::{
    access::{Audience, Sight, sees},
    event::{Key, Mode},
    incident::{ClockLight, Incident, Stage},
    refusal::Code,
    site::UnitKind,
    task::TaskState,
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;
use wire::{feed::state::Kind, view};

use super::shapes::{Holder, Message, Name, Patrol, Show};
use crate::{
    body::Given,
    desk::Desk,
    mirror::Seen,
    preview::{Preview, PreviewRefused, Previewed, RecordSource},
    problem::Problem,
    session::Caller,
    texts::Values,
};

/// Rows of one list.
const ROWS: usize = 200;
/// Asia/Shanghai is UTC+8 all the year.
const SHANGHAI_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

fn may(desk: &Desk, caller: &Caller, key: &Key) -> Result<(), Problem> {
    let sight = sees(&caller.audience, &desk.mirror.read().state, key);
    if sight == Sight::Hidden { Err(Code::Forbidden.into()) } else { Ok(()) }
}

/// Views of aggregates as the caller may see them.
async fn views(desk: &Desk, caller: &Caller, keys: impl Fn(&Seen) -> Vec<Key>) -> Result<Vec<Kind>, Problem> {
    let refs = |seen: &Seen| keys(seen).iter().flat_map(|k| view::refs_of_state(&seen.state, k)).collect();
    let make = |seen: &Seen, values: &Values| -> Vec<Kind> {
        keys(seen).iter().filter_map(|k| seen.view(&caller.audience, k, values)?.kind).collect()
    };
    Ok(desk.mirror.with(refs, make).await?)
}

/// A department with the freshness of its data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Department {
    /// Unit.
    id: String,
    /// Name.
    name: Name,
    /// `unknown`, `green`, `yellow` or `red`.
    light: String,
    /// Newest record or call, ms since 1970.
    last: Option<i64>,
    /// Since when the light is so.
    since: Option<i64>,
    /// Live tasks.
    live: usize,
    /// Deliveries to its system that wait.
    waiting: u64,
    /// How its system is connected; null = it is not, and its people use our pages.
    connector: Option<Connector>,
}

/// How a department's system is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Connector {
    /// Tasks are pushed to it.
    push: bool,
    /// Records are fetched this often, seconds; null = it sends them.
    pull_every_s: Option<u32>,
    /// Kinds of records that are kept.
    records: Vec<String>,
    /// Last call from it or answer of it, ms since 1970.
    heard: Option<i64>,
    /// Calls to it that failed since then.
    failures: u32,
    /// Since when it refuses our credentials, ms since 1970; null = it does not.
    denied: Option<i64>,
    /// Where its records come from, and what became of them.
    sources: Vec<RecordSource>,
}

impl From<&crate::Connector> for Connector {
    fn from(c: &crate::Connector) -> Self {
        let (push, pull_every_s, records) = (c.push, c.pull_every_s, c.records.clone());
        let (denied, sources) = (c.denied_ms, c.sources.clone());
        Self { push, pull_every_s, records, heard: c.heard_ms, failures: c.failures, denied, sources }
    }
}

/// Departments with their lights and how they are connected; for the centre.
#[utoipa::path(
    get, path = "/api/v1/departments", tag = "centre",
    responses((status = 200, body = [Department]), Problem)
)]
pub(crate) async fn departments(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Department>>, Problem> {
    may(&desk, &caller, &Key::Light("".into()))?;
    let site = desk.site()?;
    let waiting: BTreeMap<_, _> = desk.store.outbox_by_target().await?.into_iter().collect();
    let connectors = desk.connectors.connectors();
    let seen = desk.mirror.read();
    let departments = site.units.iter().filter(|u| u.kind == UnitKind::Department);
    let shown = departments.map(|u| {
        let light = seen.state.lights.get(&u.id);
        Department {
            id: u.id.to_string(),
            name: (&u.name).into(),
            light: light.map_or("unknown", |l| l.light.name()).to_owned(),
            last: light.and_then(|l| l.last).map(|t| t.0),
            since: light.map(|l| l.since.0),
            live: seen.state.load(&u.id),
            waiting: waiting.get(u.id.as_str()).copied().unwrap_or(0),
            connector: connectors.iter().find(|c| c.unit == u.id).map(Into::into),
        }
    });
    Ok(Json(shown.collect()))
}

/// Tries the mapping of a department's records on a sample 映射预览: typed records, and what would be set aside with its
/// reason; keeps nothing. For shift chiefs.
#[utoipa::path(
    post, path = "/api/v1/departments/preview", tag = "centre", request_body = Preview,
    responses((status = 200, body = Previewed), Problem)
)]
pub(crate) async fn preview(State(desk): State<Desk>, given: Given<Preview>) -> Result<Json<Previewed>, Problem> {
    let tried = desk.connectors.preview(given.value).await;
    tried.map(Json).map_err(|refused| match refused {
        PreviewRefused::Field(field) => Problem::bad_field().field(field),
        PreviewRefused::Unavailable => Problem::busy(),
    })
}

/// The newest messages, at most 200; for the centre.
#[utoipa::path(
    get, path = "/api/v1/messages", tag = "centre",
    responses((status = 200, body = [Message]), Problem)
)]
pub(crate) async fn messages(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Message>>, Problem> {
    may(&desk, &caller, &Key::Message(domain::ids::MessageId(0)))?;
    let keys = |seen: &Seen| seen.state.messages.keys().rev().take(ROWS).copied().map(Key::Message).collect();
    let kinds = views(&desk, &caller, keys).await?;
    let messages = kinds.into_iter().filter_map(|k| if let Kind::Message(m) = k { Some(m.show()) } else { None });
    Ok(Json(messages.collect()))
}

/// The newest patrols, at most 200; for the centre.
#[utoipa::path(
    get, path = "/api/v1/patrols", tag = "centre",
    responses((status = 200, body = [Patrol]), Problem)
)]
pub(crate) async fn patrols(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Patrol>>, Problem> {
    may(&desk, &caller, &Key::Patrol(domain::ids::PatrolId(0)))?;
    let keys = |seen: &Seen| seen.state.patrols.keys().rev().take(ROWS).copied().map(Key::Patrol).collect();
    let kinds = views(&desk, &caller, keys).await?;
    let patrols = kinds.into_iter().filter_map(|k| if let Kind::Patrol(p) = k { Some(p.show()) } else { None });
    Ok(Json(patrols.collect()))
}

/// The roster.
#[utoipa::path(
    get, path = "/api/v1/duty", tag = "centre",
    responses((status = 200, body = [Holder]), Problem)
)]
pub(crate) async fn duty(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Holder>>, Problem> {
    may(&desk, &caller, &Key::Duty)?;
    let kinds = views(&desk, &caller, |_| vec![Key::Duty]).await?;
    let holders = kinds.into_iter().flat_map(|k| if let Kind::Duty(d) = k { d.holders } else { Vec::new() });
    Ok(Json(holders.map(Show::show).collect()))
}

/// The figures of the wall's header. Exercises and tests are left out.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// 未办结.
    open: usize,
    /// 超时: open ones with a clock over its limit.
    overdue: usize,
    /// 今日已办, by the date of Asia/Shanghai.
    closed_today: usize,
    /// Cameras online; null = none was heard of yet.
    cameras_online: Option<usize>,
    /// All cameras.
    cameras: usize,
    /// 待签收: tasks pushed and not yet acknowledged.
    waiting: usize,
    /// The longest wait of them, ms.
    longest_wait: i64,
    /// When this was so, ms since 1970.
    at: i64,
}

fn figures_of(seen: &Seen, now: Timestamp) -> Figures {
    let site = seen.state.site.as_deref();
    let real = || seen.state.incidents.values().filter(|i| i.mode == Mode::Real);
    let overdue = |i: &&Incident| {
        let limits = site.and_then(|s| s.class(&i.class)).map(|c| c.limits);
        let red = |c: &domain::incident::Clock| c.ended.is_none() && c.light(now) == ClockLight::Red;
        limits.is_some_and(|l| i.clocks(&l).iter().any(red))
    };
    let midnight = (now.0 + SHANGHAI_MS).div_euclid(DAY_MS) * DAY_MS - SHANGHAI_MS;
    let today = |i: &&Incident| i.stage == Stage::Closed && i.times.ended.is_some_and(|t| t.0 >= midnight);
    let waits: Vec<i64> = (real().filter(|i| i.open()).flat_map(|i| &i.tasks))
        .filter(|t| matches!(t.state, TaskState::Pushed | TaskState::Delivered))
        .map(|t| now.0 - t.times.pushed.0)
        .collect();
    let cameras = &seen.state.cameras;
    Figures {
        open: real().filter(|i| i.open()).count(),
        overdue: real().filter(|i| i.open()).filter(overdue).count(),
        closed_today: real().filter(today).count(),
        cameras_online: (!cameras.is_empty()).then(|| cameras.values().filter(|c| c.state == "online").count()),
        cameras: site.map_or(0, |s| s.cameras.len()),
        waiting: waits.len(),
        longest_wait: waits.into_iter().max().unwrap_or(0),
        at: now.0,
    }
}

/// The figures of the wall's header; for the centre.
#[utoipa::path(
    get, path = "/api/v1/figures", tag = "centre",
    responses((status = 200, body = Figures), Problem)
)]
pub(crate) async fn figures(State(desk): State<Desk>, caller: Caller) -> Result<Json<Figures>, Problem> {
    if !matches!(caller.audience, Audience::Centre | Audience::Wall) {
        return Err(Code::Forbidden.into());
    }
    Ok(Json(figures_of(&desk.mirror.read(), Timestamp(desk.clock.now_ms()))))
}
