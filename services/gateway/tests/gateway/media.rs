//! The media socket, over a port whose pictures the test hands out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{ids::CameraId, time::Timestamp};
use futures::{SinkExt, StreamExt};
use link::media::{
    CameraState, CameraStatus, Clip, Live, Media, MediaError, MediaItem, PictureFault, Quality, Sheet, Still,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use wire::media::{self as pb, Kind, client_message};

use crate::house::{House, Plan, Ws, socket};

/// Pictures of cameras `c001` and `c002`.
pub(crate) struct Pictures(Mutex<HashMap<CameraId, Vec<mpsc::Sender<MediaItem>>>>);

impl Pictures {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn sender(&self, camera: &str) -> mpsc::Sender<MediaItem> {
        self.0.lock().unwrap()[&CameraId::new(camera)].last().unwrap().clone()
    }
}

const CAPTURED: Timestamp = Timestamp(1_799_999_999_000);

#[async_trait]
impl Media for Pictures {
    async fn subscribe(&self, camera: &CameraId, _: Quality) -> Result<Live, MediaError> {
        if !["c001", "c002"].contains(&camera.as_str()) {
            return Err(MediaError::UnknownCamera);
        }
        let (sender, items) = mpsc::channel(64);
        let init = MediaItem::Init {
            generation: 1,
            codec: "avc1.42c01e".to_owned(),
            size: (640, 360),
            bytes: Bytes::from_static(b"moov"),
            fallback: false,
        };
        sender.try_send(init).unwrap();
        self.0.lock().unwrap().entry(camera.clone()).or_default().push(sender);
        Ok(Live { items })
    }
    async fn still(&self, camera: &CameraId) -> Result<Still, MediaError> {
        Ok(Still { camera: camera.clone(), captured: CAPTURED, jpeg: Bytes::from_static(b"jpeg") })
    }
    async fn sheet(&self) -> Result<Sheet, MediaError> {
        let tiles = vec![(CameraId::new("c001"), Some(CAPTURED)), (CameraId::new("c002"), None)];
        Ok(Sheet { version: 7, made: CAPTURED, tile: (160, 90), columns: 2, tiles, jpeg: Bytes::from_static(b"sheet") })
    }
    async fn clip(&self, camera: &CameraId, from: Timestamp, to: Timestamp) -> Result<Clip, MediaError> {
        let codec = "avc1.42c01e".to_owned();
        Ok(Clip { camera: camera.clone(), from, to, codec, mp4: Bytes::from_static(b"mp4") })
    }
    async fn cameras(&self) -> Vec<CameraStatus> {
        vec![status(CameraState::Online, None)]
    }
    async fn changes(&self) -> mpsc::Receiver<CameraStatus> {
        mpsc::channel(1).1
    }
}

fn status(state: CameraState, fault: Option<PictureFault>) -> CameraStatus {
    CameraStatus {
        camera: "c001".into(),
        state,
        since: Timestamp(5),
        fault,
        fault_since: fault.map(|_| Timestamp(9)),
        last_frame: Some(CAPTURED),
        codec: None,
        size: Some((640, 360)),
        fps: 12.5,
        bitrate: 300_000,
    }
}

fn fragment(key: bool, pts: i64) -> MediaItem {
    let bytes = Bytes::from(pts.to_string());
    MediaItem::Fragment { generation: 1, key, pts, captured: CAPTURED, bytes }
}

async fn open(house: &House, account: &str) -> Result<Ws, u16> {
    let (session, origin) = (house.log_in(account).await, format!("http://{}", house.address));
    socket(house, "/api/v1/media", &session, "maojiawan.media.v1", Some(&origin), None).await
}

async fn say(ws: &mut Ws, kind: client_message::Kind) {
    ws.send(Message::Binary(pb::ClientMessage { kind: Some(kind) }.encode_to_vec().into())).await.unwrap();
}

async fn hear(ws: &mut Ws) -> pb::ServerMessage {
    loop {
        if let Message::Binary(bytes) = ws.next().await.unwrap().unwrap() {
            return pb::ServerMessage::decode(bytes).unwrap();
        }
    }
}

fn subscribe(stream: u32, camera: &str, credit: u32) -> client_message::Kind {
    let camera = camera.to_owned();
    client_message::Kind::Subscribe(pb::Subscribe { stream, camera, main: false, keys_only: false, credit })
}

#[tokio::test]
async fn tiles_have_credit_and_go_on_at_key_frames() {
    let pictures = Pictures::new();
    let house = House::with(Plan { media: Some(pictures.clone()), ..Plan::default() }).await;
    let mut ws = open(&house, "wall").await.unwrap();
    say(&mut ws, subscribe(3, "c001", 2)).await;
    let init = hear(&mut ws).await;
    assert_eq!((init.kind(), init.stream, &init.payload[..], init.width), (Kind::Init, 3, &b"moov"[..], 640));
    let sender = pictures.sender("c001");
    for (key, pts) in [(true, 0), (false, 1), (false, 2), (false, 3)] {
        sender.send(fragment(key, pts)).await.unwrap();
    }
    for pts in [0, 1] {
        let got = hear(&mut ws).await;
        assert_eq!((got.kind(), got.pts, got.key, got.capture_time), (Kind::Fragment, pts, pts == 0, CAPTURED.0));
        assert_eq!(got.payload, pts.to_string().into_bytes());
    }
    // 2 and 3 went while there was no credit; a state comes through all the same.
    sender.send(MediaItem::State(status(CameraState::Online, Some(PictureFault::Frozen)))).await.unwrap();
    let got = hear(&mut ws).await;
    assert_eq!((got.kind(), got.state.as_str(), got.fault.as_str(), got.since), (Kind::State, "online", "frozen", 9));
    say(&mut ws, client_message::Kind::Credit(pb::Credit { stream: 3, fragments: 9 })).await;
    // The answer to an unknown camera shows that the credit was read before.
    say(&mut ws, subscribe(9, "ghost", 1)).await;
    let got = hear(&mut ws).await;
    assert_eq!((got.kind(), got.stream, got.error.as_str()), (Kind::Error, 9, "unknown_camera"));
    for (key, pts) in [(false, 4), (true, 5), (false, 6)] {
        sender.send(fragment(key, pts)).await.unwrap();
    }
    let got = hear(&mut ws).await;
    assert_eq!((got.kind(), got.skipped), (Kind::Skipped, 3));
    assert_eq!((hear(&mut ws).await.pts, hear(&mut ws).await.pts), (5, 6));
    // The camera's role ends: the tile is told.
    drop(sender);
    pictures.0.lock().unwrap().clear();
    assert_eq!(hear(&mut ws).await.error, "unavailable");
}

#[tokio::test]
async fn a_socket_has_sixty_four_tiles_and_a_sheet() {
    let house = House::with(Plan { media: Some(Pictures::new()), ..Plan::default() }).await;
    assert_eq!(open(&house, "fire1").await.err(), Some(403));
    let mut ws = open(&house, "duty").await.unwrap();
    for stream in 1..=64 {
        say(&mut ws, subscribe(stream, "c002", 1)).await;
        assert_eq!(hear(&mut ws).await.kind(), Kind::Init);
    }
    say(&mut ws, subscribe(65, "c001", 1)).await;
    assert_eq!(hear(&mut ws).await.error, "busy");
    // The same number again takes the place of the old tile.
    say(&mut ws, subscribe(64, "c001", 1)).await;
    assert_eq!(hear(&mut ws).await.kind(), Kind::Init);
    say(&mut ws, client_message::Kind::Sheet(pb::WatchSheet { on: true })).await;
    let got = hear(&mut ws).await;
    let sheet = got.sheet.clone().unwrap();
    assert_eq!((got.kind(), &got.payload[..], sheet.version, sheet.columns), (Kind::Sheet, &b"sheet"[..], 7, 2));
    assert_eq!(sheet.tiles.iter().map(|t| t.captured).collect::<Vec<_>>(), [CAPTURED.0, 0]);
    let session = house.log_in("duty").await;
    let cameras = house.get("/api/v1/cameras", Some(&session)).await.json();
    assert_eq!((&cameras[0]["state"], &cameras[1]["state"]), (&"online".into(), &"unknown".into()));
}
