//! The log and its documents.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::noop_waker_ref;

use super::{Backend, append, document, event};
use crate::{
    Batch, BlobId, Columns, DocumentRow, InputKey, KeyRow, LedgerError, Opened, OutboxRow, Query, Secret, Store,
    VaultRow, limits,
};

fn key_row(store: &dyn Store, key: &str, body: &[u8]) -> KeyRow {
    KeyRow {
        key: InputKey::new("mqtt", key),
        request_hash: store.request_hash(body),
        outcome: Bytes::from_static(b"ref"),
        at_ms: 1_000,
    }
}

fn ids(documents: &[DocumentRow]) -> Vec<&str> {
    documents.iter().map(|d| &*d.id).collect()
}

/// Terms and ids of a fresh log.
pub async fn a_new_log_is_empty_and_terms_rise(backend: &dyn Backend) {
    let store = backend.open().await;
    store.ping().await.unwrap();
    let head = store.head().await.unwrap();
    assert!(head.seq == 0 && head.term == 0 && head.log_id > 0 && head.log_id < 1 << 53, "{head:?}");
    assert!(store.tail(0, 10).await.unwrap().is_empty());
    for term in 1..=3 {
        let opened = store.open_writer().await.unwrap();
        assert_eq!((opened.log_id, opened.seq, opened.term), (head.log_id, 0, term));
    }
    assert_eq!(backend.open().await.head().await.unwrap().term, 3);
}

/// Sequence numbers, pages, streams.
pub async fn events_are_in_order_without_gaps(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut head = store.open_writer().await.unwrap();
    let mut sent = Vec::new();
    for batch in 0..5 {
        let events: Vec<_> = (0..batch)
            .map(|n| event(if n % 2 == 0 { "incident/1" } else { "incident/2" }, &format!("{batch}-{n}")))
            .collect();
        sent.extend(events.clone());
        head = append(&*store, head, events).await;
    }
    assert_eq!(head.seq, 10);
    assert_eq!(head, backend.open().await.head().await.unwrap());
    let mut seen = Vec::new();
    while let Some(last) = Some(store.tail(seen.len() as u64, 3).await.unwrap()).filter(|page| !page.is_empty()) {
        assert!(last.len() <= 3);
        for stored in last {
            assert_eq!(stored.seq, seen.len() as u64 + 1);
            seen.push(stored.event);
        }
    }
    assert_eq!(seen, sent);
    let stream = store.stream_tail("incident/2", 3, 100).await.unwrap();
    let expected: Vec<_> =
        (1..).zip(&sent).filter(|(s, e)| *s > 3 && e.stream == "incident/2").map(|(s, _)| s).collect();
    assert_eq!(stream.iter().map(|e| e.seq).collect::<Vec<_>>(), expected);
    assert_eq!(store.stream_tail("incident/2", 3, 1).await.unwrap().len(), 1);
    assert!(store.tail(u64::MAX, 10).await.unwrap().is_empty());
}

/// Two writers.
pub async fn a_stale_writer_is_fenced(backend: &dyn Backend) {
    let (old, new) = (backend.open().await, backend.open().await);
    let stale = old.open_writer().await.unwrap();
    let stale = append(&*old, stale, vec![event("a/1", "before")]).await;
    let fresh = new.open_writer().await.unwrap();
    let refused = old.append(&Batch { events: vec![event("a/1", "late")], ..Batch::new(stale) }).await;
    assert!(matches!(refused, Err(LedgerError::Fenced { actual, .. }) if actual == fresh), "{refused:?}");
    assert_eq!(new.head().await.unwrap(), fresh);
    let head = append(&*new, fresh, vec![event("a/1", "after")]).await;
    assert_eq!(head.seq, 2);
    let refused = old.append(&Batch::new(stale)).await;
    assert!(matches!(refused, Err(LedgerError::Fenced { .. })), "an empty batch is fenced too: {refused:?}");
}

/// One writer with an old belief.
pub async fn a_moved_head_is_refused(backend: &dyn Backend) {
    let store = backend.open().await;
    let first = store.open_writer().await.unwrap();
    let second = append(&*store, first, vec![event("a/1", "x")]).await;
    let refused = store.append(&Batch { events: vec![event("a/1", "y")], ..Batch::new(first) }).await;
    assert!(matches!(refused, Err(LedgerError::HeadMoved { actual, .. }) if actual == second), "{refused:?}");
    append(&*store, second, vec![event("a/1", "y")]).await;
}

fn full_batch(store: &dyn Store, head: crate::Head, key: &str) -> Batch {
    let seq = head.seq + 1;
    Batch {
        events: vec![event("incident/1", "opened")],
        documents: vec![document("incident", &format!("{seq}"), seq)],
        vault: vec![VaultRow { id: seq, subject: "person/1".into(), full: "name".into(), masked: "n**".into() }],
        outbox: vec![OutboxRow { kind: "sms".into(), target: "t".into(), payload: Bytes::new(), due_ms: 0 }],
        keys: vec![key_row(store, key, b"body")],
        ..Batch::new(head)
    }
}

async fn assert_untouched(store: &dyn Store, head: crate::Head) {
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.tail(0, 100).await.unwrap().len() as u64, head.seq);
    assert_eq!(store.snapshot(&["incident"], usize::MAX).await.unwrap().1.len() as u64, head.seq);
    assert_eq!(store.outbox_waiting().await.unwrap(), head.seq);
    assert_eq!(store.open(&[head.seq + 1]).await.unwrap(), [(head.seq + 1, Opened::Missing)]);
}

/// A refusal late in the batch leaves nothing of its beginning.
pub async fn a_batch_is_stored_whole_or_not_at_all(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let head = store.append(&full_batch(&*store, head, "k1")).await.unwrap();
    assert_eq!(store.head().await.unwrap(), head);

    let known = store.append(&full_batch(&*store, head, "k1")).await;
    assert!(matches!(known, Err(LedgerError::Conflict { what: "an idempotency key" })), "{known:?}");
    assert_untouched(&*store, head).await;

    let mut batch = full_batch(&*store, head, "k2");
    batch.blobs_used = vec![BlobId::parse(&"0f".repeat(16)).unwrap()];
    let unknown = store.append(&batch).await;
    assert!(matches!(unknown, Err(LedgerError::Invalid { what: "blobs_used", .. })), "{unknown:?}");
    assert_untouched(&*store, head).await;

    let mut batch = full_batch(&*store, head, "k2");
    batch.vault[0].id = 1;
    let twice = store.append(&batch).await;
    assert!(matches!(twice, Err(LedgerError::Conflict { what: "a vault id" })), "{twice:?}");
    assert_untouched(&*store, head).await;

    let head = store.append(&full_batch(&*store, head, "k2")).await.unwrap();
    assert_eq!(head.seq, 2);
}

/// Idempotency keys.
pub async fn keys_are_found_kept_and_expire(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let (first, mut second) = (key_row(&*store, "1", b"one"), key_row(&*store, "2", b"two"));
    second.at_ms = 2_000;
    let keys = vec![first.clone(), second.clone()];
    store.append(&Batch { keys, ..Batch::new(head) }).await.unwrap();
    let ask = [InputKey::new("mqtt", "2"), InputKey::new("other", "1"), InputKey::new("mqtt", "1")];
    let again = backend.open().await;
    let mut found = again.keys(&ask).await.unwrap();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(found, [first, second.clone()]);
    assert_eq!(again.request_hash(b"two"), second.request_hash, "the secret is the ledger's, not the process's");
    assert_ne!(again.request_hash(b"two!"), second.request_hash);
    assert!(again.keys(&[]).await.unwrap().is_empty());
    assert_eq!(store.expire_keys(2_000).await.unwrap(), 1);
    assert_eq!(store.keys(&ask).await.unwrap(), [second]);
}

/// Lists.
pub async fn documents_are_filtered_and_paged(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut head = store.open_writer().await.unwrap();
    for n in 1..=12_u64 {
        let mut d = document("incident", &n.to_string(), n);
        d.open = n % 3 != 0;
        d.columns = Columns {
            level: Some(1),
            stage: Some(if n % 2 == 0 { "open" } else { "closed" }.into()),
            units: if n > 6 { vec!["fire".into(), "property".into()] } else { vec!["grid".into()] },
            grid: (n == 5).then(|| "53062100101".into()),
            at_ms: 1_000 * i64::try_from(n).unwrap(),
            ..Columns::default()
        };
        let batch = Batch { events: vec![event("incident/1", "x")], documents: vec![d], ..Batch::new(head) };
        head = store.append(&batch).await.unwrap();
    }
    let query = |q: Query| {
        let store = store.clone();
        async move { ids(&store.documents(&q).await.unwrap()).join(" ") }
    };
    let base = Query { kind: "incident".into(), limit: 5, ..Query::default() };
    assert_eq!(query(base.clone()).await, "12 11 10 9 8");
    assert_eq!(query(Query { before: Some("8".into()), ..base.clone() }).await, "7 6 5 4 3");
    assert_eq!(query(Query { open: Some(false), ..base.clone() }).await, "12 9 6 3");
    assert_eq!(query(Query { open: Some(true), before: Some("11".into()), ..base.clone() }).await, "10 8 7 5 4");
    assert_eq!(query(Query { stage: Some("open".into()), limit: 2, ..base.clone() }).await, "12 10");
    assert_eq!(query(Query { unit: Some("grid".into()), ..base.clone() }).await, "6 5 4 3 2");
    assert_eq!(query(Query { unit: Some("fire".into()), before: Some("9".into()), ..base.clone() }).await, "8 7");
    assert_eq!(query(Query { grid: Some("53062100101".into()), ..base.clone() }).await, "5");
    assert_eq!(query(Query { from_ms: Some(3_000), until_ms: Some(5_000), ..base.clone() }).await, "4 3");
    assert_eq!(query(Query { kind: "task".into(), ..base.clone() }).await, "");

    let mut moved = document("incident", "7", head.seq);
    moved.columns.units = vec!["grid".into()];
    let older = document("incident", "7", head.seq - 1);
    store.append(&Batch { documents: vec![older, moved.clone()], ..Batch::new(head) }).await.unwrap();
    assert_eq!(store.document("incident", "7").await.unwrap(), Some(moved), "the last row of a batch wins");
    assert_eq!(query(Query { unit: Some("grid".into()), limit: 1, ..base.clone() }).await, "7");
    assert_eq!(query(Query { unit: Some("fire".into()), before: Some("9".into()), ..base }).await, "8");
}

/// Tombstones.
pub async fn deleted_documents_are_hidden_but_told(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let batch = Batch {
        events: vec![event("p/1", "x"), event("p/2", "x")],
        documents: vec![document("p", "1", 1), document("p", "2", 2)],
        ..Batch::new(head)
    };
    let head = store.append(&batch).await.unwrap();
    let gone = DocumentRow { deleted: true, ..document("p", "1", 3) };
    let batch = Batch { events: vec![event("p/1", "gone")], documents: vec![gone], ..Batch::new(head) };
    store.append(&batch).await.unwrap();
    assert_eq!(store.document("p", "1").await.unwrap(), None);
    assert_eq!(ids(&store.snapshot(&["p"], usize::MAX).await.unwrap().1), ["2"]);
    assert_eq!(ids(&store.documents(&Query { kind: "p".into(), limit: 9, ..Query::default() }).await.unwrap()), ["2"]);
    let told = store.documents_between(1, 3).await.unwrap();
    assert_eq!(ids(&told), ["2", "1"]);
    assert!(told[1].deleted && !told[1].open && told[1].payload.is_empty());
    assert_eq!(ids(&store.documents_between(2, 3).await.unwrap()), ["1"]);
}

/// What ended long ago is left out.
pub async fn a_snapshot_holds_what_is_open_and_the_newest_that_ended(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let ended = |kind: &str, id: &str, seq| DocumentRow { open: false, ..document(kind, id, seq) };
    let documents = vec![
        document("a", "1", 1),
        ended("a", "2", 2),
        ended("a", "9", 3),
        ended("a", "10", 4),
        document("a", "11", 5),
        ended("b", "1", 6),
        DocumentRow { deleted: true, ..ended("b", "2", 7) },
    ];
    let events = vec![event("a/1", "x"); 7];
    store.append(&Batch { events, documents, ..Batch::new(head) }).await.unwrap();
    let found = async |kinds: &[&str], ended| ids(&store.snapshot(kinds, ended).await.unwrap().1).join(" ");
    assert_eq!(found(&["a", "b"], 0).await, "1 11");
    assert_eq!(found(&["b", "a"], 2).await, "1 9 10 11 1", "two of each kind, by kind and number");
    assert_eq!(found(&["a"], 1).await, "1 10 11");
    assert_eq!(found(&["a", "b", "c"], usize::MAX).await, "1 2 9 10 11 1");
    assert_eq!(found(&[], usize::MAX).await, "", "a kind that nobody names is in no snapshot");
}

/// What is too large is refused whole.
pub async fn limits_are_refused(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let long = "x".repeat(limits::NAME + 1);
    let big = Bytes::from(vec![0; limits::PAYLOAD + 1]);
    let mut too_big = event("a/1", "");
    too_big.payload = big;
    let mut crowded = document("a", "1", 1);
    crowded.columns.units = (0..=limits::UNITS).map(|n| n.to_string()).collect();
    let one = vec![event("a/1", "x")];
    let mut largest = event("a/1", "");
    largest.payload = Bytes::from(vec![0; limits::PAYLOAD]);
    let batches = [
        Batch { events: vec![event("a/1", "x"); limits::ROWS + 1], ..Batch::new(head) },
        Batch { events: vec![too_big], ..Batch::new(head) },
        Batch { events: vec![largest; limits::BATCH_BYTES / limits::PAYLOAD + 1], ..Batch::new(head) },
        Batch { events: vec![event(&long, "x")], ..Batch::new(head) },
        Batch { events: vec![event("", "x")], ..Batch::new(head) },
        Batch { events: vec![event("a\n1", "x")], ..Batch::new(head) },
        Batch { events: one.clone(), documents: vec![document("a", "1", 2)], ..Batch::new(head) },
        Batch { events: one.clone(), documents: vec![document("a", "1", 0)], ..Batch::new(head) },
        Batch { events: one, documents: vec![crowded], ..Batch::new(head) },
        Batch { keys: vec![key_row(&*store, &"k".repeat(limits::KEY + 1), b"")], ..Batch::new(head) },
    ];
    for batch in batches {
        let refused = store.append(&batch).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap(), head);
    assert!(matches!(store.documents_between(0, limits::PAGE as u64 + 1).await, Err(LedgerError::Invalid { .. })));
    let many = vec![InputKey::new("s", "k"); limits::PAGE + 1];
    assert!(matches!(store.keys(&many).await, Err(LedgerError::Invalid { .. })));
    assert!(matches!(store.open(&vec![1; limits::PAGE + 1]).await, Err(LedgerError::Invalid { .. })));
}

/// Readers beside a writer.
pub async fn a_snapshot_and_its_head_agree(backend: &dyn Backend) {
    let (store, other) = (backend.open().await, backend.open().await);
    let start = store.open_writer().await.unwrap();
    let write = async {
        let mut head = start;
        for _ in 0..100 {
            let documents = vec![document("counter", "1", head.seq + 1), document("other", "1", head.seq + 1)];
            let batch = Batch { events: vec![event("counter/1", "x")], documents, ..Batch::new(head) };
            head = store.append(&batch).await.unwrap();
        }
    };
    let read = async {
        let mut last = 0;
        while last < 100 {
            let (position, found) = other.snapshot(&["counter"], 0).await.unwrap();
            assert_eq!(position.log_id, start.log_id);
            assert_eq!(found.iter().map(|d| d.rev_seq).max().unwrap_or(0), position.seq);
            assert!(position.seq >= last);
            last = position.seq;
        }
    };
    tokio::join!(write, read);
}

/// A new log id.
pub async fn a_restore_makes_old_cursors_worthless(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let head = append(&*store, head, vec![event("a/1", "x")]).await;
    let renewed = store.renew().await.unwrap();
    assert_ne!(renewed.log_id, head.log_id);
    assert_eq!((renewed.seq, renewed.term), (1, head.term + 1));
    let refused = store.append(&Batch::new(head)).await;
    assert!(matches!(refused, Err(LedgerError::HeadMoved { .. })), "{refused:?}");
    append(&*store, renewed, vec![event("a/1", "y")]).await;
}

/// The future of an append is dropped after each number of polls.
pub async fn a_dropped_append_is_whole_or_nothing(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut head = store.open_writer().await.unwrap();
    let (mut finished, mut polls) = (0, 0);
    while finished < 3 {
        let batch = full_batch(&*store, head, &format!("k{}", head.seq + 1));
        let mut ended = false;
        {
            let mut append = pin!(store.append(&batch));
            for _ in 0..polls {
                if let Poll::Ready(result) = append.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
                    result.unwrap();
                    ended = true;
                    break;
                }
                // Lets the database go on, so that later polls come to later steps.
                let _ = store.head().await.unwrap();
            }
        }
        // A read-write call queues behind what the dropped one left.
        store.expire_keys(0).await.unwrap();
        let now = store.head().await.unwrap();
        assert!(now == head || now == batch.after());
        assert!(!ended || now == batch.after());
        head = now;
        assert_untouched(&*store, head).await;
        finished += u32::from(ended);
        polls += 1;
    }
}

/// More rows than one statement takes.
pub async fn a_batch_of_many_rows_is_stored(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let n = 1_500_u64;
    let batch = Batch {
        events: (0..n).map(|i| event("a/1", &i.to_string())).collect(),
        documents: (1..=n).map(|i| document("a", &i.to_string(), i)).collect(),
        vault: (1..=n)
            .map(|i| VaultRow {
                id: i,
                subject: format!("person/{}", i % 7),
                full: Secret::from(i.to_string()),
                masked: Secret::default(),
            })
            .collect(),
        ..Batch::new(head)
    };
    let head = store.append(&batch).await.unwrap();
    assert_eq!(head.seq, n);
    assert_eq!(store.snapshot(&["a"], 0).await.unwrap().1.len() as u64, n);
    let tail = store.tail(n - 1, 9).await.unwrap();
    assert_eq!(tail[0].event.payload, (n - 1).to_string());
    let opened = store.open(&[n]).await.unwrap();
    assert!(matches!(&opened[0].1, Opened::Value { full, .. } if full.text() == n.to_string()));
}

/// For property tests: batches of these sizes, read back by pages of this size, are complete and in order.
pub async fn tail_is_complete(backend: &dyn Backend, sizes: &[usize], page: usize) {
    let store = backend.open().await;
    let mut head = store.open_writer().await.unwrap();
    let mut sent = Vec::new();
    for size in sizes {
        let events: Vec<_> = (0..*size).map(|n| event("a/1", &format!("{}+{n}", head.seq))).collect();
        sent.extend(events.clone());
        head = append(&*store, head, events).await;
    }
    assert_eq!(head.seq, sent.len() as u64);
    let mut seen = Vec::new();
    loop {
        let found = store.tail(seen.len() as u64, page).await.unwrap();
        assert_eq!(found.len(), page.min(sent.len() - seen.len()), "a page is full unless it is the last");
        if found.is_empty() {
            break;
        }
        for stored in found {
            assert_eq!(stored.seq, seen.len() as u64 + 1);
            seen.push(stored.event);
        }
    }
    assert_eq!(seen, sent);
}
