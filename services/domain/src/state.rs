//! All that the writer knows of a site: the table of the kinds of things, and the only way to change them,
//! [`State::apply`]. Replaying the log gives the same state; loading the documents gives it faster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    account::{Account, Duty},
    alarm::Alarm,
    camera::CameraFacts,
    device::{Credential, SensorFacts},
    event::{Event, Happening as _, Mode},
    ids::*,
    incident::Incident,
    light::DepartmentLight,
    message::Message,
    patrol::Patrol,
    site::Site,
    text::Subject,
    thing::{InSnapshot, Index, Single, Thing, Tier, things},
    time::Timestamp,
    unreadable::Unreadable,
};

/// Messages, and ended patrols, alarms and incidents, that stay in memory; older ones are in the ledger. The alarms of an
/// open incident have not ended.
pub const KEEP_ENDED: usize = 2_000;

things! {
    one {
        /// The site document, from the first start on.
        Site "site": site: Option<Arc<Site>>;
        /// The duty roster.
        Duty "duty": duty: Duty;
        /// Inputs that could not be read.
        Unreadable "unreadable": unreadable: Unreadable;
        /// Subjects whose values were destroyed.
        Erasures "erasures": erased: BTreeSet<Subject>;
    }
    live {
        /// An account.
        Account(AccountId) "account": accounts: Account;
        /// An incident with its tasks.
        Incident(IncidentId) "incident": incidents: Incident;
        /// An alarm. It stays as long as its incident: it holds the film of the moment, and takes further evidence.
        Alarm(AlarmId) "alarm": alarms: Alarm;
        /// Whether a sensor is reachable, of those that were heard of.
        Sensor(SensorId) "sensor": sensors: SensorFacts;
        /// Connection and picture of a camera.
        Camera(CameraId) "camera": cameras: CameraFacts;
        /// Freshness of a department's data.
        Light(UnitId) "light": lights: DepartmentLight;
        /// A patrol.
        Patrol(PatrolId) "patrol": patrols: Patrol;
        /// A message of the message platform.
        Message(MessageId) "message": messages: Message;
        /// How a device logs in to the broker.
        Credential(DeviceId) "credential": credentials: Credential;
    }
    record {}
}

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

/// Makes `used` a number that is no longer free.
pub(crate) fn use_up(next: &mut u64, used: u64) {
    *next = (*next).max(used.saturating_add(1));
}

impl State {
    /// Nothing but single things.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

fn take<T: Thing>(map: &mut BTreeMap<T::Id, T>, what: &T::Event, event: &Event, counters: &mut Counters)
where
    T::Id: Ord,
{
    T::count(what, counters);
    match map.get_mut(&what.id()) {
        Some(known) => known.apply(what, event),
        None => map.extend(T::begin(what, event).map(|new| (what.id(), new))),
    }
}

/// The oldest that may be forgotten beyond those that are kept.
fn surplus<T: Thing>(map: &BTreeMap<T::Id, T>, state: &State) -> Vec<T::Id>
where
    T::Id: Ord + Clone,
{
    // Called after each commit, and mostly there is little.
    if map.len() <= KEEP_ENDED {
        return Vec::new();
    }
    let old = map.iter().filter(|(_, thing)| thing.forgettable(state)).map(|(id, _)| id);
    let mut old: Vec<T::Id> = old.cloned().collect();
    old.truncate(old.len().saturating_sub(KEEP_ENDED));
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_parts() {
        let keys = [
            Key::Site,
            Key::Duty,
            Key::Unreadable,
            Key::Erasures,
            Key::Account("duty".into()),
            Key::Incident(IncidentId(3001)),
            Key::Alarm(AlarmId(7)),
            Key::Sensor("smoke-b12-2-06".into()),
            Key::Camera("c208".into()),
            Key::Light("fire".into()),
            Key::Patrol(PatrolId(u64::MAX)),
            Key::Message(MessageId(0)),
            Key::Credential("gw-3".into()),
        ];
        assert_eq!(keys.each_ref().map(Key::kind).as_slice(), Key::KINDS.iter().map(|k| k.0).collect::<Vec<_>>());
        for key in keys {
            let (kind, id) = key.parts();
            assert_eq!(Key::parse(kind, &id), Some(key));
        }
        for (kind, id) in
            [("alarm", "x"), ("alarm", "+7"), ("alarm", "07"), ("alarm", ""), ("site", "1"), ("counters", "")]
        {
            assert_eq!(Key::parse(kind, id), None, "{kind}/{id}");
        }
    }
}
