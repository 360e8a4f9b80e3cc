//! What happened. Events are the only way that state changes; each belongs to one aggregate ([`Body::key`]).

use std::sync::Arc;

pub use crate::state::Key;
use crate::{
    account::{Account, DutyPost},
    alarm::{Evidence, Source, Verdict},
    attention::Why,
    device::Voice,
    ids::*,
    incident::{Channel, Exhibit, Reporter},
    patrol::{Finding, Light, Message, PatrolKind},
    site::{Level, Place, Site},
    task::{FeedbackResult, Receipt, TaskTerms},
    text::{Ref, Subject},
    time::Timestamp,
};

/// Whether it is for real. Exercises and tests stay out of figures and go only to their own recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// For real.
    #[default]
    Real,
    /// 演练.
    Exercise,
    /// A test of equipment.
    Test,
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// A person with an account.
    Account(AccountId),
    /// A unit through its connector.
    Unit(UnitId),
    /// A detection rule.
    Rule(RuleId),
    /// A resident by message.
    Resident,
    /// The centre itself: timers, devices, start-up.
    System,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When the writer decided it.
    pub at: Timestamp,
    /// When it really was, as its author says and within bounds; `None` = at `at`.
    pub happened: Option<Timestamp>,
    /// For real or not.
    pub mode: Mode,
    /// Who.
    pub by: By,
    /// First free id of the vault after this event.
    pub vault_next: u64,
    /// What.
    pub body: Body,
}

impl Event {
    /// When it was: as its author says, else when the writer decided it.
    pub fn moment(&self) -> Timestamp {
        self.happened.unwrap_or(self.at)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A site document took effect.
    SiteChanged {
        /// The whole site.
        site: Arc<Site>,
    },
    /// An account was added or changed; its password is no event.
    AccountChanged {
        /// The account.
        account: Account,
    },
    /// Somebody took or left a duty post.
    DutyChanged {
        /// Which post.
        post: DutyPost,
        /// Who holds it now.
        account: Option<AccountId>,
    },
    /// A condition was noticed.
    AlarmRaised {
        /// Id.
        alarm: AlarmId,
        /// Kind.
        kind: AlarmKindId,
        /// Priority.
        level: Level,
        /// Where.
        place: Place,
        /// Case code 一事一码 that a reporter can quote.
        code: String,
        /// First evidence.
        evidence: Evidence,
    },
    /// The same condition again, or from a further source.
    AlarmEvidence {
        /// Id.
        alarm: AlarmId,
        /// Priority now; it never falls.
        level: Level,
        /// Kind now: the most telling of the sources.
        kind: AlarmKindId,
        /// Evidence.
        evidence: Evidence,
    },
    /// One source is back to normal; the alarm clears with its last.
    AlarmSourceCleared {
        /// Id.
        alarm: AlarmId,
        /// Which source.
        source: Source,
    },
    /// Somebody has seen it 确认.
    AlarmConfirmed {
        /// Id.
        alarm: AlarmId,
    },
    /// Confirmed but not judged in time: it sounds again.
    AlarmSounded {
        /// Id.
        alarm: AlarmId,
    },
    /// Judged 判定.
    AlarmJudged {
        /// Id.
        alarm: AlarmId,
        /// Verdict.
        verdict: Verdict,
        /// The incident of a genuine one.
        incident: Option<IncidentId>,
        /// Remark.
        text: Option<Ref>,
    },
    /// Shelved 屏蔽 until a time.
    AlarmShelved {
        /// Id.
        alarm: AlarmId,
        /// When it ends by itself.
        until: Timestamp,
        /// Reason.
        reason: Ref,
    },
    /// The shelving ended.
    AlarmUnshelved {
        /// Id.
        alarm: AlarmId,
    },
    /// A clip or still of the moment was saved.
    AlarmExhibit {
        /// Id.
        alarm: AlarmId,
        /// What.
        exhibit: Exhibit,
    },
    /// Its incident was merged; it goes on with the other one.
    AlarmMoved {
        /// Id.
        alarm: AlarmId,
        /// The incident that goes on.
        incident: IncidentId,
    },
    /// It was found where it is, after it was raised without a place or with a wrong one.
    AlarmPlaced {
        /// Id.
        alarm: AlarmId,
        /// Where.
        place: Place,
    },
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
    /// A sensor became reachable or not.
    SensorLink {
        /// Which.
        sensor: SensorId,
        /// Reachable.
        online: bool,
    },
    /// A camera's connection or picture changed.
    CameraFact {
        /// Which.
        camera: CameraId,
        /// State name of the media role, `online` when pictures come.
        state: String,
        /// Fault of the picture, `frozen` or `black`.
        fault: Option<String>,
        /// Since when.
        since: Timestamp,
    },
    /// A device got a secret to log in with, in place of any before.
    DeviceCredentialIssued {
        /// Which.
        device: DeviceId,
        /// Whom it speaks for.
        voice: Voice,
        /// The sensors behind a gateway that lists them.
        behind: Vec<SensorId>,
        /// Hash of the secret.
        hash: Ref,
    },
    /// A device's secret was taken back.
    DeviceCredentialRevoked {
        /// Which.
        device: DeviceId,
    },
    /// The freshness of a department's data changed.
    LightChanged {
        /// Which.
        unit: UnitId,
        /// Light.
        light: Light,
        /// Newest record or call.
        last: Option<Timestamp>,
    },
    /// A patrol is planned.
    PatrolPlanned {
        /// Id.
        patrol: PatrolId,
        /// Which of the three.
        kind: PatrolKind,
        /// Tour, rule or route name.
        subject: String,
        /// Planned start.
        due: Timestamp,
    },
    /// It runs.
    PatrolStarted {
        /// Id.
        patrol: PatrolId,
        /// Things to look at.
        total: u32,
    },
    /// It found something.
    PatrolFound {
        /// Id.
        patrol: PatrolId,
        /// What.
        finding: Finding,
    },
    /// It ended.
    PatrolFinished {
        /// Id.
        patrol: PatrolId,
        /// Things looked at.
        checked: u32,
    },
    /// A message came in or goes out.
    MessageKept {
        /// The message.
        message: Message,
    },
    /// The gateway took an outgoing message, or gave up.
    MessageSent {
        /// Which.
        message: MessageId,
        /// Taken.
        ok: bool,
    },
    /// An input could not be read; it was recorded and answered.
    Unreadable {
        /// `mqtt`, a department or `sms`.
        source: String,
        /// Stable code: `oversize`, `malformed`, `unknown_device` …
        why: String,
        /// Bytes.
        size: u64,
    },
    /// A subject's values were destroyed.
    Erased {
        /// Whose.
        subject: Subject,
    },
}

impl Body {
    /// A stable name of the event.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SiteChanged { .. } => "site_changed",
            Self::AccountChanged { .. } => "account_changed",
            Self::DutyChanged { .. } => "duty_changed",
            Self::AlarmRaised { .. } => "alarm_raised",
            Self::AlarmEvidence { .. } => "alarm_evidence",
            Self::AlarmSourceCleared { .. } => "alarm_source_cleared",
            Self::AlarmConfirmed { .. } => "alarm_confirmed",
            Self::AlarmSounded { .. } => "alarm_sounded",
            Self::AlarmJudged { .. } => "alarm_judged",
            Self::AlarmShelved { .. } => "alarm_shelved",
            Self::AlarmUnshelved { .. } => "alarm_unshelved",
            Self::AlarmExhibit { .. } => "alarm_exhibit",
            Self::AlarmMoved { .. } => "alarm_moved",
            Self::AlarmPlaced { .. } => "alarm_placed",
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
            Self::SensorLink { .. } => "sensor_link",
            Self::CameraFact { .. } => "camera_fact",
            Self::DeviceCredentialIssued { .. } => "device_credential_issued",
            Self::DeviceCredentialRevoked { .. } => "device_credential_revoked",
            Self::LightChanged { .. } => "light_changed",
            Self::PatrolPlanned { .. } => "patrol_planned",
            Self::PatrolStarted { .. } => "patrol_started",
            Self::PatrolFound { .. } => "patrol_found",
            Self::PatrolFinished { .. } => "patrol_finished",
            Self::MessageKept { .. } => "message_kept",
            Self::MessageSent { .. } => "message_sent",
            Self::Unreadable { .. } => "unreadable",
            Self::Erased { .. } => "erased",
        }
    }

    /// The aggregate that it belongs to.
    pub fn key(&self) -> Key {
        match self {
            Self::SiteChanged { .. } => Key::Site,
            Self::AccountChanged { account } => Key::Account(account.id.clone()),
            Self::DutyChanged { .. } => Key::Duty,
            Self::AlarmRaised { alarm, .. }
            | Self::AlarmEvidence { alarm, .. }
            | Self::AlarmSourceCleared { alarm, .. }
            | Self::AlarmConfirmed { alarm }
            | Self::AlarmSounded { alarm }
            | Self::AlarmJudged { alarm, .. }
            | Self::AlarmShelved { alarm, .. }
            | Self::AlarmExhibit { alarm, .. }
            | Self::AlarmMoved { alarm, .. }
            | Self::AlarmPlaced { alarm, .. }
            | Self::AlarmUnshelved { alarm } => Key::Alarm(*alarm),
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
            | Self::ExhibitAdded { incident, .. } => Key::Incident(*incident),
            Self::SensorLink { sensor, .. } => Key::Sensor(sensor.clone()),
            Self::CameraFact { camera, .. } => Key::Camera(camera.clone()),
            Self::DeviceCredentialIssued { device, .. } | Self::DeviceCredentialRevoked { device } => {
                Key::Credential(device.clone())
            }
            Self::LightChanged { unit, .. } => Key::Light(unit.clone()),
            Self::PatrolPlanned { patrol, .. }
            | Self::PatrolStarted { patrol, .. }
            | Self::PatrolFound { patrol, .. }
            | Self::PatrolFinished { patrol, .. } => Key::Patrol(*patrol),
            Self::MessageKept { message } => Key::Message(message.id),
            Self::MessageSent { message, .. } => Key::Message(*message),
            Self::Unreadable { .. } => Key::Unreadable,
            Self::Erased { .. } => Key::Erasures,
        }
    }
}
