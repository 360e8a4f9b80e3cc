//! Sealed values: one key a subject, wrapped by the master key. To erase is to destroy the key.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{
    SqliteStore,
    db::{CHUNK, conflict, db_error, get, get_u64},
};
use crate::{
    LedgerError, Opened, Result, Vault, VaultRow, limits,
    rows::int,
    seal::Key,
    sealer::{open_value, seal_value},
};

impl SqliteStore {
    /// The key of a subject, made when it has none; part of the caller's transaction.
    pub(super) async fn subject_key(&self, tx: &mut SqliteConnection, subject: &str) -> Result<(i64, Key)> {
        let found = sqlx::query("SELECT key_id, wrapped FROM subject_keys WHERE subject = ?")
            .bind(subject)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db_error)?;
        if let Some(row) = found {
            return Ok((get(&row, 0)?, self.sealer.subject_key(subject, get(&row, 1)?)?));
        }
        let (key, wrapped) = self.sealer.new_subject_key(subject)?;
        let row = sqlx::query("INSERT INTO subject_keys (subject, wrapped) VALUES (?, ?) RETURNING key_id")
            .bind(subject)
            .bind(wrapped)
            .fetch_one(&mut *tx)
            .await
            .map_err(db_error)?;
        Ok((get(&row, 0)?, key))
    }

    pub(super) async fn insert_vault(&self, tx: &mut SqliteConnection, rows: &[VaultRow]) -> Result<()> {
        let mut keys: HashMap<&str, (i64, Key)> = HashMap::new();
        for row in rows {
            if !keys.contains_key(&*row.subject) {
                keys.insert(&row.subject, self.subject_key(&mut *tx, &row.subject).await?);
            }
        }
        for chunk in rows.chunks(CHUNK) {
            let sealed = chunk
                .iter()
                .filter_map(|row| Some((row, keys.get(&*row.subject)?)))
                .map(|(row, (key_id, key))| Ok((row, *key_id, seal_value(key, row)?)))
                .collect::<Result<Vec<_>>>()?;
            let mut sql = QueryBuilder::new("INSERT INTO vault (id, subject, key_id, full, masked) ");
            sql.push_values(sealed, |mut b, (row, key_id, (full, masked))| {
                b.push_bind(int(row.id)).push_bind(&*row.subject).push_bind(key_id).push_bind(full).push_bind(masked);
            });
            sql.build().execute(&mut *tx).await.map_err(conflict("a vault id"))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Vault for SqliteStore {
    async fn open(&self, ids: &[u64]) -> Result<Vec<(u64, Opened)>> {
        if ids.len() > limits::PAGE {
            return Err(LedgerError::invalid("vault ids", format!("more than {}", limits::PAGE)));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT v.id, v.subject, v.full, v.masked, k.wrapped FROM vault v \
             LEFT JOIN subject_keys k ON k.key_id = v.key_id WHERE v.id IN (",
        );
        let mut list = sql.separated(", ");
        for id in ids {
            list.push_bind(int(*id));
        }
        sql.push(")");
        let rows = sql.build().fetch_all(&self.db.reader).await.map_err(db_error)?;
        let mut found = HashMap::new();
        for row in &rows {
            found.insert(get_u64(row, 0)?, self.open_row(row)?);
        }
        Ok(ids.iter().map(|id| (*id, found.get(id).cloned().unwrap_or(Opened::Missing))).collect())
    }

    async fn erasures(&self) -> Result<Vec<(String, u64)>> {
        let rows = sqlx::query("SELECT subject, seq FROM erasures ORDER BY seq, subject")
            .fetch_all(&self.db.reader)
            .await
            .map_err(db_error)?;
        rows.iter().map(|row| Ok((get(row, 0)?, get_u64(row, 1)?))).collect()
    }

    fn journal_fault(&self) -> Option<&'static str> {
        self.journal.fault()
    }

    async fn write_journal(&self) -> Result<()> {
        self.note_erasures().await
    }

    async fn forget_destroyed(&self) -> Result<bool> {
        self.forget_old_pages().await
    }
}

impl SqliteStore {
    fn open_row(&self, row: &sqlx::sqlite::SqliteRow) -> Result<Opened> {
        let (id, subject): (u64, &str) = (get_u64(row, 0)?, get(row, 1)?);
        let Some(wrapped) = row.try_get::<Option<&[u8]>, _>(4).map_err(db_error)? else {
            return Ok(Opened::Erased);
        };
        let key = self.sealer.subject_key(subject, wrapped)?;
        open_value(&key, id, subject, get(row, 2)?, get(row, 3)?)
    }
}
