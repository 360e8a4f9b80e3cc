//! The files behind blobs: sealed in chunks, so that neither writing nor reading one holds it in memory.
//!
//! Layout: a random prefix of 19 bytes, then sealed chunks of [`CHUNK`] plain bytes, the last one shorter (maybe
//! empty). The nonce of a chunk is the prefix, its number, and whether it is the last: chunks cannot be swapped,
//! dropped or cut off unseen. A file gets its name only after its bytes are on disk, and the folder is synced after.

use std::{
    io::{ErrorKind, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use futures::Stream;
use tokio::{
    fs,
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use crate::{
    BlobId, BlobInfo, LedgerError, Result, limits,
    seal::Key,
    transfer::{blocking, make_folder},
};

const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const PREFIX: usize = 19;

/// The folder of blobs.
pub(crate) struct BlobFiles {
    folder: PathBuf,
}

impl BlobFiles {
    pub(crate) async fn open(folder: PathBuf) -> Result<Self> {
        let made = folder.clone();
        blocking(move || make_folder(&made)).await?;
        Ok(Self { folder })
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.folder.join(id.as_str())
    }

    /// Seals `source` under `id`; its plain length. On return file and folder are on disk; on failure nothing is left.
    pub(crate) async fn write(
        &self,
        id: &BlobId,
        key: &Key,
        max_bytes: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64> {
        let beside = Beside(self.folder.join(format!("{id}.tmp")));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside.0).await?;
        let len = write_chunks(&mut file, id, key, max_bytes, source).await?;
        file.flush().await?;
        file.sync_all().await?;
        fs::rename(&beside.0, self.path(id)).await?;
        fs::File::open(&self.folder).await?.sync_all().await?;
        Ok(len)
    }

    /// Opens a file for reading; damage is noticed chunk by chunk.
    pub(crate) async fn read(&self, info: BlobInfo, key: &Key) -> Result<BlobReader> {
        let open = fs::File::open(self.path(&info.id)).await;
        let mut file = open.map_err(|e| match e.kind() {
            ErrorKind::NotFound => LedgerError::corrupt(format!("blob {} has no file", info.id)),
            _ => e.into(),
        })?;
        let mut prefix = [0; PREFIX];
        file.read_exact(&mut prefix).await?;
        Ok(BlobReader { file, cipher: Arc::new(key.cipher()), prefix, next: 0, skip: 0, until: info.len, info })
    }

    /// Removes a file; false when it is gone already.
    pub(crate) async fn remove(&self, id: &BlobId) -> Result<bool> {
        gone_or(fs::remove_file(self.path(id)).await)
    }

    /// Begins a walk over files last changed before `before_ms`.
    async fn walk(&self, before_ms: i64) -> Result<Walk> {
        let folder = self.folder.clone();
        let entries = blocking(move || Ok(std::fs::read_dir(folder)?)).await?;
        Ok(Walk { entries, before_ms, chunk: Chunk::default() })
    }
}

/// On the way through a folder, which may have any number of files.
struct Walk {
    entries: std::fs::ReadDir,
    before_ms: i64,
    chunk: Chunk,
}

#[derive(Default)]
struct Chunk {
    blobs: Vec<BlobId>,
    /// What was never finished.
    unfinished: Vec<PathBuf>,
}

impl Walk {
    /// The next files, at most [`limits::PAGE`] of each kind; nothing at the end.
    async fn next(mut self) -> Result<Option<(Self, Chunk)>> {
        blocking(move || {
            while let Some(entry) = self.entries.next() {
                self.look_at(&entry?)?;
                if self.chunk.blobs.len() >= limits::PAGE || self.chunk.unfinished.len() >= limits::PAGE {
                    break;
                }
            }
            let chunk = std::mem::take(&mut self.chunk);
            let found = !chunk.blobs.is_empty() || !chunk.unfinished.is_empty();
            Ok(found.then_some((self, chunk)))
        })
        .await
    }

    fn look_at(&mut self, entry: &std::fs::DirEntry) -> Result<()> {
        let Ok(meta) = entry.metadata() else { return Ok(()) };
        let changed = meta.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis());
        if i64::try_from(changed).unwrap_or(i64::MAX) >= self.before_ms {
            return Ok(());
        }
        let name = entry.file_name();
        match name.to_str().and_then(BlobId::parse) {
            Some(id) => self.chunk.blobs.push(id),
            None if Path::new(&name).extension().is_some_and(|e| e == "tmp") => {
                self.chunk.unfinished.push(entry.path());
            }
            None => {}
        }
        Ok(())
    }
}

/// The rows of a backend that a sweep needs.
#[async_trait]
pub(crate) trait BlobRows: Sync {
    /// Removes rows put before `before_ms` that no batch named. They go before their files: a batch that names such a
    /// blob later is refused, so no event names a lost file.
    async fn take_orphans(&self, before_ms: i64) -> Result<Vec<BlobId>>;
    /// Blobs whose key was destroyed. Their rows stay, so that they read as erased.
    async fn erased_blobs(&self) -> Result<Vec<BlobId>>;
    /// Those of `ids` that have no row.
    async fn without_row(&self, ids: Vec<BlobId>) -> Result<Vec<BlobId>>;
}

/// [`crate::Blobs::sweep_blobs`] of every backend.
pub(crate) async fn sweep(rows: &dyn BlobRows, files: &BlobFiles, before_ms: i64) -> Result<usize> {
    let orphans = rows.take_orphans(before_ms).await?;
    let mut gone = orphans.len();
    for id in &orphans {
        files.remove(id).await?;
    }
    for id in rows.erased_blobs().await? {
        gone += usize::from(files.remove(&id).await?);
    }
    let (mut walk, mut left_over) = (files.walk(before_ms).await?, 0);
    while let Some((rest, Chunk { blobs, unfinished })) = walk.next().await? {
        walk = rest;
        for path in unfinished {
            gone += usize::from(gone_or(fs::remove_file(path).await)?);
        }
        for id in rows.without_row(blobs).await? {
            if left_over == limits::SWEEP {
                return Ok(gone);
            }
            left_over += 1;
            gone += usize::from(files.remove(&id).await?);
        }
    }
    Ok(gone)
}

/// The name of a stored row.
pub(crate) fn blob_id(name: &str) -> Result<BlobId> {
    BlobId::parse(name).ok_or_else(|| LedgerError::corrupt("a blob's name"))
}

/// Removal of a file that may be gone.
fn gone_or(removed: std::io::Result<()>) -> Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// A file without its name yet; removed when dropped early.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; otherwise a short call, on the rare path.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn nonce(prefix: &[u8; PREFIX], number: u32, last: bool) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..PREFIX].copy_from_slice(prefix);
    nonce[PREFIX..23].copy_from_slice(&number.to_be_bytes());
    nonce[23] = last.into();
    nonce.into()
}

async fn write_chunks(
    file: &mut fs::File,
    id: &BlobId,
    key: &Key,
    max_bytes: u64,
    source: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<u64> {
    let (cipher, prefix) = (key.cipher(), rand::random::<[u8; PREFIX]>());
    file.write_all(&prefix).await?;
    let mut plain = Vec::with_capacity(CHUNK);
    let (mut len, mut number) = (0_u64, 0_u32);
    loop {
        plain.clear();
        (&mut *source).take(CHUNK as u64).read_to_end(&mut plain).await?;
        len += plain.len() as u64;
        if len > max_bytes {
            return Err(LedgerError::invalid("blob", format!("more than {max_bytes} bytes")));
        }
        let last = plain.len() < CHUNK;
        let sealed = cipher
            .encrypt(&nonce(&prefix, number, last), Payload { msg: &plain, aad: id.as_str().as_bytes() })
            .map_err(|_| LedgerError::invalid("blob", "cannot be sealed"))?;
        file.write_all(&sealed).await?;
        if last {
            return Ok(len);
        }
        number = number.checked_add(1).ok_or_else(|| LedgerError::invalid("blob", "is too long"))?;
    }
}

/// Reads a blob chunk by chunk, in clear.
pub struct BlobReader {
    info: BlobInfo,
    file: fs::File,
    cipher: Arc<XChaCha20Poly1305>,
    prefix: [u8; PREFIX],
    next: u32,
    /// Bytes of the next chunk before the range.
    skip: usize,
    /// Where the range ends.
    until: u64,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlobReader").field(&self.info.id).finish()
    }
}

impl BlobReader {
    /// What it is.
    pub fn info(&self) -> &BlobInfo {
        &self.info
    }

    /// Reads only bytes `from..until` (cut at the end of the blob), for range requests. Call before reading.
    pub async fn range(mut self, from: u64, until: u64) -> Result<Self> {
        self.until = until.min(self.info.len);
        let from = from.min(self.until);
        let number = from / CHUNK as u64;
        self.next = u32::try_from(number).map_err(|_| LedgerError::invalid("range", "is too far"))?;
        self.skip = usize::try_from(from % CHUNK as u64).unwrap_or(0);
        self.file.seek(SeekFrom::Start(PREFIX as u64 + number * (CHUNK + TAG) as u64)).await?;
        Ok(self)
    }

    /// The next piece, at most 64 KiB; `None` at the end. Damage is `Corrupt`.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let start = u64::from(self.next) * CHUNK as u64;
        // The last chunk of a blob is always read, even when empty: it proves that nothing was cut off.
        if start > self.until || (start == self.until && (self.until < self.info.len || self.next == u32::MAX)) {
            return Ok(None);
        }
        let mut sealed = Vec::with_capacity(CHUNK + TAG);
        (&mut self.file).take((CHUNK + TAG) as u64).read_to_end(&mut sealed).await?;
        let last = sealed.len() < CHUNK + TAG;
        let aad = self.info.id.as_str().as_bytes();
        let plain = self.cipher.decrypt(&nonce(&self.prefix, self.next, last), Payload { msg: &sealed, aad });
        let plain = plain.map_err(|_| LedgerError::corrupt(format!("blob {}", self.info.id)))?;
        self.next = if last { u32::MAX } else { self.next + 1 };
        let end = plain.len().min(usize::try_from(self.until - start).unwrap_or(usize::MAX));
        let piece = Bytes::from(plain).slice(self.skip.min(end)..end);
        self.skip = 0;
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// The pieces as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        futures::stream::try_unfold(self, |mut reader| async move { Ok(reader.chunk().await?.map(|c| (c, reader))) })
    }

    /// All of it; for stills. Refused when longer than `max_bytes`.
    pub async fn bytes(mut self, max_bytes: u64) -> Result<Bytes> {
        if self.info.len > max_bytes {
            return Err(LedgerError::invalid("blob", format!("more than {max_bytes} bytes")));
        }
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every blob has a row but those whose name begins with `f`.
    struct Rows;

    #[async_trait]
    impl BlobRows for Rows {
        async fn take_orphans(&self, _: i64) -> Result<Vec<BlobId>> {
            Ok(Vec::new())
        }

        async fn erased_blobs(&self) -> Result<Vec<BlobId>> {
            Ok(Vec::new())
        }

        async fn without_row(&self, mut ids: Vec<BlobId>) -> Result<Vec<BlobId>> {
            assert!(ids.len() <= limits::PAGE, "each question is bounded");
            ids.retain(|id| id.as_str().starts_with('f'));
            Ok(ids)
        }
    }

    #[tokio::test]
    async fn left_over_files_are_found_among_any_number_of_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(folder.path().to_owned()).await.unwrap();
        let put = |name: String| std::fs::write(folder.path().join(name), "").unwrap();
        let used = limits::SWEEP + 50;
        (0..used).for_each(|n| put(format!("{n:032x}")));
        (0..150).for_each(|n| put(format!("f{n:031x}")));
        (0..150).for_each(|n| put(format!("{n:032x}.tmp")));
        assert_eq!(sweep(&Rows, &files, i64::MAX).await.unwrap(), 300);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), used);
        (0..limits::SWEEP + 7).for_each(|n| put(format!("f{n:031x}")));
        assert_eq!(sweep(&Rows, &files, i64::MAX).await.unwrap(), limits::SWEEP, "a call removes so many");
        assert_eq!(sweep(&Rows, &files, i64::MAX).await.unwrap(), 7);
    }
}
