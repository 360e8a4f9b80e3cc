//! Porters carry new frames to the clients that are up to date: one task a lane, one write a client, straight from the
//! ring. Whoever cannot take all of it is left to its own task; nobody waits for it.
//!
//! A porter that has just made a round waits a little for more: at most [`TICK`], and not if enough has gathered, the
//! last round was cheap, or the last waits were for nothing. So few events come at once, and many share their writes.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    conn::{Conn, Sweep},
    form::Form,
    stream::Stream,
};
use crate::config::HEARTBEAT;

/// The longest time from one round to the next when there is a wait between them.
pub(super) const TICK: Duration = Duration::from_millis(32);
/// A wait is at most this many times as long as the round before it took.
const SHARE: u32 = 8;
/// Events that make a round worth its writes.
const ENOUGH: u64 = 64;
/// Waits left out after as many in vain as this is the logarithm of, at most.
const MOST_VAIN: u32 = 10;
/// Clients served before others get the processor.
const CHUNK: usize = 32;

/// A heartbeat in both forms.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    pub(super) at: Instant,
    pub(super) protobuf: Bytes,
    pub(super) json: Bytes,
}

impl Beat {
    fn of(&self, form: Form) -> &Bytes {
        match form {
            Form::Protobuf => &self.protobuf,
            Form::Json => &self.json,
        }
    }
}

/// What wakes the porters.
pub(super) struct Porters {
    wakes: Box<[Notify]>,
    /// `None` while this gateway cannot say where the log is.
    beat: watch::Sender<Option<Beat>>,
    /// The newest event that streams know.
    head: AtomicU64,
    turn: AtomicUsize,
    id: AtomicU64,
}

impl Porters {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            wakes: (0..lanes.max(1)).map(|_| Notify::new()).collect(),
            beat: watch::Sender::default(),
            head: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            id: AtomicU64::new(0),
        }
    }

    pub(super) fn lanes(&self) -> usize {
        self.wakes.len()
    }

    pub(super) fn wake(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
        self.wakes.iter().for_each(Notify::notify_one);
    }

    pub(super) fn beat(&self, beat: Beat) {
        self.beat.send_replace(Some(beat));
    }

    /// No heartbeat until the next one.
    pub(super) fn hush(&self) {
        self.beat.send_if_modified(|beat| {
            *beat = None;
            false
        });
    }

    /// The newest heartbeat, as long as it is true: who makes them may be held up.
    pub(super) fn last_beat(&self, form: Form) -> Option<Bytes> {
        let beat = self.beat.borrow();
        beat.as_ref().filter(|beat| beat.at.elapsed() <= 2 * HEARTBEAT).map(|beat| beat.of(form).clone())
    }

    /// Runs one lane until told to stop.
    pub(super) async fn run(&self, lane: usize, streams: impl Fn() -> Vec<Arc<Stream>>, stop: CancellationToken) {
        let Some(wake) = self.wakes.get(lane) else { return };
        let mut beats = self.beat.subscribe();
        let mut pace = Pace::default();
        loop {
            let beat = tokio::select! {
                // In order, so that a model can repeat a run.
                biased;
                () = stop.cancelled() => return,
                // Before the news, which may never end.
                Ok(()) = beats.changed() => beats.borrow_and_update().clone(),
                () = wake.notified() => None,
            };
            let waited = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                waited = self.gather(wake, &pace) => waited,
            };
            let (began, head) = (Instant::now(), self.head.load(Ordering::Relaxed));
            pace.came(head, waited);
            for stream in streams() {
                stream.sweep(lane, beat.as_ref().map(|b| b.of(stream.form))).await;
            }
            pace.after(began, Instant::now());
        }
    }

    /// Waits for more, if that pays; whether it did.
    async fn gather(&self, wake: &Notify, pace: &Pace) -> bool {
        let Some(due) = pace.due.filter(|due| pace.skip == 0 && *due > Instant::now()) else { return false };
        loop {
            if self.head.load(Ordering::Relaxed).saturating_sub(pace.head) >= ENOUGH {
                return true;
            }
            tokio::select! {
                biased;
                () = sleep_until(due) => return true,
                () = wake.notified() => {}
            }
        }
    }
}

/// When the next round pays.
#[derive(Debug, Default)]
struct Pace {
    due: Option<Instant>,
    /// The newest event of the last round.
    head: u64,
    /// Waits in a row that brought nothing more.
    vain: u32,
    /// Rounds that come without a wait because of that.
    skip: u32,
}

impl Pace {
    /// A round begins with the events up to `head`.
    fn came(&mut self, head: u64, waited: bool) {
        let several = head.saturating_sub(self.head) > 1;
        self.head = head;
        if several {
            (self.vain, self.skip) = (0, 0);
        } else if waited {
            self.vain = (self.vain + 1).min(MOST_VAIN);
            self.skip = (1 << self.vain) - 1;
        } else {
            self.skip = self.skip.saturating_sub(1);
        }
    }

    fn after(&mut self, began: Instant, ended: Instant) {
        self.due = Some(ended.max(began + TICK.min((ended - began) * (1 + SHARE))));
    }
}

/// Clients of one stream that one porter serves.
#[derive(Default)]
pub(super) struct Lane {
    conns: Mutex<BTreeMap<u64, Arc<Conn>>>,
    /// What the stream's news counted at the last round.
    swept: AtomicU64,
}

impl Lane {
    fn conns(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Conn>>> {
        self.conns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clients(&self) -> usize {
        self.conns().len()
    }

    /// One round over its clients.
    pub(super) async fn sweep(&self, stream: &Stream, news: u64, beat: Option<&Bytes>) {
        if self.swept.swap(news, Ordering::Relaxed) == news && beat.is_none() {
            return;
        }
        let (mut sweep, mut last) = (Sweep::new(stream), None);
        loop {
            let from = last.map_or(Bound::Unbounded, Bound::Excluded);
            let chunk: Vec<_> = {
                let conns = self.conns();
                conns.range((from, Bound::Unbounded)).take(CHUNK).map(|(id, c)| (*id, c.clone())).collect()
            };
            for (_, conn) in &chunk {
                conn.carry(&mut sweep, beat);
            }
            match chunk.last() {
                Some((id, _)) if chunk.len() == CHUNK => last = Some(*id),
                _ => return,
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A client's place in a lane of its stream; left when dropped.
pub(super) struct Seat {
    pub(super) stream: Arc<Stream>,
    lane: usize,
    id: u64,
}

impl Seat {
    pub(super) fn take(porters: &Porters, stream: Arc<Stream>, conn: Arc<Conn>) -> Self {
        let lane = porters.turn.fetch_add(1, Ordering::Relaxed) % porters.lanes();
        let id = porters.id.fetch_add(1, Ordering::Relaxed);
        if let Some(lane) = stream.lane(lane) {
            lane.conns().insert(id, conn);
        }
        Self { stream, lane, id }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(lane) = self.stream.lane(self.lane) {
            lane.conns().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::access::Audience;
    use futures::FutureExt as _;
    use prost::Message as _;
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
    };
    use wire::feed::{self, server_message::Kind as ServerKind};

    use super::*;
    use crate::feed::{
        conn::{At, Next},
        io::Io,
        model::pipe::pipe,
        ring::Ring,
        stream::{Epoch, Kind, News},
    };

    /// A client that is up to date.
    async fn join(porters: &Porters, stream: &Arc<Stream>, listener: &TcpListener) -> (Arc<Conn>, Seat, TcpStream) {
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let conn = Arc::new(Conn::new(server.unwrap().0));
        let seat = Seat::take(porters, stream.clone(), conn.clone());
        conn.queue([], Some(At { epoch: 1, log_id: 1, cursor: 0 }));
        assert_eq!(conn.next(stream), Next::Live);
        (conn, seat, client.unwrap())
    }

    /// Reads one message of 126 to 65,535 bytes.
    async fn read(client: &mut TcpStream) -> Vec<u8> {
        let header = client.read_u32().await.unwrap();
        assert_eq!(header >> 16, 0x827e);
        let mut payload = vec![0; (header & 0xffff).try_into().unwrap()];
        client.read_exact(&mut payload).await.unwrap();
        payload
    }

    #[tokio::test]
    async fn a_round_waits_for_nobody() {
        const EVENTS: u64 = 400;
        let porters = Arc::new(Porters::new(1));
        let kind = Kind { audience: Audience::Centre, conflate: false, form: Form::Protobuf };
        let ring = Ring::new(kind.form, 1, 0, 16, 1 << 20, false);
        let epoch = Epoch::FIRST;
        let stream = Arc::new(Stream::new(kind, ring, epoch, porters.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(join(&porters, &stream, &listener).await);
        }
        for seq in 1..=EVENTS {
            let event = feed::Event { seq, detail: "x".repeat(20_000), ..feed::Event::default() };
            let items = vec![feed::Item { event: Some(event), state: None }];
            stream.push(seq, 0, News { items, ..News::default() });
            assert!(stream.sweep(0, None).now_or_never().is_some(), "a round never waits");
            // A fifth of the clients takes nothing.
            for (.., client) in &mut clients[1..] {
                assert!(read(client).await.len() > 20_000);
            }
        }
        for (conn, ..) in &clients[1..] {
            assert_eq!(conn.at().cursor, EVENTS);
            assert!(conn.called().now_or_never().is_none(), "nobody else falls behind");
        }
        // Its own task sees to it: it gets what was begun, in order, and is then told that it fell off.
        let (conn, _, client) = &mut clients[0];
        assert!(conn.called().now_or_never().is_some());
        let given = conn.at().cursor;
        assert!((1..EVENTS - 16).contains(&given), "{given}");
        let taking = async {
            for seq in 1..=given {
                let message = feed::ServerMessage::decode(&*read(client).await).unwrap();
                let Some(feed::server_message::Kind::Frame(frame)) = message.kind else { panic!() };
                assert_eq!((frame.after, frame.upto), (seq - 1, seq));
            }
        };
        let (flushed, ()) = tokio::join!(conn.flush(), taking);
        assert_eq!(flushed, Ok(()));
        assert_eq!(conn.next(&stream), Next::Off);
    }

    #[tokio::test]
    async fn a_heartbeat_comes_however_much_there_is_to_carry() {
        let porters = Arc::new(Porters::new(1));
        let kind = Kind { audience: Audience::Centre, conflate: false, form: Form::Protobuf };
        let ring = Ring::new(kind.form, 1, 0, 16, 1 << 20, false);
        let stream = Arc::new(Stream::new(kind, ring, Epoch::FIRST, porters.clone()));
        let (end, mut line) = pipe(4_096);
        let conn = Arc::new(Conn::new(Io::Pipe(end)));
        let _seat = Seat::take(&porters, stream.clone(), conn.clone());
        conn.queue([], Some(At { epoch: 1, log_id: 1, cursor: 0 }));
        assert_eq!(conn.next(&stream), Next::Live);
        let (rounds, stop) = (AtomicU64::new(0), CancellationToken::new());
        let beat = Form::ALL.map(|form| form.message(ServerKind::Heartbeat(feed::Heartbeat::default())));
        let streams = || {
            match rounds.fetch_add(1, Ordering::Relaxed) {
                1 => porters.beat(Beat { at: Instant::now(), protobuf: beat[0].clone(), json: beat[1].clone() }),
                10 => stop.cancel(),
                _ => {}
            }
            // There is more before the round is over.
            porters.wake(rounds.load(Ordering::Relaxed));
            vec![stream.clone()]
        };
        porters.wake(1);
        porters.run(0, streams, stop.clone()).await;
        assert!(matches!(line.next().now_or_never(), Some(Some(_))), "it did not wait for the end of the news");
    }

    /// After a round over everything up to `head` that took `cost`.
    fn paced(head: u64, cost: Duration) -> Pace {
        let mut pace = Pace { head, ..Pace::default() };
        pace.after(Instant::now(), Instant::now() + cost);
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_wait_for_more_when_that_pays() {
        let porters = Porters::new(1);
        let wake = &porters.wakes[0];
        let waited = async |pace: &Pace| {
            let began = Instant::now();
            porters.gather(wake, pace).await;
            began.elapsed()
        };
        // The first comes at once, and so does the next when the round before cost nothing.
        assert_eq!(waited(&Pace::default()).await, Duration::ZERO);
        assert_eq!(waited(&paced(0, Duration::ZERO)).await, Duration::ZERO);
        // A costly round is followed by a wait, up to the tick.
        let cost = Duration::from_millis(1);
        assert_eq!(waited(&paced(0, cost)).await, cost * (1 + SHARE));
        assert_eq!(waited(&paced(0, cost * 10)).await, TICK);
        assert_eq!(waited(&paced(0, TICK * 2)).await, TICK * 2);
        // Unless enough has gathered.
        let pace = paced(100, cost * 10);
        porters.wake(100 + ENOUGH - 1);
        assert_eq!(waited(&pace).await, TICK);
        porters.wake(100 + ENOUGH);
        assert_eq!(waited(&paced(100, cost * 10)).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_nothing_are_left_out() {
        let porters = Porters::new(1);
        let (mut pace, mut waits) = (Pace::default(), 0);
        // One event a round: the next is made when all have the last one.
        for head in 1..=1_000 {
            porters.wake(head);
            let waited = porters.gather(&porters.wakes[0], &pace).await;
            waits += u64::from(waited);
            pace.came(head, waited);
            pace.after(Instant::now(), Instant::now() + Duration::from_millis(5));
        }
        assert!((5..15).contains(&waits), "{waits}");
        // As soon as events come faster than rounds, they are gathered again.
        pace.came(1_002, false);
        assert!(porters.gather(&porters.wakes[0], &pace).await);
    }
}
