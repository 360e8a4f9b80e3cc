//! Medians and percentiles.

/// The middle one; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value that `share` of the values do not exceed (nearest rank); 0 of none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// Steps of an octave: values are kept to 1.1 %.
const STEPS: u32 = 64;

/// Durations by logarithm, so that millions of them need no memory. Beyond 2^40 ns they count as that.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    all: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 41 * STEPS as usize], all: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, time: std::time::Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).clamp(1, 1 << 40);
        let octave = ns.ilog2();
        // The bits below the highest one say where in its octave.
        let step = ((u128::from(ns) << 6 >> octave) as u32) & (STEPS - 1);
        if let Some(count) = self.counts.get_mut((octave * STEPS + step) as usize) {
            *count += 1;
            self.all += 1;
        }
    }

    /// How many were added.
    pub(crate) fn count(&self) -> u64 {
        self.all
    }

    /// The value that `share` of the values do not exceed, ms; 0 of none.
    pub(crate) fn ms(&self, share: f64) -> f64 {
        let rank = ((share * self.all as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in (0_u32..).zip(&self.counts) {
            seen += count;
            if seen >= rank {
                let (octave, step) = (place / STEPS, place % STEPS);
                let ns = (1_u64 << octave) as f64 * (1.0 + (f64::from(step) + 0.5) / f64::from(STEPS));
                return ns / 1e6;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_keeps_a_hundredth() {
        let mut all = Histogram::default();
        assert_eq!(all.ms(0.5), 0.0);
        (1..=1_000).for_each(|ms| all.add(std::time::Duration::from_millis(ms)));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = all.ms(share);
            assert!((found - ms).abs() / ms < 0.012, "{found} for {ms}");
        }
        all.add(std::time::Duration::ZERO);
        all.add(std::time::Duration::from_secs(1 << 30));
        assert_eq!(all.count(), 1_002);
    }

    #[test]
    fn nearest_ranks() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((median(&values), percentile(&values, 0.99), percentile(&values, 1.0)), (50.0, 99.0, 100.0));
        assert_eq!((median(&[]), median(&[7.0])), (0.0, 7.0));
    }
}
