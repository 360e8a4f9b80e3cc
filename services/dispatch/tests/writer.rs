//! The writer over a real store: durable before answered, once, and recovered after every failure.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc, time::Duration};

use dispatch::{Writer, WriterOptions};
use domain::{
    account::Role,
    event::Mode,
    ids::{IncidentId, SensorId},
    input::{Actor, Command, Input, Observation},
    refusal::Code,
    site::SensorKind,
    time::Timestamp,
};
use ledger::{LocalBus, Log, SqliteOptions, SqliteStore, Vault};
use link::intake::{Intake, IntakeError, Submission};
use runtime::{ManualClock, Tasks};

const NOW: i64 = 1_700_000_000_000;

struct Centre {
    store: Arc<SqliteStore>,
    writer: Writer,
    tasks: Tasks,
}

impl Centre {
    async fn open(folder: &Path) -> Self {
        let store = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder)).await.unwrap());
        let tasks = Tasks::default();
        let bus = Arc::new(LocalBus::new(1_024));
        let clock = Arc::new(ManualClock::at(NOW));
        let options = WriterOptions::default();
        let writer = dispatch::start("maojiawan".into(), store.clone(), bus, clock, options, &tasks);
        Self { store, writer, tasks }
    }

    async fn started(folder: &Path) -> Self {
        let centre = Self::open(folder).await;
        let site = Arc::new(simulator::site::maojiawan(1));
        let command = Command::SetSite(site);
        let input = Input::Command { actor: Actor::System, mode: Mode::Real, command };
        centre.writer.submit(Submission::keyless(input)).await.unwrap();
        centre
    }

    async fn command(&self, key: &str, actor: Actor, command: Command) -> Result<link::intake::Done, IntakeError> {
        let request = format!("{command:?}").into_bytes();
        let input = Input::Command { actor, mode: Mode::Real, command };
        self.writer.submit(Submission::keyed("test", key, request, input)).await
    }

    async fn edge(&self, sensor: &SensorId, kind: &str) -> link::intake::Done {
        let (sensor, rule, kind) = (sensor.clone(), "r".into(), kind.into());
        let observation =
            Observation::SensorEdge { sensor, rule, kind, raised: true, value: Some(1.0), at: Timestamp(NOW) };
        self.writer.submit(Submission::keyless(Input::Observe { mode: Mode::Real, observation })).await.unwrap()
    }

    async fn stop(self) {
        self.tasks.drain(Duration::from_secs(5)).await;
        self.store.close().await;
    }
}

fn chief() -> Actor {
    Actor::Account { id: "chief".into(), role: Role::ShiftChief, unit: None, grid: None }
}

/// Opens a red incident by two sources in building 12.
async fn fire(centre: &Centre) -> IncidentId {
    let site = simulator::site::maojiawan(1);
    let in_12 = |kind| {
        let mut found = site.sensors.iter().filter(|s| s.kind == kind);
        found.find(|s| s.place.building.as_ref().is_some_and(|b| b.as_str() == "b12")).unwrap().id.clone()
    };
    let first = centre.edge(&in_12(SensorKind::Smoke), "smoke").await;
    assert_eq!(first.refs.incident, None);
    centre.edge(&in_12(SensorKind::CallPoint), "call_point").await.refs.incident.unwrap()
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    let note = || Command::Note { incident, text: "六层有烟".to_owned() };
    let done = centre.command("n1", chief(), note()).await.unwrap();
    assert_eq!(centre.store.head().await.unwrap().seq, done.position.seq, "durable before the answer");
    centre.stop().await;

    let centre = Centre::open(folder.path()).await;
    let again = centre.command("n1", chief(), note()).await.unwrap();
    assert!(again.replayed, "the same key takes effect once, also after a restart");
    assert_eq!((again.position, again.refs), (done.position, done.refs));
    let other = Command::Note { incident, text: "另一件事".to_owned() };
    assert_eq!(centre.command("n1", chief(), other).await.unwrap_err(), IntakeError::KeyReused);
    let accept = centre.command("a1", chief(), Command::Accept(incident)).await.unwrap_err();
    assert!(matches!(accept, IntakeError::Refused(r) if r.code == Code::WrongStage), "the state came back");
    centre.stop().await;
}

#[tokio::test]
async fn a_full_store_refuses_everything_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    let before = centre.store.head().await.unwrap().seq;
    centre.store.limit_pages(1).await.unwrap();
    let long = "烟".repeat(2_000);
    let mut refused = 0;
    for n in 0..200 {
        let note = Command::Note { incident, text: long.clone() };
        match centre.command(&format!("full-{n}"), chief(), note).await {
            Err(IntakeError::Unavailable(why)) => {
                assert!(why.contains("full"), "{why}");
                refused += 1;
                break;
            }
            other => {
                other.unwrap();
            }
        }
    }
    assert_eq!(refused, 1, "a store without room must refuse");
    let held = centre.store.head().await.unwrap().seq;
    centre.store.limit_pages(u32::MAX >> 1).await.unwrap();
    let note = Command::Note { incident, text: "恢复".to_owned() };
    let done = centre.command("after", chief(), note).await.unwrap();
    assert_eq!(done.position.seq, held + 1, "nothing half done");
    assert!(held >= before);
    centre.stop().await;
}

#[tokio::test]
async fn an_erasure_makes_values_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    let note = Command::Note { incident, text: "住户姓名等".to_owned() };
    centre.command("n", chief(), note).await.unwrap();
    let tail = centre.store.tail(0, 1_000).await.unwrap();
    let noted = tail.iter().find(|e| e.event.kind == "noted").unwrap();
    let event = wire::event::decode("noted", noted.event.version, &noted.event.payload).unwrap();
    let domain::event::Body::Noted { text, .. } = event.body else { panic!("another event") };
    let read = async || centre.store.open(&[text.0]).await.unwrap().remove(0).1;
    assert!(matches!(read().await, ledger::Opened::Value { full, .. } if full.text() == "住户姓名等"));
    let subject = domain::text::Subject::Incident(incident);
    centre.command("e", Actor::System, Command::Erase(subject)).await.unwrap();
    assert_eq!(read().await, ledger::Opened::Erased);
    centre.stop().await;
}

#[tokio::test]
async fn replaying_the_log_gives_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    fire(&centre).await;
    let (mut replayed, mut loaded) = (domain::State::default(), domain::State::default());
    for e in centre.store.tail(0, 1_000).await.unwrap() {
        replayed.apply(&wire::event::decode(&e.event.kind, e.event.version, &e.event.payload).unwrap());
    }
    for d in centre.store.snapshot(&[], false).await.unwrap().1 {
        let id = if d.id == "-" { "" } else { &d.id };
        wire::document::load(&mut loaded, &d.kind, id, &d.payload).unwrap();
    }
    assert_eq!(replayed, loaded);
    centre.stop().await;
}
