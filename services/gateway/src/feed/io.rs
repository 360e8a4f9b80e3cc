//! What a feed socket reads from and writes to: a TCP connection, or a pipe of the model. Nothing here blocks.

use std::{
    io::{self, IoSlice},
    sync::Once,
};

use socket2::SockRef;
use tokio::net::TcpStream;

#[cfg(test)]
use super::model::pipe::Pipe;
use crate::config::{FEED_SEND_BUFFER, FEED_UNSENT, NETWORK_PATIENCE};

pub(super) enum Io {
    Tcp(TcpStream),
    #[cfg(test)]
    Pipe(Pipe),
}

impl From<TcpStream> for Io {
    fn from(tcp: TcpStream) -> Self {
        let socket = SockRef::from(&tcp);
        // A client that is slow should show here, not in megabytes of the kernel. One whose network is gone would otherwise
        // keep its place for a quarter of an hour.
        let bounded = [
            socket.set_send_buffer_size(FEED_SEND_BUFFER),
            socket.set_tcp_notsent_lowat(FEED_UNSENT),
            socket.set_tcp_user_timeout(Some(NETWORK_PATIENCE)),
        ];
        bounded.iter().filter_map(|done| done.as_ref().err()).for_each(unbounded);
        Self::Tcp(tcp)
    }
}

/// Of the first connection, or a kernel that cannot do it would fill the log.
fn unbounded(error: &io::Error) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| tracing::warn!(%error, "the kernel may hold more than it should for feed clients"));
}

impl Io {
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.readable().await,
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.readable().await,
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.writable().await,
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.writable().await,
        }
    }

    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_read(into),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_read(into),
        }
    }

    /// One piece: cheaper than a list of one.
    pub(super) fn try_write(&self, piece: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write(piece),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(&[IoSlice::new(piece)]),
        }
    }

    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write_vectored(pieces),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(pieces),
        }
    }

    /// Says that nothing follows.
    pub(super) fn end(&self) {
        match self {
            Self::Tcp(tcp) => drop(SockRef::from(tcp).shutdown(std::net::Shutdown::Write)),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.end(),
        }
    }

    /// The kernel forgets what it holds for the client.
    pub(super) fn abort(&self) {
        match self {
            Self::Tcp(tcp) => drop(SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO))),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.abort(),
        }
    }
}
