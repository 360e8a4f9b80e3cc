//! What `/readyz` and the device page say about sensing.

use std::sync::Arc;

use crate::devices::Devices;

/// State of the connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BrokerState {
    /// Not connected yet.
    #[default]
    Starting,
    /// Subscribed.
    Connected,
    /// Not connected: why.
    Lost(String),
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages taken.
    pub messages: u64,
    /// Readings stored.
    pub readings: u64,
    /// Edges of rules handed to the writer.
    pub edges: u64,
    /// Messages larger than taken.
    pub oversize: u64,
    /// Messages of no known shape.
    pub malformed: u64,
    /// Messages of devices that the site does not have.
    pub unknown_device: u64,
    /// Numbers whose unit nobody tells, set aside.
    pub unknown_unit: u64,
    /// Readings of long ago that would have called somebody, filed.
    pub old: u64,
    /// Observations that the core refused, and batches that the store refused for good.
    pub refused: u64,
    /// QoS 0 messages dropped because the queue was full.
    pub dropped: u64,
    /// Answers dropped because their connection was gone.
    pub stale_acks: u64,
    /// Answers sent to the broker.
    pub acked: u64,
    /// Starts of the child broker.
    pub broker_starts: u64,
    /// How often the running child broker was told to read anew who may log in.
    pub broker_reloads: u64,
}

/// State of sensing.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The broker.
    pub broker: BrokerState,
    /// Since when, ms.
    pub since_ms: i64,
    /// Why nothing can be stored or handed on now, and since when (ms).
    pub held: Option<(String, i64)>,
    /// Why the child broker does not listen for devices elsewhere, though it should.
    pub listener: Option<String>,
    /// Port of the child broker.
    pub port: Option<u16>,
    /// Process id of the child broker while it runs.
    pub broker_pid: Option<u32>,
    /// Counts.
    pub counts: Counts,
    /// Each device: its state, and what it said word for word.
    pub devices: Arc<Devices>,
}

impl Status {
    /// Everything is as it should be.
    pub fn ready(&self) -> bool {
        self.broker == BrokerState::Connected && self.held.is_none() && self.listener.is_none()
    }
}
