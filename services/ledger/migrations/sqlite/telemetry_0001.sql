CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
) STRICT;

-- The name and the latest value of each sensor; history refers to the number.
CREATE TABLE sensors (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    value REAL NOT NULL,
    unit TEXT
) STRICT;

CREATE TABLE history (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    at_ms INTEGER NOT NULL,
    value REAL NOT NULL,
    unit TEXT,
    PRIMARY KEY (sensor, at_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_age ON history (at_ms);

CREATE TABLE rule_states (
    sensor TEXT NOT NULL,
    rule TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (sensor, rule)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    payload BLOB NOT NULL
) STRICT;
