//! Sessions: faults, back-off, stalls, handshake limits.

use std::{sync::atomic::Ordering, time::Duration};

use link::media::{CameraState, Media, Quality};
use tokio::time::{Instant, sleep};
use video::{Config, config::Limits, source::Fault};

use crate::fake::{Act, Film, Script, camera, one, start, until};

fn refused() -> Fault {
    Fault::Refused("status 453".to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_fault_is_a_state_with_a_cause() {
    let faults = [
        Fault::Unreachable(String::new()),
        refused(),
        Fault::Unauthorised,
        Fault::NotFound,
        Fault::NoVideo,
        Fault::UnsupportedCodec("h265".to_owned()),
        Fault::Protocol(String::new()),
    ];
    for fault in faults {
        let rig = one(vec![Act::Fail(fault.clone())]);
        let mut changes = rig.cameras.changes().await;
        let status = until(&mut changes, |s| s.state != CameraState::Connecting).await;
        assert_eq!(status.state, fault.state());
        assert!(!status.state.cause_zh().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_quickly_and_for_ever() {
    let rig = one(vec![Act::Fail(refused())]);
    sleep(Duration::from_secs(60)).await;
    let opens = rig.script.opens.load(Ordering::SeqCst);
    // About one in two seconds, the cap, with jitter of a half.
    assert!((20..=64).contains(&opens), "{opens} tries in a minute");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_to_change_is_asked_again_slowly() {
    for fault in [Fault::Unauthorised, Fault::UnsupportedCodec("h265".to_owned())] {
        let play = Act::Play(Film::dummy(360), usize::MAX, refused());
        let rig = one(vec![Act::Fail(fault.clone()), Act::Fail(fault), play]);
        let mut changes = rig.cameras.changes().await;
        sleep(Duration::from_secs(25)).await;
        assert_eq!(rig.script.opens.load(Ordering::SeqCst), 1);
        until(&mut changes, |s| s.state == CameraState::Online).await;
        assert_eq!(rig.script.opens.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_handshake_is_unreachable() {
    let rig = one(vec![Act::Hang]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Unreachable).await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_found_and_recovered_from() {
    let film = Film::dummy(360);
    let rig = one(vec![Act::Silence(film.clone(), 35), Act::Play(film, usize::MAX, refused())]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    let stalled = until(&mut changes, |_| true).await;
    assert_eq!(stalled.state, CameraState::Stalled);
    let silent = (stalled.since - stalled.last_frame.unwrap()).0;
    assert!((4_000..8_200).contains(&silent), "found after {silent} ms");
    until(&mut changes, |s| s.state == CameraState::Online).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_back_at_once_is_not_announced() {
    let film = Film::dummy(360);
    let rig = one(vec![Act::Play(film.clone(), 100, refused()), Act::Play(film, usize::MAX, refused())]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.script.opens.load(Ordering::SeqCst), 2);
    assert!(changes.try_recv().is_err());
    assert_eq!(rig.cameras.cameras().await[0].fps, 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_stays_away_is_announced() {
    let film = Film::dummy(360);
    let rig = one(vec![Act::Play(film, 100, refused()), Act::Fail(Fault::Unreachable(String::new()))]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    assert_eq!(until(&mut changes, |_| true).await.state, CameraState::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn frames_without_a_key_frame_are_a_protocol_fault() {
    let mut film = Film::dummy(360);
    std::sync::Arc::get_mut(&mut film).unwrap().frames.remove(0);
    let rig = one(vec![Act::Play(film, usize::MAX, refused())]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Protocol).await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_are_few_at_a_time_and_everybody_gets_a_turn() {
    let cameras: Vec<_> = (0..80)
        .map(|i| video::config::CameraConfig { server: format!("nvr{}", i % 2), ..camera(&format!("c{i}")) })
        .collect();
    let mut script = Script { handshake: Duration::from_millis(200), ..Script::default() };
    for c in &cameras {
        let play = Act::Play(Film::dummy(360), usize::MAX, refused());
        script = script.camera(c.id.as_str(), Quality::Sub, vec![play]);
    }
    let begun = Instant::now();
    let rig = start(Config { cameras, ..Config::default() }, script);
    let mut changes = rig.cameras.changes().await;
    for _ in 0..80 {
        until(&mut changes, |s| s.state == CameraState::Online).await;
    }
    // Two servers, four at a time: ten turns of 200 ms of (paused) time.
    assert_eq!(rig.script.most_shaking.load(Ordering::SeqCst), 8);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn one_dead_server_does_not_hold_up_the_others() {
    let limits = Limits { handshakes: 6, ..Limits::default() };
    let mut cameras: Vec<_> = (0..50)
        .map(|i| video::config::CameraConfig { server: "dead".to_owned(), ..camera(&format!("d{i}")) })
        .collect();
    cameras.push(camera("alive"));
    let mut script =
        Script::default().camera("alive", Quality::Sub, vec![Act::Play(Film::dummy(360), usize::MAX, refused())]);
    for i in 0..50 {
        script = script.camera(&format!("d{i}"), Quality::Sub, vec![Act::Hang]);
    }
    let begun = Instant::now();
    let rig = start(Config { cameras, limits, ..Config::default() }, script);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn drains_and_leaves_no_session_behind() {
    let rig = one(vec![Act::Play(Film::dummy(360), usize::MAX, refused())]);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    assert_eq!(rig.script.running.load(Ordering::SeqCst), 1);
    rig.tasks.drain(Duration::from_secs(5)).await;
    assert_eq!(rig.script.running.load(Ordering::SeqCst), 0);
}
