//! Parts that run as processes of their own: the cameras, our media role, and a bare retina loop. Each tells on standard
//! output how far it is and ends with its standard input or by a signal.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::StreamExt as _;
use link::media::{CameraState, Media as _, MediaItem, Quality};
use retina::client::{PlayOptions, SessionGroup, SessionOptions, SetupOptions};
use runtime::{Criticality, SystemClock, Tasks, tasks::Stage};
use simulator::cameras::{Cameras, CamerasConfig, Credentials, address_of, specs};
use tokio::task::JoinSet;
use video::config::{CameraConfig, StillsConfig};

/// User and password of the simulated cameras, which only listen on loopback while a bench runs.
pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "maojiawan";
/// What a part says when all its streams run.
pub(crate) const ONLINE: &str = "online";

/// The simulated cameras; says how many streams it sends, once a second.
pub(crate) async fn serve(port: u16, films: PathBuf) -> anyhow::Result<()> {
    let site = site::built_in();
    let credentials = Credentials { user: USER.to_owned(), password: PASSWORD.to_owned() };
    let mut config = CamerasConfig::new(specs(&site, port, false, &credentials), films);
    // ffmpeg reads none of its inputs before it has opened the last one; it must not be cut for that.
    config.max_backlog = 32 << 20;
    let tasks = Tasks::default();
    let tell = |p: simulator::cameras::Progress| println!("films {}/{}", p.done, p.total);
    let cameras = Cameras::start(config, &tasks, Arc::new(SystemClock), tell).await?;
    println!("ready");
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let stats = cameras.stats();
        println!("streams {} frames {} bytes {} cut {}", stats.viewers, stats.frames, stats.bytes, stats.slow_cut);
    }
}

fn sub(number: u16, port: u16) -> anyhow::Result<url::Url> {
    Ok(format!("rtsp://{}/sub", address_of(number, port)).parse()?)
}

/// Our media role without stills: sessions, rings and fMP4, with `viewers` who take every fragment.
pub(crate) async fn ours(count: u16, port: u16, viewers: u16) -> anyhow::Result<()> {
    let camera = |number| {
        Ok(CameraConfig {
            id: format!("c{number:03}").into(),
            main: None,
            sub: sub(number, port)?,
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            server: address_of(number, port).to_string(),
        })
    };
    let config = video::Config {
        cameras: (1..=count).map(camera).collect::<anyhow::Result<_>>()?,
        stills: StillsConfig::default(),
        ..video::Config::default()
    };
    let tasks = Tasks::default();
    let cameras = video::Cameras::start(config, Arc::new(SystemClock), &tasks);
    let online = async || {
        let all = cameras.cameras().await;
        all.iter().filter(|c| c.state == CameraState::Online).count()
    };
    while online().await < usize::from(count) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for number in 1..=viewers {
        let mut live = cameras.subscribe(&format!("c{number:03}").into(), Quality::Sub).await?;
        tasks.spawn("viewer", Stage::Sockets, Criticality::Ordinary, async move {
            while let Some(item) = live.items.recv().await {
                if let MediaItem::Skipped { fragments } = item {
                    println!("skipped {fragments}");
                }
            }
        });
    }
    println!("{ONLINE}");
    std::future::pending().await
}

/// A bare retina loop: frames are put together and dropped.
pub(crate) async fn bare(count: u16, port: u16) -> anyhow::Result<()> {
    let online = Arc::new(AtomicUsize::new(0));
    let mut pulls = JoinSet::new();
    for number in 1..=count {
        pulls.spawn(bare_one(sub(number, port)?, online.clone(), usize::from(count)));
    }
    let ended = pulls.join_next().await.context("no cameras")?;
    ended?
}

async fn bare_one(url: url::Url, online: Arc<AtomicUsize>, all: usize) -> anyhow::Result<()> {
    let credentials = retina::client::Credentials { username: USER.to_owned(), password: PASSWORD.to_owned() };
    let options = SessionOptions::default().creds(Some(credentials)).session_group(Arc::new(SessionGroup::default()));
    let mut session = retina::client::Session::describe(url, options).await?;
    let stream = session.streams().iter().position(|s| s.media() == "video").context("no video")?;
    session.setup(stream, SetupOptions::default()).await?;
    let mut demuxed = Box::pin(session.play(PlayOptions::default()).await?.demuxed()?);
    let mut first = true;
    while let Some(item) = demuxed.next().await {
        std::hint::black_box(item?);
        if std::mem::take(&mut first) && online.fetch_add(1, Ordering::Relaxed) + 1 == all {
            println!("{ONLINE}");
        }
    }
    anyhow::bail!("a camera ended its stream")
}
