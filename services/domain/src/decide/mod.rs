//! `decide(&state, input, context) → events or refusal`. A [`Draft`] collects the events of one input and keeps the
//! touched aggregates as they will be, so that later steps of the same input see the earlier ones.

mod observe;
mod tick;

use crate::{
    access,
    alarm::Alarm,
    erasure::ErasureEvent,
    event::{Body, By, Event, Key, Mode},
    ids::*,
    incident::Incident,
    input::{Actor, Command, Input, Outgoing, Refs},
    refusal::{Code, Refusal},
    site::{Class, Site, SiteEvent},
    state::{Counters, State},
    text::{MAX_TEXT, Ref, Secret, SecretKind, Subject},
    time::Timestamp,
};

/// What the core may not find out by itself.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// Random bits for a case code; fresh for each input.
    pub entropy: u64,
}

/// What an input leads to. Everything in it is committed together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Events, in order.
    pub events: Vec<Event>,
    /// Values for the vault.
    pub secrets: Vec<Secret>,
    /// What must leave the centre.
    pub outgoing: Vec<Outgoing>,
    /// What the sender may want to name.
    pub refs: Refs,
}

/// Decides. Changes nothing; a refusal leaves no trace.
pub fn decide(state: &State, input: &Input, context: Context) -> Result<Decision, Refusal> {
    let mut draft = Draft::new(state, context);
    match input {
        Input::Command { actor, mode, happened, command } => {
            access::permit(state, actor, command)?;
            draft.by = actor.by();
            draft.mode = *mode;
            draft.claimed = *happened;
            draft.command(actor, command)?;
        }
        Input::Observe { mode, observation } => {
            draft.mode = *mode;
            draft.observe(observation)?;
        }
        Input::Tick => draft.tick(),
    }
    Ok(draft.done())
}

/// The decision in the making.
pub(crate) struct Draft<'a> {
    pub(crate) base: &'a State,
    /// Copies of the touched aggregates, with the events so far applied.
    scratch: State,
    context: Context,
    pub(crate) by: By,
    pub(crate) mode: Mode,
    /// When the author says that it was.
    pub(crate) claimed: Option<Timestamp>,
    pub(crate) counters: Counters,
    pub(crate) out: Decision,
}

impl<'a> Draft<'a> {
    fn new(base: &'a State, context: Context) -> Self {
        Self {
            base,
            scratch: State::default(),
            context,
            by: By::System,
            mode: Mode::Real,
            claimed: None,
            counters: base.counters,
            out: Decision::default(),
        }
    }

    fn done(self) -> Decision {
        self.out
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.now
    }

    pub(crate) fn site(&self) -> Result<&'a Site, Refusal> {
        self.base.site.as_deref().ok_or(Code::NoSite.into())
    }

    pub(crate) fn class(&self, id: &ClassId) -> Result<&'a Class, Refusal> {
        self.site()?.class(id).ok_or(Refusal::field(Code::NoClass, "class"))
    }

    /// The alarm as it will be after the events so far.
    pub(crate) fn alarm(&self, id: AlarmId) -> Result<&Alarm, Refusal> {
        let found = self.scratch.alarms.get(&id).or_else(|| self.base.alarms.get(&id));
        found.ok_or(Code::NoAlarm.into())
    }

    /// The alarm of a command; exercise and real do not mix.
    pub(crate) fn alarm_in_mode(&self, id: AlarmId) -> Result<&Alarm, Refusal> {
        let alarm = self.alarm(id)?;
        if alarm.mode == self.mode { Ok(alarm) } else { Err(Code::ModeMismatch.into()) }
    }

    /// The incident as it will be after the events so far.
    pub(crate) fn incident(&self, id: IncidentId) -> Result<&Incident, Refusal> {
        let found = self.scratch.incidents.get(&id).or_else(|| self.base.incidents.get(&id));
        found.ok_or(Code::NoIncident.into())
    }

    /// The incident of a command; exercise and real do not mix.
    pub(crate) fn incident_in_mode(&self, id: IncidentId) -> Result<&Incident, Refusal> {
        let incident = self.incident(id)?;
        if incident.mode == self.mode { Ok(incident) } else { Err(Code::ModeMismatch.into()) }
    }

    pub(crate) fn emit(&mut self, what: impl Into<Body>) {
        self.emit_at(None, what);
    }

    /// An event whose author says when it really was.
    pub(crate) fn emit_at(&mut self, happened: Option<Timestamp>, what: impl Into<Body>) {
        let body = what.into();
        self.touch(&body.key());
        let event = Event {
            at: self.context.now,
            happened,
            mode: self.mode,
            by: self.by.clone(),
            vault_next: self.counters.vault,
            body,
        };
        self.scratch.apply(&event);
        self.out.events.push(event);
    }

    /// Events that the centre itself causes while somebody else's input is decided.
    pub(crate) fn emit_as(&mut self, by: By, what: impl Into<Body>) {
        let before = std::mem::replace(&mut self.by, by);
        self.emit(what);
        self.by = before;
    }

    /// Lets something leave the centre, which only what is real does: an exercise or a test reaches people on our own
    /// pages, striped, and no system or telephone of anybody else.
    pub(crate) fn send(&mut self, outgoing: Outgoing) {
        if self.mode == Mode::Real {
            self.out.outgoing.push(outgoing);
        }
    }

    fn touch(&mut self, key: &Key) {
        if !self.scratch.holds(key) {
            self.scratch.copy(self.base, key);
        }
    }

    /// Puts a value into the vault.
    pub(crate) fn seal(&mut self, subject: Subject, kind: SecretKind, value: &str) -> Ref {
        let id = VaultId(self.counters.vault);
        self.counters.vault += 1;
        self.out.secrets.push(Secret { id, subject, kind, value: value.trim().to_owned() });
        id
    }

    /// A text that must be there.
    pub(crate) fn text(
        &mut self,
        subject: Subject,
        value: &str,
        missing: Code,
        field: &'static str,
    ) -> Result<Ref, Refusal> {
        match self.optional_text(subject, Some(value), field)? {
            Some(text) => Ok(text),
            None => Err(Refusal::field(missing, field)),
        }
    }

    /// A text that may be absent; blanks count as absent.
    pub(crate) fn optional_text(
        &mut self,
        subject: Subject,
        value: Option<&str>,
        field: &'static str,
    ) -> Result<Option<Ref>, Refusal> {
        let Some(value) = value.map(str::trim).filter(|v| !v.is_empty()) else { return Ok(None) };
        if value.chars().count() > MAX_TEXT {
            return Err(Refusal::field(Code::TextTooLong, field));
        }
        Ok(Some(self.seal(subject, SecretKind::Text, value)))
    }

    /// A case code: eight characters without the ones that are misread.
    pub(crate) fn case_code(&mut self) -> String {
        const LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
        let mut bits = self.context.entropy;
        // Several codes of one input differ.
        self.context.entropy = bits.rotate_left(17).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut code = String::new();
        for _ in 0..8 {
            let index = usize::try_from(bits % 31).unwrap_or(0);
            code.push(char::from(LETTERS.get(index).copied().unwrap_or(b'2')));
            bits /= 31;
        }
        code
    }

    fn command(&mut self, actor: &Actor, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::SetSite(site) => self.emit(SiteEvent::Changed { site: site.clone() }),
            Command::SetAccount { account, name } => self.set_account(account, name),
            Command::SetDuty { post, account } => self.set_duty(*post, account.as_ref())?,
            Command::Erase(subject) => self.emit(ErasureEvent::Erased { subject: subject.clone() }),
            Command::IssueCredential { device, voice, behind, hash } => {
                self.issue_credential(device, *voice, behind, hash)?;
            }
            Command::RevokeCredential(device) => self.revoke_credential(device)?,
            Command::ConfirmAlarm(alarm) => self.confirm_alarm(*alarm)?,
            Command::JudgeAlarm { alarm, verdict, class, text } => {
                self.judge(*alarm, *verdict, class.as_ref(), text.as_deref())?;
            }
            Command::ShelveAlarm { alarm, span, reason } => self.shelve(*alarm, *span, reason)?,
            Command::UnshelveAlarm(alarm) => self.unshelve(*alarm)?,
            Command::PlaceAlarm { alarm, place } => self.place_alarm(*alarm, place)?,
            Command::PlaceMessage { message, place, class } => self.place_message(*message, place, class.as_ref())?,
            Command::Report { class, level, place, channel, reporter, text, into } => {
                let id = self.report(class, *level, place, *channel, reporter.as_ref(), text.as_deref())?;
                self.reported(actor, id, *into)?;
            }
            Command::Attend { incident, text } => self.attend(*incident, text.as_deref())?,
            Command::Accept(incident) => self.accept(*incident)?,
            Command::Reject { incident, reason } => self.reject(*incident, reason)?,
            Command::Merge { incident, into } => self.merge(*incident, *into)?,
            Command::File { incident, class, level } => self.file(*incident, class.as_ref(), *level)?,
            Command::Approve(incident) => self.approve(*incident)?,
            Command::RefuseApproval { incident, reason } => self.refuse_approval(*incident, reason)?,
            Command::Verify { incident, text } => self.verify(*incident, text.as_deref())?,
            Command::Close { incident, text } => self.close(*incident, text.as_deref())?,
            Command::Reopen { incident, reason } => self.reopen(*incident, reason)?,
            Command::Note { incident, text } => self.note(*incident, text)?,
            Command::CorrectPlace { incident, place } => self.correct_place(*incident, place)?,
            Command::AddExhibit { of, exhibit } => self.add_exhibit(*of, exhibit)?,
            Command::Push { incident, targets, text } => self.push(*incident, targets, text.as_deref())?,
            Command::Deliver { task, receipt, external } => self.deliver(*task, *receipt, external.clone())?,
            Command::Acknowledge(task) => self.acknowledge(*task)?,
            Command::EnRoute(task) => self.en_route(*task)?,
            Command::OnScene(task) => self.on_scene(*task)?,
            Command::Feedback { task, result, text, photos } => {
                self.feedback(*task, *result, text.as_deref(), photos)?;
            }
            Command::Decline { task, reason } => self.decline(*task, reason)?,
            Command::Recall { task, reason } => drop(self.recall(*task, reason.as_deref())?),
            Command::Reassign { task, unit, reason } => self.reassign(*task, unit, reason.as_deref())?,
            Command::Rework { task, reason } => self.rework(*task, reason)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
