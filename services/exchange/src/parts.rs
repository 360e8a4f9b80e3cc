//! Texts that come in parts, and the same text twice. Both are only comfort: each part is durable before it is answered,
//! so what a restart forgets here is still in the inbox. Bounded.

use std::collections::{BTreeMap, VecDeque};

use link::intake::Done;

use crate::inbound::message::Part;

/// Texts that wait for parts; the oldest is given up for a further one.
const GROUPS: usize = 1_024;
/// After this long a text goes on without what is missing, ms.
const PATIENCE_MS: i64 = 180_000;
/// A text that is whole is remembered so long, so that a doubled part makes no second one, ms.
const REMEMBER_MS: i64 = 600_000;
/// The same text of the same sender within this time is one, ms.
const SAME_MS: i64 = 60_000;
/// Texts that are compared.
const RECENT: usize = 4_096;

/// Which text.
pub(crate) type Group = (String, u16, u8);

#[derive(Debug)]
struct Waiting {
    since: i64,
    parts: Vec<Option<String>>,
    over: bool,
}

/// Parts that have come.
#[derive(Debug, Default)]
pub(crate) struct Parts(BTreeMap<Group, Waiting>);

impl Parts {
    /// Takes a part; the whole text if this was the last, and again if it comes again.
    pub(crate) fn take(&mut self, from: &str, part: Part, text: &str, now: i64) -> Option<String> {
        self.0.retain(|_, w| now.saturating_sub(w.since) < REMEMBER_MS);
        let group = (from.to_owned(), part.reference, part.total);
        if !self.0.contains_key(&group) && self.0.len() >= GROUPS {
            let oldest = self.0.iter().min_by_key(|(_, w)| w.since).map(|(g, _)| g.clone());
            oldest.and_then(|g| self.0.remove(&g));
        }
        let size = usize::from(part.total);
        let waiting =
            self.0.entry(group).or_insert_with(|| Waiting { since: now, parts: vec![None; size], over: false });
        let slot = waiting.parts.get_mut(usize::from(part.number).checked_sub(1)?)?;
        // A reference comes round again: another text begins.
        if slot.as_deref().is_some_and(|known| known != text) {
            *waiting = Waiting { since: now, parts: vec![None; size], over: false };
        }
        *waiting.parts.get_mut(usize::from(part.number).checked_sub(1)?)? = Some(text.to_owned());
        let whole: Option<String> = waiting.parts.iter().cloned().collect();
        waiting.over |= whole.is_some();
        whole
    }

    /// Texts that waited long enough, with what is missing in words.
    pub(crate) fn overdue(&mut self, now: i64) -> Vec<(Group, String)> {
        let mut out = Vec::new();
        for (group, waiting) in &mut self.0 {
            if waiting.over || now.saturating_sub(waiting.since) < PATIENCE_MS {
                continue;
            }
            waiting.over = true;
            let missing: Vec<String> =
                (1..).zip(&waiting.parts).filter(|(_, p)| p.is_none()).map(|(n, _): (u8, _)| n.to_string()).collect();
            let said: String = waiting.parts.iter().flatten().map(String::as_str).collect();
            out.push((group.clone(), format!("{said}（缺第{}条）", missing.join("、"))));
        }
        out
    }
}

/// What came lately.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<(i64, String, Done)>);

impl Recent {
    /// What the same text of the same sender led to a moment ago.
    pub(crate) fn known(&self, hash: &str, now: i64) -> Option<Done> {
        let fresh = |at: i64| (0..=SAME_MS).contains(&now.saturating_sub(at));
        self.0.iter().rev().find(|(at, h, _)| fresh(*at) && h == hash).map(|(.., done)| done.clone())
    }

    pub(crate) fn remember(&mut self, hash: String, done: Done, now: i64) {
        if self.0.len() >= RECENT {
            self.0.pop_front();
        }
        self.0.push_back((now, hash, done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, total: u8) -> Part {
        Part { reference: 56, total, number }
    }

    #[test]
    fn parts_join_in_any_order_once_or_doubled() {
        let mut parts = Parts::default();
        assert_eq!(parts.take("139", part(3, 3), "丙", 0), None);
        assert_eq!(parts.take("139", part(1, 3), "甲", 60_000), None);
        assert_eq!(parts.take("139", part(1, 3), "甲", 61_000), None, "doubled");
        assert_eq!(parts.take("138", part(2, 3), "乙", 61_000), None, "another sender's");
        assert_eq!(parts.take("139", part(2, 3), "乙", 170_000).as_deref(), Some("甲乙丙"));
        assert_eq!(parts.take("139", part(2, 3), "乙", 171_000).as_deref(), Some("甲乙丙"), "the same again");
        let overdue = parts.overdue(400_000);
        assert_eq!(overdue.len(), 1, "only the other sender's");
        assert_eq!(overdue[0].1, "乙（缺第1、3条）");
        assert!(parts.overdue(500_000).is_empty(), "once");
    }

    #[test]
    fn a_reference_that_comes_round_begins_another_text_and_groups_are_bounded() {
        let mut parts = Parts::default();
        assert_eq!(parts.take("139", part(1, 2), "甲", 0), None);
        assert_eq!(parts.take("139", part(1, 2), "丙", 1_000), None);
        assert_eq!(parts.take("139", part(2, 2), "丁", 2_000).as_deref(), Some("丙丁"));
        for n in 0..GROUPS + 10 {
            parts.take(&n.to_string(), part(1, 2), "x", 3_000);
        }
        assert_eq!(parts.0.len(), GROUPS);
    }
}
