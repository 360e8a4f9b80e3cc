//! The load client: thousands of sockets in one thread, the same for every server. It reads frames only as far as their
//! event numbers, checks that these join, and measures from the moment when an event was given to the publisher.
//!
//! Blocks its thread; nothing else is asked of it meanwhile.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{
    dialect::{Dialect, Place, Said},
    source::Source,
    ws,
};
use crate::stats::Histogram;

/// A server that falls behind is not buried under more than this.
const MOST_WAITING: u64 = 20_000;
/// What was given must arrive within this time after the end of a run.
const AFTER: Duration = Duration::from_secs(3);
/// Sockets must be joined within this time.
const JOINING: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Upgrading,
    Joining,
    Live,
    Gone,
}

struct Conn {
    stream: TcpStream,
    phase: Phase,
    from: Place,
    /// Beginning of a frame that is not whole yet.
    rest: Vec<u8>,
    /// Reads nothing.
    stalled: bool,
}

/// What went wrong, by event and client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) resyncs: u64,
    pub(crate) closed: u64,
}

/// What a run saw.
pub(crate) struct Run {
    /// Events × clients that arrived.
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    /// From the publisher to each client, ms.
    pub(crate) latency: Histogram,
    /// Bytes that came in.
    pub(crate) bytes: u64,
    pub(crate) wrong: Wrong,
    /// Events × clients that did not come in time.
    pub(crate) late: u64,
}

/// Sockets of one server.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    dialect: Dialect,
    address: SocketAddr,
    buffer: Vec<u8>,
    deliveries: u64,
    bytes: u64,
    wrong: Wrong,
    latency: Histogram,
    /// When each event since `begun_at` was given.
    given: Vec<Instant>,
    begun_at: u64,
}

impl Load {
    pub(crate) fn new(dialect: Dialect, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4_096),
            conns: Vec::new(),
            dialect,
            address,
            buffer: vec![0; 256 << 10],
            deliveries: 0,
            bytes: 0,
            wrong: Wrong::default(),
            latency: Histogram::default(),
            given: Vec::new(),
            begun_at: 0,
        })
    }

    /// Opens a socket for each place and waits until all have joined. `at`: where the publisher of a peer stands.
    pub(crate) fn open(&mut self, places: Vec<Place>, at: u64) -> anyhow::Result<()> {
        self.begin(places, None)?;
        self.join()?;
        if !matches!(self.dialect, Dialect::Ours { .. }) {
            self.conns.iter_mut().for_each(|c| c.from.cursor = at);
        }
        Ok(())
    }

    /// Sends the upgrades.
    pub(crate) fn begin(&mut self, places: Vec<Place>, receive_buffer: Option<usize>) -> anyhow::Result<()> {
        let request = self.dialect.request(&self.address.to_string());
        for from in places {
            let socket = socket2::Socket::new(socket2::Domain::for_address(self.address), socket2::Type::STREAM, None)?;
            if let Some(bytes) = receive_buffer {
                socket.set_recv_buffer_size(bytes)?;
            }
            // A full queue of the listener makes this wait, as it does for everybody.
            socket.connect(&self.address.into())?;
            socket.set_tcp_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(socket.into());
            self.poll.registry().register(&mut stream, Token(self.conns.len()), Interest::READABLE)?;
            stream.write_all(request.as_bytes())?;
            let (phase, rest) = (Phase::Upgrading, Vec::new());
            self.conns.push(Conn { stream, phase, from, rest, stalled: false });
            // So that nobody waits for the last one.
            if self.conns.len().is_multiple_of(64) {
                self.turn(Duration::ZERO)?;
            }
        }
        Ok(())
    }

    /// Waits until all are joined.
    pub(crate) fn join(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.conns.iter().any(|c| matches!(c.phase, Phase::Upgrading | Phase::Joining)) {
            if begun.elapsed() > JOINING {
                let left = self.conns.iter().filter(|c| matches!(c.phase, Phase::Upgrading | Phase::Joining)).count();
                bail!("{left} of {} sockets are not joined", self.conns.len());
            }
            self.turn(Duration::from_millis(20))?;
        }
        if self.wrong.closed > 0 {
            bail!("{} sockets were closed while joining", self.wrong.closed);
        }
        Ok(())
    }

    /// The first `count` read nothing any more.
    pub(crate) fn stall(&mut self, count: usize) -> anyhow::Result<()> {
        for conn in self.conns.iter_mut().take(count) {
            self.poll.registry().deregister(&mut conn.stream)?;
            conn.stalled = true;
        }
        Ok(())
    }

    /// Where each client stands.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.conns.iter().map(|c| c.from.clone()).collect()
    }

    /// The cursor of the slowest that still reads.
    pub(crate) fn slowest(&self) -> u64 {
        let reading = self.conns.iter().filter(|c| c.phase == Phase::Live && !c.stalled);
        reading.map(|c| c.from.cursor).min().unwrap_or(u64::MAX)
    }

    /// At most `window` events on their way at once.
    pub(crate) fn window(&mut self, source: &mut Source, window: u64, time: Duration) -> anyhow::Result<Run> {
        self.reset(source.at);
        let begun = Instant::now();
        while begun.elapsed() < time {
            let room = window.saturating_sub(source.at.saturating_sub(self.slowest().min(source.at)));
            if room > 0 {
                self.give(source, room)?;
            }
            self.turn(Duration::from_millis(1))?;
            source.turn()?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let deliveries = self.deliveries;
        self.settle(source)?;
        Ok(Run { deliveries, ..self.run(source, seconds) })
    }

    /// `rate` events a second, whatever comes back.
    pub(crate) fn rate(&mut self, source: &mut Source, rate: f64, time: Duration) -> anyhow::Result<Run> {
        self.reset(source.at);
        let begun = Instant::now();
        let all = (rate * time.as_secs_f64()) as u64;
        let mut given = 0;
        while given < all {
            let due = ((begun.elapsed().as_secs_f64() * rate) as u64 + 1).min(all);
            let waiting = source.at.saturating_sub(self.slowest().min(source.at));
            if due > given && waiting < MOST_WAITING {
                self.give(source, due - given)?;
                given = due;
            }
            let next = Duration::from_secs_f64(given as f64 / rate).saturating_sub(begun.elapsed());
            self.turn(next.min(Duration::from_millis(5)))?;
            source.turn()?;
        }
        self.settle(source)?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(self.run(source, seconds))
    }

    /// Reads until everything that was given is everywhere, or for [`AFTER`].
    pub(crate) fn settle(&mut self, source: &mut Source) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.slowest() < source.at && begun.elapsed() < AFTER {
            self.turn(Duration::from_millis(2))?;
            source.turn()?;
        }
        Ok(())
    }

    /// Reads until all stand at `at`; how long it took.
    pub(crate) fn reach(&mut self, at: u64, patience: Duration) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        while self.conns.iter().any(|c| c.phase != Phase::Live || c.from.cursor < at) {
            if begun.elapsed() > patience {
                bail!("not all clients came to event {at}, the slowest is at {}; {:?}", self.slowest(), self.wrong);
            }
            self.turn(Duration::from_millis(5))?;
        }
        Ok(begun.elapsed())
    }

    fn reset(&mut self, at: u64) {
        (self.deliveries, self.bytes, self.wrong) = (0, 0, Wrong::default());
        self.latency = Histogram::default();
        self.given.clear();
        self.begun_at = at;
    }

    fn run(&mut self, source: &Source, seconds: f64) -> Run {
        let reading = self.conns.iter().filter(|c| c.phase == Phase::Live && !c.stalled);
        let late = reading.map(|c| source.at.saturating_sub(c.from.cursor)).sum();
        Run {
            deliveries: self.deliveries,
            seconds,
            latency: std::mem::take(&mut self.latency),
            bytes: self.bytes,
            wrong: self.wrong,
            late,
        }
    }

    fn give(&mut self, source: &mut Source, count: u64) -> anyhow::Result<()> {
        let now = Instant::now();
        self.given.extend((0..count).map(|_| now));
        source.publish(count)
    }

    /// Waits for sockets and reads those that have something.
    pub(crate) fn turn(&mut self, wait: Duration) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.context("poll")?,
        }
        let ready: Vec<usize> = self.events.iter().map(|e| e.token().0).collect();
        for i in ready {
            self.read(i)?;
        }
        Ok(())
    }

    fn read(&mut self, i: usize) -> anyhow::Result<()> {
        // Edge-triggered: until a read takes less than there was room for.
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(conn) = self.conns.get_mut(i) {
            match conn.stream.read(&mut buffer) {
                Ok(0) => {
                    self.gone(i);
                    break;
                }
                Ok(n) => {
                    self.bytes += n as u64;
                    self.take(i, &buffer[..n])?;
                    if n < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.gone(i);
                    break;
                }
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn gone(&mut self, i: usize) {
        if let Some(conn) = self.conns.get_mut(i)
            && conn.phase != Phase::Gone
        {
            conn.phase = Phase::Gone;
            self.wrong.closed += 1;
        }
    }

    /// Bytes of one socket.
    fn take(&mut self, i: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let mut rest = std::mem::take(&mut self.conns[i].rest);
        if rest.is_empty() {
            let used = self.parse(i, bytes)?;
            rest.extend_from_slice(&bytes[used..]);
        } else {
            rest.extend_from_slice(bytes);
            let used = self.parse(i, &rest)?;
            rest.drain(..used);
        }
        if rest.is_empty() {
            rest = Vec::new();
        }
        self.conns[i].rest = rest;
        Ok(())
    }

    /// Whole frames at the beginning of `bytes`; how many bytes they are.
    fn parse(&mut self, i: usize, bytes: &[u8]) -> anyhow::Result<usize> {
        let (mut used, now) = (0, Instant::now());
        if self.conns[i].phase == Phase::Upgrading {
            let Some((status, size)) = ws::answer(bytes) else { return Ok(0) };
            if status != 101 {
                bail!("the upgrade was answered with {status}: {}", String::from_utf8_lossy(bytes));
            }
            used = size;
            self.upgraded(i)?;
        }
        while let Some(frame) = ws::frame(&bytes[used..]) {
            used += frame.size;
            if frame.opcode == ws::CLOSE {
                self.gone(i);
                break;
            }
            let said = self.dialect.read(&frame, &self.conns[i].from);
            self.said(i, said, now)?;
        }
        Ok(used)
    }

    fn upgraded(&mut self, i: usize) -> anyhow::Result<()> {
        let conn = &mut self.conns[i];
        let first = self.dialect.first(&conn.from);
        if !first.is_empty() {
            conn.stream.write_all(&first)?;
        }
        // Ours says nothing to one who stands right.
        let stands = matches!(self.dialect, Dialect::Ours { .. }) && conn.from.cursor > 0;
        conn.phase = if self.dialect.tells() && !stands { Phase::Joining } else { Phase::Live };
        Ok(())
    }

    fn said(&mut self, i: usize, said: Said, now: Instant) -> anyhow::Result<()> {
        let conn = &mut self.conns[i];
        match said {
            Said::Stands { log_id, at } => {
                (conn.from.log_id, conn.from.cursor) = (log_id, at);
                conn.phase = Phase::Live;
            }
            Said::Joined { pid } => {
                conn.from.pid = pid;
                conn.phase = Phase::Live;
            }
            Said::Events { after, upto, offset } => self.events(i, after, upto, offset, now),
            Said::Answer(bytes) => conn.stream.write_all(&bytes)?,
            Said::Resync => self.wrong.resyncs += 1,
            Said::Nothing => {}
        }
        Ok(())
    }

    fn events(&mut self, i: usize, after: u64, upto: u64, offset: Option<String>, now: Instant) {
        let from = &mut self.conns[i].from;
        if after > from.cursor {
            self.wrong.lost += after - from.cursor;
        } else if after < from.cursor {
            self.wrong.doubled += upto.min(from.cursor) - after;
        }
        for event in after.max(from.cursor)..upto {
            // `event` is the number before; the first given one is `begun_at + 1`.
            let given = event.checked_sub(self.begun_at).and_then(|n| self.given.get(usize::try_from(n).ok()?));
            if let Some(given) = given {
                self.latency.add(now.saturating_duration_since(*given));
                self.deliveries += 1;
            }
        }
        from.cursor = from.cursor.max(upto);
        if let Some(offset) = offset {
            from.offset = offset;
        }
    }
}
