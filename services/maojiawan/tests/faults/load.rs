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

/// One request on a connection of its own; `None` when it broke.
async fn ask(address: &str, head: &str, body: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let length = body.len();
        let request = format!(
            "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        String::from_utf8(answer).ok()
    };
    let answer = timeout(ANSWER, exchange).await.ok()??;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // One that was cut off within its body is none.
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse();
    (length == Ok(body.len())).then_some(())?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
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

    /// Nothing is told any more, and all of it is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.telling.load(Ordering::SeqCst) == 0
    }

    /// The newest position that was answered.
    pub(crate) fn head(&self) -> u64 {
        self.acks.lock().unwrap().values().map(|a| a.seq).max().unwrap_or(0)
    }

    /// The `n`-th gateway, and round again.
    pub(crate) fn address(&self, n: usize) -> &str {
        &self.addresses[n % self.addresses.len()]
    }

    /// Reports until told to stop.
    pub(crate) async fn tell(self: Arc<Self>, n: usize) {
        for i in 0.. {
            if *self.over.borrow() {
                break;
            }
            self.report(n, &format!("{n}-{i}")).await;
        }
        self.telling.fetch_sub(1, Ordering::SeqCst);
    }

    /// One report, under one key until it is answered, each time at the next gateway.
    async fn report(&self, n: usize, key: &str) {
        let place = json!({ "text": "12栋1单元" });
        let body = json!({ "class": "street_light", "place": place, "channel": "call", "text": text(key) });
        let head =
            format!("POST /api/v1/incidents HTTP/1.1\r\ncookie: {}\r\nidempotency-key: {key}", self.session.cookie());
        let mut pauses = pauses();
        for tries in 1.. {
            match ask(self.address(n + tries), &head, &body.to_string()).await {
                Some((200, body)) => return self.acknowledge(key, &body, tries),
                // Nothing took effect, or it is not known.
                Some((503, _)) | None => sleep(pauses.delay()).await,
                Some((status, body)) => panic!("{status} {body}"),
            }
        }
    }

    fn acknowledge(&self, key: &str, body: &str, tries: usize) {
        let body: Value = serde_json::from_str(body).unwrap();
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

fn text(key: &str) -> String {
    format!("灯不亮 {key}")
}
