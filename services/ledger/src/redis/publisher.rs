//! The sending side: a bounded queue, and a task that empties it over one connection, many messages a round trip.
//!
//! Invariants: publishing never waits; order is kept; what does not fit or was under way when the connection broke is
//! dropped and counted, and the heads that are sent afterwards let followers notice.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{AsyncConnectionConfig, Pipeline, aio::MultiplexedConnection};
use bytes::Bytes;
use runtime::{retry::Backoff, telemetry::names};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Fault, LinkState, RedisOptions,
    codec::Codec,
    connect::{connect, fault, login},
    status::{Board, Side},
};
use crate::Position;

/// Messages of one round trip at most.
const ROUND: usize = 256;
/// Bytes of one round trip, or one message.
const ROUND_BYTES: usize = 1 << 20;

/// What waits for the connection.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Notify,
    messages: usize,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// The newest known; `None` before anything was published.
    head: Option<Position>,
    /// So that the log tells an overflow once.
    overflowed: bool,
}

impl Waiting {
    /// Within one log heads only rise.
    fn learn(&mut self, head: Position) {
        self.head = self.head.filter(|h| h.log_id == head.log_id && h.seq >= head.seq).or(Some(head));
    }
}

impl Queue {
    pub(super) fn new(options: &RedisOptions) -> Self {
        let (messages, bytes) = (options.queue.max(1), options.queue_bytes.max(options.message));
        Self { waiting: Mutex::default(), ready: Notify::new(), messages, bytes }
    }

    /// The end of the log.
    pub(super) fn announce(&self, head: Position) {
        self.with(|w| w.learn(head));
        self.ready.notify_one();
    }

    /// Adds messages up to `head`; the oldest give way, for followers will soonest have read them from the ledger.
    pub(super) fn push(&self, messages: impl Iterator<Item = Bytes>, head: Position) {
        let (dropped, first) = self.with(|w| {
            w.learn(head);
            for message in messages {
                w.bytes += message.len();
                w.messages.push_back(message);
            }
            let mut dropped = 0;
            while w.messages.len() > self.messages || w.bytes > self.bytes {
                let Some(oldest) = w.messages.pop_front() else { break };
                w.bytes -= oldest.len();
                dropped += 1;
            }
            let first = dropped > 0 && !w.overflowed;
            w.overflowed |= first;
            (dropped, first)
        });
        if dropped > 0 {
            metrics::counter!(names::BUS_DROPPED, "reason" => "queue_full").increment(dropped);
        }
        if first {
            tracing::warn!(
                bus.waiting = self.messages,
                "the queue of the bus is full: the oldest messages are dropped"
            );
        }
        self.ready.notify_one();
    }

    fn take(&self) -> Vec<Bytes> {
        self.with(|w| {
            let mut taken = Vec::new();
            let mut bytes = 0;
            while taken.len() < ROUND
                && let Some(next) = w.messages.front()
                && (taken.is_empty() || bytes + next.len() <= ROUND_BYTES)
                && let Some(next) = w.messages.pop_front()
            {
                bytes += next.len();
                w.bytes -= next.len();
                taken.push(next);
            }
            w.overflowed &= !w.messages.is_empty();
            taken
        })
    }

    fn head(&self) -> Option<Position> {
        self.with(|w| w.head)
    }

    /// The head to send while nothing waits: one that overtook its messages would make followers ask for them.
    fn beat(&self) -> Option<Position> {
        self.with(|w| w.head.filter(|_| w.messages.is_empty()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Publisher {
    pub(super) queue: Arc<Queue>,
    pub(super) options: RedisOptions,
    pub(super) channel: String,
    pub(super) codec: Codec,
    pub(super) board: Board,
    pub(super) stop: CancellationToken,
}

impl Publisher {
    /// Publishes until told to stop, from the first message on.
    pub(super) async fn run(self) {
        while self.queue.head().is_none() {
            tokio::select! {
                biased;
                () = self.queue.ready.notified() => {}
                () = self.stop.cancelled() => return,
            }
        }
        self.board.set(Side::Publisher, LinkState::Connecting);
        let (first, cap) = self.options.backoff;
        let mut backoff = Backoff::new(first, cap);
        loop {
            let since = Instant::now();
            let Err(why) = self.session().await else { return };
            self.board.failed(Side::Publisher, why);
            if since.elapsed() > cap {
                backoff.reset();
            }
            if !pause(backoff.delay(), &self.stop).await {
                return;
            }
        }
    }

    /// One connection; ends well only when told to stop, with the queue empty.
    async fn session(&self) -> Result<(), Fault> {
        let info = login(&self.options).await?;
        let connected = tokio::select! {
            biased;
            connected = connect(&self.options, &info, AsyncConnectionConfig::new()) => connected,
            // What waits is worth one attempt more.
            () = self.stop.cancelled(), if self.queue.beat().is_some() => return Ok(()),
        };
        let (connection, driver) = connected?;
        tokio::select! {
            biased;
            done = self.pump(connection) => done,
            () = driver => Err(Fault::Lost),
        }
    }

    async fn pump(&self, mut connection: MultiplexedConnection) -> Result<(), Fault> {
        // Its first tick is at once: followers learn what they missed, and we whether we may publish.
        let mut beat = interval(self.options.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let messages = tokio::select! {
                biased;
                messages = self.next() => match messages {
                    Some(messages) => messages,
                    None => return Ok(()),
                },
                _ = beat.tick() => match self.queue.beat() {
                    Some(head) => vec![self.codec.head(head)],
                    None => continue,
                },
            };
            self.send(&mut connection, &messages).await?;
            self.board.set(Side::Publisher, LinkState::Up);
        }
    }

    /// What waits; `None` when told to stop and nothing does.
    async fn next(&self) -> Option<Vec<Bytes>> {
        loop {
            let messages = self.queue.take();
            if !messages.is_empty() {
                return Some(messages);
            }
            tokio::select! {
                biased;
                () = self.queue.ready.notified() => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    async fn send(&self, connection: &mut MultiplexedConnection, messages: &[Bytes]) -> Result<(), Fault> {
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for message in messages {
            pipeline.cmd("PUBLISH").arg(&self.channel).arg(message.as_ref()).ignore();
        }
        let sent = pipeline.exec_async(connection).await;
        let count = messages.len() as u64;
        match sent {
            Ok(()) => metrics::counter!(names::BUS_PUBLISHED).increment(count),
            Err(_) => metrics::counter!(names::BUS_DROPPED, "reason" => "connection").increment(count),
        }
        sent.map_err(|error| fault(&error))
    }
}

/// False when told to stop meanwhile.
pub(super) async fn pause(delay: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(delay) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(messages: usize, bytes: usize) -> Queue {
        Queue { waiting: Mutex::default(), ready: Notify::new(), messages, bytes }
    }

    fn push(queue: &Queue, sizes: &[usize]) {
        let head = Position { log_id: 1, seq: 9 };
        queue.push(sizes.iter().map(|n| Bytes::from(vec![u8::try_from(*n % 256).unwrap_or(0); *n])), head);
    }

    fn sizes(taken: &[Bytes]) -> Vec<usize> {
        taken.iter().map(Bytes::len).collect()
    }

    #[test]
    fn a_full_queue_drops_the_oldest() {
        let by_count = queue(3, 1_000);
        push(&by_count, &[1, 2, 3, 4, 5]);
        assert_eq!(sizes(&by_count.take()), [3, 4, 5]);
        let by_bytes = queue(100, 10);
        push(&by_bytes, &[4, 4, 4]);
        push(&by_bytes, &[1]);
        assert_eq!(sizes(&by_bytes.take()), [4, 4, 1]);
        assert_eq!(by_bytes.take(), Vec::<Bytes>::new());
        assert_eq!(by_bytes.with(|w| (w.bytes, w.head.map(|h| h.seq))), (0, Some(9)));
    }

    #[test]
    fn a_round_trip_is_bounded() {
        let queue = queue(10_000, 100 << 20);
        push(&queue, &[1; ROUND + 1]);
        assert_eq!((queue.take().len(), queue.take().len()), (ROUND, 1));
        push(&queue, &[ROUND_BYTES - 1, 1, 1, ROUND_BYTES + 5, 1]);
        for expected in [&[ROUND_BYTES - 1, 1][..], &[1], &[ROUND_BYTES + 5], &[1]] {
            assert_eq!(sizes(&queue.take()), expected);
        }
    }
}
