//! Messages of the message platform, in and out.

mod decide;
mod event;

use crate::{
    event::{Event, Key},
    ids::*,
    site::{Place, Site},
    state::{Counters, State, use_up},
    text::Ref,
    thing::{InSnapshot, Index, Relation, Thing},
    time::Timestamp,
};

pub use event::MessageEvent;

/// A message of the message platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Id.
    pub id: MessageId,
    /// From a resident, or to one.
    pub inbound: bool,
    /// When.
    pub at: Timestamp,
    /// The other side's number.
    pub phone: Ref,
    /// Keyed hash of the number.
    pub person: Option<String>,
    /// What it says.
    pub text: Ref,
    /// The place that its words name.
    pub place: Option<Place>,
    /// The alarm that it became or belongs to.
    pub alarm: Option<AlarmId>,
    /// The message that this one answers.
    pub reply_to: Option<MessageId>,
    /// Outgoing: taken by the gateway, or given up.
    pub sent: Option<bool>,
}

impl Thing for Message {
    type Id = MessageId;
    type Event = MessageEvent;

    fn id(&self) -> MessageId {
        self.id
    }

    fn begin(what: &MessageEvent, _: &Event) -> Option<Self> {
        match what {
            MessageEvent::Kept { message } => Some(message.clone()),
            MessageEvent::Sent { .. } => None,
        }
    }

    fn apply(&mut self, what: &MessageEvent, _: &Event) {
        match what {
            MessageEvent::Kept { message } => *self = message.clone(),
            MessageEvent::Sent { ok, .. } => self.sent = Some(*ok),
        }
    }

    fn count(what: &MessageEvent, counters: &mut Counters) {
        if let MessageEvent::Kept { message } = what {
            use_up(&mut counters.message, message.id.0);
        }
    }

    fn index(&self, _: Option<&Site>) -> Index {
        let place = self.place.iter().flat_map(Place::relations);
        let more = self.alarm.map(Relation::Alarm).into_iter().chain(self.person.clone().map(Relation::Person));
        Index { open: false, at: self.at, due: None, level: None, stage: None, refs: place.chain(more).collect() }
    }

    /// The alarm that it became: who places the message places the alarm.
    fn companions(&self) -> Vec<Key> {
        self.alarm.into_iter().map(Key::Alarm).collect()
    }

    fn forgettable(&self, _: &State) -> bool {
        true
    }

    fn in_snapshot(&self, since: Timestamp) -> InSnapshot {
        if self.at >= since { InSnapshot::Recent } else { InSnapshot::Past }
    }
}
