//! Messages and time against the rules: what must be stored and what must be told. No I/O; memory here is always what
//! the last batch said, because a batch is repeated until it is stored.

use std::collections::{BTreeSet, HashMap};

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
    /// Rules that moved: device and its rule, by number.
    moved: BTreeSet<(usize, usize)>,
    pub(crate) links: Vec<(SensorId, bool)>,
    pub(crate) unreadable: Vec<(Why, u64)>,
}

/// Where a rule stands for one sensor.
struct Standing {
    /// The rule, by number.
    rule: usize,
    state: State,
    /// Time of the newest reading as it is stored, ms.
    stored_at: i64,
}

/// The time of a rule's newest reading is stored this often when nothing else changes, ms. What is repeated after a crash
/// finds every edge stored with its time; only a reading that comes late by less than this, right after a crash, is heard
/// though a newer one was.
const STALE_MS: i64 = 60_000;

impl Standing {
    /// Moves on; whether that must be stored with the readings.
    fn moves(&mut self, next: State, rule: &Rule, edge: bool) -> bool {
        let (was, is) = (&self.state, &next);
        let turned = edge || was.turns != is.turns || was.held != is.held;
        let phase = std::mem::discriminant(&was.phase) != std::mem::discriminant(&is.phase);
        let seen = rule.release_s > 0 && was.phase != is.phase;
        let stores = turned || phase || seen || is.at.saturating_sub(self.stored_at) >= STALE_MS;
        if stores {
            self.stored_at = is.at;
        }
        self.state = next;
        stores
    }
}

/// A sensor of the site.
struct Device {
    id: SensorId,
    kind: SensorKind,
    /// The rules of its kind.
    rules: Vec<Standing>,
    /// What the writer was last told.
    online: Option<bool>,
}

/// Rules and their states.
pub(crate) struct Engine {
    epoch: u64,
    index: HashMap<String, usize>,
    devices: Vec<Device>,
    rules: Vec<Rule>,
    /// Devices behind a gateway.
    gateways: HashMap<String, Vec<usize>>,
}

impl Engine {
    /// With the states of an earlier run; those of rules or sensors that are gone are left alone.
    pub(crate) fn new(site: &Site, rules: Vec<Rule>, epoch: u64, stored: &[RuleState]) -> Self {
        let states = stored_states(stored);
        let (mut index, mut devices) = (HashMap::new(), Vec::new());
        for sensor in &site.sensors {
            let state = |rule: &str| states.get(&(sensor.id.as_str(), rule)).cloned().unwrap_or_default();
            let of_kind = rules.iter().enumerate().filter(|(_, r)| r.kind == sensor.kind);
            let standing = |(rule, r): (usize, &Rule)| {
                let state = state(&r.id);
                Standing { rule, stored_at: state.at, state }
            };
            let rules = of_kind.map(standing).collect();
            index.insert(sensor.id.as_str().to_owned(), devices.len());
            devices.push(Device { id: sensor.id.clone(), kind: sensor.kind, rules, online: None });
        }
        Self { epoch, index, devices, rules, gateways: HashMap::new() }
    }

    /// Takes one message.
    pub(crate) fn take(&mut self, topic: &str, payload: &[u8], arrival: Arrival, now: i64, out: &mut Changes) {
        match formats::parse(topic, payload, |id| Some(self.devices.get(*self.index.get(id)?)?.kind)) {
            Ok(Message::Reading(reading)) => self.reading(reading, arrival, now, out),
            Ok(Message::Link { sensor, online }) => self.link(self.index.get(&sensor).copied(), online, out),
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
        let number = self.index.get(&reading.sensor).copied();
        // What reports is there, also a device that was last told as lost by an earlier run.
        if arrival == Arrival::First {
            self.link(number, true, out);
        }
        let (Some(measure), Some(number)) = (reading.measure, number) else { return };
        let Some(device) = self.devices.get_mut(number) else { return };
        out.telemetry.readings.push(row(reading.sensor, measure.value, unit(device.kind)));
        let sample = Sample { at: reading.at, value: measure.value, detected: measure.detected, arrival };
        for (place, standing) in device.rules.iter_mut().enumerate() {
            let Some(rule) = self.rules.get(standing.rule) else { continue };
            if let Some((next, edge)) = rules::step(&standing.state, rule, sample, now) {
                if standing.moves(next, rule, edge.is_some()) {
                    out.moved.insert((number, place));
                }
                out.edge(self.epoch, &device.id, rule, edge);
            }
        }
    }

    /// Lets time pass for rules that hold or release.
    pub(crate) fn tick(&mut self, now: i64, out: &mut Changes) {
        for (number, device) in self.devices.iter_mut().enumerate() {
            for (place, standing) in device.rules.iter_mut().enumerate() {
                let Some(rule) = self.rules.get(standing.rule) else { continue };
                if let Some((next, edge)) = rules::tick(&standing.state, rule, now) {
                    if standing.moves(next, rule, edge.is_some()) {
                        out.moved.insert((number, place));
                    }
                    out.edge(self.epoch, &device.id, rule, edge);
                }
            }
        }
    }

    fn link(&mut self, device: Option<usize>, online: bool, out: &mut Changes) {
        let Some(device) = device.and_then(|n| self.devices.get_mut(n)) else { return };
        if device.online.replace(online) != Some(online) {
            out.links.push((device.id.clone(), online));
        }
    }

    /// A gateway speaks for its devices when it is lost; when it is back each device speaks for itself or by a reading.
    fn gateway(&mut self, gateway: String, online: bool, sensors: Option<Vec<String>>, out: &mut Changes) {
        const MOST: usize = 1_000;
        let mut unknown = false;
        let behind = match sensors {
            Some(names) => {
                let list: Vec<_> = names.iter().filter_map(|n| self.index.get(n.as_str()).copied()).collect();
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
        for device in behind {
            self.link(Some(device), online, out);
        }
    }
}

fn stored_states(stored: &[RuleState]) -> HashMap<(&str, &str), State> {
    let mut states = HashMap::new();
    for row in stored {
        match serde_json::from_slice(&row.state) {
            Ok(state) => drop(states.insert((row.sensor.as_str(), row.rule.as_str()), state)),
            Err(error) => tracing::warn!(sensor.id = %row.sensor, rule = %row.rule, %error, "rule state unreadable"),
        }
    }
    states
}

/// Devices that one batch remembers of those that the site does not have, and length of a name, bytes.
const STRANGERS: usize = 64;
const STRANGER_NAME: usize = 64;

impl Changes {
    fn edge(&mut self, epoch: u64, sensor: &SensorId, rule: &Rule, edge: Option<Edge>) {
        let Some(edge) = edge else { return };
        let pending = PendingEdge {
            sensor: sensor.as_str().to_owned(),
            rule: rule.id.clone(),
            kind: rule.alarm.clone(),
            raised: edge.raised,
            value: edge.value,
            at: edge.at,
        };
        match serde_json::to_vec(&pending) {
            Ok(payload) => self.telemetry.pending.push(PendingObservation {
                key: format!("{epoch}/{sensor}/{}/{}", rule.id, edge.number),
                payload: payload.into(),
            }),
            Err(error) => tracing::error!(sensor.id = %sensor, %error, "an edge cannot be written"),
        }
    }

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
        let moved = std::mem::take(&mut self.moved);
        self.telemetry.rule_states.extend(moved.into_iter().filter_map(|(device, place)| {
            let device = engine.devices.get(device)?;
            let standing = device.rules.get(place)?;
            let (rule, state) = (engine.rules.get(standing.rule)?.id.clone(), &standing.state);
            Some(RuleState {
                sensor: device.id.as_str().to_owned(),
                rule,
                state: serde_json::to_vec(state).ok()?.into(),
                held: state.held.map(|h| (h.since, h.count)),
            })
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
