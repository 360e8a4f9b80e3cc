//! The alarm: a condition, never yet a case. `active | cleared` × `unconfirmed | confirmed`, then judged.

mod decide;
mod event;

use crate::{
    event::{By, Event, Key, Mode},
    ids::*,
    incident::{Exhibit, MAX_EXHIBITS},
    site::{Level, Limits, Place, SOUND_AGAIN, Site},
    state::{Counters, State, use_up},
    text::Ref,
    thing::{InSnapshot, Index, Relation, Thing},
    time::{Millis, Timestamp},
};

pub use event::AlarmEvent;

/// Most sources one alarm keeps; further ones only count.
pub const MAX_SOURCES: usize = 64;
/// Longest shelving.
pub const MAX_SHELF: Millis = Millis::hours(8);

/// What noticed a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A sensor under one of its rules.
    Sensor {
        /// Which.
        sensor: SensorId,
        /// Rule.
        rule: RuleId,
    },
    /// A camera's own state or picture.
    Camera(CameraId),
    /// A rule over departments' records; `key` names the finding.
    Rule {
        /// Rule.
        rule: RuleId,
        /// What it found, free of personal values.
        key: String,
    },
    /// A message.
    Message(MessageId),
    /// A unit's report, under the unit's own number.
    Unit {
        /// Which.
        unit: UnitId,
        /// Its number.
        external: String,
    },
}

impl Source {
    /// A condition that lasts and ends by itself; a message or a report is over when it is said.
    pub const fn lasts(&self) -> bool {
        matches!(self, Self::Sensor { .. } | Self::Camera(_))
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// From where.
    pub source: Source,
    /// Kind of alarm that this source alone would be.
    pub kind: AlarmKindId,
    /// When the source saw it.
    pub at: Timestamp,
    /// Measured value in the sensor's unit.
    pub value: Option<f64>,
    /// What was said.
    pub text: Option<Ref>,
}

/// A source as the alarm holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceState {
    /// Newest evidence.
    pub evidence: Evidence,
    /// When it was first seen.
    pub first: Timestamp,
    /// Since when it is so this time: later than `first` for one that had gone and came back. `None` in what was stored
    /// before this was kept.
    pub risen: Option<Timestamp>,
    /// How often it came.
    pub count: u32,
    /// Still so.
    pub active: bool,
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// 属实: becomes an incident.
    Genuine,
    /// 误报.
    False,
    /// 测试.
    Test,
    /// 检修.
    Maintenance,
}

/// A verdict with its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Verdict.
    pub verdict: Verdict,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// Remark.
    pub text: Option<Ref>,
}

/// Shelved until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// When it ends by itself.
    pub until: Timestamp,
    /// Reason.
    pub reason: Ref,
    /// Who.
    pub by: By,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Id.
    pub id: AlarmId,
    /// Kind shown.
    pub kind: AlarmKindId,
    /// Priority.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// Case code.
    pub code: String,
    /// For real or not.
    pub mode: Mode,
    /// When it was raised.
    pub raised: Timestamp,
    /// Newest evidence.
    pub last: Timestamp,
    /// Since when no source is active; `None` while one is.
    pub cleared: Option<Timestamp>,
    /// Who has seen it, and when.
    pub confirmed: Option<(By, Timestamp)>,
    /// Last time that it sounded again.
    pub sounded: Option<Timestamp>,
    /// Verdict.
    pub judged: Option<Judgement>,
    /// The incident that it became.
    pub incident: Option<IncidentId>,
    /// Shelved.
    pub shelf: Option<Shelf>,
    /// Its sources.
    pub sources: Vec<SourceState>,
    /// Evidence beyond [`MAX_SOURCES`] distinct sources.
    pub unlisted: u32,
    /// Clips and stills of the moment.
    pub exhibits: Vec<Exhibit>,
}

impl Thing for Alarm {
    type Id = AlarmId;
    type Event = AlarmEvent;

    fn id(&self) -> AlarmId {
        self.id
    }

    fn begin(what: &AlarmEvent, event: &Event) -> Option<Self> {
        let AlarmEvent::Raised { alarm, kind, level, place, code, evidence } = what else { return None };
        let mut new = Self {
            id: *alarm,
            kind: kind.clone(),
            level: *level,
            place: place.clone(),
            code: code.clone(),
            mode: event.mode,
            raised: event.at,
            last: event.at,
            cleared: None,
            confirmed: None,
            sounded: None,
            judged: None,
            incident: None,
            shelf: None,
            sources: Vec::new(),
            unlisted: 0,
            exhibits: Vec::new(),
        };
        new.add(evidence, event.at);
        Some(new)
    }

    fn apply(&mut self, what: &AlarmEvent, event: &Event) {
        match what {
            AlarmEvent::EvidenceAdded { level, kind, evidence, .. } => {
                self.level = *level;
                self.kind = kind.clone();
                self.add(evidence, event.at);
            }
            AlarmEvent::SourceCleared { source, .. } => {
                for s in self.sources.iter_mut().filter(|s| &s.evidence.source == source) {
                    s.active = false;
                }
                self.settle(event.at);
            }
            AlarmEvent::Confirmed { .. } => self.confirmed = Some((event.by.clone(), event.at)),
            AlarmEvent::Sounded { .. } => self.sounded = Some(event.at),
            AlarmEvent::Judged { verdict, incident, text, .. } => {
                self.judged = Some(Judgement { verdict: *verdict, by: event.by.clone(), at: event.at, text: *text });
                self.incident = *incident;
                self.shelf = None;
            }
            AlarmEvent::Shelved { until, reason, .. } => {
                self.shelf = Some(Shelf { until: *until, reason: *reason, by: event.by.clone() });
            }
            AlarmEvent::Unshelved { .. } => self.shelf = None,
            AlarmEvent::Moved { incident, .. } => self.incident = Some(*incident),
            AlarmEvent::Placed { place, .. } => self.place = place.clone(),
            AlarmEvent::ExhibitAdded { exhibit, .. } => {
                if self.exhibits.len() < MAX_EXHIBITS {
                    self.exhibits.push(exhibit.clone());
                }
            }
            AlarmEvent::Raised { .. } => {}
        }
    }

    fn count(what: &AlarmEvent, counters: &mut Counters) {
        if let AlarmEvent::Raised { alarm, .. } = what {
            use_up(&mut counters.alarm, alarm.0);
        }
    }

    fn index(&self, site: Option<&Site>) -> Index {
        Index {
            open: self.open(),
            at: self.raised,
            due: self.due(site),
            level: Some(self.level),
            stage: Some(if self.judged.is_some() { "judged" } else { "open" }),
            refs: self.place.relations().chain(self.incident.map(Relation::Incident)).collect(),
        }
    }

    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }

    fn forgettable(&self, state: &State) -> bool {
        !self.open() && self.incident.is_none_or(|i| !state.incidents.contains_key(&i))
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        match self.open() {
            true => InSnapshot::Always,
            false if self.last >= since => InSnapshot::Recent,
            false => InSnapshot::Past,
        }
    }
}

impl Alarm {
    fn add(&mut self, evidence: &Evidence, now: Timestamp) {
        self.last = now;
        let active = evidence.source.lasts();
        if let Some(known) = self.sources.iter_mut().find(|s| s.evidence.source == evidence.source) {
            known.evidence = evidence.clone();
            known.count = known.count.saturating_add(1);
            if !known.active {
                known.risen = Some(now);
            }
            known.active = active;
        } else if self.sources.len() < MAX_SOURCES {
            self.sources.push(SourceState {
                evidence: evidence.clone(),
                first: now,
                risen: Some(now),
                count: 1,
                active,
            });
        } else {
            self.unlisted = self.unlisted.saturating_add(1);
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Timestamp) {
        self.cleared = if self.active() { None } else { self.cleared.or(Some(now)) };
    }

    /// A source is still so.
    pub fn active(&self) -> bool {
        self.sources.iter().any(|s| s.active)
    }

    /// Belongs in the list: not judged yet, or still active.
    pub fn open(&self) -> bool {
        self.judged.is_none() || self.active()
    }

    /// When it next asks for attention by itself, if ever: confirmed but not judged for as long as its class allows, it
    /// sounds again; or its shelving ends.
    pub fn due(&self, site: Option<&Site>) -> Option<Timestamp> {
        if let Some(shelf) = &self.shelf {
            return Some(shelf.until);
        }
        let (_, confirmed) = self.confirmed.as_ref()?;
        if self.judged.is_some() {
            return None;
        }
        let class = site.and_then(|s| s.class(&s.alarm_kind(&self.kind)?.class));
        let again = class.map_or(SOUND_AGAIN, |c| Limits::attend(&c.limits));
        Some(self.sounded.unwrap_or(*confirmed).max(*confirmed) + again)
    }

    /// Distinct sources that are active or were within the alarm.
    pub fn distinct_sources(&self) -> usize {
        self.sources.len()
    }
}
