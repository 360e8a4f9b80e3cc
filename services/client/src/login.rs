//! A session by name and password.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Response, header, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::Error;

/// Bytes of an answer that are read at most.
const LARGEST: usize = 64 << 10;
/// The whole call.
const PATIENCE: Duration = Duration::from_secs(15);

/// A session; clones are the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Session(String);

impl Session {
    /// A session by the token that a login gave.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
    /// The value of the header `cookie`.
    pub fn cookie(&self) -> String {
        format!("mjw_session={}", self.0)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}

/// Logs in at `address` (`host:port`).
///
/// # Errors
/// The network, or [`Error::Refused`] with the problem's code: wrong password, locked, too many attempts.
pub async fn log_in(address: &str, account: &str, password: &str) -> Result<Session, Error> {
    let body = serde_json::json!({ "account": account, "password": password });
    let answer = http()?.post(format!("http://{address}/api/v1/session")).json(&body).send().await?;
    if answer.status() != 200 {
        return Err(refused(answer).await?);
    }
    let mut token = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|cookie| {
        let cookie = cookie.to_str().ok()?;
        cookie.split(';').next()?.trim().strip_prefix("mjw_session=")
    });
    token.next_back().map(Session::new).ok_or(Error::Protocol("no session"))
}

/// Trusts nobody: the connection is plain (see the crate's docs).
fn http() -> Result<Client, Error> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Protocol("no TLS"))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder().tls_backend_preconfigured(tls).redirect(Policy::none()).no_proxy().timeout(PATIENCE);
    Ok(client.build()?)
}

async fn refused(mut answer: Response) -> Result<Error, Error> {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Error::Refused { status, code: code(&body), retry_after })
}

/// Code of a problem; empty when the body is none.
pub(crate) fn code(body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use axum::{
        Router,
        http::{HeaderMap, StatusCode},
        routing::post,
    };

    /// What a login gets from a server that answers so.
    async fn answered(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> Result<Session, Error> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let headers: HeaderMap = headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let answer = move || async move { (StatusCode::from_u16(status).unwrap(), headers, body) };
        let server = axum::serve(listener, Router::new().route("/api/v1/session", post(answer)));
        tokio::select! {
            result = log_in(&address, "duty", "long enough") => result,
            ended = server => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn the_token_is_read_and_never_printed() {
        let session = answered(200, &[("set-cookie", "mjw_session=abc; Path=/; HttpOnly")], "{}").await.unwrap();
        assert_eq!(session.cookie(), "mjw_session=abc");
        assert!(!format!("{session:?}").contains("abc"));
    }

    #[tokio::test]
    async fn refusals_carry_the_code() {
        let refusal = answered(401, &[("retry-after", "7")], "{\"code\":\"wrong_password\"}").await;
        let Err(Error::Refused { status, code, retry_after }) = refusal else { panic!() };
        assert_eq!((status, code.as_str(), retry_after), (401, "wrong_password", Some(7)));
        let odd = answered(500, &[], "<html>").await;
        assert!(matches!(odd, Err(Error::Refused { status: 500, ref code, .. }) if code.is_empty()), "{odd:?}");
        assert!(matches!(answered(200, &[], "{}").await, Err(Error::Protocol(_))));
        assert!(matches!(answered(302, &[("location", "/")], "").await, Err(Error::Refused { status: 302, .. })));
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_of_the_network() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let refusal = log_in(&address, "duty", "long enough").await;
        assert!(matches!(&refusal, Err(e @ Error::Http(_)) if e.passes()), "{refusal:?}");
    }
}
