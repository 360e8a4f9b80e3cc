//! What each server says, reduced to event numbers: ours by the header of a frame, the peers by a number that their
//! payload begins with. Pure.

use prost::Message as _;
use wire::feed;

use super::ws;

/// How a client speaks.
#[derive(Debug, Clone)]
pub(crate) enum Dialect {
    /// Our feed, with the cookie of a session.
    Ours { cookie: String, conflate: bool },
    /// `nchan_subscriber websocket`.
    Nchan,
    /// socket.io over Engine.IO 4, WebSocket only.
    SocketIo,
}

/// What a message of the server means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The client stands here now.
    Stands { log_id: u64, at: u64 },
    /// The client is joined and stands wherever the publisher is.
    Joined { pid: String },
    /// The events of a range, and where to go on after it (socket.io with recovery).
    Events { after: u64, upto: u64, offset: Option<String> },
    /// Must be answered.
    Answer(Vec<u8>),
    /// A snapshot follows.
    Resync,
    /// Nothing that counts.
    Nothing,
}

/// Where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) log_id: u64,
    pub(crate) cursor: u64,
    /// socket.io: the session and the offset of its last message.
    pub(crate) pid: String,
    pub(crate) offset: String,
}

impl Dialect {
    /// The upgrade.
    pub(crate) fn request(&self, address: &str) -> String {
        let (path, more) = match self {
            Self::Ours { cookie, .. } => (
                "/api/v1/feed",
                format!(
                    "origin: http://{address}\r\ncookie: {cookie}\r\nsec-websocket-protocol: {}\r\n",
                    client::PROTOCOL
                ),
            ),
            Self::Nchan => ("/sub", String::new()),
            Self::SocketIo => ("/socket.io/?EIO=4&transport=websocket", String::new()),
        };
        format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    }

    /// What to send once upgraded.
    pub(crate) fn first(&self, from: &Place) -> Vec<u8> {
        let Self::Ours { conflate, .. } = self else { return Vec::new() };
        let hello = feed::Hello { log_id: from.log_id, cursor: from.cursor, conflate: *conflate };
        let kind = Some(feed::client_message::Kind::Hello(hello));
        ws::to_server(ws::BINARY, &feed::ClientMessage { kind }.encode_to_vec())
    }

    /// Whether the server tells when a client is joined.
    pub(crate) const fn tells(&self) -> bool {
        !matches!(self, Self::Nchan)
    }

    pub(crate) fn read(&self, frame: &ws::Frame<'_>, from: &Place) -> Said {
        match (self, frame.opcode) {
            (_, ws::PING) => Said::Answer(ws::to_server(ws::PONG, frame.payload)),
            (Self::Ours { .. }, ws::BINARY) => ours(frame.payload).unwrap_or(Said::Nothing),
            (Self::Nchan, ws::TEXT | ws::BINARY) => single(frame.payload, None),
            (Self::SocketIo, ws::TEXT) => socket_io(frame.payload, from),
            _ => Said::Nothing,
        }
    }
}

/// One event by the number at the beginning.
fn single(text: &[u8], offset: Option<String>) -> Said {
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    let upto = digits.fold(0_u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')));
    if upto == 0 { Said::Nothing } else { Said::Events { after: upto - 1, upto, offset } }
}

const EVENT: &[u8] = br#"42["e",""#;

fn socket_io(text: &[u8], from: &Place) -> Said {
    if let Some(rest) = text.strip_prefix(EVENT) {
        // With recovery the offset is the last argument.
        let parts: Vec<&[u8]> = rest.split(|b| *b == b'"').collect();
        let offset = parts.get(2).map(|o| String::from_utf8_lossy(o).into_owned());
        return single(rest, offset);
    }
    match text {
        [b'0', ..] => {
            let connect = if from.pid.is_empty() {
                "40".to_owned()
            } else {
                format!(r#"40{{"pid":"{}","offset":"{}"}}"#, from.pid, from.offset)
            };
            Said::Answer(ws::to_server(ws::TEXT, connect.as_bytes()))
        }
        [b'2', ..] => Said::Answer(ws::to_server(ws::TEXT, b"3")),
        [b'4', b'0', body @ ..] => {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            Said::Joined { pid: body["pid"].as_str().unwrap_or_default().to_owned() }
        }
        _ => Said::Nothing,
    }
}

/// The header fields of a frame or a snapshot; items are not looked at.
fn ours(bytes: &[u8]) -> Option<Said> {
    let (key, rest) = varint(bytes)?;
    let (len, body) = varint(rest)?;
    let body = body.get(..usize::try_from(len).ok()?)?;
    match key {
        // Snapshot: log_id, seq.
        10 => {
            let [log_id, at, ..] = numbers(body)?;
            Some(Said::Stands { log_id, at })
        }
        // Frame: log_id, after, upto.
        18 => {
            let [_, after, upto] = numbers(body)?;
            Some(Said::Events { after, upto, offset: None })
        }
        34 => Some(Said::Resync),
        _ => None,
    }
}

/// Fields 1 to 3, which are numbers in both; they may come in any order, before everything that is long.
fn numbers(mut bytes: &[u8]) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        let place = usize::try_from(key >> 3).ok()?.checked_sub(1)?;
        if key & 7 != 0 {
            break;
        }
        let (value, rest) = varint(rest)?;
        if let Some(field) = found.get_mut(place) {
            *field = value;
        }
        bytes = rest;
    }
    Some(found)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use feed::server_message::Kind;

    fn said(kind: Kind) -> Option<Said> {
        ours(&feed::ServerMessage { kind: Some(kind) }.encode_to_vec())
    }

    #[test]
    fn our_headers_are_read_without_the_rest() {
        let items = vec![feed::Item { event: Some(feed::Event { seq: 9, ..Default::default() }), state: None }];
        let frame = feed::Frame { log_id: 1 << 52, after: 300, upto: 301, server_time: 5, items };
        assert_eq!(said(Kind::Frame(frame)), Some(Said::Events { after: 300, upto: 301, offset: None }));
        let states = vec![feed::State { rev: 4, kind: None }];
        let snapshot = feed::Snapshot { log_id: 7, seq: 300, server_time: 5, states, audience: "a".to_owned() };
        assert_eq!(said(Kind::Snapshot(snapshot)), Some(Said::Stands { log_id: 7, at: 300 }));
        assert_eq!(said(Kind::Resync(feed::Resync { reason: "slow".to_owned() })), Some(Said::Resync));
        assert_eq!(said(Kind::Heartbeat(feed::Heartbeat { server_time: 1, head: 2, log_id: 3 })), None);
    }

    #[test]
    fn peers_number_their_events() {
        let from = Place::default();
        assert_eq!(single(b"12 xx", None), Said::Events { after: 11, upto: 12, offset: None });
        assert_eq!(single(b"hello", None), Said::Nothing);
        let with = socket_io(br#"42["e","7 xx","1-0"]"#, &from);
        assert_eq!(with, Said::Events { after: 6, upto: 7, offset: Some("1-0".to_owned()) });
        assert_eq!(socket_io(br#"40{"sid":"a","pid":"b"}"#, &from), Said::Joined { pid: "b".to_owned() });
        assert_eq!(socket_io(b"2", &from), Said::Answer(ws::to_server(ws::TEXT, b"3")));
        let from = Place { pid: "p".to_owned(), offset: "1-0".to_owned(), ..Place::default() };
        let connect = ws::to_server(ws::TEXT, br#"40{"pid":"p","offset":"1-0"}"#);
        assert_eq!(socket_io(b"0{}", &from), Said::Answer(connect));
    }
}
