//! G6: what is lost when Redis or a gateway dies, and how fast clients resume.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use client::{Follower, Options, Session, Step, Told};
use ledger::testing::postgres::PostgresServer;
use tokio::task::JoinSet;

use super::{
    How, Ours, SIZE,
    dialect::{Dialect, Place},
    load::Load,
    peers::{Redis, SocketIo},
    source::Source,
};
use crate::{
    centre::Folder,
    process::{cpu_seconds, own_mib},
    results::Figure,
    stats::median,
};

/// Clients of the run with faults, half on each gateway.
const FOLLOWERS: usize = 100;
/// Events of the gap.
const GAP: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

pub(crate) async fn measure(how: &How) -> anyhow::Result<Vec<Figure>> {
    let mut figures = killed().await?;
    let kept = !crate::results::missed(&figures, "G6");
    figures.extend(resumed(how, kept).await?);
    Ok(figures)
}

/// What a follower saw.
#[derive(Default)]
struct Seen {
    events: u64,
    lost: u64,
    doubled: u64,
    resyncs: u64,
    connections: u64,
}

/// Follows until `until` says where the log ends and it is there.
async fn follow(
    session: Session,
    addresses: [SocketAddr; 2],
    first: usize,
    from: client::Position,
    until: tokio::sync::watch::Receiver<u64>,
) -> anyhow::Result<Seen> {
    let mut options = Options::at(addresses[first % 2].to_string());
    options.pause = (Duration::from_millis(100), Duration::from_secs(1));
    let (mut follower, mut seen, mut last, mut turn) =
        (Follower::new(options, session, Some(from)), Seen::default(), from.seq, first);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let end = *until.borrow();
        if end > 0 && follower.position().is_some_and(|p| p.seq >= end) {
            break;
        }
        match tokio::time::timeout(Duration::from_secs(2), follower.next()).await {
            Ok(told) => match told? {
                Told::Connected => seen.connections += 1,
                Told::Lost(_) => {
                    turn += 1;
                    follower.turn_to(addresses[turn % 2].to_string());
                }
                Told::Step(Step::Frame(frame)) => {
                    for seq in frame.items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq) {
                        // The account sees everything, so that each number must come.
                        seen.lost += seq.saturating_sub(last + 1);
                        seen.doubled += u64::from(seq <= last);
                        seen.events += 1;
                        last = last.max(seq);
                    }
                }
                Told::Step(Step::Snapshot(snapshot)) => last = snapshot.seq,
                Told::Step(Step::Resync(_)) => seen.resyncs += 1,
                Told::Step(_) => {}
            },
            Err(_) => continue,
        }
    }
    seen.lost += (*until.borrow()).saturating_sub(last);
    Ok(seen)
}

/// Two gateways on one Redis and PostgreSQL; Redis dies and comes back, then a gateway dies.
async fn killed() -> anyhow::Result<Vec<Figure>> {
    let server = tokio::task::block_in_place(PostgresServer::start);
    let (folder, mut redis) = (Folder::new("faults")?, Redis::start().await?);
    let (url, database) = (redis.url(), server.url("postgres"));
    let more = ["--redis", &url, "--postgres", &database];
    let feeder = Ours::start(&folder.0, true, &more).await?;
    let (one, two) = (Ours::start(&folder.0, false, &more).await?, Ours::start(&folder.0, false, &more).await?);
    let session = feeder.session().await?;
    let log_id = position(&one, &session).await?;
    let (tell, until) = tokio::sync::watch::channel(0);
    let mut followers = JoinSet::new();
    for n in 0..FOLLOWERS {
        followers.spawn(follow(session.clone(), [one.address, two.address], n, log_id, until.clone()));
    }
    let mut source = feeder.source()?;
    let (begun, mut one) = (Instant::now(), Some(one));
    let (port, mut killed_redis) = (redis.port, false);
    for tick in 0_u64.. {
        let second = begun.elapsed().as_secs();
        if second >= 20 {
            break;
        }
        if second >= 5 && !killed_redis {
            redis.run.kill().await?;
            killed_redis = true;
            redis = continue_without(port, &mut source).await?;
            println!("  Redis was away");
        }
        if second >= 12
            && let Some(one) = one.take()
        {
            one.run.kill().await?;
            println!("  a gateway is dead");
        }
        source.publish(1)?;
        tokio::time::sleep_until((begun + TICK * u32::try_from(tick)?).into()).await;
    }
    while source.durable < source.at {
        source.turn()?;
        tokio::time::sleep(TICK).await;
    }
    tell.send_replace(source.at);
    let mut all = Seen::default();
    while let Some(seen) = followers.join_next().await {
        let seen = seen??;
        all.events += seen.events;
        all.lost += seen.lost;
        all.doubled += seen.doubled;
        all.resyncs += seen.resyncs;
        all.connections += seen.connections;
    }
    println!(
        "  {} events to {FOLLOWERS} clients: {} came, {} lost, {} doubled, {} resyncs, {} connections",
        source.at - feeder.head,
        all.events,
        all.lost,
        all.doubled,
        all.resyncs,
        all.connections
    );
    for run in [two.run, feeder.run, redis.run] {
        run.end().await?;
    }
    let what = format!(
        "{FOLLOWERS} clients on two gateways; Redis killed for 3 s, then a gateway killed: events lost or doubled, of {}",
        all.events
    );
    let resyncs = "The same: clients that had to begin with a new snapshot";
    Ok(vec![
        Figure::none("G6.wrong", what, all.lost + all.doubled, "events").once(),
        Figure::new("G6.resyncs", resyncs, all.resyncs as f64, "clients").once(),
    ])
}

/// Goes on for three seconds, then starts Redis again.
async fn continue_without(port: u16, source: &mut Source) -> anyhow::Result<Redis> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        source.publish(1)?;
        tokio::time::sleep(TICK).await;
    }
    Redis::start_at(port).await
}

/// Where a client stands that connects now.
async fn position(ours: &Ours, session: &Session) -> anyhow::Result<client::Position> {
    let mut feed = client::Feed::open(&Options::at(ours.address.to_string()), session, None).await?;
    loop {
        if let Step::Snapshot(_) = feed.next().await?
            && let Some(position) = feed.position()
        {
            return Ok(position);
        }
    }
}

/// One resume of one server.
#[derive(Clone, Copy)]
struct Resume {
    ms: f64,
    /// CPU of the server and Redis, seconds.
    cpu: f64,
    /// Their memory at the end, MiB.
    mib: f64,
}

/// All clients come back at once after 200 events. `kept`: nothing was lost or doubled when something was killed.
async fn resumed(how: &How, kept: bool) -> anyhow::Result<Vec<Figure>> {
    let (redis, folder) = (Redis::start().await?, Folder::new("resume")?);
    let socket_io = SocketIo::start(redis.port, "streams").await?;
    let ours = Ours::start(&folder.0, true, &["--redis", &redis.url()]).await?;
    let dialect = Dialect::Ours { cookie: ours.session().await?.cookie(), conflate: false };
    let mut source = ours.source()?;
    let mut theirs = Source::server(socket_io.control, SIZE)?;
    let local = SocketAddr::from(([127, 0, 0, 1], socket_io.port));
    let pids = [ours.run.pid, socket_io.run.pid].map(|server| [server, redis.run.pid]);
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for round in 1..=how.rounds {
        let (a, b) = tokio::task::block_in_place(|| {
            let a = resume(&dialect, ours.address, &mut source, how.clients, &pids[0])?;
            anyhow::Ok((a, resume(&Dialect::SocketIo, local, &mut theirs, how.clients, &pids[1])?))
        })?;
        println!(
            "  round {round}: ours {:.0} ms, {:.2} CPU s; socket.io {:.0} ms, {:.2} CPU s",
            a.ms, a.cpu, b.ms, b.cpu
        );
        us.push(a);
        them.push(b);
    }
    for run in [ours.run, socket_io.run, redis.run] {
        run.end().await?;
    }
    let figure = |id: &str, what: &str, unit: &str, of: fn(&Resume) -> f64| {
        let of = |all: &[Resume]| median(&all.iter().map(of).collect::<Vec<_>>());
        let what = format!("{} clients resume a gap of {GAP} events{what}", how.clients);
        Figure::new(id, what, of(&us), unit).peer("socket.io Streams adapter", of(&them))
    };
    let time = figure("G6", ", from the first connection to the last event", "ms", |r| r.ms);
    let faster = time.ratios.values().all(|r| *r >= 10.0);
    Ok(vec![
        time.target("≥ 10 × faster, and none lost or doubled by kills", faster && kept),
        figure("G6.cpu", ": CPU of server and Redis", "CPU s", |r| r.cpu),
        figure("G6.memory", ": memory of server and Redis", "MiB", |r| r.mib),
    ])
}

/// From the first connection until all have the gap.
fn resume(
    dialect: &Dialect,
    address: SocketAddr,
    source: &mut Source,
    clients: usize,
    pids: &[u32],
) -> anyhow::Result<Resume> {
    let mut load = Load::new(dialect.clone(), address)?;
    load.open(vec![Place::default(); clients], source.at)?;
    // One event, so that each knows where it is.
    source.publish(1)?;
    load.reach(source.at, PATIENCE)?;
    let places = load.places();
    drop(load);
    std::thread::sleep(Duration::from_secs(1));
    source.publish(GAP)?;
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        source.turn()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut load = Load::new(dialect.clone(), address)?;
    let (begun, before) = (Instant::now(), cpu_seconds(pids));
    load.begin(places, None)?;
    load.reach(source.at, PATIENCE)?;
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    Ok(Resume { ms, cpu: cpu_seconds(pids) - before, mib: own_mib(pids) })
}
