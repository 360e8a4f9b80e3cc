//! The listening side: one connection for all subscriptions of the process.
//!
//! Messages are decoded where they are read and go to a ring that drops what a slow subscription does not take, so nothing
//! between the socket and the subscriptions grows. A loss is told after each connection, and when heads or their absence
//! reveal one.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use ::redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, aio::MultiplexedConnection, cmd};
use async_trait::async_trait;
use bytes::Bytes;
use runtime::{retry::Backoff, telemetry::names};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Fault, LinkState, RedisOptions,
    codec::{Codec, Frame},
    connect::{connect, fault, login},
    publisher::pause,
    status::{Board, Side},
};
use crate::{Delivery, Position, Published, Subscription};

/// What subscriptions are given.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Message(Arc<Published>),
    Lost,
}

#[async_trait]
impl Subscription for broadcast::Receiver<Item> {
    async fn next(&mut self) -> Delivery {
        match self.recv().await {
            Ok(Item::Message(message)) => Delivery::Message(message),
            Ok(Item::Lost) | Err(broadcast::error::RecvError::Lagged(_)) => Delivery::Lagged,
            Err(broadcast::error::RecvError::Closed) => Delivery::Closed,
        }
    }
}

pub(super) struct Subscriber {
    /// Told with the first subscription.
    pub(super) wanted: Arc<Notify>,
    pub(super) items: broadcast::Sender<Item>,
    pub(super) options: RedisOptions,
    pub(super) channel: String,
    pub(super) codec: Codec,
    pub(super) board: Board,
    pub(super) stop: CancellationToken,
}

impl Subscriber {
    /// Listens until told to stop, from the first subscription on.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.wanted.notified() => {}
        }
        self.board.set(Side::Subscriber, LinkState::Connecting);
        let (first, cap) = self.options.backoff;
        let mut backoff = Backoff::new(first, cap);
        loop {
            let since = Instant::now();
            let session = tokio::select! {
                () = self.stop.cancelled() => return,
                session = self.session() => session,
            };
            let Err(why) = session;
            self.board.failed(Side::Subscriber, why);
            if since.elapsed() > cap {
                backoff.reset();
            }
            if !pause(backoff.delay(), &self.stop).await {
                return;
            }
        }
    }

    /// One connection.
    async fn session(&self) -> Result<Infallible, Fault> {
        let ear = Arc::new(Ear {
            channel: self.channel.clone(),
            codec: self.codec.clone(),
            items: self.items.clone(),
            board: self.board.clone(),
            heard: Mutex::new(Heard { at: Instant::now(), last: None, silent: false, unreadable: false }),
        });
        let push = ear.clone();
        let config = AsyncConnectionConfig::new().set_push_sender(move |info| {
            push.hear(info);
            Ok::<(), Infallible>(())
        });
        let info = login(&self.options).await?;
        let (connection, driver) = connect(&self.options, &info, config).await?;
        tokio::select! {
            () = driver => Err(Fault::Lost),
            ended = self.listen(connection, &ear) => ended,
        }
    }

    async fn listen(&self, mut connection: MultiplexedConnection, ear: &Ear) -> Result<Infallible, Fault> {
        connection.subscribe(&self.channel).await.map_err(|error| fault(&error))?;
        // Redis confirmed: from here on messages come. What was published before did not.
        ear.lost();
        self.board.set(Side::Subscriber, LinkState::Up);
        let mut quiet_since = ear.heard_at();
        loop {
            sleep_until(quiet_since + self.options.silence).await;
            let heard = ear.heard_at();
            if heard > quiet_since {
                quiet_since = heard;
                continue;
            }
            // Nobody publishes, or the connection is dead: followers ask the ledger meanwhile.
            ear.silence();
            quiet_since = Instant::now();
            cmd("PING").exec_async(&mut connection).await.map_err(|error| fault(&error))?;
        }
    }
}

/// Hears what one connection pushes. Called where the connection is read: must not wait.
struct Ear {
    channel: String,
    codec: Codec,
    items: broadcast::Sender<Item>,
    board: Board,
    heard: Mutex<Heard>,
}

struct Heard {
    /// When the last right message came, or the connection began.
    at: Instant,
    /// The newest event that subscriptions know of.
    last: Option<Position>,
    silent: bool,
    /// So that the log tells unreadable messages once a connection.
    unreadable: bool,
}

impl Heard {
    /// Whether `at` was not known; now it is.
    fn learn(&mut self, at: Position) -> bool {
        let new = self.last.is_none_or(|last| last.log_id != at.log_id || last.seq < at.seq);
        if new {
            self.last = Some(at);
        }
        new
    }
}

impl Ear {
    fn with<T>(&self, work: impl FnOnce(&mut Heard) -> T) -> T {
        work(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn heard_at(&self) -> Instant {
        self.with(|h| h.at)
    }

    fn hear(&self, info: PushInfo) {
        if info.kind != PushKind::Message {
            return;
        }
        let mut data = info.data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(message))) = (data.next(), data.next()) else {
            return;
        };
        if channel != self.channel.as_bytes() {
            return;
        }
        match self.codec.decode(Bytes::from(message)) {
            Some(frame) => self.take(frame),
            None => self.unreadable(),
        }
    }

    fn take(&self, frame: Frame) {
        let item = match frame {
            Frame::Event(published) => {
                let at = Position { log_id: published.log_id, seq: published.event.seq };
                self.with(|h| h.learn(at));
                Some(Item::Message(Arc::new(published)))
            }
            Frame::Head(at) => self.with(|h| h.learn(at)).then_some(Item::Lost),
        };
        let spoke_again = self.with(|h| {
            h.at = Instant::now();
            std::mem::take(&mut h.silent)
        });
        if spoke_again {
            self.board.set(Side::Subscriber, LinkState::Up);
        }
        if let Some(item) = item {
            // Nobody follows any more: no error.
            let _ = self.items.send(item);
        }
    }

    /// As good as lost; the next head reveals it.
    fn unreadable(&self) {
        metrics::counter!(names::BUS_UNREADABLE).increment(1);
        if !self.with(|h| std::mem::replace(&mut h.unreadable, true)) {
            tracing::warn!("a message of the bus is damaged, forged or of another version: it is ignored");
        }
    }

    fn lost(&self) {
        let _ = self.items.send(Item::Lost);
    }

    fn silence(&self) {
        self.lost();
        // Also where nothing was ever heard: the publisher may be on another Redis.
        let begins = self.with(|h| !std::mem::replace(&mut h.silent, true));
        if begins {
            self.board.set(Side::Subscriber, LinkState::Silent);
        }
    }
}
