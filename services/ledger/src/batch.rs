//! The unit of commit, its limits, and what of it goes to the bus.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    BlobId, DocumentRow, EventRow, Head, KeyRow, LedgerError, OutboxRow, Published, Result, StoredEvent,
    TelemetryBatch, VaultRow, limits,
    model::{key, name},
};

/// Everything that one commit stores. All of it or nothing.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where the writer believes the log to be.
    pub expect: Head,
    /// In order.
    pub events: Vec<EventRow>,
    /// Of several rows for one document the last wins.
    pub documents: Vec<DocumentRow>,
    /// New values.
    pub vault: Vec<VaultRow>,
    /// Subjects whose keys are destroyed; must not also get values in this batch (their order would be lost).
    pub erase: Vec<String>,
    /// New deliveries.
    pub outbox: Vec<OutboxRow>,
    /// Deliveries that are over, also when they are gone already.
    pub outbox_done: Vec<u64>,
    /// Inputs taken by this batch.
    pub keys: Vec<KeyRow>,
    /// Blobs that an event of this batch names: from now on they stay.
    pub blobs_used: Vec<BlobId>,
}

impl Batch {
    /// An empty batch after `expect`.
    pub fn new(expect: Head) -> Self {
        Self {
            expect,
            events: Vec::new(),
            documents: Vec::new(),
            vault: Vec::new(),
            erase: Vec::new(),
            outbox: Vec::new(),
            outbox_done: Vec::new(),
            keys: Vec::new(),
            blobs_used: Vec::new(),
        }
    }

    /// The head after this batch.
    pub fn after(&self) -> Head {
        Head { seq: self.expect.seq + self.events.len() as u64, ..self.expect }
    }

    /// What to hand to the bus once the batch is stored: each event with the documents whose revision it is.
    pub fn into_published(self) -> Vec<Arc<Published>> {
        let log_id = self.expect.log_id;
        let mut documents: HashMap<u64, Vec<DocumentRow>> = HashMap::new();
        for mut document in self.documents {
            if document.deleted {
                (document.open, document.payload) = (false, Bytes::new());
            }
            documents.entry(document.rev_seq).or_default().push(document);
        }
        let events = (self.expect.seq + 1..).zip(self.events);
        events
            .map(|(seq, event)| {
                let documents = documents.remove(&seq).unwrap_or_default();
                Arc::new(Published { log_id, event: StoredEvent { seq, event }, documents })
            })
            .collect()
    }

    /// Checks the limits; every backend calls it first.
    pub fn check(&self) -> Result<()> {
        self.check_sizes()?;
        for e in &self.events {
            name("event kind", &e.kind)?;
            name("event stream", &e.stream)?;
        }
        for d in &self.documents {
            self.check_document(d)?;
        }
        let erased: HashSet<_> = self.erase.iter().collect();
        for v in &self.vault {
            name("vault subject", &v.subject)?;
            if erased.contains(&v.subject) {
                return Err(LedgerError::invalid("erase", "a subject cannot be written and erased in one batch"));
            }
        }
        for subject in &self.erase {
            name("erased subject", subject)?;
        }
        for o in &self.outbox {
            name("outbox kind", &o.kind)?;
            name("outbox target", &o.target)?;
        }
        self.keys.iter().try_for_each(|k| k.key.check())
    }

    fn check_document(&self, d: &DocumentRow) -> Result<()> {
        name("document kind", &d.kind)?;
        name("document id", &d.id)?;
        if d.rev_seq == 0 || d.rev_seq > self.after().seq {
            return Err(LedgerError::invalid("document rev_seq", "names no event of the log"));
        }
        if d.columns.units.len() > limits::UNITS {
            return Err(LedgerError::invalid("document units", format!("more than {}", limits::UNITS)));
        }
        if d.columns.refs.len() > limits::REFS {
            return Err(LedgerError::invalid("document refs", format!("more than {}", limits::REFS)));
        }
        d.columns.refs.iter().flat_map(|(role, id)| [role, id]).try_for_each(|n| name("document ref", n))?;
        let optional = [&d.columns.stage, &d.columns.grid];
        optional.into_iter().flatten().chain(&d.columns.units).try_for_each(|n| name("document column", n))
    }

    fn check_sizes(&self) -> Result<()> {
        let lists = [
            ("events", self.events.len()),
            ("documents", self.documents.len()),
            ("vault", self.vault.len()),
            ("erase", self.erase.len()),
            ("outbox", self.outbox.len()),
            ("outbox_done", self.outbox_done.len()),
            ("keys", self.keys.len()),
            ("blobs_used", self.blobs_used.len()),
        ];
        if let Some((what, _)) = lists.into_iter().find(|(_, n)| *n > limits::ROWS) {
            return Err(LedgerError::invalid(what, format!("more than {} rows", limits::ROWS)));
        }
        let sizes = (self.events.iter().map(|e| e.payload.len()))
            .chain(self.documents.iter().map(|d| d.payload.len()))
            .chain(self.vault.iter().flat_map(|v| [v.full.expose().len(), v.masked.expose().len()]))
            .chain(self.outbox.iter().map(|o| o.payload.len()))
            .chain(self.keys.iter().map(|k| k.outcome.len()));
        let refs = self.documents.iter().flat_map(|d| &d.columns.refs);
        let mut total = refs.map(|(role, id)| role.len() + id.len()).sum::<usize>();
        for size in sizes {
            if size > limits::PAYLOAD {
                return Err(LedgerError::invalid("payload", format!("more than {} bytes", limits::PAYLOAD)));
            }
            total += size;
        }
        if total > limits::BATCH_BYTES {
            return Err(LedgerError::invalid("batch", format!("more than {} bytes", limits::BATCH_BYTES)));
        }
        Ok(())
    }
}

impl TelemetryBatch {
    /// Checks the limits; every backend calls it first.
    pub fn check(&self) -> Result<()> {
        if self.readings.len() > limits::READINGS {
            return Err(LedgerError::invalid("telemetry batch", format!("more than {} values", limits::READINGS)));
        }
        let most = self.pending.len().max(self.strangers.len());
        if most > limits::ROWS || self.rule_states.len() > limits::READINGS {
            return Err(LedgerError::invalid("telemetry batch", format!("more than {} rows", limits::ROWS)));
        }
        for r in &self.readings {
            name("sensor", &r.sensor)?;
            r.unit.iter().try_for_each(|u| name("unit", u))?;
            if !r.value.is_finite() {
                return Err(LedgerError::invalid("value", "is not a finite number"));
            }
        }
        for r in &self.rule_states {
            name("sensor", &r.sensor)?;
            name("rule", &r.rule)?;
        }
        self.pending.iter().try_for_each(|p| key(&p.key))?;
        for s in &self.strangers {
            name("device", &s.device)?;
            name("format", &s.format)?;
        }
        let payloads =
            self.rule_states.iter().map(|r| r.state.len()).chain(self.pending.iter().map(|p| p.payload.len()));
        if payloads.max().unwrap_or(0) > limits::PAYLOAD {
            return Err(LedgerError::invalid("payload", format!("more than {} bytes", limits::PAYLOAD)));
        }
        Ok(())
    }
}
