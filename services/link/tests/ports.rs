//! One suite for the ports, held against the handles of one process and against two nodes with the network between.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    ids::{AlarmId, CameraId, IncidentId, SiteId, TaskId},
    input::{Actor, Command, Input, Refs},
    refusal::{Code, Refusal},
    time::Timestamp,
};
use link::{
    intake::{Done, Intake, IntakeError, Position, Submission},
    media::{CameraState, CameraStatus, Clip, Live, Media, MediaError, MediaItem, PictureFault, Quality, Sheet, Still},
    net::{Node, Peer, PeerOptions, ServerOptions, Token, serve},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "a-token-of-at-least-16";

/// A writer that answers by the text of a note, and remembers what it was asked.
#[derive(Default)]
struct Writer {
    asked: Mutex<Vec<Submission>>,
    /// `wait` is answered after this.
    go: Notify,
    taken: AtomicUsize,
}

#[async_trait]
impl Intake for Writer {
    fn site(&self) -> SiteId {
        SiteId::new("maojiawan")
    }

    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError> {
        self.asked.lock().unwrap().push(submission.clone());
        let Input::Command { command: Command::Note { text, .. }, .. } = submission.input else {
            return Ok(done());
        };
        match text.as_str() {
            "field" => Err(Refusal::field(Code::NoPlace, "place.building").into()),
            "refused" => Err(Code::Forbidden.into()).map_err(|r: Refusal| r.into()),
            "reused" => Err(IntakeError::KeyReused),
            "long" => Err(IntakeError::TooLong("scope")),
            "busy" => Err(IntakeError::Busy),
            "disk" => Err(IntakeError::Unavailable("disk full".to_owned())),
            "torn" => Err(IntakeError::Unknown("the commit broke off".to_owned())),
            "wait" => {
                self.go.notified().await;
                self.taken.fetch_add(1, SeqCst);
                Ok(done())
            }
            _ => Ok(done()),
        }
    }
}

fn done() -> Done {
    let refs = Refs {
        alarm: Some(AlarmId(7)),
        incident: Some(IncidentId(8)),
        tasks: vec![TaskId(9), TaskId(10)],
        code: Some("MJW-1".to_owned()),
        ..Refs::default()
    };
    Done { position: Position { log_id: u64::MAX, seq: 12 }, refs, replayed: true }
}

fn note(text: &str) -> Submission {
    let command = Command::Note { incident: IncidentId(1), text: text.to_owned() };
    let input = Input::Command { actor: Actor::System, mode: domain::event::Mode::Real, happened: None, command };
    Submission::keyed("account/duty", "k", b"request".to_vec(), input).settling(5)
}

/// Cameras of which `c1` is there, `flood` sends more than anybody takes, and `endless` as much as is taken.
struct Cameras {
    /// Subscriptions that were dropped.
    left: Arc<Notify>,
    news: Mutex<Option<mpsc::Sender<CameraStatus>>>,
}

fn status() -> CameraStatus {
    CameraStatus {
        camera: CameraId::new("c1/北"),
        state: CameraState::Online,
        since: Timestamp(1),
        fault: Some(PictureFault::Frozen),
        fault_since: Some(Timestamp(2)),
        last_frame: Some(Timestamp(3)),
        codec: Some("avc1.42c01e".to_owned()),
        size: Some((352, 288)),
        fps: 12.5,
        bitrate: 300_000,
    }
}

fn fragment(number: i64) -> MediaItem {
    MediaItem::Fragment {
        generation: 3,
        key: number == 0,
        pts: number,
        captured: Timestamp(9),
        bytes: Bytes::from(vec![7; 20_000]),
    }
}

fn init() -> MediaItem {
    let bytes = Bytes::from_static(b"moov");
    MediaItem::Init { generation: 3, codec: "avc1.42c01e".to_owned(), size: (352, 288), bytes, fallback: true }
}

#[async_trait]
impl Media for Cameras {
    async fn subscribe(&self, camera: &CameraId, quality: Quality) -> Result<Live, MediaError> {
        match camera.as_str() {
            "c1/北" => {}
            "busy" => return Err(MediaError::Busy("viewers")),
            "flood" => return Ok(flood(self.left.clone())),
            "endless" => return Ok(endless()),
            _ => return Err(MediaError::UnknownCamera),
        }
        let (to, items) = mpsc::channel(8);
        let left = self.left.clone();
        let first = if quality == Quality::Main { init() } else { MediaItem::Skipped { fragments: 4 } };
        tokio::spawn(async move {
            for item in [first, fragment(0), MediaItem::State(status())] {
                to.send(item).await.unwrap();
            }
            to.closed().await;
            left.notify_one();
        });
        Ok(Live { items })
    }

    async fn still(&self, camera: &CameraId) -> Result<Still, MediaError> {
        match camera.as_str() {
            "c1/北" => {
                Ok(Still { camera: camera.clone(), captured: Timestamp(4), jpeg: Bytes::from(vec![1; 300_000]) })
            }
            "dark" => Err(MediaError::NoPicture),
            _ => Err(MediaError::UnknownCamera),
        }
    }

    async fn sheet(&self) -> Result<Sheet, MediaError> {
        let tiles = vec![(CameraId::new("c1/北"), Some(Timestamp(0))), (CameraId::new("c2"), None)];
        Ok(Sheet {
            version: 2,
            made: Timestamp(5),
            tile: (160, 90),
            columns: 16,
            tiles,
            jpeg: Bytes::from_static(b"j"),
        })
    }

    async fn clip(&self, camera: &CameraId, from: Timestamp, to: Timestamp) -> Result<Clip, MediaError> {
        let mp4 = Bytes::from(vec![2; 3_000_000]);
        Ok(Clip { camera: camera.clone(), from, to, codec: "avc1.42c01e".to_owned(), mp4 })
    }

    async fn cameras(&self) -> Vec<CameraStatus> {
        vec![status(), CameraStatus { size: None, fault: None, codec: None, ..status() }]
    }

    async fn changes(&self) -> mpsc::Receiver<CameraStatus> {
        let (to, changes) = mpsc::channel(8);
        *self.news.lock().unwrap() = Some(to);
        changes
    }
}

/// As the media role does it: what a subscriber does not take is counted and told.
fn flood(left: Arc<Notify>) -> Live {
    let (to, items) = mpsc::channel(8);
    tokio::spawn(async move {
        let (mut skipped, mut number) = (0, 0);
        loop {
            let item = if skipped > 0 { MediaItem::Skipped { fragments: skipped } } else { fragment(number) };
            match to.try_send(item) {
                Ok(()) if skipped > 0 => skipped = 0,
                Ok(()) => number += 1,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    skipped += 1;
                    number += 1;
                    tokio::task::yield_now().await;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => break,
            }
        }
        left.notify_one();
    });
    Live { items }
}

fn endless() -> Live {
    let (to, items) = mpsc::channel(8);
    tokio::spawn(async move {
        let mut number = 0;
        while to.send(fragment(number)).await.is_ok() {
            number += 1;
        }
    });
    Live { items }
}

/// The ports under test, and what stands behind them.
struct House {
    intake: Arc<dyn Intake>,
    media: Arc<dyn Media>,
    writer: Arc<Writer>,
    cameras: Arc<Cameras>,
    server: Option<Server>,
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn parts() -> (Arc<Writer>, Arc<Cameras>) {
    (Arc::default(), Arc::new(Cameras { left: Arc::default(), news: Mutex::default() }))
}

fn options(address: SocketAddr) -> PeerOptions {
    PeerOptions { url: format!("http://{address}"), token: Token::new(TOKEN).unwrap(), ca_file: None }
}

fn server_options() -> ServerOptions {
    ServerOptions { token: Token::new(TOKEN).unwrap(), tls: None }
}

async fn start(at: &str, writer: &Arc<Writer>, cameras: &Arc<Cameras>, options: ServerOptions) -> Server {
    let listener = TcpListener::bind(at).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let node = Node { intake: writer.clone(), media: Some(cameras.clone()), more: axum::Router::new() };
    let serving = serve(listener, options, node, stop.clone());
    let task = tokio::spawn(async move { serving.await.unwrap() });
    Server { address, stop, task }
}

async fn nodes() -> House {
    let (writer, cameras) = parts();
    let server = start("127.0.0.1:0", &writer, &cameras, server_options()).await;
    let peer = Arc::new(Peer::new(writer.site(), &options(server.address)).unwrap());
    House { intake: peer.clone(), media: peer, writer, cameras, server: Some(server) }
}

fn one_process() -> House {
    let (writer, cameras) = parts();
    House { intake: writer.clone(), media: cameras.clone(), writer, cameras, server: None }
}

macro_rules! on_both {
    ($($name:ident)*) => {$(
        mod $name {
            #[tokio::test]
            async fn in_one_process() {
                super::suite::$name(super::one_process()).await;
            }
            #[tokio::test]
            async fn between_nodes() {
                super::suite::$name(super::nodes().await).await;
            }
        }
    )*};
}

on_both! { inputs_arrive_whole outcomes_come_back an_input_outlives_its_caller pictures_come_as_they_are
a_slow_viewer_is_told viewers_that_do_not_look_hold_nobody_up a_viewer_that_leaves_is_noticed changes_are_told }

mod suite {
    use super::*;

    pub(super) async fn inputs_arrive_whole(house: House) {
        assert_eq!(house.intake.site(), SiteId::new("maojiawan"));
        let sent = note("hello");
        assert_eq!(house.intake.submit(sent.clone()).await, Ok(done()));
        let keyless = Submission::keyless(Input::Tick);
        house.intake.submit(keyless.clone()).await.unwrap();
        let asked = house.writer.asked.lock().unwrap();
        for (asked, sent) in asked.iter().zip([sent, keyless]) {
            assert_eq!((&asked.key, &asked.request, &asked.settles), (&sent.key, &sent.request, &sent.settles));
            assert_eq!(asked.input, sent.input);
        }
        assert_eq!(asked.len(), 2);
    }

    pub(super) async fn outcomes_come_back(house: House) {
        for (text, error) in [
            ("field", Refusal::field(Code::NoPlace, "place.building").into()),
            ("refused", Refusal::new(Code::Forbidden).into()),
            ("reused", IntakeError::KeyReused),
            ("long", IntakeError::TooLong("scope")),
            ("busy", IntakeError::Busy),
            ("disk", IntakeError::Unavailable("disk full".to_owned())),
            ("torn", IntakeError::Unknown("the commit broke off".to_owned())),
        ] {
            assert_eq!(house.intake.submit(note(text)).await, Err(error));
        }
    }

    pub(super) async fn an_input_outlives_its_caller(house: House) {
        if house.server.is_none() {
            // Within the process that is the writer's own promise, and tested there.
            return;
        }
        let intake = house.intake.clone();
        let caller = tokio::spawn(async move { intake.submit(note("wait")).await });
        while house.writer.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        house.writer.go.notify_one();
        while house.writer.taken.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn pictures_come_as_they_are(house: House) {
        let media = &house.media;
        let camera = CameraId::new("c1/北");
        let mut live = media.subscribe(&camera, Quality::Main).await.unwrap();
        for expected in [init(), fragment(0), MediaItem::State(status())] {
            let came = live.items.recv().await.unwrap();
            assert_eq!(format!("{came:?}"), format!("{expected:?}"));
        }
        let mut sub = media.subscribe(&camera, Quality::Sub).await.unwrap();
        assert!(matches!(sub.items.recv().await.unwrap(), MediaItem::Skipped { fragments: 4 }));
        let still = media.still(&camera).await.unwrap();
        assert_eq!((still.camera, still.captured, still.jpeg.len()), (camera.clone(), Timestamp(4), 300_000));
        let sheet = media.sheet().await.unwrap();
        assert_eq!((sheet.version, sheet.tile, sheet.columns, sheet.tiles.len()), (2, (160, 90), 16, 2));
        assert_eq!(sheet.tiles[0], (camera.clone(), Some(Timestamp(0))));
        let clip = media.clip(&camera, Timestamp(-1), Timestamp(60)).await.unwrap();
        assert_eq!(
            (clip.camera, clip.from, clip.to, clip.mp4.len()),
            (camera, Timestamp(-1), Timestamp(60), 3_000_000)
        );
        let unknown = CameraId::new("nowhere");
        assert_eq!(media.subscribe(&unknown, Quality::Sub).await.unwrap_err(), MediaError::UnknownCamera);
        assert_eq!(media.still(&unknown).await.unwrap_err(), MediaError::UnknownCamera);
        assert_eq!(media.still(&CameraId::new("dark")).await.unwrap_err(), MediaError::NoPicture);
        let busy = media.subscribe(&CameraId::new("busy"), Quality::Sub).await.unwrap_err();
        assert!(matches!(busy, MediaError::Busy(_)));
        let all = media.cameras().await;
        assert_eq!(all[0], status());
        assert_eq!((all[1].size, all[1].fault, &all[1].codec), (None, None, &None));
    }

    pub(super) async fn a_slow_viewer_is_told(house: House) {
        let mut live = house.media.subscribe(&CameraId::new("flood"), Quality::Sub).await.unwrap();
        let (mut skipped, mut expected) = (0, None);
        // Nothing is missing but what is said to be.
        while skipped == 0 {
            match live.items.recv().await.unwrap() {
                MediaItem::Fragment { pts, .. } => {
                    assert_eq!(*expected.get_or_insert(pts), pts);
                    expected = Some(pts + 1);
                }
                MediaItem::Skipped { fragments } => {
                    skipped = fragments;
                    expected = expected.map(|next| next + i64::from(fragments));
                }
                other => panic!("{other:?}"),
            }
        }
        let MediaItem::Fragment { pts, .. } = live.items.recv().await.unwrap() else { panic!("no fragment") };
        assert_eq!(Some(pts), expected);
    }

    pub(super) async fn viewers_that_do_not_look_hold_nobody_up(house: House) {
        let watch = async || house.media.subscribe(&CameraId::new("endless"), Quality::Sub).await.unwrap();
        let mut asleep = Vec::new();
        for _ in 0..100 {
            asleep.push(watch().await);
        }
        let mut awake = watch().await;
        // More than a stream holds: by then the others are as full as they get.
        for number in 0..200 {
            let MediaItem::Fragment { pts, .. } = awake.items.recv().await.unwrap() else { panic!("no fragment") };
            assert_eq!(pts, number);
        }
        assert!(watch().await.items.recv().await.is_some(), "nor whoever comes");
    }

    pub(super) async fn a_viewer_that_leaves_is_noticed(house: House) {
        for camera in ["c1/北", "flood"] {
            let mut live = house.media.subscribe(&CameraId::new(camera), Quality::Sub).await.unwrap();
            live.items.recv().await.unwrap();
            drop(live);
            house.cameras.left.notified().await;
        }
    }

    pub(super) async fn changes_are_told(house: House) {
        let mut changes = house.media.changes().await;
        let news = loop {
            if let Some(news) = house.cameras.news.lock().unwrap().take() {
                break news;
            }
            tokio::task::yield_now().await;
        };
        news.send(status()).await.unwrap();
        assert_eq!(changes.recv().await, Some(status()));
    }
}

#[tokio::test]
async fn a_link_that_was_cut_is_joined_again() {
    let mut house = nodes().await;
    let camera = CameraId::new("c1/北");
    let mut live = house.media.subscribe(&camera, Quality::Main).await.unwrap();
    assert!(live.items.recv().await.is_some());
    let mut changes = house.media.changes().await;
    let server = house.server.take().unwrap();
    server.stop.cancel();
    server.task.await.unwrap();
    // What came is still read; then it is over, and says so.
    while live.items.recv().await.is_some() {}
    let refused = house.intake.submit(note("hello")).await.unwrap_err();
    assert!(
        matches!(&refused, IntakeError::Unavailable(why) if why.starts_with("核心节点连接不上") && why.contains("cannot be reached")),
        "{refused}"
    );
    assert_eq!(house.media.still(&camera).await.unwrap_err(), MediaError::Unavailable);
    assert_eq!(house.media.cameras().await, Vec::new());
    *house.cameras.news.lock().unwrap() = None;

    let again = start(&server.address.to_string(), &house.writer, &house.cameras, server_options()).await;
    assert_eq!(house.intake.submit(note("hello")).await, Ok(done()));
    assert!(house.media.subscribe(&camera, Quality::Main).await.is_ok());
    let news = loop {
        if let Some(news) = house.cameras.news.lock().unwrap().take() {
            break news;
        }
        tokio::task::yield_now().await;
    };
    news.send(status()).await.unwrap();
    assert_eq!(changes.recv().await, Some(status()), "whoever listens did not have to ask again");
    again.stop.cancel();
}

#[tokio::test]
async fn nobody_without_the_token_gets_in() {
    let house = nodes().await;
    let address = house.server.as_ref().unwrap().address;
    let token = Token::new("another-token-as-long").unwrap();
    let stranger = Peer::new(house.intake.site(), &PeerOptions { token, ..options(address) }).unwrap();
    let refused = stranger.submit(note("hello")).await.unwrap_err();
    assert!(matches!(&refused, IntakeError::Unavailable(why) if why.contains("token")), "{refused}");
    assert_eq!(stranger.sheet().await.unwrap_err(), MediaError::Unavailable);
    assert!(house.writer.asked.lock().unwrap().is_empty());
    assert!(Token::new("short").is_err() && Token::new("with blanks is none at all").is_err());
    for url in ["ftp://127.0.0.1", "127.0.0.1:80", "http://user:secret@127.0.0.1:80"] {
        let error = Peer::new(SiteId::new("s"), &PeerOptions { url: url.to_owned(), ..options(address) }).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn an_input_that_is_too_large_is_refused() {
    let house = nodes().await;
    let mut sent = note("hello");
    sent.request = vec![0; 9 << 20];
    assert_eq!(house.intake.submit(sent).await, Err(IntakeError::TooLong("the input")));
    assert_eq!(house.intake.submit(note("hello")).await, Ok(done()));
}

#[tokio::test]
async fn over_tls_only_the_own_authority_is_trusted() {
    let folder = std::env::temp_dir().join(format!("link-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let made = |name| rcgen::generate_simple_self_signed(vec![String::from(name)]).unwrap();
    let (own, other) = (made("127.0.0.1"), made("127.0.0.1"));
    let tls = (file("own.pem", own.cert.pem()), file("own.key", own.signing_key.serialize_pem()));
    let ca_file = Some(tls.0.clone());
    let (writer, cameras) = parts();
    let server = start("127.0.0.1:0", &writer, &cameras, ServerOptions { tls: Some(tls), ..server_options() }).await;
    let url = format!("https://{}", server.address);
    let peer =
        |ca_file| Peer::new(writer.site(), &PeerOptions { url: url.clone(), ca_file, ..options(server.address) });
    assert_eq!(peer(ca_file).unwrap().submit(note("hello")).await, Ok(done()));
    let wrong = peer(Some(file("other.pem", other.cert.pem()))).unwrap();
    assert!(matches!(wrong.submit(note("hello")).await, Err(IntakeError::Unavailable(_))));
    let plain = Peer::new(writer.site(), &options(server.address)).unwrap();
    assert!(matches!(plain.submit(note("hello")).await, Err(IntakeError::Unknown(_))));
    let error = peer(Some(file("empty.pem", String::new()))).unwrap_err();
    assert!(error.to_string().contains("empty.pem: 没有可用的证书或私钥 no usable"), "{error}");
    let absent = (folder.join("absent.pem"), folder.join("own.key"));
    let error = ServerOptions { tls: Some(absent), ..server_options() }.check().unwrap_err();
    assert!(error.to_string().contains("absent.pem: 没有可用的证书或私钥"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
