//! Calls to the centre, at least once and in order: one bounded queue and one worker a sender. A call that fails is
//! tried again with back-off until the centre answers; a refusal is final and counted, and so is what finds the queue
//! full.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use runtime::{Clock, retry::Backoff};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Secret,
    sign::{KEY, SIGNATURE, TIMESTAMP, sign},
};

/// Calls that may wait for the centre, of each sender.
const CAPACITY: usize = 256;

/// The queue to the centre is full; what was to be sent is lost and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("发往中心的队列已满 the queue to the centre is full")]
pub struct Full;

/// What became of calls so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Tally {
    /// Answered 2xx.
    pub sent: u64,
    /// Answered 4xx: given up.
    pub refused: u64,
    /// Attempts that failed and were repeated.
    pub retried: u64,
    /// Lost because the queue was full.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
    lost: AtomicU64,
}

struct Letter {
    key: String,
    body: Bytes,
}

/// The sender's end.
#[derive(Debug, Clone)]
pub struct Courier {
    queue: mpsc::Sender<Letter>,
    counters: Arc<Counters>,
}

/// The worker's end.
pub struct Round {
    queue: mpsc::Receiver<Letter>,
    counters: Arc<Counters>,
    client: reqwest::Client,
    url: String,
    secret: Secret,
    clock: Arc<dyn Clock>,
}

/// A courier to one address of the centre, and the worker that somebody must run.
pub fn courier(client: reqwest::Client, url: String, secret: Secret, clock: Arc<dyn Clock>) -> (Courier, Round) {
    let (tx, rx) = mpsc::channel(CAPACITY);
    let counters = Arc::new(Counters::default());
    let round = Round { queue: rx, counters: counters.clone(), client, url, secret, clock };
    (Courier { queue: tx, counters }, round)
}

impl Courier {
    /// Queues a body under a key that stays the same over all attempts.
    pub fn send(&self, key: String, body: &serde_json::Value) -> Result<(), Full> {
        let body = Bytes::from(body.to_string());
        self.queue.try_send(Letter { key, body }).map_err(|_| {
            self.counters.lost.fetch_add(1, Relaxed);
            Full
        })
    }

    /// What became of calls so far.
    pub fn tally(&self) -> Tally {
        let c = &self.counters;
        let read = |n: &AtomicU64| n.load(Relaxed);
        Tally { sent: read(&c.sent), refused: read(&c.refused), retried: read(&c.retried), lost: read(&c.lost) }
    }
}

impl Round {
    /// Carries letters until told to stop; what is not delivered then is lost with the process, as with a real phone.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(20));
        loop {
            let letter = tokio::select! {
                () = stop.cancelled() => return,
                letter = self.queue.recv() => letter,
            };
            let Some(letter) = letter else { return };
            loop {
                let outcome = tokio::select! {
                    () = stop.cancelled() => return,
                    outcome = self.carry(&letter) => outcome,
                };
                if outcome {
                    backoff.reset();
                    break;
                }
                self.counters.retried.fetch_add(1, Relaxed);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff.delay()) => {}
                }
            }
        }
    }

    /// One attempt; `true` when the letter is done with.
    async fn carry(&self, letter: &Letter) -> bool {
        // Signed anew each time: an old signature would fall out of the receiver's window during an outage.
        let now = self.clock.now_ms() / 1_000;
        let answer = self
            .client
            .post(&self.url)
            .header(SIGNATURE, sign(&self.secret, now, &letter.key, &letter.body))
            .header(TIMESTAMP, now.to_string())
            .header(KEY, &letter.key)
            .header("Content-Type", "application/json")
            .body(letter.body.clone())
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => {
                self.counters.sent.fetch_add(1, Relaxed);
                true
            }
            Ok(answer) if answer.status().is_client_error() && !matches!(answer.status().as_u16(), 408 | 429) => {
                tracing::warn!(url = %self.url, status = %answer.status(), "the centre refused a call");
                self.counters.refused.fetch_add(1, Relaxed);
                true
            }
            Ok(answer) => {
                tracing::debug!(url = %self.url, status = %answer.status(), "the centre cannot take a call now");
                false
            }
            Err(error) => {
                tracing::debug!(url = %self.url, %error, "the centre does not answer");
                false
            }
        }
    }
}
