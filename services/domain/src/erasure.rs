//! Erasures: whose values were destroyed, so that a replay shows 已删除 and a restore erases again.

use std::collections::BTreeSet;

use crate::{
    event::{Event, Happening},
    ids::BlobId,
    text::Subject,
    thing::Single,
};

impl Single for BTreeSet<Subject> {
    type Event = ErasureEvent;
    fn apply(&mut self, what: &ErasureEvent, _: &Event) {
        let ErasureEvent::Erased { subject } = what;
        self.insert(subject.clone());
    }
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

/// What is erased.
#[derive(Clone, Debug, PartialEq)]
pub enum ErasureEvent {
    /// A subject's values were destroyed.
    Erased {
        /// Whose.
        subject: Subject,
    },
}

impl Happening for ErasureEvent {
    type Id = ();

    fn name(&self) -> &'static str {
        match self {
            Self::Erased { .. } => "erased",
        }
    }

    fn id(&self) {}

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Erased { .. } => Vec::new(),
        }
    }
}
