//! Follows a bus from a cursor and yields each event once and in order, whatever the bus does.
//!
//! A message after `cursor + 1` reveals a gap: everything up to it was committed before it was published, so the store
//! has it. The head is polled too, so that a lost last message is noticed. Only the store is trusted.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use crate::{Bus, Delivery, Head, LedgerError, Position, Published, Result, Store, Subscription, limits};

/// What a [`Reader`] yields.
#[derive(Debug, Clone)]
pub enum Step {
    /// The event after the one before.
    Event(Arc<Published>),
    /// The log was restored or truncated: take a snapshot and start a new reader. Every later step says so again.
    LogChanged(Head),
}

/// What the store said last about the end of the log.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The last event known to exist.
    pub head: Position,
    /// When the store was asked.
    pub asked: Instant,
}

/// Follows the log.
pub struct Reader {
    store: Arc<dyn Store>,
    /// `None` once the bus is closed.
    subscription: Option<Box<dyn Subscription>>,
    cursor: Position,
    /// The highest sequence number known to exist.
    known: u64,
    /// Read from the store and not yet yielded; at most one page.
    ready: VecDeque<Arc<Published>>,
    poll: Interval,
    changed: Option<Head>,
    knows: watch::Sender<Option<Known>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("cursor", &self.cursor).field("known", &self.known).finish_non_exhaustive()
    }
}

impl Reader {
    /// Yields what comes after `cursor`: a snapshot's position, or a client's. Polls the head every `poll`.
    pub async fn follow(store: Arc<dyn Store>, bus: &dyn Bus, cursor: Position, poll: Duration) -> Result<Self> {
        let subscription = Some(bus.subscribe().await?);
        let mut poll = interval(poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (ready, knows) = (VecDeque::new(), watch::Sender::default());
        Ok(Self { store, subscription, cursor, known: cursor.seq, ready, poll, changed: None, knows })
    }

    /// What it knows of the log's end, also while a step is awaited; `None` before the store has answered.
    pub fn knows(&self) -> watch::Receiver<Option<Known>> {
        self.knows.subscribe()
    }

    /// The last event yielded.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// Asks the store where the log is; whether nothing is waited for but news. Cancel safe.
    pub async fn look(&mut self) -> Result<bool> {
        self.ask_head().await?;
        Ok(self.changed.is_none() && self.ready.is_empty() && self.known == self.cursor.seq)
    }

    /// The next step. Cancel safe. After an error of the store the same call may be repeated (with a back-off).
    pub async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(head) = self.changed {
                return Ok(Step::LogChanged(head));
            }
            if let Some(event) = self.ready.pop_front() {
                return Ok(self.yield_event(event));
            }
            if self.known > self.cursor.seq {
                self.fill().await?;
                continue;
            }
            if let Some(event) = self.wait().await? {
                return Ok(self.yield_event(event));
            }
        }
    }

    fn yield_event(&mut self, event: Arc<Published>) -> Step {
        self.cursor.seq = event.event.seq;
        self.known = self.known.max(self.cursor.seq);
        Step::Event(event)
    }

    /// Waits for the bus or the poll; an event when it is just the next one.
    async fn wait(&mut self) -> Result<Option<Arc<Published>>> {
        let Self { subscription, poll, .. } = self;
        let delivery = tokio::select! {
            // The poll is rare and must not wait behind a bus that never ends; and in order, so that a model can repeat it.
            biased;
            _ = poll.tick() => None,
            delivery = async {
                match subscription {
                    Some(subscription) => subscription.next().await,
                    None => std::future::pending().await,
                }
            } => Some(delivery),
        };
        match delivery {
            Some(Delivery::Message(m)) if m.log_id == self.cursor.log_id => {
                if m.event.seq == self.cursor.seq + 1 || planted(Bug::NewestBelieved) {
                    return Ok(Some(m));
                }
                self.known = self.known.max(m.event.seq);
            }
            Some(Delivery::Closed) => self.subscription = None,
            // Another log, lost messages, or time to ask: the store knows.
            Some(Delivery::Message(_) | Delivery::Lagged) | None => self.ask_head().await?,
        }
        Ok(None)
    }

    async fn ask_head(&mut self) -> Result<()> {
        if planted(Bug::HeadNotPolled) {
            return Ok(());
        }
        let asked = Instant::now();
        let head = self.store.head().await?;
        if head.log_id != self.cursor.log_id || head.seq < self.cursor.seq {
            self.changed = Some(head);
            self.knows.send_replace(None);
        } else {
            self.known = self.known.max(head.seq);
            self.knows.send_replace(Some(Known { head: head.position(), asked }));
        }
        Ok(())
    }

    /// Reads one page of the gap.
    async fn fill(&mut self) -> Result<()> {
        let after = self.cursor.seq;
        let mut events = self.store.tail(after, limits::PAGE).await?;
        if events.is_empty() {
            // What was announced is not there: a message of a log that is no more, or a backend that lags.
            self.known = after;
            self.ask_head().await?;
            if self.changed.is_some() || self.known == after {
                return Ok(());
            }
            // By now it should be.
            events = self.store.tail(after, limits::PAGE).await?;
        }
        let Some(upto) = events.last().map(|e| e.seq) else {
            return Err(LedgerError::corrupt(format!("events {} to {} are missing", after + 1, self.known)));
        };
        if events.iter().zip(after + 1..).any(|(e, seq)| e.seq != seq) {
            return Err(LedgerError::corrupt("the log has a gap"));
        }
        let mut documents: HashMap<u64, Vec<_>> = HashMap::new();
        for document in self.store.documents_between(after, upto).await? {
            documents.entry(document.rev_seq).or_default().push(document);
        }
        // Asked last: if the log was replaced meanwhile, what was read is of no use.
        self.ask_head().await?;
        if self.changed.is_some() {
            return Ok(());
        }
        metrics::counter!(runtime::telemetry::names::GAP_FILLED).increment(events.len() as u64);
        let log_id = self.cursor.log_id;
        self.ready.extend(events.into_iter().map(|event| {
            let documents = documents.remove(&event.seq).unwrap_or_default();
            Arc::new(Published { log_id, event, documents })
        }));
        if planted(Bug::FirstOfGapLost) {
            self.ready.pop_front();
        }
        self.known = self.known.max(upto);
        Ok(())
    }
}

#[cfg(feature = "testing")]
use crate::testing::planted::{Bug, is as planted};

#[cfg(not(feature = "testing"))]
enum Bug {
    FirstOfGapLost,
    NewestBelieved,
    HeadNotPolled,
}

/// Bugs exist only where tests plant them.
#[cfg(not(feature = "testing"))]
const fn planted(_: Bug) -> bool {
    false
}
