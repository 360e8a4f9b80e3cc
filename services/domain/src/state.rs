//! All that the writer knows of a site, and the only way to change it: [`State::apply`]. Replaying the log gives the
//! same state; loading the documents gives it faster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    account::{Account, Duty, Holder},
    alarm::Alarm,
    device::Credential,
    event::{Body, Event, Key, Mode},
    ids::*,
    incident::Incident,
    patrol::{CameraFacts, DepartmentLight, Message, Patrol},
    site::Site,
    text::Subject,
    time::Timestamp,
};

/// Messages, and ended patrols, alarms and incidents, that stay in memory; older ones are in the ledger. The alarms of an
/// open incident have not ended.
pub const KEEP_ENDED: usize = 2_000;

/// Next free numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Alarm.
    pub alarm: u64,
    /// Incident.
    pub incident: u64,
    /// Task.
    pub task: u64,
    /// Patrol.
    pub patrol: u64,
    /// Message.
    pub message: u64,
    /// Vault.
    pub vault: u64,
}

impl Default for Counters {
    /// Incidents start at 3001 so that every number that is said aloud has four digits.
    fn default() -> Self {
        Self { alarm: 1, incident: 3001, task: 1, patrol: 1, message: 1, vault: 1 }
    }
}

/// Inputs that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// By source and reason.
    pub counts: BTreeMap<(String, String), u64>,
    /// Newest.
    pub last: Option<Timestamp>,
}

/// State of a site.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct State {
    /// The site document; `None` before the first start.
    pub site: Option<Arc<Site>>,
    /// Accounts.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Roster.
    pub duty: Duty,
    /// Alarms.
    pub alarms: BTreeMap<AlarmId, Alarm>,
    /// Incidents.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Sensors that were heard of: reachable or not.
    pub sensors: BTreeMap<SensorId, (bool, Timestamp)>,
    /// Cameras' facts.
    pub cameras: BTreeMap<CameraId, CameraFacts>,
    /// Departments' lights.
    pub lights: BTreeMap<UnitId, DepartmentLight>,
    /// Patrols.
    pub patrols: BTreeMap<PatrolId, Patrol>,
    /// Messages.
    pub messages: BTreeMap<MessageId, Message>,
    /// Inputs that could not be read.
    pub unreadable: Unreadable,
    /// Subjects whose values were destroyed.
    pub erased: BTreeSet<Subject>,
    /// Next free numbers.
    pub counters: Counters,
    /// How devices log in to the broker.
    pub credentials: BTreeMap<DeviceId, Credential>,
}

impl State {
    /// Takes an event. Total: an event that does not fit changes nothing.
    pub fn apply(&mut self, event: &Event) {
        self.count(event);
        match event.body.key() {
            Key::Alarm(id) => match self.alarms.get_mut(&id) {
                Some(alarm) => alarm.apply(event),
                None => self.alarms.extend(Alarm::raised(event).map(|a| (id, a))),
            },
            Key::Incident(id) => match self.incidents.get_mut(&id) {
                Some(incident) => incident.apply(event),
                None => self.incidents.extend(Incident::reported(event).map(|i| (id, i))),
            },
            Key::Patrol(id) => match self.patrols.get_mut(&id) {
                Some(patrol) => patrol.apply(event),
                None => self.patrols.extend(Patrol::planned(event).map(|p| (id, p))),
            },
            _ => self.apply_other(event),
        }
    }

    fn apply_other(&mut self, event: &Event) {
        match &event.body {
            Body::SiteChanged { site } => self.site = Some(site.clone()),
            Body::AccountChanged { account } => {
                self.accounts.insert(account.id.clone(), account.clone());
            }
            Body::DutyChanged { post, account } => {
                let holder = Holder { account: account.clone(), since: event.at, by: event.by.clone() };
                self.duty.insert(*post, holder);
            }
            Body::SensorLink { sensor, online } => {
                self.sensors.insert(sensor.clone(), (*online, event.at));
            }
            Body::CameraFact { camera, state, fault, since } => {
                let facts =
                    CameraFacts { camera: camera.clone(), state: state.clone(), fault: fault.clone(), since: *since };
                self.cameras.insert(camera.clone(), facts);
            }
            Body::LightChanged { unit, light, last } => {
                let facts = DepartmentLight { unit: unit.clone(), light: *light, last: *last, since: event.at };
                self.lights.insert(unit.clone(), facts);
            }
            Body::MessageKept { message } => {
                self.messages.insert(message.id, message.clone());
            }
            Body::MessageSent { message, ok } => {
                if let Some(message) = self.messages.get_mut(message) {
                    message.sent = Some(*ok);
                }
            }
            Body::Unreadable { source, why, .. } => {
                let count = self.unreadable.counts.entry((source.clone(), why.clone())).or_default();
                *count = count.saturating_add(1);
                self.unreadable.last = Some(event.at);
            }
            Body::Erased { subject } => {
                self.erased.insert(subject.clone());
            }
            Body::DeviceCredentialIssued { device, voice, behind, hash } => {
                let credential = Credential {
                    device: device.clone(),
                    voice: *voice,
                    behind: behind.clone(),
                    hash: Some(*hash),
                    since: event.at,
                    by: event.by.clone(),
                };
                self.credentials.insert(device.clone(), credential);
            }
            Body::DeviceCredentialRevoked { device } => {
                if let Some(credential) = self.credentials.get_mut(device) {
                    (credential.hash, credential.since, credential.by) = (None, event.at, event.by.clone());
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, event: &Event) {
        let c = &mut self.counters;
        c.vault = c.vault.max(event.vault_next);
        match &event.body {
            Body::AlarmRaised { alarm, .. } => c.alarm = c.alarm.max(alarm.0.saturating_add(1)),
            Body::Reported { incident, .. } => c.incident = c.incident.max(incident.0.saturating_add(1)),
            Body::TaskPushed { task, .. } => c.task = c.task.max(task.0.saturating_add(1)),
            Body::PatrolPlanned { patrol, .. } => c.patrol = c.patrol.max(patrol.0.saturating_add(1)),
            Body::MessageKept { message } => c.message = c.message.max(message.id.0.saturating_add(1)),
            _ => {}
        }
    }

    /// Forgets the oldest ended aggregates beyond [`KEEP_ENDED`] of each kind; the ledger keeps them all. Alarms of
    /// incidents that are kept do not count.
    pub fn trim(&mut self) {
        trim(&mut self.incidents, |i| !i.open());
        // An alarm stays as long as its incident: it holds the film of the moment, and takes further evidence.
        let kept = &self.incidents;
        trim(&mut self.alarms, |a| !a.open() && a.incident.is_none_or(|i| !kept.contains_key(&i)));
        trim(&mut self.patrols, |p| p.finished.is_some());
        trim(&mut self.messages, |_| true);
    }

    /// Alarms of incidents in memory that are not in memory themselves: where only the newest documents were loaded.
    pub fn missing_alarms(&self) -> Vec<AlarmId> {
        let alarms = self.incidents.values().flat_map(|i| &i.alarms);
        alarms.filter(|a| !self.alarms.contains_key(a)).copied().collect()
    }

    /// The incident that has this task.
    pub fn incident_of(&self, task: TaskId) -> Option<&Incident> {
        self.incidents.values().rev().find(|i| i.task(task).is_some())
    }

    /// Live tasks of a unit; those of exercises and tests do not count.
    pub fn load(&self, unit: &UnitId) -> usize {
        let real = self.incidents.values().filter(|i| i.open() && i.mode == Mode::Real);
        let tasks = real.flat_map(|i| &i.tasks);
        tasks.filter(|t| &t.unit == unit && t.state.live()).count()
    }
}

fn trim<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>, ended: impl Fn(&V) -> bool) {
    // Called after each commit, and mostly there is little.
    if map.len() <= KEEP_ENDED {
        return;
    }
    let old: Vec<K> = map.iter().filter(|(_, v)| ended(v)).map(|(k, _)| *k).collect();
    for key in old.iter().take(old.len().saturating_sub(KEEP_ENDED)) {
        map.remove(key);
    }
}
