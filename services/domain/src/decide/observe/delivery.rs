//! What does not reach a unit, and findings without a place.

use super::super::Draft;
use crate::{
    alarm::{Evidence, Source},
    attention::Why,
    event::{Body, By},
    ids::*,
    refusal::{Code, Refusal},
    site::Level,
    text::Subject,
};

impl Draft<'_> {
    /// The case says that a task did not reach its unit's system. A red one asks for a person at once, unless a unit has
    /// it in hand already.
    pub(super) fn push_failed(&mut self, id: IncidentId, task: TaskId, text: &str) -> Result<(), Refusal> {
        let incident = self.incident(id)?;
        let found = incident.task(task).ok_or(Refusal::new(Code::NoTask))?;
        let taken = incident.tasks.iter().any(|t| !t.state.gone() && t.times.acknowledged.is_some());
        let asks = incident.open() && incident.level == Level::Red && found.state.live() && !taken;
        self.mode = incident.mode;
        let text = self.text(Subject::Incident(id), text, Code::TextMissing, "text")?;
        self.emit(Body::Noted { incident: id, text });
        if asks {
            self.call(id, Why::Unacknowledged, Some(task));
        }
        self.out.refs.incident = Some(id);
        Ok(())
    }

    /// A finding that no place is known for: an alarm of its own, which a person places. The same finding joins it as long
    /// as it is open.
    pub(super) fn unplaced_hit(
        &mut self,
        source: Source,
        kind: &AlarmKindId,
        text: Option<&str>,
    ) -> Result<(), Refusal> {
        if let Source::Rule { rule, .. } = &source {
            self.by = By::Rule(rule.clone());
        }
        let same = |s: &crate::alarm::SourceState| s.evidence.source == source;
        let open = |a: &&crate::alarm::Alarm| a.judged.is_none() && a.mode == self.mode && a.sources.iter().any(same);
        let known = self.base.alarms.values().rev().find(open).map(|a| a.id);
        let subject = Subject::Alarm(known.unwrap_or(AlarmId(self.counters.alarm)));
        let found = self.kind(kind)?.clone();
        let text = self.optional_text(subject, text, "text")?;
        let evidence = Evidence { source, kind: kind.clone(), at: self.now(), value: None, text };
        let alarm = match known {
            Some(alarm) => {
                self.add_evidence(alarm, evidence, &found)?;
                alarm
            }
            None => self.raise_unplaced(evidence)?,
        };
        self.out.refs.alarm = Some(alarm);
        self.out.refs.code = Some(self.alarm(alarm)?.code.clone());
        Ok(())
    }
}
