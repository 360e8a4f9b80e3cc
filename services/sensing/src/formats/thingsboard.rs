//! The gateway protocol of ThingsBoard: `v1/gateway/telemetry` with `{"<device>":[{"ts":ms,"values":{…}}]}` of many devices
//! at once, `v1/gateway/connect` and `…/disconnect` with `{"device":"<device>"}`. A value is taken by the name that its
//! kind of device has in `NAMES`; an entry without `ts` is its values and happens on arrival.

use domain::site::SensorKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Fault, Measure, Message, Reading, Why, number};

pub(super) const NAME: &str = "thingsboard";
/// Entries that one message may have, those included that are not understood; each is at most three values.
const MAX_ENTRIES: usize = 1_000;

#[derive(Deserialize)]
struct Named {
    device: String,
}

pub(super) fn device(payload: &[u8]) -> Result<String, Why> {
    serde_json::from_slice::<Named>(payload).map(|n| n.device).map_err(|_| Why::Malformed)
}

/// Entries of unknown devices and entries of no known shape are told one by one and spoil no others.
pub(super) fn telemetry(payload: &[u8], kind: impl Fn(&str) -> Option<SensorKind>) -> Result<Message, Why> {
    let body: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
    let (mut readings, mut faults) = (Vec::new(), Vec::new());
    for (device, entries) in &body {
        if readings.len() + faults.len() >= MAX_ENTRIES {
            return Err(Why::Malformed);
        }
        let Some(kind) = kind(device) else {
            faults.push(Fault::stranger(device, NAME));
            continue;
        };
        let Value::Array(entries) = entries else {
            faults.push(Why::Malformed.into());
            continue;
        };
        if readings.len() + faults.len() + entries.len() > MAX_ENTRIES {
            return Err(Why::Malformed);
        }
        for entry in entries {
            match reading(device, kind, entry) {
                Ok(Some(reading)) => readings.push(reading),
                Ok(None) => {}
                Err(why) => faults.push(why.into()),
            }
        }
    }
    Ok(Message::Many { readings, faults })
}

fn reading(device: &str, kind: SensorKind, entry: &Value) -> Result<Option<Reading>, Why> {
    let (at, values) = match entry.get("ts") {
        None => (None, entry),
        Some(ts) => {
            let at = ts.as_i64().filter(|t| *t >= 0).ok_or(Why::Malformed)?;
            (Some(at), entry.get("values").ok_or(Why::Malformed)?)
        }
    };
    let values = values.as_object().ok_or(Why::Malformed)?;
    let measure = measure(kind, values)?;
    let extra = |(name, unit)| Some((name, number(values.get(name)?)?, unit));
    let extras: Vec<_> = [("battery", "%"), ("rssi", "dBm")].into_iter().filter_map(extra).collect();
    let something = measure.is_some() || !extras.is_empty();
    Ok(something.then(|| Reading { sensor: device.to_owned(), at, measure, extras }))
}

/// Names of the value that a kind of device measures, the first one found counts.
const fn names(kind: SensorKind) -> &'static [&'static str] {
    match kind {
        SensorKind::Smoke => &["smoke"],
        SensorKind::Gas => &["gas"],
        SensorKind::ElectricalFire => &["leakage", "residual_current"],
        SensorKind::HydrantPressure => &["pressure"],
        SensorKind::Lift => &["fault"],
        SensorKind::Manhole => &["tilt", "open"],
        SensorKind::WaterLevel => &["level"],
        SensorKind::Sos | SensorKind::CallPoint => &["sos", "alarm"],
        SensorKind::FireLane => &["occupied"],
        SensorKind::EbikeCharging => &["current"],
    }
}

/// Numbers are measured; what is true or false the device decided itself.
fn measure(kind: SensorKind, values: &Map<String, Value>) -> Result<Option<Measure>, Why> {
    match names(kind).iter().find_map(|name| values.get(*name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(Measure { value: f64::from(u8::from(*on)), detected: Some(*on) })),
        Some(value) => {
            let value = number(value).ok_or(Why::Malformed)?;
            Ok(Some(Measure { value, detected: None }))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kind(id: &str) -> Option<SensorKind> {
        [("smoke-1", SensorKind::Smoke), ("plug-2", SensorKind::EbikeCharging)]
            .into_iter()
            .find(|k| k.0 == id)
            .map(|k| k.1)
    }

    #[test]
    fn golden_telemetry() {
        let body = r#"{"smoke-1":[{"ts":1483228800000,"values":{"smoke":0.21,"battery":80,"rssi":-71}},
            {"ts":1483228801000,"values":{"smoke":true}}],"plug-2":[{"current":11.5}],"plug-3":[{"current":1}]}"#;
        let Ok(Message::Many { readings, faults }) = telemetry(body.as_bytes(), kind) else { panic!("many readings") };
        assert_eq!(faults, [Fault::stranger("plug-3", NAME)]);
        let all: Vec<_> = readings.iter().map(|r| (&r.sensor[..], r.at, r.measure.unwrap())).collect();
        let measured = |value, detected| Measure { value, detected };
        assert_eq!(
            all,
            [
                ("plug-2", None, measured(11.5, None)),
                ("smoke-1", Some(1_483_228_800_000), measured(0.21, None)),
                ("smoke-1", Some(1_483_228_801_000), measured(1.0, Some(true))),
            ]
        );
        assert_eq!(readings[1].extras, [("battery", 80.0, "%"), ("rssi", -71.0, "dBm")]);
    }

    #[test]
    fn a_bad_entry_spoils_no_other() {
        let of = |text: &str| match telemetry(text.as_bytes(), kind) {
            Ok(Message::Many { readings, faults }) => {
                (readings.len(), faults.iter().map(|f| f.why).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        };
        let bad = r#"{"smoke-1":[{"ts":-1,"values":{"smoke":1}},{"ts":1},{"smoke":"yes"},7,{"smoke":0.1}]}"#;
        assert_eq!(of(bad), (1, vec![Why::Malformed; 4]));
        assert_eq!(of(r#"{"smoke-1":{"smoke":1}}"#), (0, vec![Why::Malformed]));
        assert_eq!(of(r#"{"smoke-1":[{"humidity":3}],"plug-2":[]}"#), (0, vec![]));
        for bad in ["", "[]", "{"] {
            assert_eq!(telemetry(bad.as_bytes(), kind), Err(Why::Malformed), "{bad}");
        }
        let flood = format!(r#"{{"smoke-1":[{}{{}}]}}"#, "{},".repeat(MAX_ENTRIES));
        assert_eq!(telemetry(flood.as_bytes(), kind), Err(Why::Malformed));
        let strangers = |n: usize| {
            let all: Vec<_> = (0..n).map(|n| format!(r#""n{n}":[]"#)).collect();
            telemetry(format!("{{{}}}", all.join(",")).as_bytes(), kind)
        };
        assert!(matches!(strangers(MAX_ENTRIES), Ok(Message::Many { faults, .. }) if faults.len() == MAX_ENTRIES));
        assert_eq!(strangers(MAX_ENTRIES + 1), Err(Why::Malformed), "devices that nobody knows count too");
    }

    #[test]
    fn golden_names() {
        assert_eq!(device(br#"{"device":"smoke-1","type":"default"}"#), Ok("smoke-1".to_owned()));
        assert_eq!(device(b"smoke-1"), Err(Why::Malformed));
    }
}
