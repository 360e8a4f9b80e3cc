//! `make bench`: the speed of the real binary and of its media role, beside peers. Figures go to `benches/results.json`,
//! `benches/RESULTS.md` and standard output. Everything runs on loopback, in children that are ended by their id, with
//! bounded counts. Run it from the root of the workspace.

mod cameras;
mod centre;
mod device;
mod events;
mod feed;
mod parts;
mod process;
mod rest;
mod results;
mod stats;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench", about = "measures the centre")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, clap::Args)]
struct How {
    /// The binary that is measured.
    #[arg(long, default_value = "target/debug/maojiawan")]
    centre: PathBuf,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 3)]
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
    /// What grows with clients, open incidents and the length of the log. Takes minutes and gigabytes.
    Scale(feed::ScaleHow),
    /// Start and rest of the demo.
    Rest(How),
    /// A part: the simulated cameras.
    #[command(hide = true)]
    Serve { port: u16, films: PathBuf },
    /// A part: ledger and gateway with events on demand.
    #[command(hide = true)]
    Feeder(feed::part::Args),
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
        What::All(how) => {
            events(&how).await?;
            feed(&feed::How::of(&how.centre, how.rounds)).await?;
            cameras(&how).await?;
            rest(&how).await
        }
        What::Events(how) => events(&how).await,
        What::Cameras(how) => cameras(&how).await,
        What::Rest(how) => rest(&how).await,
        What::Feed(how) => feed(&how).await,
        What::Scale(how) => {
            println!("== scale");
            results::keep(feed::scale(&how).await?)
        }
        What::Feeder(args) => feed::part::run(args).await,
        What::Serve { port, films } => parts::serve(port, films).await,
        What::Pull { count, port, viewers } => parts::ours(count, port, viewers).await,
        What::Bare { count, port } => parts::bare(count, port).await,
    }
}

async fn events(how: &How) -> anyhow::Result<()> {
    println!("== events");
    results::keep(events::measure(&how.centre, how.rounds).await?)
}

async fn feed(how: &feed::How) -> anyhow::Result<()> {
    println!("== feed");
    results::keep(feed::measure(how).await?)
}

async fn cameras(how: &How) -> anyhow::Result<()> {
    println!("== cameras");
    results::keep(cameras::measure(how.rounds).await?)
}

async fn rest(how: &How) -> anyhow::Result<()> {
    println!("== rest");
    results::keep(rest::measure(&how.centre, how.rounds).await?)
}
