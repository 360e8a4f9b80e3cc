//! `make bench`: the speed of the real binary and of its media role, beside peers. Figures go to `benches/results.json`,
//! `benches/RESULTS.md` and standard output. Everything runs on loopback, in children that are ended by their id, with
//! bounded counts. Run it from the root of the workspace.

mod cameras;
mod centre;
mod device;
mod events;
mod feed;
mod growth;
mod notes;
mod page;
mod parts;
mod process;
mod profile;
mod records;
mod rest;
mod results;
mod sensing;
mod stats;

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Parser, Subcommand};

/// The servers of some parts are this binary.
#[global_allocator]
static MEMORY: runtime::Allocator = runtime::Allocator;

#[derive(Parser)]
#[command(name = "bench", about = "measures the centre")]
struct Args {
    #[command(subcommand)]
    what: What,
}

/// The binary of the same profile as this one.
pub(crate) const CENTRE: &str =
    if cfg!(debug_assertions) { "target/debug/maojiawan" } else { "target/release/maojiawan" };
/// Rounds at most of what lasts minutes each: the cameras and the start of the demo.
const LONG: usize = 3;

#[derive(Clone, clap::Args)]
struct How {
    /// The binary that is measured.
    #[arg(long, default_value = CENTRE)]
    centre: PathBuf,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Subcommand)]
enum What {
    /// Everything.
    All(How),
    /// From a sensor to a screen.
    Events(How),
    /// 237 cameras pulled, beside peers.
    Cameras(How),
    /// The event path beside nchan and socket.io.
    Feed(feed::How),
    /// Sensing at 20,000 messages a second; Mosquitto beside rumqttd.
    Sensing(sensing::How),
    /// What grows with clients, open incidents and the length of the log. Takes minutes and gigabytes.
    Scale(feed::ScaleHow),
    /// A store with many record documents beside one without.
    Records(records::How),
    /// Writes RESULTS.md anew from results.json.
    Page,
    /// Start and rest of the demo.
    Rest(How),
    /// A part: the simulated cameras.
    #[command(hide = true)]
    Serve { port: u16, films: PathBuf },
    /// A part: ledger and gateway with events on demand.
    #[command(hide = true)]
    Feeder(feed::part::Args),
    /// A part: a start on a store with records, or the filling of one.
    #[command(hide = true)]
    RecordsPart(records::Args),
    /// A part: our media role.
    #[command(hide = true)]
    Pull { count: u16, port: u16, viewers: u16 },
    /// A part: a bare retina loop.
    #[command(hide = true)]
    Bare { count: u16, port: u16 },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::All(how) => all(&how).await,
        What::Events(how) => events(&how).await.map(drop),
        What::Cameras(how) => cameras(&how).await.map(drop),
        What::Rest(how) => rest(&how).await.map(drop),
        What::Feed(how) => feed(&how).await.map(drop),
        What::Sensing(how) => sensing(&how).await.map(drop),
        What::Scale(how) => scale(&how).await.map(drop),
        What::Records(how) => records(&how).await.map(drop),
        What::RecordsPart(args) => records::part(args).await,
        What::Page => results::show(),
        What::Feeder(args) => feed::part::run(args).await,
        What::Serve { port, films } => parts::serve(port, films).await,
        What::Pull { count, port, viewers } => parts::ours(count, port, viewers).await,
        What::Bare { count, port } => parts::bare(count, port).await,
    }
}

/// The ids of what was measured.
type Kept = anyhow::Result<BTreeSet<String>>;

/// Each part keeps its figures when it ends, so that a later one that fails takes nothing with it.
async fn all(how: &How) -> anyhow::Result<()> {
    let long = How { centre: how.centre.clone(), rounds: how.rounds.min(LONG) };
    let mut ids = events(how).await?;
    ids.extend(feed(&feed::How::of(&how.centre, how.rounds)).await?);
    ids.extend(sensing(&sensing::How::of(&how.centre, how.rounds)).await?);
    ids.extend(scale(&feed::ScaleHow::default()).await?);
    ids.extend(records(&records::How { count: 50_000, rounds: how.rounds }).await?);
    ids.extend(cameras(&long).await?);
    ids.extend(rest(&long).await?);
    results::only(&ids)
}

async fn events(how: &How) -> Kept {
    println!("== events");
    results::keep(events::measure(&how.centre, how.rounds).await?, how.rounds)
}

async fn feed(how: &feed::How) -> Kept {
    println!("== feed");
    results::keep(feed::measure(how).await?, how.rounds())
}

async fn sensing(how: &sensing::How) -> Kept {
    println!("== sensing");
    results::keep(sensing::measure(how).await?, how.rounds)
}

async fn scale(how: &feed::ScaleHow) -> Kept {
    println!("== scale");
    results::keep(feed::scale(how).await?, 1)
}

async fn records(how: &records::How) -> Kept {
    println!("== records");
    results::keep(records::measure(how).await?, how.rounds)
}

async fn cameras(how: &How) -> Kept {
    println!("== cameras");
    results::keep(cameras::measure(how.rounds).await?, how.rounds)
}

async fn rest(how: &How) -> Kept {
    println!("== rest");
    results::keep(rest::measure(&how.centre, how.rounds).await?, how.rounds)
}
