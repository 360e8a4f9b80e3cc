//! Old events in monthly files beside the database, readable as if they had never moved.
//!
//! A file `SITE-YYYY-MM.mjw.zst` holds events without gaps, in checksummed blocks; its last block says where each block
//! begins, which events it has and, by hashes, of which streams. Only a beginning of the log moves, of months that are
//! over, so that files and table together are the log: files first, then the table.
//!
//! Invariants: events leave the table only after their file is whole, on disk, read again and has its name; the table
//! lets go of them in pieces, so that the writer never waits long; a crash at any moment leaves every event in a file, in
//! the table, or in both. Months are those of the site's own time, UTC+8. An event holds no personal value, so erasures
//! do not touch files.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{
    EventRow, LedgerError, Result, StoredEvent, limits,
    rows::int,
    transfer::{
        Cell, Row, blocking,
        cell::{put_row, take, take_row, take_u32, take_u64},
        file::{BLOCK, BlockReader, BlockWriter, block_at, last_block},
        is_archive,
        tables::EVENTS,
    },
};

const KIND: [u8; 8] = *b"MJWARCH1";
const ZONE_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;
/// Streams of one block that are listed; a block with more may hold any.
const STREAMS: usize = 4_096;

/// What is to move.
#[derive(Debug, Clone, Copy)]
pub struct Archiving<'a> {
    /// Names the files: letters, digits, `-` and `_`.
    pub site: &'a str,
    /// Now, ms.
    pub now_ms: i64,
    /// Months that stay, beside the present one; at least 1.
    pub months: u16,
}

/// What moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// Names of new files.
    pub files: Vec<String>,
    /// Events that left the table.
    pub events: u64,
}

/// A month: years since 0 times twelve and months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i64);

impl Month {
    /// The month of a moment.
    fn of(ms: i64) -> Self {
        // Days since 0000-03-01, so that the leap day ends a year.
        let days = (ms.saturating_add(ZONE_MS)).div_euclid(DAY_MS) + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        Self((year + era * 400) * 12 + from_march + 2)
    }

    /// Its first moment.
    fn start_ms(self) -> i64 {
        let (year, from_march) = ((self.0 - 2).div_euclid(12), (self.0 - 2).rem_euclid(12));
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day = of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5;
        (era * 146_097 + day - 719_468) * DAY_MS - ZONE_MS
    }

    fn name(self) -> String {
        format!("{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    /// Of a file's name.
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".mjw.zst")?;
        let (rest, month) = stem.rsplit_once('-')?;
        let (_, year) = rest.rsplit_once('-')?;
        let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
        (1..=12).contains(&month).then_some(Self(year * 12 + month - 1))
    }
}

/// The events that a database holds itself.
#[async_trait]
pub(crate) trait EventRows: Sync {
    /// Events after `after`, in order.
    async fn stored(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>>;
    /// As `stored`, of one stream.
    async fn stored_of(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>>;
    /// The first event, if there is one.
    async fn first(&self) -> Result<Option<u64>>;
    /// The end of the log, in files or here.
    async fn end(&self) -> Result<u64>;
    /// The first event of this time, both ends included.
    async fn first_between(&self, from_ms: i64, to_ms: i64) -> Result<Option<u64>>;
    /// Removes the first events up to `upto`, at most [`limits::SWEEP`]; how many.
    async fn forget(&self, upto: u64) -> Result<usize>;
}

/// A block of a file.
#[derive(Debug, Clone)]
struct Part {
    at: u64,
    first: u64,
    last: u64,
    /// Hashes of its streams, sorted; empty when there are too many.
    streams: Vec<u32>,
}

/// A file.
#[derive(Debug)]
struct MonthFile {
    path: PathBuf,
    month: Month,
    parts: Vec<Part>,
}

impl MonthFile {
    fn first(&self) -> u64 {
        self.parts.first().map_or(0, |p| p.first)
    }
    fn last(&self) -> u64 {
        self.parts.last().map_or(0, |p| p.last)
    }
}

/// The folder of monthly files.
pub(crate) struct Archive {
    folder: PathBuf,
    /// Files seen so far, by events.
    known: Mutex<Arc<Vec<MonthFile>>>,
}

impl Archive {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::default() }
    }

    fn known(&self) -> Arc<Vec<MonthFile>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for new files; those up to `upto` must be there.
    async fn files(&self, upto: u64) -> Result<Arc<Vec<MonthFile>>> {
        let known = self.known();
        if known.last().map_or(0, MonthFile::last) >= upto {
            return Ok(known);
        }
        let folder = self.folder.clone();
        let found = Arc::new(blocking(move || load(&folder)).await?);
        let last = found.last().map_or(0, MonthFile::last);
        if upto != u64::MAX && last < upto {
            return Err(LedgerError::corrupt(format!("events {} to {upto} are in no archive file", last + 1)));
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found.clone();
        Ok(found)
    }

    /// Events of files after `after` and up to `upto`, in order, of one stream or all.
    async fn read(&self, stream: Option<&str>, after: u64, upto: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let (files, mut found) = (self.files(upto).await?, Vec::new());
        let hash = stream.map(|s| crc32fast::hash(s.as_bytes()));
        for file in files.iter().filter(|f| f.last() > after && f.first() <= upto) {
            for part in file.parts.iter().filter(|p| p.last > after && p.first <= upto) {
                if found.len() >= limit {
                    return Ok(found);
                }
                if hash.is_some_and(|h| !part.streams.is_empty() && part.streams.binary_search(&h).is_err()) {
                    continue;
                }
                let (path, at) = (file.path.clone(), part.at);
                let events = blocking(move || events(&block_at(&path, at)?)).await?;
                let wanted = events.into_iter().filter(|e| e.seq > after && e.seq <= upto);
                let wanted = wanted.filter(|e| stream.is_none_or(|s| e.event.stream == s));
                found.extend(wanted.take(limit - found.len()));
            }
        }
        Ok(found)
    }
}

/// The last event that moved to files, or 0.
async fn moved(rows: &dyn EventRows) -> Result<u64> {
    if let Some(first) = rows.first().await? {
        return Ok(first - 1);
    }
    // Nothing is in the table: then everything up to here moved, or stands there by now.
    let end = rows.end().await?;
    Ok(rows.first().await?.map_or(end, |first| first - 1))
}

/// [`crate::Log::tail`] of every backend.
pub(crate) async fn tail(
    rows: &dyn EventRows,
    archive: &Archive,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    let limit = limit.min(limits::PAGE);
    let stored = rows.stored(after, limit).await?;
    if limit == 0 || stored.first().is_some_and(|e| Some(e.seq) == after.checked_add(1)) {
        return Ok(stored);
    }
    // Nothing, or a gap: what is missing moved to files, now or before. The end of the files is asked for afterwards, so
    // that what left the table meanwhile is among them.
    let upto = moved(rows).await?;
    if upto <= after {
        return Ok(stored);
    }
    let mut found = archive.read(None, after, upto, limit).await?;
    if found.first().is_none_or(|e| e.seq != after + 1) {
        return Err(LedgerError::corrupt(format!("events after {after} are in no archive file")));
    }
    let next = |found: &[StoredEvent]| found.last().map_or(0, |e| e.seq + 1);
    for event in stored {
        if found.len() < limit && event.seq == next(&found) {
            found.push(event);
        }
    }
    Ok(found)
}

/// [`crate::Log::stream_tail`] of every backend.
pub(crate) async fn stream_tail(
    rows: &dyn EventRows,
    archive: &Archive,
    stream: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    let limit = limit.min(limits::PAGE);
    let stored = rows.stored_of(stream, after, limit).await?;
    // As of `tail`: what left the table between the two questions is in a file already.
    let upto = moved(rows).await?;
    if upto <= after {
        return Ok(stored);
    }
    let mut found = archive.read(Some(stream), after, upto, limit).await?;
    let room = limit - found.len();
    found.extend(stored.into_iter().filter(|e| e.seq > upto).take(room));
    Ok(found)
}

/// [`crate::Log::archive`] of every backend.
pub(crate) async fn run(rows: &dyn EventRows, archive: &Archive, what: &Archiving<'_>) -> Result<Archived> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if what.site.is_empty() || what.site.len() > 64 || !what.site.chars().all(fit) || what.months == 0 {
        return Err(LedgerError::invalid("archiving", "needs a plain name of the site and at least one month"));
    }
    let cut = Month(Month::of(what.now_ms).0 - i64::from(what.months));
    let mut done = Archived::default();
    let folder = archive.folder.clone();
    blocking(move || clear(&folder)).await?;
    loop {
        let files = archive.files(u64::MAX).await?;
        let (last, month) = files.last().map_or((0, Month(0)), |f| (f.last(), f.month));
        // Those of a run that was cut off between file and table, or of the file just written.
        loop {
            let gone = rows.forget(last).await?;
            done.events += gone as u64;
            step()?;
            if gone == 0 {
                break;
            }
        }
        let Some(first) = rows.first().await? else { break };
        if first != last + 1 {
            return Err(LedgerError::corrupt(format!("events {} to {} are in no archive file", last + 1, first - 1)));
        }
        // An event of the future, from a clock that was wrong, keeps nothing from moving.
        let end = rows.first_between(cut.start_ms(), what.now_ms).await?.unwrap_or(u64::MAX);
        match write(rows, archive, what, (first, end), (Month(month.0 + 1), cut)).await? {
            Some(name) => done.files.push(name),
            None => break,
        }
    }
    Ok(done)
}

/// Writes the file of the next month, if it has events: `first` up to before `end`, of a month from `from` to before
/// `cut`. Months never go back along the log: an event that came late belongs to the month that it came in.
async fn write(
    rows: &dyn EventRows,
    archive: &Archive,
    what: &Archiving<'_>,
    (first, end): (u64, u64),
    (from, cut): (Month, Month),
) -> Result<Option<String>> {
    let month_of = |e: &StoredEvent| if e.event.at_ms > what.now_ms { from } else { Month::of(e.event.at_ms) };
    let mut page = rows.stored(first - 1, limits::PAGE).await?;
    let Some(month) = page.first().filter(|e| e.seq < end).map(|e| month_of(e).max(from)) else { return Ok(None) };
    if month >= cut {
        return Ok(None);
    }
    let name = format!("{}-{}.mjw.zst", what.site, month.name());
    let place = archive.folder.join(&name);
    let mut file = blocking(move || Writing::create(&place)).await?;
    'pages: while !page.is_empty() {
        let mut wanted = Vec::new();
        let last = page.last().map_or(0, |e| e.seq);
        let mut over = false;
        for event in page {
            over |= event.seq >= end || month_of(&event) > month;
            if over {
                break;
            }
            wanted.push(event);
        }
        file = blocking(move || file.events(&wanted).map(|()| file)).await?;
        if over {
            break 'pages;
        }
        page = rows.stored(last, limits::PAGE).await?;
    }
    step()?;
    let unnamed = blocking(move || file.finish()).await?;
    step()?;
    blocking(move || {
        check(unnamed.path())?;
        unnamed.name()
    })
    .await?;
    step()?;
    Ok(Some(name))
}

/// Where a test breaks off.
fn step() -> Result<()> {
    #[cfg(feature = "testing")]
    crate::testing::step()?;
    Ok(())
}

/// Removes files that never got their name; nobody else writes here.
fn clear(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A file in the making.
struct Writing {
    file: BlockWriter,
    rows: Vec<u8>,
    streams: BTreeSet<u32>,
    range: Option<(u64, u64)>,
    parts: Vec<Part>,
}

impl Writing {
    fn create(place: &Path) -> Result<Self> {
        let file = BlockWriter::create(place, KIND)?;
        Ok(Self { file, rows: Vec::new(), streams: BTreeSet::new(), range: None, parts: Vec::new() })
    }

    fn events(&mut self, events: &[StoredEvent]) -> Result<()> {
        for stored in events {
            put_row(&mut self.rows, &row(stored));
            self.streams.insert(crc32fast::hash(stored.event.stream.as_bytes()));
            self.range = Some((self.range.map_or(stored.seq, |(first, _)| first), stored.seq));
            if self.rows.len() >= BLOCK {
                self.block()?;
            }
        }
        Ok(())
    }

    fn block(&mut self) -> Result<()> {
        let Some((first, last)) = self.range.take() else { return Ok(()) };
        let at = self.file.block(&self.rows)?;
        let streams = std::mem::take(&mut self.streams);
        let streams = if streams.len() > STREAMS { Vec::new() } else { streams.into_iter().collect() };
        self.parts.push(Part { at, first, last, streams });
        self.rows.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<crate::transfer::file::Unnamed> {
        self.block()?;
        let mut index = Vec::new();
        for part in &self.parts {
            for n in [part.at, part.first, part.last] {
                index.extend(n.to_le_bytes());
            }
            index.extend(u32::try_from(part.streams.len()).unwrap_or(0).to_le_bytes());
            part.streams.iter().for_each(|hash| index.extend(hash.to_le_bytes()));
        }
        self.file.block(&index)?;
        self.file.finish()
    }
}

fn row(stored: &StoredEvent) -> Row {
    let e = &stored.event;
    vec![
        Cell::Int(int(stored.seq)),
        Cell::Int(e.at_ms),
        Cell::Text(e.kind.clone()),
        Cell::Int(e.version.into()),
        Cell::Text(e.stream.clone()),
        Cell::Int(e.mode.into()),
        Cell::Bytes(e.payload.to_vec()),
    ]
}

fn event(row: &[Cell]) -> Result<StoredEvent> {
    let strange = |_| LedgerError::corrupt("a number of an archived event");
    Ok(StoredEvent {
        seq: u64::try_from(row[0].int()?).map_err(strange)?,
        event: EventRow {
            at_ms: row[1].int()?,
            kind: row[2].text()?.to_owned(),
            version: u16::try_from(row[3].int()?).map_err(strange)?,
            stream: row[4].text()?.to_owned(),
            mode: u8::try_from(row[5].int()?).map_err(strange)?,
            payload: row[6].bytes()?.to_vec().into(),
        },
    })
}

/// The events of a block.
fn events(mut plain: &[u8]) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::new();
    while !plain.is_empty() {
        let (row, _) = take_row(&mut plain, &EVENTS).ok_or_else(|| LedgerError::corrupt("an archived event"))?;
        found.push(event(&row)?);
    }
    Ok(found)
}

fn index(mut plain: &[u8]) -> Option<Vec<Part>> {
    let from = &mut plain;
    let mut parts = Vec::new();
    while !from.is_empty() {
        let (at, first, last) = (take_u64(from)?, take_u64(from)?, take_u64(from)?);
        let count = usize::try_from(take_u32(from)?).ok()?;
        let hashes = take(from, count.checked_mul(4)?)?;
        let hash = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
        let follows = parts.last().is_none_or(|p: &Part| p.last + 1 == first);
        if first == 0 || last < first || !follows {
            return None;
        }
        parts.push(Part { at, first, last, streams: hashes.chunks_exact(4).map(hash).collect() });
    }
    (!parts.is_empty()).then_some(parts)
}

/// Reads a whole file again, before it gets its name.
fn check(path: &Path) -> Result<()> {
    let mut file = BlockReader::open(path, KIND)?;
    let (mut seqs, mut found, mut before) = (Vec::new(), Vec::new(), None::<(u64, Vec<u8>)>);
    while let Some(next) = file.next()? {
        if let Some((at, plain)) = before.replace(next) {
            let events = events(&plain)?;
            found.push((at, events.first().map_or(0, |e| e.seq), events.last().map_or(0, |e| e.seq)));
            seqs.extend(events.iter().map(|e| e.seq));
        }
    }
    let parts = before.and_then(|(_, plain)| index(&plain)).unwrap_or_default();
    let listed: Vec<_> = parts.iter().map(|p| (p.at, p.first, p.last)).collect();
    if found.is_empty() || listed != found || !seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        return Err(file.damage(0, "was not written as it should have been"));
    }
    Ok(())
}

/// The files of a folder, by events; gaps between them are damage.
fn load(folder: &Path) -> Result<Vec<MonthFile>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|name| is_archive(name)) else { continue };
        let broken = || LedgerError::File { file: path.display().to_string(), at: 0, what: "is no archive".to_owned() };
        let month = Month::parse(name).ok_or_else(broken)?;
        let parts = index(&last_block(&path, KIND)?).ok_or_else(broken)?;
        files.push(MonthFile { month, parts, path });
    }
    files.sort_by_key(MonthFile::first);
    let mut next = 1;
    for file in &files {
        if file.first() != next {
            return Err(LedgerError::corrupt(format!("an archive file with event {next} is missing")));
        }
        next = file.last() + 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        // 2024-02-29 15:59:59.999 UTC is the last moment of the month at UTC+8.
        for (ms, name) in [
            (1_709_222_399_999, "2024-02"),
            (1_709_222_400_000, "2024-03"),
            (1_735_660_799_999, "2024-12"),
            (1_735_660_800_000, "2025-01"),
            (0, "1970-01"),
            (-ZONE_MS - 1, "1969-12"),
            (951_753_600_000, "2000-02"),
            (951_840_000_000, "2000-03"),
        ] {
            assert_eq!(Month::of(ms).name(), name, "{ms}");
        }
        assert_eq!(Month::parse("mao-jia-2024-02.mjw.zst"), Some(Month::of(1_709_222_399_999)));
        for name in ["x-2024-13.mjw.zst", "x-2024-00.mjw.zst", "x.mjw.zst", "x-2024-02.zst"] {
            assert_eq!(Month::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_month_begins_where_the_one_before_ends(ms in -10_000_000_000_000..100_000_000_000_000_i64) {
            let month = Month::of(ms);
            let (start, end) = (month.start_ms(), Month(month.0 + 1).start_ms());
            prop_assert!(start <= ms && ms < end && end - start <= 31 * DAY_MS && end - start >= 28 * DAY_MS);
            prop_assert_eq!(Month::of(start), month);
            prop_assert_eq!(Month::of(start - 1).0, month.0 - 1);
            prop_assert_eq!(Month::parse(&format!("s-{}.mjw.zst", month.name())), Some(month));
        }
    }
}
