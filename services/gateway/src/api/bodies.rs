//! Bodies of commands. Unknown fields are refused, so that a misspelt one is not silently without effect.

use serde::Deserialize;
use utoipa::ToSchema;

use super::shapes::{LevelName, ModeName, same_members};
use crate::places::PlaceInput;

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A reason that must be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// Why.
    pub(crate) reason: String,
}
/// A reason that may be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaybeReason {
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}
/// A step of a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// When it was, ms since 1970, if the phone had no network then. Kept beside the centre's own time; clocks use it as
    /// far as it lies between the step before and now.
    #[serde(default)]
    pub(crate) at: Option<i64>,
}
/// A declined task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decline {
    /// Why.
    pub(crate) reason: String,
    /// When it was, as in `Step`.
    #[serde(default)]
    pub(crate) at: Option<i64>,
}
/// A remark.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// What to say.
    pub(crate) text: String,
}
/// A remark that may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaybeWords {
    /// What to say.
    #[serde(default)]
    pub(crate) text: Option<String>,
}
/// How a report came.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Channel)]
pub(crate) enum ChannelName {
    /// A telephone call.
    Call,
    /// A visitor.
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
same_members!(ChannelName = domain::incident::Channel { Call, Visit, Forwarded, Department, Grid, Video });
/// How much of a reporter others may know.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReporterKind)]
pub(crate) enum ReporterKindName {
    /// 实名.
    Named,
    /// 保密.
    Confidential,
    /// 匿名.
    Anonymous,
}
same_members!(ReporterKindName = domain::incident::ReporterKind { Named, Confidential, Anonymous });
/// Who reports.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReporterGiven {
    /// How much may be known.
    #[serde(default)]
    pub(crate) kind: Option<ReporterKindName>,
    /// Name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Number.
    #[serde(default)]
    pub(crate) phone: Option<String>,
}
/// A report.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// Class.
    pub(crate) class: String,
    /// Level, if not the class's own.
    #[serde(default)]
    pub(crate) level: Option<LevelName>,
    /// Where.
    pub(crate) place: PlaceInput,
    /// How it came.
    pub(crate) channel: ChannelName,
    /// Who reports.
    #[serde(default)]
    pub(crate) reporter: Option<ReporterGiven>,
    /// What was said.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// For real unless said otherwise.
    #[serde(default)]
    pub(crate) mode: Option<ModeName>,
    /// An open incident that it tells of once more: it is merged into that one at once.
    #[serde(default)]
    pub(crate) into: Option<u64>,
}
/// The incident that goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merge {
    /// Its number.
    pub(crate) into: u64,
}
/// Class and level on filing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Class, if another.
    #[serde(default)]
    pub(crate) class: Option<String>,
    /// Level, if another.
    #[serde(default)]
    pub(crate) level: Option<LevelName>,
}
/// A unit that a push goes to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// Unit.
    pub(crate) unit: String,
    /// Leads.
    #[serde(default)]
    pub(crate) lead: bool,
    /// Verification waits for it.
    #[serde(default = "yes")]
    pub(crate) mandatory: bool,
    /// Another limit for the arrival.
    #[serde(default)]
    pub(crate) arrive_minutes: Option<u32>,
}
const fn yes() -> bool {
    true
}
/// A push.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// To whom.
    pub(crate) targets: Vec<Target>,
    /// What to do.
    #[serde(default)]
    pub(crate) text: Option<String>,
}
/// A corrected place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlace {
    /// Where.
    pub(crate) place: PlaceInput,
}
/// Where a message of the inbox is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessagePlace {
    /// Where.
    pub(crate) place: PlaceInput,
    /// Class of what it reports, if that is known.
    #[serde(default)]
    pub(crate) class: Option<String>,
}
/// What a person decides of an alarm.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Verdict)]
pub(crate) enum VerdictName {
    /// 属实.
    Genuine,
    /// 误报.
    False,
    /// 测试.
    Test,
    /// 检修.
    Maintenance,
}
same_members!(VerdictName = domain::alarm::Verdict { Genuine, False, Test, Maintenance });
/// A verdict.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judge {
    /// Verdict.
    pub(crate) verdict: VerdictName,
    /// Class of the incident, if not the kind's own.
    #[serde(default)]
    pub(crate) class: Option<String>,
    /// Remark.
    #[serde(default)]
    pub(crate) text: Option<String>,
}
/// A shelving.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelve {
    /// For how long, at most 480.
    pub(crate) minutes: u32,
    /// Why.
    pub(crate) reason: String,
}
/// A receipt of the unit's page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskReceipt {
    /// The unit's own number.
    #[serde(default)]
    pub(crate) external: Option<String>,
}
/// Result of a feedback.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FeedbackResult)]
pub(crate) enum ResultName {
    /// 已完成.
    Done,
    /// 需支援.
    NeedSupport,
    /// 现场无此事.
    NothingFound,
}
same_members!(ResultName = domain::task::FeedbackResult { Done, NeedSupport, NothingFound });
/// A feedback: text, photos or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackGiven {
    /// Result.
    pub(crate) result: ResultName,
    /// What to say.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// Blobs of photos of the same incident, stored before.
    #[serde(default)]
    pub(crate) photos: Vec<String>,
    /// When it was, as in `Step`.
    #[serde(default)]
    pub(crate) at: Option<i64>,
}
/// The unit that takes over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reassign {
    /// Unit.
    pub(crate) unit: String,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}
/// A duty post.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DutyPost)]
pub(crate) enum PostName {
    /// 带班领导.
    Leader,
    /// 值班长.
    Chief,
    /// 值班员.
    Officer,
}
same_members!(PostName = domain::account::DutyPost { Leader, Chief, Officer });
/// Takes or leaves a duty post.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetDuty {
    /// Post.
    pub(crate) post: PostName,
    /// Who; null = vacant.
    #[serde(default)]
    pub(crate) account: Option<String>,
}
