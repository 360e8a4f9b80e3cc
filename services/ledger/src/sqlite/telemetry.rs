//! Telemetry in a file of its own, so that a flood of values never delays the log.

use std::{collections::HashMap, path::Path, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::db::{CHUNK, Db, db_error, get, get_u64};
use crate::{
    PendingObservation, Reading, Result, Rollup, RuleState, Stranger, Telemetry, TelemetryBatch, limits,
    rollup::{self, Cell, MINUTE_MS, Stored},
    rows::{HISTORY_PAGES, changed, counter, int, new_id, page, pair},
    schema::Migration,
};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/sqlite/telemetry_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/sqlite/telemetry_0002.sql") },
    Migration { version: 3, sql: include_str!("../../migrations/sqlite/telemetry_0003.sql") },
    Migration { version: 4, sql: include_str!("../../migrations/sqlite/telemetry_0004.sql") },
];

/// The telemetry file of one machine.
pub struct SqliteTelemetry {
    db: Db,
}

impl std::fmt::Debug for SqliteTelemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteTelemetry")
    }
}

impl SqliteTelemetry {
    /// Opens or creates the file and applies migrations; a new file gets a new epoch.
    pub async fn open(file: &Path, busy_timeout: Duration) -> Result<Self> {
        if let Some(folder) = file.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let db = Db::open(file, busy_timeout, MIGRATIONS).await?;
        let mut tx = db.write().await?;
        sqlx::query("INSERT OR IGNORE INTO meta (one, epoch) VALUES (1, ?)")
            .bind(int(new_id()))
            .execute(&mut *tx)
            .await
            .map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(Self { db })
    }

    /// As [`crate::SqliteStore::limit_pages`].
    pub async fn limit_pages(&self, pages: u32) -> Result<()> {
        self.db.limit_pages(pages).await
    }

    /// As [`crate::SqliteStore::refuse_writes`].
    #[cfg(feature = "testing")]
    pub async fn refuse_writes(&self, on: bool) -> Result<()> {
        self.db.query_only(on).await
    }

    /// Waits for running calls and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
    }

    async fn sweep(&self, sql: &'static str, before: i64) -> Result<usize> {
        let mut tx = self.db.write().await?;
        let most = page(limits::SWEEP, limits::SWEEP);
        let done = sqlx::query(sql).bind(before).bind(most).execute(&mut *tx).await.map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(changed(done.rows_affected()))
    }

    async fn collect<T>(&self, mut sql: QueryBuilder<Sqlite>, map: fn(&SqliteRow) -> Result<T>) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let mut rows = sql.build().fetch(&self.db.reader);
        while let Some(row) = rows.try_next().await.map_err(db_error)? {
            found.push(map(&row)?);
        }
        Ok(found)
    }
}

#[async_trait]
impl Telemetry for SqliteTelemetry {
    async fn epoch(&self) -> Result<u64> {
        get_u64(&sqlx::query("SELECT epoch FROM meta").fetch_one(&self.db.reader).await.map_err(db_error)?, 0)
    }

    async fn renew_epoch(&self) -> Result<u64> {
        let epoch = new_id();
        let mut tx = self.db.write().await?;
        sqlx::query("UPDATE meta SET epoch = ?").bind(int(epoch)).execute(&mut *tx).await.map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(epoch)
    }

    async fn commit(&self, batch: TelemetryBatch) -> Result<()> {
        batch.check()?;
        let mut tx = self.db.write().await?;
        insert_readings(&mut tx, &batch.readings).await?;
        for chunk in batch.rule_states.chunks(CHUNK) {
            let mut sql = QueryBuilder::new("INSERT INTO rule_states (sensor, rule, state, held_ms, turns) ");
            sql.push_values(chunk, |mut row, r| {
                row.push_bind(&*r.sensor).push_bind(&*r.rule).push_bind(&*r.state);
                row.push_bind(r.held.map(|h| h.0)).push_bind(r.held.map(|h| int(h.1)));
            });
            sql.push(" ON CONFLICT (sensor, rule) DO UPDATE SET state = excluded.state, ");
            sql.push("held_ms = excluded.held_ms, turns = excluded.turns");
            sql.build().execute(&mut *tx).await.map_err(db_error)?;
        }
        for chunk in batch.pending.chunks(CHUNK) {
            let mut sql = QueryBuilder::new("INSERT OR IGNORE INTO pending (key, payload) ");
            sql.push_values(chunk, |mut row, p| {
                row.push_bind(&*p.key).push_bind(&*p.payload);
            });
            sql.build().execute(&mut *tx).await.map_err(db_error)?;
        }
        insert_strangers(&mut tx, &batch.strangers).await?;
        tx.commit().await.map_err(db_error)
    }

    async fn latest(&self, sensor: Option<&str>) -> Result<Vec<Reading>> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT name, at_ms, value, unit FROM sensors");
        if let Some(sensor) = sensor {
            sql.push(" WHERE name = ").push_bind(sensor);
        }
        sql.push(" ORDER BY name");
        self.collect(sql, reading).await
    }

    async fn history(&self, sensor: &str, from_ms: i64, until_ms: i64, limit: usize) -> Result<Vec<Reading>> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT s.name, h.at_ms, h.value, h.unit FROM sensors s JOIN history h ON h.sensor = s.id WHERE s.name = ",
        );
        sql.push_bind(sensor).push(" AND h.at_ms >= ").push_bind(from_ms).push(" AND h.at_ms < ").push_bind(until_ms);
        sql.push(" ORDER BY h.at_ms LIMIT ").push_bind(page(limit, HISTORY_PAGES * limits::PAGE));
        self.collect(sql, reading).await
    }

    async fn rollups(
        &self,
        sensor: &str,
        from_ms: i64,
        until_ms: i64,
        minutes: u32,
        limit: usize,
    ) -> Result<Vec<Rollup>> {
        let span = i64::from(rollup::span(minutes)?);
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT r.minute / ");
        sql.push_bind(span).push(" AS span, min(r.min), sum(r.sum), max(r.max), sum(r.count) FROM sensors s ");
        sql.push("JOIN rollups r ON r.sensor = s.id WHERE s.name = ").push_bind(sensor);
        sql.push(" AND r.minute >= ").push_bind(rollup::first(from_ms, span));
        sql.push(" AND r.minute < ").push_bind(rollup::end(until_ms));
        sql.push(" GROUP BY span ORDER BY span LIMIT ").push_bind(page(limit, HISTORY_PAGES * limits::PAGE));
        let found = self.collect(sql, |row| {
            let (n, min, sum, max): (i64, f64, f64, f64) = (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
            let count = counter(get(row, 4)?)?;
            Ok(Rollup { from_ms: n, min, mean: sum / count as f64, max, count })
        });
        Ok(found.await?.into_iter().map(|r| Rollup { from_ms: r.from_ms * span * MINUTE_MS, ..r }).collect())
    }

    async fn rule_states(&self) -> Result<Vec<RuleState>> {
        let sql = "SELECT sensor, rule, state, held_ms, turns FROM rule_states ORDER BY sensor, rule";
        self.collect(QueryBuilder::new(sql), rule_state).await
    }

    async fn held_rules(&self) -> Result<Vec<RuleState>> {
        let sql = "SELECT sensor, rule, state, held_ms, turns FROM rule_states WHERE held_ms IS NOT NULL \
                   ORDER BY sensor, rule";
        self.collect(QueryBuilder::new(sql), rule_state).await
    }

    async fn pending(&self, limit: usize) -> Result<Vec<PendingObservation>> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT key, payload FROM pending ORDER BY id LIMIT ");
        sql.push_bind(page(limit, limits::PAGE));
        self.collect(sql, |row| Ok(PendingObservation { key: get(row, 0)?, payload: get::<Vec<u8>>(row, 1)?.into() }))
            .await
    }

    async fn pending_done(&self, keys: &[String]) -> Result<()> {
        let mut tx = self.db.write().await?;
        for chunk in keys.chunks(CHUNK) {
            let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM pending WHERE key IN (");
            let mut list = sql.separated(", ");
            for key in chunk {
                list.push_bind(&**key);
            }
            sql.push(")").build().execute(&mut *tx).await.map_err(db_error)?;
        }
        tx.commit().await.map_err(db_error)
    }

    async fn strangers(&self) -> Result<Vec<Stranger>> {
        let sql = "SELECT device, format, first_ms, last_ms, count FROM strangers ORDER BY last_ms DESC, device";
        self.collect(QueryBuilder::new(sql), |row| {
            let (device, format, first_ms) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            Ok(Stranger { device, format, first_ms, last_ms: get(row, 3)?, count: get_u64(row, 4)? })
        })
        .await
    }

    async fn retention(&self, before_ms: i64) -> Result<usize> {
        let sql = "DELETE FROM history WHERE (sensor, at_ms) IN (SELECT h.sensor, h.at_ms FROM sensors s \
                   CROSS JOIN history h ON h.sensor = s.id AND h.at_ms < ? LIMIT ?)";
        self.sweep(sql, rollup::minute(before_ms) * MINUTE_MS).await
    }

    async fn retention_rollups(&self, before_ms: i64) -> Result<usize> {
        let sql = "DELETE FROM rollups WHERE (sensor, minute) IN (SELECT r.sensor, r.minute FROM sensors s \
                   CROSS JOIN rollups r ON r.sensor = s.id AND r.minute < ? LIMIT ?)";
        self.sweep(sql, rollup::minute(before_ms)).await
    }

    async fn ping(&self) -> Result<()> {
        self.epoch().await.map(drop)
    }
}

async fn insert_strangers(tx: &mut SqliteConnection, strangers: &[Stranger]) -> Result<()> {
    for chunk in strangers.chunks(CHUNK) {
        let mut sql = QueryBuilder::new("INSERT INTO strangers (device, format, first_ms, last_ms, count) ");
        sql.push_values(chunk, |mut row, s| {
            row.push_bind(&*s.device).push_bind(&*s.format).push_bind(s.first_ms).push_bind(s.last_ms);
            row.push_bind(int(s.count));
        });
        sql.push(
            " ON CONFLICT (device) DO UPDATE SET format = excluded.format, last_ms = max(last_ms, excluded.last_ms), \
             count = count + excluded.count",
        );
        sql.build().execute(&mut *tx).await.map_err(db_error)?;
    }
    if !strangers.is_empty() {
        let sql = "DELETE FROM strangers WHERE device IN \
                   (SELECT device FROM strangers ORDER BY last_ms DESC, device LIMIT -1 OFFSET ?)";
        let keep = page(limits::STRANGERS, limits::STRANGERS);
        sqlx::query(sql).bind(keep).execute(&mut *tx).await.map_err(db_error)?;
    }
    Ok(())
}

async fn insert_readings(tx: &mut SqliteConnection, readings: &[Reading]) -> Result<()> {
    let sorted = rollup::sorted(readings);
    let newest = rollup::newest(&sorted);
    let known = known(tx, &newest).await?;
    upsert_latest(tx, &newest).await?;
    let (mut fresh, doubtful) = rollup::split(sorted, &known);
    let stored = stored(tx, &doubtful).await?;
    let differing = rollup::settle(&mut fresh, doubtful, &stored);
    insert_history(tx, &fresh).await?;
    upsert_minutes(tx, &rollup::cells(&fresh)).await?;
    insert_history(tx, &differing).await?;
    recount(tx, &rollup::cells(&differing)).await
}

/// Times of the newest values of these sensors.
async fn known(tx: &mut SqliteConnection, newest: &[&Reading]) -> Result<HashMap<String, i64>> {
    let mut found = HashMap::with_capacity(newest.len());
    for chunk in newest.chunks(CHUNK) {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT name, at_ms FROM sensors WHERE name IN (");
        let mut list = sql.separated(", ");
        for r in chunk {
            list.push_bind(&*r.sensor);
        }
        let rows = sql.push(")").build().fetch_all(&mut *tx).await.map_err(db_error)?;
        for row in &rows {
            found.insert(get(row, 0)?, get(row, 1)?);
        }
    }
    Ok(found)
}

/// Those of the readings that are stored, with the value there.
async fn stored(tx: &mut SqliteConnection, doubtful: &[&Reading]) -> Result<Stored> {
    let mut found = Stored::new();
    for chunk in doubtful.chunks(CHUNK) {
        let mut sql = QueryBuilder::<Sqlite>::new("WITH v (name, at_ms) AS (");
        sql.push_values(chunk, |mut row, r| {
            row.push_bind(&*r.sensor).push_bind(r.at_ms);
        });
        sql.push(
            ") SELECT v.name, v.at_ms, h.value FROM v CROSS JOIN sensors s ON s.name = v.name \
             CROSS JOIN history h ON h.sensor = s.id AND h.at_ms = v.at_ms",
        );
        for row in &sql.build().fetch_all(&mut *tx).await.map_err(db_error)? {
            found.insert((get(row, 0)?, get(row, 1)?), get(row, 2)?);
        }
    }
    Ok(found)
}

async fn upsert_latest(tx: &mut SqliteConnection, newest: &[&Reading]) -> Result<()> {
    for chunk in newest.chunks(CHUNK) {
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO sensors (name, at_ms, value, unit) ");
        sql.push_values(chunk, |mut row, r| {
            row.push_bind(&*r.sensor).push_bind(r.at_ms).push_bind(r.value).push_bind(r.unit.as_deref());
        });
        sql.push(
            " ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, value = excluded.value, unit = excluded.unit \
             WHERE excluded.at_ms >= sensors.at_ms",
        );
        sql.build().execute(&mut *tx).await.map_err(db_error)?;
    }
    Ok(())
}

async fn insert_history(tx: &mut SqliteConnection, readings: &[&Reading]) -> Result<()> {
    for chunk in readings.chunks(CHUNK) {
        let mut sql = QueryBuilder::<Sqlite>::new("WITH v (name, at_ms, value, unit) AS (");
        sql.push_values(chunk, |mut row, r| {
            row.push_bind(&*r.sensor).push_bind(r.at_ms).push_bind(r.value).push_bind(r.unit.as_deref());
        });
        sql.push(
            ") INSERT OR REPLACE INTO history (sensor, at_ms, value, unit) \
             SELECT s.id, v.at_ms, v.value, v.unit FROM v CROSS JOIN sensors s ON s.name = v.name",
        );
        sql.build().execute(&mut *tx).await.map_err(db_error)?;
    }
    Ok(())
}

async fn upsert_minutes(tx: &mut SqliteConnection, cells: &[Cell<'_>]) -> Result<()> {
    for chunk in cells.chunks(CHUNK) {
        let mut sql = QueryBuilder::<Sqlite>::new("WITH v (name, minute, min, max, sum, count) AS (");
        sql.push_values(chunk, |mut row, c| {
            row.push_bind(c.sensor).push_bind(c.minute).push_bind(c.min).push_bind(c.max);
            row.push_bind(c.sum).push_bind(c.count);
        });
        // Without `WHERE true` the parser takes `ON` for the join's.
        sql.push(
            ") INSERT INTO rollups (sensor, minute, min, max, sum, count) \
             SELECT s.id, v.minute, v.min, v.max, v.sum, v.count FROM v CROSS JOIN sensors s ON s.name = v.name \
             WHERE true ON CONFLICT (sensor, minute) DO UPDATE SET min = min(rollups.min, excluded.min), \
             max = max(rollups.max, excluded.max), sum = rollups.sum + excluded.sum, \
             count = rollups.count + excluded.count",
        );
        sql.build().execute(&mut *tx).await.map_err(db_error)?;
    }
    Ok(())
}

/// Counts minutes anew in which a stored value changed. One whose values were removed in part cannot be, and only widens.
async fn recount(tx: &mut SqliteConnection, cells: &[Cell<'_>]) -> Result<()> {
    for cell in cells {
        let from = cell.minute * MINUTE_MS;
        sqlx::query(
            "UPDATE rollups SET min = h.min, max = h.max, sum = h.sum FROM \
             (SELECT min(value) AS min, max(value) AS max, sum(value) AS sum, count(*) AS count FROM history \
              WHERE sensor = (SELECT id FROM sensors WHERE name = ?1) AND at_ms >= ?2 AND at_ms < ?3) AS h \
             WHERE sensor = (SELECT id FROM sensors WHERE name = ?1) AND minute = ?4 AND rollups.count = h.count",
        )
        .bind(cell.sensor)
        .bind(from)
        .bind(from + MINUTE_MS)
        .bind(cell.minute)
        .execute(&mut *tx)
        .await
        .map_err(db_error)?;
    }
    Ok(())
}

fn rule_state(row: &SqliteRow) -> Result<RuleState> {
    Ok(RuleState {
        sensor: get(row, 0)?,
        rule: get(row, 1)?,
        state: get::<Vec<u8>>(row, 2)?.into(),
        held: pair(get(row, 3)?, get(row, 4)?)?,
    })
}

fn reading(row: &SqliteRow) -> Result<Reading> {
    Ok(Reading { sensor: get(row, 0)?, at_ms: get(row, 1)?, value: get(row, 2)?, unit: get(row, 3)? })
}
