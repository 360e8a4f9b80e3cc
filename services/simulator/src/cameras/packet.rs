//! RTP packets of access units, made once and stamped for each camera.
//!
//! A `Packets` holds whole interleaved frames (`$`, channel, length, RTP header, payload) one after the other; the
//! channel, sequence number, time and source are written into a copy when it is sent. H.264 after RFC 6184
//! (single NAL, STAP-A, FU-A), H.265 after RFC 7798 (single NAL, AP, FU). Nothing here blocks.

use super::Codec;

/// Payload bytes of a packet at most.
pub(crate) const MTU: usize = 1400;
/// Interleaved header and RTP header.
pub(crate) const HEAD: usize = 4 + 12;
/// Payload type of the video.
pub(crate) const PAYLOAD_TYPE: u8 = 96;

/// Packets of an access unit or of a part of one, without their stamps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packets {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// What changes from one use of a packet to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// Sequence number of the next packet.
    pub(crate) seq: u16,
    /// 90 kHz.
    pub(crate) time: u32,
    /// Source.
    pub(crate) ssrc: u32,
}

impl Packets {
    /// Packets of `nals` in order, small ones alone.
    pub(crate) fn of(codec: Codec, nals: &[Vec<u8>]) -> Self {
        let mut packets = Self::default();
        for nal in nals {
            packets.push(codec, nal);
        }
        packets
    }

    /// Number of packets.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Adds one NAL, in fragments if it is large.
    pub(crate) fn push(&mut self, codec: Codec, nal: &[u8]) {
        if nal.len() <= MTU {
            self.packet(&[nal]);
            return;
        }
        match codec {
            Codec::H264 => {
                let Some((&head, body)) = nal.split_first() else { return };
                self.fragments(body, |edge| vec![head & 0xe0 | 28, edge | head & 0x1f], 2);
            }
            Codec::H265 => {
                let Some(([high, low], body)) = nal.split_first_chunk::<2>() else { return };
                let kind = high >> 1 & 0x3f;
                let head = high & 0x81 | 49 << 1;
                let low = *low;
                self.fragments(body, |edge| vec![head, low, edge | kind], 3);
            }
        }
    }

    fn fragments(&mut self, body: &[u8], head: impl Fn(u8) -> Vec<u8>, length: usize) {
        let mut chunks = body.chunks(MTU - length).peekable();
        let mut edge = 0x80;
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() {
                edge |= 0x40;
            }
            self.packet(&[&head(edge), chunk]);
            edge = 0;
        }
    }

    /// Adds several small NALs in one packet. Those that do not fit go alone.
    pub(crate) fn push_together(&mut self, codec: Codec, nals: &[Vec<u8>]) {
        let size: usize = nals.iter().map(|n| n.len() + 2).sum();
        if nals.len() < 2 || size + 2 > MTU {
            nals.iter().for_each(|n| self.push(codec, n));
            return;
        }
        let mut payload = match codec {
            Codec::H264 => {
                let priority = nals.iter().filter_map(|n| n.first()).map(|h| h & 0x60).max().unwrap_or(0);
                vec![priority | 24]
            }
            Codec::H265 => vec![48 << 1, 1],
        };
        for nal in nals {
            payload.extend(u16::try_from(nal.len()).unwrap_or(u16::MAX).to_be_bytes());
            payload.extend(nal);
        }
        self.packet(&[&payload]);
    }

    fn packet(&mut self, parts: &[&[u8]]) {
        let length: usize = 12 + parts.iter().map(|p| p.len()).sum::<usize>();
        self.starts.push(self.bytes.len());
        self.bytes.extend([b'$', 0]);
        self.bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes.extend([0x80, PAYLOAD_TYPE]);
        self.bytes.extend([0; 10]);
        for part in parts {
            self.bytes.extend(*part);
        }
    }

    /// Appends all packets to `out` and where each begins to `cuts`; `last` marks the last packet as the end of the
    /// access unit.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, cuts: &mut Vec<usize>, stamp: &mut Stamp, last: bool) {
        let base = out.len();
        out.extend_from_slice(&self.bytes);
        for (index, start) in self.starts.iter().enumerate() {
            let marker = last && index + 1 == self.starts.len();
            if let Some(head) = out.get_mut(base + start + 5..base + start + HEAD) {
                let mut fields = [0; 11];
                fields[0] = PAYLOAD_TYPE | u8::from(marker) << 7;
                fields[1..3].copy_from_slice(&stamp.seq.to_be_bytes());
                fields[3..7].copy_from_slice(&stamp.time.to_be_bytes());
                fields[7..11].copy_from_slice(&stamp.ssrc.to_be_bytes());
                head.copy_from_slice(&fields);
            }
            stamp.seq = stamp.seq.wrapping_add(1);
            cuts.push(base + start);
        }
    }
}

/// Sets the interleaved channel of each packet of `bytes`.
pub(crate) fn set_channel(bytes: &mut [u8], cuts: &[usize], channel: u8) {
    for cut in cuts {
        if let Some(byte) = bytes.get_mut(cut + 1) {
            *byte = channel;
        }
    }
}

/// An RTCP sender report with a name, interleaved on `channel`. `unix_ms` is the wall time of `stamp.time`.
pub(crate) fn sender_report(channel: u8, stamp: &Stamp, unix_ms: i64, packets: u32, octets: u32) -> Vec<u8> {
    const SINCE_1900: i64 = 2_208_988_800;
    let seconds = u32::try_from((unix_ms.div_euclid(1000) + SINCE_1900) & 0xffff_ffff).unwrap_or(0);
    let fraction = (u64::try_from(unix_ms.rem_euclid(1000)).unwrap_or(0) << 32) / 1000;
    let mut out = vec![b'$', channel, 0, 28 + 16, 0x80, 200, 0, 6];
    for word in [stamp.ssrc, seconds, u32::try_from(fraction).unwrap_or(0), stamp.time, packets, octets] {
        out.extend(word.to_be_bytes());
    }
    out.extend([0x81, 202, 0, 3]);
    out.extend(stamp.ssrc.to_be_bytes());
    out.extend([1, 4]);
    out.extend(b"maoj");
    out.extend([0, 0]);
    out
}

/// The receiving side, for tests.
#[cfg(test)]
pub(crate) mod receive {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Splits stamped bytes into `(marker, seq, payload)`.
    pub(crate) fn payloads(bytes: &[u8]) -> Vec<(bool, u16, Vec<u8>)> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            assert_eq!(rest[0], b'$');
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let rtp = &rest[4..4 + length];
            out.push((rtp[1] & 0x80 != 0, u16::from_be_bytes([rtp[2], rtp[3]]), rtp[12..].to_vec()));
            rest = &rest[4 + length..];
        }
        out
    }

    /// The NALs of packets.
    pub(crate) fn depacketise(codec: Codec, packets: &[(bool, u16, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for (_, _, p) in packets {
            let (kind, aggregate, fragment) = match codec {
                Codec::H264 => (p[0] & 0x1f, 24, 28),
                Codec::H265 => (p[0] >> 1 & 0x3f, 48, 49),
            };
            if kind == aggregate {
                let mut rest = &p[if codec == Codec::H264 { 1 } else { 2 }..];
                while !rest.is_empty() {
                    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    nals.push(rest[2..2 + length].to_vec());
                    rest = &rest[2 + length..];
                }
            } else if kind == fragment {
                let (head, edge, body) = match codec {
                    Codec::H264 => (vec![p[0] & 0xe0 | p[1] & 0x1f], p[1], &p[2..]),
                    Codec::H265 => (vec![p[0] & 0x81 | (p[2] & 0x3f) << 1, p[1]], p[2], &p[3..]),
                };
                if edge & 0x80 != 0 {
                    nals.push(head);
                }
                nals.last_mut().unwrap().extend(body);
            } else {
                nals.push(p.clone());
            }
        }
        nals
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::{receive::*, *};

    proptest! {
        #[test]
        fn depacketising_gives_the_same_nals(
            nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 3..5000), 1..6),
            h265 in any::<bool>(),
            together in any::<bool>(),
            seq in any::<u16>(),
        ) {
            let codec = if h265 { Codec::H265 } else { Codec::H264 };
            let nals: Vec<Vec<u8>> = nals.into_iter().map(|mut n| {
                n[0] = if h265 { 19 << 1 } else { 0x65 };
                n
            }).collect();
            let mut packets = Packets::default();
            if together { packets.push_together(codec, &nals) } else { packets = Packets::of(codec, &nals) }
            let (mut out, mut cuts, mut stamp) = (Vec::new(), Vec::new(), Stamp { seq, time: 7, ssrc: 9 });
            packets.stamp(&mut out, &mut cuts, &mut stamp, true);
            let got = payloads(&out);
            prop_assert_eq!(depacketise(codec, &got), nals);
            prop_assert_eq!(cuts.len(), packets.len());
            prop_assert!(got.iter().all(|(_, _, p)| p.len() <= MTU));
            prop_assert_eq!(got.iter().filter(|(marker, _, _)| *marker).count(), 1);
            prop_assert!(got.last().unwrap().0);
            for (index, (_, number, _)) in got.iter().enumerate() {
                prop_assert_eq!(*number, seq.wrapping_add(index as u16));
            }
            prop_assert_eq!(stamp.seq, seq.wrapping_add(got.len() as u16));
        }
    }

    #[test]
    fn a_sender_report_maps_wall_time() {
        let report = sender_report(1, &Stamp { seq: 0, time: 90_000, ssrc: 5 }, 1_500, 3, 4);
        assert_eq!(usize::from(u16::from_be_bytes([report[2], report[3]])), report.len() - 4);
        assert_eq!(report[12..16], (2_208_988_801u32).to_be_bytes());
        assert_eq!(report[16..20], 0x8000_0000u32.to_be_bytes());
    }
}
