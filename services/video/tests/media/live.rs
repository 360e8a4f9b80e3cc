//! Live view: instant picture, slow viewers, generations, main streams, bounds; and clips by arrival time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::time::{Millis, Timestamp};
use link::media::{CameraState, Media, MediaError, MediaItem, Quality};
use runtime::Clock;
use tokio::time::sleep;
use video::{Config, config::Limits, source::Fault};

use crate::fake::{Act, Film, Rig, Script, camera, item, one, short, start, until, waiting};

fn ended() -> Fault {
    Fault::Refused("end of stream".to_owned())
}

fn forever(height: u16) -> Act {
    Act::Play(Film::dummy(height), usize::MAX, ended())
}

async fn online(rig: &Rig) {
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
}

fn with_main(main: Vec<Act>) -> Rig {
    let script = Script::default().camera("c1", Quality::Sub, vec![forever(360)]).camera("c1", Quality::Main, main);
    start(Config { cameras: vec![camera("c1")], ..Config::default() }, script)
}

#[tokio::test(start_paused = true)]
async fn the_first_picture_is_there_at_once() {
    let rig = one(vec![forever(360)]);
    online(&rig).await;
    sleep(Duration::from_millis(2_450)).await;
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await.unwrap();
    let items = waiting(&mut live);
    let names: Vec<_> = items.iter().map(short).collect();
    assert_eq!(names, ["init 1", "key", "delta", "delta", "delta", "delta"]);
    let now = rig.clock.now_ms();
    let MediaItem::Fragment { captured, pts, .. } = items.last().unwrap() else { panic!("{names:?}") };
    assert!(now - captured.0 < 100);
    assert_eq!(*pts, 24 * 9_000);
    assert_eq!(short(&item(&mut live).await), "delta", "and goes on live");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_stays_over_a_reconnect_and_a_change_of_parameters() {
    let rig = one(vec![Act::Play(Film::dummy(360), 13, ended()), Act::Silence(Film::dummy(480), 2), forever(480)]);
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await.unwrap();
    let (mut names, mut generations) = (Vec::new(), Vec::new());
    while generations.last() != Some(&3) {
        let item = item(&mut live).await;
        if let MediaItem::Init { generation, size, .. } = &item {
            generations.push(*generation);
            assert_eq!(size.1, if *generation == 1 { 360 } else { 480 });
        }
        names.push(short(&item));
    }
    let frames = |n: usize| (0..n).map(|i| if i % 10 == 0 { "key" } else { "delta" });
    let mut expected = vec!["connecting", "online", "init 1"];
    expected.extend(frames(13));
    expected.extend(["init 2", "key", "delta", "stalled", "init 3"]);
    names.retain(|n| n != "unknown");
    // The first state may come before or after the first frame, which reports it.
    let sort = |list: Vec<String>| {
        list.into_iter().filter(|n| !["connecting", "online"].contains(&n.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(sort(names), sort(expected.into_iter().map(str::to_owned).collect()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_loses_whole_groups_and_is_told() {
    let limits = Limits { viewer_queue: 16, ..Limits::default() };
    let script = Script::default().camera("c1", Quality::Sub, vec![forever(360)]);
    let rig = start(Config { cameras: vec![camera("c1")], limits, ..Config::default() }, script);
    online(&rig).await;
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let (mut got, mut skipped) = (0, 0);
    let mut before = "key".to_owned();
    let mut pts = Vec::new();
    for name_item in waiting(&mut live) {
        if let MediaItem::Fragment { pts: p, .. } = name_item {
            pts.push(p);
            got += 1;
        }
    }
    while skipped == 0 || got < 60 {
        let next = item(&mut live).await;
        match &next {
            MediaItem::Skipped { fragments } => skipped += fragments,
            MediaItem::Fragment { pts: p, key, .. } => {
                assert!(*key || !before.starts_with("skipped"), "goes on at a key frame");
                pts.push(*p);
                got += 1;
            }
            _ => {}
        }
        before = short(&next);
    }
    assert!(skipped > 0);
    assert!(pts.windows(2).all(|w| w[0] < w[1]));
    let all = (pts.last().unwrap() - pts[0]) / 9_000 + 1;
    assert_eq!(all, i64::from(got + skipped), "every fragment came or was counted");
}

#[tokio::test(start_paused = true)]
async fn a_main_stream_starts_with_the_sub_and_ends_with_its_last_viewer() {
    let rig = with_main(vec![forever(1080)]);
    online(&rig).await;
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Main).await.unwrap();
    assert_eq!(short(&item(&mut live).await), "init 1 fallback");
    let main = loop {
        if let MediaItem::Init { fallback: false, size, .. } = item(&mut live).await {
            break size;
        }
    };
    assert_eq!(main, (640, 1080));
    assert_eq!(rig.script.running.load(Ordering::SeqCst), 2);
    let mut second = rig.cameras.subscribe(&"c1".into(), Quality::Main).await.unwrap();
    assert_eq!(short(&item(&mut second).await), "init 2");
    assert_eq!(rig.script.running.load(Ordering::SeqCst), 2, "one session for both");
    drop((live, second));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.script.running.load(Ordering::SeqCst), 1);
    let mut again = rig.cameras.subscribe(&"c1".into(), Quality::Main).await.unwrap();
    while short(&item(&mut again).await) != "init 3" {}
}

#[tokio::test(start_paused = true)]
async fn a_main_stream_that_cannot_be_played_falls_back() {
    let rig = with_main(vec![Act::Fail(Fault::UnsupportedCodec("h265".to_owned()))]);
    online(&rig).await;
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Main).await.unwrap();
    assert_eq!(short(&item(&mut live).await), "init 1 fallback");
    for _ in 0..100 {
        assert!(["key", "delta"].contains(&short(&item(&mut live).await).as_str()));
    }
    assert_eq!(rig.script.opens.load(Ordering::SeqCst), 2, "asked once, then left alone");
    assert_eq!(rig.cameras.cameras().await[0].state, CameraState::Online);
}

#[tokio::test(start_paused = true)]
async fn a_main_stream_that_breaks_goes_on_with_the_sub() {
    let rig = with_main(vec![Act::Play(Film::dummy(1080), 20, ended()), Act::Fail(ended())]);
    online(&rig).await;
    let mut live = rig.cameras.subscribe(&"c1".into(), Quality::Main).await.unwrap();
    let mut inits = Vec::new();
    while inits.len() < 3 {
        let name = short(&item(&mut live).await);
        if name.starts_with("init") {
            inits.push(name);
        }
    }
    assert_eq!(inits, ["init 1 fallback", "init 2", "init 1 fallback"]);
}

#[tokio::test(start_paused = true)]
async fn bounds_are_answers() {
    let limits = Limits { camera_viewers: 2, viewers: 3, clips: 1, ..Limits::default() };
    let script =
        Script::default().camera("c1", Quality::Sub, vec![forever(360)]).camera("c2", Quality::Sub, vec![forever(360)]);
    let rig = start(Config { cameras: vec![camera("c1"), camera("c2")], limits, ..Config::default() }, script);
    online(&rig).await;
    let unknown = rig.cameras.subscribe(&"c9".into(), Quality::Sub).await;
    assert_eq!(unknown.unwrap_err(), MediaError::UnknownCamera);
    let a = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await.unwrap();
    let _b = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await.unwrap();
    let third = rig.cameras.subscribe(&"c1".into(), Quality::Sub).await;
    assert!(matches!(third, Err(MediaError::Busy(_))));
    let _c = rig.cameras.subscribe(&"c2".into(), Quality::Sub).await.unwrap();
    assert!(matches!(rig.cameras.subscribe(&"c2".into(), Quality::Sub).await, Err(MediaError::Busy(_))));
    drop(a);
    rig.cameras.subscribe(&"c2".into(), Quality::Sub).await.unwrap();

    let now = Timestamp(rig.clock.now_ms());
    let (cameras, one, two) = (rig.cameras.clone(), "c1".into(), "c2".into());
    let (first, second) = tokio::join!(
        cameras.clip(&one, now, now + Millis::seconds(5)),
        cameras.clip(&two, now, now + Millis::seconds(5)),
    );
    assert!(first.is_ok() && matches!(second, Err(MediaError::Busy(_))));
    let still = rig.cameras.still(&"c1".into()).await;
    assert!(still.is_err(), "no decode children are configured");
}

#[tokio::test(start_paused = true)]
async fn a_clip_holds_what_was_before_and_waits_for_what_comes() {
    let rig = one(vec![Act::Play(Film::dummy(360), 317, ended()), forever(360)]);
    online(&rig).await;
    sleep(Duration::from_secs(25)).await;
    let now = Timestamp(rig.clock.now_ms());
    let (from, to) = (now + Millis::seconds(-10), now + Millis::seconds(20));
    let clip = rig.cameras.clip(&"c1".into(), from, to).await.unwrap();
    assert!(clip.from <= from && (from - clip.from).0 < 1_000);
    assert!(clip.to <= to && (to - clip.to).0 < 200);
    assert_eq!(clip.codec, "avc1.42c016");
    assert_eq!(&clip.mp4[4..8], b"ftyp");
    let nothing = rig.cameras.clip(&"c1".into(), now + Millis::hours(-2), now + Millis::hours(-1)).await;
    assert_eq!(nothing.unwrap_err(), MediaError::NoPicture);
}

#[tokio::test(start_paused = true)]
async fn all_rings_together_stay_within_their_bound() {
    let mut film = Film::dummy(360);
    for (_, data) in &mut Arc::get_mut(&mut film).unwrap().frames {
        let head = [(9_997u32).to_be_bytes().to_vec(), data[4..].to_vec()].concat();
        *data = head;
        data.resize(10_001, 0);
    }
    let limits = Limits { ring_bytes: 3_000_000, ..Limits::default() };
    let cameras: Vec<_> = (0..10).map(|i| camera(&format!("c{i}"))).collect();
    let mut script = Script::default();
    for c in &cameras {
        script = script.camera(c.id.as_str(), Quality::Sub, vec![Act::Play(film.clone(), usize::MAX, ended())]);
    }
    let rig = start(Config { cameras, limits, ..Config::default() }, script);
    sleep(Duration::from_secs(40)).await;
    // 10 cameras × 100 kB/s: 30 of the 40 MB are gone; each camera still has about its share.
    let now = Timestamp(rig.clock.now_ms());
    let held: usize = {
        let mut sum = 0;
        for i in 0..10 {
            let id = format!("c{i}").into();
            sum += rig.cameras.clip(&id, now + Millis::minutes(-1), now).await.unwrap().mp4.len();
        }
        sum
    };
    assert!((2_000_000..4_300_000).contains(&held), "{held} bytes");
}
