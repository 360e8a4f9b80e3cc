//! Centres of one or more processes, each of which can be killed and started again.

use std::{path::Path, process::Command};

use domain::{
    alarm::{AlarmEvent, Source},
    event::Body,
    incident::IncidentEvent,
    text::Ref,
};
use ledger::{Opened, SqliteOptions, SqliteStore, Store, limits, testing::postgres::PostgresServer};
use tempfile::TempDir;

use crate::{
    broker::{Mosquitto, Tap},
    support::{PROGRAM, Running, free_port, nodes_config, write_password},
};

/// A program that runs by way of another one, such as `ip netns exec NAME`; nothing = by itself.
pub(crate) fn behind(words: &[String], program: &str) -> Command {
    let Some((first, more)) = words.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(more).arg(program);
    command
}

/// What the kernel says of the memory of a process, as `VmRSS` now and `VmHWM` at its peak; bytes.
pub(crate) fn memory(of: &Running, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", of.0.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(which)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() << 10
}

/// An event as the suite looks at it.
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) what: What,
}

/// The beginning of a condition: when the sensor saw it, and what it measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Began {
    pub(crate) at: i64,
    pub(crate) value: Option<f64>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// A report, by its words.
    Report(String),
    /// A remark, by its words.
    Remark(String),
    /// A sensor's condition began, or ended.
    Edge(String, Option<Began>),
    Other,
}

impl What {
    /// A condition of this sensor began.
    pub(crate) fn is_edge_of(&self, of: &str) -> bool {
        matches!(self, Self::Edge(sensor, Some(_)) if sensor == of)
    }
}

/// Processes that make a centre.
pub(crate) trait Cluster {
    /// What it is.
    fn name(&self) -> &'static str;
    /// Its processes, such that each needs only those before it to start.
    fn parts(&self) -> &'static [&'static str];
    /// SIGKILL, and the end of it awaited.
    fn kill(&mut self, part: usize);
    /// Starts a killed one; returns once it is ready.
    fn start(&mut self, part: usize);
    /// Where gateways listen; the same after a restart.
    fn addresses(&self) -> Vec<String>;
    /// Stops everything that writes.
    fn stop(&mut self);
    /// The log, after the stop.
    fn log(&self) -> impl Future<Output = Vec<Logged>>;
}

/// Reads the whole log.
pub(crate) async fn read(store: &dyn Store) -> Vec<Logged> {
    let mut log = Vec::new();
    loop {
        let page = store.tail(log.last().map_or(0, |e: &Logged| e.seq), limits::PAGE).await.unwrap();
        if page.is_empty() {
            return log;
        }
        for stored in page {
            let e = &stored.event;
            let event = wire::event::decode(&e.kind, e.version, &e.payload).unwrap();
            log.push(Logged { seq: stored.seq, what: what(store, event.body).await });
        }
    }
}

async fn what(store: &dyn Store, body: Body) -> What {
    let edge = |source: Source, began| match source {
        Source::Sensor { sensor, .. } => What::Edge(sensor.to_string(), began),
        _ => What::Other,
    };
    let words = async |text: Ref| match store.open(&[text.0]).await.unwrap().remove(0).1 {
        Opened::Value { full, .. } => full.text(),
        other => panic!("the words are {other:?}"),
    };
    match body {
        Body::Incident(IncidentEvent::Reported { text: Some(text), .. }) => What::Report(words(text).await),
        Body::Incident(IncidentEvent::Noted { text, .. }) => What::Remark(words(text).await),
        Body::Alarm(AlarmEvent::Raised { evidence, .. } | AlarmEvent::EvidenceAdded { evidence, .. }) => {
            edge(evidence.source, Some(Began { at: evidence.at.0, value: evidence.value }))
        }
        Body::Alarm(AlarmEvent::SourceCleared { source, .. }) => edge(source, None),
        _ => What::Other,
    }
}

/// Writes the configuration of a process that listens at `address`.
pub(crate) fn configure(folder: &Path, name: &str, address: &str, more: &str) {
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[log]\nfilter = \"off\"\n[data]\nfolder = \"{0}/{name}\"\n\
         files = \"{0}/files\"\n[[accounts]]\nid = \"chief\"\nrole = \"shift_chief\"\nname = \"值班长\"\n\
         password_file = \"{0}/password\"\n{more}",
        folder.display()
    );
    std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
}

/// Runs the binary on the configuration of this name until it is ready, by way of another program if there is one.
pub(crate) fn run(folder: &Path, name: &str, arguments: &[&str], program: &[String]) -> Running {
    let mut command = behind(program, PROGRAM);
    command.args(arguments).arg("--config").arg(folder.join(format!("{name}.toml")));
    Running::start(&mut command, "ready: http://")
}

/// Place in the parts of [`OneProcess`].
pub(crate) const CENTRE: usize = 0;

/// `maojiawan up` on SQLite.
pub(crate) struct OneProcess {
    pub(crate) folder: TempDir,
    port: u16,
    behind: Vec<String>,
    pub(crate) running: Option<Running>,
    mosquitto: Option<Mosquitto>,
}

impl OneProcess {
    /// Without a broker.
    pub(crate) fn start() -> Self {
        let no_broker = format!("[sensing.external]\nhost = \"127.0.0.1\"\nport = {}\n", free_port());
        Self::start_in(tempfile::tempdir().unwrap(), &no_broker, &[])
    }

    /// With this folder, more configuration, and by way of another program if there is one.
    pub(crate) fn start_in(folder: TempDir, more: &str, program: &[String]) -> Self {
        let port = free_port();
        write_password(folder.path());
        configure(folder.path(), "centre", &format!("127.0.0.1:{port}"), more);
        let mut one = Self { folder, port, behind: program.to_vec(), running: None, mosquitto: None };
        Cluster::start(&mut one, CENTRE);
        one
    }

    /// With sensors by Mosquitto, and by way of another program if there is one.
    pub(crate) fn with_sensors(tap: &Tap, program: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mosquitto = Mosquitto::new(folder.path(), tap.broker);
        mosquitto.start();
        Self { mosquitto: Some(mosquitto), ..Self::start_in(folder, &tap.config(), program) }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Cluster for OneProcess {
    fn name(&self) -> &'static str {
        "one process on SQLite"
    }

    fn parts(&self) -> &'static [&'static str] {
        // A broker of its own dies with it; one that runs beside it goes on.
        if self.mosquitto.is_some() { &["centre", "centre with its broker"] } else { &["centre"] }
    }

    fn kill(&mut self, part: usize) {
        drop(self.running.take());
        if part != CENTRE {
            self.mosquitto.as_mut().unwrap().kill();
        }
    }

    fn start(&mut self, part: usize) {
        if part != CENTRE {
            self.mosquitto.as_mut().unwrap().start();
        }
        // The other part may have started it.
        self.running.get_or_insert_with(|| run(self.folder.path(), "centre", &["up"], &self.behind));
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.address()]
    }

    fn stop(&mut self) {
        assert!(self.running.take().unwrap().end("TERM"), "it stops in order");
    }

    async fn log(&self) -> Vec<Logged> {
        let store = SqliteStore::open(&SqliteOptions::in_folder(&self.folder.path().join("centre"))).await.unwrap();
        let log = read(&store).await;
        store.close().await;
        log
    }
}

/// Places in the parts of [`Nodes`].
const POSTGRES: usize = 0;
const REDIS: usize = 1;
const MOSQUITTO: usize = 2;
const CORE: usize = 3;
pub(crate) const GATEWAY_ONE: usize = 4;
/// Those of our own, with their roles; the first is [`CORE`].
const NODES: [(&str, &str); 3] = [("core", "core"), ("one", "gateway"), ("two", "gateway")];

/// A core and two gateways on PostgreSQL and Redis, with sensors by Mosquitto.
pub(crate) struct Nodes {
    folder: TempDir,
    postgres: PostgresServer,
    redis_port: u16,
    redis: Option<Running>,
    mosquitto: Mosquitto,
    ports: [u16; 3],
    nodes: [Option<Running>; 3],
}

impl Nodes {
    /// With more configuration for each of our own.
    pub(crate) fn start(tap: &Tap, more: &str) -> Self {
        let (folder, postgres) = (tempfile::tempdir().unwrap(), PostgresServer::start());
        write_password(folder.path());
        let (redis_port, ports) = (free_port(), [(); 3].map(|()| free_port()));
        let common = nodes_config(folder.path(), &postgres, redis_port, free_port());
        let all = format!("{}{common}{more}", tap.config());
        for ((name, _), port) in NODES.into_iter().zip(ports) {
            configure(folder.path(), name, &format!("127.0.0.1:{port}"), &all);
        }
        let mosquitto = Mosquitto::new(folder.path(), tap.broker);
        let nodes = [const { None }; 3];
        let mut all = Self { folder, postgres, redis_port, redis: None, mosquitto, ports, nodes };
        for part in REDIS..all.parts().len() {
            Cluster::start(&mut all, part);
        }
        all
    }

    /// The process of a gateway.
    pub(crate) fn gateway(&self, n: usize) -> &Running {
        self.nodes[1 + n].as_ref().unwrap()
    }
}

impl Cluster for Nodes {
    fn name(&self) -> &'static str {
        "a core and two gateways on PostgreSQL and Redis, sensors by Mosquitto"
    }

    fn parts(&self) -> &'static [&'static str] {
        &["PostgreSQL", "Redis", "Mosquitto", "core", "gateway one", "gateway two"]
    }

    fn kill(&mut self, part: usize) {
        match part {
            POSTGRES => self.postgres.tell("KILL"),
            REDIS => drop(self.redis.take()),
            MOSQUITTO => self.mosquitto.kill(),
            node => drop(self.nodes[node - CORE].take()),
        }
    }

    fn start(&mut self, part: usize) {
        match part {
            POSTGRES => self.postgres.tell("start"),
            REDIS => self.redis = Some(Running::redis(self.redis_port, self.folder.path())),
            MOSQUITTO => self.mosquitto.start(),
            node => {
                let (name, role) = NODES[node - CORE];
                self.nodes[node - CORE] = Some(run(self.folder.path(), name, &["serve", "--role", role], &[]));
            }
        }
    }

    fn addresses(&self) -> Vec<String> {
        self.ports[1..].iter().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    fn stop(&mut self) {
        for node in self.nodes.iter_mut().rev() {
            assert!(node.take().unwrap().end("TERM"), "it stops in order");
        }
    }

    async fn log(&self) -> Vec<Logged> {
        let options = self.postgres.options("maojiawan", &self.folder.path().join("files"));
        let store = ledger::PostgresStore::open(&options).await.unwrap();
        let log = read(&store).await;
        store.close().await;
        log
    }
}
