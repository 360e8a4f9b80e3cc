//! Whether the process runs, and what it depends on.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    ready::{Dependency, Status},
};

/// `/healthz`.
pub(crate) async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "ok": true }))
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    dependencies: Vec<Dependency>,
}

/// `/readyz`: 503 while something without which nothing works is down.
pub(crate) async fn readyz(State(desk): State<Desk>) -> Response {
    let mut dependencies = vec![desk.store_watch.dependency().await, feed(&desk)];
    dependencies.extend(desk.ready.dependencies().await);
    let ready = !dependencies.iter().any(|d| d.fatal && d.state == Status::Down);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(Ready { ready, dependencies })).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn feed(desk: &Desk) -> Dependency {
    let (ok, since_ms, why) = desk.hub.status();
    let state = if ok { Status::Up } else { Status::Down };
    Dependency { name: "feed".to_owned(), state, since_ms, fatal: true, detail: (!ok).then_some(why) }
}

/// `/metrics`.
pub(crate) async fn metrics(State(desk): State<Desk>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (desk.metrics)()).into_response()
}
