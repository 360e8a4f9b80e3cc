//! Sensing with a real Mosquitto and a writer in memory.
#![allow(clippy::unwrap_used)]

mod flood;
mod logins;
mod tls;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    ids::{GridId, SiteId},
    input::{Input, Observation, Refs},
    site::{AlarmKind, Level, Name, Place, Point, Precision, Sensor, SensorKind, Site},
    time::Millis,
};
use ledger::{SqliteTelemetry, Telemetry};
use link::intake::{Done, Intake, IntakeError, Position, Submission};
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use runtime::{Clock as _, Criticality, SteadyClock, SystemClock, Tasks, tasks::Stage};
use sensing::{Config, Parts, Status, broker, logins::Logins, status::BrokerState};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(60);

/// A writer that keeps what it takes and can be shut.
struct Memory {
    shut: AtomicBool,
    taken: Mutex<BTreeMap<String, Vec<u8>>>,
    seen: watch::Sender<Vec<Observation>>,
    refused: watch::Sender<u64>,
}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shut: AtomicBool::new(false),
            taken: Mutex::default(),
            seen: watch::channel(Vec::new()).0,
            refused: watch::channel(0).0,
        })
    }

    async fn until(&self, what: &str, enough: impl Fn(&[Observation]) -> bool) -> Vec<Observation> {
        let mut seen = self.seen.subscribe();
        let wait = async { seen.wait_for(|s| enough(s)).await.unwrap().clone() };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("{what}: {:?}", self.seen.borrow()))
    }
}

#[async_trait]
impl Intake for Memory {
    fn site(&self) -> SiteId {
        "t".into()
    }
    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError> {
        if self.shut.load(SeqCst) {
            self.refused.send_modify(|n| *n += 1);
            return Err(IntakeError::Unavailable("shut by the test".into()));
        }
        let done = |replayed| Done { position: Position { log_id: 1, seq: 1 }, refs: Refs::default(), replayed };
        if let Some(key) = &submission.key {
            assert_eq!(key.scope, "mqtt");
            let before = self.taken.lock().unwrap().insert(key.key.clone(), submission.request.clone());
            if let Some(before) = before {
                assert_eq!(before, submission.request, "a key names one request");
                return Ok(done(true));
            }
        }
        let Input::Observe { observation, .. } = submission.input else { panic!("only observations") };
        self.seen.send_modify(|s| s.push(observation));
        Ok(done(false))
    }
}

/// The id of a sensor of which the store takes no value.
fn too_long() -> String {
    "x".repeat(ledger::limits::NAME + 1)
}

fn alarm_kind(id: &str) -> AlarmKind {
    AlarmKind {
        id: id.into(),
        name: Name::default(),
        level: Level::Yellow,
        class: "c".into(),
        opens_with: None,
        family: id.to_owned(),
        radius: 1.0,
        window: Millis(1),
        words: Vec::new(),
    }
}

fn site(smoke: usize) -> Arc<Site> {
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
    let sensor = |id: String, kind| Sensor { id: id.into(), kind, name: Name::default(), place: place.clone() };
    let mut sensors: Vec<_> = (0..smoke).map(|i| sensor(format!("smoke-{i}"), SensorKind::Smoke)).collect();
    sensors.push(sensor("sos-1".into(), SensorKind::Sos));
    sensors.push(sensor(too_long(), SensorKind::Smoke));
    Arc::new(Site {
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
        sensors,
        units: Vec::new(),
        classes: Vec::new(),
        alarm_kinds: sensing::rules::shipped().unwrap().into_iter().map(|r| alarm_kind(&r.alarm)).collect(),
        tours: Vec::new(),
    })
}

struct Running {
    tasks: Tasks,
    status: watch::Receiver<Status>,
    logins: watch::Sender<Logins>,
    port: u16,
}

impl Running {
    async fn start(dir: &Path, intake: Arc<Memory>, sensors: usize) -> Self {
        let mut running = Self::begin(dir, intake, sensors, Config { port: 0, ..Config::default() }).await;
        running.logins.send_replace(Some(Arc::default()));
        running.until("connected", Status::ready).await;
        running.port = running.status.borrow().port.unwrap();
        running
    }

    /// Starts it without waiting for the broker; a child waits until it is told who may log in.
    async fn begin(dir: &Path, intake: Arc<Memory>, sensors: usize, config: Config) -> Self {
        let telemetry = SqliteTelemetry::open(&dir.join("telemetry.db"), Duration::from_secs(5)).await.unwrap();
        let (status_tx, status) = watch::channel(Status::default());
        let (logins, known) = watch::channel(None);
        let tasks = Tasks::default();
        let stop = tasks.stop(Stage::Sources);
        let parts = Parts {
            config,
            logins: known,
            dir: dir.join("broker"),
            site: site(sensors),
            intake,
            telemetry: Arc::new(telemetry),
            clock: Arc::new(SystemClock),
            steady: Arc::new(SteadyClock::new(Arc::new(SystemClock), None)),
            status: status_tx,
        };
        tasks.spawn("sensing", Stage::Sources, Criticality::Ordinary, async move {
            // That it cannot start is told by its status.
            let _ = sensing::run(parts, stop).await;
        });
        Self { tasks, status, logins, port: 0 }
    }

    async fn until(&self, what: &str, enough: impl Fn(&Status) -> bool) -> Status {
        let mut status = self.status.clone();
        match tokio::time::timeout(PATIENCE, status.wait_for(|s| enough(s))).await {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("{what}: {:?}", self.status.borrow()),
        }
    }

    async fn stop(self) {
        self.tasks.drain(Duration::from_secs(20)).await;
    }
}

/// A device that waits for the broker's answer to each message.
struct Device {
    client: AsyncClient,
    events: EventLoop,
}

impl Device {
    fn options(dir: &Path, port: u16, name: &str) -> MqttOptions {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_credentials(broker::DEVICE_USER, broker::device_password(&dir.join("broker")).unwrap());
        options.set_max_packet_size(4 << 20, 4 << 20);
        options
    }

    fn new(options: MqttOptions) -> Self {
        let (client, events) = AsyncClient::new(options, 64);
        Self { client, events }
    }

    async fn publish(&mut self, topic: &str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        self.client.publish(topic, QoS::AtLeastOnce, false, body.clone()).await.unwrap();
        let answered = async {
            let mut lost = false;
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => return,
                    Ok(Event::Incoming(Packet::Publish(heard))) => panic!("a device hears nothing: {heard:?}"),
                    // A broker that forgot us gets the message again.
                    Ok(Event::Incoming(Packet::ConnAck(_))) if lost => {
                        self.client.publish(topic, QoS::AtLeastOnce, false, body.clone()).await.unwrap();
                    }
                    Ok(_) => {}
                    Err(_) => {
                        lost = true;
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap();
    }

    async fn reading(&mut self, sensor: &str, value: f64) {
        self.publish(&format!("mjw/v1/sensors/{sensor}/reading"), format!(r#"{{"v":{value}}}"#)).await;
    }
}

fn edges(seen: &[Observation]) -> Vec<(String, bool)> {
    let edge = |o: &Observation| match o {
        Observation::SensorEdge { sensor, raised, .. } => Some((sensor.to_string(), *raised)),
        _ => None,
    };
    seen.iter().filter_map(edge).collect()
}

#[tokio::test]
async fn messages_become_observations_and_what_cannot_be_read_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 2).await;
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    device.reading("smoke-0", 0.9).await;
    device.reading("smoke-0", 0.01).await;
    device.publish("zigbee2mqtt/sos-1", r#"{"action":"emergency","battery":81}"#).await;
    let seen = intake.until("three edges", |s| edges(s).len() == 3).await;
    let (mut smoke, sos): (Vec<_>, Vec<_>) = edges(&seen).into_iter().partition(|e| e.0 == "smoke-0");
    assert_eq!(smoke.pop(), Some(("smoke-0".into(), false)), "edges of one sensor keep their order");
    assert_eq!((smoke.len(), sos), (1, vec![("sos-1".into(), true)]));

    device.publish("mjw/v1/sensors/smoke-0/reading", "{").await;
    device.publish("mjw/v1/sensors/nobody/reading", r#"{"v":1}"#).await;
    device.publish("zigbee2mqtt/smoke-0", vec![b'x'; 40_000]).await;
    device.publish("zigbee2mqtt/smoke-0", vec![b'x'; 900_000]).await;
    let whys = |s: &[Observation]| -> Vec<(String, u64)> {
        let why = |o: &Observation| match o {
            Observation::Unreadable { source, why, size } if source == "mqtt" => Some((why.clone(), *size)),
            _ => None,
        };
        s.iter().filter_map(why).collect()
    };
    let seen = intake.until("four unreadable", |s| whys(s).len() == 4).await;
    let (small, large) = (("oversize".into(), 40_000), ("oversize".into(), 900_000));
    assert_eq!(whys(&seen), [("malformed".into(), 1), ("unknown_device".into(), 7), small, large]);
    let status = running.until("all seven acknowledged", |s| s.counts.acked == 7).await;
    assert_eq!((status.counts.malformed, status.counts.unknown_device, status.counts.oversize), (1, 1, 2));

    // One that the broker does not even read to its end: its sender is cut off, and that is recorded.
    let mut giant = Device::new(Device::options(dir.path(), running.port, "giant"));
    giant.client.publish("zigbee2mqtt/smoke-0", QoS::AtLeastOnce, false, vec![b'x'; 2 << 20]).await.unwrap();
    let cut = async { while giant.events.poll().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, cut).await.unwrap();
    drop(giant);
    let seen = intake.until("one cut off", |s| whys(s).len() == 5).await;
    assert_eq!(whys(&seen)[4], ("oversize".into(), broker::PACKET_LIMIT as u64 + 1));

    // The same over two other formats; what nobody registered is remembered.
    device.publish("tele/sos-1/SENSOR", r#"{"Time":"2026-11-24T19:34:28","Switch1":"ON"}"#).await;
    let many = r#"{"smoke-1":[{"ts":1700000000000,"values":{"smoke":0.9,"battery":70}}],"lock-7":[{"v":1}]}"#;
    device.publish("v1/gateway/telemetry", many).await;
    let seen = intake.until("four edges", |s| edges(s).iter().any(|e| e.0 == "smoke-1")).await;
    assert!(edges(&seen).contains(&("smoke-1".into(), true)));

    // A device that vanishes is told by its last will.
    let mut options = Device::options(dir.path(), running.port, "two");
    options.set_last_will(LastWill::new("mjw/v1/sensors/smoke-1/status", "offline", QoS::AtLeastOnce, true));
    let mut other = Device::new(options);
    other.publish("mjw/v1/sensors/smoke-1/status", "online").await;
    let links = |s: &[Observation]| -> Vec<bool> {
        let link = |o: &Observation| match o {
            Observation::SensorLink { sensor, online } if sensor.as_str() == "smoke-1" => Some(*online),
            _ => None,
        };
        s.iter().filter_map(link).collect()
    };
    // States of one batch are one: the first must have been told before the second comes.
    intake.until("online", |s| links(s).last() == Some(&true)).await;
    drop(other);
    let seen = intake.until("offline", |s| links(s).last() == Some(&false)).await;
    assert_eq!(links(&seen).len(), 2);
    running.stop().await;
    let telemetry = SqliteTelemetry::open(&dir.path().join("telemetry.db"), Duration::from_secs(5)).await.unwrap();
    let battery = telemetry.latest(Some("sos-1/battery")).await.unwrap();
    assert_eq!((battery[0].value, battery[0].unit.as_deref()), (81.0, Some("%")));
    assert!(telemetry.pending(10).await.unwrap().is_empty());
    assert_eq!(telemetry.latest(Some("smoke-1/battery")).await.unwrap()[0].value, 70.0);
    let strangers: Vec<_> = telemetry.strangers().await.unwrap().into_iter().map(|s| (s.device, s.format)).collect();
    let own = |id: &str, format: &str| (id.to_owned(), format.to_owned());
    assert_eq!(strangers, [own("lock-7", "thingsboard"), own("nobody", "mjw")]);
}

#[tokio::test]
async fn a_burst_is_answered_to_the_last_message() {
    const BURST: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Memory::new(), 1).await;
    let mut options = Device::options(dir.path(), running.port, "burst");
    options.set_inflight(1_000);
    let Device { client, mut events } = Device::new(options);
    let send = async {
        for _ in 0..BURST {
            client.publish("mjw/v1/sensors/smoke-0/reading", QoS::AtLeastOnce, false, r#"{"v":0.01}"#).await.unwrap();
        }
    };
    let answers = async {
        let mut answered = 0;
        while answered < BURST {
            if let Event::Incoming(Packet::PubAck(_)) = events.poll().await.unwrap() {
                answered += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(send, answers) }).await.unwrap();
    running.until("all acknowledged", |s| s.counts.acked == BURST).await;
    running.stop().await;
}

#[tokio::test]
async fn a_rule_that_no_alarm_of_the_site_answers_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut rules = sensing::rules::shipped().unwrap();
    rules[0].alarm = "smoek".into();
    let config = Config { port: 0, rules, ..Config::default() };
    let running = Running::begin(dir.path(), Memory::new(), 1, config).await;
    let lost = |s: &Status| matches!(&s.broker, BrokerState::Lost(why) if why.contains("smoke: alarm: 没有这种告警"));
    running.until("refused", lost).await;
    running.stop().await;
}

#[tokio::test]
async fn anonymous_clients_and_listening_devices_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Memory::new(), 1).await;
    let mut nobody = Device::new(MqttOptions::new("nobody", "127.0.0.1", running.port));
    let refused = tokio::time::timeout(PATIENCE, nobody.events.poll()).await.unwrap();
    assert!(matches!(refused, Err(rumqttc::ConnectionError::ConnectionRefused(_))), "{refused:?}");
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    device.client.subscribe("mjw/v1/sensors/+/reading", QoS::AtLeastOnce).await.unwrap();
    device.reading("smoke-0", 0.9).await;
    device.reading("smoke-0", 0.8).await;
    // Nothing was delivered to the device in between: `publish` would have seen it before the second answer.
    let more = std::mem::take(&mut device.events.state.events);
    assert!(!more.iter().any(|e| matches!(e, Event::Incoming(Packet::Publish(_)))), "{more:?}");
    running.stop().await;
}

#[tokio::test]
async fn what_the_writer_cannot_take_waits_without_an_answer_and_comes_once_after_a_restart() {
    const SENSORS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), SENSORS).await;
    intake.shut.store(true, SeqCst);
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    for i in 0..SENSORS {
        device.reading(&format!("smoke-{i}"), 0.9).await;
    }
    let mut refused = intake.refused.subscribe();
    tokio::time::timeout(PATIENCE, refused.wait_for(|n| *n > 3)).await.unwrap().unwrap();
    let status = running.until("held", |s| s.held.is_some()).await;
    assert_eq!(status.counts.acked, 0, "nothing is acknowledged before the writer has it");
    assert!(!status.ready());
    running.stop().await;
    assert!(intake.seen.borrow().is_empty());

    intake.shut.store(false, SeqCst);
    let running = Running::start(dir.path(), intake.clone(), SENSORS).await;
    let seen = intake.until("all edges", |s| edges(s).len() >= SENSORS).await;
    assert_eq!(edges(&seen).len(), SENSORS);
    running.until("all acknowledged", |s| s.counts.acked == SENSORS as u64).await;
    assert_eq!(edges(&intake.seen.borrow()).len(), SENSORS, "none twice");
    running.stop().await;
    println!("broker: writer shut, restart, faults 2, messages acknowledged {SENSORS}, lost 0, doubled 0");
}

#[tokio::test]
async fn a_killed_broker_is_started_again_and_nothing_acknowledged_is_lost() {
    const ROUNDS: i64 = 40;
    const HALF: i64 = ROUNDS / 2;
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 1).await;
    let mut device = Device::new(Device::options(dir.path(), running.port, "one"));
    let mut acked_before = 0;
    let begun = SystemClock.now_ms() - 60_000;
    for i in 0..ROUNDS {
        let value = if i % 2 == 0 { 0.9 } else { 0.01 };
        let body = format!(r#"{{"v":{value},"t":{},"n":{i}}}"#, begun + i);
        device.publish("mjw/v1/sensors/smoke-0/reading", body).await;
        if i == HALF {
            let pid = running.status.borrow().broker_pid.unwrap();
            let killed = tokio::process::Command::new("kill").args(["-9", &pid.to_string()]).status().await.unwrap();
            assert!(killed.success());
            running.until("lost", |s| s.broker_pid != Some(pid) || matches!(s.broker, BrokerState::Lost(_))).await;
            acked_before = running.until("back", |s| s.counts.broker_starts == 2 && s.ready()).await.counts.acked;
        }
    }
    let after = u64::try_from(ROUNDS - HALF - 1).unwrap();
    let status = running.until("the second half", |s| s.counts.acked >= acked_before + after).await;
    running.stop().await;
    // What the broker had answered to the device but not handed to us died with it: the promise starts at our answer.
    let telemetry = SqliteTelemetry::open(&dir.path().join("telemetry.db"), Duration::from_secs(5)).await.unwrap();
    let stored = telemetry.history("smoke-0", 0, i64::MAX, 1_000).await.unwrap();
    let times: Vec<_> = stored.iter().map(|r| r.at_ms - begun).collect();
    assert!(times.len() as u64 >= status.counts.acked, "{times:?} of {status:?}");
    assert!((HALF + 1..ROUNDS).all(|i| times.contains(&i)), "all of the second half: {times:?}");
    let raised: Vec<_> = edges(&intake.seen.borrow()).into_iter().map(|e| e.1).collect();
    assert!(raised.iter().enumerate().all(|(i, up)| *up == (i % 2 == 0)), "edges alternate: {raised:?}");
    let keys: Vec<_> = intake.taken.lock().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), raised.len(), "each edge once");
    let numbers: std::collections::BTreeSet<u64> =
        keys.iter().map(|k| k.rsplit('/').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(1..=raised.len() as u64), "numbered without gaps: {keys:?}");
    let acknowledged = status.counts.acked;
    println!(
        "broker: killed, faults 1, messages acknowledged {acknowledged}, lost 0; edges {}, doubled 0",
        raised.len()
    );
}
