//! What the process depends on, for `/readyz`, and how departments are connected.

use std::sync::Arc;

use async_trait::async_trait;
use gateway::{Dependency, Readiness, Status};
use link::media::{CameraState, Media};
use runtime::{Clock, SteadyClock};
use sensing::status::BrokerState;
use tokio::sync::watch;

use crate::{
    bus::Fanout,
    upkeep::{self, Trouble},
};

/// Watches the other roles.
pub(crate) struct Parts {
    pub(crate) writer: watch::Receiver<dispatch::Status>,
    pub(crate) bus: Fanout,
    pub(crate) sensing: watch::Receiver<sensing::Status>,
    pub(crate) media: Option<Arc<dyn Media>>,
    pub(crate) simulator: Option<watch::Receiver<crate::demo::Phase>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) began_ms: i64,
    pub(crate) steady: Arc<SteadyClock>,
    pub(crate) trouble: watch::Receiver<Trouble>,
}

#[async_trait]
impl Readiness for Parts {
    async fn dependencies(&self) -> Vec<Dependency> {
        let clock = upkeep::clock(&self.steady, self.began_ms);
        let mut found = vec![self.writer(), self.bus.dependency(), self.broker(), clock];
        found.extend(upkeep::files(&self.trouble.borrow()));
        if let Some(media) = &self.media {
            found.push(cameras(media.as_ref(), self.clock.now_ms()).await);
        }
        if let Some(phase) = &self.simulator {
            let phase = phase.borrow();
            found.push(Dependency {
                name: "simulator".to_owned(),
                state: if phase.up { Status::Up } else { Status::Degraded },
                since_ms: phase.since_ms,
                fatal: false,
                detail: Some(phase.detail.clone()),
            });
        }
        found
    }
}

impl Parts {
    fn writer(&self) -> Dependency {
        let status = self.writer.borrow();
        Dependency {
            name: "writer".to_owned(),
            state: if status.ok { Status::Up } else { Status::Down },
            since_ms: status.since_ms,
            fatal: true,
            detail: Some(status.reason.clone()).filter(|r| !r.is_empty()),
        }
    }

    fn broker(&self) -> Dependency {
        let status = self.sensing.borrow();
        let (state, detail) = match (&status.broker, &status.held) {
            (BrokerState::Starting, _) => (Status::Unknown, None),
            (BrokerState::Lost(why), _) => (Status::Down, Some(why.clone())),
            (BrokerState::Connected, Some((why, _))) => (Status::Degraded, Some(why.clone())),
            (BrokerState::Connected, None) => (Status::Up, None),
        };
        Dependency { name: "broker".to_owned(), state, since_ms: status.since_ms, fatal: false, detail }
    }
}

/// How the exchange is connected.
pub(crate) struct Departments(pub(crate) exchange::Exchange);

impl gateway::Connectors for Departments {
    fn connectors(&self) -> Vec<gateway::Connector> {
        let connector = |f: exchange::Facts| gateway::Connector {
            unit: f.unit,
            push: f.push,
            pull_every_s: f.pull_every_s,
            records: f.records,
            heard_ms: f.heard_ms,
            failures: f.failures,
        };
        self.0.facts().into_iter().map(connector).collect()
    }
}

async fn cameras(media: &dyn Media, now: i64) -> Dependency {
    let all = media.cameras().await;
    let online = all.iter().filter(|c| c.state == CameraState::Online).count();
    let state = match online {
        n if n == all.len() => Status::Up,
        0 => Status::Down,
        _ => Status::Degraded,
    };
    // Since the newest change of any camera.
    let since_ms = all.iter().map(|c| c.since.0).max().unwrap_or(now);
    let detail = Some(format!("{online}/{}", all.len()));
    Dependency { name: "cameras".to_owned(), state, since_ms, fatal: false, detail }
}
