//! The one writer of a site: takes inputs in batches, decides in memory, commits them in one transaction, then
//! answers and publishes. Beside it the watchers that turn cameras into observations, run the video patrol and cut
//! clips.
//!
//! Invariants: nothing is answered or published before its commit; after any commit error the writer drops its memory
//! and reloads; its queue is bounded and says so when full. Only the writer's task touches the state.

// A new key, event, command or role is thought about wherever one is matched.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod batch;
mod cameras;
mod clips;
mod columns;
mod load;
mod patrol;
mod writer;

pub use cameras::{CameraWatch, watch_cameras};
pub use clips::cut_clips;
pub use patrol::{VideoPatrol, patrol_video};
pub use writer::{Credentials, Status, Writer, WriterOptions, start};

/// Why the writer stands still.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The ledger failed.
    #[error("ledger")]
    Ledger(#[from] ledger::LedgerError),
    /// Another writer took the log over; it is not taken back.
    #[error("another writer has the log")]
    Fenced,
    /// A stored document cannot be read.
    #[error("document {kind}/{id}")]
    Document {
        /// Kind.
        kind: String,
        /// Id.
        id: String,
        /// Why.
        #[source]
        source: wire::WireError,
    },
}

impl DispatchError {
    /// For people, Chinese first.
    pub(crate) fn words(&self) -> String {
        let zh = match self {
            Self::Ledger(error) => error.zh(),
            Self::Fenced => "另一个写入者接管了台账",
            Self::Document { .. } => "存储的内容无法读取",
        };
        format!("{zh} {}", self.reason())
    }

    /// The whole chain, on one line.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(next) = source {
            text = format!("{text}: {next}");
            source = next.source();
        }
        text
    }
}
