//! Many devices behind some gateways: QoS 1 at a steady rate over several connections, as raw packets, so that the load
//! takes little of the CPU that it measures.

use std::time::Duration;

use bytes::BytesMut;
use domain::site::{Sensor, SensorKind};
use rumqttc::{Publish, QoS};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::OwnedReadHalf,
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use crate::{device::log_in, events};

/// Connections: gateways with the sensors of a few buildings each.
pub(crate) const GATEWAYS: usize = 16;
/// What is due is written so often.
const TICK: Duration = Duration::from_millis(4);
/// Messages of a connection that the broker has not answered: more are not sent, which the rate then shows.
const WINDOW: usize = 8_192;
/// `PUBACK` of MQTT 3.1.1: nothing else comes back.
const ANSWER: usize = 4;
/// After the last publication the broker must answer within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sensors and their ordinary values.
pub(crate) fn ordinary<'a>(sensors: impl Iterator<Item = &'a Sensor>) -> Vec<(String, f64)> {
    let value = |kind: SensorKind| events::life_safety(kind).or(events::utilities(kind)).map_or(1.0, |v| v.1);
    sensors.map(|s| (s.id.to_string(), value(s.kind))).collect()
}

/// A broker on loopback, with the devices' password if it asks for one.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) password: Option<String>,
}

/// What was published and answered by the broker: messages of each sensor, in their order.
pub(crate) struct Published {
    pub(crate) each: Vec<u64>,
    /// When the first was due.
    pub(crate) begun: Instant,
    /// When the last was written.
    pub(crate) ended: Instant,
}

impl Published {
    pub(crate) fn count(&self) -> u64 {
        self.each.iter().sum()
    }
}

/// Publishes `rate` readings a second, of all sensors in turn.
pub(crate) async fn publish(
    at: &Place,
    sensors: &[(String, f64)],
    rate: f64,
    time: Duration,
) -> anyhow::Result<Published> {
    let begun = Instant::now() + Duration::from_millis(200);
    let begun_ms = runtime::Clock::now_ms(&runtime::SystemClock) + 200;
    let mut gateways = JoinSet::new();
    for number in 0..GATEWAYS {
        let mine: Vec<_> = sensors.iter().skip(number).step_by(GATEWAYS).cloned().collect();
        if mine.is_empty() {
            break;
        }
        let share = rate * mine.len() as f64 / sensors.len() as f64;
        let gateway = Gateway { number, sensors: mine, rate: share, begun, begun_ms };
        gateways.spawn(gateway.run(at.clone(), time));
    }
    let (mut each, mut ended) = (vec![0; sensors.len()], begun);
    while let Some(done) = gateways.join_next().await {
        let (number, counts, last) = done??;
        ended = ended.max(last);
        for (turn, count) in counts.into_iter().enumerate() {
            each[number + turn * GATEWAYS] = count;
        }
    }
    Ok(Published { each, begun, ended })
}

struct Gateway {
    number: usize,
    sensors: Vec<(String, f64)>,
    rate: f64,
    begun: Instant,
    begun_ms: i64,
}

impl Gateway {
    async fn run(self, at: Place, time: Duration) -> anyhow::Result<(usize, Vec<u64>, Instant)> {
        let id = format!("bench-{}-{}", self.number, self.begun_ms);
        let (reader, mut writer, _) = log_in(at.port, &id, at.password.as_deref(), false).await?;
        let all = (self.rate * time.as_secs_f64()) as usize;
        let (told, mut answered) = watch::channel(0);
        let write = async {
            let (mut sent, mut buffer) = (0, BytesMut::new());
            while sent < all {
                tokio::time::sleep_until(self.begun + TICK * u32::try_from(self.ticks())?).await;
                let due = ((self.begun.elapsed().as_secs_f64() * self.rate) as usize + 1).min(all);
                // A broker that is behind holds its devices up.
                let room = answered.wait_for(|n| sent - n < WINDOW).await.map(|n| *n + WINDOW)?;
                buffer.clear();
                while sent < due.min(room) {
                    self.message(sent)?.write(&mut buffer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
                    sent += 1;
                }
                writer.write_all(&buffer).await?;
            }
            anyhow::Ok(Instant::now())
        };
        let read = async { tokio::time::timeout(time + PATIENCE, count(reader, all, &told)).await? };
        let (ended, ()) = tokio::try_join!(write, read)?;
        let each = |turn| all / self.sensors.len() + usize::from(turn < all % self.sensors.len());
        Ok((self.number, (0..self.sensors.len()).map(|turn| each(turn) as u64).collect(), ended))
    }

    /// Ticks since the beginning, the next one.
    fn ticks(&self) -> usize {
        (self.begun.elapsed().as_nanos() / TICK.as_nanos()) as usize + 1
    }

    fn message(&self, number: usize) -> anyhow::Result<Publish> {
        let (sensor, value) = &self.sensors[number % self.sensors.len()];
        // Two values of one sensor in one millisecond would be one.
        let at = self.begun_ms + (number as f64 / self.rate * 1e3) as i64;
        let noise = 1.0 + 0.01 * ((number % 7) as f64 - 3.0);
        let payload = format!("{{\"v\":{:.4},\"t\":{at},\"n\":{number},\"battery\":97,\"rssi\":-71}}", value * noise);
        let mut publish = Publish::new(format!("mjw/v1/sensors/{sensor}/reading"), QoS::AtLeastOnce, payload);
        publish.pkid = u16::try_from(number % usize::from(u16::MAX) + 1)?;
        Ok(publish)
    }
}

/// Counts answers up to `all`.
async fn count(mut reader: OwnedReadHalf, all: usize, told: &watch::Sender<usize>) -> anyhow::Result<()> {
    let (mut buffer, mut bytes) = (vec![0; 16 << 10], 0);
    while bytes < all * ANSWER {
        let n = reader.read(&mut buffer).await?;
        anyhow::ensure!(n > 0, "the broker closed a device's connection");
        bytes += n;
        told.send_replace(bytes / ANSWER);
    }
    Ok(())
}
