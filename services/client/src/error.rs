//! Why something did not work, and whether to try again.

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// A request failed on its way, or took too long.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// The WebSocket failed.
    #[error("the socket failed")]
    Socket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The server answered, and not with what was asked for.
    #[error("the server answered {status} {code}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Code of the problem, if it came with one.
        code: String,
        /// Seconds after which to come again, if it says so.
        retry_after: Option<u64>,
    },
    /// The server closed; 1006 = without saying why.
    #[error("the server closed: {code} {reason}")]
    Closed {
        /// WebSocket close code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// Nothing came for longer than the patience.
    #[error("nothing came in time")]
    Silent,
    /// A frame that does not begin where we stand.
    #[error("a frame begins after {after}, the cursor is {cursor}")]
    Gap {
        /// Where we stand.
        cursor: u64,
        /// Where the frame begins.
        after: u64,
    },
    /// Not the protocol.
    #[error("against the protocol: {0}")]
    Protocol(&'static str),
}

impl Error {
    /// Whether another connection may help: not when the session is over, the request itself is refused, or the server
    /// does not understand us.
    pub fn passes(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Closed { code, .. } => !matches!(code, 4401 | 1002 | 1003 | 1007 | 1009),
            Self::Io(_) | Self::Http(_) | Self::Socket(_) | Self::Silent | Self::Gap { .. } | Self::Protocol(_) => true,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Silent } else { Self::Http(error) }
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        use tokio_tungstenite::tungstenite::Error as Ws;
        match error {
            Ws::Http(response) => {
                let code = response.body().as_deref().map(crate::login::code).unwrap_or_default();
                let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                Self::Refused { status: response.status().as_u16(), code, retry_after }
            }
            Ws::Io(error) => Self::Io(error),
            other => Self::Socket(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio_tungstenite::tungstenite::{self, http};

    use super::*;

    #[test]
    fn what_no_further_connection_heals_is_final() {
        let closed = |code| Error::Closed { code, reason: String::new() }.passes();
        assert_eq!([4401, 1002, 1003, 1007, 1009].map(closed), [false; 5]);
        assert_eq!([1001, 1006, 1013].map(closed), [true; 3]);
        let refused = |status| Error::Refused { status, code: String::new(), retry_after: None }.passes();
        assert_eq!([401, 403, 429, 503].map(refused), [false, false, true, true]);
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let answer = http::Response::builder().status(503).header("retry-after", "7").body(None).unwrap();
        let error = Error::from(tungstenite::Error::Http(answer.into()));
        assert!(matches!(error, Error::Refused { status: 503, retry_after: Some(7), .. }), "{error:?}");
    }
}
