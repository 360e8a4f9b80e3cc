//! What the media role is told at its start: cameras and limits. Plain data; the binary fills it from its TOML file.

use std::{fmt, time::Duration};

use domain::ids::CameraId;
use url::Url;

/// One camera and its two streams.
#[derive(Clone)]
pub struct CameraConfig {
    /// Which.
    pub id: CameraId,
    /// Large stream, `rtsp://host:port/path` without credentials; `None` where there is only the sub stream.
    pub main: Option<Url>,
    /// Small stream, H.264.
    pub sub: Url,
    /// Empty user = no credentials.
    pub username: String,
    /// Never logged.
    pub password: String,
    /// Cameras with the same key share a server (an NVR): its handshakes are limited together and its stale sessions
    /// awaited together.
    pub server: String,
}

impl fmt::Debug for CameraConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CameraConfig").field("id", &self.id).field("server", &self.server).finish_non_exhaustive()
    }
}

/// Bounds of everything that could grow or wait.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of all rings together.
    pub ring_bytes: usize,
    /// Bytes of one camera's ring; the newest group of pictures always stays, shortened to its key frame if need be.
    pub camera_ring_bytes: usize,
    /// How far back a ring reaches at most.
    pub ring_span: Duration,
    /// Groups of pictures in one ring.
    pub ring_gops: usize,
    /// Frames in one group of pictures; a longer one keeps only its key frame.
    pub gop_frames: usize,
    /// Bytes by which running clips may stretch one camera's ring.
    pub pinned_bytes: usize,
    /// No frame within this time = stalled.
    pub data_timeout: Duration,
    /// Connect to first PLAY answer.
    pub handshake_timeout: Duration,
    /// Handshakes at a time with one server.
    pub server_handshakes: usize,
    /// Handshakes at a time overall.
    pub handshakes: usize,
    /// First delay after a failure, doubling up to `backoff_cap`, with jitter.
    pub backoff_first: Duration,
    /// See `backoff_first`.
    pub backoff_cap: Duration,
    /// How long a reconnect waits for the stale sessions of its server to be torn down.
    pub stale_wait: Duration,
    /// The main stream goes on this long after its last viewer left.
    pub main_linger: Duration,
    /// Viewers of one camera.
    pub camera_viewers: usize,
    /// Viewers overall.
    pub viewers: usize,
    /// Fragments that wait for one viewer beyond its first picture.
    pub viewer_queue: usize,
    /// Clips being put together.
    pub clips: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ring_bytes: 512 << 20,
            camera_ring_bytes: 16 << 20,
            ring_span: Duration::from_secs(45),
            ring_gops: 64,
            gop_frames: 750,
            pinned_bytes: 32 << 20,
            data_timeout: Duration::from_secs(4),
            handshake_timeout: Duration::from_secs(5),
            server_handshakes: 4,
            handshakes: 48,
            backoff_first: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(2),
            stale_wait: Duration::from_secs(2),
            main_linger: Duration::from_secs(3),
            camera_viewers: 64,
            viewers: 1024,
            viewer_queue: 64,
            clips: 16,
        }
    }
}

/// Stills, the sheet and picture diagnosis.
#[derive(Clone, Debug)]
pub struct StillsConfig {
    /// Program and arguments of a decode child, e.g. `["/usr/bin/maojiawan", "decode"]`. Empty = no stills.
    pub decode_command: Vec<String>,
    /// Number of decode children.
    pub children: usize,
    /// Each camera's newest key frame is looked at once in this time.
    pub refresh: Duration,
    /// A child that takes longer for one picture is killed.
    pub decode_timeout: Duration,
    /// A child has this long to come up (GStreamer may build its plugin list).
    pub start_timeout: Duration,
    /// Pictures that wait for a child.
    pub queue: usize,
    /// Callers of `still` at a time.
    pub requests: usize,
    /// A sheet is put together at most once in this time.
    pub sheet_interval: Duration,
    /// Tiles a row of the sheet.
    pub sheet_columns: u16,
    /// Thresholds of the diagnosis.
    pub diagnosis: crate::diagnose::Thresholds,
}

impl Default for StillsConfig {
    fn default() -> Self {
        Self {
            decode_command: Vec::new(),
            children: 2,
            refresh: Duration::from_secs(4),
            decode_timeout: Duration::from_secs(2),
            start_timeout: Duration::from_secs(30),
            queue: 32,
            requests: 8,
            sheet_interval: Duration::from_secs(1),
            sheet_columns: 16,
            diagnosis: crate::diagnose::Thresholds::default(),
        }
    }
}

/// Everything that the media role is told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// All cameras; their order is that of the sheet.
    pub cameras: Vec<CameraConfig>,
    /// Bounds.
    pub limits: Limits,
    /// Stills and diagnosis.
    pub stills: StillsConfig,
}
