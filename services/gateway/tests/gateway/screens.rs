//! Many screens, slow ones, other forms, and gateways that come and go.

use std::sync::Arc;

use futures::{SinkExt, StreamExt, future::join_all};
use gateway::Config;
use ledger::LocalBus;
use runtime::{Tasks, telemetry};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
use wire::feed::{self, client_message, server_message::Kind};

use crate::{
    feed::{notes, seqs},
    house::{Feed, House, Plan, hello},
};

/// Text of 2 kB.
fn long() -> String {
    "烟".repeat(700)
}

/// The value of a metric, 0 when it was never counted.
fn metric(page: &telemetry::MetricsPage, name: &str) -> f64 {
    let page = page.render();
    page.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
}

/// How many clients come at once; `FEED_CLIENTS` sets it (each takes two file descriptors of the test).
fn crowd() -> usize {
    std::env::vars().find(|(name, _)| name == "FEED_CLIENTS").map_or(500, |(_, value)| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_come_at_once_each_get_everything() {
    let page = telemetry::metrics().unwrap();
    let crowd = crowd();
    let config = Config { feed_clients: crowd + 8, connections: crowd + 64, ..Config::default() };
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let old = house.store.head().await.unwrap();
    let head = notes(&house, incident, 600, "记一笔").await;
    // A gateway that has just started holds no frames: who was connected before needs what the log has.
    let tasks = Tasks::default();
    let address = house.another_gateway(config, &tasks).await;
    let last = head + 40;
    let client = async |n: usize| {
        // A third knows nothing, a third was away for long, a third for a moment; each stands elsewhere.
        let cursor = match n % 3 {
            0 => 0,
            1 => old.seq + n as u64 % 500,
            _ => head - n as u64 % 5,
        };
        let log_id = if cursor == 0 { 0 } else { old.log_id };
        let mut feed = Feed::open_at(&address, &session, hello(log_id, cursor, false), None, false).await;
        let mut at = if cursor == 0 { feed.snapshot().await.seq } else { cursor };
        while at < last {
            let frame = feed.frame().await;
            assert_eq!((frame.after, seqs(&frame.items)), (at, (at + 1..=frame.upto).collect::<Vec<_>>()));
            at = frame.upto;
            feed.raw = Vec::new();
        }
        feed
    };
    let came = join_all((0..crowd).map(client));
    let meanwhile = async {
        for _ in 0..8 {
            notes(&house, incident, 5, "记一笔").await;
        }
    };
    let (clients, ()) = tokio::join!(came, meanwhile);
    assert_eq!(clients.len(), crowd);
    // They were served from what was made a few times, and nobody fell off.
    assert!(metric(&page, "maojiawan_feed_gaps_read_total") <= 4.0);
    assert!((1.0..20.0).contains(&metric(&page, "maojiawan_feed_snapshots_made_total")));
    assert!(metric(&page, "maojiawan_feed_resyncs_total") == 0.0);
    println!("crowd: clients at once {crowd}, inputs acknowledged {last}, lost 0, doubled 0, cut off 0");
}

#[tokio::test]
async fn a_snapshot_serves_until_it_is_old() {
    let page = telemetry::metrics().unwrap();
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let made = || metric(&page, "maojiawan_feed_snapshots_made_total");
    let first = Feed::open(&house, &session, hello(0, 0, false)).await.snapshot().await;
    let before = made();
    house.clock.advance(5_000);
    let head = notes(&house, incident, 3, "记一笔").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let again = feed.snapshot().await;
    // The old one, with the new time, and the frames since.
    assert_eq!((again.seq, &again.states), (first.seq, &first.states));
    assert_eq!(again.server_time, first.server_time + 5_000);
    assert_eq!(seqs(&feed.upto(first.seq, head).await), (first.seq + 1..=head).collect::<Vec<_>>());
    assert_eq!(made(), before);
    // Until the frames since cost more than a new one.
    let head = notes(&house, incident, 60, &long()).await;
    feed.upto(head - 60, head).await;
    let newer = Feed::open(&house, &session, hello(0, 0, false)).await.snapshot().await;
    assert_eq!((newer.seq, made()), (head, before + 1.0));
    // Or it is too old, if anything came since.
    house.clock.advance(30_001);
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    assert_eq!((feed.snapshot().await.seq, made()), (head, before + 1.0));
    let head = notes(&house, incident, 1, "记一笔").await;
    feed.upto(head - 1, head).await;
    let newest = Feed::open(&house, &session, hello(0, 0, false)).await.snapshot().await;
    assert_eq!((newest.seq, made()), (head, before + 2.0));
    // And only as far as there is room for it.
    let config = Config { snapshot_bytes: 1, ..Config::default() };
    let house = House::with(Plan { config: Some(config), ..Plan::default() }).await;
    let (session, before) = (house.log_in("duty").await, made());
    for more in 1..4 {
        Feed::open(&house, &session, hello(0, 0, false)).await.snapshot().await;
        assert_eq!(made(), before + f64::from(more));
    }
}

/// A client that may be cut off, and then comes back to where it stood.
struct Slow {
    feed: Feed,
    at: u64,
    told: usize,
}

impl Slow {
    async fn open(house: &House, session: &str) -> Self {
        let mut feed = Feed::open_with(house, session, hello(0, 0, false), Some(4_096)).await;
        let at = feed.snapshot().await.seq;
        Self { feed, at, told: 0 }
    }

    /// Reads on up to `head`; told whenever something was left out.
    async fn upto(&mut self, house: &House, session: &str, log_id: u64, head: u64) {
        while self.at < head {
            match self.feed.next().await {
                Ok(Kind::Frame(frame)) => {
                    assert_eq!(frame.after, self.at, "nothing is left out silently");
                    self.at = frame.upto;
                }
                Ok(Kind::Resync(resync)) => {
                    assert_eq!(resync.reason, "slow");
                    self.told += 1;
                    self.at = self.feed.snapshot().await.seq;
                }
                Ok(Kind::Snapshot(first)) if self.at == 0 => self.at = first.seq,
                // It took nothing for too long, and was cut off.
                Err(_) => {
                    self.told += 1;
                    self.feed = Feed::open(house, session, hello(log_id, self.at, false)).await;
                }
                Ok(other) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn stalled_clients_harm_nobody_and_are_told() {
    let config = Config { ring_bytes: 512 << 10, ..Config::default() };
    let house = House::with(Plan { config: Some(config), ..Plan::default() }).await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let log_id = house.store.head().await.unwrap().log_id;
    let mut good = Vec::new();
    for _ in 0..8 {
        let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
        let at = feed.snapshot().await.seq;
        good.push((feed, at));
    }
    // A fifth of the clients: one reads nothing, one a byte now and then.
    let mut stalled = Slow::open(&house, &session).await;
    let byte_wise = Feed::open_with(&house, &session, hello(0, 0, false), Some(4_096)).await;
    let (mut bytes, mut stream) = (Vec::new(), byte_wise.ws.into_inner());
    for _ in 0..60 {
        // A part of what the ring holds; together far more than all buffers of a slow client and one reading of the log.
        let head = notes(&house, incident, 30, &long()).await;
        // In order and complete, without a resync: whatever the slow ones do, the others are served first.
        for (feed, at) in &mut good {
            let items = feed.upto(*at, head).await;
            assert_eq!(seqs(&items), (*at + 1..=head).collect::<Vec<_>>());
            *at = head;
        }
        // The server may have cut it off by now.
        bytes.extend(stream.read_u8().await.ok());
    }
    let mut byte_wise = Slow { feed: Feed::taken_up(stream, bytes).await, at: 0, told: 0 };
    let head = good[0].1;
    for slow in [&mut stalled, &mut byte_wise] {
        slow.upto(&house, &session, log_id, head).await;
        assert!(slow.told > 0, "whoever missed something is told");
    }
    // And all go on together.
    let last = notes(&house, incident, 3, "记一笔").await;
    for (feed, at) in &mut good {
        assert_eq!(seqs(&feed.upto(*at, last).await).len(), 3);
    }
    stalled.upto(&house, &session, log_id, last).await;
}

/// Its bus is silent, so that it learns of events by its poll only.
#[tokio::test]
async fn a_gateway_behind_its_client_does_not_show_it_the_past() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let tasks = Tasks::default();
    let behind = house.gateway_on(Arc::new(LocalBus::new(8)), Config::default(), &tasks).await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    let mut head = start.seq;
    for _ in 0..5 {
        let at = notes(&house, incident, 3, "记一笔").await;
        assert_eq!(seqs(&feed.upto(head, at).await).len(), 3);
        head = at;
        let mut there = Feed::open_at(&behind, &session, hello(start.log_id, head, false), None, false).await;
        let after = notes(&house, incident, 1, "记一笔").await;
        assert_eq!(seqs(&there.upto(head, after).await), [after], "what follows, and no snapshot");
        feed.upto(head, after).await;
        head = after;
    }
    // Of the log that replaced the one that the gateway knows, too.
    let log_id = house.store.renew().await.unwrap().log_id;
    let mut there = Feed::open_at(&behind, &session, hello(log_id, head, false), None, false).await;
    let ping = client_message::Kind::Ping(feed::Ping { client_time: 5 });
    there.send(feed::ClientMessage { kind: Some(ping) }).await;
    let answer = there.next().await;
    assert!(matches!(answer, Ok(Kind::Pong(_))), "no snapshot: {answer:?}");
    tasks.drain(std::time::Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_draining_gateway_hands_its_clients_over() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let tasks = Tasks::default();
    let address = house.another_gateway(Config::default(), &tasks).await;
    let mut clients = Vec::new();
    for n in 0..12 {
        let mut feed = Feed::open_at(&address, &session, hello(0, 0, false), None, n % 2 == 0).await;
        let start = feed.snapshot().await;
        clients.push((feed, start.log_id, start.seq));
    }
    // Nobody has read this yet when the drain begins.
    notes(&house, incident, 100, "记一笔").await;
    let drain = tasks.drain(std::time::Duration::from_secs(60));
    let moved = join_all(clients.into_iter().enumerate().map(|(n, (mut feed, log_id, start))| {
        let (house, session) = (&house, &session);
        async move {
            let (mut at, mut got) = (start, Vec::new());
            let handover = loop {
                match feed.next().await {
                    Ok(Kind::Frame(frame)) => {
                        assert_eq!(frame.after, at);
                        at = frame.upto;
                        got.extend(seqs(&frame.items));
                    }
                    Ok(Kind::Handover(handover)) => break handover,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((handover.reason.as_str(), handover.log_id, handover.cursor), ("draining", log_id, at));
            assert!(handover.retry_after_ms <= 5_000);
            assert_eq!(feed.next().await.unwrap_err().map(|f| f.code), Some(CloseCode::Away));
            // It closed for good, and not before it had said everything.
            assert!(feed.ws.next().await.is_none());
            drop(feed);
            let there = hello(handover.log_id, handover.cursor, false);
            let feed = Feed::open_at(&house.address, session, there, None, n % 3 == 0).await;
            (feed, start, at, got)
        }
    }));
    let ((), moved) = tokio::join!(drain, moved);
    assert!(!tasks.failed().is_cancelled());
    let head = notes(&house, incident, 5, "记一笔").await;
    for (mut feed, start, at, mut got) in moved {
        // Frames only: no snapshot, nothing twice, nothing left out.
        got.extend(seqs(&feed.upto(at, head).await));
        assert_eq!(got, (start + 1..=head).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn json_and_protobuf_tell_the_same() {
    let house = House::new().await;
    let (fire, duty) = (house.log_in("fire1").await, house.log_in("dispatch").await);
    let first = house.report(&duty, "楼道有烟 \"与\" <火>").await;
    house.push(&duty, first, "fire").await;
    let begin = house.store.head().await.unwrap().seq;
    for session in [&fire, &duty] {
        for conflate in [false, true] {
            let open = |json| Feed::open_at(&house.address, session, hello(0, 0, conflate), None, json);
            let (mut binary, mut text) = (open(false).await, open(true).await);
            let (one, other) = (binary.snapshot().await, text.snapshot().await);
            assert_eq!(one, other);
            assert!(!one.states.is_empty());
            let task = house.report(&duty, "又一件").await;
            let task = house.push(&duty, task, "fire").await;
            let answer = house.post(&format!("/api/v1/tasks/{task}/acknowledge"), &fire, "{}").await;
            let head = answer.json()["position"]["seq"].as_u64().unwrap();
            // How many frames there are is not said; what they hold is. Conflated states depend on the tick.
            let (a, b) = (binary.upto(one.seq, head).await, text.upto(one.seq, head).await);
            if conflate {
                let newest = |items: &[feed::Item]| items.iter().filter_map(|i| Some(i.state.as_ref()?.rev)).max();
                assert_eq!(newest(&a), newest(&b));
            } else {
                assert_eq!(a, b);
            }
            // Taking up where one left gives the same events too, from the ring or from before it.
            let at = if conflate { head } else { begin };
            let resume = |json| Feed::open_at(&house.address, session, hello(one.log_id, at, conflate), None, json);
            let (mut binary, mut text) = (resume(false).await, resume(true).await);
            let events = |items: Vec<feed::Item>| items.into_iter().filter_map(|i| i.event).collect::<Vec<_>>();
            assert_eq!(events(binary.upto(at, head).await), events(text.upto(at, head).await));
            let ping = client_message::Kind::Ping(feed::Ping { client_time: 5 });
            text.send(feed::ClientMessage { kind: Some(ping) }).await;
            assert!(matches!(text.next().await, Ok(Kind::Pong(pong)) if pong.client_time == 5));
        }
    }
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_told_how() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let text = |t: &str| Message::Text(t.to_owned().into());
    let good_json = text(r#"{"ping":{"clientTime":"5"}}"#);
    let cases: [(bool, Message, u16); 8] = [
        (true, text("{"), 1007),
        (true, text(r#"{"hello":{}}"#), 1002),
        (true, text(r#"{"goodbye":{}}"#), 1002),
        (true, Message::Binary(vec![8, 1].into()), 1003),
        (true, text(&format!(r#"{{"ping":{}}}"#, " ".repeat(4_096))), 1009),
        (false, good_json.clone(), 1003),
        (false, Message::Binary(vec![0xff; 4].into()), 1002),
        (false, Message::Binary(vec![0; 4_097].into()), 1009),
    ];
    for (json, message, code) in cases {
        let mut feed = Feed::open_at(&house.address, &session, hello(0, 0, false), None, json).await;
        feed.snapshot().await;
        feed.ws.send(message.clone()).await.unwrap();
        let closed = feed.next().await.unwrap_err().unwrap();
        assert_eq!(u16::from(closed.code), code, "{message:?}");
        assert!(!closed.reason.is_empty());
    }
    // WebSocket's own pings are answered, and so is a goodbye.
    let mut feed = Feed::open_at(&house.address, &session, hello(0, 0, false), None, true).await;
    feed.snapshot().await;
    feed.ws.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    feed.ws.send(good_json).await.unwrap();
    while feed.ws.next().await.unwrap().unwrap() != Message::Pong(vec![1, 2, 3].into()) {}
    assert!(matches!(feed.next().await, Ok(Kind::Pong(pong)) if pong.client_time == 5));
    feed.ws.close(None).await.unwrap();
    assert_eq!(feed.next().await, Err(None));
}
