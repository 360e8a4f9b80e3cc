//! What residents write: nothing urgent is silent, nothing goes to a wrong place, and no answer starts a loop.

use super::*;
use crate::message::MessageEvent;

const PHONE: &str = "19900001234";

impl World {
    /// Somebody writes; the core reads the place itself.
    fn writes(&mut self, phone: &str, text: &str) -> Decision {
        let observation = Observation::MessageIn {
            from: phone.to_owned(),
            person: Some(format!("key-{phone}")),
            text: text.to_owned(),
            place: None,
        };
        self.put(&Input::Observe { mode: Mode::Real, observation }).unwrap()
    }

    fn found(&self, decision: &Decision) -> Alarm {
        self.state.alarms[&decision.refs.alarm.unwrap()].clone()
    }
}

fn answers(decision: &Decision) -> Vec<String> {
    let sealed = |id: VaultId| decision.secrets.iter().find(|s| s.id == id).unwrap().value.clone();
    let kept = decision.events.iter().filter_map(|e| {
        let Body::Message(MessageEvent::Kept { message }) = &e.body else { return None };
        (!message.inbound).then(|| sealed(message.text))
    });
    let sent = decision.outgoing.iter().filter(|o| matches!(o, Outgoing::Sms { .. })).count();
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept.len(), sent, "what is kept as an answer leaves, and nothing else does");
    kept
}

#[test]
fn an_urgent_word_rings_without_a_place_and_the_next_message_completes_it() {
    let mut w = World::new();
    let first = w.writes(PHONE, "着火了救命");
    let alarm = w.found(&first);
    assert!(alarm.place.is_unknown() && alarm.confirmed.is_none() && alarm.level == Level::Yellow);
    assert_eq!(alarm.kind.as_str(), "report_fire");
    assert!(answers(&first)[0].contains("具体地点") && answers(&first)[0].contains(&alarm.code));
    assert!(!first.outgoing.iter().any(|o| matches!(o, Outgoing::Clip { .. })), "no film of nowhere");

    let stranger = w.writes("19900005678", "着火了");
    assert_ne!(stranger.refs.alarm, Some(alarm.id), "another number may mean another fire");

    let second = w.writes(PHONE, "12栋2单元6楼");
    assert_eq!(second.refs.alarm, Some(alarm.id), "no second, ordinary alarm");
    let alarm = w.found(&second);
    assert_eq!(alarm.place.building, Some("b12".into()));
    assert_eq!((alarm.place.unit, alarm.place.floor), (Some(2), Some(6)));
    assert_eq!((alarm.kind.as_str(), alarm.sources.len()), ("report_fire", 2));
    assert!(second.outgoing.iter().any(|o| matches!(o, Outgoing::Clip { .. })), "the place is filmed now");
    assert_eq!(w.writes(PHONE, "快点啊").refs.alarm, Some(alarm.id));
    assert_eq!(w.edge("smoke", "smoke", true).refs.alarm, Some(alarm.id), "a detector there is of the same fire");
}

#[test]
fn the_place_may_come_after_the_case_was_opened() {
    let mut w = World::new();
    let alarm = w.writes(PHONE, "着火了").refs.alarm.unwrap();
    w.chief(Command::ConfirmAlarm(alarm)).unwrap();
    let judge = Command::JudgeAlarm { alarm, verdict: Verdict::Genuine, class: None, text: None };
    let incident = w.chief(judge).unwrap().refs.incident.unwrap();
    assert!(w.state.incidents[&incident].place.is_unknown());
    w.writes(PHONE, "在12栋");
    assert_eq!(w.state.incidents[&incident].place.building, Some("b12".into()));
}

#[test]
fn a_later_message_about_another_matter_or_much_later_is_its_own() {
    let mut w = World::new();
    let fire = w.writes(PHONE, "着火了").refs.alarm.unwrap();
    assert_eq!(w.writes(PHONE, "楼上太吵").refs.alarm, None, "a noise without a place waits in the inbox");
    let noise = w.writes(PHONE, "12栋太吵");
    assert!(noise.refs.alarm.is_some_and(|a| a != fire));
    assert!(w.state.alarms[&fire].place.is_unknown(), "and the noise's place is not the fire's");
    w.now += Millis::minutes(31).0;
    assert_eq!(w.writes(PHONE, "12栋2单元").refs.alarm.filter(|a| *a == fire), None);
}

#[test]
fn a_correction_moves_the_alarm_and_a_guess_never_does() {
    let mut w = World::new();
    let fire = w.writes(PHONE, "12栋1单元着火").refs.alarm.unwrap();
    w.writes(PHONE, "12栋、13栋都是烟，有烟");
    assert_eq!(w.state.alarms[&fire].place.unit, Some(1));
    assert_eq!(w.writes(PHONE, "改12栋3单元").refs.alarm, Some(fire));
    assert_eq!(w.state.alarms[&fire].place.unit, Some(3));
}

#[test]
fn what_is_no_emergency_and_has_no_place_waits_and_is_asked_for_one() {
    let mut w = World::new();
    let kept = w.writes(PHONE, "楼上太吵");
    assert_eq!(kept.refs.alarm, None);
    assert!(answers(&kept)[0].contains("补充地点"));
    assert!(w.state.messages[&kept.refs.message.unwrap()].alarm.is_none());
}

#[test]
fn instructions_are_answered_as_their_sender_expects() {
    let mut w = World::new();
    let raised = w.writes(PHONE, "12栋着火");
    let code = w.found(&raised).code;
    let other = "19900009999";
    for (text, words) in [
        (format!("查{code}"), "正在核实"),
        (format!("查+{}", code.to_lowercase()), "正在核实"),
        ("查 ABCD2345".to_owned(), "没有查到"),
        ("停".to_owned(), "紧急通知除外"),
        ("1".to_owned(), "没有等待此号码签收的任务"),
    ] {
        let done = w.writes(other, &text);
        let found = answers(&done);
        assert!(found.len() == 1 && found[0].contains(words) && found[0].chars().count() <= 70, "{text}: {found:?}");
        assert_eq!(done.refs.alarm, None, "{text} is no report");
    }
    for text in ["谢谢", "好的！", "收到"] {
        assert_eq!(answers(&w.writes("19900008888", text)), Vec::<String>::new(), "{text} wants no answer");
    }
}

#[test]
fn machines_are_never_answered_and_people_only_so_often() {
    let mut w = World::new();
    for sender in ["10690000", "96885", "卯家湾通知", "08701234567"] {
        let done = w.writes(sender, "12栋着火");
        assert!(done.refs.alarm.is_some(), "it is heard all the same");
        assert_eq!(answers(&done), Vec::<String>::new(), "{sender}");
    }
    let answered = (0..20).filter(|n| !answers(&w.writes(PHONE, &format!("请问{n}"))).is_empty()).count();
    assert_eq!(answered, 6);
    assert_eq!(w.state.messages.values().filter(|m| m.inbound).count(), 24, "all are kept");
    w.now += Millis::minutes(61).0;
    assert_eq!(answers(&w.writes(PHONE, "请问")).len(), 1, "after an hour again");
}

#[test]
fn every_answer_fits_one_message() {
    let mut w = World::new();
    for text in ["着火了", "12栋着火", "楼上太吵", "12、13栋太吵", "停", "2", "查ABCD2345"] {
        for answer in answers(&w.writes(&format!("1990000{:04}", text.len()), text)) {
            assert!(answer.chars().count() <= 70, "{answer}");
        }
    }
}

#[test]
fn a_person_places_what_waits_in_the_inbox_and_what_rings_without_a_place() {
    let mut w = World::new();
    let waiting = w.writes(PHONE, "楼上太吵").refs.message.unwrap();
    let command =
        |class: Option<&str>| Command::PlaceMessage { message: waiting, place: place(), class: class.map(Into::into) };
    assert_eq!(w.chief(command(Some("nothing"))).unwrap_err().code, Code::NoClass);
    assert_eq!(w.as_role(Role::GridManager, Some("fire"), command(None)).unwrap_err().code, Code::Forbidden);
    let placed = w.as_role(Role::DutyOfficer, None, command(Some("noise"))).unwrap();
    let alarm = w.found(&placed);
    assert_eq!((alarm.kind.as_str(), alarm.place.building.as_ref().unwrap().as_str()), ("report_noise", "b12"));
    assert_eq!(w.state.messages[&waiting].alarm, Some(alarm.id), "it waits no longer");
    assert!(w.state.messages[&waiting].inbound);

    let fire = w.writes("19900007777", "着火了").refs.alarm.unwrap();
    w.chief(Command::PlaceAlarm { alarm: fire, place: place() }).unwrap();
    assert_eq!(w.state.alarms[&fire].place.building, Some("b12".into()));
    let nowhere = Command::PlaceAlarm { alarm: fire, place: crate::gazetteer::unknown() };
    assert_eq!(w.chief(nowhere).unwrap_err().code, Code::NoPlace);
    let ghost = Command::PlaceMessage { message: MessageId(999), place: place(), class: None };
    assert_eq!(w.chief(ghost).unwrap_err().code, Code::NoMessage);
}

#[test]
fn a_refused_call_is_kept_and_neither_rings_nor_is_answered() {
    let mut w = World::new();
    let observation = Observation::MessageIn {
        from: PHONE.to_owned(),
        person: None,
        text: "签名不符：12栋着火".to_owned(),
        place: None,
    };
    let kept = w.put(&Input::Observe { mode: Mode::Real, observation }).unwrap();
    assert_eq!((kept.refs.alarm, answers(&kept).len()), (None, 0));
    assert!(kept.refs.message.is_some());
}

#[test]
fn a_department_s_fire_rings_without_a_place_too() {
    let mut w = World::new();
    let report = Observation::UnitReport {
        unit: "police".into(),
        external: "GA-1".to_owned(),
        class: "fire".into(),
        place: crate::gazetteer::unknown(),
        text: Some("群众报称起火".to_owned()),
    };
    let done = w.put(&Input::Observe { mode: Mode::Real, observation: report }).unwrap();
    let alarm = w.found(&done);
    assert!(alarm.place.is_unknown() && alarm.confirmed.is_none());
    assert_eq!(done.refs.code, Some(alarm.code));
}

proptest! {
    #[test]
    fn urgent_words_always_ring_and_never_at_a_building_that_was_not_said(
        before in "[0-9一二三、和 ]{0,3}", word in prop::sample::select(vec!["着火", "有烟"]), after in "[0-9栋12单元]{0,6}"
    ) {
        let mut w = World::new();
        let text = format!("{before}{word}{after}");
        let done = w.writes(PHONE, &text);
        let alarm = w.found(&done);
        prop_assert!(alarm.judged.is_none() && alarm.confirmed.is_none());
        if alarm.place.building.is_some() {
            prop_assert!(text.contains("12栋") || text.contains("12 ") , "{}", text);
        }
    }
}
