//! Zigbee2MQTT: `zigbee2mqtt/<id>` with the device's state as JSON, `…/availability` with `{"state":"online"}` or the
//! bare word. A device has no clock, so its readings happen on arrival. Members are chosen by what the site says that
//! the device measures; the rest is ignored.

use domain::site::SensorKind;
use serde_json::{Map, Value};

use super::{Measure, Message, Reading, Why, own};

pub(super) fn state(sensor: &str, kind: SensorKind, payload: &[u8]) -> Result<Message, Why> {
    let body: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
    let measure = measure(kind, &body)?;
    let extras = [("battery", "%"), ("linkquality", "lqi")]
        .into_iter()
        .filter_map(|(name, unit)| Some((name, number(&body, name)?, unit)))
        .collect::<Vec<_>>();
    if measure.is_none() && extras.is_empty() {
        return Ok(Message::Nothing);
    }
    Ok(Message::Reading(Reading { sensor: sensor.to_owned(), at: None, measure, extras }))
}

pub(super) fn available(payload: &[u8]) -> Result<bool, Why> {
    own::online(payload).or_else(|_| {
        let body: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Why::Malformed)?;
        let state = body.get("state").and_then(Value::as_str).ok_or(Why::Malformed)?;
        own::online(state.as_bytes())
    })
}

fn number(body: &Map<String, Value>, name: &str) -> Option<f64> {
    body.get(name).and_then(super::number)
}

/// The member that tells about this kind; a member of the wrong type is malformed, a missing one is not.
fn measure(kind: SensorKind, body: &Map<String, Value>) -> Result<Option<Measure>, Why> {
    let flag = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(b)) => Ok(Some(*b)),
        Some(_) => Err(Why::Malformed),
    };
    let detected = match kind {
        SensorKind::Smoke => flag("smoke")?,
        SensorKind::Gas => flag("gas")?,
        SensorKind::WaterLevel => flag("water_leak")?,
        // A contact that is closed is a cover in its place.
        SensorKind::Manhole => flag("contact")?.map(|closed| !closed),
        SensorKind::FireLane => flag("occupancy")?,
        SensorKind::Sos | SensorKind::CallPoint => flag("sos")?.or(pressed(body)),
        SensorKind::EbikeCharging => {
            let measured = |value| Measure { value, detected: None };
            return Ok(number(body, "current").map(measured));
        }
        SensorKind::ElectricalFire | SensorKind::HydrantPressure | SensorKind::Lift => None,
    };
    let density = number(body, "smoke_density_dbm").filter(|_| kind == SensorKind::Smoke);
    Ok(detected.map(|d| Measure { value: density.unwrap_or(f64::from(u8::from(d))), detected: Some(d) }))
}

/// Buttons send what was done; the empty word is the release. Other words say nothing about an emergency.
fn pressed(body: &Map<String, Value>) -> Option<bool> {
    match body.get("action").and_then(Value::as_str)? {
        "emergency" => Some(true),
        "" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(kind: SensorKind, text: &str) -> Result<Option<(f64, Option<bool>)>, Why> {
        state("d", kind, text.as_bytes()).map(|m| match m {
            Message::Reading(r) => r.measure.map(|m| (m.value, m.detected)),
            _ => None,
        })
    }

    #[test]
    fn golden_states() {
        use SensorKind::*;
        let smoke = r#"{"battery":100,"linkquality":90,"smoke":true,"smoke_density_dbm":0.9}"#;
        assert_eq!(read(Smoke, smoke), Ok(Some((0.9, Some(true)))));
        let golden = [
            (Smoke, r#"{"smoke":false,"battery":81}"#, Some((0.0, Some(false)))),
            (Sos, r#"{"action":"emergency","battery":100,"linkquality":97}"#, Some((1.0, Some(true)))),
            (Sos, r#"{"action":""}"#, Some((0.0, Some(false)))),
            (Sos, r#"{"action":"single"}"#, None),
            (Sos, r#"{"sos":true}"#, Some((1.0, Some(true)))),
            (Gas, r#"{"gas":true}"#, Some((1.0, Some(true)))),
            (Manhole, r#"{"contact":false,"battery":3}"#, Some((1.0, Some(true)))),
            (Manhole, r#"{"contact":true}"#, Some((0.0, Some(false)))),
            (WaterLevel, r#"{"water_leak":true,"device_temperature":21}"#, Some((1.0, Some(true)))),
            (EbikeCharging, r#"{"current":11.5,"power":2400,"state":"ON"}"#, Some((11.5, None))),
            (Lift, r#"{"update":{"state":"idle"}}"#, None),
        ];
        for (kind, text, expect) in golden {
            assert_eq!(read(kind, text), Ok(expect), "{text}");
        }
        for bad in ["", "[]", "true", r#"{"smoke":"yes"}"#, r#"{"smoke":1}"#] {
            assert_eq!(read(Smoke, bad), Err(Why::Malformed), "{bad}");
        }
    }

    #[test]
    fn values_about_the_device_are_kept() {
        let Ok(Message::Reading(r)) = state("d", SensorKind::Smoke, br#"{"battery":81,"linkquality":12}"#) else {
            panic!("a reading")
        };
        assert_eq!(r.extras, [("battery", 81.0, "%"), ("linkquality", 12.0, "lqi")]);
    }

    #[test]
    fn golden_availability() {
        assert_eq!(available(br#"{"state":"online"}"#), Ok(true));
        assert_eq!(available(b"offline"), Ok(false));
        assert_eq!(available(br#"{"state":1}"#), Err(Why::Malformed));
    }
}
