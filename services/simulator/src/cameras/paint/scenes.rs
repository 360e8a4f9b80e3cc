//! The scenes that cameras see, each a background, a few things that move on it and what stands before them.
//! Every scene is a loop: the last frame is followed by the first without a jump of what moves.

use super::{
    Canvas, Ink,
    grounds::background,
    motion::{actors, before, moving},
    things::{Actor, Brush},
    view::View,
};

macro_rules! scenes {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $outdoor:literal;)*) => {
        /// What a camera looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Scene { $($(#[$doc])* $name,)* }
        impl Scene {
            /// All scenes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Short name, as in requests and file names.
            pub fn id(self) -> &'static str { match self { $(Self::$name => $id,)* } }
            /// Whether night changes it.
            pub fn outdoor(self) -> bool { match self { $(Self::$name => $outdoor,)* } }
        }
    };
}

scenes! {
    /// A road along the view.
    Road = "road", true;
    /// Two roads crossing.
    Crossing = "crossing", true;
    /// Yard between buildings.
    Courtyard = "courtyard", true;
    /// Gate with a barrier.
    Gate = "gate", true;
    /// Rows of parked cars.
    Parking = "parking", true;
    /// The square.
    Square = "square", true;
    /// Gate of the school.
    SchoolGate = "school-gate", true;
    /// Playground of the school.
    Playground = "playground", true;
    /// A flat roof.
    Roof = "roof", true;
    /// A row of shops.
    ShopRow = "shop-row", true;
    /// A bus stop.
    BusStop = "bus-stop", true;
    /// A fire lane between two buildings.
    FireLane = "fire-lane", true;
    /// A shed for bicycles and e-bikes.
    BikeShed = "bike-shed", true;
    /// A footpath between trees.
    Footpath = "footpath", true;
    /// Door of a building.
    Entrance = "entrance", true;
    /// Front of a building.
    Facade = "facade", true;
    /// A garden with benches.
    Garden = "garden", true;
    /// A wall along the edge of the site.
    Perimeter = "perimeter", true;
    /// Hall before the lifts.
    LiftHall = "lift-hall", false;
    /// A corridor of flats.
    Corridor = "corridor", false;
    /// A flight of stairs.
    Stairwell = "stairwell", false;
    /// Pumps and pipes.
    PumpRoom = "pump-room", false;
    /// Switch cabinets.
    PowerRoom = "power-room", false;
    /// Garage under the ground.
    Garage = "garage", false;
    /// Entrance hall.
    Lobby = "lobby", false;
    /// Inside of a lift.
    LiftCabin = "lift-cabin", false;
    /// A fire on an upper floor, which grows over the loop.
    Fire = "fire", true;
    /// Nothing: a covered or dead sensor.
    Black = "black", false;
}

impl std::str::FromStr for Scene {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|s| s.id() == text).ok_or(())
    }
}

/// One scene ready to be painted frame by frame.
pub(crate) struct Reel {
    scene: Scene,
    night: bool,
    ground: Canvas,
    actors: Vec<Actor>,
}

impl Reel {
    /// Paints what stands still. `night` only matters outdoors.
    pub(crate) fn new(scene: Scene, night: bool, width: usize, height: usize) -> Self {
        let night = (night && scene.outdoor()) || scene == Scene::Fire;
        let mut ground = Canvas::new(width, height, Ink::BLACK);
        if scene != Scene::Black {
            let mut brush = Brush { canvas: &mut ground, view: view(scene), night };
            background(scene, &mut brush);
        }
        Self { scene, night, ground, actors: actors(scene) }
    }

    /// Paints the frame at loop part `t`, 0 to 1.
    pub(crate) fn frame(&self, t: f32) -> Canvas {
        let mut canvas = self.ground.clone();
        if self.scene != Scene::Black {
            let view = view(self.scene);
            let mut brush = Brush { canvas: &mut canvas, view, night: self.night };
            moving(self.scene, &mut brush, t);
            let mut here: Vec<_> =
                self.actors.iter().filter_map(|a| Some((view.depth([a.at(t)?.0.0, a.at(t)?.0.1, 0.0]), a))).collect();
            here.sort_by(|a, b| b.0.total_cmp(&a.0));
            here.iter().for_each(|(_, actor)| actor.draw(&mut brush, t));
            before(self.scene, &mut brush, t);
        }
        canvas
    }
}

fn view(scene: Scene) -> View {
    match scene {
        Scene::Road => View::new(6.0, 0.26, 0.06, 0.78),
        Scene::Crossing => View::new(8.0, 0.34, -0.2, 0.72),
        Scene::Courtyard => View::new(7.0, 0.24, 0.12, 0.72),
        Scene::Gate => View::new(4.6, 0.16, -0.1, 0.8),
        Scene::Parking => View::new(7.5, 0.36, 0.1, 0.74),
        Scene::Square => View::new(8.0, 0.28, 0.0, 0.7),
        Scene::SchoolGate => View::new(5.0, 0.18, 0.14, 0.78),
        Scene::Playground => View::new(7.0, 0.28, -0.1, 0.72),
        Scene::Roof => View::new(3.2, 0.16, 0.1, 0.74),
        Scene::ShopRow => View::new(4.6, 0.16, 0.55, 0.76),
        Scene::BusStop => View::new(4.2, 0.16, -0.25, 0.8),
        Scene::FireLane => View::new(4.4, 0.2, 0.0, 0.82),
        Scene::BikeShed => View::new(3.8, 0.26, -0.2, 0.72),
        Scene::Footpath => View::new(4.0, 0.2, 0.08, 0.8),
        Scene::Entrance => View::new(4.0, 0.22, -0.12, 0.86),
        Scene::Facade => View::new(9.0, -0.06, 0.08, 0.72),
        Scene::Garden => View::new(5.0, 0.26, 0.1, 0.76),
        Scene::Perimeter => View::new(4.0, 0.16, 0.3, 0.8),
        Scene::LiftHall => View::new(2.5, 0.2, 0.22, 0.6),
        Scene::Corridor => View::new(2.4, 0.12, 0.0, 0.62),
        Scene::Stairwell => View::new(3.4, 0.2, 0.1, 0.6),
        Scene::PumpRoom => View::new(2.8, 0.24, -0.16, 0.6),
        Scene::PowerRoom => View::new(2.6, 0.16, 0.26, 0.62),
        Scene::Garage => View::new(2.5, 0.1, -0.1, 0.66),
        Scene::Lobby => View::new(2.7, 0.16, 0.16, 0.6),
        Scene::LiftCabin => View::new(2.2, 0.48, 0.0, 0.5),
        Scene::Fire => View::new(9.0, -0.1, 0.04, 0.8),
        Scene::Black => View::new(1.0, 0.0, 0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_scene_is_distinct_and_moves() {
        let mut seen = std::collections::BTreeSet::new();
        for scene in Scene::ALL.iter().copied().filter(|s| *s != Scene::Black) {
            let film = Reel::new(scene, false, 320, 168);
            let frames: Vec<_> = (0..10).map(|i| film.frame(i as f32 / 10.0).data).collect();
            assert!(frames.windows(2).all(|f| f[0] != f[1]), "{scene:?} stands still");
            assert!(seen.insert(frames.into_iter().next().unwrap()), "{scene:?} looks like another");
        }
        assert!(seen.len() >= 20);
    }

    #[test]
    fn night_is_darker_outdoors_and_the_same_indoors() {
        let mean = |scene, night| {
            let frame = Reel::new(scene, night, 320, 168).frame(0.3);
            frame.data[..320 * 168].iter().map(|p| u64::from(*p)).sum::<u64>() / (320 * 168)
        };
        for scene in Scene::ALL.iter().copied().filter(|s| !matches!(s, Scene::Fire | Scene::Black)) {
            let (day, night) = (mean(scene, false), mean(scene, true));
            assert!(if scene.outdoor() { night * 2 < day } else { night == day }, "{scene:?}: {day} {night}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for scene in Scene::ALL {
            assert_eq!(scene.id().parse(), Ok(*scene));
        }
    }
}
