//! Raw pictures in, access units out, by GStreamer. Everything here blocks: use it on threads that may.

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSrc};

use super::{Codec, Error, paint::Canvas};

/// Frames a second of every film.
pub(crate) const FPS: u32 = 15;
/// Frames from one key frame to the next.
pub(crate) const GOP: u32 = 30;

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// Mean kbit/s, key frame every `GOP` frames.
    Kbps(u32),
    /// Only key frames of good quality.
    Stills,
}

/// One encoding in progress.
pub(crate) struct Encoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    next: u64,
}

/// Whether this machine can encode H.265.
pub(crate) fn h265_available() -> bool {
    gst::init().is_ok() && gst::ElementFactory::find("x265enc").is_some()
}

fn launch_line(codec: Codec, rate: Rate) -> String {
    let gop = if rate == Rate::Stills { 1 } else { GOP };
    let common = format!("scenecut=0:min-keyint={gop}");
    match codec {
        Codec::H264 => {
            let rate = match rate {
                Rate::Kbps(kbps) => format!("bitrate={kbps} vbv-buf-capacity=1500"),
                Rate::Stills => "pass=quant quantizer=22".to_owned(),
            };
            format!(
                "x264enc name=encoder speed-preset=ultrafast tune=zerolatency sliced-threads=false threads=1 bframes=0 \
                 ref=1 cabac=false dct8x8=false aud=false byte-stream=true key-int-max={gop} qp-min=8 {rate} \
                 option-string=\"{common}:no-deblock=1\" \
                 ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
            )
        }
        Codec::H265 => {
            let (rate, extra) = match rate {
                Rate::Kbps(kbps) => (format!("bitrate={kbps}"), String::new()),
                Rate::Stills => (String::new(), ":qp=22".to_owned()),
            };
            format!(
                "x265enc name=encoder speed-preset=ultrafast key-int-max={gop} {rate} option-string=\"{common}:\
                 keyint={gop}:open-gop=0:bframes=0:ref=1:rc-lookahead=0:wpp=0:pools=none:frame-threads=1:slices=1:\
                 ctu=16:min-cu-size=8:no-sao=1:no-deblock=1:temporal-mvp=0:signhide=0:weightp=0:repeat-headers=1:info=0:\
                 aud=0:hrd=0:log-level=none{extra}\" \
                 ! video/x-h265,profile=main,stream-format=byte-stream,alignment=au"
            )
        }
    }
}

impl Encoder {
    /// Starts an encoding of pictures of `width` × `height`.
    pub(crate) fn open(codec: Codec, width: usize, height: usize, rate: Rate) -> Result<Self, Error> {
        gst::init().map_err(|e| Error::Encode(e.to_string()))?;
        let line = format!(
            "appsrc name=in format=time block=true max-bytes=3000000 \
             caps=video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1,colorimetry=bt601 \
             ! {} ! appsink name=out sync=false",
            launch_line(codec, rate)
        );
        let failed = |what: &str| Error::Encode(format!("{what}: {line}"));
        let pipeline = gst::parse::launch(&line)
            .map_err(|e| Error::Encode(e.to_string()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| failed("no pipeline"))?;
        let source = pipeline.by_name("in").and_then(|e| e.downcast().ok()).ok_or_else(|| failed("no appsrc"))?;
        let sink = pipeline.by_name("out").and_then(|e| e.downcast().ok()).ok_or_else(|| failed("no appsink"))?;
        pipeline.set_state(gst::State::Playing).map_err(|_| failed("does not start"))?;
        Ok(Self { pipeline, source, sink, next: 0 })
    }

    /// Hands over one picture; waits while the encoder is behind.
    pub(crate) fn push(&mut self, picture: Canvas) -> Result<(), Error> {
        let mut buffer = gst::Buffer::from_mut_slice(picture.data);
        let step = 1_000_000_000 / u64::from(FPS);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(self.next * step));
            buffer.set_duration(gst::ClockTime::from_nseconds(step));
        }
        self.next += 1;
        self.source.push_buffer(buffer).map(|_| ()).map_err(|_| self.fault())
    }

    /// Ends the encoding: one access unit a picture, in order, in Annex B.
    pub(crate) fn finish(self) -> Result<Vec<Vec<u8>>, Error> {
        self.source.end_of_stream().map_err(|_| self.fault())?;
        let mut units = Vec::new();
        while let Ok(sample) = self.sink.pull_sample() {
            let map = sample.buffer().and_then(|b| b.map_readable().ok()).ok_or_else(|| self.fault())?;
            units.push(map.to_vec());
        }
        if units.len() as u64 == self.next { Ok(units) } else { Err(self.fault()) }
    }

    fn fault(&self) -> Error {
        let message = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        let text = message.and_then(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        });
        Error::Encode(text.unwrap_or_else(|| "the encoder stopped early".to_owned()))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // A failure to stop leaves a thread behind and nothing else; there is nobody to tell.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
