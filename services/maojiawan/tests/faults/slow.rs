//! Clients that take one byte a second, at the real binary over real sockets: they are cut off within the patience that
//! `docs/feed.md` says, cost nothing that grows, harm nobody, and go on where they stood when they come back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use client::{Feed, Options, Position, Session, Step};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::interval,
};

use crate::{
    all,
    cluster::{Cluster as _, Logged, OneProcess, What, memory},
    follow::{Route, follow},
    load::{Load, ask, key},
    soon, until,
};

const SLOW: usize = 40;
/// Remarks of 6 kB: together far more than the sockets of a client hold.
const REMARKS: usize = 800;
const SENDERS: usize = 4;
/// What the centre may need more, bytes: it holds what it has said once for all, 6 MB, where a queue for each slow client
/// would be 190 MB.
const GROWTH: u64 = 64 << 20;

/// A client of the feed's JSON form that sees each byte.
struct Slow {
    stream: TcpStream,
    at: Position,
    /// What it has got, and not understood yet.
    bytes: Vec<u8>,
}

impl Slow {
    /// Says where it stands; the answer of HTTP is read, and nothing more.
    async fn open(address: &str, session: &Session, at: Position) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // The kernel takes the smallest that it knows.
        socket.set_recv_buffer_size(1).unwrap();
        let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
        let head = format!(
            "GET /api/v1/feed HTTP/1.1\r\nhost: {address}\r\ncookie: {}\r\norigin: http://{address}\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: maojiawan.feed.v1.json\r\n\r\n",
            session.cookie(),
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        let hello = json!({ "hello": { "logId": at.log_id.to_string(), "cursor": at.seq.to_string() } }).to_string();
        // A text, masked with zeros.
        let frame = [&[0x81, 0x80 | u8::try_from(hello.len()).unwrap(), 0, 0, 0, 0], hello.as_bytes()].concat();
        stream.write_all(&frame).await.unwrap();
        Self { stream, at, bytes: Vec::new() }
    }

    /// Takes one byte a second until it is `over`, then all that the kernel still has for it, and understands it.
    async fn dawdle(mut self, over: tokio::sync::watch::Sender<bool>) -> Position {
        let mut over = over.subscribe();
        let mut second = interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = second.tick() => match self.stream.read_u8().await {
                    Ok(byte) => self.bytes.push(byte),
                    Err(_) => break,
                },
                _ = over.changed() => break,
            }
        }
        // It was cut off: what comes last is an end or a failure.
        let _ = soon("the end of a connection", self.stream.read_to_end(&mut self.bytes)).await;
        while let Some(message) = self.message() {
            let frame = &message["frame"];
            if frame.is_object() {
                let number = |name: &str| frame[name].as_str().map_or(0, |n| n.parse().unwrap());
                assert_eq!(number("after"), self.at.seq, "frames join");
                self.at.seq = number("upto");
            }
        }
        self.at
    }

    /// The next whole message.
    fn message(&mut self) -> Option<Value> {
        let (head, length) = match *self.bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().unwrap()))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.bytes.get(2..10)?.try_into().unwrap())).unwrap()),
            short => (2, usize::from(short)),
        };
        let text = self.bytes.get(head..head + length)?;
        let message = serde_json::from_slice(text).unwrap();
        self.bytes.drain(..head + length);
        Some(message)
    }
}

/// The value of a metric of the centre.
async fn metric(address: &str, name: &str) -> u64 {
    let page = ask(address, "GET /metrics HTTP/1.1", b"").await.unwrap().body;
    page.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

/// Adds remarks of 6 kB to an incident, each beginning with its key; the keys that were answered.
async fn remark(load: Arc<Load>, address: String, incident: u64, sender: usize) -> Vec<String> {
    let (path, text) = (format!("/api/v1/incidents/{incident}/note"), "烟".repeat(1_990));
    let mut answered = Vec::new();
    for n in 0..REMARKS / SENDERS {
        let key = key(sender, n);
        let answer = load.post(&address, &path, &key, &json!({ "text": format!("{key} {text}") })).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answered.push(key);
    }
    answered
}

/// Remarks that were answered and are not in the log, or more than once.
fn compare(remarks: &[String], log: &[Logged]) -> (usize, usize) {
    let mut found: HashMap<&str, usize> = HashMap::new();
    for logged in log {
        if let What::Remark(text) = &logged.what {
            *found.entry(text.split(' ').next().unwrap()).or_default() += 1;
        }
    }
    let lost = remarks.iter().filter(|key| !found.contains_key(key.as_str())).count();
    (lost, found.values().filter(|times| **times > 1).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_take_a_byte_a_second_are_cut_off_and_come_back() {
    let mut centre = OneProcess::start();
    let address = centre.address();
    let load = Arc::new(Load::begin(vec![address.clone()], 1).await);
    let incident = load.at(0, &key(9, 0)).await["refs"]["incident"].as_u64().unwrap();
    // One that keeps up, and where the slow ones begin.
    let mut good = JoinSet::new();
    good.spawn(follow(load.clone(), 0, Route::Stays(0), |_, _| {}));
    let mut feed = Feed::open(&Options::at(&address), &load.session, None).await.unwrap();
    let Step::Snapshot(_) = feed.next().await.unwrap() else { panic!("it begins with a snapshot") };
    let at = feed.position().unwrap();
    drop(feed);
    let (cut, mut dawdling) = (tokio::sync::watch::Sender::new(false), JoinSet::new());
    for _ in 0..SLOW {
        dawdling.spawn(Slow::open(&address, &load.session, at).await.dawdle(cut.clone()));
    }
    until("all sit", async || metric(&address, "maojiawan_feed_clients ").await == SLOW as u64 + 1).await;

    let before = memory(centre.running.as_ref().unwrap(), "VmRSS");
    let mut senders = JoinSet::new();
    for n in 0..SENDERS {
        senders.spawn(remark(load.clone(), address.clone(), incident, n));
    }
    let remarks: Vec<String> = all("senders", senders).await.concat();
    // They did nothing wrong, and nothing was done to the others: only they are gone.
    until("the slow are cut off", async || metric(&address, "maojiawan_feed_clients ").await == 1).await;
    assert_eq!(metric(&address, "maojiawan_feed_stuck_total ").await, SLOW as u64);
    let grown = memory(centre.running.as_ref().unwrap(), "VmHWM").saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    cut.send_replace(true);

    load.report(0, &key(9, 1)).await;
    load.end();
    for at in all("slow clients", dawdling).await {
        assert!(at.seq < load.head(), "it cannot have got everything");
        let mut feed = Feed::open(&Options::at(&address), &load.session, Some(at)).await.unwrap();
        let mut next = at.seq;
        while feed.position().unwrap().seq < load.head() {
            match feed.next().await.unwrap() {
                Step::Frame(frame) => {
                    let seqs = frame.items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq);
                    assert!(seqs.eq(next + 1..=frame.upto), "from {next} to {}", frame.upto);
                    next = frame.upto;
                }
                Step::Heartbeat { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    for seen in all("the good client", good).await {
        seen.check(load.head());
        assert_eq!(seen.connections, 1, "nobody else is cut off");
    }
    centre.stop();
    let log = centre.log().await;
    let (tally, (lost, doubled)) = (load.compare(&log), compare(&remarks, &log));
    println!(
        "slow: cycles 1, faults {SLOW} (clients of a byte a second), inputs acknowledged {} and {} remarks of 6 kB, lost {} \
         and {lost}, doubled {} and {doubled}; memory grown by {} MiB",
        tally.acknowledged,
        remarks.len(),
        tally.lost,
        tally.doubled,
        grown >> 20,
    );
    assert_eq!((remarks.len(), tally.lost, tally.doubled, lost, doubled), (REMARKS, 0, 0, 0, 0));
}
