//! What is wrong with the files of a site: where, and in words that whoever filled them in understands.

use std::{cell::RefCell, fmt};

/// Faults that are listed; further ones are only counted.
const LISTED: usize = 200;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the file in the folder.
    pub file: String,
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// Column of a table, key of a TOML file, or property of a feature; empty = the line as a whole.
    pub column: String,
    /// What is wrong, Chinese first.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.column.is_empty() {
            write!(f, ": {}", self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with a folder, in the order in which its files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The first ones.
    pub listed: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.listed.iter().enumerate() {
            let line = if i == 0 { "" } else { "\n" };
            write!(f, "{line}{fault}")?;
        }
        if self.more > 0 {
            write!(f, "\n另有 {} 处 and {} more", self.more, self.more)?;
        }
        Ok(())
    }
}

impl Faults {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.listed.len() + self.more
    }

    fn push(&mut self, fault: Fault) {
        if self.listed.len() < LISTED {
            self.listed.push(fault);
        } else {
            self.more += 1;
        }
    }
}

/// Where faults are gathered while files are read.
#[derive(Default)]
pub(crate) struct Desk(RefCell<Faults>);

impl Desk {
    pub(crate) fn note(&self, at: At<'_>, message: impl Into<String>) {
        let At { file, line, column } = at;
        let (file, column) = (file.to_owned(), column.to_owned());
        self.0.borrow_mut().push(Fault { file, line, column, message: message.into() });
    }

    /// How many faults there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().count()
    }

    /// `value` if nothing is wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Faults> {
        let faults = self.0.into_inner();
        if faults.count() == 0 { Ok(value) } else { Err(faults) }
    }
}

/// A place in the files.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: usize,
    pub(crate) column: &'a str,
}

impl<'a> At<'a> {
    pub(crate) fn file(file: &'a str) -> Self {
        Self { file, line: 0, column: "" }
    }
    pub(crate) fn line(file: &'a str, line: usize) -> Self {
        Self { file, line, column: "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_counts_what_it_does_not_list() {
        let desk = Desk::default();
        desk.note(At { file: "buildings.csv", line: 3, column: "grid" }, "没有");
        desk.note(At::line("tours.toml", 4), "坏");
        desk.note(At::file("site.toml"), "缺");
        for _ in 0..LISTED {
            desk.note(At::file("site.toml"), "缺");
        }
        let faults = desk.finish(()).unwrap_err();
        let told = faults.to_string();
        assert!(told.starts_with("buildings.csv:3: grid: 没有\ntours.toml:4: 坏\nsite.toml: 缺\n"), "{told}");
        assert!(told.ends_with("另有 3 处 and 3 more"), "{told}");
        assert_eq!(faults.count(), LISTED + 3);
        assert_eq!(Desk::default().finish(7), Ok(7));
    }
}
