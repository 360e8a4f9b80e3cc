//! The scripts of all kinds: which devices take part, and the order of events in life-like seconds.

use std::time::Duration;

use domain::{
    ids::SensorId,
    site::{Building, Camera, Sensor, SensorKind, Site},
};

use super::{Deed, Kind, Needs, Plan, Refusal, Request};
use crate::{departments::Condition, faults::CameraFault, people::households, records::empty_flats, seed::Dice};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Scene<'a> {
    site: &'a Site,
    seed: u64,
    dice: &'a mut Dice,
    building: &'a Building,
}

/// The plan of a kind in life-like time.
pub(super) fn write(site: &Site, seed: u64, dice: &mut Dice, kind: Kind, request: &Request) -> Result<Plan, Refusal> {
    let number = request.building.unwrap_or(12);
    let building = site.buildings.iter().find(|b| b.number == number);
    let building = building.ok_or(Refusal::Target("楼栋", "building"))?;
    let mut scene = Scene { site, seed, dice, building };
    match kind.needs() {
        Needs::Camera => scene.camera(kind, request),
        Needs::Department => scene.department(kind, request),
        Needs::Nothing => Ok(everywhere(kind)),
        Needs::Building => scene.building(kind),
    }
}

fn everywhere(kind: Kind) -> Plan {
    let (deed, lasts) = match kind {
        Kind::CamerasAll => (Deed::Cameras(Some(CameraFault::Dead)), s(120)),
        _ => (Deed::Outage(s(20)), s(20)),
    };
    Plan { kind, place: "全区".to_owned(), deeds: vec![(s(0), deed)], lasts: Some(lasts) }
}

impl Scene<'_> {
    fn camera(&self, kind: Kind, request: &Request) -> Result<Plan, Refusal> {
        let own = |c: &&Camera| c.building.as_ref() == Some(&self.building.id) && !c.indoor;
        let camera = match request.camera {
            Some(number) => self.site.cameras.iter().find(|c| c.number == number),
            None => self.site.cameras.iter().find(own),
        };
        let camera = camera.ok_or(Refusal::Target("摄像头", "camera"))?;
        let fault = match kind {
            Kind::CameraSilent => CameraFault::Silent,
            Kind::CameraFrozen => CameraFault::Frozen,
            Kind::CameraBlack => CameraFault::Black,
            Kind::CameraBlurred => CameraFault::Blurred,
            Kind::CameraSlow => CameraFault::Slow,
            Kind::CameraUnauthorised => CameraFault::Unauthorised,
            Kind::CameraParameters => CameraFault::Parameters,
            _ => CameraFault::Dead,
        };
        let deeds = vec![(s(0), Deed::Camera(camera.id.clone(), Some(fault)))];
        Ok(Plan { kind, place: format!("{:03} {}", camera.number, camera.name.zh), deeds, lasts: Some(s(600)) })
    }

    fn department(&mut self, kind: Kind, request: &Request) -> Result<Plan, Refusal> {
        let id = request.department.as_deref().unwrap_or("fire");
        let unit = self.site.units.iter().find(|u| u.id.as_str() == id && u.kind == domain::site::UnitKind::Department);
        let unit = unit.ok_or(Refusal::Target("部门", "department"))?;
        let (deed, lasts) = match kind {
            Kind::DepartmentDown => (Deed::Condition(id.to_owned(), Condition::Down), Some(s(300))),
            Kind::DepartmentSlow => (Deed::Condition(id.to_owned(), Condition::Slow), Some(s(300))),
            _ => (self.report(id), None),
        };
        Ok(Plan { kind, place: unit.name.zh.clone(), deeds: vec![(s(0), deed)], lasts })
    }

    /// Something that the department sees in its own work.
    fn report(&mut self, department: &str) -> Deed {
        let unit = 1 + self.dice.below(usize::from(self.building.units));
        let (class, text) = match department {
            "police" => ("noise", "巡逻发现楼内噪声扰民，请协调物业"),
            "petitions" => ("dispute", "来访群众反映邻里漏水纠纷"),
            "housing" => ("water_burst", "住户报修，主水管渗漏严重"),
            "fire" => ("fire_lane", "检查发现消防通道停有车辆"),
            "transport" => ("fire_lane", "路侧违停影响通行"),
            "energy" => ("power", "该单元线路过载，需要入户检查"),
            "environment" => ("garbage", "垃圾堆放点溢出"),
            _ => ("vending", "占道经营影响通行"),
        };
        Deed::Report {
            department: department.to_owned(),
            class,
            place: format!("{}栋{unit}单元", self.building.number),
            text,
        }
    }

    fn building(&mut self, kind: Kind) -> Result<Plan, Refusal> {
        match kind {
            Kind::Fire => self.fire(),
            Kind::FalseSmoke => self.one(kind, SensorKind::Smoke, &[(0, 0.08), (4, 0.22), (8, 0.31)], 60),
            Kind::GasLeak => self.one(kind, SensorKind::Gas, &[(0, 6.0), (5, 14.0), (10, 27.0), (15, 42.0)], 600),
            Kind::LiftTrapped => self.one(kind, SensorKind::Lift, &[(0, 1.0), (5, 2.0)], 900),
            Kind::LiftFault => self.one(kind, SensorKind::Lift, &[(0, 1.0)], 600),
            Kind::Sos => self.one(kind, SensorKind::Sos, &[(0, 1.0)], 30),
            Kind::Flooding => self.one(kind, SensorKind::WaterLevel, &[(0, 0.5), (10, 0.8), (20, 1.1), (30, 1.4)], 900),
            Kind::LowPressure => self.one(kind, SensorKind::HydrantPressure, &[(0, 0.16), (8, 0.08), (16, 0.04)], 900),
            Kind::Electrical => self.one(kind, SensorKind::ElectricalFire, &[(0, 260.0), (6, 480.0), (12, 720.0)], 600),
            Kind::Manhole => self.one(kind, SensorKind::Manhole, &[(0, 12.0), (2, 34.0)], 900),
            Kind::FireLane => self.one(kind, SensorKind::FireLane, &[(0, 1.0)], 900),
            Kind::Ebike => self.one(kind, SensorKind::EbikeCharging, &[(0, 9.5), (6, 14.2)], 600),
            Kind::SmsFlood => Ok(self.flood()),
            Kind::EmptyFlat => self.empty_flat(),
            Kind::WaterBurst => Ok(self.message(kind, "水管爆了，水往楼下流，快来人")),
            _ => Ok(self.message(kind, "楼上半夜还在放音响，吵得睡不着")),
        }
    }

    /// The sensors of a kind, those of the building first, then by distance.
    fn sensors(&self, kind: SensorKind) -> Vec<&Sensor> {
        let mut found: Vec<_> = self.site.sensors.iter().filter(|s| s.kind == kind).collect();
        let far = |s: &Sensor| s.place.point.distance(self.building.center);
        let elsewhere = |s: &Sensor| s.place.building.as_ref() != Some(&self.building.id);
        found.sort_by(|a, b| elsewhere(a).cmp(&elsewhere(b)).then(far(a).total_cmp(&far(b))));
        found
    }

    fn one(&self, kind: Kind, sensor: SensorKind, rise: &[(u64, f64)], lasts: u64) -> Result<Plan, Refusal> {
        let found = self.sensors(sensor);
        let sensor = found.first().ok_or(Refusal::Target("传感器", "sensor"))?;
        let deeds = force(&sensor.id, rise);
        Ok(Plan { kind, place: sensor.name.zh.clone(), deeds, lasts: Some(s(lasts)) })
    }

    fn fire(&mut self) -> Result<Plan, Refusal> {
        let none = Refusal::Target("传感器", "sensor");
        let call = self.sensors(SensorKind::CallPoint).first().map(|s| (*s).clone()).ok_or(none.clone())?;
        let here = |s: &&&Sensor| (s.place.unit, s.place.floor) == (call.place.unit, call.place.floor);
        let smoke = self.sensors(SensorKind::Smoke);
        let smoke = smoke.iter().find(here).or(smoke.first()).map(|s| s.id.clone()).ok_or(none)?;
        let (unit, floor) = (call.place.unit.unwrap_or(1), call.place.floor.unwrap_or(1));
        let place = format!("{}栋{unit}单元{floor}层", self.building.number);
        let mut deeds = force(&smoke, &[(0, 0.06), (3, 0.14), (6, 0.28), (9, 0.52), (12, 0.85)]);
        deeds.push((s(20), Deed::Force(call.id.clone(), 1.0)));
        let own = self.site.cameras.iter().filter(|c| c.building.as_ref() == Some(&self.building.id) && !c.indoor);
        deeds.extend(own.map(|c| (s(6), Deed::Fire(c.id.clone(), true))));
        let text = format!("{}栋{unit}单元{floor}楼冒烟了，楼道有烟，快来救火", self.building.number);
        let text = self.text(text);
        deeds.push((s(35), text));
        Ok(Plan { kind: Kind::Fire, place, deeds, lasts: Some(s(600)) })
    }

    /// A message of somebody who lives in the building.
    fn text(&mut self, text: String) -> Deed {
        let homes = households(self.site, self.seed, &self.building.id);
        let from = self.dice.pick(&homes).map_or_else(|| "19900000000".to_owned(), |h| h.phone.clone());
        Deed::Text { from, text }
    }

    fn message(&mut self, kind: Kind, text: &str) -> Plan {
        let place = format!("{}栋{}单元", self.building.number, 1 + self.dice.below(usize::from(self.building.units)));
        let text = self.text(format!("{place}{text}"));
        Plan { kind, place, deeds: vec![(s(0), text)], lasts: None }
    }

    fn flood(&mut self) -> Plan {
        const TEXTS: [&str; 5] = ["停水了吗", "楼道灯不亮", "路灯不亮", "电梯坏了", "垃圾没人收"];
        let deeds = (0..40u64)
            .map(|k| {
                let text = self.dice.pick(&TEXTS).copied().unwrap_or_default();
                let text = format!("{}栋{text}", self.building.number);
                (Duration::from_millis(500 * k), self.text(text))
            })
            .collect();
        Plan { kind: Kind::SmsFlood, place: self.building.name.zh.clone(), deeds, lasts: None }
    }

    /// Housing says empty, then energy says used. A full building hands over to the next that has an empty flat.
    fn empty_flat(&mut self) -> Result<Plan, Refusal> {
        let at = usize::from(self.building.number.saturating_sub(1));
        let order = self.site.buildings.iter().cycle().skip(at).take(self.site.buildings.len());
        let flats = order.map(|b| empty_flats(self.site, self.seed, b)).find(|f| !f.is_empty());
        let flat = flats.and_then(|f| self.dice.pick(&f).cloned()).ok_or(Refusal::Target("空置房", "empty flat"))?;
        let used = self.dice.between(70.0, 140.0);
        let deeds = vec![(s(0), Deed::Empty(flat.clone())), (s(5), Deed::Usage(flat.clone(), used))];
        Ok(Plan { kind: Kind::EmptyFlat, place: flat.words(), deeds, lasts: None })
    }
}

fn force(sensor: &SensorId, rise: &[(u64, f64)]) -> Vec<(Duration, Deed)> {
    rise.iter().map(|(at, value)| (s(*at), Deed::Force(sensor.clone(), *value))).collect()
}
