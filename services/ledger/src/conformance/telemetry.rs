//! Telemetry.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::Backend;
use crate::{LedgerError, PendingObservation, Reading, Rollup, RuleState, Stranger, TelemetryBatch, limits};

fn reading(sensor: &str, at_ms: i64, value: f64) -> Reading {
    Reading { sensor: sensor.into(), at_ms, value, unit: Some("℃".into()) }
}

fn pending(key: &str, text: &'static str) -> PendingObservation {
    PendingObservation { key: key.into(), payload: Bytes::from_static(text.as_bytes()) }
}

/// One commit.
pub async fn values_states_and_observations_commit_together(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let state = |text: &'static str| RuleState {
        sensor: "t1".into(),
        rule: "hot".into(),
        state: Bytes::from_static(text.as_bytes()),
        held: (text == "a").then_some((7, 9)),
    };
    let batch = TelemetryBatch {
        readings: vec![reading("t1", 10, 20.5), reading("t1", 30, 21.0), reading("t2", 5, 1.0)],
        rule_states: vec![state("a")],
        pending: vec![pending("k2", "x"), pending("k1", "y")],
        ..TelemetryBatch::default()
    };
    store.commit(batch).await.unwrap();
    assert_eq!(store.held_rules().await.unwrap(), [state("a")]);
    let batch = TelemetryBatch {
        readings: vec![reading("t1", 20, 99.0)],
        rule_states: vec![state("b")],
        pending: vec![pending("k1", "again"), pending("k3", "z")],
        ..TelemetryBatch::default()
    };
    store.commit(batch).await.unwrap();
    let store = backend.telemetry().await;
    let (t1, t2) = (reading("t1", 30, 21.0), reading("t2", 5, 1.0));
    assert_eq!(store.latest(None).await.unwrap(), [t1.clone(), t2], "a late value is not the latest");
    assert_eq!(store.latest(Some("t1")).await.unwrap(), [t1]);
    assert!(store.latest(Some("t9")).await.unwrap().is_empty());
    assert_eq!(store.rule_states().await.unwrap(), [state("b")]);
    assert!(store.held_rules().await.unwrap().is_empty());
    assert_eq!(store.pending(10).await.unwrap(), [pending("k2", "x"), pending("k1", "y"), pending("k3", "z")]);
    assert_eq!(store.pending(1).await.unwrap().len(), 1);
    store.pending_done(&["k2".into(), "k3".into(), "k9".into()]).await.unwrap();
    assert_eq!(store.pending(10).await.unwrap(), [pending("k1", "y")]);
}

/// Ranges and retention.
pub async fn history_is_bounded(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let readings = (0..1_200).map(|n| reading("t1", n * 10, n as f64)).chain([reading("t2", 0, 5.0)]).collect();
    store.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
    let readings = vec![reading("t1", 20, 7.0)];
    store.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
    let times = |found: Vec<Reading>| found.iter().map(|r| r.at_ms).collect::<Vec<_>>();
    let found = store.history("t1", 10, 40, 100).await.unwrap();
    assert_eq!(found[1], reading("t1", 20, 7.0), "one value a millisecond");
    assert_eq!(times(found), [10, 20, 30]);
    assert_eq!(times(store.history("t1", 0, i64::MAX, 2).await.unwrap()), [0, 10]);
    let readings = vec![reading("t1", 61_000, 1.0), reading("t1", 120_000, 1.0), reading("t2", 60_000, 1.0)];
    store.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
    assert_eq!(store.retention(119_999).await.unwrap(), 1_201, "whole minutes");
    assert_eq!(store.retention(119_999).await.unwrap(), 0);
    assert_eq!(times(store.history("t1", 0, i64::MAX, 100).await.unwrap()), [61_000, 120_000]);
    assert_eq!(store.latest(None).await.unwrap().len(), 2, "the latest values outlive their history");
}

/// One sensor's values by time, and what its minutes must be.
#[derive(Default)]
struct Model(BTreeMap<i64, f64>);

impl Model {
    fn spans(&self, from_ms: i64, until_ms: i64, minutes: i64) -> Vec<Rollup> {
        let span = minutes * 60_000;
        let mut spans: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        let until = (until_ms - 1).div_euclid(60_000) * 60_000 + 60_000;
        for (at, value) in self.0.range(from_ms.div_euclid(span) * span..until) {
            spans.entry(at.div_euclid(span) * span).or_default().push(*value);
        }
        let rollup = |(from_ms, values): (i64, Vec<f64>)| Rollup {
            from_ms,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            count: values.len() as u64,
        };
        spans.into_iter().map(rollup).collect()
    }
}

/// Readings in any order, late, again and changed, in batches of any size: minutes and hours are what a plain count of
/// all values gives. Values are quarters, so that sums are exact in any order.
pub async fn minutes_agree_with_a_naive_model(backend: &dyn Backend) {
    const START: i64 = 1_700_000_000_000;
    let store = backend.telemetry().await;
    for seed in 0..48_u64 {
        let mut dice = StdRng::seed_from_u64(seed);
        let sensors = [format!("a{seed}"), format!("b{seed}")];
        let mut models = [Model::default(), Model::default()];
        let mut told: Vec<(usize, i64, f64)> = Vec::new();
        for _ in 0..dice.random_range(1..6) {
            let mut batch = Vec::new();
            for _ in 0..dice.random_range(1..40) {
                let again = (!told.is_empty() && dice.random_bool(0.2)).then(|| told[dice.random_range(0..told.len())]);
                let (which, at, value) = again.unwrap_or_else(|| {
                    // Few milliseconds in a few minutes, so that some are hit twice with another value.
                    let at = START + dice.random_range(0..4) * 60_000 + dice.random_range(0..60) * 1_000;
                    (dice.random_range(0..2), at, f64::from(dice.random_range(-400_i32..400)) / 4.0)
                });
                told.push((which, at, value));
                models[which].0.insert(at, value);
                batch.push(reading(&sensors[which], at, value));
            }
            store.commit(TelemetryBatch { readings: batch, ..TelemetryBatch::default() }).await.unwrap();
        }
        for (sensor, model) in sensors.iter().zip(&models) {
            let (from, until) =
                (START + dice.random_range(-90_000..90_000), START + dice.random_range(90_000..400_000));
            for minutes in [1, 2, 60] {
                let found = store.rollups(sensor, from, until, minutes, 1_000).await.unwrap();
                assert_eq!(found, model.spans(from, until, minutes.into()), "seed {seed} {sensor} {minutes}");
            }
        }
    }
}

/// Retention of values and of minutes.
pub async fn minutes_outlive_values_within_their_bound(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let commit = async |readings| store.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
    let minutes = async || store.rollups("t1", 0, i64::MAX, 1, 100).await.unwrap();
    let rollup = |from_ms, min, mean, max, count| Rollup { from_ms, min, mean, max, count };
    commit(vec![reading("t1", 1_000, 1.0), reading("t1", 2_000, 5.0), reading("t1", 60_000, 2.0)]).await;
    assert_eq!(store.retention(60_000).await.unwrap(), 2);
    let second = rollup(60_000, 2.0, 2.0, 2.0, 1);
    assert_eq!(minutes().await, [rollup(0, 1.0, 3.0, 5.0, 2), second]);
    commit(vec![reading("t1", 3_000, 9.0)]).await;
    assert_eq!(
        minutes().await,
        [rollup(0, 1.0, 5.0, 9.0, 3), second],
        "a late value counts though the others are gone"
    );
    commit(vec![reading("t1", 3_000, 9.0)]).await;
    commit(vec![reading("t1", 3_000, 4.0)]).await;
    assert_eq!(minutes().await, [rollup(0, 1.0, 5.0, 9.0, 3), second], "what cannot be counted anew stays");
    assert_eq!(store.retention_rollups(119_999).await.unwrap(), 1, "whole minutes");
    assert_eq!(minutes().await, [second]);
    assert_eq!(store.rollups("t1", 0, i64::MAX, 1, 0).await.unwrap(), []);
    for bad in [0, 1_441] {
        let refused = store.rollups("t1", 0, 1, bad, 1).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { .. })), "{refused:?}");
    }
}

/// Refused whole.
pub async fn bad_values_are_refused(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let good = reading("t1", 1, 1.0);
    let batches = [
        vec![good.clone(), reading("t1", 2, f64::NAN)],
        vec![good.clone(), reading("t1", 2, f64::INFINITY)],
        vec![good.clone(), reading("", 2, 1.0)],
        vec![good; limits::READINGS + 1],
    ];
    for readings in batches {
        let refused = store.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { .. })), "{refused:?}");
    }
    assert!(store.latest(None).await.unwrap().is_empty());
}

/// The epoch.
pub async fn the_epoch_stays_until_renewed(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    store.ping().await.unwrap();
    let epoch = store.epoch().await.unwrap();
    assert!(epoch > 0);
    assert_eq!(backend.telemetry().await.epoch().await.unwrap(), epoch);
    let renewed = store.renew_epoch().await.unwrap();
    assert_ne!(renewed, epoch);
    assert_eq!(backend.telemetry().await.epoch().await.unwrap(), renewed);
}

/// Devices that the site does not have.
pub async fn strangers_are_kept_within_a_bound(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let heard =
        |device: String, at, count| Stranger { device, format: "tasmota".into(), first_ms: at, last_ms: at, count };
    let hear = async |strangers| store.commit(TelemetryBatch { strangers, ..TelemetryBatch::default() }).await;
    hear(vec![heard("plug".into(), 10, 1), heard("lock".into(), 20, 2), heard("plug".into(), 30, 4)]).await.unwrap();
    hear(vec![heard("plug".into(), 5, 8)]).await.unwrap();
    let plug = Stranger { first_ms: 10, last_ms: 30, ..heard("plug".into(), 0, 13) };
    assert_eq!(store.strangers().await.unwrap(), [plug, heard("lock".into(), 20, 2)]);
    let refused = hear(vec![heard("good".into(), 40, 1), heard(String::new(), 40, 1)]).await;
    assert!(matches!(refused, Err(LedgerError::Invalid { .. })), "{refused:?}");

    let flood = (0..limits::STRANGERS as i64).map(|n| heard(format!("f{n:04}"), 100 + n, 1)).collect();
    hear(flood).await.unwrap();
    let kept = backend.telemetry().await.strangers().await.unwrap();
    assert_eq!(kept.len(), limits::STRANGERS);
    assert_eq!((&*kept[0].device, &*kept[499].device), ("f0499", "f0000"), "the longest unheard went");
}
