//! The light of a department: how fresh its data is.

mod decide;
mod event;

use crate::{
    event::{Event, Key},
    ids::*,
    site::Site,
    state::{Counters, State},
    thing::{InSnapshot, Index, Relation, Thing},
    time::Timestamp,
};

pub use event::LightEvent;

/// Freshness of a department's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Light {
    /// Never heard.
    Unknown,
    /// Within its schedule.
    Green,
    /// Late.
    Yellow,
    /// Silent, or its calls fail.
    Red,
}

/// A department's light as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepartmentLight {
    /// Whose.
    pub unit: UnitId,
    /// Light.
    pub light: Light,
    /// Newest record or call.
    pub last: Option<Timestamp>,
    /// Since when the light is so.
    pub since: Timestamp,
}

impl Thing for DepartmentLight {
    type Id = UnitId;
    type Event = LightEvent;
    fn id(&self) -> UnitId {
        self.unit.clone()
    }
    fn begin(what: &LightEvent, event: &Event) -> Option<Self> {
        let LightEvent::Changed { unit, light, last } = what;
        Some(Self { unit: unit.clone(), light: *light, last: *last, since: event.at })
    }
    fn apply(&mut self, what: &LightEvent, event: &Event) {
        if let Some(new) = Self::begin(what, event) {
            *self = new;
        }
    }
    fn count(_: &LightEvent, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        Index::standing(vec![Relation::Unit(self.unit.clone())])
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
