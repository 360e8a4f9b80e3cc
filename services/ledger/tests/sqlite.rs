//! The conformance suite on SQLite, and properties by many cases.
#![allow(clippy::unwrap_used)]

use std::{panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt as _;
use ledger::{
    LocalBus, SqliteOptions, SqliteStore, SqliteTelemetry, Store, Telemetry,
    conformance::{self, Backend},
    testing::{Faults, FaultyBus},
};
use proptest::prelude::*;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&SqliteOptions::in_folder(self.0.path())).await.unwrap())
    }

    async fn telemetry(&self) -> Arc<dyn Telemetry> {
        let file = self.0.path().join("telemetry.db");
        Arc::new(SqliteTelemetry::open(&file, Duration::from_secs(5)).await.unwrap())
    }

    async fn raw(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for folder in [self.0.path().to_owned(), self.0.path().join("blobs")] {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let key = entry.file_name() == "master.key";
                if !key && entry.file_type().unwrap().is_file() {
                    all.extend(std::fs::read(entry.path()).unwrap());
                }
            }
        }
        all
    }

    fn files(&self) -> &Path {
        self.0.path()
    }
}

ledger::conformance!(Sqlite::new());

#[tokio::test]
async fn the_comparison_with_a_model_would_find_what_is_lost_or_left() {
    let mut n = 0_u8;
    let mut drawn = || {
        std::array::from_fn(|_| {
            n = n.wrapping_mul(29).wrapping_add(83);
            n
        })
    };
    let batches: Vec<Vec<[u8; 6]>> = (0..4).map(|_| (0..20).map(|_| drawn()).collect()).collect();
    for (damage, found) in [
        ("SELECT 1", false),
        ("DELETE FROM document_refs WHERE role = 'tag'", true),
        (
            "INSERT OR IGNORE INTO document_refs SELECT 'tag', '0', kind, sort, id FROM documents WHERE deleted = 0",
            true,
        ),
        ("UPDATE documents SET refs = ''", true),
        ("UPDATE documents SET due_ms = due_ms + 1", true),
        ("UPDATE documents SET deleted = 0", true),
    ] {
        let backend = Sqlite::new();
        let (store, model) = conformance::record::both_after(&backend, &batches).await;
        let file = backend.0.path().join("ledger.db");
        let mut other = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        sqlx::query(damage).execute(&mut other).await.unwrap();
        let compared = AssertUnwindSafe(conformance::record::same_answers(&*store, &model)).catch_unwind().await;
        assert_eq!(compared.is_err(), found, "{damage}");
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tail_is_complete(sizes in prop::collection::vec(0..40_usize, 1..8), page in 1..50_usize) {
        block_on(async { conformance::log::tail_is_complete(&Sqlite::new(), &sizes, page).await });
    }

    #[test]
    fn records_agree_with_a_model(batches in prop::collection::vec(prop::collection::vec(any::<[u8; 6]>(), 0..30), 0..6)) {
        block_on(async { conformance::record::agrees_with_a_model(&Sqlite::new(), &batches).await });
    }

    #[test]
    fn a_reader_yields_each_event_once_whatever_the_bus_does(
        seed: u64,
        (dropped, doubled, held) in (0..34_u8, 0..33_u8, 0..33_u8),
        sizes in prop::collection::vec(0..12_usize, 1..10),
        capacity in 1..20_usize,
    ) {
        block_on(async {
            let backend = Sqlite::new();
            let bus = FaultyBus::new(LocalBus::new(capacity), seed, Faults { dropped, doubled, held });
            conformance::bus::follows(backend.open().await, &bus, &sizes, Duration::from_millis(2)).await;
        });
    }
}
