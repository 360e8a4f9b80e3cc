//! The others: nchan in nginx, socket.io on node, and the Redis and PostgreSQL that they and we need. All on free
//! loopback ports, in folders of their own, ended with us.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::{
    centre::Folder,
    process::{Run, children, free_port},
};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
/// Where `deploy/prepare.sh --bench` puts it.
pub(crate) const RUMQTTD: &str = "target/peers/bin/rumqttd";
const PATIENCE: Duration = Duration::from_secs(20);

/// Installs what is missing.
pub(crate) async fn prepare() -> anyhow::Result<()> {
    if !Path::new(MODULE).exists() || which("redis-server").is_none() {
        install().await?;
    }
    let folder = Path::new("benches/peers/socketio");
    if !folder.join("node_modules/socket.io").exists() {
        let done = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).status().await?;
        anyhow::ensure!(done.success(), "npm ci failed in {}", folder.display());
    }
    Ok(())
}

async fn install() -> anyhow::Result<()> {
    let done = Command::new("deploy/prepare.sh").arg("--bench").status().await?;
    anyhow::ensure!(done.success(), "deploy/prepare.sh --bench failed");
    Ok(())
}

/// Installs rumqttd if it is missing; whether it is there then.
pub(crate) async fn rumqttd() -> anyhow::Result<bool> {
    if which(RUMQTTD).is_none() {
        install().await?;
    }
    Ok(which(RUMQTTD).is_some())
}

/// By name, or by a path of its own.
fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| p.exists());
    }
    ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().map(|f| Path::new(f).join(program)).find(|p| p.exists())
}

/// Dies with us, also when we are killed.
pub(crate) fn tied(program: &str, args: &[String]) -> anyhow::Result<Run> {
    let program = which(program).with_context(|| format!("{program} is missing"))?;
    let all = [&["--pdeathsig", "KILL"].map(str::to_owned)[..], &[program.display().to_string()], args].concat();
    Run::start("setpriv", &all)
}

pub(crate) async fn listens(port: u16) -> anyhow::Result<()> {
    let connect = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connect).await.with_context(|| format!("nobody listens on {port}"))
}

/// A Redis without files.
pub(crate) struct Redis {
    pub(crate) run: Run,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Redis {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_at(free_port()?).await
    }
    pub(crate) async fn start_at(port: u16) -> anyhow::Result<Self> {
        let folder = Folder::new(&format!("redis-{port}"))?;
        let (text, dir) = (port.to_string(), folder.0.display().to_string());
        let args = ["--bind", "127.0.0.1", "--port", &text, "--save", "", "--daemonize", "no", "--dir", &dir];
        let run = tied("redis-server", &args.map(str::to_owned))?;
        listens(port).await?;
        Ok(Self { run, port, _folder: folder })
    }
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// nginx with nchan.
pub(crate) struct Nchan {
    pub(crate) run: Run,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Nchan {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, Folder::new("nchan")?);
        let file = folder.0.join("nginx.conf");
        std::fs::write(&file, nginx(port, &folder.0))?;
        let args = ["-c", &file.display().to_string(), "-p", &folder.0.display().to_string(), "-e", "stderr"];
        let run = tied("nginx", &args.map(str::to_owned))?;
        listens(port).await?;
        while children(run.pid).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { run, port, _folder: folder })
    }
    /// The workers too.
    pub(crate) fn pids(&self) -> Vec<u32> {
        [vec![self.run.pid], children(self.run.pid)].concat()
    }
}

/// One worker: with two, nchan spends more on talk between them than it gains here.
fn nginx(port: u16, folder: &Path) -> String {
    let f = folder.display();
    format!(
        "load_module {MODULE};\nuser root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {f}/pid;\n\
         error_log stderr crit;\nevents {{ worker_connections 16000; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {f}/body; proxy_temp_path {f}/proxy; fastcgi_temp_path {f}/fcgi; uwsgi_temp_path \
         {f}/uwsgi; scgi_temp_path {f}/scgi;\n  keepalive_requests 1000000000; keepalive_timeout 1h; \
         client_header_timeout 1h;\n  nchan_shared_memory_size 256M;\n  \
         server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    tcp_nodelay on;\n    location = /pub {{ \
         nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 50000; nchan_message_timeout 120s; \
         }}\n    location = /sub {{ nchan_subscriber websocket; nchan_channel_id bench; \
         nchan_subscriber_first_message newest; }}\n  }}\n}}\n"
    )
}

/// socket.io with one of its Redis adapters.
pub(crate) struct SocketIo {
    pub(crate) run: Run,
    pub(crate) port: u16,
    /// Where events may be asked for besides Redis.
    pub(crate) control: u16,
}

impl SocketIo {
    /// `adapter`: `pubsub` or `streams`.
    pub(crate) async fn start(redis: u16, adapter: &str) -> anyhow::Result<Self> {
        let (port, control) = (free_port()?, free_port()?);
        let args =
            ["benches/peers/socketio/server.mjs", &port.to_string(), &control.to_string(), &redis.to_string(), adapter];
        let mut run = tied("node", &args.map(str::to_owned))?;
        run.line("ready", PATIENCE).await?;
        Ok(Self { run, port, control })
    }
}

/// A line `ready LOG HEAD MS` of our part: the head, and how long a centre would have taken to start.
pub(crate) fn ready(line: &str) -> anyhow::Result<(u64, Duration)> {
    let words: Vec<u64> = line.split(' ').filter_map(|w| w.parse().ok()).collect();
    let [_, head, ms] = words[..] else { bail!("not a ready line: {line}") };
    Ok((head, Duration::from_millis(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_has_three_numbers() {
        assert!(ready("ready 7 9 120").is_ok_and(|r| r == (9, Duration::from_millis(120))));
        assert!(ready("ready 7 9").is_err());
    }

    #[test]
    fn nginx_listens_on_loopback_only() {
        let text = nginx(8_080, Path::new("/tmp/x"));
        assert!(text.contains("listen 127.0.0.1:8080 ") && text.matches("listen ").count() == 1);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
