//! Turns the camera's RTP clock into decoding times that always go forward.
//!
//! Cameras repeat timestamps, step back when their clock is set, and jump. Equal ones and small steps back are nudged
//! by one tick; a step back or forward that the arrival times contradict starts a new offset. B pictures step back for
//! another reason: RTP tells when a picture is shown. [`Order`] finds when it is decoded. Pure; never blocks.

use domain::time::Timestamp;

/// Ticks a second of all times of pictures.
pub(crate) const TICKS: i64 = 90_000;
/// A step back up to this is jitter or reordering, not a clock that was set.
const JITTER: i64 = TICKS / 2;
/// How far a step may disagree with the arrival times.
const TOLERANCE: i64 = 5 * TICKS;

/// Decoding times of one generation, from 0.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    time: i64,
    arrival: Timestamp,
    offset: i64,
}

impl Timeline {
    /// The decoding time of a frame with the source's time `raw` (90 kHz) that arrived at `arrival`.
    pub(crate) fn place(&mut self, raw: i64, arrival: Timestamp) -> i64 {
        let Some(last) = &mut self.last else {
            self.last = Some(Last { time: 0, arrival, offset: raw.saturating_neg() });
            return 0;
        };
        let waited = (arrival - last.arrival).0.clamp(0, 600_000) * (TICKS / 1_000);
        let step = raw.saturating_add(last.offset).saturating_sub(last.time);
        let step = if step < -JITTER || step > waited + TOLERANCE {
            let step = waited.max(1);
            last.offset = (last.time + step).saturating_sub(raw);
            step
        } else {
            step.max(1)
        };
        last.time += step;
        last.arrival = arrival;
        last.time
    }
}

/// Decoding times of pictures that are sent in another order than they are shown in: the times at which they are shown,
/// sorted, as many pictures late as may overtake one.
#[derive(Debug, Default)]
pub(crate) struct Order {
    depth: usize,
    /// Times not given out yet, sorted; `depth` of them between two pictures.
    held: Vec<i64>,
}

impl Order {
    /// For pictures of which `depth` may be sent before one that is shown before them.
    pub(crate) fn new(depth: u32) -> Self {
        Self { depth: depth as usize, held: Vec::new() }
    }

    /// When the picture that is shown at `raw` (the source's 90 kHz) is decoded: never after it, and at most
    /// [`TOLERANCE`] before. `step` is the distance of pictures before the first.
    pub(crate) fn decoded(&mut self, raw: i64, step: i64) -> i64 {
        // A clock that was set, or the first picture.
        if self.held.iter().any(|t| t.abs_diff(raw) > TOLERANCE as u64) || self.held.is_empty() {
            let before = (1..=self.depth as i64).rev().map(|i| raw.saturating_sub(i * step.min(TOLERANCE / 16)));
            self.held = before.collect();
        }
        let at = self.held.partition_point(|t| *t <= raw);
        self.held.insert(at, raw);
        self.held.remove(0)
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

    #[test]
    fn pictures_shown_in_another_order_are_decoded_in_the_one_they_come_in() {
        let mut order = Order::new(2);
        // I P B b b P …, one picture in 10 ticks, and then a clock that was set.
        let shown = [0, 40, 20, 10, 30, 80, 60, 50, 70, 9_000_000, 9_000_040, 9_000_020];
        let decoded: Vec<_> = shown.iter().map(|t| order.decoded(*t, 10)).collect();
        assert_eq!(decoded, [-20, -10, 0, 10, 20, 30, 40, 50, 60, 8_999_980, 8_999_990, 9_000_000]);
        assert_eq!(Order::new(0).decoded(7, 10), 7);
    }

    proptest! {
        #[test]
        fn never_decoded_after_it_is_shown(depth in 0u32..16, frames in proptest::collection::vec(any::<i64>(), 1..50), step in 1..TICKS) {
            let mut order = Order::new(depth);
            for raw in frames {
                let decoded = order.decoded(raw, step);
                prop_assert!(decoded <= raw && raw.saturating_sub(decoded) <= TOLERANCE);
                prop_assert_eq!(order.held.len(), depth as usize);
            }
        }
        #[test]
        fn always_goes_forward(frames in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..50)) {
            let times = run(&frames);
            prop_assert!(times.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
