//! `up` and `serve`: the roles of this process, wired together. Nothing is decided here.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use dispatch::{CameraWatch, VideoPatrol, WriterOptions};
use domain::{State, account::Role, input::Command, site::Site};
use ledger::Store;
use link::{
    intake::{Intake, SharedIntake},
    media::{CameraState, Media},
};
use runtime::{Clock, Criticality, SteadyClock, SystemClock, Tasks, tasks::Stage, telemetry::MetricsPage};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{self, First, Password},
    bus::Fanout,
    check,
    config::{self, Config},
    content::Reads,
    demo::{Demo, Phase},
    logins, media, node, ready,
    remote::Core,
    sites,
    stores::Stores,
    upkeep::{self, Keep, Trouble, Upkeep},
};

/// A part of the centre that a process may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Writer, sensors, departments, cameras: once a site
    Core,
    /// Accounts, feed, interface and pages: any number
    Gateway,
}

/// Which parts are meant: (core, gateway).
pub(crate) fn which(parts: &[Part]) -> (bool, bool) {
    let is = |part| parts.is_empty() || parts.contains(&part);
    (is(Part::Core), is(Part::Gateway))
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) config: Option<PathBuf>,
    pub(crate) demo: bool,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
    /// All parts if none is named.
    pub(crate) parts: Vec<Part>,
}

/// The exit code of a core whose log another core took over. `deploy/maojiawan.service` does not restart it: both would
/// take the log from each other for ever.
pub(crate) const FENCED: u8 = 3;

/// Another core has the log.
#[derive(Debug)]
pub(crate) struct Fenced;

impl std::fmt::Display for Fenced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "另一个核心接管了台账，本进程已停止。一个台账只能有一个核心：请先停掉另一个，再启动这一个 another core took the log over, \
             so this one ended. A log has one core: stop the other one before you start this one again",
        )
    }
}

impl std::error::Error for Fenced {}

/// Runs until a signal, or until a critical task breaks off.
pub(crate) fn run(run: Run) -> anyhow::Result<()> {
    let Run { config: path, demo, listen, data, parts } = run;
    let mut config = config::load(path.as_deref())?;
    config.server.listen = listen.unwrap_or(config.server.listen);
    config.data.folder = data.unwrap_or(config.data.folder);
    let parts = which(&parts);
    check::startable(&config, parts, demo)?;
    if demo && path.is_none() {
        // The person who tries it wants the progress, not every camera's first connection.
        "warn,retina=error".clone_into(&mut config.log.filter);
    }
    runtime::telemetry::logs(&config.log.filter, config.log.json);
    // Before any role starts: a metric that is asked for earlier counts nowhere.
    let metrics = runtime::telemetry::metrics().context("度量无法安装 metrics cannot be installed")?;
    // A second installation keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(up(config, parts, demo, metrics));
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn up(mut config: Config, (core, gateway): (bool, bool), demo: bool, metrics: MetricsPage) -> anyhow::Result<()> {
    let address = config.server.listen;
    if demo && !address.ip().is_loopback() {
        bail!("演示只能监听本机回环地址 the demo listens at a loopback address only: {address}");
    }
    let listener = listen(address)?;
    // Port 0 takes a free one.
    config.server.listen = listener.local_addr()?;
    if demo {
        Demo::check(&config)?;
    }
    let given = config::site(config.site.folder.as_deref())?;
    say("打开台账 opening the ledger");
    let stores = Stores::open(&config).await?;
    tracing::info!(ledger = %stores.place, "the ledger is open");
    let site = site_in_force(stores.store.as_ref(), given).await?;
    let demo = demo.then(|| Demo::prepare(&mut config, site.clone())).transpose()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if core && let Some(demo) = &demo {
        demo.history(&stores.store, clock.as_ref()).await;
    }
    let tasks = Tasks::default();
    let alone = core && gateway && config.link.listen.is_none();
    let bus = Fanout::start(&config.bus, alone, site.id.as_str(), stores.store.as_ref(), &clock, &tasks)?;
    let base = Base { config, site, stores, clock, tasks, bus, metrics };
    if !core {
        return front(base, listener).await;
    }
    let centre = Centre::start(base).await;
    let writer = centre.writer.status();
    let work = async {
        centre.fill(demo.as_ref()).await?;
        centre.serve(listener, gateway, demo).await
    };
    match work.await {
        // Whatever broke off first, this is why.
        Err(_) if writer.borrow().fenced => Err(Fenced.into()),
        outcome => outcome,
    }
}

pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    gateway::listen(address)
        .with_context(|| format!("{address}: 地址无法监听，可能已被占用 cannot listen, perhaps it is in use"))
}

/// A gateway whose core is another process.
async fn front(base: Base, listener: TcpListener) -> anyhow::Result<()> {
    let core = Core::join(&base.config.link, base.site.id.clone(), base.bus.clone(), base.clock.clone(), &base.tasks)?;
    let began = base.spawn_gateway(
        listener,
        Front {
            intake: core.intake(),
            media: Some(core.media()),
            extra_routes: core.exchange(),
            ready: core.clone(),
            connectors: core.clone(),
            demo: None,
        },
    );
    base.spawn_greeting(began, greeting(base.config.server.listen, None));
    base.until_told().await
}

/// What every process has, whatever its parts.
pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) site: Arc<Site>,
    pub(crate) stores: Stores,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) bus: Fanout,
    pub(crate) metrics: MetricsPage,
}

/// What a gateway shows and asks, from this process or another.
struct Front {
    intake: SharedIntake,
    media: Option<Arc<dyn Media>>,
    extra_routes: axum::Router,
    ready: Arc<dyn gateway::Readiness>,
    connectors: Arc<dyn gateway::Connectors>,
    demo: Option<gateway::DemoConfig>,
}

impl Base {
    /// Tells when people can log in.
    fn spawn_gateway(&self, listener: TcpListener, front: Front) -> CancellationToken {
        let began = CancellationToken::new();
        let Front { intake, media, extra_routes, ready, connectors, demo } = front;
        let page = self.metrics.clone();
        let gateway = gateway::Gateway {
            config: self.config.gateway.clone(),
            store: self.stores.store.clone(),
            bus: self.bus.port(),
            telemetry: self.stores.telemetry.clone(),
            intake,
            media,
            clock: self.clock.clone(),
            // It believes the clock of the start: who was away over a long stop is asked for the password again.
            session_clock: Arc::new(SteadyClock::new(self.clock.clone(), None)),
            tasks: self.tasks.clone(),
            extra_routes,
            ready,
            connectors,
            metrics: Arc::new(move || page.render()),
            demo,
            own_broker: self.config.sensing.external.is_none(),
            began: began.clone(),
        };
        self.tasks.spawn("gateway", Stage::Sockets, Criticality::Critical, async move {
            if let Err(error) = gateway::serve(listener, gateway).await {
                tracing::error!(error = %error, "the gateway ended");
            }
        });
        began
    }

    /// Says so when `began`.
    fn spawn_greeting(&self, began: CancellationToken, greeting: String) {
        let stop = self.tasks.stop(Stage::Sources);
        self.tasks.spawn("greeting", Stage::Sources, Criticality::Ordinary, async move {
            tokio::select! { () = began.cancelled() => say(&greeting), () = stop.cancelled() => {} }
        });
    }

    /// Runs until a signal or a failure, then stops in order.
    async fn until_told(self) -> anyhow::Result<()> {
        let broken = self.tasks.failed();
        let failed = tokio::select! {
            () = signalled() => false,
            () = broken.cancelled() => true,
        };
        say("正在有序停止 stopping in order");
        self.tasks.drain(Duration::from_secs(u64::from(self.config.server.drain_s))).await;
        self.stores.close().await;
        say("已停止 stopped");
        if failed {
            bail!("内部任务中断，见日志 a task broke off, see the log")
        }
        Ok(())
    }
}

/// The core: the writer and all sources.
struct Centre {
    base: Base,
    intake: SharedIntake,
    writer: dispatch::Writer,
    steady: Arc<SteadyClock>,
}

impl Centre {
    /// Starts the writer.
    async fn start(base: Base) -> Self {
        let Base { config, site, stores, clock, tasks, bus, .. } = &base;
        // Before anything is written by a clock that may be wrong.
        let steady = Arc::new(upkeep::steady(&config.data.folder, stores.store.as_ref(), clock.clone()).await);
        let options = WriterOptions::default();
        let writer = dispatch::start(site.id.clone(), stores.store.clone(), bus.port(), clock.clone(), options, tasks);
        Self { intake: Arc::new(writer.clone()), base, writer, steady }
    }

    /// Waits for the writer and puts site and accounts into the log where they are missing.
    async fn fill(&self, demo: Option<&Demo>) -> anyhow::Result<()> {
        let Base { config, site, stores, bus, .. } = &self.base;
        let mut status = self.writer.status();
        // What `wait_for` returns holds the watch's lock, so it must not outlive the line.
        let wait = async { status.wait_for(|s| s.ok).await.is_ok() };
        let loaded = tokio::time::timeout(Duration::from_secs(60), wait).await == Ok(true);
        if !loaded {
            bail!("写入者未能就绪 the writer is not ready: {}", self.writer.status().borrow().reason);
        }
        bus.announce(stores.store.head().await?.position());
        start_site(&stores.store, self.intake.as_ref(), site, first_accounts(config, demo)?).await?;
        crate::backup::append_erased(stores.store.as_ref(), self.intake.as_ref()).await
    }

    async fn serve(self, listener: TcpListener, gateway: bool, demo: Option<Demo>) -> anyhow::Result<()> {
        let exchange = self.exchange()?;
        let configured = media::cameras(&self.base.config.video)?;
        let cameras = match &demo {
            Some(demo) => demo.cameras(configured)?,
            None => configured,
        };
        let media: Option<Arc<dyn Media>> = if cameras.is_empty() {
            None
        } else {
            let config = media::config(&self.base.config.video, cameras)?;
            Some(video::Cameras::start(config, self.base.clock.clone(), &self.base.tasks))
        };
        let since_ms = self.base.clock.now_ms();
        let (sensing_status, sensing) = watch::channel(sensing::Status { since_ms, ..sensing::Status::default() });
        self.spawn_sensing(sensing_status);
        let (phase_tell, phase) = self.phase();
        let (trouble_tell, trouble) = watch::channel(None);
        let ready = Arc::new(ready::Parts {
            writer: self.writer.status(),
            journal: ready::Journal::new(self.base.stores.store.clone()),
            bus: self.base.bus.clone(),
            sensing: sensing.clone(),
            media: media.clone(),
            simulator: demo.as_ref().map(|_| phase.clone()),
            clock: self.base.clock.clone(),
            began_ms: self.base.clock.now_ms(),
            steady: self.steady.clone(),
            trouble,
        });
        let departments = Arc::new(ready::Departments(exchange.clone()));
        if self.base.config.link.listen.is_some() {
            let store = self.base.stores.store.clone();
            let more = node::routes(ready.clone(), departments.clone(), store, exchange.router());
            node::spawn(&self.base, self.intake.clone(), media.clone(), more).await?;
        }
        if gateway {
            let front = Front {
                intake: self.intake.clone(),
                media: media.clone(),
                extra_routes: exchange.router(),
                ready,
                connectors: departments,
                demo: demo.as_ref().map(Demo::gateway),
            };
            let began = self.base.spawn_gateway(listener, front);
            self.base.spawn_greeting(began, greeting(self.base.config.server.listen, demo.as_ref()));
        } else {
            node::spawn_health(&self.base, listener, ready);
            say(&format!("核心已就绪 the core is ready: http://{}/readyz", self.base.config.server.listen));
        }
        self.spawn_exchange(&exchange);
        self.spawn_upkeep(trouble_tell);
        self.spawn_clips(media.clone());
        if let Some(media) = &media {
            self.spawn_media(media, demo.is_some().then_some(phase.clone()));
        }
        if let Some(demo) = demo {
            let (folder, stop) = (self.broker_folder(), self.base.tasks.stop(Stage::Sources));
            let watched = demo.supervise(sensing, folder, self.base.clock.clone(), phase_tell, stop);
            self.base.tasks.spawn("demo.simulator", Stage::Sources, Criticality::Ordinary, watched);
            let shown = progress(phase, media.clone(), self.base.tasks.stop(Stage::Sources));
            self.base.tasks.spawn("demo.progress", Stage::Sources, Criticality::Ordinary, shown);
        }
        self.base.until_told().await
    }

    fn broker_folder(&self) -> PathBuf {
        self.base.config.data.folder.join("broker")
    }

    fn phase(&self) -> (watch::Sender<Phase>, watch::Receiver<Phase>) {
        let detail = "正在启动模拟现场 starting".to_owned();
        watch::channel(Phase { up: false, since_ms: self.base.clock.now_ms(), detail })
    }

    fn exchange(&self) -> anyhow::Result<exchange::Exchange> {
        let store = self.base.stores.store.clone();
        let hash = store.clone();
        let parts = exchange::Parts {
            config: self.base.config.exchange.clone(),
            site: self.base.site.clone(),
            intake: self.intake.clone(),
            outbox: store.clone(),
            decode: Arc::new(|payload| wire::outgoing::decode(payload).ok()),
            content: Arc::new(Reads { store, site: self.base.site.clone() }),
            hash: Arc::new(move |text| hex::encode(hash.request_hash(text.as_bytes()))),
            clock: self.base.clock.clone(),
        };
        Ok(exchange::Exchange::new(parts)?)
    }

    fn spawn_sensing(&self, status: watch::Sender<sensing::Status>) {
        let (tell, logins) = watch::channel(None);
        let (store, credentials) = (self.base.stores.store.clone(), self.writer.credentials());
        let followed = logins::follow(store, credentials, tell, self.base.tasks.stop(Stage::Sources));
        self.base.tasks.spawn("sensing.logins", Stage::Sources, Criticality::Ordinary, followed);
        let parts = sensing::Parts {
            config: self.base.config.sensing.clone(),
            dir: self.broker_folder(),
            site: self.base.site.clone(),
            intake: self.intake.clone(),
            telemetry: self.base.stores.telemetry.clone(),
            clock: self.base.clock.clone(),
            steady: self.steady.clone(),
            logins,
            status,
        };
        let stop = self.base.tasks.stop(Stage::Sources);
        self.base.tasks.spawn("sensing", Stage::Sources, Criticality::Critical, async move {
            if let Err(error) = sensing::run(parts, stop.clone()).await {
                tracing::error!(error = %error, "sensing cannot start");
                // The rest runs without it; `/readyz` and the wall say so.
                stop.cancelled().await;
            }
        });
    }

    fn spawn_exchange(&self, exchange: &exchange::Exchange) {
        let (exchange, stop) = (exchange.clone(), self.base.tasks.stop(Stage::Sources));
        self.base.tasks.spawn(
            "exchange",
            Stage::Sources,
            Criticality::Critical,
            async move { exchange.run(stop).await },
        );
    }

    fn spawn_clips(&self, media: Option<Arc<dyn Media>>) {
        let (store, intake, clock) = (self.base.stores.store.clone(), self.intake.clone(), self.base.clock.clone());
        let clips = dispatch::cut_clips(media, store, intake, clock, self.base.tasks.stop(Stage::Sources));
        self.base.tasks.spawn("dispatch.clips", Stage::Sources, Criticality::Critical, clips);
    }

    /// What watches the cameras. In the demo it begins when the simulated cameras are there, so that their making is
    /// no mass failure.
    fn spawn_media(&self, media: &Arc<dyn Media>, phase: Option<watch::Receiver<Phase>>) {
        let (intake, clock) = (self.intake.clone(), self.base.clock.clone());
        let stop = || self.base.tasks.stop(Stage::Sources);
        let (watched, begun) = (phase.clone(), stop());
        let work =
            dispatch::watch_cameras(media.clone(), intake.clone(), clock.clone(), CameraWatch::default(), stop());
        self.base.tasks.spawn("dispatch.cameras", Stage::Sources, Criticality::Critical, async move {
            if there(watched, &begun).await {
                work.await;
            }
        });
        let plan = VideoPatrol {
            subject: "全部摄像头".to_owned(),
            every: Duration::from_secs(self.base.config.video.patrol_minutes * 60),
            first: Duration::from_secs(60),
        };
        let (begun, work) = (stop(), dispatch::patrol_video(media.clone(), intake, clock, plan, stop()));
        self.base.tasks.spawn("dispatch.video_patrol", Stage::Sources, Criticality::Critical, async move {
            if there(phase, &begun).await {
                work.await;
            }
        });
    }

    fn spawn_upkeep(&self, trouble: watch::Sender<Trouble>) {
        let Base { config, site, stores, clock, tasks, metrics, .. } = &self.base;
        let keep =
            Keep { site: site.id.to_string(), key_days: config.data.key_days, months: config.data.archive_months };
        let upkeep = Upkeep {
            store: stores.store.clone(),
            clock: clock.clone(),
            steady: self.steady.clone(),
            keep,
            folder: config.data.folder.clone(),
            page: metrics.clone(),
            trouble,
        };
        let stop = tasks.stop(Stage::Sources);
        tasks.spawn("upkeep", Stage::Sources, Criticality::Ordinary, upkeep.run(stop));
    }
}

/// Waits for the simulated site, if there is one; false when stopped meanwhile.
async fn there(phase: Option<watch::Receiver<Phase>>, stop: &CancellationToken) -> bool {
    let Some(mut phase) = phase else { return true };
    tokio::select! {
        () = stop.cancelled() => false,
        up = phase.wait_for(|p| p.up) => up.is_ok(),
    }
}

/// The given site, or that of the ledger where it has a greater version, as after an import.
async fn site_in_force(store: &dyn Store, given: Arc<Site>) -> anyhow::Result<Arc<Site>> {
    let Some(kept) = sites::of_ledger(store).await? else { return Ok(given) };
    if kept.id != given.id {
        bail!(
            "台账属于现场 {}，配置的现场是 {}，请核对 [site] folder 和 [data] folder the ledger belongs to another site than \
             the configured one",
            kept.id,
            given.id
        );
    }
    if kept.version <= given.version {
        return Ok(given);
    }
    if !site::changes(&kept, &given).is_empty() {
        say(&format!(
            "采用台账中第 {} 版现场；[site] folder 或内置的是第 {} 版 the ledger's site is newer than the configured one and \
             stays in force",
            kept.version, given.version
        ));
    }
    Ok(kept)
}

/// Puts site and accounts into the log where they are missing.
async fn start_site(
    store: &Arc<dyn Store>,
    intake: &dyn Intake,
    site: &Arc<Site>,
    first: Vec<First>,
) -> anyhow::Result<()> {
    let mut state = State::default();
    for row in store.snapshot(&["site", "account", "duty"], 0).await?.1 {
        let id = if row.id == "-" { "" } else { &row.id };
        wire::document::load(&mut state, &row.kind, id, &row.payload)?;
    }
    if state.site.as_ref() != Some(site) {
        accounts::submit(intake, Command::SetSite(site.clone())).await?;
    }
    accounts::ensure(&state, store, intake, first).await
}

fn first_accounts(config: &Config, demo: Option<&Demo>) -> anyhow::Result<Vec<First>> {
    if let Some(demo) = demo {
        return Ok(demo.accounts());
    }
    let accounts = config.accounts.iter().map(|a| {
        Ok(First {
            id: a.id.clone(),
            role: Role::parse(&a.role).with_context(|| format!("{}: {}", a.id, a.role))?,
            name: a.name.clone(),
            unit: a.unit.clone(),
            grid: a.grid.clone(),
            password: Password::File(a.password_file.clone()),
            post: None,
        })
    });
    accounts.collect()
}

/// Shows how far the simulated site and its cameras are, until all are up.
async fn progress(mut phase: watch::Receiver<Phase>, media: Option<Arc<dyn Media>>, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut shown = String::new();
    let mut tell = |line: String| {
        if line != shown {
            say(&line);
            shown = line;
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let (up, detail) = {
            let phase = phase.borrow_and_update();
            (phase.up, phase.detail.clone())
        };
        let Some(media) = media.as_ref().filter(|_| up) else {
            tell(detail);
            continue;
        };
        let cameras = media.cameras().await;
        let online = cameras.iter().filter(|c| c.state == CameraState::Online).count();
        tell(format!("摄像头 cameras {online}/{}", cameras.len()));
        if online == cameras.len() {
            return;
        }
    }
}

/// What is said when people can log in.
fn greeting(address: SocketAddr, demo: Option<&Demo>) -> String {
    let mut lines = vec![format!("中心已就绪 ready: http://{address}/")];
    if let Some(demo) = demo {
        lines.push(format!("  大屏 wall    http://{address}/wall"));
        lines.push(format!("  调度 console http://{address}/console"));
        lines.push(format!("  手机 mobile  http://{address}/m"));
        lines.push("  演示账号 demo accounts:".to_owned());
        let account =
            |a: gateway::DemoAccount| format!("    {:<18} {:<12} {} {}", a.account, a.password, a.name_zh, a.name_en);
        lines.extend(demo.gateway().accounts.into_iter().map(account));
    }
    lines.join("\n")
}

pub(crate) fn say(line: &str) {
    put(&format!("[maojiawan] {line}"));
}

/// Tells whoever watches standard output. Nobody may: `println!` would then panic, and a centre whose terminal or pipe
/// went away must still run and drain in order.
fn put(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
