//! JSON as devices really send it: with a byte order mark, zero bytes behind it, bare `nan`, a comma too many, or cut off.
//! What can be read is read. Pure and total; depth is bounded.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read of text that is not JSON.
const DEPTH: u8 = 32;

/// What a payload says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    /// Its value; a text that is no JSON at all is one string.
    pub(super) value: Value,
    /// A part of it cannot be read.
    pub(super) broken: bool,
}

/// Without the byte order mark, blanks and zero bytes around it.
pub(super) fn trimmed(payload: &[u8]) -> &[u8] {
    let payload = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    let blank = |b: &u8| *b == 0 || b.is_ascii_whitespace();
    let from = payload.iter().position(|b| !blank(b)).unwrap_or(payload.len());
    let until = payload.iter().rposition(|b| !blank(b)).map_or(from, |last| last + 1);
    payload.get(from..until).unwrap_or_default()
}

/// Reads a payload; `None` when it is empty.
pub(super) fn read(payload: &[u8]) -> Option<Text> {
    let payload = trimmed(payload);
    let first = payload.first()?;
    if let Ok(value) = serde_json::from_slice(payload) {
        return Some(Text { value, broken: false });
    }
    if !matches!(first, b'{' | b'[' | b'"') {
        let value = Value::String(String::from_utf8_lossy(payload).into_owned());
        return Some(Text { value, broken: false });
    }
    let mut reader = Reader { text: payload, at: 0, broken: false };
    let value = reader.value(DEPTH);
    reader.blanks();
    let broken = reader.broken || reader.at < payload.len();
    Some(Text { value, broken })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    broken: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace() || b == 0) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: u8) -> Value {
        self.blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => {
                (self.broken, self.at) = (true, self.text.len());
                Value::Null
            }
            Some(b'{') => self.object(depth - 1),
            Some(b'[') => self.list(depth - 1),
            Some(b'"') => Value::String(self.string()),
            _ => self.word(),
        }
    }

    /// Goes over commas to what comes next; false at the end.
    fn next(&mut self, end: u8, mut commas: u8) -> bool {
        loop {
            self.blanks();
            match self.peek() {
                Some(b',') => {
                    self.broken |= commas == 0;
                    commas = commas.saturating_sub(1);
                    self.at += 1;
                }
                Some(b) if b == end => {
                    self.at += 1;
                    return false;
                }
                // The end of what is around this one.
                Some(b'}' | b']') | None => {
                    self.broken = true;
                    return false;
                }
                Some(_) => return true,
            }
        }
    }

    fn object(&mut self, depth: u8) -> Value {
        self.at += 1;
        let (mut all, mut commas) = (Map::new(), 0);
        while self.next(b'}', commas) {
            commas = 1;
            let key = if self.peek() == Some(b'"') { self.string() } else { self.bare(b":,}") };
            self.blanks();
            if self.peek() == Some(b':') {
                self.at += 1;
                let value = self.value(depth);
                all.insert(key, value);
            } else {
                self.broken = true;
            }
        }
        Value::Object(all)
    }

    fn list(&mut self, depth: u8) -> Value {
        self.at += 1;
        let (mut all, mut commas) = (Vec::new(), 0);
        while self.next(b']', commas) {
            commas = 1;
            let before = self.at;
            all.push(self.value(depth));
            // A colon, say: no value begins with it.
            if self.at == before {
                (self.broken, self.at) = (true, self.at + 1);
            }
        }
        Value::Array(all)
    }

    fn string(&mut self) -> String {
        let from = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                let whole = self.text.get(from..self.at).unwrap_or_default();
                let inner = self.text.get(from + 1..self.at - 1).unwrap_or_default();
                return serde_json::from_slice(whole).unwrap_or_else(|_| String::from_utf8_lossy(inner).into_owned());
            }
        }
        (self.broken, self.at) = (true, self.text.len());
        String::from_utf8_lossy(self.text.get(from + 1..).unwrap_or_default()).into_owned()
    }

    fn bare(&mut self, ends: &[u8]) -> String {
        let from = self.at;
        while self.peek().is_some_and(|b| !ends.contains(&b)) {
            self.at += 1;
        }
        String::from_utf8_lossy(self.text.get(from..self.at).unwrap_or_default()).trim().to_owned()
    }

    /// A number, `true`, or what programs write for a number that they do not have.
    fn word(&mut self) -> Value {
        let word = self.bare(b",]}\n");
        if let Ok(value) = serde_json::from_str(&word) {
            return value;
        }
        match word.parse::<f64>() {
            Ok(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            Err(_) if super::value::is_missing(&word) && !word.is_empty() => Value::Null,
            Err(_) => {
                self.broken = true;
                Value::String(word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> (Value, bool) {
        let text = read(text.as_bytes()).unwrap();
        (text.value, text.broken)
    }

    #[test]
    fn what_programs_write_by_mistake_hides_nothing_beside_it() {
        for (text, value, broken) in [
            (r#"{"Switch1":"ON","T":nan,"H":-Infinity}"#, json!({"Switch1": "ON", "T": null, "H": null}), false),
            ("\u{feff}{\"a\":1}\0\0", json!({"a": 1}), false),
            (r#"{"T":"x","L":{,"Battery":55}}"#, json!({"T": "x", "L": {"Battery": 55}}), true),
            (r#"{"smoke":true,"battery":"#, json!({"smoke": true, "battery": ""}), true),
            (r#"{"smoke":true,"list":[1,2"#, json!({"smoke": true, "list": [1, 2]}), true),
            (r#"{"a":1,}"#, json!({"a": 1}), false),
            (r#"{smoke:true,v:.5}"#, json!({"smoke": true, "v": 0.5}), false),
            (r#"{"a" "b","smoke":true}"#, json!({"smoke": true}), true),
            ("offline", json!("offline"), false),
            ("1", json!(1), false),
        ] {
            assert_eq!(of(text), (value, broken), "{text}");
        }
        assert_eq!(read(b"\0 \n"), None);
        assert!(of(&"[".repeat(100_000)).1, "depth is bounded");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn json_is_read_as_it_is(a in any::<i32>(), s in "\\PC{0,20}", flag in any::<bool>()) {
            let value = json!({"a": a, "s": s, "list": [flag, null, {"x": s}]});
            let text = value.to_string();
            let mut reader = Reader { text: text.as_bytes(), at: 0, broken: false };
            prop_assert_eq!((reader.value(DEPTH), reader.broken), (value, false));
        }

        #[test]
        fn text_that_is_cut_keeps_what_came_before(cut in 13..60_usize) {
            let text = r#"{"smoke":true,"battery":90,"list":[{"x":"abc"}],"voltage":3005}"#;
            let value = read(text.get(..cut).unwrap().as_bytes()).unwrap().value;
            prop_assert_eq!(value.get("smoke"), Some(&json!(true)));
        }
    }
}
