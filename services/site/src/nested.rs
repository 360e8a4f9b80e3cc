//! TOML files: tables of known keys. Every value knows its line, so that each fault of a file can be told at once.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr};

use domain::{site::Name, time::Millis};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    checks::{self, Known},
    fault::{At, Desk},
};

/// Things of one file, and things of a list.
pub(crate) const MANY: usize = 5_000;

/// Where lines of a text end.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect())
    }
    /// The line of a byte, from 1.
    pub(crate) fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|end| *end < byte) + 1
    }
}

/// A parsed file.
pub(crate) struct Document<'a> {
    desk: &'a Desk,
    file: &'static str,
    lines: Lines,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// `None` if it is no TOML; the desk knows every line that is not.
    pub(crate) fn parse(desk: &'a Desk, file: &'static str, text: &'a str) -> Option<Self> {
        let lines = Lines::of(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(0, |span| lines.at(span.start));
            desk.note(At::line(file, line), format!("TOML 语法有误 is no TOML: {}", error.message()));
        }
        errors.is_empty().then_some(Self { desk, file, lines, root })
    }

    /// The file itself as a table.
    pub(crate) fn root(&self, keys: &[&str]) -> Entry<'_> {
        Entry::of(self.desk, self.file, &self.lines, self.root.get_ref(), 0, keys)
    }

    /// The tables `[[name]]` of a file that has nothing else. `None` if they are written as something else.
    pub(crate) fn all(&self, name: &'static str, keys: &[&str]) -> Option<Vec<Entry<'_>>> {
        let root = self.root(&[name]);
        if root.has(name) { root.tables(name, keys) } else { Some(Vec::new()) }
    }
}

/// A table of a file.
pub(crate) struct Entry<'d> {
    pub(crate) desk: &'d Desk,
    file: &'static str,
    lines: &'d Lines,
    line: usize,
    values: BTreeMap<&'d str, &'d Spanned<DeValue<'d>>>,
}

impl<'d> Entry<'d> {
    fn of(
        desk: &'d Desk,
        file: &'static str,
        lines: &'d Lines,
        table: &'d DeTable<'d>,
        line: usize,
        keys: &[&str],
    ) -> Self {
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if keys.contains(&name) {
                values.insert(name, value);
            } else {
                let at = At { file, line: lines.at(key.span().start), column: name };
                let all = keys.join("、");
                desk.note(at, format!("不认识这个键，可用的键 is no key here, where there are: {all}"));
            }
        }
        Self { desk, file, lines, line, values }
    }

    /// Where a key of this table is, or the table if it has none.
    pub(crate) fn at(&self, key: &'static str) -> At<'static> {
        let line = self.values.get(key).map_or(self.line, |value| self.lines.at(value.span().start));
        At { file: self.file, line, column: key }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn value(&self, key: &'static str) -> Option<&'d DeValue<'d>> {
        let value = self.values.get(key).map(|value| value.get_ref());
        if value.is_none() {
            self.desk.note(self.at(key), "缺少这个键 the key is missing");
        }
        value
    }

    fn wrong(&self, key: &'static str, zh: &str, en: &str) {
        self.desk.note(self.at(key), format!("须为{zh} must be {en}"));
    }

    /// A text; `None` if it is missing or something else.
    pub(crate) fn string(&self, key: &'static str) -> Option<&'d str> {
        match self.value(key)? {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong(key, "带引号的文字", "a text in quotation marks");
                None
            }
        }
    }

    /// The table's own id.
    pub(crate) fn id<T: From<String>>(&self, known: &mut Known) -> T {
        let id = self.string("id").map(|text| known.add(self.desk, self.at("id"), text));
        id.unwrap_or_else(|| T::from(String::new()))
    }

    /// An id of something else.
    pub(crate) fn find<T: From<String>>(&self, key: &'static str, known: &Known) -> T {
        let id = self.string(key).map(|text| known.find(self.desk, self.at(key), text));
        id.unwrap_or_else(|| T::from(String::new()))
    }

    /// A text that may not be empty.
    pub(crate) fn text(&self, key: &'static str) -> String {
        self.string(key).map(|text| checks::text(self.desk, self.at(key), text, true)).unwrap_or_default()
    }

    /// A number, whole or not.
    pub(crate) fn number<T>(&self, key: &'static str, range: RangeInclusive<T>, or: T) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = match self.value(key) {
            Some(DeValue::Integer(number)) if number.radix() == 10 => number.as_str(),
            Some(DeValue::Float(number)) => number.as_str(),
            Some(_) => {
                self.wrong(key, "数", "a number");
                return or;
            }
            None => return or,
        };
        checks::number(self.desk, self.at(key), &text.replace('_', ""), &range, or)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str) -> bool {
        match self.value(key) {
            Some(DeValue::Boolean(flag)) => *flag,
            Some(_) => {
                self.wrong(key, " true 或 false", "true or false");
                false
            }
            None => false,
        }
    }

    /// A span of time.
    pub(crate) fn span(&self, key: &'static str) -> Millis {
        self.string(key).map_or(Millis(0), |text| checks::span(self.desk, self.at(key), text))
    }

    /// One word of a list.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)], or: T) -> T {
        self.string(key).map_or(or, |text| checks::choice(self.desk, self.at(key), text, words, or))
    }

    /// A table within this one.
    pub(crate) fn table(&self, key: &'static str, keys: &[&str]) -> Option<Self> {
        match self.value(key)? {
            DeValue::Table(table) => Some(Self::of(self.desk, self.file, self.lines, table, self.at(key).line, keys)),
            _ => {
                self.wrong(key, "表", "a table");
                None
            }
        }
    }

    /// A list of tables.
    pub(crate) fn tables(&self, key: &'static str, keys: &[&str]) -> Option<Vec<Self>> {
        let mut tables = Vec::new();
        for (line, item) in self.items(key)? {
            let DeValue::Table(table) = item else {
                self.desk.note(At { line, ..self.at(key) }, "须为表 must be a table");
                return None;
            };
            tables.push(Self::of(self.desk, self.file, self.lines, table, line, keys));
        }
        Some(tables)
    }

    /// A list of texts, each with its place.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<(At<'static>, &'d str)> {
        let mut texts = Vec::new();
        for (line, item) in self.items(key).unwrap_or_default() {
            let at = At { line, ..self.at(key) };
            match item {
                DeValue::String(text) => texts.push((at, text.as_ref())),
                _ => self.desk.note(at, "须为带引号的文字 must be a text in quotation marks"),
            }
        }
        texts
    }

    fn items(&self, key: &'static str) -> Option<Vec<(usize, &'d DeValue<'d>)>> {
        let DeValue::Array(list) = self.value(key)? else {
            self.wrong(key, "列表", "a list");
            return None;
        };
        if list.len() > MANY {
            self.desk.note(self.at(key), format!("超过 {MANY} 项 over {MANY} entries"));
            return None;
        }
        Some(list.iter().map(|item| (self.lines.at(item.span().start), item.get_ref())).collect())
    }

    /// `{ zh = "…", en = "…" }`.
    pub(crate) fn name(&self, key: &'static str) -> Name {
        self.table(key, &["zh", "en"]).map(|table| table.own_name()).unwrap_or_default()
    }

    /// The same of a table that is nothing else.
    pub(crate) fn own_name(&self) -> Name {
        let en = if self.has("en") { self.string("en") } else { None };
        Name { zh: self.text("zh"), en: checks::text(self.desk, self.at("en"), en.unwrap_or_default(), false) }
    }
}

/// A text in quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name as [`Entry::name`] reads it.
pub(crate) fn name_text(name: &Name) -> String {
    format!("{{ zh = {}, en = {} }}", quoted(&name.zh), quoted(&name.en))
}

/// A list of texts; one longer than a line goes over several, `a_line` in each.
pub(crate) fn list_text<'a>(items: impl Iterator<Item = &'a str>, a_line: usize) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    if items.len() <= a_line {
        return format!("[{}]", items.join(", "));
    }
    let lines: Vec<String> = items.chunks(a_line).map(|chunk| format!("    {},\n", chunk.join(", "))).collect();
    format!("[\n{}]", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_read_as_it_was() {
        for text in ["", "a\"b\\c", "一\n二\t\r\u{7f}\u{85}\u{1}", "''"] {
            let document = format!("t = {}\n", quoted(text));
            let desk = Desk::default();
            let document = Document::parse(&desk, "t.toml", &document).unwrap();
            assert_eq!(document.root(&["t"]).string("t"), Some(text));
        }
    }

    #[test]
    fn every_fault_of_a_file_is_told_with_its_line() {
        let text = "[[thing]]\nid = 5\nnmae = \"x\"\n\n[[thing]]\nid = \"a\"\non = \"yes\"\nlimits = { a = \"2q\" }\n";
        let desk = Desk::default();
        let document = Document::parse(&desk, "t.toml", text).unwrap();
        for entry in document.all("thing", &["id", "on", "limits"]).unwrap() {
            entry.string("id");
            if entry.has("limits") {
                entry.flag("on");
                entry.table("limits", &["a"]).unwrap().span("a");
            }
        }
        let told = desk.finish(()).unwrap_err().to_string();
        let starts =
            ["t.toml:3: nmae: 不认识", "t.toml:2: id: 须为带引号", "t.toml:7: on: 须为", "t.toml:8: a: 须为时长"];
        assert_eq!(told.lines().count(), starts.len(), "{told}");
        for (line, start) in told.lines().zip(starts) {
            assert!(line.starts_with(start), "{told}");
        }
        let desk = Desk::default();
        assert!(Document::parse(&desk, "t.toml", "a = 1\nb == 2\nc = 3\nd =\n").is_none());
        let told = desk.finish(()).unwrap_err().to_string();
        assert!(told.contains("t.toml:2: TOML") && told.contains("t.toml:4: TOML"), "{told}");
    }
}
