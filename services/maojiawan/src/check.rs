//! `check-config` and `migrate`, and what a start refuses before it begins anything.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::bail;

use crate::{
    accounts::Password,
    config::{self, Config},
    media, node, remote,
    stores::Stores,
    up::{self, Part},
};

/// What a start as these parts, (core, gateway), refuses before it listens anywhere or makes a file.
pub(crate) fn startable(config: &Config, (core, gateway): (bool, bool), demo: bool) -> anyhow::Result<()> {
    if let Some(fault) = config.fault_of((core, gateway)) {
        bail!("{fault}");
    }
    if let (false, Some(key)) = (demo, config.exchange.example_secret()) {
        bail!("{key}: 仍是示例中的密钥，请更换 still the example's secret, which everybody knows");
    }
    if config.ledger.url.is_some() {
        Stores::postgres_options(config)?;
    }
    if !core {
        return remote::usable(&config.link);
    }
    config.exchange.usable()?;
    media::cameras(&config.video)?;
    node::usable(&config.link)
}

/// Says what a start as these parts, or as all, would refuse; and what it would only tell at `/readyz`.
pub(crate) fn check(path: &Path, parts: &[Part]) -> anyhow::Result<()> {
    let config = config::load(Some(path))?;
    startable(&config, up::which(parts), false)?;
    for note in notes(&config, parts) {
        println!("提示 note: {note}");
    }
    println!(
        "{}: 配置正确 the configuration is right（{} 个部门 departments，{} 路摄像头 cameras，{} 个账号 accounts）",
        path.display(),
        config.exchange.departments.len(),
        config.video.cameras.len(),
        config.accounts.len()
    );
    Ok(())
}

/// What keeps nothing from starting and may not be meant.
fn notes(config: &Config, parts: &[Part]) -> Vec<String> {
    let mut notes = Vec::new();
    // Without a part named the file was checked for `up`; it may be meant for several processes.
    let meant = |part| match part {
        Part::Core => config.link.listen.is_some(),
        Part::Gateway => config.link.core.is_some(),
    };
    for part in [Part::Core, Part::Gateway].into_iter().filter(|part| parts.is_empty() && meant(*part)) {
        if let Err(error) = startable(config, up::which(&[part]), false) {
            let name = if part == Part::Core { "core" } else { "gateway" };
            notes.push(format!("serve --role {name} 会拒绝 would refuse: {error:#}"));
        }
    }
    for (key, file) in later(config, up::which(parts).0) {
        if let Err(error) = File::open(file) {
            let file = file.display();
            notes.push(format!(
                "{key}: {file}: 无法读取，启动后 /readyz 会指出 cannot be read, /readyz will say so: {error}"
            ));
        }
    }
    for account in config.accounts.iter().filter(|_| up::which(parts).0) {
        if let Err(error) = Password::File(account.password_file.clone()).read() {
            let key = format!("accounts.{}.password_file", account.id);
            notes.push(format!("{key}: {error:#}（账号已有口令则不需要 not needed once the account has a password）"));
        }
    }
    notes
}

/// The files that are read again and again once the centre runs.
fn later(config: &Config, core: bool) -> Vec<(&'static str, &Path)> {
    let mut files: Vec<(&'static str, Option<&PathBuf>)> = Vec::new();
    if config.bus.redis.is_some() {
        files.push(("bus.password_file", config.bus.password_file.as_ref()));
        files.push(("bus.ca_file", config.bus.ca_file.as_ref()));
    }
    if let Some(listen) = config.sensing.listen.as_ref().filter(|_| core) {
        files.push(("sensing.listen.cert_file", listen.cert_file.as_ref()));
        files.push(("sensing.listen.key_file", listen.key_file.as_ref()));
    }
    if let Some(external) = config.sensing.external.as_ref().filter(|_| core) {
        files.push(("sensing.external.password_file", external.password_file.as_ref()));
        if let Some(tls) = &external.tls {
            files.push(("sensing.external.tls.ca_file", Some(&tls.ca_file)));
            files.push(("sensing.external.tls.cert_file", tls.cert_file.as_ref()));
            files.push(("sensing.external.tls.key_file", tls.key_file.as_ref()));
        }
    }
    files.into_iter().filter_map(|(key, file)| Some((key, file?.as_path()))).collect()
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
