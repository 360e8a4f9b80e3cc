//! Calls out: signed, timed, with bounded answers. Errors name the kind of failure, never an address or a body.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, RequestBuilder, Response};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    ExchangeError,
    config::Secret,
    sign::{KEY, SIGNATURE, TIMESTAMP, sign},
};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection.
    #[error("connect")]
    Connect,
    /// No answer in time.
    #[error("timeout")]
    Timeout,
    /// The connection broke, or the answer cannot be read.
    #[error("broken")]
    Broken,
    /// The answer is longer than read.
    #[error("answer too long")]
    TooLong,
    /// Another status than 2xx.
    #[error("status {0}")]
    Status(u16),
}

impl CallError {
    /// The same call would be answered the same way; the other side is not down.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self, Self::Status(s) if (400..500).contains(s) && !matches!(s, 408 | 425 | 429))
    }
}

/// A client that trusts only the given authorities and follows no redirects.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Client, ExchangeError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        let bad = || ExchangeError::Certificates { file: file.display().to_string() };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| bad())? {
            roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
        if roots.is_empty() {
            return Err(bad());
        }
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| ExchangeError::Certificates { file: "TLS".to_owned() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(4)
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(ExchangeError::Client)
}

/// What a signed call is made of.
pub(crate) struct Call<'a> {
    pub(crate) secret: &'a Secret,
    pub(crate) now_s: i64,
    pub(crate) timeout_s: u32,
    /// Longest answer, bytes.
    pub(crate) most: usize,
}

impl Call<'_> {
    /// Posts a JSON body under a key; the answer's body.
    pub(crate) async fn post(&self, client: &Client, url: &str, key: &str, body: Vec<u8>) -> Result<Bytes, CallError> {
        let request = self.signed(client.post(url), key, &body).header(KEY, key);
        self.send(request.header("content-type", "application/json").body(body)).await
    }

    /// Gets; the answer's body.
    pub(crate) async fn get(&self, client: &Client, url: &str) -> Result<Bytes, CallError> {
        self.send(self.signed(client.get(url), "", b"")).await
    }

    fn signed(&self, request: RequestBuilder, key: &str, body: &[u8]) -> RequestBuilder {
        request
            .header(SIGNATURE, sign(self.secret, self.now_s, key, body))
            .header(TIMESTAMP, self.now_s.to_string())
            .timeout(Duration::from_secs(self.timeout_s.max(1).into()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Bytes, CallError> {
        let response = request.send().await.map_err(|e| cause(&e))?;
        let status = response.status();
        if !status.is_success() {
            return Err(CallError::Status(status.as_u16()));
        }
        self.body(response).await
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, CallError> {
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|e| cause(&e))? {
            if body.len() + part.len() > self.most {
                return Err(CallError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }
}

fn cause(error: &reqwest::Error) -> CallError {
    if error.is_timeout() {
        CallError::Timeout
    } else if error.is_connect() {
        CallError::Connect
    } else {
        CallError::Broken
    }
}
