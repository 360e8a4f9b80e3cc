//! Deliveries out of the outbox, at least once. Each receiver has its own few places, so that a dead one holds up no
//! other, and some of them are for red tasks only; attempts and their times are kept by the store. What was answered is
//! told to the writer together with the end of its row. A receiver that asks to wait is left alone so long; one that
//! refuses our credentials keeps its deliveries; a red task that does not arrive goes by the next channel.

mod next;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    event::Mode,
    ids::{IncidentId, MessageId, TaskId},
    input::{Actor, Command, Input, Observation, Outgoing},
    site::Level,
    task::Receipt,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use ledger::{StoredOutbox, limits};
use link::intake::Submission;
use runtime::telemetry::names;
use serde_json::{Value, json};

use crate::{
    Refused, Shared,
    config::{Endpoint, Secret},
    guard,
    http::{Call, CallError},
    ports::TaskContent,
    receipt, trouble,
};

/// Calls to one receiver at once.
const PLACES: usize = 4;
/// Further places for red tasks, so that they wait behind no others.
const RED_PLACES: usize = 2;
/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Longest answer, bytes.
const ANSWER: usize = 64 * 1024;
/// A receiver that refuses (4xx) is asked this often.
const REFUSALS: u32 = 5;
/// First and longest pause between attempts, ms.
const PAUSE: (i64, i64) = (2_000, 300_000);
/// Rows that find their receiver's places taken wait this long when they would fill the page, ms.
const ASIDE: i64 = 5_000;
/// A receiver that refuses our credentials is asked this seldom, ms: some lock accounts.
const DENIED: i64 = 300_000;

/// Deliveries that are ours.
const KINDS: &[&str] = &["push", "recall", "sms"];

/// How a delivery went.
enum Fate {
    /// Told to the writer with its row, or given up with it.
    Settled,
    /// Again later, for this reason.
    Again(String),
    /// Again at a time, ms; `counts` as an attempt.
    At { why: String, due: i64, counts: bool },
}

/// Delivers until it is dropped; calls under way are then repeated by the next run under the same key.
pub(crate) async fn run(shared: &Shared) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut calls: FuturesUnordered<BoxFuture<'_, (u64, String)>> = FuturesUnordered::new();
    let mut busy: BTreeSet<u64> = BTreeSet::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    // Rows that found all places taken, and whether they are red.
    let mut queued: BTreeMap<u64, bool> = BTreeMap::new();
    loop {
        tokio::select! {
            Some((id, target)) = calls.next(), if !calls.is_empty() => {
                busy.remove(&id);
                if let Some(n) = taken.get_mut(&target) {
                    *n = n.saturating_sub(1);
                }
                continue;
            }
            _ = look.tick() => {}
            () = shared.nudge.notified() => {}
        }
        let now = shared.clock.now_ms();
        let due = match shared.outbox.outbox_due(KINDS, now, limits::PAGE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "the outbox cannot be read now");
                continue;
            }
        };
        let full = due.len() >= limits::PAGE;
        queued.retain(|id, _| due.iter().any(|row| row.id == *id));
        for row in due {
            if busy.contains(&row.id) {
                continue;
            }
            let used = taken.get(&row.row.target).copied().unwrap_or(0);
            let place = used < PLACES || (used < PLACES + RED_PLACES && red(shared, &mut queued, &row).await);
            if place {
                *taken.entry(row.row.target.clone()).or_default() += 1;
                busy.insert(row.id);
                calls.push(one(shared, row).boxed());
            } else if full {
                let why = next::kept(&row, "waits for its turn");
                let aside = shared.outbox.outbox_retry(row.id, now + ASIDE, row.attempts, &why);
                if let Err(error) = aside.await {
                    tracing::debug!(%error, "the outbox cannot be written now");
                }
            }
        }
    }
}

/// Whether a row is the push of a red task; asked once a row.
async fn red(shared: &Shared, queued: &mut BTreeMap<u64, bool>, row: &StoredOutbox) -> bool {
    if let Some(known) = queued.get(&row.id) {
        return *known;
    }
    let red = match (shared.decode)(&row.row.payload) {
        Some(Outgoing::Push { incident, task, .. }) => {
            let content = shared.content.task(incident, task).await;
            matches!(content, Ok(Some(content)) if content.level == Level::Red)
        }
        _ => false,
    };
    queued.insert(row.id, red);
    red
}

async fn one(shared: &Shared, row: StoredOutbox) -> (u64, String) {
    let fate = match (shared.decode)(&row.row.payload) {
        Some(Outgoing::Push { unit, incident, task }) => push(shared, &row, unit.as_str(), incident, task).await,
        Some(Outgoing::Recall { unit, task, .. }) => recall(shared, &row, unit.as_str(), task).await,
        Some(Outgoing::Sms { message }) => sms(shared, &row, message).await,
        Some(Outgoing::Clip { .. }) => Fate::Again("not a delivery of the exchange".to_owned()),
        None => {
            tracing::error!(outbox.id = row.id, "an outbox row is unreadable and given up");
            end(shared, &row).await
        }
    };
    let outcome = match &fate {
        Fate::Settled => "settled",
        Fate::Again(_) | Fate::At { .. } => "again",
    };
    metrics::counter!(names::EXCHANGE_CALLS, "direction" => "out", "source" => "outbox", "outcome" => outcome)
        .increment(1);
    let again = match fate {
        Fate::Settled => None,
        Fate::Again(why) => {
            Some((next::kept(&row, &why), shared.clock.now_ms().saturating_add(pause(row.attempts)), 1))
        }
        Fate::At { why, due, counts } => Some((why, due, u32::from(counts))),
    };
    if let Some((why, due, more)) = again
        && let Err(error) = shared.outbox.outbox_retry(row.id, due, row.attempts.saturating_add(more), &why).await
    {
        tracing::warn!(outbox.id = row.id, %error, "the next attempt cannot be planned; it comes at once");
    }
    (row.id, row.row.target)
}

/// Doubling pauses with jitter, so that many rows do not come back together.
fn pause(attempts: u32) -> i64 {
    let base = PAUSE.0.saturating_mul(1_i64 << attempts.min(20)).min(PAUSE.1);
    rand::random_range(base / 2..=base + base / 2)
}

fn gives_up(row: &StoredOutbox, endpoint: &Endpoint, error: &CallError) -> bool {
    if matches!(error, CallError::Wait { why, .. } if why == HELD) {
        return false;
    }
    let attempts = row.attempts.saturating_add(1);
    attempts >= endpoint.attempts || (error.refuses() && attempts >= REFUSALS)
}

/// The end of a row without a word to the core.
async fn end(shared: &Shared, row: &StoredOutbox) -> Fate {
    settle(shared, Submission::keyless(Input::Tick).settling(row.id)).await
}

/// The writer ends the row together with the input, also when the core refuses it: a receipt of a task that was recalled
/// meanwhile is no news.
async fn settle(shared: &Shared, submission: Submission) -> Fate {
    match shared.insist(submission).await {
        Ok(_) => Fate::Settled,
        Err(error @ Refused::Core(_)) => {
            tracing::debug!(%error, "the outcome of a delivery was no news");
            Fate::Settled
        }
        Err(error) => {
            tracing::warn!(%error, "the outcome of a delivery was refused");
            Fate::Settled
        }
    }
}

/// Posts to a receiver; its own number, if its answer is a receipt. One that asked to wait is not called before that.
async fn call(
    shared: &Shared,
    secret: &Secret,
    endpoint: &Endpoint,
    row: &StoredOutbox,
    body: &Value,
) -> Result<Option<String>, CallError> {
    let target = row.row.target.as_str();
    if let Some(ms) = held(shared, target) {
        return Err(CallError::Wait { why: HELD.to_owned(), ms });
    }
    let answer = post(shared, secret, endpoint, &format!("outbox-{}", row.id), body).await;
    match &answer {
        Ok(_) => trouble::well(shared, target),
        Err(CallError::Denied(why)) => trouble::denied(shared, target, why).await,
        Err(CallError::Wait { ms, .. }) => {
            let until = shared.clock.now_ms().saturating_add(*ms);
            guard(&shared.holds).insert(target.to_owned(), until);
        }
        Err(_) => {}
    }
    answer
}

/// Why a row waits that was not sent, because its receiver asked to wait.
const HELD: &str = "held";

/// How long a receiver still asks to wait, ms.
fn held(shared: &Shared, target: &str) -> Option<i64> {
    let now = shared.clock.now_ms();
    let mut holds = guard(&shared.holds);
    // Not longer than it was told: a clock that was ahead when it was told holds up nothing.
    let left = holds.get(target).map(|until| until.saturating_sub(now)).filter(|ms| (1..=3_600_000).contains(ms));
    if left.is_none() {
        holds.remove(target);
    }
    left
}

async fn post(
    shared: &Shared,
    secret: &Secret,
    endpoint: &Endpoint,
    key: &str,
    body: &Value,
) -> Result<Option<String>, CallError> {
    let now_s = shared.clock.now_ms().div_euclid(1_000);
    let call = Call { secret, now_s, timeout_s: endpoint.timeout_s, most: ANSWER };
    let answer = call.post(&shared.client, &endpoint.url, key, body.to_string().into_bytes()).await?;
    receipt::read(endpoint.receipt.as_ref(), &answer)
}

/// When a call that failed is made again: as told, seldom when credentials are refused, else after a growing pause.
/// Red tasks go first when a wait is over.
fn again(shared: &Shared, row: &StoredOutbox, error: &CallError, red: bool) -> (i64, bool) {
    let now = shared.clock.now_ms();
    match error {
        CallError::Wait { why, ms } => {
            let behind = if red { 0 } else { rand::random_range(500..3_000) };
            (now.saturating_add(*ms).saturating_add(behind), why != HELD)
        }
        CallError::Denied(_) => (now.saturating_add(pause(row.attempts).max(DENIED)), true),
        _ => (now.saturating_add(pause(row.attempts)), true),
    }
}

/// The same as a fate, for what has no channel but one.
fn later(shared: &Shared, row: &StoredOutbox, error: &CallError) -> Fate {
    let (due, counts) = again(shared, row, error, false);
    Fate::At { why: error.to_string(), due, counts }
}

async fn push(shared: &Shared, row: &StoredOutbox, unit: &str, incident: IncidentId, task: TaskId) -> Fate {
    let connector = shared.connectors.get(unit);
    // Without an address its people see the task on our pages, which give the receipt.
    let Some((connector, endpoint)) = connector.and_then(|c| Some((c, c.push.as_ref()?))) else {
        return end(shared, row).await;
    };
    let content = match shared.content.task(incident, task).await {
        Ok(Some(content)) => content,
        Ok(None) => return end(shared, row).await,
        Err(error) => return Fate::Again(error.to_string()),
    };
    let error = match call(shared, &connector.secret, endpoint, row, &task_body(incident, task, &content)).await {
        Ok(external) => {
            shared.heard(unit);
            let command = Command::Deliver { task, receipt: Receipt::Http, external };
            let input = Input::Command { actor: Actor::System, mode: content.mode, happened: None, command };
            let submission = Submission::keyed("outbox", row.id.to_string(), Vec::new(), input);
            return settle(shared, submission.settling(row.id)).await;
        }
        Err(error) => error,
    };
    failed(shared, unit, &error);
    let red = content.level == Level::Red && !content.taken;
    let ends = gives_up(row, endpoint, &error);
    let (due, counts) = again(shared, row, &error, red);
    let limit = content.at.saturating_add(i64::from(connector.red_limit_s) * 1_000);
    let stuck = next::Stuck { unit, incident, task, content: &content, error: &error };
    let mut why = next::kept(row, &error.to_string());
    if red && !next::went(row) && (ends || due > limit) {
        next::go(shared, row, connector, &stuck).await;
        why = next::marked(&why);
    }
    if !ends {
        return Fate::At { why, due, counts };
    }
    tracing::warn!(unit.id = unit, task.id = task.0, %error, "a push is given up");
    let text = format!("任务 {task} 未能推送到{}的系统：{}，已停止重试，请电话联系。", shared.name(unit), error.zh());
    let submission = Submission::keyed("outbox", row.id.to_string(), Vec::new(), stuck.told(text));
    settle(shared, submission.settling(row.id)).await
}

async fn recall(shared: &Shared, row: &StoredOutbox, unit: &str, task: TaskId) -> Fate {
    let connector = shared.connectors.get(unit);
    let Some((secret, endpoint)) = connector.and_then(|c| Some((&c.secret, c.push.as_ref()?))) else {
        return end(shared, row).await;
    };
    match call(shared, secret, endpoint, row, &json!({"type": "recall", "task": task.0})).await {
        Ok(_) => shared.heard(unit),
        // It never had the task, or has ended it.
        Err(CallError::Status(404 | 409 | 410)) => shared.heard(unit),
        Err(error) => {
            failed(shared, unit, &error);
            if !gives_up(row, endpoint, &error) {
                return later(shared, row, &error);
            }
            tracing::warn!(unit.id = unit, task.id = task.0, %error, "a recall is given up");
        }
    }
    end(shared, row).await
}

async fn sms(shared: &Shared, row: &StoredOutbox, message: MessageId) -> Fate {
    let sms = shared.config.sms.as_ref();
    let Some((secret, endpoint)) = sms.and_then(|s| Some((&s.secret, s.send.as_ref()?))) else {
        return sent(shared, row, message, false).await;
    };
    let content = match shared.content.message(message).await {
        Ok(Some(content)) => content,
        Ok(None) => return end(shared, row).await,
        Err(error) => return Fate::Again(error.to_string()),
    };
    let body = json!({"to": content.to, "text": content.text, "id": message.0.to_string()});
    match call(shared, secret, endpoint, row, &body).await {
        Ok(_) => sent(shared, row, message, true).await,
        Err(error) if gives_up(row, endpoint, &error) => {
            tracing::warn!(message.id = message.0, %error, "a message is given up");
            sent(shared, row, message, false).await
        }
        Err(error) => later(shared, row, &error),
    }
}

async fn sent(shared: &Shared, row: &StoredOutbox, message: MessageId, ok: bool) -> Fate {
    let input = Input::Observe { mode: Mode::Real, observation: Observation::MessageSent { message, ok } };
    settle(shared, Submission::keyed("outbox", row.id.to_string(), Vec::new(), input).settling(row.id)).await
}

fn failed(shared: &Shared, unit: &str, error: &CallError) {
    if matches!(error, CallError::Wait { why, .. } if why == HELD) {
        return;
    }
    if error.answered() {
        shared.heard(unit);
    } else {
        shared.failed(unit);
    }
}

fn task_body(incident: IncidentId, task: TaskId, content: &TaskContent) -> Value {
    let level = match content.level {
        Level::Red => "red",
        Level::Yellow => "yellow",
        Level::Normal => "normal",
    };
    let mode = match content.mode {
        Mode::Real => "real",
        Mode::Exercise => "exercise",
        Mode::Test => "test",
    };
    json!({
        "type": "task",
        "task": task.0,
        "incident": incident.0,
        "code": content.code,
        "mode": mode,
        "class": content.class,
        "class_name": content.class_name,
        "level": level,
        "place": {"label": content.place, "x": content.point.x, "y": content.point.y},
        "lead": content.lead,
        "text": content.text,
        "due": {
            "acknowledge": content.due.acknowledge,
            "arrive": content.due.arrive,
            "handle": content.due.handle,
        },
        "at": content.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        for (attempts, base) in [(0, 2_000), (1, 4_000), (5, 64_000), (8, 300_000), (31, 300_000), (u32::MAX, 300_000)]
        {
            let found = pause(attempts);
            assert!((base / 2..=base * 3 / 2).contains(&found), "{attempts}: {found}");
        }
    }
}
