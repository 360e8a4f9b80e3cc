//! Opens the ledger and telemetry where the configuration keeps them: SQLite in the data folder, or PostgreSQL.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use ledger::{
    PostgresOptions, PostgresStore, PostgresTelemetry, SqliteOptions, SqliteStore, SqliteTelemetry, Store, Telemetry,
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
        match &config.ledger.url {
            Some(url) => Self::postgres(url, config, lock).await,
            None => Self::sqlite(&config.data.folder, lock).await,
        }
    }

    async fn sqlite(folder: &Path, lock: std::fs::File) -> anyhow::Result<Self> {
        let options = SqliteOptions::in_folder(folder);
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

    async fn postgres(url: &str, config: &Config, lock: std::fs::File) -> anyhow::Result<Self> {
        let password = config.ledger.password_file.as_deref().map(secret).transpose()?;
        let files = config.data.files.as_ref().unwrap_or(&config.data.folder);
        let mut options = PostgresOptions::new(url, password.as_deref(), files)?;
        if let Some(schema) = &config.ledger.schema {
            options.schema.clone_from(schema);
        }
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
