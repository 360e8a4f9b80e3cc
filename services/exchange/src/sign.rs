//! The signature of calls in both directions: `X-Signature: v1=<hex HMAC-SHA256(secret, lines)>`, where the lines are
//! `X-Timestamp` (seconds since 1970, within a window), `Idempotency-Key` (empty if there is none) and the body, joined by
//! line feeds. The key is signed, so that a call that was overheard takes no effect under another key. Pure.

use axum::http::{HeaderMap, HeaderValue};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Header of the signature.
pub const SIGNATURE: &str = "x-signature";
/// Header of the time of signing.
pub const TIMESTAMP: &str = "x-timestamp";
/// Header that names a request.
pub const KEY: &str = "idempotency-key";

/// Why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// A header is missing or malformed.
    Missing,
    /// Outside the window.
    Stale,
    /// Made with another secret, or for another key or body.
    Wrong,
}

fn tag(secret: &Secret, timestamp: &str, key: &[u8], body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; the other arm never runs.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.bytes()) else { return [0; 32] };
    for part in [timestamp.as_bytes(), b"\n", key, b"\n", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The value of the signature header.
pub fn sign(secret: &Secret, timestamp_s: i64, key: &str, body: &[u8]) -> String {
    format!("v1={}", hex::encode(tag(secret, &timestamp_s.to_string(), key.as_bytes(), body)))
}

/// Checks the headers of a request. The comparison takes constant time and comes first, so that nothing else can be
/// learnt without the secret.
pub fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8], now_s: i64, window_s: u32) -> Result<(), Unsigned> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(Unsigned::Missing);
    let timestamp = text(TIMESTAMP)?;
    let at: i64 = timestamp.parse().map_err(|_| Unsigned::Missing)?;
    let given = text(SIGNATURE)?.strip_prefix("v1=").and_then(|h| hex::decode(h).ok()).ok_or(Unsigned::Missing)?;
    let key = headers.get(KEY).map_or(&[][..], HeaderValue::as_bytes);
    if !bool::from(tag(secret, timestamp, key, body).as_slice().ct_eq(&given)) {
        return Err(Unsigned::Wrong);
    }
    if at.abs_diff(now_s) > u64::from(window_s) {
        return Err(Unsigned::Stale);
    }
    Ok(())
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
    fn known_signatures() {
        // printf '<timestamp>\n<key>\n<body>' | openssl dgst -sha256 -hmac <secret>
        let vectors = [
            (
                "0123456789abcdef",
                1_700_000_000,
                "k-1",
                "{}",
                "9338989272917109c65af180f1e66212c3d804ac59358526a6e8a8b807c85bde",
            ),
            ("demo-secret-of-fire", 1, "", "", "6f32f188bfc7377e5cb65246b9438632d9705077d58c1c5fb9d1bb471618fa9b"),
            (
                "密钥密钥密钥密钥",
                1_753_000_000,
                "XF-2026-7",
                r#"{"text":"冒烟"}"#,
                "c1a39faff6a4a033de1b679b36f895d70a846529b0efd2cecec968fbe9942e42",
            ),
        ];
        for (secret, at, key, body, expect) in vectors {
            assert_eq!(sign(&Secret::new(secret), at, key, body.as_bytes()), format!("v1={expect}"));
        }
    }

    #[test]
    fn only_the_right_secret_key_body_and_time_pass() {
        let secret = Secret::new("0123456789abcdef");
        let good = sign(&secret, 1_000, "k-1", b"{}");
        let check = |h: &HeaderMap, body: &[u8], now| verify(&secret, h, body, now, 300);
        assert_eq!(check(&headers(&good, "1000"), b"{}", 1_300), Ok(()));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 700), Ok(()));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 1_301), Err(Unsigned::Stale));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 699), Err(Unsigned::Stale));
        assert_eq!(check(&headers(&good, "1000"), b"{ }", 1_000), Err(Unsigned::Wrong));
        assert_eq!(check(&headers(&good, "1001"), b"{}", 1_000), Err(Unsigned::Wrong));
        let mut overheard = headers(&good, "1000");
        overheard.insert(KEY, "k-2".parse().unwrap());
        assert_eq!(check(&overheard, b"{}", 1_000), Err(Unsigned::Wrong), "under another key");
        overheard.remove(KEY);
        assert_eq!(check(&overheard, b"{}", 1_000), Err(Unsigned::Wrong), "without its key");
        assert_eq!(check(&headers("v1=00", "1000"), b"{}", 1_000), Err(Unsigned::Wrong), "a shortened tag");
        for bad in ["", "v1=", "v1=zz", "v2=00", good.trim_start_matches("v1=")] {
            let found = check(&headers(bad, "1000"), b"{}", 1_000);
            assert!(matches!(found, Err(Unsigned::Missing | Unsigned::Wrong)), "{bad}");
        }
        assert_eq!(check(&headers(&good, "soon"), b"{}", 1_000), Err(Unsigned::Missing));
        assert_eq!(check(&HeaderMap::new(), b"{}", 1_000), Err(Unsigned::Missing));
        let other = Secret::new("another secret of 16");
        assert_eq!(verify(&other, &headers(&good, "1000"), b"{}", 1_000, 300), Err(Unsigned::Wrong));
    }
}
