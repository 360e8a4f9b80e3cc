//! Opens the ledger and telemetry where the configuration keeps them: SQLite in the data folder, or PostgreSQL.

use std::sync::Arc;

use anyhow::Context as _;
use ledger::{
    PostgresOptions, PostgresStore, PostgresTelemetry, SqliteOptions, SqliteStore, SqliteTelemetry, Store, Telemetry,
};

use crate::{
    config::{Config, Data},
    media::secret,
};

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
        anyhow::ensure!(
            !ledger::transfer::unfinished(&config.data.folder),
            "{}: 上次恢复或迁移未完成，请重新运行该命令 a restore or a migration was cut off: run it again",
            config.data.folder.display()
        );
        match &config.ledger.url {
            Some(_) => Self::postgres(config, lock).await,
            None => Self::sqlite(&config.data, lock).await,
        }
    }

    async fn sqlite(data: &Data, lock: std::fs::File) -> anyhow::Result<Self> {
        let folder = &data.folder;
        let options = SqliteOptions { erasures: data.erasures(), ..SqliteOptions::in_folder(folder) };
        let store = Arc::new(SqliteStore::open(&options).await.context("台账无法打开 the ledger cannot be opened")?);
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
        let mut options = PostgresOptions::new(url, password.as_deref(), config.data.files())?;
        if let Some(schema) = &config.ledger.schema {
            options.schema.clone_from(schema);
        }
        options.erasures = config.data.erasures();
        Ok(options)
    }

    async fn postgres(config: &Config, lock: std::fs::File) -> anyhow::Result<Self> {
        let options = Self::postgres_options(config)?;
        let place = format!("PostgreSQL {}", options.place());
        let opened = PostgresStore::open(&options).await;
        let store = Arc::new(opened.with_context(|| format!("台账无法打开 the ledger cannot be opened: {place}"))?);
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
