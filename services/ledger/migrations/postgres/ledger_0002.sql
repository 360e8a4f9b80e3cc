-- SHA-256 of the destroyed key as it was stored, so that a restored copy of it is known; empty when there was none,
-- NULL when it was destroyed before this column was.
ALTER TABLE erasures ADD COLUMN key_hash BYTEA;
