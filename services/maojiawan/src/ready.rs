//! What the process depends on, for `/readyz`, and how departments are connected.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use exchange::{config::Layout, preview::PreviewError};
use gateway::{Dependency, Readiness, Status};
use ledger::Store;
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
    pub(crate) journal: Journal,
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
        let mut found = vec![self.writer(), self.bus.dependency(), broker(&self.sensing.borrow()), clock];
        found.extend(upkeep::files(&self.trouble.borrow()));
        found.extend(self.journal.dependency(self.clock.now_ms()));
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

/// The journal of erasures.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    behind_since: Mutex<Option<i64>>,
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, behind_since: Mutex::default() }
    }

    /// Named only while it is behind: erasures are done, but a restore would not know of the last ones.
    fn dependency(&self, now: i64) -> Option<Dependency> {
        let fault = self.store.journal_fault();
        let mut since = self.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = fault.map(|_| since.unwrap_or(now));
        let detail =
            format!("删除记录未能写入，恢复备份时会丢失最近的删除 the journal of erasures is behind: {}", fault?);
        let (name, state) = ("erasures".to_owned(), Status::Degraded);
        Some(Dependency { name, state, since_ms: since.unwrap_or(now), fatal: false, detail: Some(detail) })
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
}

fn broker(status: &sensing::Status) -> Dependency {
    let began = status.since_ms;
    let held = status.held.as_ref().map(|(why, since)| (why, *since));
    let held = held.or(status.listener.as_ref().map(|why| (why, began)));
    let (state, since_ms, detail) = match (&status.broker, held) {
        (BrokerState::Starting, _) => (Status::Unknown, began, None),
        (BrokerState::Lost(why), _) => (Status::Down, began, Some(why.clone())),
        (BrokerState::Connected, Some((why, since))) => (Status::Degraded, since, Some(why.clone())),
        (BrokerState::Connected, None) => (Status::Up, began, None),
    };
    Dependency { name: "broker".to_owned(), state, since_ms, fatal: false, detail }
}

/// How the exchange is connected.
pub(crate) struct Departments(pub(crate) exchange::Exchange);

#[async_trait]
impl gateway::Connectors for Departments {
    fn connectors(&self) -> Vec<gateway::Connector> {
        let connector = |f: exchange::Facts| gateway::Connector {
            unit: f.unit,
            push: f.push,
            pull_every_s: f.pull_every_s,
            records: f.records,
            heard_ms: f.heard_ms,
            failures: f.failures,
            denied_ms: f.denied_ms,
            sources: f.sources.into_iter().map(source).collect(),
        };
        self.0.facts().into_iter().map(connector).collect()
    }

    /// The shapes of both sides are the same JSON.
    async fn preview(&self, ask: gateway::Preview) -> Result<gateway::Previewed, gateway::PreviewRefused> {
        let field = |name: &str| gateway::PreviewRefused::Field(name.to_owned());
        let layout = ask.layout.as_ref().map(|l| serde_json::to_value(l).and_then(serde_json::from_value::<Layout>));
        layout.transpose().map_err(|_| field("layout"))?;
        let ask = serde_json::to_value(ask).and_then(serde_json::from_value::<exchange::preview::Preview>);
        let ask = ask.map_err(|_| field("fields"))?;
        let answer = self.0.preview(&ask).map_err(|error| match error {
            PreviewError::NoDepartment => field("unit"),
            PreviewError::NoSource => field("source"),
            PreviewError::NoKind => field("kind"),
            PreviewError::BadFields => field("fields"),
            PreviewError::BadLayout => field("layout"),
            PreviewError::BadSample => field("sample"),
        })?;
        let answer = serde_json::to_value(answer).and_then(serde_json::from_value);
        answer.map_err(|_| gateway::PreviewRefused::Unavailable)
    }
}

fn source(s: exchange::SourceFacts) -> gateway::RecordSource {
    gateway::RecordSource {
        id: s.id,
        last_ms: s.last_ms,
        kept: s.kept,
        set_aside: s.set_aside,
        problem: s.problem,
        rows: s.rows.iter().map(exchange::SetAside::zh).collect(),
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

#[cfg(test)]
mod tests {
    use ledger::{Batch, Log, NewBlob, SqliteOptions, SqliteStore, Vault};

    use super::*;

    #[test]
    fn sensor_messages_are_held_since_they_are_held() {
        let connected = sensing::Status { broker: BrokerState::Connected, since_ms: 5, ..sensing::Status::default() };
        assert_eq!((broker(&connected).state, broker(&connected).since_ms), (Status::Up, 5));
        let held = sensing::Status { held: Some(("存储已满".to_owned(), 9)), ..connected };
        assert_eq!((broker(&held).state, broker(&held).since_ms), (Status::Degraded, 9));
    }

    #[tokio::test]
    async fn a_journal_that_is_behind_is_named_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::in_folder(folder.path());
        let store = Arc::new(SqliteStore::open(&options).await.unwrap());
        let journal = Journal::new(store.clone());
        assert_eq!(journal.dependency(1), None);
        std::fs::create_dir(&options.erasures).unwrap();
        let blob = NewBlob { subject: "p/1".into(), content_type: "image/jpeg".into(), max_bytes: 9, at_ms: 0 };
        ledger::Blobs::put_blob(store.as_ref(), blob, &mut &b"face"[..]).await.unwrap();
        let head = store.open_writer().await.unwrap();
        store.append(&Batch { erase: vec!["p/1".into()], ..Batch::new(head) }).await.unwrap();
        let told = journal.dependency(5).unwrap();
        assert!(told.detail.unwrap().starts_with("删除记录未能写入"));
        assert_eq!((told.state, told.fatal, journal.dependency(9).unwrap().since_ms), (Status::Degraded, false, 5));
        std::fs::remove_dir(&options.erasures).unwrap();
        store.write_journal().await.unwrap();
        assert_eq!(journal.dependency(11), None);
    }
}
