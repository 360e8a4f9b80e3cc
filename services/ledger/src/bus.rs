//! The bus carries what was committed to whoever follows. It delivers at most once, maybe twice, maybe out of order;
//! [`crate::Reader`] makes each event arrive once and in order.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{DocumentRow, Result, StoredEvent};

/// One committed event with the documents that it changed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The log that `event.seq` counts in.
    pub log_id: u64,
    /// The event.
    pub event: StoredEvent,
    /// Documents whose revision is this event. When read back from the store, those that later events changed again
    /// are missing here and come with the later event: followers that merge by `rev_seq` converge.
    pub documents: Vec<DocumentRow>,
}

/// What a subscription yields.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A message.
    Message(Arc<Published>),
    /// Messages were lost: the subscriber was too slow, or the bus was away.
    Lagged,
    /// The bus is gone for good; the head can still be polled.
    Closed,
}

/// A bus. Publishing never waits for subscribers.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands over committed events in order. An error delays followers until they poll, and loses nothing.
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()>;
    /// Messages from now on.
    async fn subscribe(&self) -> Result<Box<dyn Subscription>>;
}

/// The receiving end.
#[async_trait]
pub trait Subscription: Send {
    /// The next delivery. Cancel safe.
    async fn next(&mut self) -> Delivery;
}

#[async_trait]
impl<B: Bus + ?Sized> Bus for Arc<B> {
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()> {
        (**self).publish(events).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        (**self).subscribe().await
    }
}

/// The bus of one process. A subscriber may lag by its capacity.
#[derive(Debug, Clone)]
pub struct LocalBus(broadcast::Sender<Arc<Published>>);

impl LocalBus {
    /// Keeps `capacity` messages for the slowest subscriber.
    pub fn new(capacity: usize) -> Self {
        Self(broadcast::Sender::new(capacity.max(1)))
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, events: Vec<Arc<Published>>) -> Result<()> {
        for event in events {
            // No subscriber is no error.
            let _ = self.0.send(event);
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(self.0.subscribe()))
    }
}

#[async_trait]
impl Subscription for broadcast::Receiver<Arc<Published>> {
    async fn next(&mut self) -> Delivery {
        match self.recv().await {
            Ok(message) => Delivery::Message(message),
            Err(broadcast::error::RecvError::Lagged(_)) => Delivery::Lagged,
            Err(broadcast::error::RecvError::Closed) => Delivery::Closed,
        }
    }
}
