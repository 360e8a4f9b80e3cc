//! A full disk under the whole centre: what cannot be kept is refused or not acknowledged, what is kept is shown, and it is
//! over when there is room.

use std::{collections::BTreeSet, fs, io::Write as _, path::Path, process::Command, sync::Arc};

use client::{Feed, Options, Step};
use ledger::testing::permitted::on_small_disk;
use rumqttc::{AsyncClient, MqttOptions, QoS};
use serde_json::json;
use tokio::task::JoinSet;
use wire::feed;

use crate::{
    broker::{Mosquitto, Tap},
    cluster::{Cluster as _, OneProcess, What},
    follow::{Route, follow},
    from_environment,
    load::{Answer, Load, Tally, ask, dependency, key},
    sensors, soon, until,
};

const TEST: &str = "disk::a_full_disk_refuses_what_it_cannot_keep_and_is_over_when_there_is_room";

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_is_over_when_there_is_room() {
    if let Some(folder) = from_environment("SMALL_DISK") {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(inside(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", TEST, "--nocapture"]).env("SMALL_DISK", folder.path());
    let Some(output) = on_small_disk(folder.path(), "48m", &again) else { return };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("full disk: over"), "{said}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// Takes all the room that is left.
fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).unwrap();
    for size in [64 << 10, 4 << 10, 1] {
        while file.write(&vec![1; size]).is_ok() {}
    }
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(4 * x) as u8, (5 * y) as u8, 7]));
    image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
    bytes
}

/// A centre with its data on a small disk, and everything else elsewhere.
struct House {
    centre: OneProcess,
    load: Arc<Load>,
    tap: Arc<Tap>,
    _mosquitto: Mosquitto,
    _passing: JoinSet<()>,
}

impl House {
    async fn on(disk: &Path) -> Self {
        let (folder, tap) = (tempfile::tempdir().unwrap(), Tap::new().await);
        let mut passing = JoinSet::new();
        passing.spawn(tap.clone().pass());
        let mut mosquitto = Mosquitto::new(folder.path(), tap.broker);
        mosquitto.start();
        std::os::unix::fs::symlink(disk, folder.path().join("centre")).unwrap();
        let centre = OneProcess::start_in(folder, &tap.config(), &[]);
        let load = Arc::new(Load::begin(vec![centre.address()], 1).await);
        Self { centre, load, tap, _mosquitto: mosquitto, _passing: passing }
    }

    async fn report(&self, key: &str) -> Answer {
        self.load.try_to_report(&self.centre.address(), key).await.unwrap()
    }

    async fn upload(&self, incident: u64, key: &str) -> Answer {
        let head = self.load.command(&format!("POST /api/v1/photos?incident={incident}"), key, "image/jpeg");
        ask(&self.centre.address(), &head, &jpeg()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\ncookie: {}", self.load.session.cookie());
        ask(&self.centre.address(), &head, b"").await.unwrap()
    }

    /// A screen that opens now comes to show so many incidents, all that there are, and is told the time.
    async fn shows(&self, count: usize) {
        let mut feed = Feed::open(&Options::at(self.centre.address()), &self.load.session, None).await.unwrap();
        let mut incidents = BTreeSet::new();
        let mut show = |state: &feed::State| {
            if let Some(feed::state::Kind::Incident(incident)) = &state.kind {
                incidents.insert(incident.id);
            }
        };
        loop {
            match feed.next().await.unwrap() {
                Step::Snapshot(snapshot) => snapshot.states.iter().for_each(&mut show),
                Step::Frame(frame) => frame.items.iter().filter_map(|item| item.state.as_ref()).for_each(&mut show),
                Step::Heartbeat { head, .. } if feed.position().is_some_and(|at| at.seq >= head) => break,
                Step::Heartbeat { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(incidents.len(), count);
        assert_eq!(self.get("/api/v1/incidents").await.json()["items"].as_array().unwrap().len(), count);
    }
}

/// A smoke detector that is without acknowledgement until there is room.
struct Sensor {
    id: String,
    message: String,
    _polling: JoinSet<()>,
}

impl Sensor {
    /// Measures smoke, once.
    async fn measure(tap: &Tap) -> Self {
        let id = sensors::some(1).remove(0);
        let message = format!(r#"{{"v":0.9,"t":{}}}"#, runtime::Clock::now_ms(&runtime::SystemClock));
        let options = MqttOptions::new("device", tap.broker.ip().to_string(), tap.broker.port());
        let (device, mut events) = AsyncClient::new(options, 16);
        let mut polling = JoinSet::new();
        polling.spawn(async move { while events.poll().await.is_ok() {} });
        device.publish(format!("mjw/v1/sensors/{id}/reading"), QoS::AtLeastOnce, false, message.clone()).await.unwrap();
        Self { id, message, _polling: polling }
    }
}

/// Without room: people are refused in words and in a code, a sensor waits, the health page says why, and screens show on.
async fn without_room(house: &House, disk: &Path, incident: u64, report: &str) -> Sensor {
    for _ in 0..3 {
        let refused = house.report(report).await;
        assert!(refused.is_unavailable(), "{} {}", refused.status, refused.body);
    }
    let refused = house.upload(incident, "photo-1").await;
    assert!(refused.is_unavailable() && refused.json()["detail"] == "ledger.full", "{}", refused.body);
    assert_eq!(fs::read_dir(disk.join("blobs")).unwrap().count(), 0, "nothing of the photo is left");
    // The broker keeps what is not acknowledged.
    let sensor = Sensor::measure(&house.tap).await;
    let address = house.centre.address();
    until("sensing waits", async || dependency(&address, "broker").await["state"] == "degraded").await;
    assert_eq!(dependency(&address, "broker").await["detail"], "存储已满 the store is full");
    assert_eq!(ask(&address, "GET /readyz HTTP/1.1", b"").await.unwrap().status, 503);
    let writer = dependency(&address, "writer").await;
    let why = writer["detail"].as_str().unwrap_or_default();
    assert!(writer["state"] == "down" && writer["fatal"] == true && why.contains("the store is full"), "{writer}");
    house.shows(1).await;
    assert!(
        !house.tap.acknowledged.borrow().contains(sensor.message.as_bytes()),
        "nothing stored, nothing acknowledged"
    );
    sensor
}

/// With room again: what was refused is taken, once however often it is asked, and the sensor has its acknowledgement.
async fn with_room(house: &House, disk: &Path, incident: u64, report: &str, sensor: &Sensor) {
    let address = house.centre.address();
    until("it is ready", async || ask(&address, "GET /readyz HTTP/1.1", b"").await.unwrap().status == 200).await;
    let taken = house.report(report).await.json();
    house.load.acknowledge(report, &taken, 2);
    let again = house.report(report).await.json();
    assert_eq!((&again["replayed"], &again["refs"]), (&json!(true), &taken["refs"]), "{taken} {again}");
    let stored = house.upload(incident, "photo-1").await;
    assert_eq!((stored.status, house.upload(incident, "photo-1").await.body), (200, stored.body.clone()));
    assert_eq!(fs::read_dir(disk.join("blobs")).unwrap().count(), 1);
    let mut acknowledged = house.tap.acknowledged.subscribe();
    let edge = acknowledged.wait_for(|all| all.contains(sensor.message.as_bytes()));
    soon("the sensor is acknowledged", edge).await.unwrap();
    house.shows(2).await;
}

async fn inside(disk: &Path) {
    let mut house = House::on(disk).await;
    let first = house.load.at(0, &key(0, 1)).await;
    let incident = first["refs"]["incident"].as_u64().unwrap();
    let mut screens = JoinSet::new();
    screens.spawn(follow(house.load.clone(), 0, Route::Stays(0), |_, _| {}));
    let (ballast, refused) = (disk.join("ballast"), key(0, 2));
    fill(&ballast);
    let sensor = without_room(&house, disk, incident, &refused).await;
    fs::remove_file(ballast).unwrap();
    with_room(&house, disk, incident, &refused, &sensor).await;

    // One more that comes after the sensor's, and the screen has all.
    house.load.at(0, &key(0, 3)).await;
    house.load.end();
    for seen in crate::all("screens", screens).await {
        seen.check(house.load.head());
        assert_eq!(seen.connections, 1, "the screen never lost its picture");
    }
    house.centre.stop();
    let log = house.centre.log().await;
    let Tally { acknowledged, repeated, lost, doubled } = house.load.compare(&log);
    let edges: Vec<_> = log.iter().filter(|e| matches!(e.what, What::Edge(..))).collect();
    println!(
        "full disk: over, cycles 1, faults 1, inputs acknowledged {acknowledged} ({repeated} asked again), lost {lost}, \
         doubled {doubled}; edges acknowledged 1, in the log {}, events {}",
        edges.len(),
        log.len(),
    );
    assert_eq!((acknowledged, repeated, lost, doubled), (3, 1, 0, 0));
    assert!(matches!(edges.as_slice(), [one] if one.what.is_edge_of(&sensor.id)), "the edge is in the log once");
}
