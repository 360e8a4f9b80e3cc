//! Thousands of clients lose their gateway at once, and come to another one with their positions. `FEED_CLIENTS` sets how
//! many; each takes one file descriptor of the test and one of its gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use client::{Error, Feed, Follower, Options, Step, Told};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    all,
    broker::Tap,
    cluster::{Cluster as _, GATEWAY_ONE, Nodes, OneProcess, memory},
    follow::{Route, Seen, follow},
    load::{Load, Tally, ask, key},
    number, soon,
};

/// Reports before, and after all are back.
const REPORTS: u64 = 10;

/// What the crowd went through.
#[derive(Default)]
struct Crowd {
    /// Clients that got their first snapshot.
    began: watch::Sender<u64>,
    /// Their gateway is dead.
    struck: AtomicBool,
    /// Clients that found another one.
    back: watch::Sender<u64>,
    /// Answers of 503, each with `Retry-After`.
    refused: AtomicU64,
    /// Connections that were lost, or could not be made.
    lost: AtomicU64,
    /// How far the pilot has seen, whose gateway lives.
    pilot: watch::Sender<u64>,
}

impl Crowd {
    /// One of them was told this; whether it is back.
    fn heard(&self, told: &Told, back: bool) -> bool {
        match told {
            Told::Connected if !back && self.struck.load(Ordering::SeqCst) => {
                self.back.send_modify(|n| *n += 1);
                return true;
            }
            Told::Step(Step::Snapshot(_)) => self.began.send_modify(|n| *n += 1),
            Told::Connected | Told::Step(_) => {}
            Told::Lost(error) => {
                let refused = matches!(error, Error::Refused { status: 503, .. });
                if refused { &self.refused } else { &self.lost }.fetch_add(1, Ordering::Relaxed);
            }
        }
        back
    }
}

/// Reports one after another, each when the pilot has seen the one before, until it is over.
async fn tell(load: Arc<Load>, crowd: Arc<Crowd>) {
    let mut pilot = crowd.pilot.subscribe();
    for n in 0.. {
        if *load.over.borrow() {
            break;
        }
        load.report(n, &key(0, n)).await;
        pilot.wait_for(|seen| *seen >= load.head()).await.unwrap();
    }
    load.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clients_of_a_gateway_that_dies_come_to_another_one_at_once() {
    let count = number("FEED_CLIENTS", 300);
    let (tap, mut passing) = (Tap::new().await, JoinSet::new());
    passing.spawn(tap.clone().pass());
    let bounds = format!("[gateway]\nfeed_clients = {}\nconnections = {}\n", count + 8, count + 64);
    let mut nodes = Nodes::start(&tap, &bounds);
    let load = Arc::new(Load::begin(nodes.addresses(), 1).await);
    let (crowd, mut clients, mut others) = (Arc::new(Crowd::default()), JoinSet::new(), JoinSet::new());
    let told = crowd.clone();
    others.spawn(follow(load.clone(), 0, Route::Stays(1), move |_, seen| _ = told.pilot.send_replace(seen.cursor)));
    for n in 0..usize::try_from(count).unwrap() {
        let (crowd, mut back) = (crowd.clone(), false);
        let heard = move |told: &Told, _: &Seen| back = crowd.heard(told, back);
        clients.spawn(follow(load.clone(), n + 1, Route::Leaves(0), heard));
    }
    let (mut began, mut back) = (crowd.began.subscribe(), crowd.back.subscribe());
    soon("all have their snapshot", began.wait_for(|n| *n >= count)).await.unwrap();
    let mut tellers = JoinSet::new();
    tellers.spawn(tell(load.clone(), crowd.clone()));
    soon("reports", load.answered(REPORTS)).await;

    let (before, reported) = (Instant::now(), load.acknowledged());
    crowd.struck.store(true, Ordering::SeqCst);
    nodes.kill(GATEWAY_ONE);
    soon("all are back", back.wait_for(|n| *n >= count)).await.unwrap();
    let (took, meanwhile) = (before.elapsed(), load.acknowledged() - reported);
    soon("reports", load.answered(REPORTS)).await;
    load.over.send_replace(true);
    all("senders", tellers).await;
    let seen = all("clients", clients).await;
    let pilot = all("the pilot", others).await;
    let peak = memory(nodes.gateway(1), "VmHWM") >> 20;
    // So that it can stop in order.
    nodes.start(GATEWAY_ONE);
    nodes.stop();
    let Tally { acknowledged, lost, doubled, .. } = load.compare(&nodes.log().await);
    println!(
        "crowd: cycles 1, faults 1, {count} clients, back after {took:.1?} in which {meanwhile} inputs were answered, \
         inputs acknowledged {acknowledged}, lost {lost}, doubled {doubled}; answers of 503 with Retry-After {}, other \
         connections lost or in vain {}, peak memory of their gateway {peak} MiB",
        crowd.refused.load(Ordering::Relaxed),
        crowd.lost.load(Ordering::Relaxed),
    );
    for client in seen.iter().chain(&pilot) {
        client.check(load.head());
    }
    assert_eq!((lost, doubled), (0, 0));
}

#[tokio::test]
async fn whoever_finds_no_place_is_told_when_to_come_again_and_does() {
    let centre = OneProcess::start_in(tempfile::tempdir().unwrap(), "[gateway]\nfeed_clients = 2\n", &[]);
    let load = Load::begin(vec![centre.address()], 0).await;
    let options = Options::at(centre.address());
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut feed = Feed::open(&options, &load.session, None).await.unwrap();
        assert!(matches!(feed.next().await.unwrap(), Step::Snapshot(_)));
        inside.push(feed);
    }
    let head = format!(
        "GET /api/v1/feed HTTP/1.1\r\ncookie: {}\r\norigin: http://{}\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: maojiawan.feed.v1",
        load.session.cookie(),
        centre.address(),
    );
    // `connection: close` is asked for by all requests of this kind; one more header of the name adds to it.
    let refused = ask(&centre.address(), &format!("{head}\r\nconnection: upgrade"), b"").await.unwrap();
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("busy")), "{}", refused.body);
    let after = refused.head.lines().find_map(|l| l.strip_prefix("retry-after: ")).expect("when to come again");
    assert!((1..=60).contains(&after.parse::<u64>().unwrap()), "{after}");

    let mut follower = Follower::new(options, load.session.clone(), None);
    let told = follower.next().await.unwrap();
    assert!(matches!(told, Told::Lost(Error::Refused { status: 503, .. })), "{told:?}");
    inside.pop();
    let comes = async { while !matches!(follower.next().await.unwrap(), Told::Step(Step::Snapshot(_))) {} };
    soon("it finds the place that is free", comes).await;
}
