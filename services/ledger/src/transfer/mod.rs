//! Everything that is stored, out and in: [`backup()`] into one portable file, [`restore()`] of it into either backend,
//! [`migrate()`] from one backend to the other.
//!
//! Invariants: the source is read as it was at one moment, while the centre works on; a file that has its name is whole,
//! on disk and was read again; nothing of a target changes before the whole file was checked, and a target is filled
//! wholly or not at all; what was written is read back and its counts and hashes compared. The master key is left out
//! unless asked for; nothing else in a file opens a sealed value. Files and hashes work on the blocking pool.

mod backup;
pub(crate) mod cell;
pub(crate) mod file;
mod files;
mod migrate;
mod place;
mod restore;
mod scan;
pub(crate) mod tables;
#[cfg(all(test, feature = "testing"))]
mod tests;

use async_trait::async_trait;

use crate::{LedgerError, Result};

pub use backup::{Backup, backup};
pub use cell::Checksum;
use cell::Tallying;
pub(crate) use cell::{Cell, Row};
pub(crate) use file::{make_folder, sync_folder};
pub use migrate::{Pair, migrate};
pub(crate) use place::no_orphans;
pub use place::{Moved, Place, complete, moved, unfinished};
pub use restore::{Restored, restore};
pub(crate) use scan::is_archive;
pub use scan::{Contents, verify};
use tables::Table;

/// What is going on, for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'p> {
    /// Rows of a table so far; `blob_files` and `archive_files` count pieces of files.
    Rows {
        /// The table.
        table: &'p str,
        /// Rows so far.
        rows: u64,
        /// Whether these are all.
        all: bool,
    },
    /// A file is read and checked.
    Checking {
        /// Bytes so far.
        at: u64,
        /// Bytes in all.
        of: u64,
    },
    /// What was written is read back.
    Comparing {
        /// The table.
        table: &'p str,
    },
}

/// Hears of the progress.
pub type Watch<'w> = dyn FnMut(Progress<'_>) + Send + 'w;

/// Takes rows of tables, one table after another.
#[async_trait]
pub(crate) trait Sink: Send {
    async fn rows(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<()>;
}

/// Gives the rows of a database as they were at one moment.
#[async_trait]
pub(crate) trait Source: Send {
    /// All rows of a table by its key.
    async fn each(&mut self, table: &'static Table, sink: &mut dyn Sink) -> Result<()>;
}

/// Takes the rows of a new database, and gives them back to be compared.
#[async_trait]
pub(crate) trait Target: Source {
    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()>;
    /// Makes all of it there.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// Hands single rows on in pieces that are neither many nor large.
pub(crate) struct Gather<'s> {
    table: &'static Table,
    sink: &'s mut dyn Sink,
    rows: Vec<Row>,
    bytes: usize,
}

impl<'s> Gather<'s> {
    pub(crate) fn new(table: &'static Table, sink: &'s mut dyn Sink) -> Self {
        Self { table, sink, rows: Vec::new(), bytes: 0 }
    }

    pub(crate) async fn row(&mut self, row: Row) -> Result<()> {
        let size = |cell: &Cell| match cell {
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
            _ => 8,
        };
        self.bytes += row.iter().map(size).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() < 1_000 && self.bytes < file::BLOCK {
            return Ok(());
        }
        self.hand_on().await
    }

    async fn hand_on(&mut self) -> Result<()> {
        self.bytes = 0;
        self.sink.rows(self.table, std::mem::take(&mut self.rows)).await
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.hand_on().await }
    }
}

/// Counts and hashes what a database gives.
struct TallySink(Tallying);

#[async_trait]
impl Sink for TallySink {
    async fn rows(&mut self, _: &'static Table, rows: Vec<Row>) -> Result<()> {
        self.0.add_rows(&rows);
        Ok(())
    }
}

/// Counts and hashes what it writes into a target.
struct Tallied {
    target: Box<dyn Target>,
    written: Vec<(&'static Table, Tallying)>,
}

impl Tallied {
    fn new(target: Box<dyn Target>) -> Self {
        Self { target, written: tables::TABLES.iter().map(|table| (*table, Tallying::new())).collect() }
    }

    fn count(&self, table: &Table) -> u64 {
        self.written.iter().find(|(t, _)| t.name == table.name).map_or(0, |(_, tallying)| tallying.rows())
    }

    /// Reads back what the target holds; refused when it is not what was written.
    async fn compare(mut self, watch: &mut Watch<'_>) -> Result<(Box<dyn Target>, Vec<Pair>)> {
        let mut pairs = Vec::new();
        for (table, written) in self.written {
            watch(Progress::Comparing { table: table.name });
            let mut sink = TallySink(Tallying::new());
            self.target.each(table, &mut sink).await?;
            let pair = Pair { written: written.done(table.name), stored: sink.0.done(table.name) };
            if pair.written != pair.stored {
                return Err(LedgerError::corrupt(format!("{} was not stored as it was written", table.name)));
            }
            pairs.push(pair);
        }
        Ok((self.target, pairs))
    }
}

#[async_trait]
impl Sink for Tallied {
    async fn rows(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<()> {
        if let Some((_, tallying)) = self.written.iter_mut().find(|(t, _)| t.name == table.name) {
            tallying.add_rows(&rows);
        }
        if rows.is_empty() { Ok(()) } else { self.target.insert(table, &rows).await }
    }
}

/// Runs what waits for a disk where that blocks nobody.
#[allow(clippy::disallowed_methods, reason = "file IO on the blocking pool, awaited at once")]
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| LedgerError::Io(e.into()))?
}
