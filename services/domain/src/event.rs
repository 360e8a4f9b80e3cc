//! What happened. Events are the only way that state changes; each belongs to one thing ([`Body::key`]), and its
//! kind says what they are: `domain/src/<kind>/event.rs`.

pub use crate::state::{Body, Key};
use crate::{ids::*, time::Timestamp};

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

/// What happens to the things of a kind.
pub trait Happening {
    /// What tells a thing of the kind from another; nothing of a single one.
    type Id;
    /// A stable name, unlike that of any other event.
    fn name(&self) -> &'static str;
    /// The thing that it happens to.
    fn id(&self) -> Self::Id;
    /// Stored files that it names first: what no event names is swept away.
    fn blobs(&self) -> Vec<&BlobId>;
}
