//! The side of the node that has the writer and the cameras.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use domain::{ids::CameraId, time::Timestamp};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prost::Message;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wire::link as pb;

use super::{
    ASK, LinkError, SILENCE, STREAMS, SUBMISSION, Token,
    convert::{get_submission, put_clip, put_item, put_outcome, put_sheet, put_status, put_still, trouble},
};
use crate::{
    intake::SharedIntake,
    media::{Media, MediaError, Quality},
};

/// How long TLS may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long open calls may take when the node stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What the node offers.
pub struct Node {
    /// The writer.
    pub intake: SharedIntake,
    /// The cameras; none = every call for pictures is answered "unavailable".
    pub media: Option<Arc<dyn Media>>,
    /// Further routes behind the same token.
    pub more: Router,
}

/// How it is reached.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// What peers must hold.
    pub token: Token,
    /// Certificate chain and key, PEM; none = plain, for loopback only.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl ServerOptions {
    /// Whether certificate and key can be used; reads them.
    ///
    /// # Errors
    /// Which file cannot.
    pub fn check(&self) -> Result<(), LinkError> {
        self.tls.as_ref().map(acceptor).transpose().map(drop)
    }
}

struct Inner {
    intake: SharedIntake,
    media: Option<Arc<dyn Media>>,
    /// Inputs that are decided on.
    deciding: TaskTracker,
    stop: CancellationToken,
}

type Shared = Arc<Inner>;

/// Serves until `stop`, then lets open calls end and closes streams.
///
/// # Errors
/// The certificate or key cannot be used.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    node: Node,
    stop: CancellationToken,
) -> Result<(), LinkError> {
    let tls = options.tls.as_ref().map(acceptor).transpose()?;
    let router = router(node, options.token, stop.clone());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, most likely; it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let (router, stop, tls) = (router.clone(), stop.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => connection(socket, router, stop).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(socket)).await {
                    Ok(Ok(socket)) => connection(socket, router, stop).await,
                    Ok(Err(_)) | Err(_) => tracing::debug!("a peer did not finish its TLS handshake"),
                },
            }
        });
    }
    connections.close();
    let _ = timeout(DRAIN, connections.wait()).await;
    Ok(())
}

fn acceptor((chain, key): &(PathBuf, PathBuf)) -> Result<TlsAcceptor, LinkError> {
    let bad = |file: &PathBuf| LinkError::Certificates(file.clone());
    let certificates = CertificateDer::pem_file_iter(chain).map_err(|_| bad(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|_| bad(chain))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| LinkError::Setup(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|_| bad(chain))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: CancellationToken,
) {
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(ASK).keep_alive_timeout(SILENCE);
    let serving = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a link broke");
    }
}

fn router(node: Node, token: Token, stop: CancellationToken) -> Router {
    let Node { intake, media, more } = node;
    let inner = Inner { intake, media, deciding: TaskTracker::new(), stop };
    Router::new()
        .route("/link/v1/submit", post(submit).layer(DefaultBodyLimit::max(SUBMISSION)))
        .route("/link/v1/cameras", get(cameras))
        .route("/link/v1/cameras/changes", get(changes))
        .route("/link/v1/media/sheet", get(sheet))
        .route("/link/v1/media/{camera}/live/{quality}", get(live))
        .route("/link/v1/media/{camera}/still", get(still))
        .route("/link/v1/media/{camera}/clip/{from}/{to}", get(clip))
        .with_state(Arc::new(inner))
        .merge(more)
        .layer(middleware::from_fn_with_state(Arc::new(token), known))
}

/// Nobody without the token gets further.
async fn known(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| token.fits(given.as_bytes())) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// An input is decided on even when the peer goes away meanwhile: it may repeat it.
async fn submit(State(shared): State<Shared>, body: Bytes) -> Response {
    let submission = match pb::Submission::decode(body).map_err(Into::into).and_then(get_submission) {
        Ok(submission) => submission,
        Err(error) => {
            tracing::warn!(error = %error, "a peer's input cannot be read; is it another release?");
            return StatusCode::UNPROCESSABLE_ENTITY.into_response();
        }
    };
    let intake = shared.intake.clone();
    match shared.deciding.spawn(async move { intake.submit(submission).await }).await {
        Ok(outcome) => message(&put_outcome(&outcome)),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn message(message: &impl Message) -> Response {
    message.encode_to_vec().into_response()
}

fn answer<T, M: Message>(found: Result<T, MediaError>, put: impl FnOnce(T) -> M) -> Response {
    match found {
        Ok(found) => message(&put(found)),
        Err(error) => refused(&error),
    }
}

fn refused(error: &MediaError) -> Response {
    let (status, name) = trouble(error);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), name).into_response()
}

fn media(shared: &Shared) -> Result<&Arc<dyn Media>, MediaError> {
    shared.media.as_ref().ok_or(MediaError::Unavailable)
}

async fn cameras(State(shared): State<Shared>) -> Response {
    let found = match media(&shared) {
        Ok(media) => Ok(media.cameras().await),
        Err(error) => Err(error),
    };
    answer(found, |all| pb::Statuses { cameras: all.iter().map(put_status).collect() })
}

async fn changes(State(shared): State<Shared>) -> Response {
    match media(&shared) {
        Ok(media) => stream(media.changes().await, shared.stop.clone(), |status| put_status(&status)),
        Err(error) => refused(&error),
    }
}

async fn sheet(State(shared): State<Shared>) -> Response {
    let found = match media(&shared) {
        Ok(media) => media.sheet().await,
        Err(error) => Err(error),
    };
    answer(found, put_sheet)
}

async fn still(State(shared): State<Shared>, Path(camera): Path<String>) -> Response {
    let found = match media(&shared) {
        Ok(media) => media.still(&CameraId::new(&camera)).await,
        Err(error) => Err(error),
    };
    answer(found, put_still)
}

async fn clip(State(shared): State<Shared>, Path((camera, from, to)): Path<(String, i64, i64)>) -> Response {
    let found = match media(&shared) {
        Ok(media) => media.clip(&CameraId::new(&camera), Timestamp(from), Timestamp(to)).await,
        Err(error) => Err(error),
    };
    answer(found, put_clip)
}

async fn live(State(shared): State<Shared>, Path((camera, quality)): Path<(String, String)>) -> Response {
    let quality = if quality == "main" { Quality::Main } else { Quality::Sub };
    let found = match media(&shared) {
        Ok(media) => media.subscribe(&CameraId::new(&camera), quality).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(live) => stream(live.items, shared.stop.clone(), put_item),
        Err(error) => refused(&error),
    }
}

/// Messages as they come, each after its length. A peer that takes nothing makes the source skip, as for any other
/// subscriber: nothing is queued here.
fn stream<T, M>(items: mpsc::Receiver<T>, stop: CancellationToken, put: fn(T) -> M) -> Response
where
    T: Send + 'static,
    M: Message + 'static,
{
    let messages = futures::stream::unfold((items, stop), move |(mut items, stop)| async move {
        let item = tokio::select! {
            () = stop.cancelled() => None,
            item = items.recv() => item,
        }?;
        Some((Ok::<_, Infallible>(Bytes::from(put(item).encode_length_delimited_to_vec())), (items, stop)))
    });
    Body::from_stream(messages).into_response()
}
