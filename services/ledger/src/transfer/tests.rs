//! The list of tables against the schema of each backend.

use std::collections::BTreeSet;

use sqlx::{Connection, Row as _, SqliteConnection};

use super::tables::{COUNTED, Part, TABLES};
use crate::{
    PostgresStore, PostgresTelemetry, SqliteOptions, SqliteStore, SqliteTelemetry, testing::postgres::PostgresServer,
};

/// `part.table.column`, as a backup holds them.
fn listed() -> BTreeSet<String> {
    let tables = TABLES.iter().filter(|table| table.part != Part::None);
    let name = |part| if part == Part::Telemetry { "telemetry" } else { "log" };
    tables.flat_map(|t| t.columns.iter().map(move |c| format!("{}.{}.{}", name(t.part), t.stored(), c.name))).collect()
}

fn without_bookkeeping(found: impl Iterator<Item = String>) -> BTreeSet<String> {
    // Migrations are of the program; `one` of meta is listed as any other column.
    found.filter(|name| !name.contains(".migrations.") && !name.contains(".sqlite_")).collect()
}

#[tokio::test]
async fn every_table_and_column_of_sqlite_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::in_folder(folder.path());
    SqliteStore::open(&options).await.unwrap().close().await;
    let telemetry = folder.path().join("telemetry.db");
    SqliteTelemetry::open(&telemetry, options.busy_timeout).await.unwrap().close().await;
    let mut found = Vec::new();
    for (part, file) in [("log", &options.file), ("telemetry", &telemetry)] {
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        let sql = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";
        let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
        found.extend(rows.iter().map(|r| format!("{part}.{}.{}", r.get::<String, _>(0), r.get::<String, _>(1))));
        let sql = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'";
        for row in sqlx::query(sql).fetch_all(&mut conn).await.unwrap() {
            let name = row.get::<String, _>(0);
            assert!(COUNTED.iter().any(|c| c.table == name), "{name} counts and is not listed");
        }
    }
    assert_eq!(without_bookkeeping(found.into_iter()), listed());
}

#[tokio::test]
async fn every_table_and_column_of_postgres_is_listed() {
    let server = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    let options = server.options("s", folder.path());
    PostgresStore::open(&options).await.unwrap().close().await;
    PostgresTelemetry::open(&options).await.unwrap().close().await;
    let mut found = Vec::new();
    for (part, schema) in [("log", "s"), ("telemetry", "s_telemetry")] {
        let from = format!("FROM information_schema.columns WHERE table_schema = '{schema}'");
        let sql = format!("SELECT table_name || '.' || column_name {from}");
        found.extend(server.ask(&sql).await.into_iter().map(|name| format!("{part}.{name}")));
        for name in server.ask(&format!("SELECT table_name::text {from} AND is_identity = 'YES'")).await {
            assert!(COUNTED.iter().any(|c| c.table == name), "{name} counts and is not listed");
        }
    }
    assert_eq!(without_bookkeeping(found.into_iter()), listed());
}

#[test]
fn the_backends_are_of_one_shape() {
    let versions = |all: &[crate::schema::Migration]| all.iter().map(|m| m.version).collect::<Vec<_>>();
    assert_eq!(versions(crate::sqlite::MIGRATIONS), versions(crate::postgres::MIGRATIONS));
    let telemetry = (crate::sqlite::telemetry::MIGRATIONS, crate::postgres::telemetry::MIGRATIONS);
    assert_eq!(versions(telemetry.0), versions(telemetry.1));
}

#[test]
fn names_are_unique_and_keys_are_columns() {
    let names: BTreeSet<_> = TABLES.iter().map(|t| t.name).collect();
    assert_eq!(names.len(), TABLES.len());
    for table in TABLES {
        assert!(table.key.iter().all(|k| table.column(k) < table.columns.len()), "{}", table.name);
    }
    let mut counted: Vec<_> = COUNTED.iter().map(super::tables::Counter::name).collect();
    let given = counted.clone();
    counted.sort();
    assert_eq!(given, counted, "in the order of their key");
}
