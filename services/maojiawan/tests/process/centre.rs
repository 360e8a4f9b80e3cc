//! A small centre without a demo: starts, answers, and stops in order.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use ledger::testing::postgres::PostgresServer;
use serde_json::{Value, json};

use crate::support::{PASSWORD, PROGRAM, free_port, write_password};

/// Nothing takes so long to be answered that does not hang.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Centre {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `text` after a heading such as `ready: http://`.
fn after<'t>(line: &'t str, mark: &str) -> Option<&'t str> {
    Some(line.split_once(mark)?.1.trim())
}

impl Centre {
    /// Starts it with its data in `folder` and waits until it says that it is ready.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, "")
    }

    /// As [`Centre::start`], with more configuration.
    pub(crate) fn start_with(folder: &Path, more: &str) -> Self {
        Self::launch(folder, "centre", &["up"], "", more, "ready: http://")
    }

    /// Starts a process of its own data and configuration and waits until it says `mark` and its address.
    pub(crate) fn launch(folder: &Path, name: &str, args: &[&str], data: &str, more: &str, mark: &str) -> Self {
        let config = folder.join(format!("{name}.toml"));
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[data]\nfolder = \"{0}/{name}-data\"\n{data}[log]\nfilter = \"warn\"\n\
             [sensing]\nport = 0\n[[accounts]]\nid = \"chief\"\nrole = \"shift_chief\"\nname = \"值班长\"\n\
             password_file = \"{0}/password\"\n{more}",
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(PROGRAM)
            .args(args)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                let mut log = String::new();
                child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
                panic!("it ended before it was ready: {log}");
            }
            if let Some(address) = after(&line, mark) {
                break address.trim_end_matches("/readyz").trim_end_matches('/').to_owned();
            }
        };
        Self { child, output, address }
    }

    /// Logs in; the cookie.
    pub(crate) fn log_in(&self, account: &str, password: &str) -> String {
        let body = format!(r#"{{"account":"{account}","password":"{password}"}}"#);
        let answer = self.whole("POST /api/v1/session HTTP/1.1\r\ncontent-type: application/json", &body);
        let line = answer.lines().find_map(|l| l.strip_prefix("set-cookie: ")).expect("a cookie");
        line.split(';').next().unwrap().to_owned()
    }

    /// One request; status and body.
    pub(crate) fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let answer = self.whole(head, body);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Reports a broken lamp under a key; the whole answer, and its body.
    pub(crate) fn report(&self, cookie: &str, key: &str, text: &str) -> (String, Value) {
        let head = format!(
            "POST /api/v1/incidents HTTP/1.1\r\ncookie: {cookie}\r\nidempotency-key: {key}\r\n\
             content-type: application/json"
        );
        let place = json!({ "text": "12栋1单元" });
        let body = json!({ "class": "street_light", "place": place, "channel": "call", "text": text });
        let answer = self.whole(&head, &body.to_string());
        let body = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        (answer, body)
    }

    /// One request; the whole answer.
    pub(crate) fn whole(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The named dependency of `/readyz`.
    pub(crate) fn dependency(&self, name: &str) -> Value {
        let (_, body) = self.ask("GET /readyz HTTP/1.1", "");
        let ready: Value = serde_json::from_str(&body).unwrap();
        ready["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == name).unwrap().clone()
    }

    /// Sends a signal; the exit code, what it still printed, and its log.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let (mut said, mut log) = (String::new(), String::new());
        self.output.read_to_string(&mut said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), said, log)
    }
}

/// Processes that hold `folder` on their command line.
fn running(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    let lines = lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
    lines.filter(|l| l.contains(folder.to_str().unwrap())).collect()
}

#[test]
fn it_stops_in_order_on_either_signal_and_starts_again_on_its_data() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    for signal in ["-TERM", "-INT"] {
        let centre = Centre::start(folder.path());
        // A first password is needed once; whoever deletes its file can still start again.
        let _ = std::fs::remove_file(folder.path().join("password"));
        assert_eq!(centre.ask("GET /healthz HTTP/1.1", "").0, 200);
        let log_in = format!(r#"{{"account":"chief","password":"{PASSWORD}"}}"#);
        let head = "POST /api/v1/session HTTP/1.1\r\ncontent-type: application/json";
        assert_eq!(centre.ask(head, &log_in).0, 200, "the account is there from the start");
        let (code, said, log) = centre.end(signal);
        assert_eq!((code, log.as_str()), (Some(0), ""), "{said}");
        let (stopping, stopped) = (said.find("stopping in order").unwrap(), said.find("stopped").unwrap());
        assert!(stopping < stopped, "{said}");
        assert_eq!(running(folder.path()), Vec::<String>::new(), "its broker ended with it");
    }
}

#[test]
fn its_data_folder_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let centre = Centre::start(folder.path());
    let data = folder.path().join("centre-data");
    let second = Command::new(PROGRAM).args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("数据目录正被另一个进程使用"), "{said}");
    assert_eq!(centre.dependency("writer")["state"], "up");
}

#[test]
fn it_begins_no_empty_log_beside_the_files_of_a_lost_one() {
    let server = PostgresServer::start();
    let elsewhere = format!("[ledger]\nurl = \"{}\"\n", server.url("postgres"));
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let (data, kept) = (folder.path().join("centre-data"), folder.path().join("kept.db"));
    assert_eq!(Centre::start(folder.path()).end("-TERM").0, Some(0));
    let config = std::fs::read_to_string(folder.path().join("centre.toml")).unwrap();
    let other = folder.path().join("other.toml");
    std::fs::write(data.join("blobs/a-photo"), "sealed").unwrap();
    std::fs::rename(data.join("ledger.db"), &kept).unwrap();
    for ledger in ["", &elsewhere] {
        std::fs::write(&other, config.clone() + ledger).unwrap();
        let refused = Command::new(PROGRAM).args(["up", "--config"]).arg(&other).output().unwrap();
        let log = String::from_utf8(refused.stderr).unwrap();
        assert!(log.contains("请放回数据库") && log.contains("centre-data/blobs"), "{log}");
        assert_eq!(refused.status.code(), Some(1));
        assert!(!data.join("ledger.db").exists(), "nothing is in the way of the one that is put back");
    }
    std::fs::rename(&kept, data.join("ledger.db")).unwrap();
    assert_eq!(Centre::start(folder.path()).end("-TERM").0, Some(0));
}

#[test]
fn its_broker_dies_with_it() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let centre = Centre::start(folder.path());
    while centre.dependency("broker")["state"] != "up" {
        std::thread::yield_now();
    }
    assert!(running(folder.path()).iter().any(|l| l.starts_with("mosquitto ")), "{:?}", running(folder.path()));
    assert_eq!(centre.end("-KILL").0, None);
    while !running(folder.path()).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn each_dependency_is_named_with_its_state_and_since_when() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let centre = Centre::start(folder.path());
    for name in ["store", "feed", "writer", "bus", "broker"] {
        let dependency = centre.dependency(name);
        assert!(dependency["since"].as_i64().unwrap() > 1_700_000_000_000, "{dependency}");
        assert!(["up", "unknown", "down"].contains(&dependency["state"].as_str().unwrap()), "{dependency}");
    }
    while centre.dependency("broker")["state"] != "up" || centre.dependency("feed")["state"] != "up" {
        std::thread::yield_now();
    }
    let (status, page) = centre.ask("GET /metrics HTTP/1.1", "");
    assert_eq!(status, 200);
    for name in
        ["maojiawan_events_total", "maojiawan_commit_seconds", "maojiawan_inputs_total", "maojiawan_outbox_waiting"]
    {
        assert!(page.contains(&format!("\n{name}")), "{name} in\n{page}");
    }
    assert_eq!(centre.end("-TERM").0, Some(0));
}

#[test]
fn it_runs_while_its_redis_is_away() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let free = free_port();
    let centre = Centre::start_with(folder.path(), &format!("[bus]\nredis = \"redis://127.0.0.1:{free}\"\n"));
    while centre.dependency("bus")["state"] != "down" {
        std::thread::yield_now();
    }
    let bus = centre.dependency("bus");
    assert!(bus["detail"].as_str().unwrap().contains("Redis cannot be reached"), "{bus}");
    assert!(!bus["fatal"].as_bool().unwrap(), "{bus}");
    let log_in = format!(r#"{{"account":"chief","password":"{PASSWORD}"}}"#);
    let head = "POST /api/v1/session HTTP/1.1\r\ncontent-type: application/json";
    assert_eq!(centre.ask(head, &log_in).0, 200, "all else works");
    assert_eq!(centre.ask("GET /readyz HTTP/1.1", "").0, 200);
    let (code, said, _) = centre.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn it_keeps_its_data_in_postgresql() {
    let server = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    let ledger = format!("[ledger]\nurl = \"{}\"\nschema = \"centre\"\n", server.url("postgres"));
    let log_in = format!(r#"{{"account":"chief","password":"{PASSWORD}"}}"#);
    let head = "POST /api/v1/session HTTP/1.1\r\ncontent-type: application/json";
    for _ in 0..2 {
        let centre = Centre::start_with(folder.path(), &ledger);
        let store = centre.dependency("store");
        assert_eq!((&store["state"], &store["detail"]), (&"up".into(), &"PostgreSQL".into()));
        let (status, answer) = centre.ask(head, &log_in);
        assert_eq!(status, 200, "{answer}");
        let (code, said, log) = centre.end("-TERM");
        assert_eq!((code, log.as_str()), (Some(0), ""), "{said}");
    }
    assert!(
        !folder.path().join("centre-data/ledger.db").exists() && folder.path().join("centre-data/master.key").exists()
    );
    let migrated = Command::new(PROGRAM).args(["migrate", "--config"]).arg(folder.path().join("centre.toml")).output();
    let migrated = String::from_utf8(migrated.unwrap().stdout).unwrap();
    assert!(migrated.starts_with("PostgreSQL ") && migrated.contains("up to date"), "{migrated}");
}
