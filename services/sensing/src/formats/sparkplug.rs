//! The payload of Sparkplug B as JSON: `{"timestamp":ms,"metrics":{name:value}}`. Reads the few fields that say something and
//! goes over all others. Names stand in births only when a node uses aliases; a metric that has none is `alias:n`, and a
//! message that has only such cannot be understood.

use serde_json::{Map, Value};

use super::lenient::Text;

/// Metrics of one message that are read.
const METRICS: usize = 1_000;

/// Reads a payload; `None` when it is none of the kind.
pub(super) fn read(payload: &[u8]) -> Option<Text> {
    let (mut metrics, mut timestamp, mut named, mut count) = (Map::new(), None, false, 0);
    let mut fields = Fields(payload);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Number(at)) => timestamp = Some(at),
            (2, Field::Bytes(bytes)) => {
                count += 1;
                let (name, value) = metric(bytes)?;
                named |= !name.starts_with("alias:");
                if count <= METRICS {
                    metrics.insert(name, value);
                }
            }
            _ => {}
        }
    }
    let broken = count > METRICS || (!metrics.is_empty() && !named);
    let mut all = Map::new();
    all.extend(timestamp.map(|at| ("timestamp".to_owned(), at.into())));
    all.insert("metrics".to_owned(), Value::Object(metrics));
    Some(Text { value: Value::Object(all), broken })
}

/// Name and value of a metric.
fn metric(bytes: &[u8]) -> Option<(String, Value)> {
    let (mut name, mut alias, mut kind, mut null, mut value) = (None, 0, 0, false, Value::Null);
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(text)) => name = std::str::from_utf8(text).ok().map(str::to_owned),
            (2, Field::Number(n)) => alias = n,
            (4, Field::Number(n)) => kind = n,
            (7, Field::Number(n)) => null = n != 0,
            (10 | 11, Field::Number(n)) => value = integer(kind, n),
            (12, Field::Four(bits)) => value = f64::from(f32::from_bits(bits)).into(),
            (13, Field::Eight(bits)) => value = f64::from_bits(bits).into(),
            (14, Field::Number(n)) => value = (n != 0).into(),
            (15, Field::Bytes(text)) => value = String::from_utf8_lossy(text).into(),
            _ => {}
        }
    }
    let name = name.filter(|n| !n.is_empty()).unwrap_or_else(|| format!("alias:{alias}"));
    Some((name, if null { Value::Null } else { value }))
}

/// Signed kinds stand in unsigned fields.
fn integer(kind: u64, bits: u64) -> Value {
    let [low, ..] = bits.to_le_bytes();
    let [a, b, c, d, ..] = bits.to_le_bytes();
    match kind {
        1 => i64::from(i8::from_le_bytes([low])).into(),
        2 => i64::from(i16::from_le_bytes([a, b])).into(),
        3 => i64::from(i32::from_le_bytes([a, b, c, d])).into(),
        4 => i64::from_le_bytes(bits.to_le_bytes()).into(),
        _ => bits.into(),
    }
}

enum Field<'a> {
    Number(u64),
    Four(u32),
    Eight(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// `Some(None)` at the end, `None` when that is no message.
    fn next(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Eight(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.bytes(length)?)
            }
            5 => Field::Four(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some(Some((key >> 3, field)))
    }
}

/// Writes payloads for tests.
#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn varint(mut n: u64, out: &mut Vec<u8>) {
        while n >= 0x80 {
            out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
            n >>= 7;
        }
        out.push(u8::try_from(n).unwrap());
    }

    fn bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        varint(number << 3 | 2, out);
        varint(bytes.len() as u64, out);
        out.extend(bytes);
    }

    pub(crate) fn payload(at: u64, metrics: &[(&str, Value)], seq: u64) -> Vec<u8> {
        let mut out = Vec::new();
        varint(1 << 3, &mut out);
        varint(at, &mut out);
        for (name, value) in metrics {
            let mut metric = Vec::new();
            if let Some(alias) = name.strip_prefix("alias:") {
                varint(2 << 3, &mut metric);
                varint(alias.parse().unwrap(), &mut metric);
            } else {
                bytes(1, name.as_bytes(), &mut metric);
            }
            match value {
                Value::Bool(is) => {
                    varint(14 << 3, &mut metric);
                    varint(u64::from(*is), &mut metric);
                }
                Value::Number(n) if n.is_i64() => {
                    metric.extend([4 << 3, 3, 10 << 3]);
                    varint(n.as_i64().unwrap() as u64 & 0xffff_ffff, &mut metric);
                }
                Value::Number(n) => {
                    metric.push(13 << 3 | 1);
                    metric.extend(n.as_f64().unwrap().to_le_bytes());
                }
                _ => metric.extend([7 << 3, 1]),
            }
            bytes(2, &metric, &mut out);
        }
        varint(3 << 3, &mut out);
        varint(seq, &mut out);
        out
    }

    #[test]
    fn golden_payloads() {
        let bytes = payload(1_700_000_000_000, &[("smoke", json!(true)), ("level", json!(0.5)), ("t", json!(-7))], 15);
        let text = read(&bytes).unwrap();
        let metrics = json!({"smoke": true, "level": 0.5, "t": -7});
        assert_eq!(text.value, json!({"timestamp": 1_700_000_000_000_i64, "metrics": metrics}));
        assert!(!text.broken);
        assert!(read(&payload(1, &[("alias:7", json!(true))], 0)).unwrap().broken, "nobody knows which that is");
        assert_eq!(read(b"{\"smoke\":true}"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
