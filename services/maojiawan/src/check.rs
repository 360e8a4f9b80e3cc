//! `check-config` and `migrate`.

use std::path::Path;

use crate::{config, stores::Stores};

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
        let stores = Stores::open(&config).await?;
        let head = stores.store.head().await?;
        println!("{}: 已是最新 up to date，log {} seq {}", stores.place, head.log_id, head.seq);
        stores.close().await;
        Ok(())
    })
}
