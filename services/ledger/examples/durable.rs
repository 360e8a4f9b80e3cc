//! A process of its own for tests of what reaches the disk: `durable append FOLDER COUNT [careless]` answers each append
//! with a line on standard output, `durable full FOLDER` fills the disk that FOLDER is on, `durable full-postgres FOLDER`
//! the same under the tables of a PostgreSQL server, with its tablespace in FOLDER/space.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a part of tests")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use ledger::{
    Batch, Head, LedgerError, Log, PostgresStore, Result, SqliteOptions, SqliteStore, SqliteTelemetry, Store,
    Telemetry,
    conformance::{document, event},
    testing::postgres::PostgresServer,
    transfer::{self, Backup, Place},
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["append", folder, count] => append(Path::new(folder), count.parse().unwrap(), false).await,
        ["append", folder, count, "careless"] => append(Path::new(folder), count.parse().unwrap(), true).await,
        ["full", folder] => full(Path::new(folder)).await,
        ["full-postgres", folder] => full_postgres(Path::new(folder)).await,
        other => panic!("{other:?}"),
    }
}

fn batch(head: Head, bytes: usize) -> Batch {
    Batch {
        events: vec![event("a/1", &"x".repeat(bytes))],
        documents: vec![document("a", "1", head.seq + 1)],
        ..Batch::new(head)
    }
}

async fn append(folder: &Path, count: u64, careless: bool) {
    let store = SqliteStore::open(&SqliteOptions::in_folder(folder)).await.unwrap();
    if careless {
        store.never_sync().await.unwrap();
    }
    let mut head = store.open_writer().await.unwrap();
    for n in 0..count {
        head = store.append(&batch(head, 3_000)).await.unwrap();
        // One system call: what follows the answer in the trace is what came after it.
        std::io::stdout().write_all(format!("ack {n}\n").as_bytes()).unwrap();
    }
}

/// Fills the disk by appends, then by a backup, frees some of it, and goes on.
async fn full(folder: &Path) {
    let ballast = folder.join("ballast");
    let options = SqliteOptions::in_folder(folder);
    let store = SqliteStore::open(&options).await.unwrap();
    // Open as in a centre that runs: a file that is opened anew needs room itself.
    let telemetry = SqliteTelemetry::open(&folder.join("telemetry.db"), options.busy_timeout).await.unwrap();
    telemetry.latest(None).await.unwrap();
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut head = store.open_writer().await.unwrap();
    head = until_full(&store, head).await;
    for _ in 0..5 {
        let refused = store.append(&batch(head, 100_000)).await;
        assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
    }
    assert_whole(&store, head).await;
    let to = folder.join("backup.mjw");
    let refused = backup(folder, &to).await;
    assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
    let left: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|p| p.to_string_lossy().contains("backup")), "{left:?}");
    fs::remove_file(ballast).unwrap();
    head = store.append(&batch(head, 1_000)).await.unwrap();
    assert_whole(&store, head).await;
    telemetry.close().await;
    store.close().await;
    let store = SqliteStore::open(&options).await.unwrap();
    assert_eq!(store.head().await.unwrap(), head);
    let acknowledged = head.seq;
    println!("disk full: SQLite, faults 1, inputs acknowledged {acknowledged}, refused 6, lost 0, doubled 0");
    println!("recovered at {}", head.seq);
}

/// Fills the disk under the tables by appends, frees some of it, and goes on. The server's own log is on another disk: a
/// server that cannot write that one stops, which other tests show.
async fn full_postgres(folder: &Path) {
    let (server, files) = (PostgresServer::start(), tempfile::tempdir().unwrap());
    server.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", folder.join("space").display())).await;
    server.set("default_tablespace", "small").await;
    let store = PostgresStore::open(&server.options("maojiawan", files.path())).await.unwrap();
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut head = store.open_writer().await.unwrap();
    head = until_full(&store, head).await;
    for _ in 0..5 {
        let refused = store.append(&noise(head)).await;
        assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
    }
    assert_whole(&store, head).await;
    fs::remove_file(ballast).unwrap();
    for _ in 0..5 {
        head = store.append(&noise(head)).await.unwrap();
    }
    assert_whole(&store, head).await;
    store.close().await;
    let acknowledged = head.seq;
    println!("disk full: PostgreSQL, faults 1, inputs acknowledged {acknowledged}, refused 6, lost 0, doubled 0");
    println!("recovered at {}", head.seq);
}

async fn backup(folder: &Path, to: &Path) -> Result<()> {
    let what = Backup { to, with_key: false, at_ms: 0, program: "durable" };
    transfer::backup(&Place::sqlite(folder), what, &mut |_| {}).await.map(drop)
}

/// Values that do not compress, so that a backup needs as much room as they do.
fn noise(head: Head) -> Batch {
    let mut n = head.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        n.to_le_bytes()
    };
    let payload: Vec<u8> = (0..6_000).flat_map(|_| next()).collect();
    let mut batch = batch(head, 0);
    batch.events[0].payload = payload.into();
    batch
}

async fn until_full(store: &dyn Store, mut head: Head) -> Head {
    loop {
        match store.append(&noise(head)).await {
            Ok(next) => head = next,
            Err(LedgerError::Full(_)) => return head,
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn assert_whole(store: &dyn Store, head: Head) {
    assert_eq!(store.head().await.unwrap(), head);
    let events = store.tail(0, 1_000).await.unwrap();
    assert_eq!(events.len() as u64, head.seq);
    assert_eq!(store.document("a", "1").await.unwrap().unwrap().rev_seq, head.seq);
}
