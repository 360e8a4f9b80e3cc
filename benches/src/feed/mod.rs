//! The event path beside nchan and socket.io, ids G1 to G8. All servers run beside each other and take turns under the
//! same load client, so that what else the machine does meets all of them.

mod dialect;
mod fan;
mod faults;
mod fill;
mod floor;
mod group;
mod highest;
mod load;
pub(crate) mod part;
pub(crate) mod peers;
mod scale;
mod source;
mod stalled;
mod ws;

use std::{net::SocketAddr, time::Duration};

use crate::{
    centre::Folder,
    process::{Run, cpu_seconds, free_port, own_mib},
    results::Figure,
};
use dialect::{Dialect, Place};
pub(crate) use group::written;
use load::Load;
pub(crate) use part::submit;
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
/// Ours as it runs: each event durable, and over Redis.
const OURS: &str = "ours";
/// Ours without commit and Redis: what the peers do.
const FANNING: &str = "fan-out only";
/// The servers that we are measured beside.
const PEERS: [&str; 2] = ["nchan", "socket.io"];
/// Filling a long log takes minutes.
const READY: Duration = Duration::from_secs(900);

/// What to run, and how much of it.
#[derive(Clone, clap::Args)]
pub(crate) struct How {
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Clients of each server.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Some of fan, g4, g5, g6, g7, g8, rates; without it all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The binary that is measured, for `rates`.
    #[arg(long, default_value = crate::CENTRE)]
    centre: std::path::PathBuf,
    /// Samples our server during further turns of G2, G3 and G5, and tells where its CPU goes.
    #[arg(long)]
    profile: bool,
    /// The same, only of those whose target was missed.
    #[arg(skip)]
    profile_missed: bool,
}

impl How {
    /// All parts, with the profile of what falls short.
    pub(crate) fn of(centre: &std::path::Path, rounds: usize) -> Self {
        let (centre, only) = (centre.to_owned(), Vec::new());
        Self { rounds, clients: 1_000, only, centre, profile: false, profile_missed: true }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    fn profiles(&self, figures: &[Figure], target: &str) -> bool {
        self.profile || self.profile_missed && crate::results::missed(figures, target)
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

    /// `others`: whose CPU and memory count too.
    async fn system(&self, name: &'static str, others: &[u32]) -> anyhow::Result<System> {
        let cookie = self.session().await?.cookie();
        Ok(System {
            name,
            dialect: Dialect::Ours { cookie, conflate: false },
            address: self.address,
            source: self.source()?,
            pids: [&[self.run.pid], others].concat(),
            pid: self.run.pid,
        })
    }
}

/// A server in turn.
struct System {
    name: &'static str,
    dialect: Dialect,
    address: SocketAddr,
    source: Source,
    /// Whose CPU counts, and whose memory under load.
    pids: Vec<u32>,
    /// Whose memory counts when clients are idle.
    pid: u32,
}

/// All servers.
struct All {
    systems: Vec<System>,
    ours: [Ours; 2],
    nchan: Nchan,
    socket_io: SocketIo,
    redis: Redis,
    _folders: [Folder; 2],
}

impl All {
    async fn start() -> anyhow::Result<Self> {
        let (redis, nchan) = (Redis::start().await?, Nchan::start().await?);
        let folders = [Folder::new("feed")?, Folder::new("fanning")?];
        let socket_io = SocketIo::start(redis.port, "pubsub").await?;
        let ours = [
            Ours::start(&folders[0].0, true, &["--redis", &redis.url()]).await?,
            Ours::start(&folders[1].0, true, &["--memory"]).await?,
        ];
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let systems = vec![
            ours[0].system(OURS, &[redis.run.pid]).await?,
            ours[1].system(FANNING, &[]).await?,
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
        Ok(Self { systems, ours, nchan, socket_io, redis, _folders: folders })
    }

    async fn end(self) -> anyhow::Result<()> {
        drop(self.systems);
        for ours in self.ours {
            ours.run.end().await?;
        }
        self.nchan.run.end().await?;
        self.socket_io.run.end().await?;
        self.redis.run.end().await
    }
}

/// One turn of one server.
struct Turn {
    /// Events × clients a second.
    rate: f64,
    /// CPU of the server, seconds.
    cpu: f64,
    /// CPU µs a delivery, of the server.
    each: f64,
    /// Memory of the server with its clients, MiB.
    mib: f64,
    p50: f64,
    p99: f64,
    /// Bytes a delivery.
    size: f64,
    /// Deliveries lost or doubled.
    wrong: u64,
    /// These, the late ones, and clients that were cut off or began anew.
    missed: u64,
}

impl System {
    /// A fault of ours ends the bench, one of a peer is told.
    fn is_ours(&self) -> bool {
        !PEERS.contains(&self.name)
    }

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

    fn measure(&mut self, run: impl FnOnce(&mut Source) -> anyhow::Result<load::Run>) -> anyhow::Result<Turn> {
        let before = cpu_seconds(&self.pids);
        let run = run(&mut self.source)?;
        let cpu = cpu_seconds(&self.pids) - before;
        let all = run.latency.count().max(1) as f64;
        let wrong = run.wrong.lost + run.wrong.doubled;
        Ok(Turn {
            rate: run.deliveries as f64 / run.seconds,
            cpu,
            each: cpu * 1e6 / all,
            mib: own_mib(&self.pids),
            p50: run.latency.ms(0.5),
            p99: run.latency.ms(0.99),
            size: run.bytes as f64 / all,
            wrong,
            missed: wrong + run.late + run.wrong.resyncs + run.wrong.closed,
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
        figures.extend(group::measure(how).await?);
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
    // Before all others: what they leave free in the servers would be used again, and count for nothing.
    if how.has("g8") {
        figures.extend(stalled::memory(all, how)?);
    }
    if how.has("fan") {
        figures.extend(fan::measure(all, how)?);
    }
    if how.has("g4") {
        figures.extend(highest::measure(all, how)?);
    }
    if how.has("g7") {
        figures.extend(stalled::measure(all, how)?);
    }
    Ok(figures)
}
