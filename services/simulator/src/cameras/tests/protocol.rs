//! Running cameras over real sockets, with a raw client and with retina.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use runtime::SystemClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// Cameras at free ports of 127.0.0.1.
async fn running(auths: &[Auth]) -> (Cameras, Tasks, Vec<SocketAddr>) {
    let mut addresses = Vec::new();
    let mut held = Vec::new();
    for _ in auths {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        held.push(listener);
    }
    drop(held);
    let specs = auths.iter().zip(&addresses).enumerate().map(|(i, (auth, at))| {
        let mut spec = spec(i as u16 + 1, *auth, *at);
        spec.main_codec = Codec::H264;
        spec
    });
    let mut config = CamerasConfig::new(specs.collect(), cache());
    (config.loop_frames, config.max_sessions, config.max_handshakes) = (60, 1, 2);
    let tasks = Tasks::default();
    let cameras = Cameras::start(config, &tasks, Arc::new(SystemClock), |_| {}).await.unwrap();
    (cameras, tasks, addresses)
}

/// A client that writes text and reads replies, skipping pictures.
struct Raw {
    stream: TcpStream,
    pending: Vec<u8>,
    /// Interleaved frames seen.
    pictures: usize,
}

impl Raw {
    async fn connect(to: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(to).await.unwrap(), pending: Vec::new(), pictures: 0 }
    }
    async fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        loop {
            if let Some(reply) = self.reply() {
                return reply;
            }
            assert!(self.more().await, "the connection ended");
        }
    }
    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.pending).await.is_ok_and(|n| n > 0)
    }
    fn reply(&mut self) -> Option<String> {
        while self.pending.first() == Some(&b'$') {
            let length = 4 + usize::from(u16::from_be_bytes([*self.pending.get(2)?, *self.pending.get(3)?]));
            (self.pending.len() >= length).then(|| self.pending.drain(..length))?;
            self.pictures += 1;
        }
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        let (head, _) = text.split_once("\r\n\r\n")?;
        let body: usize =
            head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |l| l.parse().unwrap());
        let total = head.len() + 4 + body;
        (self.pending.len() >= total).then(|| self.pending.drain(..total))?;
        Some(text[..total].to_owned())
    }
    /// Until the camera ends the connection.
    async fn end(&mut self) {
        while self.more().await {}
    }
}

fn request(method: &str, at: SocketAddr, path: &str, more: &str) -> String {
    let proof = BASE64_STANDARD.encode("admin:s3cret");
    format!("{method} rtsp://{at}{path} RTSP/1.0\r\nCSeq: 7\r\nAuthorization: Basic {proof}\r\n{more}\r\n")
}

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";

async fn play(at: SocketAddr) -> Raw {
    let mut raw = Raw::connect(at).await;
    assert!(raw.ask(&request("SETUP", at, "/sub/track1", TCP)).await.starts_with("RTSP/1.0 200"));
    assert!(raw.ask(&request("PLAY", at, "/sub", "")).await.starts_with("RTSP/1.0 200"));
    while raw.pictures == 0 {
        assert!(raw.more().await);
        let _ = raw.reply();
    }
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_as_a_camera_does() {
    let (cameras, tasks, at) = running(&[Auth::Basic]).await;
    let at = at[0];
    let mut raw = Raw::connect(at).await;
    let status = |reply: String| reply[9..12].to_owned();
    assert_eq!(status(raw.ask("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").await), "200");
    let refused = raw.ask(&format!("DESCRIBE rtsp://{at}/sub RTSP/1.0\r\nCSeq: 2\r\n\r\n")).await;
    assert!(refused.contains("401") && refused.contains("Basic realm") && refused.contains("CSeq: 2"));
    let described = raw.ask(&request("DESCRIBE", at, "/sub", "")).await;
    assert!(described.contains("sprop-parameter-sets=") && described.contains("a=control:track1"), "{described}");
    assert_eq!(status(raw.ask(&request("DESCRIBE", at, "/other", "")).await), "404");
    let udp = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
    assert_eq!(status(raw.ask(&request("SETUP", at, "/sub/track1", udp)).await), "461");
    assert_eq!(status(raw.ask(&request("PLAY", at, "/sub", "")).await), "454");
    assert_eq!(status(raw.ask(&request("RECORD", at, "/sub", "")).await), "405");
    let set_up = raw.ask(&request("SETUP", at, "/sub/track1", TCP)).await;
    assert!(set_up.contains("interleaved=0-1") && set_up.contains("timeout=60"), "{set_up}");
    let mut second = Raw::connect(at).await;
    assert_eq!(status(second.ask(&request("SETUP", at, "/sub/track1", TCP)).await), "453", "one session at most");
    let mut third = TcpStream::connect(at).await.unwrap();
    assert!(matches!(third.read(&mut [0]).await, Ok(0) | Err(_)), "two handshakes at most");
    assert_eq!(status(raw.ask(&request("PLAY", at, "/sub", "")).await), "200");
    assert_eq!(status(raw.ask(&request("GET_PARAMETER", at, "/sub", "")).await), "200");
    assert_eq!(status(raw.ask(&request("TEARDOWN", at, "/sub", "")).await), "200");
    assert_eq!(status(second.ask(&request("SETUP", at, "/sub/track1", TCP)).await), "200", "the seat is free again");
    let stats = cameras.stats();
    assert_eq!((stats.refused_handshakes, stats.refused_sessions, stats.peak_handshakes), (1, 1, 2));
    tasks.drain(std::time::Duration::from_secs(5)).await;
    assert!(TcpStream::connect(at).await.is_err(), "nothing listens after the drain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_resets_and_refuses_until_cleared_and_others_go_on() {
    let (cameras, tasks, at) = running(&[Auth::Basic, Auth::Basic]).await;
    let (mut one, mut two) = (play(at[0]).await, play(at[1]).await);
    let id = CameraId::new("c001");
    cameras.set_fault(&id, Fault::Dead).await.unwrap();
    one.end().await;
    while TcpStream::connect(at[0]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let seen = two.pictures;
    while two.pictures == seen {
        assert!(two.more().await, "the other camera goes on");
        let _ = two.reply();
    }
    assert_eq!((cameras.stats().listening, cameras.fault(&id).unwrap()), (1, Some(Fault::Dead)));
    cameras.clear(&id).await.unwrap();
    while TcpStream::connect(at[0]).await.is_err() {
        tokio::task::yield_now().await;
    }
    cameras.cut_all_links();
    two.end().await;
    tasks.drain(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_ends_the_session_and_refuses_the_old_one() {
    let (cameras, tasks, at) = running(&[Auth::Basic]).await;
    let mut raw = play(at[0]).await;
    cameras.set_fault(&"c001".into(), Fault::Unauthorised).await.unwrap();
    raw.end().await;
    let mut again = Raw::connect(at[0]).await;
    assert!(again.ask(&request("DESCRIBE", at[0], "/sub", "")).await.contains("401"));
    cameras.clear(&"c001".into()).await.unwrap();
    assert!(again.ask(&request("DESCRIBE", at[0], "/sub", "")).await.contains("200"));
    assert!(matches!(cameras.set_fault(&"c999".into(), Fault::Dead).await, Err(Error::Unknown(_))));
    tasks.drain(std::time::Duration::from_secs(5)).await;
}

async fn retina_plays(at: SocketAddr, path: &str) {
    use retina::client::{PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions, Transport};
    let credentials = retina::client::Credentials { username: "admin".into(), password: "s3cret".into() };
    let url = format!("rtsp://{at}{path}").parse().unwrap();
    let mut session = Session::describe(url, SessionOptions::default().creds(Some(credentials))).await.unwrap();
    let setup = SetupOptions::default().transport(Transport::Tcp(TcpTransportOptions::default()));
    session.setup(0, setup).await.unwrap();
    let mut frames = session.play(PlayOptions::default()).await.unwrap().demuxed().unwrap();
    let (mut keys, mut last) = (0, None);
    while keys < 2 {
        if let retina::codec::CodecItem::VideoFrame(frame) = frames.next().await.unwrap().unwrap() {
            assert_eq!(frame.loss(), 0);
            let time = frame.timestamp().elapsed();
            assert!(last.is_none_or(|l| time - l == 6000), "15 frames a second on the clock of the stream");
            last = Some(time);
            keys += usize::from(frame.is_random_access_point());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retina_plays_both_streams_with_every_kind_of_authorisation() {
    let (cameras, tasks, at) = running(&[Auth::Basic, Auth::Digest, Auth::DigestQop, Auth::Open]).await;
    let plays = [(0, "/sub"), (1, "/sub"), (2, "/main"), (3, "/main")];
    futures::future::join_all(plays.map(|(camera, path)| retina_plays(at[camera], path))).await;
    assert_eq!(cameras.stats().slow_cut, 0);
    tasks.drain(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_scene_and_the_clock_of_the_loop() {
    let (cameras, tasks, _) = running(&[Auth::Basic, Auth::Basic]).await;
    let (one, two): (CameraId, CameraId) = ("c001".into(), "c002".into());
    cameras.set_scene(&one, Scene::Fire).await.unwrap();
    assert_eq!((cameras.scene(&one).unwrap(), cameras.scene(&two).unwrap()), (Scene::Fire, Scene::Corridor));
    cameras.reset_scene(&one).await.unwrap();
    assert_eq!(cameras.scene(&one).unwrap(), Scene::Corridor);
    let (a, b) = (cameras.loop_clock(&one).unwrap(), cameras.loop_clock(&two).unwrap());
    assert_eq!((a.frames, a.fps), (60, 15));
    assert_ne!(a.epoch_ms, b.epoch_ms, "cameras are at different places of their loops");
    tasks.drain(std::time::Duration::from_secs(5)).await;
}
