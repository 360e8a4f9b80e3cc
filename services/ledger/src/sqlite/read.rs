//! Reads of the log, and the [`Log`] port.

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore,
    db::{db_error, get, get_u64},
    read_head,
};
use crate::{
    Archived, Archiving, Batch, Columns, DocumentRow, DueRow, EventRow, Head, InputKey, KeyRow, LedgerError, Log,
    Position, Query, Result, StoredEvent, Tally, TallyBy,
    archive::{self, EventRows},
    limits,
    rows::{changed, check_page, in_order, int, new_id, page, sort_key, split_refs, split_units},
};

const EVENT: &str = "SELECT seq, at_ms, kind, version, stream, mode, payload FROM events ";
/// The columns of a document.
macro_rules! columns {
    () => {
        "SELECT d.kind, d.id, d.rev_seq, d.deleted, d.open, d.level, d.stage, d.units, d.grid, d.at_ms, d.payload, d.due_ms, \
         d.refs"
    };
}
const COLUMNS: &str = columns!();
const DOCUMENT: &str = concat!(columns!(), " FROM documents d WHERE ");

#[async_trait]
impl Log for SqliteStore {
    async fn open_writer(&self) -> Result<Head> {
        let mut tx = self.db.write().await?;
        sqlx::query("UPDATE meta SET term = term + 1").execute(&mut *tx).await.map_err(db_error)?;
        let head = read_head(&mut tx).await?;
        tx.commit().await.map_err(db_error)?;
        Ok(head)
    }

    async fn append(&self, batch: &Batch) -> Result<Head> {
        self.append_batch(batch).await
    }

    async fn head(&self) -> Result<Head> {
        let mut tx = self.db.read().await?;
        read_head(&mut tx).await
    }

    async fn tail(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        archive::tail(self, &self.archive, after, limit).await
    }

    async fn stream_tail(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        archive::stream_tail(self, &self.archive, stream, after, limit).await
    }

    async fn archive(&self, what: &Archiving<'_>) -> Result<Archived> {
        archive::run(self, &self.archive, what).await
    }

    async fn snapshot(&self, kinds: &[&str], ended: usize) -> Result<(Position, Vec<DocumentRow>)> {
        let mut tx = self.db.read().await?;
        let head = read_head(&mut tx).await?;
        let mut found = Vec::new();
        let mut open = QueryBuilder::<Sqlite>::new(DOCUMENT);
        open.push("d.deleted = 0 AND d.open = 1 AND d.kind IN (");
        let mut list = open.separated(", ");
        for kind in kinds {
            list.push_bind(*kind);
        }
        open.push(")");
        gather(&mut tx, open, &mut found).await?;
        for kind in kinds.iter().filter(|_| ended > 0) {
            let mut sql = QueryBuilder::<Sqlite>::new(DOCUMENT);
            sql.push("d.deleted = 0 AND d.open = 0 AND d.kind = ").push_bind(*kind);
            sql.push(" ORDER BY d.sort DESC LIMIT ").push_bind(page(ended, limits::SNAPSHOT + 1));
            gather(&mut tx, sql, &mut found).await?;
        }
        found.sort_by_cached_key(|d| (d.kind.clone(), sort_key(&d.id)));
        Ok((head.position(), found))
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<DocumentRow>> {
        let mut sql = QueryBuilder::<Sqlite>::new(DOCUMENT);
        sql.push("d.kind = ").push_bind(kind).push(" AND d.id = ").push_bind(id).push(" AND d.deleted = 0");
        Ok(self.collect(sql, document, 1).await?.pop())
    }

    async fn documents_named(&self, names: &[(&str, &str)]) -> Result<Vec<DocumentRow>> {
        check_page("names", names.len())?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::<Sqlite>::new(DOCUMENT);
        sql.push("d.deleted = 0 AND (d.kind, d.id) IN (");
        sql.push_values(names, |mut row, (kind, id)| {
            row.push_bind(*kind).push_bind(*id);
        });
        sql.push(")");
        Ok(in_order(names, &self.collect(sql, document, limits::PAGE).await?))
    }

    async fn tally(&self, tally: &Tally) -> Result<Vec<(Option<String>, u64)>> {
        tally.check()?;
        self.collect(count(tally), |row| Ok((get(row, 0)?, get_u64(row, 1)?)), limits::PAGE).await
    }

    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<DueRow>> {
        self.collect(soonest(now_ms, limit), due, limits::PAGE).await
    }

    async fn documents(&self, query: &Query) -> Result<Vec<DocumentRow>> {
        query.check()?;
        self.collect(select(query), document, limits::PAGE).await
    }

    async fn documents_between(&self, after: u64, upto: u64) -> Result<Vec<DocumentRow>> {
        if upto.saturating_sub(after) > limits::PAGE as u64 {
            return Err(LedgerError::invalid("range", format!("more than {} events", limits::PAGE)));
        }
        let mut sql = QueryBuilder::<Sqlite>::new(DOCUMENT);
        sql.push("d.rev_seq > ").push_bind(int(after)).push(" AND d.rev_seq <= ").push_bind(int(upto));
        sql.push(" ORDER BY d.rev_seq, d.kind, d.sort");
        self.collect(sql, document, limits::SNAPSHOT).await
    }

    async fn keys(&self, keys: &[InputKey]) -> Result<Vec<KeyRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        check_page("keys", keys.len())?;
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT scope, key, request_hash, outcome, at_ms FROM input_keys WHERE (scope, key) IN (",
        );
        sql.push_values(keys, |mut row, k| {
            row.push_bind(&*k.scope).push_bind(&*k.key);
        });
        sql.push(")");
        self.collect(sql, key_row, limits::PAGE).await
    }

    fn request_hash(&self, body: &[u8]) -> [u8; 32] {
        self.request_secret.hmac(body)
    }

    async fn expire_keys(&self, before_ms: i64) -> Result<usize> {
        self.sweep(
            "DELETE FROM input_keys WHERE (scope, key) IN \
             (SELECT scope, key FROM input_keys WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
            before_ms,
        )
        .await
    }

    async fn renew(&self) -> Result<Head> {
        let mut tx = self.db.write().await?;
        sqlx::query("UPDATE meta SET term = term + 1, log_id = ?")
            .bind(int(new_id()))
            .execute(&mut *tx)
            .await
            .map_err(db_error)?;
        let head = read_head(&mut tx).await?;
        tx.commit().await.map_err(db_error)?;
        Ok(head)
    }

    async fn ping(&self) -> Result<()> {
        self.head().await.map(drop)
    }

    fn backend(&self) -> &'static str {
        "SQLite"
    }
}

#[async_trait]
impl EventRows for SqliteStore {
    async fn stored(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let mut sql = QueryBuilder::<Sqlite>::new(EVENT);
        sql.push("WHERE seq > ").push_bind(int(after));
        sql.push(" ORDER BY seq LIMIT ").push_bind(page(limit, limits::PAGE));
        self.collect(sql, event, limits::PAGE).await
    }

    async fn stored_of(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let mut sql = QueryBuilder::<Sqlite>::new(EVENT);
        sql.push("WHERE stream = ").push_bind(stream).push(" AND seq > ").push_bind(int(after));
        sql.push(" ORDER BY seq LIMIT ").push_bind(page(limit, limits::PAGE));
        self.collect(sql, event, limits::PAGE).await
    }

    async fn first(&self) -> Result<Option<u64>> {
        let sql = QueryBuilder::new("SELECT seq FROM events ORDER BY seq LIMIT 1");
        Ok(self.collect(sql, |row| get_u64(row, 0), 1).await?.pop())
    }

    async fn end(&self) -> Result<u64> {
        self.head().await.map(|head| head.seq)
    }

    async fn first_between(&self, from_ms: i64, to_ms: i64) -> Result<Option<u64>> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT seq FROM events WHERE at_ms >= ");
        sql.push_bind(from_ms).push(" AND at_ms <= ").push_bind(to_ms).push(" ORDER BY seq LIMIT 1");
        Ok(self.collect(sql, |row| get_u64(row, 0), 1).await?.pop())
    }

    async fn forget(&self, upto: u64) -> Result<usize> {
        let sql = "DELETE FROM events WHERE seq <= ? AND seq < (SELECT min(seq) + ? FROM events)";
        self.sweep(sql, int(upto)).await
    }
}

/// Adds the documents of a query to a snapshot.
async fn gather(tx: &mut SqliteConnection, mut sql: QueryBuilder<Sqlite>, into: &mut Vec<DocumentRow>) -> Result<()> {
    let mut rows = sql.build().persistent(false).fetch(tx);
    while let Some(row) = rows.try_next().await.map_err(db_error)? {
        if into.len() == limits::SNAPSHOT {
            return Err(LedgerError::invalid("snapshot", format!("more than {} documents", limits::SNAPSHOT)));
        }
        into.push(document(&row)?);
    }
    Ok(())
}

impl SqliteStore {
    /// Runs a read that returns at most `most` rows; more are a mistake of the caller, not cut off.
    pub(super) async fn collect<T>(
        &self,
        mut sql: QueryBuilder<Sqlite>,
        map: fn(&SqliteRow) -> Result<T>,
        most: usize,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let mut rows = sql.build().fetch(&self.db.reader);
        while let Some(row) = rows.try_next().await.map_err(db_error)? {
            if found.len() == most {
                return Err(LedgerError::invalid("read", format!("more than {most} rows")));
            }
            found.push(map(&row)?);
        }
        Ok(found)
    }

    /// Runs a bounded removal by age.
    pub(super) async fn sweep(&self, sql: &'static str, before_ms: i64) -> Result<usize> {
        let mut tx = self.db.write().await?;
        let done = sqlx::query(sql)
            .bind(before_ms)
            .bind(page(limits::SWEEP, limits::SWEEP))
            .execute(&mut *tx)
            .await
            .map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(changed(done.rows_affected()))
    }
}

pub(super) fn select(query: &Query) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    let walked = if query.refs.is_empty() { "d.sort" } else { "r.sort" };
    filter(&mut sql, query, "");
    if let Some(before) = &query.before {
        sql.push(" AND ").push(walked).push(" < ").push_bind(sort_key(before));
    }
    sql.push(" ORDER BY ").push(walked).push(" DESC LIMIT ").push_bind(page(query.limit, limits::PAGE));
    sql
}

pub(super) fn count(tally: &Tally) -> QueryBuilder<Sqlite> {
    let (group, role) = match &tally.by {
        TallyBy::Grid => ("d.grid", None),
        TallyBy::Level => ("CAST(d.level AS TEXT)", None),
        TallyBy::Stage => ("d.stage", None),
        TallyBy::Ref(role) => ("g.ref_id", Some(role)),
    };
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(group).push(", count(*)");
    filter(&mut sql, &tally.of, if role.is_some() { " CROSS JOIN document_refs g" } else { "" });
    if let Some(role) = role {
        sql.push(" AND g.kind = d.kind AND g.id = d.id AND g.role = ").push_bind(&**role);
    }
    sql.push(" GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST LIMIT ").push_bind(page(tally.of.limit, limits::PAGE));
    sql
}

pub(super) fn soonest(now_ms: i64, limit: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT d.kind, d.id, d.due_ms FROM documents d WHERE d.due_ms <= ");
    // Written out so that the partial index serves.
    sql.push_bind(now_ms).push(" AND d.due_ms IS NOT NULL AND d.deleted = 0 ORDER BY d.due_ms, d.kind, d.sort LIMIT ");
    sql.push_bind(page(limit, limits::PAGE));
    sql
}

/// From which tables, and all conditions but those of pages. The order of the tables is SQLite's order of walking them.
fn filter(sql: &mut QueryBuilder<Sqlite>, query: &Query, more: &str) {
    let mut refs = query.refs.iter();
    if let Some((role, id)) = refs.next() {
        sql.push(" FROM document_refs r CROSS JOIN documents d").push(more).push(" WHERE r.role = ").push_bind(&**role);
        sql.push(" AND r.ref_id = ").push_bind(&**id).push(" AND r.kind = ").push_bind(&*query.kind);
        sql.push(" AND d.kind = r.kind AND d.id = r.id AND d.deleted = 0");
    } else {
        sql.push(" FROM documents d").push(more).push(" WHERE d.deleted = 0 AND d.kind = ").push_bind(&*query.kind);
    }
    for (role, id) in refs {
        sql.push(" AND EXISTS (SELECT 1 FROM document_refs o WHERE o.kind = d.kind AND o.sort = d.sort AND o.role = ");
        sql.push_bind(&**role).push(" AND o.ref_id = ").push_bind(&**id).push(")");
    }
    // Written out so that the partial index of open documents serves.
    match query.open {
        Some(true) => sql.push(" AND d.open = 1"),
        Some(false) => sql.push(" AND d.open = 0"),
        None => &mut *sql,
    };
    if let Some(stage) = &query.stage {
        sql.push(" AND d.stage = ").push_bind(&**stage);
    }
    if let Some(grid) = &query.grid {
        sql.push(" AND d.grid = ").push_bind(&**grid);
    }
    if let Some(unit) = &query.unit {
        sql.push(" AND EXISTS (SELECT 1 FROM document_units u WHERE u.kind = d.kind AND u.id = d.id AND u.unit = ");
        sql.push_bind(&**unit).push(")");
    }
    if let Some(from) = query.from_ms {
        sql.push(" AND d.at_ms >= ").push_bind(from);
    }
    if let Some(until) = query.until_ms {
        sql.push(" AND d.at_ms < ").push_bind(until);
    }
}

fn due(row: &SqliteRow) -> Result<DueRow> {
    Ok(DueRow { kind: get(row, 0)?, id: get(row, 1)?, due_ms: get(row, 2)? })
}

fn event(row: &SqliteRow) -> Result<StoredEvent> {
    Ok(StoredEvent {
        seq: get_u64(row, 0)?,
        event: EventRow {
            at_ms: get(row, 1)?,
            kind: get(row, 2)?,
            version: get(row, 3)?,
            stream: get(row, 4)?,
            mode: get(row, 5)?,
            payload: get::<Vec<u8>>(row, 6)?.into(),
        },
    })
}

fn document(row: &SqliteRow) -> Result<DocumentRow> {
    Ok(DocumentRow {
        kind: get(row, 0)?,
        id: get(row, 1)?,
        rev_seq: get_u64(row, 2)?,
        deleted: get(row, 3)?,
        open: get(row, 4)?,
        columns: Columns {
            level: get(row, 5)?,
            stage: get(row, 6)?,
            units: split_units(get(row, 7)?),
            grid: get(row, 8)?,
            at_ms: get(row, 9)?,
            due_ms: get(row, 11)?,
            refs: split_refs(get(row, 12)?),
        },
        payload: get::<Vec<u8>>(row, 10)?.into(),
    })
}

fn key_row(row: &SqliteRow) -> Result<KeyRow> {
    Ok(KeyRow {
        key: InputKey { scope: get(row, 0)?, key: get(row, 1)? },
        request_hash: get::<Vec<u8>>(row, 2)?
            .try_into()
            .map_err(|_| LedgerError::corrupt("a request hash of another length"))?,
        outcome: get::<Vec<u8>>(row, 3)?.into(),
        at_ms: get(row, 4)?,
    })
}
