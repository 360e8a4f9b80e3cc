//! Smoke detectors whose values turn: each reading is an edge, repeated until the centre acknowledged it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::site::SensorKind;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use runtime::{Clock as _, SystemClock, retry::Backoff};
use tokio::sync::watch;

use crate::{
    broker::Tap,
    cluster::{Began, Logged, What},
};

/// A sensor with what it has told, and the centre acknowledged.
pub(crate) struct Told {
    sensor: String,
    number: usize,
    /// When the value was measured; the first is high, and they turn.
    edges: Vec<i64>,
}

impl Told {
    /// What was measured, from first to last.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        (0..self.edges.len()).map(|n| value(self.number, n))
    }
}

/// What a sensor of this number measures the `n`-th time: high and low in turn, and never twice the same.
fn value(sensor: usize, n: usize) -> f64 {
    let small = f64::from(u32::try_from(10 * n + sensor).unwrap()) * 1e-8;
    if n.is_multiple_of(2) { 0.9 + small } else { 0.01 + small }
}

/// Some of the site's smoke detectors.
pub(crate) fn some(count: usize) -> Vec<String> {
    let site = site::built_in();
    let smoke = site.sensors.iter().filter(|s| s.kind == SensorKind::Smoke);
    smoke.step_by(7).take(count).map(|s| s.id.to_string()).collect()
}

/// A sensor to be.
#[derive(Clone)]
pub(crate) struct Sensor {
    pub(crate) id: String,
    pub(crate) number: usize,
    /// From an acknowledgement to the next value.
    pub(crate) pause: Duration,
}

/// Sensors that measure at this pace.
pub(crate) fn paced(count: usize, pause: Duration) -> Vec<Sensor> {
    some(count).into_iter().enumerate().map(|(number, id)| Sensor { id, number, pause }).collect()
}

/// Measures until it is over.
pub(crate) async fn measure(tap: Arc<Tap>, sensor: Sensor, over: watch::Receiver<bool>) -> Told {
    let (client, events) =
        AsyncClient::new(MqttOptions::new(&sensor.id, tap.broker.ip().to_string(), tap.broker.port()), 16);
    let connected = watch::Sender::new(0_u64);
    let told = tell(&tap, client, &sensor, connected.subscribe(), over);
    tokio::select! {
        told = told => told,
        never = poll(events, &connected) => never,
    }
}

/// Polls the connection; counts how often it is made.
async fn poll(mut events: EventLoop, connected: &watch::Sender<u64>) -> Told {
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                backoff.reset();
                connected.send_modify(|n| *n += 1);
            }
            Ok(_) => {}
            // A device that is cut off comes again after a pause.
            Err(_) => tokio::time::sleep(backoff.delay()).await,
        }
    }
}

async fn tell(
    tap: &Tap,
    client: AsyncClient,
    sensor: &Sensor,
    mut connected: watch::Receiver<u64>,
    over: watch::Receiver<bool>,
) -> Told {
    let Sensor { id, number, pause } = sensor;
    let topic = format!("mjw/v1/sensors/{id}/reading");
    let (mut subscribed, mut acknowledged) = (tap.subscribed.subscribe(), tap.acknowledged.subscribe());
    let mut edges = Vec::new();
    // It ends calm, so that each condition has its end.
    while !*over.borrow() || edges.len() % 2 == 1 {
        let value = value(*number, edges.len());
        // Never of the future, and no two of one moment.
        let at = (SystemClock.now_ms() - 1_000).max(edges.last().map_or(0, |last| last + 1));
        let body = format!(r#"{{"v":{value},"t":{at},"of":"{id}"}}"#);
        loop {
            connected.mark_unchanged();
            subscribed.mark_unchanged();
            // When its queue is full, the connection is away, and it tells when it is back.
            let _ = client.try_publish(&topic, QoS::AtLeastOnce, false, body.as_bytes());
            tokio::select! {
                known = acknowledged.wait_for(|all| all.contains(body.as_bytes())) => {
                    known.unwrap();
                    break;
                }
                // The broker may have forgotten it, or had nobody to give it to.
                changed = connected.changed() => changed.unwrap(),
                changed = subscribed.changed() => changed.unwrap(),
            }
        }
        edges.push(at);
        tokio::time::sleep(*pause).await;
    }
    Told { sensor: id.clone(), number: *number, edges }
}

/// Edges acknowledged, lost and doubled, each known by when it was measured.
pub(crate) fn compare(told: &[Told], log: &[Logged]) -> (u64, u64, u64) {
    tally(told, log, |told, n| told.edges[n], |began| began.at)
}

/// As [`compare`], each known by what was measured: a centre whose clock is wrong takes a time of its future for now.
pub(crate) fn compare_by_value(told: &[Told], log: &[Logged]) -> (u64, u64, u64) {
    let mark = |value: f64| i64::from_ne_bytes(value.to_ne_bytes());
    tally(told, log, |told, n| mark(value(told.number, n)), |began| mark(began.value.unwrap()))
}

fn tally(
    told: &[Told],
    log: &[Logged],
    wanted: impl Fn(&Told, usize) -> i64,
    there: impl Fn(&Began) -> i64,
) -> (u64, u64, u64) {
    let mut found: HashMap<&str, Vec<Option<i64>>> = HashMap::new();
    for logged in log {
        if let What::Edge(sensor, began) = &logged.what {
            found.entry(sensor).or_default().push(began.as_ref().map(&there));
        }
    }
    let (mut acknowledged, mut lost, mut doubled) = (0, 0, 0);
    for one in told {
        let (sensor, edges) = (&one.sensor, 0..one.edges.len());
        let expected: Vec<Option<i64>> = edges.map(|n| n.is_multiple_of(2).then(|| wanted(one, n))).collect();
        let found = found.remove(sensor.as_str()).unwrap_or_default();
        let count = |of: &[Option<i64>]| {
            let mut counts: HashMap<Option<i64>, u64> = HashMap::new();
            of.iter().for_each(|edge| *counts.entry(*edge).or_default() += 1);
            counts
        };
        let (wanted, there) = (count(&expected), count(&found));
        let of = |counts: &HashMap<Option<i64>, u64>, edge| counts.get(edge).copied().unwrap_or(0);
        acknowledged += expected.len() as u64;
        lost += wanted.iter().map(|(edge, n)| n.saturating_sub(of(&there, edge))).sum::<u64>();
        doubled += there.iter().map(|(edge, n)| n.saturating_sub(of(&wanted, edge))).sum::<u64>();
        if (lost, doubled) == (0, 0) {
            assert_eq!(found, expected, "the edges of {sensor} are in their order");
        }
    }
    (acknowledged, lost, doubled)
}
