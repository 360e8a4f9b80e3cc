//! What a mapping makes of a sample, before or beside what runs: the typed records, and the rows that would be set aside.
//! Nothing is kept. Pure.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Exchange,
    config::{FieldRule, Layout, Mapping, Source},
    fields, table,
};

/// Rows of an answer, of each sort; all are counted.
const ROWS: usize = 100;
/// Longest value that is shown beside a reason, characters.
const VALUE: usize = 64;

/// A sample, and what to try on it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Unit of the department.
    pub unit: String,
    /// Kind of records whose mapping is tried; none = the source's.
    #[serde(default)]
    pub kind: Option<String>,
    /// Source whose layout is tried; none = a list of records, as the department sends it.
    #[serde(default)]
    pub source: Option<String>,
    /// A layout in place of the source's.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Fields in place of the mapping's.
    #[serde(default)]
    pub fields: Option<BTreeMap<String, FieldRule>>,
    /// The answer or file.
    pub sample: String,
    /// The sample is base64 of its bytes: for tables that are not UTF-8.
    #[serde(default)]
    pub base64: bool,
}

/// Why nothing can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PreviewError {
    /// The department is not connected.
    #[error("no such department")]
    NoDepartment,
    /// It has no such source.
    #[error("no such source")]
    NoSource,
    /// There is no mapping of this kind, and no fields are given.
    #[error("no such kind of records")]
    NoKind,
    /// A field is no JSON pointer, or there are too many.
    #[error("unsound fields")]
    BadFields,
    /// The layout is unsound.
    #[error("unsound layout")]
    BadLayout,
    /// The sample is not base64.
    #[error("not base64")]
    BadSample,
}

/// A value as it would be kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviewValue {
    /// As text.
    pub text: String,
    /// As a number; dates are ms since 1970.
    pub number: Option<f64>,
}

/// A record as it would be kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviewRow {
    /// Line of the table, or place in the list, from 1.
    pub row: usize,
    /// Fields that are there.
    pub fields: BTreeMap<String, PreviewValue>,
}

/// A row that would be set aside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviewAside {
    /// Line of the table, or place in the list, from 1.
    pub row: usize,
    /// Field of the mapping.
    pub field: Option<String>,
    /// Column or JSON path; none = the whole row.
    pub column: Option<String>,
    /// What stands there, cut.
    pub value: Option<String>,
    /// Why, one Chinese sentence.
    pub why: String,
}

/// What a mapping makes of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Previewed {
    /// Records that would be kept.
    pub kept: usize,
    /// Rows that would be set aside.
    pub set_aside: usize,
    /// Why nothing of it can be read, Chinese.
    pub problem: Option<String>,
    /// The first records.
    pub rows: Vec<PreviewRow>,
    /// The first rows that would be set aside.
    pub aside: Vec<PreviewAside>,
}

impl Exchange {
    /// Tries a mapping on a sample.
    ///
    /// # Errors
    /// What is asked for does not exist or is unsound. A sample that cannot be read is no error but an answer.
    pub fn preview(&self, ask: &Preview) -> Result<Previewed, PreviewError> {
        let connector = self.shared.connectors.get(&ask.unit).ok_or(PreviewError::NoDepartment)?;
        let usual = connector.pull.as_ref().map(Source::of_pull);
        let mut sources = connector.sources.iter().chain(&usual);
        let source = match &ask.source {
            Some(id) => Some(sources.find(|s| &s.id == id).ok_or(PreviewError::NoSource)?),
            None => None,
        };
        let layout = ask.layout.clone().or_else(|| source.map(|s| s.layout.clone())).unwrap_or_default();
        layout.check().map_err(|_| PreviewError::BadLayout)?;
        let kind = ask.kind.as_ref().or_else(|| source?.kind.as_ref());
        let fields = match &ask.fields {
            Some(fields) => fields,
            None => &kind.and_then(|k| connector.records.get(k)).ok_or(PreviewError::NoKind)?.fields,
        };
        if fields.len() > Mapping::MOST || fields.values().any(|f| !f.at.starts_with('/')) {
            return Err(PreviewError::BadFields);
        }
        let sample = match ask.base64 {
            true => STANDARD.decode(ask.sample.trim()).map_err(|_| PreviewError::BadSample)?,
            false => ask.sample.as_bytes().to_vec(),
        };
        Ok(attempt(&layout, fields, &sample))
    }
}

fn attempt(layout: &Layout, fields: &BTreeMap<String, FieldRule>, sample: &[u8]) -> Previewed {
    let found = match table::read(layout, sample) {
        Ok(found) => found,
        Err(problem) => return Previewed { problem: Some(problem), ..Previewed::default() },
    };
    let mut answer = Previewed::default();
    for (row, why) in found.broken {
        answer.set_aside(PreviewAside {
            row,
            field: None,
            column: None,
            value: None,
            why: format!("第 {row} 行：{why}"),
        });
    }
    for (row, record) in &found.records {
        match typed(fields, *row, record) {
            Ok(fields) => {
                answer.kept += 1;
                if answer.rows.len() < ROWS {
                    answer.rows.push(PreviewRow { row: *row, fields });
                }
            }
            // Here every cell that is wrong is shown, not the first only.
            Err(aside) => {
                answer.set_aside += 1;
                let room = ROWS.saturating_sub(answer.aside.len());
                answer.aside.extend(aside.into_iter().take(room));
            }
        }
    }
    answer
}

impl Previewed {
    fn set_aside(&mut self, row: PreviewAside) {
        self.set_aside += 1;
        if self.aside.len() < ROWS {
            self.aside.push(row);
        }
    }
}

fn typed(
    rules: &BTreeMap<String, FieldRule>,
    row: usize,
    record: &Value,
) -> Result<BTreeMap<String, PreviewValue>, Vec<PreviewAside>> {
    let (mut kept, mut aside) = (BTreeMap::new(), Vec::new());
    for (name, rule) in rules {
        let value = record.pointer(&rule.at);
        match fields::read(rule, value) {
            Ok(Some(field)) => {
                kept.insert(name.clone(), PreviewValue { text: field.text, number: field.number });
            }
            Ok(None) => {}
            Err(why) => {
                let said = crate::SetAside::field(row, &rule.at, &why);
                let value = value.filter(|v| !v.is_null()).map(|v| match v {
                    Value::String(text) => text.chars().take(VALUE).collect(),
                    other => other.to_string().chars().take(VALUE).collect(),
                });
                let why = said.zh();
                aside.push(PreviewAside { row, field: Some(name.clone()), column: said.column, value, why });
            }
        }
    }
    if aside.is_empty() { Ok(kept) } else { Err(aside) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> BTreeMap<String, FieldRule> {
        runtime::config::parse("fields.toml", text).unwrap()
    }

    #[test]
    fn typed_rows_and_every_wrong_cell_are_shown_and_bounded() {
        let fields =
            fields("flat = { at = '/房号', as = 'door' }\nkwh = { at = '/用电', as = 'number', units = ['度'] }");
        let layout: Layout = runtime::config::parse("layout.toml", "format = 'csv'").unwrap();
        let text = "房号,用电\n0607,88.5度\n门口,88吨\n607,\"1,000\"\n\"";
        let found = attempt(&layout, &fields, &encoding_rs::GB18030.encode(text).0);
        assert_eq!((found.kept, found.set_aside, found.problem), (2, 2, None));
        assert_eq!(found.rows[0].fields["flat"], PreviewValue { text: "607".into(), number: Some(607.0) });
        assert_eq!(found.rows[1].fields["kwh"].number, Some(1_000.0));
        let told: Vec<_> = found.aside.iter().map(|a| (a.row, a.value.as_deref(), a.why.as_str())).collect();
        assert_eq!(
            told,
            [
                (5, None, "第 5 行：引号没有闭合"),
                (3, Some("门口"), "第 3 行“房号”：不是门牌号"),
                (3, Some("88吨"), "第 3 行“用电”：单位不是度"),
            ]
        );
        let many = json!((0..500).map(|i| json!({"房号": i, "用电": 1})).collect::<Vec<_>>()).to_string();
        let found = attempt(&Layout::default(), &fields, many.as_bytes());
        assert_eq!((found.kept, found.rows.len()), (500, ROWS));
        let found = attempt(&Layout::default(), &fields, b"<html>");
        assert!(found.kept == 0 && found.problem.unwrap().contains("JSON"));
    }
}
