//! The way in: sources and people put inputs before the writer of a site and learn the outcome once it is durable.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    ids::SiteId,
    input::{Input, Refs},
    refusal::Refusal,
};

/// Longest scope and key, bytes.
pub const MAX_KEY: usize = 128;

/// What makes an input idempotent: the same key in the same scope takes effect once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputKey {
    /// Who chose the key: `account/duty`, `unit/fire`, `sms`, `mqtt`.
    pub scope: String,
    /// The key.
    pub key: String,
}

/// One input on its way to the writer.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Key; `None` only for inputs that are harmless twice (device facts, ticks).
    pub key: Option<InputKey>,
    /// The request as received; its keyed hash tells a repetition from another request under the same key.
    pub request: Vec<u8>,
    /// What is put before the core.
    pub input: Input,
    /// Outbox rows that are over with this input, whether the core takes it or refuses.
    pub settles: Vec<u64>,
}

impl Submission {
    /// An input that is harmless twice.
    pub fn keyless(input: Input) -> Self {
        Self { key: None, request: Vec::new(), input, settles: Vec::new() }
    }
    /// An input under a key; `request` is what a repetition repeats.
    pub fn keyed(scope: impl Into<String>, key: impl Into<String>, request: Vec<u8>, input: Input) -> Self {
        let key = InputKey { scope: scope.into(), key: key.into() };
        Self { key: Some(key), request, input, settles: Vec::new() }
    }
    /// With an outbox row that is over.
    #[must_use]
    pub fn settling(mut self, outbox: u64) -> Self {
        self.settles.push(outbox);
        self
    }
}

/// Where the log stood after the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log.
    pub log_id: u64,
    /// Newest event after it.
    pub seq: u64,
}

/// A durable outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Where the log stood.
    pub position: Position,
    /// What the sender may want to name.
    pub refs: Refs,
    /// The key was known: nothing happened now, this is what happened then.
    pub replayed: bool,
}

/// Why an input had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The core refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The same key came with another request.
    #[error("同一个键已用于另一请求 the key was used for another request")]
    KeyReused,
    /// A key or request is too long.
    #[error("过长 is too long: {0}")]
    TooLong(&'static str),
    /// The writer's queue is full; try again.
    #[error("写入者繁忙 the writer is busy")]
    Busy,
    /// What it says cannot be stored, now or later: nothing was.
    #[error("内容无法保存 the input cannot be stored")]
    Unstorable,
    /// Nothing can be stored now, and nothing was; the reason is on `/readyz`. Try again.
    #[error("暂时无法保存 nothing can be stored now: {0}")]
    Unavailable(String),
    /// The commit or the answer broke off: the input may have been taken. The same key tells.
    #[error("是否生效尚不清楚 whether it took effect is not known: {0}")]
    Unknown(String),
}

impl IntakeError {
    /// It passes: the same input under the same key is taken later, or its outcome is known then.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_) | Self::Unknown(_))
    }
}

/// The port of the writer. An `Ok` is durable.
#[async_trait]
pub trait Intake: Send + Sync {
    /// The site that it writes.
    fn site(&self) -> SiteId;
    /// Decides and commits. Cancelling the call does not take the input back.
    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError>;
}

/// Shared handle.
pub type SharedIntake = Arc<dyn Intake>;
