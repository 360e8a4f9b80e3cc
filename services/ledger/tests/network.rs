//! Redis and PostgreSQL on the other end of a wire that is cut, flaps and is slow, while a writer and a reader work.
//!
//! The wire is a pair of virtual interfaces between two network namespaces: the test runs itself again in the near one,
//! the servers run in the far one.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ledger::{
    Batch, Bus as _, Head, PostgresOptions, PostgresStore, Reader, RedisBus, RedisOptions, Step, Store,
    conformance::event,
    limits,
    testing::{networks::Networks, permitted, postgres::PostgresServer},
};
use runtime::{SystemClock, Tasks};
use tokio::sync::watch;

const TEST: &str = "a_wire_that_is_cut_and_slow_loses_and_doubles_nothing";
const SERVERS: &str = "10.213.0.2";

#[allow(clippy::disallowed_methods, reason = "how a test runs is said by its environment")]
fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Two namespaces with a wire between them.
struct Wire(Networks);

impl Wire {
    fn lay(id: &str) -> Result<Self, String> {
        let networks = Networks::make(id, &["near", "far"])?;
        networks.lay("wire", [("near", "10.213.0.1/24"), ("far", &format!("{SERVERS}/24"))])?;
        Ok(Self(networks))
    }

    fn far(&self) -> String {
        self.0.name("far")
    }

    fn cut(&self) {
        self.0.cut("far", "wire");
    }

    fn mend(&self) {
        self.0.mend("far", "wire");
    }

    /// Late, where the kernel can delay; narrow, where it can only limit.
    fn slow(&self) -> &'static str {
        let shaped = |how: &str| {
            let words = format!("-n {} qdisc replace dev wire root {how}", self.far());
            Command::new("tc").args(words.split(' ')).stderr(Stdio::null()).status().unwrap().success()
        };
        if shaped("netem delay 40ms 20ms") {
            return "delayed by 20 to 60 ms";
        }
        assert!(shaped("tbf rate 400kbit burst 4kb latency 400ms"));
        "narrowed to 400 kbit/s (this kernel has no netem)"
    }

    fn fast(&self) {
        let words = format!("-n {} qdisc del dev wire root", self.far());
        assert!(Command::new("tc").args(words.split(' ')).status().unwrap().success());
    }
}

#[tokio::test]
async fn a_wire_that_is_cut_and_slow_loses_and_doubles_nothing() {
    if let Some(id) = from_environment("NETWORK_WIRE") {
        return inside(&Wire(Networks::of(&id))).await;
    }
    let id = std::process::id().to_string();
    let wire = match Wire::lay(&id) {
        Ok(wire) => wire,
        Err(why) => return permitted::skip("a network of its own", &why),
    };
    let [program, words @ ..] = wire.0.inside("near");
    let again = Command::new(program)
        .args(words)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env("NETWORK_WIRE", id)
        .status();
    assert!(again.unwrap().success());
}

/// A redis-server in the far namespace; it ends with the test.
struct Redis(Child);

impl Redis {
    fn start(wire: &Wire) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &wire.far(), "redis-server", "--bind", SERVERS]);
        command.args(["--protected-mode", "no", "--save", "", "--dir", "/"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Ready to accept connections")), "redis-server does not start");
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// How far the log is known to be written, and how often that failed.
#[derive(Clone, Copy, Default)]
struct Written {
    events: u64,
    failures: u64,
}

/// Asks until it is answered.
async fn insist<T>(ask: impl AsyncFn() -> ledger::Result<T>, failed: impl Fn()) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(_) => failed(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes numbers, each once, until told to stop. After a failure only the log knows whether a number is in it.
async fn write(store: &PostgresStore, bus: &RedisBus, written: &watch::Sender<Written>, stop: watch::Receiver<bool>) {
    let failed = || written.send_modify(|w| w.failures += 1);
    let mut head: Head = insist(async || ledger::Log::open_writer(store).await, failed).await;
    let mut number = 1;
    while !*stop.borrow() {
        let batch = Batch { events: vec![event("a/1", &number.to_string())], ..Batch::new(head) };
        match ledger::Log::append(store, &batch).await {
            Ok(after) => {
                head = after;
                bus.publish(batch.into_published()).await.unwrap();
                number += 1;
            }
            Err(_) => {
                failed();
                head = insist(async || ledger::Log::open_writer(store).await, failed).await;
                let last = insist(async || ledger::Log::tail(store, head.seq.saturating_sub(1), 1).await, failed).await;
                number += u64::from(last.first().is_some_and(|e| e.event.payload == number.to_string()));
            }
        }
        written.send_modify(|w| w.events = number - 1);
    }
}

/// Reads until everything is seen; how many were lost and doubled.
async fn read(mut reader: Reader, seen: watch::Sender<u64>, mut upto: watch::Receiver<Option<u64>>) -> (u64, u64) {
    let (mut last, mut lost, mut doubled) = (0, 0, 0);
    loop {
        let end = *upto.borrow_and_update();
        if end.is_some_and(|end| last >= end) {
            return (lost, doubled);
        }
        let step = tokio::select! {
            step = reader.next() => step,
            _ = upto.changed() => continue,
        };
        match step {
            Ok(Step::Event(event)) => {
                let seq = event.event.seq;
                assert_eq!(event.event.event.payload, seq.to_string());
                lost += seq.saturating_sub(last + 1);
                doubled += u64::from(seq <= last);
                last = last.max(seq);
                seen.send_replace(last);
            }
            Ok(Step::LogChanged(_)) => panic!("another log"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn inside(wire: &Wire) {
    let redis = Redis::start(wire);
    let far = ["ip", "netns", "exec", &wire.far()];
    let postgres = PostgresServer::start_behind(&far, &format!("listen_addresses = '{SERVERS}'\n"));
    postgres.set_access("local all all trust\nhost all all 10.213.0.0/24 trust\n").await;
    let files = tempfile::tempdir().unwrap();
    let url = format!("postgres://postgres@{SERVERS}:5432/postgres?sslmode=disable");
    let mut options = PostgresOptions::new(&url, None, files.path()).unwrap();
    // The schema is made in peace.
    PostgresStore::open(&options).await.unwrap().close().await;
    options.patience = Duration::from_secs(1);
    let store = Arc::new(PostgresStore::open(&options).await.unwrap());
    let bus = RedisOptions {
        timeout: Duration::from_millis(500),
        heartbeat: Duration::from_millis(50),
        silence: Duration::from_millis(500),
        ..RedisOptions::at(&format!("redis://{SERVERS}:6379"), None).unwrap()
    };
    let bus = RedisBus::start(bus, "wire", [9; 32], Arc::new(SystemClock), &Tasks::default()).unwrap();
    let at = ledger::Log::head(&*store).await.unwrap().position();
    let reader = Reader::follow(store.clone() as Arc<dyn Store>, &bus, at, Duration::from_millis(500)).await.unwrap();

    let (written, wrote) = watch::channel(Written::default());
    let (seen, saw) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let (end, ends) = watch::channel(None);
    let writing = async {
        write(&store, &bus, &written, stopped).await;
        end.send_replace(Some(written.borrow().events));
    };
    let cycles = from_environment("NETWORK_CYCLES").map_or(2, |n| n.parse::<usize>().unwrap());
    let faults = async {
        strike(wire, cycles, wrote.clone(), saw).await;
        stop.send_replace(true);
    };
    let ((), (lost, doubled), ()) = tokio::join!(writing, read(reader, seen, ends), faults);
    let Written { events, failures } = *written.borrow();
    // A cut, five flaps and a slow wire each.
    let strikes = cycles * 7;
    println!(
        "network: cycles {cycles}, faults {strikes}, inputs acknowledged {events}, failed calls {failures}, lost {lost}, \
         doubled {doubled}"
    );
    assert_eq!((lost, doubled), (0, 0));
    check_log(&store, events).await;
    drop(redis);
}

/// Cuts the wire until it is noticed, lets it flap, and makes it slow.
async fn strike(wire: &Wire, cycles: usize, mut wrote: watch::Receiver<Written>, mut saw: watch::Receiver<u64>) {
    for cycle in 0..cycles {
        load(&mut wrote, 30).await;
        let failures = wrote.borrow().failures;
        wire.cut();
        wrote.wait_for(|w| w.failures > failures).await.unwrap();
        wire.mend();
        load(&mut wrote, 30).await;
        for _ in 0..5 {
            wire.cut();
            wire.mend();
            load(&mut wrote, 1).await;
        }
        let how = wire.slow();
        load(&mut wrote, 20).await;
        wire.fast();
        println!("network: cycle {cycle}, the wire was cut, flapped five times, and was {how}");
        let upto = wrote.borrow().events;
        saw.wait_for(|seen| *seen >= upto).await.unwrap();
    }
}

async fn load(wrote: &mut watch::Receiver<Written>, more: u64) {
    let upto = wrote.borrow().events + more;
    wrote.wait_for(|w| w.events >= upto).await.unwrap();
}

/// Every number is in the log once, in order.
async fn check_log(store: &PostgresStore, events: u64) {
    let mut number = 0;
    loop {
        let page = ledger::Log::tail(store, number, limits::PAGE).await.unwrap();
        if page.is_empty() {
            break;
        }
        for stored in page {
            number += 1;
            assert_eq!((stored.seq, stored.event.payload), (number, number.to_string().into()));
        }
    }
    assert_eq!(number, events);
}
