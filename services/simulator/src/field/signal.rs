//! What a sensor measures while nothing happens: a base value with slow drift and noise, and what it shows instead
//! while something does. Pure.

use domain::site::SensorKind;

use crate::seed::Dice;

/// One sensor's values.
#[derive(Debug, Clone)]
pub struct Signal {
    kind: SensorKind,
    dice: Dice,
    base: f64,
    drift: f64,
    forced: Option<f64>,
}

/// Base, amplitude of the drift, amplitude of the noise, decimals.
const fn nature(kind: SensorKind) -> (f64, f64, f64, i32) {
    match kind {
        SensorKind::Smoke => (0.02, 0.01, 0.005, 3),
        SensorKind::CallPoint | SensorKind::Sos | SensorKind::FireLane | SensorKind::Lift => (0.0, 0.0, 0.0, 0),
        SensorKind::Gas => (0.6, 0.5, 0.3, 1),
        SensorKind::ElectricalFire => (62.0, 24.0, 6.0, 0),
        SensorKind::HydrantPressure => (0.31, 0.02, 0.006, 3),
        SensorKind::Manhole => (0.8, 0.3, 0.2, 1),
        SensorKind::WaterLevel => (0.22, 0.06, 0.01, 2),
        SensorKind::EbikeCharging => (2.1, 1.6, 0.2, 1),
    }
}

/// Rounded as the device would, never below nought.
fn rounded(kind: SensorKind, value: f64) -> f64 {
    let scale = 10_f64.powi(nature(kind).3);
    ((value * scale).round() / scale).max(0.0)
}

impl Signal {
    /// A sensor of this kind; the topic keeps its dice apart from others'.
    pub fn new(kind: SensorKind, seed: u64, topic: &str) -> Self {
        let mut dice = Dice::new(seed, topic);
        let (base, spread, _, _) = nature(kind);
        let base = base + dice.between(-0.5, 0.5) * spread;
        Self { kind, dice, base, drift: 0.0, forced: None }
    }

    /// The value from now on, until `release`.
    pub fn force(&mut self, value: f64) {
        self.forced = Some(value);
    }

    /// Back to ordinary values.
    pub fn release(&mut self) {
        self.forced = None;
    }

    /// Whether something happens to it.
    pub fn forced(&self) -> bool {
        self.forced.is_some()
    }

    /// The next value.
    pub fn sample(&mut self) -> f64 {
        let (_, spread, noise, _) = nature(self.kind);
        // Drawn also while forced, so that a happening does not change what comes after it.
        self.drift = (0.97 * self.drift + self.dice.between(-0.12, 0.12) * spread).clamp(-spread, spread);
        let jitter = self.dice.between(-1.0, 1.0) * noise;
        let value = self.forced.unwrap_or(self.base + self.drift + jitter);
        rounded(self.kind, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Highest ordinary value that no rule may take for an alarm.
    fn calm(kind: SensorKind) -> std::ops::RangeInclusive<f64> {
        match kind {
            SensorKind::Smoke => 0.0..=0.06,
            SensorKind::CallPoint | SensorKind::Sos | SensorKind::FireLane | SensorKind::Lift => 0.0..=0.0,
            SensorKind::Gas => 0.0..=3.0,
            SensorKind::ElectricalFire => 0.0..=150.0,
            SensorKind::HydrantPressure => 0.2..=0.4,
            SensorKind::Manhole => 0.0..=3.0,
            SensorKind::WaterLevel => 0.0..=0.5,
            SensorKind::EbikeCharging => 0.0..=6.0,
        }
    }

    const KINDS: [SensorKind; 11] = [
        SensorKind::Smoke,
        SensorKind::CallPoint,
        SensorKind::Gas,
        SensorKind::ElectricalFire,
        SensorKind::HydrantPressure,
        SensorKind::Lift,
        SensorKind::Manhole,
        SensorKind::WaterLevel,
        SensorKind::Sos,
        SensorKind::FireLane,
        SensorKind::EbikeCharging,
    ];

    #[test]
    fn ordinary_values_stay_calm_for_days_and_move() {
        for kind in KINDS {
            let mut signal = Signal::new(kind, 5, "x");
            let values: Vec<_> = (0..10_000).map(|_| signal.sample()).collect();
            assert!(values.iter().all(|v| calm(kind).contains(v)), "{kind:?}");
            let still = matches!(nature(kind).1, s if s == 0.0);
            assert_eq!(values.windows(2).all(|w| w.first() == w.last()), still, "{kind:?}");
        }
    }

    #[test]
    fn a_happening_shows_and_leaves_no_trace() {
        let (mut a, mut b) = (Signal::new(SensorKind::Smoke, 5, "x"), Signal::new(SensorKind::Smoke, 5, "x"));
        a.force(0.9);
        assert!((a.sample() - 0.9).abs() < 1e-9);
        b.sample();
        a.release();
        assert!((a.sample() - b.sample()).abs() < 1e-9);
    }
}
