//! Stable names of plain enums, as programs outside see them. Screens translate them; nothing is ever renamed.

use crate::{
    account::{DutyPost, Role},
    alarm::Verdict,
    attention::Why,
    device::Voice,
    event::Mode,
    incident::{Channel, ClockKind, ExhibitKind, ReporterKind, Stage},
    light::Light,
    patrol::PatrolKind,
    site::{LandmarkKind, Level, SensorKind, UnitKind},
    task::{FeedbackResult, Receipt, TaskState},
};

macro_rules! names {
    ($($type:ident { $($variant:ident = $name:literal),* $(,)? })*) => {$(
        impl $type {
            /// All of them.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];
            /// Stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
            /// Reads a stable name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|v| v.name() == name)
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
    Role {
        DutyOfficer = "duty_officer", Dispatcher = "dispatcher", ShiftChief = "shift_chief",
        DepartmentClerk = "department_clerk", GridManager = "grid_manager", WallDisplay = "wall_display",
    }
    Stage {
        Reported = "reported", Rejected = "rejected", Merged = "merged", Accepted = "accepted", Filed = "filed",
        PendingApproval = "pending_approval", Approved = "approved", Dispatched = "dispatched", Handling = "handling",
        AwaitingVerification = "awaiting_verification", Verified = "verified", Closed = "closed",
    }
    TaskState {
        Pushed = "pushed", Delivered = "delivered", Acknowledged = "acknowledged", EnRoute = "en_route",
        OnScene = "on_scene", Done = "done", Declined = "declined", Recalled = "recalled",
    }
    PatrolKind { Data = "data", Video = "video", Message = "message" }
    Light { Unknown = "unknown", Green = "green", Yellow = "yellow", Red = "red" }
    Voice { Own = "own", Mjw = "mjw", Zigbee2mqtt = "zigbee2mqtt", Thingsboard = "thingsboard" }
    SensorKind {
        Smoke = "smoke", CallPoint = "call_point", Gas = "gas", ElectricalFire = "electrical_fire",
        HydrantPressure = "hydrant_pressure", Lift = "lift", Manhole = "manhole", WaterLevel = "water_level",
        Sos = "sos", FireLane = "fire_lane", EbikeCharging = "ebike_charging",
    }
    LandmarkKind {
        Square = "square", School = "school", Gate = "gate", Road = "road", Parking = "parking", Plant = "plant",
    }
    UnitKind { Department = "department", Firm = "firm", Grid = "grid" }
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
                assert_eq!($type::parse(value.name()), Some(value));
            }
            assert_eq!($type::parse("ghost"), None);
        )*}; }
        check!(
            Mode Level DutyPost Verdict Channel Why ReporterKind Receipt FeedbackResult ExhibitKind ClockKind Role Stage
            TaskState PatrolKind Light Voice SensorKind LandmarkKind UnitKind
        );
    }
}
