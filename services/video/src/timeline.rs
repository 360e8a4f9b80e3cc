//! Turns the camera's RTP clock into decoding times that always go forward.
//!
//! Cameras repeat timestamps, step back when their clock is set, and jump. Equal ones and small steps back are nudged
//! by one tick; a step back or forward that the arrival times contradict starts a new offset. A clock that runs at
//! another rate than it says, or stands, is left for the arrival times; one that drifts is led back slowly. B pictures
//! step back for another reason: RTP tells when a picture is shown. [`Order`] finds when it is decoded. Pure; never blocks.

use domain::time::Timestamp;

/// Ticks a second of all times of pictures.
pub(crate) const TICKS: i64 = 90_000;
/// A step back up to this is jitter or reordering, not a clock that was set.
const JITTER: i64 = TICKS / 2;
/// How far a step may disagree with the arrival times.
const STEP_TOLERANCE: i64 = TICKS;
/// How far pictures that are shown in another order may lie apart.
const TOLERANCE: i64 = 5 * TICKS;
/// Span over which the camera's clock is compared with arrival, ms.
const WINDOW: i64 = 2_000;
/// Windows in a row in which the clock ran less than half or more than twice as fast that are proof. A network that
/// stood still and then caught up makes two.
const BAD_WINDOWS: u32 = 3;
/// Drift from which the clock is led back, and to where.
const DRIFT: (i64, i64) = (TICKS, TICKS / 4);
/// Frames over which the distance from arrival is averaged before drift is looked for.
const SETTLED: u32 = 256;

/// Decoding times of one generation, from 0.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    last: Option<Last>,
    /// Begin of the window: camera's time and arrival.
    window: Option<(i64, Timestamp)>,
    bad_windows: u32,
    by_arrival: bool,
    lead: Lead,
}

/// How far the decoding times are ahead of arrival.
#[derive(Debug, Default)]
struct Lead {
    begun: Timestamp,
    average: i64,
    /// The average once it had settled.
    usual: i64,
    frames: u32,
    correcting: bool,
}

impl Lead {
    /// Takes a frame; what the next step has to be shorter (or, if negative, longer).
    fn follow(&mut self, time: i64, arrival: Timestamp) -> i64 {
        let lead = time.saturating_sub((arrival - self.begun).0.saturating_mul(TICKS / 1_000));
        self.frames = self.frames.saturating_add(1);
        if self.frames == 1 {
            self.average = lead;
        }
        self.average = self.average.saturating_add(lead.saturating_sub(self.average) / 64);
        if self.frames <= SETTLED {
            self.usual = self.average;
        }
        let drift = self.average.saturating_sub(self.usual);
        self.correcting = drift.abs() > if self.correcting { DRIFT.1 } else { DRIFT.0 };
        if self.correcting { drift / 128 } else { 0 }
    }
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
            self.lead = Lead { begun: arrival, ..Lead::default() };
            self.window = Some((raw, arrival));
            return 0;
        };
        let waited = (arrival - last.arrival).0.clamp(0, 600_000) * (TICKS / 1_000);
        let step = raw.saturating_add(last.offset).saturating_sub(last.time);
        let step = if self.by_arrival || step < -JITTER || step > waited + STEP_TOLERANCE {
            let step = waited.max(1);
            last.offset = (last.time + step).saturating_sub(raw);
            step
        } else {
            let less = self.lead.follow(last.time, last.arrival).clamp(-step.abs() / 20, step.abs() / 20);
            last.offset = last.offset.saturating_sub(less);
            (step - less).max(1)
        };
        last.time += step;
        last.arrival = arrival;
        let time = last.time;
        self.judge(raw, arrival);
        time
    }

    /// Compares the camera's clock with arrival, window by window.
    fn judge(&mut self, raw: i64, arrival: Timestamp) {
        let (begun, since) = *self.window.get_or_insert((raw, arrival));
        let waited = (arrival - since).0;
        if (0..WINDOW).contains(&waited) {
            return;
        }
        self.window = Some((raw, arrival));
        let (ran, waited) = (raw.saturating_sub(begun), waited.clamp(1, 600_000) * (TICKS / 1_000));
        let good = ran >= waited / 2 && ran <= waited * 2;
        self.bad_windows = if good { 0 } else { self.bad_windows + 1 };
        self.by_arrival |= self.bad_windows >= BAD_WINDOWS;
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

    /// Seconds of decoding time that pass in the last ten of sixty seconds, at 15 frames a second with the camera's clock
    /// as `raw` says.
    fn last_ten(raw: impl Fn(i64) -> i64) -> f64 {
        let frames: Vec<_> = (0..900).map(|i| (raw(i), i * 1_000 / 15)).collect();
        let times = run(&frames);
        (times[899] - times[749]) as f64 / TICKS as f64
    }

    #[test]
    fn a_clock_that_stands_or_runs_at_another_rate_is_replaced_by_arrival() {
        let clocks: [fn(i64) -> i64; 4] = [|_| 7, |i| i * 66, |i| i * 90_000, |i| -i * 6_000];
        for raw in clocks {
            assert!((9.9..10.1).contains(&last_ten(raw)), "{}", last_ten(raw));
        }
        assert_eq!(last_ten(|i| i * 6_000), 10.0);
    }

    #[test]
    fn a_network_that_stands_still_and_catches_up_is_no_wrong_clock() {
        let mut timeline = Timeline::default();
        for i in 0..900 {
            let ms = i * 1_000 / 15;
            let arrival = if (20_000..25_000).contains(&ms) { 25_000 } else { ms };
            timeline.place(i * 6_000, Timestamp(arrival));
        }
        assert!(!timeline.by_arrival);
    }

    #[test]
    fn a_clock_that_drifts_is_led_back_before_it_is_two_seconds_off() {
        for drift in [0.999, 1.001] {
            let mut timeline = Timeline::default();
            for i in 0..15 * 3_600 * 4 {
                let ms = i * 1_000 / 15;
                let time = timeline.place((i as f64 * 6_000.0 * drift) as i64, Timestamp(ms));
                let lead = time - ms * 90;
                assert!(lead.abs() < 2 * TICKS, "{lead} after {ms} ms");
            }
        }
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
