//! A core and two gateways as processes, on a real PostgreSQL and a real Redis.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

use ledger::testing::postgres::PostgresServer;
use runtime::{Clock as _, SystemClock};
use serde_json::Value;
use simulator::{config::Secret, sign};

use crate::{
    centre::Centre,
    support::{PASSWORD, PROGRAM, Running, free_port, nodes_config, write_password},
};

const SECRET: &str = "0123456789abcdef";

struct House {
    folder: tempfile::TempDir,
    postgres: PostgresServer,
    redis_port: u16,
    link_port: u16,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_password(folder.path());
        Self { folder, postgres: PostgresServer::start(), redis_port: free_port(), link_port: free_port() }
    }

    /// What core and gateways have in common.
    fn config(&self) -> String {
        let common = nodes_config(self.folder.path(), &self.postgres, self.redis_port, self.link_port);
        format!("{common}[[exchange.departments]]\nunit = \"fire\"\nsecret = \"{SECRET}\"\n")
    }

    fn start(&self, name: &str, role: &str) -> Centre {
        self.start_on(name, role, &self.config())
    }

    fn start_on(&self, name: &str, role: &str, config: &str) -> Centre {
        let files = format!("files = \"{}/files\"\n", self.folder.path().display());
        let mark = if role == "core" { "core is ready: http://" } else { "ready: http://" };
        Centre::launch(self.folder.path(), name, &["serve", "--role", role], &files, config, mark)
    }
}

/// Reports a fire; the answer.
fn report(gateway: &Centre, cookie: &str, key: &str, text: &str) -> (u16, Value) {
    let head = format!(
        "POST /api/v1/incidents HTTP/1.1\r\ncookie: {cookie}\r\norigin: http://{}\r\nidempotency-key: {key}\r\n\
         content-type: application/json",
        gateway.address
    );
    let body = format!(r#"{{"class":"fire","place":{{"building":"b12"}},"channel":"call","text":"{text}"}}"#);
    let (status, body) = gateway.ask(&head, &body);
    (status, serde_json::from_str(&body).unwrap())
}

fn incidents(gateway: &Centre, cookie: &str) -> Vec<Value> {
    let (status, body) = gateway.ask(&format!("GET /api/v1/incidents HTTP/1.1\r\ncookie: {cookie}"), "");
    assert_eq!(status, 200, "{body}");
    let page: Value = serde_json::from_str(&body).unwrap();
    page["items"].as_array().unwrap().clone()
}

#[test]
fn a_core_and_two_gateways_are_one_centre() {
    let house = House::new();
    let redis = Running::redis(house.redis_port, house.folder.path());
    let core = house.start("core", "core");
    let (one, two) = (house.start("one", "gateway"), house.start("two", "gateway"));
    let cookie = one.log_in("chief", PASSWORD);

    // What one gateway takes, both show; the session holds at both.
    let (status, first) = report(&one, &cookie, "k-1", "六楼冒烟");
    assert_eq!(status, 200, "{first}");
    let id = first["refs"]["incident"].as_u64().unwrap();
    for gateway in [&one, &two] {
        while !incidents(gateway, &cookie).iter().any(|i| i["id"] == id) {
            std::thread::yield_now();
        }
    }
    // A repetition at the other gateway is known, another request under its key is refused.
    let (status, again) = report(&two, &cookie, "k-1", "六楼冒烟");
    assert_eq!((status, &again["refs"]), (200, &first["refs"]));
    let (status, refused) = report(&two, &cookie, "k-1", "七楼冒烟");
    assert_eq!((status, refused["code"].as_str()), (422, Some("key_reused")));

    // A department's signed call reaches the core through any gateway.
    let body = r#"{"type":"report","id":"F-7","class":"fire","place_text":"12栋","text":"浓烟"}"#;
    let now = SystemClock.now_ms() / 1_000;
    let call = |signature: &str| {
        format!(
            "POST /api/v1/exchange/fire/inbound HTTP/1.1\r\ncontent-type: application/json\r\n\
             x-timestamp: {now}\r\nidempotency-key: f-7\r\nx-signature: {signature}"
        )
    };
    let (status, answer) = two.ask(&call(&sign::sign(&Secret::new(SECRET), now, "f-7", body.as_bytes())), body);
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = two.ask(&call("v1=00"), body);
    assert_eq!(status, 401, "{answer}");

    // Through it nothing else of the core is reached: the gateway's token is not the caller's.
    for dots in ["..", ".%2e", "%2e%2E", "x/../..", "..%5c..", "..\\.."] {
        for (method, path) in [("POST", "submit"), ("GET", "status"), ("GET", "media/c001/still")] {
            let (status, answer) = two.ask(&format!("{method} /api/v1/exchange/{dots}/{path} HTTP/1.1"), "");
            assert!(matches!(status, 400 | 404 | 405), "{method} {dots}/{path}: {status} {answer}");
        }
    }

    // Each says what it depends on.
    for name in ["store", "feed", "bus", "core", "writer", "broker"] {
        while two.dependency(name)["state"] != "up" {
            std::thread::yield_now();
        }
    }
    let (status, ready) = core.ask("GET /readyz HTTP/1.1", "");
    assert_eq!(status, 200, "{ready}");

    // Without the core everything is shown and nothing is taken; the sender is told and may repeat.
    core.end("-KILL");
    let (status, refused) = report(&one, &cookie, "k-2", "八楼冒烟");
    assert_eq!((status, refused["code"].as_str()), (503, Some("unavailable")), "{refused}");
    let (status, answer) = two.ask(&call("v1=00"), body);
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("核心节点暂时连接不上"), "{answer}");
    while one.dependency("core")["state"] != "down" {
        std::thread::yield_now();
    }
    assert_eq!(one.ask("GET /readyz HTTP/1.1", "").0, 200, "it still shows what it knows");
    assert!(incidents(&one, &cookie).iter().any(|i| i["id"] == id));

    // Redis goes too; a new core takes up where the old one ended, and both gateways follow by the ledger.
    redis.end("KILL");
    let core = house.start("core", "core");
    let (status, second) = report(&one, &cookie, "k-2", "八楼冒烟");
    assert_eq!(status, 200, "{second}");
    let id = second["refs"]["incident"].as_u64().unwrap();
    for gateway in [&one, &two] {
        while !incidents(gateway, &cookie).iter().any(|i| i["id"] == id) {
            std::thread::yield_now();
        }
    }
    for process in [one, two, core] {
        let (code, said, _) = process.end("-TERM");
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_gateway_that_must_poll_says_so_and_why() {
    let house = House::new();
    let folder = house.folder.path();
    let _redis = Running::redis(house.redis_port, folder);
    let elsewhere = free_port();
    let _other = Running::redis(elsewhere, folder);
    let core = house.start("core", "core");
    let config = house.config();
    let at = |port: u16| format!("[bus]\nredis = \"redis://127.0.0.1:{port}\"\n");
    let apart = config.replace(&at(house.redis_port), &at(elsewhere));
    let without = config.replace(&at(house.redis_port), "");
    assert!(apart != config && without != config);
    for (name, config, why) in
        [("apart", apart, "核心在向 Redis 发布，这里却听不到"), ("without", without, "没有 [bus] redis")]
    {
        let gateway = house.start_on(name, "gateway", &config);
        let bus = loop {
            let bus = gateway.dependency("bus");
            if bus["detail"].as_str().is_some_and(|d| d.starts_with(why)) {
                break bus;
            }
            std::thread::yield_now();
        };
        assert_eq!((&bus["state"], &bus["fatal"]), (&"degraded".into(), &false.into()), "{bus}");
        assert_eq!(gateway.ask("GET /readyz HTTP/1.1", "").0, 200, "it works, only later");
        assert_eq!(gateway.end("-TERM").0, Some(0));
    }
    assert_eq!(core.dependency("bus")["state"], "up");
    assert_eq!(core.end("-TERM").0, Some(0));
}

/// A command for a device's password; the answer.
fn credential(gateway: &Centre, cookie: &str, method: &str, key: &str) -> Value {
    let head = format!(
        "{method} /api/v1/devices/{DEVICE}/credential HTTP/1.1\r\ncookie: {cookie}\r\norigin: http://{}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/json",
        gateway.address
    );
    let (status, body) = gateway.ask(&head, if method == "POST" { "{}" } else { "" });
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Logs in to the core's broker; what it answers, `None` when nobody listens.
fn log_in_to_broker(data: &Path, password: &str) -> Option<u8> {
    let conf = std::fs::read_to_string(data.join("broker/mosquitto.conf")).ok()?;
    let port = conf.lines().find_map(|l| l.strip_prefix("listener ")?.split(' ').next()?.parse::<u16>().ok())?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let text = |t: &str| [&u16::try_from(t.len()).unwrap().to_be_bytes(), t.as_bytes()].concat();
    // CONNECT of MQTT 3.1.1: user, password, clean session, keep-alive of a minute.
    let rest = [&text("MQTT")[..], &[4, 0xc2, 0, 60], &text("t"), &text(DEVICE), &text(password)].concat();
    let packet = [&[0x10, u8::try_from(rest.len()).unwrap()], &rest[..]].concat();
    stream.write_all(&packet).ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    Some(answer[3])
}

/// Tries until the broker has read who may log in.
fn until_broker_says(data: &Path, password: &str, code: u8) {
    while log_in_to_broker(data, password) != Some(code) {
        std::thread::yield_now();
    }
}

const DEVICE: &str = "smoke-b12-2-06";
const ACCEPTED: u8 = 0;
const NOT_AUTHORISED: u8 = 5;

#[test]
fn a_device_logs_in_with_what_a_gateway_issued() {
    let house = House::new();
    let _redis = Running::redis(house.redis_port, house.folder.path());
    let core = house.start("core", "core");
    let gateway = house.start("one", "gateway");
    let cookie = gateway.log_in("chief", PASSWORD);
    let data = house.folder.path().join("core-data");

    let issued = credential(&gateway, &cookie, "POST", "k-1");
    let password = issued["password"].as_str().unwrap().to_owned();
    until_broker_says(&data, &password, ACCEPTED);
    assert_eq!(log_in_to_broker(&data, "something else"), Some(NOT_AUTHORISED));
    let files = std::fs::read_to_string(data.join("broker/passwd")).unwrap();
    assert!(files.contains(&format!("\n{DEVICE}:$7$")) && !files.contains(&password));

    // A core that crashed has it from the log.
    core.end("-KILL");
    std::fs::remove_file(data.join("broker/passwd")).unwrap();
    let core = house.start("core", "core");
    until_broker_says(&data, &password, ACCEPTED);

    let repeated = credential(&gateway, &cookie, "POST", "k-1");
    assert_eq!((&repeated["replayed"], &repeated["password"]), (&Value::Bool(true), &Value::Null));
    credential(&gateway, &cookie, "DELETE", "k-2");
    until_broker_says(&data, &password, NOT_AUTHORISED);
    let (_, list) = gateway.ask(&format!("GET /api/v1/devices/credentials HTTP/1.1\r\ncookie: {cookie}"), "");
    assert!(list.contains(r#""active":false"#) && list.contains(r#""by":"chief""#), "{list}");
    for process in [gateway, core] {
        let (code, said, log) = process.end("-TERM");
        assert_eq!(code, Some(0), "{said}");
        assert!(!log.contains(&password) && !log.contains("$7$"), "{log}");
    }
}

#[test]
fn of_two_cores_on_one_database_the_older_ends_and_says_so() {
    let house = House::new();
    let folder = house.folder.path();
    let files = format!("files = \"{}/files\"\n", folder.display());
    let ledger = format!("[ledger]\nurl = \"{}\"\n", house.postgres.url("postgres"));
    let start = |name: &str| Centre::launch(folder, name, &["up"], &files, &ledger, "ready: http://");
    let older = start("older");
    let cookie = older.log_in("chief", PASSWORD);
    let newer = start("newer");
    // With the next input it hears of it, if it has not yet.
    let _ = report_to(&older, &cookie);
    // No signal: it ends by itself.
    let (code, said, log) = older.end("-0");
    assert_eq!(code, Some(3), "{said}{log}");
    let told = log.lines().last().unwrap();
    assert!(told.starts_with("另一个核心接管了台账") && told.contains("stop the other one"), "{log}");
    let unit = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/maojiawan.service")).unwrap();
    assert!(unit.lines().any(|line| line == "RestartPreventExitStatus=3"), "systemd does not start it again");
    let (status, answer) = report(&newer, &newer.log_in("chief", PASSWORD), "k-1", "六楼冒烟");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(newer.end("-TERM").0, Some(0));
}

/// As [`report`], to a centre that may be ending: nobody waits for the answer.
fn report_to(centre: &Centre, cookie: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(&centre.address)?;
    let body = r#"{"class":"fire","place":{"building":"b12"},"channel":"call","text":"冒烟"}"#;
    write!(
        stream,
        "POST /api/v1/incidents HTTP/1.1\r\nhost: {0}\r\ncookie: {cookie}\r\norigin: http://{0}\r\nconnection: close\r\n\
         idempotency-key: k-0\r\ncontent-type: application/json\r\ncontent-length: {1}\r\n\r\n{body}",
        centre.address,
        body.len()
    )?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

#[test]
fn each_node_tells_since_when() {
    let house = House::new();
    let began = SystemClock.now_ms();
    let core = house.start("core", "core");
    let gateway = house.start("gateway", "gateway");
    while gateway.dependency("core")["state"] != "up" {
        std::thread::yield_now();
    }
    house.postgres.tell("KILL");
    for node in [&core, &gateway] {
        let (status, body) = node.ask("GET /readyz HTTP/1.1", "");
        let ready: Value = serde_json::from_str(&body).unwrap();
        let all = ready["dependencies"].as_array().unwrap();
        assert!(all.iter().all(|d| d["since"].as_i64().unwrap() >= began), "{body}");
        let store = all.iter().find(|d| d["name"] == "store").unwrap();
        assert_eq!(
            (status, &store["state"], &store["detail"]),
            (503, &"down".into(), &"PostgreSQL: ledger.unavailable".into())
        );
        let again = node.dependency("store");
        assert_eq!(again["since"], store["since"], "it is down since then");
    }
}

#[test]
fn parts_on_sqlite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    let serve = |text: &str, role: &str| {
        std::fs::write(&config, text).unwrap();
        let data = folder.path().join("data");
        let output = Command::new(PROGRAM)
            .args(["serve", "--role", role, "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(&data)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!data.exists(), "nothing was begun");
        String::from_utf8(output.stderr).unwrap()
    };
    for role in ["core", "gateway"] {
        assert!(serve("", role).starts_with("SQLite 只能由一个进程使用"), "{role}");
    }
    let ledger = "[ledger]\nurl = \"postgres://u@127.0.0.1/d\"\n";
    assert!(serve(ledger, "core").starts_with("link.listen: "));
    assert!(serve(ledger, "gateway").starts_with("link.core: "));
}
