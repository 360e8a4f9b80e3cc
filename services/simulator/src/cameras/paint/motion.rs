//! What moves in each scene: people and cars along their paths, and things that move where they stand.

use super::{
    Ink, Scene,
    things::{Actor, Brush, COAT, Kind, METAL, PAINT, WALL, chance},
};

fn go(kind: Kind, path: &[(f32, f32)], from: f32, until: f32) -> Actor {
    Actor { kind, path: path.to_vec(), during: (from, until) }
}

/// `count` people on the path, one after the other, each for `share` of the loop.
fn stream(
    kind: fn(Ink) -> Kind,
    inks: &[Ink],
    path: &[(f32, f32)],
    count: usize,
    share: f32,
    shift: f32,
) -> Vec<Actor> {
    (0..count)
        .map(|index| {
            let from = (shift + index as f32 / count as f32).fract();
            let spread = if matches!(kind(inks[0]), Kind::Car(_) | Kind::Van(_)) { 0.3 } else { 1.1 };
            let aside = (chance(index as u32, (shift * 97.0) as u32) - 0.5) * spread;
            let path: Vec<_> = path.iter().map(|p| (p.0 + aside, p.1 + aside * 0.6)).collect();
            go(kind(inks[(index + (shift * 10.0) as usize) % inks.len()]), &path, from, from + share)
        })
        .collect()
}

/// Who goes through a scene.
pub(super) fn actors(scene: Scene) -> Vec<Actor> {
    let walkers = |path: &[(f32, f32)], count, share, shift| stream(Kind::Person, &COAT, path, count, share, shift);
    let cars = |path: &[(f32, f32)], count, share, shift| stream(Kind::Car, &PAINT, path, count, share, shift);
    let mut all: Vec<Actor> = Vec::new();
    match scene {
        Scene::Road => {
            all.extend(cars(&[(2.2, 2.0), (2.2, 130.0)], 3, 0.5, 0.1));
            all.extend(cars(&[(-2.2, 130.0), (-2.2, 2.0)], 3, 0.5, 0.3));
            all.extend(walkers(&[(-6.0, 8.0), (-6.0, 60.0)], 2, 0.99, 0.0));
            all.extend(walkers(&[(6.0, 50.0), (6.0, 8.0)], 2, 0.99, 0.4));
        }
        Scene::Crossing => {
            all.extend(cars(&[(-70.0, 26.6), (70.0, 26.6)], 3, 0.4, 0.1));
            all.extend(cars(&[(70.0, 30.4), (-70.0, 30.4)], 2, 0.4, 0.25));
            all.extend(walkers(&[(-9.0, 20.0), (9.0, 20.0)], 3, 0.8, 0.2));
            all.extend(walkers(&[(14.0, 37.0), (-14.0, 37.0)], 2, 0.95, 0.6));
        }
        Scene::Courtyard => {
            all.extend(walkers(&[(-20.0, 22.0), (4.0, 24.0), (7.0, 50.0)], 2, 0.98, 0.0));
            all.extend(walkers(&[(6.0, 52.0), (5.0, 22.0), (20.0, 14.0)], 2, 0.98, 0.3));
            all.extend(stream(
                Kind::Child,
                &COAT,
                &[(-6.0, 24.0), (3.0, 30.0), (-2.0, 21.0), (-6.0, 24.0)],
                1,
                0.99,
                0.5,
            ));
        }
        Scene::Gate => {
            all.extend(cars(&[(2.0, 3.0), (2.0, 13.0), (2.0, 13.2), (2.0, 70.0)], 1, 0.5, 0.55));
            all.extend(walkers(&[(-5.4, 8.0), (-5.4, 44.0)], 2, 0.9, 0.2));
            all.extend(walkers(&[(5.6, 40.0), (5.6, 9.0)], 1, 0.9, 0.0));
        }
        Scene::Parking => {
            all.extend(cars(&[(-60.0, 27.0), (60.0, 27.0)], 1, 0.6, 0.2));
            all.extend(walkers(&[(-22.0, 24.0), (22.0, 29.0)], 2, 0.98, 0.1));
            all.extend(walkers(&[(20.0, 31.0), (-18.0, 31.0)], 1, 0.98, 0.6));
        }
        Scene::Square => {
            all.extend(walkers(&[(-30.0, 24.0), (0.0, 32.0), (30.0, 26.0)], 4, 0.99, 0.0));
            all.extend(walkers(&[(24.0, 56.0), (-24.0, 54.0)], 3, 0.99, 0.3));
            all.extend(stream(
                Kind::Child,
                &COAT,
                &[(-6.0, 30.0), (4.0, 24.0), (8.0, 31.0), (-6.0, 30.0)],
                2,
                0.98,
                0.1,
            ));
            all.extend(stream(Kind::Cyclist, &COAT, &[(-40.0, 20.0), (40.0, 22.0)], 1, 0.5, 0.6));
        }
        Scene::SchoolGate => {
            all.extend(stream(Kind::Child, &COAT, &[(0.0, 40.0), (0.0, 24.0), (-1.0, 6.0)], 4, 0.9, 0.0));
            all.extend(walkers(&[(-14.0, 19.0), (14.0, 20.0)], 2, 0.98, 0.2));
            all.extend(cars(&[(-50.0, 11.0), (50.0, 11.0)], 1, 0.3, 0.7));
        }
        Scene::Playground => {
            let lap = [(-21.0, 16.0), (21.0, 16.0), (21.0, 54.0), (-21.0, 54.0), (-21.0, 16.0)];
            all.extend(stream(Kind::Child, &COAT, &lap, 5, 0.999, 0.0));
            all.extend(stream(
                Kind::Child,
                &COAT,
                &[(-8.0, 26.0), (6.0, 40.0), (10.0, 28.0), (-8.0, 26.0)],
                3,
                0.999,
                0.3,
            ));
        }
        Scene::Roof => all.extend(walkers(&[(-14.0, 30.0), (-4.0, 28.0), (-4.0, 12.0), (3.0, 8.0)], 1, 0.8, 0.1)),
        Scene::ShopRow => {
            all.extend(walkers(&[(5.0, 10.0), (5.0, 70.0)], 3, 0.99, 0.0));
            all.extend(walkers(&[(6.6, 64.0), (6.4, 9.0)], 3, 0.99, 0.2));
            all.extend(stream(Kind::Cyclist, &COAT, &[(-2.0, 70.0), (-2.0, 4.0)], 2, 0.7, 0.4));
        }
        Scene::BusStop => {
            all.extend(stream(Kind::Van, &PAINT, &[(70.0, 15.0), (0.0, 15.0), (-70.0, 15.0)], 2, 0.4, 0.1));
            all.extend(stream(Kind::Car, &PAINT, &[(-70.0, 19.0), (70.0, 19.0)], 2, 0.35, 0.4));
            all.extend(walkers(&[(-14.0, 11.4), (10.0, 11.4)], 2, 0.95, 0.2));
        }
        Scene::FireLane => {
            all.extend(walkers(&[(1.4, 60.0), (1.2, 4.0)], 2, 0.99, 0.0));
            all.extend(stream(Kind::Cyclist, &COAT, &[(-1.4, 5.0), (-1.2, 70.0)], 1, 0.6, 0.3));
        }
        Scene::BikeShed => {
            all.extend(walkers(&[(-14.0, 11.0), (2.0, 14.6), (14.0, 10.0)], 2, 0.98, 0.2));
            all.extend(stream(Kind::Cyclist, &COAT, &[(14.0, 11.5), (-14.0, 12.0)], 1, 0.5, 0.5));
        }
        Scene::Footpath => {
            all.extend(walkers(&[(0.3, 6.0), (1.3, 18.0), (0.4, 34.0), (-1.1, 52.0)], 2, 0.99, 0.1));
            all.extend(walkers(&[(-1.4, 50.0), (0.1, 34.0), (1.0, 18.0), (-0.2, 6.0)], 2, 0.99, 0.4));
        }
        Scene::Entrance => {
            all.extend(walkers(&[(0.2, 19.5), (0.4, 15.0), (9.0, 8.0)], 2, 0.7, 0.0));
            all.extend(walkers(&[(-9.0, 9.0), (-0.5, 15.0), (-0.2, 19.5)], 1, 0.7, 0.4));
        }
        Scene::Facade | Scene::Fire => {
            all.extend(walkers(&[(-24.0, 27.5), (24.0, 27.5)], 2, 0.99, 0.0));
        }
        Scene::Garden => {
            all.extend(walkers(&[(-1.5, 8.0), (-1.5, 25.0), (24.0, 25.6)], 2, 0.99, 0.0));
            all.extend(walkers(&[(-24.0, 25.4), (-2.0, 25.4), (-1.8, 54.0)], 2, 0.99, 0.3));
        }
        Scene::Perimeter => {
            all.extend(walkers(&[(0.0, 70.0), (0.6, 6.0)], 2, 0.99, 0.0));
            all.extend(stream(Kind::Cyclist, &COAT, &[(1.0, 5.0), (0.0, 80.0)], 1, 0.5, 0.5));
        }
        Scene::LiftHall => {
            all.extend(walkers(&[(3.0, 1.4), (0.4, 5.4), (0.4, 6.9)], 1, 0.5, 0.05));
            all.extend(walkers(&[(-2.0, 6.9), (-1.8, 5.0), (2.6, 1.2)], 1, 0.4, 0.6));
        }
        Scene::Corridor => {
            all.extend(walkers(&[(0.3, 2.0), (0.3, 22.0)], 1, 0.7, 0.0));
            all.extend(walkers(&[(-0.4, 22.0), (-0.4, 2.0)], 1, 0.7, 0.45));
        }
        Scene::PumpRoom => all.extend(walkers(&[(4.4, 3.0), (2.0, 5.6), (-3.6, 5.8), (4.4, 3.0)], 1, 0.9, 0.0)),
        Scene::PowerRoom => all.extend(walkers(&[(-2.6, 9.0), (0.8, 8.0), (0.9, 2.0)], 1, 0.6, 0.2)),
        Scene::Garage => {
            all.extend(cars(&[(2.2, 3.0), (2.2, 46.0)], 1, 0.4, 0.1));
            all.extend(walkers(&[(-3.0, 44.0), (-2.6, 5.0)], 2, 0.95, 0.4));
        }
        Scene::Lobby => {
            all.extend(walkers(&[(0.3, 8.9), (0.4, 5.0), (4.0, 2.0)], 2, 0.45, 0.0));
            all.extend(walkers(&[(-3.6, 2.4), (-0.4, 5.4), (-0.3, 8.9)], 1, 0.5, 0.3));
        }
        Scene::Stairwell | Scene::LiftCabin | Scene::Black => {}
    }
    all
}

/// What moves without going anywhere, behind the actors.
pub(super) fn moving(scene: Scene, b: &mut Brush<'_>, t: f32) {
    let wave = |times: f32| (t * times * std::f32::consts::TAU).sin();
    match scene {
        Scene::Square => {
            let flag: Vec<_> = (0..=6).map(|i| (i as f32 * 0.5, (t * 75.4 + i as f32).sin() * 0.12)).collect();
            for pair in flag.windows(2) {
                let (a, c) = (pair[0], pair[1]);
                let corners =
                    [[a.0, 44.0, 9.0 + a.1], [c.0, 44.0, 9.0 + c.1], [c.0, 44.0, 10.8 + c.1], [a.0, 44.0, 10.8 + a.1]];
                let ink = b.ink(Ink::tint(96, 116, 176));
                b.view.face(b.canvas, &corners, ink, 1.0);
            }
        }
        Scene::LiftHall => {
            for (x, shift) in [(-2.0f32, 0.58f32), (0.4, 0.42)] {
                let part = (t - shift).rem_euclid(1.0);
                let open = if part < 0.22 { (part / 0.22 * std::f32::consts::PI).sin().min(0.7) } else { 0.0 };
                b.wall((x - 0.75, 6.97), (x + 0.75, 6.97), (0.0, 2.3), Ink::grey(190));
                b.wall((x - 0.75, 6.96), (x - 0.75 * open, 6.96), (0.0, 2.3), Ink::grey(112));
                b.wall((x + 0.75 * open, 6.96), (x + 0.75, 6.96), (0.0, 2.3), Ink::grey(118));
            }
        }
        Scene::Stairwell => {
            // One goes up while the other comes down.
            let up = (t / 0.6).min(1.0) * 14.0;
            let down = 14.0 - ((t + 0.5).fract() / 0.6).min(1.0) * 14.0;
            for (on, side, step, coat) in [(t < 0.6, 0.3, up, COAT[1]), ((t + 0.5).fract() < 0.6, 1.4, down, COAT[0])] {
                if on {
                    b.person((side, 2.7 + step * 0.3), step * 0.17, 1.7, t * 80.0, coat);
                }
            }
        }
        Scene::PowerRoom => {
            for index in 0..7u32 {
                let on = ((t * 20.0) as u32 + index * 3) % 5 < 2;
                let ink = if on { Ink::tint(200, 100, 100) } else { Ink::tint(60, 120, 120) };
                let y = 3.0 + index as f32 * 1.1;
                b.wall((2.06, y - 0.2), (2.06, y - 0.05), (2.0, 2.1), ink);
            }
        }
        Scene::PumpRoom => {
            for index in 0..4u32 {
                let x = -3.6 + index as f32 * 2.3;
                let on = ((t * 40.0) as u32 + index) % 4 < 2;
                b.wall(
                    (x - 0.12, 7.0),
                    (x + 0.12, 7.0),
                    (1.1, 1.3),
                    if on { Ink::tint(200, 100, 104) } else { Ink::grey(70) },
                );
            }
        }
        Scene::Facade => {
            let on = t < 0.5;
            let ink = if on { Ink::tint(180, 112, 140) } else { Ink::grey(80) };
            let ink = if b.night { ink } else { ink.lit(0.9) };
            b.view.wall(b.canvas, (3.2, 35.9), (4.8, 35.9), (16.0, 17.4), ink);
        }
        Scene::Fire => fire(b, t),
        Scene::Footpath | Scene::Garden => {
            for (index, x) in [-1.0f32, 0.6, 1.4].into_iter().enumerate() {
                let z = 1.6 + wave(3.0 + index as f32) * 0.4;
                let ink = b.ink(Ink::grey(60));
                if let Some(((x, y), scale)) = b.view.spot(b.canvas, [x * 9.0 + wave(1.0) * 4.0, 40.0, 6.0 + z]) {
                    b.canvas.disc(x, y, scale * 0.25, scale * 0.1, ink, 1.0);
                }
            }
        }
        _ => {}
    }
}

/// Fire on the sixth floor: glow and smoke grow over the loop, then fall back at its seam.
fn fire(b: &mut Brush<'_>, t: f32) {
    let amount = (0.25 + t * 1.1).min(1.0);
    for (index, x) in [8.0f32, 11.4, 4.6].into_iter().enumerate() {
        let share = amount - index as f32 * 0.28;
        if share <= 0.0 {
            continue;
        }
        let flicker = 0.8 + 0.2 * chance((t * 300.0) as u32, index as u32);
        let (low, hot) = (16.0, Ink::tint(214, 72, 172));
        b.view.wall(b.canvas, (x - 0.85, 35.9), (x + 0.85, 35.9), (low, low + 1.4), hot.lit(flicker));
        b.light([x, 35.8, low + 0.6], 2.2 + 3.2 * share, Ink::tint(170, 92, 172), 0.85 * share * flicker);
        for tongue in 0..4u32 {
            let height = (0.6 + chance((t * 300.0) as u32, tongue + 9)) * share;
            if let Some(((sx, sy), scale)) =
                b.view.spot(b.canvas, [x - 0.6 + tongue as f32 * 0.4, 35.7, low + 0.3 + height])
            {
                b.canvas.disc(sx, sy, scale * 0.24, scale * height.max(0.1), Ink::tint(190, 66, 184), 0.8);
            }
        }
        b.smoke([x, 35.6, low + 1.6], t, share);
    }
    let blue = ((t * 40.0) as u32).is_multiple_of(2);
    b.light([-9.0, 28.0, 1.8], 2.0, if blue { Ink::tint(150, 190, 110) } else { Ink::tint(120, 100, 190) }, 0.7);
}

/// What stands between the actors and the camera.
pub(super) fn before(scene: Scene, b: &mut Brush<'_>, t: f32) {
    match scene {
        Scene::Gate => {
            b.block((-5.0, 15.0), (0.7, 0.7), (0.0, 4.6), WALL);
            b.block((5.0, 15.0), (0.7, 0.7), (0.0, 4.6), WALL);
            b.block((0.0, 15.0), (6.2, 0.5), (4.6, 5.6), WALL.lit(0.95));
            b.block((0.0, 13.6), (0.4, 0.5), (0.0, 1.6), Ink::grey(214));
            // The barrier is up while the car of this scene passes.
            let part = (t - 0.62).rem_euclid(1.0);
            let lift = if part < 0.3 { (part / 0.05).min(1.0).min((0.3 - part) / 0.05) } else { 0.0 };
            let (sin, cos) = (lift * 1.4).sin_cos();
            for piece in 0..6 {
                let (from, to) = (piece as f32 * 0.7, (piece + 1) as f32 * 0.7);
                let ink = b.ink(if piece % 2 == 0 { Ink::grey(226) } else { Ink::tint(110, 112, 180) });
                let at = |d: f32, z: f32| [0.4 + d * cos, 13.4, 1.0 + d * sin + z];
                b.view.face(b.canvas, &[at(from, 0.0), at(to, 0.0), at(to, 0.14), at(from, 0.14)], ink, 1.0);
            }
        }
        Scene::BusStop => {
            for x in [-3.0f32, 3.0] {
                b.block((x, 10.0), (0.08, 0.08), (0.0, 2.6), METAL);
            }
            b.block((0.0, 9.8), (3.6, 0.9), (2.6, 2.8), METAL.lit(0.8));
            b.block((0.0, 10.3), (2.2, 0.2), (0.35, 0.5), METAL);
            b.person((1.8, 9.6), 0.0, 1.7, (t * std::f32::consts::TAU * 3.0).sin() * 0.3, COAT[3]);
        }
        Scene::BikeShed => {
            for x in [-11.0f32, 0.0, 11.0] {
                b.block((x, 9.2), (0.08, 0.08), (0.0, 2.8), METAL);
            }
            b.block((0.0, 13.4), (11.4, 4.6), (3.2, 3.4), METAL);
        }
        Scene::LiftCabin => {
            let floor = 1 + ((t * 2.0 - 1.0).abs() * 16.0) as u32;
            b.person((-0.35, 1.75), 0.0, 1.7, (t * 18.85).sin() * 0.2, COAT[0]);
            b.person((0.45, 2.1), 0.0, 1.6, (t * 12.57).cos() * 0.2, COAT[3]);
            let scale = b.canvas.width / 160;
            let (x, y) = (b.canvas.width * 3 / 4, scale * 4);
            b.canvas.rect(x as f32, y as f32, (16 * scale) as f32, (11 * scale) as f32, Ink::grey(24), 1.0);
            super::mark::write(
                b.canvas,
                &format!("{floor:02}"),
                x + 2 * scale,
                y + 2 * scale,
                scale,
                Ink::tint(200, 100, 170),
            );
        }
        _ => {}
    }
}
