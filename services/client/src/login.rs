//! A session by name and password: one request of HTTP/1.1, which is all of HTTP that the feed needs.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::Error;

/// Bytes of an answer that are read at most.
const LARGEST: u64 = 64 << 10;
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
    let body = serde_json::json!({ "account": account, "password": password }).to_string();
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST).read_to_end(&mut answer).await?;
        Ok::<_, Error>(answer)
    };
    read(&timeout(PATIENCE, exchange).await.map_err(|_| Error::Silent)??)
}

fn read(answer: &[u8]) -> Result<Session, Error> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(Error::Protocol("no HTTP answer"))?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(Error::Protocol("no HTTP status"))?;
    if status != 200 {
        return Err(Error::Refused { status, code: code(body.as_bytes()), retry_after: None });
    }
    let mut token = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let cookie = name.eq_ignore_ascii_case("set-cookie").then(|| value.trim())?;
        cookie.split(';').next()?.strip_prefix("mjw_session=")
    });
    token.next_back().map(Session::new).ok_or(Error::Protocol("no session"))
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

    #[test]
    fn the_token_is_read_and_never_printed() {
        let answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: mjw_session=abc; Path=/; HttpOnly\r\n\r\n{}";
        let session = read(answer).unwrap();
        assert_eq!(session.cookie(), "mjw_session=abc");
        assert!(!format!("{session:?}").contains("abc"));
    }

    #[test]
    fn refusals_carry_the_code() {
        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: x\r\n\r\n{\"code\":\"wrong_password\"}";
        let Err(Error::Refused { status, code, .. }) = read(answer) else { panic!() };
        assert_eq!((status, code.as_str()), (401, "wrong_password"));
        assert!(matches!(read(b"HTTP/1.1 500 x\r\n\r\n<html>"), Err(Error::Refused { status: 500, .. })));
        assert!(matches!(read(b"HTTP/1.1 200 OK\r\n\r\n{}"), Err(Error::Protocol(_))));
        assert!(matches!(read(b""), Err(Error::Protocol(_))));
    }
}
