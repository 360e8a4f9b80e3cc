//! One camera: its faults, its two streams, and who watches them.
//!
//! The pacing task calls `tick` fifteen times a second; films change only at key frames, so what a client decodes is
//! always whole. The state's lock is held while a frame is handed to the sockets, which never wait.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::watch;

use super::{
    Auth, CameraSpec, Codec, Credentials, Fault, WriteMode,
    encode::{FPS, GOP},
    film::{Film, Size, Strips},
    link::{Link, Sent},
    packet::{self, Stamp},
    paint::Scene,
    studio::{FilmKey, Look},
};

/// Frames of the short films: blurred, black, changed parameters.
pub(crate) const SHORT: u16 = 60;
/// Bytes of a slow camera's frame time.
const DRIBBLE: usize = 300;
const REPORT_EVERY: u64 = 5 * FPS as u64;

/// Counters of all cameras together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused_handshakes: AtomicU64,
    pub(crate) refused_sessions: AtomicU64,
    pub(crate) unauthorised: AtomicU64,
    pub(crate) slow_cut: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) late_slots: AtomicU64,
    pub(crate) peak_handshakes: AtomicUsize,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Main,
    Sub,
}

/// A film and its strips.
pub(crate) type Reel = (Arc<Film>, Arc<Strips>);

struct Viewer {
    link: Arc<Link>,
    channel: u8,
    reports: u8,
    started: bool,
}

struct Track {
    shown: Option<Reel>,
    next: Option<Reel>,
    /// First frame of the group that a frozen camera repeats.
    held: Option<usize>,
    viewers: Vec<Viewer>,
    stamp: Stamp,
    packets: u32,
    octets: u32,
}

struct State {
    fault: Option<Fault>,
    scene: Scene,
    main: Track,
    sub: Track,
}

/// A camera.
pub(crate) struct Camera {
    pub(crate) index: usize,
    pub(crate) spec: CameraSpec,
    /// Frames by which this camera's loop is ahead.
    pub(crate) ahead: u64,
    pub(crate) counters: Arc<Counters>,
    /// Whether the camera listens.
    pub(crate) door: watch::Sender<bool>,
    pub(crate) handshakes: AtomicUsize,
    pub(crate) seats: AtomicUsize,
    frames: u16,
    state: Mutex<State>,
}

/// Memory of the pacing task that is used again for each frame.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    cuts: Vec<usize>,
    moved: Vec<u8>,
}

impl Camera {
    pub(crate) fn new(index: usize, spec: CameraSpec, frames: u16, counters: Arc<Counters>) -> Self {
        let track = |salt: u32| Track {
            shown: None,
            next: None,
            held: None,
            viewers: Vec::new(),
            stamp: Stamp { seq: rand::random(), time: rand::random(), ssrc: u32::from(spec.number) << 8 | salt },
            packets: 0,
            octets: 0,
        };
        let state = Mutex::new(State { fault: None, scene: spec.scene, main: track(1), sub: track(2) });
        let ahead = u64::from(spec.number) * 37 % u64::from(frames.max(1));
        Self {
            index,
            ahead,
            counters,
            door: watch::Sender::new(true),
            handshakes: AtomicUsize::new(0),
            seats: AtomicUsize::new(0),
            frames,
            state,
            spec,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn codec(&self, stream: Stream) -> Codec {
        if stream == Stream::Main { self.spec.main_codec } else { Codec::H264 }
    }

    /// The film that a stream shows in the present state.
    pub(crate) fn film_key(&self, stream: Stream) -> FilmKey {
        let state = self.state();
        film_key(&self.spec, self.codec(stream), self.frames, stream, state.scene, state.fault)
    }

    /// All films that this camera may be asked for while it keeps its scene.
    pub(crate) fn wanted(&self) -> Vec<FilmKey> {
        let mut keys = Vec::new();
        for stream in [Stream::Main, Stream::Sub] {
            for fault in [None, Some(Fault::Black), Some(Fault::Blurred), Some(Fault::Parameters)] {
                keys.push(film_key(&self.spec, self.codec(stream), self.frames, stream, self.spec.scene, fault));
            }
            keys.push(film_key(&self.spec, self.codec(stream), self.frames, stream, Scene::Fire, None));
        }
        keys
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.state().fault
    }
    pub(crate) fn scene(&self) -> Scene {
        self.state().scene
    }
    pub(crate) fn watched(&self, stream: Stream) -> bool {
        !self.state().track(stream).viewers.is_empty()
    }
    pub(crate) fn viewers(&self) -> usize {
        let state = self.state();
        state.main.viewers.len() + state.sub.viewers.len()
    }

    /// Name and password as they are now.
    pub(crate) fn credentials(&self) -> (Auth, Credentials) {
        let mut credentials = self.spec.credentials.clone();
        let auth = self.spec.auth;
        if self.fault() == Some(Fault::Unauthorised) {
            credentials.password = format!("{}-changed", credentials.password);
            let auth = if auth == Auth::Open { Auth::Basic } else { auth };
            return (auth, credentials);
        }
        (auth, credentials)
    }

    /// Sets or clears the fault; links are cut where the fault asks for it.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
        if matches!(fault, Some(Fault::Dead | Fault::Unauthorised)) {
            self.cut_links();
        }
        self.door.send_if_modified(|open| std::mem::replace(open, fault != Some(Fault::Dead)) != *open);
    }
    pub(crate) fn set_scene(&self, scene: Scene) {
        self.state().scene = scene;
    }
    /// The reel to show from the next key frame on.
    pub(crate) fn set_reel(&self, stream: Stream, reel: Reel) {
        let mut state = self.state();
        let track = state.track_mut(stream);
        if track.viewers.is_empty() {
            track.shown = None;
        }
        track.next = Some(reel);
    }

    /// Resets every connection that watches.
    pub(crate) fn cut_links(&self) {
        let mut state = self.state();
        for stream in [Stream::Main, Stream::Sub] {
            state.track_mut(stream).viewers.drain(..).for_each(|v| v.link.reset());
        }
    }

    /// Adds a client that has asked to play.
    pub(crate) fn join(&self, stream: Stream, link: &Arc<Link>, channels: (u8, u8)) {
        let viewer = Viewer { link: link.clone(), channel: channels.0, reports: channels.1, started: false };
        self.state().track_mut(stream).viewers.push(viewer);
    }

    /// Removes a client.
    pub(crate) fn leave(&self, link: &Arc<Link>) {
        let mut state = self.state();
        for stream in [Stream::Main, Stream::Sub] {
            let track = state.track_mut(stream);
            track.viewers.retain(|v| !Arc::ptr_eq(&v.link, link));
            if track.viewers.is_empty() && stream == Stream::Main {
                (track.shown, track.next) = (None, None);
            }
        }
    }

    pub(crate) fn ssrc(&self, stream: Stream) -> u32 {
        self.state().track(stream).stamp.ssrc
    }

    /// Sends frame `tick` of all cameras' common count.
    pub(crate) fn tick(&self, tick: u64, now_ms: i64, scratch: &mut Scratch) {
        let mut state = self.state();
        let fault = state.fault;
        for stream in [Stream::Main, Stream::Sub] {
            let track = state.track_mut(stream);
            if track.viewers.is_empty() {
                continue;
            }
            let frame = tick + self.ahead;
            if track.compose(frame, fault == Some(Fault::Frozen), self.index, scratch) && fault != Some(Fault::Silent) {
                self.send(track, frame, now_ms, fault, scratch);
            }
        }
    }

    fn send(&self, track: &mut Track, frame: u64, now_ms: i64, fault: Option<Fault>, scratch: &mut Scratch) {
        let key = frame.is_multiple_of(u64::from(GOP));
        let mode = self.spec.write_mode;
        let stamp = Stamp { time: track.time(frame), ..track.stamp };
        let (packets, octets) = (track.packets, track.octets);
        let mut copies = 0;
        track.viewers.retain_mut(|viewer| {
            // Packet-by-packet cameras let clients in at once, the others with a whole picture.
            if !viewer.started && !key && mode == WriteMode::Frame {
                return !viewer.link.cut.is_cancelled();
            }
            let report = !viewer.started || frame.is_multiple_of(REPORT_EVERY);
            viewer.started = true;
            if report && fault != Some(Fault::Slow) {
                // Before the frame, so that a client knows the wall time of the first picture.
                let bytes = packet::sender_report(viewer.reports, &stamp, now_ms, packets, octets);
                viewer.link.offer(&bytes, &[0], mode);
            }
            let sent = viewer.send(scratch, mode, fault == Some(Fault::Slow));
            copies += 1;
            self.keep(viewer, sent)
        });
        Counters::add(&self.counters.frames, copies);
        Counters::add(&self.counters.bytes, copies * scratch.bytes.len() as u64);
    }

    fn keep(&self, viewer: &Viewer, sent: Sent) -> bool {
        if sent == Sent::Full {
            Counters::add(&self.counters.slow_cut, 1);
            metrics::counter!("simulator_camera_slow_clients_cut_total").increment(1);
            tracing::info!(camera.id = %self.spec.id, "a client took its pictures too slowly and was cut");
            viewer.link.reset();
        }
        sent == Sent::Taken && !viewer.link.cut.is_cancelled()
    }
}

impl Viewer {
    fn send(&self, scratch: &mut Scratch, mode: WriteMode, slow: bool) -> Sent {
        let bytes = if self.channel == 0 {
            &scratch.bytes
        } else {
            scratch.moved.clear();
            scratch.moved.extend_from_slice(&scratch.bytes);
            packet::set_channel(&mut scratch.moved, &scratch.cuts, self.channel);
            &scratch.moved
        };
        if slow { self.link.dribble(bytes, DRIBBLE) } else { self.link.offer(bytes, &scratch.cuts, mode) }
    }
}

impl State {
    fn track(&self, stream: Stream) -> &Track {
        if stream == Stream::Main { &self.main } else { &self.sub }
    }
    fn track_mut(&mut self, stream: Stream) -> &mut Track {
        if stream == Stream::Main { &mut self.main } else { &mut self.sub }
    }
}

impl Track {
    fn time(&self, frame: u64) -> u32 {
        let step = 90_000 / FPS;
        self.stamp.time.wrapping_add((frame as u32).wrapping_mul(step))
    }

    /// Puts the packets of a frame into `scratch`; `false` when there is no film yet.
    fn compose(&mut self, frame: u64, frozen: bool, camera: usize, scratch: &mut Scratch) -> bool {
        let place = (frame % u64::from(GOP)) as usize;
        if self.shown.is_none() {
            self.shown = self.next.take();
        }
        if place == 0 && !frozen {
            self.held = None;
            if let Some(next) = self.next.take() {
                self.shown = Some(next);
            }
        }
        let Some((film, strips)) = &self.shown else { return false };
        let now = (frame % film.frames() as u64) as usize;
        if place == 0 && frozen {
            self.held.get_or_insert(now);
        }
        let index = self.held.map_or(now, |base| base + place);
        let Some(shot) = film.shots.get(index) else { return false };
        scratch.bytes.clear();
        scratch.cuts.clear();
        let mut stamp = Stamp { time: self.time(frame), ..self.stamp };
        let strip = if place == 0 { strips.get(camera, index / GOP as usize) } else { Some(&shot.strip) };
        if self.held.is_some() && place != 0 {
            shot.frozen.stamp(&mut scratch.bytes, &mut scratch.cuts, &mut stamp, true);
        } else {
            shot.picture.stamp(&mut scratch.bytes, &mut scratch.cuts, &mut stamp, strip.is_none());
            if let Some(strip) = strip {
                strip.stamp(&mut scratch.bytes, &mut scratch.cuts, &mut stamp, true);
            }
        }
        self.stamp.seq = stamp.seq;
        self.packets = self.packets.wrapping_add(scratch.cuts.len() as u32);
        self.octets = self.octets.wrapping_add((scratch.bytes.len() - scratch.cuts.len() * packet::HEAD) as u32);
        true
    }
}

fn film_key(
    spec: &CameraSpec,
    codec: Codec,
    frames: u16,
    stream: Stream,
    scene: Scene,
    fault: Option<Fault>,
) -> FilmKey {
    let usual = if stream == Stream::Main { Size::Main } else { Size::Sub };
    let scene = if fault == Some(Fault::Black) { Scene::Black } else { scene };
    let short = SHORT.min(frames);
    let (look, size, frames) = match fault {
        Some(Fault::Blurred) => (Look::Blurred, usual, short),
        Some(Fault::Parameters) => (Look::Clear, Size::Alt, short),
        Some(Fault::Black) => (Look::Clear, usual, short),
        _ => (Look::Clear, usual, frames),
    };
    let night = spec.night && scene.outdoor() && scene != Scene::Fire;
    FilmKey { scene, night, marked: spec.marked, look, size, codec, frames }
}
