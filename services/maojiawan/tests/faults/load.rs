//! Reports over REST, each under one key until it is answered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use client::Session;
use runtime::retry::Backoff;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    cluster::{Logged, What},
    support::PASSWORD,
};

/// Longest that a sender waits for an answer before it repeats, as a connection may hang when its peer does.
const ANSWER: Duration = Duration::from_secs(10);

/// An answered report.
struct Ack {
    seq: u64,
    incident: u64,
    tries: usize,
}

/// What the suite found.
pub(crate) struct Tally {
    pub(crate) acknowledged: u64,
    pub(crate) repeated: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

pub(crate) struct Load {
    addresses: Vec<String>,
    pub(crate) session: Session,
    answered: watch::Sender<u64>,
    pub(crate) over: watch::Sender<bool>,
    acks: Mutex<BTreeMap<String, Ack>>,
    /// Tellers that are not done.
    telling: AtomicUsize,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// It is the problem that nothing can be stored, told to people and programs.
    pub(crate) fn is_unavailable(&self) -> bool {
        let unavailable = self.status == 503 && self.json()["code"] == "unavailable";
        if unavailable {
            let told =
                ["content-type: application/problem+json", "retry-after: "].iter().all(|h| self.head.contains(h));
            assert!(told && self.json()["title"] == "暂时无法保存，没有生效", "{}{}", self.head, self.body);
        }
        unavailable
    }
}

/// One request on a connection of its own; `None` when it broke.
pub(crate) async fn ask(address: &str, head: &str, body: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let length = body.len();
        let head = format!("{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        String::from_utf8(answer).ok()
    };
    let answer = timeout(ANSWER, exchange).await.ok()??;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // One that was cut off within its body is none.
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse();
    (length == Ok(body.len())).then_some(())?;
    Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, head: head.to_owned(), body: body.to_owned() })
}

/// What `/readyz` says of a dependency; null when there is no answer, or no such dependency.
pub(crate) async fn dependency(address: &str, name: &str) -> Value {
    let Some(answer) = ask(address, "GET /readyz HTTP/1.1", b"").await else { return Value::Null };
    let ready = answer.json();
    let found = ready["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == name);
    found.cloned().unwrap_or_default()
}

/// As senders come again: soon, then less often.
fn pauses() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_millis(250))
}

impl Load {
    /// Logs in as soon as the gateway lets anybody in.
    pub(crate) async fn begin(addresses: Vec<String>, tellers: usize) -> Self {
        let mut pauses = pauses();
        let session = loop {
            match client::log_in(&addresses[0], "chief", PASSWORD).await {
                Ok(session) => break session,
                Err(error) => assert!(error.passes(), "{error}"),
            }
            sleep(pauses.delay()).await;
        };
        Self {
            addresses,
            session,
            answered: watch::Sender::default(),
            over: watch::Sender::default(),
            acks: Mutex::default(),
            telling: AtomicUsize::new(tellers),
        }
    }

    /// Until so many more inputs are answered.
    pub(crate) async fn answered(&self, more: u64) {
        let upto = *self.answered.borrow() + more;
        self.answered.subscribe().wait_for(|n| *n >= upto).await.unwrap();
    }

    /// Nothing more is told.
    pub(crate) fn end(&self) {
        self.telling.store(0, Ordering::SeqCst);
    }

    /// Nothing is told any more, and all of it is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.telling.load(Ordering::SeqCst) == 0
    }

    /// How many inputs are answered.
    pub(crate) fn acknowledged(&self) -> u64 {
        *self.answered.borrow()
    }

    /// The newest position that was answered.
    pub(crate) fn head(&self) -> u64 {
        self.acks.lock().unwrap().values().map(|a| a.seq).max().unwrap_or(0)
    }

    /// The `n`-th gateway, and round again.
    pub(crate) fn address(&self, n: usize) -> &str {
        &self.addresses[n % self.addresses.len()]
    }

    /// Reports until told to stop, with a pause after each answer.
    pub(crate) async fn tell(self: Arc<Self>, n: usize, pause: Duration) {
        for i in 0.. {
            if *self.over.borrow() {
                break;
            }
            self.report(n, &key(n, i)).await;
            sleep(pause).await;
        }
        self.telling.fetch_sub(1, Ordering::SeqCst);
    }

    /// One report, under one key until it is answered, each time at the next gateway.
    pub(crate) async fn report(&self, n: usize, key: &str) {
        self.insist(|tries| n + tries, key).await;
    }

    /// One report at one gateway, under one key until it is answered; the answer.
    pub(crate) async fn at(&self, gateway: usize, key: &str) -> Value {
        self.insist(|_| gateway, key).await
    }

    async fn insist(&self, gateway: impl Fn(usize) -> usize, key: &str) -> Value {
        let mut pauses = pauses();
        for tries in 1.. {
            match self.try_to_report(self.address(gateway(tries)), key).await {
                Some(answer) if answer.status == 200 => {
                    let answer = answer.json();
                    self.acknowledge(key, &answer, tries);
                    return answer;
                }
                // Nothing took effect, or it is not known.
                Some(Answer { status: 503, .. }) | None => sleep(pauses.delay()).await,
                Some(Answer { status, body, .. }) => panic!("{status} {body}"),
            }
        }
        unreachable!("it asks until it is answered")
    }

    /// Reports once.
    pub(crate) async fn try_to_report(&self, address: &str, key: &str) -> Option<Answer> {
        let place = json!({ "text": "12栋1单元" });
        let body = json!({ "class": "street_light", "place": place, "channel": "call", "text": text(key) });
        self.post(address, "/api/v1/incidents", key, &body).await
    }

    /// A command.
    pub(crate) async fn post(&self, address: &str, path: &str, key: &str, body: &Value) -> Option<Answer> {
        let head = self.command(&format!("POST {path}"), key, "application/json");
        ask(address, &head, body.to_string().as_bytes()).await
    }

    /// The head of a command.
    pub(crate) fn command(&self, what: &str, key: &str, content_type: &str) -> String {
        let cookie = self.session.cookie();
        format!("{what} HTTP/1.1\r\ncookie: {cookie}\r\nidempotency-key: {key}\r\ncontent-type: {content_type}")
    }

    pub(crate) fn acknowledge(&self, key: &str, body: &Value, tries: usize) {
        let (seq, incident) = (&body["position"]["seq"], &body["refs"]["incident"]);
        let ack = Ack { seq: seq.as_u64().unwrap(), incident: incident.as_u64().unwrap(), tries };
        assert!(self.acks.lock().unwrap().insert(key.to_owned(), ack).is_none());
        self.answered.send_modify(|n| *n += 1);
    }

    /// What was acknowledged against what is in the log.
    pub(crate) fn compare(&self, log: &[Logged]) -> Tally {
        let mut found: HashMap<&str, Vec<u64>> = HashMap::new();
        for logged in log {
            if let What::Report(text) = &logged.what {
                found.entry(text).or_default().push(logged.seq);
            }
        }
        let acks = self.acks.lock().unwrap();
        let incidents: BTreeSet<u64> = acks.values().map(|a| a.incident).collect();
        assert_eq!(incidents.len(), acks.len(), "each report has an incident of its own");
        let at = |ack: &Ack, key: &str| found.get(text(key).as_str()).is_some_and(|seqs| seqs[0] <= ack.seq);
        Tally {
            acknowledged: acks.len() as u64,
            repeated: acks.values().filter(|a| a.tries > 1).count() as u64,
            lost: acks.iter().filter(|(key, ack)| !at(ack, key)).count() as u64,
            doubled: found.values().filter(|seqs| seqs.len() > 1).count() as u64,
        }
    }
}

/// No key is a part of another one.
pub(crate) fn key(n: usize, i: usize) -> String {
    format!("{n:02}-{i:06}")
}

fn text(key: &str) -> String {
    format!("灯不亮 {key}")
}
