//! Events of accounts and of the duty roster.

use crate::{
    account::{Account, DutyPost},
    event::Happening,
    ids::{AccountId, BlobId},
};

/// What happens to an account.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountEvent {
    /// An account was added or changed; its password is no event.
    Changed {
        /// The account.
        account: Account,
    },
}

impl Happening for AccountEvent {
    type Id = AccountId;

    fn name(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "account_changed",
        }
    }

    fn id(&self) -> AccountId {
        match self {
            Self::Changed { account } => account.id.clone(),
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Changed { .. } => Vec::new(),
        }
    }
}

/// What happens to the duty roster.
#[derive(Clone, Debug, PartialEq)]
pub enum DutyEvent {
    /// Somebody took or left a duty post.
    Changed {
        /// Which post.
        post: DutyPost,
        /// Who holds it now.
        account: Option<AccountId>,
    },
}

impl Happening for DutyEvent {
    type Id = ();

    fn name(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "duty_changed",
        }
    }

    fn id(&self) {}

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Changed { .. } => Vec::new(),
        }
    }
}
