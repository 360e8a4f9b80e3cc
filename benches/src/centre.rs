//! The real binary as a child, with its own data folder, and the little HTTP that a bench needs of it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::{Run, free_port};

/// Password of the accounts, as the demo has it.
const PASSWORD: &str = "maojiawan";
/// A cold start may have to encode the films.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running centre.
pub(crate) struct Centre {
    pub(crate) run: Run,
    pub(crate) address: String,
    data: PathBuf,
    /// From the start of the process to the first good answer of `/readyz`.
    pub(crate) ready: Duration,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Centre {
    /// Without simulated site: no cameras, departments or devices of its own. `rules` are lines of TOML.
    pub(crate) async fn plain(program: &Path, data: &Path, rules: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let password = data.join("password");
        std::fs::write(&password, PASSWORD)?;
        let file = data.join("bench.toml");
        let text = format!(
            "[log]\nfilter = \"warn\"\n[sensing]\nport = 0\n{rules}\n[[accounts]]\nid = \"chief\"\nrole = \
             \"shift_chief\"\nname = \"值班长\"\npassword_file = \"{}\"\n",
            password.display()
        );
        std::fs::write(&file, text)?;
        Self::start(program, data, &["--config".to_owned(), file.display().to_string()]).await
    }

    /// With the whole simulated site.
    pub(crate) async fn demo(program: &Path, data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        // Films that are there already need not be made again.
        let (films, link) = (PathBuf::from("data/films"), data.join("films"));
        if films.is_dir() && !link.exists() {
            std::os::unix::fs::symlink(films.canonicalize()?, link)?;
        }
        Self::start(program, data, &["--demo".to_owned()]).await
    }

    async fn start(program: &Path, data: &Path, how: &[String]) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let more = ["--listen", &address, "--data", &data.display().to_string()].map(str::to_owned);
        let args = [&["up".to_owned()], how, &more].concat();
        let begun = Instant::now();
        let run = Run::start(&program.to_string_lossy(), &args)?;
        let mut centre = Self { run, address, data: data.to_owned(), ready: Duration::ZERO };
        while !centre.get("/readyz").await.is_ok_and(|a| a.status == 200) {
            if begun.elapsed() > PATIENCE {
                bail!("the centre is not ready");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        centre.ready = begun.elapsed();
        Ok(centre)
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)).await
    }

    /// Logs in; the session's token.
    pub(crate) async fn log_in(&self, account: &str) -> anyhow::Result<String> {
        let body = format!("{{\"account\":\"{account}\",\"password\":\"{PASSWORD}\"}}");
        let ask = format!(
            "POST /api/v1/session HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = self.ask(&ask).await?;
        let token = answer.head.split("mjw_session=").nth(1).and_then(|t| t.split(';').next());
        Ok(token.with_context(|| format!("no session: {} {}", answer.status, answer.body))?.to_owned())
    }

    async fn ask(&self, request: &str) -> anyhow::Result<Answer> {
        let work = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
            let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status")?;
            Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
        };
        tokio::time::timeout(Duration::from_secs(10), work).await?
    }

    /// Port of its broker and the password that devices have.
    pub(crate) fn broker(&self) -> anyhow::Result<(u16, String)> {
        let folder = self.data.join("broker");
        let conf = std::fs::read_to_string(folder.join("mosquitto.conf"))?;
        let port = conf.lines().find_map(|l| l.strip_prefix("listener ")?.split(' ').next()?.parse().ok());
        let password = std::fs::read_to_string(folder.join("device.secret"))?;
        Ok((port.context("the broker has no port")?, password.trim().to_owned()))
    }

    /// Waits until a dependency of `/readyz` is `up`.
    pub(crate) async fn wait_for(&self, dependency: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let answer: serde_json::Value = serde_json::from_str(&self.get("/readyz").await?.body)?;
            let list = answer["dependencies"].as_array().context("/readyz names no dependencies")?;
            if list.iter().any(|d| d["name"] == dependency && d["state"] == "up") {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{dependency} is not up: {answer}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A folder of its own, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("maojiawan-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
