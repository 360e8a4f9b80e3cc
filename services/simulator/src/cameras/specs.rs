//! Simulated cameras for a site: the same site always gives the same cameras.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use domain::site::{Camera, Site};

use super::{Auth, CameraSpec, Codec, Credentials, Scene, WriteMode};

/// The loopback address of camera `number`: 127.0.1.1 for the first, its own for each.
pub fn address_of(number: u16, port: u16) -> SocketAddr {
    let place = number.saturating_sub(1);
    let (third, fourth) = (1 + place / 250, 1 + place % 250);
    let octet = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, octet(third), octet(fourth))), port)
}

/// Scenes whose mains are H.265. Few of them, because such a film takes five times as long to make.
const H265_SCENES: [Scene; 4] = [Scene::Gate, Scene::Parking, Scene::Square, Scene::LiftHall];

/// The coding of the main stream of a camera that sees `scene`.
pub fn main_codec(scene: Scene) -> Codec {
    if H265_SCENES.contains(&scene) { Codec::H265 } else { Codec::H264 }
}

/// One simulated camera for each camera of the site, all at `port` of their own addresses. Some mains are H.265 (by
/// scene); authorisation and write mode differ from camera to camera.
pub fn specs(site: &Site, port: u16, night: bool, credentials: &Credentials) -> Vec<CameraSpec> {
    site.cameras.iter().map(|camera| spec(camera, port, night, credentials)).collect()
}

fn spec(camera: &Camera, port: u16, night: bool, credentials: &Credentials) -> CameraSpec {
    let number = camera.number;
    let auth = match number % 4 {
        0 | 2 => Auth::Basic,
        1 => Auth::DigestQop,
        _ => Auth::Digest,
    };
    let scene = scene(camera);
    CameraSpec {
        id: camera.id.clone(),
        number,
        scene,
        night,
        marked: false,
        auth,
        credentials: credentials.clone(),
        address: address_of(number, port),
        main_codec: main_codec(scene),
        write_mode: if (number / 4).is_multiple_of(2) { WriteMode::Frame } else { WriteMode::Packet },
    }
}

/// Words of a camera's name, in the order in which they decide, and what such cameras see.
const WORDS: [(&str, &[Scene]); 39] = [
    ("电梯轿厢", &[Scene::LiftCabin]),
    ("轿厢", &[Scene::LiftCabin]),
    ("电梯", &[Scene::LiftHall]),
    ("走廊", &[Scene::Corridor]),
    ("楼道", &[Scene::Corridor]),
    ("楼梯", &[Scene::Stairwell]),
    ("水泵", &[Scene::PumpRoom]),
    ("泵房", &[Scene::PumpRoom]),
    ("配电", &[Scene::PowerRoom]),
    ("车库", &[Scene::Garage]),
    ("地下", &[Scene::Garage]),
    ("门厅", &[Scene::Lobby]),
    ("大堂", &[Scene::Lobby]),
    ("大厅", &[Scene::Lobby]),
    ("操场", &[Scene::Playground]),
    ("校", &[Scene::SchoolGate]),
    ("消防", &[Scene::FireLane]),
    ("车棚", &[Scene::BikeShed]),
    ("充电", &[Scene::BikeShed]),
    ("停车", &[Scene::Parking]),
    ("广场", &[Scene::Square]),
    ("公交", &[Scene::BusStop]),
    ("商铺", &[Scene::ShopRow]),
    ("商业", &[Scene::ShopRow]),
    ("屋顶", &[Scene::Roof]),
    ("楼顶", &[Scene::Roof]),
    ("对面", &[Scene::ShopRow]),
    ("转角", &[Scene::BusStop]),
    ("旁", &[Scene::BikeShed, Scene::ShopRow, Scene::BusStop, Scene::Road]),
    ("步道", &[Scene::Footpath, Scene::FireLane, Scene::Perimeter]),
    ("路口", &[Scene::Crossing, Scene::Crossing, Scene::Entrance]),
    ("中庭", &[Scene::Courtyard, Scene::Garden]),
    ("花园", &[Scene::Garden]),
    ("绿地", &[Scene::Garden]),
    ("围墙", &[Scene::Perimeter]),
    ("单元", &[Scene::Entrance]),
    ("门", &[Scene::Gate]),
    ("路", &[Scene::Road]),
    ("道", &[Scene::Footpath]),
];

/// Outdoor scenes for cameras whose names say nothing, many of them by a building.
const OUTDOOR: [Scene; 8] = [
    Scene::Courtyard,
    Scene::Facade,
    Scene::Entrance,
    Scene::Footpath,
    Scene::Garden,
    Scene::FireLane,
    Scene::Perimeter,
    Scene::Parking,
];
const INDOOR: [Scene; 4] = [Scene::LiftHall, Scene::Corridor, Scene::Stairwell, Scene::Lobby];

fn scene(camera: &Camera) -> Scene {
    let turn = usize::from(camera.number).wrapping_mul(7);
    let named = WORDS
        .iter()
        .find(|(word, scenes)| camera.name.zh.contains(word) && scenes.iter().all(|s| s.outdoor() != camera.indoor));
    let choice: &[Scene] = match named {
        Some((_, scenes)) => scenes,
        None if camera.indoor => &INDOOR,
        None => &OUTDOOR,
    };
    choice.get(turn % choice.len()).copied().unwrap_or(Scene::Road)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::{ids::*, site::*};

    use super::*;

    fn camera(number: u16, zh: &str, indoor: bool) -> Camera {
        Camera {
            id: CameraId::new(format!("c{number:03}")),
            number,
            grid: GridId::new("53062100200101"),
            building: None,
            name: Name { zh: zh.into(), en: String::new() },
            at: Point { x: 0.0, y: 0.0 },
            heading: 0.0,
            indoor,
        }
    }

    #[test]
    fn names_choose_scenes_and_never_an_indoor_scene_outdoors() {
        assert_eq!(scene(&camera(1, "16栋电梯厅", true)), Scene::LiftHall);
        assert_eq!(scene(&camera(3, "12栋南侧路口", false)), Scene::Crossing);
        assert_eq!(scene(&camera(3, "学校北门", false)), Scene::SchoolGate);
        assert_eq!(scene(&camera(4, "二号路东段", false)), Scene::Road);
        assert_eq!(scene(&camera(5, "6层走廊", true)), Scene::Corridor);
        assert!(scene(&camera(6, "电梯旁", false)).outdoor());
        assert!(!scene(&camera(7, "东门", true)).outdoor());
    }

    #[test]
    fn every_camera_has_its_own_loopback_address() {
        let all: std::collections::BTreeSet<_> = (1..=500).map(|n| address_of(n, 8554)).collect();
        assert_eq!(all.len(), 500);
        assert!(all.iter().all(|a| a.ip().is_loopback()));
    }

    #[test]
    fn the_site_shows_many_scenes_and_a_few_h265_mains() {
        let site = site::built_in();
        let credentials = Credentials { user: "a".into(), password: "b".into() };
        let made = specs(&site, 8554, false, &credentials);
        let mut count = std::collections::BTreeMap::new();
        made.iter().for_each(|s| *count.entry(s.scene).or_insert(0) += 1);
        let most = count.values().copied().max().unwrap();
        let h265 = made.iter().filter(|s| s.main_codec == Codec::H265).count();
        assert_eq!((made.len(), &made), (237, &specs(&site, 8554, false, &credentials)));
        assert!(count.len() >= 20 && most <= 60, "{count:?}");
        assert!((10..=60).contains(&h265), "{h265}");
        for camera in &site.cameras {
            let scene = made.iter().find(|s| s.id == camera.id).unwrap().scene;
            assert_eq!(scene.outdoor(), !camera.indoor, "{} sees {scene:?}", camera.name.zh);
        }
    }

    #[test]
    fn all_ways_of_asking_occur() {
        let credentials = Credentials { user: "a".into(), password: "b".into() };
        let made: Vec<_> = (1..=40).map(|n| spec(&camera(n, "", false), 8554, false, &credentials)).collect();
        for auth in [Auth::Basic, Auth::Digest, Auth::DigestQop] {
            for mode in [WriteMode::Frame, WriteMode::Packet] {
                assert!(made.iter().any(|s| s.auth == auth && s.write_mode == mode), "{auth:?} {mode:?}");
            }
        }
        let h265 = made.iter().filter(|s| s.main_codec == Codec::H265).count();
        assert!(h265 > 0 && h265 < made.len() / 3, "{h265} of {}", made.len());
    }
}
