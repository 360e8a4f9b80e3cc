//! The bodies of inbound calls, field by field, so that each error names its field. Unknown members are ignored: a
//! department may send more than we need. Pure and total.

use domain::{
    event::Mode,
    ids::{ClassId, TaskId},
    task::FeedbackResult,
    text::MAX_TEXT,
};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Records of one call.
const MAX_RECORDS: usize = 500;
/// Longest number of a department, characters.
const MAX_EXTERNAL: usize = 64;

/// What a department says.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    Update(Update),
    Report(Report),
    Records(Rows),
}

#[derive(Debug, PartialEq)]
pub(super) struct Update {
    pub(super) task: TaskId,
    pub(super) step: Step,
    pub(super) mode: Mode,
    pub(super) text: Option<String>,
    pub(super) external: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Acknowledge,
    EnRoute,
    OnScene,
    Feedback(FeedbackResult),
    Decline,
}

#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) external: Option<String>,
    pub(super) class: ClassId,
    pub(super) place_text: String,
    pub(super) text: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    pub(super) kind: String,
    pub(super) records: Vec<Value>,
}

struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map(Self).map_err(|_| Problem::malformed())
    }

    /// A text, trimmed; `None` when missing, null or empty.
    fn text(&self, name: &str, most: usize) -> Result<Option<String>, Problem> {
        let text = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(Problem::field(name)),
        };
        let controls = text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if controls || text.chars().count() > most {
            return Err(Problem::field(name));
        }
        Ok(Some(text.to_owned()).filter(|t| !t.is_empty()))
    }

    fn needed(&self, name: &str, most: usize) -> Result<String, Problem> {
        self.text(name, most)?.ok_or_else(|| Problem::field(name))
    }

    /// An id as a number or as its digits.
    fn number(&self, name: &str) -> Result<u64, Problem> {
        let number = match self.0.get(name) {
            Some(Value::Number(n)) => n.as_u64(),
            Some(Value::String(s)) => s.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| Problem::field(name))
    }

    /// A time in ms, checked only: the writer's own clock orders events.
    fn time(&self, name: &str) -> Result<(), Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(()),
            Some(v) if v.as_i64().is_some_and(|t| t >= 0) => Ok(()),
            Some(_) => Err(Problem::field(name)),
        }
    }
}

/// Reads what a department says.
pub(super) fn department(body: &[u8]) -> Result<What, Problem> {
    let mut fields = Fields::read(body)?;
    match fields.needed("type", 32)?.as_str() {
        "task_update" => update(&fields).map(What::Update),
        "report" => Ok(What::Report(Report {
            external: fields.text("external_number", MAX_EXTERNAL)?,
            class: ClassId::new(fields.needed("class", 64)?),
            place_text: fields.needed("place_text", 200)?,
            text: fields.text("text", MAX_TEXT)?,
        })),
        "records" => {
            let kind = fields.needed("kind", 64)?;
            match fields.0.remove("records") {
                Some(Value::Array(records)) if records.len() <= MAX_RECORDS => {
                    Ok(What::Records(Rows { kind, records }))
                }
                _ => Err(Problem::field("records")),
            }
        }
        _ => Err(Problem::field("type")),
    }
}

fn update(fields: &Fields) -> Result<Update, Problem> {
    fields.time("at")?;
    let text = fields.text("text", MAX_TEXT)?;
    let result = match fields.text("result", 32)? {
        None => FeedbackResult::Done,
        Some(name) => FeedbackResult::parse(&name).ok_or_else(|| Problem::field("result"))?,
    };
    let step = match fields.needed("step", 32)?.as_str() {
        "acknowledge" => Step::Acknowledge,
        "en_route" => Step::EnRoute,
        "on_scene" => Step::OnScene,
        "feedback" => Step::Feedback(result),
        "decline" => Step::Decline,
        _ => return Err(Problem::field("step")),
    };
    if text.is_none() && matches!(step, Step::Feedback(_) | Step::Decline) {
        return Err(Problem::field("text"));
    }
    let mode = match fields.text("mode", 16)? {
        None => Mode::Real,
        Some(name) => Mode::parse(&name).ok_or_else(|| Problem::field("mode"))?,
    };
    let task = TaskId(fields.number("task")?);
    Ok(Update { task, step, mode, text, external: fields.text("external_number", MAX_EXTERNAL)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bodies() {
        let body = r#"{"type":"task_update","task":7,"step":"acknowledge","at":1700000000000,"text":"已签收","external_number":"XF-1"}"#;
        let What::Update(u) = department(body.as_bytes()).unwrap() else { panic!("an update") };
        assert_eq!((u.task, u.step, u.mode), (TaskId(7), Step::Acknowledge, Mode::Real));
        assert_eq!((u.text.as_deref(), u.external.as_deref()), (Some("已签收"), Some("XF-1")));
        let body = r#"{"type":"task_update","task":"8","step":"feedback","text":"x","result":"nothing_found","mode":"exercise"}"#;
        let What::Update(u) = department(body.as_bytes()).unwrap() else { panic!("an update") };
        assert_eq!((u.task, u.step, u.mode), (TaskId(8), Step::Feedback(FeedbackResult::NothingFound), Mode::Exercise));
        let body = r#"{"type":"report","class":"fire_lane","place_text":"12栋2单元","text":"停有车辆"}"#;
        assert!(matches!(department(body.as_bytes()), Ok(What::Report(r)) if r.external.is_none()));
        let body = r#"{"type":"records","kind":"occupancy","records":[{"flat":"0604"}]}"#;
        assert!(matches!(department(body.as_bytes()), Ok(What::Records(r)) if r.records.len() == 1));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let cases = [
            ("", None),
            ("[]", None),
            ("null", None),
            ("{", None),
            ("{}", Some("type")),
            (r#"{"type":1}"#, Some("type")),
            (r#"{"type":"dance"}"#, Some("type")),
            (r#"{"type":"task_update"}"#, Some("step")),
            (r#"{"type":"task_update","step":"acknowledge"}"#, Some("task")),
            (r#"{"type":"task_update","step":"acknowledge","task":-1}"#, Some("task")),
            (r#"{"type":"task_update","step":"acknowledge","task":1.5}"#, Some("task")),
            (r#"{"type":"task_update","step":"fly","task":1}"#, Some("step")),
            (r#"{"type":"task_update","step":"acknowledge","task":1,"at":"now"}"#, Some("at")),
            (r#"{"type":"task_update","step":"feedback","task":1}"#, Some("text")),
            (r#"{"type":"task_update","step":"decline","task":1,"text":"  "}"#, Some("text")),
            (r#"{"type":"task_update","step":"feedback","task":1,"text":"x","result":"maybe"}"#, Some("result")),
            (r#"{"type":"task_update","step":"acknowledge","task":1,"mode":"dream"}"#, Some("mode")),
            (r#"{"type":"task_update","step":"acknowledge","task":1,"text":"a\u0000b"}"#, Some("text")),
            (r#"{"type":"report","place_text":"12栋"}"#, Some("class")),
            (r#"{"type":"report","class":"fire"}"#, Some("place_text")),
            (r#"{"type":"records","records":[]}"#, Some("kind")),
            (r#"{"type":"records","kind":"x"}"#, Some("records")),
            (r#"{"type":"records","kind":"x","records":{}}"#, Some("records")),
        ];
        for (body, field) in cases {
            let problem = department(body.as_bytes()).unwrap_err();
            assert_eq!((problem.status.as_u16(), problem.field.as_deref()), (422, field), "{body}");
        }
        let many = format!(r#"{{"type":"records","kind":"x","records":[{}1]}}"#, "1,".repeat(MAX_RECORDS));
        assert!(department(many.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = department(&bytes);
        }

        #[test]
        fn no_values_panic(kind in prop::sample::select(vec!["task_update", "report", "records"]),
                           field in prop::sample::select(vec!["task", "step", "text", "at", "class", "place_text", "records", "kind"]),
                           value in "(null|true|-1|1e300|\"\\PC{0,8}\"|\\[\\]|\\{\\})") {
            let _ = department(format!(r#"{{"type":"{kind}","{field}":{value}}}"#).as_bytes());
        }
    }
}
