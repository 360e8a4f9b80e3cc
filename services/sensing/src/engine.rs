//! Messages and time against the rules: what must be stored and what must be told. No I/O; memory here is always what
//! the last batch said, because a batch is repeated until it is stored.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

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
    device_clock::DeviceClock,
    devices::{Devices, Facts, Raw},
    formats::{Fault, Formats, Heard, Measure, Message, Names, Reading, Unit, Why},
    rules::{self, Arrival, Edge, Rule, Sample, State},
    silence::Silence,
};

/// An edge on its way to the writer, as it is stored meanwhile. Names and numbers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingEdge {
    pub(crate) sensor: String,
    pub(crate) rule: String,
    pub(crate) kind: String,
    pub(crate) raised: bool,
    /// None of what is only yes or no.
    pub(crate) value: Option<f64>,
    pub(crate) at: i64,
}

impl PendingEdge {
    pub(crate) fn observation(&self) -> Observation {
        Observation::SensorEdge {
            sensor: self.sensor.as_str().into(),
            rule: self.rule.as_str().into(),
            kind: self.kind.as_str().into(),
            raised: self.raised,
            value: self.value,
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
    clock: DeviceClock,
    /// Times and values of its last readings whose time says nothing.
    undated: VecDeque<(i64, u64)>,
    /// When it was last heard, or when we began to wait for it, ms; `None` = it never was.
    heard: Option<i64>,
    /// It told a value, ever.
    told: bool,
    /// Its channels that call, a bit each.
    calls: u32,
    /// When what it said last ends by itself, ms.
    ends: Option<i64>,
    /// Since when its alarm stands against its own proof, and from when on it is stuck, ms.
    unproven: Option<i64>,
    stuck: bool,
    /// Since when it says that it is tested, ms.
    tested: Option<i64>,
    /// What it complains of.
    complaint: Option<String>,
    /// Its state was told to the screens.
    shown: Option<(Facts, bool)>,
}

/// Readings of a device whose clock was never set that are remembered.
const UNDATED: usize = 64;
/// A test that lasts longer is none: what then calls is believed, ms.
const TEST_MS: i64 = 600_000;

impl Device {
    fn new(id: SensorId, kind: SensorKind, rules: Vec<Standing>, now: i64) -> Self {
        let told = rules.iter().any(|r| r.state.at != 0);
        Self {
            id,
            kind,
            rules,
            online: None,
            arrived: i64::MIN,
            clock: DeviceClock::default(),
            undated: VecDeque::new(),
            heard: told.then_some(now),
            told,
            calls: 0,
            ends: None,
            unproven: None,
            stuck: false,
            tested: None,
            complaint: None,
            shown: None,
        }
    }

    fn facts(&self) -> Facts {
        let complains = self.stuck || self.tested.is_some() || self.complaint.is_some();
        Facts { told: self.told, lost: self.online == Some(false), complains }
    }

    fn words(&self) -> Option<String> {
        let test = self.tested.map(|_| "测试中");
        let stuck = self.stuck.then_some("持续报警，与自身测值不符");
        let all: Vec<_> = self.complaint.as_deref().into_iter().chain(stuck).chain(test).collect();
        (!all.is_empty()).then(|| all.join("、"))
    }

    /// Whether a reading whose time says nothing was taken before.
    fn took(&self, at: i64, value: f64) -> bool {
        self.undated.contains(&(at, value.to_bits()))
    }

    fn takes(&mut self, at: i64, value: f64) {
        if self.undated.len() >= UNDATED {
            self.undated.pop_front();
        }
        self.undated.push_back((at, value.to_bits()));
    }

    /// What it says about itself.
    fn says(&mut self, heard: &Heard, live: bool, now: i64) {
        match heard.test {
            Some(true) if live => drop(self.tested.get_or_insert(now)),
            Some(false) => self.tested = None,
            _ => {}
        }
        if let Some(words) = &heard.fault {
            self.complaint = (!words.is_empty()).then(|| words.clone());
        }
    }

    /// Its own proof beside its alarm; whether the alarm is to be left alone.
    fn proves(&mut self, measure: &Measure, heard: Option<&Heard>, now: i64) -> bool {
        let after = heard.and_then(|h| h.unproven_s).filter(|_| measure.detected == Some(true));
        match after {
            Some(after) => {
                self.unproven.get_or_insert(now.saturating_add(i64::from(after) * 1_000));
            }
            None => (self.unproven, self.stuck) = (None, false),
        }
        self.stuck
    }

    /// A number of which nobody says whether it is a truth: taken when that makes no difference to any rule.
    fn means(&self, rules: &[Rule], measure: Measure) -> Option<Measure> {
        if measure.unit != Unit::Unknown {
            return Some(measure);
        }
        let is = measure.value != 0.0;
        let same = |s: &Standing| rules.get(s.rule).is_none_or(|r| r.raise.met(measure.value) == is);
        self.rules.iter().all(same).then_some(Measure {
            detected: Some(is),
            unit: Unit::Flag,
            parts: (1, u32::from(is)),
            ..measure
        })
    }

    /// The time of a value that has none of its own: its arrival, and later than the one before, for two of one millisecond
    /// would be one.
    fn arrives(&mut self, now: i64) -> i64 {
        let ahead = self.arrived.saturating_sub(now);
        // A clock that was set back is believed.
        self.arrived = if (0..AHEAD_MS).contains(&ahead) { self.arrived + 1 } else { now };
        self.arrived
    }

    /// The channels of a device call together.
    fn together(&mut self, mut measure: Measure, kept: bool) -> Measure {
        let (seen, calls) = measure.parts;
        if seen != 0 && !kept {
            self.calls = (self.calls & !seen) | calls;
            measure.detected = Some(self.calls != 0);
            if measure.unit == Unit::Flag {
                measure.value = f64::from(u8::from(self.calls != 0));
            }
        }
        measure
    }
}

/// How far the times of values that arrive together may run ahead of the clock, ms.
const AHEAD_MS: i64 = 60_000;

/// Rules and their states.
pub(crate) struct Engine {
    epoch: u64,
    formats: Arc<Formats>,
    names: Arc<Names>,
    seen: Arc<Devices>,
    silence: Silence,
    devices: Vec<Device>,
    rules: Vec<Rule>,
    /// Devices that were heard through a bridge.
    bridges: HashMap<String, BTreeSet<usize>>,
    /// Devices behind a gateway, as it said itself.
    gateways: HashMap<String, Vec<usize>>,
    /// Devices that a gateway with a password of its own may speak for.
    speaks: HashMap<String, HashSet<usize>>,
    /// Devices whose login was taken back, and when they count as lost.
    leaving: BTreeMap<usize, i64>,
}

/// How long what the broker took from a device before it cut it off may be on its way to us, ms.
const LEAVING_MS: i64 = 1_000;

/// What an engine needs besides rules and states.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) formats: Arc<Formats>,
    pub(crate) seen: Arc<Devices>,
    pub(crate) silence: Silence,
}

/// Bridges that are remembered.
const BRIDGES: usize = 1_000;

/// A message as it came.
#[derive(Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) arrival: Arrival,
    pub(crate) now: i64,
}

impl Came<'_> {
    /// Tells it from other messages, also of another run: FNV-1a.
    fn word(&self) -> u64 {
        let bytes = self.topic.bytes().chain([0]).chain(self.payload.iter().copied());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)).max(1)
    }
}

impl Engine {
    /// With the states of an earlier run; those of rules or sensors that are gone are left alone.
    pub(crate) fn new(
        site: &Site,
        rules: Vec<Rule>,
        epoch: u64,
        stored: &[RuleState],
        around: Around,
        now: i64,
    ) -> Self {
        let states = stored_states(stored);
        let Around { formats, seen, silence } = around;
        let names = Arc::new(formats.names(site.sensors.iter().map(|s| (s.id.as_str(), s.kind))));
        seen.begin(site.sensors.iter().map(|s| (s.id.clone(), s.kind)), formats.clone(), names.clone());
        let mut devices = Vec::new();
        for sensor in &site.sensors {
            let state = |rule: &str| states.get(&(sensor.id.as_str(), rule)).cloned().unwrap_or_default();
            let of_kind = rules.iter().enumerate().filter(|(_, r)| r.kind == sensor.kind);
            let standing = |(rule, r): (usize, &Rule)| {
                let state = state(&r.id);
                Standing { rule, stored_at: state.at, state }
            };
            let rules = of_kind.map(standing).collect();
            devices.push(Device::new(sensor.id.clone(), sensor.kind, rules, now));
        }
        let (gateways, speaks, bridges) = (HashMap::new(), HashMap::new(), HashMap::new());
        let leaving = BTreeMap::new();
        Self { epoch, formats, names, seen, silence, devices, rules, bridges, gateways, speaks, leaving }
    }

    fn number(&self, sensor: &str) -> Option<usize> {
        self.names.get(sensor).map(|(number, _)| number)
    }

    /// Takes one message.
    #[cfg(test)]
    pub(crate) fn take(&mut self, topic: &str, payload: &[u8], arrival: Arrival, now: i64, out: &mut Changes) {
        let message = self.parse(topic, payload);
        self.apply(message, Came { topic, payload, arrival, now }, out);
    }

    /// Reads one message.
    pub(crate) fn parse(&self, topic: &str, payload: &[u8]) -> Result<Message, Fault> {
        self.formats.parse(topic, payload, &self.names)
    }

    /// Takes one message that was read.
    pub(crate) fn apply(&mut self, message: Result<Message, Fault>, came: Came<'_>, out: &mut Changes) {
        let mut raw = Raw::new(came.topic, came.payload, came.payload.len(), came.arrival == Arrival::Kept, came.now);
        match message {
            Ok(Message::Reading(reading)) => {
                let device = reading.device;
                raw.why = self.reading(reading, came, out);
                self.keep(std::iter::once(device), raw, came, out);
            }
            Ok(Message::Link { device, online }) => {
                self.keep(std::iter::once(device), raw, came, out);
                self.tells(device, online, came, out);
            }
            Ok(Message::Gateway { gateway, online, sensors }) => self.gateway(gateway, online, sensors, out),
            Ok(Message::Bridge { bridge, online }) => {
                let behind = self.bridges.get(&bridge).filter(|_| !online).cloned().unwrap_or_default();
                behind.into_iter().for_each(|device| self.link(Some(device), false, out));
            }
            Ok(Message::Many { readings, links, bridge, faults }) => {
                let devices: BTreeSet<_> =
                    readings.iter().map(|r| r.device).chain(links.iter().map(|(d, _)| *d)).collect();
                if let Some(bridge) = bridge {
                    self.behind(bridge, &devices);
                }
                for reading in readings {
                    raw.why = self.reading(reading, came, out).or(raw.why);
                }
                links.into_iter().for_each(|(device, online)| self.tells(device, online, came, out));
                if faults.is_empty() {
                    return self.keep(devices.into_iter(), raw, came, out);
                }
                let whole = Raw { why: raw.why, ..raw.clone() };
                let odd: BTreeSet<_> = faults.iter().filter_map(|f| f.device).collect();
                self.keep(devices.into_iter().filter(|d| !odd.contains(d)), whole, came, out);
                faults.into_iter().for_each(|fault| self.fault(fault, raw.clone(), came, out));
            }
            Ok(Message::Nothing) => {}
            Err(fault) => self.fault(fault, raw, came, out),
        }
    }

    /// Keeps a message word for word; one of which something was set aside is recorded.
    fn keep(&self, devices: impl Iterator<Item = usize>, raw: Raw, came: Came<'_>, out: &mut Changes) {
        self.seen.keep(devices, &raw);
        if let Some(why) = raw.why {
            out.unreadable.push((why, came.payload.len() as u64));
            self.seen.aside(None, raw);
        }
    }

    /// What was not understood. Also of that a device of the site is alive.
    fn fault(&mut self, fault: Fault, mut raw: Raw, came: Came<'_>, out: &mut Changes) {
        raw.why = Some(fault.why);
        self.seen.keep(fault.device.into_iter(), &raw);
        self.seen.aside(fault.stranger.as_ref().map(|(name, _)| name.as_str()), raw);
        if let Some(device) = fault.device {
            self.alive(device, came, out);
        }
        out.fault(fault, came.payload.len(), came.arrival, came.now);
    }

    /// What is heard is there, also a device that was last told as lost by an earlier run.
    fn alive(&mut self, number: usize, came: Came<'_>, out: &mut Changes) {
        if came.arrival == Arrival::Kept {
            return;
        }
        if let Some(device) = self.devices.get_mut(number) {
            device.heard = Some(came.now);
        }
        if came.arrival == Arrival::First {
            self.link(Some(number), true, out);
        }
    }

    /// A device says that it is there or not.
    fn tells(&mut self, number: usize, online: bool, came: Came<'_>, out: &mut Changes) {
        if online && let Some(device) = self.devices.get_mut(number) {
            device.heard = Some(came.now);
        }
        self.link(Some(number), online, out);
    }

    fn behind(&mut self, bridge: String, devices: &BTreeSet<usize>) {
        if let Some(known) = self.bridges.get_mut(&bridge) {
            known.extend(devices);
        } else if self.bridges.len() < BRIDGES && !devices.is_empty() {
            self.bridges.insert(bridge, devices.clone());
        }
    }

    /// Sensor, time and value of a reading that is older than the last by more than a clock is wrong.
    pub(crate) fn doubts(&self, reading: &Reading) -> Option<(&str, i64, f64)> {
        let (at, measure) = (reading.at?, reading.measure?);
        let device = self.devices.get(reading.device)?;
        let back = |s: &Standing| s.state.at.saturating_sub(at) > DOUBT_BACK_MS;
        device.rules.iter().any(back).then_some((device.id.as_str(), at, measure.value))
    }

    /// Whether such a reading was taken by this run, of a device whose clock was never set.
    pub(crate) fn took(&self, reading: &Reading) -> bool {
        let known =
            |(at, measure): (i64, Measure)| self.devices.get(reading.device)?.took(at, measure.value).then_some(());
        reading.at.zip(reading.measure).and_then(known).is_some()
    }

    /// Takes a reading; why it is set aside, if it is.
    fn reading(&mut self, reading: Reading, came: Came<'_>, out: &mut Changes) -> Option<Why> {
        let Came { arrival, now, .. } = came;
        let (number, kept) = (reading.device, arrival == Arrival::Kept);
        self.alive(number, came, out);
        let device = self.devices.get_mut(number)?;
        let (states, rules) = (&device.rules, &self.rules);
        let fits = |at: i64| {
            let young = |s: &Standing| rules.get(s.rule).is_none_or(|r| now - at < r.old_ms());
            states.iter().all(|s| at > s.state.at && young(s))
        };
        let time = device.clock.when(reading.at, arrival == Arrival::First, now, fits);
        let at = time.unwrap_or_else(|| device.arrives(now));
        // Of what the broker kept nobody knows when it was measured, unless it says so.
        let stores = time.is_some() || !kept;
        let sensor = device.id.as_str();
        let row = |sensor: String, value, unit: Option<&str>| ledger::Reading {
            sensor,
            at_ms: at,
            value,
            unit: unit.map(str::to_owned),
        };
        let rows = &mut out.telemetry.readings;
        for extra in reading.extras.iter().filter(|_| stores) {
            rows.push(row(format!("{sensor}/{}", extra.name), extra.value, Some(&*extra.unit)));
        }
        let heard = reading.heard.as_deref();
        let mut test = false;
        if let Some(heard) = heard {
            device.says(heard, !kept, now);
            test = heard.test == Some(true) && device.tested.is_none_or(|since| now - since < TEST_MS);
        }
        let measure = reading.measure?;
        if let (Some(at), None) = (reading.at, time) {
            if arrival == Arrival::Again && device.took(at, measure.value) {
                return None;
            }
            device.takes(at, measure.value);
        }
        if test {
            if stores {
                out.telemetry.readings.push(row(format!("{}/test", device.id), measure.value, Some(FLAG)));
            }
            return None;
        }
        let Some(measure) = device.means(&self.rules, measure) else { return Some(Why::UnknownUnit) };
        let measure = device.together(measure, kept);
        device.told = true;
        if stores {
            let unit = if measure.unit == Unit::Flag { Some(FLAG) } else { device.kind.unit() };
            out.telemetry.readings.push(row(device.id.to_string(), measure.value, unit));
        }
        if let Some(ends) = heard.and_then(|h| h.ends_s) {
            device.ends = (device.calls != 0).then_some(now.saturating_add(i64::from(ends) * 1_000));
        }
        if device.proves(&measure, heard, now) {
            return None;
        }
        let flag = measure.unit == Unit::Flag;
        let sure = kept || device.clock.right();
        let mut sample =
            Sample { at: time, value: measure.value, detected: measure.detected, flag, word: 0, arrival, sure };
        self.steps(number, &mut sample, came, out)
    }

    /// Puts a sample before the rules of its device.
    fn steps(&mut self, number: usize, sample: &mut Sample, came: Came<'_>, out: &mut Changes) -> Option<Why> {
        let (mut why, now) = (None, came.now);
        for place in 0..self.devices.get(number).map_or(0, |d| d.rules.len()) {
            let standing = self.devices.get(number).and_then(|d| d.rules.get(place));
            let Some((standing, rule)) = standing.and_then(|s| Some((s, self.rules.get(s.rule)?))) else { continue };
            if rule.begins(sample) {
                let first = came.arrival == Arrival::First;
                let old = first && rules::late(&standing.state, sample, now);
                if old || rules::files(&standing.state, rule, sample, now) {
                    why = Some(Why::Old);
                }
                if sample.word == 0 {
                    sample.word = came.word();
                }
            }
            let sample = *sample;
            self.moves((number, place), out, |state, rule| rules::step(state, rule, sample, now));
        }
        why
    }

    /// Our own clock leapt: no device's clock is known any more.
    pub(crate) fn leapt(&mut self) {
        self.devices.iter_mut().for_each(|device| device.clock.doubt());
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
            self.passes(number, now, out);
            for place in 0..self.devices.get(number).map_or(0, |d| d.rules.len()) {
                self.moves((number, place), out, |state, rule| rules::tick(state, rule, now));
            }
        }
    }

    /// Time passes for a device: it falls silent, gets stuck, or what it said ends.
    fn passes(&mut self, number: usize, now: i64, out: &mut Changes) {
        let Some(device) = self.devices.get_mut(number) else { return };
        // Also when the clock was set back.
        device.heard = device.heard.map(|at| at.min(now));
        let silent = device.heard.is_some_and(|at| now - at >= self.silence.of(device.kind));
        let lost = silent && device.online != Some(false);
        if device.tested.is_some_and(|since| now - since >= TEST_MS) {
            device.tested = None;
        }
        let stuck = device.unproven.is_some_and(|at| now >= at) && !std::mem::replace(&mut device.stuck, true);
        device.stuck &= device.unproven.is_some_and(|at| now >= at);
        let ended = device.ends.take_if(|at| now >= *at).is_some();
        if ended || stuck {
            device.calls = 0;
            let mut sample = Sample {
                at: None,
                value: 0.0,
                detected: Some(false),
                flag: true,
                word: 0,
                arrival: Arrival::First,
                sure: true,
            };
            let came = Came { topic: "", payload: b"", arrival: Arrival::First, now };
            self.steps(number, &mut sample, came, out);
        }
        if lost {
            self.link(Some(number), false, out);
        }
        let Some(device) = self.devices.get_mut(number) else { return };
        let shows = (device.facts(), device.stuck);
        if device.shown != Some(shows) || device.complaint.is_some() {
            device.shown = Some(shows);
            self.seen.stands(number, shows.0, device.words().as_deref(), now);
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
                let list: Vec<_> = names.iter().filter_map(|n| self.number(n)).filter(own).collect();
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
        let known = |id: &SensorId| self.number(id.as_str());
        let speaks = |l: &Login| (l.device.as_str().to_owned(), l.behind.iter().filter_map(known).collect());
        self.speaks = logins.iter().map(speaks).collect();
    }

    /// The broker cut off those who spoke for these sensors. What it had taken from them before is heard first; whoever is
    /// heard later is back.
    pub(crate) fn leave(&mut self, sensors: impl IntoIterator<Item = SensorId>, now: i64) {
        let known: Vec<_> = sensors.into_iter().filter_map(|id| self.number(id.as_str())).collect();
        self.leaving.extend(known.into_iter().map(|device| (device, now.saturating_add(LEAVING_MS))));
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
            known.push(Stranger { device, format: format.to_string(), first_ms: now, last_ms: now, count: 1 });
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

/// A reading this much older than the newest one is perhaps one that the broker forgot to have delivered, ms.
const DOUBT_BACK_MS: i64 = 120_000;

/// The unit of what is only yes or no.
const FLAG: &str = "有/无";

/// Unit of a kind's values.
#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "cases.rs"]
mod cases;
