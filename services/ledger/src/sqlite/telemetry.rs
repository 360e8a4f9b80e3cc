//! Telemetry in a file of its own, so that a flood of values never delays the log.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::db::{CHUNK, Db, db_error, get, get_u64};
use crate::{
    PendingObservation, Reading, Result, RuleState, Stranger, Telemetry, TelemetryBatch, limits,
    rows::{HISTORY_PAGES, changed, int, new_id, page},
    schema::Migration,
};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/sqlite/telemetry_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/sqlite/telemetry_0002.sql") },
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

    /// Waits for running calls and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
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
            let mut sql = QueryBuilder::new("INSERT INTO rule_states (sensor, rule, state) ");
            sql.push_values(chunk, |mut row, r| {
                row.push_bind(&*r.sensor).push_bind(&*r.rule).push_bind(&*r.state);
            });
            sql.push(" ON CONFLICT (sensor, rule) DO UPDATE SET state = excluded.state");
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

    async fn rule_states(&self) -> Result<Vec<RuleState>> {
        let sql = QueryBuilder::new("SELECT sensor, rule, state FROM rule_states ORDER BY sensor, rule");
        self.collect(sql, |row| {
            Ok(RuleState { sensor: get(row, 0)?, rule: get(row, 1)?, state: get::<Vec<u8>>(row, 2)?.into() })
        })
        .await
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
        let mut tx = self.db.write().await?;
        let done = sqlx::query(
            "DELETE FROM history WHERE (sensor, at_ms) IN \
             (SELECT sensor, at_ms FROM history WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
        )
        .bind(before_ms)
        .bind(page(limits::SWEEP, limits::SWEEP))
        .execute(&mut *tx)
        .await
        .map_err(db_error)?;
        tx.commit().await.map_err(db_error)?;
        Ok(changed(done.rows_affected()))
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
    for chunk in readings.chunks(CHUNK) {
        let mut sql = QueryBuilder::new("INSERT INTO sensors (name, at_ms, value, unit) ");
        sql.push_values(chunk, |mut row, r| {
            row.push_bind(&*r.sensor).push_bind(r.at_ms).push_bind(r.value).push_bind(r.unit.as_deref());
        });
        sql.push(
            " ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, value = excluded.value, unit = excluded.unit \
             WHERE excluded.at_ms >= sensors.at_ms",
        );
        sql.build().execute(&mut *tx).await.map_err(db_error)?;
        let mut sql = QueryBuilder::new("WITH v (name, at_ms, value, unit) AS (");
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

fn reading(row: &SqliteRow) -> Result<Reading> {
    Ok(Reading { sensor: get(row, 0)?, at_ms: get(row, 1)?, value: get(row, 2)?, unit: get(row, 3)? })
}
