//! Pulls the cameras of the camera simulator (or any list) and prints how they fare, with the CPU that it cost:
//! `pull COUNT PORT SECONDS [VIEWERS] [DECODE…]`. Camera n is at 127.0.(1 + (n-1)/250).(1 + (n-1)%250).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use link::media::{Media, MediaItem, Quality};
use runtime::{SystemClock, Tasks};
use video::{
    Cameras, Config,
    config::{CameraConfig, StillsConfig},
};

fn camera(number: u16, port: u16) -> Result<CameraConfig, url::ParseError> {
    let place = number - 1;
    let address = format!("127.0.{}.{}", 1 + place / 250, 1 + place % 250);
    Ok(CameraConfig {
        id: format!("c{number:03}").into(),
        main: Some(format!("rtsp://{address}:{port}/main").parse()?),
        sub: format!("rtsp://{address}:{port}/sub").parse()?,
        username: "admin".to_owned(),
        password: "maojiawan".to_owned(),
        server: address,
    })
}

/// CPU seconds of this process (and, with `children`, of its ended children), by clock ticks of 1/100 s.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    runtime::telemetry::logs("info", false);
    let mut args = std::env::args().skip(1);
    let mut number = |default: u16| args.next().map_or(Ok(default), |a| a.parse::<u16>());
    let (count, port, seconds, viewers) = (number(237)?, number(8554)?, number(30)?, number(0)?);
    let decode_command: Vec<String> = args.collect();
    let config = Config {
        cameras: (1..=count).map(|n| camera(n, port)).collect::<Result<_, _>>()?,
        stills: StillsConfig { decode_command, ..StillsConfig::default() },
        ..Config::default()
    };
    let tasks = Tasks::default();
    let cameras = Cameras::start(config, Arc::new(SystemClock), &tasks);
    let mut changes = cameras.changes().await;
    let begun = tokio::time::Instant::now();
    let mut online = 0;
    while online < count && begun.elapsed() < Duration::from_secs(20) {
        if let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await {
            let states = cameras.cameras().await;
            online = states.iter().filter(|s| s.state == link::media::CameraState::Online).count() as u16;
        }
    }
    println!("{online}/{count} online after {:.2} s, {:.2} s CPU", begun.elapsed().as_secs_f32(), cpu_seconds());
    for n in 1..=viewers {
        let mut live = cameras.subscribe(&format!("c{n:03}").into(), Quality::Sub).await?;
        tasks.spawn("viewer", runtime::tasks::Stage::Sockets, runtime::Criticality::Ordinary, async move {
            while let Some(item) = live.items.recv().await {
                if let MediaItem::Skipped { fragments } = item {
                    println!("a viewer skipped {fragments}");
                }
            }
        });
    }
    for _ in 0..(seconds / 10).max(1) {
        let (cpu, at) = (cpu_seconds(), tokio::time::Instant::now());
        let until = at + Duration::from_secs(10);
        while let Ok(Some(status)) = tokio::time::timeout_at(until, changes.recv()).await {
            println!("{} {} {:?}", status.camera, status.state.name(), status.fault);
        }
        let share = (cpu_seconds() - cpu) / at.elapsed().as_secs_f64();
        let all = cameras.cameras().await;
        let mut states = BTreeMap::<_, u32>::new();
        all.iter().for_each(|s| *states.entry(s.state.name()).or_default() += 1);
        let fps: f32 = all.iter().map(|s| s.fps).sum();
        let bits: u64 = all.iter().map(|s| u64::from(s.bitrate)).sum();
        println!(
            "{:.1} % of a core, {:.0} µs a camera-second, {} MiB resident, {fps:.0} frames/s, {:.1} Mb/s, {states:?}",
            share * 100.0,
            share * 1e6 / f64::from(count),
            resident_mib(),
            bits as f64 / 1e6
        );
    }
    let folder = std::env::temp_dir();
    if let Ok(sheet) = cameras.sheet().await {
        let seen = sheet.tiles.iter().filter(|(_, t)| t.is_some()).count();
        println!("sheet of {seen} tiles, {} KiB", sheet.jpeg.len() / 1024);
        std::fs::write(folder.join("sheet.jpg"), &sheet.jpeg)?;
    }
    match cameras.still(&"c001".into()).await {
        Ok(still) => std::fs::write(folder.join("still.jpg"), &still.jpeg)?,
        Err(error) => println!("no still: {error}"),
    }
    let now = domain::time::Timestamp(runtime::Clock::now_ms(&SystemClock));
    let ago = |s: i64| now + domain::time::Millis::seconds(-s);
    match cameras.clip(&"c001".into(), ago(10), ago(0)).await {
        Ok(clip) => std::fs::write(folder.join("clip.mp4"), &clip.mp4)?,
        Err(error) => println!("no clip: {error}"),
    }
    tasks.drain(Duration::from_secs(3)).await;
    Ok(())
}
