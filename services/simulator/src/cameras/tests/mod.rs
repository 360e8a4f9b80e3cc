//! Cameras as clients see them: bytes on real sockets, pictures through real decoders.
#![allow(clippy::unwrap_used)]

mod pictures;
mod protocol;

use std::path::PathBuf;

use super::*;

/// Films of the tests are kept between runs; their names hold all that they depend on.
pub(super) fn cache() -> PathBuf {
    std::env::temp_dir().join("maojiawan-test-films")
}

pub(super) fn spec(number: u16, auth: Auth, address: SocketAddr) -> CameraSpec {
    CameraSpec {
        id: CameraId::new(format!("c{number:03}")),
        number,
        scene: Scene::Corridor,
        night: false,
        marked: true,
        auth,
        credentials: Credentials { user: "admin".into(), password: "s3cret".into() },
        address,
        main_codec: Codec::H265,
        write_mode: if number.is_multiple_of(2) { WriteMode::Packet } else { WriteMode::Frame },
    }
}
