//! One place spawns tasks, each with a name, a stage of the drain and a criticality.
//!
//! A drain stops the stages in order (sources first, sockets last); when a stage overruns its time the log names the
//! tasks that remain and they are aborted. A critical task that ends early stops the process.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// When a task is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Brings things in: cameras, broker, departments.
    Sources,
    /// Decides and stores.
    Core,
    /// Shows: sockets and HTTP.
    Sockets,
}

/// What the end of a task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criticality {
    /// Its early end stops the process.
    Critical,
    /// Its end is its own affair.
    Ordinary,
}

struct Running {
    name: String,
    handle: JoinHandle<()>,
}

struct Inner {
    stages: BTreeMap<Stage, (CancellationToken, Mutex<Vec<Running>>)>,
    failed: CancellationToken,
}

/// Spawns and drains. Clones share one set.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

impl Default for Tasks {
    fn default() -> Self {
        let stages = [Stage::Sources, Stage::Core, Stage::Sockets]
            .into_iter()
            .map(|s| (s, (CancellationToken::new(), Mutex::new(Vec::new()))))
            .collect();
        Self(Arc::new(Inner { stages, failed: CancellationToken::new() }))
    }
}

impl Tasks {
    /// The token that is cancelled when `stage` has to stop.
    pub fn stop(&self, stage: Stage) -> CancellationToken {
        self.0.stages.get(&stage).map_or_else(CancellationToken::new, |(token, _)| token.clone())
    }

    /// Cancelled when a critical task ended before its stage was told to stop.
    pub fn failed(&self) -> CancellationToken {
        self.0.failed.clone()
    }

    /// Spawns `work`, which must end soon after `self.stop(stage)` is cancelled.
    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(
        &self,
        name: impl Into<String>,
        stage: Stage,
        criticality: Criticality,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let name = name.into();
        let Some((stop, list)) = self.0.stages.get(&stage) else {
            return;
        };
        let (stop, failed, label) = (stop.clone(), self.0.failed.clone(), name.clone());
        let handle = tokio::spawn(async move {
            let guard = Ended { stop, failed, label, criticality };
            work.await;
            drop(guard);
        });
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|r| !r.handle.is_finished());
        list.push(Running { name, handle });
    }

    /// Stops the stages in order, each within `patience`.
    pub async fn drain(&self, patience: Duration) {
        for (stage, (stop, list)) in &self.0.stages {
            stop.cancel();
            let running = std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner));
            let deadline = tokio::time::Instant::now() + patience;
            for mut task in running {
                if tokio::time::timeout_at(deadline, &mut task.handle).await.is_err() {
                    tracing::warn!(task = %task.name, ?stage, "task overran the drain and was aborted");
                    task.handle.abort();
                }
            }
        }
    }
}

/// Notices the end of a task, also by panic.
struct Ended {
    stop: CancellationToken,
    failed: CancellationToken,
    label: String,
    criticality: Criticality,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.criticality == Criticality::Critical && !self.stop.is_cancelled() {
            tracing::error!(task = %self.label, "critical task ended");
            self.failed.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stops_sources_before_sockets() {
        let tasks = Tasks::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for stage in [Stage::Sockets, Stage::Sources] {
            let (stop, order) = (tasks.stop(stage), order.clone());
            tasks.spawn("t", stage, Criticality::Critical, async move {
                stop.cancelled().await;
                order.lock().unwrap().push(stage);
            });
        }
        tasks.drain(Duration::from_secs(1)).await;
        assert_eq!(*order.lock().unwrap(), [Stage::Sources, Stage::Sockets]);
        assert!(!tasks.failed().is_cancelled());
    }

    #[tokio::test]
    async fn a_critical_panic_is_noticed() {
        let tasks = Tasks::default();
        tasks.spawn("t", Stage::Core, Criticality::Critical, async { panic!("planned by the test") });
        tasks.failed().cancelled().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_overrun_is_aborted() {
        let tasks = Tasks::default();
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("stuck", Stage::Core, Criticality::Ordinary, async move {
            let _alive = alive;
            std::future::pending().await
        });
        tasks.drain(Duration::from_secs(1)).await;
        assert!(gone.await.is_err(), "what it held is let go");
    }
}
