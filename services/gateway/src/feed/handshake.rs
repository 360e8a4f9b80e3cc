//! The opening handshake, and the bare connection behind it.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;

use crate::problem::Problem;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client that asks for a WebSocket.
pub(crate) struct Handshake {
    accept: String,
    protocols: Vec<String>,
    upgrade: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let accept = accept(&parts.method, &parts.headers).ok_or(Problem::bad_upgrade())?;
        let offered = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
        let protocols = offered.flat_map(|line| line.split(',')).map(|p| p.trim().to_owned()).collect();
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Problem::bad_upgrade())?;
        Ok(Self { accept, protocols, upgrade })
    }
}

impl Handshake {
    /// The first of the protocols offered that we speak.
    pub(super) fn choose<T>(&self, speak: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.protocols.iter().find_map(|p| speak(p))
    }

    /// The answer that switches, and the connection to come.
    pub(super) fn answer(self, protocol: &'static str) -> (Response, OnUpgrade) {
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        ];
        let accept = [(header::SEC_WEBSOCKET_ACCEPT, self.accept)];
        ((StatusCode::SWITCHING_PROTOCOLS, headers, accept, Body::empty()).into_response(), self.upgrade)
    }
}

/// The bare connection, and what the client sent ahead.
pub(super) fn bare(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// The value that proves that we understood; `None` when this is no opening handshake.
fn accept(method: &Method, headers: &HeaderMap) -> Option<String> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|line| line.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    let asked = method == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asked)?.as_bytes();
    if STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    Some(STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_opening_handshake_is_accepted() {
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
        };
        // The RFC's own example.
        assert_eq!(accept(&Method::GET, &headers(&good)).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accept(&Method::POST, &headers(&good)), None);
        for (index, bad) in ["close", "h2c", "8", "c2hvcnQ="].into_iter().enumerate() {
            let mut pairs = good;
            pairs[index].1 = bad;
            assert_eq!(accept(&Method::GET, &headers(&pairs)), None, "{bad}");
        }
    }
}
