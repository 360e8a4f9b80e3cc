//! Commands: each POST is put before the writer once and answered after it is durable. Nothing is decided here.

use axum::{Json, extract::State};
use domain::{
    access::{self, Reach, Right},
    event::Mode,
    ids::{AlarmId, BlobId, IncidentId, MessageId, TaskId},
    input::{Actor, Command, Input, PushTarget, ReporterInput},
    refusal::{Code, Refusal},
    task::Receipt,
    text::Subject,
    time::{Millis, Timestamp},
};
use ledger::FoundBlob;
use link::intake::Submission;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{
    Decline, FeedbackGiven, File, Judge, MaybeReason, MaybeWords, Merge, MessagePlace, NewPlace, Nothing, Push, Reason,
    Reassign, Report, SetDuty, Shelve, Step, Target, TaskReceipt, Words,
};
use crate::{
    body::{CommandKey, Given},
    desk::Desk,
    guard::Within,
    places,
    problem::Problem,
    session::Caller,
};

/// Most targets of one push.
const MAX_TARGETS: usize = 64;

// ---- answers

/// What a command led to; durable when this is answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Where the log stood afterwards.
    pub(super) position: LogPosition,
    /// What it is about.
    refs: Refs,
    /// The key was known: nothing happened now, this is what happened then.
    pub(super) replayed: bool,
}
/// A place in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogPosition {
    /// The log.
    log_id: u64,
    /// Its newest event.
    seq: u64,
}
/// Things that a command touched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refs {
    /// Alarm.
    alarm: Option<u64>,
    /// Incident.
    incident: Option<u64>,
    /// Tasks.
    tasks: Vec<u64>,
    /// Patrol.
    patrol: Option<u64>,
    /// Message.
    message: Option<u64>,
    /// Case code.
    code: Option<String>,
}

// ---- the way to the writer

/// A command, and when its author did it if that was not now.
pub(crate) struct Order {
    command: Command,
    happened: Option<Timestamp>,
}
impl From<Command> for Order {
    fn from(command: Command) -> Self {
        Self { command, happened: None }
    }
}
impl From<(Command, Option<i64>)> for Order {
    fn from((command, at): (Command, Option<i64>)) -> Self {
        Self { command, happened: at.map(Timestamp) }
    }
}

/// Puts a command before the writer.
pub(crate) async fn submit(
    desk: &Desk,
    caller: &Caller,
    key: CommandKey,
    request: Vec<u8>,
    mode: Mode,
    order: impl Into<Order>,
) -> Result<Json<Accepted>, Problem> {
    let Order { command, happened } = order.into();
    let input = Input::Command { actor: caller.actor.clone(), mode, happened, command };
    let done = desk.intake.submit(Submission::keyed(caller.scope(), key.0, request, input)).await?;
    let refs = done.refs;
    Ok(Json(Accepted {
        position: LogPosition { log_id: done.position.log_id, seq: done.position.seq },
        refs: Refs {
            alarm: refs.alarm.map(|a| a.0),
            incident: refs.incident.map(|i| i.0),
            tasks: refs.tasks.iter().map(|t| t.0).collect(),
            patrol: refs.patrol.map(|p| p.0),
            message: refs.message.map(|m| m.0),
            code: refs.code,
        },
        replayed: done.replayed,
    }))
}

/// What a command in the path is about.
pub(crate) trait About: Copy {
    /// By its number.
    fn numbered(number: u64) -> Self;
    /// Its mode, so that an exercise is handled as one. What memory does not hold is real until the core says otherwise.
    fn mode(self, desk: &Desk) -> Mode;
    /// Known to be out of the actor's reach.
    fn beyond(self, desk: &Desk, actor: &Actor, right: Right) -> bool;
}
impl About for IncidentId {
    fn numbered(number: u64) -> Self {
        Self(number)
    }
    fn mode(self, desk: &Desk) -> Mode {
        desk.mirror.read().state.incidents.get(&self).map_or(Mode::Real, |i| i.mode)
    }
    fn beyond(self, _: &Desk, actor: &Actor, right: Right) -> bool {
        access::reach(actor, right) != Reach::All
    }
}
impl About for AlarmId {
    fn numbered(number: u64) -> Self {
        Self(number)
    }
    fn mode(self, desk: &Desk) -> Mode {
        desk.mirror.read().state.alarms.get(&self).map_or(Mode::Real, |a| a.mode)
    }
    fn beyond(self, _: &Desk, actor: &Actor, right: Right) -> bool {
        access::reach(actor, right) != Reach::All
    }
}
impl About for MessageId {
    fn numbered(number: u64) -> Self {
        Self(number)
    }
    fn mode(self, _: &Desk) -> Mode {
        Mode::Real
    }
    fn beyond(self, _: &Desk, actor: &Actor, right: Right) -> bool {
        access::reach(actor, right) != Reach::All
    }
}
impl About for TaskId {
    fn numbered(number: u64) -> Self {
        Self(number)
    }
    fn mode(self, desk: &Desk) -> Mode {
        desk.mirror.read().state.incident_of(self).map_or(Mode::Real, |i| i.mode)
    }
    fn beyond(self, desk: &Desk, actor: &Actor, right: Right) -> bool {
        access::beyond(&desk.mirror.read().state, actor, right, self)
    }
}

/// A text that says something.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

/// A keyed hash of a telephone number: finds earlier reports without keeping the number. `None` for what is no number.
pub(crate) fn person(desk: &Desk, phone: &str) -> Option<String> {
    let national = domain::text::national_number(phone)?;
    Some(hex::encode(desk.store.request_hash(format!("person/{national}").as_bytes())))
}

macro_rules! command {
    ($(#[$doc:meta])* $name:ident, $path:literal, $tag:literal, $body:ident, $kind:ident, |$id:ident, $given:pat_param, $desk:ident| $command:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = $tag, request_body = $body,
            params(
                ("id" = u64, Path, description = "Its number"),
                ("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters"),
            ),
            responses(
                (status = 200, body = Accepted),
                Problem
            )
        )]
        pub(crate) async fn $name(
            State($desk): State<Desk>,
            caller: Caller,
            Within($id): Within<$kind>,
            key: CommandKey,
            given: Given<$body>,
        ) -> Result<Json<Accepted>, Problem> {
            let mode = $id.mode(&$desk);
            let $given = given.value;
            let command = $command;
            submit(&$desk, &caller, key, given.request, mode, command).await
        }
    };
}

command! {
    /// Accepts 受理.
    accept, "/api/v1/incidents/{id}/accept", "incidents", Nothing, IncidentId, |incident, _, desk| Command::Accept(incident)
}
command! {
    /// Rejects 不予受理.
    reject, "/api/v1/incidents/{id}/reject", "incidents", Reason, IncidentId,
    |incident, Reason { reason }, desk| Command::Reject { incident, reason }
}
command! {
    /// Merges 并单 into another.
    merge, "/api/v1/incidents/{id}/merge", "incidents", Merge, IncidentId,
    |incident, Merge { into }, desk| Command::Merge { incident, into: IncidentId(into) }
}
command! {
    /// Files 建单.
    file, "/api/v1/incidents/{id}/file", "incidents", File, IncidentId,
    |incident, File { class, level }, desk| Command::File {
        incident,
        class: filled(class).map(Into::into),
        level: level.map(Into::into),
    }
}
command! {
    /// Approves 审批.
    approve, "/api/v1/incidents/{id}/approve", "incidents", Nothing, IncidentId, |incident, _, desk| Command::Approve(incident)
}
command! {
    /// Refuses the approval.
    refuse_approval, "/api/v1/incidents/{id}/refuse-approval", "incidents", Reason, IncidentId,
    |incident, Reason { reason }, desk| Command::RefuseApproval { incident, reason }
}
command! {
    /// Pushes 推送 to units.
    push, "/api/v1/incidents/{id}/push", "incidents", Push, IncidentId,
    |incident, Push { targets, text }, desk| {
        if targets.len() > MAX_TARGETS {
            return Err(Refusal::field(Code::TooMany, "targets").into());
        }
        let target = |t: Target| PushTarget {
            unit: t.unit.into(),
            lead: t.lead,
            mandatory: t.mandatory,
            arrive: t.arrive_minutes.map(|m| Millis::minutes(m.into())),
        };
        Command::Push { incident, targets: targets.into_iter().map(target).collect(), text: filled(text) }
    }
}
command! {
    /// Takes what asks for attention 知悉: it stops sounding. Words also answer a call for support and a declined task.
    attend, "/api/v1/incidents/{id}/attend", "incidents", MaybeWords, IncidentId,
    |incident, MaybeWords { text }, desk| Command::Attend { incident, text: filled(text) }
}
command! {
    /// Adds a remark 记一笔.
    note, "/api/v1/incidents/{id}/note", "incidents", Words, IncidentId,
    |incident, Words { text }, desk| Command::Note { incident, text }
}
command! {
    /// Corrects the place 改址.
    place, "/api/v1/incidents/{id}/place", "incidents", NewPlace, IncidentId,
    |incident, NewPlace { place }, desk| Command::CorrectPlace {
        incident,
        place: places::resolve(desk.site()?.as_ref(), &place)?,
    }
}
command! {
    /// Verifies 核查.
    verify, "/api/v1/incidents/{id}/verify", "incidents", MaybeWords, IncidentId,
    |incident, MaybeWords { text }, desk| Command::Verify { incident, text: filled(text) }
}
command! {
    /// Closes 结案.
    close, "/api/v1/incidents/{id}/close", "incidents", MaybeWords, IncidentId,
    |incident, MaybeWords { text }, desk| Command::Close { incident, text: filled(text) }
}
command! {
    /// Reopens 重新办理.
    reopen, "/api/v1/incidents/{id}/reopen", "incidents", Reason, IncidentId,
    |incident, Reason { reason }, desk| Command::Reopen { incident, reason }
}
command! {
    /// Confirms 确认 an alarm.
    confirm, "/api/v1/alarms/{id}/confirm", "alarms", Nothing, AlarmId, |alarm, _, desk| Command::ConfirmAlarm(alarm)
}
command! {
    /// Judges 判定 an alarm.
    judge, "/api/v1/alarms/{id}/judge", "alarms", Judge, AlarmId,
    |alarm, Judge { verdict, class, text }, desk| Command::JudgeAlarm {
        alarm,
        verdict: verdict.into(),
        class: filled(class).map(Into::into),
        text: filled(text),
    }
}
command! {
    /// Shelves 屏蔽 an alarm.
    shelve, "/api/v1/alarms/{id}/shelve", "alarms", Shelve, AlarmId,
    |alarm, Shelve { minutes, reason }, desk| Command::ShelveAlarm { alarm, span: Millis::minutes(minutes.into()), reason }
}
command! {
    /// Ends a shelving.
    unshelve, "/api/v1/alarms/{id}/unshelve", "alarms", Nothing, AlarmId, |alarm, _, desk| Command::UnshelveAlarm(alarm)
}
command! {
    /// Tells where an alarm is 定位; it may have come without a place.
    place_alarm, "/api/v1/alarms/{id}/place", "alarms", NewPlace, AlarmId,
    |alarm, NewPlace { place }, desk| Command::PlaceAlarm {
        alarm,
        place: places::resolve(desk.site()?.as_ref(), &place)?,
    }
}
command! {
    /// Tells where a message of the inbox is about 定位: it becomes an alarm there, or joins one.
    place_message, "/api/v1/messages/{id}/place", "centre", MessagePlace, MessageId,
    |message, MessagePlace { place, class }, desk| Command::PlaceMessage {
        message,
        place: places::resolve(desk.site()?.as_ref(), &place)?,
        class: filled(class).map(Into::into),
    }
}
command! {
    /// The unit's page shows the task 送达.
    receipt, "/api/v1/tasks/{id}/receipt", "tasks", TaskReceipt, TaskId,
    |task, TaskReceipt { external }, desk| Command::Deliver { task, receipt: Receipt::Client, external: filled(external) }
}
command! {
    /// Takes a task 签收.
    acknowledge, "/api/v1/tasks/{id}/acknowledge", "tasks", Step, TaskId,
    |task, Step { at }, desk| (Command::Acknowledge(task), at)
}
command! {
    /// Leaves 出发.
    en_route, "/api/v1/tasks/{id}/en-route", "tasks", Step, TaskId, |task, Step { at }, desk| (Command::EnRoute(task), at)
}
command! {
    /// Arrives 到场.
    on_scene, "/api/v1/tasks/{id}/on-scene", "tasks", Step, TaskId, |task, Step { at }, desk| (Command::OnScene(task), at)
}
command! {
    /// Feeds back 反馈.
    feedback, "/api/v1/tasks/{id}/feedback", "tasks", FeedbackGiven, TaskId,
    |task, FeedbackGiven { result, text, photos, at }, desk| {
        let result = result.into();
        let photos = own_photos(&desk, task, photos).await?;
        (Command::Feedback { task, result, text: filled(text), photos }, at)
    }
}
command! {
    /// Declines 退回.
    decline, "/api/v1/tasks/{id}/decline", "tasks", Decline, TaskId,
    |task, Decline { reason, at }, desk| (Command::Decline { task, reason }, at)
}
command! {
    /// Recalls 撤回.
    recall, "/api/v1/tasks/{id}/recall", "tasks", MaybeReason, TaskId,
    |task, MaybeReason { reason }, desk| Command::Recall { task, reason: filled(reason) }
}
command! {
    /// Recalls and pushes to another unit 改派.
    reassign, "/api/v1/tasks/{id}/reassign", "tasks", Reassign, TaskId,
    |task, Reassign { unit, reason }, desk| Command::Reassign { task, unit: unit.into(), reason: filled(reason) }
}
command! {
    /// Sends a done task back 退回重办.
    rework, "/api/v1/tasks/{id}/rework", "tasks", Reason, TaskId,
    |task, Reason { reason }, desk| Command::Rework { task, reason }
}

/// The photos of a feedback, each of them stored for the same incident.
async fn own_photos(desk: &Desk, task: TaskId, photos: Vec<String>) -> Result<Vec<BlobId>, Problem> {
    if photos.len() > domain::task::MAX_PHOTOS {
        return Err(Refusal::field(Code::TooMany, "photos").into());
    }
    if photos.is_empty() {
        return Ok(Vec::new());
    }
    let incident = desk.mirror.read().state.incident_of(task).map(|i| i.id).ok_or(Problem::from(Code::NoTask))?;
    let subject = Subject::Incident(incident).to_string();
    let mut own = Vec::with_capacity(photos.len());
    for photo in photos {
        let wrong = || Problem::bad_field().field("photos");
        let id = ledger::BlobId::parse(&photo).ok_or_else(wrong)?;
        match desk.store.get_blob(&id).await? {
            FoundBlob::Blob(reader) if reader.info().subject == subject => own.push(BlobId::new(photo)),
            _ => return Err(wrong()),
        }
    }
    Ok(own)
}

/// Reports 上报 an incident.
#[utoipa::path(
    post, path = "/api/v1/incidents", tag = "incidents", request_body = Report,
    params(("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters")),
    responses((status = 200, body = Accepted), Problem)
)]
pub(crate) async fn report(
    State(desk): State<Desk>,
    caller: Caller,
    key: CommandKey,
    given: Given<Report>,
) -> Result<Json<Accepted>, Problem> {
    let Report { class, level, place, channel, reporter, text, mode, into } = given.value;
    let command = Command::Report {
        class: class.into(),
        level: level.map(Into::into),
        place: places::resolve(desk.site()?.as_ref(), &place)?,
        channel: channel.into(),
        reporter: reporter.map(|r| ReporterInput {
            kind: r.kind.map(Into::into),
            person: r.phone.as_deref().and_then(|p| person(&desk, p)),
            name: filled(r.name),
            phone: filled(r.phone),
        }),
        text: filled(text),
        into: into.map(IncidentId),
    };
    let mode = mode.map_or(Mode::Real, Into::into);
    submit(&desk, &caller, key, given.request, mode, command).await
}

/// Takes or leaves a duty post.
#[utoipa::path(
    post, path = "/api/v1/duty", tag = "centre", request_body = SetDuty,
    params(("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters")),
    responses((status = 200, body = Accepted), Problem)
)]
pub(crate) async fn set_duty(
    State(desk): State<Desk>,
    caller: Caller,
    key: CommandKey,
    given: Given<SetDuty>,
) -> Result<Json<Accepted>, Problem> {
    let SetDuty { post, account } = given.value;
    let post = post.into();
    let command = Command::SetDuty { post, account: filled(account).map(Into::into) };
    submit(&desk, &caller, key, given.request, Mode::Real, command).await
}

/// Refuses early what the core would refuse for the caller's role; for commands that cost something before they get
/// there.
pub(crate) fn permit(desk: &Desk, caller: &Caller, command: &Command) -> Result<(), Problem> {
    Ok(access::permit(&desk.mirror.read().state, &caller.actor, command)?)
}
