//! Why something did not work, and whether to try again.

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
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
    /// Whether another connection may help: not when the session is over or the request itself is refused.
    pub fn passes(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Closed { code, .. } => *code != 4401,
            Self::Io(_) | Self::Socket(_) | Self::Silent | Self::Gap { .. } | Self::Protocol(_) => true,
        }
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        use tokio_tungstenite::tungstenite::Error as Ws;
        match error {
            Ws::Http(response) => {
                let code = response.body().as_deref().map(crate::login::code).unwrap_or_default();
                Self::Refused { status: response.status().as_u16(), code }
            }
            Ws::Io(error) => Self::Io(error),
            other => Self::Socket(Box::new(other)),
        }
    }
}
