//! The signature of calls in both directions: `X-Signature: v1=<hex HMAC-SHA256(secret, timestamp + "." + body)>` with
//! `X-Timestamp` in seconds since 1970, within a window. Pure.

use axum::http::HeaderMap;
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
    /// Made with another secret or for another body.
    Wrong,
}

fn tag(secret: &Secret, timestamp: &str, body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; the other arm never runs.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.bytes()) else { return [0; 32] };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The value of the signature header.
pub fn sign(secret: &Secret, timestamp_s: i64, body: &[u8]) -> String {
    format!("v1={}", hex::encode(tag(secret, &timestamp_s.to_string(), body)))
}

/// Checks the headers of a request. The comparison takes constant time and comes first, so that nothing else can be
/// learnt without the secret.
pub fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8], now_s: i64, window_s: u32) -> Result<(), Unsigned> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(Unsigned::Missing);
    let timestamp = text(TIMESTAMP)?;
    let at: i64 = timestamp.parse().map_err(|_| Unsigned::Missing)?;
    let given = text(SIGNATURE)?.strip_prefix("v1=").and_then(|h| hex::decode(h).ok()).ok_or(Unsigned::Missing)?;
    if !bool::from(tag(secret, timestamp, body).as_slice().ct_eq(&given)) {
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
        headers
    }

    #[test]
    fn known_signatures() {
        // printf '<timestamp>.<body>' | openssl dgst -sha256 -hmac <secret>
        let vectors = [
            (
                "0123456789abcdef",
                1_700_000_000,
                "{}",
                "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e",
            ),
            ("demo-secret-of-fire", 1, "", "4de0076eac286398c21feb4a4982e6e357ccde040799402a6d8d7e6fd67c8cef"),
            (
                "密钥密钥密钥密钥",
                1_753_000_000,
                r#"{"text":"冒烟"}"#,
                "4211e8f825ecaae849a11b3597f6103ac13fb0b759f170e84305cd044504e2e6",
            ),
        ];
        for (secret, at, body, expect) in vectors {
            assert_eq!(sign(&Secret::new(secret), at, body.as_bytes()), format!("v1={expect}"));
        }
    }

    #[test]
    fn only_the_right_secret_body_and_time_pass() {
        let secret = Secret::new("0123456789abcdef");
        let good = sign(&secret, 1_000, b"{}");
        let check = |h: &HeaderMap, body: &[u8], now| verify(&secret, h, body, now, 300);
        assert_eq!(check(&headers(&good, "1000"), b"{}", 1_300), Ok(()));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 700), Ok(()));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 1_301), Err(Unsigned::Stale));
        assert_eq!(check(&headers(&good, "1000"), b"{}", 699), Err(Unsigned::Stale));
        assert_eq!(check(&headers(&good, "1000"), b"{ }", 1_000), Err(Unsigned::Wrong));
        assert_eq!(check(&headers(&good, "1001"), b"{}", 1_000), Err(Unsigned::Wrong));
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
