//! What parent and child say to each other: a 4-byte length, a kind, a body. Both sides bound the length. Pure.

use bytes::{Buf, BufMut};

use crate::diagnose::LUMA_BYTES;

/// Pixels of a tile of the sheet.
pub(crate) const TILE: (usize, usize) = (160, 90);
/// Bytes of a tile, planar 4:2:0.
pub(crate) const TILE_BYTES: usize = TILE.0 * TILE.1 * 3 / 2;
/// Longest message: a 4K key frame, or a raw sheet of some 700 tiles.
pub(super) const MAX_MESSAGE: usize = 16 << 20;

/// To the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Decode a key frame.
    Picture {
        /// Also wants a still of 640 × 360.
        still: bool,
        /// Sequence parameter set.
        sps: Vec<u8>,
        /// Picture parameter set.
        pps: Vec<u8>,
        /// 4-byte lengths.
        access_unit: Vec<u8>,
    },
    /// Encode raw planar 4:2:0 as JPEG.
    Sheet {
        /// Pixels, multiples of 8.
        width: u16,
        /// Pixels, even.
        height: u16,
        /// All planes.
        planes: Vec<u8>,
    },
    /// Try to open a socket and a file.
    Probe,
}

/// A decoded key frame, full range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Grey thumbnail for the diagnosis.
    pub luma: Vec<u8>,
    /// Digest of all pixels.
    pub print: u64,
    /// Tile of the sheet, planar 4:2:0.
    pub tile: Vec<u8>,
    /// JPEG of 640 × 360, empty unless asked for.
    pub still: Vec<u8>,
}

/// From the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Up, confined, waiting.
    Ready,
    /// Decoded.
    Picture(Picture),
    /// Encoded.
    Jpeg(Vec<u8>),
    /// The picture cannot be decoded; the child goes on.
    Undecodable,
    /// Whether both were denied.
    Probed(bool),
    /// The child cannot work at all, and why.
    Broken(String),
}

fn framed(kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, kind];
    body(&mut out);
    let len = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(..4) {
        head.copy_from_slice(&len.to_be_bytes());
    }
    out
}

fn take(body: &mut &[u8], len: usize) -> Option<Vec<u8>> {
    let (head, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(head.to_vec())
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Picture { still, sps, pps, access_unit } => framed(1, |out| {
                out.put_u8(u8::from(*still));
                out.put_u16(sps.len() as u16);
                out.put_u16(pps.len() as u16);
                out.put_slice(sps);
                out.put_slice(pps);
                out.put_slice(access_unit);
            }),
            Self::Sheet { width, height, planes } => framed(2, |out| {
                out.put_u16(*width);
                out.put_u16(*height);
                out.put_slice(planes);
            }),
            Self::Probe => framed(3, |_| {}),
        }
    }

    /// Of a message without its length.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let (kind, mut body) = message.split_first()?;
        match kind {
            1 => {
                let still = body.try_get_u8().ok()? == 1;
                let (sps, pps) = (body.try_get_u16().ok()?, body.try_get_u16().ok()?);
                let (sps, pps) = (take(&mut body, sps.into())?, take(&mut body, pps.into())?);
                Some(Self::Picture { still, sps, pps, access_unit: body.to_vec() })
            }
            2 => {
                let (width, height) = (body.try_get_u16().ok()?, body.try_get_u16().ok()?);
                let pixels = usize::from(width) * usize::from(height);
                let fits = width % 8 == 0 && height % 2 == 0 && pixels > 0 && body.len() == pixels * 3 / 2;
                fits.then(|| Self::Sheet { width, height, planes: body.to_vec() })
            }
            3 => Some(Self::Probe),
            _ => None,
        }
    }
}

impl Reply {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => framed(0, |_| {}),
            Self::Picture(picture) => framed(1, |out| {
                out.put_u64(picture.print);
                out.put_slice(&picture.luma);
                out.put_slice(&picture.tile);
                out.put_slice(&picture.still);
            }),
            Self::Jpeg(jpeg) => framed(2, |out| out.put_slice(jpeg)),
            Self::Undecodable => framed(3, |_| {}),
            Self::Probed(denied) => framed(4, |out| out.put_u8(u8::from(*denied))),
            Self::Broken(why) => framed(5, |out| out.put_slice(why.as_bytes())),
        }
    }

    /// Of a message without its length.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let (kind, mut body) = message.split_first()?;
        match kind {
            0 => Some(Self::Ready),
            1 => {
                let print = body.try_get_u64().ok()?;
                let (luma, tile) = (take(&mut body, LUMA_BYTES)?, take(&mut body, TILE_BYTES)?);
                Some(Self::Picture(Picture { luma, print, tile, still: body.to_vec() }))
            }
            2 => Some(Self::Jpeg(body.to_vec())),
            3 => Some(Self::Undecodable),
            4 => Some(Self::Probed(body.first() == Some(&1))),
            5 => Some(Self::Broken(String::from_utf8_lossy(body).into_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..50)
    }

    proptest! {
        #[test]
        fn requests_round_trip(still in any::<bool>(), sps in bytes(), pps in bytes(), access_unit in bytes()) {
            let request = Request::Picture { still, sps, pps, access_unit };
            let encoded = request.encode();
            prop_assert_eq!(encoded[..4].to_vec(), (encoded.len() as u32 - 4).to_be_bytes());
            prop_assert_eq!(Request::decode(&encoded[4..]), Some(request));
        }
        #[test]
        fn replies_round_trip(fill in any::<u8>(), print in any::<u64>(), still in bytes()) {
            let reply = Reply::Picture(Picture { luma: vec![fill; LUMA_BYTES], print, tile: vec![fill; TILE_BYTES], still });
            prop_assert_eq!(Reply::decode(&reply.encode()[4..]), Some(reply));
        }
        #[test]
        fn garbage_is_refused_quietly(message in bytes()) {
            let _ = (Request::decode(&message), Reply::decode(&message));
        }
    }
}
