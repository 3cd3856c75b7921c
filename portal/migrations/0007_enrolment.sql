-- Tokens by which an agent gets its credential, by their SHA-256.
CREATE TABLE enrolment (
    digest      BLOB NOT NULL PRIMARY KEY,
    -- The cluster's id.
    cluster     TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    -- Who used it; nothing before.
    principal   TEXT REFERENCES principal (id) ON DELETE CASCADE
);

-- The key that the secrets of an agent are sealed to, if it was enrolled.
ALTER TABLE principal ADD COLUMN sealing_key TEXT;
