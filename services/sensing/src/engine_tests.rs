#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use domain::{
    ids::GridId,
    site::{Name, Place, Point, Precision, Sensor},
};

use super::*;
use crate::formats::Decoders;

pub(super) const T0: i64 = 1_700_000_000_000;

pub(super) fn site() -> Site {
    let place = Place {
        grid: GridId::new("g"),
        building: None,
        landmark: None,
        unit: None,
        floor: None,
        flat: None,
        point: Point { x: 0.0, y: 0.0 },
        precision: Precision::Verified,
    };
    let sensor = |id: &str, kind| Sensor { id: id.into(), kind, name: Name::default(), place: place.clone() };
    Site {
        id: "t".into(),
        name: Name::default(),
        region: Name::default(),
        version: 1,
        extent: Point { x: 1.0, y: 1.0 },
        anchor: (0.0, 0.0),
        communities: Vec::new(),
        grids: Vec::new(),
        buildings: Vec::new(),
        paths: Vec::new(),
        landmarks: Vec::new(),
        cameras: Vec::new(),
        sensors: vec![
            sensor("s1", SensorKind::Smoke),
            sensor("l1", SensorKind::Lift),
            sensor("f1", SensorKind::FireLane),
        ],
        units: Vec::new(),
        classes: Vec::new(),
        alarm_kinds: Vec::new(),
        tours: Vec::new(),
    }
}

fn around() -> Around {
    let decoders = Decoders::shipped(&[], &BTreeMap::new()).unwrap();
    let formats = Arc::new(Formats::new(decoders, BTreeMap::new()));
    Around { formats, seen: Arc::default(), silence: Silence::new(&BTreeMap::new()).unwrap() }
}

fn new(site: &Site, rules: Vec<Rule>, stored: &[RuleState]) -> Engine {
    Engine::new(site, rules, 7, stored, around(), T0)
}

fn engine(stored: &[RuleState]) -> Engine {
    new(&site(), rules::shipped().unwrap(), stored)
}

fn take(engine: &mut Engine, topic: &str, body: &str, now: i64) -> Changes {
    let mut out = Changes::default();
    engine.take(topic, body.as_bytes(), Arrival::First, now, &mut out);
    out.seal(engine);
    out
}

fn keys(changes: &Changes) -> Vec<&str> {
    changes.telemetry.pending.iter().map(|p| p.key.as_str()).collect()
}

#[test]
fn a_reading_its_state_and_its_edge_go_together() {
    let mut engine = engine(&[]);
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0.9,"t":1699999999000,"n":1}"#, T0);
    assert_eq!(keys(&out), ["7/s1/smoke/1"]);
    assert_eq!(out.telemetry.readings.len(), 1);
    assert_eq!(
        (out.telemetry.readings[0].at_ms, out.telemetry.readings[0].unit.as_deref()),
        (1_699_999_999_000, Some("dB/m"))
    );
    assert_eq!(out.telemetry.rule_states.len(), 1);
    let edge: PendingEdge = serde_json::from_slice(&out.telemetry.pending[0].payload).unwrap();
    assert!(edge.raised && edge.kind == "smoke");
}

#[test]
fn a_restart_goes_on_counting_where_it_was() {
    let mut first = engine(&[]);
    let out = take(&mut first, "mjw/v1/sensors/s1/reading", r#"{"v":0.9}"#, T0);
    let mut second = engine(&out.telemetry.rule_states);
    assert!(keys(&take(&mut second, "mjw/v1/sensors/s1/reading", r#"{"v":0.9}"#, T0 + 1)).is_empty());
    let out = take(&mut second, "mjw/v1/sensors/s1/reading", r#"{"v":0.01}"#, T0 + 2);
    assert_eq!(keys(&out), ["7/s1/smoke/2"]);
}

#[test]
fn one_value_goes_to_each_rule_of_its_kind() {
    let mut engine = engine(&[]);
    let out = take(&mut engine, "mjw/v1/sensors/l1/reading", r#"{"v":2}"#, T0);
    assert_eq!(keys(&out), ["7/l1/lift_trapped/1"]);
    assert_eq!(out.telemetry.rule_states.len(), 2);
}

#[test]
fn time_alone_raises_what_holds() {
    let mut engine = engine(&[]);
    assert!(keys(&take(&mut engine, "mjw/v1/sensors/f1/reading", r#"{"v":1}"#, T0)).is_empty());
    let mut out = Changes::default();
    engine.tick(T0 + 29_999, &mut out);
    assert!(keys(&out).is_empty());
    engine.tick(T0 + 30_000, &mut out);
    assert_eq!(keys(&out), ["7/f1/fire_lane/1"]);
}

#[test]
fn states_of_devices_are_told_on_change() {
    let mut engine = engine(&[]);
    let mut told = |topic: &str, body: &str| take(&mut engine, topic, body, T0).links;
    assert_eq!(told("mjw/v1/sensors/s1/status", "online"), [("s1".into(), true)]);
    assert_eq!(told("mjw/v1/sensors/s1/status", "online"), []);
    let will = r#"{"online":false,"sensors":["s1","l1"]}"#;
    assert_eq!(told("mjw/v1/gateways/1/status", will), [("s1".into(), false), ("l1".into(), false)]);
    assert_eq!(told("mjw/v1/sensors/s1/reading", r#"{"v":0}"#), [("s1".into(), true)], "what reports is there");
    assert_eq!(told("mjw/v1/gateways/1/status", "offline"), [("s1".into(), false)], "the gateway's devices are known");
    let back = r#"{"online":true,"sensors":["s1","l1"]}"#;
    assert_eq!(told("mjw/v1/gateways/1/status", back), [], "each of them speaks for itself when it is back");
    assert_eq!(told("mjw/v1/sensors/s1/status", "online"), [("s1".into(), true)]);
}

#[test]
fn a_gateway_speaks_for_those_that_its_password_was_issued_for() {
    let mut engine = engine(&[]);
    let login = |behind: &[&str]| Login {
        device: "hub".into(),
        voice: domain::device::Voice::Mjw,
        behind: behind.iter().map(|id| (*id).into()).collect(),
        hash: String::new(),
    };
    engine.allow(&[login(&["s1", "l1"])]);
    let will = r#"{"online":false,"sensors":["s1","l1","f1"]}"#;
    let out = take(&mut engine, "mjw/v1/gateways/hub/status", will, T0);
    assert_eq!(out.links, [("s1".into(), false), ("l1".into(), false)]);
    assert_eq!(out.unreadable, [(Why::UnknownDevice, 0)], "what is not its own is recorded");
    take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0);
    take(&mut engine, "mjw/v1/sensors/l1/reading", r#"{"v":0}"#, T0);
    engine.allow(&[login(&["l1"])]);
    let out = take(&mut engine, "mjw/v1/gateways/hub/status", "offline", T0);
    assert_eq!(out.links, [("l1".into(), false)], "also when it may less than it did");
    let out = take(&mut engine, "mjw/v1/gateways/other/status", will, T0);
    assert_eq!(out.links, [("s1".into(), false), ("f1".into(), false)], "one that shares a user is believed");
}

#[test]
fn whose_login_was_taken_back_is_lost_once_what_was_on_its_way_has_come() {
    let mut engine = engine(&[]);
    let links = |engine: &mut Engine, now: i64| {
        let mut out = Changes::default();
        engine.tick(now, &mut out);
        out.links
    };
    take(&mut engine, "mjw/v1/sensors/s1/status", "online", T0);
    engine.leave(["s1".into(), "nobody".into()], T0);
    take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0 + 1);
    assert_eq!(links(&mut engine, T0 + LEAVING_MS - 1), []);
    assert_eq!(links(&mut engine, T0 + LEAVING_MS), [("s1".into(), false)]);
    assert_eq!(links(&mut engine, T0 + LEAVING_MS + 1), [], "once");
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0 + 9_000);
    assert_eq!(out.links, [("s1".into(), true)], "whoever is heard by another way is back");
}

#[test]
fn what_the_broker_kept_without_a_time_was_not_measured_now() {
    let mut engine = engine(&[]);
    let mut kept = |topic: &str, body: &str| {
        let mut out = Changes::default();
        engine.take(topic, body.as_bytes(), Arrival::Kept, T0, &mut out);
        out
    };
    let out = kept("zigbee2mqtt/s1", r#"{"smoke":true,"battery":80}"#);
    assert_eq!((out.telemetry.readings.len(), keys(&out)), (0, vec!["7/s1/smoke/1"]), "it still burns");
    let out = kept("mjw/v1/sensors/l1/reading", &format!(r#"{{"v":0,"t":{}}}"#, T0 - 5_000));
    assert_eq!(out.telemetry.readings[0].at_ms, T0 - 5_000, "what says when is kept");
    let out = kept("zigbee2mqtt/s9", r#"{"smoke":true}"#);
    assert_eq!((out.unreadable.len(), out.telemetry.strangers.len()), (1, 0), "nobody was heard now");
}

#[test]
fn values_that_arrive_together_are_all_kept() {
    let mut engine = engine(&[]);
    let body = r#"{"s1":[{"smoke":0.01,"battery":80},{"smoke":0.02},{"smoke":0.03}]}"#;
    let times = |out: &Changes, id: &str| -> Vec<i64> {
        out.telemetry.readings.iter().filter(|r| r.sensor == id).map(|r| r.at_ms - T0).collect()
    };
    let out = take(&mut engine, "v1/gateway/telemetry", body, T0);
    assert_eq!((times(&out, "s1"), times(&out, "s1/battery")), (vec![0, 1, 2], vec![0]));
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0.04}"#, T0);
    assert_eq!(times(&out, "s1"), [3]);
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0.05}"#, T0 + 10);
    assert_eq!(times(&out, "s1"), [10]);
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0.05}"#, T0 - 3_600_000);
    assert_eq!(times(&out, "s1"), [-3_600_000], "a clock that was set back is believed");
}

#[test]
fn a_device_that_an_earlier_run_told_as_lost_is_back_by_a_reading() {
    let mut engine = engine(&[]);
    let out = take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0);
    assert_eq!(out.links, [("s1".into(), true)]);
    assert_eq!(take(&mut engine, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0 + 1).links, [], "once");
    let mut out = Changes::default();
    engine.take("mjw/v1/sensors/l1/reading", br#"{"v":0}"#, Arrival::Kept, T0, &mut out);
    assert_eq!(out.links, [], "what the broker kept proves nothing");
}

#[test]
fn what_cannot_be_read_is_named() {
    let mut engine = engine(&[]);
    let mut why = |topic: &str, body: &str| take(&mut engine, topic, body, T0).unreadable;
    assert_eq!(why("mjw/v1/sensors/s1/reading", "{"), [(Why::Malformed, 1)]);
    assert_eq!(why("mjw/v1/sensors/s9/reading", r#"{"v":1}"#), [(Why::UnknownDevice, 7)]);
    assert_eq!(why("mjw/v1/gateways/1/status", r#"{"online":true,"sensors":["s9"]}"#), [(Why::UnknownDevice, 0)]);
}

#[test]
fn a_rule_that_chatters_says_so_in_its_row_and_goes_on_after_a_restart() {
    let rules = || {
        let mut rules = rules::shipped().unwrap();
        let smoke = rules.iter_mut().find(|r| r.id == "smoke").unwrap();
        // `check` refuses that: here a value is at hand.
        smoke.chatter = Some(rules::Chatter { count: 2, window_s: 60 });
        rules
    };
    let mut engine = new(&site(), rules(), &[]);
    let turn = |engine: &mut Engine, n: i64| {
        let body = if n % 2 == 0 { r#"{"v":0.9}"# } else { r#"{"v":0.01}"# };
        take(engine, "mjw/v1/sensors/s1/reading", body, T0 + n * 1_000)
    };
    assert_eq!(turn(&mut engine, 0).telemetry.rule_states[0].held, None);
    assert_eq!(keys(&turn(&mut engine, 1)), ["7/s1/smoke/2"]);
    let out = turn(&mut engine, 2);
    assert_eq!((keys(&out), out.telemetry.rule_states[0].held), (vec!["7/s1/smoke/3"], Some((T0 + 2_000, 3))));
    let out = turn(&mut engine, 3);
    assert_eq!((keys(&out), out.telemetry.rule_states[0].held), (vec![], Some((T0 + 2_000, 4))));
    let mut engine = new(&site(), rules(), &out.telemetry.rule_states);
    let mut out = Changes::default();
    engine.tick(T0 + 62_999, &mut out);
    assert!(out.telemetry.pending.is_empty());
    engine.tick(T0 + 63_000, &mut out);
    out.seal(&engine);
    assert_eq!((keys(&out), out.telemetry.rule_states[0].held), (vec!["7/s1/smoke/4"], None), "it ended long ago");
}

#[test]
fn a_state_is_stored_when_it_matters_and_once_a_minute() {
    let mut engine = engine(&[]);
    let mut stored = |v: &str, at: i64| {
        let body = format!(r#"{{"v":{v},"t":{at}}}"#);
        take(&mut engine, "mjw/v1/sensors/s1/reading", &body, T0 + 100_000).telemetry.rule_states.len()
    };
    assert_eq!([stored("0.01", T0), stored("0.02", T0 + 1), stored("0.03", T0 + 59_999)], [1, 0, 0]);
    assert_eq!(stored("0.01", T0 + 60_000), 1);
    assert_eq!([stored("0.9", T0 + 60_001), stored("0.9", T0 + 60_002), stored("0.01", T0 + 60_003)], [1, 0, 1]);
}

#[test]
fn no_flood_of_turns_is_more_than_the_store_takes_or_holds_the_others_up() {
    // Given 300 detectors, when each turns a hundred times in messages of a thousand entries that are one batch.
    let mut site = site();
    let smoke = site.sensors[0].clone();
    site.sensors = (0..300).map(|n| Sensor { id: format!("s{n}").into(), ..smoke.clone() }).collect();
    let mut engine = new(&site, rules::shipped().unwrap(), &[]);
    let mut out = Changes::default();
    let device = |n: usize| format!(r#""s{n}":[{}{{"smoke":1}}]"#, r#"{"smoke":1},{"smoke":0},"#.repeat(50));
    for many in (0..300).collect::<Vec<_>>().chunks(9) {
        let body = format!("{{{}}}", many.iter().map(|n| device(*n)).collect::<Vec<_>>().join(","));
        engine.take("v1/gateway/telemetry", body.as_bytes(), Arrival::First, T0, &mut out);
    }
    out.seal(&engine);
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let commits = out.commits();
    assert!(commits.len() > 1, "more than one commit takes");
    for commit in &commits {
        commit.check().unwrap();
        for p in &commit.pending {
            let (sensor, number) = (p.key.split('/').nth(1).unwrap(), p.key.rsplit('/').next().unwrap());
            let last = told.entry(sensor.to_owned()).or_default();
            *last += 1;
            assert_eq!(number.parse(), Ok(*last), "in their order");
        }
        // What a part stored is where its edges end, so that a crash behind it goes on from there.
        for row in &commit.rule_states {
            let state: State = serde_json::from_slice(&row.state).unwrap();
            assert_eq!(told.get(&row.sensor).copied().unwrap_or_default(), state.edges);
        }
    }
    assert_eq!((told.len(), told.values().all(|n| *n == u64::from(EDGES))), (300, true), "{told:?}");
    // Then time tells where each stands: it burns.
    let mut out = Changes::default();
    engine.tick(T0, &mut out);
    out.seal(&engine);
    assert_eq!(out.telemetry.pending.len(), 300);
    let edge: PendingEdge = serde_json::from_slice(&out.telemetry.pending[0].payload).unwrap();
    assert!(edge.raised);
    let mut again = Changes::default();
    engine.tick(T0 + 1, &mut again);
    assert_eq!(keys(&again), [""; 0], "once");
}

#[test]
fn a_turn_that_was_folded_is_told_after_a_restart() {
    let mut engine = engine(&[]);
    // 17 turns: the last, a begin, is not told.
    let body = format!(r#"{{"s1":[{}{{"smoke":1}}]}}"#, r#"{"smoke":1},{"smoke":0},"#.repeat(8));
    let out = take(&mut engine, "v1/gateway/telemetry", &body, T0);
    assert_eq!((out.telemetry.pending.len(), keys(&out).last()), (16, Some(&"7/s1/smoke/16")));
    let mut second = new(&site(), rules::shipped().unwrap(), &out.telemetry.rule_states);
    // An end before anybody was told of the begin is nothing to tell either.
    let mut third = new(&site(), rules::shipped().unwrap(), &out.telemetry.rule_states);
    let mut out = Changes::default();
    second.tick(T0 + 1, &mut out);
    assert_eq!(keys(&out), ["7/s1/smoke/17"]);
    assert_eq!(keys(&take(&mut third, "mjw/v1/sensors/s1/reading", r#"{"v":0}"#, T0 + 1)), [""; 0]);
    let mut out = Changes::default();
    third.tick(T0 + 2, &mut out);
    assert_eq!(keys(&out), [""; 0]);
}

#[test]
fn what_is_repeated_after_a_crash_makes_no_second_edge() {
    // Given readings of which only some states were stored, when all are delivered again to a new engine.
    let values = [0.01, 0.02, 0.9, 0.91, 0.01, 0.02, 0.9];
    let mut first = engine(&[]);
    let (mut rows, mut told) = (BTreeMap::new(), Vec::new());
    let body = |n: usize| format!(r#"{{"v":{},"t":{}}}"#, values[n], T0 + n as i64);
    for n in 0..values.len() {
        let out = take(&mut first, "mjw/v1/sensors/s1/reading", &body(n), T0 + 100);
        told.extend(keys(&out).into_iter().map(str::to_owned));
        rows.extend(out.telemetry.rule_states.into_iter().map(|r| ((r.sensor.clone(), r.rule.clone()), r)));
        let mut second = engine(&rows.values().cloned().collect::<Vec<_>>());
        for again in 0..=n {
            let mut out = Changes::default();
            second.take("mjw/v1/sensors/s1/reading", body(again).as_bytes(), Arrival::Again, T0 + 100, &mut out);
            assert_eq!(keys(&out), [""; 0], "{again} of {n}");
        }
    }
    assert_eq!(told, ["7/s1/smoke/1", "7/s1/smoke/2", "7/s1/smoke/3"]);
}

#[test]
#[ignore = "measures: cargo test -p sensing --lib -- --ignored --nocapture cpu_a_message"]
fn cpu_a_message() {
    const SENSORS: usize = 1_000;
    let mut site = site();
    let smoke = site.sensors[0].clone();
    site.sensors = (0..SENSORS).map(|n| Sensor { id: format!("s{n}").into(), ..smoke.clone() }).collect();
    let mut engine = new(&site, rules::shipped().unwrap(), &[]);
    let mut measure = |name: &str, message: &dyn Fn(usize, i64) -> (String, String)| {
        let mut best = u128::MAX;
        for round in 0..40 {
            let now = T0 + round * 60_000;
            let all: Vec<_> = (0..20_000).map(|n| message(n, now)).collect();
            let begun = std::time::Instant::now();
            for many in all.chunks(2_000) {
                let mut out = Changes::default();
                for (topic, body) in many {
                    engine.take(topic, body.as_bytes(), Arrival::First, now, &mut out);
                }
                out.seal(&engine);
                assert!(!out.commits().is_empty());
            }
            best = best.min(begun.elapsed().as_nanos() / 20_000);
        }
        println!("{name}: {best} ns a message");
    };
    measure("own", &|n, now| {
        (format!("mjw/v1/sensors/s{}/reading", n % SENSORS), format!(r#"{{"v":0.012,"t":{},"n":{n}}}"#, now - 100))
    });
    measure("zigbee", &|n, _| {
        let body = r#"{"battery":100,"linkquality":90,"smoke":false,"smoke_density_dbm":0.01}"#;
        (format!("zigbee2mqtt/s{}", n % SENSORS), body.to_owned())
    });
}
