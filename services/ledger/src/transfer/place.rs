//! Where a store is, and how a new one takes its place whole.
//!
//! A new store is made in `restoring/` in the data folder. When all of it is there and compared, a mark is written, files
//! and folders move out, the database last (or is committed last), and `restoring/` goes. A crash before the mark leaves
//! the target as it was; one after it is told by [`unfinished`], and the next attempt begins anew.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Source, Target, make_folder, sync_folder};
use crate::{LedgerError, PostgresOptions, Result, postgres::transfer::PostgresRows, sqlite::transfer::SqliteRows};

const BUSY: Duration = Duration::from_secs(10);
const STAGE: &str = "restoring";
const MARK: &str = "placing";
const MOVED: &str = "moved-to-postgresql";
const LOG: &str = "ledger.db";
const TELEMETRY: &str = "telemetry.db";
pub(super) const BLOBS: &str = "blobs";
pub(super) const ARCHIVE: &str = "archive";
pub(super) const KEY: &str = "master.key";

/// A data folder, and the database that belongs to it.
#[derive(Debug, Clone)]
pub struct Place {
    pub(super) folder: PathBuf,
    pub(super) erasures: PathBuf,
    postgres: Option<PostgresOptions>,
}

impl Place {
    /// `ledger.db`, `telemetry.db`, `blobs/`, `archive/`, `master.key` and `erasures.log` in `folder`.
    pub fn sqlite(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), erasures: folder.join("erasures.log"), postgres: None }
    }

    /// The schemas of a database; files as of [`Place::sqlite`].
    pub fn postgres(options: PostgresOptions, folder: &Path) -> Self {
        Self { postgres: Some(options), ..Self::sqlite(folder) }
    }

    /// Keeps the journal of erasures elsewhere.
    #[must_use]
    pub fn erasures_at(mut self, file: &Path) -> Self {
        file.clone_into(&mut self.erasures);
        self
    }

    /// Its make, for people.
    pub fn backend(&self) -> &'static str {
        if self.postgres.is_some() { "PostgreSQL" } else { "SQLite" }
    }

    pub(super) async fn source(&self) -> Result<Box<dyn Source>> {
        Ok(match &self.postgres {
            Some(options) => Box::new(PostgresRows::read(options).await?),
            None => {
                let (log, telemetry) = (self.folder.join(LOG), self.folder.join(TELEMETRY));
                for file in [&log, &telemetry] {
                    tokio::fs::metadata(file).await?;
                }
                Box::new(SqliteRows::read(&log, &telemetry, BUSY).await?)
            }
        })
    }

    /// Whether there is a database with something in it.
    async fn has_database(&self) -> Result<bool> {
        match &self.postgres {
            Some(options) => PostgresRows::is_empty(options).await.map(|empty| !empty),
            None => Ok(self.folder.join(LOG).exists()),
        }
    }

    /// Begins to fill it; refused when anything is there. With `files` its folders of files must be empty too.
    pub(super) async fn stage(&self, files: bool) -> Result<Stage> {
        let has_database = self.has_database().await?;
        let place = self.clone();
        super::blocking(move || place.begin(has_database, files)).await
    }

    fn begin(self, has_database: bool, files: bool) -> Result<Stage> {
        make_folder(&self.folder)?;
        let taken = |what: &str| LedgerError::invalid("target", format!("is not empty: {what} is there"));
        if has_database {
            // What an attempt left is not touched: it may belong to this database, see `complete`.
            return Err(taken("a database"));
        }
        clear(&self.folder, self.postgres.is_some())?;
        if self.postgres.is_none() {
            // SQLite would play what is left beside an old database into the new one.
            let beside = |file| ["", "-wal", "-shm", "-journal"].map(|end| format!("{file}{end}"));
            let names = [LOG, TELEMETRY].into_iter().flat_map(beside);
            if let Some(left) = names.into_iter().find(|name| self.folder.join(name).exists()) {
                return Err(taken(&left));
            }
        }
        for folder in [BLOBS, ARCHIVE].iter().filter(|_| files) {
            if !is_empty(&self.folder.join(folder))? {
                return Err(taken(folder));
            }
        }
        let stage = Stage { folder: self.folder.join(STAGE), place: self, files };
        for folder in [BLOBS, ARCHIVE] {
            fs::create_dir_all(stage.folder.join(folder))?;
        }
        Ok(stage)
    }
}

/// What is written before the first step of taking the place.
struct Mark {
    backend: String,
    /// The log that was to be there; programs before did not note it.
    log_id: Option<u64>,
}

impl Mark {
    fn read(stage: &Path) -> Option<Self> {
        let text = fs::read_to_string(stage.join(MARK)).ok()?;
        let (backend, log_id) = text.split_once('\n').unwrap_or((&text, ""));
        Some(Self { backend: backend.to_owned(), log_id: log_id.trim().parse().ok() })
    }

    fn write(&self, stage: &Path) -> Result<()> {
        let log_id = self.log_id.map_or_else(String::new, |id| id.to_string());
        put(&stage.join(MARK), &format!("{}\n{log_id}\n", self.backend))
    }
}

/// Writes a small file and brings it to the disk.
fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::File::open(path)?.sync_all()?;
    sync_folder(path)
}

/// Whether a restore or a migration into this folder was cut off between its first and its last step: what is there
/// must not be used, and the same command repairs it. Blocks.
pub fn unfinished(folder: &Path) -> bool {
    let stage = folder.join(STAGE);
    match Mark::read(&stage) {
        // The database moved last: all is there, and only the left-over folder is not gone.
        Some(mark) if mark.backend == "SQLite" && !stage.join(LOG).exists() && folder.join(LOG).exists() => {
            fs::remove_dir_all(stage).is_err()
        }
        Some(_) => true,
        None => false,
    }
}

/// Ends a restore or a migration into PostgreSQL that was cut off after its commit, when only the mark was left to be
/// removed; the log that is there. `None` when there is no such attempt.
pub async fn complete(place: &Place) -> Result<Option<u64>> {
    let stage = place.folder.join(STAGE);
    let (Some(options), Some(mark)) = (&place.postgres, Mark::read(&stage)) else { return Ok(None) };
    let found = PostgresRows::log_id(options).await?;
    if found.is_none() || mark.log_id.is_some_and(|id| found != Some(id)) {
        return Ok(None);
    }
    super::blocking(move || remove(&stage)).await?;
    Ok(found)
}

/// Where the SQLite data of this folder moved to: they must not be used any more. Blocks.
pub fn moved(folder: &Path) -> Option<Moved> {
    let mark = folder.join(MOVED);
    fs::read_to_string(&mark).ok().map(|to| Moved { to: to.trim().to_owned(), mark })
}

/// See [`moved`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The database, for people.
    pub to: String,
    /// The file that says so. Without it the old data can be used again, as they were before they moved.
    pub mark: PathBuf,
}

impl Place {
    /// Notes in the folder of SQLite data that they are to be used elsewhere; nothing else knows where a migration went.
    pub(super) async fn note_moved(&self, into: &Self) -> Result<()> {
        let (None, Some(options)) = (&self.postgres, &into.postgres) else { return Ok(()) };
        let (mark, to) = (self.folder.join(MOVED), options.place());
        super::blocking(move || put(&mark, &format!("{to}\n"))).await
    }

    /// Takes [`Place::note_moved`] back.
    pub(super) async fn stays(&self) -> Result<()> {
        let mark = self.folder.join(MOVED);
        super::blocking(move || gone(fs::remove_file(mark))).await
    }
}

/// Refused when photos or archives of a database are there, or the write-ahead log of `sqlite`: the database is lost, or another one
/// is meant, and an empty log must not take its place. A log that was begun wrote none of them before its first commit.
/// Blocks.
pub(crate) fn no_orphans(folders: [&Path; 2], sqlite: Option<&Path>) -> Result<()> {
    for folder in folders {
        if !is_empty(folder)? {
            return Err(LedgerError::Orphans { files: folder.display().to_string() });
        }
    }
    if let Some(wal) = sqlite.map(|file| format!("{}-wal", file.display())).filter(|wal| Path::new(wal).exists()) {
        return Err(LedgerError::Orphans { files: wal });
    }
    Ok(())
}

/// Removes what an attempt that was cut off left, where there is no database.
fn clear(folder: &Path, postgres: bool) -> Result<()> {
    let stage = folder.join(STAGE);
    // Without its database, what moved is of no use to anybody.
    if stage.join(MARK).exists() {
        for left in [BLOBS, ARCHIVE] {
            // Only what moved out of the stage is its own.
            if !stage.join(left).exists() {
                gone(fs::remove_dir_all(folder.join(left)))?;
            }
        }
        if !postgres && !stage.join(TELEMETRY).exists() {
            gone(fs::remove_file(folder.join(TELEMETRY)))?;
        }
    }
    remove(&stage)
}

/// The mark first: without the rest of the stage it would take what lies in the folder for its own.
fn remove(stage: &Path) -> Result<()> {
    unmark(stage)?;
    step()?;
    gone(fs::remove_dir_all(stage))?;
    sync_folder(stage)
}

fn unmark(stage: &Path) -> Result<()> {
    let mark = stage.join(MARK);
    if mark.exists() {
        fs::remove_file(&mark)?;
        sync_folder(&mark)?;
    }
    Ok(())
}

/// Where a test breaks off.
fn step() -> Result<()> {
    #[cfg(feature = "testing")]
    crate::testing::step()?;
    Ok(())
}

fn gone(removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

fn is_empty(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e.into()),
    }
}

/// A store in the making. Dropped before anything moved, it leaves nothing.
pub(super) struct Stage {
    place: Place,
    pub(super) folder: PathBuf,
    /// Whether files come with it.
    files: bool,
}

impl Stage {
    pub(super) async fn target(&self) -> Result<Box<dyn Target>> {
        Ok(match &self.place.postgres {
            Some(options) => Box::new(PostgresRows::create(options).await?),
            None => Box::new(SqliteRows::create(&self.folder.join(LOG), &self.folder.join(TELEMETRY)).await?),
        })
    }

    /// Puts all of it into its place, as the log `log_id`.
    pub(super) async fn finish(self, target: Box<dyn Target>, log_id: u64) -> Result<()> {
        let moved = self.moved();
        if self.place.postgres.is_some() {
            // What moves before the commit is of no use to anybody without it.
            let stage = super::blocking(move || self.move_out(&moved, log_id).map(|()| self)).await?;
            target.finish().await?;
            return super::blocking(move || remove(&stage.folder)).await;
        }
        target.finish().await?;
        super::blocking(move || {
            for file in [TELEMETRY, LOG] {
                fs::File::open(self.folder.join(file))?.sync_all()?;
            }
            self.move_out(&moved, log_id)?;
            // Of data that were there before these.
            gone(fs::remove_file(self.place.folder.join(MOVED)))?;
            remove(&self.folder)
        })
        .await
    }

    /// What moves, in order.
    fn moved(&self) -> Vec<&'static str> {
        let files = [BLOBS, ARCHIVE, KEY].into_iter().filter(|_| self.files);
        let databases = [TELEMETRY, LOG].into_iter().filter(|_| self.place.postgres.is_none());
        files.chain(databases).filter(|name| self.folder.join(name).exists()).collect()
    }

    fn move_out(&self, names: &[&str], log_id: u64) -> Result<()> {
        if names.is_empty() {
            // All of it is the commit's.
            return Ok(());
        }
        for folder in [BLOBS, ARCHIVE] {
            fs::File::open(self.folder.join(folder))?.sync_all()?;
        }
        Mark { backend: self.place.backend().to_owned(), log_id: Some(log_id) }.write(&self.folder)?;
        sync_folder(&self.folder)?;
        for name in names {
            let to = self.place.folder.join(name);
            if to.is_dir() {
                fs::remove_dir(&to)?;
            }
            fs::rename(self.folder.join(name), to)?;
            sync_folder(&self.folder)?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.folder.join(MARK).exists() {
            // The next attempt would remove it as well.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        testing::broken_off,
        transfer::{Row, Sink, tables::Table},
    };

    /// A database that refuses the commit.
    struct Refusing;

    #[async_trait]
    impl Source for Refusing {
        async fn each(&mut self, _: &'static Table, _: &mut dyn Sink) -> Result<()> {
            Ok(())
        }
    }

    #[async_trait]
    impl Target for Refusing {
        async fn insert(&mut self, _: &'static Table, _: &[Row]) -> Result<()> {
            Ok(())
        }

        async fn finish(self: Box<Self>) -> Result<()> {
            Err(LedgerError::Busy("refused".into()))
        }
    }

    fn postgres(folder: &Path) -> Place {
        Place::postgres(PostgresOptions::new("postgres://u@h/d", None, folder).unwrap(), folder)
    }

    #[tokio::test]
    async fn a_refused_commit_leaves_the_folder_it_did_not_touch_usable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join(BLOBS)).unwrap();
        fs::write(path.join(BLOBS).join("a"), "a").unwrap();
        fs::write(path.join(LOG), "live").unwrap();
        let stage = postgres(path).begin(false, false).unwrap();
        assert!(stage.finish(Box::new(Refusing), 7).await.is_err());
        assert!(!unfinished(path), "nothing was moved, so nothing is half done");
        assert!(path.join(BLOBS).join("a").exists() && !path.join(STAGE).exists());
    }

    #[tokio::test]
    async fn an_attempt_to_clear_that_is_cut_off_takes_nothing_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let stage = path.join(STAGE);
        for name in [BLOBS, ARCHIVE] {
            fs::create_dir_all(stage.join(name)).unwrap();
            fs::create_dir(path.join(name)).unwrap();
            fs::write(path.join(name).join("live"), "").unwrap();
        }
        fs::write(stage.join(MARK), "PostgreSQL").unwrap();
        assert!(broken_off(0, async { clear(path, true) }).await.is_err());
        // The rest of the stage went in any order before the process died.
        fs::remove_dir(stage.join(BLOBS)).unwrap();
        clear(path, true).unwrap();
        assert!(path.join(BLOBS).join("live").exists() && path.join(ARCHIVE).join("live").exists());
        assert!(!stage.exists());
    }
}
