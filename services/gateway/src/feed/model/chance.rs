//! Seeded chance, the clock that jumps, and the weather of the store.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use ledger::testing::memory::{Call, Ending, Fate, Weather};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use runtime::Clock;
use tokio::time::Instant;

use super::Tally;

/// All that is left to chance, from one seed. Clones draw from the same.
#[derive(Clone)]
pub(super) struct Chance {
    rng: Arc<Mutex<StdRng>>,
    tally: Arc<Mutex<Tally>>,
    /// No faults: at the beginning and at the end.
    calm: Arc<AtomicBool>,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { rng, tally: Arc::default(), calm: Arc::new(AtomicBool::new(true)) }
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.rng.lock().unwrap().random_range(0..end)
    }

    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[usize::try_from(self.below(of.len() as u64)).unwrap()])
    }

    pub(super) fn per_cent(&self, n: u64) -> bool {
        self.below(100) < n
    }

    pub(super) fn ms(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    pub(super) async fn sleep(&self, range: Range<u64>) {
        let time = self.ms(range);
        tokio::time::sleep(time).await;
    }

    /// Whether this fault happens now; counted.
    pub(super) fn strikes(&self, per_mille: u64, fault: &'static str) -> bool {
        let strikes = !self.calm() && self.below(1_000) < per_mille;
        if strikes {
            self.tally().fault(fault);
        }
        strikes
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    pub(super) fn calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub(super) fn be_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }
}

/// Simulated time that jumps.
#[derive(Debug, Clone)]
pub(super) struct Jumping {
    began: Instant,
    skew: Arc<AtomicI64>,
}

impl Jumping {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), skew: Arc::default() }
    }

    pub(super) fn jump(&self, ms: i64) {
        self.skew.store(ms, Ordering::SeqCst);
    }
}

impl Clock for Jumping {
    fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        1_800_000_000_000 + passed + self.skew.load(Ordering::SeqCst)
    }
}

/// The weather of the store.
pub(super) struct Sky {
    pub(super) chance: Chance,
    /// It does not answer at all.
    pub(super) down: AtomicBool,
    /// It is full.
    pub(super) full: AtomicBool,
}

impl Weather for Sky {
    fn of(&self, call: Call) -> Fate {
        let chance = &self.chance;
        let mut fate = Fate { before: chance.ms(0..3), after: chance.ms(0..3), ..Fate::GOOD };
        if chance.calm() {
            return fate;
        }
        if self.down.load(Ordering::SeqCst) {
            fate.ending = Ending::Unavailable;
            return fate;
        }
        if self.full.load(Ordering::SeqCst) {
            fate.ending = Ending::Full;
        }
        if chance.strikes(20, "store slow before") {
            fate.before = chance.ms(50..2_000);
        }
        if chance.strikes(20, "store slow after") {
            fate.after = chance.ms(50..2_000);
        }
        if chance.strikes(15, "call refused") {
            fate.ending = Ending::Unavailable;
        } else if call == Call::Append && chance.strikes(15, "commit unknown, stored") {
            fate.ending = Ending::Unknown { stored: true };
        } else if call == Call::Append && chance.strikes(15, "commit unknown, not stored") {
            fate.ending = Ending::Unknown { stored: false };
        }
        fate
    }
}
