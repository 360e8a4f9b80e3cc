//! The child process: GStreamer on one side, two pipes on the other. It blocks; it is its own process.
//!
//! Every picture goes through one pipeline as Annex B with its parameter sets, so that a change of camera is only a change
//! of parameter sets (which say that nothing is reordered, so that each picture comes out at once).

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::TcpListener,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::{
    picture::{self, STILL, STILL_BYTES},
    protocol::{MAX_MESSAGE, Picture, Reply, Request},
};
use crate::{VideoError, diagnose};

/// Waited for a picture twice, so that the answer comes before the parent gives up after two seconds.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(700);
/// Distance of pictures on the pipeline's time axis.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// Runs until stdin ends. To be called by the process that is nothing but a decode child.
///
/// # Errors
/// When GStreamer lacks a plugin, the confinement fails, or a pipe breaks.
pub fn child_main() -> Result<(), VideoError> {
    let (stdin, stdout) = (io::stdin().lock(), io::stdout().lock());
    serve(stdin, stdout)
}

fn serve(mut input: impl Read, mut output: impl Write) -> Result<(), VideoError> {
    let started = start();
    let hello = match &started {
        Ok(_) => Reply::Ready,
        Err(error) => Reply::Broken(error.to_string()),
    };
    let mut send = |reply: &Reply| output.write_all(&reply.encode()).and_then(|()| output.flush());
    send(&hello).map_err(VideoError::Pipe)?;
    let mut tools = started?;
    while let Some(message) = read_message(&mut input).map_err(VideoError::Pipe)? {
        let request = Request::decode(&message).ok_or(VideoError::Request)?;
        let reply = answer(&mut tools, request)?;
        send(&reply).map_err(VideoError::Pipe)?;
    }
    Ok(())
}

fn read_message(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match input.read_exact(&mut head) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u32::from_be_bytes(head) as usize;
    if len > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    let mut message = vec![0; len];
    input.read_exact(&mut message)?;
    Ok(Some(message))
}

struct Tools {
    decoder: Pipeline,
    encoder: Pipeline,
}

fn start() -> Result<Tools, VideoError> {
    gst::init().map_err(|e| VideoError::GStreamer(e.to_string()))?;
    // Both pipelines run once before the confinement, so that every plugin is loaded.
    let tools = Tools { decoder: Pipeline::decoder()?, encoder: Pipeline::encoder()? };
    confine()?;
    Ok(tools)
}

/// No sockets, files, signals to others or other programs from here on, for all threads.
fn confine() -> Result<(), VideoError> {
    let denied = [
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_kill,
        // It could do all of this unseen.
        libc::SYS_io_uring_setup,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_execve,
        libc::SYS_execveat,
    ];
    let rules: BTreeMap<_, _> = denied.into_iter().map(|call| (call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().map_err(|_| VideoError::Confinement)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32), arch)
        .map_err(|_| VideoError::Confinement)?;
    let program: BpfProgram = filter.try_into().map_err(|_| VideoError::Confinement)?;
    seccompiler::apply_filter_all_threads(&program).map_err(|_| VideoError::Confinement)
}

fn answer(tools: &mut Tools, request: Request) -> Result<Reply, VideoError> {
    Ok(match request {
        Request::Probe => {
            Reply::Probed(TcpListener::bind("127.0.0.1:0").is_err() && fs::read("/proc/self/status").is_err())
        }
        Request::Sheet { width, height, planes } => match encode(&mut tools.encoder, width, height, planes)? {
            Some(jpeg) => Reply::Jpeg(jpeg),
            None => Reply::Undecodable,
        },
        Request::Picture { still, sps, pps, access_unit } => {
            let Some(annexb) = annexb(&sps, &pps, &access_unit) else {
                return Ok(Reply::Undecodable);
            };
            match decode(&mut tools.decoder, annexb)? {
                Some(planes) => Reply::Picture(thumbnails(tools, planes, still)?),
                None => Reply::Undecodable,
            }
        }
    })
}

fn thumbnails(tools: &mut Tools, planes: Vec<u8>, still: bool) -> Result<Picture, VideoError> {
    let (luma, tile, print) = (picture::luma(&planes), picture::tile(&planes), diagnose::print(&planes));
    let still = if still {
        encode(&mut tools.encoder, STILL.0 as u16, STILL.1 as u16, planes)?.unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok(Picture { luma, print, tile, still })
}

/// Start codes instead of lengths, parameter sets in front. `None` when the lengths do not add up or the set is no set.
fn annexb(sps: &[u8], pps: &[u8], mut unit: &[u8]) -> Option<Vec<u8>> {
    if !crate::sps::readable(sps) {
        return None;
    }
    let mut out = Vec::with_capacity(sps.len() + pps.len() + unit.len() + 16);
    let mut put = |nal: &[u8]| {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    };
    put(sps);
    put(pps);
    while let Some((len, rest)) = unit.split_first_chunk::<4>() {
        let (nal, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        put(nal);
        unit = rest;
    }
    unit.is_empty().then_some(out)
}

/// A running pipeline from an appsrc to an appsink.
struct Pipeline {
    description: &'static str,
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    size: Option<(u16, u16)>,
    count: u64,
}

impl Pipeline {
    fn decoder() -> Result<Self, VideoError> {
        Self::build(
            "appsrc name=in format=time caps=video/x-h264,stream-format=byte-stream,alignment=au \
             ! avdec_h264 max-threads=1 output-corrupt=false ! videoconvert n-threads=1 ! videoscale n-threads=1 \
             ! video/x-raw,format=I420,width=640,height=360,pixel-aspect-ratio=1/1 \
             ! appsink name=out sync=false async=false",
        )
    }

    fn encoder() -> Result<Self, VideoError> {
        Self::build("appsrc name=in format=time ! jpegenc quality=80 ! appsink name=out sync=false async=false")
    }

    fn build(description: &'static str) -> Result<Self, VideoError> {
        let broken = |e: &dyn std::fmt::Display| VideoError::GStreamer(e.to_string());
        let pipeline = gst::parse::launch(description)
            .map_err(|e| broken(&e))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| broken(&"not a pipeline"))?;
        let source = pipeline.by_name("in").and_then(|e| e.downcast().ok()).ok_or_else(|| broken(&"appsrc"))?;
        let sink = pipeline.by_name("out").and_then(|e| e.downcast().ok()).ok_or_else(|| broken(&"appsink"))?;
        // Nobody reads the messages; they must not pile up.
        if let Some(bus) = pipeline.bus() {
            bus.set_flushing(true);
        }
        pipeline.set_state(gst::State::Playing).map_err(|e| broken(&e))?;
        Ok(Self { description, pipeline, source, sink, size: None, count: 0 })
    }

    /// After an error or a time-out nothing of the old pipeline is trusted.
    fn rebuild(&mut self) -> Result<(), VideoError> {
        let fresh = Self::build(self.description)?;
        let old = std::mem::replace(self, fresh);
        let _ = old.pipeline.set_state(gst::State::Null);
        Ok(())
    }

    /// Pushes one buffer and takes the sample that it becomes.
    fn turn(&mut self, data: Vec<u8>) -> Result<Option<gst::Sample>, VideoError> {
        self.count += 1;
        let at = STEP * self.count;
        let mut buffer = gst::Buffer::from_mut_slice(data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(at);
            buffer.set_dts(at);
            buffer.set_duration(STEP / 2);
        }
        if self.source.push_buffer(buffer).is_err() {
            self.rebuild()?;
            return Ok(None);
        }
        if let Some(sample) = self.sample_of(at, PATIENCE) {
            return Ok(Some(sample));
        }
        // A decoder may hold a picture back; a gap makes it give what it has.
        self.source.send_event(gst::event::Gap::new(at + STEP / 2, STEP / 4));
        let sample = self.sample_of(at, PATIENCE);
        if sample.is_none() && self.pipeline.current_state() != gst::State::Playing {
            self.rebuild()?;
        }
        Ok(sample)
    }

    /// The sample of the buffer pushed with time `at`; older ones, of pictures given up, are dropped.
    fn sample_of(&self, at: gst::ClockTime, patience: gst::ClockTime) -> Option<gst::Sample> {
        while let Some(sample) = self.sink.try_pull_sample(patience) {
            if sample.buffer().and_then(|b| b.pts()) >= Some(at) {
                return Some(sample);
            }
        }
        None
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The picture of 640 × 360 in full range.
fn decode(pipeline: &mut Pipeline, annexb: Vec<u8>) -> Result<Option<Vec<u8>>, VideoError> {
    let Some(sample) = pipeline.turn(annexb)? else {
        return Ok(None);
    };
    let colorimetry = sample.caps().and_then(|c| c.structure(0)?.get::<String>("colorimetry").ok());
    let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else {
        return Ok(None);
    };
    if map.len() != STILL_BYTES {
        return Ok(None);
    }
    let mut planes = map.to_vec();
    if !colorimetry.is_some_and(|c| c.starts_with("1:")) {
        picture::to_full_range(&mut planes);
    }
    Ok(Some(planes))
}

fn encode(pipeline: &mut Pipeline, width: u16, height: u16, planes: Vec<u8>) -> Result<Option<Vec<u8>>, VideoError> {
    if pipeline.size != Some((width, height)) {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", i32::from(width))
            .field("height", i32::from(height))
            .field("framerate", gst::Fraction::new(0, 1))
            .build();
        pipeline.source.set_caps(Some(&caps));
        pipeline.size = Some((width, height));
    }
    let sample = pipeline.turn(planes)?;
    Ok(sample.and_then(|s| Some(s.buffer()?.map_readable().ok()?.to_vec())))
}
