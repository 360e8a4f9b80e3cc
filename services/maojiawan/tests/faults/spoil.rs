//! A line that holds, swaps and doubles messages, as MQTT may: QoS 1 is at least once, and what is repeated comes late.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use rand::{Rng as _, rngs::StdRng};

/// How often, in per cent of the messages.
const HELD: u32 = 25;
const DOUBLED: u32 = 25;
/// A repetition comes after so many other messages at most …
const LATE: u32 = 12;
/// … or when it was quiet so often.
const QUIET: u32 = 10;
const DUP: u8 = 1 << 3;

/// What became of the messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spoilt {
    pub(crate) swapped: u64,
    pub(crate) doubled: u64,
    /// Repetitions that came when the sender had told something newer.
    pub(crate) overtaken: u64,
}

/// A repetition to come.
struct Late {
    after: u32,
    topic: String,
    /// Messages of the topic so far.
    count: u64,
    packet: Bytes,
}

/// One connection's line to the centre.
pub(crate) struct Spoiler {
    /// Without chance all goes on as it came.
    rng: Option<StdRng>,
    held: Vec<Bytes>,
    late: Vec<Late>,
    quiet: u32,
    told: HashMap<String, u64>,
    pub(crate) spoilt: Spoilt,
}

impl Spoiler {
    pub(crate) fn new(rng: Option<StdRng>) -> Self {
        let (held, late, told) = (Vec::new(), Vec::new(), HashMap::new());
        Self { rng, held, late, quiet: 0, told, spoilt: Spoilt::default() }
    }

    /// What goes on now that a message of this topic came, and whether it will come twice.
    pub(crate) fn take(&mut self, packet: Bytes, topic: &str) -> (Vec<Bytes>, bool) {
        let Some(rng) = &mut self.rng else { return (vec![packet], false) };
        let (roll, after) = (rng.random_range(0..100), rng.random_range(1..=LATE));
        self.quiet = 0;
        self.late.iter_mut().for_each(|late| late.after = late.after.saturating_sub(1));
        let mut on = self.release(|late| late.after == 0);
        let count = self.told.entry(topic.to_owned()).or_default();
        *count += 1;
        let count = *count;
        if roll < HELD {
            self.held.push(packet);
            return (on, false);
        }
        let doubled = roll < HELD + DOUBLED;
        if doubled {
            let mut again = BytesMut::from(&packet[..]);
            again[0] |= DUP;
            self.late.push(Late { after, topic: topic.to_owned(), count, packet: again.freeze() });
            self.spoilt.doubled += 1;
        }
        on.push(packet);
        self.spoilt.swapped += self.held.len() as u64;
        on.append(&mut self.held);
        (on, doubled)
    }

    /// What goes on when nothing came for a while: what its sender waits for, and in the end everything.
    pub(crate) fn idle(&mut self) -> Vec<Bytes> {
        self.quiet += 1;
        let mut on = std::mem::take(&mut self.held);
        if self.quiet >= QUIET {
            on.append(&mut self.release(|_| true));
        }
        on
    }

    fn release(&mut self, due: impl Fn(&Late) -> bool) -> Vec<Bytes> {
        let due: Vec<Late> = self.late.extract_if(.., |late| due(late)).collect();
        let newer = |late: &&Late| self.told.get(&late.topic).is_some_and(|n| *n > late.count);
        self.spoilt.overtaken += due.iter().filter(newer).count() as u64;
        due.into_iter().map(|late| late.packet).collect()
    }
}
