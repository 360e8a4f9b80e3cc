//! G4: the highest rate that keeps its p99. The servers take turns, step by step.

use std::{collections::BTreeMap, time::Duration};

use super::{All, FANNING, How, OURS, PEERS, System, Turn};
use crate::{results::Figure, stats::median};

/// p99 that a rate must keep, ms.
const BOUND_MS: f64 = 100.0;
const TIME: Duration = Duration::from_secs(3);
/// Steps of one search.
const STEPS: usize = 12;
/// A rate is found when the next one that fails is no more than this above it.
const NEAR: f64 = 1.3;

/// Doubled until it fails, then halved between.
struct Search {
    good: f64,
    bad: f64,
    rate: f64,
    /// CPU seconds and MiB at the best rate.
    used: (f64, f64),
}

impl Search {
    const fn from(rate: f64) -> Self {
        Self { good: 0.0, bad: f64::INFINITY, rate, used: (0.0, 0.0) }
    }

    fn next(&mut self, kept: bool) {
        if kept {
            self.good = self.good.max(self.rate);
        } else {
            self.bad = self.bad.min(self.rate);
        }
        self.rate = match (self.good, self.bad) {
            (good, bad) if bad.is_infinite() => good * 2.0,
            (0.0, bad) => bad / 2.0,
            (good, bad) => (good + bad) / 2.0,
        };
    }

    fn over(&self) -> bool {
        self.bad / self.good < NEAR || self.rate < 2.0
    }
}

fn step(system: &mut System, clients: usize, rate: f64) -> anyhow::Result<Turn> {
    let mut load = system.load(clients)?;
    system.measure(|s| load.rate(s, rate, TIME))
}

/// One search of each server; `begin`: where, by name. Also what ours lost or doubled at all rates.
fn search(
    all: &mut All,
    clients: usize,
    begin: &BTreeMap<&'static str, f64>,
) -> anyhow::Result<(BTreeMap<&'static str, Search>, u64)> {
    let start = |name| begin.get(name).copied().unwrap_or(if name == OURS { 200.0 } else { 25.0 });
    let mut found: BTreeMap<_, _> =
        all.systems.iter().filter(|s| s.name != FANNING).map(|s| (s.name, Search::from(start(s.name)))).collect();
    let mut wrong = 0;
    for _ in 0..STEPS {
        for system in &mut all.systems {
            let Some(search) = found.get_mut(system.name).filter(|s| !s.over()) else { continue };
            let rate = search.rate;
            let kept = match step(system, clients, rate) {
                Ok(turn) => {
                    let kept = turn.p99 <= BOUND_MS && turn.missed == 0 && turn.rate >= 0.9 * rate * clients as f64;
                    println!(
                        "  {:<10} {rate:.0} events/s: p99 {:.1} ms, missed {}: {kept}",
                        system.name, turn.p99, turn.missed
                    );
                    if kept && rate > search.good {
                        search.used = (turn.cpu, turn.mib);
                    }
                    if system.name == OURS {
                        wrong += turn.wrong;
                    }
                    kept
                }
                Err(error) if system.name == OURS => return Err(error),
                // An overloaded peer may not even take clients.
                Err(error) => {
                    println!("  {:<10} {rate:.0} events/s: {error}", system.name);
                    false
                }
            };
            search.next(kept);
            system.rest();
        }
    }
    Ok((found, wrong))
}

pub(super) fn measure(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let (mut rounds, mut begin, mut wrong) = (Vec::new(), BTreeMap::new(), 0);
    for round in 1..=how.rounds {
        println!("  G4, round {round}");
        let (found, lost) = search(all, how.clients, &begin)?;
        // The next round begins near, and goes down as well as up.
        begin = found.iter().map(|(name, s)| (*name, s.good.max(2.0))).collect();
        wrong += lost;
        rounds.push(found);
    }
    let of = |name, what: fn(&Search) -> f64| {
        median(&rounds.iter().filter_map(|r| r.get(name)).map(what).collect::<Vec<_>>())
    };
    let what = format!("Highest rate to {} clients at p99 ≤ {BOUND_MS} ms", how.clients);
    let ours = of(OURS, |s| s.good);
    let rate =
        Figure::new("G4", format!("{what}: ours with the durable append, beside others without"), ours, "events/s");
    let rate = PEERS.iter().fold(rate, |f, peer| f.behind(peer, of(peer, |s| s.good)));
    // Each at its own rate, so that these say what it takes and nothing is better.
    let used = |id, unit, what: String, value: fn(&Search) -> f64| {
        let mut figure = Figure::new(id, what, of(OURS, value), unit);
        figure.peers =
            PEERS.iter().map(|peer| ((*peer).to_owned(), (of(peer, value) * 100.0).round() / 100.0)).collect();
        figure
    };
    Ok(vec![
        rate.target("≥ 10 × nchan", ours >= 10.0 * of("nchan", |s| s.good)),
        used("G4.cpu", "CPU s", format!("{what}: CPU of the servers over 3 s, each at its rate"), |s| s.used.0),
        used("G4.memory", "MiB", format!("{what}: memory of the servers, each at its rate"), |s| s.used.1),
        Figure::none("G4.missed", "Ours, all rates that were tried: deliveries lost or doubled", wrong, "deliveries"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server that keeps up to `limit` is found to keep, and in how many steps.
    fn found(begin: f64, limit: f64) -> (f64, usize) {
        let (mut search, mut steps) = (Search::from(begin), 0);
        while !search.over() && steps < STEPS {
            search.next(search.rate <= limit);
            steps += 1;
        }
        (search.good, steps)
    }

    #[test]
    fn a_search_ends_near_the_limit() {
        for (begin, limit) in [(200.0, 12_000.0), (25.0, 210.0), (200.0, 30.0), (12_000.0, 11_000.0)] {
            let (good, steps) = found(begin, limit);
            assert!(good <= limit && good * NEAR >= limit * 0.99, "{begin}: {good} of {limit}");
            assert!(steps < STEPS, "{steps}");
        }
        assert_eq!(found(25.0, 1.0).0, 0.0, "nothing is kept");
    }
}
