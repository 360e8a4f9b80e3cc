//! `site check`, `site export`, `site import`: the files of a site, and the site that a ledger holds.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use axum::body::to_bytes;
use domain::{State, ids::SiteId, input::Command, site::Site};
use ledger::Store;
use link::{
    intake::Intake,
    net::{Peer, PeerOptions},
};

use crate::{
    accounts,
    backup::{is_centre, runtime, with_writer},
    config::{self, Config},
    folder::InUse,
    node,
    stores::Stores,
};

/// Bytes of a site's document.
const DOCUMENT: usize = 32 << 20;
/// Ids that a line lists.
const LISTED: usize = 12;

/// The site that the log holds.
pub(crate) async fn of_ledger(store: &dyn Store) -> anyhow::Result<Option<Arc<Site>>> {
    document(store).await?.map(|bytes| decoded(&bytes)).transpose().map(Option::flatten)
}

/// Its bytes, as nodes pass them on.
pub(crate) async fn document(store: &dyn Store) -> anyhow::Result<Option<bytes::Bytes>> {
    let rows = store.snapshot(&["site"], 0).await?.1;
    Ok(rows.into_iter().next().map(|row| row.payload))
}

fn decoded(bytes: &[u8]) -> anyhow::Result<Option<Arc<Site>>> {
    let mut state = State::default();
    wire::document::load(&mut state, "site", "", bytes)?;
    Ok(state.site)
}

/// Says whether the files of a folder are right, and what is in them.
pub(crate) fn check(folder: &Path) -> anyhow::Result<()> {
    let site = config::site(Some(folder))?;
    println!("{}: 现场文件正确 the site's files are right", folder.display());
    println!("{}", contents(&site));
    Ok(())
}

/// What a site has, in a line.
fn contents(site: &Site) -> String {
    let sum = |of: fn(&domain::site::Building) -> u16| site.buildings.iter().map(|b| u64::from(of(b))).sum::<u64>();
    format!(
        "{} {} 第 {} 版 version：{} 个社区 communities，{} 个网格 grids，{} 栋楼 buildings，{} 户 households，{} 人 people，\
         {} 个地点 landmarks，{} 路摄像头 cameras，{} 个传感器 sensors，{} 个单位 units，{} 类事件 classes，{} 类告警 kinds of \
         alarm，{} 条巡线 tours",
        site.id,
        site.name.zh,
        site.version,
        site.communities.len(),
        site.grids.len(),
        site.buildings.len(),
        sum(|b| b.households),
        sum(|b| b.people),
        site.landmarks.len(),
        site.cameras.len(),
        site.sensors.len(),
        site.units.len(),
        site.classes.len(),
        site.alarm_kinds.len(),
        site.tours.len(),
    )
}

/// Writes the site of a centre, or the built-in one, into a new folder.
pub(crate) fn export(path: Option<&Path>, built_in: bool, to: &Path) -> anyhow::Result<()> {
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: 目录不为空，请换一个 the folder is not empty: name another one", to.display());
    }
    let site = if built_in {
        site::built_in()
    } else {
        let config = config::load(path)?;
        let held = runtime()?.block_on(async {
            let ledger = Ledger::open(&config).await?;
            let held = ledger.site().await;
            ledger.close().await;
            held
        })?;
        held.context(
            "台账中还没有现场；内置现场用 --built-in the ledger holds no site yet; --built-in exports the built-in one",
        )?
    };
    site::write(&site, to)?;
    println!("{}: 已导出 exported\n{}", to.display(), contents(&site));
    Ok(())
}

/// Says what the site of a folder would change in that of a centre, and with `apply` changes it.
pub(crate) fn import(path: Option<&Path>, folder: &Path, apply: bool) -> anyhow::Result<()> {
    let config = config::load(path)?;
    println!("正在检查 checking  {}", folder.display());
    let given = config::site(Some(folder))?;
    println!("{}", contents(&given));
    runtime()?.block_on(async {
        let ledger = Ledger::open(&config).await?;
        let outcome = imported(&ledger, &config, folder, (*given).clone(), apply).await;
        ledger.close().await;
        outcome
    })
}

async fn imported(ledger: &Ledger, config: &Config, folder: &Path, mut given: Site, apply: bool) -> anyhow::Result<()> {
    let held = ledger.site().await?;
    if let Some(held) = &held {
        if held.id != given.id {
            bail!(
                "台账属于现场 {}，文件属于 {}，未作任何改动 the ledger belongs to another site than the files; nothing was changed",
                held.id,
                given.id
            );
        }
        let changes = site::changes(held, &given);
        if changes.is_empty() {
            println!("与台账一致，无需改动（第 {} 版） nothing changes: the ledger holds this site", held.version);
            return Ok(());
        }
        changes.iter().for_each(|change| println!("{}", told(change)));
        // A start takes the ledger's site over a configured or built-in one of a smaller version.
        given.version = given.version.max(held.version.saturating_add(1));
    } else {
        println!("台账中还没有现场，全部为新增 the ledger holds no site yet: everything is new");
    }
    if !apply {
        println!("以上为预览，未作任何改动；确认后加 --apply a preview: nothing was changed; --apply carries it out");
        return Ok(());
    }
    let version = given.version;
    ledger.set(Arc::new(given.clone())).await?;
    if ledger.site().await?.as_deref() != Some(&given) {
        bail!(
            "导入后台账中的现场与文件不同，可能同时有别的改动，请重新导入 the ledger holds another site than was imported: perhaps somebody changed it meanwhile"
        );
    }
    println!("已导入，现为第 {version} 版 imported, the site is now of this version");
    if matches!(ledger, Ledger::Running(_)) {
        println!(
            "屏幕和指挥即刻采用；传感、部门接口和摄像头在核心重启后采用 screens and commands have it now; sensing, departments and \
             video take it when the core starts again"
        );
    }
    if config.site.folder.as_deref() != Some(folder) {
        println!(
            "提示：配置若要用到新增的编号，请写明 [site] folder note: a configuration that names new ids needs [site] folder = {:?}",
            folder.display().to_string()
        );
    }
    Ok(())
}

fn told(change: &site::Change) -> String {
    let mut line = format!("{} {}：", change.zh, change.en);
    let mut parts = Vec::new();
    for (word, ids) in
        [("新增 added", &change.added), ("修改 changed", &change.changed), ("删除 removed", &change.removed)]
    {
        if !ids.is_empty() {
            let shown = ids.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join("、");
            let more = if ids.len() > LISTED { "…" } else { "" };
            parts.push(format!("{word} {}（{shown}{more}）", ids.len()));
        }
    }
    if change.moved {
        parts.push("顺序不同 other order".to_owned());
    }
    line.push_str(&parts.join("，"));
    line
}

/// The ledger of a centre: its files when it is stopped, its core over the link when it runs.
enum Ledger {
    Stopped(Stores),
    Running(Peer),
}

impl Ledger {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        // A core that answers has the log, wherever its files are.
        if config.link.core.is_some() || config.link.listen.is_some() {
            let peer = Self::peer(config)?;
            if ask(&peer).await?.is_some() {
                return Ok(Self::Running(peer));
            }
            if config.link.listen.is_none() {
                bail!("核心连接不上 the core cannot be reached");
            }
        }
        if config.ledger.url.is_none() {
            is_centre(&config.data.folder)?;
        }
        Stores::open(config).await.map(Self::Stopped).map_err(|error| {
            if !error.is::<InUse>() {
                return error;
            }
            error.context(
                "中心正在运行：请先停止，或配置 [link] listen 后重启 the centre runs: stop it first, or start it with [link] listen",
            )
        })
    }

    fn peer(config: &Config) -> anyhow::Result<Peer> {
        let link = &config.link;
        let url = match (&link.core, link.listen) {
            (Some(core), _) => core.clone(),
            (None, Some(address)) if link.cert_file.is_none() => format!("http://{address}"),
            (None, Some(address)) => format!("https://{address}"),
            (None, None) => bail!("link.listen: 缺少 is missing"),
        };
        // A core trusts its own certificate, which may be signed by itself.
        let ca_file = link.ca_file.clone().or_else(|| link.cert_file.clone());
        let options = PeerOptions { url, token: node::token(link)?, ca_file };
        Ok(Peer::new(SiteId::new(""), &options)?)
    }

    async fn site(&self) -> anyhow::Result<Option<Arc<Site>>> {
        match self {
            Self::Stopped(stores) => of_ledger(stores.store.as_ref()).await,
            Self::Running(peer) => {
                let bytes = ask(peer).await?.context("核心连接不上 the core cannot be reached")?;
                if bytes.is_empty() { Ok(None) } else { decoded(&bytes) }
            }
        }
    }

    async fn set(&self, site: Arc<Site>) -> anyhow::Result<()> {
        match self {
            Self::Running(peer) => accounts::submit(peer, Command::SetSite(site)).await,
            Self::Stopped(stores) => {
                let id = site.id.clone();
                let put = async |writer: &dyn Intake| accounts::submit(writer, Command::SetSite(site)).await;
                with_writer(stores, id, put).await
            }
        }
    }

    async fn close(self) {
        if let Self::Stopped(stores) = self {
            stores.close().await;
        }
    }
}

/// The document of a core's site, empty if it has none; `None` if nobody answers.
async fn ask(peer: &Peer) -> anyhow::Result<Option<bytes::Bytes>> {
    let headers = axum::http::HeaderMap::new();
    let asked = peer.pass(axum::http::Method::GET, node::SITE, headers, bytes::Bytes::new()).await;
    let Some(answer) = asked.ok().flatten() else { return Ok(None) };
    let status = answer.status();
    if !status.is_success() {
        bail!("核心没有给出现场（令牌或版本不同？） the core gave no site (another token or release?): {status}");
    }
    let body = axum::body::Body::new(reqwest::Body::from(answer));
    to_bytes(body, DOCUMENT).await.map(Some).context("回答中断 its answer broke off")
}

/// What `maojiawan site` does.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// 检查现场文件 checks the files of a site: each fault with file, line and column
    #[command(help_template = crate::TEMPLATE, next_help_heading = crate::OPTIONS)]
    Check {
        /// 现场文件目录 folder of the files
        folder: PathBuf,
    },
    /// 导入台账，先预览 shows what the files would change in the ledger's site, and with --apply changes it
    #[command(help_template = crate::TEMPLATE, next_help_heading = crate::OPTIONS)]
    Import {
        /// 现场文件目录 folder of the files
        folder: PathBuf,
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 执行导入；不加则只预览 carries it out; without it nothing is changed
        #[arg(long)]
        apply: bool,
    },
    /// 导出到新目录 writes the ledger's site, or the built-in one, into a new folder
    #[command(help_template = crate::TEMPLATE, next_help_heading = crate::OPTIONS)]
    Export {
        /// 新目录 the new folder
        #[arg(long)]
        to: PathBuf,
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 导出内置现场 the built-in site, not the ledger's
        #[arg(long, conflicts_with = "config")]
        built_in: bool,
    },
}

/// Does it.
pub(crate) fn run(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Check { folder } => check(&folder),
        Action::Import { folder, config, apply } => import(config.as_deref(), &folder, apply),
        Action::Export { to, config, built_in } => export(config.as_deref(), built_in, &to),
    }
}
