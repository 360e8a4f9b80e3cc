//! One feed socket: a cursor into a stream. Reads and writes in one task; a client that takes nothing for ten seconds is
//! closed, one that falls off the ring is told and gets a snapshot.

use std::time::Duration;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::event::Key;
use futures::SinkExt;
use prost::Message as _;
use runtime::telemetry::names;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval, timeout},
};
use wire::feed::{self, client_message, server_message::Kind};

use super::{
    hub::encode,
    ring::Look,
    stream::{Stream, Why},
};
use crate::{
    config::{HEARTBEAT, HELLO_PATIENCE, SEND_PATIENCE, SOCKET_MESSAGE, SOCKET_READ},
    desk::Desk,
    problem::Problem,
    session::{Caller, Ended},
};

const PROTOCOL: &str = "maojiawan.feed.v1";
/// A session that ended elsewhere is noticed within this time.
const RECHECK: Duration = Duration::from_secs(30);

/// Why a socket closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// The client left or its connection broke.
    Gone,
    /// It takes nothing.
    Stuck,
    /// It does not keep to the protocol.
    Protocol,
    /// Its session ended.
    Session,
    /// We stop.
    Draining,
    /// The store fails: come again.
    Trouble,
}

impl Close {
    const fn frame(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Gone | Self::Stuck => None,
            Self::Protocol => Some((1002, "protocol")),
            Self::Session => Some((4401, "session")),
            Self::Draining => Some((1001, "draining")),
            Self::Trouble => Some((1013, "try again")),
        }
    }
}

/// Opens the feed.
#[utoipa::path(
    get,
    path = "/api/v1/feed",
    tag = "streams",
    description = "WebSocket, subprotocol `maojiawan.feed.v1`; binary messages of `proto/feed.proto`.",
    responses((status = 101, description = "Switches to WebSocket"), (status = "4XX", body = crate::problem::ProblemBody))
)]
pub(crate) async fn upgrade(
    State(desk): State<Desk>,
    caller: Caller,
    ws: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(ws) = ws else { return Problem::bad_upgrade().into_response() };
    let ws = ws.protocols([PROTOCOL]);
    if ws.selected_protocol().is_none() {
        return Problem::bad_upgrade().into_response();
    }
    let Ok(place) = desk.feed_places.clone().try_acquire_owned() else {
        return Problem::busy().retry_after(5).into_response();
    };
    let alive = desk.sockets.token();
    ws.read_buffer_size(SOCKET_READ).max_message_size(SOCKET_MESSAGE).max_frame_size(SOCKET_MESSAGE).on_upgrade(
        move |socket| async move {
            let gauge = metrics::gauge!(names::FEED_CLIENTS);
            gauge.increment(1.0);
            run(desk, caller, socket).await;
            gauge.decrement(1.0);
            drop((place, alive));
        },
    )
}

async fn run(desk: Desk, caller: Caller, socket: WebSocket) {
    let endings = desk.sessions.endings();
    let mut client = Client { desk, caller, socket, endings };
    let close = client.serve().await.err().unwrap_or(Close::Gone);
    if let Some((code, reason)) = close.frame() {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(SEND_PATIENCE, client.socket.send(frame)).await;
    }
    tracing::debug!(?close, "feed socket closed");
}

struct Client {
    desk: Desk,
    caller: Caller,
    socket: WebSocket,
    endings: tokio::sync::broadcast::Receiver<Ended>,
}

/// Where a client stands.
struct At {
    stream: std::sync::Arc<Stream>,
    epoch: u64,
    log_id: u64,
    cursor: u64,
}

impl Client {
    async fn serve(&mut self) -> Result<(), Close> {
        let hello = self.hello().await?;
        let mut at = self.join(&hello).await?;
        let stop = self.desk.stop.clone();
        let mut news = at.stream.news();
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recheck = interval(RECHECK);
        recheck.reset();
        loop {
            self.catch_up(&mut at).await?;
            tokio::select! {
                () = stop.cancelled() => {
                    self.resync(Why::Draining).await?;
                    return Err(Close::Draining);
                }
                changed = news.changed() => changed.map_err(|_| Close::Trouble)?,
                _ = beat.tick() => self.beat().await?,
                _ = recheck.tick() => self.recheck(&mut at, hello.conflate).await?,
                ended = self.endings.recv() => match ended {
                    Ok(Ended::Token(token)) if token != self.caller.token => {}
                    Ok(Ended::Account(account)) if account != self.caller.account.id => {}
                    Ok(Ended::Token(_)) => return Err(Close::Session),
                    Ok(Ended::Account(_)) | Err(RecvError::Lagged(_)) => self.recheck(&mut at, hello.conflate).await?,
                    Err(RecvError::Closed) => return Err(Close::Trouble),
                },
                message = self.socket.recv() => self.message(message).await?,
            }
            if !news.same_channel(&at.stream.news()) {
                news = at.stream.news();
            }
        }
    }

    async fn hello(&mut self) -> Result<feed::Hello, Close> {
        let first = timeout(HELLO_PATIENCE, self.socket.recv()).await.map_err(|_| Close::Protocol)?;
        match read(first)? {
            Some(client_message::Kind::Hello(hello)) => Ok(hello),
            _ => Err(Close::Protocol),
        }
    }

    /// Takes up the stream where the client stands, or with a snapshot.
    async fn join(&mut self, hello: &feed::Hello) -> Result<At, Close> {
        let (stream, epoch) = self.desk.hub.stream(&self.caller.audience, hello.conflate).ok_or(Close::Trouble)?;
        let head = self.desk.mirror.read().head.ok_or(Close::Trouble)?;
        let mut at = At { stream, epoch: epoch.number, log_id: head.log_id, cursor: hello.cursor };
        // Rights that changed while the client was away: what it holds is of no use.
        let rights = self.desk.mirror.read().rev(&Key::Account(self.caller.account.id.clone()));
        let known = hello.log_id == head.log_id && (rights.max(1)..=head.seq).contains(&hello.cursor);
        if known {
            return Ok(at);
        }
        self.snapshot(&mut at).await?;
        Ok(at)
    }

    async fn snapshot(&mut self, at: &mut At) -> Result<(), Close> {
        let made = self.desk.hub.snapshot(&at.stream, at.epoch).await.map_err(|error| trouble(&error))?;
        (at.log_id, at.cursor) = (made.log_id, made.seq);
        self.send(vec![made.message]).await
    }

    /// Sends everything that is there.
    async fn catch_up(&mut self, at: &mut At) -> Result<(), Close> {
        loop {
            let now = self.desk.clock.now_ms();
            match at.stream.look(at.epoch, at.cursor, now) {
                Ok(Look::Messages(messages, _)) if messages.is_empty() => return Ok(()),
                Ok(Look::Messages(messages, cursor)) => {
                    self.send(messages).await?;
                    at.cursor = cursor;
                }
                Ok(Look::Off | Look::Within) => self.fill(at).await?,
                Err(epoch) => {
                    at.epoch = epoch.number;
                    self.resync(epoch.why).await?;
                    self.snapshot(at).await?;
                }
            }
        }
    }

    /// From the log where it is short enough, else anew.
    async fn fill(&mut self, at: &mut At) -> Result<(), Close> {
        match self.desk.hub.gap(&at.stream, at.cursor).await.map_err(|error| trouble(&error))? {
            Some((frame, cursor)) => {
                self.send(vec![frame]).await?;
                at.cursor = cursor;
                Ok(())
            }
            None => {
                metrics::counter!(names::FEED_RESYNCS).increment(1);
                self.resync(Why::Slow).await?;
                self.snapshot(at).await
            }
        }
    }

    /// Whether the session is still good and sees the same.
    async fn recheck(&mut self, at: &mut At, conflate: bool) -> Result<(), Close> {
        match self.desk.sessions.check(&self.caller.token).await {
            Ok(caller) => {
                let same = caller.audience == self.caller.audience;
                self.caller = caller;
                if same {
                    return Ok(());
                }
                let (stream, epoch) = self.desk.hub.stream(&self.caller.audience, conflate).ok_or(Close::Trouble)?;
                (at.stream, at.epoch) = (stream, epoch.number);
                self.resync(Why::Policy).await?;
                self.snapshot(at).await
            }
            // A store that does not answer ends no session.
            Err(problem) if problem.status().is_server_error() => Ok(()),
            Err(_) => Err(Close::Session),
        }
    }

    async fn message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Close> {
        match read(message)? {
            Some(client_message::Kind::Ping(ping)) => {
                let server_time = self.desk.clock.now_ms();
                let pong = feed::Pong { client_time: ping.client_time, server_time };
                self.send(vec![encode(Kind::Pong(pong))]).await
            }
            Some(client_message::Kind::Hello(_)) => Err(Close::Protocol),
            None => Ok(()),
        }
    }

    async fn beat(&mut self) -> Result<(), Close> {
        let beat = feed::Heartbeat { server_time: self.desk.clock.now_ms(), head: self.desk.hub.head() };
        self.send(vec![encode(Kind::Heartbeat(beat))]).await
    }

    async fn resync(&mut self, why: Why) -> Result<(), Close> {
        self.send(vec![encode(Kind::Resync(feed::Resync { reason: why.name().to_owned() }))]).await
    }

    /// All messages in as few writes as may be.
    async fn send(&mut self, messages: Vec<Bytes>) -> Result<(), Close> {
        let all = async {
            for message in messages {
                self.socket.feed(Message::Binary(message)).await?;
            }
            self.socket.flush().await
        };
        match timeout(SEND_PATIENCE, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Close::Gone),
            Err(_) => Err(Close::Stuck),
        }
    }
}

fn trouble(error: &crate::GatewayError) -> Close {
    tracing::warn!(error = %error, "a feed client could not be served");
    Close::Trouble
}

/// A client's message; `None` for pings and pongs of the protocol itself.
fn read(message: Option<Result<Message, axum::Error>>) -> Result<Option<client_message::Kind>, Close> {
    match message {
        Some(Ok(Message::Binary(bytes))) => {
            let message = feed::ClientMessage::decode(bytes).map_err(|_| Close::Protocol)?;
            message.kind.map(Some).ok_or(Close::Protocol)
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => Err(Close::Protocol),
        Some(Ok(Message::Close(_))) | Some(Err(_)) | None => Err(Close::Gone),
    }
}
