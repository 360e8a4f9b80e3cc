//! What a thing is to the house: the questions that every kind answers, and the macro that makes [`Key`],
//! [`Body`](crate::event::Body) and [`State`] from one table of kinds.
//!
//! Neither trait has default methods, and nothing matches on a key with a wildcard: a kind that leaves a question open
//! does not compile.

use crate::{
    event::{Event, Happening, Key},
    ids::*,
    site::{Level, Site},
    state::{Counters, State},
    time::Timestamp,
};

/// How many there are of a kind, and so where they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Hundreds: open ones stay in memory, and a snapshot of the feed brings them.
    Live,
    /// As many as the years bring: fetched by name when an input needs them, listed from the ledger, never in a snapshot.
    Record,
}

/// A kind with many things, one document each.
pub trait Thing: Sized {
    /// What tells one from another.
    type Id;
    /// What happens to it.
    type Event: Happening<Id = Self::Id>;
    /// Its id.
    fn id(&self) -> Self::Id;
    /// A new one from its first event, by whom and when `event` says; `None` of an event that begins nothing.
    fn begin(what: &Self::Event, event: &Event) -> Option<Self>;
    /// Takes a later event of its own. Total: what does not fit changes nothing.
    fn apply(&mut self, what: &Self::Event, event: &Event);
    /// The numbers that an event of this kind uses up.
    fn count(what: &Self::Event, counters: &mut Counters);
    /// What lists and timers find it by. Limits come from the site.
    fn index(&self, site: Option<&Site>) -> Index;
    /// What must be in memory with it when a command names it.
    fn companions(&self) -> Vec<Key>;
    /// Whether it may leave memory once there are too many, because the ledger has it and nothing in memory needs it.
    fn forgettable(&self, state: &State) -> bool;
    /// Its place in the snapshot of somebody who wants to know what happened after `since`.
    fn in_snapshot(&self, since: Timestamp) -> InSnapshot;
}

/// A kind with one thing, which is always there, if only empty.
pub trait Single: Default {
    /// What happens to it.
    type Event: Happening<Id = ()>;
    /// Takes an event of its own.
    fn apply(&mut self, what: &Self::Event, event: &Event);
    /// Nothing was ever said of it.
    fn is_unset(&self) -> bool;
}

/// What the ledger lists and finds a document by, besides its kind and id.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Index {
    /// Goes on: it is loaded at each start. What does not is loaded only while it is among the newest of its kind.
    pub open: bool,
    /// The time that reports select by; zero = none do.
    pub at: Timestamp,
    /// When the next thing happens to it by itself.
    pub due: Option<Timestamp>,
    /// Level.
    pub level: Option<Level>,
    /// Stage or state.
    pub stage: Option<&'static str>,
    /// What it belongs to, without doubles, what people ask for first.
    pub refs: Vec<Relation>,
}

impl Index {
    /// Of something that is in force as long as it exists, and that no report selects.
    pub fn standing(refs: Vec<Relation>) -> Self {
        Self { open: true, at: Timestamp(0), due: None, level: None, stage: None, refs }
    }
}

/// What a thing belongs to: found by it, and one day seen because of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Lies in this grid.
    Grid(GridId),
    /// Lies in this building.
    Building(BuildingId),
    /// This unit has or had to do with it.
    Unit(UnitId),
    /// This task is one of it.
    Task(TaskId),
    /// Comes from this alarm, or goes with it.
    Alarm(AlarmId),
    /// Became this incident.
    Incident(IncidentId),
    /// Was merged into this incident.
    Parent(IncidentId),
    /// Came from this person, by the keyed hash of their number.
    Person(String),
}

impl Relation {
    /// `(role, id)` as the ledger keeps it.
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Grid(id) => ("grid", id.to_string()),
            Self::Building(id) => ("building", id.to_string()),
            Self::Unit(id) => ("unit", id.to_string()),
            Self::Task(id) => ("task", id.to_string()),
            Self::Alarm(id) => ("alarm", id.to_string()),
            Self::Incident(id) => ("incident", id.to_string()),
            Self::Parent(id) => ("parent", id.to_string()),
            Self::Person(token) => ("person", token.clone()),
        }
    }
}

/// Place of a thing in a snapshot of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InSnapshot {
    /// In every one.
    Always,
    /// While there is room, newest first.
    Recent,
    /// In none any more.
    Past,
}

/// Makes `Key`, `Body` and `State` from the table of kinds. A row is `Name(Id) "kind": field of State: type of the thing`; the row
/// of a single thing has no id.
///
/// ```ignore
/// things! {
///     one {
///         /// The duty roster.
///         Duty "duty": duty: Duty;
///     }
///     live {
///         /// An alarm.
///         Alarm(AlarmId) "alarm": alarms: Alarm;
///     }
///     record {
///         /// A household.
///         Household(HouseholdId) "household": households: Household;
///     }
/// }
/// ```
///
/// gives `Body::Alarm(AlarmEvent)` and its like, `Key::Duty`, `Key::Alarm(AlarmId)`, `Key::Household(HouseholdId)` with their names in the ledger, the maps
/// `State::alarms` and `State::households`, and all that `State` does by key. The type implements [`Thing`], that of a
/// single thing [`Single`].
///
/// The order is that of snapshots, and things leave memory in it: what keeps another in memory stands before it.
macro_rules! things {
    (
        one { $($(#[$one_doc:meta])* $One:ident $one_kind:literal: $one:ident: $OneType:ty;)* }
        live { $($(#[$live_doc:meta])* $Live:ident($LiveId:ident) $live_kind:literal: $live:ident: $LiveType:ident;)* }
        record { $($(#[$record_doc:meta])* $Record:ident($RecordId:ident) $record_kind:literal: $record:ident: $RecordType:ident;)* }
    ) => {
        /// Which aggregate, and so which document.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $($(#[$one_doc])* $One,)*
            $($(#[$live_doc])* $Live($LiveId),)*
            $($(#[$record_doc])* $Record($RecordId),)*
        }

        impl Key {
            /// Every kind with its tier; single things are live.
            pub const KINDS: &'static [(&'static str, Tier)] = &[
                $(($one_kind, Tier::Live),)*
                $(($live_kind, Tier::Live),)*
                $(($record_kind, Tier::Record),)*
            ];

            /// Kind of the document.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$One => $one_kind,)*
                    $(Self::$Live(_) => $live_kind,)*
                    $(Self::$Record(_) => $record_kind,)*
                }
            }

            /// `(kind, id)` of the document; the id of a single thing is empty.
            pub fn parts(&self) -> (&'static str, String) {
                let id = match self {
                    $(Self::$One => String::new(),)*
                    $(Self::$Live(id) => id.to_string(),)*
                    $(Self::$Record(id) => id.to_string(),)*
                };
                (self.kind(), id)
            }

            /// The reverse of [`Key::parts`].
            pub fn parse(kind: &str, id: &str) -> Option<Self> {
                match kind {
                    $($one_kind => id.is_empty().then_some(Self::$One),)*
                    $($live_kind => $LiveId::parse(id).map(Self::$Live),)*
                    $($record_kind => $RecordId::parse(id).map(Self::$Record),)*
                    // Of text, so that no key can be forgotten here.
                    _ => None,
                }
            }
        }

        /// What happened, and to which kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Body {
            $($(#[$one_doc])* $One(<$OneType as Single>::Event),)*
            $($(#[$live_doc])* $Live(<$LiveType as Thing>::Event),)*
            $($(#[$record_doc])* $Record(<$RecordType as Thing>::Event),)*
        }

        impl Body {
            /// A stable name of the event.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$One(what) => what.name(),)*
                    $(Self::$Live(what) => what.name(),)*
                    $(Self::$Record(what) => what.name(),)*
                }
            }

            /// The thing that it happened to.
            pub fn key(&self) -> Key {
                match self {
                    $(Self::$One(_) => Key::$One,)*
                    $(Self::$Live(what) => Key::$Live(what.id()),)*
                    $(Self::$Record(what) => Key::$Record(what.id()),)*
                }
            }

            /// Stored files that it names first: what no event names is swept away.
            pub fn blobs(&self) -> Vec<&BlobId> {
                match self {
                    $(Self::$One(what) => what.blobs(),)*
                    $(Self::$Live(what) => what.blobs(),)*
                    $(Self::$Record(what) => what.blobs(),)*
                }
            }
        }

        $(impl From<<$OneType as Single>::Event> for Body {
            fn from(what: <$OneType as Single>::Event) -> Self {
                Self::$One(what)
            }
        })*
        $(impl From<<$LiveType as Thing>::Event> for Body {
            fn from(what: <$LiveType as Thing>::Event) -> Self {
                Self::$Live(what)
            }
        })*
        $(impl From<<$RecordType as Thing>::Event> for Body {
            fn from(what: <$RecordType as Thing>::Event) -> Self {
                Self::$Record(what)
            }
        })*

        impl Event {
            /// Whether the thing is as this event says, whatever was before: it begins with it, or is replaced by it.
            pub fn begins(&self) -> bool {
                match &self.body {
                    $(Body::$One(_) => false,)*
                    $(Body::$Live(what) => <$LiveType as Thing>::begin(what, self).is_some(),)*
                    $(Body::$Record(what) => <$RecordType as Thing>::begin(what, self).is_some(),)*
                }
            }
        }

        /// State of a site.
        #[derive(Clone, Debug, PartialEq, Default)]
        pub struct State {
            $($(#[$one_doc])* pub $one: $OneType,)*
            $($(#[$live_doc])* pub $live: BTreeMap<$LiveId, $LiveType>,)*
            $($(#[$record_doc])* pub $record: BTreeMap<$RecordId, $RecordType>,)*
            /// Next free numbers.
            pub counters: Counters,
        }

        impl State {
            /// Takes an event. Total: an event that does not fit changes nothing.
            pub fn apply(&mut self, event: &Event) {
                self.counters.vault = self.counters.vault.max(event.vault_next);
                match &event.body {
                    $(Body::$One(what) => self.$one.apply(what, event),)*
                    $(Body::$Live(what) => take(&mut self.$live, what, event, &mut self.counters),)*
                    $(Body::$Record(what) => take(&mut self.$record, what, event, &mut self.counters),)*
                }
            }

            /// Whether the thing is in memory; a single one always is.
            pub fn holds(&self, key: &Key) -> bool {
                match key {
                    $(Key::$One => true,)*
                    $(Key::$Live(id) => self.$live.contains_key(id),)*
                    $(Key::$Record(id) => self.$record.contains_key(id),)*
                }
            }

            /// Everything live that is in memory, the site first.
            pub fn keys(&self) -> Vec<Key> {
                let mut keys = Vec::new();
                $(if !self.$one.is_unset() {
                    keys.push(Key::$One);
                })*
                $(keys.extend(self.$live.keys().cloned().map(Key::$Live));)*
                keys
            }

            /// How many things memory holds.
            pub fn len(&self) -> usize {
                let many = [$(self.$live.len(),)* $(self.$record.len(),)*];
                many.iter().sum()
            }

            /// Puts in what `other` holds under `key`, in place of its own.
            pub fn copy(&mut self, other: &Self, key: &Key) {
                match key {
                    $(Key::$One => self.$one = other.$one.clone(),)*
                    $(Key::$Live(id) => self.$live.extend(other.$live.get(id).map(|found| (id.clone(), found.clone()))),)*
                    $(Key::$Record(id) => self.$record.extend(other.$record.get(id).map(|found| (id.clone(), found.clone()))),)*
                }
            }

            /// What the ledger finds the thing by; `None` if memory lacks it.
            pub fn index(&self, key: &Key) -> Option<Index> {
                let site = self.site.as_deref();
                match key {
                    $(Key::$One => Some(Index::standing(Vec::new())),)*
                    $(Key::$Live(id) => self.$live.get(id).map(|found| found.index(site)),)*
                    $(Key::$Record(id) => self.$record.get(id).map(|found| found.index(site)),)*
                }
            }

            /// What must be in memory with the thing when a command names it; nothing of what memory lacks.
            pub fn companions(&self, key: &Key) -> Vec<Key> {
                match key {
                    $(Key::$One => Vec::new(),)*
                    $(Key::$Live(id) => self.$live.get(id).map(Thing::companions).unwrap_or_default(),)*
                    $(Key::$Record(id) => self.$record.get(id).map(Thing::companions).unwrap_or_default(),)*
                }
            }

            /// The thing's place in a snapshot of what happened after `since`; records have none.
            pub fn in_snapshot(&self, key: &Key, since: Timestamp) -> InSnapshot {
                match key {
                    $(Key::$One => InSnapshot::Always,)*
                    $(Key::$Live(id) => self.$live.get(id).map_or(InSnapshot::Past, |found| found.in_snapshot(since)),)*
                    $(Key::$Record(_) => InSnapshot::Past,)*
                }
            }

            /// Forgets the oldest that may be forgotten beyond [`KEEP_ENDED`] of each kind; the ledger keeps them all.
            pub fn trim(&mut self) {
                $(for id in surplus(&self.$live, self) {
                    self.$live.remove(&id);
                })*
                $(for id in surplus(&self.$record, self) {
                    self.$record.remove(&id);
                })*
            }
        }
    };
}

pub(crate) use things;
