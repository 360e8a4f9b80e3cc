//! The ports' values as messages of `link.proto`, and their framing in streams.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use domain::{
    ids::CameraId,
    refusal::{Code, Refusal},
    time::Timestamp,
};
use prost::Message;
use wire::{WireError, link as pb};

use super::MESSAGE;
use crate::{
    intake::{Done, InputKey, IntakeError, Position, Submission},
    media::{CameraState, CameraStatus, Clip, MediaError, MediaItem, PictureFault, Sheet, Still},
};

pub(super) fn put_submission(submission: &Submission) -> pb::Submission {
    let Submission { key, request, input, settles } = submission;
    pb::Submission {
        key: key.clone().map(|InputKey { scope, key }| pb::Key { scope, key }),
        request: request.clone().into(),
        input: Some(wire::input::put(input)),
        settles: settles.clone(),
    }
}

pub(super) fn get_submission(message: pb::Submission) -> Result<Submission, WireError> {
    let pb::Submission { key, request, input, settles } = message;
    Ok(Submission {
        key: key.map(|pb::Key { scope, key }| InputKey { scope, key }),
        request: request.into(),
        input: wire::input::get(input.ok_or(WireError::Missing("Submission.input"))?)?,
        settles,
    })
}

pub(super) fn put_outcome(outcome: &Result<Done, IntakeError>) -> pb::Outcome {
    use pb::outcome::What;
    let failed = |why: pb::Why, detail: &str| What::Failed(pb::Failure { why: why.into(), detail: detail.to_owned() });
    let what = match outcome {
        Ok(Done { position, refs, replayed }) => What::Done(pb::Done {
            log_id: position.log_id,
            seq: position.seq,
            refs: wire::refs::encode(refs).into(),
            replayed: *replayed,
        }),
        Err(IntakeError::Refused(Refusal { code, field })) => {
            What::Refused(pb::Refusal { code: code.as_str().to_owned(), field: field.as_deref().map(str::to_owned) })
        }
        Err(IntakeError::KeyReused) => failed(pb::Why::KeyReused, ""),
        Err(IntakeError::TooLong(what)) => failed(pb::Why::TooLong, what),
        Err(IntakeError::Busy) => failed(pb::Why::Busy, ""),
        Err(IntakeError::Unstorable) => failed(pb::Why::Unstorable, ""),
        Err(IntakeError::Unavailable(why)) => failed(pb::Why::Unavailable, why),
        Err(IntakeError::Unknown(why)) => failed(pb::Why::Unknown, why),
    };
    pb::Outcome { what: Some(what) }
}

/// An outcome that this release cannot read is one that is not known.
pub(super) fn get_outcome(message: pb::Outcome) -> Result<Done, IntakeError> {
    use pb::outcome::What;
    let unknown = || IntakeError::Unknown("the writer's answer cannot be read".to_owned());
    match message.what.ok_or_else(unknown)? {
        What::Done(pb::Done { log_id, seq, refs, replayed }) => {
            let refs = wire::refs::decode(&refs).map_err(|_| unknown())?;
            Ok(Done { position: Position { log_id, seq }, refs, replayed })
        }
        What::Refused(pb::Refusal { code, field }) => {
            let code = Code::parse(&code).ok_or_else(unknown)?;
            Err(Refusal { code, field: field.map(Cow::Owned) }.into())
        }
        What::Failed(pb::Failure { why, detail }) => Err(match pb::Why::try_from(why) {
            Ok(pb::Why::KeyReused) => IntakeError::KeyReused,
            Ok(pb::Why::TooLong) => {
                let parts = ["scope", "key", "request"];
                IntakeError::TooLong(parts.into_iter().find(|part| *part == detail).unwrap_or("the input"))
            }
            Ok(pb::Why::Busy) => IntakeError::Busy,
            Ok(pb::Why::Unstorable) => IntakeError::Unstorable,
            Ok(pb::Why::Unavailable) => IntakeError::Unavailable(detail),
            Ok(pb::Why::Unknown) => IntakeError::Unknown(detail),
            Ok(pb::Why::Unspecified) | Err(_) => unknown(),
        }),
    }
}

const STATES: [CameraState; 11] = [
    CameraState::Unknown,
    CameraState::Connecting,
    CameraState::Online,
    CameraState::Unreachable,
    CameraState::Refused,
    CameraState::Unauthorised,
    CameraState::NotFound,
    CameraState::NoVideo,
    CameraState::UnsupportedCodec,
    CameraState::Stalled,
    CameraState::Protocol,
];

fn fault_name(fault: PictureFault) -> &'static str {
    match fault {
        PictureFault::Frozen => "frozen",
        PictureFault::Black => "black",
    }
}

pub(super) fn put_status(status: &CameraStatus) -> pb::Status {
    let CameraStatus { camera, state, since, fault, fault_since, last_frame, codec, size, fps, bitrate } = status;
    let (width, height) = size.unwrap_or_default();
    pb::Status {
        camera: camera.to_string(),
        state: state.name().to_owned(),
        since: since.0,
        fault: fault.map(|f| fault_name(f).to_owned()),
        fault_since: fault_since.map(|t| t.0),
        last_frame: last_frame.map(|t| t.0),
        codec: codec.clone(),
        width: width.into(),
        height: height.into(),
        fps: *fps,
        bitrate: *bitrate,
    }
}

pub(super) fn get_status(message: pb::Status) -> CameraStatus {
    let size = (pixels(message.width), pixels(message.height));
    CameraStatus {
        camera: CameraId::new(&message.camera),
        state: STATES.into_iter().find(|s| s.name() == message.state).unwrap_or(CameraState::Unknown),
        since: Timestamp(message.since),
        fault: message.fault.and_then(|name| {
            [PictureFault::Frozen, PictureFault::Black].into_iter().find(|fault| fault_name(*fault) == name)
        }),
        fault_since: message.fault_since.map(Timestamp),
        last_frame: message.last_frame.map(Timestamp),
        codec: message.codec,
        size: (size != (0, 0)).then_some(size),
        fps: message.fps,
        bitrate: message.bitrate,
    }
}

fn pixels(sent: u32) -> u16 {
    u16::try_from(sent).unwrap_or(u16::MAX)
}

pub(super) fn put_item(item: MediaItem) -> pb::Item {
    use pb::item::What;
    let what = match item {
        MediaItem::Init { generation, codec, size, bytes, fallback } => {
            What::Init(pb::Init { generation, codec, width: size.0.into(), height: size.1.into(), bytes, fallback })
        }
        MediaItem::Fragment { generation, key, pts, captured, bytes } => {
            What::Fragment(pb::Fragment { generation, key, pts, captured: captured.0, bytes })
        }
        MediaItem::State(status) => What::State(put_status(&status)),
        MediaItem::Skipped { fragments } => What::Skipped(fragments),
    };
    pb::Item { what: Some(what) }
}

/// `None` = an item that this release does not know.
pub(super) fn get_item(message: pb::Item) -> Option<MediaItem> {
    use pb::item::What;
    Some(match message.what? {
        What::Init(pb::Init { generation, codec, width, height, bytes, fallback }) => {
            MediaItem::Init { generation, codec, size: (pixels(width), pixels(height)), bytes, fallback }
        }
        What::Fragment(pb::Fragment { generation, key, pts, captured, bytes }) => {
            MediaItem::Fragment { generation, key, pts, captured: Timestamp(captured), bytes }
        }
        What::State(status) => MediaItem::State(get_status(status)),
        What::Skipped(fragments) => MediaItem::Skipped { fragments },
    })
}

pub(super) fn put_still(still: Still) -> pb::Still {
    pb::Still { camera: still.camera.to_string(), captured: still.captured.0, jpeg: still.jpeg }
}

pub(super) fn get_still(message: pb::Still) -> Still {
    Still { camera: CameraId::new(&message.camera), captured: Timestamp(message.captured), jpeg: message.jpeg }
}

pub(super) fn put_sheet(sheet: Sheet) -> pb::Sheet {
    let tile = |(camera, at): &(CameraId, Option<Timestamp>)| pb::Tile {
        camera: camera.to_string(),
        captured: at.map(|t| t.0),
    };
    pb::Sheet {
        version: sheet.version,
        made: sheet.made.0,
        tile_width: sheet.tile.0.into(),
        tile_height: sheet.tile.1.into(),
        columns: sheet.columns.into(),
        tiles: sheet.tiles.iter().map(tile).collect(),
        jpeg: sheet.jpeg,
    }
}

pub(super) fn get_sheet(message: pb::Sheet) -> Sheet {
    let tile = |tile: pb::Tile| (CameraId::new(&tile.camera), tile.captured.map(Timestamp));
    Sheet {
        version: message.version,
        made: Timestamp(message.made),
        tile: (pixels(message.tile_width), pixels(message.tile_height)),
        columns: pixels(message.columns),
        tiles: message.tiles.into_iter().map(tile).collect(),
        jpeg: message.jpeg,
    }
}

pub(super) fn put_clip(clip: Clip) -> pb::Clip {
    let Clip { camera, from, to, codec, mp4 } = clip;
    pb::Clip { camera: camera.to_string(), from: from.0, to: to.0, codec, mp4 }
}

pub(super) fn get_clip(message: pb::Clip) -> Clip {
    let pb::Clip { camera, from, to, codec, mp4 } = message;
    Clip { camera: CameraId::new(&camera), from: Timestamp(from), to: Timestamp(to), codec, mp4 }
}

/// What a failed media call answers.
pub(super) fn trouble(error: &MediaError) -> (u16, &'static str) {
    match error {
        MediaError::UnknownCamera => (404, "unknown_camera"),
        MediaError::NoPicture => (404, "no_picture"),
        MediaError::Busy(_) => (429, "busy"),
        MediaError::Unavailable => (503, "unavailable"),
    }
}

pub(super) fn media_error(name: &str) -> MediaError {
    match name {
        "unknown_camera" => MediaError::UnknownCamera,
        "no_picture" => MediaError::NoPicture,
        "busy" => MediaError::Busy("calls at the node of the cameras"),
        _ => MediaError::Unavailable,
    }
}

/// Takes the next whole message from the front of what came; `Err` = no stream of ours.
pub(super) fn next<M: Message + Default>(came: &mut BytesMut) -> Result<Option<M>, ()> {
    let mut peek = &came[..];
    let length = match prost::decode_length_delimiter(&mut peek) {
        Ok(length) => length,
        // A varint has ten bytes at most.
        Err(_) if came.len() < 10 => return Ok(None),
        Err(_) => return Err(()),
    };
    if length > MESSAGE {
        return Err(());
    }
    let head = came.len() - peek.len();
    if peek.len() < length {
        came.reserve(length - peek.len());
        return Ok(None);
    }
    came.advance(head);
    let body: Bytes = came.split_to(length).freeze();
    M::decode(body).map(Some).map_err(|_| ())
}
