//! One stream of the feed: an audience, lossless or conflating, in one form, with its ring, its snapshot and its clients.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use domain::{access::Audience, event::Key};
use wire::feed;

use super::{
    form::{Form, Items},
    porter::{Lane, Porters},
    ring::{Look, Ring},
    supply::{History, Snapshot},
};

/// Why clients start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Slow,
    Policy,
    LogReplaced,
}

impl Why {
    #[cfg(test)]
    pub(super) const ALL: [Self; 3] = [Self::Slow, Self::Policy, Self::LogReplaced];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Policy => "policy",
            Self::LogReplaced => "log_replaced",
        }
    }
}

/// Counts up when all clients must start anew, or look anew whether they see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    /// The last one that voided everything …
    void: u64,
    /// … and why.
    pub(crate) why: Why,
}

impl Epoch {
    /// No client stands in epoch 0.
    pub(crate) const FIRST: Self = Self { number: 1, void: 1, why: Why::LogReplaced };

    /// What clients hold is void.
    pub(crate) const fn anew(self, why: Why) -> Self {
        Self { number: self.number + 1, void: self.number + 1, why }
    }

    /// Somebody's rights changed.
    pub(crate) const fn rights(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    /// Whether who stands in the epoch of this number goes on from its place, if it sees the same as before.
    pub(crate) const fn goes_on_from(self, number: u64) -> bool {
        number >= self.void
    }
}

/// What makes a stream.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) audience: Audience,
    /// Latest states on a tick, else every event.
    pub(crate) conflate: bool,
    pub(crate) form: Form,
}

pub(crate) struct Inner {
    pub(crate) ring: Ring,
    pub(crate) epoch: Epoch,
    /// Conflating: aggregates that changed since the last frame.
    pub(crate) touched: BTreeSet<Key>,
    /// Conflating: aggregates that went out of sight since the last frame.
    pub(crate) gone: BTreeSet<Key>,
}

pub(crate) struct Stream {
    pub(crate) audience: Audience,
    pub(crate) conflate: bool,
    pub(crate) form: Form,
    inner: Mutex<Inner>,
    lanes: Box<[Lane]>,
    porters: Arc<Porters>,
    /// Counts what is new; the number itself means nothing.
    news: AtomicU64,
    /// Only one snapshot is made at a time.
    pub(super) making: tokio::sync::Mutex<()>,
    /// The newest snapshot.
    pub(super) snapshot: Mutex<Option<Snapshot>>,
    /// What came before the ring, while clients ask for it; the lock also makes sure that it is read only once.
    pub(super) history: tokio::sync::Mutex<Option<Arc<History>>>,
    /// Heartbeats since it had a client.
    pub(super) idle: AtomicU32,
}

impl Stream {
    pub(super) fn new(kind: Kind, ring: Ring, epoch: Epoch, porters: Arc<Porters>) -> Self {
        let inner = Inner { ring, epoch, touched: BTreeSet::new(), gone: BTreeSet::new() };
        Self {
            audience: kind.audience,
            conflate: kind.conflate,
            form: kind.form,
            inner: Mutex::new(inner),
            lanes: (0..porters.lanes()).map(|_| Lane::default()).collect(),
            porters,
            news: AtomicU64::new(0),
            making: tokio::sync::Mutex::default(),
            snapshot: Mutex::default(),
            history: tokio::sync::Mutex::default(),
            idle: AtomicU32::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lane(&self, lane: usize) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// One round over the clients of a lane.
    pub(super) async fn sweep(&self, lane: usize, beat: Option<&Bytes>) {
        let news = self.news.load(Ordering::Acquire);
        if let Some(lane) = self.lanes.get(lane) {
            lane.sweep(self, news, beat).await;
        }
    }

    fn wake(&self, head: u64) {
        self.news.fetch_add(1, Ordering::Release);
        self.porters.wake(head);
    }

    /// Everybody starts anew from `ring`.
    pub(crate) fn restart(&self, ring: Ring, epoch: Epoch) {
        let head = ring.seen();
        {
            let mut inner = self.lock();
            *inner = Inner { ring, epoch, touched: BTreeSet::new(), gone: BTreeSet::new() };
        }
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.wake(head);
    }

    /// Somebody's rights changed: nothing is given before each client has looked what it sees.
    pub(crate) fn rights(&self, epoch: Epoch) {
        self.lock().epoch = epoch;
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    pub(super) fn clients(&self) -> usize {
        self.lanes.iter().map(Lane::clients).sum()
    }

    /// Goes on from `ring` if that is further: who stands before it gets what lies between from the log.
    pub(crate) fn refill(&self, ring: Ring) {
        let head = ring.seen();
        {
            let mut inner = self.lock();
            if inner.ring.seen() >= head {
                return;
            }
            *inner = Inner { ring, epoch: inner.epoch, touched: BTreeSet::new(), gone: BTreeSet::new() };
        }
        self.wake(head);
    }

    /// What the events up to `upto` mean here.
    pub(crate) fn push(&self, upto: u64, now: i64, news: News) {
        let items = if self.conflate { Items::default() } else { self.form.items(&news.items) };
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
            inner.ring.push_items(upto, now, items);
        }
        self.wake(upto);
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
    pub(crate) fn conflated(&self, upto: u64, now: i64, items: &[feed::Item]) {
        let items = self.form.items(items);
        {
            let mut inner = self.lock();
            inner.touched.clear();
            inner.gone.clear();
            inner.ring.push_items(upto, now, items);
        }
        self.wake(upto);
    }

    /// Lets cursors of quiet streams advance.
    pub(crate) fn flush(&self, now: i64) {
        let flushed = {
            let mut inner = self.lock();
            inner.ring.flush(now).then(|| inner.ring.seen())
        };
        if let Some(head) = flushed {
            self.wake(head);
        }
    }

    /// What follows `cursor` in the epoch that it belongs to; the newer epoch otherwise.
    pub(crate) fn look(&self, epoch: u64, cursor: u64) -> Result<Look, Epoch> {
        let inner = self.lock();
        if inner.epoch.number == epoch { Ok(inner.ring.look(cursor)) } else { Err(inner.epoch) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_went_on_is_filled_from_itself() {
        let ring = |head| Ring::new(Form::Protobuf, 9, head, 8, 1 << 10, false);
        let kind = Kind { audience: Audience::Centre, conflate: false, form: Form::Protobuf };
        let epoch = Epoch::FIRST;
        let stream = Stream::new(kind, ring(3), epoch, Arc::new(Porters::new(1)));
        assert!(matches!(stream.look(1, 3), Ok(Look::Messages(_, 3))));
        stream.refill(ring(7));
        assert!(matches!(stream.look(1, 3), Ok(Look::Off)), "what lies between comes from the log, nobody starts anew");
        assert!(matches!(stream.look(1, 7), Ok(Look::Messages(_, 7))));
        stream.push(8, 0, News::default());
        stream.refill(ring(7));
        assert_eq!(stream.lock().ring.seen(), 8, "nothing goes back");
        stream.rights(epoch.rights());
        assert!(matches!(stream.look(1, 8), Err(e) if e.goes_on_from(1)), "who sees the same goes on");
        stream.restart(ring(2), epoch.rights().anew(Why::LogReplaced));
        assert!(matches!(stream.look(2, 7), Err(e) if !e.goes_on_from(2)), "of another log all is void");
        stream.rights(epoch.rights().anew(Why::LogReplaced).rights());
        assert!(matches!(stream.look(2, 7), Err(e) if !e.goes_on_from(2)), "and stays so");
    }
}
