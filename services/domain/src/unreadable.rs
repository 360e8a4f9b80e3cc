//! Inputs that could not be read: recorded, counted and answered, so that a source that sends nonsense is seen.

use std::collections::BTreeMap;

use crate::{
    event::{Event, Happening},
    ids::BlobId,
    thing::Single,
    time::Timestamp,
};

/// Inputs that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// By source and reason.
    pub counts: BTreeMap<(String, String), u64>,
    /// Newest.
    pub last: Option<Timestamp>,
}

impl Single for Unreadable {
    type Event = UnreadableEvent;
    fn apply(&mut self, what: &UnreadableEvent, event: &Event) {
        let UnreadableEvent::Counted { source, why, .. } = what;
        let count = self.counts.entry((source.clone(), why.clone())).or_default();
        *count = count.saturating_add(1);
        self.last = Some(event.at);
    }
    fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// What comes in and cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub enum UnreadableEvent {
    /// An input could not be read; it was recorded and answered.
    Counted {
        /// `mqtt`, a department or `sms`.
        source: String,
        /// Stable code: `oversize`, `malformed`, `unknown_device` …
        why: String,
        /// Bytes.
        size: u64,
    },
}

impl Happening for UnreadableEvent {
    type Id = ();

    fn name(&self) -> &'static str {
        match self {
            Self::Counted { .. } => "unreadable",
        }
    }

    fn id(&self) {}

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Counted { .. } => Vec::new(),
        }
    }
}
