//! The journal of erasures: a small file that only grows, so that a backup from before an erasure cannot bring back
//! what was erased after it.
//!
//! A line names the log, the event, a hash of the destroyed key as it was stored, a checksum and the subject (an opaque
//! id). The key is what counts: a subject that gets new values after its erasure has another key, which stays. The
//! table of erasures in the store is the truth, and the journal is brought up to date with it at each erasure and each
//! opening; a torn last line is written again.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::{
    LedgerError, Result,
    transfer::{blocking, make_folder, sync_folder},
};

/// Names a stored key without telling anything of it.
pub(crate) fn key_hash(wrapped: &[u8]) -> Vec<u8> {
    Sha256::digest(wrapped).to_vec()
}

/// An erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erased {
    pub(crate) log_id: u64,
    pub(crate) seq: u64,
    pub(crate) subject: String,
    /// [`key_hash`] of the destroyed key; empty when there was none, `None` when it was not noted.
    pub(crate) key: Option<Vec<u8>>,
}

impl Erased {
    /// From a row of the table.
    pub(crate) fn of(log_id: u64, subject: String, seq: u64, key: Option<Vec<u8>>) -> Result<Self> {
        if key.as_ref().is_some_and(|key| !matches!(key.len(), 0 | 32)) {
            return Err(LedgerError::corrupt("the hash of a destroyed key"));
        }
        Ok(Self { log_id, seq, subject, key })
    }

    /// Whether it destroyed this key, which the log `log_id` held after `seq`.
    pub(crate) fn destroyed(&self, log_id: u64, seq: u64, subject: &str, hash: &[u8]) -> bool {
        match &self.key {
            Some(key) => key == hash,
            None => self.subject == subject && (self.log_id != log_id || self.seq > seq),
        }
    }

    fn line(&self) -> String {
        let key = self.key.as_ref().map_or_else(|| "-".to_owned(), hex::encode);
        let text = format!("{}\t{}\t{key}\t{}", self.log_id, self.seq, self.subject);
        let mut line = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(line, "{:08x}\t{text}", crc32fast::hash(text.as_bytes()));
        line
    }

    fn parse(line: &str) -> Option<Self> {
        let (sum, text) = line.split_once('\t')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(text.as_bytes()) {
            return None;
        }
        let mut parts = text.splitn(4, '\t');
        let mut next = || parts.next();
        let (log_id, seq) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let key = match next()? {
            "-" => None,
            hash => Some(hex::decode(hash).ok()?),
        };
        Self::of(log_id, next()?.to_owned(), seq, key).ok()
    }
}

/// The file.
pub(crate) struct Journal {
    path: PathBuf,
    /// The code of the last attempt's error.
    fault: Mutex<Option<&'static str>>,
}

impl Journal {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, fault: Mutex::default() }
    }

    /// Writes those of `erased` that are not there yet; on return all are on disk. They are committed already, so a
    /// failure is none of whoever erased: it stands in [`Journal::fault`] until an attempt succeeds.
    pub(crate) async fn note(&self, erased: impl Future<Output = Result<Vec<Erased>>> + Send) -> Result<()> {
        let noted = async {
            let mut erased = erased.await?;
            // Nothing was destroyed, so nothing can come back.
            erased.retain(|e| e.key.as_ref().is_none_or(|key| !key.is_empty()));
            if erased.is_empty() {
                return Ok(());
            }
            let path = self.path.clone();
            blocking(move || append(&path, &erased)).await
        };
        let noted = noted.await;
        if let Err(error) = &noted {
            tracing::warn!(error = error as &dyn std::error::Error, "the journal of erasures was not written");
        }
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = noted.as_ref().err().map(LedgerError::code);
        noted
    }

    /// Why it is behind, if it is: the code of an error.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path, erased: &[Erased]) -> Result<()> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).read(true).open(path)?;
    // One process at a time, where the file system can do that: none may cut off what another one wrote.
    let _ = file.lock();
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    let lines = missing(&found, erased);
    let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // A disk that failed to sync may say yes the next time and have nothing: these lines are to be written anew.
        let _ = file.set_len(found.len() as u64);
    }
    written?;
    sync_folder(path)
}

/// Lines of `erased` that the file does not hold.
fn missing(found: &[u8], erased: &[Erased]) -> String {
    let text = String::from_utf8_lossy(found);
    let known: HashSet<&str> = text.lines().collect();
    let known_keys: HashSet<Vec<u8>> = text.lines().filter_map(Erased::parse).filter_map(|e| e.key).collect();
    let new = |e: &&Erased| match &e.key {
        Some(key) => !known_keys.contains(key),
        None => !known.contains(e.line().trim_end_matches('\n')),
    };
    let mut lines: String = erased.iter().filter(new).map(Erased::line).collect();
    if !lines.is_empty() && found.last().is_some_and(|last| *last != b'\n') {
        // A crash tore the last line: the next one begins anew.
        lines.insert(0, '\n');
    }
    lines
}

/// What a journal holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) erased: Vec<Erased>,
    /// Lines that cannot be read, where no crash explains it: the erasures in them are lost.
    pub(crate) damaged: usize,
}

/// All erasures of a journal, `None` when there is no file. What a crash tore is no damage: the last line while it has
/// no end, and a beginning of a line that was then written again.
pub(crate) fn read(path: &Path) -> Result<Option<Noted>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let (whole, torn) = text.rsplit_once('\n').unwrap_or(("", &text));
    let mut noted = Noted::default();
    let mut unread = Vec::new();
    for line in whole.lines().filter(|line| !line.is_empty()) {
        match Erased::parse(line) {
            Some(erased) => noted.erased.push(erased),
            None => unread.push(line.trim_end_matches('\0')),
        }
    }
    noted.damaged = unread.iter().filter(|torn| !noted.erased.iter().any(|e| e.line().starts_with(**torn))).count();
    noted.erased.extend(Erased::parse(torn));
    Ok(Some(noted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(seq: u64, key: Option<&[u8]>) -> Erased {
        let key = key.map(|k| if k.is_empty() { Vec::new() } else { key_hash(k) });
        Erased { log_id: 7, seq, subject: format!("person/{seq}"), key }
    }

    async fn note(journal: &Journal, erased: Vec<Erased>) -> Result<()> {
        journal.note(std::future::ready(Ok(erased))).await
    }

    fn read_whole(path: &Path) -> Vec<Erased> {
        let Noted { erased, damaged } = read(path).unwrap().unwrap();
        assert_eq!(damaged, 0);
        erased
    }

    #[tokio::test]
    async fn what_is_noted_is_read_once_and_outlives_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.log");
        assert_eq!(read(&path).unwrap(), None);
        let journal = Journal::at(path.clone());
        let (a, b, none, old) = (erased(1, Some(b"a")), erased(2, Some(b"b")), erased(3, Some(b"")), erased(4, None));
        note(&journal, vec![a.clone(), none.clone(), old.clone()]).await.unwrap();
        note(&journal, vec![a.clone(), old.clone()]).await.unwrap();
        assert_eq!(read_whole(&path), [a.clone(), old.clone()]);
        // The same erasure in the log of a restored copy.
        note(&journal, vec![Erased { log_id: 8, seq: 9, ..a.clone() }]).await.unwrap();
        assert_eq!(read_whole(&path).len(), 2);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(read_whole(&path), std::slice::from_ref(&a));
        note(&journal, vec![a.clone(), b.clone(), old.clone()]).await.unwrap();
        assert_eq!(read_whole(&path), [a, b, old]);
    }

    #[tokio::test]
    async fn a_line_that_no_crash_tore_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.log");
        let journal = Journal::at(path.clone());
        let all: Vec<Erased> = (1..4).map(|n| erased(n, Some(&n.to_le_bytes()))).collect();
        note(&journal, all.clone()).await.unwrap();
        let whole = fs::read(&path).unwrap();
        let second = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        let mut damaged = whole.clone();
        damaged[second + 12] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let found = read(&path).unwrap().unwrap();
        assert_eq!((found.erased.len(), found.damaged), (2, 1));
        // The table knows it still, so it is written again; the damage stays to be seen.
        note(&journal, all).await.unwrap();
        let found = read(&path).unwrap().unwrap();
        assert_eq!((found.erased.len(), found.damaged), (3, 1));
    }

    #[tokio::test]
    async fn a_folder_that_is_missing_is_made_and_a_fault_is_told_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other/disk/erasures.log");
        let journal = Journal::at(path.clone());
        // A file where the folder is to be.
        fs::write(folder.path().join("other"), "").unwrap();
        assert!(note(&journal, vec![erased(1, Some(b"a"))]).await.is_err());
        assert_eq!(journal.fault(), Some("ledger.io"));
        assert!(journal.note(std::future::ready(Err(LedgerError::corrupt("a row")))).await.is_err());
        assert_eq!(journal.fault(), Some("ledger.corrupt"));
        fs::remove_file(folder.path().join("other")).unwrap();
        note(&journal, vec![erased(1, Some(b"a"))]).await.unwrap();
        assert_eq!((journal.fault(), read_whole(&path).len()), (None, 1));
    }

    #[test]
    fn a_key_is_destroyed_by_what_it_is_or_by_when_it_was() {
        let by_key = erased(5, Some(b"a"));
        assert!(by_key.destroyed(1, 1, "person/other", &key_hash(b"a")));
        assert!(!by_key.destroyed(7, 1, "person/5", &key_hash(b"b")));
        let by_time = erased(5, None);
        assert!(by_time.destroyed(7, 4, "person/5", b"") && by_time.destroyed(8, 9, "person/5", b""));
        assert!(!by_time.destroyed(7, 5, "person/5", b"") && !by_time.destroyed(7, 4, "person/6", b""));
    }
}
