//! The sensors in the field: twelve gateways, two a community, each with one MQTT connection and a last will. A
//! gateway keeps a bounded queue while the broker is away; what finds it full is lost and counted, as on the device.

pub mod payload;
pub mod signal;

mod gateway;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use domain::{
    ids::SensorId,
    site::{Sensor, Site},
};
use runtime::{Clock, Criticality, Tasks, tasks::Stage};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::config::Broker;

/// Gateways of a community.
const PER_COMMUNITY: usize = 2;
/// Orders that may wait for a gateway.
const ORDERS: usize = 256;

/// What a happening asks of a gateway.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// A sensor shows this value, at once and until released.
    Force(SensorId, f64),
    /// A sensor is ordinary again.
    Release(SensorId),
    /// All sensors are ordinary again.
    ReleaseAll,
}

/// Counters of one gateway.
#[derive(Debug, Default)]
struct Counters {
    online: AtomicBool,
    published: AtomicU64,
    lost: AtomicU64,
}

/// State of one gateway for the panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayState {
    /// Number, from 1.
    pub gateway: usize,
    /// Connected to the broker.
    pub online: bool,
    /// Sensors behind it.
    pub sensors: usize,
    /// Readings handed to the connection.
    pub published: u64,
    /// Readings lost because the queue was full.
    pub lost: u64,
}

struct Line {
    orders: mpsc::Sender<Order>,
    outage: watch::Sender<Option<Duration>>,
    counters: Arc<Counters>,
    sensors: usize,
}

/// All gateways.
pub struct Field {
    lines: Vec<Line>,
    of: BTreeMap<SensorId, usize>,
}

/// What the gateways need.
pub struct Setup<'a> {
    /// The site.
    pub site: &'a Site,
    /// Seed of values and times.
    pub seed: u64,
    /// Where to publish; `None` = the sensors stay silent.
    pub broker: Option<&'a Broker>,
    /// Mean time between two readings of a sensor.
    pub every: Duration,
    /// Wall time of the readings.
    pub clock: Arc<dyn Clock>,
}

/// The sensors of each gateway: two gateways a community, sensors in turns.
fn share(site: &Site) -> Vec<Vec<Sensor>> {
    let mut lines = vec![Vec::new(); site.communities.len() * PER_COMMUNITY];
    let mut turn = vec![0_usize; site.communities.len()];
    for sensor in &site.sensors {
        let grid = site.grid(&sensor.place.grid);
        let at = grid.and_then(|g| site.communities.iter().position(|c| c.id == g.community)).unwrap_or(0);
        if let Some(turn) = turn.get_mut(at) {
            *turn += 1;
            if let Some(line) = lines.get_mut(at * PER_COMMUNITY + *turn % PER_COMMUNITY) {
                line.push(sensor.clone());
            }
        }
    }
    lines
}

impl Field {
    /// Starts the gateways.
    pub fn start(setup: &Setup<'_>, tasks: &Tasks) -> Self {
        let mut field = Self { lines: Vec::new(), of: BTreeMap::new() };
        for (i, sensors) in share(setup.site).into_iter().enumerate() {
            field.of.extend(sensors.iter().map(|s| (s.id.clone(), i)));
            let (orders, inbox) = mpsc::channel(ORDERS);
            let (outage, outages) = watch::channel(None);
            let counters = Arc::new(Counters::default());
            field.lines.push(Line { orders, outage, counters: counters.clone(), sensors: sensors.len() });
            let Some(broker) = setup.broker else { continue };
            let gateway = gateway::Gateway {
                number: i + 1,
                sensors,
                seed: setup.seed,
                every: setup.every,
                clock: setup.clock.clone(),
                counters,
            };
            gateway.start(broker, inbox, outages, tasks);
        }
        field
    }

    /// Gives an order for a sensor. `false` when the sensor is unknown or its gateway is too far behind.
    pub(crate) fn order(&self, sensor: &SensorId, order: Order) -> bool {
        let line = self.of.get(sensor).and_then(|i| self.lines.get(*i));
        line.is_some_and(|line| line.orders.try_send(order).is_ok())
    }

    /// All sensors are ordinary again. `false` when a gateway could not take the order.
    pub(crate) fn release_all(&self) -> bool {
        // Every gateway is told, also after one that could not be.
        self.lines.iter().filter(|line| line.orders.try_send(Order::ReleaseAll).is_err()).count() == 0
    }

    /// Breaks the connection of all gateways, or of one (from 1), without a goodbye; they come back after `pause`.
    pub fn cut(&self, gateway: Option<usize>, pause: Duration) {
        for (i, line) in self.lines.iter().enumerate() {
            if gateway.is_none_or(|n| n == i + 1) {
                line.outage.send_replace(Some(pause));
            }
        }
    }

    /// Ends outages before their time.
    pub fn mend(&self) {
        for line in &self.lines {
            line.outage.send_replace(None);
        }
    }

    /// How the gateways are.
    pub fn state(&self) -> Vec<GatewayState> {
        self.lines
            .iter()
            .enumerate()
            .map(|(i, line)| GatewayState {
                gateway: i + 1,
                online: line.counters.online.load(Relaxed),
                sensors: line.sensors,
                published: line.counters.published.load(Relaxed),
                lost: line.counters.lost.load(Relaxed),
            })
            .collect()
    }
}

fn spawn(tasks: &Tasks, name: String, work: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, Stage::Sources, Criticality::Ordinary, work);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_gateways_share_all_sensors() {
        let site = site::built_in();
        let lines = share(&site);
        assert_eq!(lines.len(), 12);
        assert_eq!(lines.iter().map(Vec::len).sum::<usize>(), site.sensors.len());
        assert!(lines.iter().all(|l| (20..80).contains(&l.len())));
    }
}
