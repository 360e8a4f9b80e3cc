//! Telemetry in a schema of its own, on connections of its own, so that a flood of values never queues before the log.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::{
    PostgresOptions,
    append::column,
    db::{Db, get, get_u64},
    slots::Lease,
};
use crate::{
    PendingObservation, Reading, Result, Rollup, RuleState, Stranger, Telemetry, TelemetryBatch, limits,
    rollup::{self, Cell, MINUTE_MS, Stored},
    rows::{HISTORY_PAGES, changed, counter, int, last_of, new_id, page, pair},
    schema::Migration,
};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/postgres/telemetry_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/postgres/telemetry_0002.sql") },
    Migration { version: 3, sql: include_str!("../../migrations/postgres/telemetry_0003.sql") },
    Migration { version: 4, sql: include_str!("../../migrations/postgres/telemetry_0004.sql") },
];
/// Connections of one process for reading, besides the one that writes.
const READERS: u32 = 2;

/// The telemetry of several machines.
pub struct PostgresTelemetry {
    db: Db,
}

impl std::fmt::Debug for PostgresTelemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresTelemetry")
    }
}

impl PostgresTelemetry {
    /// Opens or creates the tables and applies migrations; new ones get a new epoch. Errors as of
    /// [`crate::PostgresStore::open`].
    pub async fn open(options: &PostgresOptions) -> Result<Self> {
        let schema = format!("{}_telemetry", options.schema);
        let db = Db::new(&options.connect, &schema, READERS, options.patience)?;
        let mut tx = db.migrate(&schema, MIGRATIONS).await?;
        let sql = "INSERT INTO meta (one, epoch) VALUES (1, $1) ON CONFLICT DO NOTHING";
        tx.execute(sqlx::query(sql).bind(int(new_id()))).await?;
        tx.commit().await?;
        Ok(Self { db })
    }

    /// Waits for running calls and closes the connections. Later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

#[async_trait]
impl Telemetry for PostgresTelemetry {
    async fn epoch(&self) -> Result<u64> {
        get_u64(&self.db.one(sqlx::query("SELECT epoch FROM meta")).await?, 0)
    }

    async fn renew_epoch(&self) -> Result<u64> {
        let epoch = new_id();
        self.db.change(sqlx::query("UPDATE meta SET epoch = $1").bind(int(epoch))).await?;
        Ok(epoch)
    }

    async fn commit(&self, batch: TelemetryBatch) -> Result<()> {
        batch.check()?;
        let mut tx = self.db.write().await?;
        insert_readings(&mut tx, &batch.readings).await?;
        let states = last_of(&batch.rule_states, |r| (&*r.sensor, &*r.rule));
        if !states.is_empty() {
            let sql = sqlx::query(
                "INSERT INTO rule_states (sensor, rule, state, held_ms, turns) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[]) \
                 ON CONFLICT (sensor, rule) DO UPDATE SET state = excluded.state, held_ms = excluded.held_ms, \
                 turns = excluded.turns",
            );
            let sql = sql.bind(column!(states, |r| &*r.sensor)).bind(column!(states, |r| &*r.rule));
            let sql = sql.bind(column!(states, |r| &*r.state)).bind(column!(states, |r| r.held.map(|h| h.0)));
            tx.execute(sql.bind(column!(states, |r| r.held.map(|h| int(h.1))))).await?;
        }
        if !batch.pending.is_empty() {
            let sql = sqlx::query(
                "INSERT INTO pending (key, payload) SELECT key, payload FROM unnest($1::text[], $2::bytea[]) \
                 WITH ORDINALITY AS p (key, payload, n) ORDER BY n ON CONFLICT DO NOTHING",
            );
            let sql = sql.bind(column!(batch.pending, |p| &*p.key)).bind(column!(batch.pending, |p| &*p.payload));
            tx.execute(sql).await?;
        }
        insert_strangers(&mut tx, &batch.strangers).await?;
        tx.commit().await
    }

    async fn latest(&self, sensor: Option<&str>) -> Result<Vec<Reading>> {
        let sql = match sensor {
            Some(sensor) => sqlx::query("SELECT name, at_ms, value, unit FROM sensors WHERE name = $1").bind(sensor),
            None => sqlx::query("SELECT name, at_ms, value, unit FROM sensors ORDER BY name"),
        };
        self.db.collect(sql, reading, usize::MAX).await
    }

    async fn history(&self, sensor: &str, from_ms: i64, until_ms: i64, limit: usize) -> Result<Vec<Reading>> {
        let sql = sqlx::query(
            "SELECT s.name, h.at_ms, h.value, h.unit FROM sensors s JOIN history h ON h.sensor = s.id \
             WHERE s.name = $1 AND h.at_ms >= $2 AND h.at_ms < $3 ORDER BY h.at_ms LIMIT $4",
        );
        let sql = sql.bind(sensor).bind(from_ms).bind(until_ms).bind(page(limit, HISTORY_PAGES * limits::PAGE));
        self.db.collect(sql, reading, HISTORY_PAGES * limits::PAGE).await
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
        let sql = sqlx::query(
            "SELECT r.minute / $2, min(r.min), sum(r.sum), max(r.max), sum(r.count)::bigint FROM sensors s \
             JOIN rollups r ON r.sensor = s.id WHERE s.name = $1 AND r.minute >= $3 AND r.minute < $4 \
             GROUP BY 1 ORDER BY 1 LIMIT $5",
        );
        let sql = sql.bind(sensor).bind(span).bind(rollup::first(from_ms, span)).bind(rollup::end(until_ms));
        let most = HISTORY_PAGES * limits::PAGE;
        let row = |row: &PgRow| {
            let (n, min, sum, max): (i64, f64, f64, f64) = (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
            let count = counter(get(row, 4)?)?;
            Ok(Rollup { from_ms: n, min, mean: sum / count as f64, max, count })
        };
        let found = self.db.collect(sql.bind(page(limit, most)), row, most).await?;
        Ok(found.into_iter().map(|r| Rollup { from_ms: r.from_ms * span * MINUTE_MS, ..r }).collect())
    }

    async fn rule_states(&self) -> Result<Vec<RuleState>> {
        let sql = "SELECT sensor, rule, state, held_ms, turns FROM rule_states ORDER BY sensor, rule";
        self.db.collect(sqlx::query(sql), rule_state, usize::MAX).await
    }

    async fn held_rules(&self) -> Result<Vec<RuleState>> {
        let sql = "SELECT sensor, rule, state, held_ms, turns FROM rule_states WHERE held_ms IS NOT NULL \
                   ORDER BY sensor, rule";
        self.db.collect(sqlx::query(sql), rule_state, usize::MAX).await
    }

    async fn pending(&self, limit: usize) -> Result<Vec<PendingObservation>> {
        let sql = sqlx::query("SELECT key, payload FROM pending ORDER BY id LIMIT $1");
        let row = |row: &PgRow| Ok(PendingObservation { key: get(row, 0)?, payload: get::<Vec<u8>>(row, 1)?.into() });
        self.db.collect(sql.bind(page(limit, limits::PAGE)), row, limits::PAGE).await
    }

    async fn pending_done(&self, keys: &[String]) -> Result<()> {
        let keys: Vec<_> = keys.iter().map(|k| &**k).filter(|k| !k.contains('\0')).collect();
        self.db.change(sqlx::query("DELETE FROM pending WHERE key = ANY($1)").bind(keys)).await.map(drop)
    }

    async fn strangers(&self) -> Result<Vec<Stranger>> {
        let sql = "SELECT device, format, first_ms, last_ms, count FROM strangers ORDER BY last_ms DESC, device";
        let row = |row: &PgRow| {
            let (device, format, first_ms) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            Ok(Stranger { device, format, first_ms, last_ms: get(row, 3)?, count: get_u64(row, 4)? })
        };
        self.db.collect(sqlx::query(sql), row, limits::STRANGERS).await
    }

    async fn retention(&self, before_ms: i64) -> Result<usize> {
        let sql = sqlx::query(
            "DELETE FROM history WHERE (sensor, at_ms) IN \
             (SELECT sensor, at_ms FROM history WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
        );
        let before = rollup::minute(before_ms) * MINUTE_MS;
        self.db.change(sql.bind(before).bind(page(limits::SWEEP, limits::SWEEP))).await.map(changed)
    }

    async fn retention_rollups(&self, before_ms: i64) -> Result<usize> {
        let sql = sqlx::query(
            "DELETE FROM rollups WHERE (sensor, minute) IN \
             (SELECT sensor, minute FROM rollups WHERE minute < $1 ORDER BY minute LIMIT $2)",
        );
        let before = rollup::minute(before_ms);
        self.db.change(sql.bind(before).bind(page(limits::SWEEP, limits::SWEEP))).await.map(changed)
    }

    async fn ping(&self) -> Result<()> {
        self.epoch().await.map(drop)
    }
}

/// A device stands once in a statement: what a batch says of it twice is added up.
async fn insert_strangers(tx: &mut Lease, strangers: &[Stranger]) -> Result<()> {
    if strangers.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO strangers (device, format, first_ms, last_ms, count) \
               SELECT device, max(format), min(first_ms), max(last_ms), sum(count) \
               FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
               AS s (device, format, first_ms, last_ms, count) GROUP BY device ORDER BY device \
               ON CONFLICT (device) DO UPDATE SET format = excluded.format, \
               last_ms = greatest(strangers.last_ms, excluded.last_ms), count = strangers.count + excluded.count";
    let sql = sqlx::query(sql)
        .bind(column!(strangers, |s| &*s.device))
        .bind(column!(strangers, |s| &*s.format))
        .bind(column!(strangers, |s| s.first_ms))
        .bind(column!(strangers, |s| s.last_ms))
        .bind(column!(strangers, |s| int(s.count)));
    tx.execute(sql).await?;
    let sql = "DELETE FROM strangers WHERE device IN \
               (SELECT device FROM strangers ORDER BY last_ms DESC, device OFFSET $1)";
    tx.execute(sqlx::query(sql).bind(page(limits::STRANGERS, limits::STRANGERS))).await.map(drop)
}

/// The latest value of each sensor goes by time, of equal ones the last; of two values of one millisecond the last.
async fn insert_readings(tx: &mut Lease, readings: &[Reading]) -> Result<()> {
    if readings.is_empty() {
        return Ok(());
    }
    let sorted = rollup::sorted(readings);
    let newest = rollup::newest(&sorted);
    let known = known(tx, &newest).await?;
    let sql = "INSERT INTO sensors (name, at_ms, value, unit) \
               SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[]) \
               ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, value = excluded.value, unit = excluded.unit \
               WHERE excluded.at_ms >= sensors.at_ms";
    tx.execute(with_readings(sql, &newest)).await?;
    let (mut fresh, doubtful) = rollup::split(sorted, &known);
    let stored = stored(tx, &doubtful).await?;
    let differing = rollup::settle(&mut fresh, doubtful, &stored);
    insert_history(tx, &fresh).await?;
    upsert_minutes(tx, &rollup::cells(&fresh)).await?;
    insert_history(tx, &differing).await?;
    recount(tx, &rollup::cells(&differing)).await
}

/// Times of the newest values of these sensors; locked, so that of two writers one waits.
async fn known(tx: &mut Lease, newest: &[&Reading]) -> Result<HashMap<String, i64>> {
    let sql = sqlx::query("SELECT name, at_ms FROM sensors WHERE name = ANY($1) ORDER BY id FOR UPDATE");
    let row = |row: &PgRow| Ok((get(row, 0)?, get(row, 1)?));
    Ok(tx.collect(sql.bind(column!(newest, |r| &*r.sensor)), row, newest.len()).await?.into_iter().collect())
}

/// Those of the readings that are stored, with the value there.
async fn stored(tx: &mut Lease, doubtful: &[&Reading]) -> Result<Stored> {
    if doubtful.is_empty() {
        return Ok(Stored::new());
    }
    let sql = sqlx::query(
        "SELECT v.name, v.at_ms, h.value FROM unnest($1::text[], $2::bigint[]) AS v (name, at_ms) \
         JOIN sensors s ON s.name = v.name JOIN history h ON h.sensor = s.id AND h.at_ms = v.at_ms",
    );
    let sql = sql.bind(column!(doubtful, |r| &*r.sensor)).bind(column!(doubtful, |r| r.at_ms));
    let row = |row: &PgRow| Ok(((get(row, 0)?, get(row, 1)?), get(row, 2)?));
    Ok(tx.collect(sql, row, doubtful.len()).await?.into_iter().collect())
}

async fn insert_history(tx: &mut Lease, readings: &[&Reading]) -> Result<()> {
    if readings.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO history (sensor, at_ms, value, unit) SELECT s.id, v.at_ms, v.value, v.unit \
               FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[]) AS v (name, at_ms, value, unit) \
               JOIN sensors s ON s.name = v.name \
               ON CONFLICT (sensor, at_ms) DO UPDATE SET value = excluded.value, unit = excluded.unit";
    tx.execute(with_readings(sql, readings)).await.map(drop)
}

async fn upsert_minutes(tx: &mut Lease, cells: &[Cell<'_>]) -> Result<()> {
    if cells.is_empty() {
        return Ok(());
    }
    let sql = sqlx::query(
        "INSERT INTO rollups (sensor, minute, min, max, sum, count) \
         SELECT s.id, v.minute, v.min, v.max, v.sum, v.count FROM unnest($1::text[], $2::bigint[], $3::float8[], \
         $4::float8[], $5::float8[], $6::bigint[]) AS v (name, minute, min, max, sum, count) \
         JOIN sensors s ON s.name = v.name ON CONFLICT (sensor, minute) DO UPDATE SET \
         min = least(rollups.min, excluded.min), max = greatest(rollups.max, excluded.max), \
         sum = rollups.sum + excluded.sum, count = rollups.count + excluded.count",
    );
    let sql = sql.bind(column!(cells, |c| c.sensor)).bind(column!(cells, |c| c.minute));
    let sql = sql.bind(column!(cells, |c| c.min)).bind(column!(cells, |c| c.max));
    tx.execute(sql.bind(column!(cells, |c| c.sum)).bind(column!(cells, |c| c.count))).await.map(drop)
}

/// Counts minutes anew in which a stored value changed. One whose values were removed in part cannot be, and only widens.
async fn recount(tx: &mut Lease, cells: &[Cell<'_>]) -> Result<()> {
    for cell in cells {
        let from = cell.minute * MINUTE_MS;
        let sql = sqlx::query(
            "UPDATE rollups SET min = h.min, max = h.max, sum = h.sum FROM \
             (SELECT min(value) AS min, max(value) AS max, sum(value) AS sum, count(*) AS count FROM history \
              WHERE sensor = (SELECT id FROM sensors WHERE name = $1) AND at_ms >= $2 AND at_ms < $3) AS h \
             WHERE sensor = (SELECT id FROM sensors WHERE name = $1) AND minute = $4 AND rollups.count = h.count",
        );
        tx.execute(sql.bind(cell.sensor).bind(from).bind(from + MINUTE_MS).bind(cell.minute)).await?;
    }
    Ok(())
}

fn with_readings<'q>(sql: &'static str, readings: &[&'q Reading]) -> super::slots::Statement<'q> {
    sqlx::query(sql)
        .bind(column!(readings, |r| &*r.sensor))
        .bind(column!(readings, |r| r.at_ms))
        .bind(column!(readings, |r| r.value))
        .bind(column!(readings, |r| r.unit.as_deref()))
}

fn rule_state(row: &PgRow) -> Result<RuleState> {
    Ok(RuleState {
        sensor: get(row, 0)?,
        rule: get(row, 1)?,
        state: get::<Vec<u8>>(row, 2)?.into(),
        held: pair(get(row, 3)?, get(row, 4)?)?,
    })
}

fn reading(row: &PgRow) -> Result<Reading> {
    Ok(Reading { sensor: get(row, 0)?, at_ms: get(row, 1)?, value: get(row, 2)?, unit: get(row, 3)? })
}
