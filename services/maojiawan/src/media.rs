//! The media role from its configuration.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use video::config::{CameraConfig, Config, Limits, StillsConfig};

use crate::config::Video;

/// Cameras of the configuration file.
pub(crate) fn cameras(video: &Video) -> anyhow::Result<Vec<CameraConfig>> {
    video.cameras.iter().map(camera).collect()
}

fn camera(camera: &crate::config::Camera) -> anyhow::Result<CameraConfig> {
    let url = |text: &str| url::Url::parse(text).with_context(|| format!("{}: {text}", camera.id));
    let sub = url(&camera.sub)?;
    let server = format!("{}:{}", sub.host_str().unwrap_or(""), sub.port().unwrap_or(554));
    Ok(CameraConfig {
        id: camera.id.as_str().into(),
        main: camera.main.as_deref().map(url).transpose()?,
        sub,
        username: camera.username.clone(),
        password: camera.password_file.as_deref().map(secret).transpose()?.unwrap_or_default(),
        server: camera.server.clone().unwrap_or(server),
    })
}

/// The one line of a secret file.
pub(crate) fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{}: 无法读取口令文件 cannot read the password file", file.display()))?;
    Ok(text.lines().next().unwrap_or("").trim().to_owned())
}

/// Everything that the media role is told.
pub(crate) fn config(video: &Video, cameras: Vec<CameraConfig>) -> anyhow::Result<Config> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    Ok(Config {
        cameras,
        limits: Limits { ring_bytes: video.ring_mib << 20, ..Limits::default() },
        stills: StillsConfig {
            decode_command: vec![program, "decode".to_owned()],
            children: video.decode_children,
            refresh: Duration::from_secs(video.still_s),
            ..StillsConfig::default()
        },
    })
}
