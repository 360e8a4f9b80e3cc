//! The site document and places.

use domain::site::*;

use crate::{
    field::{as_message, enums, messages},
    store as pb,
};

enums! {
    LandmarkKind { Square, School, Gate, Road, Parking, Plant }
    SensorKind {
        Smoke, CallPoint, Gas, ElectricalFire, HydrantPressure, Lift, Manhole, WaterLevel, Sos, FireLane, EbikeCharging,
    }
    Precision { Verified, Estimated }
    UnitKind { Department, Firm, Grid }
    Level { Normal, Yellow, Red }
}

messages! {
    Point { x, y }
    Name { zh, en }
    Place { grid, building, landmark, unit, floor, flat, point, precision }
    Site {
        id, name, region, version, extent, anchor, communities, grids, buildings, paths, landmarks, cameras, sensors,
        units, classes, alarm_kinds, tours,
    }
    Community { id, name, outline, label }
    Grid { id, community, name, outline }
    Building {
        id, number, grid, name, aliases, outline, center, units, floors, flats_per_floor, households, people,
        care_needs, minors,
    }
    Path { name, line, width }
    Landmark { id, grid, kind, name, aliases, outline, center }
    Camera { id, number, grid, building, name, at, heading, indoor }
    Sensor { id, kind, name, place }
    Unit { id, kind, name, initials, capacity, grid }
    Limits { collect, analyse, approve, push, acknowledge, arrive, handle, verify, decline, attend }
    Class { id, name, level, intake, lead, assists, steps, limits }
    AlarmKind { id, name, level, class, opens_with, family, radius, window, words }
    Tour { id, name, cameras, dwell }
}

as_message!((f64, f64) as pb::Anchor:
    |anchor: &(f64, f64)| pb::Anchor { latitude: anchor.0, longitude: anchor.1 },
    |stored: pb::Anchor| Ok((stored.latitude, stored.longitude)));
