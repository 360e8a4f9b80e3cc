//! What may be put before the core: commands of people and units, observations of sources, and the passing of time.

use crate::{
    account::{Account, DutyPost, Role},
    alarm::{Source, Verdict},
    device::Voice,
    event::{By, Key, Mode},
    ids::*,
    incident::{Channel, Exhibit, ReporterKind},
    light::Light,
    patrol::PatrolKind,
    site::{Level, Place, Site},
    task::{FeedbackResult, Receipt},
    text::Subject,
    time::{Millis, Timestamp},
};
use std::sync::Arc;

/// Who asks, as the edge has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person with a session.
    Account {
        /// Account.
        id: AccountId,
        /// Role.
        role: Role,
        /// Unit of a clerk or team of a grid manager.
        unit: Option<UnitId>,
        /// Grid of a grid manager.
        grid: Option<GridId>,
    },
    /// A unit's own system with a signed call.
    Unit(UnitId),
    /// The centre's own parts.
    System,
}

impl Actor {
    /// The author that events name.
    pub fn by(&self) -> By {
        match self {
            Self::Account { id, .. } => By::Account(id.clone()),
            Self::Unit(unit) => By::Unit(unit.clone()),
            Self::System => By::System,
        }
    }
    /// Its unit.
    pub fn unit(&self) -> Option<&UnitId> {
        match self {
            Self::Account { unit, .. } => unit.as_ref(),
            Self::Unit(unit) => Some(unit),
            Self::System => None,
        }
    }
}

/// Who reports, in clear; goes into the vault.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReporterInput {
    /// How much may be known.
    pub kind: Option<ReporterKind>,
    /// Name.
    pub name: Option<String>,
    /// Number.
    pub phone: Option<String>,
    /// Keyed hash of the number, made by the edge.
    pub person: Option<String>,
}

/// A unit that a push goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTarget {
    /// Unit.
    pub unit: UnitId,
    /// Leads.
    pub lead: bool,
    /// Verification waits for it.
    pub mandatory: bool,
    /// Another limit for the arrival.
    pub arrive: Option<Millis>,
}

/// What an exhibit is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExhibitOf {
    /// An alarm: the clip of the moment.
    Alarm(AlarmId),
    /// An incident.
    Incident(IncidentId),
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Puts a site document in force.
    SetSite(Arc<Site>),
    /// Adds or changes an account; `name` goes into the vault.
    SetAccount {
        /// Account; its `name` reference is ignored.
        account: Account,
        /// Owner's name.
        name: String,
    },
    /// Takes or leaves a duty post.
    SetDuty {
        /// Post.
        post: DutyPost,
        /// Who.
        account: Option<AccountId>,
    },
    /// Confirms an alarm.
    ConfirmAlarm(AlarmId),
    /// Judges an alarm.
    JudgeAlarm {
        /// Which.
        alarm: AlarmId,
        /// Verdict.
        verdict: Verdict,
        /// Class of the incident of a genuine one, if not the kind's own.
        class: Option<ClassId>,
        /// Remark.
        text: Option<String>,
    },
    /// Shelves an alarm.
    ShelveAlarm {
        /// Which.
        alarm: AlarmId,
        /// For how long.
        span: Millis,
        /// Why.
        reason: String,
    },
    /// Ends a shelving.
    UnshelveAlarm(AlarmId),
    /// Reports an incident.
    Report {
        /// Class.
        class: ClassId,
        /// Level, if not the class's own.
        level: Option<Level>,
        /// Where.
        place: Place,
        /// How it came.
        channel: Channel,
        /// Who reported.
        reporter: Option<ReporterInput>,
        /// What was said.
        text: Option<String>,
        /// An open incident that it tells of once more: it is merged into that one.
        into: Option<IncidentId>,
    },
    /// Takes what asks for attention.
    Attend {
        /// Which.
        incident: IncidentId,
        /// Answers a call for support or a declined task.
        text: Option<String>,
    },
    /// Accepts.
    Accept(IncidentId),
    /// Rejects.
    Reject {
        /// Which.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Merges into another.
    Merge {
        /// The one that ends.
        incident: IncidentId,
        /// The one that goes on.
        into: IncidentId,
    },
    /// Files.
    File {
        /// Which.
        incident: IncidentId,
        /// Class, if another.
        class: Option<ClassId>,
        /// Level, if another.
        level: Option<Level>,
    },
    /// Approves.
    Approve(IncidentId),
    /// Refuses the approval.
    RefuseApproval {
        /// Which.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Pushes to units.
    Push {
        /// Which.
        incident: IncidentId,
        /// To whom.
        targets: Vec<PushTarget>,
        /// What to do.
        text: Option<String>,
    },
    /// The unit's page shows the task, or its system answered.
    Deliver {
        /// Task.
        task: TaskId,
        /// What shows it.
        receipt: Receipt,
        /// The unit's own number.
        external: Option<String>,
    },
    /// Takes a task.
    Acknowledge(TaskId),
    /// Leaves.
    EnRoute(TaskId),
    /// Arrives.
    OnScene(TaskId),
    /// Feeds back.
    Feedback {
        /// Task.
        task: TaskId,
        /// Result.
        result: FeedbackResult,
        /// What to say.
        text: Option<String>,
        /// Photos, already stored.
        photos: Vec<BlobId>,
    },
    /// Declines.
    Decline {
        /// Task.
        task: TaskId,
        /// Why.
        reason: String,
    },
    /// Recalls.
    Recall {
        /// Task.
        task: TaskId,
        /// Why.
        reason: Option<String>,
    },
    /// Recalls and pushes to another unit.
    Reassign {
        /// Task.
        task: TaskId,
        /// To whom.
        unit: UnitId,
        /// Why.
        reason: Option<String>,
    },
    /// Verifies.
    Verify {
        /// Which.
        incident: IncidentId,
        /// Remark.
        text: Option<String>,
    },
    /// Sends a done task back.
    Rework {
        /// Task.
        task: TaskId,
        /// Why.
        reason: String,
    },
    /// Closes.
    Close {
        /// Which.
        incident: IncidentId,
        /// Remark.
        text: Option<String>,
    },
    /// Reopens.
    Reopen {
        /// Which.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Adds a remark.
    Note {
        /// Which.
        incident: IncidentId,
        /// Remark.
        text: String,
    },
    /// Corrects the place.
    CorrectPlace {
        /// Which.
        incident: IncidentId,
        /// Where.
        place: Place,
    },
    /// Tells where an alarm is.
    PlaceAlarm {
        /// Which.
        alarm: AlarmId,
        /// Where.
        place: Place,
    },
    /// Tells where a message is about that waits in the inbox; it becomes an alarm.
    PlaceMessage {
        /// Which.
        message: MessageId,
        /// Where.
        place: Place,
        /// What it reports, if that is known.
        class: Option<ClassId>,
    },
    /// Adds a stored still, clip or photo.
    AddExhibit {
        /// To what.
        of: ExhibitOf,
        /// What.
        exhibit: Exhibit,
    },
    /// Destroys a subject's values.
    Erase(Subject),
    /// Gives a device a secret to log in to the broker with, in place of any before.
    IssueCredential {
        /// Which.
        device: DeviceId,
        /// Whom it speaks for.
        voice: Voice,
        /// The sensors behind a gateway that lists them.
        behind: Vec<SensorId>,
        /// Hash of the secret, [`device::is_hash`](crate::device::is_hash); goes into the vault.
        hash: String,
    },
    /// Takes a device's secret back.
    RevokeCredential(DeviceId),
}

/// An observation of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A rule of a sensor crossed its edge, after hysteresis and hold time.
    SensorEdge {
        /// Which.
        sensor: SensorId,
        /// Rule.
        rule: RuleId,
        /// Kind of alarm.
        kind: AlarmKindId,
        /// Began or ended.
        raised: bool,
        /// Measured value in the sensor's unit.
        value: Option<f64>,
        /// When the source saw it.
        at: Timestamp,
    },
    /// A sensor is reachable or, by its last will, not.
    SensorLink {
        /// Which.
        sensor: SensorId,
        /// Reachable.
        online: bool,
    },
    /// A camera's connection or picture changed. Alarms of faults that last are raised from it.
    CameraFact {
        /// Which.
        camera: CameraId,
        /// State name of the media role.
        state: String,
        /// Fault of the picture.
        fault: Option<String>,
        /// Since when.
        since: Timestamp,
        /// The fault has stood long enough to be an alarm of this kind. `None` of a camera that is well ends such alarms.
        alarm: Option<AlarmKindId>,
    },
    /// A message came in.
    MessageIn {
        /// Sender's number, in clear; goes into the vault.
        from: String,
        /// Keyed hash of the number.
        person: Option<String>,
        /// What it says.
        text: String,
        /// The place that its words name.
        place: Option<Place>,
    },
    /// The gateway took an outgoing message, or gave up.
    MessageSent {
        /// Which.
        message: MessageId,
        /// Taken.
        ok: bool,
    },
    /// A unit reports something.
    UnitReport {
        /// Which.
        unit: UnitId,
        /// Its number.
        external: String,
        /// Class.
        class: ClassId,
        /// Where.
        place: Place,
        /// What it says.
        text: Option<String>,
    },
    /// A rule over records found something.
    RuleHit {
        /// Rule.
        rule: RuleId,
        /// Kind of alarm.
        kind: AlarmKindId,
        /// Names the finding, free of personal values.
        key: String,
        /// Where.
        place: Place,
        /// What it says.
        text: Option<String>,
    },
    /// A department's light changed.
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
        /// Which of the three.
        kind: PatrolKind,
        /// Tour, rule or route.
        subject: String,
        /// Planned start.
        due: Timestamp,
    },
    /// A patrol runs.
    PatrolStarted {
        /// Which.
        patrol: PatrolId,
        /// Things to look at.
        total: u32,
    },
    /// A patrol found something.
    PatrolFound {
        /// Which.
        patrol: PatrolId,
        /// On what.
        source: Source,
        /// Stable code.
        what: String,
    },
    /// A patrol ended.
    PatrolFinished {
        /// Which.
        patrol: PatrolId,
        /// Things looked at.
        checked: u32,
    },
    /// Something could not be read.
    Unreadable {
        /// `mqtt`, a department or `sms`.
        source: String,
        /// Stable code.
        why: String,
        /// Bytes.
        size: u64,
    },
    /// A task does not reach its unit's system: the case says so, and a red one that no unit has taken asks for a person.
    PushFailed {
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
        /// What was tried and what to do, Chinese; goes into the vault.
        text: String,
    },
}

/// What is put before the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody asks.
    Command {
        /// Who.
        actor: Actor,
        /// For real or not; must fit the incident.
        mode: Mode,
        /// When the author did it, if that was not now: a tap on a phone without network. Only steps of tasks heed it.
        happened: Option<Timestamp>,
        /// What.
        command: Command,
    },
    /// A source saw something.
    Observe {
        /// For real or not.
        mode: Mode,
        /// What.
        observation: Observation,
    },
    /// Time passed: whatever is due happens.
    Tick,
}

impl Input {
    /// The things that it is decided by and that memory may have forgotten. Whoever decides has them in memory first, with
    /// their [`State::companions`](crate::State::companions), so that what ended long ago is answered like what ended just now.
    pub fn names(&self) -> Vec<Key> {
        match self {
            Self::Command { command, .. } => command.names(),
            Self::Observe { observation, .. } => observation.names(),
            // What is due has not ended.
            Self::Tick => Vec::new(),
        }
    }

    /// The task that it is about: its incident, too, must be in memory.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Command { command, .. } => command.task(),
            Self::Observe { .. } | Self::Tick => None,
        }
    }
}

impl Command {
    fn names(&self) -> Vec<Key> {
        match self {
            Self::SetDuty { account, .. } => account.iter().cloned().map(Key::Account).collect(),
            Self::IssueCredential { device, .. } | Self::RevokeCredential(device) => {
                vec![Key::Credential(device.clone())]
            }
            Self::ConfirmAlarm(alarm)
            | Self::JudgeAlarm { alarm, .. }
            | Self::ShelveAlarm { alarm, .. }
            | Self::UnshelveAlarm(alarm)
            | Self::PlaceAlarm { alarm, .. } => vec![Key::Alarm(*alarm)],
            Self::PlaceMessage { message, .. } => vec![Key::Message(*message)],
            Self::Report { into, .. } => into.iter().copied().map(Key::Incident).collect(),
            Self::Attend { incident, .. }
            | Self::Accept(incident)
            | Self::Reject { incident, .. }
            | Self::File { incident, .. }
            | Self::Approve(incident)
            | Self::RefuseApproval { incident, .. }
            | Self::Push { incident, .. }
            | Self::Verify { incident, .. }
            | Self::Close { incident, .. }
            | Self::Reopen { incident, .. }
            | Self::Note { incident, .. }
            | Self::CorrectPlace { incident, .. } => vec![Key::Incident(*incident)],
            Self::Merge { incident, into } => vec![Key::Incident(*incident), Key::Incident(*into)],
            Self::AddExhibit { of, .. } => match of {
                ExhibitOf::Alarm(alarm) => vec![Key::Alarm(*alarm)],
                ExhibitOf::Incident(incident) => vec![Key::Incident(*incident)],
            },
            // Whole, or of what is always there.
            Self::SetSite(_) | Self::SetAccount { .. } | Self::Erase(_) => Vec::new(),
            // By their task.
            Self::Deliver { .. }
            | Self::Acknowledge(_)
            | Self::EnRoute(_)
            | Self::OnScene(_)
            | Self::Feedback { .. }
            | Self::Decline { .. }
            | Self::Recall { .. }
            | Self::Reassign { .. }
            | Self::Rework { .. } => Vec::new(),
        }
    }

    fn task(&self) -> Option<TaskId> {
        match self {
            Self::Deliver { task, .. }
            | Self::Acknowledge(task)
            | Self::EnRoute(task)
            | Self::OnScene(task)
            | Self::Feedback { task, .. }
            | Self::Decline { task, .. }
            | Self::Recall { task, .. }
            | Self::Reassign { task, .. }
            | Self::Rework { task, .. } => Some(*task),
            Self::SetSite(_)
            | Self::SetAccount { .. }
            | Self::SetDuty { .. }
            | Self::Erase(_)
            | Self::IssueCredential { .. }
            | Self::RevokeCredential(_)
            | Self::ConfirmAlarm(_)
            | Self::JudgeAlarm { .. }
            | Self::ShelveAlarm { .. }
            | Self::UnshelveAlarm(_)
            | Self::PlaceAlarm { .. }
            | Self::PlaceMessage { .. }
            | Self::Report { .. }
            | Self::Attend { .. }
            | Self::Accept(_)
            | Self::Reject { .. }
            | Self::Merge { .. }
            | Self::File { .. }
            | Self::Approve(_)
            | Self::RefuseApproval { .. }
            | Self::Push { .. }
            | Self::Verify { .. }
            | Self::Close { .. }
            | Self::Reopen { .. }
            | Self::Note { .. }
            | Self::CorrectPlace { .. }
            | Self::AddExhibit { .. } => None,
        }
    }
}

impl Observation {
    fn names(&self) -> Vec<Key> {
        match self {
            Self::SensorLink { sensor, .. } => vec![Key::Sensor(sensor.clone())],
            Self::CameraFact { camera, .. } => vec![Key::Camera(camera.clone())],
            Self::MessageSent { message, .. } => vec![Key::Message(*message)],
            Self::PushFailed { incident, .. } => vec![Key::Incident(*incident)],
            Self::PatrolStarted { patrol, .. }
            | Self::PatrolFound { patrol, .. }
            | Self::PatrolFinished { patrol, .. } => vec![Key::Patrol(*patrol)],
            // What they join is found among what has not ended.
            Self::SensorEdge { .. } | Self::MessageIn { .. } | Self::UnitReport { .. } | Self::RuleHit { .. } => {
                Vec::new()
            }
            // Whole, or the beginning.
            Self::LightChanged { .. } | Self::PatrolPlanned { .. } | Self::Unreadable { .. } => Vec::new(),
        }
    }
}

/// Something that must leave the centre, at least once. It holds references only; the sender reads what they point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A task to its unit.
    Push {
        /// Unit.
        unit: UnitId,
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
    },
    /// A recall to its unit.
    Recall {
        /// Unit.
        unit: UnitId,
        /// Incident.
        incident: IncidentId,
        /// Task.
        task: TaskId,
    },
    /// A message to a resident.
    Sms {
        /// Message.
        message: MessageId,
    },
    /// A clip to be cut around an alarm, from the nearest cameras.
    Clip {
        /// Alarm that it belongs to.
        alarm: AlarmId,
        /// Camera.
        camera: CameraId,
        /// Start.
        from: Timestamp,
        /// End.
        to: Timestamp,
    },
}

/// What an input led to: the things that its sender may want to name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Refs {
    /// Alarm.
    pub alarm: Option<AlarmId>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Tasks.
    pub tasks: Vec<TaskId>,
    /// Patrol.
    pub patrol: Option<PatrolId>,
    /// Message.
    pub message: Option<MessageId>,
    /// Case code.
    pub code: Option<String>,
}
