//! The three patrols 数据巡逻, 视频巡逻, 信息巡逻: planned, run, findings.

mod decide;
mod event;

use crate::{
    alarm::Source,
    event::{Event, Key},
    ids::*,
    site::Site,
    state::{Counters, State, use_up},
    thing::{InSnapshot, Index, Thing},
    time::Timestamp,
};

pub use event::PatrolEvent;

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
    type Event = PatrolEvent;

    fn id(&self) -> PatrolId {
        self.id
    }

    fn begin(what: &PatrolEvent, _: &Event) -> Option<Self> {
        let PatrolEvent::Planned { patrol, kind, subject, due } = what else { return None };
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

    fn apply(&mut self, what: &PatrolEvent, event: &Event) {
        match what {
            PatrolEvent::Started { total, .. } => {
                self.started = Some(event.at);
                self.total = *total;
            }
            PatrolEvent::Found { finding, .. } => {
                if self.findings.len() < MAX_FINDINGS {
                    self.findings.push(finding.clone());
                } else {
                    self.unlisted = self.unlisted.saturating_add(1);
                }
            }
            PatrolEvent::Finished { checked, .. } => {
                self.checked = *checked;
                self.finished = Some(event.at);
            }
            PatrolEvent::Planned { .. } => {}
        }
    }

    fn count(what: &PatrolEvent, counters: &mut Counters) {
        if let PatrolEvent::Planned { patrol, .. } = what {
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

    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }

    fn forgettable(&self, _: &State) -> bool {
        self.finished.is_some()
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        if self.finished.is_none() || self.due >= since { InSnapshot::Recent } else { InSnapshot::Past }
    }
}
