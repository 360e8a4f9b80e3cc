//! One field gateway: a task that polls the MQTT connection and a task that feeds it. Polling stands alone because a
//! poll that is given up half-way would restart the handshake.

use std::{
    collections::BinaryHeap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use domain::site::Sensor;
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use runtime::{Clock, Tasks, retry::Backoff, tasks::Stage};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Counters, Order, payload, signal::Signal, spawn};
use crate::{config::Broker, seed::Dice};

/// Publications that may wait while the broker is away. Holds the states of all devices and some minutes of readings.
const QUEUE: usize = 512;
/// Time for goodbyes at the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// A gateway before it starts.
pub(super) struct Gateway {
    pub(super) number: usize,
    pub(super) sensors: Vec<Sensor>,
    pub(super) seed: u64,
    pub(super) every: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

impl Gateway {
    pub(super) fn start(
        self,
        broker: &Broker,
        inbox: mpsc::Receiver<Order>,
        outages: watch::Receiver<Option<Duration>>,
        tasks: &Tasks,
    ) {
        let mut options = MqttOptions::new(format!("mjw-gateway-{:02}", self.number), &broker.host, broker.port);
        options.set_keep_alive(Duration::from_secs(10));
        let topic = payload::gateway_topic(self.number);
        let will = payload::gateway_state(false, self.sensors.iter());
        options.set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, true));
        if let (Some(user), Some(password)) = (&broker.user, &broker.password) {
            options.set_credentials(user, String::from_utf8_lossy(password.bytes()));
        }
        let (client, events) = AsyncClient::new(options, QUEUE);
        let connected = Arc::new(Notify::new());
        let stop = tasks.stop(Stage::Sources);
        let (number, counters) = (self.number, self.counters.clone());
        let poll = poll(events, outages, stop.clone(), connected.clone(), counters);
        spawn(tasks, format!("gateway {number} connection"), poll);
        spawn(tasks, format!("gateway {number} sensors"), feed(self, client, inbox, connected, stop));
    }
}

/// Drives the connection until the broker has closed it after a goodbye, or the time for that is over.
async fn poll(
    mut events: EventLoop,
    mut outages: watch::Receiver<Option<Duration>>,
    stop: CancellationToken,
    connected: Arc<Notify>,
    counters: Arc<Counters>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(10));
    let end = async {
        stop.cancelled().await;
        tokio::time::sleep(GOODBYE).await;
    };
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            () = &mut end => return,
            Ok(()) = outages.changed() => {
                let pause = *outages.borrow_and_update();
                if let Some(pause) = pause {
                    // Dropping the socket without a goodbye lets the broker publish the last will.
                    events.clean();
                    counters.online.store(false, Relaxed);
                    tokio::select! {
                        () = &mut end => return,
                        () = tokio::time::sleep(pause) => {}
                        _ = outages.changed() => {}
                    }
                }
                continue;
            }
            event = events.poll() => event,
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                backoff.reset();
                counters.online.store(true, Relaxed);
                connected.notify_one();
            }
            // After our goodbye the broker closes. Closing first, with acknowledgements unread, would reset the
            // connection and lose what the broker has not read yet.
            Ok(_) => {}
            Err(error) => {
                counters.online.store(false, Relaxed);
                if stop.is_cancelled() {
                    return;
                }
                tracing::debug!(%error, "gateway lost its broker");
                tokio::select! {
                    () = &mut end => return,
                    () = tokio::time::sleep(backoff.delay()) => {}
                }
            }
        }
    }
}

/// A sensor with its next reading.
struct Device {
    sensor: Sensor,
    signal: Signal,
    count: u64,
}

struct Feed {
    client: AsyncClient,
    number: usize,
    devices: Vec<Device>,
    /// Due times, the earliest first.
    due: BinaryHeap<std::cmp::Reverse<(Instant, usize)>>,
    dice: Dice,
    every: Duration,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

async fn feed(
    gateway: Gateway,
    client: AsyncClient,
    mut inbox: mpsc::Receiver<Order>,
    connected: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut feed = Feed::new(gateway, client);
    loop {
        let next = feed.due.peek().map_or_else(|| Instant::now() + feed.every, |r| r.0.0);
        tokio::select! {
            () = stop.cancelled() => break,
            () = connected.notified() => feed.states(true),
            order = inbox.recv() => match order {
                Some(order) => feed.obey(&order),
                None => break,
            },
            () = tokio::time::sleep_until(next) => feed.read_due(),
        }
    }
    feed.states(false);
    // A full queue only costs the goodbye: the last will says the same.
    let _ = feed.client.try_disconnect();
}

impl Feed {
    fn new(gateway: Gateway, client: AsyncClient) -> Self {
        let mut dice = Dice::new(gateway.seed, &format!("gateway {}", gateway.number));
        let start = Instant::now();
        let due = (0..gateway.sensors.len())
            .map(|i| std::cmp::Reverse((start + gateway.every.mul_f64(dice.unit()), i)))
            .collect();
        let devices = gateway
            .sensors
            .into_iter()
            .map(|sensor| {
                let signal = Signal::new(sensor.kind, gateway.seed, sensor.id.as_str());
                Device { sensor, signal, count: 0 }
            })
            .collect();
        Self {
            client,
            number: gateway.number,
            devices,
            due,
            dice,
            every: gateway.every,
            clock: gateway.clock,
            counters: gateway.counters,
        }
    }

    fn publish(&self, topic: String, retain: bool, body: String) {
        let counter = match self.client.try_publish(topic, QoS::AtLeastOnce, retain, body) {
            Ok(()) => &self.counters.published,
            Err(_) => &self.counters.lost,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Retained states of the gateway and its devices.
    fn states(&self, online: bool) {
        let all = payload::gateway_state(online, self.devices.iter().map(|d| &d.sensor));
        self.publish(payload::gateway_topic(self.number), true, all);
        let state = if online { "online" } else { "offline" };
        for device in &self.devices {
            self.publish(payload::status_topic(&device.sensor), true, state.to_owned());
        }
    }

    fn read_due(&mut self) {
        let now = Instant::now();
        while let Some(std::cmp::Reverse((at, i))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            self.read(i);
            let pause = self.every.mul_f64(self.dice.between(2.0 / 3.0, 4.0 / 3.0));
            self.due.push(std::cmp::Reverse((now + pause, i)));
        }
    }

    fn read(&mut self, i: usize) {
        let now = self.clock.now_ms();
        let Some(device) = self.devices.get_mut(i) else { return };
        device.count += 1;
        let value = device.signal.draw();
        let (topic, body) = payload::reading(&device.sensor, value, now, device.count);
        self.publish(topic, false, body.to_string());
    }

    fn obey(&mut self, order: &Order) {
        let at = |id| self.devices.iter().position(|d| &d.sensor.id == id);
        let changed = match order {
            Order::Force(id, value) => at(id).map(|i| (i, Some(*value))),
            Order::Release(id) => at(id).map(|i| (i, None)),
            Order::ReleaseAll => {
                for i in 0..self.devices.len() {
                    if let Some(device) = self.devices.get_mut(i).filter(|d| d.signal.forced()) {
                        device.signal.release();
                        self.read(i);
                    }
                }
                None
            }
        };
        let Some((i, value)) = changed else { return };
        if let Some(device) = self.devices.get_mut(i) {
            match value {
                Some(value) => device.signal.force(value),
                None => device.signal.release(),
            }
        }
        self.read(i);
    }
}
