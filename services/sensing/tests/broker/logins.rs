//! Passwords of devices of their own, at the real broker.

use domain::device::Voice;
use rumqttc::{ConnectionError, TlsConfiguration, Transport};
use runtime::password;
use sensing::{Login, config::Listen};

use super::*;

/// A device with a password of its own.
struct Issued {
    login: Login,
    password: String,
}

fn issue(device: &str, voice: Voice, behind: &[&str]) -> Issued {
    let password = password::generate();
    let behind = behind.iter().map(|id| (*id).into()).collect();
    let login = Login { device: device.into(), voice, behind, hash: password::hash(&password) };
    Issued { login, password }
}

impl Issued {
    fn options(&self, port: u16) -> MqttOptions {
        let mut options = MqttOptions::new(self.login.device.as_str(), "127.0.0.1", port);
        options.set_credentials(self.login.device.as_str(), &self.password);
        options
    }
}

impl Running {
    fn allow(&self, logins: &[&Issued]) {
        self.logins.send_replace(Some(Arc::new(logins.iter().map(|i| i.login.clone()).collect())));
    }
}

/// Connects until the broker lets it in: it may still be reading who may.
async fn admitted(options: MqttOptions) -> Device {
    let work = async {
        loop {
            let mut device = Device::new(options.clone());
            match device.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => return device,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("admitted")
}

/// Connects until the broker refuses the login.
async fn refused(options: MqttOptions) {
    let work = async {
        loop {
            match Device::new(options.clone()).events.poll().await {
                Err(ConnectionError::ConnectionRefused(_)) => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("refused");
}

/// Waits until the broker ends the connection.
async fn cut_off(mut device: Device) {
    let work = async { while device.events.poll().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, work).await.expect("cut off");
}

/// What was told of the connection of a sensor.
fn links(seen: &[Observation], id: &str) -> Vec<bool> {
    let link = |o: &Observation| match o {
        Observation::SensorLink { sensor, online } if sensor.as_str() == id => Some(*online),
        _ => None,
    };
    seen.iter().filter_map(link).collect()
}

async fn edges_of(intake: &Memory, count: usize) -> Vec<String> {
    let seen = intake.until("edges", |s| edges(s).len() >= count).await;
    edges(&seen).into_iter().map(|(sensor, _)| sensor).collect()
}

#[tokio::test]
async fn each_device_writes_with_its_own_password_what_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 4).await;
    let smoke = issue("smoke-0", Voice::Own, &[]);
    let hub = issue("hub", Voice::Mjw, &["smoke-1"]);
    let tb = issue("tb", Voice::Thingsboard, &[]);
    refused(smoke.options(running.port)).await;
    running.allow(&[&smoke, &hub, &tb]);

    // A new one logs in without a restart. What is not its own goes nowhere, though the broker answers it.
    let mut device = admitted(smoke.options(running.port)).await;
    device.reading("smoke-1", 0.9).await;
    device.publish("tele/smoke-1/SENSOR", r#"{"Switch1":"ON"}"#).await;
    device.publish("zigbee2mqtt/smoke-2", r#"{"smoke":true}"#).await;
    device.publish("v1/gateway/telemetry", r#"{"smoke-2":[{"smoke":true}]}"#).await;
    device.publish("mjw/v1/gateways/hub/status", r#"{"online":false,"sensors":["smoke-1"]}"#).await;
    device.reading("smoke-0", 0.9).await;
    assert_eq!(edges_of(&intake, 1).await, ["smoke-0"]);

    let mut gateway = admitted(hub.options(running.port)).await;
    // Of the devices that it lists it takes down only its own.
    let will = r#"{"online":false,"sensors":["smoke-1","smoke-0"]}"#;
    gateway.publish("mjw/v1/gateways/hub/status", will).await;
    intake.until("its own is gone", |s| links(s, "smoke-1") == [false]).await;
    gateway.reading("smoke-0", 0.01).await;
    gateway.publish("v1/gateway/telemetry", r#"{"smoke-2":[{"smoke":true}]}"#).await;
    gateway.reading("smoke-1", 0.9).await;
    assert_eq!(edges_of(&intake, 2).await, ["smoke-0", "smoke-1"]);
    let mut many = admitted(tb.options(running.port)).await;
    many.publish("v1/gateway/telemetry", r#"{"smoke-2":[{"smoke":true}],"smoke-3":[{"smoke":true}]}"#).await;
    let mut all = edges_of(&intake, 4).await;
    all.sort();
    assert_eq!(all, ["smoke-0", "smoke-1", "smoke-2", "smoke-3"]);

    let mut wrong = smoke.options(running.port);
    wrong.set_credentials("smoke-0", &hub.password);
    refused(wrong).await;
    // The shared user is as it was.
    let mut shared = Device::new(Device::options(dir.path(), running.port, "shared"));
    shared.reading("smoke-1", 0.8).await;
    let status = running.until("all came", |s| s.counts.acked == 5).await;
    assert_eq!((status.counts.messages, status.counts.broker_starts), (5, 1), "nothing of another's: {status:?}");
    assert_eq!(status.counts.unknown_device, 1, "what a gateway may not speak for is recorded");
    let seen = intake.until("back", |s| links(s, "smoke-1").last() == Some(&true)).await;
    assert_eq!((links(&seen, "smoke-0"), links(&seen, "smoke-1")), (vec![true], vec![false, true]));
    running.stop().await;
}

#[tokio::test]
async fn a_password_that_is_taken_back_ends_the_connection_and_stays_refused() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 3).await;
    let (smoke, other) = (issue("smoke-0", Voice::Own, &[]), issue("smoke-1", Voice::Own, &[]));
    running.allow(&[&smoke, &other]);
    let mut device = admitted(smoke.options(running.port)).await;
    let mut kept = admitted(other.options(running.port)).await;

    device.client.publish("mjw/v1/sensors/smoke-0/status", QoS::AtLeastOnce, false, "online").await.unwrap();
    while !matches!(device.events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {}
    intake.until("online", |s| links(s, "smoke-0") == [true]).await;
    running.allow(&[&other]);
    cut_off(device).await;
    refused(smoke.options(running.port)).await;
    intake.until("no longer there", |s| links(s, "smoke-0") == [true, false]).await;
    // The others keep their connection: an answer comes on it without another login.
    kept.client.publish("mjw/v1/sensors/smoke-1/reading", QoS::AtLeastOnce, false, r#"{"v":0.9}"#).await.unwrap();
    let answered = async {
        loop {
            if let Event::Incoming(Packet::PubAck(_)) = kept.events.poll().await.expect("still connected") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    assert_eq!(edges_of(&intake, 1).await, ["smoke-1"]);

    // Another password in place of the first puts the first out of force.
    let again = issue("smoke-1", Voice::Own, &[]);
    running.allow(&[&again]);
    cut_off(kept).await;
    refused(other.options(running.port)).await;
    drop(admitted(again.options(running.port)).await);

    // A broker that crashed and a centre that was started again know the same devices.
    let pid = running.status.borrow().broker_pid.unwrap();
    let killed = tokio::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().await.unwrap();
    assert!(killed.success());
    running.until("started again", |s| s.counts.broker_starts == 2 && s.ready()).await;
    refused(smoke.options(running.port)).await;
    drop(admitted(again.options(running.port)).await);
    running.stop().await;
    let mut running = Running::begin(dir.path(), intake.clone(), 3, Config { port: 0, ..Config::default() }).await;
    running.allow(&[&again]);
    running.until("connected", Status::ready).await;
    running.port = running.status.borrow().port.unwrap();
    refused(other.options(running.port)).await;
    drop(admitted(again.options(running.port)).await);
    let status = running.status.borrow().clone();
    assert_eq!((status.counts.broker_starts, status.counts.broker_reloads), (1, 0), "known from the start");
    running.stop().await;
}

#[tokio::test]
async fn the_session_of_the_centre_is_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let intake = Memory::new();
    let running = Running::start(dir.path(), intake.clone(), 2).await;
    let mut before = running.status.clone();
    before.mark_unchanged();
    // Whoever knows the shared password and the name in the configuration: the broker would end the session and forget
    // what waits in it.
    let mut options = Device::options(dir.path(), running.port, &Config::default().client_id);
    options.set_clean_session(true);
    let mut claims = Device::new(options);
    for n in 0..2 {
        let topic = format!("mjw/v1/sensors/smoke-{n}/reading");
        claims.client.publish(topic, QoS::AtLeastOnce, false, r#"{"v":0.9}"#).await.unwrap();
        let answered = async {
            while !matches!(claims.events.poll().await.expect("not thrown out"), Event::Incoming(Packet::PubAck(_))) {}
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap();
        assert_eq!(edges_of(&intake, n + 1).await.len(), n + 1);
    }
    let status = running.until("answered", |s| s.counts.acked == 2).await;
    assert_eq!((status.counts.stale_acks, status.broker), (0, BrokerState::Connected));
    // So a gateway may have that name.
    let gateway = issue(&Config::default().client_id, Voice::Mjw, &["smoke-0"]);
    running.allow(&[&gateway]);
    drop(admitted(gateway.options(running.port)).await);
    running.stop().await;
}

#[tokio::test]
async fn without_the_shared_user_each_has_its_name_at_the_tls_listener() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let authority = tls::authority();
    tls::certified(dir, "broker", "127.0.0.1", &authority);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = Listen {
        address: ([127, 0, 0, 1], port).into(),
        cert_file: Some(dir.join("broker.pem")),
        key_file: Some(dir.join("broker.key")),
    };
    let intake = Memory::new();
    let config = Config { port: 0, listen: Some(listen), shared_user: false, ..Config::default() };
    let centre = config.client_id.clone();
    let running = Running::begin(dir, intake.clone(), 2, config).await;
    let (smoke, other) = (issue("smoke-0", Voice::Own, &[]), issue("smoke-1", Voice::Own, &[]));
    running.allow(&[&smoke, &other]);
    running.until("connected", Status::ready).await;

    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = TlsConfiguration::Simple { ca: authority.pem().into_bytes(), alpn: None, client_auth: None };
    let over_tls = |mut options: MqttOptions| {
        options.set_transport(Transport::tls_with_config(tls.clone()));
        options
    };
    refused(over_tls(Device::options(dir, port, "shared"))).await;
    let mut wrong = smoke.options(port);
    wrong.set_credentials("smoke-0", &other.password);
    refused(over_tls(wrong)).await;

    // One that claims the centre's session gets its own: the centre stays connected, and so does it.
    let mut claims = MqttOptions::new(centre, "127.0.0.1", port);
    claims.set_credentials("smoke-0", &smoke.password);
    claims.set_clean_session(true);
    let connections = running.status.borrow().clone();
    let mut device = admitted(over_tls(claims)).await;
    device.reading("smoke-1", 0.9).await;
    device.reading("smoke-0", 0.9).await;
    assert_eq!(edges_of(&intake, 1).await, ["smoke-0"]);
    let mut honest = admitted(over_tls(other.options(port))).await;
    honest.reading("smoke-1", 0.9).await;
    assert_eq!(edges_of(&intake, 2).await, ["smoke-0", "smoke-1"]);
    let status = running.until("acknowledged", |s| s.counts.acked == 2).await;
    assert_eq!((status.counts.messages, status.counts.stale_acks, connections.broker), (2, 0, status.broker));
    running.allow(&[&other]);
    cut_off(device).await;
    running.stop().await;
}
