//! Cameras, their stills, and exhibits made from them.

use std::collections::HashMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    access::sees_cameras,
    ids::{BlobId, CameraId, IncidentId},
    incident::{Exhibit, ExhibitKind},
    input::{Command, ExhibitOf},
    refusal::{Code, Refusal},
    text::Subject,
    time::{Millis, Timestamp},
};
use ledger::{InputKey, NewBlob};
use link::media::{CameraStatus, PictureFault};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    commands::{About, Accepted, permit, submit},
    shapes::Name,
};
use crate::{
    body::{CommandKey, Given, Id, NameId},
    desk::Desk,
    problem::Problem,
    session::Caller,
};

/// A clip shows this long before a moment, and this long after it.
const BEFORE: Millis = Millis::seconds(10);
const AFTER: Millis = Millis::seconds(20);
/// Longest clip and still, bytes.
const MAX_CLIP: u64 = 256 << 20;

/// A camera as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Camera {
    /// Id.
    id: String,
    /// Number on screens.
    number: u16,
    /// Name.
    name: Name,
    /// Grid.
    grid: String,
    /// Building.
    building: Option<String>,
    /// Metres east and south of the north-west corner.
    at: [f64; 2],
    /// Degrees clockwise from north.
    heading: f64,
    /// `online`, `stalled` …; `unknown` before the first try.
    state: String,
    /// What to check, Chinese.
    cause_zh: Option<String>,
    /// `frozen` or `black`.
    fault: Option<String>,
    /// Since when the state or fault stands, ms since 1970.
    since: Option<i64>,
    /// Arrival of the newest frame.
    last_frame: Option<i64>,
    /// RFC 6381, of the small stream.
    codec: Option<String>,
    /// Its width and height, pixels.
    size: Option<[u16; 2]>,
    /// Its frames per second.
    fps: Option<f32>,
    /// Its bits per second.
    bitrate: Option<u32>,
}

fn may(caller: &Caller) -> Result<(), Problem> {
    if sees_cameras(&caller.audience) { Ok(()) } else { Err(Code::Forbidden.into()) }
}

const fn fault(fault: PictureFault) -> &'static str {
    match fault {
        PictureFault::Frozen => "frozen",
        PictureFault::Black => "black",
    }
}

/// All cameras with their state; for the centre.
#[utoipa::path(
    get, path = "/api/v1/cameras", tag = "cameras",
    responses((status = 200, body = [Camera]), Problem)
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<Camera>>, Problem> {
    may(&caller)?;
    let site = desk.site()?;
    let live = match &desk.media {
        Some(media) => media.cameras().await,
        None => Vec::new(),
    };
    let live: HashMap<&CameraId, &CameraStatus> = live.iter().map(|c| (&c.camera, c)).collect();
    let seen = desk.mirror.read();
    let camera = |c: &domain::site::Camera| {
        let (status, facts) = (live.get(&c.id), seen.state.cameras.get(&c.id));
        let state = status.map(|s| s.state.name().to_owned()).or(facts.map(|f| f.state.clone()));
        let fault = match status {
            Some(s) => s.fault.map(|f| fault(f).to_owned()),
            None => facts.and_then(|f| f.fault.clone()),
        };
        Camera {
            id: c.id.to_string(),
            number: c.number,
            name: (&c.name).into(),
            grid: c.grid.to_string(),
            building: c.building.as_ref().map(ToString::to_string),
            at: [c.at.x, c.at.y],
            heading: c.heading,
            state: state.unwrap_or_else(|| "unknown".to_owned()),
            cause_zh: status.map(|s| s.state.cause_zh().to_owned()),
            fault,
            since: status.map(|s| s.fault_since.unwrap_or(s.since).0).or(facts.map(|f| f.since.0)),
            last_frame: status.and_then(|s| s.last_frame).map(|t| t.0),
            codec: status.and_then(|s| s.codec.clone()),
            size: status.and_then(|s| s.size).map(Into::into),
            fps: status.map(|s| s.fps),
            bitrate: status.map(|s| s.bitrate),
        }
    };
    Ok(Json(site.cameras.iter().map(camera).collect()))
}

/// The newest still of a camera; `X-Captured` tells its time, ms since 1970.
#[utoipa::path(
    get, path = "/api/v1/cameras/{id}/still", tag = "cameras", params(("id" = String, Path, description = "Camera")),
    responses(
        (status = 200, content_type = "image/jpeg", body = Vec<u8>),
        Problem
    )
)]
pub(crate) async fn still(State(desk): State<Desk>, caller: Caller, NameId(id): NameId) -> Result<Response, Problem> {
    may(&caller)?;
    let camera: CameraId = id.into();
    if desk.site()?.camera(&camera).is_none() {
        return Err(Refusal::new(Code::NoDevice).into());
    }
    let still = desk.media()?.still(&camera).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (HeaderName::from_static("x-captured"), HeaderValue::from(still.captured.0)),
    ];
    Ok((headers, still.jpeg).into_response())
}

/// What to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExhibitKind)]
pub(crate) enum Kind {
    /// The newest still.
    Still,
    /// From 10 s before to 20 s after a moment.
    Clip,
}

/// A still or clip of a camera to keep with an incident.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExhibit {
    /// Camera.
    camera: String,
    /// What.
    kind: Kind,
    /// The moment of a clip, ms since 1970; now without it. The answer waits until 20 s after it.
    #[serde(default)]
    at: Option<i64>,
}

/// Keeps a still or a clip with an incident.
#[utoipa::path(
    post, path = "/api/v1/incidents/{id}/exhibits", tag = "cameras", request_body = NewExhibit,
    params(
        ("id" = u64, Path, description = "Number of the incident"),
        ("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters"),
    ),
    responses((status = 200, body = Accepted), Problem)
)]
pub(crate) async fn exhibit(
    State(desk): State<Desk>,
    caller: Caller,
    Id(id): Id,
    key: CommandKey,
    given: Given<NewExhibit>,
) -> Result<Json<Accepted>, Problem> {
    may(&caller)?;
    let incident = IncidentId(id);
    let camera: CameraId = given.value.camera.as_str().into();
    if desk.site()?.camera(&camera).is_none() {
        return Err(Refusal::field(Code::NoDevice, "camera").into());
    }
    let empty = Exhibit {
        blob: BlobId::new(""),
        kind: ExhibitKind::Still,
        camera: Some(camera.clone()),
        from: Timestamp(0),
        to: Timestamp(0),
    };
    let command = |exhibit| Command::AddExhibit { of: ExhibitOf::Incident(incident), exhibit };
    permit(&desk, &caller, &command(empty.clone()))?;
    let known = desk.store.keys(&[InputKey::new(caller.scope(), key.0.clone())]).await?;
    // A known key makes nothing anew: the writer tells what it led to, or that the request was another.
    let exhibit = if known.is_empty() { make(&desk, incident, &camera, &given.value).await? } else { empty };
    submit(&desk, &caller, key, given.request, incident.mode(&desk), command(exhibit)).await
}

async fn make(desk: &Desk, incident: IncidentId, camera: &CameraId, what: &NewExhibit) -> Result<Exhibit, Problem> {
    if !desk.mirror.read().state.incidents.contains_key(&incident) {
        return Err(Code::NoIncident.into());
    }
    let (kind, content_type, from, to, bytes) = match what.kind {
        Kind::Still => {
            let still = desk.media()?.still(camera).await?;
            (ExhibitKind::Still, "image/jpeg", still.captured, still.captured, still.jpeg)
        }
        Kind::Clip => {
            let now = desk.clock.now_ms();
            // No further ahead than the answer may wait, and nothing before the epoch.
            let at = Timestamp(what.at.unwrap_or(now).clamp(BEFORE.0, now));
            let from = Timestamp(at.0 - BEFORE.0);
            let clip = desk.media()?.clip(camera, from, at + AFTER).await?;
            (ExhibitKind::Clip, "video/mp4", clip.from, clip.to, clip.mp4)
        }
    };
    let blob = keep(desk, Subject::Incident(incident), content_type, MAX_CLIP, bytes).await?;
    Ok(Exhibit { blob, kind, camera: Some(camera.clone()), from, to })
}

/// Seals bytes into the blob store.
pub(crate) async fn keep(
    desk: &Desk,
    subject: Subject,
    content_type: &str,
    max_bytes: u64,
    bytes: Bytes,
) -> Result<BlobId, Problem> {
    let blob = NewBlob {
        subject: subject.to_string(),
        content_type: content_type.to_owned(),
        max_bytes,
        at_ms: desk.clock.now_ms(),
    };
    let info = desk.store.put_blob(blob, &mut &*bytes).await?;
    Ok(BlobId::new(info.id.as_str()))
}
