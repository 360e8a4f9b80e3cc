//! The exchange with real HTTP servers that stand in for departments, and a writer in memory.
#![allow(clippy::unwrap_used)]

mod delivery;
mod sources;
mod support;

use std::time::Duration;

use axum::http::StatusCode;
use domain::{
    ids::{MessageId, TaskId},
    input::{Actor, Command, Input, Observation, Outgoing},
    light::Light,
    patrol::PatrolKind,
};
use exchange::{Config, config::Secret, sign};
use serde_json::{Value, json};
use support::{Centre, Department, NOW, config, wait};

const REPORT: &str =
    r#"{"type":"report","external_number":"XF-9","class":"fire_lane","place_text":"12栋2单元","text":"停有车辆"}"#;

#[tokio::test]
async fn the_example_configuration_is_read_and_unknown_keys_are_refused() {
    let text = include_str!("exchange.toml");
    let config: Config = runtime::config::parse("exchange.toml", text).unwrap();
    assert_eq!(config.departments.len(), 3);
    assert!(!format!("{config:?}").contains("secret-for"), "secrets do not print");
    let wrong = text.replace("attempts = 3", "atempts = 3");
    assert!(runtime::config::parse::<Config>("exchange.toml", &wrong).is_err());
    for (from, to, key) in [
        ("fire-secret-for-testing!", "short", "exchange.departments.fire.secret"),
        ("unit = \"energy\"", "unit = \"fire\"", "exchange.departments.fire.unit"),
        (
            "key = [\"building\", \"unit\", \"flat\"]",
            "key = [\"house\"]",
            "exchange.departments.housing.records.occupancy.key",
        ),
        ("http://127.0.0.1:9/sms/send", "ftp://127.0.0.1/", "exchange.sms.send"),
        ("http://127.0.0.1:9/sms/send", "https://127.0.0.1/", "exchange.sms.send: https 须有 ca_file"),
        (
            "message_patrol_s = 3600",
            "message_patrol_s = 3600\nca_file = \"tests/exchange.toml\"",
            "tests/exchange.toml: 不是可用的证书",
        ),
        ("message_patrol_s = 3600", "message_patrol_s = 1", "exchange.message_patrol_s"),
    ] {
        let config: Config = runtime::config::parse("exchange.toml", &text.replace(from, to)).unwrap();
        let error = Centre::new(config).err().unwrap().to_string();
        assert!(error.starts_with(key), "{error}");
    }
}

#[tokio::test]
async fn a_signed_step_is_a_command_of_the_unit() {
    let centre = Centre::new(config()).unwrap();
    let body = r#"{"type":"task_update","task":7,"step":"acknowledge","at":1,"text":"好","external_number":"XF-1"}"#;
    let (status, answer) = centre.call("fire", "k1", body).await;
    assert_eq!((status, &answer["ok"], &answer["replayed"]), (StatusCode::OK, &json!(true), &json!(false)));
    let taken = centre.writer.taken();
    assert_eq!(taken.len(), 2, "the number and the step");
    assert_eq!((taken[0].0.as_deref(), taken[1].0.as_deref()), (Some("unit/fire k1/number"), Some("unit/fire k1")));
    let Input::Command { actor, command, .. } = &taken[1].1 else { panic!("a command") };
    assert_eq!((actor, command), (&Actor::Unit("fire".into()), &Command::Acknowledge(TaskId(7))));
    assert!(
        matches!(&taken[0].1, Input::Command { command: Command::Deliver { external: Some(e), .. }, .. } if e == "XF-1")
    );
}

#[tokio::test]
async fn the_same_key_takes_effect_once_and_names_one_request() {
    let centre = Centre::new(config()).unwrap();
    for replayed in [false, true] {
        let (status, answer) = centre.call("fire", "k1", REPORT).await;
        assert_eq!((status, &answer["replayed"]), (StatusCode::OK, &json!(replayed)));
    }
    assert_eq!(centre.writer.taken().len(), 1);
    let (status, problem) = centre.call("fire", "k1", &REPORT.replace("12栋", "13栋")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key_reused")));
    let (status, _) = centre.call("energy", "k1", REPORT).await;
    assert_eq!(status, StatusCode::OK, "keys of departments are apart");
    let reports = centre.writer.observations();
    assert_eq!(reports.iter().filter(|o| matches!(o, Observation::UnitReport { .. })).count(), 2);
    let kept = inbox(&centre);
    assert!(kept.len() == 1 && kept[0].1.contains("13栋"), "the other request is shown: {kept:?}");
}

/// Sender and words of what waits in the inbox.
fn inbox(centre: &Centre) -> Vec<(String, String)> {
    let kept = centre.writer.observations().into_iter().filter_map(|o| match o {
        Observation::MessageIn { from, person: None, text, place: None } => Some((from, text)),
        _ => None,
    });
    kept.collect()
}

/// What was taken as the words of a resident.
fn said(centre: &Centre) -> Vec<(String, String)> {
    let said = centre.writer.observations().into_iter().filter_map(|o| match o {
        Observation::MessageIn { from, person: Some(_), text, .. } => Some((from, text)),
        _ => None,
    });
    said.collect()
}

#[tokio::test]
async fn calls_that_are_not_signed_as_they_should_change_nothing() {
    let centre = Centre::new(config()).unwrap();
    let now = NOW / 1_000;
    let secret = centre.secret("fire");
    let cases = [
        ("outside the window", secret.as_str(), now - 301, REPORT, 401, "signature_stale"),
        ("from the future", &secret, now + 301, REPORT, 401, "signature_stale"),
        ("another secret", "energy-secret-for-tests!", now, REPORT, 401, "signature_invalid"),
        ("another body", &secret, now, "{}", 401, "signature_invalid"),
    ];
    for (what, secret, at, signed, status, code) in cases {
        let (found, problem) = centre.raw("fire/inbound", secret, at, signed, REPORT, Some("k")).await;
        assert_eq!((found.as_u16(), &problem["code"]), (status, &json!(code)), "{what}");
        assert!(!problem["title"].as_str().unwrap().is_ascii(), "{problem}");
    }
    let (status, problem) = centre.raw("weather/inbound", &secret, now, REPORT, REPORT, Some("k")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("no_department")));
    let (status, problem) = centre.raw("fire/inbound", &secret, now, REPORT, REPORT, None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("key_missing")));
    let overheard = sign::sign(&Secret::new(secret.as_str()), now, "k", REPORT.as_bytes());
    let (status, problem) = centre.request("fire/inbound", &overheard, now, REPORT, Some("another key")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("signature_invalid")));
    let large = "x".repeat(64 * 1024 + 1);
    let (status, problem) = centre.raw("fire/inbound", &secret, now, &large, &large, Some("k")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
    let (status, _) = centre.raw("fire/inbound", &secret, now - 300, REPORT, REPORT, Some("k")).await;
    assert_eq!(status, StatusCode::OK, "the window's edge is inside");
    let kept = inbox(&centre);
    assert_eq!(centre.writer.taken().len(), 1 + kept.len(), "one report, and what a person looks at");
    assert_eq!(kept.len(), 4, "of one source only a few a minute");
    assert!(kept.iter().all(|(from, text)| from == "消防" && text.starts_with("【消防，未采用：签名")), "{kept:?}");
}

#[tokio::test]
async fn wrong_bodies_name_their_field_and_are_recorded_a_few_times() {
    let centre = Centre::new(config()).unwrap();
    let cases = [
        ("{", "malformed", None),
        (r#"{"type":"dance"}"#, "field_invalid", Some("type")),
        (r#"{"type":"report","class":"nothing","place_text":"12栋"}"#, "field_invalid", Some("class")),
        (r#"{"type":"report","class":"fire_lane","place_text":"那边"}"#, "no_place", Some("place_text")),
        (r#"{"type":"task_update","task":"x","step":"on_scene"}"#, "field_invalid", Some("task")),
    ];
    for (i, (body, code, field)) in cases.iter().enumerate() {
        let (status, problem) = centre.call("fire", &format!("k{i}"), body).await;
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!(code)), "{body}");
        assert_eq!(problem.get("field").and_then(Value::as_str), *field, "{body}");
    }
    for i in 0..10 {
        centre.call("fire", &format!("again{i}"), "{").await;
    }
    let unreadable = |i: &Input| matches!(i, Input::Observe { observation: Observation::Unreadable { source, .. }, .. } if source == "fire");
    let taken = centre.writer.taken();
    assert_eq!(taken.iter().filter(|(_, i)| unreadable(i)).count(), 4);
    let kept = inbox(&centre);
    assert_eq!(taken.len(), 4 + kept.len(), "nothing else");
    assert!(kept.iter().any(|(_, text)| text.contains("地点") && text.contains("那边")), "{kept:?}");
}

#[tokio::test]
async fn a_writer_that_cannot_store_answers_503_and_takes_the_repetition() {
    let centre = Centre::new(config()).unwrap();
    centre.writer.shut(true);
    let (status, problem) = centre.call("fire", "k1", REPORT).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    centre.writer.shut(false);
    let (status, answer) = centre.call("fire", "k1", REPORT).await;
    assert_eq!((status, &answer["replayed"]), (StatusCode::OK, &json!(false)));
    let refused = r#"{"type":"task_update","task":404,"step":"en_route"}"#;
    let (status, problem) = centre.call("fire", "k2", refused).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("no_task")));
    let late = r#"{"type":"task_update","task":409,"step":"en_route"}"#;
    let (status, problem) = centre.call("fire", "k3", late).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("wrong_task_state")));
}

#[tokio::test]
async fn a_message_is_placed_by_its_words_and_taken_once() {
    let centre = Centre::new(config()).unwrap();
    let body = r#"{"id":"sms-1","from":"199 0000 0001","to":"96885","text":"12栋2单元6楼冒烟","at":1}"#;
    for replayed in [false, true] {
        let (status, answer) = centre.sms(body).await;
        assert_eq!((status, &answer["replayed"]), (StatusCode::OK, &json!(replayed)));
    }
    let taken = centre.writer.taken();
    assert_eq!((taken.len(), taken[0].0.as_deref()), (1, Some("sms sms-1/s/19900000001/12栋2单元6楼冒烟")));
    let Input::Observe { observation: Observation::MessageIn { from, person, place, .. }, .. } = &taken[0].1 else {
        panic!("a message")
    };
    assert_eq!((from.as_str(), person.as_deref()), ("19900000001", Some("hash of person/19900000001")));
    let place = place.as_ref().unwrap();
    assert_eq!((place.building.as_ref().unwrap().as_str(), place.unit, place.floor), ("b12", Some(2), Some(6)));
}

fn sms(id: &str, from: &str, text: &str) -> String {
    json!({"id": id, "from": from, "text": text}).to_string()
}

#[tokio::test]
async fn the_same_id_with_another_text_is_another_message_and_the_same_text_under_another_id_is_one() {
    let centre = Centre::new(config()).unwrap();
    for (id, text, replayed) in [
        ("83be51e4", "12栋冒烟", false),
        ("83be51e4", "12栋着火了", false),
        ("another", "12栋冒烟", true),
        ("83be51e4", "12栋冒烟", true),
    ] {
        let (status, answer) = centre.sms(&sms(id, "19900000001", text)).await;
        assert_eq!((status, &answer["replayed"]), (StatusCode::OK, &json!(replayed)), "{id} {text}");
    }
    centre.sms(&sms("third", "19900000002", "12栋冒烟")).await;
    assert_eq!(said(&centre).len(), 3, "another sender's is his own");
}

#[tokio::test]
async fn nothing_formal_loses_a_text_and_a_call_without_one_is_shown() {
    let centre = Centre::new(config()).unwrap();
    for body in [
        json!({"id": 7, "from": "tel:+86 199-0000-0001", "text": "12栋\u{0}冒烟", "at": "now"}),
        json!({"from": "卯家湾通知", "text": "13栋冒烟"}),
        json!({"id": "长".repeat(300), "from": "19900000003", "text": "14栋冒烟"}),
        json!({"text": "15栋冒烟"}),
    ] {
        let (status, answer) = centre.sms(&body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
    }
    let said = said(&centre);
    assert_eq!(
        said.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(),
        ["+8619900000001", "卯家湾通知", "19900000003", "未知号码"]
    );
    let (status, _) = centre.sms(r#"{"id":"9","from":"19900000009"}"#).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let kept = inbox(&centre);
    assert!(kept.len() == 1 && kept[0].1.contains("19900000009"), "{kept:?}");
}

#[tokio::test]
async fn an_urgent_part_acts_at_once_and_the_whole_follows() {
    let centre = Centre::new(config()).unwrap();
    let part = |n: u8, text: &str| {
        json!({"id": format!("p{n}"), "from": "19900000001", "text": text,
               "part": {"reference": 56, "total": 3, "number": n}})
        .to_string()
    };
    centre.sms(&part(3, "快来人啊")).await;
    assert_eq!((said(&centre).len(), inbox(&centre).len()), (0, 1), "what waits is kept");
    centre.sms(&part(1, "着火了，着火了，12栋")).await;
    assert_eq!(said(&centre).len(), 1, "the urgent part rings before the rest is there");
    centre.sms(&part(1, "着火了，着火了，12栋")).await;
    assert_eq!(said(&centre).len(), 1, "doubled");
    centre.sms(&part(2, "2单元")).await;
    let said = said(&centre);
    assert_eq!(said.last().unwrap().1, "着火了，着火了，12栋2单元快来人啊");
    assert_eq!(said.len(), 2);
}

#[tokio::test]
async fn a_text_whose_part_never_comes_goes_on_with_a_mark() {
    let centre = Centre::new(config()).unwrap();
    let body = json!({"from": "19900000001", "text": "路灯不亮", "udh": "05 00 03 38 02 01"}).to_string();
    centre.sms(&body).await;
    let running = centre.run();
    let advance = centre.clock_runs();
    while said(&centre).is_empty() {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(advance);
    assert_eq!(said(&centre)[0].1, "路灯不亮（缺第2条）");
    running.stop().await;
}

#[tokio::test]
async fn a_failed_part_makes_the_message_failed_and_a_delivered_one_is_no_news() {
    let centre = Centre::new(config()).unwrap();
    for state in ["DELIVRD", "UNDELIV"] {
        centre.sms(&json!({"type": "report", "id": "12", "state": state}).to_string()).await;
    }
    let told = centre.writer.observations();
    assert_eq!(told.len(), 1);
    assert!(matches!(told[0], Observation::MessageSent { message: MessageId(12), ok: false }));
}

#[tokio::test]
async fn a_fire_without_a_place_is_taken_and_what_is_not_urgent_is_asked_for_one() {
    let centre = Centre::new(config()).unwrap();
    let report = |class: &str| REPORT.replace("fire_lane", class).replace("12栋2单元", "那边");
    let (status, problem) = centre.call("fire", "k1", &report("fire_lane")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("no_place")));
    let (status, _) = centre.call("fire", "k2", &report("fire")).await;
    assert_eq!(status, StatusCode::OK);
    let places: Vec<_> = centre
        .writer
        .observations()
        .into_iter()
        .filter_map(|o| match o {
            Observation::UnitReport { place, .. } => Some(place),
            _ => None,
        })
        .collect();
    assert!(places.len() == 1 && places[0].is_unknown());
}

#[tokio::test]
async fn a_push_is_signed_and_its_answer_is_the_receipt() {
    let department = Department::start("fire-secret-for-testing!").await;
    let centre = Centre::new(department.connected("fire")).unwrap();
    let row = centre
        .put(&Outgoing::Push { unit: "fire".into(), incident: domain::ids::IncidentId(3), task: TaskId(7) })
        .await;
    let running = centre.run();
    let settled = wait(&centre.writer.settled, |s| s.contains(&row)).await;
    assert_eq!(settled, [row]);
    let calls = department.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0, format!("outbox-{row}"));
    let body = &calls[0].1;
    assert_eq!((&body["type"], &body["task"], &body["mode"]), (&json!("task"), &json!(7), &json!("real")));
    assert_eq!((&body["place"]["label"], &body["level"]), (&json!("12栋2单元"), &json!("red")));
    let receipt = |i: &Input| matches!(i, Input::Command { actor: Actor::System, command: Command::Deliver { task: TaskId(7), external: Some(e), .. }, .. } if e == "N-1");
    assert!(centre.writer.taken().iter().any(|(k, i)| k.as_deref() == Some(&format!("outbox {row}")) && receipt(i)));
    running.stop().await;
}

#[tokio::test]
async fn a_dead_department_delays_no_other_and_is_given_up_visibly() {
    let alive = Department::start("energy-secret-for-tests!").await;
    let dead = Department::start("fire-secret-for-testing!").await;
    dead.hang(true);
    let mut config = alive.connected("energy");
    dead.connect(&mut config, "fire");
    let centre = Centre::new(config).unwrap();
    let push =
        |unit: &str, n| Outgoing::Push { unit: unit.into(), incident: domain::ids::IncidentId(3), task: TaskId(n) };
    let mut stuck = Vec::new();
    for n in 0..20 {
        stuck.push(centre.put(&push("fire", n)).await);
    }
    let row = centre.put(&push("energy", 100)).await;
    let running = centre.run();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    assert!(centre.writer.settled.borrow().iter().all(|r| !stuck.contains(r)), "the dead one still hangs");
    // It answers 503 from now on: each delivery is tried thrice, then given up with a note.
    dead.down(true);
    dead.hang(false);
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| stuck.iter().all(|r| s.contains(r))).await;
    drop(advance);
    let told = |ends: bool| {
        let told = centre.writer.observations().into_iter().filter(|o| {
            matches!(o, Observation::PushFailed { text, .. } if text.contains("消防") && text.contains("已停止重试") == ends)
        });
        told.count()
    };
    assert_eq!((told(false), told(true)), (20, 20), "red ones are told at their limit, and when they are given up");
    let facts = centre.exchange.facts();
    let fire = facts.iter().find(|f| f.unit.as_str() == "fire").unwrap();
    assert_eq!((fire.light, fire.heard_ms, fire.push), (Light::Red, None, true));
    assert!(fire.failures >= 3, "{fire:?}");
    assert!(!format!("{facts:?}").contains("secret"));
    running.stop().await;
}

#[tokio::test]
async fn a_delivery_that_failed_is_repeated_under_its_key() {
    let department = Department::start("fire-secret-for-testing!").await;
    department.down(true);
    let centre = Centre::new(department.connected("fire")).unwrap();
    let row = centre
        .put(&Outgoing::Recall { unit: "fire".into(), incident: domain::ids::IncidentId(3), task: TaskId(7) })
        .await;
    let running = centre.run();
    wait(&department.seen, |n| *n >= 1).await;
    department.down(false);
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    drop(advance);
    let calls = department.calls();
    assert_eq!(calls.last().unwrap().1, json!({"type": "recall", "task": 7}));
    assert!(calls.iter().all(|c| c.0 == format!("outbox-{row}")));
    running.stop().await;
}

#[tokio::test]
async fn messages_go_out_by_the_gateway_and_a_lost_one_is_told() {
    let gateway = Department::start("sms-secret-for-the-tests").await;
    let mut config = config();
    config.sms.as_mut().unwrap().send.as_mut().unwrap().url = gateway.url();
    let centre = Centre::new(config).unwrap();
    let row = centre.put(&Outgoing::Sms { message: MessageId(5) }).await;
    let running = centre.run();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    assert_eq!(gateway.calls()[0].1, json!({"to": "19900000005", "text": "已收到", "id": "5"}));
    gateway.down(true);
    let lost = centre.put(&Outgoing::Sms { message: MessageId(6) }).await;
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| s.contains(&lost)).await;
    drop(advance);
    let sent: Vec<_> = centre
        .writer
        .observations()
        .into_iter()
        .filter_map(|o| match o {
            Observation::MessageSent { message, ok } => Some((message.0, ok)),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(5, true), (6, false)]);
    running.stop().await;
}

#[tokio::test]
async fn a_rule_over_two_departments_is_a_patrol_with_a_finding() {
    let housing = Department::start("housing-secret-for-tests").await;
    housing.gives(json!([
        {"kind": "occupancy", "building": "b12", "unit": 2, "flat": "0604", "place_text": "12栋2单元0604", "status": "empty"},
        {"kind": "occupancy", "building": "b12", "unit": 2, "flat": "0605", "place_text": "12栋2单元0605", "status": "empty"},
        {"kind": "occupancy", "building": "b12", "unit": 2, "flat": "0606", "place_text": "那边", "status": "empty"},
        {"kind": "occupancy", "broken": true},
    ]));
    let mut config = config();
    config.departments.iter_mut().find(|c| c.unit == "housing").unwrap().pull.as_mut().unwrap().url = housing.url();
    let centre = Centre::new(config).unwrap();
    let running = centre.run();
    wait(&housing.seen, |n| *n >= 2).await;
    let body = r#"{"type":"records","kind":"electricity","records":[
        {"building":"b12","unit":2,"flat":"0604","kwh_week":88.5,"name":"never kept"},{"building":"b12","unit":2,"flat":"0605","kwh_week":2},
        {"building":"b12","unit":2,"flat":"0606","kwh_week":99}]}"#;
    let (status, answer) = centre.call("energy", "r1", body).await;
    assert_eq!((status, &answer["kept"]), (StatusCode::OK, &json!(3)));
    let advance = centre.clock_runs();
    let finished = |o: &[Observation]| o.iter().any(|o| matches!(o, Observation::PatrolFinished { checked: 3, .. }));
    wait(&centre.writer.seen, |o| finished(o)).await;
    drop(advance);
    let seen = centre.writer.observations();
    let planned = seen.iter().find(|o| matches!(o, Observation::PatrolPlanned { kind: PatrolKind::Data, .. }));
    assert!(matches!(planned, Some(Observation::PatrolPlanned { subject, .. }) if subject == "vacant_power"));
    let hits: Vec<_> = seen
        .iter()
        .filter_map(|o| match o {
            Observation::RuleHit { rule, key, place, text, .. } => {
                Some((rule.as_str(), key.as_str(), place.is_unknown(), place.flat, text.clone().unwrap()))
            }
            _ => None,
        })
        .collect();
    // A place that says nothing is no reason to keep silent.
    let said = |place: &str, power| format!("登记空置的住房有用电：{place}，一周用电 {power} 度");
    assert_eq!(
        hits,
        [
            ("vacant_power", "hash of rule/vacant_power/b12/2/0604", false, Some(4), said("12栋2单元0604", 88.5)),
            ("vacant_power", "hash of rule/vacant_power/b12/2/0606", true, None, said("那边", 99.0)),
        ]
    );
    assert!(seen.iter().any(|o| matches!(o, Observation::PatrolFound { what, .. } if what == "rule_hit")));
    running.stop().await;
}

#[tokio::test]
async fn each_message_is_a_finding_of_the_hours_patrol() {
    let centre = Centre::new(config()).unwrap();
    let running = centre.run();
    let started = |o: &[Observation]| o.iter().any(|o| matches!(o, Observation::PatrolStarted { .. }));
    wait(&centre.writer.seen, |o| started(o)).await;
    centre.sms(r#"{"id":"sms-1","from":"19900000001","text":"路灯不亮"}"#).await;
    let found =
        |o: &[Observation]| o.iter().any(|o| matches!(o, Observation::PatrolFound { what, .. } if what == "message"));
    wait(&centre.writer.seen, |o| found(o)).await;
    centre.clock.advance(Duration::from_secs(3_600).as_millis().try_into().unwrap());
    let finished = |o: &[Observation]| o.iter().any(|o| matches!(o, Observation::PatrolFinished { checked: 1, .. }));
    wait(&centre.writer.seen, |o| finished(o)).await;
    running.stop().await;
}

#[tokio::test]
async fn lights_are_told_at_the_start_and_on_change() {
    let centre = Centre::new(config()).unwrap();
    let running = centre.run();
    let lights = |o: &[Observation]| -> Vec<Light> {
        o.iter()
            .filter_map(|o| match o {
                Observation::LightChanged { unit, light, .. } if unit.as_str() == "energy" => Some(*light),
                _ => None,
            })
            .collect()
    };
    wait(&centre.writer.seen, |o| lights(o) == [Light::Unknown]).await;
    centre.call("energy", "k", REPORT).await;
    wait(&centre.writer.seen, |o| lights(o) == [Light::Unknown, Light::Green]).await;
    centre.clock.advance(901_000);
    wait(&centre.writer.seen, |o| lights(o) == [Light::Unknown, Light::Green, Light::Yellow]).await;
    centre.clock.advance(2_700_000);
    wait(&centre.writer.seen, |o| lights(o).last() == Some(&Light::Red)).await;
    running.stop().await;
}
