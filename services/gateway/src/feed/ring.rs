//! Encoded frames of one stream, shared by all its clients: a slow client costs a cursor, not a queue.
//!
//! Entries join without gaps: each begins where the one before ends. What a stream may not see only extends an empty
//! range, which becomes an entry of its own when something visible follows or a heartbeat is due. A cursor may stand
//! within an entry (it comes from another gateway, whose frames end elsewhere): it gets the rest of it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::form::{Form, Head, Items};

/// Entries that one look returns at most.
pub(super) const LOOK: usize = 128;
/// Bytes that one look returns at most, unless the first entry alone is larger.
const LOOK_BYTES: usize = 256 << 10;
/// What an entry costs besides its message, about.
const ENTRY: usize = 96;

struct Entry {
    after: u64,
    upto: u64,
    server_time: i64,
    /// The items, a part of the message.
    items: Bytes,
    /// Position of each item, and where it begins.
    marks: Box<[(u64, usize)]>,
    /// The whole message, encoded once for everybody whose cursor is `after`.
    message: Bytes,
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY + self.message.len() + size_of_val(&*self.marks)
    }
}

/// The frames.
pub(crate) struct Ring {
    form: Form,
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
#[derive(Debug)]
pub(crate) enum Look {
    /// Messages, and the cursor after them.
    Messages(Vec<Bytes>, u64),
    /// The cursor fell off.
    Off,
}

impl Ring {
    pub(crate) fn new(
        form: Form,
        log_id: u64,
        head: u64,
        max_entries: usize,
        max_bytes: usize,
        states_only: bool,
    ) -> Self {
        Self {
            form,
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

    /// Where the oldest frame begins.
    pub(crate) fn start(&self) -> u64 {
        self.start
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
        self.push(self.seen, now, Items::default());
        true
    }

    /// A frame with items up to `upto`. Ranges that are known already are ignored.
    pub(crate) fn push_items(&mut self, upto: u64, now: i64, items: Items) {
        if upto <= self.seen {
            return;
        }
        self.flush(now);
        self.seen = upto;
        self.push(upto, now, items);
    }

    fn push(&mut self, upto: u64, server_time: i64, items: Items) {
        let head = Head { log_id: self.log_id, after: self.head, upto, server_time };
        let (message, at) = self.form.frame(head, &items.bytes);
        let part = message.slice(at..at + items.bytes.len());
        let entry = Entry { after: self.head, upto, server_time, items: part, marks: items.marks.into(), message };
        self.head = upto;
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > self.max_entries || (self.bytes > self.max_bytes && self.entries.len() > 1) {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.bytes();
            self.start = old.upto;
        }
    }

    /// Bytes of the frames after `cursor`; `None` when it fell off.
    pub(crate) fn behind(&self, cursor: u64) -> Option<usize> {
        let newer = self.entries.iter().rev().take_while(|e| e.upto > cursor);
        (cursor >= self.start).then(|| newer.map(Entry::bytes).sum())
    }

    /// What follows `cursor`.
    pub(crate) fn look(&self, cursor: u64) -> Look {
        if cursor < self.start {
            return Look::Off;
        }
        let from = self.entries.partition_point(|e| e.upto <= cursor);
        let (mut messages, mut bytes, mut at) = (Vec::new(), 0, cursor);
        for entry in self.entries.range(from..) {
            if messages.len() == LOOK || (bytes > 0 && bytes + entry.message.len() > LOOK_BYTES) {
                break;
            }
            let message = if entry.after == at { entry.message.clone() } else { self.rest(entry, at) };
            bytes += message.len();
            messages.push(message);
            at = entry.upto;
        }
        Look::Messages(messages, at)
    }

    /// What follows a cursor within an entry.
    fn rest(&self, entry: &Entry, after: u64) -> Bytes {
        let head = Head { log_id: self.log_id, after, upto: entry.upto, server_time: entry.server_time };
        let known = if self.states_only { 0 } else { entry.marks.partition_point(|(seq, _)| *seq <= after) };
        let from = entry.marks.get(known).map_or(entry.items.len(), |(_, at)| *at);
        self.form.frame(head, entry.items.get(from..).unwrap_or_default()).0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::feed::{self, server_message::Kind};

    use super::*;
    use crate::feed::form::tests::decoded;

    const FORM: Form = Form::Protobuf;

    fn frames(form: Form, messages: &[Bytes]) -> Vec<feed::Frame> {
        let decode = |m: &Bytes| match decoded(form, m) {
            Kind::Frame(frame) => frame,
            other => panic!("{other:?}"),
        };
        messages.iter().map(decode).collect()
    }

    fn item(seq: u64) -> feed::Item {
        feed::Item { event: Some(feed::Event { seq, ..feed::Event::default() }), state: None }
    }

    fn state(rev: u64) -> feed::Item {
        feed::Item { event: None, state: Some(feed::State { rev, kind: None }) }
    }

    #[test]
    fn a_cursor_within_a_frame_gets_the_rest() {
        for form in Form::ALL {
            let mut ring = Ring::new(form, 1, 0, 8, 1 << 20, false);
            ring.push_items(4, 0, form.items(&[item(1), item(3), item(4)]));
            for (cursor, rest) in [(0, vec![1, 3, 4]), (1, vec![3, 4]), (2, vec![3, 4]), (3, vec![4])] {
                let Look::Messages(messages, 4) = ring.look(cursor) else { panic!() };
                let frame = frames(form, &messages).remove(0);
                assert_eq!((frame.after, frame.upto), (cursor, 4));
                assert_eq!(frame.items, rest.into_iter().map(item).collect::<Vec<_>>());
            }
            ring.extend(9);
            ring.flush(0);
            let Look::Messages(messages, 9) = ring.look(5) else { panic!() };
            let frame = frames(form, &messages).remove(0);
            assert_eq!((frame.after, frame.upto, frame.items.len()), (5, 9, 0));
        }
    }

    #[test]
    fn states_are_all_sent_again() {
        let mut ring = Ring::new(FORM, 1, 0, 8, 1 << 20, true);
        ring.push_items(4, 0, FORM.items(&[state(4), state(2)]));
        let Look::Messages(messages, 4) = ring.look(3) else { panic!() };
        assert_eq!(frames(FORM, &messages)[0].items.len(), 2);
    }

    #[test]
    fn what_is_held_stays_within_its_bytes() {
        let mut ring = Ring::new(FORM, 1, 0, 1_000, 2_000, false);
        for seq in 1..100 {
            ring.push_items(seq, 0, FORM.items(&[item(seq)]));
            assert!(ring.bytes <= 2_000);
        }
        assert_eq!(ring.bytes, ring.entries.iter().map(Entry::bytes).sum::<usize>());
        assert_eq!(ring.behind(ring.start), Some(ring.bytes));
        assert_eq!(ring.behind(ring.start - 1), None);
        assert_eq!(ring.behind(99), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_client_sees_each_item_once_and_in_order(
            // How far a batch goes, which of its events are visible, whether the client looks.
            steps in prop::collection::vec((1_u64..4, any::<u8>(), any::<bool>()), 1..60),
            room in 1_usize..20,
            begins in 10_u64..40,
        ) {
            let mut ring = Ring::new(FORM, 1, 10, room, 1 << 20, false);
            let (mut head, mut cursor, mut visible, mut got) = (10, begins, Vec::new(), Vec::new());
            for (span, shown, look) in steps {
                let new: Vec<u64> = (head + 1..=head + span).filter(|n| shown >> (n - head) & 1 == 1).collect();
                head += span;
                visible.extend(new.iter().copied().filter(|n| *n > begins));
                if new.is_empty() {
                    ring.extend(head);
                    if look { ring.flush(0); }
                } else {
                    ring.push_items(head, 0, FORM.items(&new.into_iter().map(item).collect::<Vec<_>>()));
                }
                // A client comes no earlier than its position exists.
                if look && head >= begins {
                    match ring.look(cursor) {
                        Look::Messages(messages, at) => {
                            for frame in frames(FORM, &messages) {
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
                    }
                    // Only what no entry covers yet may be missing, and that is invisible.
                    prop_assert_eq!(&got, &visible);
                }
            }
        }
    }
}
