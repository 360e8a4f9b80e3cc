-- When a document is due, for timers; what it refers to, by role, for lists and access.
ALTER TABLE documents ADD COLUMN due_ms BIGINT;
-- Role and id behind a tab, one reference a line, in the order of the writer.
ALTER TABLE documents ADD COLUMN refs TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX documents_due ON documents (due_ms, kind, sort) WHERE due_ms IS NOT NULL AND NOT deleted;

-- The documents of a kind that refer to something, in the order of their ids, are neighbours.
CREATE TABLE document_refs (
    role TEXT COLLATE "C" NOT NULL,
    ref_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    -- As in documents.
    sort TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (role, ref_id, kind, sort),
    FOREIGN KEY (kind, id) REFERENCES documents (kind, id) ON DELETE CASCADE
);
CREATE INDEX document_refs_document ON document_refs (kind, id, role);
