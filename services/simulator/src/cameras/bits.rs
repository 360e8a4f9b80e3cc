//! Bits of video headers: reader, writer, emulation prevention, Annex B splitting.
//!
//! Reading never panics: every read past the end is `None`. Nothing here blocks.

use std::io::Cursor;

use bitstream_io::{BigEndian, BitRead as _};

/// Reads big-endian bits of a payload without emulation prevention bytes.
pub(crate) struct BitReader<'a>(bitstream_io::BitReader<Cursor<&'a [u8]>, BigEndian>);

impl<'a> BitReader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(bitstream_io::BitReader::new(Cursor::new(data)))
    }
    /// Bits read so far.
    pub(crate) fn position(&mut self) -> Option<usize> {
        usize::try_from(self.0.position_in_bits().ok()?).ok()
    }
    pub(crate) fn bit(&mut self) -> Option<bool> {
        self.0.read_bit().ok()
    }
    /// Up to 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        self.0.read(count).ok()
    }
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        self.0.skip(count).ok()
    }
    /// Unsigned Exp-Golomb.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let zeros = self.0.read_unary1().ok().filter(|zeros| *zeros <= 31)?;
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }
    /// Signed Exp-Golomb.
    pub(crate) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

/// Writes big-endian bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    out: Vec<u8>,
    used: u8,
}

impl BitWriter {
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.out.push(0);
        }
        if let Some(last) = self.out.last_mut() {
            *last |= u8::from(bit) << (7 - self.used);
        }
        self.used = (self.used + 1) % 8;
    }
    pub(crate) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }
    pub(crate) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        for _ in 1..length {
            self.bit(false);
        }
        for shift in (0..length).rev() {
            self.bit(code >> shift & 1 == 1);
        }
    }
    pub(crate) fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs();
        self.ue(if value > 0 { magnitude * 2 - 1 } else { magnitude * 2 });
    }
    /// Copies the bits of `from` up to bit `end`.
    pub(crate) fn copy(&mut self, from: &mut BitReader<'_>, end: usize) {
        while from.position().is_some_and(|at| at < end) {
            let Some(bit) = from.bit() else { return };
            self.bit(bit);
        }
    }
    pub(crate) fn aligned(&self) -> bool {
        self.used == 0
    }
    /// Stop bit and zeros to the byte.
    pub(crate) fn trailing(&mut self) {
        self.bit(true);
        while !self.aligned() {
            self.bit(false);
        }
    }
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Position of the stop bit of a payload: where its data end.
pub(crate) fn stop_bit(rbsp: &[u8]) -> Option<usize> {
    let index = rbsp.iter().rposition(|b| *b != 0)?;
    let zeros = rbsp.get(index)?.trailing_zeros() as usize;
    Some(index * 8 + 7 - zeros)
}

/// A NAL without its emulation prevention bytes.
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
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

/// A payload with emulation prevention bytes.
pub(crate) fn escape(rbsp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rbsp.len() + rbsp.len() / 64);
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

/// The NALs of an Annex B access unit.
pub(crate) fn split_annex_b(data: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(window) = data.get(at..at + 3) {
        if window == [0, 0, 1] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let nal = data.get(start + 3..end)?;
            let length = nal.iter().rposition(|b| *b != 0)? + 1;
            nal.get(..length)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaping_round_trips_and_leaves_no_start_code(data in prop::collection::vec(0u8..5, 1..200)) {
            let mut data = data;
            data.push(0x80);
            let escaped = escape(&data);
            prop_assert_eq!(unescape(&escaped), data);
            prop_assert!(!escaped.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] <= 2));
        }

        #[test]
        fn golomb_round_trips(values in prop::collection::vec((0u32..100_000, -50_000i32..50_000), 1..20)) {
            let mut writer = BitWriter::default();
            for (u, s) in &values {
                writer.ue(*u);
                writer.se(*s);
            }
            writer.trailing();
            let bytes = writer.into_bytes();
            let mut reader = BitReader::new(&bytes);
            for (u, s) in &values {
                prop_assert_eq!(reader.ue(), Some(*u));
                prop_assert_eq!(reader.se(), Some(*s));
            }
            prop_assert_eq!(stop_bit(&bytes), reader.position());
        }

        #[test]
        fn reading_anything_never_panics(data in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = BitReader::new(&data);
            while reader.ue().is_some() {}
            let _ = (reader.se(), split_annex_b(&data), stop_bit(&data));
        }
    }

    #[test]
    fn splits_three_and_four_byte_start_codes() {
        let data = [0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x41, 7];
        assert_eq!(split_annex_b(&data), [&[9u8, 16][..], &[0x65, 1, 2], &[0x41, 7]]);
    }
}
