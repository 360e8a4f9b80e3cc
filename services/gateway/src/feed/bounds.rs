//! What many clients and many years may cost: reads of the log, the kernel's memory, the moment at which clients come back,
//! and what a gateway keeps of what ended.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test of its own runtime")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dispatch::{Writer, WriterOptions};
use domain::{
    access::Audience,
    account::{Account, Role},
    alarm::Verdict,
    event::{By, Event, Key, Mode},
    ids::{AlarmId, IncidentId, VaultId},
    incident::{Channel, IncidentEvent},
    input::{Actor, Command, Input, Observation, PushTarget, Refs},
    site::{Level, Place, Point},
    state::KEEP_ENDED,
    task::FeedbackResult,
    time::Timestamp,
};
use futures::future::join_all;
use ledger::{
    Batch, Bus, EventRow, LocalBus, Log as _, Position, Published, Store,
    testing::memory::{Call, Ending, Fate, MemoryDisk, MemoryStore, Weather},
};
use link::intake::{Intake as _, Submission};
use prost::Message as _;
use runtime::{ManualClock, Tasks, chance};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use wire::feed::{self, server_message::Kind as Message, state};

use super::{
    Hub,
    form::Form,
    io::Io,
    model::{
        pipe::{Line, pipe},
        site::site,
    },
    ring::Look,
    socket::{RETRY_EACH_MS, RETRY_MS, Room, converse},
    stream::Kind,
    supply::GAP_READS,
};
use crate::{
    Config,
    accounts::Verifier,
    config::{FEED_SEND_BUFFER, FEED_UNSENT, NETWORK_PATIENCE},
    mirror::Mirror,
    session::{Caller, Sessions},
};

const NOW: i64 = 1_800_000_000_000;
const READ: Duration = Duration::from_secs(1);

/// Reads take a second once it is slow, and those that begin at one moment are counted.
#[derive(Default)]
struct Counted {
    slow: AtomicBool,
    begun: Mutex<BTreeMap<Instant, usize>>,
}

impl Weather for Counted {
    fn of(&self, call: Call) -> Fate {
        if !self.slow.load(Ordering::SeqCst) || call != Call::Read {
            return Fate::GOOD;
        }
        *self.begun.lock().unwrap().entry(Instant::now()).or_default() += 1;
        Fate { before: READ, ending: Ending::Good, after: Duration::ZERO }
    }
}

/// A gateway over a log of some remarks.
async fn room(weather: Arc<Counted>, most: usize) -> Room {
    let disk = MemoryDisk::new(1);
    let store = disk.open_in(weather);
    let head = store.open_writer().await.unwrap();
    store.append(&Batch { events: vec![remark(); 20], ..Batch::new(head) }).await.unwrap();
    room_of(store, most).await
}

fn event(what: IncidentEvent) -> Event {
    Event { at: Timestamp(NOW), happened: None, mode: Mode::Real, by: By::System, vault_next: 2, body: what.into() }
}

/// An event.
pub(super) fn remark() -> EventRow {
    let event = event(IncidentEvent::Noted { incident: IncidentId(1), text: VaultId(1) });
    EventRow {
        at_ms: NOW,
        kind: event.body.name().to_owned(),
        version: wire::event::VERSION,
        stream: "incident/1".to_owned(),
        mode: 0,
        payload: wire::event::encode(&event).into(),
    }
}

/// As if memory had the incident of the remarks.
fn remember(room: &Room) {
    let reported = IncidentEvent::Reported {
        incident: IncidentId(1),
        class: "noise".into(),
        level: Level::Yellow,
        place: Place::about("g1".into(), Point { x: 20.0, y: 20.0 }),
        channel: Channel::Call,
        code: "1".to_owned(),
        reporter: None,
        text: None,
        alarm: None,
    };
    room.mirror.write(|seen| seen.state.apply(&event(reported)));
}

async fn room_of(store: MemoryStore, most: usize) -> Room {
    let store: Arc<dyn Store> = Arc::new(store);
    let clock = Arc::new(ManualClock::at(NOW));
    let (mirror, config) = (Arc::new(Mirror::new(store.clone())), Config::default());
    mirror.load().await.unwrap();
    let verifier = Verifier::new().unwrap();
    let sessions = Arc::new(Sessions::with(verifier, &config, store.clone(), clock.clone(), mirror.clone()));
    let hub = Arc::new(Hub::new(&config, store, clock.clone(), mirror.clone(), sessions.clone()));
    let places = Arc::new(Semaphore::new(most));
    Room { hub, mirror, sessions, clock, places, most, stop: CancellationToken::new() }
}

fn caller() -> Caller {
    let (id, role) = (domain::ids::AccountId::from("duty"), Role::DutyOfficer);
    let account = Account { id: id.clone(), role, unit: None, grid: None, name: VaultId(0), active: true };
    let actor = Actor::Account { id, role, unit: None, grid: None };
    Caller { token: [7; 32], account, actor, audience: Audience::Centre }
}

#[tokio::test(start_paused = true)]
async fn a_few_gaps_are_read_at_once_however_many_audiences_ask() {
    let weather = Arc::new(Counted::default());
    let room = room(weather.clone(), 1).await;
    remember(&room);
    let streams: Vec<_> = (0..10 * GAP_READS)
        .map(|n| {
            let audience = Audience::Unit(format!("unit{n}").as_str().into());
            room.hub.stream(Kind { audience, conflate: false, form: Form::Protobuf }).unwrap()
        })
        .collect();
    weather.slow.store(true, Ordering::SeqCst);
    // Several clients of each, as after a gateway's restart.
    let asked = streams.iter().flat_map(|s| [s; 5]).map(|(stream, epoch)| room.hub.history(stream, epoch.number, 3));
    let filled = join_all(asked).await;
    assert!(filled.iter().all(|gap| matches!(gap, Ok(Some(_)))), "everybody's gap is filled");
    let begun = weather.begun.lock().unwrap();
    let counts: Vec<usize> = begun.values().copied().collect();
    // Of each audience the events and their texts, once.
    assert_eq!(counts, [GAP_READS; 20], "reads that run at once");
}

#[tokio::test]
async fn a_gap_over_what_memory_has_forgotten_is_no_gap_to_fill() {
    let room = room(Arc::default(), 1).await;
    let kind = Kind { audience: Audience::Centre, conflate: false, form: Form::Protobuf };
    let (stream, epoch) = room.hub.stream(kind).unwrap();
    let filled = async || room.hub.history(&stream, epoch.number, 3).await.unwrap().is_some();
    assert!(!filled().await, "its events would be left out");
    remember(&room);
    assert!(filled().await);
}

#[tokio::test]
async fn a_case_that_moved_away_is_gone_for_who_saw_it_elsewhere_just_before() {
    let centre = Centre::start().await;
    centre.followed().await;
    // A gateway that takes all at once what another took one by one.
    let slow = room_of(centre.disk.open(), 1).await;
    let audience = Audience::Grid("g2".into(), "team2".into());
    let (stream, epoch) = slow.hub.stream(Kind { audience, conflate: false, form: Form::Json }).unwrap();
    let Position { log_id, seq: before } = slow.mirror.read().head.unwrap();
    let place = |grid: &str| Place::about(grid.into(), Point { x: 130.0, y: 20.0 });
    let (class, channel) = ("noise".into(), Channel::Call);
    let report =
        Command::Report { class, level: None, place: place("g2"), channel, reporter: None, text: None, into: None };
    let incident = centre.command(report).await.incident.unwrap();
    let reported = centre.room.hub.store.head().await.unwrap().seq;
    centre.command(Command::CorrectPlace { incident, place: place("g1") }).await;
    let events = centre.room.hub.store.tail(before, 100).await.unwrap();
    let published = |event| Arc::new(Published { log_id, event, documents: Vec::new() });
    let published: Vec<_> = events.into_iter().map(published).collect();
    assert!(published.len() >= 2);
    slow.hub.take_all(&published).await.unwrap();
    let Ok(Look::Messages(messages, upto)) = stream.look(epoch.number, reported) else { panic!("it fell off") };
    assert_eq!(upto, published.last().unwrap().event.seq);
    let told = messages.iter().map(|m| String::from_utf8_lossy(m).into_owned()).collect::<String>();
    assert!(told.contains(r#""gone":{"kind":"incident""#), "{told}");
    centre.tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_kernel_holds_little_for_a_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (_client, accepted) = (client.unwrap(), accepted.unwrap().0);
    let Io::Tcp(tcp) = Io::from(accepted) else { panic!("a TCP connection") };
    let socket = SockRef::from(&tcp);
    // The kernel doubles what it is asked for.
    assert_eq!(socket.send_buffer_size().unwrap(), FEED_SEND_BUFFER * 2);
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), FEED_UNSENT);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(NETWORK_PATIENCE));
}

/// The pauses that `clients` are told when their gateway drains, sorted.
async fn handed_over(clients: usize) -> Vec<u32> {
    let room = room(Arc::default(), 10_000).await;
    let _taken = room.places.clone().acquire_many_owned(u32::try_from(clients).unwrap()).await.unwrap();
    let (ends, lines): (Vec<_>, Vec<_>) = (0..clients).map(|_| pipe(4_096)).unzip();
    let talks = ends.into_iter().map(|end| converse(room.clone(), caller(), Form::Protobuf, Io::Pipe(end), &[]));
    room.stop.cancel();
    let told = lines.into_iter().map(|mut line: Line| async move {
        let message = feed::ServerMessage::decode(&*line.next().await.unwrap()).unwrap();
        match message.kind {
            Some(Message::Handover(handover)) => handover.retry_after_ms,
            other => panic!("{other:?}"),
        }
    });
    let (_, mut told) = tokio::join!(join_all(talks), join_all(told));
    told.sort_unstable();
    told
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_drained_gateway_come_back_by_lot_over_a_time_that_grows_with_them() {
    for seed in 0..3 {
        chance::fix(seed);
        for clients in [50, 400, 2_000, 8_000] {
            let told = handed_over(clients).await;
            let within = (u32::try_from(clients).unwrap() * RETRY_EACH_MS).clamp(RETRY_MS.0, RETRY_MS.1);
            assert!(told.iter().all(|ms| *ms <= within), "{clients}: {told:?}");
            // A tenth of the time brings about a tenth of them.
            let tenths = (0..10).map(|n| {
                let (from, to) = (within * n / 10, within * (n + 1) / 10 + u32::from(n == 9));
                told.iter().filter(|ms| (from..to).contains(ms)).count()
            });
            let tenths: Vec<usize> = tenths.collect();
            let even = if clients < 400 { 0..=clients * 3 / 10 } else { clients / 20..=clients * 3 / 20 };
            assert!(tenths.iter().all(|n| even.contains(n)), "seed {seed}, {clients} clients: {tenths:?}");
        }
    }
}

/// A writer beside a gateway that follows it.
struct Centre {
    disk: MemoryDisk,
    writer: Writer,
    room: Room,
    tasks: Tasks,
}

impl Centre {
    async fn start() -> Self {
        let (disk, tasks) = (MemoryDisk::new(1), Tasks::default());
        let (bus, clock): (Arc<dyn Bus>, _) = (Arc::new(LocalBus::new(4_096)), Arc::new(ManualClock::at(NOW)));
        let options = WriterOptions::default();
        let writer = dispatch::start("test".into(), Arc::new(disk.open()), bus.clone(), clock, options, &tasks);
        let room = room_of(disk.open(), 1).await;
        room.hub.start(bus, CancellationToken::new(), &tasks);
        let centre = Self { disk, writer, room, tasks };
        centre.command(Command::SetSite(Arc::new(site()))).await;
        centre
    }

    async fn give(&self, input: Input) -> Refs {
        self.writer.submit(Submission::keyless(input)).await.unwrap().refs
    }

    async fn command(&self, command: Command) -> Refs {
        self.give(Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }).await
    }

    async fn alarm(&self, n: usize, grid: &str, x: f64) -> AlarmId {
        let place = Place::about(grid.into(), Point { x, y: 20.0 });
        let (rule, kind, key) = ("d".into(), "smoke".into(), n.to_string());
        let observation = Observation::RuleHit { rule, kind, key, place, text: None };
        let alarm = self.give(Input::Observe { mode: Mode::Real, observation }).await.alarm.unwrap();
        self.command(Command::ConfirmAlarm(alarm)).await;
        alarm
    }

    async fn judge(&self, alarm: AlarmId, verdict: Verdict) -> Refs {
        self.command(Command::JudgeAlarm { alarm, verdict, class: None, text: None }).await
    }

    /// An alarm's incident that goes all the way to its end.
    async fn closed(&self) -> (IncidentId, AlarmId) {
        let alarm = self.alarm(0, "g1", 20.0).await;
        let incident = self.judge(alarm, Verdict::Genuine).await.incident.unwrap();
        let target = PushTarget { unit: "fire".into(), lead: true, mandatory: true, arrive: None };
        self.command(Command::File { incident, class: None, level: None }).await;
        let task = self.command(Command::Push { incident, targets: vec![target], text: None }).await.tasks[0];
        let (result, text) = (FeedbackResult::Done, Some("已扑灭".to_owned()));
        for command in [
            Command::Acknowledge(task),
            Command::EnRoute(task),
            Command::OnScene(task),
            Command::Feedback { task, result, text, photos: Vec::new() },
            Command::Verify { incident, text: None },
            Command::Approve(incident),
            Command::Close { incident, text: None },
        ] {
            self.command(command).await;
        }
        (incident, alarm)
    }

    async fn rejected(&self) {
        let place = Place::about("g2".into(), Point { x: 130.0, y: 20.0 });
        let (class, channel) = ("noise".into(), Channel::Call);
        let report = Command::Report { class, level: None, place, channel, reporter: None, text: None, into: None };
        let incident = self.command(report).await.incident.unwrap();
        self.command(Command::Reject { incident, reason: "重复".to_owned() }).await;
    }

    /// Until the gateway has come as far as the log.
    async fn followed(&self) {
        let head = self.room.hub.store.head().await.unwrap().seq;
        while self.room.mirror.read().head.is_none_or(|h| h.seq < head) {
            tokio::task::yield_now().await;
        }
    }

    async fn stage(&self, incident: IncidentId) -> Option<String> {
        let shown = self.room.mirror.view(&Audience::Centre, &Key::Incident(incident)).await.unwrap()?;
        match shown.kind {
            Some(state::Kind::Incident(incident)) => Some(incident.stage),
            _ => None,
        }
    }
}

#[tokio::test]
async fn closed_cases_leave_the_mirror_and_come_back_when_they_go_on() {
    let centre = Centre::start().await;
    let (incident, alarm) = centre.closed().await;
    let known = || {
        let seen = centre.room.mirror.read();
        (seen.state.incidents.contains_key(&incident), seen.state.alarms.contains_key(&alarm))
    };
    centre.followed().await;
    assert_eq!(known(), (true, true));
    let mut most = (0, 0, 0);
    for round in 0..=KEEP_ENDED / 100 {
        join_all((0..100).map(|_| centre.rejected())).await;
        for n in 0..100 {
            let alarm = centre.alarm(1 + round * 100 + n, "g2", 130.0).await;
            centre.judge(alarm, Verdict::False).await;
        }
        centre.followed().await;
        let seen = centre.room.mirror.read();
        let now = (seen.state.incidents.len(), seen.state.alarms.len(), seen.revs.len());
        most = (most.0.max(now.0), most.1.max(now.1), most.2.max(now.2));
    }
    // Those that ended, and the alarms of incidents that are kept: none here once the first is forgotten.
    assert!(most.0 <= KEEP_ENDED && most.1 <= KEEP_ENDED + 1, "{most:?}");
    assert!(most.0 == KEEP_ENDED && most.1 >= KEEP_ENDED, "the bound is met: {most:?}");
    assert_eq!(known(), (false, false));
    assert_eq!(centre.stage(incident).await.as_deref(), Some("closed"), "it is looked up");
    centre.command(Command::Reopen { incident, reason: "复燃".to_owned() }).await;
    centre.followed().await;
    assert_eq!(known(), (true, true), "with the alarm whose film it shows");
    assert_eq!(centre.stage(incident).await.as_deref(), Some("approved"));
    assert!(centre.room.mirror.read().state.incidents.len() <= KEEP_ENDED + 1);
    centre.tasks.drain(Duration::from_secs(5)).await;
}
