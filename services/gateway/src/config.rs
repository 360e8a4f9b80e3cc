//! What the operator sets of the gateway, and its bounds.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

/// Settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the built dashboard; none = the API only.
    pub dashboard: Option<PathBuf>,
    /// Browsers reach us over TLS (a proxy ends it): cookies are `Secure`, origins are `https`.
    pub tls: bool,
    /// A session ends after this many hours without a request; walls never.
    pub idle_hours: u32,
    /// A session ends at the latest after this many days; walls after ten years.
    pub session_days: u32,
    /// Open TCP connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Feed sockets; a further one is told to come again.
    pub feed_clients: usize,
    /// Media sockets; a further one is told to come again.
    pub media_clients: usize,
    /// Frames that a stream keeps for slow and resuming clients.
    pub ring_frames: usize,
    /// Bytes of these frames.
    pub ring_bytes: usize,
    /// Bytes of all snapshots that are kept for clients to come.
    pub snapshot_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dashboard: None,
            tls: false,
            idle_hours: 12,
            session_days: 7,
            connections: 8_192,
            feed_clients: 4_096,
            media_clients: 256,
            ring_frames: 8_192,
            ring_bytes: 32 << 20,
            snapshot_bytes: 64 << 20,
        }
    }
}

/// Longest JSON body, bytes.
pub(crate) const BODY: usize = 64 << 10;
/// A request's body must come within this time.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(120);
/// Longest photo, bytes.
pub(crate) const PHOTO: usize = 6 << 20;
/// Longest message from a socket's client, bytes.
pub(crate) const SOCKET_MESSAGE: usize = 4 << 10;
/// Read buffer of a socket, bytes.
pub(crate) const SOCKET_READ: usize = 4 << 10;
/// Bytes that the kernel may hold for one feed client (it doubles them) …
pub(crate) const FEED_SEND_BUFFER: usize = 64 << 10;
/// … and of these, bytes that have not left for the network: what is newer waits in the ring, where it can be left out.
pub(crate) const FEED_UNSENT: u32 = 32 << 10;
/// A feed client that acknowledges nothing for this long is gone.
pub(crate) const NETWORK_PATIENCE: Duration = Duration::from_secs(30);
/// A client that was told that the socket closes has this long to read it.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// A socket that takes nothing for this long is closed.
pub(crate) const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// The first message of a socket must come within this time.
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// Request headers must come within this time.
pub(crate) const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// Conflating streams are told this often at most.
pub(crate) const CONFLATE_TICK: Duration = Duration::from_millis(50);
/// Server time and head are told this often.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
/// The ledger's head is asked this often, in case the bus lost the last message.
pub(crate) const HEAD_POLL: Duration = Duration::from_millis(500);

/// What the demo adds.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Base address of the simulator's API, `http://127.0.0.1:port`.
    pub simulator_url: String,
    /// Its bearer token.
    pub token: String,
    /// Accounts that the login page offers.
    pub accounts: Vec<DemoAccount>,
}

/// An account of the demo; its password is public on purpose.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct DemoAccount {
    /// Name to log in with.
    pub account: String,
    /// Password.
    pub password: String,
    /// Role.
    pub role: String,
    /// What to call it, Chinese.
    pub name_zh: String,
    /// What to call it, English.
    pub name_en: String,
}
