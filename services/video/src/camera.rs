//! One camera: its state, both streams and its viewers behind one short lock, never held across an await.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use bytes::Bytes;
use domain::time::{Millis, Timestamp};
use link::media::{CameraState, CameraStatus, MediaError, MediaItem, PictureFault, Quality};
use runtime::telemetry::names;
use tokio::sync::mpsc;

use crate::{
    changes::Changes,
    config::{CameraConfig, Limits},
    mp4::Init,
    ring::{Bounds, Entry},
    source::Frame,
    stream::Stream,
    viewer::Viewer,
};

/// Window of the measured rates.
const RATE_SPAN: Millis = Millis::seconds(4);
/// Groups of the main stream that are kept: for the instant picture only.
const MAIN_GOPS: usize = 2;

/// What all cameras share.
#[derive(Debug)]
pub(crate) struct Commons {
    /// Who hears of changes.
    pub changes: Changes,
    /// Bytes in all rings.
    ring_bytes: AtomicI64,
    ring_limit: i64,
    ring_share: usize,
}

impl Commons {
    pub(crate) fn new(limits: &Limits, cameras: usize) -> Self {
        Self {
            changes: Changes::default(),
            ring_bytes: AtomicI64::new(0),
            ring_limit: i64::try_from(limits.ring_bytes).unwrap_or(i64::MAX),
            ring_share: limits.ring_bytes / cameras.max(1),
        }
    }

    fn share(&self) -> usize {
        if self.ring_bytes.load(Ordering::Relaxed) > self.ring_limit { self.ring_share } else { usize::MAX }
    }

    /// Bytes in all rings.
    pub(crate) fn ring_bytes(&self) -> i64 {
        self.ring_bytes.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Core {
    status: CameraStatus,
    generation: u32,
    sub: Stream,
    main: Stream,
    main_running: bool,
    viewers: Vec<Viewer>,
}

impl Core {
    fn stream(&mut self, quality: Quality) -> &mut Stream {
        match quality {
            Quality::Sub => &mut self.sub,
            Quality::Main => &mut self.main,
        }
    }

    fn tell_state(&mut self) {
        let Self { status, viewers, .. } = self;
        viewers.iter_mut().for_each(|v| v.state(status));
    }
}

/// The newest key frame of a camera, ready for a decoder.
#[derive(Debug, Clone)]
pub(crate) struct KeyFrame {
    pub captured: Timestamp,
    pub init: Arc<Init>,
    pub data: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Camera {
    pub index: usize,
    pub config: CameraConfig,
    commons: Arc<Commons>,
    core: Mutex<Core>,
    pins: AtomicU64,
}

impl Camera {
    pub(crate) fn new(
        index: usize,
        config: CameraConfig,
        limits: &Limits,
        commons: Arc<Commons>,
        now: Timestamp,
    ) -> Self {
        let bounds = Bounds {
            bytes: limits.camera_ring_bytes,
            gops: limits.ring_gops,
            gop_frames: limits.gop_frames,
            span: limits.ring_span,
            pinned_bytes: limits.pinned_bytes,
        };
        let status = CameraStatus {
            camera: config.id.clone(),
            state: CameraState::Unknown,
            since: now,
            fault: None,
            fault_since: None,
            last_frame: None,
            codec: None,
            size: None,
            fps: 0.0,
            bitrate: 0,
        };
        let core = Core {
            status,
            generation: 0,
            sub: Stream::new(bounds),
            main: Stream::new(Bounds { gops: MAIN_GOPS, ..bounds }),
            main_running: false,
            viewers: Vec::new(),
        };
        metrics::gauge!(names::CAMERAS, "state" => CameraState::Unknown.name()).increment(1.0);
        Self { index, config, commons, core: Mutex::new(core), pins: AtomicU64::new(0) }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session begins.
    pub(crate) fn begin(&self, quality: Quality) {
        self.core().stream(quality).begin();
    }

    /// A frame came. Returns whether it started or continued a picture that players can show.
    pub(crate) fn frame(&self, quality: Quality, frame: Frame, now: Timestamp) -> bool {
        let mut core = self.core();
        let mut generation = core.generation;
        let accepted = core.stream(quality).accept(frame, now, &mut generation);
        core.generation = generation;
        let Some((init, entry)) = accepted else {
            return false;
        };
        self.deliver(&mut core, quality, &init, &entry);
        let ring = &mut core.stream(quality).ring;
        let before = ring.bytes() as i64;
        let key = entry.key;
        ring.push(&init, entry, self.commons.share());
        let grown = ring.bytes() as i64 - before;
        self.commons.ring_bytes.fetch_add(grown, Ordering::Relaxed);
        if quality == Quality::Sub && key {
            let status = &mut core.status;
            if status.codec.as_deref() != Some(&init.codec) || status.size != Some(init.size) {
                (status.codec, status.size) = (Some(init.codec.clone()), Some(init.size));
            }
            drop(core);
            self.set_state(CameraState::Online, now);
        }
        true
    }

    fn deliver(&self, core: &mut Core, quality: Quality, init: &Init, entry: &Entry) {
        let Core { viewers, status, .. } = core;
        if viewers.is_empty() {
            return;
        }
        viewers.retain_mut(|viewer| {
            if quality == Quality::Main && viewer.wants == Quality::Main && entry.key {
                viewer.on = Quality::Main;
            }
            if viewer.on == quality {
                viewer.deliver(init, entry, status);
            }
            viewer.open()
        });
    }

    /// The connection is in another state; viewers and listeners hear of it.
    pub(crate) fn set_state(&self, state: CameraState, now: Timestamp) {
        let mut core = self.core();
        let old = core.status.state;
        if old == state {
            return;
        }
        core.status.state = state;
        core.status.since = now;
        if state != CameraState::Online {
            (core.status.fault, core.status.fault_since) = (None, None);
        }
        core.tell_state();
        drop(core);
        metrics::gauge!(names::CAMERAS, "state" => old.name()).decrement(1.0);
        metrics::gauge!(names::CAMERAS, "state" => state.name()).increment(1.0);
        self.commons.changes.announce(self.index);
    }

    /// The diagnosis found, or no longer finds, a fault; only while online.
    pub(crate) fn set_fault(&self, fault: Option<(PictureFault, Timestamp)>) {
        let mut core = self.core();
        let (kind, since) = fault.map_or((None, None), |(k, s)| (Some(k), Some(s)));
        if core.status.fault == kind || core.status.state != CameraState::Online {
            return;
        }
        (core.status.fault, core.status.fault_since) = (kind, since);
        core.tell_state();
        drop(core);
        self.commons.changes.announce(self.index);
    }

    pub(crate) fn state(&self) -> CameraState {
        self.core().status.state
    }

    /// As it is now, rates measured.
    pub(crate) fn status(&self, now: Timestamp) -> CameraStatus {
        let core = self.core();
        let (fps, bitrate) = core.sub.ring.rates(now, RATE_SPAN);
        CameraStatus { last_frame: core.sub.ring.newest_frame(), fps, bitrate, ..core.status.clone() }
    }

    /// Adds a viewer, at once with the newest picture. `true` = the main stream has to be started.
    pub(crate) fn subscribe(
        &self,
        wants: Quality,
        limits: &Limits,
    ) -> Result<(mpsc::Receiver<MediaItem>, bool), MediaError> {
        let mut core = self.core();
        core.viewers.retain(Viewer::open);
        if core.viewers.len() >= limits.camera_viewers {
            return Err(MediaError::Busy("viewers of this camera"));
        }
        let wants = if self.config.main.is_some() { wants } else { Quality::Sub };
        let main = wants == Quality::Main && core.main_running && core.main.ring.newest().is_some();
        let gop = if main { core.main.ring.newest() } else { core.sub.ring.newest() };
        let (mut viewer, items) = Viewer::new(wants, limits.viewer_queue, gop.map_or(0, |g| g.frames.len()) + 2);
        if main {
            viewer.on = Quality::Main;
        }
        if core.status.state != CameraState::Online || core.status.fault.is_some() {
            viewer.state(&core.status);
        }
        if let Some(gop) = gop {
            viewer.start(gop);
        }
        core.viewers.push(viewer);
        let start_main = wants == Quality::Main && !core.main_running;
        core.main_running |= start_main;
        Ok((items, start_main))
    }

    /// Viewers now.
    pub(crate) fn viewers(&self) -> usize {
        let mut core = self.core();
        core.viewers.retain(Viewer::open);
        core.viewers.len()
    }

    /// Does anybody want the main stream?
    pub(crate) fn main_wanted(&self) -> bool {
        self.core().viewers.iter().any(|v| v.wants == Quality::Main && v.open())
    }

    /// The main stream is gone for now: its viewers go on with the sub stream.
    pub(crate) fn main_lost(&self) {
        let mut core = self.core();
        let freed = -(core.main.ring.bytes() as i64);
        core.main.ring.clear();
        self.commons.ring_bytes.fetch_add(freed, Ordering::Relaxed);
        let Core { viewers, sub, .. } = &mut *core;
        for viewer in viewers.iter_mut().filter(|v| v.on == Quality::Main) {
            viewer.on = Quality::Sub;
            if let Some(gop) = sub.ring.newest() {
                viewer.start(gop);
            }
        }
    }

    /// Ends the main stream unless somebody came meanwhile. `true` = ended.
    pub(crate) fn main_end(&self, force: bool) -> bool {
        let mut core = self.core();
        let wanted = core.viewers.iter().any(|v| v.wants == Quality::Main && v.open());
        core.main_running = wanted && !force;
        !core.main_running
    }

    /// The newest key frame of the sub stream.
    pub(crate) fn key_frame(&self) -> Option<KeyFrame> {
        let core = self.core();
        let gop = core.sub.ring.newest()?;
        let first = gop.frames.first()?;
        Some(KeyFrame { captured: first.captured, init: gop.init.clone(), data: first.access_unit() })
    }

    /// Arrival of the newest frame of the sub stream.
    pub(crate) fn newest_frame(&self) -> Option<Timestamp> {
        self.core().sub.ring.newest_frame()
    }

    /// Frames of the sub stream from the key frame at or before `from` to `to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<(Arc<Init>, Entry)> {
        self.core().sub.ring.between(from, to)
    }

    /// Keeps frames from `from` on until the pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>, from: Timestamp) -> Pin {
        let id = self.pins.fetch_add(1, Ordering::Relaxed);
        self.core().sub.ring.pin(id, from);
        Pin { camera: self.clone(), id }
    }
}

/// See [`Camera::pin`].
#[derive(Debug)]
pub(crate) struct Pin {
    camera: Arc<Camera>,
    id: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.camera.core().sub.ring.unpin(self.id);
    }
}
