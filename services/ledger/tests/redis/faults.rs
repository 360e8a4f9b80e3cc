//! What Redis and the bus may do, and the reader makes good.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use ledger::{
    Batch, Bus, Delivery, Fault, LinkState, Position, Published, Reader, RedisBus, RedisOptions,
    conformance::{
        self,
        bus::{read, write},
        event,
    },
};
use runtime::{SystemClock, Tasks, telemetry::names};

use crate::house::{CHANNEL, KEY, NEVER, SITE, Server, heard, ledger, listen, start, subscriber_is, until};

#[tokio::test]
async fn it_passes_the_suite_of_buses() {
    let server = Server::start(&[]);
    let buses = Mutex::new(HashMap::<usize, RedisBus>::new());
    let make = |lag: usize| {
        let mut buses = buses.lock().unwrap();
        let bus = buses.entry(lag).or_insert_with(|| start(RedisOptions { lag, ..server.options() }));
        Arc::new(bus.clone()) as Arc<dyn Bus>
    };
    let ledger = ledger().await;
    conformance::bus::carries(ledger.store.clone(), &make).await;
}

#[tokio::test]
async fn a_killed_redis_delays_and_loses_nothing() {
    let mut server = Server::start(&[]);
    let (publisher, follower) = (server.bus(), server.bus());
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let mut head = store.open_writer().await.unwrap();
    // Without the poll: what the bus tells is enough.
    let mut reader = Reader::follow(store.clone(), &follower, head.position(), NEVER).await.unwrap();
    for round in 0..5 {
        head = write(&*store, &publisher, head, &[3, 1]).await;
        read(&mut reader, head.seq).await;
        server.kill();
        let down = |s: LinkState| matches!(s, LinkState::Down(_));
        until(&follower, |s| down(s.subscriber.state)).await;
        head = write(&*store, &publisher, head, &[2; 10]).await;
        until(&publisher, |s| down(s.publisher.state)).await;
        assert!(server.launch(), "round {round}");
        read(&mut reader, head.seq).await;
    }
    // And it is the bus again that carries.
    subscriber_is(&follower, LinkState::Up).await;
    until(&publisher, |s| s.publisher.state == LinkState::Up).await;
    let mut subscription = follower.subscribe().await.unwrap();
    head = write(&*store, &publisher, head, &[1]).await;
    // Before it may come the head that the publisher sent when it was back.
    while !matches!(subscription.next().await, Delivery::Message(m) if m.event.seq == head.seq) {}
}

#[tokio::test]
async fn a_redis_that_hangs_is_noticed_by_both_sides() {
    let server = Server::start(&[]);
    let quick = RedisOptions {
        heartbeat: Duration::from_millis(20),
        silence: Duration::from_millis(100),
        timeout: Duration::from_millis(500),
        ..server.options()
    };
    let (publisher, follower) = (start(quick.clone()), start(quick));
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), &follower, head.position(), NEVER).await.unwrap();
    let head = write(&*store, &publisher, head, &[3]).await;
    read(&mut reader, 3).await;
    server.signal("STOP");
    let head = write(&*store, &publisher, head, &[5]).await;
    let hangs = LinkState::Down(Fault::Timeout);
    until(&publisher, |s| s.publisher.state == hangs).await;
    subscriber_is(&follower, hangs).await;
    // The loss was told before the connection was given up.
    read(&mut reader, head.seq).await;
    let head = write(&*store, &publisher, head, &[5]).await;
    server.signal("CONT");
    read(&mut reader, head.seq).await;
    subscriber_is(&follower, LinkState::Up).await;
}

/// An event of about `size` bytes.
async fn write_long(
    store: &dyn ledger::Store,
    bus: &dyn Bus,
    head: ledger::Head,
    size: usize,
) -> (ledger::Head, Arc<Published>) {
    let row = ledger::EventRow { payload: Bytes::from(vec![7; size]), ..event("a/1", "") };
    let batch = Batch { events: vec![row], ..Batch::new(head) };
    let head = store.append(&batch).await.unwrap();
    let published = batch.into_published();
    bus.publish(published.clone()).await.unwrap();
    (head, published[0].clone())
}

/// The publisher's first head is through: what comes next is its messages.
async fn begin(publisher: &RedisBus, head: ledger::Head, subscription: &mut Box<dyn ledger::Subscription>) {
    publisher.announce(head.position());
    assert!(matches!(subscription.next().await, Delivery::Lagged));
}

async fn next(reader: &mut Reader) -> Arc<Published> {
    match reader.next().await.unwrap() {
        ledger::Step::Event(event) => event,
        other @ ledger::Step::LogChanged(_) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscriber_that_redis_cuts_off_comes_back_and_misses_nothing() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 16kb 16kb 0"]);
    let (publisher, follower) = (server.bus(), server.bus());
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let head = store.open_writer().await.unwrap();
    let mut subscription = listen(&follower).await;
    let mut reader = Reader::follow(store.clone(), &follower, head.position(), NEVER).await.unwrap();
    begin(&publisher, head, &mut subscription).await;
    let (head, long) = write_long(&*store, &publisher, head, 40_000).await;
    assert!(matches!(subscription.next().await, Delivery::Lagged), "cut off, back, and told");
    assert_eq!(next(&mut reader).await, long);
    let (_, short) = write_long(&*store, &publisher, head, 10).await;
    assert_eq!(next(&mut reader).await, short);
    assert_eq!(heard(&mut subscription).await, 2, "by the bus");
}

#[tokio::test]
async fn of_a_long_message_only_the_head_travels() {
    let server = Server::start(&[]);
    let publisher = start(RedisOptions { message: 1_000, ..server.options() });
    let follower = server.bus();
    let mut subscription = listen(&follower).await;
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), &follower, head.position(), NEVER).await.unwrap();
    begin(&publisher, head, &mut subscription).await;
    let (head, long) = write_long(&*store, &publisher, head, 1_000).await;
    assert_eq!(next(&mut reader).await, long);
    let (_, short) = write_long(&*store, &publisher, head, 10).await;
    assert_eq!(next(&mut reader).await, short);
    assert!(matches!(subscription.next().await, Delivery::Lagged));
    assert_eq!(heard(&mut subscription).await, 2);
}

#[tokio::test]
async fn heartbeats_reveal_a_lost_last_message() {
    let server = Server::start(&[]);
    let beating = RedisOptions { heartbeat: Duration::from_millis(5), ..server.options() };
    let (publisher, follower) = (start(beating), server.bus());
    let mut subscription = listen(&follower).await;
    // Committed elsewhere and never published.
    for seq in [1, 2] {
        publisher.announce(Position { log_id: 1, seq });
        assert!(matches!(subscription.next().await, Delivery::Lagged));
    }
    // A head that is known is no news: the next delivery is the message.
    let published = Batch { events: vec![event("a/1", "3")], ..Batch::new(head(1, 2)) }.into_published();
    publisher.publish(published).await.unwrap();
    assert_eq!(heard(&mut subscription).await, 3);
}

fn head(log_id: u64, seq: u64) -> ledger::Head {
    ledger::Head { log_id, seq, term: 1 }
}

#[tokio::test]
async fn the_silence_of_a_publisher_is_told_and_shown() {
    let server = Server::start(&[]);
    let options =
        RedisOptions { heartbeat: Duration::from_millis(10), silence: Duration::from_millis(300), ..server.options() };
    let (publisher, follower) = (start(options.clone()), start(options.clone()));
    let mut subscription = listen(&follower).await;
    // Nobody was ever heard: perhaps who publishes does so elsewhere.
    subscriber_is(&follower, LinkState::Silent).await;
    assert!(matches!(subscription.next().await, Delivery::Lagged));
    publisher.announce(Position { log_id: 1, seq: 1 });
    subscriber_is(&follower, LinkState::Up).await;
    assert!(matches!(subscription.next().await, Delivery::Lagged));
    drop(publisher);
    subscriber_is(&follower, LinkState::Silent).await;
    assert!(matches!(subscription.next().await, Delivery::Lagged));
    let again = start(options);
    again.announce(Position { log_id: 1, seq: 1 });
    subscriber_is(&follower, LinkState::Up).await;
}

#[tokio::test]
async fn what_others_publish_is_ignored() {
    let server = Server::start(&[]);
    let (publisher, follower) = (server.bus(), server.bus());
    let forger = RedisBus::start(server.options(), SITE, [1; 32], Arc::new(SystemClock), &Tasks::default()).unwrap();
    let mut subscription = listen(&follower).await;
    let forged = Batch { events: vec![event("a/1", "forged"); 3], ..Batch::new(head(1, 0)) }.into_published();
    forger.publish(forged).await.unwrap();
    until(&forger, |s| s.publisher.state == LinkState::Up).await;
    for junk in ["", "x", "\u{1}\u{1}................................"] {
        server.ask(&["PUBLISH", CHANNEL, junk]);
    }
    let published = Batch { events: vec![event("a/1", "1")], ..Batch::new(head(1, 0)) }.into_published();
    publisher.publish(published.clone()).await.unwrap();
    loop {
        match subscription.next().await {
            Delivery::Message(message) => {
                assert_eq!(message, published[0]);
                break;
            }
            // The publisher's first head, which may come first.
            Delivery::Lagged => {}
            Delivery::Closed => panic!("closed"),
        }
    }
}

#[tokio::test]
async fn what_waits_for_redis_is_bounded_and_counted() {
    let page = runtime::telemetry::metrics().unwrap();
    let mut server = Server::later();
    let bus = start(RedisOptions { queue: 10, ..server.options() });
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), &bus, head.position(), NEVER).await.unwrap();
    let head = write(&*store, &bus, head, &[1; 50]).await;
    until(&bus, |s| s.publisher.state == LinkState::Down(Fault::Unreachable)).await;
    subscriber_is(&bus, LinkState::Down(Fault::Unreachable)).await;
    let count = |name: &str| {
        let page = page.render();
        let of = page.lines().filter(|l| l.starts_with(name)).filter_map(|l| l.rsplit_once(' '));
        of.map(|(_, n)| n.parse::<f64>().unwrap()).sum::<f64>()
    };
    assert_eq!(count(names::BUS_DROPPED), 40.0);
    assert!(count(names::BUS_RECONNECTS) >= 2.0);
    assert_eq!(count(names::BUS_CONNECTED), 0.0);
    assert!(server.launch());
    read(&mut reader, head.seq).await;
    until(&bus, |s| (s.publisher.state, s.subscriber.state) == (LinkState::Up, LinkState::Up)).await;
    assert_eq!(count(names::BUS_CONNECTED), 2.0);
}

#[tokio::test]
async fn a_drain_publishes_what_waits() {
    let server = Server::start(&[]);
    let tasks = Tasks::default();
    let bus = RedisBus::start(server.options(), SITE, KEY, Arc::new(SystemClock), &tasks).unwrap();
    let follower = server.bus();
    let mut subscription = listen(&follower).await;
    let batch = Batch { events: vec![event("a/1", "1"); 1_000], ..Batch::new(head(1, 0)) };
    bus.publish(batch.into_published()).await.unwrap();
    tasks.drain(Duration::from_secs(60)).await;
    for seq in 1..=1_000 {
        assert_eq!(heard(&mut subscription).await, seq);
    }
    assert!(matches!(bus.subscribe().await.unwrap().next().await, Delivery::Closed));
}
