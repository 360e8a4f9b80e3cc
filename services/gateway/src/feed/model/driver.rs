//! The world: starts everything, lets faults strike, calms down, and looks at what is left.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    account::{Account, Role},
    event::Mode,
    ids::VaultId,
    input::{Actor, Command, Input},
};
use ledger::{
    Accounts as _, Log as _, Session,
    testing::memory::{MemoryDisk, MemoryStore},
};
use link::intake::{Intake as _, Submission};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Tally,
    bus::Net,
    centre::{Core, Gate, Ground},
    chance::{Chance, Jumping, Sky},
    oracle,
    screen::{Held, Screen, Who},
    source::{self, Ack},
};

const GATES: usize = 2;
const SOURCES: usize = 3;
/// Inputs of each source.
const INPUTS: usize = 25;
/// Changes of rights, and erasures.
const ORDERS: usize = 12;
/// Simulated time that the world may take to become whole once the faults are over.
const RECOVERY: Duration = Duration::from_secs(180);
const HOUR_MS: i64 = 3_600_000;

/// Account, role, unit, grid; conflating or not.
type Person = (&'static str, Role, Option<&'static str>, Option<&'static str>, bool);
const PEOPLE: &[Person] = &[
    ("duty", Role::DutyOfficer, None, None, false),
    ("fire1", Role::DepartmentClerk, Some("fire"), None, false),
    ("grid1", Role::GridManager, Some("team1"), Some("g1"), false),
    ("wall", Role::WallDisplay, None, None, true),
];

/// What sources and clients reach.
pub(super) struct Shared {
    pub(super) chance: Chance,
    /// The newest last; the one before may not know yet that it is not the writer any more.
    cores: Mutex<Vec<Arc<Core>>>,
    pub(super) gates: Mutex<Vec<Option<Arc<Gate>>>>,
    pub(super) incidents: Mutex<Vec<u64>>,
    pub(super) acks: Mutex<Vec<Ack>>,
    /// As they began.
    pub(super) accounts: Mutex<Vec<Account>>,
    /// Where each client stands.
    pub(super) cursors: Mutex<BTreeMap<String, (u64, u64)>>,
    pub(super) over: CancellationToken,
}

impl Shared {
    /// The core that a source reaches: at times one that another took over from.
    pub(super) fn core(&self) -> Option<Arc<Core>> {
        let cores = self.cores.lock().unwrap();
        let old = cores.len() > 1 && self.chance.per_cent(30);
        if old { self.chance.pick(&cores).cloned() } else { cores.last().cloned() }
    }
}

pub(super) struct World {
    shared: Arc<Shared>,
    ground: Ground,
    sky: Arc<Sky>,
    /// Reaches the disk whatever the weather.
    hand: MemoryStore,
}

impl World {
    pub(super) fn new(chance: Chance) -> Self {
        let sky = Arc::new(Sky { chance: chance.clone(), down: AtomicBool::new(false), full: AtomicBool::new(false) });
        let disk = MemoryDisk::new(chance.below(u64::MAX));
        let (net, clock) = (Net::new(chance.clone()), Jumping::new());
        let hand = disk.open();
        let ground = Ground { disk, sky: sky.clone(), net, clock };
        let shared = Shared {
            chance,
            cores: Mutex::default(),
            gates: Mutex::new((0..GATES).map(|_| None).collect()),
            incidents: Mutex::default(),
            acks: Mutex::default(),
            accounts: Mutex::default(),
            cursors: Mutex::default(),
            over: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), ground, sky, hand }
    }

    pub(super) async fn run(self) -> Tally {
        let people = self.found().await;
        self.shared.chance.be_calm(false);
        let each = people.iter().map(|who| Screen::new(who.clone(), self.shared.clone()));
        let screens: Vec<JoinHandle<Screen>> = each.map(|s| tokio::spawn(s.run())).collect();
        let each = (0..SOURCES).map(|n| tokio::spawn(source::run(self.shared.clone(), n, INPUTS)));
        let mut sources: Vec<_> = each.collect();
        sources.push(tokio::spawn(source::govern(self.shared.clone(), ORDERS)));
        self.storm(&sources).await;
        self.calm();
        self.recovered(&sources).await;
        let fresh = self.fresh(&people).await;
        self.shared.over.cancel();
        let mut ended = Vec::new();
        for screen in screens {
            ended.push(screen.await.unwrap());
        }
        self.judge(&ended, &fresh).await
    }

    /// A site, people and their sessions, and everything running.
    async fn found(&self) -> Vec<Who> {
        self.start_core();
        let core = self.shared.cores.lock().unwrap()[0].clone();
        let give = async |command: Command| {
            let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
            // The writer refuses while it loads.
            while core.writer.submit(Submission::keyless(input.clone())).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        give(Command::SetSite(Arc::new(super::site::site()))).await;
        let mut people = Vec::new();
        for (n, (id, role, unit, grid, conflate)) in (1..).zip(PEOPLE) {
            let (unit, grid) = (unit.map(Into::into), grid.map(Into::into));
            let account = Account { id: (*id).into(), role: *role, unit, grid, name: VaultId(0), active: true };
            self.shared.accounts.lock().unwrap().push(account.clone());
            give(Command::SetAccount { account, name: (*id).to_owned() }).await;
            let (token_hash, account, expires_ms) = ([n; 32], (*id).to_owned(), i64::MAX);
            let session = Session { token_hash, account, created_ms: 0, last_seen_ms: 1_800_000_000_000, expires_ms };
            self.hand.put_session(&session).await.unwrap();
            let name = (*id).to_owned();
            people.push(Who { account: name.clone(), name, token: token_hash, conflate: *conflate });
        }
        (0..GATES).for_each(|n| self.start_gate(n));
        people
    }

    fn start_core(&self) {
        self.shared.cores.lock().unwrap().push(Arc::new(Core::start(&self.ground)));
    }

    fn start_gate(&self, n: usize) {
        self.shared.gates.lock().unwrap()[n] = Some(Arc::new(Gate::start(&self.ground)));
    }

    fn kill_cores(&self) {
        self.shared.cores.lock().unwrap().drain(..).for_each(|core| core.kill());
    }

    fn kill_gate(&self, n: usize) {
        if let Some(gate) = self.shared.gates.lock().unwrap()[n].take() {
            gate.kill();
        }
    }

    /// Faults, until the sources are done.
    async fn storm(&self, sources: &[JoinHandle<()>]) {
        let chance = &self.shared.chance;
        for _ in 0..60 {
            if sources.iter().all(JoinHandle::is_finished) {
                return;
            }
            chance.sleep(20..900).await;
            self.supervise();
            self.strike().await;
        }
    }

    /// A core that was fenced off ends, and another one starts if none is left.
    fn supervise(&self) {
        let mut cores = self.shared.cores.lock().unwrap();
        cores.retain(|core| {
            let over = core.tasks.failed().is_cancelled();
            if over {
                core.kill();
            }
            !over
        });
        let none = cores.is_empty();
        drop(cores);
        if none {
            self.start_core();
        }
    }

    async fn strike(&self) {
        let chance = &self.shared.chance;
        let fault = |kind| chance.tally().fault(kind);
        match chance.below(14) {
            0 | 1 => {
                fault("core killed");
                self.kill_cores();
                chance.sleep(0..1_500).await;
                self.start_core();
            }
            2 => {
                fault("a second core takes over");
                self.start_core();
            }
            3 | 4 => {
                fault("gateway killed");
                let n = usize::try_from(chance.below(GATES as u64)).unwrap();
                self.kill_gate(n);
                chance.sleep(0..1_500).await;
                self.start_gate(n);
            }
            5 => {
                fault("gateway drained");
                let n = usize::try_from(chance.below(GATES as u64)).unwrap();
                let gate = self.shared.gates.lock().unwrap()[n].take();
                if let Some(gate) = gate {
                    gate.drain();
                    chance.sleep(10..500).await;
                    gate.kill();
                }
                self.start_gate(n);
            }
            6 | 7 => {
                fault("bus down");
                self.ground.net.fail();
                chance.sleep(50..3_000).await;
                self.ground.net.heal();
            }
            8 => self.during("store down", &self.sky.down).await,
            9 => self.during("store full", &self.sky.full).await,
            10 => {
                fault("clock jumps");
                let hours = i64::try_from(chance.below(13)).unwrap() - 6;
                self.ground.clock.jump(hours * HOUR_MS);
            }
            11 if chance.per_cent(30) => {
                fault("log renewed");
                self.hand.renew().await.unwrap();
            }
            _ => {}
        }
    }

    async fn during(&self, kind: &'static str, what: &AtomicBool) {
        self.shared.chance.tally().fault(kind);
        what.store(true, Ordering::SeqCst);
        self.shared.chance.sleep(50..3_000).await;
        what.store(false, Ordering::SeqCst);
    }

    /// No fault from now on.
    fn calm(&self) {
        self.shared.chance.be_calm(true);
        for n in 0..GATES {
            if self.shared.gates.lock().unwrap()[n].is_none() {
                self.start_gate(n);
            }
        }
    }

    /// Every input is answered and every client is at the end of the log, within bounds.
    async fn recovered(&self, sources: &[JoinHandle<()>]) {
        let whole = async {
            loop {
                self.supervise();
                tokio::time::sleep(Duration::from_millis(200)).await;
                let head = self.hand.head().await.unwrap().position();
                let cursors = self.shared.cursors.lock().unwrap().clone();
                let at_end = PEOPLE.iter().all(|p| cursors.get(p.0) == Some(&(head.log_id, head.seq)));
                if at_end && sources.iter().all(JoinHandle::is_finished) {
                    return;
                }
            }
        };
        if tokio::time::timeout(RECOVERY, whole).await.is_err() {
            let head = self.hand.head().await.unwrap();
            let cursors = self.shared.cursors.lock().unwrap().clone();
            let waiting = sources.iter().filter(|s| !s.is_finished()).count();
            let what = format!("no recovery: {waiting} sources wait, head {head:?}, clients at {cursors:?}");
            self.shared.chance.tally().violation(what);
            sources.iter().for_each(JoinHandle::abort);
        }
    }

    /// What a new client of a new gateway is shown.
    async fn fresh(&self, people: &[Who]) -> Vec<(u64, Held)> {
        self.kill_gate(1);
        self.kill_gate(0);
        self.start_gate(0);
        let mut fresh = Vec::new();
        for who in people {
            let name = format!("new {}", who.name);
            let screen = Screen::new(Who { name: name.clone(), ..who.clone() }, self.shared.clone());
            let screen = tokio::time::timeout(RECOVERY, screen.first()).await;
            match screen {
                Ok(screen) => fresh.push((screen.cursor, screen.held)),
                Err(_) => self.shared.chance.tally().violation(format!("{name} gets no snapshot")),
            }
        }
        fresh
    }

    async fn judge(self, screens: &[Screen], fresh: &[(u64, Held)]) -> Tally {
        let log = oracle::log(&self.hand).await;
        let acks = self.shared.acks.lock().unwrap().clone();
        let mut tally = self.shared.chance.tally().clone();
        oracle::inputs(&self.hand, &log, &acks, &mut tally).await;
        oracle::screens(&log, screens, &mut tally);
        for (screen, (seq, held)) in screens.iter().zip(fresh) {
            if screen.cursor == *seq && screen.held != *held {
                let differs = |key: &&String| screen.held.get(*key) != held.get(*key);
                let keys: Vec<_> = screen.held.keys().chain(held.keys()).filter(differs).collect();
                tally.violation(format!("client {} holds another state: {keys:?}", screen.who.name));
            }
        }
        for stored in &log {
            tally.trace((stored.seq, &stored.event.kind));
        }
        tally
    }
}
