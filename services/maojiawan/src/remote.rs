//! A gateway's view of a core that is another process: its ports, how it is, and the way to it for departments.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use domain::ids::SiteId;
use gateway::{Connectors, Dependency, Readiness, Status};
use link::{
    intake::SharedIntake,
    media::Media,
    net::{Peer, PeerOptions},
};
use runtime::{Clock, Criticality, Tasks, tasks::Stage};
use serde_json::json;

use crate::{
    bus::{self, Fanout},
    config,
    node::{CoreStatus, EXCHANGE, PREVIEW, STATUS, token},
};

/// The core is asked this often how it is.
const ASK: Duration = Duration::from_secs(2);
/// Longest answer about it, bytes.
const ANSWER: usize = 1 << 20;
/// Largest body of a department's call, bytes; the core's own bound is lower.
const BODY: usize = 256 << 10;

/// What is known of the core.
#[derive(Default)]
struct Known {
    status: CoreStatus,
    /// It answered the last time.
    there: bool,
    since_ms: i64,
    why: &'static str,
}

fn peer(config: &config::Link, site: SiteId) -> anyhow::Result<Peer> {
    let url = config.core.clone().unwrap_or_default();
    let options = PeerOptions { url, token: token(config)?, ca_file: config.ca_file.clone() };
    Ok(Peer::new(site, &options)?)
}

/// Whether a core can be joined as configured: the files are there and right.
pub(crate) fn usable(config: &config::Link) -> anyhow::Result<()> {
    peer(config, SiteId::new("")).map(drop)
}

/// The core.
pub(crate) struct Core {
    peer: Arc<Peer>,
    bus: Fanout,
    known: Mutex<Known>,
}

impl Core {
    /// Begins to ask how it is; whether it is there shows later.
    pub(crate) fn join(
        config: &config::Link,
        site: SiteId,
        bus: Fanout,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> anyhow::Result<Arc<Self>> {
        let known = Known { since_ms: clock.now_ms(), why: "正在连接 connecting", ..Known::default() };
        let core = Arc::new(Self { peer: Arc::new(peer(config, site)?), bus, known: Mutex::new(known) });
        let (asking, stop) = (core.clone(), tasks.stop(Stage::Sockets));
        tasks.spawn("core.status", Stage::Sockets, Criticality::Critical, async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = asking.ask(clock.as_ref()) => {}
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ASK) => {}
                }
            }
        });
        Ok(core)
    }

    pub(crate) fn intake(&self) -> SharedIntake {
        self.peer.clone()
    }

    pub(crate) fn media(&self) -> Arc<dyn Media> {
        self.peer.clone()
    }

    async fn ask(&self, clock: &dyn Clock) {
        let answer = self.status().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let there = answer.is_ok();
        if there != known.there {
            known.since_ms = clock.now_ms();
            known.there = there;
            if there {
                tracing::info!("the core answers");
            } else {
                tracing::warn!("the core does not answer");
            }
        }
        match answer {
            Ok(status) => known.status = status,
            Err(why) => known.why = why,
        }
    }

    async fn status(&self) -> Result<CoreStatus, &'static str> {
        let asked = self.peer.pass(axum::http::Method::GET, STATUS, HeaderMap::new(), bytes::Bytes::new());
        let response = asked.await.ok().flatten().ok_or("连接不上 cannot be reached")?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err("令牌不同 it has another token"),
            _ => return Err("版本不同 it is of another release"),
        }
        let body = axum::body::Body::new(reqwest::Body::from(response));
        let body = to_bytes(body, ANSWER).await.map_err(|_| "回答中断 its answer broke off")?;
        serde_json::from_slice(&body).map_err(|_| "版本不同 it is of another release")
    }

    /// Passes the signed calls of departments on: whichever gateway they reach.
    pub(crate) fn exchange(&self) -> Router {
        Router::new().route("/{*path}", any(pass)).with_state(self.peer.clone())
    }
}

#[async_trait]
impl Readiness for Core {
    /// A gateway without its core still shows all and takes logins; commands are refused until it is back.
    async fn dependencies(&self) -> Vec<Dependency> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &known.status.dependencies;
        let bus_of_core = all.iter().find(|d| known.there && d.name == bus::NAME);
        let mut found = vec![
            self.bus.dependency_beside(bus_of_core),
            Dependency {
                name: "core".to_owned(),
                state: if known.there { Status::Up } else { Status::Down },
                since_ms: known.since_ms,
                fatal: false,
                detail: (!known.there).then(|| known.why.to_owned()),
            },
        ];
        if known.there {
            let of_core = all.iter().filter(|d| d.name != bus::NAME).cloned();
            found.extend(of_core.map(|d| Dependency { fatal: false, ..d }));
        }
        found
    }
}

#[async_trait]
impl Connectors for Core {
    async fn preview(&self, ask: gateway::Preview) -> Result<gateway::Previewed, gateway::PreviewRefused> {
        let asked = async {
            let body = serde_json::to_vec(&ask).ok()?;
            let json = HeaderValue::from_static("application/json");
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
            let response = self.peer.pass(axum::http::Method::POST, PREVIEW, headers, body.into()).await.ok()??;
            let body = axum::body::Body::new(reqwest::Body::from(response));
            serde_json::from_slice(&to_bytes(body, ANSWER).await.ok()?).ok()
        };
        asked.await.unwrap_or(Err(gateway::PreviewRefused::Unavailable))
    }

    fn connectors(&self) -> Vec<gateway::Connector> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.status.connectors.iter().cloned().map(Into::into).collect()
    }
}

/// What belongs to one connection, and what the link has of its own.
const OWN: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::AUTHORIZATION,
];

async fn pass(State(peer): State<Arc<Peer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "请求内容过大", "The request is too large");
    };
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut headers = parts.headers;
    for name in OWN {
        headers.remove(name);
    }
    let (method, path) = (parts.method, format!("{EXCHANGE}{path}"));
    let away = || {
        let (zh, en) =
            ("核心节点暂时连接不上，请用同一个键重试", "The core cannot be reached; try again with the same key");
        problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", zh, en)
    };
    let answer = match peer.pass(method, &path, headers, body).await {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            return problem(StatusCode::NOT_FOUND, "not_found", "没有这个地址", "There is nothing at this address");
        }
        Err(_) => return away(),
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in OWN {
        headers.remove(name);
    }
    match to_bytes(axum::body::Body::new(reqwest::Body::from(answer)), ANSWER).await {
        Ok(body) => (status, headers, body).into_response(),
        Err(_) => away(),
    }
}

fn problem(status: StatusCode, code: &str, zh: &str, en: &str) -> Response {
    let kind = format!("/problems/{code}");
    let body = json!({ "type": kind, "title": zh, "title_en": en, "status": status.as_u16(), "code": code });
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}
