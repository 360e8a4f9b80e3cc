//! What is known of each device beyond its values: in which of four states it is, what it last said word for word, and what
//! of it was set aside. In memory and bounded; screens read it here.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use domain::{ids::SensorId, site::SensorKind};

use crate::formats::{BadDecoder, Decoders, Formats, Names, Tried, Why, tried};

/// Messages of one device that are kept, and messages set aside.
const RAWS: usize = 8;
const ASIDE: usize = 256;
/// Devices that the site does not have of which messages are kept.
const STRANGERS: usize = 64;
/// Of a longer message only so much is kept, bytes.
const LENGTH: usize = 4_096;

/// The state of a device. The one definition is [`Facts::condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Condition {
    /// It never told what it is there to tell.
    #[default]
    NeverTold,
    /// It reports.
    Live,
    /// It is lost, its bridge is, or it has been silent for longer than its kind ever is. What it said last may be over.
    Stale,
    /// It says so itself, it is stuck, or somebody tests it.
    Faulty,
}

impl Condition {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverTold => "never_told",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Faulty => "faulty",
        }
    }

    /// Chinese name.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::NeverTold => "从未上报",
            Self::Live => "在线",
            Self::Stale => "失联",
            Self::Faulty => "故障",
        }
    }
}

/// What the state of a device follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// It told a value, ever.
    pub told: bool,
    /// Told as lost by itself, its last will, its bridge or its silence.
    pub lost: bool,
    /// A complaint, a stuck alarm or a test stands.
    pub complains: bool,
}

impl Facts {
    /// A complaint of a device that never told a value stands; a lost one may have ended its complaint since.
    pub const fn condition(self) -> Condition {
        match self {
            Self { told: false, complains: true, .. } => Condition::Faulty,
            Self { told: false, .. } => Condition::NeverTold,
            Self { lost: true, .. } => Condition::Stale,
            Self { complains: true, .. } => Condition::Faulty,
            _ => Condition::Live,
        }
    }
}

/// A device as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Sensor.
    pub sensor: SensorId,
    /// What it measures.
    pub kind: SensorKind,
    /// State.
    pub condition: Condition,
    /// Since when, ms; `None` = since the start.
    pub since: Option<i64>,
    /// When it was last heard, ms.
    pub heard: Option<i64>,
    /// Its complaint, Chinese.
    pub complaint: Option<String>,
    /// Messages of it that were set aside in part or whole.
    pub odd: u64,
}

/// A message word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// When it arrived, ms.
    pub at: i64,
    /// Topic.
    pub topic: Arc<str>,
    /// The first bytes of its payload.
    pub payload: Bytes,
    /// Length of the whole payload, bytes.
    pub size: usize,
    /// The broker had kept it.
    pub kept: bool,
    /// Why something of it was set aside.
    pub why: Option<Why>,
}

impl Raw {
    pub(crate) fn new(topic: &str, payload: &[u8], size: usize, kept: bool, at: i64) -> Self {
        let payload = Bytes::copy_from_slice(payload.get(..LENGTH).unwrap_or(payload));
        Self { at, topic: topic.into(), payload, size, kept, why: None }
    }

    /// Its text, as far as it is one.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

#[derive(Debug)]
struct Seat {
    device: Device,
    raws: VecDeque<Raw>,
}

#[derive(Debug, Default)]
struct Inner {
    seats: Vec<Seat>,
    index: HashMap<String, usize>,
    strangers: BTreeMap<String, VecDeque<Raw>>,
    aside: VecDeque<Raw>,
    formats: Option<(Arc<Formats>, Arc<Names>)>,
}

/// All devices of a site, shared with whoever shows them.
#[derive(Debug, Default)]
pub struct Devices(Mutex<Inner>);

impl Devices {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(
        &self,
        sensors: impl Iterator<Item = (SensorId, SensorKind)>,
        formats: Arc<Formats>,
        names: Arc<Names>,
    ) {
        let mut inner = self.lock();
        let seat = |(sensor, kind)| Seat {
            device: Device {
                sensor,
                kind,
                condition: Condition::default(),
                since: None,
                heard: None,
                complaint: None,
                odd: 0,
            },
            raws: VecDeque::new(),
        };
        inner.seats = sensors.map(seat).collect();
        inner.index = inner.seats.iter().enumerate().map(|(n, s)| (s.device.sensor.to_string(), n)).collect();
        inner.formats = Some((formats, names));
    }

    /// A message of these devices.
    pub(crate) fn keep(&self, devices: impl Iterator<Item = usize>, raw: &Raw) {
        let mut inner = self.lock();
        for device in devices {
            if let Some(seat) = inner.seats.get_mut(device) {
                if !raw.kept {
                    seat.device.heard = Some(raw.at);
                }
                seat.device.odd += u64::from(raw.why.is_some());
                push(&mut seat.raws, raw.clone(), RAWS);
            }
        }
    }

    /// A message of which something was set aside, by a device that the site does not have or by nobody knows whom.
    pub(crate) fn aside(&self, stranger: Option<&str>, raw: Raw) {
        let mut inner = self.lock();
        if let Some(name) = stranger {
            let known = inner.strangers.len() < STRANGERS || inner.strangers.contains_key(name);
            if known {
                push(inner.strangers.entry(name.to_owned()).or_default(), raw.clone(), RAWS);
            }
        }
        push(&mut inner.aside, raw, ASIDE);
    }

    /// Where a device stands now.
    pub(crate) fn stands(&self, device: usize, facts: Facts, complaint: Option<&str>, now: i64) {
        let mut inner = self.lock();
        let Some(seat) = inner.seats.get_mut(device) else { return };
        let condition = facts.condition();
        if seat.device.condition != condition {
            (seat.device.condition, seat.device.since) = (condition, Some(now));
        }
        if seat.device.complaint.as_deref() != complaint {
            seat.device.complaint = complaint.map(str::to_owned);
        }
    }

    /// All devices of the site.
    pub fn all(&self) -> Vec<Device> {
        self.lock().seats.iter().map(|s| s.device.clone()).collect()
    }

    /// One of them.
    pub fn of(&self, sensor: &SensorId) -> Option<Device> {
        let inner = self.lock();
        inner.index.get(sensor.as_str()).and_then(|n| inner.seats.get(*n)).map(|s| s.device.clone())
    }

    /// The last messages of a sensor, or of a device that the site does not have, the newest last.
    pub fn raws(&self, name: &str) -> Vec<Raw> {
        let inner = self.lock();
        let seat = inner.index.get(name).and_then(|n| inner.seats.get(*n)).map(|s| &s.raws);
        seat.or_else(|| inner.strangers.get(name)).into_iter().flatten().cloned().collect()
    }

    /// The last messages of which something was set aside, the newest last.
    pub fn set_aside(&self) -> Vec<Raw> {
        self.lock().aside.iter().cloned().collect()
    }

    /// The last messages of a sensor beside what was read of them; with `decoder`, what that one would read.
    ///
    /// # Errors
    /// What is wrong with the decoder.
    pub fn read(&self, sensor: &SensorId, decoder: Option<&str>) -> Result<Vec<(Raw, Tried)>, BadDecoder> {
        let (raws, formats) = (self.raws(sensor.as_str()), self.lock().formats.clone());
        let Some((formats, names)) = formats else { return Ok(Vec::new()) };
        let formats = match decoder {
            Some(text) => Arc::new(formats.with(Decoders::of(text)?)),
            None => formats,
        };
        let read = |raw: Raw| {
            let tried = tried(&formats.parse(&raw.topic, &raw.payload, &names), names.get(sensor.as_str()));
            (raw, tried)
        };
        Ok(raws.into_iter().map(read).collect())
    }
}

fn push(ring: &mut VecDeque<Raw>, raw: Raw, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(raw);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_in_one_of_four_states() {
        let of = |told, lost, complains| Facts { told, lost, complains }.condition();
        assert_eq!(of(false, false, false), Condition::NeverTold);
        assert_eq!(of(false, true, false), Condition::NeverTold);
        assert_eq!(of(false, true, true), Condition::Faulty);
        assert_eq!(of(true, false, false), Condition::Live);
        assert_eq!(of(true, true, true), Condition::Stale);
        assert_eq!(of(true, false, true), Condition::Faulty);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let devices = Devices::default();
        for n in 0..1_000 {
            devices.aside(Some(&format!("d{n}")), Raw::new("t", &[b'x'; 9_000], 9_000, false, n));
            devices.aside(Some("d0"), Raw::new("t", b"x", 1, false, n));
        }
        assert_eq!((devices.set_aside().len(), devices.raws("d0").len(), devices.raws("d999").len()), (ASIDE, RAWS, 0));
        assert_eq!((devices.raws("d1")[0].payload.len(), devices.raws("d1")[0].size), (LENGTH, 9_000));
    }
}
