//! Faults of the disk and of the files, which only this backend can be given.

use std::{fs, path::Path, sync::Arc, time::Duration};

use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;
use crate::{
    Archiving, Batch, BlobId, Blobs, Columns, DocumentRow, EventRow, FoundBlob, LedgerError, LocalBus, Log, NewBlob,
    Opened, Outbox, OutboxRow, Position, Query, Reader, Reading, Step, StoredEvent, Tally, TallyBy, Telemetry,
    TelemetryBatch, Vault, VaultRow,
    conformance::{append, document, event, holds},
};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn open(folder: &Path) -> Result<SqliteStore> {
    SqliteStore::open(&SqliteOptions { busy_timeout: Duration::from_millis(1), ..SqliteOptions::in_folder(folder) })
        .await
}

fn batch(head: Head) -> Batch {
    let seq = head.seq + 1;
    Batch {
        events: vec![event("a/1", &"x".repeat(2_000))],
        documents: vec![document("a", &seq.to_string(), seq)],
        vault: vec![VaultRow { id: seq, subject: format!("p/{seq}"), full: "f".into(), masked: "m".into() }],
        outbox: vec![OutboxRow { kind: "k".into(), target: "t".into(), payload: "p".into(), due_ms: 0 }],
        ..Batch::new(head)
    }
}

/// Events, documents, values and deliveries of `batch` up to the head, and nothing more.
async fn assert_whole(store: &SqliteStore) -> Head {
    let head = store.head().await.unwrap();
    assert_eq!(store.tail(0, 1_000).await.unwrap().len() as u64, head.seq);
    assert_eq!(store.snapshot(&["a"], usize::MAX).await.unwrap().1.len() as u64, head.seq);
    assert_eq!(store.outbox_waiting().await.unwrap(), head.seq);
    let opened = store.open(&[head.seq, head.seq + 1]).await.unwrap();
    assert!(head.seq == 0 || matches!(opened[0].1, Opened::Value { .. }));
    assert_eq!(opened[1].1, Opened::Missing);
    head
}

#[tokio::test]
async fn the_writer_is_durable() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let mut tx = store.db.write().await.unwrap();
    for (pragma, expected) in [("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1)] {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let row = sqlx::query(sql).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(get::<i64>(&row, 0).unwrap(), expected, "{pragma}");
    }
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(get::<String>(&row, 0).unwrap(), "wal");
}

#[tokio::test]
async fn a_full_disk_is_told_and_over_when_there_is_room() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let mut head = store.open_writer().await.unwrap();
    store.limit_pages(80).await.unwrap();
    let full = loop {
        match store.append(&batch(head)).await {
            Ok(next) => head = next,
            Err(error) => break error,
        }
    };
    assert!(head.seq > 1 && matches!(full, LedgerError::Full(_)), "{full:?} after {}", head.seq);
    assert_eq!((full.code(), full.is_transient()), ("ledger.full", true));
    for _ in 0..3 {
        let refused = store.append(&batch(head)).await;
        assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
        assert_eq!(assert_whole(&store).await, head);
    }
    store.limit_pages(10_000).await.unwrap();
    head = store.append(&batch(head)).await.unwrap();
    assert_eq!(assert_whole(&store).await, head);
}

#[tokio::test]
async fn full_telemetry_stores_nothing_of_a_batch() {
    let folder = folder();
    let store = SqliteTelemetry::open(&folder.path().join("t.db"), Duration::from_millis(1)).await.unwrap();
    store.limit_pages(1).await.unwrap();
    let reading = |n: i64| Reading { sensor: format!("s{n}"), at_ms: n, value: 1.0, unit: None };
    let batch = || TelemetryBatch { readings: (0..4_000).map(reading).collect(), ..TelemetryBatch::default() };
    assert!(matches!(store.commit(batch()).await, Err(LedgerError::Full(_))));
    assert!(store.latest(None).await.unwrap().is_empty());
    store.limit_pages(10_000).await.unwrap();
    store.commit(batch()).await.unwrap();
    assert_eq!(store.latest(None).await.unwrap().len(), 4_000);
}

#[tokio::test]
async fn a_read_only_store_is_told_and_over_when_it_can_be_written() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    store.db.pragma("PRAGMA query_only = ON").await;
    for _ in 0..2 {
        let refused = store.append(&batch(head)).await;
        assert!(matches!(refused, Err(LedgerError::ReadOnly(_))), "{refused:?}");
    }
    store.db.pragma("PRAGMA query_only = OFF").await;
    let head = store.append(&batch(head)).await.unwrap();
    assert_eq!(assert_whole(&store).await, head);
}

#[tokio::test]
async fn read_only_telemetry_is_told_and_over_when_it_can_be_written() {
    let folder = folder();
    let store = SqliteTelemetry::open(&folder.path().join("t.db"), Duration::from_millis(1)).await.unwrap();
    let batch = || TelemetryBatch {
        readings: vec![Reading { sensor: "s".into(), at_ms: 1, value: 1.0, unit: None }],
        ..TelemetryBatch::default()
    };
    store.refuse_writes(true).await.unwrap();
    for _ in 0..2 {
        let refused = store.commit(batch()).await;
        assert!(matches!(refused, Err(LedgerError::ReadOnly(_))), "{refused:?}");
        assert!(store.latest(None).await.unwrap().is_empty(), "it can be read all the same");
    }
    store.refuse_writes(false).await.unwrap();
    store.commit(batch()).await.unwrap();
    assert_eq!(store.latest(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn files_that_cannot_be_opened_are_told() {
    let folder = folder();
    for name in ["ledger.db", "t.db"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let refused = open(folder.path()).await;
    assert!(matches!(refused, Err(LedgerError::Io(_))), "{refused:?}");
    let refused = SqliteTelemetry::open(&folder.path().join("t.db"), Duration::from_millis(1)).await;
    assert!(matches!(refused, Err(LedgerError::Io(_))), "{:?}", refused.err());
    assert!(!folder.path().join("master.key").exists());
    for name in ["ledger.db", "t.db"] {
        fs::remove_dir(folder.path().join(name)).unwrap();
    }
    assert_whole(&open(folder.path()).await.unwrap()).await;
}

#[tokio::test]
async fn a_held_file_is_busy_and_over_when_it_is_free() {
    let folder = folder();
    let (store, other) = (open(folder.path()).await.unwrap(), open(folder.path()).await.unwrap());
    let head = store.open_writer().await.unwrap();
    let held = other.db.write().await.unwrap();
    let refused = store.append(&batch(head)).await;
    assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
    assert_eq!(assert_whole(&store).await, head);
    held.roll_back().await;
    store.append(&batch(head)).await.unwrap();
}

#[tokio::test]
async fn damage_and_strange_keys_are_told_at_the_start() {
    let first = folder();
    fs::write(first.path().join("ledger.db"), [7; 8_192]).unwrap();
    let refused = open(first.path()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Corrupt { .. }), "{refused:?}");

    let (mine, other) = (folder(), folder());
    open(mine.path()).await.unwrap().close().await;
    open(other.path()).await.unwrap().close().await;
    fs::copy(other.path().join("master.key"), mine.path().join("master.key")).unwrap();
    assert!(matches!(open(mine.path()).await, Err(LedgerError::Corrupt { .. })));
    fs::remove_file(mine.path().join("master.key")).unwrap();
    assert!(matches!(open(mine.path()).await, Err(LedgerError::MasterKey { .. })));
    assert!(!mine.path().join("master.key").exists(), "a new key would hide the loss of the old one");
}

#[tokio::test]
async fn a_newer_schema_and_a_changed_migration_are_refused() {
    for sql in ["INSERT INTO migrations VALUES (99, 'x')", "UPDATE migrations SET hash = 'x' WHERE version = 1"] {
        let folder = folder();
        let store = open(folder.path()).await.unwrap();
        store.db.pragma(sql).await;
        store.close().await;
        let refused = open(folder.path()).await;
        assert!(matches!(refused, Err(LedgerError::Schema(_))), "{sql}: {refused:?}");
    }
}

#[tokio::test]
async fn lists_follow_an_index() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let base = Query { kind: "incident".into(), limit: 50, ..Query::default() };
    let before = Some("3021".to_owned());
    let stage = Some("open".to_owned());
    let queries = [
        (base.clone(), "documents_order (kind=?)"),
        (Query { before: before.clone(), ..base.clone() }, "documents_order (kind=? AND sort<?)"),
        (Query { open: Some(true), before: before.clone(), ..base.clone() }, "documents_open (kind=? AND sort<?)"),
        (Query { stage, before, ..base }, "documents_stage (kind=? AND stage=? AND sort<?)"),
    ];
    for (query, index) in queries {
        assert_eq!(plan(&store, read::select(&query)).await, [format!("SEARCH d USING INDEX {index}")]);
    }
}

/// How SQLite goes about a query.
async fn plan(store: &SqliteStore, mut sql: sqlx::QueryBuilder<sqlx::Sqlite>) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.sql().as_str()));
    let mut arguments = sql.build();
    let arguments = sqlx::Execute::take_arguments(&mut arguments).unwrap().unwrap();
    let plan = sqlx::query_with(explain, arguments).fetch_all(&store.db.reader).await.unwrap();
    plan.iter().map(|row| get(row, 3).unwrap()).collect()
}

#[tokio::test]
async fn lists_by_reference_timers_and_counts_follow_an_index() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let pair = |role: &str, id: &str| (role.to_owned(), id.to_owned());
    let one = Query { kind: "person".into(), refs: vec![pair("household", "7")], limit: 50, ..Query::default() };
    let two = Query { refs: vec![pair("household", "7"), pair("grid", "g1")], before: Some("9".into()), ..one.clone() };
    let document = "SEARCH d USING INDEX sqlite_autoindex_documents_1 (kind=? AND id=?)";
    let walk = "SEARCH r USING PRIMARY KEY (role=? AND ref_id=? AND kind=?)";
    assert_eq!(plan(&store, read::select(&one)).await, [walk, document], "no sorting");
    let found = plan(&store, read::select(&two)).await;
    let walk_on = "SEARCH r USING PRIMARY KEY (role=? AND ref_id=? AND kind=? AND sort<?)";
    let also = "SEARCH o EXISTS USING PRIMARY KEY (role=? AND ref_id=? AND kind=? AND sort=?)";
    assert_eq!(found, [walk_on, document, also]);
    let due = "SEARCH d USING INDEX documents_due (due_ms>? AND due_ms<?)";
    assert_eq!(plan(&store, read::soonest(1, 50)).await, [due]);
    let found = plan(&store, read::count(&Tally { of: one, by: TallyBy::Ref("building".into()) })).await;
    let group = "SEARCH g USING COVERING INDEX document_refs_document (kind=? AND id=? AND role=?)";
    assert_eq!(found[..3], [walk, document, group], "{found:?}");
}

#[tokio::test]
async fn documents_of_an_older_program_are_read_and_replaced() {
    let folder = folder();
    {
        let file = folder.path().join("ledger.db");
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
        db::migrate(&mut conn, &MIGRATIONS[..2]).await.unwrap();
        let sql = "INSERT INTO documents (kind, id, sort, rev_seq, deleted, open, units, at_ms, payload) \
                   VALUES ('person', '7', '0017', 0, 0, 1, '', 5, x'01')";
        sqlx::query(sql).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }
    let store = open(folder.path()).await.unwrap();
    let old = store.document("person", "7").await.unwrap().unwrap();
    assert_eq!(old.columns, Columns { at_ms: 5, ..Columns::default() });
    assert!(store.due(i64::MAX, 9).await.unwrap().is_empty());
    let head = store.open_writer().await.unwrap();
    let refs = vec![("grid".to_owned(), "g1".to_owned())];
    let columns = Columns { due_ms: Some(9), refs: refs.clone(), ..old.columns };
    let new = DocumentRow { columns, ..document("person", "7", 1) };
    let batch = Batch { events: vec![event("a/1", "x")], documents: vec![new.clone()], ..Batch::new(head) };
    store.append(&batch).await.unwrap();
    let query = Query { kind: "person".into(), refs, limit: 9, ..Query::default() };
    assert_eq!(store.documents(&query).await.unwrap(), [new]);
    assert_eq!(store.due(9, 9).await.unwrap().len(), 1);
}

/// Copies the files as a power cut would leave them, with the write-ahead log cut off after `wal` bytes.
fn crash_image(from: &Path, to: &Path, wal: usize) {
    for name in ["ledger.db", "master.key"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let log = fs::read(from.join("ledger.db-wal")).unwrap();
    fs::write(to.join("ledger.db-wal"), &log[..wal.min(log.len())]).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_and_nothing_half() {
    let live = folder();
    let store = open(live.path()).await.unwrap();
    let mut head = store.open_writer().await.unwrap();
    let mut ends = Vec::new();
    for _ in 0..6 {
        head = store.append(&batch(head)).await.unwrap();
        let wal = usize::try_from(fs::metadata(live.path().join("ledger.db-wal")).unwrap().len()).unwrap();
        ends.push((wal, head.seq));
        let image = folder();
        crash_image(live.path(), image.path(), wal);
        assert_eq!(assert_whole(&open(image.path()).await.unwrap()).await, head);
    }
    let (first, last) = (ends[0].0, ends[5].0);
    for wal in (first..last).step_by(1_371) {
        let image = folder();
        crash_image(live.path(), image.path(), wal);
        let recovered = assert_whole(&open(image.path()).await.unwrap()).await;
        let acknowledged = ends.iter().rev().find(|(end, _)| *end <= wal).unwrap().1;
        assert!(recovered.seq == acknowledged, "{} at {wal} of {ends:?}", recovered.seq);
    }
}

#[tokio::test]
async fn a_destroyed_key_leaves_the_files() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let head = store.append(&batch(head)).await.unwrap();
    let row = sqlx::query("SELECT wrapped FROM subject_keys").fetch_one(&store.db.reader).await.unwrap();
    let wrapped: Vec<u8> = get(&row, 0).unwrap();
    drop(row);
    let raw = || {
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        [read("ledger.db"), read("ledger.db-wal")].concat()
    };
    assert!(holds(&raw(), &wrapped));
    store.append(&Batch { erase: vec!["p/1".into()], ..Batch::new(head) }).await.unwrap();
    assert!(!holds(&raw(), &wrapped));
}

#[tokio::test]
async fn a_destroyed_key_leaves_the_files_when_the_last_old_reader_is_gone() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let head = store.append(&batch(head)).await.unwrap();
    let row = sqlx::query("SELECT wrapped FROM subject_keys").fetch_one(&store.db.reader).await.unwrap();
    let wrapped: Vec<u8> = get(&row, 0).unwrap();
    drop(row);
    let raw = || ["ledger.db", "ledger.db-wal"].map(|name| fs::read(folder.path().join(name)).unwrap()).concat();
    // As a backup does.
    let mut backup = store.db.read().await.unwrap();
    read_head(&mut backup).await.unwrap();
    store.append(&Batch { erase: vec!["p/1".into()], ..Batch::new(head) }).await.unwrap();
    assert!(holds(&raw(), &wrapped), "the one who reads may need it");
    assert!(!store.forget_destroyed().await.unwrap());
    backup.rollback().await.unwrap();
    assert!(store.forget_destroyed().await.unwrap());
    assert!(!holds(&raw(), &wrapped));
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_told_until_it_can() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let head = store.append(&batch(head)).await.unwrap();
    let journal = folder.path().join("erasures.log");
    fs::create_dir(&journal).unwrap();
    store.append(&Batch { erase: vec!["p/1".into()], ..Batch::new(head) }).await.unwrap();
    assert_eq!(store.journal_fault(), Some("ledger.io"));
    assert!(store.write_journal().await.is_err() && store.journal_fault().is_some());
    fs::remove_dir(&journal).unwrap();
    store.write_journal().await.unwrap();
    assert_eq!(store.journal_fault(), None);
    assert!(fs::read_to_string(&journal).unwrap().contains("p/1"));
}

#[tokio::test]
async fn a_moved_value_does_not_open() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let row = |id, full: &str| VaultRow { id, subject: "p/1".into(), full: full.into(), masked: "m".into() };
    store.append(&Batch { vault: vec![row(1, "one"), row(2, "two")], ..Batch::new(head) }).await.unwrap();
    store.db.pragma("UPDATE vault SET full = (SELECT full FROM vault WHERE id = 2) WHERE id = 1").await;
    assert!(matches!(store.open(&[1]).await, Err(LedgerError::Corrupt { .. })));
    assert!(matches!(store.open(&[2]).await.unwrap()[0].1, Opened::Value { .. }));
}

#[tokio::test]
async fn a_missing_archive_file_is_told_to_every_reader() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let at = |at_ms| EventRow { at_ms, ..event("a/1", "x") };
    // Of November 2023, January and July 2024.
    let times = [1_700_000_000_000, 1_700_000_000_001, 1_705_000_000_000, 1_705_000_000_001, 1_720_000_000_000];
    let head = append(&store, head, times[..4].iter().map(|ms| at(*ms)).collect()).await;
    let done = store.archive(&Archiving { site: "mao", now_ms: times[4], months: 2 }).await.unwrap();
    assert_eq!((done.files.len(), done.events), (2, 4));
    let last = folder.path().join("archive").join(&done.files[1]);
    fs::rename(&last, folder.path().join("elsewhere")).unwrap();
    let told = |read: Result<Vec<StoredEvent>>| {
        let Err(LedgerError::Corrupt { what, .. }) = read else { panic!("{read:?}") };
        assert!(what.contains("events 3 to 4"), "{what}");
    };
    for in_table in [0, 1] {
        // One that has seen no file yet.
        let other = open(folder.path()).await.unwrap();
        for after in [0, 2, 3] {
            told(other.tail(after, 10).await);
            told(other.stream_tail("a/1", after, 10).await);
        }
        assert_eq!(other.tail(4, 10).await.unwrap().len(), in_table, "what is there is read");
        if in_table == 0 {
            append(&store, head, vec![at(times[4])]).await;
        }
    }
}

#[tokio::test]
async fn a_follower_is_told_of_events_that_are_nowhere() {
    let folder = folder();
    let store = Arc::new(open(folder.path()).await.unwrap());
    let head = store.open_writer().await.unwrap();
    let head = append(&*store, head, (0..4).map(|_| event("a/1", "x")).collect()).await;
    store.db.pragma("DELETE FROM events WHERE seq > 2").await;
    let cursor = Position { seq: 1, ..head.position() };
    let hour = Duration::from_secs(3_600);
    let mut reader = Reader::follow(store, &LocalBus::new(4), cursor, hour).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Step::Event(event) if event.event.seq == 2));
    for _ in 0..2 {
        let refused = reader.next().await;
        assert!(matches!(&refused, Err(LedgerError::Corrupt { what, .. }) if what.contains("3 to 4")), "{refused:?}");
    }
}

async fn put(store: &SqliteStore, len: usize) -> Result<BlobId> {
    let blob = NewBlob { subject: "a/1".into(), content_type: "video/mp4".into(), max_bytes: 1 << 20, at_ms: 0 };
    Ok(store.put_blob(blob, &mut vec![5; len].as_slice()).await?.id)
}

async fn read(store: &SqliteStore, id: &BlobId) -> Result<usize> {
    match store.get_blob(id).await? {
        FoundBlob::Blob(reader) => Ok(reader.bytes(1 << 20).await?.len()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_blob_is_told() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let (id, other) = (put(&store, 131_072).await.unwrap(), put(&store, 131_072).await.unwrap());
    let file = folder.path().join("blobs").join(id.as_str());
    let whole = fs::read(&file).unwrap();
    assert_eq!(read(&store, &id).await.unwrap(), 131_072);
    let sealed = 65_536 + 16;
    let mut swapped = whole.clone();
    swapped[19..].rotate_left(sealed);
    let mut flipped = whole.clone();
    flipped[70_000] ^= 1;
    let strange = fs::read(folder.path().join("blobs").join(other.as_str())).unwrap();
    for damaged in [&whole[..19 + sealed], &whole[..19 + 2 * sealed], &whole[..50_000], &swapped, &flipped, &strange] {
        fs::write(&file, damaged).unwrap();
        let refused = read(&store, &id).await;
        assert!(matches!(refused, Err(LedgerError::Corrupt { .. })), "{refused:?}");
    }
    fs::remove_file(&file).unwrap();
    assert!(matches!(read(&store, &id).await, Err(LedgerError::Corrupt { .. })));
}

#[tokio::test]
async fn left_over_files_are_swept() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let id = put(&store, 10).await.unwrap();
    append_used(&store, head, &id).await;
    let blobs = folder.path().join("blobs");
    fs::write(blobs.join(format!("{}.tmp", "0a".repeat(16))), "unfinished").unwrap();
    fs::write(blobs.join("0b".repeat(16)), "without a row").unwrap();
    fs::write(blobs.join("README"), "not ours").unwrap();
    assert_eq!(store.sweep_blobs(0).await.unwrap(), 0, "young files may be under way");
    assert_eq!(store.sweep_blobs(i64::MAX).await.unwrap(), 2);
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 2);
    assert_eq!(read(&store, &id).await.unwrap(), 10);
}

async fn append_used(store: &SqliteStore, head: Head, id: &BlobId) {
    let batch = Batch { blobs_used: vec![id.clone()], ..Batch::new(head) };
    let head = store.append(&batch).await.unwrap();
    append(store, head, vec![event("a/1", "x")]).await;
}

#[tokio::test]
async fn a_lost_folder_is_told_and_over_when_it_is_back() {
    let folder = folder();
    let store = open(folder.path()).await.unwrap();
    let blobs = folder.path().join("blobs");
    fs::remove_dir(&blobs).unwrap();
    assert!(matches!(put(&store, 10).await, Err(LedgerError::Io(_))));
    fs::create_dir(&blobs).unwrap();
    let id = put(&store, 10).await.unwrap();
    assert_eq!(read(&store, &id).await.unwrap(), 10);
}
