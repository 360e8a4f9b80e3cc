//! Events of patrols.

use crate::{
    event::Happening,
    ids::{BlobId, PatrolId},
    patrol::{Finding, PatrolKind},
    time::Timestamp,
};

/// What happens to a patrol.
#[derive(Clone, Debug, PartialEq)]
pub enum PatrolEvent {
    /// A patrol is planned.
    Planned {
        /// Id.
        patrol: PatrolId,
        /// Which of the three.
        kind: PatrolKind,
        /// Tour, rule or route name.
        subject: String,
        /// Planned start.
        due: Timestamp,
    },
    /// It runs.
    Started {
        /// Id.
        patrol: PatrolId,
        /// Things to look at.
        total: u32,
    },
    /// It found something.
    Found {
        /// Id.
        patrol: PatrolId,
        /// What.
        finding: Finding,
    },
    /// It ended.
    Finished {
        /// Id.
        patrol: PatrolId,
        /// Things looked at.
        checked: u32,
    },
}

impl Happening for PatrolEvent {
    type Id = PatrolId;

    fn name(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "patrol_planned",
            Self::Started { .. } => "patrol_started",
            Self::Found { .. } => "patrol_found",
            Self::Finished { .. } => "patrol_finished",
        }
    }

    fn id(&self) -> PatrolId {
        match self {
            Self::Planned { patrol, .. }
            | Self::Started { patrol, .. }
            | Self::Found { patrol, .. }
            | Self::Finished { patrol, .. } => *patrol,
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Planned { .. } | Self::Started { .. } | Self::Found { .. } | Self::Finished { .. } => Vec::new(),
        }
    }
}
