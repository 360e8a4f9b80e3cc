//! The state of a site from its documents: at the start, and by name what memory has forgotten since.

use std::collections::{BTreeMap, BTreeSet};

use domain::{State, event::Key, ids::TaskId, input::Input, state::KEEP_ENDED};
use ledger::{DocumentRow, Query, Store, limits};

use crate::{DispatchError, batch::row_id};

/// Loads the state; the caller is the writer, so it stands at the caller's head.
pub(crate) async fn state(store: &dyn Store) -> Result<State, DispatchError> {
    // The writer forgets the rest anyway: a site of many years starts as fast as a new one.
    let (_, documents) = store.snapshot(&wire::document::KINDS, KEEP_ENDED).await?;
    let mut state = State::default();
    for row in documents.iter().filter(|d| !d.deleted) {
        load(&mut state, row)?;
    }
    let alarms: Vec<Key> = state.missing_alarms().into_iter().map(Key::Alarm).collect();
    for row in rows(store, &alarms).await? {
        load(&mut state, &row)?;
    }
    state.trim();
    Ok(state)
}

/// What could not be read of what inputs name, with the reason for people.
#[derive(Default)]
pub(crate) struct Unread {
    keys: BTreeMap<Key, String>,
    tasks: BTreeMap<TaskId, String>,
}

impl Unread {
    /// Why the input cannot be decided.
    pub(crate) fn of(&self, input: &Input) -> Option<String> {
        if self.keys.is_empty() && self.tasks.is_empty() {
            return None;
        }
        let task = input.task().and_then(|task| self.tasks.get(&task));
        task.cloned().or_else(|| input.names().iter().find_map(|key| self.keys.get(key).cloned()))
    }
}

/// Loads what the inputs name and memory has forgotten, and what must be with it, so that they are decided as if it had
/// never been forgotten: one read for all of them, and one for what must be with it.
pub(crate) async fn named<'i>(
    store: &dyn Store,
    state: &mut State,
    inputs: impl Iterator<Item = &'i Input> + Clone,
) -> Unread {
    let mut unread = Unread::default();
    let mut names: BTreeSet<Key> = inputs.clone().flat_map(Input::names).collect();
    for task in inputs.filter_map(Input::task).collect::<BTreeSet<_>>() {
        match incident_of(store, state, task).await {
            Ok(key) => names.extend(key),
            Err(error) => {
                unread.tasks.insert(task, told(&error));
            }
        }
    }
    let forgotten = names.iter().filter(|key| !state.holds(key)).map(|key| (key.clone(), key.clone())).collect();
    fetch(store, state, forgotten, &mut unread).await;
    let with = |key: &Key| state.companions(key).into_iter().map(|other| (other, key.clone())).collect::<Vec<_>>();
    let with = names.iter().flat_map(with).filter(|(other, _)| !state.holds(other)).collect();
    fetch(store, state, with, &mut unread).await;
    unread
}

/// The incident of a task; it is loaded if memory has forgotten it.
async fn incident_of(store: &dyn Store, state: &mut State, task: TaskId) -> Result<Option<Key>, DispatchError> {
    if let Some(incident) = state.incident_of(task) {
        return Ok(Some(Key::Incident(incident.id)));
    }
    let refs = vec![domain::thing::Relation::Task(task).parts()];
    let refs = refs.into_iter().map(|(role, id)| (role.to_owned(), id)).collect();
    let query = Query { kind: "incident".to_owned(), refs, limit: 1, ..Query::default() };
    for row in store.documents(&query).await? {
        load(state, &row)?;
    }
    Ok(state.incident_of(task).map(|incident| Key::Incident(incident.id)))
}

/// Loads documents; each key stands beside the one that an input names.
async fn fetch(store: &dyn Store, state: &mut State, keys: BTreeMap<Key, Key>, unread: &mut Unread) {
    let wanted: Vec<Key> = keys.keys().cloned().collect();
    match rows(store, &wanted).await {
        Ok(rows) => {
            for row in rows {
                if let Err(error) = load(state, &row) {
                    let named = Key::parse(&row.kind, own_id(&row)).and_then(|key| keys.get(&key));
                    unread.keys.extend(named.map(|key| (key.clone(), told(&error))));
                }
            }
        }
        Err(error) => {
            let why = told(&error);
            unread.keys.extend(keys.into_values().map(|named| (named, why.clone())));
        }
    }
}

fn told(error: &DispatchError) -> String {
    tracing::warn!(error = %error.reason(), "what an input names cannot be read");
    error.words()
}

/// The documents of these keys; missing ones are left out.
async fn rows(store: &dyn Store, keys: &[Key]) -> Result<Vec<DocumentRow>, DispatchError> {
    let mut rows = Vec::new();
    for page in keys.chunks(limits::PAGE) {
        let names: Vec<(&str, String)> = page.iter().map(row_id).collect();
        let names: Vec<(&str, &str)> = names.iter().map(|(kind, id)| (*kind, id.as_str())).collect();
        rows.extend(store.documents_named(&names).await?);
    }
    Ok(rows)
}

fn own_id(row: &DocumentRow) -> &str {
    if row.id == "-" { "" } else { &row.id }
}

/// Takes one document into the state.
pub(crate) fn load(state: &mut State, row: &DocumentRow) -> Result<(), DispatchError> {
    wire::document::load(state, &row.kind, own_id(row), &row.payload).map_err(|source| DispatchError::Document {
        kind: row.kind.clone(),
        id: row.id.clone(),
        source,
    })
}
