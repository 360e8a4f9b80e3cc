//! A centre without a ledger and departments without a database.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use domain::{
    event::Mode,
    ids::*,
    input::{Command, Input, Observation, Outgoing, Refs},
    refusal::{Code, Refusal},
    site::{AlarmKind, Building, Class, Level, Limits, Name, Point, Site, Unit, UnitKind},
    time::Millis,
};
use exchange::{
    Config, Exchange, ExchangeError, Parts,
    config::Secret,
    ports::{Content, ContentError, Due, MessageContent, TaskContent},
    sign,
};
use ledger::{Outbox, OutboxRow, StoredOutbox};
use link::intake::{Done, Intake, IntakeError, Position, Submission};
use runtime::{Clock, Criticality, ManualClock, Tasks, tasks::Stage};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

/// 2026-01-01 08:00 in China, on the grid of an hour.
pub(crate) const NOW: i64 = 1_767_225_600_000;
/// Tasks from this number on are yellow, others red.
pub(crate) const YELLOW: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a state that must come.
pub(crate) async fn wait<T: Clone + std::fmt::Debug>(of: &watch::Sender<T>, enough: impl Fn(&T) -> bool) -> T {
    let mut receiver = of.subscribe();
    let found = tokio::time::timeout(PATIENCE, receiver.wait_for(|v| enough(v))).await;
    match found {
        Ok(value) => value.unwrap().clone(),
        Err(_) => panic!("never came: {:?}", of.borrow()),
    }
}

/// The writer.
pub(crate) struct Writer {
    shut: AtomicBool,
    known: Mutex<BTreeMap<String, (Vec<u8>, Refs)>>,
    taken: Mutex<Vec<(Option<String>, Input)>>,
    next: AtomicU64,
    pub(crate) seen: watch::Sender<Vec<Observation>>,
    pub(crate) settled: watch::Sender<Vec<u64>>,
}

impl Writer {
    pub(crate) fn taken(&self) -> Vec<(Option<String>, Input)> {
        self.taken.lock().unwrap().clone()
    }
    pub(crate) fn observations(&self) -> Vec<Observation> {
        self.seen.borrow().clone()
    }
    pub(crate) fn shut(&self, shut: bool) {
        self.shut.store(shut, SeqCst);
    }

    fn refs(&self, input: &Input) -> Refs {
        let mut refs = Refs::default();
        match input {
            Input::Observe { observation: Observation::PatrolPlanned { .. }, .. } => {
                refs.patrol = Some(PatrolId(self.next.fetch_add(1, SeqCst)));
            }
            Input::Observe { observation: Observation::MessageIn { .. }, .. } => {
                refs.message = Some(MessageId(self.next.fetch_add(1, SeqCst)));
            }
            _ => {}
        }
        refs
    }
}

#[async_trait]
impl Intake for Writer {
    fn site(&self) -> SiteId {
        "t".into()
    }
    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError> {
        if self.shut.load(SeqCst) {
            return Err(IntakeError::Unavailable("shut by the test".into()));
        }
        let Submission { key, request, input, settles } = submission;
        let done = |refs, replayed| Done { position: Position { log_id: 1, seq: 1 }, refs, replayed };
        let key = key.map(|k| format!("{} {}", k.scope, k.key));
        if let Some(key) = &key
            && let Some((before, refs)) = self.known.lock().unwrap().get(key)
        {
            return if before == &request { Ok(done(refs.clone(), true)) } else { Err(IntakeError::KeyReused) };
        }
        if let Input::Command { command: Command::EnRoute(task), .. } = &input {
            let code = if task.0 == 404 { Code::NoTask } else { Code::WrongTaskState };
            return Err(Refusal::new(code).into());
        }
        let refs = self.refs(&input);
        if let Some(key) = &key {
            self.known.lock().unwrap().insert(key.clone(), (request, refs.clone()));
        }
        if let Input::Observe { observation, .. } = &input {
            self.seen.send_modify(|s| s.push(observation.clone()));
        }
        if input != Input::Tick {
            self.taken.lock().unwrap().push((key, input));
        }
        self.settled.send_modify(|s| s.extend(settles));
        Ok(done(refs, false))
    }
}

/// The outbox: rows of the test, without those that the writer settled.
struct Memory {
    rows: Mutex<Vec<StoredOutbox>>,
    put_off: watch::Sender<u64>,
    writer: Arc<Writer>,
}

#[async_trait]
impl Outbox for Memory {
    async fn outbox_due(&self, kinds: &[&str], now_ms: i64, limit: usize) -> ledger::Result<Vec<StoredOutbox>> {
        let settled = self.writer.settled.borrow().clone();
        let rows = self.rows.lock().unwrap();
        let ours = |r: &&StoredOutbox| kinds.contains(&r.row.kind.as_str()) && !settled.contains(&r.id);
        let due = rows.iter().filter(ours).filter(|r| r.row.due_ms <= now_ms);
        Ok(due.take(limit).cloned().collect())
    }
    async fn outbox_retry(&self, id: u64, due_ms: i64, attempts: u32, last_error: &str) -> ledger::Result<bool> {
        let mut rows = self.rows.lock().unwrap();
        let Some(row) = rows.iter_mut().find(|r| r.id == id) else { return Ok(false) };
        (row.row.due_ms, row.attempts, row.last_error) = (due_ms, attempts, Some(last_error.to_owned()));
        self.put_off.send_modify(|n| *n += 1);
        Ok(true)
    }
    async fn outbox_waiting(&self) -> ledger::Result<u64> {
        Ok(self.rows.lock().unwrap().len() as u64)
    }
    async fn outbox_by_target(&self) -> ledger::Result<Vec<(String, u64)>> {
        let mut counts = BTreeMap::new();
        self.rows.lock().unwrap().iter().for_each(|r| *counts.entry(r.row.target.clone()).or_default() += 1);
        Ok(counts.into_iter().collect())
    }
    async fn outbox_next_due(&self) -> ledger::Result<Option<i64>> {
        Ok(self.rows.lock().unwrap().iter().map(|r| r.row.due_ms).min())
    }
}

struct Texts;

#[async_trait]
impl Content for Texts {
    async fn task(&self, _: IncidentId, task: TaskId) -> Result<Option<TaskContent>, ContentError> {
        Ok(Some(TaskContent {
            code: "MJW-1".into(),
            mode: Mode::Real,
            class: "fire".into(),
            class_name: "火情".into(),
            level: if task.0 < YELLOW { Level::Red } else { Level::Yellow },
            place: "12栋2单元".into(),
            point: Point { x: 1.0, y: 2.0 },
            lead: true,
            taken: false,
            text: Some("请立即到场".into()),
            due: Due { acknowledge: Some(NOW + 60_000), arrive: None, handle: None },
            at: NOW,
        }))
    }
    async fn message(&self, message: MessageId) -> Result<Option<MessageContent>, ContentError> {
        Ok(Some(MessageContent { to: format!("1990000000{message}"), text: "已收到".into() }))
    }
}

/// The centre's side.
pub(crate) struct Centre {
    pub(crate) exchange: Exchange,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: ManualClock,
    router: Router,
    outbox: Arc<Memory>,
    config: Config,
}

pub(crate) struct Running(Tasks);

impl Running {
    pub(crate) async fn stop(self) {
        self.0.drain(Duration::from_secs(10)).await;
    }
}

pub(crate) fn config() -> Config {
    runtime::config::parse("exchange.toml", include_str!("../exchange.toml")).unwrap()
}

impl Centre {
    pub(crate) fn new(config: Config) -> Result<Self, ExchangeError> {
        let writer = Arc::new(Writer {
            shut: AtomicBool::new(false),
            known: Mutex::default(),
            taken: Mutex::default(),
            next: AtomicU64::new(1),
            seen: watch::channel(Vec::new()).0,
            settled: watch::channel(Vec::new()).0,
        });
        let clock = ManualClock::at(NOW);
        let outbox = Arc::new(Memory { rows: Mutex::default(), put_off: watch::channel(0).0, writer: writer.clone() });
        let exchange = Exchange::new(Parts {
            config: config.clone(),
            site: Arc::new(site()),
            intake: writer.clone(),
            outbox: outbox.clone(),
            decode: Arc::new(decode),
            content: Arc::new(Texts),
            hash: Arc::new(|text| format!("hash of {text}")),
            clock: Arc::new(clock.clone()),
        })?;
        Ok(Self { router: exchange.router(), exchange, writer, clock, outbox, config })
    }

    pub(crate) fn run(&self) -> Running {
        let tasks = Tasks::default();
        let (exchange, stop) = (self.exchange.clone(), tasks.stop(Stage::Sources));
        tasks.spawn("exchange", Stage::Sources, Criticality::Critical, async move { exchange.run(stop).await });
        Running(tasks)
    }

    /// Lets the test's clock run a thousand times faster than ours while the guard lives.
    pub(crate) fn clock_runs(&self) -> impl Drop + use<> {
        struct Guard(Tasks);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.stop(Stage::Sources).cancel();
            }
        }
        let tasks = Tasks::default();
        let (clock, stop) = (self.clock.clone(), tasks.stop(Stage::Sources));
        tasks.spawn("clock", Stage::Sources, Criticality::Ordinary, async move {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while tokio::select! { _ = tick.tick() => true, () = stop.cancelled() => false } {
                clock.advance(5_000);
            }
        });
        Guard(tasks)
    }

    /// Puts a row into the outbox; its id.
    pub(crate) async fn put(&self, outgoing: &Outgoing) -> u64 {
        let (kind, target, payload) = encode(outgoing);
        let mut rows = self.outbox.rows.lock().unwrap();
        let id = rows.len() as u64 + 1;
        let row = OutboxRow { kind, target, payload: payload.into(), due_ms: self.clock.now_ms() };
        rows.push(StoredOutbox { id, seq: 1, attempts: 0, last_error: None, row });
        id
    }

    /// Waits until a row of the outbox is so.
    pub(crate) async fn waiting(&self, id: u64, enough: impl Fn(&StoredOutbox) -> bool) {
        let rows = || self.outbox.rows.lock().unwrap();
        wait(&self.outbox.put_off, |_| rows().iter().any(|r| r.id == id && enough(r))).await;
    }

    pub(crate) fn secret(&self, unit: &str) -> String {
        assert!(self.config.departments.iter().any(|c| c.unit == unit));
        let secrets = [
            ("fire", "fire-secret-for-testing!"),
            ("energy", "energy-secret-for-tests!"),
            ("housing", "housing-secret-for-tests"),
        ];
        secrets.iter().find(|s| s.0 == unit).unwrap().1.to_owned()
    }

    pub(crate) async fn call(&self, unit: &str, key: &str, body: &str) -> (StatusCode, Value) {
        let now = self.clock.now_ms() / 1_000;
        self.raw(&format!("{unit}/inbound"), &self.secret(unit), now, body, body, Some(key)).await
    }

    pub(crate) async fn sms(&self, body: &str) -> (StatusCode, Value) {
        let now = self.clock.now_ms() / 1_000;
        self.raw("sms/inbound", "sms-secret-for-the-tests", now, body, body, None).await
    }

    /// A request that is signed for `signed` and carries `body`.
    pub(crate) async fn raw(
        &self,
        path: &str,
        secret: &str,
        at_s: i64,
        signed: &str,
        body: &str,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let signature = sign::sign(&Secret::new(secret), at_s, key.unwrap_or(""), signed.as_bytes());
        self.request(path, &signature, at_s, body, key).await
    }

    pub(crate) async fn request(
        &self,
        path: &str,
        signature: &str,
        at_s: i64,
        body: &str,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/{path}"))
            .header(sign::SIGNATURE, signature)
            .header(sign::TIMESTAMP, at_s.to_string());
        if let Some(key) = key {
            request = request.header(sign::KEY, key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        if !status.is_success() {
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

fn encode(outgoing: &Outgoing) -> (String, String, String) {
    match outgoing {
        Outgoing::Push { unit, incident, task } => {
            ("push".into(), unit.to_string(), format!("push {unit} {incident} {task}"))
        }
        Outgoing::Recall { unit, incident, task } => {
            ("recall".into(), unit.to_string(), format!("recall {unit} {incident} {task}"))
        }
        Outgoing::Sms { message } => ("sms".into(), "sms".into(), format!("sms {message}")),
        Outgoing::Clip { .. } => panic!("clips are not the exchange's"),
    }
}

fn decode(payload: &[u8]) -> Option<Outgoing> {
    let text = std::str::from_utf8(payload).ok()?;
    let parts: Vec<_> = text.split(' ').collect();
    let number = |i: usize| parts.get(i)?.parse::<u64>().ok();
    Some(match *parts.first()? {
        "push" => {
            Outgoing::Push { unit: (*parts.get(1)?).into(), incident: IncidentId(number(2)?), task: TaskId(number(3)?) }
        }
        "recall" => Outgoing::Recall {
            unit: (*parts.get(1)?).into(),
            incident: IncidentId(number(2)?),
            task: TaskId(number(3)?),
        },
        "sms" => Outgoing::Sms { message: MessageId(number(1)?) },
        _ => return None,
    })
}

/// A server that stands in for a department or the message gateway.
pub(crate) struct Department {
    /// Calls that came.
    pub(crate) seen: watch::Sender<u64>,
    state: Arc<State>,
    port: u16,
}

/// Status and body of answers to calls for records.
type Pages = VecDeque<(u16, Vec<u8>)>;
/// Address, headers and body of a call for records.
type Asked = (String, HeaderMap, String);
/// Status, `Retry-After` and body of an answer.
type Said = (u16, Option<String>, String);

struct State {
    secret: Secret,
    hang: watch::Sender<bool>,
    down: AtomicBool,
    calls: Mutex<Vec<(String, Value)>>,
    gives: Mutex<Value>,
    /// Answers to the next calls for records; once given, an address has no others.
    pages: Mutex<Option<Pages>>,
    /// What was asked for: address, headers and body.
    asked: Mutex<Vec<Asked>>,
    /// Answers to the next posts: status, `Retry-After`, body.
    says: Mutex<VecDeque<Said>>,
    seen: watch::Sender<u64>,
}

impl Department {
    pub(crate) async fn start(secret: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = watch::channel(0).0;
        let state = Arc::new(State {
            secret: Secret::new(secret),
            hang: watch::channel(false).0,
            down: AtomicBool::new(false),
            calls: Mutex::default(),
            gives: Mutex::new(json!([])),
            says: Mutex::default(),
            pages: Mutex::default(),
            asked: Mutex::default(),
            seen: seen.clone(),
        });
        let app = Router::new().route("/", any(answer)).with_state(state.clone());
        Tasks::default().spawn("department", Stage::Sockets, Criticality::Ordinary, async move {
            axum::serve(listener, app).await.unwrap();
        });
        Self { seen, state, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
    /// The example configuration with this department's address.
    pub(crate) fn connected(&self, unit: &str) -> Config {
        let mut config = config();
        self.connect(&mut config, unit);
        config
    }
    pub(crate) fn connect(&self, config: &mut Config, unit: &str) {
        let connector = config.departments.iter_mut().find(|c| c.unit == unit).unwrap();
        connector.push.as_mut().unwrap().url = self.url();
    }
    pub(crate) fn hang(&self, hang: bool) {
        self.state.hang.send_replace(hang);
    }
    pub(crate) fn down(&self, down: bool) {
        self.state.down.store(down, SeqCst);
    }
    pub(crate) fn gives(&self, records: Value) {
        *self.state.gives.lock().unwrap() = records;
    }
    /// Answers calls for records so, one after another, and then with 404.
    pub(crate) fn pages(&self, pages: Vec<(u16, Vec<u8>)>) {
        *self.state.pages.lock().unwrap() = Some(pages.into());
    }
    /// Calls for records so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
    /// Answers the next post so.
    pub(crate) fn says(&self, status: u16, retry_after: Option<&str>, body: &str) {
        self.state.says.lock().unwrap().push_back((status, retry_after.map(str::to_owned), body.to_owned()));
    }
    /// Key and body of each post, in order.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.calls.lock().unwrap().clone()
    }
}

async fn answer(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    method: Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = headers[sign::TIMESTAMP].to_str().unwrap().parse().unwrap();
    assert_eq!(sign::verify(&state.secret, &headers, &body, at, 0), Ok(()), "each call is signed");
    let records = state.pages.lock().unwrap().is_some();
    if records {
        let body = String::from_utf8(body.to_vec()).unwrap();
        state.asked.lock().unwrap().push((uri.to_string(), headers.clone(), body));
        let next = state.pages.lock().unwrap().as_mut().unwrap().pop_front();
        state.seen.send_modify(|n| *n += 1);
        let (status, body) = next.unwrap_or((404, Vec::new()));
        return Response::builder().status(status).body(Body::from(body)).unwrap();
    }
    if method == Method::POST {
        let key = headers[sign::KEY].to_str().unwrap().to_owned();
        state.calls.lock().unwrap().push((key, serde_json::from_slice(&body).unwrap()));
    }
    state.seen.send_modify(|n| *n += 1);
    state.hang.subscribe().wait_for(|hang| !hang).await.unwrap();
    if state.down.load(SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if method == Method::GET {
        let first = uri.query() == Some("since=0");
        let records = if first { state.gives.lock().unwrap().clone() } else { json!([]) };
        return Json(json!({"records": records, "next": 1})).into_response();
    }
    if let Some((status, retry_after, body)) = state.says.lock().unwrap().pop_front() {
        let response = Response::builder().status(status);
        let response = match retry_after {
            Some(told) => response.header("retry-after", told),
            None => response,
        };
        return response.body(Body::from(body)).unwrap();
    }
    let count = state.calls.lock().unwrap().len();
    Json(json!({"external_number": format!("N-{count}")})).into_response()
}

fn name(zh: &str) -> Name {
    Name { zh: zh.into(), en: String::new() }
}

fn class(id: &str, zh: &str, level: Level, limits: Limits) -> Class {
    let (steps, assists) = (Vec::new(), Vec::new());
    Class { id: id.into(), name: name(zh), level, intake: true, lead: "fire".into(), assists, steps, limits }
}

fn kind(id: &str, family: &str, words: &[&str]) -> AlarmKind {
    AlarmKind {
        id: id.into(),
        name: name(id),
        level: Level::Yellow,
        class: "fire".into(),
        opens_with: None,
        family: family.into(),
        radius: 40.0,
        window: Millis::minutes(5),
        words: words.iter().map(|w| (*w).to_owned()).collect(),
    }
}

fn site() -> Site {
    let grid = GridId::new("53062100200101");
    let point = Point { x: 0.0, y: 0.0 };
    let building = |number: u16| Building {
        id: BuildingId::new(format!("b{number}")),
        number,
        grid: grid.clone(),
        name: name(&format!("{number}栋")),
        aliases: Vec::new(),
        outline: Vec::new(),
        center: point,
        units: 3,
        floors: 18,
        flats_per_floor: 6,
        households: 100,
        people: 300,
        care_needs: 0,
        minors: 0,
    };
    let unit = |id: &str, zh: &str| Unit {
        id: id.into(),
        kind: UnitKind::Department,
        name: name(zh),
        initials: id.into(),
        capacity: 3,
        grid: None,
    };
    let limit = Millis::minutes(10);
    let limits = Limits {
        collect: limit,
        analyse: limit,
        approve: limit,
        push: limit,
        acknowledge: limit,
        arrive: limit,
        handle: limit,
        verify: limit,
        decline: limit,
        attend: None,
    };
    Site {
        id: "t".into(),
        name: name("测试"),
        region: Name::default(),
        version: 1,
        extent: point,
        anchor: (0.0, 0.0),
        communities: Vec::new(),
        grids: Vec::new(),
        buildings: vec![building(12), building(13)],
        paths: Vec::new(),
        landmarks: Vec::new(),
        cameras: Vec::new(),
        sensors: Vec::new(),
        units: vec![unit("fire", "消防"), unit("energy", "能源"), unit("housing", "住建")],
        classes: vec![
            class("fire_lane", "消防通道占用", Level::Yellow, limits),
            class("fire", "火情", Level::Red, limits),
        ],
        alarm_kinds: vec![kind("report_fire", "fire", &["着火"]), kind("connector_fault", "connector", &[])],
        tours: Vec::new(),
    }
}
