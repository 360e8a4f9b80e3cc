//! `simulate`: the synthetic site as its own process. Tells its progress on standard output, one line each; stops when
//! standard input ends or on a signal.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use domain::site::Site;
use runtime::{SystemClock, Tasks};
use serde::{Deserialize, Serialize};
use simulator::{
    CameraFaults, NoCameras,
    cameras::{Cameras, CamerasConfig, Credentials, specs},
};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use crate::config;

/// What the process prints when cameras and site are up.
pub(crate) const READY: &str = "ready";
/// Start of a line that counts films: `films 3/28`.
pub(crate) const FILMS: &str = "films ";

/// The file that `simulate --config` reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Folder of the site; none = the built-in one.
    site: Option<PathBuf>,
    simulator: simulator::Config,
    cameras: Option<CameraFile>,
}

/// `[cameras]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CameraFile {
    /// Port of every camera, each at its own loopback address.
    pub(crate) port: u16,
    /// Folder where films are kept.
    pub(crate) cache: PathBuf,
    /// User of every camera.
    pub(crate) username: String,
    /// Its password.
    pub(crate) password: String,
    /// Outdoor scenes by night.
    #[serde(default)]
    pub(crate) night: bool,
}

/// Runs until told to stop.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let file: File = runtime::config::load(path)?;
    file.simulator.check()?;
    runtime::telemetry::logs("warn", false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(file));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(file: File) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let tasks = Tasks::default();
    let site = config::site(file.site.as_deref())?;
    let work = async {
        let cameras: Arc<dyn CameraFaults> = match &file.cameras {
            Some(cameras) => Arc::new(start(cameras, &site, &tasks).await?),
            None => Arc::new(NoCameras),
        };
        println!("{READY}");
        simulator::run(file.simulator.clone(), site.clone(), cameras, stop.clone()).await.context("simulator")
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = told(&stop) => Ok(()),
    };
    tasks.drain(Duration::from_secs(2)).await;
    outcome
}

async fn start(file: &CameraFile, site: &Site, tasks: &Tasks) -> anyhow::Result<Cameras> {
    let credentials = Credentials { user: file.username.clone(), password: file.password.clone() };
    let config = CamerasConfig::new(specs(site, file.port, file.night, &credentials), file.cache.clone());
    let progress = |p: simulator::cameras::Progress| println!("{FILMS}{}/{}", p.done, p.total);
    Ok(Cameras::start(config, tasks, Arc::new(SystemClock), progress).await?)
}

/// Told by the end of standard input or a signal; then the site has a moment to say goodbye to the broker.
async fn told(stop: &CancellationToken) {
    let mut byte = [0_u8; 1];
    let mut input = tokio::io::stdin();
    let ended = async { while input.read(&mut byte).await.is_ok_and(|n| n > 0) {} };
    tokio::select! {
        () = ended => {}
        () = crate::up::signalled() => {}
    }
    stop.cancel();
    tokio::time::sleep(Duration::from_secs(3)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shipped_example_is_right_and_fits_the_centre() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        let file: File = runtime::config::load(&root.join("simulator.toml")).unwrap();
        file.simulator.check().unwrap();
        assert!(file.cameras.is_some() && file.simulator.broker.is_some());
        // The centre's example meets it: the same departments under the same secrets, its addresses at the same port.
        let centre = std::fs::read_to_string(root.join("maojiawan.toml")).unwrap();
        for (unit, secret) in &file.simulator.departments {
            let secret = String::from_utf8_lossy(secret.bytes()).into_owned();
            assert!(centre.contains(&format!("unit = \"{unit}\"\nsecret = \"{secret}\"")), "{unit}");
        }
        assert!(centre.contains(&format!("http://{}/", file.simulator.listen)));
        assert!(file.simulator.centre.ends_with(":8080") && centre.contains("listen = \"127.0.0.1:8080\""));
    }
}
