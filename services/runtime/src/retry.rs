//! Back-off with jitter, bounded by its cap.

use std::time::Duration;

use crate::chance;

/// Doubling delays from `first` to `cap`, each multiplied by 0.5 to 1.5 so that many clients do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Delays from `first` to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }
    /// The next delay; each call doubles the one after it.
    pub fn delay(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(self.cap);
        base.mul_f64(chance::factor(0.5..1.5))
    }
    /// After a success the next failure waits `first` again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_over() {
        let (first, cap) = (Duration::from_millis(250), Duration::from_secs(2));
        let mut backoff = Backoff::new(first, cap);
        for base in [250, 500, 1000, 2000, 2000] {
            let base = Duration::from_millis(base);
            let delay = backoff.delay();
            assert!(delay >= base / 2 && delay <= base * 3 / 2, "{delay:?} for {base:?}");
        }
        backoff.reset();
        assert!(backoff.delay() <= first * 3 / 2);
    }
}
