//! Connections, migrations and the mapping of SQLite's errors.
//!
//! One writer connection (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`) and a few read-only ones; each has its own
//! thread, so that no caller is blocked.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::{
    sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard},
    time::timeout,
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
    writing: SqliteConnectOptions,
    /// `None` once closed. Not a pool: that asks the connection's thread how it is after each use.
    writer: Arc<Mutex<Option<Writer>>>,
    pub(super) reader: SqlitePool,
    /// Most pages of the file; a limit belongs to its connection, so a replaced one must learn it again.
    most_pages: AtomicU32,
}

/// The one connection that writes.
struct Writer {
    conn: SqliteConnection,
    /// A transaction may be open, or the connection dead.
    dirty: bool,
}

/// The writing connection while one caller has it. A transaction that was not committed is rolled back.
pub(super) struct Write(OwnedMappedMutexGuard<Option<Writer>, Writer>);

impl Write {
    /// Commits what [`Db::write`] began.
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        sqlx::query("COMMIT").execute(&mut *self).await?;
        self.ended();
        Ok(())
    }

    /// What the caller runs now begins a transaction.
    pub(super) fn begins(&mut self) {
        self.0.dirty = true;
    }

    /// What the caller ran has ended its transaction.
    pub(super) fn ended(mut self) {
        self.0.dirty = false;
    }

    /// Rolls back before anybody goes on.
    pub(super) async fn roll_back(mut self) {
        if sqlx::query("ROLLBACK").execute(&mut *self).await.is_ok() {
            self.ended();
        }
    }
}

impl Deref for Write {
    type Target = SqliteConnection;
    fn deref(&self) -> &SqliteConnection {
        &self.0.conn
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0.conn
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.0.dirty {
            // On its way to the connection's thread once it was polled: the file is not held until the next caller.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.0.conn).now_or_never();
        }
    }
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
        let mut conn = write.connect().await.map_err(db_error)?;
        migrate(&mut conn, migrations).await?;
        let reader = SqlitePoolOptions::new()
            .acquire_timeout(QUEUE_FOR_A_CONNECTION)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .max_connections(READERS)
            .connect_with(base.read_only(true))
            .await
            .map_err(db_error)?;
        let writer = Arc::new(Mutex::new(Some(Writer { conn, dirty: false })));
        Ok(Self { writing: write, writer, reader, most_pages: AtomicU32::new(u32::MAX - 1) })
    }

    /// The writing connection, without a transaction.
    pub(super) async fn writer(&self) -> Result<Write> {
        let slot = timeout(QUEUE_FOR_A_CONNECTION, self.writer.clone().lock_owned());
        let slot = slot.await.map_err(|waited| LedgerError::Busy(waited.into()))?;
        let mut writer = OwnedMutexGuard::try_map(slot, Option::as_mut)
            .map_err(|_| LedgerError::Io(sqlx::Error::PoolClosed.into()))?;
        if writer.dirty {
            // It fails when there is nothing to roll back; after a full disk SQLite may have done so by itself.
            let _ = sqlx::query("ROLLBACK").execute(&mut writer.conn).await;
            if writer.conn.ping().await.is_err() {
                writer.conn = self.writing.connect().await.map_err(db_error)?;
                set_limit(&mut writer.conn, self.most_pages.load(Ordering::Relaxed)).await.map_err(db_error)?;
            }
            writer.dirty = false;
        }
        Ok(Write(writer))
    }

    /// A write transaction; rolled back when dropped.
    pub(super) async fn write(&self) -> Result<Write> {
        let mut write = self.writer().await?;
        write.begins();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write).await.map_err(db_error)?;
        Ok(write)
    }

    /// A read transaction: all its reads see one state.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Sqlite>> {
        self.reader.begin().await.map_err(db_error)
    }

    /// Moves what was committed from the write-ahead log into the file and empties it; false when a reader was in the
    /// way, which SQLite does not call an error.
    pub(super) async fn checkpoint(&self) -> Result<bool> {
        let sql = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        let row = sql.fetch_one(&mut *self.writer().await?).await.map_err(db_error)?;
        Ok(get::<i64>(&row, 0)? == 0)
    }

    pub(super) async fn limit_pages(&self, pages: u32) -> Result<()> {
        self.most_pages.store(pages, Ordering::Relaxed);
        set_limit(&mut *self.writer().await?, pages).await.map_err(db_error)
    }

    #[cfg(feature = "testing")]
    pub(super) async fn query_only(&self, on: bool) -> Result<()> {
        let sql = format!("PRAGMA query_only = {on}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *self.writer().await?).await.map(drop).map_err(db_error)
    }

    #[cfg(feature = "testing")]
    pub(super) async fn never_sync(&self) -> Result<()> {
        let off = sqlx::query("PRAGMA synchronous = OFF");
        off.execute(&mut *self.writer().await?).await.map(drop).map_err(db_error)
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.conn.close().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database did not close in order");
        }
    }

    #[cfg(test)]
    pub(super) async fn pragma(&self, sql: &'static str) {
        sqlx::query(sql).execute(&mut *self.writer().await.unwrap()).await.unwrap();
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
