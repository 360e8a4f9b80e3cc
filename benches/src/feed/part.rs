//! Our side as a process of its own: ledger and gateway composed as the binary does it, and in place of the writer one
//! who appends events on demand, so that what is measured is the path from the append to the sockets. The events are
//! real ones that the writer made before: further evidence of alarms.
//!
//! On standard output it says where it is; on the control port each four bytes ask for so many events (little endian),
//! and each eight bytes that come back are the head of the log after a commit.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::Router;
use domain::{
    account::{Account, Role},
    event::Mode,
    ids::{SiteId, VaultId},
    input::{Actor, Command, Input, Observation},
    site::SensorKind,
    time::Timestamp,
};
use gateway::{Gateway, NothingElse};
use ledger::{
    Batch, Bus, Credential, Delivery, Head, LocalBus, PostgresOptions, PostgresStore, Published, RedisBus,
    RedisOptions, SqliteOptions, SqliteStore, SqliteTelemetry, Store, testing::memory::MemoryDisk,
};
use link::intake::{Done, Intake, IntakeError, Submission};
use runtime::{Clock, Criticality, SystemClock, Tasks, tasks::Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub(crate) const ACCOUNT: &str = "chief";
pub(crate) const PASSWORD: &str = "maojiawan";
const SITE: &str = "maojiawan";
/// Alarms that get evidence in turn.
const ALARMS: usize = 64;
/// Events of one commit at most, as the writer has it.
const BATCH: usize = 256;
/// Clients are more than a centre has.
const CLIENTS: usize = 12_000;

#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    /// For everything that it stores.
    #[arg(long)]
    folder: PathBuf,
    /// Where the gateway listens.
    #[arg(long)]
    listen: String,
    /// Where events are asked for; without it only the gateway runs.
    #[arg(long)]
    control: Option<String>,
    /// The bus; without it in this process.
    #[arg(long)]
    redis: Option<String>,
    /// The database; without it SQLite.
    #[arg(long)]
    postgres: Option<String>,
    /// Keeps the log in memory only, so that no commit is waited for.
    #[arg(long, conflicts_with = "postgres")]
    memory: bool,
    /// Documents of open incidents to begin with.
    #[arg(long, default_value_t = 0)]
    incidents: usize,
    /// Events that the log has at least before it says that it is ready.
    #[arg(long, default_value_t = 0)]
    fill: u64,
}

/// A gateway whose writer is elsewhere, and is not asked.
struct Nobody;

#[async_trait::async_trait]
impl Intake for Nobody {
    fn site(&self) -> SiteId {
        SiteId::new(SITE)
    }
    async fn submit(&self, _: Submission) -> Result<Done, IntakeError> {
        Err(IntakeError::Unavailable("a bench has no writer".to_owned()))
    }
}

impl gateway::Connectors for Nobody {
    fn connectors(&self) -> Vec<gateway::Connector> {
        Vec::new()
    }
}

/// Runs until it is killed or its input ends.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    std::fs::create_dir_all(&args.folder)?;
    let store = open(&args).await?;
    let (clock, tasks): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Tasks::default());
    let (mut templates, mut spent) = (Vec::new(), Duration::ZERO);
    if args.control.is_some() {
        (templates, spent) = prepare(&store, &clock, args.incidents).await?;
        super::fill::log(store.as_ref(), &templates, args.fill).await?;
    }
    let bus = bus(&args, store.as_ref(), &clock, &tasks)?;
    let began = serve(&args, store.clone(), bus.clone(), clock, &tasks).await?;
    began.cancelled().await;
    let started = begun.elapsed().saturating_sub(spent).as_millis();
    let control = match &args.control {
        Some(control) => Some(TcpListener::bind(control).await?),
        None => None,
    };
    let head = store.head().await?;
    println!("ready {} {} {started}", head.log_id, head.seq);
    let ended = async {
        let mut input = Vec::new();
        tokio::io::stdin().read_to_end(&mut input).await
    };
    match control {
        None => {
            ended.await?;
        }
        Some(listener) => {
            // A task, as the writer is one: the main thread would have to be woken for each step.
            let mut feeder = JoinSet::new();
            feeder.spawn(async move { feed(listener, store, bus, &templates).await });
            tokio::select! {
                _ = ended => {}
                Some(fed) = feeder.join_next() => fed??,
            }
        }
    }
    tasks.drain(Duration::from_secs(2)).await;
    Ok(())
}

async fn open(args: &Args) -> anyhow::Result<Arc<dyn Store>> {
    if args.memory {
        return Ok(Arc::new(MemoryDisk::new(1).open()));
    }
    let store: Arc<dyn Store> = match &args.postgres {
        Some(url) => Arc::new(PostgresStore::open(&PostgresOptions::new(url, None, &args.folder)?).await?),
        None => Arc::new(SqliteStore::open(&SqliteOptions::in_folder(&args.folder)).await?),
    };
    Ok(store)
}

fn bus(args: &Args, store: &dyn Store, clock: &Arc<dyn Clock>, tasks: &Tasks) -> anyhow::Result<Arc<dyn Bus>> {
    let Some(redis) = &args.redis else { return Ok(Arc::new(LocalBus::new(8_192))) };
    let key = store.request_hash(b"bus over redis");
    Ok(Arc::new(RedisBus::start(RedisOptions::at(redis, None)?, SITE, key, clock.clone(), tasks)?))
}

async fn serve(
    args: &Args,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> anyhow::Result<CancellationToken> {
    let telemetry = SqliteTelemetry::open(&args.folder.join("telemetry.db"), Duration::from_secs(5)).await?;
    let listener = gateway::listen(args.listen.parse()?)?;
    let began = CancellationToken::new();
    let config = gateway::Config { connections: CLIENTS, feed_clients: CLIENTS, ..gateway::Config::default() };
    let gateway = Gateway {
        config,
        store,
        bus,
        telemetry: Arc::new(telemetry),
        intake: Arc::new(Nobody),
        media: None,
        session_clock: clock.clone(),
        clock,
        tasks: tasks.clone(),
        extra_routes: Router::new(),
        ready: Arc::new(NothingElse),
        connectors: Arc::new(Nobody),
        metrics: Arc::new(String::new),
        demo: None,
        own_broker: true,
        began: began.clone(),
    };
    tasks.spawn("gateway", Stage::Sockets, Criticality::Critical, async move {
        if let Err(error) = gateway::serve(listener, gateway).await {
            eprintln!("the gateway ended: {error}");
        }
    });
    Ok(began)
}

/// Fills a new ledger by the real writer; the events to repeat, and the time that a centre would not have spent.
async fn prepare(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    incidents: usize,
) -> anyhow::Result<(Vec<Arc<Published>>, Duration)> {
    let (tasks, bus) = (Tasks::default(), Arc::new(LocalBus::new(8_192)));
    let options = dispatch::WriterOptions::default();
    let writer = dispatch::start(SITE.into(), store.clone(), bus.clone(), clock.clone(), options, &tasks);
    let ready = writer.status().wait_for(|s| s.ok).await.map(drop);
    ready.context("the writer ended")?;
    let loaded = std::time::Instant::now();
    let fresh = store.head().await?.seq == 0;
    if fresh {
        start(store, &writer, incidents).await?;
    }
    let site = site::built_in();
    let sensors: Vec<_> =
        site.sensors.iter().filter(|s| s.kind == SensorKind::Manhole).map(|s| &s.id).cycle().take(ALARMS).collect();
    let mut messages = bus.subscribe().await?;
    // The first raises, the second is what every further one is.
    for raised in sensors.iter().chain(&sensors) {
        let observation = Observation::SensorEdge {
            sensor: (*raised).clone(),
            rule: "manhole".into(),
            kind: "manhole".into(),
            raised: true,
            value: Some(30.0),
            at: Timestamp(clock.now_ms()),
        };
        submit(&writer, Input::Observe { mode: Mode::Real, observation }).await?;
    }
    let head = store.head().await?.seq;
    let mut templates = Vec::new();
    loop {
        let Delivery::Message(message) = messages.next().await else { bail!("the bus lost a message") };
        if message.event.event.kind == "alarm_evidence" {
            templates.push(message.clone());
        }
        if message.event.seq >= head {
            break;
        }
    }
    tasks.drain(Duration::from_secs(5)).await;
    let from = templates.len().saturating_sub(ALARMS);
    anyhow::ensure!(templates.len() >= ALARMS, "only {} pieces of evidence were made", templates.len());
    Ok((templates.split_off(from), loaded.elapsed()))
}

async fn start(store: &Arc<dyn Store>, writer: &dispatch::Writer, incidents: usize) -> anyhow::Result<()> {
    let command = |command| Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    submit(writer, command(Command::SetSite(site::built_in()))).await?;
    let account =
        Account { id: ACCOUNT.into(), role: Role::ShiftChief, unit: None, grid: None, name: VaultId(0), active: true };
    submit(writer, command(Command::SetAccount { account, name: "值班长".to_owned() })).await?;
    let hashed = tokio::task::spawn_blocking(|| gateway::accounts::hash_password(PASSWORD)).await?;
    let password_hash = hashed.context("the password cannot be hashed")?;
    let account = ACCOUNT.to_owned();
    store.put_credential(&Credential { account, password_hash, failed: 0, locked_until_ms: 0, totp: None }).await?;
    super::fill::incidents(writer, incidents).await
}

pub(crate) async fn submit(writer: &dispatch::Writer, input: Input) -> anyhow::Result<Done> {
    Ok(writer.submit(Submission::keyless(input)).await?)
}

/// Answers one control connection after the other.
async fn feed(
    listener: TcpListener,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    templates: &[Arc<Published>],
) -> anyhow::Result<()> {
    let mut head = store.open_writer().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        let (ask, mut asked) = mpsc::channel::<u32>(1_024);
        let read = async move {
            while let Ok(count) = reader.read_u32_le().await {
                if ask.send(count).await.is_err() {
                    break;
                }
            }
        };
        let append = async {
            let mut waiting = 0_usize;
            loop {
                if waiting == 0 {
                    let Some(count) = asked.recv().await else { return anyhow::Ok(()) };
                    waiting = count as usize;
                }
                while let Ok(count) = asked.try_recv() {
                    waiting += count as usize;
                }
                let some = waiting.min(BATCH);
                let batch = batch(head, templates, some);
                head = store.append(&batch).await?;
                // After the commit and before the publication, as the writer does it.
                let told = writer.write_u64_le(head.seq).await;
                bus.publish(batch.into_published()).await?;
                waiting -= some;
                if told.is_err() {
                    return Ok(());
                }
            }
        };
        let (_, appended) = tokio::join!(read, append);
        appended?;
    }
}

/// The next events: those of the templates in turn.
pub(crate) fn batch(head: Head, templates: &[Arc<Published>], count: usize) -> Batch {
    let mut batch = Batch::new(head);
    for (seq, i) in (head.seq + 1..).zip(0..count) {
        let Some(template) = templates.get((head.seq as usize + i) % templates.len().max(1)) else { break };
        batch.events.push(template.event.event.clone());
        batch.documents.extend(template.documents.iter().cloned().map(|mut document| {
            document.rev_seq = seq;
            document
        }));
    }
    batch
}
