//! Which devices may log in to the broker, for sensing: the writer says whose credential changed, the vault has the hashes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dispatch::Credentials;
use domain::{device::Credential, ids::DeviceId};
use ledger::{LedgerError, Opened, Store, limits};
use runtime::retry::Backoff;
use sensing::{Login, logins::Logins};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Keeps `tell` up to date until stopped. While the vault cannot be read the broker goes on with those it has.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    mut credentials: watch::Receiver<Credentials>,
    tell: watch::Sender<Logins>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let known = credentials.borrow_and_update().clone();
        if let Some(known) = known {
            match read(store.as_ref(), &known).await {
                Ok(logins) => {
                    backoff.reset();
                    tell.send_replace(Some(Arc::new(logins)));
                }
                Err(error) => {
                    tracing::warn!(code = error.code(), "devices' credentials cannot be read and are tried again");
                    credentials.mark_changed();
                    tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(backoff.delay()) => {} }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = credentials.changed() => if changed.is_err() { return },
        }
    }
}

async fn read(store: &dyn Store, known: &BTreeMap<DeviceId, Credential>) -> Result<Vec<Login>, LedgerError> {
    let active: Vec<_> = known.values().filter_map(|c| Some((c, c.hash?.0))).collect();
    let mut logins = Vec::with_capacity(active.len());
    for page in active.chunks(limits::PAGE) {
        let ids: Vec<u64> = page.iter().map(|(_, id)| *id).collect();
        let opened: BTreeMap<_, _> = store.open(&ids).await?.into_iter().collect();
        for (credential, id) in page {
            let Some(Opened::Value { full, .. }) = opened.get(id) else {
                tracing::warn!(device = %credential.device, "the hash of a device's password is gone: it cannot log in");
                continue;
            };
            logins.push(Login {
                device: credential.device.clone(),
                voice: credential.voice,
                behind: credential.behind.clone(),
                hash: full.text(),
            });
        }
    }
    Ok(logins)
}
