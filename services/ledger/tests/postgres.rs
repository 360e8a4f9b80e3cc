//! The conformance suite on PostgreSQL, properties by many cases, and faults that a server can be given.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ledger::{
    Batch, DocumentRow, Head, LedgerError, LocalBus, Log, Opened, Outbox, OutboxRow, PostgresOptions, PostgresStore,
    PostgresTelemetry, Query, Reading, Store, Telemetry, TelemetryBatch, Vault, VaultRow,
    conformance::{self, Backend, document, event},
    testing::{Faults, FaultyBus, postgres::PostgresServer},
};
use proptest::prelude::*;
use tempfile::TempDir;

/// One server for all tests of the process that share one.
static SHARED: OnceLock<PostgresServer> = OnceLock::new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A schema of its own.
struct Postgres {
    folder: TempDir,
    options: PostgresOptions,
}

impl Postgres {
    fn new() -> Self {
        Self::on(SHARED.get_or_init(PostgresServer::start))
    }

    fn on(server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schema = format!("s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self { options: server.options(&schema, folder.path()), folder }
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.options).await.unwrap()
    }

    /// With little patience, for faults.
    async fn hasty(&self) -> PostgresStore {
        let mut options = self.options.clone();
        options.patience = Duration::from_secs(2);
        PostgresStore::open(&options).await.unwrap()
    }
}

#[async_trait]
impl Backend for Postgres {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    async fn telemetry(&self) -> Arc<dyn Telemetry> {
        Arc::new(PostgresTelemetry::open(&self.options).await.unwrap())
    }

    async fn raw(&self) -> Vec<u8> {
        let server = SHARED.get().unwrap();
        let mut all = server.raw(&self.options.schema).await;
        for entry in std::fs::read_dir(self.folder.path().join("blobs")).unwrap().map(Result::unwrap) {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
        all
    }

    fn files(&self) -> &Path {
        self.folder.path()
    }
}

ledger::conformance!(Postgres::new());

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tail_is_complete(sizes in prop::collection::vec(0..40_usize, 1..8), page in 1..50_usize) {
        block_on(async { conformance::log::tail_is_complete(&Postgres::new(), &sizes, page).await });
    }

    #[test]
    fn a_reader_yields_each_event_once_whatever_the_bus_does(
        seed: u64,
        (dropped, doubled, held) in (0..34_u8, 0..33_u8, 0..33_u8),
        sizes in prop::collection::vec(0..12_usize, 1..10),
        capacity in 1..20_usize,
    ) {
        block_on(async {
            let backend = Postgres::new();
            let bus = FaultyBus::new(LocalBus::new(capacity), seed, Faults { dropped, doubled, held });
            conformance::bus::follows(backend.open().await, &bus, &sizes, Duration::from_millis(2)).await;
        });
    }
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

/// Events, documents, values and deliveries up to the head, and nothing more.
async fn assert_whole(store: &PostgresStore) -> Head {
    let head = store.head().await.unwrap();
    let seqs: Vec<u64> = store.tail(0, 1_000).await.unwrap().iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=head.seq).collect::<Vec<_>>());
    assert_eq!(store.snapshot(&["a"], usize::MAX).await.unwrap().1.len() as u64, head.seq);
    assert_eq!(store.outbox_waiting().await.unwrap(), head.seq);
    let opened = store.open(&[head.seq, head.seq + 1]).await.unwrap();
    assert!(head.seq == 0 || matches!(opened[0].1, Opened::Value { .. }));
    assert_eq!(opened[1].1, Opened::Missing);
    head
}

/// What a writer does after an error: becomes the writer again and goes on from where the log is.
async fn resume(store: &PostgresStore) -> Head {
    let head = store.open_writer().await.unwrap();
    assert_eq!(assert_whole(store).await, head);
    let head = store.append(&batch(head)).await.unwrap();
    assert_eq!(assert_whole(store).await, head);
    head
}

#[tokio::test]
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.store().await;
    let telemetry = PostgresTelemetry::open(&backend.options).await.unwrap();
    let mut head = store.open_writer().await.unwrap();
    for round in 0..3 {
        for _ in 0..5 {
            head = store.append(&batch(head)).await.unwrap();
        }
        telemetry.commit(one_reading(round)).await.unwrap();
        server.tell("KILL");
        for _ in 0..2 {
            let refused = store.append(&batch(head)).await.unwrap_err();
            assert!(matches!(refused, LedgerError::Unavailable(_)), "{refused:?}");
            assert_eq!((refused.code(), refused.is_transient()), ("ledger.unavailable", true));
        }
        assert!(matches!(store.head().await, Err(LedgerError::Unavailable(_))));
        assert!(matches!(telemetry.commit(one_reading(99)).await, Err(LedgerError::Unavailable(_))));
        server.tell("start");
        assert_eq!(assert_whole(&store).await, head, "all that was acknowledged, and nothing of what was refused");
        // The same writer goes on: nobody else opened the log.
        head = store.append(&batch(head)).await.unwrap();
        let last = &telemetry.latest(None).await.unwrap()[0];
        assert_eq!(last.at_ms, round);
    }
    resume(&store).await;
    println!("postgres: killed at rest, faults 3, inputs acknowledged {}, lost 0, doubled 0", head.seq);
}

fn one_reading(at_ms: i64) -> TelemetryBatch {
    let reading = Reading { sensor: "t1".into(), at_ms, value: 1.0, unit: None };
    TelemetryBatch { readings: vec![reading], ..TelemetryBatch::default() }
}

/// Kills the server while appends are under way, at a different moment each time. `FAULT_CYCLES` kills more often.
#[tokio::test]
async fn a_server_killed_under_an_append_stores_it_whole_or_not_at_all() {
    let server = Arc::new(PostgresServer::start());
    let backend = Postgres::on(&server);
    let store = backend.store().await;
    let mut head = store.open_writer().await.unwrap();
    let (rounds, mut acknowledged, mut unanswered) = (faults(4), 0, 0);
    for round in 0..rounds {
        let killer = server.clone();
        let (go, begin) = std::sync::mpsc::sync_channel(1);
        let killed = std::thread::spawn(move || {
            begin.recv().unwrap();
            killer.tell("KILL");
        });
        let mut appended = 0;
        let error = loop {
            if appended == 1 + round % 8 * 7 {
                go.send(()).unwrap();
            }
            match store.append(&batch(head)).await {
                Ok(next) => head = next,
                Err(error) => break error,
            }
            appended += 1;
        };
        killed.join().unwrap();
        assert!(matches!(error, LedgerError::Unavailable(_) | LedgerError::Io(_)), "{error:?}");
        server.tell("start");
        let answered = head;
        head = store.open_writer().await.unwrap();
        assert_eq!(assert_whole(&store).await, head);
        let stored = head.seq - answered.seq;
        assert!(stored == 0 || (stored == 1 && matches!(error, LedgerError::Io(_))), "{stored} after {error:?}");
        (acknowledged, unanswered) = (acknowledged + appended, unanswered + stored);
    }
    resume(&store).await;
    println!(
        "postgres: killed under appends, faults {rounds}, inputs acknowledged {acknowledged}, lost 0, doubled 0, stored \
         without an answer {unanswered}"
    );
}

/// How often a fault strikes: in soak runs more often.
#[allow(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
fn faults(short: u64) -> u64 {
    std::env::var("FAULT_CYCLES").map_or(short, |n| n.parse().unwrap())
}

#[tokio::test]
async fn a_stopped_server_is_told_and_over_when_it_is_back() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.store().await;
    let head = store.open_writer().await.unwrap();
    server.tell("INT");
    for refused in [store.append(&batch(head)).await.map(drop), store.ping().await, store.tail(0, 1).await.map(drop)] {
        assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    }
    let refused = PostgresStore::open(&backend.options).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    server.tell("start");
    resume(&store).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_over_when_it_speaks() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.hasty().await;
    let head = store.open_writer().await.unwrap();
    server.tell("pause");
    let refused = store.append(&batch(head)).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    let refused = store.head().await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    server.tell("go");
    resume(&backend.store().await).await;
    let head = store.open_writer().await.unwrap();
    store.append(&batch(head)).await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_is_told_and_over_when_it_can_be_written() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.store().await;
    let head = store.open_writer().await.unwrap();
    server.set("default_transaction_read_only", "on").await;
    let (head, refused) = until_refused(&store, head).await;
    assert!(matches!(refused, LedgerError::ReadOnly(_)), "{refused:?}");
    assert_eq!(refused.code(), "ledger.read_only");
    let refused = store.append(&batch(head)).await;
    assert!(matches!(refused, Err(LedgerError::ReadOnly(_))), "{refused:?}");
    assert_eq!(assert_whole(&store).await, head, "it can be read all the same");
    server.set("default_transaction_read_only", "off").await;
    let head = loop {
        match store.append(&batch(head)).await {
            Ok(head) => break head,
            Err(error) => assert!(matches!(error, LedgerError::ReadOnly(_)), "{error:?}"),
        }
    };
    assert_eq!(assert_whole(&store).await, head);
}

/// Sessions hear of a changed setting one by one.
async fn until_refused(store: &PostgresStore, mut head: Head) -> (Head, LedgerError) {
    loop {
        match store.append(&batch(head)).await {
            Ok(next) => head = next,
            Err(error) => return (head, error),
        }
    }
}

#[tokio::test]
async fn a_commit_that_no_standby_confirms_is_not_acknowledged() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.hasty().await;
    let head = store.open_writer().await.unwrap();
    let head = store.append(&batch(head)).await.unwrap();
    server.set("synchronous_standby_names", "nobody").await;
    let (head, refused) = until_refused(&store, head).await;
    assert!(matches!(refused, LedgerError::Io(_)), "{refused:?}");
    server.set("synchronous_standby_names", "").await;
    let patient = backend.store().await;
    let now = patient.open_writer().await.unwrap();
    assert_eq!(assert_whole(&patient).await, now);
    assert_eq!(now.seq, head.seq + 1, "it was on the disk of the one that is left");
    store.append(&batch(now)).await.unwrap();
}

#[tokio::test]
async fn the_writer_is_durable_whatever_the_defaults() {
    let server = PostgresServer::start();
    server.set("synchronous_commit", "off").await;
    server.sql("ALTER ROLE postgres SET synchronous_commit = off").await;
    let backend = Postgres::on(&server);
    let store = backend.store().await;
    let mut head = store.open_writer().await.unwrap();
    for _ in 0..20 {
        head = store.append(&batch(head)).await.unwrap();
    }
    // With synchronous_commit off this would lose the last commits, which wait for the log writer.
    server.tell("KILL");
    server.tell("start");
    assert_eq!(assert_whole(&store).await, head);
}

#[tokio::test]
async fn a_held_log_is_busy_and_over_when_it_is_free() {
    let backend = Postgres::new();
    let server = SHARED.get().unwrap();
    let store = backend.hasty().await;
    let head = store.open_writer().await.unwrap();
    let schema = &backend.options.schema;
    let held = server.hold(&format!("BEGIN; SELECT 1 FROM {schema}.meta FOR UPDATE")).await;
    for _ in 0..2 {
        let refused = store.append(&batch(head)).await;
        assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
    }
    assert_eq!(assert_whole(&store).await, head);
    held.release().await;
    store.append(&batch(head)).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_writer_does_not_hold_the_log_for_ever() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = backend.hasty().await;
    let head = store.open_writer().await.unwrap();
    for _ in 0..20 {
        let batch = batch(head);
        // Given up at an early moment, with the row locked at times.
        let _ = tokio::time::timeout(Duration::from_micros(300), store.append(&batch)).await;
    }
    resume(&store).await;
    let connections = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'maojiawan'";
    assert!(server.ask(connections).await.len() <= 5, "one that writes and four that read");
}

#[tokio::test]
async fn connections_are_bounded_and_waiting_readers_are_served() {
    let server = PostgresServer::start();
    let backend = Postgres::on(&server);
    let store = Arc::new(backend.store().await);
    let head = store.open_writer().await.unwrap();
    store.append(&batch(head)).await.unwrap();
    let reads = (0..200).map(|_| {
        let store = store.clone();
        async move { store.tail(0, 10).await.unwrap().len() }
    });
    assert_eq!(futures::future::join_all(reads).await, vec![1; 200]);
    let sql = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'maojiawan'";
    assert!(server.ask(sql).await.len() <= 5);
}

#[tokio::test]
async fn two_openers_at_once_make_one_store() {
    let backend = Postgres::new();
    let (a, b) = tokio::join!(backend.open(), backend.open());
    assert_eq!(a.head().await.unwrap(), b.head().await.unwrap());
    assert_eq!(a.request_hash(b"x"), b.request_hash(b"x"));
    let (a, b) = tokio::join!(backend.telemetry(), backend.telemetry());
    assert_eq!(a.epoch().await.unwrap(), b.epoch().await.unwrap());
}

#[tokio::test]
async fn strange_keys_schemas_and_servers_are_told_at_the_start() {
    let (mine, other) = (Postgres::new(), Postgres::new());
    mine.store().await.close().await;
    other.store().await.close().await;
    let server = SHARED.get().unwrap();
    let key = mine.folder.path().join("master.key");
    std::fs::copy(other.folder.path().join("master.key"), &key).unwrap();
    assert!(matches!(PostgresStore::open(&mine.options).await, Err(LedgerError::Corrupt { .. })));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(PostgresStore::open(&mine.options).await, Err(LedgerError::MasterKey { .. })));
    assert!(!key.exists(), "a new key would hide the loss of the old one");
    for sql in ["INSERT INTO %.migrations VALUES (99, 'x')", "UPDATE %.migrations SET hash = 'x' WHERE version = 1"] {
        let backend = Postgres::new();
        backend.store().await.close().await;
        server.sql(&sql.replace('%', &backend.options.schema)).await;
        let refused = PostgresStore::open(&backend.options).await;
        assert!(matches!(refused, Err(LedgerError::Schema(_))), "{sql}: {refused:?}");
    }
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await;
    for (url, code) in [
        (server.url("latin"), "ledger.invalid"),
        (server.url("missing"), "ledger.unavailable"),
        ("postgres://postgres@127.0.0.1:1/postgres".to_owned(), "ledger.unavailable"),
    ] {
        let refused = PostgresStore::open(&PostgresOptions::new(&url, None, mine.folder.path()).unwrap()).await;
        assert_eq!(refused.unwrap_err().code(), code, "{url}");
    }
    for schema in ["", "a b", "a\"b", "pg_x", "A"] {
        let mut options = mine.options.clone();
        options.schema = schema.into();
        let refused = PostgresStore::open(&options).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { what: "schema", .. })), "{schema}: {refused:?}");
    }
    for url in ["", "mysql://u@h/d", "postgres://u:secret@h:port/d"] {
        let refused = PostgresOptions::new(url, None, mine.folder.path()).unwrap_err();
        assert!(
            matches!(refused, LedgerError::Invalid { what: "url", .. }) && !format!("{refused:?}").contains("secret")
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_refused() {
    let server = PostgresServer::start();
    server.set("fsync", "off").await;
    let refused = PostgresStore::open(&Postgres::on(&server).options).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "server", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_shown() {
    let server = PostgresServer::start();
    server.sql("CREATE ROLE centre LOGIN PASSWORD 'correct horse'").await;
    server.sql("CREATE DATABASE centre OWNER centre").await;
    server.set_access("local centre centre scram-sha-256\nlocal all postgres trust\n").await;
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("centre").replace("postgres@", "centre@");
    let with = |password| PostgresOptions::new(&url, password, folder.path()).unwrap();
    for wrong in [None, Some("wrong")] {
        let refused = PostgresStore::open(&with(wrong)).await;
        assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    }
    let options = with(Some("correct horse"));
    assert!(!format!("{options:?}").contains("horse"));
    resume(&PostgresStore::open(&options).await.unwrap()).await;
}

#[tokio::test]
async fn text_with_a_zero_byte_is_found_nowhere_and_refused() {
    let backend = Postgres::new();
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    assert_eq!(store.document("a", "1\0").await.unwrap(), None);
    assert!(store.stream_tail("a\0", 0, 1).await.unwrap().is_empty());
    assert!(store.documents(&Query { kind: "\0".into(), limit: 1, ..Query::default() }).await.unwrap().is_empty());
    assert_eq!(store.credential("\0").await.unwrap(), None);
    assert_eq!(store.add_failure("\0").await.unwrap(), 0);
    assert!(store.keys(&[ledger::InputKey::new("s", "\0")]).await.unwrap().is_empty());
    let outbox = vec![OutboxRow { kind: "k".into(), target: "t".into(), payload: "p".into(), due_ms: 0 }];
    store.append(&Batch { outbox, ..Batch::new(head) }).await.unwrap();
    let id = store.outbox_due(&["k"], 0, 1).await.unwrap()[0].id;
    assert!(store.outbox_retry(id, 0, 1, "a\0b").await.unwrap());
    assert_eq!(store.outbox_due(&["k"], 0, 1).await.unwrap()[0].last_error.as_deref(), Some("a\u{fffd}b"));
}

#[tokio::test]
async fn an_encrypted_server_is_verified() {
    let server = PostgresServer::start();
    // All of 127/8 is this machine: an address of its own needs no port of its own.
    let n = std::process::id();
    let host = format!("127.{}.{}.{}", 1 + n % 200, n / 200 % 200, 1 + n / 40_000 % 200);
    let issue = |host: &str| {
        let names = vec![host.to_owned()];
        rcgen::generate_simple_self_signed(names).unwrap()
    };
    let (own, stranger) = (issue(&host), issue(&host));
    let url = server.encrypt(&own.cert.pem(), &own.signing_key.serialize_pem(), &host).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = |name: &str, cert: &rcgen::Certificate| {
        let path = folder.path().join(name);
        std::fs::write(&path, cert.pem()).unwrap();
        path.display().to_string()
    };
    let options = |mode: &str| PostgresOptions::new(&format!("{url}?{mode}"), None, folder.path()).unwrap();
    let refused = PostgresStore::open(&options("sslmode=disable")).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "in clear: {refused:?}");
    let strange = format!("sslmode=verify-full&sslrootcert={}", ca("strange.pem", &stranger.cert));
    let refused = PostgresStore::open(&options(&strange)).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "not who it says: {refused:?}");
    let verified = format!("sslmode=verify-full&sslrootcert={}", ca("own.pem", &own.cert));
    let store = PostgresStore::open(&options(&verified)).await.unwrap();
    resume(&store).await;
    let sql = "SELECT s.ssl::text FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
               WHERE a.application_name = 'maojiawan'";
    let encrypted = server.ask(sql).await;
    assert!(!encrypted.is_empty() && encrypted.iter().all(|on| on == "true"), "{encrypted:?}");
}

#[tokio::test]
async fn ids_order_by_bytes_whatever_the_locale() {
    let server = PostgresServer::start();
    let locale = "LOCALE_PROVIDER icu ICU_LOCALE 'zh' LOCALE 'C.UTF-8'";
    server.sql(&format!("CREATE DATABASE zh ENCODING 'UTF8' {locale} TEMPLATE template0")).await;
    let folder = tempfile::tempdir().unwrap();
    let options = PostgresOptions::new(&server.url("zh"), None, folder.path()).unwrap();
    let store = PostgresStore::open(&options).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let ids = ["B", "a", "Z", "b", "A", "é", "中", "-"];
    let documents = ids.iter().map(|id| document("k", id, 1)).collect::<Vec<DocumentRow>>();
    store.append(&Batch { events: vec![event("a/1", "x")], documents, ..Batch::new(head) }).await.unwrap();
    let found = store.documents(&Query { kind: "k".into(), limit: 99, ..Query::default() }).await.unwrap();
    let mut expected = ids.to_vec();
    expected.sort_by_key(|id| std::cmp::Reverse((id.len(), *id)));
    assert_eq!(found.iter().map(|d| &*d.id).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn lists_follow_an_index() {
    let backend = Postgres::new();
    let store = backend.open().await;
    let mut head = store.open_writer().await.unwrap();
    for _ in 0..3 {
        let seqs = head.seq + 1..=head.seq + 1_000;
        let batch = Batch {
            events: seqs.clone().map(|_| event("a/1", "x")).collect(),
            documents: seqs
                .map(|s| {
                    let mut row = DocumentRow { open: s % 2 == 0, ..document("incident", &s.to_string(), s) };
                    row.columns.refs =
                        vec![("grid".into(), (s % 3).to_string()), ("household".into(), (s % 60).to_string())];
                    row.columns.due_ms = (s % 50 == 0).then_some(9);
                    row
                })
                .collect(),
            ..Batch::new(head)
        };
        head = store.append(&batch).await.unwrap();
    }
    let server = SHARED.get().unwrap();
    let schema = &backend.options.schema;
    server.sql(&format!("ANALYZE {schema}.documents, {schema}.document_refs")).await;
    for (filter, index) in [
        ("NOT d.deleted AND d.kind = 'incident'", "documents_order"),
        ("NOT d.deleted AND d.kind = 'incident' AND d.open", "documents_open"),
        ("NOT d.deleted AND d.kind = 'incident' AND d.stage = 'x' AND d.sort < '0043021'", "documents_stage"),
    ] {
        let sql = format!("EXPLAIN SELECT * FROM {schema}.documents d WHERE {filter} ORDER BY d.sort DESC LIMIT 50");
        let plan = server.ask(&sql).await.join("\n");
        assert!(plan.contains(&format!("using {index} on")) && !plan.contains("Sort"), "{plan}");
    }
    let walk = format!(
        "EXPLAIN SELECT d.payload FROM {schema}.document_refs r, {schema}.documents d WHERE r.role = 'grid' \
         AND r.ref_id = '1' AND r.kind = 'incident' AND d.kind = r.kind AND d.id = r.id AND NOT d.deleted \
         AND r.sort < '0042900' ORDER BY r.sort DESC LIMIT 50"
    );
    let due = format!(
        "EXPLAIN SELECT d.id FROM {schema}.documents d WHERE d.due_ms <= 9 AND NOT d.deleted \
         ORDER BY d.due_ms, d.kind, d.sort LIMIT 5"
    );
    for (sql, index) in [(walk, "document_refs_pkey"), (due, "documents_due")] {
        let plan = server.ask(&sql).await.join("\n");
        assert!(plan.contains(&format!("using {index} on")) && !plan.contains("Sort"), "{plan}");
    }
}
