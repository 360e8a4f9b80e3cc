//! Sessions by retina: RTSP with interleaved TCP, H.264 only, one session group a server.
//!
//! retina's errors cannot be inspected beyond a status code, so the class is read from the stage at which it came and
//! the start of its text. Nothing blocks.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::StreamExt;
use link::media::Quality;
use retina::{
    client::{Credentials, Demuxed, Described, PlayOptions, SessionGroup, SessionOptions, SetupOptions},
    codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame, VideoParameters, VideoParametersCodec},
};

use crate::{
    config::CameraConfig,
    source::{Fault, Frame, Opener, Parameters, Session},
    timeline::TICKS,
};

/// Opens RTSP sessions.
#[derive(Default)]
pub struct RtspOpener {
    groups: Mutex<HashMap<String, Arc<SessionGroup>>>,
}

impl RtspOpener {
    fn group(&self, server: &str) -> Arc<SessionGroup> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(server.to_owned()).or_insert_with(|| Arc::new(SessionGroup::default())).clone()
    }
}

#[async_trait]
impl Opener for RtspOpener {
    async fn open(&self, camera: &CameraConfig, quality: Quality) -> Result<Box<dyn Session>, Fault> {
        let url = match quality {
            Quality::Sub => camera.sub.clone(),
            Quality::Main => camera.main.clone().ok_or(Fault::NotFound)?,
        };
        let credentials = (!camera.username.is_empty())
            .then(|| Credentials { username: camera.username.clone(), password: camera.password.clone() });
        let options = SessionOptions::default()
            .creds(credentials)
            .user_agent("maojiawan".to_owned())
            .session_group(self.group(&camera.server));
        let mut session = retina::client::Session::describe(url, options).await.map_err(|e| handshake(&e))?;
        let stream = h264_stream(&session)?;
        let setup = SetupOptions::default().frame_format(FrameFormat::MP4);
        session.setup(stream, setup).await.map_err(|e| handshake(&e))?;
        let demuxed = session
            .play(PlayOptions::default())
            .await
            .and_then(retina::client::Session::demuxed)
            .map_err(|e| handshake(&e))?;
        Ok(Box::new(RtspSession { demuxed: Box::pin(demuxed), stream, told: false }))
    }

    async fn settle(&self, server: &str) {
        let group = self.group(server);
        let stale = group.stale_sessions();
        if stale.num_sessions > 0 {
            group.await_stale_sessions(&stale).await;
        }
    }
}

fn h264_stream(session: &retina::client::Session<Described>) -> Result<usize, Fault> {
    let mut other = None;
    for (i, stream) in session.streams().iter().enumerate().filter(|(_, s)| s.media() == "video") {
        if stream.encoding_name() == "h264" {
            return Ok(i);
        }
        other = Some(stream.encoding_name().chars().take(16).collect());
    }
    Err(other.map_or(Fault::NoVideo, Fault::UnsupportedCodec))
}

/// Keeps log lines short: retina's texts go on with connection details after the first line.
fn first_line(error: &retina::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(160).collect()
}

fn by_status(status: u16, error: &retina::Error) -> Fault {
    match status {
        401 | 403 => Fault::Unauthorised,
        404 | 410 => Fault::NotFound,
        400..600 => Fault::Refused(format!("status {status}")),
        _ => Fault::Protocol(first_line(error)),
    }
}

fn handshake(error: &retina::Error) -> Fault {
    let text = first_line(error);
    match error.status_code() {
        Some(status) => by_status(status, error),
        None if text.starts_with("Unable to connect") => Fault::Unreachable(text),
        None if closed(&text) => Fault::Refused(text),
        None => Fault::Protocol(text),
    }
}

fn playing(error: &retina::Error) -> Fault {
    let text = first_line(error);
    if closed(&text) { Fault::Refused(text) } else { Fault::Protocol(text) }
}

fn closed(text: &str) -> bool {
    text.starts_with("Error reading from RTSP peer") || text.starts_with("Error writing to RTSP peer")
}

struct RtspSession {
    demuxed: Pin<Box<Demuxed>>,
    stream: usize,
    told: bool,
}

impl RtspSession {
    fn frame(&mut self, frame: VideoFrame) -> Frame {
        let parameters = if self.told && !frame.has_new_parameters() { None } else { self.parameters() };
        self.told |= parameters.is_some();
        Frame {
            ticks: ticks(frame.timestamp().elapsed(), frame.timestamp().clock_rate()),
            key: frame.is_random_access_point(),
            data: frame.into_data(),
            parameters,
        }
    }

    fn parameters(&self) -> Option<Parameters> {
        match self.demuxed.streams().get(self.stream)?.parameters()? {
            ParametersRef::Video(video) => h264(video),
            _ => None,
        }
    }
}

fn h264(video: &VideoParameters) -> Option<Parameters> {
    let VideoParametersCodec::H264 { sps, pps } = video.codec_params() else {
        return None;
    };
    let (width, height) = video.pixel_dimensions();
    let size = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    Some(Parameters { sps: sps.clone(), pps: pps.clone(), size })
}

fn ticks(elapsed: i64, rate: NonZeroU32) -> i64 {
    let rate = i64::from(rate.get());
    if rate == TICKS { elapsed } else { elapsed.saturating_mul(TICKS) / rate }
}

#[async_trait]
impl Session for RtspSession {
    async fn next(&mut self) -> Result<Frame, Fault> {
        loop {
            match self.demuxed.next().await {
                Some(Ok(CodecItem::VideoFrame(frame))) => return Ok(self.frame(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(playing(&error)),
                None => return Err(Fault::Refused("end of stream".to_owned())),
            }
        }
    }
}
