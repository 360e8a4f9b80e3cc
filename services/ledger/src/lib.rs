//! The durable order: one gap-free log a site, with everything that must commit together with it.
//!
//! - [`Store`] is the port: log and documents ([`Log`]), sealed values ([`Vault`]) and files ([`Blobs`]), deliveries
//!   ([`Outbox`]) and the secrets of accounts ([`Accounts`]). [`SqliteStore`] is the backend of one machine,
//!   [`PostgresStore`] the one beyond.
//! - [`Telemetry`] keeps values of sensors in a file of its own; it never touches the log.
//! - [`Bus`] fans out what was committed and is never trusted; [`Reader`] turns it into each event once and in order.
//! - [`transfer`] brings all of it into one portable file and back, or from one backend to the other.
//!
//! Invariants: an answer follows the fsync; sequence numbers have no gaps and follow commit order; nothing half done
//! survives an error; no personal value stands in clear in any file; payloads are opaque here, rules live elsewhere.
//! Nothing here blocks the caller's thread: SQL runs on the database's own threads, files on the blocking pool.

#![warn(missing_docs)]

mod archive;
mod batch;
mod blob;
mod bus;
mod erasures;
mod error;
mod model;
mod port;
mod postgres;
mod reader;
mod redis;
mod rollup;
mod rows;
mod schema;
mod seal;
mod sealer;
mod sqlite;
pub mod transfer;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::redis::{Fault, Link, LinkState, RedisBus, RedisOptions, RedisStatus};
pub use archive::{Archived, Archiving};
pub use batch::Batch;
pub use blob::BlobReader;
pub use bus::{Bus, Delivery, LocalBus, Published, Subscription};
pub use error::{LedgerError, Result};
pub use model::{
    BlobId, BlobInfo, Columns, Credential, DocumentRow, DueRow, EventRow, Head, InputKey, KeyRow, NewBlob, Opened,
    OutboxRow, Position, Query, Secret, Session, StoredEvent, StoredOutbox, Tally, TallyBy, VaultRow, limits,
};
pub use port::{
    Accounts, Blobs, FoundBlob, Log, Outbox, PendingObservation, Reading, Rollup, RuleState, Store, Stranger,
    Telemetry, TelemetryBatch, Vault,
};
pub use postgres::{PostgresOptions, PostgresStore, PostgresTelemetry};
pub use reader::{Known, Reader, Step};
pub use sqlite::{SqliteOptions, SqliteStore, SqliteTelemetry};
