//! Rows beside the log: the outbox and the secrets of accounts.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::{
    PostgresStore,
    db::{conflict, get, get_small, get_u64},
};
use crate::{
    Accounts, Credential, Outbox, OutboxRow, Result, Session, StoredOutbox, limits,
    model::name,
    rows::{changed, error_text, int, page},
};

#[async_trait]
impl Outbox for PostgresStore {
    async fn outbox_due(&self, kinds: &[&str], now_ms: i64, limit: usize) -> Result<Vec<StoredOutbox>> {
        let sql = sqlx::query(
            "SELECT id, seq, attempts, last_error, kind, target, payload, due_ms FROM outbox \
             WHERE (due_ms <= $1 OR due_ms > $4) AND kind = ANY($2) ORDER BY due_ms, id LIMIT $3",
        );
        let sql = sql.bind(now_ms).bind(kinds.to_vec()).bind(page(limit, limits::PAGE));
        let sql = sql.bind(now_ms.saturating_add(limits::PUT_OFF_MS));
        self.db.collect(sql, outbox_row, limits::PAGE).await
    }

    async fn outbox_retry(&self, id: u64, due_ms: i64, attempts: u32, last_error: &str) -> Result<bool> {
        let sql = sqlx::query("UPDATE outbox SET due_ms = $1, attempts = $2, last_error = $3 WHERE id = $4");
        Ok(self
            .db
            .change(sql.bind(due_ms).bind(i64::from(attempts)).bind(error_text(last_error)).bind(int(id)))
            .await?
            > 0)
    }

    async fn outbox_waiting(&self) -> Result<u64> {
        get_u64(&self.db.one(sqlx::query("SELECT count(*) FROM outbox")).await?, 0)
    }

    async fn outbox_by_target(&self) -> Result<Vec<(String, u64)>> {
        // Receivers are units, cameras and the message gateway, so the page is never full in practice.
        let sql = sqlx::query("SELECT target, count(*) FROM outbox GROUP BY target ORDER BY target LIMIT $1");
        let sql = sql.bind(page(limits::PAGE, limits::PAGE));
        self.db.collect(sql, |row| Ok((get(row, 0)?, get_u64(row, 1)?)), limits::PAGE).await
    }

    async fn outbox_next_due(&self) -> Result<Option<i64>> {
        get(&self.db.one(sqlx::query("SELECT min(due_ms) FROM outbox")).await?, 0)
    }
}

fn outbox_row(row: &PgRow) -> Result<StoredOutbox> {
    Ok(StoredOutbox {
        id: get_u64(row, 0)?,
        seq: get_u64(row, 1)?,
        attempts: get_small::<i64, _>(row, 2)?,
        last_error: get(row, 3)?,
        row: OutboxRow {
            kind: get(row, 4)?,
            target: get(row, 5)?,
            payload: get::<Vec<u8>>(row, 6)?.into(),
            due_ms: get(row, 7)?,
        },
    })
}

/// An account that cannot be stored has neither secrets nor sessions.
fn unknown(account: &str) -> bool {
    account.contains('\0')
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn put_credential(&self, c: &Credential) -> Result<()> {
        c.check()?;
        let sql = sqlx::query(
            "INSERT INTO credentials (account, password_hash, failed, locked_until_ms, totp) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (account) DO UPDATE SET password_hash = excluded.password_hash, failed = excluded.failed, \
             locked_until_ms = excluded.locked_until_ms, totp = excluded.totp",
        );
        let sql = sql.bind(&*c.account).bind(&*c.password_hash).bind(i64::from(c.failed)).bind(c.locked_until_ms);
        self.db.change(sql.bind(self.sealer.seal_totp(c)?)).await.map(drop)
    }

    async fn credential(&self, account: &str) -> Result<Option<Credential>> {
        let sql =
            sqlx::query("SELECT password_hash, failed, locked_until_ms, totp FROM credentials WHERE account = $1");
        let Some(row) = self.db.optional(sql.bind(account)).await? else { return Ok(None) };
        Ok(Some(Credential {
            account: account.to_owned(),
            password_hash: get(&row, 0)?,
            failed: get_small::<i64, _>(&row, 1)?,
            locked_until_ms: get(&row, 2)?,
            totp: self.sealer.open_totp(account, get(&row, 3)?)?,
        }))
    }

    async fn remove_credential(&self, account: &str) -> Result<bool> {
        if unknown(account) {
            return Ok(false);
        }
        let mut tx = self.db.write().await?;
        let done = tx.execute(sqlx::query("DELETE FROM credentials WHERE account = $1").bind(account)).await?;
        tx.execute(sqlx::query("DELETE FROM sessions WHERE account = $1").bind(account)).await?;
        tx.commit().await?;
        Ok(done > 0)
    }

    async fn add_failure(&self, account: &str) -> Result<u32> {
        if unknown(account) {
            return Ok(0);
        }
        let mut tx = self.db.write().await?;
        let sql = sqlx::query("UPDATE credentials SET failed = failed + 1 WHERE account = $1 RETURNING failed");
        let row = tx.optional(sql.bind(account)).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| get_small::<i64, _>(&row, 0))
    }

    async fn lock_account(&self, account: &str, until_ms: i64) -> Result<()> {
        if unknown(account) {
            return Ok(());
        }
        let sql = sqlx::query("UPDATE credentials SET locked_until_ms = $1 WHERE account = $2");
        self.db.change(sql.bind(until_ms).bind(account)).await.map(drop)
    }

    async fn clear_failures(&self, account: &str) -> Result<()> {
        if unknown(account) {
            return Ok(());
        }
        let sql = sqlx::query("UPDATE credentials SET failed = 0, locked_until_ms = 0 WHERE account = $1");
        self.db.change(sql.bind(account)).await.map(drop)
    }

    async fn put_session(&self, session: &Session) -> Result<()> {
        name("account", &session.account)?;
        let mut tx = self.db.write().await?;
        let sql = sqlx::query(
            "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions WHERE account = $1 \
             ORDER BY last_seen_ms DESC OFFSET $2)",
        );
        tx.execute(sql.bind(&*session.account).bind(page(limits::SESSIONS - 1, limits::PAGE))).await?;
        let sql = sqlx::query(
            "INSERT INTO sessions (token_hash, account, created_ms, last_seen_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        let sql = sql.bind(session.token_hash.as_slice()).bind(&*session.account).bind(session.created_ms);
        let sql = sql.bind(session.last_seen_ms).bind(session.expires_ms);
        tx.execute(sql).await.map_err(conflict("a session"))?;
        tx.commit().await
    }

    async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>> {
        let sql = "SELECT account, created_ms, last_seen_ms, expires_ms FROM sessions WHERE token_hash = $1";
        let row = self.db.optional(sqlx::query(sql).bind(token_hash.as_slice())).await?;
        let session = |row: PgRow| {
            Ok(Session {
                token_hash: *token_hash,
                account: get(&row, 0)?,
                created_ms: get(&row, 1)?,
                last_seen_ms: get(&row, 2)?,
                expires_ms: get(&row, 3)?,
            })
        };
        row.map(session).transpose()
    }

    async fn touch_session(&self, token_hash: &[u8; 32], last_seen_ms: i64) -> Result<()> {
        let sql = sqlx::query("UPDATE sessions SET last_seen_ms = greatest(last_seen_ms, $1) WHERE token_hash = $2");
        self.db.change(sql.bind(last_seen_ms).bind(token_hash.as_slice())).await.map(drop)
    }

    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<bool> {
        let sql = sqlx::query("DELETE FROM sessions WHERE token_hash = $1");
        Ok(self.db.change(sql.bind(token_hash.as_slice())).await? > 0)
    }

    async fn end_sessions(&self, account: &str, keep: Option<&[u8; 32]>) -> Result<usize> {
        if unknown(account) {
            return Ok(0);
        }
        let sql = sqlx::query("DELETE FROM sessions WHERE account = $1 AND token_hash IS DISTINCT FROM $2");
        self.db.change(sql.bind(account).bind(keep.map(<[u8; 32]>::as_slice))).await.map(changed)
    }

    async fn expire_sessions(&self, now_ms: i64) -> Result<usize> {
        let sql = sqlx::query(
            "DELETE FROM sessions WHERE token_hash IN \
             (SELECT token_hash FROM sessions WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)",
        );
        self.sweep(sql, now_ms).await
    }
}
