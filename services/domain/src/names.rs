//! Stable names of plain enums, as programs outside see them. Screens translate them; nothing is ever renamed.

use crate::{
    account::DutyPost,
    alarm::Verdict,
    attention::Why,
    event::Mode,
    incident::{Channel, ClockKind, ExhibitKind, ReporterKind},
    site::Level,
    task::{FeedbackResult, Receipt},
};

macro_rules! names {
    ($($type:ident { $($variant:ident = $name:literal),* $(,)? })*) => {$(
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
            /// Reads a stable name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.name() == name)
            }
        }
    )*};
}

names! {
    Mode { Real = "real", Exercise = "exercise", Test = "test" }
    Level { Normal = "normal", Yellow = "yellow", Red = "red" }
    DutyPost { Leader = "leader", Chief = "chief", Officer = "officer" }
    Verdict { Genuine = "genuine", False = "false", Test = "test", Maintenance = "maintenance" }
    Channel {
        Alarm = "alarm", Call = "call", Visit = "visit", Forwarded = "forwarded", Department = "department",
        Grid = "grid", Video = "video",
    }
    Why {
        Opened = "opened", Worse = "worse", Idle = "idle", Unacknowledged = "unacknowledged", Support = "support",
        Declined = "declined",
    }
    ReporterKind { Named = "named", Confidential = "confidential", Anonymous = "anonymous" }
    Receipt { Http = "http", Client = "client" }
    FeedbackResult { Done = "done", NeedSupport = "need_support", NothingFound = "nothing_found" }
    ExhibitKind { Photo = "photo", Still = "still", Clip = "clip" }
    ClockKind {
        Collect = "collect", Analyse = "analyse", Approve = "approve", Push = "push", Acknowledge = "acknowledge",
        Arrive = "arrive", Handle = "handle", Verify = "verify",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_differ() {
        macro_rules! check { ($($type:ident)*) => {$(
            for value in $type::ALL {
                assert_eq!($type::parse(value.name()), Some(*value));
            }
            assert_eq!($type::parse("ghost"), None);
        )*}; }
        check!(Mode Level DutyPost Verdict Channel Why ReporterKind Receipt FeedbackResult ExhibitKind ClockKind);
    }
}
