-- Text is compared byte by byte (COLLATE "C"), whatever the locale of the database: ids order alike on every backend.
CREATE TABLE meta (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    log_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    term BIGINT NOT NULL,
    request_secret BYTEA NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    stream TEXT COLLATE "C" NOT NULL,
    mode SMALLINT NOT NULL,
    payload BYTEA NOT NULL
);
CREATE INDEX events_stream ON events (stream, seq);

CREATE TABLE documents (
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    -- Length of the id in three digits, then the id: counters sort as numbers.
    sort TEXT COLLATE "C" NOT NULL,
    rev_seq BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    open BOOLEAN NOT NULL,
    level SMALLINT,
    stage TEXT COLLATE "C",
    units TEXT COLLATE "C" NOT NULL,
    grid TEXT COLLATE "C",
    at_ms BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX documents_order ON documents (kind, sort);
CREATE INDEX documents_stage ON documents (kind, stage, sort);
CREATE INDEX documents_time ON documents (kind, at_ms);
CREATE INDEX documents_open ON documents (kind, sort) WHERE open;
CREATE INDEX documents_rev ON documents (rev_seq);

CREATE TABLE document_units (
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    unit TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, id, unit),
    FOREIGN KEY (kind, id) REFERENCES documents (kind, id) ON DELETE CASCADE
);
CREATE INDEX document_units_unit ON document_units (unit, kind);

-- GENERATED ALWAYS: the number of a destroyed key must never name another one.
CREATE TABLE subject_keys (
    key_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject TEXT COLLATE "C" NOT NULL UNIQUE,
    wrapped BYTEA NOT NULL
);

CREATE TABLE erasures (
    subject TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (subject, seq)
);

-- key_id has no foreign key: a value outlives its key as "erased".
CREATE TABLE vault (
    id BIGINT PRIMARY KEY,
    subject TEXT COLLATE "C" NOT NULL,
    key_id BIGINT NOT NULL,
    "full" BYTEA NOT NULL,
    masked BYTEA NOT NULL
);

CREATE TABLE blobs (
    id TEXT COLLATE "C" PRIMARY KEY,
    subject TEXT COLLATE "C" NOT NULL,
    key_id BIGINT NOT NULL,
    content_type TEXT COLLATE "C" NOT NULL,
    len BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    used_seq BIGINT
);
CREATE INDEX blobs_orphans ON blobs (at_ms) WHERE used_seq IS NULL;
CREATE INDEX blobs_key ON blobs (key_id);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    payload BYTEA NOT NULL,
    due_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    last_error TEXT COLLATE "C"
);
CREATE INDEX outbox_due ON outbox (due_ms, id);

CREATE TABLE input_keys (
    scope TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    request_hash BYTEA NOT NULL,
    outcome BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX input_keys_age ON input_keys (at_ms);

CREATE TABLE credentials (
    account TEXT COLLATE "C" PRIMARY KEY,
    password_hash TEXT COLLATE "C" NOT NULL,
    failed BIGINT NOT NULL,
    locked_until_ms BIGINT NOT NULL,
    totp BYTEA
);

CREATE TABLE sessions (
    token_hash BYTEA PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sessions_account ON sessions (account, last_seen_ms);
CREATE INDEX sessions_expiry ON sessions (expires_ms);
