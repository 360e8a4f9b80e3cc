//! More than fits, and what comes once more, at the real broker.

use super::*;

#[tokio::test]
async fn messages_of_a_thousand_turns_stop_nobody_and_are_told_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 3).await;
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    // While the writer takes nothing all that follows waits, and then is one batch.
    intake.shut.store(true, SeqCst);
    device.reading("smoke-2", 0.9).await;
    let mut refused = intake.refused.subscribe();
    tokio::time::timeout(PATIENCE, refused.wait_for(|n| *n > 0)).await.unwrap().unwrap();
    let turns = format!(r#"{{"smoke-0":[{}{{"smoke":1}}]}}"#, r#"{"smoke":1},{"smoke":0},"#.repeat(499));
    for _ in 0..6 {
        device.publish("v1/gateway/telemetry", turns.clone()).await;
    }
    device.reading("smoke-1", 0.9).await;
    device.reading(&too_long(), 0.9).await;
    intake.shut.store(false, SeqCst);
    let last = |s: &[Observation], id: &str| edges(s).into_iter().rfind(|e| e.0 == id).map(|e| e.1);
    let all = |s: &[Observation]| {
        ["smoke-0", "smoke-1", &too_long()].iter().all(|id| last(s, id) == Some(true))
            && edges(s).iter().filter(|e| e.0 == "smoke-0").count() % 2 == 1
    };
    intake.until("another's alarm, and where the one that turned stands", all).await;
    let status = running.until("all answered", |s| s.counts.acked == 9).await;
    assert_eq!(
        (status.ready(), status.counts.refused),
        (true, 1),
        "what the store never takes is given up: {status:?}"
    );
    let turned: Vec<_> = edges(&intake.seen.borrow()).into_iter().filter(|e| e.0 == "smoke-0").map(|e| e.1).collect();
    assert!(turned.iter().enumerate().all(|(n, up)| *up == (n % 2 == 0)), "{turned:?}");
    assert!(turned.len() < 6 * 999, "few of them: {}", turned.len());
    running.stop().await;
}

#[tokio::test]
async fn what_a_broker_forgot_to_have_delivered_is_no_clock_that_went_back() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 2).await;
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    let body = |v: f64, minute: i64| format!(r#"{{"v":{v},"t":{}}}"#, 1_700_000_000_000 + minute * 60_000);
    let own = "mjw/v1/sensors/smoke-0/reading";
    let own_of = |s: &[Observation]| edges(s).into_iter().filter(|e| e.0 == "smoke-0").map(|e| e.1).collect::<Vec<_>>();
    let past = [(0.9, 0), (0.8, 1), (0.01, 9)];
    for (v, minute) in past {
        device.publish(own, body(v, minute)).await;
    }
    intake.until("it burned", |s| own_of(s) == [true, false]).await;
    running.until("stored", |s| s.counts.acked == 3).await;
    // A broker that crashed delivers what it had delivered before, as if for the first time; also within one message.
    for (v, minute) in past {
        device.publish(own, body(v, minute)).await;
    }
    let many = r#"{"smoke-0":[{"ts":1700000000000,"values":{"smoke":0.9}}],"smoke-1":[{"smoke":0.9}]}"#;
    device.publish("v1/gateway/telemetry", many).await;
    let seen = intake.until("the other", |s| edges(s).iter().any(|e| e.0 == "smoke-1")).await;
    assert_eq!(own_of(&seen), [true, false], "nothing burns again");
    // A device whose clock did go back measures what was never stored.
    device.publish(own, body(0.7, 0)).await;
    intake.until("it burns", |s| own_of(s) == [true, false, true]).await;
    running.stop().await;
}
