//! The gateway's own copy of the state: loaded from one read transaction, then kept by the events of the log. Only the
//! hub's task writes it; readers hold the lock for the length of one view and never across an await.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use domain::{
    State,
    access::{self, Audience, Sight},
    account::Account,
    event::{Event, Key},
    ids::AccountId,
    site::Site,
    state::KEEP_ENDED,
};
use ledger::{DocumentRow, Opened, Position, Published, Store};
use wire::{
    feed,
    view::{self, Shown},
};

use crate::{
    error::GatewayError,
    texts::{Texts, Values},
};

/// Rounds of fetching values for one view while the state moves.
const ROUNDS: usize = 8;

/// Revisions of forgotten aggregates that are kept at least.
const SPARE_REVS: usize = 1_024;

/// The state with what the feed needs besides.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The state.
    pub(crate) state: State,
    /// Newest event of each aggregate.
    pub(crate) revs: HashMap<Key, u64>,
    /// The last event in it; `None` before the first load.
    pub(crate) head: Option<Position>,
}

impl Seen {
    pub(crate) fn rev(&self, key: &Key) -> u64 {
        self.revs.get(key).copied().unwrap_or(0)
    }

    /// As [`Seen::rev`]; of what memory has forgotten, no older than what anybody holds.
    pub(crate) fn last_rev(&self, key: &Key) -> u64 {
        self.revs.get(key).copied().unwrap_or_else(|| self.head.map_or(0, |h| h.seq))
    }

    /// Whether memory has the aggregate.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.state.holds(key)
    }

    /// Forgets what ended long ago, as the writer does, and by and by its revisions.
    pub(crate) fn trim(&mut self) {
        let Self { state, revs, .. } = self;
        state.trim();
        // Seldom, because it looks at each.
        if revs.len() > SPARE_REVS + 2 * state.len() {
            revs.retain(|key, _| state.holds(key));
        }
    }

    /// One aggregate as `audience` may see it; `None` when it may not, or when there is none.
    pub(crate) fn view(&self, audience: &Audience, key: &Key, values: &Values) -> Option<feed::State> {
        let sight = access::sees(audience, &self.state, key);
        if sight == Sight::Hidden {
            return None;
        }
        let shown = view::state(&self.state, key, self.rev(key), sight, &Fetched(values));
        (!matches!(shown.kind, Some(feed::state::Kind::Gone(_)))).then_some(shown)
    }
}

/// Opened values as views want them.
pub(crate) struct Fetched<'a>(pub(crate) &'a Values);

impl view::Texts for Fetched<'_> {
    fn text(&self, id: domain::ids::VaultId) -> Option<Shown> {
        match self.0.get(&id)? {
            Opened::Value { full, masked } => {
                Some(Shown { full: Some(full.text()), masked: masked.text(), erased: false })
            }
            Opened::Erased => Some(Shown { erased: true, ..Shown::default() }),
            Opened::Missing => None,
        }
    }
}

/// The mirror.
pub(crate) struct Mirror {
    store: Arc<dyn Store>,
    seen: RwLock<Seen>,
    pub(crate) texts: Texts,
}

impl Mirror {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { texts: Texts::new(store.clone()), store, seen: RwLock::default() }
    }

    /// For reading; not to be held across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the hub's task.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.seen.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn loaded(&self) -> bool {
        self.read().head.is_some()
    }

    pub(crate) fn account(&self, id: &AccountId) -> Option<Account> {
        self.read().state.accounts.get(id).cloned()
    }

    pub(crate) fn site(&self) -> Option<Arc<Site>> {
        self.read().state.site.clone()
    }

    /// Loads anew what memory holds, from one read transaction.
    pub(crate) async fn load(&self) -> Result<Position, GatewayError> {
        let (position, rows) = self.store.snapshot(&wire::document::KINDS, KEEP_ENDED).await?;
        let mut fresh = Seen { head: Some(position), ..Seen::default() };
        for row in rows.iter().filter(|r| !r.deleted) {
            take(&mut fresh, row)?;
        }
        // What memory holds is of no use here: it may be older.
        for alarm in fresh.state.missing_alarms() {
            if let Some(row) = self.row(&Key::Alarm(alarm)).await? {
                take(&mut fresh, &row)?;
            }
        }
        fresh.trim();
        self.texts.forget();
        self.write(|seen| *seen = fresh);
        Ok(position)
    }

    /// Something of the state with the values that `refs` names for it. The state may move between the two; then the
    /// rest is fetched too.
    pub(crate) async fn with<T>(
        &self,
        refs: impl Fn(&Seen) -> Vec<domain::text::Ref>,
        make: impl Fn(&Seen, &Values) -> T,
    ) -> ledger::Result<T> {
        let mut values = Values::new();
        for _ in 0..ROUNDS {
            let wanted = {
                let seen = self.read();
                let mut wanted = refs(&seen);
                wanted.retain(|r| !values.contains_key(r));
                if wanted.is_empty() {
                    return Ok(make(&seen, &values));
                }
                wanted
            };
            self.texts.open(&wanted, &mut values).await?;
        }
        // It moves faster than it can be read: the newest texts are shown as empty once.
        Ok(make(&self.read(), &values))
    }

    /// One aggregate as `audience` may see it, from memory or, when memory has forgotten it, from its document.
    pub(crate) async fn view(&self, audience: &Audience, key: &Key) -> Result<Option<feed::State>, GatewayError> {
        if access::sees(audience, &self.read().state, key) != Sight::Hidden {
            let refs = |seen: &Seen| view::refs_of_state(&seen.state, key);
            return Ok(self.with(refs, |seen, values| seen.view(audience, key, values)).await?);
        }
        if self.sight(audience, key).await? == Sight::Hidden {
            return Ok(None);
        }
        match self.row(key).await? {
            Some(row) => self.view_row(audience, key, &row).await,
            None => Ok(None),
        }
    }

    /// What `audience` sees of an aggregate, also of one that memory has forgotten.
    pub(crate) async fn sight(&self, audience: &Audience, key: &Key) -> Result<Sight, GatewayError> {
        let sight = |state: &State| Some(access::sees(audience, state, key));
        Ok(self.find(key, sight).await?.unwrap_or(Sight::Hidden))
    }

    /// What `get` finds of an aggregate, in memory or, when memory has forgotten it, in its document.
    pub(crate) async fn find<T>(
        &self,
        key: &Key,
        get: impl Fn(&State) -> Option<T>,
    ) -> Result<Option<T>, GatewayError> {
        if self.read().holds(key) {
            return Ok(get(&self.read().state));
        }
        match self.row(key).await? {
            Some(row) => Ok(get(&self.alone(&row)?.state)),
            None => Ok(None),
        }
    }

    async fn row(&self, key: &Key) -> ledger::Result<Option<DocumentRow>> {
        let (kind, id) = key.parts();
        self.store.document(kind, &row_id(id)).await
    }

    /// A document as `audience` may see it.
    pub(crate) async fn view_row(
        &self,
        audience: &Audience,
        key: &Key,
        row: &DocumentRow,
    ) -> Result<Option<feed::State>, GatewayError> {
        let mut alone = self.alone(row)?;
        self.add_alarms(&mut alone).await?;
        let mut values = Values::new();
        self.texts.open(&view::refs_of_state(&alone.state, key), &mut values).await?;
        Ok(alone.view(audience, key, &values))
    }

    /// The alarms behind an incident, whose pictures are shown with it.
    async fn add_alarms(&self, alone: &mut Seen) -> Result<(), GatewayError> {
        for id in alone.state.missing_alarms() {
            let held = self.read().state.alarms.get(&id).cloned();
            if let Some(alarm) = held {
                alone.state.alarms.insert(id, alarm);
            } else if let Some(row) = self.row(&Key::Alarm(id)).await? {
                take(alone, &row)?;
            }
        }
        Ok(())
    }

    /// The documents of alarms that an incident's names and memory lacks.
    pub(crate) async fn alarms_of(&self, row: &DocumentRow) -> Result<Vec<DocumentRow>, GatewayError> {
        // What cannot be read is told where it is taken.
        let mut missing = self.alone(row).map(|alone| alone.state.missing_alarms()).unwrap_or_default();
        missing.retain(|id| !self.read().state.alarms.contains_key(id));
        let mut rows = Vec::new();
        for id in missing {
            rows.extend(self.row(&Key::Alarm(id)).await?);
        }
        Ok(rows)
    }

    /// A state that holds the site, the accounts and one document.
    pub(crate) fn alone(&self, row: &DocumentRow) -> Result<Seen, GatewayError> {
        let mut alone = Seen::default();
        {
            let seen = self.read();
            alone.state.site = seen.state.site.clone();
            alone.state.accounts = seen.state.accounts.clone();
        }
        take(&mut alone, row)?;
        Ok(alone)
    }
}

/// Single documents have no id of their own; the ledger wants one.
pub(crate) fn row_id(id: String) -> String {
    if id.is_empty() { "-".to_owned() } else { id }
}

/// Name of an aggregate's stream of events.
pub(crate) fn stream(key: &Key) -> String {
    let (kind, id) = key.parts();
    if id.is_empty() { kind.to_owned() } else { format!("{kind}/{id}") }
}

/// Takes a document into a state.
pub(crate) fn take(seen: &mut Seen, row: &DocumentRow) -> Result<(), GatewayError> {
    let id = if row.id == "-" { "" } else { &row.id };
    wire::document::load(&mut seen.state, &row.kind, id, &row.payload)
        .map_err(|source| GatewayError::Stored { what: format!("document {}/{id}", row.kind), source })?;
    if let Some(key) = Key::parse(&row.kind, id) {
        seen.revs.insert(key, row.rev_seq);
    }
    Ok(())
}

/// Reads an event of the log.
pub(crate) fn read_event(stored: &ledger::StoredEvent) -> Result<Event, GatewayError> {
    let e = &stored.event;
    wire::event::decode(&e.kind, e.version, &e.payload)
        .map_err(|source| GatewayError::Stored { what: format!("event {}", stored.seq), source })
}

/// The document of the event's own aggregate, where the message brings it.
pub(crate) fn document_of<'a>(published: &'a Published, key: &Key) -> Option<&'a DocumentRow> {
    let (kind, id) = key.parts();
    let id = row_id(id);
    published.documents.iter().find(|d| d.kind == kind && d.id == id && !d.deleted)
}

#[cfg(test)]
mod tests {
    use domain::ids::IncidentId;

    use super::*;

    #[test]
    fn revisions_of_what_is_forgotten_are_forgotten() {
        let mut seen = Seen { head: Some(Position { log_id: 1, seq: 99_999 }), ..Seen::default() };
        seen.revs.insert(Key::Site, 1);
        for n in 0..10_000 {
            seen.revs.insert(Key::Incident(IncidentId(n)), n + 2);
            seen.trim();
            assert!(seen.revs.len() <= SPARE_REVS, "{n}");
        }
        assert_eq!((seen.rev(&Key::Site), seen.rev(&Key::Incident(IncidentId(3)))), (1, 0));
        assert_eq!(seen.last_rev(&Key::Incident(IncidentId(3))), 99_999, "newer than what anybody holds of it");
    }
}
