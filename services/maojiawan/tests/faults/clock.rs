//! The wall clock of a real centre leaps while people report, sensors measure and screens follow: libfaketime moves it, and
//! leaves the steady clock alone, as a machine does whose time is set.
//!
//! `CLOCK_CYCLES` sets how often it leaps everywhere, `CLOCK_SEED` in which order and after how many inputs.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use client::{Feed, Options, Session, Step};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use runtime::{Clock as _, SystemClock};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    all, answered,
    broker::Tap,
    cluster::{CENTRE, Cluster as _, OneProcess},
    follow::{Route, follow},
    left::complete,
    load::{Load, ask, dependency, key},
    number, sensors, soon,
    support::PASSWORD,
    until,
};

const TELLERS: usize = 3;
const PAUSE: Duration = Duration::from_millis(20);
const CLIENTS: usize = 3;
const SENSORS: usize = 2;
const HOUR_MS: i64 = 3_600_000;
/// Where the clock leaps to, hours beside the true time: within a day it is believed, beyond it is in doubt.
const LEAPS: [i64; 3] = [9, -11, FAR];
const FAR: i64 = 40 * 24;

/// The clock of the centre, as a file that libfaketime reads whenever it is asked for the time.
struct FakeClock {
    folder: TempDir,
}

impl FakeClock {
    fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().unwrap() };
        clock.leap_to(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Whole at once, for it is read at any moment.
    fn leap_to(&self, hours: i64) {
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{hours:+}h\n")).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    /// What a program runs by way of. The centre has no children here that would inherit it: neither a broker nor cameras.
    fn behind(&self) -> Vec<String> {
        let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let library = folders.map(|f| f.join("faketime/libfaketimeMT.so.1")).find(|f| f.exists());
        let library = library.expect("libfaketime: deploy/prepare.sh --tests");
        let set = |name: &str, value: &str| format!("{name}={value}");
        vec![
            "env".to_owned(),
            set("LD_PRELOAD", library.to_str().unwrap()),
            set("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap()),
            set("FAKETIME_NO_CACHE", "1"),
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

/// Somebody who logged in at the true time, and looks on.
struct Watch {
    address: String,
    session: Session,
}

impl Watch {
    async fn begin(address: String) -> Self {
        let session = client::log_in(&address, "chief", PASSWORD).await.unwrap();
        Self { address, session }
    }

    /// How far the clock of the centre is from the true one, in whole hours, as a screen is told.
    async fn off(&self) -> i64 {
        let mut screen = Feed::open(&Options::at(&self.address), &self.session, None).await.unwrap();
        screen.ping(0).await.unwrap();
        loop {
            if let Step::Pong { server_time, .. } = screen.next().await.unwrap() {
                let off = server_time - SystemClock.now_ms();
                return (off + off.signum() * HOUR_MS / 2) / HOUR_MS;
            }
        }
    }

    async fn session_status(&self) -> u16 {
        let head = format!("GET /api/v1/session HTTP/1.1\r\ncookie: {}", self.session.cookie());
        ask(&self.address, &head, b"").await.unwrap().status
    }

    /// Nobody is logged out, the centre is ready, and it doubts its clock exactly when that is far off.
    async fn is_well(&self, hours: i64) {
        assert_eq!(self.session_status().await, 200, "{hours} h: logged out");
        client::log_in(&self.address, "chief", PASSWORD).await.unwrap();
        let state = if is_doubted(hours) { "degraded" } else { "up" };
        until("it knows its clock", async || dependency(&self.address, "clock").await["state"] == state).await;
        let ready = ask(&self.address, "GET /readyz HTTP/1.1", b"").await.unwrap();
        assert_eq!(ready.status, 200, "{hours} h: {}", ready.body);
        let clock = dependency(&self.address, "clock").await;
        let told = clock["detail"].as_str().unwrap_or_default();
        assert_eq!(told.contains("时钟跳变"), is_doubted(hours), "{clock}");
    }
}

/// Whether the clock is so far off that it is not believed.
fn is_doubted(hours: i64) -> bool {
    hours.abs() > 24
}

/// Leaps under load, with `kill -9` after each if it is `killed`, and looks at what is left.
async fn survive(killed: bool) {
    let (cycles, seed) = (number("CLOCK_CYCLES", 1), number("CLOCK_SEED", 1));
    let mut rng = StdRng::seed_from_u64(seed);
    let (tap, clock, mut passing) = (Tap::new().await, FakeClock::new(), JoinSet::new());
    passing.spawn(tap.clone().pass());
    let mut centre = OneProcess::with_sensors(&tap, &clock.behind());
    let load = Arc::new(Load::begin(vec![centre.address()], TELLERS).await);
    let (mut tellers, mut clients, mut devices) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for n in 0..TELLERS {
        tellers.spawn(load.clone().tell(n, PAUSE));
    }
    for n in 0..CLIENTS {
        clients.spawn(follow(load.clone(), n, Route::Stays(0), |_, _| {}));
    }
    let quiet = tokio::sync::watch::Sender::new(false);
    for sensor in sensors::paced(SENSORS, PAUSE) {
        devices.spawn(sensors::measure(tap.clone(), sensor, quiet.subscribe()));
    }
    let watch = Watch::begin(centre.address()).await;
    let mut faults: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..cycles {
        let mut leaps = LEAPS;
        leaps.shuffle(&mut rng);
        for hours in leaps.into_iter().chain([0]) {
            answered(&load, rng.random_range(3..30), &mut tellers).await;
            clock.leap_to(hours);
            *faults.entry(format!("{hours:+} h")).or_default() += 1;
            assert_eq!(soon("its clock", watch.off()).await, hours, "the clock of the centre leapt");
            heard(&load, &mut tellers, &tap).await;
            watch.is_well(hours).await;
            // Sessions end when it starts with a clock that is far off: nobody knows whether it was off for so long.
            if killed && !is_doubted(hours) {
                centre.kill(CENTRE);
                centre.start(CENTRE);
                *faults.entry("kill -9".to_owned()).or_default() += 1;
                heard(&load, &mut tellers, &tap).await;
                watch.is_well(hours).await;
            }
        }
    }
    quiet.send_replace(true);
    let told = all("sensors", devices).await;
    // What is answered from here on comes after all that the sensors told.
    answered(&load, 10, &mut tellers).await;
    load.over.send_replace(true);
    all("senders", tellers).await;
    let seen = all("clients", clients).await;
    if killed {
        clock.leap_to(FAR);
        centre.kill(CENTRE);
        centre.start(CENTRE);
        start_in_doubt(&watch).await;
    }
    centre.stop();
    let log = centre.log().await;
    let what = format!("clock: seed {seed}, cycles {cycles}, faults {faults:?}");
    complete(&what, &load, sensors::compare_by_value(&told, &log), &seen, &log);
    let lost = seen.iter().filter(|client| client.connections > 1).count();
    assert!(killed || lost == 0, "{lost} screens lost their picture");
}

/// With a clock that was far off when it started it asks for passwords again, and forgets no key.
async fn start_in_doubt(watch: &Watch) {
    assert_eq!(watch.session_status().await, 401);
    let clock = dependency(&watch.address, "clock").await;
    assert_eq!(clock["state"], "degraded", "{clock}");
    let load = Load::begin(vec![watch.address.clone()], 0).await;
    let again = load.try_to_report(&watch.address, &key(0, 0)).await.unwrap();
    assert_eq!((again.status, &again.json()["replayed"]), (200, &true.into()), "{}", again.body);
}

/// Until more of both kinds of inputs are acknowledged.
async fn heard(load: &Load, tellers: &mut JoinSet<()>, tap: &Tap) {
    let mut acknowledged = tap.acknowledged.subscribe();
    let edges = acknowledged.borrow_and_update().len();
    answered(load, 10, tellers).await;
    soon("sensors are heard", acknowledged.wait_for(|all| all.len() >= edges + 2 * SENSORS)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_leaps_loses_and_doubles_nothing_and_logs_nobody_out() {
    survive(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_that_is_killed_while_its_clock_is_wrong_loses_and_doubles_nothing() {
    survive(true).await;
}
