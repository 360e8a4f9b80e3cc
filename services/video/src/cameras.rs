//! The media role: starts all tasks and implements the port [`Media`].
//!
//! Bounded: viewers, clips, stills in the making; at the bound the caller gets [`MediaError::Busy`]. Nothing blocks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    ids::CameraId,
    time::{Millis, Timestamp},
};
use link::media::{CameraStatus, Clip, Live, Media, MediaError, Quality, Sheet, Still};
use runtime::{Clock, Criticality, Tasks, tasks::Stage, telemetry::names};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    camera::{Camera, Commons},
    clip,
    config::{Config, Limits},
    decode::pool::Pool,
    gate::Gate,
    pull::Puller,
    rtsp::RtspOpener,
    source::Opener,
    stills::Stills,
};

/// A clip waits at most this long for its end.
const CLIP_AHEAD: Millis = Millis::minutes(1);
/// After the end of a clip its last frames may still be on their way.
const CLIP_GRACE_STEPS: u32 = 15;
/// One step of that grace.
const CLIP_GRACE_STEP: Duration = Duration::from_millis(100);
/// Changes that wait in a listener's channel; behind it only the newest state of each camera is kept.
const CHANGES: usize = 64;

/// See the module.
pub struct Cameras {
    limits: Limits,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    commons: Arc<Commons>,
    puller: Arc<Puller>,
    cameras: Vec<Arc<Camera>>,
    by_id: HashMap<CameraId, usize>,
    stills: Arc<Stills>,
    pool: Pool,
    clips: Semaphore,
    viewers: AtomicUsize,
}

impl Cameras {
    /// Starts pulling all sub streams over RTSP, and the decode children.
    pub fn start(config: Config, clock: Arc<dyn Clock>, tasks: &Tasks) -> Arc<Self> {
        Self::start_with(config, clock, tasks, Arc::new(RtspOpener::default()))
    }

    /// As [`Self::start`], with another source of frames.
    pub fn start_with(config: Config, clock: Arc<dyn Clock>, tasks: &Tasks, opener: Arc<dyn Opener>) -> Arc<Self> {
        let limits = config.limits;
        let now = Timestamp(clock.now_ms());
        let commons = Arc::new(Commons::new(&limits, config.cameras.len()));
        let cameras: Vec<_> = config
            .cameras
            .into_iter()
            .enumerate()
            .map(|(i, c)| Arc::new(Camera::new(i, c, &limits, commons.clone(), now)))
            .collect();
        let puller = Arc::new(Puller {
            clock: clock.clone(),
            gate: Gate::new(limits.handshakes, limits.server_handshakes),
            limits: limits.clone(),
            opener,
            stop: tasks.stop(Stage::Sources),
            received: metrics::counter!(names::VIDEO_BYTES),
            reconnects: metrics::counter!(names::VIDEO_RECONNECTS),
        });
        let pool = Pool::new(&config.stills);
        let stills = Arc::new(Stills::new(config.stills.clone(), clock.clone(), pool.clone(), cameras.clone()));
        let this = Arc::new(Self {
            by_id: cameras.iter().map(|c| (c.config.id.clone(), c.index)).collect(),
            clips: Semaphore::new(limits.clips),
            viewers: AtomicUsize::new(0),
            tasks: tasks.clone(),
            limits,
            clock,
            commons,
            puller,
            cameras,
            stills,
            pool,
        });
        this.spawn_all(&config.stills);
        this
    }

    fn spawn(&self, name: String, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, Stage::Sources, Criticality::Ordinary, work);
    }

    fn spawn_all(self: &Arc<Self>, stills: &crate::config::StillsConfig) {
        for camera in &self.cameras {
            self.spawn(format!("camera {}", camera.config.id), self.puller.clone().sub(camera.clone()));
        }
        let stop = self.tasks.stop(Stage::Sources);
        self.spawn("video upkeep".to_owned(), self.clone().upkeep());
        if stills.decode_command.is_empty() {
            return;
        }
        let children = stills.children.max(1);
        for part in 0..children {
            self.spawn(format!("decode child {part}"), self.pool.clone().serve(stills.clone(), stop.clone()));
            self.spawn(format!("stills {part}"), self.stills.clone().rounds(part, children, stop.clone()));
        }
    }

    /// Forgets viewers that left and renews the gauges, once a second.
    async fn upkeep(self: Arc<Self>) {
        let stop = self.tasks.stop(Stage::Sources);
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            self.count_viewers();
            metrics::gauge!(names::VIDEO_RING_BYTES).set(self.commons.ring_bytes() as f64);
        }
    }

    fn count_viewers(&self) -> usize {
        let viewers = self.cameras.iter().map(|c| c.viewers()).sum();
        self.viewers.store(viewers, Ordering::Relaxed);
        metrics::gauge!(names::VIDEO_VIEWERS).set(viewers as f64);
        viewers
    }

    fn camera(&self, id: &CameraId) -> Result<&Arc<Camera>, MediaError> {
        self.by_id.get(id).and_then(|i| self.cameras.get(*i)).ok_or(MediaError::UnknownCamera)
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Whether a decode child's sockets and files are denied: for tests of the confinement.
    ///
    /// # Errors
    /// When no child is up.
    pub async fn probe_confinement(&self) -> Result<bool, MediaError> {
        self.pool.probe().await.map_err(|_| MediaError::Unavailable)
    }

    async fn wait_for(&self, camera: &Camera, to: Timestamp) -> Result<(), MediaError> {
        let ahead = (to - self.now()).0;
        if ahead < 0 {
            return Ok(());
        }
        let stop = self.tasks.stop(Stage::Sources);
        tokio::select! {
            () = sleep(Duration::from_millis(ahead.unsigned_abs())) => {}
            () = stop.cancelled() => return Err(MediaError::Unavailable),
        }
        for _ in 0..CLIP_GRACE_STEPS {
            if camera.newest_frame().is_some_and(|t| t >= to) {
                break;
            }
            sleep(CLIP_GRACE_STEP).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Media for Cameras {
    async fn subscribe(&self, camera: &CameraId, quality: Quality) -> Result<Live, MediaError> {
        let camera = self.camera(camera)?;
        if self.viewers.load(Ordering::Relaxed) >= self.limits.viewers && self.count_viewers() >= self.limits.viewers {
            return Err(MediaError::Busy("viewers"));
        }
        let (items, start_main) = camera.subscribe(quality, &self.limits)?;
        self.viewers.fetch_add(1, Ordering::Relaxed);
        if start_main {
            self.spawn(format!("camera {} main", camera.config.id), self.puller.clone().main(camera.clone()));
        }
        Ok(Live { items })
    }

    async fn still(&self, camera: &CameraId) -> Result<Still, MediaError> {
        self.stills.still(self.camera(camera)?).await
    }

    async fn sheet(&self) -> Result<Sheet, MediaError> {
        self.stills.sheet().await
    }

    async fn clip(&self, camera: &CameraId, from: Timestamp, to: Timestamp) -> Result<Clip, MediaError> {
        let camera = self.camera(camera)?;
        let _permit = self.clips.try_acquire().map_err(|_| MediaError::Busy("clips"))?;
        let to = to.min(self.now() + CLIP_AHEAD);
        if to < from {
            return Err(MediaError::NoPicture);
        }
        let frames = {
            let _pin = camera.pin(from);
            self.wait_for(camera, to).await?;
            camera.between(from, to)
        };
        let id = camera.config.id.clone();
        tokio::task::spawn_blocking(move || clip::cut(&id, &frames))
            .await
            .map_err(|_| MediaError::Unavailable)?
            .ok_or(MediaError::NoPicture)
    }

    async fn cameras(&self) -> Vec<CameraStatus> {
        let now = self.now();
        self.cameras.iter().map(|c| c.status(now)).collect()
    }

    async fn changes(&self) -> mpsc::Receiver<CameraStatus> {
        let (sender, receiver) = mpsc::channel(CHANGES);
        let listener = self.commons.changes.listen();
        let (cameras, clock, stop) = (self.cameras.clone(), self.clock.clone(), self.tasks.stop(Stage::Sources));
        self.spawn("camera changes".to_owned(), async move {
            loop {
                let index = tokio::select! {
                    index = listener.next() => index,
                    () = sender.closed() => return,
                    () = stop.cancelled() => return,
                };
                let Some(camera) = cameras.get(index) else { continue };
                if sender.send(camera.status(Timestamp(clock.now_ms()))).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
