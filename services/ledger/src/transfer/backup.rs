//! [`backup`]: all rows and files into one file, while the centre works on.

use std::{collections::HashSet, path::Path};

use async_trait::async_trait;

use super::{
    Cell, Contents, Place, Progress, Row, Sink, Watch, blocking,
    cell::{Tallying, put_row},
    file::{BLOCK, BlockWriter},
    files,
    place::{ARCHIVE, BLOBS, KEY},
    scan::{self, KIND},
    tables::{self, Table},
};
use crate::{LedgerError, Result, model::BlobId};

/// What a backup is to be.
#[derive(Debug, Clone, Copy)]
pub struct Backup<'b> {
    /// Where; nothing may be there.
    pub to: &'b Path,
    /// Whether the master key comes with it: then the file opens every sealed value, so keep it as you keep the key.
    pub with_key: bool,
    /// Now, ms.
    pub at_ms: i64,
    /// The program that writes it, for people.
    pub program: &'b str,
}

/// Writes a backup of `from`, reads it again and gives it its name; what is in it. The centre may run meanwhile.
///
/// Errors: `Invalid` when the file is there already, `Full`, `Schema` when the data are of an older program, or another
/// failure; then no file is left.
pub async fn backup(from: &Place, what: Backup<'_>, watch: &mut Watch<'_>) -> Result<Contents> {
    if tokio::fs::try_exists(what.to).await? {
        return Err(LedgerError::invalid("file", "is there already"));
    }
    let mut source = from.source().await?;
    let to = what.to.to_owned();
    let mut out = Writing {
        file: Some(blocking(move || BlockWriter::create(&to, KIND)).await?),
        block: Block::default(),
        tallying: None,
        manifest: Vec::new(),
        keys: HashSet::new(),
        blobs: Vec::new(),
        watch,
    };
    out.table(&tables::ABOUT, about(from, &what)).await?;
    for table in tables::TABLES {
        out.begin(table).await?;
        source.each(table, &mut out).await?;
    }
    // The moment of the database is over; files are only ever added, or go with what is erased.
    drop(source);
    out.begin(&tables::BLOB_FILES).await?;
    let mut missing = Vec::new();
    for id in std::mem::take(&mut out.blobs) {
        if !files::read(&from.folder.join(BLOBS), &id, &tables::BLOB_FILES, &mut out).await? {
            missing.push(id);
        }
    }
    out.begin(&tables::ARCHIVE_FILES).await?;
    for name in files::list(from.folder.join(ARCHIVE), scan::is_archive).await? {
        files::read(&from.folder.join(ARCHIVE), &name, &tables::ARCHIVE_FILES, &mut out).await?;
    }
    if what.with_key {
        let line = tokio::fs::read_to_string(from.folder.join(KEY)).await?;
        out.table(&tables::MASTER_KEY, vec![vec![Cell::Text(line.trim().to_owned())]]).await?;
    }
    let (file, watch) = out.end().await?;
    let unnamed = blocking(move || file.finish()).await?;
    let contents = scan::check(unnamed.path(), watch).await?;
    blocking(move || unnamed.name()).await?;
    Ok(Contents { missing, ..contents })
}

fn about(from: &Place, what: &Backup<'_>) -> Vec<Row> {
    let rows = [
        ("at_ms", what.at_ms.to_string()),
        ("backend", from.backend().to_owned()),
        ("program", what.program.to_owned()),
        ("schema", tables::schema()),
    ];
    rows.into_iter().map(|(name, value)| vec![Cell::Text(name.to_owned()), Cell::Text(value)]).collect()
}

/// Rows of one table that are not written yet.
#[derive(Default)]
struct Block {
    rows: u32,
    bytes: Vec<u8>,
}

struct Writing<'w, 'f> {
    file: Option<BlockWriter>,
    block: Block,
    tallying: Option<(&'static Table, Tallying)>,
    manifest: Vec<Row>,
    /// Keys that are there.
    keys: HashSet<i64>,
    /// Blobs whose key is there, and which some event names.
    blobs: Vec<String>,
    watch: &'w mut Watch<'f>,
}

impl<'w, 'f> Writing<'w, 'f> {
    async fn table(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<()> {
        self.begin(table).await?;
        self.rows(table, rows).await
    }

    async fn begin(&mut self, table: &'static Table) -> Result<()> {
        self.write().await?;
        if let Some((ended, tallying)) = self.tallying.replace((table, Tallying::new())) {
            let tally = tallying.done(ended.name);
            (self.watch)(Progress::Rows { table: ended.name, rows: tally.rows, all: true });
            let rows = i64::try_from(tally.rows).unwrap_or(i64::MAX);
            self.manifest.push(vec![Cell::Text(tally.table), Cell::Int(rows), Cell::Bytes(tally.hash.to_vec())]);
        }
        Ok(())
    }

    /// Writes the rows that wait.
    async fn write(&mut self) -> Result<()> {
        let Some((table, tallying)) = self.tallying.as_mut().filter(|_| self.block.rows > 0) else { return Ok(()) };
        let Block { rows, bytes } = std::mem::take(&mut self.block);
        tallying.add(rows.into(), &bytes);
        (self.watch)(Progress::Rows { table: table.name, rows: tallying.rows(), all: false });
        let plain = scan::block(table, rows, &bytes);
        let Some(mut file) = self.file.take() else { return Err(closed()) };
        let file = blocking(move || file.block(&plain).map(|_| file)).await?;
        self.file = Some(file);
        Ok(())
    }

    async fn end(mut self) -> Result<(BlockWriter, &'w mut Watch<'f>)> {
        self.begin(&tables::MANIFEST).await?;
        let manifest = std::mem::take(&mut self.manifest);
        self.rows(&tables::MANIFEST, manifest).await?;
        self.write().await?;
        Ok((self.file.ok_or_else(closed)?, self.watch))
    }
}

fn closed() -> LedgerError {
    LedgerError::invalid("file", "failed before")
}

#[async_trait]
impl Sink for Writing<'_, '_> {
    async fn rows(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<()> {
        for row in &rows {
            if table.name == tables::SUBJECT_KEYS.name {
                self.keys.insert(row[0].int()?);
            } else if table.name == tables::BLOBS.name
                && self.keys.contains(&row[tables::BLOBS.column("key_id")].int()?)
            {
                self.blobs.extend(BlobId::parse(row[0].text()?).map(|id| id.as_str().to_owned()));
            }
            put_row(&mut self.block.bytes, row);
            self.block.rows += 1;
            if self.block.bytes.len() >= BLOCK {
                self.write().await?;
            }
        }
        Ok(())
    }
}
