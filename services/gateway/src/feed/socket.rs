//! One feed socket: its task hears what the client says, watches its session, and writes whenever the client is behind:
//! snapshots, gaps, what did not fit; all at once. While the client is up to date the porter of its lane writes.
//!
//! A client that takes nothing for ten seconds is cut off; one that falls off the ring is told and gets a snapshot.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use domain::{event::Key, ids::AccountId};
use hyper::upgrade::OnUpgrade;
use runtime::{Clock, chance::lot, telemetry::names};
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use wire::feed::{self, client_message, server_message::Kind};

use super::{
    close::Close,
    conn::{At, Conn, Next},
    form::Form,
    frame::{self, Carries, Incoming, Parser},
    handshake::{self, Handshake},
    hub::Hub,
    io::Io,
    porter::Seat,
    stream::{self, Epoch, Why},
};
use crate::{
    config::{CLOSE_PATIENCE, HEARTBEAT, HELLO_PATIENCE, SEND_PATIENCE, SOCKET_READ},
    desk::Desk,
    mirror::Mirror,
    problem::Problem,
    session::{Caller, Ended, Sessions, TokenHash},
};

/// A session that ended elsewhere is noticed within this time.
const RECHECK: Duration = Duration::from_secs(30);
/// How often is looked whether this gateway has come as far as its client.
const BEHIND: Duration = Duration::from_millis(20);
/// Looks that a client gets at most before it is handed over.
const LAST_LOOKS: usize = 64;
/// Clients that leave come back within this time for each of them, and these bounds, milliseconds.
pub(super) const RETRY_EACH_MS: u32 = 1;
pub(super) const RETRY_MS: (u32, u32) = (100, 5_000);
/// … and after so long at least where the store fails, ms.
const TROUBLE_MS: u32 = 1_000;

/// Opens the feed.
#[utoipa::path(
    get,
    path = "/api/v1/feed",
    tag = "streams",
    description = "WebSocket, subprotocol `maojiawan.feed.v1`: binary messages of `proto/feed.proto`; or \
`maojiawan.feed.v1.json`: the same as JSON texts. See `docs/feed.md`.",
    responses((status = 101, description = "Switches to WebSocket"), Problem)
)]
pub(crate) async fn upgrade(
    State(desk): State<Desk>,
    caller: Caller,
    handshake: Result<Handshake, Problem>,
) -> Result<Response, Problem> {
    let handshake = handshake?;
    let form = handshake.choose(Form::of).ok_or(Problem::bad_upgrade())?;
    let Ok(place) = desk.feed_places.clone().try_acquire_owned() else {
        // Not all at the same time.
        return Err(Problem::busy().retry_after(lot(2..=10).into()));
    };
    let (answer, switched) = handshake.answer(form.protocol());
    let sockets = desk.sockets.clone();
    sockets.spawn(async move {
        let gauge = metrics::gauge!(names::FEED_CLIENTS);
        gauge.increment(1.0);
        run(desk, caller, form, switched).await;
        gauge.decrement(1.0);
        drop(place);
    });
    Ok(answer)
}

async fn run(desk: Desk, caller: Caller, form: Form, switched: OnUpgrade) {
    // The client may leave before the answer reaches it.
    let Ok(Ok(upgraded)) = timeout(SEND_PATIENCE, switched).await else { return };
    let Some((io, ahead)) = handshake::bare(upgraded) else {
        tracing::error!("a feed socket is no plain TCP connection");
        return;
    };
    let room = Room {
        hub: desk.hub.clone(),
        mirror: desk.mirror.clone(),
        sessions: desk.sessions.clone(),
        clock: desk.clock.clone(),
        places: desk.feed_places.clone(),
        most: desk.config.feed_clients,
        stop: desk.stop.clone(),
    };
    drop(desk);
    converse(room, caller, form, io.into(), &ahead).await;
}

/// What a client is served from.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) hub: Arc<Hub>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) clock: Arc<dyn Clock>,
    /// Places that are free, of so many.
    pub(super) places: Arc<Semaphore>,
    pub(super) most: usize,
    pub(super) stop: CancellationToken,
}

/// Serves a client until one of both leaves; `ahead` is what it has said already.
pub(super) async fn converse(room: Room, caller: Caller, form: Form, io: Io, ahead: &[u8]) {
    let (conn, stop) = (Arc::new(Conn::new(io)), room.stop.clone());
    let mut ears = Ears { conn: conn.clone(), form, clock: room.clock.clone(), parser: Parser::default() };
    ears.parser.push(ahead);
    let mut client = Client { room, caller, form, conn, conflate: false, seat: None };
    let close = tokio::select! {
        biased;
        () = stop.cancelled() => Close::Draining,
        close = client.serve(&mut ears) => close,
    };
    Box::pin(client.part(close)).await;
    tracing::debug!(?close, "feed socket closed");
}

/// What hears a client, whatever is written to it meanwhile.
struct Ears {
    conn: Arc<Conn>,
    form: Form,
    clock: Arc<dyn Clock>,
    parser: Parser,
}

impl Ears {
    /// The first message.
    async fn hello(&mut self) -> Result<feed::Hello, Close> {
        loop {
            while let Some(message) = self.parser.next()? {
                match self.answer(message)? {
                    Some(client_message::Kind::Hello(hello)) => return Ok(hello),
                    Some(_) => return Err(Close::Protocol),
                    None => {}
                }
            }
            self.read().await?;
        }
    }

    /// Everything that it says from then on.
    async fn listen(&mut self) -> Result<Infallible, Close> {
        loop {
            while let Some(message) = self.parser.next()? {
                match self.answer(message)? {
                    Some(client_message::Kind::Ping(ping)) => {
                        let server_time = self.clock.now_ms();
                        let pong = feed::Pong { client_time: ping.client_time, server_time };
                        self.conn.say(self.form.message(Kind::Pong(pong)));
                    }
                    Some(client_message::Kind::Hello(_)) => return Err(Close::Protocol),
                    None => {}
                }
            }
            self.read().await?;
            // Who talks without end is served in between.
            tokio::task::yield_now().await;
        }
    }

    /// Takes one reading.
    async fn read(&mut self) -> Result<(), Close> {
        self.conn.readable().await.map_err(|_| Close::Gone)?;
        let mut buffer = [0; SOCKET_READ];
        match self.conn.try_read(&mut buffer) {
            Ok(0) => Err(Close::Gone),
            Ok(taken) => {
                self.parser.push(buffer.get(..taken).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Close::Gone),
        }
    }

    /// Answers what is WebSocket's own; the rest is ours.
    fn answer(&self, message: Incoming) -> Result<Option<client_message::Kind>, Close> {
        match message {
            Incoming::Ping(payload) => {
                self.conn.say(frame::framed(Carries::Pong, &payload));
                Ok(None)
            }
            Incoming::Pong => Ok(None),
            Incoming::Close(code) => Err(Close::Answer(code)),
            message => self.form.read(message).map(Some),
        }
    }
}

/// Until the session of the token ends. What its account may see is no matter here: that comes with the stream.
async fn session(sessions: &Sessions, token: TokenHash, account: AccountId) -> Close {
    let mut endings = sessions.endings();
    let mut recheck = interval(RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    recheck.reset();
    loop {
        let ended = tokio::select! {
            biased;
            ended = endings.recv() => Some(ended),
            _ = recheck.tick() => None,
        };
        match ended {
            Some(Ok(Ended::Token(ended))) if ended == token => return Close::Session,
            Some(Ok(Ended::Token(_))) => continue,
            Some(Ok(Ended::Account(changed))) if changed != account => continue,
            Some(Err(RecvError::Closed)) => return Close::Trouble,
            Some(Ok(Ended::Account(_)) | Err(RecvError::Lagged(_))) | None => {}
        }
        // A store that does not answer ends no session.
        if sessions.check(&token).await.is_err_and(|problem| !problem.status().is_server_error()) {
            return Close::Session;
        }
    }
}

struct Client {
    room: Room,
    caller: Caller,
    form: Form,
    conn: Arc<Conn>,
    conflate: bool,
    /// `None` until it has said what it wants.
    seat: Option<Seat>,
}

impl Client {
    async fn serve(&mut self, ears: &mut Ears) -> Close {
        let sessions = self.room.sessions.clone();
        let session = session(&sessions, self.caller.token, self.caller.account.id.clone());
        let talk = async {
            // On a bad line a first word may be late: it is no fault of the client.
            let hello = Box::pin(timeout(HELLO_PATIENCE, ears.hello())).await.map_err(|_| Close::Stuck)??;
            tokio::select! {
                biased;
                heard = ears.listen() => heard,
                given = self.give(hello) => given,
            }
        };
        tokio::select! {
            // In order, so that a model can repeat a run.
            biased;
            close = session => close,
            talked = talk => match talked { Err(close) => close },
        }
    }

    /// Gives what it asked for, and then all that is new.
    async fn give(&mut self, hello: feed::Hello) -> Result<Infallible, Close> {
        Box::pin(self.join(hello)).await?;
        Box::pin(self.catch_up()).await?;
        // So that it need not wait for the next one to know that this is all.
        self.beat();
        loop {
            self.conn.called().await;
            Box::pin(self.catch_up()).await?;
        }
    }

    /// Takes up the stream where the client stands, or with a snapshot.
    async fn join(&mut self, hello: feed::Hello) -> Result<(), Close> {
        self.conflate = hello.conflate;
        self.reach(hello).await?;
        let epoch = self.sit()?;
        let head = self.room.mirror.read().head.ok_or(Close::Trouble)?;
        // Rights that changed while the client was away: what it holds is of no use.
        let rights = self.room.mirror.read().rev(&Key::Account(self.caller.account.id.clone()));
        if hello.log_id == head.log_id && (rights.max(1)..=head.seq).contains(&hello.cursor) {
            let at = At { epoch, log_id: head.log_id, cursor: hello.cursor };
            self.conn.queue([], Some(at));
            return Ok(());
        }
        self.snapshot(epoch, None).await
    }

    /// A client that another gateway served may be ahead of this one, in this log or in the one that replaced it. This one
    /// then first gets there: a snapshot from before would show the client again what it has seen.
    async fn reach(&self, hello: feed::Hello) -> Result<(), Close> {
        let here = || self.room.mirror.read().head;
        if hello.cursor == 0 || here().is_none_or(|h| h.log_id == hello.log_id && h.seq >= hello.cursor) {
            return Ok(());
        }
        let log = self.patiently(self.room.hub.log_head()).await.map_err(|error| trouble(&error))?;
        let least = if log.log_id == hello.log_id { hello.cursor.min(log.seq) } else { 0 };
        let arrived = async {
            while here().is_none_or(|h| h.log_id != log.log_id || h.seq < least) {
                tokio::time::sleep(BEHIND).await;
            }
        };
        self.patiently(timeout(SEND_PATIENCE, arrived)).await.map_err(|_| Close::Trouble)
    }

    /// Sits down at the stream that fits the caller; its epoch.
    fn take_seat(&mut self) -> Result<u64, Close> {
        let kind = stream::Kind { audience: self.caller.audience.clone(), conflate: self.conflate, form: self.form };
        let hub = &self.room.hub;
        let (stream, epoch) = hub.stream(kind).ok_or(Close::Trouble)?;
        self.conn.take_over();
        self.seat = Some(Seat::take(&hub.porters, stream, self.conn.clone()));
        Ok(epoch.number)
    }

    /// Sits down at the stream of what the caller sees now; its epoch. What changes from here on ends that.
    fn sit(&mut self) -> Result<u64, Close> {
        loop {
            let epoch = self.take_seat()?;
            if !self.look_anew()? {
                return Ok(epoch);
            }
        }
    }

    /// Takes the account as it is now; whether it sees something else than before.
    fn look_anew(&mut self) -> Result<bool, Close> {
        let rights = self.room.sessions.rights(&self.caller).ok_or(Close::Session)?;
        let other = rights.audience != self.caller.audience;
        self.caller = rights;
        Ok(other)
    }

    /// Whether the account changed after this event. It may have had other rights in between, and has its old ones again.
    fn changed(&self, after: u64) -> bool {
        self.room.mirror.read().rev(&Key::Account(self.caller.account.id.clone())) > after
    }

    /// The epoch of the stream has ended: on from the same place, or anew.
    async fn go_on(&mut self, ended: Epoch) -> Result<(), Close> {
        let other = self.look_anew()?;
        let at = self.conn.at();
        let void = !ended.goes_on_from(at.epoch);
        if other || (self.changed(at.cursor) && !void) {
            let epoch = self.sit()?;
            return self.snapshot(epoch, Some(Why::Policy)).await;
        }
        if void {
            return self.snapshot(ended.number, Some(ended.why)).await;
        }
        self.conn.queue([], Some(At { epoch: ended.number, ..at }));
        Ok(())
    }

    /// Queues a snapshot, and before it why there is one.
    async fn snapshot(&mut self, mut epoch: u64, why: Option<Why>) -> Result<(), Close> {
        self.conn.take_over();
        if let Some(why) = why {
            let resync = feed::Resync { reason: why.name().to_owned() };
            // From here on there is no position to go on from.
            self.conn.queue([self.form.message(Kind::Resync(resync))], Some(At::default()));
            self.conn.flush().await?;
        }
        loop {
            let stream = self.seat.as_ref().ok_or(Close::Protocol)?.stream.clone();
            let made = self.patiently(self.room.hub.snapshot(&stream, epoch)).await;
            let made = made.map_err(|error| trouble(&error))?;
            let now = stream.epoch();
            // Somebody's rights changed meanwhile, or all is void: it may show more than the client sees by now.
            if now.number != epoch && (self.look_anew()? || self.changed(made.seq) || !now.goes_on_from(epoch)) {
                epoch = self.sit()?;
                continue;
            }
            let at = At { epoch: now.number, log_id: made.log_id, cursor: made.seq };
            self.conn.queue(made.message(self.room.clock.now_ms()), Some(at));
            return Ok(());
        }
    }

    /// Writes everything that is there; then the porter goes on.
    async fn catch_up(&mut self) -> Result<(), Close> {
        loop {
            self.conn.flush().await?;
            let Some(seat) = &self.seat else { return Err(Close::Protocol) };
            match self.conn.next(&seat.stream) {
                Next::Live => return Ok(()),
                Next::Flush => {}
                Next::Off => self.fill().await?,
                Next::Anew(epoch) => self.go_on(epoch).await?,
            }
        }
    }

    /// From the log where it is short enough, else anew.
    async fn fill(&mut self) -> Result<(), Close> {
        let mut at = self.conn.at();
        let stream = self.seat.as_ref().ok_or(Close::Protocol)?.stream.clone();
        let history = self.patiently(self.room.hub.history(&stream, at.epoch, at.cursor)).await;
        let Some(history) = history.map_err(|error| trouble(&error))? else {
            metrics::counter!(names::FEED_RESYNCS).increment(1);
            return self.snapshot(at.epoch, Some(Why::Slow)).await;
        };
        while let Some((messages, upto)) = history.look(at.cursor) {
            if stream.epoch().number != at.epoch {
                return Ok(());
            }
            at.cursor = upto;
            self.conn.queue(messages, Some(at));
            self.conn.flush().await?;
        }
        Ok(())
    }

    /// Waits in a queue, with heartbeats: the client must not take us for dead.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            match timeout(HEARTBEAT, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.beat(),
            }
        }
    }

    fn beat(&self) {
        if let Some(beat) = self.room.hub.porters.last_beat(self.form) {
            self.conn.say(beat);
        }
    }

    /// Ends the connection, telling the client as much as may be.
    async fn part(self, close: Close) {
        if close == Close::Stuck {
            metrics::counter!(names::FEED_STUCK).increment(1);
        }
        let told = match close.frame() {
            Some((code, reason)) => {
                timeout(SEND_PATIENCE, self.farewell(close, code, reason)).await.is_ok_and(|sent| sent.is_ok())
            }
            None => false,
        };
        if told {
            self.conn.finish(CLOSE_PATIENCE).await;
        } else {
            self.conn.abort();
        }
    }

    async fn farewell(&self, close: Close, code: Option<u16>, reason: &str) -> Result<(), Close> {
        self.conn.take_over();
        self.conn.flush().await?;
        match close {
            Close::Draining => self.hand_over("draining", 0).await?,
            Close::Trouble => self.hand_over("trouble", TROUBLE_MS).await?,
            _ => {}
        }
        self.conn.queue([frame::close(code, reason)], None);
        self.conn.flush().await
    }

    /// Gives what is there, and the place at which to go on elsewhere.
    async fn hand_over(&self, reason: &str, least_ms: u32) -> Result<(), Close> {
        if let Some(seat) = &self.seat {
            for _ in 0..LAST_LOOKS {
                match self.conn.next(&seat.stream) {
                    Next::Flush => self.conn.flush().await?,
                    _ => break,
                }
            }
        }
        self.conn.take_over();
        let At { log_id, cursor, .. } = self.conn.at();
        let retry_after_ms = least_ms + lot(0..=self.retry_within_ms());
        let handover = feed::Handover { reason: reason.to_owned(), log_id, cursor, retry_after_ms };
        self.conn.queue([self.form.message(Kind::Handover(handover))], None);
        Ok(())
    }

    /// The more clients leave, the longer the time over which they come back.
    fn retry_within_ms(&self) -> u32 {
        let free = self.room.places.available_permits();
        let clients = u32::try_from(self.room.most.saturating_sub(free)).unwrap_or(u32::MAX);
        clients.saturating_mul(RETRY_EACH_MS).clamp(RETRY_MS.0, RETRY_MS.1)
    }
}

fn trouble(error: &crate::GatewayError) -> Close {
    tracing::warn!(error = %error, "a feed client could not be served");
    Close::Trouble
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<F>(_: impl Fn(Desk, Caller, Form, OnUpgrade) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_client_that_is_up_to_date_costs_little() {
        let bytes = future_size(run) + size_of::<Conn>();
        assert!(bytes <= 3 << 10, "{bytes}");
    }
}
