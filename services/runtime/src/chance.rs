//! Chance: jitter, lots and what must not be guessed from outside. A model fixes it, so that a run can be repeated.

use std::{
    cell::RefCell,
    ops::{Range, RangeInclusive},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

thread_local! {
    static FIXED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// From now on the chance of this thread follows from `seed`. For models.
pub fn fix(seed: u64) {
    FIXED.replace(Some(StdRng::seed_from_u64(seed)));
}

/// A factor of the range.
pub fn factor(range: Range<f64>) -> f64 {
    FIXED.with_borrow_mut(|fixed| match fixed {
        Some(rng) => rng.random_range(range),
        None => rand::random_range(range),
    })
}

/// A number of the range, by lot: so that many clients do not come back together.
pub fn lot(range: RangeInclusive<u32>) -> u32 {
    FIXED.with_borrow_mut(|fixed| match fixed {
        Some(rng) => rng.random_range(range),
        None => rand::random_range(range),
    })
}

/// Any number.
pub fn draw() -> u64 {
    FIXED.with_borrow_mut(|fixed| match fixed {
        Some(rng) => rng.random(),
        None => rand::random(),
    })
}
