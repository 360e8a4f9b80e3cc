//! The little of H.264 that the simulator writes itself: taller parameter sets, skipped slices, moved slices.
//!
//! A film is encoded without the strip that names the camera. Its SPS is then made taller and each picture gets one
//! more slice below: in a key frame the camera's own strip, elsewhere a slice of skipped macroblocks that keeps it.
//! So 237 cameras with their own names share a few films. Holds for streams as our encoder makes them (CAVLC, frames
//! only, picture order type 2, one reference); anything else is refused, never guessed. Nothing here blocks.

use super::bits::{BitReader, BitWriter, escape, stop_bit, unescape};

/// What of the parameter sets is needed to write slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Macroblocks in a row.
    pub(crate) columns: u32,
    /// Rows of macroblocks.
    pub(crate) rows: u32,
    /// Bits of `frame_num`.
    pub(crate) frame_num_bits: u32,
    /// Quantiser that `slice_qp_delta` is relative to.
    pub(crate) initial_qp: i32,
    /// Slices carry deblocking fields.
    pub(crate) deblocking: bool,
}

/// Header of a slice, and where its data begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Priority of the NAL.
    pub(crate) ref_idc: u8,
    /// Instantaneous refresh.
    pub(crate) idr: bool,
    slice_type: u32,
    /// Number of the frame in its group.
    pub(crate) frame_num: u32,
    qp_delta: i32,
    data_at: usize,
}

const BASELINE_LIKE: [u32; 3] = [66, 77, 88];

/// Reads SPS and PPS. `None`: not a stream of ours.
pub(crate) fn params(sps: &[u8], pps: &[u8]) -> Option<Params> {
    let (head, _) = read_sps(&unescape(sps))?;
    let rbsp = unescape(pps);
    let mut r = BitReader::new(&rbsp);
    r.skip(8)?;
    let (pps_id, sps_id) = (r.ue()?, r.ue()?);
    let cabac = r.bit()?;
    let pic_order = r.bit()?;
    let slice_groups = r.ue()?;
    let (references, _) = (r.ue()?, r.ue()?);
    let weighted = r.bit()?;
    r.skip(2)?;
    let initial_qp = 26 + r.se()?;
    let _switching_qp = r.se()?;
    let _chroma = r.se()?;
    let deblocking = r.bit()?;
    let _constrained = r.bit()?;
    let redundant = r.bit()?;
    let ours = pps_id == 0
        && sps_id == 0
        && !cabac
        && !pic_order
        && slice_groups == 0
        && references == 0
        && !weighted
        && !redundant;
    ours.then_some(Params { initial_qp, deblocking, ..head })
}

/// The fields up to the height, and the bit where the height stands.
fn read_sps(rbsp: &[u8]) -> Option<(Params, usize)> {
    let mut r = BitReader::new(rbsp);
    r.skip(8)?;
    let profile = r.bits(8)?;
    r.skip(16)?;
    let id = r.ue()?;
    let frame_num_bits = r.ue()? + 4;
    let order_type = r.ue()?;
    let _references = r.ue()?;
    let _gaps = r.bit()?;
    let columns = r.ue()? + 1;
    let at = r.position()?;
    let rows = r.ue()? + 1;
    let frames_only = r.bit()?;
    let ours = BASELINE_LIKE.contains(&profile) && id == 0 && order_type == 2 && frames_only && frame_num_bits <= 16;
    let params = Params { columns, rows, frame_num_bits, initial_qp: 26, deblocking: false };
    ours.then_some((params, at))
}

/// The same SPS for `rows` rows of macroblocks of which the last `cropped` (even) lines are not shown.
pub(crate) fn taller_sps(sps: &[u8], rows: u32, cropped: u32) -> Option<Vec<u8>> {
    let rbsp = unescape(sps);
    let (_, at) = read_sps(&rbsp)?;
    let end = stop_bit(&rbsp)?;
    let mut r = BitReader::new(&rbsp);
    let mut w = BitWriter::default();
    w.copy(&mut r, at);
    let _old = r.ue()?;
    w.ue(rows - 1);
    let flags = r.position()? + 2;
    w.copy(&mut r, flags);
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

/// Reads the header of a slice.
pub(crate) fn slice(nal: &[u8], params: &Params) -> Option<Slice> {
    read_slice(&unescape(nal), params)
}

fn read_slice(rbsp: &[u8], params: &Params) -> Option<Slice> {
    let mut r = BitReader::new(rbsp);
    r.skip(1)?;
    let ref_idc = u8::try_from(r.bits(2)?).ok()?;
    let idr = match r.bits(5)? {
        5 => true,
        1 => false,
        _ => return None,
    };
    let (first, slice_type, pps) = (r.ue()?, r.ue()?, r.ue()?);
    let frame_num = r.bits(params.frame_num_bits)?;
    if idr {
        let _idr_pic_id = r.ue()?;
    }
    if slice_type % 5 == 0 && (r.bit()? || r.bit()?) {
        return None;
    }
    if idr {
        r.skip(2)?;
    } else if ref_idc > 0 && r.bit()? {
        return None;
    }
    let qp_delta = r.se()?;
    if params.deblocking && r.ue()? != 1 {
        return None;
    }
    let ours = first == 0 && pps == 0 && matches!(slice_type % 5, 0 | 2);
    ours.then_some(Slice { ref_idc, idr, slice_type, frame_num, qp_delta, data_at: r.position()? })
}

fn write_header(w: &mut BitWriter, params: &Params, slice: &Slice, first: u32, idr_pic_id: u32, qp_delta: i32) {
    w.bits(u32::from(slice.ref_idc) << 5 | if slice.idr { 5 } else { 1 }, 8);
    w.ue(first);
    w.ue(slice.slice_type);
    w.ue(0);
    w.bits(slice.frame_num, params.frame_num_bits);
    if slice.idr {
        w.ue(idr_pic_id);
    }
    if slice.slice_type.is_multiple_of(5) {
        w.bits(0, 2);
    }
    if slice.idr {
        w.bits(0, 2);
    } else if slice.ref_idc > 0 {
        w.bit(false);
    }
    w.se(qp_delta);
    if params.deblocking {
        w.ue(1);
    }
}

/// The slice `nal` of a picture with parameters `from`, as a slice that begins at macroblock `first` of a picture with
/// parameters `to`, without deblocking. `frame_num` and type stay.
pub(crate) fn moved_slice(nal: &[u8], from: &Params, to: &Params, first: u32, idr_pic_id: u32) -> Option<Vec<u8>> {
    let rbsp = unescape(nal);
    let slice = read_slice(&rbsp, from)?;
    let mut r = BitReader::new(&rbsp);
    r.skip(u32::try_from(slice.data_at).ok()?)?;
    let mut w = BitWriter::default();
    let qp_delta = slice.qp_delta + from.initial_qp - to.initial_qp;
    write_header(&mut w, to, &slice, first, idr_pic_id, qp_delta);
    w.copy(&mut r, stop_bit(&rbsp)?);
    w.trailing();
    Some(escape(&w.into_bytes()))
}

/// A P slice of `count` skipped macroblocks from `first` on: they show what the picture before showed.
pub(crate) fn skipped_slice(params: &Params, ref_idc: u8, frame_num: u32, first: u32, count: u32) -> Vec<u8> {
    let slice = Slice { ref_idc, idr: false, slice_type: 5, frame_num, qp_delta: 0, data_at: 0 };
    let mut w = BitWriter::default();
    write_header(&mut w, params, &slice, first, 0, 0);
    w.ue(count);
    w.trailing();
    escape(&w.into_bytes())
}
