//! What stands and moves in the scenes: buildings, trees, lamps, cars, plain figures without faces, smoke.

use super::{
    Canvas, Ink,
    view::{P3, View},
};

pub(super) const SKY: Ink = Ink::tint(200, 130, 126);
pub(super) const WALL: Ink = Ink::tint(176, 124, 131);
pub(super) const ROAD: Ink = Ink::grey(96);
pub(super) const PAVE: Ink = Ink::tint(150, 126, 129);
pub(super) const GRASS: Ink = Ink::tint(116, 123, 125);
pub(super) const LEAF: Ink = Ink::tint(78, 123, 126);
pub(super) const LINE: Ink = Ink::grey(196);
pub(super) const METAL: Ink = Ink::grey(128);
/// Colours of clothes.
pub(super) const COAT: [Ink; 6] = [
    Ink::tint(70, 132, 124),
    Ink::tint(120, 124, 134),
    Ink::tint(92, 122, 126),
    Ink::tint(140, 126, 126),
    Ink::tint(60, 128, 130),
    Ink::tint(104, 134, 122),
];
/// Colours of cars.
pub(super) const PAINT: [Ink; 5] =
    [Ink::grey(196), Ink::grey(70), Ink::tint(120, 130, 125), Ink::tint(104, 124, 134), Ink::grey(150)];
const GLASS: Ink = Ink::tint(84, 131, 126);
const WARM: Ink = Ink::tint(196, 108, 142);
const LAMP_LIGHT: Ink = Ink::tint(232, 120, 134);

/// A deterministic number from 0 to 1.
pub(super) fn chance(a: u32, b: u32) -> f32 {
    let mut x = a.wrapping_mul(0x9e37_79b9) ^ b.wrapping_mul(0x85eb_ca6b) ^ 0x2545_f491;
    x ^= x >> 15;
    x = x.wrapping_mul(0x2c1b_3c6d);
    x ^= x >> 13;
    (x & 0xffff) as f32 / 65536.0
}

/// A canvas seen through a view, by day or by night.
pub(super) struct Brush<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) view: View,
    /// Outdoors by night: all but lights is dim.
    pub(super) night: bool,
}

impl Brush<'_> {
    pub(super) fn ink(&self, ink: Ink) -> Ink {
        if self.night { ink.lit(0.3) } else { ink }
    }
    pub(super) fn sky(&mut self) {
        let ink = if self.night { Ink::tint(30, 131, 127) } else { SKY };
        let (w, h) = (self.canvas.width as f32, self.canvas.height as f32);
        self.canvas.rect(0.0, 0.0, w, h, ink, 1.0);
        for band in 0..8 {
            self.canvas.rect(0.0, 0.0, w, h * 0.05 * (8 - band) as f32, self.ink(Ink::tint(226, 130, 126)), 0.06);
        }
    }
    pub(super) fn floor(&mut self, x: (f32, f32), y: (f32, f32), ink: Ink) {
        self.floor_at(x, y, 0.0, ink);
    }
    pub(super) fn floor_at(&mut self, x: (f32, f32), y: (f32, f32), z: f32, ink: Ink) {
        let ink = self.ink(ink);
        self.view.floor(self.canvas, x, y, z, ink);
    }
    pub(super) fn wall(&mut self, a: (f32, f32), b: (f32, f32), z: (f32, f32), ink: Ink) {
        let ink = self.ink(ink);
        self.view.wall(self.canvas, a, b, z, ink);
    }
    pub(super) fn block(&mut self, at: (f32, f32), half: (f32, f32), z: (f32, f32), ink: Ink) {
        self.turned_block(at, half, z, 0.0, ink);
    }
    pub(super) fn turned_block(&mut self, at: (f32, f32), half: (f32, f32), z: (f32, f32), turn: f32, ink: Ink) {
        let ink = self.ink(ink);
        self.view.block(self.canvas, at, half, z, turn, ink);
    }
    /// Something that shines by itself.
    pub(super) fn light(&mut self, at: P3, radius: f32, ink: Ink, strength: f32) {
        if let Some(((x, y), scale)) = self.view.spot(self.canvas, at) {
            self.canvas.glow(x, y, radius * scale, ink, strength);
        }
    }

    /// A window wall from `a` to `b`: floors of 3 m, with lit windows by night.
    pub(super) fn facade(&mut self, a: (f32, f32), b: (f32, f32), floors: u32, bays: u32, seed: u32, ink: Ink) {
        self.wall(a, b, (0.0, floors as f32 * 3.0 + 1.0), ink);
        let along = |part: f32| (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part);
        for floor in 0..floors {
            let low = floor as f32 * 3.0;
            self.wall(a, b, (low - 0.15, low), ink.lit(0.88));
            for bay in 0..bays {
                let wide = if chance(bay, seed) > 0.5 { 0.3 } else { 0.22 };
                let middle = (bay as f32 + 0.5) / bays as f32;
                let (left, right) = (along(middle - wide / bays as f32), along(middle + wide / bays as f32));
                let lit = self.night && chance(floor * 64 + bay, seed + 7) > 0.8;
                if lit {
                    let tone = 0.6 + 0.4 * chance(bay, floor + seed);
                    self.view.wall(self.canvas, left, right, (low + 1.0, low + 2.4), WARM.lit(tone));
                } else {
                    let tone = 0.85 + 0.4 * chance(floor * 31 + bay, seed);
                    self.wall(left, right, (low + 1.0, low + 2.4), GLASS.lit(tone));
                }
            }
        }
    }

    /// A building with a window front towards the camera.
    pub(super) fn building(&mut self, x: (f32, f32), y: f32, depth: f32, floors: u32, seed: u32) {
        let ink = WALL.lit(0.88 + 0.2 * chance(seed, 3));
        let height = floors as f32 * 3.0 + 1.0;
        let middle = ((x.0 + x.1) / 2.0, y + depth / 2.0);
        self.block(middle, ((x.1 - x.0) / 2.0, depth / 2.0), (0.0, height), ink);
        let bays = (((x.1 - x.0) / 3.4) as u32).max(1);
        self.facade((x.0, y), (x.1, y), floors, bays, seed, ink);
    }

    /// The flank of a building along the view.
    pub(super) fn flank(&mut self, x: f32, y: (f32, f32), floors: u32, seed: u32) {
        let bays = (((y.1 - y.0).abs() / 3.4) as u32).max(1);
        let tone = if x < 0.0 { 0.8 } else { 0.94 };
        self.facade((x, y.0), (x, y.1), floors, bays, seed, WALL.lit(tone));
    }

    pub(super) fn tree(&mut self, at: (f32, f32), height: f32) {
        let (trunk, leaf) = (self.ink(Ink::grey(72)), self.ink(LEAF));
        let Some(((x, y), scale)) = self.view.spot(self.canvas, [at.0, at.1, 0.0]) else { return };
        let size = height * scale;
        self.canvas.rect(x - size * 0.03, y - size * 0.5, size * 0.06, size * 0.5, trunk, 1.0);
        let crown =
            [(0.0, 0.62, 0.26, 1.0), (-0.14, 0.52, 0.2, 0.86), (0.15, 0.55, 0.2, 0.92), (0.02, 0.8, 0.18, 1.12)];
        for (right, up, radius, tone) in crown {
            self.canvas.disc(x + right * size, y - up * size, radius * size, radius * size * 0.9, leaf.lit(tone), 1.0);
        }
    }

    pub(super) fn lamp(&mut self, at: (f32, f32), height: f32) {
        let pole = self.ink(Ink::grey(84));
        let (Some((foot, scale)), Some((head, _))) =
            (self.view.spot(self.canvas, [at.0, at.1, 0.0]), self.view.spot(self.canvas, [at.0, at.1, height]))
        else {
            return;
        };
        self.canvas.line(foot, head, (scale * 0.14).max(1.5), pole);
        self.canvas.rect(head.0 - scale * 0.3, head.1 - scale * 0.1, scale * 0.6, scale * 0.16, pole.lit(1.2), 1.0);
        if self.night {
            self.canvas.glow(head.0, head.1, scale * 2.4, LAMP_LIGHT, 0.9);
            self.canvas.disc(foot.0, foot.1, scale * 4.0, scale * 1.3, LAMP_LIGHT, 0.10);
            self.canvas.disc(foot.0, foot.1, scale * 2.4, scale * 0.8, LAMP_LIGHT, 0.10);
        }
    }

    /// A car; `turn` = 0 points away from the camera.
    pub(super) fn car(&mut self, at: (f32, f32), turn: f32, ink: Ink, tall: bool) {
        let ink = if self.night { ink.lit(1.5) } else { ink };
        let dark = self.ink(Ink::grey(40));
        let (sin, cos) = turn.sin_cos();
        let place = |right: f32, ahead: f32| (at.0 + right * cos - ahead * sin, at.1 + right * sin + ahead * cos);
        let ring = [place(-1.0, -2.2), place(1.0, -2.2), place(1.0, 2.2), place(-1.0, 2.2)];
        let shadow: Vec<P3> = ring.iter().map(|p| [p.0, p.1, 0.02]).collect();
        self.view.face(self.canvas, &shadow, dark, 0.45);
        self.turned_block(at, (0.9, 2.1), (0.28, if tall { 1.1 } else { 0.82 }), turn, ink);
        let (cabin, half, top) = if tall { (-0.2, 1.8, 2.0) } else { (-0.25, 1.15, 1.42) };
        self.turned_block(place(0.0, cabin), (0.78, half), (if tall { 1.1 } else { 0.82 }, top - 0.08), turn, GLASS);
        self.turned_block(place(0.0, cabin), (0.74, half * 0.9), (top - 0.1, top), turn, ink);
        if self.night {
            let front = self.view.depth([place(0.0, 2.2).0, place(0.0, 2.2).1, 0.6]);
            let towards = front < self.view.depth([at.0, at.1, 0.6]);
            for side in [-0.65, 0.65] {
                let (end, light, size, strength) =
                    if towards { (2.2, LAMP_LIGHT, 0.7, 1.0) } else { (-2.2, Ink::tint(110, 112, 190), 0.35, 0.8) };
                let (x, y) = place(side, end);
                self.light([x, y, 0.65], size, light, strength);
            }
        }
    }

    /// A plain figure: head, body, legs that swing with `step`.
    pub(super) fn person(&mut self, at: (f32, f32), floor: f32, height: f32, step: f32, ink: Ink) {
        let Some(((x, y), scale)) = self.view.spot(self.canvas, [at.0, at.1, floor]) else { return };
        let (coat, skin) = (self.ink(ink), self.ink(Ink::tint(150, 122, 136)));
        let h = height * scale;
        let swing = step.sin() * 0.13 * h;
        self.canvas.disc(x, y, h * 0.2, h * 0.05, Ink::grey(30), 0.35);
        let leg = (h * 0.075).max(1.2);
        self.canvas.line((x, y - h * 0.48), (x + swing, y), leg, coat.lit(0.55));
        self.canvas.line((x, y - h * 0.48), (x - swing, y), leg, coat.lit(0.62));
        let (wide, narrow) = (h * 0.135, h * 0.1);
        let body = [
            (x - wide, y - h * 0.82),
            (x + wide, y - h * 0.82),
            (x + narrow, y - h * 0.42),
            (x - narrow, y - h * 0.42),
        ];
        self.canvas.polygon(&body, coat, 1.0);
        let arm = (h * 0.05).max(1.0);
        self.canvas.line((x - wide, y - h * 0.8), (x - wide - swing * 0.5, y - h * 0.45), arm, coat.lit(0.85));
        self.canvas.line((x + wide, y - h * 0.8), (x + wide + swing * 0.5, y - h * 0.45), arm, coat.lit(0.9));
        self.canvas.disc(x, y - h * 0.91, h * 0.07, h * 0.085, skin, 1.0);
    }

    pub(super) fn bicycle(&mut self, at: (f32, f32), ink: Ink) {
        let Some(((x, y), scale)) = self.view.spot(self.canvas, [at.0, at.1, 0.0]) else { return };
        let (frame, tyre) = (self.ink(ink), self.ink(Ink::grey(36)));
        for side in [-0.55, 0.55] {
            self.canvas.disc(x + side * scale, y - 0.3 * scale, 0.16 * scale, 0.3 * scale, tyre, 1.0);
        }
        self.canvas.line((x - 0.5 * scale, y - 0.4 * scale), (x + 0.4 * scale, y - 0.55 * scale), scale * 0.16, frame);
        self.canvas.line((x + 0.4 * scale, y - 0.5 * scale), (x + 0.35 * scale, y - 1.0 * scale), scale * 0.08, tyre);
        self.canvas.line((x - 0.35 * scale, y - 0.75 * scale), (x, y - 0.75 * scale), scale * 0.12, tyre);
    }

    /// A column of smoke from `at`, at loop part `t`; `amount` 0 to 1.
    pub(super) fn smoke(&mut self, at: P3, t: f32, amount: f32) {
        const PUFFS: u32 = 22;
        let ink = if self.night { Ink::grey(132) } else { Ink::grey(150) };
        for puff in 0..PUFFS {
            let age = (t * 4.0 + puff as f32 / PUFFS as f32).fract();
            let sway = (chance(puff, 1) - 0.3) * 3.0 * age + (t * 12.566 + puff as f32).sin() * 0.3;
            let spot = [at[0] + sway, at[1], at[2] + age * (3.0 + 9.0 * amount)];
            if let Some(((x, y), scale)) = self.view.spot(self.canvas, spot) {
                let radius = (0.4 + 2.2 * age) * (0.4 + amount) * scale;
                self.canvas.disc(x, y, radius, radius * 0.9, ink.lit(1.1 - 0.5 * age), 0.5 * amount * (1.0 - age));
            }
        }
    }
}

/// What moves along a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Car(Ink),
    Van(Ink),
    Person(Ink),
    Child(Ink),
    Cyclist(Ink),
}

/// Something that goes along `path` during a part of the loop; outside it is away.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) kind: Kind,
    pub(super) path: Vec<(f32, f32)>,
    pub(super) during: (f32, f32),
}

impl Actor {
    /// Where it is at loop part `t`, which way it heads, and how far it went (metres).
    pub(super) fn at(&self, t: f32) -> Option<((f32, f32), f32, f32)> {
        let (start, end) = self.during;
        let part = [t, t + 1.0].into_iter().find(|t| (start..end).contains(t)).map(|t| (t - start) / (end - start))?;
        let legs: Vec<_> = self.path.windows(2).collect();
        let lengths: Vec<f32> = legs.iter().map(|l| (l[1].0 - l[0].0).hypot(l[1].1 - l[0].1)).collect();
        let gone = part * lengths.iter().sum::<f32>();
        let mut left = gone;
        for (leg, length) in legs.iter().zip(&lengths) {
            if left <= *length {
                let (dx, dy) = (leg[1].0 - leg[0].0, leg[1].1 - leg[0].1);
                let share = left / length.max(0.001);
                return Some(((leg[0].0 + dx * share, leg[0].1 + dy * share), (-dx).atan2(dy), gone));
            }
            left -= length;
        }
        None
    }

    pub(super) fn draw(&self, brush: &mut Brush<'_>, t: f32) {
        let Some((at, turn, gone)) = self.at(t) else { return };
        let step = gone * 4.2;
        match self.kind {
            Kind::Car(ink) => brush.car(at, turn, ink, false),
            Kind::Van(ink) => brush.car(at, turn, ink, true),
            Kind::Person(ink) => brush.person(at, 0.0, 1.7, step, ink),
            Kind::Child(ink) => brush.person(at, 0.0, 1.2, step * 1.5, ink),
            Kind::Cyclist(ink) => {
                brush.bicycle(at, ink);
                brush.person((at.0, at.1 + 0.01), 0.35, 1.45, step, ink.lit(0.8));
            }
        }
    }
}
