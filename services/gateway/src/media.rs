//! The media socket: tiles chosen by the client, each with its credit. Pictures never queue: a tile without credit loses
//! whole groups of pictures and goes on at the next key frame, and is told how many fragments it missed.

use std::{collections::BTreeMap, future::poll_fn, task::Poll, time::Duration};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{access::sees_cameras, ids::CameraId};
use futures::{FutureExt, SinkExt};
use link::media::{CameraStatus, Live, MediaError, MediaItem, PictureFault, Quality};
use prost::Message as _;
use runtime::telemetry::names;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wire::media::{self as pb, Kind, client_message};

use crate::{
    config::{SEND_PATIENCE, SOCKET_MESSAGE, SOCKET_READ},
    desk::Desk,
    problem::Problem,
    session::{Caller, Ended},
};

const PROTOCOL: &str = "maojiawan.media.v1";
/// Tiles of one socket.
const TILES: usize = 64;
/// Most credit of a tile, fragments.
const CREDIT: u32 = 256;
/// Messages of one write.
const COALESCE: usize = 32;
/// How often a new sheet is looked for.
const SHEET: Duration = Duration::from_millis(500);
/// A session that ended elsewhere is noticed within this time.
const RECHECK: Duration = Duration::from_secs(30);

/// Opens the media socket.
#[utoipa::path(
    get,
    path = "/api/v1/media",
    tag = "streams",
    description = "WebSocket, subprotocol `maojiawan.media.v1`; binary messages of `proto/media.proto`.",
    responses((status = 101, description = "Switches to WebSocket"), Problem)
)]
pub(crate) async fn upgrade(
    State(desk): State<Desk>,
    caller: Caller,
    ws: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !sees_cameras(&caller.audience) {
        return Problem::forbidden().into_response();
    }
    let Ok(ws) = ws else { return Problem::bad_upgrade().into_response() };
    let ws = ws.protocols([PROTOCOL]);
    if ws.selected_protocol().is_none() {
        return Problem::bad_upgrade().into_response();
    }
    if let Err(problem) = desk.media() {
        return problem.into_response();
    }
    let Ok(place) = desk.media_places.clone().try_acquire_owned() else {
        return Problem::busy().retry_after(5).into_response();
    };
    let alive = desk.sockets.token();
    ws.read_buffer_size(SOCKET_READ).max_message_size(SOCKET_MESSAGE).max_frame_size(SOCKET_MESSAGE).on_upgrade(
        move |socket| async move {
            let gauge = metrics::gauge!(names::MEDIA_CLIENTS);
            gauge.increment(1.0);
            let mut client = Client { desk, caller, socket, tiles: BTreeMap::new(), turn: 0, sheet: None };
            let close = client.serve().await.err().unwrap_or(None);
            if let Some((code, reason)) = close {
                let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
                let _ = timeout(SEND_PATIENCE, client.socket.send(frame)).await;
            }
            gauge.decrement(1.0);
            drop((place, alive));
        },
    )
}

/// How a socket is closed; `None` when nobody is there to be told.
type Close = Option<(u16, &'static str)>;

const PROTOCOL_ERROR: Close = Some((1002, "protocol"));
const SESSION: Close = Some((4401, "session"));

/// One tile.
struct Tile {
    live: Live,
    keys_only: bool,
    gate: Gate,
}

/// Which fragments of a tile go out.
#[derive(Debug, Default)]
struct Gate {
    credit: u32,
    /// Something was left out: only a key frame can follow.
    broken: bool,
    skipped: u32,
}

impl Gate {
    /// Whether a fragment goes out, and how many before it did not.
    fn pass(&mut self, key: bool, keys_only: bool) -> Option<u32> {
        if keys_only && !key {
            return None;
        }
        if self.credit == 0 || (self.broken && !key) {
            self.broken = true;
            self.skipped = self.skipped.saturating_add(1);
            return None;
        }
        self.credit -= 1;
        self.broken = false;
        Some(std::mem::take(&mut self.skipped))
    }

    fn grant(&mut self, fragments: u32) {
        self.credit = self.credit.saturating_add(fragments).min(CREDIT);
    }
}

struct Client {
    desk: Desk,
    caller: Caller,
    socket: WebSocket,
    tiles: BTreeMap<u32, Tile>,
    /// The tile that was served last; the next one comes first, so that none starves.
    turn: u32,
    /// Version of the sheet sent last, while sheets are watched.
    sheet: Option<u64>,
}

impl Client {
    async fn serve(&mut self) -> Result<(), Close> {
        let stop = self.desk.stop.clone();
        let mut endings = self.desk.sessions.endings();
        let mut sheet = interval(SHEET);
        sheet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recheck = interval(RECHECK);
        recheck.reset();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Some((1001, "draining"))),
                (stream, item) = next(&mut self.tiles, self.turn) => self.items(stream, item).await?,
                _ = sheet.tick(), if self.sheet.is_some() => self.push_sheet().await?,
                _ = recheck.tick() => self.recheck().await?,
                ended = endings.recv() => match ended {
                    Ok(Ended::Token(token)) if token == self.caller.token => return Err(SESSION),
                    Ok(Ended::Token(_)) => {}
                    Ok(Ended::Account(account)) if account != self.caller.account.id => {}
                    Ok(Ended::Account(_)) | Err(_) => self.recheck().await?,
                },
                message = self.socket.recv() => self.message(message).await?,
            }
        }
    }

    async fn recheck(&mut self) -> Result<(), Close> {
        match self.desk.sessions.check(&self.caller.token).await {
            Ok(caller) if sees_cameras(&caller.audience) => Ok(()),
            Err(problem) if problem.status().is_server_error() => Ok(()),
            _ => Err(SESSION),
        }
    }

    /// Sends an item and those that are ready behind it.
    async fn items(&mut self, stream: u32, item: Option<MediaItem>) -> Result<(), Close> {
        let mut messages = Vec::new();
        let (mut stream, mut item) = (stream, item);
        loop {
            self.turn = stream;
            self.take(stream, item, &mut messages);
            if messages.len() >= COALESCE {
                break;
            }
            match next(&mut self.tiles, self.turn).now_or_never() {
                Some(more) => (stream, item) = more,
                None => break,
            }
        }
        self.send(messages).await
    }

    fn take(&mut self, stream: u32, item: Option<MediaItem>, out: &mut Vec<pb::ServerMessage>) {
        let Some(tile) = self.tiles.get_mut(&stream) else { return };
        match item {
            Some(MediaItem::Fragment { generation, key, pts, captured, bytes }) => {
                let Some(skipped) = tile.gate.pass(key, tile.keys_only) else { return };
                out.extend((skipped > 0).then(|| skip(stream, skipped)));
                out.push(pb::ServerMessage {
                    generation,
                    key,
                    pts,
                    capture_time: captured.0,
                    payload: bytes.into(),
                    ..header(stream, Kind::Fragment)
                });
            }
            Some(MediaItem::Init { generation, codec, size, bytes, fallback }) => {
                tile.gate.broken = true;
                out.push(pb::ServerMessage {
                    generation,
                    codec,
                    width: size.0.into(),
                    height: size.1.into(),
                    fallback,
                    payload: bytes.into(),
                    ..header(stream, Kind::Init)
                });
            }
            Some(MediaItem::State(status)) => out.push(state(stream, &status)),
            Some(MediaItem::Skipped { fragments }) => {
                tile.gate.broken = true;
                tile.gate.skipped = tile.gate.skipped.saturating_add(fragments);
            }
            None => {
                self.tiles.remove(&stream);
                out.push(error(stream, "unavailable"));
            }
        }
    }

    async fn message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Close> {
        let bytes = match message {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Text(_))) => return Err(PROTOCOL_ERROR),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        };
        let message = pb::ClientMessage::decode(bytes).map_err(|_| PROTOCOL_ERROR)?;
        match message.kind {
            Some(client_message::Kind::Subscribe(wanted)) => self.subscribe(wanted).await,
            Some(client_message::Kind::Unsubscribe(pb::Unsubscribe { stream })) => {
                self.tiles.remove(&stream);
                Ok(())
            }
            Some(client_message::Kind::Credit(pb::Credit { stream, fragments })) => {
                // Credit for a tile that just ended is no mistake.
                if let Some(tile) = self.tiles.get_mut(&stream) {
                    tile.gate.grant(fragments);
                }
                Ok(())
            }
            Some(client_message::Kind::Sheet(pb::WatchSheet { on })) => {
                self.sheet = on.then_some(0);
                Ok(())
            }
            None => Err(PROTOCOL_ERROR),
        }
    }

    async fn subscribe(&mut self, wanted: pb::Subscribe) -> Result<(), Close> {
        let pb::Subscribe { stream, camera, main, keys_only, credit } = wanted;
        self.tiles.remove(&stream);
        if self.tiles.len() >= TILES {
            return self.send(vec![error(stream, "busy")]).await;
        }
        let quality = if main { Quality::Main } else { Quality::Sub };
        let opened = match self.desk.media() {
            Ok(media) => media.subscribe(&CameraId::new(&camera), quality).await,
            Err(_) => Err(MediaError::Unavailable),
        };
        match opened {
            Ok(live) => {
                let gate = Gate { credit: credit.min(CREDIT), ..Gate::default() };
                self.tiles.insert(stream, Tile { live, keys_only, gate });
                Ok(())
            }
            Err(MediaError::UnknownCamera) => self.send(vec![error(stream, "unknown_camera")]).await,
            Err(MediaError::Busy(_)) => self.send(vec![error(stream, "busy")]).await,
            Err(MediaError::NoPicture | MediaError::Unavailable) => self.send(vec![error(stream, "unavailable")]).await,
        }
    }

    async fn push_sheet(&mut self) -> Result<(), Close> {
        let Ok(media) = self.desk.media() else { return Ok(()) };
        // No sheet yet, or the painter restarts: its own age tells the viewer.
        let Ok(sheet) = media.sheet().await else { return Ok(()) };
        if self.sheet == Some(sheet.version) {
            return Ok(());
        }
        self.sheet = Some(sheet.version);
        let tile = |(camera, captured): &(CameraId, Option<domain::time::Timestamp>)| pb::SheetTile {
            camera: camera.to_string(),
            captured: captured.map_or(0, |t| t.0),
        };
        let message = pb::ServerMessage {
            capture_time: sheet.made.0,
            payload: sheet.jpeg.into(),
            sheet: Some(pb::Sheet {
                version: sheet.version,
                tile_width: sheet.tile.0.into(),
                tile_height: sheet.tile.1.into(),
                columns: sheet.columns.into(),
                tiles: sheet.tiles.iter().map(tile).collect(),
            }),
            ..header(0, Kind::Sheet)
        };
        self.send(vec![message]).await
    }

    async fn send(&mut self, messages: Vec<pb::ServerMessage>) -> Result<(), Close> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.desk.clock.now_ms();
        let all = async {
            for mut message in messages {
                message.server_time = now;
                self.socket.feed(Message::Binary(Bytes::from(message.encode_to_vec()))).await?;
            }
            self.socket.flush().await
        };
        match timeout(SEND_PATIENCE, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }
}

/// The next item of any tile, the one after `turn` first; `None` = the tile ended.
async fn next(tiles: &mut BTreeMap<u32, Tile>, turn: u32) -> (u32, Option<MediaItem>) {
    poll_fn(|cx| {
        let after: Vec<u32> = tiles.keys().copied().filter(|s| *s > turn).collect();
        let before: Vec<u32> = tiles.keys().copied().filter(|s| *s <= turn).collect();
        for stream in after.into_iter().chain(before) {
            let Some(tile) = tiles.get_mut(&stream) else { continue };
            if let Poll::Ready(item) = tile.live.items.poll_recv(cx) {
                return Poll::Ready((stream, item));
            }
        }
        Poll::Pending
    })
    .await
}

fn header(stream: u32, kind: Kind) -> pb::ServerMessage {
    pb::ServerMessage { stream, kind: kind.into(), ..pb::ServerMessage::default() }
}

fn skip(stream: u32, skipped: u32) -> pb::ServerMessage {
    pb::ServerMessage { skipped, ..header(stream, Kind::Skipped) }
}

fn error(stream: u32, code: &str) -> pb::ServerMessage {
    pb::ServerMessage { error: code.to_owned(), ..header(stream, Kind::Error) }
}

fn state(stream: u32, status: &CameraStatus) -> pb::ServerMessage {
    let fault = match status.fault {
        Some(PictureFault::Frozen) => "frozen",
        Some(PictureFault::Black) => "black",
        None => "",
    };
    pb::ServerMessage {
        state: status.state.name().to_owned(),
        fault: fault.to_owned(),
        cause_zh: status.state.cause_zh().to_owned(),
        since: status.fault_since.unwrap_or(status.since).0,
        ..header(stream, Kind::State)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_without_credit_goes_on_at_the_next_key() {
        let mut gate = Gate { credit: 2, ..Gate::default() };
        assert_eq!(gate.pass(true, false), Some(0));
        assert_eq!(gate.pass(false, false), Some(0));
        assert_eq!(gate.pass(false, false), None);
        gate.grant(10);
        assert_eq!(gate.pass(false, false), None);
        assert_eq!(gate.pass(true, false), Some(2));
        assert_eq!(gate.pass(false, false), Some(0));
        assert_eq!(gate.pass(false, true), None);
        assert_eq!(gate.pass(true, true), Some(0));
        gate.grant(u32::MAX);
        assert_eq!(gate.credit, CREDIT);
    }
}
