//! The task 任务 of a unit within an incident: its terms, states, times and feedback.

mod decide;

use crate::{
    event::By,
    ids::*,
    text::Ref,
    time::{Millis, Timestamp},
};

/// Most tasks of one incident.
pub const MAX_TASKS: usize = 64;
/// Most photos of one feedback.
pub const MAX_PHOTOS: usize = 9;
/// Feedback of one task after which a further call for support is refused; the one that ends it is always taken.
pub const MAX_FEEDBACK: usize = 32;

/// Role, duty and limits of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTerms {
    /// Leads 主办 or assists 协办.
    pub lead: bool,
    /// Verification waits for it.
    pub mandatory: bool,
    /// delivered → acknowledged.
    pub acknowledge: Millis,
    /// acknowledged → on scene.
    pub arrive: Millis,
    /// pushed → done.
    pub handle: Millis,
    /// May be declined within this time of the push; zero = never.
    pub decline: Millis,
}

/// What shows that a task reached its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receipt {
    /// The unit's system answered 2xx.
    Http,
    /// The unit's page showed it.
    Client,
}

/// Result of a feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedbackResult {
    /// 已完成.
    Done,
    /// 需支援: work goes on.
    NeedSupport,
    /// 现场无此事.
    NothingFound,
}

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// On its way to the unit.
    Pushed,
    /// The unit has it before its eyes.
    Delivered,
    /// 签收.
    Acknowledged,
    /// 出发.
    EnRoute,
    /// 到场.
    OnScene,
    /// 已反馈.
    Done,
    /// 退回.
    Declined,
    /// 撤回.
    Recalled,
}

impl TaskState {
    /// The unit still has something to do.
    pub const fn live(self) -> bool {
        !matches!(self, Self::Done | Self::Declined | Self::Recalled)
    }
    /// The unit has left it.
    pub const fn gone(self) -> bool {
        matches!(self, Self::Declined | Self::Recalled)
    }
}

/// One feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: By,
    /// Result.
    pub result: FeedbackResult,
    /// What was said.
    pub text: Option<Ref>,
    /// Photos.
    pub photos: Vec<BlobId>,
}

/// Times of a task's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TaskTimes {
    /// Pushed.
    pub pushed: Timestamp,
    /// Delivered.
    pub delivered: Option<Timestamp>,
    /// Acknowledged.
    pub acknowledged: Option<Timestamp>,
    /// Left.
    pub en_route: Option<Timestamp>,
    /// Arrived.
    pub on_scene: Option<Timestamp>,
    /// Done, declined or recalled.
    pub ended: Option<Timestamp>,
}

/// A task of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Id.
    pub id: TaskId,
    /// Whose.
    pub unit: UnitId,
    /// Role, duty and limits.
    pub terms: TaskTerms,
    /// State.
    pub state: TaskState,
    /// Times.
    pub times: TaskTimes,
    /// What shows that it was delivered.
    pub receipt: Option<Receipt>,
    /// The unit's own number.
    pub external: Option<String>,
    /// What to do.
    pub text: Option<Ref>,
    /// Why it was declined, recalled or sent back.
    pub reason: Option<Ref>,
    /// The task that this one replaces.
    pub replaces: Option<TaskId>,
    /// Feedback so far.
    pub feedback: Vec<Feedback>,
    /// Times that it was sent back.
    pub reworks: u32,
}
