//! Why something is not done: a stable code for programs, a Chinese sentence for people.

use std::borrow::Cow;

/// A refusal. It changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: Code,
    /// The field of the request that is wrong, if one is.
    pub field: Option<Cow<'static, str>>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $zh:literal, $en:literal;)*) => {
        /// Stable codes of refusals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name),* }
        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The code as programs see it.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),* } }
            /// Reads it back.
            pub fn parse(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|code| code.as_str() == text) }
            /// What people read, Chinese.
            pub const fn zh(self) -> &'static str { match self { $(Self::$name => $zh),* } }
            /// What people read, English.
            pub const fn en(self) -> &'static str { match self { $(Self::$name => $en),* } }
        }
    };
}

codes! {
    /// The role or scope does not allow it.
    Forbidden = "forbidden", "没有这项操作的权限", "Your role does not allow this";
    /// No such alarm.
    NoAlarm = "no_alarm", "没有这条告警", "There is no such alarm";
    /// No such incident.
    NoIncident = "no_incident", "没有这个事件", "There is no such incident";
    /// No such task.
    NoTask = "no_task", "没有这项任务", "There is no such task";
    /// No such unit.
    NoUnit = "no_unit", "没有这个单位", "There is no such unit";
    /// No such class.
    NoClass = "no_class", "没有这个事件类别", "There is no such class of incident";
    /// No such account.
    NoAccount = "no_account", "没有这个账号", "There is no such account";
    /// No such device.
    NoDevice = "no_device", "没有这个设备", "There is no such device";
    /// A name that cannot log in.
    BadDevice = "bad_device", "设备编号只能含字母、数字、-、_ 和 .，最长 64 字节，且不能是 centre 或 device", "A device's id has letters, digits, -, _ and . only, 64 bytes at most, and is neither centre nor device";
    /// A gateway's name is a sensor's id.
    DeviceTaken = "device_taken", "这个编号属于站点登记的传感器，网关须另取名称", "The id is that of a registered sensor; a gateway needs another name";
    /// It has no credential.
    NoCredential = "no_credential", "该设备没有口令", "The device has no password";
    /// No hash.
    BadHash = "bad_hash", "口令摘要的格式不对", "The password's hash has a wrong form";
    /// No such kind of alarm or rule.
    NoRule = "no_rule", "没有这条规则", "There is no such rule";
    /// No such patrol.
    NoPatrol = "no_patrol", "没有这次巡逻", "There is no such patrol";
    /// No such message.
    NoMessage = "no_message", "没有这条短信", "There is no such message";
    /// The place does not exist.
    NoPlace = "no_place", "找不到这个地点", "There is no such place";
    /// Already confirmed.
    AlreadyConfirmed = "already_confirmed", "告警已经确认过", "The alarm is already confirmed";
    /// Already judged.
    AlreadyJudged = "already_judged", "告警已经判定过", "The alarm is already judged";
    /// Judge before confirm.
    NotConfirmed = "not_confirmed", "请先确认告警再判定", "Confirm the alarm before judging it";
    /// Shelved already.
    AlreadyShelved = "already_shelved", "告警已在屏蔽中", "The alarm is already shelved";
    /// Not shelved.
    NotShelved = "not_shelved", "告警没有屏蔽", "The alarm is not shelved";
    /// Longer than allowed.
    ShelfTooLong = "shelf_too_long", "屏蔽最长 8 小时", "An alarm is shelved for 8 hours at most";
    /// Wrong stage of the incident.
    WrongStage = "wrong_stage", "事件当前阶段不能这样办理", "The incident's stage does not allow this";
    /// Wrong state of the task.
    WrongTaskState = "wrong_task_state", "任务当前状态不能这样办理", "The task's state does not allow this";
    /// Needs approval first.
    NotApproved = "not_approved", "尚未审批，不能办理", "It is not approved yet";
    /// Approved already.
    AlreadyApproved = "already_approved", "已经审批过", "It is already approved";
    /// Mandatory tasks are open.
    TasksOpen = "tasks_open", "还有必办任务未完成，不能核查", "Mandatory tasks are still open";
    /// A source of one of its alarms still alarms.
    StillStanding = "still_standing", "仍有告警源未恢复，请说明理由", "A source of its alarms is still active: give a reason";
    /// Nothing of the case asks for attention.
    NothingAsks = "nothing_asks", "该事件没有待知悉的提醒", "Nothing of this incident asks for attention";
    /// The unit has the task already.
    UnitBusy = "unit_has_task", "该单位在本事件中已有任务", "The unit already has a task in this incident";
    /// A second lead.
    LeadTaken = "lead_taken", "本事件已有主办单位", "The incident already has a lead unit";
    /// No lead.
    LeadMissing = "lead_missing", "需要一个主办单位", "One unit must lead";
    /// Red tasks cannot be declined.
    RedDecline = "red_decline", "红色任务不能退回", "A red task cannot be declined";
    /// Decline limit is over.
    DeclineLate = "decline_late", "已超过退回时限", "The time to decline is over";
    /// Merge into itself or a closed one.
    BadMerge = "bad_merge", "不能并入该事件", "It cannot be merged into that incident";
    /// The other one has come further.
    MergeBackwards = "merge_backwards", "对方事件进度较慢，请把它并入本事件", "It has come less far: merge it into this one instead";
    /// A reason must be given.
    ReasonMissing = "reason_missing", "请填写原因", "Give a reason";
    /// The text is empty.
    TextMissing = "text_missing", "请填写内容", "Write something";
    /// The text is too long.
    TextTooLong = "text_too_long", "内容过长，最多 2000 字", "The text is too long, 2,000 characters at most";
    /// Too many photos or other items.
    TooMany = "too_many", "数量超过上限", "There are too many items";
    /// A red push needs no approval; others do.
    NotRed = "not_red", "只有红色事件可以先推送", "Only red incidents are pushed before approval";
    /// Reopened too late.
    ReopenLate = "reopen_late", "结案已超过 15 天，请新建事件", "It was closed over 15 days ago; report a new one";
    /// The site is not set up.
    NoSite = "no_site", "站点尚未初始化", "The site is not set up";
    /// Exercise and real do not mix.
    ModeMismatch = "mode_mismatch", "演练与实情不能混办", "Exercise and real cannot be mixed";
}

impl Refusal {
    /// Refused for `code`.
    pub const fn new(code: Code) -> Self {
        Self { code, field: None }
    }
    /// Refused for a field of the request.
    pub const fn field(code: Code, field: &'static str) -> Self {
        Self { code, field: Some(Cow::Borrowed(field)) }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match (self.code, &self.field) {
            (Code::Forbidden, _) => Fault::Forbidden,
            (Code::NoSite, _) => Fault::NotReady,
            (_, Some(_)) => Fault::Field,
            (code, None) if code.as_str().starts_with("no_") => Fault::Missing,
            (_, None) => Fault::Conflict,
        }
    }
}

/// Whose fault a refusal is, for edges that answer by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The actor may not.
    Forbidden,
    /// The site is not set up.
    NotReady,
    /// A field of the request is wrong.
    Field,
    /// The thing that it is about is not there.
    Missing,
    /// The thing is not in a state for it.
    Conflict,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.code.zh())
    }
}

impl std::error::Error for Refusal {}
