//! Makes thumbnails from a decoded picture of 640 × 360, planar 4:2:0. Pure.

use crate::diagnose::LUMA_SIZE;

use super::protocol::TILE;

/// Size that every picture is scaled to.
pub(super) const STILL: (usize, usize) = (640, 360);
/// Bytes of such a picture.
pub(super) const STILL_BYTES: usize = STILL.0 * STILL.1 * 3 / 2;

/// Mean of boxes of `factor` × `factor`.
fn shrink(plane: &[u8], width: usize, factor: usize, out: &mut Vec<u8>) {
    let columns = width / factor;
    let area = (factor * factor) as u32;
    let mut sums = vec![0u32; columns];
    for band in plane.chunks_exact(width * factor) {
        sums.fill(0);
        for row in band.chunks_exact(width) {
            for (sum, cells) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                *sum += cells.iter().map(|v| u32::from(*v)).sum::<u32>();
            }
        }
        out.extend(sums.iter().map(|s| ((s + area / 2) / area) as u8));
    }
}

/// Video leaves room below black and above white; JPEG does not.
pub(super) fn to_full_range(planes: &mut [u8]) {
    let luma: [u8; 256] = std::array::from_fn(|v| (((v as i32 - 16) * 255 + 109) / 219).clamp(0, 255) as u8);
    let chroma: [u8; 256] = std::array::from_fn(|v| (((v as i32 - 128) * 255) / 224 + 128).clamp(0, 255) as u8);
    let split = planes.len() * 2 / 3;
    for (i, value) in planes.iter_mut().enumerate() {
        let table = if i < split { &luma } else { &chroma };
        *value = table.get(usize::from(*value)).copied().unwrap_or(*value);
    }
}

/// The tile of the sheet.
pub(super) fn tile(planes: &[u8]) -> Vec<u8> {
    let factor = STILL.0 / TILE.0;
    let (luma, chroma) = planes.split_at(STILL.0 * STILL.1);
    let mut out = Vec::with_capacity(TILE.0 * TILE.1 * 3 / 2);
    shrink(luma, STILL.0, factor, &mut out);
    shrink(chroma, STILL.0 / 2, factor, &mut out);
    out
}

/// The grey thumbnail.
pub(super) fn luma(planes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(LUMA_SIZE.0 * LUMA_SIZE.1);
    let (luma, _) = planes.split_at(STILL.0 * STILL.1);
    shrink(luma, STILL.0, STILL.0 / LUMA_SIZE.0, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode::protocol::TILE_BYTES, diagnose::LUMA_BYTES};

    #[test]
    fn thumbnails_have_their_size_and_keep_places() {
        let mut planes = vec![100u8; STILL_BYTES];
        for row in 0..80 {
            planes[row * STILL.0..row * STILL.0 + 160].fill(200); // upper left
        }
        let (tile, luma) = (tile(&planes), luma(&planes));
        assert_eq!((tile.len(), luma.len()), (TILE_BYTES, LUMA_BYTES));
        assert_eq!((tile[0], tile[39], tile[40], tile[160 * 19], tile[160 * 20]), (200, 200, 100, 200, 100));
        assert_eq!((luma[0], luma[15], luma[16], luma[64 * 7], luma[64 * 8]), (200, 200, 100, 200, 100));
    }

    #[test]
    fn full_range_spreads_black_and_white() {
        let mut planes = [16, 235, 126, 128, 128, 240];
        to_full_range(&mut planes);
        assert_eq!(planes[..2], [0, 255]);
        assert_eq!(planes[4], 128);
    }
}
