//! Reads of the log, and the [`Log`] port.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder, postgres::PgRow};

use super::{
    HEAD, LOCKED_HEAD, PostgresStore,
    append::column,
    db::{get, get_small, get_u64},
    head, read_head,
    slots::{Lease, Statement},
};
use crate::{
    Archived, Archiving, Batch, Columns, DocumentRow, DueRow, EventRow, Head, InputKey, KeyRow, LedgerError, Log,
    Position, Query, Result, StoredEvent, Tally, TallyBy,
    archive::{self, EventRows},
    limits,
    rows::{changed, check_page, in_order, int, new_id, page, sort_key, split_refs, split_units},
};

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
impl Log for PostgresStore {
    async fn open_writer(&self) -> Result<Head> {
        let mut tx = self.db.write().await?;
        let sql = "UPDATE meta SET term = term + 1 RETURNING log_id, seq, term";
        let head = head(&tx.one(sqlx::query(sql)).await?)?;
        tx.commit().await?;
        Ok(head)
    }

    async fn append(&self, batch: &Batch) -> Result<Head> {
        self.append_batch(batch).await
    }

    async fn head(&self) -> Result<Head> {
        head(&self.db.one(sqlx::query(HEAD)).await?)
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
        let mut tx = self.db.snapshot().await?;
        let head = read_head(&mut tx, HEAD).await?;
        let mut found = Vec::new();
        let mut open = QueryBuilder::<Postgres>::new(DOCUMENT);
        open.push("NOT d.deleted AND d.open AND d.kind = ANY(").push_bind(kinds.to_vec()).push(")");
        gather(&mut tx, open, &mut found).await?;
        for kind in kinds.iter().filter(|_| ended > 0) {
            let mut sql = QueryBuilder::<Postgres>::new(DOCUMENT);
            sql.push("NOT d.deleted AND NOT d.open AND d.kind = ").push_bind(*kind);
            sql.push(" ORDER BY d.sort DESC");
            if ended <= limits::SNAPSHOT {
                sql.push(" LIMIT ").push_bind(page(ended, limits::SNAPSHOT));
            }
            gather(&mut tx, sql, &mut found).await?;
        }
        tx.commit().await?;
        found.sort_by_cached_key(|d| (d.kind.clone(), sort_key(&d.id)));
        Ok((head.position(), found))
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<DocumentRow>> {
        let mut sql = QueryBuilder::<Postgres>::new(DOCUMENT);
        sql.push("d.kind = ").push_bind(kind).push(" AND d.id = ").push_bind(id).push(" AND NOT d.deleted");
        Ok(self.db.collect(sql.build(), document, 1).await?.pop())
    }

    async fn documents_named(&self, names: &[(&str, &str)]) -> Result<Vec<DocumentRow>> {
        check_page("names", names.len())?;
        // As with keys: one that cannot be stored must not keep the others from being found.
        let fit: Vec<_> = names.iter().filter(|(kind, id)| !kind.contains('\0') && !id.contains('\0')).collect();
        let mut sql = QueryBuilder::<Postgres>::new(DOCUMENT);
        sql.push("NOT d.deleted AND (d.kind, d.id) IN (SELECT * FROM unnest(");
        sql.push_bind(column!(fit, |n| n.0)).push("::text[], ").push_bind(column!(fit, |n| n.1)).push("::text[]))");
        Ok(in_order(names, &self.db.collect(sql.build(), document, limits::PAGE).await?))
    }

    async fn tally(&self, tally: &Tally) -> Result<Vec<(Option<String>, u64)>> {
        tally.check()?;
        let group = |row: &PgRow| Ok((get(row, 0)?, get_u64(row, 1)?));
        self.db.collect(count(tally).build(), group, limits::PAGE).await
    }

    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<DueRow>> {
        let sql = sqlx::query(
            "SELECT d.kind, d.id, d.due_ms FROM documents d WHERE d.due_ms <= $1 AND NOT d.deleted \
             ORDER BY d.due_ms, d.kind, d.sort LIMIT $2",
        );
        self.db.collect(sql.bind(now_ms).bind(page(limit, limits::PAGE)), due, limits::PAGE).await
    }

    async fn documents(&self, query: &Query) -> Result<Vec<DocumentRow>> {
        query.check()?;
        self.db.collect(select(query).build(), document, limits::PAGE).await
    }

    async fn documents_between(&self, after: u64, upto: u64) -> Result<Vec<DocumentRow>> {
        if upto.saturating_sub(after) > limits::PAGE as u64 {
            return Err(LedgerError::invalid("range", format!("more than {} events", limits::PAGE)));
        }
        let mut sql = QueryBuilder::<Postgres>::new(DOCUMENT);
        sql.push("d.rev_seq > ").push_bind(int(after)).push(" AND d.rev_seq <= ").push_bind(int(upto));
        sql.push(" ORDER BY d.rev_seq, d.kind, d.sort");
        self.db.collect(sql.build(), document, limits::SNAPSHOT).await
    }

    async fn keys(&self, keys: &[InputKey]) -> Result<Vec<KeyRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        check_page("keys", keys.len())?;
        // A key with a zero byte is never stored; it must not keep the others from being found.
        let keys: Vec<_> = keys.iter().filter(|k| !k.scope.contains('\0') && !k.key.contains('\0')).collect();
        let sql = sqlx::query(
            "SELECT k.scope, k.key, k.request_hash, k.outcome, k.at_ms FROM input_keys k \
             JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])) AS a (scope, key) \
             ON k.scope = a.scope AND k.key = a.key",
        )
        .bind(column!(keys, |k| &*k.scope))
        .bind(column!(keys, |k| &*k.key));
        self.db.collect(sql, key_row, limits::PAGE).await
    }

    fn request_hash(&self, body: &[u8]) -> [u8; 32] {
        self.request_secret.hmac(body)
    }

    async fn expire_keys(&self, before_ms: i64) -> Result<usize> {
        self.sweep(
            sqlx::query(
                "DELETE FROM input_keys WHERE (scope, key) IN \
             (SELECT scope, key FROM input_keys WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
            ),
            before_ms,
        )
        .await
    }

    async fn renew(&self) -> Result<Head> {
        let mut tx = self.db.write().await?;
        read_head(&mut tx, LOCKED_HEAD).await?;
        let sql = "UPDATE meta SET term = term + 1, log_id = $1 RETURNING log_id, seq, term";
        let head = head(&tx.one(sqlx::query(sql).bind(int(new_id()))).await?)?;
        tx.commit().await?;
        Ok(head)
    }

    async fn ping(&self) -> Result<()> {
        self.head().await.map(drop)
    }

    fn backend(&self) -> &'static str {
        "PostgreSQL"
    }
}

#[async_trait]
impl EventRows for PostgresStore {
    async fn stored(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let sql = sqlx::query(
            "SELECT seq, at_ms, kind, version, stream, mode, payload FROM events WHERE seq > $1 ORDER BY seq LIMIT $2",
        );
        self.db.collect(sql.bind(int(after)).bind(page(limit, limits::PAGE)), event, limits::PAGE).await
    }

    async fn stored_of(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>> {
        let sql = sqlx::query(
            "SELECT seq, at_ms, kind, version, stream, mode, payload FROM events \
             WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        );
        let sql = sql.bind(stream).bind(int(after)).bind(page(limit, limits::PAGE));
        self.db.collect(sql, event, limits::PAGE).await
    }

    async fn first(&self) -> Result<Option<u64>> {
        let sql = sqlx::query("SELECT seq FROM events ORDER BY seq LIMIT 1");
        Ok(self.db.collect(sql, |row| get_u64(row, 0), 1).await?.pop())
    }

    async fn end(&self) -> Result<u64> {
        self.head().await.map(|head| head.seq)
    }

    async fn first_between(&self, from_ms: i64, to_ms: i64) -> Result<Option<u64>> {
        let mut tx = self.db.snapshot().await?;
        let sql = "SELECT seq FROM events WHERE at_ms >= $1 AND at_ms <= $2 ORDER BY seq LIMIT 1";
        let found = tx.optional(sqlx::query(sql).bind(from_ms).bind(to_ms)).await?;
        tx.commit().await?;
        found.map(|row| get_u64(&row, 0)).transpose()
    }

    async fn forget(&self, upto: u64) -> Result<usize> {
        let sql = "DELETE FROM events WHERE seq <= $1 AND seq < (SELECT min(seq) + $2 FROM events)";
        self.sweep(sqlx::query(sql), int(upto)).await
    }
}

/// Adds the documents of a query to a snapshot.
async fn gather(tx: &mut Lease, mut sql: QueryBuilder<Postgres>, into: &mut Vec<DocumentRow>) -> Result<()> {
    let room = limits::SNAPSHOT - into.len();
    let found = tx.collect(sql.build(), document, room).await;
    into.extend(found.map_err(|error| match error {
        LedgerError::Invalid { what: "read", .. } => {
            LedgerError::invalid("snapshot", format!("more than {} documents", limits::SNAPSHOT))
        }
        other => other,
    })?);
    Ok(())
}

impl PostgresStore {
    /// Runs a bounded removal by age: `$1` is the age, `$2` the bound.
    pub(super) async fn sweep(&self, sql: Statement<'_>, before_ms: i64) -> Result<usize> {
        self.db.change(sql.bind(before_ms).bind(page(limits::SWEEP, limits::SWEEP))).await.map(changed)
    }
}

fn select(query: &Query) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::<Postgres>::new(COLUMNS);
    let walked = if query.refs.is_empty() { "d.sort" } else { "r.sort" };
    filter(&mut sql, query, "");
    if let Some(before) = &query.before {
        sql.push(" AND ").push(walked).push(" < ").push_bind(sort_key(before));
    }
    sql.push(" ORDER BY ").push(walked).push(" DESC LIMIT ").push_bind(page(query.limit, limits::PAGE));
    sql
}

fn count(tally: &Tally) -> QueryBuilder<Postgres> {
    let (group, role) = match &tally.by {
        TallyBy::Grid => ("d.grid", None),
        TallyBy::Level => ("CAST(d.level AS TEXT) COLLATE \"C\"", None),
        TallyBy::Stage => ("d.stage", None),
        TallyBy::Ref(role) => ("g.ref_id", Some(role)),
    };
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(group).push(", count(*)");
    filter(&mut sql, &tally.of, if role.is_some() { ", document_refs g" } else { "" });
    if let Some(role) = role {
        sql.push(" AND g.kind = d.kind AND g.id = d.id AND g.role = ").push_bind(&**role);
    }
    sql.push(" GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST LIMIT ").push_bind(page(tally.of.limit, limits::PAGE));
    sql
}

/// From which tables, and all conditions but those of pages.
fn filter(sql: &mut QueryBuilder<Postgres>, query: &Query, more: &str) {
    let mut refs = query.refs.iter();
    if let Some((role, id)) = refs.next() {
        sql.push(" FROM document_refs r, documents d").push(more).push(" WHERE r.role = ").push_bind(&**role);
        sql.push(" AND r.ref_id = ").push_bind(&**id).push(" AND r.kind = ").push_bind(&*query.kind);
        sql.push(" AND d.kind = r.kind AND d.id = r.id AND NOT d.deleted");
    } else {
        sql.push(" FROM documents d").push(more).push(" WHERE NOT d.deleted AND d.kind = ").push_bind(&*query.kind);
    }
    for (role, id) in refs {
        sql.push(" AND EXISTS (SELECT 1 FROM document_refs o WHERE o.kind = d.kind AND o.sort = d.sort AND o.role = ");
        sql.push_bind(&**role).push(" AND o.ref_id = ").push_bind(&**id).push(")");
    }
    // Written out so that the partial index of open documents serves.
    match query.open {
        Some(true) => sql.push(" AND d.open"),
        Some(false) => sql.push(" AND NOT d.open"),
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

fn due(row: &PgRow) -> Result<DueRow> {
    Ok(DueRow { kind: get(row, 0)?, id: get(row, 1)?, due_ms: get(row, 2)? })
}

fn event(row: &PgRow) -> Result<StoredEvent> {
    Ok(StoredEvent {
        seq: get_u64(row, 0)?,
        event: EventRow {
            at_ms: get(row, 1)?,
            kind: get(row, 2)?,
            version: get_small::<i32, _>(row, 3)?,
            stream: get(row, 4)?,
            mode: get_small::<i16, _>(row, 5)?,
            payload: get::<Vec<u8>>(row, 6)?.into(),
        },
    })
}

fn document(row: &PgRow) -> Result<DocumentRow> {
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

fn key_row(row: &PgRow) -> Result<KeyRow> {
    Ok(KeyRow {
        key: InputKey { scope: get(row, 0)?, key: get(row, 1)? },
        request_hash: get::<Vec<u8>>(row, 2)?
            .try_into()
            .map_err(|_| LedgerError::corrupt("a request hash of another length"))?,
        outcome: get::<Vec<u8>>(row, 3)?.into(),
        at_ms: get(row, 4)?,
    })
}
