//! Encoded frames of one stream, shared by all its clients: a slow client costs a cursor, not a queue.
//!
//! Entries join without gaps: each begins where the one before ends. What a stream may not see only extends an empty
//! range, which becomes an entry of its own when something visible follows or a heartbeat is due.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{encode_varint, encoded_len_varint},
};
use wire::feed;

/// Entries that one look returns at most.
const LOOK: usize = 128;
/// Bytes that one look returns at most, unless the first entry alone is larger.
const LOOK_BYTES: usize = 256 << 10;

struct Entry {
    after: u64,
    upto: u64,
    /// Encoded frame without its `after`; empty = nothing visible.
    body: Bytes,
    /// The whole message, encoded once for everybody whose cursor is `after`.
    message: Bytes,
}

/// The frames.
pub(crate) struct Ring {
    log_id: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// Where the oldest entry begins.
    start: u64,
    /// Where the newest entry ends.
    head: u64,
    /// Where the invisible range after it ends.
    seen: u64,
    /// Items may be sent again: frames with states only.
    states_only: bool,
}

/// What a client gets next.
pub(crate) enum Look {
    /// Messages, and the cursor after them.
    Messages(Vec<Bytes>, u64),
    /// The cursor fell off.
    Off,
    /// The cursor lies within a frame: the rest of it must be made from the log.
    Within,
}

impl Ring {
    pub(crate) fn new(log_id: u64, head: u64, max_entries: usize, max_bytes: usize, states_only: bool) -> Self {
        Self {
            log_id,
            entries: VecDeque::new(),
            bytes: 0,
            max_entries,
            max_bytes,
            start: head,
            head,
            seen: head,
            states_only,
        }
    }

    /// Where the next frame begins when nothing invisible lies between.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Nothing of the range up to `upto` is visible.
    pub(crate) fn extend(&mut self, upto: u64) {
        self.seen = self.seen.max(upto);
    }

    /// The invisible range becomes an entry; false when there is none.
    pub(crate) fn flush(&mut self, now: i64) -> bool {
        if self.seen == self.head {
            return false;
        }
        let (after, upto) = (self.head, self.seen);
        let body = body(self.log_id, upto, now, Vec::new());
        self.push(Entry { after, upto, message: framed(after, &body), body: Bytes::new() });
        true
    }

    /// A frame with items up to `upto`. Ranges that are known already are ignored.
    pub(crate) fn push_items(&mut self, upto: u64, now: i64, items: Vec<feed::Item>) {
        if upto <= self.seen {
            return;
        }
        self.flush(now);
        let body = body(self.log_id, upto, now, items);
        self.seen = upto;
        self.push(Entry { after: self.head, upto, message: framed(self.head, &body), body });
    }

    fn push(&mut self, entry: Entry) {
        self.head = entry.upto;
        self.bytes += entry.message.len();
        self.entries.push_back(entry);
        while self.entries.len() > self.max_entries || (self.bytes > self.max_bytes && self.entries.len() > 1) {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.message.len();
            self.start = old.upto;
        }
    }

    /// What follows `cursor`.
    pub(crate) fn look(&self, cursor: u64, now: i64) -> Look {
        if cursor < self.start {
            return Look::Off;
        }
        let from = self.entries.partition_point(|e| e.upto <= cursor);
        let (mut messages, mut bytes, mut at) = (Vec::new(), 0, cursor);
        for entry in self.entries.range(from..) {
            if messages.len() == LOOK || (bytes > 0 && bytes + entry.message.len() > LOOK_BYTES) {
                break;
            }
            let message = if entry.after == at {
                entry.message.clone()
            } else if entry.body.is_empty() {
                framed(at, &body(self.log_id, entry.upto, now, Vec::new()))
            } else if self.states_only {
                framed(at, &entry.body)
            } else {
                return Look::Within;
            };
            bytes += message.len();
            messages.push(message);
            at = entry.upto;
        }
        Look::Messages(messages, at)
    }
}

/// An encoded frame without its `after`.
pub(crate) fn body(log_id: u64, upto: u64, server_time: i64, items: Vec<feed::Item>) -> Bytes {
    feed::Frame { log_id, after: 0, upto, server_time, items }.encode_to_vec().into()
}

/// A whole server message around an encoded frame. Fields of a message may come in any order, so `after` goes first.
pub(crate) fn framed(after: u64, body: &[u8]) -> Bytes {
    const FRAME: u8 = 2 << 3 | 2;
    const AFTER: u8 = 2 << 3;
    let len = 1 + encoded_len_varint(after) + body.len();
    let mut out = BytesMut::with_capacity(1 + 10 + len);
    out.put_u8(FRAME);
    encode_varint(u64::try_from(len).unwrap_or(u64::MAX), &mut out);
    out.put_u8(AFTER);
    encode_varint(after, &mut out);
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed::server_message::Kind;
    use proptest::prelude::*;

    fn frames(messages: &[Bytes]) -> Vec<feed::Frame> {
        let decode = |m: &Bytes| match feed::ServerMessage::decode(m.clone()).unwrap().kind.unwrap() {
            Kind::Frame(frame) => frame,
            other => panic!("{other:?}"),
        };
        messages.iter().map(decode).collect()
    }

    fn item(seq: u64) -> feed::Item {
        feed::Item { event: Some(feed::Event { seq, ..feed::Event::default() }), state: None }
    }

    #[test]
    fn a_framed_body_is_the_message() {
        let body = body(7, 12, 99, vec![item(12)]);
        let frame = frames(&[framed(9, &body)]).remove(0);
        assert_eq!(frame, feed::Frame { log_id: 7, after: 9, upto: 12, server_time: 99, items: vec![item(12)] });
    }

    #[test]
    fn a_cursor_within_a_frame_is_told() {
        let mut ring = Ring::new(1, 0, 8, 1 << 20, false);
        ring.push_items(3, 0, vec![item(1), item(3)]);
        assert!(matches!(ring.look(1, 0), Look::Within));
        ring.extend(9);
        ring.flush(0);
        let Look::Messages(messages, at) = ring.look(5, 0) else { panic!() };
        let frame = frames(&messages).remove(0);
        assert_eq!((frame.after, frame.upto, at), (5, 9, 9));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_client_sees_each_item_once_and_in_order(
            steps in prop::collection::vec((1_u64..4, any::<bool>(), any::<bool>()), 1..60),
            room in 1_usize..20,
        ) {
            let mut ring = Ring::new(1, 10, room, 1 << 20, false);
            let (mut head, mut cursor, mut visible, mut got) = (10, 10, Vec::new(), Vec::new());
            for (span, shown, look) in steps {
                head += span;
                if shown {
                    visible.push(head);
                    ring.push_items(head, 0, vec![item(head)]);
                } else {
                    ring.extend(head);
                    if look { ring.flush(0); }
                }
                if look {
                    match ring.look(cursor, 0) {
                        Look::Messages(messages, at) => {
                            for frame in frames(&messages) {
                                prop_assert_eq!(frame.after, cursor);
                                cursor = frame.upto;
                                got.extend(frame.items.iter().map(|i| i.event.as_ref().unwrap().seq));
                            }
                            prop_assert_eq!(at, cursor);
                        }
                        // A snapshot at the head would follow.
                        Look::Off => {
                            cursor = ring.seen();
                            got = visible.clone();
                        }
                        Look::Within => prop_assert!(false, "frames end where clients stand"),
                    }
                    // Only what no entry covers yet may be missing, and that is invisible.
                    prop_assert_eq!(&got, &visible);
                }
            }
        }
    }
}
