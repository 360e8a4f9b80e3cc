//! Writes MP4: the init segment and fragments of live view, and whole progressive files for clips.
//!
//! One H.264 track, 90 kHz, frames in the order in which they are decoded, 4-byte NAL lengths. Pure; never blocks.

use bytes::{BufMut, Bytes};

use crate::{source::Parameters, sps, timeline::TICKS};

const TRACK: u32 = 1;
/// trun sample flags: depends on nothing.
const KEY: u32 = 0x0200_0000;
/// trun sample flags: depends on others, not a sync sample.
const DELTA: u32 = 0x0101_0000;
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `moof` (with one sample) + header of `mdat`.
pub(crate) const FRAGMENT_HEADER: usize = 8 + 16 + (8 + 28 + 20 + 24) + 8;

/// What a player needs before the first fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Init {
    /// Counts up for each camera, over both streams.
    pub generation: u32,
    /// RFC 6381.
    pub codec: String,
    /// Pixels.
    pub size: (u16, u16),
    /// `ftyp` + `moov` for fragments.
    pub bytes: Bytes,
    /// Parameter sets as the player gets them.
    pub sps: Bytes,
    /// Picture parameter set.
    pub pps: Bytes,
    /// Pictures that may be sent before one that is shown before them.
    pub reorder: u32,
}

impl Init {
    /// From the parameter sets of the camera. A sequence set that does not tell how pictures are reordered is told: not
    /// at all, or, if the camera was seen to do it (`reorders`), as much as it may.
    pub(crate) fn new(generation: u32, parameters: &Parameters, reorders: bool) -> Self {
        let told = sps::reordering(&parameters.sps).filter(|n| *n > 0 || !reorders);
        let reorder = told.unwrap_or_else(|| if reorders { sps::most_reordering(&parameters.sps) } else { 0 });
        let rewritten = if told.is_none() { sps::with_reordering(&parameters.sps, reorder) } else { None };
        let sps = rewritten.map_or_else(|| parameters.sps.clone(), Bytes::from);
        let mut init = Self {
            generation,
            codec: sps::codec_string(&sps),
            size: parameters.size,
            bytes: Bytes::new(),
            sps,
            pps: parameters.pps.clone(),
            reorder,
        };
        let mut out = Vec::with_capacity(1024);
        file_type(&mut out, b"iso5", &[b"iso5", b"iso6", b"avc1", b"mp41"]);
        moov(&mut out, &init, 0, &SampleTable::default());
        init.bytes = out.into();
        init
    }

    /// Do both describe the same pictures?
    pub(crate) fn same_parameters(&self, other: &Self) -> bool {
        self.sps == other.sps && self.pps == other.pps && self.size == other.size
    }
}

/// One frame of a clip.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// When it is decoded, 90 kHz, forward.
    pub dts: i64,
    /// How much later it is shown, 90 kHz.
    pub offset: u32,
    /// Sync sample.
    pub key: bool,
    /// Access unit with 4-byte lengths.
    pub data: Bytes,
}

#[derive(Default)]
struct SampleTable {
    durations: Vec<u32>,
    /// Empty when every frame is shown when it is decoded.
    offsets: Vec<u32>,
    sizes: Vec<u32>,
    keys: Vec<u32>,
    offset: u32,
}

fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    body(out);
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&len.to_be_bytes());
    }
}

fn full(out: &mut Vec<u8>, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Vec<u8>)) {
    boxed(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        body(out);
    });
}

fn file_type(out: &mut Vec<u8>, major: &[u8; 4], brands: &[&[u8; 4]]) {
    boxed(out, b"ftyp", |out| {
        out.put_slice(major);
        out.put_u32(0x200);
        brands.iter().for_each(|b| out.put_slice(*b));
    });
}

fn moov(out: &mut Vec<u8>, init: &Init, duration: u64, table: &SampleTable) {
    let fragmented = table.sizes.is_empty();
    boxed(out, b"moov", |out| {
        full(out, b"mvhd", 1, 0, |out| {
            out.put_bytes(0, 16);
            out.put_u32(TICKS as u32);
            out.put_u64(duration);
            out.put_u32(0x1_0000);
            out.put_u16(0x100);
            out.put_bytes(0, 10);
            MATRIX.iter().for_each(|v| out.put_u32(*v));
            out.put_bytes(0, 24);
            out.put_u32(TRACK + 1);
        });
        boxed(out, b"trak", |out| {
            full(out, b"tkhd", 1, 3, |out| {
                out.put_bytes(0, 16);
                out.put_u32(TRACK);
                out.put_u32(0);
                out.put_u64(duration);
                out.put_bytes(0, 16);
                MATRIX.iter().for_each(|v| out.put_u32(*v));
                out.put_u32(u32::from(init.size.0) << 16);
                out.put_u32(u32::from(init.size.1) << 16);
            });
            mdia(out, init, duration, table);
        });
        if fragmented {
            boxed(out, b"mvex", |out| {
                full(out, b"trex", 0, 0, |out| [TRACK, 1, 0, 0, 0].iter().for_each(|v| out.put_u32(*v)));
            });
        }
    });
}

fn mdia(out: &mut Vec<u8>, init: &Init, duration: u64, table: &SampleTable) {
    boxed(out, b"mdia", |out| {
        full(out, b"mdhd", 1, 0, |out| {
            out.put_bytes(0, 16);
            out.put_u32(TICKS as u32);
            out.put_u64(duration);
            out.put_u16(0x55c4); // und
            out.put_u16(0);
        });
        full(out, b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.put_slice(b"vide");
            out.put_bytes(0, 12);
            out.put_slice(b"video\0");
        });
        boxed(out, b"minf", |out| {
            full(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8));
            boxed(out, b"dinf", |out| {
                full(out, b"dref", 0, 0, |out| {
                    out.put_u32(1);
                    full(out, b"url ", 0, 1, |_| {});
                });
            });
            boxed(out, b"stbl", |out| stbl(out, init, table));
        });
    });
}

fn stbl(out: &mut Vec<u8>, init: &Init, table: &SampleTable) {
    full(out, b"stsd", 0, 0, |out| {
        out.put_u32(1);
        sample_entry(out, init);
    });
    full(out, b"stts", 0, 0, |out| runs(out, &table.durations));
    if !table.offsets.is_empty() {
        full(out, b"ctts", 0, 0, |out| runs(out, &table.offsets));
    }
    if !table.keys.is_empty() {
        full(out, b"stss", 0, 0, |out| {
            out.put_u32(table.keys.len() as u32);
            table.keys.iter().for_each(|k| out.put_u32(*k));
        });
    }
    full(out, b"stsc", 0, 0, |out| {
        // All samples in one chunk.
        if table.sizes.is_empty() {
            out.put_u32(0);
        } else {
            [1, 1, table.sizes.len() as u32, 1].iter().for_each(|v| out.put_u32(*v));
        }
    });
    full(out, b"stsz", 0, 0, |out| {
        out.put_u32(0);
        out.put_u32(table.sizes.len() as u32);
        table.sizes.iter().for_each(|s| out.put_u32(*s));
    });
    full(out, b"stco", 0, 0, |out| {
        if table.sizes.is_empty() {
            out.put_u32(0);
        } else {
            out.put_u32(1);
            out.put_u32(table.offset);
        }
    });
}

/// Number of runs, then length and value of each.
fn runs(out: &mut Vec<u8>, values: &[u32]) {
    let runs: Vec<_> = values.chunk_by(|a, b| a == b).collect();
    out.put_u32(runs.len() as u32);
    for run in runs {
        out.put_u32(run.len() as u32);
        out.put_u32(run.first().copied().unwrap_or(0));
    }
}

fn sample_entry(out: &mut Vec<u8>, init: &Init) {
    boxed(out, b"avc1", |out| {
        out.put_bytes(0, 6);
        out.put_u16(1);
        out.put_bytes(0, 16);
        out.put_u16(init.size.0);
        out.put_u16(init.size.1);
        out.put_u32(0x48_0000);
        out.put_u32(0x48_0000);
        out.put_u32(0);
        out.put_u16(1);
        out.put_bytes(0, 32);
        out.put_u16(0x18);
        out.put_u16(0xffff);
        boxed(out, b"avcC", |out| out.put_slice(&avcc(&init.sps, &init.pps)));
    });
}

/// The decoder configuration record: 4-byte lengths, one set of each kind.
pub(crate) fn avcc(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + sps.len() + pps.len());
    out.put_u8(1);
    out.put_slice(sps.get(1..4).unwrap_or(&[0x42, 0, 0x1e]));
    out.put_u8(0xff);
    out.put_u8(0xe1);
    out.put_u16(sps.len() as u16);
    out.put_slice(sps);
    out.put_u8(1);
    out.put_u16(pps.len() as u16);
    out.put_slice(pps);
    if matches!(sps.get(1), Some(100 | 110 | 122 | 144)) {
        // 4:2:0, 8 bit; other layouts do not come from cameras.
        out.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
    out
}

/// One frame as `moof` + `mdat`, decoded at `dts` and shown `offset` later; the access unit starts at
/// [`FRAGMENT_HEADER`].
pub(crate) fn fragment(sequence: u32, dts: i64, offset: u32, duration: u32, key: bool, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(FRAGMENT_HEADER + data.len());
    let size = data.len() as u32;
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        boxed(out, b"traf", |out| {
            // default-base-is-moof; duration, size and flags of the one sample are defaults.
            full(out, b"tfhd", 0, 0x02_0038, |out| {
                [TRACK, duration, size, if key { KEY } else { DELTA }].iter().for_each(|v| out.put_u32(*v));
            });
            full(out, b"tfdt", 1, 0, |out| out.put_u64(dts.max(0) as u64));
            full(out, b"trun", 0, 0x801, |out| {
                [1, FRAGMENT_HEADER as u32, offset].iter().for_each(|v| out.put_u32(*v));
            });
        });
    });
    out.put_u32(size + 8);
    out.put_slice(b"mdat");
    debug_assert_eq!(out.len(), FRAGMENT_HEADER);
    out.put_slice(data);
    out.into()
}

/// A whole file that starts to play, and seeks, at once. `samples` start with a key frame; empty gives `None`.
pub(crate) fn progressive(init: &Init, samples: &[Sample]) -> Option<Bytes> {
    let durations = durations(samples)?;
    let total: u64 = durations.iter().map(|d| u64::from(*d)).sum();
    let reordered = samples.iter().any(|s| s.offset > 0);
    let mut table = SampleTable {
        durations,
        offsets: samples.iter().filter(|_| reordered).map(|s| s.offset).collect(),
        sizes: samples.iter().map(|s| s.data.len() as u32).collect(),
        keys: samples.iter().zip(1..).filter(|(s, _)| s.key).map(|(_, n)| n).collect(),
        offset: 0,
    };
    let payload: usize = samples.iter().map(|s| s.data.len()).sum();
    let head = |table: &SampleTable| {
        let mut out = Vec::with_capacity(4096 + samples.len() * 16 + payload);
        file_type(&mut out, b"isom", &[b"isom", b"iso2", b"avc1", b"mp41"]);
        moov(&mut out, init, total, table);
        out
    };
    // The offset has a fixed width, so the first pass gives the length of the head.
    table.offset = head(&table).len() as u32 + 8;
    let mut out = head(&table);
    out.put_u32(u32::try_from(payload + 8).ok()?);
    out.put_slice(b"mdat");
    samples.iter().for_each(|s| out.put_slice(&s.data));
    Some(out.into())
}

/// Each sample lasts until the next; the last as long as the one before.
fn durations(samples: &[Sample]) -> Option<Vec<u32>> {
    let mut all: Vec<u32> =
        samples.windows(2).filter_map(|w| u32::try_from(w.get(1)?.dts - w.first()?.dts).ok()).collect();
    let last = all.last().copied().unwrap_or(TICKS as u32 / 15);
    all.push(last);
    (all.len() == samples.len()).then_some(all)
}
