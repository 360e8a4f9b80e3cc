//! Threshold rules as data, with hysteresis and hold time. Pure: time is an argument and nothing is stored here.
//!
//! A rule begins when `raise` has been met for `hold_s`, and ends when `keep` is no longer met; between the two it stays
//! as it is. Each change is an [`Edge`] with a number of its own, so that it takes effect once however often the
//! reading behind it is delivered.

mod chatter;
mod sound;

use domain::site::SensorKind;
use serde::{Deserialize, Serialize};

pub use chatter::{Chatter, Held};
pub use sound::{BadRule, check};

/// A reading this much older than the newest one is no late delivery: the device's clock went back.
pub const CLOCK_RESET_MS: i64 = 120_000;

/// Bounds of a value; all that are given must be met, and at least one is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Met above this value.
    #[serde(default)]
    pub above: Option<f64>,
    /// Met below this value.
    #[serde(default)]
    pub below: Option<f64>,
}

impl Bounds {
    /// Whether `value` lies within.
    pub fn met(&self, value: f64) -> bool {
        self.above.is_none_or(|a| value > a) && self.below.is_none_or(|b| value < b)
    }

    /// Whether all that meets `other` meets this as well.
    fn contains(&self, other: &Self) -> bool {
        let above = self.above.is_none_or(|a| other.above.is_some_and(|o| o >= a));
        above && self.below.is_none_or(|b| other.below.is_some_and(|o| o <= b))
    }
}

/// A rule over one kind of sensor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Id, as alarms name it.
    pub id: String,
    /// Kind of sensor.
    #[serde(deserialize_with = "kind")]
    pub kind: SensorKind,
    /// Kind of alarm.
    pub alarm: String,
    /// Begins within these bounds, in the sensor's unit.
    pub raise: Bounds,
    /// Stays while within these bounds, which contain `raise`.
    pub keep: Bounds,
    /// How long `raise` must be met, seconds.
    #[serde(default)]
    pub hold_s: u32,
    /// Ends by itself this long after the last reading within bounds, seconds; 0 = never. For devices that only call.
    #[serde(default)]
    pub release_s: u32,
    /// When it is held because it turns too often; without it never.
    #[serde(default)]
    pub chatter: Option<Chatter>,
}

/// Names of the kinds of sensors as rules write them.
pub const KINDS: [(&str, SensorKind); 11] = [
    ("smoke", SensorKind::Smoke),
    ("call_point", SensorKind::CallPoint),
    ("gas", SensorKind::Gas),
    ("electrical_fire", SensorKind::ElectricalFire),
    ("hydrant_pressure", SensorKind::HydrantPressure),
    ("lift", SensorKind::Lift),
    ("manhole", SensorKind::Manhole),
    ("water_level", SensorKind::WaterLevel),
    ("sos", SensorKind::Sos),
    ("fire_lane", SensorKind::FireLane),
    ("ebike_charging", SensorKind::EbikeCharging),
];

fn kind<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SensorKind, D::Error> {
    let name = String::deserialize(from)?;
    let found = KINDS.iter().find(|(n, _)| *n == name).map(|(_, k)| *k);
    found.ok_or_else(|| serde::de::Error::custom(format!("没有这种传感器 there is no kind of sensor {name:?}")))
}

/// The rules that come with the program.
pub fn shipped() -> Result<Vec<Rule>, serde_json::Error> {
    serde_json::from_str(include_str!("../data/rules.json"))
}

/// A measured value as rules see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When the device measured it, ms; orders readings. `None` = on arrival.
    pub at: Option<i64>,
    /// Value in the sensor's unit.
    pub value: f64,
    /// The device decides by itself; overrides the bounds.
    pub detected: Option<bool>,
    /// How it comes.
    pub arrival: Arrival,
}

/// How the broker delivers a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// For the first time.
    First,
    /// Again, because it was not acknowledged.
    Again,
    /// As the last word of its topic, which it kept (retained) for whoever subscribes; of any age.
    Kept,
}

/// Where a rule stands for one sensor.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing.
    #[default]
    Calm,
    /// `raise` is met since this time of arrival, ms.
    Holding {
        /// Since when.
        since: i64,
    },
    /// Raised; last met at this time of arrival, ms.
    Raised {
        /// Last met.
        seen: i64,
    },
}

/// State of a rule for one sensor; kept beside the readings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Edges told so far.
    pub edges: u64,
    /// Time of the newest reading, ms.
    pub at: i64,
    /// Its value.
    pub value: f64,
    /// Phase.
    pub phase: Phase,
    /// When it turned within the last window of [`Chatter`], ms of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<i64>,
    /// It chatters and is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

impl State {
    /// What was last told: edges alternate, and the first is a begin.
    pub(crate) fn told(&self) -> bool {
        self.edges % 2 == 1
    }

    /// Whether the rule is raised.
    fn raised(&self) -> bool {
        matches!(self.phase, Phase::Raised { .. })
    }

    /// Takes the last edge back before anybody was told. [`tick`] tells where the rule stands by then.
    pub(crate) fn fold(&mut self) {
        self.edges = self.edges.saturating_sub(1);
    }
}

/// A rule began or ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Counts from 1 for each sensor and rule.
    pub number: u64,
    /// Began.
    pub raised: bool,
    /// Value at that moment.
    pub value: f64,
    /// When the device saw it, ms.
    pub at: i64,
}

/// Takes a reading that arrives at `now` (ms). `None` when it is not newer than what was seen.
pub fn step(state: &State, rule: &Rule, sample: Sample, now: i64) -> Option<(State, Option<Edge>)> {
    let at = moment(state, rule, sample, now)?;
    let begins = sample.detected.unwrap_or_else(|| rule.raise.met(sample.value));
    let stays = sample.detected.unwrap_or_else(|| rule.keep.met(sample.value));
    let mut next = State { at, value: sample.value, ..state.clone() };
    let edge = match state.phase {
        Phase::Calm if begins && rule.hold_s == 0 => Some(true),
        Phase::Calm if begins => {
            next.phase = Phase::Holding { since: now };
            None
        }
        Phase::Holding { since } if begins => held(since, rule, now).then_some(true),
        Phase::Calm | Phase::Holding { .. } => {
            next.phase = Phase::Calm;
            None
        }
        Phase::Raised { .. } if stays => {
            next.phase = Phase::Raised { seen: now };
            None
        }
        Phase::Raised { .. } => Some(false),
    };
    Some(turn(next, rule, edge, at, now))
}

/// Time passes without a reading.
pub fn tick(state: &State, rule: &Rule, now: i64) -> Option<(State, Option<Edge>)> {
    if let Some((mut next, ended)) = chatter::quiet(state, rule, now) {
        let edge = ended.then(|| tell(&mut next, false, state.at.max(now)));
        return Some((next, edge));
    }
    // What was folded is told: a begin also while it chatters, an end when it is quiet.
    let raised = state.raised();
    if raised != state.told() && (raised || state.held.is_none()) {
        let mut next = state.clone();
        let edge = tell(&mut next, raised, state.at.max(now));
        return Some((next, Some(edge)));
    }
    let raised = match state.phase {
        Phase::Holding { since } if held(since, rule, now) => true,
        Phase::Raised { seen } if rule.release_s > 0 && now - seen >= release_ms(rule) => false,
        _ => return None,
    };
    // The time of the newest reading stays: it is the device's, whose next reading may carry an earlier time than ours.
    Some(turn(state.clone(), rule, Some(raised), state.at.max(now), now))
}

fn release_ms(rule: &Rule) -> i64 {
    i64::from(rule.release_s) * 1_000
}

fn held(since: i64, rule: &Rule, now: i64) -> bool {
    now.saturating_sub(since) >= i64::from(rule.hold_s) * 1_000
}

/// The moment of a reading that counts: never in the future, not before any other. A device without a clock is always
/// heard, also twice, except for a call that the broker kept: it was heard when it was made. One with a time would have
/// ended by itself when it is that old. What the broker delivers again was seen when nothing newer is missing.
fn moment(state: &State, rule: &Rule, sample: Sample, now: i64) -> Option<i64> {
    let Some(at) = sample.at.map(|at| at.min(now)) else {
        let stale = sample.arrival == Arrival::Kept && rule.release_s > 0;
        return (!stale).then_some(now.max(state.at));
    };
    if sample.arrival == Arrival::Kept && rule.release_s > 0 && now.saturating_sub(at) >= release_ms(rule) {
        return None;
    }
    let first = sample.arrival == Arrival::First;
    if state.at == 0 || at > state.at || (at == state.at && first) {
        return Some(at);
    }
    let reset = first && state.at.saturating_sub(at) > CLOCK_RESET_MS;
    reset.then_some(now)
}

fn turn(mut state: State, rule: &Rule, edge: Option<bool>, at: i64, now: i64) -> (State, Option<Edge>) {
    let Some(raised) = edge else { return (state, None) };
    state.phase = if raised { Phase::Raised { seen: now } } else { Phase::Calm };
    let tells = chatter::turned(&mut state, rule, raised, now) && raised != state.told();
    let edge = tells.then(|| tell(&mut state, raised, at));
    (state, edge)
}

fn tell(state: &mut State, raised: bool, at: i64) -> Edge {
    state.edges = state.edges.saturating_add(1);
    Edge { number: state.edges, raised, value: state.value, at }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const T0: i64 = 1_700_000_000_000;

    fn rule(hold_s: u32) -> Rule {
        Rule {
            id: "r".into(),
            kind: SensorKind::Smoke,
            alarm: "smoke".into(),
            raise: Bounds { above: Some(10.0), below: None },
            keep: Bounds { above: Some(5.0), below: None },
            hold_s,
            release_s: 0,
            chatter: None,
        }
    }

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at: Some(at), value, detected: None, arrival: Arrival::First }
    }

    /// Runs (seconds, value) and gives the edges as (seconds, raised).
    fn run(rule: &Rule, given: &[(i64, f64)]) -> Vec<(i64, bool)> {
        let mut state = State::default();
        let mut edges = Vec::new();
        for (s, value) in given {
            let now = T0 + s * 1_000;
            if let Some((next, edge)) = step(&state, rule, sample(now, *value), now) {
                state = next;
                edges.extend(edge.map(|e| (*s, e.raised)));
            }
        }
        edges
    }

    #[test]
    fn hysteresis_keeps_a_wavering_value_raised() {
        // Given a rule from 10 down to 5, when the value wavers between, then it begins once and ends once.
        let edges = run(&rule(0), &[(0, 3.0), (1, 11.0), (2, 6.0), (3, 11.0), (4, 5.5), (5, 4.9), (6, 9.0)]);
        assert_eq!(edges, [(1, true), (5, false)]);
    }

    #[test]
    fn a_spike_shorter_than_the_hold_time_is_nothing() {
        assert_eq!(run(&rule(10), &[(0, 11.0), (9, 11.0), (9, 4.0), (10, 11.0), (19, 11.0)]), []);
        assert_eq!(run(&rule(10), &[(0, 11.0), (5, 11.0), (10, 11.0)]), [(10, true)]);
    }

    #[test]
    fn the_hold_time_ends_without_another_reading() {
        let rule = rule(10);
        let (state, edge) = step(&State::default(), &rule, sample(T0, 11.0), T0).unwrap();
        assert_eq!(edge, None);
        assert_eq!(tick(&state, &rule, T0 + 9_999), None);
        let (state, edge) = tick(&state, &rule, T0 + 10_000).unwrap();
        assert_eq!(edge, Some(Edge { number: 1, raised: true, value: 11.0, at: T0 + 10_000 }));
        assert_eq!(tick(&state, &rule, T0 + 90_000), None, "once");
    }

    #[test]
    fn a_button_releases_itself() {
        let rule = Rule { release_s: 300, ..rule(0) };
        let press = Sample { at: Some(T0), value: 1.0, detected: Some(true), arrival: Arrival::First };
        let (state, edge) = step(&State::default(), &rule, press, T0).unwrap();
        assert!(edge.unwrap().raised);
        assert_eq!(tick(&state, &rule, T0 + 299_999), None);
        let (state, edge) = tick(&state, &rule, T0 + 300_000).unwrap();
        assert!(!edge.unwrap().raised);
        // The clock of the button is a minute behind ours.
        let late = Sample { at: Some(T0 + 240_001), ..press };
        let (_, edge) = step(&state, &rule, late, T0 + 300_001).unwrap();
        assert!(edge.unwrap().raised, "the next press counts whatever the button's clock says");
    }

    #[test]
    fn a_call_that_the_broker_kept_is_no_new_call() {
        let button = Rule { release_s: 300, ..rule(0) };
        let press = Sample { at: Some(T0), value: 11.0, detected: Some(true), arrival: Arrival::First };
        let (state, _) = step(&State::default(), &button, press, T0).unwrap();
        let (state, _) = tick(&state, &button, T0 + 300_000).unwrap();
        let kept = Sample { arrival: Arrival::Kept, ..press };
        let now = T0 + 3_600_000;
        assert_eq!(step(&state, &button, kept, now), None, "by its time");
        assert_eq!(step(&state, &button, Sample { at: None, ..kept }, now), None, "of a device without a clock");
        let fresh = |age: i64| {
            let kept = Sample { at: Some(now - age), ..kept };
            step(&State::default(), &button, kept, now).is_some_and(|(_, edge)| edge.is_some_and(|e| e.raised))
        };
        assert!(!fresh(300_000), "to a centre that knows nothing of it: it ended long ago");
        assert!(fresh(299_999), "a call that was made while nobody listened still is one");
        let smoke = step(&State::default(), &rule(0), Sample { at: None, ..kept }, now).unwrap();
        assert!(smoke.1.unwrap().raised, "a condition that was the last word still holds");
    }

    #[test]
    fn old_readings_change_nothing_until_the_clock_went_back() {
        let rule = rule(0);
        let (state, _) = step(&State::default(), &rule, sample(T0, 3.0), T0).unwrap();
        let again = Sample { arrival: Arrival::Again, ..sample(T0, 11.0) };
        assert_eq!(step(&state, &rule, again, T0 + 5), None, "the same moment, redelivered");
        let clockless = Sample { at: None, ..sample(0, 11.0) };
        assert!(step(&state, &rule, clockless, T0).unwrap().1.is_some(), "two in one millisecond both count");
        assert_eq!(step(&state, &rule, sample(T0 - 60_000, 11.0), T0 + 5), None, "late");
        let again = Sample { arrival: Arrival::Again, ..sample(T0 - 3_600_000, 11.0) };
        assert_eq!(step(&state, &rule, again, T0 + 5), None, "redelivered");
        let (state, edge) = step(&state, &rule, sample(1_000, 11.0), T0 + 5).unwrap();
        assert_eq!((edge.unwrap().at, state.at), (T0 + 5, T0 + 5), "a device without the right time is still heard");
        let (state, _) = step(&state, &rule, sample(T0 + 999_999_999, 11.0), T0 + 6).unwrap();
        assert_eq!(state.at, T0 + 6, "a device ahead of time cannot silence itself");
    }

    proptest! {
        #[test]
        fn edges_alternate_and_count_from_one(values in prop::collection::vec((0.0..20.0_f64, 1..30_i64), 0..200), hold in 0..20_u32) {
            let rule = rule(hold);
            let (mut state, mut now, mut raised, mut number) = (State::default(), T0, false, 0);
            for (value, pause) in values {
                now += pause * 1_000;
                let mut found = Vec::new();
                if let Some((s, e)) = tick(&state, &rule, now) { state = s; found.extend(e); }
                if let Some((s, e)) = step(&state, &rule, sample(now + 1, value), now + 1) { state = s; found.extend(e); }
                now += 1;
                for edge in found {
                    number += 1;
                    prop_assert_eq!(edge.number, number);
                    prop_assert_ne!(edge.raised, raised);
                    raised = edge.raised;
                }
            }
        }

        #[test]
        fn a_second_delivery_of_everything_changes_nothing(values in prop::collection::vec(0.0..20.0_f64, 1..50)) {
            let rule = rule(0);
            let mut state = State::default();
            let all: Vec<_> = (0..).zip(values).map(|(i, v)| sample(T0 + i * 1_000, v)).collect();
            for s in &all {
                if let Some((next, _)) = step(&state, &rule, *s, s.at.unwrap()) { state = next; }
            }
            for s in &all {
                let again = Sample { arrival: Arrival::Again, ..*s };
                prop_assert_eq!(step(&state, &rule, again, T0 + 100_000), None);
            }
        }
    }
}
