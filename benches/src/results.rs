//! The figures: one list in `benches/results.json`, shown as `benches/RESULTS.md` and as a table on standard output.
//!
//! A figure replaces the one of the same id and leaves the others alone, so that each bench may run by itself.
//! Blocks on files; nothing else runs at that time.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, process::Command};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The same figure of others, measured in the same run.
    pub(crate) peers: BTreeMap<String, f64>,
    /// Above 1 we are better: cheaper, or faster.
    pub(crate) ratio: Option<f64>,
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
        Self {
            id: id.to_owned(),
            what: what.into(),
            value: round(value),
            unit: unit.to_owned(),
            target: String::new(),
            met: None,
            peers: BTreeMap::new(),
            ratio: None,
            commit: String::new(),
            machine: String::new(),
        }
    }

    /// With what was asked for.
    pub(crate) fn target(mut self, target: &str, met: bool) -> Self {
        (self.target, self.met) = (target.to_owned(), Some(met));
        self
    }

    /// Beside another's figure where more is better; the ratio is ours over theirs.
    pub(crate) fn behind(mut self, name: &str, value: f64) -> Self {
        self.ratio = (value > 0.0).then(|| round(self.value / value));
        self.peers.insert(name.to_owned(), round(value));
        self
    }

    /// Beside another's figure where less is better.
    pub(crate) fn peer(mut self, name: &str, value: f64) -> Self {
        self.ratio = (self.value > 0.0).then(|| round(value / self.value));
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

/// Puts figures into both files and prints them.
pub(crate) fn keep(figures: Vec<Figure>) -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = folder.join("results.json");
    let mut all: Vec<Figure> = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("benches/results.json")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let (commit, machine) = (commit(), machine());
    for mut figure in figures {
        (figure.commit, figure.machine) = (commit.clone(), machine.clone());
        match all.iter_mut().find(|f| f.id == figure.id) {
            Some(old) => *old = figure,
            None => all.push(figure),
        }
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    fs::write(&file, serde_json::to_vec_pretty(&all)?)?;
    fs::write(folder.join("RESULTS.md"), page(&all))?;
    println!("{}", table(&all));
    Ok(())
}

fn page(all: &[Figure]) -> String {
    let head = "# Results\n\nWritten by `make bench` from `results.json`. Client and server share the machine, so read the \
                ratios first. Medians of the rounds; ✗ = the target is missed.\n\n";
    let mut text = format!("{head}{}\n", table(all));
    let mut places: Vec<_> = all.iter().map(|f| format!("- `{}`: {}\n", f.commit, f.machine)).collect();
    places.sort();
    places.dedup();
    let _ = write!(text, "\nMeasured at:\n\n{}", places.concat());
    text
}

fn table(all: &[Figure]) -> String {
    let mut text = "| id | what | value | target | | peers | ratio |\n|---|---|---|---|---|---|---|\n".to_owned();
    for f in all {
        let peers: Vec<_> = f.peers.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let met = f.met.map_or("", |met| if met { "✓" } else { "✗" });
        let ratio = f.ratio.map_or_else(String::new, |r| format!("{r} ×"));
        let peers = peers.join(", ");
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {} | {met} | {peers} | {ratio} |",
            f.id, f.what, f.value, f.unit, f.target
        );
    }
    text
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
    use super::*;

    #[test]
    fn three_digits_are_kept() {
        assert_eq!([0.0, 0.012_345, 1.234_5, 123.45, 12_345.6].map(round), [0.0, 0.012_3, 1.23, 123.0, 12_346.0]);
    }

    #[test]
    fn the_table_names_what_is_missed() {
        let figure = Figure::new("x", "w", 10.0, "ms").target("≤ 5 ms", false).peer("other", 30.0);
        assert!(table(&[figure]).ends_with("| x | w | 10 ms | ≤ 5 ms | ✗ | other 30 | 3 × |\n"));
    }

    #[test]
    fn the_committed_results_are_readable() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results.json");
        let all: Vec<Figure> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert!(all.iter().all(|f| f.target.is_empty() == f.met.is_none()), "a target is met or missed");
    }
}
