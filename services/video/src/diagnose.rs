//! Finds frozen and black pictures in decoded key frames, with hysteresis. Pure; never blocks.
//!
//! Frozen needs proof: several key frames in a row are the same to the last bit. The noise of a sensor alone, or a running
//! clock, shows that a picture lives, however still the yard is. Whoever re-encodes a standing picture differently each
//! time is not found; that is the price for never calling a quiet night frozen.

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
    /// The picture stood for at least this long; twice as long where it is mostly dark, since little light means little
    /// noise.
    pub frozen_after: Duration,
    /// Key frames in a row that are the same to the last bit before a picture is called frozen.
    pub same_frames: u32,
    /// Share of dark cells that makes a picture mostly dark.
    pub dark_share: f32,
    /// A cell is dark up to this.
    pub black_level: u8,
    /// Share of dark cells that makes a picture black; the rest is what cameras write into it.
    pub black_share: f32,
    /// Thumbnails in a row that begin a black picture, and that end any fault.
    pub samples: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            frozen_after: Duration::from_secs(7),
            same_frames: 4,
            dark_share: 0.5,
            black_level: 24,
            black_share: 0.95,
            samples: 2,
        }
    }
}

/// Share of cells up to `level`.
pub fn dark_share(luma: &[u8], level: u8) -> f32 {
    let dark = luma.iter().filter(|v| **v <= level).count();
    dark as f32 / luma.len().max(1) as f32
}

/// A decoded key frame.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Grey thumbnail.
    pub luma: &'a [u8],
    /// Digest of all its pixels.
    pub print: u64,
}

/// Digest of the pixels of a picture: equal for equal pictures, different for nearly all others.
pub fn print(pixels: &[u8]) -> u64 {
    let (words, rest) = pixels.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let hash = words.iter().fold(pixels.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

/// What is known of one camera's picture.
#[derive(Debug, Default)]
pub struct Detector {
    /// The last picture that moved, when, and how many since have been the same.
    reference: Option<(u64, Timestamp, u32)>,
    newest: Option<Timestamp>,
    moved: u32,
    black: u32,
    lit: u32,
    black_since: Option<Timestamp>,
    fault: Option<(PictureFault, Timestamp)>,
}

impl Detector {
    /// Looks at a key frame that arrived at `captured`; returns the fault that stands, and since when.
    /// An older picture than the last changes nothing.
    pub fn look(
        &mut self,
        look: Look<'_>,
        captured: Timestamp,
        thresholds: &Thresholds,
    ) -> Option<(PictureFault, Timestamp)> {
        if self.newest.is_some_and(|n| captured <= n) {
            return self.fault;
        }
        self.newest = Some(captured);
        let stands_since = self.movement(look.print, captured, thresholds);
        self.darkness(look.luma, captured, thresholds);
        let dark = dark_share(look.luma, thresholds.black_level) >= thresholds.dark_share;
        let hold = if dark { thresholds.frozen_after * 2 } else { thresholds.frozen_after };
        let frozen_after = Millis(i64::try_from(hold.as_millis()).unwrap_or(i64::MAX));
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
    fn movement(&mut self, print: u64, captured: Timestamp, thresholds: &Thresholds) -> Option<Timestamp> {
        match &mut self.reference {
            Some((reference, since, same)) if *reference == print => {
                self.moved = 0;
                *same = same.saturating_add(1);
                (*same >= thresholds.same_frames).then_some(*since)
            }
            _ => {
                self.moved = self.moved.saturating_add(1);
                self.reference = Some((print, captured, 1));
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
            .map(|(p, i)| {
                detector
                    .look(Look { luma: p, print: print(p) }, Timestamp(i * 4_000), &thresholds)
                    .map(|(f, t)| (f, t.0))
            })
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
        let places = [0, 5, 10, 10, 10, 10, 10, 20, 30, 40];
        let pictures: Vec<_> = places.iter().map(|p| scene(*p, 0)).collect();
        let at = Some((FROZEN, 8_000));
        assert_eq!(run(&pictures), [None, None, None, None, None, at, at, at, None, None]);
    }

    #[test]
    fn a_still_yard_with_the_noise_of_a_sensor_is_not_frozen() {
        let pictures: Vec<_> = (0..40).map(|i| scene(10, i)).collect();
        assert!(run(&pictures).iter().all(Option::is_none));
    }

    #[test]
    fn a_dark_scene_has_to_stand_twice_as_long() {
        let mut dark = black(0);
        dark.iter_mut().take(400).for_each(|v| *v = 90);
        let faults = run(&vec![dark; 6]);
        assert_eq!(faults, [None, None, None, None, Some((FROZEN, 0)), Some((FROZEN, 0))]);
    }

    #[test]
    fn digests_tell_pictures_apart_by_one_pixel() {
        let picture = scene(10, 0);
        for i in [0, 7, 8, picture.len() - 1] {
            let mut other = picture.clone();
            other[i] ^= 1;
            assert_ne!(print(&other), print(&picture), "{i}");
        }
        assert_ne!(print(&picture[1..]), print(&picture));
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
                let fault = detector.look(Look { luma: &luma, print: print(&luma) }, Timestamp(at), &Thresholds::default());
                prop_assert!(fault.is_none_or(|(_, since)| since.0 <= at || detector.newest.is_some()));
            }
        }
    }
}
