//! Puts everything together and serves it until the sockets' stage stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ledger::{Bus, Store, Telemetry};
use link::{intake::SharedIntake, media::Media};
use runtime::{Clock, Tasks, tasks::Stage};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    Config, Connectors, DemoConfig, GatewayError, MetricsPage, Readiness, StoreWatch,
    api::{self, health},
    config::HEADER_PATIENCE,
    desk::{Desk, Inner},
    feed::Hub,
    files, guard, leftover,
    mirror::Mirror,
    photos::Photos,
    problem::Problem,
    session::Sessions,
};

/// Bytes that the kernel may hold for one client (it doubles them).
const SEND_BUFFER: usize = 256 << 10;

/// What a gateway needs.
pub struct Gateway {
    /// Settings.
    pub config: Config,
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Carries what was committed.
    pub bus: Arc<dyn Bus>,
    /// Values of sensors.
    pub telemetry: Arc<dyn Telemetry>,
    /// The way to the writer.
    pub intake: SharedIntake,
    /// Pictures; none = this process shows no video.
    pub media: Option<Arc<dyn Media>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Time by which sessions end and locks last: it should believe no leap, so that none logs everybody out.
    pub session_clock: Arc<dyn Clock>,
    /// Where tasks run and how they stop.
    pub tasks: Tasks,
    /// Routes below `/api/v1/exchange`, which sign their own requests.
    pub extra_routes: Router,
    /// Further dependencies of `/readyz`.
    pub ready: Arc<dyn Readiness>,
    /// How departments are connected.
    pub connectors: Arc<dyn Connectors>,
    /// Renders `/metrics`.
    pub metrics: MetricsPage,
    /// The demo; none = no demo.
    pub demo: Option<DemoConfig>,
    /// Devices log in to the site's own broker: their passwords are issued here.
    pub own_broker: bool,
    /// Cancelled as soon as people can log in: the log is read and followed.
    pub began: CancellationToken,
}

/// Clients that the kernel keeps waiting for their connection: after a failure all come back at once, and who is not
/// kept tries again only after a second.
const WAITING: u32 = 4_096;

/// Listens at `address`.
///
/// # Errors
/// The address is in use or not ours.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves on `listener` until [`Stage::Sockets`] is told to stop, then waits for the sockets to close.
///
/// # Errors
/// Passwords cannot be hashed, or the listener failed for good.
pub async fn serve(listener: TcpListener, gateway: Gateway) -> Result<(), GatewayError> {
    let Gateway { config, store, bus, telemetry, intake, media, clock, tasks, extra_routes, ready, .. } = gateway;
    let (connectors, metrics, demo, began) = (gateway.connectors, gateway.metrics, gateway.demo, gateway.began);
    let stop = tasks.stop(Stage::Sockets);
    let mirror = Arc::new(Mirror::new(store.clone()));
    let sessions = sessions(&config, &store, &gateway.session_clock, &mirror).await?;
    let hub = Arc::new(Hub::new(&config, store.clone(), clock.clone(), mirror.clone(), sessions.clone()));
    hub.start(bus, began, &tasks);
    let store_watch = StoreWatch::new(store.clone(), clock.clone());
    let desk: Desk = Arc::new(Inner {
        feed_places: Arc::new(Semaphore::new(config.feed_clients)),
        media_places: Arc::new(Semaphore::new(config.media_clients)),
        config,
        store,
        telemetry,
        intake,
        media,
        clock,
        mirror,
        hub,
        sessions,
        photos: Photos::new(),
        ready,
        connectors,
        metrics,
        demo,
        own_broker: gateway.own_broker,
        sockets: TaskTracker::new(),
        stop: stop.clone(),
        store_watch,
    });
    accept(listener, router(desk.clone(), extra_routes), desk.config.connections, &stop).await;
    desk.sockets.close();
    desk.sockets.wait().await;
    Ok(())
}

async fn sessions(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    mirror: &Arc<Mirror>,
) -> Result<Arc<Sessions>, GatewayError> {
    let (config, store, clock, mirror) = (config.clone(), store.clone(), clock.clone(), mirror.clone());
    let made = tokio::task::spawn_blocking(move || Sessions::new(&config, store, clock, mirror));
    let made = made.await.map_err(std::io::Error::from)??;
    Ok(Arc::new(made))
}

/// All routes.
pub(crate) fn router(desk: Desk, extra: Router) -> Router {
    let (api, document) = api::router();
    let json = serde_json::to_string(&document).unwrap_or_default();
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    let docs: Router<Desk> = SwaggerUi::new("/api/docs")
        .config(utoipa_swagger_ui::Config::from("/api/v1/openapi.json").use_base_layout().validator_url("none"))
        .into();
    let document = Router::new()
        .route("/api/v1/openapi.json", get(move || async move { ([("content-type", "application/json")], json) }));
    let small = DefaultPredicate::new()
        .and(NotForContentType::new("video/"))
        .and(NotForContentType::new("application/octet-stream"));
    api.layer(from_fn_with_state(desk.clone(), guard::gate))
        .merge(open)
        .merge(docs)
        .merge(document)
        .method_not_allowed_fallback(|| async { Problem::bad_method() })
        .fallback(file)
        .with_state(desk)
        .nest(guard::SIGNED, extra.fallback(|| async { Problem::not_found() }))
        .layer(CompressionLayer::new().compress_when(small))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(guard::harden))
        .layer(from_fn(leftover::read))
}

async fn file(State(desk): State<Desk>, request: Request) -> Response {
    files::serve(desk.config.dashboard.as_deref(), request).await
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // What was thrown may hold values of a request; the panic hook has written where it happened.
    tracing::error!("a request panicked");
    Problem::fault().into_response()
}

/// Accepts connections, a bounded number of them, until told to stop; then waits for running requests.
async fn accept(listener: TcpListener, router: Router, most: usize, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(most));
    let running = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(error = %error, "a connection was not accepted");
                    // Mostly too many open files: give them time to close.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        // A client that is slow should show here, not in megabytes of the kernel.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        let (service, stop) = (router.clone(), stop.clone());
        running.spawn(async move {
            connection(stream, service, stop).await;
            drop(place);
        });
    }
    running.close();
    running.wait().await;
}

async fn connection(stream: tokio::net::TcpStream, router: Router, stop: CancellationToken) {
    // hyper's body becomes axum's.
    let service =
        tower::util::MapRequestLayer::new(|r: axum::http::Request<hyper::body::Incoming>| r.map(axum::body::Body::new))
            .layer(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended");
    }
}
