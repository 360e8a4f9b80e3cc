//! Reads a backup from its beginning to its end and checks all of it.

use std::path::Path;

use super::{
    Checksum, Progress, Row, Watch, blocking,
    cell::{Tallying, take, take_row, take_u32},
    file::BlockReader,
    tables::{self, Table},
};
use crate::{LedgerError, Result, Secret, model::BlobId};

/// First bytes of a backup.
pub(crate) const KIND: [u8; 8] = *b"MJWBACK1";
/// Rows of one block at most, so that a damaged count asks for nothing absurd.
const ROWS: u32 = 1 << 20;

/// Rows of a table as one block.
pub(super) fn block(table: &Table, rows: u32, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len() + table.name.len() + 8);
    plain.push(u8::try_from(table.name.len()).unwrap_or(u8::MAX));
    plain.extend_from_slice(table.name.as_bytes());
    plain.extend(rows.to_le_bytes());
    plain.extend_from_slice(bytes);
    plain
}

/// Whether a file of the archive folder is one of a month.
pub(crate) fn is_archive(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.ends_with(".mjw.zst") && !name.starts_with('.') && name.len() <= 200 && name.chars().all(fit)
}

/// Whether a file of the blob folder is one.
pub(super) fn is_blob(name: &str) -> bool {
    BlobId::parse(name).is_some()
}

/// What a whole backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// When it was made, ms.
    pub at_ms: i64,
    /// The backend that it was made of.
    pub backend: String,
    /// The program that wrote it.
    pub program: String,
    /// The log.
    pub log_id: u64,
    /// Its last event.
    pub seq: u64,
    /// Whether the master key is in it.
    pub with_key: bool,
    /// Tables with rows and hashes, in order.
    pub tables: Vec<Checksum>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Blobs whose file was not there when it was made; known only from [`super::backup()`] itself.
    pub missing: Vec<String>,
    /// For the one who restores.
    pub(super) request_secret: Vec<u8>,
    pub(super) key: Option<Secret>,
}

impl Contents {
    fn take(&mut self, table: &'static Table, rows: &[Row]) -> Result<()> {
        for row in rows {
            if table.name == tables::ABOUT.name {
                let value = row[1].text()?.to_owned();
                match row[0].text()? {
                    "at_ms" => self.at_ms = value.parse().unwrap_or(0),
                    "backend" => self.backend = value,
                    "program" => self.program = value,
                    "schema" if value != tables::schema() => {
                        let of = format!("the backup is of {value}, this program of {}", tables::schema());
                        return Err(LedgerError::Schema(
                            of + ": restore it with the program that wrote it, then migrate",
                        ));
                    }
                    _ => {}
                }
            } else if table.name == tables::META.name {
                let number = |at: usize| Ok::<_, LedgerError>(u64::try_from(row[at].int()?).unwrap_or(0));
                (self.log_id, self.seq) = (number(1)?, number(2)?);
                self.request_secret = row[4].bytes()?.to_vec();
            } else if table.name == tables::MASTER_KEY.name {
                (self.with_key, self.key) = (true, Some(row[0].text()?.into()));
            }
        }
        Ok(())
    }
}

/// Reads a backup and checks every block, every row, and the counts and hashes of all tables.
///
/// Errors: [`LedgerError::File`] with the place of the damage.
pub async fn verify(file: &Path, watch: &mut Watch<'_>) -> Result<Contents> {
    check(file, watch).await
}

pub(super) async fn check(file: &Path, watch: &mut Watch<'_>) -> Result<Contents> {
    let path = file.to_owned();
    let mut scan = blocking(move || Scan::open(&path)).await?;
    let mut contents = Contents::default();
    while let Some((table, rows)) = scan.next().await? {
        contents.take(table, &rows)?;
        let (at, of) = scan.at();
        contents.bytes = of;
        watch(Progress::Checking { at, of });
    }
    contents.tables = scan.done();
    if contents.request_secret.is_empty() {
        return Err(LedgerError::File { file: file.display().to_string(), at: 0, what: "it holds no log".to_owned() });
    }
    Ok(contents)
}

/// Gives the rows of a backup, table by table, and checks all of it on the way.
pub(super) struct Scan(Option<Inner>);

struct Inner {
    file: BlockReader,
    current: Option<(&'static Table, Tallying)>,
    done: Vec<Checksum>,
    manifest: Option<Vec<Checksum>>,
}

impl Scan {
    /// Blocks.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = BlockReader::open(path, KIND)?;
        Ok(Self(Some(Inner { file, current: None, done: Vec::new(), manifest: None })))
    }

    /// The rows of the next block; `None` at the end of a backup that is whole.
    pub(super) async fn next(&mut self) -> Result<Option<(&'static Table, Vec<Row>)>> {
        let Some(mut inner) = self.0.take() else { return Err(LedgerError::invalid("file", "failed before")) };
        let (inner, found) = blocking(move || inner.next().map(|found| (inner, found))).await?;
        self.0 = Some(inner);
        Ok(found)
    }

    /// Bytes read, bytes in all.
    fn at(&self) -> (u64, u64) {
        self.0.as_ref().map_or((0, 0), |inner| inner.file.at())
    }

    fn done(self) -> Vec<Checksum> {
        self.0.map(|inner| inner.done).unwrap_or_default()
    }
}

impl Inner {
    fn next(&mut self) -> Result<Option<(&'static Table, Vec<Row>)>> {
        let Some((at, plain)) = self.file.next()? else {
            self.end()?;
            return Ok(None);
        };
        let broken = |file: &BlockReader| file.damage(at, "a block holds no rows of a known table");
        let (table, rows, bytes) = parse(&plain).ok_or_else(|| broken(&self.file))?;
        if self.manifest.is_some() {
            return Err(self.file.damage(at, "something stands after the manifest"));
        }
        if table.name == tables::MANIFEST.name {
            self.manifest = Some(manifest(&rows).ok_or_else(|| broken(&self.file))?);
        }
        if self.current.as_ref().is_none_or(|(current, _)| current.name != table.name) {
            if self.done.iter().any(|tally| tally.table == table.name) {
                return Err(self.file.damage(at, format!("{} stands in two places", table.name)));
            }
            if let Some((ended, tallying)) = self.current.replace((table, Tallying::new())) {
                self.done.push(tallying.done(ended.name));
            }
        }
        if let Some((_, tallying)) = &mut self.current {
            tallying.add(rows.len() as u64, bytes);
        }
        Ok(Some((table, rows)))
    }

    /// Holds what was read against the manifest.
    fn end(&mut self) -> Result<()> {
        let end = self.file.at().0;
        let Some(manifest) = self.manifest.take() else {
            return Err(self.file.damage(end, "it has no manifest"));
        };
        // A table without rows has no block.
        let found = |tally: &Checksum| match self.done.iter().find(|found| found.table == tally.table) {
            Some(found) => found == tally,
            None => *tally == Tallying::new().done(&tally.table),
        };
        if let Some(wrong) = manifest.iter().find(|tally| !found(tally)) {
            return Err(self.file.damage(end, format!("{} is not what the manifest says", wrong.table)));
        }
        if let Some(extra) = self.done.iter().find(|found| !manifest.iter().any(|tally| tally.table == found.table)) {
            return Err(self.file.damage(end, format!("{} is not in the manifest", extra.table)));
        }
        if let Some(lost) = tables::TABLES.iter().find(|t| !manifest.iter().any(|tally| tally.table == t.name)) {
            return Err(self.file.damage(end, format!("{} is missing", lost.name)));
        }
        self.done = manifest;
        Ok(())
    }
}

fn parse(plain: &[u8]) -> Option<(&'static Table, Vec<Row>, &[u8])> {
    let mut from = plain;
    let len = usize::from(take(&mut from, 1)?[0]);
    let table = tables::named(std::str::from_utf8(take(&mut from, len)?).ok()?)?;
    let count = take_u32(&mut from).filter(|n| (1..=ROWS).contains(n))?;
    let bytes = from;
    let rows = (0..count).map(|_| take_row(&mut from, table).map(|(row, _)| row)).collect::<Option<Vec<_>>>()?;
    from.is_empty().then_some((table, rows, bytes))
}

fn manifest(rows: &[Row]) -> Option<Vec<Checksum>> {
    let tally = |row: &Row| {
        Some(Checksum {
            table: row[0].text().ok()?.to_owned(),
            rows: u64::try_from(row[1].int().ok()?).ok()?,
            hash: row[2].bytes().ok()?.try_into().ok()?,
        })
    };
    rows.iter().map(tally).collect()
}
