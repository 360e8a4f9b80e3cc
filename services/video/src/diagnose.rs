//! Finds frozen and black pictures in small grey thumbnails of key frames, with hysteresis. Pure; never blocks.
//!
//! A running clock or a loop bar burnt into the picture counts as movement: frozen means that the whole picture stands.

use std::time::Duration;

use domain::time::{Millis, Timestamp};
use link::media::PictureFault;

/// Pixels of the grey thumbnail.
pub const LUMA_SIZE: (usize, usize) = (64, 36);
/// Bytes of the grey thumbnail.
pub const LUMA_BYTES: usize = LUMA_SIZE.0 * LUMA_SIZE.1;

/// Thresholds of the diagnosis; luma from 0 to 255.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// The picture stood for at least this long.
    pub frozen_after: Duration,
    /// Two thumbnails are the same when no cell differs by more than this (what re-encoding does).
    pub same_cell: u8,
    /// A cell is dark up to this.
    pub black_level: u8,
    /// Share of dark cells that makes a picture black; the rest is what cameras write into it.
    pub black_share: f32,
    /// Thumbnails in a row that begin a black picture, and that end any fault.
    pub samples: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { frozen_after: Duration::from_secs(7), same_cell: 2, black_level: 24, black_share: 0.95, samples: 2 }
    }
}

/// Share of cells up to `level`.
pub fn dark_share(luma: &[u8], level: u8) -> f32 {
    let dark = luma.iter().filter(|v| **v <= level).count();
    dark as f32 / luma.len().max(1) as f32
}

/// No cell differs by more than `cell`.
pub fn same(a: &[u8], b: &[u8], cell: u8) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= cell)
}

/// What is known of one camera's picture.
#[derive(Debug, Default)]
pub struct Detector {
    /// The last picture that moved, and when.
    reference: Option<(Vec<u8>, Timestamp)>,
    newest: Option<Timestamp>,
    moved: u32,
    black: u32,
    lit: u32,
    black_since: Option<Timestamp>,
    fault: Option<(PictureFault, Timestamp)>,
}

impl Detector {
    /// Looks at the thumbnail of a key frame that arrived at `captured`; returns the fault that stands, and since when.
    /// An older picture than the last changes nothing.
    pub fn look(
        &mut self,
        luma: &[u8],
        captured: Timestamp,
        thresholds: &Thresholds,
    ) -> Option<(PictureFault, Timestamp)> {
        if self.newest.is_some_and(|n| captured <= n) {
            return self.fault;
        }
        self.newest = Some(captured);
        let stands_since = self.movement(luma, captured, thresholds);
        self.darkness(luma, captured, thresholds);
        let frozen_after = Millis(i64::try_from(thresholds.frozen_after.as_millis()).unwrap_or(i64::MAX));
        let frozen = stands_since.filter(|since| captured - *since >= frozen_after);
        self.fault = match (self.fault, self.black_since.filter(|_| self.black >= thresholds.samples), frozen) {
            (old @ Some((PictureFault::Black, _)), _, _) if self.lit < thresholds.samples => old,
            (_, Some(since), _) => Some((PictureFault::Black, since)),
            (old @ Some((PictureFault::Frozen, _)), _, _) if self.moved < thresholds.samples => old,
            (_, None, Some(since)) => Some((PictureFault::Frozen, since)),
            _ => None,
        };
        self.fault
    }

    /// The last picture gave reason to look again soon. That also keeps a short loop, or anything else periodic, from
    /// being seen at the same phase every time.
    pub fn suspects(&self) -> bool {
        self.fault.is_some() || self.black > 0 || (self.moved == 0 && self.reference.is_some())
    }

    /// Counts movement; since when the picture stands.
    fn movement(&mut self, luma: &[u8], captured: Timestamp, thresholds: &Thresholds) -> Option<Timestamp> {
        match &self.reference {
            Some((reference, since)) if same(reference, luma, thresholds.same_cell) => {
                self.moved = 0;
                Some(*since)
            }
            _ => {
                self.moved = self.moved.saturating_add(1);
                self.reference = Some((luma.to_vec(), captured));
                None
            }
        }
    }

    fn darkness(&mut self, luma: &[u8], captured: Timestamp, thresholds: &Thresholds) {
        if dark_share(luma, thresholds.black_level) >= thresholds.black_share {
            self.black_since.get_or_insert(captured);
            (self.black, self.lit) = (self.black.saturating_add(1), 0);
        } else {
            self.black_since = None;
            (self.black, self.lit) = (0, self.lit.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A bright block on a gradient with a little noise; `place` moves the block.
    fn scene(place: usize, noise: u8) -> Vec<u8> {
        let (width, _) = LUMA_SIZE;
        (0..LUMA_BYTES)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let base = if (place..place + 6).contains(&x) && (10..16).contains(&y) { 220 } else { 40 + x as u8 };
                base + ((i * 7 + usize::from(noise)) % 2) as u8
            })
            .collect()
    }

    fn black(noise: u8) -> Vec<u8> {
        (0..LUMA_BYTES).map(|i| 2 + ((i * 5 + usize::from(noise)) % 3) as u8).collect()
    }

    /// Looks every four seconds; the faults after each.
    fn run(pictures: &[Vec<u8>]) -> Vec<Option<(PictureFault, i64)>> {
        let (mut detector, thresholds) = (Detector::default(), Thresholds::default());
        pictures
            .iter()
            .zip(0..)
            .map(|(p, i)| detector.look(p, Timestamp(i * 4_000), &thresholds).map(|(f, t)| (f, t.0)))
            .collect()
    }

    const FROZEN: PictureFault = PictureFault::Frozen;
    const BLACK: PictureFault = PictureFault::Black;

    #[test]
    fn a_moving_scene_is_healthy() {
        let pictures: Vec<_> = (0..20).map(|i| scene(i * 2, i as u8)).collect();
        assert!(run(&pictures).iter().all(Option::is_none));
    }

    #[test]
    fn a_standing_picture_is_frozen_since_it_last_moved_and_heals_with_hysteresis() {
        let places = [0, 5, 10, 10, 10, 10, 20, 30, 40];
        let pictures: Vec<_> = places.iter().zip(0..).map(|(p, i)| scene(*p, i)).collect();
        let at = Some((FROZEN, 8_000));
        assert_eq!(run(&pictures), [None, None, None, None, at, at, at, None, None]);
    }

    #[test]
    fn black_needs_two_pictures_and_wins_over_frozen() {
        let pictures =
            [scene(0, 0), black(0), scene(5, 0), black(1), black(2), black(3), black(4), scene(9, 0), scene(12, 1)];
        let at = Some((BLACK, 12_000));
        assert_eq!(run(&pictures), [None, None, None, None, at, at, at, at, None]);
    }

    #[test]
    fn a_dark_scene_with_a_lamp_is_not_black() {
        let mut lamp = black(0);
        lamp.iter_mut().skip(900).take(200).for_each(|v| *v = 200);
        assert!(run(&[lamp.clone(), lamp])[1].is_none());
    }

    #[test]
    fn a_changing_clock_keeps_a_quiet_scene_alive() {
        let pictures: Vec<_> = (0..10u8)
            .map(|i| {
                let mut picture = scene(10, 0);
                picture[5] = 100 + 10 * (i % 2);
                picture
            })
            .collect();
        assert!(run(&pictures).iter().all(Option::is_none));
    }

    proptest! {
        #[test]
        fn total(pictures in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<i64>()), 0..20)) {
            let mut detector = Detector::default();
            for (luma, at) in pictures {
                let fault = detector.look(&luma, Timestamp(at), &Thresholds::default());
                prop_assert!(fault.is_none_or(|(_, since)| since.0 <= at || detector.newest.is_some()));
            }
        }
    }
}
