//! Starts many simulated cameras and prints how they fare: `cameras [COUNT] [PORT] [CACHE] [--night]`.
//!
//! While it runs, lines on standard input change cameras: `c007 frozen`, `c007 clear`, `c007 fire`, `all dead`,
//! `all clear`, `cut`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::ids::CameraId;
use runtime::{SystemClock, Tasks};
use simulator::cameras::{
    Auth, CameraSpec, Cameras, CamerasConfig, Credentials, Fault, Scene, WriteMode, address_of, main_codec,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

fn specs(count: u16, port: u16) -> Vec<CameraSpec> {
    let scenes: Vec<_> = Scene::ALL.iter().copied().filter(|s| !matches!(s, Scene::Fire | Scene::Black)).collect();
    (1..=count)
        .map(|number| (number, scenes[usize::from(number - 1) % scenes.len()]))
        .map(|(number, scene)| CameraSpec {
            id: CameraId::new(format!("c{number:03}")),
            number,
            scene,
            night: std::env::args().any(|a| a == "--night"),
            marked: true,
            auth: [Auth::Basic, Auth::Digest, Auth::Basic, Auth::DigestQop][usize::from(number) % 4],
            credentials: Credentials { user: "admin".into(), password: "maojiawan".into() },
            address: address_of(number, port),
            main_codec: main_codec(scene),
            write_mode: if number / 4 % 2 == 0 { WriteMode::Frame } else { WriteMode::Packet },
        })
        .collect()
}

async fn obey(cameras: &Cameras, line: &str) -> anyhow::Result<()> {
    let (who, what) = line.split_once(' ').unwrap_or((line, ""));
    let fault = Fault::ALL.into_iter().find(|f| format!("{f:?}").eq_ignore_ascii_case(what));
    match (who, what, fault) {
        ("cut", ..) => cameras.cut_all_links(),
        ("all", _, fault) => cameras.set_all(fault).await?,
        (id, "clear", _) => cameras.clear(&id.into()).await?,
        (id, "own", _) => cameras.reset_scene(&id.into()).await?,
        (id, _, Some(fault)) => cameras.set_fault(&id.into(), fault).await?,
        (id, scene, None) => {
            let scene = scene.parse::<Scene>().ok().context("neither a fault nor a scene")?;
            cameras.set_scene(&id.into(), scene).await?;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let count = args.next().map_or(Ok(237), |a| a.parse())?;
    let port = args.next().map_or(Ok(8554), |a| a.parse())?;
    let cache = args.next().map_or_else(|| std::env::temp_dir().join("maojiawan-films"), PathBuf::from);
    let tasks = Tasks::default();
    let begin = tokio::time::Instant::now();
    let config = CamerasConfig::new(specs(count, port), cache);
    let cameras = Cameras::start(config, &tasks, Arc::new(SystemClock), move |p| {
        println!("{:5.1}s films {}/{} {}", begin.elapsed().as_secs_f32(), p.done, p.total, p.scene.id());
    })
    .await?;
    println!("{:5.1}s {count} cameras at port {port}, H.265: {}", begin.elapsed().as_secs_f32(), cameras.h265());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut every = tokio::time::interval(Duration::from_secs(10));
    let mut input = true;
    loop {
        tokio::select! {
            line = lines.next_line(), if input => match line? {
                Some(line) => if let Err(error) = obey(&cameras, line.trim()).await { println!("{error:#}") },
                None => input = false,
            },
            _ = every.tick() => println!("{:?}", cameras.stats()),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    tasks.drain(Duration::from_secs(2)).await;
    Ok(())
}
