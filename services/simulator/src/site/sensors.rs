//! About 500 sensors over all kinds, at places where such devices hang.

use domain::{
    ids::{GridId, LandmarkId, SensorId},
    site::{Building, Grid, Landmark, LandmarkKind, Name, Place, Point, Precision, Sensor, SensorKind},
};

use super::{
    Roads, frame,
    geometry::{along, moved},
    grid_at, name,
};
use crate::seed::Dice;

/// Chinese, English and the id's first word of a kind.
pub(super) const fn words(kind: SensorKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        SensorKind::Smoke => ("烟感", "smoke detector", "smoke"),
        SensorKind::CallPoint => ("手动报警按钮", "call point", "call"),
        SensorKind::Gas => ("燃气探测器", "gas detector", "gas"),
        SensorKind::ElectricalFire => ("电气火灾监测", "electrical fire monitor", "elec"),
        SensorKind::HydrantPressure => ("消防栓水压", "hydrant pressure", "hydrant"),
        SensorKind::Lift => ("电梯监测", "lift monitor", "lift"),
        SensorKind::Manhole => ("井盖传感器", "manhole cover", "manhole"),
        SensorKind::WaterLevel => ("水位计", "water level", "water"),
        SensorKind::Sos => ("一键求助", "help button", "sos"),
        SensorKind::FireLane => ("消防通道车位", "fire lane", "lane"),
        SensorKind::EbikeCharging => ("电动车充电桩", "e-bike charger", "ebike"),
    }
}

pub(super) fn all(
    seed: u64,
    roads: &Roads,
    grids: &[Grid],
    buildings: &[Building],
    landmarks: &[Landmark],
) -> Vec<Sensor> {
    let mut dice = Dice::new(seed, "sensors");
    let mut all: Vec<_> = buildings.iter().flat_map(|b| of_building(b, &mut dice)).collect();
    all.extend(pumps(landmarks));
    all.extend(street(roads, grids));
    all.extend(buttons(grids, buildings));
    all
}

fn place(b: &Building, unit: Option<u8>, floor: Option<i8>, point: Point) -> Place {
    Place {
        grid: b.grid.clone(),
        building: Some(b.id.clone()),
        landmark: None,
        unit,
        floor,
        flat: None,
        point,
        precision: Precision::Verified,
    }
}

fn sensor(id: String, kind: SensorKind, label: Name, place: Place) -> Sensor {
    Sensor { id: SensorId::new(id), kind, name: label, place }
}

fn floor_of(dice: &mut Dice, b: &Building) -> i8 {
    let top = usize::from(b.floors.saturating_sub(1)).max(1);
    i8::try_from(2 + dice.below(top.saturating_sub(1))).unwrap_or(2)
}

fn of_building(b: &Building, dice: &mut Dice) -> Vec<Sensor> {
    let Some(frame) = frame(b.number) else { return Vec::new() };
    let n = b.number;
    let mut all = Vec::new();
    let mut hang = |kind, unit: u8, floor: i8| {
        let (zh, en, word) = words(kind);
        let label =
            name(format!("{n}栋{unit}单元{floor}层{zh}"), format!("Building {n} unit {unit} floor {floor} {en}"));
        let at = place(b, Some(unit), Some(floor), frame.at(frame.unit(unit), 0.0));
        all.push(sensor(format!("{word}-b{n}-{unit}-{floor:02}"), kind, label, at));
    };
    // Smoke detector and call point share a floor, so that one fire has two sources.
    let main = if n == 12 {
        (2, 6)
    } else {
        (1 + u8::try_from(dice.below(usize::from(b.units))).unwrap_or(0), floor_of(dice, b))
    };
    hang(SensorKind::Smoke, main.0, main.1);
    hang(SensorKind::CallPoint, main.0, main.1);
    let other = if main.0 == b.units { 1 } else { b.units };
    hang(SensorKind::Smoke, other, floor_of(dice, b));
    if !n.is_multiple_of(2) || n == 12 {
        hang(SensorKind::Gas, main.0, 1);
    }
    if n.is_multiple_of(2) {
        hang(SensorKind::ElectricalFire, other, 1);
    }
    hang(SensorKind::Lift, main.0, 1);
    if n.is_multiple_of(4) {
        let (zh, en, word) = words(SensorKind::FireLane);
        let label = name(format!("{n}栋{zh}"), format!("Building {n} {en}"));
        all.push(sensor(
            format!("{word}-b{n}"),
            SensorKind::FireLane,
            label,
            place(b, None, None, frame.at(0.0, 16.0)),
        ));
    }
    if n.is_multiple_of(3) {
        let (zh, en, word) = words(SensorKind::EbikeCharging);
        let label = name(format!("{n}栋{zh}"), format!("Building {n} {en}"));
        let at = frame.at(frame.length / 2.0 - 6.0, -14.0);
        all.push(sensor(format!("{word}-b{n}"), SensorKind::EbikeCharging, label, place(b, None, None, at)));
    }
    all
}

fn at_point(grid: GridId, landmark: Option<LandmarkId>, point: Point) -> Place {
    Place { grid, building: None, landmark, unit: None, floor: None, flat: None, point, precision: Precision::Verified }
}

/// Water level in each pump room.
fn pumps(landmarks: &[Landmark]) -> Vec<Sensor> {
    landmarks
        .iter()
        .filter(|l| l.kind == LandmarkKind::Plant && l.id.as_str().starts_with("pump_"))
        .map(|l| {
            let (zh, en, word) = words(SensorKind::WaterLevel);
            let label = name(format!("{}{zh}", l.name.zh), format!("{} {en}", l.name.en));
            let id = format!("{word}-{}", l.id.as_str().trim_start_matches("pump_"));
            sensor(id, SensorKind::WaterLevel, label, at_point(l.grid.clone(), Some(l.id.clone()), l.center))
        })
        .collect()
}

/// Hydrants, manhole covers and low places along the four main roads.
fn street(roads: &Roads, grids: &[Grid]) -> Vec<Sensor> {
    let mut all = Vec::new();
    for (i, path) in roads.paths().iter().take(4).enumerate() {
        let road = i + 1;
        let share = if i == 0 { 12 } else { 4 };
        let rows = [
            (SensorKind::HydrantPressure, share, 90.0, path.width / 2.0 + 2.0),
            (SensorKind::Manhole, share, 0.0, 0.0),
            (SensorKind::WaterLevel, 1, -90.0, path.width / 2.0 - 1.0),
        ];
        for (kind, count, side, off) in rows {
            let (zh, en, word) = words(kind);
            for k in 1..=count {
                let (middle, direction) = along(&path.line, (f64::from(k) - 0.3) / f64::from(count));
                let at = moved(middle, direction + side, off);
                let label = name(format!("{}{k}号{zh}", path.name.zh), format!("{} {en} {k}", path.name.en));
                all.push(sensor(format!("{word}-r{road}-{k:02}"), kind, label, at_point(grid_at(grids, at), None, at)));
            }
        }
    }
    all
}

/// One help button a grid, at the door of its last building.
fn buttons(grids: &[Grid], buildings: &[Building]) -> Vec<Sensor> {
    let (zh, en, word) = words(SensorKind::Sos);
    grids
        .iter()
        .enumerate()
        .filter_map(|(i, grid)| {
            let b = buildings.iter().rev().find(|b| b.grid == grid.id)?;
            let at = frame(b.number)?.at(0.0, 14.0);
            let label =
                name(format!("{}{}{zh}", grid.name.zh, b.name.zh), format!("{} {} {en}", grid.name.en, b.name.en));
            Some(sensor(format!("{word}-g{:02}", i + 1), SensorKind::Sos, label, place(b, None, None, at)))
        })
        .collect()
}
