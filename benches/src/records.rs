//! X4: what a centre pays for records that nobody looks at. A store with many record documents beside one without, same
//! site and same live documents, in turns: start, snapshot, memory and the writer's throughput; then what lists of the
//! records themselves cost.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use domain::{
    event::Mode,
    input::{Actor, Command, Input},
    state::KEEP_ENDED,
};
use ledger::{
    Batch, Columns, DocumentRow, EventRow, LocalBus, Log as _, Query, SqliteOptions, SqliteStore, Tally, TallyBy,
};
use runtime::{Clock as _, SystemClock, Tasks};
use serde::{Deserialize, Serialize};

use crate::{
    centre::Folder,
    feed::{submit, written},
    process::{Run, resident_mib},
    results::Figure,
    stats::median,
};

/// A kind that no writer and no gateway keeps in memory.
const KIND: &str = "bench.household";
/// Documents of one commit.
const COMMIT: u64 = 500;
/// Repetitions of one read, and of one start; the median counts.
const READS: usize = 51;
const STARTS: usize = 9;
/// By how much a figure may differ before it counts as growing with the records.
const FLAT: f64 = 1.1;
const READY: Duration = Duration::from_secs(600);

#[derive(Clone, clap::Args)]
pub(crate) struct How {
    /// Record documents.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) count: u64,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
}

#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    folder: PathBuf,
    /// Only fills the store, with so many records.
    #[arg(long)]
    fill: Option<u64>,
}

/// What a process that starts on a store sees.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    /// Opening the store, and the writer until it is ready, ms.
    start: f64,
    /// Reading the live documents, ms.
    snapshot: f64,
    /// Their rows and bytes.
    rows: usize,
    bytes: usize,
    /// Resident after that, MiB.
    memory: f64,
    /// Inputs/s through the writer, and their p99, ms.
    rate: f64,
    p99: f64,
    /// A page of 50 by two references, 1,000 by name, a count of all by building, ms.
    list: f64,
    named: f64,
    tally: f64,
}

/// Runs a part of the bench; the figures go to standard output as JSON.
pub(crate) async fn part(args: Args) -> anyhow::Result<()> {
    match args.fill {
        Some(count) => fill(&args.folder, count).await,
        None => look(&args.folder).await,
    }
}

async fn open(folder: &Path) -> anyhow::Result<Arc<SqliteStore>> {
    std::fs::create_dir_all(folder)?;
    Ok(Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder)).await?))
}

async fn writer(store: &Arc<SqliteStore>, tasks: &Tasks) -> anyhow::Result<dispatch::Writer> {
    let (bus, clock) = (Arc::new(LocalBus::new(8_192)), Arc::new(SystemClock));
    let options = dispatch::WriterOptions::default();
    let writer = dispatch::start("maojiawan".into(), store.clone(), bus, clock, options, tasks);
    writer.status().wait_for(|s| s.ok).await.map(drop).context("the writer ended")?;
    Ok(writer)
}

async fn fill(folder: &Path, count: u64) -> anyhow::Result<()> {
    let (store, tasks) = (open(folder).await?, Tasks::default());
    let command = Command::SetSite(site::built_in());
    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    submit(&writer(&store, &tasks).await?, input).await?;
    tasks.drain(Duration::from_secs(5)).await;
    let (mut head, begun) = (store.open_writer().await?, Instant::now());
    for from in (0..count).step_by(usize::try_from(COMMIT)?) {
        let mut batch = Batch::new(head);
        for n in from..count.min(from + COMMIT) {
            batch.events.push(event(n));
            batch.documents.push(record(n, head.seq + batch.events.len() as u64));
        }
        head = store.append(&batch).await?;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    // As a centre ends in order: the next start finds no write-ahead log to go through.
    store.close().await;
    println!("filled {rate:.0}");
    Ok(())
}

fn event(n: u64) -> EventRow {
    EventRow {
        at_ms: SystemClock.now_ms(),
        kind: "bench".to_owned(),
        version: 1,
        stream: format!("{KIND}/{n}"),
        mode: 0,
        payload: vec![7; 200].into(),
    }
}

/// A household of nine grids and 48 buildings, open as long as people live there.
fn record(n: u64, rev_seq: u64) -> DocumentRow {
    let refs = [
        ("grid", format!("5306210010{}", n % 9)),
        ("building", format!("b{}", n % 48)),
        ("head", format!("p{n}")),
        ("name-token", format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
    ];
    let columns = Columns {
        level: Some((n % 3) as i16),
        stage: Some("registered".to_owned()),
        at_ms: SystemClock.now_ms(),
        due_ms: n.is_multiple_of(10).then_some(i64::MAX - n as i64),
        refs: refs.map(|(role, id)| (role.to_owned(), id)).to_vec(),
        ..Columns::default()
    };
    let (kind, id) = (KIND.to_owned(), (n + 1).to_string());
    DocumentRow { kind, id, rev_seq, deleted: false, open: true, columns, payload: vec![7; 300].into() }
}

/// The median of repetitions of a read, ms.
async fn timed<T>(read: impl AsyncFn() -> ledger::Result<T>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        read().await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&times))
}

async fn look(folder: &Path) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let (begun, tasks) = (Instant::now(), Tasks::default());
        let store = open(folder).await?;
        drop(writer(&store, &tasks).await?);
        starts.push(begun.elapsed().as_secs_f64() * 1e3);
        tasks.drain(Duration::from_secs(5)).await;
        store.close().await;
    }
    let store = open(folder).await?;
    let live = || store.snapshot(&wire::document::KINDS, KEEP_ENDED);
    let rows = live().await?.1;
    let size = |d: &DocumentRow| d.kind.len() + d.id.len() + d.payload.len();
    let (rows, bytes) = (rows.len(), rows.iter().map(size).sum());
    let snapshot = timed(live).await?;
    let memory = resident_mib(std::process::id());
    let through = written(store.clone()).await?;
    let pair = |role: &str, id: &str| (role.to_owned(), id.to_owned());
    let all = Query { kind: KIND.to_owned(), limit: 50, ..Query::default() };
    let page = Query { refs: vec![pair("building", "b7"), pair("grid", "53062100107")], ..all.clone() };
    let count = Tally { of: all, by: TallyBy::Ref("building".to_owned()) };
    let ids: Vec<String> = (1..=1_000_u64).map(|n| (n * 37).to_string()).collect();
    let names: Vec<_> = ids.iter().map(|id| (KIND, id.as_str())).collect();
    let seen = Seen {
        start: median(&starts),
        snapshot,
        rows,
        bytes,
        memory,
        rate: through.rate,
        p99: through.p99,
        list: timed(|| store.documents(&page)).await?,
        named: timed(|| store.documents_named(&names)).await?,
        tally: timed(|| store.tally(&count)).await?,
    };
    store.close().await;
    println!("seen {}", serde_json::to_string(&seen)?);
    Ok(())
}

async fn run(folder: &Path, fill: Option<u64>, words: &str) -> anyhow::Result<String> {
    let mut args = vec!["records-part".to_owned(), folder.display().to_string()];
    args.extend(fill.map(|count| format!("--fill={count}")));
    let mut part = Run::part(&args)?;
    let line = part.line(words, READY).await?;
    part.end().await?;
    Ok(line.strip_prefix(words).unwrap_or_default().trim().to_owned())
}

pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    let (none, many) = (Folder::new("no-records")?, Folder::new("records")?);
    run(&none.0, Some(0), "filled").await?;
    let filled: f64 = run(&many.0, Some(how.count), "filled").await?.parse()?;
    println!("  {} records stored at {filled:.0}/s", how.count);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=how.rounds {
        for (name, folder, list) in [("none", &none.0, &mut without), ("records", &many.0, &mut with)] {
            let seen: Seen = serde_json::from_str(&run(folder, None, "seen").await?)?;
            println!("  round {round}, {name}: {seen:?}");
            list.push(seen);
        }
    }
    Ok(figures(how.count, filled, &without, &with))
}

fn figures(count: u64, filled: f64, without: &[Seen], with: &[Seen]) -> Vec<Figure> {
    let of = |list: &[Seen], what: fn(&Seen) -> f64| median(&list.iter().map(what).collect::<Vec<_>>());
    let beside = |id: &str, words: &str, unit: &str, what: fn(&Seen) -> f64| {
        let words = format!("{count} record documents: {words}");
        Figure::new(id, words, of(with, what), unit).peer("without", of(without, what))
    };
    let flat = |id: &str, words: &str, unit: &str, what: fn(&Seen) -> f64| {
        let met = of(with, what) <= FLAT * of(without, what);
        beside(id, words, unit, what).target("≤ 1.1 × without", met)
    };
    let (rate, alone) = (of(with, |s| s.rate), of(without, |s| s.rate));
    let words = format!("{count} record documents: facts of 96 sources through the writer");
    let observed = |id: &str, words: &str, value, unit: &str| {
        Figure::new(id, format!("{count} record documents with four references each: {words}"), value, unit)
    };
    vec![
        flat("X4.start", "store and writer ready", "ms", |s| s.start),
        flat("X4.snapshot", "snapshot of the live documents", "ms", |s| s.snapshot),
        flat("X4.bytes", "its bytes", "bytes", |s| s.bytes as f64),
        flat("X4.memory", "resident after the start", "MiB", |s| s.memory),
        Figure::new("X4.writer", words, rate, "inputs/s")
            .behind("without", alone)
            .target("≥ 1/1.1 × without", rate * FLAT >= alone),
        beside("X4.writer.p99", "the same, answer, p99", "ms", |s| s.p99),
        observed("X4.fill", "stored, an event each", filled, "documents/s"),
        observed("X4.list", "a page of 50 by two references", of(with, |s| s.list), "ms"),
        observed("X4.named", "1,000 by name", of(with, |s| s.named), "ms"),
        observed("X4.tally", "all counted by building", of(with, |s| s.tally), "ms"),
    ]
}
