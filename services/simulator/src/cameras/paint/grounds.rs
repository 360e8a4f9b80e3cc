//! What stands still in each scene.

use super::{
    Ink, Scene,
    things::{Brush, COAT, GRASS, LINE, METAL, PAINT, PAVE, ROAD, WALL, chance},
};

fn skyline(b: &mut Brush<'_>, y: f32, seed: u32) {
    for index in 0..5u32 {
        let x = -62.0 + index as f32 * 26.0;
        b.building(
            (x, x + 20.0),
            y + 8.0 * chance(index, seed),
            12.0,
            6 + (chance(seed, index) * 5.0) as u32,
            seed + index,
        );
    }
}

fn open_ground(b: &mut Brush<'_>, ink: Ink) {
    b.sky();
    b.floor((-300.0, 300.0), (0.0, 900.0), ink);
}

/// A road along x = 0, `half` wide, with pavements and dashes.
fn street(b: &mut Brush<'_>, half: f32) {
    b.floor((-half - 3.0, half + 3.0), (0.0, 140.0), PAVE);
    b.floor((-half, half), (0.0, 140.0), ROAD);
    for index in 0..24 {
        let y = index as f32 * 6.0;
        b.floor((-0.08, 0.08), (y, y + 3.0), LINE);
    }
    b.floor((-half + 0.2, -half + 0.35), (0.0, 140.0), LINE.lit(0.8));
    b.floor((half - 0.35, half - 0.2), (0.0, 140.0), LINE.lit(0.8));
}

fn room(b: &mut Brush<'_>, x: f32, depth: f32, height: f32, wall: Ink, floor: Ink) {
    b.floor((-x, x), (0.0, depth), floor);
    b.floor_at((-x, x), (0.0, depth), height, Ink::grey(206));
    b.wall((-x, 0.0), (-x, depth), (0.0, height), wall.lit(0.86));
    b.wall((x, 0.0), (x, depth), (0.0, height), wall.lit(0.94));
    b.wall((-x, depth), (x, depth), (0.0, height), wall);
    b.wall((-x, depth), (x, depth), (0.0, 0.12), wall.lit(0.6));
}

fn ceiling_lamps(b: &mut Brush<'_>, depth: f32, height: f32, step: f32) {
    let mut y = step / 2.0;
    while y < depth {
        b.floor_at((-0.5, 0.5), (y, y + 0.35), height - 0.01, Ink::grey(234));
        y += step;
    }
}

/// Paints what stands still in a scene.
#[allow(clippy::too_many_lines, reason = "a list of scenes")]
pub(super) fn background(scene: Scene, b: &mut Brush<'_>) {
    match scene {
        Scene::Road => {
            open_ground(b, GRASS);
            skyline(b, 120.0, 3);
            street(b, 4.5);
            b.flank(-16.0, (110.0, 22.0), 7, 4);
            b.flank(17.0, (110.0, 26.0), 8, 9);
            for index in (1..8).rev() {
                let y = 12.0 + index as f32 * 11.0;
                b.tree((-8.5, y), 5.5);
                b.tree((8.8, y + 4.0), 5.0);
                if index % 2 == 0 {
                    b.lamp((6.2, y), 6.5);
                }
            }
        }
        Scene::Crossing => {
            open_ground(b, GRASS);
            skyline(b, 70.0, 11);
            street(b, 4.5);
            b.floor((-120.0, 120.0), (24.0, 33.0), ROAD);
            b.floor((-4.5, 4.5), (20.0, 36.0), ROAD);
            for index in 0..9 {
                let x = -4.2 + index as f32;
                b.floor((x, x + 0.5), (18.5, 21.5), LINE);
                b.floor((x, x + 0.5), (35.5, 38.5), LINE);
            }
            b.building((12.0, 44.0), 46.0, 14.0, 8, 5);
            b.building((-52.0, -14.0), 50.0, 14.0, 7, 6);
            for at in [(-9.0, 38.0), (9.0, 40.0), (-8.0, 17.0), (-16.0, 20.0)] {
                b.tree(at, 5.0);
            }
            b.lamp((7.0, 37.0), 7.0);
            b.lamp((-7.0, 19.0), 7.0);
        }
        Scene::Courtyard => {
            open_ground(b, PAVE);
            b.building((-44.0, 40.0), 56.0, 12.0, 9, 21);
            b.flank(-26.0, (56.0, 16.0), 8, 22);
            b.flank(28.0, (56.0, 20.0), 8, 23);
            b.floor((-14.0, 2.0), (26.0, 46.0), GRASS);
            b.floor((8.0, 22.0), (18.0, 40.0), GRASS);
            for at in [(-10.0, 42.0), (-4.0, 36.0), (12.0, 36.0), (18.0, 30.0), (-12.0, 29.0), (11.0, 22.0)] {
                b.tree(at, 5.2);
            }
            b.block((5.0, 27.0), (1.0, 0.25), (0.0, 0.45), METAL);
            b.lamp((4.6, 34.0), 5.0);
            b.lamp((-17.0, 24.0), 5.0);
        }
        Scene::Gate => {
            open_ground(b, PAVE);
            b.building((-40.0, -8.0), 60.0, 12.0, 7, 31);
            b.building((4.0, 46.0), 64.0, 12.0, 8, 32);
            street(b, 4.0);
            for index in (0..4).rev() {
                b.tree((-9.0, 22.0 + index as f32 * 8.0), 5.0);
                b.tree((10.0, 24.0 + index as f32 * 8.0), 5.5);
            }
            b.lamp((-6.6, 20.0), 6.0);
        }
        Scene::Parking => {
            open_ground(b, ROAD.lit(1.15));
            skyline(b, 62.0, 41);
            b.floor((-80.0, 80.0), (50.0, 58.0), GRASS);
            for row in [44.0f32, 36.0, 18.0] {
                for place in 0..17u32 {
                    let x = -24.0 + place as f32 * 3.0;
                    b.floor((x - 1.5, x - 1.4), (row - 2.6, row + 2.6), LINE);
                    if chance(place, row as u32) > 0.28 {
                        b.car((x, row), 0.0, PAINT[(chance(place, 77 + row as u32) * 5.0) as usize % 5], false);
                    }
                }
            }
            b.lamp((-12.0, 40.0), 8.0);
            b.lamp((14.0, 40.0), 8.0);
        }
        Scene::Square => {
            open_ground(b, PAVE.lit(1.05));
            skyline(b, 84.0, 51);
            for index in 0..16 {
                let y = 10.0 + index as f32 * 4.0;
                b.floor((-60.0, 60.0), (y, y + 0.1), PAVE.lit(0.9));
            }
            b.floor((-9.0, 9.0), (36.0, 52.0), PAVE.lit(0.84));
            b.block((0.0, 44.0), (1.6, 1.6), (0.0, 0.9), Ink::grey(170));
            b.block((0.0, 44.0), (0.12, 0.12), (0.9, 11.0), Ink::grey(190));
            for index in 0..8 {
                let x = -35.0 + index as f32 * 10.0;
                b.tree((x, 66.0), 6.0);
            }
            for x in [-20.0, 20.0] {
                b.lamp((x, 50.0), 8.0);
                b.lamp((x * 0.8, 26.0), 8.0);
            }
        }
        Scene::SchoolGate => {
            open_ground(b, PAVE);
            b.building((-30.0, 34.0), 58.0, 14.0, 4, 61);
            b.floor((-60.0, 60.0), (8.0, 15.0), ROAD);
            for index in 0..13 {
                let x = -5.6 + index as f32 * 0.9;
                b.floor((x, x + 0.45), (8.2, 14.8), LINE);
            }
            b.wall((-40.0, 26.0), (-6.0, 26.0), (0.0, 1.9), WALL.lit(0.95));
            b.wall((6.0, 26.0), (40.0, 26.0), (0.0, 1.9), WALL.lit(0.95));
            b.block((-6.0, 26.0), (0.6, 0.6), (0.0, 3.6), WALL);
            b.block((6.0, 26.0), (0.6, 0.6), (0.0, 3.6), WALL);
            b.block((0.0, 26.2), (6.6, 0.4), (3.6, 4.5), Ink::tint(150, 122, 136));
            for x in [-22.0, -14.0, 13.0, 21.0] {
                b.tree((x, 31.0), 5.5);
            }
            b.lamp((9.5, 17.0), 6.5);
        }
        Scene::Playground => {
            open_ground(b, GRASS);
            b.building((-50.0, 20.0), 72.0, 14.0, 4, 71);
            b.building((26.0, 58.0), 76.0, 14.0, 4, 72);
            b.floor((-26.0, 26.0), (12.0, 58.0), Ink::tint(120, 122, 138));
            b.floor((-20.0, 20.0), (18.0, 52.0), Ink::tint(122, 120, 124));
            for x in [-23.0, 23.0] {
                b.floor((x - 0.06, x + 0.06), (12.0, 58.0), LINE);
            }
            b.floor((-20.0, 20.0), (35.0, 35.2), LINE);
            for x in [-14.0f32, 14.0] {
                b.block((x, 52.0), (0.1, 0.1), (0.0, 3.2), METAL);
                b.wall((x - 1.0, 51.9), (x + 1.0, 51.9), (2.6, 3.6), Ink::grey(190));
            }
            b.lamp((-27.0, 34.0), 9.0);
            b.lamp((27.0, 40.0), 9.0);
        }
        Scene::Roof => {
            b.sky();
            for index in 0..6u32 {
                let x = -90.0 + index as f32 * 34.0;
                b.building((x, x + 24.0), 120.0 + 20.0 * chance(index, 5), 12.0, 3, 80 + index);
            }
            b.floor((-16.0, 16.0), (0.0, 34.0), Ink::grey(138));
            b.block((0.0, 34.0), (16.0, 0.2), (0.0, 1.1), WALL);
            b.block((-16.0, 17.0), (0.2, 17.0), (0.0, 1.1), WALL);
            b.block((16.0, 17.0), (0.2, 17.0), (0.0, 1.1), WALL);
            b.block((8.0, 24.0), (3.0, 2.4), (0.0, 2.7), WALL);
            b.wall((7.0, 21.55), (8.2, 21.55), (0.0, 2.1), Ink::grey(80));
            for index in 0..4 {
                b.block((-11.0 + index as f32 * 3.4, 20.0), (1.2, 0.8), (0.2, 1.4), METAL);
            }
            b.lamp((2.0, 30.0), 3.0);
        }
        Scene::ShopRow => {
            open_ground(b, PAVE);
            b.floor((-8.0, -1.0), (0.0, 140.0), ROAD);
            b.flank(9.0, (100.0, 8.0), 6, 91);
            for shop in (0..11).rev() {
                let y = 8.0 + shop as f32 * 8.0;
                b.wall((8.95, y + 0.4), (8.95, y + 7.4), (0.0, 3.0), Ink::tint(70, 130, 126));
                let sign =
                    Ink::tint(120 + (shop * 29 % 60) as u8, 118 + (shop * 7 % 14) as u8, 124 + (shop * 5 % 14) as u8);
                b.wall((8.9, y + 0.2), (8.9, y + 7.6), (3.0, 3.9), sign);
                if b.night {
                    b.view.wall(b.canvas, (8.9, y + 1.0), (8.9, y + 6.6), (0.4, 2.6), Ink::tint(150, 116, 138));
                }
            }
            for index in (0..6).rev() {
                b.tree((1.0, 14.0 + index as f32 * 13.0), 4.8);
            }
            b.lamp((0.2, 20.0), 6.0);
            b.lamp((0.2, 46.0), 6.0);
        }
        Scene::BusStop => {
            open_ground(b, PAVE);
            skyline(b, 54.0, 101);
            b.floor((-120.0, 120.0), (13.0, 21.0), ROAD);
            b.floor((-120.0, 120.0), (16.9, 17.1), LINE);
            for index in 0..7 {
                b.tree((-28.0 + index as f32 * 9.5, 28.0), 5.5);
            }
            b.lamp((-9.0, 23.0), 7.0);
        }
        Scene::FireLane => {
            open_ground(b, PAVE);
            b.building((-16.0, 16.0), 92.0, 12.0, 9, 111);
            b.flank(-7.5, (90.0, 4.0), 9, 112);
            b.flank(7.5, (90.0, 4.0), 9, 113);
            b.floor((-3.2, 3.2), (0.0, 92.0), ROAD.lit(1.1));
            for index in 0..12 {
                let y = 6.0 + index as f32 * 4.0;
                b.view.face(
                    b.canvas,
                    &[[-3.0, y, 0.01], [-2.2, y, 0.01], [3.0, y + 2.6, 0.01], [2.2, y + 2.6, 0.01]],
                    if b.night { Ink::tint(60, 110, 134) } else { Ink::tint(176, 100, 136) },
                    0.7,
                );
            }
            b.lamp((-5.6, 26.0), 5.0);
        }
        Scene::BikeShed => {
            open_ground(b, PAVE);
            b.building((-40.0, 40.0), 30.0, 12.0, 7, 121);
            b.floor((-11.0, 11.0), (9.0, 18.0), Ink::grey(132));
            b.wall((-11.0, 18.0), (11.0, 18.0), (0.0, 2.6), METAL.lit(0.8));
            for index in 0..16u32 {
                if chance(index, 8) > 0.2 {
                    b.bicycle((-10.2 + index as f32 * 1.35, 16.4), COAT[index as usize % 6]);
                }
            }
            for index in 0..5 {
                b.wall(
                    (-9.0 + index as f32 * 4.5, 17.9),
                    (-8.6 + index as f32 * 4.5, 17.9),
                    (1.2, 1.8),
                    Ink::tint(170, 120, 120),
                );
            }
            b.lamp((13.0, 20.0), 5.0);
        }
        Scene::Footpath => {
            open_ground(b, GRASS);
            skyline(b, 80.0, 131);
            b.face_path();
            for index in (0..8).rev() {
                let y = 12.0 + index as f32 * 8.0;
                b.tree((-4.6, y), 4.6);
                b.tree((5.2, y + 3.0), 5.0);
                if index % 3 == 0 {
                    b.lamp((2.4, y), 4.0);
                }
            }
        }
        Scene::Entrance => {
            open_ground(b, PAVE);
            b.building((-26.0, 26.0), 20.0, 12.0, 6, 141);
            b.wall((-1.9, 19.9), (1.9, 19.9), (0.0, 2.9), Ink::grey(60));
            b.block((0.0, 18.6), (3.0, 1.5), (2.9, 3.3), WALL.lit(0.9));
            b.block((0.0, 19.0), (2.8, 1.0), (0.0, 0.15), PAVE.lit(1.1));
            b.floor((-26.0, -5.0), (15.0, 19.6), GRASS);
            b.floor((5.0, 26.0), (15.0, 19.6), GRASS);
            for x in [-14.0, -9.0, 9.5, 15.0] {
                b.tree((x, 17.5), 3.2);
            }
            b.light([0.0, 18.0, 2.8], if b.night { 2.6 } else { 0.01 }, Ink::tint(226, 118, 136), 0.8);
            b.lamp((-6.5, 12.5), 5.0);
        }
        Scene::Facade | Scene::Fire => {
            open_ground(b, PAVE);
            b.building((-21.0, 24.0), 36.0, 14.0, 10, 151);
            for index in 0..9 {
                b.tree((-22.0 + index as f32 * 5.6, 31.0), 3.6);
            }
            b.lamp((-12.0, 27.0), 4.5);
            b.lamp((9.0, 27.0), 4.5);
        }
        Scene::Garden => {
            open_ground(b, GRASS);
            skyline(b, 66.0, 161);
            b.floor((-3.0, 0.0), (6.0, 60.0), PAVE);
            b.floor((-30.0, 30.0), (24.0, 27.0), PAVE);
            for at in [(-8.0, 40.0), (7.0, 38.0), (14.0, 32.0), (-15.0, 30.0), (9.0, 20.0), (-9.0, 18.0), (17.0, 18.0)]
            {
                b.tree(at, 5.0);
            }
            b.block((4.0, 28.5), (1.0, 0.25), (0.0, 0.45), METAL);
            b.block((9.0, 28.5), (1.0, 0.25), (0.0, 0.45), METAL);
            b.block((-12.0, 36.0), (2.4, 2.4), (0.0, 0.3), PAVE);
            b.block((-12.0, 36.0), (2.6, 2.6), (2.6, 3.1), Ink::tint(110, 122, 136));
            b.lamp((1.4, 23.0), 4.0);
        }
        Scene::Perimeter => {
            open_ground(b, GRASS);
            skyline(b, 90.0, 171);
            b.floor((-4.0, 3.0), (0.0, 120.0), PAVE);
            b.wall((8.0, 110.0), (8.0, 3.0), (0.0, 2.4), WALL.lit(0.9));
            for index in (0..18).rev() {
                let y = 5.0 + index as f32 * 5.5;
                b.block((8.0, y), (0.25, 0.25), (0.0, 2.7), WALL);
            }
            for index in (0..6).rev() {
                b.tree((-7.0, 16.0 + index as f32 * 12.0), 6.0);
            }
            b.lamp((4.6, 22.0), 5.5);
            b.lamp((4.6, 50.0), 5.5);
        }
        Scene::LiftHall => {
            room(b, 3.6, 7.0, 2.8, Ink::tint(188, 126, 130), Ink::grey(140));
            ceiling_lamps(b, 7.0, 2.8, 3.4);
            for x in [-2.0f32, 0.4] {
                b.wall((x - 0.75, 6.98), (x + 0.75, 6.98), (0.0, 2.3), Ink::grey(92));
            }
            b.wall((1.6, 6.98), (1.85, 6.98), (1.1, 1.5), Ink::grey(60));
            b.wall((3.58, 3.0), (3.58, 5.0), (0.9, 2.1), Ink::tint(200, 130, 126));
        }
        Scene::Corridor => {
            room(b, 1.3, 24.0, 2.7, Ink::tint(196, 126, 129), Ink::tint(128, 126, 130));
            ceiling_lamps(b, 24.0, 2.7, 4.0);
            for index in (0..5).rev() {
                let y = 4.0 + index as f32 * 4.2;
                b.wall((-1.29, y), (-1.29, y + 1.1), (0.0, 2.1), Ink::tint(104, 122, 136));
                b.wall((1.29, y + 2.0), (1.29, y + 3.1), (0.0, 2.1), Ink::tint(104, 122, 136));
            }
            b.block((1.1, 7.2), (0.14, 0.3), (0.2, 0.9), Ink::tint(96, 116, 170));
            b.wall((-0.6, 23.9), (0.6, 23.9), (1.0, 2.2), Ink::grey(226));
        }
        Scene::Stairwell => {
            room(b, 2.4, 8.0, 5.4, Ink::tint(184, 126, 129), Ink::grey(132));
            for step in (0..14).rev() {
                let (y, z) = (2.6 + step as f32 * 0.3, step as f32 * 0.17);
                b.block((0.9, y + 0.15), (1.3, 0.15), (z, z + 0.17), Ink::grey(150));
            }
            b.block((1.0, 7.4), (1.4, 0.6), (2.3, 2.45), Ink::grey(150));
            b.wall((1.2, 7.98), (2.2, 7.98), (3.2, 4.3), Ink::grey(222));
            b.floor_at((-1.6, -0.6), (4.0, 5.0), 5.39, Ink::grey(234));
        }
        Scene::PumpRoom => {
            room(b, 5.0, 10.0, 3.6, Ink::grey(160), Ink::tint(116, 124, 124));
            for index in 0..4 {
                let x = -3.6 + index as f32 * 2.3;
                b.block((x, 7.4), (0.7, 0.5), (0.0, 0.3), Ink::grey(120));
                b.block((x, 7.4), (0.4, 0.34), (0.3, 1.5), Ink::tint(104, 138, 120));
                b.block((x, 8.6), (0.12, 0.12), (0.6, 3.2), Ink::tint(120, 118, 150));
            }
            b.block((0.0, 8.8), (4.6, 0.14), (2.9, 3.2), Ink::tint(120, 118, 150));
            b.block((0.0, 9.3), (4.6, 0.12), (0.5, 0.75), Ink::grey(130));
            b.wall((-4.98, 4.0), (-4.98, 6.0), (0.6, 2.2), Ink::grey(176));
            ceiling_lamps(b, 10.0, 3.6, 4.0);
        }
        Scene::PowerRoom => {
            room(b, 3.4, 11.0, 3.0, Ink::grey(176), Ink::grey(124));
            for index in (0..7).rev() {
                let y = 3.0 + index as f32 * 1.1;
                b.block((2.7, y), (0.6, 0.52), (0.0, 2.2), Ink::grey(148));
                b.wall((2.08, y - 0.3), (2.08, y + 0.3), (1.5, 1.9), Ink::grey(60));
            }
            for index in 0..3 {
                b.block((-2.2 + index as f32 * 1.4, 10.4), (0.6, 0.4), (0.0, 2.1), Ink::grey(150));
            }
            ceiling_lamps(b, 11.0, 3.0, 3.2);
        }
        Scene::Garage => {
            room(b, 15.0, 46.0, 3.3, Ink::grey(122), Ink::grey(104));
            b.floor_at((-15.0, 15.0), (0.0, 46.0), 3.29, Ink::grey(112));
            for index in (0..6).rev() {
                let y = 8.0 + index as f32 * 6.4;
                for x in [-12.0f32, 11.5] {
                    if chance(index, x.abs() as u32) > 0.3 {
                        let paint = PAINT[(chance(index, 5 + x.abs() as u32) * 5.0) as usize % 5];
                        b.car((x, y + 2.6), if x < 0.0 { -1.57 } else { 1.57 }, paint.lit(0.8), false);
                    }
                }
                b.block((-6.6, y), (0.35, 0.35), (0.0, 3.3), Ink::grey(150));
                b.block((6.6, y), (0.35, 0.35), (0.0, 3.3), Ink::grey(150));
                b.floor_at((-0.9, 0.9), (y, y + 0.3), 3.28, Ink::grey(226));
            }
        }
        Scene::Lobby => {
            room(b, 4.6, 9.0, 3.2, Ink::tint(186, 125, 131), Ink::grey(158));
            b.wall((-1.6, 8.98), (1.6, 8.98), (0.0, 2.5), Ink::tint(214, 130, 126));
            b.wall((-0.03, 8.97), (0.03, 8.97), (0.0, 2.5), Ink::grey(90));
            for row in 0..4 {
                for column in 0..6 {
                    let y = 4.0 + column as f32 * 0.5;
                    let z = 0.9 + row as f32 * 0.32;
                    b.wall((-4.58, y), (-4.58, y + 0.44), (z, z + 0.27), Ink::grey(120));
                }
            }
            b.block((3.2, 6.5), (0.9, 0.5), (0.0, 1.0), Ink::tint(110, 122, 134));
            ceiling_lamps(b, 9.0, 3.2, 3.0);
        }
        Scene::LiftCabin => {
            room(b, 1.3, 2.8, 2.5, Ink::grey(166), Ink::grey(112));
            b.wall((-0.7, 2.79), (0.7, 2.79), (0.0, 2.1), Ink::grey(146));
            b.wall((0.9, 2.78), (1.15, 2.78), (0.9, 1.7), Ink::grey(90));
        }
        Scene::Black => {}
    }
}

impl Brush<'_> {
    /// A path that winds away from the camera.
    fn face_path(&mut self) {
        let ink = self.ink(PAVE);
        for index in (0..30).rev() {
            let (y0, y1) = (index as f32 * 2.5, (index + 1) as f32 * 2.5);
            let bend = |y: f32| (y * 0.09).sin() * 1.2;
            let corners = [
                [bend(y0) - 1.2, y0, 0.0],
                [bend(y0) + 1.2, y0, 0.0],
                [bend(y1) + 1.2, y1, 0.0],
                [bend(y1) - 1.2, y1, 0.0],
            ];
            self.view.face(self.canvas, &corners, ink, 1.0);
        }
    }
}
