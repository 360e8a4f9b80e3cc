//! The tables that a backup holds and a migration moves. A test compares them with the schema of each backend: a new
//! table or column that is missing here is noticed.

use crate::{schema::Migration, sqlite};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    /// 0 or 1.
    Bool,
    Real,
    Text,
    Bytes,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// Which of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The log and all that commits with it.
    Log,
    Telemetry,
    /// No table of a database: files, counters and what a backup says of itself.
    None,
}

/// A table, or what is written as one.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name in a backup, unique.
    pub(crate) name: &'static str,
    pub(crate) part: Part,
    pub(crate) columns: &'static [Column],
    /// The columns that rows are ordered by: a key.
    pub(crate) key: &'static [&'static str],
}

impl Table {
    pub(crate) const fn new(name: &'static str, columns: &'static [Column], key: &'static [&'static str]) -> Self {
        Self { name, part: Part::None, columns, key }
    }

    const fn of(part: Part, name: &'static str, columns: &'static [Column], key: &'static [&'static str]) -> Self {
        Self { name, part, columns, key }
    }

    /// Its name in its database.
    pub(crate) fn stored(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }

    /// Place of a column.
    pub(crate) fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|c| c.name == name).unwrap_or(usize::MAX)
    }
}

const fn int(name: &'static str) -> Column {
    Column::new(name, Kind::Int)
}
const fn truth(name: &'static str) -> Column {
    Column::new(name, Kind::Bool)
}
const fn real(name: &'static str) -> Column {
    Column::new(name, Kind::Real)
}
const fn text(name: &'static str) -> Column {
    Column::new(name, Kind::Text)
}
const fn bytes(name: &'static str) -> Column {
    Column::new(name, Kind::Bytes)
}

/// Where the log stands; the first row that is written.
pub(crate) static META: Table = Table::of(
    Part::Log,
    "meta",
    &[int("one"), int("log_id"), int("seq"), int("term"), bytes("request_secret")],
    &["one"],
);
pub(crate) static EVENTS: Table = Table::of(
    Part::Log,
    "events",
    &[int("seq"), int("at_ms"), text("kind"), int("version"), text("stream"), int("mode"), bytes("payload")],
    &["seq"],
);
static DOCUMENTS: Table = Table::of(
    Part::Log,
    "documents",
    &[
        text("kind"),
        text("id"),
        text("sort"),
        int("rev_seq"),
        truth("deleted"),
        truth("open"),
        int("level"),
        text("stage"),
        text("units"),
        text("grid"),
        int("at_ms"),
        bytes("payload"),
        int("due_ms"),
        text("refs"),
    ],
    &["kind", "id"],
);
static DOCUMENT_UNITS: Table =
    Table::of(Part::Log, "document_units", &[text("kind"), text("id"), text("unit")], &["kind", "id", "unit"]);
static DOCUMENT_REFS: Table = Table::of(
    Part::Log,
    "document_refs",
    &[text("role"), text("ref_id"), text("kind"), text("sort"), text("id")],
    &["role", "ref_id", "kind", "sort"],
);
pub(crate) static SUBJECT_KEYS: Table =
    Table::of(Part::Log, "subject_keys", &[int("key_id"), text("subject"), bytes("wrapped")], &["key_id"]);
pub(crate) static ERASURES: Table =
    Table::of(Part::Log, "erasures", &[text("subject"), int("seq"), bytes("key_hash")], &["subject", "seq"]);
static VAULT: Table = Table::of(
    Part::Log,
    "vault",
    &[int("id"), text("subject"), int("key_id"), bytes("full"), bytes("masked")],
    &["id"],
);
pub(crate) static BLOBS: Table = Table::of(
    Part::Log,
    "blobs",
    &[text("id"), text("subject"), int("key_id"), text("content_type"), int("len"), int("at_ms"), int("used_seq")],
    &["id"],
);
static OUTBOX: Table = Table::of(
    Part::Log,
    "outbox",
    &[
        int("id"),
        int("seq"),
        text("kind"),
        text("target"),
        bytes("payload"),
        int("due_ms"),
        int("attempts"),
        text("last_error"),
    ],
    &["id"],
);
static INPUT_KEYS: Table = Table::of(
    Part::Log,
    "input_keys",
    &[text("scope"), text("key"), bytes("request_hash"), bytes("outcome"), int("at_ms")],
    &["scope", "key"],
);
static CREDENTIALS: Table = Table::of(
    Part::Log,
    "credentials",
    &[text("account"), text("password_hash"), int("failed"), int("locked_until_ms"), bytes("totp")],
    &["account"],
);
pub(crate) static SESSIONS: Table = Table::of(
    Part::Log,
    "sessions",
    &[bytes("token_hash"), text("account"), int("created_ms"), int("last_seen_ms"), int("expires_ms")],
    &["token_hash"],
);
pub(crate) static TELEMETRY_META: Table =
    Table::of(Part::Telemetry, "telemetry.meta", &[int("one"), int("epoch")], &["one"]);
static SENSORS: Table = Table::of(
    Part::Telemetry,
    "telemetry.sensors",
    &[int("id"), text("name"), int("at_ms"), real("value"), text("unit")],
    &["id"],
);
static HISTORY: Table = Table::of(
    Part::Telemetry,
    "telemetry.history",
    &[int("sensor"), int("at_ms"), real("value"), text("unit")],
    &["sensor", "at_ms"],
);
static RULE_STATES: Table = Table::of(
    Part::Telemetry,
    "telemetry.rule_states",
    &[text("sensor"), text("rule"), bytes("state"), int("held_ms"), int("turns")],
    &["sensor", "rule"],
);
static ROLLUPS: Table = Table::of(
    Part::Telemetry,
    "telemetry.rollups",
    &[int("sensor"), int("minute"), real("min"), real("max"), real("sum"), int("count")],
    &["sensor", "minute"],
);
static PENDING: Table =
    Table::of(Part::Telemetry, "telemetry.pending", &[int("id"), text("key"), bytes("payload")], &["id"]);
static STRANGERS: Table = Table::of(
    Part::Telemetry,
    "telemetry.strangers",
    &[text("device"), text("format"), int("first_ms"), int("last_ms"), int("count")],
    &["device"],
);

/// Highest numbers given out, which never name anything else again: `table.column`, number.
pub(crate) static COUNTERS: Table = Table::new("counters", &[text("name"), int("last")], &["name"]);

/// Tables of the databases, those that others refer to first; then the counters.
pub(crate) static TABLES: [&Table; 21] = [
    &META,
    &EVENTS,
    &DOCUMENTS,
    &DOCUMENT_UNITS,
    &DOCUMENT_REFS,
    &SUBJECT_KEYS,
    &ERASURES,
    &VAULT,
    &BLOBS,
    &OUTBOX,
    &INPUT_KEYS,
    &CREDENTIALS,
    &SESSIONS,
    &TELEMETRY_META,
    &SENSORS,
    &HISTORY,
    &ROLLUPS,
    &RULE_STATES,
    &PENDING,
    &STRANGERS,
    &COUNTERS,
];

/// A number that a table counts by itself.
pub(crate) struct Counter {
    pub(crate) part: Part,
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

impl Counter {
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}

/// Counters that must not go back, by name.
pub(crate) static COUNTED: [Counter; 4] = [
    Counter { part: Part::Log, table: "outbox", column: "id" },
    Counter { part: Part::Telemetry, table: "pending", column: "id" },
    Counter { part: Part::Telemetry, table: "sensors", column: "id" },
    Counter { part: Part::Log, table: "subject_keys", column: "key_id" },
];

/// What a backup says of itself, its first block.
pub(crate) static ABOUT: Table = Table::new("about", &[text("name"), text("value")], &["name"]);
/// Files in pieces, in order: name, where the piece begins, the piece.
pub(crate) static BLOB_FILES: Table =
    Table::new("blob_files", &[text("name"), int("from"), bytes("piece")], &["name", "from"]);
/// As [`BLOB_FILES`].
pub(crate) static ARCHIVE_FILES: Table =
    Table::new("archive_files", &[text("name"), int("from"), bytes("piece")], &["name", "from"]);
/// The master key's file, only when asked for.
pub(crate) static MASTER_KEY: Table = Table::new("master_key", &[text("line")], &["line"]);
/// Rows and hash of every table before it, the last block.
pub(crate) static MANIFEST: Table = Table::new("manifest", &[text("name"), int("rows"), bytes("hash")], &["name"]);

/// The shape of all tables: versions of the log and of telemetry, the same ones on every backend.
pub(crate) fn schema() -> String {
    let last = |all: &[Migration]| all.last().map_or(0, |m| m.version);
    format!("{}.{}", last(sqlite::MIGRATIONS), last(sqlite::telemetry::MIGRATIONS))
}

/// Any table of a backup.
pub(crate) fn named(name: &str) -> Option<&'static Table> {
    let others = [&ABOUT, &BLOB_FILES, &ARCHIVE_FILES, &MASTER_KEY, &MANIFEST];
    TABLES.iter().copied().chain(others).find(|t| t.name == name)
}
