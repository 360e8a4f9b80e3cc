-- Since when a rule chatters and is held, and how often it turned since; null while it is not.
ALTER TABLE rule_states ADD COLUMN held_ms INTEGER;
ALTER TABLE rule_states ADD COLUMN turns INTEGER;
