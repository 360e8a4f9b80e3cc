//! The whole demo: its start, and what it takes at rest.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    centre::{Centre, Folder},
    process::{Usage, children, command_line, usage},
    results::Figure,
    stats::median,
};

const SETTLE: Duration = Duration::from_secs(20);
const WINDOW: Duration = Duration::from_secs(60);

/// First and later starts, and rest.
pub(crate) async fn measure(program: &Path, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let folder = Folder::new("demo")?;
    let (mut ready, mut whole) = (Vec::new(), Vec::new());
    let mut figures = Vec::new();
    for round in 0..=rounds {
        let begun = Instant::now();
        let centre = Centre::demo(program, &folder.0).await?;
        centre.wait_for("simulator").await?;
        centre.wait_for("cameras").await?;
        let online = begun.elapsed().as_secs_f64();
        println!("  start {round}: ready after {:.2} s, 237/237 after {online:.2} s", centre.ready.as_secs_f64());
        if round > 0 {
            ready.push(centre.ready.as_secs_f64());
            whole.push(online);
        }
        if round == rounds {
            figures.extend(rest(&centre).await);
        }
        centre.run.end().await?;
    }
    let (ready, whole) = (median(&ready), median(&whole));
    figures.push(Figure::new("S1", "Second start → /readyz", ready, "s").target("< 5 s", ready < 5.0));
    figures.push(Figure::new("S2", "Second start → simulated site up, 237/237 cameras online", whole, "s"));
    Ok(figures)
}

async fn rest(centre: &Centre) -> Vec<Figure> {
    tokio::time::sleep(SETTLE).await;
    let all = children(centre.run.pid);
    let those = |word: &str| all.iter().copied().filter(|p| command_line(*p).contains(word)).collect::<Vec<_>>();
    let groups = [vec![centre.run.pid], those(" simulate "), those(" decode"), those("mosquitto")];
    let used = usage(&groups, WINDOW).await;
    let names = ["centre", "simulator", "decode", "broker"];
    let what = ["centre", "simulated site with 237 cameras", "decode children (stills, diagnosis)", "child broker"];
    let mut figures = Vec::new();
    for ((name, what), Usage { cores, mib }) in names.iter().zip(what).zip(used) {
        println!("  at rest, {what}: {cores:.3} cores, {mib:.0} MiB");
        let cpu = Figure::new(&format!("R1.{name}.cpu"), format!("At rest over 60 s: {what}"), cores, "cores");
        // Cameras and everything else of the site share the process, so the cameras' bound is only an upper mark.
        let cpu = if *name == "simulator" { cpu.target("≤ 0.15 cores", cores <= 0.15) } else { cpu };
        figures.push(cpu);
        figures.push(Figure::new(&format!("R1.{name}.memory"), format!("At rest, resident: {what}"), mib, "MiB"));
    }
    figures
}
