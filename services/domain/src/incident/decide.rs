//! The incident's ordinary path: report, accept, file, approve, verify, close, and the ways aside.

use crate::{
    access,
    alarm::{Alarm, AlarmEvent},
    attention::Why,
    decide::Draft,
    event::By,
    ids::*,
    incident::{Channel, Incident, IncidentEvent, MAX_EXHIBITS, REOPEN_WITHIN, Reporter, ReporterKind, Stage},
    input::{Actor, Outgoing, ReporterInput},
    refusal::{Code, Refusal},
    site::{Level, Place},
    text::{SecretKind, Subject},
};

/// How far an incident without tasks has come; whether it awaits approval tells no more than that it is filed.
fn progress(stage: Stage) -> u8 {
    match stage {
        Stage::Reported => 0,
        Stage::Accepted => 1,
        Stage::Filed
        | Stage::PendingApproval
        | Stage::Approved
        | Stage::Dispatched
        | Stage::Handling
        | Stage::AwaitingVerification
        | Stage::Verified
        | Stage::Rejected
        | Stage::Merged
        | Stage::Closed => 2,
    }
}

impl Draft<'_> {
    /// After the report of `actor`: it is merged, or asks for attention where nobody of the centre has taken it.
    pub(crate) fn reported(&mut self, actor: &Actor, id: IncidentId, into: Option<IncidentId>) -> Result<(), Refusal> {
        if let Some(into) = into {
            return self.merge(id, into);
        }
        if access::outside(actor) && self.incident(id)?.level > Level::Normal {
            self.call(id, Why::Opened, None);
        }
        Ok(())
    }

    pub(crate) fn attend(&mut self, incident: IncidentId, text: Option<&str>) -> Result<(), Refusal> {
        if self.incident_in_mode(incident)?.attention.is_empty() {
            return Err(Code::NothingAsks.into());
        }
        let text = self.optional_text(Subject::Incident(incident), text, "text")?;
        self.on(incident, IncidentEvent::Attended { incident, text })
    }

    pub(crate) fn accept(&mut self, incident: IncidentId) -> Result<(), Refusal> {
        self.in_stage(incident, &[Stage::Reported])?;
        self.on(incident, IncidentEvent::Accepted { incident })
    }

    pub(crate) fn reject(&mut self, incident: IncidentId, reason: &str) -> Result<(), Refusal> {
        self.in_stage(incident, &[Stage::Reported, Stage::Accepted])?;
        let reason = self.reason(incident, reason)?;
        self.on(incident, IncidentEvent::Rejected { incident, reason })
    }

    pub(crate) fn refuse_approval(&mut self, incident: IncidentId, reason: &str) -> Result<(), Refusal> {
        self.in_stage(incident, &[Stage::PendingApproval])?;
        let reason = self.reason(incident, reason)?;
        self.on(incident, IncidentEvent::ApprovalRefused { incident, reason })
    }

    pub(crate) fn note(&mut self, incident: IncidentId, text: &str) -> Result<(), Refusal> {
        self.incident_in_mode(incident)?;
        let text = self.text(Subject::Incident(incident), text, Code::TextMissing, "text")?;
        self.on(incident, IncidentEvent::Noted { incident, text })
    }

    pub(crate) fn correct_place(&mut self, incident: IncidentId, place: &Place) -> Result<(), Refusal> {
        self.check_place(place)?;
        let found = self.incident_in_mode(incident)?;
        if !found.open() {
            return Err(Code::WrongStage.into());
        }
        let before = Some(found.place.clone());
        self.on(incident, IncidentEvent::PlaceCorrected { incident, place: place.clone(), before })
    }

    /// Emits an event of an incident and names the incident in the answer.
    fn on(&mut self, incident: IncidentId, what: IncidentEvent) -> Result<(), Refusal> {
        self.emit(what);
        self.out.refs.incident = Some(incident);
        Ok(())
    }

    pub(crate) fn in_stage(&self, id: IncidentId, stages: &[Stage]) -> Result<&Incident, Refusal> {
        let incident = self.incident_in_mode(id)?;
        if stages.contains(&incident.stage) { Ok(incident) } else { Err(Code::WrongStage.into()) }
    }

    pub(crate) fn reason(&mut self, incident: IncidentId, reason: &str) -> Result<VaultId, Refusal> {
        self.text(Subject::Incident(incident), reason, Code::ReasonMissing, "reason")
    }

    pub(crate) fn report(
        &mut self,
        class: &ClassId,
        level: Option<Level>,
        place: &Place,
        channel: Channel,
        reporter: Option<&ReporterInput>,
        text: Option<&str>,
    ) -> Result<IncidentId, Refusal> {
        let level = level.unwrap_or(self.class(class)?.level);
        self.check_place(place)?;
        let incident = IncidentId(self.counters.incident);
        let person = reporter.and_then(|r| r.person.clone());
        let subject = person.map_or(Subject::Incident(incident), Subject::Person);
        let text = self.optional_text(subject.clone(), text, "text")?;
        let reporter = reporter.map(|r| self.reporter(&subject, r)).transpose()?;
        self.counters.incident += 1;
        let code = self.case_code();
        self.out.refs.code = Some(code.clone());
        self.on(
            incident,
            IncidentEvent::Reported {
                incident,
                class: class.clone(),
                level,
                place: place.clone(),
                channel,
                code,
                reporter,
                text,
                alarm: None,
            },
        )?;
        Ok(incident)
    }

    /// Something of the case asks for a person of the centre.
    pub(crate) fn call(&mut self, incident: IncidentId, why: Why, task: Option<TaskId>) {
        self.emit_as(By::System, IncidentEvent::AttentionCalled { incident, why, task });
    }

    /// Who ends the work while a source still alarms says why.
    fn check_standing(&self, incident: &Incident, text: Option<&str>) -> Result<(), Refusal> {
        let standing = incident.alarms.iter().any(|id| self.alarm(*id).is_ok_and(Alarm::active));
        let said = text.is_some_and(|t| !t.trim().is_empty());
        if standing && !said { Err(Code::StillStanding.into()) } else { Ok(()) }
    }

    fn reporter(&mut self, subject: &Subject, input: &ReporterInput) -> Result<Reporter, Refusal> {
        let filled = |v: &Option<String>| v.as_deref().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
        let (name, phone) = (filled(&input.name), filled(&input.phone));
        if name.as_ref().is_some_and(|n| n.chars().count() > 40) {
            return Err(Refusal::field(Code::TextTooLong, "reporter.name"));
        }
        if phone.as_ref().is_some_and(|p| p.chars().count() > 24) {
            return Err(Refusal::field(Code::TextTooLong, "reporter.phone"));
        }
        let anonymous = name.is_none() && phone.is_none();
        let default = if anonymous { ReporterKind::Anonymous } else { ReporterKind::Named };
        Ok(Reporter {
            kind: input.kind.unwrap_or(default),
            person: input.person.clone(),
            name: name.map(|n| self.seal(subject.clone(), SecretKind::Name, &n)),
            phone: phone.map(|p| self.seal(subject.clone(), SecretKind::Phone, &p)),
        })
    }

    pub(crate) fn merge(&mut self, incident: IncidentId, into: IncidentId) -> Result<(), Refusal> {
        self.in_stage(incident, &[Stage::Reported, Stage::Accepted, Stage::Filed, Stage::PendingApproval])?;
        let other = self.incident(into)?;
        if other.mode != self.mode {
            return Err(Code::ModeMismatch.into());
        }
        if incident == into || !other.open() || !self.incident(incident)?.tasks.is_empty() {
            return Err(Refusal::field(Code::BadMerge, "into"));
        }
        if progress(other.stage) < progress(self.incident(incident)?.stage) {
            return Err(Refusal::field(Code::MergeBackwards, "into"));
        }
        let room = MAX_EXHIBITS.saturating_sub(other.exhibits.len());
        let ended = self.incident(incident)?;
        let (alarms, level) = (ended.alarms.clone(), Some(ended.level));
        let exhibits = ended.exhibits.iter().take(room).cloned().collect();
        self.emit(IncidentEvent::Merged { incident, into });
        for alarm in alarms.iter().copied().filter(|a| self.alarm(*a).is_ok()).collect::<Vec<_>>() {
            self.emit(AlarmEvent::Moved { alarm, incident: into });
        }
        self.on(into, IncidentEvent::Absorbed { incident: into, from: incident, alarms, exhibits, level })
    }

    pub(crate) fn file(
        &mut self,
        id: IncidentId,
        class: Option<&ClassId>,
        level: Option<Level>,
    ) -> Result<(), Refusal> {
        let incident = self.in_stage(id, &[Stage::Accepted])?;
        let class = match class {
            Some(class) => self.class(class)?.id.clone(),
            None => incident.class.clone(),
        };
        let level = level.unwrap_or(incident.level);
        self.on(id, IncidentEvent::Filed { incident: id, class, level })
    }

    pub(crate) fn approve(&mut self, id: IncidentId) -> Result<(), Refusal> {
        let incident = self.incident_in_mode(id)?;
        if incident.times.filed.is_none() || incident.stage.ended() {
            return Err(Code::WrongStage.into());
        }
        if incident.times.approved.is_some() {
            return Err(Code::AlreadyApproved.into());
        }
        self.on(id, IncidentEvent::Approved { incident: id })
    }

    pub(crate) fn verify(&mut self, id: IncidentId, text: Option<&str>) -> Result<(), Refusal> {
        let incident = self.incident_in_mode(id)?;
        if matches!(incident.stage, Stage::Dispatched | Stage::Handling) {
            return Err(Code::TasksOpen.into());
        }
        let incident = self.in_stage(id, &[Stage::AwaitingVerification])?;
        self.check_standing(incident, text)?;
        let text = self.optional_text(Subject::Incident(id), text, "text")?;
        self.on(id, IncidentEvent::Verified { incident: id, text })
    }

    pub(crate) fn close(&mut self, id: IncidentId, text: Option<&str>) -> Result<(), Refusal> {
        let incident = self.in_stage(id, &[Stage::Verified])?;
        if incident.times.approved.is_none() {
            return Err(Code::NotApproved.into());
        }
        self.check_standing(incident, text)?;
        // Optional tasks may still be under way; nobody is left with work on a closed incident.
        let live: Vec<_> = incident.tasks.iter().filter(|t| t.state.live()).map(|t| (t.id, t.unit.clone())).collect();
        let text = self.optional_text(Subject::Incident(id), text, "text")?;
        for (task, unit) in live {
            self.emit(IncidentEvent::TaskRecalled { incident: id, task, reason: None });
            self.send(Outgoing::Recall { unit, incident: id, task });
        }
        self.on(id, IncidentEvent::Closed { incident: id, text })
    }

    pub(crate) fn reopen(&mut self, id: IncidentId, reason: &str) -> Result<(), Refusal> {
        let incident = self.in_stage(id, &[Stage::Closed])?;
        if incident.times.ended.is_none_or(|ended| self.now() - ended > REOPEN_WITHIN) {
            return Err(Code::ReopenLate.into());
        }
        let reason = self.reason(id, reason)?;
        self.on(id, IncidentEvent::Reopened { incident: id, reason })
    }
}
