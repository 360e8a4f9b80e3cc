//! The wall clock jumps back and forward by hours: order, timers and sessions hold.

use domain::{
    event::Mode,
    input::{Actor, Command, Input, Observation},
    time::{Millis, Timestamp},
};
use link::intake::{Done, Submission};
use runtime::Clock as _;
use wire::feed::{self, server_message::Kind};

use crate::house::{Feed, House, hello};

const HOUR: i64 = 3_600_000;

async fn give(house: &House, input: Input) -> Done {
    house.intake.submit(Submission::keyless(input)).await.unwrap()
}

/// Frames until an event of this kind has come; all events on the way.
async fn until(feed: &mut Feed, at: &mut u64, kind: &str) -> Vec<feed::Event> {
    let mut events = Vec::new();
    while !events.iter().any(|e: &feed::Event| e.kind == kind) {
        let Ok(Kind::Frame(frame)) = feed.next().await else { panic!("the socket did not stay") };
        assert_eq!(frame.after, *at);
        *at = frame.upto;
        events.extend(frame.items.into_iter().filter_map(|i| i.event));
    }
    events
}

#[tokio::test]
async fn order_and_sessions_hold_when_the_clock_jumps() {
    let house = House::new().await;
    let (session, wall) = (house.log_in("duty").await, house.log_in("wall").await);
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let mut at = feed.snapshot().await.seq;
    let mut last = at;
    for hours in [-5, 9, -11, 10, -1] {
        house.clock.advance(hours * HOUR);
        house.report(&session, "楼道有烟").await;
        for event in until(&mut feed, &mut at, "reported").await {
            assert_eq!(event.seq, last + 1, "the order is the log's, whatever the clock says");
            last = event.seq;
        }
    }
    // A resumed client gets the same order from the log.
    let mut again = Feed::open(&house, &session, hello(feed_log(&house).await, at - 3, false)).await;
    let seqs: Vec<_> = again.upto(at - 3, at).await.into_iter().filter_map(|i| Some(i.event?.seq)).collect();
    assert_eq!(seqs, [at - 2, at - 1, at]);
    // Idle for longer than is allowed: the person's session is over, the wall's is not.
    house.clock.advance(20 * HOUR);
    assert_eq!(house.get("/api/v1/session", Some(&session)).await.status, 401);
    assert_eq!(house.get("/api/v1/session", Some(&wall)).await.status, 200);
}

async fn feed_log(house: &House) -> u64 {
    house.store.head().await.unwrap().log_id
}

#[tokio::test]
async fn timers_hold_when_the_clock_jumps() {
    let house = House::new().await;
    let session = house.log_in("chief").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    let mut at = feed.snapshot().await.seq;
    let now = Timestamp(house.clock.now_ms());
    let (sensor, rule, kind) = ("smoke-b1".into(), "r".into(), "smoke".into());
    let observation = Observation::SensorEdge { sensor, rule, kind, raised: true, value: Some(1.0), at: now };
    let alarm = give(&house, Input::Observe { mode: Mode::Real, observation }).await.refs.alarm.unwrap();
    let shelve = Command::ShelveAlarm { alarm, span: Millis::minutes(30), reason: "检修".to_owned() };
    give(&house, Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command: shelve }).await;
    until(&mut feed, &mut at, "alarm_shelved").await;
    // Back: the shelving does not end early; whatever ticks come in between, a later input finds it shelved.
    house.clock.advance(-5 * HOUR);
    house.report(&session, "楼道有烟").await;
    let events = until(&mut feed, &mut at, "reported").await;
    assert!(events.iter().all(|e| e.kind != "alarm_unshelved"), "{events:?}");
    // Forward, far beyond its end: it ends with the next tick, once.
    house.clock.advance(11 * HOUR);
    let events = until(&mut feed, &mut at, "alarm_unshelved").await;
    assert_eq!(events.iter().filter(|e| e.kind == "alarm_unshelved").count(), 1);
    house.clock.advance(-2 * HOUR);
    house.report(&session, "又一件").await;
    let events = until(&mut feed, &mut at, "reported").await;
    assert!(events.iter().all(|e| e.kind != "alarm_unshelved"), "{events:?}");
}
