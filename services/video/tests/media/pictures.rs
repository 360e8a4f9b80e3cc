//! Pictures by real decode children: stills, sheet, diagnosis, broken pictures, confinement, playable clips.

use std::{process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::time::{Millis, Timestamp};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use link::media::{CameraState, Media, MediaError, PictureFault, Quality};
use runtime::Clock;
use tokio::time::sleep;
use video::{
    Config,
    config::StillsConfig,
    diagnose::Thresholds,
    source::{Fault, Parameters},
};

use crate::fake::{Act, Film, Rig, Script, camera, start, until};

/// Encodes 45 frames of a test pattern, 15 a second, a key frame each second.
fn film(pattern: &str, profile: &str) -> Arc<Film> {
    gst::init().unwrap();
    let description = format!(
        "videotestsrc pattern={pattern} num-buffers=45 ! video/x-raw,format=I420,width=640,height=360,framerate=15/1 \
         ! x264enc tune=zerolatency bitrate=400 key-int-max=15 \
         ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink: AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut frames, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let (mut data, mut key) = (Vec::new(), false);
        for nal in nals(&map) {
            match nal[0] & 0x1f {
                7 => sps = nal.to_vec(),
                8 => pps = nal.to_vec(),
                kind => {
                    key |= kind == 5;
                    data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                    data.extend_from_slice(nal);
                }
            }
        }
        frames.push((key, data));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(frames.len(), 45);
    let parameters = Parameters { sps: Bytes::from(sps), pps: Bytes::from(pps), size: (640, 360) };
    Arc::new(Film { parameters, frames, interval: Duration::from_millis(66) })
}

/// Splits Annex B.
fn nals(mut data: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while let Some(start) = data.windows(3).position(|w| w == [0, 0, 1]) {
        data = &data[start + 3..];
        let end = data.windows(3).position(|w| w == [0, 0, 1] || w == [0, 0, 0]).unwrap_or(data.len());
        out.push(&data[..end]);
    }
    out
}

pub(crate) fn decode_command() -> Vec<String> {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    vec![path.join("examples/decode").to_str().unwrap().to_owned()]
}

fn rig(films: &[Arc<Film>], decode_command: Vec<String>) -> Rig {
    let cameras: Vec<_> = (0..films.len()).map(|i| camera(&format!("c{i}"))).collect();
    let mut script = Script::default();
    for (c, film) in cameras.iter().zip(films) {
        let play = Act::Play(film.clone(), usize::MAX, Fault::NotFound);
        script = script.camera(c.id.as_str(), Quality::Sub, vec![play]);
    }
    let diagnosis = Thresholds { frozen_after: Duration::from_millis(2_500), ..Thresholds::default() };
    let stills = StillsConfig {
        decode_command,
        refresh: Duration::from_millis(500),
        sheet_columns: 2,
        diagnosis,
        decode_timeout: Duration::from_millis(2_000),
        ..StillsConfig::default()
    };
    start(Config { cameras, stills, ..Config::default() }, script)
}

/// Size of a JPEG and the mean of its first component, by ffmpeg.
pub(crate) fn read_jpeg(jpeg: &[u8]) -> (String, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.jpg");
    std::fs::write(&file, jpeg).unwrap();
    let size = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"])
        .arg(&file)
        .output()
        .unwrap();
    let grey = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&file)
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .unwrap();
    (String::from_utf8(size.stdout).unwrap().trim().to_owned(), grey.stdout)
}

fn mean(bytes: impl Iterator<Item = u8>) -> u64 {
    let (sum, n) = bytes.fold((0u64, 0u64), |(s, n), v| (s + u64::from(v), n + 1));
    sum / n.max(1)
}

pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn stills_sheet_and_diagnosis() {
    let films = [
        film("ball background-color=0xff406080", "constrained-baseline"),
        film("white", "main"),
        film("black", "high"),
    ];
    let rig = rig(&films, decode_command());
    let mut changes = rig.cameras.changes().await;

    let mut faults = std::collections::BTreeMap::new();
    while faults.len() < 2 {
        let status = until(&mut changes, |s| s.fault.is_some()).await;
        assert_eq!(status.state, CameraState::Online);
        assert!(status.fault_since.is_some());
        faults.insert(status.camera.to_string(), status.fault.unwrap());
    }
    assert_eq!(
        faults.into_iter().collect::<Vec<_>>(),
        [("c1".to_owned(), PictureFault::Frozen), ("c2".to_owned(), PictureFault::Black)]
    );
    assert_eq!(rig.cameras.cameras().await[0].fault, None);

    let still = eventually(async || rig.cameras.still(&"c1".into()).await.ok()).await;
    let (size, grey) = read_jpeg(&still.jpeg);
    assert_eq!(size, "640,360");
    assert!(mean(grey.into_iter()) >= 250, "white stays white in full range");
    let age = rig.clock.now_ms() - still.captured.0;
    assert!(age < 30_000, "{age}");

    let sheet =
        eventually(async || rig.cameras.sheet().await.ok().filter(|s| s.tiles.iter().all(|(_, t)| t.is_some()))).await;
    assert_eq!((sheet.tile, sheet.columns, sheet.tiles.len()), ((160, 90), 2, 3));
    let (size, grey) = read_jpeg(&sheet.jpeg);
    assert_eq!(size, "320,180");
    let tile = |column: usize, row: usize| {
        let cell = |i: usize| grey[(row * 90 + i / 160) * 320 + column * 160 + i % 160];
        mean((0..160 * 90).map(cell))
    };
    assert!(tile(1, 0) >= 250 && tile(0, 1) <= 5 && (30..60).contains(&tile(1, 1)), "white, black, empty");
    assert_eq!(rig.cameras.probe_confinement().await, Ok(true), "a decode child has no sockets and no files");
    rig.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_broken_picture_is_left_out_and_the_last_good_one_stays() {
    let good = film("ball background-color=0xff406080", "main");
    let mut broken = Film { parameters: good.parameters.clone(), frames: good.frames.clone(), interval: good.interval };
    // The first key frame is whole, later ones are noise behind a valid slice header.
    for (key, data) in broken.frames.iter_mut().skip(1) {
        if *key {
            let len = data.len();
            data[len / 8..].iter_mut().zip(0u32..).for_each(|(v, i)| *v = (i.wrapping_mul(2_654_435_761) >> 24) as u8);
            let whole = (len as u32 - 4).to_be_bytes();
            data[..4].copy_from_slice(&whole);
        }
    }
    let mut odd = Film { parameters: good.parameters.clone(), frames: good.frames.clone(), interval: good.interval };
    odd.parameters.sps = Bytes::from_static(&[0x67, 0xff, 0xff]);
    let rig = rig(&[Arc::new(broken), Arc::new(odd), good], decode_command());
    let good_still = eventually(async || rig.cameras.still(&"c2".into()).await.ok()).await;
    assert_eq!(read_jpeg(&good_still.jpeg).0, "640,360");
    // The others neither answer with a picture that is not there nor hold up the good one.
    assert_eq!(rig.cameras.still(&"c1".into()).await.unwrap_err(), MediaError::NoPicture);
    let newer =
        eventually(async || rig.cameras.still(&"c2".into()).await.ok().filter(|s| s.captured > good_still.captured))
            .await;
    assert!(newer.captured > good_still.captured);
    rig.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_child_that_dies_is_replaced_and_others_go_on() {
    // A child that ends after its hello and one request, whatever it is.
    let dies = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        "printf '\\000\\000\\000\\001\\000'; head -c 4 >/dev/null".to_owned(),
    ];
    let rig = rig(&[film("ball background-color=0xff406080", "main")], dies);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    let answer = eventually(async || match rig.cameras.still(&"c0".into()).await {
        Err(MediaError::Unavailable) => None,
        other => Some(other),
    })
    .await;
    assert_eq!(answer.unwrap_err(), MediaError::NoPicture);
    let mut live = rig.cameras.subscribe(&"c0".into(), Quality::Sub).await.unwrap();
    assert!(live.items.recv().await.is_some(), "live view does not need a decoder");
    rig.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_child_that_dies_idle_is_replaced_and_no_picture_is_blamed() {
    // The first child ends after its hello, before there is anything to decode; the next one works.
    let dir = tempfile::tempdir().unwrap();
    let script = "mkdir \"$0\" 2>/dev/null && printf '\\000\\000\\000\\001\\000' || exec \"$1\"";
    let first = dir.path().join("first").display().to_string();
    let command = [vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned(), first], decode_command()].concat();
    let play = Act::Play(film("ball background-color=0xff406080", "main"), usize::MAX, Fault::NotFound);
    let script = Script { handshake: Duration::from_secs(2), ..Script::default() };
    let script = script.camera("c0", Quality::Sub, vec![play]);
    let stills = StillsConfig { decode_command: command, children: 1, ..StillsConfig::default() };
    let rig = start(Config { cameras: vec![camera("c0")], stills, ..Config::default() }, script);
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    let still = eventually(async || match rig.cameras.still(&"c0".into()).await {
        Err(MediaError::Unavailable) => None,
        other => Some(other),
    })
    .await;
    assert_eq!(read_jpeg(&still.unwrap().jpeg).0, "640,360");
    rig.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_clip_plays() {
    let film = film("ball background-color=0xff406080", "main");
    let rig = rig(std::slice::from_ref(&film), Vec::new());
    let mut changes = rig.cameras.changes().await;
    until(&mut changes, |s| s.state == CameraState::Online).await;
    let now = Timestamp(rig.clock.now_ms());
    let clip = rig.cameras.clip(&"c0".into(), now, now + Millis::seconds(4)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    std::fs::write(&file, &clip.mp4).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries"])
        .args(["stream=codec_name,width,height,nb_frames,nb_read_frames,has_b_frames", "-of", "default=nk=0:nw=1"])
        .arg(&file)
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(errors, "", "decodes without a complaint");
    let value = |key: &str| {
        text.lines().find_map(|l| l.strip_prefix(&format!("{key}=")).map(str::to_owned)).unwrap_or_default()
    };
    assert_eq!((value("codec_name"), value("width"), value("has_b_frames")), ("h264".into(), "640".into(), "0".into()));
    assert_eq!(value("nb_frames"), value("nb_read_frames"));
    assert!(value("nb_frames").parse::<u32>().unwrap() >= 15, "{text}");
    rig.tasks.drain(Duration::from_secs(5)).await;
}
