//! Units that take tasks: eight departments, two firms and a team for each grid. Data, never matched on by code.

use domain::{
    ids::UnitId,
    site::{Grid, Unit, UnitKind},
};

use super::name;

/// Id, Chinese, English, initials (unique), capacity.
const DEPARTMENTS: [(&str, &str, &str, &str, u16); 8] = [
    ("police", "公安", "Police", "ga", 4),
    ("petitions", "信访", "Petitions", "xinf", 3),
    ("housing", "住建", "Housing", "zj", 3),
    ("fire", "消防", "Fire", "xf", 3),
    ("transport", "交通", "Transport", "jt", 3),
    ("energy", "能源", "Energy", "ny", 2),
    ("environment", "环保", "Environment", "hb", 3),
    ("urban_management", "城管", "Urban management", "cg", 4),
];
const FIRMS: [(&str, &str, &str, &str, u16); 2] =
    [("property", "物业", "Property", "wy", 3), ("lift_firm", "电梯维保", "Lift maintenance", "wb", 2)];

pub(super) fn all(grids: &[Grid]) -> Vec<Unit> {
    let unit = |kind, (id, zh, en, initials, capacity): (&str, &str, &str, &str, u16)| Unit {
        id: id.into(),
        kind,
        name: name(zh, en),
        initials: initials.to_owned(),
        capacity,
        grid: None,
    };
    let teams = grids.iter().enumerate().map(|(i, grid)| Unit {
        id: UnitId::new(format!("grid_{}", i + 1)),
        kind: UnitKind::Grid,
        name: name(format!("{}组", grid.name.zh), format!("{} team", grid.name.en)),
        initials: format!("wg{}", i + 1),
        capacity: 3,
        grid: Some(grid.id.clone()),
    });
    DEPARTMENTS
        .map(|d| unit(UnitKind::Department, d))
        .into_iter()
        .chain(FIRMS.map(|f| unit(UnitKind::Firm, f)))
        .chain(teams)
        .collect()
}
