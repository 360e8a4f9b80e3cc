//! What goes over MQTT. Most devices speak the site's own JSON; some stand for a Zigbee network whose bridge publishes
//! as Zigbee2MQTT does.

use domain::site::{Sensor, SensorKind};
use serde_json::{Value, json};

/// How a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `mjw/v1/sensors/<id>/reading` with `{"v":value,"t":ms,"n":sequence}`.
    Own,
    /// `zigbee2mqtt/<id>` with the state of the device.
    Zigbee,
}

/// Help buttons and the smoke detectors of odd buildings are Zigbee devices, all else is the site's own.
pub fn dialect(sensor: &Sensor) -> Dialect {
    let odd = || {
        let number = sensor.place.building.as_ref().and_then(|b| b.as_str().get(1..)?.parse::<u16>().ok());
        number.is_some_and(|n| n % 2 == 1)
    };
    match sensor.kind {
        SensorKind::Sos => Dialect::Zigbee,
        SensorKind::Smoke if odd() => Dialect::Zigbee,
        _ => Dialect::Own,
    }
}

/// Smoke from which a Zigbee detector says `true`, dB/m.
pub const SMOKE_AT: f64 = 0.15;

/// Topic and body of a reading. `n` counts the readings of this device since the simulator started.
pub fn reading(sensor: &Sensor, value: f64, at_ms: i64, n: u64) -> (String, Value) {
    match dialect(sensor) {
        Dialect::Own => (format!("mjw/v1/sensors/{}/reading", sensor.id), json!({"v": value, "t": at_ms, "n": n})),
        Dialect::Zigbee => {
            // A battery loses a percent in about a month of readings.
            let battery = 100 - (n / 60_000).min(80);
            let quality = 90 + (n * 7) % 60;
            let mut body = json!({"battery": battery, "linkquality": quality});
            if let Some(body) = body.as_object_mut() {
                match sensor.kind {
                    SensorKind::Sos => {
                        body.insert("action".into(), json!(if value > 0.0 { "emergency" } else { "" }));
                    }
                    _ => {
                        body.insert("smoke".into(), json!(value >= SMOKE_AT));
                        body.insert("smoke_density_dbm".into(), json!(value));
                    }
                }
            }
            (format!("zigbee2mqtt/{}", sensor.id), body)
        }
    }
}

/// Topic of a device's retained state.
pub fn status_topic(sensor: &Sensor) -> String {
    format!("mjw/v1/sensors/{}/status", sensor.id)
}

/// Topic of a gateway's retained state and last will; gateways count from 1.
pub fn gateway_topic(gateway: usize) -> String {
    format!("mjw/v1/gateways/{gateway}/status")
}

/// Body of a gateway's state and last will: it names the devices behind it, so that whoever reads the will knows all that
/// is lost with the gateway.
pub fn gateway_state<'a>(online: bool, sensors: impl Iterator<Item = &'a Sensor>) -> String {
    let sensors: Vec<&str> = sensors.map(|s| s.id.as_str()).collect();
    json!({"online": online, "sensors": sensors}).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden_payloads() {
        let site = site::built_in();
        let sensor = |id: &str| site.sensor(&id.into()).unwrap();
        let (topic, body) = reading(sensor("smoke-b12-2-06"), 0.021, 1_700_000_000_000, 3);
        assert_eq!(topic, "mjw/v1/sensors/smoke-b12-2-06/reading");
        assert_eq!(body.to_string(), r#"{"n":3,"t":1700000000000,"v":0.021}"#);
        let (topic, body) = reading(sensor("sos-g06"), 1.0, 0, 1);
        assert_eq!(topic, "zigbee2mqtt/sos-g06");
        assert_eq!(body.to_string(), r#"{"action":"emergency","battery":100,"linkquality":97}"#);
        let smoke = site.sensors.iter().find(|s| s.id.as_str().starts_with("smoke-b9-")).unwrap();
        let (_, body) = reading(smoke, 0.9, 0, 0);
        assert_eq!(body.to_string(), r#"{"battery":100,"linkquality":90,"smoke":true,"smoke_density_dbm":0.9}"#);
        assert_eq!(reading(smoke, 0.02, 0, 0).1["smoke"], json!(false));
        let behind = [sensor("sos-g06"), sensor("smoke-b12-2-06")];
        let state = gateway_state(false, behind.into_iter());
        assert_eq!(state, r#"{"online":false,"sensors":["sos-g06","smoke-b12-2-06"]}"#);
    }

    #[test]
    fn both_dialects_are_spoken_by_many() {
        let site = site::built_in();
        let zigbee = site.sensors.iter().filter(|s| dialect(s) == Dialect::Zigbee).count();
        assert!(zigbee > 80 && site.sensors.len() - zigbee > 300);
    }
}
