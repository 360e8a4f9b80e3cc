//! Tasks: push, the unit's steps, and what the centre does with them afterwards.

use crate::{
    attention::Why,
    decide::Draft,
    ids::*,
    incident::{Incident, IncidentEvent, Stage},
    input::{Outgoing, PushTarget},
    refusal::{Code, Refusal},
    site::Level,
    task::{FeedbackResult, MAX_FEEDBACK, MAX_PHOTOS, MAX_TASKS, Task, TaskState, TaskTerms},
    text::{Ref, Subject},
    time::{Millis, Timestamp},
};

/// A step that was this long ago tells both times.
const TOLD_APART: Millis = Millis::seconds(1);

impl Draft<'_> {
    pub(crate) fn acknowledge(&mut self, task: TaskId) -> Result<(), Refusal> {
        let incident = self.in_state(task, &[TaskState::Pushed, TaskState::Delivered])?;
        self.step(task, IncidentEvent::TaskAcknowledged { incident, task })
    }

    pub(crate) fn en_route(&mut self, task: TaskId) -> Result<(), Refusal> {
        let incident = self.in_state(task, &[TaskState::Acknowledged])?;
        self.step(task, IncidentEvent::TaskEnRoute { incident, task })
    }

    pub(crate) fn on_scene(&mut self, task: TaskId) -> Result<(), Refusal> {
        let incident = self.in_state(task, &[TaskState::EnRoute])?;
        self.step(task, IncidentEvent::TaskOnScene { incident, task })
    }

    /// The case says that a task did not reach its unit's system. A red one asks for a person at once, unless a unit has
    /// it in hand already.
    pub(crate) fn push_failed(&mut self, id: IncidentId, task: TaskId, text: &str) -> Result<(), Refusal> {
        let incident = self.incident(id)?;
        let found = incident.task(task).ok_or(Refusal::new(Code::NoTask))?;
        let taken = incident.tasks.iter().any(|t| !t.state.gone() && t.times.acknowledged.is_some());
        let asks = incident.open() && incident.level == Level::Red && found.state.live() && !taken;
        self.mode = incident.mode;
        let text = self.text(Subject::Incident(id), text, Code::TextMissing, "text")?;
        self.emit(IncidentEvent::Noted { incident: id, text });
        if asks {
            self.call(id, Why::Unacknowledged, Some(task));
        }
        self.out.refs.incident = Some(id);
        Ok(())
    }

    /// The incident and task of an id, in the mode of the command.
    fn task(&self, id: TaskId) -> Result<(&Incident, &Task), Refusal> {
        let incident = self.base.incident_of(id).ok_or(Refusal::new(Code::NoTask))?.id;
        let incident = self.incident_in_mode(incident)?;
        let task = incident.task(id).ok_or(Refusal::new(Code::NoTask))?;
        Ok((incident, task))
    }

    fn in_state(&self, id: TaskId, states: &[TaskState]) -> Result<IncidentId, Refusal> {
        let (incident, task) = self.task(id)?;
        let right = states.contains(&task.state) && incident.open();
        if right { Ok(incident.id) } else { Err(Code::WrongTaskState.into()) }
    }

    fn step(&mut self, task: TaskId, what: IncidentEvent) -> Result<(), Refusal> {
        let (incident, _) = self.task(task)?;
        self.out.refs.incident = Some(incident.id);
        self.out.refs.tasks.push(task);
        let happened = self.happened(task)?;
        self.emit_at(happened, what);
        Ok(())
    }

    /// When a step was, as the unit says: not before the step that it follows, and not after now.
    fn happened(&self, task: TaskId) -> Result<Option<Timestamp>, Refusal> {
        let t = &self.task(task)?.1.times;
        let before = [Some(t.pushed), t.acknowledged, t.en_route, t.on_scene].into_iter().flatten().max();
        let earliest = before.unwrap_or(self.now()).min(self.now());
        let claimed = self.claimed.map(|at| at.clamp(earliest, self.now()));
        Ok(claimed.filter(|at| self.now() - *at >= TOLD_APART))
    }

    pub(crate) fn push(&mut self, id: IncidentId, targets: &[PushTarget], text: Option<&str>) -> Result<(), Refusal> {
        self.may_push(self.incident_in_mode(id)?)?;
        self.check_targets(id, targets)?;
        let text = self.optional_text(Subject::Incident(id), text, "text")?;
        for target in targets {
            let mut terms = self.terms(id, target.lead, target.mandatory)?;
            terms.arrive = target.arrive.filter(|a| a.0 > 0).unwrap_or(terms.arrive);
            self.push_one(id, &target.unit, terms, text, None);
        }
        self.out.refs.incident = Some(id);
        Ok(())
    }

    fn may_push(&self, incident: &Incident) -> Result<(), Refusal> {
        match incident.stage {
            // A red incident never waits for an approval.
            Stage::Filed if incident.level == Level::Red => Ok(()),
            Stage::Approved | Stage::Dispatched | Stage::Handling | Stage::AwaitingVerification => Ok(()),
            Stage::PendingApproval => Err(Code::NotApproved.into()),
            Stage::Filed
            | Stage::Reported
            | Stage::Accepted
            | Stage::Verified
            | Stage::Rejected
            | Stage::Merged
            | Stage::Closed => Err(Code::WrongStage.into()),
        }
    }

    fn check_targets(&self, id: IncidentId, targets: &[PushTarget]) -> Result<(), Refusal> {
        let incident = self.incident(id)?;
        if targets.is_empty() {
            return Err(Refusal::field(Code::NoUnit, "targets"));
        }
        if incident.tasks.len() + targets.len() > MAX_TASKS {
            return Err(Refusal::field(Code::TooMany, "targets"));
        }
        let present = || incident.tasks.iter().filter(|t| !t.state.gone());
        for (n, target) in targets.iter().enumerate() {
            if self.site()?.unit(&target.unit).is_none() {
                return Err(Refusal::field(Code::NoUnit, "targets"));
            }
            let twice = targets.iter().take(n).any(|t| t.unit == target.unit);
            if twice || present().any(|t| t.unit == target.unit) {
                return Err(Refusal::field(Code::UnitBusy, "targets"));
            }
        }
        let leads = targets.iter().filter(|t| t.lead).count() + present().filter(|t| t.terms.lead).count();
        match leads {
            0 => Err(Refusal::field(Code::LeadMissing, "targets")),
            1 => Ok(()),
            _ => Err(Refusal::field(Code::LeadTaken, "targets")),
        }
    }

    fn terms(&self, id: IncidentId, lead: bool, mandatory: bool) -> Result<TaskTerms, Refusal> {
        let incident = self.incident(id)?;
        let limits = self.class(&incident.class)?.limits;
        Ok(TaskTerms {
            lead,
            // The lead's work is what verification looks at.
            mandatory: mandatory || lead,
            acknowledge: limits.acknowledge,
            arrive: limits.arrive,
            handle: limits.handle,
            decline: if incident.level == Level::Red { Millis(0) } else { limits.decline },
        })
    }

    fn push_one(
        &mut self,
        incident: IncidentId,
        unit: &UnitId,
        terms: TaskTerms,
        text: Option<Ref>,
        replaces: Option<TaskId>,
    ) {
        let task = TaskId(self.counters.task);
        self.counters.task += 1;
        self.emit(IncidentEvent::TaskPushed { incident, task, unit: unit.clone(), terms, text, replaces });
        self.out.refs.tasks.push(task);
        self.send(Outgoing::Push { unit: unit.clone(), incident, task });
    }

    pub(crate) fn deliver(
        &mut self,
        id: TaskId,
        receipt: crate::task::Receipt,
        external: Option<String>,
    ) -> Result<(), Refusal> {
        let base = self.base.incident_of(id).ok_or(Refusal::new(Code::NoTask))?;
        // A receipt is a fact about the way, whatever the mode of the reader's page.
        self.mode = base.mode;
        let (incident, task) = self.task(id)?;
        let known = task.times.delivered.is_some() && (external.is_none() || task.external == external);
        let (incident, over) = (incident.id, known || task.state.gone());
        self.out.refs.incident = Some(incident);
        if over {
            return Ok(());
        }
        if external.as_ref().is_some_and(|e| e.chars().count() > 64) {
            return Err(Refusal::field(Code::TextTooLong, "external"));
        }
        self.step(id, IncidentEvent::TaskDelivered { incident, task: id, receipt, external })
    }

    pub(crate) fn feedback(
        &mut self,
        id: TaskId,
        result: FeedbackResult,
        text: Option<&str>,
        photos: &[BlobId],
    ) -> Result<(), Refusal> {
        let incident = self.in_state(id, &[TaskState::OnScene])?;
        if photos.len() > MAX_PHOTOS {
            return Err(Refusal::field(Code::TooMany, "photos"));
        }
        // Each is kept in the incident's document, which must never outgrow what the store takes.
        if result == FeedbackResult::NeedSupport && self.task(id)?.1.feedback.len() >= MAX_FEEDBACK {
            return Err(Code::TooMany.into());
        }
        let text = self.optional_text(Subject::Incident(incident), text, "text")?;
        if text.is_none() && photos.is_empty() {
            return Err(Refusal::field(Code::TextMissing, "text"));
        }
        self.step(id, IncidentEvent::TaskFeedback { incident, task: id, result, text, photos: photos.to_vec() })?;
        if result == FeedbackResult::NeedSupport {
            self.call(incident, Why::Support, Some(id));
        }
        Ok(())
    }

    pub(crate) fn decline(&mut self, id: TaskId, reason: &str) -> Result<(), Refusal> {
        let incident = self.in_state(id, &[TaskState::Pushed, TaskState::Delivered])?;
        let (_, task) = self.task(id)?;
        if self.incident(incident)?.level == Level::Red {
            return Err(Code::RedDecline.into());
        }
        let moment = self.happened(id)?.unwrap_or(self.now());
        if moment - task.times.pushed > task.terms.decline {
            return Err(Code::DeclineLate.into());
        }
        let reason = self.reason(incident, reason)?;
        self.step(id, IncidentEvent::TaskDeclined { incident, task: id, reason })?;
        self.call(incident, Why::Declined, Some(id));
        Ok(())
    }

    pub(crate) fn recall(&mut self, id: TaskId, reason: Option<&str>) -> Result<(IncidentId, Task), Refusal> {
        let (incident, task) = self.task(id)?;
        let (incident, task) = (incident.id, task.clone());
        if !task.state.live() {
            return Err(Code::WrongTaskState.into());
        }
        let reason = self.optional_text(Subject::Incident(incident), reason, "reason")?;
        self.step(id, IncidentEvent::TaskRecalled { incident, task: id, reason })?;
        self.send(Outgoing::Recall { unit: task.unit.clone(), incident, task: id });
        Ok((incident, task))
    }

    pub(crate) fn reassign(&mut self, id: TaskId, unit: &UnitId, reason: Option<&str>) -> Result<(), Refusal> {
        let (incident, task) = self.task(id)?;
        if !task.state.live() && task.state != TaskState::Declined {
            return Err(Code::WrongTaskState.into());
        }
        self.may_push(incident)?;
        let busy = incident.tasks.iter().any(|t| !t.state.gone() && &t.unit == unit);
        if self.site()?.unit(unit).is_none() {
            return Err(Refusal::field(Code::NoUnit, "unit"));
        }
        if busy {
            return Err(Refusal::field(Code::UnitBusy, "unit"));
        }
        if incident.tasks.len() >= MAX_TASKS {
            return Err(Code::TooMany.into());
        }
        let (mut terms, text) = (task.terms, task.text);
        // After a decline another unit may lead already; then this one assists.
        terms.lead &= !incident.tasks.iter().any(|t| t.id != id && t.terms.lead && !t.state.gone());
        let incident = incident.id;
        if task.state.live() {
            self.recall(id, reason)?;
        }
        self.push_one(incident, unit, terms, text, Some(id));
        self.out.refs.incident = Some(incident);
        Ok(())
    }

    pub(crate) fn rework(&mut self, id: TaskId, reason: &str) -> Result<(), Refusal> {
        let incident = self.in_state(id, &[TaskState::Done])?;
        // Approved with a task that is done: the incident was reopened.
        self.in_stage(incident, &[Stage::Approved, Stage::Handling, Stage::AwaitingVerification, Stage::Verified])?;
        let reason = self.reason(incident, reason)?;
        let unit = self.task(id)?.1.unit.clone();
        self.step(id, IncidentEvent::ReworkOrdered { incident, task: id, reason })?;
        self.send(Outgoing::Push { unit, incident, task: id });
        Ok(())
    }
}
