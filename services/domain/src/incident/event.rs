//! Events of incidents and their tasks.

use crate::{
    event::Happening,
    ids::*,
    incident::{
        Channel, Exhibit, Reporter,
        attention::Why,
        task::{FeedbackResult, Receipt, TaskTerms},
    },
    site::{Level, Place},
    text::Ref,
};

/// What happens to an incident and its tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum IncidentEvent {
    /// Reported 上报.
    Reported {
        /// Id.
        incident: IncidentId,
        /// Class, if known.
        class: ClassId,
        /// Level.
        level: Level,
        /// Where.
        place: Place,
        /// How it came.
        channel: Channel,
        /// Case code.
        code: String,
        /// Who reported.
        reporter: Option<Reporter>,
        /// What was said.
        text: Option<Ref>,
        /// The alarm that it comes from.
        alarm: Option<AlarmId>,
    },
    /// Accepted 受理.
    Accepted {
        /// Id.
        incident: IncidentId,
    },
    /// Not accepted 不予受理.
    Rejected {
        /// Id.
        incident: IncidentId,
        /// Reason.
        reason: Ref,
    },
    /// Merged 并单 into another.
    Merged {
        /// The one that ends.
        incident: IncidentId,
        /// The one that goes on.
        into: IncidentId,
    },
    /// Took another one in.
    Absorbed {
        /// The one that goes on.
        incident: IncidentId,
        /// The one that ended.
        from: IncidentId,
        /// Alarms that came with it.
        alarms: Vec<AlarmId>,
        /// Photos, stills and clips that came with it.
        exhibits: Vec<Exhibit>,
        /// Its level: the one that goes on is at least as urgent. `None` in events from before this was kept.
        level: Option<Level>,
    },
    /// Filed 核实建单.
    Filed {
        /// Id.
        incident: IncidentId,
        /// Class.
        class: ClassId,
        /// Level.
        level: Level,
    },
    /// Approved 审批, before the push or, for red, after it.
    Approved {
        /// Id.
        incident: IncidentId,
    },
    /// Not approved; goes back to accepted.
    ApprovalRefused {
        /// Id.
        incident: IncidentId,
        /// Reason.
        reason: Ref,
    },
    /// Pushed 推送 to a unit.
    TaskPushed {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// To whom.
        unit: UnitId,
        /// Role, duty and limits.
        terms: TaskTerms,
        /// What to do.
        text: Option<Ref>,
        /// The task that this one replaces 改派.
        replaces: Option<TaskId>,
    },
    /// It reached the unit.
    TaskDelivered {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// What shows it.
        receipt: Receipt,
        /// The unit's own number.
        external: Option<String>,
    },
    /// Taken 签收.
    TaskAcknowledged {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
    },
    /// On the way 出发.
    TaskEnRoute {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
    },
    /// Arrived 到场.
    TaskOnScene {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
    },
    /// Fed back 反馈; all results but `NeedSupport` make the task done.
    TaskFeedback {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// Result.
        result: FeedbackResult,
        /// What was said.
        text: Option<Ref>,
        /// Photos.
        photos: Vec<BlobId>,
    },
    /// Declined 退回 by the unit; returns to the first owner.
    TaskDeclined {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// Reason.
        reason: Ref,
    },
    /// Recalled 撤回 by the centre.
    TaskRecalled {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// Reason.
        reason: Option<Ref>,
    },
    /// A task goes back to work 退回重办.
    ReworkOrdered {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// Reason.
        reason: Ref,
    },
    /// Verified 核查.
    Verified {
        /// Id.
        incident: IncidentId,
        /// Remark.
        text: Option<Ref>,
    },
    /// Closed 结案.
    Closed {
        /// Id.
        incident: IncidentId,
        /// Remark.
        text: Option<Ref>,
    },
    /// Reopened 重新办理.
    Reopened {
        /// Id.
        incident: IncidentId,
        /// Reason.
        reason: Ref,
    },
    /// A remark 记一笔.
    Noted {
        /// Id.
        incident: IncidentId,
        /// Remark.
        text: Ref,
    },
    /// The place was corrected 改址.
    PlaceCorrected {
        /// Id.
        incident: IncidentId,
        /// New place.
        place: Place,
        /// The place until then. `None` in events from before this was kept.
        before: Option<Place>,
    },
    /// Something of the case asks for a person of the centre, or asks again.
    AttentionCalled {
        /// Id.
        incident: IncidentId,
        /// Why.
        why: Why,
        /// The task that it is about.
        task: Option<TaskId>,
    },
    /// A person of the centre has seen what asks 知悉; a reason also answers a call for support and a declined task.
    Attended {
        /// Id.
        incident: IncidentId,
        /// Reason.
        text: Option<Ref>,
    },
    /// A photo, still or clip was saved.
    ExhibitAdded {
        /// Id.
        incident: IncidentId,
        /// What.
        exhibit: Exhibit,
    },
}

impl Happening for IncidentEvent {
    type Id = IncidentId;

    fn name(&self) -> &'static str {
        match self {
            Self::Reported { .. } => "reported",
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Merged { .. } => "merged",
            Self::Absorbed { .. } => "absorbed",
            Self::Filed { .. } => "filed",
            Self::Approved { .. } => "approved",
            Self::ApprovalRefused { .. } => "approval_refused",
            Self::TaskPushed { .. } => "task_pushed",
            Self::TaskDelivered { .. } => "task_delivered",
            Self::TaskAcknowledged { .. } => "task_acknowledged",
            Self::TaskEnRoute { .. } => "task_en_route",
            Self::TaskOnScene { .. } => "task_on_scene",
            Self::TaskFeedback { .. } => "task_feedback",
            Self::TaskDeclined { .. } => "task_declined",
            Self::TaskRecalled { .. } => "task_recalled",
            Self::ReworkOrdered { .. } => "rework_ordered",
            Self::Verified { .. } => "verified",
            Self::Closed { .. } => "closed",
            Self::Reopened { .. } => "reopened",
            Self::Noted { .. } => "noted",
            Self::PlaceCorrected { .. } => "place_corrected",
            Self::AttentionCalled { .. } => "attention_called",
            Self::Attended { .. } => "attended",
            Self::ExhibitAdded { .. } => "exhibit_added",
        }
    }

    fn id(&self) -> IncidentId {
        match self {
            Self::Reported { incident, .. }
            | Self::Accepted { incident }
            | Self::Rejected { incident, .. }
            | Self::Merged { incident, .. }
            | Self::Absorbed { incident, .. }
            | Self::Filed { incident, .. }
            | Self::Approved { incident }
            | Self::ApprovalRefused { incident, .. }
            | Self::TaskPushed { incident, .. }
            | Self::TaskDelivered { incident, .. }
            | Self::TaskAcknowledged { incident, .. }
            | Self::TaskEnRoute { incident, .. }
            | Self::TaskOnScene { incident, .. }
            | Self::TaskFeedback { incident, .. }
            | Self::TaskDeclined { incident, .. }
            | Self::TaskRecalled { incident, .. }
            | Self::ReworkOrdered { incident, .. }
            | Self::Verified { incident, .. }
            | Self::Closed { incident, .. }
            | Self::Reopened { incident, .. }
            | Self::Noted { incident, .. }
            | Self::PlaceCorrected { incident, .. }
            | Self::AttentionCalled { incident, .. }
            | Self::Attended { incident, .. }
            | Self::ExhibitAdded { incident, .. } => *incident,
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::TaskFeedback { photos, .. } => photos.iter().collect(),
            Self::ExhibitAdded { exhibit, .. } => vec![&exhibit.blob],
            // Those of what was absorbed are known from before.
            Self::Reported { .. }
            | Self::Accepted { .. }
            | Self::Rejected { .. }
            | Self::Merged { .. }
            | Self::Absorbed { .. }
            | Self::Filed { .. }
            | Self::Approved { .. }
            | Self::ApprovalRefused { .. }
            | Self::TaskPushed { .. }
            | Self::TaskDelivered { .. }
            | Self::TaskAcknowledged { .. }
            | Self::TaskEnRoute { .. }
            | Self::TaskOnScene { .. }
            | Self::TaskDeclined { .. }
            | Self::TaskRecalled { .. }
            | Self::ReworkOrdered { .. }
            | Self::Verified { .. }
            | Self::Closed { .. }
            | Self::Reopened { .. }
            | Self::Noted { .. }
            | Self::PlaceCorrected { .. }
            | Self::AttentionCalled { .. }
            | Self::Attended { .. } => Vec::new(),
        }
    }
}

impl IncidentEvent {
    /// An act of the centre upon a case: whoever does it has seen what asked for attention.
    pub(crate) const fn acts(&self) -> bool {
        match self {
            Self::Accepted { .. }
            | Self::Rejected { .. }
            | Self::Merged { .. }
            | Self::Absorbed { .. }
            | Self::Filed { .. }
            | Self::Approved { .. }
            | Self::ApprovalRefused { .. }
            | Self::TaskPushed { .. }
            | Self::TaskRecalled { .. }
            | Self::ReworkOrdered { .. }
            | Self::Verified { .. }
            | Self::Closed { .. }
            | Self::Reopened { .. }
            | Self::PlaceCorrected { .. }
            | Self::Attended { .. } => true,
            Self::Reported { .. }
            | Self::TaskDelivered { .. }
            | Self::TaskAcknowledged { .. }
            | Self::TaskEnRoute { .. }
            | Self::TaskOnScene { .. }
            | Self::TaskFeedback { .. }
            | Self::TaskDeclined { .. }
            | Self::Noted { .. }
            | Self::AttentionCalled { .. }
            | Self::ExhibitAdded { .. } => false,
        }
    }

    /// The task that it is about.
    pub const fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskPushed { task, .. }
            | Self::TaskDelivered { task, .. }
            | Self::TaskAcknowledged { task, .. }
            | Self::TaskEnRoute { task, .. }
            | Self::TaskOnScene { task, .. }
            | Self::TaskFeedback { task, .. }
            | Self::TaskDeclined { task, .. }
            | Self::TaskRecalled { task, .. }
            | Self::ReworkOrdered { task, .. } => Some(*task),
            Self::Reported { .. }
            | Self::Accepted { .. }
            | Self::Rejected { .. }
            | Self::Merged { .. }
            | Self::Absorbed { .. }
            | Self::Filed { .. }
            | Self::Approved { .. }
            | Self::ApprovalRefused { .. }
            | Self::Verified { .. }
            | Self::Closed { .. }
            | Self::Reopened { .. }
            | Self::Noted { .. }
            | Self::PlaceCorrected { .. }
            | Self::AttentionCalled { .. }
            | Self::Attended { .. }
            | Self::ExhibitAdded { .. } => None,
        }
    }
}
