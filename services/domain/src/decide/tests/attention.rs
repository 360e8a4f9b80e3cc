//! What is red or asks from the scene sounds until a person of the centre takes it, and again when nobody acts.

use super::*;
use crate::{attention::Why, incident::IncidentEvent};

/// What asks of a case: why, and whether it sounds.
fn asks(w: &World, id: IncidentId) -> Vec<(Why, bool)> {
    w.state.incidents[&id].attention.iter().map(|a| (a.why, a.taken.is_none())).collect()
}

fn attend(w: &mut World, incident: IncidentId, text: Option<&str>) -> Result<Decision, Refusal> {
    w.as_role(Role::DutyOfficer, None, Command::Attend { incident, text: text.map(str::to_owned) })
}

/// A fire that two devices opened by rule.
fn fire(w: &mut World) -> IncidentId {
    w.edge("smoke", "smoke", true);
    w.edge("call", "call_point", true).refs.incident.unwrap()
}

/// A noise that the police have on the scene.
fn on_scene(w: &mut World) -> (IncidentId, TaskId) {
    let (id, task) = pushed(w);
    for command in [Command::Acknowledge(task), Command::EnRoute(task), Command::OnScene(task)] {
        w.clerk("police", command).unwrap();
    }
    (id, task)
}

#[test]
fn what_a_rule_opened_sounds_until_a_person_takes_it() {
    let mut w = World::new();
    let id = fire(&mut w);
    assert_eq!(asks(&w, id), [(Why::Opened, true)]);
    w.now += Millis::minutes(30).0;
    assert!(w.put(&Input::Tick).unwrap().events.is_empty(), "it sounds already");
    attend(&mut w, id, None).unwrap();
    assert_eq!(asks(&w, id), []);
    assert_eq!(attend(&mut w, id, None).unwrap_err().code, Code::NothingAsks);
}

#[test]
fn an_act_on_the_case_takes_it_too() {
    let mut w = World::new();
    let id = fire(&mut w);
    w.chief(push(id, vec![to("fire", true)])).unwrap();
    assert_eq!(asks(&w, id), []);
}

#[test]
fn a_remark_or_a_receipt_takes_nothing() {
    let mut w = World::new();
    let id = fire(&mut w);
    w.chief(Command::Note { incident: id, text: "看到了".to_owned() }).unwrap();
    assert_eq!(asks(&w, id), [(Why::Opened, true)]);
}

#[test]
fn it_sounds_again_when_it_gets_worse() {
    let mut w = World::new();
    let alarm = w.edge("smoke", "smoke", true).refs.alarm.unwrap();
    w.chief(Command::ConfirmAlarm(alarm)).unwrap();
    w.chief(Command::JudgeAlarm { alarm, verdict: Verdict::Genuine, class: None, text: None }).unwrap();
    let id = w.state.alarms[&alarm].incident.unwrap();
    assert_eq!(asks(&w, id), [], "a person opened it");
    w.edge("call", "call_point", true);
    assert_eq!(asks(&w, id), [(Why::Worse, true)]);
    attend(&mut w, id, None).unwrap();
    w.edge("call", "call_point", true);
    assert_eq!(asks(&w, id), [], "the same device tells nothing new");
}

#[test]
fn a_confirmed_alarm_that_gets_worse_sounds_again() {
    let mut w = World::new();
    let alarm = w.edge("smoke", "smoke", true).refs.alarm.unwrap();
    w.chief(Command::ConfirmAlarm(alarm)).unwrap();
    // A message is no device: no rule opens a case by it.
    let mut site = site();
    site.alarm_kinds[2].level = Level::Red;
    w.system(Command::SetSite(Arc::new(site)));
    let decision = w.message("12栋着火");
    assert!(decision.events.iter().any(|e| e.body == AlarmEvent::Sounded { alarm }.into()), "{:?}", decision.events);
}

#[test]
fn a_red_case_that_nobody_acts_on_asks_again_and_again() {
    let mut w = World::new();
    let id = w.report("fire");
    assert_eq!(asks(&w, id), [], "who took the call knows");
    w.now += Millis::minutes(2).0;
    w.put(&Input::Tick).unwrap();
    assert_eq!(asks(&w, id), [], "not yet");
    for _ in 0..2 {
        w.now += Millis::minutes(3).0;
        w.put(&Input::Tick).unwrap();
        assert_eq!(asks(&w, id), [(Why::Idle, true)]);
        attend(&mut w, id, None).unwrap();
    }
}

#[test]
fn the_limit_is_data() {
    let mut w = World::new();
    let mut site = site();
    site.classes[0].limits.attend = Some(Millis::seconds(20));
    w.system(Command::SetSite(Arc::new(site)));
    let id = w.report("fire");
    w.now += Millis::seconds(20).0;
    w.put(&Input::Tick).unwrap();
    assert_eq!(asks(&w, id), [(Why::Idle, true)]);
}

#[test]
fn a_red_task_that_no_unit_takes_asks_of_the_centre() {
    let mut w = World::new();
    let id = fire(&mut w);
    let task = w.chief(push(id, vec![to("fire", true)])).unwrap().refs.tasks[0];
    w.now += Millis::minutes(4).0;
    w.put(&Input::Tick).unwrap();
    assert_eq!(asks(&w, id), [(Why::Unacknowledged, true)]);
    assert_eq!(w.state.incidents[&id].attention[0].task, Some(task));
    w.clerk("fire", Command::Acknowledge(task)).unwrap();
    assert_eq!(asks(&w, id), []);
    w.now += Millis::hours(1).0;
    assert!(w.put(&Input::Tick).unwrap().events.is_empty(), "somebody has it in hand");
}

#[test]
fn support_stands_until_a_push_or_a_reason_answers_it() {
    let mut w = World::new();
    let (id, task) = on_scene(&mut w);
    let call = Command::Feedback {
        task,
        result: FeedbackResult::NeedSupport,
        text: Some("人手不够".to_owned()),
        photos: Vec::new(),
    };
    w.clerk("police", call.clone()).unwrap();
    assert_eq!(asks(&w, id), [(Why::Support, true)]);
    attend(&mut w, id, None).unwrap();
    assert_eq!(asks(&w, id), [(Why::Support, false)], "silent, and still asked for");
    w.now += Millis::minutes(3).0;
    w.put(&Input::Tick).unwrap();
    assert_eq!(asks(&w, id), [(Why::Support, true)], "nobody answered");
    w.chief(push(id, vec![to("energy", false)])).unwrap();
    assert_eq!(asks(&w, id), []);
    w.clerk("police", call).unwrap();
    attend(&mut w, id, Some("已电话协调，五分钟到")).unwrap();
    assert_eq!(asks(&w, id), []);
}

#[test]
fn a_declined_task_stands_until_another_unit_has_it() {
    let mut w = World::new();
    let (id, task) = pushed(&mut w);
    w.clerk("police", Command::Decline { task, reason: "不归我管".to_owned() }).unwrap();
    assert_eq!(asks(&w, id), [(Why::Declined, true)]);
    w.chief(Command::Reassign { task, unit: "energy".into(), reason: None }).unwrap();
    assert_eq!(asks(&w, id), []);
}

#[test]
fn what_somebody_outside_reports_asks_and_an_ended_case_asks_nothing() {
    let mut w = World::new();
    let report = Command::Report {
        class: "fire".into(),
        level: None,
        place: place(),
        channel: Channel::Grid,
        reporter: None,
        text: None,
        into: None,
    };
    let grid = Some("53062100200101".into());
    let actor = Actor::Account { id: "grid".into(), role: Role::GridManager, unit: Some("g".into()), grid };
    let input = Input::Command { actor, mode: Mode::Real, happened: None, command: report };
    let id = w.put(&input).unwrap().refs.incident.unwrap();
    assert_eq!(asks(&w, id), [(Why::Opened, true)]);
    w.chief(Command::Reject { incident: id, reason: "重复".to_owned() }).unwrap();
    assert_eq!(asks(&w, id), []);
}

#[test]
fn a_new_call_is_merged_into_the_case_that_it_tells_of() {
    let mut w = World::new();
    let into = w.report("noise");
    let command = Command::Report {
        class: "fire".into(),
        level: None,
        place: place(),
        channel: Channel::Call,
        reporter: None,
        text: Some("又有人打来".to_owned()),
        into: Some(into),
    };
    let id = w.chief(command).unwrap().events[0].body.key();
    assert_eq!(w.state.incidents[&into].absorbed.len(), 1);
    assert_eq!(w.state.incidents[&into].level, Level::Red, "as urgent as the call");
    let Key::Incident(id) = id else { panic!("{id:?}") };
    assert_eq!(w.stage(id), Stage::Merged);
}

#[test]
fn ending_while_a_source_still_alarms_needs_a_reason() {
    let mut w = World::new();
    let id = fire(&mut w);
    w.chief(Command::Approve(id)).unwrap();
    let task = w.chief(push(id, vec![to("fire", true)])).unwrap().refs.tasks[0];
    for command in [Command::Acknowledge(task), Command::EnRoute(task), Command::OnScene(task), feedback(task)] {
        w.clerk("fire", command).unwrap();
    }
    let said = || Some("电工已到场，烟感故障".to_owned());
    for text in [None, Some("  ".to_owned())] {
        let verify = w.chief(Command::Verify { incident: id, text });
        assert_eq!(verify.unwrap_err().code, Code::StillStanding);
    }
    w.chief(Command::Verify { incident: id, text: said() }).unwrap();
    let close = w.chief(Command::Close { incident: id, text: None });
    assert_eq!(close.unwrap_err().code, Code::StillStanding);
    w.chief(Command::Close { incident: id, text: said() }).unwrap();
    assert_eq!(w.stage(id), Stage::Closed);
}

/// A step that was at `happened`.
fn tap(w: &mut World, happened: i64, command: Command) -> Event {
    let actor = Actor::Account { id: "p".into(), role: Role::DepartmentClerk, unit: Some("police".into()), grid: None };
    let happened = Some(Timestamp(happened));
    let decision = w.put(&Input::Command { actor, mode: Mode::Real, happened, command }).unwrap();
    decision.events[0].clone()
}

#[test]
fn a_tap_without_network_counts_when_it_was() {
    let mut w = World::new();
    let (id, task) = pushed(&mut w);
    let push = w.state.incidents[&id].task(task).unwrap().times.pushed.0;
    w.now += Millis::hours(1).0;
    let event = tap(&mut w, push + 30_000, Command::Acknowledge(task));
    assert_eq!((event.at.0, event.happened), (w.now, Some(Timestamp(push + 30_000))), "both are kept");
    let times = w.state.incidents[&id].task(task).unwrap().times;
    assert_eq!(times.acknowledged, Some(Timestamp(push + 30_000)));
    let limits = w.state.site.as_ref().unwrap().class(&"noise".into()).unwrap().limits;
    let clocks = w.state.incidents[&id].clocks(&limits);
    let clock = clocks.iter().find(|c| c.kind == ClockKind::Acknowledge).unwrap();
    assert_eq!((clock.since.0, clock.light(Timestamp(w.now))), (push, crate::incident::ClockLight::Green));

    let event = tap(&mut w, push - Millis::hours(5).0, Command::EnRoute(task));
    assert_eq!(event.happened, Some(Timestamp(push + 30_000)), "not before the step that it follows");
    let event = tap(&mut w, i64::MAX, Command::OnScene(task));
    assert_eq!(event.happened, None, "not after now");
}

#[test]
fn a_phone_that_never_opens_the_task_is_late_and_opening_moves_nothing() {
    let mut w = World::new();
    let (id, task) = pushed(&mut w);
    let limits = w.state.site.as_ref().unwrap().class(&"noise".into()).unwrap().limits;
    let clock = |w: &World, kind| w.state.incidents[&id].clocks(&limits).into_iter().find(|c| c.kind == kind).unwrap();
    let push = w.state.incidents[&id].task(task).unwrap().times.pushed;
    w.now += Millis::minutes(2).0;
    let acknowledge = clock(&w, ClockKind::Acknowledge);
    assert_eq!((acknowledge.since, acknowledge.light(Timestamp(w.now))), (push, crate::incident::ClockLight::Red));
    w.system(Command::Deliver { task, receipt: Receipt::Client, external: None });
    assert_eq!(clock(&w, ClockKind::Acknowledge), acknowledge);
    assert_eq!(clock(&w, ClockKind::Push).ended, Some(push));
    assert_eq!(w.state.incidents[&id].task(task).unwrap().times.pushed, push);
}

#[test]
fn a_corrected_place_keeps_the_old_one() {
    let mut w = World::new();
    let id = w.report("noise");
    let old = w.state.incidents[&id].place.clone();
    let place = Place { floor: Some(3), ..place() };
    let decision = w.chief(Command::CorrectPlace { incident: id, place: place.clone() }).unwrap();
    let [Event { body: Body::Incident(IncidentEvent::PlaceCorrected { before, .. }), .. }] = &decision.events[..]
    else {
        panic!()
    };
    assert_eq!(before, &Some(old));
    assert_eq!(w.state.incidents[&id].place, place);
}
