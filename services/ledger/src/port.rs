//! The port: what a backend must do. Nothing here knows a database. All methods may wait for a disk; none blocks the
//! thread of the caller. Unless said otherwise a dropped future leaves nothing half done.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::{
    Archived, Archiving, Batch, BlobId, BlobInfo, BlobReader, Credential, DocumentRow, DueRow, Head, InputKey, KeyRow,
    NewBlob, Opened, Position, Query, Result, Session, StoredEvent, StoredOutbox, Tally,
};

/// The durable order.
#[async_trait]
pub trait Log: Send + Sync {
    /// Becomes the writer: starts a new term, which fences every earlier writer off.
    async fn open_writer(&self) -> Result<Head>;

    /// Stores a batch in one transaction and returns the new head, [`Batch::after`], once it is on disk.
    ///
    /// Errors: [`Fenced`](crate::LedgerError::Fenced), [`HeadMoved`](crate::LedgerError::HeadMoved),
    /// [`Conflict`](crate::LedgerError::Conflict) for a known key or vault id, [`Invalid`](crate::LedgerError::Invalid),
    /// or a failure of the store. When the future is dropped, or the store fails with `Io`, the batch may or may not
    /// be stored as a whole: reload from [`Log::head`].
    async fn append(&self, batch: &Batch) -> Result<Head>;

    /// The end of the log.
    async fn head(&self) -> Result<Head>;

    /// Events after `after`, in order, at most `limit` and [`limits::PAGE`](crate::limits::PAGE).
    async fn tail(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>>;

    /// As [`Log::tail`], of one stream.
    async fn stream_tail(&self, stream: &str, after: u64, limit: usize) -> Result<Vec<StoredEvent>>;

    /// Documents of these kinds, and of no others, with the head that they belong to, from one read transaction: the open
    /// ones, and of the others the newest `ended` of each kind, so that what ended long ago costs nothing. More than [`limits::SNAPSHOT`](crate::limits::SNAPSHOT) are `Invalid`.
    async fn snapshot(&self, kinds: &[&str], ended: usize) -> Result<(Position, Vec<DocumentRow>)>;

    /// One document; `None` also when it was deleted.
    async fn document(&self, kind: &str, id: &str) -> Result<Option<DocumentRow>>;

    /// The documents of these kinds and ids, in the order asked, from one read; missing and deleted ones are left out.
    /// At most [`limits::PAGE`](crate::limits::PAGE).
    async fn documents_named(&self, names: &[(&str, &str)]) -> Result<Vec<DocumentRow>>;

    /// A page of documents, newest id first, without deleted ones.
    async fn documents(&self, query: &Query) -> Result<Vec<DocumentRow>>;

    /// How many documents, without deleted ones, are in each group; at most [`Query::limit`] and
    /// [`limits::PAGE`](crate::limits::PAGE) groups. Reads each document that counts, so it costs as much as they are many.
    async fn tally(&self, tally: &Tally) -> Result<Vec<(Option<String>, u64)>>;

    /// Documents whose [`due_ms`](crate::Columns::due_ms) is at or before `now_ms`, without deleted ones, soonest first,
    /// then by kind and id; at most `limit` and [`limits::PAGE`](crate::limits::PAGE). The same ones again until their
    /// next revision puts the time off.
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<DueRow>>;

    /// Documents, deleted ones too, whose latest revision is after `after` and at most `upto`, by revision.
    /// The range may span at most [`limits::PAGE`](crate::limits::PAGE) events.
    async fn documents_between(&self, after: u64, upto: u64) -> Result<Vec<DocumentRow>>;

    /// Those of `keys` that were taken before; at most [`limits::PAGE`](crate::limits::PAGE).
    async fn keys(&self, keys: &[InputKey]) -> Result<Vec<KeyRow>>;

    /// HMAC-SHA256 of a request's body by this ledger's secret.
    fn request_hash(&self, body: &[u8]) -> [u8; 32];

    /// Forgets keys older than `before_ms`, at most [`limits::SWEEP`](crate::limits::SWEEP) a call; how many.
    async fn expire_keys(&self, before_ms: i64) -> Result<usize>;

    /// Moves events of months that are over, older than [`Archiving::months`], from the database to monthly files, month
    /// by month. [`Log::tail`] and [`Log::stream_tail`] read them all the same. One process may do this; what it was cut
    /// off in, the next call completes.
    async fn archive(&self, what: &Archiving<'_>) -> Result<Archived>;

    /// After a restore or a truncation: a new `log_id` and a new term, so that no old cursor is believed.
    async fn renew(&self) -> Result<Head>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;

    /// Which database it is, for health pages: its make, neither address nor path.
    fn backend(&self) -> &'static str;
}

/// Sealed values.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Opens values, in the order asked; at most [`limits::PAGE`](crate::limits::PAGE).
    async fn open(&self, ids: &[u64]) -> Result<Vec<(u64, Opened)>>;

    /// Every subject erased so far with the head at that time, so that a restore can erase it again.
    async fn erasures(&self) -> Result<Vec<(String, u64)>>;

    /// The code of the error for which the journal of erasures is behind [`Vault::erasures`], if it is: a restore could
    /// then bring back what was erased.
    fn journal_fault(&self) -> Option<&'static str>;

    /// Brings the journal of erasures up to date. Each erasure and each opening does it too.
    async fn write_journal(&self) -> Result<()>;

    /// Removes what an erasure had to leave of its destroyed keys in the files of the database, because somebody was
    /// reading at that moment; false when somebody is known to read still. May keep the writer waiting: call it seldom.
    async fn forget_destroyed(&self) -> Result<bool>;
}

/// Sealed files.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Seals `source` to a file; returns once the file, its folder and its row are on disk. It is an orphan until a
    /// batch names it in [`Batch::blobs_used`].
    async fn put_blob(&self, blob: NewBlob, source: &mut (dyn AsyncRead + Send + Unpin)) -> Result<BlobInfo>;

    /// Opens a blob.
    async fn get_blob(&self, id: &BlobId) -> Result<FoundBlob>;

    /// Removes blobs put before `before_ms` that no batch named, blobs of erased subjects, and left-over files; at
    /// most [`limits::SWEEP`](crate::limits::SWEEP) rows a call; how many rows and files went.
    async fn sweep_blobs(&self, before_ms: i64) -> Result<usize>;
}

/// Answer to [`Blobs::get_blob`].
#[derive(Debug)]
pub enum FoundBlob {
    /// Readable.
    Blob(Box<BlobReader>),
    /// Its subject was erased.
    Erased,
    /// No such blob.
    Missing,
}

/// Deliveries, at least once.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Deliveries of these kinds due at `now_ms`, or so late that a clock was ahead
    /// ([`limits::PUT_OFF_MS`](crate::limits::PUT_OFF_MS)), longest due first, at most `limit` and
    /// [`limits::PAGE`](crate::limits::PAGE). Each deliverer asks for its own, so that none waits behind another's.
    async fn outbox_due(&self, kinds: &[&str], now_ms: i64, limit: usize) -> Result<Vec<StoredOutbox>>;

    /// Puts a delivery off after a failure; false when it is gone.
    async fn outbox_retry(&self, id: u64, due_ms: i64, attempts: u32, last_error: &str) -> Result<bool>;

    /// Deliveries that wait.
    async fn outbox_waiting(&self) -> Result<u64>;

    /// How many wait for each receiver; receivers without any are left out.
    async fn outbox_by_target(&self) -> Result<Vec<(String, u64)>>;

    /// When the next one is due, ms.
    async fn outbox_next_due(&self) -> Result<Option<i64>>;
}

/// Secrets of accounts, outside the log.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates or replaces.
    async fn put_credential(&self, credential: &Credential) -> Result<()>;
    /// Reads.
    async fn credential(&self, account: &str) -> Result<Option<Credential>>;
    /// Removes an account's secrets and ends its sessions; false when there were none.
    async fn remove_credential(&self, account: &str) -> Result<bool>;
    /// Counts one failed login; the count since the last success. 0 when there is no such account.
    async fn add_failure(&self, account: &str) -> Result<u32>;
    /// Refuses logins until then.
    async fn lock_account(&self, account: &str, until_ms: i64) -> Result<()>;
    /// After a success: no failures, no lock.
    async fn clear_failures(&self, account: &str) -> Result<()>;

    /// Starts a session; beyond [`limits::SESSIONS`](crate::limits::SESSIONS) of the account the longest unseen ends.
    async fn put_session(&self, session: &Session) -> Result<()>;
    /// Reads a session, whatever its times say.
    async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>>;
    /// Notes a use. Costs a commit: note it once a minute, not with each request.
    async fn touch_session(&self, token_hash: &[u8; 32], last_seen_ms: i64) -> Result<()>;
    /// Ends one.
    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<bool>;
    /// Ends all of an account but `keep`; how many.
    async fn end_sessions(&self, account: &str, keep: Option<&[u8; 32]>) -> Result<usize>;
    /// Removes sessions that are over at `now_ms`; at most [`limits::SWEEP`](crate::limits::SWEEP) a call.
    async fn expire_sessions(&self, now_ms: i64) -> Result<usize>;
}

/// The whole port. `Arc<dyn Store>` is what the other rooms hold.
pub trait Store: Log + Vault + Blobs + Outbox + Accounts {}

impl<T: Log + Vault + Blobs + Outbox + Accounts> Store for T {}

/// A measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Sensor id.
    pub sensor: String,
    /// When, ms.
    pub at_ms: i64,
    /// Value; must be finite.
    pub value: f64,
    /// Unit, if known.
    pub unit: Option<String>,
}

/// Values of a sensor over a span of whole minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollup {
    /// Begin of the span, ms.
    pub from_ms: i64,
    /// Lowest value.
    pub min: f64,
    /// Mean of the values.
    pub mean: f64,
    /// Highest value.
    pub max: f64,
    /// How many.
    pub count: u64,
}

/// State of one rule for one sensor; opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleState {
    /// Sensor id.
    pub sensor: String,
    /// Rule id.
    pub rule: String,
    /// Opaque.
    pub state: Bytes,
    /// It chatters: since when (ms) it is held, and how often it turned.
    pub held: Option<(i64, u64)>,
}

/// An observation that was decided on and not yet taken by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingObservation {
    /// Its idempotency key, which holds the telemetry epoch.
    pub key: String,
    /// Opaque.
    pub payload: Bytes,
}

/// A device that reports and that the site does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The id that it gives itself.
    pub device: String,
    /// How it speaks: the name of a payload format.
    pub format: String,
    /// First heard, ms.
    pub first_ms: i64,
    /// Last heard, ms.
    pub last_ms: i64,
    /// Messages so far; one that was repeated after a crash counts twice.
    pub count: u64,
}

/// Everything that one commit of telemetry stores. All of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct TelemetryBatch {
    /// Values.
    pub readings: Vec<Reading>,
    /// Rule states after these values.
    pub rule_states: Vec<RuleState>,
    /// New observations; a known key is left as it is.
    pub pending: Vec<PendingObservation>,
    /// Devices that the site does not have; what is known of one is brought up to date. The longest unheard beyond
    /// [`limits::STRANGERS`](crate::limits::STRANGERS) are forgotten.
    pub strangers: Vec<Stranger>,
}

/// Values of sensors and the state of their rules, beside the log.
#[async_trait]
pub trait Telemetry: Send + Sync {
    /// Random at creation and after [`Telemetry::renew_epoch`]; part of each observation's key.
    async fn epoch(&self) -> Result<u64>;
    /// To be called after a restore.
    async fn renew_epoch(&self) -> Result<u64>;
    /// Stores a batch in one transaction. The latest value goes by `at_ms`; two values of one sensor and one
    /// millisecond are one, the last. Each value counts once in its minute, also one that comes late or again; one that
    /// comes again after [`Telemetry::retention`] removed it counts again, and one that then comes with another value
    /// keeps the minute as wide as it was. At most [`limits::READINGS`](crate::limits::READINGS)
    /// values and rule states, and [`limits::ROWS`](crate::limits::ROWS) rows of another list.
    async fn commit(&self, batch: TelemetryBatch) -> Result<()>;
    /// Latest value of one sensor, or of all, by sensor.
    async fn latest(&self, sensor: Option<&str>) -> Result<Vec<Reading>>;
    /// Values of a sensor from `from_ms` to before `until_ms`, oldest first, at most `limit` and ten pages.
    async fn history(&self, sensor: &str, from_ms: i64, until_ms: i64, limit: usize) -> Result<Vec<Reading>>;
    /// Spans of `minutes` (1 to 1,440, counted from 1970) with values, from the one that holds `from_ms` to before
    /// `until_ms`, oldest first, at most `limit` and ten pages. Spans without a value are left out.
    async fn rollups(
        &self,
        sensor: &str,
        from_ms: i64,
        until_ms: i64,
        minutes: u32,
        limit: usize,
    ) -> Result<Vec<Rollup>>;
    /// All rule states.
    async fn rule_states(&self) -> Result<Vec<RuleState>>;
    /// Those that are held.
    async fn held_rules(&self) -> Result<Vec<RuleState>>;
    /// Pending observations, oldest first, at most `limit` and [`limits::PAGE`](crate::limits::PAGE).
    async fn pending(&self, limit: usize) -> Result<Vec<PendingObservation>>;
    /// The log took these.
    async fn pending_done(&self, keys: &[String]) -> Result<()>;
    /// Devices that the site does not have, the newest heard first.
    async fn strangers(&self) -> Result<Vec<Stranger>>;
    /// Removes values of the minutes before the one of `before_ms`, at most [`limits::SWEEP`](crate::limits::SWEEP) a
    /// call; how many. The latest values and the minutes stay.
    async fn retention(&self, before_ms: i64) -> Result<usize>;
    /// Removes minutes before the one of `before_ms`, at most [`limits::SWEEP`](crate::limits::SWEEP) a call; how many.
    async fn retention_rollups(&self, before_ms: i64) -> Result<usize>;
    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;
}
