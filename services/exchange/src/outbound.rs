//! Deliveries out of the outbox, at least once. Each receiver has its own few places, so that a dead one holds up no
//! other; attempts and their times are kept by the store. What was answered is told to the writer together with the end
//! of its row.

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
    http::{Call, CallError},
    ports::TaskContent,
};

/// Calls to one receiver at once.
const PLACES: usize = 4;
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

/// Deliveries that are ours.
const KINDS: &[&str] = &["push", "recall", "sms"];

/// How a delivery went.
enum Fate {
    /// Told to the writer with its row, or given up with it.
    Settled,
    /// Again later, for this reason.
    Again(String),
}

/// Delivers until it is dropped; calls under way are then repeated by the next run under the same key.
pub(crate) async fn run(shared: &Shared) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut calls: FuturesUnordered<BoxFuture<'_, (u64, String)>> = FuturesUnordered::new();
    let mut busy: BTreeSet<u64> = BTreeSet::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
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
        for row in due {
            if busy.contains(&row.id) {
                continue;
            }
            let places = taken.entry(row.row.target.clone()).or_default();
            if *places < PLACES {
                *places += 1;
                busy.insert(row.id);
                calls.push(one(shared, row).boxed());
            } else if full {
                let aside = shared.outbox.outbox_retry(row.id, now + ASIDE, row.attempts, "waits for its turn");
                if let Err(error) = aside.await {
                    tracing::debug!(%error, "the outbox cannot be written now");
                }
            }
        }
    }
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
        Fate::Again(_) => "again",
    };
    metrics::counter!(names::EXCHANGE_CALLS, "direction" => "out", "source" => "outbox", "outcome" => outcome)
        .increment(1);
    if let Fate::Again(why) = fate {
        let due = shared.clock.now_ms().saturating_add(pause(row.attempts));
        if let Err(error) = shared.outbox.outbox_retry(row.id, due, row.attempts.saturating_add(1), &why).await {
            tracing::warn!(outbox.id = row.id, %error, "the next attempt cannot be planned; it comes at once");
        }
    }
    (row.id, row.row.target)
}

/// Doubling pauses with jitter, so that many rows do not come back together.
fn pause(attempts: u32) -> i64 {
    let base = PAUSE.0.saturating_mul(1_i64 << attempts.min(20)).min(PAUSE.1);
    rand::random_range(base / 2..=base + base / 2)
}

fn gives_up(row: &StoredOutbox, endpoint: &Endpoint, error: &CallError) -> bool {
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

async fn call(
    shared: &Shared,
    secret: &Secret,
    endpoint: &Endpoint,
    row: &StoredOutbox,
    body: &Value,
) -> Result<Option<String>, CallError> {
    let now_s = shared.clock.now_ms().div_euclid(1_000);
    let call = Call { secret, now_s, timeout_s: endpoint.timeout_s, most: ANSWER };
    let key = format!("outbox-{}", row.id);
    let answer = call.post(&shared.client, &endpoint.url, &key, body.to_string().into_bytes()).await?;
    let answer: Option<Value> = serde_json::from_slice(&answer).ok();
    let number = answer.as_ref().and_then(|a| a.get("external_number"));
    Ok(number.and_then(Value::as_str).filter(|n| (1..=64).contains(&n.chars().count())).map(str::to_owned))
}

async fn push(shared: &Shared, row: &StoredOutbox, unit: &str, incident: IncidentId, task: TaskId) -> Fate {
    let connector = shared.connectors.get(unit);
    // Without an address its people see the task on our pages, which give the receipt.
    let Some((secret, endpoint)) = connector.and_then(|c| Some((&c.secret, c.push.as_ref()?))) else {
        return end(shared, row).await;
    };
    let content = match shared.content.task(incident, task).await {
        Ok(Some(content)) => content,
        Ok(None) => return end(shared, row).await,
        Err(error) => return Fate::Again(error.to_string()),
    };
    match call(shared, secret, endpoint, row, &task_body(incident, task, &content)).await {
        Ok(external) => {
            shared.heard(unit);
            let command = Command::Deliver { task, receipt: Receipt::Http, external };
            let input = Input::Command { actor: Actor::System, mode: content.mode, happened: None, command };
            settle(shared, Submission::keyed("outbox", row.id.to_string(), Vec::new(), input).settling(row.id)).await
        }
        Err(error) => {
            failed(shared, unit, &error);
            if !gives_up(row, endpoint, &error) {
                return Fate::Again(error.to_string());
            }
            tracing::warn!(unit.id = unit, task.id = task.0, %error, "a push is given up");
            let name = shared.site.unit(&unit.into()).map_or(unit, |u| u.name.zh.as_str());
            let text = format!("任务 {task} 未能推送到{name}的系统，已停止重试，请电话联系。");
            let command = Command::Note { incident, text };
            let input = Input::Command { actor: Actor::System, mode: content.mode, happened: None, command };
            settle(shared, Submission::keyed("outbox", row.id.to_string(), Vec::new(), input).settling(row.id)).await
        }
    }
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
                return Fate::Again(error.to_string());
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
        Err(error) => Fate::Again(error.to_string()),
    }
}

async fn sent(shared: &Shared, row: &StoredOutbox, message: MessageId, ok: bool) -> Fate {
    let input = Input::Observe { mode: Mode::Real, observation: Observation::MessageSent { message, ok } };
    settle(shared, Submission::keyed("outbox", row.id.to_string(), Vec::new(), input).settling(row.id)).await
}

fn failed(shared: &Shared, unit: &str, error: &CallError) {
    if error.refuses() {
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
