//! The site's own JSON: `mjw/v1/sensors/<id>/reading` with `{"v":number,"t":ms,"n":sequence}` (`t` and `n` optional, also
//! `"test":true` and `"fault":true`, further members ignored), `…/status` with `online` or `offline`, and
//! `mjw/v1/gateways/<n>/status` with `{"online":bool,"sensors":[ids]}` or the bare word.
//!
//! What is written as it should be is read at once; all else member by member.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Fault, Heard, Measure, Message, Reading, Unit, Why, lenient,
    names::Names,
    value::{self, EPOCH_MS, Got, MAX_VALUE},
};

/// Devices that one gateway may name, and readings that one message may have.
const MAX_SENSORS: usize = 1_000;

/// Reads a message by what follows `mjw/v1/`.
pub(super) fn parse(topic: &str, payload: &[u8], names: &Names) -> Result<Message, Fault> {
    let mut parts = topic.split('/');
    let (Some(of), Some(id), Some(what), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Why::Malformed.into());
    };
    let known = || names.get(id).map(|(device, _)| device).ok_or_else(|| Fault::stranger(id, "mjw"));
    match (of, what) {
        ("sensors", "reading") => reading(known()?, payload),
        ("sensors", "status") => {
            let device = known()?;
            let online = online(payload).ok_or_else(|| Fault::of(Why::Malformed, device))?;
            Ok(Message::Link { device, online })
        }
        ("gateways", "status") => Ok(gateway(id, payload)?),
        _ => Err(Why::Malformed.into()),
    }
}

#[derive(Deserialize)]
struct Body {
    v: f64,
    t: Option<i64>,
    test: Option<bool>,
    fault: Option<bool>,
}

fn reading(device: usize, payload: &[u8]) -> Result<Message, Fault> {
    let Ok(body) = serde_json::from_slice::<Body>(payload) else { return odd(device, payload) };
    // The same bounds in ms that times in other forms have.
    let plain = |t: &i64| (EPOCH_MS..100_000_000_000_000).contains(t);
    if body.v.abs() > MAX_VALUE || !body.t.as_ref().is_none_or(plain) || body.test.or(body.fault).is_some() {
        return odd(device, payload);
    }
    let measure = Measure { value: body.v, detected: None, unit: Unit::Sensor, parts: (0, 0) };
    Ok(Message::Reading(Reading { at: body.t, measure: Some(measure), ..Reading::of(device) }))
}

/// Member by member.
fn odd(device: usize, payload: &[u8]) -> Result<Message, Fault> {
    let malformed = || Fault::of(Why::Malformed, device);
    let text = lenient::read(payload).ok_or_else(malformed)?;
    let bodies = match &text.value {
        Value::Array(all) if all.len() <= MAX_SENSORS => all.as_slice(),
        body @ Value::Object(_) => std::slice::from_ref(body),
        _ => return Err(malformed()),
    };
    let (mut readings, mut faults) = (Vec::new(), Vec::new());
    for body in bodies {
        let (reading, odd) = member_by_member(device, body);
        readings.push(reading);
        faults.extend(odd.then(malformed));
    }
    faults.extend((text.broken && faults.is_empty()).then(malformed));
    Ok(Message::Many { readings, links: Vec::new(), bridge: None, faults })
}

/// A reading, and whether its value cannot be read.
fn member_by_member(device: usize, body: &Value) -> (Reading, bool) {
    let none = Default::default();
    let truth = |name: &str| match value::truth(body.get(name)?, &none) {
        Got::Value(is) => Some(is),
        _ => None,
    };
    let at = body.get("t").and_then(value::moment);
    let undated = at.is_none() && body.get("t").is_some_and(|t| !t.is_null());
    let (measure, odd) = match body.get("v") {
        None => (None, body.get("test").or(body.get("fault")).is_none()),
        Some(v) => match (value::number(v), value::truth(v, &none)) {
            (Got::Value(value), _) => {
                (Some(Measure { value, detected: None, unit: Unit::Sensor, parts: (0, 0) }), false)
            }
            (_, Got::Value(is)) => {
                let calls = u32::from(is);
                (Some(Measure { value: calls.into(), detected: Some(is), unit: Unit::Flag, parts: (1, calls) }), false)
            }
            (missing, _) => (None, missing == Got::Odd),
        },
    };
    let fault = truth("fault").map(|is| if is { "设备报告故障".to_owned() } else { String::new() });
    let heard = Heard { test: truth("test"), fault, ..Heard::default() };
    let heard = (heard != Heard::default()).then(|| Box::new(heard));
    (Reading { at, undated, measure, heard, ..Reading::of(device) }, odd)
}

fn online(payload: &[u8]) -> Option<bool> {
    let payload = lenient::trimmed(payload);
    let is = |word: &str| payload.eq_ignore_ascii_case(word.as_bytes());
    if is("online") || is("\"online\"") {
        return Some(true);
    }
    (is("offline") || is("\"offline\"")).then_some(false)
}

fn gateway(id: &str, payload: &[u8]) -> Result<Message, Why> {
    let gateway = id.to_owned();
    if let Some(online) = online(payload) {
        return Ok(Message::Gateway { gateway, online, sensors: None });
    }
    let body = lenient::read(payload).ok_or(Why::Malformed)?.value;
    let online = match body.get("online").map(|o| value::truth(o, &Default::default())) {
        Some(Got::Value(online)) => online,
        _ => return Err(Why::Malformed),
    };
    let sensors = match body.get("sensors") {
        Some(Value::Array(all)) if all.len() > MAX_SENSORS => return Err(Why::Malformed),
        Some(Value::Array(all)) => Some(all.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect()),
        Some(Value::String(one)) => Some(vec![one.clone()]),
        _ => None,
    };
    Ok(Message::Gateway { gateway, online, sensors })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Time, whether it has one that cannot be read, and value.
    type Read = (Option<i64>, bool, Option<f64>);

    fn read(text: &str) -> Result<Vec<Read>, Why> {
        let of = |r: Reading| (r.at, r.undated, r.measure.map(|m| m.value));
        match reading(0, text.as_bytes()).map_err(|f| f.why)? {
            Message::Reading(r) => Ok(vec![of(r)]),
            Message::Many { readings, faults, .. } if faults.is_empty() => Ok(readings.into_iter().map(of).collect()),
            Message::Many { faults, .. } => Err(faults[0].why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn golden_readings() {
        let at = 1_700_000_000_000;
        for (text, is) in [
            (r#"{"n":3,"t":1700000000000,"v":0.021}"#, (Some(at), false, Some(0.021))),
            (r#"{"v":2}"#, (None, false, Some(2.0))),
            (r#"{"v":-1.5,"t":1,"rssi":-70}"#, (None, true, Some(-1.5))),
            (r#"{"v":0.9,"t":1700000000}"#, (Some(at), false, Some(0.9))),
            (r#"{"v":0.9,"t":1700000000.0}"#, (Some(at), false, Some(0.9))),
            (r#"{"v":0.9,"t":"2023-11-14T22:13:20Z"}"#, (Some(at), false, Some(0.9))),
            (r#"{"v":0.9,"t":"gestern"}"#, (None, true, Some(0.9))),
            (r#"{"v":0.9,"t":-1}"#, (None, true, Some(0.9))),
            (r#"{"v":0.9,"t":null}"#, (None, false, Some(0.9))),
            (r#"{"v":"0.8"}"#, (None, false, Some(0.8))),
            (r#"{"v":"true"}"#, (None, false, Some(1.0))),
            (r#"{"v":0.9,"rssi":nan}"#, (None, false, Some(0.9))),
            ("\u{feff}{\"v\":0.9}\0", (None, false, Some(0.9))),
            (r#"[{"v":0.9}]"#, (None, false, Some(0.9))),
            (r#"{"v":null}"#, (None, false, None)),
            (r#"{"v":"n/a"}"#, (None, false, None)),
        ] {
            assert_eq!(read(text), Ok(vec![is]), "{text}");
        }
        for bad in ["{}", "1", "smoke", r#"{"v":"much"}"#, r#"{"v":1e10}"#, r#"{"v":1"#, r#"[{"v":[]}]"#] {
            assert_eq!(read(bad), Err(Why::Malformed), "{bad}");
        }
    }

    #[test]
    fn golden_states() {
        assert_eq!([online(b"online"), online(b"offline\0"), online(b"Online")], [Some(true), Some(false), Some(true)]);
        assert_eq!(online(b"perhaps"), None);
        let of = |text: &str| gateway("3", text.as_bytes());
        let expect = |online, sensors| Ok(Message::Gateway { gateway: "3".into(), online, sensors });
        assert_eq!(of("offline"), expect(false, None));
        assert_eq!(of(r#"{"online":false,"sensors":["a","b"]}"#), expect(false, Some(vec!["a".into(), "b".into()])));
        assert_eq!(of(r#"{"online":"false","sensors":"a","fw":nan}"#), expect(false, Some(vec!["a".into()])));
        assert_eq!(of(r#"{"sensors":[]}"#), Err(Why::Malformed));
    }
}
