//! The gate before every handler: who asks, from which page, and what the answer may do in a browser.

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use domain::access::{Reach, Right, reach};

use crate::{api::commands::About, body::Id, desk::Desk, problem::Problem, session::Caller};

/// Every endpoint that asks for no session, and why none is needed. A test holds the router against it.
pub const OPEN: &[(&str, &str, &str)] = &[
    ("GET", "/healthz", "tells only that the process runs"),
    ("GET", "/readyz", "names dependencies and their state, no values"),
    ("GET", "/metrics", "counts, no values of persons"),
    ("GET", "/api/v1/openapi.json", "the contract is public"),
    ("GET", "/api/docs", "the contract is public"),
    ("POST", "/api/v1/session", "logs in"),
    ("GET", "/api/v1/demo", "404 unless this is a demo, whose accounts are public"),
];
/// Every operation that asks for a session, and the right that it needs. What does not stand here is refused to everybody.
#[rustfmt::skip]
pub const OPERATIONS: &[(&str, &str, Right)] = &[
    ("GET",    "/api/v1/session",                         Right::Session),
    ("DELETE", "/api/v1/session",                         Right::Session),
    ("GET",    "/api/v1/site",                            Right::Site),
    ("GET",    "/api/v1/places",                          Right::Site),
    ("GET",    "/api/v1/feed",                            Right::Cases),
    ("GET",    "/api/v1/incidents",                       Right::Cases),
    ("GET",    "/api/v1/incidents/{id}",                  Right::Cases),
    ("GET",    "/api/v1/incidents/{id}/timeline",         Right::Cases),
    ("GET",    "/api/v1/alarms",                          Right::Cases),
    ("GET",    "/api/v1/tasks",                           Right::Cases),
    ("GET",    "/api/v1/blobs/{id}",                      Right::Cases),
    ("GET",    "/api/v1/devices",                         Right::Centre),
    ("GET",    "/api/v1/devices/chattering",              Right::Centre),
    ("GET",    "/api/v1/devices/strangers",               Right::Centre),
    ("GET",    "/api/v1/devices/{id}/history",            Right::Centre),
    ("GET",    "/api/v1/units",                           Right::Centre),
    ("GET",    "/api/v1/departments",                     Right::Centre),
    ("GET",    "/api/v1/patrols",                         Right::Centre),
    ("GET",    "/api/v1/duty",                            Right::Centre),
    ("GET",    "/api/v1/figures",                         Right::Centre),
    ("GET",    "/api/v1/media",                           Right::Cameras),
    ("GET",    "/api/v1/cameras",                         Right::Cameras),
    ("GET",    "/api/v1/cameras/{id}/still",              Right::Cameras),
    ("GET",    "/api/v1/messages",                        Right::Messages),
    ("GET",    "/api/v1/devices/credentials",             Right::Credentials),
    ("GET",    "/api/v1/duplicates",                      Right::Intake),
    ("POST",   "/api/v1/reporters/lookup",                Right::Numbers),
    ("POST",   "/api/v1/incidents",                       Right::Report),
    ("POST",   "/api/v1/incidents/{id}/accept",           Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/reject",           Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/merge",            Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/file",             Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/push",             Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/attend",           Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/note",             Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/place",            Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/verify",           Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/close",            Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/reopen",           Right::Handle),
    ("POST",   "/api/v1/alarms/{id}/confirm",             Right::Handle),
    ("POST",   "/api/v1/alarms/{id}/place",               Right::Handle),
    ("POST",   "/api/v1/messages/{id}/place",             Right::Handle),
    ("POST",   "/api/v1/alarms/{id}/judge",               Right::Handle),
    ("POST",   "/api/v1/alarms/{id}/shelve",              Right::Handle),
    ("POST",   "/api/v1/alarms/{id}/unshelve",            Right::Handle),
    ("POST",   "/api/v1/tasks/{id}/recall",               Right::Handle),
    ("POST",   "/api/v1/tasks/{id}/reassign",             Right::Handle),
    ("POST",   "/api/v1/tasks/{id}/rework",               Right::Handle),
    ("POST",   "/api/v1/incidents/{id}/exhibits",         Right::Exhibit),
    ("POST",   "/api/v1/photos",                          Right::Photo),
    ("POST",   "/api/v1/tasks/{id}/receipt",              Right::Work),
    ("POST",   "/api/v1/tasks/{id}/acknowledge",          Right::Work),
    ("POST",   "/api/v1/tasks/{id}/en-route",             Right::Work),
    ("POST",   "/api/v1/tasks/{id}/on-scene",             Right::Work),
    ("POST",   "/api/v1/tasks/{id}/feedback",             Right::Work),
    ("POST",   "/api/v1/tasks/{id}/decline",              Right::Work),
    ("POST",   "/api/v1/incidents/{id}/approve",          Right::Approve),
    ("POST",   "/api/v1/incidents/{id}/refuse-approval",  Right::Approve),
    ("POST",   "/api/v1/duty",                            Right::Roster),
    ("POST",   "/api/v1/devices/{id}/credential",         Right::Devices),
    ("POST",   "/api/v1/departments/preview",             Right::Devices),
    ("DELETE", "/api/v1/devices/{id}/credential",         Right::Devices),
    ("GET",    "/api/v1/demo/happenings",                 Right::Demo),
    ("POST",   "/api/v1/demo/happenings",                 Right::Demo),
    ("DELETE", "/api/v1/demo/happenings",                 Right::Demo),
];
/// Below this path callers sign each request instead.
pub const SIGNED: &str = "/api/v1/exchange";

const CSP: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; \
script-src 'self'; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; form-action 'self'; \
frame-ancestors 'none'; base-uri 'none'";

fn name(method: &Method) -> &str {
    if method == Method::HEAD { "GET" } else { method.as_str() }
}

fn open(method: &Method, path: &str) -> bool {
    OPEN.iter().any(|(m, p, _)| *m == name(method) && *p == path)
}

/// The right that an operation needs.
fn needed(method: &Method, path: &str) -> Result<Right, Problem> {
    if let Some((.., right)) = OPERATIONS.iter().find(|(m, p, _)| *m == name(method) && *p == path) {
        return Ok(*right);
    }
    let known = OPERATIONS.iter().any(|(_, p, _)| *p == path) || OPEN.iter().any(|(_, p, _)| *p == path);
    if known {
        return Err(Problem::bad_method());
    }
    tracing::error!(path, "an operation names no right");
    Err(Problem::forbidden())
}

/// Lets a request in with a [`Caller`] who has the right that the operation needs, or answers it. Nothing of the request
/// but its address is looked at before.
pub(crate) async fn gate(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    if let Err(problem) = same_site(request.method(), request.headers(), desk.config.tls) {
        return problem.into_response();
    }
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let Some(path) = path else { return next.run(request).await };
    if !open(request.method(), &path) {
        match admit(&desk, request.headers(), request.method(), &path).await {
            Ok((caller, right)) => {
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(right);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}

async fn admit(desk: &Desk, headers: &HeaderMap, method: &Method, path: &str) -> Result<(Caller, Right), Problem> {
    let caller = desk.sessions.caller(headers).await?;
    let right = needed(method, path)?;
    if reach(&caller.actor, right) == Reach::No {
        return Err(Problem::forbidden());
    }
    Ok((caller, right))
}

/// What a command is about, by the number in its path, if it is not known to be out of the caller's reach.
pub(crate) struct Within<A>(pub(crate) A);

impl<A: About> FromRequestParts<Desk> for Within<A> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Problem> {
        let Id(number) = Id::from_request_parts(parts, desk).await?;
        let caller = Caller::from_request_parts(parts, desk).await?;
        let right = parts.extensions.get::<Right>().ok_or(Problem::forbidden())?;
        let about = A::numbered(number);
        if about.beyond(desk, &caller.actor, *right) { Err(Problem::forbidden()) } else { Ok(Self(about)) }
    }
}

/// What changes something, and every socket, must come from our own page. Programs that are no browsers send neither
/// header; the cookie is `SameSite=Strict` besides.
fn same_site(method: &Method, headers: &HeaderMap, tls: bool) -> Result<(), Problem> {
    let socket = headers.contains_key(header::UPGRADE);
    if !socket && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    // Browsers do not agree on this header for sockets; there the origin must be given.
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && !socket
        && !matches!(site, "same-origin" | "none")
    {
        return Err(Problem::cross_site());
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) if socket => Err(Problem::cross_site()),
        (None, _) => Ok(()),
        (Some(origin), Some(host)) if own(origin, host, tls) => Ok(()),
        _ => Err(Problem::cross_site()),
    }
}

fn own(origin: &str, host: &str, tls: bool) -> bool {
    let scheme = if tls { "https" } else { "http" };
    origin.split_once("://").is_some_and(|(s, authority)| s == scheme && authority.eq_ignore_ascii_case(host))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::no_session())
    }
}

/// Headers of every answer.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/v1/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if api {
        set(header::CACHE_CONTROL, "no-store");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_our_own_page_changes_things() {
        let own = [("host", "a:1"), ("origin", "http://a:1")];
        let check = |method: Method, pairs: &[_], tls| same_site(&method, &headers(pairs), tls).is_ok();
        assert!(check(Method::POST, &own, false));
        assert!(!check(Method::POST, &own, true));
        assert!(check(Method::POST, &[("host", "a:1")], false));
        assert!(!check(Method::POST, &[("host", "a:1"), ("origin", "http://b:1")], false));
        assert!(!check(Method::POST, &[("host", "a:1"), ("origin", "null")], false));
        assert!(!check(Method::DELETE, &[("host", "a:1"), ("sec-fetch-site", "cross-site")], false));
        assert!(!check(
            Method::POST,
            &[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-site")],
            false
        ));
        assert!(check(Method::GET, &[("host", "a:1"), ("origin", "http://b:1")], false));
        assert!(!check(Method::GET, &[("host", "a:1"), ("upgrade", "websocket")], false));
        assert!(!check(Method::GET, &[("host", "a:1"), ("origin", "http://b:1"), ("upgrade", "websocket")], false));
        assert!(check(Method::GET, &[("host", "a:1"), ("origin", "http://a:1"), ("upgrade", "websocket")], false));
    }
}
