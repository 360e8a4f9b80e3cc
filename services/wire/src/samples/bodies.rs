//! One event of every variant.

use std::sync::Arc;

use domain::{
    event::{Body, Event},
    ids::*,
    input::{Outgoing, Refs},
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
            Variant::SiteChanged => Body::SiteChanged { site: Arc::new(self.site()) },
            Variant::AccountChanged => Body::AccountChanged { account: self.account() },
            Variant::DutyChanged => Body::DutyChanged { post: self.pick(), account: self.opt(Self::id) },
            Variant::SensorLink => Body::SensorLink { sensor: self.id(), online: self.flag() },
            Variant::CameraFact => Body::CameraFact {
                camera: self.id(),
                state: self.text(),
                fault: self.opt(Self::text),
                since: self.at(),
            },
            Variant::DeviceCredentialIssued => Body::DeviceCredentialIssued {
                device: self.id(),
                voice: self.pick(),
                behind: self.list(Self::id),
                hash: self.vault(),
            },
            Variant::DeviceCredentialRevoked => Body::DeviceCredentialRevoked { device: self.id() },
            Variant::LightChanged => {
                Body::LightChanged { unit: self.id(), light: self.pick(), last: self.opt(Self::at) }
            }
            Variant::MessageKept => Body::MessageKept { message: self.message() },
            Variant::MessageSent => Body::MessageSent { message: MessageId(self.roll()), ok: self.flag() },
            Variant::Unreadable => Body::Unreadable { source: self.text(), why: self.text(), size: self.roll() },
            Variant::Erased => Body::Erased { subject: self.subject() },
            Variant::PatrolPlanned | Variant::PatrolStarted | Variant::PatrolFound | Variant::PatrolFinished => {
                self.patrol_body(variant)
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
            | Variant::AlarmPlaced => self.alarm_body(variant),
            Variant::TaskPushed
            | Variant::TaskDelivered
            | Variant::TaskAcknowledged
            | Variant::TaskEnRoute
            | Variant::TaskOnScene
            | Variant::TaskFeedback
            | Variant::TaskDeclined
            | Variant::TaskRecalled
            | Variant::ReworkOrdered => self.task_body(variant),
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
            | Variant::ExhibitAdded => self.incident_body(variant),
        }
    }

    fn patrol_body(&mut self, variant: Variant) -> Body {
        let patrol = PatrolId(self.roll());
        match variant {
            Variant::PatrolPlanned => {
                Body::PatrolPlanned { patrol, kind: self.pick(), subject: self.text(), due: self.at() }
            }
            Variant::PatrolStarted => Body::PatrolStarted { patrol, total: self.u32() },
            Variant::PatrolFound => Body::PatrolFound { patrol, finding: self.finding() },
            Variant::PatrolFinished => Body::PatrolFinished { patrol, checked: self.u32() },
            other => unreachable!("{other:?} is no event of a patrol"),
        }
    }

    fn alarm_body(&mut self, variant: Variant) -> Body {
        let alarm = AlarmId(self.roll());
        match variant {
            Variant::AlarmRaised => Body::AlarmRaised {
                alarm,
                kind: self.id(),
                level: self.pick(),
                place: self.place(),
                code: self.text(),
                evidence: self.evidence(),
            },
            Variant::AlarmEvidence => {
                Body::AlarmEvidence { alarm, level: self.pick(), kind: self.id(), evidence: self.evidence() }
            }
            Variant::AlarmSourceCleared => Body::AlarmSourceCleared { alarm, source: self.source() },
            Variant::AlarmConfirmed => Body::AlarmConfirmed { alarm },
            Variant::AlarmSounded => Body::AlarmSounded { alarm },
            Variant::AlarmJudged => Body::AlarmJudged {
                alarm,
                verdict: self.pick(),
                incident: self.opt(|d| IncidentId(d.roll())),
                text: self.opt(Self::vault),
            },
            Variant::AlarmShelved => Body::AlarmShelved { alarm, until: self.at(), reason: self.vault() },
            Variant::AlarmUnshelved => Body::AlarmUnshelved { alarm },
            Variant::AlarmExhibit => Body::AlarmExhibit { alarm, exhibit: self.exhibit() },
            Variant::AlarmMoved => Body::AlarmMoved { alarm, incident: IncidentId(self.roll()) },
            Variant::AlarmPlaced => Body::AlarmPlaced { alarm, place: self.place() },
            other => unreachable!("{other:?} is no event of an alarm"),
        }
    }

    fn incident_body(&mut self, variant: Variant) -> Body {
        let incident = IncidentId(self.roll());
        match variant {
            Variant::Reported => Body::Reported {
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
            Variant::Accepted => Body::Accepted { incident },
            Variant::Rejected => Body::Rejected { incident, reason: self.vault() },
            Variant::Merged => Body::Merged { incident, into: IncidentId(self.roll()) },
            Variant::Absorbed => Body::Absorbed {
                incident,
                from: IncidentId(self.roll()),
                alarms: self.later(|d| AlarmId(d.roll())),
                exhibits: self.later(Self::exhibit),
                level: self.later(Self::pick).pop(),
            },
            Variant::Filed => Body::Filed { incident, class: self.id(), level: self.pick() },
            Variant::Approved => Body::Approved { incident },
            Variant::ApprovalRefused => Body::ApprovalRefused { incident, reason: self.vault() },
            Variant::Verified => Body::Verified { incident, text: self.opt(Self::vault) },
            Variant::Closed => Body::Closed { incident, text: self.opt(Self::vault) },
            Variant::Reopened => Body::Reopened { incident, reason: self.vault() },
            Variant::Noted => Body::Noted { incident, text: self.vault() },
            Variant::PlaceCorrected => {
                Body::PlaceCorrected { incident, place: self.place(), before: self.later(Self::place).pop() }
            }
            Variant::AttentionCalled => {
                Body::AttentionCalled { incident, why: self.pick(), task: self.opt(|d| TaskId(d.roll())) }
            }
            Variant::Attended => Body::Attended { incident, text: self.opt(Self::vault) },
            Variant::ExhibitAdded => Body::ExhibitAdded { incident, exhibit: self.exhibit() },
            other => unreachable!("{other:?} is no event of an incident"),
        }
    }

    fn task_body(&mut self, variant: Variant) -> Body {
        let (incident, task) = (IncidentId(self.roll()), TaskId(self.roll()));
        match variant {
            Variant::TaskPushed => Body::TaskPushed {
                incident,
                task,
                unit: self.id(),
                terms: self.terms(),
                text: self.opt(Self::vault),
                replaces: self.opt(|d| TaskId(d.roll())),
            },
            Variant::TaskDelivered => {
                Body::TaskDelivered { incident, task, receipt: self.pick(), external: self.opt(Self::text) }
            }
            Variant::TaskAcknowledged => Body::TaskAcknowledged { incident, task },
            Variant::TaskEnRoute => Body::TaskEnRoute { incident, task },
            Variant::TaskOnScene => Body::TaskOnScene { incident, task },
            Variant::TaskFeedback => Body::TaskFeedback {
                incident,
                task,
                result: self.pick(),
                text: self.opt(Self::vault),
                photos: self.list(Self::id),
            },
            Variant::TaskDeclined => Body::TaskDeclined { incident, task, reason: self.vault() },
            Variant::TaskRecalled => Body::TaskRecalled { incident, task, reason: self.opt(Self::vault) },
            Variant::ReworkOrdered => Body::ReworkOrdered { incident, task, reason: self.vault() },
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
