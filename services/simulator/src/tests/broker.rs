//! The sensors through a real Mosquitto.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::Value;

use super::{Centre, LIMIT, Setup, config};
use crate::{
    config::Broker,
    happenings::{Kind, Request},
};

/// A broker that ends with the test.
struct Mosquitto {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mosquitto {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n");
        std::fs::write(&file, text).unwrap();
        // Debian puts it where users' paths do not look.
        let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|p| std::fs::exists(p).unwrap());
        let child = Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }
}

/// A subscriber that remembers the last message of each topic.
struct Listener {
    events: EventLoop,
    _client: AsyncClient,
    last: BTreeMap<String, String>,
    seen: Vec<(String, String)>,
}

impl Listener {
    async fn new(port: u16) -> Self {
        let (client, events) = AsyncClient::new(MqttOptions::new("listener", "127.0.0.1", port), 64);
        let mut listener = Self { events, _client: client.clone(), last: BTreeMap::new(), seen: Vec::new() };
        for topic in ["mjw/#", "zigbee2mqtt/#"] {
            client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
        }
        let mut granted = 0;
        while granted < 2 {
            // The broker may still be starting: a refused connection is tried again.
            if let Ok(Event::Incoming(Packet::SubAck(_))) = listener.events.poll().await {
                granted += 1;
            }
        }
        listener
    }

    /// Listens until the condition holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                if let Event::Incoming(Packet::Publish(p)) = self.events.poll().await.unwrap() {
                    let text = String::from_utf8(p.payload.to_vec()).unwrap();
                    self.seen.push((p.topic.clone(), text.clone()));
                    self.last.insert(p.topic, text);
                }
            }
        };
        assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "waited in vain for {what}");
    }

    fn states(&self, kind: &str, state: &str) -> usize {
        let prefix = format!("mjw/v1/{kind}/");
        self.last.iter().filter(|(t, s)| t.starts_with(&prefix) && t.ends_with("/status") && *s == state).count()
    }

    /// Gateways that say so, with how many devices they name.
    fn gateways(&self, online: bool) -> (usize, usize) {
        let states = self.last.iter().filter(|(t, _)| t.starts_with("mjw/v1/gateways/"));
        let states = states.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
        let said: Vec<_> = states.filter(|s| s["online"] == online).collect();
        (said.len(), said.iter().map(|s| s["sensors"].as_array().unwrap().len()).sum())
    }

    fn readings(&self, sensor: &str) -> Vec<f64> {
        let topic = format!("mjw/v1/sensors/{sensor}/reading");
        let of = self.seen.iter().filter(|(t, _)| *t == topic);
        of.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["v"].as_f64().unwrap()).collect()
    }
}

#[tokio::test]
async fn five_hundred_sensors_report_burn_fall_silent_and_come_back() {
    let (mosquitto, centre) = (Mosquitto::start(), Centre::start().await);
    let mut listener = tokio::time::timeout(LIMIT, Listener::new(mosquitto.port)).await.unwrap();
    let mut config = config(&centre);
    config.broker = Some(Broker { host: "127.0.0.1".to_owned(), port: mosquitto.port, user: None, password: None });
    config.reading_seconds = 1.0;
    let setup = Setup::new(config).await;
    let world = setup.simulator.world().clone();
    let sensors = world.site.sensors.len();

    listener
        .until("all online", |l| l.gateways(true) == (12, sensors) && l.states("sensors", "online") == sensors)
        .await;
    let reports =
        |l: &Listener| l.last.keys().filter(|t| t.ends_with("/reading") || t.starts_with("zigbee2mqtt/")).count();
    listener.until("a reading of each", |l| reports(l) == sensors).await;
    let calm = listener.readings("smoke-b12-2-06");
    assert!(calm.iter().all(|v| *v < 0.06), "{calm:?}");

    world.happen(&Request { minutes: Some(240.0), ..Request::at(Kind::Fire, 12) }).unwrap();
    listener.until("the call point", |l| l.readings("call-b12-2-06").contains(&1.0)).await;
    listener.until("thick smoke", |l| l.readings("smoke-b12-2-06").contains(&0.85)).await;
    world.clear().await;
    listener.until("calm", |l| l.readings("call-b12-2-06").last() == Some(&0.0)).await;

    world.field.cut(Some(3), Duration::from_millis(1));
    listener
        .until("the last will", |l| {
            let will = |s: &str| s.starts_with(r#"{"online":false,"sensors":[""#);
            l.seen.iter().any(|(t, s)| t == "mjw/v1/gateways/3/status" && will(s))
        })
        .await;
    listener.until("the gateway back", |l| l.gateways(true).0 == 12).await;
    assert!(world.field.state().iter().all(|g| g.lost == 0), "{:?}", world.field.state());

    let (stopped, ()) = tokio::join!(setup.simulator.stop(), async {
        listener.until("goodbyes", |l| l.states("sensors", "offline") == sensors).await;
    });
    let () = stopped;
}
