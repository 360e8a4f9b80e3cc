//! Rows of blobs. Order of a put: the key is on disk, then the file, then the row; so a row always has its file and
//! its key, and a crash leaves at most a file without a row, which the sweep removes.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};
use tokio::io::AsyncRead;

use super::{
    SqliteStore,
    db::{CHUNK, db_error, get, get_u64},
};
use crate::{
    BlobId, BlobInfo, Blobs, FoundBlob, LedgerError, NewBlob, Result,
    blob::{BlobRows, blob_id, sweep},
    limits,
    model::name,
    rows::{int, page},
};

#[async_trait]
impl Blobs for SqliteStore {
    async fn put_blob(&self, blob: NewBlob, source: &mut (dyn AsyncRead + Send + Unpin)) -> Result<BlobInfo> {
        name("blob subject", &blob.subject)?;
        name("content type", &blob.content_type)?;
        let mut tx = self.db.write().await?;
        let (key_id, key) = self.subject_key(&mut tx, &blob.subject).await?;
        tx.commit().await.map_err(db_error)?;
        let id = BlobId::random();
        let len = self.files.write(&id, &key, blob.max_bytes, source).await?;
        let NewBlob { subject, content_type, at_ms, .. } = blob;
        let info = BlobInfo { id, subject, content_type, len, at_ms };
        if let Err(error) = self.insert_blob(&info, key_id).await {
            self.files.remove(&info.id).await?;
            return Err(error);
        }
        Ok(info)
    }

    async fn get_blob(&self, id: &BlobId) -> Result<FoundBlob> {
        let row = sqlx::query(
            "SELECT b.subject, b.content_type, b.len, b.at_ms, k.wrapped FROM blobs b \
             LEFT JOIN subject_keys k ON k.key_id = b.key_id WHERE b.id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.db.reader)
        .await
        .map_err(db_error)?;
        let Some(row) = row else { return Ok(FoundBlob::Missing) };
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

impl SqliteStore {
    async fn insert_blob(&self, info: &BlobInfo, key_id: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        // The subject may have been erased while the file was written; then the blob is gone before it existed.
        let done = sqlx::query(
            "INSERT INTO blobs (id, subject, key_id, content_type, len, at_ms) \
             SELECT ?, ?, key_id, ?, ?, ? FROM subject_keys WHERE key_id = ?",
        )
        .bind(info.id.as_str())
        .bind(&info.subject)
        .bind(&info.content_type)
        .bind(int(info.len))
        .bind(info.at_ms)
        .bind(key_id)
        .execute(&mut *tx)
        .await
        .map_err(db_error)?;
        if done.rows_affected() == 0 {
            return Err(LedgerError::invalid("blob subject", "was erased meanwhile"));
        }
        tx.commit().await.map_err(db_error)
    }
}

#[async_trait]
impl BlobRows for SqliteStore {
    async fn take_orphans(&self, before_ms: i64) -> Result<Vec<BlobId>> {
        let mut tx = self.db.write().await?;
        let rows = sqlx::query(
            "DELETE FROM blobs WHERE id IN (SELECT id FROM blobs WHERE used_seq IS NULL AND at_ms < ? \
             ORDER BY at_ms LIMIT ?) RETURNING id",
        )
        .bind(before_ms)
        .bind(page(limits::SWEEP, limits::SWEEP))
        .fetch_all(&mut *tx)
        .await
        .map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        rows.iter().map(|row| blob_id(get(row, 0)?)).collect()
    }

    async fn erased_blobs(&self) -> Result<Vec<BlobId>> {
        let rows = sqlx::query(
            "SELECT b.id FROM blobs b LEFT JOIN subject_keys k ON k.key_id = b.key_id WHERE k.key_id IS NULL",
        )
        .fetch_all(&self.db.reader)
        .await
        .map_err(db_error)?;
        rows.iter().map(|row| blob_id(get(row, 0)?)).collect()
    }

    async fn without_row(&self, mut ids: Vec<BlobId>) -> Result<Vec<BlobId>> {
        for chunk in ids.clone().chunks(CHUNK) {
            let mut sql = QueryBuilder::<Sqlite>::new("SELECT id FROM blobs WHERE id IN (");
            let mut list = sql.separated(", ");
            for id in chunk {
                list.push_bind(id.as_str());
            }
            let rows = sql.push(")").build().fetch_all(&self.db.reader).await.map_err(db_error)?;
            let known = rows.iter().map(|row| blob_id(get(row, 0)?)).collect::<Result<Vec<_>>>()?;
            ids.retain(|id| !known.contains(id));
        }
        Ok(ids)
    }
}
