//! Against the real gateway: each event once and in order, over connections and gateways.

use client::{Error, Feed, Follower, Options, Session, Step, Told, log_in};

use crate::house::{House, PASSWORD};

/// Numbers of the events up to `upto`, which must be reached without a new beginning.
async fn upto(feed: &mut Feed, upto: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while feed.position().is_none_or(|p| p.seq < upto) {
        match feed.next().await.unwrap() {
            Step::Frame(frame) => seqs.extend(frame.items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq)),
            Step::Heartbeat { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    seqs
}

async fn snapshot(feed: &mut Feed) -> wire::feed::Snapshot {
    loop {
        match feed.next().await.unwrap() {
            Step::Snapshot(snapshot) => return snapshot,
            Step::Heartbeat { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good() {
    let house = House::new().await;
    let gateway = house.gateway(None).await;
    let error = log_in(&gateway.address, "chief", "wrong").await.unwrap_err();
    assert!(matches!(&error, Error::Refused { status: 401, code, .. } if !code.is_empty()), "{error:?}");
    assert!(!error.passes());
    let nobody = Session::new("nobody");
    let error = Feed::open(&Options::at(&gateway.address), &nobody, None).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error:?}");
}

#[tokio::test]
async fn a_feed_goes_on_where_it_was_left() {
    let house = House::new().await;
    let gateway = house.gateway(None).await;
    let session = log_in(&gateway.address, "chief", PASSWORD).await.unwrap();
    let options = Options::at(&gateway.address);
    let mut feed = Feed::open(&options, &session, None).await.unwrap();
    let start = snapshot(&mut feed).await.seq;
    let middle = house.events(5).await;
    assert_eq!(upto(&mut feed, middle).await, (start + 1..=middle).collect::<Vec<_>>());
    let position = feed.position();
    drop(feed);
    let end = house.events(7).await;
    let mut feed = Feed::open(&options, &session, position).await.unwrap();
    assert_eq!(upto(&mut feed, end).await, (middle + 1..=end).collect::<Vec<_>>());
    feed.ping(41).await.unwrap();
    loop {
        match feed.next().await.unwrap() {
            Step::Pong { client_time, .. } => break assert_eq!(client_time, 41),
            Step::Heartbeat { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_follower_outlives_its_gateway() {
    let house = House::new().await;
    let first = house.gateway(None).await;
    let address = first.address.clone();
    let session = log_in(&address, "chief", PASSWORD).await.unwrap();
    let mut follower = Follower::new(Options::at(&address), session, None);
    let (mut seqs, mut start, mut lost) = (Vec::new(), 0, 0);
    let mut running = Some(first);
    for life in 0..3 {
        let gateway = match running.take() {
            Some(first) => first,
            None => house.gateway(Some(&address)).await,
        };
        let end = house.events(4).await;
        while follower.position().is_none_or(|p| p.seq < end) {
            match follower.next().await.unwrap() {
                Told::Step(Step::Snapshot(snapshot)) => {
                    assert_eq!((life, start), (0, 0), "only the first connection begins anew");
                    start = snapshot.seq;
                }
                Told::Step(Step::Frame(frame)) => seqs.extend(frame.items.into_iter().filter_map(|i| i.event)),
                Told::Step(Step::Resync(why)) => panic!("{why}"),
                Told::Step(_) | Told::Connected => {}
                Told::Lost(_) => lost += 1,
            }
        }
        gateway.stop().await;
    }
    let seqs: Vec<u64> = seqs.iter().map(|e| e.seq).collect();
    let end = follower.position().unwrap().seq;
    assert_eq!(seqs, (start + 1..=end).collect::<Vec<_>>());
    assert!(lost >= 2, "two gateways ended");
}
