//! A small flat painter: planes of a picture, polygons, discs and glows, straight into I420.
//!
//! Deterministic; costs follow the area painted, so a frame is a copy of its background and a few moving shapes. Works
//! on the caller's thread and never waits.

mod grounds;
mod mark;
mod motion;
mod scenes;
mod things;
mod view;

pub use mark::{MARK_CELLS, read_mark};
pub use scenes::Scene;

pub(crate) use mark::{strip, write_mark};
pub(crate) use scenes::Reel;

/// The last lines of every film, height / `CALM`, stay flat so that motion never reaches into the strip below.
const CALM: usize = 42;

/// Luma and chroma of a colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ink {
    pub(crate) y: u8,
    pub(crate) u: u8,
    pub(crate) v: u8,
}

impl Ink {
    pub(crate) const BLACK: Self = Self::grey(18);

    /// Grey, 16 to 235.
    pub(crate) const fn grey(y: u8) -> Self {
        Self { y, u: 128, v: 128 }
    }
    /// Grey with a little colour.
    pub(crate) const fn tint(y: u8, u: u8, v: u8) -> Self {
        Self { y, u, v }
    }
    /// Brighter or darker.
    pub(crate) fn lit(self, factor: f32) -> Self {
        let y = 16.0 + (f32::from(self.y) - 16.0) * factor;
        let pale = |c: u8| 128.0 + (f32::from(c) - 128.0) * factor.clamp(0.35, 1.0);
        Self { y: y.clamp(16.0, 235.0) as u8, u: pale(self.u) as u8, v: pale(self.v) as u8 }
    }
}

/// A picture in I420; width and height are even.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Luma, then U, then V, each without padding.
    pub(crate) data: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, ink: Ink) -> Self {
        let (width, height) = (width & !1, height & !1);
        let luma = width * height;
        let mut data = vec![ink.y; luma * 3 / 2];
        data[luma..luma + luma / 4].fill(ink.u);
        data[luma + luma / 4..].fill(ink.v);
        Self { width, height, data }
    }

    /// Fills a part of a row; `x1` is exclusive. `alpha` 0 to 1.
    fn span(&mut self, y: i32, x0: f32, x1: f32, ink: Ink, alpha: f32) {
        let (Ok(row), width) = (usize::try_from(y), self.width) else { return };
        let (x0, x1) = (x0.max(0.0), x1.min(width as f32));
        if row >= self.height || x1 <= x0 {
            return;
        }
        let (first, last) = (x0.ceil() as usize, x1.floor() as usize);
        let line = row * width;
        if first <= last {
            fill(&mut self.data[line + first..line + last], ink.y, alpha);
        }
        self.edge(line, x0, x1, first, last, ink.y, alpha);
        if row.is_multiple_of(2) {
            let (from, to) = ((x0 / 2.0).round() as usize, ((x1 / 2.0).round() as usize).min(width / 2));
            if from < to {
                let luma = width * self.height;
                let line = luma + row / 2 * (width / 2);
                fill(&mut self.data[line + from..line + to], ink.u, alpha);
                let line = line + luma / 4;
                fill(&mut self.data[line + from..line + to], ink.v, alpha);
            }
        }
    }

    /// The partly covered pixels at both ends of a span.
    #[allow(clippy::too_many_arguments, reason = "a span is what it is")]
    fn edge(&mut self, line: usize, x0: f32, x1: f32, first: usize, last: usize, y: u8, alpha: f32) {
        if first > last {
            blend(&mut self.data[line + last], y, alpha * (x1 - x0));
            return;
        }
        if first as f32 > x0 {
            blend(&mut self.data[line + first - 1], y, alpha * (first as f32 - x0));
        }
        if x1 > last as f32 && last < self.width {
            blend(&mut self.data[line + last], y, alpha * (x1 - last as f32));
        }
    }

    /// Fills a polygon (even-odd).
    pub(crate) fn polygon(&mut self, points: &[(f32, f32)], ink: Ink, alpha: f32) {
        let low = points.iter().map(|p| p.1).fold(f32::INFINITY, f32::min).max(0.0) as i32;
        let high = points.iter().map(|p| p.1).fold(f32::NEG_INFINITY, f32::max).min(self.height as f32) as i32;
        let mut crossings: Vec<f32> = Vec::with_capacity(8);
        for row in low..=high {
            let y = row as f32 + 0.5;
            crossings.clear();
            let next = points.iter().cycle().skip(1);
            for (a, b) in points.iter().zip(next) {
                if (a.1 <= y) != (b.1 <= y) {
                    crossings.push(a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0));
                }
            }
            crossings.sort_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                self.span(row, pair[0], pair[1], ink, alpha);
            }
        }
    }

    pub(crate) fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, ink: Ink, alpha: f32) {
        for row in y.round() as i32..(y + height).round() as i32 {
            self.span(row, x, x + width, ink, alpha);
        }
    }

    pub(crate) fn disc(&mut self, x: f32, y: f32, rx: f32, ry: f32, ink: Ink, alpha: f32) {
        for row in (y - ry).floor() as i32..=(y + ry).ceil() as i32 {
            let part = (row as f32 + 0.5 - y) / ry;
            if part.abs() < 1.0 {
                let half = rx * (1.0 - part * part).sqrt();
                self.span(row, x - half, x + half, ink, alpha);
            }
        }
    }

    /// A soft light: rings that grow fainter outwards.
    pub(crate) fn glow(&mut self, x: f32, y: f32, radius: f32, ink: Ink, strength: f32) {
        const RINGS: usize = 10;
        for ring in 0..RINGS {
            let part = 1.0 - ring as f32 / RINGS as f32;
            self.disc(x, y, radius * part, radius * part, ink, strength / RINGS as f32 * (1.4 - part));
        }
    }

    /// A thick line.
    pub(crate) fn line(&mut self, a: (f32, f32), b: (f32, f32), width: f32, ink: Ink) {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = dx.hypot(dy).max(0.001);
        let (nx, ny) = (-dy / length * width / 2.0, dx / length * width / 2.0);
        let shape = [(a.0 + nx, a.1 + ny), (b.0 + nx, b.1 + ny), (b.0 - nx, b.1 - ny), (a.0 - nx, a.1 - ny)];
        self.polygon(&shape, ink, 1.0);
    }

    /// Each plane scaled to another size by the mean of the covered pixels (only smaller).
    pub(crate) fn shrunk(&self, width: usize, height: usize) -> Self {
        let mut out = Self::new(width, height, Ink::BLACK);
        let (luma, small) = (self.width * self.height, out.width * out.height);
        let planes = [(0, 0, 1), (luma, small, 2), (luma + luma / 4, small + small / 4, 2)];
        for (from, to, part) in planes {
            let (w, h) = (out.width / part, out.height / part);
            let source = &self.data[from..from + self.width / part * (self.height / part)];
            shrink_plane(source, (self.width / part, self.height / part), &mut out.data[to..to + w * h], (w, h));
        }
        out
    }

    /// Flattens the calm lines at the bottom.
    pub(crate) fn calm(&mut self) {
        let calm = self.height / CALM;
        let (width, top) = (self.width as f32, (self.height - calm) as f32);
        self.rect(0.0, top, width, calm as f32, Ink::BLACK, 1.0);
    }

    /// Adds the noise of a sensor to the luma above the calm lines at the bottom.
    pub(crate) fn grain(&mut self, frame: u32) {
        const PERIOD: usize = 8191;
        let noise: Vec<i8> = (0..PERIOD as u32).map(|i| (things::chance(i ^ frame << 16, 5) * 5.0) as i8 - 2).collect();
        let noisy = self.width * (self.height - self.height / CALM - 1);
        for part in self.data[..noisy].chunks_mut(PERIOD) {
            for (pixel, noise) in part.iter_mut().zip(&noise) {
                *pixel = pixel.wrapping_add_signed(*noise);
            }
        }
    }

    /// A heavily blurred copy: shrunk far down and drawn up again smoothly.
    pub(crate) fn blurred(&self) -> Self {
        const STEP: usize = 16;
        let small = self.shrunk(self.width / STEP, self.height / STEP);
        let mut out = self.clone();
        let (luma, little) = (self.width * self.height, small.width * small.height);
        let planes = [(0, 0, 1), (luma, little, 2), (luma + luma / 4, little + little / 4, 2)];
        for (to, from, part) in planes {
            let size = (self.width / part, self.height / part);
            let tiny = (small.width / part, small.height / part);
            let source = &small.data[from..from + tiny.0 * tiny.1];
            smooth_plane(source, tiny, &mut out.data[to..to + size.0 * size.1], size);
        }
        out
    }
}

fn fill(row: &mut [u8], value: u8, alpha: f32) {
    if alpha >= 0.995 {
        row.fill(value);
    } else {
        let (weight, value) = ((alpha.max(0.0) * 256.0) as i32, i32::from(value));
        for pixel in row {
            *pixel = (i32::from(*pixel) + (((value - i32::from(*pixel)) * weight) >> 8)) as u8;
        }
    }
}

fn blend(pixel: &mut u8, value: u8, alpha: f32) {
    fill(std::slice::from_mut(pixel), value, alpha.min(1.0));
}

fn shrink_plane(source: &[u8], from: (usize, usize), out: &mut [u8], to: (usize, usize)) {
    if from == (to.0 * 2, to.1 * 2) {
        for (rows, line) in source.chunks_exact(from.0 * 2).zip(out.chunks_exact_mut(to.0)) {
            let (upper, lower) = rows.split_at(from.0);
            for ((a, b), pixel) in upper.chunks_exact(2).zip(lower.chunks_exact(2)).zip(line) {
                *pixel = ((u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]) + 2) >> 2) as u8;
            }
        }
        return;
    }
    for row in 0..to.1 {
        let (y0, y1) = (row * from.1 / to.1, ((row + 1) * from.1 / to.1).max(row * from.1 / to.1 + 1));
        for column in 0..to.0 {
            let x0 = column * from.0 / to.0;
            let x1 = ((column + 1) * from.0 / to.0).max(x0 + 1);
            let sum: usize = (y0..y1)
                .map(|y| source[y * from.0 + x0..y * from.0 + x1].iter().map(|p| usize::from(*p)).sum::<usize>())
                .sum();
            out[row * to.0 + column] = (sum / ((y1 - y0) * (x1 - x0))) as u8;
        }
    }
}

fn smooth_plane(source: &[u8], from: (usize, usize), out: &mut [u8], to: (usize, usize)) {
    let at = |position: usize, small: usize, large: usize| {
        let place = ((position as f32 + 0.5) * small as f32 / large as f32 - 0.5).clamp(0.0, small as f32 - 1.0);
        let first = place as usize;
        (first, (first + 1).min(small - 1), place - first as f32)
    };
    let columns: Vec<_> = (0..to.0).map(|x| at(x, from.0, to.0)).collect();
    for (row, line) in out.chunks_exact_mut(to.0).enumerate() {
        let (upper, lower, down) = at(row, from.1, to.1);
        let mixed: Vec<f32> = (0..from.0)
            .map(|x| {
                f32::from(source[upper * from.0 + x]) * (1.0 - down) + f32::from(source[lower * from.0 + x]) * down
            })
            .collect();
        for (pixel, (left, right, part)) in line.iter_mut().zip(&columns) {
            *pixel = (mixed[*left] * (1.0 - part) + mixed[*right] * part) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paints_inside_only_and_survives_shapes_far_outside() {
        let mut canvas = Canvas::new(16, 8, Ink::BLACK);
        canvas.rect(2.0, 2.0, 4.0, 2.0, Ink::grey(200), 1.0);
        canvas.polygon(&[(-1e6, -1e6), (1e6, -9e5), (-9e5, 3.9)], Ink::grey(100), 0.0);
        canvas.disc(500.0, 500.0, 3.0, 3.0, Ink::grey(100), 1.0);
        let bright = canvas.data[..128].iter().filter(|p| **p == 200).count();
        assert_eq!(bright, 8);
    }

    #[test]
    fn shrinking_keeps_the_mean_and_blurring_the_size() {
        let mut canvas = Canvas::new(64, 64, Ink::BLACK);
        canvas.rect(0.0, 0.0, 32.0, 64.0, Ink::grey(218), 1.0);
        let small = canvas.shrunk(32, 32);
        assert_eq!((small.data[0], small.data[31]), (218, 18));
        let blurred = canvas.blurred();
        assert_eq!(blurred.data.len(), canvas.data.len());
        let edge = i32::from(blurred.data[31]) - i32::from(blurred.data[32]);
        assert!(edge < 30, "the edge became soft: {edge}");
    }
}
