//! G7 and G8: what stalled and idle clients cost.

use std::{collections::BTreeMap, time::Duration};

use super::{All, FANNING, How, OURS, PACE, PEERS, Turn, dialect::Place, load::Load};
use crate::{
    process::{anonymous_kib, cpu_seconds},
    results::Figure,
    stats::median,
};

/// G7: a fifth reads nothing.
pub(super) fn measure(all: &mut All, how: &How) -> anyhow::Result<Vec<Figure>> {
    let Some(system) = all.systems.iter_mut().find(|s| s.name == OURS) else { return Ok(Vec::new()) };
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
            if stall { with.push(turn) } else { without.push(turn) }
        }
    }
    let missed = with.iter().chain(&without).map(|t| t.missed).sum();
    let of = |turns: &[Turn], what: fn(&Turn) -> f64| median(&turns.iter().map(what).collect::<Vec<_>>());
    let figure = |id: &str, words: &str, unit: &str, what: fn(&Turn) -> f64| {
        let words =
            format!("{PACE} events/s, a fifth of {} clients reads nothing, beside all reading: {words}", how.clients);
        Figure::new(id, words, of(&with, what), unit).peer("all read", of(&without, what))
    };
    let late = figure("G7", "p99 of the others", "ms", |t| t.p99);
    let met = of(&with, |t| t.p99) <= 1.2 * of(&without, |t| t.p99);
    let others = "The same, all rounds: deliveries of the others lost, doubled or late";
    Ok(vec![
        late.target("≤ 1.2 ×", met),
        figure("G7.cpu", "CPU of server and Redis over 5 s", "CPU s", |t| t.cpu),
        figure("G7.memory", "memory of server and Redis", "MiB", |t| t.mib),
        Figure::none("G7.missed", others, missed, "deliveries"),
    ])
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
        let (before, cpu) = (anonymous_kib(system.pid), cpu_seconds(&system.pids));
        let mut load = system.load(clients)?;
        let until = std::time::Instant::now() + IDLE;
        while std::time::Instant::now() < until {
            load.turn(Duration::from_millis(50))?;
        }
        let each = (anonymous_kib(system.pid) - before) / clients as f64;
        let cpu = cpu_seconds(&system.pids) - cpu;
        println!("  {:<10} {each:.1} KiB a client of {clients}, {cpu:.2} CPU s", system.name);
        found.insert(system.name, (each, cpu));
        drop(load);
        std::thread::sleep(Duration::from_secs(1));
    }
    let of = |name| found.get(name).copied().unwrap_or_default();
    let idle = IDLE.as_secs();
    let each =
        Figure::new("G8", format!("User memory of one of {clients} clients, idle for {idle} s"), of(OURS).0, "KiB");
    let cpu = format!("{clients} clients come at once and are idle for {idle} s: CPU of the servers");
    let cpu = Figure::new("G8.cpu", cpu, of(OURS).1, "CPU s");
    let each = PEERS.iter().fold(each, |f, peer| f.peer(peer, of(peer).0));
    let cpu = PEERS.iter().fold(cpu, |f, peer| f.peer(peer, of(peer).1));
    Ok(vec![each.target("≤ 8 KiB", of(OURS).0 <= 8.0).once(), cpu.once()])
}
