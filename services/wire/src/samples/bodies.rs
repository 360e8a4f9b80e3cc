//! One event of every variant.

use std::sync::Arc;

use domain::{
    account::{AccountEvent, DutyEvent},
    alarm::AlarmEvent,
    camera::CameraEvent,
    device::{CredentialEvent, SensorEvent},
    erasure::ErasureEvent,
    event::{Body, Event},
    ids::*,
    incident::IncidentEvent,
    input::{Outgoing, Refs},
    light::LightEvent,
    message::MessageEvent,
    patrol::PatrolEvent,
    site::SiteEvent,
    unreadable::UnreadableEvent,
};

use super::Dice;
use crate::event::Variant;

impl Dice {
    pub(crate) fn event(&mut self, variant: Variant) -> Event {
        let (at, mode, by, vault_next) = (self.at(), self.pick(), self.by(), self.roll());
        Event { at, mode, by, vault_next, body: self.body(variant), happened: self.later(Self::at).pop() }
    }

    fn body(&mut self, variant: Variant) -> Body {
        match variant {
            Variant::SiteChanged => SiteEvent::Changed { site: Arc::new(self.site()) }.into(),
            Variant::AccountChanged => AccountEvent::Changed { account: self.account() }.into(),
            Variant::DutyChanged => DutyEvent::Changed { post: self.pick(), account: self.opt(Self::id) }.into(),
            Variant::SensorLink => SensorEvent::Linked { sensor: self.id(), online: self.flag() }.into(),
            Variant::CameraFact => CameraEvent::Changed {
                camera: self.id(),
                state: self.text(),
                fault: self.opt(Self::text),
                since: self.at(),
            }
            .into(),
            Variant::DeviceCredentialIssued => CredentialEvent::Issued {
                device: self.id(),
                voice: self.pick(),
                behind: self.list(Self::id),
                hash: self.vault(),
            }
            .into(),
            Variant::DeviceCredentialRevoked => CredentialEvent::Revoked { device: self.id() }.into(),
            Variant::LightChanged => {
                LightEvent::Changed { unit: self.id(), light: self.pick(), last: self.opt(Self::at) }.into()
            }
            Variant::MessageKept => MessageEvent::Kept { message: self.message() }.into(),
            Variant::MessageSent => MessageEvent::Sent { message: MessageId(self.roll()), ok: self.flag() }.into(),
            Variant::Unreadable => {
                UnreadableEvent::Counted { source: self.text(), why: self.text(), size: self.roll() }.into()
            }
            Variant::Erased => ErasureEvent::Erased { subject: self.subject() }.into(),
            Variant::PatrolPlanned | Variant::PatrolStarted | Variant::PatrolFound | Variant::PatrolFinished => {
                self.patrol_body(variant).into()
            }
            Variant::AlarmRaised
            | Variant::AlarmEvidence
            | Variant::AlarmSourceCleared
            | Variant::AlarmConfirmed
            | Variant::AlarmSounded
            | Variant::AlarmJudged
            | Variant::AlarmShelved
            | Variant::AlarmUnshelved
            | Variant::AlarmExhibit
            | Variant::AlarmMoved
            | Variant::AlarmPlaced => self.alarm_body(variant).into(),
            Variant::TaskPushed
            | Variant::TaskDelivered
            | Variant::TaskAcknowledged
            | Variant::TaskEnRoute
            | Variant::TaskOnScene
            | Variant::TaskFeedback
            | Variant::TaskDeclined
            | Variant::TaskRecalled
            | Variant::ReworkOrdered => self.task_body(variant).into(),
            Variant::Reported
            | Variant::Accepted
            | Variant::Rejected
            | Variant::Merged
            | Variant::Absorbed
            | Variant::Filed
            | Variant::Approved
            | Variant::ApprovalRefused
            | Variant::Verified
            | Variant::Closed
            | Variant::Reopened
            | Variant::Noted
            | Variant::PlaceCorrected
            | Variant::AttentionCalled
            | Variant::Attended
            | Variant::ExhibitAdded => self.incident_body(variant).into(),
        }
    }

    fn patrol_body(&mut self, variant: Variant) -> PatrolEvent {
        let patrol = PatrolId(self.roll());
        match variant {
            Variant::PatrolPlanned => {
                PatrolEvent::Planned { patrol, kind: self.pick(), subject: self.text(), due: self.at() }
            }
            Variant::PatrolStarted => PatrolEvent::Started { patrol, total: self.u32() },
            Variant::PatrolFound => PatrolEvent::Found { patrol, finding: self.finding() },
            Variant::PatrolFinished => PatrolEvent::Finished { patrol, checked: self.u32() },
            other => unreachable!("{other:?} is no event of a patrol"),
        }
    }

    fn alarm_body(&mut self, variant: Variant) -> AlarmEvent {
        let alarm = AlarmId(self.roll());
        match variant {
            Variant::AlarmRaised => AlarmEvent::Raised {
                alarm,
                kind: self.id(),
                level: self.pick(),
                place: self.place(),
                code: self.text(),
                evidence: self.evidence(),
            },
            Variant::AlarmEvidence => {
                AlarmEvent::EvidenceAdded { alarm, level: self.pick(), kind: self.id(), evidence: self.evidence() }
            }
            Variant::AlarmSourceCleared => AlarmEvent::SourceCleared { alarm, source: self.source() },
            Variant::AlarmConfirmed => AlarmEvent::Confirmed { alarm },
            Variant::AlarmSounded => AlarmEvent::Sounded { alarm },
            Variant::AlarmJudged => AlarmEvent::Judged {
                alarm,
                verdict: self.pick(),
                incident: self.opt(|d| IncidentId(d.roll())),
                text: self.opt(Self::vault),
            },
            Variant::AlarmShelved => AlarmEvent::Shelved { alarm, until: self.at(), reason: self.vault() },
            Variant::AlarmUnshelved => AlarmEvent::Unshelved { alarm },
            Variant::AlarmExhibit => AlarmEvent::ExhibitAdded { alarm, exhibit: self.exhibit() },
            Variant::AlarmMoved => AlarmEvent::Moved { alarm, incident: IncidentId(self.roll()) },
            Variant::AlarmPlaced => AlarmEvent::Placed { alarm, place: self.place() },
            other => unreachable!("{other:?} is no event of an alarm"),
        }
    }

    fn incident_body(&mut self, variant: Variant) -> IncidentEvent {
        let incident = IncidentId(self.roll());
        match variant {
            Variant::Reported => IncidentEvent::Reported {
                incident,
                class: self.id(),
                level: self.pick(),
                place: self.place(),
                channel: self.pick(),
                code: self.text(),
                reporter: self.opt(Self::reporter),
                text: self.opt(Self::vault),
                alarm: self.opt(|d| AlarmId(d.roll())),
            },
            Variant::Accepted => IncidentEvent::Accepted { incident },
            Variant::Rejected => IncidentEvent::Rejected { incident, reason: self.vault() },
            Variant::Merged => IncidentEvent::Merged { incident, into: IncidentId(self.roll()) },
            Variant::Absorbed => IncidentEvent::Absorbed {
                incident,
                from: IncidentId(self.roll()),
                alarms: self.later(|d| AlarmId(d.roll())),
                exhibits: self.later(Self::exhibit),
                level: self.later(Self::pick).pop(),
            },
            Variant::Filed => IncidentEvent::Filed { incident, class: self.id(), level: self.pick() },
            Variant::Approved => IncidentEvent::Approved { incident },
            Variant::ApprovalRefused => IncidentEvent::ApprovalRefused { incident, reason: self.vault() },
            Variant::Verified => IncidentEvent::Verified { incident, text: self.opt(Self::vault) },
            Variant::Closed => IncidentEvent::Closed { incident, text: self.opt(Self::vault) },
            Variant::Reopened => IncidentEvent::Reopened { incident, reason: self.vault() },
            Variant::Noted => IncidentEvent::Noted { incident, text: self.vault() },
            Variant::PlaceCorrected => {
                IncidentEvent::PlaceCorrected { incident, place: self.place(), before: self.later(Self::place).pop() }
            }
            Variant::AttentionCalled => {
                IncidentEvent::AttentionCalled { incident, why: self.pick(), task: self.opt(|d| TaskId(d.roll())) }
            }
            Variant::Attended => IncidentEvent::Attended { incident, text: self.opt(Self::vault) },
            Variant::ExhibitAdded => IncidentEvent::ExhibitAdded { incident, exhibit: self.exhibit() },
            other => unreachable!("{other:?} is no event of an incident"),
        }
    }

    fn task_body(&mut self, variant: Variant) -> IncidentEvent {
        let (incident, task) = (IncidentId(self.roll()), TaskId(self.roll()));
        match variant {
            Variant::TaskPushed => IncidentEvent::TaskPushed {
                incident,
                task,
                unit: self.id(),
                terms: self.terms(),
                text: self.opt(Self::vault),
                replaces: self.opt(|d| TaskId(d.roll())),
            },
            Variant::TaskDelivered => {
                IncidentEvent::TaskDelivered { incident, task, receipt: self.pick(), external: self.opt(Self::text) }
            }
            Variant::TaskAcknowledged => IncidentEvent::TaskAcknowledged { incident, task },
            Variant::TaskEnRoute => IncidentEvent::TaskEnRoute { incident, task },
            Variant::TaskOnScene => IncidentEvent::TaskOnScene { incident, task },
            Variant::TaskFeedback => IncidentEvent::TaskFeedback {
                incident,
                task,
                result: self.pick(),
                text: self.opt(Self::vault),
                photos: self.list(Self::id),
            },
            Variant::TaskDeclined => IncidentEvent::TaskDeclined { incident, task, reason: self.vault() },
            Variant::TaskRecalled => IncidentEvent::TaskRecalled { incident, task, reason: self.opt(Self::vault) },
            Variant::ReworkOrdered => IncidentEvent::ReworkOrdered { incident, task, reason: self.vault() },
            other => unreachable!("{other:?} is no event of a task"),
        }
    }

    /// One of each.
    pub(crate) fn outgoing(&mut self) -> Vec<(&'static str, Outgoing)> {
        let (unit, incident, task) = (UnitId::from(self.text()), IncidentId(self.roll()), TaskId(self.roll()));
        let (alarm, camera) = (AlarmId(self.roll()), self.id());
        let all = vec![
            Outgoing::Push { unit: unit.clone(), incident, task },
            Outgoing::Recall { unit, incident, task },
            Outgoing::Sms { message: MessageId(self.roll()) },
            Outgoing::Clip { alarm, camera, from: self.at(), to: self.at() },
        ];
        let name = |o: &Outgoing| match o {
            Outgoing::Push { .. } => "push",
            Outgoing::Recall { .. } => "recall",
            Outgoing::Sms { .. } => "sms",
            Outgoing::Clip { .. } => "clip",
        };
        all.into_iter().map(|o| (name(&o), o)).collect()
    }

    pub(crate) fn refs(&mut self) -> Refs {
        Refs {
            alarm: self.opt(|d| AlarmId(d.roll())),
            incident: self.opt(|d| IncidentId(d.roll())),
            tasks: self.list(|d| TaskId(d.roll())),
            patrol: self.opt(|d| PatrolId(d.roll())),
            message: self.opt(|d| MessageId(d.roll())),
            code: self.opt(Self::text),
        }
    }
}
