//! The ports between nodes: [`serve`] on the node that has the writer and the cameras, [`Peer`] on every other.
//!
//! Plain HTTP/2 on loopback, TLS elsewhere; both ends hold the same token. Commands and pictures travel on two
//! connections, so that no command waits behind a picture. Invariants: an answer of [`Peer`] is the writer's answer or
//! says that it is not known; every body, stream and wait is bounded; a link that is cut is noticed within
//! [`SILENCE`] and joined again by the next call.

mod client;
mod convert;
mod server;

use std::{path::PathBuf, time::Duration};

pub use client::{Peer, PeerOptions};
pub use server::{Node, ServerOptions, serve};

/// A silent connection is asked this often whether it is still there.
const ASK: Duration = Duration::from_secs(2);
/// A connection that does not answer that within this time is dropped.
pub const SILENCE: Duration = Duration::from_secs(4);
/// Largest submission, bytes: a site document is the largest input.
const SUBMISSION: usize = 8 << 20;
/// Largest message of a media stream and largest still or sheet, bytes.
const MESSAGE: usize = 16 << 20;
/// Largest clip, bytes.
const CLIP: usize = 256 << 20;
/// Streams that one peer may have open.
const STREAMS: u32 = 4_096;

/// Why a link cannot be set up. It names no secret.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file with certificates or a key cannot be used.
    #[error("{}: 没有可用的证书或私钥 no usable certificates or key", .0.display())]
    Certificates(PathBuf),
    /// The address is no `http://` or `https://` one.
    #[error("须为 http:// 或 https:// 地址 must be an http:// or https:// address")]
    Address,
    /// The token cannot be sent in a header.
    #[error("令牌须为 16 到 128 个可见的 ASCII 字符 the token must be 16 to 128 visible ASCII characters")]
    Token,
    /// TLS or the client cannot be set up.
    #[error("加密连接无法准备 TLS cannot be set up: {0}")]
    Setup(String),
}

/// What both ends must hold.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Checks its form.
    ///
    /// # Errors
    /// [`LinkError::Token`].
    pub fn new(text: &str) -> Result<Self, LinkError> {
        let fit = (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fit { Ok(Self(format!("Bearer {text}"))) } else { Err(LinkError::Token) }
    }

    fn header(&self) -> &str {
        &self.0
    }

    fn fits(&self, header: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.as_bytes().ct_eq(header).into()
    }
}
