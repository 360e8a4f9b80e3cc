//! The two forms of the protocol, one a subprotocol: protobuf in binary messages, and proto3's JSON mapping in text.
//! Everything here makes whole WebSocket messages, so that they are made once and written as they are.

use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{encode_varint, encoded_len_varint},
};
use wire::feed::{self, client_message, server_message::Kind};

use super::{
    close::Close,
    frame::{self, Carries, HEADER, Incoming},
};

/// A subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Protobuf,
    Json,
}

/// What stands before the items of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) log_id: u64,
    pub(super) after: u64,
    pub(super) upto: u64,
    pub(super) server_time: i64,
}

/// Encoded items, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    pub(super) bytes: Bytes,
    /// Position of each item, and where it begins.
    pub(super) marks: Vec<(u64, usize)>,
}

/// A snapshot without the time at which it is sent.
#[derive(Clone, Debug)]
pub(super) struct Body(Form, Bytes);

/// Field `number` of a message, a varint.
const fn varint_field(number: u8) -> u8 {
    number << 3
}

/// Field `number` of a message, bytes.
const fn bytes_field(number: u8) -> u8 {
    number << 3 | 2
}

fn put_varint(out: &mut BytesMut, number: u8, value: u64) {
    out.put_u8(varint_field(number));
    encode_varint(value, out);
}

impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Protobuf, Self::Json];

    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Protobuf => "maojiawan.feed.v1",
            Self::Json => "maojiawan.feed.v1.json",
        }
    }

    pub(super) fn of(protocol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.protocol() == protocol)
    }

    const fn carries(self) -> Carries {
        match self {
            Self::Protobuf => Carries::Binary,
            Self::Json => Carries::Text,
        }
    }

    /// A whole message.
    pub(super) fn message(self, kind: Kind) -> Bytes {
        let message = feed::ServerMessage { kind: Some(kind) };
        match self {
            Self::Protobuf => frame::framed(Carries::Binary, &message.encode_to_vec()),
            Self::Json => frame::framed(Carries::Text, json(&message).as_bytes()),
        }
    }

    pub(super) fn items(self, items: &[feed::Item]) -> Items {
        let (mut bytes, mut marks) = (BytesMut::new(), Vec::with_capacity(items.len()));
        for item in items {
            if self == Self::Json && !bytes.is_empty() {
                bytes.put_u8(b',');
            }
            let seq = item.event.as_ref().map(|e| e.seq).or(item.state.as_ref().map(|s| s.rev));
            marks.push((seq.unwrap_or(0), bytes.len()));
            match self {
                Self::Protobuf => {
                    bytes.put_u8(bytes_field(5));
                    encode_varint(u64::try_from(item.encoded_len()).unwrap_or(u64::MAX), &mut bytes);
                    bytes.put_slice(&item.encode_to_vec());
                }
                Self::Json => bytes.put_slice(json(item).as_bytes()),
            }
        }
        Items { bytes: bytes.freeze(), marks }
    }

    /// A frame around encoded items, and where they stand in it.
    pub(super) fn frame(self, head: Head, items: &[u8]) -> (Bytes, usize) {
        let (before, after) = match self {
            Self::Protobuf => (protobuf_frame(head, items.len()), &b""[..]),
            Self::Json => (json_frame(head), &b"]}}"[..]),
        };
        let len = before.len() + items.len() + after.len();
        let mut out = BytesMut::with_capacity(HEADER + len);
        frame::put_header(&mut out, self.carries(), len);
        out.put_slice(&before);
        let at = out.len();
        out.put_slice(items);
        out.put_slice(after);
        (out.freeze(), at)
    }

    pub(super) fn snapshot(self, snapshot: &feed::Snapshot) -> Body {
        let body = match self {
            Self::Protobuf => snapshot.encode_to_vec(),
            Self::Json => {
                let text = json(snapshot);
                let fields = text.strip_prefix('{').unwrap_or("}");
                format!("{}{fields}}}", if fields == "}" { "" } else { "," }).into_bytes()
            }
        };
        Body(self, body.into())
    }

    /// What a client says.
    pub(super) fn read(self, message: Incoming) -> Result<client_message::Kind, Close> {
        let message = match (self, message) {
            (Self::Protobuf, Incoming::Binary(bytes)) => {
                feed::ClientMessage::decode(&*bytes).map_err(|_| Close::Protocol)?
            }
            (Self::Json, Incoming::Text(text)) => {
                serde_json::from_str::<feed::ClientMessage>(&text).map_err(|error| match error.classify() {
                    serde_json::error::Category::Data => Close::Protocol,
                    _ => Close::Malformed,
                })?
            }
            _ => return Err(Close::WrongForm),
        };
        message.kind.ok_or(Close::Protocol)
    }
}

impl Body {
    pub(super) fn len(&self) -> usize {
        self.1.len()
    }

    /// The whole message in two pieces, the second shared.
    pub(super) fn message(&self, server_time: i64) -> [Bytes; 2] {
        let mut before = BytesMut::new();
        match self.0 {
            Form::Protobuf => {
                // Fields of a message may come in any order.
                let mut time = BytesMut::new();
                put_varint(&mut time, 3, server_time.cast_unsigned());
                before.put_u8(bytes_field(1));
                encode_varint(u64::try_from(time.len() + self.len()).unwrap_or(u64::MAX), &mut before);
                before.put_slice(&time);
            }
            Form::Json => before.put_slice(format!(r#"{{"snapshot":{{"serverTime":"{server_time}""#).as_bytes()),
        }
        let mut out = BytesMut::with_capacity(HEADER + before.len());
        frame::put_header(&mut out, self.0.carries(), before.len() + self.len());
        out.put_slice(&before);
        [out.freeze(), self.1.clone()]
    }
}

fn protobuf_frame(head: Head, items: usize) -> BytesMut {
    let mut fields = BytesMut::with_capacity(48);
    put_varint(&mut fields, 2, head.after);
    put_varint(&mut fields, 1, head.log_id);
    put_varint(&mut fields, 3, head.upto);
    put_varint(&mut fields, 4, head.server_time.cast_unsigned());
    let len = u64::try_from(fields.len() + items).unwrap_or(u64::MAX);
    let mut out = BytesMut::with_capacity(1 + encoded_len_varint(len) + fields.len());
    out.put_u8(bytes_field(2));
    encode_varint(len, &mut out);
    out.put_slice(&fields);
    out
}

fn json_frame(head: Head) -> BytesMut {
    let Head { log_id, after, upto, server_time } = head;
    let text = format!(
        r#"{{"frame":{{"logId":"{log_id}","after":"{after}","upto":"{upto}","serverTime":"{server_time}","items":["#
    );
    BytesMut::from(text.as_bytes())
}

/// Enumerations are the only values that JSON could not hold, and views only use ones that it can.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(error = %error, "a feed message has no JSON form");
        "{}".to_owned()
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a server's WebSocket message back.
    pub(in super::super) fn decoded(form: Form, message: &[u8]) -> Kind {
        let (at, len) = match message[1] {
            126 => (4, usize::from(u16::from_be_bytes([message[2], message[3]]))),
            127 => (10, usize::try_from(u64::from_be_bytes(message[2..10].try_into().unwrap())).unwrap()),
            len => (2, usize::from(len)),
        };
        assert_eq!(message.len(), at + len);
        assert_eq!(message[0] & 0x0f, if form == Form::Json { 1 } else { 2 });
        let message: feed::ServerMessage = match form {
            Form::Protobuf => feed::ServerMessage::decode(&message[at..]).unwrap(),
            Form::Json => serde_json::from_slice(&message[at..]).unwrap(),
        };
        message.kind.unwrap()
    }

    fn items() -> Vec<feed::Item> {
        let event = |seq| Some(feed::Event { seq, kind: "reported".to_owned(), ..feed::Event::default() });
        let gone = feed::Gone { kind: "incident".to_owned(), id: "7".to_owned() };
        let camera = feed::Camera { id: "c001".to_owned(), state: "online".to_owned(), ..feed::Camera::default() };
        vec![
            feed::Item { event: event(11), state: None },
            feed::Item { event: None, state: Some(feed::State { rev: 12, kind: Some(feed::state::Kind::Gone(gone)) }) },
            feed::Item {
                event: event(14),
                state: Some(feed::State { rev: 14, kind: Some(feed::state::Kind::Camera(camera)) }),
            },
        ]
    }

    #[test]
    fn frames_are_what_the_schema_says() {
        for form in Form::ALL {
            let encoded = form.items(&items());
            assert_eq!(encoded.marks.iter().map(|m| m.0).collect::<Vec<_>>(), [11, 12, 14]);
            let head = Head { log_id: u64::MAX, after: 10, upto: 14, server_time: 99 };
            let (message, at) = form.frame(head, &encoded.bytes);
            assert_eq!(message[at..at + encoded.bytes.len()], encoded.bytes);
            let Kind::Frame(frame) = decoded(form, &message) else { panic!() };
            let whole = feed::Frame { log_id: u64::MAX, after: 10, upto: 14, server_time: 99, items: items() };
            assert_eq!(frame, whole);
            // From any item on.
            for (index, (_, from)) in encoded.marks.iter().enumerate() {
                let (message, _) = form.frame(Head { after: 13, ..head }, &encoded.bytes[*from..]);
                let Kind::Frame(frame) = decoded(form, &message) else { panic!() };
                assert_eq!((frame.after, frame.items.as_slice()), (13, &items()[index..]));
            }
            let Kind::Frame(empty) = decoded(form, &form.frame(head, b"").0) else { panic!() };
            assert_eq!(empty, feed::Frame { items: Vec::new(), ..whole });
        }
    }

    #[test]
    fn snapshots_get_the_time_at_which_they_are_sent() {
        let states = items().into_iter().filter_map(|i| i.state).collect();
        let full = feed::Snapshot { log_id: 1, seq: 9, server_time: 0, states, audience: "centre".to_owned() };
        for snapshot in [full, feed::Snapshot::default()] {
            for (form, now) in Form::ALL.into_iter().flat_map(|f| [(f, 0), (f, 1_800_000_000_000)]) {
                let message = form.snapshot(&snapshot).message(now).concat();
                let Kind::Snapshot(read) = decoded(form, &message) else { panic!() };
                assert_eq!(read, feed::Snapshot { server_time: now, ..snapshot.clone() });
            }
        }
    }

    #[test]
    fn what_clients_say_is_read_in_their_form_only() {
        let hello = feed::Hello { log_id: 1 << 63, cursor: 7, conflate: true };
        let message = feed::ClientMessage { kind: Some(client_message::Kind::Hello(hello)) };
        let text = |t: &str| Incoming::Text(t.to_owned());
        let json = text(r#"{"hello":{"logId":"9223372036854775808","cursor":7,"conflate":true}}"#);
        let binary = Incoming::Binary(message.encode_to_vec());
        assert_eq!(Form::Protobuf.read(binary.clone()), Ok(message.kind.unwrap()));
        assert_eq!(Form::Json.read(json.clone()), Ok(message.kind.unwrap()));
        let newer =
            text(r#"{"hello":{"logId":"9223372036854775808","cursor":7,"conflate":true,"zoom":{"x":1}},"later":[]}"#);
        assert_eq!(Form::Json.read(newer), Ok(message.kind.unwrap()), "what a newer client adds is no fault");
        assert_eq!(Form::Protobuf.read(json), Err(Close::WrongForm));
        assert_eq!(Form::Json.read(binary), Err(Close::WrongForm));
        assert_eq!(Form::Protobuf.read(Incoming::Binary(Vec::new())), Err(Close::Protocol));
        assert_eq!(Form::Protobuf.read(Incoming::Binary(vec![0xff])), Err(Close::Protocol));
        for (said, close) in [
            ("", Close::Malformed),
            (r#"{"hello":"#, Close::Malformed),
            ("hello", Close::Malformed),
            ("{}", Close::Protocol),
            ("[]", Close::Protocol),
            (r#"{"hallo":{}}"#, Close::Protocol),
            (r#"{"hello":{"cursor":-1}}"#, Close::Protocol),
            (r#"{"hello":{},"ping":{}}"#, Close::Protocol),
        ] {
            assert_eq!(Form::Json.read(text(said)), Err(close), "{said}");
        }
    }
}
