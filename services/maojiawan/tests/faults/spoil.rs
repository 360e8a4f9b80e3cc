//! A line that holds, swaps and doubles messages, as MQTT may: QoS 1 is at least once, and what is repeated comes late.

use bytes::{Bytes, BytesMut};
use rand::{Rng as _, rngs::StdRng};

/// How often, in per cent of the messages.
const HELD: u32 = 25;
const DOUBLED: u32 = 25;
/// A repetition comes after so many other messages at most.
const LATE: u32 = 4;
const PUBLISH: u8 = 3 << 4;
const DUP: u8 = 1 << 3;

/// What became of the messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spoilt {
    pub(crate) swapped: u64,
    pub(crate) doubled: u64,
}

/// One connection's line to the centre.
pub(crate) struct Spoiler {
    /// Without chance all goes on as it came.
    rng: Option<StdRng>,
    held: Vec<Bytes>,
    /// Repetitions, each after so many other messages.
    late: Vec<(u32, Bytes)>,
    pub(crate) spoilt: Spoilt,
}

/// Whether a packet is a message.
pub(crate) fn is_publish(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first & 0xf0 == PUBLISH)
}

impl Spoiler {
    pub(crate) fn new(rng: Option<StdRng>) -> Self {
        Self { rng, held: Vec::new(), late: Vec::new(), spoilt: Spoilt::default() }
    }

    /// What goes on now that a packet came, and whether it will come twice.
    pub(crate) fn take(&mut self, packet: Bytes) -> (Vec<Bytes>, bool) {
        let Some(rng) = self.rng.as_mut().filter(|_| is_publish(&packet)) else { return (vec![packet], false) };
        let mut on = Vec::new();
        self.late.iter_mut().for_each(|(after, _)| *after = after.saturating_sub(1));
        on.extend(self.late.extract_if(.., |(after, _)| *after == 0).map(|(_, packet)| packet));
        let roll = rng.random_range(0..100);
        let doubled = (HELD..HELD + DOUBLED).contains(&roll);
        if roll < HELD {
            self.held.push(packet);
            return (on, false);
        }
        if doubled {
            let mut again = BytesMut::from(&packet[..]);
            again[0] |= DUP;
            self.late.push((rng.random_range(1..=LATE), again.freeze()));
            self.spoilt.doubled += 1;
        }
        on.push(packet);
        self.spoilt.swapped += self.held.len() as u64;
        on.append(&mut self.held);
        (on, doubled)
    }

    /// What goes on when nothing came for a while: everything that waits for other messages.
    pub(crate) fn idle(&mut self) -> Vec<Bytes> {
        let late = self.late.drain(..).map(|(_, packet)| packet);
        self.held.drain(..).chain(late).collect()
    }
}
