//! What does not reach a unit is said in its case; a finding without a place is an alarm that waits for one.

use super::*;
use crate::{attention::Why, incident::IncidentEvent};

fn failed(w: &mut World, incident: IncidentId, task: TaskId) -> Result<Decision, Refusal> {
    let text = "任务未能推送，请电话联系".to_owned();
    w.put(&Input::Observe { mode: Mode::Real, observation: Observation::PushFailed { incident, task, text } })
}

fn red(w: &mut World) -> (IncidentId, TaskId) {
    w.edge("smoke", "smoke", true);
    let id = w.edge("call", "call_point", true).refs.incident.unwrap();
    let task = w.chief(push(id, vec![to("fire", true)])).unwrap().refs.tasks[0];
    (id, task)
}

fn noted(decision: &Decision) -> usize {
    decision.events.iter().filter(|e| matches!(e.body, Body::Incident(IncidentEvent::Noted { .. }))).count()
}

#[test]
fn a_red_task_that_does_not_arrive_asks_for_a_person() {
    let mut w = World::new();
    let (id, task) = red(&mut w);
    assert!(w.state.incidents[&id].attention.is_empty());
    assert_eq!(noted(&failed(&mut w, id, task).unwrap()), 1);
    let asked: Vec<_> = w.state.incidents[&id].attention.iter().map(|a| (a.why, a.task, a.taken.is_none())).collect();
    assert_eq!(asked, [(Why::Unacknowledged, Some(task), true)]);
}

#[test]
fn one_that_a_unit_has_in_hand_and_one_that_is_not_red_are_only_said() {
    let mut w = World::new();
    let (id, task) = red(&mut w);
    w.clerk("fire", Command::Acknowledge(task)).unwrap();
    assert_eq!(noted(&failed(&mut w, id, task).unwrap()), 1);
    assert!(w.state.incidents[&id].attention.is_empty());
    let (id, task) = pushed(&mut w);
    assert_eq!(noted(&failed(&mut w, id, task).unwrap()), 1);
    assert!(w.state.incidents[&id].attention.is_empty());
    assert_eq!(failed(&mut w, id, TaskId(99)).unwrap_err().code, Code::NoTask);
}

fn hit(w: &mut World, key: &str) -> Result<Decision, Refusal> {
    let (rule, kind, place) = ("connector".into(), "message".into(), crate::gazetteer::unknown());
    let text = Some("部门接口拒绝".to_owned());
    let observation = Observation::RuleHit { rule, kind, key: key.to_owned(), place, text };
    w.put(&Input::Observe { mode: Mode::Real, observation })
}

#[test]
fn a_finding_without_a_place_is_one_alarm_by_source_and_can_be_placed() {
    let mut w = World::new();
    let first = hit(&mut w, "fire/denied").unwrap().refs.alarm.unwrap();
    assert_eq!(hit(&mut w, "fire/denied").unwrap().refs.alarm, Some(first), "the same finding again");
    let other = hit(&mut w, "energy/denied").unwrap().refs.alarm.unwrap();
    assert_ne!(other, first, "nothing joins by a place that is not known");
    assert!(w.state.alarms[&first].place.is_unknown());
    assert_eq!(w.state.alarms[&first].sources[0].count, 2);
    w.chief(Command::PlaceAlarm { alarm: first, place: place() }).unwrap();
    assert_eq!(hit(&mut w, "fire/denied").unwrap().refs.alarm, Some(first));
    w.chief(Command::ConfirmAlarm(first)).unwrap();
    w.chief(Command::JudgeAlarm { alarm: first, verdict: Verdict::Maintenance, class: None, text: None }).unwrap();
    assert_ne!(
        hit(&mut w, "fire/denied").unwrap().refs.alarm,
        Some(first),
        "what was dealt with and comes again is new"
    );
}
