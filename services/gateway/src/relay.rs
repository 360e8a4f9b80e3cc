//! One plain HTTP call to the simulator on this machine: bounded in time and size, no pool, no TLS.

use std::time::Duration;

use axum::http::{Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// The whole call.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer, bytes.
const ANSWER: usize = 256 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the address is not http://host:port")]
    Address,
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    #[error("HTTP")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made")]
    Request(#[from] axum::http::Error),
    #[error("the answer is too long or broken")]
    Answer,
    #[error("too late")]
    Late,
}

/// Calls `base` + `path` with a bearer token.
pub(crate) async fn call(
    base: &str,
    path: &str,
    token: &str,
    method: Method,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RelayError> {
    timeout(PATIENCE, once(base, path, token, method, body)).await.unwrap_or(Err(RelayError::Late))
}

async fn once(
    base: &str,
    path: &str,
    token: &str,
    method: Method,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RelayError> {
    let uri: Uri = base.parse().map_err(|_| RelayError::Address)?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or(RelayError::Address)?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", uri.path().trim_end_matches('/')))
        .header(header::HOST, authority.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await.map_err(|_| RelayError::Answer)?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            // The connection may end with the answer already read.
            exchange.await
        }
    }
}
