//! Removal of old values and old minutes: one bounded step between two batches, so that no message waits behind a flood of
//! deletions. By the injected clock; a step that fails is tried again an hour later.

use ledger::{LedgerError, Telemetry, limits};

/// How often it begins anew, ms.
const EVERY_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// How long values and minutes are kept; 0 = for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) values_days: u32,
    pub(crate) minutes_days: u32,
}

/// Where the removal stands.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// When it began last.
    begun: Option<i64>,
    stage: Stage,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Stage {
    #[default]
    Idle,
    Values,
    Minutes,
}

impl Sweep {
    /// One step at most.
    pub(crate) async fn step(&mut self, keep: Keep, telemetry: &dyn Telemetry, now: i64) {
        // A clock that was set back must not stop it for long.
        if self.stage == Stage::Idle && self.begun.is_none_or(|at| (now - at).abs() >= EVERY_MS) {
            (self.begun, self.stage) = (Some(now), Stage::Values);
        }
        let before = |days: u32| now - i64::from(days) * DAY_MS;
        let (removed, next): (Result<usize, LedgerError>, _) = match self.stage {
            Stage::Idle => return,
            Stage::Values if keep.values_days == 0 => (Ok(0), Stage::Minutes),
            Stage::Values => (telemetry.retention(before(keep.values_days)).await, Stage::Minutes),
            Stage::Minutes if keep.minutes_days == 0 => (Ok(0), Stage::Idle),
            Stage::Minutes => (telemetry.retention_rollups(before(keep.minutes_days)).await, Stage::Idle),
        };
        match removed {
            Ok(n) if n >= limits::SWEEP => {}
            Ok(_) => self.stage = next,
            Err(error) => {
                tracing::warn!(%error, "old values cannot be removed now");
                self.stage = Stage::Idle;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use ledger::{Reading, SqliteTelemetry, TelemetryBatch};

    use super::*;

    #[tokio::test]
    async fn values_go_before_minutes_and_no_step_removes_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteTelemetry::open(&dir.path().join("t.db"), Duration::from_secs(5)).await.unwrap();
        let start = 1_700_000_040_000 / DAY_MS * DAY_MS;
        // One value more than a step removes, a second apart: three hours of one day.
        let all: Vec<_> = (0..=limits::SWEEP as i64)
            .map(|n| Reading { sensor: "s".into(), at_ms: start + n * 1_000, value: 1.0, unit: None })
            .collect();
        for readings in all.chunks(limits::ROWS) {
            store.commit(TelemetryBatch { readings: readings.to_vec(), ..TelemetryBatch::default() }).await.unwrap();
        }
        let left = async || {
            let values = store.history("s", 0, i64::MAX, 10_000).await.unwrap().len();
            (values, store.rollups("s", 0, i64::MAX, 1, 10_000).await.unwrap().len())
        };
        let minutes = all.len().div_ceil(60);
        let (keep, mut sweep) = (Keep { values_days: 7, minutes_days: 400 }, Sweep::default());
        let day = |n: i64| start + n * DAY_MS;
        for _ in 0..3 {
            sweep.step(keep, &store, day(7)).await;
        }
        assert_eq!(left().await, (10_000, minutes), "nothing is old enough");
        sweep.step(keep, &store, day(7) + EVERY_MS - 1).await;
        assert_eq!(sweep.stage, Stage::Idle, "not twice an hour");
        sweep.step(keep, &store, day(8)).await;
        assert_eq!(left().await, (1, minutes), "a step is bounded");
        sweep.step(keep, &store, day(8)).await;
        assert_eq!(left().await, (0, minutes), "minutes stay");
        sweep.step(keep, &store, day(8)).await;
        for _ in 0..3 {
            sweep.step(keep, &store, day(401)).await;
        }
        assert_eq!(left().await, (0, 0));
        let forever = Keep { values_days: 0, minutes_days: 0 };
        store.commit(TelemetryBatch { readings: all[..1].to_vec(), ..TelemetryBatch::default() }).await.unwrap();
        for _ in 0..3 {
            sweep.step(forever, &store, day(9_999)).await;
        }
        assert_eq!(left().await, (1, 1));
    }
}
