//! The few columns of each document that lists filter on.

use domain::{
    site::Level,
    thing::{Index, Relation},
};
use ledger::{Columns, limits};

/// The columns of a document; whether it is open stands in the index beside them.
pub(crate) fn of(index: &Index) -> Columns {
    let grid = index.refs.iter().find_map(|r| if let Relation::Grid(id) = r { Some(id.to_string()) } else { None });
    let unit = |r: &Relation| if let Relation::Unit(id) = r { Some(id.to_string()) } else { None };
    Columns {
        level: index.level.map(level),
        stage: index.stage.map(str::to_owned),
        units: index.refs.iter().filter_map(unit).collect(),
        grid,
        at_ms: index.at.0,
        due_ms: index.due.map(|at| at.0),
        // What people ask for stands first; the rest of a very large case goes without.
        refs: index.refs.iter().take(limits::REFS).map(refer).collect(),
    }
}

fn refer(relation: &Relation) -> (String, String) {
    let (role, id) = relation.parts();
    (role.to_owned(), id)
}

const fn level(level: Level) -> i16 {
    match level {
        Level::Normal => 0,
        Level::Yellow => 1,
        Level::Red => 2,
    }
}
