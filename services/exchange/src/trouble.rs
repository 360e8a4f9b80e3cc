//! What stands between us and a receiver and wants a person: credentials that it refuses. Told once when it begins and
//! once a day while it lasts; nothing is given up for it.

use std::collections::BTreeMap;

use domain::{
    event::Mode,
    gazetteer,
    input::{Input, Observation},
};
use link::intake::Submission;

use crate::{Shared, guard};

const DAY_MS: i64 = 86_400_000;

/// Credentials that a receiver refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Since when, ms.
    pub(crate) since: i64,
    told: i64,
}

/// A receiver, a unit, `sms` or a source as `unit/id`, refused our credentials.
pub(crate) async fn denied(shared: &Shared, of: &str, why: &str) {
    let now = shared.clock.now_ms();
    let tell = {
        let mut all = guard(&shared.troubles);
        let known = all.get(of).cloned();
        let tell = known.as_ref().is_none_or(|t| now.saturating_sub(t.told) >= DAY_MS);
        let since = known.as_ref().map_or(now, |t| t.since);
        let told = known.filter(|_| !tell).map_or(now, |t| t.told);
        all.insert(of.to_owned(), Trouble { since, told });
        tell
    };
    if tell {
        let (unit, source) = of.split_once('/').map_or((of, None), |(unit, source)| (unit, Some(source)));
        let kept = source
            .map_or_else(|| "推送保留并继续重试".to_owned(), |source| format!("数据源“{source}”暂停更新并继续重试"));
        let name = shared.name(unit);
        let text = format!("{name}的系统拒绝了本中心的签名或密钥（{why}）。{kept}，请与对方核对密钥和时钟。");
        alarm(shared, &format!("{of}/denied"), &text, now).await;
    }
}

/// Since when a unit's system refuses our credentials, in pushes or for one of its sources.
pub(crate) fn since(all: &BTreeMap<String, Trouble>, unit: &str) -> Option<i64> {
    let own = |name: &str| name == unit || name.strip_prefix(unit).is_some_and(|rest| rest.starts_with('/'));
    all.iter().filter(|(name, _)| own(name)).map(|(_, t)| t.since).min()
}

/// It took a call: whatever was wrong is over.
pub(crate) fn well(shared: &Shared, of: &str) {
    if guard(&shared.troubles).remove(of).is_some() {
        tracing::info!(unit.id = of, "credentials are taken again");
    }
}

/// An alarm of the kind for faults of connections; in a site without that kind a message of the inbox.
async fn alarm(shared: &Shared, key: &str, text: &str, now: i64) {
    let kind = shared.config.fault_alarm.as_str();
    let observation = if shared.site.alarm_kind(&kind.into()).is_some() {
        let (rule, kind, key) = ("connector".into(), kind.into(), key.to_owned());
        Observation::RuleHit { rule, kind, key, place: gazetteer::unknown(), text: Some(text.to_owned()) }
    } else {
        Observation::MessageIn { from: "部门接口".to_owned(), person: None, text: text.to_owned(), place: None }
    };
    let input = Input::Observe { mode: Mode::Real, observation };
    let key = format!("connector/{key}/{now}");
    if let Err(error) = shared.insist(Submission::keyed("rule", key.clone(), key.into_bytes(), input)).await {
        tracing::warn!(%error, "a fault of a connection was refused");
    }
}
