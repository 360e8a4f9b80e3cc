//! What a batch of readings means for the store, before any SQL: which values are one, which are the latest, and what
//! they add to the minutes. Pure.
//!
//! A reading counts once in its minute however often it is delivered: what is not newer than the newest known value of its
//! sensor may be stored already, and is compared with the store first.

use std::collections::HashMap;

use crate::{LedgerError, Reading, Result};

/// Length of a minute, ms.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// The minute of a time, from 1970.
pub(crate) fn minute(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

/// A length of spans, minutes.
pub(crate) fn span(minutes: u32) -> Result<u32> {
    let fits = (1..=1_440).contains(&minutes);
    fits.then_some(minutes).ok_or_else(|| LedgerError::invalid("minutes", "must lie between 1 and 1440"))
}

/// First minute of the span that holds `from_ms`.
pub(crate) fn first(from_ms: i64, span: i64) -> i64 {
    minute(from_ms).div_euclid(span) * span
}

/// The minute after the last one that begins before `until_ms`.
pub(crate) fn end(until_ms: i64) -> i64 {
    minute(until_ms.saturating_sub(1)).saturating_add(1)
}

/// Readings by sensor and time; of several of one millisecond the last.
pub(crate) fn sorted(readings: &[Reading]) -> Vec<&Reading> {
    let mut all: Vec<&Reading> = readings.iter().collect();
    all.sort_by(|a, b| a.sensor.cmp(&b.sensor).then(a.at_ms.cmp(&b.at_ms)));
    let mut kept: Vec<&Reading> = Vec::with_capacity(all.len());
    for r in all {
        match kept.last_mut() {
            Some(last) if last.sensor == r.sensor && last.at_ms == r.at_ms => *last = r,
            _ => kept.push(r),
        }
    }
    kept
}

/// The newest of each sensor, of readings that are [`sorted`].
pub(crate) fn newest<'a>(sorted: &[&'a Reading]) -> Vec<&'a Reading> {
    let mut kept: Vec<&Reading> = Vec::new();
    for r in sorted {
        match kept.last_mut() {
            Some(last) if last.sensor == r.sensor => *last = r,
            _ => kept.push(r),
        }
    }
    kept
}

/// Splits [`sorted`] readings into those that are surely new and those that may be stored already; `known` is the time of
/// each sensor's newest stored value.
pub(crate) fn split<'a>(
    sorted: Vec<&'a Reading>,
    known: &HashMap<String, i64>,
) -> (Vec<&'a Reading>, Vec<&'a Reading>) {
    sorted.into_iter().partition(|r| known.get(&r.sensor).is_none_or(|at| r.at_ms > *at))
}

/// What the store holds of the doubtful readings, by sensor and time.
pub(crate) type Stored = HashMap<(String, i64), f64>;

/// Sorts out the doubtful readings: `fresh` gets those that are new after all; the others that differ from the store are
/// returned. What the store holds already is left out.
pub(crate) fn settle<'a>(
    fresh: &mut Vec<&'a Reading>,
    doubtful: Vec<&'a Reading>,
    stored: &Stored,
) -> Vec<&'a Reading> {
    let mut changed = Vec::new();
    for r in doubtful {
        match stored.get(&(r.sensor.clone(), r.at_ms)) {
            None => fresh.push(r),
            Some(value) if value.to_bits() == r.value.to_bits() => {}
            Some(_) => changed.push(r),
        }
    }
    changed
}

/// What new readings add to one minute of one sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell<'a> {
    pub(crate) sensor: &'a str,
    pub(crate) minute: i64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) sum: f64,
    pub(crate) count: i64,
}

/// The minutes that `readings`, in any order and each once, add to; each minute once.
pub(crate) fn cells<'a>(readings: &[&'a Reading]) -> Vec<Cell<'a>> {
    let mut index: HashMap<(&str, i64), usize> = HashMap::with_capacity(readings.len());
    let mut cells: Vec<Cell<'a>> = Vec::new();
    for r in readings {
        let (sensor, minute, v) = (r.sensor.as_str(), minute(r.at_ms), r.value);
        let at = *index.entry((sensor, minute)).or_insert(cells.len());
        match cells.get_mut(at) {
            Some(cell) => {
                (cell.min, cell.max) = (cell.min.min(v), cell.max.max(v));
                cell.sum += v;
                cell.count += 1;
            }
            None => cells.push(Cell { sensor, minute, min: v, max: v, sum: v, count: 1 }),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(sensor: &str, at_ms: i64, value: f64) -> Reading {
        Reading { sensor: sensor.into(), at_ms, value, unit: None }
    }

    #[test]
    fn of_one_millisecond_the_last_counts() {
        let all = [reading("b", 5, 1.0), reading("a", 9, 2.0), reading("b", 5, 3.0), reading("a", 1, 4.0)];
        let sorted = sorted(&all);
        assert_eq!(sorted, [&all[3], &all[1], &all[2]]);
        assert_eq!(newest(&sorted), [&all[1], &all[2]]);
    }

    #[test]
    fn what_is_stored_counts_no_more() {
        let all = [reading("a", 1, 1.0), reading("a", 2, 2.0), reading("a", 3, 3.0), reading("a", 4, 4.0)];
        let known = HashMap::from([("a".to_owned(), 3)]);
        let (mut fresh, doubtful) = split(sorted(&all), &known);
        assert_eq!((fresh.len(), doubtful.len()), (1, 3));
        let stored = HashMap::from([(("a".to_owned(), 1), 1.0), (("a".to_owned(), 3), 7.0)]);
        let changed = settle(&mut fresh, doubtful, &stored);
        assert_eq!(fresh, [&all[3], &all[1]]);
        assert_eq!(changed, [&all[2]]);
    }

    #[test]
    fn a_minute_begins_at_its_first_millisecond() {
        let all = [reading("a", 59_999, 4.0), reading("a", 60_000, -1.0), reading("a", 119_999, 3.0)];
        let cells = cells(&all.iter().collect::<Vec<_>>());
        let cell = |minute, min, max, sum, count| Cell { sensor: "a", minute, min, max, sum, count };
        assert_eq!(cells, [cell(0, 4.0, 4.0, 4.0, 1), cell(1, -1.0, 3.0, 2.0, 2)]);
    }
}
