//! Opens the ledger and telemetry where the configuration keeps them: SQLite in the data folder, or PostgreSQL.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use ledger::{
    LedgerError, PostgresOptions, PostgresStore, PostgresTelemetry, SqliteOptions, SqliteStore, SqliteTelemetry, Store,
    Telemetry, transfer::Place,
};

use crate::{config::Config, media::secret};

/// The durable parts.
pub(crate) struct Stores {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    /// Which database, for people: no password.
    pub(crate) place: String,
    backend: Backend,
    /// Held while the process runs: the data folder is its own.
    _lock: std::fs::File,
}

enum Backend {
    Sqlite(Arc<SqliteStore>, Arc<SqliteTelemetry>),
    Postgres(Arc<PostgresStore>, Arc<PostgresTelemetry>),
}

impl Stores {
    /// Opens or creates, and brings the schema to this version.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let lock = crate::folder::take(&config.data.folder)?;
        // Files may lie elsewhere, and it is there that they were to be put into their place.
        for folder in [&*config.data.folder, config.data.files()] {
            Self::is_finished(folder)?;
        }
        match &config.ledger.url {
            Some(_) => Self::postgres(config, lock).await,
            None => Self::sqlite(config, lock).await,
        }
    }

    /// Refuses what a restore or a migration left that was cut off.
    pub(crate) fn is_finished(folder: &Path) -> anyhow::Result<()> {
        anyhow::ensure!(
            !ledger::transfer::unfinished(folder),
            "{}: 上次恢复或迁移未完成，请重新运行该命令 a restore or a migration was cut off: run it again",
            folder.display()
        );
        Ok(())
    }

    /// Where a configuration keeps its data.
    pub(crate) fn place(config: &Config) -> anyhow::Result<Place> {
        let place = match &config.ledger.url {
            Some(_) => Place::postgres(Self::postgres_options(config)?, config.data.files()),
            None => Place::sqlite(&config.data.folder),
        };
        Ok(place.erasures_at(&config.data.erasures()))
    }

    async fn sqlite(config: &Config, lock: std::fs::File) -> anyhow::Result<Self> {
        let (data, folder) = (&config.data, &config.data.folder);
        stayed(folder)?;
        let options = SqliteOptions { erasures: data.erasures(), ..SqliteOptions::in_folder(folder) };
        let closed = "台账无法打开 the ledger cannot be opened";
        let store = Arc::new(SqliteStore::open(&options).await.map_err(told).context(closed)?);
        let telemetry = SqliteTelemetry::open(&folder.join("telemetry.db"), options.busy_timeout).await;
        let telemetry = Arc::new(telemetry.context("遥测库无法打开 the telemetry file cannot be opened")?);
        Ok(Self {
            store: store.clone(),
            telemetry: telemetry.clone(),
            place: format!("SQLite {}", options.file.display()),
            backend: Backend::Sqlite(store, telemetry),
            _lock: lock,
        })
    }

    /// How the configured database is reached.
    pub(crate) fn postgres_options(config: &Config) -> anyhow::Result<PostgresOptions> {
        let password = config.ledger.password_file.as_deref().map(secret).transpose()?;
        let url = config.ledger.url.as_deref().unwrap_or_default();
        let mut options = PostgresOptions::new(url, password.as_deref(), config.data.files())
            .context("ledger.url: 不是可用的 PostgreSQL 地址 is no usable address of PostgreSQL")?;
        if let Some(schema) = &config.ledger.schema {
            options.schema.clone_from(schema);
        }
        options.erasures = config.data.erasures();
        Ok(options)
    }

    async fn postgres(config: &Config, lock: std::fs::File) -> anyhow::Result<Self> {
        let options = Self::postgres_options(config)?;
        let place = format!("PostgreSQL {}", options.place());
        let closed = || format!("台账无法打开 the ledger cannot be opened: {place}");
        let store = Arc::new(PostgresStore::open(&options).await.map_err(told).with_context(closed)?);
        let telemetry = PostgresTelemetry::open(&options).await;
        let telemetry = Arc::new(telemetry.with_context(|| format!("遥测库无法打开 telemetry: {place}"))?);
        Ok(Self {
            store: store.clone(),
            telemetry: telemetry.clone(),
            place,
            backend: Backend::Postgres(store, telemetry),
            _lock: lock,
        })
    }

    /// Waits for running calls and closes all. Later calls fail.
    pub(crate) async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(store, telemetry) => {
                telemetry.close().await;
                store.close().await;
            }
            Backend::Postgres(store, telemetry) => {
                telemetry.close().await;
                store.close().await;
            }
        }
    }
}

/// Refuses SQLite data that were moved to another database.
pub(crate) fn stayed(folder: &Path) -> anyhow::Result<()> {
    let Some(moved) = ledger::transfer::moved(folder) else { return Ok(()) };
    anyhow::bail!(
        "{}: 数据已迁移到 {}，请在配置中写入 [ledger] url；如确要退回这里的旧数据（迁移之后写入的内容不在其中），请删除 {} \
         the data moved there: set [ledger] url; to go back to the old data on purpose, without what was written \
         since, remove that file",
        folder.display(),
        moved.to,
        moved.mark.display()
    )
}

/// In words, where a person has to do something.
fn told(error: LedgerError) -> anyhow::Error {
    match error {
        LedgerError::Orphans { files } => anyhow::anyhow!(
            "没有数据库，但它的文件还在：{files}。请放回数据库，或移走这些文件后从备份恢复 the database is gone, but its files \
             are there: put it back, or move them away and restore a backup"
        ),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_was_cut_off_is_noticed_where_the_files_are() {
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut config = Config::default();
        config.data.folder = data.path().to_owned();
        config.data.files = Some(files.path().to_owned());
        // Nobody listens there: the marks are looked at first.
        config.ledger.url = Some("postgres://u@127.0.0.1:1/d".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for folder in [data.path(), files.path()] {
            let stage = folder.join("restoring");
            std::fs::create_dir(&stage).unwrap();
            std::fs::write(stage.join("placing"), "PostgreSQL").unwrap();
            let refused = runtime.block_on(Stores::open(&config)).err().unwrap().to_string();
            assert!(refused.contains("未完成") && refused.starts_with(&*folder.to_string_lossy()), "{refused}");
            std::fs::remove_dir_all(stage).unwrap();
        }
        let refused = runtime.block_on(Stores::open(&config)).err().unwrap().to_string();
        assert!(refused.contains("台账无法打开"), "{refused}");
    }

    #[test]
    fn folders_are_taken_once_each_however_they_are_named() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let again = other.path().join("link");
        std::os::unix::fs::symlink(one.path(), &again).unwrap();
        let held = crate::folder::take_all(&[one.path(), &again, other.path(), one.path()]).unwrap();
        assert_eq!(held.len(), 2);
        for folder in [one.path(), &again, other.path()] {
            let refused = crate::folder::take_all(&[folder]).unwrap_err().to_string();
            assert!(refused.contains("数据目录正被另一个进程使用"), "{refused}");
        }
    }
}
