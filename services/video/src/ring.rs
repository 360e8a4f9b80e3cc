//! The last groups of pictures of one stream, muxed once and shared by viewers, stills and clips.
//!
//! Bounded by bytes, groups, span and frames a group. Running clips pin what they need within their own bound. The
//! newest group always stays: it is the instant picture. Pure; never blocks.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::time::{Millis, Timestamp};

use crate::mp4::{FRAGMENT_HEADER, Init};

/// One muxed frame.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When it is decoded, 90 kHz from the start of the generation.
    pub dts: i64,
    /// How much later it is shown, 90 kHz.
    pub offset: u32,
    /// Arrival.
    pub captured: Timestamp,
    /// Starts the group.
    pub key: bool,
    /// `moof` + `mdat`.
    pub fragment: Bytes,
}

impl Entry {
    /// When it is shown, 90 kHz from the start of the generation.
    pub(crate) fn pts(&self) -> i64 {
        self.dts + i64::from(self.offset)
    }

    /// The access unit within the fragment.
    pub(crate) fn access_unit(&self) -> Bytes {
        self.fragment.slice(FRAGMENT_HEADER.min(self.fragment.len())..)
    }
}

/// A key frame and what follows it.
#[derive(Debug)]
pub(crate) struct Gop {
    /// Its init segment.
    pub init: Arc<Init>,
    /// Frames, the key frame first; only that one if `cut`.
    pub frames: Vec<Entry>,
    /// Grew over its bound and lost all but its key frame: what follows cannot be decoded.
    pub cut: bool,
    bytes: usize,
}

/// Bounds of one ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub bytes: usize,
    pub gops: usize,
    pub gop_frames: usize,
    pub span: Duration,
    pub pinned_bytes: usize,
}

/// The ring of one stream.
#[derive(Debug)]
pub(crate) struct Ring {
    bounds: Bounds,
    gops: VecDeque<Gop>,
    bytes: usize,
    /// Arrival of the newest frame, kept or not.
    newest: Option<Timestamp>,
    pins: Vec<(u64, Timestamp)>,
}

impl Ring {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, gops: VecDeque::new(), bytes: 0, newest: None, pins: Vec::new() }
    }

    /// Adds a frame; one that is no key frame is left out until a group has begun. `share` is what this ring may hold
    /// when all rings together are over their bound, else `usize::MAX`.
    pub(crate) fn push(&mut self, init: &Arc<Init>, entry: Entry, share: usize) {
        let (size, now) = (entry.fragment.len(), entry.captured);
        self.newest = Some(now);
        if entry.key {
            self.gops.push_back(Gop { init: init.clone(), frames: vec![entry], cut: false, bytes: size });
            self.bytes += size;
        } else if let Some(gop) = self.gops.back_mut().filter(|g| !g.cut && Arc::ptr_eq(&g.init, init)) {
            gop.frames.push(entry);
            gop.bytes += size;
            self.bytes += size;
            if gop.frames.len() > self.bounds.gop_frames || gop.bytes > self.bounds.bytes {
                let before = gop.bytes;
                gop.frames.truncate(1);
                gop.cut = true;
                gop.bytes = gop.frames.first().map_or(0, |f| f.fragment.len());
                self.bytes -= before - gop.bytes;
            }
        }
        self.evict(now, share);
    }

    fn evict(&mut self, now: Timestamp, share: usize) {
        let oldest_pin = self.pins.iter().map(|p| p.1).min();
        let horizon = now + Millis(-i64::try_from(self.bounds.span.as_millis()).unwrap_or(i64::MAX));
        let bound = self.bounds.bytes.min(share);
        while self.gops.len() > 1 {
            // A group is needed until the next one starts after the horizon.
            let next = self.gops.get(1).and_then(|g| g.frames.first()).map_or(now, |f| f.captured);
            let over = self.bytes > bound || self.gops.len() > self.bounds.gops || next < horizon;
            let pinned = oldest_pin.is_some_and(|from| next > from)
                && self.bytes <= bound.saturating_add(self.bounds.pinned_bytes);
            if !over || pinned {
                return;
            }
            if let Some(gop) = self.gops.pop_front() {
                self.bytes -= gop.bytes;
            }
        }
    }

    /// Forgets everything but the pins.
    pub(crate) fn clear(&mut self) {
        self.gops.clear();
        (self.bytes, self.newest) = (0, None);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is newer than `from` until [`Self::unpin`], within the bound.
    pub(crate) fn pin(&mut self, id: u64, from: Timestamp) {
        self.pins.push((id, from));
    }

    /// Ends a pin.
    pub(crate) fn unpin(&mut self, id: u64) {
        self.pins.retain(|p| p.0 != id);
    }

    /// The newest group.
    pub(crate) fn newest(&self) -> Option<&Gop> {
        self.gops.back()
    }

    /// Arrival of the newest frame, also of one that found no place in its group.
    pub(crate) fn newest_frame(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Frames from the key frame at or before `from` (else the oldest) to `to`, with their init segments.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<(Arc<Init>, Entry)> {
        let starts = |g: &Gop| g.frames.first().is_some_and(|f| f.captured <= from);
        let first = self.gops.iter().rposition(starts).unwrap_or(0);
        let mut out: Vec<_> = self
            .gops
            .iter()
            .skip(first)
            .flat_map(|g| g.frames.iter().map(|f| (g.init.clone(), f.clone())))
            .take_while(|(_, f)| f.captured <= to)
            .collect();
        // A group that ended before `from` shows nothing of what was asked for.
        if out.last().is_some_and(|(_, f)| f.captured < from) {
            out.clear();
        }
        out
    }

    /// Frames a second and bits a second over the last `span` before `now`.
    pub(crate) fn rates(&self, now: Timestamp, span: Millis) -> (f32, u32) {
        let since = now + Millis(-span.0);
        let recent = self.gops.iter().rev().flat_map(|g| g.frames.iter().rev()).take_while(|f| f.captured > since);
        let (frames, bytes) = recent.fold((0u32, 0u64), |(n, b), f| (n + 1, b + f.fragment.len() as u64));
        let seconds = span.0 as f32 / 1_000.0;
        (frames as f32 / seconds, (bytes as f32 * 8.0 / seconds) as u32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Parameters;
    use proptest::prelude::*;

    const BOUNDS: Bounds =
        Bounds { bytes: 10_000, gops: 20, gop_frames: 15, span: Duration::from_secs(10), pinned_bytes: 5_000 };

    fn init() -> Arc<Init> {
        let sps = Bytes::from_static(&[0x67, 0x42, 0xc0, 0x1e]);
        Arc::new(Init::new(1, &Parameters { sps, pps: Bytes::from_static(&[0x68]), size: (640, 360) }, false))
    }

    fn entry(ms: i64, key: bool, size: usize) -> Entry {
        Entry { dts: ms * 90, offset: 0, captured: Timestamp(ms), key, fragment: vec![0; size].into() }
    }

    /// One group a second of 10 frames of 100 bytes.
    fn fill(ring: &mut Ring, init: &Arc<Init>, seconds: std::ops::Range<i64>) {
        for ms in (seconds.start * 1_000..seconds.end * 1_000).step_by(100) {
            ring.push(init, entry(ms, ms % 1_000 == 0, 100), usize::MAX);
        }
    }

    #[test]
    fn reaches_back_as_far_as_its_span() {
        let (mut ring, init) = (Ring::new(Bounds { bytes: usize::MAX, ..BOUNDS }), init());
        fill(&mut ring, &init, 0..60);
        let first = ring.between(Timestamp(0), Timestamp(i64::MAX)).first().unwrap().1.captured;
        assert_eq!(first, Timestamp(49_000), "whole groups over the last ten seconds");
    }

    #[test]
    fn a_pin_keeps_what_a_clip_needs_within_its_bound() {
        let (mut ring, init) = (Ring::new(BOUNDS), init());
        fill(&mut ring, &init, 0..9);
        ring.pin(1, Timestamp(5_500));
        fill(&mut ring, &init, 9..19);
        assert_eq!(ring.between(Timestamp(5_500), Timestamp(i64::MAX)).first().unwrap().1.captured, Timestamp(5_000));
        fill(&mut ring, &init, 19..60);
        assert!(ring.bytes() <= BOUNDS.bytes + BOUNDS.pinned_bytes);
        ring.unpin(1);
        fill(&mut ring, &init, 60..61);
        assert!(ring.bytes() <= BOUNDS.bytes);
    }

    #[test]
    fn an_endless_group_keeps_its_key_frame_only() {
        let (mut ring, init) = (Ring::new(BOUNDS), init());
        for i in 0..100 {
            ring.push(&init, entry(i * 100, i == 0, 100), usize::MAX);
        }
        let gop = ring.newest().unwrap();
        assert!(gop.cut && gop.frames.len() == 1 && gop.frames[0].key);
        assert_eq!(ring.bytes(), 100);
        assert_eq!(ring.newest_frame(), Some(Timestamp(9_900)), "pictures still come");
    }

    #[test]
    fn cuts_from_the_key_frame_before_to_the_end_asked_for() {
        let (mut ring, init) = (Ring::new(BOUNDS), init());
        fill(&mut ring, &init, 0..9);
        let cut = ring.between(Timestamp(3_450), Timestamp(5_250));
        assert!(cut[0].1.key);
        assert_eq!((cut[0].1.captured.0, cut.last().unwrap().1.captured.0, cut.len()), (3_000, 5_200, 23));
        assert!(ring.between(Timestamp(20_000), Timestamp(30_000)).is_empty());
    }

    #[test]
    fn measures_rates() {
        let (mut ring, init) = (Ring::new(BOUNDS), init());
        fill(&mut ring, &init, 0..9);
        assert_eq!(ring.rates(Timestamp(8_900), Millis::seconds(4)), (10.0, 8_000));
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(frames in proptest::collection::vec((0i64..2_000, any::<bool>(), 1usize..3_000, any::<bool>()), 1..200)) {
            let (mut ring, init, mut now) = (Ring::new(BOUNDS), init(), 0);
            for (step, key, size, pressed) in frames {
                now += step;
                ring.push(&init, entry(now, key, size), if pressed { 5_000 } else { usize::MAX });
                let held: usize = ring.gops.iter().flat_map(|g| &g.frames).map(|f| f.fragment.len()).sum();
                prop_assert_eq!(held, ring.bytes());
                let bound = if pressed { 5_000 } else { BOUNDS.bytes };
                prop_assert!(held <= bound || ring.gops.len() == 1);
                prop_assert!(ring.gops.len() <= BOUNDS.gops);
                prop_assert!(ring.gops.iter().all(|g| g.frames[0].key && g.frames.len() <= BOUNDS.gop_frames));
            }
        }
    }
}
