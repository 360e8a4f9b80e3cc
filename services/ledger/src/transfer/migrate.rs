//! [`migrate`]: all rows of one backend into another, with proof of equality.

use async_trait::async_trait;

use super::{
    Checksum, Place, Progress, Row, Sink, Tallied, Watch, files,
    files::FileSink,
    place::{ARCHIVE, BLOBS, KEY},
    scan, tables,
    tables::Table,
};
use crate::{LedgerError, Result, rows::counter, sealer::Sealer};

/// One table on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// As it was read from the source and written.
    pub written: Checksum,
    /// As it was read back from the target.
    pub stored: Checksum,
}

/// Moves everything of `from`, which nobody may write meanwhile and which is only read, into `into`, which must be
/// empty. Every number stays, the id of the log and the epoch of telemetry too: afterwards only one of the two may be
/// used. All of it is there or nothing. Returns the rows and the hash of every table on both sides, which are equal.
///
/// The folder of SQLite data says from then on where they moved, see [`moved`](super::moved). After `Io` the target may be
/// filled.
///
/// With another data folder files come along, but not the master key: it must be there already.
pub async fn migrate(from: &Place, into: &Place, watch: &mut Watch<'_>) -> Result<Vec<Pair>> {
    let mut source = from.source().await?;
    let moves = from.folder != into.folder;
    let stage = into.stage(moves).await?;
    let mut meta = Meta::default();
    source.each(&tables::META, &mut meta).await?;
    Sealer::load(into.folder.join(KEY), false).await?.request_secret(&meta.request_secret)?;
    let mut filling = Watched { target: Tallied::new(stage.target().await?), watch };
    for table in tables::TABLES {
        source.each(table, &mut filling).await?;
        let rows = filling.target.count(table);
        (filling.watch)(Progress::Rows { table: table.name, rows, all: true });
    }
    let Watched { target, watch } = filling;
    if moves {
        type Fit = fn(&str) -> bool;
        let blobs = (BLOBS, scan::is_blob as Fit, &tables::BLOB_FILES);
        let kinds = [blobs, (ARCHIVE, scan::is_archive as Fit, &tables::ARCHIVE_FILES)];
        for (folder, fit, table) in kinds {
            let mut sink = FileSink::new(stage.folder.join(folder), fit);
            for name in files::list(from.folder.join(folder), fit).await? {
                files::read(&from.folder.join(folder), &name, table, &mut sink).await?;
            }
            sink.end().await?;
        }
    }
    let (target, pairs) = target.compare(watch).await?;
    // Noted before: whatever is killed in between, never do both take what happens for theirs.
    from.note_moved(into).await?;
    let finished = stage.finish(target, meta.log_id).await;
    if let Err(error) = &finished
        && !matches!(error, LedgerError::Io(_))
    {
        // It was refused, so nothing moved.
        from.stays().await?;
    }
    finished.map(|()| pairs)
}

#[derive(Default)]
struct Meta {
    log_id: u64,
    /// Wrapped; by it the master key is known.
    request_secret: Vec<u8>,
}

#[async_trait]
impl Sink for Meta {
    async fn rows(&mut self, _: &'static Table, rows: Vec<Row>) -> Result<()> {
        let row = rows.first().ok_or_else(|| LedgerError::corrupt("a log without a head"))?;
        self.log_id = counter(row[tables::META.column("log_id")].int()?)?;
        self.request_secret = row[tables::META.column("request_secret")].bytes()?.to_vec();
        Ok(())
    }
}

struct Watched<'w, 'f> {
    target: Tallied,
    watch: &'w mut Watch<'f>,
}

#[async_trait]
impl Sink for Watched<'_, '_> {
    async fn rows(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<()> {
        self.target.rows(table, rows).await?;
        (self.watch)(Progress::Rows { table: table.name, rows: self.target.count(table), all: false });
        Ok(())
    }
}
