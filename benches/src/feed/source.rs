//! Who makes events: never waits, so that a server that falls behind is seen as late and not as slow to ask.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

/// How events are given to a server.
enum Way {
    /// Our part: a count of events to append and publish; it answers with the head of the log.
    Feeder,
    /// A POST each, pipelined.
    Nchan,
    /// The adapter's channel in Redis.
    Redis,
    /// Our socket.io server's own control port.
    Server,
}

/// A publisher.
pub(crate) struct Source {
    way: Way,
    stream: TcpStream,
    waiting: Vec<u8>,
    scratch: Vec<u8>,
    /// The last event that was given.
    pub(crate) at: u64,
    /// Bytes of a peer's payload.
    size: usize,
    /// Ours: the last head that was answered; durable.
    pub(crate) durable: u64,
    rest: Vec<u8>,
}

impl Source {
    fn new(way: Way, port: u16, at: u64, size: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (waiting, rest, scratch) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
        Ok(Self { way, stream, waiting, scratch, at, size, durable: at, rest })
    }
    pub(crate) fn feeder(port: u16, head: u64) -> anyhow::Result<Self> {
        Self::new(Way::Feeder, port, head, 0)
    }
    pub(crate) fn nchan(port: u16, size: usize) -> anyhow::Result<Self> {
        Self::new(Way::Nchan, port, 0, size)
    }
    pub(crate) fn redis(port: u16, size: usize) -> anyhow::Result<Self> {
        Self::new(Way::Redis, port, 0, size)
    }
    pub(crate) fn server(port: u16, size: usize) -> anyhow::Result<Self> {
        Self::new(Way::Server, port, 0, size)
    }

    /// Gives so many further events.
    pub(crate) fn publish(&mut self, count: u64) -> anyhow::Result<()> {
        match self.way {
            Way::Feeder => self.waiting.extend_from_slice(&u32::try_from(count)?.to_le_bytes()),
            Way::Server => self.waiting.extend_from_slice(format!("{count} {}\n", self.size).as_bytes()),
            Way::Nchan => (1..=count).for_each(|i| post(&mut self.waiting, &payload(self.at + i, self.size))),
            Way::Redis => (1..=count).for_each(|i| emit(&mut self.waiting, &payload(self.at + i, self.size))),
        }
        self.at += count;
        self.turn()
    }

    /// Writes what waits and reads what was answered, as far as goes.
    pub(crate) fn turn(&mut self) -> anyhow::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(n) => drop(self.waiting.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            match self.stream.read(&mut self.scratch) {
                Ok(0) => anyhow::bail!("the publisher's connection is closed"),
                Ok(n) if matches!(self.way, Way::Feeder) => {
                    self.rest.extend_from_slice(&self.scratch[..n]);
                    let whole = self.rest.len() / 8 * 8;
                    if let Some(last) = self.rest[..whole].rchunks_exact(8).next() {
                        self.durable = u64::from_le_bytes(last.try_into()?);
                    }
                    self.rest.drain(..whole);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The number and letters up to `size` bytes.
fn payload(number: u64, size: usize) -> String {
    let mut text = format!("{number} ");
    text.extend(std::iter::repeat_n('x', size.saturating_sub(text.len())));
    text
}

fn post(out: &mut Vec<u8>, payload: &str) {
    let head = format!("POST /pub HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", payload.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload.as_bytes());
}

/// What an emitter of socket.io publishes, in MessagePack: its name, the packet, and to whom.
fn emit(out: &mut Vec<u8>, payload: &str) {
    let mut packed = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa1e\xda".to_vec();
    packed.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    packed.extend_from_slice(payload.as_bytes());
    packed.extend_from_slice(b"\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80");
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n$12\r\nsocket.io#/#\r\n${}\r\n", packed.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&packed);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size() {
        assert_eq!(payload(12, 10), "12 xxxxxxx");
        assert_eq!(payload(12, 1), "12 ");
    }

    #[test]
    fn requests_say_their_length() {
        let mut out = Vec::new();
        post(&mut out, "12 xx");
        assert_eq!(out, b"POST /pub HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12 xx");
        let mut out = Vec::new();
        emit(&mut out, "1 x");
        let text = String::from_utf8_lossy(&out);
        assert!(text.starts_with("*3\r\n$7\r\nPUBLISH\r\n$12\r\nsocket.io#/#\r\n$"), "{text}");
    }
}
