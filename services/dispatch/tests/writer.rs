//! The writer over a real store: durable before answered, once, and recovered after every failure.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc, time::Duration};

use dispatch::{Writer, WriterOptions};
use domain::{
    account::Role,
    event::{Body, By, Event, Key, Mode},
    ids::{IncidentId, SensorId, VaultId},
    incident::{Channel, Exhibit, ExhibitKind, IncidentEvent},
    input::{Actor, Command, ExhibitOf, Input, Observation},
    refusal::Code,
    site::{Level, Place, Point, SensorKind},
    state::KEEP_ENDED,
    time::{Millis, Timestamp},
};
use ledger::{
    Batch, DocumentRow, EventRow, LocalBus, Log, SqliteOptions, SqliteStore, Vault,
    testing::memory::{Call, Fate, MemoryDisk, Weather},
};
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
        Self::open_at(folder, NOW, WriterOptions::default()).await
    }

    async fn open_at(folder: &Path, now: i64, options: WriterOptions) -> Self {
        let store = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder)).await.unwrap());
        let tasks = Tasks::default();
        let bus = Arc::new(LocalBus::new(1_024));
        let clock = Arc::new(ManualClock::at(now));
        let writer = dispatch::start("maojiawan".into(), store.clone(), bus, clock, options, &tasks);
        Self { store, writer, tasks }
    }

    async fn started(folder: &Path) -> Self {
        let centre = Self::open(folder).await;
        let site = site::built_in();
        let command = Command::SetSite(site);
        let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
        centre.writer.submit(Submission::keyless(input)).await.unwrap();
        centre
    }

    async fn command(&self, key: &str, actor: Actor, command: Command) -> Result<link::intake::Done, IntakeError> {
        let request = format!("{command:?}").into_bytes();
        let input = Input::Command { actor, mode: Mode::Real, happened: None, command };
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
    let site = site::built_in();
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

/// Commits take their time.
struct Slow(Duration);

impl Weather for Slow {
    fn of(&self, call: Call) -> Fate {
        Fate { before: if call == Call::Append { self.0 } else { Duration::ZERO }, ..Fate::GOOD }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_makes_senders_wait_within_a_bound_or_come_again() {
    const QUEUE: usize = 8;
    let options = WriterOptions { queue: QUEUE, batch: 4, ..WriterOptions::default() };
    let commit = Duration::from_secs(5);
    let store = Arc::new(MemoryDisk::new(1).open_in(Arc::new(Slow(commit))));
    let (bus, clock, tasks) = (Arc::new(LocalBus::new(1_024)), Arc::new(ManualClock::at(NOW)), Tasks::default());
    let writer = dispatch::start("maojiawan".into(), store.clone(), bus, clock, options, &tasks);
    let note = |n: usize| {
        let observation = Observation::Unreadable { source: "x".to_owned(), why: n.to_string(), size: 1 };
        writer.submit(Submission::keyless(Input::Observe { mode: Mode::Real, observation }))
    };
    note(0).await.unwrap();
    for wave in 1..5 {
        let began = tokio::time::Instant::now();
        let before = store.head().await.unwrap().seq;
        let answers = futures::future::join_all((0..1_000).map(|n| note(wave * 1_000 + n))).await;
        let taken = answers.iter().filter(|a| a.is_ok()).count();
        let told = answers.iter().filter(|a| matches!(a, Err(IntakeError::Busy))).count();
        assert_eq!((taken, told), (QUEUE, 1_000 - QUEUE), "what finds no room is told at once, and nothing piles up");
        assert_eq!(store.head().await.unwrap().seq - before, QUEUE as u64, "each that was taken, once");
        // Two commits of four, and perhaps one that was under way.
        assert!(began.elapsed() <= commit * 3 + Duration::from_secs(1), "{:?}", began.elapsed());
    }
    tasks.drain(Duration::from_secs(60)).await;
}

/// A ledger with the documents of so many rejected incidents; nobody can read the first.
async fn rejected(folder: &Path, count: usize) {
    let store = SqliteStore::open(&SqliteOptions::in_folder(folder)).await.unwrap();
    let mut state = domain::State::default();
    let event = |what: IncidentEvent| Event {
        happened: None,
        at: Timestamp(NOW),
        mode: Mode::Real,
        by: By::System,
        vault_next: 2,
        body: what.into(),
    };
    let incidents: Vec<IncidentId> = (3001..).map(IncidentId).take(count).collect();
    for incident in incidents.iter().copied() {
        state.apply(&event(IncidentEvent::Reported {
            incident,
            class: "noise".into(),
            level: Level::Normal,
            place: Place::about("g".into(), Point { x: 0.0, y: 0.0 }),
            channel: Channel::Call,
            code: "A".to_owned(),
            reporter: None,
            text: None,
            alarm: None,
        }));
        state.apply(&event(IncidentEvent::Rejected { incident, reason: VaultId(1) }));
    }
    let document = |kind: &str, id: String, payload: Vec<u8>| DocumentRow {
        kind: kind.to_owned(),
        id,
        rev_seq: 1,
        deleted: false,
        open: false,
        columns: ledger::Columns::default(),
        payload: payload.into(),
    };
    let incident = |id: &IncidentId| {
        let read = wire::document::encode(&state, &Key::Incident(*id)).unwrap();
        document("incident", id.to_string(), if id.0 == 3001 { b"unreadable".to_vec() } else { read })
    };
    let counters = document("counters", "-".to_owned(), wire::document::counters(&state));
    let documents = incidents.iter().map(incident).chain([counters]).collect();
    let (kind, stream) = ("noted".to_owned(), "incident/1".to_owned());
    let one = EventRow { at_ms: NOW, kind, version: 1, stream, mode: 0, payload: Vec::new().into() };
    let head = store.open_writer().await.unwrap();
    store.append(&Batch { events: vec![one], documents, ..Batch::new(head) }).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_start_reads_what_goes_on_and_not_all_that_ended() {
    let folder = tempfile::tempdir().unwrap();
    rejected(folder.path(), KEEP_ENDED + 1).await;
    // Whoever reads the one that ended longest ago fails.
    let centre = Centre::started(folder.path()).await;
    let note = |n| Command::Note { incident: IncidentId(n), text: "补记".to_owned() };
    assert!(centre.command("known", chief(), note(3002)).await.is_ok());
    let unread = centre.command("unread", chief(), note(3001)).await.unwrap_err();
    assert!(matches!(unread, IntakeError::Unavailable(_)), "there is such an incident: {unread:?}");
    let ghost = centre.command("ghost", chief(), note(1)).await.unwrap_err();
    assert!(matches!(ghost, IntakeError::Refused(r) if r.code == Code::NoIncident));
    centre.stop().await;
}

#[tokio::test]
async fn an_input_that_cannot_be_stored_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    let before = centre.store.head().await.unwrap().seq;
    let (from, to) = (Timestamp(NOW), Timestamp(NOW));
    // A picture that was swept before its feedback came.
    let blob = "0123456789abcdef0123456789abcdef".into();
    let exhibit = Exhibit { blob, kind: ExhibitKind::Photo, camera: None, from, to };
    let lost = Command::AddExhibit { of: ExhibitOf::Incident(incident), exhibit };
    let note = |text: &str| Command::Note { incident, text: text.to_owned() };
    let (first, lost, last) = tokio::join!(
        centre.command("n1", chief(), note("一")),
        centre.command("lost", Actor::System, lost),
        centre.command("n2", chief(), note("二")),
    );
    // Whoever repeats what may succeed later must not repeat this one.
    assert_eq!(lost, Err(IntakeError::Unstorable));
    assert_eq!((first.unwrap().position.seq, last.unwrap().position.seq), (before + 1, before + 2));
    assert!(centre.writer.status().borrow().ok);
    centre.stop().await;
}

#[tokio::test]
async fn time_passes_while_inputs_wait() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    let site = site::built_in();
    let gas = site.sensors.iter().find(|s| s.kind == SensorKind::Gas).unwrap();
    let alarm = centre.edge(&gas.id, "gas").await.refs.alarm.unwrap();
    let shelve = Command::ShelveAlarm { alarm, span: Millis::minutes(1), reason: "检修".to_owned() };
    centre.command("s", chief(), shelve).await.unwrap();
    centre.stop().await;

    let options = WriterOptions { batch: 1, ..WriterOptions::default() };
    let centre = Centre::open_at(folder.path(), NOW + 3_600_000, options).await;
    let note = |n: u32| {
        let (centre, text) = (&centre, n.to_string());
        async move { centre.command(&text.clone(), chief(), Command::Note { incident, text }).await.unwrap() }
    };
    // All of them wait before the writer looks for the first time.
    let noted = futures::future::join_all((0..20).map(note)).await;
    let tail = centre.store.tail(0, 1_000).await.unwrap();
    let unshelved = tail.iter().find(|e| e.event.kind == "alarm_unshelved").map(|e| e.seq);
    assert!(unshelved.is_some_and(|seq| seq < noted[19].position.seq), "{unshelved:?}");
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
    let Body::Incident(IncidentEvent::Noted { text, .. }) = event.body else { panic!("another event") };
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
    for d in centre.store.snapshot(&wire::document::KINDS, usize::MAX).await.unwrap().1 {
        let id = if d.id == "-" { "" } else { &d.id };
        wire::document::load(&mut loaded, &d.kind, id, &d.payload).unwrap();
    }
    assert_eq!(replayed, loaded);
    centre.stop().await;
}

#[tokio::test]
async fn a_writer_that_was_fenced_off_ends_and_takes_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let other = SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap();
    let term = other.open_writer().await.unwrap().term;
    let refused = centre.command("k", Actor::System, Command::ConfirmAlarm(domain::ids::AlarmId(1))).await;
    assert!(refused.is_err(), "{refused:?}");
    let input = Input::Observe {
        mode: Mode::Real,
        observation: Observation::Unreadable { source: "x".to_owned(), why: "y".to_owned(), size: 1 },
    };
    let answer = centre.writer.submit(Submission::keyless(input)).await;
    assert!(matches!(answer, Err(IntakeError::Unavailable(_))), "{answer:?}");
    centre.tasks.failed().cancelled().await;
    assert!(centre.writer.status().borrow().fenced, "whoever runs it can tell this end from others");
    assert!(centre.writer.status().borrow().reason.starts_with("另一个写入者接管了台账 "));
    assert_eq!(other.head().await.unwrap().term, term);
}

#[tokio::test]
async fn a_writer_that_could_not_store_takes_nothing_back_from_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::started(folder.path()).await;
    let incident = fire(&centre).await;
    centre.store.refuse_writes(true).await.unwrap();
    let note = |text: &str| Command::Note { incident, text: text.to_owned() };
    let refused = centre.command("k", chief(), note("一")).await;
    let Err(IntakeError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.starts_with("存储") && why.contains(" ledger: the store "), "{why}");
    let other = SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap();
    let term = other.open_writer().await.unwrap().term;
    centre.store.refuse_writes(false).await.unwrap();
    centre.tasks.failed().cancelled().await;
    assert!(centre.writer.status().borrow().fenced, "whoever runs it can tell this end from others");
    assert_eq!(other.head().await.unwrap().term, term);
}
