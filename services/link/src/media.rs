//! Pictures on their way from `video` to `gateway`: live fragments, stills, the sheet and clips.
//!
//! One camera session feeds any number of subscribers. A slow subscriber loses whole groups of pictures, never single
//! fragments, and is told. A subscription survives the camera: on reconnect a new [`MediaItem::Init`] follows with the
//! next `generation`.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{ids::CameraId, time::Timestamp};
use tokio::sync::mpsc;

/// Which of a camera's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// Small, always H.264, always pulled.
    Sub,
    /// Large, pulled while somebody watches; falls back to `Sub` where a browser cannot play it.
    Main,
}

/// Why a camera shows nothing. Each has a Chinese cause that says what to check: [`CameraState::cause_zh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CameraState {
    /// Never tried yet.
    Unknown,
    /// Handshake under way.
    Connecting,
    /// Pictures come.
    Online,
    /// TCP did not connect.
    Unreachable,
    /// The server refused the session (453, 503, reset).
    Refused,
    /// User or password wrong.
    Unauthorised,
    /// No such path.
    NotFound,
    /// The server offers no video.
    NoVideo,
    /// A codec that we do not take.
    UnsupportedCodec,
    /// Connected, but no data within the time-out.
    Stalled,
    /// RTSP or RTP is malformed.
    Protocol,
}

impl CameraState {
    /// A stable name for metrics, APIs and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Unauthorised => "unauthorised",
            Self::NotFound => "not_found",
            Self::NoVideo => "no_video",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::Stalled => "stalled",
            Self::Protocol => "protocol",
        }
    }

    /// The cause and what to check, in Chinese.
    pub const fn cause_zh(self) -> &'static str {
        match self {
            Self::Unknown => "尚未连接",
            Self::Connecting => "正在连接",
            Self::Online => "正常",
            Self::Unreachable => "连接不上：检查供电、网线和地址",
            Self::Refused => "摄像头拒绝连接：可能连接数已满，检查其他占用者",
            Self::Unauthorised => "账号或密码不对：检查摄像头口令",
            Self::NotFound => "取流路径不存在：检查通道号",
            Self::NoVideo => "没有视频轨道：检查编码设置",
            Self::UnsupportedCodec => "编码格式不支持：把子码流改为 H.264",
            Self::Stalled => "已连接但无画面数据：检查摄像头是否死机",
            Self::Protocol => "数据不合规：检查固件版本",
        }
    }
}

/// What a still shows about the picture, found by key frames with hysteresis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PictureFault {
    /// The picture does not change.
    Frozen,
    /// The picture is black.
    Black,
}

/// State of one camera as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraStatus {
    /// Which.
    pub camera: CameraId,
    /// Connection.
    pub state: CameraState,
    /// Since when.
    pub since: Timestamp,
    /// Fault of the picture while online.
    pub fault: Option<PictureFault>,
    /// Since when the fault stands: for `Frozen` the time of the last picture that moved.
    pub fault_since: Option<Timestamp>,
    /// Arrival of the newest frame.
    pub last_frame: Option<Timestamp>,
    /// `avc1…` or `hvc1…` and size of the sub stream, as its parameter sets say.
    pub codec: Option<String>,
    /// Pixels, width × height.
    pub size: Option<(u16, u16)>,
    /// Frames per second, measured.
    pub fps: f32,
    /// Bits per second, measured.
    pub bitrate: u32,
}

/// One message of a live subscription.
#[derive(Clone, Debug)]
pub enum MediaItem {
    /// Codec and init segment; every player starts here. A new `generation` replaces the old.
    Init {
        /// Counts up with each change of the parameter sets or reconnect.
        generation: u32,
        /// RFC 6381, e.g. `avc1.42c01e`.
        codec: String,
        /// Width and height, pixels.
        size: (u16, u16),
        /// `ftyp` + `moov`.
        bytes: Bytes,
        /// Asked for `Main` but got `Sub`, e.g. because the main stream is H.265.
        fallback: bool,
    },
    /// One access unit as `moof` + `mdat`.
    Fragment {
        /// Generation of its init.
        generation: u32,
        /// Starts a group of pictures.
        key: bool,
        /// Presentation time, 90 kHz, starts near 0 with each generation.
        pts: i64,
        /// Arrival of the frame's last packet at the centre.
        captured: Timestamp,
        /// `moof` + `mdat`.
        bytes: Bytes,
    },
    /// The camera's state changed; viewers mark the tile.
    State(CameraStatus),
    /// The subscriber was too slow; what follows starts at a key frame.
    Skipped {
        /// Fragments left out.
        fragments: u32,
    },
}

/// A JPEG with the time that it shows.
#[derive(Clone, Debug)]
pub struct Still {
    /// Which camera.
    pub camera: CameraId,
    /// Arrival time of the frame.
    pub captured: Timestamp,
    /// JPEG.
    pub jpeg: Bytes,
}

/// All cameras' newest thumbnails in one JPEG: tiles in the order of `tiles`, `columns` a row.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Counts up with each sheet.
    pub version: u64,
    /// When it was put together.
    pub made: Timestamp,
    /// Pixels of a tile.
    pub tile: (u16, u16),
    /// Tiles a row.
    pub columns: u16,
    /// Camera and time of the picture in each tile; `None` = no picture yet.
    pub tiles: Vec<(CameraId, Option<Timestamp>)>,
    /// JPEG.
    pub jpeg: Bytes,
}

/// A clip as one progressive MP4.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Which camera.
    pub camera: CameraId,
    /// Arrival of the first frame; a key frame, so it may lie before what was asked for.
    pub from: Timestamp,
    /// Arrival of the last frame.
    pub to: Timestamp,
    /// RFC 6381.
    pub codec: String,
    /// MP4.
    pub mp4: Bytes,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum MediaError {
    /// No such camera.
    #[error("camera is not known")]
    UnknownCamera,
    /// Nothing of that time (or at all) is held.
    #[error("no picture of that time is held")]
    NoPicture,
    /// A bound was reached: subscribers, running clips.
    #[error("too many {0}")]
    Busy(&'static str),
    /// The role is draining or its child died and is being restarted.
    #[error("media is not available now")]
    Unavailable,
}

/// A live subscription. Dropping it unsubscribes. Bounded: see [`MediaItem::Skipped`].
#[derive(Debug)]
pub struct Live {
    /// What comes.
    pub items: mpsc::Receiver<MediaItem>,
}

/// The port of the media role.
#[async_trait]
pub trait Media: Send + Sync {
    /// Live fragments, starting at once with the init and the newest key frame of the ring.
    async fn subscribe(&self, camera: &CameraId, quality: Quality) -> Result<Live, MediaError>;
    /// The newest still.
    async fn still(&self, camera: &CameraId) -> Result<Still, MediaError>;
    /// The newest sheet.
    async fn sheet(&self) -> Result<Sheet, MediaError>;
    /// A clip from `from` to `to`; waits until `to` is past, at most one minute.
    async fn clip(&self, camera: &CameraId, from: Timestamp, to: Timestamp) -> Result<Clip, MediaError>;
    /// All cameras as they are now.
    async fn cameras(&self) -> Vec<CameraStatus>;
    /// Announces each change of a camera's state or fault; bounded, the newest state of a camera wins.
    async fn changes(&self) -> mpsc::Receiver<CameraStatus>;
}
