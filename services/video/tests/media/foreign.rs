//! Cameras of another make, by GStreamer's RTSP server in a child process: B pictures, which are sent in another order
//! than they are shown in, and H.265, which is refused in words.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use domain::time::{Millis, Timestamp};
use link::media::{CameraState, Media, MediaItem, Quality};
use runtime::{Clock, Tasks};
use video::{
    Cameras, Config,
    config::{CameraConfig, StillsConfig},
};

use crate::{
    fake::{TokioClock, item, until},
    pictures::{decode_command, eventually, read_jpeg},
};

const USER: &str = "viewer";
const PASSWORD: &str = "of this test only";
const B_PICTURES: &str = "/b=x264enc speed-preset=superfast bframes=2 b-adapt=false bitrate=400 key-int-max=30 \
                          ! video/x-h264,profile=main ! rtph264pay config-interval=1";
const H265: &str = "/h265=x265enc speed-preset=ultrafast bitrate=400 key-int-max=30 ! rtph265pay config-interval=1";
/// Distance of pictures at 15 a second, 90 kHz.
const STEP: i64 = 6_000;

/// Ends with the test.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    fn start(streams: &[&str]) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/house/foreign.py");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "/usr/bin/python3", program, USER, PASSWORD])
            .args(streams)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    fn camera(&self, sub: &str, main: Option<&str>) -> CameraConfig {
        let url = |path: &str| format!("rtsp://127.0.0.1:{}{path}", self.port).parse().unwrap();
        CameraConfig {
            id: "foreign".into(),
            main: main.map(url),
            sub: url(sub),
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            server: "foreign".to_owned(),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Centre {
    cameras: Arc<Cameras>,
    clock: Arc<TokioClock>,
    tasks: Tasks,
}

fn centre(camera: CameraConfig) -> Centre {
    let (tasks, clock) = (Tasks::default(), Arc::new(TokioClock::new()));
    let stills = StillsConfig { decode_command: decode_command(), children: 1, ..StillsConfig::default() };
    let config = Config { cameras: vec![camera], stills, ..Config::default() };
    Centre { cameras: Cameras::start(config, clock.clone(), &tasks), clock, tasks }
}

/// Decodes a file; times at which its pictures are shown, 90 kHz, in the order in which the decoder gives them.
fn shown(mp4: &[u8]) -> Vec<i64> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("film.mp4");
    std::fs::write(&file, mp4).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "frame=pts", "-of", "csv=p=0"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "decodes without a complaint");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split([',', '\n']).filter(|w| !w.is_empty()).map(|w| w.parse().unwrap()).collect()
}

#[tokio::test]
async fn b_pictures_are_shown_in_their_order_live_in_stills_and_in_clips() {
    let foreign = Foreign::start(&[B_PICTURES]);
    let centre = centre(foreign.camera("/b", None));
    let mut changes = centre.cameras.changes().await;
    let status = until(&mut changes, |s| s.state == CameraState::Online).await;
    assert!(status.codec.unwrap().starts_with("avc1.4d"), "main profile");

    let mut live = centre.cameras.subscribe(&"foreign".into(), Quality::Sub).await.unwrap();
    let (mut film, mut times) = (Vec::new(), Vec::new());
    while times.len() < 60 {
        match item(&mut live).await {
            MediaItem::Init { bytes, .. } if times.is_empty() => film = bytes.to_vec(),
            MediaItem::Fragment { bytes, pts, .. } => {
                film.extend_from_slice(&bytes);
                times.push(pts);
            }
            other => assert!(matches!(other, MediaItem::State(_)), "{other:?}"),
        }
    }
    assert!(times.windows(2).filter(|w| w[1] < w[0]).count() > 10, "there are B pictures: {times:?}");
    let mut sorted = times.clone();
    sorted.sort_unstable();
    let even = |times: &[i64]| times.windows(2).all(|w| (w[1] - w[0] - STEP).abs() < 100);
    // The last ones sent may still wait for one that is shown before them.
    assert!(even(&sorted[..50]), "{sorted:?}");
    let decoded = shown(&film);
    assert_eq!(decoded[..50], sorted[..50], "as a player shows it");

    // A still comes from the key frame alone, without waiting for pictures after it.
    let still = eventually(async || centre.cameras.still(&"foreign".into()).await.ok()).await;
    assert_eq!(read_jpeg(&still.jpeg).0, "640,360");

    let now = Timestamp(centre.clock.now_ms());
    let clip = centre.cameras.clip(&"foreign".into(), now, now + Millis::seconds(3)).await.unwrap();
    let decoded = shown(&clip.mp4);
    assert!(decoded.len() >= 40 && even(&decoded[..decoded.len() - 3]), "{decoded:?}");
    centre.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn h265_is_refused_in_words_as_sub_and_replaced_by_the_sub_as_main() {
    let foreign = Foreign::start(&[B_PICTURES, H265]);
    let only = centre(foreign.camera("/h265", None));
    let mut changes = only.cameras.changes().await;
    let status = until(&mut changes, |s| s.state != CameraState::Connecting).await;
    assert_eq!(status.state, CameraState::UnsupportedCodec);
    assert!(status.state.cause_zh().ends_with("子码流改为 H.264"));
    assert!(only.cameras.still(&"foreign".into()).await.is_err());
    only.tasks.drain(Duration::from_secs(5)).await;

    let both = centre(foreign.camera("/b", Some("/h265")));
    let mut changes = both.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    let mut live = both.cameras.subscribe(&"foreign".into(), Quality::Main).await.unwrap();
    let mut pictures = 0;
    while pictures < 45 {
        match item(&mut live).await {
            MediaItem::Init { fallback, codec, .. } => assert!(fallback && codec.starts_with("avc1"), "{codec}"),
            MediaItem::Fragment { .. } => pictures += 1,
            other => assert!(matches!(other, MediaItem::State(_)), "{other:?}"),
        }
    }
    both.tasks.drain(Duration::from_secs(5)).await;
}
