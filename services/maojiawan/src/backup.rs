//! `backup`, `restore`, and `migrate` from one database to another.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use dispatch::WriterOptions;
use domain::{State, ids::SiteId, input::Command, text::Subject};
use ledger::{
    LedgerError, LocalBus, PostgresOptions, Store,
    transfer::{self, Backup, Checksum, Pair, Place, Progress},
};
use link::intake::Intake;
use runtime::{Clock, SystemClock, Tasks};

use crate::{
    accounts,
    config::{self, Config},
    folder,
    media::secret,
    stores::{Stores, stayed},
};

const PROGRAM: &str = concat!("maojiawan ", env!("CARGO_PKG_VERSION"));

/// Writes a backup while the centre runs.
pub(crate) fn backup(path: Option<&Path>, to: &Path, with_key: bool) -> anyhow::Result<()> {
    let config = config::load(path)?;
    let place = Stores::place(&config)?;
    if config.ledger.url.is_none() {
        stayed(&config.data.folder)?;
        is_centre(&config.data.folder)?;
    }
    let key = config.data.files().join("master.key");
    if with_key && !key.is_file() {
        bail!("{}: 没有主密钥，请检查 [data] files no master key is there: check [data] files", key.display());
    }
    for folder in [&*config.data.folder, config.data.files()] {
        Stores::is_finished(folder)?;
    }
    let at_ms = SystemClock.now_ms();
    let what = Backup { to, with_key, at_ms, program: PROGRAM };
    let mut teller = Teller::default();
    let made = block_on(transfer::backup(&place, what, &mut |step| teller.tell(step)))?;
    let contents = made.with_context(|| format!("{}: 备份未完成，没有留下文件 no backup was made", to.display()))?;
    if !contents.missing.is_empty() {
        let count = contents.missing.len();
        println!("警告：{count} 个文件不在数据目录中，未能备份 warning: {count} stored files were not there");
    }
    let key = if with_key {
        "含主密钥，请像保管密钥一样保管此文件 the master key is in it: guard the file as you guard the key"
    } else {
        "不含主密钥 master.key，请另行保管，恢复时必需 without master.key: keep it apart, a restore needs it"
    };
    println!(
        "{}: 备份完成并已复核 backup made and verified，log {} seq {}，{} 字节 bytes\n{key}",
        to.display(),
        contents.log_id,
        contents.seq,
        contents.bytes
    );
    Ok(())
}

/// Refuses a folder without SQLite data: nothing is made there, and the file that is missing is named.
pub(crate) fn is_centre(folder: &Path) -> anyhow::Result<()> {
    let missing = ["ledger.db", "telemetry.db"].map(|name| folder.join(name)).into_iter().find(|file| !file.is_file());
    if let Some(file) = missing {
        bail!(
            "{}: 没有这个文件，所指的不是中心的数据目录 there is no such file: the folder is not the data folder of a centre",
            file.display()
        );
    }
    Ok(())
}

/// Brings a backup into the empty place of a configuration.
pub(crate) fn restore(path: Option<&Path>, from: &Path, erasures: &[PathBuf]) -> anyhow::Result<()> {
    let config = config::load(path)?;
    let lock = folder::take_all(&[&config.data.folder, config.data.files()])?;
    let place = Stores::place(&config)?;
    if let Some(log_id) = block_on(transfer::complete(&place))?? {
        println!(
            "上次恢复已完成，只差收尾，现已收尾；未读取 the restore before was complete but for its last step, which is done \
             now; not read: {}。log {log_id}",
            from.display()
        );
        drop(lock);
        return runtime()?.block_on(tell_erased(&config));
    }
    let mut teller = Teller::default();
    let done = block_on(transfer::restore(&place, from, erasures, &mut |step| teller.tell(step)))?;
    let restored = done.map_err(|error| explained(error, from, config.data.files()))?;
    println!(
        "{}: 恢复完成 restored into {}，seq {}，新的 new log {}",
        from.display(),
        place.backend(),
        restored.contents.seq,
        restored.log_id
    );
    for journal in &restored.journals {
        println!("已核对删除记录 erasures read from: {}", journal.display());
    }
    if restored.unread > 0 {
        println!(
            "警告：删除记录中有 {} 行无法读取，其中的删除未能重做 warning: {} lines of the journals could not be read, so what \
             was erased by them is back",
            restored.unread, restored.unread
        );
    }
    if restored.journals.is_empty() {
        println!(
            "警告：没有找到删除记录，备份之后的删除无法重做 warning: no journal of erasures was found, so what was erased \
             after the backup is back; see --erasures"
        );
    }
    println!(
        "重做删除 erased again: {}；登录须重新进行 logins to be made anew: {}",
        restored.erased.len(),
        restored.sessions
    );
    drop(lock);
    runtime()?.block_on(tell_erased(&config))
}

/// What the reason means for whoever restores into this folder.
fn explained(error: LedgerError, from: &Path, folder: &Path) -> anyhow::Error {
    let path = from.display();
    let text = match &error {
        LedgerError::File { file, .. } if Path::new(file) == from => {
            format!("{path}: 备份已损坏或不完整，或属于其他版本 the backup is damaged, cut off or of another version")
        }
        LedgerError::File { file, .. } => {
            format!("{file}: 此文件已损坏（备份 {path} 无损） this file is damaged, the backup is not")
        }
        LedgerError::Invalid { what: "target", .. } => "目标不为空 the target is not empty".to_owned(),
        LedgerError::Invalid { what: "erasures", .. } => {
            "所指的删除记录无法使用 what --erasures names is of no use".to_owned()
        }
        LedgerError::MasterKey { .. } => "缺少主密钥，请先放回 master.key put master.key back first".to_owned(),
        LedgerError::Corrupt { what, .. } if what.contains("master key") => {
            "master.key 不是此备份的主密钥 master.key is not the key of this backup".to_owned()
        }
        LedgerError::Full(_) => "磁盘已满，请先腾出空间 the disk is full: make room first".to_owned(),
        LedgerError::ReadOnly(_) => "目标不可写 the target cannot be written".to_owned(),
        LedgerError::Schema(_) => {
            format!("{path}: 备份来自其他版本的程序，请用该版本恢复 the backup is of another version of the program")
        }
        LedgerError::Unavailable(_) => "数据库无法连接 the database cannot be reached".to_owned(),
        _ => format!("{path}: 恢复未完成 not restored"),
    };
    anyhow::Error::new(error).context(format!("{text}，{}", after(folder)))
}

/// What a failed attempt left.
fn after(folder: &Path) -> &'static str {
    if transfer::unfinished(folder) {
        "已开始放置，请重新运行同一命令 it had begun to take its place: run the same command again"
    } else {
        "未作任何改动 nothing was changed"
    }
}

/// What the reason means for whoever moves the data of `source`.
fn unmoved(error: LedgerError, source: &Path, files: &Path) -> anyhow::Error {
    let text = match &error {
        LedgerError::Invalid { what: "target", .. } => "目标不为空 the target is not empty",
        LedgerError::MasterKey { .. } => "缺少主密钥 master.key is missing",
        LedgerError::Full(_) => "磁盘已满 the disk is full",
        LedgerError::Io(_) if transfer::moved(source).is_some() => {
            "提交的结果不明：请重新运行，若提示目标不为空则已迁移完成 whether it was committed is not known: run it again; if \
             the target is then not empty, all has moved"
        }
        _ => "迁移未完成 not migrated",
    };
    let unknown = matches!(error, LedgerError::Io(_)) && transfer::moved(source).is_some();
    let left = if unknown { "" } else { after(files) };
    let text = [text, left].join(if unknown { "" } else { "，" });
    anyhow::Error::new(error).context(text)
}

/// Appends what the restored log does not say yet of its erasures.
async fn tell_erased(config: &Config) -> anyhow::Result<()> {
    let stores = Stores::open(config).await?;
    let site = config::site(config.site.folder.as_deref())?.id.clone();
    let append = async |writer: &dyn Intake| append_erased(stores.store.as_ref(), writer).await;
    with_writer(&stores, site, append).await?;
    stores.close().await;
    Ok(())
}

/// Lets a writer of one's own take what `work` submits: nobody else has the log open.
pub(crate) async fn with_writer(
    stores: &Stores,
    site: SiteId,
    work: impl AsyncFnOnce(&dyn Intake) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (tasks, clock) = (Tasks::default(), Arc::new(SystemClock));
    let bus = Arc::new(LocalBus::new(64));
    let options = WriterOptions::default();
    let writer = dispatch::start(site, stores.store.clone(), bus, clock, options, &tasks);
    let mut status = writer.status();
    let wait = async { status.wait_for(|s| s.ok).await.is_ok() };
    if tokio::time::timeout(Duration::from_secs(60), wait).await != Ok(true) {
        bail!("写入者未能就绪 the writer is not ready: {}", writer.status().borrow().reason);
    }
    let outcome = work(&writer).await;
    tasks.drain(Duration::from_secs(5)).await;
    outcome
}

/// Each subject whose key is destroyed has its event: after a restore some have not yet.
pub(crate) async fn append_erased(store: &dyn Store, intake: &dyn Intake) -> anyhow::Result<()> {
    let destroyed = store.erasures().await?;
    if destroyed.is_empty() {
        return Ok(());
    }
    let mut state = State::default();
    for row in store.snapshot(&["erasures"], 1).await?.1 {
        wire::document::load(&mut state, &row.kind, "", &row.payload)?;
    }
    let subjects: BTreeSet<Subject> = destroyed.iter().filter_map(|(subject, _)| Subject::parse(subject)).collect();
    for subject in subjects.difference(&state.erased) {
        accounts::submit(intake, Command::Erase(subject.clone())).await?;
    }
    Ok(())
}

/// Which stores a migration goes between.
pub(crate) struct Migration {
    /// The configuration: its SQLite data are the source, or its database the target.
    pub(crate) config: Option<PathBuf>,
    /// A database to move to, in place of the configured one.
    pub(crate) to: Option<String>,
    /// File with its password.
    pub(crate) password_file: Option<PathBuf>,
    /// A folder of SQLite data to move from, in place of the configured one.
    pub(crate) from_data: Option<PathBuf>,
}

/// Moves SQLite data to PostgreSQL and proves that nothing changed on the way.
pub(crate) fn migrate(what: &Migration) -> anyhow::Result<()> {
    let config = config::load(what.config.as_deref())?;
    let folder = &config.data.folder;
    let files = config.data.files();
    let source = what.from_data.as_ref().unwrap_or(folder);
    if what.from_data.is_none() && config.ledger.url.is_some() {
        bail!(
            "ledger.url 已指向 PostgreSQL，请用 --from-data 指明 SQLite 数据目录 the configuration names PostgreSQL \
             already: name the folder of the SQLite data with --from-data"
        );
    }
    is_centre(source)?;
    let _locks = folder::take_all(&[source, folder, files])?;
    let options = match &what.to {
        Some(url) => {
            let fault = config::Ledger { url: Some(url.clone()), ..config::Ledger::default() }.fault();
            if let Some((_, message)) = fault {
                bail!("--to: {message}");
            }
            let password = what.password_file.as_deref().map(secret).transpose()?;
            let mut options = PostgresOptions::new(url, password.as_deref(), files)?;
            if let Some(schema) = &config.ledger.schema {
                options.schema.clone_from(schema);
            }
            options
        }
        None if config.ledger.url.is_some() => Stores::postgres_options(&config)?,
        None => bail!(
            "缺少目标：--to postgres://… 或配置中的 ledger.url no target: --to postgres://… or ledger.url of the configuration"
        ),
    };
    let target = options.place();
    if let Some(moved) = transfer::moved(source).filter(|moved| moved.to != target) {
        bail!(
            "{}: 数据已迁移到 {}，不能再迁往 {target} the data moved there and cannot move elsewhere",
            source.display(),
            moved.to
        );
    }
    let (from, into) = (Place::sqlite(source), Place::postgres(options, files));
    if let Some(log_id) = block_on(transfer::complete(&into))?? {
        println!("上次迁移已完成，现已收尾 the migration before was complete, its last step is done now: log {log_id}");
        return Ok(());
    }
    let mut teller = Teller::default();
    let moved = block_on(transfer::migrate(&from, &into, &mut |step| teller.tell(step)))?;
    let pairs = moved.map_err(|error| unmoved(error, source, files))?;
    print_proof(&pairs);
    println!(
        "{} → PostgreSQL {target}: 迁移完成，逐表一致 migrated, every table is equal\n\
         请在配置中写入 [ledger] url；原数据文件已标记为不再使用 set [ledger] url in the configuration; the old files are \
         marked as not to be used again",
        source.display()
    );
    Ok(())
}

/// Rows and hashes of both sides, side by side.
fn print_proof(pairs: &[Pair]) {
    println!("{:<24}{:>12}{:>12}  {:<18}{:<18}", "表 table", "SQLite", "PostgreSQL", "SHA-256", "SHA-256");
    let short = |tally: &Checksum| hex::encode(&tally.hash[..8]);
    for Pair { written, stored } in pairs {
        let (name, sign) = (&written.table, if written == stored { '=' } else { '≠' });
        println!("{name:<22}{:>12}{:>12}  {:<17}{sign} {}", written.rows, stored.rows, short(written), short(stored));
    }
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // A second installation keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(runtime()?.block_on(work))
}

/// Tells the progress, not more often than once a second but for what is done.
#[derive(Default)]
struct Teller {
    last: Option<Instant>,
    table: String,
}

impl Teller {
    fn tell(&mut self, step: Progress<'_>) {
        let due = self.last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        let line = match step {
            Progress::Rows { table, rows, all: true } if rows > 0 => format!("已写 written  {table}: {rows}"),
            Progress::Rows { table, rows, all: false } if due => format!("正在写 writing  {table}: {rows}"),
            Progress::Checking { at, of } if due || at == of => {
                format!("正在复核 checking  {}%", (at * 100).checked_div(of).unwrap_or(100))
            }
            Progress::Comparing { table } if self.table != table => {
                table.clone_into(&mut self.table);
                format!("正在比对 comparing  {table}")
            }
            _ => return,
        };
        self.last = Some(Instant::now());
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_data_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (config, to) = (folder.path().join("c.toml"), folder.path().join("a.mjw"));
        let empty = folder.path().join("empty");
        std::fs::write(&config, format!("[data]\nfolder = \"{}\"\n", empty.display())).unwrap();
        let elsewhere = Some("postgres://u@127.0.0.1:1/d".to_owned());
        let migration = Migration { config: Some(config.clone()), to: elsewhere, password_file: None, from_data: None };
        for refused in [backup(Some(&config), &to, false), migrate(&migration)] {
            let told = refused.unwrap_err().to_string();
            assert!(told.starts_with(&format!("{}/ledger.db: 没有这个文件", empty.display())), "{told}");
        }
        assert!(!empty.exists() && !to.exists());
        std::fs::create_dir(&empty).unwrap();
        std::fs::write(empty.join("ledger.db"), "").unwrap();
        let told = backup(Some(&config), &to, false).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}/telemetry.db: 没有这个文件", empty.display())), "{told}");
        std::fs::write(empty.join("telemetry.db"), "").unwrap();
        let told = backup(Some(&config), &to, true).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}/master.key: 没有主密钥", empty.display())), "{told}");
    }

    #[test]
    fn the_reason_of_a_refusal_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = |file: &str| LedgerError::File { file: file.to_owned(), at: 7, what: "is damaged".to_owned() };
        let full = || LedgerError::Full("no space".into());
        let key =
            LedgerError::Corrupt { what: "the request secret (or this is another master key)".into(), source: None };
        for (error, words) in [
            (file("a.mjw"), "备份已损坏"),
            (file("other.mjw"), "other.mjw: 此文件已损坏"),
            (full(), "磁盘已满"),
            (key, "不是此备份的主密钥"),
            (LedgerError::Schema("is newer".to_owned()), "其他版本的程序"),
        ] {
            let told = format!("{:#}", explained(error, Path::new("a.mjw"), folder.path()));
            assert!(told.contains(words) && told.contains("未作任何改动"), "{told}");
        }
        std::fs::create_dir(folder.path().join("restoring")).unwrap();
        std::fs::write(folder.path().join("restoring/placing"), "PostgreSQL\n1\n").unwrap();
        let told = format!("{:#}", explained(full(), Path::new("a.mjw"), folder.path()));
        assert!(told.contains("请重新运行同一命令") && !told.contains("未作任何改动"), "{told}");
    }
}
