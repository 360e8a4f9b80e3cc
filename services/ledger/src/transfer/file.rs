//! Files of checksummed, compressed blocks: backups and archives of events.
//!
//! Layout: eight bytes that name the kind and version; blocks; an end mark and the SHA-256 of all before it. A block is
//! its number, its stored and its plain length, the CRC-32 of these and of the stored bytes, then the bytes, compressed
//! with zstd on their own. So damage is found where it is, a block cannot be moved, dropped or doubled unseen, and one
//! can be read without those before it.
//!
//! A file is written beside its place and gets its name only when it is whole, on disk and read again. All of this
//! blocks: call it on the blocking pool.

use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::cell::take_u32;
use crate::{LedgerError, Result};

/// Plain bytes after which a block is written.
pub(crate) const BLOCK: usize = 1 << 20;
/// Bytes of a block at most, stored or plain: a row of the largest values still fits.
const MOST: usize = 16 << 20;
const HEADER: usize = 16;
const HASH: usize = 32;
const LEVEL: i32 = 3;

/// What stands before a block.
struct Header {
    number: u32,
    stored: u32,
    plain: u32,
    crc: u32,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        for (at, n) in [self.number, self.stored, self.plain, self.crc].into_iter().enumerate() {
            out[at * 4..at * 4 + 4].copy_from_slice(&n.to_le_bytes());
        }
        out
    }

    fn read(bytes: [u8; HEADER]) -> Self {
        let mut from = bytes.as_slice();
        let mut next = || take_u32(&mut from).unwrap_or_default();
        Self { number: next(), stored: next(), plain: next(), crc: next() }
    }

    /// The checksum that fits these lengths and `stored`.
    fn sum(&self, stored: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.bytes()[..HEADER - 4]);
        crc.update(stored);
        crc.finalize()
    }
}

/// Writes a file beside its place.
pub(crate) struct BlockWriter {
    file: File,
    beside: Unnamed,
    hash: Sha256,
    number: u32,
    at: u64,
}

impl BlockWriter {
    pub(crate) fn create(place: &Path, kind: [u8; 8]) -> Result<Self> {
        let name = place.file_name().ok_or_else(|| LedgerError::invalid("file", "has no name"))?;
        let name = name.to_string_lossy();
        // What cannot be removed is in nobody's way.
        let _ = clear(place, &name);
        let beside = format!(".{name}.{:016x}.tmp", rand::random::<u64>());
        let beside = Unnamed { path: place.with_file_name(beside), place: place.to_owned(), held: None };
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create_new(true).open(&beside.path)?;
        // While it is held, its writer lives. Where locks are unknown, nothing is cleared either.
        let _ = file.lock();
        let mut new = Self { file, beside, hash: Sha256::new(), number: 0, at: 0 };
        new.put(&kind)?;
        Ok(new)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes a block; where it begins.
    pub(crate) fn block(&mut self, plain: &[u8]) -> Result<u64> {
        let at = self.at;
        if plain.is_empty() || plain.len() > MOST {
            return Err(LedgerError::invalid("block", "is empty or too large"));
        }
        let stored = zstd::bulk::compress(plain, LEVEL)?;
        let len = |n: usize| u32::try_from(n).map_err(|_| LedgerError::invalid("block", "is too large"));
        let mut header = Header { number: self.number, stored: len(stored.len())?, plain: len(plain.len())?, crc: 0 };
        header.crc = header.sum(&stored);
        self.put(&header.bytes())?;
        self.put(&stored)?;
        self.number += 1;
        Ok(at)
    }

    /// Ends the file and brings it to the disk. It has no name yet.
    pub(crate) fn finish(mut self) -> Result<Unnamed> {
        let mut end = Header { number: self.number, stored: 0, plain: 0, crc: 0 };
        end.crc = end.sum(&[]);
        self.put(&end.bytes())?;
        let hash = self.hash.clone().finalize();
        self.file.write_all(&hash)?;
        self.file.sync_all()?;
        self.beside.held = Some(self.file);
        Ok(self.beside)
    }
}

/// Removes what killed writers of the same place left beside it.
fn clear(place: &Path, name: &str) -> Result<()> {
    let folder = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let left = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix('.')?.strip_prefix(name));
        let random = left.and_then(|n| n.strip_prefix('.')?.strip_suffix(".tmp"));
        if random.is_some_and(|n| n.len() == 16 && n.bytes().all(|b| b.is_ascii_hexdigit()))
            && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A file without its name; removed when dropped.
#[derive(Debug)]
pub(crate) struct Unnamed {
    path: PathBuf,
    place: PathBuf,
    /// Locked, so that nobody takes it for left over.
    held: Option<File>,
}

impl Unnamed {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, which must be free. After that the file stays whatever happens.
    pub(crate) fn name(self) -> Result<()> {
        // A link is refused where a file is; a rename would replace it, and is for file systems without links.
        match fs::hard_link(&self.path, &self.place) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists || self.place.exists() => return Err(e.into()),
            Err(_) => fs::rename(&self.path, &self.place)?,
            Ok(()) => {}
        }
        sync_folder(&self.place)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Brings the names in the folder of `file` to the disk.
pub(crate) fn sync_folder(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}

/// Makes a folder and those above it that are missing, and brings their names to the disk.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => Err(e.into()),
        _ => sync_folder(folder),
    }
}

/// Reads a file from its beginning and checks all of it.
pub(crate) struct BlockReader {
    file: BufReader<File>,
    path: PathBuf,
    len: u64,
    at: u64,
    number: u32,
    hash: Sha256,
}

impl BlockReader {
    pub(crate) fn open(path: &Path, kind: [u8; 8]) -> Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let (file, path) = (BufReader::with_capacity(1 << 18, file), path.to_owned());
        let mut new = Self { file, path, len, at: 0, number: 0, hash: Sha256::new() };
        if new.take::<8>("its first bytes")? != kind {
            return Err(new.damage(0, "is no such file, or one of another version"));
        }
        Ok(new)
    }

    pub(crate) fn damage(&self, at: u64, what: impl Into<String>) -> LedgerError {
        LedgerError::File { file: self.path.display().to_string(), at, what: what.into() }
    }

    /// Bytes read so far, and bytes in all.
    pub(crate) fn at(&self) -> (u64, u64) {
        (self.at, self.len)
    }

    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<()> {
        if bytes.len() as u64 > self.len - self.at {
            return Err(self.damage(self.len, format!("the file ends inside {what}: it is cut off")));
        }
        self.file.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// The next block: where it begins, and its plain bytes; `None` at the end of a file that is whole.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        let (at, place) = (self.at, format!("block {}", self.number));
        let header = Header::read(self.take::<HEADER>(&place)?);
        let stored = usize::try_from(header.stored).unwrap_or(usize::MAX);
        if header.number != self.number || stored > MOST || (header.plain == 0) != (header.stored == 0) {
            return Err(self.damage(at, format!("{place} is damaged")));
        }
        let mut bytes = vec![0; stored.min(usize::try_from(self.len - self.at).unwrap_or(usize::MAX))];
        if bytes.len() < stored {
            return Err(self.damage(self.len, format!("the file ends inside {place}: it is cut off")));
        }
        self.fill(&mut bytes, &place)?;
        if header.sum(&bytes) != header.crc {
            return Err(self.damage(at, format!("{place} is damaged")));
        }
        if header.plain == 0 {
            return self.end(at);
        }
        self.hash.update(&bytes);
        self.number += 1;
        let plain = unpack(&bytes, header.plain).ok_or_else(|| self.damage(at, format!("{place} is damaged")))?;
        Ok(Some((at, plain)))
    }

    fn end(&mut self, at: u64) -> Result<Option<(u64, Vec<u8>)>> {
        let found: [u8; HASH] = self.hash.clone().finalize().into();
        let mut hash = [0; HASH];
        self.fill(&mut hash, "the hash at its end")?;
        if hash != found {
            return Err(self.damage(at, "the hash of the whole file is another one: it is damaged"));
        }
        if self.at != self.len {
            return Err(self.damage(self.at, "something stands after the end"));
        }
        Ok(None)
    }
}

fn unpack(stored: &[u8], plain: u32) -> Option<Vec<u8>> {
    let plain = usize::try_from(plain).ok().filter(|n| *n <= MOST)?;
    zstd::bulk::decompress(stored, plain).ok().filter(|bytes| bytes.len() == plain)
}

/// Opens a file that was there.
fn known(path: &Path) -> Result<File> {
    let missing = || LedgerError::File { file: path.display().to_string(), at: 0, what: "is missing".to_owned() };
    File::open(path).map_err(|e| if e.kind() == ErrorKind::NotFound { missing() } else { e.into() })
}

/// Reads the last block of a file that was checked when it was written; of the others only where they end.
pub(crate) fn last_block(path: &Path, kind: [u8; 8]) -> Result<Vec<u8>> {
    let damage = |at, what: &str| LedgerError::File { file: path.display().to_string(), at, what: what.to_owned() };
    let mut file = known(path)?;
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(|_| damage(0, "is cut off"))?;
    if first != kind {
        return Err(damage(0, "is no such file, or one of another version"));
    }
    let (mut last, mut at) = (None, first.len() as u64);
    loop {
        let header = read_header(&mut file, at).ok_or_else(|| damage(at, "is cut off"))?;
        if header.plain == 0 {
            return block_at(path, last.ok_or_else(|| damage(at, "is empty"))?);
        }
        last = Some(at);
        at += HEADER as u64 + u64::from(header.stored);
    }
}

fn read_header(file: &mut File, at: u64) -> Option<Header> {
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    Some(Header::read(header))
}

/// Reads one block of a file that was checked when it was written.
pub(crate) fn block_at(path: &Path, at: u64) -> Result<Vec<u8>> {
    let damage = || LedgerError::File { file: path.display().to_string(), at, what: "a block is damaged".to_owned() };
    let mut file = known(path)?;
    let header = read_header(&mut file, at).ok_or_else(damage)?;
    let stored = usize::try_from(header.stored).ok().filter(|n| *n <= MOST).ok_or_else(damage)?;
    let mut bytes = vec![0; stored];
    file.read_exact(&mut bytes).map_err(|_| damage())?;
    let whole = header.sum(&bytes) == header.crc;
    unpack(&bytes, header.plain).filter(|_| whole).ok_or_else(damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: [u8; 8] = *b"TESTFILE";

    fn write(place: &Path, blocks: &[&[u8]]) -> Vec<u64> {
        let mut writer = BlockWriter::create(place, KIND).unwrap();
        let at = blocks.iter().map(|b| writer.block(b).unwrap()).collect();
        writer.finish().unwrap().name().unwrap();
        at
    }

    fn read(path: &Path) -> Result<Vec<Vec<u8>>> {
        let mut reader = BlockReader::open(path, KIND)?;
        let mut all = Vec::new();
        while let Some((_, plain)) = reader.next()? {
            all.push(plain);
        }
        Ok(all)
    }

    #[test]
    fn blocks_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("f");
        let blocks = [vec![7; 100_000], b"second".to_vec(), (0..=255).collect()];
        let at = write(&place, &blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(read(&place).unwrap(), blocks);
        for (at, block) in at.iter().zip(&blocks) {
            assert_eq!(block_at(&place, *at).unwrap(), *block);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (place, torn) = (folder.path().join("f"), folder.path().join("torn"));
        let at = write(&place, &[b"first block", b"and the second"]);
        let whole = fs::read(&place).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&torn, bytes).unwrap();
            let Err(LedgerError::File { at: told, .. }) = read(&torn) else { panic!("bit {bit} went unseen") };
            let block = at.iter().rposition(|at| *at <= bit as u64 / 8);
            let end = whole.len() - HEADER - HASH;
            if let (Some(block), true) = (block, bit / 8 < end) {
                assert!(told == at[block] || told == whole.len() as u64, "bit {bit}: {told}");
            }
        }
        for cut in 0..whole.len() {
            fs::write(&torn, &whole[..cut]).unwrap();
            let Err(LedgerError::File { at: told, what, .. }) = read(&torn) else { panic!("cut at {cut} went unseen") };
            assert!(told == cut as u64 && what.contains("cut off"), "{cut}: {told} {what}");
        }
        fs::write(&torn, [&whole[..], b"x"].concat()).unwrap();
        assert!(matches!(read(&torn), Err(LedgerError::File { at, .. }) if at == whole.len() as u64));
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_lives_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.mjw");
        let left = folder.path().join(".a.mjw.0123456789abcdef.tmp");
        let others = [".b.mjw.0123456789abcdef.tmp", ".a.mjw.notes.tmp", "a.mjw.old"].map(|n| folder.path().join(n));
        for file in others.iter().chain([&left]) {
            fs::write(file, "").unwrap();
        }
        let living = BlockWriter::create(&place, KIND).unwrap();
        assert!(!left.exists() && others.iter().all(|file| file.exists()));
        let mut second = BlockWriter::create(&place, KIND).unwrap();
        assert!(living.beside.path().exists(), "its writer is at work");
        drop(living);
        second.block(b"x").unwrap();
        second.finish().unwrap().name().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + 1);
    }

    #[test]
    fn folders_are_made_with_those_above_them() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        assert!(make_folder(&deep.join("file")).is_err() && make_folder(&deep.join("file/d")).is_err());
    }

    #[test]
    fn a_name_that_is_taken_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("f");
        let writer = BlockWriter::create(&place, KIND).unwrap();
        fs::write(&place, "mine").unwrap();
        assert!(writer.finish().unwrap().name().is_err());
        assert_eq!(fs::read(&place).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
