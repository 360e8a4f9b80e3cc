//! A ledger with its writer, and gateways on it that come and go.

use std::{sync::Arc, time::Duration};

use domain::{
    account::{Account, Role},
    event::Mode,
    ids::VaultId,
    input::{Actor, Command, Input, Observation},
};
use gateway::{Gateway, NothingElse};
use ledger::{Credential, LocalBus, SqliteOptions, SqliteStore, SqliteTelemetry, Store};
use link::intake::{Intake, Submission};
use runtime::{Criticality, SystemClock, Tasks, tasks::Stage};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "铜钟 9 号楼";

pub(crate) struct House {
    store: Arc<dyn Store>,
    bus: Arc<LocalBus>,
    pub(crate) writer: dispatch::Writer,
    folder: tempfile::TempDir,
    _tasks: Tasks,
}

/// A gateway; drained by [`Running::stop`].
pub(crate) struct Running {
    pub(crate) address: String,
    tasks: Tasks,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.tasks.drain(Duration::from_secs(30)).await;
    }
}

struct Alone;

impl gateway::Connectors for Alone {
    fn connectors(&self) -> Vec<gateway::Connector> {
        Vec::new()
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap());
        let (tasks, bus) = (Tasks::default(), Arc::new(LocalBus::new(4_096)));
        let options = dispatch::WriterOptions::default();
        let clock = Arc::new(SystemClock);
        let writer = dispatch::start("maojiawan".into(), store.clone(), bus.clone(), clock, options, &tasks);
        writer.status().wait_for(|s| s.ok).await.unwrap();
        let house = Self { store, bus, writer, folder, _tasks: tasks };
        house.command(Command::SetSite(site::built_in())).await;
        let account = Account {
            id: "chief".into(),
            role: Role::ShiftChief,
            unit: None,
            grid: None,
            name: VaultId(0),
            active: true,
        };
        house.command(Command::SetAccount { account, name: "李班长".to_owned() }).await;
        let hash = tokio::task::spawn_blocking(|| gateway::accounts::hash_password(PASSWORD).unwrap());
        let (account, password_hash) = ("chief".to_owned(), hash.await.unwrap());
        let credential = Credential { account, password_hash, failed: 0, locked_until_ms: 0, totp: None };
        house.store.put_credential(&credential).await.unwrap();
        house
    }

    async fn command(&self, command: Command) -> u64 {
        self.submit(Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }).await
    }

    async fn submit(&self, input: Input) -> u64 {
        self.writer.submit(Submission::keyless(input)).await.unwrap().position.seq
    }

    /// So many events: a sensor that comes and goes. The last one's number.
    pub(crate) async fn events(&self, count: usize) -> u64 {
        let mut last = 0;
        for _ in 0..count {
            let online = last % 2 == 0;
            let sensor = site::built_in().sensors[0].id.clone();
            let observation = Observation::SensorLink { sensor, online };
            let input = Input::Observe { mode: Mode::Real, observation };
            let seq = self.submit(input).await;
            assert!(seq > last, "each changes something");
            last = seq;
        }
        last
    }

    /// A gateway at `address`, or at a free one.
    pub(crate) async fn gateway(&self, address: Option<&str>) -> Running {
        let (tasks, began) = (Tasks::default(), CancellationToken::new());
        let listener = TcpListener::bind(address.unwrap_or("127.0.0.1:0")).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let file = self.folder.path().join("telemetry.db");
        let gateway = Gateway {
            config: gateway::Config::default(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            telemetry: Arc::new(SqliteTelemetry::open(&file, Duration::from_secs(5)).await.unwrap()),
            intake: Arc::new(self.writer.clone()),
            media: None,
            clock: Arc::new(SystemClock),
            session_clock: Arc::new(SystemClock),
            tasks: tasks.clone(),
            extra_routes: axum::Router::new(),
            ready: Arc::new(NothingElse),
            connectors: Arc::new(Alone),
            metrics: Arc::new(String::new),
            demo: None,
            own_broker: true,
            began: began.clone(),
        };
        let (stage, critical) = (Stage::Sockets, Criticality::Critical);
        tasks.spawn("gateway", stage, critical, async move { gateway::serve(listener, gateway).await.unwrap() });
        began.cancelled().await;
        Running { address, tasks }
    }
}
