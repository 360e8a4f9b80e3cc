//! [`restore`]: a backup into an empty place, as a new log.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    Cell, Contents, Place, Progress, Row, Sink, Tallied, Target, Watch, blocking,
    files::FileSink,
    place::{ARCHIVE, BLOBS, KEY, Stage},
    scan::{self, KIND, Scan},
    tables::{self, Table},
};
use crate::{
    LedgerError, Result, Secret,
    erasures::{self, Erased, Noted, key_hash},
    rows::{int, new_id},
    sealer::Sealer,
};

/// Deliveries made between the backup and its restore had numbers of their own; receivers know them, so that new ones
/// must be others.
const DELIVERIES: i64 = 1 << 20;

/// What came of a restore.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What the backup held.
    pub contents: Contents,
    /// The new log.
    pub log_id: u64,
    /// Subjects that were erased after the backup, and are erased in what was restored. Their `erased` events are still
    /// to be appended.
    pub erased: Vec<String>,
    /// Journals and backups that erasures were read from.
    pub journals: Vec<PathBuf>,
    /// Lines of journals that could not be read: what was erased by them alone is back.
    pub unread: usize,
    /// Logins that were not restored: each person logs in anew.
    pub sessions: u64,
}

/// Brings a backup into `into`, which must be empty: its database and its folders of files. All of `from` is checked
/// first. The log gets a new id and a new term, telemetry a new epoch. Subjects that `erasures` (journals, or other
/// backups) or the journal of the target name as erased stay erased: their keys are not restored.
///
/// Errors: `File` for a damaged backup, `Invalid` for a target that is not empty or a file of `erasures` that is none,
/// `MasterKey` or `Corrupt` when the key
/// is not there or another one; then nothing changed.
pub async fn restore(into: &Place, from: &Path, erasures: &[PathBuf], watch: &mut Watch<'_>) -> Result<Restored> {
    let contents = scan::check(from, watch).await?;
    let Known { erased, files: journals, unread } = known_erasures(&into.erasures, erasures).await?;
    let stage = into.stage(true).await?;
    check_key(into, &stage, &contents).await?;
    let log_id = new_id();
    let mut filling = Filling {
        target: Tallied::new(stage.target().await?),
        blobs: FileSink::new(stage.folder.join(BLOBS), scan::is_blob),
        archive: FileSink::new(stage.folder.join(ARCHIVE), scan::is_archive),
        changes: Changes { contents: &contents, log_id, erased: &erased, again: Vec::new(), sessions: 0 },
        erasures: Vec::new(),
    };
    let path = from.to_owned();
    let mut scan = blocking(move || Scan::open(&path)).await?;
    while let Some((table, rows)) = scan.next().await? {
        filling.take(table, rows, watch).await?;
    }
    let (target, erased, sessions) = filling.end(watch).await?;
    stage.finish(target, log_id).await?;
    Ok(Restored { contents, log_id, erased, journals, unread, sessions })
}

/// Erasures that are known here.
#[derive(Default)]
struct Known {
    erased: Vec<Erased>,
    /// What they were read from.
    files: Vec<PathBuf>,
    unread: usize,
}

impl Known {
    fn add(&mut self, file: &Path, found: Noted) {
        self.erased.extend(found.erased);
        self.unread += found.damaged;
        self.files.push(file.to_owned());
    }
}

/// Erasures of the target's journal, if it has one, and of the `others`, which must be what they are named for.
async fn known_erasures(own: &Path, others: &[PathBuf]) -> Result<Known> {
    let mut known = Known::default();
    let path = own.to_owned();
    if let Some(found) = blocking(move || erasures::read(&path)).await?.filter(|found| *found != Noted::default()) {
        known.add(own, found);
    }
    for file in others {
        let unfit = |why: &str| LedgerError::invalid("erasures", format!("{}: {why}", file.display()));
        let path = file.clone();
        if !tokio::fs::try_exists(file).await? {
            return Err(unfit("is not there"));
        }
        let found = if blocking(move || starts_with(&path, KIND)).await? {
            Noted { erased: of_backup(file).await?, damaged: 0 }
        } else {
            let path = file.clone();
            let found = blocking(move || erasures::read(&path)).await?.unwrap_or_default();
            if found.erased.is_empty() {
                return Err(unfit("is neither a backup nor a journal with an erasure"));
            }
            found
        };
        known.add(file, found);
    }
    Ok(known)
}

fn starts_with(path: &Path, kind: [u8; 8]) -> Result<bool> {
    let mut first = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(path)?, 8), &mut first)?;
    Ok(first == kind)
}

/// The erasures that another backup knows of.
async fn of_backup(file: &Path) -> Result<Vec<Erased>> {
    let path = file.to_owned();
    let mut scan = blocking(move || Scan::open(&path)).await?;
    let (mut log_id, mut found) = (0, Vec::new());
    while let Some((table, rows)) = scan.next().await? {
        for row in &rows {
            if table.name == tables::META.name {
                log_id = u64::try_from(row[1].int()?).unwrap_or(0);
            } else if table.name == tables::ERASURES.name {
                let seq = u64::try_from(row[1].int()?).unwrap_or(0);
                let key = row[2].bytes().ok().map(<[u8]>::to_vec);
                found.push(Erased::of(log_id, row[0].text()?.to_owned(), seq, key)?);
            }
        }
    }
    Ok(found)
}

/// Whether the key that is there, or that comes with the backup, opens it.
async fn check_key(into: &Place, stage: &Stage, contents: &Contents) -> Result<()> {
    let own = into.folder.join(KEY);
    let path = match &contents.key {
        Some(line) if !tokio::fs::try_exists(&own).await? => {
            let (path, line) = (stage.folder.join(KEY), line.clone());
            let to = path.clone();
            blocking(move || write_key(&to, &line)).await?;
            path
        }
        _ => own,
    };
    Sealer::load(path, false).await?.request_secret(&contents.request_secret).map(drop)
}

fn write_key(path: &Path, line: &Secret) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(path)?;
    std::io::Write::write_all(&mut file, line.expose())?;
    std::io::Write::write_all(&mut file, b"\n")?;
    Ok(file.sync_all()?)
}

/// What a restored row is, other than the one in the backup.
struct Changes<'r> {
    contents: &'r Contents,
    log_id: u64,
    erased: &'r [Erased],
    /// Rows of erasures that were done again.
    again: Vec<Row>,
    sessions: u64,
}

impl Changes<'_> {
    /// `None` for a row that is left out.
    fn row(&mut self, table: &'static Table, mut row: Row) -> Result<Option<Row>> {
        if table.name == tables::META.name {
            row[1] = Cell::Int(int(self.log_id));
            row[3] = Cell::Int(row[3].int()? + 1);
        } else if table.name == tables::TELEMETRY_META.name {
            row[1] = Cell::Int(int(new_id()));
        } else if table.name == tables::SESSIONS.name {
            self.sessions += 1;
            return Ok(None);
        } else if table.name == tables::COUNTERS.name && row[0].text()? == "outbox.id" {
            row[1] = Cell::Int(row[1].int()? + DELIVERIES);
        } else if table.name == tables::SUBJECT_KEYS.name {
            let (subject, hash) = (row[1].text()?.to_owned(), key_hash(row[2].bytes()?));
            let Contents { log_id, seq, .. } = *self.contents;
            if self.erased.iter().any(|e| e.destroyed(log_id, seq, &subject, &hash)) {
                self.again.push(vec![Cell::Text(subject), Cell::Int(int(seq)), Cell::Bytes(hash)]);
                return Ok(None);
            }
        }
        Ok(Some(row))
    }
}

/// Hands what a backup holds to the target and its folders.
struct Filling<'r> {
    target: Tallied,
    blobs: FileSink,
    archive: FileSink,
    changes: Changes<'r>,
    /// Few; more may come, in the order of their key.
    erasures: Vec<Row>,
}

impl Filling<'_> {
    async fn take(&mut self, table: &'static Table, rows: Vec<Row>, watch: &mut Watch<'_>) -> Result<()> {
        if table.name == tables::BLOB_FILES.name {
            return self.blobs.rows(table, rows).await;
        }
        if table.name == tables::ARCHIVE_FILES.name {
            return self.archive.rows(table, rows).await;
        }
        if table.name == tables::ERASURES.name {
            self.erasures.extend(rows);
            return Ok(());
        }
        if !tables::TABLES.iter().any(|t| t.name == table.name) {
            return Ok(());
        }
        let changed = rows.into_iter().filter_map(|row| self.changes.row(table, row).transpose());
        let rows = changed.collect::<Result<Vec<_>>>()?;
        self.target.rows(table, rows).await?;
        watch(Progress::Rows { table: table.name, rows: self.target.count(table), all: false });
        Ok(())
    }

    /// Writes what was kept back and compares; the target, the subjects erased again, and logins left out.
    async fn end(mut self, watch: &mut Watch<'_>) -> Result<(Box<dyn Target>, Vec<String>, u64)> {
        self.blobs.end().await?;
        self.archive.end().await?;
        let key = |row: &Row| Ok::<_, LedgerError>((row[0].text()?.to_owned(), row[1].int()?));
        let mut known = self.erasures.iter().map(key).collect::<Result<BTreeSet<_>>>()?;
        let again = std::mem::take(&mut self.changes.again);
        let subjects = again.iter().map(|row| row[0].text().map(str::to_owned)).collect::<Result<Vec<_>>>()?;
        for row in again {
            if known.insert(key(&row)?) {
                self.erasures.push(row);
            }
        }
        self.erasures.sort_by_cached_key(|row| key(row).unwrap_or_default());
        self.target.rows(&tables::ERASURES, self.erasures).await?;
        let (target, _) = self.target.compare(watch).await?;
        Ok((target, subjects, self.changes.sessions))
    }
}
