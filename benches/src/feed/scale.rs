//! What grows with clients, open incidents and the length of the log.

use std::time::{Duration, Instant};

use super::{
    Ours,
    dialect::{Dialect, Place},
    load::Load,
    source::Source,
};
use crate::{
    centre::Folder,
    process::{anonymous_kib, cpu_seconds},
    results::Figure,
    stats::Histogram,
};

/// Events a second while clients grow.
const PACE: f64 = 20.0;

/// How far.
#[derive(Clone, clap::Args)]
pub(crate) struct How {
    /// Most clients; steps of ten from 10.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Most open incidents; steps of ten from 100.
    #[arg(long, default_value_t = 100_000)]
    incidents: usize,
    /// Most events in the log; steps of ten from 100,000.
    #[arg(long, default_value_t = 10_000_000)]
    events: usize,
}

impl Default for How {
    fn default() -> Self {
        Self { clients: 10_000, incidents: 100_000, events: 10_000_000 }
    }
}

fn tens(from: usize, most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(from), |n| Some(n * 10)).take_while(move |n| *n <= most)
}

pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut figures = clients(how.clients).await?;
    for count in tens(100, how.incidents) {
        let folder = Folder::new("incidents")?;
        Ours::start(&folder.0, true, &["--incidents", &count.to_string()]).await?.run.end().await?;
        figures.extend(again(&folder.0, &format!("X2.{count}"), &format!("{count} open incidents")).await?);
    }
    let folder = Folder::new("log")?;
    for count in tens(100_000, how.events) {
        let begun = Instant::now();
        let filled = Ours::start(&folder.0, true, &["--fill", &count.to_string()]).await?;
        println!("  filled to {} in {:.0} s", filled.head, begun.elapsed().as_secs_f64());
        filled.run.end().await?;
        figures.extend(again(&folder.0, &format!("X3.{count}"), &format!("a log of {count} events")).await?);
    }
    Ok(figures)
}

async fn clients(most: usize) -> anyhow::Result<Vec<Figure>> {
    let folder = Folder::new("clients")?;
    let ours = Ours::start(&folder.0, true, &[]).await?;
    let dialect = Dialect::Ours { cookie: ours.session().await?.cookie(), conflate: false };
    let mut source = ours.source()?;
    let (mut figures, mut all_missed) = (Vec::new(), 0);
    for count in tens(10, most) {
        let (cpu, p99, mib, missed) = tokio::task::block_in_place(|| {
            let mut load = Load::new(dialect.clone(), ours.address)?;
            load.open(vec![Place::default(); count], source.at)?;
            let before = cpu_seconds(&[ours.run.pid]);
            let run = load.rate(&mut source, PACE, Duration::from_secs(5))?;
            let cpu = (cpu_seconds(&[ours.run.pid]) - before) * 1e6 / run.deliveries.max(1) as f64;
            let mib = anonymous_kib(ours.run.pid) / 1024.0;
            let wrong = run.wrong.lost + run.wrong.doubled + run.wrong.resyncs + run.wrong.closed;
            anyhow::Ok((cpu, run.latency.ms(0.99), mib, run.late + wrong))
        })?;
        println!("  {count} clients: {cpu:.1} µs a delivery, p99 {p99:.1} ms, {mib:.0} MiB, missed {missed}");
        all_missed += missed;
        let what = format!("{PACE} events/s to {count} clients");
        figures.push(Figure::new(&format!("X1.{count}.cpu"), format!("{what}: CPU"), cpu, "µs a delivery"));
        figures.push(Figure::new(&format!("X1.{count}.p99"), format!("{what}: p99"), p99, "ms"));
        let memory = format!("{what}: memory of the server with them");
        figures.push(Figure::new(&format!("X1.{count}.memory"), memory, mib, "MiB"));
    }
    let what = format!("{PACE} events/s to 10 and up to {most} clients: deliveries lost, doubled or late");
    figures.push(Figure::none("X1.missed", what, all_missed, "deliveries"));
    ours.run.end().await?;
    Ok(figures)
}

/// A second start on what is there: start, memory, and the answer to single events.
async fn again(folder: &std::path::Path, id: &str, what: &str) -> anyhow::Result<Vec<Figure>> {
    let ours = Ours::start(folder, true, &[]).await?;
    let mib = anonymous_kib(ours.run.pid) / 1024.0;
    let mut source = ours.source()?;
    let latency = tokio::task::block_in_place(|| append(&mut source))?;
    println!(
        "  {what}: ready in {:.2} s, {mib:.0} MiB, append p99 {:.2} ms",
        ours.ready.as_secs_f64(),
        latency.ms(0.99)
    );
    ours.run.end().await?;
    Ok(vec![
        Figure::new(&format!("{id}.start"), format!("{what}: start"), ours.ready.as_secs_f64(), "s"),
        Figure::new(&format!("{id}.memory"), format!("{what}: memory after it"), mib, "MiB"),
        Figure::new(&format!("{id}.append"), format!("{what}: append of one event, p99"), latency.ms(0.99), "ms"),
    ])
}

/// One event after the other, each awaited until it is durable.
fn append(source: &mut Source) -> anyhow::Result<Histogram> {
    let (mut latency, begun) = (Histogram::default(), Instant::now());
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        source.publish(1)?;
        while source.durable < source.at {
            std::hint::spin_loop();
            source.turn()?;
        }
        latency.add(asked.elapsed());
    }
    Ok(latency)
}
