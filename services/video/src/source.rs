//! Where frames come from: a trait, so that reconnect and stall tests need no network.

use async_trait::async_trait;
use bytes::Bytes;
use link::media::{CameraState, Quality};

use crate::config::CameraConfig;

/// Why a session could not be opened or ended. Sources cannot be inspected further, so the text is for the log only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// TCP did not connect.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The server refused the session, or closed it.
    #[error("refused: {0}")]
    Refused(String),
    /// Wrong user or password.
    #[error("unauthorised")]
    Unauthorised,
    /// No such path.
    #[error("not found")]
    NotFound,
    /// No video track.
    #[error("no video track")]
    NoVideo,
    /// A codec other than H.264.
    #[error("unsupported codec {0}")]
    UnsupportedCodec(String),
    /// No data in time.
    #[error("no data in time")]
    Stalled,
    /// Malformed RTSP or RTP.
    #[error("malformed: {0}")]
    Protocol(String),
}

impl Fault {
    /// The state that a camera with this fault is in.
    pub fn state(&self) -> CameraState {
        match self {
            Self::Unreachable(_) => CameraState::Unreachable,
            Self::Refused(_) => CameraState::Refused,
            Self::Unauthorised => CameraState::Unauthorised,
            Self::NotFound => CameraState::NotFound,
            Self::NoVideo => CameraState::NoVideo,
            Self::UnsupportedCodec(_) => CameraState::UnsupportedCodec,
            Self::Stalled => CameraState::Stalled,
            Self::Protocol(_) => CameraState::Protocol,
        }
    }
}

/// H.264 parameter sets as the camera sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Sequence parameter set with its NAL header.
    pub sps: Bytes,
    /// Picture parameter set with its NAL header.
    pub pps: Bytes,
    /// Displayed pixels.
    pub size: (u16, u16),
}

/// One access unit.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The camera's time, 90 kHz.
    pub ticks: i64,
    /// Can be decoded without any other.
    pub key: bool,
    /// NAL units with 4-byte lengths, without parameter sets.
    pub data: Vec<u8>,
    /// Set with the first frame and whenever they change.
    pub parameters: Option<Parameters>,
}

/// A running session. Dropping it tears it down.
#[async_trait]
pub trait Session: Send {
    /// The next frame; cancel safe. The caller has the time-out.
    async fn next(&mut self) -> Result<Frame, Fault>;
}

/// Opens sessions.
#[async_trait]
pub trait Opener: Send + Sync {
    /// Connects and plays. The caller has the time-out and the handshake limits.
    async fn open(&self, camera: &CameraConfig, quality: Quality) -> Result<Box<dyn Session>, Fault>;
    /// Waits until the stale sessions of a server are torn down; the caller has the time-out.
    async fn settle(&self, server: &str);
}
