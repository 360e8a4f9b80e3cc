//! Calls out: signed, timed, with bounded answers. Errors name the kind of failure, never an address or a body.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, RequestBuilder, Response,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
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
    /// The answer came, and its content is not what was agreed: why, Chinese.
    #[error("content: {0}")]
    Unreadable(String),
    /// The answer is longer than read.
    #[error("answer too long")]
    TooLong,
    /// Another status than 2xx.
    #[error("status {0}")]
    Status(u16),
    /// Our credentials are refused: status 401 or 403, or a code that means it.
    #[error("denied: {0}")]
    Denied(String),
    /// Called too often, or down for a known time: not again before this many ms.
    #[error("{why}: asks to wait {ms} ms")]
    Wait {
        /// Status or code.
        why: String,
        /// How long, ms; bounded.
        ms: i64,
    },
    /// The status was 2xx, but the answer is no receipt.
    #[error("no receipt: {code}")]
    NotTaken {
        /// Code of the answer.
        code: String,
        /// What the other side says; for people of the centre only.
        words: String,
    },
}

/// Why of a wait for a system that is down.
const DOWN: &str = "status 503";

impl CallError {
    /// The same call would be answered the same way; the other side is not down.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self, Self::Status(s) if (400..500).contains(s) && !matches!(s, 408 | 425 | 429))
    }

    /// The other side is there, whatever it says.
    pub(crate) fn answered(&self) -> bool {
        // One that says for how long it is down is down all the same.
        let busy = matches!(self, Self::Wait { why, .. } if why != DOWN);
        busy || self.refuses() || matches!(self, Self::Denied(_) | Self::NotTaken { .. } | Self::Status(429))
    }

    /// For people of the centre, Chinese.
    pub(crate) fn zh(&self) -> String {
        match self {
            Self::Connect => "连接不上".to_owned(),
            Self::Timeout => "没有应答".to_owned(),
            Self::Unreadable(why) => why.clone(),
            Self::Broken | Self::TooLong => "应答无法读取".to_owned(),
            Self::Status(status) => format!("应答状态 {status}"),
            Self::Denied(why) => format!("拒绝本中心的签名或密钥（{why}）"),
            Self::Wait { why, .. } => format!("要求稍后再推（{why}）"),
            Self::NotTaken { code, words } if words.is_empty() => format!("应答表示未收到（{code}）"),
            Self::NotTaken { code, words } => format!("应答表示未收到（{code}：{words}）"),
        }
    }
}

/// Shortest and longest wait that another side can tell, ms.
const WAIT: (i64, i64) = (1_000, 3_600_000);

/// How long `Retry-After` asks to wait: seconds, or a date. A date is compared with the other side's own clock if it tells
/// one (`Date`), for it may be off.
fn told_to_wait(headers: &HeaderMap, now_s: i64) -> Option<i64> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let date = |text: &str| {
        let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    let told = text(RETRY_AFTER)?;
    let seconds = match told.parse::<i64>() {
        Ok(seconds) if seconds >= 0 => seconds,
        Ok(_) => return None,
        Err(_) => date(told)?.saturating_sub(text(DATE).and_then(date).unwrap_or(now_s)),
    };
    Some(seconds.saturating_mul(1_000).clamp(WAIT.0, WAIT.1))
}

/// What a status other than 2xx means.
fn status_error(status: u16, headers: &HeaderMap, now_s: i64) -> CallError {
    match (status, told_to_wait(headers, now_s)) {
        (401 | 403, _) => CallError::Denied(format!("status {status}")),
        (429 | 503, Some(ms)) => CallError::Wait { why: format!("status {status}"), ms },
        _ => CallError::Status(status),
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

/// A request for records.
pub(crate) struct Request<'a> {
    pub(crate) post: bool,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: String,
}

impl Call<'_> {
    /// Posts a JSON body under a key; the answer's body.
    pub(crate) async fn post(&self, client: &Client, url: &str, key: &str, body: Vec<u8>) -> Result<Bytes, CallError> {
        let request = self.signed(client.post(url), key, &body).header(KEY, key);
        self.send(request.header("content-type", "application/json").body(body)).await
    }

    /// Asks for records; the answer's body.
    pub(crate) async fn fetch(&self, client: &Client, request: Request<'_>) -> Result<Bytes, CallError> {
        let Request { post, url, headers, body } = request;
        let builder = if post { client.post(url).header("content-type", "application/json") } else { client.get(url) };
        let builder = headers.into_iter().fold(builder, |b, (name, value)| b.header(name, value));
        let builder = self.signed(builder, "", body.as_bytes());
        self.send(if post { builder.body(body) } else { builder }).await
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
            return Err(status_error(status.as_u16(), response.headers(), self.now_s));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    /// 2026-01-01 00:00:00 GMT.
    const NOW: i64 = 1_767_225_600;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        for (told, date, ms) in [
            ("120", None, Some(120_000)),
            (" 7 ", None, Some(7_000)),
            ("0", None, Some(1_000)),
            ("999999999999", None, Some(3_600_000)),
            ("Thu, 01 Jan 2026 00:01:30 GMT", None, Some(90_000)),
            // Its clock is an hour ahead of ours.
            ("Thu, 01 Jan 2026 01:00:30 GMT", Some("Thu, 01 Jan 2026 01:00:00 GMT"), Some(30_000)),
            ("Thursday, 01-Jan-26 00:00:10 GMT", None, Some(10_000)),
            ("Thu Jan  1 00:00:10 2026", None, Some(10_000)),
            ("Wed, 31 Dec 2025 23:00:00 GMT", None, Some(1_000)),
            ("-5", None, None),
            ("soon", None, None),
            ("", None, None),
        ] {
            let mut pairs = vec![("retry-after", told)];
            pairs.extend(date.map(|d| ("date", d)));
            assert_eq!(told_to_wait(&headers(&pairs), NOW), ms, "{told}");
        }
        assert_eq!(told_to_wait(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn a_status_says_whose_turn_it_is() {
        let told = headers(&[("retry-after", "9")]);
        let wait = |status: u16| CallError::Wait { why: format!("status {status}"), ms: 9_000 };
        assert_eq!(status_error(429, &told, NOW), wait(429));
        assert_eq!(status_error(503, &told, NOW), wait(503));
        assert!(wait(429).answered() && !wait(503).answered());
        assert_eq!(status_error(429, &HeaderMap::new(), NOW), CallError::Status(429));
        assert_eq!(status_error(500, &told, NOW), CallError::Status(500));
        for status in [401, 403] {
            assert_eq!(status_error(status, &told, NOW), CallError::Denied(format!("status {status}")));
            assert!(!status_error(status, &told, NOW).refuses(), "it is kept");
        }
        assert!(CallError::Status(404).refuses() && !CallError::Status(503).answered());
    }
}
