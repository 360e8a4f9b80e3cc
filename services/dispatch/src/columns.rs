//! The few columns of each document that lists filter on.

use domain::{State, event::Key, site::Level};
use ledger::Columns;

/// Whether the document is open, and its columns.
pub(crate) fn of(state: &State, key: &Key) -> (bool, Columns) {
    match key {
        Key::Alarm(id) => state.alarms.get(id).map_or_else(closed, |a| {
            let columns = Columns {
                level: Some(level(a.level)),
                stage: Some(if a.judged.is_some() { "judged" } else { "open" }.to_owned()),
                units: Vec::new(),
                grid: Some(a.place.grid.to_string()),
                at_ms: a.raised.0,
                ..Columns::default()
            };
            (a.open(), columns)
        }),
        Key::Incident(id) => state.incidents.get(id).map_or_else(closed, |i| {
            let mut units: Vec<String> = Vec::new();
            for unit in i.units() {
                if !units.iter().any(|u| u == unit.as_str()) {
                    units.push(unit.to_string());
                }
            }
            let columns = Columns {
                level: Some(level(i.level)),
                stage: Some(i.stage.name().to_owned()),
                units,
                grid: Some(i.place.grid.to_string()),
                at_ms: i.times.reported.0,
                ..Columns::default()
            };
            (i.open(), columns)
        }),
        Key::Patrol(id) => state.patrols.get(id).map_or_else(closed, |p| {
            let columns = Columns { stage: Some(p.kind.name().to_owned()), at_ms: p.due.0, ..Columns::default() };
            (p.finished.is_none(), columns)
        }),
        Key::Message(id) => {
            let at_ms = state.messages.get(id).map_or(0, |m| m.at.0);
            (false, Columns { at_ms, ..Columns::default() })
        }
        _ => (true, Columns::default()),
    }
}

fn closed() -> (bool, Columns) {
    (false, Columns::default())
}

const fn level(level: Level) -> i16 {
    match level {
        Level::Normal => 0,
        Level::Yellow => 1,
        Level::Red => 2,
    }
}
