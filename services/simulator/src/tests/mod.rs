//! The running simulator against a stand-in for the centre: a real HTTP server on a free port, and a real Mosquitto.
//! Delays of people are a thousandth of life; nothing here waits for a fixed time or measures any.
#![allow(clippy::unwrap_used)]

mod broker;
mod centre;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{ids::CameraId, site::Site};
use reqwest::Method;
use runtime::{Clock, ManualClock};
use serde_json::{Value, json};

use self::centre::{Call, Centre};
use crate::{
    config::{Broker, Config, Secret},
    departments::Step,
    faults::{CameraFault, CameraFaults, CameraRefusal, NoCameras},
    happenings::{Kind, Request},
    run::Simulator,
    sign::{KEY, SIGNATURE, TIMESTAMP, sign},
};

const TOKEN: &str = "panel-token-of-the-test";
const SECRET: &str = "0123456789abcdef";
/// No test waits longer; only a broken build does.
const LIMIT: Duration = Duration::from_secs(60);

fn site() -> Arc<Site> {
    site::built_in()
}

fn config(centre: &Centre) -> Config {
    let site = site();
    let departments = site.units.iter().filter(|u| u.kind == domain::site::UnitKind::Department);
    Config {
        seed: 1,
        listen: "127.0.0.1:0".parse().unwrap(),
        centre: centre.url(),
        broker: None,
        token: Secret::new(TOKEN),
        departments: departments.map(|u| (u.id.to_string(), Secret::new(SECRET))).collect(),
        sms_secret: Secret::new(SECRET),
        sms_number: "96885".to_owned(),
        auto: Vec::new(),
        pace: 0.001,
        ordinary_minutes: 0.0,
        records_minutes: 0.0,
        reading_seconds: 3_600.0,
    }
}

/// A simulator, its clock and a client.
struct Setup {
    simulator: Simulator,
    clock: ManualClock,
    client: reqwest::Client,
}

impl Setup {
    async fn new(config: Config) -> Self {
        Self::with_cameras(config, Arc::new(NoCameras)).await
    }

    async fn with_cameras(config: Config, cameras: Arc<dyn CameraFaults>) -> Self {
        let clock = ManualClock::at(1_764_000_000_000);
        let site = site();
        let simulator = Simulator::start(config, site, cameras, Arc::new(clock.clone())).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        Self { simulator, clock, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.simulator.address())
    }

    /// A call of the centre: status and body.
    async fn signed(&self, method: Method, path: &str, key: &str, body: &str) -> (u16, Value) {
        let now = self.clock.now_ms() / 1_000;
        let request = self
            .client
            .request(method, self.url(path))
            .header(SIGNATURE, sign(&Secret::new(SECRET), now, key, body.as_bytes()))
            .header(TIMESTAMP, now.to_string())
            .header(KEY, key)
            .body(body.to_owned());
        Self::answer(request).await
    }

    /// A call of the panel.
    async fn panel(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, self.url(path)).bearer_auth(TOKEN).body(body.to_string());
        Self::answer(request).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_push_is_taken_once_and_a_person_walks_it_to_the_end() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let push = json!({"task": 71, "class": "fire", "place_text": "12栋2单元6层"}).to_string();
    let path = "/departments/fire/tasks";
    let (status, first) = setup.signed(Method::POST, path, "k1", &push).await;
    assert_eq!(status, 201, "{first}");
    assert!(first["external_number"].as_str().unwrap().starts_with("XF-"));
    let (status, again) = setup.signed(Method::POST, path, "k1", &push).await;
    assert_eq!((status, &again), (200, &first));
    let (status, other) = setup.signed(Method::POST, path, "k1", r#"{"task":72}"#).await;
    assert_eq!((status, other["code"].as_str()), (422, Some("key_reused")));
    let (status, none) = setup.signed(Method::POST, path, "k2", "{}").await;
    assert_eq!((status, none["code"].as_str()), (422, Some("task_missing")));

    for step in Step::WAY {
        let body = json!({"task": 71, "step": step, "text": "好"});
        assert_eq!(setup.panel(Method::POST, "/departments/fire/steps", &body).await.0, 202);
        let call = centre.next().await;
        assert_eq!((call.path.as_str(), &call.body["step"]), ("/api/v1/exchange/fire/inbound", &json!(step)));
        assert_eq!(call.body["external_number"], first["external_number"]);
        assert_eq!((&call.body["type"], &call.body["task"]), (&json!("task_update"), &json!(71)));
        assert!(call.verified(setup.clock.now_ms()), "{call:?}");
    }
    let late = json!({"task": 71, "step": "acknowledge"});
    assert_eq!(setup.panel(Method::POST, "/departments/fire/steps", &late).await.0, 409);
    setup.simulator.stop().await;
    assert_eq!(centre.waiting(), 0);
}

#[tokio::test]
async fn a_department_on_auto_works_by_itself_until_the_task_is_recalled() {
    let centre = Centre::start().await;
    let mut config = config(&centre);
    config.auto = vec!["police".to_owned()];
    let setup = Setup::new(config).await;
    let path = "/departments/police/tasks";
    assert_eq!(setup.signed(Method::POST, path, "k1", r#"{"task":"t-9"}"#).await.0, 201);
    let mut keys = std::collections::BTreeSet::new();
    for step in Step::WAY {
        let call = centre.next().await;
        assert_eq!((&call.body["task"], &call.body["step"]), (&json!("t-9"), &json!(step)));
        keys.insert(call.key);
    }
    assert_eq!(keys.len(), 4);
    // The next task is taken back at once: whatever steps it had taken, none follows the recall.
    assert_eq!(setup.panel(Method::PUT, "/departments/police", &json!({"auto": false})).await.0, 200);
    assert_eq!(setup.signed(Method::POST, path, "k2", r#"{"task":10}"#).await.0, 201);
    assert_eq!(setup.signed(Method::POST, path, "k3", r#"{"type":"recall","task":10}"#).await.0, 200);
    let step = json!({"task": 10, "step": "acknowledge"});
    assert_eq!(setup.panel(Method::POST, "/departments/police/steps", &step).await.0, 409);
    setup.simulator.stop().await;
    assert_eq!(centre.waiting(), 0);
}

#[tokio::test]
async fn unsigned_stale_and_foreign_calls_change_nothing() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let unsigned = setup.client.post(setup.url("/departments/fire/tasks")).body(r#"{"task":1}"#);
    assert_eq!(Setup::answer(unsigned).await.1["code"], json!("signature_invalid"));
    let now = setup.clock.now_ms() / 1_000;
    for (at, secret) in [(now - 301, SECRET), (now, "another secret...")] {
        let request = setup
            .client
            .post(setup.url("/departments/fire/tasks"))
            .header(SIGNATURE, sign(&Secret::new(secret), at, "k", b"{\"task\":1}"))
            .header(TIMESTAMP, at.to_string())
            .header(KEY, "k")
            .body("{\"task\":1}");
        assert_eq!(Setup::answer(request).await.0, 401);
    }
    for path in ["/happenings", "/status", "/sms/messages", "/departments/fire/tasks"] {
        let request = setup.client.get(setup.url(path)).bearer_auth("wrong");
        assert_eq!(Setup::answer(request).await.0, 401, "{path}");
    }
    assert_eq!(setup.signed(Method::POST, "/departments/weather/tasks", "k", r#"{"task":1}"#).await.0, 404);
    let (_, tasks) = setup.panel(Method::GET, "/departments/fire/tasks", &Value::Null).await;
    assert_eq!(tasks["tasks"], json!([]));
    let large = "x".repeat(300_000);
    assert_eq!(setup.signed(Method::POST, "/departments/fire/tasks", "k", &large).await.0, 413);
    setup.simulator.stop().await;
}

#[tokio::test]
async fn a_message_outlives_an_outage_of_the_centre_under_one_key() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    centre.fail_next(2);
    setup.simulator.world().happen(&Request::at(Kind::WaterBurst, 23)).unwrap();
    let calls = [centre.next().await, centre.next().await, centre.next().await];
    assert!(calls.iter().all(|c| c.key == calls[0].key && c.body == calls[0].body), "{calls:?}");
    let call = &calls[2];
    assert_eq!(call.path, "/api/v1/exchange/sms/inbound");
    assert!(call.verified(setup.clock.now_ms()));
    assert_eq!(call.body["to"], json!("96885"));
    assert!(call.body["from"].as_str().unwrap().starts_with("1990000"));
    assert!(call.body["text"].as_str().unwrap().starts_with("23栋"));
    assert_eq!(call.body["at"], json!(setup.clock.now_ms()));
    let (_, sms) = setup.panel(Method::GET, "/sms/messages", &Value::Null).await;
    assert_eq!(sms["messages"][0]["id"], call.body["id"]);
    setup.simulator.stop().await;
}

#[tokio::test]
async fn the_centre_sends_messages_once() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let body = json!({"to": "19900001234", "text": "已受理，编号 3021"}).to_string();
    let first = setup.signed(Method::POST, "/sms/send", "m1", &body).await;
    assert_eq!(first.0, 200);
    assert_eq!(setup.signed(Method::POST, "/sms/send", "m1", &body).await, first);
    let other = json!({"to": "19900001234", "text": "别的"}).to_string();
    assert_eq!(setup.signed(Method::POST, "/sms/send", "m1", &other).await.0, 422);
    let messages = setup.simulator.world().phones.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].outgoing && messages[0].to == "19900001234");
    setup.simulator.stop().await;
}

#[tokio::test]
async fn power_in_an_empty_flat_shows_in_two_departments_pushed_and_pulled() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let body = json!({"kind": "empty_flat_power", "building": 12});
    let (status, active) = setup.panel(Method::POST, "/happenings", &body).await;
    assert_eq!(status, 202, "{active}");
    let mut calls = [centre.next().await, centre.next().await];
    calls.sort_by(|a, b| b.path.cmp(&a.path));
    let row = |c: &Call| c.body["records"][0].clone();
    let (housing, energy) = (row(&calls[0]), row(&calls[1]));
    assert_eq!(housing["status"], json!("empty"));
    assert!(energy["kwh_week"].as_f64().unwrap() >= 70.0);
    assert_eq!((&housing["building"], &housing["flat"]), (&energy["building"], &energy["flat"]));
    assert_eq!(housing["place_text"], active["place"]);
    let (status, pulled) = setup.signed(Method::GET, "/departments/housing/records?since=0", "", "").await;
    assert_eq!((status, &pulled["records"][0]), (200, &housing));
    let path = format!("/departments/housing/records?since={}", pulled["next"]);
    assert_eq!(setup.signed(Method::GET, &path, "", "").await.1["records"], json!([]));
    setup.simulator.stop().await;
}

#[tokio::test]
async fn a_department_that_is_down_says_so_until_faults_are_cleared() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let body = json!({"kind": "department_down", "department": "energy", "minutes": 240});
    assert_eq!(setup.panel(Method::POST, "/happenings", &body).await.0, 202);
    // The deed is done by the agenda: ask until it shows.
    let push = || setup.signed(Method::POST, "/departments/energy/tasks", "k", r#"{"task":5}"#);
    tokio::time::timeout(LIMIT, async { while push().await.0 != 503 {} }).await.unwrap();
    assert_eq!(setup.panel(Method::DELETE, "/faults", &Value::Null).await.0, 204);
    assert!(matches!(push().await.0, 200 | 201));
    let (_, list) = setup.panel(Method::GET, "/happenings", &Value::Null).await;
    assert_eq!(list["active"], json!([]));
    assert_eq!(list["kinds"].as_array().unwrap().len(), Kind::ALL.len());
    let unknown = setup.panel(Method::POST, "/happenings", &json!({"kind": "meteor"})).await;
    assert_eq!((unknown.0, unknown.1["code"].as_str()), (422, Some("kind_unknown")));
    let no_cameras = setup.panel(Method::POST, "/happenings", &json!({"kind": "camera_dead"})).await;
    assert_eq!((no_cameras.0, no_cameras.1["code"].as_str()), (409, Some("no_cameras")));
    setup.simulator.stop().await;
}

/// Cameras that remember what was asked of them.
#[derive(Default)]
struct Told(Mutex<Vec<String>>, tokio::sync::Notify);

impl Told {
    fn note(&self, text: String) -> Result<(), CameraRefusal> {
        self.0.lock().unwrap().push(text);
        self.1.notify_one();
        Ok(())
    }

    async fn count(&self, n: usize) -> Vec<String> {
        let enough = async {
            while self.0.lock().unwrap().len() < n {
                self.1.notified().await;
            }
        };
        tokio::time::timeout(LIMIT, enough).await.unwrap();
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl CameraFaults for Told {
    async fn set_fault(&self, camera: &CameraId, fault: Option<CameraFault>) -> Result<(), CameraRefusal> {
        self.note(format!("{camera} {fault:?}"))
    }
    async fn set_all(&self, fault: Option<CameraFault>) -> Result<(), CameraRefusal> {
        self.note(format!("all {fault:?}"))
    }
    async fn set_fire(&self, camera: &CameraId, burning: bool) -> Result<(), CameraRefusal> {
        self.note(format!("{camera} fire {burning}"))
    }
}

#[tokio::test]
async fn cameras_see_the_fire_and_their_own_scene_after_it() {
    let centre = Centre::start().await;
    let cameras = Arc::new(Told::default());
    let setup = Setup::with_cameras(config(&centre), cameras.clone()).await;
    let south = site().cameras.iter().find(|c| c.name.zh == "12栋南侧路口").unwrap().id.clone();
    // Ten minutes of life are 0.6 s here.
    setup.simulator.world().happen(&Request::at(Kind::Fire, 12)).unwrap();
    assert_eq!(cameras.count(2).await, [format!("{south} fire true"), format!("{south} fire false")]);
    let call = centre.next().await;
    assert!(call.body["text"].as_str().unwrap().contains("冒烟"));
    assert_eq!(setup.simulator.world().active().len(), 0);
    let frozen = Request { camera: Some(208), minutes: Some(240.0), ..Request::at(Kind::CameraFrozen, 1) };
    setup.simulator.world().happen(&frozen).unwrap();
    assert_eq!(cameras.count(3).await[2], "c208 Some(Frozen)");
    setup.simulator.world().clear().await;
    assert_eq!(cameras.count(5).await[3..], ["c208 None", "all None"]);
    setup.simulator.stop().await;
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let centre = Centre::start().await;
    let setup = Setup::new(config(&centre)).await;
    let world = setup.simulator.world();
    let long = Request { minutes: Some(240.0), ..Request::at(Kind::LiftFault, 3) };
    let refused = (0..200).find_map(|_| world.happen(&long).err());
    assert_eq!(refused.map(|r| r.code()), Some("busy"));
    world.clear().await;
    assert_eq!((world.active().len(), world.waiting()), (0, 0));
    assert!(world.happen(&long).is_ok());
    setup.simulator.stop().await;
}

#[tokio::test]
async fn ordinary_life_and_records_of_every_department_go_on_by_themselves() {
    let centre = Centre::start().await;
    let mut config = config(&centre);
    (config.ordinary_minutes, config.records_minutes) = (1.0, 1.0);
    let setup = Setup::new(config).await;
    let (mut recorded, mut others) = (std::collections::BTreeSet::new(), 0);
    while recorded.len() < 8 || others < 3 {
        let call = centre.next().await;
        if call.body["type"] == json!("records") && call.body["records"].as_array().unwrap().len() >= 4 {
            recorded.insert(call.path);
        } else {
            others += 1;
        }
    }
    setup.simulator.stop().await;
}

#[test]
fn bad_configurations_are_refused_and_secrets_do_not_print() {
    let good = |change: fn(&mut Config)| {
        let mut config = Config {
            seed: 1,
            listen: "127.0.0.1:0".parse().unwrap(),
            centre: "http://127.0.0.1:1".to_owned(),
            broker: Some(Broker { host: "h".into(), port: 1, user: None, password: Some(Secret::new("hush-hush")) }),
            token: Secret::new(TOKEN),
            departments: [("fire".to_owned(), Secret::new(SECRET))].into(),
            sms_secret: Secret::new(SECRET),
            sms_number: "96885".to_owned(),
            auto: Vec::new(),
            pace: 1.0,
            ordinary_minutes: 0.0,
            records_minutes: 0.0,
            reading_seconds: 45.0,
        };
        change(&mut config);
        config
    };
    let fine = good(|_| {});
    assert_eq!(fine.check(), Ok(()));
    let text = format!("{fine:?}");
    assert!(![TOKEN, SECRET, "hush-hush"].iter().any(|s| text.contains(s)), "{text}");
    type Spoil = fn(&mut Config);
    let bad: [(Spoil, &str); 7] = [
        (|c| c.listen = "0.0.0.0:1".parse().unwrap(), "listen"),
        (|c| c.token = Secret::new("short"), "token"),
        (|c| c.departments = [("fire".to_owned(), Secret::new("short"))].into(), "departments"),
        (|c| c.centre = "https://x".to_owned(), "centre"),
        (|c| c.pace = 0.0, "pace"),
        (|c| c.reading_seconds = 0.0, "reading_seconds"),
        (|c| c.ordinary_minutes = -1.0, "ordinary_minutes"),
    ];
    for (change, key) in bad {
        assert_eq!(good(change).check().map_err(|e| e.key), Err(key));
    }
}
