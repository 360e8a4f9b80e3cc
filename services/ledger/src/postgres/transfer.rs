//! All rows of both schemas out of one transaction, and into two empty schemas in one transaction.

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    MIGRATIONS, PostgresOptions,
    db::{check_schema, check_settings, commit_error, db_error, get, get_u64},
    telemetry,
};
use crate::{
    LedgerError, Result,
    schema::{Migration, missing},
    transfer::{
        Cell, Gather, Row, Sink, Source, Target,
        tables::{COUNTED, COUNTERS, Column, Counter, Kind, Part, Table},
    },
};

/// One connection in one transaction.
pub(crate) struct PostgresRows {
    conn: PgConnection,
    log: String,
    telemetry: String,
}

impl PostgresRows {
    async fn connect(options: &PostgresOptions) -> Result<Self> {
        check_schema(&options.schema)?;
        // As long as it takes: a person waits for it and may end it.
        let connect = options.connect.clone().application_name("maojiawan transfer").options([
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", "10000"),
            ("synchronous_commit", "on"),
            ("client_min_messages", "error"),
            ("jit", "off"),
            // The same digits in and out, whatever the default of the server or the role.
            ("extra_float_digits", "3"),
        ]);
        let conn = connect.connect().await.map_err(db_error)?;
        Ok(Self { conn, log: options.schema.clone(), telemetry: format!("{}_telemetry", options.schema) })
    }

    /// Takes the moment that is read.
    pub(crate) async fn read(options: &PostgresOptions) -> Result<Self> {
        let mut new = Self::connect(options).await?;
        new.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
        for (part, migrations) in [(Part::Log, MIGRATIONS), (Part::Telemetry, telemetry::MIGRATIONS)] {
            let sql = format!("SELECT version, hash FROM \"{}\".migrations ORDER BY version", new.schema(part));
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut new.conn).await.map_err(db_error)?;
            let applied = rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<Vec<_>>>()?;
            if !missing(&applied, migrations)?.is_empty() {
                return Err(LedgerError::Schema("is older than this program: migrate first".to_owned()));
            }
        }
        Ok(new)
    }

    /// Makes all tables; refused where anything is. Nothing is there for others before [`Target::finish`].
    pub(crate) async fn create(options: &PostgresOptions) -> Result<Self> {
        let mut new = Self::connect(options).await?;
        check_settings(&mut new.conn).await?;
        new.say("BEGIN".to_owned()).await?;
        for (part, migrations) in [(Part::Log, MIGRATIONS), (Part::Telemetry, telemetry::MIGRATIONS)] {
            new.make(part, migrations).await?;
        }
        Ok(new)
    }

    /// Whether neither schema holds anything.
    pub(crate) async fn is_empty(options: &PostgresOptions) -> Result<bool> {
        let mut new = Self::connect(options).await?;
        let used = new.used(Part::Log).await? || new.used(Part::Telemetry).await?;
        // Nothing was said that could fail to be closed.
        let _ = new.conn.close().await;
        Ok(!used)
    }

    /// The log that is there.
    pub(crate) async fn log_id(options: &PostgresOptions) -> Result<Option<u64>> {
        let mut new = Self::connect(options).await?;
        if !new.used(Part::Log).await? {
            return Ok(None);
        }
        let sql = format!("SELECT log_id FROM \"{}\".meta", new.schema(Part::Log));
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut new.conn).await.map_err(db_error)?;
        row.map(|row| get_u64(&row, 0)).transpose()
    }

    async fn used(&mut self, part: Part) -> Result<bool> {
        let sql = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)",
        );
        let schema = self.schema(part).to_owned();
        get(&sql.bind(schema).fetch_one(&mut self.conn).await.map_err(db_error)?, 0)
    }

    async fn make(&mut self, part: Part, migrations: &[Migration]) -> Result<()> {
        let schema = self.schema(part).to_owned();
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(&schema);
        lock.execute(&mut self.conn).await.map_err(db_error)?;
        if self.used(part).await? {
            return Err(LedgerError::invalid("target", "is not empty"));
        }
        let known = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1").bind(&schema);
        if known.fetch_optional(&mut self.conn).await.map_err(db_error)?.is_none() {
            self.say(format!("CREATE SCHEMA \"{schema}\"")).await?;
        }
        self.say(format!("SET LOCAL search_path = \"{schema}\"")).await?;
        self.say("CREATE TABLE migrations (version BIGINT PRIMARY KEY, hash TEXT NOT NULL)".to_owned()).await?;
        for m in migrations {
            self.say(m.sql.to_owned()).await?;
            let row = sqlx::query("INSERT INTO migrations VALUES ($1, $2)").bind(m.version).bind(m.hash());
            row.execute(&mut self.conn).await.map_err(db_error)?;
        }
        Ok(())
    }

    async fn say(&mut self, sql: String) -> Result<()> {
        self.conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop).map_err(db_error)
    }

    fn schema(&self, part: Part) -> &str {
        if part == Part::Telemetry { &self.telemetry } else { &self.log }
    }

    async fn last_of(&mut self, counter: &Counter) -> Result<i64> {
        let (schema, Counter { table, column, .. }) = (self.schema(counter.part), counter);
        let sql = format!(
            "SELECT greatest(coalesce((SELECT max({column}) FROM \"{schema}\".{table}), 0), coalesce(\
             pg_sequence_last_value(pg_get_serial_sequence('\"{schema}\".{table}', '{column}')::regclass), 0))"
        );
        get(&sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.conn).await.map_err(db_error)?, 0)
    }

    async fn set_last(&mut self, counter: &Counter, last: i64) -> Result<()> {
        let (schema, Counter { table, column, .. }) = (self.schema(counter.part), counter);
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('\"{schema}\".{table}', '{column}'), greatest($1, 1), $1 > 0)"
        );
        let sql = sqlx::query(AssertSqlSafe(sql)).bind(last);
        sql.execute(&mut self.conn).await.map(drop).map_err(db_error)
    }
}

fn cells(row: &PgRow, table: &Table) -> Result<Row> {
    let cell = |(at, column): (usize, &Column)| {
        if sqlx::ValueRef::is_null(&row.try_get_raw(at).map_err(db_error)?) {
            return Ok(Cell::Null);
        }
        Ok(match column.kind {
            Kind::Int | Kind::Bool => Cell::Int(get(row, at)?),
            Kind::Real => Cell::Real(get(row, at)?),
            Kind::Text => Cell::Text(get(row, at)?),
            Kind::Bytes => Cell::Bytes(get(row, at)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

#[async_trait]
impl Source for PostgresRows {
    async fn each(&mut self, table: &'static Table, sink: &mut dyn Sink) -> Result<()> {
        let mut gather = Gather::new(table, sink);
        if table.name == COUNTERS.name {
            for counter in &COUNTED {
                let last = self.last_of(counter).await?;
                gather.row(vec![Cell::Text(counter.name()), Cell::Int(last)]).await?;
            }
            return gather.end().await;
        }
        let column = |c: &Column| match c.kind {
            Kind::Int => format!("\"{}\"::bigint", c.name),
            Kind::Bool => format!("\"{}\"::int::bigint", c.name),
            _ => format!("\"{}\"", c.name),
        };
        let columns = table.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        // Named with its table, so that a cast of the same name is not meant.
        let key = table.key.iter().map(|c| format!("t.\"{c}\"")).collect::<Vec<_>>().join(", ");
        let (schema, stored) = (self.schema(table.part), table.stored());
        let sql = format!("SELECT {columns} FROM \"{schema}\".{stored} t ORDER BY {key}");
        let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut self.conn);
        while let Some(row) = rows.try_next().await.map_err(db_error)? {
            gather.row(cells(&row, table)?).await?;
        }
        gather.end().await
    }
}

type Insert = Query<'static, sqlx::Postgres, PgArguments>;

/// Binds one column of rows as an array.
fn bind(sql: Insert, rows: &[Row], at: usize, kind: Kind) -> Insert {
    let column = rows.iter().map(|row| &row[at]);
    match kind {
        Kind::Int | Kind::Bool => sql.bind(column.map(|c| c.int().ok()).collect::<Vec<_>>()),
        Kind::Real => sql.bind(column.map(|c| if let Cell::Real(v) = c { Some(*v) } else { None }).collect::<Vec<_>>()),
        Kind::Text => sql.bind(column.map(|c| c.text().ok().map(str::to_owned)).collect::<Vec<_>>()),
        Kind::Bytes => sql.bind(column.map(|c| c.bytes().ok().map(<[u8]>::to_vec)).collect::<Vec<_>>()),
    }
}

#[async_trait]
impl Target for PostgresRows {
    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()> {
        if table.name == COUNTERS.name {
            for counter in &COUNTED {
                let name = counter.name();
                if let Some(row) = rows.iter().find(|row| row[0].text().is_ok_and(|n| n == name)) {
                    self.set_last(counter, row[1].int()?).await?;
                }
            }
            return Ok(());
        }
        let of = |f: &dyn Fn((usize, &Column)) -> String| {
            table.columns.iter().enumerate().map(f).collect::<Vec<_>>().join(", ")
        };
        let names = of(&|(_, c)| format!("\"{}\"", c.name));
        let values = of(&|(_, c)| match c.kind {
            Kind::Bool => format!("v.\"{}\" <> 0", c.name),
            _ => format!("v.\"{}\"", c.name),
        });
        let arrays = of(&|(at, c)| match c.kind {
            Kind::Int | Kind::Bool => format!("${}::bigint[]", at + 1),
            Kind::Real => format!("${}::float8[]", at + 1),
            Kind::Text => format!("${}::text[]", at + 1),
            Kind::Bytes => format!("${}::bytea[]", at + 1),
        });
        let (schema, stored) = (self.schema(table.part), table.stored());
        let sql = format!(
            "INSERT INTO \"{schema}\".{stored} ({names}) OVERRIDING SYSTEM VALUE \
             SELECT {values} FROM unnest({arrays}) AS v ({names})"
        );
        let sql = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let sql = table.columns.iter().enumerate().fold(sql, |sql, (at, c)| bind(sql, rows, at, c.kind));
        sql.execute(&mut self.conn).await.map(drop).map_err(db_error)
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.conn.execute("COMMIT").await.map_err(commit_error)?;
        // It is committed, whatever becomes of the connection.
        let _ = self.conn.close().await;
        Ok(())
    }
}
