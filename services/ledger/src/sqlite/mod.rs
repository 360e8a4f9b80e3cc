//! The SQLite backend of one machine: one file for the log and all that commits with it, one for telemetry, a folder
//! of sealed blobs.

mod append;
mod blobs;
mod db;
mod read;
mod side;
pub(crate) mod telemetry;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;
mod vault;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use sqlx::SqliteConnection;

use crate::{
    Head, Log, Result,
    archive::Archive,
    blob::BlobFiles,
    erasures::{Erased, Journal},
    rows::{int, new_id},
    schema::Migration,
    seal::Key,
    sealer::Sealer,
    transfer::{blocking, make_folder, no_orphans},
};
use db::{Db, db_error, get, get_u64};
pub use telemetry::SqliteTelemetry;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/sqlite/ledger_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/sqlite/ledger_0002.sql") },
    Migration { version: 3, sql: include_str!("../../migrations/sqlite/ledger_0003.sql") },
];

/// Where a [`SqliteStore`] keeps things.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file; made when missing.
    pub file: PathBuf,
    /// The folder of sealed blobs; made when missing.
    pub blobs: PathBuf,
    /// The master key; made with mode 0600 together with a new database, required for an old one. Keep it apart
    /// from backups of the database.
    pub master_key: PathBuf,
    /// The journal of erasures, which a restore needs: best on another disk, beside the backups.
    pub erasures: PathBuf,
    /// The folder of old events, by month; made when needed.
    pub archive: PathBuf,
    /// How long to wait for another process that holds the file.
    pub busy_timeout: Duration,
}

impl SqliteOptions {
    /// `ledger.db`, `blobs/` and `master.key` in `folder`; five seconds of patience.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            file: folder.join("ledger.db"),
            blobs: folder.join("blobs"),
            master_key: folder.join("master.key"),
            erasures: folder.join("erasures.log"),
            archive: folder.join("archive"),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// The store of one machine. Clone the `Arc` around it, not the store.
pub struct SqliteStore {
    db: Db,
    files: BlobFiles,
    sealer: Sealer,
    request_secret: Key,
    journal: Journal,
    archive: Archive,
    /// The write-ahead log may hold a key that was destroyed; so it may after a crash.
    old_pages: AtomicBool,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens or creates the store and applies migrations. Writing needs [`crate::Log::open_writer`] besides.
    ///
    /// Errors: `Orphans` (a new log beside files of another), `MasterKey` (missing, readable by others), `Corrupt` (not a database, another master key), `Schema`
    /// (written by a newer program), or a failure of the disk.
    pub async fn open(options: &SqliteOptions) -> Result<Self> {
        if let Some(folder) = options.file.parent() {
            let folder = folder.to_owned();
            blocking(move || if folder.as_os_str().is_empty() { Ok(()) } else { make_folder(&folder) }).await?;
        }
        let (at, blobs, archive) = (options.file.clone(), options.blobs.clone(), options.archive.clone());
        let orphans = move || no_orphans([&blobs, &archive], Some(&at));
        // Before anything is made that would be in the way of the database that is put back.
        if tokio::fs::metadata(&options.file).await.map_or(true, |file| file.len() == 0) {
            blocking(orphans).await?;
        }
        let files = BlobFiles::open(options.blobs.clone()).await?;
        let db = Db::open(&options.file, options.busy_timeout, MIGRATIONS).await?;
        let mut tx = db.write().await?;
        let row = sqlx::query("SELECT request_secret FROM meta").fetch_optional(&mut *tx).await.map_err(db_error)?;
        let sealer = Sealer::load(options.master_key.clone(), row.is_none()).await?;
        let request_secret = match row {
            Some(row) => sealer.request_secret(get(&row, 0)?)?,
            None => create_meta(&mut tx, &sealer).await?,
        };
        tx.commit().await.map_err(db_error)?;
        let journal = Journal::at(options.erasures.clone());
        let archive = Archive::at(options.archive.clone());
        let new = Self { db, files, sealer, request_secret, journal, archive, old_pages: AtomicBool::new(true) };
        // What cannot be written is told by the journal's fault, and tried again.
        let _ = new.note_erasures().await;
        Ok(new)
    }

    /// Bounds the size of the database file, in pages of 4 KiB; beyond it appends fail as `Full`. Never below the
    /// present size.
    pub async fn limit_pages(&self, pages: u32) -> Result<()> {
        self.db.limit_pages(pages).await
    }

    /// Brings the journal of erasures up to date.
    async fn note_erasures(&self) -> Result<()> {
        let erased = async {
            let log_id = self.head().await?.log_id;
            let rows = sqlx::query("SELECT subject, seq, key_hash FROM erasures ORDER BY seq, subject");
            let rows = rows.fetch_all(&self.db.reader).await.map_err(db_error)?;
            rows.iter().map(|row| Erased::of(log_id, get(row, 0)?, get_u64(row, 1)?, get(row, 2)?)).collect()
        };
        self.journal.note(erased).await
    }

    /// For tests: while `on`, all that writes fails as `ReadOnly`.
    #[cfg(feature = "testing")]
    pub async fn refuse_writes(&self, on: bool) -> Result<()> {
        self.db.query_only(on).await
    }

    /// For tests: answers without waiting for the disk, to see that they would notice.
    #[cfg(feature = "testing")]
    pub async fn never_sync(&self) -> Result<()> {
        self.db.never_sync().await
    }

    /// Waits for running calls and closes the files. Later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

async fn create_meta(tx: &mut SqliteConnection, sealer: &Sealer) -> Result<Key> {
    let (secret, wrapped) = sealer.new_request_secret()?;
    sqlx::query("INSERT INTO meta (one, log_id, seq, term, request_secret) VALUES (1, ?, 0, 0, ?)")
        .bind(int(new_id()))
        .bind(wrapped)
        .execute(tx)
        .await
        .map_err(db_error)?;
    Ok(secret)
}

async fn read_head(tx: &mut SqliteConnection) -> Result<Head> {
    let row = sqlx::query("SELECT log_id, seq, term FROM meta").fetch_one(tx).await.map_err(db_error)?;
    Ok(Head { log_id: get_u64(&row, 0)?, seq: get_u64(&row, 1)?, term: get_u64(&row, 2)? })
}
