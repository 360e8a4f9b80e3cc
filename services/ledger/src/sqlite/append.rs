//! The one write path of the log: a batch in one transaction.

use std::sync::atomic::Ordering;

use runtime::telemetry::names;
use sqlx::{QueryBuilder, Sqlite};

use super::{
    SqliteStore,
    db::{CHUNK, Write, db_error, get},
};
use crate::{
    Batch, BlobId, DocumentRow, EventRow, Head, KeyRow, LedgerError, Log, OutboxRow, Result,
    erasures::key_hash,
    rows::{check_head, int, join_refs, join_units, last_documents, refs_of, sort_key, units_of},
};

/// Rows that go to the database in one script.
const FEW: usize = 16;

/// What does not fit when the log is not where the batch believes.
const HEAD: &str = "the head";

/// Statements on their way to the database's thread. Each way there and back costs more than a small statement, so few
/// rows go together, with the beginning and the end of their transaction; many go statement by statement, whose texts
/// then differ by their number only and stay prepared.
struct Script<'t> {
    tx: &'t mut Write,
    sql: QueryBuilder<Sqlite>,
    rows: usize,
}

impl<'t> Script<'t> {
    /// A transaction that moves the head. It fails with a conflict over [`HEAD`] when that is elsewhere.
    fn begin(tx: &'t mut Write, expect: Head, after: u64) -> Self {
        tx.begins();
        let mut sql = QueryBuilder::new("BEGIN IMMEDIATE; UPDATE meta SET seq = CASE WHEN log_id = ");
        sql.push_bind(int(expect.log_id)).push(" AND seq = ").push_bind(int(expect.seq));
        sql.push(" AND term = ").push_bind(int(expect.term)).push(" THEN ").push_bind(int(after)).push(" END");
        Self { tx, sql, rows: 1 }
    }

    async fn commit(mut self) -> Result<()> {
        self.statement(0).await?.push("COMMIT");
        self.run().await
    }

    /// The place for a statement that writes so many rows.
    async fn statement(&mut self, rows: usize) -> Result<&mut QueryBuilder<Sqlite>> {
        if self.rows + rows > FEW {
            self.run().await?;
        }
        if !self.sql.sql().as_str().is_empty() {
            self.sql.push("; ");
        }
        self.rows += rows;
        Ok(&mut self.sql)
    }

    async fn run(&mut self) -> Result<()> {
        self.rows = 0;
        let mut sql = std::mem::take(&mut self.sql);
        if sql.sql().as_str().is_empty() {
            return Ok(());
        }
        sql.build().execute(&mut **self.tx).await.map(drop).map_err(conflict)
    }
}

impl SqliteStore {
    pub(super) async fn append_batch(&self, batch: &Batch) -> Result<Head> {
        batch.check()?;
        let started = std::time::Instant::now();
        let (mut tx, after) = (self.db.writer().await?, batch.after());
        if let Err(error) = self.write_batch(&mut tx, batch, after.seq).await {
            tx.roll_back().await;
            return Err(match error {
                LedgerError::Conflict { what: HEAD } => {
                    let (expected, actual) = (batch.expect, self.head().await?);
                    check_head(expected, actual).err().unwrap_or(LedgerError::HeadMoved { expected, actual })
                }
                other => other,
            });
        }
        tx.ended();
        metrics::counter!(names::EVENTS).increment(batch.events.len() as u64);
        metrics::histogram!(names::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        if !batch.erase.is_empty() {
            self.old_pages.store(true, Ordering::SeqCst);
            // The erasure itself is committed; this only shortens how long the destroyed key survives in the write-ahead
            // log, and is tried again.
            let _ = self.forget_old_pages().await;
            // Told by the journal's fault, and tried again.
            let _ = self.note_erasures().await;
        }
        Ok(after)
    }

    async fn write_batch(&self, tx: &mut Write, batch: &Batch, after: u64) -> Result<()> {
        let mut script = Script::begin(tx, batch.expect, after);
        if !(batch.vault.is_empty() && batch.erase.is_empty() && batch.blobs_used.is_empty()) {
            script.run().await?;
            self.insert_vault(script.tx, &batch.vault).await?;
            erase(script.tx, &batch.erase, after).await?;
            use_blobs(script.tx, &batch.blobs_used, after).await?;
        }
        insert_events(&mut script, batch.expect.seq, &batch.events).await?;
        upsert_documents(&mut script, &batch.documents).await?;
        insert_outbox(&mut script, &batch.outbox, after).await?;
        delete_outbox(&mut script, &batch.outbox_done).await?;
        insert_keys(&mut script, &batch.keys).await?;
        script.commit().await
    }

    /// Empties the write-ahead log if it may hold a destroyed key; false while a reader is in the way.
    pub(super) async fn forget_old_pages(&self) -> Result<bool> {
        if !self.old_pages.swap(false, Ordering::SeqCst) {
            return Ok(true);
        }
        let emptied = self.db.checkpoint().await;
        self.old_pages.fetch_or(!matches!(emptied, Ok(true)), Ordering::SeqCst);
        match &emptied {
            Ok(true) => {}
            Ok(false) => tracing::info!("somebody reads: a destroyed key stays in the write-ahead log for now"),
            Err(error) => {
                tracing::warn!(error = error as &dyn std::error::Error, "checkpoint after an erasure failed");
            }
        }
        emptied
    }
}

async fn insert_events(script: &mut Script<'_>, after: u64, events: &[EventRow]) -> Result<()> {
    let mut seq = after;
    for chunk in events.chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("INSERT INTO events (seq, at_ms, kind, version, stream, mode, payload) ");
        sql.push_values(chunk, |mut row, e| {
            seq += 1;
            row.push_bind(int(seq)).push_bind(e.at_ms).push_bind(&*e.kind).push_bind(e.version);
            row.push_bind(&*e.stream).push_bind(e.mode).push_bind(&*e.payload);
        });
    }
    Ok(())
}

const UPSERT_TAIL: &str = " ON CONFLICT (kind, id) DO UPDATE SET rev_seq = excluded.rev_seq, \
     deleted = excluded.deleted, open = excluded.open, level = excluded.level, stage = excluded.stage, \
     units = excluded.units, grid = excluded.grid, at_ms = excluded.at_ms, payload = excluded.payload, \
     due_ms = excluded.due_ms, refs = excluded.refs";

async fn upsert_documents(script: &mut Script<'_>, documents: &[DocumentRow]) -> Result<()> {
    for chunk in last_documents(documents).chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push(
            "INSERT INTO documents \
             (kind, id, sort, rev_seq, deleted, open, level, stage, units, grid, at_ms, payload, due_ms, refs) ",
        );
        sql.push_values(chunk, |mut row, d| {
            let c = &d.columns;
            row.push_bind(&*d.kind).push_bind(&*d.id).push_bind(sort_key(&d.id));
            row.push_bind(int(d.rev_seq)).push_bind(d.deleted);
            row.push_bind(d.open && !d.deleted).push_bind(c.level).push_bind(c.stage.as_deref());
            row.push_bind(join_units(&c.units)).push_bind(c.grid.as_deref()).push_bind(c.at_ms);
            row.push_bind(if d.deleted { &[] } else { &*d.payload }).push_bind(c.due_ms).push_bind(join_refs(&c.refs));
        });
        sql.push(UPSERT_TAIL);
        replace_links(script, chunk).await?;
    }
    Ok(())
}

/// What lists by unit and by reference look up.
async fn replace_links(script: &mut Script<'_>, documents: &[&DocumentRow]) -> Result<()> {
    // In the place of one statement, so that a small batch still goes as one script.
    let sql = script.statement(documents.len()).await?;
    for (delete, end) in [("DELETE FROM document_units", "; "), ("DELETE FROM document_refs", "")] {
        sql.push(delete).push(" WHERE (kind, id) IN (");
        sql.push_values(documents, |mut row, d| {
            row.push_bind(&*d.kind).push_bind(&*d.id);
        });
        sql.push(")").push(end);
    }
    for chunk in units_of(documents).chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("INSERT OR IGNORE INTO document_units (unit, kind, id) ");
        sql.push_values(chunk, |mut row, (unit, kind, id)| {
            row.push_bind(*unit).push_bind(*kind).push_bind(*id);
        });
    }
    for chunk in refs_of(documents).chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("INSERT OR IGNORE INTO document_refs (role, ref_id, kind, sort, id) ");
        sql.push_values(chunk, |mut row, r| {
            row.push_bind(r.role).push_bind(r.ref_id).push_bind(r.kind).push_bind(&*r.sort).push_bind(r.id);
        });
    }
    Ok(())
}

/// Destroys the keys. The values stay as bytes that nothing can open, and read as erased.
async fn erase(tx: &mut Write, subjects: &[String], seq: u64) -> Result<()> {
    for subject in subjects {
        let gone = sqlx::query("DELETE FROM subject_keys WHERE subject = ? RETURNING wrapped")
            .bind(subject)
            .fetch_optional(&mut **tx)
            .await
            .map_err(db_error)?;
        let hash = gone.map(|row| get(&row, 0).map(key_hash)).transpose()?.unwrap_or_default();
        sqlx::query("INSERT OR IGNORE INTO erasures (subject, seq, key_hash) VALUES (?, ?, ?)")
            .bind(subject)
            .bind(int(seq))
            .bind(hash)
            .execute(&mut **tx)
            .await
            .map_err(db_error)?;
    }
    Ok(())
}

async fn insert_outbox(script: &mut Script<'_>, rows: &[OutboxRow], seq: u64) -> Result<()> {
    for chunk in rows.chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("INSERT INTO outbox (seq, kind, target, payload, due_ms) ");
        sql.push_values(chunk, |mut row, o| {
            row.push_bind(int(seq)).push_bind(&*o.kind).push_bind(&*o.target);
            row.push_bind(&*o.payload).push_bind(o.due_ms);
        });
    }
    Ok(())
}

async fn delete_outbox(script: &mut Script<'_>, ids: &[u64]) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("DELETE FROM outbox WHERE id IN (");
        let mut list = sql.separated(", ");
        for id in chunk {
            list.push_bind(int(*id));
        }
        sql.push(")");
    }
    Ok(())
}

async fn insert_keys(script: &mut Script<'_>, keys: &[KeyRow]) -> Result<()> {
    for chunk in keys.chunks(CHUNK) {
        let sql = script.statement(chunk.len()).await?;
        sql.push("INSERT INTO input_keys (scope, key, request_hash, outcome, at_ms) ");
        sql.push_values(chunk, |mut row, k| {
            row.push_bind(&*k.key.scope).push_bind(&*k.key.key).push_bind(k.request_hash.as_slice());
            row.push_bind(&*k.outcome).push_bind(k.at_ms);
        });
    }
    Ok(())
}

/// Which row conflicts: SQLite names its table.
fn conflict(error: sqlx::Error) -> LedgerError {
    let said = error.as_database_error().map(|e| e.message().to_owned()).unwrap_or_default();
    let what = [(" meta.", HEAD), (" input_keys.", "an idempotency key")];
    let what = what.into_iter().find(|(table, _)| said.contains(table)).map_or("a row", |(_, what)| what);
    match db_error(error) {
        LedgerError::Conflict { .. } => LedgerError::Conflict { what },
        other => other,
    }
}

async fn use_blobs(tx: &mut Write, ids: &[BlobId], seq: u64) -> Result<()> {
    for id in ids {
        let done = sqlx::query("UPDATE blobs SET used_seq = coalesce(used_seq, ?) WHERE id = ?")
            .bind(int(seq))
            .bind(id.as_str())
            .execute(&mut **tx)
            .await
            .map_err(db_error)?;
        if done.rows_affected() == 0 {
            return Err(LedgerError::invalid("blobs_used", "names no stored blob"));
        }
    }
    Ok(())
}
