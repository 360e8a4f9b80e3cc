//! Messages and time against the rules: what must be stored and what must be told. No I/O; memory here is always what
//! the last batch said, because a batch is repeated until it is stored.

use std::collections::{BTreeMap, HashMap};

use domain::{
    ids::SensorId,
    input::Observation,
    site::{SensorKind, Site},
    time::Timestamp,
};
use ledger::{PendingObservation, RuleState, Stranger, TelemetryBatch};
use serde::{Deserialize, Serialize};

use crate::{
    formats::{self, Fault, Message, Why},
    rules::{self, Arrival, Edge, Rule, Sample, State},
};

/// An edge on its way to the writer, as it is stored meanwhile. Names and numbers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingEdge {
    pub(crate) sensor: String,
    pub(crate) rule: String,
    pub(crate) kind: String,
    pub(crate) raised: bool,
    pub(crate) value: f64,
    pub(crate) at: i64,
}

impl PendingEdge {
    pub(crate) fn observation(&self) -> Observation {
        Observation::SensorEdge {
            sensor: self.sensor.as_str().into(),
            rule: self.rule.as_str().into(),
            kind: self.kind.as_str().into(),
            raised: self.raised,
            value: Some(self.value),
            at: Timestamp(self.at),
        }
    }
}

/// What a batch of messages leads to.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) telemetry: TelemetryBatch,
    /// Newest state of the rules that moved, by sensor and rule.
    states: BTreeMap<(SensorId, usize), State>,
    pub(crate) links: Vec<(SensorId, bool)>,
    pub(crate) unreadable: Vec<(Why, u64)>,
}

/// Rules and their states.
pub(crate) struct Engine {
    epoch: u64,
    sensors: HashMap<String, SensorKind>,
    rules: Vec<Rule>,
    states: HashMap<(SensorId, usize), State>,
    /// What the writer was last told.
    links: HashMap<SensorId, bool>,
    gateways: HashMap<String, Vec<SensorId>>,
}

impl Engine {
    /// With the states of an earlier run; those of rules or sensors that are gone are left alone.
    pub(crate) fn new(site: &Site, rules: Vec<Rule>, epoch: u64, stored: &[RuleState]) -> Self {
        let sensors: HashMap<_, _> = site.sensors.iter().map(|s| (s.id.as_str().to_owned(), s.kind)).collect();
        let mut states = HashMap::new();
        for row in stored {
            let Some(rule) = rules.iter().position(|r| r.id == row.rule) else { continue };
            match serde_json::from_slice(&row.state) {
                Ok(state) => drop(states.insert((SensorId::new(&row.sensor), rule), state)),
                Err(error) => {
                    tracing::warn!(sensor.id = %row.sensor, rule = %row.rule, %error, "rule state unreadable")
                }
            }
        }
        Self { epoch, sensors, rules, states, links: HashMap::new(), gateways: HashMap::new() }
    }

    /// Takes one message.
    pub(crate) fn take(&mut self, topic: &str, payload: &[u8], arrival: Arrival, now: i64, out: &mut Changes) {
        match formats::parse(topic, payload, |id| self.sensors.get(id).copied()) {
            Ok(Message::Reading(reading)) => self.reading(reading, arrival, now, out),
            Ok(Message::Link { sensor, online }) => self.link(SensorId::new(sensor), online, out),
            Ok(Message::Gateway { gateway, online, sensors }) => self.gateway(gateway, online, sensors, out),
            Ok(Message::Many { readings, faults }) => {
                readings.into_iter().for_each(|reading| self.reading(reading, arrival, now, out));
                faults.into_iter().for_each(|fault| out.fault(fault, payload.len(), now));
            }
            Ok(Message::Nothing) => {}
            Err(fault) => out.fault(fault, payload.len(), now),
        }
    }

    fn reading(&mut self, reading: formats::Reading, arrival: Arrival, now: i64, out: &mut Changes) {
        let at = reading.at.unwrap_or(now).min(now);
        let row = |sensor: String, value, unit: Option<&str>| ledger::Reading {
            sensor,
            at_ms: at,
            value,
            unit: unit.map(str::to_owned),
        };
        for (name, value, unit) in reading.extras {
            out.telemetry.readings.push(row(format!("{}/{name}", reading.sensor), value, Some(unit)));
        }
        let id = SensorId::new(&reading.sensor);
        // What reports is there, also a device that was last told as lost by an earlier run.
        if arrival == Arrival::First {
            self.link(id.clone(), true, out);
        }
        let Some(measure) = reading.measure else { return };
        let Some(kind) = self.sensors.get(&reading.sensor).copied() else { return };
        out.telemetry.readings.push(row(reading.sensor, measure.value, unit(kind)));
        let sample = Sample { at: reading.at, value: measure.value, detected: measure.detected, arrival };
        for index in 0..self.rules.len() {
            let key = (id.clone(), index);
            let state = self.states.get(&key).copied().unwrap_or_default();
            let Some(rule) = self.rules.get(index).filter(|r| r.kind == kind) else { continue };
            if let Some((next, edge)) = rules::step(&state, rule, sample, now) {
                self.moved(key, next, edge, out);
            }
        }
    }

    /// Lets time pass for rules that hold or release.
    pub(crate) fn tick(&mut self, now: i64, out: &mut Changes) {
        let due: Vec<_> = self
            .states
            .iter()
            .filter_map(|(key, state)| {
                let (next, edge) = rules::tick(state, self.rules.get(key.1)?, now)?;
                Some((key.clone(), next, edge))
            })
            .collect();
        for (key, next, edge) in due {
            self.moved(key, next, Some(edge), out);
        }
    }

    fn moved(&mut self, key: (SensorId, usize), next: State, edge: Option<Edge>, out: &mut Changes) {
        if let (Some(edge), Some(rule)) = (edge, self.rules.get(key.1)) {
            let pending = PendingEdge {
                sensor: key.0.as_str().to_owned(),
                rule: rule.id.clone(),
                kind: rule.alarm.clone(),
                raised: edge.raised,
                value: edge.value,
                at: edge.at,
            };
            match serde_json::to_vec(&pending) {
                Ok(payload) => out.telemetry.pending.push(PendingObservation {
                    key: format!("{}/{}/{}/{}", self.epoch, key.0, rule.id, edge.number),
                    payload: payload.into(),
                }),
                Err(error) => tracing::error!(sensor.id = %key.0, %error, "an edge cannot be written"),
            }
        }
        self.states.insert(key.clone(), next);
        out.states.insert(key, next);
    }

    fn link(&mut self, sensor: SensorId, online: bool, out: &mut Changes) {
        if self.links.insert(sensor.clone(), online) != Some(online) {
            out.links.push((sensor, online));
        }
    }

    /// A gateway speaks for its devices when it is lost; when it is back each device speaks for itself or by a reading.
    fn gateway(&mut self, gateway: String, online: bool, sensors: Option<Vec<String>>, out: &mut Changes) {
        const MOST: usize = 1_000;
        let mut unknown = false;
        let behind = match sensors {
            Some(names) => {
                let known = names.iter().filter(|n| self.sensors.contains_key(n.as_str()));
                let list: Vec<_> = known.map(SensorId::new).collect();
                unknown = list.len() < names.len();
                if self.gateways.len() < MOST || self.gateways.contains_key(&gateway) {
                    self.gateways.insert(gateway, list.clone());
                }
                list
            }
            None => self.gateways.get(&gateway).cloned().unwrap_or_default(),
        };
        if unknown {
            out.unreadable.push((Why::UnknownDevice, 0));
        }
        for sensor in behind {
            self.link(sensor, online, out);
        }
    }
}

/// Devices that one batch remembers of those that the site does not have, and length of a name, bytes.
const STRANGERS: usize = 64;
const STRANGER_NAME: usize = 64;

impl Changes {
    /// What was not understood; a device that the site does not have is remembered, so that somebody can take it in.
    fn fault(&mut self, fault: Fault, size: usize, now: i64) {
        self.unreadable.push((fault.why, size as u64));
        let Some((device, format)) = fault.stranger else { return };
        let known = &mut self.telemetry.strangers;
        if let Some(known) = known.iter_mut().find(|s| s.device == device) {
            known.count += 1;
        } else if known.len() < STRANGERS
            && (1..=STRANGER_NAME).contains(&device.len())
            && !device.chars().any(char::is_control)
        {
            known.push(Stranger { device, format: format.to_owned(), first_ms: now, last_ms: now, count: 1 });
        }
    }

    /// Finishes a batch: the states go with the readings.
    pub(crate) fn seal(&mut self, engine: &Engine) {
        let states = std::mem::take(&mut self.states);
        self.telemetry.rule_states.extend(states.iter().filter_map(|((sensor, rule), state)| {
            let rule = engine.rules.get(*rule)?.id.clone();
            let state = serde_json::to_vec(state).ok()?.into();
            Some(RuleState { sensor: sensor.as_str().to_owned(), rule, state })
        }));
    }

    pub(crate) fn stores(&self) -> bool {
        let t = &self.telemetry;
        !(t.readings.is_empty() && t.rule_states.is_empty() && t.pending.is_empty() && t.strangers.is_empty())
    }
}

/// Unit of a kind's values.
const fn unit(kind: SensorKind) -> Option<&'static str> {
    match kind {
        SensorKind::Smoke => Some("dB/m"),
        SensorKind::Gas => Some("%LEL"),
        SensorKind::ElectricalFire => Some("mA"),
        SensorKind::HydrantPressure => Some("MPa"),
        SensorKind::Manhole => Some("°"),
        SensorKind::WaterLevel => Some("m"),
        SensorKind::EbikeCharging => Some("A"),
        SensorKind::CallPoint | SensorKind::Lift | SensorKind::Sos | SensorKind::FireLane => None,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
