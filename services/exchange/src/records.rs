//! Records of departments: only mapped fields, only the newest of each thing, only so many. In memory: after a restart
//! they come again by pull and push.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::Value;

use crate::{
    config::{Connector, Mapping},
    fields,
    tally::SetAside,
};

/// Records of one kind of one department; the oldest go.
pub(crate) const MOST: usize = 20_000;

/// A field's value as text; numbers also as numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) text: String,
    pub(crate) number: Option<f64>,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// When it came, ms.
    pub(crate) at: i64,
    pub(crate) fields: BTreeMap<String, Field>,
}

#[derive(Debug, Default)]
struct Window {
    rows: HashMap<Vec<String>, (u64, Row)>,
    order: VecDeque<(u64, Vec<String>)>,
    count: u64,
}

/// All records.
#[derive(Debug)]
pub(crate) struct Records {
    windows: BTreeMap<(String, String), (Mapping, Window)>,
    /// Records that went because the window was full.
    pub(crate) dropped: u64,
}

/// Reads a record, the `number`th of its list or table.
pub(crate) fn read(mapping: &Mapping, number: usize, record: &Value, at: i64) -> Result<Row, SetAside> {
    let mut fields = BTreeMap::new();
    for (name, rule) in &mapping.fields {
        match fields::read(rule, record.pointer(&rule.at)) {
            Ok(Some(field)) => {
                fields.insert(name.clone(), field);
            }
            Ok(None) => {}
            Err(why) => return Err(SetAside::field(number, &rule.at, &why)),
        }
    }
    Ok(Row { at, fields })
}

impl Records {
    pub(crate) fn new(connectors: &[Connector]) -> Self {
        let kinds = connectors.iter().flat_map(|c| c.records.iter().map(move |(kind, m)| (c, kind, m)));
        let windows =
            kinds.map(|(c, kind, m)| ((c.unit.clone(), kind.clone()), (m.clone(), Window::default()))).collect();
        Self { windows, dropped: 0 }
    }

    /// How records of this kind are read; `None` = they are not kept.
    pub(crate) fn mapping(&self, unit: &str, kind: &str) -> Option<&Mapping> {
        self.windows.get(&(unit.to_owned(), kind.to_owned())).map(|(m, _)| m)
    }

    /// Keeps rows; a row about the same thing replaces the older one.
    pub(crate) fn keep(&mut self, unit: &str, kind: &str, rows: Vec<Row>) {
        let Some((mapping, window)) = self.windows.get_mut(&(unit.to_owned(), kind.to_owned())) else { return };
        for row in rows {
            let key: Vec<_> = mapping.key.iter().filter_map(|k| row.fields.get(k)).map(|f| f.text.clone()).collect();
            window.count += 1;
            window.rows.insert(key.clone(), (window.count, row));
            window.order.push_back((window.count, key));
            self.dropped += window.trim();
        }
    }

    /// Records of a kind that still count at `now`, the oldest first.
    pub(crate) fn current(&self, unit: &str, kind: &str, now: i64) -> Vec<Row> {
        let Some((mapping, window)) = self.windows.get(&(unit.to_owned(), kind.to_owned())) else { return Vec::new() };
        let since = now.saturating_sub(i64::from(mapping.keep_s) * 1_000);
        let mut rows: Vec<_> = window.rows.values().filter(|(_, r)| r.at >= since).collect();
        rows.sort_by_key(|(n, _)| *n);
        rows.into_iter().map(|(_, row)| row.clone()).collect()
    }
}

impl Window {
    /// Removes the oldest rows beyond the bound, and entries of the order that newer rows made void.
    fn trim(&mut self) -> u64 {
        let mut dropped = 0;
        while self.rows.len() > MOST || self.order.len() > 2 * MOST || self.void() {
            let Some((n, key)) = self.order.pop_front() else { break };
            if self.rows.get(&key).is_some_and(|(newest, _)| *newest == n) {
                self.rows.remove(&key);
                dropped += 1;
            }
        }
        dropped
    }

    fn void(&self) -> bool {
        let front = self.order.front();
        front.is_some_and(|(n, key)| self.rows.get(key).is_none_or(|(newest, _)| newest != n))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::config::Secret;

    fn mapping() -> Mapping {
        let fields = [("flat", "/at/flat"), ("kwh", "/kwh")].map(|(a, b)| (a.to_owned(), b.to_owned().into()));
        Mapping { fields: fields.into(), key: vec!["flat".into()], keep_s: 100 }
    }

    fn records() -> Records {
        let connector = Connector {
            unit: "energy".into(),
            secret: Secret::new("0123456789abcdef"),
            window_s: 300,
            push: None,
            pull: None,
            sources: Vec::new(),
            records: [("use".to_owned(), mapping())].into(),
            fresh_for_s: 1,
            late_for_s: 1,
            next: Vec::new(),
            red_limit_s: 60,
        };
        Records::new(&[connector])
    }

    fn row(flat: &str, kwh: f64, at: i64) -> Row {
        read(&mapping(), 1, &json!({"at": {"flat": flat}, "kwh": kwh, "name": "not kept"}), at).unwrap()
    }

    #[test]
    fn only_mapped_scalars_are_read() {
        let found = row("0604", 1.5, 9);
        assert_eq!(found.fields.len(), 2);
        assert_eq!(found.fields["kwh"], Field { text: "1.5".into(), number: Some(1.5) });
        assert_eq!(found.fields["flat"].text, "0604");
        for (bad, column, why) in [
            (json!({"at": {"flat": "1"}}), "kwh", "缺少值"),
            (json!({"at": {"flat": null}, "kwh": 1}), "at/flat", "缺少值"),
            (json!({"at": {"flat": []}, "kwh": 1}), "at/flat", "不是单个值"),
            (json!({"at": {"flat": "x".repeat(257)}, "kwh": 1}), "at/flat", "内容过长"),
            (json!([]), "at/flat", "缺少值"),
        ] {
            let aside = read(&mapping(), 3, &bad, 0).unwrap_err();
            assert_eq!(aside.zh(), format!("第 3 行“{column}”：{why}"), "{bad}");
        }
    }

    #[test]
    fn the_newest_record_of_a_thing_counts_for_its_time() {
        let mut records = records();
        records.keep("energy", "use", vec![row("1", 1.0, 0), row("2", 2.0, 1), row("1", 3.0, 2)]);
        let kwh = |rows: Vec<Row>| rows.iter().map(|r| r.fields["kwh"].number.unwrap()).collect::<Vec<_>>();
        assert_eq!(kwh(records.current("energy", "use", 50_000)), [2.0, 3.0]);
        assert_eq!(kwh(records.current("energy", "use", 100_002)), [3.0]);
        records.keep("energy", "other", vec![row("1", 1.0, 0)]);
        assert!(records.current("energy", "other", 0).is_empty());
    }

    #[test]
    fn a_flood_of_records_stays_within_its_bound() {
        let mut records = records();
        for i in 0..MOST + 10 {
            records.keep("energy", "use", vec![row(&i.to_string(), 1.0, 0)]);
        }
        for _ in 0..3 * MOST {
            records.keep("energy", "use", vec![row("same", 1.0, 0)]);
        }
        let window = &records.windows[&("energy".to_owned(), "use".to_owned())].1;
        assert!(window.rows.len() <= MOST && window.order.len() <= 2 * MOST);
        assert!(records.dropped >= 11, "{}", records.dropped);
    }
}
