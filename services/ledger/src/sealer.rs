//! What the master key does for every backend: it wraps the keys of subjects and seals what belongs to an account.
//! The texts that bind a seal to its place are fixed: stored seals open only with them.

use std::path::PathBuf;

use crate::{
    Credential, LedgerError, Opened, Result, Secret, VaultRow,
    seal::{Key, master_key},
};

const REQUEST_SECRET: &str = "request-secret";

/// The master key, in use.
pub(crate) struct Sealer(Key);

impl Sealer {
    /// Reads the key file; with `create` a missing one is made.
    #[allow(clippy::disallowed_methods, reason = "file IO on the blocking pool, awaited at once")]
    pub(crate) async fn load(path: PathBuf, create: bool) -> Result<Self> {
        let key = tokio::task::spawn_blocking(move || master_key(&path, create)).await;
        key.map_err(|e| LedgerError::Io(e.into()))?.map(Self)
    }

    /// A new secret for hashes of requests, and its wrapped form for storage.
    pub(crate) fn new_request_secret(&self) -> Result<(Key, Vec<u8>)> {
        let secret = Key::random();
        let wrapped = self.0.wrap(&secret, REQUEST_SECRET)?;
        Ok((secret, wrapped))
    }

    pub(crate) fn request_secret(&self, wrapped: &[u8]) -> Result<Key> {
        let secret = self.0.unwrap(wrapped, REQUEST_SECRET);
        secret.ok_or_else(|| LedgerError::corrupt("the request secret (or this is another master key)"))
    }

    /// A new key for a subject, and its wrapped form for storage.
    pub(crate) fn new_subject_key(&self, subject: &str) -> Result<(Key, Vec<u8>)> {
        let key = Key::random();
        let wrapped = self.0.wrap(&key, &key_place(subject))?;
        Ok((key, wrapped))
    }

    pub(crate) fn subject_key(&self, subject: &str, wrapped: &[u8]) -> Result<Key> {
        let key = self.0.unwrap(wrapped, &key_place(subject));
        key.ok_or_else(|| LedgerError::corrupt("the key of a subject"))
    }

    /// The sealed seed of an account, if it has one.
    pub(crate) fn seal_totp(&self, credential: &Credential) -> Result<Option<Vec<u8>>> {
        let place = totp_place(&credential.account);
        credential.totp.as_ref().map(|t| self.0.seal(t.expose(), &place)).transpose()
    }

    pub(crate) fn open_totp(&self, account: &str, sealed: Option<&[u8]>) -> Result<Option<Secret>> {
        let open = |sealed: &[u8]| {
            let plain = self.0.open(sealed, &totp_place(account));
            plain.map(Secret::from).ok_or_else(|| LedgerError::corrupt("a one-time code seed"))
        };
        sealed.map(open).transpose()
    }
}

/// Seals a value and its masked form by the key of its subject.
pub(crate) fn seal_value(key: &Key, row: &VaultRow) -> Result<(Vec<u8>, Vec<u8>)> {
    let seal = |form, value: &Secret| key.seal(value.expose(), &value_place(row.id, &row.subject, form));
    Ok((seal("full", &row.full)?, seal("masked", &row.masked)?))
}

/// Opens what [`seal_value`] sealed.
pub(crate) fn open_value(key: &Key, id: u64, subject: &str, full: &[u8], masked: &[u8]) -> Result<Opened> {
    let open = |form, sealed: &[u8]| {
        let plain = key.open(sealed, &value_place(id, subject, form));
        plain.map(Secret::from).ok_or_else(|| LedgerError::corrupt("a sealed value"))
    };
    Ok(Opened::Value { full: open("full", full)?, masked: open("masked", masked)? })
}

/// What binds a wrapped key to its subject.
fn key_place(subject: &str) -> String {
    format!("subject-key\n{subject}")
}

/// What binds a sealed value to its row.
fn value_place(id: u64, subject: &str, form: &str) -> Vec<u8> {
    format!("vault\n{id}\n{form}\n{subject}").into_bytes()
}

/// What binds a sealed seed to its account.
fn totp_place(account: &str) -> Vec<u8> {
    format!("totp\n{account}").into_bytes()
}
