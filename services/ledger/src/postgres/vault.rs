//! Sealed values: one key a subject, wrapped by the master key. To erase is to destroy the key.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::{
    PostgresStore,
    append::column,
    db::{conflict, get, get_u64},
    slots::Lease,
};
use crate::{
    LedgerError, Opened, Result, Vault, VaultRow, limits,
    rows::int,
    seal::Key,
    sealer::{open_value, seal_value},
};

impl PostgresStore {
    /// The keys of subjects, made for those that have none; part of the caller's transaction. Another process may make
    /// one at the same moment: the one that is stored counts.
    pub(super) async fn subject_keys<'s>(
        &self,
        tx: &mut Lease,
        subjects: BTreeSet<&'s str>,
    ) -> Result<HashMap<String, (i64, Key)>> {
        let asked = subjects.len();
        let subjects: Vec<&'s str> = subjects.into_iter().collect();
        let mut keys = self.stored_keys(tx, &subjects).await?;
        if keys.len() == asked {
            return Ok(keys);
        }
        let new: Vec<_> = subjects.iter().copied().filter(|s| !keys.contains_key(*s)).collect();
        let wrapped = new.iter().map(|s| Ok(self.sealer.new_subject_key(s)?.1)).collect::<Result<Vec<_>>>()?;
        let sql = "INSERT INTO subject_keys (subject, wrapped) SELECT * FROM unnest($1::text[], $2::bytea[]) \
                   ON CONFLICT DO NOTHING";
        tx.execute(sqlx::query(sql).bind(new.clone()).bind(wrapped)).await?;
        keys.extend(self.stored_keys(tx, &new).await?);
        if keys.len() != asked {
            return Err(LedgerError::corrupt("a subject without a key"));
        }
        Ok(keys)
    }

    async fn stored_keys(&self, tx: &mut Lease, subjects: &[&str]) -> Result<HashMap<String, (i64, Key)>> {
        // Shared with others, but not with an erasure, until the transaction ends.
        let sql =
            sqlx::query("SELECT subject, key_id, wrapped FROM subject_keys WHERE subject = ANY($1) FOR KEY SHARE");
        let row = |row: &PgRow| Ok((get::<String>(row, 0)?, get::<i64>(row, 1)?, get::<Vec<u8>>(row, 2)?));
        let found = tx.collect(sql.bind(subjects.to_vec()), row, subjects.len()).await?;
        let keys = found.into_iter().map(|(subject, id, wrapped)| {
            let key = self.sealer.subject_key(&subject, &wrapped)?;
            Ok((subject, (id, key)))
        });
        keys.collect()
    }

    pub(super) async fn insert_vault(&self, tx: &mut Lease, rows: &[VaultRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let keys = self.subject_keys(tx, rows.iter().map(|r| &*r.subject).collect()).await?;
        let sealed = rows
            .iter()
            .filter_map(|row| Some((row, keys.get(&*row.subject)?)))
            .map(|(row, (key_id, key))| Ok((row, *key_id, seal_value(key, row)?)))
            .collect::<Result<Vec<_>>>()?;
        let sql = sqlx::query(
            "INSERT INTO vault (id, subject, key_id, \"full\", masked) \
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[])",
        )
        .bind(column!(sealed, |s| int(s.0.id)))
        .bind(column!(sealed, |s| &*s.0.subject))
        .bind(column!(sealed, |s| s.1))
        .bind(column!(sealed, |s| s.2.0.as_slice()))
        .bind(column!(sealed, |s| s.2.1.as_slice()));
        tx.execute(sql).await.map(drop).map_err(conflict("a vault id"))
    }

    fn open_row(&self, (id, subject, full, masked, wrapped): &Sealed) -> Result<Opened> {
        let Some(wrapped) = wrapped else { return Ok(Opened::Erased) };
        let key = self.sealer.subject_key(subject, wrapped)?;
        open_value(&key, *id, subject, full, masked)
    }
}

type Sealed = (u64, String, Vec<u8>, Vec<u8>, Option<Vec<u8>>);

#[async_trait]
impl Vault for PostgresStore {
    async fn open(&self, ids: &[u64]) -> Result<Vec<(u64, Opened)>> {
        if ids.len() > limits::PAGE {
            return Err(LedgerError::invalid("vault ids", format!("more than {}", limits::PAGE)));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = sqlx::query(
            "SELECT v.id, v.subject, v.\"full\", v.masked, k.wrapped FROM vault v \
             LEFT JOIN subject_keys k ON k.key_id = v.key_id WHERE v.id = ANY($1)",
        );
        let row = |row: &PgRow| Ok((get_u64(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?, get(row, 4)?));
        let rows = self.db.collect(sql.bind(column!(ids, |id| int(*id))), row, limits::PAGE).await?;
        let found = rows.iter().map(|row| Ok((row.0, self.open_row(row)?))).collect::<Result<HashMap<_, _>>>()?;
        Ok(ids.iter().map(|id| (*id, found.get(id).cloned().unwrap_or(Opened::Missing))).collect())
    }

    async fn erasures(&self) -> Result<Vec<(String, u64)>> {
        let sql = sqlx::query("SELECT subject, seq FROM erasures ORDER BY seq, subject");
        self.db.collect(sql, |row| Ok((get(row, 0)?, get_u64(row, 1)?)), usize::MAX).await
    }

    fn journal_fault(&self) -> Option<&'static str> {
        self.journal.fault()
    }

    async fn write_journal(&self) -> Result<()> {
        self.note_erasures().await
    }

    async fn forget_destroyed(&self) -> Result<bool> {
        self.forget_old_rows().await
    }
}
