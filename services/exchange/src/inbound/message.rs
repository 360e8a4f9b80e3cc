//! What the gateway of the message platform sends: a text, a part of one, or a delivery report. Nothing formal loses a
//! text: what is odd is cleaned, cut with a mark, or left out, and only a call without any text is refused. Pure and total.

use domain::text::MAX_TEXT;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Most parts of one text.
const MAX_PARTS: u8 = 20;
/// Longest sender and id, characters.
const MAX_NAME: usize = 64;
/// Stands at the end of a text that was cut.
const CUT: &str = "…（过长，已截断）";

/// A call of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(Message),
    Report(Report),
}

/// A text of a resident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The gateway's id; empty when it gives none.
    pub(crate) id: String,
    /// A number in digits, or the name that stands for it.
    pub(crate) from: String,
    pub(crate) text: String,
    pub(crate) part: Option<Part>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("part", &self.part).finish_non_exhaustive()
    }
}

/// Which part of a longer text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) reference: u16,
    pub(crate) total: u8,
    /// From 1.
    pub(crate) number: u8,
}

/// What became of a message of ours, or of one part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) message: u64,
    pub(crate) failed: bool,
}

/// Bytes as text: a byte order mark goes, and what is no UTF-8 is GB18030.
pub(crate) fn decode(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::GB18030.decode(body).0.into_owned(),
    }
}

/// Reads a call.
pub(crate) fn read(body: &[u8]) -> Result<Incoming, Problem> {
    let text = decode(body);
    let outer: Map<String, Value> =
        serde_json::from_str(text.trim_end_matches('\0')).map_err(|_| Problem::malformed())?;
    // Some gateways wrap what they tell.
    let inner = outer.get("payload").or_else(|| outer.get("data")).and_then(Value::as_object);
    let get = |names: &[&str]| {
        let find = |map: &Map<String, Value>| names.iter().find_map(|n| map.get(*n).and_then(words));
        inner.and_then(find).or_else(|| find(&outer))
    };
    let kind = get(&["type", "event"]).unwrap_or_default();
    if kind.contains("report") || kind.contains("delivered") || kind.contains("failed") {
        return report(&get).map(Incoming::Report);
    }
    let said = get(&["text", "content", "message", "body", "msg"]).map(|t| clean(&t));
    let said = said.filter(|t| !t.is_empty()).ok_or_else(|| Problem::field("text"))?;
    let from = get(&["from", "sender", "phoneNumber", "phone", "mobile"]).map(|f| sender(&f)).unwrap_or_default();
    let id = get(&["messageId", "id", "msgid"]).map(|i| i.trim().chars().take(MAX_NAME).collect()).unwrap_or_default();
    let udh = get(&["udh"]).and_then(|hex| header(&hex));
    let part = inner.and_then(|m| m.get("part")).or_else(|| outer.get("part")).and_then(named).or(udh);
    Ok(Incoming::Text(Message { id, from, text: said, part }))
}

fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Line ends become one, other control characters a mark, and what is too long ends with a mark.
pub(crate) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_matches(|c: char| c == '\0' || c == '\u{feff}' || c.is_whitespace());
    let plain = |c: char| match c {
        '\t' => ' ',
        '\n' => '\n',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let text: String = text.chars().map(plain).collect();
    if text.chars().count() <= MAX_TEXT {
        return text;
    }
    let kept: String = text.chars().take(MAX_TEXT - CUT.chars().count()).collect();
    kept + CUT
}

/// A number in ASCII digits without what people and gateways write around it; anything else as it is.
fn sender(from: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        other => other,
    };
    let visible =
        |c: &char| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
    let text: String = from.chars().map(narrow).filter(visible).collect();
    let text = text.trim();
    let bare = ["tel:", "sms:", "Tel:", "TEL:"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    let number: String = bare.chars().filter(|c| !c.is_whitespace() && !"-–—().".contains(*c)).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let numeric = (3..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if numeric { number } else { text.chars().take(MAX_NAME).collect() }
}

/// `{"reference": 56, "number": 1, "total": 2}`.
fn named(value: &Value) -> Option<Part> {
    let field = |names: [&str; 2]| {
        let value = names.iter().find_map(|n| value.get(*n))?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    };
    let number = |names| field(names).and_then(|n| u8::try_from(n).ok());
    let reference = field(["reference", "ref"]).map_or(0, |r| u16::try_from(r & 0xffff).unwrap_or(0));
    part(reference, number(["total", "count"])?, number(["number", "index"])?)
}

/// The user data header of a part, in hexadecimal. It is read by its own length and its element, for some gateways write
/// the length of the element wrongly.
fn header(hex: &str) -> Option<Part> {
    let digits: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = hex::decode(digits).ok()?;
    match *bytes.as_slice() {
        [5, 0, _, reference, total, number, ..] => part(reference.into(), total, number),
        [6, 8, _, high, low, total, number, ..] => part(u16::from_be_bytes([high, low]), total, number),
        _ => None,
    }
}

fn part(reference: u16, total: u8, number: u8) -> Option<Part> {
    let fits = (2..=MAX_PARTS).contains(&total) && (1..=total).contains(&number);
    fits.then_some(Part { reference, total, number })
}

fn report(get: &dyn Fn(&[&str]) -> Option<String>) -> Result<Report, Problem> {
    let message = get(&["message", "messageId", "id"]).and_then(|id| id.trim().parse().ok());
    let message = message.ok_or_else(|| Problem::field("message"))?;
    let state = get(&["state", "status", "event"]).unwrap_or_default().to_ascii_lowercase();
    let failed = ["fail", "undeliv", "expire", "reject", "delete"].iter().any(|w| state.contains(w));
    Ok(Report { message, failed })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(body: &Value) -> Message {
        let Ok(Incoming::Text(message)) = read(body.to_string().as_bytes()) else { panic!("a text: {body}") };
        message
    }

    #[test]
    fn nothing_formal_loses_a_text() {
        let bodies = [
            json!({"id": 7, "from": "13900000001", "text": "12栋冒烟"}),
            json!({"id": "7", "from": "13900000001", "text": "12栋冒烟", "at": "昨天"}),
            json!({"from": "13900000001", "text": "12栋冒烟", "at": -5, "to": 96885}),
            json!({"id": "x".repeat(500), "from": "13900000001", "text": "\u{feff}12栋冒烟\u{0}"}),
            json!({"id": "7", "from": null, "text": "12栋冒烟"}),
            json!({"event": "sms:received", "id": "e1", "payload": {
                "messageId": "83be51e4", "message": "12栋冒烟", "phoneNumber": "13900000001", "receivedAt": "2026-01-01"}}),
        ];
        for body in bodies {
            assert_eq!(text(&body).text, "12栋冒烟", "{body}");
        }
        assert_eq!(text(&json!({"from": "1", "text": "a\u{0}b\u{1b}c\td\r\ne🔥"})).text, "a\u{fffd}b\u{fffd}c d\ne🔥");
        let long = text(&json!({"from": "13900000001", "text": "着火".repeat(MAX_TEXT)})).text;
        assert!(long.chars().count() == MAX_TEXT && long.ends_with(CUT) && long.starts_with("着火"));
        for body in [json!({"id": "1", "from": "13900000001"}), json!({"text": " \u{0} "}), json!({"text": {}})] {
            assert_eq!(read(body.to_string().as_bytes()).unwrap_err().field.as_deref(), Some("text"), "{body}");
        }
        assert_eq!(read(b"12 on fire").unwrap_err().code, "malformed");
    }

    #[test]
    fn bytes_of_old_gateways_are_read() {
        let body = r#"{"id":"1","from":"13900000001","text":"12栋着火"}"#;
        let marked = [b"\xef\xbb\xbf".as_slice(), body.as_bytes()].concat();
        let old = encoding_rs::GB18030.encode(body).0.into_owned();
        for bytes in [marked, old, [body.as_bytes(), b"\0"].concat()] {
            let Ok(Incoming::Text(message)) = read(&bytes) else { panic!("a text") };
            assert_eq!(message.text, "12栋着火");
        }
    }

    #[test]
    fn senders_are_numbers_however_they_are_written_or_stay_names() {
        for (from, number) in [
            ("+86 139-0000-0001", "+8613900000001"),
            ("008613900000001", "008613900000001"),
            ("１３９００００ ０００１", "13900000001"),
            ("(0870)2231234", "08702231234"),
            ("tel:+8613900000001", "+8613900000001"),
            ("10690000", "10690000"),
            ("卯家湾通知", "卯家湾通知"),
            ("\u{202a}13900000001\u{202c}", "13900000001"),
        ] {
            assert_eq!(text(&json!({"from": from, "text": "x"})).from, number, "{from}");
        }
        assert_eq!(text(&json!({"from": 13900000001_u64, "text": "x"})).from, "13900000001");
    }

    #[test]
    fn parts_are_read_by_the_length_of_the_header_also_when_the_element_is_wrong() {
        let part = |reference, total, number| Some(Part { reference, total, number });
        for (udh, expected) in [
            ("05 00 03 38 05 02", part(0x38, 5, 2)),
            ("060804123402 01", part(0x1234, 2, 1)),
            ("05 00 00 4F 02 01", part(0x4F, 2, 1)),
            ("06 08 0A 20 4F 02 01", part(0x204F, 2, 1)),
            ("05 00 03 38 02 03", None),
            ("05 00 03 38 01 01", None),
            ("zz", None),
            ("", None),
        ] {
            assert_eq!(text(&json!({"from": "1", "text": "x", "udh": udh})).part, expected, "{udh}");
        }
        let body = json!({"from": "1", "text": "x", "part": {"reference": "56", "total": 3, "number": 3}});
        assert_eq!(text(&body).part, part(56, 3, 3));
    }

    #[test]
    fn reports_tell_whether_it_failed() {
        for (state, failed) in
            [("DELIVRD", false), ("delivered", false), ("UNDELIV", true), ("failed", true), ("EXPIRED", true)]
        {
            let body = json!({"type": "report", "id": "12", "state": state, "part": {"number": 1, "total": 2}});
            assert_eq!(
                read(body.to_string().as_bytes()),
                Ok(Incoming::Report(Report { message: 12, failed })),
                "{state}"
            );
        }
        assert!(read(br#"{"type":"report","id":"x"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes).is_ok();
        }

        #[test]
        fn any_text_that_says_something_is_kept(said in "\\PC{1,80}", from in "\\PC{0,30}", id in "\\PC{0,8}") {
            let body = json!({"id": id, "from": from, "text": said});
            match read(body.to_string().as_bytes()) {
                Ok(Incoming::Text(message)) => prop_assert_eq!(message.text, clean(&said)),
                Ok(Incoming::Report(_)) => prop_assert!(false),
                Err(_) => prop_assert!(clean(&said).is_empty()),
            }
        }
    }
}
