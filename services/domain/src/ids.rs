//! Identifiers. Place, unit, device and account ids are short strings that people chose
//! (`b12`, `c208`, `fire`); alarm, incident, task and vault ids are counters of the site.

use std::{fmt, sync::Arc};

macro_rules! name_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);
        impl $name {
            /// Wraps a name; the site document decides whether it exists.
            pub fn new(name: impl AsRef<str>) -> Self { Self(Arc::from(name.as_ref())) }
            /// As [`Self::new`]: every text is a name.
            pub fn parse(text: &str) -> Option<Self> { Some(Self::new(text)) }
            /// The name itself.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<&str> for $name { fn from(s: &str) -> Self { Self::new(s) } }
        impl From<String> for $name { fn from(s: String) -> Self { Self::new(s) } }
    )*};
}

macro_rules! number_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
        impl $name {
            /// Reads a number as it is written, without sign or leading zeros.
            pub fn parse(text: &str) -> Option<Self> {
                text.parse().ok().map(Self).filter(|id| id.to_string() == text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    )*};
}

name_id! {
    /// The resettlement site, e.g. `maojiawan`.
    SiteId,
    /// A community 社区, e.g. `s1`.
    CommunityId,
    /// A grid 网格: `530621002` + three digits of the community + two of the grid.
    GridId,
    /// A building 楼栋, e.g. `b12`.
    BuildingId,
    /// A landmark that is not a building: square, school, road section, gate.
    LandmarkId,
    /// A camera, e.g. `c208`.
    CameraId,
    /// A sensor, e.g. `smoke-b12-2-06`.
    SensorId,
    /// What logs in to the broker: a sensor or a gateway of sensors.
    DeviceId,
    /// A unit that takes tasks: department, property firm, grid team.
    UnitId,
    /// A user account, e.g. `duty`.
    AccountId,
    /// A class of incident, e.g. `fire`.
    ClassId,
    /// A kind of alarm, e.g. `smoke`.
    AlarmKindId,
    /// A detection rule of sensors or data.
    RuleId,
    /// A tour of cameras.
    TourId,
    /// A stored photo, clip or still: name given by the blob store.
    BlobId,
}

number_id! {
    /// An alarm 告警, counted by site.
    AlarmId,
    /// An incident 事件, counted by site; the number people say aloud.
    IncidentId,
    /// A task 任务, counted by site.
    TaskId,
    /// A run of a patrol 巡逻.
    PatrolId,
    /// A message in or out of the message platform.
    MessageId,
    /// A sealed value in the vault.
    VaultId,
}
