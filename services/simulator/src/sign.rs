//! The signature of calls between the centre and the outside: HMAC-SHA256 of the lines timestamp, key and body, timestamps
//! in seconds, accepted within five minutes. Kept here so that the simulator shares no code with what it tests.

use axum::http::{HeaderMap, HeaderValue};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// Header of the signature, `v1=<hex>`.
pub const SIGNATURE: &str = "X-Signature";
/// Header of the time of signing, seconds since 1970.
pub const TIMESTAMP: &str = "X-Timestamp";
/// Header that names a request, so that a repetition takes effect once.
pub const KEY: &str = "Idempotency-Key";
/// How far a timestamp may be off, seconds.
pub const WINDOW_S: i64 = 300;

/// Why a signed request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header is missing or malformed.
    #[error("缺少签名头 signature headers are missing")]
    Missing,
    /// Too old or from the future.
    #[error("时间戳超出窗口 timestamp outside the window")]
    Stale,
    /// Not signed with this secret.
    #[error("签名不符 signature does not match")]
    Wrong,
}

fn mac(secret: &Secret, timestamp: &str, key: &[u8], body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    for part in [timestamp.as_bytes(), b"\n", key, b"\n", body] {
        mac.update(part);
    }
    Some(mac)
}

/// The value of the signature header; `key` is empty when the call has none.
pub fn sign(secret: &Secret, timestamp_s: i64, key: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so the empty case never happens.
    let tag = mac(secret, &timestamp_s.to_string(), key.as_bytes(), body).map(|m| m.finalize().into_bytes());
    format!("v1={}", tag.map(hex::encode).unwrap_or_default())
}

/// Checks the headers of a request; the comparison takes constant time.
pub fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8], now_s: i64) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(Refusal::Missing);
    let timestamp = text(TIMESTAMP)?;
    let at: i64 = timestamp.parse().map_err(|_| Refusal::Missing)?;
    let tag = text(SIGNATURE)?.strip_prefix("v1=").and_then(|h| hex::decode(h).ok()).ok_or(Refusal::Missing)?;
    if at.abs_diff(now_s) > WINDOW_S.unsigned_abs() {
        return Err(Refusal::Stale);
    }
    let key = headers.get(KEY).map_or(&[][..], HeaderValue::as_bytes);
    mac(secret, timestamp, key, body).and_then(|m| m.verify_slice(&tag).ok()).ok_or(Refusal::Wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(signature: &str, timestamp: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, signature.parse().unwrap());
        headers.insert(TIMESTAMP, timestamp.parse().unwrap());
        headers.insert(KEY, "k-1".parse().unwrap());
        headers
    }

    #[test]
    fn a_known_signature() {
        // printf '1700000000\nk-1\n{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = Secret::new("0123456789abcdef");
        assert_eq!(
            sign(&secret, 1_700_000_000, "k-1", b"{}"),
            "v1=9338989272917109c65af180f1e66212c3d804ac59358526a6e8a8b807c85bde"
        );
    }

    #[test]
    fn only_the_right_secret_body_and_time_pass() {
        let secret = Secret::new("0123456789abcdef");
        let good = sign(&secret, 1_000, "k-1", b"{}");
        assert_eq!(verify(&secret, &headers(&good, "1000"), b"{}", 1_300), Ok(()));
        assert_eq!(verify(&secret, &headers(&good, "1000"), b"{}", 1_301), Err(Refusal::Stale));
        assert_eq!(verify(&secret, &headers(&good, "1000"), b"{}", 699), Err(Refusal::Stale));
        assert_eq!(verify(&secret, &headers(&good, "1000"), b"{ }", 1_000), Err(Refusal::Wrong));
        assert_eq!(verify(&secret, &headers(&good, "1001"), b"{}", 1_000), Err(Refusal::Wrong));
        let mut overheard = headers(&good, "1000");
        overheard.insert(KEY, "k-2".parse().unwrap());
        assert_eq!(verify(&secret, &overheard, b"{}", 1_000), Err(Refusal::Wrong), "under another key");
        assert_eq!(verify(&Secret::new("another secret"), &headers(&good, "1000"), b"{}", 1_000), Err(Refusal::Wrong));
        assert_eq!(verify(&secret, &headers("v1=zz", "1000"), b"{}", 1_000), Err(Refusal::Missing));
        assert_eq!(verify(&secret, &HeaderMap::new(), b"{}", 1_000), Err(Refusal::Missing));
    }
}
