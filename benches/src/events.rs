//! From a sensor to a screen: latency of one reading, the broker's answer, and the highest sustained rate.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use domain::site::{SensorKind, Site};
use tokio::task::JoinSet;

use crate::{
    centre::{Centre, Folder},
    device::{Device, Plan, Screen, Step},
    process::{Usage, cpu_seconds, usage},
    results::Figure,
    stats::{median, percentile},
};

/// A rate is sustained when 99 of 100 readings are on the screen within this time, ms.
const BOUND_MS: f64 = 100.0;

/// Rules of conditions that open no incident, without hold time: each reading is one event, and the state stays as large
/// as it is however long the run.
const RULES: &str = r#"rules = [
  { id = "electrical_fire", kind = "electrical_fire", alarm = "electrical_fire", raise = { above = 300 }, keep = { above = 250 } },
  { id = "manhole", kind = "manhole", alarm = "manhole", raise = { above = 15 }, keep = { above = 10 } },
  { id = "hydrant", kind = "hydrant_pressure", alarm = "hydrant_pressure", raise = { below = 0.14 }, keep = { below = 0.18 } },
  { id = "water_level", kind = "water_level", alarm = "water_level", raise = { above = 0.8 }, keep = { above = 0.65 } },
  { id = "fire_lane", kind = "fire_lane", alarm = "fire_lane", raise = { above = 0.5 }, keep = { above = 0.5 } },
  { id = "ebike", kind = "ebike_charging", alarm = "ebike_charging", raise = { above = 10 }, keep = { above = 8 } },
]"#;

/// A value beyond the threshold and an ordinary one, of the kinds that a rule without hold time watches.
pub(crate) const fn life_safety(kind: SensorKind) -> Option<(f64, f64)> {
    match kind {
        SensorKind::Smoke => Some((0.3, 0.01)),
        SensorKind::CallPoint | SensorKind::Sos => Some((1.0, 0.0)),
        SensorKind::Gas => Some((30.0, 1.0)),
        SensorKind::Lift => Some((2.0, 0.0)),
        _ => None,
    }
}

/// The same for [`RULES`].
pub(crate) const fn utilities(kind: SensorKind) -> Option<(f64, f64)> {
    match kind {
        SensorKind::ElectricalFire => Some((400.0, 20.0)),
        SensorKind::Manhole => Some((30.0, 0.0)),
        SensorKind::HydrantPressure => Some((0.1, 0.3)),
        SensorKind::WaterLevel => Some((1.0, 0.2)),
        SensorKind::FireLane => Some((1.0, 0.0)),
        SensorKind::EbikeCharging => Some((12.0, 2.0)),
        _ => None,
    }
}

/// At least `least` readings: all sensors begin, all end, and again.
fn steps(site: &Site, values: impl Fn(SensorKind) -> Option<(f64, f64)>, least: usize) -> Vec<Step> {
    let sensors = site.sensors.iter().filter_map(|s| values(s.kind).map(|v| (s.id.to_string(), v)));
    steps_of(sensors.collect(), least)
}

/// The same of some sensors, each with a value beyond its threshold and an ordinary one.
pub(crate) fn steps_of(sensors: Vec<(String, (f64, f64))>, least: usize) -> Vec<Step> {
    let pairs = least.div_ceil(2 * sensors.len().max(1));
    let turn = |raised: bool| {
        sensors.iter().map(move |(sensor, (high, low))| Step {
            sensor: sensor.clone(),
            raised,
            value: if raised { *high } else { *low },
        })
    };
    (0..pairs).flat_map(|_| turn(true).chain(turn(false))).collect()
}

/// What one run saw, ms.
pub(crate) struct Seen {
    /// Publish → frame, of every reading at every screen.
    pub(crate) screen: Vec<f64>,
    /// Publish → answer of the broker.
    ack: Vec<f64>,
    /// Readings a second that were really sent.
    rate: f64,
    /// Of the centre.
    usage: Usage,
}

/// A device and screens.
pub(crate) struct Ends {
    device: Device,
    screens: Vec<Screen>,
}

impl Ends {
    pub(crate) async fn open(centre: &Centre, screens: usize) -> anyhow::Result<Self> {
        centre.wait_for("broker").await?;
        let (port, password) = centre.broker()?;
        let token = centre.log_in("chief").await?;
        let mut all = Vec::new();
        for _ in 0..screens {
            all.push(Screen::open(&centre.address, &token).await?);
        }
        Ok(Self { device: Device::connect(port, &password).await?, screens: all })
    }

    /// One run; everything must arrive in order and once, or it is an error.
    pub(crate) async fn run(self, centre: &Centre, steps: Vec<Step>, rate: f64) -> anyhow::Result<(Self, Seen)> {
        let (count, plan) = (steps.len(), Plan::new(steps));
        let mut following = JoinSet::new();
        for screen in self.screens {
            following.spawn(screen.follow(plan.clone()));
        }
        let time = Duration::from_secs_f64(count as f64 / rate);
        let (watched, groups) = (centre.run.pid, vec![vec![centre.run.pid]]);
        let (device, usage) = tokio::join!(self.device.publish(&plan, rate), usage(&groups, time));
        let device = device.with_context(|| format!("publishing to the broker of {watched}"))?;
        let all = async {
            let mut ends = Vec::new();
            while let Some(end) = following.join_next().await {
                ends.push(end??);
            }
            anyhow::Ok(ends)
        };
        let ends = tokio::time::timeout(Duration::from_secs(30), all).await.context("readings are missing")??;
        let at = |list: &[std::sync::atomic::AtomicU64], i: usize| list[i].load(Ordering::Relaxed);
        let ms = |to: u64, i: usize| to.saturating_sub(at(&plan.sent, i)) as f64 / 1e6;
        let screen = ends.iter().flat_map(|(_, came)| came.iter().enumerate().map(|(i, t)| ms(*t, i))).collect();
        let ack = (0..count).map(|i| ms(at(&plan.acked, i), i)).collect();
        let span = at(&plan.sent, count - 1).saturating_sub(at(&plan.sent, 0)) as f64 / 1e9;
        let screens = ends.into_iter().map(|(screen, _)| screen).collect();
        let usage = usage.into_iter().next().context("no usage")?;
        Ok((Self { device, screens }, Seen { screen, ack, rate: (count - 1) as f64 / span, usage }))
    }
}

/// Latency with one screen and with fifty, and the highest rate, on a centre without simulated site.
pub(crate) async fn measure(program: &Path, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let site = site::built_in();
    let mut figures = Vec::new();
    let mut acks = Vec::new();
    for (id, screens) in [("E1", 1), ("E2", 50)] {
        let folder = Folder::new(id)?;
        let centre = Centre::plain(program, &folder.0, "").await?;
        let (seen, ack) = latency(&centre, &site, screens, rounds).await?;
        acks.extend(ack);
        figures.extend(latencies(id, &format!("{screens} screen(s)"), &seen));
        centre.run.end().await?;
    }
    let all = |share: f64| median(&acks.iter().map(|a| percentile(a, share)).collect::<Vec<_>>());
    let what = "MQTT publish → PUBACK of the broker, QoS 1, 50 readings/s";
    figures.push(Figure::new("E3.p50", format!("{what}, p50"), all(0.5), "ms"));
    figures.push(Figure::new("E3.p99", format!("{what}, p99"), all(0.99), "ms"));
    figures.extend(throughput(program, &site).await?);
    Ok(figures)
}

fn latencies(id: &str, conditions: &str, rounds: &[Vec<f64>]) -> Vec<Figure> {
    let all = |share: f64| median(&rounds.iter().map(|r| percentile(r, share)).collect::<Vec<_>>());
    let what = format!("MQTT publish → socket frame, {conditions}, 50 readings/s");
    let (p50, p99) = (all(0.5), all(0.99));
    vec![
        Figure::new(&format!("{id}.p50"), format!("{what}, p50"), p50, "ms"),
        Figure::new(&format!("{id}.p99"), format!("{what}, p99"), p99, "ms").target("≤ 100 ms", p99 <= BOUND_MS),
    ]
}

type Rounds = Vec<Vec<f64>>;

async fn latency(centre: &Centre, site: &Site, screens: usize, rounds: usize) -> anyhow::Result<(Rounds, Rounds)> {
    let mut ends = Ends::open(centre, screens).await?;
    let (mut seen, mut acks) = (Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=rounds {
        let (again, one) = ends.run(centre, steps(site, life_safety, 1), 50.0).await?;
        ends = again;
        println!(
            "  {screens} screens, round {round}: p50 {:.2} ms, p99 {:.2} ms, broker's answer p50 {:.2} ms, {:.2} cores",
            percentile(&one.screen, 0.5),
            percentile(&one.screen, 0.99),
            percentile(&one.ack, 0.5),
            one.usage.cores
        );
        if round > 0 {
            seen.push(one.screen);
            acks.push(one.ack);
        }
    }
    Ok((seen, acks))
}

async fn throughput(program: &Path, site: &Site) -> anyhow::Result<Vec<Figure>> {
    let folder = Folder::new("E4")?;
    let centre = Centre::plain(program, &folder.0, RULES).await?;
    let mut ends = Ends::open(&centre, 1).await?;
    let (mut best, mut refused): (Option<Seen>, Option<f64>) = (None, None);
    let mut rate = 250.0;
    // Doubled until it fails, then halved between the two three times.
    for halvings in 0.. {
        let (again, seen) = ends.run(&centre, steps(site, utilities, (rate * 6.0) as usize), rate).await?;
        ends = again;
        let p99 = percentile(&seen.screen, 0.99);
        println!("  {rate:.0} readings/s asked, {:.0} sent: p99 {p99:.1} ms, {:.2} cores", seen.rate, seen.usage.cores);
        if p99 <= BOUND_MS && seen.rate >= 0.97 * rate {
            best = Some(seen);
        } else {
            refused = Some(rate);
            // What piled up is gone by now, since every reading was awaited.
        }
        rate = match (&best, refused) {
            (Some(best), Some(refused)) if halvings < 12 && refused / best.rate > 1.1 => (best.rate + refused) / 2.0,
            (_, None) => rate * 2.0,
            (None, Some(refused)) if refused > 20.0 => refused / 2.0,
            _ => break,
        };
    }
    centre.run.end().await?;
    let best = best.context("no rate is sustained")?;
    let what = "Sensor edges a second, MQTT → durable → one screen, p99 ≤ 100 ms over 6 s, none lost";
    Ok(vec![
        Figure::new("E4", what, best.rate, "edges/s"),
        Figure::new("E4.cpu", "CPU of the centre at that rate", best.usage.cores, "cores"),
    ])
}

/// MQTT publish → durable → Redis → one screen at fixed rates, for six seconds each. `watched`: the Redis.
pub(crate) async fn rates(program: &Path, redis: &str, watched: u32) -> anyhow::Result<Vec<Figure>> {
    let (site, folder) = (site::built_in(), Folder::new("rates")?);
    // Rules stand in `[sensing]`, which comes last before the accounts.
    let centre = Centre::plain(program, &folder.0, &format!("{RULES}\n[bus]\nredis = \"{redis}\"\n")).await?;
    let mut ends = Ends::open(&centre, 1).await?;
    let mut figures = Vec::new();
    for rate in [100.0, 1_000.0, 5_000.0] {
        let before = cpu_seconds(&[centre.run.pid, watched]);
        let ran = ends.run(&centre, steps(&site, utilities, (rate * 6.0) as usize), rate).await;
        let (again, seen) = match ran {
            Ok(ran) => ran,
            // What the rate left behind would spoil whatever came next.
            Err(error) => {
                println!("  {rate:.0} readings/s asked: {error:#}");
                let what =
                    format!("MQTT → one screen, {rate:.0} readings/s asked: not all came within 30 s after the last");
                let figure = Figure::new(&format!("M{rate:.0}.arrived"), what, 0.0, "");
                figures.push(figure.target("all arrive", false));
                break;
            }
        };
        let cpu = (cpu_seconds(&[centre.run.pid, watched]) - before) * 1e6 / seen.screen.len().max(1) as f64;
        ends = again;
        let (p50, p99) = (percentile(&seen.screen, 0.5), percentile(&seen.screen, 0.99));
        println!(
            "  {rate:.0} readings/s asked, {:.0} sent: p50 {p50:.1} ms, p99 {p99:.1} ms, {cpu:.0} µs each",
            seen.rate
        );
        let what = format!(
            "MQTT publish → durable → Redis → one screen, {rate:.0} readings/s asked, {:.0} sent, none lost",
            seen.rate
        );
        figures.push(Figure::new(&format!("M{rate:.0}.p50"), format!("{what}, p50"), p50, "ms"));
        figures.push(Figure::new(&format!("M{rate:.0}.p99"), format!("{what}, p99"), p99, "ms"));
        figures.push(Figure::new(
            &format!("M{rate:.0}.cpu"),
            format!("{what}: CPU of centre and Redis"),
            cpu,
            "µs a reading",
        ));
    }
    centre.run.end().await?;
    Ok(figures.into_iter().map(Figure::once).collect())
}
