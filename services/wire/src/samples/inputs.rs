//! One input of every variant.

use std::sync::Arc;

use domain::{
    ids::*,
    input::{Actor, Command, ExhibitOf, Input, Observation, PushTarget, ReporterInput},
};

use super::Dice;
use crate::input::{get_command::Variant as Said, get_observation::Variant as Seen};

impl Dice {
    pub(crate) fn inputs(&mut self) -> Vec<Input> {
        let mut all = vec![Input::Tick];
        for said in Said::ALL {
            let (actor, mode, happened) = (self.actor(), self.pick(), self.opt(Self::at));
            all.push(Input::Command { actor, mode, happened, command: self.command(*said) });
        }
        for seen in Seen::ALL {
            all.push(Input::Observe { mode: self.pick(), observation: self.observation(*seen) });
        }
        all
    }

    fn actor(&mut self) -> Actor {
        match self.below(3) {
            0 => {
                Actor::Account { id: self.id(), role: self.pick(), unit: self.opt(Self::id), grid: self.opt(Self::id) }
            }
            1 => Actor::Unit(self.id()),
            _ => Actor::System,
        }
    }

    fn alarm_id(&mut self) -> AlarmId {
        AlarmId(self.roll())
    }

    fn incident_id(&mut self) -> IncidentId {
        IncidentId(self.roll())
    }

    fn task_id(&mut self) -> TaskId {
        TaskId(self.roll())
    }

    fn patrol_id(&mut self) -> PatrolId {
        PatrolId(self.roll())
    }

    fn command(&mut self, said: Said) -> Command {
        match said {
            Said::SetSite => Command::SetSite(Arc::new(self.site())),
            Said::SetAccount => Command::SetAccount { account: self.account(), name: self.text() },
            Said::SetDuty => Command::SetDuty { post: self.pick(), account: self.opt(Self::id) },
            Said::ConfirmAlarm => Command::ConfirmAlarm(self.alarm_id()),
            Said::JudgeAlarm => Command::JudgeAlarm {
                alarm: self.alarm_id(),
                verdict: self.pick(),
                class: self.opt(Self::id),
                text: self.opt(Self::text),
            },
            Said::ShelveAlarm => {
                Command::ShelveAlarm { alarm: self.alarm_id(), span: self.span(), reason: self.text() }
            }
            Said::UnshelveAlarm => Command::UnshelveAlarm(self.alarm_id()),
            Said::Report => Command::Report {
                class: self.id(),
                level: self.opt(Self::pick),
                place: self.place(),
                channel: self.pick(),
                reporter: self.opt(Self::reporter_input),
                text: self.opt(Self::text),
                into: self.opt(|d| d.incident_id()),
            },
            Said::Attend => Command::Attend { incident: self.incident_id(), text: self.opt(Self::text) },
            Said::Accept => Command::Accept(self.incident_id()),
            Said::Reject => Command::Reject { incident: self.incident_id(), reason: self.text() },
            Said::Merge => Command::Merge { incident: self.incident_id(), into: self.incident_id() },
            Said::File => {
                Command::File { incident: self.incident_id(), class: self.opt(Self::id), level: self.opt(Self::pick) }
            }
            Said::Approve => Command::Approve(self.incident_id()),
            Said::RefuseApproval => Command::RefuseApproval { incident: self.incident_id(), reason: self.text() },
            Said::Push => Command::Push {
                incident: self.incident_id(),
                targets: self.list(Self::target),
                text: self.opt(Self::text),
            },
            Said::CorrectPlace => Command::CorrectPlace { incident: self.incident_id(), place: self.place() },
            Said::PlaceAlarm => Command::PlaceAlarm { alarm: self.alarm_id(), place: self.place() },
            Said::PlaceMessage => Command::PlaceMessage {
                message: MessageId(self.roll()),
                place: self.place(),
                class: self.opt(Self::id),
            },
            Said::AddExhibit => Command::AddExhibit { of: self.exhibit_of(), exhibit: self.exhibit() },
            Said::Erase => Command::Erase(self.subject()),
            Said::IssueCredential => Command::IssueCredential {
                device: self.id(),
                voice: self.pick(),
                behind: self.list(Self::id),
                hash: self.text(),
            },
            Said::RevokeCredential => Command::RevokeCredential(self.id()),
            Said::Verify => Command::Verify { incident: self.incident_id(), text: self.opt(Self::text) },
            Said::Close => Command::Close { incident: self.incident_id(), text: self.opt(Self::text) },
            Said::Reopen => Command::Reopen { incident: self.incident_id(), reason: self.text() },
            Said::Note => Command::Note { incident: self.incident_id(), text: self.text() },
            of_task => self.task_command(of_task),
        }
    }

    fn task_command(&mut self, said: Said) -> Command {
        let task = self.task_id();
        match said {
            Said::Deliver => Command::Deliver { task, receipt: self.pick(), external: self.opt(Self::text) },
            Said::Acknowledge => Command::Acknowledge(task),
            Said::EnRoute => Command::EnRoute(task),
            Said::OnScene => Command::OnScene(task),
            Said::Feedback => {
                Command::Feedback { task, result: self.pick(), text: self.opt(Self::text), photos: self.list(Self::id) }
            }
            Said::Decline => Command::Decline { task, reason: self.text() },
            Said::Recall => Command::Recall { task, reason: self.opt(Self::text) },
            Said::Reassign => Command::Reassign { task, unit: self.id(), reason: self.opt(Self::text) },
            Said::Rework => Command::Rework { task, reason: self.text() },
            other => panic!("{other:?} is no command of a task"),
        }
    }

    fn observation(&mut self, seen: Seen) -> Observation {
        match seen {
            Seen::SensorEdge => Observation::SensorEdge {
                sensor: self.id(),
                rule: self.id(),
                kind: self.id(),
                raised: self.flag(),
                value: self.opt(Self::float),
                at: self.at(),
            },
            Seen::SensorLink => Observation::SensorLink { sensor: self.id(), online: self.flag() },
            Seen::CameraFact => Observation::CameraFact {
                camera: self.id(),
                state: self.text(),
                fault: self.opt(Self::text),
                since: self.at(),
                alarm: self.opt(Self::id),
            },
            Seen::MessageIn => Observation::MessageIn {
                from: self.text(),
                person: self.opt(Self::text),
                text: self.text(),
                place: self.opt(Self::place),
            },
            Seen::MessageSent => Observation::MessageSent { message: MessageId(self.roll()), ok: self.flag() },
            Seen::UnitReport => Observation::UnitReport {
                unit: self.id(),
                external: self.text(),
                class: self.id(),
                place: self.place(),
                text: self.opt(Self::text),
            },
            Seen::RuleHit => Observation::RuleHit {
                rule: self.id(),
                kind: self.id(),
                key: self.text(),
                place: self.place(),
                text: self.opt(Self::text),
            },
            Seen::LightChanged => {
                Observation::LightChanged { unit: self.id(), light: self.pick(), last: self.opt(Self::at) }
            }
            Seen::PatrolPlanned => {
                Observation::PatrolPlanned { kind: self.pick(), subject: self.text(), due: self.at() }
            }
            Seen::PatrolStarted => Observation::PatrolStarted { patrol: self.patrol_id(), total: self.u32() },
            Seen::PatrolFound => {
                Observation::PatrolFound { patrol: self.patrol_id(), source: self.source(), what: self.text() }
            }
            Seen::PatrolFinished => Observation::PatrolFinished { patrol: self.patrol_id(), checked: self.u32() },
            Seen::Unreadable => Observation::Unreadable { source: self.text(), why: self.text(), size: self.roll() },
            Seen::PushFailed => {
                Observation::PushFailed { incident: self.incident_id(), task: self.task_id(), text: self.text() }
            }
        }
    }

    fn reporter_input(&mut self) -> ReporterInput {
        ReporterInput {
            kind: self.opt(Self::pick),
            name: self.opt(Self::text),
            phone: self.opt(Self::text),
            person: self.opt(Self::text),
        }
    }

    fn target(&mut self) -> PushTarget {
        PushTarget { unit: self.id(), lead: self.flag(), mandatory: self.flag(), arrive: self.opt(Self::span) }
    }

    fn exhibit_of(&mut self) -> ExhibitOf {
        match self.below(2) {
            0 => ExhibitOf::Alarm(self.alarm_id()),
            _ => ExhibitOf::Incident(self.incident_id()),
        }
    }
}
