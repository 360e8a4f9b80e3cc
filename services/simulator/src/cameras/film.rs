//! Films: what the encoder made, cut into NALs, kept in a file, and packed into RTP packets for sending.
//!
//! A take on disk is read with every length checked; a damaged file is as good as none. `Take::read` and `write` block.

use std::{
    io::{self, Read as _, Write as _},
    path::Path,
};

use super::{Codec, Error, bits::split_annex_b, encode::GOP, h264, h265, packet::Packets};

/// Shape of a stream. Heights in pixels: of the encoded picture, of the picture with the strip, of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Size {
    /// The sub stream.
    Sub,
    /// The main stream.
    Main,
    /// What a camera changes to when its parameters change.
    Alt,
}

impl Size {
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::Sub => 640,
            Self::Main => 1280,
            Self::Alt => 480,
        }
    }
    /// Lines of the encoded film.
    pub(crate) const fn film(self) -> usize {
        match self {
            Self::Sub => 336,
            Self::Main => 672,
            Self::Alt => 256,
        }
    }
    /// Lines with the strip, whole macroblocks.
    pub(crate) const fn coded(self) -> usize {
        match self {
            Self::Sub => 368,
            Self::Main => 720,
            Self::Alt => 272,
        }
    }
    /// Lines on a screen.
    pub(crate) const fn shown(self) -> usize {
        match self {
            Self::Sub => 360,
            Self::Main => 720,
            Self::Alt => 272,
        }
    }
    const fn kbps(self, codec: Codec) -> u32 {
        match (self, codec) {
            (Self::Sub, _) => 400,
            (Self::Main, Codec::H264) => 1000,
            (Self::Main, Codec::H265) => 700,
            (Self::Alt, _) => 300,
        }
    }
    pub(crate) const fn rate(self, codec: Codec) -> u32 {
        self.kbps(codec)
    }
}

/// NALs of an encoding: parameter sets, and the slices of each frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Take {
    pub(crate) codec: Codec,
    pub(crate) size: Size,
    /// As encoded, without the strip: SPS, PPS, or VPS, SPS, PPS.
    pub(crate) params: Vec<Vec<u8>>,
    /// One slice a frame.
    pub(crate) frames: Vec<Vec<u8>>,
}

const MAGIC: &[u8; 8] = b"MJFILM03";
const MAX_NAL: u32 = 4 << 20;
const MAX_NALS: u32 = 4096;

impl Take {
    /// Cuts the access units of an encoder.
    pub(crate) fn cut(codec: Codec, size: Size, units: &[Vec<u8>]) -> Result<Self, Error> {
        let mut params: Vec<Vec<u8>> = Vec::new();
        let mut frames = Vec::new();
        for (number, unit) in units.iter().enumerate() {
            let mut slices = Vec::new();
            for nal in split_annex_b(unit) {
                match codec.kind(nal) {
                    // Some encoders write them twice at the start; the later ones hold.
                    Kind::Params if frames.is_empty() => {
                        params.retain(|p| p.first() != nal.first());
                        params.push(nal.to_vec());
                    }
                    Kind::Slice => slices.push(nal.to_vec()),
                    _ => {}
                }
            }
            let one = <[Vec<u8>; 1]>::try_from(slices).map_err(|s| {
                let nals: Vec<_> = split_annex_b(unit).iter().map(|n| (n.first().copied(), n.len())).collect();
                Error::Stream(format!("{} slices in picture {number}: {nals:?}", s.len()))
            })?;
            frames.extend(one);
        }
        let wanted = if codec == Codec::H264 { 2 } else { 3 };
        if params.len() != wanted {
            return Err(Error::Stream(format!("{} parameter sets", params.len())));
        }
        Ok(Self { codec, size, params, frames })
    }

    /// Reads a file; `None` when it is missing, damaged or of another shape.
    pub(crate) fn read(path: &Path, codec: Codec, size: Size) -> Option<Self> {
        let mut file = io::BufReader::new(std::fs::File::open(path).ok()?);
        let mut magic = [0; 8];
        file.read_exact(&mut magic).ok()?;
        if &magic != MAGIC {
            return None;
        }
        let params = read_list(&mut file)?;
        let frames = read_list(&mut file)?;
        (!frames.is_empty()).then_some(Self { codec, size, params, frames })
    }

    /// Writes the file beside its place, then moves it there.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
        let mut file = io::BufWriter::new(std::fs::File::create(&beside)?);
        file.write_all(MAGIC)?;
        for list in [&self.params, &self.frames] {
            write_length(&mut file, list.len())?;
            for nal in list {
                write_length(&mut file, nal.len())?;
                file.write_all(nal)?;
            }
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(beside, path)
    }
}

fn write_length(file: &mut impl io::Write, length: usize) -> io::Result<()> {
    file.write_all(&u32::try_from(length).map_err(io::Error::other)?.to_be_bytes())
}

fn read_length(file: &mut impl io::Read, limit: u32) -> Option<usize> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes).ok()?;
    let length = u32::from_be_bytes(bytes);
    (length <= limit).then_some(length as usize)
}

fn read_list(file: &mut impl io::Read) -> Option<Vec<Vec<u8>>> {
    (0..read_length(file, MAX_NALS)?)
        .map(|_| {
            let mut nal = vec![0; read_length(file, MAX_NAL)?];
            file.read_exact(&mut nal).ok()?;
            Some(nal)
        })
        .collect()
}

/// What a NAL is to us.
pub(crate) enum Kind {
    Params,
    Slice,
    Other,
}

impl Codec {
    fn kind(self, nal: &[u8]) -> Kind {
        let head = nal.first().copied().unwrap_or(0);
        match self {
            Self::H264 => match head & 0x1f {
                7 | 8 => Kind::Params,
                1 | 5 => Kind::Slice,
                _ => Kind::Other,
            },
            Self::H265 => match head >> 1 & 0x3f {
                32..=34 => Kind::Params,
                0..=31 => Kind::Slice,
                _ => Kind::Other,
            },
        }
    }
}

/// One frame ready to send.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    /// The picture without the strip; a key frame begins with the parameter sets.
    pub(crate) picture: Packets,
    /// The strip as it was; empty for a key frame, which takes the camera's own.
    pub(crate) strip: Packets,
    /// The whole picture as it was; empty for a key frame.
    pub(crate) frozen: Packets,
}

/// A loop ready to send.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) codec: Codec,
    pub(crate) size: Size,
    /// Parameter sets of the stream as sent.
    pub(crate) params: Vec<Vec<u8>>,
    pub(crate) shots: Vec<Shot>,
}

impl Film {
    /// Packs a take. Main streams send their parameter sets in one packet, subs one by one.
    pub(crate) fn pack(take: &Take) -> Result<Self, Error> {
        let (codec, size) = (take.codec, take.size);
        let writer = Writer::new(take)?;
        let mut shots = Vec::with_capacity(take.frames.len());
        for (index, slice) in take.frames.iter().enumerate() {
            let key = index.is_multiple_of(GOP as usize);
            let mut picture = Packets::default();
            if key && size == Size::Main {
                picture.push_together(codec, &writer.params);
            } else if key {
                writer.params.iter().for_each(|p| picture.push(codec, p));
            }
            let made = writer.slices(slice, key, (index / GOP as usize % 2) as u32)?;
            picture.push(codec, &made.picture);
            let optional = |nal: Option<Vec<u8>>| Packets::of(codec, nal.as_slice());
            shots.push(Shot { picture, strip: optional(made.strip), frozen: optional(made.frozen) });
        }
        if shots.is_empty() || !shots.len().is_multiple_of(GOP as usize) {
            return Err(Error::Stream(format!("a film of {} frames", shots.len())));
        }
        Ok(Self { codec, size, params: writer.params, shots })
    }

    pub(crate) fn frames(&self) -> usize {
        self.shots.len()
    }
}

/// The strips of all cameras for one kind of stream: for even and odd key frames.
#[derive(Debug)]
pub(crate) struct Strips {
    strips: Vec<[Packets; 2]>,
}

impl Strips {
    /// Packs strips so that they fit below the pictures of `film`.
    pub(crate) fn pack(strips: &Take, film: &Take) -> Result<Self, Error> {
        let writer = Writer::new(film)?;
        let below = Writer::bare(strips)?;
        let strips = strips
            .frames
            .iter()
            .map(|nal| {
                let side = |odd| writer.strip(&below, nal, odd).map(|nal| Packets::of(film.codec, &[nal]));
                Ok([side(0)?, side(1)?])
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { strips })
    }
    /// The strip of the camera at `index` for the key frame of group `gop`.
    pub(crate) fn get(&self, index: usize, gop: usize) -> Option<&Packets> {
        self.strips.get(index).map(|s| &s[gop % 2])
    }
}

struct Made {
    picture: Vec<u8>,
    strip: Option<Vec<u8>>,
    frozen: Option<Vec<u8>>,
}

/// Writes the slices that the encoder did not.
struct Writer {
    size: Size,
    params: Vec<Vec<u8>>,
    kind: Rules,
}

enum Rules {
    H264(h264::Params),
    H265(h265::Params),
}

impl Writer {
    /// For a take as it was encoded.
    fn bare(take: &Take) -> Result<Self, Error> {
        let wrong = || Error::Stream("parameter sets are not as our encoders write them".to_owned());
        let kind = match (take.codec, take.params.as_slice()) {
            (Codec::H264, [sps, pps]) => Rules::H264(h264::params(sps, pps).ok_or_else(wrong)?),
            (Codec::H265, [_, sps, pps]) => Rules::H265(h265::params(sps, pps).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(Self { size: take.size, params: take.params.clone(), kind })
    }

    /// For the take with the strip below.
    fn new(take: &Take) -> Result<Self, Error> {
        let mut writer = Self::bare(take)?;
        let wrong = || Error::Stream("the SPS cannot be made taller".to_owned());
        let size = take.size;
        let cropped = (size.coded() - size.shown()) as u32;
        let at = if take.codec == Codec::H264 { 0 } else { 1 };
        let sps = writer.params.get_mut(at).ok_or_else(wrong)?;
        *sps = match take.codec {
            Codec::H264 => h264::taller_sps(sps, size.coded() as u32 / 16, cropped),
            Codec::H265 => h265::taller_sps(sps, size.coded() as u32, cropped),
        }
        .ok_or_else(wrong)?;
        Ok(writer)
    }

    fn blocks(&self) -> (u32, u32) {
        let columns = (self.size.width() / 16) as u32;
        (columns * (self.size.film() / 16) as u32, columns * (self.size.coded() / 16) as u32)
    }

    fn slices(&self, slice: &[u8], key: bool, odd: u32) -> Result<Made, Error> {
        let wrong = || Error::Stream("a slice is not as our encoders write them".to_owned());
        let (film, all) = self.blocks();
        match &self.kind {
            Rules::H264(p) => {
                let head = h264::slice(slice, p).filter(|s| s.idr == key).ok_or_else(wrong)?;
                let skip = |first, count| h264::skipped_slice(p, head.ref_idc, head.frame_num, first, count);
                let picture =
                    if key { h264::moved_slice(slice, p, p, 0, odd).ok_or_else(wrong)? } else { slice.to_vec() };
                let strip = (!key).then(|| skip(film, all - film));
                Ok(Made { picture, strip, frozen: (!key).then(|| skip(0, all)) })
            }
            Rules::H265(p) => {
                let shape = h265::Shape { columns: (self.size.width() / 16) as u32, blocks: all };
                let skip = |first, count| h265::skipped_slice(slice, p, first, count, shape);
                let made = if key { (None, None) } else { (skip(film, all - film), skip(0, all)) };
                if !h265::as_expected(slice, p, key) || (!key && made.0.is_none()) {
                    return Err(wrong());
                }
                Ok(Made { picture: slice.to_vec(), strip: made.0, frozen: made.1 })
            }
        }
    }

    fn strip(&self, below: &Self, nal: &[u8], odd: u32) -> Result<Vec<u8>, Error> {
        let (film, all) = self.blocks();
        match (&self.kind, &below.kind) {
            (Rules::H264(to), Rules::H264(from)) => h264::moved_slice(nal, from, to, film, odd),
            (Rules::H265(to), Rules::H265(from)) => h265::moved_slice(nal, from, to, film, all),
            _ => None,
        }
        .ok_or_else(|| Error::Stream("a strip is not as our encoders write them".to_owned()))
    }
}
