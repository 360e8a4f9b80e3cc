//! `kill -9` of each process of a centre at random points under load. `KILL_CYCLES` runs more cycles, `KILL_SEED` others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use crate::{
    all, answered,
    broker::Tap,
    cluster::{Cluster, Nodes, OneProcess},
    follow::{Route, follow},
    left::complete,
    load::Load,
    number, sensors,
};

const TELLERS: usize = 6;
const CLIENTS: usize = 4;
const SENSORS: usize = 3;

/// Kills parts of `cluster`, whose sensors are behind `tap`, under load, starts them again, and looks at what is left.
async fn survive(tap: Arc<Tap>, mut cluster: impl Cluster) {
    let (cycles, seed) = (number("KILL_CYCLES", 6), number("KILL_SEED", 1));
    let mut rng = StdRng::seed_from_u64(seed);
    let load = Arc::new(Load::begin(cluster.addresses(), TELLERS).await);
    let (mut tellers, mut clients, mut devices) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for n in 0..TELLERS {
        tellers.spawn(load.clone().tell(n, Duration::ZERO));
    }
    for n in 0..CLIENTS {
        clients.spawn(follow(load.clone(), n, Route::Roams, |_, _| {}));
    }
    let quiet = tokio::sync::watch::Sender::new(false);
    for sensor in sensors::paced(SENSORS, Duration::ZERO) {
        devices.spawn(sensors::measure(tap.clone(), sensor, quiet.subscribe()));
    }
    let parts = cluster.parts();
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    for _ in 0..cycles {
        answered(&load, rng.random_range(3..60), &mut tellers).await;
        // One, or now and then two at once.
        let mut victims = vec![rng.random_range(0..parts.len())];
        if rng.random_ratio(1, 4) {
            victims.push(rng.random_range(0..parts.len()));
        }
        victims.sort_unstable();
        victims.dedup();
        for part in &victims {
            *faults.entry(parts[*part]).or_default() += 1;
            cluster.kill(*part);
        }
        victims.into_iter().for_each(|part| cluster.start(part));
    }
    quiet.send_replace(true);
    let told = all("sensors", devices).await;
    // What is answered from here on comes after all that the sensors told.
    answered(&load, 10, &mut tellers).await;
    load.over.send_replace(true);
    all("senders", tellers).await;
    let seen = all("clients", clients).await;
    cluster.stop();
    let log = cluster.log().await;
    let spoilt = tap.spoilt();
    let what = format!(
        "kill: {}, seed {seed}, cycles {cycles}, faults {faults:?}, messages of sensors {spoilt:?}",
        cluster.name()
    );
    complete(&what, &load, sensors::compare(&told, &log), &seen, &log);
    assert!(spoilt.swapped + spoilt.overtaken > 0, "the line is a good one: {spoilt:?}");
}

/// Sensors' line to the centre, which holds, swaps and doubles.
async fn spoilt_line() -> (Arc<Tap>, JoinSet<()>) {
    let tap = Tap::spoiling(number("KILL_SEED", 1)).await;
    let mut passing = JoinSet::new();
    passing.spawn(tap.clone().pass());
    (tap, passing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_on_sqlite() {
    let (tap, _passing) = spoilt_line().await;
    survive(tap.clone(), OneProcess::with_sensors(&tap, &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_and_two_gateways() {
    let (tap, _passing) = spoilt_line().await;
    survive(tap.clone(), Nodes::start(&tap, "")).await;
}
