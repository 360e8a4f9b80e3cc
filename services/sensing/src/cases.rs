//! What real devices and gateways send, by kind: each message with what must come of it, from topic to edge. The bodies are
//! those of public reports; the devices are ours.
#![allow(clippy::unwrap_used)]

use domain::site::Sensor;
use serde_json::json;

use super::{
    tests::{T0, site},
    *,
};
use crate::{
    devices::Condition,
    formats::{Decoders, sparkplug_payload, try_decoder},
};

const HOUR: i64 = 3_600_000;

/// A centre with one sensor of each kind, named after it, and what it heard so far.
struct Centre {
    engine: Engine,
    now: i64,
    rows: Vec<RuleState>,
    around: Around,
    site: Site,
}

#[derive(Debug, Default, PartialEq)]
struct Came1 {
    /// Rules that began (+) or ended (-).
    edges: Vec<String>,
    links: Vec<String>,
    why: Vec<Why>,
    values: Vec<(String, f64, Option<String>)>,
}

impl Centre {
    fn new() -> Self {
        let mut site = site();
        let one = site.sensors[0].clone();
        site.sensors =
            rules::KINDS.iter().map(|(id, kind)| Sensor { id: (*id).into(), kind: *kind, ..one.clone() }).collect();
        let named = [
            ("living_room/sensor/0004/doorsensor", "manhole"),
            ("tasmota_3DD57B/Switch2", "smoke"),
            ("node/hall_smoke", "smoke"),
            ("a84041", "gas"),
            ("lane_cam", "fire_lane"),
            ("A", "smoke"),
            ("Device A", "smoke"),
        ];
        let named = named.map(|(name, sensor)| (name.to_owned(), sensor.to_owned())).into();
        let bases = BTreeMap::from([("zigbee2mqtt".to_owned(), vec!["z2m-b12".to_owned()])]);
        let formats = Arc::new(Formats::new(Decoders::shipped(&[], &bases).unwrap(), named));
        let around = Around { formats, seen: Arc::default(), silence: Silence::new(&BTreeMap::new()).unwrap() };
        let engine = Engine::new(&site, rules::shipped().unwrap(), 7, &[], around.clone(), T0);
        Self { engine, now: T0, rows: Vec::new(), around, site }
    }

    /// The same centre after a restart.
    fn again(&mut self) {
        self.around.seen = Arc::default();
        let rules = rules::shipped().unwrap();
        self.engine = Engine::new(&self.site, rules, 7, &self.rows, self.around.clone(), self.now);
    }

    fn with(&mut self, work: impl FnOnce(&mut Engine, i64, &mut Changes)) -> Came1 {
        let mut out = Changes::default();
        work(&mut self.engine, self.now, &mut out);
        out.seal(&self.engine);
        self.rows.extend(out.telemetry.rule_states.iter().cloned());
        let edge = |p: &PendingObservation| {
            let edge: PendingEdge = serde_json::from_slice(&p.payload).unwrap();
            format!("{}{}", if edge.raised { '+' } else { '-' }, edge.rule)
        };
        let rows = out.telemetry.readings.iter().map(|r| (r.sensor.clone(), r.value, r.unit.clone())).collect();
        let link = |(id, on): &(SensorId, bool)| format!("{}{id}", if *on { '+' } else { '-' });
        Came1 {
            edges: out.telemetry.pending.iter().map(edge).collect(),
            links: out.links.iter().map(link).collect(),
            why: out.unreadable.iter().map(|(why, _)| *why).collect(),
            values: rows,
        }
    }

    fn comes(&mut self, topic: &str, body: &str, arrival: Arrival) -> Came1 {
        self.now += 10;
        self.with(|engine, now, out| engine.take(topic, body.as_bytes(), arrival, now, out))
    }

    fn hears(&mut self, topic: &str, body: &str) -> Came1 {
        self.comes(topic, body, Arrival::First)
    }

    fn waits(&mut self, ms: i64) -> Came1 {
        self.now += ms;
        self.with(|engine, now, out| engine.tick(now, out))
    }

    fn is(&mut self, sensor: &str) -> Condition {
        self.waits(0);
        self.around.seen.of(&sensor.into()).unwrap().condition
    }

    fn complaint(&mut self, sensor: &str) -> String {
        self.waits(0);
        self.around.seen.of(&sensor.into()).unwrap().complaint.unwrap_or_default()
    }
}

/// The edges of one message in a new centre.
fn edges(topic: &str, body: &str) -> Vec<String> {
    Centre::new().hears(topic, body).edges
}

#[test]
fn a_tasmota_tells_its_switches_at_once_and_each_counts() {
    // Known by its own name and channel; the periodic message says the same.
    assert_eq!(edges("stat/tasmota_3DD57B/RESULT", r#"{"Switch2":{"Action":"ON"}}"#), ["+smoke"]);
    assert_eq!(edges("tele/tasmota_3DD57B/SENSOR", r#"{"Time":"2020-12-09T14:12:09","Switch2":"ON"}"#), ["+smoke"]);
    assert_eq!(edges("tasmota_3DD57B/stat/RESULT", r#"{"Switch2":{"Action":"ON"}}"#), ["+smoke"]);
    let mut centre = Centre::new();
    let off = centre.hears("tele/tasmota_3DD57B/SENSOR", r#"{"Time":"2020-12-09T14:12:09","Switch2":"OFF"}"#);
    assert_eq!((off.edges.len(), off.values[0].1), (0, 0.0));
    assert_eq!(centre.hears("stat/tasmota_3DD57B/RESULT", r#"{"Switch1":{"Action":"ON"}}"#).edges, [""; 0], "another");
    // Of a device that is one sensor any of its switches calls, and it ends when all are off.
    let mut centre = Centre::new();
    assert_eq!(centre.hears("stat/smoke/RESULT", r#"{"Switch2":{"Action":"ON"}}"#).edges, ["+smoke"]);
    assert_eq!(centre.hears("stat/smoke/RESULT", r#"{"Switch1":{"Action":"OFF"}}"#).edges, [""; 0]);
    assert_eq!(centre.hears("tele/smoke/SENSOR", r#"{"Switch1":"OFF","Switch2":"OFF"}"#).edges, ["-smoke"]);
}

#[test]
fn bare_nan_hides_no_alarm() {
    let body = r#"{"Time":"2026-11-24T19:34:28","Switch1":"ON","DHT11":{"Temperature":nan,"Humidity":nan}}"#;
    assert_eq!(edges("tele/smoke/SENSOR", body), ["+smoke"]);
}

#[test]
fn what_cannot_be_read_is_shown_and_is_a_sign_of_life() {
    let mut centre = Centre::new();
    let body = r#"{"Time":"2020-12-09T14:12:09","LYWSD02-8250f4":{,"Battery":55}}"#;
    let came = centre.hears("tele/smoke/SENSOR", body);
    assert_eq!((came.edges.len(), came.why, came.links), (0, vec![Why::Malformed], vec!["+smoke".to_owned()]));
    let device = centre.around.seen.of(&"smoke".into()).unwrap();
    assert_eq!((device.odd, device.heard), (1, Some(T0 + 10)));
    let raw = &centre.around.seen.raws("smoke")[0];
    assert_eq!((raw.text(), raw.why, &*raw.topic), (body.to_owned(), Some(Why::Malformed), "tele/smoke/SENSOR"));
    assert_eq!(centre.around.seen.set_aside()[0].text(), body);
    // Also of a device that nobody registered, and of nobody knows whom.
    centre.hears("tele/plug-9/SENSOR", r#"{"Switch1":"ON"}"#);
    assert_eq!(centre.around.seen.raws("plug-9")[0].text(), r#"{"Switch1":"ON"}"#);
    centre.hears("somewhere/else", "help");
    let last = centre.around.seen.set_aside().pop().unwrap();
    assert_eq!((last.text(), last.why), ("help".to_owned(), Some(Why::Malformed)));
}

#[test]
fn a_thingsboard_gateway_says_it_in_many_ways() {
    for body in [
        r#"{"Device A":[{"values":{"smoke":true}}]}"#,
        r#"{"A":[{"ts":1648731311,"values":{"smoke":true}}]}"#,
        r#"{"A":[{"ts":1700000000000,"values":{"level":"36.7","smoke":"true","gas":"n/a","rssi":null}}]}"#,
        r#"{"A":[{"ts":"2023-11-14T22:13:20Z","values":{"smoke":true}}]}"#,
        r#"{"A":[{"ts":"yesterday","values":{"smoke":true}}]}"#,
        r#"{"A":{"smoke":true}}"#,
        r#"{"A":[{"smoke":1}]}"#,
    ] {
        assert_eq!(edges("v1/gateway/telemetry", body), ["+smoke"], "{body}");
    }
    let mut centre = Centre::new();
    let came = centre.hears("v1/gateway/telemetry", r#"{"water_level":[{"level":"0.36"}],"gas":[{"gas":"n/a"}]}"#);
    assert_eq!(came.values, [("water_level".to_owned(), 0.36, Some("m".to_owned()))]);
    assert_eq!((came.why, came.links.len()), (vec![], 2));
    // Seconds are no time of 1970.
    let body = format!(r#"{{"A":[{{"ts":{},"values":{{"smoke":0.9}}}}]}}"#, T0 / 1_000 - 60);
    let mut out = Changes::default();
    Centre::new().engine.take("v1/gateway/telemetry", body.as_bytes(), Arrival::First, T0, &mut out);
    assert_eq!(out.telemetry.readings[0].at_ms, T0 - 60_000);
}

#[test]
fn what_was_never_told_is_never_told() {
    let mut centre = Centre::new();
    let body = r#"{"battery":100,"water_leak":null,"device":{"friendlyName":"leak-1","model":"SJCGQ11LM"},"elapsed":3601123,"last_seen":"2022-01-03T10:11:12+01:00","linkquality":120}"#;
    let came = centre.hears("zigbee2mqtt/water_level", body);
    assert_eq!((came.edges.len(), came.links), (0, vec!["+water_level".to_owned()]));
    assert!(came.values.iter().all(|(name, ..)| name.contains('/')), "no value of what it measures");
    assert_eq!(centre.is("water_level"), Condition::NeverTold);
    centre.hears(
        "zigbee2mqtt/water_level",
        r#"{"battery":100,"voltage":3005,"linkquality":81,"last_seen":1583589701082}"#,
    );
    assert_eq!(centre.is("water_level"), Condition::NeverTold);
    centre.hears("zigbee2mqtt/water_level", r#"{"water_leak":false}"#);
    assert_eq!(centre.is("water_level"), Condition::Live);
}

#[test]
fn a_test_is_a_test_and_a_fault_is_a_fault() {
    let mut centre = Centre::new();
    let topic = "zigbee2mqtt/smoke";
    let test = r#"{"alarm":null,"fault":null,"reliability":null,"smoke":false,"test":true}"#;
    let came = centre.hears(topic, test);
    assert_eq!((came.edges.len(), came.values[0].0.as_str()), (0, "smoke/test"));
    assert_eq!((centre.is("smoke"), centre.complaint("smoke")), (Condition::Faulty, "测试中".to_owned()));
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"test":true}"#).edges, [""; 0]);
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"test":false}"#).edges, ["+smoke"]);
    assert_eq!(centre.hears(topic, r#"{"smoke":false,"test":true}"#).edges, [""; 0], "no test ends a fire");
    assert_eq!(centre.hears(topic, r#"{"smoke":false,"test":false}"#).edges, ["-smoke"]);
    centre.hears(topic, r#"{"smoke":false,"fault":true}"#);
    assert_eq!((centre.is("smoke"), centre.complaint("smoke")), (Condition::Faulty, "设备报告故障".to_owned()));
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"fault":true}"#).edges, ["+smoke"], "a fault hides no fire");
    centre.hears(topic, r#"{"smoke":false,"fault":false,"tamper":true}"#);
    assert_eq!(centre.complaint("smoke"), "防拆触发");
    centre.hears(topic, r#"{"smoke":false,"tamper":false}"#);
    assert_eq!(centre.is("smoke"), Condition::Live);
    // A test that never ends is none.
    centre.hears(topic, r#"{"smoke":false,"test":true}"#);
    centre.now += TEST_MS;
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"test":true}"#).edges, ["+smoke"]);
}

#[test]
fn an_alarm_that_is_repeated_from_memory_is_one() {
    let mut centre = Centre::new();
    assert_eq!(centre.hears("zigbee2mqtt/smoke", r#"{"smoke":true,"battery":90}"#).edges, ["+smoke"]);
    for _ in 0..24 {
        centre.waits(HOUR);
        assert_eq!(centre.hears("zigbee2mqtt/smoke", r#"{"smoke":true,"battery":89}"#).edges, [""; 0]);
    }
    assert_eq!(centre.hears("zigbee2mqtt/smoke", r#"{"smoke":false}"#).edges, ["-smoke"]);
    assert_eq!(centre.hears("zigbee2mqtt/smoke", r#"{"smoke":true}"#).edges, ["+smoke"], "a second fire rings");
}

#[test]
fn an_alarm_against_its_own_proof_gets_stuck_and_blocks_no_other() {
    let mut centre = Centre::new();
    let topic = "zigbee2mqtt/smoke";
    let stands = r#"{"smoke":true,"smoke_density":0,"test":false,"linkage_alarm_state":true}"#;
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"smoke_density":12}"#).edges, ["+smoke"]);
    assert_eq!(centre.hears(topic, stands).edges, [""; 0]);
    assert_eq!(centre.waits(HOUR - 11).edges, [""; 0]);
    assert_eq!(centre.hears(topic, stands).edges, [""; 0]);
    assert_eq!(centre.waits(11).edges, ["-smoke"]);
    assert_eq!(centre.is("smoke"), Condition::Faulty);
    assert_eq!(centre.hears(topic, stands).edges, [""; 0], "still stuck");
    assert_eq!(centre.hears(topic, r#"{"smoke":true,"smoke_density":7}"#).edges, ["+smoke"], "smoke again");
    assert_eq!(centre.is("smoke"), Condition::Live);
}

#[test]
fn names_of_several_levels_and_other_bases_are_heard() {
    let long = "zigbee2mqtt/living_room/sensor/0004/doorsensor";
    let mut centre = Centre::new();
    let came = centre.hears(long, r#"{"contact":false}"#);
    assert_eq!((came.links, came.values[0].0.as_str()), (vec!["+manhole".to_owned()], "manhole"));
    assert_eq!(centre.hears(&format!("{long}/availability"), "offline").links, ["-manhole"]);
    assert_eq!(edges("z2m-b12/smoke", r#"{"smoke":true}"#), ["+smoke"]);
}

#[test]
fn a_bridge_that_is_lost_takes_those_behind_it_along() {
    let mut centre = Centre::new();
    centre.hears("zigbee2mqtt/smoke", r#"{"smoke":false}"#);
    centre.hears("z2m-b12/gas", r#"{"gas":false}"#);
    assert_eq!(centre.hears("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#).links, ["-smoke"]);
    assert_eq!((centre.is("smoke"), centre.is("gas")), (Condition::Stale, Condition::Live));
    assert_eq!(centre.hears("zigbee2mqtt/bridge/state", "online").links, [""; 0], "each speaks for itself");
    assert_eq!(centre.hears("zigbee2mqtt/smoke", r#"{"smoke":false}"#).links, ["+smoke"]);
    assert_eq!(centre.is("smoke"), Condition::Live);
    let mut centre = Centre::new();
    assert_eq!(centre.hears("node/binary_sensor/hall_smoke/state", "ON").edges, ["+smoke"]);
    assert_eq!(centre.hears("node/status", "offline").links, ["-smoke"]);
}

#[test]
fn a_probe_that_fell_off_is_neither_dry_nor_wet() {
    let body = r#"{"flood:0":{"id":0,"alarm":null,"mute":false,"errors":["cable_unplugged"]}}"#;
    let mut centre = Centre::new();
    let came = centre.hears("water_level/events/rpc", body);
    assert_eq!((came.edges.len(), came.values.len()), (0, 0));
    assert_eq!(
        (centre.is("water_level"), centre.complaint("water_level")),
        (Condition::Faulty, "探头线脱落".to_owned())
    );
    let params = format!(r#"{{"src":"x","method":"NotifyStatus","params":{{"ts":1700000000.12,{}}}"#, &body[1..]);
    centre.hears("water_level/events/rpc", &params);
    assert_eq!(centre.complaint("water_level"), "探头线脱落");
    assert_eq!(centre.hears("water_level/status/flood:0", r#"{"id":0,"alarm":true,"errors":[]}"#).edges, [""; 0]);
    assert_eq!(centre.waits(5_000).edges, ["+water_level"], "it holds for five seconds");
    assert_eq!(centre.is("water_level"), Condition::Live);
}

#[test]
fn an_uplink_without_payload_has_no_values() {
    let mut centre = Centre::new();
    let up = |payload: &str, values: &str| {
        format!(
            r#"{{"received_at":"2023-11-14T22:13:19.123456789Z","uplink_message":{{"f_port":0{payload},"decoded_payload":{values}}}}}"#
        )
    };
    let empty = up("", r#"{"temperature":-32,"humidity":0,"battery":2.5,"gas":true}"#);
    let came = centre.hears("v3/app@t/devices/a84041/up", &empty);
    assert_eq!((came.edges.len(), came.values.len(), came.links), (0, 0, vec!["+gas".to_owned()]));
    let full = up(r#","frm_payload":"AQ==""#, r#"{"gas_alarm":true,"battery":90}"#);
    let mut out = Changes::default();
    centre.engine.take("v3/app@t/devices/a84041/up", full.as_bytes(), Arrival::First, T0, &mut out);
    assert_eq!(out.telemetry.readings.last().unwrap().at_ms, T0 - 877, "nanoseconds are read");
    assert_eq!(out.telemetry.pending.len(), 1);
    let chirp = r#"{"time":"2023-11-14T22:13:19.1+00:00","deviceInfo":{"devEui":"a84041"},"data":"AQ==","object":{"gas_alarm":1}}"#;
    assert_eq!(edges("application/7/device/a84041/event/up", chirp), ["+gas"]);
}

#[test]
fn a_parked_car_is_one_event_that_ends_by_itself() {
    let event = |kind: &str, id: &str, label: &str| {
        json!({"type": kind, "before": {}, "after": {"id": id, "camera": "lane_cam", "label": label, "stationary": true, "end_time": null}})
            .to_string()
    };
    let mut centre = Centre::new();
    let topic = "frigate/events";
    assert_eq!(centre.hears(topic, &event("new", "1.a", "person")), Came1::default());
    centre.hears(topic, &event("new", "1.a", "car"));
    assert_eq!(centre.waits(30_000).edges, ["+fire_lane"]);
    for _ in 0..30 {
        assert_eq!(centre.hears(topic, &event("update", "1.a", "car")).edges, [""; 0], "no new signal");
        assert_eq!(centre.waits(60_000).edges, [""; 0]);
    }
    assert_eq!(centre.waits(540_000).edges, ["-fire_lane"], "the detector crashed, say");
}

#[test]
fn offline_is_never_green_whatever_the_broker_kept() {
    let mut centre = Centre::new();
    assert_eq!(
        centre.comes("zigbee2mqtt/smoke/availability", r#"{"state":"offline"}"#, Arrival::Kept).links,
        ["-smoke"]
    );
    let came = centre.comes("zigbee2mqtt/smoke", r#"{"smoke":false}"#, Arrival::Kept);
    assert_eq!((came.links.len(), centre.is("smoke")), (0, Condition::Stale));
}

#[test]
fn no_unit_is_invented() {
    let mut centre = Centre::new();
    let came = centre.hears("zigbee2mqtt/smoke", r#"{"smoke":true}"#);
    assert_eq!(came.values, [("smoke".to_owned(), 1.0, Some("有/无".to_owned()))]);
    for topic in ["zigbee2mqtt/gas", "v1/gateway/telemetry"] {
        let body = if topic.starts_with("zig") { r#"{"gas":1}"# } else { r#"{"gas":[{"gas":1}]}"# };
        let mut centre = Centre::new();
        let came = centre.hears(topic, body);
        assert_eq!((came.edges.len(), came.values.len(), came.why), (0, 0, vec![Why::UnknownUnit]), "{topic}");
        assert_eq!(centre.around.seen.raws("gas")[0].why, Some(Why::UnknownUnit));
        assert_eq!(came.links, ["+gas"], "it is alive");
    }
    assert_eq!(edges("zigbee2mqtt/gas", r#"{"gas":true}"#), ["+gas"]);
    assert_eq!(edges("zigbee2mqtt/gas", r#"{"gas":"ON"}"#), ["+gas"]);
    assert_eq!(edges("v1/gateway/telemetry", r#"{"gas":[{"gas":35}]}"#), ["+gas"]);
    assert_eq!(edges("zigbee2mqtt/smoke", r#"{"smoke":1}"#), ["+smoke"], "whatever it means");
}

#[test]
fn a_lift_that_is_broken_has_nobody_trapped() {
    let mut centre = Centre::new();
    centre.hears("v1/gateway/telemetry", r#"{"lift":[{"fault":true}]}"#);
    assert_eq!(centre.waits(8_000).edges, ["+lift_fault"]);
    assert_eq!(edges("v1/gateway/telemetry", r#"{"lift":[{"fault":2}]}"#), ["+lift_trapped"]);
}

#[test]
fn yesterdays_call_is_filed_without_sound() {
    let mut centre = Centre::new();
    // Its clock is known to be right.
    let calm = format!(r#"{{"sos":[{{"ts":{},"values":{{"sos":false}}}}]}}"#, T0 - 110_000);
    assert_eq!(centre.hears("v1/gateway/telemetry", &calm).edges, [""; 0]);
    let body = |age: i64| format!(r#"{{"sos":[{{"ts":{},"values":{{"sos":true}}}}]}}"#, T0 - age);
    let came = centre.hears("v1/gateway/telemetry", &body(24 * HOUR));
    assert_eq!((came.edges.len(), came.why), (0, vec![Why::Old]));
    assert_eq!(came.values.len(), 1, "kept in the history");
    assert_eq!(centre.hears("v1/gateway/telemetry", &body(60_000)).edges, ["+sos"]);
    let came = centre.hears("v1/gateway/telemetry", &body(2 * HOUR));
    assert_eq!((came.edges.len(), came.why), (0, vec![Why::Old]), "what is older than the last changes nothing");
}

#[test]
fn what_was_heard_is_not_heard_again_after_a_restart_or_a_new_connection() {
    let (topic, fire) = ("zigbee2mqtt/smoke", r#"{"smoke":true,"battery":90}"#);
    let mut centre = Centre::new();
    assert_eq!(centre.hears(topic, fire).edges, ["+smoke"]);
    centre.again();
    assert_eq!(centre.comes(topic, fire, Arrival::Kept).edges, [""; 0]);
    assert_eq!(centre.hears(topic, r#"{"smoke":false,"battery":90}"#).edges, ["-smoke"]);
    assert_eq!(
        centre.comes(topic, fire, Arrival::Kept).edges,
        [""; 0],
        "a retained word never overrides a later event"
    );
    centre.again();
    assert_eq!(centre.comes(topic, fire, Arrival::Kept).edges, [""; 0]);
    assert_eq!(centre.hears(topic, fire).edges, ["+smoke"], "the device itself is heard");
}

#[test]
fn a_device_that_falls_silent_is_stale_and_back_with_its_next_word() {
    let mut centre = Centre::new();
    centre.hears("mjw/v1/sensors/gas/reading", r#"{"v":1}"#);
    assert_eq!(centre.waits(2 * HOUR - 1).links, [""; 0]);
    assert_eq!(centre.waits(1).links, ["-gas"]);
    assert_eq!((centre.is("gas"), centre.is("smoke")), (Condition::Stale, Condition::NeverTold));
    assert_eq!(centre.hears("mjw/v1/sensors/gas/reading", "?").links, ["+gas"], "any word is a sign of life");
    // One that an earlier run heard is waited for anew.
    centre.again();
    assert_eq!(centre.waits(2 * HOUR).links, ["-gas"]);
}

#[test]
fn the_last_messages_are_kept_beside_what_was_read() {
    let mut centre = Centre::new();
    centre.hears("zigbee2mqtt/smoke", r#"{"smoke":true,"battery":80}"#);
    centre.hears("acme/smoke", r#"{"rauch":1}"#);
    let sensor = "smoke".into();
    let all = centre.around.seen.read(&sensor, None).unwrap();
    assert_eq!((all.len(), all[0].1.detected, all[0].1.extras.len()), (1, Some(true), 1));
    let decoder = r#"{"id":"acme","messages":[{"topic":"zigbee2mqtt/{device}","values":{"smoke":[{"path":"/battery","as":"value"}]}}]}"#;
    assert_eq!(centre.around.seen.read(&sensor, Some(decoder)).unwrap()[0].1.value, Some(80.0));
    assert!(centre.around.seen.read(&sensor, Some("{}")).is_err());
    assert!(try_decoder("{", ("smoke", SensorKind::Smoke), "acme/smoke", b"{}").is_err());
}

#[test]
fn devices_of_one_node_count_together_and_that_is_no_gap() {
    let mut centre = Centre::new();
    let at = u64::try_from(T0).unwrap();
    let mut hears = |topic: &str, metrics: &[(&str, serde_json::Value)], seq: u64| {
        let (body, now) = (sparkplug_payload(at + seq, metrics, seq), centre.now);
        let mut out = Changes::default();
        centre.engine.take(topic, &body, Arrival::First, now, &mut out);
        (out.telemetry.pending.len(), out.unreadable, out.links)
    };
    let (smoke, gas) = ("spBv1.0/g/DDATA/node/smoke", "spBv1.0/g/DDATA/node/gas");
    assert_eq!(hears(smoke, &[("smoke", json!(false))], 15), (0, vec![], vec![("smoke".into(), true)]));
    assert_eq!(hears(gas, &[("gas_alarm", json!(false))], 16), (0, vec![], vec![("gas".into(), true)]));
    assert_eq!(hears(smoke, &[("smoke", json!(true)), ("battery", json!(null))], 17), (1, vec![], vec![]));
    assert_eq!(hears(gas, &[("gas_lel", json!(35.5))], 18).0, 1);
    let (edges, why, _) = hears(gas, &[("alias:3", json!(true))], 19);
    assert_eq!((edges, why.len()), (0, 1), "without a name it is shown");
    let lost = hears("spBv1.0/g/NDEATH/node", &[], 0).2;
    assert_eq!(lost.len(), 2, "the node takes both along: {lost:?}");
}

#[test]
fn a_button_whose_clock_is_slow_is_heard_also_after_a_restart() {
    let mut centre = Centre::new();
    let slow = 600_000;
    let presses = |centre: &mut Centre, pressed: bool| {
        centre.now += 60_000;
        let at = centre.now - slow;
        centre
            .hears("v1/gateway/telemetry", &format!(r#"{{"sos":[{{"ts":{at},"values":{{"sos":{pressed}}}}}]}}"#))
            .edges
    };
    for _ in 0..5 {
        assert_eq!(presses(&mut centre, false), [""; 0]);
    }
    assert_eq!(presses(&mut centre, true), ["+sos"]);
    assert_eq!(presses(&mut centre, false), ["-sos"]);
    centre.again();
    assert_eq!(presses(&mut centre, true), ["+sos"]);
}
