//! Buses, good and bad, and the reader behind them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Backend, append, document, event};
use crate::{
    Batch, Bus, DocumentRow, Head, LocalBus, Position, Published, Reader, Step, Store,
    testing::{Faults, FaultyBus},
};

/// Short, because tests wait for it; no test depends on its length.
const POLL: Duration = Duration::from_millis(2);
/// So long that a test which needs the poll would hang.
const NEVER: Duration = Duration::from_secs(3_600);

/// Commits and publishes `sizes` events a batch, each with one of three documents.
pub async fn write(store: &dyn Store, bus: &dyn Bus, mut head: Head, sizes: &[usize]) -> Head {
    for size in sizes {
        let seqs = head.seq + 1..=head.seq + *size as u64;
        let batch = Batch {
            events: seqs.clone().map(|s| event("a/1", &s.to_string())).collect(),
            documents: seqs
                .map(|s| {
                    let mut row = DocumentRow { deleted: s % 5 == 0, ..document("a", &(s % 3).to_string(), s) };
                    row.columns.due_ms = (s % 2 == 0).then_some(7);
                    row.columns.refs = (0..s % 4).map(|n| ("grid".to_owned(), n.to_string())).collect();
                    row
                })
                .collect(),
            ..Batch::new(head)
        };
        head = store.append(&batch).await.unwrap();
        bus.publish(batch.into_published()).await.unwrap();
    }
    head
}

async fn read_event(reader: &mut Reader) -> Arc<Published> {
    match reader.next().await.unwrap() {
        Step::Event(event) => event,
        Step::LogChanged(head) => panic!("log changed to {head:?}"),
    }
}

/// Reads up to `upto`; checks that each event comes once, in order and whole.
pub async fn read(reader: &mut Reader, upto: u64) -> BTreeMap<String, DocumentRow> {
    let mut documents = BTreeMap::new();
    while reader.cursor().seq < upto {
        let expected = reader.cursor().seq + 1;
        let found = read_event(reader).await;
        assert_eq!((found.event.seq, reader.cursor().seq), (expected, expected));
        assert_eq!(found.event.event, event("a/1", &expected.to_string()));
        for d in &found.documents {
            assert_eq!(d.rev_seq, expected);
            documents.insert(d.id.clone(), d.clone());
        }
    }
    documents
}

/// Writes `sizes` through `bus` while a reader follows.
pub async fn follows(store: Arc<dyn Store>, bus: &dyn Bus, sizes: &[usize], poll: Duration) {
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), bus, head.position(), poll).await.unwrap();
    let upto = head.seq + sizes.iter().sum::<usize>() as u64;
    let (end, documents) = tokio::join!(write(&*store, bus, head, sizes), read(&mut reader, upto));
    assert_eq!(end.seq, upto);
    let (position, snapshot) = store.snapshot(&["a"], usize::MAX).await.unwrap();
    assert_eq!(position, reader.cursor());
    let documents: Vec<_> = documents.into_values().filter(|d| !d.deleted).collect();
    assert_eq!(documents, snapshot, "a follower that merges documents converges");
}

/// What every bus must carry, by name, for a store that is empty at first. `make` makes a bus that keeps about so many
/// messages for its slowest subscriber; the buses of one call may be one and the same.
pub async fn carries(store: Arc<dyn Store>, make: &(dyn Fn(usize) -> Arc<dyn Bus> + Sync)) {
    on_a_good_bus(store.clone(), &*make(1_024)).await;
    on_a_bad_bus(store.clone(), &|| make(1_024)).await;
    behind_its_cursor(store.clone(), &*make(16)).await;
    too_slow(store.clone(), &*make(4)).await;
    after_a_restore(store, &*make(16)).await;
}

async fn on_a_good_bus(store: Arc<dyn Store>, bus: &dyn Bus) {
    follows(store, bus, &[1, 5, 0, 30, 2, 100], NEVER).await;
}

async fn on_a_bad_bus(store: Arc<dyn Store>, make: &(dyn Fn() -> Arc<dyn Bus> + Sync)) {
    for seed in 0..60 {
        let faults = Faults { dropped: 30, doubled: 15, held: 25 };
        let bus = FaultyBus::new(make(), seed, faults);
        follows(store.clone(), &bus, &[3, 1, 1, 7, 2, 1, 4], POLL).await;
    }
    let deaf = FaultyBus::new(make(), 1, Faults { dropped: 100, doubled: 0, held: 0 });
    follows(store, &deaf, &[3, 1, 1_500], POLL).await;
}

async fn too_slow(store: Arc<dyn Store>, bus: &dyn Bus) {
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), bus, head.position(), NEVER).await.unwrap();
    let head = write(&*store, bus, head, &[50, 50]).await;
    read(&mut reader, head.seq).await;
    let head = write(&*store, bus, head, &[3]).await;
    read(&mut reader, head.seq).await;
}

async fn behind_its_cursor(store: Arc<dyn Store>, bus: &dyn Bus) {
    let head = store.open_writer().await.unwrap();
    let cursor = Position { seq: head.seq + 17, ..head.position() };
    let head = write(&*store, bus, head, &[2_500]).await;
    let mut reader = Reader::follow(store.clone(), bus, cursor, NEVER).await.unwrap();
    read(&mut reader, head.seq).await;
}

async fn after_a_restore(store: Arc<dyn Store>, bus: &dyn Bus) {
    let head = store.open_writer().await.unwrap();
    let head = write(&*store, bus, head, &[3]).await;
    let mut reader = Reader::follow(store.clone(), bus, head.position(), NEVER).await.unwrap();
    let renewed = store.renew().await.unwrap();
    // On the bus: the first message of the new log.
    let renewed = write(&*store, bus, renewed, &[1]).await;
    for _ in 0..2 {
        assert!(matches!(reader.next().await.unwrap(), Step::LogChanged(h) if h == renewed));
    }
    // By the poll: a cursor of the old log, and one beyond the end.
    for cursor in [head.position(), Position { seq: renewed.seq + 99, ..renewed.position() }] {
        let mut reader = Reader::follow(store.clone(), bus, cursor, POLL).await.unwrap();
        assert!(matches!(reader.next().await.unwrap(), Step::LogChanged(h) if h == renewed));
    }
}

/// Without faults the bus alone would do.
pub async fn a_reader_yields_each_event_once_on_a_good_bus(backend: &dyn Backend) {
    on_a_good_bus(backend.open().await, &LocalBus::new(1_024)).await;
}

/// Dropped, doubled, reordered, by many seeds.
pub async fn a_reader_yields_each_event_once_on_a_bad_bus(backend: &dyn Backend) {
    on_a_bad_bus(backend.open().await, &|| Arc::new(LocalBus::new(1_024))).await;
}

/// Nothing follows that would reveal the gap.
pub async fn a_lost_last_message_is_noticed(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let bus = LocalBus::new(16);
    let mut reader = Reader::follow(store.clone(), &bus, head.position(), POLL).await.unwrap();
    append(&*store, head, vec![event("a/1", "1")]).await;
    assert_eq!(read_event(&mut reader).await.event.seq, 1);
}

/// The bus keeps less than was published.
pub async fn a_slow_reader_fills_the_gap(backend: &dyn Backend) {
    too_slow(backend.open().await, &LocalBus::new(4)).await;
}

/// More than one page behind.
pub async fn a_late_reader_starts_at_its_cursor(backend: &dyn Backend) {
    behind_its_cursor(backend.open().await, &LocalBus::new(16)).await;
}

/// A closed bus leaves the poll.
pub async fn a_reader_outlives_its_bus(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let bus = LocalBus::new(16);
    let mut reader = Reader::follow(store.clone(), &bus, head.position(), POLL).await.unwrap();
    drop(bus);
    write(&*store, &LocalBus::new(1), head, &[2, 3]).await;
    read(&mut reader, 5).await;
}

/// A restore.
pub async fn a_changed_log_is_told(backend: &dyn Backend) {
    after_a_restore(backend.open().await, &LocalBus::new(16)).await;
}
