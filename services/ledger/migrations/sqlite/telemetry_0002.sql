-- Devices that report and that the site does not have.
CREATE TABLE strangers (
    device TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
