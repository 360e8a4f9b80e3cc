//! Basic (RFC 7617) and Digest (RFC 7616) as cameras ask for them. Secrets are compared, never shown: `Debug` of
//! credentials hides the password. Nothing here blocks.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use md5::{Digest as _, Md5};

/// How a camera asks who its client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Anybody may look.
    Open,
    /// Name and password in base 64.
    Basic,
    /// Digest with MD5, without `qop` as old cameras do it.
    Digest,
    /// Digest with MD5 and `qop="auth"`.
    DigestQop,
}

/// Name and password of a camera.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Realm that cameras name.
pub(crate) const REALM: &str = "camera";

/// The WWW-Authenticate header; `None` when the camera is open.
pub(crate) fn challenge(auth: Auth, nonce: &str) -> Option<String> {
    match auth {
        Auth::Open => None,
        Auth::Basic => Some(format!("Basic realm=\"{REALM}\"")),
        Auth::Digest => Some(format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\"")),
        Auth::DigestQop => Some(format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5")),
    }
}

/// Whether `header` (of Authorization) proves the credentials for a request of `method` on this connection's `nonce`.
pub(crate) fn allows(auth: Auth, nonce: &str, credentials: &Credentials, method: &str, header: Option<&str>) -> bool {
    match auth {
        Auth::Open => true,
        Auth::Basic => header.is_some_and(|h| basic(h, credentials)),
        Auth::Digest | Auth::DigestQop => header.and_then(DigestAnswer::parse).is_some_and(|a| {
            a.nonce == nonce
                && a.realm == REALM
                && a.user == credentials.user
                && a.qop.is_some() == (auth == Auth::DigestQop)
                && a.response == a.expected(&credentials.password, method)
        }),
    }
}

fn basic(header: &str, credentials: &Credentials) -> bool {
    let Some(("Basic", encoded)) = header.split_once(' ') else { return false };
    let wanted = format!("{}:{}", credentials.user, credentials.password);
    BASE64_STANDARD.decode(encoded.trim()).is_ok_and(|given| given == wanted.as_bytes())
}

/// The fields of a Digest answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct DigestAnswer {
    user: String,
    realm: String,
    nonce: String,
    uri: String,
    response: String,
    qop: Option<String>,
    count: String,
    client_nonce: String,
}

impl DigestAnswer {
    fn parse(header: &str) -> Option<Self> {
        let mut answer = Self::default();
        let mut rest = header.strip_prefix("Digest ")?.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (after.get(..end)?, after.get(end..)?)
                }
            };
            let value = value.trim().to_owned();
            match name.trim() {
                "username" => answer.user = value,
                "realm" => answer.realm = value,
                "nonce" => answer.nonce = value,
                "uri" => answer.uri = value,
                "response" => answer.response = value.to_ascii_lowercase(),
                "qop" => answer.qop = Some(value),
                "nc" => answer.count = value,
                "cnonce" => answer.client_nonce = value,
                "algorithm" if !value.eq_ignore_ascii_case("md5") => return None,
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ', '\t']);
        }
        Some(answer)
    }

    fn expected(&self, password: &str, method: &str) -> String {
        let ha1 = md5_hex(&format!("{}:{}:{password}", self.user, self.realm));
        let ha2 = md5_hex(&format!("{method}:{}", self.uri));
        match &self.qop {
            None => md5_hex(&format!("{ha1}:{}:{ha2}", self.nonce)),
            Some(qop) => md5_hex(&format!("{ha1}:{}:{}:{}:{qop}:{ha2}", self.nonce, self.count, self.client_nonce)),
        }
    }
}

fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vector_of_rfc_7616_with_qop() {
        let answer = DigestAnswer::parse(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=MD5, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
             response=\"8ca523f5e9506fed4657c9700eebdbec\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        )
        .unwrap();
        assert_eq!(answer.expected("Circle of Life", "GET"), answer.response);
        assert_ne!(answer.expected("Circle of Life", "PUT"), answer.response);
    }

    #[test]
    fn the_vector_of_rfc_2069_without_qop() {
        let answer = DigestAnswer::parse(
            "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             uri=\"/dir/index.html\", response=\"1949323746fe6a43ef61f9606e7febea\"",
        )
        .unwrap();
        assert_eq!(answer.expected("CircleOfLife", "GET"), "1949323746fe6a43ef61f9606e7febea");
    }

    fn someone() -> Credentials {
        Credentials { user: "admin".into(), password: "s3cret".into() }
    }

    #[test]
    fn basic_wants_both_name_and_password() {
        let good = format!("Basic {}", BASE64_STANDARD.encode("admin:s3cret"));
        let bad = format!("Basic {}", BASE64_STANDARD.encode("admin:other"));
        assert!(allows(Auth::Basic, "", &someone(), "PLAY", Some(&good)));
        assert!(!allows(Auth::Basic, "", &someone(), "PLAY", Some(&bad)));
        assert!(!allows(Auth::Basic, "", &someone(), "PLAY", None));
    }

    #[test]
    fn digest_is_bound_to_the_nonce_and_the_asked_qop() {
        let answer =
            DigestAnswer { user: "admin".into(), realm: REALM.into(), nonce: "n1".into(), ..Default::default() };
        let header = format!(
            "Digest username=\"admin\", realm=\"{REALM}\", nonce=\"n1\", uri=\"\", response=\"{}\"",
            answer.expected("s3cret", "PLAY")
        );
        assert!(allows(Auth::Digest, "n1", &someone(), "PLAY", Some(&header)));
        assert!(!allows(Auth::Digest, "n2", &someone(), "PLAY", Some(&header)));
        assert!(!allows(Auth::DigestQop, "n1", &someone(), "PLAY", Some(&header)));
    }

    #[test]
    fn debug_hides_the_password() {
        assert!(!format!("{:?}", someone()).contains("s3cret"));
    }

    proptest! {
        #[test]
        fn any_header_is_refused_or_read(header in "(Digest |Basic )?[ -~]{0,120}") {
            prop_assert!(!allows(Auth::DigestQop, "nonce-of-this-connection", &someone(), "PLAY", Some(&header)));
        }
    }
}
