//! `up`: all roles in one process, wired together. Nothing is decided here.

use std::{net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use dispatch::{CameraWatch, VideoPatrol, WriterOptions};
use domain::{State, account::Role, input::Command, site::Site};
use ledger::{Archiving, Store};
use link::{
    intake::{Intake, SharedIntake},
    media::{CameraState, Media},
};
use runtime::{
    Clock, Criticality, SystemClock, Tasks,
    tasks::Stage,
    telemetry::{MetricsPage, names},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{self, First, Password},
    bus::Fanout,
    config::{self, Config},
    content::Reads,
    demo::{Demo, Phase},
    media, ready,
    stores::Stores,
};

/// Runs until a signal, or until a critical task breaks off.
pub(crate) fn run(
    path: Option<&Path>,
    demo: bool,
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
) -> anyhow::Result<()> {
    let mut config = config::load(path)?;
    config.server.listen = listen.unwrap_or(config.server.listen);
    config.data.folder = data.unwrap_or(config.data.folder);
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
    let outcome = runtime.block_on(up(config, demo, metrics));
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn up(mut config: Config, demo: bool, metrics: MetricsPage) -> anyhow::Result<()> {
    let address = config.server.listen;
    if demo && !address.ip().is_loopback() {
        bail!("演示只能监听本机回环地址 the demo listens at a loopback address only: {address}");
    }
    if let (false, Some(key)) = (demo, config.exchange.example_secret()) {
        bail!("{key}: 仍是示例中的密钥，请更换 still the example's secret, which everybody knows");
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address}: 地址无法监听，可能已被占用 cannot listen, perhaps it is in use"))?;
    // Port 0 takes a free one.
    config.server.listen = listener.local_addr()?;
    let site = Arc::new(simulator::site::maojiawan(config.site.seed));
    let demo = demo.then(|| Demo::prepare(&mut config, site.clone())).transpose()?;
    say("打开台账 opening the ledger");
    let stores = Stores::open(&config).await?;
    tracing::info!(ledger = %stores.place, "the ledger is open");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tasks = Tasks::default();
    let bus = Fanout::start(&config.bus, site.id.as_str(), stores.store.as_ref(), &clock, &tasks)?;
    let options = WriterOptions::default();
    let writer = dispatch::start(site.id.clone(), stores.store.clone(), bus.port(), clock.clone(), options, &tasks);
    let mut status = writer.status();
    // What `wait_for` returns holds the watch's lock, so it must not outlive the line.
    let wait = async { status.wait_for(|s| s.ok).await.is_ok() };
    let loaded = tokio::time::timeout(Duration::from_secs(60), wait).await == Ok(true);
    if !loaded {
        bail!("写入者未能就绪 the writer is not ready: {}", writer.status().borrow().reason);
    }
    bus.announce(stores.store.head().await?.position());
    let intake: SharedIntake = Arc::new(writer.clone());
    let first = first_accounts(&config, demo.as_ref())?;
    start_site(&stores.store, intake.as_ref(), &site, first).await?;
    crate::backup::append_erased(stores.store.as_ref(), intake.as_ref()).await?;

    let centre = Centre { config, site, stores, clock, tasks, bus, intake, writer, metrics };
    centre.serve(listener, demo).await
}

/// Everything that the roles share.
struct Centre {
    config: Config,
    site: Arc<Site>,
    stores: Stores,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    bus: Fanout,
    intake: SharedIntake,
    writer: dispatch::Writer,
    metrics: MetricsPage,
}

impl Centre {
    async fn serve(self, listener: TcpListener, demo: Option<Demo>) -> anyhow::Result<()> {
        let exchange = self.exchange()?;
        let configured = media::cameras(&self.config.video)?;
        let cameras = match &demo {
            Some(demo) => demo.cameras(configured)?,
            None => configured,
        };
        let media: Option<Arc<dyn Media>> = if cameras.is_empty() {
            None
        } else {
            Some(video::Cameras::start(media::config(&self.config.video, cameras)?, self.clock.clone(), &self.tasks))
        };
        let (sensing_status, sensing) = watch::channel(sensing::Status::default());
        self.spawn_sensing(sensing_status);
        let (phase_tell, phase) = self.phase();
        let shown = demo.as_ref().map(|_| phase.clone());
        let began = self.spawn_gateway(listener, &exchange, media.clone(), &sensing, shown, &demo);
        self.spawn_exchange(&exchange);
        self.spawn_upkeep();
        let greeting = greeting(self.config.server.listen, demo.as_ref());
        let stop = self.tasks.stop(Stage::Sources);
        self.tasks.spawn("greeting", Stage::Sources, Criticality::Ordinary, async move {
            tokio::select! { () = began.cancelled() => say(&greeting), () = stop.cancelled() => {} }
        });
        self.spawn_clips(media.clone());
        if let Some(media) = &media {
            self.spawn_media(media, demo.is_some().then_some(phase.clone()));
        }
        if let Some(demo) = demo {
            let (folder, stop) = (self.broker_folder(), self.tasks.stop(Stage::Sources));
            let watched = demo.supervise(sensing, folder, self.clock.clone(), phase_tell, stop);
            self.tasks.spawn("demo.simulator", Stage::Sources, Criticality::Ordinary, watched);
            let shown = progress(phase, media.clone(), self.tasks.stop(Stage::Sources));
            self.tasks.spawn("demo.progress", Stage::Sources, Criticality::Ordinary, shown);
        }
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

    fn broker_folder(&self) -> PathBuf {
        self.config.data.folder.join("broker")
    }

    fn phase(&self) -> (watch::Sender<Phase>, watch::Receiver<Phase>) {
        let detail = "正在启动模拟现场 starting".to_owned();
        watch::channel(Phase { up: false, since_ms: self.clock.now_ms(), detail })
    }

    fn exchange(&self) -> anyhow::Result<exchange::Exchange> {
        let store = self.stores.store.clone();
        let hash = store.clone();
        let parts = exchange::Parts {
            config: self.config.exchange.clone(),
            site: self.site.clone(),
            intake: self.intake.clone(),
            outbox: store.clone(),
            decode: Arc::new(|payload| wire::outgoing::decode(payload).ok()),
            content: Arc::new(Reads { store, site: self.site.clone() }),
            hash: Arc::new(move |text| hex::encode(hash.request_hash(text.as_bytes()))),
            clock: self.clock.clone(),
        };
        Ok(exchange::Exchange::new(parts)?)
    }

    fn spawn_sensing(&self, status: watch::Sender<sensing::Status>) {
        let parts = sensing::Parts {
            config: self.config.sensing.clone(),
            dir: self.broker_folder(),
            site: self.site.clone(),
            intake: self.intake.clone(),
            telemetry: self.stores.telemetry.clone(),
            clock: self.clock.clone(),
            status,
        };
        let stop = self.tasks.stop(Stage::Sources);
        self.tasks.spawn("sensing", Stage::Sources, Criticality::Critical, async move {
            if let Err(error) = sensing::run(parts, stop.clone()).await {
                tracing::error!(error = %error, "sensing cannot start");
                // The rest runs without it; `/readyz` and the wall say so.
                stop.cancelled().await;
            }
        });
    }

    fn spawn_exchange(&self, exchange: &exchange::Exchange) {
        let (exchange, stop) = (exchange.clone(), self.tasks.stop(Stage::Sources));
        self.tasks.spawn("exchange", Stage::Sources, Criticality::Critical, async move { exchange.run(stop).await });
    }

    /// Tells when people can log in.
    fn spawn_gateway(
        &self,
        listener: TcpListener,
        exchange: &exchange::Exchange,
        media: Option<Arc<dyn Media>>,
        sensing: &watch::Receiver<sensing::Status>,
        phase: Option<watch::Receiver<Phase>>,
        demo: &Option<Demo>,
    ) -> CancellationToken {
        let began = CancellationToken::new();
        let ready = ready::Parts {
            writer: self.writer.status(),
            bus: self.bus.clone(),
            sensing: sensing.clone(),
            media: media.clone(),
            simulator: phase,
            clock: self.clock.clone(),
        };
        let page = self.metrics.clone();
        let gateway = gateway::Gateway {
            config: self.config.gateway.clone(),
            store: self.stores.store.clone(),
            bus: self.bus.port(),
            telemetry: self.stores.telemetry.clone(),
            intake: self.intake.clone(),
            media,
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            extra_routes: exchange.router(),
            ready: Arc::new(ready),
            connectors: Arc::new(ready::Departments(exchange.clone())),
            metrics: Arc::new(move || page.render()),
            demo: demo.as_ref().map(Demo::gateway),
            began: began.clone(),
        };
        self.tasks.spawn("gateway", Stage::Sockets, Criticality::Critical, async move {
            if let Err(error) = gateway::serve(listener, gateway).await {
                tracing::error!(error = %error, "the gateway ended");
            }
        });
        began
    }

    fn spawn_clips(&self, media: Option<Arc<dyn Media>>) {
        let (store, intake, clock) = (self.stores.store.clone(), self.intake.clone(), self.clock.clone());
        let clips = dispatch::cut_clips(media, store, intake, clock, self.tasks.stop(Stage::Sources));
        self.tasks.spawn("dispatch.clips", Stage::Sources, Criticality::Critical, clips);
    }

    /// What watches the cameras. In the demo it begins when the simulated cameras are there, so that their making is
    /// no mass failure.
    fn spawn_media(&self, media: &Arc<dyn Media>, phase: Option<watch::Receiver<Phase>>) {
        let (intake, clock) = (self.intake.clone(), self.clock.clone());
        let stop = || self.tasks.stop(Stage::Sources);
        let (watched, begun) = (phase.clone(), stop());
        let work =
            dispatch::watch_cameras(media.clone(), intake.clone(), clock.clone(), CameraWatch::default(), stop());
        self.tasks.spawn("dispatch.cameras", Stage::Sources, Criticality::Critical, async move {
            if there(watched, &begun).await {
                work.await;
            }
        });
        let plan = VideoPatrol {
            subject: "全部摄像头".to_owned(),
            every: Duration::from_secs(self.config.video.patrol_minutes * 60),
            first: Duration::from_secs(60),
        };
        let (begun, work) = (stop(), dispatch::patrol_video(media.clone(), intake, clock, plan, stop()));
        self.tasks.spawn("dispatch.video_patrol", Stage::Sources, Criticality::Critical, async move {
            if there(phase, &begun).await {
                work.await;
            }
        });
    }

    /// Forgets what is too old, and counts what waits.
    fn spawn_upkeep(&self) {
        let (store, clock, stop) = (self.stores.store.clone(), self.clock.clone(), self.tasks.stop(Stage::Sources));
        let keep_ms = i64::from(self.config.data.key_days) * 86_400_000;
        let (site, months) = (self.site.id.to_string(), self.config.data.archive_months);
        let page = self.metrics.clone();
        self.tasks.spawn("upkeep", Stage::Sources, Criticality::Ordinary, async move {
            let mut every = tokio::time::interval(Duration::from_secs(10));
            for turn in 0_u64.. {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = every.tick() => {}
                }
                page.tidy();
                if let Ok(waiting) = store.outbox_waiting().await {
                    metrics::gauge!(names::OUTBOX_WAITING).set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
                }
                if turn % 360 == 0 {
                    sweep(store.as_ref(), clock.now_ms(), keep_ms).await;
                    archive(store.as_ref(), &Archiving { site: &site, now_ms: clock.now_ms(), months }).await;
                }
            }
        });
    }
}

async fn sweep(store: &dyn Store, now_ms: i64, keep_ms: i64) {
    // In pieces, so that the writer is not kept waiting.
    loop {
        match store.expire_keys(now_ms - keep_ms).await {
            Ok(0) => break,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                tracing::warn!(code = error.code(), "old keys were not removed");
                break;
            }
        }
    }
    // A photo that no event named within a day never will be.
    if let Err(error) = store.sweep_blobs(now_ms - 86_400_000).await {
        tracing::warn!(code = error.code(), "orphans were not removed");
    }
}

/// Old months leave the database.
async fn archive(store: &dyn Store, what: &Archiving<'_>) {
    match store.archive(what).await {
        Ok(done) if done.files.is_empty() => {}
        Ok(done) => tracing::info!(files = ?done.files, events = done.events, "old events moved to files"),
        // What was cut off is completed the next time; the log is whole meanwhile.
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old events did not move to files"),
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

fn say(line: &str) {
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
