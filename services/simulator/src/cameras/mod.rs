//! The camera simulator: any number of RTSP cameras in one process, each with its own address, name strip and faults.
//!
//! Films are painted and encoded once and kept in a folder (`studio`), packed into RTP packets once (`film`), stamped
//! for each camera (`camera`) by one timer (`pace`) and written without waiting (`link`). A camera's own name costs
//! nothing to encode again: it is a slice below the shared picture (`h264`, `h265`).
//!
//! Invariants: streams change films only at key frames; a client that takes its pictures too slowly is cut and counted;
//! handshakes, sessions, requests and backlogs are bounded a camera. Only `Cameras::start` and the first use of a film
//! that was not made beforehand do work that takes long, on threads that may block.

mod auth;
mod bits;
mod cabac;
mod camera;
mod encode;
mod film;
mod h264;
mod h265;
mod link;
mod pace;
mod packet;
pub mod paint;
mod rtsp;
mod server;
mod specs;
mod studio;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use domain::ids::CameraId;
use runtime::{Clock, Criticality, Tasks, tasks::Stage};
use tokio::{task::JoinSet, time::Instant};

pub use auth::{Auth, Credentials};
pub use paint::Scene;
pub use specs::{address_of, main_codec, specs};

use camera::{Camera, Counters, Stream};
use studio::{FilmKey, Films};

/// Why the cameras do not do what they are told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be used.
    #[error("{address}: 摄像头地址无法监听 cannot listen")]
    Listen {
        /// The camera's address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder of films cannot be used.
    #[error("影片缓存目录不可用 the folder of films cannot be used")]
    Cache(#[source] std::io::Error),
    /// GStreamer refused.
    #[error("视频编码失败 encoding failed: {0}")]
    Encode(String),
    /// An encoder wrote something that the simulator does not know.
    #[error("视频码流不符合预期 unexpected stream: {0}")]
    Stream(String),
    /// There is no such camera.
    #[error("没有这个摄像头 no such camera: {0}")]
    Unknown(CameraId),
    /// Work was stopped from outside.
    #[error("已停止 stopped")]
    Stopped,
}

/// Video coding of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
}

/// How a camera writes to its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteMode {
    /// A whole frame in one write; a client gets its first picture at a key frame.
    Frame,
    /// Packet by packet; a client gets what is on the way, from the middle of a group.
    Packet,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraSpec {
    /// Id, as in the site.
    pub id: CameraId,
    /// Number on its strip.
    pub number: u16,
    /// What it sees.
    pub scene: Scene,
    /// By night, if it is outdoors.
    pub night: bool,
    /// Its films carry the position in the loop, for a machine to read: a test pattern that no real camera shows.
    pub marked: bool,
    /// How it asks for credentials.
    pub auth: Auth,
    /// What it asks for.
    pub credentials: Credentials,
    /// Where it listens, loopback.
    pub address: SocketAddr,
    /// Coding of its main stream; the sub is always H.264.
    pub main_codec: Codec,
    /// How it writes.
    pub write_mode: WriteMode,
}

/// All cameras and their bounds.
#[derive(Clone, Debug)]
pub struct CamerasConfig {
    /// The cameras.
    pub cameras: Vec<CameraSpec>,
    /// Folder where films are kept.
    pub cache: PathBuf,
    /// Frames of a loop, a multiple of 60 up to 480.
    pub loop_frames: u16,
    /// Sessions a camera serves at once; the next is answered 453.
    pub max_sessions: usize,
    /// Connections of a camera that have not begun to play; the next is closed.
    pub max_handshakes: usize,
    /// Bytes that wait for a slow client before it is cut.
    pub max_backlog: usize,
}

impl CamerasConfig {
    /// The usual bounds: loops of 20 s, 4 sessions, 4 handshakes, 1 MiB of backlog.
    pub fn new(cameras: Vec<CameraSpec>, cache: PathBuf) -> Self {
        Self { cameras, cache, loop_frames: 300, max_sessions: 4, max_handshakes: 4, max_backlog: 1 << 20 }
    }
}

/// What can be wrong with a camera. One at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing listens; connections are reset.
    Dead,
    /// Answers, but sends no picture.
    Silent,
    /// The picture stands still; time goes on.
    Frozen,
    /// A black picture.
    Black,
    /// Out of focus.
    Blurred,
    /// Bytes dribble: a frame takes seconds.
    Slow,
    /// The password has been changed; connections are reset.
    Unauthorised,
    /// The stream changes to other parameter sets (480×272).
    Parameters,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 8] = [
        Self::Dead,
        Self::Silent,
        Self::Frozen,
        Self::Black,
        Self::Blurred,
        Self::Slow,
        Self::Unauthorised,
        Self::Parameters,
    ];
}

/// How far the making of films is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Scenes ready.
    pub done: usize,
    /// Scenes in all.
    pub total: usize,
    /// The scene that has just become ready.
    pub scene: Scene,
}

/// Where a camera is in its loop: position = floor((unix ms − `epoch_ms`) × `fps` / 1000) mod `frames`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopClock {
    /// When the loop showed position 0, milliseconds since 1970.
    pub epoch_ms: i64,
    /// Frames of the loop that the sub stream shows now.
    pub frames: u16,
    /// Frames a second.
    pub fps: u32,
}

/// Counters of all cameras since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Cameras in all.
    pub cameras: usize,
    /// Cameras that listen.
    pub listening: usize,
    /// Streams being sent.
    pub viewers: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed because too many shook hands.
    pub refused_handshakes: u64,
    /// SETUPs answered 453.
    pub refused_sessions: u64,
    /// Requests answered 401 (each first request of a client is one).
    pub unauthorised: u64,
    /// Clients cut because they were too slow.
    pub slow_cut: u64,
    /// Frames handed to clients.
    pub frames: u64,
    /// Bytes handed to clients.
    pub bytes: u64,
    /// Camera slots (1/120 s) that were skipped because the process was late.
    pub late_slots: u64,
    /// Most handshakes that one camera had at once.
    pub peak_handshakes: usize,
}

struct Inner {
    cameras: Vec<Arc<Camera>>,
    by_id: HashMap<CameraId, Arc<Camera>>,
    films: Arc<Films>,
    counters: Arc<Counters>,
    started_ms: i64,
    h265: bool,
}

/// The running cameras. Clones share them.
#[derive(Clone)]
pub struct Cameras(Arc<Inner>);

impl Cameras {
    /// Makes the films that are missing, listens at every address and begins to send. Everything ends with stage
    /// `Sources` of `tasks`. Without an H.265 encoder on this machine H.265 mains are served as H.264 (see
    /// [`Cameras::h265`]).
    pub async fn start(
        config: CamerasConfig,
        tasks: &Tasks,
        clock: Arc<dyn Clock>,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let stop = tasks.stop(Stage::Sources);
        let limits = server::Limits {
            sessions: config.max_sessions,
            handshakes: config.max_handshakes,
            backlog: config.max_backlog,
        };
        let h265 = encode::h265_available();
        let counters = Arc::new(Counters::default());
        let frames = (config.loop_frames / 60).clamp(1, 8) * 60;
        let cameras: Vec<_> = config
            .cameras
            .into_iter()
            .enumerate()
            .map(|(index, mut spec)| {
                spec.main_codec = if h265 { spec.main_codec } else { Codec::H264 };
                Arc::new(Camera::new(index, spec, frames, counters.clone()))
            })
            .collect();
        let names = cameras.iter().map(|c| format!("C{:03}", c.spec.number)).collect();
        let films = Arc::new(Films::new(config.cache.clone(), names, stop.clone()));
        make_films(config.cache, &cameras, &films, progress, stop.clone()).await?;
        let mut doors = JoinSet::new();
        for camera in &cameras {
            let listener = server::bind(camera.spec.address).await?;
            doors.spawn(server::door(camera.clone(), films.clone(), limits, listener, stop.clone()));
        }
        let (start, started_ms) = (Instant::now(), clock.now_ms());
        let pace = pace::pace(cameras.clone(), counters.clone(), clock, start, stop);
        tasks.spawn("cameras", Stage::Sources, Criticality::Critical, async move {
            pace.await;
            while doors.join_next().await.is_some() {}
        });
        let by_id = cameras.iter().map(|c| (c.spec.id.clone(), c.clone())).collect();
        Ok(Self(Arc::new(Inner { cameras, by_id, films, counters, started_ms, h265 })))
    }

    fn camera(&self, id: &CameraId) -> Result<&Arc<Camera>, Error> {
        self.0.by_id.get(id).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// Whether H.265 mains are really H.265.
    pub fn h265(&self) -> bool {
        self.0.h265
    }

    /// Gives a camera a fault, in place of any that it has. Faults of the picture begin at the next key frame, at most
    /// 2 s later.
    pub async fn set_fault(&self, id: &CameraId, fault: Fault) -> Result<(), Error> {
        self.change(&self.camera(id)?.clone(), |c| c.set_fault(Some(fault))).await
    }

    /// Ends the fault of a camera.
    pub async fn clear(&self, id: &CameraId) -> Result<(), Error> {
        self.change(&self.camera(id)?.clone(), |c| c.set_fault(None)).await
    }

    /// Gives all cameras a fault, or ends all faults.
    pub async fn set_all(&self, fault: Option<Fault>) -> Result<(), Error> {
        for camera in &self.0.cameras {
            self.change(camera, |c| c.set_fault(fault)).await?;
        }
        Ok(())
    }

    /// Resets every connection that watches; the cameras go on listening.
    pub fn cut_all_links(&self) {
        self.0.cameras.iter().for_each(|c| c.cut_links());
    }

    /// Lets a camera see another scene from the next key frame on.
    pub async fn set_scene(&self, id: &CameraId, scene: Scene) -> Result<(), Error> {
        self.change(&self.camera(id)?.clone(), |c| c.set_scene(scene)).await
    }

    /// Lets a camera see its own scene again.
    pub async fn reset_scene(&self, id: &CameraId) -> Result<(), Error> {
        let camera = self.camera(id)?.clone();
        let scene = camera.spec.scene;
        self.change(&camera, |c| c.set_scene(scene)).await
    }

    async fn change(&self, camera: &Arc<Camera>, change: impl FnOnce(&Camera)) -> Result<(), Error> {
        change(camera);
        for stream in [Stream::Main, Stream::Sub].into_iter().filter(|s| camera.watched(*s)) {
            let (films, key) = (self.0.films.clone(), camera.film_key(stream));
            let reel = tokio::task::spawn_blocking(move || films.get(key)).await.map_err(|_| Error::Stopped)??;
            camera.set_reel(stream, reel);
        }
        Ok(())
    }

    /// The fault of a camera.
    pub fn fault(&self, id: &CameraId) -> Result<Option<Fault>, Error> {
        Ok(self.camera(id)?.fault())
    }

    /// What a camera sees now.
    pub fn scene(&self, id: &CameraId) -> Result<Scene, Error> {
        Ok(self.camera(id)?.scene())
    }

    /// Where a camera is in its loop.
    pub fn loop_clock(&self, id: &CameraId) -> Result<LoopClock, Error> {
        let camera = self.camera(id)?;
        let frames = camera.film_key(Stream::Sub).frames;
        let slot = i64::try_from(pace::due(camera.index as u64 % pace::SLOTS).as_millis()).unwrap_or(0);
        let ahead = i64::try_from(camera.ahead * 1000 / u64::from(encode::FPS)).unwrap_or(0);
        Ok(LoopClock { epoch_ms: self.0.started_ms + slot - ahead, frames, fps: encode::FPS })
    }

    /// All counters.
    pub fn stats(&self) -> Stats {
        let c = &self.0.counters;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            cameras: self.0.cameras.len(),
            listening: self.0.cameras.iter().filter(|c| *c.door.borrow()).count(),
            viewers: self.0.cameras.iter().map(|c| c.viewers()).sum(),
            accepted: read(&c.accepted),
            refused_handshakes: read(&c.refused_handshakes),
            refused_sessions: read(&c.refused_sessions),
            unauthorised: read(&c.unauthorised),
            slow_cut: read(&c.slow_cut),
            frames: read(&c.frames),
            bytes: read(&c.bytes),
            late_slots: read(&c.late_slots),
            peak_handshakes: c.peak_handshakes.load(Ordering::Relaxed),
        }
    }
}

/// Makes what is missing and loads the subs, so that the first client does not wait.
async fn make_films(
    cache: PathBuf,
    cameras: &[Arc<Camera>],
    films: &Arc<Films>,
    progress: impl Fn(Progress) + Send + Sync + 'static,
    stop: tokio_util::sync::CancellationToken,
) -> Result<(), Error> {
    let keys: BTreeSet<FilmKey> = cameras.iter().flat_map(|c| c.wanted()).collect();
    let shown: BTreeSet<FilmKey> =
        cameras.iter().flat_map(|c| [c.film_key(Stream::Sub), c.film_key(Stream::Main)]).collect();
    let films = films.clone();
    let work = move || {
        studio::produce(&cache, &keys, &progress, &stop)?;
        shown.into_iter().try_for_each(|key| films.get(key).map(|_| ()))
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)?
}
