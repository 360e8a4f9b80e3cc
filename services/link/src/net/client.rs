//! The side of a node that has no writer and no cameras of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use domain::{
    ids::{CameraId, SiteId},
    time::Timestamp,
};
use prost::Message;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use runtime::retry::Backoff;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use wire::link as pb;

use super::{
    ASK, CLIP, LinkError, MESSAGE, SILENCE, Token,
    convert::{get_clip, get_item, get_outcome, get_sheet, get_status, get_still, media_error, next, put_submission},
};
use crate::{
    intake::{Done, Intake, IntakeError, Submission},
    media::{CameraStatus, Clip, Live, Media, MediaError, Quality, Sheet, Still},
};

/// How long an input may take. Its outcome is not known after that.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a still, a sheet or the list of cameras may take.
const GLANCE: Duration = Duration::from_secs(10);
/// How long a clip may take: it waits for its end, a minute at most, and is then copied.
const CLIP_PATIENCE: Duration = Duration::from_secs(90);
/// Largest answer to an input, bytes.
const OUTCOME: usize = 1 << 20;
/// Items of a subscription that wait here; beyond them the source skips.
const WAITING: usize = 16;

/// How the other node is reached.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// `https://host:port`, or `http://` on loopback.
    pub url: String,
    /// What both ends hold.
    pub token: Token,
    /// The authorities that are trusted, PEM; no others are.
    pub ca_file: Option<PathBuf>,
}

/// The writer and the cameras of another node. Clones share its two connections.
#[derive(Clone)]
pub struct Peer {
    site: SiteId,
    base: Url,
    token: Token,
    /// Inputs and what else is short.
    calls: Client,
    /// Pictures.
    pictures: Client,
    /// Streams that are copied; each ends with its reader.
    streams: TaskTracker,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Peer").field(&self.base.as_str()).finish()
    }
}

impl Peer {
    /// Of this site. Connects with the first call, and again whenever it must.
    ///
    /// # Errors
    /// The options cannot be used.
    pub fn new(site: SiteId, options: &PeerOptions) -> Result<Self, LinkError> {
        let base = Url::parse(&options.url).map_err(|_| LinkError::Address)?;
        let fit = matches!(base.scheme(), "http" | "https") && base.has_host() && base.username().is_empty();
        if !fit || base.password().is_some() {
            return Err(LinkError::Address);
        }
        let (calls, pictures) = (client(options)?, client(options)?);
        Ok(Self { site, base, token: options.token.clone(), calls, pictures, streams: TaskTracker::new() })
    }

    /// Where it is: scheme, host and port.
    pub fn address(&self) -> &str {
        self.base.as_str()
    }

    /// Passes a request on to a further route of the node, e.g. `/exchange/…`, with the bearer token. The caller
    /// bounds what it reads.
    ///
    /// # Errors
    /// `None`: the path would lead elsewhere, as one with dots does. Nobody answers.
    pub async fn pass(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: header::HeaderMap,
        body: Bytes,
    ) -> Result<Option<Response>, MediaError> {
        // With our token it must reach nothing but what was asked for.
        let asked = path.split(['?', '#']).next();
        let Some(url) = self.base.join(path).ok().filter(|url| Some(url.path()) == asked) else { return Ok(None) };
        let request = self.calls.request(method, url).headers(headers).body(body).timeout(PATIENCE);
        let request = request.header(header::AUTHORIZATION, self.token.header());
        request.send().await.map(Some).map_err(|_| MediaError::Unavailable)
    }

    /// The path is made of ids that may hold anything.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["link", "v1"]).extend(path);
        }
        url
    }

    fn get(&self, path: &[&str]) -> RequestBuilder {
        self.pictures.get(self.url(path)).header(header::AUTHORIZATION, self.token.header())
    }

    async fn picture<M: Message + Default>(&self, request: RequestBuilder, most: usize) -> Result<M, MediaError> {
        let response = opened(request).await?;
        let body = whole(response, most).await.ok_or(MediaError::Unavailable)?;
        M::decode(body).map_err(|_| MediaError::Unavailable)
    }
}

fn client(options: &PeerOptions) -> Result<Client, LinkError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &options.ca_file {
        let bad = || LinkError::Certificates(file.clone());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| bad())? {
            roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
        if roots.is_empty() {
            return Err(bad());
        }
    }
    let setup = |text: String| LinkError::Setup(text);
    let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http2_prior_knowledge()
        .http2_keep_alive_interval(ASK)
        .http2_keep_alive_timeout(SILENCE)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(512 << 10)
        // No bound of its own: viewers that do not look would hold up all others.
        .http2_initial_connection_window_size(1 << 30)
        .connect_timeout(SILENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| setup(error.to_string()))
}

/// The whole body, unless it is longer than `most` or breaks off.
async fn whole(mut response: Response, most: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.ok()? {
        if body.len() + piece.len() > most {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(body.freeze())
}

/// A response that is what was asked for; else why not.
async fn opened(request: RequestBuilder) -> Result<Response, MediaError> {
    let response = request.send().await.map_err(|_| MediaError::Unavailable)?;
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let name = whole(response, 256).await.unwrap_or_default();
    Err(media_error(std::str::from_utf8(&name).unwrap_or_default()))
}

#[async_trait]
impl Intake for Peer {
    fn site(&self) -> SiteId {
        self.site.clone()
    }

    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError> {
        let body = put_submission(&submission).encode_to_vec();
        let request = self.calls.post(self.url(&["submit"])).timeout(PATIENCE).body(body);
        let sent = request.header(header::AUTHORIZATION, self.token.header()).send().await;
        let (unavailable, unknown) =
            (|why: &str| IntakeError::Unavailable(why.to_owned()), |why: &str| IntakeError::Unknown(why.to_owned()));
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Err(unavailable("核心节点连接不上 the node of the writer cannot be reached"));
            }
            Err(_) => return Err(unknown("核心节点没有应答 the node of the writer did not answer")),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::PAYLOAD_TOO_LARGE => return Err(IntakeError::TooLong("the input")),
            StatusCode::UNAUTHORIZED => {
                return Err(unavailable("核心节点的令牌不同 the node of the writer has another token"));
            }
            _ => return Err(unavailable("核心节点的版本不同 the node of the writer does not understand this release")),
        }
        let body = whole(response, OUTCOME)
            .await
            .ok_or_else(|| unknown("核心节点的回答中断 the writer's answer broke off"))?;
        get_outcome(pb::Outcome::decode(body).unwrap_or_default())
    }
}

#[async_trait]
impl Media for Peer {
    async fn subscribe(&self, camera: &CameraId, quality: Quality) -> Result<Live, MediaError> {
        let quality = match quality {
            Quality::Sub => "sub",
            Quality::Main => "main",
        };
        let request = self.get(&["media", camera.as_str(), "live", quality]);
        let response = opened(request).await?;
        let (items, live) = mpsc::channel(WAITING);
        self.streams.spawn(copy(response, items, get_item));
        Ok(Live { items: live })
    }

    async fn still(&self, camera: &CameraId) -> Result<Still, MediaError> {
        let request = self.get(&["media", camera.as_str(), "still"]).timeout(GLANCE);
        self.picture(request, MESSAGE).await.map(get_still)
    }

    async fn sheet(&self) -> Result<Sheet, MediaError> {
        self.picture(self.get(&["media", "sheet"]).timeout(GLANCE), MESSAGE).await.map(get_sheet)
    }

    async fn clip(&self, camera: &CameraId, from: Timestamp, to: Timestamp) -> Result<Clip, MediaError> {
        let (from, to) = (from.0.to_string(), to.0.to_string());
        let request = self.get(&["media", camera.as_str(), "clip", &from, &to]);
        self.picture(request.timeout(CLIP_PATIENCE), CLIP).await.map(get_clip)
    }

    /// None while the other node cannot be reached: what the log says of them stands.
    async fn cameras(&self) -> Vec<CameraStatus> {
        let request = self.get(&["cameras"]).timeout(GLANCE);
        let found: Result<pb::Statuses, _> = self.picture(request, MESSAGE).await;
        found.map(|all| all.cameras.into_iter().map(get_status).collect()).unwrap_or_default()
    }

    async fn changes(&self) -> mpsc::Receiver<CameraStatus> {
        let (news, changes) = mpsc::channel(1_024);
        let peer = self.clone();
        self.streams.spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
            while !news.is_closed() {
                if let Ok(response) = opened(peer.get(&["cameras", "changes"])).await {
                    backoff.reset();
                    copy(response, news.clone(), |status| Some(get_status(status))).await;
                }
                tokio::select! {
                    () = news.closed() => return,
                    () = tokio::time::sleep(backoff.delay()) => {}
                }
            }
        });
        changes
    }
}

/// Copies the messages of a stream until either side ends.
async fn copy<M: Message + Default, T>(mut response: Response, to: mpsc::Sender<T>, get: fn(M) -> Option<T>) {
    let mut came = BytesMut::new();
    loop {
        let piece = tokio::select! {
            () = to.closed() => return,
            piece = response.chunk() => piece,
        };
        let Ok(Some(piece)) = piece else { return };
        came.extend_from_slice(&piece);
        loop {
            match next::<M>(&mut came) {
                Ok(Some(message)) => {
                    let Some(item) = get(message) else { continue };
                    if to.send(item).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(()) => {
                    tracing::warn!("a stream of another node cannot be read; is it another release?");
                    return;
                }
            }
        }
    }
}
