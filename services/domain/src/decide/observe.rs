//! Observations: what sources saw becomes evidence, facts and records.

use super::Draft;
use crate::{input::Observation, refusal::Refusal, unreadable::UnreadableEvent};

impl Draft<'_> {
    pub(super) fn observe(&mut self, observation: &Observation) -> Result<(), Refusal> {
        match observation {
            Observation::SensorEdge { sensor, rule, kind, raised, value, at } => {
                self.sensor_edge(sensor, rule, kind, *raised, *value, *at)?;
            }
            Observation::SensorLink { sensor, online } => self.sensor_link(sensor, *online)?,
            Observation::CameraFact { camera, state, fault, since, alarm } => {
                self.camera(camera, state, fault.as_deref(), *since, alarm.as_ref())?;
            }
            Observation::MessageIn { from, person, text, place } => {
                self.message_in(from, person.clone(), text, place.as_ref())?;
            }
            Observation::MessageSent { message, ok } => self.message_sent(*message, *ok)?,
            Observation::UnitReport { unit, external, class, place, text } => {
                self.unit_report(unit, external, class, place, text.as_deref())?;
            }
            Observation::PushFailed { incident, task, text } => self.push_failed(*incident, *task, text)?,
            Observation::RuleHit { rule, kind, key, place, text } => {
                self.rule_hit(rule, kind, key, place, text.as_deref())?;
            }
            Observation::LightChanged { unit, light, last } => self.light(unit, *light, *last)?,
            Observation::PatrolPlanned { kind, subject, due } => self.plan_patrol(*kind, subject, *due),
            Observation::PatrolStarted { patrol, total } => self.start_patrol(*patrol, *total)?,
            Observation::PatrolFound { patrol, source, what } => self.patrol_found(*patrol, source, what)?,
            Observation::PatrolFinished { patrol, checked } => self.finish_patrol(*patrol, *checked)?,
            Observation::Unreadable { source, why, size } => {
                self.emit(UnreadableEvent::Counted { source: source.clone(), why: why.clone(), size: *size });
            }
        }
        Ok(())
    }
}
