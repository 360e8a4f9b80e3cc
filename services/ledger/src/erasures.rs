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
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{LedgerError, Result, transfer::blocking};

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
pub(crate) struct Journal(PathBuf);

impl Journal {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes those that are not there yet; on return they are on disk.
    pub(crate) async fn note(&self, mut erased: Vec<Erased>) -> Result<()> {
        // Nothing was destroyed, so nothing can come back.
        erased.retain(|e| e.key.as_ref().is_none_or(|key| !key.is_empty()));
        if erased.is_empty() {
            return Ok(());
        }
        let path = self.0.clone();
        blocking(move || append(&path, &erased)).await
    }
}

fn append(path: &Path, erased: &[Erased]) -> Result<()> {
    let found = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let text = String::from_utf8_lossy(&found);
    let known: HashSet<&str> = text.lines().collect();
    let known_keys: HashSet<Vec<u8>> = text.lines().filter_map(Erased::parse).filter_map(|e| e.key).collect();
    let new = |e: &&Erased| match &e.key {
        Some(key) => !known_keys.contains(key),
        None => !known.contains(e.line().trim_end_matches('\n')),
    };
    let mut lines: String = erased.iter().filter(new).map(Erased::line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    if found.last().is_some_and(|last| *last != b'\n') {
        // A crash tore the last line: the next one begins anew.
        lines.insert(0, '\n');
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    if found.is_empty() {
        crate::transfer::sync_folder(path)?;
    }
    Ok(())
}

/// All erasures of a journal; torn lines are left out, `None` when there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<Erased>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).lines().filter_map(Erased::parse).collect())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(seq: u64, key: Option<&[u8]>) -> Erased {
        let key = key.map(|k| if k.is_empty() { Vec::new() } else { key_hash(k) });
        Erased { log_id: 7, seq, subject: format!("person/{seq}"), key }
    }

    #[tokio::test]
    async fn what_is_noted_is_read_once_and_outlives_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.log");
        assert_eq!(read(&path).unwrap(), None);
        let journal = Journal::at(path.clone());
        let (a, b, none, old) = (erased(1, Some(b"a")), erased(2, Some(b"b")), erased(3, Some(b"")), erased(4, None));
        journal.note(vec![a.clone(), none.clone(), old.clone()]).await.unwrap();
        journal.note(vec![a.clone(), old.clone()]).await.unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), [a.clone(), old.clone()]);
        // The same erasure in the log of a restored copy.
        journal.note(vec![Erased { log_id: 8, seq: 9, ..a.clone() }]).await.unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len(), 2);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), std::slice::from_ref(&a));
        journal.note(vec![a.clone(), b.clone(), old.clone()]).await.unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), [a, b, old]);
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
