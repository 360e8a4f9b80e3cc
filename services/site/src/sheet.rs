//! CSV tables: a header of known columns, then one thing a row. Cells are trimmed; empty rows are skipped.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use domain::site::{Name, Point};

use crate::{
    checks::{self, Known},
    fault::{At, Desk},
    nested::Lines,
};

/// Rows of one table.
const ROWS: usize = 50_000;
/// Metres that a coordinate may have.
const PLANE: RangeInclusive<f64> = -1e6..=1e6;

/// One row with its columns by name.
pub(crate) struct Row<'a> {
    pub(crate) desk: &'a Desk,
    file: &'a str,
    line: usize,
    columns: &'a [&'static str],
    cells: Vec<String>,
}

/// Reads the rows of `text`. `None` if the table as a whole is unusable; the desk knows why.
pub(crate) fn rows<'a>(desk: &'a Desk, file: &'a str, columns: &'a [&'static str], text: &str) -> Option<Vec<Row<'a>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let lines = Lines::of(text);
    let mut places: Option<Vec<usize>> = None;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                desk.note(At::file(file), format!("无法读取 cannot be read: {error}"));
                return None;
            }
        };
        let line = begins(text, &lines, record.position());
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        let Some(places) = &places else {
            places = Some(header(desk, At::line(file, line), columns, &cells)?);
            continue;
        };
        if cells.iter().all(|cell| cell.is_empty()) {
            continue;
        }
        if cells.len() != places.len() {
            let (has, wants) = (cells.len(), places.len());
            desk.note(
                At::line(file, line),
                format!("有 {has} 格，表头有 {wants} 列（逗号或引号不对？） has {has} cells under {wants} columns (a comma or quotation mark?)"),
            );
            continue;
        }
        if rows.len() == ROWS {
            desk.note(At::line(file, line), format!("超过 {ROWS} 行 over {ROWS} rows"));
            return None;
        }
        // Columns may stand in any order: `places` says which of ours each cell is.
        let mut ordered = vec![String::new(); columns.len()];
        for (cell, place) in cells.iter().zip(places) {
            if let Some(slot) = ordered.get_mut(*place) {
                *slot = plain(cell).to_owned();
            }
        }
        rows.push(Row { desk, file, line, columns, cells: ordered });
    }
    if places.is_none() {
        desk.note(At::file(file), "文件是空的，缺少表头 the file is empty: its header is missing");
        return None;
    }
    Some(rows)
}

/// The line where a record begins. The reader's own position still has the ends of the lines before it.
fn begins(text: &str, lines: &Lines, position: Option<&csv::Position>) -> usize {
    let byte = position.and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(0);
    let ends = text.bytes().skip(byte).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    lines.at(byte + ends)
}

/// Which of the columns each cell of the header names.
fn header(desk: &Desk, at: At<'_>, columns: &[&'static str], cells: &[&str]) -> Option<Vec<usize>> {
    let before = desk.count();
    if let [only] = cells
        && only.contains([';', '\t'])
    {
        desk.note(at, "列之间须用英文逗号分隔 columns must be separated by commas");
        return None;
    }
    let mut places = Vec::new();
    for (i, cell) in cells.iter().enumerate() {
        let at = At { column: cell, ..at };
        match columns.iter().position(|column| column == cell) {
            Some(place) if places.contains(&place) => desk.note(at, "这一列出现两次 the column is there twice"),
            Some(place) => places.push(place),
            None if cell.is_empty() => {
                desk.note(at, format!("第 {} 列没有列名 column {} has no name", i + 1, i + 1));
            }
            None => {
                let all = columns.join("、");
                desk.note(at, format!("不认识这一列，可用的列 is no column of this table, which has: {all}"));
            }
        }
    }
    for (place, column) in columns.iter().enumerate() {
        if !places.contains(&place) {
            desk.note(At { column, ..at }, "缺少这一列 the column is missing");
        }
    }
    (desk.count() == before).then_some(places)
}

/// Characters that make a spreadsheet take a cell for a formula. A text that begins with one is written after a `'`.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell)
}

/// A text as a cell that no spreadsheet takes for a formula.
pub(crate) fn cell(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

impl<'a> Row<'a> {
    /// Where a column of this row is.
    pub(crate) fn at(&self, column: &'static str) -> At<'a> {
        At { file: self.file, line: self.line, column }
    }

    /// The cell of a column.
    pub(crate) fn cell(&self, column: &'static str) -> &str {
        let place = self.columns.iter().position(|c| *c == column);
        place.and_then(|p| self.cells.get(p)).map_or("", String::as_str)
    }

    /// The row's own id.
    pub(crate) fn id<T: From<String>>(&self, known: &mut Known) -> T {
        known.add(self.desk, self.at("id"), self.cell("id"))
    }

    /// An id of something else.
    pub(crate) fn find<T: From<String>>(&self, column: &'static str, known: &Known) -> T {
        known.find(self.desk, self.at(column), self.cell(column))
    }

    /// An id of something else, or an empty cell.
    pub(crate) fn found<T: From<String>>(&self, column: &'static str, known: &Known) -> Option<T> {
        (!self.cell(column).is_empty()).then(|| self.find(column, known))
    }

    /// `name_zh` and `name_en`.
    pub(crate) fn name(&self) -> Name {
        let text = |column, needed| checks::text(self.desk, self.at(column), self.cell(column), needed);
        Name { zh: text("name_zh", true), en: text("name_en", false) }
    }

    /// A text that may not be empty.
    pub(crate) fn text(&self, column: &'static str) -> String {
        checks::text(self.desk, self.at(column), self.cell(column), true)
    }

    /// Local names, separated by `|`.
    pub(crate) fn names(&self, column: &'static str) -> Vec<String> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Vec::new();
        }
        let names = unlisted(cell);
        for (i, name) in names.iter().enumerate() {
            checks::text(self.desk, self.at(column), name, true);
            if names.iter().take(i).any(|before| before == name) {
                self.desk.note(self.at(column), format!("重复的名称 the name is there twice: {name}"));
            }
        }
        names
    }

    /// A number.
    pub(crate) fn number<T>(&self, column: &'static str, range: RangeInclusive<T>, or: T) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        checks::number(self.desk, self.at(column), self.cell(column), &range, or)
    }

    /// A number, or an empty cell.
    pub(crate) fn optional<T>(&self, column: &'static str, range: RangeInclusive<T>, or: T) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        (!self.cell(column).is_empty()).then(|| self.number(column, range, or))
    }

    /// Metres east and south of the north-west corner.
    pub(crate) fn point(&self) -> Point {
        Point { x: self.number("x_m", PLANE, 0.0), y: self.number("y_m", PLANE, 0.0) }
    }

    /// One word of a list.
    pub(crate) fn choice<T: Copy>(&self, column: &'static str, words: &[(&str, T)], or: T) -> T {
        checks::choice(self.desk, self.at(column), self.cell(column), words, or)
    }

    /// Yes or no; spreadsheets write it in many ways.
    pub(crate) fn flag(&self, column: &'static str) -> bool {
        const WORDS: [(&str, bool); 8] = [
            ("true", true),
            ("false", false),
            ("是", true),
            ("否", false),
            ("yes", true),
            ("no", false),
            ("1", true),
            ("0", false),
        ];
        self.choice(column, &WORDS, false)
    }
}

/// Names of a cell: `|` between them, `\|` and `\\` within them.
fn unlisted(cell: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        match c {
            '|' => names.push(String::new()),
            '\\' => names.last_mut().into_iter().for_each(|name| name.extend(chars.next())),
            _ => names.last_mut().into_iter().for_each(|name| name.push(c)),
        }
    }
    names.iter().map(|name| name.trim().to_owned()).collect()
}

/// Names as [`unlisted`] reads them.
pub(crate) fn listed(names: &[String]) -> String {
    let one = |name: &String| name.replace('\\', "\\\\").replace('|', "\\|");
    cell(&names.iter().map(one).collect::<Vec<_>>().join("|"))
}

/// The text of a table.
pub(crate) fn table(columns: &[&'static str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::new();
    line(&mut text, columns.iter().copied());
    for row in rows {
        line(&mut text, row.iter().map(String::as_str));
    }
    text
}

fn line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            text.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, String, String)>, String> {
        let desk = Desk::default();
        let rows = rows(&desk, "t.csv", &["id", "name"], text);
        let rows = rows.into_iter().flatten().map(|r| (r.line, r.cell("id").to_owned(), r.cell("name").to_owned()));
        let rows: Vec<_> = rows.collect();
        desk.finish(rows).map_err(|faults| faults.to_string())
    }

    #[test]
    fn columns_stand_in_any_order_and_lines_are_those_of_the_file() {
        let text = "name , id\r\n\"a\nb\",1\r\n,\r\n\r\n c ,2\n'=d,3\n";
        let row = |line, id: &str, name: &str| (line, id.to_owned(), name.to_owned());
        assert_eq!(read(text).unwrap(), [row(2, "1", "a\nb"), row(6, "2", "c"), row(7, "3", "=d")]);
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused_with_every_column() {
        let told = read("id,nam,id,\n1,2,3,4\n").unwrap_err();
        let starts = ["t.csv:1: nam: 不认识", "t.csv:1: id: 这一列出现两次", "t.csv:1: 第 4 列", "t.csv:1: name: 缺少"];
        assert_eq!(told.lines().count(), starts.len(), "{told}");
        for (line, start) in told.lines().zip(starts) {
            assert!(line.starts_with(start), "{told}");
        }
        assert!(read("id;name\n1;2\n").unwrap_err().contains("英文逗号"));
        assert!(read("").unwrap_err().contains("空"));
    }

    #[test]
    fn a_row_with_other_cells_than_the_header_is_named() {
        let told = read("id,name\n1,2,3\n4\n5,6\n").unwrap_err();
        assert!(told.starts_with("t.csv:2: 有 3 格") && told.contains("\nt.csv:3: 有 1 格"), "{told}");
    }

    #[test]
    fn names_of_a_cell_are_read_as_they_are_written() {
        for names in [vec!["a|b", "c\\", "d"], vec!["=x"], vec!["'a", "b"], vec![]] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let written = listed(&names);
            let read = if written.is_empty() { Vec::new() } else { unlisted(plain(&written)) };
            assert_eq!(read, names, "{written}");
        }
    }
}
