//! The one configuration file. Every key is documented here and in `deploy/maojiawan.toml`; unknown keys are refused.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::account::Role;
use exchange::ExchangeError;
use ledger::{LedgerError, RedisOptions};
use runtime::config::{ConfigError, on_this_machine, parse, refuse, refuse_after};
use sensing::{SensingError, rules};
use serde::Deserialize;

use crate::references::{self, Missing};

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) data: Data,
    pub(crate) bus: Bus,
    pub(crate) link: Link,
    pub(crate) ledger: Ledger,
    pub(crate) log: Log,
    pub(crate) site: Site,
    pub(crate) gateway: gateway::Config,
    pub(crate) sensing: sensing::Config,
    pub(crate) exchange: exchange::Config,
    pub(crate) video: Video,
    pub(crate) demo: Demo,
    /// Accounts that exist from the start. The password file is read once, when the account has no password yet.
    pub(crate) accounts: Vec<Account>,
}

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Address for browsers and departments.
    pub(crate) listen: SocketAddr,
    /// Seconds that each stage of the drain may take.
    pub(crate) drain_s: u16,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), drain_s: 5 }
    }
}

/// `[data]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    /// Folder of the ledger, telemetry, blobs and keys. Each process has its own.
    pub(crate) folder: PathBuf,
    /// Folder of `blobs/` and `master.key` where all processes of one PostgreSQL find them; default = `folder`.
    pub(crate) files: Option<PathBuf>,
    /// Days that an idempotency key is remembered.
    pub(crate) key_days: u16,
    /// The journal of erasures, which a restore reads so that what was erased after the backup stays erased: best
    /// beside the backups, on another disk. Default = `erasures.log` in the data folder.
    pub(crate) erasures: Option<PathBuf>,
    /// Months that events stay in the database, beside the present one; older ones move to files in `archive/`.
    pub(crate) archive_months: u16,
}

impl Default for Data {
    fn default() -> Self {
        Self { folder: "data".into(), files: None, key_days: 30, erasures: None, archive_months: 13 }
    }
}

impl Data {
    /// See [`Data::files`].
    pub(crate) fn files(&self) -> &Path {
        self.files.as_deref().unwrap_or(&self.folder)
    }
    /// See [`Data::erasures`].
    pub(crate) fn erasures(&self) -> PathBuf {
        self.erasures.clone().unwrap_or_else(|| self.folder.join("erasures.log"))
    }
}

/// `[bus]`: how events reach other processes. Without `redis` they stay in this one, and nothing else is needed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bus {
    /// `redis://HOST:PORT`, or `rediss://HOST:PORT` with `ca_file`; version 6 or newer. Redis only speeds up: without it
    /// followers poll the ledger.
    pub(crate) redis: Option<String>,
    /// The authorities trusted for `rediss://`, PEM; no others are.
    pub(crate) ca_file: Option<PathBuf>,
    /// ACL user, with `password_file`.
    pub(crate) user: Option<String>,
    /// File with the password, one line; read anew for each connection.
    pub(crate) password_file: Option<PathBuf>,
    /// The password may go to another machine without encryption, over `redis://`.
    pub(crate) plain: bool,
    /// Start of the channel's name: `PREFIX:SITE:events`.
    pub(crate) prefix: String,
    /// Seconds between two heartbeats; three missed ones are told.
    pub(crate) heartbeat_s: u16,
}

impl Default for Bus {
    fn default() -> Self {
        let (redis, ca_file, user, password_file) = (None, None, None, None);
        Self { redis, ca_file, user, password_file, plain: false, prefix: "maojiawan".to_owned(), heartbeat_s: 1 }
    }
}

impl Bus {
    /// How to reach Redis; `None` when the bus is in the process. An error names the key.
    pub(crate) fn redis(&self) -> Result<Option<RedisOptions>, LedgerError> {
        let bad = |reason: &str| Err(LedgerError::Invalid { what: "redis", reason: reason.to_owned() });
        let Some(address) = &self.redis else {
            let lost = self.ca_file.is_some() || self.user.is_some() || self.password_file.is_some() || self.plain;
            if lost {
                return bad(
                    "缺少：用户、口令和 ca_file 需要 Redis 地址 is missing: user, password and ca_file belong to one",
                );
            }
            return Ok(None);
        };
        let heartbeat = Duration::from_secs(self.heartbeat_s.into());
        let options = RedisOptions {
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            prefix: self.prefix.clone(),
            heartbeat,
            silence: heartbeat * 3,
            ..RedisOptions::at(address, self.ca_file.clone())?
        };
        options.check()?;
        if options.password_file.is_some()
            && options.ca_file.is_none()
            && !on_this_machine(&options.host)
            && !self.plain
        {
            return bad("口令会不加密地发往另一台机器：请用 rediss:// 和 ca_file，或写明 plain = true \
                        the password would go to another machine unencrypted: use rediss:// with ca_file, or say plain = true");
        }
        Ok(Some(options))
    }
}

/// `[link]`: between a core and its gateways, where they are several processes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Link {
    /// Of a core: where gateways reach it.
    pub(crate) listen: Option<SocketAddr>,
    /// Of a gateway: `http://HOST:PORT` on loopback or `https://HOST:PORT` of the core.
    pub(crate) core: Option<String>,
    /// File with the token that both hold, one line of 16 to 128 characters.
    pub(crate) token_file: Option<PathBuf>,
    /// Of a core elsewhere than on loopback: certificate chain, PEM.
    pub(crate) cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub(crate) key_file: Option<PathBuf>,
    /// Of a gateway: the authorities trusted for `https://`, PEM; no others are.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Link {
    /// The wrong key, and what is wrong with it.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        if (self.listen.is_some() || self.core.is_some()) && self.token_file.is_none() {
            return Some(("token_file", "缺少：节点之间要有令牌 is missing: nodes need a token"));
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Some(("cert_file", "证书和私钥须一起给出 certificate and key go together"));
        }
        if self.listen.is_some_and(|at| !at.ip().is_loopback()) && self.cert_file.is_none() {
            let message = "非回环地址须有 cert_file 和 key_file an address elsewhere needs cert_file and key_file";
            return Some(("listen", message));
        }
        let core = self.core.as_ref()?;
        let url = url::Url::parse(core).ok().filter(|u| u.username().is_empty() && u.password().is_none());
        match url {
            Some(u) if u.scheme() == "https" && self.ca_file.is_some() => None,
            Some(u) if u.scheme() == "https" => {
                Some(("ca_file", "缺少：https 须写明信任的证书 is missing: https needs it"))
            }
            Some(u) if u.scheme() == "http" && u.host_str().is_some_and(on_this_machine) => None,
            _ => Some((
                "core",
                "须为 https:// 地址，本机可用 http:// must be an https:// address, or http:// on loopback",
            )),
        }
    }
}

/// `[ledger]`: where the log and telemetry are kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ledger {
    /// `postgres://user@host:port/database`, without a password; none = SQLite in the data folder.
    pub(crate) url: Option<String>,
    /// File with the password of the user, one line.
    pub(crate) password_file: Option<PathBuf>,
    /// Schema of the log; telemetry has `<schema>_telemetry`. Default = `maojiawan`.
    pub(crate) schema: Option<String>,
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// Filter as of `RUST_LOG`, e.g. `info,video=debug`.
    pub(crate) filter: String,
    /// One JSON object a line.
    pub(crate) json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,retina=error".to_owned(), json: false }
    }
}

/// `[site]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Site {
    /// Folder of the site's files; none = the built-in 卯家湾.
    pub(crate) folder: Option<PathBuf>,
    /// Seed of the demo's synthetic life and of its first week; the site itself does not depend on it.
    pub(crate) seed: u64,
}

impl Default for Site {
    fn default() -> Self {
        Self { folder: None, seed: 1 }
    }
}

/// `[video]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Video {
    /// Bytes of all camera rings together, MiB.
    pub(crate) ring_mib: usize,
    /// Decode children for stills and diagnosis.
    pub(crate) decode_children: usize,
    /// Each camera's still is renewed once in this time, seconds.
    pub(crate) still_s: u64,
    /// Minutes from one video patrol to the next.
    pub(crate) patrol_minutes: u64,
    /// The cameras; without any no video is shown.
    pub(crate) cameras: Vec<Camera>,
}

impl Default for Video {
    fn default() -> Self {
        Self { ring_mib: 512, decode_children: 2, still_s: 4, patrol_minutes: 30, cameras: Vec::new() }
    }
}

/// `[[video.cameras]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Camera {
    /// Id in the site.
    pub(crate) id: String,
    /// Small stream, `rtsp://host:port/path` without credentials.
    pub(crate) sub: String,
    /// Large stream.
    #[serde(default)]
    pub(crate) main: Option<String>,
    /// User; empty = none.
    #[serde(default)]
    pub(crate) username: String,
    /// File with the password, one line.
    #[serde(default)]
    pub(crate) password_file: Option<PathBuf>,
    /// Cameras behind one recorder share this name; default = host and port.
    #[serde(default)]
    pub(crate) server: Option<String>,
}

/// `[demo]`: how lively the synthetic site of `up --demo` is. Without `--demo` it is not looked at.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Demo {
    /// Factor of all delays of people and happenings; 1 is life-like, 0.1 ten times faster.
    pub(crate) pace: f64,
    /// Mean time between random happenings of ordinary life, minutes; 0 = none.
    pub(crate) ordinary_minutes: f64,
    /// Mean time between two pushes of records of one department, minutes; 0 = none.
    pub(crate) records_minutes: f64,
    /// Folder of the cameras' films, which several data folders may share; default = `films` in the data folder.
    pub(crate) films: Option<PathBuf>,
}

impl Default for Demo {
    fn default() -> Self {
        Self { pace: 1.0, ordinary_minutes: 12.0, records_minutes: 5.0, films: None }
    }
}

/// `[[accounts]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// Name to log in with.
    pub(crate) id: String,
    /// `duty_officer`, `dispatcher`, `shift_chief`, `department_clerk`, `grid_manager` or `wall_display`.
    pub(crate) role: String,
    /// Owner's name as the roster shows it.
    pub(crate) name: String,
    /// Unit of a clerk, team of a grid manager.
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// Grid of a grid manager.
    #[serde(default)]
    pub(crate) grid: Option<String>,
    /// File with the first password, one line.
    pub(crate) password_file: PathBuf,
}

impl Config {
    /// Why a process of these parts, (core, gateway), cannot run on it.
    pub(crate) fn fault_of(&self, parts: (bool, bool)) -> Option<&'static str> {
        match parts {
            (true, true) => None,
            _ if self.ledger.url.is_none() => Some(
                "SQLite 只能由一个进程使用：分开运行须配置 [ledger] url（PostgreSQL） SQLite belongs to one process: parts need [ledger] url",
            ),
            (true, false) if self.link.listen.is_none() => {
                Some("link.listen: 缺少：网关由此连接核心 is missing: gateways reach the core there")
            }
            (false, _) if self.link.core.is_none() => {
                Some("link.core: 缺少：核心的地址 is missing: the core's address")
            }
            _ => None,
        }
    }
}

impl Ledger {
    /// The wrong key, and what is wrong with it. The address is never repeated: somebody may have put a password there.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let Some(url) = &self.url else {
            return (self.password_file.is_some() || self.schema.is_some()).then_some((
                "url",
                "缺少：口令或模式需要 PostgreSQL 地址 is missing: password and schema belong to one",
            ));
        };
        let Some(url) = url::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "postgres" | "postgresql")) else {
            return Some(("url", "须为 postgres:// 地址 must be a postgres:// address"));
        };
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Some(("url", "口令须放在 password_file the password belongs into password_file"));
        }
        if url.host_str().is_none() || url.username().is_empty() || url.path().len() < 2 {
            return Some(("url", "须含用户、主机和数据库 must name user, host and database"));
        }
        // A host that begins with a slash is the folder of a socket.
        let near = url.host_str().is_some_and(|host| host.starts_with("%2F") || on_this_machine(host));
        if !near && !url.query_pairs().any(|(key, _)| key == "sslmode") {
            let message = "远程主机须写明 sslmode（如 verify-full） a host elsewhere needs sslmode, e.g. verify-full";
            return Some(("url", message));
        }
        let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let named = |s: &str| !s.is_empty() && s.len() <= 40 && s.chars().all(fit) && !s.starts_with("pg_");
        (!self.schema.as_deref().is_none_or(named))
            .then_some(("schema", "须为 a-z、0-9、_，最多 40 个字符 must be a-z, 0-9 and _, at most 40"))
    }
}

/// The site of a folder, or the built-in one.
pub(crate) fn site(folder: Option<&Path>) -> Result<Arc<domain::site::Site>, SiteFaults> {
    let Some(folder) = folder else { return Ok(site::built_in()) };
    let shown = || folder.display().to_string();
    site::read(folder).map(Arc::new).map_err(|faults| SiteFaults { folder: shown(), faults })
}

/// Why the files of a site cannot be used.
#[derive(Debug)]
pub(crate) struct SiteFaults {
    folder: String,
    pub(crate) faults: site::Faults,
}

impl std::fmt::Display for SiteFaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (folder, count) = (&self.folder, self.faults.count());
        write!(f, "{folder}: 现场文件有 {count} 处错误 the site's files have {count} faults\n{}", self.faults)
    }
}

impl std::error::Error for SiteFaults {}

/// Reads and checks the file; without one the defaults hold.
pub(crate) fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let Some(path) = path else { return Ok(Config::default()) };
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { file: file.clone(), source })?;
    let config: Config = parse(&file, &text)?;
    check(&file, &text, &config)?;
    Ok(config)
}

fn check(file: &str, text: &str, config: &Config) -> Result<(), ConfigError> {
    let bad = |table: &str, key: &str, message: &str| Err(refuse(file, text, table, key, message));
    let among = |table: &str, id: &str, key: &str, message: &str| {
        Err(refuse_after(file, text, &format!("\"{id}\""), &format!("{table}.{id}"), key, message))
    };
    if config.server.drain_s == 0 {
        return bad("server", "drain_s", "须大于 0 must be more than 0");
    }
    if !runtime::telemetry::is_filter(&config.log.filter) {
        return bad("log", "filter", "不是日志过滤表达式 is no log filter");
    }
    if config.data.key_days == 0 {
        return bad("data", "key_days", "须大于 0 must be more than 0");
    }
    if config.data.archive_months == 0 {
        return bad("data", "archive_months", "须大于 0 must be more than 0");
    }
    if !(1..=60).contains(&config.bus.heartbeat_s) {
        return bad("bus", "heartbeat_s", "须在 1 到 60 之间 must lie between 1 and 60");
    }
    match config.bus.redis() {
        Err(LedgerError::Invalid { what, reason }) => return bad("bus", what, &reason),
        Err(other) => return bad("bus", "redis", &other.to_string()),
        Ok(_) => {}
    }
    if let Some((key, message)) = config.link.fault() {
        return bad("link", key, message);
    }
    if let Some((key, message)) = config.ledger.fault() {
        return bad("ledger", key, message);
    }
    if !(16..=65_536).contains(&config.video.ring_mib) {
        return bad("video", "ring_mib", "须在 16 到 65536 之间 must lie between 16 and 65536");
    }
    if !(1..=16).contains(&config.video.decode_children) {
        return bad("video", "decode_children", "须在 1 到 16 之间 must lie between 1 and 16");
    }
    if config.video.still_s == 0 || config.video.patrol_minutes == 0 {
        let key = if config.video.still_s == 0 { "still_s" } else { "patrol_minutes" };
        return bad("video", key, "须大于 0 must be more than 0");
    }
    if !(0.001..=100.0).contains(&config.demo.pace) {
        return bad("demo", "pace", "须在 0.001 到 100 之间 must lie between 0.001 and 100");
    }
    let interval = |v: f64| v == 0.0 || (0.05..=10_080.0).contains(&v);
    for (key, value) in
        [("ordinary_minutes", config.demo.ordinary_minutes), ("records_minutes", config.demo.records_minutes)]
    {
        if !interval(value) {
            return bad("demo", key, "须为 0 或在 0.05 到 10080 之间 must be 0 or lie between 0.05 and 10080");
        }
    }
    for camera in &config.video.cameras {
        let fit = |u: url::Url| u.scheme() == "rtsp" && u.username().is_empty() && u.password().is_none();
        for (key, address) in std::iter::once(("sub", &camera.sub)).chain(camera.main.iter().map(|u| ("main", u))) {
            if !url::Url::parse(address).is_ok_and(fit) {
                let message = "须为 rtsp:// 地址，不含用户和口令 must be an rtsp:// address without user and password";
                return among("video.cameras", &camera.id, key, message);
            }
        }
    }
    for account in &config.accounts {
        if Role::parse(&account.role).is_none() {
            return among("accounts", &account.id, "role", "没有这个角色 there is no such role");
        }
    }
    if let Err(error) = config.sensing.check() {
        return match error {
            SensingError::Config { key, message } => match key.rsplit_once('.') {
                Some((table, key)) => bad(table, key, message),
                None => bad("sensing", key, message),
            },
            SensingError::Decoder(error) if config.sensing.bases.contains_key(&error.decoder) => {
                bad("sensing", "bases", &error.to_string())
            }
            SensingError::Decoder(error) => bad("sensing", "decoder_files", &error.to_string()),
            other => bad("sensing", "external", &other.to_string()),
        };
    }
    let site = match site(config.site.folder.as_deref()) {
        Ok(site) => site,
        Err(faults) => return bad("site", "folder", &faults.to_string()),
    };
    let rules = rules::merged(&config.sensing.rules);
    let own = |id: &str| config.sensing.rules.iter().filter(|rule| rule.id == id).count();
    if let Some(twice) = config.sensing.rules.iter().find(|rule| own(&rule.id) > 1) {
        return among("sensing.rules", &twice.id, "id", "编号重复 the id is used twice");
    }
    if let Some(error) = rules.ok().and_then(|rules| rules::check(&rules, &site.alarm_kinds).err()) {
        return among("sensing.rules", &error.rule, error.key, error.message);
    }
    match config.exchange.check() {
        Err(ExchangeError::Config { key, message }) => {
            // `exchange.departments.<unit>.<key>…`, `exchange.<key>`
            let parts: Vec<&str> = key.split('.').collect();
            match parts.as_slice() {
                [_, table @ ("departments" | "data_rules"), id, rest @ ..] => {
                    among(&format!("exchange.{table}"), id, rest.first().unwrap_or(&"id"), message)
                }
                [table @ .., key] => bad(&table.join("."), key, message),
                [] => bad("exchange", "", message),
            }
        }
        Err(other) => bad("exchange", "ca_file", &other.to_string()),
        Ok(()) => match references::missing(config, &site) {
            None => Ok(()),
            Some(Missing { table, entry: Some(entry), key, message }) => among(table, &entry, &key, &message),
            // A name of a device stands in quotes.
            Some(Missing { table, entry: None, key, message }) => {
                let line = format!("\"{key}\"");
                let mark = if text.contains(&line) { line } else { format!("[{table}]") };
                Err(refuse_after(file, text, &mark, table, &key, message))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_example_is_a_valid_configuration() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/maojiawan.toml");
        let config = load(Some(&path)).unwrap();
        assert_eq!(config.exchange.departments.len(), 8, "all eight departments are connected by data");
        assert!(!config.accounts.is_empty());
        // What is commented out is right as well.
        let text = std::fs::read_to_string(&path).unwrap();
        let setting =
            |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(k, _)| !k.contains(' '));
        let all = text.lines().map(|l| l.strip_prefix("# ").filter(|l| setting(l)).unwrap_or(l).to_owned() + "\n");
        let all: String = all.collect();
        let mut config: Config = parse("all", &all).unwrap();
        // The example's folder is the installer's; the one that ships is as good.
        let shipped = path.with_file_name("site/maojiawan");
        assert!(config.site.folder.replace(shipped).is_some());
        check("all", &all, &config).unwrap();
        assert!(config.sensing.external.and_then(|e| e.tls).is_some_and(|t| t.key_file.is_some()));
        assert!(config.exchange.ca_file.is_some() && config.demo.films.is_some());
        assert!(config.bus.redis().unwrap().is_some_and(|r| r.ca_file.is_some() && r.user.is_some()));
        assert!(config.ledger.url.is_some() && config.ledger.password_file.is_some());
    }

    #[test]
    fn a_folder_with_faults_is_refused_with_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        site::write(&site::built_in(), folder.path()).unwrap();
        let text = format!("[site]\nseed = 1\nfolder = \"{}\"\n", folder.path().display());
        let config: Config = parse("c.toml", &text).unwrap();
        check("c.toml", &text, &config).unwrap();
        std::fs::write(folder.path().join("grids.csv"), "id,community,name_zh,name_en\ng1,s1,,\ng1,s9,x,\n").unwrap();
        std::fs::remove_file(folder.path().join("tours.toml")).unwrap();
        let told = check("c.toml", &text, &config).unwrap_err().to_string();
        assert!(told.starts_with("c.toml:3: site.folder: "), "{told}");
        for fault in ["grids.csv:2: name_zh: ", "grids.csv:3: id: ", "grids.csv:3: community: ", "tours.toml: 缺少"] {
            assert!(told.contains(fault), "{fault} {told}");
        }
    }

    #[test]
    fn a_password_goes_to_another_machine_encrypted_or_on_purpose() {
        for text in [
            "redis = \"redis://localhost\"\npassword_file = \"p\"",
            "redis = \"redis://127.0.0.2\"\npassword_file = \"p\"",
            "redis = \"redis://[::1]\"\npassword_file = \"p\"",
            "redis = \"redis://redis.example\"",
            "redis = \"redis://redis.example\"\npassword_file = \"p\"\nplain = true",
            "redis = \"rediss://redis.example\"\npassword_file = \"p\"\nca_file = \"c\"",
        ] {
            let text = format!("[bus]\n{text}\n");
            check("c.toml", &text, &parse("c.toml", &text).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused() {
        let department = "[[exchange.departments]]\nunit = \"housing\"\nsecret = \"0123456789abcdef\"\n\
                          [exchange.departments.records.occupancy]\nfields = { flat = \"/flat\", status = \"/status\" }\n\
                          key = [\"flat\"]\n";
        let rule = "[[exchange.data_rules]]\nid = \"r\"\nname_zh = \"r\"\nleft = { department = \"housing\", kind = \"occupancy\" }\n\
                    right = { department = \"housing\", kind = \"occupancy\" }\njoin = [\"flat\"]\n\
                    where = [{ side = \"left\", field = \"status\", equals = \"empty\" }]\nalarm = \"data_rule\"\n\
                    place = \"{flat}\"\ntext_zh = \"{status}\"\nevery_s = 300\n";
        let camera = "[[video.cameras]]\nid = \"c001\"\nsub = \"rtsp://h/sub\"\n";
        let sound = format!("{camera}{department}{rule}");
        check("c.toml", &sound, &parse("c.toml", &sound).unwrap()).unwrap();
        let account = |rest: &str| {
            format!("[[accounts]]\nid = \"x\"\nrole = \"grid_manager\"\nname = \"x\"\n{rest}\npassword_file = \"p\"\n")
        };
        for (text, at) in [
            ("[sensing.devices]\n\"shed/Switch2\" = \"nobody\"\n".to_owned(), "2: sensing.devices.shed/Switch2: "),
            (camera.replace("c001", "c999"), "2: video.cameras.c999.id: "),
            (format!("{camera}{camera}"), "2: video.cameras.c001.id: "),
            (account("unit = \"firemen\""), "5: accounts.x.unit: "),
            (account("grid = \"g99\""), "5: accounts.x.grid: "),
            (sound.replace("unit = \"housing\"", "unit = \"houses\""), "5: exchange.departments.houses.unit: "),
            (sound.replace("key = [\"flat\"]", "key = [\"flatt\"]"), "exchange.departments.housing."),
            (sound.replace("alarm = \"data_rule\"", "alarm = \"data_rul\""), "exchange.data_rules.r.alarm: "),
            (
                sound.replace("left = { department = \"housing\"", "left = { department = \"fire\""),
                "exchange.data_rules.r.left: ",
            ),
            (
                sound.replace(
                    "right = { department = \"housing\", kind = \"occupancy\"",
                    "right = { department = \"housing\", kind = \"meters\"",
                ),
                "exchange.data_rules.r.right: ",
            ),
            (sound.replace("join = [\"flat\"]", "join = [\"flatt\"]"), "exchange.data_rules.r.join: "),
            (sound.replace("field = \"status\"", "field = \"state\""), "exchange.data_rules.r.where: "),
            (sound.replace("place = \"{flat}\"", "place = \"{flatt}\""), "exchange.data_rules.r.place: "),
            ("[sensing]\ndecoders = [\"tasmoto\"]\n".to_owned(), "2: sensing.decoders: "),
            ("[sensing]\nbases = { zwave = [\"z\"] }\n".to_owned(), "2: sensing.bases: "),
            ("[sensing]\ndecoder_files = [\"/nowhere.json\"]\n".to_owned(), "2: sensing.decoder_files: "),
            ("[sensing]\nsilence_s = { smok = 60 }\n".to_owned(), "2: sensing.silence_s: "),
        ] {
            let config: Config = parse("c.toml", &text).unwrap();
            let error = check("c.toml", &text, &config).unwrap_err().to_string();
            assert!(error.contains(at), "{at}: {error}");
        }
        // One rule of one's own leaves the others as they are, and one that is switched off says so.
        let own = "[[sensing.rules]]\nid = \"fire_lane\"\nkind = \"fire_lane\"\nalarm = \"fire_lane\"\noff = true\n\
                   raise = { above = 1 }\nkeep = { above = 1 }\n";
        check("c.toml", own, &parse("c.toml", own).unwrap()).unwrap();
    }

    #[test]
    fn a_wrong_value_is_refused_with_file_line_and_key() {
        let text = "[server]\ndrain_s = 5\n\n[video]\nring_mib = 1\n";
        let config: Config = parse("c.toml", text).unwrap();
        let error = check("c.toml", text, &config).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:5: video.ring_mib: "), "{error}");
        let error =
            parse::<Config>("c.toml", "[server]\nlisten = '127.0.0.1:8080'\nport = 1\n").unwrap_err().to_string();
        assert!(error.starts_with("c.toml:3: port: unknown field"), "{error}");
        let text = "[[exchange.departments]]\nunit = \"fire\"\nsecret = \"0123456789abcdef\"\n\n\
                    [[exchange.departments]]\nunit = \"energy\"\nsecret = \"short\"\n";
        let error = check("c.toml", text, &parse("c.toml", text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:7: exchange.departments.energy.secret: "), "{error}");
        let text = "[[exchange.departments]]\nunit = \"fire\"\nsecret = \"0123456789abcdef\"\n\
                    push = { url = \"https://fire.example/tasks\" }\n";
        let error = check("c.toml", text, &parse("c.toml", text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:4: exchange.departments.fire.push: https"), "{error}");
        let text = "[demo]\npace = 0.5\nrecords_minutes = -1\n";
        let error = check("c.toml", text, &parse("c.toml", text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:3: demo.records_minutes: "), "{error}");
        for (text, at) in [
            ("[log]\nfilter = \"info,video=loud\"\n", "2: log.filter"),
            ("[bus]\nprefix = \"p\"\nredis = \"redis://:secret@h\"\n", "3: bus.redis"),
            ("[bus]\nredis = \"redis://h\"\nuser = \"centre\"\n", "3: bus.user"),
            ("[bus]\nheartbeat_s = 0\n", "2: bus.heartbeat_s"),
            ("[bus]\npassword_file = \"p\"\n", "1: bus.redis"),
            ("[bus]\nuser = \"u\"\n", "1: bus.redis"),
            ("[bus]\nca_file = \"c\"\n", "1: bus.redis"),
            ("[bus]\nplain = true\n", "1: bus.redis"),
            ("[bus]\npassword_file = \"p\"\nredis = \"redis://redis.example\"\n", "3: bus.redis"),
            ("[bus]\nredis = \"redis://10.0.0.1\"\nuser = \"u\"\npassword_file = \"p\"\n", "2: bus.redis"),
            ("[sensing]\nport = 0\nkeep_alive_s = 1\n", "3: sensing.keep_alive_s"),
            ("[link]\nlisten = \"127.0.0.1:1\"\n", "1: link.token_file"),
            ("[link]\ntoken_file = \"t\"\nlisten = \"10.0.0.1:1\"\n", "3: link.listen"),
            ("[link]\ntoken_file = \"t\"\ncore = \"http://10.0.0.1:1\"\n", "3: link.core"),
            ("[link]\ntoken_file = \"t\"\ncore = \"https://u:secret@h:1\"\n", "3: link.core"),
            ("[link]\ntoken_file = \"t\"\ncore = \"https://h:1\"\n", "1: link.ca_file"),
            ("[link]\ncert_file = \"c\"\n", "2: link.cert_file"),
            ("[ledger]\nurl = \"mysql://u@h/d\"\n", "2: ledger.url"),
            ("[ledger]\nurl = \"postgres://u:secret@127.0.0.1/d\"\n", "2: ledger.url"),
            ("[ledger]\nurl = \"postgres://u@db.example/d\"\n", "2: ledger.url"),
            ("[ledger]\nurl = \"postgres://u@127.0.0.1/\"\n", "2: ledger.url"),
            ("[ledger]\nurl = \"postgres://u@[::1]/d\"\nschema = \"A\"\n", "3: ledger.schema"),
            (
                "[sensing.external]\nhost = \"h\"\nport = 8883\n[sensing.external.tls]\nca_file = \"a\"\ncert_file = \"c\"\n",
                "6: sensing.external.tls.cert_file",
            ),
            (
                "[sensing]\nport = 1\nshared_user = true\nlisten = { address = \"0.0.0.0:8883\", cert_file = \"c\", key_file = \"k\" }\n",
                "3: sensing.shared_user",
            ),
            (
                "[[sensing.rules]]\nid = \"s\"\nkind = \"smoke\"\nalarm = \"smoek\"\nraise = { above = 1 }\nkeep = { above = 1 }\n",
                "4: sensing.rules.s.alarm",
            ),
            (
                "[[sensing.rules]]\nid = \"s\"\nkind = \"smoke\"\nalarm = \"smoke\"\nraise = { above = 1 }\nkeep = { above = 1 }\n\
                 chatter = { count = 6, window_s = 300 }\n",
                "7: sensing.rules.s.chatter",
            ),
            (
                "[[video.cameras]]\nid = \"c001\"\nsub = \"rtsp://h/sub\"\nmain = \"rtsp://admin:secret@h/main\"\n",
                "4: video.cameras.c001.main",
            ),
        ] {
            let error = check("c.toml", text, &parse("c.toml", text).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("c.toml:{at}: ")), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
