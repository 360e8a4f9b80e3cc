//! `benches/RESULTS.md` from the figures. Nothing but the reasons in [`crate::notes`] is written by hand.

use std::fmt::Write as _;

use crate::{growth, notes, profile, results::Figure};

const HEAD: &str = "# Results\n\nWritten by `make bench` from `results.json`. Client and server share the machine, so read the \
     ratios first: × says how often we are better than the peer. ✗ = the target is missed. A value is the \
     median of so many rounds as its row says; `make bench` takes five, and three of the cameras and the start of the demo.\n\n\
     The commit stands in each row; **+** means that files were changed on top of it when it was measured.\n\n";

pub(crate) fn page(all: &[Figure]) -> String {
    let rows: Vec<_> = all.iter().filter(|f| !profile::is_part(f)).cloned().collect();
    let mut text = format!("{HEAD}{}", table(&rows));
    for (title, lines) in [
        ("What grows", growth::lines(all)),
        ("What falls short, and why", notes::missed(all)),
        ("Conclusions", notes::conclusions(all)),
    ] {
        if !lines.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}", lines.concat());
        }
    }
    text += &profile::tables(all);
    let mut places: Vec<_> = all.iter().map(|f| format!("- `{}`: {}\n", f.commit, f.machine)).collect();
    places.sort();
    places.dedup();
    let _ = write!(text, "\n## Where\n\n{}", places.concat());
    text
}

/// `name value (ratio ×)` of each peer.
fn peers(f: &Figure) -> String {
    let one = |(name, value): (&String, &f64)| {
        let ratio = f.ratios.get(name).map_or_else(String::new, |r| format!(" ({r} ×)"));
        format!("{name} {value}{ratio}")
    };
    f.peers.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn table(all: &[Figure]) -> String {
    let mut text =
        "| id | what | value | target | | peers | rounds | commit |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for f in all {
        let met = f.met.map_or("", |met| if met { "✓" } else { "✗" });
        let commit = match f.commit.strip_suffix('+') {
            Some(commit) => format!("{commit} **+**"),
            None => f.commit.clone(),
        };
        let (value, peers) = (format!("{} {}", f.value, f.unit), peers(f));
        let rounds = if f.rounds == 0 { String::new() } else { f.rounds.to_string() };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {met} | {peers} | {rounds} | {commit} |",
            f.id,
            f.what,
            value.trim_end(),
            f.target
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_is_missed_and_what_was_dirty() {
        let mut figure = Figure::new("x", "w", 10.0, "ms").target("≤ 5 ms", false).peer("other", 30.0);
        (figure.commit, figure.rounds) = ("abc+".to_owned(), 3);
        assert!(table(&[figure]).ends_with("| x | w | 10 ms | ≤ 5 ms | ✗ | other 30 (3 ×) | 3 | abc **+** |\n"));
    }

    #[test]
    fn a_page_has_a_part_only_for_what_there_is() {
        let met = Figure::new("x", "w", 1.0, "ms").target("≤ 5 ms", true);
        assert!(!page(&[met]).contains("## What falls short"));
        let missed = Figure::new("x", "w", 9.0, "ms").target("≤ 5 ms", false);
        assert!(page(&[missed]).contains("## What falls short"));
    }
}
