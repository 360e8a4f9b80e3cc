//! What arrives over MQTT, by topic, as one kind of message. Pure and total: bytes of any shape give a message or a
//! reason, never a panic. The site's own format is code, for most messages have it; all others are data, see [`decoder`].

mod decoder;
mod lenient;
mod names;
mod own;
mod path;
mod sparkplug;
mod topic;
mod value;

use std::{collections::BTreeMap, sync::Arc};

use domain::{device::Voice, ids::SensorId, site::SensorKind};
use serde::Serialize;

pub use decoder::{BadDecoder, Decoders};
pub use names::Names;
#[cfg(test)]
pub(crate) use sparkplug::tests::payload as sparkplug_payload;
pub use value::EPOCH_MS;

/// Topics of the site's own format.
const OWN: [&str; 3] = ["mjw/v1/sensors/+/reading", "mjw/v1/sensors/+/status", "mjw/v1/gateways/+/status"];

/// The formats of a site: decoders, and what devices call themselves.
#[derive(Debug, Clone)]
pub struct Formats {
    decoders: Decoders,
    named: BTreeMap<String, String>,
}

impl Formats {
    /// Decoders and the sensors of devices that have other names.
    pub fn new(decoders: Decoders, named: BTreeMap<String, String>) -> Self {
        Self { decoders, named }
    }

    /// The names of a site's devices.
    pub fn names<'a>(&self, sensors: impl IntoIterator<Item = (&'a str, SensorKind)>) -> Names {
        Names::new(sensors, &self.named)
    }

    /// Topics that the centre listens to.
    pub fn filters(&self) -> Vec<String> {
        OWN.iter().map(|t| (*t).to_owned()).chain(self.decoders.filters()).collect()
    }

    /// Those of them that are not of the site's own format.
    pub(crate) fn decoder_filters(&self) -> Vec<String> {
        self.decoders.filters()
    }

    /// The topics that a device writes: those of the sensors that it speaks for, in the formats that it speaks and under
    /// the names that it has. Sensors whose names would be more than a level of a topic are left out.
    pub fn topics(&self, voice: Voice, device: &str, behind: &[SensorId]) -> Vec<String> {
        let own = |id: &str| [format!("mjw/v1/sensors/{id}/reading"), format!("mjw/v1/sensors/{id}/status")];
        let behind = || behind.iter().map(SensorId::as_str).filter(|id| domain::device::is_name(id));
        match voice {
            Voice::Own => {
                let names = std::iter::once(device).chain(self.also(device));
                let all = names.flat_map(|name| self.decoders.of_device(name, &[]));
                own(device).into_iter().chain(all).collect()
            }
            Voice::Mjw => {
                let gateway = format!("mjw/v1/gateways/{device}/status");
                std::iter::once(gateway).chain(behind().flat_map(own)).collect()
            }
            Voice::Zigbee2mqtt => {
                let names = behind().flat_map(|id| std::iter::once(id).chain(self.also(id)));
                let all = names.flat_map(|name| self.decoders.of_device(name, &["zigbee2mqtt"]));
                all.chain(self.decoders.of_bridges("zigbee2mqtt")).collect()
            }
            Voice::Thingsboard => ["telemetry", "connect", "disconnect"].map(|w| format!("v1/gateway/{w}")).to_vec(),
        }
    }

    /// Other names of a sensor's device, as far as they can stand in the broker's files.
    fn also<'a>(&'a self, sensor: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.named.iter().filter(move |(_, of)| *of == sensor);
        let device = |(name, _): (&'a String, _)| name.rsplit_once('/').map_or(name.as_str(), |(device, _)| device);
        names.map(device).filter(|name| domain::device::is_name(name))
    }

    /// The same names with another decoder.
    pub(crate) fn with(&self, decoders: Decoders) -> Self {
        Self { decoders, named: self.named.clone() }
    }

    /// Reads a message.
    pub fn parse(&self, topic: &str, payload: &[u8], names: &Names) -> Result<Message, Fault> {
        if payload.is_empty() {
            return Ok(Message::Nothing);
        }
        match topic.strip_prefix("mjw/v1/") {
            Some(rest) => own::parse(rest, payload, names),
            None => self.decoders.decode(topic, payload, names).unwrap_or_else(|| Err(Why::Malformed.into())),
        }
    }
}

/// What a decoder reads of a message, for whoever tries one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// A value was found.
    pub value: Option<f64>,
    /// The device decided by itself whether something is wrong.
    pub detected: Option<bool>,
    /// The value has the unit of its kind.
    pub in_unit: bool,
    /// Time of the device, ms.
    pub at: Option<i64>,
    /// It is a test.
    pub test: bool,
    /// The device complains.
    pub fault: Option<String>,
    /// What it says about itself: name, value, unit.
    pub extras: Vec<(String, f64, String)>,
    /// Why something of it is set aside.
    pub aside: Option<&'static str>,
}

/// Tries a decoder, as its file would be, on a message that a sensor of this kind sent under this name.
///
/// # Errors
/// What is wrong with the decoder.
pub fn try_decoder(
    decoder: &str,
    (device, kind): (&str, SensorKind),
    topic: &str,
    payload: &[u8],
) -> Result<Tried, BadDecoder> {
    let formats = Formats::new(Decoders::of(decoder)?, BTreeMap::new());
    let names = formats.names([(device, kind)]);
    Ok(tried(&formats.parse(topic, payload, &names), names.get(device)))
}

/// What was read of a message of this sensor, to be shown.
pub(crate) fn tried(read: &Result<Message, Fault>, sensor: Option<(usize, SensorKind)>) -> Tried {
    let device = sensor.map(|(device, _)| device);
    let (reading, fault) = match read {
        Ok(Message::Reading(reading)) => (Some(reading), None),
        Ok(Message::Many { readings, faults, .. }) => {
            let ours = |f: &&Fault| f.device.is_none() || f.device == device;
            (readings.iter().find(|r| Some(r.device) == device), faults.iter().find(ours))
        }
        Ok(_) => (None, None),
        Err(fault) => (None, Some(fault)),
    };
    let measure = reading.and_then(|r| r.measure);
    let heard = reading.and_then(|r| r.heard.as_ref());
    let extra = |e: &Extra| (e.name.to_string(), e.value, e.unit.to_string());
    Tried {
        value: measure.map(|m| m.value),
        detected: measure.and_then(|m| m.detected),
        in_unit: measure.is_some_and(|m| m.unit == Unit::Sensor),
        at: reading.and_then(|r| r.at),
        test: heard.is_some_and(|h| h.test == Some(true)),
        fault: heard.and_then(|h| h.fault.clone()).filter(|f| !f.is_empty()),
        extras: reading.map(|r| r.extras.iter().map(extra).collect()).unwrap_or_default(),
        aside: fault.map(|f| f.why.code()),
    }
}

/// A message that was understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A device measured something.
    Reading(Reading),
    /// A device says that it is there, or its last will that it is not.
    Link {
        /// Its number.
        device: usize,
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
    /// The same of a bridge; behind it is whoever was heard through it.
    Bridge {
        /// Its name or base.
        bridge: String,
        /// There.
        online: bool,
    },
    /// What several devices measured, and what is wrong with the rest of the message.
    Many {
        /// Readings.
        readings: Vec<Reading>,
        /// Devices that are there or not.
        links: Vec<(usize, bool)>,
        /// The bridge that it came by.
        bridge: Option<String>,
        /// One for each part that was not understood.
        faults: Vec<Fault>,
    },
    /// Nothing to keep: a cleared retained message, a bridge's own chatter.
    Nothing,
}

/// What one device measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Number of the sensor.
    pub device: usize,
    /// Time of the device, ms; `None` = on arrival.
    pub at: Option<i64>,
    /// It has a time that cannot be read.
    pub undated: bool,
    /// The measured value, if this message has one.
    pub measure: Option<Measure>,
    /// Values about the device itself.
    pub extras: Vec<Extra>,
    /// What the device says about itself.
    pub heard: Option<Box<Heard>>,
}

impl Reading {
    fn of(device: usize) -> Self {
        Self { device, ..Self::default() }
    }
}

/// A value about a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// Name.
    pub name: Arc<str>,
    /// Value.
    pub value: f64,
    /// Unit.
    pub unit: Arc<str>,
}

/// What a device says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Somebody tests it.
    pub test: Option<bool>,
    /// Its complaint; empty = all is well.
    pub fault: Option<String>,
    /// What it says ends by itself after this time, seconds.
    pub ends_s: Option<u32>,
    /// Its own proof says that nothing is there; an alarm is stuck after this time, seconds.
    pub unproven_s: Option<u32>,
    /// Its own proof says that something is there.
    pub proven: bool,
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Value in the sensor's unit, or 0 and 1.
    pub value: f64,
    /// The device decides by itself whether something is wrong.
    pub detected: Option<bool>,
    /// What the value is.
    pub unit: Unit,
    /// Channels that told, and those of them that call, a bit each.
    pub parts: (u32, u32),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// In the unit of the sensor's kind.
    Sensor,
    /// 1 or 0 for yes or no.
    Flag,
    /// 0 or 1 of which nobody says whether it is a truth or a number.
    Unknown,
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
    /// A number whose unit nobody tells, and which would mean different things.
    UnknownUnit,
    /// Of so long ago, or before what was heard already, that it changes nothing now.
    Old,
}

impl Why {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::UnknownDevice => "unknown_device",
            Self::UnknownUnit => "unknown_unit",
            Self::Old => "old",
        }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why it is not understood.
    pub why: Why,
    /// The sensor that sent it.
    pub device: Option<usize>,
    /// The device that the site does not have, and its format.
    pub stranger: Option<(String, Arc<str>)>,
}

impl Fault {
    fn stranger(id: &str, format: &str) -> Self {
        Self { why: Why::UnknownDevice, device: None, stranger: Some((id.to_owned(), format.into())) }
    }

    fn of(why: Why, device: usize) -> Self {
        Self { why, device: Some(device), stranger: None }
    }
}

impl From<Why> for Fault {
    fn from(why: Why) -> Self {
        Self { why, device: None, stranger: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn formats() -> Formats {
        let named = [("shed/Switch2", "sos"), ("living_room/door", "manhole")];
        let named = named.map(|(name, sensor)| (name.to_owned(), sensor.to_owned())).into();
        Formats::new(Decoders::shipped(&[], &BTreeMap::new()).unwrap(), named)
    }

    fn names() -> Names {
        formats().names(crate::rules::KINDS)
    }

    #[test]
    fn unknown_devices_and_topics_are_told_apart() {
        let (formats, names) = (formats(), names());
        let read = |topic: &str| match formats.parse(topic, br#"{"v":1}"#, &names) {
            Ok(Message::Many { faults, .. }) if !faults.is_empty() => Err(faults[0].clone()),
            other => other,
        };
        let why = |topic: &str| read(topic).map_err(|f| f.why);
        assert!(why("mjw/v1/sensors/smoke/reading").is_ok());
        assert_eq!(why("mjw/v1/sensors/nobody/reading"), Err(Why::UnknownDevice));
        assert_eq!(why("zigbee2mqtt/nobody"), Err(Why::UnknownDevice));
        assert_eq!(why("mjw/v2/sensors/smoke/reading"), Err(Why::Malformed));
        assert_eq!(why("zigbee2mqtt/bridge"), Ok(Message::Nothing));
        assert_eq!(formats.parse("mjw/v1/sensors/smoke/status", b"", &names), Ok(Message::Nothing));
        let stranger = |topic: &str| read(topic).unwrap_err().stranger.map(|(name, format)| (name, format.to_string()));
        assert_eq!(stranger("tele/plug-9/SENSOR"), Some(("plug-9".to_owned(), "tasmota".to_owned())));
        let there = stranger("zigbee2mqtt/0x00158d/availability");
        assert_eq!(there, Some(("0x00158d".to_owned(), "zigbee2mqtt".to_owned())));
    }

    #[test]
    fn a_device_writes_what_the_centre_listens_to() {
        let formats = formats();
        let filters = formats.filters();
        let behind = ["smoke".into(), "gas".into()];
        for voice in Voice::ALL {
            let written = formats.topics(voice, "hub", &behind);
            let heard = |topic: &String| filters.iter().any(|f| topic::covers(f, topic));
            assert!(!written.is_empty() && written.iter().all(heard), "{voice:?}: {written:?}");
        }
        let own = formats.topics(Voice::Own, "sos", &[]);
        assert!(own.contains(&"stat/shed/RESULT".to_owned()), "also under the name that it gives itself: {own:?}");
        let mut all = filters.clone();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), filters.len(), "no message comes twice");
    }

    #[test]
    fn decoders_are_checked() {
        let more = |id: &str, base: &str| BTreeMap::from([(id.to_owned(), vec![base.to_owned()])]);
        assert!(Decoders::shipped(&[], &more("zigbee2mqtt", "z2m/b12")).is_ok());
        assert!(Decoders::shipped(&[], &more("zigbee2mqtt", "z2m/#")).is_err());
        assert!(Decoders::shipped(&[], &more("zwave", "z")).is_err());
        assert!(Decoders::shipped(&[], &more("ttn", "z")).is_err());
        assert!(Decoders::shipped(&["tasmoto".to_owned()], &BTreeMap::new()).is_err());
        for (text, what) in [
            (r#"{"id":"x","messages":[{"topic":"a/{device}","values":{"smok":[]}}]}"#, "smok"),
            (r#"{"id":"x","messages":[{"topic":"a/#/b"}]}"#, "#"),
            (r#"{"id":"x","messages":[{"topic":"a","time":["ts"]}]}"#, "/"),
            (r#"{"id":"x","messages":[{"topic":"a","tim":["/ts"]}]}"#, "tim"),
            (r#"{"id":"x","messages":[{"topic":"{base}/a"}]}"#, "bases"),
        ] {
            let error = Decoders::of(text).unwrap_err();
            assert!(error.decoder == "x" && error.message.contains(what), "{error}");
        }
    }

    #[test]
    fn a_decoder_is_tried_on_a_message() {
        let decoder = r#"{"id":"mine","messages":[{"topic":"acme/{device}/up","time":["/at"],"values":{"electrical_fire":[
            {"path":"/leak/value","as":"value","unit":"/leak/unit","units":{"A":1000,"mA":1}}]},
            "extras":[{"path":"/mv","name":"voltage","unit":"V","factor":0.001}]}]}"#;
        let of =
            |body: &str| try_decoder(decoder, ("d", SensorKind::ElectricalFire), "acme/d/up", body.as_bytes()).unwrap();
        let tried = of(r#"{"leak":{"value":"0.4","unit":"A"},"mv":3100,"at":1700000000}"#);
        assert_eq!((tried.value, tried.in_unit, tried.at), (Some(400.0), true, Some(1_700_000_000_000)));
        assert_eq!(tried.extras, [("voltage".to_owned(), 3.1, "V".to_owned())]);
        let unknown = of(r#"{"leak":{"value":0.4,"unit":"cmH2O"}}"#);
        assert_eq!((unknown.value, unknown.aside), (None, Some("malformed")), "no unit is invented");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(topic in "(mjw/v1/|zigbee2mqtt/|tele/|stat/|v1/gateway/|v3/a/devices/|application/1/device/|frigate/)?(sensors/|gateways/)?(smoke|sos|shed|telemetry|connect|events)?(/reading|/status|/availability|/SENSOR|/RESULT|/up|/event/up|/events/rpc|/status/flood:0)?",
                          bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = formats().parse(&topic, &bytes, &names());
        }

        #[test]
        fn an_odd_value_never_hides_the_alarm_beside_it(
            (topic, body) in prop::sample::select(vec![
                ("mjw/v1/sensors/smoke/reading", r#"{"v":0.9,ODD}"#),
                ("zigbee2mqtt/smoke", r#"{"smoke":true,ODD}"#),
                ("zigbee2mqtt/sos", r#"{ODD,"action":"emergency"}"#),
                ("tele/smoke/SENSOR", r#"{ODD,"Switch1":"ON"}"#),
                ("stat/shed/RESULT", r#"{"Switch2":{"Action":"ON"},ODD}"#),
                ("v1/gateway/telemetry", r#"{"smoke":[{"ts":1700000000000,"values":{ODD,"smoke":"true"}}]}"#),
                ("v1/gateway/telemetry", r#"{"smoke":{"smoke":1,ODD}}"#),
                ("water_level/events/rpc", r#"{"params":{"flood:0":{"alarm":true,ODD}}}"#),
                ("v3/a/devices/smoke/up", r#"{"uplink_message":{"frm_payload":"AQ==","decoded_payload":{"smoke":true,ODD}}}"#),
                ("application/1/device/smoke/event/up", r#"{"data":"AQ==","object":{ODD,"smoke":true}}"#),
            ]),
            key in prop::sample::select(vec!["battery", "Time", "t", "ts", "last_seen", "linkquality", "temperature", "ENERGY", "fault", "rssi", "note"]),
            value in prop::sample::select(vec!["nan", "null", "\"n/a\"", "\"true\"", "\"0.8\"", "1", "-1e999", "[]", "{}", "[[{}]]", "\"2023-11-14T22:13:20\"", "NaN", "undefined", "\"\\u0000\""]),
            (before, after) in prop::sample::select(vec![("", ""), ("\u{feff}", ""), ("", "\0"), (" ", "\0\0\r\n")]),
        ) {
            let text = format!("{before}{}{after}", body.replace("ODD", &format!("\"{key}\":{value}")));
            let names = names();
            let readings = match formats().parse(topic, text.as_bytes(), &names) {
                Ok(Message::Reading(reading)) => vec![reading],
                Ok(Message::Many { readings, .. }) => readings,
                other => panic!("{text}: {other:?}"),
            };
            let calls = |m: Measure| m.detected == Some(true) || m.value >= 0.9;
            prop_assert!(readings.iter().any(|r| r.measure.is_some_and(calls)), "{text}");
            for r in readings {
                prop_assert!(r.measure.is_none_or(|m| m.value.is_finite()));
                prop_assert!(r.extras.iter().all(|e| e.value.is_finite()));
                prop_assert!(r.at.is_none_or(|at| at >= EPOCH_MS));
            }
        }
    }
}
