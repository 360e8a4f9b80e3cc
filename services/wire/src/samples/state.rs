//! Sites, aggregates and whole states.

use std::sync::Arc;

use domain::{
    State,
    account::Holder,
    alarm::*,
    attention::Attention,
    camera::CameraFacts,
    device::{Credential, SensorFacts},
    ids::*,
    incident::*,
    light::DepartmentLight,
    patrol::*,
    site::*,
    state::*,
    task::*,
    unreadable::Unreadable,
};

use super::{Dice, Listed};

impl Dice {
    pub(crate) fn site(&mut self) -> Site {
        Site {
            id: self.id(),
            name: self.name(),
            region: self.name(),
            version: self.u32(),
            extent: self.point(),
            anchor: (self.float(), self.float()),
            communities: self.list(|d| Community {
                id: d.id(),
                name: d.name(),
                outline: d.list(Self::point),
                label: d.point(),
            }),
            grids: self.list(|d| Grid { id: d.id(), community: d.id(), name: d.name(), outline: d.list(Self::point) }),
            buildings: self.list(Self::building),
            paths: self.list(|d| Path { name: d.name(), line: d.list(Self::point), width: d.float() }),
            landmarks: self.list(|d| Landmark {
                id: d.id(),
                grid: d.id(),
                kind: d.pick(),
                name: d.name(),
                aliases: d.list(Self::text),
                outline: d.list(Self::point),
                center: d.point(),
            }),
            cameras: self.list(Self::camera),
            sensors: self.list(|d| Sensor { id: d.id(), kind: d.pick(), name: d.name(), place: d.place() }),
            units: self.list(|d| Unit {
                id: d.id(),
                kind: d.pick(),
                name: d.name(),
                initials: d.text(),
                capacity: d.u16(),
                grid: d.opt(Self::id),
            }),
            classes: self.list(Self::class),
            alarm_kinds: self.list(|d| AlarmKind {
                id: d.id(),
                name: d.name(),
                level: d.pick(),
                class: d.id(),
                opens_with: d.opt(Self::u8),
                family: d.text(),
                radius: d.float(),
                window: d.span(),
                words: d.later(Self::text),
            }),
            tours: self.list(|d| Tour { id: d.id(), name: d.name(), cameras: d.list(Self::id), dwell: d.span() }),
        }
    }

    fn building(&mut self) -> Building {
        Building {
            id: self.id(),
            number: self.u16(),
            grid: self.id(),
            name: self.name(),
            aliases: self.list(Self::text),
            outline: self.list(Self::point),
            center: self.point(),
            units: self.u8(),
            floors: self.u8(),
            flats_per_floor: self.u8(),
            households: self.u16(),
            people: self.u16(),
            care_needs: self.u16(),
            minors: self.u16(),
        }
    }

    fn camera(&mut self) -> Camera {
        Camera {
            id: self.id(),
            number: self.u16(),
            grid: self.id(),
            building: self.opt(Self::id),
            name: self.name(),
            at: self.point(),
            heading: self.float(),
            indoor: self.flag(),
        }
    }

    fn class(&mut self) -> Class {
        Class {
            id: self.id(),
            name: self.name(),
            level: self.pick(),
            intake: self.flag(),
            lead: self.id(),
            assists: self.list(Self::id),
            steps: self.list(Self::name),
            limits: Limits {
                collect: self.span(),
                analyse: self.span(),
                approve: self.span(),
                push: self.span(),
                acknowledge: self.span(),
                arrive: self.span(),
                handle: self.span(),
                verify: self.span(),
                decline: self.span(),
                attend: self.later(Self::span).pop(),
            },
        }
    }

    pub(crate) fn alarm(&mut self) -> Alarm {
        Alarm {
            id: AlarmId(self.roll()),
            kind: self.id(),
            level: self.pick(),
            place: self.place(),
            code: self.text(),
            mode: self.pick(),
            raised: self.at(),
            last: self.at(),
            cleared: self.opt(Self::at),
            confirmed: self.opt(|d| (d.by(), d.at())),
            sounded: self.opt(Self::at),
            judged: self.opt(|d| Judgement { verdict: d.pick(), by: d.by(), at: d.at(), text: d.opt(Self::vault) }),
            incident: self.opt(|d| IncidentId(d.roll())),
            shelf: self.opt(|d| Shelf { until: d.at(), reason: d.vault(), by: d.by() }),
            sources: self.list(|d| SourceState {
                evidence: d.evidence(),
                first: d.at(),
                risen: d.later(Self::at).pop(),
                count: d.u32(),
                active: d.flag(),
            }),
            unlisted: self.u32(),
            exhibits: self.list(Self::exhibit),
        }
    }

    pub(crate) fn task(&mut self) -> Task {
        Task {
            id: TaskId(self.roll()),
            unit: self.id(),
            terms: self.terms(),
            state: self.pick(),
            times: TaskTimes {
                pushed: self.at(),
                delivered: self.opt(Self::at),
                acknowledged: self.opt(Self::at),
                en_route: self.opt(Self::at),
                on_scene: self.opt(Self::at),
                ended: self.opt(Self::at),
            },
            receipt: self.opt(Self::pick),
            external: self.opt(Self::text),
            text: self.opt(Self::vault),
            reason: self.opt(Self::vault),
            replaces: self.opt(|d| TaskId(d.roll())),
            feedback: self.list(|d| Feedback {
                at: d.at(),
                by: d.by(),
                result: d.pick(),
                text: d.opt(Self::vault),
                photos: d.list(Self::id),
            }),
            reworks: self.u32(),
        }
    }

    pub(crate) fn incident(&mut self) -> Incident {
        Incident {
            id: IncidentId(self.roll()),
            class: self.id(),
            level: self.pick(),
            place: self.place(),
            mode: self.pick(),
            stage: self.pick(),
            channel: self.pick(),
            code: self.text(),
            first_owner: self.by(),
            reporter: self.opt(Self::reporter),
            text: self.opt(Self::vault),
            alarms: self.list(|d| AlarmId(d.roll())),
            merged_into: self.opt(|d| IncidentId(d.roll())),
            absorbed: self.list(|d| IncidentId(d.roll())),
            approved_by: self.opt(Self::by),
            approved_after: self.flag(),
            reason: self.opt(Self::vault),
            tasks: self.list(Self::task),
            exhibits: self.list(Self::exhibit),
            times: Times {
                reported: self.at(),
                accepted: self.opt(Self::at),
                filed: self.opt(Self::at),
                approved: self.opt(Self::at),
                pushed: self.opt(Self::at),
                delivered: self.opt(Self::at),
                done: self.opt(Self::at),
                verified: self.opt(Self::at),
                ended: self.opt(Self::at),
                reopened: self.later(Self::at).pop(),
            },
            reopened: self.u32(),
            bounces: self.u32(),
            attention: self.later(Self::attention),
            acted: self.later(Self::at).pop(),
        }
    }

    pub(crate) fn attention(&mut self) -> Attention {
        Attention {
            why: self.pick(),
            task: self.opt(|d| TaskId(d.roll())),
            since: self.at(),
            taken: self.opt(|d| (d.by(), d.at())),
        }
    }

    fn patrol(&mut self) -> Patrol {
        Patrol {
            id: PatrolId(self.roll()),
            kind: self.pick(),
            subject: self.text(),
            due: self.at(),
            started: self.opt(Self::at),
            finished: self.opt(Self::at),
            total: self.u32(),
            checked: self.u32(),
            findings: self.list(Self::finding),
            unlisted: self.u32(),
        }
    }

    fn counters(&mut self) -> Counters {
        Counters {
            alarm: self.roll(),
            incident: self.roll(),
            task: self.roll(),
            patrol: self.roll(),
            message: self.roll(),
            vault: self.roll(),
        }
    }

    pub(crate) fn state(&mut self) -> State {
        let site = self.opt(Self::site).map(Arc::new);
        let accounts = self.list(Self::account);
        let duty = self.list(|d| (d.pick(), Holder { account: d.opt(Self::id), since: d.at(), by: d.by() }));
        let cameras =
            self.list(|d| CameraFacts { camera: d.id(), state: d.text(), fault: d.opt(Self::text), since: d.at() });
        let lights =
            self.list(|d| DepartmentLight { unit: d.id(), light: d.pick(), last: d.opt(Self::at), since: d.at() });
        State {
            site,
            accounts: accounts.into_iter().map(|a| (a.id.clone(), a)).collect(),
            duty: duty.into_iter().collect(),
            alarms: self.list(Self::alarm).into_iter().map(|a| (a.id, a)).collect(),
            incidents: self.list(Self::incident).into_iter().map(|i| (i.id, i)).collect(),
            sensors: self.list(Self::sensor_facts).into_iter().map(|s| (s.sensor.clone(), s)).collect(),
            cameras: cameras.into_iter().map(|c| (c.camera.clone(), c)).collect(),
            lights: lights.into_iter().map(|l| (l.unit.clone(), l)).collect(),
            patrols: self.list(Self::patrol).into_iter().map(|p| (p.id, p)).collect(),
            messages: self.list(Self::message).into_iter().map(|m| (m.id, m)).collect(),
            unreadable: Unreadable {
                counts: self.list(|d| ((d.text(), d.text()), d.roll())).into_iter().collect(),
                last: self.opt(Self::at),
            },
            erased: self.list(Self::subject).into_iter().collect(),
            counters: self.counters(),
            // Last: the numbers of what is older stay as they are.
            credentials: self.list(Self::credential).into_iter().map(|c| (c.device.clone(), c)).collect(),
        }
    }

    fn sensor_facts(&mut self) -> SensorFacts {
        SensorFacts { sensor: self.id(), online: self.flag(), since: self.at() }
    }

    fn credential(&mut self) -> Credential {
        Credential {
            device: self.id(),
            voice: self.pick(),
            behind: self.list(Self::id),
            hash: self.opt(Self::vault),
            since: self.at(),
            by: self.by(),
        }
    }
}

/// A small site whose places have names: building 12 and the square in grid 6 of community 1, five cameras.
pub(crate) fn site() -> Site {
    let mut site = Dice::full().site();
    let name = |zh: &str, en: &str| Name { zh: zh.to_owned(), en: en.to_owned() };
    site.communities.truncate(1);
    site.grids.truncate(1);
    (site.communities[0].id, site.communities[0].name) = ("s1".into(), name("第一社区", "Community 1"));
    site.grids[0].id = place().grid;
    (site.grids[0].community, site.grids[0].name) = ("s1".into(), name("第6网格", "Grid 6"));
    (site.buildings[0].id, site.buildings[0].name) = ("b12".into(), name("12栋", "Building 12"));
    (site.landmarks[0].id, site.landmarks[0].name) = ("square".into(), name("广场", "Square"));
    (site.units[0].id, site.units[0].name) = ("fire".into(), name("消防", "Fire brigade"));
    site.classes[0].id = "fire".into();
    let camera = |n: u16| Camera {
        id: CameraId::new(format!("c00{n}")),
        building: (n == 5).then(|| "b12".into()),
        at: Point { x: f64::from(n), y: 0.0 },
        ..Dice::full().camera()
    };
    site.cameras = (1..=5).map(camera).collect();
    site
}

/// 12栋2单元604室.
pub(crate) fn place() -> Place {
    Place {
        grid: "53062100200106".into(),
        building: Some("b12".into()),
        landmark: Some("square".into()),
        unit: Some(2),
        floor: Some(6),
        flat: Some(4),
        point: Point { x: 0.0, y: 0.0 },
        precision: Precision::LIST[0],
    }
}
