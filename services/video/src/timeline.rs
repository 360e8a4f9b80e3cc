//! Turns the camera's RTP clock into presentation times that always go forward.
//!
//! Cameras repeat timestamps, step back when their clock is set, and jump. Equal ones and small steps back are nudged
//! by one tick; a step back or forward that the arrival times contradict starts a new offset. Pure; never blocks.

use domain::time::Timestamp;

/// Ticks a second of all presentation times.
pub(crate) const TICKS: i64 = 90_000;
/// A step back up to this is jitter or reordering, not a clock that was set.
const JITTER: i64 = TICKS / 2;
/// How far a step may disagree with the arrival times.
const TOLERANCE: i64 = 5 * TICKS;

/// Presentation times of one generation, from 0.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    pts: i64,
    arrival: Timestamp,
    offset: i64,
}

impl Timeline {
    /// The presentation time of a frame with the source's time `raw` (90 kHz) that arrived at `arrival`.
    pub(crate) fn place(&mut self, raw: i64, arrival: Timestamp) -> i64 {
        let Some(last) = &mut self.last else {
            self.last = Some(Last { pts: 0, arrival, offset: raw.saturating_neg() });
            return 0;
        };
        let waited = (arrival - last.arrival).0.clamp(0, 600_000) * (TICKS / 1_000);
        let step = raw.saturating_add(last.offset).saturating_sub(last.pts);
        let step = if step < -JITTER || step > waited + TOLERANCE {
            let step = waited.max(1);
            last.offset = (last.pts + step).saturating_sub(raw);
            step
        } else {
            step.max(1)
        };
        last.pts += step;
        last.arrival = arrival;
        last.pts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(frames: &[(i64, i64)]) -> Vec<i64> {
        let mut timeline = Timeline::default();
        frames.iter().map(|&(raw, ms)| timeline.place(raw, Timestamp(ms))).collect()
    }

    #[test]
    fn starts_at_zero_and_follows_the_camera() {
        assert_eq!(run(&[(7_000, 0), (13_000, 67), (19_000, 190)]), [0, 6_000, 12_000]);
    }

    #[test]
    fn nudges_equal_and_slightly_older_times_and_finds_back() {
        assert_eq!(run(&[(0, 0), (0, 66), (-3_000, 133), (18_000, 200)]), [0, 1, 2, 18_000]);
    }

    #[test]
    fn a_clock_that_was_set_goes_on_by_arrival() {
        assert_eq!(run(&[(900_000_000, 0), (5, 100), (6_005, 167)]), [0, 9_000, 15_000]);
        assert_eq!(run(&[(0, 0), (900_000_000, 100), (900_006_000, 167)]), [0, 9_000, 15_000]);
    }

    proptest! {
        #[test]
        fn always_goes_forward(frames in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..50)) {
            let times = run(&frames);
            prop_assert!(times.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
