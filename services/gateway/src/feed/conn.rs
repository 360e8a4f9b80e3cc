//! The writing half of one feed socket. Either the porter of its lane writes (the client is up to date, and gets frames
//! as they are made), or, while it is held, the client's own task (it is behind, or gets a snapshot).
//!
//! Invariants: the cursor stands where all that was given to the socket or waits in `rest` ends; `rest` holds what one
//! look, gap or snapshot gave. Lock order: a socket's `out`, then its stream. Nothing here blocks: writes take what the
//! kernel has room for.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{sync::Notify, time::timeout};

use super::{
    close::Close,
    io::Io,
    ring::{LOOK, Look},
    stream::{Epoch, Stream},
};
use crate::config::SEND_PATIENCE;

/// Pieces of one write: one look and a heartbeat.
const PIECES: usize = LOOK + 1;

/// Short messages that wait for a client that takes nothing; what it asks for beyond is not answered.
const MOST_SAID: u8 = 16;

/// Messages of a round up to so many bytes are joined.
const JOINED: usize = 64 << 10;

/// Where a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) epoch: u64,
    pub(super) log_id: u64,
    pub(super) cursor: u64,
}

struct Out {
    at: At,
    /// The client's task writes.
    held: bool,
    /// Given, but not yet taken by the kernel.
    rest: VecDeque<Bytes>,
    /// Short messages said since all was taken.
    said: u8,
}

pub(super) struct Conn {
    io: Io,
    out: Mutex<Out>,
    /// Calls the client's task.
    wake: Notify,
}

/// What the client's task does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the porter goes on.
    Live,
    /// It writes what was queued.
    Flush,
    /// The ring does not reach back to the cursor.
    Off,
    /// Everybody starts anew.
    Anew(Epoch),
}

impl Conn {
    pub(super) fn new(io: impl Into<Io>) -> Self {
        let out = Mutex::new(Out { at: At::default(), held: true, rest: VecDeque::new(), said: 0 });
        Self { io: io.into(), out, wake: Notify::new() }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn at(&self) -> At {
        self.out().at
    }

    /// The porter found work for the client's task.
    pub(super) async fn called(&self) {
        self.wake.notified().await;
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.io.try_read(into)
    }

    /// Writes as many of `pieces` as the kernel takes at once; bytes taken.
    fn try_write<'a>(&self, pieces: impl Iterator<Item = &'a Bytes>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        match slices.get(..count).unwrap_or(&slices) {
            [piece] => self.io.try_write(piece),
            pieces => self.io.try_write_vectored(pieces),
        }
    }

    fn hold(&self, out: &mut Out) {
        out.held = true;
        self.wake.notify_one();
    }

    /// The porter's turn: what is new, and a heartbeat if there is one.
    pub(super) fn carry(&self, sweep: &mut Sweep<'_>, mut beat: Option<&Bytes>) {
        let mut out = self.out();
        while !out.held {
            let Some(batch) = sweep.look(out.at) else { return self.hold(&mut out) };
            if batch.messages.is_empty() && beat.is_none() {
                return;
            }
            let pieces = || batch.messages.iter().chain(beat);
            let Ok(taken) = self.try_write(pieces()) else { return self.hold(&mut out) };
            out.at.cursor = batch.upto;
            out.keep(pieces(), taken);
            if !out.rest.is_empty() {
                return self.hold(&mut out);
            }
            beat = None;
        }
    }

    /// Sends a short message, at once if the client is up to date.
    pub(super) fn say(&self, message: Bytes) {
        let mut out = self.out();
        if !out.rest.is_empty() {
            if out.said < MOST_SAID {
                out.said += 1;
                out.rest.push_back(message);
            }
            return;
        }
        let taken = self.try_write(std::iter::once(&message)).unwrap_or(0);
        out.keep(std::iter::once(&message), taken);
        if !out.rest.is_empty() {
            self.hold(&mut out);
        }
    }

    /// From here on the client's task writes.
    pub(super) fn take_over(&self) {
        self.out().held = true;
    }

    /// Queues messages for the client's task to write, and where they lead.
    pub(super) fn queue(&self, messages: impl IntoIterator<Item = Bytes>, at: Option<At>) {
        let mut out = self.out();
        out.held = true;
        out.rest.extend(messages);
        out.at = at.unwrap_or(out.at);
    }

    /// Queues what follows the cursor.
    pub(super) fn next(&self, stream: &Stream) -> Next {
        let mut out = self.out();
        match stream.look(out.at.epoch, out.at.cursor) {
            Ok(Look::Messages(messages, _)) if messages.is_empty() && out.rest.is_empty() => {
                out.held = false;
                Next::Live
            }
            Ok(Look::Messages(messages, cursor)) => {
                out.held = true;
                out.rest.extend(messages);
                out.at.cursor = cursor;
                Next::Flush
            }
            Ok(Look::Off) => Next::Off,
            Err(epoch) => Next::Anew(epoch),
        }
    }

    /// Writes everything that is queued. A client that takes nothing for [`SEND_PATIENCE`] is stuck.
    pub(super) async fn flush(&self) -> Result<(), Close> {
        while !self.write_rest()? {
            match timeout(SEND_PATIENCE, self.io.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Close::Gone),
                Err(_) => return Err(Close::Stuck),
            }
        }
        Ok(())
    }

    /// Whether all is written.
    fn write_rest(&self) -> Result<bool, Close> {
        let mut out = self.out();
        while !out.rest.is_empty() {
            match self.try_write(out.rest.iter()) {
                Ok(0) => return Err(Close::Gone),
                Ok(taken) => out.taken(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(_) => return Err(Close::Gone),
            }
        }
        (out.rest, out.said) = (VecDeque::new(), 0);
        Ok(true)
    }

    /// Says that nothing follows, and waits until the client has read that: closing with its bytes unread would destroy
    /// ours on their way.
    pub(super) async fn finish(&self, patience: Duration) {
        self.io.end();
        let ended = async {
            while self.io.readable().await.is_ok() {
                match self.io.try_read(&mut [0; 512]) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = timeout(patience, ended).await;
    }

    /// Gives the connection up: the kernel forgets what it holds for the client.
    pub(super) fn abort(&self) {
        self.io.abort();
    }
}

impl Out {
    /// Keeps what the kernel did not take.
    fn keep<'a>(&mut self, pieces: impl Iterator<Item = &'a Bytes>, mut taken: usize) {
        for piece in pieces {
            let whole = piece.len().min(taken);
            taken -= whole;
            if whole < piece.len() {
                self.rest.push_back(piece.slice(whole..));
            }
        }
    }

    fn taken(&mut self, mut bytes: usize) {
        while let Some(first) = self.rest.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.rest.pop_front();
        }
    }
}

/// What follows a cursor, for all clients that stand there.
pub(super) struct Batch {
    messages: Vec<Bytes>,
    upto: u64,
}

/// One round over the clients of a stream: most of them stand at the same place, so that one look serves them.
pub(super) struct Sweep<'a> {
    stream: &'a Stream,
    /// The last looks, the newest first.
    looks: VecDeque<(At, Option<Arc<Batch>>)>,
}

impl<'a> Sweep<'a> {
    /// Looks that are kept.
    const KEPT: usize = 8;

    pub(super) fn new(stream: &'a Stream) -> Self {
        Self { stream, looks: VecDeque::with_capacity(Self::KEPT) }
    }

    /// `None` when the client's task has to see to it.
    fn look(&mut self, at: At) -> Option<Arc<Batch>> {
        if let Some((_, batch)) = self.looks.iter().find(|(known, _)| *known == at) {
            return batch.clone();
        }
        let batch = match self.stream.look(at.epoch, at.cursor) {
            Ok(Look::Messages(messages, upto)) => Some(Arc::new(Batch { messages: joined(messages), upto })),
            Ok(Look::Off) | Err(_) => None,
        };
        self.looks.truncate(Self::KEPT - 1);
        self.looks.push_front((at, batch.clone()));
        batch
    }
}

/// One piece in place of many: joined once, where each client's write would otherwise walk over all of them.
fn joined(messages: Vec<Bytes>) -> Vec<Bytes> {
    let bytes = messages.iter().map(Bytes::len).sum::<usize>();
    if messages.len() < 2 || bytes > JOINED {
        return messages;
    }
    let mut whole = BytesMut::with_capacity(bytes);
    messages.iter().for_each(|message| whole.extend_from_slice(message));
    vec![whole.freeze()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_joined_and_large_ones_left() {
        let pieces = |sizes: &[usize]| sizes.iter().map(|n| Bytes::from(vec![7; *n])).collect::<Vec<_>>();
        assert_eq!(joined(pieces(&[])), pieces(&[]));
        assert_eq!(joined(pieces(&[3, 4, 5])), pieces(&[12]));
        assert_eq!(joined(pieces(&[JOINED, 1])), pieces(&[JOINED, 1]));
    }

    fn out(pieces: &[&'static str]) -> Out {
        let rest = pieces.iter().map(|p| Bytes::from_static(p.as_bytes())).collect();
        Out { at: At::default(), held: false, rest, said: 0 }
    }

    #[test]
    fn what_the_kernel_did_not_take_is_kept() {
        let pieces = [Bytes::from_static(b"abc"), Bytes::from_static(b"de"), Bytes::from_static(b"f")];
        for taken in 0..=6 {
            let mut kept = out(&[]);
            kept.keep(pieces.iter(), taken);
            assert_eq!(kept.rest.iter().flatten().copied().collect::<Vec<_>>(), b"abcdef"[taken..]);
            let mut rest = out(&["abc", "de", "f"]);
            rest.taken(taken);
            assert_eq!(rest.rest.iter().flatten().copied().collect::<Vec<_>>(), b"abcdef"[taken..]);
        }
    }
}
