//! The site's own JSON: `mjw/v1/sensors/<id>/reading` with `{"v":number,"t":ms,"n":sequence}` (`t` and `n` optional,
//! further members ignored), `…/status` with `online` or `offline`, and `mjw/v1/gateways/<n>/status` with
//! `{"online":bool,"sensors":[ids]}` or the bare word.

use serde::Deserialize;

use super::{Measure, Message, Reading, Why};

/// No sensor measures more; keeps sums far from infinity.
pub(super) const MAX_VALUE: f64 = 1e9;
/// Devices that one gateway may name.
const MAX_SENSORS: usize = 1_000;

#[derive(Deserialize)]
struct Body {
    v: f64,
    t: Option<i64>,
}

pub(super) fn reading(sensor: &str, payload: &[u8]) -> Result<Reading, Why> {
    let body: Body = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
    if body.v.abs() > MAX_VALUE || body.t.is_some_and(|t| t < 0) {
        return Err(Why::Malformed);
    }
    let measure = Some(Measure { value: body.v, detected: None });
    Ok(Reading { sensor: sensor.to_owned(), at: body.t, measure, extras: Vec::new() })
}

pub(super) fn online(payload: &[u8]) -> Result<bool, Why> {
    match payload {
        b"online" => Ok(true),
        b"offline" => Ok(false),
        _ => Err(Why::Malformed),
    }
}

#[derive(Deserialize)]
struct Gateway {
    online: bool,
    sensors: Option<Vec<String>>,
}

pub(super) fn gateway(id: &str, payload: &[u8]) -> Result<Message, Why> {
    let gateway = id.to_owned();
    if let Ok(online) = online(payload) {
        return Ok(Message::Gateway { gateway, online, sensors: None });
    }
    let body: Gateway = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
    if body.sensors.as_ref().is_some_and(|s| s.len() > MAX_SENSORS) {
        return Err(Why::Malformed);
    }
    Ok(Message::Gateway { gateway, online: body.online, sensors: body.sensors })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden_readings() {
        let value = |text: &str| reading("s", text.as_bytes()).map(|r| (r.at, r.measure.unwrap().value));
        assert_eq!(value(r#"{"n":3,"t":1700000000000,"v":0.021}"#), Ok((Some(1_700_000_000_000), 0.021)));
        assert_eq!(value(r#"{"v":2}"#), Ok((None, 2.0)));
        assert_eq!(value(r#"{"v":-1.5,"t":1,"rssi":-70}"#), Ok((Some(1), -1.5)));
        for bad in
            ["{}", "", "[]", "1", r#"{"v":"1"}"#, r#"{"v":null}"#, r#"{"v":1e10}"#, r#"{"v":1,"t":-1}"#, "{\"v\":1"]
        {
            assert_eq!(value(bad), Err(Why::Malformed), "{bad}");
        }
    }

    #[test]
    fn golden_states() {
        assert_eq!(online(b"online"), Ok(true));
        assert_eq!(online(b"offline"), Ok(false));
        assert_eq!(online(b"Online"), Err(Why::Malformed));
        let of = |text: &str| gateway("3", text.as_bytes());
        let expect = |online, sensors| Ok(Message::Gateway { gateway: "3".into(), online, sensors });
        assert_eq!(of("offline"), expect(false, None));
        assert_eq!(of(r#"{"online":false,"sensors":["a","b"]}"#), expect(false, Some(vec!["a".into(), "b".into()])));
        assert_eq!(of(r#"{"sensors":[]}"#), Err(Why::Malformed));
    }
}
