//! What the process depends on, as `/readyz` shows it, and how departments are connected.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ledger::Store;
use runtime::Clock;
use serde::{Deserialize, Serialize};

use crate::preview::{Preview, PreviewRefused, Previewed, RecordSource};

/// State of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It works.
    Up,
    /// It works in part.
    Degraded,
    /// It does not work.
    Down,
    /// Not tried yet.
    Unknown,
}

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its name, e.g. `broker`.
    pub name: String,
    /// State.
    pub state: Status,
    /// Since when, ms since 1970.
    #[serde(rename = "since")]
    pub since_ms: i64,
    /// Without it nothing works: `/readyz` answers 503 while it is down.
    pub fatal: bool,
    /// Why, or how much; names no values of persons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether the store answers, and since when.
pub struct StoreWatch {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<(bool, i64)>,
}

impl StoreWatch {
    /// Of a store that answered just now: it was opened.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let known = Mutex::new((true, clock.now_ms()));
        Self { store, clock, known }
    }

    /// Asks it.
    pub async fn dependency(&self) -> Dependency {
        let answer = self.store.ping().await;
        let now = self.clock.now_ms();
        let since_ms = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0 != answer.is_ok() {
                *known = (answer.is_ok(), now);
            }
            known.1
        };
        let backend = self.store.backend();
        let (state, detail) = match answer {
            Ok(()) => (Status::Up, backend.to_owned()),
            Err(error) => (Status::Down, format!("{backend}: {}", error.code())),
        };
        Dependency { name: "store".to_owned(), state, since_ms, fatal: true, detail: Some(detail) }
    }
}

/// Tells what the process depends on besides the store and the feed, which the gateway watches itself.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// As it is now; must answer within a moment.
    async fn dependencies(&self) -> Vec<Dependency>;
}

/// Nothing besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingElse;

#[async_trait]
impl Readiness for NothingElse {
    async fn dependencies(&self) -> Vec<Dependency> {
        Vec::new()
    }
}

/// How a department is connected, and how that goes; no addresses, no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Unit.
    pub unit: domain::ids::UnitId,
    /// Tasks are pushed to its system.
    pub push: bool,
    /// Records are fetched this often, seconds; none = it sends them.
    pub pull_every_s: Option<u32>,
    /// Kinds of records that are kept.
    pub records: Vec<String>,
    /// Last call from it or answer of it, ms since 1970.
    pub heard_ms: Option<i64>,
    /// Calls to it that failed since then.
    pub failures: u32,
    /// Since when it refuses our credentials, ms since 1970, if it does.
    pub denied_ms: Option<i64>,
    /// Where its records come from, and what became of them.
    pub sources: Vec<RecordSource>,
}

/// Tells how departments are connected.
#[async_trait]
pub trait Connectors: Send + Sync {
    /// As it is now; one for each department that is connected.
    fn connectors(&self) -> Vec<Connector>;
    /// Tries a mapping of records on a sample; keeps nothing.
    ///
    /// # Errors
    /// What is asked for does not exist or is unsound, or the core does not answer.
    async fn preview(&self, _ask: Preview) -> Result<Previewed, PreviewRefused> {
        Err(PreviewRefused::Field("unit".to_owned()))
    }
}

impl Connectors for NothingElse {
    fn connectors(&self) -> Vec<Connector> {
        Vec::new()
    }
}
