//! What the time of a device is worth. A time of long ago, before clocks were set, or in the future says nothing, and the
//! reading happens as it arrives; so it does for a device that steadily tells an earlier time, once that was seen. All other
//! times are believed: what was measured earlier is earlier, whenever it arrives. But that it is too old to ring is believed
//! only of a device that has told the present since this run began and since our own clock leapt: until then nobody knows
//! whose clock is wrong, and a call that rings once too often costs less than one that is never heard.

use crate::formats::EPOCH_MS;

/// A device this much behind was never set right, ms: no gateway keeps messages for so long.
const NEVER_SET_MS: i64 = 30 * 86_400_000;
/// A clock less than this behind is right, ms.
const RIGHT_MS: i64 = 120_000;
/// Arrivals that are closer tell nothing about a clock, ms: a gateway sends what it kept all at once.
const APART_MS: i64 = 5_000;
/// Pairs of arrivals that must agree before a clock counts as slow.
const AGREE: u8 = 2;

/// What was learned about the clock of one device.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeviceClock {
    /// Arrival and time of the last reading, ms.
    last: Option<(i64, i64)>,
    agreed: u8,
    /// It told the present since this run began, and since our own clock leapt.
    right: bool,
}

impl DeviceClock {
    /// When a reading was measured; `None` = as it arrives. Of a clock that is steadily behind its time still tells the order
    /// of its readings, which is enough where it `fits`.
    pub(crate) fn when(
        &mut self,
        at: Option<i64>,
        live: bool,
        now: i64,
        fits: impl FnOnce(i64) -> bool,
    ) -> Option<i64> {
        let at = at?;
        if at >= now {
            self.right |= at - now < RIGHT_MS;
            return Some(now);
        }
        if at < EPOCH_MS || now.saturating_sub(at) > NEVER_SET_MS {
            return None;
        }
        if live {
            self.learn(at, now);
            self.right |= now - at < RIGHT_MS;
        }
        (self.agreed < AGREE || now - at < RIGHT_MS || fits(at)).then_some(at)
    }

    /// Whether an earlier time that it tells was long ago.
    pub(crate) fn right(&self) -> bool {
        self.right
    }

    /// Our own clock leapt: what was known of this one is void.
    pub(crate) fn doubt(&mut self) {
        *self = Self::default();
    }

    fn learn(&mut self, at: i64, now: i64) {
        let Some((then, was)) = self.last else {
            self.last = Some((now, at));
            return;
        };
        let (passed, told) = (now - then, at - was);
        // As much time passed for the device as for us.
        let same = told > 0 && (passed - told).abs() <= 1_000 + passed / 10;
        if passed < 0 || (passed >= APART_MS && !same) {
            self.agreed = 0;
        } else if passed >= APART_MS && now - at >= RIGHT_MS {
            self.agreed = self.agreed.saturating_add(1);
        } else if now - at < RIGHT_MS {
            self.agreed = 0;
        }
        if !(0..APART_MS).contains(&passed) {
            self.last = Some((now, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;

    /// Of a device that has told the present.
    fn right() -> DeviceClock {
        DeviceClock { right: true, ..DeviceClock::default() }
    }

    #[test]
    fn whose_clock_is_right_is_known_once_the_present_was_told() {
        let mut clock = DeviceClock::default();
        let tell = |clock: &mut DeviceClock, at: i64, now: i64| {
            clock.when(Some(at), true, now, |_| false);
            clock.right()
        };
        assert!(!tell(&mut clock, NOW - 9 * HOUR, NOW), "it may be ours that is wrong");
        assert!(tell(&mut clock, NOW + 5_000, NOW + 6_000));
        assert!(tell(&mut clock, NOW - 9 * HOUR, NOW + 7_000), "it was kept somewhere");
        clock.doubt();
        assert!(!tell(&mut clock, NOW, NOW + 9 * HOUR), "ours leapt");
    }

    #[test]
    fn times_are_believed_unless_they_cannot_be_true() {
        let mut clock = right();
        let mut when = |at: i64| clock.when(Some(at), true, NOW, |_| false);
        assert_eq!(when(NOW + HOUR), Some(NOW));
        assert_eq!(when(NOW - 24 * HOUR), Some(NOW - 24 * HOUR));
        assert_eq!(when(NOW - 31 * 24 * HOUR), None, "a clock that was never set");
        assert_eq!(when(5_000), None);
        assert_eq!(DeviceClock::default().when(None, true, NOW, |_| false), None);
    }

    #[test]
    fn a_clock_that_is_steadily_behind_is_found_out() {
        let mut clock = right();
        let told = |clock: &mut DeviceClock, n: i64| {
            clock.when(Some(NOW + n * 60_000 - HOUR), true, NOW + n * 60_000, |_| false)
        };
        let all: Vec<_> = (0..4).map(|n| told(&mut clock, n).is_none()).collect();
        assert_eq!(all, [false, false, true, true]);
        assert_eq!(clock.when(Some(NOW + HOUR), true, NOW + HOUR + 5, |_| false), Some(NOW + HOUR), "it was set right");
        assert!(told(&mut clock, 62).is_some(), "and what is earlier now is earlier");
    }

    #[test]
    fn what_a_gateway_kept_and_sends_at_once_is_old() {
        let mut clock = right();
        for n in 0..100 {
            // A minute apart, sent within ten seconds.
            let at = NOW - 10 * HOUR + n * 60_000;
            assert_eq!(clock.when(Some(at), true, NOW + n * 100, |_| false), Some(at));
        }
    }
}
