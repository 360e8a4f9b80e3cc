//! The incident 事件: stages, clocks, and what each event does to it and to its tasks.

pub mod attention;
mod decide;
mod event;
pub mod task;

use attention::{Attention, Why};
use task::*;

use crate::{
    event::{By, Event, Key, Mode},
    ids::*,
    site::{Level, Limits, Place, Site},
    state::{Counters, State, use_up},
    text::Ref,
    thing::{InSnapshot, Index, Relation, Thing},
    time::{Millis, Timestamp},
};

pub use event::IncidentEvent;

/// Most stills, clips and photos of one incident.
pub const MAX_EXHIBITS: usize = 128;
/// Time after closing within which the same matter is reopened instead of reported anew.
pub const REOPEN_WITHIN: Millis = Millis::hours(15 * 24);

/// Stage of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// 上报, waits to be accepted.
    Reported,
    /// 不予受理.
    Rejected,
    /// 并单: goes on in another.
    Merged,
    /// 受理, waits to be filed.
    Accepted,
    /// 建单; a red one is pushed from here.
    Filed,
    /// Waits for the shift chief.
    PendingApproval,
    /// Approved, waits for the push.
    Approved,
    /// Pushed; nobody has acknowledged.
    Dispatched,
    /// At least one unit has it in hand.
    Handling,
    /// All mandatory tasks are done.
    AwaitingVerification,
    /// Verified, waits to be closed.
    Verified,
    /// 结案.
    Closed,
}

impl Stage {
    /// No work is left.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Rejected | Self::Merged | Self::Closed)
    }
}

/// How a report came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// An alarm was judged genuine.
    Alarm,
    /// A telephone call.
    Call,
    /// A visitor at the desk.
    Visit,
    /// A forwarded chat message.
    Forwarded,
    /// A department.
    Department,
    /// Grid staff.
    Grid,
    /// Seen on a camera.
    Video,
}

/// How much of a reporter others may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReporterKind {
    /// 实名.
    Named,
    /// 保密: only the centre.
    Confidential,
    /// 匿名: nothing was asked.
    Anonymous,
}

/// Who reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// How much may be known.
    pub kind: ReporterKind,
    /// Keyed hash of the number, to find earlier reports.
    pub person: Option<String>,
    /// Name.
    pub name: Option<Ref>,
    /// Number.
    pub phone: Option<Ref>,
}

/// What an exhibit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExhibitKind {
    /// JPEG of a handler.
    Photo,
    /// JPEG of a camera.
    Still,
    /// MP4 of a camera.
    Clip,
}

/// A stored picture or clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// Its place in the blob store.
    pub blob: BlobId,
    /// What it is.
    pub kind: ExhibitKind,
    /// From which camera.
    pub camera: Option<CameraId>,
    /// First moment that it shows.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
}

/// Which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockKind {
    /// 归集: reported → accepted.
    Collect,
    /// 分析: accepted → filed.
    Analyse,
    /// 审批: filed → approved.
    Approve,
    /// 推送: approved (red: filed) → first push.
    Push,
    /// 签收 of one task.
    Acknowledge,
    /// 到场 of one task.
    Arrive,
    /// 处置 of one task.
    Handle,
    /// 核查: done → verified.
    Verify,
}

/// A clock with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Which.
    pub kind: ClockKind,
    /// Of which task.
    pub task: Option<TaskId>,
    /// Start.
    pub since: Timestamp,
    /// Limit.
    pub limit: Millis,
    /// End; `None` while it runs.
    pub ended: Option<Timestamp>,
}

/// Colour of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClockLight {
    /// Below 80 % of the limit.
    Green,
    /// From 80 %.
    Yellow,
    /// Over.
    Red,
}

impl Clock {
    /// Last moment within the limit.
    pub fn due(&self) -> Timestamp {
        self.since + self.limit
    }
    /// Colour at `now`, or at its end.
    pub fn light(&self, now: Timestamp) -> ClockLight {
        let used = (self.ended.unwrap_or(now) - self.since).0;
        if used > self.limit.0 {
            ClockLight::Red
        } else if used.saturating_mul(5) >= self.limit.0.saturating_mul(4) {
            ClockLight::Yellow
        } else {
            ClockLight::Green
        }
    }
}

/// Times of an incident's steps; a rework or reopening clears the later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Times {
    /// Reported.
    pub reported: Timestamp,
    /// Accepted.
    pub accepted: Option<Timestamp>,
    /// Filed.
    pub filed: Option<Timestamp>,
    /// Approved.
    pub approved: Option<Timestamp>,
    /// First push.
    pub pushed: Option<Timestamp>,
    /// All tasks of the push delivered.
    pub delivered: Option<Timestamp>,
    /// All mandatory tasks done.
    pub done: Option<Timestamp>,
    /// Verified.
    pub verified: Option<Timestamp>,
    /// Closed, rejected or merged.
    pub ended: Option<Timestamp>,
    /// Reopened, last.
    pub reopened: Option<Timestamp>,
}

/// An incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Number that people say.
    pub id: IncidentId,
    /// Class.
    pub class: ClassId,
    /// Level.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// For real or not.
    pub mode: Mode,
    /// Stage.
    pub stage: Stage,
    /// How it came.
    pub channel: Channel,
    /// Case code 一事一码.
    pub code: String,
    /// Who took it first 首接.
    pub first_owner: By,
    /// Who reported.
    pub reporter: Option<Reporter>,
    /// What was said.
    pub text: Option<Ref>,
    /// Alarms behind it.
    pub alarms: Vec<AlarmId>,
    /// The incident that it went into.
    pub merged_into: Option<IncidentId>,
    /// Incidents that went into it.
    pub absorbed: Vec<IncidentId>,
    /// Who approved.
    pub approved_by: Option<By>,
    /// Approved after the push.
    pub approved_after: bool,
    /// Why it was rejected, not approved or reopened.
    pub reason: Option<Ref>,
    /// Tasks, in order of the push.
    pub tasks: Vec<Task>,
    /// Photos, stills and clips.
    pub exhibits: Vec<Exhibit>,
    /// Times.
    pub times: Times,
    /// Times that it was reopened.
    pub reopened: u32,
    /// Tasks declined so far; three force a ruling.
    pub bounces: u32,
    /// What asks for a person of the centre, oldest first.
    pub attention: Vec<Attention>,
    /// When a person of the centre last did something about it.
    pub acted: Option<Timestamp>,
}

impl Thing for Incident {
    type Id = IncidentId;
    type Event = IncidentEvent;

    fn id(&self) -> IncidentId {
        self.id
    }

    fn begin(what: &IncidentEvent, event: &Event) -> Option<Self> {
        let IncidentEvent::Reported { incident, class, level, place, channel, code, reporter, text, alarm } = what
        else {
            return None;
        };
        Some(Self {
            id: *incident,
            class: class.clone(),
            level: *level,
            place: place.clone(),
            mode: event.mode,
            stage: Stage::Reported,
            channel: *channel,
            code: code.clone(),
            first_owner: event.by.clone(),
            reporter: reporter.clone(),
            text: *text,
            alarms: alarm.iter().copied().collect(),
            merged_into: None,
            absorbed: Vec::new(),
            approved_by: None,
            approved_after: false,
            reason: None,
            tasks: Vec::new(),
            exhibits: Vec::new(),
            times: Times { reported: event.at, ..Times::default() },
            reopened: 0,
            bounces: 0,
            attention: Vec::new(),
            acted: None,
        })
    }

    fn apply(&mut self, what: &IncidentEvent, event: &Event) {
        self.advance(what, event);
        self.heed(what, event);
    }

    fn count(what: &IncidentEvent, counters: &mut Counters) {
        if let IncidentEvent::Reported { incident, .. } = what {
            use_up(&mut counters.incident, incident.0);
        } else if let IncidentEvent::TaskPushed { task, .. } = what {
            use_up(&mut counters.task, task.0);
        }
    }

    fn index(&self, site: Option<&Site>) -> Index {
        let mut refs: Vec<Relation> = self.place.relations().collect();
        let more = self.units().cloned().map(Relation::Unit);
        let more = more.chain(self.merged_into.map(Relation::Parent));
        let person = self.reporter.as_ref().and_then(|r| r.person.clone());
        let more = more.chain(person.map(Relation::Person));
        let more = more.chain(self.tasks.iter().map(|t| Relation::Task(t.id)));
        for relation in more.chain(self.alarms.iter().copied().map(Relation::Alarm)) {
            if !refs.contains(&relation) {
                refs.push(relation);
            }
        }
        let limits = site.and_then(|s| s.class(&self.class)).map(|c| &c.limits);
        Index {
            open: self.open(),
            at: self.times.reported,
            due: limits.and_then(|l| self.due(l)).map(|(at, ..)| at),
            level: Some(self.level),
            stage: Some(self.stage.name()),
            refs,
        }
    }

    /// Its alarms: reopened, it takes their evidence again.
    fn companions(&self) -> Vec<Key> {
        self.alarms.iter().copied().map(Key::Alarm).collect()
    }

    fn forgettable(&self, _: &State) -> bool {
        !self.open()
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        match self.times.ended {
            _ if self.open() => InSnapshot::Always,
            Some(ended) if ended >= since => InSnapshot::Recent,
            Some(_) | None => InSnapshot::Past,
        }
    }
}

impl Incident {
    /// What the event does to stage, times and tasks.
    fn advance(&mut self, what: &IncidentEvent, event: &Event) {
        let at = Some(event.at);
        match what {
            IncidentEvent::Accepted { .. } => {
                self.stage = Stage::Accepted;
                self.times.accepted = at;
            }
            IncidentEvent::Rejected { reason, .. } => {
                self.stage = Stage::Rejected;
                self.reason = Some(*reason);
                self.times.ended = at;
            }
            IncidentEvent::Merged { into, .. } => {
                self.stage = Stage::Merged;
                self.merged_into = Some(*into);
                self.times.ended = at;
            }
            IncidentEvent::Absorbed { from, alarms, exhibits, level, .. } => {
                self.level = level.map_or(self.level, |l| l.max(self.level));
                if self.level == Level::Red && self.stage == Stage::PendingApproval {
                    self.stage = Stage::Filed;
                }
                self.absorbed.push(*from);
                self.alarms.extend(alarms);
                self.exhibits.extend_from_slice(exhibits);
            }
            IncidentEvent::Filed { class, level, .. } => {
                self.class = class.clone();
                self.level = *level;
                self.stage = if *level == Level::Red { Stage::Filed } else { Stage::PendingApproval };
                self.times.filed = at;
            }
            IncidentEvent::Approved { .. } => {
                self.approved_by = Some(event.by.clone());
                self.approved_after = self.times.pushed.is_some();
                self.times.approved = at;
                if matches!(self.stage, Stage::PendingApproval | Stage::Filed) {
                    self.stage = Stage::Approved;
                }
            }
            IncidentEvent::ApprovalRefused { reason, .. } => {
                self.reason = Some(*reason);
                self.stage = Stage::Accepted;
                self.times.filed = None;
            }
            IncidentEvent::Verified { .. } => {
                self.stage = Stage::Verified;
                self.times.verified = at;
            }
            IncidentEvent::Closed { .. } => {
                self.stage = Stage::Closed;
                self.times.ended = at;
            }
            IncidentEvent::Reopened { reason, .. } => self.reopen(*reason, event.at),
            IncidentEvent::PlaceCorrected { place, .. } => self.place = place.clone(),
            IncidentEvent::ExhibitAdded { exhibit, .. } => self.exhibits.push(exhibit.clone()),
            IncidentEvent::TaskPushed { .. }
            | IncidentEvent::TaskDelivered { .. }
            | IncidentEvent::TaskAcknowledged { .. }
            | IncidentEvent::TaskEnRoute { .. }
            | IncidentEvent::TaskOnScene { .. }
            | IncidentEvent::TaskFeedback { .. }
            | IncidentEvent::TaskDeclined { .. }
            | IncidentEvent::TaskRecalled { .. }
            | IncidentEvent::ReworkOrdered { .. } => self.apply_task(what, event),
            IncidentEvent::Reported { .. }
            | IncidentEvent::Noted { .. }
            | IncidentEvent::AttentionCalled { .. }
            | IncidentEvent::Attended { .. } => {}
        }
    }

    /// What the event asks of the centre, and what it answers.
    fn heed(&mut self, what: &IncidentEvent, event: &Event) {
        let (asked, now, by_person) = (&mut self.attention, event.at, matches!(event.by, By::Account(_)));
        match what {
            IncidentEvent::AttentionCalled { why, task, .. } => attention::call(asked, *why, *task, now),
            IncidentEvent::TaskPushed { .. } | IncidentEvent::Attended { text: Some(_), .. } => asked.clear(),
            IncidentEvent::TaskAcknowledged { .. } => {
                asked.retain(|a| !matches!(a.why, Why::Idle | Why::Unacknowledged))
            }
            IncidentEvent::Attended { text: None, .. }
            | IncidentEvent::Accepted { .. }
            | IncidentEvent::Rejected { .. }
            | IncidentEvent::Merged { .. }
            | IncidentEvent::Absorbed { .. }
            | IncidentEvent::Filed { .. }
            | IncidentEvent::Approved { .. }
            | IncidentEvent::ApprovalRefused { .. }
            | IncidentEvent::TaskRecalled { .. }
            | IncidentEvent::ReworkOrdered { .. }
            | IncidentEvent::Verified { .. }
            | IncidentEvent::Closed { .. }
            | IncidentEvent::Reopened { .. }
            | IncidentEvent::PlaceCorrected { .. } => {
                if by_person {
                    attention::take(asked, &event.by, now);
                }
            }
            IncidentEvent::Reported { .. }
            | IncidentEvent::TaskDelivered { .. }
            | IncidentEvent::TaskEnRoute { .. }
            | IncidentEvent::TaskOnScene { .. }
            | IncidentEvent::TaskFeedback { .. }
            | IncidentEvent::TaskDeclined { .. }
            | IncidentEvent::Noted { .. }
            | IncidentEvent::ExhibitAdded { .. } => {}
        }
        if by_person && what.acts() {
            self.acted = Some(now);
        }
        if self.stage.ended() {
            self.attention.clear();
        }
    }

    fn reopen(&mut self, reason: Ref, now: Timestamp) {
        self.stage = if self.times.filed.is_some() { Stage::Approved } else { Stage::Accepted };
        self.reason = Some(reason);
        self.reopened = self.reopened.saturating_add(1);
        let t = &mut self.times;
        (t.pushed, t.delivered, t.done, t.verified, t.ended) = (None, None, None, None, None);
        t.reopened = Some(now);
    }

    fn apply_task(&mut self, what: &IncidentEvent, event: &Event) {
        let now = event.moment();
        if let IncidentEvent::TaskPushed { task, unit, terms, text, replaces, .. } = what {
            self.tasks.push(Task {
                id: *task,
                unit: unit.clone(),
                terms: *terms,
                state: TaskState::Pushed,
                times: TaskTimes { pushed: now, ..TaskTimes::default() },
                receipt: None,
                external: None,
                text: *text,
                reason: None,
                replaces: *replaces,
                feedback: Vec::new(),
                reworks: 0,
            });
            self.times.pushed = self.times.pushed.or(Some(now));
            self.times.delivered = None;
            self.times.done = None;
        } else {
            self.apply_step(what, event);
        }
        self.settle(now);
    }

    fn apply_step(&mut self, what: &IncidentEvent, event: &Event) {
        let now = event.moment();
        let Some(id) = what.task() else { return };
        let Some(task) = self.tasks.iter_mut().find(|t| t.id == id) else { return };
        match what {
            IncidentEvent::TaskDelivered { receipt, external, .. } => {
                if task.state == TaskState::Pushed {
                    task.state = TaskState::Delivered;
                }
                task.times.delivered = task.times.delivered.or(Some(now));
                task.receipt = task.receipt.or(Some(*receipt));
                task.external = external.clone().or(task.external.take());
            }
            IncidentEvent::TaskAcknowledged { .. } => {
                task.state = TaskState::Acknowledged;
                // Taking the task proves that it arrived.
                task.times.delivered = task.times.delivered.or(Some(now));
                task.times.acknowledged = Some(now);
            }
            IncidentEvent::TaskEnRoute { .. } => {
                task.state = TaskState::EnRoute;
                task.times.en_route = Some(now);
            }
            IncidentEvent::TaskOnScene { .. } => {
                task.state = TaskState::OnScene;
                task.times.on_scene = Some(now);
            }
            IncidentEvent::TaskFeedback { result, text, photos, .. } => {
                let (by, photos) = (event.by.clone(), photos.clone());
                task.feedback.push(Feedback { at: now, by, result: *result, text: *text, photos });
                if *result != FeedbackResult::NeedSupport {
                    task.state = TaskState::Done;
                    task.times.ended = Some(now);
                }
            }
            IncidentEvent::TaskDeclined { reason, .. } => {
                task.state = TaskState::Declined;
                task.reason = Some(*reason);
                task.times.ended = Some(now);
                self.bounces = self.bounces.saturating_add(1);
            }
            IncidentEvent::TaskRecalled { reason, .. } => {
                task.state = TaskState::Recalled;
                task.reason = *reason;
                task.times.ended = Some(now);
            }
            IncidentEvent::ReworkOrdered { reason, .. } => {
                task.state = TaskState::Acknowledged;
                task.reason = Some(*reason);
                task.reworks = task.reworks.saturating_add(1);
                task.times =
                    TaskTimes { ended: None, en_route: None, on_scene: None, acknowledged: Some(now), ..task.times };
                (self.times.done, self.times.verified) = (None, None);
                if self.times.pushed.is_none() {
                    // After a reopening this is the push.
                    task.times.pushed = now;
                    self.times.pushed = Some(now);
                }
            }
            IncidentEvent::TaskPushed { .. }
            | IncidentEvent::Reported { .. }
            | IncidentEvent::Accepted { .. }
            | IncidentEvent::Rejected { .. }
            | IncidentEvent::Merged { .. }
            | IncidentEvent::Absorbed { .. }
            | IncidentEvent::Filed { .. }
            | IncidentEvent::Approved { .. }
            | IncidentEvent::ApprovalRefused { .. }
            | IncidentEvent::Verified { .. }
            | IncidentEvent::Closed { .. }
            | IncidentEvent::Reopened { .. }
            | IncidentEvent::Noted { .. }
            | IncidentEvent::PlaceCorrected { .. }
            | IncidentEvent::AttentionCalled { .. }
            | IncidentEvent::Attended { .. }
            | IncidentEvent::ExhibitAdded { .. } => {}
        }
    }

    /// The stage that follows from the tasks.
    fn settle(&mut self, now: Timestamp) {
        if self.stage.ended() || self.times.pushed.is_none() {
            return;
        }
        let present = || self.tasks.iter().filter(|t| !t.state.gone());
        if present().next().is_none() {
            // Everything was declined or recalled: back to the dispatcher, who pushes again.
            let red_unapproved = self.level == Level::Red && self.times.approved.is_none();
            self.stage = if red_unapproved { Stage::Filed } else { Stage::Approved };
            (self.times.pushed, self.times.delivered, self.times.done) = (None, None, None);
            return;
        }
        if present().all(|t| t.times.delivered.is_some()) {
            self.times.delivered = self.times.delivered.or(Some(now));
        }
        let all_done = present().filter(|t| t.terms.mandatory).all(|t| t.state == TaskState::Done)
            && present().any(|t| t.state == TaskState::Done);
        self.stage = if all_done {
            self.times.done = self.times.done.or(Some(now));
            // An optional task that goes on does not undo the verification.
            if self.times.verified.is_some() { Stage::Verified } else { Stage::AwaitingVerification }
        } else if present().any(|t| t.times.acknowledged.is_some()) {
            Stage::Handling
        } else {
            Stage::Dispatched
        };
    }

    /// The task of this id.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.iter().find(|t| t.id == id)
    }

    /// Not ended.
    pub fn open(&self) -> bool {
        !self.stage.ended()
    }

    /// When it next asks for attention by itself, why and about which task, under the limits of its class. Nothing asks
    /// again while something sounds.
    pub fn due(&self, limits: &Limits) -> Option<(Timestamp, Why, Option<TaskId>)> {
        if !self.open() || self.attention.iter().any(|a| a.taken.is_none()) {
            return None;
        }
        let unanswered = self.attention.iter().filter_map(|a| {
            let (_, taken) = a.taken.as_ref()?;
            Some((*taken + limits.attend(), a.why, a.task))
        });
        unanswered.chain(self.idle(limits)).min_by_key(|(at, ..)| *at)
    }

    /// A red one that nobody has in hand.
    fn idle(&self, limits: &Limits) -> Option<(Timestamp, Why, Option<TaskId>)> {
        let present = || self.tasks.iter().filter(|t| !t.state.gone());
        if self.level != Level::Red || present().any(|t| t.times.acknowledged.is_some()) {
            return None;
        }
        let quiet = self.acted.unwrap_or(self.times.reported) + limits.attend();
        let waits = present().map(|t| (t.times.pushed + t.terms.acknowledge, t.id)).min();
        Some(match waits {
            None => (quiet, Why::Idle, None),
            Some((late, task)) => (late.max(quiet), Why::Unacknowledged, Some(task)),
        })
    }

    /// Units that have or had a task.
    pub fn units(&self) -> impl Iterator<Item = &UnitId> {
        self.tasks.iter().map(|t| &t.unit)
    }

    /// All clocks, ended ones too, under the limits of its class.
    pub fn clocks(&self, limits: &Limits) -> Vec<Clock> {
        let t = &self.times;
        let mut clocks = Vec::new();
        let mut clock = |kind, since: Option<Timestamp>, limit, ended: Option<Timestamp>, task| {
            if let Some(since) = since {
                clocks.push(Clock { kind, task, since, limit, ended: ended.or(t.ended) });
            }
        };
        clock(ClockKind::Collect, Some(t.reported), limits.collect, t.accepted, None);
        clock(ClockKind::Analyse, t.accepted, limits.analyse, t.filed, None);
        clock(ClockKind::Approve, t.filed, limits.approve, t.approved, None);
        let push_from = if self.level == Level::Red { t.filed } else { t.approved };
        // Whoever reopens it asks for a new push; the old approval stands.
        let push_from = push_from.map(|from| t.reopened.map_or(from, |again| again.max(from)));
        clock(ClockKind::Push, push_from, limits.push, t.pushed, None);
        for task in self.tasks.iter().filter(|t| !t.state.gone()) {
            let (s, terms, id) = (&task.times, &task.terms, Some(task.id));
            // Runs from the push, also while nobody has opened it: a unit that never looks is late.
            clock(ClockKind::Acknowledge, Some(s.pushed), terms.acknowledge, s.acknowledged, id);
            clock(ClockKind::Arrive, s.acknowledged, terms.arrive, s.on_scene.or(s.ended), id);
            clock(ClockKind::Handle, Some(s.pushed), terms.handle, s.ended, id);
        }
        clock(ClockKind::Verify, t.done, limits.verify, t.verified, None);
        clocks
    }
}
