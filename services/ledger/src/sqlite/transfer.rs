//! All rows of the two files, out of one read transaction each, and into new files.

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Row as _, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use std::{path::Path, time::Duration};

use super::{
    MIGRATIONS,
    db::{db_error, get, migrate},
    telemetry,
};
use crate::{
    LedgerError, Result,
    rows::error_text,
    schema::{Migration, missing},
    transfer::{
        Cell, Gather, Row, Sink, Source, Target,
        tables::{COUNTED, COUNTERS, Column, Counter, Kind, Part, Table},
    },
};

/// Bound values of one statement.
const BINDS: usize = 30_000;

/// Reads two files, each as it was at one moment.
pub(crate) struct SqliteRows {
    log: SqliteConnection,
    telemetry: SqliteConnection,
}

impl SqliteRows {
    /// Takes the moment. That of telemetry comes first: an observation that is pending in it may be in the log too,
    /// where its key is known, but never in neither.
    pub(crate) async fn read(log: &Path, telemetry: &Path, busy: Duration) -> Result<Self> {
        let telemetry = at_a_moment(telemetry, busy, telemetry::MIGRATIONS).await?;
        Ok(Self { log: at_a_moment(log, busy, MIGRATIONS).await?, telemetry })
    }

    /// Makes two new files with all tables and no rows. Nothing is durable before [`Target::finish`].
    pub(crate) async fn create(log: &Path, telemetry: &Path) -> Result<Self> {
        Ok(Self { log: empty(log, MIGRATIONS).await?, telemetry: empty(telemetry, telemetry::MIGRATIONS).await? })
    }

    fn of(&mut self, part: Part) -> &mut SqliteConnection {
        if part == Part::Telemetry { &mut self.telemetry } else { &mut self.log }
    }
}

async fn at_a_moment(file: &Path, busy: Duration, migrations: &[Migration]) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(busy).read_only(true);
    let mut conn = options.connect().await.map_err(db_error)?;
    sqlx::query("BEGIN").execute(&mut conn).await.map_err(db_error)?;
    let applied = sqlx::query("SELECT version, hash FROM migrations ORDER BY version").fetch_all(&mut conn).await;
    let applied = applied.map_err(db_error)?;
    let applied = applied.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<Vec<_>>>()?;
    if missing(&applied, migrations)?.is_empty() {
        return Ok(conn);
    }
    Err(LedgerError::Schema("is older than this program: migrate first".to_owned()))
}

async fn empty(file: &Path, migrations: &[Migration]) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Off).synchronous(SqliteSynchronous::Off);
    let mut conn = options.connect().await.map_err(db_error)?;
    migrate(&mut conn, migrations).await?;
    Ok(conn)
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|c| format!("\"{}\"", c.name)).collect::<Vec<_>>().join(", ")
}

fn cells(row: &SqliteRow, table: &Table) -> Result<Row> {
    let cell = |(at, column): (usize, &Column)| {
        if sqlx::ValueRef::is_null(&row.try_get_raw(at).map_err(db_error)?) {
            return Ok(Cell::Null);
        }
        Ok(match column.kind {
            Kind::Int | Kind::Bool => Cell::Int(get(row, at)?),
            Kind::Real => Cell::Real(get(row, at)?),
            // As it is stored now; before, its zero bytes stayed and no PostgreSQL took them.
            Kind::Text if column.name == "last_error" => Cell::Text(error_text(get(row, at)?)),
            Kind::Text => Cell::Text(get(row, at)?),
            Kind::Bytes => Cell::Bytes(get(row, at)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

#[async_trait]
impl Source for SqliteRows {
    async fn each(&mut self, table: &'static Table, sink: &mut dyn Sink) -> Result<()> {
        let mut gather = Gather::new(table, sink);
        if table.name == COUNTERS.name {
            for counter in &COUNTED {
                let last = last_of(self.of(counter.part), counter).await?;
                gather.row(vec![Cell::Text(counter.name()), Cell::Int(last)]).await?;
            }
            return gather.end().await;
        }
        let key = table.key.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {} FROM {} ORDER BY {key}", names(table.columns), table.stored());
        let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(self.of(table.part));
        while let Some(row) = rows.try_next().await.map_err(db_error)? {
            gather.row(cells(&row, table)?).await?;
        }
        gather.end().await
    }
}

async fn last_of(conn: &mut SqliteConnection, counter: &Counter) -> Result<i64> {
    let Counter { table, column, .. } = counter;
    let sql = format!(
        "SELECT max(coalesce((SELECT max({column}) FROM {table}), 0), \
         coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0))"
    );
    get(&sqlx::query(AssertSqlSafe(sql)).fetch_one(conn).await.map_err(db_error)?, 0)
}

#[async_trait]
impl Target for SqliteRows {
    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()> {
        if table.name == COUNTERS.name {
            for counter in &COUNTED {
                let name = counter.name();
                if let Some(row) = rows.iter().find(|row| row[0].text().is_ok_and(|n| n == name)) {
                    set_last(self.of(counter.part), counter, row[1].int()?).await?;
                }
            }
            return Ok(());
        }
        let conn = self.of(table.part);
        for chunk in rows.chunks(BINDS / table.columns.len()) {
            let head = format!("INSERT INTO {} ({}) ", table.stored(), names(table.columns));
            let mut sql = QueryBuilder::<Sqlite>::new(head);
            sql.push_values(chunk, |mut values, row| {
                for cell in row {
                    match cell {
                        Cell::Null => values.push_bind(None::<i64>),
                        Cell::Int(n) => values.push_bind(*n),
                        Cell::Real(value) => values.push_bind(*value),
                        Cell::Text(text) => values.push_bind(text.as_str()),
                        Cell::Bytes(bytes) => values.push_bind(bytes.as_slice()),
                    };
                }
            });
            sql.build().persistent(false).execute(&mut *conn).await.map_err(db_error)?;
        }
        Ok(())
    }

    /// The caller brings the files to the disk.
    async fn finish(self: Box<Self>) -> Result<()> {
        let (log, telemetry) = (self.log, self.telemetry);
        log.close().await.map_err(db_error)?;
        telemetry.close().await.map_err(db_error)
    }
}

async fn set_last(conn: &mut SqliteConnection, counter: &Counter, last: i64) -> Result<()> {
    sqlx::query("DELETE FROM sqlite_sequence WHERE name = ?")
        .bind(counter.table)
        .execute(&mut *conn)
        .await
        .map_err(db_error)?;
    let sql = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)");
    sql.bind(counter.table).bind(last).execute(&mut *conn).await.map(drop).map_err(db_error)
}
