//! The port on a memory ledger.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use super::{Call, MemoryStore};
use crate::{
    Accounts, Archived, Archiving, Batch, BlobId, BlobInfo, Blobs, Credential, DocumentRow, DueRow, FoundBlob, Head,
    InputKey, KeyRow, LedgerError, Log, NewBlob, Opened, Outbox, Position, Query, Result, Session, StoredEvent,
    StoredOutbox, Tally, Vault, limits, rows::check_page,
};

#[async_trait]
impl Log for MemoryStore {
    /// Events stay where they are: there are no files here.
    async fn archive(&self, _: &Archiving<'_>) -> Result<Archived> {
        Err(LedgerError::invalid("archive", "a ledger in memory has no files"))
    }

    async fn open_writer(&self) -> Result<Head> {
        self.call(Call::Write, |d| Ok(d.open_writer())).await
    }

    async fn append(&self, batch: &Batch) -> Result<Head> {
        self.call(Call::Append, |d| d.append(batch)).await
    }

    async fn head(&self) -> Result<Head> {
        self.call(Call::Head, |d| Ok(d.head)).await
    }

    async fn tail(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        self.call(Call::Read, |d| Ok(d.tail(None, after, limit))).await
    }

    async fn stream_tail(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        self.call(Call::Read, |d| Ok(d.tail(Some(stream), after, limit))).await
    }

    async fn snapshot(&self, kinds: &[&str], ended: usize) -> Result<(Position, Vec<DocumentRow>)> {
        self.call(Call::Read, |d| Ok((d.head.position(), d.snapshot(kinds, ended)))).await
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<DocumentRow>> {
        self.call(Call::Read, |d| Ok(d.document(kind, id))).await
    }

    async fn documents_named(&self, names: &[(&str, &str)]) -> Result<Vec<DocumentRow>> {
        check_page("names", names.len())?;
        self.call(Call::Read, |d| Ok(names.iter().filter_map(|(kind, id)| d.document(kind, id)).collect())).await
    }

    async fn tally(&self, tally: &Tally) -> Result<Vec<(Option<String>, u64)>> {
        tally.check()?;
        self.call(Call::Read, |d| Ok(d.tally(tally))).await
    }

    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<DueRow>> {
        self.call(Call::Read, |d| Ok(d.due(now_ms, limit))).await
    }

    async fn documents(&self, query: &Query) -> Result<Vec<DocumentRow>> {
        query.check()?;
        self.call(Call::Read, |d| Ok(d.documents(query))).await
    }

    async fn documents_between(&self, after: u64, upto: u64) -> Result<Vec<DocumentRow>> {
        check_page("range", usize::try_from(upto.saturating_sub(after)).unwrap_or(usize::MAX))?;
        self.call(Call::Read, |d| Ok(d.documents_between(after, upto))).await
    }

    async fn keys(&self, keys: &[InputKey]) -> Result<Vec<KeyRow>> {
        check_page("keys", keys.len())?;
        self.call(Call::Read, |d| Ok(keys.iter().filter_map(|k| d.keys.get(k)).cloned().collect())).await
    }

    fn request_hash(&self, body: &[u8]) -> [u8; 32] {
        self.disk.lock().request_hash(body)
    }

    async fn expire_keys(&self, before_ms: i64) -> Result<usize> {
        self.call(Call::Write, |d| {
            let held = d.keys.len();
            d.keys.retain(|_, k| k.at_ms >= before_ms);
            Ok(held - d.keys.len())
        })
        .await
    }

    async fn renew(&self) -> Result<Head> {
        self.call(Call::Write, |d| Ok(d.renew())).await
    }

    async fn ping(&self) -> Result<()> {
        self.head().await.map(drop)
    }

    fn backend(&self) -> &'static str {
        "memory"
    }
}

#[async_trait]
impl Vault for MemoryStore {
    async fn open(&self, ids: &[u64]) -> Result<Vec<(u64, Opened)>> {
        check_page("ids", ids.len())?;
        self.call(Call::Read, |d| Ok(d.open(ids))).await
    }

    async fn erasures(&self) -> Result<Vec<(String, u64)>> {
        self.call(Call::Read, |d| Ok(d.erased.clone())).await
    }

    fn journal_fault(&self) -> Option<&'static str> {
        None
    }

    async fn write_journal(&self) -> Result<()> {
        Ok(())
    }

    async fn forget_destroyed(&self) -> Result<bool> {
        Ok(true)
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put_blob(&self, _: NewBlob, _: &mut (dyn AsyncRead + Send + Unpin)) -> Result<BlobInfo> {
        Err(LedgerError::ReadOnly("files are not kept in memory".into()))
    }

    async fn get_blob(&self, _: &BlobId) -> Result<FoundBlob> {
        Ok(FoundBlob::Missing)
    }

    async fn sweep_blobs(&self, _: i64) -> Result<usize> {
        Ok(0)
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn outbox_due(&self, kinds: &[&str], now_ms: i64, limit: usize) -> Result<Vec<StoredOutbox>> {
        self.call(Call::Read, |d| {
            let far = now_ms.saturating_add(limits::PUT_OFF_MS);
            let due =
                |o: &&StoredOutbox| (o.row.due_ms <= now_ms || o.row.due_ms > far) && kinds.contains(&&*o.row.kind);
            let mut due: Vec<_> = d.outbox.values().filter(due).cloned().collect();
            due.sort_by_key(|o| o.row.due_ms);
            due.truncate(limit.min(limits::PAGE));
            Ok(due)
        })
        .await
    }

    async fn outbox_retry(&self, id: u64, due_ms: i64, attempts: u32, last_error: &str) -> Result<bool> {
        let last_error = Some(crate::rows::error_text(last_error));
        self.call(Call::Write, |d| {
            let Some(row) = d.outbox.get_mut(&id) else { return Ok(false) };
            (row.row.due_ms, row.attempts, row.last_error) = (due_ms, attempts, last_error);
            Ok(true)
        })
        .await
    }

    async fn outbox_waiting(&self) -> Result<u64> {
        self.call(Call::Read, |d| Ok(d.outbox.len() as u64)).await
    }

    async fn outbox_by_target(&self) -> Result<Vec<(String, u64)>> {
        self.call(Call::Read, |d| {
            let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
            d.outbox.values().for_each(|o| *waiting.entry(o.row.target.clone()).or_default() += 1);
            Ok(waiting.into_iter().collect())
        })
        .await
    }

    async fn outbox_next_due(&self) -> Result<Option<i64>> {
        self.call(Call::Read, |d| Ok(d.outbox.values().map(|o| o.row.due_ms).min())).await
    }
}

#[async_trait]
impl Accounts for MemoryStore {
    async fn put_credential(&self, credential: &Credential) -> Result<()> {
        credential.check()?;
        self.call(Call::Write, |d| {
            d.credentials.insert(credential.account.clone(), credential.clone());
            Ok(())
        })
        .await
    }

    async fn credential(&self, account: &str) -> Result<Option<Credential>> {
        self.call(Call::Read, |d| Ok(d.credentials.get(account).cloned())).await
    }

    async fn remove_credential(&self, account: &str) -> Result<bool> {
        self.call(Call::Write, |d| {
            d.sessions.retain(|_, s| s.account != account);
            Ok(d.credentials.remove(account).is_some())
        })
        .await
    }

    async fn add_failure(&self, account: &str) -> Result<u32> {
        self.call(Call::Write, |d| {
            let Some(credential) = d.credentials.get_mut(account) else { return Ok(0) };
            credential.failed += 1;
            Ok(credential.failed)
        })
        .await
    }

    async fn lock_account(&self, account: &str, until_ms: i64) -> Result<()> {
        self.call(Call::Write, |d| {
            d.credentials.entry(account.to_owned()).and_modify(|c| c.locked_until_ms = until_ms);
            Ok(())
        })
        .await
    }

    async fn clear_failures(&self, account: &str) -> Result<()> {
        self.call(Call::Write, |d| {
            d.credentials.entry(account.to_owned()).and_modify(|c| (c.failed, c.locked_until_ms) = (0, 0));
            Ok(())
        })
        .await
    }

    async fn put_session(&self, session: &Session) -> Result<()> {
        self.call(Call::Write, |d| {
            d.put_session(session);
            Ok(())
        })
        .await
    }

    async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>> {
        self.call(Call::Read, |d| Ok(d.sessions.get(token_hash).cloned())).await
    }

    async fn touch_session(&self, token_hash: &[u8; 32], last_seen_ms: i64) -> Result<()> {
        self.call(Call::Write, |d| {
            let touch = |s: &mut Session| s.last_seen_ms = s.last_seen_ms.max(last_seen_ms);
            d.sessions.entry(*token_hash).and_modify(touch);
            Ok(())
        })
        .await
    }

    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<bool> {
        self.call(Call::Write, |d| Ok(d.sessions.remove(token_hash).is_some())).await
    }

    async fn end_sessions(&self, account: &str, keep: Option<&[u8; 32]>) -> Result<usize> {
        self.call(Call::Write, |d| {
            let held = d.sessions.len();
            d.sessions.retain(|hash, s| s.account != account || Some(hash) == keep);
            Ok(held - d.sessions.len())
        })
        .await
    }

    async fn expire_sessions(&self, now_ms: i64) -> Result<usize> {
        self.call(Call::Write, |d| {
            let held = d.sessions.len();
            d.sessions.retain(|_, s| s.expires_ms > now_ms);
            Ok(held - d.sessions.len())
        })
        .await
    }
}
