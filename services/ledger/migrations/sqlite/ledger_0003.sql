-- When a document is due, for timers; what it refers to, by role, for lists and access.
ALTER TABLE documents ADD COLUMN due_ms INTEGER;
-- Role and id behind a tab, one reference a line, in the order of the writer.
ALTER TABLE documents ADD COLUMN refs TEXT NOT NULL DEFAULT '';
CREATE INDEX documents_due ON documents (due_ms, kind, sort) WHERE due_ms IS NOT NULL AND deleted = 0;

-- The documents of a kind that refer to something, in the order of their ids, are neighbours.
CREATE TABLE document_refs (
    role TEXT NOT NULL,
    ref_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- As in documents.
    sort TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (role, ref_id, kind, sort),
    FOREIGN KEY (kind, id) REFERENCES documents (kind, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX document_refs_document ON document_refs (kind, id, role);
