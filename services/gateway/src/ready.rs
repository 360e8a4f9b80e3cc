//! What the process depends on, as `/readyz` shows it.

use async_trait::async_trait;
use serde::Serialize;

/// State of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
