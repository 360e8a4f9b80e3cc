//! Single cameras driven frame by frame; what they send is decoded by GStreamer.

use bytes::BytesMut;
use gstreamer::{self as gst, prelude::*};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::cameras::{
    camera::Scratch,
    film::{Size, Take},
    link::Link,
    packet::receive,
    paint::read_mark,
};

const FRAMES: u16 = 60;

/// A picture from a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Picture {
    width: usize,
    height: usize,
    luma: Vec<u8>,
}

impl Picture {
    fn rows(&self, from: usize, to: usize) -> &[u8] {
        &self.luma[from * self.width..to * self.width]
    }
    fn mean(&self) -> u64 {
        self.luma.iter().map(|p| u64::from(*p)).sum::<u64>() / self.luma.len() as u64
    }
    /// Mean step between neighbours in the middle of the picture.
    fn sharpness(&self) -> f64 {
        let rows = self.rows(self.height / 4, self.height * 3 / 4);
        let steps: u64 = rows.windows(2).map(|w| u64::from(w[0].abs_diff(w[1]).saturating_sub(8))).sum();
        steps as f64 / rows.len() as f64
    }
}

fn decode(codec: Codec, units: &[Vec<Vec<u8>>]) -> Vec<Picture> {
    gst::init().unwrap();
    let name = if codec == Codec::H264 { "h264" } else { "h265" };
    let line = format!(
        "appsrc name=in format=time caps=video/x-{name},stream-format=byte-stream,alignment=au ! {name}parse \
         ! avdec_{name} max-threads=1 ! video/x-raw,format=I420 ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for (index, unit) in units.iter().enumerate() {
        let bytes: Vec<u8> = unit.iter().flat_map(|nal| [&[0, 0, 0, 1], nal.as_slice()].concat()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(index as u64 * 66));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let mut pictures = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let caps = sample.caps().unwrap().structure(0).unwrap();
        let size = |name| usize::try_from(caps.get::<i32>(name).unwrap()).unwrap();
        let (width, height) = (size("width"), size("height"));
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let stride = width.next_multiple_of(4);
        let luma = (0..height).flat_map(|y| &map[y * stride..y * stride + width]).copied().collect();
        pictures.push(Picture { width, height, luma });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(pictures.len(), units.len(), "every access unit is a picture");
    pictures
}

/// A camera with one client, ticked by hand.
struct Rig {
    camera: Arc<Camera>,
    films: Arc<Films>,
    client: TcpStream,
    pending: BytesMut,
    scratch: Scratch,
    stream: Stream,
    at: u64,
}

impl Rig {
    async fn new(number: u16, stream: Stream) -> Self {
        let names = (1..=3).map(|n| format!("C{n:03}")).collect();
        let films = Arc::new(Films::new(cache(), names, Default::default()));
        let address = "127.0.0.1:9".parse().unwrap();
        let mut spec = spec(number, Auth::Open, address);
        spec.write_mode = WriteMode::Frame;
        let camera = Arc::new(Camera::new(usize::from(number - 1), spec, FRAMES, Arc::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let link = Arc::new(Link::new(listener.accept().await.unwrap().0, 1 << 16));
        link.stream().writable().await.unwrap();
        camera.join(stream, &link, (4, 5));
        let at = u64::from(FRAMES) * 100 - camera.ahead;
        let mut rig = Self { camera, films, client, pending: BytesMut::new(), scratch: Scratch::default(), stream, at };
        rig.load().await;
        rig
    }

    async fn load(&mut self) {
        let (films, key) = (self.films.clone(), self.camera.film_key(self.stream));
        let reel = tokio::task::spawn_blocking(move || films.get(key)).await.unwrap().unwrap();
        self.camera.set_reel(self.stream, reel);
    }

    async fn fault(&mut self, fault: Option<Fault>) {
        self.camera.set_fault(fault);
        self.load().await;
    }

    /// The next interleaved frame: channel and content with its header.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        loop {
            if self.pending.len() >= 4 {
                let length = 4 + usize::from(u16::from_be_bytes([self.pending[2], self.pending[3]]));
                if self.pending.len() >= length {
                    let packet = self.pending.split_to(length);
                    return (packet[1], packet.to_vec());
                }
            }
            assert_ne!(self.client.read_buf(&mut self.pending).await.unwrap(), 0, "the camera went on");
        }
    }

    /// Ticks once and reads the access unit: its time and NALs.
    async fn unit(&mut self) -> (u32, Vec<Vec<u8>>) {
        self.tick();
        self.receive().await
    }

    fn tick(&mut self) {
        self.camera.tick(self.at, 0, &mut self.scratch);
        self.at += 1;
    }

    async fn receive(&mut self) -> (u32, Vec<Vec<u8>>) {
        let mut bytes = Vec::new();
        loop {
            let (channel, packet) = self.packet().await;
            if channel == 5 {
                continue;
            }
            assert_eq!(channel, 4);
            let time = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            let last = packet[5] & 0x80 != 0;
            bytes.extend(packet);
            if last {
                let packets = receive::payloads(&bytes);
                return (time, receive::depacketise(self.camera.codec(self.stream), &packets));
            }
        }
    }

    async fn units(&mut self, count: usize) -> Vec<Vec<Vec<u8>>> {
        let mut units = Vec::new();
        for _ in 0..count {
            units.push(self.unit().await.1);
        }
        units
    }

    async fn pictures(&mut self, count: usize) -> Vec<Picture> {
        decode(self.camera.codec(self.stream), &self.units(count).await)
    }
}

/// The film as it was encoded, without any strip.
fn bare_film(rig: &Rig) -> Vec<Picture> {
    let key = rig.camera.film_key(rig.stream);
    let take = rig.films.take(&key).unwrap();
    let units: Vec<_> = take
        .frames
        .iter()
        .enumerate()
        .map(
            |(i, slice)| if i == 0 { [take.params.clone(), vec![slice.clone()]].concat() } else { vec![slice.clone()] },
        )
        .collect();
    decode(key.codec, &units)
}

async fn own_strip_below_the_common_film(stream: Stream, size: Size) {
    let (mut one, mut two) = (Rig::new(1, stream).await, Rig::new(2, stream).await);
    let (mine, yours, film) =
        (one.pictures(60).await, two.pictures(60).await, tokio::task::block_in_place(|| bare_film(&one)));
    for (index, ((a, b), bare)) in mine.iter().zip(&yours).zip(&film).enumerate() {
        assert_eq!((a.width, a.height), (size.width(), size.shown()));
        assert!(a.rows(0, size.film()) == bare.rows(0, size.film()), "picture {index} drifts from the film");
        assert!(a.rows(0, size.film()) == b.rows(0, size.film()), "picture {index} differs between cameras");
        assert!(a.rows(size.film(), size.shown()) != b.rows(size.film(), size.shown()), "strips differ");
        assert!(a.rows(size.film(), size.shown()) == mine[0].rows(size.film(), size.shown()), "the strip stays");
        assert_eq!(read_mark(&a.luma, a.width, a.width), Some(index as u16));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_camera_has_its_own_strip_on_an_exact_film_in_h264() {
    own_strip_below_the_common_film(Stream::Sub, Size::Sub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_camera_has_its_own_strip_on_an_exact_film_in_h265() {
    own_strip_below_the_common_film(Stream::Main, Size::Main).await;
}

async fn frozen_stands_still_until_cleared(stream: Stream) {
    let mut rig = Rig::new(1, stream).await;
    let mut units = rig.units(10).await;
    rig.fault(Some(Fault::Frozen)).await;
    units.extend(rig.units(80).await);
    rig.fault(None).await;
    units.extend(rig.units(30).await);
    let pictures = decode(rig.camera.codec(stream), &units);
    let mark = |p: &Picture| read_mark(&p.luma, p.width, p.width);
    assert!(pictures[..30].windows(2).all(|w| w[0] != w[1]), "it runs on to the next key frame");
    assert!(pictures[30..90].iter().all(|p| *p == pictures[30]), "then every picture is the same to the last bit");
    assert_eq!((mark(&pictures[30]), mark(&pictures[90]), mark(&pictures[119])), (Some(30), Some(30), Some(59)));
}

#[tokio::test]
async fn frozen_in_h264() {
    frozen_stands_still_until_cleared(Stream::Sub).await;
}

#[tokio::test]
async fn frozen_in_h265() {
    frozen_stands_still_until_cleared(Stream::Main).await;
}

#[tokio::test]
async fn black_and_blurred_change_at_a_key_frame_and_back() {
    for stream in [Stream::Sub, Stream::Main] {
        let mut rig = Rig::new(3, stream).await;
        let mut units = rig.units(15).await;
        for fault in [Some(Fault::Black), Some(Fault::Blurred), None] {
            rig.fault(fault).await;
            units.extend(rig.units(30).await);
        }
        let seen = decode(rig.camera.codec(stream), &units);
        assert_eq!((seen[30].width, seen[30].height), (seen[29].width, seen[29].height));
        assert!(seen[29].mean() > 80 && seen[30].mean() < 30 && seen[59].mean() < 30, "black from the key frame on");
        assert!(seen[60].mean() > 80 && seen[60].sharpness() * 2.0 < seen[0].sharpness(), "blurred after it");
        assert!(seen[90].sharpness() * 2.0 > seen[0].sharpness(), "and sharp again");
    }
}

#[tokio::test]
async fn changed_parameters_come_in_band_before_the_key_frame() {
    let mut rig = Rig::new(1, Stream::Sub).await;
    let mut units = rig.units(5).await;
    rig.fault(Some(Fault::Parameters)).await;
    units.extend(rig.units(55).await);
    assert_ne!(units[0][0], units[30][0], "the SPS changed");
    let seen = decode(Codec::H264, &units);
    assert_eq!((seen[29].width, seen[29].height, seen[30].width, seen[30].height), (640, 360, 480, 272));
}

#[tokio::test]
async fn time_goes_on_evenly_through_faults_and_silence_leaves_a_gap() {
    let mut rig = Rig::new(1, Stream::Sub).await;
    let (first, _) = rig.unit().await;
    rig.fault(Some(Fault::Frozen)).await;
    for step in 1..40u32 {
        assert_eq!(rig.unit().await.0, first.wrapping_add(step * 6000));
    }
    rig.fault(Some(Fault::Silent)).await;
    (0..20).for_each(|_| rig.tick());
    rig.fault(None).await;
    assert_eq!(rig.unit().await.0, first.wrapping_add(60 * 6000), "nothing was sent in between");
}

#[tokio::test]
async fn slow_dribbles_whole_frames_and_leaves_others_out() {
    let mut rig = Rig::new(1, Stream::Sub).await;
    let (first, _) = rig.unit().await;
    rig.fault(Some(Fault::Slow)).await;
    (0..600).for_each(|_| rig.tick());
    let (next, whole) = rig.receive().await;
    let (after, _) = rig.receive().await;
    assert_eq!(next, first.wrapping_add(6000));
    assert!(!whole.is_empty());
    assert!(after.wrapping_sub(next) > 6000, "frames are missing between");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_counted() {
    let mut rig = Rig::new(1, Stream::Sub).await;
    let mut ticks = 0;
    while rig.camera.viewers() == 1 {
        rig.tick();
        ticks += 1;
        assert!(ticks < 20_000, "the backlog is bounded");
    }
    assert_eq!(rig.camera.counters.slow_cut.load(Ordering::Relaxed), 1);
}

#[test]
fn a_damaged_film_is_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.film");
    let take = Take {
        codec: Codec::H264,
        size: Size::Sub,
        params: vec![vec![0x67, 1], vec![0x68, 2]],
        frames: vec![vec![0x65; 100]; 3],
    };
    take.write(&path).unwrap();
    assert_eq!(Take::read(&path, Codec::H264, Size::Sub), Some(take));
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(Take::read(&path, Codec::H264, Size::Sub), None, "cut after {cut} bytes");
    }
}
