//! The three patrols 数据巡逻, 视频巡逻, 信息巡逻: planned, run, findings; and what they look at: messages and the
//! freshness of departments' data.

use crate::{
    alarm::Source,
    event::{Body, Event},
    ids::*,
    site::{Place, Site},
    state::{Counters, State, use_up},
    text::Ref,
    thing::{InSnapshot, Index, Relation, Thing},
    time::Timestamp,
};

/// Most findings one patrol keeps.
pub const MAX_FINDINGS: usize = 500;

/// Which patrol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatrolKind {
    /// 数据巡逻: departments' records.
    Data,
    /// 视频巡逻: the cameras.
    Video,
    /// 信息巡逻: the message platform.
    Message,
}

impl PatrolKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Data, Self::Video, Self::Message];
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Video => "video",
            Self::Message => "message",
        }
    }
}

/// What a patrol found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When.
    pub at: Timestamp,
    /// What it was found on.
    pub source: Source,
    /// Stable code: `frozen`, `offline`, `stale`, `rule_hit`, `message` …
    pub what: String,
    /// The alarm that it became.
    pub alarm: Option<AlarmId>,
}

/// A patrol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patrol {
    /// Id.
    pub id: PatrolId,
    /// Which of the three.
    pub kind: PatrolKind,
    /// Tour, rule or route name.
    pub subject: String,
    /// Planned start.
    pub due: Timestamp,
    /// Start.
    pub started: Option<Timestamp>,
    /// End.
    pub finished: Option<Timestamp>,
    /// Things to look at.
    pub total: u32,
    /// Things looked at.
    pub checked: u32,
    /// Findings.
    pub findings: Vec<Finding>,
    /// Findings beyond [`MAX_FINDINGS`].
    pub unlisted: u32,
}

impl Thing for Patrol {
    type Id = PatrolId;

    fn id(&self) -> PatrolId {
        self.id
    }

    fn begin(event: &Event) -> Option<Self> {
        let Body::PatrolPlanned { patrol, kind, subject, due } = &event.body else { return None };
        Some(Self {
            id: *patrol,
            kind: *kind,
            subject: subject.clone(),
            due: *due,
            started: None,
            finished: None,
            total: 0,
            checked: 0,
            findings: Vec::new(),
            unlisted: 0,
        })
    }

    fn apply(&mut self, event: &Event) {
        match &event.body {
            Body::PatrolStarted { total, .. } => {
                self.started = Some(event.at);
                self.total = *total;
            }
            Body::PatrolFound { finding, .. } => {
                if self.findings.len() < MAX_FINDINGS {
                    self.findings.push(finding.clone());
                } else {
                    self.unlisted = self.unlisted.saturating_add(1);
                }
            }
            Body::PatrolFinished { checked, .. } => {
                self.checked = *checked;
                self.finished = Some(event.at);
            }
            _ => {}
        }
    }

    fn count(event: &Event, counters: &mut Counters) {
        if let Body::PatrolPlanned { patrol, .. } = &event.body {
            use_up(&mut counters.patrol, patrol.0);
        }
    }

    fn index(&self, _: Option<&Site>) -> Index {
        Index {
            open: self.finished.is_none(),
            at: self.due,
            due: None,
            level: None,
            stage: Some(self.kind.name()),
            refs: Vec::new(),
        }
    }

    fn forgettable(&self, _: &State) -> bool {
        self.finished.is_some()
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        if self.finished.is_none() || self.due >= since { InSnapshot::Recent } else { InSnapshot::Past }
    }
}

/// Freshness of a department's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Light {
    /// Never heard.
    Unknown,
    /// Within its schedule.
    Green,
    /// Late.
    Yellow,
    /// Silent, or its calls fail.
    Red,
}

impl Light {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// A department's light as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepartmentLight {
    /// Whose.
    pub unit: UnitId,
    /// Light.
    pub light: Light,
    /// Newest record or call.
    pub last: Option<Timestamp>,
    /// Since when the light is so.
    pub since: Timestamp,
}

impl Thing for DepartmentLight {
    type Id = UnitId;
    fn id(&self) -> UnitId {
        self.unit.clone()
    }
    fn begin(event: &Event) -> Option<Self> {
        let Body::LightChanged { unit, light, last } = &event.body else { return None };
        Some(Self { unit: unit.clone(), light: *light, last: *last, since: event.at })
    }
    fn apply(&mut self, event: &Event) {
        *self = Self::begin(event).unwrap_or_else(|| self.clone());
    }
    fn count(_: &Event, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(vec![Relation::Unit(self.unit.clone())])
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}

/// A camera's facts in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFacts {
    /// Which.
    pub camera: CameraId,
    /// State name of the media role.
    pub state: String,
    /// Fault of the picture.
    pub fault: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Thing for CameraFacts {
    type Id = CameraId;
    fn id(&self) -> CameraId {
        self.camera.clone()
    }
    fn begin(event: &Event) -> Option<Self> {
        let Body::CameraFact { camera, state, fault, since } = &event.body else { return None };
        Some(Self { camera: camera.clone(), state: state.clone(), fault: fault.clone(), since: *since })
    }
    fn apply(&mut self, event: &Event) {
        *self = Self::begin(event).unwrap_or_else(|| self.clone());
    }
    fn count(_: &Event, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(Vec::new())
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}

/// A message of the message platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Id.
    pub id: MessageId,
    /// From a resident, or to one.
    pub inbound: bool,
    /// When.
    pub at: Timestamp,
    /// The other side's number.
    pub phone: Ref,
    /// Keyed hash of the number.
    pub person: Option<String>,
    /// What it says.
    pub text: Ref,
    /// The place that its words name.
    pub place: Option<Place>,
    /// The alarm that it became or belongs to.
    pub alarm: Option<AlarmId>,
    /// The message that this one answers.
    pub reply_to: Option<MessageId>,
    /// Outgoing: taken by the gateway, or given up.
    pub sent: Option<bool>,
}

impl Thing for Message {
    type Id = MessageId;

    fn id(&self) -> MessageId {
        self.id
    }

    fn begin(event: &Event) -> Option<Self> {
        if let Body::MessageKept { message } = &event.body { Some(message.clone()) } else { None }
    }

    fn apply(&mut self, event: &Event) {
        match &event.body {
            Body::MessageKept { message } => *self = message.clone(),
            Body::MessageSent { ok, .. } => self.sent = Some(*ok),
            _ => {}
        }
    }

    fn count(event: &Event, counters: &mut Counters) {
        if let Body::MessageKept { message } = &event.body {
            use_up(&mut counters.message, message.id.0);
        }
    }

    fn index(&self, _: Option<&Site>) -> Index {
        let place = self.place.iter().flat_map(Place::relations);
        let more = self.alarm.map(Relation::Alarm).into_iter().chain(self.person.clone().map(Relation::Person));
        Index { open: false, at: self.at, due: None, level: None, stage: None, refs: place.chain(more).collect() }
    }

    fn forgettable(&self, _: &State) -> bool {
        true
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        if self.at >= since { InSnapshot::Recent } else { InSnapshot::Past }
    }
}
