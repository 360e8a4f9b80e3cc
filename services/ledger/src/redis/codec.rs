//! What goes over Redis: `version, kind, log_id, seq, …, tag`. Numbers are big-endian, texts and bytes carry their length.
//!
//! Whoever may publish in Redis could forge events, and Redis is never trusted: each message ends with a tag keyed by the
//! ledger, and one without a right tag is as good as lost. Decoding is total and allocates no more than it was given.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Columns, DocumentRow, EventRow, Position, Published, StoredEvent, limits};

/// A reader refuses other versions, and so falls back to the ledger while a rolling upgrade lasts.
const VERSION: u8 = 1;
const EVENT: u8 = 1;
const HEAD: u8 = 2;
/// Bytes of the tag: half an HMAC-SHA256.
const TAG: usize = 16;
/// Version, kind, log and sequence number.
const START: usize = 2 + 16;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Event(Published),
    /// The end of the log as its publisher knows it.
    Head(Position),
}

/// Encodes, tags and checks.
#[derive(Clone)]
pub(super) struct Codec(Zeroizing<[u8; 32]>);

impl Codec {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// `None` when it would be longer than `limit` bytes.
    pub(super) fn event(&self, published: &Published, limit: usize) -> Option<Bytes> {
        let size = size(published);
        if size > limit {
            return None;
        }
        let mut out = BytesMut::with_capacity(size);
        let Published { log_id, event: StoredEvent { seq, event }, documents } = published;
        start(&mut out, EVENT, Position { log_id: *log_id, seq: *seq });
        out.put_i64(event.at_ms);
        out.put_u16(event.version);
        out.put_u8(event.mode);
        put(&mut out, event.kind.as_bytes());
        put(&mut out, event.stream.as_bytes());
        put(&mut out, &event.payload);
        out.put_u16(u16::try_from(documents.len()).ok()?);
        documents.iter().for_each(|d| put_document(&mut out, d));
        Some(self.seal(out))
    }

    pub(super) fn head(&self, at: Position) -> Bytes {
        let mut out = BytesMut::with_capacity(START + TAG);
        start(&mut out, HEAD, at);
        self.seal(out)
    }

    /// `None` for anything but what [`Self::event`] and [`Self::head`] of the same ledger made.
    pub(super) fn decode(&self, mut message: Bytes) -> Option<Frame> {
        let tag = message.split_off(message.len().checked_sub(TAG)?);
        self.mac(&message)?.verify_truncated_left(&tag).ok()?;
        if message.try_get_u8().ok()? != VERSION {
            return None;
        }
        let kind = message.try_get_u8().ok()?;
        let at = Position { log_id: message.try_get_u64().ok()?, seq: message.try_get_u64().ok()? };
        let frame = match kind {
            EVENT => Frame::Event(event(&mut message, at)?),
            HEAD => Frame::Head(at),
            _ => return None,
        };
        message.is_empty().then_some(frame)
    }

    fn mac(&self, content: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).ok()?;
        mac.update(content);
        Some(mac)
    }

    fn seal(&self, mut out: BytesMut) -> Bytes {
        // An HMAC takes keys of any length; without a tag the message would be refused.
        if let Some(mac) = self.mac(&out) {
            out.extend_from_slice(mac.finalize().into_bytes().get(..TAG).unwrap_or_default());
        }
        out.freeze()
    }
}

fn start(out: &mut BytesMut, kind: u8, at: Position) {
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u64(at.log_id);
    out.put_u64(at.seq);
}

/// Bytes of the whole message, or a little more.
fn size(published: &Published) -> usize {
    let event = &published.event.event;
    let fixed = START + 8 + 2 + 1 + 3 * 4 + 2 + TAG;
    let documents = published.documents.iter().map(|d| {
        let c = &d.columns;
        let texts = [&c.stage, &c.grid].into_iter().flatten().chain(&c.units).map(|t| t.len() + 4).sum::<usize>();
        8 + 1 + 2 + 8 + 2 + 3 * 4 + d.kind.len() + d.id.len() + d.payload.len() + texts
    });
    fixed + event.kind.len() + event.stream.len() + event.payload.len() + documents.sum::<usize>()
}

/// The limits of the ledger keep every length far below 2^32; a longer one would be refused when read.
fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

const DELETED: u8 = 1;
const OPEN: u8 = 2;
const LEVEL: u8 = 4;
const STAGE: u8 = 8;
const GRID: u8 = 16;

fn put_document(out: &mut BytesMut, document: &DocumentRow) {
    let DocumentRow { kind, id, rev_seq, deleted, open, columns, payload } = document;
    let Columns { level, stage, units, grid, at_ms } = columns;
    let flags = [
        (*deleted, DELETED),
        (*open, OPEN),
        (level.is_some(), LEVEL),
        (stage.is_some(), STAGE),
        (grid.is_some(), GRID),
    ];
    put(out, kind.as_bytes());
    put(out, id.as_bytes());
    out.put_u64(*rev_seq);
    out.put_u8(flags.into_iter().filter(|f| f.0).fold(0, |all, f| all | f.1));
    if let Some(level) = level {
        out.put_i16(*level);
    }
    stage.iter().for_each(|s| put(out, s.as_bytes()));
    grid.iter().for_each(|g| put(out, g.as_bytes()));
    out.put_i64(*at_ms);
    out.put_u16(u16::try_from(units.len()).unwrap_or(u16::MAX));
    units.iter().for_each(|u| put(out, u.as_bytes()));
    put(out, payload);
}

fn bytes(message: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(message.try_get_u32().ok()?).ok()?;
    (len <= message.len()).then(|| message.split_to(len))
}

fn text(message: &mut Bytes) -> Option<String> {
    String::from_utf8(bytes(message)?.into()).ok()
}

fn event(message: &mut Bytes, at: Position) -> Option<Published> {
    let event = EventRow {
        at_ms: message.try_get_i64().ok()?,
        version: message.try_get_u16().ok()?,
        mode: message.try_get_u8().ok()?,
        kind: text(message)?,
        stream: text(message)?,
        payload: bytes(message)?,
    };
    let count = usize::from(message.try_get_u16().ok()?);
    let documents = (0..count.min(limits::ROWS + 1)).map(|_| document(message)).collect::<Option<_>>()?;
    Some(Published { log_id: at.log_id, event: StoredEvent { seq: at.seq, event }, documents })
}

fn document(message: &mut Bytes) -> Option<DocumentRow> {
    let (kind, id) = (text(message)?, text(message)?);
    let rev_seq = message.try_get_u64().ok()?;
    let flags = message.try_get_u8().ok()?;
    let has = |flag: u8| flags & flag != 0;
    let level = if has(LEVEL) { Some(message.try_get_i16().ok()?) } else { None };
    let stage = if has(STAGE) { Some(text(message)?) } else { None };
    let grid = if has(GRID) { Some(text(message)?) } else { None };
    let at_ms = message.try_get_i64().ok()?;
    let units = (0..message.try_get_u16().ok()?).map(|_| text(message)).collect::<Option<_>>()?;
    let columns = Columns { level, stage, units, grid, at_ms };
    let payload = bytes(message)?;
    Some(DocumentRow { kind, id, rev_seq, deleted: has(DELETED), open: has(OPEN), columns, payload })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Published> {
        let opaque = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let columns = (any::<Option<i16>>(), any::<Option<String>>(), any::<Vec<String>>(), any::<Option<String>>())
            .prop_map(|(level, stage, units, grid)| Columns { level, stage, units, grid, at_ms: -7 });
        let document = (any::<String>(), any::<String>(), any::<u64>(), any::<(bool, bool)>(), columns, opaque())
            .prop_map(|(kind, id, rev_seq, (deleted, open), columns, payload)| DocumentRow {
                kind,
                id,
                rev_seq,
                deleted,
                open,
                columns,
                payload,
            });
        let event = (any::<i64>(), any::<String>(), any::<u16>(), any::<String>(), any::<u8>(), opaque()).prop_map(
            |(at_ms, kind, version, stream, mode, payload)| EventRow { at_ms, kind, version, stream, mode, payload },
        );
        (any::<u64>(), any::<u64>(), event, prop::collection::vec(document, 0..4)).prop_map(
            |(log_id, seq, event, documents)| Published { log_id, event: StoredEvent { seq, event }, documents },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_encoded_comes_back(published in rows()) {
            let codec = Codec::new([7; 32]);
            let message = codec.event(&published, usize::MAX).unwrap();
            prop_assert!(message.len() <= size(&published), "{} of {}", message.len(), size(&published));
            prop_assert_eq!(codec.event(&published, message.len() - 1), None);
            prop_assert_eq!(codec.decode(message), Some(Frame::Event(published)));
        }

        #[test]
        fn a_changed_or_cut_message_is_refused(published in rows(), at: prop::sample::Index, bit in 0..8_u8) {
            let codec = Codec::new([7; 32]);
            let message = codec.event(&published, usize::MAX).unwrap();
            let at = at.index(message.len());
            let mut changed = message.to_vec();
            changed[at] ^= 1 << bit;
            prop_assert_eq!(codec.decode(changed.into()), None);
            prop_assert_eq!(codec.decode(message.slice(..at)), None);
            prop_assert_eq!(Codec::new([8; 32]).decode(message), None, "the tag of another ledger");
        }

        // Behind a right tag too nothing can break the decoder: bugs and other versions of our own.
        #[test]
        fn any_bytes_are_decoded_or_refused(content in prop::collection::vec(any::<u8>(), 0..200), kind in 0..4_u8) {
            let codec = Codec::new([7; 32]);
            let mut out = BytesMut::from(&[VERSION, kind][..]);
            out.extend_from_slice(&content);
            if let Some(Frame::Event(found)) = codec.decode(codec.seal(out)) {
                prop_assert!(codec.event(&found, usize::MAX).is_some());
            }
        }
    }

    #[test]
    fn a_head_is_short_and_comes_back() {
        let codec = Codec::new([7; 32]);
        let at = Position { log_id: 1 << 52, seq: 77 };
        let message = codec.head(at);
        assert_eq!(message.len(), START + TAG);
        assert_eq!(codec.decode(message), Some(Frame::Head(at)));
    }

    #[test]
    fn another_version_is_refused() {
        let codec = Codec::new([7; 32]);
        let mut out = BytesMut::new();
        start(&mut out, HEAD, Position { log_id: 1, seq: 1 });
        out[0] = VERSION + 1;
        assert_eq!(codec.decode(codec.seal(out)), None);
    }
}
