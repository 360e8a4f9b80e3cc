//! How each side of the bus is connected, since when, and why not. Never names an address, a user or a password.

use std::sync::Arc;

use runtime::{Clock, telemetry::names};
use tokio::sync::watch;

/// Why a side is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("Redis 无法连接 Redis cannot be reached")]
    Unreachable,
    /// Connected, but no answer came in time.
    #[error("Redis 没有应答 Redis does not answer")]
    Timeout,
    /// The connection ended.
    #[error("与 Redis 的连接中断 the connection to Redis was lost")]
    Lost,
    /// Wrong user or password, or one is needed.
    #[error("Redis 拒绝用户或口令 Redis refuses the user or the password")]
    Credentials,
    /// The user may not use the channel or a command.
    #[error("Redis 用户缺少权限 the Redis user lacks a permission")]
    Forbidden,
    /// The file with the password cannot be read.
    #[error("Redis 口令文件无法读取 the file of the Redis password cannot be read")]
    PasswordFile,
    /// The file of trusted authorities cannot be read.
    #[error("Redis 的 CA 文件无法读取 the file of authorities for Redis cannot be read")]
    CaFile,
    /// No encrypted connection, or the server's certificate is not trusted.
    #[error("Redis 的加密连接失败 the encrypted connection to Redis failed")]
    Tls,
    /// Redis answered otherwise than expected: starting, full, or older than version 6.
    #[error("Redis 拒绝请求 Redis refuses the request")]
    Refused,
}

/// How one side is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not needed so far: nothing was published, or nobody follows.
    Idle,
    /// The first attempt runs.
    Connecting,
    /// Works.
    Up,
    /// Connected, but nothing is heard: the publisher may be gone, or on another Redis.
    Silent,
    /// Tries again and again.
    Down(Fault),
}

/// One side of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its state.
    pub state: LinkState,
    /// Since when, ms since 1970.
    pub since_ms: i64,
}

/// Both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisStatus {
    /// The connection that publishes.
    pub publisher: Link,
    /// The connection that listens.
    pub subscriber: Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Publisher,
    Subscriber,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        }
    }
}

/// Where both sides tell their state.
#[derive(Debug, Clone)]
pub(super) struct Board {
    status: watch::Sender<RedisStatus>,
    clock: Arc<dyn Clock>,
}

impl Board {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let idle = Link { state: LinkState::Idle, since_ms: clock.now_ms() };
        Self { status: watch::Sender::new(RedisStatus { publisher: idle, subscriber: idle }), clock }
    }

    pub(super) fn watch(&self) -> watch::Receiver<RedisStatus> {
        self.status.subscribe()
    }

    /// Tells, logs and counts a change; the same state again is none, so that retries do not flood the log.
    pub(super) fn set(&self, side: Side, state: LinkState) {
        let since_ms = self.clock.now_ms();
        let changed = self.status.send_if_modified(|status| {
            let link = match side {
                Side::Publisher => &mut status.publisher,
                Side::Subscriber => &mut status.subscriber,
            };
            let changed = link.state != state;
            if changed {
                *link = Link { state, since_ms };
            }
            changed
        });
        if !changed {
            return;
        }
        let up = matches!(state, LinkState::Up | LinkState::Silent);
        metrics::gauge!(names::BUS_CONNECTED, "side" => side.name()).set(f64::from(u8::from(up)));
        match state {
            LinkState::Down(why) => {
                tracing::warn!(bus.side = side.name(), error = %why, "bus is away: followers poll the ledger");
            }
            LinkState::Silent => tracing::warn!(bus.side = side.name(), "nothing is heard on the bus"),
            LinkState::Up => tracing::info!(bus.side = side.name(), "bus is connected"),
            LinkState::Idle | LinkState::Connecting => {}
        }
    }

    /// After a connection ended or failed.
    pub(super) fn failed(&self, side: Side, why: Fault) {
        metrics::counter!(names::BUS_RECONNECTS, "side" => side.name()).increment(1);
        self.set(side, LinkState::Down(why));
    }
}
