//! Rows of blobs. Order of a put: the key is on disk, then the file, then the row; so a row always has its file and
//! its key, and a crash leaves at most a file without a row, which the sweep removes.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tokio::io::AsyncRead;

use super::{
    PostgresStore,
    db::{get, get_u64},
};
use crate::{
    BlobId, BlobInfo, Blobs, FoundBlob, LedgerError, NewBlob, Result,
    blob::{BlobRows, blob_id, sweep},
    limits,
    model::name,
    rows::{int, page},
};

#[async_trait]
impl Blobs for PostgresStore {
    async fn put_blob(&self, blob: NewBlob, source: &mut (dyn AsyncRead + Send + Unpin)) -> Result<BlobInfo> {
        name("blob subject", &blob.subject)?;
        name("content type", &blob.content_type)?;
        let mut tx = self.db.write().await?;
        let keys = self.subject_keys(&mut tx, [&*blob.subject].into()).await?;
        tx.commit().await?;
        let (key_id, key) = keys.into_values().next().ok_or_else(|| LedgerError::corrupt("a subject without a key"))?;
        let id = BlobId::random();
        let len = self.files.write(&id, &key, blob.max_bytes, source).await?;
        let NewBlob { subject, content_type, at_ms, .. } = blob;
        let info = BlobInfo { id, subject, content_type, len, at_ms };
        match self.insert_blob(&info, key_id).await {
            Ok(()) => Ok(info),
            // The row may be there: the sweep removes both as an orphan.
            Err(error @ LedgerError::Io(_)) => Err(error),
            Err(error) => {
                self.files.remove(&info.id).await?;
                Err(error)
            }
        }
    }

    async fn get_blob(&self, id: &BlobId) -> Result<FoundBlob> {
        let sql = sqlx::query(
            "SELECT b.subject, b.content_type, b.len, b.at_ms, k.wrapped FROM blobs b \
             LEFT JOIN subject_keys k ON k.key_id = b.key_id WHERE b.id = $1",
        );
        let Some(row) = self.db.optional(sql.bind(id.as_str())).await? else { return Ok(FoundBlob::Missing) };
        let info = BlobInfo {
            id: id.clone(),
            subject: get(&row, 0)?,
            content_type: get(&row, 1)?,
            len: get_u64(&row, 2)?,
            at_ms: get(&row, 3)?,
        };
        let Some(wrapped) = get::<Option<&[u8]>>(&row, 4)? else { return Ok(FoundBlob::Erased) };
        let key = self.sealer.subject_key(&info.subject, wrapped)?;
        self.files.read(info, &key).await.map(|reader| FoundBlob::Blob(Box::new(reader)))
    }

    async fn sweep_blobs(&self, before_ms: i64) -> Result<usize> {
        sweep(self, &self.files, before_ms).await
    }
}

impl PostgresStore {
    async fn insert_blob(&self, info: &BlobInfo, key_id: i64) -> Result<()> {
        // The subject may have been erased while the file was written; then the blob is gone before it existed.
        let sql = sqlx::query(
            "INSERT INTO blobs (id, subject, key_id, content_type, len, at_ms) \
             SELECT $1, $2, key_id, $3, $4, $5 FROM subject_keys WHERE key_id = $6 FOR KEY SHARE",
        );
        let sql = sql.bind(info.id.as_str()).bind(&*info.subject).bind(&*info.content_type);
        match self.db.change(sql.bind(int(info.len)).bind(info.at_ms).bind(key_id)).await? {
            0 => Err(LedgerError::invalid("blob subject", "was erased meanwhile")),
            _ => Ok(()),
        }
    }
}

fn id(row: &PgRow) -> Result<BlobId> {
    blob_id(get(row, 0)?)
}

#[async_trait]
impl BlobRows for PostgresStore {
    async fn take_orphans(&self, before_ms: i64) -> Result<Vec<BlobId>> {
        let mut tx = self.db.write().await?;
        let sql = sqlx::query(
            "DELETE FROM blobs WHERE id IN (SELECT id FROM blobs WHERE used_seq IS NULL AND at_ms < $1 \
             ORDER BY at_ms LIMIT $2 FOR UPDATE) RETURNING id",
        );
        let sql = sql.bind(before_ms).bind(page(limits::SWEEP, limits::SWEEP));
        let orphans = tx.collect(sql, id, limits::SWEEP).await?;
        tx.commit().await?;
        Ok(orphans)
    }

    async fn erased_blobs(&self) -> Result<Vec<BlobId>> {
        let sql = "SELECT b.id FROM blobs b LEFT JOIN subject_keys k ON k.key_id = b.key_id WHERE k.key_id IS NULL";
        self.db.collect(sqlx::query(sql), id, usize::MAX).await
    }

    async fn without_row(&self, mut ids: Vec<BlobId>) -> Result<Vec<BlobId>> {
        let names: Vec<_> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let sql = sqlx::query("SELECT id FROM blobs WHERE id = ANY($1)").bind(names);
        let known = self.db.collect(sql, id, ids.len()).await?;
        let known: std::collections::HashSet<_> = known.into_iter().collect();
        ids.retain(|id| !known.contains(id));
        Ok(ids)
    }
}
