//! Rows beside the log: the outbox and the secrets of accounts.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, sqlite::SqliteRow};

use super::{
    SqliteStore,
    db::{db_error, get, get_u64},
};
use crate::{
    Accounts, Credential, Outbox, OutboxRow, Result, Session, StoredOutbox, limits,
    model::name,
    rows::{changed, error_text, int, page},
};

#[async_trait]
impl Outbox for SqliteStore {
    async fn outbox_due(&self, kinds: &[&str], now_ms: i64, limit: usize) -> Result<Vec<StoredOutbox>> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT id, seq, attempts, last_error, kind, target, payload, due_ms FROM outbox WHERE (due_ms <= ",
        );
        sql.push_bind(now_ms).push(" OR due_ms > ").push_bind(now_ms.saturating_add(limits::PUT_OFF_MS));
        sql.push(") AND kind IN (");
        let mut list = sql.separated(", ");
        for kind in kinds {
            list.push_bind(*kind);
        }
        sql.push(") ORDER BY due_ms, id LIMIT ").push_bind(page(limit, limits::PAGE));
        self.collect(sql, outbox_row, limits::PAGE).await
    }

    async fn outbox_retry(&self, id: u64, due_ms: i64, attempts: u32, last_error: &str) -> Result<bool> {
        let sql = sqlx::query("UPDATE outbox SET due_ms = ?, attempts = ?, last_error = ? WHERE id = ?");
        Ok(self.change(sql.bind(due_ms).bind(attempts).bind(error_text(last_error)).bind(int(id))).await? > 0)
    }

    async fn outbox_waiting(&self) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) FROM outbox").fetch_one(&self.db.reader).await.map_err(db_error)?;
        get_u64(&row, 0)
    }

    async fn outbox_by_target(&self) -> Result<Vec<(String, u64)>> {
        // Receivers are units, cameras and the message gateway, so the page is never full in practice.
        let mut sql =
            QueryBuilder::<Sqlite>::new("SELECT target, count(*) FROM outbox GROUP BY target ORDER BY target LIMIT ");
        sql.push_bind(page(limits::PAGE, limits::PAGE));
        self.collect(sql, |row| Ok((get(row, 0)?, get_u64(row, 1)?)), limits::PAGE).await
    }

    async fn outbox_next_due(&self) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT min(due_ms) FROM outbox").fetch_one(&self.db.reader).await.map_err(db_error)?;
        get(&row, 0)
    }
}

fn outbox_row(row: &SqliteRow) -> Result<StoredOutbox> {
    Ok(StoredOutbox {
        id: get_u64(row, 0)?,
        seq: get_u64(row, 1)?,
        attempts: get(row, 2)?,
        last_error: get(row, 3)?,
        row: OutboxRow {
            kind: get(row, 4)?,
            target: get(row, 5)?,
            payload: get::<Vec<u8>>(row, 6)?.into(),
            due_ms: get(row, 7)?,
        },
    })
}

type Statement<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

impl SqliteStore {
    /// Runs one statement in a transaction of its own; rows changed.
    async fn change(&self, statement: Statement<'_>) -> Result<usize> {
        let mut tx = self.db.write().await?;
        let done = statement.execute(&mut *tx).await.map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(changed(done.rows_affected()))
    }
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn put_credential(&self, credential: &Credential) -> Result<()> {
        let c = credential;
        c.check()?;
        let totp = self.sealer.seal_totp(c)?;
        let sql = sqlx::query(
            "INSERT INTO credentials (account, password_hash, failed, locked_until_ms, totp) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (account) DO UPDATE SET password_hash = excluded.password_hash, failed = excluded.failed, \
             locked_until_ms = excluded.locked_until_ms, totp = excluded.totp",
        );
        let sql = sql.bind(&c.account).bind(&c.password_hash).bind(c.failed).bind(c.locked_until_ms).bind(totp);
        self.change(sql).await.map(drop)
    }

    async fn credential(&self, account: &str) -> Result<Option<Credential>> {
        let row = sqlx::query("SELECT password_hash, failed, locked_until_ms, totp FROM credentials WHERE account = ?")
            .bind(account)
            .fetch_optional(&self.db.reader)
            .await
            .map_err(db_error)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Credential {
            account: account.to_owned(),
            password_hash: get(&row, 0)?,
            failed: get(&row, 1)?,
            locked_until_ms: get(&row, 2)?,
            totp: self.sealer.open_totp(account, get(&row, 3)?)?,
        }))
    }

    async fn remove_credential(&self, account: &str) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let done = sqlx::query("DELETE FROM credentials WHERE account = ?")
            .bind(account)
            .execute(&mut *tx)
            .await
            .map_err(db_error)?;
        let sessions = sqlx::query("DELETE FROM sessions WHERE account = ?");
        sessions.bind(account).execute(&mut *tx).await.map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(done.rows_affected() > 0)
    }

    async fn add_failure(&self, account: &str) -> Result<u32> {
        let mut tx = self.db.write().await?;
        let row = sqlx::query("UPDATE credentials SET failed = failed + 1 WHERE account = ? RETURNING failed")
            .bind(account)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        row.map_or(Ok(0), |row| get(&row, 0))
    }

    async fn lock_account(&self, account: &str, until_ms: i64) -> Result<()> {
        let sql = sqlx::query("UPDATE credentials SET locked_until_ms = ? WHERE account = ?");
        self.change(sql.bind(until_ms).bind(account)).await.map(drop)
    }

    async fn clear_failures(&self, account: &str) -> Result<()> {
        let sql = sqlx::query("UPDATE credentials SET failed = 0, locked_until_ms = 0 WHERE account = ?");
        self.change(sql.bind(account)).await.map(drop)
    }

    async fn put_session(&self, session: &Session) -> Result<()> {
        name("account", &session.account)?;
        let mut tx = self.db.write().await?;
        sqlx::query(
            "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions WHERE account = ? \
             ORDER BY last_seen_ms DESC LIMIT -1 OFFSET ?)",
        )
        .bind(&session.account)
        .bind(page(limits::SESSIONS - 1, limits::PAGE))
        .execute(&mut *tx)
        .await
        .map_err(db_error)?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, account, created_ms, last_seen_ms, expires_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(session.token_hash.as_slice())
        .bind(&session.account)
        .bind(session.created_ms)
        .bind(session.last_seen_ms)
        .bind(session.expires_ms)
        .execute(&mut *tx)
        .await
        .map_err(super::db::conflict("a session"))?;
        tx.commit().await.map_err(db_error)
    }

    async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>> {
        let row =
            sqlx::query("SELECT account, created_ms, last_seen_ms, expires_ms FROM sessions WHERE token_hash = ?")
                .bind(token_hash.as_slice())
                .fetch_optional(&self.db.reader)
                .await
                .map_err(db_error)?;
        let session = |row: SqliteRow| {
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
        let sql = sqlx::query("UPDATE sessions SET last_seen_ms = max(last_seen_ms, ?) WHERE token_hash = ?");
        self.change(sql.bind(last_seen_ms).bind(token_hash.as_slice())).await.map(drop)
    }

    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<bool> {
        let sql = sqlx::query("DELETE FROM sessions WHERE token_hash = ?");
        Ok(self.change(sql.bind(token_hash.as_slice())).await? > 0)
    }

    async fn end_sessions(&self, account: &str, keep: Option<&[u8; 32]>) -> Result<usize> {
        let sql = sqlx::query("DELETE FROM sessions WHERE account = ? AND token_hash IS NOT ?");
        self.change(sql.bind(account).bind(keep.map(<[u8; 32]>::as_slice))).await
    }

    async fn expire_sessions(&self, now_ms: i64) -> Result<usize> {
        self.sweep(
            "DELETE FROM sessions WHERE token_hash IN \
             (SELECT token_hash FROM sessions WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)",
            now_ms,
        )
        .await
    }
}
