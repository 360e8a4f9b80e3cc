//! The freshness light of a department: green within its schedule, yellow when late, red when silent or failing.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    event::Mode,
    ids::UnitId,
    input::{Input, Observation},
    light::Light,
    time::Timestamp,
};
use link::intake::Submission;

use crate::{Shared, config::Connector, guard};

/// Calls that fail one after another until the light is red.
const FAILING: u32 = 3;
/// How often lights are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Signs of life of one department.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    started: i64,
    heard: Option<i64>,
    failures: u32,
}

impl Pulse {
    pub(crate) fn new(now: i64) -> Self {
        Self { started: now, heard: None, failures: 0 }
    }
    /// It called, or answered a call.
    pub(crate) fn heard(&mut self, now: i64) {
        self.heard = Some(now);
        self.failures = 0;
    }
    /// It did not answer a call.
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
    pub(crate) fn heard_ms(&self) -> Option<i64> {
        self.heard
    }
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
    /// The light at `now`.
    pub(crate) fn light(&self, connector: &Connector, now: i64) -> Light {
        let [fresh, late] = [connector.fresh_for_s, connector.late_for_s].map(|s| i64::from(s) * 1_000);
        let silent = now.saturating_sub(self.heard.unwrap_or(self.started));
        match self.heard {
            _ if self.failures >= FAILING || silent > late => Light::Red,
            None => Light::Unknown,
            Some(_) if silent > fresh => Light::Yellow,
            Some(_) => Light::Green,
        }
    }
}

/// Tells each light at the start and whenever it changes.
pub(crate) async fn run(shared: &Shared) {
    let mut told: BTreeMap<String, Light> = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let now = shared.clock.now_ms();
        let lights: Vec<_> = shared
            .connectors
            .iter()
            .filter_map(|(unit, connector)| {
                let pulse = *guard(&shared.pulses).get(unit)?;
                Some((unit.clone(), pulse.light(connector, now), pulse.heard_ms()))
            })
            .collect();
        for (unit, light, last) in lights {
            if told.get(&unit) == Some(&light) {
                continue;
            }
            let observation = Observation::LightChanged { unit: UnitId::new(&unit), light, last: last.map(Timestamp) };
            let input = Input::Observe { mode: Mode::Real, observation };
            // Harmless twice; a refusal (a unit that the site does not have) would only repeat.
            if let Err(error) = shared.insist(Submission::keyless(input)).await {
                tracing::warn!(unit.id = %unit, %error, "a light was refused");
            }
            told.insert(unit, light);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn connector() -> Connector {
        Connector {
            unit: "fire".into(),
            secret: Secret::new("0123456789abcdef"),
            window_s: 300,
            push: None,
            pull: None,
            sources: Vec::new(),
            records: BTreeMap::new(),
            fresh_for_s: 10,
            late_for_s: 30,
            next: Vec::new(),
            red_limit_s: 60,
        }
    }

    #[test]
    fn the_light_follows_silence_and_failure() {
        let c = connector();
        let mut pulse = Pulse::new(0);
        assert_eq!(pulse.light(&c, 1_000), Light::Unknown);
        assert_eq!(pulse.light(&c, 30_001), Light::Red, "never heard for long is silent");
        pulse.heard(40_000);
        assert_eq!(pulse.light(&c, 50_000), Light::Green);
        assert_eq!(pulse.light(&c, 50_001), Light::Yellow);
        assert_eq!(pulse.light(&c, 70_000), Light::Yellow);
        assert_eq!(pulse.light(&c, 70_001), Light::Red);
        pulse.heard(80_000);
        (0..2).for_each(|_| pulse.failed());
        assert_eq!(pulse.light(&c, 80_000), Light::Green, "two failures are no outage");
        pulse.failed();
        assert_eq!(pulse.light(&c, 80_000), Light::Red);
        pulse.heard(81_000);
        assert_eq!(pulse.light(&c, 81_000), Light::Green);
    }
}
