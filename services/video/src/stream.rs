//! One of a camera's two streams: frames in, muxed entries out, with a new generation whenever a player must start
//! over. Pure; never blocks.

use std::sync::Arc;

use domain::time::Timestamp;

use crate::{
    mp4::{self, Init},
    ring::{Bounds, Entry, Ring},
    source::{Frame, Parameters},
    timeline::{TICKS, Timeline},
};

/// Duration of the first frame, before any distance is known: 15 frames a second.
const FIRST_DURATION: i64 = TICKS / 15;

#[derive(Debug)]
pub(crate) struct Stream {
    pub ring: Ring,
    init: Option<Arc<Init>>,
    parameters: Option<Parameters>,
    /// The next key frame starts a generation.
    fresh: bool,
    timeline: Timeline,
    last_pts: i64,
    duration: i64,
    sequence: u32,
}

impl Stream {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            ring: Ring::new(bounds),
            init: None,
            parameters: None,
            fresh: true,
            timeline: Timeline::default(),
            last_pts: 0,
            duration: FIRST_DURATION,
            sequence: 0,
        }
    }

    /// A new session begins; what viewers have stays until its first key frame.
    pub(crate) fn begin(&mut self) {
        self.fresh = true;
        self.parameters = None;
    }

    /// Muxes a frame. `None` for what no player could decode: before the first key frame, or nothing in it. `generation`
    /// is the camera's counter.
    pub(crate) fn accept(&mut self, frame: Frame, now: Timestamp, generation: &mut u32) -> Option<(Arc<Init>, Entry)> {
        if let Some(parameters) = frame.parameters
            && self.parameters.as_ref() != Some(&parameters)
        {
            self.parameters = Some(parameters);
            self.fresh = true;
        }
        let key = frame.key && has_idr(&frame.data);
        if self.fresh {
            let parameters = self.parameters.as_ref().filter(|_| key)?;
            *generation += 1;
            self.init = Some(Arc::new(Init::new(*generation, parameters)));
            (self.timeline, self.last_pts, self.fresh) = (Timeline::default(), 0, false);
        }
        if frame.data.is_empty() {
            return None;
        }
        let init = self.init.clone()?;
        let pts = self.timeline.place(frame.ticks, now);
        if pts > self.last_pts {
            self.duration = (pts - self.last_pts).min(TICKS);
        }
        self.last_pts = pts;
        self.sequence = self.sequence.wrapping_add(1);
        let fragment = mp4::fragment(self.sequence, pts, self.duration as u32, key, &frame.data);
        Some((init, Entry { pts, captured: now, key, fragment }))
    }
}

/// An access unit without any slice also counts as a random access point for some sources.
fn has_idr(mut data: &[u8]) -> bool {
    while let Some((len, rest)) = data.split_first_chunk::<4>() {
        match rest.first() {
            Some(header) if header & 0x1f == 5 => return true,
            _ => data = rest.get(u32::from_be_bytes(*len) as usize..).unwrap_or_default(),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::testing::{delta, key, parameters};

    fn stream() -> Stream {
        Stream::new(Bounds { bytes: 1 << 20, gops: 8, gop_frames: 100, span: Duration::from_secs(30), pinned_bytes: 0 })
    }

    fn put(stream: &mut Stream, frame: Frame, ms: i64, generation: &mut u32) -> Option<(u32, i64, bool)> {
        stream.accept(frame, Timestamp(ms), generation).map(|(i, e)| (i.generation, e.pts, e.key))
    }

    #[test]
    fn starts_at_a_key_frame_and_over_again_when_parameters_change() {
        let (mut s, mut g) = (stream(), 0);
        assert_eq!(put(&mut s, Frame { parameters: Some(parameters(360)), ..delta(0) }, 0, &mut g), None);
        assert_eq!(put(&mut s, key(6_000), 66, &mut g), Some((1, 0, true)));
        assert_eq!(put(&mut s, delta(12_000), 133, &mut g), Some((1, 6_000, false)));
        let same = Frame { parameters: Some(parameters(360)), ..key(18_000) };
        assert_eq!(put(&mut s, same, 200, &mut g), Some((1, 12_000, true)));
        let changed = Frame { parameters: Some(parameters(480)), ..key(24_000) };
        assert_eq!(put(&mut s, changed, 266, &mut g), Some((2, 0, true)));
    }

    #[test]
    fn a_new_session_is_a_new_generation() {
        let (mut s, mut g) = (stream(), 0);
        put(&mut s, Frame { parameters: Some(parameters(360)), ..key(0) }, 0, &mut g).unwrap();
        s.begin();
        assert_eq!(put(&mut s, delta(900), 10, &mut g), None);
        let again = Frame { parameters: Some(parameters(360)), ..key(77) };
        assert_eq!(put(&mut s, again, 20, &mut g), Some((2, 0, true)));
    }

    #[test]
    fn an_access_unit_without_a_picture_starts_nothing() {
        let (mut s, mut g) = (stream(), 0);
        let delimiter = Frame { data: vec![0, 0, 0, 2, 9, 0xf0], parameters: Some(parameters(360)), ..key(0) };
        assert_eq!(put(&mut s, delimiter, 0, &mut g), None);
    }
}
