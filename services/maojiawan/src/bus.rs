//! The bus of the process, inside it or over Redis, and how it is, for `/readyz`.

use std::sync::Arc;

use anyhow::Context as _;
use gateway::{Dependency, Status};
use ledger::{Bus, Link, LinkState, LocalBus, Position, RedisBus, Store};
use runtime::{Clock, Tasks};

use crate::config;

/// Its name in `/readyz`.
pub(crate) const NAME: &str = "bus";
/// Several processes, and nothing that carries events between them.
const POLLED: &str = "没有 [bus] redis：进程之间靠轮询台账，画面晚约半秒 without [bus] redis processes poll the ledger for each other's \
                      events: screens are half a second later";
/// Events that the slowest follower of the in-process bus may lag by.
const LAG: usize = 8_192;

/// One of both.
#[derive(Clone)]
pub(crate) enum Fanout {
    Local {
        bus: LocalBus,
        since_ms: i64,
        /// No other process follows this one, nor this one another.
        alone: bool,
    },
    Redis(RedisBus),
}

impl Fanout {
    /// Redis if it is configured; whether it is there shows later.
    pub(crate) fn start(
        config: &config::Bus,
        alone: bool,
        site: &str,
        store: &dyn Store,
        clock: &Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let Some(options) = config.redis()? else {
            return Ok(Self::Local { bus: LocalBus::new(LAG), since_ms: clock.now_ms(), alone });
        };
        // Only those who hold the ledger's secret can make or change a message.
        let key = store.request_hash(b"bus over redis");
        let bus =
            RedisBus::start(options, site, key, clock.clone(), tasks).context("总线无法启动 the bus cannot start")?;
        Ok(Self::Redis(bus))
    }

    pub(crate) fn port(&self) -> Arc<dyn Bus> {
        match self {
            Self::Local { bus, .. } => Arc::new(bus.clone()),
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
        let (state, since_ms, detail) = match self {
            Self::Local { since_ms, alone: true, .. } => (Status::Up, *since_ms, "本进程内 in this process".to_owned()),
            Self::Local { since_ms, .. } => (Status::Degraded, *since_ms, POLLED.to_owned()),
            Self::Redis(bus) => {
                let sides = *bus.status().borrow();
                let (link, detail) = worse(sides.publisher, sides.subscriber);
                (status(link.state), link.since_ms, detail)
            }
        };
        Dependency { name: NAME.to_owned(), state, since_ms, fatal: false, detail: Some(detail) }
    }

    /// For `/readyz` of a gateway, which also knows how the bus is at its core.
    pub(crate) fn dependency_beside(&self, of_core: Option<&Dependency>) -> Dependency {
        let own = self.dependency();
        let silent = matches!(self, Self::Redis(bus) if bus.status().borrow().subscriber.state == LinkState::Silent);
        match of_core.filter(|_| silent) {
            Some(core) => Dependency { detail: Some(unheard(core)), ..own },
            None => own,
        }
    }
}

/// Why nothing is heard of a core that answers.
fn unheard(core: &Dependency) -> String {
    if core.state == Status::Up {
        return "核心在向 Redis 发布，这里却听不到：两者的 [bus] redis 和 prefix 须相同，在此之前画面晚一次轮询 the core publishes to \
                Redis, but nothing is heard here: both need the same [bus] redis and prefix; until then screens are a poll later"
            .to_owned();
    }
    format!("核心的总线 the core's bus: {}", core.detail.as_deref().unwrap_or_default())
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
    fn several_processes_without_redis_are_told_to_be_slow() {
        let of = |alone| Fanout::Local { bus: LocalBus::new(1), since_ms: 7, alone }.dependency();
        assert_eq!((of(true).state, of(true).since_ms), (Status::Up, 7));
        assert_eq!((of(false).state, of(false).since_ms), (Status::Degraded, 7));
        assert!(of(false).detail.is_some_and(|d| d.starts_with("没有 [bus] redis")));
        let of_core = unheard(&of(false));
        assert!(of_core.starts_with("核心的总线 the core's bus: 没有 [bus] redis"), "{of_core}");
    }

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
