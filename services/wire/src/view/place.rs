//! A place with the words that people say for it.

use domain::site::{Building, Name, Place, Precision, Site};

use crate::feed;

/// The place for a screen; `flat` tells whether the flat may be shown.
pub fn place(site: Option<&Site>, place: &Place, flat: bool) -> feed::Place {
    let number = place.flat.filter(|_| flat);
    let grid = site.and_then(|s| s.grid(&place.grid));
    let label = label(site, place, number);
    feed::Place {
        grid: place.grid.to_string(),
        building: place.building.as_ref().map(ToString::to_string).unwrap_or_default(),
        landmark: place.landmark.as_ref().map(ToString::to_string).unwrap_or_default(),
        unit: place.unit.unwrap_or_default().into(),
        floor: place.floor.unwrap_or_default().into(),
        flat: number.unwrap_or_default().into(),
        point: Some(feed::Point { x: place.point.x, y: place.point.y }),
        verified: place.precision == Precision::Verified,
        label_zh: label.zh,
        label_en: label.en,
        community: grid.map(|g| g.community.to_string()).unwrap_or_default(),
    }
}

/// Building, else landmark, else grid; ids where the site does not know them.
fn label(site: Option<&Site>, place: &Place, flat: Option<u8>) -> Name {
    if let Some(id) = &place.building {
        let known = site.and_then(|s| s.building(id));
        return inside(&known.map_or_else(|| bare(id), building_name), place, flat);
    }
    if let Some(id) = &place.landmark {
        return site.and_then(|s| s.landmark(id)).map_or_else(|| bare(id), |l| l.name.clone());
    }
    let grid = site.and_then(|s| s.grid(&place.grid));
    if place.is_unknown() {
        return Name { zh: "地点不明".to_owned(), en: "Place unknown".to_owned() };
    }
    let Some(grid) = grid else { return bare(&place.grid) };
    let community = site.and_then(|s| s.communities.iter().find(|c| c.id == grid.community));
    let (zh, en) = community.map_or(("", ""), |c| (c.name.zh.as_str(), c.name.en.as_str()));
    let comma = if en.is_empty() || grid.name.en.is_empty() { "" } else { ", " };
    Name { zh: format!("{zh}{}", grid.name.zh), en: format!("{en}{comma}{}", grid.name.en) }
}

fn bare(id: &impl ToString) -> Name {
    Name { zh: id.to_string(), en: id.to_string() }
}

fn building_name(building: &Building) -> Name {
    let mut name = building.name.clone();
    if name.en.is_empty() {
        name.en = format!("Building {}", building.number);
    }
    name
}

/// 12栋2单元6层, or 12栋2单元604室; basements count down from 地下1层.
fn inside(building: &Name, place: &Place, flat: Option<u8>) -> Name {
    let (mut zh, mut en) = (building.zh.clone(), building.en.clone());
    if let Some(unit) = place.unit {
        zh.push_str(&format!("{unit}单元"));
        en.push_str(&format!(", unit {unit}"));
    }
    let (in_zh, in_en) = match (place.floor, flat) {
        (Some(floor), Some(flat)) if floor > 0 => (format!("{floor}{flat:02}室"), format!(", flat {floor}{flat:02}")),
        (Some(floor), _) if floor < 0 => {
            (format!("地下{}层", floor.unsigned_abs()), format!(", basement {}", floor.unsigned_abs()))
        }
        (Some(floor), _) => (format!("{floor}层"), format!(", floor {floor}")),
        (None, _) => return Name { zh, en },
    };
    zh.push_str(&in_zh);
    en.push_str(&in_en);
    Name { zh, en }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn labels(change: impl FnOnce(&mut Place), flat: bool) -> (String, String) {
        let mut at = samples::place();
        change(&mut at);
        let shown = place(Some(&samples::site()), &at, flat);
        (shown.label_zh, shown.label_en)
    }

    #[test]
    fn says_what_people_say() {
        let pair = |zh: &str, en: &str| (zh.to_owned(), en.to_owned());
        assert_eq!(labels(|_| (), true), pair("12栋2单元604室", "Building 12, unit 2, flat 604"));
        assert_eq!(labels(|_| (), false), pair("12栋2单元6层", "Building 12, unit 2, floor 6"));
        assert_eq!(labels(|p| p.floor = None, true), pair("12栋2单元", "Building 12, unit 2"));
        assert_eq!(labels(|p| p.floor = Some(-1), true), pair("12栋2单元地下1层", "Building 12, unit 2, basement 1"));
        assert_eq!(labels(|p| p.building = None, true), pair("广场", "Square"));
        let grid = |p: &mut Place| (p.building, p.landmark) = (None, None);
        assert_eq!(labels(grid, true), pair("第一社区第6网格", "Community 1, Grid 6"));
        assert_eq!(labels(|p| p.building = Some("b99".into()), false).0, "b992单元6层");
    }

    #[test]
    fn a_flat_is_facts_for_nobody() {
        let shown = place(Some(&samples::site()), &samples::place(), false);
        assert_eq!((shown.unit, shown.floor, shown.flat), (2, 6, 0));
        assert_eq!(place(None, &samples::place(), true).flat, 4);
    }
}
