//! Data rules: two departments' records joined by fields, with conditions, as data. Pure.

use std::collections::HashMap;

use serde::Deserialize;

use crate::records::{Field, Row};

/// Hits of one run; further ones are found by the next, and the run says so.
pub const MAX_HITS: usize = 200;

/// One side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Unit id of the department.
    pub department: String,
    /// Kind of its records.
    pub kind: String,
}

/// Which side a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// A condition; all that it gives must hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Whose field.
    pub side: Which,
    /// Field.
    pub field: String,
    /// More than this.
    #[serde(default)]
    pub above: Option<f64>,
    /// Less than this.
    #[serde(default)]
    pub below: Option<f64>,
    /// Just this.
    #[serde(default)]
    pub equals: Option<String>,
}

/// A rule over two departments' records.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRule {
    /// Id.
    pub id: String,
    /// Name, Chinese.
    pub name_zh: String,
    /// Left side.
    pub left: Side,
    /// Right side.
    pub right: Side,
    /// Fields that both sides share.
    pub join: Vec<String>,
    /// Conditions, all of which must hold.
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
    /// Kind of alarm of a finding.
    pub alarm: String,
    /// Place in words, with `{field}`s of either side (left first).
    pub place: String,
    /// What the alarm says, with `{field}`s.
    pub text_zh: String,
    /// How often it runs, seconds.
    pub every_s: u32,
}

/// The rules that come with the program.
pub fn shipped() -> Result<Vec<DataRule>, serde_json::Error> {
    serde_json::from_str(include_str!("../data/rules.json"))
}

/// Checks what types cannot; the error names the rule.
pub(crate) fn check(rules: &[DataRule]) -> Result<(), (String, &'static str)> {
    for (i, rule) in rules.iter().enumerate() {
        let bad = |message| Err((rule.id.clone(), message));
        if rule.id.is_empty() || rule.id.len() > 32 || rules.iter().take(i).any(|r| r.id == rule.id) {
            return bad("编号须为 1 到 32 字节且不重复 an id has 1 to 32 bytes and is used once");
        }
        if rule.join.is_empty() || rule.every_s < 1 {
            return bad("须有连接字段和间隔 join fields and an interval are needed");
        }
        let empty = |c: &Condition| c.above.is_none() && c.below.is_none() && c.equals.is_none();
        if rule.conditions.iter().any(empty) {
            return bad("条件为空 a condition is empty");
        }
    }
    Ok(())
}

/// A finding of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The joined values.
    pub(crate) key: String,
    pub(crate) place: String,
    pub(crate) text: String,
}

/// All findings, in the order of the left side, and whether there were more than [`MAX_HITS`].
pub(crate) fn evaluate(rule: &DataRule, left: &[Row], right: &[Row]) -> (Vec<Hit>, bool) {
    let join = |row: &Row| -> Option<Vec<String>> {
        rule.join.iter().map(|f| row.fields.get(f).map(|v| v.text.clone())).collect()
    };
    let mut by_key: HashMap<Vec<String>, Vec<&Row>> = HashMap::new();
    for row in right {
        if let Some(key) = join(row) {
            by_key.entry(key).or_default().push(row);
        }
    }
    let mut hits: Vec<Hit> = Vec::new();
    for l in left {
        let Some(key) = join(l) else { continue };
        let others = by_key.get(&key).map_or(&[][..], Vec::as_slice);
        let Some(r) = others.iter().find(|r| rule.conditions.iter().all(|c| holds(c, l, r))) else { continue };
        if hits.len() >= MAX_HITS {
            return (hits, true);
        }
        let key = key.join("/");
        if hits.iter().all(|h| h.key != key) {
            hits.push(Hit { key, place: fill(&rule.place, l, r), text: fill(&rule.text_zh, l, r) });
        }
    }
    (hits, false)
}

fn holds(condition: &Condition, left: &Row, right: &Row) -> bool {
    let row = if condition.side == Which::Left { left } else { right };
    let Some(Field { text, number }) = row.fields.get(&condition.field) else { return false };
    condition.above.is_none_or(|a| number.is_some_and(|n| n > a))
        && condition.below.is_none_or(|b| number.is_some_and(|n| n < b))
        && condition.equals.as_ref().is_none_or(|e| e == text)
}

/// Puts fields into a template. One pass, so that a value never acts as a template.
fn fill(template: &str, left: &Row, right: &Row) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        let field = left.fields.get(name).or_else(|| right.fields.get(name));
        out.push_str(field.map_or("", |f| f.text.as_str()));
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn row(fields: &[(&str, &str)]) -> Row {
        let field = |text: &str| Field { text: text.to_owned(), number: text.parse().ok() };
        Row { at: 0, fields: fields.iter().map(|(k, v)| ((*k).to_owned(), field(v))).collect() }
    }

    fn rule() -> DataRule {
        shipped().unwrap().remove(0)
    }

    fn home(flat: &str, status: &str) -> Row {
        row(&[("building", "b12"), ("unit", "2"), ("flat", flat), ("status", status), ("place", "12栋2单元0604")])
    }

    fn usage(flat: &str, kwh: &str) -> Row {
        row(&[("building", "b12"), ("unit", "2"), ("flat", flat), ("kwh_week", kwh)])
    }

    #[test]
    fn an_empty_flat_that_uses_power_is_found() {
        let left = [home("0604", "empty"), home("0605", "occupied"), home("0606", "empty"), home("0607", "empty")];
        let right = [usage("0604", "88.5"), usage("0605", "99"), usage("0606", "3")];
        let (hits, more) = evaluate(&rule(), &left, &right);
        assert!(!more);
        assert_eq!(hits.len(), 1);
        assert_eq!((hits[0].key.as_str(), hits[0].place.as_str()), ("b12/2/0604", "12栋2单元0604"));
        assert_eq!(hits[0].text, "登记空置的住房有用电：12栋2单元0604，一周用电 88.5 度");
    }

    #[test]
    fn templates_are_filled_once() {
        let (l, r) = (row(&[("a", "{b}"), ("b", "x")]), row(&[("a", "other"), ("c", "1")]));
        assert_eq!(fill("{a}-{c}-{nothing}-{", &l, &r), "{b}-1--{");
    }

    #[test]
    fn hits_are_bounded() {
        let left: Vec<_> = (0..MAX_HITS + 5).map(|i| home(&i.to_string(), "empty")).collect();
        let right: Vec<_> = (0..MAX_HITS + 5).map(|i| usage(&i.to_string(), "50")).collect();
        let (hits, more) = evaluate(&rule(), &left, &right);
        assert_eq!((hits.len(), more), (MAX_HITS, true));
    }

    #[test]
    fn unsound_rules_are_refused() {
        assert_eq!(check(&shipped().unwrap()), Ok(()));
        let empty = Condition { side: Which::Left, field: "x".into(), above: None, below: None, equals: None };
        assert!(check(&[DataRule { join: Vec::new(), ..rule() }]).is_err());
        assert!(check(&[DataRule { conditions: vec![empty], ..rule() }]).is_err());
        assert!(check(&[rule(), rule()]).is_err());
    }

    proptest! {
        #[test]
        fn a_hit_is_a_pair_that_meets_every_condition(
            left in prop::collection::vec((0..6_u8, any::<bool>()), 0..20),
            right in prop::collection::vec((0..6_u8, 0..40_u8), 0..20),
        ) {
            let rule = rule();
            let homes: Vec<_> = left.iter().map(|(f, e)| home(&f.to_string(), if *e { "empty" } else { "occupied" })).collect();
            let uses: Vec<_> = right.iter().map(|(f, k)| usage(&f.to_string(), &k.to_string())).collect();
            let (hits, _) = evaluate(&rule, &homes, &uses);
            let mut expect: Vec<String> = Vec::new();
            for (f, empty) in &left {
                let key = format!("b12/2/{f}");
                if *empty && right.iter().any(|(g, k)| f == g && *k > 20) && !expect.contains(&key) {
                    expect.push(key);
                }
            }
            prop_assert_eq!(hits.iter().map(|h| h.key.clone()).collect::<Vec<_>>(), expect);
        }

        #[test]
        fn templates_never_panic(template in "\\PC{0,40}", value in "\\PC{0,10}") {
            let l = row(&[("a", &value)]);
            let _ = fill(&template, &l, &l);
        }
    }
}
