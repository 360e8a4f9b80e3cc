//! Events of departments' lights.

use crate::{
    event::Happening,
    ids::{BlobId, UnitId},
    light::Light,
    time::Timestamp,
};

/// What happens to the light of a department.
#[derive(Clone, Debug, PartialEq)]
pub enum LightEvent {
    /// The freshness of a department's data changed.
    Changed {
        /// Which.
        unit: UnitId,
        /// Light.
        light: Light,
        /// Newest record or call.
        last: Option<Timestamp>,
    },
}

impl Happening for LightEvent {
    type Id = UnitId;

    fn name(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "light_changed",
        }
    }

    fn id(&self) -> UnitId {
        match self {
            Self::Changed { unit, .. } => unit.clone(),
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Changed { .. } => Vec::new(),
        }
    }
}
