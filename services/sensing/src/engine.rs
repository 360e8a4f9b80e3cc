//! Messages and time against the rules: what must be stored and what must be told. No I/O; memory here is always what
//! the last batch said, because a batch is repeated until it is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::{
    ids::SensorId,
    input::Observation,
    site::{SensorKind, Site},
    time::Timestamp,
};
use ledger::{PendingObservation, RuleState, Stranger, TelemetryBatch, limits};
use serde::{Deserialize, Serialize};

use crate::{
    Login,
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

/// Edges of one rule of one device that a batch of messages tells. Each waits for the one before it, and what comes behind
/// waits for all; further turns are folded into where the rule stands at the next tick.
const EDGES: u32 = 16;

/// What a batch of messages leads to.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What one commit had no room for, to be stored and told before the rest.
    pub(crate) parts: Vec<TelemetryBatch>,
    pub(crate) telemetry: TelemetryBatch,
    /// Rules that moved: device and its rule, by number.
    moved: BTreeSet<(usize, usize)>,
    /// Edges of each rule that moved, see [`EDGES`].
    told: HashMap<(usize, usize), u32>,
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
    /// When the last value without a time of its own arrived, ms.
    arrived: i64,
}

/// How far the times of values that arrive together may run ahead of the clock, ms.
const AHEAD_MS: i64 = 60_000;

/// Rules and their states.
pub(crate) struct Engine {
    epoch: u64,
    index: HashMap<String, usize>,
    devices: Vec<Device>,
    rules: Vec<Rule>,
    /// Devices behind a gateway, as it said itself.
    gateways: HashMap<String, Vec<usize>>,
    /// Devices that a gateway with a password of its own may speak for.
    speaks: HashMap<String, HashSet<usize>>,
    /// Devices whose login was taken back, and when they count as lost.
    leaving: BTreeMap<usize, i64>,
}

/// How long what the broker took from a device before it cut it off may be on its way to us, ms.
const LEAVING_MS: i64 = 1_000;

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
            devices.push(Device { id: sensor.id.clone(), kind: sensor.kind, rules, online: None, arrived: i64::MIN });
        }
        let (gateways, speaks) = (HashMap::new(), HashMap::new());
        Self { epoch, index, devices, rules, gateways, speaks, leaving: BTreeMap::new() }
    }

    /// Takes one message.
    #[cfg(test)]
    pub(crate) fn take(&mut self, topic: &str, payload: &[u8], arrival: Arrival, now: i64, out: &mut Changes) {
        let message = self.parse(topic, payload);
        self.apply(message, payload.len(), arrival, now, out);
    }

    /// Reads one message.
    pub(crate) fn parse(&self, topic: &str, payload: &[u8]) -> Result<Message, Fault> {
        formats::parse(topic, payload, |id| Some(self.devices.get(*self.index.get(id)?)?.kind))
    }

    /// Takes one message that was read, of this many bytes.
    pub(crate) fn apply(
        &mut self,
        message: Result<Message, Fault>,
        size: usize,
        arrival: Arrival,
        now: i64,
        out: &mut Changes,
    ) {
        match message {
            Ok(Message::Reading(reading)) => self.reading(reading, arrival, now, out),
            Ok(Message::Link { sensor, online }) => self.link(self.index.get(&sensor).copied(), online, out),
            Ok(Message::Gateway { gateway, online, sensors }) => self.gateway(gateway, online, sensors, out),
            Ok(Message::Many { readings, faults }) => {
                readings.into_iter().for_each(|reading| self.reading(reading, arrival, now, out));
                faults.into_iter().for_each(|fault| out.fault(fault, size, arrival, now));
            }
            Ok(Message::Nothing) => {}
            Err(fault) => out.fault(fault, size, arrival, now),
        }
    }

    /// Time and value of a reading that would pass for one of a device whose clock went back.
    pub(crate) fn doubts(&self, reading: &formats::Reading) -> Option<(i64, f64)> {
        let (at, measure) = (reading.at?, reading.measure?);
        let device = self.devices.get(*self.index.get(&reading.sensor)?)?;
        let back = |s: &Standing| s.state.at.saturating_sub(at) > rules::CLOCK_RESET_MS;
        device.rules.iter().any(back).then_some((at, measure.value))
    }

    fn reading(&mut self, reading: formats::Reading, arrival: Arrival, now: i64, out: &mut Changes) {
        let number = self.index.get(&reading.sensor).copied();
        let at = reading.at.map_or_else(|| self.arrives(number, now), |at| at.min(now));
        // Of what the broker kept nobody knows when it was measured, unless it says so.
        let stores = reading.at.is_some() || arrival != Arrival::Kept;
        let row = |sensor: String, value, unit: Option<&str>| ledger::Reading {
            sensor,
            at_ms: at,
            value,
            unit: unit.map(str::to_owned),
        };
        for (name, value, unit) in reading.extras.into_iter().filter(|_| stores) {
            out.telemetry.readings.push(row(format!("{}/{name}", reading.sensor), value, Some(unit)));
        }
        // What reports is there, also a device that was last told as lost by an earlier run.
        if arrival == Arrival::First {
            self.link(number, true, out);
        }
        let (Some(measure), Some(number)) = (reading.measure, number) else { return };
        let Some(device) = self.devices.get(number) else { return };
        if stores {
            out.telemetry.readings.push(row(reading.sensor, measure.value, unit(device.kind)));
        }
        let sample = Sample { at: reading.at, value: measure.value, detected: measure.detected, arrival };
        for place in 0..device.rules.len() {
            self.moves((number, place), out, |state, rule| rules::step(state, rule, sample, now));
        }
    }

    /// The time of a value that has none of its own: its arrival, and later than the one before, for two of one millisecond
    /// would be one.
    fn arrives(&mut self, device: Option<usize>, now: i64) -> i64 {
        let Some(device) = device.and_then(|n| self.devices.get_mut(n)) else { return now };
        let ahead = device.arrived.saturating_sub(now);
        // A clock that was set back is believed.
        device.arrived = if (0..AHEAD_MS).contains(&ahead) { device.arrived + 1 } else { now };
        device.arrived
    }

    /// Lets time pass for rules that hold or release.
    pub(crate) fn tick(&mut self, now: i64, out: &mut Changes) {
        out.told.clear();
        // Also when the clock was set back.
        let gone = |_: &usize, due: &mut i64| now >= *due || now < due.saturating_sub(LEAVING_MS);
        let gone: Vec<_> = self.leaving.extract_if(.., gone).map(|(device, _)| device).collect();
        for device in gone {
            self.link(Some(device), false, out);
        }
        for number in 0..self.devices.len() {
            for place in 0..self.devices.get(number).map_or(0, |d| d.rules.len()) {
                self.moves((number, place), out, |state, rule| rules::tick(state, rule, now));
            }
        }
    }

    /// Moves one rule of one device on by `step`.
    fn moves(
        &mut self,
        which: (usize, usize),
        out: &mut Changes,
        step: impl FnOnce(&State, &Rule) -> Option<(State, Option<Edge>)>,
    ) {
        let Some(device) = self.devices.get_mut(which.0) else { return };
        let Some(standing) = device.rules.get_mut(which.1) else { return };
        let Some(rule) = self.rules.get(standing.rule) else { return };
        let Some((mut next, mut edge)) = step(&standing.state, rule) else { return };
        if edge.is_some() {
            let told = out.told.entry(which).or_default();
            *told += 1;
            if *told > EDGES {
                next.fold();
                edge = None;
            }
        }
        if standing.moves(next, rule, edge.is_some()) {
            out.moved.insert(which);
        }
        out.edge(self.epoch, &device.id, rule, edge);
        if out.is_full() {
            out.seal(self);
            out.parts.push(std::mem::take(&mut out.telemetry));
        }
    }

    fn link(&mut self, device: Option<usize>, online: bool, out: &mut Changes) {
        let Some(device) = device.and_then(|n| self.devices.get_mut(n)) else { return };
        if device.online.replace(online) != Some(online) {
            out.links.push((device.id.clone(), online));
        }
    }

    /// A gateway speaks for its devices when it is lost; when it is back each device speaks for itself or by a reading. One
    /// with a password of its own speaks for those that the password was issued for, whatever it says.
    fn gateway(&mut self, gateway: String, online: bool, sensors: Option<Vec<String>>, out: &mut Changes) {
        const MOST: usize = 1_000;
        let behind = match sensors {
            Some(names) => {
                let speaks = self.speaks.get(&gateway);
                let own = |n: &usize| speaks.is_none_or(|s| s.contains(n));
                let list: Vec<_> =
                    names.iter().filter_map(|n| self.index.get(n.as_str()).copied()).filter(own).collect();
                if list.len() < names.len() {
                    out.unreadable.push((Why::UnknownDevice, 0));
                }
                if self.gateways.len() < MOST || self.gateways.contains_key(&gateway) {
                    self.gateways.insert(gateway, list.clone());
                }
                list
            }
            None => {
                // What it may speak for may have become less since it said so.
                let speaks = self.speaks.get(&gateway);
                let own = |n: &&usize| speaks.is_none_or(|s| s.contains(n));
                self.gateways.get(&gateway).map(|list| list.iter().filter(own).copied().collect()).unwrap_or_default()
            }
        };
        for device in behind.into_iter().filter(|_| !online) {
            self.link(Some(device), false, out);
        }
    }

    /// Who may log in with a password of its own.
    pub(crate) fn allow(&mut self, logins: &[Login]) {
        let known = |id: &SensorId| self.index.get(id.as_str()).copied();
        let speaks = |l: &Login| (l.device.as_str().to_owned(), l.behind.iter().filter_map(known).collect());
        self.speaks = logins.iter().map(speaks).collect();
    }

    /// The broker cut off those who spoke for these sensors. What it had taken from them before is heard first; whoever is
    /// heard later is back.
    pub(crate) fn leave(&mut self, sensors: impl IntoIterator<Item = SensorId>, now: i64) {
        let known = sensors.into_iter().filter_map(|id| self.index.get(id.as_str()).copied());
        self.leaving.extend(known.map(|device| (device, now.saturating_add(LEAVING_MS))));
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
    /// Whether it must be stored before another message is taken: one message has at most 3,000 values.
    pub(crate) fn is_due(&self) -> bool {
        !self.parts.is_empty() || self.telemetry.readings.len() >= limits::READINGS - 3_000
    }

    /// What the next batch goes on from: how much of each rule this one told.
    pub(crate) fn rest(&mut self) -> Self {
        Self { told: std::mem::take(&mut self.told), ..Self::default() }
    }

    /// Whether it stores this value of this time.
    pub(crate) fn holds(&self, sensor: &str, at_ms: i64, value: f64) -> bool {
        let mut all = self.parts.iter().chain([&self.telemetry]).flat_map(|t| &t.readings);
        all.any(|r| r.at_ms == at_ms && r.value.to_bits() == value.to_bits() && r.sensor == sensor)
    }

    /// Whether one commit takes no more of it.
    fn is_full(&self) -> bool {
        let t = &self.telemetry;
        t.pending.len() >= limits::ROWS || self.moved.len().max(t.readings.len() + 3) >= limits::READINGS
    }

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
    fn fault(&mut self, fault: Fault, size: usize, arrival: Arrival, now: i64) {
        self.unreadable.push((fault.why, size as u64));
        // One of which the broker kept a word is perhaps long gone.
        let Some((device, format)) = fault.stranger.filter(|_| arrival != Arrival::Kept) else { return };
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

    /// Commits in their order, those that store something.
    pub(crate) fn commits(&mut self) -> Vec<TelemetryBatch> {
        let mut all = std::mem::take(&mut self.parts);
        all.push(std::mem::take(&mut self.telemetry));
        all.retain(|t| {
            !(t.readings.is_empty() && t.rule_states.is_empty() && t.pending.is_empty() && t.strangers.is_empty())
        });
        all
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
