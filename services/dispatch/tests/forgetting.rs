//! What ended long ago leaves the writer's memory while it runs, and comes back when it is named.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dispatch::{Writer, WriterOptions};
use domain::{
    event::Mode,
    ids::{AlarmId, IncidentId, MessageId, PatrolId, SensorId, TaskId},
    incident::{Channel, Exhibit, ExhibitKind},
    input::{Actor, Command, ExhibitOf, Input, Observation, PushTarget, Refs},
    patrol::PatrolKind,
    refusal::Code,
    site::{Place, SensorKind, Site},
    state::KEEP_ENDED,
    task::{FeedbackResult, Receipt},
    time::{Millis, Timestamp},
};
use futures::future::join_all;
use ledger::{
    LocalBus,
    testing::memory::{Call, Fate, MemoryDisk, Weather},
};
use link::intake::{Intake as _, IntakeError, Submission};
use runtime::{ManualClock, Tasks};

const NOW: i64 = 1_700_000_000_000;

/// Counts what is read.
#[derive(Default)]
struct Reads(AtomicUsize);

impl Weather for Reads {
    fn of(&self, call: Call) -> Fate {
        self.0.fetch_add(usize::from(call == Call::Read), Ordering::SeqCst);
        Fate::GOOD
    }
}

struct Centre {
    site: Arc<Site>,
    writer: Writer,
    tasks: Tasks,
    reads: Arc<Reads>,
}

impl Centre {
    async fn start() -> Self {
        let (reads, tasks) = (Arc::<Reads>::default(), Tasks::default());
        let store = Arc::new(MemoryDisk::new(1).open_in(reads.clone()));
        let (bus, clock) = (Arc::new(LocalBus::new(1_024)), Arc::new(ManualClock::at(NOW)));
        let writer = dispatch::start("maojiawan".into(), store, bus, clock, WriterOptions::default(), &tasks);
        let centre = Self { site: site::built_in(), writer, tasks, reads };
        centre.put(Command::SetSite(centre.site.clone())).await.unwrap();
        centre
    }

    async fn give(&self, input: Input) -> Result<Refs, IntakeError> {
        self.writer.submit(Submission::keyless(input)).await.map(|done| done.refs)
    }

    async fn put(&self, command: Command) -> Result<Refs, IntakeError> {
        self.give(Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }).await
    }

    async fn observe(&self, observation: Observation) -> Refs {
        self.give(Input::Observe { mode: Mode::Real, observation }).await.unwrap()
    }

    async fn edge(&self, sensor: &SensorId, kind: &str, raised: bool) -> Refs {
        let (sensor, rule, kind, at) = (sensor.clone(), "r".into(), kind.into(), Timestamp(NOW));
        self.observe(Observation::SensorEdge { sensor, rule, kind, raised, value: None, at }).await
    }

    fn sensor(&self, kind: SensorKind) -> SensorId {
        let of_12 = |p: &Place| p.building.as_ref().is_some_and(|b| b.as_str() == "b12");
        self.site.sensors.iter().find(|s| s.kind == kind && of_12(&s.place)).unwrap().id.clone()
    }

    /// A fire by two sensors that goes all the way to its end.
    async fn fire(&self) -> (IncidentId, AlarmId) {
        let (smoke, call) = (self.sensor(SensorKind::Smoke), self.sensor(SensorKind::CallPoint));
        self.edge(&smoke, "smoke", true).await;
        let refs = self.edge(&call, "call_point", true).await;
        let (incident, alarm) = (refs.incident.unwrap(), refs.alarm.unwrap());
        self.edge(&smoke, "smoke", false).await;
        self.edge(&call, "call_point", false).await;
        let target = PushTarget { unit: "fire".into(), lead: true, mandatory: true, arrive: None };
        let pushed = self.put(Command::Push { incident, targets: vec![target], text: None }).await.unwrap();
        let task = pushed.tasks[0];
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
            self.put(command).await.unwrap();
        }
        (incident, alarm)
    }

    /// An incident that is rejected.
    async fn noise(&self) -> IncidentId {
        let report = Command::Report {
            class: "noise".into(),
            level: None,
            place: self.site.sensors[0].place.clone(),
            channel: Channel::Call,
            reporter: None,
            text: None,
            into: None,
        };
        let incident = self.put(report).await.unwrap().incident.unwrap();
        self.put(Command::Reject { incident, reason: "重复".to_owned() }).await.unwrap();
        incident
    }

    /// An alarm that is judged false.
    async fn false_alarm(&self, n: usize) -> AlarmId {
        let (rule, kind, key) = ("d".into(), "smoke".into(), n.to_string());
        let place = self.site.sensors[n % self.site.sensors.len()].place.clone();
        let alarm = self.observe(Observation::RuleHit { rule, kind, key, place, text: None }).await.alarm.unwrap();
        let verdict = domain::alarm::Verdict::False;
        // Together with others of the same condition it may be judged already.
        let _ = self.put(Command::ConfirmAlarm(alarm)).await;
        let _ = self.put(Command::JudgeAlarm { alarm, verdict, class: None, text: None }).await;
        alarm
    }

    /// What the store is asked for to add a remark.
    async fn reads_of_a_note(&self, incident: IncidentId) -> usize {
        let before = self.reads.0.load(Ordering::SeqCst);
        self.put(Command::Note { incident, text: "补记".to_owned() }).await.unwrap();
        self.reads.0.load(Ordering::SeqCst) - before
    }
}

#[tokio::test]
async fn closed_cases_leave_memory_and_come_back_when_named() {
    let centre = Centre::start().await;
    let (fire, alarm) = centre.fire().await;
    let early = centre.false_alarm(0).await;
    assert_eq!(centre.reads_of_a_note(fire).await, 0, "it is in memory");
    let known = centre.put(Command::ConfirmAlarm(early)).await.unwrap_err();
    assert!(matches!(known, IntakeError::Refused(r) if r.code == Code::AlreadyConfirmed));

    let (mut incidents, mut alarms) = (Vec::new(), Vec::new());
    while incidents.len() < KEEP_ENDED || alarms.len() < KEEP_ENDED {
        incidents.extend(join_all((0..200).map(|_| centre.noise())).await);
        // One after another, so that each is of its own.
        for _ in 0..200 {
            alarms.push(centre.false_alarm(alarms.len()).await);
        }
    }
    incidents.sort_unstable();
    alarms.dedup();
    assert!(alarms.len() >= KEEP_ENDED, "each is another: {}", alarms.len());

    assert_eq!(centre.reads_of_a_note(*incidents.last().unwrap()).await, 0, "the newest stay");
    assert_eq!(centre.reads_of_a_note(incidents[incidents.len() - KEEP_ENDED]).await, 0, "as many as are kept");
    assert_eq!(centre.reads_of_a_note(fire).await, 2, "its document, and that of its alarm");
    assert_eq!(centre.reads_of_a_note(fire).await, 2, "it is forgotten again");
    let forgotten = centre.put(Command::ConfirmAlarm(early)).await.unwrap_err();
    assert!(matches!(forgotten, IntakeError::Refused(r) if r.code == Code::AlreadyConfirmed), "it is fetched");
    let never = centre.put(Command::ConfirmAlarm(AlarmId(999_999))).await.unwrap_err();
    assert!(matches!(never, IntakeError::Refused(r) if r.code == Code::NoAlarm));

    centre.put(Command::Reopen { incident: fire, reason: "复燃".to_owned() }).await.unwrap();
    assert_eq!(centre.reads_of_a_note(fire).await, 0, "it is open and stays");
    let smoke = centre.edge(&centre.sensor(SensorKind::Smoke), "smoke", true).await;
    assert_eq!(smoke.alarm, Some(alarm), "further evidence, and no alarm beside it");
    centre.tasks.drain(Duration::from_secs(5)).await;
}

/// One of each that has ended, by the numbers that inputs name it by.
struct Ended {
    incident: IncidentId,
    task: TaskId,
    alarm: AlarmId,
    message: MessageId,
    patrol: PatrolId,
    /// An incident that goes on.
    open: IncidentId,
}

impl Centre {
    async fn ended(&self) -> Ended {
        let (incident, _) = self.fire().await;
        let place = self.site.sensors[7].place.clone();
        let said = |text: &str, place| Observation::MessageIn {
            from: "19900001234".to_owned(),
            person: Some("key".to_owned()),
            text: text.to_owned(),
            place,
        };
        let refs = self.observe(said("楼道里有东西", Some(place))).await;
        let (message, alarm) = (refs.message.unwrap(), refs.alarm.unwrap());
        self.put(Command::ConfirmAlarm(alarm)).await.unwrap();
        let (verdict, class) = (domain::alarm::Verdict::False, None);
        self.put(Command::JudgeAlarm { alarm, verdict, class, text: None }).await.unwrap();
        let patrol = self.patrol().await;
        // The first task of a new log.
        let task = TaskId(1);
        let open = self.put(self.report(None)).await.unwrap().incident.unwrap();
        Ended { incident, task, alarm, message, patrol, open }
    }

    fn report(&self, into: Option<IncidentId>) -> Command {
        Command::Report {
            class: "noise".into(),
            level: None,
            place: self.site.sensors[0].place.clone(),
            channel: Channel::Call,
            reporter: None,
            text: None,
            into,
        }
    }

    /// A patrol that is over.
    async fn patrol(&self) -> PatrolId {
        let (kind, subject, due) = (PatrolKind::Data, "r".to_owned(), Timestamp(NOW));
        let patrol = self.observe(Observation::PatrolPlanned { kind, subject, due }).await.patrol.unwrap();
        self.observe(Observation::PatrolStarted { patrol, total: 1 }).await;
        self.observe(Observation::PatrolFinished { patrol, checked: 1 }).await;
        patrol
    }

    /// So much ends that nothing older stays in memory.
    async fn flood(&self) {
        for _ in 0..KEEP_ENDED / 200 + 1 {
            join_all((0..200).map(|_| self.noise())).await;
            join_all((0..200).map(|_| self.patrol())).await;
            let message = || Observation::MessageIn {
                from: "19900000000".to_owned(),
                person: None,
                text: "你好".to_owned(),
                place: None,
            };
            join_all((0..200).map(|_| self.observe(message()))).await;
        }
        let mut alarms = BTreeSet::new();
        for n in 0.. {
            alarms.insert(self.false_alarm(n).await);
            if alarms.len() > KEEP_ENDED {
                break;
            }
        }
    }

    /// Every input that names one of these and is refused, or changes nothing that another one is decided by.
    fn inputs(&self, e: &Ended) -> Vec<Input> {
        let Ended { incident, task, alarm, message, patrol, open } = *e;
        let (place, text, reason) = (self.site.sensors[7].place.clone(), None, "原因".to_owned());
        let (from, to) = (Timestamp(NOW), Timestamp(NOW));
        let exhibit = Exhibit { blob: "none".into(), kind: ExhibitKind::Still, camera: None, from, to };
        let target = PushTarget { unit: "fire".into(), lead: true, mandatory: true, arrive: None };
        let commands = vec![
            Command::Attend { incident, text: text.clone() },
            Command::Accept(incident),
            Command::Reject { incident, reason: reason.clone() },
            Command::Merge { incident, into: open },
            Command::Merge { incident: open, into: incident },
            self.report(Some(incident)),
            Command::File { incident, class: None, level: None },
            Command::Approve(incident),
            Command::RefuseApproval { incident, reason: reason.clone() },
            Command::Push { incident, targets: vec![target], text: text.clone() },
            Command::Verify { incident, text: text.clone() },
            Command::Close { incident, text: text.clone() },
            Command::Note { incident, text: "补记".to_owned() },
            Command::CorrectPlace { incident, place: place.clone() },
            Command::AddExhibit { of: ExhibitOf::Incident(incident), exhibit: exhibit.clone() },
            Command::Deliver { task, receipt: Receipt::Client, external: None },
            Command::Acknowledge(task),
            Command::EnRoute(task),
            Command::OnScene(task),
            Command::Feedback { task, result: FeedbackResult::Done, text: Some("好".to_owned()), photos: Vec::new() },
            Command::Decline { task, reason: reason.clone() },
            Command::Recall { task, reason: None },
            Command::Reassign { task, unit: "police".into(), reason: None },
            Command::Rework { task, reason: reason.clone() },
            Command::ConfirmAlarm(alarm),
            Command::JudgeAlarm { alarm, verdict: domain::alarm::Verdict::False, class: None, text },
            Command::ShelveAlarm { alarm, span: Millis::minutes(1), reason },
            Command::UnshelveAlarm(alarm),
            Command::PlaceAlarm { alarm, place: place.clone() },
            Command::AddExhibit { of: ExhibitOf::Alarm(alarm), exhibit },
            Command::PlaceMessage { message, place, class: None },
        ];
        let source = domain::alarm::Source::Message(message);
        let observations = vec![
            Observation::MessageSent { message, ok: true },
            Observation::PatrolStarted { patrol, total: 1 },
            Observation::PatrolFound { patrol, source, what: "x".to_owned() },
            Observation::PatrolFinished { patrol, checked: 1 },
        ];
        let command = |command| Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
        let observe = |observation| Input::Observe { mode: Mode::Real, observation };
        commands.into_iter().map(command).chain(observations.into_iter().map(observe)).collect()
    }
}

#[tokio::test]
async fn what_is_forgotten_is_answered_as_if_it_were_in_memory() {
    let centre = Centre::start().await;
    let ended = centre.ended().await;
    // What was reported once more is another incident each time.
    let answer = async |input: Input| match centre.give(input).await {
        Ok(refs) => Ok((refs.incident.filter(|i| *i == ended.incident), refs.alarm, refs.message)),
        Err(IntakeError::Refused(refusal)) => Err(refusal.code),
        Err(other) => panic!("{other:?}"),
    };
    let mut fresh = Vec::new();
    for input in centre.inputs(&ended) {
        let before = centre.reads.0.load(Ordering::SeqCst);
        fresh.push(answer(input.clone()).await);
        assert_eq!(centre.reads.0.load(Ordering::SeqCst), before, "{input:?} is of what is in memory");
    }
    assert!(!fresh.iter().any(|a| matches!(a, Err(Code::NoIncident | Code::NoAlarm | Code::NoTask))), "{fresh:?}");
    centre.flood().await;
    for (input, fresh) in centre.inputs(&ended).into_iter().zip(fresh) {
        let before = centre.reads.0.load(Ordering::SeqCst);
        assert_eq!(answer(input.clone()).await, fresh, "{input:?}");
        let reads = centre.reads.0.load(Ordering::SeqCst) - before;
        assert!((1..=3).contains(&reads), "{input:?} is of what is forgotten: {reads} reads");
    }
    // All at once they are one commit, and share their reads.
    let before = centre.reads.0.load(Ordering::SeqCst);
    let refused = centre.inputs(&ended).into_iter().filter(|i| i.task().is_none());
    let answers = join_all(refused.map(&answer)).await;
    assert!(answers.iter().any(Result::is_err));
    assert!(centre.reads.0.load(Ordering::SeqCst) - before <= 4, "{answers:?}");
    centre.tasks.drain(Duration::from_secs(5)).await;
}
