//! Connections, migrations and the mapping of SQLite's errors.
//!
//! One writer connection (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`) and a few read-only ones; each has its own
//! thread, so that no caller is blocked.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use crate::{
    LedgerError, Result,
    rows::counter,
    schema::{Migration, missing},
};

/// Rows of one `INSERT`: SQLite allows 32,766 bound values a statement.
pub(super) const CHUNK: usize = 512;
const READERS: u32 = 4;
const QUEUE_FOR_A_CONNECTION: Duration = Duration::from_secs(10);

/// The connections to one file.
pub(super) struct Db {
    writer: SqlitePool,
    pub(super) reader: SqlitePool,
    /// Most pages of the file; a limit belongs to its connection, so a replaced one must learn it again.
    most_pages: Arc<AtomicU32>,
}

impl Db {
    pub(super) async fn open(file: &Path, busy: Duration, migrations: &[Migration]) -> Result<Self> {
        let base = SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(busy)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(256);
        let write = (base.clone())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A destroyed key must not survive in a free page, nor the log of pages grow without end.
            .pragma("secure_delete", "ON")
            .pragma("journal_size_limit", "67108864")
            // Who commits when the log of pages is moved into the file waits for all of it: better seldom.
            .pragma("wal_autocheckpoint", "4000");
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(QUEUE_FOR_A_CONNECTION)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let most_pages = Arc::new(AtomicU32::new(u32::MAX - 1));
        let limit = most_pages.clone();
        // After a full disk SQLite may have rolled back by itself, and the driver's own ROLLBACK then fails: a
        // connection that still believes in a transaction is closed and replaced. The pool's ping when it comes back
        // orders the question behind a rollback that is under way.
        let writer = pool()
            .max_connections(1)
            .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
            .after_connect(move |conn, _| {
                let pages = limit.load(Ordering::Relaxed);
                Box::pin(async move { set_limit(conn, pages).await })
            })
            .connect_with(write)
            .await
            .map_err(db_error)?;
        let mut conn = writer.acquire().await.map_err(db_error)?;
        migrate(&mut conn, migrations).await?;
        drop(conn);
        let reader = pool().max_connections(READERS).connect_with(base.read_only(true)).await.map_err(db_error)?;
        Ok(Self { writer, reader, most_pages })
    }

    /// A write transaction; rolled back when dropped.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(db_error)
    }

    /// A read transaction: all its reads see one state.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Sqlite>> {
        self.reader.begin().await.map_err(db_error)
    }

    /// Moves what was committed from the write-ahead log into the file and empties it; false when a reader was in the
    /// way, which SQLite does not call an error.
    pub(super) async fn checkpoint(&self) -> Result<bool> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await.map_err(db_error)?;
        Ok(get::<i64>(&row, 0)? == 0)
    }

    pub(super) async fn limit_pages(&self, pages: u32) -> Result<()> {
        self.most_pages.store(pages, Ordering::Relaxed);
        let mut conn = self.writer.acquire().await.map_err(db_error)?;
        set_limit(&mut conn, pages).await.map_err(db_error)
    }

    #[cfg(feature = "testing")]
    pub(super) async fn query_only(&self, on: bool) -> Result<()> {
        let sql = format!("PRAGMA query_only = {on}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.writer).await.map(drop).map_err(db_error)
    }

    #[cfg(feature = "testing")]
    pub(super) async fn never_sync(&self) -> Result<()> {
        sqlx::query("PRAGMA synchronous = OFF").execute(&self.writer).await.map(drop).map_err(db_error)
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    #[cfg(test)]
    pub(super) async fn pragma(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.writer).await.unwrap();
    }
}

async fn set_limit(conn: &mut SqliteConnection, pages: u32) -> sqlx::Result<()> {
    let sql = format!("PRAGMA max_page_count = {pages}");
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

pub(super) async fn migrate(conn: &mut SqliteConnection, migrations: &[Migration]) -> Result<()> {
    sqlx::query("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, hash TEXT NOT NULL) STRICT")
        .execute(&mut *conn)
        .await
        .map_err(db_error)?;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(db_error)?;
    let applied = sqlx::query("SELECT version, hash FROM migrations ORDER BY version")
        .fetch_all(&mut *tx)
        .await
        .map_err(db_error)?;
    let applied = applied.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<Vec<_>>>()?;
    for m in missing(&applied, migrations)? {
        sqlx::raw_sql(m.sql).execute(&mut *tx).await.map_err(db_error)?;
        sqlx::query("INSERT INTO migrations VALUES (?, ?)")
            .bind(m.version)
            .bind(m.hash())
            .execute(&mut *tx)
            .await
            .map_err(db_error)?;
    }
    tx.commit().await.map_err(db_error)
}

/// Tells SQLite's failures apart; see <https://sqlite.org/rescode.html>, the low byte is the primary code.
pub(super) fn db_error(error: sqlx::Error) -> LedgerError {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().and_then(|c| c.parse::<i32>().ok()).unwrap_or(1) & 0xff,
        sqlx::Error::PoolTimedOut => return LedgerError::Busy(error.into()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            return LedgerError::Corrupt { what: "a column".into(), source: Some(error.into()) };
        }
        _ => return LedgerError::Io(error.into()),
    };
    match code {
        5 | 6 => LedgerError::Busy(error.into()),
        8 => LedgerError::ReadOnly(error.into()),
        13 => LedgerError::Full(error.into()),
        11 | 26 => LedgerError::Corrupt { what: "the database file".into(), source: Some(error.into()) },
        19 => LedgerError::Conflict { what: "a row" },
        _ => LedgerError::Io(error.into()),
    }
}

/// As [`db_error`], naming the row that exists already.
pub(super) fn conflict(what: &'static str) -> impl Fn(sqlx::Error) -> LedgerError {
    move |error| match db_error(error) {
        LedgerError::Conflict { .. } => LedgerError::Conflict { what },
        other => other,
    }
}

/// A column; a wrong type is damage.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: usize) -> Result<T>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(column).map_err(db_error)
}

/// A counter; SQLite's integers are signed, counters are not.
pub(super) fn get_u64(row: &SqliteRow, column: usize) -> Result<u64> {
    counter(get(row, column)?)
}
