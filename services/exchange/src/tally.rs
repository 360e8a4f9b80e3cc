//! What became of the records of each source: how many were kept, which were set aside and why.

use std::collections::{BTreeMap, VecDeque};

use crate::fields::Why;

/// Rows of one source that are remembered as set aside.
const ROWS: usize = 20;
/// Name of the source of records that a department sends by itself.
pub(crate) const PUSH: &str = "push";

/// A row that was set aside. It holds no value of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Line of a table, or place in a list, from 1.
    pub row: usize,
    /// Column or JSON path; none = the whole row.
    pub column: Option<String>,
    /// Why, Chinese.
    pub why: String,
}

impl SetAside {
    pub(crate) fn field(row: usize, pointer: &str, why: &Why) -> Self {
        let column = pointer.strip_prefix('/').unwrap_or(pointer).replace("~1", "/").replace("~0", "~");
        Self { row, column: Some(column), why: why.zh() }
    }

    pub(crate) fn row(row: usize, why: impl Into<String>) -> Self {
        Self { row, column: None, why: why.into() }
    }

    /// As one sentence, Chinese.
    pub fn zh(&self) -> String {
        match &self.column {
            Some(column) => format!("第 {} 行“{column}”：{}", self.row, self.why),
            None => format!("第 {} 行：{}", self.row, self.why),
        }
    }
}

/// How a source of records goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFacts {
    /// Id of the source; `push` = what the department sends, `pull` = its usual address.
    pub id: String,
    /// Newest records, ms since 1970.
    pub last_ms: Option<i64>,
    /// Records kept since the start.
    pub kept: u64,
    /// Rows set aside since the start.
    pub set_aside: u64,
    /// Why the last round ended early, Chinese.
    pub problem: Option<String>,
    /// The newest rows that were set aside.
    pub rows: Vec<SetAside>,
}

#[derive(Debug, Default)]
struct Tally {
    last: Option<i64>,
    kept: u64,
    set_aside: u64,
    problem: Option<String>,
    rows: VecDeque<SetAside>,
}

/// All sources, by department and id.
#[derive(Debug, Default)]
pub(crate) struct Tallies(BTreeMap<(String, String), Tally>);

impl Tallies {
    fn of(&mut self, unit: &str, source: &str) -> &mut Tally {
        self.0.entry((unit.to_owned(), source.to_owned())).or_default()
    }

    /// Records came.
    pub(crate) fn count(&mut self, unit: &str, source: &str, now: i64, kept: usize, aside: &[SetAside]) {
        let tally = self.of(unit, source);
        if kept > 0 || !aside.is_empty() {
            tally.last = Some(now);
        }
        tally.kept = tally.kept.saturating_add(kept as u64);
        tally.set_aside = tally.set_aside.saturating_add(aside.len() as u64);
        let newest = aside.len().saturating_sub(ROWS);
        tally.rows.extend(aside.iter().skip(newest).cloned());
        let over = tally.rows.len().saturating_sub(ROWS);
        tally.rows.drain(..over);
    }

    /// A round ended, well or early.
    pub(crate) fn ended(&mut self, unit: &str, source: &str, problem: Option<String>) {
        self.of(unit, source).problem = problem;
    }

    /// The sources of a department.
    pub(crate) fn facts(&self, unit: &str) -> Vec<SourceFacts> {
        let own = self.0.iter().filter(|((of, _), _)| of == unit);
        let facts = own.map(|((_, id), t)| SourceFacts {
            id: id.clone(),
            last_ms: t.last,
            kept: t.kept,
            set_aside: t.set_aside,
            problem: t.problem.clone(),
            rows: t.rows.iter().cloned().collect(),
        });
        facts.collect()
    }
}
