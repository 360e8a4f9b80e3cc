//! What arrives over MQTT, by topic, as one kind of message. Pure and total: bytes of any shape give a message or a
//! reason, never a panic. Each payload format is a module with golden samples.

mod own;
mod tasmota;
mod thingsboard;
mod zigbee;

use domain::{device::Voice, ids::SensorId, site::SensorKind};
use serde_json::Value;

/// Topics that the centre listens to.
pub const TOPICS: [&str; 10] = [
    "mjw/v1/sensors/+/reading",
    "mjw/v1/sensors/+/status",
    "mjw/v1/gateways/+/status",
    "zigbee2mqtt/+",
    "zigbee2mqtt/+/availability",
    "tele/+/SENSOR",
    "tele/+/LWT",
    "v1/gateway/telemetry",
    "v1/gateway/connect",
    "v1/gateway/disconnect",
];

/// The topics that a device writes: those of the sensors that it speaks for, in the formats that it speaks. Sensors whose
/// names would be more than a level of a topic are left out.
pub fn topics(voice: Voice, device: &str, behind: &[SensorId]) -> Vec<String> {
    let own = |id: &str| [format!("mjw/v1/sensors/{id}/reading"), format!("mjw/v1/sensors/{id}/status")];
    let zigbee = |id: &str| [format!("zigbee2mqtt/{id}"), format!("zigbee2mqtt/{id}/availability")];
    let tasmota = |id: &str| [format!("tele/{id}/SENSOR"), format!("tele/{id}/LWT")];
    let behind = || behind.iter().map(SensorId::as_str).filter(|id| domain::device::is_name(id));
    match voice {
        Voice::Own => own(device).into_iter().chain(zigbee(device)).chain(tasmota(device)).collect(),
        Voice::Mjw => {
            let gateway = format!("mjw/v1/gateways/{device}/status");
            std::iter::once(gateway).chain(behind().flat_map(own)).collect()
        }
        Voice::Zigbee2mqtt => behind().flat_map(zigbee).collect(),
        Voice::Thingsboard => ["telemetry", "connect", "disconnect"].map(|w| format!("v1/gateway/{w}")).to_vec(),
    }
}

/// A message that was understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A device measured something.
    Reading(Reading),
    /// A device says that it is there, or its last will that it is not.
    Link {
        /// Device.
        sensor: String,
        /// There.
        online: bool,
    },
    /// The same of a gateway and the devices behind it.
    Gateway {
        /// Name of the gateway.
        gateway: String,
        /// There.
        online: bool,
        /// Devices behind it; `None` when it does not say.
        sensors: Option<Vec<String>>,
    },
    /// What several devices measured, and what is wrong with the rest of the message.
    Many {
        /// Readings.
        readings: Vec<Reading>,
        /// One for each part that was not understood.
        faults: Vec<Fault>,
    },
    /// Nothing to keep: a cleared retained message, a bridge's own chatter.
    Nothing,
}

/// What one device measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Device.
    pub sensor: String,
    /// Time of the device, ms; `None` = on arrival.
    pub at: Option<i64>,
    /// The measured value, if this message has one.
    pub measure: Option<Measure>,
    /// Values about the device itself: name, value, unit.
    pub extras: Vec<(&'static str, f64, &'static str)>,
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Value in the sensor's unit, or 0 and 1.
    pub value: f64,
    /// The device decides by itself whether something is wrong.
    pub detected: Option<bool>,
}

/// Why a message is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Larger than taken.
    Oversize,
    /// Not of the shape that its topic has.
    Malformed,
    /// From a device that the site does not have.
    UnknownDevice,
}

impl Why {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::UnknownDevice => "unknown_device",
        }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why it is not understood.
    pub why: Why,
    /// The device that the site does not have, and its format.
    pub stranger: Option<(String, &'static str)>,
}

impl Fault {
    fn stranger(id: &str, format: &'static str) -> Self {
        Self { why: Why::UnknownDevice, stranger: Some((id.to_owned(), format)) }
    }
}

impl From<Why> for Fault {
    fn from(why: Why) -> Self {
        Self { why, stranger: None }
    }
}

/// Reads a message. `kind` tells what a device measures, `None` for a device that the site does not have.
pub fn parse(topic: &str, payload: &[u8], kind: impl Fn(&str) -> Option<SensorKind>) -> Result<Message, Fault> {
    let parts: Vec<&str> = topic.split('/').collect();
    if payload.is_empty() {
        return Ok(Message::Nothing);
    }
    let known = |id: &str, format| kind(id).ok_or_else(|| Fault::stranger(id, format));
    Ok(match parts.as_slice() {
        ["mjw", "v1", "sensors", id, "reading"] => {
            known(id, "mjw")?;
            Message::Reading(own::reading(id, payload)?)
        }
        ["mjw", "v1", "sensors", id, "status"] => {
            known(id, "mjw")?;
            Message::Link { sensor: (*id).to_owned(), online: own::online(payload)? }
        }
        ["mjw", "v1", "gateways", id, "status"] => own::gateway(id, payload)?,
        ["zigbee2mqtt", "bridge", ..] => Message::Nothing,
        ["zigbee2mqtt", id] => zigbee::state(id, known(id, "zigbee2mqtt")?, payload)?,
        ["zigbee2mqtt", id, "availability"] => {
            known(id, "zigbee2mqtt")?;
            Message::Link { sensor: (*id).to_owned(), online: zigbee::available(payload)? }
        }
        ["tele", id, "SENSOR"] => tasmota::sensor(id, known(id, "tasmota")?, payload)?,
        ["tele", id, "LWT"] => {
            known(id, "tasmota")?;
            Message::Link { sensor: (*id).to_owned(), online: tasmota::online(payload)? }
        }
        ["v1", "gateway", "telemetry"] => thingsboard::telemetry(payload, &kind)?,
        ["v1", "gateway", word @ ("connect" | "disconnect")] => {
            let sensor = thingsboard::device(payload)?;
            known(&sensor, thingsboard::NAME)?;
            Message::Link { sensor, online: *word == "connect" }
        }
        _ => return Err(Why::Malformed.into()),
    })
}

/// A number that sums stay far from infinity with.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|v| v.is_finite() && v.abs() <= own::MAX_VALUE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn kind(id: &str) -> Option<SensorKind> {
        crate::rules::KINDS.iter().find(|(name, _)| *name == id).map(|(_, k)| *k)
    }

    #[test]
    fn unknown_devices_and_topics_are_told_apart() {
        let read = |topic: &str| parse(topic, br#"{"v":1}"#, kind).map_err(|f| f.why);
        assert!(read("mjw/v1/sensors/smoke/reading").is_ok());
        assert_eq!(read("mjw/v1/sensors/nobody/reading"), Err(Why::UnknownDevice));
        assert_eq!(read("zigbee2mqtt/nobody"), Err(Why::UnknownDevice));
        assert_eq!(read("mjw/v2/sensors/smoke/reading"), Err(Why::Malformed));
        assert_eq!(read("zigbee2mqtt/bridge"), Ok(Message::Nothing));
        assert_eq!(parse("mjw/v1/sensors/smoke/status", b"", kind), Ok(Message::Nothing));
        let stranger = |topic: &str| parse(topic, br#"{"v":1}"#, kind).unwrap_err().stranger.unwrap();
        assert_eq!(stranger("tele/plug-9/SENSOR"), ("plug-9".to_owned(), "tasmota"));
        assert_eq!(stranger("zigbee2mqtt/0x00158d/availability"), ("0x00158d".to_owned(), "zigbee2mqtt"));
    }

    #[test]
    fn a_device_writes_what_the_centre_listens_to() {
        let heard = |topic: &str| {
            TOPICS.iter().any(|filter| {
                let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
                filter.len() == topic.len() && filter.iter().zip(&topic).all(|(f, t)| *f == "+" || f == t)
            })
        };
        let behind = ["smoke".into(), "gas".into()];
        let mut written: Vec<String> = Voice::ALL.iter().flat_map(|v| topics(*v, "hub", &behind)).collect();
        assert!(written.iter().all(|t| heard(t)), "{written:?}");
        // Each filter has a voice that writes it.
        written.extend(topics(Voice::Own, "smoke", &[]));
        for filter in TOPICS {
            let shape = |t: &str| {
                t.split('/')
                    .map(|p| if ["smoke", "gas", "hub"].contains(&p) { "+" } else { p }.to_owned())
                    .collect::<Vec<_>>()
                    .join("/")
            };
            assert!(written.iter().any(|t| shape(t) == filter), "{filter}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(topic in "(mjw/v1/|zigbee2mqtt/|tele/|v1/gateway/)?(sensors/|gateways/)?(smoke|sos|x|telemetry|connect)?(/reading|/status|/availability|/SENSOR|/LWT)?",
                          bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&topic, &bytes, kind);
        }

        #[test]
        fn no_json_panics(topic in prop::sample::select(vec!["mjw/v1/sensors/smoke/reading", "mjw/v1/gateways/1/status",
                              "mjw/v1/sensors/gas/status", "zigbee2mqtt/smoke", "zigbee2mqtt/sos", "zigbee2mqtt/lift/availability",
                              "tele/smoke/SENSOR", "tele/ebike_charging/SENSOR", "v1/gateway/telemetry", "v1/gateway/connect"]),
                          key in prop::sample::select(vec!["v", "t", "n", "online", "sensors", "smoke", "action", "battery", "state", "contact", "Switch1", "ENERGY", "device"]),
                          value in prop::sample::select(vec!["null", "true", "-1e308", "1e999", "\"emergency\"", "[]", "[1]", "[\"smoke\"]", "{}", "\"online\"", "[{\"smoke\":1e999}]", "{\"Current\":[1,-1e308]}"])) {
            let body = format!("{{\"{key}\":{value}}}");
            let readings = match parse(topic, body.as_bytes(), kind) {
                Ok(Message::Reading(reading)) => vec![reading],
                Ok(Message::Many { readings, .. }) => readings,
                _ => Vec::new(),
            };
            for r in readings {
                prop_assert!(r.measure.is_none_or(|m| m.value.is_finite()));
                prop_assert!(r.extras.iter().all(|e| e.1.is_finite()));
            }
        }
    }
}
