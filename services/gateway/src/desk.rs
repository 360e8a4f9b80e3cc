//! What every handler may reach.

use std::sync::Arc;

use ledger::{Store, Telemetry};
use link::{intake::SharedIntake, media::Media};
use runtime::Clock;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Connectors, DemoConfig, Readiness, StoreWatch, feed::Hub, mirror::Mirror, photos::Photos, problem::Problem,
    session::Sessions,
};

/// Renders `/metrics`.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) intake: SharedIntake,
    pub(crate) media: Option<Arc<dyn Media>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) photos: Photos,
    pub(crate) ready: Arc<dyn Readiness>,
    pub(crate) connectors: Arc<dyn Connectors>,
    pub(crate) metrics: MetricsPage,
    pub(crate) demo: Option<DemoConfig>,
    /// Devices log in to the site's own broker.
    pub(crate) own_broker: bool,
    pub(crate) feed_places: Arc<Semaphore>,
    pub(crate) media_places: Arc<Semaphore>,
    /// Sockets that are open; the drain waits for them.
    pub(crate) sockets: TaskTracker,
    /// The sockets' stage stops.
    pub(crate) stop: CancellationToken,
    /// Whether the store answers.
    pub(crate) store_watch: StoreWatch,
}

/// Shared handle.
pub(crate) type Desk = Arc<Inner>;

impl Inner {
    pub(crate) fn media(&self) -> Result<&Arc<dyn Media>, Problem> {
        self.media.as_ref().ok_or(Problem::no_media())
    }

    pub(crate) fn site(&self) -> Result<Arc<domain::site::Site>, Problem> {
        self.mirror.site().ok_or(domain::refusal::Code::NoSite.into())
    }
}
