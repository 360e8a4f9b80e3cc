//! The RTSP side of a camera: its door (a listener that can be shut) and one task a connection.
//!
//! Bounds: connections still shaking hands a camera, sessions a camera, bytes of a request, silence of a client.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Codec, Error, auth,
    camera::{Camera, Counters, Reel, Stream},
    film::Film,
    link::Link,
    rtsp::{self, Message, Reply, Request, Transport},
    studio::Films,
};

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// What the Session header promises is 60 s.
const SESSION_PATIENCE: Duration = Duration::from_secs(75);
const REBIND_PAUSE: Duration = Duration::from_millis(500);
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

/// Bounds of one camera's server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) sessions: usize,
    pub(crate) handshakes: usize,
    pub(crate) backlog: usize,
}

/// Answers at the camera's address until `stop`; opens and shuts as the camera's door says.
pub(crate) async fn door(
    camera: Arc<Camera>,
    films: Arc<Films>,
    limits: Limits,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let mut open: watch::Receiver<bool> = camera.door.subscribe();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let wanted = *open.borrow_and_update();
        if !wanted {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = bind(camera.spec.address).await.ok();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = open.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(REBIND_PAUSE), if wanted && listener.is_none() => {}
            stream = accept(listener.as_ref()), if listener.is_some() => {
                if let Some(stream) = stream {
                    admit(&camera, &films, limits, stream, &mut connections);
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Listens at a camera's address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener?.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            // Descriptors may be used up for a moment; the pause keeps this from spinning.
            tracing::debug!(%error, "accept failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn admit(camera: &Arc<Camera>, films: &Arc<Films>, limits: Limits, stream: TcpStream, connections: &mut JoinSet<()>) {
    let counters = &camera.counters;
    Counters::add(&counters.accepted, 1);
    let Some(handshake) = Count::below(camera.clone(), |c| &c.handshakes, limits.handshakes) else {
        Counters::add(&counters.refused_handshakes, 1);
        metrics::counter!("simulator_camera_handshakes_refused_total").increment(1);
        return;
    };
    counters.peak_handshakes.fetch_max(camera.handshakes.load(Ordering::SeqCst), Ordering::SeqCst);
    let link = Arc::new(Link::new(stream, limits.backlog));
    let connection = Connection {
        camera: camera.clone(),
        films: films.clone(),
        limits,
        nonce: format!("{:032x}", rand::random::<u128>()),
        session: format!("{:08X}", rand::random::<u32>()),
        handshake: Some(handshake),
        seat: None,
        playing: false,
        link,
    };
    connections.spawn(connection.run());
}

/// One of a bounded number, given back when dropped.
struct Count {
    camera: Arc<Camera>,
    of: fn(&Camera) -> &std::sync::atomic::AtomicUsize,
}

impl Count {
    fn below(camera: Arc<Camera>, of: fn(&Camera) -> &std::sync::atomic::AtomicUsize, limit: usize) -> Option<Self> {
        let take = |n: usize| (n < limit).then_some(n + 1);
        of(&camera).fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).ok()?;
        Some(Self { camera, of })
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.of)(&self.camera).fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream that was set up.
struct Seat {
    stream: Stream,
    channels: (u8, u8),
    /// Keeps the film in memory between SETUP and PLAY.
    _reel: Reel,
    _count: Count,
}

struct Connection {
    camera: Arc<Camera>,
    films: Arc<Films>,
    limits: Limits,
    nonce: String,
    session: String,
    handshake: Option<Count>,
    seat: Option<Seat>,
    playing: bool,
    link: Arc<Link>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.camera.leave(&self.link);
    }
}

impl Connection {
    async fn run(mut self) {
        let cut = self.link.cut.clone();
        let ended = cut.run_until_cancelled(self.converse()).await;
        if let Some(Err(error)) = ended {
            tracing::debug!(camera.id = %self.camera.spec.id, %error, "connection ended");
        }
    }

    async fn converse(&mut self) -> std::io::Result<()> {
        let mut pending: Vec<u8> = Vec::with_capacity(1024);
        loop {
            let patience = if self.playing { SESSION_PATIENCE } else { HANDSHAKE_PATIENCE };
            if timeout(patience, self.read(&mut pending)).await?? == 0 {
                return Ok(());
            }
            loop {
                match rtsp::take(&pending) {
                    Ok(None) => break,
                    Ok(Some((message, used))) => {
                        pending.drain(..used);
                        if let Message::Request(request) = message {
                            self.answer(&request).await?;
                        }
                    }
                    Err(rtsp::Malformed) => {
                        return self.link.reply(&Reply::new(400, &Request::default()).into_bytes()).await;
                    }
                }
            }
        }
    }

    async fn read(&self, pending: &mut Vec<u8>) -> std::io::Result<usize> {
        let mut chunk = [0; 2048];
        loop {
            self.link.stream().readable().await?;
            match self.link.stream().try_read(&mut chunk) {
                Ok(count) => {
                    pending.extend_from_slice(&chunk[..count]);
                    return Ok(count);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    async fn answer(&mut self, request: &Request) -> std::io::Result<()> {
        let reply = match self.refusal(request) {
            Some(reply) => reply,
            None => self.serve(request).await,
        };
        self.link.reply(&reply.into_bytes()).await?;
        // Pictures follow the reply, never before it.
        if self.playing
            && let Some(handshake) = self.handshake.take()
        {
            drop(handshake);
            if let Some(seat) = &self.seat {
                self.camera.join(seat.stream, &self.link, seat.channels);
            }
        }
        Ok(())
    }

    fn refusal(&self, request: &Request) -> Option<Reply> {
        if request.method == "OPTIONS" {
            return None;
        }
        let (how, credentials) = self.camera.credentials();
        if auth::allows(how, &self.nonce, &credentials, &request.method, request.header("authorization")) {
            return None;
        }
        Counters::add(&self.camera.counters.unauthorised, 1);
        let reply = Reply::new(401, request);
        Some(match auth::challenge(how, &self.nonce) {
            Some(challenge) => reply.header("WWW-Authenticate", &challenge),
            None => reply,
        })
    }

    async fn serve(&mut self, request: &Request) -> Reply {
        match request.method.as_str() {
            "OPTIONS" => Reply::new(200, request).header("Public", METHODS),
            "DESCRIBE" => self.describe(request).await,
            "SETUP" => self.set_up(request).await,
            "PLAY" => self.play(request).await,
            "GET_PARAMETER" | "SET_PARAMETER" => self.in_session(Reply::new(200, request)),
            "TEARDOWN" => {
                self.camera.leave(&self.link);
                (self.seat, self.playing) = (None, false);
                self.in_session(Reply::new(200, request))
            }
            _ => Reply::new(405, request).header("Allow", METHODS),
        }
    }

    fn in_session(&self, reply: Reply) -> Reply {
        if self.seat.is_some() { reply.header("Session", &format!("{};timeout=60", self.session)) } else { reply }
    }

    async fn reel(&self, stream: Stream) -> Result<Reel, Error> {
        let (films, key) = (self.films.clone(), self.camera.film_key(stream));
        tokio::task::spawn_blocking(move || films.get(key)).await.map_err(|_| Error::Stopped)?
    }

    async fn describe(&self, request: &Request) -> Reply {
        let Some(stream) = stream_of(request.path()) else { return Reply::new(404, request) };
        match self.reel(stream).await {
            Ok((film, _)) => {
                let base = format!("{}/", request.uri.trim_end_matches('/'));
                let text = description(&film, self.camera.spec.address);
                Reply::new(200, request).header("Content-Base", &base).body("application/sdp", text)
            }
            Err(error) => self.unavailable(request, &error),
        }
    }

    fn unavailable(&self, request: &Request, error: &Error) -> Reply {
        tracing::warn!(camera.id = %self.camera.spec.id, %error, "no film for this camera");
        Reply::new(503, request)
    }

    async fn set_up(&mut self, request: &Request) -> Reply {
        let Some(stream) = stream_of(request.path()) else { return Reply::new(404, request) };
        if self.seat.is_some() {
            return Reply::new(455, request);
        }
        let Transport::Interleaved(data, reports) = rtsp::transport(request.header("transport").unwrap_or("")) else {
            return Reply::new(461, request);
        };
        let Some(count) = Count::below(self.camera.clone(), |c| &c.seats, self.limits.sessions) else {
            Counters::add(&self.camera.counters.refused_sessions, 1);
            return Reply::new(453, request);
        };
        match self.reel(stream).await {
            Ok(reel) => self.seat = Some(Seat { stream, channels: (data, reports), _reel: reel, _count: count }),
            Err(error) => return self.unavailable(request, &error),
        }
        let ssrc = self.camera.ssrc(stream);
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={data}-{reports};ssrc={ssrc:08X}");
        self.in_session(Reply::new(200, request).header("Transport", &transport))
    }

    async fn play(&mut self, request: &Request) -> Reply {
        let Some(stream) = self.seat.as_ref().map(|s| s.stream) else { return Reply::new(454, request) };
        if !self.playing && !self.camera.watched(stream) {
            // The state may have changed since SETUP.
            match self.reel(stream).await {
                Ok(reel) => self.camera.set_reel(stream, reel),
                Err(error) => return self.unavailable(request, &error),
            }
        }
        self.playing = true;
        self.in_session(Reply::new(200, request).header("Range", "npt=now-"))
    }
}

fn stream_of(path: &str) -> Option<Stream> {
    match path.trim_end_matches("/track1").trim_end_matches('/') {
        "/main" => Some(Stream::Main),
        "/sub" => Some(Stream::Sub),
        _ => None,
    }
}

fn description(film: &Film, address: SocketAddr) -> String {
    let sets: Vec<String> = film.params.iter().map(|p| BASE64_STANDARD.encode(p)).collect();
    let (name, format) = match film.codec {
        Codec::H264 => {
            let profile = film.params.first().and_then(|s| s.get(1..4)).map(hex::encode_upper).unwrap_or_default();
            let sets = sets.join(",");
            ("H264", format!("packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}"))
        }
        Codec::H265 => {
            let named: Vec<_> =
                ["vps", "sps", "pps"].iter().zip(&sets).map(|(n, s)| format!("sprop-{n}={s}")).collect();
            ("H265", named.join(";"))
        }
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n\
         m=video 0 RTP/AVP 96\r\nb=AS:{rate}\r\na=rtpmap:96 {name}/90000\r\na=fmtp:96 {format}\r\na=framerate:{fps}\r\n\
         a=control:track1\r\n",
        ip = address.ip(),
        rate = film.size.rate(film.codec),
        fps = super::encode::FPS,
    )
}
