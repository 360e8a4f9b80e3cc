//! What a core offers to its gateways, and its own health page when it has none.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gateway::{Connectors, Dependency, Readiness, Status, StoreWatch};
use ledger::Store;
use link::{
    intake::SharedIntake,
    media::Media,
    net::{Node, ServerOptions, Token},
};
use runtime::{Criticality, tasks::Stage};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::{
    config,
    media::secret,
    sites,
    up::{Base, listen},
};

/// Where the core tells how it is.
pub(crate) const STATUS: &str = "/link/v1/status";
/// Where a mapping of records is tried.
pub(crate) const PREVIEW: &str = "/link/v1/preview";
/// The site's document as the log holds it; empty when it holds none.
pub(crate) const SITE: &str = "/link/v1/site";
/// Where the signed calls of departments are passed on to.
pub(crate) const EXCHANGE: &str = "/link/v1/exchange";

/// How the core is, as its gateways show it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CoreStatus {
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) connectors: Vec<Connector>,
}

/// As [`gateway::Connector`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Connector {
    unit: String,
    push: bool,
    pull_every_s: Option<u32>,
    records: Vec<String>,
    heard_ms: Option<i64>,
    failures: u32,
    #[serde(default)]
    denied_ms: Option<i64>,
    #[serde(default)]
    sources: Vec<gateway::RecordSource>,
}

impl From<gateway::Connector> for Connector {
    fn from(c: gateway::Connector) -> Self {
        let gateway::Connector { unit, push, pull_every_s, records, heard_ms, failures, denied_ms, sources } = c;
        Self { unit: unit.to_string(), push, pull_every_s, records, heard_ms, failures, denied_ms, sources }
    }
}

impl From<Connector> for gateway::Connector {
    fn from(c: Connector) -> Self {
        let Connector { unit, push, pull_every_s, records, heard_ms, failures, denied_ms, sources } = c;
        Self { unit: unit.into(), push, pull_every_s, records, heard_ms, failures, denied_ms, sources }
    }
}

/// The token that both ends hold.
pub(crate) fn token(config: &config::Link) -> anyhow::Result<Token> {
    let text = config.token_file.as_deref().map(secret).transpose()?.unwrap_or_default();
    Token::new(&text).context("link.token_file")
}

/// Beside the ports: how the core is, and the way in for departments.
pub(crate) fn routes(
    ready: Arc<dyn Readiness>,
    connectors: Arc<dyn Connectors>,
    store: Arc<dyn Store>,
    exchange: Router,
) -> Router {
    let tries = connectors.clone();
    let preview = move |Json(ask): Json<gateway::Preview>| async move { Json(tries.preview(ask).await) };
    let site = move || async move {
        match sites::document(store.as_ref()).await {
            Ok(document) => document.unwrap_or_default().into_response(),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the site cannot be read");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    };
    let status = move || async move {
        let connectors = connectors.connectors().into_iter().map(Into::into).collect();
        Json(CoreStatus { dependencies: ready.dependencies().await, connectors })
    };
    Router::new()
        .route(STATUS, get(status))
        .route(SITE, get(site))
        .route(PREVIEW, post(preview))
        .nest(EXCHANGE, exchange)
}

fn options(config: &config::Link) -> anyhow::Result<ServerOptions> {
    let tls = config.cert_file.clone().zip(config.key_file.clone());
    Ok(ServerOptions { token: token(config)?, tls })
}

/// Whether gateways can be listened for as configured: the files are there and right.
pub(crate) fn usable(config: &config::Link) -> anyhow::Result<()> {
    if config.listen.is_some() {
        options(config)?.check()?;
    }
    Ok(())
}

/// Listens for gateways.
pub(crate) async fn spawn(
    base: &Base,
    intake: SharedIntake,
    media: Option<Arc<dyn Media>>,
    more: Router,
) -> anyhow::Result<()> {
    let config = &base.config.link;
    let Some(address) = config.listen else { return Ok(()) };
    let options = options(config)?;
    let listener = listen(address)?;
    tracing::info!(address = %listener.local_addr()?, "gateways are listened for");
    let (node, stop) = (Node { intake, media, more }, base.tasks.stop(Stage::Core));
    base.tasks.spawn("link", Stage::Core, Criticality::Critical, async move {
        if let Err(error) = link::net::serve(listener, options, node, stop).await {
            tracing::error!(error = %error, "gateways cannot be listened for");
        }
    });
    Ok(())
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    dependencies: Vec<Dependency>,
}

/// `/healthz`, `/readyz` and `/metrics` of a core without a gateway.
pub(crate) fn spawn_health(base: &Base, listener: TcpListener, ready: Arc<dyn Readiness>) {
    let page = base.metrics.clone();
    let store = StoreWatch::new(base.stores.store.clone(), base.clock.clone());
    let router = Router::new()
        .route("/healthz", get(|| async { Json(serde_json::json!({ "ok": true })) }))
        .route("/metrics", get(move || async move { page.render() }))
        .route("/readyz", get(readyz))
        .with_state(Arc::new((ready, store)));
    let stop = base.tasks.stop(Stage::Sockets);
    base.tasks.spawn("health", Stage::Sockets, Criticality::Critical, async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown({
            let stop = stop.clone();
            async move { stop.cancelled().await }
        });
        // A probe that never ends must not hold the drain.
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! { _ = serving => {}, () = late => {} }
    });
}

type Health = Arc<(Arc<dyn Readiness>, StoreWatch)>;

async fn readyz(State(health): State<Health>) -> Response {
    let (ready, store) = health.as_ref();
    let mut dependencies = vec![store.dependency().await];
    dependencies.extend(ready.dependencies().await);
    let ready = !dependencies.iter().any(|d| d.fatal && d.state == Status::Down);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(Ready { ready, dependencies })).into_response()
}
