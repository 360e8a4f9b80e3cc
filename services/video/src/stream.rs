//! One of a camera's two streams: frames in, muxed entries out, with a new generation whenever a player must start
//! over. Pure; never blocks.

use std::sync::Arc;

use domain::time::Timestamp;

use crate::{
    mp4::{self, Init},
    ring::{Bounds, Entry, Ring},
    source::{Frame, Parameters},
    sps,
    timeline::{Order, TICKS, Timeline},
};

/// Duration of the first frame, before any distance is known: 15 frames a second.
const FIRST_DURATION: i64 = TICKS / 15;

#[derive(Debug)]
pub(crate) struct Stream {
    pub ring: Ring,
    init: Option<Arc<Init>>,
    parameters: Option<Parameters>,
    /// Sets of a camera that sends B pictures without telling.
    reordered: Option<Parameters>,
    /// The next key frame starts a generation.
    fresh: bool,
    order: Order,
    timeline: Timeline,
    last_ticks: i64,
    last_dts: i64,
    duration: i64,
    sequence: u32,
}

impl Stream {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            ring: Ring::new(bounds),
            init: None,
            parameters: None,
            reordered: None,
            fresh: true,
            order: Order::default(),
            timeline: Timeline::default(),
            last_ticks: 0,
            last_dts: 0,
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
    pub(crate) fn accept(
        &mut self,
        mut frame: Frame,
        now: Timestamp,
        generation: &mut u32,
    ) -> Option<(Arc<Init>, Entry)> {
        if let Some(parameters) = frame.parameters.take()
            && self.parameters.as_ref() != Some(&parameters)
        {
            self.parameters = Some(parameters);
            self.fresh = true;
        }
        let key = frame.key && has_idr(&frame.data);
        if self.reorders_untold(&frame) {
            self.reordered = self.parameters.clone();
            self.fresh = true;
        }
        if self.fresh {
            let parameters = self.parameters.as_ref().filter(|_| key)?;
            *generation += 1;
            let init = Init::new(*generation, parameters, self.reordered.as_ref() == Some(parameters));
            (self.order, self.timeline, self.last_dts) = (Order::new(init.reorder), Timeline::default(), 0);
            (self.init, self.fresh) = (Some(Arc::new(init)), false);
        }
        if frame.data.is_empty() {
            return None;
        }
        let init = self.init.clone()?;
        let decoded = self.order.decoded(frame.ticks, self.duration);
        let offset = (frame.ticks - decoded) as u32;
        let dts = self.timeline.place(decoded, now);
        if dts > self.last_dts {
            self.duration = (dts - self.last_dts).min(TICKS);
        }
        (self.last_dts, self.last_ticks) = (dts, frame.ticks);
        self.sequence = self.sequence.wrapping_add(1);
        let fragment = mp4::fragment(self.sequence, dts, offset, self.duration as u32, key, &frame.data);
        Some((init, Entry { dts, offset, captured: now, key, fragment }))
    }

    /// A B picture that is shown before the one sent before it, although the set did not say that there are such.
    fn reorders_untold(&self, frame: &Frame) -> bool {
        let told = self.fresh || self.init.as_ref().is_none_or(|i| i.reorder > 0);
        !told && frame.ticks < self.last_ticks && sps::is_b(&frame.data)
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

    use bytes::Bytes;

    use super::*;
    use crate::testing::{delta, key, parameters};

    fn stream() -> Stream {
        Stream::new(Bounds { bytes: 1 << 20, gops: 8, gop_frames: 100, span: Duration::from_secs(30), pinned_bytes: 0 })
    }

    fn put(stream: &mut Stream, frame: Frame, ms: i64, generation: &mut u32) -> Option<(u32, i64, bool)> {
        stream.accept(frame, Timestamp(ms), generation).map(|(i, e)| (i.generation, e.pts(), e.key))
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
    fn b_pictures_of_a_camera_that_does_not_tell_start_over_with_a_set_that_does() {
        // A main profile set without restriction, two references.
        let sps = Bytes::from_static(&[0x67, 0x4d, 0x00, 0x1f, 0x95, 0xa8, 0x14, 0x01, 0x6e, 0x40]);
        let set = Parameters { sps, ..parameters(360) };
        let b = |ticks| Frame { data: vec![0, 0, 0, 2, 0x01, 0xa0], ..delta(ticks) };
        let (mut s, mut g) = (stream(), 0);
        let mut times =
            |frame: Frame, ms| s.accept(frame, Timestamp(ms), &mut g).map(|(i, e)| (i.generation, e.dts, e.pts()));
        assert_eq!(times(Frame { parameters: Some(set), ..key(0) }, 0), Some((1, 0, 0)));
        assert_eq!(times(delta(18_000), 66), Some((1, 18_000, 18_000)));
        assert_eq!(times(b(6_000), 133), None, "what was sent so far would be shown in the wrong order");
        assert_eq!(times(delta(36_000), 266), None);
        let second = times(key(90_000), 1_000).unwrap();
        assert_eq!((second.0, second.1), (2, 0));
        let shown: Vec<_> =
            [108_000, 96_000, 102_000].map(|t| times(if t == 108_000 { delta(t) } else { b(t) }, t / 90)).to_vec();
        assert!(shown.iter().flatten().all(|(generation, dts, pts)| *generation == 2 && dts <= pts));
        let from_key: Vec<_> = shown.iter().flatten().map(|(_, _, pts)| pts - second.2).collect();
        assert_eq!(from_key, [18_000, 6_000, 12_000]);
    }

    #[test]
    fn an_access_unit_without_a_picture_starts_nothing() {
        let (mut s, mut g) = (stream(), 0);
        let delimiter = Frame { data: vec![0, 0, 0, 2, 9, 0xf0], parameters: Some(parameters(360)), ..key(0) };
        assert_eq!(put(&mut s, delimiter, 0, &mut g), None);
    }
}
