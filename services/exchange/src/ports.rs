//! What the exchange asks of others: the binary gives these.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    event::Mode,
    ids::{IncidentId, MessageId, TaskId},
    input::Outgoing,
    site::{Level, Point},
};

/// Reads the payload of an outbox row.
pub type Decode = Arc<dyn Fn(&[u8]) -> Option<Outgoing> + Send + Sync>;
/// Keyed hash of a text, at most 64 characters: stands for a value that events and keys must not hold.
pub type KeyedHash = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A task as its unit is told.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskContent {
    /// Case code.
    pub code: String,
    /// For real or not.
    pub mode: Mode,
    /// Id of the class.
    pub class: String,
    /// Name of the class, Chinese.
    pub class_name: String,
    /// Priority.
    pub level: Level,
    /// Place in words.
    pub place: String,
    /// Place on the plane.
    pub point: Point,
    /// Leads.
    pub lead: bool,
    /// A person of the unit has taken it on our pages.
    pub taken: bool,
    /// What to do, opened from the vault.
    pub text: Option<String>,
    /// Limits, ms since 1970.
    pub due: Due,
    /// When it was pushed, ms.
    pub at: i64,
}

/// By when a unit should act, ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Due {
    /// Take it.
    pub acknowledge: Option<i64>,
    /// Be there.
    pub arrive: Option<i64>,
    /// Be done.
    pub handle: Option<i64>,
}

/// A message as the gateway is told.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageContent {
    /// Receiver's number.
    pub to: String,
    /// Text.
    pub text: String,
}

/// Why content cannot be read now; names no values.
#[derive(Debug, thiserror::Error)]
#[error("content: {0}")]
pub struct ContentError(pub String);

/// Reads what a delivery points at, at the moment of sending, so that nothing personal waits in the outbox.
#[async_trait]
pub trait Content: Send + Sync {
    /// A task; `None` when there is nothing to send any more (recalled, ended).
    async fn task(&self, incident: IncidentId, task: TaskId) -> Result<Option<TaskContent>, ContentError>;
    /// A message; `None` when it was erased.
    async fn message(&self, message: MessageId) -> Result<Option<MessageContent>, ContentError>;
}
