//! Turns decisions into one ledger batch: events in order, the documents they leave behind, sealed values, outbox rows
//! and keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{
    Decision, State,
    erasure::ErasureEvent,
    event::{Body, Event, Key, Mode},
    input::Outgoing,
    text::Secret,
    thing::Index,
};
use ledger::{Batch, DocumentRow, EventRow, Head, KeyRow, OutboxRow, VaultRow};

/// A batch in the making. `state` has the events applied already when [`Collector::finish`] is called.
pub(crate) struct Collector {
    batch: Batch,
    touched: BTreeMap<Key, u64>,
}

impl Collector {
    pub(crate) fn new(head: Head) -> Self {
        Self { batch: Batch::new(head), touched: BTreeMap::new() }
    }

    pub(crate) fn events(&self) -> usize {
        self.batch.events.len()
    }

    /// Head after what was collected so far.
    pub(crate) fn head(&self) -> Head {
        self.batch.after()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.events.is_empty() && self.batch.outbox_done.is_empty()
    }

    /// Whether what was collected changes how a device logs in.
    pub(crate) fn moves_credentials(&self) -> bool {
        self.touched.keys().any(|key| matches!(key, Key::Credential(_)))
    }

    pub(crate) fn settle(&mut self, outbox: &[u64]) {
        self.batch.outbox_done.extend_from_slice(outbox);
    }

    pub(crate) fn key(&mut self, row: KeyRow) {
        self.batch.keys.push(row);
    }

    /// Takes a decision and applies it to `state`.
    pub(crate) fn take(&mut self, state: &mut State, decision: Decision, now_ms: i64) {
        for event in decision.events {
            state.apply(&event);
            self.event(&event);
        }
        self.batch.vault.extend(decision.secrets.iter().map(vault_row));
        self.batch.outbox.extend(decision.outgoing.iter().map(|o| outbox_row(o, now_ms)));
    }

    fn event(&mut self, event: &Event) {
        let key = event.body.key();
        if let Body::Erasures(ErasureEvent::Erased { subject }) = &event.body {
            self.batch.erase.push(subject.to_string());
        }
        let named = event.body.blobs().into_iter();
        self.batch.blobs_used.extend(named.filter_map(|b| ledger::BlobId::parse(b.as_str())));
        self.batch.events.push(EventRow {
            at_ms: event.at.0,
            kind: event.body.name().to_owned(),
            version: wire::event::VERSION,
            stream: stream(&key),
            mode: mode(event.mode),
            payload: Bytes::from(wire::event::encode(event)),
        });
        self.touched.insert(key, self.batch.after().seq);
    }

    /// The batch, with the documents as `state` has them now.
    pub(crate) fn finish(mut self, state: &State) -> Batch {
        let last = self.batch.after().seq;
        for (key, rev) in &self.touched {
            let (Some(payload), Some(index)) = (wire::document::encode(state, key), state.index(key)) else { continue };
            let (kind, id) = row_id(key);
            self.batch.documents.push(document(kind, id, *rev, payload, &index));
        }
        if !self.touched.is_empty() {
            let payload = wire::document::counters(state);
            let row = document(wire::document::COUNTERS, "-".to_owned(), last, payload, &Index::default());
            self.batch.documents.push(row);
        }
        self.batch
    }
}

/// Kind and id of a document's row. Single documents have no id; the ledger wants one.
pub(crate) fn row_id(key: &Key) -> (&'static str, String) {
    let (kind, id) = key.parts();
    (kind, if id.is_empty() { "-".to_owned() } else { id })
}

fn document(kind: &str, id: String, rev: u64, payload: Vec<u8>, index: &Index) -> DocumentRow {
    DocumentRow {
        kind: kind.to_owned(),
        id,
        rev_seq: rev,
        deleted: false,
        open: index.open,
        columns: crate::columns::of(index),
        payload: Bytes::from(payload),
    }
}

/// Name of an aggregate's stream.
pub(crate) fn stream(key: &Key) -> String {
    let (kind, id) = key.parts();
    if id.is_empty() { kind.to_owned() } else { format!("{kind}/{id}") }
}

const fn mode(mode: Mode) -> u8 {
    match mode {
        Mode::Real => 0,
        Mode::Exercise => 1,
        Mode::Test => 2,
    }
}

fn vault_row(secret: &Secret) -> VaultRow {
    VaultRow {
        id: secret.id.0,
        subject: secret.subject.to_string(),
        full: secret.value.as_str().into(),
        masked: secret.masked().into(),
    }
}

fn outbox_row(outgoing: &Outgoing, now_ms: i64) -> OutboxRow {
    let (kind, target, due_ms) = match outgoing {
        Outgoing::Push { unit, .. } => ("push", unit.to_string(), now_ms),
        Outgoing::Recall { unit, .. } => ("recall", unit.to_string(), now_ms),
        Outgoing::Sms { .. } => ("sms", "sms".to_owned(), now_ms),
        // A clip is cut when its last moment has come.
        Outgoing::Clip { camera, to, .. } => ("clip", camera.to_string(), to.0),
    };
    OutboxRow { kind: kind.to_owned(), target, payload: Bytes::from(wire::outgoing::encode(outgoing)), due_ms }
}
