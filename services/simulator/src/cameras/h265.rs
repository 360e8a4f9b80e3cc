//! The little of H.265 that the simulator writes itself: taller parameter sets, skipped slices, moved slices. The
//! counterpart of `h264`, for streams as our encoder makes them (one slice, 16×16 coding tree blocks, no in-loop
//! filters, no temporal motion vectors); anything else is refused. Nothing here blocks.

use super::{
    bits::{BitReader, BitWriter, escape, stop_bit, unescape},
    cabac::{Cabac, Context},
};

/// What of the parameter sets is needed to write slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    order_bits: u32,
    /// Fields that change the syntax of the slice data: two streams must agree on them.
    coding: Vec<u32>,
    dependent_slices: bool,
    extra_bits: u32,
    cabac_init: bool,
    chroma_offsets: bool,
    filter_override: bool,
    initial_qp: i32,
}

/// Blocks of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// In a row.
    pub(crate) columns: u32,
    /// In all.
    pub(crate) blocks: u32,
}

#[derive(Clone, Debug)]
struct Head {
    kind: u8,
    slice_type: u32,
    /// Bits from slice_type up to slice_qp_delta, copied as they are.
    middle: (usize, usize),
    cabac_init: bool,
    merge_candidates: u32,
    qp_delta: i32,
    chroma: Option<(i32, i32)>,
    /// Byte where the slice data begin.
    data_at: usize,
}

/// Reads SPS and PPS. `None`: not a stream of ours.
pub(crate) fn params(sps: &[u8], pps: &[u8]) -> Option<Params> {
    let (order_bits, mut coding) = read_sps(&unescape(sps))?;
    let rbsp = unescape(pps);
    let mut r = BitReader::new(&rbsp);
    r.skip(16)?;
    let ids = (r.ue()?, r.ue()?);
    let dependent_slices = r.bit()?;
    let output_flag = r.bit()?;
    let extra_bits = r.bits(3)?;
    coding.push(r.bits(1)?);
    let cabac_init = r.bit()?;
    let references = (r.ue()?, r.ue()?);
    let initial_qp = 26 + r.se()?;
    coding.push(r.bits(2)?);
    let quantiser_changes = r.bit()?;
    let chroma_qp = (r.se()?, r.se()?);
    coding.extend([chroma_qp.0.rem_euclid(64) as u32, chroma_qp.1.rem_euclid(64) as u32]);
    let chroma_offsets = r.bit()?;
    let unwanted = [r.bit()?, r.bit()?, r.bit()?, r.bit()?, r.bit()?];
    let _across = r.bit()?;
    let filter_control = r.bit()?;
    let (filter_override, filter_off) = if filter_control { (r.bit()?, r.bit()?) } else { (false, false) };
    let ours = ids == (0, 0)
        && !output_flag
        && references == (0, 0)
        && !quantiser_changes
        && !unwanted.contains(&true)
        && filter_off
        && r.bits(2)? == 0;
    let merge_level = r.ue()?;
    let extension = r.bit()?;
    let params = Params {
        order_bits,
        coding,
        dependent_slices,
        extra_bits,
        cabac_init,
        chroma_offsets,
        filter_override,
        initial_qp,
    };
    (ours && merge_level == 0 && !extension).then_some(params)
}

/// Bit where the height stands.
fn sps_height(r: &mut BitReader<'_>) -> Option<usize> {
    r.skip(16 + 4)?;
    let layers = r.bits(3)?;
    r.skip(1 + 96)?;
    let (id, chroma) = (r.ue()?, r.ue()?);
    let _width = r.ue()?;
    (layers == 0 && id == 0 && chroma == 1).then_some(r.position()?)
}

fn read_sps(rbsp: &[u8]) -> Option<(u32, Vec<u32>)> {
    let mut r = BitReader::new(rbsp);
    let _at = sps_height(&mut r)?;
    let _height = r.ue()?;
    if r.bit()? {
        for _ in 0..4 {
            r.ue()?;
        }
    }
    let depths = (r.ue()?, r.ue()?);
    let order_bits = r.ue()? + 4;
    r.skip(1)?;
    for _ in 0..3 {
        r.ue()?;
    }
    let mut coding = Vec::new();
    for _ in 0..6 {
        coding.push(r.ue()?);
    }
    let scaling = r.bit()?;
    coding.push(r.bits(1)?);
    let (sao, pcm) = (r.bit()?, r.bit()?);
    let (short_sets, long_term, temporal) = (r.ue()?, r.bit()?, r.bit()?);
    coding.push(r.bits(1)?);
    // Blocks of 8 at least and 16 at most: the two first fields.
    let blocks = coding.first() == Some(&0) && coding.get(1) == Some(&1);
    let ours = depths == (0, 0) && blocks && !scaling && !sao && !pcm && short_sets == 0 && !long_term && !temporal;
    (ours && order_bits <= 16).then_some((order_bits, coding))
}

/// The same SPS for `height` lines (whole blocks) of which the last `cropped` (even) are not shown.
pub(crate) fn taller_sps(sps: &[u8], height: u32, cropped: u32) -> Option<Vec<u8>> {
    let rbsp = unescape(sps);
    let mut r = BitReader::new(&rbsp);
    let at = sps_height(&mut r)?;
    let end = stop_bit(&rbsp)?;
    let mut r = BitReader::new(&rbsp);
    let mut w = BitWriter::default();
    w.copy(&mut r, at);
    let _old = r.ue()?;
    w.ue(height);
    if r.bit()? {
        return None;
    }
    w.bit(cropped > 0);
    if cropped > 0 {
        for side in [0, 0, 0, cropped / 2] {
            w.ue(side);
        }
    }
    w.copy(&mut r, end);
    w.trailing();
    Some(escape(&w.into_bytes()))
}

fn read_head(rbsp: &[u8], p: &Params) -> Option<Head> {
    let mut r = BitReader::new(rbsp);
    r.skip(1)?;
    let kind = u8::try_from(r.bits(6)?).ok()?;
    r.skip(9)?;
    let idr = matches!(kind, 19 | 20);
    let first = r.bit()?;
    if (16..=23).contains(&kind) {
        r.skip(1)?;
    }
    let pps = r.ue()?;
    let from = r.position()?;
    r.skip(p.extra_bits)?;
    let slice_type = r.ue()?;
    if !idr {
        r.skip(p.order_bits)?;
        if r.bit()? {
            return None;
        }
        let (before, after) = (r.ue()?, r.ue()?);
        if before > 4 || after != 0 {
            return None;
        }
        for _ in 0..before {
            r.ue()?;
            r.skip(1)?;
        }
    }
    let (mut cabac_init, mut merge_candidates) = (false, 0);
    if slice_type == 1 {
        if r.bit()? && r.ue()? != 0 {
            return None;
        }
        cabac_init = p.cabac_init && r.bit()?;
        merge_candidates = 5u32.checked_sub(r.ue()?)?;
    }
    let middle = (from, r.position()?);
    let qp_delta = r.se()?;
    let chroma = if p.chroma_offsets { Some((r.se()?, r.se()?)) } else { None };
    if p.filter_override && r.bit()? {
        return None;
    }
    if !r.bit()? {
        return None;
    }
    let data_at = r.position()?.div_ceil(8);
    let ours = first && pps == 0 && matches!(slice_type, 1 | 2) && (idr || kind <= 1);
    ours.then_some(Head { kind, slice_type, middle, cabac_init, merge_candidates, qp_delta, chroma, data_at })
}

/// Whether a slice can be used: a key frame or one that only refers back.
pub(crate) fn as_expected(nal: &[u8], p: &Params, key: bool) -> bool {
    read_head(&unescape(nal), p).is_some_and(|h| (h.kind >= 16) == key && (h.slice_type == 2) == key)
}

fn write_head(
    w: &mut BitWriter,
    rbsp: &[u8],
    head: &Head,
    p: &Params,
    first: u32,
    blocks: u32,
    qp_delta: i32,
) -> Option<()> {
    let mut r = BitReader::new(rbsp);
    w.copy(&mut r, 16);
    w.bit(first == 0);
    if head.kind >= 16 {
        w.bit(false);
    }
    w.ue(0);
    if first > 0 {
        if p.dependent_slices {
            w.bit(false);
        }
        w.bits(first, 32 - (blocks - 1).leading_zeros());
    }
    r.skip(u32::try_from(head.middle.0 - 16).ok()?)?;
    w.copy(&mut r, head.middle.1);
    w.se(qp_delta);
    if let Some((blue, red)) = head.chroma {
        w.se(blue);
        w.se(red);
    }
    if p.filter_override {
        w.bit(false);
    }
    w.trailing();
    Some(())
}

/// The key slice `nal` of a stream with parameters `from` as a slice at block `first` (of `blocks`) of one with `to`.
pub(crate) fn moved_slice(nal: &[u8], from: &Params, to: &Params, first: u32, blocks: u32) -> Option<Vec<u8>> {
    let rbsp = unescape(nal);
    let head = read_head(&rbsp, from)?;
    let alike = from.coding == to.coding && from.extra_bits == to.extra_bits;
    if !alike || head.slice_type != 2 || head.chroma.is_some() != to.chroma_offsets {
        return None;
    }
    let mut w = BitWriter::default();
    write_head(&mut w, &rbsp, &head, to, first, blocks, head.qp_delta + from.initial_qp - to.initial_qp)?;
    let mut out = w.into_bytes();
    out.extend_from_slice(rbsp.get(head.data_at..)?);
    Some(escape(&out))
}

/// A slice in the picture of the P slice `nal`: `count` blocks from `first` on that show what the picture
/// before showed.
pub(crate) fn skipped_slice(nal: &[u8], p: &Params, first: u32, count: u32, shape: Shape) -> Option<Vec<u8>> {
    let rbsp = unescape(nal);
    let head = read_head(&rbsp, p).filter(|h| h.slice_type == 1)?;
    let mut w = BitWriter::default();
    write_head(&mut w, &rbsp, &head, p, first, shape.blocks, head.qp_delta)?;
    let mut out = w.into_bytes();
    let mut cabac = Cabac::new();
    let (mut split, mut merge, mut skip) = contexts(p.initial_qp + head.qp_delta, head.cabac_init);
    for block in first..first + count {
        let left = block % shape.columns != 0 && block > first;
        let above = block >= first + shape.columns;
        cabac.decide(&mut split, false);
        cabac.decide(&mut skip[usize::from(left) + usize::from(above)], true);
        if head.merge_candidates > 1 {
            cabac.decide(&mut merge, false);
        }
        cabac.terminate(block + 1 == first + count);
    }
    out.extend(cabac.into_bytes());
    Some(escape(&out))
}

fn contexts(qp: i32, second: bool) -> (Context, Context, [Context; 3]) {
    let merge = if second { 137 } else { 122 };
    (Context::new(107, qp), Context::new(merge, qp), [197, 185, 201].map(|value| Context::new(value, qp)))
}
