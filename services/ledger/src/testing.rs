//! For tests of those who follow the log: a bus that misbehaves, a ledger in memory, bugs that a test must find, a
//! PostgreSQL server, a small disk and networks of their own, and a witness of system calls.

pub mod memory;
pub mod networks;
pub mod permitted;
pub mod planted;
pub mod postgres;
pub mod trace;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{Bus, Published, Result, Subscription};

tokio::task_local! {
    /// Steps that long work may still take before it breaks off, as a crash would break it off.
    static STEPS: std::cell::Cell<u32>;
}

/// Runs work that breaks off with an error after `steps` of its steps; for [`crate::Log::archive`].
pub async fn broken_off<T>(steps: u32, work: impl Future<Output = T>) -> T {
    STEPS.scope(std::cell::Cell::new(steps), work).await
}

/// A step of such work.
pub(crate) fn step() -> Result<()> {
    let left = STEPS.try_with(|steps| {
        let left = steps.get();
        steps.set(left.saturating_sub(1));
        left
    });
    match left {
        Ok(0) => Err(crate::LedgerError::Io("broken off here by a test".into())),
        _ => Ok(()),
    }
}

/// Says that a test cannot run on this machine. Where it must, as root in CI, that is a failure.
#[allow(clippy::disallowed_methods, reason = "how tests run is said by their environment")]
pub fn skipped(why: &str) {
    let must = postgres::is_root() && std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!must, "CI must run this: {why}");
    eprintln!("SKIPPED 已跳过: {why}");
}

/// How often things go wrong, in per cent of the messages.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Never delivered.
    pub dropped: u8,
    /// Delivered twice.
    pub doubled: u8,
    /// Delivered after later ones, or never.
    pub held: u8,
}

/// Drops, doubles and reorders the messages of another bus; the same seed does the same.
pub struct FaultyBus<B> {
    inner: B,
    faults: Faults,
    state: Mutex<(StdRng, Vec<Arc<Published>>)>,
}

impl<B: Bus> FaultyBus<B> {
    /// Spoils `inner`.
    pub fn new(inner: B, seed: u64, faults: Faults) -> Self {
        Self { inner, faults, state: Mutex::new((StdRng::seed_from_u64(seed), Vec::new())) }
    }

    fn spoil(&self, events: Vec<Arc<Published>>) -> Vec<Arc<Published>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (rng, held) = &mut *state;
        let mut out = Vec::new();
        for event in events {
            let roll = rng.random_range(0..100);
            let Faults { dropped, doubled, held: later } = self.faults;
            if roll < dropped {
                continue;
            }
            if roll < dropped + doubled {
                out.push(event.clone());
            } else if roll < dropped + doubled + later {
                held.push(event);
                continue;
            }
            out.push(event);
            if !held.is_empty() && rng.random_bool(0.5) {
                out.push(held.swap_remove(rng.random_range(0..held.len())));
            }
        }
        out
    }
}

#[async_trait]
impl<B: Bus> Bus for FaultyBus<B> {
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()> {
        let spoilt = self.spoil(events);
        self.inner.publish(spoilt).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe().await
    }
}
