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
    /// A reading this much older than its arrival begins nothing, seconds; without it an hour, or a quarter of one for what
    /// only calls.
    #[serde(default)]
    pub old_s: Option<u32>,
    /// It is not applied at all.
    #[serde(default)]
    pub off: bool,
}

impl Rule {
    /// A reading this much older than its arrival begins nothing, ms.
    pub(crate) fn old_ms(&self) -> i64 {
        let usual = if self.release_s > 0 { self.release_s.max(900) } else { 3_600 };
        i64::from(self.old_s.unwrap_or(usual)) * 1_000
    }

    /// Whether a sample says that it is so.
    pub(crate) fn begins(&self, sample: &Sample) -> bool {
        sample.detected.unwrap_or_else(|| self.raise.met(sample.value))
    }
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

/// The shipped rules with these in place of those of the same id, and those that are switched off left out.
pub fn merged(own: &[Rule]) -> Result<Vec<Rule>, serde_json::Error> {
    let mut all = shipped()?;
    all.retain(|rule| own.iter().all(|o| o.id != rule.id));
    all.extend(own.iter().cloned());
    all.retain(|rule| !rule.off);
    Ok(all)
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
    /// The value is only yes or no.
    pub flag: bool,
    /// Hash of the message, of those that the broker kept and those that begin something.
    pub word: u64,
    /// How it comes.
    pub arrival: Arrival,
    /// Whose clock is right is known: an earlier time is believed to be long ago.
    pub sure: bool,
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
    /// The value is only yes or no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flag: bool,
    /// Hash of the last message by which it began or went on: one that the broker kept and that was heard is not heard again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<u64>,
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
    /// Value at that moment; none of what is only yes or no.
    pub value: Option<f64>,
    /// When the device saw it, ms.
    pub at: i64,
}

/// Takes a reading that arrives at `now` (ms). `None` when it is not newer than what was seen.
pub fn step(state: &State, rule: &Rule, sample: Sample, now: i64) -> Option<(State, Option<Edge>)> {
    let at = moment(state, rule, sample, now)?;
    let begins = rule.begins(&sample);
    let stays = sample.detected.unwrap_or_else(|| rule.keep.met(sample.value));
    let mut next = State { at, value: sample.value, flag: sample.flag, ..state.clone() };
    if files(state, rule, &sample, now) {
        return Some((next, None));
    }
    if begins && sample.word != 0 {
        next.word = Some(sample.word);
    }
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

/// Whether a reading that would begin something happened too long ago: it is kept, and nobody is called.
pub(crate) fn files(state: &State, rule: &Rule, sample: &Sample, now: i64) -> bool {
    let age = sample.at.map_or(0, |at| now.saturating_sub(at));
    sample.sure && age >= rule.old_ms() && !state.raised() && rule.begins(sample)
}

/// Whether a reading is not newer than what was seen.
pub(crate) fn late(state: &State, sample: &Sample, now: i64) -> bool {
    let seen = seen(state, now);
    sample.at.is_some_and(|at| seen != 0 && at.min(now) < seen)
}

/// A moment less than this ahead is the present, ms.
const AHEAD_MS: i64 = 60_000;

/// When the newest reading was; 0 = never, and also where that lies ahead: our clock was wrong then, and what comes now must
/// not wait for that time.
fn seen(state: &State, now: i64) -> i64 {
    if state.at.saturating_sub(now) > AHEAD_MS { 0 } else { state.at }
}

/// The moment of a reading that counts: never in the future, not before any other. A device without a clock is always
/// heard, also twice; but of what the broker kept nobody knows how old it is. A call was heard when it was made. A condition
/// still holds, unless the same words were heard before; and what is over is believed of the device itself only. A call with
/// a time would have ended by itself when it is that old. What the broker delivers again was seen when nothing newer is
/// missing.
fn moment(state: &State, rule: &Rule, sample: Sample, now: i64) -> Option<i64> {
    let kept = sample.arrival == Arrival::Kept;
    let last = seen(state, now);
    let Some(at) = sample.at.map(|at| at.min(now)) else {
        let heard = last != 0 && (!rule.begins(&sample) || state.word == Some(sample.word));
        let stale = kept && (rule.release_s > 0 || heard);
        return (!stale).then_some(now.max(last));
    };
    if kept && rule.release_s > 0 && now.saturating_sub(at) >= release_ms(rule) {
        return None;
    }
    let first = sample.arrival == Arrival::First;
    (last == 0 || at > last || (at == last && first)).then_some(at)
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
    Edge { number: state.edges, raised, value: (!state.flag).then_some(state.value), at }
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
            old_s: None,
            off: false,
        }
    }

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at: Some(at), value, detected: None, flag: false, word: 0, arrival: Arrival::First, sure: true }
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
        assert_eq!(edge, Some(Edge { number: 1, raised: true, value: Some(11.0), at: T0 + 10_000 }));
        assert_eq!(tick(&state, &rule, T0 + 90_000), None, "once");
    }

    #[test]
    fn a_button_releases_itself() {
        let rule = Rule { release_s: 300, ..rule(0) };
        let press = Sample { detected: Some(true), flag: true, word: 7, ..sample(T0, 1.0) };
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
        let press = Sample { detected: Some(true), word: 7, ..sample(T0, 11.0) };
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
    fn readings_older_than_the_last_change_nothing() {
        let rule = rule(0);
        let (state, _) = step(&State::default(), &rule, sample(T0, 3.0), T0).unwrap();
        let again = Sample { arrival: Arrival::Again, ..sample(T0, 11.0) };
        assert_eq!(step(&state, &rule, again, T0 + 5), None, "the same moment, redelivered");
        let clockless = Sample { at: None, ..sample(0, 11.0) };
        assert!(step(&state, &rule, clockless, T0).unwrap().1.is_some(), "two in one millisecond both count");
        assert_eq!(step(&state, &rule, sample(T0 - 60_000, 11.0), T0 + 5), None, "late");
        let again = Sample { arrival: Arrival::Again, ..sample(T0 - 3_600_000, 11.0) };
        assert_eq!(step(&state, &rule, again, T0 + 5), None, "redelivered");
        assert_eq!(step(&state, &rule, sample(T0 - 3_600_000, 11.0), T0 + 5), None, "much later than that");
        let (state, _) = step(&state, &rule, sample(T0 + 999_999_999, 11.0), T0 + 6).unwrap();
        assert_eq!(state.at, T0 + 6, "a device ahead of time cannot silence itself");
    }

    #[test]
    fn what_the_broker_kept_never_overrides_what_came_later() {
        let rule = rule(0);
        let word = |word, value| Sample { at: None, word, detected: Some(value > 5.0), flag: true, ..sample(0, value) };
        let kept = |n, value| Sample { arrival: Arrival::Kept, ..word(n, value) };
        let (state, edge) = step(&State::default(), &rule, word(1, 11.0), T0).unwrap();
        assert_eq!(edge.unwrap().value, None, "yes is no number");
        assert_eq!(step(&state, &rule, kept(2, 0.0), T0 + 1), None, "an old calm ends no fire");
        let (state, edge) = step(&state, &rule, word(2, 0.0), T0 + 2).unwrap();
        assert!(!edge.unwrap().raised);
        assert_eq!(step(&state, &rule, kept(1, 11.0), T0 + 3), None, "the fire that was heard and is over");
        let stored: State = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(step(&stored, &rule, kept(1, 11.0), T0 + 3), None, "also after a restart");
        assert!(step(&state, &rule, kept(3, 11.0), T0 + 3).unwrap().1.unwrap().raised, "one that nobody heard");
    }

    #[test]
    fn what_is_old_is_filed_without_sound() {
        let button = Rule { release_s: 300, ..rule(0) };
        let edge =
            |rule: &Rule, age: i64| step(&State::default(), rule, sample(T0 - age, 11.0), T0).unwrap().1.is_some();
        assert_eq!([edge(&button, 899_999), edge(&button, 900_000), edge(&button, 86_400_000)], [true, false, false]);
        assert_eq!([edge(&rule(0), 3_599_999), edge(&rule(0), 3_600_000)], [true, false]);
        let sooner = Rule { old_s: Some(60), ..rule(0) };
        assert!(!edge(&sooner, 60_000));
        // What is over is over however late that is heard.
        let (state, _) = step(&State::default(), &button, sample(T0 - 800_000, 11.0), T0).unwrap();
        let (_, edge) = step(&state, &button, sample(T0 - 700_000, 0.0), T0 + 3_600_000).unwrap();
        assert!(!edge.unwrap().raised);
    }

    #[test]
    fn states_of_earlier_versions_are_read() {
        let old = r#"{"edges":3,"at":5,"value":1.5,"phase":{"Raised":{"seen":5}}}"#;
        let state: State = serde_json::from_str(old).unwrap();
        assert_eq!((state.edges, state.flag, state.word), (3, false, None));
        assert_eq!(serde_json::to_string(&state).unwrap(), old, "and written as they were");
    }

    #[test]
    fn one_rule_of_ones_own_switches_no_other_off() {
        let own = Rule { id: "smoke".into(), ..rule(7) };
        let all = merged(&[own.clone(), Rule { id: "mine".into(), ..rule(1) }]).unwrap();
        assert_eq!(all.len(), shipped().unwrap().len() + 1);
        assert_eq!(all.iter().find(|r| r.id == "smoke"), Some(&own));
        for id in ["gas", "sos", "lift_trapped", "call_point", "mine"] {
            assert!(all.iter().any(|r| r.id == id), "{id}");
        }
        let off = merged(&[Rule { id: "fire_lane".into(), off: true, ..rule(1) }]).unwrap();
        assert_eq!(off.len(), shipped().unwrap().len() - 1, "only what says so");
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
