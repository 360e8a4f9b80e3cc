-- Values of a sensor and a minute, kept longer than the values themselves. `minute` counts from 1970.
CREATE TABLE rollups (
    sensor BIGINT NOT NULL REFERENCES sensors (id),
    minute BIGINT NOT NULL,
    min DOUBLE PRECISION NOT NULL,
    max DOUBLE PRECISION NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (sensor, minute)
) WITH (fillfactor = 70);
INSERT INTO rollups (sensor, minute, min, max, sum, count)
    SELECT sensor, at_ms / 60000, min(value), max(value), sum(value), count(*) FROM history GROUP BY 1, 2;
CREATE INDEX rollups_age ON rollups (minute);
