//! The rows of the port, and their limits. Payloads are opaque bytes; no row but [`VaultRow`] may hold a personal
//! value or free text.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::{LedgerError, Result};

/// Limits of one [`crate::Batch`] and its rows. A batch beyond them is refused whole as [`LedgerError::Invalid`].
pub mod limits {
    /// Rows of each list of a batch.
    pub const ROWS: usize = 4_096;
    /// Values of a batch of telemetry.
    pub const READINGS: usize = 16_384;
    /// Bytes of one payload or one vault value.
    pub const PAYLOAD: usize = 1 << 20;
    /// Bytes of all payloads, values and references of a batch.
    pub const BATCH_BYTES: usize = 32 << 20;
    /// Bytes of a kind, stage, grid, unit, role, stream, subject, scope, target or id.
    pub const NAME: usize = 128;
    /// Nothing is put off for longer, milliseconds: what is due later was written by a clock that was ahead.
    pub const PUT_OFF_MS: i64 = 900_000;
    /// Bytes of an idempotency key.
    pub const KEY: usize = 256;
    /// Units of one document.
    pub const UNITS: usize = 64;
    /// References of one document, and of one [`crate::Query`].
    pub const REFS: usize = 64;
    /// Rows that one read returns at most.
    pub const PAGE: usize = 1_000;
    /// Documents of one snapshot.
    pub const SNAPSHOT: usize = 200_000;
    /// Rows that one clean-up call removes; call again while it returns this many.
    pub const SWEEP: usize = 10_000;
    /// Bytes kept of an error text.
    pub const ERROR_TEXT: usize = 500;
    /// Devices kept that the site does not have.
    pub const STRANGERS: usize = 500;
    /// Sessions of one account; the longest unseen goes first.
    pub const SESSIONS: usize = 32;
}

/// A place in the log. Positions of different logs do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Random at creation, below 2^53; changes only on restore or truncation.
    pub log_id: u64,
    /// The last event seen; 0 before the first.
    pub seq: u64,
}

/// The end of the log and who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// See [`Position::log_id`].
    pub log_id: u64,
    /// The last event.
    pub seq: u64,
    /// The fencing term: each [`crate::Log::open_writer`] starts a new one and ends the others.
    pub term: u64,
}

impl Head {
    /// The position of the last event.
    pub fn position(self) -> Position {
        Position { log_id: self.log_id, seq: self.seq }
    }
}

/// Bytes that are wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes, for the one who may see them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// The text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}
impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}
impl From<String> for Secret {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An event to append; its sequence number is its place in the batch after the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// When it happened, ms.
    pub at_ms: i64,
    /// Name of the event, e.g. `incident.opened`.
    pub kind: String,
    /// Version of the payload's shape.
    pub version: u16,
    /// The aggregate, e.g. `incident/3021`.
    pub stream: String,
    /// Real, exercise or test; the numbers are the caller's.
    pub mode: u8,
    /// Opaque.
    pub payload: Bytes,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// What was appended.
    pub event: EventRow,
}

/// The columns that lists filter on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Severity.
    pub level: Option<i16>,
    /// Stage or state.
    pub stage: Option<String>,
    /// Units concerned, in the caller's order, without doubles.
    pub units: Vec<String>,
    /// Grid.
    pub grid: Option<String>,
    /// The time that reports select by, ms.
    pub at_ms: i64,
    /// When something is to happen to the document, ms; [`crate::Log::due`] finds it then.
    pub due_ms: Option<i64>,
    /// What the document refers to, as role and id: `("building", "b12")`. Lists and access select by them. In the
    /// caller's order, without doubles, at most [`limits::REFS`]. A deleted document keeps its last ones for those who are
    /// told that it is gone; no list finds it by them.
    pub refs: Vec<(String, String)>,
}

/// The current state of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRow {
    /// Kind, e.g. `incident`.
    pub kind: String,
    /// Id within the kind. Ids order by length, then text, so that counters order as numbers.
    pub id: String,
    /// The event that this state includes last; at most the head after the batch.
    pub rev_seq: u64,
    /// Removed: only the tombstone is kept, reads skip it, followers are still told ([`crate::Log::documents_between`]).
    pub deleted: bool,
    /// Belongs into the snapshot of what is going on.
    pub open: bool,
    /// For lists.
    pub columns: Columns,
    /// Opaque.
    pub payload: Bytes,
}

/// A personal value or free text, given in clear, stored sealed by its subject's key.
#[derive(Debug, Clone)]
pub struct VaultRow {
    /// Counted by the caller; never used twice.
    pub id: u64,
    /// Whom it belongs to: an opaque id such as `person/71` or `incident/3021`, never itself personal.
    pub subject: String,
    /// The value.
    pub full: Secret,
    /// What those see who may not see the value.
    pub masked: Secret,
}

/// What the vault holds under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Readable.
    Value {
        /// The value.
        full: Secret,
        /// Its masked form.
        masked: Secret,
    },
    /// Its subject was erased: show 已删除.
    Erased,
    /// No such id.
    Missing,
}

/// Something to deliver, at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Kind of delivery, e.g. `department.task`.
    pub kind: String,
    /// Receiver, e.g. `fire`; an id, never a telephone number.
    pub target: String,
    /// Opaque.
    pub payload: Bytes,
    /// Not before, ms.
    pub due_ms: i64,
}

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOutbox {
    /// Assigned by the store; also the delivery's idempotency key.
    pub id: u64,
    /// The head after the batch that wrote it.
    pub seq: u64,
    /// Failed attempts.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// What to deliver.
    pub row: OutboxRow,
}

/// Identity of an input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputKey {
    /// Who counts the keys: a source or an account.
    pub scope: String,
    /// The key, unique in its scope.
    pub key: String,
}

/// Outcome of an input that was taken, for its repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Which input.
    pub key: InputKey,
    /// [`crate::Log::request_hash`] of its body: the same key with another body must be refused.
    pub request_hash: [u8; 32],
    /// References only, opaque.
    pub outcome: Bytes,
    /// When it was taken, ms; [`crate::Log::expire_keys`] removes by it.
    pub at_ms: i64,
}

impl InputKey {
    /// A key in a scope.
    pub fn new(scope: impl Into<String>, key: impl Into<String>) -> Self {
        Self { scope: scope.into(), key: key.into() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        name("key scope", &self.scope)?;
        key(&self.key)
    }
}

/// Keys come from outside; a zero byte is the one character that no text of PostgreSQL holds.
pub(crate) fn key(value: &str) -> Result<()> {
    if value.is_empty() || value.len() > limits::KEY || value.contains('\0') {
        return Err(LedgerError::invalid("key", format!("must have 1 to {} bytes, none of them zero", limits::KEY)));
    }
    Ok(())
}

pub(crate) fn name(what: &'static str, value: &str) -> Result<()> {
    if value.is_empty() || value.len() > limits::NAME || value.contains(char::is_control) {
        return Err(LedgerError::invalid(what, format!("must have 1 to {} bytes without controls", limits::NAME)));
    }
    Ok(())
}

/// Which documents, newest id first. `None` does not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Kind, required.
    pub kind: String,
    /// Open or closed.
    pub open: Option<bool>,
    /// Stage.
    pub stage: Option<String>,
    /// A unit among the document's units.
    pub unit: Option<String>,
    /// Grid.
    pub grid: Option<String>,
    /// `at_ms` at or after.
    pub from_ms: Option<i64>,
    /// `at_ms` before.
    pub until_ms: Option<i64>,
    /// References, role and id, that the document has all of; at most [`limits::REFS`]. What the first one selects is
    /// walked, so name the rarest first.
    pub refs: Vec<(String, String)>,
    /// Ids before this one: the last of the page before.
    pub before: Option<String>,
    /// Rows, at most [`limits::PAGE`].
    pub limit: usize,
}

impl Query {
    pub(crate) fn check(&self) -> Result<()> {
        if self.refs.len() > limits::REFS {
            return Err(LedgerError::invalid("query refs", format!("more than {}", limits::REFS)));
        }
        Ok(())
    }
}

/// What a [`Tally`] counts by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TallyBy {
    /// [`Columns::grid`].
    Grid,
    /// [`Columns::level`]; the group is the number.
    Level,
    /// [`Columns::stage`].
    Stage,
    /// The ids of [`Columns::refs`] in this role. A document with several counts under each, one without not at all.
    Ref(String),
}

/// How many documents of which group. The largest groups come first, equal ones by name; documents without the column
/// are a group without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Which documents. [`Query::limit`] bounds the groups; [`Query::before`] must be `None`.
    pub of: Query,
    /// What groups them.
    pub by: TallyBy,
}

impl Tally {
    pub(crate) fn check(&self) -> Result<()> {
        if self.of.before.is_some() {
            return Err(LedgerError::invalid("tally", "has no pages"));
        }
        self.of.check()
    }
}

/// A document whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// Kind.
    pub kind: String,
    /// Id within the kind.
    pub id: String,
    /// [`Columns::due_ms`].
    pub due_ms: i64,
}

/// Name of a blob: 128 random bits in hex, so that it cannot be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(String);

impl BlobId {
    pub(crate) fn random() -> Self {
        Self(hex::encode(rand::random::<[u8; 16]>()))
    }
    /// Takes a name from outside; `None` unless it has the form of one (and so is safe as a file name).
    pub fn parse(name: &str) -> Option<Self> {
        let ok = name.len() == 32 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then(|| Self(name.to_owned()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a blob is to be.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// Whose key seals it; see [`VaultRow::subject`].
    pub subject: String,
    /// Media type, e.g. `image/jpeg`.
    pub content_type: String,
    /// Bytes at most; a longer source is refused.
    pub max_bytes: u64,
    /// Now, ms; orphans are swept by it.
    pub at_ms: i64,
}

/// What a blob is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Name.
    pub id: BlobId,
    /// Whose key seals it.
    pub subject: String,
    /// Media type.
    pub content_type: String,
    /// Bytes in clear.
    pub len: u64,
    /// When it was put, ms.
    pub at_ms: i64,
}

/// Login secrets of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account's id.
    pub account: String,
    /// A PHC string.
    pub password_hash: String,
    /// Failures since the last success.
    pub failed: u32,
    /// No login before, ms; 0 when not locked.
    pub locked_until_ms: i64,
    /// Seed of one-time codes; stored sealed.
    pub totp: Option<Secret>,
}

impl Credential {
    pub(crate) fn check(&self) -> Result<()> {
        name("account", &self.account)?;
        if self.password_hash.len() > 512 || self.totp.as_ref().is_some_and(|t| t.expose().len() > 256) {
            return Err(LedgerError::invalid("credential", "too long"));
        }
        Ok(())
    }
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Hash of the token; the token itself is never stored.
    pub token_hash: [u8; 32],
    /// Whose.
    pub account: String,
    /// Start, ms.
    pub created_ms: i64,
    /// Last use, ms.
    pub last_seen_ms: i64,
    /// End at the latest, ms.
    pub expires_ms: i64,
}
