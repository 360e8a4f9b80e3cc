//! Every client sees each event that it may see once and in order.

use std::sync::Arc;

use domain::{
    event::Mode,
    ids::IncidentId,
    input::{Actor, Command, Input},
};
use futures::future::join_all;
use gateway::Config;
use ledger::{
    LocalBus,
    testing::{Faults, FaultyBus},
};
use link::intake::Submission;
use wire::feed::{self, server_message::Kind, state};

use crate::house::{Feed, House, Plan, erase, hello, socket};

/// Adds `count` remarks; the newest position.
pub(crate) async fn notes(house: &House, incident: u64, count: usize, text: &str) -> u64 {
    let mut last = 0;
    let all: Vec<usize> = (0..count).collect();
    for some in all.chunks(500) {
        let note = |_: &usize| {
            let command = Command::Note { incident: IncidentId(incident), text: text.to_owned() };
            let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
            house.intake.submit(Submission::keyless(input))
        };
        for done in join_all(some.iter().map(note)).await {
            last = last.max(done.unwrap().position.seq);
        }
    }
    last
}

pub(crate) fn seqs(items: &[feed::Item]) -> Vec<u64> {
    items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq).collect()
}

#[tokio::test]
async fn a_bad_bus_loses_nothing() {
    let faults = Faults { dropped: 30, doubled: 20, held: 20 };
    let bus = Arc::new(FaultyBus::new(LocalBus::new(4_096), 7, faults));
    let house = House::with(Plan { bus: Some(bus), ..Plan::default() }).await;
    let session = house.log_in("duty").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    for n in 0..6 {
        let incident = house.report(&session, &format!("第 {n} 件")).await;
        notes(&house, incident, 20, "记一笔").await;
    }
    let head = house.store.head().await.unwrap().seq;
    let items = feed.upto(start.seq, head).await;
    assert_eq!(seqs(&items), (start.seq + 1..=head).collect::<Vec<_>>());
    // Each state that came is at least as new as its event.
    for item in &items {
        if let (Some(event), Some(state)) = (&item.event, &item.state) {
            assert!(state.rev >= event.seq);
        }
    }
}

#[tokio::test]
async fn a_client_takes_up_where_it_left() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    let incident = house.report(&session, "楼道有烟").await;
    let before = house.store.head().await.unwrap().seq;
    feed.upto(start.seq, before).await;
    drop(feed);
    let head = notes(&house, incident, 30, "记一笔").await;
    house.seen(head).await;
    // From the ring.
    let mut again = Feed::open(&house, &session, hello(start.log_id, before, false)).await;
    assert_eq!(seqs(&again.upto(before, head).await), (before + 1..=head).collect::<Vec<_>>());
    // From the log: the position lies before everything that the ring holds.
    let early = start.seq - 2;
    let mut early_client = Feed::open(&house, &session, hello(start.log_id, early, false)).await;
    assert_eq!(seqs(&early_client.upto(early, head).await), (early + 1..=head).collect::<Vec<_>>());
    // Another log, or a position that does not exist yet: a snapshot.
    for hello in [hello(start.log_id + 1, before, false), hello(start.log_id, head + 9, false), hello(0, 0, false)] {
        let mut anew = Feed::open(&house, &session, hello).await;
        let seq = anew.snapshot().await.seq;
        anew.upto(seq, head).await;
    }
    // A gap longer than one reading, at a gateway that has just started: told, then a snapshot.
    let head = notes(&house, incident, 1_001, "长").await;
    let address = house.another_gateway(Config::default(), &house.tasks).await;
    let mut far = Feed::open_at(&address, &session, hello(start.log_id, early, false), None, false).await;
    let Ok(Kind::Resync(resync)) = far.next().await else { panic!() };
    assert_eq!(resync.reason, "slow");
    assert_eq!(far.snapshot().await.seq, head);
}

#[tokio::test]
async fn a_client_that_stalls_is_told_and_goes_on() {
    let config = Config { ring_frames: 8, ..Config::default() };
    let house = House::with(Plan { config: Some(config), ..Plan::default() }).await;
    let session = house.log_in("duty").await;
    let incident = house.report(&session, "楼道有烟").await;
    let hello = hello(0, 0, false);
    let mut slow = Feed::open_with(&house, &session, hello, Some(4_096)).await;
    let start = slow.snapshot().await;
    // 6 kB each: far more than the sockets' buffers hold while nobody reads.
    let head = notes(&house, incident, 2_200, &"烟".repeat(2_000)).await;
    house.seen(head).await;
    let (mut at, mut told) = (start.seq, false);
    while at < head {
        match slow.next().await.unwrap() {
            Kind::Frame(frame) => {
                assert_eq!(frame.after, at);
                at = frame.upto;
            }
            Kind::Resync(resync) => {
                assert_eq!(resync.reason, "slow");
                told = true;
                at = slow.snapshot().await.seq;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told);
    // And it is served on.
    let head = notes(&house, incident, 3, "记一笔").await;
    assert_eq!(seqs(&slow.upto(at, head).await).len(), 3);
}

#[tokio::test]
async fn walls_get_facts_and_the_latest_state() {
    let house = House::new().await;
    let (wall, duty) = (house.log_in("wall").await, house.log_in("dispatch").await);
    let mut conflated = Feed::open(&house, &wall, hello(0, 0, true)).await;
    let mut lossless = Feed::open(&house, &wall, hello(0, 0, false)).await;
    let (a, b) = (conflated.snapshot().await.seq, lossless.snapshot().await.seq);
    let incident = house.report(&duty, "楼道有烟，我叫陈小花，请打13800002107").await;
    house.push(&duty, incident, "fire").await;
    notes(&house, incident, 50, "有人被困在六楼").await;
    let head = house.store.head().await.unwrap().seq;
    let latest = conflated.upto(a, head).await;
    let all = lossless.upto(b, head).await;
    assert!(latest.iter().all(|i| i.event.is_none()));
    assert!(latest.len() < all.len(), "{} < {}", latest.len(), all.len());
    let last = latest.iter().rev().find_map(|i| match i.state.as_ref()?.kind.as_ref()? {
        state::Kind::Incident(incident) => Some((i.state.as_ref()?.rev, incident.stage.clone())),
        _ => None,
    });
    assert_eq!(last, Some((head, "dispatched".to_owned())));
    let mut late = Feed::open(&house, &wall, hello(0, 0, true)).await;
    // A snapshot that was made for others, and what came since.
    let begin = late.snapshot().await.seq;
    late.upto(begin, head).await;
    for raw in [&conflated.raw, &lossless.raw, &late.raw] {
        let text = String::from_utf8_lossy(raw);
        assert!(text.contains("1栋") && text.contains("楼道有烟，我叫陈**，请打****"), "the caller's words, starred");
        for secret in ["小花", "有人被困", "13800002107", "2107", "现场核实"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn units_see_their_incidents_and_no_others() {
    let house = House::new().await;
    let (fire, duty) = (house.log_in("fire1").await, house.log_in("dispatch").await);
    let mut feed = Feed::open(&house, &fire, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    let incidents = |states: &mut dyn Iterator<Item = &feed::State>| -> Vec<u64> {
        states.filter_map(|s| if let Some(state::Kind::Incident(i)) = &s.kind { Some(i.id) } else { None }).collect()
    };
    assert!(incidents(&mut start.states.iter()).is_empty());
    let other = house.report(&duty, "别处的事").await;
    let own = house.report(&duty, "楼道有烟").await;
    let task = house.push(&duty, own, "fire").await;
    notes(&house, other, 5, "与消防无关").await;
    let answer = house.post(&format!("/api/v1/tasks/{task}/acknowledge"), &fire, "{}").await;
    let head = answer.json()["position"]["seq"].as_u64().unwrap();
    let items = feed.upto(start.seq, head).await;
    let mut seen = incidents(&mut items.iter().filter_map(|i| i.state.as_ref()));
    seen.dedup();
    assert_eq!(seen, [own]);
    assert!(items.iter().filter_map(|i| i.event.as_ref()).all(|e| e.incident == own || e.incident == 0));
    let text = String::from_utf8_lossy(&feed.raw).into_owned();
    assert!(text.contains("楼道有烟") && !text.contains("别处的事") && !text.contains("与消防无关"));
    // A grid's staff lose what moves out of their grid, and are told no more than that.
    let grid = house.log_in("grid1").await;
    let mut grid_feed = Feed::open(&house, &grid, hello(0, 0, false)).await;
    let start = grid_feed.snapshot().await;
    assert_eq!(incidents(&mut start.states.iter()), [other, own]);
    let moved = house.post(&format!("/api/v1/incidents/{other}/place"), &duty, r#"{"place":{"building":"b2"}}"#).await;
    let head = moved.json()["position"]["seq"].as_u64().unwrap();
    let items = grid_feed.upto(start.seq, head).await;
    let gone = |i: &feed::Item| matches!(&i.state.as_ref().unwrap().kind, Some(state::Kind::Gone(g)) if g.id == other.to_string());
    assert!(items.len() == 1 && items[0].event.is_none() && gone(&items[0]), "{items:?}");
}

#[tokio::test]
async fn an_erasure_reaches_those_who_hold_the_value() {
    let house = House::new().await;
    let session = house.log_in("dispatch").await;
    let incident = house.report(&session, "楼道有烟").await;
    notes(&house, incident, 1, "钥匙在门卫处").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    let timeline = format!("/api/v1/incidents/{incident}/timeline");
    assert!(house.get(&timeline, Some(&session)).await.text().contains("钥匙在门卫处"));
    let seq = house.system(erase(incident)).await;
    // The frame of the erasure may come before.
    let resync = loop {
        match feed.next().await.unwrap() {
            Kind::Resync(resync) => break resync,
            Kind::Frame(frame) => assert!(frame.upto <= seq),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(resync.reason, "policy");
    assert_eq!(feed.snapshot().await.seq, seq);
    let text = house.get(&timeline, Some(&session)).await.text();
    assert!(!text.contains("钥匙在门卫处") && text.contains(r#""erased":true"#), "{text}");
    // Whoever was away must drop it too: no gap, but a snapshot.
    let mut away = Feed::open(&house, &session, hello(start.log_id, start.seq, false)).await;
    assert!(matches!(away.next().await, Ok(Kind::Resync(_))));
}

#[tokio::test]
async fn sockets_are_for_our_own_pages_and_protocol() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let own = format!("http://{}", house.address);
    let open = |session: &str, protocol: &'static str, origin: Option<&'static str>| {
        let (house, session, own) = (&house, session.to_owned(), own.clone());
        async move {
            let origin = origin.map_or(Some(own.as_str()), |o| Some(o).filter(|o| !o.is_empty()));
            socket(house, "/api/v1/feed", &session, protocol, origin, None).await.err()
        }
    };
    assert_eq!(open(&session, "maojiawan.feed.v1", None).await, None);
    assert_eq!(open(&session, "maojiawan.feed.v1", Some("http://evil.example")).await, Some(403));
    assert_eq!(open(&session, "maojiawan.feed.v1", Some("")).await, Some(403));
    assert_eq!(open(&session, "chat", None).await, Some(400));
    assert_eq!(open("0", "maojiawan.feed.v1", None).await, Some(401));
    // Nonsense closes the socket.
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    feed.snapshot().await;
    let ping = feed::Ping { client_time: 5 };
    feed.send(feed::ClientMessage { kind: Some(feed::client_message::Kind::Ping(ping)) }).await;
    assert!(matches!(feed.next().await, Ok(Kind::Pong(p)) if p.client_time == 5));
    feed.send(feed::ClientMessage { kind: None }).await;
    assert_eq!(feed.next().await.unwrap_err().map(|f| u16::from(f.code)), Some(1002));
}

#[tokio::test]
async fn a_drain_tells_the_sockets() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let start = feed.snapshot().await;
    let tasks = house.tasks.clone();
    let drain = tasks.drain(std::time::Duration::from_secs(30));
    let told = async {
        let Ok(Kind::Handover(handover)) = feed.next().await else { panic!() };
        assert_eq!((handover.reason.as_str(), handover.cursor), ("draining", start.seq));
        assert_eq!(feed.next().await.unwrap_err().map(|f| u16::from(f.code)), Some(1001));
        drop(feed);
    };
    tokio::join!(drain, told);
    assert!(!tasks.failed().is_cancelled());
}
