//! One client's socket: writes that never wait, a bounded backlog, a cut when it is full.
//!
//! The pacing task writes pictures here and the connection's own task writes replies; one lock keeps their bytes whole.
//! The lock is never held across a wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::WriteMode;

/// A client.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    backlog: Mutex<Backlog>,
    limit: usize,
    /// Cancelled to end the connection.
    pub(crate) cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    from: usize,
}

impl Backlog {
    fn left(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or(&[])
    }
    fn add(&mut self, bytes: &[u8]) {
        if self.left().is_empty() {
            self.bytes.clear();
            self.from = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
    fn flush(&mut self, stream: &TcpStream, most: usize) -> bool {
        let mut most = most;
        while !self.left().is_empty() && most > 0 {
            let part = self.left().len().min(most);
            match try_write(stream, &self.left()[..part]) {
                Ok(0) => break,
                Ok(written) => {
                    self.from += written;
                    most -= written;
                }
                Err(Gone) => return false,
            }
        }
        true
    }
}

struct Gone;

/// Bytes written now; 0 when the socket is full.
fn try_write(stream: &TcpStream, bytes: &[u8]) -> Result<usize, Gone> {
    match stream.try_write(bytes) {
        Ok(0) => Err(Gone),
        Ok(written) => Ok(written),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
        Err(_) => Err(Gone),
    }
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Written or waiting in the backlog.
    Taken,
    /// The backlog is full: the client is too slow.
    Full,
    /// The connection has ended.
    Gone,
}

impl Link {
    /// `limit`: bytes of backlog at most.
    pub(crate) fn new(stream: TcpStream, limit: usize) -> Self {
        // Without it a packet-by-packet camera would be merged into frames again; failing to set it harms nothing.
        let _ = stream.set_nodelay(true);
        Self { stream, backlog: Mutex::default(), limit, cut: CancellationToken::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends packets that begin at `cuts`, as a whole or one by one.
    pub(crate) fn offer(&self, bytes: &[u8], cuts: &[usize], mode: WriteMode) -> Sent {
        let mut backlog = self.backlog();
        if !backlog.flush(&self.stream, usize::MAX) {
            return Sent::Gone;
        }
        if backlog.left().is_empty() {
            match self.write(bytes, cuts, mode) {
                Ok(written) => backlog.add(&bytes[written..]),
                Err(Gone) => return Sent::Gone,
            }
            return Sent::Taken;
        }
        if backlog.left().len() + bytes.len() > self.limit {
            return Sent::Full;
        }
        backlog.add(bytes);
        Sent::Taken
    }

    fn write(&self, bytes: &[u8], cuts: &[usize], mode: WriteMode) -> Result<usize, Gone> {
        if mode == WriteMode::Frame {
            return try_write(&self.stream, bytes);
        }
        let mut written = 0;
        let ends = cuts.iter().skip(1).copied().chain([bytes.len()]);
        for (start, end) in cuts.iter().copied().zip(ends) {
            let count = try_write(&self.stream, &bytes[start..end])?;
            written += count;
            if count < end - start {
                break;
            }
        }
        Ok(written)
    }

    /// Sends at most `most` bytes now; while a frame is under way, others are left out.
    pub(crate) fn dribble(&self, bytes: &[u8], most: usize) -> Sent {
        let mut backlog = self.backlog();
        if backlog.left().is_empty() {
            backlog.add(bytes);
        }
        if backlog.flush(&self.stream, most) { Sent::Taken } else { Sent::Gone }
    }

    /// Sends a reply and waits until it is on its way.
    pub(crate) async fn reply(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.backlog().add(bytes);
        loop {
            {
                let mut backlog = self.backlog();
                if !backlog.flush(&self.stream, usize::MAX) {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                if backlog.left().is_empty() {
                    return Ok(());
                }
            }
            self.stream.writable().await?;
        }
    }

    /// Ends the connection with a reset instead of a farewell.
    pub(crate) fn reset(&self) {
        // If the option cannot be set the client sees an ordinary end.
        let _ = self.stream.set_zero_linger();
        self.cut.cancel();
    }
}
