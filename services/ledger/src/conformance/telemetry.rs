//! Telemetry.

use bytes::Bytes;

use super::Backend;
use crate::{LedgerError, PendingObservation, Reading, RuleState, Stranger, TelemetryBatch, limits};

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
    };
    let batch = TelemetryBatch {
        readings: vec![reading("t1", 10, 20.5), reading("t1", 30, 21.0), reading("t2", 5, 1.0)],
        rule_states: vec![state("a")],
        pending: vec![pending("k2", "x"), pending("k1", "y")],
        ..TelemetryBatch::default()
    };
    store.commit(batch).await.unwrap();
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
    assert_eq!(store.retention(11_970).await.unwrap(), 1_198);
    assert_eq!(times(store.history("t1", 0, i64::MAX, 100).await.unwrap()), [11_970, 11_980, 11_990]);
    assert_eq!(store.latest(None).await.unwrap().len(), 2, "the latest values outlive their history");
}

/// Refused whole.
pub async fn bad_values_are_refused(backend: &dyn Backend) {
    let store = backend.telemetry().await;
    let good = reading("t1", 1, 1.0);
    let batches = [
        vec![good.clone(), reading("t1", 2, f64::NAN)],
        vec![good.clone(), reading("t1", 2, f64::INFINITY)],
        vec![good.clone(), reading("", 2, 1.0)],
        vec![good; limits::ROWS + 1],
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
