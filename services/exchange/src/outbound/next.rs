//! The next channel: a red task that its unit's system does not take in time goes by a message to the unit's duty, or a
//! person of the centre is asked to call. Once a task; its push is repeated all the same. Which rows went this way stands
//! in the reason that the outbox keeps, so a restart does not send again.

use domain::{
    ids::{IncidentId, TaskId},
    input::{Actor, Command, Input, Observation},
};
use ledger::StoredOutbox;
use link::intake::Submission;
use serde_json::json;

use super::post;
use crate::{
    Shared,
    config::{Channel, Connector},
    http::CallError,
    ports::TaskContent,
};

/// Begins the reason of a row that went by the next channel.
const MARK: &str = "next channel; ";

/// The row went by the next channel already.
pub(super) fn went(row: &StoredOutbox) -> bool {
    row.last_error.as_deref().is_some_and(|e| e.starts_with(MARK))
}

/// The reason with the mark.
pub(super) fn marked(why: &str) -> String {
    if why.starts_with(MARK) { why.to_owned() } else { format!("{MARK}{why}") }
}

/// The reason, with the mark if the row has it.
pub(super) fn kept(row: &StoredOutbox, why: &str) -> String {
    if went(row) { marked(why) } else { why.to_owned() }
}

/// A push that does not arrive.
pub(super) struct Stuck<'a> {
    pub(super) unit: &'a str,
    pub(super) incident: IncidentId,
    pub(super) task: TaskId,
    pub(super) content: &'a TaskContent,
    pub(super) error: &'a CallError,
}

impl Stuck<'_> {
    /// The case says so, and asks for a person if it is red and nobody has it in hand.
    pub(super) fn told(&self, text: String) -> Input {
        let observation = Observation::PushFailed { incident: self.incident, task: self.task, text };
        Input::Observe { mode: self.content.mode, observation }
    }
}

/// Tries the channels in order.
pub(super) async fn go(shared: &Shared, row: &StoredOutbox, connector: &Connector, stuck: &Stuck<'_>) {
    let (name, why, task) = (shared.name(stuck.unit), stuck.error.zh(), stuck.task);
    let begin = format!("任务 {task} 未能推送到{name}的系统：{why}，");
    let mut input = None;
    for channel in &connector.next {
        match channel {
            Channel::Sms(number) => {
                if sms(shared, row, number, stuck.content).await {
                    let text = format!("{begin}已改发短信到{name}值班 {number}，推送继续重试。");
                    let command = Command::Note { incident: stuck.incident, text };
                    input = Some(Input::Command {
                        actor: Actor::System,
                        mode: stuck.content.mode,
                        happened: None,
                        command,
                    });
                }
            }
            Channel::Phone(number) => {
                input = Some(stuck.told(format!("{begin}请立即致电{name}值班 {number}，推送继续重试。")));
            }
        }
        if input.is_some() {
            break;
        }
    }
    let input = input.unwrap_or_else(|| stuck.told(format!("{begin}请立即电话联系，推送继续重试。")));
    let key = format!("{}/next", row.id);
    if let Err(error) = shared.insist(Submission::keyed("outbox", key, Vec::new(), input)).await {
        tracing::warn!(unit.id = stuck.unit, task.id = task.0, %error, "the next channel was refused");
    }
}

/// Sends the task to the unit's duty; false when the gateway does not take it.
async fn sms(shared: &Shared, row: &StoredOutbox, number: &str, content: &TaskContent) -> bool {
    let sms = shared.config.sms.as_ref();
    let Some((secret, endpoint)) = sms.and_then(|s| Some((&s.secret, s.send.as_ref()?))) else { return false };
    let (code, place, class) = (&content.code, &content.place, &content.class_name);
    let text = format!("【卯家湾综治中心】红色任务{code}：{place}{class}。系统推送未达，请立即出动并回电中心。");
    let key = format!("outbox-{}-next", row.id);
    match post(shared, secret, endpoint, &key, &json!({"to": number, "text": text, "id": key})).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "the next channel does not take a task");
            false
        }
    }
}
