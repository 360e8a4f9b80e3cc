//! Wires between our own processes that are cut, healed and late, under load.
//!
//! Core, PostgreSQL, Redis and Mosquitto live in one network namespace, gateway one in another, and gateway two with all
//! clients in a third, in which the test runs itself again. Three wires can be cut, each alone: between gateway one and the
//! core with its database, between gateway one and Redis, and between gateway one and its clients. Gateway two reaches core
//! and Redis over relays that can be late.
//! `NETWORK_CYCLES` sets how often each is struck, `NETWORK_SEED` in which order and after how many inputs.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Command, sync::Arc, time::Duration};

use client::{Feed, Options, Step, Told};
use ledger::testing::{networks::Networks, permitted, postgres::PostgresServer};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::interval};

use crate::{
    all, answered,
    broker::{Mosquitto, Tap},
    cluster::{behind, configure, read, run},
    follow::{Route, Seen, follow},
    from_environment,
    left::complete,
    load::{Load, dependency, key},
    number,
    relay::Relay,
    sensors, soon,
    support::{Running, write_password},
    until,
};

const TEST: &str = "network::wires_that_are_cut_and_late_lose_and_double_nothing";
/// Each way.
const LATE: Duration = Duration::from_millis(150);
/// Senders, each with a pause after an answer: a gateway forgets what it sent when all its clients are away for a while, and
/// what comes meanwhile must be less than it fills from the log, 1,000 events.
const TELLERS: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);
const CLIENTS: usize = 4;
const SENSORS: usize = 1;
/// Patience of a client that asks by itself whether its gateway lives.
const LONG: Duration = Duration::from_secs(60);
/// Places of the gateways.
const ONE: usize = 0;
const TWO: usize = 1;
/// Where gateway one listens for its clients.
const GATEWAY_ONE: &str = "10.214.3.1:8080";
const GATEWAY_TWO: &str = "127.0.0.1:8081";

/// Networks and wires; addresses are of the first and the second end.
const WIRES: [(&str, [(&str, &str); 2]); 4] = [
    ("core", [("core", "10.214.1.1/24"), ("gate", "10.214.1.2/24")]),
    ("redis", [("core", "10.214.2.1/24"), ("gate", "10.214.2.2/24")]),
    ("clients", [("gate", "10.214.3.1/24"), ("clients", "10.214.3.2/24")]),
    ("servers", [("core", "10.214.4.1/24"), ("clients", "10.214.4.2/24")]),
];

fn lay(id: &str) -> Result<Networks, String> {
    let networks = Networks::make(id, &["core", "gate", "clients"])?;
    for (wire, ends) in WIRES {
        networks.lay(wire, ends)?;
    }
    Ok(networks)
}

#[test]
fn wires_that_are_cut_and_late_lose_and_double_nothing() {
    if let Some(id) = from_environment("NETWORK_ID") {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(inside(Networks::of(&id)));
    }
    let id = format!("n{}", std::process::id());
    let networks = match lay(&id) {
        Ok(networks) => networks,
        Err(why) => return permitted::skip("a network of its own", &why),
    };
    let [program, words @ ..] = networks.inside("clients");
    let mut again = Command::new("setpriv");
    again.args(["--pdeathsig", "KILL", "--", &program]).args(words).arg(std::env::current_exe().unwrap());
    let ended = again.args(["--exact", TEST, "--nocapture"]).env("NETWORK_ID", id).status();
    assert!(ended.unwrap().success());
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The processes and what they need. Those named last go first.
struct House {
    core: Running,
    gateways: [Running; 2],
    relays: [Arc<Relay>; 2],
    tap: Arc<Tap>,
    postgres: PostgresServer,
    _servers: (Running, Mosquitto),
    _passing: JoinSet<()>,
    folder: TempDir,
    networks: Networks,
}

/// A certificate of the core for all addresses that it is known by, and the token.
fn secrets(folder: &Path) {
    let names = ["10.214.1.1", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("core.pem", made.cert.pem());
    write("core.key", made.signing_key.serialize_pem());
    write("token", "a-token-of-these-nodes\n".to_owned());
    write_password(folder);
}

/// What a node has: the database, Redis, and its side of the link.
fn node(folder: &Path, postgres: &str, redis: &str, link: &str) -> String {
    let folder = folder.display();
    format!(
        "[ledger]\nurl = \"{postgres}\"\n[bus]\nredis = \"redis://{redis}\"\n[link]\ntoken_file = \"{folder}/token\"\n{}",
        link.replace('%', &folder.to_string()),
    )
}

impl House {
    async fn start(networks: Networks) -> Self {
        let folder = tempfile::tempdir().unwrap();
        secrets(folder.path());
        let core_side = networks.inside("core");
        let far: Vec<&str> = core_side.iter().map(String::as_str).collect();
        let postgres = PostgresServer::start_behind(&far, "listen_addresses = '10.214.1.1'\n");
        postgres.set_access("local all all trust\nhost all all 10.214.0.0/16 trust\n").await;
        let mut redis = behind(&core_side, "redis-server");
        redis.args(["--bind", "127.0.0.1", "10.214.2.1", "10.214.4.1", "--protected-mode", "no", "--save", ""]);
        let redis = Running::start(redis.arg("--dir").arg(folder.path()), "Ready to accept connections");
        let tap = Tap::between(address("10.214.4.2:1884"), address("10.214.4.1:1883"), None).await;
        let mut mosquitto = Mosquitto::behind(folder.path(), tap.broker, &core_side);
        mosquitto.start();
        let relays = [
            Relay::between(address("127.0.0.1:7000"), address("10.214.4.1:7000")).await,
            Relay::between(address("127.0.0.1:6379"), address("10.214.4.1:6379")).await,
        ];
        let mut passing = JoinSet::new();
        passing.spawn(tap.clone().pass());
        for relay in &relays {
            passing.spawn(relay.clone().pass());
        }
        let local = postgres.url("postgres");
        let own = "listen = \"0.0.0.0:7000\"\ncert_file = \"%/core.pem\"\nkey_file = \"%/core.key\"\n";
        let core = node(folder.path(), &local, "127.0.0.1:6379", own);
        configure(folder.path(), "core", "127.0.0.1:8080", &format!("{}{core}", tap.config()));
        let to_core = |host: &str| format!("core = \"https://{host}:7000\"\nca_file = \"%/core.pem\"\n");
        let remote = "postgres://postgres@10.214.1.1:5432/postgres?sslmode=disable";
        let one = node(folder.path(), remote, "10.214.2.1:6379", &to_core("10.214.1.1"));
        configure(folder.path(), "one", GATEWAY_ONE, &one);
        let two = node(folder.path(), &local, "127.0.0.1:6379", &to_core("127.0.0.1"));
        configure(folder.path(), "two", GATEWAY_TWO, &two);
        let serve =
            |name: &str, role: &str, program: &[String]| run(folder.path(), name, &["serve", "--role", role], program);
        let core = serve("core", "core", &core_side);
        let gateways = [serve("one", "gateway", &networks.inside("gate")), serve("two", "gateway", &[])];
        let _servers = (redis, mosquitto);
        Self { core, gateways, relays, tap, postgres, _servers, _passing: passing, folder, networks }
    }
}

/// What may happen to a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Gateway one is without the core and the database.
    CoreCut,
    /// Gateway one is without Redis.
    RedisCut,
    /// Gateway one is without its clients.
    ClientsCut,
    /// Gateway two has them all, but late.
    Late,
}

const FAULTS: [Fault; 4] = [Fault::CoreCut, Fault::RedisCut, Fault::ClientsCut, Fault::Late];

/// How a client stands that never leaves its gateway.
#[derive(Default)]
struct Loyal {
    /// It is connected.
    there: watch::Sender<bool>,
    cursor: watch::Sender<u64>,
}

impl Loyal {
    fn heard(&self, told: &Told, seen: &Seen) {
        match told {
            Told::Connected => _ = self.there.send_replace(true),
            Told::Lost(_) => _ = self.there.send_replace(false),
            Told::Step(_) => {}
        }
        self.cursor.send_replace(seen.cursor);
    }

    async fn is_there(&self, there: bool) {
        let mut known = self.there.subscribe();
        soon("a client notices", known.wait_for(|now| *now == there)).await.unwrap();
    }

    /// It has all that was answered by now.
    async fn keeps_up(&self, load: &Load) {
        let (head, mut cursor) = (load.head(), self.cursor.subscribe());
        soon("a client keeps up", cursor.wait_for(|seen| *seen >= head)).await.unwrap();
    }
}

async fn heartbeat(screen: &mut Feed) {
    while !matches!(screen.next().await.unwrap(), Step::Heartbeat { .. }) {}
}

/// Twelve answers in a row, a quarter of a second apart, and no heartbeat between them.
async fn pongs_alone(screen: &mut Feed) {
    let mut pause = interval(Duration::from_millis(250));
    let mut alone = 0;
    while alone < 12 {
        pause.tick().await;
        screen.ping(0).await.unwrap();
        loop {
            match screen.next().await.unwrap() {
                Step::Pong { .. } => break alone += 1,
                Step::Heartbeat { .. } => alone = 0,
                _ => {}
            }
        }
    }
}

/// Strikes at a house under load.
struct Striker<'a> {
    house: &'a House,
    load: Arc<Load>,
    tellers: JoinSet<()>,
    /// Stay at gateway one and two.
    loyal: [Arc<Loyal>; 2],
    rng: StdRng,
    /// Commands of its own.
    commands: usize,
}

impl Striker<'_> {
    async fn some_answers(&mut self) {
        let more = self.rng.random_range(3..40);
        answered(&self.load, more, &mut self.tellers).await;
    }

    /// A key of a command of its own.
    fn key(&mut self) -> String {
        self.commands += 1;
        key(TELLERS, self.commands)
    }

    async fn strike(&mut self, fault: Fault) {
        self.some_answers().await;
        match fault {
            Fault::CoreCut => self.core_cut().await,
            Fault::RedisCut => self.redis_cut().await,
            Fault::ClientsCut => self.clients_cut().await,
            Fault::Late => self.late().await,
        }
        for loyal in &self.loyal {
            loyal.keeps_up(&self.load).await;
        }
    }

    /// A command there is refused in words, or its answer is not known; when the wire is whole, its key has one answer.
    /// Meanwhile it lives, and does not say that a screen is up to date.
    async fn core_cut(&mut self) {
        let key = self.key();
        let options = Options { patience: LONG, ..Options::at(GATEWAY_ONE) };
        let mut screen = Feed::open(&options, &self.load.session, None).await.unwrap();
        soon("it says where the log is", heartbeat(&mut screen)).await;
        self.house.networks.cut("core", "core");
        soon("it says no more where the log is", pongs_alone(&mut screen)).await;
        let refused = async || {
            let answer = self.load.try_to_report(GATEWAY_ONE, &key).await;
            assert!(answer.as_ref().is_none_or(|a| a.status == 503), "the core cannot have answered");
            answer.is_some_and(|answer| answer.is_unavailable())
        };
        until("it is refused", refused).await;
        self.some_answers().await;
        self.house.networks.mend("core", "core");
        soon("it says again where the log is", heartbeat(&mut screen)).await;
        let first = self.load.at(ONE, &key).await;
        let again = self.load.try_to_report(GATEWAY_TWO, &key).await.unwrap().json();
        assert_eq!((&again["replayed"], &again["refs"]), (&serde_json::json!(true), &first["refs"]), "{again}");
    }

    /// Events come by the ledger, and commands go through.
    async fn redis_cut(&mut self) {
        self.house.networks.cut("core", "redis");
        until("the bus is down", async || dependency(GATEWAY_ONE, "bus").await["state"] == "down").await;
        self.some_answers().await;
        let key = self.key();
        self.load.at(ONE, &key).await;
        self.loyal[ONE].keeps_up(&self.load).await;
        self.house.networks.mend("core", "redis");
        until("the bus is up", async || dependency(GATEWAY_ONE, "bus").await["state"] == "up").await;
    }

    /// Clients notice by themselves, and come back with what they have.
    async fn clients_cut(&mut self) {
        self.house.networks.cut("gate", "clients");
        self.loyal[ONE].is_there(false).await;
        self.some_answers().await;
        self.house.networks.mend("gate", "clients");
        self.loyal[ONE].is_there(true).await;
    }

    async fn late(&mut self) {
        let late = || self.house.relays.iter().map(|relay| relay.late()).collect::<Vec<_>>();
        let before = late();
        self.house.relays.iter().for_each(|relay| relay.delay(LATE));
        for _ in 0..3 {
            let key = self.key();
            self.load.at(TWO, &key).await;
            self.loyal[TWO].keeps_up(&self.load).await;
        }
        self.some_answers().await;
        assert!(late().iter().zip(before).all(|(now, before)| *now > before), "both wires were late");
        self.house.relays.iter().for_each(|relay| relay.delay(Duration::ZERO));
    }
}

async fn inside(networks: Networks) {
    let (cycles, seed) = (number("NETWORK_CYCLES", 2), number("NETWORK_SEED", 1));
    let house = House::start(networks).await;
    let load = Arc::new(Load::begin([GATEWAY_ONE, GATEWAY_TWO].map(str::to_owned).to_vec(), TELLERS).await);
    let (mut tellers, mut clients, mut devices) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for n in 0..TELLERS {
        tellers.spawn(load.clone().tell(n, PAUSE));
    }
    for n in 0..CLIENTS {
        clients.spawn(follow(load.clone(), n, Route::Roams, |_, _| {}));
    }
    let loyal = [ONE, TWO].map(|place| {
        let loyal = Arc::new(Loyal::default());
        let heard = loyal.clone();
        clients.spawn(follow(load.clone(), CLIENTS + place, Route::Stays(place), move |t, s| heard.heard(t, s)));
        loyal
    });
    let quiet = watch::Sender::new(false);
    for sensor in sensors::paced(SENSORS, PAUSE) {
        devices.spawn(sensors::measure(house.tap.clone(), sensor, quiet.subscribe()));
    }
    let rng = StdRng::seed_from_u64(seed);
    let mut striker = Striker { house: &house, load: load.clone(), tellers, loyal, rng, commands: 0 };
    let mut faults: BTreeMap<Fault, u64> = BTreeMap::new();
    for _ in 0..cycles {
        let mut order = FAULTS;
        order.shuffle(&mut striker.rng);
        for fault in order {
            striker.strike(fault).await;
            *faults.entry(fault).or_default() += 1;
        }
    }
    quiet.send_replace(true);
    let told = all("sensors", devices).await;
    // What is answered from here on comes after all that the sensors told.
    answered(&load, 10, &mut striker.tellers).await;
    load.over.send_replace(true);
    all("senders", striker.tellers).await;
    let seen = all("clients", clients).await;
    let what = format!("seed {seed}, cycles {cycles}, faults {faults:?}");
    check(house, &load, &told, &seen, &what).await;
}

/// Stops the house, looks at what is left, and says what it found.
async fn check(house: House, load: &Load, told: &[sensors::Told], seen: &[Seen], what: &str) {
    let House { core, gateways, postgres, folder, .. } = house;
    for process in gateways.into_iter().chain([core]) {
        assert!(process.end("TERM"), "it stops in order");
    }
    let options = postgres.options("maojiawan", &folder.path().join("files"));
    let store = ledger::PostgresStore::open(&options).await.unwrap();
    let log = read(&store).await;
    store.close().await;
    complete(&format!("network: {what}"), load, sensors::compare(told, &log), seen, &log);
}
