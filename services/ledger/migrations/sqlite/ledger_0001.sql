CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    term INTEGER NOT NULL,
    request_secret BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    stream TEXT NOT NULL,
    mode INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX events_stream ON events (stream, seq);

CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    -- Length of the id in three digits, then the id: counters sort as numbers.
    sort TEXT NOT NULL,
    rev_seq INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    open INTEGER NOT NULL,
    level INTEGER,
    stage TEXT,
    units TEXT NOT NULL,
    grid TEXT,
    at_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (kind, id)
) STRICT;
CREATE INDEX documents_order ON documents (kind, sort);
CREATE INDEX documents_stage ON documents (kind, stage, sort);
CREATE INDEX documents_time ON documents (kind, at_ms);
CREATE INDEX documents_open ON documents (kind, sort) WHERE open = 1;
CREATE INDEX documents_rev ON documents (rev_seq);

CREATE TABLE document_units (
    unit TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (unit, kind, id),
    FOREIGN KEY (kind, id) REFERENCES documents (kind, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX document_units_document ON document_units (kind, id);

-- AUTOINCREMENT: the number of a destroyed key must never name another one.
CREATE TABLE subject_keys (
    key_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL UNIQUE,
    wrapped BLOB NOT NULL
) STRICT;

CREATE TABLE erasures (
    subject TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (subject, seq)
) STRICT, WITHOUT ROWID;

-- key_id has no foreign key: a value outlives its key as "erased".
CREATE TABLE vault (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    full BLOB NOT NULL,
    masked BLOB NOT NULL
) STRICT;

CREATE TABLE blobs (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    len INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    used_seq INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_orphans ON blobs (at_ms) WHERE used_seq IS NULL;
CREATE INDEX blobs_key ON blobs (key_id);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    payload BLOB NOT NULL,
    due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (due_ms, id);

CREATE TABLE input_keys (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    outcome BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX input_keys_age ON input_keys (at_ms);

CREATE TABLE credentials (
    account TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    failed INTEGER NOT NULL,
    locked_until_ms INTEGER NOT NULL,
    totp BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_account ON sessions (account, last_seen_ms);
CREATE INDEX sessions_expiry ON sessions (expires_ms);
