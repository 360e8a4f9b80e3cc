//! A connection within the process: bytes both ways, with little room for what nobody reads.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

/// One direction.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// No more bytes follow.
    ended: bool,
    /// Whoever would read or write is gone.
    broken: bool,
}

struct Both {
    /// To the client, and to the gateway.
    ways: Mutex<(Way, Way)>,
    room: usize,
    to_client: Notify,
    to_gateway: Notify,
    /// The client has read.
    taken: Notify,
}

/// The gateway's end.
pub(in crate::feed) struct Pipe(Arc<Both>);

/// The client's end.
pub(in crate::feed) struct Line(Arc<Both>);

/// A connection with room for so many bytes on their way to the client.
pub(in crate::feed) fn pipe(room: usize) -> (Pipe, Line) {
    let both = Both {
        ways: Mutex::default(),
        room,
        to_client: Notify::new(),
        to_gateway: Notify::new(),
        taken: Notify::new(),
    };
    let both = Arc::new(both);
    (Pipe(both.clone()), Line(both))
}

impl Pipe {
    pub(in crate::feed) async fn readable(&self) -> io::Result<()> {
        loop {
            {
                let ways = self.0.ways.lock().unwrap();
                if !ways.1.bytes.is_empty() || ways.1.ended || ways.1.broken {
                    return Ok(());
                }
            }
            self.0.to_gateway.notified().await;
        }
    }

    pub(in crate::feed) async fn writable(&self) -> io::Result<()> {
        loop {
            {
                let ways = self.0.ways.lock().unwrap();
                if ways.0.bytes.len() < self.0.room || ways.0.broken {
                    return Ok(());
                }
            }
            self.0.taken.notified().await;
        }
    }

    pub(in crate::feed) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut ways = self.0.ways.lock().unwrap();
        if ways.1.broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let count = into.len().min(ways.1.bytes.len());
        if count == 0 {
            return if ways.1.ended { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        into.iter_mut().zip(ways.1.bytes.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }

    pub(in crate::feed) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ways = self.0.ways.lock().unwrap();
        if ways.0.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = self.0.room.saturating_sub(ways.0.bytes.len());
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let all = pieces.iter().flat_map(|piece| piece.iter().copied());
        let before = ways.0.bytes.len();
        ways.0.bytes.extend(all.take(room));
        self.0.to_client.notify_one();
        Ok(ways.0.bytes.len() - before)
    }

    pub(in crate::feed) fn end(&self) {
        self.0.ways.lock().unwrap().0.ended = true;
        self.0.to_client.notify_one();
    }

    pub(in crate::feed) fn abort(&self) {
        self.0.ways.lock().unwrap().0.broken = true;
        self.0.to_client.notify_one();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // What is on its way arrives; then it is over.
        self.end();
    }
}

impl Line {
    /// A masked frame; the mask is zero.
    pub(super) fn say(&self, payload: &[u8]) {
        let mut ways = self.0.ways.lock().unwrap();
        let len = u8::try_from(payload.len()).unwrap();
        assert!(len < 126, "longer than any hello");
        ways.1.bytes.extend([0x82, 0x80 | len, 0, 0, 0, 0]);
        ways.1.bytes.extend(payload);
        self.0.to_gateway.notify_one();
    }

    /// The next binary message; `None` once the connection is over.
    pub(in crate::feed) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            {
                let mut ways = self.0.ways.lock().unwrap();
                if ways.0.broken {
                    return None;
                }
                if let Some((opcode, payload)) = frame(&mut ways.0.bytes) {
                    self.0.taken.notify_one();
                    match opcode {
                        0x82 => return Some(payload),
                        0x88 => return None,
                        other => panic!("a frame {other:#x}"),
                    }
                }
                // A frame that is longer than the room comes in pieces.
                if ways.0.ended {
                    return None;
                }
            }
            self.0.to_client.notified().await;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut ways = self.0.ways.lock().unwrap();
        (ways.0.broken, ways.1.broken) = (true, true);
        self.0.to_gateway.notify_one();
        self.0.taken.notify_one();
    }
}

/// Takes a whole frame from the front.
fn frame(bytes: &mut VecDeque<u8>) -> Option<(u8, Vec<u8>)> {
    let at = |n: usize| bytes.get(n).copied().map(usize::from);
    let (head, len) = match at(1)? {
        126 => (4, at(2)? << 8 | at(3)?),
        127 => (10, (2..10).try_fold(0, |len, n| Some(len << 8 | at(n)?))?),
        len => (2, len),
    };
    if bytes.len() < head + len {
        return None;
    }
    let opcode = bytes[0];
    bytes.drain(..head);
    Some((opcode, bytes.drain(..len).collect()))
}
