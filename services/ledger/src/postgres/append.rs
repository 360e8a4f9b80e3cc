//! The one write path of the log: a batch in one transaction, one statement a list whatever its length.

use runtime::telemetry::names;

use super::{LOCKED_HEAD, PostgresStore, db::conflict, read_head, slots::Lease};
use crate::{
    Batch, BlobId, DocumentRow, EventRow, Head, KeyRow, LedgerError, OutboxRow, Result,
    rows::{check_head, int, join_refs, join_units, last_documents, refs_of, sort_key, units_of},
};

/// One column of rows, as an array to `unnest`.
macro_rules! column {
    ($rows:expr, |$row:pat_param| $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}
pub(super) use column;

impl PostgresStore {
    pub(super) async fn append_batch(&self, batch: &Batch) -> Result<Head> {
        batch.check()?;
        let started = std::time::Instant::now();
        let mut tx = self.db.write().await?;
        check_head(batch.expect, read_head(&mut tx, LOCKED_HEAD).await?)?;
        let after = batch.after();
        insert_events(&mut tx, batch.expect.seq, &batch.events).await?;
        upsert_documents(&mut tx, &batch.documents).await?;
        self.insert_vault(&mut tx, &batch.vault).await?;
        erase(&mut tx, &batch.erase, after.seq).await?;
        insert_outbox(&mut tx, &batch.outbox, after.seq).await?;
        delete_outbox(&mut tx, &batch.outbox_done).await?;
        insert_keys(&mut tx, &batch.keys).await?;
        use_blobs(&mut tx, &batch.blobs_used, after.seq).await?;
        if after != batch.expect {
            tx.execute(sqlx::query("UPDATE meta SET seq = $1").bind(int(after.seq))).await?;
        }
        tx.commit().await?;
        metrics::counter!(names::EVENTS).increment(batch.events.len() as u64);
        metrics::histogram!(names::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        if !batch.erase.is_empty() {
            // The erasure itself is committed; this only shortens how long the destroyed key survives as a dead row, and is
            // tried again.
            let _ = self.forget_old_rows().await;
            // Told by the journal's fault, and tried again.
            let _ = self.note_erasures().await;
        }
        Ok(after)
    }

    /// Clears dead rows of keys away, but for those that somebody who began before their death may still see. Who that is
    /// may be hidden from this user, so it is to be done again now and then.
    pub(super) async fn forget_old_rows(&self) -> Result<bool> {
        let vacuumed = async { self.db.writer().await?.script("VACUUM (TRUNCATE FALSE) subject_keys").await }.await;
        if let Err(error) = &vacuumed {
            tracing::warn!(error = error as &dyn std::error::Error, "vacuum after an erasure failed");
        }
        vacuumed.map(|()| true)
    }
}

async fn insert_events(tx: &mut Lease, after: u64, events: &[EventRow]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = sqlx::query(
        "INSERT INTO events (seq, at_ms, kind, version, stream, mode, payload) SELECT * FROM unnest(\
         $1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::text[], $6::smallint[], $7::bytea[])",
    )
    .bind((after + 1..).zip(events).map(|(seq, _)| int(seq)).collect::<Vec<_>>())
    .bind(column!(events, |e| e.at_ms))
    .bind(column!(events, |e| &*e.kind))
    .bind(column!(events, |e| i32::from(e.version)))
    .bind(column!(events, |e| &*e.stream))
    .bind(column!(events, |e| i16::from(e.mode)))
    .bind(column!(events, |e| &*e.payload));
    tx.execute(sql).await.map(drop)
}

const UPSERT: &str = "INSERT INTO documents \
     (kind, id, sort, rev_seq, deleted, open, level, stage, units, grid, at_ms, payload, due_ms, refs) SELECT * FROM unnest(\
     $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bool[], $6::bool[], $7::smallint[], $8::text[], \
     $9::text[], $10::text[], $11::bigint[], $12::bytea[], $13::bigint[], $14::text[]) \
     ON CONFLICT (kind, id) DO UPDATE SET rev_seq = excluded.rev_seq, deleted = excluded.deleted, \
     open = excluded.open, level = excluded.level, stage = excluded.stage, units = excluded.units, \
     grid = excluded.grid, at_ms = excluded.at_ms, payload = excluded.payload, due_ms = excluded.due_ms, \
     refs = excluded.refs";

async fn upsert_documents(tx: &mut Lease, documents: &[DocumentRow]) -> Result<()> {
    let rows = last_documents(documents);
    if rows.is_empty() {
        return Ok(());
    }
    let sql = sqlx::query(UPSERT)
        .bind(column!(rows, |d| &*d.kind))
        .bind(column!(rows, |d| &*d.id))
        .bind(column!(rows, |d| sort_key(&d.id)))
        .bind(column!(rows, |d| int(d.rev_seq)))
        .bind(column!(rows, |d| d.deleted))
        .bind(column!(rows, |d| d.open && !d.deleted))
        .bind(column!(rows, |d| d.columns.level))
        .bind(column!(rows, |d| d.columns.stage.as_deref()))
        .bind(column!(rows, |d| join_units(&d.columns.units)))
        .bind(column!(rows, |d| d.columns.grid.as_deref()))
        .bind(column!(rows, |d| d.columns.at_ms))
        .bind(column!(rows, |d| if d.deleted { &[][..] } else { &*d.payload }))
        .bind(column!(rows, |d| d.columns.due_ms))
        .bind(column!(rows, |d| join_refs(&d.columns.refs)));
    tx.execute(sql).await?;
    replace_links(tx, &rows).await
}

/// What lists by unit and by reference look up.
async fn replace_links(tx: &mut Lease, documents: &[&DocumentRow]) -> Result<()> {
    let sql = sqlx::query(
        "WITH d (kind, id) AS (SELECT * FROM unnest($1::text[], $2::text[])), \
         units AS (DELETE FROM document_units u USING d WHERE u.kind = d.kind AND u.id = d.id) \
         DELETE FROM document_refs r USING d WHERE r.kind = d.kind AND r.id = d.id",
    );
    tx.execute(sql.bind(column!(documents, |d| &*d.kind)).bind(column!(documents, |d| &*d.id))).await?;
    let units = units_of(documents);
    if !units.is_empty() {
        let sql = sqlx::query(
            "INSERT INTO document_units (unit, kind, id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) \
             ON CONFLICT DO NOTHING",
        )
        .bind(column!(units, |u| u.0))
        .bind(column!(units, |u| u.1))
        .bind(column!(units, |u| u.2));
        tx.execute(sql).await?;
    }
    let refs = refs_of(documents);
    if !refs.is_empty() {
        let sql = sqlx::query(
            "INSERT INTO document_refs (role, ref_id, kind, sort, id) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING",
        )
        .bind(column!(refs, |r| r.role))
        .bind(column!(refs, |r| r.ref_id))
        .bind(column!(refs, |r| r.kind))
        .bind(column!(refs, |r| &*r.sort))
        .bind(column!(refs, |r| r.id));
        tx.execute(sql).await?;
    }
    Ok(())
}

/// Destroys the keys. The values stay as bytes that nothing can open, and read as erased.
async fn erase(tx: &mut Lease, subjects: &[String], seq: u64) -> Result<()> {
    if subjects.is_empty() {
        return Ok(());
    }
    let sql = "WITH gone AS (DELETE FROM subject_keys WHERE subject = ANY($1) RETURNING subject, sha256(wrapped) AS hash) \
               INSERT INTO erasures (subject, seq, key_hash) SELECT s.subject, $2, coalesce(gone.hash, ''::bytea) \
               FROM (SELECT DISTINCT unnest($1::text[]) AS subject) s LEFT JOIN gone ON gone.subject = s.subject \
               ON CONFLICT DO NOTHING";
    tx.execute(sqlx::query(sql).bind(subjects).bind(int(seq))).await.map(drop)
}

async fn insert_outbox(tx: &mut Lease, rows: &[OutboxRow], seq: u64) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = sqlx::query(
        "INSERT INTO outbox (seq, kind, target, payload, due_ms) SELECT $1, kind, target, payload, due_ms \
         FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[]) \
         WITH ORDINALITY AS o (kind, target, payload, due_ms, n) ORDER BY n",
    )
    .bind(int(seq))
    .bind(column!(rows, |o| &*o.kind))
    .bind(column!(rows, |o| &*o.target))
    .bind(column!(rows, |o| &*o.payload))
    .bind(column!(rows, |o| o.due_ms));
    tx.execute(sql).await.map(drop)
}

async fn delete_outbox(tx: &mut Lease, ids: &[u64]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = column!(ids, |id| int(*id));
    tx.execute(sqlx::query("DELETE FROM outbox WHERE id = ANY($1)").bind(ids)).await.map(drop)
}

async fn insert_keys(tx: &mut Lease, keys: &[KeyRow]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = sqlx::query(
        "INSERT INTO input_keys (scope, key, request_hash, outcome, at_ms) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[])",
    )
    .bind(column!(keys, |k| &*k.key.scope))
    .bind(column!(keys, |k| &*k.key.key))
    .bind(column!(keys, |k| k.request_hash.as_slice()))
    .bind(column!(keys, |k| &*k.outcome))
    .bind(column!(keys, |k| k.at_ms));
    tx.execute(sql).await.map(drop).map_err(conflict("an idempotency key"))
}

async fn use_blobs(tx: &mut Lease, ids: &[BlobId], seq: u64) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let names: std::collections::BTreeSet<&str> = ids.iter().map(BlobId::as_str).collect();
    let (distinct, names) = (names.len() as u64, names.into_iter().collect::<Vec<_>>());
    let sql = "UPDATE blobs SET used_seq = coalesce(used_seq, $1) WHERE id = ANY($2)";
    if tx.execute(sqlx::query(sql).bind(int(seq)).bind(names)).await? != distinct {
        return Err(LedgerError::invalid("blobs_used", "names no stored blob"));
    }
    Ok(())
}
