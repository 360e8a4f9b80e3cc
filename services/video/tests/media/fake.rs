//! A source of frames by script, and a clock that follows tokio's (paused) time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::CameraId;
use link::media::{CameraStatus, Live, MediaItem, Quality};
use runtime::{Clock, Tasks};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep},
};
use video::{
    Cameras, Config,
    config::CameraConfig,
    source::{Fault, Frame, Opener, Parameters, Session},
};

/// Wall time that follows tokio's.
#[derive(Debug)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as i64
    }
}

/// What happens when a session is opened.
#[derive(Clone)]
pub(crate) enum Act {
    /// The handshake fails.
    Fail(Fault),
    /// The handshake never ends.
    Hang,
    /// Frames, then a fault.
    Play(Arc<Film>, usize, Fault),
    /// Frames, then silence.
    Silence(Arc<Film>, usize),
}

/// Frames in a loop.
pub(crate) struct Film {
    pub(crate) parameters: Parameters,
    /// Key?, access unit.
    pub(crate) frames: Vec<(bool, Vec<u8>)>,
    pub(crate) interval: Duration,
}

impl Film {
    /// Ten frames a second, a key frame each second; bytes that no decoder could read.
    pub(crate) fn dummy(height: u16) -> Arc<Self> {
        let sps = Bytes::copy_from_slice(&[0x67, 0x42, 0xc0, 0x16, height.to_be_bytes()[1] | 1, 0x80]);
        let parameters = Parameters { sps, pps: Bytes::from_static(&[0x68, 0xce]), size: (640, height) };
        let frames = (0..10u8).map(|i| (i == 0, vec![0, 0, 0, 2, if i == 0 { 0x65 } else { 0x41 }, i])).collect();
        Arc::new(Self { parameters, frames, interval: Duration::from_millis(100) })
    }
}

/// Plays a script a camera and quality; the last act repeats.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) acts: Mutex<HashMap<(CameraId, Quality), VecDeque<Act>>>,
    pub(crate) handshake: Duration,
    pub(crate) opens: AtomicUsize,
    pub(crate) shaking: AtomicUsize,
    pub(crate) most_shaking: AtomicUsize,
    pub(crate) running: Arc<AtomicUsize>,
}

impl Script {
    pub(crate) fn camera(self, id: &str, quality: Quality, acts: Vec<Act>) -> Self {
        self.acts.lock().unwrap().insert((id.into(), quality), acts.into());
        self
    }
}

struct Shaking<'a>(&'a AtomicUsize);
impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Opener for Script {
    async fn open(&self, camera: &CameraConfig, quality: Quality) -> Result<Box<dyn Session>, Fault> {
        self.opens.fetch_add(1, Ordering::SeqCst);
        let now = self.shaking.fetch_add(1, Ordering::SeqCst) + 1;
        let _shaking = Shaking(&self.shaking);
        self.most_shaking.fetch_max(now, Ordering::SeqCst);
        sleep(self.handshake).await;
        let act = {
            let mut acts = self.acts.lock().unwrap();
            let queue = acts.get_mut(&(camera.id.clone(), quality)).ok_or(Fault::NotFound)?;
            if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }.ok_or(Fault::NotFound)?
        };
        let (film, left, end) = match act {
            Act::Fail(fault) => return Err(fault),
            Act::Hang => std::future::pending().await,
            Act::Play(film, frames, fault) => (film, frames, Some(fault)),
            Act::Silence(film, frames) => (film, frames, None),
        };
        self.running.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Reel { film, at: 0, left, end, running: self.running.clone() }))
    }

    async fn settle(&self, _server: &str) {}
}

struct Reel {
    film: Arc<Film>,
    at: usize,
    left: usize,
    end: Option<Fault>,
    running: Arc<AtomicUsize>,
}

impl Drop for Reel {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Session for Reel {
    async fn next(&mut self) -> Result<Frame, Fault> {
        if self.at == self.left {
            return match &self.end {
                Some(fault) => Err(fault.clone()),
                None => std::future::pending().await,
            };
        }
        if self.at > 0 {
            sleep(self.film.interval).await;
        }
        let (key, data) = self.film.frames[self.at % self.film.frames.len()].clone();
        let ticks = self.at as i64 * self.film.interval.as_millis() as i64 * 90;
        let parameters = (self.at == 0).then(|| self.film.parameters.clone());
        self.at += 1;
        Ok(Frame { ticks, key, data, parameters })
    }
}

/// A camera with both streams on its own server.
pub(crate) fn camera(id: &str) -> CameraConfig {
    CameraConfig {
        id: id.into(),
        main: Some("rtsp://127.0.0.1/main".parse().unwrap()),
        sub: "rtsp://127.0.0.1/sub".parse().unwrap(),
        username: String::new(),
        password: String::new(),
        server: id.to_owned(),
    }
}

/// A started media role and what it stands on.
pub(crate) struct Rig {
    pub(crate) cameras: Arc<Cameras>,
    pub(crate) script: Arc<Script>,
    pub(crate) tasks: Tasks,
    pub(crate) clock: Arc<TokioClock>,
}

pub(crate) fn start(config: Config, script: Script) -> Rig {
    let (tasks, clock, script) = (Tasks::default(), Arc::new(TokioClock::new()), Arc::new(script));
    let cameras = Cameras::start_with(config, clock.clone(), &tasks, script.clone());
    Rig { cameras, script, tasks, clock }
}

/// One camera `c1` with a script for its sub stream.
pub(crate) fn one(acts: Vec<Act>) -> Rig {
    let config = Config { cameras: vec![camera("c1")], ..Config::default() };
    start(config, Script::default().camera("c1", Quality::Sub, acts))
}

/// The next change that `wanted` accepts; an end of time (paused) would hang, so it is bounded.
pub(crate) async fn until(
    changes: &mut Receiver<CameraStatus>,
    wanted: impl Fn(&CameraStatus) -> bool,
) -> CameraStatus {
    tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            let status = changes.recv().await.unwrap();
            if wanted(&status) {
                return status;
            }
        }
    })
    .await
    .unwrap()
}

/// The next item within a bound.
pub(crate) async fn item(live: &mut Live) -> MediaItem {
    tokio::time::timeout(Duration::from_secs(60), live.items.recv()).await.unwrap().unwrap()
}

/// What waits now.
pub(crate) fn waiting(live: &mut Live) -> Vec<MediaItem> {
    std::iter::from_fn(|| live.items.try_recv().ok()).collect()
}

/// Short names of items, for comparing sequences.
pub(crate) fn short(item: &MediaItem) -> String {
    match item {
        MediaItem::Init { generation, fallback, .. } => {
            format!("init {generation}{}", if *fallback { " fallback" } else { "" })
        }
        MediaItem::Fragment { key: true, .. } => "key".to_owned(),
        MediaItem::Fragment { .. } => "delta".to_owned(),
        MediaItem::State(status) => status.state.name().to_owned(),
        MediaItem::Skipped { fragments } => format!("skipped {fragments}"),
    }
}
