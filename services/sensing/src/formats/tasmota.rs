//! Tasmota: `tele/<id>/SENSOR` with the device's modules as JSON, `tele/<id>/LWT` with `Online` or `Offline`. Its `Time`
//! names no zone, so a reading happens on arrival. A contact is `Switch1`; current is that of the `ENERGY` module.

use domain::site::SensorKind;
use serde_json::{Map, Value};

use super::{Measure, Message, Reading, Why, number};

pub(super) fn sensor(sensor: &str, kind: SensorKind, payload: &[u8]) -> Result<Message, Why> {
    let body: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
    let measure = match kind {
        SensorKind::EbikeCharging => current(&body)?.map(|value| Measure { value, detected: None }),
        // These measure what no module of its tells.
        SensorKind::ElectricalFire | SensorKind::HydrantPressure | SensorKind::WaterLevel => None,
        _ => switch(&body)?.map(|on| Measure { value: f64::from(u8::from(on)), detected: Some(on) }),
    };
    match measure {
        None => Ok(Message::Nothing),
        measure => Ok(Message::Reading(Reading { sensor: sensor.to_owned(), at: None, measure, extras: Vec::new() })),
    }
}

pub(super) fn online(payload: &[u8]) -> Result<bool, Why> {
    match payload {
        b"Online" => Ok(true),
        b"Offline" => Ok(false),
        _ => Err(Why::Malformed),
    }
}

/// A meter of several phases sends a list, of which the largest counts.
fn current(body: &Map<String, Value>) -> Result<Option<f64>, Why> {
    let Some(energy) = body.get("ENERGY") else { return Ok(None) };
    let one = |value: &Value| number(value).ok_or(Why::Malformed);
    match energy.get("Current") {
        None => Ok(None),
        Some(Value::Array(phases)) => phases.iter().try_fold(None, |most: Option<f64>, phase| {
            let value = one(phase)?;
            Ok(Some(most.map_or(value, |m| m.max(value))))
        }),
        Some(value) => one(value).map(Some),
    }
}

fn switch(body: &Map<String, Value>) -> Result<Option<bool>, Why> {
    match body.get("Switch1") {
        None => Ok(None),
        Some(Value::String(word)) if word == "ON" => Ok(Some(true)),
        Some(Value::String(word)) if word == "OFF" => Ok(Some(false)),
        Some(_) => Err(Why::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: SensorKind, text: &str) -> Result<Option<(f64, Option<bool>)>, Why> {
        sensor("d", kind, text.as_bytes()).map(|m| match m {
            Message::Reading(r) => r.measure.map(|m| (m.value, m.detected)),
            _ => None,
        })
    }

    #[test]
    fn golden_sensors() {
        use SensorKind::*;
        let plug = r#"{"Time":"2026-11-24T19:34:28","ENERGY":{"TotalStartTime":"2026-11-03T19:34:28","Total":0.013,
            "Power":2400,"ApparentPower":2410,"Factor":0.99,"Voltage":221,"Current":10.904}}"#;
        let golden = [
            (EbikeCharging, plug, Some((10.904, None))),
            (EbikeCharging, r#"{"ENERGY":{"Current":[0.1,7.5,0.2]}}"#, Some((7.5, None))),
            (EbikeCharging, r#"{"AM2301":{"Temperature":23.1}}"#, None),
            (Smoke, r#"{"Time":"2026-11-24T19:34:28","Switch1":"ON"}"#, Some((1.0, Some(true)))),
            (FireLane, r#"{"Switch1":"OFF","DS18B20":{"Temperature":4.2},"TempUnit":"C"}"#, Some((0.0, Some(false)))),
            (HydrantPressure, r#"{"Switch1":"ON"}"#, None),
        ];
        for (kind, text, expect) in golden {
            assert_eq!(read(kind, text), Ok(expect), "{text}");
        }
        for (kind, bad) in [
            (Smoke, ""),
            (Smoke, "[]"),
            (Smoke, r#"{"Switch1":1}"#),
            (Smoke, r#"{"Switch1":"on"}"#),
            (EbikeCharging, r#"{"ENERGY":{"Current":"1"}}"#),
            (EbikeCharging, r#"{"ENERGY":{"Current":[1,null]}}"#),
        ] {
            assert_eq!(read(kind, bad), Err(Why::Malformed), "{bad}");
        }
    }

    #[test]
    fn golden_wills() {
        assert_eq!((online(b"Online"), online(b"Offline")), (Ok(true), Ok(false)));
        assert_eq!(online(b"online"), Err(Why::Malformed));
    }
}
