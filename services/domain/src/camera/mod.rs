//! What the log knows of a camera: whether its connection and its picture are well.

mod decide;
mod event;

use crate::{
    event::{Event, Key},
    ids::*,
    site::Site,
    state::{Counters, State},
    thing::{InSnapshot, Index, Thing},
    time::Timestamp,
};

pub use event::CameraEvent;

/// A camera's facts in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFacts {
    /// Which.
    pub camera: CameraId,
    /// State name of the media role.
    pub state: String,
    /// Fault of the picture.
    pub fault: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Thing for CameraFacts {
    type Id = CameraId;
    type Event = CameraEvent;
    fn id(&self) -> CameraId {
        self.camera.clone()
    }
    fn begin(what: &CameraEvent, _: &Event) -> Option<Self> {
        let CameraEvent::Changed { camera, state, fault, since } = what;
        Some(Self { camera: camera.clone(), state: state.clone(), fault: fault.clone(), since: *since })
    }
    fn apply(&mut self, what: &CameraEvent, event: &Event) {
        if let Some(new) = Self::begin(what, event) {
            *self = new;
        }
    }
    fn count(_: &CameraEvent, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(Vec::new())
    }
    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}
