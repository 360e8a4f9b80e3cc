//! Keys and seals: a master key in a file wraps one key a subject; XChaCha20-Poly1305 seals values and files.
//!
//! Every seal is bound to its place (the associated data names the row), so that sealed bytes moved to another row do
//! not open. Keys are wiped when dropped and never printed.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{LedgerError, Result};

const NONCE: usize = 24;

/// A 256-bit key.
#[derive(Clone)]
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().into())
    }

    /// A random nonce, then the sealed bytes.
    pub(crate) fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad })
            .map_err(|_| LedgerError::invalid("value", "too large to seal"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// What [`Key::seal`] sealed for the same place; `None` for anything else.
    pub(crate) fn open(&self, sealed: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, msg) = sealed.split_at_checked(NONCE)?;
        self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg, aad }).ok().map(Zeroizing::new)
    }

    /// Wraps another key for storage.
    pub(crate) fn wrap(&self, key: &Key, aad: &str) -> Result<Vec<u8>> {
        self.seal(key.0.as_slice(), aad.as_bytes())
    }

    /// Unwraps a stored key.
    pub(crate) fn unwrap(&self, wrapped: &[u8], aad: &str) -> Option<Key> {
        Key::from_slice(&self.open(wrapped, aad.as_bytes())?)
    }

    pub(crate) fn hmac(&self, body: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length: the fallback cannot be reached.
        <Hmac<Sha256> as Mac>::new_from_slice(self.0.as_slice())
            .map_or([0; 32], |mac| mac.chain_update(body).finalize().into_bytes().into())
    }
}

/// Reads the master key; blocks. With `create`, a missing file is made first, readable by its owner only.
pub(crate) fn master_key(path: &Path, create: bool) -> Result<Key> {
    let refuse = |reason: &str| LedgerError::MasterKey { file: path.display().to_string(), reason: reason.to_owned() };
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && create => create_key(path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(refuse("is missing, and the data need it")),
        Err(e) => return Err(refuse(&e.to_string())),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            return Err(refuse("may be read by others; set its mode to 0600"));
        }
        Ok(_) => {}
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| refuse(&e.to_string()))?);
    let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| refuse("is not a key"))?);
    Key::from_slice(&bytes).ok_or_else(|| refuse("is not a key"))
}

/// Written beside, synced, then linked into place: a half-written key can never be taken for one, and one that is
/// there is never replaced.
fn create_key(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{:016x}.tmp", rand::random::<u64>()));
    let text = Zeroizing::new(hex::encode(Key::random().0.as_slice()) + "\n");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    linked?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_only_at_its_place_and_with_its_key() {
        let (key, other) = (Key::random(), Key::random());
        let sealed = key.seal(b"value", b"vault/1").unwrap();
        assert_eq!(key.open(&sealed, b"vault/1").unwrap().as_slice(), b"value");
        assert!(key.open(&sealed, b"vault/2").is_none());
        assert!(other.open(&sealed, b"vault/1").is_none());
        assert!(key.open(&sealed[..10], b"vault/1").is_none());
        let mut torn = sealed;
        torn[30] ^= 1;
        assert!(key.open(&torn, b"vault/1").is_none());
    }

    #[test]
    fn the_hmac_is_the_standard_one() {
        let key = Key::from_slice(&[0x0b; 32]).unwrap();
        // HMAC-SHA256 with a key of 32 bytes 0x0b over "Hi There", computed with OpenSSL.
        assert_eq!(
            hex::encode(key.hmac(b"Hi There")),
            "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }

    #[test]
    fn the_master_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/master.key");
        assert!(matches!(master_key(&path, false), Err(LedgerError::MasterKey { .. })));
        let first = master_key(&path, true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.0, master_key(&path, true).unwrap().0);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(master_key(&path, true), Err(LedgerError::MasterKey { .. })));
    }
}
