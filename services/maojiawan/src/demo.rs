//! The demo: secrets and ports for one run, public accounts, and the simulated site as a watched child process.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use domain::{
    account::{DutyPost, Role},
    site::{Site, UnitKind},
};
use exchange::config::{Connector, Endpoint, Mapping, Pull, Sms};
use gateway::{DemoAccount, DemoConfig};
use runtime::{Clock, retry::Backoff};
use simulator::cameras::address_of;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{First, Password},
    config::{self, Config},
    simulate::{CameraFile, FILMS, READY},
    up::say,
};

/// Password of all demo accounts: public, and only ever reachable from this machine.
const PASSWORD: &str = "maojiawan";

/// Where the simulated site is.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    /// Up.
    pub(crate) up: bool,
    /// Since when, ms.
    pub(crate) since_ms: i64,
    /// What it does.
    pub(crate) detail: String,
}

/// What one run of the demo made up.
pub(crate) struct Demo {
    token: String,
    camera_password: String,
    secret: String,
    simulator_port: u16,
    camera_port: u16,
    folder: PathBuf,
    films: PathBuf,
    centre: String,
    site: Arc<Site>,
    seed: u64,
    lively: config::Demo,
}

impl Demo {
    /// Refuses a configuration that the simulated site cannot be connected to.
    pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
        if !config.sensing.shared_user {
            anyhow::bail!(
                "sensing.shared_user: 演示中的模拟设备共用一个用户，不能停用 the demo's simulated devices share one user, which must not be switched off"
            );
        }
        Ok(())
    }

    /// Changes `config`, whose address is bound and loopback, to connect everything to the simulated site.
    pub(crate) fn prepare(config: &mut Config, site: Arc<Site>) -> anyhow::Result<Self> {
        Self::check(config)?;
        let listen = config.server.listen;
        let demo = Self {
            token: secret(),
            camera_password: secret(),
            secret: secret(),
            simulator_port: free_port()?,
            camera_port: free_port()?,
            folder: config.data.folder.clone(),
            films: config.demo.films.clone().unwrap_or_else(|| config.data.folder.join("films")),
            centre: format!("http://{listen}"),
            site,
            seed: config.site.seed,
            lively: config.demo.clone(),
        };
        // `make up` builds it there.
        config.gateway.dashboard.get_or_insert_with(|| "dashboard/dist".into());
        config.sensing.external = None;
        config.sensing.port = 0;
        config.exchange.departments = demo.departments().map(|unit| demo.connector(unit)).collect();
        config.exchange.sms = Some(demo.sms());
        Ok(demo)
    }

    fn departments(&self) -> impl Iterator<Item = &str> {
        self.site.units.iter().filter(|u| u.kind == UnitKind::Department).map(|u| u.id.as_str())
    }

    fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.simulator_port)
    }

    fn connector(&self, unit: &str) -> Connector {
        let url = |what: &str| self.address(&format!("/departments/{unit}/{what}"));
        let records = match unit {
            "housing" => vec![("occupancy", mapping("status", "/status"))],
            "energy" => vec![("electricity", mapping("kwh_week", "/kwh_week"))],
            _ => Vec::new(),
        };
        Connector {
            unit: unit.to_owned(),
            secret: exchange::config::Secret::new(self.secret.clone()),
            window_s: 300,
            push: Some(Endpoint { url: url("tasks"), timeout_s: 5, attempts: 300, receipt: None }),
            pull: Some(Pull { url: url("records"), every_s: 60, timeout_s: 5 }),
            sources: Vec::new(),
            records: records.into_iter().map(|(kind, mapping)| (kind.to_owned(), mapping)).collect(),
            fresh_for_s: 180,
            late_for_s: 600,
            next: Vec::new(),
            red_limit_s: 60,
        }
    }

    fn sms(&self) -> Sms {
        let send = Endpoint { url: self.address("/sms/send"), timeout_s: 5, attempts: 300, receipt: None };
        Sms { secret: exchange::config::Secret::new(self.secret.clone()), window_s: 300, send: Some(send) }
    }

    /// The cameras as the media role pulls them; one that the configuration names takes the place of the simulated one.
    pub(crate) fn cameras(
        &self,
        configured: Vec<video::config::CameraConfig>,
    ) -> anyhow::Result<Vec<video::config::CameraConfig>> {
        let url = |number, path: &str| {
            let text = format!("rtsp://{}/{path}", address_of(number, self.camera_port));
            url::Url::parse(&text).with_context(|| text.clone())
        };
        let cameras = self.site.cameras.iter().map(|camera| {
            Ok(video::config::CameraConfig {
                id: camera.id.clone(),
                main: Some(url(camera.number, "main")?),
                sub: url(camera.number, "sub")?,
                username: "admin".to_owned(),
                password: self.camera_password.clone(),
                server: address_of(camera.number, self.camera_port).to_string(),
            })
        });
        let mut cameras: Vec<video::config::CameraConfig> = cameras.collect::<anyhow::Result<_>>()?;
        for given in configured {
            let Some(place) = cameras.iter_mut().find(|c| c.id == given.id) else {
                anyhow::bail!("{}: 站点没有这个摄像头 the site has no such camera", given.id);
            };
            *place = given;
        }
        Ok(cameras)
    }

    /// What the gateway tells the login page and relays to.
    pub(crate) fn gateway(&self) -> DemoConfig {
        let accounts = self.people().into_iter().map(|p| DemoAccount {
            account: p.first.id,
            password: PASSWORD.to_owned(),
            role: p.first.role.name().to_owned(),
            name_zh: p.title.0,
            name_en: p.title.1,
        });
        DemoConfig { simulator_url: self.address(""), token: self.token.clone(), accounts: accounts.collect() }
    }

    /// Puts a generated last week into an empty log. The demo starts without it, too.
    pub(crate) async fn history(&self, store: &Arc<dyn ledger::Store>, clock: &dyn Clock) {
        say("生成演示历史 generating a week of history");
        if let Err(error) = crate::history::write(store, &self.site, self.seed, clock.now_ms()).await {
            tracing::warn!(error = format!("{error:#}"), "the demo starts without history");
        }
    }

    /// The accounts, for the log.
    pub(crate) fn accounts(&self) -> Vec<First> {
        self.people().into_iter().map(|p| p.first).collect()
    }

    fn people(&self) -> Vec<Person> {
        let mut people = vec![
            person("duty", Role::DutyOfficer, "杨帆", ("值班员", "Duty officer"), Some(DutyPost::Officer)),
            person("dispatch", Role::Dispatcher, "周敏", ("调度员", "Dispatcher"), None),
            person("chief", Role::ShiftChief, "马学军", ("值班长", "Shift chief"), Some(DutyPost::Chief)),
            person("leader", Role::ShiftChief, "李国平", ("带班领导", "Duty leader"), Some(DutyPost::Leader)),
            person("wall", Role::WallDisplay, "指挥大屏", ("大屏", "Wall"), None),
        ];
        let firms = self.site.units.iter().filter(|u| u.kind != UnitKind::Grid);
        people.extend(firms.map(|unit| {
            let (zh, en) = (format!("{}经办人", unit.name.zh), format!("{} clerk", unit.name.en));
            let name = format!("{}值班", unit.name.zh);
            let mut p = person(unit.id.as_str(), Role::DepartmentClerk, &name, (&zh, &en), None);
            p.first.unit = Some(unit.id.to_string());
            p
        }));
        let mut team = self.site.units.iter().filter(|u| u.kind == UnitKind::Grid);
        people.extend(team.next().map(|unit| {
            let mut p = person("grid", Role::GridManager, "陈立", ("网格管理员", "Grid manager"), None);
            p.first.unit = Some(unit.id.to_string());
            p.first.grid = unit.grid.as_ref().map(ToString::to_string);
            p
        }));
        people
    }

    /// Keeps the simulated site running until stopped; `phase` tells how far it is.
    pub(crate) async fn supervise(
        self,
        mut sensing: watch::Receiver<sensing::Status>,
        broker_folder: PathBuf,
        clock: Arc<dyn Clock>,
        phase: watch::Sender<Phase>,
        stop: CancellationToken,
    ) {
        let broker = tokio::select! {
            () = stop.cancelled() => return,
            port = broker_port(&mut sensing) => port,
        };
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(20));
        while !stop.is_cancelled() {
            let ended = match self.spawn(broker, &broker_folder) {
                Ok(child) => watch_child(child, clock.as_ref(), &phase, &stop).await,
                Err(error) => format!("{error:#}"),
            };
            if stop.is_cancelled() {
                return;
            }
            tell(&phase, clock.as_ref(), false, &format!("模拟现场中断，稍后重启 restarting: {ended}"));
            tracing::warn!(reason = %ended, "the simulated site ended");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.delay()) => {}
            }
        }
    }

    fn spawn(&self, broker: Option<u16>, broker_folder: &Path) -> anyhow::Result<Child> {
        let file = self.folder.join("simulator.toml");
        write_secret(&file, &self.file(broker, broker_folder)?)?;
        let exe = std::env::current_exe()?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(exe)
            .arg("simulate")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C at the terminal is for the centre, which stops the site in its turn.
            .process_group(0)
            .spawn();
        child.context("模拟现场无法启动 the simulated site cannot be started")
    }

    fn file(&self, broker: Option<u16>, broker_folder: &Path) -> anyhow::Result<String> {
        let departments: toml::Table =
            self.departments().map(|unit| (unit.to_owned(), self.secret.clone().into())).collect();
        let mut simulator = toml::Table::new();
        let seed = i64::try_from(self.seed)?;
        simulator.insert("seed".to_owned(), seed.into());
        simulator.insert("listen".to_owned(), format!("127.0.0.1:{}", self.simulator_port).into());
        simulator.insert("centre".to_owned(), self.centre.clone().into());
        simulator.insert("token".to_owned(), self.token.clone().into());
        simulator.insert("sms_secret".to_owned(), self.secret.clone().into());
        simulator.insert("departments".to_owned(), departments.into());
        simulator.insert("pace".to_owned(), self.lively.pace.into());
        simulator.insert("ordinary_minutes".to_owned(), self.lively.ordinary_minutes.into());
        simulator.insert("records_minutes".to_owned(), self.lively.records_minutes.into());
        if let Some(port) = broker {
            let mut broker = toml::Table::new();
            broker.insert("host".to_owned(), "127.0.0.1".into());
            broker.insert("port".to_owned(), i64::from(port).into());
            broker.insert("user".to_owned(), sensing::broker::DEVICE_USER.into());
            broker.insert("password".to_owned(), sensing::broker::device_password(broker_folder)?.into());
            simulator.insert("broker".to_owned(), broker.into());
        }
        let cameras = CameraFile {
            port: self.camera_port,
            cache: self.films.clone(),
            username: "admin".to_owned(),
            password: self.camera_password.clone(),
            night: false,
        };
        let mut file = toml::Table::new();
        if self.site != site::built_in() {
            let folder = self.folder.join("simulated-site");
            site::write(&self.site, &folder).context("模拟现场的文件无法写入 the simulated site's files")?;
            file.insert("site".to_owned(), folder.canonicalize()?.display().to_string().into());
        }
        file.insert("simulator".to_owned(), simulator.into());
        file.insert("cameras".to_owned(), toml::Value::try_from(cameras)?);
        Ok(toml::to_string(&file)?)
    }
}

struct Person {
    first: First,
    title: (String, String),
}

fn person(id: &str, role: Role, name: &str, title: (&str, &str), post: Option<DutyPost>) -> Person {
    let first = First {
        id: id.to_owned(),
        role,
        name: name.to_owned(),
        unit: None,
        grid: None,
        password: Password::Public(PASSWORD),
        post,
    };
    Person { first, title: (title.0.to_owned(), title.1.to_owned()) }
}

fn mapping(value: &str, pointer: &str) -> Mapping {
    let fields = [("building", "/building"), ("unit", "/unit"), ("flat", "/flat"), ("place", "/place_text")];
    let fields = fields.into_iter().chain([(value, pointer)]);
    Mapping {
        fields: fields.map(|(k, v)| (k.to_owned(), v.to_owned().into())).collect(),
        key: ["building", "unit", "flat"].map(str::to_owned).to_vec(),
        keep_s: 8 * 86_400,
    }
}

/// 32 random characters.
fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Readable by the owner only: it holds the secrets of this run.
fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// The broker's port as soon as it is chosen: a broker that comes late finds the gateways trying. `None` when there will be
/// none, and the site runs without sensors.
async fn broker_port(sensing: &mut watch::Receiver<sensing::Status>) -> Option<u16> {
    sensing.wait_for(|s| s.port.is_some()).await.ok().and_then(|s| s.port)
}

fn tell(phase: &watch::Sender<Phase>, clock: &dyn Clock, up: bool, detail: &str) {
    phase.send_modify(|p| {
        if p.up != up {
            p.since_ms = clock.now_ms();
        }
        (p.up, p.detail) = (up, detail.to_owned());
    });
}

/// Follows a child until it ends or the demo stops; why it ended.
async fn watch_child(
    mut child: Child,
    clock: &dyn Clock,
    phase: &watch::Sender<Phase>,
    stop: &CancellationToken,
) -> String {
    let Some(output) = child.stdout.take() else { return "no output".to_owned() };
    let mut lines = BufReader::new(output).lines();
    loop {
        let line = tokio::select! {
            () = stop.cancelled() => {
                // The end of its input tells it to stop.
                drop(child.stdin.take());
                let patience = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
                return if patience.is_ok() { "stopped".to_owned() } else { "killed".to_owned() };
            }
            line = lines.next_line() => line,
        };
        match line {
            Ok(Some(line)) if line == READY => {
                say("模拟现场已就绪 the simulated site is up");
                tell(phase, clock, true, "模拟现场已就绪 up");
            }
            Ok(Some(line)) => {
                if let Some(count) = line.strip_prefix(FILMS) {
                    let detail = format!("正在生成摄像头画面 encoding camera films {count}");
                    say(&detail);
                    tell(phase, clock, false, &detail);
                }
            }
            Ok(None) | Err(_) => {
                return child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sensing::{Status, status::BrokerState};

    use super::*;

    #[tokio::test]
    async fn the_site_has_sensors_also_when_the_broker_comes_late() {
        let lost = Status { broker: BrokerState::Lost("not yet".to_owned()), ..Status::default() };
        let (tell, mut status) = watch::channel(lost);
        let (port, ()) = tokio::join!(broker_port(&mut status), async { tell.send_modify(|s| s.port = Some(1883)) });
        assert_eq!(port, Some(1883));
        let (tell, mut status) = watch::channel(Status::default());
        drop(tell);
        assert_eq!(broker_port(&mut status).await, None, "sensing could not start");
    }
}
