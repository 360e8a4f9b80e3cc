//! Records of departments: plausible rows about the site, made from the seed. Energy and housing know the same flats,
//! so that a rule over both can find a flat that is registered as empty and uses power.

use domain::{
    ids::BuildingId,
    site::{Building, Site},
};
use serde_json::{Value, json};

use crate::{people::households, seed::Dice};

/// A flat by building, unit, floor and flat of the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat {
    /// Building.
    pub building: BuildingId,
    /// Its number.
    pub number: u16,
    /// Stairwell unit.
    pub unit: u8,
    /// Door, e.g. `0604`.
    pub door: String,
}

impl Flat {
    /// The place as people write it.
    pub fn words(&self) -> String {
        format!("{}栋{}单元{}", self.number, self.unit, self.door)
    }

    fn json(&self) -> Value {
        json!({"building": self.building.as_str(), "unit": self.unit, "flat": self.door, "place_text": self.words()})
    }
}

/// The flats of a building without a household.
pub fn empty_flats(site: &Site, seed: u64, b: &Building) -> Vec<Flat> {
    let taken: std::collections::BTreeSet<_> =
        households(site, seed, &b.id).into_iter().map(|h| (h.unit, h.floor, h.flat)).collect();
    let flats = (1..=b.units).flat_map(|u| (1..=b.floors).map(move |f| (u, f)));
    flats
        .flat_map(|(u, f)| (1..=b.flats_per_floor).map(move |d| (u, f, d)))
        .filter(|flat| !taken.contains(flat))
        .map(|(unit, floor, flat)| Flat {
            building: b.id.clone(),
            number: b.number,
            unit,
            door: format!("{floor:02}{flat:02}"),
        })
        .collect()
}

/// Housing's row about a flat.
pub fn occupancy(flat: &Flat, empty: bool) -> Value {
    with(flat.json(), json!({"status": if empty { "empty" } else { "occupied" }}))
}

/// Energy's row about a flat: a week's consumption, kWh.
pub fn electricity(flat: &Flat, kwh: f64) -> Value {
    with(flat.json(), json!({"kwh_week": (kwh * 10.0).round() / 10.0}))
}

fn with(mut row: Value, more: Value) -> Value {
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

/// A batch of ordinary rows of a department: its kind and the rows. Departments that the site does not know have none.
pub fn batch(site: &Site, seed: u64, department: &str, dice: &mut Dice) -> Option<(&'static str, Vec<Value>)> {
    let count = 4 + dice.below(5);
    let mut rows = Vec::with_capacity(count);
    let mut kind = "";
    for _ in 0..count {
        let b = dice.pick(&site.buildings)?;
        let (k, row) = row(site, seed, department, b, dice)?;
        kind = k;
        rows.push(row);
    }
    Some((kind, rows))
}

fn row(site: &Site, seed: u64, department: &str, b: &Building, dice: &mut Dice) -> Option<(&'static str, Value)> {
    let at = |more: Value| with(json!({"building": b.id.as_str(), "place_text": b.name.zh}), more);
    let lived = |dice: &mut Dice| {
        let homes = households(site, seed, &b.id);
        let home = dice.pick(&homes)?;
        Some(Flat { building: b.id.clone(), number: b.number, unit: home.unit, door: home.door() })
    };
    Some(match department {
        "housing" => {
            let empty = empty_flats(site, seed, b);
            match dice.pick(&empty).cloned() {
                Some(flat) if dice.chance(0.3) => ("occupancy", occupancy(&flat, true)),
                _ => ("occupancy", occupancy(&lived(dice)?, false)),
            }
        }
        "energy" => ("electricity", electricity(&lived(dice)?, dice.between(12.0, 58.0))),
        "police" => ("beat", at(json!({"result": "normal", "minutes": 5 + dice.below(20)}))),
        "petitions" => {
            ("visit", at(json!({"topic": dice.pick(&["物业", "就业", "邻里", "证照"])?, "closed": dice.chance(0.8)})))
        }
        "fire" => (
            "inspection",
            at(json!({"item": dice.pick(&["灭火器", "消火栓", "疏散指示", "防火门"])?, "passed": dice.chance(0.94)})),
        ),
        "transport" => ("parking", at(json!({"free": dice.below(40), "places": 60}))),
        "environment" => {
            ("air", at(json!({"pm25": dice.between(8.0, 46.0).round(), "noise_db": dice.between(42.0, 61.0).round()})))
        }
        "urban_management" => (
            "street",
            at(json!({"item": dice.pick(&["垃圾箱", "路灯", "绿化", "摊位"])?, "normal": dice.chance(0.92)})),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_department_of_the_site_has_rows_and_others_have_none() {
        let site = site::built_in();
        let mut dice = Dice::new(1, "records");
        for unit in site.units.iter().filter(|u| u.kind == domain::site::UnitKind::Department) {
            let (kind, rows) = batch(&site, 1, unit.id.as_str(), &mut dice).unwrap();
            assert!(!kind.is_empty() && rows.len() >= 4, "{}", unit.id);
            assert!(rows.iter().all(|r| r.get("building").is_some()), "{}", unit.id);
        }
        assert!(batch(&site, 1, "weather", &mut dice).is_none());
    }

    #[test]
    fn empty_flats_are_those_without_a_household() {
        let site = site::built_in();
        for b in &site.buildings {
            let flats = usize::from(b.units) * usize::from(b.floors) * usize::from(b.flats_per_floor);
            assert_eq!(empty_flats(&site, 1, b).len(), flats - usize::from(b.households), "{}", b.id);
        }
    }
}
