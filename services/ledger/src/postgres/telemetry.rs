//! Telemetry in a schema of its own, on connections of its own, so that a flood of values never queues before the log.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::{
    PostgresOptions,
    append::column,
    db::{Db, get, get_u64},
    slots::Lease,
};
use crate::{
    PendingObservation, Reading, Result, RuleState, Stranger, Telemetry, TelemetryBatch, limits,
    rows::{HISTORY_PAGES, changed, int, last_of, new_id, page},
    schema::Migration,
};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("../../migrations/postgres/telemetry_0001.sql") },
    Migration { version: 2, sql: include_str!("../../migrations/postgres/telemetry_0002.sql") },
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
                "INSERT INTO rule_states (sensor, rule, state) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) \
                 ON CONFLICT (sensor, rule) DO UPDATE SET state = excluded.state",
            );
            let sql = sql.bind(column!(states, |r| &*r.sensor)).bind(column!(states, |r| &*r.rule));
            tx.execute(sql.bind(column!(states, |r| &*r.state))).await?;
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

    async fn rule_states(&self) -> Result<Vec<RuleState>> {
        let row = |row: &PgRow| {
            Ok(RuleState { sensor: get(row, 0)?, rule: get(row, 1)?, state: get::<Vec<u8>>(row, 2)?.into() })
        };
        let sql = sqlx::query("SELECT sensor, rule, state FROM rule_states ORDER BY sensor, rule");
        self.db.collect(sql, row, usize::MAX).await
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
        self.db.change(sql.bind(before_ms).bind(page(limits::SWEEP, limits::SWEEP))).await.map(changed)
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
    let mut sorted: Vec<&Reading> = last_of(readings, |r| (&*r.sensor, r.at_ms));
    sorted.sort_by_key(|r| (&*r.sensor, r.at_ms));
    let latest: Vec<&Reading> = last_of(&sorted, |r| &*r.sensor).into_iter().copied().collect();
    let sql = "INSERT INTO sensors (name, at_ms, value, unit) \
               SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[]) \
               ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, value = excluded.value, unit = excluded.unit \
               WHERE excluded.at_ms >= sensors.at_ms";
    tx.execute(with_readings(sql, &latest)).await?;
    let sql = "INSERT INTO history (sensor, at_ms, value, unit) SELECT s.id, v.at_ms, v.value, v.unit \
               FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[]) AS v (name, at_ms, value, unit) \
               JOIN sensors s ON s.name = v.name \
               ON CONFLICT (sensor, at_ms) DO UPDATE SET value = excluded.value, unit = excluded.unit";
    tx.execute(with_readings(sql, &sorted)).await.map(drop)
}

fn with_readings<'q>(sql: &'static str, readings: &[&'q Reading]) -> super::slots::Statement<'q> {
    sqlx::query(sql)
        .bind(column!(readings, |r| &*r.sensor))
        .bind(column!(readings, |r| r.at_ms))
        .bind(column!(readings, |r| r.value))
        .bind(column!(readings, |r| r.unit.as_deref()))
}

fn reading(row: &PgRow) -> Result<Reading> {
    Ok(Reading { sensor: get(row, 0)?, at_ms: get(row, 1)?, value: get(row, 2)?, unit: get(row, 3)? })
}
