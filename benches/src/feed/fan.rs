//! G1 to G3: events to all clients, with many on their way, with one on its way, and at a fixed pace. Ours once as the
//! peers do it, from memory, and once with the durable append and Redis.

use std::{collections::BTreeMap, time::Duration};

use super::{ALONE, All, COALESCED, FANNING, How, OURS, PACE, PEERS, SIZE, System, Turn, floor};
use crate::{profile::Sampling, results::Figure, stats::median};

const TIME: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Paced,
    Coalesced,
    Alone,
}

const KINDS: [(Kind, &str); 3] = [(Kind::Coalesced, "G1"), (Kind::Alone, "G2"), (Kind::Paced, "G3")];

impl Kind {
    fn words(self, clients: usize) -> String {
        match self {
            Self::Coalesced => format!("fan-out to {clients} clients, {COALESCED} events on their way"),
            Self::Alone => format!("fan-out to {clients} clients, a frame a write"),
            Self::Paced => format!("{PACE} events/s to {clients} clients"),
        }
    }
}

fn turn(system: &mut System, kind: Kind, clients: usize, sampled: Option<&mut Vec<Figure>>) -> anyhow::Result<Turn> {
    let mut load = system.load(clients)?;
    load.window(&mut system.source, ALONE, Duration::from_millis(300))?;
    let sampling = sampled.is_some().then(|| Sampling::start(&[system.pid], TIME)).flatten();
    let turn = match kind {
        Kind::Paced => system.measure(|s| load.rate(s, PACE, TIME))?,
        Kind::Coalesced => system.measure(|s| load.window(s, COALESCED, TIME))?,
        Kind::Alone => system.measure(|s| load.window(s, ALONE, TIME))?,
    };
    println!(
        "  {:<10} {kind:?}: {:.0} deliveries/s, {:.2} µs CPU each, {:.1} CPU s, {:.0} MiB, p50 {:.1} ms, p99 {:.1} ms, \
         {:.0} B, missed {}",
        system.name, turn.rate, turn.each, turn.cpu, turn.mib, turn.p50, turn.p99, turn.size, turn.missed
    );
    if let (Some(sampling), Some(figures)) = (sampling, sampled) {
        let id = KINDS.iter().find(|k| k.0 == kind).map_or("", |k| k.1);
        figures.extend(sampling.figures(id, &format!("our server, {}", kind.words(clients))));
    }
    Ok(turn)
}

type Turns = BTreeMap<(Kind, &'static str), Vec<Turn>>;

pub(super) fn measure(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut turns = Turns::new();
    for round in 1..=how.rounds {
        println!("  round {round}");
        for (kind, _) in KINDS {
            for system in &mut all.systems {
                match turn(system, kind, how.clients, None) {
                    Ok(turn) => turns.entry((kind, system.name)).or_default().push(turn),
                    Err(error) if system.is_ours() => return Err(error),
                    // An overloaded peer may not even take clients.
                    Err(error) => println!("  {:<10} {kind:?}: left out: {error}", system.name),
                }
                system.rest();
            }
        }
    }
    let seen = |ours| Seen { turns: &turns, clients: how.clients, ours };
    let mut figures = [seen(FANNING).figures(), seen(OURS).figures(), vec![seen(OURS).missed()]].concat();
    figures.push(floor::send(how.clients, how.rounds)?);
    let profiled: Vec<_> = KINDS.iter().filter(|(_, id)| how.profiles(&figures, id)).collect();
    for (kind, _) in profiled {
        for system in all.systems.iter_mut().filter(|s| s.name == FANNING) {
            turn(system, *kind, how.clients, Some(&mut figures))?;
            system.rest();
        }
    }
    Ok(figures)
}

struct Seen<'a> {
    turns: &'a Turns,
    clients: usize,
    /// Which of ours.
    ours: &'static str,
}

impl Seen<'_> {
    fn of(&self, kind: Kind, name: &'static str, what: fn(&Turn) -> f64) -> f64 {
        median(&self.turns.get(&(kind, name)).map_or_else(Vec::new, |t| t.iter().map(what).collect()))
    }

    /// The targets are of the fan-out alone, as the peers have it.
    fn durable(&self) -> bool {
        self.ours == OURS
    }

    fn id(&self, of: &str, part: &str) -> String {
        format!("{of}{}{part}", if self.durable() { ".durable" } else { "" })
    }

    fn words(&self, kind: Kind) -> String {
        let more = if self.durable() { ", ours with the durable append and Redis" } else { "" };
        format!("{}{more}", kind.words(self.clients))
    }

    /// Ours beside the peers, less is better.
    fn beside(&self, id: &str, kind: Kind, what: &str, of: fn(&Turn) -> f64, unit: &str) -> Figure {
        let figure = Figure::new(id, format!("{}{what}", self.words(kind)), self.of(kind, self.ours, of), unit);
        PEERS.iter().fold(figure, |f, peer| f.peer(peer, self.of(kind, peer, of)))
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            self.faster("G1", Kind::Coalesced, [20.0, 45.0]),
            self.faster("G2", Kind::Alone, [2.0, 3.0]),
            self.paced(),
            self.beside(&self.id("G3", ".p99"), Kind::Paced, ", p99", |t| t.p99, "ms"),
        ];
        for (kind, id) in KINDS {
            let of = |part| self.id(id, part);
            figures.push(self.beside(&of(".cpu"), kind, ": CPU of the servers over 4 s", |t| t.cpu, "CPU s"));
            figures.push(self.beside(&of(".memory"), kind, ": memory of the servers", |t| t.mib, "MiB"));
            if kind != Kind::Paced {
                figures.push(self.beside(&of(".each"), kind, ": CPU of the servers", |t| t.each, "µs a delivery"));
            }
        }
        let size = self.of(Kind::Paced, self.ours, |t| t.size);
        let what = format!("{}: bytes of one delivery", self.words(Kind::Paced));
        figures.push(Figure::new(&self.id("G3", ".size"), what, size, "B").peer("peers", SIZE as f64));
        figures
    }

    /// Of both of ours.
    fn missed(&self) -> Figure {
        let ours = self.turns.iter().filter(|((_, n), _)| !PEERS.contains(n));
        let missed = ours.flat_map(|(_, t)| t).map(|t| t.missed).sum();
        let what = "Ours, all rounds of G1 to G3: deliveries lost, doubled or late";
        Figure::none("G3.missed", what, missed, "deliveries")
    }

    /// G1 and G2.
    fn faster(&self, id: &str, kind: Kind, least: [f64; 2]) -> Figure {
        let ours = self.of(kind, self.ours, |t| t.rate);
        let mut figure = Figure::new(&self.id(id, ""), self.words(kind), ours, "deliveries/s");
        let mut met = true;
        for (peer, least) in PEERS.into_iter().zip(least) {
            let theirs = self.of(kind, peer, |t| t.rate);
            figure = figure.behind(peer, theirs);
            met &= theirs > 0.0 && ours >= least * theirs;
        }
        let [nchan, socket_io] = least;
        self.asked(figure, &format!("≥ {nchan} × nchan, ≥ {socket_io} × socket.io"), met)
    }

    fn paced(&self) -> Figure {
        let figure = self.beside(&self.id("G3", ""), Kind::Paced, ": CPU of the servers", |t| t.each, "µs a delivery");
        let enough = |peer, least| least * figure.value <= self.of(Kind::Paced, peer, |t| t.each);
        let met =
            enough("nchan", 5.0) && enough("socket.io", 8.0) && self.of(Kind::Paced, self.ours, |t| t.p99) <= 50.0;
        self.asked(figure, "≤ 1/5 of nchan, ≤ 1/8 of socket.io, p99 ≤ 50 ms", met)
    }

    fn asked(&self, figure: Figure, target: &str, met: bool) -> Figure {
        if self.durable() { figure } else { figure.target(target, met) }
    }
}
