//! Whether the cost of something is flat or how it grows, from the figures `X<n>.<size>.<cost>`.

use std::collections::BTreeMap;

use crate::results::Figure;

/// Of which figures, in words, and what their sizes count.
const GROUPS: [(&str, &str); 3] = [("X1", "clients"), ("X2", "open incidents"), ("X3", "events in the log")];
/// Below this power of the size a cost counts as flat: a thousand times the size less than doubles it.
const FLAT: f64 = 0.1;

/// A line for each group that was measured at two sizes at least.
pub(crate) fn lines(all: &[Figure]) -> Vec<String> {
    GROUPS.iter().filter_map(|(id, what)| line(all, id, what)).collect()
}

fn line(all: &[Figure], id: &str, what: &str) -> Option<String> {
    let mut costs: BTreeMap<&str, BTreeMap<u64, &Figure>> = BTreeMap::new();
    for figure in all {
        let Some((size, cost)) = figure.id.strip_prefix(id).and_then(|r| r.strip_prefix('.')?.split_once('.')) else {
            continue;
        };
        if let Ok(size) = size.parse() {
            costs.entry(cost).or_default().insert(size, figure);
        }
    }
    let said: Vec<_> = costs.iter().filter_map(|(cost, by_size)| said(cost, by_size)).collect();
    let sizes = costs.values().flat_map(BTreeMap::keys);
    let (least, most) = (sizes.clone().min()?, sizes.max()?);
    (!said.is_empty()).then(|| format!("- **{id}**, {what} {least} → {most}: {}.\n", said.join("; ")))
}

fn said(cost: &str, by_size: &BTreeMap<u64, &Figure>) -> Option<String> {
    let ((least, first), (most, last)) = (by_size.first_key_value()?, by_size.last_key_value()?);
    if least == most {
        return None;
    }
    let (from, to) = (first.value, last.value);
    let how = how(*most as f64 / *least as f64, from, to);
    // What is fixed hides at the beginning how it grows at the end.
    let before = by_size
        .range(..most)
        .next_back()
        .filter(|(size, f)| *size > least && how.starts_with("grows") && f.value > 0.0);
    let end = before.map_or_else(String::new, |(size, f)| format!(" (from {size} on × {:.1})", to / f.value));
    Some(format!("{cost} {from} → {to} {}, {how}{end}", last.unit))
}

/// In words, for `times` the size.
fn how(times: f64, from: f64, to: f64) -> String {
    if from <= 0.0 || to <= 0.0 {
        return if to > from { "grows from nothing".to_owned() } else { "flat".to_owned() };
    }
    let (factor, power) = (to / from, (to / from).ln() / times.ln());
    if power.abs() < FLAT {
        "flat".to_owned()
    } else if power < 0.0 {
        format!("falls to 1/{:.1}", 1.0 / factor)
    } else if power < 0.9 {
        format!("grows × {factor:.1} for × {times:.0}, less than the number")
    } else if power < 1.1 {
        format!("grows × {factor:.0} for × {times:.0}, with the number")
    } else {
        format!("grows × {factor:.0} for × {times:.0}, more than the number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_said_in_words() {
        assert_eq!(how(1_000.0, 4.0, 5.0), "flat");
        assert_eq!(how(1_000.0, 140.0, 5.6), "falls to 1/25.0");
        assert_eq!(how(1_000.0, 1.0, 30.0), "grows × 30.0 for × 1000, less than the number");
        assert_eq!(how(10.0, 1.0, 10.0), "grows × 10 for × 10, with the number");
        assert_eq!(how(10.0, 1.0, 40.0), "grows × 40 for × 10, more than the number");
        assert_eq!((how(10.0, 0.0, 0.0), how(10.0, 0.0, 1.0)), ("flat".to_owned(), "grows from nothing".to_owned()));
    }

    #[test]
    fn a_line_names_the_smallest_and_the_largest() {
        let figure = |id: &str, value| Figure::new(id, "w", value, "ms");
        let all = [
            figure("X2.1000.append", 4.4),
            figure("X2.100.append", 4.0),
            figure("X2.10000.append", 4.2),
            figure("X2.100.memory", 4.0),
            figure("X2.1000.memory", 8.0),
            figure("X2.10000.memory", 40.0),
            figure("X3.100.start", 1.0),
            figure("X1", 1.0),
        ];
        let memory = "memory 4 → 40 ms, grows × 10.0 for × 100, less than the number (from 1000 on × 5.0)";
        assert_eq!(
            lines(&all),
            [format!("- **X2**, open incidents 100 → 10000: append 4 → 4.2 ms, flat; {memory}.\n")]
        );
    }
}
