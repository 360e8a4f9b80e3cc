//! 237 cameras pulled: our media role beside ffmpeg, GStreamer and a bare retina loop, in turns against one simulator.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;

use crate::{
    parts::{ONLINE, PASSWORD, USER},
    process::{Run, free_port, usage},
    results::Figure,
    stats::median,
};
use simulator::cameras::address_of;

/// All cameras of the site.
const ALL: u16 = 237;
/// A process a camera is not feasible for all on a small machine: so many, and per camera.
const EACH: u16 = 24;
/// One pipeline with so many sources, and per camera.
const GST: u16 = 48;
const VIEWERS: u16 = 64;
const SETTLE: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Ours,
    Watched,
    Bare,
    FfmpegEach,
    Gst,
}

const WAYS: [Way; 5] = [Way::Ours, Way::FfmpegEach, Way::Bare, Way::Gst, Way::Watched];

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "video role",
            Self::Watched => "video role, 64 viewers",
            Self::Bare => "bare retina loop",
            Self::FfmpegEach => "ffmpeg, a process a camera",
            Self::Gst => "rtspsrc ! rtph264depay ! h264parse",
        }
    }

    const fn cameras(self) -> u16 {
        match self {
            Self::Ours | Self::Watched | Self::Bare => ALL,
            Self::FfmpegEach => EACH,
            Self::Gst => GST,
        }
    }
}

/// One turn of one way.
struct Turn {
    /// CPU µs a camera and second.
    cpu: f64,
    mib: f64,
}

struct Site {
    server: Run,
    port: u16,
}

impl Site {
    async fn start() -> anyhow::Result<Self> {
        let port = free_port()?;
        let films = PathBuf::from("data/films");
        let args = ["serve", &port.to_string(), &films.display().to_string()].map(str::to_owned);
        let mut server = Run::part(&args)?;
        server.line("ready", Duration::from_secs(600)).await?;
        Ok(Self { server, port })
    }

    /// Waits until the cameras send so many streams.
    async fn streams(&mut self, count: u16) -> anyhow::Result<()> {
        self.server.line(&format!("streams {count} "), PATIENCE).await?;
        Ok(())
    }

    fn url(&self, number: u16) -> String {
        format!("rtsp://{USER}:{PASSWORD}@{}/sub", address_of(number, self.port))
    }

    fn processes(&self, way: Way) -> anyhow::Result<Vec<Run>> {
        let text = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let (count, port) = (way.cameras().to_string(), self.port.to_string());
        let urls: Vec<_> = (1..=way.cameras()).map(|n| self.url(n)).collect();
        let quiet = ["-nostdin", "-hide_banner", "-loglevel", "error"];
        let input = |url: &str| text(&["-rtsp_transport", "tcp", "-i", url]);
        let output = text(&["-map", "0:v", "-c", "copy", "-f", "null", "-"]);
        Ok(match way {
            Way::Ours => vec![Run::part(&text(&["pull", &count, &port, "0"]))?],
            Way::Watched => vec![Run::part(&text(&["pull", &count, &port, &VIEWERS.to_string()]))?],
            Way::Bare => vec![Run::part(&text(&["bare", &count, &port]))?],
            Way::FfmpegEach => {
                let one = |url: &String| Run::start("ffmpeg", &[text(&quiet), input(url), output.clone()].concat());
                urls.iter().map(one).collect::<anyhow::Result<_>>()?
            }
            Way::Gst => {
                let chain = |url: &String| {
                    let source = format!("location={url}");
                    text(&["rtspsrc", "protocols=tcp", &source, "!", "rtph264depay", "!", "h264parse", "!", "fakesink"])
                };
                vec![Run::start("gst-launch-1.0", &[text(&["-q"]), urls.iter().flat_map(chain).collect()].concat())?]
            }
        })
    }

    async fn turn(&mut self, way: Way) -> anyhow::Result<Turn> {
        let mut runs = self.processes(way)?;
        if matches!(way, Way::Ours | Way::Watched | Way::Bare) {
            runs.first_mut().context("no process")?.line(ONLINE, PATIENCE).await?;
        }
        self.streams(way.cameras()).await?;
        tokio::time::sleep(SETTLE).await;
        let pids = runs.iter().map(|r| r.pid).collect();
        let used = usage(&[pids, vec![self.server.pid]], WINDOW).await;
        let [all, server] = used.as_slice() else { anyhow::bail!("no usage") };
        let cpu = all.cores * 1e6 / f64::from(way.cameras());
        println!(
            "  {}: {cpu:.0} µs a camera-second, {:.0} MiB; the cameras {:.3} cores",
            way.name(),
            all.mib,
            server.cores
        );
        let mib = all.mib;
        for run in runs {
            run.end().await?;
        }
        self.streams(0).await?;
        Ok(Turn { cpu, mib })
    }
}

/// All ways in turns.
pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let mut site = Site::start().await?;
    let mut turns: BTreeMap<Way, Vec<Turn>> = BTreeMap::new();
    for round in 1..=rounds {
        println!("  round {round}");
        for way in WAYS {
            let turn = site.turn(way).await.with_context(|| way.name())?;
            turns.entry(way).or_default().push(turn);
        }
    }
    site.server.end().await?;
    let of = |way: Way, what: fn(&Turn) -> f64| {
        median(&turns.get(&way).map_or_else(Vec::new, |t| t.iter().map(what).collect()))
    };
    Ok(figures(|way| of(way, |t| t.cpu), |way| of(way, |t| t.mib)))
}

fn figures(cpu: impl Fn(Way) -> f64, mib: impl Fn(Way) -> f64) -> Vec<Figure> {
    let (ours, unit) = (cpu(Way::Ours), "µs CPU a camera-second");
    let beside = |id: &str, way: Way, least: f64| {
        let what = format!("237 subs pulled with ring, beside {} ({} cameras)", way.name(), way.cameras());
        let target = format!("≥ {least} × less CPU");
        Figure::new(id, what, ours, unit).peer(way.name(), cpu(way)).target(&target, cpu(way) >= least * ours)
    };
    let cores = |way: Way| cpu(way) * f64::from(way.cameras()) / 1e6;
    let watched = 100.0 * cores(Way::Watched);
    vec![
        beside("V1.each", Way::FfmpegEach, 5.0),
        beside("V1.gst", Way::Gst, 8.0),
        Figure::new("V1.bare", "237 subs pulled with ring, beside a bare retina loop without ring", ours, unit)
            .peer(Way::Bare.name(), cpu(Way::Bare)),
        Figure::new(
            "V1.memory",
            "Resident, 237 subs pulled with ring, about 15 s into filling it",
            mib(Way::Ours),
            "MiB",
        )
        .peer(Way::Bare.name(), mib(Way::Bare)),
        Figure::new("V2.subs", "237 subs (0.4 Mb/s, not 1) with ring, fMP4 and 64 viewers", watched, "% of a core")
            .peer(Way::Bare.name(), 100.0 * cores(Way::Bare))
            .target("≤ 25 % of a core", watched <= 25.0),
    ]
}
