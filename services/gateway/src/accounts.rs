//! Passwords: argon2id on the blocking pool, a few at a time, and the same work for accounts that do not exist.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Longest password, bytes.
pub const MAX_PASSWORD: usize = 256;
/// Checks that run at once: each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// Checks that may wait.
const WAITING: usize = 32;

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

/// A PHC string (argon2id, OWASP's first choice of cost). Blocks for tens of milliseconds: call it from the blocking
/// pool or at start-up.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let refuse = |e: argon2::password_hash::Error| HashError(e.to_string());
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(refuse)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(refuse)?;
    Ok(hash.to_string())
}

/// Checks passwords. Clones share their turns.
#[derive(Clone)]
pub(crate) struct Verifier {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// What unknown accounts are checked against.
    nobody: String,
}

impl Verifier {
    /// Hashes once: blocks for tens of milliseconds.
    pub(crate) fn new() -> Result<Self, HashError> {
        let nobody = hash_password(&hex::encode(rand::random::<[u8; 16]>()))?;
        Ok(Self { slots: Arc::new(Semaphore::new(AT_ONCE)), queue: Arc::new(Semaphore::new(WAITING)), nobody })
    }

    /// Waits for a turn; `busy` when too many wait already.
    pub(crate) async fn turn(&self) -> Result<Turn, Problem> {
        let busy = || Problem::busy().retry_after(1);
        let _queued = self.queue.clone().try_acquire_owned().map_err(|_| busy())?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _slot: slot, nobody: self.nobody.clone() })
    }
}

/// The right to check one password.
pub(crate) struct Turn {
    _slot: tokio::sync::OwnedSemaphorePermit,
    nobody: String,
}

impl Turn {
    /// Whether `password` is right; `None` stands for an account that does not exist and takes as long.
    pub(crate) async fn check(self, hash: Option<String>, password: String) -> bool {
        let work = tokio::task::spawn_blocking(move || {
            let known = hash.is_some();
            let right = matches(&hash.unwrap_or_else(|| self.nobody.clone()), &password);
            known && right
        });
        work.await.unwrap_or(false)
    }
}

fn matches(hash: &str, password: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else {
        tracing::error!("a stored password hash cannot be read");
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_only() {
        let hash = hash_password("铜钟 91").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let verifier = Verifier::new().unwrap();
        assert!(verifier.turn().await.unwrap().check(Some(hash.clone()), "铜钟 91".into()).await);
        assert!(!verifier.turn().await.unwrap().check(Some(hash), "铜钟 92".into()).await);
        assert!(!verifier.turn().await.unwrap().check(None, "铜钟 91".into()).await);
        assert!(!verifier.turn().await.unwrap().check(Some("no hash".into()), "x".into()).await);
    }
}
