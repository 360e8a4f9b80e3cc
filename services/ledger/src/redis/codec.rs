//! What goes over Redis: a version, a Protocol Buffers message, a tag.
//!
//! Whoever may publish in Redis could forge events, and Redis is never trusted: each message ends with a tag keyed by the
//! ledger, and one without a right tag is as good as lost. Decoding is total and allocates no more than it was given.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hmac::{Hmac, Mac as _};
use prost::Message as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Columns, DocumentRow, EventRow, Position, Published, StoredEvent, limits};

/// A reader refuses other versions, and so falls back to the ledger while a rolling upgrade lasts.
const VERSION: u8 = 2;
/// Bytes of the tag: half an HMAC-SHA256.
const TAG: usize = 16;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Event(Published),
    /// The end of the log as its publisher knows it.
    Head(Position),
}

/// A position; with an event, that event's.
#[derive(prost::Message)]
struct Sent {
    #[prost(uint64, tag = "1")]
    log_id: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(message, optional, tag = "3")]
    event: Option<SentEvent>,
}

#[derive(prost::Message)]
struct SentEvent {
    #[prost(sint64, tag = "1")]
    at_ms: i64,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(uint32, tag = "3")]
    mode: u32,
    #[prost(string, tag = "4")]
    kind: String,
    #[prost(string, tag = "5")]
    stream: String,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
    #[prost(message, repeated, tag = "7")]
    documents: Vec<SentDocument>,
}

#[derive(prost::Message)]
struct SentDocument {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(uint64, tag = "3")]
    rev_seq: u64,
    #[prost(bool, tag = "4")]
    deleted: bool,
    #[prost(bool, tag = "5")]
    open: bool,
    #[prost(sint32, optional, tag = "6")]
    level: Option<i32>,
    #[prost(string, optional, tag = "7")]
    stage: Option<String>,
    #[prost(string, optional, tag = "8")]
    grid: Option<String>,
    #[prost(string, repeated, tag = "9")]
    units: Vec<String>,
    #[prost(sint64, tag = "10")]
    at_ms: i64,
    #[prost(bytes = "bytes", tag = "11")]
    payload: Bytes,
    #[prost(sint64, optional, tag = "12")]
    due_ms: Option<i64>,
    #[prost(message, repeated, tag = "13")]
    refs: Vec<SentRef>,
}

#[derive(prost::Message)]
struct SentRef {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(string, tag = "2")]
    id: String,
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
        // A long one is not copied in vain.
        if payloads(published) > limit {
            return None;
        }
        let message = sent(published);
        (1 + message.encoded_len() + TAG <= limit).then(|| self.seal(&message))
    }

    pub(super) fn head(&self, at: Position) -> Bytes {
        self.seal(&Sent { log_id: at.log_id, seq: at.seq, event: None })
    }

    /// `None` for anything but what [`Self::event`] and [`Self::head`] of the same ledger made.
    pub(super) fn decode(&self, mut message: Bytes) -> Option<Frame> {
        let tag = message.split_off(message.len().checked_sub(TAG)?);
        self.mac(&message)?.verify_truncated_left(&tag).ok()?;
        if message.try_get_u8().ok()? != VERSION {
            return None;
        }
        let Sent { log_id, seq, event } = Sent::decode(message).ok()?;
        Some(match event {
            Some(event) => Frame::Event(published(log_id, seq, event)?),
            None => Frame::Head(Position { log_id, seq }),
        })
    }

    fn mac(&self, content: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).ok()?;
        mac.update(content);
        Some(mac)
    }

    fn seal(&self, message: &Sent) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + message.encoded_len() + TAG);
        out.put_u8(VERSION);
        // Bytes grow as needed: the error arm never runs, and what it left out would be refused.
        let _ = message.encode(&mut out);
        self.tag(out)
    }

    fn tag(&self, mut out: BytesMut) -> Bytes {
        // An HMAC takes keys of any length; without a tag the message would be refused.
        if let Some(mac) = self.mac(&out) {
            out.extend_from_slice(mac.finalize().into_bytes().get(..TAG).unwrap_or_default());
        }
        out.freeze()
    }
}

fn payloads(published: &Published) -> usize {
    published.event.event.payload.len() + published.documents.iter().map(|d| d.payload.len()).sum::<usize>()
}

fn sent(published: &Published) -> Sent {
    let Published { log_id, event: StoredEvent { seq, event }, documents } = published;
    let event = SentEvent {
        at_ms: event.at_ms,
        version: event.version.into(),
        mode: event.mode.into(),
        kind: event.kind.clone(),
        stream: event.stream.clone(),
        payload: event.payload.clone(),
        documents: documents.iter().map(sent_document).collect(),
    };
    Sent { log_id: *log_id, seq: *seq, event: Some(event) }
}

fn sent_document(document: &DocumentRow) -> SentDocument {
    let DocumentRow { kind, id, rev_seq, deleted, open, columns, payload } = document;
    let Columns { level, stage, units, grid, at_ms, due_ms, refs } = columns;
    SentDocument {
        kind: kind.clone(),
        id: id.clone(),
        rev_seq: *rev_seq,
        deleted: *deleted,
        open: *open,
        level: level.map(Into::into),
        stage: stage.clone(),
        grid: grid.clone(),
        units: units.clone(),
        at_ms: *at_ms,
        payload: payload.clone(),
        due_ms: *due_ms,
        refs: refs.iter().map(|(role, id)| SentRef { role: role.clone(), id: id.clone() }).collect(),
    }
}

fn published(log_id: u64, seq: u64, event: SentEvent) -> Option<Published> {
    let SentEvent { at_ms, version, mode, kind, stream, payload, documents } = event;
    if documents.len() > limits::ROWS + 1 {
        return None;
    }
    let documents = documents.into_iter().map(document).collect::<Option<_>>()?;
    let (version, mode) = (version.try_into().ok()?, mode.try_into().ok()?);
    let event = StoredEvent { seq, event: EventRow { at_ms, kind, version, stream, mode, payload } };
    Some(Published { log_id, event, documents })
}

fn document(sent: SentDocument) -> Option<DocumentRow> {
    let SentDocument { kind, id, rev_seq, deleted, open, level, stage, grid, units, at_ms, payload, due_ms, refs } =
        sent;
    let level = level.map(TryInto::try_into).transpose().ok()?;
    let refs = refs.into_iter().map(|r| (r.role, r.id)).collect();
    let columns = Columns { level, stage, units, grid, at_ms, due_ms, refs };
    Some(DocumentRow { kind, id, rev_seq, deleted, open, columns, payload })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Published> {
        let opaque = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let listed = (any::<Option<i16>>(), any::<Option<String>>(), any::<Vec<String>>(), any::<Option<String>>());
        let columns = (listed, any::<Option<i64>>(), any::<Vec<(String, String)>>()).prop_map(
            |((level, stage, units, grid), due_ms, refs)| Columns {
                level,
                stage,
                units,
                grid,
                at_ms: -7,
                due_ms,
                refs,
            },
        );
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
        fn any_bytes_are_decoded_or_refused(
            published in rows(),
            content in prop::collection::vec(any::<u8>(), 0..200),
            at: prop::sample::Index,
        ) {
            let codec = Codec::new([7; 32]);
            // Nothing but noise, and noise behind the beginning of a message.
            let whole = codec.event(&published, usize::MAX).unwrap();
            for begin in [&whole[..1], &whole[..1 + at.index(whole.len() - TAG)]] {
                let mut out = BytesMut::from(begin);
                out.extend_from_slice(&content);
                let Some(Frame::Event(found)) = codec.decode(codec.tag(out)) else { continue };
                prop_assert!(codec.event(&found, usize::MAX).is_some());
            }
        }
    }

    #[test]
    fn a_head_is_short_and_comes_back() {
        let codec = Codec::new([7; 32]);
        let at = Position { log_id: 1 << 52, seq: 77 };
        let message = codec.head(at);
        assert!(message.len() <= 32, "{}", message.len());
        assert_eq!(codec.decode(message), Some(Frame::Head(at)));
    }

    #[test]
    fn another_version_is_refused() {
        let codec = Codec::new([7; 32]);
        let message = codec.head(Position { log_id: 1, seq: 1 });
        for version in [VERSION - 1, VERSION, VERSION + 1] {
            let mut out = BytesMut::from(&message[..message.len() - TAG]);
            out[0] = version;
            assert_eq!(codec.decode(codec.tag(out)).is_some(), version == VERSION);
        }
    }
}
