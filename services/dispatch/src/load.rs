//! The state of a site from its documents.

use domain::{State, state::KEEP_ENDED};
use ledger::Store;

use crate::DispatchError;

/// Loads the state; the caller is the writer, so it stands at the caller's head.
pub(crate) async fn state(store: &dyn Store) -> Result<State, DispatchError> {
    // The writer forgets the rest anyway: a site of many years starts as fast as a new one.
    let (_, documents) = store.snapshot(&wire::document::KINDS, KEEP_ENDED).await?;
    let mut state = State::default();
    for row in documents.iter().filter(|d| !d.deleted) {
        load(&mut state, row)?;
    }
    missing_alarms(store, &mut state).await?;
    state.trim();
    Ok(state)
}

/// Loads the alarms of incidents in memory that are not in memory themselves.
pub(crate) async fn missing_alarms(store: &dyn Store, state: &mut State) -> Result<(), DispatchError> {
    for alarm in state.missing_alarms() {
        if let Some(row) = store.document("alarm", &alarm.to_string()).await? {
            load(state, &row)?;
        }
    }
    Ok(())
}

/// Takes one document into the state.
pub(crate) fn load(state: &mut State, row: &ledger::DocumentRow) -> Result<(), DispatchError> {
    let id = if row.id == "-" { "" } else { &row.id };
    wire::document::load(state, &row.kind, id, &row.payload).map_err(|source| DispatchError::Document {
        kind: row.kind.clone(),
        id: row.id.clone(),
        source,
    })
}
