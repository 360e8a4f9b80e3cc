//! The PostgreSQL backend beyond one machine: the same tables and the same port as SQLite's, in two schemas of one
//! database (the log and all that commits with it; telemetry), and a folder of sealed blobs.
//!
//! Invariants: every write of the log locks the one row of `meta` and checks it, so that writers of all processes
//! queue and a fenced one changes nothing; `synchronous_commit` is on whatever the server's default; integers are
//! `BIGINT`, text is compared byte by byte. An erased key is gone for every query at once and vacuumed away after the
//! commit, but unlike SQLite's `secure_delete` nothing overwrites it: its bytes, sealed by the master key, may survive
//! in free space of their page, in the write-ahead log, its archive and base backups until those are recycled.

mod append;
mod blobs;
mod db;
mod read;
mod side;
mod slots;
pub(crate) mod telemetry;
#[cfg(all(test, feature = "testing"))]
mod tests;
pub(crate) mod transfer;
mod vault;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;

use crate::{
    Head, LedgerError, Result,
    archive::Archive,
    blob::BlobFiles,
    erasures::{Erased, Journal},
    rows::{int, new_id},
    schema::Migration,
    seal::Key,
    sealer::Sealer,
    transfer::{blocking, no_orphans},
};
use db::{Db, get, get_u64};
use slots::Lease;
pub use telemetry::PostgresTelemetry;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/postgres/ledger_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/postgres/ledger_0002.sql") },
    Migration { version: 3, sql: include_str!("../../migrations/postgres/ledger_0003.sql") },
];
/// Connections of one process for reading, besides the one that writes.
const READERS: u32 = 4;

/// Where a [`PostgresStore`] keeps things.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Server, user and database, as [`PostgresOptions::new`] read them.
    connect: PgConnectOptions,
    /// Schema of the log, `maojiawan` unless changed; telemetry has its own, `<schema>_telemetry`. Made when missing,
    /// if the user may. Letters a–z, digits and `_`.
    pub schema: String,
    /// The folder of sealed blobs; made when missing. Every process that opens the store needs the same one.
    pub blobs: PathBuf,
    /// The master key; made with mode 0600 together with a new log, required for an old one.
    pub master_key: PathBuf,
    /// The journal of erasures, which a restore needs: best on another disk, beside the backups.
    pub erasures: PathBuf,
    /// The folder of old events, by month; made when needed. Every process that opens the store needs the same one.
    pub archive: PathBuf,
    /// How long a call may take in all, with its waits for a connection and for locks; snapshots may take six times as
    /// long.
    pub patience: Duration,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PostgresOptions").field(&self.place()).finish()
    }
}

impl PostgresOptions {
    /// Reads `postgres://user@host:port/database?sslmode=verify-full&sslrootcert=…`; a host that is a percent-encoded
    /// path is the folder of a Unix socket. `blobs/` and `master.key` lie in `folder`; ten seconds of patience.
    ///
    /// Errors: `Invalid`, without the text of the address, which may hold a password.
    pub fn new(url: &str, password: Option<&str>, folder: &Path) -> Result<Self> {
        let bad = |_| LedgerError::invalid("url", "is no postgres:// address");
        let scheme = ["postgres://", "postgresql://"].iter().any(|s| url.starts_with(s));
        let connect = PgConnectOptions::from_str(if scheme { url } else { "" }).map_err(bad)?;
        let connect = match password {
            Some(password) => connect.password(password),
            None => connect,
        };
        Ok(Self {
            connect,
            schema: "maojiawan".to_owned(),
            blobs: folder.join("blobs"),
            master_key: folder.join("master.key"),
            erasures: folder.join("erasures.log"),
            archive: folder.join("archive"),
            patience: Duration::from_secs(10),
        })
    }

    /// Where the server is, for people: no password.
    pub fn place(&self) -> String {
        let c = &self.connect;
        let host = c.get_socket().map_or_else(|| c.get_host().to_owned(), |path| path.display().to_string());
        format!("{host}:{}/{}", c.get_port(), c.get_database().unwrap_or(c.get_username()))
    }
}

/// The store of several machines. Clone the `Arc` around it, not the store.
pub struct PostgresStore {
    db: Db,
    files: BlobFiles,
    sealer: Sealer,
    request_secret: Key,
    journal: Journal,
    archive: Archive,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresStore")
    }
}

impl PostgresStore {
    /// Opens or creates the store and applies migrations. Writing needs [`crate::Log::open_writer`] besides.
    ///
    /// Errors: `Orphans` (a new log beside files of another), `Unavailable` (no server, no such database, login refused), `Invalid` (a server that is too old, not
    /// UTF8 or does not sync), `MasterKey`, `Corrupt` (another master key), `Schema` (written by a newer program),
    /// `ReadOnly`, or another failure of the server.
    pub async fn open(options: &PostgresOptions) -> Result<Self> {
        let files = BlobFiles::open(options.blobs.clone()).await?;
        let db = Db::new(&options.connect, &options.schema, READERS, options.patience)?;
        let mut tx = db.migrate(&options.schema, MIGRATIONS).await?;
        let row = tx.optional(sqlx::query("SELECT request_secret FROM meta")).await?;
        let sealer = Sealer::load(options.master_key.clone(), row.is_none()).await?;
        let request_secret = match row {
            Some(row) => sealer.request_secret(get(&row, 0)?)?,
            None => {
                let (blobs, archive) = (options.blobs.clone(), options.archive.clone());
                blocking(move || no_orphans([&blobs, &archive], None)).await?;
                create_meta(&mut tx, &sealer).await?
            }
        };
        tx.commit().await?;
        let journal = Journal::at(options.erasures.clone());
        let archive = Archive::at(options.archive.clone());
        let new = Self { db, files, sealer, request_secret, journal, archive };
        // What cannot be written is told by the journal's fault, and tried again.
        let _ = new.note_erasures().await;
        Ok(new)
    }

    /// Brings the journal of erasures up to date.
    async fn note_erasures(&self) -> Result<()> {
        let sql = "SELECT e.subject, e.seq, e.key_hash, m.log_id FROM erasures e, meta m ORDER BY e.seq, e.subject";
        let row =
            |row: &sqlx::postgres::PgRow| Erased::of(get_u64(row, 3)?, get(row, 0)?, get_u64(row, 1)?, get(row, 2)?);
        self.journal.note(self.db.collect(sqlx::query(sql), row, usize::MAX)).await
    }

    /// Waits for running calls and closes the connections. Later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

async fn create_meta(tx: &mut Lease, sealer: &Sealer) -> Result<Key> {
    let (secret, wrapped) = sealer.new_request_secret()?;
    let sql = "INSERT INTO meta (one, log_id, seq, term, request_secret) VALUES (1, $1, 0, 0, $2)";
    tx.execute(sqlx::query(sql).bind(int(new_id())).bind(wrapped)).await?;
    Ok(secret)
}

const HEAD: &str = "SELECT log_id, seq, term FROM meta";
/// As [`HEAD`]; whoever holds the row writes the log, all others wait.
const LOCKED_HEAD: &str = "SELECT log_id, seq, term FROM meta FOR UPDATE";

async fn read_head(tx: &mut Lease, sql: &'static str) -> Result<Head> {
    head(&tx.one(sqlx::query(sql)).await?)
}

fn head(row: &sqlx::postgres::PgRow) -> Result<Head> {
    Ok(Head { log_id: get_u64(row, 0)?, seq: get_u64(row, 1)?, term: get_u64(row, 2)? })
}
