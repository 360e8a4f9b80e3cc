//! A small site with ledger, writer and gateway on a free port, and clients for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    account::{Account, Role},
    event::Mode,
    ids::*,
    input::{Actor, Command, Input},
    text::Subject,
};
use futures::{SinkExt, StreamExt};
use gateway::{Config, Gateway, NothingElse};
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use ledger::{Bus, Credential, LocalBus, SqliteOptions, SqliteStore, SqliteTelemetry, Store, Telemetry};
use link::{
    intake::{Intake, SharedIntake, Submission},
    media::Media,
};
use prost::Message as _;
use runtime::{Clock, ManualClock, SteadyClock, Tasks};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;
use wire::feed::{self, server_message::Kind};

pub(crate) const PASSWORD: &str = "铜钟 9 号楼";
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// Account, role, unit, grid.
pub(crate) const PEOPLE: &[(&str, Role, Option<&str>, Option<&str>)] = &[
    ("duty", Role::DutyOfficer, None, None),
    ("dispatch", Role::Dispatcher, None, None),
    ("chief", Role::ShiftChief, None, None),
    ("fire1", Role::DepartmentClerk, Some("fire"), None),
    ("water1", Role::DepartmentClerk, Some("water"), None),
    ("grid1", Role::GridManager, Some("team1"), Some("g1")),
    ("wall", Role::WallDisplay, None, None),
];

/// Of the departments only `fire` has a system of its own.
struct Connected;

#[async_trait::async_trait]
impl gateway::Connectors for Connected {
    fn connectors(&self) -> Vec<gateway::Connector> {
        vec![gateway::Connector {
            unit: "fire".into(),
            push: true,
            pull_every_s: Some(60),
            records: vec!["hydrants".to_owned()],
            heard_ms: Some(NOW - 5_000),
            failures: 2,
            denied_ms: Some(NOW - 9_000),
            sources: vec![gateway::RecordSource {
                id: "push".to_owned(),
                last_ms: Some(NOW - 5_000),
                kept: 3,
                set_aside: 1,
                problem: None,
                rows: vec!["第 2 行“水压”：不是数字".to_owned()],
            }],
        }]
    }

    async fn preview(&self, ask: gateway::Preview) -> Result<gateway::Previewed, gateway::PreviewRefused> {
        if ask.unit != "fire" {
            return Err(gateway::PreviewRefused::Field("unit".to_owned()));
        }
        let aside = gateway::PreviewAside {
            row: 1,
            field: ask.kind,
            column: ask.source,
            value: Some(ask.sample),
            why: "第 1 行：缺少值".to_owned(),
        };
        Ok(gateway::Previewed { kept: 0, set_aside: 1, problem: None, rows: Vec::new(), aside: vec![aside] })
    }
}

/// What differs between houses.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) config: Option<Config>,
    pub(crate) bus: Option<Arc<dyn Bus>>,
    pub(crate) media: Option<Arc<dyn Media>>,
    pub(crate) demo: Option<gateway::DemoConfig>,
    pub(crate) broker_elsewhere: bool,
    /// Sessions go by a clock that believes no leap, as in the centre.
    pub(crate) steady: bool,
}

pub(crate) struct House {
    pub(crate) address: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sqlite: Arc<SqliteStore>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) intake: SharedIntake,
    pub(crate) clock: ManualClock,
    pub(crate) tasks: Tasks,
    bus: Arc<dyn Bus>,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap());
        let store: Arc<dyn Store> = sqlite.clone();
        let file = folder.path().join("telemetry.db");
        let telemetry: Arc<dyn Telemetry> =
            Arc::new(SqliteTelemetry::open(&file, Duration::from_secs(5)).await.unwrap());
        let (clock, tasks) = (ManualClock::at(NOW), Tasks::default());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let bus = plan.bus.unwrap_or_else(|| Arc::new(LocalBus::new(4_096)));
        let options = dispatch::WriterOptions::default();
        let writer = dispatch::start(SiteId::new("test"), store.clone(), bus.clone(), shared.clone(), options, &tasks);
        let intake: SharedIntake = Arc::new(writer);
        seed(intake.as_ref(), store.as_ref()).await;
        let gateway = Gateway {
            config: plan.config.unwrap_or_default(),
            store: store.clone(),
            bus: bus.clone(),
            telemetry: telemetry.clone(),
            intake: intake.clone(),
            media: plan.media,
            clock: shared.clone(),
            session_clock: if plan.steady { Arc::new(SteadyClock::new(shared, None)) } else { shared },
            tasks: tasks.clone(),
            extra_routes: axum::Router::new(),
            ready: Arc::new(NothingElse),
            connectors: Arc::new(Connected),
            metrics: Arc::new(|| "maojiawan_inputs_total 1\n".to_owned()),
            demo: plan.demo,
            own_broker: !plan.broker_elsewhere,
            began: CancellationToken::new(),
        };
        let address = start(gateway).await;
        let house = Self { address, store, sqlite, telemetry, intake, clock, tasks, bus, _folder: folder };
        house.ready().await;
        house
    }

    /// A further gateway on the same store and bus; its address.
    pub(crate) async fn another_gateway(&self, config: Config, tasks: &Tasks) -> String {
        self.gateway_on(self.bus.clone(), config, tasks).await
    }

    /// A further gateway on the same store and another bus; its address.
    pub(crate) async fn gateway_on(&self, bus: Arc<dyn Bus>, config: Config, tasks: &Tasks) -> String {
        let began = CancellationToken::new();
        let gateway = Gateway {
            config,
            store: self.store.clone(),
            bus,
            telemetry: self.telemetry.clone(),
            intake: self.intake.clone(),
            media: None,
            clock: Arc::new(self.clock.clone()),
            session_clock: Arc::new(self.clock.clone()),
            tasks: tasks.clone(),
            extra_routes: axum::Router::new(),
            ready: Arc::new(NothingElse),
            connectors: Arc::new(Connected),
            metrics: Arc::new(String::new),
            demo: None,
            own_broker: true,
            began: began.clone(),
        };
        let address = start(gateway).await;
        began.cancelled().await;
        address
    }

    async fn ready(&self) {
        while self.get("/readyz", None).await.status != 200 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn get(&self, path: &str, session: Option<&str>) -> Answer {
        self.call(Ask { session, ..Ask::new("GET", path) }).await
    }

    /// A command under a fresh key.
    pub(crate) async fn post(&self, path: &str, session: &str, body: &str) -> Answer {
        let key = hex::encode(rand::random::<[u8; 8]>());
        self.call(Ask {
            session: Some(session),
            key: Some(&key),
            body: body.to_owned().into(),
            ..Ask::new("POST", path)
        })
        .await
    }

    pub(crate) async fn call(&self, ask: Ask<'_>) -> Answer {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut request = Request::builder().method(ask.method).uri(ask.path).header(header::HOST, &self.address);
        if let Some(session) = ask.session {
            request = request.header(header::COOKIE, format!("other=1; mjw_session={session}"));
        }
        if let Some(key) = ask.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(kind) = ask.content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in &ask.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(ask.body)).unwrap();
        let exchange = async move {
            let response = sender.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    /// Logs in; the session's token.
    pub(crate) async fn log_in(&self, account: &str) -> String {
        let answer = self.try_log_in(account, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        token(&answer)
    }

    pub(crate) async fn try_log_in(&self, account: &str, password: &str) -> Answer {
        let body = serde_json::json!({ "account": account, "password": password }).to_string();
        self.call(Ask { body: body.into(), ..Ask::new("POST", "/api/v1/session") }).await
    }

    /// Gives a command as the centre itself.
    pub(crate) async fn system(&self, command: Command) -> u64 {
        give(self.intake.as_ref(), command).await
    }

    /// A report of a fire in building `b1`; its number.
    pub(crate) async fn report(&self, session: &str, text: &str) -> u64 {
        let body = serde_json::json!({
            "class": "fire", "place": { "building": "b1", "unit": 2, "floor": 6, "flat": 4 }, "channel": "call",
            "reporter": { "name": "陈小花", "phone": "13800002107" }, "text": text,
        });
        let answer = self.post("/api/v1/incidents", session, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.seen(answer.json()["position"]["seq"].as_u64().unwrap()).await;
        answer.json()["refs"]["incident"].as_u64().unwrap()
    }

    /// Accepted, filed as red, and pushed to `unit`; the task's number.
    pub(crate) async fn push(&self, session: &str, incident: u64, unit: &str) -> u64 {
        let at = |step: &str| format!("/api/v1/incidents/{incident}/{step}");
        assert_eq!(self.post(&at("accept"), session, "{}").await.status, 200);
        assert_eq!(self.post(&at("file"), session, r#"{"level":"red"}"#).await.status, 200);
        let targets = serde_json::json!({ "targets": [{ "unit": unit, "lead": true }], "text": "现场核实" });
        let answer = self.post(&at("push"), session, &targets.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.seen(answer.json()["position"]["seq"].as_u64().unwrap()).await;
        answer.json()["refs"]["tasks"][0].as_u64().unwrap()
    }

    /// Waits until the feed, and so every view, has the event.
    pub(crate) async fn seen(&self, seq: u64) {
        let session = self.log_in("wall").await;
        let mut feed = Feed::open(self, &session, hello(0, 0, false)).await;
        let mut at = feed.snapshot().await.seq;
        while at < seq {
            at = feed.frame().await.upto;
        }
    }
}

/// Serves on a free port; the address.
async fn start(gateway: Gateway) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stage, critical) = (runtime::tasks::Stage::Sockets, runtime::Criticality::Critical);
    let tasks = gateway.tasks.clone();
    tasks.spawn("gateway", stage, critical, async move { gateway::serve(listener, gateway).await.unwrap() });
    address
}

pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: Bytes,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        let content_type = (method == "POST").then_some("application/json");
        Self { method, path, session: None, key: None, content_type, headers: Vec::new(), body: Bytes::new() }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("").to_owned()
    }
}

pub(crate) fn token(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap().strip_prefix("mjw_session=").unwrap().to_owned()
}

pub(crate) type Ws = WebSocketStream<TcpStream>;

/// Opens a socket as a browser of our own page would; the status otherwise.
pub(crate) async fn socket(
    house: &House,
    path: &str,
    session: &str,
    protocol: &str,
    origin: Option<&str>,
    receive_buffer: Option<u32>,
) -> Result<Ws, u16> {
    socket_at(&house.address, path, session, protocol, origin, receive_buffer).await
}

async fn socket_at(
    address: &str,
    path: &str,
    session: &str,
    protocol: &str,
    origin: Option<&str>,
    receive_buffer: Option<u32>,
) -> Result<Ws, u16> {
    let raw = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_buffer {
        raw.set_recv_buffer_size(bytes).unwrap();
    }
    let stream = raw.connect(address.parse().unwrap()).await.unwrap();
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    let headers = request.headers_mut();
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    headers.insert("cookie", format!("mjw_session={session}").parse().unwrap());
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    let config = WebSocketConfig::default().read_buffer_size(4_096);
    match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((ws, _)) => Ok(ws),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn hello(log_id: u64, cursor: u64, conflate: bool) -> feed::Hello {
    feed::Hello { log_id, cursor, conflate }
}

/// A feed client that keeps every byte that it got.
pub(crate) struct Feed {
    pub(crate) ws: Ws,
    pub(crate) raw: Vec<u8>,
    json: bool,
}

impl Feed {
    pub(crate) async fn open(house: &House, session: &str, hello: feed::Hello) -> Self {
        Self::open_at(&house.address, session, hello, None, false).await
    }

    pub(crate) async fn open_with(house: &House, session: &str, hello: feed::Hello, buffer: Option<u32>) -> Self {
        Self::open_at(&house.address, session, hello, buffer, false).await
    }

    pub(crate) async fn open_at(
        address: &str,
        session: &str,
        hello: feed::Hello,
        buffer: Option<u32>,
        json: bool,
    ) -> Self {
        let origin = format!("http://{address}");
        let protocol = if json { "maojiawan.feed.v1.json" } else { "maojiawan.feed.v1" };
        let ws = socket_at(address, "/api/v1/feed", session, protocol, Some(&origin), buffer).await.unwrap();
        let mut feed = Self { ws, raw: Vec::new(), json };
        feed.send(feed::ClientMessage { kind: Some(feed::client_message::Kind::Hello(hello)) }).await;
        feed
    }

    /// A client that has read some bytes itself.
    pub(crate) async fn taken_up(stream: TcpStream, bytes: Vec<u8>) -> Self {
        let ws = WebSocketStream::from_partially_read(stream, bytes, tungstenite::protocol::Role::Client, None).await;
        Self { ws, raw: Vec::new(), json: false }
    }

    pub(crate) async fn send(&mut self, message: feed::ClientMessage) {
        let message = if self.json {
            Message::Text(serde_json::to_string(&message).unwrap().into())
        } else {
            Message::Binary(message.encode_to_vec().into())
        };
        self.ws.send(message).await.unwrap();
    }

    /// The next message but heartbeats; the close frame when it closes.
    pub(crate) async fn next(&mut self) -> Result<Kind, Option<CloseFrame>> {
        loop {
            let message: feed::ServerMessage = match self.ws.next().await {
                Some(Ok(Message::Binary(bytes))) if !self.json => {
                    self.raw.extend_from_slice(&bytes);
                    feed::ServerMessage::decode(bytes).unwrap()
                }
                Some(Ok(Message::Text(text))) if self.json => {
                    self.raw.extend_from_slice(text.as_bytes());
                    serde_json::from_str(&text).unwrap()
                }
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(None),
            };
            match message.kind.unwrap() {
                Kind::Heartbeat(_) => {}
                kind => return Ok(kind),
            }
        }
    }

    pub(crate) async fn snapshot(&mut self) -> feed::Snapshot {
        match self.next().await {
            Ok(Kind::Snapshot(snapshot)) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn frame(&mut self) -> feed::Frame {
        match self.next().await {
            Ok(Kind::Frame(frame)) => frame,
            other => panic!("{other:?}"),
        }
    }

    /// Frames from `cursor` up to `seq`, which must join; their items.
    pub(crate) async fn upto(&mut self, cursor: u64, seq: u64) -> Vec<feed::Item> {
        let (mut at, mut items) = (cursor, Vec::new());
        while at < seq {
            let frame = self.frame().await;
            assert_eq!(frame.after, at, "a frame begins where the client stands");
            at = frame.upto;
            items.extend(frame.items);
        }
        items
    }
}

async fn give(intake: &dyn Intake, command: Command) -> u64 {
    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    intake.submit(Submission::keyless(input)).await.unwrap().position.seq
}

async fn seed(intake: &dyn Intake, store: &dyn Store) {
    // The writer refuses while it loads.
    let first = || Input::Command {
        actor: Actor::System,
        mode: Mode::Real,
        happened: None,
        command: Command::SetSite(Arc::new(crate::site::site())),
    };
    while intake.submit(Submission::keyless(first())).await.is_err() {
        tokio::task::yield_now().await;
    }
    let hash = tokio::task::spawn_blocking(|| gateway::accounts::hash_password(PASSWORD).unwrap()).await.unwrap();
    for (id, role, unit, grid) in PEOPLE {
        give(intake, account(id, *role, *unit, *grid)).await;
        let credential = Credential {
            account: (*id).to_owned(),
            password_hash: hash.clone(),
            failed: 0,
            locked_until_ms: 0,
            totp: None,
        };
        store.put_credential(&credential).await.unwrap();
    }
}

pub(crate) fn account(id: &str, role: Role, unit: Option<&str>, grid: Option<&str>) -> Command {
    let account = Account {
        id: id.into(),
        role,
        unit: unit.map(Into::into),
        grid: grid.map(Into::into),
        name: VaultId(0),
        active: true,
    };
    Command::SetAccount { account, name: format!("李{id}") }
}

pub(crate) fn erase(incident: u64) -> Command {
    Command::Erase(Subject::Incident(IncidentId(incident)))
}
