//! `decide(&state, input, context) → events or refusal`. A [`Draft`] collects the events of one input and keeps the
//! touched aggregates as they will be, so that later steps of the same input see the earlier ones.

mod alarm;
mod device;
mod incident;
mod observe;
mod task;

use crate::{
    access,
    alarm::Alarm,
    event::{Body, By, Event, Key, Mode},
    ids::*,
    incident::Incident,
    input::{Actor, Command, Input, Outgoing, Refs},
    refusal::{Code, Refusal},
    site::{Class, Place, Site},
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
    base: &'a State,
    /// Copies of the touched aggregates, with the events so far applied.
    scratch: State,
    context: Context,
    by: By,
    mode: Mode,
    /// When the author says that it was.
    claimed: Option<Timestamp>,
    counters: Counters,
    out: Decision,
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

    fn now(&self) -> Timestamp {
        self.context.now
    }

    fn site(&self) -> Result<&'a Site, Refusal> {
        self.base.site.as_deref().ok_or(Code::NoSite.into())
    }

    fn class(&self, id: &ClassId) -> Result<&'a Class, Refusal> {
        self.site()?.class(id).ok_or(Refusal::field(Code::NoClass, "class"))
    }

    /// The alarm as it will be after the events so far.
    fn alarm(&self, id: AlarmId) -> Result<&Alarm, Refusal> {
        let found = self.scratch.alarms.get(&id).or_else(|| self.base.alarms.get(&id));
        found.ok_or(Code::NoAlarm.into())
    }

    /// The alarm of a command; exercise and real do not mix.
    fn alarm_in_mode(&self, id: AlarmId) -> Result<&Alarm, Refusal> {
        let alarm = self.alarm(id)?;
        if alarm.mode == self.mode { Ok(alarm) } else { Err(Code::ModeMismatch.into()) }
    }

    /// The incident as it will be after the events so far.
    fn incident(&self, id: IncidentId) -> Result<&Incident, Refusal> {
        let found = self.scratch.incidents.get(&id).or_else(|| self.base.incidents.get(&id));
        found.ok_or(Code::NoIncident.into())
    }

    /// The incident of a command; exercise and real do not mix.
    fn incident_in_mode(&self, id: IncidentId) -> Result<&Incident, Refusal> {
        let incident = self.incident(id)?;
        if incident.mode == self.mode { Ok(incident) } else { Err(Code::ModeMismatch.into()) }
    }

    fn emit(&mut self, body: Body) {
        self.emit_at(None, body);
    }

    /// An event whose author says when it really was.
    fn emit_at(&mut self, happened: Option<Timestamp>, body: Body) {
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
    fn emit_as(&mut self, by: By, body: Body) {
        let before = std::mem::replace(&mut self.by, by);
        self.emit(body);
        self.by = before;
    }

    /// Lets something leave the centre, which only what is real does: an exercise or a test reaches people on our own
    /// pages, striped, and no system or telephone of anybody else.
    fn send(&mut self, outgoing: Outgoing) {
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
    fn seal(&mut self, subject: Subject, kind: SecretKind, value: &str) -> Ref {
        let id = VaultId(self.counters.vault);
        self.counters.vault += 1;
        self.out.secrets.push(Secret { id, subject, kind, value: value.trim().to_owned() });
        id
    }

    /// A text that must be there.
    fn text(&mut self, subject: Subject, value: &str, missing: Code, field: &'static str) -> Result<Ref, Refusal> {
        match self.optional_text(subject, Some(value), field)? {
            Some(text) => Ok(text),
            None => Err(Refusal::field(missing, field)),
        }
    }

    /// A text that may be absent; blanks count as absent.
    fn optional_text(
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

    fn check_place(&self, place: &Place) -> Result<(), Refusal> {
        let site = self.site()?;
        let building = place.building.as_ref().map(|b| site.building(b));
        let fits = match building {
            Some(None) => false,
            Some(Some(b)) => {
                b.grid == place.grid
                    && place.unit.is_none_or(|u| (1..=b.units).contains(&u))
                    && place.floor.is_none_or(|f| f >= -2 && i16::from(f) <= i16::from(b.floors))
                    && place.flat.is_none_or(|f| (1..=b.flats_per_floor).contains(&f))
            }
            None => place.unit.is_none() && place.floor.is_none() && place.flat.is_none(),
        };
        let landmark = place.landmark.as_ref().is_none_or(|l| site.landmark(l).is_some());
        let point = place.point.x.is_finite() && place.point.y.is_finite();
        if fits && landmark && point && site.grid(&place.grid).is_some() {
            Ok(())
        } else {
            Err(Refusal::field(Code::NoPlace, "place"))
        }
    }

    /// A case code: eight characters without the ones that are misread.
    fn case_code(&mut self) -> String {
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
            Command::SetSite(site) => self.emit(Body::SiteChanged { site: site.clone() }),
            Command::SetAccount { account, name } => {
                let subject = Subject::Account(account.id.clone());
                let name = self.seal(subject, SecretKind::Published, name);
                let account = crate::account::Account { name, ..account.clone() };
                self.emit(Body::AccountChanged { account });
            }
            Command::SetDuty { post, account } => {
                if account.as_ref().is_some_and(|a| !self.base.accounts.contains_key(a)) {
                    return Err(Refusal::field(Code::NoAccount, "account"));
                }
                self.emit(Body::DutyChanged { post: *post, account: account.clone() });
            }
            Command::Erase(subject) => self.emit(Body::Erased { subject: subject.clone() }),
            Command::IssueCredential { device, voice, behind, hash } => {
                self.issue_credential(device, *voice, behind, hash)?;
            }
            Command::RevokeCredential(device) => self.revoke_credential(device)?,
            Command::ConfirmAlarm(_)
            | Command::JudgeAlarm { .. }
            | Command::ShelveAlarm { .. }
            | Command::UnshelveAlarm(_) => self.alarm_command(command)?,
            Command::PlaceAlarm { alarm, place } => self.place_alarm(*alarm, place)?,
            Command::PlaceMessage { message, place, class } => self.place_message(*message, place, class.as_ref())?,
            Command::Push { .. }
            | Command::Deliver { .. }
            | Command::Acknowledge(_)
            | Command::EnRoute(_)
            | Command::OnScene(_)
            | Command::Feedback { .. }
            | Command::Decline { .. }
            | Command::Recall { .. }
            | Command::Reassign { .. }
            | Command::Rework { .. } => self.task_command(command)?,
            _ => self.incident_command(actor, command)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
