//! Removal of old values and old minutes: one bounded step between two batches, so that no message waits behind a flood of
//! deletions. By a clock that is believed, and not at all while it is in doubt; a step that fails is tried again an hour
//! later.

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
    /// One step at most; none without a clock to go by.
    pub(crate) async fn step(&mut self, keep: Keep, telemetry: &dyn Telemetry, now: Option<i64>) {
        let Some(now) = now else { return };
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
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use ledger::{Reading, SqliteTelemetry, TelemetryBatch};
    use runtime::{ManualClock, SteadyClock};

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
            sweep.step(keep, &store, Some(day(7))).await;
        }
        assert_eq!(left().await, (10_000, minutes), "nothing is old enough");
        sweep.step(keep, &store, Some(day(7) + EVERY_MS - 1)).await;
        assert_eq!(sweep.stage, Stage::Idle, "not twice an hour");
        sweep.step(keep, &store, Some(day(8))).await;
        assert_eq!(left().await, (1, minutes), "a step is bounded");
        sweep.step(keep, &store, Some(day(8))).await;
        assert_eq!(left().await, (0, minutes), "minutes stay");
        sweep.step(keep, &store, Some(day(8))).await;
        for _ in 0..3 {
            sweep.step(keep, &store, Some(day(401))).await;
        }
        assert_eq!(left().await, (0, 0));
        let forever = Keep { values_days: 0, minutes_days: 0 };
        store.commit(TelemetryBatch { readings: all[..1].to_vec(), ..TelemetryBatch::default() }).await.unwrap();
        for _ in 0..3 {
            sweep.step(forever, &store, Some(day(9_999))).await;
        }
        assert_eq!(left().await, (1, 1));
    }

    #[tokio::test]
    async fn a_clock_that_leaps_takes_no_values_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteTelemetry::open(&dir.path().join("t.db"), Duration::from_secs(5)).await.unwrap();
        let now = 1_700_000_040_000;
        let reading = Reading { sensor: "s".into(), at_ms: now, value: 1.0, unit: None };
        store.commit(TelemetryBatch { readings: vec![reading], ..TelemetryBatch::default() }).await.unwrap();
        let (clock, lived) = (ManualClock::at(now), Arc::<AtomicU64>::default());
        let read = lived.clone();
        let lives = move || Duration::from_millis(read.load(Ordering::SeqCst));
        let steady = SteadyClock::with_lived(Arc::new(clock.clone()), None, lives);
        let (keep, mut sweep) = (Keep { values_days: 7, minutes_days: 400 }, Sweep::default());
        let mut left = async |hours: u64| {
            for _ in 0..hours {
                clock.advance(EVERY_MS);
                lived.fetch_add(3_600_000, Ordering::SeqCst);
                for _ in 0..3 {
                    sweep.step(keep, &store, steady.removal_ms()).await;
                }
            }
            store.history("s", 0, i64::MAX, 10).await.unwrap().len()
        };
        assert_eq!(left(1).await, 1);
        clock.advance(40 * DAY_MS);
        assert_eq!(left(8).await, 1, "weeks in a moment");
        clock.advance(-40 * DAY_MS);
        assert_eq!(left(24).await, 1);
        assert_eq!(left(7 * 24).await, 0, "a week that was lived");
    }
}
