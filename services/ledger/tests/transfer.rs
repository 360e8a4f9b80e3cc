//! Backup, restore and migration on both backends.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use ledger::{
    Batch, BlobId, Credential, DocumentRow, FoundBlob, Head, InputKey, KeyRow, LedgerError, NewBlob, Opened, OutboxRow,
    PendingObservation, PostgresOptions, PostgresStore, PostgresTelemetry, Query, Reading, RuleState, Session,
    SqliteOptions, SqliteStore, SqliteTelemetry, Store, Stranger, Tally, TallyBy, Telemetry, TelemetryBatch, VaultRow,
    conformance::{document, event},
    testing::postgres::PostgresServer,
    transfer::{self, Backup, Contents, Place, Restored},
};
use tempfile::TempDir;

static SERVER: OnceLock<PostgresServer> = OnceLock::new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A data folder, with or without a schema of a server.
struct Site {
    folder: TempDir,
    postgres: Option<PostgresOptions>,
}

impl Site {
    fn new(postgres: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schema = || format!("t{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let options = || SERVER.get_or_init(PostgresServer::start).options(&schema(), folder.path());
        let postgres = postgres.then(options);
        Self { postgres, folder }
    }

    /// An empty one, with the key of another.
    fn beside(other: &Self, postgres: bool) -> Self {
        let new = Self::new(postgres);
        fs::copy(other.path("master.key"), new.path("master.key")).unwrap();
        new
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self) -> Place {
        match &self.postgres {
            Some(options) => Place::postgres(options.clone(), self.folder.path()),
            None => Place::sqlite(self.folder.path()),
        }
    }

    async fn open(&self) -> (Arc<dyn Store>, Arc<dyn Telemetry>) {
        if let Some(options) = &self.postgres {
            let store = PostgresStore::open(options).await.unwrap();
            return (Arc::new(store), Arc::new(PostgresTelemetry::open(options).await.unwrap()));
        }
        let options = SqliteOptions::in_folder(self.folder.path());
        let telemetry = SqliteTelemetry::open(&self.path("telemetry.db"), options.busy_timeout).await.unwrap();
        (Arc::new(SqliteStore::open(&options).await.unwrap()), Arc::new(telemetry))
    }

    async fn backup(&self, to: &Path, with_key: bool) -> Contents {
        let what = Backup { to, with_key, at_ms: 5, program: "test" };
        transfer::backup(&self.place(), what, &mut |_| {}).await.unwrap()
    }

    async fn restore(&self, from: &Path, erasures: &[PathBuf]) -> ledger::Result<Restored> {
        transfer::restore(&self.place(), from, erasures, &mut |_| {}).await
    }

    /// Names of all files, to see that nothing changed.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn value(id: u64, subject: &str) -> VaultRow {
    VaultRow { id, subject: subject.into(), full: format!("full {id} 陈").as_str().into(), masked: "*".into() }
}

async fn put(store: &dyn Store, subject: &str, bytes: &[u8]) -> BlobId {
    let blob = NewBlob { subject: subject.into(), content_type: "image/jpeg".into(), max_bytes: 1 << 22, at_ms: 3 };
    store.put_blob(blob, &mut &*bytes).await.unwrap().id
}

/// Some of everything.
async fn fill(store: &dyn Store, telemetry: &dyn Telemetry) -> (Head, BlobId) {
    let mut head = store.open_writer().await.unwrap();
    let photo: Vec<u8> = (0..700_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let photo = put(store, "incident/1", &photo).await;
    let erased = put(store, "person/gone", b"gone").await;
    for round in 0..3_u64 {
        let seqs: Vec<u64> = (head.seq + 1..=head.seq + 700).collect();
        let last = *seqs.last().unwrap();
        let mut columns = document("incident", "x", last).columns;
        columns.units = vec!["fire".into(), "police".into()];
        (columns.level, columns.stage) = (Some(3), Some("open".into()));
        columns.due_ms = Some(round as i64 + 40);
        columns.refs = vec![("grid".into(), "g1".into()), ("building".into(), format!("{round} 栋"))];
        let rich = DocumentRow { columns, ..document("incident", &round.to_string(), last) };
        let gone = DocumentRow { deleted: true, open: false, ..document("patrol", &round.to_string(), last) };
        let outbox = |n: u64| OutboxRow {
            kind: "push".into(),
            target: format!("unit{n}"),
            payload: vec![0, 255, n as u8].into(),
            due_ms: n as i64,
        };
        let batch = Batch {
            events: seqs.iter().map(|s| event(&format!("incident/{round}"), &format!("{s} 卯家湾"))).collect(),
            documents: vec![rich, gone],
            vault: vec![value(last, "person/1"), value(last + 1, "person/gone")],
            outbox: vec![outbox(round), outbox(round + 10)],
            keys: vec![KeyRow {
                key: InputKey::new("mqtt", format!("k{round}")),
                request_hash: store.request_hash(b"body"),
                outcome: vec![1, 2].into(),
                at_ms: 9,
            }],
            blobs_used: vec![photo.clone(), erased.clone()],
            ..Batch::new(head)
        };
        head = store.append(&batch).await.unwrap();
    }
    head = store.append(&Batch { erase: vec!["person/gone".into()], ..Batch::new(head) }).await.unwrap();
    let due = store.outbox_due(&["push"], 100, 10).await.unwrap();
    store.outbox_retry(due[0].id, 77, 2, "连接被拒绝").await.unwrap();
    head = store.append(&Batch { outbox_done: vec![due[5].id], ..Batch::new(head) }).await.unwrap();
    let duty = Credential {
        account: "duty".into(),
        password_hash: "$argon2id$x".into(),
        failed: 1,
        locked_until_ms: 2,
        totp: Some("SEED".into()),
    };
    store.put_credential(&duty).await.unwrap();
    let session =
        Session { token_hash: [9; 32], account: "duty".into(), created_ms: 1, last_seen_ms: 2, expires_ms: 3 };
    store.put_session(&session).await.unwrap();
    let reading = |n: i64| Reading {
        sensor: format!("s{}", n % 7),
        at_ms: n,
        value: n as f64 / 3.0,
        unit: (n % 2 == 0).then(|| "°C".to_owned()),
    };
    let batch = TelemetryBatch {
        readings: (-50..1_500).map(reading).collect(),
        rule_states: vec![RuleState {
            sensor: "s1".into(),
            rule: "hot".into(),
            state: vec![0, 1].into(),
            held: Some((7, 12)),
        }],
        pending: vec![PendingObservation { key: "1/s1/hot/1".into(), payload: vec![3].into() }],
        strangers: vec![Stranger { device: "new".into(), format: "x".into(), first_ms: 1, last_ms: 2, count: 3 }],
    };
    telemetry.commit(batch).await.unwrap();
    (head, photo)
}

/// What can be read of a store, in words; what a restore changes on purpose is left out.
async fn all(store: &dyn Store, telemetry: &dyn Telemetry, photo: &BlobId) -> BTreeMap<&'static str, String> {
    let head = store.head().await.unwrap();
    let mut events = Vec::new();
    while (events.len() as u64) < head.seq {
        events.extend(store.tail(events.len() as u64, 1_000).await.unwrap());
    }
    let mut outbox = store.outbox_due(&["push"], i64::MAX, 100).await.unwrap();
    outbox.sort_by_key(|o| o.id);
    let vault: Vec<u64> = (1..=head.seq + 1).filter(|n| n % 700 < 2).collect();
    let keys: Vec<_> = (0..3).map(|n| InputKey::new("mqtt", format!("k{n}"))).collect();
    let FoundBlob::Blob(reader) = store.get_blob(photo).await.unwrap() else { panic!("no photo") };
    let mut found_keys = store.keys(&keys).await.unwrap();
    found_keys.sort_by(|a, b| a.key.cmp(&b.key));
    let opened = store.open(&vault).await.unwrap();
    let values = opened.iter().map(|(id, value)| match value {
        Opened::Value { full, masked } => format!("{id} {} {}", full.text(), masked.text()),
        other => format!("{id} {other:?}"),
    });
    BTreeMap::from([
        ("seq", head.seq.to_string()),
        ("events", format!("{events:?}")),
        ("documents", format!("{:?}", store.snapshot(&["incident", "patrol"], 1_000).await.unwrap().1)),
        ("due", format!("{:?}", store.due(i64::MAX, 9).await.unwrap())),
        ("by reference", format!("{:?}", store.documents(&in_grid()).await.unwrap())),
        ("tally", format!("{:?}", store.tally(&by_building()).await.unwrap())),
        ("tombstones", format!("{:?}", store.documents_between(head.seq - 900, head.seq).await.unwrap())),
        ("outbox", format!("{outbox:?}")),
        ("vault", values.collect::<Vec<_>>().join("\n")),
        ("keys", format!("{found_keys:?}")),
        ("hash", format!("{:?}", store.request_hash(b"body"))),
        ("photo", format!("{:?}", reader.bytes(1 << 22).await.unwrap())),
        ("credential", format!("{:?}", store.credential("duty").await.unwrap())),
        ("totp", store.credential("duty").await.unwrap().unwrap().totp.unwrap().text()),
        ("erasures", format!("{:?}", store.erasures().await.unwrap())),
        ("latest", format!("{:?}", telemetry.latest(None).await.unwrap())),
        ("history", format!("{:?}", telemetry.history("s3", i64::MIN, i64::MAX, 9_999).await.unwrap())),
        ("rules", format!("{:?}", telemetry.rule_states().await.unwrap())),
        ("pending", format!("{:?}", telemetry.pending(10).await.unwrap())),
        ("strangers", format!("{:?}", telemetry.strangers().await.unwrap())),
    ])
}

fn in_grid() -> Query {
    Query { kind: "incident".into(), refs: vec![("grid".into(), "g1".into())], limit: 9, ..Query::default() }
}

fn by_building() -> Tally {
    Tally { of: in_grid(), by: TallyBy::Ref("building".into()) }
}

async fn works_on(store: &dyn Store, telemetry: &dyn Telemetry) {
    let head = store.open_writer().await.unwrap();
    let outbox = vec![OutboxRow { kind: "late".into(), target: "t".into(), payload: "p".into(), due_ms: 0 }];
    let vault = vec![value(900_000, "person/new"), value(900_001, "person/1")];
    let batch = Batch { events: vec![event("a/1", "after")], outbox, vault, ..Batch::new(head) };
    store.append(&batch).await.unwrap();
    let readings = vec![Reading { sensor: "brand new".into(), at_ms: 1, value: 0.0, unit: None }];
    telemetry.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
}

async fn there_and_back(from_postgres: bool, into_postgres: bool) {
    let site = Site::new(from_postgres);
    let (store, telemetry) = site.open().await;
    let (head, photo) = fill(&*store, &*telemetry).await;
    let before = all(&*store, &*telemetry, &photo).await;
    let file = site.path("b.mjw");
    let contents = site.backup(&file, false).await;
    assert_eq!((contents.seq, contents.log_id, contents.with_key), (head.seq, head.log_id, false));
    assert!(contents.missing.is_empty() && contents.at_ms == 5);
    let key = fs::read_to_string(site.path("master.key")).unwrap();
    assert!(!ledger::conformance::holds(&fs::read(&file).unwrap(), key.trim().as_bytes()));

    let other = Site::beside(&site, into_postgres);
    let restored = other.restore(&file, &[]).await.unwrap();
    assert_eq!((restored.sessions, restored.erased.len()), (1, 0));
    let (new, new_telemetry) = other.open().await;
    assert_eq!(all(&*new, &*new_telemetry, &photo).await, before);
    let now = new.head().await.unwrap();
    assert!(now.log_id == restored.log_id && now.log_id != head.log_id && now.term > head.term);
    assert_ne!(new_telemetry.epoch().await.unwrap(), telemetry.epoch().await.unwrap());
    assert_eq!(new.session(&[9; 32]).await.unwrap(), None, "a login that may have ended since");
    assert!(store.session(&[9; 32]).await.unwrap().is_some());
    works_on(&*new, &*new_telemetry).await;
    works_on(&*store, &*telemetry).await;
    let id = |due: Vec<ledger::StoredOutbox>| due[0].id;
    let (ours, theirs) = (new.outbox_due(&["late"], 9, 1).await, store.outbox_due(&["late"], 9, 1).await);
    assert!(id(ours.unwrap()) > id(theirs.unwrap()), "a receiver knows the number of what the lost log sent");
    assert!(other.files().iter().all(|name| name != "restoring"));
}

#[tokio::test]
async fn sqlite_is_restored_into_sqlite() {
    there_and_back(false, false).await;
}

#[tokio::test]
async fn sqlite_is_restored_into_postgres() {
    there_and_back(false, true).await;
}

#[tokio::test]
async fn postgres_is_restored_into_sqlite() {
    there_and_back(true, false).await;
}

#[tokio::test]
async fn postgres_is_restored_into_postgres() {
    there_and_back(true, true).await;
}

async fn while_the_centre_writes(postgres: bool) {
    let site = Site::new(postgres);
    let (store, telemetry) = site.open().await;
    let (mut head, photo) = fill(&*store, &*telemetry).await;
    let first = head.seq;
    let file = site.path("b.mjw");
    let contents = {
        let work = site.backup(&file, false);
        let mut work = std::pin::pin!(work);
        // A whole append between any two steps of the backup, so that some come after its moment.
        loop {
            if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
                break done;
            }
            let batch = Batch {
                events: vec![event("incident/1", "meanwhile")],
                documents: vec![document("incident", "1", head.seq + 1)],
                ..Batch::new(head)
            };
            head = store.append(&batch).await.unwrap();
        }
    };
    assert!(contents.seq >= first && head.seq > contents.seq, "{first} {} {}", contents.seq, head.seq);
    let other = Site::beside(&site, false);
    other.restore(&file, &[]).await.unwrap();
    let (new, new_telemetry) = other.open().await;
    let found = all(&*new, &*new_telemetry, &photo).await;
    assert_eq!(found["seq"], contents.seq.to_string());
    let rev = new.document("incident", "1").await.unwrap().unwrap().rev_seq;
    assert!(if contents.seq == first { rev <= first } else { rev == contents.seq }, "{rev} of {}", contents.seq);
}

#[tokio::test]
async fn a_backup_of_sqlite_is_one_moment_while_the_centre_writes() {
    while_the_centre_writes(false).await;
}

#[tokio::test]
async fn a_backup_of_postgres_is_one_moment_while_the_centre_writes() {
    while_the_centre_writes(true).await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_changes() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    fill(&*store, &*telemetry).await;
    let file = site.path("b.mjw");
    site.backup(&file, false).await;
    let whole = fs::read(&file).unwrap();
    let other = Site::beside(&site, false);
    let torn = other.path("torn");
    fs::write(&torn, b"").unwrap();
    let before = other.files();
    let step = whole.len() / 40;
    for at in (0..whole.len()).step_by(step) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        for (bytes, what) in [(&flipped[..], "flipped"), (&whole[..at], "cut")] {
            fs::write(&torn, bytes).unwrap();
            let refused = other.restore(&torn, &[]).await;
            let Err(LedgerError::File { file, at: told, .. }) = refused else { panic!("{what} at {at}: {refused:?}") };
            assert!(file.ends_with("torn") && told <= whole.len() as u64);
            assert!(
                what == "cut" || told <= at as u64 || told == whole.len() as u64 || told >= whole.len() as u64 - 48
            );
        }
    }
    assert_eq!(other.files(), before);
    fs::write(&torn, &whole).unwrap();
    other.restore(&torn, &[]).await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let file = site.path("b.mjw");
    site.backup(&file, false).await;
    let before = all(&*store, &*telemetry, &photo).await;
    for postgres in [false, true] {
        let used = Site::new(postgres);
        used.open().await;
        // SQLite's own side files come and go with its connections.
        let lasting = |used: &Site| used.files().into_iter().filter(|f| !f.contains(".db-")).collect::<Vec<_>>();
        let files = lasting(&used);
        let refused = used.restore(&file, &[]).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { what: "target", .. })), "{refused:?}");
        assert_eq!(lasting(&used), files);
    }
    let refused = site.restore(&file, &[]).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "target", .. })), "{refused:?}");
    assert_eq!(all(&*store, &*telemetry, &photo).await, before);
    let beside = ["ledger.db", "telemetry.db"]
        .into_iter()
        .flat_map(|db| ["", "-wal", "-shm", "-journal"].map(|e| format!("{db}{e}")));
    for left in beside.chain(["blobs/x".to_owned(), "archive/x".to_owned()]) {
        let other = Site::beside(&site, false);
        let path = other.path(&left);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        let refused = other.restore(&file, &[]).await;
        let Err(LedgerError::Invalid { what: "target", reason }) = refused else { panic!("{left}: {refused:?}") };
        assert!(reason.contains(left.split('/').next().unwrap()) || left == "ledger.db", "{left}: {reason}");
    }
    let what = Backup { to: &file, with_key: false, at_ms: 0, program: "" };
    let refused = transfer::backup(&site.place(), what, &mut |_| {}).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "file", .. })), "an old backup stays: {refused:?}");
}

#[tokio::test]
async fn the_master_key_is_apart_unless_asked_for() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let (without, with) = (site.path("without"), site.path("with"));
    site.backup(&without, false).await;
    assert!(site.backup(&with, true).await.with_key);
    let keyless = Site::new(false);
    let refused = keyless.restore(&without, &[]).await;
    assert!(matches!(refused, Err(LedgerError::MasterKey { .. })), "{refused:?}");
    let stranger = Site::new(false);
    let another = Site::new(false);
    another.open().await;
    fs::copy(another.path("master.key"), stranger.path("master.key")).unwrap();
    let refused = stranger.restore(&with, &[]).await;
    assert!(matches!(refused, Err(LedgerError::Corrupt { .. })), "{refused:?}");
    assert!(!stranger.path("ledger.db").exists());
    keyless.restore(&with, &[]).await.unwrap();
    assert_eq!(fs::read(keyless.path("master.key")).unwrap(), fs::read(site.path("master.key")).unwrap());
    let (new, new_telemetry) = keyless.open().await;
    assert_eq!(all(&*new, &*new_telemetry, &photo).await["totp"], "SEED");
}

async fn erased_stays_erased(postgres: bool) {
    let site = Site::new(postgres);
    let (store, telemetry) = site.open().await;
    fill(&*store, &*telemetry).await;
    let mut head = store.open_writer().await.unwrap();
    let secret = put(&*store, "person/2", b"a face").await;
    let vault = vec![value(10_001, "person/2"), value(10_002, "person/3")];
    let blobs_used = vec![secret.clone()];
    head = store.append(&Batch { vault, blobs_used, ..Batch::new(head) }).await.unwrap();
    let (old, new) = (site.path("old"), site.path("new"));
    site.backup(&old, false).await;
    head = store.append(&Batch { erase: vec!["person/2".into()], ..Batch::new(head) }).await.unwrap();
    // The same person calls again: what is said now was never erased.
    store.append(&Batch { vault: vec![value(10_003, "person/2")], ..Batch::new(head) }).await.unwrap();
    site.backup(&new, false).await;

    let journal = site.path("erasures.log");
    for erasures in [journal.clone(), new.clone()] {
        let other = Site::beside(&site, postgres);
        let restored = other.restore(&old, &[erasures]).await.unwrap();
        assert_eq!(restored.erased, ["person/2"]);
        let (store, _) = other.open().await;
        let found = store.open(&[10_001, 10_002, 10_003]).await.unwrap();
        assert_eq!(found[0].1, Opened::Erased);
        assert!(matches!(found[1].1, Opened::Value { .. }) && found[2].1 == Opened::Missing);
        assert!(matches!(store.get_blob(&secret).await.unwrap(), FoundBlob::Erased));
        assert!(store.erasures().await.unwrap().iter().any(|(subject, _)| subject == "person/2"));
        // And again, from a backup of the restored one into a third.
        let again = other.path("again");
        other.backup(&again, false).await;
        let third = Site::beside(&site, postgres);
        fs::copy(other.path("erasures.log"), third.path("erasures.log")).unwrap();
        third.restore(&again, &[]).await.unwrap();
        assert_eq!(third.open().await.0.open(&[10_001]).await.unwrap()[0].1, Opened::Erased);
    }
    // What names no erasure has not been checked for any.
    let other = Site::beside(&site, postgres);
    for (name, text) in [("notes.txt", "nothing of the kind\n"), ("empty", "")] {
        fs::write(site.path(name), text).unwrap();
        let refused = other.restore(&old, &[journal.clone(), site.path(name)]).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { what: "erasures", .. })), "{name}: {refused:?}");
    }
    let refused = other.restore(&old, &[site.path("not there")]).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "erasures", .. })), "{refused:?}");
    // A damaged line may have been the one that counts: it is told.
    let mut lines = fs::read(&journal).unwrap();
    lines[3] ^= 1;
    fs::write(other.path("erasures.log"), "").unwrap();
    fs::write(site.path("damaged"), &lines).unwrap();
    let restored = other.restore(&old, &[site.path("damaged")]).await.unwrap();
    assert_eq!((restored.unread, restored.journals), (1, vec![site.path("damaged")]), "an empty file is none");
    // Without any word of it the old value is back: that is why the journal is kept apart.
    let other = Site::beside(&site, postgres);
    assert!(other.restore(&old, &[]).await.unwrap().erased.is_empty());
    // The newer backup knows it, and what came after stays.
    let other = Site::beside(&site, postgres);
    fs::copy(&journal, other.path("erasures.log")).unwrap();
    assert!(other.restore(&new, &[]).await.unwrap().erased.is_empty());
    let found = other.open().await.0.open(&[10_001, 10_003]).await.unwrap();
    assert!(matches!(found[1].1, Opened::Value { .. }), "{found:?}");
}

#[tokio::test]
async fn what_was_erased_after_a_backup_of_sqlite_stays_erased() {
    erased_stays_erased(false).await;
}

#[tokio::test]
async fn what_was_erased_after_a_backup_of_postgres_stays_erased() {
    erased_stays_erased(true).await;
}

async fn moved(elsewhere: bool) {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (head, photo) = fill(&*store, &*telemetry).await;
    let before = all(&*store, &*telemetry, &photo).await;
    let epoch = telemetry.epoch().await.unwrap();
    let other = Site::beside(&site, true);
    let mut options = other.postgres.clone().unwrap();
    let folder = if elsewhere { other.folder.path() } else { site.folder.path() };
    (options.blobs, options.master_key) = (folder.join("blobs"), folder.join("master.key"));
    let into = Place::postgres(options.clone(), folder);
    let pairs = transfer::migrate(&site.place(), &into, &mut |_| {}).await.unwrap();
    assert!(pairs.len() > 15 && pairs.iter().all(|pair| pair.written == pair.stored));
    assert!(pairs.iter().any(|pair| pair.stored.table == "events" && pair.stored.rows == head.seq));
    let new: Arc<dyn Store> = Arc::new(PostgresStore::open(&options).await.unwrap());
    let new_telemetry = PostgresTelemetry::open(&options).await.unwrap();
    assert_eq!(all(&*new, &new_telemetry, &photo).await, before);
    assert_eq!(new.head().await.unwrap(), head, "the log is the same one");
    assert_eq!(new_telemetry.epoch().await.unwrap(), epoch);
    assert!(new.session(&[9; 32]).await.unwrap().is_some());
    works_on(&*new, &new_telemetry).await;
    assert_eq!(all(&*store, &*telemetry, &photo).await, before, "the source is as it was");
    let refused = transfer::migrate(&site.place(), &into, &mut |_| {}).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "target", .. })), "{refused:?}");
    assert!(!transfer::unfinished(folder));
    let told = transfer::moved(site.folder.path()).expect("the old data say where they moved");
    assert!(told.to == options.place() && told.mark.starts_with(site.folder.path()), "{told:?}");
    fs::remove_file(told.mark).unwrap();
    assert_eq!(transfer::moved(site.folder.path()), None, "on purpose they can be used again");
}

#[tokio::test]
async fn sqlite_moves_to_postgres_in_the_same_folder() {
    moved(false).await;
}

#[tokio::test]
async fn sqlite_moves_to_postgres_in_another_folder() {
    moved(true).await;
}

#[tokio::test]
async fn a_migration_that_breaks_off_leaves_nothing_and_can_be_repeated() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let before = all(&*store, &*telemetry, &photo).await;
    let other = Site::beside(&site, true);
    let options = other.postgres.clone().unwrap();
    let server = SERVER.get().unwrap();
    for after in [1_usize, 4, 12, 20] {
        let (from, into) = (site.place(), other.place());
        let mut steps = 0;
        let mut watch = |_: transfer::Progress<'_>| {
            steps += 1;
            assert!(steps <= after, "broken off here");
        };
        let work = std::panic::AssertUnwindSafe(transfer::migrate(&from, &into, &mut watch));
        let broken = futures::FutureExt::catch_unwind(work).await;
        assert!(broken.is_err(), "after {after}");
    }
    let idle = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'maojiawan transfer'";
    while !server.ask(idle).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let schema = &options.schema;
    let sql = format!("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE '{schema}%'");
    assert!(server.ask(&sql).await.is_empty(), "nothing is there");
    transfer::migrate(&site.place(), &other.place(), &mut |_| {}).await.unwrap();
    let (new, new_telemetry) = other.open().await;
    assert_eq!(all(&*new, &*new_telemetry, &photo).await, before);
}

#[tokio::test]
async fn a_restore_that_was_cut_off_is_told_and_can_be_repeated() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let file = site.path("b.mjw");
    site.backup(&file, false).await;
    let whole = Site::beside(&site, false);
    whole.restore(&file, &[]).await.unwrap();
    // As a crash leaves it after each of the last steps: the mark is there, some have moved and some have not.
    let names = ["blobs", "archive", "telemetry.db", "ledger.db"];
    for moved in 0..=names.len() {
        let torn = Site::beside(&site, false);
        fs::create_dir(torn.path("restoring")).unwrap();
        fs::write(torn.path("restoring/placing"), "SQLite").unwrap();
        for (n, name) in names.iter().enumerate() {
            let to = if n < moved { torn.path(name) } else { torn.path("restoring").join(name) };
            copy(&whole.path(name), &to);
        }
        let complete = moved == names.len();
        assert_eq!(transfer::unfinished(torn.folder.path()), !complete, "{moved}");
        if !complete {
            torn.restore(&file, &[]).await.unwrap();
        }
        assert!(!transfer::unfinished(torn.folder.path()));
        let (new, new_telemetry) = torn.open().await;
        assert_eq!(all(&*new, &*new_telemetry, &photo).await["seq"], store.head().await.unwrap().seq.to_string());
    }
    // A crash before the mark: nothing of the target has changed.
    let torn = Site::beside(&site, false);
    fs::create_dir(torn.path("restoring")).unwrap();
    fs::write(torn.path("restoring/ledger.db"), "half").unwrap();
    assert!(!transfer::unfinished(torn.folder.path()));
    torn.restore(&file, &[]).await.unwrap();
}

#[tokio::test]
async fn a_restore_that_was_cut_off_after_its_commit_is_completed() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let before = all(&*store, &*telemetry, &photo).await;
    let file = site.path("b.mjw");
    site.backup(&file, false).await;
    let torn = Site::beside(&site, true);
    let restored = torn.restore(&file, &[]).await.unwrap();
    let mark = |id: &str| {
        fs::create_dir_all(torn.path("restoring")).unwrap();
        fs::write(torn.path("restoring/placing"), format!("PostgreSQL\n{id}")).unwrap();
    };
    mark("1");
    assert_eq!(transfer::complete(&torn.place()).await.unwrap(), None, "what is there is another log");
    let refused = torn.restore(&file, &[]).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "target", .. })), "{refused:?}");
    assert!(transfer::unfinished(torn.folder.path()), "nothing was changed, so it is told still");
    // As this program writes it, and as one before it did.
    for id in [restored.log_id.to_string(), String::new()] {
        mark(&id);
        assert!(transfer::unfinished(torn.folder.path()));
        assert_eq!(transfer::complete(&torn.place()).await.unwrap(), Some(restored.log_id));
        assert!(!transfer::unfinished(torn.folder.path()) && !torn.path("restoring").exists());
    }
    assert_eq!(transfer::complete(&torn.place()).await.unwrap(), None, "once is enough");
    let (new, new_telemetry) = torn.open().await;
    assert_eq!(all(&*new, &*new_telemetry, &photo).await, before);
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

async fn with_old_months(postgres: bool) {
    let site = Site::new(postgres);
    let (store, telemetry) = site.open().await;
    let (head, photo) = fill(&*store, &*telemetry).await;
    let before = all(&*store, &*telemetry, &photo).await;
    // The events of these tests are of November 2023.
    let what = ledger::Archiving { site: "mao", now_ms: 1_720_000_000_000, months: 2 };
    assert_eq!(store.archive(&what).await.unwrap().events, head.seq);
    let file = site.path("b.mjw");
    let contents = site.backup(&file, false).await;
    let rows = |name: &str| contents.tables.iter().find(|t| t.table == name).unwrap().rows;
    assert_eq!((rows("events"), rows("archive_files")), (0, 1));
    let other = Site::beside(&site, !postgres);
    other.restore(&file, &[]).await.unwrap();
    let (new, new_telemetry) = other.open().await;
    assert_eq!(all(&*new, &*new_telemetry, &photo).await, before);
}

#[tokio::test]
async fn files_of_old_months_are_in_a_backup_of_sqlite() {
    with_old_months(false).await;
}

#[tokio::test]
async fn files_of_old_months_are_in_a_backup_of_postgres() {
    with_old_months(true).await;
}

#[tokio::test]
async fn a_lost_blob_is_told_and_keeps_nothing_from_being_saved() {
    let site = Site::new(false);
    let (store, telemetry) = site.open().await;
    let (_, photo) = fill(&*store, &*telemetry).await;
    let other = put(&*store, "incident/1", b"other").await;
    fs::remove_file(site.path("blobs").join(other.as_str())).unwrap();
    let file = site.path("b.mjw");
    assert_eq!(site.backup(&file, false).await.missing, [other.as_str()]);
    let new = Site::beside(&site, false);
    new.restore(&file, &[]).await.unwrap();
    let (store, telemetry) = new.open().await;
    all(&*store, &*telemetry, &photo).await;
}
