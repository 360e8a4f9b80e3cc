//! What the configuration names must be there: sensors, cameras, units, grids, kinds of alarms, departments and the fields
//! of their records. Found here, and not when somebody needs it.

use std::collections::BTreeSet;

use domain::site::Site;

use crate::config::Config;

/// A name that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Dotted table.
    pub(crate) table: &'static str,
    /// The entry of it that has the name, as it stands in the file; none = the table itself.
    pub(crate) entry: Option<String>,
    /// Its key.
    pub(crate) key: String,
    /// What is wrong, in both languages.
    pub(crate) message: String,
}

/// The first one.
pub(crate) fn missing(config: &Config, site: &Site) -> Option<Missing> {
    sensors(config, site)
        .or_else(|| cameras(config, site))
        .or_else(|| accounts(config, site))
        .or_else(|| departments(config, site))
        .or_else(|| data_rules(config, site))
}

fn at(table: &'static str, entry: &str, key: &str, message: String) -> Missing {
    Missing { table, entry: Some(entry.to_owned()), key: key.to_owned(), message }
}

fn sensors(config: &Config, site: &Site) -> Option<Missing> {
    let lost = |(name, sensor): (&String, &String)| {
        let lost = site.sensor(&sensor.as_str().into()).is_none();
        lost.then(|| Missing {
            table: "sensing.devices",
            entry: None,
            key: name.clone(),
            message: format!("现场没有传感器 the site has no sensor {sensor}"),
        })
    };
    config.sensing.devices.iter().find_map(lost)
}

fn cameras(config: &Config, site: &Site) -> Option<Missing> {
    let mut seen = BTreeSet::new();
    config.video.cameras.iter().find_map(|camera| {
        let bad = |message: &str| Some(at("video.cameras", &camera.id, "id", message.to_owned()));
        if !seen.insert(&camera.id) {
            return bad("编号重复 the id is used twice");
        }
        if site.camera(&camera.id.as_str().into()).is_none() {
            return bad("现场没有这路摄像头 the site has no such camera");
        }
        None
    })
}

fn accounts(config: &Config, site: &Site) -> Option<Missing> {
    config.accounts.iter().find_map(|account| {
        let unit = account.unit.as_ref().filter(|u| site.unit(&u.as_str().into()).is_none());
        let grid = account.grid.as_ref().filter(|g| site.grids.iter().all(|grid| grid.id.as_str() != g.as_str()));
        match (unit, grid) {
            (Some(unit), _) => {
                let message = format!("现场没有单位 the site has no unit {unit}");
                Some(at("accounts", &account.id, "unit", message))
            }
            (None, Some(grid)) => {
                let message = format!("现场没有网格 the site has no grid {grid}");
                Some(at("accounts", &account.id, "grid", message))
            }
            (None, None) => None,
        }
    })
}

fn departments(config: &Config, site: &Site) -> Option<Missing> {
    config.exchange.departments.iter().find_map(|department| {
        let bad = |key: &str, message: String| Some(at("exchange.departments", &department.unit, key, message));
        if site.unit(&department.unit.as_str().into()).is_none() {
            return bad("unit", "现场没有这个单位 the site has no such unit".to_owned());
        }
        for (kind, mapping) in &department.records {
            if let Some(field) = mapping.key.iter().find(|k| !mapping.fields.contains_key(*k)) {
                return bad("records", format!("{kind}: 没有字段 there is no field {field}"));
            }
        }
        None
    })
}

fn data_rules(config: &Config, site: &Site) -> Option<Missing> {
    config.exchange.data_rules.iter().find_map(|rule| {
        let bad = |key: &str, message: String| Some(at("exchange.data_rules", &rule.id, key, message));
        if site.alarm_kinds.iter().all(|kind| kind.id.as_str() != rule.alarm) {
            return bad("alarm", format!("没有这种告警 there is no kind of alarm {}", rule.alarm));
        }
        let mut fields = Vec::new();
        for (key, side) in [("left", &rule.left), ("right", &rule.right)] {
            let Some(department) = config.exchange.departments.iter().find(|d| d.unit == side.department) else {
                return bad(key, format!("没有部门 there is no department {}", side.department));
            };
            let Some(mapping) = department.records.get(&side.kind) else {
                let message = format!("{} 没有记录 it has no records of kind {}", side.department, side.kind);
                return bad(key, message);
            };
            fields.push(&mapping.fields);
        }
        let [left, right] = fields.as_slice() else { return None };
        if let Some(field) = rule.join.iter().find(|f| !left.contains_key(*f) || !right.contains_key(*f)) {
            return bad("join", format!("两边都须有字段 both sides need the field {field}"));
        }
        for condition in &rule.conditions {
            let of = if condition.side == exchange::rules::Which::Left { left } else { right };
            if !of.contains_key(&condition.field) {
                return bad("where", format!("没有字段 there is no field {}", condition.field));
            }
        }
        for (key, template) in [("place", &rule.place), ("text_zh", &rule.text_zh)] {
            let named = template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
            let lost = named.into_iter().find(|name| !left.contains_key(*name) && !right.contains_key(*name));
            if let Some(field) = lost {
                return bad(key, format!("没有字段 there is no field {field}"));
            }
        }
        None
    })
}
