//! Sealed values: one key a subject, wrapped by the master key. To erase is to destroy the key.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{
    SqliteStore,
    db::{CHUNK, conflict, db_error, get, get_u64, int},
};
use crate::{LedgerError, Opened, Result, Secret, Vault, VaultRow, limits, seal::Key};

/// What binds a wrapped key to its subject.
fn key_place(subject: &str) -> String {
    format!("subject-key\n{subject}")
}

/// What binds a sealed value to its row.
fn value_place(id: u64, subject: &str, form: &str) -> Vec<u8> {
    format!("vault\n{id}\n{form}\n{subject}").into_bytes()
}

impl SqliteStore {
    /// The key of a subject, made when it has none; part of the caller's transaction.
    pub(super) async fn subject_key(&self, tx: &mut SqliteConnection, subject: &str) -> Result<(i64, Key)> {
        let found = sqlx::query("SELECT key_id, wrapped FROM subject_keys WHERE subject = ?")
            .bind(subject)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db_error)?;
        if let Some(row) = found {
            return Ok((get(&row, 0)?, self.unwrap_key(subject, get(&row, 1)?)?));
        }
        let key = Key::random();
        let row = sqlx::query("INSERT INTO subject_keys (subject, wrapped) VALUES (?, ?) RETURNING key_id")
            .bind(subject)
            .bind(self.master.wrap(&key, &key_place(subject))?)
            .fetch_one(&mut *tx)
            .await
            .map_err(db_error)?;
        Ok((get(&row, 0)?, key))
    }

    pub(super) fn unwrap_key(&self, subject: &str, wrapped: &[u8]) -> Result<Key> {
        let key = self.master.unwrap(wrapped, &key_place(subject));
        key.ok_or_else(|| LedgerError::corrupt("the key of a subject"))
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
                .map(|(row, (key_id, key))| {
                    let seal =
                        |form, value: &Secret| key.seal(value.expose(), &value_place(row.id, &row.subject, form));
                    Ok((row, *key_id, seal("full", &row.full)?, seal("masked", &row.masked)?))
                })
                .collect::<Result<Vec<_>>>()?;
            let mut sql = QueryBuilder::new("INSERT INTO vault (id, subject, key_id, full, masked) ");
            sql.push_values(sealed, |mut b, (row, key_id, full, masked)| {
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
}

impl SqliteStore {
    fn open_row(&self, row: &sqlx::sqlite::SqliteRow) -> Result<Opened> {
        let (id, subject): (u64, &str) = (get_u64(row, 0)?, get(row, 1)?);
        let Some(wrapped) = row.try_get::<Option<&[u8]>, _>(4).map_err(db_error)? else {
            return Ok(Opened::Erased);
        };
        let key = self.unwrap_key(subject, wrapped)?;
        let open = |form, sealed: &[u8]| {
            let plain = key.open(sealed, &value_place(id, subject, form));
            plain.map(Secret::from).ok_or_else(|| LedgerError::corrupt("a sealed value"))
        };
        Ok(Opened::Value { full: open("full", get(row, 2)?)?, masked: open("masked", get(row, 3)?)? })
    }
}
