//! Reads and rewrites H.264 sequence parameter sets.
//!
//! Without `bitstream_restriction` a decoder must buffer its whole picture store before it shows anything. Nearly all
//! cameras send pictures in display order, so a set that does not tell is rewritten to say so: no reordering, as few
//! buffered pictures as references. Those with B pictures tell, or are found out ([`is_b`]). Anything that cannot be read
//! is left as it is. Pure and total; never blocks.

use std::io::{self, Cursor};

use bitstream_io::{BigEndian, BitRead as _, BitReader, BitWrite as _, BitWriter};

const MAX_UE_ZEROS: u32 = 31;
const MAX_BUFFERED_PICTURES: u32 = 16;
/// Taken for the reordering of a camera that does not tell; encoders of cameras use one or two.
const MAX_REORDERED: u32 = 4;

struct Reader<'a>(BitReader<Cursor<&'a [u8]>, BigEndian>);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(BitReader::new(Cursor::new(bytes)))
    }
    /// Bits read so far.
    fn at(&mut self) -> Option<u64> {
        self.0.position_in_bits().ok()
    }
    fn bit(&mut self) -> Option<bool> {
        self.0.read_bit().ok()
    }
    fn bits(&mut self, n: u32) -> Option<u32> {
        self.0.read(n).ok()
    }
    fn skip(&mut self, n: u32) -> Option<()> {
        self.0.skip(n).ok()
    }
    fn ue(&mut self) -> Option<u32> {
        let zeros = self.0.read_unary1().ok().filter(|zeros| *zeros <= MAX_UE_ZEROS)?;
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }
    fn se(&mut self) -> Option<i64> {
        let k = i64::from(self.ue()?);
        Some(if k % 2 == 0 { -(k / 2) } else { k / 2 + 1 })
    }
}

/// Into memory, so that no write fails.
struct Writer(BitWriter<Vec<u8>, BigEndian>);

impl Writer {
    /// Goes on after the first `bits` of `from`.
    fn after(from: &[u8], bits: u64) -> io::Result<Self> {
        let mut writer = BitWriter::new(Vec::new());
        let mut reader = BitReader::<_, BigEndian>::new(from);
        for _ in 0..bits {
            writer.write_bit(reader.read_bit()?)?;
        }
        Ok(Self(writer))
    }
    fn bit(&mut self, bit: bool) -> io::Result<()> {
        self.0.write_bit(bit)
    }
    fn ue(&mut self, value: u32) -> io::Result<()> {
        let code = u64::from(value) + 1;
        let len = 64 - code.leading_zeros();
        self.0.write(len - 1, 0u32)?;
        self.0.write(len, code)
    }
    fn finish(mut self) -> io::Result<Vec<u8>> {
        self.bit(true)?;
        self.0.byte_align()?;
        Ok(self.0.into_writer())
    }
}

/// Removes emulation prevention bytes.
fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Inserts emulation prevention bytes.
fn escape(rbsp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rbsp.len() + 4);
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn scaling_list(r: &mut Reader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + r.se()? + 256).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn hrd(r: &mut Reader<'_>) -> Option<()> {
    let count = r.ue()?;
    if count > 31 {
        return None;
    }
    r.skip(8)?;
    for _ in 0..=count {
        r.ue()?;
        r.ue()?;
        r.skip(1)?;
    }
    r.skip(20)
}

/// Reads up to `vui_parameters_present_flag`; returns the number of reference frames.
fn before_vui(r: &mut Reader<'_>) -> Option<u32> {
    let profile = r.bits(8)?;
    r.skip(16)?;
    r.ue()?;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 134 | 135 | 138 | 139) {
        let chroma = r.ue()?;
        if chroma == 3 {
            r.skip(1)?;
        }
        r.ue()?;
        r.ue()?;
        r.skip(1)?;
        if r.bit()? {
            for i in 0..if chroma == 3 { 12 } else { 8 } {
                if r.bit()? {
                    scaling_list(r, if i < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    r.ue()?;
    match r.ue()? {
        0 => {
            r.ue()?;
        }
        1 => {
            r.skip(1)?;
            r.se()?;
            r.se()?;
            let cycle = r.ue()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                r.se()?;
            }
        }
        _ => {}
    }
    let references = r.ue()?;
    r.skip(1)?;
    r.ue()?;
    r.ue()?;
    if !r.bit()? {
        r.skip(1)?;
    }
    r.skip(1)?;
    if r.bit()? {
        for _ in 0..4 {
            r.ue()?;
        }
    }
    Some(references)
}

/// Reads the VUI up to `bitstream_restriction_flag`.
fn vui_before_restriction(r: &mut Reader<'_>) -> Option<()> {
    if r.bit()? && r.bits(8)? == 255 {
        r.skip(32)?;
    }
    if r.bit()? {
        r.skip(1)?;
    }
    if r.bit()? {
        r.skip(4)?;
        if r.bit()? {
            r.skip(24)?;
        }
    }
    if r.bit()? {
        r.ue()?;
        r.ue()?;
    }
    if r.bit()? {
        r.skip(65)?;
    }
    let nal = r.bit()?;
    if nal {
        hrd(r)?;
    }
    let vcl = r.bit()?;
    if vcl {
        hrd(r)?;
    }
    if nal || vcl {
        r.skip(1)?;
    }
    r.skip(1)
}

/// A set read as far as its restriction.
struct Parsed {
    rbsp: Vec<u8>,
    references: u32,
    vui: bool,
    /// Bits before `bitstream_restriction_flag`, or before `vui_parameters_present_flag` without VUI.
    bits: u64,
    /// `max_num_reorder_frames`, if the set tells.
    reorder: Option<u32>,
}

fn parse(nal: &[u8]) -> Option<Parsed> {
    let rbsp = unescape(nal.get(1..)?);
    let mut r = Reader::new(&rbsp);
    let references = before_vui(&mut r)?;
    let mut bits = r.at()?;
    let vui = r.bit()?;
    let mut reorder = None;
    if vui {
        vui_before_restriction(&mut r)?;
        bits = r.at()?;
        if r.bit()? {
            r.skip(1)?;
            for _ in 0..4 {
                r.ue()?;
            }
            reorder = Some(r.ue()?.min(MAX_BUFFERED_PICTURES));
        }
    }
    Some(Parsed { rbsp, references, vui, bits, reorder })
}

/// How many pictures may be sent before one that is shown before them; `None` when the set does not tell.
pub(crate) fn reordering(nal: &[u8]) -> Option<u32> {
    parse(nal)?.reorder
}

/// The most that a set without restriction can mean: as many as it has references.
pub(crate) fn most_reordering(nal: &[u8]) -> u32 {
    parse(nal).map_or(1, |p| p.references).clamp(1, MAX_REORDERED)
}

/// The same set with a restriction to `reorder` reordered pictures, whatever it said before; `None` when it cannot be
/// read.
pub(crate) fn with_reordering(nal: &[u8], reorder: u32) -> Option<Vec<u8>> {
    let set = parse(nal)?;
    let reorder = reorder.min(MAX_BUFFERED_PICTURES);
    let buffered = set.references.clamp(reorder.max(1), MAX_BUFFERED_PICTURES);
    let rewritten = || {
        let mut w = Writer::after(&set.rbsp, set.bits)?;
        if !set.vui {
            w.bit(true)?;
            // No aspect ratio, overscan, signal type, chroma location, timing, HRDs, picture structure.
            (0..8).try_for_each(|_| w.bit(false))?;
        }
        w.bit(true)?;
        w.bit(true)?; // motion vectors may point over picture boundaries, as when absent
        [0, 0, 15, 15, reorder, buffered].into_iter().try_for_each(|value| w.ue(value))?;
        w.finish()
    };
    let mut out = vec![*nal.first()?];
    out.extend(escape(&rewritten().ok()?));
    Some(out)
}

/// Whether an access unit (4-byte lengths) begins with a slice of a B picture.
pub(crate) fn is_b(mut unit: &[u8]) -> bool {
    while let Some((len, rest)) = unit.split_first_chunk::<4>() {
        let Some((nal, rest)) = rest.split_at_checked(u32::from_be_bytes(*len) as usize) else { return false };
        if let Some((header, slice)) = nal.split_first().filter(|(h, _)| matches!(*h & 0x1f, 1 | 5)) {
            let mut r = Reader::new(slice);
            return header & 0x1f == 1 && r.ue().and_then(|_| r.ue()).is_some_and(|kind| kind % 5 == 1);
        }
        unit = rest;
    }
    false
}

/// Whether the set can be read at all. A decoder that gets one that cannot goes on with the set of another camera.
pub(crate) fn readable(nal: &[u8]) -> bool {
    let rbsp = unescape(nal.get(1..).unwrap_or_default());
    nal.first().is_some_and(|h| h & 0x1f == 7) && before_vui(&mut Reader::new(&rbsp)).is_some()
}

/// RFC 6381 string of an H.264 sequence parameter set.
pub(crate) fn codec_string(nal: &[u8]) -> String {
    match nal {
        [_, profile, constraints, level, ..] => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        _ => "avc1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use h264_reader::{nal::sps::SeqParameterSet, rbsp::BitReader};
    use proptest::prelude::*;

    // Sets of real cameras and encoders, with and without VUI, restriction and HRD.
    const WITHOUT: [&str; 4] = [
        "674d001f95a814016e40",
        "674d00299a6403c0113f2cd404040500000303e80000ea6004",
        "67420029963540f0044fcb37010101400000030040000007a1",
        "67640033ace802800b59",
    ];
    const WITH: [&str; 3] = [
        "67640016acb201405ff2e0220000030002000003003cc4c0061a800c35496500f162e480",
        "6742c016d900a02ff970110000030001000003001e0f162e48",
        "674d402a8d8d403c0113f2e02dc040405000003e800015f909da08846a",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(|b| *b != b' ').collect();
        hex.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
    }

    fn read(nal: &[u8]) -> SeqParameterSet {
        let rbsp = unescape(&nal[1..]);
        SeqParameterSet::from_bits(BitReader::new(&rbsp[..])).unwrap()
    }

    #[test]
    fn adds_what_is_missing_and_keeps_the_rest() {
        for hex in WITHOUT {
            let nal = bytes(hex);
            let (before, out) = (read(&nal), with_reordering(&nal, 0).unwrap());
            let after = read(&out);
            let vui = after.vui_parameters.as_ref().unwrap();
            let restriction = vui.bitstream_restrictions.as_ref().unwrap();
            assert_eq!(restriction.max_num_reorder_frames, 0, "{hex}");
            assert_eq!(restriction.max_dec_frame_buffering, before.max_num_ref_frames.max(1));
            assert_eq!(before.pixel_dimensions().unwrap(), after.pixel_dimensions().unwrap());
            if let Some(old) = before.vui_parameters {
                assert_eq!(format!("{:?}", old.timing_info), format!("{:?}", vui.timing_info));
            }
            assert_eq!((reordering(&nal), reordering(&out)), (None, Some(0)), "{hex}");
            assert_eq!(with_reordering(&out, 0).unwrap(), out, "a second pass changes nothing");
        }
    }

    #[test]
    fn reads_and_replaces_what_a_set_tells() {
        for hex in WITH {
            let nal = bytes(hex);
            let told = read(&nal).vui_parameters.unwrap().bitstream_restrictions.unwrap().max_num_reorder_frames;
            assert_eq!(reordering(&nal), Some(told), "{hex}");
            for wanted in [0, 2] {
                let after = read(&with_reordering(&nal, wanted).unwrap()).vui_parameters.unwrap();
                let restriction = after.bitstream_restrictions.unwrap();
                assert_eq!(restriction.max_num_reorder_frames, wanted);
                assert!(restriction.max_dec_frame_buffering >= wanted.max(1));
            }
        }
    }

    #[test]
    fn knows_b_pictures_by_their_first_slice() {
        // first_mb_in_slice 0, then slice_type: 0 = P, 1 = B, 6 = all B, 7 = all I.
        let unit = |kind: u8, bits: u8| vec![0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 2, kind, bits];
        assert!(is_b(&unit(0x01, 0b1010_0000)) && is_b(&unit(0x01, 0b1001_1100)));
        assert!(!is_b(&unit(0x41, 0b1100_0000)) && !is_b(&unit(0x65, 0b1000_1000)) && !is_b(&[0, 0, 0, 9, 1]));
    }

    #[test]
    fn names_the_codec() {
        assert_eq!(codec_string(&bytes(WITH[0])), "avc1.640016");
    }

    proptest! {
        #[test]
        fn never_panics(nal in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (with_reordering(&nal, 0), reordering(&nal), most_reordering(&nal), is_b(&nal));
        }
        #[test]
        fn escaping_round_trips(rbsp in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(3), any::<u8>()], 0..80)) {
            prop_assert_eq!(unescape(&escape(&rbsp)), rbsp);
        }
    }
}
