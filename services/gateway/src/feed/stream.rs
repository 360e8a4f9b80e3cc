//! One stream of the feed: an audience, lossless or conflating, with its ring and its snapshot.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use domain::{access::Audience, event::Key};
use tokio::sync::watch;
use wire::feed;

use super::ring::{Look, Ring};

/// Why clients start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Slow,
    Policy,
    LogReplaced,
    Draining,
}

impl Why {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Policy => "policy",
            Self::LogReplaced => "log_replaced",
            Self::Draining => "draining",
        }
    }
}

/// Counts up when all clients must start anew, and says why they last had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) why: Why,
}

pub(crate) struct Inner {
    pub(crate) ring: Ring,
    pub(crate) epoch: Epoch,
    /// Conflating: aggregates that changed since the last frame.
    pub(crate) touched: BTreeSet<Key>,
    /// Conflating: aggregates that went out of sight since the last frame.
    pub(crate) gone: BTreeSet<Key>,
}

/// An encoded snapshot.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) epoch: u64,
    pub(crate) log_id: u64,
    pub(crate) seq: u64,
    pub(crate) message: Bytes,
}

pub(crate) struct Stream {
    pub(crate) audience: Audience,
    pub(crate) conflate: bool,
    inner: Mutex<Inner>,
    /// Wakes clients; the number itself means nothing.
    news: watch::Sender<u64>,
    /// The newest snapshot; the lock also makes sure that only one is made at a time.
    pub(crate) snapshot: tokio::sync::Mutex<Option<Snapshot>>,
}

impl Stream {
    pub(crate) fn new(audience: Audience, conflate: bool, ring: Ring, epoch: Epoch) -> Self {
        let inner = Inner { ring, epoch, touched: BTreeSet::new(), gone: BTreeSet::new() };
        Self {
            audience,
            conflate,
            inner: Mutex::new(inner),
            news: watch::Sender::new(0),
            snapshot: tokio::sync::Mutex::new(None),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) fn wake(&self) {
        self.news.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Everybody starts anew from `ring`.
    pub(crate) fn restart(&self, ring: Ring, epoch: Epoch) {
        {
            let mut inner = self.lock();
            *inner = Inner { ring, epoch, touched: BTreeSet::new(), gone: BTreeSet::new() };
        }
        self.wake();
    }

    /// What the events up to `upto` mean here.
    pub(crate) fn push(&self, upto: u64, now: i64, news: News) {
        {
            let mut inner = self.lock();
            if upto <= inner.ring.seen() {
                return;
            }
            if self.conflate {
                for key in news.gone {
                    inner.touched.remove(&key);
                    inner.gone.insert(key);
                }
                for key in news.touched {
                    inner.gone.remove(&key);
                    inner.touched.insert(key);
                }
                if inner.touched.is_empty() && inner.gone.is_empty() {
                    inner.ring.extend(upto);
                }
                return;
            }
            if news.items.is_empty() {
                inner.ring.extend(upto);
                return;
            }
            inner.ring.push_items(upto, now, news.items);
        }
        self.wake();
    }

    /// Conflating: what waits for a frame.
    pub(crate) fn waiting(&self) -> Vec<Key> {
        self.lock().touched.iter().cloned().collect()
    }

    /// Conflating: whether a frame is due.
    pub(crate) fn dirty(&self) -> bool {
        let inner = self.lock();
        !inner.touched.is_empty() || !inner.gone.is_empty()
    }

    /// Conflating: the frame with the latest states.
    pub(crate) fn conflated(&self, upto: u64, now: i64, items: Vec<feed::Item>) {
        {
            let mut inner = self.lock();
            inner.touched.clear();
            inner.gone.clear();
            inner.ring.push_items(upto, now, items);
        }
        self.wake();
    }

    /// Lets cursors of quiet streams advance.
    pub(crate) fn flush(&self, now: i64) {
        let flushed = self.lock().ring.flush(now);
        if flushed {
            self.wake();
        }
    }

    /// What follows `cursor` in the epoch that it belongs to; the newer epoch otherwise.
    pub(crate) fn look(&self, epoch: u64, cursor: u64, now: i64) -> Result<Look, Epoch> {
        let inner = self.lock();
        if inner.epoch.number == epoch { Ok(inner.ring.look(cursor, now)) } else { Err(inner.epoch) }
    }
}

/// What a batch of events means to one stream.
#[derive(Default)]
pub(crate) struct News {
    /// Lossless: events with states.
    pub(crate) items: Vec<feed::Item>,
    /// Conflating: visible aggregates that changed.
    pub(crate) touched: Vec<Key>,
    /// Aggregates that went out of sight.
    pub(crate) gone: Vec<Key>,
}
