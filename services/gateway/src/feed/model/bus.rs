//! A bus that drops, doubles, delays and reorders, and is down at times.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use ledger::{Bus, Delivery, LedgerError, Published, Result, Subscription};
use tokio::sync::Notify;

use super::chance::Chance;

/// Messages kept for a slow subscriber.
const LAG: usize = 64;

#[derive(Default)]
struct Inbox {
    waiting: Mutex<VecDeque<Delivery>>,
    news: Notify,
}

impl Inbox {
    fn put(&self, delivery: Delivery) {
        let mut waiting = self.waiting.lock().unwrap();
        if waiting.len() == LAG {
            waiting.clear();
            waiting.push_back(Delivery::Lagged);
        }
        waiting.push_back(delivery);
        self.news.notify_one();
    }
}

/// What carries messages between processes.
#[derive(Clone)]
pub(super) struct Net {
    chance: Chance,
    inboxes: Arc<Mutex<Vec<Weak<Inbox>>>>,
    down: Arc<AtomicBool>,
}

impl Net {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, inboxes: Arc::default(), down: Arc::default() }
    }

    /// The bus as one process reaches it.
    pub(super) fn open(&self) -> NetBus {
        NetBus { net: self.clone(), alive: Arc::new(AtomicBool::new(true)) }
    }

    pub(super) fn fail(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Back; it tells some that they missed something, and others nothing at all.
    pub(super) fn heal(&self) {
        self.down.store(false, Ordering::SeqCst);
        for inbox in self.living() {
            if self.chance.per_cent(50) {
                inbox.put(Delivery::Lagged);
            }
        }
    }

    fn living(&self) -> Vec<Arc<Inbox>> {
        let mut inboxes = self.inboxes.lock().unwrap();
        inboxes.retain(|i| i.strong_count() > 0);
        inboxes.iter().filter_map(Weak::upgrade).collect()
    }

    fn carry(&self, event: &Arc<Published>, inbox: &Arc<Inbox>) {
        let message = Delivery::Message(event.clone());
        let chance = &self.chance;
        if chance.strikes(60, "message dropped") {
            return;
        }
        if chance.strikes(40, "message doubled") {
            inbox.put(message.clone());
        }
        if chance.strikes(120, "message late") {
            let (late, inbox) = (chance.ms(1..600), Arc::downgrade(inbox));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if let Some(inbox) = inbox.upgrade() {
                    inbox.put(message);
                }
            });
            return;
        }
        inbox.put(message);
    }
}

/// One process's end.
#[derive(Clone)]
pub(super) struct NetBus {
    net: Net,
    alive: Arc<AtomicBool>,
}

impl NetBus {
    /// Its process died.
    pub(super) fn kill(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for NetBus {
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()> {
        if !self.alive.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        if self.net.down.load(Ordering::SeqCst) {
            return if self.net.chance.per_cent(50) {
                Ok(())
            } else {
                Err(LedgerError::Unavailable("the bus is down".into()))
            };
        }
        for inbox in self.net.living() {
            events.iter().for_each(|event| self.net.carry(event, &inbox));
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let inbox = Arc::new(Inbox::default());
        if self.net.chance.strikes(50, "bus closed to a subscriber") {
            inbox.put(Delivery::Closed);
        } else {
            self.net.inboxes.lock().unwrap().push(Arc::downgrade(&inbox));
        }
        Ok(Box::new(Ear(inbox)))
    }
}

struct Ear(Arc<Inbox>);

#[async_trait]
impl Subscription for Ear {
    async fn next(&mut self) -> Delivery {
        loop {
            let first = self.0.waiting.lock().unwrap().pop_front();
            match first {
                Some(delivery) => return delivery,
                None => self.0.news.notified().await,
            }
        }
    }
}
