//! Chatter: a rule that turns more often than its limit within a window is held. While it is held its turns are counted
//! and not told, and its alarm stays; it is let go when it was quiet for a window, and then what it is by then is told.
//!
//! Invariants: holding changes what is told, never the phase; what is told alternates; in any window at most three more
//! edges are told than the limit; a condition that holds is told as over only when it was, and begins anew right after:
//! what somebody judged meanwhile was said of the one before.

use serde::{Deserialize, Serialize};

use super::{Rule, State};

/// When a rule chatters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chatter {
    /// Turns (begin or end) within the window that are still told, 2 to 32; one more and the rule is held.
    pub count: u32,
    /// The window, seconds, 1 to 3,600. Held until nothing turned for as long.
    pub window_s: u32,
}

impl Chatter {
    pub(super) fn sound(self) -> bool {
        (2..=32).contains(&self.count) && (1..=3_600).contains(&self.window_s)
    }

    fn window_ms(self) -> i64 {
        i64::from(self.window_s) * 1_000
    }
}

/// A rule that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when, ms of arrival.
    pub since: i64,
    /// The last turn, ms of arrival.
    pub last: i64,
    /// Turns since the first of the window in which it began.
    pub count: u64,
    /// It ended meanwhile, which was not told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// Notes that the rule turned; whether that is told. `state` is not held when that is over.
pub(super) fn turned(state: &mut State, rule: &Rule, raised: bool, now: i64) -> bool {
    let Some(limit) = rule.chatter else { return true };
    if let Some(held) = &mut state.held {
        (held.count, held.last) = (held.count.saturating_add(1), now);
        held.ended |= !raised;
        return false;
    }
    state.turns.retain(|t| now.saturating_sub(*t) < limit.window_ms());
    state.turns.push(now);
    if state.turns.len() <= usize::try_from(limit.count).unwrap_or(usize::MAX) {
        return true;
    }
    let count = state.turns.len() as u64;
    state.turns.clear();
    state.held = Some(Held { since: now, last: now, count, ended: !raised });
    // A begin is told once more; an end is not: the alarm stays until it is quiet.
    raised
}

/// Lets a held rule go when it was quiet for long enough, or has no limit any more; the state then, and whether an end is
/// to be told. If it is raised again by then, the next [`super::tick`] tells its begin.
pub(super) fn quiet(state: &State, rule: &Rule, now: i64) -> Option<(State, bool)> {
    let held = state.held?;
    let over = rule.chatter.is_none_or(|limit| now.saturating_sub(held.last) >= limit.window_ms());
    over.then(|| {
        let ended = state.told() && (held.ended || !state.raised());
        (State { held: None, ..state.clone() }, ended)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::site::SensorKind;
    use proptest::prelude::*;

    use super::super::{Arrival, Bounds, Edge, Phase, Sample, check, sound::kinds, step, tick};
    use super::*;

    const T0: i64 = 1_700_000_000_000;

    fn rule(chatter: Option<Chatter>) -> Rule {
        Rule {
            id: "r".into(),
            kind: SensorKind::WaterLevel,
            alarm: "water_level".into(),
            raise: Bounds { above: Some(10.0), below: None },
            keep: Bounds { above: Some(5.0), below: None },
            hold_s: 0,
            release_s: 0,
            chatter,
            old_s: None,
            off: false,
        }
    }

    fn limit(count: u32, window_s: u32) -> Option<Chatter> {
        Some(Chatter { count, window_s })
    }

    /// Feeds values with the seconds before each; time passes in between second by second. What was told with its time.
    fn run(rule: &Rule, values: &[(i64, bool)], after: i64) -> (State, Vec<(i64, Edge)>) {
        let (mut state, mut now, mut told) = (State::default(), T0, Vec::new());
        let second = |state: &mut State, now: i64, told: &mut Vec<(i64, Edge)>| {
            if let Some((next, edge)) = tick(state, rule, now) {
                *state = next;
                told.extend(edge.map(|e| (now, e)));
            }
        };
        for (pause, high) in values {
            for _ in 0..*pause {
                now += 1_000;
                second(&mut state, now, &mut told);
            }
            let value = if *high { 11.0 } else { 1.0 };
            let sample =
                Sample { at: None, value, detected: None, flag: false, word: 0, arrival: Arrival::First, sure: true };
            let (next, edge) = step(&state, rule, sample, now).unwrap();
            // What is stored is what goes on.
            state = serde_json::from_slice(&serde_json::to_vec(&next).unwrap()).unwrap();
            told.extend(edge.map(|e| (now, e)));
        }
        for _ in 0..after {
            now += 1_000;
            second(&mut state, now, &mut told);
        }
        (state, told)
    }

    fn seconds(told: &[(i64, Edge)]) -> Vec<(i64, bool)> {
        told.iter().map(|(at, e)| ((at - T0) / 1_000, e.raised)).collect()
    }

    #[test]
    fn a_chattering_rule_is_told_once_and_ends_when_it_is_quiet() {
        // Given at most three turns in a minute, when it turns each second for ten seconds and then stays low.
        let values: Vec<_> = (0..10).map(|n| (1, n % 2 == 0)).collect();
        let rule = rule(limit(3, 60));
        let (state, told) = run(&rule, &values, 0);
        assert_eq!(seconds(&told), [(1, true), (2, false), (3, true)], "the fourth turn, an end, is not told");
        let held = state.held.unwrap();
        assert_eq!((held.count, (held.since - T0) / 1_000, (held.last - T0) / 1_000), (10, 4, 10));
        let (state, told) = run(&rule, &values, 59);
        assert_eq!((told.len(), state.held.is_some()), (3, true));
        let (state, told) = run(&rule, &values, 61);
        assert_eq!(seconds(&told)[3..], [(70, false)]);
        assert_eq!((state.held, state.edges), (None, 4));
    }

    #[test]
    fn a_condition_that_holds_is_not_ended_by_letting_go_unless_it_was_over_in_between() {
        let values: Vec<_> = (0..3).map(|n| (1, n % 2 == 0)).collect();
        let (state, told) = run(&rule(limit(2, 30)), &values, 40);
        assert_eq!(seconds(&told), [(1, true), (2, false), (3, true)], "held by a begin, which is told");
        assert!(state.held.is_none() && matches!(state.phase, Phase::Raised { .. }));
        // Somebody may have judged the alarm false while it chattered: what holds now is another.
        let values: Vec<_> = (0..9).map(|n| (1, n % 2 == 0)).collect();
        let (state, told) = run(&rule(limit(2, 30)), &values, 40);
        assert_eq!(seconds(&told), [(1, true), (2, false), (3, true), (39, false), (40, true)]);
        assert!(state.held.is_none() && matches!(state.phase, Phase::Raised { .. }));
    }

    #[test]
    fn slow_turns_are_no_chatter_and_without_a_limit_nothing_is_held() {
        let slow: Vec<_> = (0..20).map(|n| (21, n % 2 == 0)).collect();
        assert_eq!(run(&rule(limit(3, 60)), &slow, 0).1.len(), 20);
        let fast: Vec<_> = (0..50).map(|n| (0, n % 2 == 0)).collect();
        assert_eq!(run(&rule(None), &fast, 0).1.len(), 50);
    }

    #[test]
    fn a_rule_whose_limit_was_taken_away_is_let_go() {
        let values: Vec<_> = (0..6).map(|n| (1, n % 2 == 0)).collect();
        let (state, _) = run(&rule(limit(2, 600)), &values, 0);
        assert!(state.held.is_some());
        let (state, edge) = tick(&state, &rule(None), T0 + 7_000).unwrap();
        assert_eq!((state.held, edge.map(|e| e.raised)), (None, Some(false)));
    }

    #[test]
    fn unsound_limits_are_refused_and_old_states_are_read() {
        for (count, window_s) in [(1, 60), (33, 60), (3, 0), (3, 3_601)] {
            assert!(check(&[rule(limit(count, window_s))], &kinds()).is_err());
        }
        assert_eq!(check(&[rule(limit(2, 1))], &kinds()), Ok(()));
        let old = r#"{"edges":3,"at":5,"value":1.0,"phase":"Calm"}"#;
        let state: State = serde_json::from_str(old).unwrap();
        assert_eq!((state.edges, state.held, serde_json::to_string(&state).unwrap().as_str()), (3, None, old));
    }

    proptest! {
        #[test]
        fn what_is_told_alternates_is_bounded_and_right_in_the_end(
            values in prop::collection::vec((0..40_i64, any::<bool>()), 0..80),
            count in 2..6_u32, window_s in 1..60_u32,
        ) {
            let (state, told) = run(&rule(limit(count, window_s)), &values, i64::from(window_s) + 2);
            let (free, all) = run(&rule(None), &values, 0);
            for (n, (_, edge)) in told.iter().enumerate() {
                prop_assert_eq!(edge.number, n as u64 + 1);
                prop_assert_eq!(edge.raised, n % 2 == 0);
            }
            for (i, (at, _)) in told.iter().enumerate() {
                let within = told[i..].iter().filter(|(t, _)| t - at < i64::from(window_s) * 1_000).count();
                prop_assert!(within <= count as usize + 3, "{} edges of one window", within);
            }
            prop_assert_eq!(state.held, None);
            let is = matches!(state.phase, Phase::Raised { .. });
            prop_assert_eq!(is, matches!(free.phase, Phase::Raised { .. }), "holding changes no phase");
            prop_assert_eq!(told.last().is_some_and(|(_, e)| e.raised), is, "the last word is the truth");
            prop_assert!(told.len() <= all.len() + 1);
        }
    }
}
