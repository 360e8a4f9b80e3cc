//! Numbered changes of a schema. Applied ones never change: their hashes are kept and compared.

use sha2::{Digest, Sha256};

use crate::{LedgerError, Result};

/// A numbered change.
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// What is kept of it once it is applied.
    pub(crate) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.sql))
    }
}

/// The migrations that remain after `applied`, which are versions and hashes in order.
pub(crate) fn missing<'m>(applied: &[(i64, String)], migrations: &'m [Migration]) -> Result<&'m [Migration]> {
    for (i, (version, hash)) in applied.iter().enumerate() {
        match migrations.get(i) {
            Some(m) if m.version == *version && m.hash() == *hash => {}
            Some(m) if m.version == *version => {
                return Err(LedgerError::Schema(format!("applied migration {version} has changed")));
            }
            _ => return Err(LedgerError::Schema(format!("migration {version} is unknown to this program"))),
        }
    }
    Ok(migrations.get(applied.len()..).unwrap_or_default())
}
