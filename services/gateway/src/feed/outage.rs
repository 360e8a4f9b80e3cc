//! What a gateway does and says while its store is down, slow or silent.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ledger::{
    Batch, LocalBus, Log as _, Store,
    testing::memory::{Call, Ending, Fate, MemoryDisk, Weather},
};
use prost::Message as _;
use runtime::{SystemClock, Tasks};
use tokio_util::sync::CancellationToken;
use wire::feed::{self, server_message::Kind};

use super::{Hub, bounds::remark, form::Form};
use crate::{
    accounts::Verifier,
    config::{Config, HEARTBEAT},
    mirror::Mirror,
    session::Sessions,
};

/// Down or slow when it is told.
struct Bad {
    on: AtomicBool,
    fate: Fate,
}

impl Weather for Bad {
    fn of(&self, _: Call) -> Fate {
        if self.on.load(Ordering::SeqCst) { self.fate } else { Fate::GOOD }
    }
}

/// A hub that follows a log whose bus is silent.
async fn following(disk: &MemoryDisk, bad: Arc<dyn Weather>) -> (Arc<Hub>, Tasks) {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(disk.open_in(bad)), Arc::new(SystemClock));
    let (mirror, config) = (Arc::new(Mirror::new(store.clone())), Config::default());
    let verifier = Verifier::new().unwrap();
    let sessions = Arc::new(Sessions::with(verifier, &config, store.clone(), clock.clone(), mirror.clone()));
    let (hub, tasks) = (Arc::new(Hub::new(&config, store, clock, mirror, sessions)), Tasks::default());
    hub.start(Arc::new(LocalBus::new(8)), CancellationToken::new(), &tasks);
    within_a_minute(|| hub.status().0).await;
    (hub, tasks)
}

async fn within_a_minute(done: impl Fn() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_log_is_followed_again_when_the_store_is_back() {
    let fate = Fate { ending: Ending::Unavailable, ..Fate::GOOD };
    let down = Arc::new(Bad { on: AtomicBool::new(false), fate });
    let (hub, tasks) = following(&MemoryDisk::new(1), down.clone()).await;
    for outage in [true, false, true, false] {
        down.on.store(outage, Ordering::SeqCst);
        within_a_minute(|| hub.status().0 != outage).await;
        assert_eq!(hub.status().2.starts_with("数据库无法连接 "), outage, "{}", hub.status().2);
    }
    tasks.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slower_than_heartbeats_is_followed_all_the_same() {
    let slow = Arc::new(Bad { on: AtomicBool::new(false), fate: Fate { before: 2 * HEARTBEAT, ..Fate::GOOD } });
    let disk = MemoryDisk::new(1);
    let (hub, tasks) = following(&disk, slow.clone()).await;
    slow.on.store(true, Ordering::SeqCst);
    let writer = disk.open();
    let head = writer.open_writer().await.unwrap();
    let head = writer.append(&Batch { events: vec![remark(); 3], ..Batch::new(head) }).await.unwrap();
    within_a_minute(|| hub.mirror.read().head == Some(head.position())).await;
    tasks.drain(Duration::from_secs(1)).await;
}

/// The head that heartbeats name now.
fn named(hub: &Hub) -> Option<u64> {
    let framed = hub.porters.last_beat(Form::Protobuf)?;
    // After the two bytes of a short frame's header.
    match feed::ServerMessage::decode(&framed[2..]).unwrap().kind {
        Some(Kind::Heartbeat(beat)) => Some(beat.head),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_all_is_up_to_date_by_a_gateway_that_cannot_know() {
    let refused = Fate { ending: Ending::Unavailable, ..Fate::GOOD };
    // No answer at all, as behind a cut line.
    let silent = Fate { before: Duration::from_secs(30), ..Fate::GOOD };
    for fate in [refused, silent] {
        let bad = Arc::new(Bad { on: AtomicBool::new(false), fate });
        let disk = MemoryDisk::new(1);
        let (hub, tasks) = following(&disk, bad.clone()).await;
        within_a_minute(|| named(&hub) == Some(0)).await;
        bad.on.store(true, Ordering::SeqCst);
        within_a_minute(|| named(&hub).is_none()).await;
        let writer = disk.open();
        let head = writer.open_writer().await.unwrap();
        writer.append(&Batch { events: vec![remark(); 3], ..Batch::new(head) }).await.unwrap();
        bad.on.store(false, Ordering::SeqCst);
        within_a_minute(|| named(&hub) == Some(3)).await;
        tasks.drain(Duration::from_secs(1)).await;
    }
}

/// Answers where the log is, and nothing else.
struct NoReads(AtomicBool);

impl Weather for NoReads {
    fn of(&self, call: Call) -> Fate {
        let ending =
            if call == Call::Read && self.0.load(Ordering::SeqCst) { Ending::Unavailable } else { Ending::Good };
        Fate { ending, ..Fate::GOOD }
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_name_what_the_gateway_knows_of_and_not_what_it_has_read() {
    let bad = Arc::new(NoReads(AtomicBool::new(false)));
    let disk = MemoryDisk::new(1);
    let (hub, tasks) = following(&disk, bad.clone()).await;
    bad.0.store(true, Ordering::SeqCst);
    let writer = disk.open();
    let head = writer.open_writer().await.unwrap();
    writer.append(&Batch { events: vec![remark(); 3], ..Batch::new(head) }).await.unwrap();
    within_a_minute(|| named(&hub) == Some(3)).await;
    assert_eq!(hub.mirror.read().head.unwrap().seq, 0, "clients see that they are behind");
    tasks.drain(Duration::from_secs(1)).await;
}
