//! Faults of processes, disks and networks, struck at the real binary and real servers under load: what was acknowledged
//! is in the log exactly once, every client's sequence is complete, and nobody is told that something holds before it does.
//!
//! `KILL_CYCLES`, `NETWORK_CYCLES`, `CLOCK_CYCLES` and `FEED_CLIENTS` set how much; `KILL_SEED`, `NETWORK_SEED` and
//! `CLOCK_SEED` what exactly.
#![allow(clippy::unwrap_used)]

mod broker;
mod clock;
mod cluster;
mod crowd;
mod disk;
mod follow;
mod kill;
mod left;
mod load;
mod network;
mod order;
mod relay;
mod sensors;
mod slow;
mod spoil;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use tokio::{task::JoinSet, time::timeout};

use load::Load;

/// Nothing takes so long that does not hang.
const PATIENCE: Duration = Duration::from_secs(120);

#[allow(clippy::disallowed_methods, reason = "how a test runs is said by its environment")]
fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u64) -> u64 {
    from_environment(name).map_or(default, |n| n.parse().unwrap())
}

/// What comes within the patience.
async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    timeout(PATIENCE, coming).await.unwrap_or_else(|_| panic!("it takes too long: {what}"))
}

/// What all of them return, when they end.
async fn all<T: 'static>(what: &str, mut tasks: JoinSet<T>) -> Vec<T> {
    let mut ended = Vec::new();
    while let Some(one) = soon(what, tasks.join_next()).await {
        ended.push(one.unwrap());
    }
    ended
}

/// Until so many more inputs are answered.
async fn answered(load: &Load, more: u64, tellers: &mut JoinSet<()>) {
    tokio::select! {
        () = soon("inputs are answered again", load.answered(more)) => {}
        Some(ended) = tellers.join_next() => panic!("a sender ended: {ended:?}"),
    }
}

/// Until something holds that only asking tells.
async fn until(what: &str, asked: impl AsyncFn() -> bool) {
    let holds = async {
        while !asked().await {
            // So that the asking leaves the machine to those who are asked.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(what, holds).await;
}
