//! Shapes of REST answers. Those of alarms, incidents and the like are the feed's messages in JSON, so that masking
//! has one place; moments that have not come yet and texts that may not be read are null.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::feed;

/// Turns a field of a feed message into a field of an answer.
pub(crate) trait Show<T> {
    fn show(self) -> T;
}

macro_rules! same {
    ($($t:ty),*) => {$(impl Show<$t> for $t { fn show(self) -> $t { self } })*};
}
same!(u64, u32, i32, i64, bool, f64, String, Option<f64>);

impl Show<Option<i64>> for i64 {
    fn show(self) -> Option<i64> {
        (self != 0).then_some(self)
    }
}
impl Show<Option<u64>> for u64 {
    fn show(self) -> Option<u64> {
        (self != 0).then_some(self)
    }
}
impl Show<Option<u32>> for u32 {
    fn show(self) -> Option<u32> {
        (self != 0).then_some(self)
    }
}
impl Show<Option<i32>> for i32 {
    fn show(self) -> Option<i32> {
        (self != 0).then_some(self)
    }
}
impl Show<Option<String>> for String {
    fn show(self) -> Option<String> {
        (!self.is_empty()).then_some(self)
    }
}
impl Show<LevelName> for i32 {
    fn show(self) -> LevelName {
        match self {
            2 => LevelName::Red,
            1 => LevelName::Yellow,
            _ => LevelName::Normal,
        }
    }
}
impl Show<ModeName> for i32 {
    fn show(self) -> ModeName {
        match self {
            1 => ModeName::Exercise,
            2 => ModeName::Test,
            _ => ModeName::Real,
        }
    }
}
impl Show<[f64; 2]> for Option<feed::Point> {
    fn show(self) -> [f64; 2] {
        self.map_or([0.0, 0.0], |p| [p.x, p.y])
    }
}
impl<A: Show<B>, B> Show<Vec<B>> for Vec<A> {
    fn show(self) -> Vec<B> {
        self.into_iter().map(Show::show).collect()
    }
}
macro_rules! optional {
    ($($name:ident),*) => {$(
        impl Show<Option<$name>> for Option<feed::$name> {
            fn show(self) -> Option<$name> { self.map(Show::show) }
        }
    )*};
}
optional!(Text, Place, By, Reporter);

/// An enumeration of the interface whose members are called as those of the domain.
macro_rules! same_members {
    ($name:ident = $domain:path { $($member:ident),* }) => {
        impl From<$name> for $domain {
            fn from(name: $name) -> Self {
                match name { $($name::$member => Self::$member),* }
            }
        }
    };
}
pub(crate) use same_members;

/// Priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Level)]
pub(crate) enum LevelName {
    /// Ordinary.
    Normal,
    /// Pressing.
    Yellow,
    /// Life or limb.
    Red,
}

same_members!(LevelName = domain::site::Level { Normal, Yellow, Red });
impl From<domain::site::Level> for LevelName {
    fn from(level: domain::site::Level) -> Self {
        match level {
            domain::site::Level::Normal => Self::Normal,
            domain::site::Level::Yellow => Self::Yellow,
            domain::site::Level::Red => Self::Red,
        }
    }
}

/// For real or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Mode)]
pub(crate) enum ModeName {
    /// For real.
    Real,
    /// 演练.
    Exercise,
    /// A test of equipment.
    Test,
}

same_members!(ModeName = domain::event::Mode { Real, Exercise, Test });

/// A name in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Name {
    /// Chinese.
    pub(crate) zh: String,
    /// English.
    pub(crate) en: String,
}

impl From<&domain::site::Name> for Name {
    fn from(name: &domain::site::Name) -> Self {
        Self { zh: name.zh.clone(), en: name.en.clone() }
    }
}

macro_rules! shapes {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident $(= $from:ident)? : $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
        pub(crate) struct $name { $($(#[$fmeta])* pub(crate) $field: $type,)* }
        impl Show<$name> for feed::$name {
            fn show(self) -> $name {
                $name { $($field: shapes!(@from self $field $($from)?).show(),)* }
            }
        }
    )*};
    (@from $self:ident $field:ident) => { $self.$field };
    (@from $self:ident $field:ident $from:ident) => { $self.$from };
}

shapes! {
    /// A free text or a masked personal value.
    Text {
        /// What may be read of it.
        value: String,
        /// 已删除.
        erased: bool,
    }
    /// Where something is.
    Place {
        /// Grid.
        grid: String,
        /// Building.
        building: Option<String>,
        /// Landmark.
        landmark: Option<String>,
        /// Unit 单元.
        unit: Option<u32>,
        /// Floor.
        floor: Option<i32>,
        /// Flat of the floor.
        flat: Option<u32>,
        /// Metres east and south of the north-west corner.
        point: [f64; 2],
        /// Seen, surveyed or confirmed.
        verified: bool,
        /// 12栋2单元6层.
        label_zh: String,
        /// In English.
        label_en: String,
        /// Community.
        community: Option<String>,
    }
    /// Who caused something.
    By {
        /// `account`, `unit`, `rule`, `resident` or `system`.
        kind: String,
        /// Its id.
        id: String,
        /// What to call it.
        name_zh: String,
    }
    /// An alarm.
    Alarm {
        /// Id.
        id: u64,
        /// Kind.
        kind: String,
        /// Priority.
        level: LevelName,
        /// For real or not.
        mode: ModeName,
        /// Where.
        place: Option<Place>,
        /// Case code.
        code: String,
        /// Raised, ms since 1970.
        raised: i64,
        /// Newest evidence.
        last: i64,
        /// Since when no source is active.
        cleared: Option<i64>,
        /// Confirmed.
        confirmed: Option<i64>,
        /// By whom.
        confirmed_by: Option<By>,
        /// Sounded again.
        sounded: Option<i64>,
        /// `genuine`, `false`, `test` or `maintenance`.
        verdict: Option<String>,
        /// Judged.
        judged: Option<i64>,
        /// By whom.
        judged_by: Option<By>,
        /// Remark.
        judged_text: Option<Text>,
        /// The incident that it became.
        incident: Option<u64>,
        /// Shelved until.
        shelved_until: Option<i64>,
        /// Why.
        shelf_reason: Option<Text>,
        /// Its sources.
        sources: Vec<AlarmSource>,
        /// Further evidence that is only counted.
        unlisted: u32,
        /// Clips and stills.
        exhibits: Vec<Exhibit>,
        /// Belongs in the list.
        open: bool,
        /// Nearest cameras.
        cameras: Vec<String>,
    }
    /// A source of an alarm.
    AlarmSource {
        /// `sensor`, `camera`, `rule`, `message` or `unit`.
        kind: String,
        /// Its id.
        id: String,
        /// Kind of alarm that it alone would be.
        alarm_kind: String,
        /// First seen.
        first: i64,
        /// Newest.
        at: i64,
        /// How often.
        count: u32,
        /// Still so.
        active: bool,
        /// Measured.
        value: Option<f64>,
        /// What was said.
        text: Option<Text>,
        /// Rule.
        rule: Option<String>,
    }
    /// A stored picture or clip.
    Exhibit {
        /// `/api/v1/blobs/{blob}`.
        blob: String,
        /// `photo`, `still` or `clip`.
        kind: String,
        /// Camera.
        camera: Option<String>,
        /// First moment.
        from: i64,
        /// Last moment.
        to: i64,
    }
    /// Who reported.
    Reporter {
        /// `named`, `confidential` or `anonymous`.
        kind: String,
        /// Masked.
        name: Option<Text>,
        /// Masked.
        phone: Option<Text>,
        /// Other reports of the same number.
        earlier: u32,
    }
    /// An incident.
    Incident {
        /// The number that people say.
        id: u64,
        /// Class.
        class: String,
        /// Priority.
        level: LevelName,
        /// For real or not.
        mode: ModeName,
        /// Where.
        place: Option<Place>,
        /// Stage.
        stage: String,
        /// How it came.
        channel: String,
        /// Case code.
        code: String,
        /// Who took it first.
        first_owner: Option<By>,
        /// Who reported.
        reporter: Option<Reporter>,
        /// What was said.
        text: Option<Text>,
        /// Alarms behind it.
        alarms: Vec<u64>,
        /// Went on in.
        merged_into: Option<u64>,
        /// Took in.
        absorbed: Vec<u64>,
        /// Who approved.
        approved_by: Option<By>,
        /// Approved after the push.
        approved_after: bool,
        /// Why it was rejected, not approved or reopened.
        reason: Option<Text>,
        /// Tasks.
        tasks: Vec<Task>,
        /// Photos, stills and clips.
        exhibits: Vec<Exhibit>,
        /// Reported, ms since 1970.
        reported: i64,
        /// Accepted.
        accepted: Option<i64>,
        /// Filed.
        filed: Option<i64>,
        /// Approved.
        approved: Option<i64>,
        /// Pushed.
        pushed: Option<i64>,
        /// Delivered.
        delivered: Option<i64>,
        /// All mandatory tasks done.
        done: Option<i64>,
        /// Verified.
        verified: Option<i64>,
        /// Closed, rejected or merged.
        ended: Option<i64>,
        /// Times that it was reopened.
        reopened: u32,
        /// Tasks declined.
        bounces: u32,
        /// Clocks.
        clocks: Vec<Clock>,
        /// Nearest cameras.
        cameras: Vec<String>,
        /// Not ended.
        open: bool,
        /// What asks for a person of the centre, oldest first.
        attention: Vec<Attention>,
    }
    /// What asks for a person of the centre; it sounds while nobody took it.
    Attention {
        /// `opened`, `worse`, `idle`, `unacknowledged`, `support` or `declined`.
        why: String,
        /// The task that it is about.
        task: Option<u64>,
        /// When it sounded last, ms since 1970.
        since: i64,
        /// When a person took it.
        taken: Option<i64>,
        /// Who.
        taken_by: Option<By>,
    }
    /// A task.
    Task {
        /// Id.
        id: u64,
        /// Whose.
        unit: String,
        /// Leads.
        lead: bool,
        /// Verification waits for it.
        mandatory: bool,
        /// State.
        state: String,
        /// Pushed, ms since 1970.
        pushed: i64,
        /// Delivered.
        delivered: Option<i64>,
        /// Acknowledged.
        acknowledged: Option<i64>,
        /// On the way.
        en_route: Option<i64>,
        /// Arrived.
        on_scene: Option<i64>,
        /// Done, declined or recalled.
        ended: Option<i64>,
        /// `http` or `client`.
        receipt: Option<String>,
        /// The unit's own number.
        external: Option<String>,
        /// What to do.
        text: Option<Text>,
        /// Why it was declined, recalled or sent back.
        reason: Option<Text>,
        /// The task that it replaces.
        replaces: Option<u64>,
        /// Feedback.
        feedback: Vec<Feedback>,
        /// Times that it was sent back.
        reworks: u32,
        /// May be declined until.
        decline_until: Option<i64>,
    }
    /// One feedback.
    Feedback {
        /// When.
        at: i64,
        /// Who.
        by: Option<By>,
        /// `done`, `need_support` or `nothing_found`.
        result: String,
        /// What was said.
        text: Option<Text>,
        /// Photos.
        photos: Vec<String>,
    }
    /// A clock with its limit.
    Clock {
        /// Which.
        kind: String,
        /// Of which task.
        task: Option<u64>,
        /// Start.
        since: i64,
        /// Limit, ms.
        limit: i64,
        /// End.
        ended: Option<i64>,
    }
    /// A patrol.
    Patrol {
        /// Id.
        id: u64,
        /// `data`, `video` or `message`.
        kind: String,
        /// Tour, rule or route.
        subject: String,
        /// Planned start.
        due: i64,
        /// Start.
        started: Option<i64>,
        /// End.
        finished: Option<i64>,
        /// Things to look at.
        total: u32,
        /// Things looked at.
        checked: u32,
        /// Findings.
        findings: Vec<Finding>,
        /// Further findings that are only counted.
        unlisted: u32,
    }
    /// A finding of a patrol.
    Finding {
        /// When.
        at: i64,
        /// Kind of what it was found on.
        source_kind: String,
        /// Its id.
        source_id: String,
        /// Stable code.
        what: String,
        /// The alarm that it became.
        alarm: Option<u64>,
    }
    /// A message of the message platform.
    Message {
        /// Id.
        id: u64,
        /// From a resident.
        inbound: bool,
        /// When.
        at: i64,
        /// The other side's number, masked.
        phone: Option<Text>,
        /// What it says.
        text: Option<Text>,
        /// The place that it names.
        place: Option<Place>,
        /// The alarm that it became.
        alarm: Option<u64>,
        /// The message that it answers.
        reply_to: Option<u64>,
        /// `sent` or `failed`.
        sent: Option<String>,
        /// Nearest cameras.
        cameras: Vec<String>,
    }
    /// A post of the roster.
    Holder {
        /// `leader`, `chief` or `officer`.
        post: String,
        /// Who; null = vacant.
        account: Option<String>,
        /// Name.
        name: Option<Text>,
        /// Since when.
        since: i64,
    }
}

/// One line of a timeline. Only what belongs to `kind` is set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TimelineEntry {
    /// Its place in the log.
    pub(crate) seq: u64,
    /// When, ms since 1970.
    pub(crate) at: i64,
    /// What, e.g. `task_pushed`.
    pub(crate) kind: String,
    /// For real or not.
    pub(crate) mode: ModeName,
    /// Who.
    pub(crate) by: Option<By>,
    /// What was said.
    pub(crate) text: Option<String>,
    /// What was said was erased.
    pub(crate) erased: bool,
    /// A stable name: verdict, result, class, state.
    pub(crate) detail: Option<String>,
    /// Incident.
    pub(crate) incident: Option<u64>,
    /// Alarm.
    pub(crate) alarm: Option<u64>,
    /// Task.
    pub(crate) task: Option<u64>,
    /// Unit.
    pub(crate) unit: Option<String>,
    /// Level.
    pub(crate) level: LevelName,
    /// Camera.
    pub(crate) camera: Option<String>,
    /// Pictures.
    pub(crate) blobs: Vec<String>,
    /// Where.
    pub(crate) place: Option<Place>,
    /// The other thing of a merge or replacement.
    pub(crate) other: Option<u64>,
    /// Id of a source.
    pub(crate) source: Option<String>,
    /// When its author says that it was, ms since 1970, if that differs from `at`.
    pub(crate) happened: Option<i64>,
    /// The place that was corrected.
    pub(crate) before: Option<Place>,
}

impl Show<TimelineEntry> for feed::Event {
    fn show(self) -> TimelineEntry {
        let erased = self.text.as_ref().is_some_and(|t| t.erased);
        TimelineEntry {
            seq: self.seq,
            at: self.at,
            kind: self.kind,
            mode: self.mode.show(),
            by: self.by.show(),
            text: self.text.filter(|t| !t.erased).map(|t| t.value),
            erased,
            detail: self.detail.show(),
            incident: self.incident.show(),
            alarm: self.alarm.show(),
            task: self.task.show(),
            unit: self.unit.show(),
            level: self.level.show(),
            camera: self.camera.show(),
            blobs: self.blobs,
            place: self.place.show(),
            other: self.other.show(),
            source: self.source.show(),
            happened: (self.happened != 0).then_some(self.happened),
            before: self.before.show(),
        }
    }
}
