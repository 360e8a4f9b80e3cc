//! How long a device of a kind may be silent before nobody believes any more that it is there.

use std::collections::BTreeMap;

use domain::site::SensorKind;

use crate::rules::KINDS;

/// Limits by kind, ms.
#[derive(Debug, Clone)]
pub(crate) struct Silence([i64; KINDS.len()]);

impl Silence {
    /// The shipped ones with these in their place, seconds.
    pub(crate) fn new(own: &BTreeMap<String, u32>) -> Result<Self, serde_json::Error> {
        let mut limits: BTreeMap<String, u32> = serde_json::from_str(include_str!("../data/silence.json"))?;
        limits.extend(own.iter().map(|(kind, s)| (kind.clone(), *s)));
        let of = |(name, _)| limits.get(name).map_or(i64::MAX, |s| i64::from(*s) * 1_000);
        Ok(Self(KINDS.map(of)))
    }

    /// The limit of a kind, ms.
    pub(crate) fn of(&self, kind: SensorKind) -> i64 {
        let number = KINDS.iter().position(|(_, k)| *k == kind);
        number.and_then(|n| self.0.get(n)).copied().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_kind_has_a_limit_of_its_own() {
        let silence = Silence::new(&BTreeMap::from([("gas".to_owned(), 60)])).unwrap();
        assert_eq!(silence.of(SensorKind::Gas), 60_000);
        for (name, kind) in KINDS {
            assert!((60_000..=90_000_000).contains(&silence.of(kind)), "{name}");
        }
    }
}
