//! Accounts are set as a whole; duty posts are taken and left.

use crate::{
    account::{Account, AccountEvent, DutyEvent, DutyPost},
    decide::Draft,
    ids::AccountId,
    refusal::{Code, Refusal},
    text::{SecretKind, Subject},
};

impl Draft<'_> {
    pub(crate) fn set_account(&mut self, account: &Account, name: &str) {
        let subject = Subject::Account(account.id.clone());
        let name = self.seal(subject, SecretKind::Published, name);
        self.emit(AccountEvent::Changed { account: Account { name, ..account.clone() } });
    }

    pub(crate) fn set_duty(&mut self, post: DutyPost, account: Option<&AccountId>) -> Result<(), Refusal> {
        if account.is_some_and(|a| !self.base.accounts.contains_key(a)) {
            return Err(Refusal::field(Code::NoAccount, "account"));
        }
        self.emit(DutyEvent::Changed { post, account: account.cloned() });
        Ok(())
    }
}
