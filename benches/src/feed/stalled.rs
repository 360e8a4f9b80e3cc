//! G7 and G8: what stalled and idle clients cost.

use std::{collections::BTreeMap, time::Duration};

use super::{All, FANNING, How, OURS, PACE, PEERS, dialect::Place, load::Load};
use crate::{process::anonymous_kib, results::Figure, stats::median};

/// G7: a fifth reads nothing.
pub(super) fn measure(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let Some(system) = all.systems.iter_mut().find(|s| s.name == OURS) else { return Ok(Vec::new()) };
    let (mut without, mut with, mut missed) = (Vec::new(), Vec::new(), 0);
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
            missed += turn.missed;
            if stall { with.push(turn.p99) } else { without.push(turn.p99) }
        }
    }
    let (with, without) = (median(&with), median(&without));
    let what = format!("p99 of the others when a fifth of {} clients reads nothing, beside all reading", how.clients);
    let figure = Figure::new("G7", what, with, "ms").peer("all read", without);
    let others = "The same, all rounds: deliveries of the others lost, doubled or late";
    Ok(vec![figure.target("≤ 1.2 ×", with <= 1.2 * without), Figure::none("G7.missed", others, missed, "deliveries")])
}

/// How long clients have been idle, and before them the server: jemalloc gives free pages back within 10 s.
const IDLE: Duration = Duration::from_secs(15);

/// G8: memory of idle clients.
pub(super) fn memory(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let clients = how.clients * 4;
    let mut found = BTreeMap::new();
    for system in all.systems.iter_mut().filter(|s| s.name != FANNING) {
        // What the first clients ever cost is not theirs.
        drop(system.load(100)?);
        std::thread::sleep(IDLE);
        let before = anonymous_kib(system.pid);
        let mut load = system.load(clients)?;
        let until = std::time::Instant::now() + IDLE;
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
    let what = format!("User memory of one of {clients} clients, idle for {} s", IDLE.as_secs());
    let figure = Figure::new("G8", what, of(OURS), "KiB");
    let figure = PEERS.iter().fold(figure, |f, peer| f.peer(peer, of(peer)));
    Ok(vec![figure.target("≤ 8 KiB", of(OURS) <= 8.0)])
}
