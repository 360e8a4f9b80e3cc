//! Every command in every stage, every step in every state of a task, every word about an alarm: what is allowed, and with
//! which code the rest is refused. The tables are the contract; a missing row or column fails.

use super::*;
use crate::{
    incident::{Exhibit, ExhibitKind},
    input::ExhibitOf,
};

/// `.` allowed, `=` allowed and no news; else the code of the refusal.
fn expected(cell: char) -> Result<bool, Code> {
    Err(match cell {
        '.' => return Ok(true),
        '=' => return Ok(false),
        'w' => Code::WrongStage,
        's' => Code::WrongTaskState,
        'n' => Code::NotApproved,
        't' => Code::TasksOpen,
        'a' => Code::AlreadyApproved,
        'b' => Code::BadMerge,
        'm' => Code::MergeBackwards,
        'c' => Code::AlreadyConfirmed,
        'u' => Code::NotConfirmed,
        'j' => Code::AlreadyJudged,
        'h' => Code::AlreadyShelved,
        'o' => Code::NotShelved,
        other => panic!("{other} is no cell"),
    })
}

fn check(what: &str, cell: char, found: &Result<Decision, Refusal>) {
    let found = found.as_ref().map(|d| !d.events.is_empty()).map_err(|r| r.code);
    assert_eq!(found, expected(cell), "{what}");
}

fn file(incident: IncidentId) -> Command {
    Command::File { incident, class: None, level: None }
}

/// The steps by which the task of a unit is done.
fn work(task: TaskId) -> [Command; 4] {
    [Command::Acknowledge(task), Command::EnRoute(task), Command::OnScene(task), feedback(task)]
}

/// An incident in `stage`, with the task of its lead from `Dispatched` on.
fn at_stage(w: &mut World, stage: Stage) -> IncidentId {
    let id = w.report(if stage == Stage::Filed { "fire" } else { "noise" });
    let steps: Vec<Command> = match stage {
        Stage::Reported => Vec::new(),
        Stage::Rejected => vec![Command::Reject { incident: id, reason: "重复".to_owned() }],
        Stage::Merged => {
            let into = w.report("noise");
            vec![Command::Merge { incident: id, into }]
        }
        Stage::Accepted => vec![Command::Accept(id)],
        Stage::Filed | Stage::PendingApproval => vec![Command::Accept(id), file(id)],
        _ => vec![Command::Accept(id), file(id), Command::Approve(id)],
    };
    for step in steps {
        w.system(step);
    }
    if stage >= Stage::Dispatched {
        let task = w.system(push(id, vec![to("police", true)])).refs.tasks[0];
        let verify = [Command::Verify { incident: id, text: None }, Command::Close { incident: id, text: None }];
        let steps = work(task).into_iter().chain(verify);
        let count = match stage {
            Stage::Dispatched => 0,
            Stage::Handling => 1,
            Stage::AwaitingVerification => 4,
            Stage::Verified => 5,
            _ => 6,
        };
        for step in steps.take(count) {
            w.system(step);
        }
    }
    assert_eq!(w.stage(id), stage);
    id
}

/// Columns in the order of [`Stage::ALL`]: reported, rejected, merged, accepted, filed (red), pending approval, approved,
/// dispatched, handling, awaiting verification, verified, closed.
const INCIDENT: [(&str, &str); 14] = [
    ("accept", ".wwwwwwwwwww"),
    ("reject", ".ww.wwwwwwww"),
    ("merge", ".wwmmmwwwwww"),
    ("absorb", ".bb........b"),
    ("file", "www.wwwwwwww"),
    ("approve", "wwww..aaaaaw"),
    ("refuse", "wwwww.wwwwww"),
    ("push", "wwww.n....ww"),
    ("verify", "wwwwwwwtt.ww"),
    ("close", "wwwwwwwwww.w"),
    ("reopen", "wwwwwwwwwww."),
    ("note", "............"),
    ("place", ".ww........w"),
    ("exhibit", "............"),
];

fn incident_command(w: &World, what: &str, id: IncidentId, other: IncidentId) -> Command {
    let (incident, text, reason) = (id, None, "原因".to_owned());
    match what {
        "accept" => Command::Accept(id),
        "reject" => Command::Reject { incident, reason },
        "merge" => Command::Merge { incident, into: other },
        "absorb" => Command::Merge { incident: other, into: incident },
        "file" => file(id),
        "approve" => Command::Approve(id),
        "refuse" => Command::RefuseApproval { incident, reason },
        "push" => push(id, vec![to("energy", w.state.incidents[&id].tasks.is_empty())]),
        "verify" => Command::Verify { incident, text },
        "close" => Command::Close { incident, text },
        "reopen" => Command::Reopen { incident, reason },
        "note" => Command::Note { incident, text: "已回电".to_owned() },
        "place" => Command::CorrectPlace { incident, place: place() },
        _ => {
            let (from, to) = (Timestamp(START), Timestamp(START));
            let exhibit = Exhibit { blob: "b".into(), kind: ExhibitKind::Still, camera: None, from, to };
            Command::AddExhibit { of: ExhibitOf::Incident(id), exhibit }
        }
    }
}

#[test]
fn every_command_in_every_stage() {
    for (what, row) in INCIDENT {
        assert_eq!(row.len(), Stage::ALL.len(), "{what}");
        for (stage, cell) in Stage::ALL.into_iter().zip(row.chars()) {
            let mut w = World::new();
            let (other, id) = (w.report("noise"), at_stage(&mut w, stage));
            let command = incident_command(&w, what, id, other);
            let exercise = w.in_mode(Mode::Exercise, command.clone());
            assert_eq!(exercise.unwrap_err().code, Code::ModeMismatch, "{what} {stage:?}");
            let actor = Actor::System;
            check(
                &format!("{what} in {stage:?}"),
                cell,
                &w.put(&Input::Command { actor, mode: Mode::Real, happened: None, command }),
            );
        }
    }
}

/// Columns in the order of [`TaskState::ALL`]: pushed, delivered, acknowledged, en route, on scene, done, declined,
/// recalled.
const TASK: [(&str, &str); 10] = [
    ("deliver", ".======="),
    ("number", "......=="),
    ("acknowledge", "..ssssss"),
    ("en_route", "ss.sssss"),
    ("on_scene", "sss.ssss"),
    ("feedback", "ssss.sss"),
    ("decline", "..ssssss"),
    ("recall", ".....sss"),
    ("reassign", ".....s.s"),
    ("rework", "sssss.ss"),
];

fn task_command(what: &str, task: TaskId) -> Command {
    let reason = "原因".to_owned();
    match what {
        "deliver" => Command::Deliver { task, receipt: Receipt::Http, external: None },
        "number" => Command::Deliver { task, receipt: Receipt::Http, external: Some("GA-7".to_owned()) },
        "acknowledge" => Command::Acknowledge(task),
        "en_route" => Command::EnRoute(task),
        "on_scene" => Command::OnScene(task),
        "feedback" => feedback(task),
        "decline" => Command::Decline { task, reason },
        "recall" => Command::Recall { task, reason: None },
        "reassign" => Command::Reassign { task, unit: "energy".into(), reason: None },
        _ => Command::Rework { task, reason },
    }
}

/// A task in `state`; a second unit keeps the incident going.
fn at_state(w: &mut World, state: TaskState) -> TaskId {
    let id = at_stage(w, Stage::Approved);
    let task = w.system(push(id, vec![to("police", true), to("fire", false)])).refs.tasks[0];
    let mut steps = vec![Command::Deliver { task, receipt: Receipt::Http, external: None }];
    match state {
        TaskState::Declined => steps.push(Command::Decline { task, reason: "忙".to_owned() }),
        TaskState::Recalled => steps.push(Command::Recall { task, reason: None }),
        _ => steps.extend(work(task)),
    }
    let count = if state.gone() { 2 } else { TaskState::ALL.iter().position(|s| *s == state).unwrap() };
    for step in steps.into_iter().take(count) {
        w.system(step);
    }
    assert_eq!(w.state.incidents[&id].task(task).unwrap().state, state);
    task
}

#[test]
fn every_step_in_every_state_of_a_task() {
    for (what, row) in TASK {
        assert_eq!(row.len(), TaskState::ALL.len(), "{what}");
        for (state, cell) in TaskState::ALL.into_iter().zip(row.chars()) {
            let mut w = World::new();
            let task = at_state(&mut w, state);
            let input = Input::Command {
                actor: Actor::System,
                mode: Mode::Real,
                happened: None,
                command: task_command(what, task),
            };
            check(&format!("{what} in {state:?}"), cell, &w.put(&input));
        }
    }
}

#[test]
fn no_step_moves_a_closed_incident() {
    for (what, _) in TASK.iter().filter(|(what, _)| !matches!(*what, "deliver" | "number")) {
        let mut w = World::new();
        let id = at_stage(&mut w, Stage::AwaitingVerification);
        let second = w.system(push(id, vec![to("energy", false)])).refs.tasks[0];
        w.system(Command::Decline { task: second, reason: "忙".to_owned() });
        w.system(Command::Verify { incident: id, text: None });
        w.system(Command::Close { incident: id, text: None });
        let first = w.state.incidents[&id].tasks[0].id;
        for task in [first, second] {
            let input = Input::Command {
                actor: Actor::System,
                mode: Mode::Real,
                happened: None,
                command: task_command(what, task),
            };
            let refused = w.put(&input).unwrap_err().code;
            assert!(matches!(refused, Code::WrongStage | Code::WrongTaskState), "{what}: {refused:?}");
        }
    }
}

/// Columns: unconfirmed, confirmed, shelved, judged false, judged genuine.
const ALARM: [(&str, &str); 4] = [("confirm", ".c.cc"), ("judge", "u.ujj"), ("shelve", "..hjj"), ("unshelve", "oo.oo")];

#[test]
fn every_word_about_an_alarm_in_every_state() {
    for (what, row) in ALARM {
        for (state, cell) in row.chars().enumerate() {
            let mut w = World::new();
            let alarm = w.edge("smoke", "smoke", true).refs.alarm.unwrap();
            let judge = |verdict| Command::JudgeAlarm { alarm, verdict, class: None, text: None };
            let shelve = Command::ShelveAlarm { alarm, span: Millis::minutes(5), reason: "检修".to_owned() };
            let before = match state {
                0 => vec![],
                1 => vec![Command::ConfirmAlarm(alarm)],
                2 => vec![shelve.clone()],
                3 => vec![Command::ConfirmAlarm(alarm), judge(Verdict::False)],
                _ => vec![Command::ConfirmAlarm(alarm), judge(Verdict::Genuine)],
            };
            for command in before {
                w.system(command);
            }
            let command = match what {
                "confirm" => Command::ConfirmAlarm(alarm),
                "judge" => judge(Verdict::Maintenance),
                "shelve" => shelve,
                _ => Command::UnshelveAlarm(alarm),
            };
            let exercise = w.in_mode(Mode::Exercise, command.clone());
            assert_eq!(exercise.unwrap_err().code, Code::ModeMismatch, "{what} in state {state}");
            let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
            check(&format!("{what} in state {state}"), cell, &w.put(&input));
        }
    }
}
