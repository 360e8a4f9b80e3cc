//! The event path beside nchan and socket.io, ids G1 to G8. All servers run beside each other and take turns under the
//! same load client, so that what else the machine does meets all of them.

mod dialect;
mod faults;
mod fill;
mod group;
mod load;
pub(crate) mod part;
mod peers;
mod scale;
mod source;
mod ws;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::{
    centre::Folder,
    process::{Run, anonymous_kib, cpu_seconds, free_port},
    results::Figure,
    stats::median,
};
use dialect::{Dialect, Place};
use load::Load;
use peers::{Nchan, Redis, SocketIo};
pub(crate) use scale::{How as ScaleHow, measure as scale};
use source::Source;

/// Bytes of a peer's event: about what ours has.
const SIZE: usize = 350;
/// Events on their way when a server may put several into one write.
const COALESCED: u64 = 64;
/// A frame a write, since the next event is made when all have the last one.
const ALONE: u64 = 1;
/// Events a second of G3.
const PACE: f64 = 200.0;
/// p99 that a rate must keep, ms (G4).
const BOUND_MS: f64 = 100.0;
/// Filling a long log takes minutes.
const READY: Duration = Duration::from_secs(900);

/// What to run, and how much of it.
#[derive(Clone, clap::Args)]
pub(crate) struct How {
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clients of each server.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Some of fan, g4, g5, g6, g7, g8, rates; without it all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The binary that is measured, for `rates`.
    #[arg(long, default_value = "target/debug/maojiawan")]
    centre: std::path::PathBuf,
}

impl How {
    /// All parts.
    pub(crate) fn of(centre: &std::path::Path, rounds: usize) -> Self {
        Self { rounds, clients: 1_000, only: Vec::new(), centre: centre.to_owned() }
    }

    fn has(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == what)
    }
}

/// Our part as a process.
pub(crate) struct Ours {
    pub(crate) run: Run,
    pub(crate) address: SocketAddr,
    pub(crate) control: Option<u16>,
    pub(crate) head: u64,
    /// From the start to following the log, without what only a bench does.
    pub(crate) ready: Duration,
}

impl Ours {
    /// `more`: further options of the part; `control`: with a feeder.
    pub(crate) async fn start(folder: &std::path::Path, control: bool, more: &[&str]) -> anyhow::Result<Self> {
        let (port, control) = (free_port()?, if control { Some(free_port()?) } else { None });
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let mut args = vec!["feeder".to_owned(), "--folder".to_owned(), folder.display().to_string()];
        args.extend(["--listen".to_owned(), address.to_string()]);
        if let Some(control) = control {
            args.extend(["--control".to_owned(), format!("127.0.0.1:{control}")]);
        }
        args.extend(more.iter().map(|m| (*m).to_owned()));
        let mut run = Run::part(&args)?;
        let line = run.line("ready ", READY).await?;
        let (head, ready) = peers::ready(&line)?;
        Ok(Self { run, address, control, head, ready })
    }

    pub(crate) async fn session(&self) -> anyhow::Result<client::Session> {
        Ok(client::log_in(&self.address.to_string(), part::ACCOUNT, part::PASSWORD).await?)
    }

    pub(crate) fn source(&self) -> anyhow::Result<Source> {
        Source::feeder(self.control.unwrap_or(0), self.head)
    }
}

/// A server in turn.
struct System {
    name: &'static str,
    dialect: Dialect,
    address: SocketAddr,
    source: Source,
    /// Whose CPU counts.
    pids: Vec<u32>,
    /// Whose memory counts.
    pid: u32,
}

/// All servers.
struct All {
    systems: Vec<System>,
    ours: Ours,
    nchan: Nchan,
    socket_io: SocketIo,
    redis: Redis,
    _folder: Folder,
}

impl All {
    async fn start() -> anyhow::Result<Self> {
        let (redis, nchan, folder) = (Redis::start().await?, Nchan::start().await?, Folder::new("feed")?);
        let socket_io = SocketIo::start(redis.port, "pubsub").await?;
        let ours = Ours::start(&folder.0, true, &["--redis", &redis.url()]).await?;
        let cookie = ours.session().await?.cookie();
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let systems = vec![
            System {
                name: "ours",
                dialect: Dialect::Ours { cookie, conflate: false },
                address: ours.address,
                source: ours.source()?,
                pids: vec![ours.run.pid, redis.run.pid],
                pid: ours.run.pid,
            },
            System {
                name: "nchan",
                dialect: Dialect::Nchan,
                address: local(nchan.port),
                source: Source::nchan(nchan.port, SIZE)?,
                pids: nchan.pids(),
                pid: nchan.pids().last().copied().unwrap_or(nchan.run.pid),
            },
            System {
                name: "socket.io",
                dialect: Dialect::SocketIo,
                address: local(socket_io.port),
                source: Source::redis(redis.port, SIZE)?,
                pids: vec![socket_io.run.pid, redis.run.pid],
                pid: socket_io.run.pid,
            },
        ];
        Ok(Self { systems, ours, nchan, socket_io, redis, _folder: folder })
    }

    async fn end(self) -> anyhow::Result<()> {
        drop(self.systems);
        self.ours.run.end().await?;
        self.nchan.run.end().await?;
        self.socket_io.run.end().await?;
        self.redis.run.end().await
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Paced,
    Coalesced,
    Alone,
}

/// One turn of one server.
struct Turn {
    /// Events × clients a second.
    rate: f64,
    /// CPU µs a delivery, of the server.
    cpu: f64,
    p50: f64,
    p99: f64,
    /// Bytes a delivery.
    size: f64,
    missed: u64,
}

impl System {
    /// Waits until it has nothing more to do for sockets that are gone, twenty seconds at most.
    fn rest(&self) {
        for _ in 0..40 {
            let before = cpu_seconds(&self.pids);
            std::thread::sleep(Duration::from_millis(500));
            if cpu_seconds(&self.pids) - before < 0.05 {
                break;
            }
        }
    }

    fn load(&self, clients: usize) -> anyhow::Result<Load> {
        let mut load = Load::new(self.dialect.clone(), self.address)?;
        load.open(vec![Place::default(); clients], self.source.at)?;
        Ok(load)
    }

    fn turn(&mut self, kind: Kind, clients: usize) -> anyhow::Result<Turn> {
        let mut load = self.load(clients)?;
        load.window(&mut self.source, ALONE, Duration::from_millis(300))?;
        let turn = match kind {
            Kind::Paced => self.measure(|s| load.rate(s, PACE, Duration::from_secs(5)))?,
            Kind::Coalesced => self.measure(|s| load.window(s, COALESCED, Duration::from_secs(4)))?,
            Kind::Alone => self.measure(|s| load.window(s, ALONE, Duration::from_secs(4)))?,
        };
        println!(
            "  {:<10} {kind:?}: {:.0} deliveries/s, {:.2} µs CPU each, p50 {:.1} ms, p99 {:.1} ms, {:.0} B, missed {}",
            self.name, turn.rate, turn.cpu, turn.p50, turn.p99, turn.size, turn.missed
        );
        Ok(turn)
    }

    fn measure(&mut self, run: impl FnOnce(&mut Source) -> anyhow::Result<load::Run>) -> anyhow::Result<Turn> {
        let before = cpu_seconds(&self.pids);
        let run = run(&mut self.source)?;
        let used = cpu_seconds(&self.pids) - before;
        let all = run.latency.count().max(1) as f64;
        let missed = run.late + run.wrong.lost + run.wrong.doubled + run.wrong.resyncs + run.wrong.closed;
        Ok(Turn {
            rate: run.deliveries as f64 / run.seconds,
            cpu: used * 1e6 / all,
            p50: run.latency.ms(0.5),
            p99: run.latency.ms(0.99),
            size: run.bytes as f64 / all,
            missed,
        })
    }
}

/// Runs what is asked for.
pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    peers::prepare().await?;
    let mut figures = Vec::new();
    if ["fan", "g4", "g7", "g8"].iter().any(|w| how.has(w)) {
        let mut all = All::start().await?;
        let some = tokio::task::block_in_place(|| servers(&mut all, how))?;
        figures.extend(some);
        all.end().await?;
    }
    if how.has("g5") {
        figures.extend(group::measure(how.rounds).await?);
    }
    if how.has("g6") {
        figures.extend(faults::measure(how).await?);
    }
    if how.has("rates") {
        let redis = Redis::start().await?;
        figures.extend(crate::events::rates(&how.centre, &redis.url(), redis.run.pid).await?);
        redis.run.end().await?;
    }
    Ok(figures)
}

/// What needs all servers. Blocks.
fn servers(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if how.has("fan") {
        figures.extend(fan(all, how)?);
    }
    if how.has("g4") {
        figures.extend(highest(all, how)?);
    }
    if how.has("g7") {
        figures.extend(stalled(all, how)?);
    }
    if how.has("g8") {
        figures.extend(memory(all, how)?);
    }
    Ok(figures)
}

type Turns = BTreeMap<(Kind, &'static str), Vec<Turn>>;

/// G1 to G3.
fn fan(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut turns = Turns::new();
    for round in 1..=how.rounds {
        println!("  round {round}");
        for kind in [Kind::Paced, Kind::Coalesced, Kind::Alone] {
            for system in &mut all.systems {
                match system.turn(kind, how.clients) {
                    Ok(turn) => turns.entry((kind, system.name)).or_default().push(turn),
                    Err(error) if system.name == "ours" => return Err(error),
                    // An overloaded peer may not even take clients.
                    Err(error) => println!("  {:<10} {kind:?}: left out: {error}", system.name),
                }
                system.rest();
            }
        }
    }
    Ok(fan_figures(&turns, how.clients))
}

fn fan_figures(turns: &Turns, clients: usize) -> Vec<Figure> {
    let of = |kind, name, what: fn(&Turn) -> f64| {
        median(&turns.get(&(kind, name)).map_or_else(Vec::new, |t| t.iter().map(what).collect()))
    };
    let mut figures = Vec::new();
    let faster = [
        ("G1", Kind::Coalesced, "64 events on their way", [("nchan", 20.0), ("socket.io", 45.0)]),
        ("G2", Kind::Alone, "a frame a write", [("nchan", 2.0), ("socket.io", 3.0)]),
    ];
    for (id, kind, how, peers) in faster {
        let ours = of(kind, "ours", |t| t.rate);
        for (peer, least) in peers {
            let theirs = of(kind, peer, |t| t.rate);
            let what = format!("Fan-out to {clients} clients, {how}, with the durable append, beside {peer} without");
            let figure = Figure::new(&format!("{id}.{peer}"), what, ours, "deliveries/s").behind(peer, theirs);
            figures.push(figure.target(&format!("≥ {least} ×"), theirs > 0.0 && ours >= least * theirs));
        }
        let what = format!("The same, {how}: CPU of the servers");
        let figure = Figure::new(&format!("{id}.cpu"), what, of(kind, "ours", |t| t.cpu), "µs a delivery");
        let peers = ["nchan", "socket.io"].into_iter();
        figures.push(peers.fold(figure, |f, p| f.peer(p, of(kind, p, |t| t.cpu))));
    }
    for (peer, least) in [("nchan", 5.0), ("socket.io", 8.0)] {
        let (ours, theirs) = (of(Kind::Paced, "ours", |t| t.cpu), of(Kind::Paced, peer, |t| t.cpu));
        let what = format!("200 events/s to {clients} clients: CPU, beside {peer}");
        let figure = Figure::new(&format!("G3.{peer}"), what, ours, "µs a delivery").peer(peer, theirs);
        figures.push(figure.target(&format!("≤ 1/{least}"), least * ours <= theirs));
    }
    let p99 = of(Kind::Paced, "ours", |t| t.p99);
    let figure = Figure::new("G3.p99", format!("200 events/s to {clients} clients, p99"), p99, "ms");
    let figure = ["nchan", "socket.io"].into_iter().fold(figure, |f, p| f.peer(p, of(Kind::Paced, p, |t| t.p99)));
    figures.push(figure.target("≤ 50 ms", p99 <= 50.0));
    let missed: u64 = turns.iter().filter(|((_, n), _)| *n == "ours").flat_map(|(_, t)| t).map(|t| t.missed).sum();
    let what = "Ours, all rounds of G1 to G3: deliveries lost, doubled or late";
    figures.push(Figure::new("G3.missed", what, missed as f64, "deliveries").target("0", missed == 0));
    figures.push(
        Figure::new("G3.size", "Bytes of one delivery", of(Kind::Paced, "ours", |t| t.size), "B")
            .peer("peers", SIZE as f64),
    );
    figures
}

/// G4: doubled until it fails, then halved between twice.
fn highest(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut best = BTreeMap::new();
    for system in all.systems.iter_mut().filter(|s| s.name != "socket.io") {
        let (mut good, mut bad, mut rate) = (0.0_f64, f64::INFINITY, if system.name == "ours" { 200.0 } else { 25.0 });
        for _ in 0..12 {
            let mut load = system.load(how.clients)?;
            let turn = system.measure(|s| load.rate(s, rate, Duration::from_secs(3)))?;
            drop(load);
            let kept = turn.p99 <= BOUND_MS && turn.missed == 0 && turn.rate >= 0.9 * rate * how.clients as f64;
            println!(
                "  {:<10} {rate:.0} events/s: p99 {:.1} ms, missed {}: {kept}",
                system.name, turn.p99, turn.missed
            );
            if kept {
                good = good.max(rate)
            } else {
                bad = bad.min(rate)
            }
            rate = if bad.is_infinite() {
                good * 2.0
            } else if good == 0.0 {
                bad / 2.0
            } else {
                (good + bad) / 2.0
            };
            if bad / good < 1.3 || rate < 2.0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        best.insert(system.name, good);
    }
    let of = |name| best.get(name).copied().unwrap_or(0.0);
    let (ours, theirs) = (of("ours"), of("nchan"));
    let what = format!(
        "Highest rate to {} clients at p99 ≤ 100 ms, with the durable append, beside nchan without",
        how.clients
    );
    Ok(vec![Figure::new("G4", what, ours, "events/s").behind("nchan", theirs).target("≥ 10 ×", ours >= 10.0 * theirs)])
}

/// G7: a fifth reads nothing.
fn stalled(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let Some(system) = all.systems.iter_mut().find(|s| s.name == "ours") else { return Ok(Vec::new()) };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=how.rounds {
        for stall in [false, true] {
            let mut load = Load::new(system.dialect.clone(), system.address)?;
            let (fifth, rest) = (how.clients / 5, how.clients - how.clients / 5);
            load.begin(vec![Place::default(); fifth], Some(4 << 10))?;
            load.begin(vec![Place::default(); rest], None)?;
            load.join()?;
            if stall {
                load.stall(fifth)?;
            }
            // Fills what the kernel holds for the stalled ones.
            load.rate(&mut system.source, 5.0 * PACE, Duration::from_secs(1))?;
            let turn = system.measure(|s| load.rate(s, PACE, Duration::from_secs(5)))?;
            println!("  round {round}, stalled {stall}: p99 {:.1} ms, missed {}", turn.p99, turn.missed);
            if stall { with.push(turn.p99) } else { without.push(turn.p99) }
        }
    }
    let (with, without) = (median(&with), median(&without));
    let what = format!("p99 of the others when a fifth of {} clients reads nothing, beside all reading", how.clients);
    let figure = Figure::new("G7", what, with, "ms").peer("all read", without);
    Ok(vec![figure.target("≤ 1.2 ×", with <= 1.2 * without)])
}

/// G8: memory of idle clients.
fn memory(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let clients = how.clients * 4;
    let mut found = BTreeMap::new();
    for system in &mut all.systems {
        // What the first clients ever cost is not theirs.
        drop(system.load(100)?);
        std::thread::sleep(Duration::from_secs(1));
        let before = anonymous_kib(system.pid);
        let mut load = system.load(clients)?;
        let until = std::time::Instant::now() + Duration::from_secs(2);
        while std::time::Instant::now() < until {
            load.turn(Duration::from_millis(50))?;
        }
        let each = (anonymous_kib(system.pid) - before) / clients as f64;
        println!("  {:<10} {each:.1} KiB a client of {clients}", system.name);
        found.insert(system.name, each);
        drop(load);
        std::thread::sleep(Duration::from_secs(1));
    }
    let of = |name| found.get(name).copied().unwrap_or(0.0);
    let figure = Figure::new("G8", format!("User memory of one of {clients} idle clients"), of("ours"), "KiB");
    let figure = figure.peer("nchan", of("nchan")).peer("socket.io", of("socket.io"));
    Ok(vec![figure.target("≤ 8 KiB", of("ours") <= 8.0)])
}
