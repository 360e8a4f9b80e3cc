//! Observations: what sources saw becomes evidence, facts and records.

use super::Draft;
use crate::{
    alarm::{Evidence, Source},
    event::{Body, By},
    ids::*,
    input::{Observation, Outgoing},
    patrol::{Finding, Message},
    refusal::{Code, Refusal},
    site::{Place, Precision},
    text::{SecretKind, Subject},
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

    /// A message is kept, raises an alarm, and is answered with the case code.
    fn message_in(
        &mut self,
        from: &str,
        person: Option<String>,
        text: &str,
        place: Option<&Place>,
    ) -> Result<(), Refusal> {
        self.by = By::Resident;
        let id = MessageId(self.counters.message);
        let subject = person.clone().map_or(Subject::Message(id), Subject::Person);
        let sealed = self.text(subject.clone(), text, Code::TextMissing, "text")?;
        let phone = self.seal(subject.clone(), SecretKind::Phone, from);
        let mut message = Message {
            id,
            inbound: true,
            at: self.now(),
            phone,
            person: person.clone(),
            text: sealed,
            place: place.cloned(),
            alarm: None,
            reply_to: None,
            sent: None,
        };
        self.counters.message += 1;
        let mut code = None;
        if let Some(place) = place {
            let kind = self.site()?.kind_of_words(text);
            let kind = kind.map_or_else(|| AlarmKindId::new("message"), |k| k.id.clone());
            let source = Source::Message(id);
            let at = self.now();
            let alarm = self.evidence(place, Evidence { source, kind, at, value: None, text: Some(sealed) })?;
            message.alarm = Some(alarm);
            code = Some(self.alarm(alarm)?.code.clone());
        }
        self.emit(Body::MessageKept { message });
        self.out.refs.message = Some(id);
        self.reply(id, phone, person, subject, code)
    }

    fn reply(
        &mut self,
        to: MessageId,
        phone: VaultId,
        person: Option<String>,
        subject: Subject,
        code: Option<String>,
    ) -> Result<(), Refusal> {
        let words = match &code {
            Some(code) => format!("【卯家湾综治中心】已收到，受理编号 {code}。紧急情况请同时拨打 110、119、120。"),
            None => "【卯家湾综治中心】已收到。请补充地点，如“12栋2单元”，以便尽快处理。".to_owned(),
        };
        let text = self.seal(subject, SecretKind::Text, &words);
        let id = MessageId(self.counters.message);
        self.counters.message += 1;
        let message = Message {
            id,
            inbound: false,
            at: self.now(),
            phone,
            person,
            text,
            place: None,
            alarm: None,
            reply_to: Some(to),
            sent: None,
        };
        self.emit_as(By::System, Body::MessageKept { message });
        self.send(Outgoing::Sms { message: id });
        self.out.refs.code = code.or(self.out.refs.code.take());
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
        self.check_place(place)?;
        // A department's report is a condition like any other until a person judges it.
        let kind = site.kind_of_report(class).ok_or(Refusal::field(Code::NoRule, "class"))?.id.clone();
        let source = Source::Unit { unit: unit.clone(), external: external.to_owned() };
        self.said(place, Evidence { source, kind, at: self.now(), value: None, text: None }, text)?;
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
