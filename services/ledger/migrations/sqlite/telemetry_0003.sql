-- Values of a sensor and a minute, kept longer than the values themselves. `minute` counts from 1970.
CREATE TABLE rollups (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    minute INTEGER NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    sum REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (sensor, minute)
) STRICT, WITHOUT ROWID;
INSERT INTO rollups (sensor, minute, min, max, sum, count)
    SELECT sensor, at_ms / 60000, min(value), max(value), sum(value), count(*) FROM history GROUP BY 1, 2;
-- Old values are found sensor by sensor, so that no value is written twice.
DROP INDEX history_age;
