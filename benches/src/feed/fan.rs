//! G1 to G3: events to all clients, with many on their way, with one on its way, and at a fixed pace.

use std::{collections::BTreeMap, time::Duration};

use super::{ALONE, All, COALESCED, How, PACE, PEERS, SIZE, System, Turn, floor};
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
    let sampling = sampled.is_some().then(|| Sampling::start(system.pid, TIME)).flatten();
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
                    Err(error) if system.name == "ours" => return Err(error),
                    // An overloaded peer may not even take clients.
                    Err(error) => println!("  {:<10} {kind:?}: left out: {error}", system.name),
                }
                system.rest();
            }
        }
    }
    let mut figures = Seen { turns: &turns, clients: how.clients }.figures();
    figures.push(floor::send(how.clients, how.rounds)?);
    let profiled: Vec<_> = KINDS.iter().filter(|(_, id)| *id != "G1" && how.profiles(&figures, id)).collect();
    for (kind, _) in profiled {
        for system in all.systems.iter_mut().filter(|s| s.name == "ours") {
            turn(system, *kind, how.clients, Some(&mut figures))?;
            system.rest();
        }
    }
    Ok(figures)
}

struct Seen<'a> {
    turns: &'a Turns,
    clients: usize,
}

impl Seen<'_> {
    fn of(&self, kind: Kind, name: &'static str, what: fn(&Turn) -> f64) -> f64 {
        median(&self.turns.get(&(kind, name)).map_or_else(Vec::new, |t| t.iter().map(what).collect()))
    }

    /// Ours beside the peers, less is better.
    fn beside(&self, id: &str, kind: Kind, what: String, of: fn(&Turn) -> f64, unit: &str) -> Figure {
        let figure = Figure::new(id, what, self.of(kind, "ours", of), unit);
        PEERS.iter().fold(figure, |f, peer| f.peer(peer, self.of(kind, peer, of)))
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            self.faster("G1", Kind::Coalesced, [20.0, 45.0]),
            self.faster("G2", Kind::Alone, [2.0, 3.0]),
            self.paced(),
            self.beside("G3.p99", Kind::Paced, format!("{}, p99", Kind::Paced.words(self.clients)), |t| t.p99, "ms"),
        ];
        for (kind, id) in KINDS {
            let words = kind.words(self.clients);
            let (cpu, memory) = (format!("{id}.cpu"), format!("{id}.memory"));
            figures.push(self.beside(&cpu, kind, format!("{words}: CPU of the servers over 4 s"), |t| t.cpu, "CPU s"));
            figures.push(self.beside(&memory, kind, format!("{words}: memory of the servers"), |t| t.mib, "MiB"));
            if kind != Kind::Paced {
                let what = format!("{words}: CPU of the servers");
                figures.push(self.beside(&format!("{id}.each"), kind, what, |t| t.each, "µs a delivery"));
            }
        }
        let missed = self.turns.iter().filter(|((_, n), _)| *n == "ours").flat_map(|(_, t)| t).map(|t| t.missed).sum();
        let what = "Ours, all rounds of G1 to G3: deliveries lost, doubled or late";
        figures.push(Figure::none("G3.missed", what, missed, "deliveries"));
        let size = self.of(Kind::Paced, "ours", |t| t.size);
        figures.push(Figure::new("G3.size", "Bytes of one delivery", size, "B").peer("peers", SIZE as f64));
        figures
    }

    /// G1 and G2.
    fn faster(&self, id: &str, kind: Kind, least: [f64; 2]) -> Figure {
        let words = kind.words(self.clients);
        let what = format!("{words}: ours with the durable append, beside others without");
        let ours = self.of(kind, "ours", |t| t.rate);
        let mut figure = Figure::new(id, what, ours, "deliveries/s");
        let mut met = true;
        for (peer, least) in PEERS.into_iter().zip(least) {
            let theirs = self.of(kind, peer, |t| t.rate);
            figure = figure.behind(peer, theirs);
            met &= theirs > 0.0 && ours >= least * theirs;
        }
        let [nchan, socket_io] = least;
        figure.target(&format!("≥ {nchan} × nchan, ≥ {socket_io} × socket.io"), met)
    }

    fn paced(&self) -> Figure {
        let what = format!("{}: CPU of the servers", Kind::Paced.words(self.clients));
        let figure = self.beside("G3", Kind::Paced, what, |t| t.each, "µs a delivery");
        let enough = |peer, least| least * figure.value <= self.of(Kind::Paced, peer, |t| t.each);
        let met = enough("nchan", 5.0) && enough("socket.io", 8.0) && self.of(Kind::Paced, "ours", |t| t.p99) <= 50.0;
        figure.target("≤ 1/5 of nchan, ≤ 1/8 of socket.io, p99 ≤ 50 ms", met)
    }
}
