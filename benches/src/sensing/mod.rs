//! Sensing at rate, ids `T20000`: devices → the child broker → the real binary, which answers after its commit. And the
//! brokers beside each other, ids `B1` and `B2`.

mod brokers;
mod publish;
mod survive;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::site::{Sensor, Site};
use ledger::{SqliteTelemetry, Telemetry};
use tokio::time::Instant;

use crate::{
    centre::{Centre, Folder},
    events::{self, Ends},
    process::{Usage, cpu_seconds, usage},
    results::Figure,
    stats::{median, percentile},
};
use publish::{Place, Published, publish};

/// Messages a second.
const RATE: f64 = 20_000.0;
/// Alarms begin and end meanwhile, so many a second.
const EDGES: f64 = 10.0;
/// What was published must be answered by the centre within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long, and how often.
#[derive(Clone, clap::Args)]
pub(crate) struct How {
    /// The binary that is measured.
    #[arg(long, default_value = crate::CENTRE)]
    pub(crate) centre: std::path::PathBuf,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of each.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Some of rate, brokers, survive; without it all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl How {
    pub(crate) fn of(centre: &Path, rounds: usize) -> Self {
        Self { centre: centre.to_owned(), rounds, seconds: 20, only: Vec::new() }
    }

    fn has(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == what)
    }
}

pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if how.has("rate") {
        figures.extend(rate(how).await?);
    }
    if how.has("brokers") || how.has("survive") {
        let kinds = brokers::kinds(crate::feed::peers::rumqttd().await?);
        if how.has("brokers") {
            figures.extend(brokers::measure(how, kinds).await?);
        }
        if how.has("survive") {
            figures.extend(survive::measure(kinds).await?);
        }
    }
    Ok(figures)
}

/// What the centre counts of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    /// Readings stored.
    stored: u64,
    /// Messages answered.
    answered: u64,
}

impl Counts {
    async fn of(centre: &Centre) -> anyhow::Result<Self> {
        Ok(Self::read(&centre.get("/metrics").await?.body))
    }

    fn read(page: &str) -> Self {
        let value = |name: &str| {
            let line = page.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
        };
        let stored = value(&format!("{}{{outcome=\"stored\"}}", runtime::telemetry::names::MQTT_MESSAGES));
        Self { stored, answered: value(runtime::telemetry::names::MQTT_ANSWERS) }
    }

    /// Waits until so many further messages are answered, or nothing comes any more; what came, and when the last did.
    async fn wait(self, centre: &Centre, messages: u64) -> anyhow::Result<(Self, Instant)> {
        let begun = Instant::now();
        loop {
            let now = Self::of(centre).await?;
            let since = Self { stored: now.stored - self.stored, answered: now.answered - self.answered };
            if since.answered >= messages || begun.elapsed() > PATIENCE {
                return Ok((since, Instant::now()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One round of the load.
struct Turn {
    /// Messages a second, from the first publication to the centre's last answer.
    rate: f64,
    /// From the last publication to the centre's last answer, ms.
    behind: f64,
    unanswered: u64,
    /// Messages that came a second time.
    again: u64,
    /// While it was published.
    centre: Usage,
    broker: Usage,
    /// CPU µs a message, to the last answer.
    each: [f64; 2],
    published: u64,
}

/// Publishes for `time` and waits for the centre's answers. `more`: messages that others publish meanwhile.
async fn turn(
    centre: &Centre,
    broker: u32,
    at: &Place,
    sensors: &[(String, f64)],
    time: Duration,
    more: u64,
) -> anyhow::Result<(Turn, Published)> {
    let before = Counts::of(centre).await?;
    let pids = [centre.run.pid, broker];
    let cpu = pids.map(|pid| cpu_seconds(&[pid]));
    let groups = pids.map(|pid| vec![pid]);
    let (published, used) = tokio::join!(publish(at, sensors, RATE, time), usage(&groups, time));
    let published = published?;
    let all = published.count() + more;
    let (since, last) = before.wait(centre, all).await?;
    let cpu: Vec<_> = pids.iter().zip(cpu).map(|(pid, before)| cpu_seconds(&[*pid]) - before).collect();
    let mut used = used.into_iter();
    let (Some(centre), Some(broker)) = (used.next(), used.next()) else { anyhow::bail!("no usage") };
    let turn = Turn {
        rate: published.count() as f64 / (last - published.begun).as_secs_f64(),
        behind: (last - published.ended).as_secs_f64() * 1e3,
        unanswered: all.saturating_sub(since.answered),
        again: since.stored.saturating_sub(all),
        centre,
        broker,
        each: [cpu[0], cpu[1]].map(|seconds| seconds * 1e6 / all.max(1) as f64),
        published: published.count(),
    };
    Ok((turn, published))
}

/// Sensors whose alarms begin and end, and all others.
fn divided(site: &Site) -> (Vec<&Sensor>, Vec<&Sensor>) {
    let mut turn = 0;
    site.sensors.iter().partition(|s| {
        turn += usize::from(events::life_safety(s.kind).is_some());
        events::life_safety(s.kind).is_some() && turn % 4 == 0
    })
}

async fn rate(how: &How) -> anyhow::Result<Vec<Figure>> {
    let (site, folder, time) = (site::built_in(), Folder::new("rate")?, Duration::from_secs(how.seconds));
    let (alarms, others) = divided(&site);
    let sensors = publish::ordinary(others.into_iter());
    let centre = Centre::plain(&how.centre, &folder.0, "").await?;
    let mut ends = Ends::open(&centre, 1).await?;
    let (port, password) = centre.broker()?;
    let at = Place { port, password: Some(password) };
    let broker = crate::process::children(centre.run.pid);
    let broker = broker.into_iter().find(|p| crate::process::command_line(*p).contains("mosquitto"));
    let broker = broker.context("the centre has no broker")?;
    let (mut turns, mut edges, mut each) = (Vec::new(), Vec::new(), vec![0; sensors.len()]);
    for round in 1..=how.rounds {
        let values = alarms.iter().filter_map(|s| Some((s.id.to_string(), events::life_safety(s.kind)?)));
        let mut steps = events::steps_of(values.collect(), (EDGES * time.as_secs_f64()) as usize);
        // Whole turns of all, so that each ends as it began.
        let pair = 2 * alarms.len();
        steps.truncate(((EDGES * time.as_secs_f64()) as usize / pair).max(1) * pair);
        let count = steps.len() as u64;
        let pace = count as f64 / time.as_secs_f64();
        let (load, seen) =
            tokio::join!(turn(&centre, broker, &at, &sensors, time, count), ends.run(&centre, steps, pace));
        let (load, published) = load?;
        let (again, seen) = seen?;
        ends = again;
        tell(round, &load);
        println!(
            "    {count} alarms meanwhile: p50 {:.1} ms, p99 {:.1} ms",
            percentile(&seen.screen, 0.5),
            percentile(&seen.screen, 0.99)
        );
        each.iter_mut().zip(published.each).for_each(|(sum, n)| *sum += n);
        turns.push(load);
        edges.push(seen.screen);
    }
    centre.run.end().await?;
    let stored = stored(&folder.0, &sensors).await?;
    let lost = each.iter().zip(&stored).map(|(sent, kept)| sent.saturating_sub(*kept)).sum();
    Ok(figures(&turns, &edges, lost))
}

fn tell(round: usize, turn: &Turn) {
    println!(
        "  round {round}: {:.0} messages/s of {}, the last answer {:.0} ms after the last publication, {} unanswered, {} \
         again; centre {:.2} cores, {:.0} MiB; broker {:.2} cores, {:.0} MiB",
        turn.rate,
        turn.published,
        turn.behind,
        turn.unanswered,
        turn.again,
        turn.centre.cores,
        turn.centre.mib,
        turn.broker.cores,
        turn.broker.mib
    );
}

/// How many values of each sensor the store of a centre that has ended counts in its minutes.
async fn stored(data: &Path, sensors: &[(String, f64)]) -> anyhow::Result<Vec<u64>> {
    let store: Arc<dyn Telemetry> =
        Arc::new(SqliteTelemetry::open(&data.join("telemetry.db"), Duration::from_secs(5)).await?);
    let mut counts = Vec::new();
    for (sensor, _) in sensors {
        let days = store.rollups(sensor, 0, i64::MAX / 2, 1_440, 10).await?;
        counts.push(days.iter().map(|d| d.count).sum());
    }
    Ok(counts)
}

fn figures(turns: &[Turn], edges: &[Vec<f64>], lost: u64) -> Vec<Figure> {
    let of = |what: fn(&Turn) -> f64| median(&turns.iter().map(what).collect::<Vec<_>>());
    let late = |share| median(&edges.iter().map(|e| percentile(e, share)).collect::<Vec<_>>());
    let all = |what: fn(&Turn) -> u64| turns.iter().map(what).sum::<u64>();
    let words = format!("{RATE} readings/s asked of {} gateways, QoS 1, alarms meanwhile", publish::GATEWAYS);
    let rate = of(|t| t.rate);
    let p99 = late(0.99);
    let figure = |id: &str, what: &str, value, unit: &str| {
        Figure::new(&format!("T20000.{id}"), format!("{words}: {what}"), value, unit)
    };
    let bad = |id: &str, what: &str, count| {
        Figure::none(&format!("T20000.{id}"), format!("The same: {what}"), count, "messages")
    };
    let published = all(|t| t.published);
    vec![
        Figure::new("T20000", format!("{words}: answered by the centre after the commit"), rate, "messages/s")
            .target("≥ 98 % of them, to the last answer", rate >= 0.98 * RATE),
        figure("behind", "from the last publication to the centre's last answer", of(|t| t.behind), "ms"),
        bad("unanswered", "not answered by the centre", all(|t| t.unanswered)),
        bad("lost", &format!("of {published} not in the telemetry store afterwards"), lost),
        bad("again", "that came to the centre a second time", all(|t| t.again)),
        figure("centre.each", "CPU of the centre a message", of(|t| t.each[0]), "µs"),
        figure("broker.each", "CPU of the child broker a message", of(|t| t.each[1]), "µs"),
        figure("centre.cpu", "CPU of the centre", of(|t| t.centre.cores), "cores"),
        figure("centre.memory", "resident, the centre", of(|t| t.centre.mib), "MiB"),
        figure("broker.cpu", "CPU of the child broker", of(|t| t.broker.cores), "cores"),
        figure("broker.memory", "resident, the child broker", of(|t| t.broker.mib), "MiB"),
        figure("alarm.p50", "a reading that crosses its threshold, publish → screen, p50", late(0.5), "ms"),
        figure("alarm.p99", "the same, p99", p99, "ms").target("≤ 100 ms", p99 <= 100.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_page() {
        let page = "# HELP x\nmaojiawan_mqtt_messages_total{outcome=\"malformed\"} 3\n\
                    maojiawan_mqtt_messages_total{outcome=\"stored\"} 41\nmaojiawan_mqtt_answers_total 40\n";
        assert_eq!(Counts::read(page), Counts { stored: 41, answered: 40 });
        assert_eq!(Counts::read(""), Counts::default());
    }

    #[test]
    fn a_sensor_alarms_or_reports() {
        let site = site::built_in();
        let (alarms, others) = divided(&site);
        assert_eq!(alarms.len() + others.len(), site.sensors.len());
        assert!(alarms.len() > 10 && others.len() > 3 * alarms.len(), "{} and {}", alarms.len(), others.len());
    }
}
