//! A redis-server of one test, buses on it, and a store.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ledger::{
    Bus as _, Delivery, LinkState, RedisBus, RedisOptions, RedisStatus, SqliteOptions, SqliteStore, Store, Subscription,
};
use runtime::{SystemClock, Tasks};
use tempfile::TempDir;

pub(crate) const SITE: &str = "mjw";
pub(crate) const CHANNEL: &str = "maojiawan:mjw:events";
pub(crate) const KEY: [u8; 32] = [9; 32];
/// So long that a test which needs it would hang.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);

/// Ends with the test, also when the test is killed.
pub(crate) struct Server {
    child: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        let mut server = Self { child: None, folder: tempfile::tempdir().unwrap(), port: 0, arguments };
        // Another process may take the port that was just free.
        for _ in 0..20 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not start; is it installed (deploy/prepare.sh --tests)?");
    }

    /// A port where none listens yet: [`Self::launch`] starts it.
    pub(crate) fn later() -> Self {
        Self { child: None, folder: tempfile::tempdir().unwrap(), port: free_port(), arguments: Vec::new() }
    }

    /// Starts it, empty; false when it ended at once.
    pub(crate) fn launch(&mut self) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        let port_key = if self.arguments.iter().any(|a| a == "--tls-cert-file") { "--tls-port" } else { "--port" };
        if port_key == "--tls-port" {
            command.args(["--port", "0"]);
        }
        command.args([port_key, &port, "--dir"]).arg(self.folder.path()).args(&self.arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.any(|line| line.contains("Ready to accept connections"));
        // So that it never waits for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        if ready {
            self.child = Some(child);
        } else {
            child.wait().unwrap();
        }
        ready
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// A command by its words, as the server's owner.
    pub(crate) fn ask(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut command = redis::Cmd::new();
        for &word in words {
            command.arg(word);
        }
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Quick pauses, and heartbeats that only tests which wait for them need.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions {
            heartbeat: NEVER,
            silence: NEVER,
            timeout: Duration::from_secs(5),
            backoff: (Duration::from_millis(5), Duration::from_millis(20)),
            ..RedisOptions::at(&format!("redis://127.0.0.1:{}", self.port), None).unwrap()
        }
    }

    pub(crate) fn bus(&self) -> RedisBus {
        start(self.options())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn start(options: RedisOptions) -> RedisBus {
    RedisBus::start(options, SITE, KEY, Arc::new(SystemClock), &Tasks::default()).unwrap()
}

pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn Store>,
    _folder: TempDir,
}

pub(crate) async fn ledger() -> Ledger {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap();
    Ledger { store: Arc::new(store), _folder: folder }
}

/// Waits until a side is as wanted.
pub(crate) async fn until(bus: &RedisBus, wanted: impl FnMut(&RedisStatus) -> bool) -> RedisStatus {
    *bus.status().wait_for(wanted).await.unwrap()
}

pub(crate) async fn subscriber_is(bus: &RedisBus, state: LinkState) {
    until(bus, |s| s.subscriber.state == state).await;
}

/// A subscription that listens by now, with the first loss told.
pub(crate) async fn listen(bus: &RedisBus) -> Box<dyn Subscription> {
    let mut subscription = bus.subscribe().await.unwrap();
    subscriber_is(bus, LinkState::Up).await;
    assert!(matches!(subscription.next().await, Delivery::Lagged), "what was published before is lost");
    subscription
}

/// The sequence number of the next message, which must come before any loss.
pub(crate) async fn heard(subscription: &mut Box<dyn Subscription>) -> u64 {
    match subscription.next().await {
        Delivery::Message(message) => message.event.seq,
        other => panic!("{other:?} in place of a message"),
    }
}
