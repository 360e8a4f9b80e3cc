//! A pin-hole view of a flat world: metres, x to the right, y away from the camera, z up.

use super::{Canvas, Ink};

/// A point of the world.
pub(super) type P3 = [f32; 3];

/// Where the camera hangs and looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Height above the ground, metres.
    pub(super) height: f32,
    /// Downwards, radians.
    pub(super) pitch: f32,
    /// To the right, radians.
    pub(super) yaw: f32,
    /// Focal length as a part of the picture's width.
    pub(super) focal: f32,
}

const NEAR: f32 = 0.4;

impl View {
    pub(super) const fn new(height: f32, pitch: f32, yaw: f32, focal: f32) -> Self {
        Self { height, pitch, yaw, focal }
    }

    /// Right, up, forward of the camera.
    fn turned(&self, p: P3) -> P3 {
        let (sin, cos) = self.yaw.sin_cos();
        let (x, y) = (p[0] * cos - p[1] * sin, p[0] * sin + p[1] * cos);
        let (sin, cos) = self.pitch.sin_cos();
        let z = p[2] - self.height;
        [x, z * cos + y * sin, y * cos - z * sin]
    }

    fn screen(&self, canvas: &Canvas, c: P3) -> (f32, f32) {
        let scale = self.focal * canvas.width as f32 / c[2];
        (canvas.width as f32 / 2.0 + c[0] * scale, canvas.height as f32 / 2.0 - c[1] * scale)
    }

    /// Distance along the view, metres.
    pub(super) fn depth(&self, p: P3) -> f32 {
        self.turned(p)[2]
    }

    /// Screen point and pixels a metre there; `None` behind the camera.
    pub(super) fn spot(&self, canvas: &Canvas, p: P3) -> Option<((f32, f32), f32)> {
        let c = self.turned(p);
        (c[2] > NEAR).then(|| (self.screen(canvas, c), self.focal * canvas.width as f32 / c[2]))
    }

    /// A flat polygon, cut off in front of the camera.
    pub(super) fn face(&self, canvas: &mut Canvas, corners: &[P3], ink: Ink, alpha: f32) {
        let turned: Vec<P3> = corners.iter().map(|p| self.turned(*p)).collect();
        let mut kept: Vec<(f32, f32)> = Vec::with_capacity(turned.len() + 2);
        for (a, b) in turned.iter().zip(turned.iter().cycle().skip(1)) {
            if a[2] > NEAR {
                kept.push(self.screen(canvas, *a));
            }
            if (a[2] > NEAR) != (b[2] > NEAR) {
                let part = (NEAR - a[2]) / (b[2] - a[2]);
                let cut = [a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), NEAR];
                kept.push(self.screen(canvas, cut));
            }
        }
        if kept.len() >= 3 {
            canvas.polygon(&kept, ink, alpha);
        }
    }

    /// A flat rectangle on the ground, or at height `z`.
    pub(super) fn floor(&self, canvas: &mut Canvas, x: (f32, f32), y: (f32, f32), z: f32, ink: Ink) {
        self.face(canvas, &[[x.0, y.0, z], [x.1, y.0, z], [x.1, y.1, z], [x.0, y.1, z]], ink, 1.0);
    }

    /// An upright wall from `a` to `b` (ground points), from height `z.0` to `z.1`.
    pub(super) fn wall(&self, canvas: &mut Canvas, a: (f32, f32), b: (f32, f32), z: (f32, f32), ink: Ink) {
        self.face(canvas, &[[a.0, a.1, z.0], [b.0, b.1, z.0], [b.0, b.1, z.1], [a.0, a.1, z.1]], ink, 1.0);
    }

    /// An upright block: middle on the ground, half width and half length, heights, turned by `turn` radians.
    /// Its faces take three tones of `ink`.
    pub(super) fn block(
        &self,
        canvas: &mut Canvas,
        at: (f32, f32),
        half: (f32, f32),
        z: (f32, f32),
        turn: f32,
        ink: Ink,
    ) {
        let (sin, cos) = turn.sin_cos();
        let corner = |sx: f32, sy: f32| {
            let (x, y) = (sx * half.0, sy * half.1);
            (at.0 + x * cos - y * sin, at.1 + x * sin + y * cos)
        };
        let ring = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        for (index, tone) in [0.92, 0.74, 0.8, 0.68].into_iter().enumerate() {
            let (a, b) = (ring[index], ring[(index + 1) % 4]);
            let normal = (b.1 - a.1, a.0 - b.0);
            if normal.0 * a.0 + normal.1 * a.1 < 0.0 {
                self.wall(canvas, a, b, z, ink.lit(tone));
            }
        }
        if z.1 < self.height {
            let top: Vec<P3> = ring.iter().map(|p| [p.0, p.1, z.1]).collect();
            self.face(canvas, &top, ink.lit(1.08), 1.0);
        } else if z.0 > self.height {
            let under: Vec<P3> = ring.iter().map(|p| [p.0, p.1, z.0]).collect();
            self.face(canvas, &under, ink.lit(0.6), 1.0);
        }
    }
}
