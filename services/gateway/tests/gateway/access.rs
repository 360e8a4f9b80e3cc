//! Who may reach and do what.

use domain::{
    account::Role,
    event::Mode,
    input::{Input, Observation},
    site::{Place, Point},
};
use link::intake::Submission;

use crate::house::{Ask, House, PEOPLE};

fn operations() -> Vec<(String, String)> {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|m| ["get", "post", "delete"].contains(&m.as_str())) {
            all.push((method.to_uppercase(), path.replace("{id}", "1")));
        }
    }
    assert!(all.len() > 50);
    all
}

#[tokio::test]
async fn nothing_is_open_but_the_committed_list() {
    let house = House::new().await;
    for (method, path) in operations() {
        let answer = house.call(Ask::new(&method, &path)).await;
        let open = gateway::OPEN.iter().any(|(m, p, _)| *m == method && *p == path);
        assert_eq!(answer.status == 401 && answer.code() == "no_session", !open, "{method} {path}: {}", answer.text());
    }
    for (method, path, why) in gateway::OPEN {
        assert!(!why.is_empty());
        let answer = house.call(Ask::new(method, path)).await;
        assert_ne!(answer.status, 401, "{method} {path}");
        // Without a demo there is none.
        assert_eq!(answer.status == 404, *path == "/api/v1/demo", "{method} {path}");
    }
    let forged = house.get("/api/v1/site", Some(&"a".repeat(64))).await;
    assert_eq!(forged.status, 401);
}

/// For each command, the roles that may give it. Tasks are those of the role's own unit (task 1 is `fire`'s).
const CENTRE: &[Role] = &[Role::DutyOfficer, Role::Dispatcher, Role::ShiftChief];
const CHIEF: &[Role] = &[Role::ShiftChief];
const OWN: &[Role] = &[Role::DepartmentClerk];
const COMMANDS: &[(&str, &str, &[Role])] = &[
    ("/incidents/{i}/accept", "{}", CENTRE),
    ("/incidents/{i}/reject", r#"{"reason":"x"}"#, CENTRE),
    ("/incidents/{i}/merge", r#"{"into":1}"#, CENTRE),
    ("/incidents/{i}/file", "{}", CENTRE),
    ("/incidents/{i}/approve", "{}", CHIEF),
    ("/incidents/{i}/refuse-approval", r#"{"reason":"x"}"#, CHIEF),
    ("/incidents/{i}/push", r#"{"targets":[]}"#, CENTRE),
    ("/incidents/{i}/note", r#"{"text":""}"#, CENTRE),
    ("/incidents/{i}/place", r#"{"place":{"building":"b9"}}"#, CENTRE),
    ("/incidents/{i}/verify", "{}", CENTRE),
    ("/incidents/{i}/close", "{}", CENTRE),
    ("/incidents/{i}/reopen", r#"{"reason":"x"}"#, CENTRE),
    ("/incidents/{i}/exhibits", r#"{"camera":"c001","kind":"still"}"#, CENTRE),
    ("/alarms/9/confirm", "{}", CENTRE),
    ("/alarms/9/judge", r#"{"verdict":"false"}"#, CENTRE),
    ("/alarms/9/shelve", r#"{"minutes":5,"reason":"x"}"#, CENTRE),
    ("/alarms/9/unshelve", "{}", CENTRE),
    ("/tasks/{t}/en-route", "{}", OWN),
    ("/tasks/{t}/on-scene", "{}", OWN),
    ("/tasks/{t}/feedback", r#"{"result":"done"}"#, OWN),
    ("/tasks/{t}/decline", r#"{"reason":"x"}"#, OWN),
    ("/tasks/{t}/receipt", "{}", OWN),
    ("/tasks/{t}/acknowledge", "{}", OWN),
    ("/tasks/{t}/rework", r#"{"reason":"x"}"#, CENTRE),
    ("/tasks/999/recall", "{}", CENTRE),
    ("/tasks/999/reassign", r#"{"unit":"water"}"#, CENTRE),
    ("/duty", r#"{"post":"chief","account":"nobody"}"#, CHIEF),
    ("/reporters/lookup", r#"{"phone":"1"}"#, CENTRE),
    ("/devices/ghost/credential", "{}", CHIEF),
];

#[tokio::test]
async fn each_command_is_for_its_roles() {
    let house = House::new().await;
    let dispatcher = house.log_in("dispatch").await;
    let incident = house.report(&dispatcher, "楼道有烟").await;
    let task = house.push(&dispatcher, incident, "fire").await;
    for (account, role, ..) in PEOPLE.iter().filter(|p| p.0 != "water1") {
        let session = house.log_in(account).await;
        for (path, body, roles) in COMMANDS {
            let path = path.replace("{i}", &incident.to_string()).replace("{t}", &task.to_string());
            let path = format!("/api/v1{path}");
            let answer = house.post(&path, &session, body).await;
            let may = roles.contains(role);
            // A place that does not exist is noticed before the role is asked.
            let early = path.ends_with("/place") && answer.status == 422;
            assert_eq!(answer.status != 403 || early, may || early, "{account} {path}: {}", answer.text());
        }
    }
    // Another unit's clerk may not touch the task.
    let water = house.log_in("water1").await;
    for step in ["acknowledge", "en-route", "receipt"] {
        let answer = house.post(&format!("/api/v1/tasks/{task}/{step}"), &water, "{}").await;
        assert_eq!(answer.status, 403);
    }
}

#[tokio::test]
async fn each_reads_what_is_theirs() {
    let house = House::new().await;
    let dispatcher = house.log_in("dispatch").await;
    let other = house.report(&dispatcher, "别处的事").await;
    let own = house.report(&dispatcher, "楼道有烟").await;
    house.push(&dispatcher, own, "fire").await;
    let (fire, wall) = (house.log_in("fire1").await, house.log_in("wall").await);

    let list = house.get("/api/v1/incidents", Some(&fire)).await.json();
    let ids: Vec<u64> = list["items"].as_array().unwrap().iter().map(|i| i["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [own]);
    for path in ["", "/timeline"] {
        assert_eq!(house.get(&format!("/api/v1/incidents/{other}{path}"), Some(&fire)).await.status, 404);
        assert_eq!(house.get(&format!("/api/v1/incidents/{own}{path}"), Some(&fire)).await.status, 200);
    }
    let tasks = house.get("/api/v1/tasks", Some(&fire)).await.json();
    assert_eq!(tasks[0]["incident"], own);
    assert_eq!(tasks[0]["task"]["state"], "pushed");

    let kinds = ["devices", "cameras", "messages", "patrols", "departments", "duty", "figures", "units"];
    for kind in kinds {
        let path = format!("/api/v1/{kind}");
        assert_eq!(house.get(&path, Some(&fire)).await.status, 403, "{path}");
        assert_eq!(house.get(&path, Some(&dispatcher)).await.status, 200, "{path}");
    }
    // The push to the fire brigade waits for its system, which the other department does not have.
    let departments = house.get("/api/v1/departments", Some(&dispatcher)).await.json();
    let of = |id: &str| departments.as_array().unwrap().iter().find(|d| d["id"] == id).unwrap().clone();
    assert_eq!((&of("fire")["waiting"], &of("fire")["live"]), (&1.into(), &1.into()));
    let connector = serde_json::json!({
        "push": true, "pull_every_s": 60, "records": ["hydrants"], "heard": crate::house::NOW - 5_000, "failures": 2,
    });
    assert_eq!(of("fire")["connector"], connector);
    assert_eq!((&of("water")["waiting"], &of("water")["connector"]), (&0.into(), &serde_json::Value::Null));
    // The wall reads facts and the caller's words: nothing else that was said, and nobody's name or number.
    for path in ["incidents".to_owned(), format!("incidents/{own}"), format!("incidents/{own}/timeline")] {
        let text = house.get(&format!("/api/v1/{path}"), Some(&wall)).await.text();
        assert!(text.contains("1栋") || text.contains("reported"), "{text}");
        for secret in ["陈", "138", "2107", "现场核实"] {
            assert!(!text.contains(secret), "{path}: {secret}");
        }
        assert_eq!(text.contains("楼道有烟"), !path.ends_with("timeline"), "{path}");
    }
    // The centre reads what was said, but persons are masked.
    let text = house.get(&format!("/api/v1/incidents/{own}"), Some(&dispatcher)).await.text();
    assert!(text.contains("楼道有烟") && text.contains("陈**") && text.contains("138****2107"), "{text}");
    assert!(!text.contains("小花"));
    let earlier = house.post("/api/v1/reporters/lookup", &dispatcher, r#"{"phone":"+86 138 0000 2107"}"#).await;
    assert_eq!(earlier.json()["earlier"], 2);
    let near = house.get("/api/v1/duplicates?class=fire&building=b1", Some(&dispatcher)).await.json();
    assert_eq!(near.as_array().unwrap().len(), 2);
    let hits = house.get("/api/v1/places?q=1%E6%A0%8B2%E5%8D%95%E5%85%836%E5%B1%82", Some(&dispatcher)).await.json();
    assert_eq!((&hits[0]["place"]["building"], &hits[0]["place"]["floor"]), (&"b1".into(), &6.into()));
    assert_eq!(hits[0]["cameras"][0], "c001");
}

#[tokio::test]
async fn a_flood_is_of_real_alarms_that_the_caller_may_see() {
    let house = House::new().await;
    let (duty, grid) = (house.log_in("dispatch").await, house.log_in("grid1").await);
    // Ten at one place after another, one of them in the grid manager's grid; and as many in an exercise.
    for n in 0..10_u32 {
        for (mode, y) in [(Mode::Real, 0.0), (Mode::Exercise, 50_000.0)] {
            let at = Point { x: f64::from(n) * 1_000.0, y };
            let place = Place::about(if n == 0 { "g1" } else { "g2" }.into(), at);
            let (rule, kind, key) = ("d".into(), "smoke".into(), format!("{mode:?}-{n}"));
            let observation = Observation::RuleHit { rule, kind, key, place, text: None };
            let raise = Submission::keyless(Input::Observe { mode, observation });
            assert!(house.intake.submit(raise).await.unwrap().refs.alarm.is_some());
        }
        house.seen(house.store.head().await.unwrap().seq).await;
        let told = async |session: &str| {
            let answer = house.get("/api/v1/alarms", Some(session)).await.json();
            (answer["flood"].as_bool().unwrap(), answer["recent"].as_u64().unwrap())
        };
        assert_eq!(told(&duty).await, (n == 9, u64::from(n) + 1));
        assert_eq!(told(&grid).await, (false, 1));
    }
}
