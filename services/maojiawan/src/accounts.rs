//! Brings the accounts of the configuration into the log, and their first passwords beside it.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use domain::{
    State,
    account::{Account, DutyPost, Role},
    event::Mode,
    ids::VaultId,
    input::{Actor, Command, Input},
};
use ledger::{Credential, Store};
use link::intake::{Intake, Submission};

/// An account with its first password.
pub(crate) struct First {
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
    pub(crate) grid: Option<String>,
    pub(crate) password: Password,
    /// The post that it holds while nobody else was entered.
    pub(crate) post: Option<DutyPost>,
}

/// Where a first password comes from.
pub(crate) enum Password {
    /// Public: of the demo.
    Public(&'static str),
    /// The one line of a file, which is read only while the account has no password, and may be deleted then.
    File(PathBuf),
}

impl Password {
    pub(crate) fn read(self) -> anyhow::Result<String> {
        match self {
            Self::Public(text) => Ok(text.to_owned()),
            Self::File(file) => {
                let text = crate::media::secret(&file)?;
                anyhow::ensure!(!text.is_empty(), "{}: 口令为空 the password is empty", file.display());
                Ok(text)
            }
        }
    }
}

/// What is missing is added; what is there stays as people changed it.
pub(crate) async fn ensure(
    state: &State,
    store: &Arc<dyn Store>,
    intake: &dyn Intake,
    accounts: Vec<First>,
) -> anyhow::Result<()> {
    for first in accounts {
        if !state.accounts.contains_key(&first.id.as_str().into()) {
            let account = Account {
                id: first.id.as_str().into(),
                role: first.role,
                unit: first.unit.as_deref().map(Into::into),
                grid: first.grid.as_deref().map(Into::into),
                // The core gives the name its place in the vault.
                name: VaultId(0),
                active: true,
            };
            submit(intake, Command::SetAccount { account, name: first.name.clone() }).await?;
        }
        if let Some(post) = first.post.filter(|p| !state.duty.contains_key(p)) {
            submit(intake, Command::SetDuty { post, account: Some(first.id.as_str().into()) }).await?;
        }
        if store.credential(&first.id).await?.is_none() {
            let password = first.password.read()?;
            let hashed = tokio::task::spawn_blocking(move || gateway::accounts::hash_password(&password)).await?;
            let credential = Credential {
                account: first.id.clone(),
                password_hash: hashed.context("口令无法处理 the password cannot be hashed")?,
                failed: 0,
                locked_until_ms: 0,
                totp: None,
            };
            store.put_credential(&credential).await?;
        }
    }
    Ok(())
}

/// A command of the centre itself at start-up.
pub(crate) async fn submit(intake: &dyn Intake, command: Command) -> anyhow::Result<()> {
    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    intake.submit(Submission::keyless(input)).await?;
    Ok(())
}
