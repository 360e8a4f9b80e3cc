CREATE TABLE meta (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL
);

-- The name and the latest value of each sensor; history refers to the number.
CREATE TABLE sensors (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    unit TEXT COLLATE "C"
) WITH (fillfactor = 50);

CREATE TABLE history (
    sensor BIGINT NOT NULL REFERENCES sensors (id),
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    unit TEXT COLLATE "C",
    PRIMARY KEY (sensor, at_ms)
);
CREATE INDEX history_age ON history (at_ms);

CREATE TABLE rule_states (
    sensor TEXT COLLATE "C" NOT NULL,
    rule TEXT COLLATE "C" NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (sensor, rule)
) WITH (fillfactor = 50);

CREATE TABLE pending (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key TEXT COLLATE "C" NOT NULL UNIQUE,
    payload BYTEA NOT NULL
);
