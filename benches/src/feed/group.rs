//! G5: one commit an event beside group commit, on both databases, and through the writer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use domain::{
    event::Mode,
    input::{Actor, Command, Input, Observation},
};
use ledger::{
    Batch, EventRow, LocalBus, Log, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    testing::postgres::PostgresServer,
};
use runtime::{Clock, SystemClock, Tasks};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{How, floor, part::submit};
use crate::{
    centre::Folder,
    process::{children, cpu_seconds, own_mib},
    profile::Sampling,
    results::Figure,
    stats::{Histogram, median},
};

const TIME: Duration = Duration::from_secs(3);
/// Sources that each wait for their answer.
const SOURCES: usize = 96;
const BATCH: usize = 256;

pub(crate) struct Seen {
    pub(crate) rate: f64,
    pub(crate) p99: f64,
    p999: f64,
    /// CPU of this process, which is sources and store in one, and of the database server; µs an event.
    each: f64,
    /// Their memory at the end, MiB.
    mib: f64,
}

impl Seen {
    fn of(latency: &Histogram, begun: Instant) -> Self {
        let rate = latency.count() as f64 / begun.elapsed().as_secs_f64();
        Self { rate, p99: latency.ms(0.99), p999: latency.ms(0.999), each: 0.0, mib: 0.0 }
    }

    /// What `run` takes of the CPU and memory of this process and `server`.
    async fn with_cost(
        server: Option<&PostgresServer>,
        run: impl Future<Output = anyhow::Result<Self>>,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let before = cpu_seconds(&measured(server));
        let mut seen = run.await?;
        // A backend that ended in between counts for its server.
        let pids = measured(server);
        let events = seen.rate * begun.elapsed().as_secs_f64();
        seen.each = (cpu_seconds(&pids) - before) * 1e6 / events.max(1.0);
        seen.mib = own_mib(&pids);
        Ok(seen)
    }
}

/// This process, and a database server with its backends.
fn measured(server: Option<&PostgresServer>) -> Vec<u32> {
    let server = server.map(PostgresServer::pid);
    let backends = server.map(children).unwrap_or_default();
    [std::process::id()].into_iter().chain(server).chain(backends).collect()
}

fn event() -> EventRow {
    EventRow {
        at_ms: SystemClock.now_ms(),
        kind: "bench".to_owned(),
        version: 1,
        stream: "alarm/1".to_owned(),
        mode: 0,
        payload: vec![7; 200].into(),
    }
}

/// Appended and awaited one by one.
async fn single(store: &dyn Log) -> anyhow::Result<Seen> {
    let (mut head, mut latency, begun) = (store.open_writer().await?, Histogram::default(), Instant::now());
    while begun.elapsed() < TIME {
        let mut batch = Batch::new(head);
        batch.events.push(event());
        let asked = Instant::now();
        head = store.append(&batch).await?;
        latency.add(asked.elapsed());
    }
    Ok(Seen::of(&latency, begun))
}

/// Many sources, one who commits whatever waits.
async fn grouped(store: Arc<dyn Store>) -> anyhow::Result<Seen> {
    let (ask, mut asked) = mpsc::channel::<(EventRow, oneshot::Sender<()>)>(SOURCES);
    let begun = Instant::now();
    let mut sources = JoinSet::new();
    for _ in 0..SOURCES {
        let ask = ask.clone();
        sources.spawn(async move {
            let mut latency = Vec::new();
            while begun.elapsed() < TIME {
                let (answer, answered) = oneshot::channel();
                let at = Instant::now();
                if ask.send((event(), answer)).await.is_err() || answered.await.is_err() {
                    break;
                }
                latency.push(at.elapsed());
            }
            latency
        });
    }
    drop(ask);
    let mut head = store.open_writer().await?;
    let mut some = Vec::new();
    while asked.recv_many(&mut some, BATCH).await > 0 {
        let mut batch = Batch::new(head);
        let (events, answers): (Vec<_>, Vec<_>) = some.drain(..).unzip();
        batch.events = events;
        head = store.append(&batch).await?;
        for answer in answers {
            // A source that is over waits for nothing.
            let _ = answer.send(());
        }
    }
    sum(sources, begun).await
}

async fn sum(mut sources: JoinSet<Vec<Duration>>, begun: Instant) -> anyhow::Result<Seen> {
    let mut latency = Histogram::default();
    while let Some(times) = sources.join_next().await {
        times?.into_iter().for_each(|t| latency.add(t));
    }
    Ok(Seen::of(&latency, begun))
}

/// The same through the writer: decided, with documents.
pub(crate) async fn written(store: Arc<dyn Store>) -> anyhow::Result<Seen> {
    let tasks = Tasks::default();
    let (bus, clock) = (Arc::new(LocalBus::new(8_192)), Arc::new(SystemClock));
    let writer = dispatch::start("maojiawan".into(), store, bus, clock, dispatch::WriterOptions::default(), &tasks);
    writer.status().wait_for(|s| s.ok).await.map(drop).context("the writer ended")?;
    let site = site::built_in();
    let command = Command::SetSite(site.clone());
    submit(&writer, Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }).await?;
    let begun = Instant::now();
    let mut sources = JoinSet::new();
    for sensor in site.sensors.iter().map(|s| s.id.clone()).take(SOURCES) {
        let writer = writer.clone();
        sources.spawn(async move {
            let mut latency = Vec::new();
            let mut online = false;
            while begun.elapsed() < TIME {
                let observation = Observation::SensorLink { sensor: sensor.clone(), online };
                let at = Instant::now();
                if submit(&writer, Input::Observe { mode: Mode::Real, observation }).await.is_err() {
                    break;
                }
                latency.push(at.elapsed());
                online = !online;
            }
            latency
        });
    }
    let seen = sum(sources, begun).await;
    tasks.drain(Duration::from_secs(5)).await;
    seen
}

/// In turns.
const WAYS: [&str; 5] = ["SQLite one", "SQLite group", "PostgreSQL one", "PostgreSQL group", "writer"];

/// All ways in turns.
pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    let folder = Folder::new("group")?;
    let sqlite: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(&folder.0.join("s"))).await?);
    let server = tokio::task::block_in_place(PostgresServer::start);
    let options = PostgresOptions::new(&server.url("postgres"), None, &folder.0.join("p"))?;
    std::fs::create_dir_all(folder.0.join("p"))?;
    let postgres: Arc<dyn Store> = Arc::new(PostgresStore::open(&options).await?);
    let through: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(&folder.0.join("w"))).await?);
    let mut all: [Vec<Seen>; 5] = Default::default();
    for round in 1..=how.rounds {
        let seen = [
            Seen::with_cost(None, single(sqlite.as_ref())).await?,
            Seen::with_cost(None, grouped(sqlite.clone())).await?,
            Seen::with_cost(Some(&server), single(postgres.as_ref())).await?,
            Seen::with_cost(Some(&server), grouped(postgres.clone())).await?,
            Seen::with_cost(None, written(through.clone())).await?,
        ];
        for (name, seen) in WAYS.iter().zip(&seen) {
            println!(
                "  round {round}, {name}: {:.0} events/s, p99 {:.2} ms, p99.9 {:.2} ms, {:.1} µs CPU each, {:.0} MiB",
                seen.rate, seen.p99, seen.p999, seen.each, seen.mib
            );
        }
        all.iter_mut().zip(seen).for_each(|(list, seen)| list.push(seen));
    }
    let mut figures = tokio::task::block_in_place(|| floor::fsync(&folder.0))?;
    figures.extend(of(&all));
    let sampled = [
        ("G5.sqlite", "G5", sqlite, None, "SQLite, one process"),
        ("G5.postgres", "G5 on PostgreSQL", postgres, Some(&server), "PostgreSQL, with its processes"),
    ];
    for (target, title, store, server, words) in sampled {
        if how.profiles(&figures, target) {
            let sampling = Sampling::start(&measured(server), TIME);
            grouped(store).await?;
            let what = format!("{SOURCES} sources and the group commit in {words}");
            let more = tokio::task::block_in_place(|| sampling.map(|s| s.figures(title, &what)));
            figures.extend(more.unwrap_or_default());
        }
    }
    Ok(figures)
}

fn of(all: &[Vec<Seen>; 5]) -> Vec<Figure> {
    let of = |i: usize, what: fn(&Seen) -> f64| median(&all[i].iter().map(what).collect::<Vec<_>>());
    let mut figures = Vec::new();
    // SQLite is what a centre has unless it is told otherwise.
    for (id, part, name, one, many) in
        [("G5", "G5.sqlite", "SQLite", 0, 1), ("G5.postgres", "G5.postgres", "PostgreSQL", 2, 3)]
    {
        let (alone, group, p99) = (of(one, |s| s.rate), of(many, |s| s.rate), of(many, |s| s.p99));
        let what = format!("{name}: durable events/s of {SOURCES} sources by group commit, beside one commit an event");
        let figure = Figure::new(id, what, group, "events/s").behind("one by one", alone);
        figures.push(figure.target("≥ 20 ×, p99 ≤ 2 ms", group >= 20.0 * alone && p99 <= 2.0));
        let figure = Figure::new(&format!("{part}.p99"), format!("{name}: answer of the group commit, p99"), p99, "ms");
        figures.push(figure.target("≤ 2 ms", p99 <= 2.0));
        for (id, words, unit, what) in [
            ("each", "CPU of sources, store and server", "µs an event", (|s| s.each) as fn(&Seen) -> f64),
            ("memory", "their memory", "MiB", |s| s.mib),
        ] {
            let words = format!("{name}: the same, {words}");
            figures.push(
                Figure::new(&format!("{part}.{id}"), words, of(many, what), unit).peer("one by one", of(one, what)),
            );
        }
        let p999 = of(many, |s| s.p999);
        figures.push(Figure::new(&format!("{part}.p999"), format!("{name}: the same, p99.9"), p999, "ms"));
    }
    let (rate, p99) = (of(4, |s| s.rate), of(4, |s| s.p99));
    let what = format!("SQLite: facts of {SOURCES} sources through the writer");
    figures.push(Figure::new("G5.writer", what, rate, "inputs/s"));
    figures.push(Figure::new("G5.writer.p99", "The same, answer, p99", p99, "ms"));
    figures
}
