//! One call to the simulator on this machine: bounded in time and size, no pool, no proxy.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode, header};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The whole call.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer, bytes.
const ANSWER: usize = 256 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("TLS")]
    Tls(#[from] rustls::Error),
    #[error("HTTP")]
    Http(#[from] reqwest::Error),
    #[error("the answer is too long")]
    TooLong,
}

/// Trusts nobody: the simulator speaks plain HTTP.
fn client() -> Result<Client, RelayError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder().tls_backend_preconfigured(tls).redirect(Policy::none()).no_proxy().timeout(PATIENCE);
    Ok(client.build()?)
}

/// Calls `base` + `path` with a bearer token.
pub(crate) async fn call(
    base: &str,
    path: &str,
    token: &str,
    method: Method,
    body: Bytes,
) -> Result<(StatusCode, Bytes), RelayError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let request = client()?.request(method, url).bearer_auth(token).header(header::CONTENT_TYPE, "application/json");
    let mut response = request.body(body).send().await?;
    let mut answer = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if answer.len() + chunk.len() > ANSWER {
            return Err(RelayError::TooLong);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok((response.status(), answer.freeze()))
}
