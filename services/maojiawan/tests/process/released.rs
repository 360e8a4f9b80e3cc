//! The present binary goes on from what a released one wrote: a data folder, and the same in PostgreSQL. How the fixtures
//! were made stands in `tests/fixtures/README.md`.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use ledger::testing::postgres::PostgresServer;
use serde_json::{Value, json};

use crate::{
    centre::Centre,
    support::{PASSWORD, write_password},
};

/// The commits whose binaries wrote a fixture.
const RELEASES: &[&str] = &["cde0f91"];

fn fixture(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(release)
}

fn unpack(from: &Path) -> Vec<u8> {
    zstd::decode_all(std::fs::File::open(from).unwrap()).unwrap()
}

struct Person<'c> {
    centre: &'c Centre,
    cookie: String,
}

impl<'c> Person<'c> {
    fn of(centre: &'c Centre, account: &str) -> Self {
        Self { centre, cookie: centre.log_in(account, PASSWORD) }
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.centre.ask(&format!("GET /api/v1{path} HTTP/1.1\r\ncookie: {}", self.cookie), "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A command that takes effect now.
    fn gives(&self, path: &str, body: &Value) -> Value {
        let head = format!(
            "POST /api/v1{path} HTTP/1.1\r\ncookie: {}\r\nidempotency-key: {path}\r\ncontent-type: application/json",
            self.cookie
        );
        let (status, answer) = self.centre.ask(&head, &body.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(status == 200 && answer["replayed"] == false, "{path}: {answer}");
        answer["refs"].clone()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Those fields of an incident that `seen.json` holds, beside the timeline.
fn facts(incident: &Value) -> Value {
    let tasks = list(&incident["tasks"]).iter().map(|t| {
        let said: Vec<_> = list(&t["feedback"]).iter().map(|f| f["text"]["value"].clone()).collect();
        json!([t["id"], t["unit"], t["state"], said])
    });
    let mut facts = json!({
        "text": incident["text"]["value"], "reporter": incident["reporter"]["name"], "tasks": tasks.collect::<Vec<_>>(),
    });
    for name in ["id", "code", "class", "stage", "mode", "level", "channel", "reported"] {
        facts[name] = incident[name].clone();
    }
    facts
}

/// The duty officer sees what there was to see in the release.
fn shows_the_same(centre: &Centre, seen: &Value) {
    let duty = Person::of(centre, "duty");
    let incidents = duty.get("/incidents?limit=200");
    let shown = list(&incidents["items"]);
    assert_eq!(shown.len(), list(&seen["incidents"]).len());
    for (now, then) in shown.iter().zip(list(&seen["incidents"])) {
        let mut then = then.clone();
        let timeline = then.as_object_mut().unwrap().remove("timeline").unwrap();
        assert_eq!(facts(now), then);
        let lines = duty.get(&format!("/incidents/{}/timeline", now["id"]));
        // What came since, such as a limit that ran out, stands behind it.
        let seqs: Vec<_> = list(&lines).iter().map(|l| l["seq"].clone()).take(list(&timeline).len()).collect();
        assert_eq!(json!(seqs), timeline, "timeline of {}", now["id"]);
    }
    let alarms = duty.get("/alarms?limit=200");
    let shown = list(&alarms["items"]).iter();
    let shown = shown.map(|a| json!([a["id"], a["kind"], a["mode"], a["raised"], a["incident"]]));
    assert_eq!(json!(shown.collect::<Vec<_>>()), seen["alarms"]);
    let messages = duty.get("/messages");
    let shown = list(&messages).iter().map(|m| json!([m["id"], m["inbound"], m["text"]["value"]]));
    assert_eq!(json!(shown.collect::<Vec<_>>()), seen["messages"]);
    let patrols = duty.get("/patrols");
    let shown: Vec<_> = list(&patrols).iter().map(|p| json!([p["id"], p["kind"], p["checked"]])).collect();
    assert!(!list(&seen["patrols"]).is_empty());
    assert!(list(&seen["patrols"]).iter().all(|p| shown.contains(p)), "{shown:?}");
    let devices = duty.get("/devices");
    let values = list(&devices).iter().filter(|d| !d["value"].is_null());
    let values = values.map(|d| (d["id"].as_str().unwrap().to_owned(), d["value"].clone()));
    assert_eq!(Value::Object(values.collect()), seen["values"]);
}

/// The number of the only incident at this stage of this class.
fn at(seen: &Value, stage: &str, class: &str) -> u64 {
    let mut found =
        list(&seen["incidents"]).iter().filter(|i| i["stage"] == stage && i["class"] == class && i["mode"] == "real");
    found.next().unwrap()["id"].as_u64().unwrap()
}

/// Cases that were begun under the release are handled on.
fn goes_on(centre: &Centre, seen: &Value) {
    let (duty, chief, home) =
        (Person::of(centre, "duty"), Person::of(centre, "chief"), Person::of(centre, "property1"));
    // What was answered reaches the gateway's own memory a moment later.
    let reaches = |incident: u64, stage: &str| {
        while duty.get(&format!("/incidents/{incident}"))["stage"] != stage {
            std::thread::yield_now();
        }
    };
    let new = at(seen, "reported", "street_light");
    duty.gives(&format!("/incidents/{new}/accept"), &json!({}));
    reaches(new, "accepted");
    let pending = at(seen, "pending_approval", "street_light");
    chief.gives(&format!("/incidents/{pending}/approve"), &json!({}));
    let targets = json!({ "targets": [{ "unit": "property", "lead": true }], "text": "换灯泡" });
    let task = duty.gives(&format!("/incidents/{pending}/push"), &targets)["tasks"][0].as_u64().unwrap();
    // Numbers go on too.
    assert_eq!(task, 6);
    let mut tasks = vec![task];
    tasks.extend(
        list(&seen["incidents"])
            .iter()
            .filter(|i| i["stage"] == "handling")
            .map(|i| i["tasks"][0][0].as_u64().unwrap()),
    );
    assert_eq!(tasks.len(), 3);
    home.gives(&format!("/tasks/{task}/acknowledge"), &json!({}));
    home.gives(&format!("/tasks/{task}/en-route"), &json!({}));
    home.gives(&format!("/tasks/{task}/on-scene"), &json!({}));
    for task in tasks {
        home.gives(&format!("/tasks/{task}/feedback"), &json!({ "result": "done", "text": "新版里办完" }));
    }
    reaches(pending, "awaiting_verification");
    // Raised under the release, judged now.
    let alarm = list(&seen["alarms"]).iter().find(|a| a[1] == "hydrant_pressure").unwrap()[0].clone();
    duty.gives(&format!("/alarms/{alarm}/confirm"), &json!({}));
    let opened = duty.gives(&format!("/alarms/{alarm}/judge"), &json!({ "verdict": "genuine" }));
    reaches(opened["incident"].as_u64().unwrap(), "accepted");
}

/// The fixture's data as the data folder of a centre that is to be started in `folder`.
fn lay(folder: &Path, from: &Path, databases: bool) -> Value {
    write_password(folder);
    let data = folder.join("centre-data");
    std::fs::create_dir(&data).unwrap();
    for name in ["master.key", "clock"] {
        std::fs::copy(from.join(name), data.join(name)).unwrap();
        // The centre takes no key that others may read, and git keeps no such modes.
        std::fs::set_permissions(data.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    if databases {
        for name in ["ledger.db", "telemetry.db"] {
            std::fs::write(data.join(name), unpack(&from.join(format!("{name}.zst")))).unwrap();
        }
    }
    serde_json::from_slice(&std::fs::read(from.join("seen.json")).unwrap()).unwrap()
}

fn lives(folder: &Path, more: &str, seen: &Value) {
    let centre = Centre::start_with(folder, more);
    shows_the_same(&centre, seen);
    goes_on(&centre, seen);
    let (code, _, log) = centre.end("-TERM");
    assert!(code == Some(0) && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_data_folder_of_each_release_goes_on() {
    for release in RELEASES {
        let folder = tempfile::tempdir().unwrap();
        let seen = lay(folder.path(), &fixture(release), true);
        lives(folder.path(), "", &seen);
    }
}

#[test]
fn a_postgresql_database_of_each_release_goes_on() {
    for release in RELEASES {
        let folder = tempfile::tempdir().unwrap();
        let seen = lay(folder.path(), &fixture(release), false);
        let server = PostgresServer::start();
        let url = server.url("postgres");
        let dump = folder.path().join("dump.sql");
        std::fs::write(&dump, unpack(&fixture(release).join("postgres.sql.zst"))).unwrap();
        let restored = Command::new("psql")
            .args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f"])
            .arg(&dump)
            .output()
            .unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        lives(folder.path(), &format!("[ledger]\nurl = \"{url}\"\n"), &seen);
    }
}
