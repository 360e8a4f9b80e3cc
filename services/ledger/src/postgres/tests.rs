//! What a server keeps of a destroyed key.

use super::*;
use crate::{Batch, Log, Vault, VaultRow, testing::postgres::PostgresServer};

#[tokio::test]
async fn a_destroyed_key_is_vacuumed_away_when_the_last_old_reader_is_gone() {
    let server = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    let store = PostgresStore::open(&server.options("v", folder.path())).await.unwrap();
    let head = store.open_writer().await.unwrap();
    let vault = vec![VaultRow { id: 1, subject: "p/1".into(), full: "f".into(), masked: "m".into() }];
    let head = store.append(&Batch { vault, ..Batch::new(head) }).await.unwrap();
    server.sql("CREATE EXTENSION pgstattuple").await;
    let dead = || server.ask("SELECT dead_tuple_count::text FROM pgstattuple('v.subject_keys')");
    // As a backup does.
    let backup = server.hold("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM v.meta").await;
    store.append(&Batch { erase: vec!["p/1".into()], ..Batch::new(head) }).await.unwrap();
    assert_eq!(dead().await, ["1"], "the one who reads may need it");
    backup.release().await;
    store.forget_destroyed().await.unwrap();
    assert_eq!(dead().await, ["0"]);
}
