//! How devices log in to the site's broker: one credential a device, issued and taken back by people. The secret itself
//! never comes here; its hash goes into the vault, and events and documents point at it.

mod decide;
mod event;

use crate::{
    event::{By, Event, Key},
    ids::*,
    site::Site,
    state::{Counters, State},
    text::Ref,
    thing::{InSnapshot, Index, Thing},
    time::Timestamp,
};

pub use event::{CredentialEvent, SensorEvent};

/// Credentials of a site, those taken back included.
pub const MAX_CREDENTIALS: usize = 10_000;
/// Sensors that one gateway may speak for.
pub const MAX_BEHIND: usize = 1_000;
/// Longest name that logs in, bytes.
pub const MAX_NAME: usize = 64;
/// Names that the centre itself logs in with.
pub const RESERVED: [&str; 2] = ["centre", "device"];

/// Whom a device speaks for, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Voice {
    /// A sensor of the site for itself.
    Own,
    /// A gateway with the site's own format for the sensors behind it.
    Mjw,
    /// A Zigbee2MQTT for the sensors behind it.
    Zigbee2mqtt,
    /// A ThingsBoard gateway. Its messages name their sensors in the body, so it may speak for all of them.
    Thingsboard,
}

impl Voice {
    /// Whether it names the sensors that it speaks for.
    pub const fn lists(self) -> bool {
        matches!(self, Self::Mjw | Self::Zigbee2mqtt)
    }
}

/// The credential of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// A sensor's id or a gateway's name; the name that it logs in with.
    pub device: DeviceId,
    /// Whom it speaks for.
    pub voice: Voice,
    /// The sensors behind a gateway that lists them.
    pub behind: Vec<SensorId>,
    /// Hash of the secret; `None` = taken back.
    pub hash: Option<Ref>,
    /// When it was issued or taken back.
    pub since: Timestamp,
    /// Who did that.
    pub by: By,
}

impl Thing for Credential {
    type Id = DeviceId;
    type Event = CredentialEvent;
    fn id(&self) -> DeviceId {
        self.device.clone()
    }
    fn begin(what: &CredentialEvent, event: &Event) -> Option<Self> {
        let CredentialEvent::Issued { device, voice, behind, hash } = what else { return None };
        Some(Self {
            device: device.clone(),
            voice: *voice,
            behind: behind.clone(),
            hash: Some(*hash),
            since: event.at,
            by: event.by.clone(),
        })
    }
    fn apply(&mut self, what: &CredentialEvent, event: &Event) {
        match what {
            CredentialEvent::Issued { voice, behind, hash, .. } => {
                (self.voice, self.behind, self.hash) = (*voice, behind.clone(), Some(*hash));
            }
            CredentialEvent::Revoked { .. } => self.hash = None,
        }
        (self.since, self.by) = (event.at, event.by.clone());
    }
    fn count(_: &CredentialEvent, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(Vec::new())
    }
    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}

/// Whether a sensor is reachable, as its gateway or its last will says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorFacts {
    /// Which.
    pub sensor: SensorId,
    /// Reachable.
    pub online: bool,
    /// Since when.
    pub since: Timestamp,
}

impl Thing for SensorFacts {
    type Id = SensorId;
    type Event = SensorEvent;
    fn id(&self) -> SensorId {
        self.sensor.clone()
    }
    fn begin(what: &SensorEvent, event: &Event) -> Option<Self> {
        let SensorEvent::Linked { sensor, online } = what;
        Some(Self { sensor: sensor.clone(), online: *online, since: event.at })
    }
    fn apply(&mut self, what: &SensorEvent, event: &Event) {
        if let Some(new) = Self::begin(what, event) {
            *self = new;
        }
    }
    fn count(_: &SensorEvent, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(Vec::new())
    }
    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}

/// Whether a name can log in and stand in a topic and in the broker's files: letters, digits, `-`, `_` and `.`.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !RESERVED.contains(&name)
}

/// Whether `hash` has the form `$7$rounds$salt$key` of a PBKDF2-SHA512 hash and so can stand in the broker's files.
pub fn is_hash(hash: &str) -> bool {
    let base64 = |part: &str| {
        (8..=128).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    };
    match hash.split('$').collect::<Vec<_>>().as_slice() {
        ["", "7", rounds, salt, key] => {
            let rounds = rounds.parse::<u32>().is_ok_and(|n| (1..=1_000_000).contains(&n));
            rounds && base64(salt) && base64(key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_topics_and_files() {
        for good in ["smoke-b12-2-06", "0x00158d0001a2b3c4", "烟感-3", "a.b_c", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "centre", "device", "a/b", "a+", "#", "a:b", "a b", "a\nb", "$SYS", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn hashes_have_their_form() {
        assert!(is_hash("$7$101$c2FsdHNhbHQ=$a2V5a2V5a2V5"));
        for bad in [
            "",
            "secret",
            "$6$c2FsdHNhbHQ=$a2V5a2V5a2V5",
            "$7$0$c2FsdHNhbHQ=$a2V5a2V5a2V5",
            "$7$101$c2FsdHNhbHQ=$a2V5\nx:y5a2V5",
            "$7$101$c2FsdHNhbHQ=$a2V5a2V5a2V5$",
            "x$7$101$c2FsdHNhbHQ=$a2V5a2V5a2V5",
        ] {
            assert!(!is_hash(bad), "{bad}");
        }
    }
}
