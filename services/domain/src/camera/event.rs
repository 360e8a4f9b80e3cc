//! Events of cameras.

use crate::{
    event::Happening,
    ids::{BlobId, CameraId},
    time::Timestamp,
};

/// What happens to the connection and picture of a camera.
#[derive(Clone, Debug, PartialEq)]
pub enum CameraEvent {
    /// A camera's connection or picture changed.
    Changed {
        /// Which.
        camera: CameraId,
        /// State name of the media role, `online` when pictures come.
        state: String,
        /// Fault of the picture, `frozen` or `black`.
        fault: Option<String>,
        /// Since when.
        since: Timestamp,
    },
}

impl Happening for CameraEvent {
    type Id = CameraId;

    fn name(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "camera_fact",
        }
    }

    fn id(&self) -> CameraId {
        match self {
            Self::Changed { camera, .. } => camera.clone(),
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Changed { .. } => Vec::new(),
        }
    }
}
