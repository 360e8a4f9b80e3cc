//! Signed calls in: `POST /{department}/inbound` and `POST /sms/inbound`. The order of checks: the department, the size,
//! the signature and its time, the key, the body. A call is answered when its outcome is durable, and one that is refused
//! is kept for a person to look at.

mod body;
pub(crate) mod message;
mod texts;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::HeaderMap,
    routing::post,
};
use bytes::Bytes;
use domain::{
    event::Mode,
    gazetteer::{self, Reading},
    ids::UnitId,
    input::{Actor, Command, Input, Observation},
    site::Level,
    task::Receipt,
};
use link::intake::{Done, Submission};
use runtime::telemetry::names;
use serde_json::{Value, json};

use crate::{
    Shared,
    config::{Connector, Secret},
    guard,
    problem::Problem,
    records,
    sign::{self, KEY},
    tally,
};
use body::{Report, Rows, Step, Update, What};
use message::Incoming;

/// Largest body, bytes.
const BODY: usize = 64 * 1024;
/// Longest key: leaves room for what is added to it.
const MAX_KEY: usize = 100;
/// Events about unreadable calls of one source in a minute; further ones only count.
const UNREADABLE_A_MINUTE: u32 = 4;

/// At most a few events about one source in a minute.
#[derive(Debug, Default)]
pub(crate) struct Limiter(BTreeMap<String, (i64, u32)>);

impl Limiter {
    fn allow(&mut self, source: &str, now: i64) -> bool {
        // Sources are the connected departments and `sms`, so this stays small.
        let (since, count) = self.0.entry(source.to_owned()).or_insert((now, 0));
        if now.saturating_sub(*since) >= 60_000 {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= UNREADABLE_A_MINUTE
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/sms/inbound", post(sms)).route("/{department}/inbound", post(department)).with_state(shared)
}

type Answer = Result<Json<Value>, Problem>;

async fn department(
    State(shared): State<Arc<Shared>>,
    Path(unit): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let connector = shared.connectors.get(&unit).ok_or_else(Problem::no_department)?;
    let answer = async {
        let body = read(&shared, &unit, &headers, body, &connector.secret, connector.window_s).await?;
        shared.heard(&unit);
        let answer = async {
            let key = key(&headers)?;
            match body::department(&body)? {
                What::Update(update) => step(&shared, connector, key, &body, update).await,
                What::Report(found) => report(&shared, connector, key, &body, found).await,
                What::Records(rows) => keep(&shared, connector, &rows),
            }
        };
        let answer = answer.await;
        if let Err(problem) = &answer {
            refused(&shared, &unit, problem, &body).await;
        }
        answer
    };
    count("department", answer.await)
}

async fn sms(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Answer {
    let config = shared.config.sms.as_ref().ok_or_else(Problem::no_department)?;
    let answer = async {
        let body = read(&shared, "sms", &headers, body, &config.secret, config.window_s).await?;
        let answer = match message::read(&body) {
            Ok(Incoming::Text(message)) => texts::take(&shared, message).await,
            Ok(Incoming::Report(report)) => texts::reported(&shared, report).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &answer {
            refused(&shared, "sms", problem, &body).await;
        }
        answer
    };
    count("sms", answer.await)
}

/// A call that is refused is shown in the inbox with its sender, the reason and its own words, for a person to place or
/// to ask about. What cannot be read is a fault of the connection besides. A step that comes too late is no loss: the unit
/// is told, and its task shows how far it is.
async fn refused(shared: &Shared, source: &str, problem: &Problem, body: &[u8]) {
    if matches!(problem.code, "malformed" | "field_invalid") {
        unreadable(shared, source, problem, body.len()).await;
    }
    let lost = matches!(problem.status.as_u16(), 400 | 401 | 422) && problem.code != "too_large";
    if !lost || !guard(&shared.unreadable).allow(&format!("inbox/{source}"), shared.clock.now_ms()) {
        return;
    }
    let name = shared.site.unit(&source.into()).map_or(source, |u| u.name.zh.as_str()).to_owned();
    let words = message::clean(&format!("【{name}，未采用：{}】{}", problem.zh(), message::decode(body)));
    let observation = Observation::MessageIn { from: name, person: None, text: words, place: None };
    let input = Input::Observe { mode: Mode::Real, observation };
    if let Err(error) = shared.intake.submit(Submission::keyless(input)).await {
        tracing::debug!(%error, "a refused call was not kept");
    }
}

/// Gives out texts whose missing parts do not come.
pub(crate) async fn run(shared: &Shared) {
    let mut look = tokio::time::interval(std::time::Duration::from_secs(5));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let overdue = guard(&shared.parts).overdue(shared.clock.now_ms());
        for (group, text) in overdue {
            if let Err(problem) = texts::together(shared, &group, text).await {
                // Its parts are in the inbox, one by one.
                tracing::warn!(code = problem.code, "a text with missing parts was not joined");
            }
        }
    }
}

fn count(source: &'static str, answer: Answer) -> Answer {
    let outcome = answer.as_ref().map_or_else(|problem| problem.code, |_| "ok");
    metrics::counter!(names::EXCHANGE_CALLS, "direction" => "in", "source" => source, "outcome" => outcome)
        .increment(1);
    answer
}

/// The body, within its bound and signed.
async fn read(
    shared: &Shared,
    source: &str,
    headers: &HeaderMap,
    body: Body,
    secret: &Secret,
    window_s: u32,
) -> Result<Bytes, Problem> {
    let declared = headers.get("content-length").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if declared.is_some_and(|n| n > BODY) {
        return Err(Problem::too_large());
    }
    let body = to_bytes(body, BODY).await.map_err(|error| {
        // axum wraps the limit's error; anything else is a caller that went away.
        let limit = std::error::Error::source(&error).is_some_and(|e| e.to_string().contains("limit"));
        if limit { Problem::too_large() } else { Problem::interrupted() }
    })?;
    let signed = sign::verify(secret, headers, &body, shared.clock.now_ms().div_euclid(1_000), window_s);
    if let Err(unsigned) = signed {
        let problem = unsigned.into();
        refused(shared, source, &problem, &body).await;
        return Err(problem);
    }
    Ok(body)
}

fn key(headers: &HeaderMap) -> Result<&str, Problem> {
    let key = headers.get(KEY).and_then(|v| v.to_str().ok());
    key.filter(|k| (1..=MAX_KEY).contains(&k.len())).ok_or_else(Problem::key_missing)
}

/// A signed call that cannot be read is a fault of the connection that somebody should see.
async fn unreadable(shared: &Shared, source: &str, problem: &Problem, size: usize) {
    if !guard(&shared.unreadable).allow(source, shared.clock.now_ms()) {
        return;
    }
    let (source, why, size) = (source.to_owned(), problem.code.to_owned(), size as u64);
    let input = Input::Observe { mode: Mode::Real, observation: Observation::Unreadable { source, why, size } };
    // The caller is told in any case; when nothing can be stored this is the lesser loss.
    if let Err(error) = shared.intake.submit(Submission::keyless(input)).await {
        tracing::debug!(%error, "an unreadable call was not recorded");
    }
}

fn told(done: &Done) -> Value {
    let refs = &done.refs;
    json!({
        "ok": true,
        "replayed": done.replayed,
        "incident": refs.incident.map(|i| i.0),
        "alarm": refs.alarm.map(|a| a.0),
        "message": refs.message.map(|m| m.0),
        "code": refs.code,
    })
}

async fn step(shared: &Shared, connector: &Connector, key: &str, body: &Bytes, update: Update) -> Answer {
    let scope = format!("unit/{}", connector.unit);
    let actor = Actor::Unit(UnitId::new(&connector.unit));
    let Update { task, step, mode, text, external } = update;
    if external.is_some() {
        let command = Command::Deliver { task, receipt: Receipt::Http, external };
        let input = Input::Command { actor: actor.clone(), mode, happened: None, command };
        shared.intake.submit(Submission::keyed(&*scope, format!("{key}/number"), body.to_vec(), input)).await?;
    }
    let command = match step {
        Step::Acknowledge => Command::Acknowledge(task),
        Step::EnRoute => Command::EnRoute(task),
        Step::OnScene => Command::OnScene(task),
        Step::Feedback(result) => Command::Feedback { task, result, text, photos: Vec::new() },
        Step::Decline => Command::Decline { task, reason: text.unwrap_or_default() },
    };
    let input = Input::Command { actor, mode, happened: None, command };
    let done = shared.intake.submit(Submission::keyed(scope, key, body.to_vec(), input)).await?;
    Ok(Json(told(&done)))
}

async fn report(shared: &Shared, connector: &Connector, key: &str, body: &Bytes, report: Report) -> Answer {
    let class = shared.site.class(&report.class).ok_or_else(|| Problem::field("class"))?;
    let place = match gazetteer::read(&shared.site, &report.place_text) {
        Reading::At(place) => place,
        // What is urgent rings without a place.
        Reading::Unclear(near) if class.level == Level::Red => {
            gazetteer::around(&near).unwrap_or_else(gazetteer::unknown)
        }
        Reading::Nowhere if class.level == Level::Red => gazetteer::unknown(),
        Reading::Unclear(_) | Reading::Nowhere => return Err(Problem::no_place()),
    };
    let observation = Observation::UnitReport {
        unit: UnitId::new(&connector.unit),
        external: report.external.unwrap_or_else(|| key.to_owned()),
        class: report.class,
        place,
        text: report.text,
    };
    let input = Input::Observe { mode: Mode::Real, observation };
    let scope = format!("unit/{}", connector.unit);
    let done = shared.intake.submit(Submission::keyed(scope, key, body.to_vec(), input)).await?;
    Ok(Json(told(&done)))
}

/// A record that cannot be read is set aside and named in the answer, and the others are kept; when none can be read the
/// call is refused. They need no key: the same record twice is one.
fn keep(shared: &Shared, connector: &Connector, rows: &Rows) -> Answer {
    let (unit, now) = (connector.unit.as_str(), shared.clock.now_ms());
    let mut all = guard(&shared.records);
    let Some(mapping) = all.mapping(unit, &rows.kind) else {
        return Ok(Json(json!({"ok": true, "kept": 0, "ignored": rows.records.len(), "set_aside": []})));
    };
    let (mut kept, mut aside) = (Vec::new(), Vec::new());
    for (i, record) in rows.records.iter().enumerate() {
        match records::read(mapping, i + 1, record, now) {
            Ok(row) => kept.push(row),
            Err(why) => aside.push(why),
        }
    }
    let count = kept.len();
    all.keep(unit, &rows.kind, kept);
    drop(all);
    guard(&shared.tallies).count(unit, tally::PUSH, now, count, &aside);
    match aside.first() {
        Some(first) if count == 0 => {
            let column = first.column.as_deref().unwrap_or_default();
            Err(Problem::field(format!("records.{}.{column}", first.row.saturating_sub(1))))
        }
        _ => {
            let told: Vec<_> = aside.iter().map(|a| json!({"row": a.row, "column": a.column, "why": a.zh()})).collect();
            Ok(Json(json!({"ok": true, "kept": count, "ignored": 0, "set_aside": told})))
        }
    }
}
