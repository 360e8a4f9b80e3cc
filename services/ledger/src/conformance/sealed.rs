//! The vault and the blobs.

use super::{Backend, append, event, holds};
use crate::{Batch, BlobId, BlobReader, FoundBlob, Head, LedgerError, NewBlob, Opened, Store, VaultRow};

const NAME: &str = "王小明 13800138000 plaintext";
const MASKED: &str = "王** covered text";

fn row(id: u64, subject: &str) -> VaultRow {
    VaultRow { id, subject: subject.into(), full: NAME.into(), masked: MASKED.into() }
}

fn value() -> Opened {
    Opened::Value { full: NAME.into(), masked: MASKED.into() }
}

async fn put(store: &dyn Store, subject: &str, at_ms: i64, bytes: &[u8]) -> BlobId {
    let blob = NewBlob { subject: subject.into(), content_type: "image/jpeg".into(), max_bytes: 1 << 20, at_ms };
    let mut source = bytes;
    let info = store.put_blob(blob, &mut source).await.unwrap();
    assert_eq!((info.len, info.at_ms, &*info.content_type), (bytes.len() as u64, at_ms, "image/jpeg"));
    info.id
}

async fn get(store: &dyn Store, id: &BlobId) -> BlobReader {
    match store.get_blob(id).await.unwrap() {
        FoundBlob::Blob(reader) => *reader,
        other => panic!("{other:?}"),
    }
}

async fn erase(store: &dyn Store, head: Head, subject: &str) -> Head {
    let batch = Batch { events: vec![event("person/1", "erased")], erase: vec![subject.into()], ..Batch::new(head) };
    store.append(&batch).await.unwrap()
}

/// Values come back, and stand nowhere in clear.
pub async fn values_are_sealed_and_open(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let vault = vec![row(1, "person/1"), row(2, "person/2"), row(7, "person/1")];
    store.append(&Batch { vault, ..Batch::new(head) }).await.unwrap();
    let opened = backend.open().await.open(&[7, 3, 1]).await.unwrap();
    assert_eq!(opened, [(7, value()), (3, Opened::Missing), (1, value())]);
    assert!(!format!("{opened:?}").contains("1380013"), "debug output shows a value");
    let raw = backend.raw().await;
    assert!(holds(&raw, b"person/1"), "the search looks at the right bytes");
    for part in [NAME, MASKED, "王小明", "13800138000", "plaintext", "covered"] {
        assert!(!holds(&raw, part.as_bytes()), "{part} stands in clear");
    }
}

/// Erasure.
pub async fn an_erased_subject_is_gone(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let vault = vec![row(1, "person/1"), row(2, "person/2")];
    let head = store.append(&Batch { vault, ..Batch::new(head) }).await.unwrap();
    let head = erase(&*store, head, "person/1").await;
    let expected = [(1, Opened::Erased), (2, value())];
    assert_eq!(store.open(&[1, 2]).await.unwrap(), expected);
    assert_eq!(backend.open().await.open(&[1, 2]).await.unwrap(), expected);
    assert_eq!(store.erasures().await.unwrap(), [("person/1".to_owned(), 1)]);
    store.append(&Batch { vault: vec![row(3, "person/1")], ..Batch::new(head) }).await.unwrap();
    let opened = store.open(&[1, 3]).await.unwrap();
    assert_eq!(opened, [(1, Opened::Erased), (3, value())], "a new value does not bring old ones back");
}

/// Their order would be lost.
pub async fn a_batch_cannot_write_and_erase_a_subject(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let batch = Batch { vault: vec![row(1, "person/1")], erase: vec!["person/1".into()], ..Batch::new(head) };
    let refused = store.append(&batch).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "erase", .. })), "{refused:?}");
}

/// Sizes around the chunk; nothing in clear.
pub async fn blobs_are_sealed_and_open(backend: &dyn Backend) {
    let store = backend.open().await;
    for len in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let bytes: Vec<u8> = b"plain picture bytes ".iter().copied().cycle().take(len).collect();
        let id = put(&*store, "incident/1", 5, &bytes).await;
        let again = backend.open().await;
        let reader = get(&*again, &id).await;
        assert_eq!((reader.info().len, &*reader.info().subject), (len as u64, "incident/1"));
        assert_eq!(reader.bytes(1 << 20).await.unwrap(), bytes, "{len}");
        let refused = get(&*again, &id).await.bytes(len.saturating_sub(1) as u64).await;
        assert!(len == 0 || matches!(refused, Err(LedgerError::Invalid { .. })));
    }
    assert!(!holds(&backend.raw().await, b"plain picture bytes"));
    let missing = store.get_blob(&BlobId::parse(&"ab".repeat(16)).unwrap()).await.unwrap();
    assert!(matches!(missing, FoundBlob::Missing));
    for bad in ["", "../../etc/passwd", &"AB".repeat(16), &"ab".repeat(17)] {
        assert_eq!(BlobId::parse(bad), None);
    }
}

/// A source that is too long leaves nothing.
pub async fn blobs_are_bounded(backend: &dyn Backend) {
    let store = backend.open().await;
    let bytes = vec![7; 100_000];
    let blob = |max_bytes| NewBlob { subject: "a/1".into(), content_type: "video/mp4".into(), max_bytes, at_ms: 1 };
    let refused = store.put_blob(blob(99_999), &mut bytes.as_slice()).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "blob", .. })), "{refused:?}");
    assert_eq!(store.sweep_blobs(i64::MAX).await.unwrap(), 0);
    let info = store.put_blob(blob(100_000), &mut bytes.as_slice()).await.unwrap();
    assert_eq!(get(&*store, &info.id).await.bytes(100_000).await.unwrap(), bytes);
}

/// Parts of a clip.
pub async fn blobs_read_by_range(backend: &dyn Backend) {
    let store = backend.open().await;
    for len in [131_072_u64, 150_000] {
        let bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let id = put(&*store, "incident/1", 5, &bytes).await;
        for (from, until) in [(0, 1), (65_535, 65_537), (65_536, 131_072), (100, 100), (140_000, 999_999), (5, 140_000)]
        {
            let mut reader = get(&*store, &id).await.range(from, until).await.unwrap();
            let mut read = Vec::new();
            while let Some(piece) = reader.chunk().await.unwrap() {
                read.extend_from_slice(&piece);
            }
            let end = usize::try_from(until.min(len)).unwrap();
            let start = usize::try_from(from).unwrap().min(end);
            assert!(read == bytes[start..end], "{from}..{until} of {len}: {} bytes", read.len());
        }
    }
}

/// Orphans go, used ones stay.
pub async fn orphan_blobs_are_swept(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let used = put(&*store, "a/1", 1_000, b"used").await;
    let orphan = put(&*store, "a/1", 1_000, b"orphan").await;
    let young = put(&*store, "a/1", 2_000, b"young").await;
    let mut batch = Batch { events: vec![event("a/1", "x")], blobs_used: vec![used.clone()], ..Batch::new(head) };
    let head = store.append(&batch).await.unwrap();
    assert_eq!(store.sweep_blobs(2_000).await.unwrap(), 1);
    assert!(matches!(store.get_blob(&orphan).await.unwrap(), FoundBlob::Missing));
    assert_eq!(get(&*store, &used).await.bytes(10).await.unwrap(), &b"used"[..]);
    assert_eq!(get(&*store, &young).await.bytes(10).await.unwrap(), &b"young"[..]);
    batch.expect = head;
    batch.blobs_used = vec![orphan];
    let refused = store.append(&batch).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { what: "blobs_used", .. })), "{refused:?}");
    append(&*store, head, vec![event("a/1", "y")]).await;
}

/// Erasure reaches files.
pub async fn a_blob_of_an_erased_subject_is_gone(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let (mine, other) = (put(&*store, "person/1", 1, b"mine").await, put(&*store, "person/2", 1, b"other").await);
    let blobs_used = vec![mine.clone(), other.clone()];
    let head = store.append(&Batch { blobs_used, ..Batch::new(head) }).await.unwrap();
    erase(&*store, head, "person/1").await;
    assert!(matches!(store.get_blob(&mine).await.unwrap(), FoundBlob::Erased));
    assert_eq!(store.sweep_blobs(1).await.unwrap(), 1);
    assert_eq!(store.sweep_blobs(1).await.unwrap(), 0);
    assert!(matches!(store.get_blob(&mine).await.unwrap(), FoundBlob::Erased));
    assert_eq!(get(&*store, &other).await.bytes(10).await.unwrap(), &b"other"[..]);
}
