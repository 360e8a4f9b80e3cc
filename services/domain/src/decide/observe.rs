//! Observations: what sources saw becomes evidence, facts and records.

mod delivery;
mod message;

use super::Draft;
use crate::{
    alarm::{Evidence, Source},
    event::{Body, By},
    ids::*,
    input::Observation,
    patrol::Finding,
    refusal::{Code, Refusal},
    site::{Place, Precision},
    text::Subject,
};

impl Draft<'_> {
    pub(super) fn observe(&mut self, observation: &Observation) -> Result<(), Refusal> {
        match observation {
            Observation::SensorEdge { sensor, rule, kind, raised, value, at } => {
                self.by = By::Rule(rule.clone());
                let found = self.site()?.sensor(sensor).ok_or(Refusal::new(Code::NoDevice))?;
                let source = Source::Sensor { sensor: sensor.clone(), rule: rule.clone() };
                if *raised {
                    let evidence = Evidence { source, kind: kind.clone(), at: *at, value: *value, text: None };
                    self.evidence(&found.place, evidence)?;
                } else {
                    self.source_cleared(&source);
                }
            }
            Observation::SensorLink { sensor, online } => {
                self.site()?.sensor(sensor).ok_or(Refusal::new(Code::NoDevice))?;
                if self.base.sensors.get(sensor).map(|s| s.0) != Some(*online) {
                    self.emit(Body::SensorLink { sensor: sensor.clone(), online: *online });
                }
            }
            Observation::CameraFact { .. } => self.camera(observation)?,
            Observation::MessageIn { from, person, text, place } => {
                self.message_in(from, person.clone(), text, place.as_ref())?;
            }
            Observation::MessageSent { message, ok } => {
                self.base.messages.get(message).ok_or(Refusal::new(Code::NoMessage))?;
                self.emit(Body::MessageSent { message: *message, ok: *ok });
            }
            Observation::UnitReport { unit, external, class, place, text } => {
                self.unit_report(unit, external, class, place, text.as_deref())?;
            }
            Observation::RuleHit { rule, kind, key, place, text } if place.is_unknown() => {
                let source = Source::Rule { rule: rule.clone(), key: key.clone() };
                self.unplaced_hit(source, kind, text.as_deref())?;
            }
            Observation::PushFailed { incident, task, text } => self.push_failed(*incident, *task, text)?,
            Observation::RuleHit { rule, kind, key, place, text } => {
                self.by = By::Rule(rule.clone());
                self.check_place(place)?;
                let source = Source::Rule { rule: rule.clone(), key: key.clone() };
                let evidence = Evidence { source, kind: kind.clone(), at: self.now(), value: None, text: None };
                self.said(place, evidence, text.as_deref())?;
            }
            Observation::LightChanged { unit, light, last } => {
                self.site()?.unit(unit).ok_or(Refusal::new(Code::NoUnit))?;
                self.emit(Body::LightChanged { unit: unit.clone(), light: *light, last: *last });
            }
            Observation::Unreadable { source, why, size } => {
                self.emit(Body::Unreadable { source: source.clone(), why: why.clone(), size: *size });
            }
            _ => self.patrol(observation)?,
        }
        Ok(())
    }

    fn camera(&mut self, observation: &Observation) -> Result<(), Refusal> {
        let Observation::CameraFact { camera, state, fault, since, alarm } = observation else { return Ok(()) };
        let found = self.site()?.camera(camera).ok_or(Refusal::new(Code::NoDevice))?;
        let known = self.base.cameras.get(camera);
        if known.is_none_or(|k| &k.state != state || &k.fault != fault) {
            let (camera, state, fault) = (camera.clone(), state.clone(), fault.clone());
            self.emit(Body::CameraFact { camera, state, fault, since: *since });
        }
        let source = Source::Camera(camera.clone());
        match alarm {
            Some(kind) => {
                let place = Place {
                    building: found.building.clone(),
                    precision: Precision::Verified,
                    ..Place::about(found.grid.clone(), found.at)
                };
                let evidence = Evidence { source, kind: kind.clone(), at: *since, value: None, text: None };
                self.evidence(&place, evidence)?;
            }
            None if state == "online" && fault.is_none() => self.source_cleared(&source),
            // Not well, only not for long enough in this way: an alarm that stands goes on.
            None => {}
        }
        Ok(())
    }

    fn unit_report(
        &mut self,
        unit: &UnitId,
        external: &str,
        class: &ClassId,
        place: &Place,
        text: Option<&str>,
    ) -> Result<(), Refusal> {
        self.by = By::Unit(unit.clone());
        let site = self.site()?;
        site.unit(unit).ok_or(Refusal::field(Code::NoUnit, "unit"))?;
        self.class(class)?;
        if !place.is_unknown() {
            self.check_place(place)?;
        }
        // A department's report is a condition like any other until a person judges it.
        let kind = site.kind_of_report(class).ok_or(Refusal::field(Code::NoRule, "class"))?.id.clone();
        let source = Source::Unit { unit: unit.clone(), external: external.to_owned() };
        let evidence = Evidence { source, kind, at: self.now(), value: None, text: None };
        if place.is_unknown() {
            let text = self.optional_text(Subject::Alarm(AlarmId(self.counters.alarm)), text, "text")?;
            let alarm = self.raise_unplaced(Evidence { text, ..evidence })?;
            self.out.refs.alarm = Some(alarm);
            self.out.refs.code = Some(self.alarm(alarm)?.code.clone());
            return Ok(());
        }
        self.said(place, evidence, text)?;
        Ok(())
    }

    fn patrol(&mut self, observation: &Observation) -> Result<(), Refusal> {
        let known = |id: &PatrolId| self.base.patrols.get(id).ok_or(Refusal::new(Code::NoPatrol));
        match observation {
            Observation::PatrolPlanned { kind, subject, due } => {
                let patrol = PatrolId(self.counters.patrol);
                self.counters.patrol += 1;
                self.out.refs.patrol = Some(patrol);
                self.emit(Body::PatrolPlanned { patrol, kind: *kind, subject: subject.clone(), due: *due });
            }
            Observation::PatrolStarted { patrol, total } => {
                if known(patrol)?.started.is_some() {
                    return Err(Code::WrongStage.into());
                }
                self.emit(Body::PatrolStarted { patrol: *patrol, total: *total });
            }
            Observation::PatrolFound { patrol, source, what } => {
                if known(patrol)?.finished.is_some() {
                    return Err(Code::WrongStage.into());
                }
                let alarms = self.base.alarms.values().rev().filter(|a| a.open());
                let mut with = alarms.filter(|a| a.sources.iter().any(|s| &s.evidence.source == source));
                let alarm = with.next().map(|a| a.id);
                let finding = Finding { at: self.now(), source: source.clone(), what: what.clone(), alarm };
                self.emit(Body::PatrolFound { patrol: *patrol, finding });
            }
            Observation::PatrolFinished { patrol, checked } => {
                let found = known(patrol)?;
                if found.started.is_none() || found.finished.is_some() {
                    return Err(Code::WrongStage.into());
                }
                self.emit(Body::PatrolFinished { patrol: *patrol, checked: *checked });
            }
            _ => {}
        }
        Ok(())
    }
}
