//! Photos in; photos, stills and clips out.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    access::{Sight, permit, sees_alarm, sees_cameras, sees_exhibit, sees_incident},
    event::Key,
    ids::{BlobId, IncidentId},
    incident::{Exhibit, ExhibitKind},
    input::{Command, ExhibitOf},
    refusal::Code,
    text::Subject,
    time::Timestamp,
};
use ledger::FoundBlob;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cameras::keep;
use crate::{
    body::{Asked, CommandKey, NameId, bounded, is_type},
    config::PHOTO,
    desk::Desk,
    problem::Problem,
    session::Caller,
};

/// What a photo belongs to.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PhotoOf {
    /// Number of an open incident.
    incident: u64,
}

/// A stored photo.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stored {
    /// Its name, for a feedback and for `/api/v1/blobs/{blob}`.
    blob: String,
}

/// Stores a photo (JPEG, at most 6 MiB) for a later feedback. Position and device data are removed.
#[utoipa::path(
    post, path = "/api/v1/photos", tag = "blobs", request_body(content = Vec<u8>, content_type = "image/jpeg"),
    params(PhotoOf, ("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters")),
    responses((status = 200, body = Stored), Problem)
)]
pub(crate) async fn photo(
    State(desk): State<Desk>,
    caller: Caller,
    key: CommandKey,
    Asked(of): Asked<PhotoOf>,
    request: Request,
) -> Result<Json<Stored>, Problem> {
    let incident = IncidentId(of.incident);
    may_add(&desk, &caller, incident)?;
    if !is_type(request.headers(), "image/jpeg") {
        return Err(Problem::bad_type().detail("image/jpeg"));
    }
    let bytes = bounded(request, PHOTO).await?;
    let key = (caller.scope(), key.0);
    let hash = desk.store.request_hash(&[incident.to_string().as_bytes(), b"\n", &bytes].concat());
    if let Some(blob) = desk.photos.known(&key, &hash)? {
        return Ok(Json(Stored { blob: blob.to_string() }));
    }
    let clean = desk.photos.clean(bytes).await?;
    let blob = keep(&desk, Subject::Incident(incident), "image/jpeg", 32 << 20, clean).await?;
    desk.photos.remember(key, hash, blob.clone());
    Ok(Json(Stored { blob: blob.to_string() }))
}

/// The centre may add to any open incident, a unit to those in which it has a task.
fn may_add(desk: &Desk, caller: &Caller, id: IncidentId) -> Result<(), Problem> {
    let seen = desk.mirror.read();
    let incident = seen.state.incidents.get(&id).filter(|i| sees_incident(&caller.audience, i) != Sight::Hidden);
    let incident = incident.ok_or(Problem::from(Code::NoIncident))?;
    let unit = caller.account.unit.as_ref();
    let handles = incident.tasks.iter().any(|t| Some(&t.unit) == unit && !t.state.gone());
    let exhibit =
        Exhibit { blob: BlobId::new(""), kind: ExhibitKind::Photo, camera: None, from: Timestamp(0), to: Timestamp(0) };
    let adds = Command::AddExhibit { of: ExhibitOf::Incident(id), exhibit };
    if !handles && permit(&seen.state, &caller.actor, &adds).is_err() {
        return Err(Code::Forbidden.into());
    }
    if incident.open() { Ok(()) } else { Err(Code::WrongStage.into()) }
}

/// A photo, still or clip of an incident or alarm that the caller sees. Single byte ranges are served.
#[utoipa::path(
    get, path = "/api/v1/blobs/{id}", tag = "blobs", params(("id" = String, Path, description = "Blob")),
    responses(
        (status = 200, content((Vec<u8> = "image/jpeg"), (Vec<u8> = "video/mp4"))),
        (status = 206, content((Vec<u8> = "video/mp4"))),
        Problem
    )
)]
pub(crate) async fn blob(
    State(desk): State<Desk>,
    caller: Caller,
    NameId(name): NameId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = ledger::BlobId::parse(&name).ok_or(Problem::not_found())?;
    let reader = match desk.store.get_blob(&id).await? {
        FoundBlob::Blob(reader) => reader,
        FoundBlob::Erased => return Err(Problem::erased()),
        FoundBlob::Missing => return Err(Problem::not_found()),
    };
    let info = reader.info().clone();
    // Whether it exists is told only to those who may see it.
    if !may_see(&desk, &caller, &info.subject).await? {
        return Err(Problem::not_found());
    }
    let range = range(&headers, info.len)?;
    let (from, until) = range.unwrap_or((0, info.len));
    let reader = reader.range(from, until).await?;
    let mut response = Body::from_stream(reader.into_stream()).into_response();
    let out = response.headers_mut();
    let content_type = HeaderValue::try_from(&info.content_type).map_err(|_| Problem::fault())?;
    out.insert(header::CONTENT_TYPE, content_type);
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(until - from));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    // A picture never changes, but it can be erased.
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=60"));
    if range.is_some() {
        let text = format!("bytes {from}-{}/{}", until - 1, info.len);
        out.insert(header::CONTENT_RANGE, HeaderValue::try_from(text).map_err(|_| Problem::fault())?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

async fn may_see(desk: &Desk, caller: &Caller, subject: &str) -> Result<bool, Problem> {
    let mut incident = match Subject::parse(subject) {
        Some(Subject::Incident(id)) => Some(id),
        Some(Subject::Alarm(id)) => {
            let alarm = desk.mirror.find(&Key::Alarm(id), |s| s.alarms.get(&id).cloned()).await?;
            let Some(alarm) = alarm else { return Ok(false) };
            if sees_cameras(&caller.audience) && sees_alarm(&caller.audience, &alarm) != Sight::Hidden {
                return Ok(true);
            }
            alarm.incident
        }
        Some(Subject::Person(_) | Subject::Account(_) | Subject::Message(_) | Subject::Device(_)) | None => None,
    };
    // Whoever handles the incident sees how it began, in what was merged into it too.
    while let Some(id) = incident {
        let found = desk.mirror.find(&Key::Incident(id), |s| s.incidents.get(&id).cloned()).await?;
        let Some(found) = found else { return Ok(false) };
        if sees_exhibit(&caller.audience, &found) {
            return Ok(true);
        }
        incident = found.merged_into;
    }
    Ok(false)
}

/// A single byte range; what is no such range is ignored, as the RFC wants it.
fn range(headers: &HeaderMap, len: u64) -> Result<Option<(u64, u64)>, Problem> {
    let Some(text) = headers.get(header::RANGE).and_then(|v| v.to_str().ok()) else { return Ok(None) };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else { return Ok(None) };
    let (from, until) = match (first.trim().parse::<u64>().ok(), last.trim().parse::<u64>().ok()) {
        (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(len)),
        (Some(from), None) if last.trim().is_empty() => (from, len),
        (None, Some(tail)) if first.trim().is_empty() => (len.saturating_sub(tail), len),
        _ => return Ok(None),
    };
    if from < until { Ok(Some((from, until))) } else { Err(Problem::bad_range()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_the_rfc_says() {
        let check = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]);
            range(&headers, 100).map_err(|p| p.code())
        };
        assert_eq!(check("bytes=0-9"), Ok(Some((0, 10))));
        assert_eq!(check("bytes=90-"), Ok(Some((90, 100))));
        assert_eq!(check("bytes=-5"), Ok(Some((95, 100))));
        assert_eq!(check("bytes=50-1000"), Ok(Some((50, 100))));
        assert_eq!(check("bytes=100-"), Err("bad_range"));
        assert_eq!(check("bytes=9-1"), Ok(None));
        assert_eq!(check("bytes=0-1,5-6"), Ok(None));
        assert_eq!(check("lines=1-2"), Ok(None));
    }
}
