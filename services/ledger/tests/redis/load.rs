//! Redis under load while faults strike it again and again: a reader without a poll gets every event once and in order.

use std::{io::Write as _, net::TcpStream, sync::Arc, time::Duration};

use bytes::Bytes;
use ledger::{Batch, Bus as _, LinkState, Reader, RedisBus, RedisOptions, Step, Store, conformance::event};
use tokio::sync::watch;

use crate::house::{CHANNEL, NEVER, Server, ledger, start, until};

/// How often each fault strikes.
#[allow(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
fn cycles() -> usize {
    std::env::var("FAULT_CYCLES").map_or(3, |n| n.parse().unwrap())
}

/// What a fault may look at and wait for.
struct Run<'a> {
    server: &'a mut Server,
    publisher: &'a RedisBus,
    follower: &'a RedisBus,
    published: watch::Receiver<u64>,
    seen: watch::Receiver<u64>,
}

impl Run<'_> {
    /// Until so many more events are in the log.
    async fn load(&mut self, events: u64) {
        let upto = *self.published.borrow() + events;
        self.published.wait_for(|n| *n >= upto).await.unwrap();
    }

    /// Until the reader has what is in the log now.
    async fn seen(&mut self) {
        let upto = *self.published.borrow();
        self.seen.wait_for(|n| *n >= upto).await.unwrap();
    }

    async fn both(&self, state: LinkState) {
        until(self.publisher, |s| s.publisher.state == state).await;
        until(self.follower, |s| s.subscriber.state == state).await;
    }
}

/// Writes until told to stop; every `long`-th event is of 40 kB.
async fn write(
    store: Arc<dyn Store>,
    bus: &RedisBus,
    long: u64,
    published: watch::Sender<u64>,
    stop: watch::Receiver<bool>,
    done: watch::Sender<bool>,
) {
    let mut head = store.open_writer().await.unwrap();
    while !*stop.borrow() {
        let seqs = head.seq + 1..=head.seq + 1 + head.seq % 4;
        let size = |seq: u64| if long > 0 && seq.is_multiple_of(long) { 40_000 } else { 20 };
        let row = |seq| ledger::EventRow { payload: Bytes::from(vec![7; size(seq)]), ..event("a/1", "") };
        let batch = Batch { events: seqs.map(row).collect(), ..Batch::new(head) };
        head = store.append(&batch).await.unwrap();
        bus.publish(batch.into_published()).await.unwrap();
        published.send_replace(head.seq);
    }
    done.send_replace(true);
}

/// Reads until the writer has ended and everything is seen; how many were lost and doubled.
async fn read(
    mut reader: Reader,
    published: watch::Receiver<u64>,
    seen: watch::Sender<u64>,
    mut done: watch::Receiver<bool>,
) -> (u64, u64) {
    let (mut last, mut lost, mut doubled, mut ended) = (0, 0, 0, false);
    while !(ended && last >= *published.borrow()) {
        let step = tokio::select! {
            step = reader.next() => step.unwrap(),
            changed = done.changed(), if !ended => {
                ended = changed.is_err() || *done.borrow();
                continue;
            }
        };
        let Step::Event(event) = step else { panic!("another log") };
        let seq = event.event.seq;
        lost += seq.saturating_sub(last + 1);
        doubled += u64::from(seq <= last);
        last = last.max(seq);
        seen.send_replace(last);
    }
    (lost, doubled)
}

async fn under(fault: &str, mut server: Server, options: RedisOptions, long: u64, strike: impl AsyncFn(&mut Run<'_>)) {
    let (publisher, follower) = (start(options.clone()), start(options));
    let ledger = ledger().await;
    let at = ledger.store.head().await.unwrap().position();
    let reader = Reader::follow(ledger.store.clone(), &follower, at, NEVER).await.unwrap();
    let (published, watched) = watch::channel(0);
    let (seen, saw) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let (done, ended) = watch::channel(false);
    let strikes = async {
        let mut run = Run {
            server: &mut server,
            publisher: &publisher,
            follower: &follower,
            published: watched.clone(),
            seen: saw,
        };
        for _ in 0..cycles() {
            run.load(20).await;
            strike(&mut run).await;
            run.seen().await;
        }
        // The last messages of all need no later one.
        stop.send_replace(true);
    };
    let writer = write(ledger.store.clone(), &publisher, long, published, stopped, done);
    let ((), (lost, doubled), ()) = tokio::join!(writer, read(reader, watched.clone(), seen, ended), strikes);
    let (cycles, published) = (cycles(), *watched.borrow());
    println!("redis: {fault}, cycles {cycles}, published {published}, lost {lost}, doubled {doubled}");
    assert_eq!((lost, doubled), (0, 0), "{fault}");
}

/// Quick enough to notice within a test, and with heartbeats, so that a lost last message shows.
fn quick(server: &Server) -> RedisOptions {
    RedisOptions {
        heartbeat: Duration::from_millis(20),
        silence: Duration::from_millis(200),
        timeout: Duration::from_millis(500),
        ..server.options()
    }
}

#[tokio::test]
async fn paused() {
    let server = Server::start(&[]);
    let options = quick(&server);
    under("paused", server, options, 0, async |run| {
        // It takes nothing from anybody, and goes on by itself.
        run.server.ask(&["CLIENT", "PAUSE", "300", "ALL"]);
        run.load(50).await;
    })
    .await;
}

#[tokio::test]
async fn killed_and_restarted_empty() {
    let server = Server::start(&[]);
    let options = quick(&server);
    under("killed, restarted empty", server, options, 0, async |run| {
        run.server.kill();
        run.load(30).await;
        assert!(run.server.launch());
        run.both(LinkState::Up).await;
    })
    .await;
}

#[tokio::test]
async fn killed_and_back_at_once() {
    let server = Server::start(&[]);
    let options = quick(&server);
    under("killed, back at once", server, options, 0, async |run| {
        run.server.kill();
        assert!(run.server.launch());
        run.load(1).await;
    })
    .await;
}

#[tokio::test]
async fn stopped() {
    let server = Server::start(&[]);
    let options = quick(&server);
    under("stopped and continued", server, options, 0, async |run| {
        run.server.signal("STOP");
        until(run.publisher, |s| s.publisher.state != LinkState::Up).await;
        run.load(30).await;
        run.server.signal("CONT");
        run.both(LinkState::Up).await;
    })
    .await;
}

#[tokio::test]
async fn its_connections_are_cut() {
    let server = Server::start(&[]);
    let options = quick(&server);
    under("connections cut", server, options, 0, async |run| {
        run.server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        run.load(10).await;
        run.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        run.load(10).await;
    })
    .await;
}

/// Whether Redis still has the connection of a client.
fn has(server: &Server, client: &TcpStream) -> bool {
    let address = format!(" addr={} ", client.local_addr().unwrap());
    format!("{:?}", server.ask(&["CLIENT", "LIST"])).contains(&address)
}

#[tokio::test]
async fn its_output_buffers_overflow() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 16kb 16kb 0"]);
    let options = quick(&server);
    under("output buffers overflow", server, options, 25, async |run| {
        // Somebody who subscribes and never reads: Redis cuts it off, and the others go on.
        let mut deaf = TcpStream::connect(("127.0.0.1", run.server.port)).unwrap();
        write!(deaf, "SUBSCRIBE {CHANNEL}\r\n").unwrap();
        assert!(has(run.server, &deaf));
        while has(run.server, &deaf) {
            run.load(10).await;
        }
    })
    .await;
}
