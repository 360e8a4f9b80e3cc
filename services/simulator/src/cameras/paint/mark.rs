//! What is written into the picture: the strip with the camera's name, and the loop position in digits and as cells
//! that a machine reads. A 5×7 bitmap font, no font file.
//!
//! The mark stands in the upper left corner of every picture of a marked film: a black box, in it a row of `MARK_CELLS` square cells
//! (white = 1) and under it the digits. Cells: `1 0`, nine bits of the position (most significant first), parity (even
//! over the nine), `0 1`. A cell is width/80 pixels wide (8 at 640, 16 at 1280) and the first begins one cell from the
//! left and one from the top.

use super::{Canvas, Ink};

/// Cells of the machine-readable mark.
pub const MARK_CELLS: usize = 14;
const POSITION_BITS: u32 = 9;

const GLYPHS: [(char, [u8; 7]); 38] = [
    ('0', [14, 17, 19, 21, 25, 17, 14]),
    ('1', [4, 12, 4, 4, 4, 4, 14]),
    ('2', [14, 17, 1, 6, 8, 16, 31]),
    ('3', [14, 17, 1, 6, 1, 17, 14]),
    ('4', [2, 6, 10, 18, 31, 2, 2]),
    ('5', [31, 16, 30, 1, 1, 17, 14]),
    ('6', [6, 8, 16, 30, 17, 17, 14]),
    ('7', [31, 1, 2, 4, 8, 8, 8]),
    ('8', [14, 17, 17, 14, 17, 17, 14]),
    ('9', [14, 17, 17, 15, 1, 2, 12]),
    ('A', [14, 17, 17, 31, 17, 17, 17]),
    ('B', [30, 17, 17, 30, 17, 17, 30]),
    ('C', [14, 17, 16, 16, 16, 17, 14]),
    ('D', [30, 17, 17, 17, 17, 17, 30]),
    ('E', [31, 16, 16, 30, 16, 16, 31]),
    ('F', [31, 16, 16, 30, 16, 16, 16]),
    ('G', [14, 17, 16, 23, 17, 17, 15]),
    ('H', [17, 17, 17, 31, 17, 17, 17]),
    ('I', [14, 4, 4, 4, 4, 4, 14]),
    ('J', [7, 2, 2, 2, 2, 18, 12]),
    ('K', [17, 18, 20, 24, 20, 18, 17]),
    ('L', [16, 16, 16, 16, 16, 16, 31]),
    ('M', [17, 27, 21, 21, 17, 17, 17]),
    ('N', [17, 25, 21, 19, 17, 17, 17]),
    ('O', [14, 17, 17, 17, 17, 17, 14]),
    ('P', [30, 17, 17, 30, 16, 16, 16]),
    ('Q', [14, 17, 17, 17, 21, 18, 13]),
    ('R', [30, 17, 17, 30, 20, 18, 17]),
    ('S', [15, 16, 16, 14, 1, 1, 30]),
    ('T', [31, 4, 4, 4, 4, 4, 4]),
    ('U', [17, 17, 17, 17, 17, 17, 14]),
    ('V', [17, 17, 17, 17, 17, 10, 4]),
    ('W', [17, 17, 17, 21, 21, 27, 17]),
    ('X', [17, 17, 10, 4, 10, 17, 17]),
    ('Y', [17, 17, 10, 4, 4, 4, 4]),
    ('Z', [31, 1, 2, 4, 8, 16, 31]),
    ('-', [0, 0, 0, 31, 0, 0, 0]),
    ('/', [1, 1, 2, 4, 8, 16, 16]),
];

/// Writes `text`; letters that the font lacks leave a space. Returns the width.
pub(super) fn write(canvas: &mut Canvas, text: &str, x: usize, y: usize, scale: usize, ink: Ink) -> usize {
    for (index, letter) in text.chars().enumerate() {
        let Some((_, rows)) = GLYPHS.iter().find(|(c, _)| *c == letter.to_ascii_uppercase()) else { continue };
        for (down, row) in rows.iter().enumerate() {
            for right in (0..5).filter(|bit| row >> (4 - bit) & 1 == 1) {
                let (left, top) = (x + (index * 6 + right) * scale, y + down * scale);
                canvas.rect(left as f32, top as f32, scale as f32, scale as f32, ink, 1.0);
            }
        }
    }
    text.chars().count() * 6 * scale
}

/// The strip of one camera: `width` × `height`, its name on the calm ground that films end with.
pub(crate) fn strip(name: &str, width: usize, height: usize, shown: usize) -> Canvas {
    let mut canvas = Canvas::new(width, height, Ink::BLACK);
    let scale = (shown / 12).max(1);
    let top = shown.saturating_sub(7 * scale) / 2;
    write(&mut canvas, name, 8 * scale, top, scale, Ink::grey(210));
    canvas
}

fn cells(position: u16) -> [bool; MARK_CELLS] {
    let mut cells = [false; MARK_CELLS];
    cells[0] = true;
    let value = u32::from(position) & ((1 << POSITION_BITS) - 1);
    for bit in 0..POSITION_BITS {
        cells[2 + bit as usize] = value >> (POSITION_BITS - 1 - bit) & 1 == 1;
    }
    cells[11] = value.count_ones() % 2 == 1;
    cells[13] = true;
    cells
}

/// Writes position and loop length into the upper left corner.
pub(crate) fn write_mark(canvas: &mut Canvas, position: u16, frames: u16) {
    let cell = canvas.width / 80;
    let box_width = (MARK_CELLS + 2) * cell;
    canvas.rect(0.0, 0.0, box_width as f32, (cell * 5) as f32, Ink::BLACK, 1.0);
    for (index, _) in cells(position).iter().enumerate().filter(|(_, on)| **on) {
        let left = (1 + index) * cell;
        canvas.rect(left as f32, cell as f32, cell as f32, cell as f32, Ink::grey(230), 1.0);
    }
    let scale = (cell / 4).max(1);
    let text = format!("{position:03}/{frames:03}");
    write(canvas, &text, cell, cell * 5 / 2, scale, Ink::grey(210));
}

/// Reads the loop position from the luma of a decoded picture; `None` when there is no mark or it is damaged.
pub fn read_mark(luma: &[u8], stride: usize, width: usize) -> Option<u16> {
    let cell = width / 80;
    let bit = |index: usize| {
        let (x, y) = ((1 + index) * cell + cell / 2, cell + cell / 2);
        luma.get(y * stride + x).map(|value| *value > 120)
    };
    let mut read = [false; MARK_CELLS];
    for (index, value) in read.iter_mut().enumerate() {
        *value = bit(index)?;
    }
    let position = read[2..11].iter().fold(0u16, |value, bit| value << 1 | u16::from(*bit));
    (read == cells(position)).then_some(position)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_position_is_read_back_at_both_sizes() {
        for (width, height) in [(640, 336), (1280, 672), (480, 256)] {
            for position in 0..300 {
                let mut canvas = Canvas::new(width, height, Ink::grey(200));
                write_mark(&mut canvas, position, 300);
                assert_eq!(read_mark(&canvas.data, width, width), Some(position));
            }
        }
    }

    #[test]
    fn a_damaged_mark_is_not_read() {
        let mut canvas = Canvas::new(640, 336, Ink::grey(200));
        assert_eq!(read_mark(&canvas.data, 640, 640), None);
        write_mark(&mut canvas, 5, 300);
        canvas.rect(24.0, 8.0, 8.0, 8.0, Ink::grey(230), 1.0);
        assert_eq!(read_mark(&canvas.data, 640, 640), None, "one flipped bit breaks the parity");
    }

    #[test]
    fn strips_of_two_cameras_differ() {
        assert_ne!(strip("C208", 640, 32, 24), strip("C209", 640, 32, 24));
    }
}
