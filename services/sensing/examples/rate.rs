//! Sensing at rate: the real Mosquitto, `sensing::run` with telemetry in SQLite, and a publisher in a process of its own.
//! `rate [messages a second …]`: for each rate ten seconds of QoS 1 messages of 2,000 sensors; every one must be acknowledged
//! by the centre after its commit. Prints what was sustained, how long the rest took after the last publication, and the CPU
//! time a message of the centre, the broker and the publisher.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement, run by hand")]

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    ids::{GridId, SiteId},
    input::Refs,
    site::{Name, Place, Point, Sensor, SensorKind, Site},
};
use ledger::{SqliteTelemetry, Telemetry};
use link::intake::{Done, Intake, IntakeError, Position, Submission};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use runtime::{Criticality, SteadyClock, SystemClock, Tasks, tasks::Stage};
use sensing::{Config, Parts, Status, broker};
use tokio::{process::Command, sync::watch};

const SENSORS: usize = 2_000;
const SECONDS: u64 = 10;
const PUBLISHERS: u64 = 4;

/// A writer that takes everything.
#[derive(Default)]
struct Taken(AtomicU64);

#[async_trait]
impl Intake for Taken {
    fn site(&self) -> SiteId {
        "t".into()
    }
    async fn submit(&self, _: Submission) -> Result<Done, IntakeError> {
        let seq = self.0.fetch_add(1, Relaxed) + 1;
        Ok(Done { position: Position { log_id: 1, seq }, refs: Refs::default(), replayed: false })
    }
}

fn site() -> Site {
    let kinds = [SensorKind::Smoke, SensorKind::Gas, SensorKind::WaterLevel, SensorKind::Lift];
    let sensor = |n: usize| Sensor {
        id: format!("sensor-{n:04}").into(),
        kind: kinds[n % kinds.len()],
        name: Name::default(),
        place: Place::about(GridId::new("g"), Point { x: 0.0, y: 0.0 }),
    };
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
        sensors: (0..SENSORS).map(sensor).collect(),
        units: Vec::new(),
        classes: Vec::new(),
        alarm_kinds: Vec::new(),
        tours: Vec::new(),
    }
}

/// CPU time of a process so far, µs; the system counts in ticks of 10 ms.
fn cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or("");
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks * 10_000
}

/// Publishes its share at an even pace and waits for the broker's answers.
async fn publish(port: u16, password: String, number: u64, rate: u64) {
    let mut options = MqttOptions::new(format!("rate-{number}-{rate}"), "127.0.0.1", port);
    options.set_credentials(broker::DEVICE_USER, password);
    options.set_inflight(2_000);
    let (client, mut events) = AsyncClient::new(options, 2_000);
    let count = rate * SECONDS;
    let send = async {
        let start = tokio::time::Instant::now();
        for n in 0..count {
            if n % 32 == 0 {
                tokio::time::sleep_until(start + Duration::from_micros(n * 1_000_000 / rate)).await;
            }
            let sensor = usize::try_from(number + n * PUBLISHERS).unwrap() % SENSORS;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
            let body = format!(r#"{{"v":0.0{},"t":{now},"n":{n}}}"#, 1 + n % 7);
            let topic = format!("mjw/v1/sensors/sensor-{sensor:04}/reading");
            client.publish(topic, QoS::AtLeastOnce, false, body).await.unwrap();
        }
    };
    let answers = async {
        let mut answered = 0;
        while answered < count {
            if let Event::Incoming(Packet::PubAck(_)) = events.poll().await.unwrap() {
                answered += 1;
            }
        }
    };
    tokio::join!(send, answers);
}

/// Prints its own CPU time at the end.
async fn publishers(port: u16, password: &str, rate: u64) {
    let all = (0..PUBLISHERS).map(|n| publish(port, password.to_owned(), n, rate / PUBLISHERS));
    futures::future::join_all(all).await;
    println!("{}", cpu_us(std::process::id()));
}

async fn round(rate: u64, port: u16, password: &str, status: &mut watch::Receiver<Status>) {
    let count = rate / PUBLISHERS * PUBLISHERS * SECONDS;
    let (before, pid) = (status.borrow().counts.acked, status.borrow().broker_pid.unwrap());
    let (own, child) = (cpu_us(std::process::id()), cpu_us(pid));
    let started = Instant::now();
    let args = ["publish".to_owned(), port.to_string(), password.to_owned(), rate.to_string()];
    let mut publisher = Command::new(std::env::current_exe().unwrap());
    let publisher = publisher.args(args).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let output = publisher.wait_with_output().await.unwrap();
    let published = started.elapsed();
    let all = async { status.wait_for(|s| s.counts.acked >= before + count).await.is_ok() };
    let all = tokio::time::timeout(Duration::from_secs(60), all).await == Ok(true);
    let (acked, took) = (status.borrow().counts.acked - before, started.elapsed());
    let verdict = if all && acked == count { "all acknowledged" } else { "MISSING" };
    let each = |us: u64| us as f64 / count as f64;
    let theirs: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or(0);
    println!(
        "{rate}/s asked: {:.0}/s sustained, {verdict} ({acked} of {count}), {:.2} s after the last publication; CPU µs a \
         message: centre {:.1}, broker {:.1}, publisher {:.1}",
        acked as f64 / took.as_secs_f64(),
        (took - published).as_secs_f64(),
        each(cpu_us(std::process::id()) - own),
        each(cpu_us(pid) - child),
        each(theirs),
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, port, password, rate] = args.as_slice()
        && word == "publish"
    {
        return publishers(port.parse().unwrap(), password, rate.parse().unwrap()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let telemetry = SqliteTelemetry::open(&dir.path().join("telemetry.db"), Duration::from_secs(5)).await.unwrap();
    let telemetry: Arc<dyn Telemetry> = Arc::new(telemetry);
    let (status_tx, mut status) = watch::channel(Status::default());
    let tasks = Tasks::default();
    let stop = tasks.stop(Stage::Sources);
    let parts = Parts {
        config: Config { port: 0, ..Config::default() },
        dir: dir.path().join("broker"),
        site: Arc::new(site()),
        intake: Arc::new(Taken::default()),
        telemetry: telemetry.clone(),
        clock: Arc::new(SystemClock),
        steady: Arc::new(SteadyClock::new(Arc::new(SystemClock), None)),
        logins: watch::channel(Some(Arc::default())).1,
        status: status_tx,
    };
    let work = async move { sensing::run(parts, stop).await.unwrap() };
    tasks.spawn("sensing", Stage::Sources, Criticality::Ordinary, work);
    drop(status.wait_for(Status::ready).await.unwrap());
    let port = status.borrow().port.unwrap();
    let password = broker::device_password(&dir.path().join("broker")).unwrap();
    let asked: Vec<u64> = args.iter().map(|r| r.parse().unwrap()).collect();
    let rates = if asked.is_empty() { vec![5_000, 10_000, 15_000, 20_000, 25_000] } else { asked };
    for rate in rates {
        round(rate, port, &password, &mut status).await;
    }
    let stored: usize = telemetry.latest(None).await.unwrap().len();
    println!("{stored} sensors have a latest value");
    tasks.drain(Duration::from_secs(20)).await;
}
