//! B1: the same load through Mosquitto and through rumqttd into our centre. Both run as processes beside it, as an
//! external broker does, and take turns.

use std::{path::Path, time::Duration};

use super::{How, Place, Turn, publish, tell, turn};
use crate::{
    centre::{Centre, Folder},
    feed::peers::{RUMQTTD, listens, tied},
    process::{Run, free_port},
    results::Figure,
    stats::median,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mosquitto,
    Rumqttd,
}

const KINDS: [Kind; 2] = [Kind::Mosquitto, Kind::Rumqttd];

/// Without rumqttd where it cannot be built.
pub(super) fn kinds(rumqttd: bool) -> &'static [Kind] {
    if !rumqttd {
        println!("  rumqttd is not there: left out");
    }
    &KINDS[..if rumqttd { 2 } else { 1 }]
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Rumqttd => "rumqttd",
        }
    }

    /// On loopback only, for everybody there.
    fn config(self, port: u16, folder: &Path) -> String {
        match self {
            // Sizes as the child broker of a centre has them.
            Self::Mosquitto => format!(
                "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location \
                 {}/\nautosave_interval 30\nmax_inflight_messages {WINDOW}\nmax_queued_messages \
                 1000000\nmax_queued_bytes 268435456\nsys_interval 0\nlog_dest stderr\nlog_type error\n",
                folder.display()
            ),
            Self::Rumqttd => format!(
                "id = 0\n[router]\nid = 0\nmax_connections = 1000\nmax_outgoing_packet_count = 200\nmax_segment_size = \
                 104857600\nmax_segment_count = 10\n[v4.1]\nname = \"v4-1\"\nlisten = \
                 \"127.0.0.1:{port}\"\nnext_connection_delay_ms = 1\n[v4.1.connections]\nconnection_timeout_ms = \
                 60000\nmax_payload_size = 20480\nmax_inflight_count = {WINDOW}\ndynamic_filters = true\n"
            ),
        }
    }
}

/// Messages that a broker sends ahead of our answers.
const WINDOW: u16 = 2_048;

/// A broker in a folder; started again there it has what it kept.
pub(super) struct Broker {
    pub(super) run: Run,
    pub(super) port: u16,
}

impl Broker {
    pub(super) async fn start(kind: Kind, folder: &Path, port: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join("broker.toml");
        std::fs::write(&file, kind.config(port, folder))?;
        let file = file.display().to_string();
        let run = match kind {
            Kind::Mosquitto => tied("mosquitto", &["-c".to_owned(), file])?,
            Kind::Rumqttd => tied(RUMQTTD, &["-c".to_owned(), file])?,
        };
        listens(port).await?;
        Ok(Self { run, port })
    }
}

struct Side {
    kind: Kind,
    broker: Broker,
    centre: Centre,
    turns: Vec<Turn>,
    _folder: Folder,
}

impl Side {
    async fn start(kind: Kind, program: &Path) -> anyhow::Result<Self> {
        let folder = Folder::new(&format!("broker-{}", kind.name()))?;
        let broker = Broker::start(kind, &folder.0.join("broker"), free_port()?).await?;
        let external = format!("[sensing.external]\nhost = \"127.0.0.1\"\nport = {}\n", broker.port);
        let centre = Centre::plain(program, &folder.0, &external).await?;
        centre.wait_for("broker").await?;
        Ok(Self { kind, broker, centre, turns: Vec::new(), _folder: folder })
    }
}

pub(super) async fn measure(how: &How, kinds: &[Kind]) -> anyhow::Result<Vec<Figure>> {
    let site = site::built_in();
    let sensors = publish::ordinary(site.sensors.iter());
    let mut sides = Vec::new();
    for kind in kinds {
        sides.push(Side::start(*kind, &how.centre).await?);
    }
    for round in 1..=how.rounds {
        for side in &mut sides {
            println!("  {}:", side.kind.name());
            let at = Place { port: side.broker.port, password: None };
            let time = Duration::from_secs(how.seconds.div_ceil(2));
            match turn(&side.centre, side.broker.run.pid, &at, &sensors, time, 0).await {
                Ok((turn, _)) => {
                    tell(round, &turn);
                    side.turns.push(turn);
                }
                Err(error) if side.kind == Kind::Mosquitto => return Err(error),
                Err(error) => println!("  left out: {error:#}"),
            }
        }
    }
    let mut figures = Vec::new();
    for side in sides {
        figures.extend(of(&side));
        side.centre.run.end().await?;
        side.broker.run.end().await?;
    }
    Ok(figures)
}

fn of(side: &Side) -> Vec<Figure> {
    let name = side.kind.name();
    let of = |what: fn(&Turn) -> f64| median(&side.turns.iter().map(what).collect::<Vec<_>>());
    let unanswered: u64 = side.turns.iter().map(|t| t.unanswered).sum();
    let again: u64 = side.turns.iter().map(|t| t.again).sum();
    let words = format!("{} readings/s asked through {name} into our centre", super::RATE);
    let figure = |id: &str, what: &str, value, unit: &str| {
        Figure::new(&format!("B1.{name}{id}"), format!("{words}{what}"), value, unit)
    };
    vec![
        figure("", ", answered by it after the commit", of(|t| t.rate), "messages/s"),
        figure(".each", ": CPU of the broker", of(|t| t.each[1]), "µs a message"),
        figure(".centre", ": CPU of the centre", of(|t| t.each[0]), "µs a message"),
        figure(".memory", ": resident, the broker", of(|t| t.broker.mib), "MiB"),
        figure(".unanswered", ": not answered within a minute", unanswered as f64, "messages"),
        figure(".again", ": that came a second time", again as f64, "messages"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_listen_on_loopback_only() {
        for kind in KINDS {
            let text = kind.config(1_883, Path::new("/tmp/x"));
            let listens: Vec<_> = text.lines().filter(|l| l.starts_with("listen")).collect();
            assert!(listens.len() == 1 && listens[0].contains("127.0.0.1"), "{text}");
        }
    }
}
