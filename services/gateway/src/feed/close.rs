//! Why a feed socket closes, and what its client is told. `docs/feed.md` explains each code to those who write clients.

use super::frame::Fault;

/// Why a socket closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The client's connection broke.
    Gone,
    /// It takes nothing.
    Stuck,
    /// It says goodbye, with this code.
    Answer(Option<u16>),
    /// It does not keep to the protocol.
    Protocol,
    /// It speaks the other subprotocol's form.
    WrongForm,
    /// Its text is no UTF-8 or no JSON.
    Malformed,
    /// Its message is too long.
    TooLarge,
    /// Its session ended.
    Session,
    /// We stop.
    Draining,
    /// The store fails: come again.
    Trouble,
}

impl Close {
    /// Those that a client may see.
    #[cfg(test)]
    pub(super) const TOLD: [Self; 7] = [
        Self::Draining,
        Self::Protocol,
        Self::WrongForm,
        Self::Malformed,
        Self::TooLarge,
        Self::Trouble,
        Self::Session,
    ];

    /// Code and reason; `None` when nobody is there to be told.
    pub(super) const fn frame(self) -> Option<(Option<u16>, &'static str)> {
        match self {
            Self::Gone | Self::Stuck => None,
            Self::Answer(code) => Some((code, "")),
            Self::Draining => Some((Some(1001), "draining")),
            Self::Protocol => Some((Some(1002), "protocol")),
            Self::WrongForm => Some((Some(1003), "wrong form")),
            Self::Malformed => Some((Some(1007), "malformed")),
            Self::TooLarge => Some((Some(1009), "too large")),
            Self::Trouble => Some((Some(1013), "try again")),
            Self::Session => Some((Some(4401), "session")),
        }
    }
}

impl From<Fault> for Close {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Protocol => Self::Protocol,
            Fault::Utf8 => Self::Malformed,
            Fault::TooLarge => Self::TooLarge,
        }
    }
}
