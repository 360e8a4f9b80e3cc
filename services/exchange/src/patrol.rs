//! Data patrols: a rule over records, planned, run, with findings. Message patrols: each hour's messages as findings.
//!
//! Plans lie on a grid of time and carry it as their key, so a restart goes on with the patrol that was planned. A
//! finding that lasts is told once a day: often enough not to be forgotten, seldom enough to be believed.

use domain::{
    alarm::Source,
    event::Mode,
    gazetteer,
    ids::{MessageId, PatrolId},
    input::{Input, Observation},
    patrol::PatrolKind,
    time::Timestamp,
};
use link::intake::Submission;
use tokio::sync::mpsc;

use crate::{
    Shared, guard,
    rules::{self, DataRule, Hit},
};

const DAY_MS: i64 = 86_400_000;
/// Days begin at midnight in China.
const OFFSET_MS: i64 = 8 * 3_600_000;

/// Runs a rule on its schedule.
pub(crate) async fn data(shared: &Shared, rule: &DataRule) {
    let every = i64::from(rule.every_s) * 1_000;
    loop {
        let due = next(shared.clock.now_ms(), every);
        let Some(patrol) = plan(shared, PatrolKind::Data, &rule.id, due).await else {
            shared.until(due).await;
            continue;
        };
        shared.until(due).await;
        run_rule(shared, rule, patrol).await;
    }
}

/// The next point of the grid after `now`.
fn next(now: i64, every: i64) -> i64 {
    now.div_euclid(every).saturating_add(1).saturating_mul(every)
}

async fn run_rule(shared: &Shared, rule: &DataRule, patrol: PatrolId) {
    let now = shared.clock.now_ms();
    let (left, right) = {
        let records = guard(&shared.records);
        let current = |side: &rules::Side| records.current(&side.department, &side.kind, now);
        (current(&rule.left), current(&rule.right))
    };
    let total = u32::try_from(left.len()).unwrap_or(u32::MAX);
    tell(shared, format!("{patrol}/start"), Observation::PatrolStarted { patrol, total }).await;
    let (hits, more) = rules::evaluate(rule, &left, &right);
    if more {
        tracing::warn!(rule = %rule.id, most = rules::MAX_HITS, "a data rule finds more than one run tells");
    }
    for hit in hits {
        found(shared, rule, patrol, hit, now).await;
    }
    tell(shared, format!("{patrol}/end"), Observation::PatrolFinished { patrol, checked: total }).await;
}

async fn found(shared: &Shared, rule: &DataRule, patrol: PatrolId, hit: Hit, now: i64) {
    // What cannot be placed is told all the same, and waits for a person to place it.
    let place = gazetteer::locate(&shared.site, &hit.place).unwrap_or_else(gazetteer::unknown);
    // What two departments agree in may be a person's number, so events and keys hold its hash only.
    let name = (shared.hash)(&format!("rule/{}/{}", rule.id, hit.key));
    let day = now.saturating_add(OFFSET_MS).div_euclid(DAY_MS);
    let observation = Observation::RuleHit {
        rule: rule.id.as_str().into(),
        kind: rule.alarm.as_str().into(),
        key: name.clone(),
        place,
        text: Some(hit.text),
    };
    let key = format!("{}/{name}/{day}", rule.id);
    let input = Input::Observe { mode: Mode::Real, observation };
    if let Err(error) = shared.insist(Submission::keyed("rule", key.clone(), key.into_bytes(), input)).await {
        tracing::warn!(rule = %rule.id, %error, "a finding was refused");
        return;
    }
    let source = Source::Rule { rule: rule.id.as_str().into(), key: name.clone() };
    let observation = Observation::PatrolFound { patrol, source, what: "rule_hit".to_owned() };
    tell(shared, format!("{patrol}/{name}"), observation).await;
}

/// Runs message patrols one after another: planned, started, each message a finding, finished at the end of its time.
pub(crate) async fn messages(shared: &Shared, mut messages: mpsc::Receiver<MessageId>) {
    let every = i64::from(shared.config.message_patrol_s) * 1_000;
    loop {
        let now = shared.clock.now_ms();
        let end = next(now, every);
        let Some(patrol) = plan(shared, PatrolKind::Message, "96885", end - every).await else {
            shared.until(end).await;
            continue;
        };
        tell(shared, format!("{patrol}/start"), Observation::PatrolStarted { patrol, total: 0 }).await;
        let mut checked = 0_u32;
        loop {
            let message = tokio::select! {
                biased;
                () = shared.until(end) => break,
                message = messages.recv() => message,
            };
            let Some(message) = message else { return };
            checked = checked.saturating_add(1);
            let source = Source::Message(message);
            let observation = Observation::PatrolFound { patrol, source, what: "message".to_owned() };
            tell(shared, format!("{patrol}/m{message}"), observation).await;
        }
        tell(shared, format!("{patrol}/end"), Observation::PatrolFinished { patrol, checked }).await;
    }
}

async fn plan(shared: &Shared, kind: PatrolKind, subject: &str, due: i64) -> Option<PatrolId> {
    let key = format!("{}/{subject}/{due}", kind.name());
    let observation = Observation::PatrolPlanned { kind, subject: subject.to_owned(), due: Timestamp(due) };
    tell(shared, key, observation).await
}

/// Tells a step of a patrol under its key; a step that was told before is no news.
async fn tell(shared: &Shared, key: String, observation: Observation) -> Option<PatrolId> {
    let input = Input::Observe { mode: Mode::Real, observation };
    match shared.insist(Submission::keyed("patrol", key.clone(), key.into_bytes(), input)).await {
        Ok(done) => done.refs.patrol,
        Err(error) => {
            tracing::warn!(%error, "a step of a patrol was refused");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_lie_on_a_grid() {
        assert_eq!(next(0, 300_000), 300_000);
        assert_eq!(next(299_999, 300_000), 300_000);
        assert_eq!(next(300_000, 300_000), 600_000);
        assert_eq!(next(-1, 300_000), 0);
    }
}
