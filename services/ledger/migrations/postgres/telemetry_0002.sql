-- Devices that report and that the site does not have.
CREATE TABLE strangers (
    device TEXT COLLATE "C" PRIMARY KEY,
    format TEXT COLLATE "C" NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    count BIGINT NOT NULL
) WITH (fillfactor = 50);
