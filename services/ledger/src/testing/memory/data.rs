//! What a memory ledger holds, and the changes to it: each is whole or refused.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

use crate::{
    Batch, Credential, DocumentRow, DueRow, Head, InputKey, KeyRow, LedgerError, Opened, OutboxRow, Query, Result,
    Secret, Session, StoredEvent, StoredOutbox, Tally, TallyBy, limits,
    rows::{check_head, last_documents, sort_key},
};

/// Kind, then the order of ids.
type DocumentKey = (String, String);

struct Value {
    subject: String,
    /// Gone once its subject was erased.
    open: Option<(Secret, Secret)>,
}

pub(super) struct Data {
    rng: StdRng,
    secret: [u8; 32],
    pub(super) head: Head,
    pub(super) events: Vec<StoredEvent>,
    documents: BTreeMap<DocumentKey, DocumentRow>,
    vault: BTreeMap<u64, Value>,
    pub(super) erased: Vec<(String, u64)>,
    pub(super) outbox: BTreeMap<u64, StoredOutbox>,
    outbox_next: u64,
    pub(super) keys: BTreeMap<InputKey, KeyRow>,
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) sessions: BTreeMap<[u8; 32], Session>,
}

impl Data {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let head = Head { log_id: rng.random_range(1..1 << 53), seq: 0, term: 0 };
        Self {
            secret: rng.random(),
            rng,
            head,
            events: Vec::new(),
            documents: BTreeMap::new(),
            vault: BTreeMap::new(),
            erased: Vec::new(),
            outbox: BTreeMap::new(),
            outbox_next: 1,
            keys: BTreeMap::new(),
            credentials: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub(super) fn request_hash(&self, body: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.secret).chain_update(body).finalize().into()
    }

    pub(super) fn open_writer(&mut self) -> Head {
        self.head.term += 1;
        self.head
    }

    pub(super) fn renew(&mut self) -> Head {
        self.head.log_id = self.rng.random_range(1..1 << 53);
        self.open_writer()
    }

    /// Everything is checked before anything is changed.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<Head> {
        batch.check()?;
        check_head(batch.expect, self.head)?;
        if !batch.blobs_used.is_empty() {
            return Err(LedgerError::invalid("blobs_used", "names no stored blob"));
        }
        let twice = |what| Err(LedgerError::Conflict { what });
        let mut ids: Vec<u64> = batch.vault.iter().map(|v| v.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|w| w.first() == w.last()) || ids.iter().any(|id| self.vault.contains_key(id)) {
            return twice("a vault id");
        }
        let mut keys: Vec<&InputKey> = batch.keys.iter().map(|k| &k.key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|w| w.first() == w.last()) || keys.iter().any(|k| self.keys.contains_key(*k)) {
            return twice("an idempotency key");
        }
        self.store(batch);
        Ok(self.head)
    }

    fn store(&mut self, batch: &Batch) {
        for event in &batch.events {
            self.head.seq += 1;
            self.events.push(StoredEvent { seq: self.head.seq, event: event.clone() });
        }
        for row in last_documents(&batch.documents) {
            let mut row = row.clone();
            if row.deleted {
                (row.open, row.payload) = (false, Bytes::new());
            }
            self.documents.insert((row.kind.clone(), sort_key(&row.id)), row);
        }
        for row in &batch.vault {
            let open = Some((row.full.clone(), row.masked.clone()));
            self.vault.insert(row.id, Value { subject: row.subject.clone(), open });
        }
        for subject in &batch.erase {
            self.vault.values_mut().filter(|v| v.subject == *subject).for_each(|v| v.open = None);
            if !self.erased.iter().any(|(s, _)| s == subject) {
                self.erased.push((subject.clone(), self.head.seq));
            }
        }
        for row in &batch.outbox {
            self.deliver(row.clone());
        }
        for id in &batch.outbox_done {
            self.outbox.remove(id);
        }
        self.keys.extend(batch.keys.iter().map(|k| (k.key.clone(), k.clone())));
    }

    fn deliver(&mut self, row: OutboxRow) {
        let (id, seq) = (self.outbox_next, self.head.seq);
        self.outbox_next += 1;
        self.outbox.insert(id, StoredOutbox { id, seq, attempts: 0, last_error: None, row });
    }

    pub(super) fn tail(&self, stream: Option<&str>, after: u64, limit: usize) -> Vec<StoredEvent> {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.events.len());
        let events = self.events.get(from..).unwrap_or_default().iter();
        let of = events.filter(|e| stream.is_none_or(|s| e.event.stream == s));
        of.take(limit.min(limits::PAGE)).cloned().collect()
    }

    pub(super) fn snapshot(&self, kinds: &[&str], ended: usize) -> Vec<DocumentRow> {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        // Newest first, so that the bound keeps them.
        let wanted = |d: &&DocumentRow| !d.deleted && kinds.contains(&&*d.kind);
        let mut found: Vec<_> = (self.documents.values().rev().filter(wanted))
            .filter(|d| {
                let left = left.entry(&d.kind).or_insert(ended);
                let kept = d.open || *left > 0;
                *left -= usize::from(kept && !d.open);
                kept
            })
            .cloned()
            .collect();
        found.reverse();
        found
    }

    pub(super) fn document(&self, kind: &str, id: &str) -> Option<DocumentRow> {
        self.documents.get(&(kind.to_owned(), sort_key(id))).filter(|d| !d.deleted).cloned()
    }

    pub(super) fn documents(&self, q: &Query) -> Vec<DocumentRow> {
        self.found(q).take(q.limit.min(limits::PAGE)).cloned().collect()
    }

    /// All that a query selects, newest id first.
    fn found<'a>(&'a self, q: &'a Query) -> impl Iterator<Item = &'a DocumentRow> {
        let before = q.before.as_deref().map(sort_key);
        let wanted = move |((_, sort), d): &(&DocumentKey, &DocumentRow)| {
            let c = &d.columns;
            !d.deleted
                && d.kind == q.kind
                && q.open.is_none_or(|o| d.open == o)
                && q.stage.as_ref().is_none_or(|s| c.stage.as_ref() == Some(s))
                && q.grid.as_ref().is_none_or(|g| c.grid.as_ref() == Some(g))
                && q.unit.as_ref().is_none_or(|u| c.units.contains(u))
                && q.from_ms.is_none_or(|t| c.at_ms >= t)
                && q.until_ms.is_none_or(|t| c.at_ms < t)
                && q.refs.iter().all(|r| c.refs.contains(r))
                && before.as_ref().is_none_or(|b| *sort < *b)
        };
        self.documents.iter().rev().filter(wanted).map(|(_, d)| d)
    }

    pub(super) fn tally(&self, tally: &Tally) -> Vec<(Option<String>, u64)> {
        let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();
        for d in self.found(&tally.of) {
            let c = &d.columns;
            let groups: BTreeSet<_> = match &tally.by {
                TallyBy::Grid => BTreeSet::from([c.grid.clone()]),
                TallyBy::Level => BTreeSet::from([c.level.map(|l| l.to_string())]),
                TallyBy::Stage => BTreeSet::from([c.stage.clone()]),
                TallyBy::Ref(role) => {
                    c.refs.iter().filter(|(r, _)| r == role).map(|(_, id)| Some(id.clone())).collect()
                }
            };
            groups.into_iter().for_each(|g| *counts.entry(g).or_default() += 1);
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| (a.is_none(), a).cmp(&(b.is_none(), b))));
        counts.truncate(tally.of.limit.min(limits::PAGE));
        counts
    }

    pub(super) fn due(&self, now_ms: i64, limit: usize) -> Vec<DueRow> {
        let row = |d: &DocumentRow| {
            let due_ms = d.columns.due_ms.filter(|due| !d.deleted && *due <= now_ms)?;
            Some(DueRow { kind: d.kind.clone(), id: d.id.clone(), due_ms })
        };
        let mut found: Vec<_> = self.documents.values().filter_map(row).collect();
        // Stable: kind and id stay in order within a time.
        found.sort_by_key(|d| d.due_ms);
        found.truncate(limit.min(limits::PAGE));
        found
    }

    pub(super) fn documents_between(&self, after: u64, upto: u64) -> Vec<DocumentRow> {
        let wanted = |d: &&DocumentRow| d.rev_seq > after && d.rev_seq <= upto;
        let mut found: Vec<_> = self.documents.values().filter(wanted).cloned().collect();
        // Stable: kind and id stay in order within a revision.
        found.sort_by_key(|d| d.rev_seq);
        found
    }

    pub(super) fn open(&self, ids: &[u64]) -> Vec<(u64, Opened)> {
        let open = |id: &u64| match self.vault.get(id) {
            None => Opened::Missing,
            Some(Value { open: None, .. }) => Opened::Erased,
            Some(Value { open: Some((full, masked)), .. }) => {
                Opened::Value { full: full.clone(), masked: masked.clone() }
            }
        };
        ids.iter().map(|id| (*id, open(id))).collect()
    }

    pub(super) fn put_session(&mut self, session: &Session) {
        let mut held: Vec<_> = self.sessions.values().filter(|s| s.account == session.account).collect();
        held.sort_by_key(|s| std::cmp::Reverse(s.last_seen_ms));
        let over: Vec<_> = held.iter().skip(limits::SESSIONS - 1).map(|s| s.token_hash).collect();
        over.iter().for_each(|hash| drop(self.sessions.remove(hash)));
        self.sessions.insert(session.token_hash, session.clone());
    }
}
