//! The bus between processes: Redis Pub/Sub, one channel a site, at most once.
//!
//! Redis carries and is never trusted: whatever it loses, doubles, delays or invents, [`crate::Reader`] yields each event
//! once and in order, for a loss is told ([`crate::Delivery::Lagged`]) after each connection, by heartbeats with the head
//! of the log, by their absence and by a full ring. Each message ends with a tag keyed by the ledger.
//!
//! Neither publishing nor subscribing waits for Redis. Every queue is bounded; what does not fit is dropped and counted.
//! The crate's own reconnection is not used: each side has its loop with jittered back-off.

mod codec;
mod connect;
mod options;
mod publisher;
mod status;
mod subscriber;

use std::sync::Arc;

use async_trait::async_trait;
use runtime::{Clock, Criticality, Tasks, tasks::Stage, telemetry::names};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::DropGuard;

pub use options::RedisOptions;
pub use status::{Fault, Link, LinkState, RedisStatus};

use crate::{Bus, Position, Published, Result, Subscription};
use codec::Codec;
use publisher::{Publisher, Queue};
use status::Board;
use subscriber::{Item, Subscriber};

/// A bus of many processes. Clones are the same bus; with the last one its connections end.
#[derive(Clone)]
pub struct RedisBus(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    codec: Codec,
    /// Bytes of one message.
    limit: usize,
    items: broadcast::WeakSender<Item>,
    wanted: Arc<Notify>,
    board: Board,
    _stop: DropGuard,
}

impl std::fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBus").field("status", &*self.0.board.watch().borrow()).finish_non_exhaustive()
    }
}

impl RedisBus {
    /// Starts both sides for `site`; each connects when it is first needed. `key` must be the same for all processes of
    /// one ledger and nobody else's ([`crate::Log::request_hash`] of a fixed text is). Fails only for options that cannot
    /// be right; whether Redis is there shows [`Self::status`].
    pub fn start(
        options: RedisOptions,
        site: &str,
        key: [u8; 32],
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self> {
        options.check()?;
        let (channel, codec, board) = (options.channel(site), Codec::new(key), Board::new(clock));
        let (queue, wanted) = (Arc::new(Queue::new(&options)), Arc::new(Notify::new()));
        let items = broadcast::Sender::new(options.lag.max(1));
        // The last stage: the writer still publishes while it drains.
        let stop = tasks.stop(Stage::Sockets).child_token();
        let inner = Inner {
            queue: queue.clone(),
            codec: codec.clone(),
            limit: options.message,
            items: items.downgrade(),
            wanted: wanted.clone(),
            board: board.clone(),
            _stop: stop.clone().drop_guard(),
        };
        let publisher = Publisher {
            queue,
            options: options.clone(),
            channel: channel.clone(),
            codec: codec.clone(),
            board: board.clone(),
            stop: stop.clone(),
        };
        let subscriber = Subscriber { wanted, items, options, channel, codec, board, stop };
        tasks.spawn("ledger.redis_publisher", Stage::Sockets, Criticality::Ordinary, publisher.run());
        tasks.spawn("ledger.redis_subscriber", Stage::Sockets, Criticality::Ordinary, subscriber.run());
        Ok(Self(Arc::new(inner)))
    }

    /// Both sides as they are now.
    pub fn status(&self) -> watch::Receiver<RedisStatus> {
        self.0.board.watch()
    }

    /// Tells the end of the log before anything is published, so that heartbeats begin.
    pub fn announce(&self, head: Position) {
        self.0.queue.announce(head);
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()> {
        let Inner { queue, codec, limit, .. } = &*self.0;
        let Some(last) = events.last() else { return Ok(()) };
        let head = Position { log_id: last.log_id, seq: last.event.seq };
        let messages: Vec<_> = events
            .iter()
            .map(|e| {
                codec.event(e, *limit).unwrap_or_else(|| {
                    metrics::counter!(names::BUS_HEADS).increment(1);
                    codec.head(Position { log_id: e.log_id, seq: e.event.seq })
                })
            })
            .collect();
        queue.push(messages.into_iter(), head);
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let receiver = match self.0.items.upgrade() {
            Some(items) => items.subscribe(),
            // Drained: a subscription that is closed from the start.
            None => broadcast::channel(1).1,
        };
        self.0.wanted.notify_one();
        Ok(Box::new(receiver))
    }
}
