//! What comes a second time: messages whose answer was lost with the connection, and old ones of a broker that crashed and
//! forgot that they were answered. Memory of this run only, and bounded.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use rumqttc::QoS;

use crate::{broker::WINDOW, connection::Delivery};

/// Messages that are remembered: what the broker may have sent ahead on two connections, and once more.
const REMEMBERED: u64 = 4 * WINDOW as u64;
/// How long after it was connected a broker may deliver what it had been answered before it crashed, ms; begins anew with
/// each such message.
const DOUBT_MS: i64 = 60_000;

/// The messages taken last, by their packet ids, of a broker that counts these up. A message without a time of its own
/// that comes again is told from the next one of the same words by nothing else.
#[derive(Default)]
pub(crate) struct Taken {
    hasher: RandomState,
    count: u64,
    /// Hash of topic and payload, and its number.
    last: HashMap<u16, (u64, u64)>,
}

impl Taken {
    /// Whether this one was taken before and comes again; from now on it was.
    pub(crate) fn again(&mut self, delivery: &Delivery) -> bool {
        let p = &delivery.publish;
        if p.qos == QoS::AtMostOnce {
            return false;
        }
        let hash = self.hasher.hash_one((&p.topic, &p.payload[..]));
        self.count += 1;
        let before = self.last.insert(p.pkid, (hash, self.count));
        p.dup && before.is_some_and(|(same, at)| same == hash && self.count - at <= REMEMBERED)
    }
}

/// Whether old readings are perhaps those that a broker forgot to have delivered.
#[derive(Default)]
pub(crate) struct Doubt {
    connection: Option<u64>,
    since: i64,
}

impl Doubt {
    /// Of a message of this connection.
    pub(crate) fn of(&mut self, connection: u64, now: i64) -> bool {
        if self.connection != Some(connection) {
            (self.connection, self.since) = (Some(connection), now);
        }
        (0..DOUBT_MS).contains(&now.saturating_sub(self.since))
    }

    /// One was such a message: others may follow.
    pub(crate) fn founded(&mut self, now: i64) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::Publish;

    use super::*;

    fn delivery(pkid: u16, dup: bool, body: &str) -> Delivery {
        let mut publish = Publish::new("zigbee2mqtt/sos-1", QoS::AtLeastOnce, body);
        (publish.pkid, publish.dup) = (pkid, dup);
        Delivery { connection: 1, size: publish.payload.len(), publish }
    }

    #[test]
    fn a_message_that_was_taken_comes_again_and_another_of_the_same_words_does_not() {
        let mut taken = Taken::default();
        let mut again = |pkid: u16, dup: bool, body: &str| taken.again(&delivery(pkid, dup, body));
        assert!(!again(7, false, "press"));
        assert!(again(7, true, "press"), "its answer was lost");
        assert!(again(7, true, "press"), "and once more");
        assert!(!again(8, true, "press"), "the next press was never taken");
        assert!(!again(7, true, "other"), "the number went to another message");
        assert!(!again(7, false, "other"), "a first delivery is one");
        for n in 0..REMEMBERED {
            again(u16::try_from(n % 60_000 + 100).unwrap_or(0), false, "more");
        }
        assert!(!again(7, true, "other"), "so long ago that the number has gone round");
    }

    #[test]
    fn doubt_ends_a_while_after_the_connection() {
        let mut doubt = Doubt::default();
        assert!(doubt.of(1, 1_000) && doubt.of(1, 60_999) && !doubt.of(1, 61_000));
        assert!(doubt.of(3, 61_000));
        doubt.founded(100_000);
        assert!(doubt.of(3, 159_999) && !doubt.of(3, 160_000));
    }
}
