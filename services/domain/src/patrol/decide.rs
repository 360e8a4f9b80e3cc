//! A patrol is planned, runs, finds and ends, in this order.

use crate::{
    alarm::Source,
    decide::Draft,
    ids::*,
    patrol::{Finding, Patrol, PatrolEvent, PatrolKind},
    refusal::{Code, Refusal},
    time::Timestamp,
};

impl<'a> Draft<'a> {
    fn known_patrol(&self, id: PatrolId) -> Result<&'a Patrol, Refusal> {
        self.base.patrols.get(&id).ok_or(Refusal::new(Code::NoPatrol))
    }

    pub(crate) fn plan_patrol(&mut self, kind: PatrolKind, subject: &str, due: Timestamp) {
        let patrol = PatrolId(self.counters.patrol);
        self.counters.patrol += 1;
        self.out.refs.patrol = Some(patrol);
        self.emit(PatrolEvent::Planned { patrol, kind, subject: subject.to_owned(), due });
    }

    pub(crate) fn start_patrol(&mut self, patrol: PatrolId, total: u32) -> Result<(), Refusal> {
        if self.known_patrol(patrol)?.started.is_some() {
            return Err(Code::WrongStage.into());
        }
        self.emit(PatrolEvent::Started { patrol, total });
        Ok(())
    }

    pub(crate) fn patrol_found(&mut self, patrol: PatrolId, source: &Source, what: &str) -> Result<(), Refusal> {
        if self.known_patrol(patrol)?.finished.is_some() {
            return Err(Code::WrongStage.into());
        }
        let alarms = self.base.alarms.values().rev().filter(|a| a.open());
        let mut with = alarms.filter(|a| a.sources.iter().any(|s| &s.evidence.source == source));
        let alarm = with.next().map(|a| a.id);
        let finding = Finding { at: self.now(), source: source.clone(), what: what.to_owned(), alarm };
        self.emit(PatrolEvent::Found { patrol, finding });
        Ok(())
    }

    pub(crate) fn finish_patrol(&mut self, patrol: PatrolId, checked: u32) -> Result<(), Refusal> {
        let found = self.known_patrol(patrol)?;
        if found.started.is_none() || found.finished.is_some() {
            return Err(Code::WrongStage.into());
        }
        self.emit(PatrolEvent::Finished { patrol, checked });
        Ok(())
    }
}
