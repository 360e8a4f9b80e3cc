//! Time passes: what is due by now happens.

use super::Draft;
use crate::{alarm::AlarmEvent, ids::*};

/// Alarms and incidents, each, that one tick deals with; the next one goes on. A commit is bounded.
pub(super) const MAX_DUE: usize = 1_000;

impl Draft<'_> {
    /// Shelvings end, unjudged alarms sound again, cases that nobody acts on call.
    pub(super) fn tick(&mut self) {
        let (now, site) = (self.now(), self.base.site.as_deref());
        let limits = |class: &ClassId| site.and_then(|s| s.class(class)).map(|c| &c.limits);
        let due = self.base.alarms.values().filter(|a| a.due(site).is_some_and(|t| t <= now)).take(MAX_DUE);
        let due: Vec<(AlarmId, bool, _)> = due.map(|a| (a.id, a.shelf.is_some(), a.mode)).collect();
        let asks = self.base.incidents.values().filter_map(|i| {
            let (at, why, task) = i.due(limits(&i.class)?)?;
            (at <= now).then_some((i.id, i.mode, why, task))
        });
        let asks: Vec<_> = asks.take(MAX_DUE).collect();
        for (incident, mode, why, task) in asks {
            self.mode = mode;
            self.call(incident, why, task);
        }
        for (alarm, shelved, mode) in due {
            self.mode = mode;
            let body = if shelved { AlarmEvent::Unshelved { alarm } } else { AlarmEvent::Sounded { alarm } };
            self.emit(body);
        }
    }
}
