//! The connections to one schema, its migrations, and the mapping of PostgreSQL's errors.
//!
//! One writer connection and a few for reading, each bounded in time on both sides: the server cancels a statement and
//! ends an abandoned transaction, the client gives a silent server up.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Decode, Postgres, Row, Type,
    postgres::{PgConnectOptions, PgDatabaseError, PgRow},
};

use super::slots::{Lease, Reuse, Slots, Statement};
use crate::{
    LedgerError, Result,
    rows::counter,
    schema::{Migration, missing},
};

/// The oldest server that is tested.
const OLDEST: i32 = 150_000;
/// A snapshot may take this many times as long as other calls.
const SNAPSHOT: u32 = 6;
/// As good as no bound.
const LONGEST_MIGRATION: Duration = Duration::from_secs(86_400);

/// The connections to one schema.
pub(super) struct Db {
    writer: Arc<Slots>,
    reader: Arc<Slots>,
    /// Begins a snapshot, with the time that it has.
    snapshot: String,
}

impl Db {
    /// Plans connections; none is made yet.
    pub(super) fn new(base: &PgConnectOptions, schema: &str, readers: u32, patience: Duration) -> Result<Self> {
        check_schema(schema)?;
        let ms = |d: Duration| d.as_millis().max(1).to_string();
        let options = base.clone().application_name("maojiawan").statement_cache_capacity(128).options([
            ("search_path", schema.to_owned()),
            // The promise of an answer: on disk, whatever the server's, the database's or the role's default says.
            ("synchronous_commit", "on".to_owned()),
            ("default_transaction_isolation", "read committed".to_owned()),
            ("lock_timeout", ms(patience / 2)),
            ("idle_in_transaction_session_timeout", ms(patience * 2)),
            ("tcp_user_timeout", ms(patience * 2)),
            ("client_connection_check_interval", "2000".to_owned()),
            ("client_min_messages", "error".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        // Before the client's own deadline, so that the answer is the server's and the connection stays good.
        let options = options.options([("statement_timeout", ms(patience * 3 / 4))]);
        let snapshot = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
            ms(patience * SNAPSHOT * 3 / 4)
        );
        let (writer, reader) = (Slots::new(options.clone(), 1, patience), Slots::new(options, readers, patience));
        Ok(Self { writer, reader, snapshot })
    }

    /// A write transaction; rolled back when dropped.
    pub(super) async fn write(&self) -> Result<Lease> {
        let mut lease = self.writer.lend(1, Reuse::Recent).await?;
        lease.begin("BEGIN").await?;
        Ok(lease)
    }

    /// The writer outside a transaction.
    pub(super) async fn writer(&self) -> Result<Lease> {
        self.writer.lend(1, Reuse::Asked).await
    }

    /// For single reads.
    pub(super) async fn read(&self) -> Result<Lease> {
        self.reader.lend(1, Reuse::Asked).await
    }

    /// A read transaction: all its reads see one state.
    pub(super) async fn snapshot(&self) -> Result<Lease> {
        let mut lease = self.reader.lend(SNAPSHOT, Reuse::Recent).await?;
        lease.begin(&self.snapshot).await?;
        Ok(lease)
    }

    /// One read that returns at most `most` rows.
    pub(super) async fn collect<T>(
        &self,
        statement: Statement<'_>,
        map: fn(&PgRow) -> Result<T>,
        most: usize,
    ) -> Result<Vec<T>> {
        nothing_for_zero(self.read().await?.collect(statement, map, most).await, Vec::new())
    }

    /// One read of one row.
    pub(super) async fn optional(&self, statement: Statement<'_>) -> Result<Option<PgRow>> {
        nothing_for_zero(self.read().await?.optional(statement).await, None)
    }

    /// One read of a row that is always there.
    pub(super) async fn one(&self, statement: Statement<'_>) -> Result<PgRow> {
        self.read().await?.one(statement).await
    }

    /// Runs one statement in a transaction of its own; rows changed.
    pub(super) async fn change(&self, statement: Statement<'_>) -> Result<u64> {
        let mut tx = self.write().await?;
        let done = tx.execute(statement).await?;
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Checks the server and brings the schema up to date. The transaction is left to the caller, so that the first
    /// rows come with the tables; a lock keeps other processes out until it ends.
    pub(super) async fn migrate(&self, schema: &str, migrations: &[Migration]) -> Result<Lease> {
        let mut tx = self.write().await?;
        check_server(&mut tx).await?;
        tx.optional(sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(schema)).await?;
        let known = tx.optional(sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1").bind(schema)).await?;
        if known.is_none() {
            tx.script(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).await?;
        }
        let tables = "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, hash TEXT NOT NULL)";
        tx.script(tables).await?;
        let applied = sqlx::query("SELECT version, hash FROM migrations ORDER BY version");
        let applied = tx.collect(applied, |row| Ok((get(row, 0)?, get(row, 1)?)), usize::MAX).await?;
        let missing = missing(&applied, migrations)?;
        if !missing.is_empty() {
            // A change of large tables takes as long as it takes; cut off, it would begin anew each time.
            tx.script("SET LOCAL statement_timeout = 0").await?;
            tx.until(LONGEST_MIGRATION);
        }
        for m in missing {
            tx.script(m.sql).await?;
            tx.execute(sqlx::query("INSERT INTO migrations VALUES ($1, $2)").bind(m.version).bind(m.hash())).await?;
        }
        tx.until(self.writer.patience());
        Ok(tx)
    }
}

/// The name is written into statements, so it must be nothing but a name.
pub(super) fn check_schema(schema: &str) -> Result<()> {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if schema.is_empty() || schema.len() > 60 || !schema.chars().all(fit) || schema.starts_with("pg_") {
        return Err(LedgerError::invalid("schema", "must be a-z, 0-9 and _, at most 60, not pg_…"));
    }
    Ok(())
}

const SETTINGS: &str = "SELECT current_setting('server_version_num')::int, current_setting('fsync'), \
                        current_setting('full_page_writes'), current_setting('server_encoding')";

async fn check_server(tx: &mut Lease) -> Result<()> {
    fit_server(&tx.one(sqlx::query(SETTINGS)).await?)
}

/// Refuses a server that is too old, not UTF8 or does not sync.
pub(super) async fn check_settings(conn: &mut sqlx::PgConnection) -> Result<()> {
    fit_server(&sqlx::query(SETTINGS).fetch_one(conn).await.map_err(db_error)?)
}

fn fit_server(row: &PgRow) -> Result<()> {
    fit(get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?)
}

/// Of the number of a server's version and what its settings say.
fn fit(version: i32, fsync: &str, full_page_writes: &str, encoding: &str) -> Result<()> {
    if version < OLDEST {
        return Err(LedgerError::invalid("server", "is older than PostgreSQL 15"));
    }
    if fsync != "on" || full_page_writes != "on" {
        return Err(LedgerError::invalid("server", "has fsync or full_page_writes off: answers would be no promise"));
    }
    if encoding != "UTF8" {
        return Err(LedgerError::invalid("server", "the database is not UTF8"));
    }
    Ok(())
}

/// No text of PostgreSQL holds a zero byte: what is asked for with one is stored nowhere.
fn nothing_for_zero<T>(found: Result<T>, nothing: T) -> Result<T> {
    match found {
        Err(LedgerError::Invalid { what: ZERO, .. }) => Ok(nothing),
        found => found,
    }
}

const ZERO: &str = "text";

/// Tells PostgreSQL's failures apart by SQLSTATE, for all but commits: nothing was stored.
pub(super) fn db_error(error: sqlx::Error) -> LedgerError {
    match &error {
        sqlx::Error::Database(e) => {
            let code = e.code().map(std::borrow::Cow::into_owned).unwrap_or_default();
            by_code(&code, error)
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            LedgerError::Corrupt { what: "a column".into(), source: Some(error.into()) }
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => LedgerError::Unavailable(error.into()),
        _ => LedgerError::Io(error.into()),
    }
}

fn by_code(code: &str, error: sqlx::Error) -> LedgerError {
    match code {
        "23505" => LedgerError::Conflict { what: "a row" },
        "22021" => LedgerError::invalid(ZERO, "holds a zero byte"),
        // disk full
        "53100" => LedgerError::Full(error.into()),
        // too many connections; a lock, a statement or a deadlock that was given up
        "53300" | "55P03" | "57014" | "40001" | "40P01" => LedgerError::Busy(error.into()),
        "25006" => LedgerError::ReadOnly(error.into()),
        // index or data corrupted
        "XX001" | "XX002" => LedgerError::Corrupt { what: "the database".into(), source: Some(error.into()) },
        // The server says no to this login (28, 3D000: no such database), stops, starts, or ended the session.
        "25P03" | "3D000" => LedgerError::Unavailable(error.into()),
        _ if ["08", "28", "57"].iter().any(|class| code.starts_with(class)) => LedgerError::Unavailable(error.into()),
        _ => LedgerError::Io(error.into()),
    }
}

/// As [`db_error`], for a commit: unless the server said that it refused, the batch may be stored.
pub(super) fn commit_error(error: sqlx::Error) -> LedgerError {
    let refused = match &error {
        sqlx::Error::Database(e) => e
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|e| matches!(e.severity(), sqlx::postgres::PgSeverity::Error)),
        _ => false,
    };
    if refused { db_error(error) } else { LedgerError::Io(error.into()) }
}

/// Names the row that exists already.
pub(super) fn conflict(what: &'static str) -> impl Fn(LedgerError) -> LedgerError {
    move |error| match error {
        LedgerError::Conflict { .. } => LedgerError::Conflict { what },
        other => other,
    }
}

/// A column; a wrong type is damage.
pub(super) fn get<'r, T>(row: &'r PgRow, column: usize) -> Result<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(db_error)
}

/// A counter; the columns are signed, counters are not.
pub(super) fn get_u64(row: &PgRow, column: usize) -> Result<u64> {
    counter(get(row, column)?)
}

/// A smaller unsigned number, stored in a wider signed column.
pub(super) fn get_small<W, T>(row: &PgRow, column: usize) -> Result<T>
where
    W: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    T: TryFrom<W>,
{
    T::try_from(get(row, column)?).map_err(|_| LedgerError::corrupt("a number out of range"))
}

#[cfg(all(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{PostgresOptions, testing::postgres::PostgresServer};

    /// Three quarters of it are the server's.
    const PATIENCE: Duration = Duration::from_secs(2);

    fn db(server: &PostgresServer, schema: &str) -> Db {
        let connect = PostgresOptions::new(&server.url("postgres"), None, std::path::Path::new("/")).unwrap().connect;
        Db::new(&connect, schema, 2, PATIENCE).unwrap()
    }

    #[tokio::test]
    async fn a_migration_may_take_longer_than_a_call() {
        let server = PostgresServer::start();
        let sql = "CREATE TABLE slow (n BIGINT); INSERT INTO slow SELECT 1 FROM pg_sleep(2.5)";
        let db = db(&server, "m");
        let tx = db.migrate("m", &[Migration { version: 1, sql }]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(server.ask("SELECT n::text FROM m.slow").await, ["1"]);
    }

    #[tokio::test]
    async fn the_server_ends_a_slow_read_before_the_client_gives_it_up() {
        let server = PostgresServer::start();
        let db = db(&server, "r");
        let mut lease = db.read().await.unwrap();
        let refused = lease.optional(sqlx::query("SELECT pg_sleep(60)")).await;
        assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
        lease.one(sqlx::query("SELECT 1")).await.unwrap();
        drop(lease);
        // A snapshot has six times as long, and leaves the connection as it was.
        let timeout = "SELECT current_setting('statement_timeout')";
        let mut tx = db.snapshot().await.unwrap();
        assert_eq!(get::<String>(&tx.one(sqlx::query(timeout)).await.unwrap(), 0).unwrap(), "9s");
        tx.commit().await.unwrap();
        let row = db.one(sqlx::query(timeout)).await.unwrap();
        assert_eq!(get::<String>(&row, 0).unwrap(), "1500ms");
    }
}

#[cfg(test)]
mod fit_tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_or_keeps_no_promise_is_refused() {
        // The last of 14, the first of 15, and one of these days.
        for (version, fsync, full, encoding, told) in [
            (140_019, "on", "on", "UTF8", Some("older than PostgreSQL 15")),
            (90_624, "on", "on", "UTF8", Some("older than PostgreSQL 15")),
            (150_000, "on", "on", "UTF8", None),
            (180_001, "on", "on", "UTF8", None),
            (150_000, "off", "on", "UTF8", Some("fsync")),
            (150_000, "on", "off", "UTF8", Some("full_page_writes")),
            (150_000, "on", "on", "LATIN1", Some("not UTF8")),
        ] {
            match (fit(version, fsync, full, encoding), told) {
                (Ok(()), None) => {}
                (Err(LedgerError::Invalid { what: "server", reason }), Some(told)) => {
                    assert!(reason.contains(told), "{version}: {reason}");
                }
                (other, told) => panic!("{version} {fsync} {full} {encoding}: {other:?}, not {told:?}"),
            }
        }
    }
}
