//! Records of departments as the edge shows them: where they come from, and what a mapping makes of a sample. The shapes
//! are those of the exchange; the binary hands them over as JSON, also between nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A source of records, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordSource {
    /// Id; `push` = what the department sends, `pull` = its usual address.
    pub id: String,
    /// Newest records, ms since 1970.
    pub last_ms: Option<i64>,
    /// Records kept since the start.
    pub kept: u64,
    /// Rows set aside since the start.
    pub set_aside: u64,
    /// Why the last round ended early, Chinese.
    pub problem: Option<String>,
    /// The newest rows that were set aside, at most 20: one Chinese sentence each, without values.
    pub rows: Vec<String>,
}

/// How an answer or a file holds records; what is left out is as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewLayout {
    /// `json` or `csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// JSON pointer to the list of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// `auto`, `utf-8` or `gb18030`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Between cells, one character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Lines before the heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
}

/// How a field is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewField {
    /// JSON pointer into the record; a column of a table is `/heading`.
    pub at: String,
    /// `plain`, `door`, `number`, `date`, `truth`, `digits` or `id_card`; left out = `plain`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Units that a number may have.
    #[serde(default)]
    pub units: Vec<String>,
    /// Their words for ours.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// The record counts without it.
    #[serde(default)]
    pub optional: bool,
}

/// A sample, and what to try on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Unit of the department.
    pub unit: String,
    /// Kind of records whose mapping is tried; null = the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Source whose layout is tried; null = a list of records, as the department sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A layout in place of the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<PreviewLayout>,
    /// Fields in place of the mapping's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<BTreeMap<String, PreviewField>>,
    /// The answer or file, within the bound of a request.
    pub sample: String,
    /// The sample is base64 of its bytes: for tables that are not UTF-8.
    #[serde(default)]
    pub base64: bool,
}

/// A value as it would be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviewValue {
    /// As text.
    pub text: String,
    /// As a number; dates are ms since 1970.
    pub number: Option<f64>,
}

/// A record as it would be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviewRow {
    /// Line of the table, or place in the list, from 1.
    pub row: usize,
    /// Fields that are there.
    pub fields: BTreeMap<String, PreviewValue>,
}

/// A cell or row for which a row would be set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewAside {
    /// Line of the table, or place in the list, from 1.
    pub row: usize,
    /// Field of the mapping.
    pub field: Option<String>,
    /// Column or JSON path; null = the whole row.
    pub column: Option<String>,
    /// What stands there, cut.
    pub value: Option<String>,
    /// Why, one Chinese sentence.
    pub why: String,
}

/// What a mapping makes of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Previewed {
    /// Records that would be kept.
    pub kept: usize,
    /// Rows that would be set aside.
    pub set_aside: usize,
    /// Why nothing of it can be read, Chinese.
    pub problem: Option<String>,
    /// The first records, at most 100.
    pub rows: Vec<PreviewRow>,
    /// The first cells and rows that are wrong, at most 100.
    pub aside: Vec<PreviewAside>,
}

/// Why nothing is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreviewRefused {
    /// This field of the request names nothing, or is unsound.
    Field(String),
    /// The core does not answer.
    Unavailable,
}
