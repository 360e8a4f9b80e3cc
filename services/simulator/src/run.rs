//! The simulator as a role: start, serve, drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use domain::site::Site;
use runtime::{Clock, Criticality, SystemClock, Tasks, tasks::Stage};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    config::{Config, Refused},
    faults::CameraFaults,
    world::World,
};

/// Time of one call to the centre.
const CALL: Duration = Duration::from_secs(10);
/// Time of each stage of the drain.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the simulator did not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("模拟器配置有误 the simulator's configuration is wrong")]
    Config(#[from] Refused),
    /// The port cannot be taken.
    #[error("无法监听 {address} cannot listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No HTTP client.
    #[error("无法建立 HTTP 客户端 cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// One of its tasks broke off.
    #[error("模拟器内部任务中断 a task of the simulator broke off")]
    Broken,
}

/// A running simulator. Dropping it does not stop it: call `stop`.
pub struct Simulator {
    world: Arc<World>,
    address: SocketAddr,
    tasks: Tasks,
}

impl Simulator {
    /// Starts everything: sensors, department servers, phones, the API. `cameras` carries out camera faults.
    pub async fn start(
        config: Config,
        site: Arc<Site>,
        cameras: Arc<dyn CameraFaults>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        config.check()?;
        let address = config.listen;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        // A second installation (another role of this process) keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(CALL)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::Client)?;
        let tasks = Tasks::default();
        let world = World::start(config, site, cameras, clock, &client, &tasks);
        let (router, stop) = (api::router(world.clone()), tasks.stop(Stage::Sockets));
        tasks.spawn("simulator api", Stage::Sockets, Criticality::Critical, async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the simulator's port failed");
            }
        });
        tracing::info!(%address, "模拟现场已就绪 the simulated site is up");
        Ok(Self { world, address, tasks })
    }

    /// Where its API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The running site.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Cancelled when one of its tasks broke off.
    pub fn failed(&self) -> CancellationToken {
        self.tasks.failed()
    }

    /// Says goodbye to the broker, stops all tasks, closes the port.
    pub async fn stop(self) {
        self.tasks.drain(PATIENCE).await;
    }
}

/// Runs life on a site until told to stop. `cameras` carries out camera faults.
pub async fn run(
    config: Config,
    site: Arc<Site>,
    cameras: Arc<dyn CameraFaults>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let simulator = Simulator::start(config, site, cameras, Arc::new(SystemClock)).await?;
    let failed = simulator.failed();
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = failed.cancelled() => Err(Error::Broken),
    };
    simulator.stop().await;
    outcome
}
