//! The figures: one list in `benches/results.json`, shown as `benches/RESULTS.md` and as a table on standard output.
//!
//! A figure replaces the one of the same id and leaves the others alone, so that each bench may run by itself.
//! Blocks on files; nothing else runs at that time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{page, profile};

/// One figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Stable name; the targets have the same.
    pub(crate) id: String,
    /// What was measured, with the conditions that matter.
    pub(crate) what: String,
    /// Median of the rounds.
    pub(crate) value: f64,
    /// Unit of `value` and of the peers.
    pub(crate) unit: String,
    /// What was asked for, in words; empty = only observed.
    pub(crate) target: String,
    /// Whether the target is met; `None` without one.
    pub(crate) met: Option<bool>,
    /// Rounds that the median is of; 1 = measured once, 0 = nobody told.
    #[serde(default)]
    pub(crate) rounds: usize,
    /// The same figure of others, measured in the same run.
    pub(crate) peers: BTreeMap<String, f64>,
    /// By peer: above 1 we are better, which is cheaper or faster.
    #[serde(default)]
    pub(crate) ratios: BTreeMap<String, f64>,
    /// Commit that was measured; `+` = with changes on top.
    #[serde(default)]
    pub(crate) commit: String,
    /// Where, and with which profile.
    #[serde(default)]
    pub(crate) machine: String,
}

impl Figure {
    /// A figure without target and peers.
    pub(crate) fn new(id: &str, what: impl Into<String>, value: f64, unit: &str) -> Self {
        let (id, unit) = (id.to_owned(), unit.to_owned());
        Self { id, what: what.into(), value: round(value), unit, ..Self::default() }
    }

    /// With what was asked for.
    pub(crate) fn target(mut self, target: &str, met: bool) -> Self {
        (self.target, self.met) = (target.to_owned(), Some(met));
        self
    }

    /// Measured once, however many rounds the others have.
    pub(crate) fn once(mut self) -> Self {
        self.rounds = 1;
        self
    }

    /// A count of what must not be.
    pub(crate) fn none(id: &str, what: impl Into<String>, count: u64, unit: &str) -> Self {
        Self::new(id, what, count as f64, unit).target("0", count == 0)
    }

    /// Beside another's figure where more is better; the ratio is ours over theirs.
    pub(crate) fn behind(mut self, name: &str, value: f64) -> Self {
        if value > 0.0 {
            self.ratios.insert(name.to_owned(), round(self.value / value));
        }
        self.peers.insert(name.to_owned(), round(value));
        self
    }

    /// Beside another's figure where less is better.
    pub(crate) fn peer(mut self, name: &str, value: f64) -> Self {
        if self.value > 0.0 {
            self.ratios.insert(name.to_owned(), round(value / self.value));
        }
        self.peers.insert(name.to_owned(), round(value));
        self
    }
}

/// Three significant digits are all that a shared machine gives.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(2 - value.abs().log10().floor() as i32);
    if scale <= 1.0 { value.round() } else { (value * scale).round() / scale }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> anyhow::Result<Vec<Figure>> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("benches/results.json"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn write(all: &[Figure]) -> anyhow::Result<()> {
    fs::write(folder().join("results.json"), serde_json::to_vec_pretty(all)?)?;
    Ok(fs::write(folder().join("RESULTS.md"), page::page(all))?)
}

/// Puts figures of so many rounds into both files and prints them; their ids.
pub(crate) fn keep(mut figures: Vec<Figure>, rounds: usize) -> anyhow::Result<BTreeSet<String>> {
    figures.iter_mut().filter(|f| f.rounds == 0).for_each(|f| f.rounds = rounds);
    let mut all = read(&folder().join("results.json"))?;
    let (commit, machine) = (commit(), machine());
    println!("{}", page::table(&figures.iter().filter(|f| !profile::is_part(f)).cloned().collect::<Vec<_>>()));
    let ids = figures.iter().map(|f| f.id.clone()).collect();
    for mut figure in figures {
        (figure.commit, figure.machine) = (commit.clone(), machine.clone());
        match all.iter_mut().find(|f| f.id == figure.id) {
            Some(old) => *old = figure,
            None => all.push(figure),
        }
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    write(&all)?;
    Ok(ids)
}

/// Forgets what a whole run does not measure any more.
pub(crate) fn only(ids: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut all = read(&folder().join("results.json"))?;
    all.retain(|f| ids.contains(&f.id));
    write(&all)
}

/// Writes the page anew from the figures that are there.
pub(crate) fn show() -> anyhow::Result<()> {
    write(&read(&folder().join("results.json"))?)
}

/// Whether a target of these figures was missed.
pub(crate) fn missed(figures: &[Figure], id: &str) -> bool {
    figures.iter().any(|f| (f.id == id || f.id.starts_with(&format!("{id}."))) && f.met == Some(false))
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    // The results themselves are always new.
    let changed = git(&["status", "--porcelain", "--", "..", ":!RESULTS.md", ":!results.json"]);
    if changed.is_none_or(|c| !c.is_empty()) { format!("{hash}+") } else { hash }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("").trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("?");
    let profile = if cfg!(debug_assertions) { "dev (opt-level 1, dependencies 2)" } else { "release" };
    format!("{cores} × {model}, profile {profile}, 5 min load at the end {load}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn three_digits_are_kept() {
        assert_eq!([0.0, 0.012_345, 1.234_5, 123.45, 12_345.6].map(round), [0.0, 0.012_3, 1.23, 123.0, 12_346.0]);
    }

    #[test]
    fn a_ratio_is_kept_for_each_peer() {
        let faster = Figure::new("x", "w", 10.0, "1/s").behind("a", 2.0).behind("b", 0.0);
        assert_eq!(faster.ratios, BTreeMap::from([("a".to_owned(), 5.0)]), "nothing is compared with nothing");
        assert_eq!(Figure::new("x", "w", 10.0, "ms").peer("a", 30.0).ratios["a"], 3.0);
    }

    #[test]
    fn a_missed_target_is_found_by_its_group() {
        let all =
            [Figure::none("G1", "w", 0, ""), Figure::none("G10.x", "w", 1, ""), Figure::none("G2.p99", "w", 1, "")];
        assert_eq!(["G1", "G2", "G3"].map(|id| missed(&all, id)), [false, true, false]);
    }

    #[test]
    fn the_committed_results_are_readable() {
        let all = read(&folder().join("results.json")).unwrap();
        assert!(!all.is_empty() && all.iter().all(|f| f.target.is_empty() == f.met.is_none()), "met or missed");
    }
}
