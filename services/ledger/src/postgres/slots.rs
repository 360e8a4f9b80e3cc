//! A bounded set of connections, and what of one is lent out.
//!
//! Invariants: there are never more connections than slots; each lease has a deadline that bounds every wait in it; a
//! connection goes back only when nothing is under way on it. What a dropped call left is rolled back, within
//! [`CLEAN_UP`], before the slot is free again, so that whoever comes next through the same slot sees how it ended.
//! A connection that failed is closed and its idle siblings with it: they would fail the same way.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Postgres, SqlSafeStr,
    postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgRow, PgSeverity},
    query::Query,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use super::db::{commit_error, db_error};
use crate::{LedgerError, Result};

/// How long what a dropped call left may take to be rolled back.
const CLEAN_UP: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is always asked whether it lives.
const TRUSTED: Duration = Duration::from_secs(1);

/// Which idle connection may be lent out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    /// One that was in use a moment ago, unasked: the lease begins a transaction, which finds out for nothing.
    Recent,
    /// One that was asked whether it lives.
    Asked,
}

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The slots for connections of one use.
pub(super) struct Slots {
    options: PgConnectOptions,
    most: u32,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
    patience: Duration,
}

impl Slots {
    pub(super) fn new(options: PgConnectOptions, most: u32, patience: Duration) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most as usize));
        Arc::new(Self { options, most, free, idle: Mutex::default(), patience })
    }

    /// How long a lease lasts.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Lends a connection for single statements, for at most `times` the usual patience.
    pub(super) async fn lend(self: &Arc<Self>, times: u32, reuse: Reuse) -> Result<Lease> {
        let deadline = Instant::now() + self.patience * times;
        let permit = match timeout_at(deadline, self.free.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(closed)) => return Err(LedgerError::Unavailable(closed.into())),
            Err(late) => return Err(LedgerError::Busy(late.into())),
        };
        let mut lease = Lease {
            conn: None,
            slots: self.clone(),
            permit: Some(permit),
            deadline,
            state: State::Ready,
            fresh: false,
        };
        lease.conn = self.living(deadline, reuse).await;
        if lease.conn.is_none() {
            lease.connect().await?;
        }
        Ok(lease)
    }

    /// An idle connection that is worth a try.
    async fn living(&self, deadline: Instant, reuse: Reuse) -> Option<PgConnection> {
        loop {
            let (mut conn, since) = self.lock().pop()?;
            if reuse == Reuse::Recent && since.elapsed() < TRUSTED {
                return Some(conn);
            }
            let limit = deadline.min(Instant::now() + CLEAN_UP);
            if matches!(timeout_at(limit, conn.ping()).await, Ok(Ok(()))) {
                return Some(conn);
            }
            self.lock().clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(PgConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for running calls and closes all connections. Later calls fail.
    pub(super) async fn close(&self) {
        let all = timeout(self.patience, self.free.acquire_many(self.most)).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut *self.lock());
        for (conn, _) in idle {
            // Best effort: the server notices a closed socket as well.
            let _ = timeout(CLEAN_UP, conn.close()).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is under way.
    Ready,
    /// A transaction is open, no statement is under way.
    Open,
    /// A statement is under way, or was when its future was dropped.
    Asked,
    /// Nothing can be said on it any more.
    Broken,
}

/// A connection on loan. Dropped with an open transaction it is rolled back.
pub(super) struct Lease {
    conn: Option<PgConnection>,
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
    deadline: Instant,
    state: State,
    /// Connected for this lease.
    fresh: bool,
}

impl Lease {
    async fn connect(&mut self) -> Result<()> {
        self.conn = match timeout_at(self.deadline, self.slots.options.connect()).await {
            Ok(Ok(conn)) => Some(conn),
            Ok(Err(error)) => return Err(db_error(error)),
            Err(late) => return Err(LedgerError::Unavailable(late.into())),
        };
        (self.state, self.fresh) = (State::Ready, true);
        Ok(())
    }

    /// Opens a transaction. A connection that turns out to be dead is replaced once: nothing was said on it yet.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<()> {
        let sql = || AssertSqlSafe(sql.to_owned());
        let mut begun = self.say(sql()).await;
        if begun.is_err() && self.state == State::Broken && !self.fresh {
            self.slots.lock().clear();
            self.connect().await?;
            begun = self.say(sql()).await;
        }
        begun.map_err(db_error)?;
        self.state = State::Open;
        Ok(())
    }

    /// From now on it may take so long.
    pub(super) fn until(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// Commits. After `Io` all of it may be stored or nothing; after any other error nothing is.
    ///
    /// No server-side timeout may cut a commit off: one that waits for a standby would then be reported as done
    /// without it. The lease's own deadline bounds the wait.
    pub(super) async fn commit(mut self) -> Result<()> {
        let done = self.say("SET LOCAL statement_timeout = 0; COMMIT").await;
        if self.state == State::Open {
            self.state = State::Ready;
        }
        done.map_err(commit_error)
    }

    /// Runs text that the program wrote, of one or more statements.
    pub(super) async fn script(&mut self, sql: impl SqlSafeStr + Send) -> Result<()> {
        self.say(sql).await.map_err(db_error)
    }

    async fn say(&mut self, sql: impl SqlSafeStr + Send) -> sqlx::Result<()> {
        let sql = sqlx::raw_sql(sql);
        let (conn, before, deadline) = self.ask()?;
        let result = bounded(deadline, conn.execute(sql)).await;
        self.answered(before, result).map(drop)
    }

    /// Runs a statement; rows changed.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64> {
        let (conn, before, deadline) = self.ask().map_err(db_error)?;
        let result = bounded(deadline, statement.execute(&mut *conn)).await;
        self.answered(before, result).map(|done| done.rows_affected()).map_err(db_error)
    }

    /// Reads a row, if there is one.
    pub(super) async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>> {
        let (conn, before, deadline) = self.ask().map_err(db_error)?;
        let result = bounded(deadline, statement.fetch_optional(&mut *conn)).await;
        self.answered(before, result).map_err(db_error)
    }

    /// Reads a row that is always there.
    pub(super) async fn one(&mut self, statement: Statement<'_>) -> Result<PgRow> {
        self.optional(statement).await?.ok_or_else(|| LedgerError::corrupt("a row that must be there"))
    }

    /// Reads rows one by one, at most `most`; more are a mistake of the caller, not cut off.
    pub(super) async fn collect<T>(
        &mut self,
        statement: Statement<'_>,
        map: fn(&PgRow) -> Result<T>,
        most: usize,
    ) -> Result<Vec<T>> {
        let (conn, before, deadline) = self.ask().map_err(db_error)?;
        let (mut found, mut refused) = (Vec::new(), None);
        let result = {
            let mut rows = statement.fetch(&mut *conn);
            loop {
                let row = match bounded(deadline, rows.try_next()).await {
                    Ok(Some(row)) => row,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                };
                // Read to the end all the same, so that the connection stays good.
                match map(&row) {
                    Ok(row) if found.len() < most => found.push(row),
                    Ok(_) => refused = Some(LedgerError::invalid("read", format!("more than {most} rows"))),
                    Err(error) => refused = Some(error),
                }
            }
        };
        self.answered(before, result).map_err(db_error)?;
        refused.map_or(Ok(found), Err)
    }

    /// The connection, to say something on it; [`Lease::answered`] must follow.
    fn ask(&mut self) -> sqlx::Result<(&mut PgConnection, State, Instant)> {
        match self.conn.as_mut().filter(|_| self.state != State::Broken) {
            Some(conn) => Ok((conn, std::mem::replace(&mut self.state, State::Asked), self.deadline)),
            None => Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into())),
        }
    }

    fn answered<T>(&mut self, before: State, result: sqlx::Result<T>) -> sqlx::Result<T> {
        self.state = match &result {
            Err(error) if breaks(error) => State::Broken,
            _ => before,
        };
        result
    }
}

/// A silent server is given up.
async fn bounded<T>(deadline: Instant, work: impl Future<Output = sqlx::Result<T>> + Send) -> sqlx::Result<T> {
    match timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(late) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late))),
    }
}

/// Whether the connection is of no use after this.
fn breaks(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => e
            .try_downcast_ref::<PgDatabaseError>()
            .is_none_or(|e| matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        _ => false,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        let (slots, permit) = (self.slots.clone(), self.permit.take());
        match self.state {
            State::Ready => slots.lock().push((conn, Instant::now())),
            State::Broken => slots.lock().clear(),
            State::Open | State::Asked => {
                let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
                runtime.spawn(async move {
                    // Outside a transaction the server only warns, and warnings are not sent.
                    if matches!(timeout(CLEAN_UP, conn.execute("ROLLBACK")).await, Ok(Ok(_))) {
                        slots.lock().push((conn, Instant::now()));
                    }
                    drop(permit);
                });
            }
        }
    }
}
