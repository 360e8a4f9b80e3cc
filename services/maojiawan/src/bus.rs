//! The bus of the process, inside it or over Redis, and how it is, for `/readyz`.

use std::sync::Arc;

use anyhow::Context as _;
use gateway::{Dependency, Status};
use ledger::{Bus, Link, LinkState, LocalBus, Position, RedisBus, Store};
use runtime::{Clock, Tasks};

use crate::config;

/// Events that the slowest follower of the in-process bus may lag by.
const LAG: usize = 8_192;

/// One of both.
#[derive(Clone)]
pub(crate) enum Fanout {
    /// Since when, ms.
    Local(LocalBus, i64),
    Redis(RedisBus),
}

impl Fanout {
    /// Redis if it is configured; whether it is there shows later.
    pub(crate) fn start(
        config: &config::Bus,
        site: &str,
        store: &dyn Store,
        clock: &Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let Some(options) = config.redis()? else { return Ok(Self::Local(LocalBus::new(LAG), clock.now_ms())) };
        // Only those who hold the ledger's secret can make or change a message.
        let key = store.request_hash(b"bus over redis");
        let bus =
            RedisBus::start(options, site, key, clock.clone(), tasks).context("总线无法启动 the bus cannot start")?;
        Ok(Self::Redis(bus))
    }

    pub(crate) fn port(&self) -> Arc<dyn Bus> {
        match self {
            Self::Local(bus, _) => Arc::new(bus.clone()),
            Self::Redis(bus) => Arc::new(bus.clone()),
        }
    }

    /// What the writer found, so that others hear of it before the first event.
    pub(crate) fn announce(&self, head: Position) {
        if let Self::Redis(bus) = self {
            bus.announce(head);
        }
    }

    /// For `/readyz`. Without it everything works, later by the time of a poll.
    pub(crate) fn dependency(&self) -> Dependency {
        let (link, detail) = match self {
            Self::Local(_, since_ms) => {
                (Link { state: LinkState::Up, since_ms: *since_ms }, "本进程内 in this process".to_owned())
            }
            Self::Redis(bus) => {
                let status = *bus.status().borrow();
                worse(status.publisher, status.subscriber)
            }
        };
        Dependency {
            name: "bus".to_owned(),
            state: status(link.state),
            since_ms: link.since_ms,
            fatal: false,
            detail: Some(detail),
        }
    }
}

/// The side to show, and what to say of it.
fn worse(publisher: Link, subscriber: Link) -> (Link, String) {
    let (link, side) = if badness(publisher.state) >= badness(subscriber.state) {
        (publisher, "发布 publishing")
    } else {
        (subscriber, "订阅 listening")
    };
    let detail = match link.state {
        LinkState::Down(why) => format!("{side}: {why}"),
        LinkState::Silent => "Redis 上没有心跳 no heartbeat is heard over Redis".to_owned(),
        LinkState::Connecting => format!("{side}: 正在连接 Redis connecting to Redis"),
        LinkState::Idle | LinkState::Up => "Redis".to_owned(),
    };
    (link, detail)
}

fn badness(state: LinkState) -> u8 {
    match state {
        LinkState::Idle => 0,
        LinkState::Up => 1,
        LinkState::Connecting => 2,
        LinkState::Silent => 3,
        LinkState::Down(_) => 4,
    }
}

fn status(state: LinkState) -> Status {
    match state {
        LinkState::Up => Status::Up,
        LinkState::Silent => Status::Degraded,
        LinkState::Down(_) => Status::Down,
        LinkState::Idle | LinkState::Connecting => Status::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use ledger::Fault;

    use super::*;

    #[test]
    fn the_worse_side_is_shown() {
        let at = |state, since_ms| Link { state, since_ms };
        let down = at(LinkState::Down(Fault::Credentials), 5);
        for (link, detail) in [
            worse(down, at(LinkState::Up, 9)),
            worse(at(LinkState::Silent, 1), down),
            worse(at(LinkState::Idle, 9), down),
        ] {
            assert_eq!((link, status(link.state)), (down, Status::Down));
            assert!(detail.ends_with(&Fault::Credentials.to_string()), "{detail}");
        }
        // A process that only publishes, or only listens, is up with its one side.
        let up = at(LinkState::Up, 3);
        assert_eq!(worse(up, at(LinkState::Idle, 9)), (up, "Redis".to_owned()));
        assert_eq!(worse(at(LinkState::Idle, 9), up), (up, "Redis".to_owned()));
    }
}
