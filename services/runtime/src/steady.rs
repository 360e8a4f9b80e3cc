//! A guard for what removes by age. A clock that leaps forward by weeks makes everything old at once; so removal follows
//! the wall clock only while it goes with the time that really passed.
//!
//! The believed clock is a straight line: wall time at a moment, and from there as fast as the process lives. A wall clock
//! that is more than [`LEAP_MS`] beside it is in doubt, and nothing is removed until it is back, or has gone steadily for
//! [`HOLD`]: then it is believed. The line outlives the process as its [`SteadyClock::mark`]: a start after a long time,
//! and a start with a wrong clock, look the same and wait the same. So nothing is ever removed more than `LEAP_MS` early,
//! unless a wrong clock stays for `HOLD`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::Clock;

/// How far the wall clock may be from where it should be, ms.
pub const LEAP_MS: i64 = 86_400_000;
/// A clock that goes steadily for so long is believed, whatever was known before.
pub const HOLD: Duration = Duration::from_secs(12 * 3_600);

/// A clock that is not believed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// Where it leapt to, ms.
    pub since_ms: i64,
    /// How far it is from where it should be, ms; negative = it went back.
    pub off_ms: i64,
}

/// Wall time as it goes with the time that passes.
#[derive(Debug, Clone, Copy)]
struct Line {
    wall: i64,
    lived: Duration,
}

impl Line {
    fn at(self, lived: Duration) -> i64 {
        let passed = i64::try_from(lived.saturating_sub(self.lived).as_millis()).unwrap_or(i64::MAX);
        self.wall.saturating_add(passed)
    }

    /// How far `wall` is from it.
    fn off(self, wall: i64, lived: Duration) -> i64 {
        wall.saturating_sub(self.at(lived))
    }

    fn fits(self, wall: i64, lived: Duration) -> bool {
        self.off(wall, lived).unsigned_abs() <= LEAP_MS.unsigned_abs()
    }
}

/// What is known of the clock. Pure: it is told both times.
#[derive(Debug, Clone, Copy)]
struct Steady {
    believed: Line,
    /// Where the clock went instead.
    doubted: Option<Line>,
}

impl Steady {
    fn look(&mut self, wall: i64, lived: Duration) -> Option<Doubt> {
        if self.believed.fits(wall, lived) {
            self.doubted = None;
            return None;
        }
        let doubted = self.doubted.filter(|line| line.fits(wall, lived)).unwrap_or(Line { wall, lived });
        if lived.saturating_sub(doubted.lived) >= HOLD {
            *self = Self { believed: Line { wall, lived }, doubted: None };
            return None;
        }
        self.doubted = Some(doubted);
        Some(Doubt { since_ms: doubted.wall, off_ms: self.believed.off(wall, lived) })
    }
}

/// The wall clock as removal may use it. Cheap to ask; never blocks. It notices a leap when it is asked, so ask often.
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    /// Time that passed, whatever happens to the wall clock.
    lived: Box<dyn Fn() -> Duration + Send + Sync>,
    state: Mutex<Steady>,
}

impl fmt::Debug for SteadyClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyClock").field("state", &self.state).finish_non_exhaustive()
    }
}

impl SteadyClock {
    /// `mark` is what the last process knew; without one the clock is believed as it is.
    pub fn new(clock: Arc<dyn Clock>, mark: Option<i64>) -> Self {
        let began = tokio::time::Instant::now();
        Self::with_lived(clock, mark, move || began.elapsed())
    }

    /// As [`SteadyClock::new`], with the time that passes; for tests.
    pub fn with_lived(
        clock: Arc<dyn Clock>,
        mark: Option<i64>,
        lived: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let believed = Line { wall: mark.unwrap_or_else(|| clock.now_ms()), lived: lived() };
        let state = Mutex::new(Steady { believed, doubted: None });
        Self { clock, lived: Box::new(lived), state }
    }

    /// Now, ms, for what removes by age; `None` = remove nothing now.
    pub fn removal_ms(&self) -> Option<i64> {
        let now = self.clock.now_ms();
        self.look(now).is_none().then_some(now)
    }

    /// Whether the clock is in doubt.
    pub fn doubt(&self) -> Option<Doubt> {
        self.look(self.clock.now_ms())
    }

    /// Where the believed clock stands, ms; to be kept for the next process.
    pub fn mark(&self) -> i64 {
        let lived = (self.lived)();
        let believed = self.state.lock().unwrap_or_else(PoisonError::into_inner).believed;
        // A clock that is a little fast or slow is the one to go by.
        self.removal_ms().unwrap_or_else(|| believed.at(lived))
    }

    fn look(&self, now: i64) -> Option<Doubt> {
        let lived = (self.lived)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.doubted.is_some();
        let doubt = state.look(now, lived);
        drop(state);
        match doubt {
            Some(Doubt { off_ms, .. }) if !before => {
                tracing::warn!(clock.off_ms = off_ms, "the clock leapt: nothing old is removed until it is steady");
            }
            None if before => tracing::info!("the clock is believed again"),
            _ => {}
        }
        doubt
    }
}

/// The believed time: for what must neither end nor begin because a clock leapt.
impl Clock for SteadyClock {
    fn now_ms(&self) -> i64 {
        self.mark()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::ManualClock;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 1_700_000_000_000;

    struct Machine {
        clock: ManualClock,
        lived: Arc<AtomicU64>,
        steady: SteadyClock,
    }

    impl Machine {
        fn start(now: i64, mark: Option<i64>) -> Self {
            let (clock, lived) = (ManualClock::at(now), Arc::<AtomicU64>::default());
            let read = lived.clone();
            let lives = move || Duration::from_millis(read.load(Ordering::SeqCst));
            let steady = SteadyClock::with_lived(Arc::new(clock.clone()), mark, lives);
            Self { clock, lived, steady }
        }

        /// Time passes, for the clock too; asked every ten minutes.
        fn live(&self, hours: u64) {
            for _ in 0..hours * 6 {
                self.clock.advance(600_000);
                self.lived.fetch_add(600_000, Ordering::SeqCst);
                self.steady.doubt();
            }
        }

        fn removal(&self) -> Option<i64> {
            self.steady.removal_ms()
        }
    }

    #[test]
    fn a_clock_that_goes_with_time_is_followed() {
        let machine = Machine::start(NOW, Some(NOW - DAY / 2));
        for days in 1..100 {
            machine.live(24);
            assert_eq!((machine.removal(), machine.steady.mark()), (Some(NOW + days * DAY), NOW + days * DAY));
        }
    }

    #[test]
    fn a_leap_forward_removes_nothing_until_the_clock_comes_back() {
        let machine = Machine::start(NOW, None);
        machine.live(1);
        machine.clock.advance(40 * DAY);
        let doubt = Doubt { since_ms: NOW + 40 * DAY + 3_600_000, off_ms: 40 * DAY };
        assert_eq!((machine.steady.doubt(), machine.removal()), (Some(doubt), None));
        machine.live(11);
        assert_eq!((machine.steady.doubt(), machine.removal()), (Some(doubt), None), "since the leap");
        assert_eq!(machine.steady.mark(), NOW + 12 * 3_600_000, "what is known is as if it had not leapt");
        machine.clock.advance(-40 * DAY);
        assert_eq!((machine.steady.doubt(), machine.removal()), (None, Some(NOW + 12 * 3_600_000)));
    }

    #[test]
    fn a_clock_that_stays_where_it_leapt_to_is_believed_at_last() {
        for leap in [40 * DAY, -40 * DAY, 50 * 365 * DAY] {
            let machine = Machine::start(NOW, None);
            machine.clock.advance(leap);
            assert_eq!(machine.removal(), None);
            machine.live(6);
            machine.clock.advance(7 * DAY);
            machine.live(11);
            assert_eq!(machine.removal(), None, "another leap begins the wait anew");
            machine.live(2);
            assert_eq!(machine.removal(), Some(NOW + leap + 7 * DAY + 19 * 3_600_000));
            assert_eq!(machine.steady.mark(), NOW + leap + 7 * DAY + 19 * 3_600_000);
        }
    }

    #[test]
    fn small_leaps_do_not_add_up() {
        let machine = Machine::start(NOW, None);
        machine.clock.advance(DAY * 9 / 10);
        assert!(machine.removal().is_some());
        machine.clock.advance(DAY * 9 / 10);
        assert_eq!(machine.removal(), None);
    }

    #[test]
    fn a_start_after_a_long_time_waits_and_then_goes_on() {
        let machine = Machine::start(NOW + 40 * DAY, Some(NOW));
        assert_eq!(machine.removal(), None);
        machine.live(11);
        assert_eq!(machine.removal(), None);
        machine.live(1);
        assert_eq!(machine.removal(), Some(NOW + 40 * DAY + 12 * 3_600_000));
        let next = Machine::start(NOW + 41 * DAY, Some(machine.steady.mark()));
        assert!(next.removal().is_some(), "the next start knows it");
    }

    #[test]
    fn a_restart_with_a_wrong_clock_is_no_proof_of_it() {
        let mut mark = NOW;
        for _ in 0..5 {
            let machine = Machine::start(NOW + 40 * DAY, Some(mark));
            machine.live(2);
            assert_eq!(machine.removal(), None);
            mark = machine.steady.mark();
        }
        let right = Machine::start(NOW + 10 * 3_600_000, Some(mark));
        assert!(right.removal().is_some());
    }
}
