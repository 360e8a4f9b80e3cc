//! Which rules a site takes.

use domain::site::{AlarmKind, Level};

use super::Rule;

/// Why a set of rules is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("规则 rule {rule}: {key}: {message}")]
pub struct BadRule {
    /// Its id.
    pub rule: String,
    /// Its key that is wrong.
    pub key: &'static str,
    /// What is wrong, in both languages.
    pub message: &'static str,
}

/// Checks what types cannot, for a site with these kinds of alarms.
pub fn check(rules: &[Rule], kinds: &[AlarmKind]) -> Result<(), BadRule> {
    for (i, rule) in rules.iter().enumerate() {
        let twice = rules.iter().take(i).any(|r| r.id == rule.id);
        if let Some((key, message)) = rule.fault(kinds, twice) {
            return Err(BadRule { rule: rule.id.clone(), key, message });
        }
    }
    Ok(())
}

impl Rule {
    /// The key that is wrong, and what is wrong with it.
    fn fault(&self, kinds: &[AlarmKind], twice: bool) -> Option<(&'static str, &'static str)> {
        if self.id.is_empty() || self.id.len() > 32 || self.id.contains(char::is_control) {
            return Some(("id", "编号须为 1 到 32 字节 an id has 1 to 32 bytes"));
        }
        if twice {
            return Some(("id", "编号重复 the id is used twice"));
        }
        let bounds = [self.raise.above, self.raise.below, self.keep.above, self.keep.below];
        if bounds.iter().flatten().any(|b| !b.is_finite()) || bounds.iter().take(2).all(Option::is_none) {
            return Some(("raise", "阈值缺失或不是有限数 a bound is missing or not finite"));
        }
        if !self.keep.contains(&self.raise) {
            return Some(("keep", "保持区间须包含触发区间 keep must contain raise"));
        }
        let Some(kind) = kinds.iter().find(|k| k.id.as_str() == self.alarm) else {
            return Some(("alarm", "没有这种告警 there is no such kind of alarm"));
        };
        let chatter = self.chatter?;
        if !chatter.sound() {
            return Some((
                "chatter",
                "抖动次数须为 2 到 32，窗口须为 1 到 3600 秒 chatter has a count of 2 to 32 and a window of 1 to 3600 s",
            ));
        }
        // Each of these may be somebody in danger now.
        let life = kind.opens_with.is_some() || kind.level == Level::Red;
        life.then_some(("chatter", "关乎人身安全的告警不得因抖动被抑制 an alarm of life and limb is never held"))
    }
}

/// Kinds of alarms for tests: those of the shipped rules, of which some open an incident by themselves.
#[cfg(test)]
pub(super) fn kinds() -> Vec<AlarmKind> {
    let life = ["smoke", "call_point", "gas", "lift_trapped", "sos"];
    let kind = |rule: Rule| AlarmKind {
        id: rule.alarm.as_str().into(),
        name: domain::site::Name::default(),
        level: Level::Yellow,
        class: "c".into(),
        opens_with: life.contains(&&*rule.alarm).then_some(2),
        family: rule.alarm,
        radius: 1.0,
        window: domain::time::Millis(1),
        words: Vec::new(),
    };
    super::shipped().unwrap_or_default().into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Bounds, Chatter, KINDS, shipped};
    use super::*;

    fn rule() -> Rule {
        shipped().unwrap().into_iter().find(|r| r.id == "smoke").unwrap()
    }

    #[test]
    fn shipped_rules_are_sound_and_cover_every_kind() {
        let rules = shipped().unwrap();
        assert_eq!(check(&rules, &kinds()), Ok(()));
        for (_, kind) in KINDS {
            assert!(rules.iter().any(|r| r.kind == kind), "{kind:?}");
        }
    }

    #[test]
    fn unsound_rules_are_refused() {
        let keep = Rule { keep: Bounds { above: Some(11.0), below: None }, ..rule() };
        let none = Rule { raise: Bounds { above: None, below: None }, ..rule() };
        let nan = Rule { raise: Bounds { above: Some(f64::NAN), below: None }, ..rule() };
        for bad in [keep, none, nan] {
            assert!(check(&[bad], &kinds()).is_err());
        }
        assert!(check(&[rule(), rule()], &kinds()).is_err(), "twice");
        let chatter = Some(Chatter { count: 6, window_s: 300 });
        let fault = |rule: Rule| check(&[rule], &kinds()).unwrap_err().key;
        assert_eq!(fault(Rule { alarm: "smok".into(), ..rule() }), "alarm");
        for (alarm, may) in [("smoke", false), ("lift_trapped", false), ("sos", false), ("lift_fault", true)] {
            let rule = Rule { alarm: alarm.into(), chatter, ..rule() };
            assert_eq!(check(&[rule], &kinds()).is_ok(), may, "{alarm}");
        }
        assert!(serde_json::from_str::<Rule>(r#"{"id":"x","kind":"mood","alarm":"a","raise":{},"keep":{}}"#).is_err());
    }
}
