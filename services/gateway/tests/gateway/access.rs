//! Who may reach and do what.

use std::collections::BTreeSet;

use domain::{
    account::Role,
    device::Voice,
    event::Mode,
    ids::{AlarmId, IncidentId, TaskId},
    incident::Channel,
    input::{Actor, Command, Input, Observation, PushTarget, Refs},
    site::{Place, Point},
    task::FeedbackResult,
    time::Millis,
};
use link::intake::Submission;

use crate::{
    exhibits::{jpeg, upload},
    house::{Ask, Feed, House, PEOPLE, Plan, hello, socket},
    media::Pictures,
};

/// Every operation of the OpenAPI document: method and path.
fn operations() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut all = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            all.insert((method.to_uppercase(), path.clone()));
        }
    }
    assert!(all.len() > 60);
    all
}

#[tokio::test]
async fn nothing_is_open_but_the_committed_list() {
    let house = House::new().await;
    for (method, path) in operations() {
        let answer = house.call(Ask::new(&method, &path.replace("{id}", "1"))).await;
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

#[test]
fn every_operation_names_its_right() {
    let names = |list: &[(&str, &str)]| list.iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
    let open: BTreeSet<_> = names(&gateway::OPEN.iter().map(|(m, p, _)| (*m, *p)).collect::<Vec<_>>());
    let guarded: BTreeSet<_> = names(&gateway::OPERATIONS.iter().map(|(m, p, _)| (*m, *p)).collect::<Vec<_>>());
    assert_eq!(guarded.len(), gateway::OPERATIONS.len(), "an operation stands there twice");
    assert!(guarded.is_disjoint(&open));
    let document: BTreeSet<_> = operations().into_iter().filter(|o| !open.contains(o)).collect();
    assert_eq!(guarded, document);
}

const EVERYBODY: &[Role] = &Role::ALL;
const CENTRE: &[Role] = &[Role::DutyOfficer, Role::Dispatcher, Role::ShiftChief];
const SCREENS: &[Role] = &[Role::DutyOfficer, Role::Dispatcher, Role::ShiftChief, Role::WallDisplay];
const INTAKE: &[Role] = &[Role::DutyOfficer, Role::Dispatcher, Role::ShiftChief, Role::GridManager];
const PEOPLE_AT_WORK: &[Role] =
    &[Role::DutyOfficer, Role::Dispatcher, Role::ShiftChief, Role::DepartmentClerk, Role::GridManager];
const CHIEF: &[Role] = &[Role::ShiftChief];
const UNITS: &[Role] = &[Role::DepartmentClerk, Role::GridManager];

/// How far an incident has come.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum At {
    Reported,
    Accepted,
    Filed,
    Approved,
    Pushed,
    Acknowledged,
    EnRoute,
    OnScene,
    Done,
    Verified,
    Closed,
}

/// What a request is about, made anew before it.
#[derive(Clone, Copy)]
enum About {
    Nothing,
    Incident(At),
    /// A task of the caller's unit, or of the fire brigade.
    Task(At),
    /// An incident whose task was declined, which asks for attention.
    Declined,
    Alarm,
    /// A message without a place.
    Message,
    Confirmed,
    Shelved,
    /// A picture of an incident.
    Blob,
    Camera,
    Sensor,
    /// A sensor with a password.
    Credential,
}
use About::{Alarm, Blob, Camera, Confirmed, Credential, Declined, Incident, Message, Nothing, Sensor, Shelved, Task};

/// A method with a path or the rest of one, who may, what it is about, and a body with which it succeeds. `OTHER` stands for
/// the number of another incident.
type Case = (&'static str, &'static str, &'static [Role], About, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("GET", "/session", EVERYBODY, Nothing, ""),
    ("DELETE", "/session", EVERYBODY, Nothing, ""),
    ("GET", "/site", EVERYBODY, Nothing, ""),
    ("GET", "/places?q=1", EVERYBODY, Nothing, ""),
    ("GET", "/feed", EVERYBODY, Nothing, ""),
    ("GET", "/incidents", EVERYBODY, Nothing, ""),
    ("GET", "/incidents/{id}", EVERYBODY, Incident(At::Pushed), ""),
    ("GET", "/incidents/{id}/timeline", EVERYBODY, Incident(At::Pushed), ""),
    ("GET", "/alarms", EVERYBODY, Nothing, ""),
    ("GET", "/tasks?unit=fire", EVERYBODY, Nothing, ""),
    ("GET", "/blobs/{id}", EVERYBODY, Blob, ""),
    ("GET", "/devices", SCREENS, Nothing, ""),
    ("GET", "/devices/chattering", SCREENS, Nothing, ""),
    ("GET", "/devices/strangers", SCREENS, Nothing, ""),
    ("GET", "/devices/{id}/history", SCREENS, Sensor, ""),
    ("GET", "/units", SCREENS, Nothing, ""),
    ("GET", "/departments", SCREENS, Nothing, ""),
    ("GET", "/patrols", SCREENS, Nothing, ""),
    ("GET", "/duty", SCREENS, Nothing, ""),
    ("GET", "/figures", SCREENS, Nothing, ""),
    ("GET", "/media", SCREENS, Nothing, ""),
    ("GET", "/cameras", SCREENS, Nothing, ""),
    ("GET", "/cameras/{id}/still", SCREENS, Camera, ""),
    ("GET", "/messages", CENTRE, Nothing, ""),
    ("GET", "/devices/credentials", CENTRE, Nothing, ""),
    ("GET", "/duplicates?class=fire&building=b1", INTAKE, Nothing, ""),
    ("POST", "/reporters/lookup", CENTRE, Nothing, r#"{"phone":"13800002107"}"#),
    ("POST", "/incidents", INTAKE, Nothing, r#"{"class":"noise","place":{"building":"b1"},"channel":"call","text":"吵"}"#),
    ("POST", "/incidents/{id}/accept", CENTRE, Incident(At::Reported), "{}"),
    ("POST", "/incidents/{id}/reject", CENTRE, Incident(At::Reported), r#"{"reason":"不属本地"}"#),
    ("POST", "/incidents/{id}/merge", CENTRE, Incident(At::Reported), r#"{"into":OTHER}"#),
    ("POST", "/incidents/{id}/file", CENTRE, Incident(At::Accepted), "{}"),
    ("POST", "/incidents/{id}/approve", CHIEF, Incident(At::Filed), "{}"),
    ("POST", "/incidents/{id}/refuse-approval", CHIEF, Incident(At::Filed), r#"{"reason":"级别不当"}"#),
    ("POST", "/incidents/{id}/push", CENTRE, Incident(At::Approved), r#"{"targets":[{"unit":"fire","lead":true}]}"#),
    ("POST", "/incidents/{id}/attend", CENTRE, Declined, r#"{"text":"另派"}"#),
    ("POST", "/incidents/{id}/note", CENTRE, Incident(At::Reported), r#"{"text":"记一笔"}"#),
    ("POST", "/incidents/{id}/place", CENTRE, Incident(At::Reported), r#"{"place":{"building":"b2"}}"#),
    ("POST", "/incidents/{id}/verify", CENTRE, Incident(At::Done), "{}"),
    ("POST", "/incidents/{id}/close", CENTRE, Incident(At::Verified), "{}"),
    ("POST", "/incidents/{id}/reopen", CENTRE, Incident(At::Closed), r#"{"reason":"又发生"}"#),
    ("POST", "/incidents/{id}/exhibits", CENTRE, Incident(At::Reported), r#"{"camera":"c001","kind":"still"}"#),
    ("POST", "/photos?incident=OTHER", PEOPLE_AT_WORK, Nothing, "a photo"),
    ("POST", "/alarms/{id}/confirm", CENTRE, Alarm, "{}"),
    ("POST", "/alarms/{id}/place", CENTRE, Alarm, r#"{"place":{"building":"b2"}}"#),
    ("POST", "/messages/{id}/place", CENTRE, Message, r#"{"place":{"building":"b2"}}"#),
    ("POST", "/alarms/{id}/judge", CENTRE, Confirmed, r#"{"verdict":"false"}"#),
    ("POST", "/alarms/{id}/shelve", CENTRE, Alarm, r#"{"minutes":5,"reason":"检修"}"#),
    ("POST", "/alarms/{id}/unshelve", CENTRE, Shelved, "{}"),
    ("POST", "/tasks/{id}/receipt", UNITS, Task(At::Pushed), "{}"),
    ("POST", "/tasks/{id}/acknowledge", UNITS, Task(At::Pushed), "{}"),
    ("POST", "/tasks/{id}/en-route", UNITS, Task(At::Acknowledged), "{}"),
    ("POST", "/tasks/{id}/on-scene", UNITS, Task(At::EnRoute), "{}"),
    ("POST", "/tasks/{id}/feedback", UNITS, Task(At::OnScene), r#"{"result":"done","text":"已处置"}"#),
    ("POST", "/tasks/{id}/decline", UNITS, Task(At::Pushed), r#"{"reason":"不属本单位"}"#),
    ("POST", "/tasks/{id}/recall", CENTRE, Task(At::Pushed), "{}"),
    ("POST", "/tasks/{id}/reassign", CENTRE, Task(At::Pushed), r#"{"unit":"water"}"#),
    ("POST", "/tasks/{id}/rework", CENTRE, Task(At::Done), r#"{"reason":"没修好"}"#),
    ("POST", "/duty", CHIEF, Nothing, r#"{"post":"chief","account":"chief"}"#),
    ("POST", "/devices/{id}/credential", CHIEF, Sensor, "{}"),
    ("POST", "/departments/preview", CHIEF, Nothing, r#"{"unit":"fire","kind":"hydrants","sample":"[{}]"}"#),
    ("DELETE", "/devices/{id}/credential", CHIEF, Credential, ""),
    ("GET", "/demo/happenings", CENTRE, Nothing, ""),
    ("POST", "/demo/happenings", CENTRE, Nothing, r#"{"kind":"fire"}"#),
    ("DELETE", "/demo/happenings", CENTRE, Nothing, ""),
];

/// A centre with everything that a request may be about.
struct Scene {
    house: House,
    /// As the wall sees it; what stands there, the gateway knows.
    feed: Feed,
    at: u64,
    alarms: u32,
    sessions: Vec<String>,
}

impl Scene {
    async fn new() -> Self {
        let demo = gateway::DemoConfig {
            simulator_url: crate::demo::simulator().await,
            token: "s3cret".to_owned(),
            accounts: Vec::new(),
        };
        let house = House::with(Plan { media: Some(Pictures::new()), demo: Some(demo), ..Plan::default() }).await;
        let mut sessions = Vec::new();
        for (account, ..) in PEOPLE {
            sessions.push(house.log_in(account).await);
        }
        let wall = PEOPLE.iter().position(|p| p.1 == Role::WallDisplay).unwrap();
        let mut feed = Feed::open(&house, &sessions[wall], hello(0, 0, false)).await;
        let at = feed.snapshot().await.seq;
        Self { house, feed, at, alarms: 0, sessions }
    }

    async fn put(&mut self, input: Input) -> Refs {
        let done = self.house.intake.submit(Submission::keyless(input)).await.unwrap();
        while self.at < done.position.seq {
            self.at = self.feed.frame().await.upto;
        }
        done.refs
    }

    async fn give(&mut self, command: Command) -> Refs {
        self.put(Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }).await
    }

    /// An incident that has come so far, and its task.
    async fn incident(&mut self, upto: At, unit: &str) -> (IncidentId, TaskId) {
        let site = crate::site::site();
        let place = Place::about("g1".into(), site.buildings[0].center);
        let (class, level) = ("noise".into(), None);
        let report =
            Command::Report { class, level, place, channel: Channel::Call, reporter: None, text: None, into: None };
        let id = self.give(report).await.incident.unwrap();
        let mut task = TaskId(0);
        let target = || PushTarget { unit: unit.into(), lead: true, mandatory: true, arrive: None };
        let steps = [
            At::Accepted,
            At::Filed,
            At::Approved,
            At::Pushed,
            At::Acknowledged,
            At::EnRoute,
            At::OnScene,
            At::Done,
            At::Verified,
            At::Closed,
        ];
        for step in steps.into_iter().filter(|s| *s <= upto) {
            let command = match step {
                At::Reported => continue,
                At::Accepted => Command::Accept(id),
                At::Filed => Command::File { incident: id, class: None, level: None },
                At::Approved => Command::Approve(id),
                At::Pushed => Command::Push { incident: id, targets: vec![target()], text: None },
                At::Acknowledged => Command::Acknowledge(task),
                At::EnRoute => Command::EnRoute(task),
                At::OnScene => Command::OnScene(task),
                At::Done => {
                    let (result, text) = (FeedbackResult::Done, Some("已处置".to_owned()));
                    Command::Feedback { task, result, text, photos: Vec::new() }
                }
                At::Verified => Command::Verify { incident: id, text: None },
                At::Closed => Command::Close { incident: id, text: None },
            };
            let refs = self.give(command).await;
            task = refs.tasks.first().copied().unwrap_or(task);
        }
        (id, task)
    }

    async fn alarm(&mut self) -> AlarmId {
        self.alarms += 1;
        let place = Place::about("g2".into(), Point { x: f64::from(self.alarms) * 1_000.0, y: 0.0 });
        let (rule, kind, key) = ("d".into(), "smoke".into(), self.alarms.to_string());
        let observation = Observation::RuleHit { rule, kind, key, place, text: None };
        self.put(Input::Observe { mode: Mode::Real, observation }).await.alarm.unwrap()
    }

    /// What a request is about; the name of it in the path.
    async fn make(&mut self, about: About, unit: &str) -> String {
        match about {
            Nothing => String::new(),
            Incident(at) => self.incident(at, unit).await.0.to_string(),
            Task(at) => self.incident(at, unit).await.1.to_string(),
            Declined => {
                let (id, task) = self.incident(At::Pushed, unit).await;
                self.give(Command::Decline { task, reason: "不属本单位".to_owned() }).await;
                id.to_string()
            }
            Alarm => self.alarm().await.to_string(),
            Message => {
                self.alarms += 1;
                let (from, text) = (format!("1990000{:04}", self.alarms), format!("路灯不亮 {}", self.alarms));
                let observation = Observation::MessageIn { from, person: None, text, place: None };
                self.put(Input::Observe { mode: Mode::Real, observation }).await.message.unwrap().to_string()
            }
            Confirmed => {
                let alarm = self.alarm().await;
                self.give(Command::ConfirmAlarm(alarm)).await;
                alarm.to_string()
            }
            Shelved => {
                let alarm = self.alarm().await;
                let span = Millis::minutes(5);
                self.give(Command::ShelveAlarm { alarm, span, reason: "检修".to_owned() }).await;
                alarm.to_string()
            }
            Blob => {
                let (id, _) = self.incident(At::Pushed, unit).await;
                let path = format!("/api/v1/photos?incident={id}");
                let (duty, key) = (&self.sessions[0], id.to_string());
                let stored = self.house.call(upload(duty, &path, &key, jpeg())).await.json();
                stored["blob"].as_str().unwrap().to_owned()
            }
            Camera => "c001".to_owned(),
            Sensor => "smoke-b1".to_owned(),
            Credential => {
                let hash = "$7$101$c2FsdHNhbHQ=$a2V5a2V5a2V5".to_owned();
                let (device, voice, behind) = ("smoke-b1".into(), Voice::Own, Vec::new());
                self.give(Command::IssueCredential { device, voice, behind, hash }).await;
                "smoke-b1".to_owned()
            }
        }
    }

    /// The request of a case by one person; status and code.
    async fn ask(&self, case: &Case, session: &str, path: &str, body: &str) -> (u16, String) {
        let protocol = match case.1 {
            "/feed" => Some("maojiawan.feed.v1"),
            "/media" => Some("maojiawan.media.v1"),
            _ => None,
        };
        if let Some(protocol) = protocol {
            let origin = format!("http://{}", self.house.address);
            let opened = socket(&self.house, path, session, protocol, Some(&origin), None).await;
            return (opened.err().unwrap_or(101), String::new());
        }
        let key = hex::encode(rand::random::<[u8; 8]>());
        let photo = case.1.starts_with("/photos");
        let ask = if photo {
            upload(session, path, &key, jpeg())
        } else {
            let body = body.to_owned().into();
            Ask { session: Some(session), key: Some(&key), body, ..Ask::new(case.0, path) }
        };
        let answer = self.house.call(ask).await;
        let code = if answer.status < 300 { String::new() } else { answer.code() };
        (answer.status, code)
    }
}

#[tokio::test]
async fn each_operation_is_for_its_roles() {
    let mut scene = Scene::new().await;
    let mut tried = BTreeSet::new();
    for case in CASES {
        let (method, path, roles, about, body) = *case;
        let pattern = path.split('?').next().unwrap();
        tried.insert((method.to_owned(), format!("/api/v1{pattern}")));
        for (n, (account, role, unit, _)) in PEOPLE.iter().enumerate().filter(|(_, p)| p.0 != "water1") {
            if !roles.contains(role) {
                continue;
            }
            let unit = unit.unwrap_or("fire");
            let other = scene.incident(At::Pushed, unit).await.0.to_string();
            let path =
                format!("/api/v1{}", path.replace("{id}", &scene.make(about, unit).await).replace("OTHER", &other));
            let body = body.replace("OTHER", &other);
            let head = scene.house.store.head().await.unwrap();
            // The very request that will succeed is refused to all others, and so is one that is nonsense.
            for (m, (stranger, ..)) in PEOPLE.iter().enumerate().filter(|(_, p)| !roles.contains(&p.1)) {
                let refused = scene.ask(case, &scene.sessions[m], &path, &body).await;
                assert_eq!(refused.0, 403, "{stranger} {method} {path}: {refused:?}");
                if method == "POST" {
                    let nonsense = Ask {
                        session: Some(&scene.sessions[m]),
                        content_type: Some("text/plain"),
                        body: "{".into(),
                        ..Ask::new(method, &path)
                    };
                    let answer = scene.house.call(nonsense).await;
                    assert_eq!(
                        (answer.status, answer.code().as_str()),
                        (403, "forbidden"),
                        "{stranger} {method} {path}"
                    );
                }
            }
            assert_eq!(scene.house.store.head().await.unwrap(), head, "{method} {path}");
            let fresh = if (method, pattern) == ("DELETE", "/session") {
                scene.house.log_in(account).await
            } else {
                scene.sessions[n].clone()
            };
            let done = scene.ask(case, &fresh, &path, &body).await;
            assert!(matches!(done.0, 101 | 200 | 201 | 204), "{account} {method} {path}: {done:?}");
        }
    }
    let open: BTreeSet<_> = gateway::OPEN.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    let all: BTreeSet<_> = operations().into_iter().filter(|o| !open.contains(o)).collect();
    assert_eq!(tried, all);
}

#[tokio::test]
async fn a_unit_reaches_its_own_tasks_only() {
    let mut scene = Scene::new().await;
    let (_, task) = scene.incident(At::Pushed, "fire").await;
    let of = |account: &str| PEOPLE.iter().position(|p| p.0 == account).unwrap();
    for account in ["water1", "grid1"] {
        for step in ["receipt", "acknowledge", "en-route", "on-scene", "feedback", "decline"] {
            // Nothing is told of it, not even that the request is wrong.
            for body in ["{}", "{"] {
                let path = format!("/api/v1/tasks/{task}/{step}");
                let answer = scene.house.post(&path, &scene.sessions[of(account)], body).await;
                assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{account} {step} {body}");
            }
        }
    }
    let grid = &scene.sessions[of("grid1")];
    let report = |building: &str| serde_json::json!({ "class": "noise", "place": { "building": building }, "channel": "grid", "text": "吵" });
    for (building, status) in [("b1", 200), ("b2", 403)] {
        let answer = scene.house.post("/api/v1/incidents", grid, &report(building).to_string()).await;
        assert_eq!(answer.status, status, "{building}: {}", answer.text());
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
        "denied": crate::house::NOW - 9_000, "sources": [{
            "id": "push", "last_ms": crate::house::NOW - 5_000, "kept": 3, "set_aside": 1, "problem": null,
            "rows": ["第 2 行“水压”：不是数字"],
        }],
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
async fn a_mapping_is_tried_on_a_sample() {
    let house = House::new().await;
    let chief = house.log_in("chief").await;
    let path = "/api/v1/departments/preview";
    let answer = house.post(path, &chief, r#"{"unit":"fire","kind":"hydrants","sample":"[{}]"}"#).await;
    let aside = serde_json::json!([{
        "row": 1, "field": "hydrants", "column": null, "value": "[{}]", "why": "第 1 行：缺少值",
    }]);
    assert_eq!((answer.status, &answer.json()["aside"]), (200, &aside));
    for (body, field) in [
        (r#"{"unit":"water","sample":"[]"}"#, "unit"),
        (r#"{"unit":"fire"}"#, "sample"),
        (r#"{"unit":"fire","sample":"[]","fields":{"door":{"as":"door"}}}"#, "at"),
    ] {
        let answer = house.post(path, &chief, body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.json()["field"].as_str().unwrap().contains(field), "{body}: {}", answer.text());
    }
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
