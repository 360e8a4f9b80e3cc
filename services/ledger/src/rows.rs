//! What every backend does alike before and after its SQL: numbers, order, the check of the head, rows that win.

use std::{collections::HashMap, hash::Hash};

use crate::{DocumentRow, Head, LedgerError, Result, limits};

/// Pages of history that one read returns at most.
pub(crate) const HISTORY_PAGES: usize = 10;

/// Random, not 0, and below 2^53 so that a browser's numbers hold it.
pub(crate) fn new_id() -> u64 {
    rand::random_range(1..1 << 53)
}

/// A counter for a signed column; beyond `i64` nothing is stored, so nothing is found.
pub(crate) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A counter of a signed column.
pub(crate) fn counter(n: i64) -> Result<u64> {
    u64::try_from(n).map_err(|_| LedgerError::corrupt("a negative counter"))
}

/// A time and a counter that stand together.
pub(crate) fn pair(at_ms: Option<i64>, n: Option<i64>) -> Result<Option<(i64, u64)>> {
    at_ms.zip(n).map(|(at, n)| counter(n).map(|n| (at, n))).transpose()
}

/// A page size for SQL.
pub(crate) fn page(limit: usize, most: usize) -> i64 {
    i64::try_from(limit.min(most)).unwrap_or(0)
}

/// Rows changed.
pub(crate) fn changed(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// What is kept of an error text, which comes from outside: a bounded beginning without zero bytes, which no text of
/// PostgreSQL holds.
pub(crate) fn error_text(text: &str) -> String {
    let kept = text[..text.floor_char_boundary(limits::ERROR_TEXT)].replace('\0', "\u{fffd}");
    kept[..kept.floor_char_boundary(limits::ERROR_TEXT)].to_owned()
}

/// Orders ids by length, then text; ids are at most 128 bytes.
pub(crate) fn sort_key(id: &str) -> String {
    format!("{:03}{id}", id.len())
}

/// The units of a document as one column: names hold no control characters, so a line break separates them.
pub(crate) fn join_units(units: &[String]) -> String {
    units.join("\n")
}

/// What [`join_units`] joined.
pub(crate) fn split_units(column: &str) -> Vec<String> {
    column.lines().map(str::to_owned).collect()
}

/// The references of a document as one column, as [`join_units`] does.
pub(crate) fn join_refs(refs: &[(String, String)]) -> String {
    refs.iter().map(|(role, id)| format!("{role}\t{id}")).collect::<Vec<_>>().join("\n")
}

/// What [`join_refs`] joined.
pub(crate) fn split_refs(column: &str) -> Vec<(String, String)> {
    column.lines().filter_map(|line| line.split_once('\t')).map(|(role, id)| (role.to_owned(), id.to_owned())).collect()
}

/// Refuses a writer that was fenced off, or believes the log elsewhere.
pub(crate) fn check_head(expected: Head, actual: Head) -> Result<()> {
    if actual.log_id == expected.log_id && actual.term != expected.term {
        return Err(LedgerError::Fenced { expected, actual });
    }
    if actual != expected {
        return Err(LedgerError::HeadMoved { expected, actual });
    }
    Ok(())
}

/// Of several rows with one key the last, in order.
pub(crate) fn last_of<'a, T, K: Eq + Hash>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<&'a T> {
    let last: HashMap<K, usize> = rows.iter().enumerate().map(|(i, row)| (key(row), i)).collect();
    rows.iter().enumerate().filter(|(i, row)| last.get(&key(row)) == Some(i)).map(|(_, row)| row).collect()
}

/// The documents of a batch that stay: of several rows for one document the last.
pub(crate) fn last_documents(documents: &[DocumentRow]) -> Vec<&DocumentRow> {
    last_of(documents, |d| (&*d.kind, &*d.id))
}

/// The documents that were asked for by name, in that order.
pub(crate) fn in_order(asked: &[(&str, &str)], found: &[DocumentRow]) -> Vec<DocumentRow> {
    let found: HashMap<_, _> = found.iter().map(|d| ((&*d.kind, &*d.id), d)).collect();
    asked.iter().filter_map(|name| found.get(name)).map(|d| (*d).clone()).collect()
}

/// Refuses to read so many rows by name at once.
pub(crate) fn check_page(what: &'static str, rows: usize) -> Result<()> {
    if rows > limits::PAGE {
        return Err(LedgerError::invalid(what, format!("more than {}", limits::PAGE)));
    }
    Ok(())
}

/// Document, unit: the pairs that lists by unit look up.
pub(crate) fn units_of<'a>(documents: &[&'a DocumentRow]) -> Vec<(&'a str, &'a str, &'a str)> {
    documents
        .iter()
        .filter(|d| !d.deleted)
        .flat_map(|d| d.columns.units.iter().map(|u| (u.as_str(), &*d.kind, &*d.id)))
        .collect()
}

/// A row of `document_refs`: what lists by reference look up.
pub(crate) struct RefRow<'a> {
    pub(crate) role: &'a str,
    pub(crate) ref_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) sort: String,
    pub(crate) id: &'a str,
}

/// The references of the documents that stay.
pub(crate) fn refs_of<'a>(documents: &[&'a DocumentRow]) -> Vec<RefRow<'a>> {
    let row = |d: &'a DocumentRow, (role, ref_id): &'a (String, String)| RefRow {
        role,
        ref_id,
        kind: &d.kind,
        sort: sort_key(&d.id),
        id: &d.id,
    };
    let kept = documents.iter().filter(|d| !d.deleted);
    kept.flat_map(|d| d.columns.refs.iter().map(move |r| row(d, r))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_of_a_key_wins_and_the_order_stays() {
        let rows = [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (2, "e")];
        let kept: Vec<_> = last_of(&rows, |r| r.0).into_iter().map(|r| r.1).collect();
        assert_eq!(kept, ["c", "d", "e"]);
    }

    #[test]
    fn ids_order_by_length_then_text() {
        let mut ids = ["b", "10", "9", "a", "100"];
        ids.sort_by_key(|id| sort_key(id));
        assert_eq!(ids, ["9", "a", "b", "10", "100"]);
    }
}
