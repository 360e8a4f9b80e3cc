//! Photos from phones: decoded, turned upright, and written anew, so that neither position nor device data of the
//! original is kept and nothing but a picture is ever stored.

use std::{
    collections::{HashMap, VecDeque},
    io::Cursor,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use domain::ids::BlobId;
use image::{
    DynamicImage, ImageDecoder, Limits,
    codecs::jpeg::{JpegDecoder, JpegEncoder},
};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Longest side, pixels.
const MAX_SIDE: u32 = 10_000;
/// Memory of one picture, bytes.
const MAX_MEMORY: u64 = 192 << 20;
/// Pictures worked on at once.
const AT_ONCE: usize = 2;
/// Quality of what is kept.
const QUALITY: u8 = 85;
/// Uploads remembered for their repetition.
const REMEMBERED: usize = 1_024;

type Known = (HashMap<(String, String), ([u8; 32], BlobId)>, VecDeque<(String, String)>);

/// The work bench.
pub(crate) struct Photos {
    slots: Semaphore,
    known: Mutex<Known>,
}

impl Photos {
    pub(crate) fn new() -> Self {
        Self { slots: Semaphore::new(AT_ONCE), known: Mutex::default() }
    }

    /// The picture as it is kept.
    pub(crate) async fn clean(&self, jpeg: Bytes) -> Result<Bytes, Problem> {
        let _slot = self.slots.acquire().await.map_err(|_| Problem::busy())?;
        let work = tokio::task::spawn_blocking(move || rewrite(&jpeg));
        work.await.unwrap_or(None).ok_or(Problem::bad_picture())
    }

    /// What an upload under this key led to; a problem when it was another picture.
    pub(crate) fn known(&self, key: &(String, String), hash: &[u8; 32]) -> Result<Option<BlobId>, Problem> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.0.get(key) {
            Some((before, _)) if before != hash => Err(Problem::key_reused()),
            Some((_, blob)) => Ok(Some(blob.clone())),
            None => Ok(None),
        }
    }

    /// Remembers an upload. What falls out is stored again on repetition; the copy that no feedback names is swept.
    pub(crate) fn remember(&self, key: (String, String), hash: [u8; 32], blob: BlobId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.insert(key.clone(), (hash, blob)).is_none() {
            known.1.push_back(key);
        }
        while known.1.len() > REMEMBERED {
            if let Some(old) = known.1.pop_front() {
                known.0.remove(&old);
            }
        }
    }
}

fn rewrite(jpeg: &[u8]) -> Option<Bytes> {
    let mut decoder = JpegDecoder::new(Cursor::new(jpeg)).ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_MEMORY);
    decoder.set_limits(limits).ok()?;
    if decoder.total_bytes() > MAX_MEMORY {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    picture.apply_orientation(orientation);
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, QUALITY).encode_image(&picture.to_rgb8()).ok()?;
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let picture =
            image::RgbImage::from_fn(width, height, |x, _| image::Rgb([u8::try_from(x % 256).unwrap(), 0, 9]));
        JpegEncoder::new(&mut out).encode_image(&picture).unwrap();
        out
    }

    /// `jpeg` with an EXIF block that says "turn by 90°" and carries a secret.
    fn with_exif(jpeg: &[u8]) -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        tiff.extend_from_slice(b"27.33N 103.72E");
        let mut exif = b"Exif\0\0".to_vec();
        exif.extend(tiff);
        let mut out = jpeg[..2].to_vec();
        out.extend([0xFF, 0xE1]);
        out.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
        out.extend(exif);
        out.extend(&jpeg[2..]);
        out
    }

    #[test]
    fn upright_and_without_exif() {
        let kept = rewrite(&with_exif(&jpeg(64, 32))).unwrap();
        assert!(!kept.windows(6).any(|w| w == b"103.72" || w == b"Exif\0\0"));
        let size = JpegDecoder::new(Cursor::new(&kept[..])).unwrap().dimensions();
        assert_eq!(size, (32, 64));
    }

    #[test]
    fn only_whole_pictures() {
        assert!(rewrite(b"no picture").is_none());
        assert!(rewrite(b"").is_none());
        assert!(rewrite(b"\x89PNG\r\n\x1a\n").is_none());
    }
}
