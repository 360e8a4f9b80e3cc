//! Cuts a clip out of a ring. Pure; the caller waits for the future part and pins the past.

use std::sync::Arc;

use domain::{ids::CameraId, time::Millis};
use link::media::Clip;

use crate::{
    mp4::{self, Init, Sample},
    ring::Entry,
    timeline::TICKS,
};

/// One MP4 has one set of parameters, so where they change within the span, the longest part is taken. A reconnect with
/// the same parameters goes on, with the gap that there was.
pub(crate) fn cut(camera: &CameraId, frames: &[(Arc<Init>, Entry)]) -> Option<Clip> {
    let part = frames
        .chunk_by(|a, b| a.0.same_parameters(&b.0))
        .filter_map(|part| {
            let start = part.iter().position(|(_, f)| f.key)?;
            part.get(start..)
        })
        .max_by_key(|part| span(part))?;
    let (init, first) = part.first()?;
    let (_, last) = part.last()?;
    Some(Clip {
        camera: camera.clone(),
        from: first.captured,
        to: last.captured,
        codec: init.codec.clone(),
        mp4: mp4::progressive(init, &samples(part))?,
    })
}

fn span(part: &[(Arc<Init>, Entry)]) -> Millis {
    match (part.first(), part.last()) {
        (Some(first), Some(last)) => last.1.captured - first.1.captured,
        _ => Millis(0),
    }
}

/// Joins generations, whose times each start at 0, by the arrival times between them.
fn samples(part: &[(Arc<Init>, Entry)]) -> Vec<Sample> {
    let mut out: Vec<Sample> = Vec::with_capacity(part.len());
    let mut previous: Option<(&Arc<Init>, &Entry)> = None;
    for (init, entry) in part {
        let dts = match (previous, out.last()) {
            (Some((before, from)), Some(sample)) => {
                let step = if Arc::ptr_eq(before, init) {
                    entry.dts - from.dts
                } else {
                    (entry.captured - from.captured).0 * (TICKS / 1_000)
                };
                sample.dts + step.max(1)
            }
            _ => 0,
        };
        out.push(Sample { dts, offset: entry.offset, key: entry.key, data: entry.access_unit() });
        previous = Some((init, entry));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::parameters;
    use domain::time::Timestamp;

    fn part(generation: u32, height: u16, seconds: std::ops::Range<i64>) -> Vec<(Arc<Init>, Entry)> {
        let init = Arc::new(Init::new(generation, &parameters(height), false));
        (seconds.start * 10..seconds.end * 10)
            .map(|i| {
                let (dts, key) = ((i - seconds.start * 10) * 9_000, i % 10 == 0);
                let fragment = mp4::fragment(1, dts, 0, 9_000, key, &[0, 0, 0, 1, 0x65]);
                (init.clone(), Entry { dts, offset: 0, captured: Timestamp(i * 100), key, fragment })
            })
            .collect()
    }

    #[test]
    fn goes_on_over_a_reconnect_with_the_gap_that_there_was() {
        let frames = [part(1, 360, 0..3), part(2, 360, 5..8)].concat();
        let samples = samples(&frames);
        assert_eq!(samples.len(), 60);
        assert_eq!((samples[29].dts, samples[30].dts), (29 * 9_000, 50 * 9_000));
    }

    #[test]
    fn takes_the_longest_part_when_parameters_change() {
        let frames = [part(1, 360, 0..3), part(2, 480, 3..12)].concat();
        let clip = cut(&"c1".into(), &frames).unwrap();
        assert_eq!((clip.from, clip.to), (Timestamp(3_000), Timestamp(11_900)));
    }

    #[test]
    fn nothing_without_a_key_frame() {
        assert!(cut(&"c1".into(), &part(1, 360, 0..1)[1..]).is_none());
        assert!(cut(&"c1".into(), &[]).is_none());
    }
}
