//! From an answer's bytes to its records: JSON in any wrapper, or a table with a heading. Text is read in the order BOM,
//! strict UTF-8, GB18030; never with replaced characters. Pure.

use encoding_rs::{Encoding, GB18030, UTF_8};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Records of one answer.
const MOST: usize = 20_000;
/// Columns of a table.
const COLUMNS: usize = 256;

/// `layout = { format = "csv", encoding = "gb18030", delimiter = ";" }`: how an answer holds records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// What an answer is.
    pub format: Format,
    /// JSON pointer to the list of records; empty = the answer is the list.
    pub records: String,
    /// How text is encoded.
    pub encoding: Text,
    /// Between the cells of a table.
    pub delimiter: char,
    /// Lines of a table before its heading.
    pub skip: usize,
}

impl Default for Layout {
    fn default() -> Self {
        let (format, encoding) = (Format::Json, Text::Auto);
        Self { format, records: String::new(), encoding, delimiter: ',', skip: 0 }
    }
}

/// Format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON.
    Json,
    /// Text with a heading and cells.
    Csv,
}

/// Encoding of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Text {
    /// By its BOM, else UTF-8 if it is that, else GB18030.
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// GB18030, which holds GBK and GB2312.
    #[serde(rename = "gb18030")]
    Gb18030,
}

impl Layout {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !self.records.is_empty() && !self.records.starts_with('/') {
            return Err("records 须为 JSON 指针 records must be a JSON pointer");
        }
        if matches!(self.delimiter, '"' | '\r' | '\n') {
            return Err("分隔符不能是引号或换行 the delimiter cannot be a quote or a line break");
        }
        Ok(())
    }
}

/// What an answer holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Records with where they stand: the line of a table, or the place in the list from 1.
    pub(crate) records: Vec<(usize, Value)>,
    /// Rows that are no records, and why.
    pub(crate) broken: Vec<(usize, &'static str)>,
    /// The whole of a JSON answer, for cursors and links.
    pub(crate) whole: Value,
}

/// Reads an answer.
///
/// # Errors
/// Why nothing of it can be read, Chinese.
pub(crate) fn read(layout: &Layout, body: &[u8]) -> Result<Found, String> {
    let text = decode(layout.encoding, body)?;
    match layout.format {
        Format::Json => json(layout, &text),
        Format::Csv => csv(layout, &text),
    }
}

/// Text of the bytes, without its BOM.
pub(crate) fn decode(encoding: Text, body: &[u8]) -> Result<String, String> {
    let strict = |encoding: &'static Encoding, body: &[u8]| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(body);
        text.map(std::borrow::Cow::into_owned)
    };
    let text = match Encoding::for_bom(body) {
        Some((marked, length)) => strict(marked, body.get(length..).unwrap_or_default()),
        None => match encoding {
            Text::Utf8 => strict(UTF_8, body),
            Text::Gb18030 => strict(GB18030, body),
            Text::Auto => strict(UTF_8, body).or_else(|| strict(GB18030, body)),
        },
    };
    text.ok_or_else(|| "文字编码无法识别，应为 UTF-8 或 GB18030".to_owned())
}

fn json(layout: &Layout, text: &str) -> Result<Found, String> {
    let mut whole: Value = serde_json::from_str(text.trim_end_matches('\0'))
        .map_err(|e| format!("不是可读的 JSON（第 {} 行第 {} 列）", e.line(), e.column()))?;
    let list = whole.pointer_mut(&layout.records).map(Value::take);
    match list {
        Some(Value::Array(list)) if list.len() <= MOST => {
            let records = list.into_iter().enumerate().map(|(i, record)| (i + 1, record)).collect();
            Ok(Found { records, broken: Vec::new(), whole })
        }
        Some(Value::Array(_)) => Err(format!("一次超过 {MOST} 条")),
        Some(_) => Err(format!("“{}”处不是列表", layout.records)),
        None => Err(format!("没有“{}”", layout.records)),
    }
}

fn csv(layout: &Layout, text: &str) -> Result<Found, String> {
    let mut lines = Lines { rest: text.chars().peekable(), line: 1, delimiter: layout.delimiter };
    for _ in 0..layout.skip {
        lines.skip_line();
    }
    let heading = lines.next().ok_or("没有表头")?.cells.ok_or("表头的引号没有闭合")?;
    let heading: Vec<String> = heading.iter().map(|h| h.trim().to_owned()).collect();
    if heading.len() > COLUMNS {
        return Err(format!("超过 {COLUMNS} 列"));
    }
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    for Line { line, cells } in lines {
        let Some(cells) = cells else {
            broken.push((line, "引号没有闭合"));
            continue;
        };
        if cells.iter().all(|c| c.trim().is_empty()) {
            continue;
        }
        if records.len() + broken.len() >= MOST {
            return Err(format!("一次超过 {MOST} 行"));
        }
        // Cells beyond the heading are harmless when they are empty.
        if cells.iter().skip(heading.len()).any(|c| !c.trim().is_empty()) {
            broken.push((line, "单元格多于表头"));
            continue;
        }
        // Of two columns with one name the first counts.
        let mut record = Map::new();
        for (name, cell) in heading.iter().zip(cells) {
            record.entry(name.clone()).or_insert(Value::String(cell));
        }
        records.push((line, Value::Object(record)));
    }
    Ok(Found { records, broken, whole: Value::Null })
}

struct Lines<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    delimiter: char,
}

/// A row of a table, and the line where it begins; without cells when a quote is not closed.
struct Line {
    line: usize,
    cells: Option<Vec<String>>,
}

impl Lines<'_> {
    fn skip_line(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\n' || (c == '\r' && self.rest.peek() != Some(&'\n')) {
                break;
            }
        }
        self.line += 1;
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.rest.peek()?;
        let line = self.line;
        let (mut cells, mut cell, mut quoted, mut fresh) = (Vec::new(), String::new(), false, true);
        loop {
            let c = self.rest.next();
            match c {
                None if quoted => return Some(Line { line, cells: None }),
                Some('"') if quoted && self.rest.peek() == Some(&'"') => {
                    self.rest.next();
                    cell.push('"');
                }
                Some('"') if quoted => quoted = false,
                Some('"') if fresh => (quoted, fresh) = (true, false),
                Some(c) if quoted => {
                    self.line += usize::from(c == '\n');
                    cell.push(c);
                }
                Some('\r') if self.rest.peek() == Some(&'\n') => {}
                None | Some('\n' | '\r') => {
                    self.line += 1;
                    cells.push(cell);
                    return Some(Line { line, cells: Some(cells) });
                }
                Some(c) if c == self.delimiter => {
                    cells.push(std::mem::take(&mut cell));
                    fresh = true;
                }
                Some(c) => {
                    fresh = fresh && c.is_whitespace();
                    cell.push(c);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn table(text: &[u8]) -> Found {
        read(&Layout { format: Format::Csv, ..Layout::default() }, text).unwrap()
    }

    #[test]
    fn tables_of_chinese_systems() {
        // D4: GBK without a BOM; D12: UTF-8 with one.
        let gbk = [&[0xd0, 0xd5, 0xc3, 0xfb, 0x2c, 0xb5, 0xe7, 0xbb, 0xb0, 0x0d, 0x0a][..], b"a,1\r\n"].concat();
        for body in [gbk, "\u{feff}姓名,电话\r\na,1\r\n".into(), "姓名,电话\na,1".into()] {
            assert_eq!(table(&body).records, [(2, json!({"姓名": "a", "电话": "1"}))]);
        }
        let utf16: Vec<u8> = "\u{feff}姓名\n甲\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(table(&utf16).records, [(2, json!({"姓名": "甲"}))]);
        let bad = read(&Layout { format: Format::Csv, ..Layout::default() }, &[0xff, 0xff, 0x00]);
        assert!(bad.unwrap_err().contains("编码"));
        assert!(decode(Text::Utf8, &[0xd0, 0xd5]).is_err(), "nothing is replaced");
    }

    #[test]
    fn cells_hold_quotes_delimiters_and_lines() {
        let found =
            table("a,b,c\n\"x, \"\"y\"\"\",\"two\nlines\",3\n\n,,\n1,2\n1,2,3,4\n1,2,3,\n\"open,1\n".as_bytes());
        let records: Vec<_> = found.records.iter().map(|(line, r)| (*line, r.clone())).collect();
        assert_eq!(
            records,
            [
                (2, json!({"a": "x, \"y\"", "b": "two\nlines", "c": "3"})),
                (6, json!({"a": "1", "b": "2"})),
                (8, json!({"a": "1", "b": "2", "c": "3"})),
            ]
        );
        assert_eq!(found.broken, [(7, "单元格多于表头"), (9, "引号没有闭合")]);
        let layout = Layout { format: Format::Csv, delimiter: '\t', skip: 1, ..Layout::default() };
        assert_eq!(
            read(&layout, "用电量统计表\r\n楼栋\t度\r\n12\t8".as_bytes()).unwrap().records,
            [(3, json!({"楼栋": "12", "度": "8"}))]
        );
    }

    #[test]
    fn lists_in_their_wrappers() {
        let layout = Layout { records: "/data/rows".into(), ..Layout::default() };
        let found = read(&layout, br#"{"code":0,"data":{"rows":[{"a":1},2],"total":2}}"#).unwrap();
        assert_eq!(found.records, [(1, json!({"a": 1})), (2, json!(2))]);
        assert_eq!(found.whole.pointer("/data/total"), Some(&json!(2)));
        let gbk = GB18030.encode("[{\"姓名\":\"甲\"}]").0.into_owned();
        assert_eq!(read(&Layout::default(), &gbk).unwrap().records, [(1, json!({"姓名": "甲"}))]);
        assert_eq!(read(&layout, b"{}").unwrap_err(), "没有“/data/rows”");
        assert_eq!(read(&layout, br#"{"data":{"rows":{}}}"#).unwrap_err(), "“/data/rows”处不是列表");
        assert!(read(&layout, b"<html>").unwrap_err().contains("第 1 行第 1 列"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..120), csv in any::<bool>()) {
            let format = if csv { Format::Csv } else { Format::Json };
            let _ = read(&Layout { format, ..Layout::default() }, &body);
        }

        #[test]
        fn what_is_written_by_the_rules_reads_back(rows in prop::collection::vec(prop::collection::vec("[a-z\",\n\r 楼]{0,5}", 2), 1..6)) {
            let quote = |c: &String| format!("\"{}\"", c.replace('"', "\"\""));
            let lines = rows.iter().map(|r| r.iter().map(quote).collect::<Vec<_>>().join(","));
            let text = std::iter::once("x,y".to_owned()).chain(lines).collect::<Vec<_>>().join("\r\n");
            let found = table(text.as_bytes());
            prop_assert!(found.broken.is_empty());
            let full = rows.iter().filter(|r| r.iter().any(|c| !c.trim().is_empty()));
            let expect: Vec<_> = full.map(|r| json!({"x": r[0], "y": r[1]})).collect();
            prop_assert_eq!(found.records.into_iter().map(|(_, r)| r).collect::<Vec<_>>(), expect);
        }
    }
}
