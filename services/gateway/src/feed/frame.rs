//! WebSocket frames (RFC 6455): headers of what we send, and an incremental reader of what clients send. Pure.
//!
//! Invariants: a client's message never takes more than [`SOCKET_MESSAGE`] bytes plus one reading, and nothing is held
//! between whole messages. Whatever bytes come, the answer is a message, "more is needed" or a [`Fault`].

use bytes::{BufMut, Bytes, BytesMut};

use crate::config::SOCKET_MESSAGE;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Longest payload of a control frame.
const CONTROL: usize = 125;
/// Longest header of a server's frame.
pub(super) const HEADER: usize = 10;

/// What a frame of ours carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    Text,
    Binary,
    Pong,
}

/// The header of a whole, unmasked message of `len` bytes.
pub(super) fn put_header(out: &mut impl BufMut, carries: Carries, len: usize) {
    let opcode = match carries {
        Carries::Text => TEXT,
        Carries::Binary => BINARY,
        Carries::Pong => PONG,
    };
    put(out, opcode, len);
}

fn put(out: &mut impl BufMut, opcode: u8, len: usize) {
    out.put_u8(FIN | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => out.put_u8(len),
        (_, Ok(len)) => {
            out.put_u8(126);
            out.put_u16(len);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(u64::try_from(len).unwrap_or(u64::MAX));
        }
    }
}

/// A whole message of ours.
pub(super) fn framed(carries: Carries, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + payload.len());
    put_header(&mut out, carries, payload.len());
    out.put_slice(payload);
    out.freeze()
}

/// A close frame; without a code it is the answer to one without.
pub(super) fn close(code: Option<u16>, reason: &str) -> Bytes {
    let reason = if reason.len() + 2 > CONTROL { "" } else { reason };
    let mut out = BytesMut::new();
    put(&mut out, CLOSE, code.map_or(0, |_| 2 + reason.len()));
    if let Some(code) = code {
        out.put_u16(code);
        out.put_slice(reason.as_bytes());
    }
    out.freeze()
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// Why what a client sent cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Against the RFC.
    Protocol,
    /// Text that is no UTF-8.
    Utf8,
    /// Longer than [`SOCKET_MESSAGE`].
    TooLarge,
}

/// Reads frames from whatever pieces come.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// What is not a whole frame yet.
    buffer: Vec<u8>,
    /// A message whose last frame has not come: text or not, and what is there.
    parts: Option<(bool, Vec<u8>)>,
}

/// A frame's header.
struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Of the header itself.
    len: usize,
    payload: usize,
}

impl Parser {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` = more is needed.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Fault> {
        loop {
            let Some(header) = header(&self.buffer)? else { return Ok(None) };
            self.fits(&header)?;
            let end = header.len + header.payload;
            let Some(payload) = self.buffer.get(header.len..end) else { return Ok(None) };
            let payload: Vec<u8> = payload.iter().zip(header.mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            self.buffer.drain(..end);
            if self.buffer.is_empty() {
                self.buffer = Vec::new();
            }
            if let Some(message) = self.take(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    /// Refuses what is too long before it has come.
    fn fits(&self, header: &Header) -> Result<(), Fault> {
        let held = if header.opcode == CONTINUATION { self.parts.as_ref().map_or(0, |(_, p)| p.len()) } else { 0 };
        if held + header.payload > SOCKET_MESSAGE { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn take(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Incoming>, Fault> {
        let (text, whole) = match header.opcode {
            CLOSE => return closed(&payload).map(Some),
            PING => return Ok(Some(Incoming::Ping(payload))),
            PONG => return Ok(Some(Incoming::Pong)),
            CONTINUATION => {
                let (text, mut held) = self.parts.take().ok_or(Fault::Protocol)?;
                held.extend_from_slice(&payload);
                (text, held)
            }
            _ if self.parts.is_some() => return Err(Fault::Protocol),
            opcode => (opcode == TEXT, payload),
        };
        if !header.fin {
            self.parts = Some((text, whole));
            return Ok(None);
        }
        Ok(Some(if text {
            Incoming::Text(String::from_utf8(whole).map_err(|_| Fault::Utf8)?)
        } else {
            Incoming::Binary(whole)
        }))
    }
}

/// Reads a header as far as it is there.
fn header(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    let (fin, opcode) = (first & FIN != 0, first & 0x0f);
    let control = opcode >= CLOSE;
    let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
    let short = second & !MASKED;
    if first & 0x70 != 0 || !known || second & MASKED == 0 || (control && (!fin || usize::from(short) > CONTROL)) {
        return Err(Fault::Protocol);
    }
    let (payload, at) = match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(len)) => (u64::from_be_bytes(len), 10),
            _ => return Ok(None),
        },
        len => (u64::from(len), 2),
    };
    // A length must be given in as few bytes as it needs.
    if (at == 4 && payload < 126) || (at == 10 && (payload <= u64::from(u16::MAX) || payload >> 63 != 0)) {
        return Err(Fault::Protocol);
    }
    let payload = usize::try_from(payload).map_err(|_| Fault::TooLarge)?;
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => Ok(Some(Header { fin, opcode, mask: [a, b, c, d], len: at + 4, payload })),
        _ if payload > SOCKET_MESSAGE => Err(Fault::TooLarge),
        _ => Ok(None),
    }
}

fn closed(payload: &[u8]) -> Result<Incoming, Fault> {
    let &[a, b, ref reason @ ..] = payload else {
        return if payload.is_empty() { Ok(Incoming::Close(None)) } else { Err(Fault::Protocol) };
    };
    let code = u16::from_be_bytes([a, b]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Fault::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| Fault::Utf8)?;
    Ok(Incoming::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::{
        Message, WebSocket,
        protocol::{
            CloseFrame, Role,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    };

    use super::*;

    /// What a peer writes, and what it is given to read.
    #[derive(Default)]
    struct Wire {
        written: Vec<u8>,
        read: Cursor<Vec<u8>>,
    }

    impl Read for Wire {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.read.read(into)
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.written.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn client(read: Vec<u8>) -> WebSocket<Wire> {
        WebSocket::from_raw_socket(Wire { written: Vec::new(), read: Cursor::new(read) }, Role::Client, None)
    }

    /// Reads `bytes`, in pieces of the given lengths.
    fn read(bytes: &[u8], pieces: &[usize]) -> Result<Vec<Incoming>, Fault> {
        let (mut parser, mut messages, mut at) = (Parser::default(), Vec::new(), 0);
        for piece in pieces.iter().copied().chain([bytes.len()]) {
            let end = bytes.len().min(at + piece);
            parser.push(&bytes[at..end]);
            at = end;
            while let Some(message) = parser.next()? {
                messages.push(message);
            }
        }
        if parser.buffer.is_empty() {
            assert_eq!(parser.buffer.capacity(), 0, "nothing is held between messages");
        }
        Ok(messages)
    }

    fn message() -> impl Strategy<Value = Message> {
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
        prop_oneof![
            bytes(300).prop_map(|b| Message::Binary(b.into())),
            Just(Message::Binary(vec![7; SOCKET_MESSAGE].into())),
            ".{0,80}".prop_map(|t| Message::Text(t.into())),
            bytes(126).prop_map(|b| Message::Ping(b.into())),
            bytes(126).prop_map(|b| Message::Pong(b.into())),
        ]
    }

    fn as_read(message: &Message) -> Incoming {
        match message {
            Message::Binary(bytes) => Incoming::Binary(bytes.to_vec()),
            Message::Text(text) => Incoming::Text(text.to_string()),
            Message::Ping(bytes) => Incoming::Ping(bytes.to_vec()),
            Message::Pong(_) => Incoming::Pong,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn reads_what_a_client_writes(
            messages in prop::collection::vec(message(), 0..8),
            pieces in prop::collection::vec(1_usize..600, 0..40),
            code in prop::option::of(prop_oneof![1000_u16..1004, 1007_u16..1012, 3000_u16..5000]),
        ) {
            let mut peer = client(Vec::new());
            for message in &messages {
                peer.write(message.clone()).unwrap();
            }
            let frame = code.map(|code| CloseFrame { code: code.into(), reason: "再见".into() });
            peer.close(frame).unwrap();
            let mut expected: Vec<_> = messages.iter().map(as_read).collect();
            expected.push(Incoming::Close(code));
            prop_assert_eq!(read(&peer.get_ref().written, &pieces), Ok(expected));
        }

        #[test]
        fn reads_a_message_in_parts_with_control_frames_between(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
            pieces in prop::collection::vec(1_usize..100, 0..40),
        ) {
            let mut peer = client(Vec::new());
            for (index, part) in parts.iter().enumerate() {
                let opcode = OpCode::Data(if index == 0 { Data::Binary } else { Data::Continue });
                peer.write(Message::Frame(Frame::message(part.clone(), opcode, index + 1 == parts.len()))).unwrap();
                peer.write(Message::Ping(vec![1].into())).unwrap();
            }
            peer.flush().unwrap();
            let messages = read(&peer.get_ref().written, &pieces).unwrap();
            let whole: Vec<_> = messages.iter().filter(|m| matches!(m, Incoming::Binary(_))).collect();
            prop_assert_eq!(whole, [&Incoming::Binary(parts.concat())]);
            prop_assert_eq!(messages.len(), parts.len() + 1);
        }

        #[test]
        fn a_client_reads_what_we_write(
            payloads in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                Just(vec![1; 65_535]),
                Just(vec![2; 65_536]),
            ], 0..6),
        ) {
            let mut bytes: Vec<u8> = payloads.iter().flat_map(|p| framed(Carries::Binary, p)).collect();
            bytes.extend_from_slice(&framed(Carries::Text, "火警".as_bytes()));
            bytes.extend_from_slice(&framed(Carries::Pong, b"x"));
            bytes.extend_from_slice(&close(Some(1001), "draining"));
            let mut peer = client(bytes);
            for payload in payloads {
                prop_assert_eq!(peer.read().unwrap(), Message::Binary(payload.into()));
            }
            prop_assert_eq!(peer.read().unwrap(), Message::Text("火警".into()));
            prop_assert_eq!(peer.read().unwrap(), Message::Pong(b"x".to_vec().into()));
            let frame = CloseFrame { code: 1001.into(), reason: "draining".into() };
            prop_assert_eq!(peer.read().unwrap(), Message::Close(Some(frame)));
        }

        #[test]
        fn no_bytes_break_the_reader(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            pieces in prop::collection::vec(1_usize..50, 0..20),
        ) {
            let whole = read(&bytes, &[]);
            prop_assert_eq!(read(&bytes, &pieces), whole);
        }
    }

    /// A masked frame with an empty mask.
    fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).unwrap();
        [&[first, MASKED | len, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
        let long = |second: u8, len: &[u8]| [&[FIN | BINARY, MASKED | second], len, &[0; 4]].concat();
        let cases: &[(&str, Vec<u8>, Fault)] = &[
            ("reserved bit", raw(FIN | 0x40 | BINARY, b""), Fault::Protocol),
            ("unknown opcode", raw(FIN | 3, b""), Fault::Protocol),
            ("unknown control", raw(FIN | 11, b""), Fault::Protocol),
            ("no mask", vec![FIN | BINARY, 0], Fault::Protocol),
            ("ping in parts", raw(PING, b""), Fault::Protocol),
            ("long ping", vec![FIN | PING, MASKED | 126, 0, 126], Fault::Protocol),
            ("continues nothing", raw(FIN, b""), Fault::Protocol),
            ("begins within another", [raw(BINARY, b"a"), raw(FIN | BINARY, b"b")].concat(), Fault::Protocol),
            ("16 bits for 7", long(126, &[0, 125]), Fault::Protocol),
            ("64 bits for 16", long(127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]), Fault::Protocol),
            ("negative", long(127, &[0x80, 0, 0, 0, 0, 0, 0, 0]), Fault::Protocol),
            ("large", long(127, &[0, 0, 0, 0, 0, 1, 0, 0]), Fault::TooLarge),
            ("a byte too many", long(126, &[0x10, 1]), Fault::TooLarge),
            ("half a code", raw(FIN | CLOSE, &[3]), Fault::Protocol),
            ("code 1005", raw(FIN | CLOSE, &1005_u16.to_be_bytes()), Fault::Protocol),
            ("code 2000", raw(FIN | CLOSE, &2000_u16.to_be_bytes()), Fault::Protocol),
            ("reason", raw(FIN | CLOSE, &[3, 232, 0xff]), Fault::Utf8),
            ("text", raw(FIN | TEXT, &[0xff]), Fault::Utf8),
        ];
        for (what, bytes, fault) in cases {
            assert_eq!(read(bytes, &[1; 16]), Err(*fault), "{what}");
        }
    }

    #[test]
    fn parts_may_not_grow_beyond_one_message() {
        let part = |first: u8| [&[first, MASKED | 126, 8, 0, 0, 0, 0, 0][..], &[0; 2_048]].concat();
        let whole = [part(BINARY), part(FIN)].concat();
        assert_eq!(read(&whole, &[]).map(|m| m.len()), Ok(1));
        let larger = [part(BINARY), part(0), part(FIN)].concat();
        assert_eq!(read(&larger, &[]), Err(Fault::TooLarge));
    }

    #[test]
    fn a_close_reason_that_does_not_fit_is_left_out() {
        assert_eq!(close(None, "x"), Bytes::from_static(&[FIN | CLOSE, 0]));
        assert_eq!(close(Some(1002), &"x".repeat(124)), Bytes::from_static(&[FIN | CLOSE, 2, 3, 234]));
    }
}
