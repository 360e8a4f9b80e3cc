//! `check-config` and `migrate`.

use std::path::Path;

use anyhow::Context as _;
use ledger::{Log as _, SqliteOptions, SqliteStore, SqliteTelemetry};

use crate::config;

/// Reads the file as `up` would and says what is wrong.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let config = config::load(Some(path))?;
    println!(
        "{}: 配置正确 the configuration is right（{} 个部门 departments，{} 路摄像头 cameras，{} 个账号 accounts）",
        path.display(),
        config.exchange.departments.len(),
        config.video.cameras.len(),
        config.accounts.len()
    );
    Ok(())
}

/// Applies what is missing to the stored data.
pub(crate) fn migrate(path: Option<&Path>) -> anyhow::Result<()> {
    let config = config::load(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = &config.data.folder;
        let _lock = crate::folder::take(folder)?;
        let options = SqliteOptions::in_folder(folder);
        let store = SqliteStore::open(&options).await.context("台账无法打开 the ledger cannot be opened")?;
        let file = folder.join("telemetry.db");
        let telemetry = SqliteTelemetry::open(&file, options.busy_timeout).await.context("遥测库 telemetry")?;
        let head = store.head().await?;
        println!("{}: 已是最新 up to date，log {} seq {}", folder.display(), head.log_id, head.seq);
        telemetry.close().await;
        store.close().await;
        Ok(())
    })
}
