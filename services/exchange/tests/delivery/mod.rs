//! A delivery is what the receiver says it took. What it does not take is kept, waits as told, or goes another way.
use domain::{
    ids::{IncidentId, TaskId},
    input::{Command, Input, Observation, Outgoing},
};
use exchange::{
    Config,
    config::{Channel, ReceiptRule},
};

use crate::support::{self, Centre, Department, wait};

const RULE: &str = "at = '/errcode'\nok = ['0']\nbusy = ['130101']\ndenied = ['310000']\nwords = '/errmsg'";

fn rule() -> ReceiptRule {
    runtime::config::parse("receipt.toml", RULE).unwrap()
}

fn push(n: u64) -> Outgoing {
    Outgoing::Push { unit: "fire".into(), incident: IncidentId(3), task: TaskId(n) }
}

fn connector(config: &mut Config) -> &mut exchange::config::Connector {
    config.departments.iter_mut().find(|c| c.unit == "fire").unwrap()
}

async fn fire() -> (Department, Config) {
    let department = Department::start("fire-secret-for-testing!").await;
    let mut config = department.connected("fire");
    let fire = connector(&mut config);
    fire.push.as_mut().unwrap().attempts = 300;
    fire.push.as_mut().unwrap().receipt = Some(rule());
    // Beyond the waits of a test that is not about it.
    fire.red_limit_s = 100_000;
    (department, config)
}

fn delivered(centre: &Centre) -> usize {
    let taken = centre.writer.taken();
    taken.iter().filter(|(_, i)| matches!(i, Input::Command { command: Command::Deliver { .. }, .. })).count()
}

fn failures(centre: &Centre) -> Vec<String> {
    let of = |o| if let Observation::PushFailed { text, .. } = o { Some(text) } else { None };
    centre.writer.observations().into_iter().filter_map(of).collect()
}

fn alarms(seen: &[Observation]) -> Vec<String> {
    let of = |o: &Observation| match o {
        Observation::RuleHit { rule, key, place, text, .. } if rule.as_str() == "connector" => {
            assert!(place.is_unknown());
            Some(format!("{key}: {}", text.as_deref().unwrap()))
        }
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_status_200_with_an_error_in_it_is_no_delivery() {
    let (department, config) = fire().await;
    department.says(200, None, r#"{"errcode":40035,"errmsg":"缺少参数 json"}"#);
    department.says(200, None, "<html>维护中</html>");
    department.says(200, None, r#"{"errcode":0,"errmsg":"ok","external_number":"XF-9"}"#);
    let centre = Centre::new(config).unwrap();
    let row = centre.put(&push(7)).await;
    let (running, advance) = (centre.run(), centre.clock_runs());
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    drop(advance);
    let calls = department.calls();
    assert_eq!(calls.len(), 3, "two answers that were no receipts, and one that was");
    assert!(calls.iter().all(|c| c.0 == format!("outbox-{row}")));
    let number = |i: &Input| matches!(i, Input::Command { command: Command::Deliver { external: Some(e), .. }, .. } if e == "XF-9");
    assert!(centre.writer.taken().iter().any(|(_, i)| number(i)));
    running.stop().await;
}

#[tokio::test]
async fn refused_credentials_raise_one_alarm_and_keep_the_push() {
    let (department, config) = fire().await;
    for (status, body) in [(401, ""), (403, ""), (200, r#"{"errcode":310000,"errmsg":"sign not match"}"#), (401, "")] {
        department.says(status, None, body);
    }
    // More often than a refusal of another kind is asked.
    (0..6).for_each(|_| department.says(401, None, ""));
    department.says(200, None, r#"{"errcode":0}"#);
    let centre = Centre::new(config).unwrap();
    let row = centre.put(&push(7)).await;
    let running = centre.run();
    wait(&centre.writer.seen, |o| !alarms(o).is_empty()).await;
    let fact = || centre.exchange.facts().into_iter().find(|f| f.unit.as_str() == "fire").unwrap();
    assert!(fact().denied_ms.is_some());
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    drop(advance);
    let alarms = alarms(&centre.writer.observations());
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].starts_with("fire/denied: 消防的系统拒绝了"), "{alarms:?}");
    assert_eq!((delivered(&centre), fact().denied_ms), (1, None));
    running.stop().await;
}

#[tokio::test]
async fn a_site_without_the_kind_gets_a_message() {
    let (department, mut config) = fire().await;
    config.fault_alarm = "nothing".to_owned();
    department.says(401, None, "");
    let centre = Centre::new(config).unwrap();
    centre.put(&push(7)).await;
    let running = centre.run();
    let told = |o: &[Observation]| {
        o.iter().any(|o| matches!(o, Observation::MessageIn { from, text, .. } if from == "部门接口" && text.contains("status 401")))
    };
    wait(&centre.writer.seen, |o| told(o)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_asks_to_wait_is_left_alone_so_long_and_nothing_is_lost() {
    let (department, config) = fire().await;
    department.says(429, Some("600"), "");
    for _ in 0..3 {
        department.says(200, None, r#"{"errcode":0}"#);
    }
    let centre = Centre::new(config).unwrap();
    let first = centre.put(&push(7)).await;
    let running = centre.run();
    wait(&department.seen, |n| *n == 1).await;
    centre.waiting(first, |row| row.row.due_ms >= support::NOW + 600_000).await;
    let others = [centre.put(&push(8)).await, centre.put(&push(9)).await];
    for row in others {
        centre.waiting(row, |row| row.row.due_ms >= support::NOW + 600_000 && row.attempts == 0).await;
    }
    centre.clock.advance(599_000);
    centre.exchange.nudge();
    assert_eq!(department.calls().len(), 1, "nobody calls before the time");
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| [first, others[0], others[1]].iter().all(|r| s.contains(r))).await;
    drop(advance);
    assert_eq!((department.calls().len(), delivered(&centre)), (4, 3));
    assert!(failures(&centre).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_code_for_too_many_calls_waits_too() {
    let (department, config) = fire().await;
    department.says(200, None, r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#);
    department.says(200, None, r#"{"errcode":0}"#);
    let centre = Centre::new(config).unwrap();
    let row = centre.put(&push(7)).await;
    let running = centre.run();
    centre.waiting(row, |row| row.row.due_ms >= support::NOW + 60_000).await;
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    drop(advance);
    assert_eq!(department.calls().len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_red_push_that_does_not_arrive_goes_to_the_units_duty_once_and_is_repeated() {
    let (department, mut config) = fire().await;
    let gateway = Department::start("sms-secret-for-the-tests").await;
    config.sms.as_mut().unwrap().send.as_mut().unwrap().url = gateway.url();
    let fire = connector(&mut config);
    (fire.red_limit_s, fire.next) = (60, vec![Channel::Sms("199 0000 0119".into()), Channel::Phone("0870-119".into())]);
    // It would come only after the limit, so the next channel goes at once.
    department.says(503, Some("120"), "");
    (0..2).for_each(|_| department.says(500, None, ""));
    department.says(200, None, r#"{"errcode":0}"#);
    let centre = Centre::new(config).unwrap();
    let row = centre.put(&push(7)).await;
    let running = centre.run();
    wait(&gateway.seen, |n| *n == 1).await;
    let (key, body) = gateway.calls().remove(0);
    assert_eq!((key, body["to"].as_str().unwrap()), (format!("outbox-{row}-next"), "199 0000 0119"));
    assert!(body["text"].as_str().unwrap().contains("MJW-1：12栋2单元火情"), "{body}");
    let advance = centre.clock_runs();
    wait(&centre.writer.settled, |s| s.contains(&row)).await;
    drop(advance);
    assert_eq!((gateway.calls().len(), department.calls().len(), delivered(&centre)), (1, 4, 1));
    let noted = centre.writer.taken().into_iter().filter_map(|(key, i)| match i {
        Input::Command { command: Command::Note { text, .. }, .. } => Some((key.unwrap(), text)),
        _ => None,
    });
    let noted = noted.collect::<Vec<_>>();
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0].0, format!("outbox {row}/next"));
    assert!(noted[0].1.contains("已改发短信到消防值班"), "{noted:?}");
    assert!(failures(&centre).is_empty(), "the message was taken, so nobody need call");
    running.stop().await;
}

#[tokio::test]
async fn without_a_message_a_person_is_asked_to_call() {
    for (next, words) in [
        (vec![Channel::Sms("19900000119".into()), Channel::Phone("0870-119".into())], "请立即致电消防值班 0870-119"),
        (Vec::new(), "请立即电话联系"),
    ] {
        let (department, mut config) = fire().await;
        // No gateway answers at this address.
        let fire = connector(&mut config);
        (fire.red_limit_s, fire.next) = (60, next);
        department.says(429, Some("3600"), "");
        let centre = Centre::new(config).unwrap();
        centre.put(&push(7)).await;
        let running = centre.run();
        let told = |o: &[Observation]| {
            o.iter().any(|o| matches!(o, Observation::PushFailed { text, .. } if text.contains(words)))
        };
        wait(&centre.writer.seen, |o| told(o)).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_red_push_passes_calls_that_hang() {
    let (department, mut config) = fire().await;
    connector(&mut config).push.as_mut().unwrap().timeout_s = 60;
    department.hang(true);
    let centre = Centre::new(config).unwrap();
    for n in support::YELLOW..support::YELLOW + 10 {
        centre.put(&push(n)).await;
    }
    let running = centre.run();
    wait(&department.seen, |n| *n == 4).await;
    centre.put(&push(7)).await;
    wait(&department.seen, |n| *n == 5).await;
    assert_eq!(department.calls()[4].1["task"], 7);
    department.hang(false);
    running.stop().await;
}
